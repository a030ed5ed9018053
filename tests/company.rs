//! objguard in company: behind and in front of the tools that people really build with, each run for real.

#[path = "company/caches.rs"]
mod caches;
#[path = "company/cmake.rs"]
mod cmake;
#[path = "company/distcc.rs"]
mod distcc;
#[path = "company/makes.rs"]
mod makes;
mod space;

use std::path::PathBuf;
use std::process::Command;
use std::sync::Barrier;

use space::{ARCHIVER, Outcome, TestSpace, WRAPPER};

/// A space with `shared.c`, whose function gives VALUE, and a `main_N.c` for each of some builders.
fn shared_source(test: &str, builders: usize) -> TestSpace {
    let space = TestSpace::new(test);
    space.write(
        "shared.c",
        "#include \"shared.h\"\nint shared(void) { return VALUE; }\n",
    );
    space.write("shared.h", "#include <stdio.h>\nint shared(void);\n");
    for number in 1..=builders {
        space.write(
            format!("main_{number}.c"),
            "#include \"shared.h\"\nint main(void) { printf(\"%d %d\\n\", VALUE, shared()); return 0; }\n",
        );
    }
    space.settle();
    space
}

/// Builders in threads, each with a value of its own for the shared object, over and over: every program must be right.
/// `prepare` sets what the wrapper's real compiler is.
fn race(
    space: &TestSpace,
    builders: usize,
    rounds: usize,
    prepare: &(dyn Fn(&mut Command) + Sync),
) {
    let start = Barrier::new(builders);
    let builder = &|number: usize| {
        let run = |words: String| {
            let mut command = space.command(WRAPPER);
            prepare(&mut command);
            command.args(words.split_whitespace());
            Outcome::of(command).quiet();
        };
        start.wait();
        for round in 0..rounds {
            let value = 100 * (round + 1) + number;
            let flags = format!("-O1 -DVALUE={value}");
            run(format!("{flags} -c shared.c -o shared.o"));
            run(format!("{flags} -c main_{number}.c -o main_{number}.o"));
            run(format!("shared.o main_{number}.o -o prog_{number}"));
            assert_eq!(
                space.run(&format!("prog_{number}")),
                format!("{value} {value}"),
                "round {round}"
            );
        }
    };
    std::thread::scope(|threads| {
        for number in 1..=builders {
            threads.spawn(move || builder(number));
        }
    });
}

/// A folder with our programs under the names of others, as a masquerade that stands first on PATH.
fn masquerade(space: &TestSpace) -> PathBuf {
    let folder = space.aside("masquerade");
    std::fs::create_dir_all(&folder).expect("the space is ours");
    for name in ["cc", "gcc", "c++", "g++", "clang"] {
        std::os::unix::fs::symlink(WRAPPER, folder.join(name)).expect("the folder is new");
    }
    for name in ["ar", "ranlib", "gcc-ar", "gcc-ranlib"] {
        std::os::unix::fs::symlink(ARCHIVER, folder.join(name)).expect("the folder is new");
    }
    folder
}

/// PATH with these folders first.
fn path_with(folders: &[PathBuf]) -> std::ffi::OsString {
    let rest = std::env::var_os("PATH").expect("PATH is set");
    let all = folders.iter().cloned().chain(std::env::split_paths(&rest));
    std::env::join_paths(all).expect("no colon in the folders")
}
