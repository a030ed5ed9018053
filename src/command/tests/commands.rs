//! What kind of command a line is, and the names in it.

use super::*;

#[test]
fn a_setuptools_compile() {
    let line = "-Wsign-compare -DNDEBUG -g -fwrapv -O3 -Wall -fPIC -DA=1 -Isrc -I/usr/include/python3.11 \
                -c src/m.c -o build/temp/src/m.o -O1";
    for dialect in [Gcc, Clang] {
        let compile = compile(dialect, line);
        assert_eq!(compile.source_path(), Path::new("src/m.c"));
        assert_eq!(compile.output, Path::new("build/temp/src/m.o"));
        assert_eq!(compile.output_words, Some(12..14));
        assert_eq!(
            (compile.stage, compile.language),
            (Stage::Object, Language::C)
        );
        assert_eq!(compile.reuse, Ok(()));
        assert_eq!(compile.placement, Placement::Staged);
        assert!(compile.depfile_allowed && compile.debug && !compile.lto && !compile.native);
        assert_eq!(compile.search.len(), 2);
        assert_eq!(compile.append_at, 15);
    }
}

#[test]
fn modes() {
    check(
        BOTH,
        &[
            ("-c x.c", "object x.o from C, staged"),
            ("x.c -c", "object x.o from C, staged"),
            ("-S x.c", "assembly x.s from C, staged"),
            ("-c -S x.c", "assembly x.s from C, staged"),
            ("-S -c x.c", "assembly x.s from C, staged"),
            ("--compile x.c", "object x.o from C, staged"),
            ("--assemble x.c", "assembly x.s from C, staged"),
            ("x.c", "link a.out with sources, staged"),
            ("x.o", "link a.out, staged"),
            (
                "-E -c x.c",
                "as written: `-E` is run as written: it stops after the preprocessor",
            ),
            (
                "-S --preprocess x.c",
                "as written: `--preprocess` is run as written: it stops after the preprocessor",
            ),
            (
                "-c -MM x.c -o x.o",
                "as written: `-MM` is run as written: it writes a dependency rule in place of an object",
            ),
            (
                "-M x.c",
                "as written: `-M` is run as written: it writes a dependency rule in place of an object",
            ),
            (
                "-MD -MG -c x.c",
                "as written: `-MG` is run as written: it writes a dependency rule in place of an object",
            ),
            (
                "-fsyntax-only -c x.c",
                "as written: `-fsyntax-only` is run as written: it makes no object",
            ),
            (
                "-### -c x.c",
                "as written: `-###` is run as written: it asks the compiler for information",
            ),
            (
                "--version",
                "as written: `--version` is run as written: it asks the compiler for information",
            ),
            (
                "-print-prog-name=as",
                "as written: `-print-prog-name=as` is run as written: it asks the compiler for information",
            ),
            (
                "-dumpmachine -c x.c",
                "as written: `-dumpmachine` is run as written: it asks the compiler for information",
            ),
            ("", "as written: there is nothing to compile or link"),
            (
                "-O2 -Wl,-z,now",
                "as written: there is nothing to compile or link",
            ),
            ("-c", "as written: there is no source to compile"),
            ("-c x.o", "as written: there is no source to compile"),
            (
                "-S x.s",
                "as written: assembler is not compiled to assembler",
            ),
            (
                "-S x.S",
                "as written: assembler is not compiled to assembler",
            ),
            (
                "-c x.c y.c",
                "as written: several sources are compiled by one command",
            ),
            (
                "-c x.c x.c",
                "as written: several sources are compiled by one command",
            ),
            (
                "-c x.c y.o",
                "as written: `y.o` is given to a compile but is no source",
            ),
            (
                "-c x.c -lm -shared -Wl,-z,now -L.",
                "object x.o from C, staged",
            ),
            (
                "-c x.f90",
                "as written: `x.f90` is in a language that is not guarded",
            ),
            (
                "-c -x cuda x.c",
                "as written: `x.c` is in a language that is not guarded",
            ),
        ],
    );
}

