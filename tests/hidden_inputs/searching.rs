//! Search folders that nobody wrote as `-I`, and names that lead elsewhere: links, `..`, the includer's sub-folders.

use std::fs;
use std::os::unix::fs::symlink;

use crate::{Watched, edit, edit_unseen};

const QUOTED: &str = "#include \"p.h\"\nint z = P;\n";
const ANGLED: &str = "#include <p.h>\nint z = P;\n";

/// No folder changes when what a link names comes into being.
#[test]
fn the_target_of_a_header_that_is_a_dangling_link() {
    let watched = Watched::new("dangling_header", "-Ione -Itwo x.c")
        .write("x.c", ANGLED)
        .write("two/p.h", "#define P 1\n")
        .folder("one")
        .folder("elsewhere");
    symlink("../elsewhere/q.h", watched.space.path("one/p.h")).expect("the name is free");
    watched.notices_somehow(|space| {
        space.write("elsewhere/q.h", "#define P 2\n");
    });
}

#[test]
fn the_target_of_a_search_folder_that_is_a_dangling_link() {
    let watched = Watched::new("dangling_folder", "-Ione -Itwo x.c")
        .write("x.c", ANGLED)
        .write("two/p.h", "#define P 1\n")
        .folder("elsewhere");
    symlink("elsewhere/later", watched.space.path("one")).expect("the name is free");
    watched.notices_somehow(|space| {
        space.write("elsewhere/later/p.h", "#define P 2\n");
    });
}

#[test]
fn a_folder_on_the_way_that_is_a_switched_link() {
    let watched = Watched::new("switched_way", "-Icurrent/include -Itwo x.c")
        .write("x.c", ANGLED)
        .write("two/p.h", "#define P 1\n")
        .write("v2/include/p.h", "#define P 2\n")
        .folder("v1/include");
    symlink("v1", watched.space.path("current")).expect("the name is free");
    watched.notices_somehow(|space| {
        symlink("v2", space.path("next")).expect("the name is free");
        fs::rename(space.path("next"), space.path("current")).expect("the folder is ours");
    });
}

#[test]
fn a_name_with_two_dots_beside_the_includer() {
    Watched::new("two_dots", "-Ia/b src/deep/x.c")
        .write("src/deep/x.c", "#include \"../p.h\"\nint z = P;\n")
        .write("a/p.h", "#define P 1\n")
        .folder("a/b")
        .notices_somehow(|space| {
            space.write("src/p.h", "#define P 2\n");
        });
}

#[test]
fn a_sub_folder_of_the_source_s_folder() {
    Watched::new("source_sub", "-Itwo src/x.c")
        .write("src/x.c", "#include \"s/p.h\"\nint z = P;\n")
        .write("two/s/p.h", "#define P 1\n")
        .folder("src/s")
        .notices_somehow(|space| {
            space.write("src/s/p.h", "#define P 2\n");
        });
}

#[test]
fn a_sub_folder_of_an_including_header_s_folder() {
    Watched::new("header_sub", "-Ione -Itwo x.c")
        .write("x.c", "#include \"q.h\"\nint z = P;\n")
        .write("one/q.h", "#include \"s/p.h\"\n")
        .write("two/s/p.h", "#define P 1\n")
        .folder("one/s")
        .notices_somehow(|space| {
            space.write("one/s/p.h", "#define P 2\n");
        });
}

#[test]
fn a_sub_folder_for_a_forced_include() {
    Watched::new("forced_sub", "-Ione -include s/p.h src/x.c")
        .write("src/x.c", "int z = P;\n")
        .write("one/s/p.h", "#define P 1\n")
        .folder("s")
        .notices_somehow(|space| {
            space.write("s/p.h", "#define P 2\n");
        });
}

/// `__has_include` in quotes begins in the folder of the file it stands in.
#[test]
fn has_include_beside_the_header_that_asks() {
    let source = "#if __has_include(\"NAME\")\n#define P 2\n#else\n#define P 1\n#endif\n";
    for name in ["later.h", "s/later.h", "../later.h"] {
        Watched::new("has_include_beside", "-Ia/b x.c")
            .write("x.c", QUOTED)
            .write("a/b/p.h", &source.replace("NAME", name))
            .folder("a/b/s")
            .notices_somehow(|space| {
                space.write(format!("a/b/{name}"), "");
            });
    }
}

#[test]
fn has_include_of_an_absolute_name() {
    let watched = Watched::new("has_include_absolute", "x.c").folder("far");
    let name = watched.space.path("far/later.h").display().to_string();
    let source = format!(
        "#if __has_include(\"{name}\")\n#define P 2\n#else\n#define P 1\n#endif\nint z = P;\n"
    );
    watched.write("x.c", &source).notices_somehow(|space| {
        space.write("far/later.h", "");
    });
}

#[test]
fn has_include_through_a_dangling_link() {
    let watched = Watched::new("has_include_dangling", "-Ione x.c")
        .write(
            "x.c",
            "#if __has_include(<later.h>)\n#define P 2\n#else\n#define P 1\n#endif\nint z = P;\n",
        )
        .folder("one")
        .folder("elsewhere");
    symlink("../elsewhere/later.h", watched.space.path("one/later.h")).expect("the name is free");
    watched.notices_somehow(|space| {
        space.write("elsewhere/later.h", "");
    });
}

