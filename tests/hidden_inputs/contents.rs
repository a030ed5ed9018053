//! Files that are read without being listed, and files whose change is hidden.

use std::fs;
use std::os::unix::fs::symlink;

use crate::space::TestSpace;
use crate::{Watched, edit, edit_unseen, or_say_so, set_times};

const BLOB: &str = ".data\nblob: .incbin \"data.bin\"\n";

#[test]
fn incbin_in_assembler() {
    Watched::new("incbin_s", "x.s")
        .write("x.s", BLOB)
        .write("data.bin", "one\n")
        .notices_somehow(|space| edit(space, "data.bin", "one", "two"));
}

#[test]
fn incbin_in_assembler_with_the_preprocessor() {
    Watched::new("incbin_big_s", "x.S")
        .write("x.S", BLOB)
        .write("data.bin", "one\n")
        .notices_somehow(|space| edit(space, "data.bin", "one", "two"));
}

#[test]
fn include_of_the_assembler() {
    Watched::new("include_s", "x.s")
        .write("x.s", ".include \"v.inc\"\n.data\n.long V\n")
        .write("v.inc", ".set V, 1\n")
        .notices_somehow(|space| edit(space, "v.inc", "1", "2"));
}

/// `.incbin` in inline assembler, spelled so that a search for the word may miss it.
#[test]
fn incbin_in_c() {
    let disguises = [
        ("plain", "__asm__(\".data\\n.incbin \\\"data.bin\\\"\");\n"),
        (
            "joined",
            "__asm__(\".data\\n\" \".in\" \"cbin \" \"\\\"data.bin\\\"\");\n",
        ),
        (
            "escaped",
            "__asm__(\".data\\n.\\x69ncbin \\\"data.bin\\\"\");\n",
        ),
        (
            "stringised",
            "#define S2(x) #x\n#define S(x) S2(x)\n#define IN(x) .inc##x\n__asm__(\".data\\n\" S(IN(bin)) \" \\\"data.bin\\\"\");\n",
        ),
        (
            "continued",
            "__asm__(\".data\\n.inc\\\nbin \\\"data.bin\\\"\");\n",
        ),
    ];
    for (name, source) in disguises {
        Watched::new(&format!("incbin_{name}"), "x.c")
            .write("x.c", source)
            .write("data.bin", "one\n")
            .notices_somehow(|space| edit(space, "data.bin", "one", "two"));
    }
}

#[test]
fn incbin_in_a_header() {
    Watched::new("incbin_header", "x.c")
        .write("x.c", "#include \"b.h\"\nBLOB\n")
        .write(
            "b.h",
            "#define BLOB __asm__(\".data\\n.incbin \\\"data.bin\\\"\");\n",
        )
        .write("data.bin", "one\n")
        .notices_somehow(|space| edit(space, "data.bin", "one", "two"));
}

#[test]
fn incbin_by_a_macro_of_the_command_line() {
    let source = "#define S2(x) #x\n#define S(x) S2(x)\n__asm__(\".data\\n.\" S(WORD) \" \\\"data.bin\\\"\");\n";
    Watched::new("incbin_option", "-DWORD=incbin x.c")
        .write("x.c", source)
        .write("data.bin", "one\n")
        .notices_somehow(|space| edit(space, "data.bin", "one", "two"));
}

#[test]
fn incbin_in_preprocessed_source() {
    Watched::new("incbin_i", "x.i")
        .write("x.i", "__asm__(\".data\\n.incbin \\\"data.bin\\\"\");\n")
        .write("data.bin", "one\n")
        .notices_somehow(|space| edit(space, "data.bin", "one", "two"));
}

#[test]
fn incbin_with_clang() {
    Watched::new("incbin_clang", "x.c")
        .with("clang")
        .write("x.c", "__asm__(\".data\\n.incbin \\\"data.bin\\\"\");\n")
        .write("data.bin", "one\n")
        .notices_somehow(|space| edit(space, "data.bin", "one", "two"));
}

/// `#embed`, with every compiler that knows it.
#[test]
fn embed() {
    let source = "const unsigned char z[] = {\n#embed \"data.bin\"\n};\n";
    let mut tried = 0;
    for compiler in ["gcc", "clang", "clang-19"] {
        let watched = Watched::new(&format!("embed_{compiler}"), "-std=c2x x.c")
            .with(compiler)
            .write("x.c", source)
            .write("data.bin", "one\n");
        let mut asked = watched.space.command(compiler);
        asked
            .current_dir(watched.space.path(""))
            .args(["-std=c2x", "-fsyntax-only", "x.c"]);
        if asked.output().is_ok_and(|o| o.status.success()) {
            tried += 1;
            watched.notices_somehow(|space| edit(space, "data.bin", "one", "two"));
        }
    }
    let lacking = "no compiler here knows `#embed`: gcc 15 and `clang-19` do";
    or_say_so("embed", tried > 0, lacking);
}

