//! Which variant of each object becomes a member.

use crate::space::{Outcome, Running, TestSpace};
use crate::{another_builder, ar, compile, members, sources, variants, wrapper};

/// What `x` in the archive gives.
fn value(space: &TestSpace, archive: &str) -> String {
    space
        .gcc(&format!("main.o {archive} -o of_{archive}.prog"))
        .quiet();
    space.run(&format!("of_{archive}.prog"))
}

/// The member is the own builder's, though another one's object is at the path.
#[test]
fn members_are_the_own_builders() {
    let space = sources("members_are_the_own_builders");
    let two_objects = || {
        compile(&space, "x", 12);
        another_builder(|| compile(&space, "x", 42));
    };
    two_objects();
    let outcome = ar(&space, "rcvs one.a x.o").success();
    assert_eq!(
        (outcome.stdout.as_str(), outcome.stderr.as_str()),
        ("a - x.o\n", "")
    );
    assert_eq!(members(&space, "one.a"), ["x.o"]);
    assert_eq!(value(&space, "one.a"), "12");
    // With the words in a response file.
    two_objects();
    space.write("list", "two.a x.o\n");
    ar(&space, "qc @list").quiet();
    assert_eq!(value(&space, "two.a"), "12");
    // And through the prefix form.
    two_objects();
    let mut command = space.command(crate::space::OBJGUARD);
    command.args(["ar", "rcs", "three.a", "x.o"]);
    Outcome::of(command).quiet();
    assert_eq!(value(&space, "three.a"), "12");
    space.assert_no_scratch();
}

/// Messages speak of the path that the user wrote.
#[test]
fn messages_name_the_user_s_paths() {
    let space = sources("messages_name_the_user_s_paths");
    compile(&space, "x", 12);
    another_builder(|| compile(&space, "x", 42));
    let script = space.script("failing-ar", "#!/bin/sh\necho \"bad $2 $3\" >&2\nexit 3\n");
    let mut command = wrapper(&space, "rcs lib.a x.o");
    command.env("OBJGUARD_AR", script);
    let outcome = Outcome::of(command).code(3);
    assert_eq!(outcome.stderr, "bad lib.a x.o\n");
}

/// Nobody knows whose objects a third builder means.
#[test]
fn an_unknown_builder_is_refused() {
    let space = sources("an_unknown_builder_is_refused");
    another_builder(|| compile(&space, "x", 12));
    another_builder(|| compile(&space, "x", 42));
    another_builder(|| {
        ar(&space, "rcs lib.a x.o").code(1).says(&[
            "cannot archive `lib.a`",
            "`x.o`",
            "-DVALUE=12",
            "-DVALUE=42",
            "OBJGUARD_AMBIGUOUS",
        ]);
    });
    assert!(!space.has("lib.a"));
    let mut command = wrapper(&space, "rcs lib.a x.o");
    command.env("OBJGUARD_AMBIGUOUS", "newest");
    Outcome::of(command).quiet();
    assert_eq!(value(&space, "lib.a"), "42");
}

/// An object replaced while the archiver hasn't read it yet: it is done again, and nobody notices.
#[test]
fn an_object_replaced_meanwhile_does_no_harm() {
    let space = sources("an_object_replaced_meanwhile_does_no_harm");
    let (mut began, mut go) = (space.fifo("began"), space.fifo("go"));
    let text = "#!/bin/sh\n[ -e once ] || { : > once; echo . > began; read -r signal < go; echo noise; echo noise >&2; }\nexec ar \"$@\"\n";
    let script = space.script("waiting-ar", text);
    compile(&space, "x", 12);
    let mut command = wrapper(&space, "rcvs lib.a x.o");
    command.env("OBJGUARD_AR", script);
    let running = Running::start(command);
    began.wait();
    another_builder(|| compile(&space, "x", 42));
    go.tell();
    let outcome = running.finish().success();
    assert_eq!(
        (outcome.stdout.as_str(), outcome.stderr.as_str()),
        ("a - x.o\n", "")
    );
    assert_eq!(value(&space, "lib.a"), "12");
}