/// Other ways to name a search folder.
#[test]
fn search_folders_by_other_options() {
    let options = [
        "-iquote one -Itwo",
        "-isystem one -isystem two",
        "-idirafter one -idirafter two",
        "-iprefix ./ -iwithprefixbefore one -isystem two",
        "-iprefix ./ -iwithprefix one -idirafter two",
        "--include-directory one --include-directory two",
        "--include-directory=one -Itwo",
        "--include-directory-after=one -idirafter two",
        "--include-barrier -iquote one -Itwo",
        "--sysroot=. -I=/one -I=/two",
        "-isysroot . -I=/one -Itwo",
        "-I./one/../one/. -Itwo",
        "-Itwo -Ione -iquote one",
        "-Wp,-Ione -isystem two",
        "-Xpreprocessor -Ione -isystem two",
    ];
    for option in options {
        let source = if option.contains("-iquote") {
            QUOTED
        } else {
            ANGLED
        };
        let watched = Watched::new("option", &format!("{option} x.c"))
            .write("x.c", source)
            .write("two/p.h", "#define P 1\n")
            .folder("one");
        // Not every gcc takes every spelling.
        let mut command = watched.space.command("gcc");
        command
            .args(watched.args.split_whitespace())
            .args(["-o", "/dev/null"]);
        if command.output().expect("gcc runs").status.success() {
            watched.notices_somehow(|space| {
                space.write("one/p.h", "#define P 2\n");
            });
        }
    }
}

/// gcc looks into `include` below a folder of `-B`.
#[test]
fn headers_below_a_folder_of_programs() {
    Watched::new("b_include", "-Btools/ x.c")
        .write(
            "x.c",
            "#include <stddef.h>\n#ifndef P\n#define P 1\n#endif\nint z = P;\n",
        )
        .folder("tools/include")
        .notices_somehow(|space| {
            space.write("tools/include/stddef.h", "#define P 2\n");
        });
}

#[test]
fn headers_below_a_folder_of_programs_that_was_not_there() {
    Watched::new("b_include_new", "-Btools/ x.c")
        .write(
            "x.c",
            "#include <stddef.h>\n#ifndef P\n#define P 1\n#endif\nint z = P;\n",
        )
        .folder("tools")
        .notices_somehow(|space| {
            space.write("tools/include/stddef.h", "#define P 2\n");
        });
}

/// The header that gcc includes by itself, if there is one.
#[test]
fn the_header_that_nobody_includes() {
    let source = "#ifndef P\n#define P 1\n#endif\nint z = P;\n";
    for option in ["-Ione", "-isystem one"] {
        Watched::new("predef", &format!("{option} x.c"))
            .write("x.c", source)
            .folder("one")
            .notices_somehow(|space| {
                space.write("one/stdc-predef.h", "#define P 2\n");
            });
    }
}

#[test]
fn words_for_the_assembler_in_a_file() {
    Watched::new("as_words", "-Wa,@words x.c")
        .write("x.c", "int z;\n")
        .write("words", "--defsym P=1\n")
        .notices_somehow(|space| edit_unseen(space, "words", "P=1", "P=2"));
}

#[test]
fn a_configuration_file_of_clang() {
    for option in ["--config ./my.cfg", "--config my.cfg"] {
        let watched = Watched::new("clang_config", &format!("{option} x.c"))
            .with("clang")
            .write("x.c", "int z = P;\n")
            .write("my.cfg", "-DP=1\n");
        let mut command = watched.space.command("clang");
        command
            .args(watched.args.split_whitespace())
            .args(["-o", "/dev/null"]);
        if command.output().expect("clang runs").status.success() {
            watched.notices_somehow(|space| edit(space, "my.cfg", "P=1", "P=2"));
        }
    }
}

#[test]
fn a_file_system_overlay_of_clang() {
    let watched = Watched::new("overlay", "-ivfsoverlay map.yaml -Ivirtual x.c").with("clang");
    let base = watched.space.path("").display().to_string();
    let map = |header: &str| {
        format!(
            "{{ 'version': 0, 'roots': [ {{ 'name': '{base}virtual', 'type': 'directory', 'contents': [\n\
             {{ 'name': 'p.h', 'type': 'file', 'external-contents': '{base}{header}' }} ] }} ] }}\n"
        )
    };
    watched
        .write("x.c", ANGLED)
        .write("one.h", "#define P 1\n")
        .write("two.h", "#define P 2\n")
        .write("map.yaml", &map("one.h"))
        .notices_somehow(|space| {
            space.write("map.yaml", map("two.h"));
        });
}

/// A folder that is searched becomes readable, a header a file: no name appears.
#[test]
fn a_folder_in_the_place_of_a_header_that_becomes_a_header() {
    Watched::new("folder_header", "-Ione -Itwo x.c")
        .write("x.c", ANGLED)
        .write("two/p.h", "#define P 1\n")
        .folder("one/p.h")
        .notices_somehow(|space| {
            fs::remove_dir(space.path("one/p.h")).expect("it is empty");
            space.write("one/p.h", "#define P 2\n");
        });
}

/// Another file of an included name, later on the search path, is touched, and its folder changes: it was always there.
#[test]
fn a_touched_file_that_was_never_found() {
    let watched = Watched::new("rival", "-Ia -Ib x.c")
        .write("x.c", "#include \"p.h\"\nint z = P;\n")
        .write("a/p.h", "#define P 1\n")
        .write("b/p.h", "#define P 2\n");
    watched.space.settle();
    assert_eq!(watched.compile(), 1, "the first compile");
    watched.space.write("b/p.h", "#define P 3\n");
    watched.space.write("b/object", "");
    assert_eq!(watched.compile(), 0, "nothing is found instead");
    // One that is found instead is another matter.
    watched.space.write("p.h", "#define P 4\n");
    assert_eq!(watched.compile(), 1, "it is beside the source");
    watched.is_right();
}
