//! What can't be done: one clear line that says what is wrong and what to do, and nothing is left behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::space::{Outcome, TestSpace, WRAPPER, can_run, copy_program};

fn space(test: &str) -> TestSpace {
    let space = TestSpace::new(test);
    space.write("x.c", "int x;\n");
    space.settle();
    space
}

/// The wrapper for somebody who isn't root: permission bits don't stop root.
fn unprivileged(space: &TestSpace, args: &str) -> Command {
    // SAFETY: geteuid has no preconditions.
    if unsafe { libc::geteuid() } != 0 {
        return space.wrapper(args);
    }
    // A copy, since the build folder may be closed to others.
    let copy = space.aside("objguard-cc");
    copy_program(WRAPPER, &copy);
    let mut command = space.command("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(copy);
    command
        .env("OBJGUARD_CC", "gcc")
        .args(args.split_whitespace());
    command
}

/// One line of ours that names the folder. The compiler may have had its say before: an existing object in such a folder can
/// be writable, so it has to try.
#[track_caller]
fn refused(command: Command) {
    let outcome = Outcome::of(command).says(&["closed"]);
    assert_ne!(outcome.status.code(), Some(0), "{outcome}");
    let ours: Vec<&str> = outcome
        .stderr
        .lines()
        .filter(|line| line.starts_with("objguard: "))
        .collect();
    assert!(
        matches!(ours.as_slice(), [line] if line.contains("closed")),
        "{outcome}"
    );
}

/// A folder in which nobody but root may write.
fn closed_folder(space: &TestSpace) {
    space.write("closed/keep", "");
    fs::set_permissions(space.path("closed"), fs::Permissions::from_mode(0o555))
        .expect("the folder is ours");
}

fn reopen(space: &TestSpace) {
    fs::set_permissions(space.path("closed"), fs::Permissions::from_mode(0o755))
        .expect("the folder is ours");
}

#[test]
fn an_unwritable_output_folder() {
    if !can_run("an_unwritable_output_folder", "setpriv") {
        return;
    }
    let space = space("an_unwritable_output_folder");
    closed_folder(&space);
    for args in ["-c x.c -o closed/x.o", "-shared -fPIC x.c -o closed/x.so"] {
        let command = unprivileged(&space, args);
        refused(command);
    }
    space.gcc("-c x.c -o x.o").quiet();
    let command = unprivileged(&space, "-shared x.o -o closed/x.so");
    refused(command);
    assert_eq!(
        fs::read_dir(space.path("closed"))
            .expect("it is there")
            .count(),
        1
    );
    reopen(&space);
}

#[test]
fn a_missing_output_folder() {
    let space = space("a_missing_output_folder");
    let refused = space.cc("-c x.c -o missing/x.o").says(&["missing/x.o"]);
    assert_ne!(refused.status.code(), Some(0));
    assert!(!space.has("missing"), "nobody asked for a folder");
}

#[test]
fn a_missing_compiler() {
    let space = space("a_missing_compiler");
    for (value, named) in [
        ("/missing/gcc", "/missing/gcc"),
        ("missing-gcc -m64", "missing-gcc"),
        ("./x.c", "x.c"),
    ] {
        let mut command = space.wrapper("-c x.c -o x.o");
        command.env("OBJGUARD_CC", value);
        Outcome::of(command).one_line(&["OBJGUARD_CC", named]);
    }
    assert_eq!(
        space.files(),
        [space.path("x.c").file_name().expect("a name")]
    );
}

#[test]
fn no_compiler_on_path() {
    let space = space("no_compiler_on_path");
    fs::create_dir(space.path("empty")).expect("the folder is ours");
    let mut command = space.wrapper("-c x.c -o x.o");
    command
        .env_remove("OBJGUARD_CC")
        .env("PATH", space.path("empty"));
    Outcome::of(command).one_line(&["cc", "OBJGUARD_CC"]);
}

#[test]
fn a_broken_compiler_command() {
    let space = space("a_broken_compiler_command");
    for value in ["gcc 'x", "gcc \"x", "''", "   "] {
        let mut command = space.wrapper("-c x.c -o x.o");
        command.env("OBJGUARD_CC", value);
        Outcome::of(command).one_line(&["OBJGUARD_CC"]);
    }
}

/// Something that can't be executed although it may be: no interpreter, no format.
#[test]
fn a_compiler_that_does_not_start() {
    let space = space("a_compiler_that_does_not_start");
    let script = space.script("no-interpreter", "#!/missing/interpreter\n");
    let mut command = space.wrapper("-c x.c -o x.o");
    command.env("OBJGUARD_CC", script);
    Outcome::of(command).one_line(&["no-interpreter"]);
    assert!(!space.has("x.o"));
}

#[test]
fn unknown_settings() {
    let space = space("unknown_settings");
    let settings = [
        ("OBJGUARD_AMBIGUOUS", "perhaps"),
        ("OBJGUARD_DISABLE", "perhaps"),
        ("OBJGUARD_DEBUG", "perhaps"),
        ("OBJGUARD_AMBIGOUS", "newest"),
        ("OBJGUARD_", "1"),
    ];
    for (variable, value) in settings {
        let mut command = space.wrapper("-c x.c -o x.o");
        command.env(variable, value);
        Outcome::of(command).one_line(&[variable]);
    }
    assert!(!space.has("x.o"));
}