/// Two builders make different archives at one path; each goes on with its own.
#[test]
fn each_builder_goes_on_with_its_own_archive() {
    let space = sources("each_builder_goes_on_with_its_own_archive");
    compile(&space, "x", 12);
    ar(&space, "rcs lib.a x.o").quiet();
    another_builder(|| {
        compile(&space, "x", 42);
        compile(&space, "y", 42);
        ar(&space, "rcs lib.a x.o").quiet();
        assert_eq!(value(&space, "lib.a"), "42");
        ar(&space, "rcs lib.a y.o").quiet();
    });
    assert_eq!(variants(&space, "lib.a"), (2, 1));
    // Now the first builder adds an object of its own.
    space.write("z.c", "int z(void) { return 1; }\n");
    space.cc("-c z.c -o z.o").quiet();
    ar(&space, "rcs lib.a z.o").quiet();
    assert_eq!(members(&space, "lib.a"), ["x.o", "z.o"]);
    assert_eq!(value(&space, "lib.a"), "12");
}

/// `u` compares times. What others archived later isn't newer than what we compiled for ourselves.
#[test]
fn newer_members_of_others_don_t_stand() {
    let space = sources("newer_members_of_others_don_t_stand");
    compile(&space, "x", 12);
    another_builder(|| {
        compile(&space, "x", 42);
        ar(&space, "rcsU lib.a x.o").quiet();
    });
    ar(&space, "ruU lib.a x.o").quiet();
    assert_eq!(value(&space, "lib.a"), "12");
}

/// Appending to what another builder made meanwhile would give two members of one name, and links take the first.
#[test]
fn appending_to_another_builders_archive() {
    let space = sources("appending_to_another_builders_archive");
    compile(&space, "x", 12);
    another_builder(|| {
        compile(&space, "x", 42);
        ar(&space, "qcs lib.a x.o").quiet();
    });
    ar(&space, "qs lib.a x.o").code(1).says(&[
        "cannot append to `lib.a`",
        "`x.o`",
        "OBJGUARD_AMBIGUOUS=newest",
    ]);
    assert_eq!(value(&space, "lib.a"), "42");
    compile(&space, "y", 12);
    ar(&space, "qs lib.a y.o").quiet();
    assert_eq!(members(&space, "lib.a"), ["x.o", "y.o"]);
    // Twice on purpose, by the same builder.
    another_builder(|| {
        ar(&space, "qc own.a y.o").quiet();
        ar(&space, "q own.a y.o").quiet();
    });
    assert_eq!(members(&space, "own.a"), ["y.o", "y.o"]);
}

/// A removed archive stays removed, whatever is kept of it.
#[test]
fn a_removed_archive_begins_anew() {
    let space = sources("a_removed_archive_begins_anew");
    compile(&space, "x", 12);
    compile(&space, "y", 12);
    ar(&space, "rcs lib.a x.o").quiet();
    std::fs::remove_file(space.path("lib.a")).expect("it was made");
    ar(&space, "rcs lib.a y.o").quiet();
    assert_eq!(members(&space, "lib.a"), ["y.o"]);
}

/// An archive that another tool made or changed is the user's word.
#[test]
fn a_foreign_archive_is_taken_as_it_is() {
    let space = sources("a_foreign_archive_is_taken_as_it_is");
    compile(&space, "x", 12);
    compile(&space, "y", 12);
    ar(&space, "rcs lib.a x.o").quiet();
    space.write("other.o", "other");
    let mut plain = space.command("ar");
    plain.args(["q", "lib.a", "other.o"]);
    Outcome::of(plain).quiet();
    ar(&space, "rcs lib.a y.o").quiet();
    assert_eq!(members(&space, "lib.a"), ["x.o", "other.o", "y.o"]);
}

