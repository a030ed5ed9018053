//! `objguard audit`.

use super::space::{Outcome, TestSpace};
use super::{as_ordinary_user, built_twins, objguard, run_script};

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

/// Builds with each of the scripts in turn; `gcc` in them is objguard's.
fn built(test: &str, scripts: &[&str]) -> TestSpace {
    let space = TestSpace::new(test);
    space.write("util.c", "int util;\n");
    space.write("main.c", "int main(void) { return 0; }\n");
    space.settle();
    for script in scripts {
        Outcome::of(run_script(&space, "--no-summary", script)).quiet();
    }
    space
}

#[test]
fn equal_flags() {
    let space = built(
        "equal_flags",
        &["gcc -c main.c
           gcc -c util.c; gcc main.o util.o -o one
           gcc -c util.c; gcc main.o util.o -o two"],
    );
    let text = objguard(&space, "audit --strict").success().stdout;
    assert!(
        text.starts_with(
            "1 object shared by several links, 0 of them compiled with different flags\n"
        ),
        "{text}"
    );
    assert!(text.contains("\nutil.o: equal flags\n"), "{text}");
    assert!(
        text.contains("compile it once, in a static library"),
        "{text}"
    );
    assert!(!text.contains("main.o"), "compiled once for both: {text}");
}

#[test]
fn a_rebuild_is_not_sharing() {
    let build = |flags: &str| {
        format!(
            "gcc {flags} -c util.c; gcc {flags} -c main.c; gcc main.o util.o -o one; gcc util.o main.o -o two"
        )
    };
    let space = built(
        "a_rebuild_is_not_sharing",
        &[&build(""), &build(""), &build("-g")],
    );
    let text = objguard(&space, "audit --strict").success().stdout;
    assert_eq!(
        text,
        "no object is shared: no build compiles one for several links\n"
    );
}

#[test]
fn without_links_the_claims_tell() {
    let space = built(
        "without_links_the_claims_tell",
        &["(gcc -DA=1 -c util.c; gcc -c main.c) & (gcc -DA=2 -c util.c; gcc -c main.c) & wait"],
    );
    let text = objguard(&space, "audit --strict").code(1).stdout;
    assert!(text.contains("\nutil.o: DIFFERENT FLAGS\n"), "{text}");
    assert_eq!(text.matches("(no link on record)").count(), 2, "{text}");
    assert!(
        text.contains("-DA=1\n") && text.contains("-DA=2\n"),
        "{text}"
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
