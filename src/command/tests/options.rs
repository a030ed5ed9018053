//! What single options do to a compile.

use super::*;

#[test]
fn unknown_options_of_harmless_families_are_plain() {
    check_options(
        BOTH,
        &[
            "-fwibble",
            "-fno-wibble",
            "-fwibble=3",
            "-mwibble",
            "-Wwibble",
            "-Wwibble=2",
            "-O7",
            "-gwibble",
        ],
        "staged",
    );
    check_options(
        BOTH,
        &["-fwibble=/x/y", "-fwibble=list.txt", "-mwibble=a/b"],
        "staged, never skipped",
    );
    check_options(
        BOTH,
        &[
            "-mmacosx-version-min=10.9",
            "-fwibble=2.1",
            "-march=armv8.2-a+crypto",
        ],
        "staged",
    );
}

#[test]
fn dependency_requests() {
    let request = |line: &str| compile(Gcc, line).depfile.unwrap();
    let plain = request("-c x.c -MD -o d/x.o");
    assert_eq!(
        plain,
        DepRequest {
            system: true,
            file: "d/x.d".into(),
            file_words: None,
            has_target: false,
            phony: false,
            words: vec![2]
        }
    );
    let full = request("-MMD -MP -MF a.d -MT x -MQ y --write-dependencies -MFb.d -c x.c");
    assert_eq!(
        full,
        DepRequest {
            system: false,
            file: "b.d".into(),
            file_words: Some(9..10),
            has_target: true,
            phony: true,
            words: vec![0, 8]
        }
    );
    let compile = compile(Gcc, "-MMD -MP -MF a.d -MT x -O2 -c x.c");
    assert_eq!(compile.depfile_words, [0, 1, 2, 3, 4, 5]);
    assert!(compile.depfile_allowed && compile.reuse.is_ok());
    // Neither runs the preprocessor, neither writes one.
    assert_eq!(self::compile(Gcc, "-MD -c x.s").depfile, None);
    assert_eq!(self::compile(Gcc, "-MD -c x.i").depfile, None);
    check_options(
        BOTH,
        &[
            "-MD -MF -",
            "-MD -MF /dev/stdout",
            "-MMD -MF /dev/null",
            "-MD -MF d/x.o",
            "-MD -MF ./x.c",
        ],
        "in place, never skipped",
    );
    check_options(
        BOTH,
        &[
            "-Wp,-MD,x.d",
            "-Wp,-MMD,.x.d",
            "-Wp,-MMD,x.d,-MT,t",
            "-Xpreprocessor -MD -Xpreprocessor x.d",
            "-Xpreprocessor -MMD",
        ],
        "in place, never skipped",
    );
    check_options(
        &[Clang],
        &[
            "-MJ x.json",
            "-MV -MD",
            "-dependency-file x.d",
            "-Xclang -dependency-file -Xclang x",
        ],
        "in place, never skipped",
    );
}

