//! Bad input: one line that says what to write, and an exit code.

use std::fs;

use crate::space::{OBJGUARD, Outcome, TestSpace};
use crate::{exec, with_generator, wrapper};

#[test]
fn command_lines() {
    let space = with_generator("command_lines");
    for (words, code, said) in [
        ("-o out", 2, "no command given; write it after `--`"),
        (
            "-o out ./gen out",
            2,
            "no command given; write it after `--`",
        ),
        (
            "-- ./gen out",
            2,
            "no output given; name what the command makes with `-o OUT`",
        ),
        ("-o out out -- ./gen", 2, "cannot make `out` twice"),
        ("-o out -i out -- ./gen", 2, "cannot make `out` of itself"),
        (
            "-o a b -- ./gen {out}",
            2,
            "`b` has no place in the command; write `{out2}`",
        ),
        (
            "-o a -- ./gen {out2}",
            2,
            "`{out2}` has no output: one is given",
        ),
        ("-o a --fancy -- ./gen", 2, "--fancy"),
        (
            "-o none/out -- ./gen none/out in",
            1,
            "cannot make `none/out`: there is no folder `none`; create it first",
        ),
        (
            "-o folder -- ./gen folder in",
            1,
            "cannot make `folder`: the output is not a regular file",
        ),
        ("-o out -i none -- ./gen out in", 1, "cannot read `none`"),
        (
            "-o out -i folder -- ./gen out in",
            1,
            "cannot read `folder`: it is a folder",
        ),
        (
            "-o out -- nothere",
            127,
            "cannot run `nothere`: there is no such program on PATH",
        ),
        ("-o out -- ./nothere", 127, "cannot run `./nothere`"),
        (
            "-o out -- ./in",
            126,
            "cannot run `./in`: it is not executable",
        ),
        (
            "-o out -- true",
            1,
            "the command ended with 0 but did not make `out`",
        ),
        (
            "-o out -- mkdir {out}",
            1,
            "the command made `out`, but not as a regular file",
        ),
    ] {
        fs::create_dir_all(space.path("folder")).expect("the space is ours");
        exec(&space, words).code(code).one_line(&[said]);
        assert!(!space.has("out"), "{words}");
    }
    space.assert_no_scratch();
}

/// The command's own failures are its own affair.
#[test]
fn failures_are_passed_on() {
    let space = TestSpace::new("failures_are_passed_on");
    space.script("fail", "#!/bin/sh\necho no; echo never >&2; exit 7\n");
    let outcome = exec(&space, "-o out -- ./fail {out}").code(7);
    assert_eq!(
        (outcome.stdout.as_str(), outcome.stderr.as_str()),
        ("no\n", "never\n")
    );
    space.script("die", "#!/bin/sh\nkill -KILL $$\n");
    exec(&space, "-o out -- ./die {out}").signal(libc::SIGKILL);
}

/// Switched off, the command runs with the path itself.
#[test]
fn switched_off() {
    let space = with_generator("switched_off");
    let mut command = wrapper(&space, "-o out -i in -- ./gen {out} in");
    command.env("OBJGUARD_DISABLE", "1");
    Outcome::of(command).quiet();
    assert_eq!(space.text("out"), "one\n");
    assert!(!space.has(".objguard/out/claims"));
}

/// State that others can write isn't trusted; the output still appears whole.
#[test]
fn untrusted_state() {
    let space = with_generator("untrusted_state");
    fs::create_dir(space.path(".objguard")).expect("the space is new");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    fs::set_permissions(space.path(".objguard"), open).expect("it is ours");
    exec(&space, "-o out -i in -- ./gen {out} in").quiet();
    assert_eq!(space.text("out"), "one\n");
    exec(&space, "-o out -i in -- ./gen out in").quiet();
    space.assert_no_scratch();
}

#[test]
fn help_is_on_stdout() {
    let space = TestSpace::new("help_is_on_stdout");
    let mut command = space.command(OBJGUARD);
    command.args(["exec", "--help"]);
    let outcome = Outcome::of(command).success();
    for word in ["-o OUT", "-i IN", "{out}"] {
        assert!(outcome.stdout.contains(word), "{outcome}");
    }
}
