//! Links that find archives: each takes its own builder's.

use crate::space::{Outcome, TestSpace, can_run};
use crate::{another_builder, ar, compile, sources};

/// A space with a folder `libs`.
fn with_libs(test: &str) -> TestSpace {
    let space = sources(test);
    std::fs::create_dir(space.path("libs")).expect("the space is new");
    space
}

/// Two builders' archives at one path; the other's is there now, this builder's x gives 12.
fn two_archives(space: &TestSpace, archive: &str) {
    let build = |value| {
        compile(space, "x", value);
        ar(space, &format!("rcs {archive} x.o")).quiet();
    };
    build(12);
    another_builder(|| build(42));
}

/// However the archive is named.
#[test]
fn archives_by_path_and_by_name() {
    let space = with_libs("archives_by_path_and_by_name");
    two_archives(&space, "libs/libshared.a");
    for (n, words) in [
        "main.o libs/libshared.a",
        "main.o -Llibs -lshared",
        "main.o -lshared -L libs",
        "main.o -L libs -l shared",
        "main.o -Llibs -l:libshared.a",
        "main.o -Llibs -Wl,-lshared",
        "main.o -Llibs -Xlinker -lshared",
        "main.o -Wl,-Llibs,--library=shared",
        "main.o -Wl,--start-group,libs/libshared.a,--end-group",
        "main.o -Llibs -Wl,-Bstatic -lshared -Wl,-Bdynamic",
        "main.o -Llibs -Wl,--whole-archive -lshared -Wl,--no-whole-archive",
        "-static main.o -Llibs -lshared",
    ]
    .iter()
    .enumerate()
    {
        two_archives(&space, "libs/libshared.a");
        space.cc(&format!("{words} -o prog_{n}")).quiet();
        assert_eq!(space.run(&format!("prog_{n}")), "12", "{words}");
    }
    // What the other builder would get, and what plain gcc gives.
    another_builder(|| {
        space.gcc("main.o -Llibs -lshared -o plain").quiet();
        assert_eq!(space.run("plain"), "42");
    });
    two_archives(&space, "libs/libshared.a");
    space.write("list", "main.o -Llibs -lshared -o prog_r\n");
    space.cc("@list").quiet();
    assert_eq!(space.run("prog_r"), "12");
    two_archives(&space, "libs/libshared.a");
    let mut command = space.wrapper("main.o -lshared -o prog_p");
    command.env("LIBRARY_PATH", "libs");
    Outcome::of(command).quiet();
    assert_eq!(space.run("prog_p"), "12");
}

/// A name in two pieces of one word leaves no place for another path.
#[test]
fn a_name_that_nothing_can_stand_in_for() {
    let space = with_libs("a_name_that_nothing_can_stand_in_for");
    two_archives(&space, "libs/libshared.a");
    space.cc("main.o -Llibs -Wl,-l,shared -o prog").one_line(&[
        "cannot link `prog`",
        "libs/libshared.a",
        "write `-lshared`",
    ]);
    assert!(!space.has("prog"));
}

/// A shared library is taken before an archive of its folder.
#[test]
fn a_shared_library_wins() {
    let space = with_libs("a_shared_library_wins");
    two_archives(&space, "libs/libshared.a");
    space.write("seven.c", "int x(void) { return 7; }\n");
    space
        .gcc("-shared -fPIC seven.c -o libs/libshared.so")
        .quiet();
    let linked = |words: &str| {
        two_archives(&space, "libs/libshared.a");
        space
            .cc(&format!("main.o {words} -Wl,-rpath,libs -o prog"))
            .quiet();
        space.run("prog")
    };
    assert_eq!(linked("-Llibs -lshared"), "7");
    assert_eq!(linked("-Llibs -Wl,-Bstatic -lshared -Wl,-Bdynamic"), "12");
    assert_eq!(linked("-Llibs -l:libshared.a"), "12");
}

/// The same with the linkers of LLVM and gold.
#[test]
fn other_linkers() {
    let space = with_libs("other_linkers");
    two_archives(&space, "libs/libshared.a");
    for (linker, program) in [("gold", "ld.gold"), ("lld", "ld.lld")] {
        if can_run("other_linkers", program) {
            two_archives(&space, "libs/libshared.a");
            let words = format!("-fuse-ld={linker} main.o -Llibs -lshared -o prog_{linker}");
            space.cc(&words).quiet();
            assert_eq!(space.run(&format!("prog_{linker}")), "12", "{linker}");
        }
    }
}

/// The members of a thin archive are inputs of the link, and stay at their paths.
#[test]
fn members_of_thin_archives() {
    let space = sources("members_of_thin_archives");
    compile(&space, "x", 12);
    ar(&space, "rcsT thin.a x.o").quiet();
    space.cc("main.o thin.a -o prog").quiet();
    assert_eq!(space.run("prog"), "12");
    another_builder(|| compile(&space, "x", 42));
    space.cc("main.o thin.a -o other").one_line(&[
        "cannot link `other`",
        "`x.o` holds another build's variant",
        "`thin.a`",
    ]);
    // Compiled again, it is at the path again.
    compile(&space, "x", 12);
    space.cc("main.o thin.a -o other").quiet();
    assert_eq!(space.run("other"), "12");
}

/// An archive replaced while the linker hasn't read it yet.
#[test]
fn an_archive_replaced_during_a_link() {
    let space = sources("an_archive_replaced_during_a_link");
    let (mut began, mut go) = (space.fifo("began"), space.fifo("go"));
    let text = "#!/bin/sh\n[ -e once ] || case $* in *-lshared*) : > once; echo . > began; read -r signal < go ;; esac\nexec gcc \"$@\"\n";
    let script = space.script("waiting-cc", text);
    compile(&space, "x", 12);
    ar(&space, "rcs libshared.a x.o").quiet();
    let mut link = space.wrapper("main.o -L. -lshared -o prog");
    link.env("OBJGUARD_CC", script);
    let running = crate::space::Running::start(link);
    began.wait();
    another_builder(|| {
        compile(&space, "x", 42);
        ar(&space, "rcs libshared.a x.o").quiet();
    });
    go.tell();
    running.finish().quiet();
    assert_eq!(space.run("prog"), "12");
}

/// An archive of archives, and a partial link of one.
#[test]
fn archives_as_members_and_in_partial_links() {
    let space = with_libs("archives_as_members_and_in_partial_links");
    two_archives(&space, "inner.a");
    space
        .cc("-r -nostdlib -Wl,--whole-archive inner.a -Wl,--no-whole-archive -o whole.o")
        .quiet();
    space.cc("main.o whole.o -o prog").quiet();
    assert_eq!(space.run("prog"), "12");
    two_archives(&space, "inner.a");
    ar(&space, "rcs outer.a inner.a").quiet();
    let mut extract = space.command("ar");
    extract.args(["p", "outer.a", "inner.a"]);
    let inner = extract.output().expect("ar runs").stdout;
    std::fs::write(space.path("extracted.a"), inner).expect("the folder is ours");
    space.gcc("main.o extracted.a -o prog").quiet();
    assert_eq!(space.run("prog"), "12");
}