#[test]
fn side_outputs() {
    type Row = (Dialect, &'static str, &'static str, &'static [&'static str]);
    let rows: &[Row] = &[
        (Gcc, "--coverage", "named", &["d/x.gcno"]),
        (
            Gcc,
            "-fprofile-arcs -ftest-coverage",
            "named",
            &["d/x.gcno"],
        ),
        (Clang, "--coverage", "named", &["d/x.gcno"]),
        (Gcc, "-fprofile-arcs", "named", &[]),
        (Gcc, "-fprofile-generate=/tmp", "named", &[]),
        (Clang, "-fprofile-generate", "staged", &[]),
        (
            Clang,
            "-fprofile-instr-generate -fcoverage-mapping",
            "staged",
            &[],
        ),
        (Gcc, "-g -gsplit-dwarf", "named", &["d/x.dwo"]),
        (Clang, "-g -gsplit-dwarf", "named", &["d/x.dwo"]),
        (Clang, "-g -gsplit-dwarf=single", "named", &[]),
        (Gcc, "-fstack-usage", "named", &["d/x.su"]),
        (Gcc, "-fcallgraph-info=su,da", "named", &["d/x.ci"]),
        (
            Gcc,
            "-fstack-usage -fcallgraph-info --coverage -g -gsplit-dwarf",
            "named",
            &["d/x.dwo", "d/x.su", "d/x.ci", "d/x.gcno"],
        ),
        (
            Gcc,
            "-fsave-optimization-record",
            "named",
            &["d/x.c.opt-record.json.gz"],
        ),
        (
            Clang,
            "-fsave-optimization-record",
            "named",
            &["d/x.opt.yaml"],
        ),
        (
            Gcc,
            "-fopt-info-vec=v.txt",
            "named, never skipped",
            &["v.txt"],
        ),
        (Gcc, "-fopt-info", "staged", &[]),
        (Gcc, "-fopt-info-all=stderr", "staged, never skipped", &[]),
        (Gcc, "-fopt-info-vec-note", "staged, never skipped", &[]),
        (Gcc, "-aux-info p.txt", "named, never skipped", &["p.txt"]),
        (Gcc, "-aux-info=p.txt", "named, never skipped", &["p.txt"]),
        (
            Gcc,
            "-fdump-go-spec=p.go",
            "named, never skipped",
            &["p.go"],
        ),
        (
            Clang,
            "--serialize-diagnostics x.dia",
            "named, never skipped",
            &["x.dia"],
        ),
        (
            Clang,
            "-foptimization-record-file=r.yaml",
            "named, never skipped",
            &["r.yaml"],
        ),
        (Gcc, "-save-temps", "named, never skipped", &[]),
        (Gcc, "-save-temps=obj", "named, never skipped", &[]),
        (Gcc, "--save-temps", "named, never skipped", &[]),
        (Gcc, "-save-temps=cwd", "in place, never skipped", &[]),
        (Clang, "-save-temps=obj", "in place, never skipped", &[]),
        (Gcc, "-fdump-tree-all", "named, never skipped", &[]),
        (Gcc, "-da", "named, never skipped", &[]),
        (Gcc, "-dap", "named, never skipped", &[]),
        (Gcc, "-dA", "staged", &[]),
        (Gcc, "-fprofile-use", "named, never skipped", &[]),
        (Gcc, "-fprofile-use=p", "named, never skipped", &[]),
        (Gcc, "-fauto-profile", "named, never skipped", &[]),
        (Clang, "-ftime-trace", "named, never skipped", &[]),
        (Clang, "-fprofile-use=p", "staged, never skipped", &[]),
    ];
    for (dialect, options, expected, files) in rows {
        check_options(&[*dialect], &[options], expected);
        let compile = compile(*dialect, &format!("-c {options} x.c -o d/x.o"));
        let paths: Vec<_> = compile
            .side_outputs
            .iter()
            .map(|side| side.path.to_str().unwrap())
            .collect();
        assert_eq!(paths, *files, "{options}");
    }
    // Without -o they lie in the working directory, under the source's name.
    for (line, path) in [
        ("-c --coverage dir/x.c", "x.gcno"),
        ("-c -fstack-usage x.c -o d/.foo", "d/.foo.su"),
        ("-c -fstack-usage x.c -o d/foo.", "d/foo.su"),
        ("-c -fstack-usage x.c -o d.d/foo", "d.d/foo.su"),
        (
            "-c -fsave-optimization-record x.y.cc",
            "x.y.cc.opt-record.json.gz",
        ),
    ] {
        assert_eq!(
            compile(Gcc, line).side_outputs[0].path,
            Path::new(path),
            "{line}"
        );
    }
    assert_eq!(
        compile(Gcc, "-c -g -gsplit-dwarf -gno-split-dwarf x.c").side_outputs,
        []
    );
}

