//! `objguard doctor`.

use super::space::{Outcome, TestSpace, can_run};
use super::{assert_no_leftovers, built_twins, command, objguard};

/// The mark of the line about `what`.
#[track_caller]
fn mark(text: &str, what: &str) -> String {
    let line = text
        .lines()
        .find(|l| l.contains(what))
        .unwrap_or_else(|| panic!("no line about `{what}`: {text}"));
    line.split_whitespace().next().unwrap().to_owned()
}

#[test]
fn all_is_well() {
    let space = TestSpace::new("all_is_well");
    let outcome = objguard(&space, "doctor").success();
    let text = &outcome.stdout;
    for what in [
        "objguard-cc",
        "C compiler",
        "C++ compiler",
        "file system: locks",
        "file system: hard links",
        "file system: rename",
        "file system: symbolic links",
        "file system: times",
        "guards the compile",
        "guards the link",
        "guards the archive",
        "0 state folders below `.`, all trusted",
    ] {
        assert_eq!(mark(text, what), "ok", "{text}");
    }
    assert!(text.contains("tiny build, under `objguard run`"), "{text}");
    assert!(text.ends_with("objguard works here\n"), "{text}");
    assert_eq!(space.files(), [""; 0].map(std::path::PathBuf::from));
    assert_no_leftovers(&space);
}

#[test]
fn without_setuptools_the_commands_are_tried_by_hand() {
    let space = TestSpace::new("without_setuptools_the_commands_are_tried_by_hand");
    space.script("bin/python3", "#!/bin/sh\nexit 1\n");
    let mut doctor = command(&space, "doctor");
    let path = std::env::var("PATH").unwrap();
    doctor.env("PATH", format!("{}:{path}", space.path("bin").display()));
    let text = Outcome::of(doctor).success().stdout;
    assert!(
        text.contains("plain commands (python3 has no setuptools): objguard guards the compile"),
        "{text}"
    );
    assert!(
        text.contains("plain commands (python3 has no setuptools): objguard guards the link"),
        "{text}"
    );
}

#[test]
fn the_user_s_own_cc_is_tried_if_it_is_ours() {
    let space = TestSpace::new("the_user_s_own_cc_is_tried_if_it_is_ours");
    let mut doctor = command(&space, "doctor");
    doctor
        .env("CC", super::space::WRAPPER)
        .env("OBJGUARD_CC", "gcc");
    let text = Outcome::of(doctor).success().stdout;
    assert!(text.contains("tiny build, as CC is set"), "{text}");
    assert_eq!(mark(&text, "guards the compile"), "ok", "{text}");
    assert_eq!(
        mark(&text, "the archive doesn't come through objguard"),
        "note",
        "{text}"
    );
}

#[test]
fn a_compiler_that_is_missing_or_broken() {
    let space = TestSpace::new("a_compiler_that_is_missing_or_broken");
    let mut missing = command(&space, "doctor");
    missing.env("OBJGUARD_CC", "no-such-cc");
    let outcome = Outcome::of(missing).code(1);
    assert!(
        outcome
            .stdout
            .contains("cannot find `no-such-cc` (`OBJGUARD_CC=no-such-cc`)"),
        "{outcome}"
    );
    assert_eq!(mark(&outcome.stdout, "C compiler"), "FAIL", "{outcome}");

    let broken = space.script("broken-cc", "#!/bin/sh\necho 'I am broken' >&2\nexit 3\n");
    let mut doctor = command(&space, "doctor");
    doctor.env("CC", &broken);
    let outcome = Outcome::of(doctor).code(1);
    assert_eq!(mark(&outcome.stdout, "tiny build"), "FAIL", "{outcome}");

    let mut typo = command(&space, "doctor");
    typo.env("OBJGUARD_DISBALE", "1");
    let outcome = Outcome::of(typo).code(1);
    assert!(
        outcome
            .stdout
            .contains("unknown variable `OBJGUARD_DISBALE`"),
        "{outcome}"
    );
}

#[test]
fn state_that_is_not_trusted() {
    let space = built_twins("state_that_is_not_trusted");
    std::fs::set_permissions(
        space.path("b/.objguard"),
        std::os::unix::fs::PermissionsExt::from_mode(0o777),
    )
    .unwrap();
    let outcome = objguard(&space, "doctor").code(1);
    assert!(
        outcome
            .stdout
            .contains("not trusted: `b/.objguard` can be written by others (mode 777)"),
        "{outcome}"
    );
    assert!(outcome.stdout.ends_with("1 check failed\n"), "{outcome}");
}

#[test]
fn a_folder_that_is_not_there() {
    let space = TestSpace::new("a_folder_that_is_not_there");
    objguard(&space, "doctor missing")
        .one_line(&["cannot read `missing`: No such file or directory"]);
}

#[test]
fn a_file_system_that_cannot_be_written_to() {
    const TEST: &str = "a_file_system_that_cannot_be_written_to";
    if !can_run(TEST, "sh") || !std::path::Path::new("/proc/self").is_dir() {
        return;
    }
    let space = TestSpace::new(TEST);
    let outcome = objguard(&space, "doctor /proc/self/task").code(1);
    assert_eq!(
        mark(
            &outcome.stdout,
            "cannot create a folder in `/proc/self/task`"
        ),
        "FAIL",
        "{outcome}"
    );
}