#[test]
fn forced_includes() {
    for option in ["-include", "-imacros"] {
        Watched::new("forced", &format!("{option} p.h x.c"))
            .write("x.c", "int z = P;\n")
            .write("p.h", "#define P 1\n")
            .notices(|space| edit(space, "p.h", "1", "2"));
    }
}

#[test]
fn a_response_file() {
    Watched::new("response", "@words x.c")
        .write("x.c", "int z = P;\n")
        .write("words", "-DP=1\n")
        .notices(|space| edit(space, "words", "1", "2"));
}

#[test]
fn size_and_time_as_before() {
    for name in ["x.c", "p.h"] {
        Watched::new("unseen", "x.c")
            .write("x.c", "#include \"p.h\"\nint z = P; int y = 1;\n")
            .write("p.h", "#define P 1\n")
            .notices(|space| edit_unseen(space, name, "1", "2"));
    }
}

#[test]
fn a_header_from_the_past() {
    let watched = Watched::new("past", "x.c")
        .write("x.c", "#include \"p.h\"\nint z = P;\n")
        .write("p.h", "#define P 1\n")
        .write("old.h", "#define P 2\n");
    let old = fs::File::open(watched.space.path("old.h")).expect("it is there");
    old.set_modified(std::time::UNIX_EPOCH)
        .expect("the file is ours");
    watched.notices(|space| {
        fs::rename(space.path("old.h"), space.path("p.h")).expect("the folder is ours");
    });
}

/// A rename changes no byte of a file and not its time either.
#[test]
fn a_header_replaced_by_one_of_the_same_size_and_time() {
    let watched = Watched::new("replaced", "x.c")
        .write("x.c", "#include \"p.h\"\nint z = P;\n")
        .write("p.h", "#define P 1\n")
        .write("new.h", "#define P 2\n");
    let like = watched.space.path("p.h").metadata().expect("it is there");
    set_times(&watched.space.path("new.h"), &like);
    watched.notices(|space| {
        fs::rename(space.path("new.h"), space.path("p.h")).expect("the folder is ours");
    });
}

#[test]
fn two_headers_that_change_places() {
    Watched::new("places", "x.c")
        .write(
            "x.c",
            "#include \"p.h\"\n#include \"q.h\"\nint z = P * 2 + Q;\n",
        )
        .write(
            "p.h",
            "#undef P\n#define P 1\n#ifndef Q\n#define Q 5\n#endif\n",
        )
        .write(
            "q.h",
            "#undef Q\n#define Q 2\n#ifndef P\n#define P 5\n#endif\n",
        )
        .notices(|space| {
            for (from, to) in [("p.h", "t.h"), ("q.h", "p.h"), ("t.h", "q.h")] {
                fs::rename(space.path(from), space.path(to)).expect("the folder is ours");
            }
            edit_unseen(space, "p.h", "Q 2", "Q 3");
        });
}

#[test]
fn a_link_to_a_header_that_is_switched() {
    let watched = Watched::new("switched", "x.c")
        .write("x.c", "#include \"p.h\"\nint z = P;\n")
        .write("one.h", "#define P 1\n")
        .write("two.h", "#define P 2\n");
    symlink("one.h", watched.space.path("p.h")).expect("the name is free");
    watched.notices(|space| {
        symlink("two.h", space.path("next")).expect("the name is free");
        fs::rename(space.path("next"), space.path("p.h")).expect("the folder is ours");
    });
}

#[test]
fn what_a_link_to_a_header_names() {
    let watched = Watched::new("linked", "x.c")
        .write("x.c", "#include \"p.h\"\nint z = P;\n")
        .write("one.h", "#define P 1\n");
    symlink("one.h", watched.space.path("p.h")).expect("the name is free");
    watched.notices(|space| edit_unseen(space, "one.h", "1", "2"));
}

/// gcc takes a precompiled header without naming it, or anything behind it, in the depfile.
#[test]
fn a_precompiled_header_that_appears() {
    Watched::new("pch_appears", "x.c")
        .write("x.c", "#include \"p.h\"\nint z = P;\n")
        .write("p.h", "#define P 1\n")
        .write("other/p.h", "#define P 2\n")
        .notices(|space| {
            space.gcc("-x c-header other/p.h -o p.h.gch").quiet();
        });
}

#[test]
fn a_precompiled_header_that_changes() {
    let watched = Watched::new("pch_changes", "x.c")
        .write("x.c", "#include \"p.h\"\nint z = P;\n")
        .write("p.h", "#define P 1\n")
        .write("other/p.h", "#define P 2\n");
    watched.space.gcc("-x c-header p.h -o p.h.gch").quiet();
    watched.never_skips_and_notices(|space| {
        space.gcc("-x c-header other/p.h -o p.h.gch").quiet();
    });
}