#[test]
fn what_is_not_understood_runs_as_written() {
    check(
        BOTH,
        &[
            (
                "-c x.c --wibble",
                "as written: `--wibble` is not a known option",
            ),
            (
                "-c x.c -wibble",
                "as written: `-wibble` is not a known option",
            ),
            (
                "-c x.c --verb",
                "as written: `--verb` is not a known option",
            ),
            (
                "-c x.c --write-dep",
                "as written: `--write-dep` is not a known option",
            ),
            ("-c x.c -o", "as written: `-o` lacks its value"),
            ("-c x.c -I", "as written: `-I` lacks its value"),
            ("-c x.c ''", "as written: a word of the command is empty"),
            (
                "-c x.c -o ''",
                "as written: `` is not the name of an output",
            ),
            (
                "-c x.c -o dir/",
                "as written: `dir/` is not the name of an output",
            ),
            ("-c x.c -o -", "as written: `-` is not a regular file"),
            (
                "-c x.c -o /dev/null",
                "as written: `/dev/null` is not a regular file",
            ),
            (
                "x.o -o /dev/null",
                "as written: `/dev/null` is not a regular file",
            ),
            (
                "-c /dev/stdin -o x.o",
                "as written: `/dev/stdin` is not a regular file",
            ),
            (
                "-c -x c /dev/fd/63",
                "as written: `/dev/fd/63` is not a regular file",
            ),
            (
                "-x c -c -",
                "as written: the source comes from standard input",
            ),
            ("-c x.c -o x.c", "as written: `x.c` is input and output"),
            ("-c ./x.c -o x.c", "as written: `./x.c` is input and output"),
            ("x.o -o x.o", "as written: `x.o` is input and output"),
            (
                "-c x.c -MF x.d",
                "as written: `-MF` stands without an option that writes dependencies",
            ),
            (
                "-c x.c -MT x",
                "as written: `-MT` stands without an option that writes dependencies",
            ),
            (
                "-c @x.c",
                "as written: the response file `@x.c` does not exist",
            ),
        ],
    );
    check(
        &[Gcc],
        &[
            ("-c -- x.c", "as written: `--` is not a known option"),
            (
                "-c x.c -target x",
                "as written: `-target` is not a known option",
            ),
            (
                "-c x.c -Xclang -foo",
                "as written: `-Xclang` is not a known option",
            ),
            ("-c x.c --dep", "as written: `--dep` is not a known option"),
        ],
    );
    check(
        &[Clang],
        &[
            (
                "-c x.c -emit-llvm",
                "as written: `-emit-llvm` is run as written: it asks for something else than an object",
            ),
            (
                "--analyze x.c",
                "as written: `--analyze` is run as written: it asks for something else than an object",
            ),
            (
                "-cc1 x.c",
                "as written: `-cc1` is run as written: it belongs to the inside of the compiler",
            ),
            (
                "-cc1as x.s",
                "as written: `-cc1as` is run as written: it belongs to the inside of the compiler",
            ),
            (
                "--driver-mode=cl -c x.c",
                "as written: `--driver-mode=cl` is run as written: it asks for another grammar",
            ),
            (
                "-c x.c --precompile",
                "as written: `--precompile` is run as written: it asks for something else than an object",
            ),
            ("-c x.c --driver-mode=g++", "object x.o from Cxx, staged"),
            ("-c x.h", "as written: the output is a precompiled header"),
        ],
    );
}

#[test]
fn joined_options_take_what_follows() {
    for (line, output) in [
        ("-c x.c -objects", "bjects"),
        ("-c x.c -output", "utput"),
        ("-c x.c -o-c", "-c"),
        ("-c x.c -o -c", "-c"),
        ("-c x.c --output=y.o", "y.o"),
        ("-c x.c --output y.o", "y.o"),
    ] {
        assert_eq!(compile(Gcc, line).output, Path::new(output), "{line}");
    }
    assert_eq!(compile(Gcc, "-c x.c -embed-dir").source, 1);
    let compile = compile(
        Gcc,
        "-c -I -S x.c -Dfoo -D bar -isystemx -include y.h -includez.h",
    );
    assert_eq!(compile.stage, Stage::Object);
    assert_eq!(
        compile.search[0],
        SearchDir {
            kind: SearchKind::Normal,
            dir: "-S".into(),
            words: 1..3,
        }
    );
    assert_eq!(
        compile.search[1],
        SearchDir {
            kind: SearchKind::System,
            dir: "x".into(),
            words: 7..8,
        }
    );
    assert_eq!(compile.forced_includes, ["y.h", "z.h"]);
}

#[test]
fn languages() {
    use Language::*;
    for (driver, dialect, line, language) in [
        (Driver::C, Gcc, "-c x.c", C),
        (Driver::Cxx, Gcc, "-c x.c", Cxx),
        (Driver::Cxx, Clang, "-c x.c", Cxx),
        (Driver::C, Gcc, "-c x.C", Cxx),
        (Driver::C, Gcc, "-c x.c++", Cxx),
        (Driver::C, Gcc, "-c x.i", CPreprocessed),
        (Driver::Cxx, Gcc, "-c x.i", CxxPreprocessed),
        (Driver::C, Gcc, "-c x.ii", CxxPreprocessed),
        (Driver::C, Gcc, "-c x.s", Asm),
        (Driver::C, Gcc, "-c x.S", AsmCpp),
        (Driver::C, Gcc, "-c x.sx", AsmCpp),
        (Driver::C, Clang, "-c x.asm", Asm),
        (Driver::C, Gcc, "-c x.m", ObjC),
        (Driver::C, Gcc, "-c x.mm", ObjCxx),
        (Driver::C, Gcc, "-c -x c++ x.c", Cxx),
        (Driver::C, Gcc, "-c -xc x.cc", C),
        (Driver::C, Gcc, "-c --language=assembler x", Asm),
        (Driver::C, Gcc, "-c -x c++ -x none x.c", C),
        (Driver::C, Gcc, "-c x.c -x c++", C),
        (Driver::Cxx, Gcc, "-c -x none x.c", C),
        (Driver::Cxx, Clang, "-c -x none x.c", Cxx),
        (Driver::C, Gcc, "-c x.h -o x.gch", CHeader),
        (Driver::Cxx, Gcc, "-c x.h -o x.gch", CxxHeader),
    ] {
        let Verdict::Compile(compile) = parse_with(&words(line), driver, dialect, &no_files) else {
            panic!("{line}")
        };
        assert_eq!(compile.language, language, "{driver:?} {dialect:?} {line}");
        assert_eq!(
            compile.depfile_allowed,
            language.runs_preprocessor(),
            "{line}"
        );
    }
    for line in ["-c x.sx", "-c x.tcc", "-c x.hp"] {
        assert_eq!(
            verdict(Clang, line),
            Verdict::PassThrough(Reason::NoSource),
            "{line}"
        );
    }
    for line in ["-c x.txt", "-c x", "-c .c", "-c x.inc", "-c x.o"] {
        assert_eq!(
            verdict(Gcc, line),
            Verdict::PassThrough(Reason::NoSource),
            "{line}"
        );
    }
}