#[test]
fn what_runs_in_place() {
    let options = [
        "-v",
        "--verbose",
        "-dumpbase x",
        "-dumpdir d/",
        "-dumpbase-ext .c",
        "-I- -Ix",
        "--include-barrier",
        "-fpreprocessed",
        "-fdirectives-only",
        "-fplugin=p.so",
        "-fplugin-arg-p-x",
        "-fmodules",
        "-fmodule-mapper=x",
        "-Wa,-adhln",
        "-Wa,-adhln=x.lst",
        "-Wa,--MD,x",
        "-Wa,--MD=x",
        "-Wa,@x",
        "-Wa,--wibble",
        "-Wa,y.s",
        "-Xassembler -al",
        "-Wp,-Idir",
        "-Wp,-include,x",
        "-fdiagnostics-format=sarif-file",
        "-o y.o",
        "-foffload=nvptx-none",
    ];
    for dialect in BOTH {
        for option in options.iter().filter(|option| {
            *dialect == Gcc || !option.starts_with("-dumpbase") && !option.starts_with("-dumpdir")
        }) {
            check_options(&[*dialect], &[option], "in place, never skipped");
        }
    }
    check_options(
        &[Gcc],
        &[
            "-wrapper env",
            "-no-integrated-cpp",
            "-fcompare-debug",
            "-fdump-ada-spec",
            "-fada-spec",
            "-fmodules-ts",
            "-time=x",
            "-fdeps-format=p1689r5",
            "-fdiagnostics-add-output=sarif:file=x",
            "-fltrans",
            "-Mno-modules",
            "-fprofile-note=x",
        ],
        "in place, never skipped",
    );
    check_options(
        &[Clang],
        &[
            "-frecord-command-line",
            "-grecord-gcc-switches",
            "-gen-cdb-fragment-path d",
            "-fmodule-file=m=x.pcm",
            "-fprebuilt-module-path=d",
            "-fpass-plugin=x",
            "-Xclang -load -Xclang x",
            "-save-stats",
            "-fproc-stat-report",
            "-ivfsoverlay x",
            "--config x",
            "-Xarch_x86_64 -O2",
            "-arch x86_64 -arch arm64",
            "-fopenmp-targets=x",
            "-gmodules",
        ],
        "in place, never skipped",
    );
    let compile = compile(Gcc, "-v -c x.c");
    assert!(!compile.depfile_allowed);
    assert_eq!(
        compile.reuse.unwrap_err().to_string(),
        "`-v` makes the command run in place: it shows the commands, the output's name in them"
    );
}

#[test]
fn what_is_never_skipped() {
    check_options(
        BOTH,
        &[
            "-specs=x",
            "-specs x",
            "-DX=__DATE__",
            "-D X=__TIME__",
            "-D~f(x)=__TIMESTAMP__",
            "--define-macro=X=__TIME__",
            "-Wp,-DX=__TIME__",
            "-DX=__has_include(<x.h>)",
            "-DX=\".incbin~'x'\"",
            "-ftime-report",
            "-I=dir",
            "-I$SYSROOT/dir",
            "-iprefix x",
            "-iwithprefix x",
            "-Wa,-Id",
            "-Wa,-I,d",
            "-Wa,--statistics",
        ],
        "staged, never skipped",
    );
    check_options(
        &[Gcc],
        &["-Q", "-fmem-report", "-flto-report", "-fprofile-report"],
        "staged, never skipped",
    );
    check_options(
        &[Clang],
        &[
            "-mllvm -x",
            "-include-pch x",
            "-fprofile-instr-use=x",
            "-fprofile-sample-use=x",
            "-frandomize-layout-seed-file=x",
            "-iwithsysroot /x",
            "-fbasic-block-sections=list=x",
            "-fthinlto-index=x",
        ],
        "staged, never skipped",
    );
    // The name fixes the date; the value would need it.
    check_options(
        BOTH,
        &["-D__DATE__=\"x\"", "-D__TIME__=", "-DX=DATE"],
        "staged",
    );
    // The list is in the depfile, if there is one.
    check_options(
        &[Clang],
        &[
            "-fsanitize-ignorelist=x",
            "-fxray-attr-list=x",
            "-fprofile-list=x",
        ],
        "staged",
    );
    assert!(
        compile(Clang, "-c x.i -fsanitize-ignorelist=x")
            .reuse
            .is_err()
    );
}

