//! Which compiler really runs: scripts, links, loops and copies between the wrapper and it; never the wrapper for ever.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::space::{OBJGUARD, Outcome, TestSpace, WRAPPER, copy_program};

fn space(test: &str) -> TestSpace {
    let space = TestSpace::new(test);
    space.write("x.c", "int x(void) { return VALUE; }\n");
    space.settle();
    space
}

/// PATH with these folders of the space before the others.
fn path(space: &TestSpace, folders: &[&str]) -> OsString {
    let own = folders.iter().map(|folder| space.path(folder));
    let others = std::env::var_os("PATH").expect("PATH is set");
    std::env::join_paths(own.chain(std::env::split_paths(&others))).expect("no colon in the names")
}

fn link(space: &TestSpace, name: &str, to: impl AsRef<Path>) -> PathBuf {
    let path = space.path(name);
    fs::create_dir_all(path.parent().expect("it has a folder")).expect("the folder is ours");
    symlink(to, &path).expect("the name is free");
    path
}

fn copy(space: &TestSpace, name: &str) -> PathBuf {
    let path = space.write(name, "");
    copy_program(WRAPPER, &path);
    path
}

/// Compiles with this command and these folders in front of PATH; the object must be gcc's, guarded once.
#[track_caller]
fn compiles(space: &TestSpace, program: impl AsRef<Path>, folders: &[&str]) {
    let _ = fs::remove_dir_all(space.path(".objguard"));
    let _ = fs::remove_file(space.path("x.o"));
    let mut command: Command = space.command(program.as_ref());
    command
        .args(["-DVALUE=5", "-c", "x.c", "-o", "x.o"])
        .env("PATH", path(space, folders));
    Outcome::of(command).quiet();
    space.gcc("-DVALUE=5 -c x.c -o plain.o").quiet();
    assert_eq!(space.read("x.o"), space.read("plain.o"));
    assert!(space.has(".objguard/x.o"), "nobody guarded it");
    space.assert_no_scratch();
}

#[test]
fn a_script_called_cc_that_runs_the_wrapper() {
    let space = space("a_script_called_cc_that_runs_the_wrapper");
    let script = format!("#!/bin/sh\nexec '{WRAPPER}' \"$@\"\n");
    space.script("one/cc", &script);
    space.script("two/cc", &script);
    compiles(&space, WRAPPER, &["one"]);
    compiles(&space, space.path("one/cc"), &["one"]);
    compiles(&space, WRAPPER, &["one", "two"]);
    compiles(&space, space.path("two/cc"), &["one", "two"]);
}

/// Two scripts that lead to each other through the wrapper.
#[test]
fn scripts_in_a_circle() {
    let space = space("scripts_in_a_circle");
    space.script(
        "bin/cc",
        &format!("#!/bin/sh\nOBJGUARD_CC=gcc exec '{WRAPPER}' \"$@\"\n"),
    );
    space.script(
        "bin/gcc",
        &format!("#!/bin/sh\nOBJGUARD_CC=cc exec '{WRAPPER}' \"$@\"\n"),
    );
    compiles(&space, WRAPPER, &["bin"]);
    compiles(&space, space.path("bin/gcc"), &["bin"]);
}

#[test]
fn links_and_copies_on_path() {
    let space = space("links_and_copies_on_path");
    for name in ["cc", "gcc", "x86_64-linux-gnu-gcc"] {
        link(&space, &format!("links/{name}"), WRAPPER);
        link(
            &space,
            &format!("links-of-links/{name}"),
            space.path(format!("links/{name}")),
        );
        copy(&space, &format!("copies/{name}"));
    }
    let all = ["links", "links-of-links", "copies"];
    for folders in [&all[..1], &all[1..2], &all[2..], &all[..]] {
        compiles(&space, WRAPPER, folders);
        for folder in folders {
            compiles(&space, space.path(folder).join("cc"), folders);
            compiles(&space, space.path(folder).join("gcc"), folders);
        }
    }
    // By its bare name, as everybody calls it.
    compiles(&space, "gcc", &all);
}