#[test]
fn outputs_without_o() {
    for (dialect, line, output, dep) in [
        (Gcc, "-c -MD dir/x.c", "x.o", "x.d"),
        (Gcc, "-S -MD dir/x.y.c", "x.y.s", "x.y.d"),
        (Gcc, "-c -MD -x c dir.d/x", "x.o", "x.d"),
        (Gcc, "-c -MD -x c .c", ".c.o", ".c.d"),
        (Clang, "-c -MD .c", ".o", ".d"),
        (Gcc, "-c -MD x.c -o dir/x.o", "dir/x.o", "dir/x.d"),
        (Gcc, "-c -MD x.c -o dir.d/x", "dir.d/x", "dir.d/x.d"),
        (Gcc, "-c -MD x.c -o d/.foo", "d/.foo", "d/.d"),
        (
            Gcc,
            "-c -MD x.c -o d/foo.bar.o",
            "d/foo.bar.o",
            "d/foo.bar.d",
        ),
        (Gcc, "-MD dir/x.h", "dir/x.h.gch", "x.d"),
    ] {
        let compile = compile(dialect, line);
        assert_eq!(compile.output, Path::new(output), "{line}");
        assert_eq!(compile.depfile.unwrap().file, Path::new(dep), "{line}");
    }
}

#[test]
fn precompiled_headers() {
    check(
        &[Gcc],
        &[
            ("x.h", "object x.h.gch from CHeader, staged, never skipped"),
            (
                "-c dir/x.hpp",
                "object dir/x.hpp.gch from CxxHeader, staged, never skipped",
            ),
            (
                "-x c-header -include p.h -o p.h.gch -c p.h.c",
                "object p.h.gch from CHeader, staged, never skipped",
            ),
            (
                "-S x.h",
                "as written: assembler is not compiled to assembler",
            ),
            (
                "x.h y.h",
                "as written: several sources are compiled by one command",
            ),
            (
                "x.h y.o",
                "as written: `y.o` is given to a compile but is no source",
            ),
            ("x.h -lm", "as written: the output is a precompiled header"),
            (
                "x.h -Wl,-z,now",
                "as written: the output is a precompiled header",
            ),
        ],
    );
    check(
        &[Clang],
        &[(
            "x.h -o x.pch",
            "object x.pch from CHeader, in place, never skipped",
        )],
    );
}

#[test]
fn words_after_a_double_dash_are_inputs() {
    let compile = compile(Clang, "-c -O2 -- -o.c");
    assert_eq!((compile.source, compile.append_at), (3, 2));
    assert_eq!(compile.output, Path::new("-o.o"));
}

#[test]
fn response_files_are_read_through_the_reader() {
    let read = |path: &Path| match path.to_str() {
        Some("args") => Ok(b"-O2 -o 'x y.o'".to_vec()),
        Some("dir") => Err(io::ErrorKind::IsADirectory.into()),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    let Verdict::Compile(compile) = parse_with(&words("-c x.c @args"), Driver::C, Gcc, &read)
    else {
        panic!()
    };
    assert_eq!(compile.output, Path::new("x y.o"));
    assert_eq!(compile.output_words, Some(3..5));
    assert!(compile.words.expanded());
    let refused = parse_with(&words("-c x.c @dir"), Driver::C, Gcc, &read);
    assert_eq!(
        brief(&refused),
        "as written: the response file `@dir` cannot be read"
    );
}

#[test]
fn reasons_show_odd_bytes() {
    use std::os::unix::ffi::OsStringExt;
    let odd = OsString::from_vec(b"-\xffx\ny".to_vec());
    assert_eq!(
        Reason::UnknownOption(odd).to_string(),
        "`-\\xffx\\ny` is not a known option"
    );
    assert_eq!(
        Reason::UnknownOption("-größe".into()).to_string(),
        "`-größe` is not a known option"
    );
}
