//! The user's command, `objguard`: what each subcommand prints and does, and what it says to bad input.

#[path = "../space/mod.rs"]
mod space;

mod audit;
mod clean;
mod doctor;
mod explain;
mod pages;
mod report;
mod run;
mod terminal;

use std::path::Path;
use std::process::Command;

use space::{OBJGUARD, Outcome, TestSpace};

/// `objguard` with these arguments (separated by blanks), in the space's folder.
fn command(space: &TestSpace, args: &str) -> Command {
    let mut command = space.command(OBJGUARD);
    command.args(args.split_whitespace());
    command
}

/// Runs `objguard` to its end.
fn objguard(space: &TestSpace, args: &str) -> Outcome {
    Outcome::of(command(space, args))
}

/// `objguard run ARGS -- sh -e -c SCRIPT`.
fn run_script(space: &TestSpace, args: &str, script: &str) -> Command {
    let mut command = command(space, &format!("run {args} -- sh -e -c"));
    command.arg(script);
    command
}

/// Two programs that compile one source to one object in different ways and take it in turns, as two builder threads of
/// setuptools do when it goes wrong: both compile, then both link.
const TWINS: &str = r#"
mkfifo one two three
( $CC -DVALUE=12 -c shared.c -o b/shared.o; echo > one; read x < two; $CC mod.c b/shared.o -o mod1; echo > three ) &
( read x < one; $CC -DVALUE=42 -c shared.c -o b/shared.o; echo > two; read x < three; $CC mod.c b/shared.o -o mod2 ) &
wait
rm one two three
"#;

/// Writes the sources of [`TWINS`].
fn write_twins(space: &TestSpace) {
    space.write(
        "shared.c",
        "#include \"shared.h\"\nint value(void) { return VALUE + OFFSET; }\n",
    );
    space.write("shared.h", "#define OFFSET 0\n");
    space.write(
        "mod.c",
        "#include <stdio.h>\nint value(void);\nint main(void) { printf(\"%d\\n\", value()); }\n",
    );
    space.write("b/keep", "");
    space.settle();
}

/// Builds [`TWINS`] under `objguard run`, with a log.
fn built_twins(test: &str) -> TestSpace {
    let space = TestSpace::new(test);
    write_twins(&space);
    Outcome::of(run_script(&space, "--log log --no-summary", TWINS)).quiet();
    assert_eq!(
        (space.run("mod1"), space.run("mod2")),
        ("12".into(), "42".into())
    );
    space
}

/// Nothing may be left in the folder for temporary files, but for the space's own probe of the clock.
#[track_caller]
fn assert_no_leftovers(space: &TestSpace) {
    let left: Vec<_> = std::fs::read_dir(space.aside("tmp"))
        .expect("the folder is ours")
        .flatten()
        .map(|e| e.file_name())
        .filter(|name| name != "clock")
        .collect();
    assert!(left.is_empty(), "left in TMPDIR: {left:?}");
}

/// Runs `objguard` as a user whom file modes bind; as root they say nothing.
fn as_ordinary_user(space: &TestSpace, args: &str) -> Outcome {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    // SAFETY: geteuid has no preconditions and cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        return objguard(space, args);
    }
    // Cargo's folder may be closed to that user.
    let own = space.aside("objguard");
    space::copy_program(OBJGUARD, &own);
    for folder in [space.aside(""), space.path("")] {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))
            .expect("the folder is ours");
    }
    let mut command = space.command(own);
    command.args(args.split_whitespace()).uid(65534).gid(65534);
    Outcome::of(command)
}

/// The bytes of a JSON document in a file.
fn json(path: &Path) -> serde_json::Value {
    let text = std::fs::read_to_string(path)
        .unwrap_or_else(|e| panic!("cannot read `{}`: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("`{}` is no JSON: {e}", path.display()))
}
