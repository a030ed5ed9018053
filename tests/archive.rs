//! Archives: `objguard-ar` against plain archivers, two at once, members and archives of several builders.

#[path = "archive/like_plain.rs"]
mod like_plain;
#[path = "archive/links.rs"]
mod links;
#[path = "archive/members.rs"]
mod members;
mod space;
#[path = "archive/turns.rs"]
mod turns;

use std::path::Path;
use std::process::Command;

use space::{Outcome, TestSpace};

const AR: &str = env!("CARGO_BIN_EXE_objguard-ar");

/// The archiver's wrapper, with these arguments (separated by blanks).
fn wrapper(space: &TestSpace, args: &str) -> Command {
    let mut command = space.command(AR);
    command.args(args.split_whitespace());
    command
}

/// Runs the archiver's wrapper to its end.
fn ar(space: &TestSpace, args: &str) -> Outcome {
    Outcome::of(wrapper(space, args))
}

/// The members of an archive, as plain ar lists them.
fn members(space: &TestSpace, archive: &str) -> Vec<String> {
    let mut command = space.command("ar");
    command.args(["t", archive]);
    let listed = Outcome::of(command).success().stdout;
    listed.lines().map(str::to_owned).collect()
}

/// A space with `x.c`, whose function `x` gives VALUE, `y.c` likewise, and `main.c`, which prints what `x` gives.
fn sources(test: &str) -> TestSpace {
    let space = TestSpace::new(test);
    for name in ["x", "y"] {
        let text = format!("int {name}(void) {{ return VALUE; }}\n");
        space.write(format!("{name}.c"), text);
    }
    let main =
        "#include <stdio.h>\nint x(void);\nint main(void) { printf(\"%d\\n\", x()); return 0; }\n";
    space.write("main.c", main);
    space.settle();
    space.cc("-c main.c -o main.o").quiet();
    space
}

/// Does it in a thread of its own: to objguard that is another builder.
fn another_builder<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|threads| threads.spawn(work).join().expect("it doesn't panic"))
}

/// Compiles `NAME.c` to `NAME.o` with this value.
fn compile(space: &TestSpace, name: &str, value: u32) {
    space
        .cc(&format!("-DVALUE={value} -c {name}.c -o {name}.o"))
        .quiet();
}

/// The variants that the log of an object tells of, and how many of them are kept.
fn variants(space: &TestSpace, object: &str) -> (usize, usize) {
    let state = Path::new(".objguard").join(object);
    let log = space.text(state.join("claims"));
    let lines = log.lines().filter(|line| line.starts_with("P1 "));
    let mut known: Vec<_> = lines.map(|line| line.split(' ').nth(1)).collect();
    known.sort_unstable();
    known.dedup();
    let folder = std::fs::read_dir(space.path(&state)).expect("the object has state");
    let kept = folder
        .flatten()
        .filter(|e| e.file_name().as_encoded_bytes().starts_with(b"v-"));
    (known.len(), kept.count())
}
