//! `objguard explain`.

use super::space::{Outcome, TestSpace};
use super::{built_twins, command, objguard};

/// Compiles `x.c` with `objguard gcc ARGS`.
fn compile(space: &TestSpace, args: &str) {
    objguard(space, &format!("gcc {args} -c x.c -o x.o")).success();
}

fn compiled(test: &str, args: &str) -> TestSpace {
    let space = TestSpace::new(test);
    space.write("x.c", "#include \"inc/h.h\"\nint x = H;\n");
    space.write("inc/h.h", "#define H 1\n");
    space.settle();
    compile(&space, args);
    space
}

/// What stands behind `name` in a line.
#[track_caller]
fn values<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    text.lines()
        .filter_map(|line| line.trim_start().strip_prefix(name))
        .filter(|rest| rest.starts_with(' '))
        .map(str::trim)
        .collect()
}

/// The one line that says whether the next compile would be skipped.
#[track_caller]
fn next(space: &TestSpace) -> String {
    let text = objguard(space, "explain x.o").success().stdout;
    let next = values(&text, "next");
    assert_eq!(next.len(), 1, "{text}");
    next[0].to_owned()
}

#[test]
fn two_variants_and_how_they_differ() {
    let space = built_twins("two_variants_and_how_they_differ");
    let text = objguard(&space, "explain b/shared.o").success().stdout;
    assert_eq!(values(&text, "variants"), ["2"]);
    assert_eq!(values(&text, "source"), ["shared.c", "shared.c"]);
    assert_eq!(
        values(&text, "next"),
        ["would be skipped", "would be skipped"]
    );
    assert_eq!(text.matches(", at the path\n").count(), 1, "{text}");
    assert_eq!(text.matches(", kept\n").count(), 1, "{text}");
    assert_eq!(values(&text, "made from"), ["shared.c", "shared.c"]);
    assert!(text.contains("             shared.h\n"), "{text}");
    assert_eq!(values(&text, "claimed").len(), 2, "{text}");
    assert!(
        values(&text, "last")[0].starts_with("compiled variant "),
        "{text}"
    );
    assert!(values(&text, "compiler")[0].contains("gcc "), "{text}");
    let difference = text.split("words that differ\n").nth(1).unwrap();
    assert!(
        difference.contains("-DVALUE=12") && difference.contains("-DVALUE=42"),
        "{text}"
    );
}

#[test]
fn the_last_decision() {
    let space = compiled("the_last_decision", "");
    let last = |space: &TestSpace| {
        values(&objguard(space, "explain x.o").success().stdout, "last")[0].to_owned()
    };
    let first = last(&space);
    assert!(
        first.starts_with("compiled variant ") && first.contains("no compile with these words"),
        "{first}"
    );
    compile(&space, "");
    let second = last(&space);
    assert!(
        second.starts_with("skipped: variant ") && second.contains("was at the path"),
        "{second}"
    );
    compile(&space, "-g");
    compile(&space, "");
    let third = last(&space);
    assert!(
        third.starts_with("skipped: variant ") && third.contains("was put back at the path"),
        "{third}"
    );
}

#[test]
fn a_changed_header() {
    let space = compiled("a_changed_header", "");
    assert_eq!(next(&space), "would be skipped");
    space.write("inc/h.h", "#define H 1\n");
    assert_eq!(next(&space), "would be skipped", "touched, not changed");
    space.write("inc/h.h", "#define H 2\n");
    assert_eq!(next(&space), "would compile: header `inc/h.h` changed");
    std::fs::remove_file(space.path("inc/h.h")).unwrap();
    assert_eq!(next(&space), "would compile: header `inc/h.h` is missing");
}

#[test]
fn it_agrees_with_the_wrapper_from_another_folder() {
    let space = compiled("it_agrees_with_the_wrapper_from_another_folder", "");
    let mut elsewhere = command(&space, "explain ../work/x.o");
    elsewhere.current_dir(space.aside("home"));
    let text = Outcome::of(elsewhere).success().stdout;
    assert_eq!(values(&text, "next"), ["would be skipped"], "{text}");
}

