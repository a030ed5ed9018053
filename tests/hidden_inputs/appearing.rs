//! Files that were not there: a header that newly stands earlier on the search path, one that `__has_include` asked for in vain.

use std::fs;
use std::os::unix::fs::symlink;

use crate::Watched;

const QUOTED: &str = "#include \"p.h\"\nint z = P;\n";
const ANGLED: &str = "#include <p.h>\nint z = P;\n";

#[test]
fn a_header_earlier_on_the_path_in_quotes() {
    Watched::new("earlier_quotes", "-Ione -Itwo x.c")
        .write("x.c", QUOTED)
        .write("two/p.h", "#define P 1\n")
        .folder("one")
        .notices(|space| {
            space.write("one/p.h", "#define P 2\n");
        });
}

#[test]
fn a_header_beside_the_source() {
    Watched::new("beside_the_source", "-Itwo x.c")
        .write("x.c", QUOTED)
        .write("two/p.h", "#define P 1\n")
        .notices(|space| {
            space.write("p.h", "#define P 2\n");
        });
}

#[test]
fn a_header_beside_the_header_that_includes_it() {
    Watched::new("beside_the_header", "-Ia -Ib x.c")
        .write("x.c", "#include \"q.h\"\nint z = P;\n")
        .write("a/q.h", "#include \"p.h\"\n")
        .write("b/p.h", "#define P 1\n")
        .notices(|space| {
            space.write("a/p.h", "#define P 2\n");
        });
}

#[test]
fn a_header_in_the_quote_folder() {
    Watched::new("quote_folder", "-iquote one -isystem two x.c")
        .write("x.c", QUOTED)
        .write("two/p.h", "#define P 1\n")
        .folder("one")
        .notices(|space| {
            space.write("one/p.h", "#define P 2\n");
        });
}

#[test]
fn a_header_earlier_on_the_path_in_angles() {
    Watched::new("earlier_angles", "-Ione -Itwo x.c")
        .write("x.c", ANGLED)
        .write("two/p.h", "#define P 1\n")
        .folder("one")
        .notices(|space| {
            space.write("one/p.h", "#define P 2\n");
        });
}

#[test]
fn a_header_in_a_folder_that_was_not_there() {
    Watched::new("new_folder", "-Ione -Itwo x.c")
        .write("x.c", ANGLED)
        .write("two/p.h", "#define P 1\n")
        .notices(|space| {
            space.write("one/p.h", "#define P 2\n");
        });
}

#[test]
fn a_header_in_a_new_sub_folder() {
    Watched::new("new_sub_folder", "-Ione -Itwo x.c")
        .write("x.c", "#include <s/p.h>\nint z = P;\n")
        .write("two/s/p.h", "#define P 1\n")
        .folder("one")
        .notices(|space| {
            space.write("one/s/p.h", "#define P 2\n");
        });
}

#[test]
fn a_header_in_a_sub_folder_two_levels_down() {
    Watched::new("deep_sub_folder", "-Ione -Itwo x.c")
        .write("x.c", "#include <s/t/p.h>\nint z = P;\n")
        .write("two/s/t/p.h", "#define P 1\n")
        .folder("one/s")
        .notices(|space| {
            space.write("one/s/t/p.h", "#define P 2\n");
        });
}

#[test]
fn a_header_that_shadows_one_of_the_system() {
    Watched::new("shadow_system", "-Ione x.c")
        .write(
            "x.c",
            "#include <stddef.h>\n#ifndef P\n#define P 1\n#endif\nint z = P;\n",
        )
        .folder("one")
        .notices(|space| {
            space.write("one/stddef.h", "#define P 2\n");
        });
}

#[test]
fn a_header_that_shadows_one_that_a_system_header_includes() {
    Watched::new("shadow_inner", "-Ione x.c")
        .write(
            "x.c",
            "#include <stdio.h>\n#ifndef P\n#define P 1\n#endif\nint z = P;\n",
        )
        .folder("one")
        .notices(|space| {
            space.write(
                "one/features.h",
                "#define P 2\n#include_next <features.h>\n",
            );
        });
}

#[test]
fn a_header_that_include_next_finds_sooner() {
    Watched::new("include_next", "-Ione -Itwo -Ithree x.c")
        .write("x.c", ANGLED)
        .write("one/p.h", "#include_next <p.h>\n")
        .write("three/p.h", "#define P 1\n")
        .folder("two")
        .notices(|space| {
            space.write("two/p.h", "#define P 2\n");
        });
}

#[test]
fn a_header_in_a_folder_of_cpath() {
    Watched::new("cpath_folder", "x.c")
        .variable("CPATH", "one:two")
        .write("x.c", ANGLED)
        .write("two/p.h", "#define P 1\n")
        .folder("one")
        .notices(|space| {
            space.write("one/p.h", "#define P 2\n");
        });
}

#[test]
fn a_header_in_the_working_directory_by_an_empty_element_of_cpath() {
    Watched::new("cpath_empty", "src/x.c")
        .variable("C_INCLUDE_PATH", ":two")
        .write("src/x.c", ANGLED)
        .write("two/p.h", "#define P 1\n")
        .notices(|space| {
            space.write("p.h", "#define P 2\n");
        });
}

#[test]
fn a_forced_include_found_sooner() {
    Watched::new("forced_sooner", "-Ione -include p.h x.c")
        .write("x.c", "int z = P;\n")
        .write("one/p.h", "#define P 1\n")
        .notices(|space| {
            space.write("p.h", "#define P 2\n");
        });
}