/// gcc doesn't notice that a precompiled header is out of date; the object must still be what gcc makes.
#[test]
fn a_precompiled_header_that_goes_out_of_date_and_away() {
    let watched = Watched::new("pch_stale", "x.c")
        .write("x.c", "#include \"p.h\"\nint z = P;\n")
        .write("p.h", "#include \"inner.h\"\n")
        .write("inner.h", "#define P 1\n");
    watched.space.gcc("-x c-header p.h -o p.h.gch").quiet();
    watched.space.settle();
    watched.compile();
    edit(&watched.space, "inner.h", "1", "2");
    watched.compile();
    watched.is_right();
    fs::remove_file(watched.space.path("p.h.gch")).expect("it is there");
    watched.compile();
    watched.is_right();
}

#[test]
fn a_precompiled_header_in_a_folder_of_them() {
    let watched = Watched::new("pch_folder", "-include pch/p.h x.c")
        .write("x.c", "int z = P;\n")
        .write("pch/p.h", "#define P 1\n")
        .write("other/p.h", "#define P 2\n")
        .folder("pch/p.h.gch");
    watched.notices_somehow(|space| {
        space.gcc("-x c-header other/p.h -o pch/p.h.gch/c").quiet();
    });
}

#[test]
fn a_precompiled_header_of_clang() {
    let watched = Watched::new("pch_clang", "-include-pch p.pch x.c")
        .with("clang")
        .write("x.c", "int z = P;\n")
        .write("p.h", "#define P 1\n")
        .write("q.h", "#define P 2\n");
    let precompile = |header: &str| {
        let mut command = watched.space.command("clang");
        command.args(["-x", "c-header", header, "-o", "p.pch"]);
        assert!(command.status().expect("clang runs").success());
    };
    precompile("p.h");
    watched.notices_somehow(|_| precompile("q.h"));
}

#[test]
fn a_module_file_of_gcc() {
    let watched = Watched::new("module_gcc", "-std=c++20 -fmodules-ts x.cpp")
        .write("x.cpp", "import m;\nint use() { return base(); }\n")
        .write(
            "m.cpp",
            "export module m;\nexport constexpr int base() { return 1; }\n",
        );
    let module = |space: &TestSpace| {
        let mut command = space.command("g++");
        command.args(["-std=c++20", "-fmodules-ts", "-c", "m.cpp", "-o", "m.o"]);
        assert!(command.status().expect("g++ runs").success());
    };
    module(&watched.space);
    watched.never_skips_and_notices(|space| {
        edit(space, "m.cpp", "return 1", "return 2");
        edit(space, "m.cpp", "constexpr int", "inline int");
        module(space);
    });
}

#[test]
fn a_module_file_of_clang() {
    let watched = Watched::new("module_clang", "-std=c++20 -O1 -fmodule-file=m.pcm x.cpp")
        .with("clang")
        .write("x.cpp", "import m;\nint use() { return base(); }\n")
        .write(
            "m.cppm",
            "export module m;\nexport inline int base() { return 1; }\n",
        );
    let module = |space: &TestSpace| {
        let mut command = space.command("clang++");
        command.args(["-std=c++20", "--precompile", "m.cppm", "-o", "m.pcm"]);
        assert!(command.status().expect("clang++ runs").success());
    };
    module(&watched.space);
    watched.never_skips_and_notices(|space| {
        edit(space, "m.cppm", "return 1", "return 2");
        module(space);
    });
}

/// A plugin that writes a line of its own into the assembler's input.
#[test]
fn a_plugin() {
    let plugin = |note: &str| {
        format!(
            "#include <stdio.h>\nint plugin_is_GPL_compatible;\nextern FILE *asm_out_file;\n\
             extern int get_named_event_id(const char *, int);\n\
             extern void register_callback(const char *, int, void (*)(void *, void *), void *);\n\
             static void at_end(void *a, void *b) {{ fprintf(asm_out_file, \".section .note.p\\n.ascii \\\"{note}\\\"\\n\"); }}\n\
             int plugin_init(void *a, void *b) {{ register_callback(\"p\", get_named_event_id(\"PLUGIN_FINISH_UNIT\", 0), at_end, 0); return 0; }}\n"
        )
    };
    let build = |space: &TestSpace, note: &str| {
        space.write("p.c", plugin(note));
        space.gcc("-shared -fPIC p.c -o new.so").success();
        fs::rename(space.path("new.so"), space.path("p.so")).expect("the folder is ours");
    };
    let watched = Watched::new("plugin", "-fplugin=./p.so x.c").write("x.c", "int z;\n");
    build(&watched.space, "one");
    watched.never_skips_and_notices(|space| build(space, "two"));
}

