//! What the caller sees: permissions, working directories, the switch that turns the wrapper off.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Barrier;

use crate::space::{Fake, Outcome, TestSpace, WRAPPER};

/// A command line of sh, in which `$CC` is the wrapper or plain gcc.
fn shell(space: &TestSpace, cc: &str, line: &str) -> Outcome {
    let mut command: Command = space.command("sh");
    command
        .args(["-c", line])
        .env("CC", cc)
        .env("OBJGUARD_CC", "gcc");
    Outcome::of(command)
}

/// Files have the permissions that the compiler would have given them under the caller's umask, new ones and replaced ones.
#[test]
fn the_umask_counts() {
    let space = TestSpace::new("the_umask_counts");
    space.write("x.c", "int x = VALUE;\nint main(void) { return 0; }\n");
    space.settle();
    // The last one of a umask is a skip for the wrapper; it still creates the file.
    let steps = [("022", 1), ("027", 2), ("077", 1), ("002", 2), ("000", 1)];
    let modes = |cc: &str, folder: &str| -> Vec<[u32; 3]> {
        fs::create_dir(space.path(folder)).expect("the folder is new");
        let step = |(umask, value): &(&str, u32)| {
            let compile =
                format!("\"$CC\" -DVALUE={value} -MD -c ../x.c -o x.o && \"$CC\" x.o -o prog");
            shell(
                &space,
                cc,
                &format!("cd {folder} && umask {umask} && {compile}"),
            )
            .quiet();
            ["x.o", "x.d", "prog"].map(|name| space.mode(Path::new(folder).join(name)))
        };
        steps.iter().map(step).collect()
    };
    let plain = modes("gcc", "plain");
    assert_eq!(
        modes(WRAPPER, "guarded"),
        plain,
        "permissions of x.o, x.d and prog"
    );
}

/// One object, named from two working directories in two ways, is one object: each builder links its own variant.
#[test]
fn one_object_from_two_folders() {
    let space = TestSpace::new("one_object_from_two_folders");
    space.write("x.c", "int x(void) { return VALUE; }\n");
    space.write("main.c", "int x(void);\nint main(void) { return x(); }\n");
    for folder in ["a/deep", "b", "build"] {
        fs::create_dir_all(space.path(folder)).expect("the folder is new");
    }
    std::os::unix::fs::symlink("build", space.path("alias")).expect("the name is free");
    space.settle();
    space.cc("-c main.c -o build/main.o").quiet();
    let absolute = space.path("build/x.o").display().to_string();
    let names = [
        ("a/deep", "../../build/x.o"),
        ("b", absolute.as_str()),
        ("", "alias/x.o"),
        ("a", "deep/../../build/./x.o"),
    ];
    let together = Barrier::new(names.len());
    std::thread::scope(|threads| {
        for (value, (folder, name)) in names.into_iter().enumerate() {
            let (space, together) = (&space, &together);
            threads.spawn(move || {
                let there = |args: String| {
                    let mut command = space.wrapper(&args);
                    Outcome::of({
                        command.current_dir(space.path(folder));
                        command
                    })
                    .quiet();
                };
                there(format!(
                    "-DVALUE={value} -c {} -o {name}",
                    space.path("x.c").display()
                ));
                together.wait();
                there(format!(
                    "{name} {} -o prog{value}",
                    space.path("build/main.o").display()
                ));
                let program = space.path(folder).join(format!("prog{value}"));
                Outcome::of(space.command(program)).code(value as i32);
            });
        }
    });
}

/// The working directory is embedded with -g, as PWD spells it: the same command elsewhere is another request.
#[test]
fn the_working_directory_is_embedded() {
    let space = TestSpace::new("the_working_directory_is_embedded");
    let source = space
        .write("x.c", "int x(void) { return 1; }\n")
        .display()
        .to_string();
    for folder in ["a", "b"] {
        fs::create_dir(space.path(folder)).expect("the folder is new");
    }
    std::os::unix::fs::symlink("a", space.path("link")).expect("the name is free");
    space.settle();
    let (object, plain) = (
        space.path("x.o").display().to_string(),
        space.path("plain.o").display().to_string(),
    );
    let mut seen = Vec::new();
    for folder in ["a", "b", "link", "a"] {
        let line = format!("cd {folder} && exec \"$CC\" -g -c {source} -o");
        shell(&space, WRAPPER, &format!("{line} {object}")).quiet();
        shell(&space, "gcc", &format!("{line} {plain}")).quiet();
        assert_eq!(
            space.read("x.o"),
            space.read("plain.o"),
            "compiled in {folder}"
        );
        seen.push(space.read("x.o"));
    }
    assert!(
        seen[0] != seen[1] && seen[0] != seen[2] && seen[0] == seen[3],
        "the folders should differ"
    );
}

/// OBJGUARD_DISABLE=1: every command runs exactly as it is written, and leaves nothing of ours.
#[test]
fn the_switch() {
    let fake = Fake::new("the_switch", "");
    let commands = [
        "-DVALUE=3 -c x.c -o x.o",
        "-c main.c -o main.o",
        "main.o x.o -o prog",
        "-DVALUE=3 -c x.c -o x.o",
    ];
    for args in commands {
        let mut command = fake.wrapper(args);
        command.env("OBJGUARD_DISABLE", "1");
        Outcome::of(command).quiet();
    }
    let compiles = fake.calls("compile");
    assert_eq!(
        compiles,
        [
            "compile x.o -DVALUE=3 -c x.c -o x.o",
            "compile main.o -c main.c -o main.o",
            compiles[0].as_str()
        ]
    );
    assert_eq!(fake.calls("link"), ["link prog main.o x.o -o prog"]);
    assert_eq!(fake.space.run("prog"), "3");
    assert!(!fake.space.has(".objguard"));
    assert_eq!(
        fs::read_dir(fake.space.aside("cache"))
            .expect("it is there")
            .count(),
        0,
        "the cache was written"
    );
}