/// A link called gcc runs gcc, whatever OBJGUARD_CC is for `objguard-cc`.
#[test]
fn masquerade_goes_by_the_name() {
    let space = space("masquerade_goes_by_the_name");
    let gcc = link(&space, "links/gcc", WRAPPER);
    let mut command = space.command(gcc);
    command
        .arg("--version")
        .env("OBJGUARD_CC", "/missing/cc")
        .env("PATH", path(&space, &["links"]));
    let version = Outcome::of(command).success().stdout;
    assert_eq!(version, space.gcc("--version").success().stdout);
}

#[test]
fn loops_of_links_are_passed_over() {
    let space = space("loops_of_links_are_passed_over");
    link(&space, "loop/cc", "other");
    link(&space, "loop/other", "cc");
    link(&space, "loop/gcc", "gcc");
    compiles(&space, WRAPPER, &["loop"]);
    let gcc = link(&space, "links/gcc", WRAPPER);
    compiles(&space, gcc, &["loop", "links"]);
}

/// OBJGUARD_CC names the wrapper itself: it finds the compiler behind, or says so; it never runs for ever.
#[test]
fn the_wrapper_as_its_own_compiler() {
    let space = space("the_wrapper_as_its_own_compiler");
    link(&space, "links/gcc", WRAPPER);
    for value in [
        WRAPPER,
        space.path("links/gcc").to_str().expect("the name is text"),
        "gcc",
    ] {
        let mut command = space.wrapper("-DVALUE=5 -c x.c -o x.o");
        command
            .env("OBJGUARD_CC", value)
            .env("PATH", path(&space, &["links"]));
        let outcome = Outcome::of(command);
        if outcome.status.success() {
            outcome.quiet();
        } else {
            outcome.one_line(&["OBJGUARD_CC"]);
        }
    }
}

#[test]
fn nothing_but_the_wrapper_on_path() {
    let space = space("nothing_but_the_wrapper_on_path");
    link(&space, "links/cc", WRAPPER);
    link(&space, "links/gcc", WRAPPER);
    for program in [
        PathBuf::from(WRAPPER),
        space.path("links/cc"),
        space.path("links/gcc"),
    ] {
        let mut command = space.command(program);
        command.args(["-c", "x.c"]).env("PATH", space.path("links"));
        Outcome::of(command).one_line(&["objguard itself", "links/"]);
    }
}

/// Launchers that start the compiler, and options that come with it.
#[test]
fn a_compiler_of_several_words() {
    let space = space("a_compiler_of_several_words");
    space.script("bin/launcher with blanks", "#!/bin/sh\nexec \"$@\"\n");
    for value in [
        "gcc -DVALUE=5",
        "'launcher with blanks' gcc -DVALUE=5",
        "env gcc '-DVALUE=5'",
        "nice -n 0 gcc -DVALUE=5",
    ] {
        let mut command = space.wrapper("-c x.c -o x.o");
        command
            .env("OBJGUARD_CC", value)
            .env("PATH", path(&space, &["bin"]));
        Outcome::of(command).quiet();
        space.gcc("-DVALUE=5 -c x.c -o plain.o").quiet();
        assert_eq!(space.read("x.o"), space.read("plain.o"), "{value}");
        fs::remove_file(space.path("x.o")).expect("it was just read");
    }
}

/// `objguard gcc …`, the prefix form.
#[test]
fn the_prefix_form() {
    let space = space("the_prefix_form");
    let prefixed = |args: &str| {
        let mut command = space.command(OBJGUARD);
        command.args(args.split_whitespace());
        Outcome::of(command)
    };
    prefixed("gcc -DVALUE=8 -c x.c").quiet();
    assert!(space.has("x.o") && space.has(".objguard/x.o"));
    space.write("main.c", "int x(void);\nint main(void) { return x(); }\n");
    prefixed("gcc -c main.c -o main.o").quiet();
    prefixed("gcc main.o x.o -o prog").quiet();
    Outcome::of(space.command(space.path("prog"))).code(8);
    let plain = space.gcc("-c missing.c").code(1);
    assert_eq!(prefixed("gcc -c missing.c").code(1).stderr, plain.stderr);
    prefixed("missing-gcc -c x.c").one_line(&["missing-gcc"]);
}
