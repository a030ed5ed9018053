//! Failures, and what they leave; and the job server of make.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use crate::CHATTY;
use crate::space::{Outcome, TestSpace, WRAPPER};

/// A file as a caller may remember it; the inode is left out, since the two sides are two files.
fn look(path: &Path) -> Option<(Vec<u8>, u32, i64, i64)> {
    let meta = path.symlink_metadata().ok()?;
    Some((
        fs::read(path).unwrap_or_default(),
        meta.mode(),
        meta.mtime(),
        meta.mtime_nsec(),
    ))
}

/// Failing compiles with an old object in place: the same exit code, the same messages, and the object kept (with its time)
/// or deleted as the plain compiler does it. Twice, so that nothing is skipped.
#[test]
fn a_failed_compile_leaves_what_the_plain_one_leaves() {
    let sources = [
        ("syntax", "int f( {\n", ""),
        ("header", "#include \"nowhere.h\"\n", ""),
        (
            "assembler",
            "int f(void) { __asm__(\"bogus\"); return 1; }\n",
            "",
        ),
        ("werror", CHATTY, "-Wall -Werror"),
        ("option", "int z;\n", "-fno-such-option"),
        ("nothing", "", "-include nowhere.h"),
    ];
    for compiler in ["gcc", "clang"] {
        for (name, source, option) in sources {
            for old in [true, false] {
                let space = TestSpace::new("failed");
                space.write("x.c", source);
                let run = |folder: &str, guarded: bool| {
                    let object = space.write(format!("{folder}/x.o"), "old object");
                    let depfile = space.write(format!("{folder}/x.d"), "old depfile");
                    for path in [&object, &depfile] {
                        let file = fs::File::open(path).expect("it is there");
                        file.set_modified(std::time::UNIX_EPOCH)
                            .expect("the file is ours");
                        if !old {
                            fs::remove_file(path).expect("it is there");
                        }
                    }
                    let mut command = space.command(if guarded { WRAPPER } else { compiler });
                    command
                        .env("OBJGUARD_CC", compiler)
                        .current_dir(space.path(folder));
                    command
                        .args(option.split_whitespace())
                        .args(["-MD", "-c", "../x.c", "-o", "x.o"]);
                    let outcome = Outcome::of(command);
                    (
                        outcome.status.code(),
                        outcome.stderr,
                        look(&object),
                        look(&depfile).map(|(bytes, mode, ..)| (bytes, mode)),
                    )
                };
                let expected = run("plain", false);
                for round in 1..=2 {
                    let seen = run("guarded", true);
                    assert_eq!(
                        seen, expected,
                        "{compiler} {name}, old object: {old}, round {round}"
                    );
                }
                space.assert_no_scratch();
            }
        }
    }
}

#[test]
fn a_warning_that_is_an_error_fails_every_time() {
    for compiler in ["gcc", "clang"] {
        let space = TestSpace::new("werror");
        space.write("x.c", CHATTY);
        space.settle();
        let run = |args: &str| {
            let mut command = space.wrapper(&format!("{args} -c x.c -o x.o"));
            command.env("OBJGUARD_CC", compiler);
            Outcome::of(command)
        };
        run("-Wall").success();
        let first = run("-Wall -Werror").code(1).stderr;
        run("-Wall").success();
        let again = run("-Wall -Werror").code(1).stderr;
        assert_eq!(first, again);
        assert!(first.contains("-Werror"), "{first}");
    }
}

/// An exit code is handed on, whatever it is.
#[test]
fn any_exit_code() {
    for code in [1, 2, 4, 77, 127, 128, 255] {
        let fake = crate::space::Fake::new(
            "exit_code",
            &format!("on_compile() {{ exit {code}; }}\non_link() {{ exit {code}; }}\n"),
        );
        fake.cc("-c x.c -o x.o").code(code);
        fake.space.gcc("-c x.c -o x.o").quiet();
        fake.cc("x.o -o prog").code(code);
        fake.space.assert_no_scratch();
    }
}