#[test]
fn what_is_plain() {
    check_options(
        BOTH,
        &[
            "-Wp,-D_FORTIFY_SOURCE=2",
            "-Wp,-D_GLIBCXX_ASSERTIONS",
            "-Xpreprocessor -DX",
            "-Xpreprocessor -fopenmp",
            "-Wp,-UX,-w",
            "-Wa,--noexecstack",
            "-Wa,-mrelax-relocations=no",
            "-Wa,--defsym,a=1",
            "-Wa,--defsym -Wa,a=1",
            "-Xassembler --noexecstack",
            "-H",
            "-P",
            "-C",
            "-dD",
            "-dM",
            "-flto=auto",
            "-ffat-lto-objects",
            "-frandom-seed=1",
            "-ffile-prefix-map=/a=/b",
            "-fdebug-prefix-map=/a=/b.c",
            "-fsanitize=address",
            "-pg",
            "-p",
            "-g3",
            "-ggdb",
            "-gz=zlib",
            "-B/x",
            "-m32",
            "--sysroot=/x",
            "-isysroot /x",
            "-nostdinc",
            "-fno-plt",
            "--param x=1",
            "-fdiagnostics-format=json",
            "-pipe",
        ],
        "staged",
    );
    check_options(
        &[Gcc],
        &[
            "-frecord-gcc-switches",
            "-fdump-passes",
            "-femit-struct-debug-baseonly",
        ],
        "staged",
    );
    check_options(
        &[Clang],
        &[
            "-Xclang -disable-O0-optnone",
            "-Xclang -target-feature -Xclang +avx",
            "-Rpass=inline",
            "-Qunused-arguments",
            "-target x",
            "--target=x",
            "-fdebug-compilation-dir /x",
            "-arch x86_64",
            "-stdlib=libc++",
            "-fno-integrated-as",
            "-rtlib=compiler-rt",
            "-sectcreate a b c",
        ],
        "staged",
    );
}

#[test]
fn the_compiler_s_identity() {
    let flags = |dialect, line: &str| {
        compile(dialect, line)
            .probe_flags
            .join(OsStr::new(" "))
            .into_string()
            .unwrap()
    };
    assert_eq!(
        flags(
            Gcc,
            "-c -m32 -O2 -B x -specs=y -isysroot z -march=native x.c --sysroot /s -nostdinc"
        ),
        "-m32 -B x -specs=y -isysroot z -march=native --sysroot /s -nostdinc"
    );
    assert_eq!(
        flags(
            Clang,
            "-c -target t --gcc-toolchain=g -stdlib=libc++ x.c -fuse-ld=lld"
        ),
        "-target t --gcc-toolchain=g -stdlib=libc++ -fuse-ld=lld"
    );
    assert!(
        compile(Gcc, "-c -march=native x.c").native && compile(Gcc, "-c -mtune=native x.c").native
    );
    assert!(!compile(Gcc, "-c -march=x86-64-v3 x.c").native);
}

#[test]
fn what_is_in_effect() {
    for (line, lto, debug, colour) in [
        ("-g", false, true, Colour::Default),
        ("-g -g0", false, false, Colour::Default),
        ("-ggdb3", false, true, Colour::Default),
        ("--debug", false, true, Colour::Default),
        (
            "-gz -gno-record-gcc-switches",
            false,
            false,
            Colour::Default,
        ),
        ("-flto", true, false, Colour::Default),
        ("-flto=thin", true, false, Colour::Default),
        ("-flto -fno-lto", false, false, Colour::Default),
        ("-fdiagnostics-color", false, false, Colour::UserSet),
        ("-fno-diagnostics-color", false, false, Colour::UserSet),
        ("-fdiagnostics-color=auto", false, false, Colour::Default),
        ("-fdiagnostics-format=json", false, false, Colour::UserSet),
    ] {
        let compile = compile(Gcc, &format!("-c x.c {line}"));
        assert_eq!(
            (compile.lto, compile.debug, compile.colour),
            (lto, debug, colour),
            "{line}"
        );
    }
}

#[test]
fn the_words_that_say_how() {
    let compile = compile(Gcc, "-O2 -DA=1 -MD -MF x.d -MT y -c x.c -o x.o -I inc");
    let flags: Vec<_> = compile
        .flag_words()
        .into_iter()
        .map(|word| word.to_str().unwrap())
        .collect();
    assert_eq!(flags, ["-O2", "-DA=1", "-c", "-I", "inc"]);
}