#[test]
fn an_upgraded_compiler() {
    let space = TestSpace::new("an_upgraded_compiler");
    space.write("x.c", "int x;\n");
    space.script("my-gcc", "#!/bin/sh\nexec gcc \"$@\"\n");
    space.settle();
    objguard(&space, "./my-gcc -c x.c -o x.o").success();
    assert_eq!(next(&space), "would be skipped");
    space.script("my-gcc", "#!/bin/sh\n# version 2\nexec gcc \"$@\"\n");
    let said = next(&space);
    assert!(
        said.starts_with("would compile: the compiler was upgraded: files of `./my-gcc` (gcc "),
        "{said}"
    );
    std::fs::remove_file(space.path("my-gcc")).unwrap();
    assert_eq!(
        next(&space),
        "would compile: its compiler, `./my-gcc`, is gone"
    );
}

#[test]
fn what_is_never_skipped() {
    let space = compiled("what_is_never_skipped", "-save-temps");
    let said = next(&space);
    assert!(
        said.starts_with("would compile: ") && said.contains("save-temps"),
        "{said}"
    );
    let space = TestSpace::new("what_is_never_skipped");
    space.write("x.c", "const char *x = __TIME__;\n");
    space.settle();
    compile(&space, "");
    assert_eq!(
        next(&space),
        "would compile: `__TIME__` in `x.c`: the clock is an input"
    );
}

#[test]
fn lost_and_foreign_objects() {
    let space = compiled("lost_and_foreign_objects", "");
    std::fs::remove_file(space.path("x.o")).unwrap();
    let text = objguard(&space, "explain x.o").success().stdout;
    assert_eq!(values(&text, "at path"), ["nothing"]);
    assert_eq!(
        values(&text, "next"),
        ["would compile: no file holds the object any more"]
    );
    space.write("x.o", "mine");
    let text = objguard(&space, "explain x.o").success().stdout;
    assert_eq!(
        values(&text, "at path"),
        ["4 B that objguard didn't write: a link takes it as it is"]
    );
}

#[test]
fn all_inputs() {
    let space = TestSpace::new("all_inputs");
    space.write("x.c", "#include <stdio.h>\nint x;\n");
    space.settle();
    compile(&space, "");
    let some = objguard(&space, "explain x.o").success().stdout;
    assert!(some.contains(" elsewhere (--all lists them)"), "{some}");
    assert!(!some.contains("stdio.h"), "{some}");
    let all = objguard(&space, "explain --all x.o").success().stdout;
    assert!(
        all.contains("/stdio.h\n") && !all.contains("elsewhere"),
        "{all}"
    );
}

#[test]
fn a_damaged_record_is_none() {
    let space = compiled("a_damaged_record_is_none", "");
    let record = space
        .files()
        .into_iter()
        .find(|f| f.extension().is_some_and(|e| e == "record"))
        .unwrap();
    space.write(&record, "rubbish");
    let text = objguard(&space, "explain x.o").success().stdout;
    assert!(text.contains("none: "), "{text}");
    assert!(
        values(&text, "next")[0].starts_with("would compile: no compile with these words"),
        "{text}"
    );
}

#[test]
fn objects_without_a_record() {
    let space = compiled("objects_without_a_record", "");
    objguard(&space, "explain y.o").one_line(&[
        "cannot explain `y.o`: there is no record of it",
        "on record in its folder are `x.o`",
    ]);
    objguard(&space, "explain inc/h.h")
        .one_line(&["cannot explain `inc/h.h`: there is no record of it"]);
    objguard(&space, "explain missing/y.o")
        .one_line(&["cannot explain `missing/y.o`: there is no record"]);
    objguard(&space, "explain inc").one_line(&["cannot explain `inc`: it is a folder"]);
    objguard(&space, "explain").one_line(&["<OBJECT>"]);
    std::fs::set_permissions(
        space.path(".objguard"),
        std::os::unix::fs::PermissionsExt::from_mode(0o777),
    )
    .unwrap();
    objguard(&space, "explain x.o")
        .one_line(&["cannot explain `x.o`: `.objguard` can be written by others"]);
}