/// A compiler that says it succeeded and wrote nothing (`-fsyntax-only` in a specs file, a wrapper that only logs) is believed.
#[test]
fn success_without_an_object() {
    let fake = crate::space::Fake::new("no_object", "on_compile() { return 0; }\n");
    for _ in 0..2 {
        fake.cc("-c x.c -o x.o").quiet();
        assert!(!fake.space.has("x.o"));
    }
    assert_eq!(
        fake.calls("compile").len(),
        2,
        "nothing was made, so nothing can be taken for done"
    );
}

const MAKEFILE: &str = "all: one two\n\
    one: a.o b.o\n\t+@$(CC) -O2 -flto=jobserver a.o b.o -o one\n\
    two: c.o b.o\n\t+@$(CC) -O2 -flto=jobserver c.o b.o -o two\n\
    %.o: %.c\n\t@$(CC) -O2 -flto -c $< -o $@\n";

/// The linker's jobs ask make for leave: the descriptors and MAKEFLAGS must come through as they are.
#[test]
fn the_job_server_reaches_the_linker() {
    let space = TestSpace::new("jobserver");
    space.write(
        "a.c",
        "int f(int);\nint main(void) { return f(20) - 41; }\n",
    );
    space.write("c.c", "int f(int);\nint main(void) { return f(1) - 3; }\n");
    space.write("b.c", "int f(int n) { return n * 2 + 1; }\n");
    space.write("Makefile", MAKEFILE);
    let make = |cc: &str, words: &[&str]| {
        for name in ["one", "two", "a.o", "b.o", "c.o"] {
            let _ = fs::remove_file(space.path(name));
        }
        let mut command: Command = space.command("make");
        command
            .env("CC", cc)
            .env("OBJGUARD_CC", "gcc")
            .args(["-e", "-s"])
            .args(words);
        let outcome = Outcome::of(command).success();
        for program in ["one", "two"] {
            space.run(program);
        }
        outcome.stderr + &outcome.stdout
    };
    for words in [
        &["-j2"][..],
        &["-j3", "--no-print-directory"],
        &["-j1"],
        &[],
    ] {
        // gcc says so if it finds no job server; make, if somebody took its tokens along.
        assert_eq!(make(WRAPPER, words), make("gcc", words), "make {words:?}");
    }
}

/// A recipe without `+` has the job server's words in MAKEFLAGS but not its descriptors: nothing of ours may lie in their place.
#[test]
fn no_descriptor_of_ours_is_taken_for_the_job_server() {
    let fake = crate::space::Fake::new(
        "descriptors",
        "on_compile() {\nls -l /proc/self/fd > \"$FAKE_DIR/fds\"\nreal \"$@\"\n}\n",
    );
    let mut command = fake.wrapper("-c x.c -o x.o");
    command.env("MAKEFLAGS", " -j2 --jobserver-auth=3,4");
    Outcome::of(command).quiet();
    let listed = fs::read_to_string(fake.space.aside("fake/fds")).expect("the compiler wrote it");
    for line in listed.lines().filter(|line| line.contains("->")) {
        let is_ours = line.contains(".objguard") || line.contains("cache");
        assert!(!is_ours, "the compiler inherits {line}");
    }
}

/// What the caller opened for the compiler is open there, at the same numbers.
#[test]
fn descriptors_of_the_caller_come_through() {
    let fake = crate::space::Fake::new(
        "inherited",
        "on_compile() {\necho said >&7\nreal \"$@\"\n}\n",
    );
    let wrapper = fake.wrapper("-c x.c -o x.o");
    let mut shell = fake.space.command("sh");
    shell
        .args(["-c", "exec \"$@\" 7> seven", "sh", WRAPPER])
        .args(wrapper.get_args());
    shell.envs(
        wrapper
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    Outcome::of(shell).quiet();
    assert_eq!(fake.space.text("seven"), "said\n");
}