#[test]
fn a_specs_file() {
    Watched::new("specs", "-specs=my.specs x.c")
        .write("x.c", "int z = P;\n")
        .write("my.specs", "*cc1_options:\n+ -DP=1\n\n")
        .never_skips_and_notices(|space| edit(space, "my.specs", "P=1", "P=2"));
}

/// gcc reads a file called `specs` in a folder of `-B` without being told.
#[test]
fn a_specs_file_that_appears_in_a_folder_of_programs() {
    Watched::new("specs_appear", "-Btools/ x.c")
        .write("x.c", "#ifndef P\n#define P 1\n#endif\nint z = P;\n")
        .folder("tools")
        .notices_somehow(|space| {
            space.write("tools/specs", "*cc1_options:\n+ -DP=2\n\n");
        });
}

#[test]
fn a_list_that_a_sanitizer_ignores() {
    Watched::new(
        "ignorelist",
        "-O1 -fsanitize=address -fsanitize-ignorelist=ignore.txt x.c",
    )
    .with("clang")
    .write("x.c", "int z(int *p) { return *p; }\n")
    .write("ignore.txt", "fun:nothing\n")
    .notices_somehow(|space| {
        space.write("ignore.txt", "fun:z\n");
    });
}

/// The counts of a run, which gcc looks for beside the object.
#[test]
fn a_profile() {
    let source = "__attribute__((noinline)) int hot(int n) { int t = 0; for (int i = 0; i < n; i++) t += i % 7 ? i : -i; return t; }\n\
                  __attribute__((noinline)) int cold(int n) { int t = 1; for (int i = 1; i < n; i++) t *= i; return t; }\n\
                  #ifdef MAIN\nint main(int n, char **a) { for (int i = 0; i < 1000; i++) n += MAIN(50); return n == 0; }\n#endif\n";
    let profile = |space: &TestSpace, which: &str| {
        // The profile's name comes from the object's; main is left out by the checksum of each function.
        let args = format!("-O2 -DMAIN={which} -fprofile-generate x.c -o prog");
        space.gcc(&args).success();
        assert!(
            space
                .command(space.path("prog"))
                .status()
                .expect("it runs")
                .success()
        );
        fs::rename(space.path("prog-x.gcda"), space.path("x.gcda")).expect("the run wrote it");
    };
    let watched =
        Watched::new("profile", "-O2 -fprofile-use -Wno-missing-profile x.c").write("x.c", source);
    profile(&watched.space, "hot");
    watched.never_skips_and_notices(|space| profile(space, "cold"));
}

#[test]
fn a_profile_of_clang() {
    let sample = |head: u32| {
        format!(
            "z:{}:{head}\n 1: {head}\n 2: {}\n",
            head * 1000,
            1000 - head
        )
    };
    Watched::new(
        "profile_clang",
        "-O2 -gline-tables-only -fprofile-sample-use=p.prof x.c",
    )
    .with("clang")
    .write(
        "x.c",
        "int f(int); int z(int n) {\n if (n > 3) n = f(n);\n return n; }\n",
    )
    .write("p.prof", &sample(10))
    .never_skips_and_notices(|space| {
        space.write("p.prof", sample(900));
    });
}

/// What is known of a header from another object's compile is known of what it held then.
#[test]
fn a_header_that_changed_since_another_object_included_it() {
    let x = Watched::new("known_header", "x.c")
        .write("x.c", "#include \"v.h\"\nint x(void) { return V; }\n")
        .write("y.c", "#include \"v.h\"\nint y(void) { return V; }\n")
        .write("v.h", "#define V 1\n");
    x.space.settle();
    x.space.cc("-c y.c -o y.o").success();
    edit_unseen(&x.space, "v.h", "1", "2");
    x.space.settle();
    assert_eq!(x.compile(), 1);
    x.is_right();
    edit_unseen(&x.space, "v.h", "2", "1");
    assert_eq!(x.compile(), 1, "the change isn't noticed");
    x.is_right();
}

#[test]
fn a_header_that_tells_the_time_since_another_object_included_it() {
    let x = Watched::new("known_clock", "x.c")
        .write("x.c", "#include \"v.h\"\nconst char *x = V;\n")
        .write("y.c", "#include \"v.h\"\nconst char *y = V;\n")
        .write("v.h", "#define V \"sixsix\"\n");
    x.space.settle();
    x.space.cc("-c y.c -o y.o").success();
    edit_unseen(&x.space, "v.h", "\"sixsix\"", "__TIME__");
    x.space.settle();
    assert_eq!(x.compile(), 1);
    x.space.settle();
    assert_eq!(x.compile(), 1, "the time of a compile is skipped");
}
