//! `objguard audit`.

use super::space::TestSpace;
use super::{as_ordinary_user, built_twins, objguard};

#[test]
fn different_flags_and_what_to_do() {
    let space = built_twins("different_flags_and_what_to_do");
    let outcome = objguard(&space, "audit").success();
    let text = &outcome.stdout;
    assert!(
        text.starts_with(
            "1 object shared by several links, 1 of them compiled with different flags\n"
        ),
        "{text}"
    );
    assert!(
        text.contains("\nb/shared.o: DIFFERENT FLAGS\n  source  shared.c\n"),
        "{text}"
    );
    for (output, flag) in [("mod1", "-DVALUE=12"), ("mod2", "-DVALUE=42")] {
        let line = text
            .lines()
            .find(|l| l.trim_start().starts_with(output))
            .unwrap_or_else(|| panic!("{text}"));
        assert!(line.contains(" took ") && line.ends_with(flag), "{text}");
        assert_eq!(line.matches("-D").count(), 1, "only the difference: {text}");
    }
    assert!(
        text.contains("  upstream: ") && text.contains("#includes `shared.c`"),
        "{text}"
    );
    assert_eq!(outcome.stderr, "");
    assert_eq!(objguard(&space, "audit --strict").code(1).stdout, *text);
    assert_eq!(objguard(&space, "audit --strict b").code(1).stdout, *text);
}

/// `commands`, one a line, each run as `objguard gcc …`.
fn built(test: &str, commands: &[&str]) -> TestSpace {
    let space = TestSpace::new(test);
    space.write("util.c", "int util;\n");
    space.write("main.c", "int main(void) { return 0; }\n");
    space.settle();
    for command in commands {
        objguard(&space, &format!("gcc {command}")).quiet();
    }
    space
}

#[test]
fn equal_flags() {
    let space = built(
        "equal_flags",
        &[
            "-c util.c",
            "-c main.c",
            "main.o util.o -o one",
            "-c util.c",
            "main.o util.o -o two",
        ],
    );
    let text = objguard(&space, "audit --strict").success().stdout;
    assert!(
        text.starts_with(
            "2 objects shared by several links, 0 of them compiled with different flags\n"
        ),
        "{text}"
    );
    assert!(text.contains("\nutil.o: equal flags\n"), "{text}");
    assert!(
        text.contains("compile it once, in a static library"),
        "{text}"
    );
}

#[test]
fn a_rebuild_with_other_flags_is_not_sharing() {
    let space = built(
        "a_rebuild_with_other_flags_is_not_sharing",
        &[
            "-c util.c",
            "-c main.c",
            "main.o util.o -o one",
            "-O2 -c util.c",
            "-O2 -c main.c",
            "main.o util.o -o one",
        ],
    );
    let text = objguard(&space, "audit --strict").success().stdout;
    assert_eq!(
        text,
        "no object is shared: each was asked for by one link only\n"
    );
}

#[test]
fn nothing_to_audit_is_an_error() {
    let space = TestSpace::new("nothing_to_audit_is_an_error");
    objguard(&space, "audit").one_line(&["nothing to audit", "below `.`", "objguard run"]);
    objguard(&space, "audit missing")
        .one_line(&["cannot read `missing`: No such file or directory"]);
    space.write("file", "");
    objguard(&space, "audit file").one_line(&["cannot read `file`: Not a directory"]);
}

#[test]
fn a_folder_that_cannot_be_read_is_named() {
    let space = built_twins("a_folder_that_cannot_be_read_is_named");
    let closed = space.write("closed/x", "");
    let closed = closed.parent().unwrap();
    let mode = |mode| {
        std::fs::set_permissions(closed, std::os::unix::fs::PermissionsExt::from_mode(mode))
            .unwrap()
    };
    mode(0o000);
    let alone = as_ordinary_user(&space, "audit closed");
    let below = as_ordinary_user(&space, "audit");
    mode(0o755);
    alone.one_line(&["cannot read `closed`: Permission denied"]);
    assert_ne!(below.status.code(), Some(0), "{below}");
    below.says(&["cannot read `closed`: Permission denied"]);
}

#[test]
fn state_that_is_not_trusted_is_named() {
    let space = built_twins("state_that_is_not_trusted_is_named");
    std::fs::set_permissions(
        space.path("b/.objguard"),
        std::os::unix::fs::PermissionsExt::from_mode(0o770),
    )
    .unwrap();
    objguard(&space, "audit")
        .code(1)
        .says(&["`b/.objguard` can be written by others"]);
}