#[test]
fn a_header_that_goes_so_that_a_later_one_is_found() {
    Watched::new("goes", "-Ione -Itwo x.c")
        .write("x.c", ANGLED)
        .write("one/p.h", "#define P 1\n")
        .write("two/p.h", "#define P 2\n")
        .notices(|space| {
            fs::remove_file(space.path("one/p.h")).expect("it is there");
        });
}

#[test]
fn a_search_folder_that_becomes_a_link() {
    Watched::new("folder_link", "-Ione x.c")
        .write("x.c", ANGLED)
        .write("one/p.h", "#define P 1\n")
        .write("two/p.h", "#define P 2\n")
        .notices(|space| {
            fs::rename(space.path("one"), space.path("old")).expect("it is there");
            symlink("two", space.path("one")).expect("the name is free");
        });
}

#[test]
fn a_link_to_a_search_folder_that_is_switched() {
    let watched = Watched::new("folder_switched", "-Icurrent x.c")
        .write("x.c", ANGLED)
        .write("one/p.h", "#define P 1\n")
        .write("two/p.h", "#define P 2\n");
    symlink("one", watched.space.path("current")).expect("the name is free");
    watched.notices(|space| {
        symlink("two", space.path("next")).expect("the name is free");
        fs::rename(space.path("next"), space.path("current")).expect("the folder is ours");
    });
}

/// `__has_include` in all its disguises: the file that it asked for in vain appears.
#[test]
fn has_include_of_a_file_that_appears() {
    let disguises = [
        ("quotes", "#if __has_include(\"later.h\")"),
        ("angles", "#if __has_include(<later.h>)"),
        ("blank", "#if __has_include ( \"later.h\" )"),
        (
            "macro",
            "#define WHERE \"later.h\"\n#if __has_include(WHERE)",
        ),
        (
            "function",
            "#define HAVE(x) __has_include(x)\n#if HAVE(\"later.h\")",
        ),
        (
            "pasted",
            "#define HAVE2(x, y) x##y\n#define HAVE HAVE2(__has_, include)\n#if HAVE(\"later.h\")",
        ),
        ("continued", "#if __has_\\\ninclude(\"later.h\")"),
        ("elif", "#if 0\n#elif __has_include(\"later.h\")"),
        ("next", "#if __has_include_next(<later.h>)"),
    ];
    for (name, condition) in disguises {
        Watched::new(&format!("has_include_{name}"), "-Ione x.c")
            .write(
                "x.c",
                &format!("{condition}\n#define P 2\n#else\n#define P 1\n#endif\nint z = P;\n"),
            )
            .folder("one")
            .notices_somehow(|space| {
                space.write("one/later.h", "");
            });
    }
}

#[test]
fn has_include_in_a_header() {
    Watched::new("has_include_header", "-Ione x.c")
        .write("x.c", QUOTED)
        .write(
            "p.h",
            "#if __has_include(<later.h>)\n#define P 2\n#else\n#define P 1\n#endif\n",
        )
        .folder("one")
        .notices_somehow(|space| {
            space.write("one/later.h", "");
        });
}

#[test]
fn has_include_by_a_macro_of_the_command_line() {
    Watched::new(
        "has_include_option",
        "-Ione -DHAVE(x)=__has_include(x) -DWHERE=<later.h> x.c",
    )
    .write(
        "x.c",
        "#if HAVE(WHERE)\n#define P 2\n#else\n#define P 1\n#endif\nint z = P;\n",
    )
    .folder("one")
    .notices_somehow(|space| {
        space.write("one/later.h", "");
    });
}

#[test]
fn has_include_of_a_file_that_goes() {
    Watched::new("has_include_goes", "x.c")
        .write("here.h", "")
        .write(
            "x.c",
            "#if __has_include(\"here.h\")\n#define P 2\n#else\n#define P 1\n#endif\nint z = P;\n",
        )
        .notices_somehow(|space| {
            fs::remove_file(space.path("here.h")).expect("it is there");
        });
}

#[test]
fn has_include_with_clang() {
    Watched::new("has_include_clang", "-Ione x.c")
        .with("clang")
        .write(
            "x.c",
            "#if __has_include(<later.h>)\n#define P 2\n#else\n#define P 1\n#endif\nint z = P;\n",
        )
        .folder("one")
        .notices_somehow(|space| {
            space.write("one/later.h", "");
        });
}

#[test]
fn a_header_earlier_on_the_path_with_clang() {
    Watched::new("earlier_clang", "-Ione -Itwo x.c")
        .with("clang")
        .write("x.c", ANGLED)
        .write("two/p.h", "#define P 1\n")
        .folder("one")
        .notices(|space| {
            space.write("one/p.h", "#define P 2\n");
        });
}

/// What appears elsewhere in a search folder makes no difference.
#[test]
fn other_files_that_appear_are_no_reason_to_compile() {
    Watched::new("other_files", "-Ione -Itwo -I. x.c")
        .write("x.c", QUOTED)
        .write("two/p.h", "#define P 1\n")
        .folder("one")
        .skips_after(|space| {
            space.write("one/q.h", "#define P 2\n");
            space.write("other.o", "");
            space.write("one/sub/p.h", "#define P 2\n");
        });
}