/// Thin archives hold paths: nothing can stand in for a member.
#[test]
fn thin_archives_are_made_in_place() {
    let space = sources("thin_archives_are_made_in_place");
    compile(&space, "x", 12);
    compile(&space, "y", 12);
    ar(&space, "rcsT thin.a x.o").quiet();
    // It stays one, with T or without.
    ar(&space, "rcsT thin.a y.o").quiet();
    assert_eq!(members(&space, "thin.a"), ["x.o", "y.o"]);
    assert!(space.read("thin.a").starts_with(b"!<thin>\n"));
    assert_eq!(value(&space, "thin.a"), "12");
    compile(&space, "x", 12);
    another_builder(|| compile(&space, "x", 42));
    ar(&space, "rcsT thin.a x.o").one_line(&[
        "cannot archive `thin.a`",
        "`x.o` holds another build's variant",
        "thin archive",
    ]);
    space.assert_no_scratch();
}

/// The script of `ar -M` names archive and members.
#[test]
fn scripts_run_in_place() {
    let space = sources("scripts_run_in_place");
    compile(&space, "x", 12);
    compile(&space, "y", 12);
    space.write("script", "create lib.a\naddmod x.o\nsave\nend\n");
    let of_file = || {
        let mut command = space.command("sh");
        command.args(["-c", "\"$0\" -M < script", crate::AR]);
        Outcome::of(command)
    };
    of_file().quiet();
    assert_eq!(members(&space, "lib.a"), ["x.o"]);
    let mut piped = space.command("sh");
    piped.args([
        "-c",
        "printf 'OPEN lib.a\\nADDMOD y.o\\nSAVE\\nEND\\n' | \"$0\" -M",
        crate::AR,
    ]);
    Outcome::of(piped).quiet();
    // It comes first.
    assert_eq!(members(&space, "lib.a"), ["y.o", "x.o"]);
    assert_eq!(value(&space, "lib.a"), "12");
    compile(&space, "x", 12);
    another_builder(|| compile(&space, "x", 42));
    of_file().one_line(&[
        "cannot archive `lib.a`",
        "`x.o` holds another build's variant",
        "ar rcs",
    ]);
    // No archive at all: ar says what it thinks.
    space.write("script", "addmod x.o\n");
    assert!(!of_file().stderr.contains("objguard"));
}

/// An archive with several names: GNU ar would change the installed copy too.
#[test]
fn an_installed_hard_link_is_left_alone() {
    let space = sources("an_installed_hard_link_is_left_alone");
    compile(&space, "x", 12);
    compile(&space, "y", 12);
    for (flags, archive) in [("rcs", "lib.a"), ("rcsT", "thin.a")] {
        ar(&space, &format!("{flags} {archive} x.o")).quiet();
        std::fs::hard_link(space.path(archive), space.path("installed.a")).expect("links work");
        ar(&space, &format!("{flags} {archive} y.o")).quiet();
        assert_eq!(members(&space, "installed.a"), ["x.o"]);
        std::fs::remove_file(space.path("installed.a")).expect("it was made");
    }
}

/// What is taken out of an archive comes from the own builder's.
#[test]
fn members_are_taken_out_of_the_own_archive() {
    let space = sources("members_are_taken_out_of_the_own_archive");
    let both = || {
        compile(&space, "x", 12);
        ar(&space, "rcs lib.a x.o").quiet();
        another_builder(|| {
            compile(&space, "x", 42);
            ar(&space, "rcs lib.a x.o").quiet();
        });
    };
    both();
    std::fs::remove_file(space.path("x.o")).expect("it was compiled");
    ar(&space, "x lib.a").quiet();
    space.gcc("main.o x.o -o prog").quiet();
    assert_eq!(space.run("prog"), "12");
    both();
    ar(&space, "x lib.a none.o").says(&["none.o"]);
    assert_eq!(ar(&space, "t lib.a").success().stdout, "x.o\n");
}
