//! What surrounds the command: the clock, the environment, the programs behind the driver, the processor.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::space::{Outcome, TestSpace};
use crate::{COUNTING_CC, Watched, edit, or_say_so};

const NEXT_SECOND: Duration = Duration::from_millis(20);

/// Waits until the clock shows another second.
fn another_second() {
    let second = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |time| time.as_secs())
    };
    let start = second();
    while second() == start {
        std::thread::sleep(NEXT_SECOND);
    }
}

#[test]
fn the_time() {
    for macros in ["__TIME__", "__DATE__ __TIME__"] {
        for compiler in ["gcc", "clang"] {
            let watched = Watched::new("time", "x.c")
                .with(compiler)
                .write("x.c", &format!("const char *z = {macros};\n"));
            watched.space.settle();
            watched.compile();
            let old = watched.space.read("x.o");
            another_second();
            watched.compile();
            assert!(
                watched.space.read("x.o") != old,
                "{compiler} {macros}: the time stands still"
            );
        }
    }
}

#[test]
fn the_time_in_a_header_and_by_a_macro() {
    let sources = [
        (
            "#include \"t.h\"\nconst char *z = WHEN;\n",
            "#define WHEN __TIME__\n",
            "",
        ),
        (
            "#include \"t.h\"\nconst char *z = WHEN;\n",
            "#define GLUE(a, b) a##b\n#define WHEN GLUE(__TI, ME__)\n",
            "",
        ),
        ("const char *z = WHEN;\n", "", "-DWHEN=__TIME__"),
    ];
    for (source, header, option) in sources {
        let watched = Watched::new("time_hidden", &format!("{option} x.c"))
            .write("x.c", source)
            .write("t.h", header);
        watched.space.settle();
        watched.compile();
        let old = watched.space.read("x.o");
        another_second();
        watched.compile();
        assert!(
            watched.space.read("x.o") != old,
            "`{source}` `{header}` `{option}`: the time stands still"
        );
    }
}

/// `__TIMESTAMP__` is the time of the source, which a touch changes.
#[test]
fn the_time_of_the_source() {
    for compiler in ["gcc", "clang"] {
        Watched::new("timestamp", "x.c")
            .with(compiler)
            .write("x.c", "const char *z = __TIMESTAMP__;\n")
            .notices_somehow(|space| {
                let file = fs::File::open(space.path("x.c")).expect("it is there");
                file.set_modified(UNIX_EPOCH).expect("the file is ours");
            });
    }
}

/// Runs the command with one value of a variable, then with another, then with the first: each object must be right.
fn with_each(watched: &mut Watched, name: &'static str, values: [&str; 2]) {
    watched.space.settle();
    let mut objects = Vec::new();
    for value in [values[0], values[1], values[0]] {
        watched.variables.retain(|(known, _)| *known != name);
        watched.variables.push((name, value.to_owned()));
        watched.compile();
        watched.is_right();
        objects.push(watched.space.read("x.o"));
    }
    assert!(
        objects[0] != objects[1] && objects[0] == objects[2],
        "`{name}` makes no difference: the test proves nothing"
    );
}

#[test]
fn search_paths_in_variables() {
    let names = [
        ("CPATH", "x.c"),
        ("C_INCLUDE_PATH", "x.c"),
        ("CPLUS_INCLUDE_PATH", "x.cpp"),
        ("OBJC_INCLUDE_PATH", "x.m"),
    ];
    for (name, source) in names {
        let compiler = if source == "x.m" { "clang" } else { "gcc" };
        let mut watched = Watched::new("variable", source)
            .with(compiler)
            .write(source, "#include <p.h>\nint z = P;\n")
            .write("one/p.h", "#define P 1\n")
            .write("two/p.h", "#define P 2\n");
        with_each(&mut watched, name, ["one", "two"]);
    }
}

#[test]
fn an_empty_element_of_a_search_path() {
    let mut watched = Watched::new("variable_empty", "src/x.c")
        .write("src/x.c", "#include <p.h>\nint z = P;\n")
        .write("p.h", "#define P 1\n")
        .write("two/p.h", "#define P 2\n");
    with_each(&mut watched, "C_INCLUDE_PATH", [":two", "two"]);
}

#[test]
fn source_date_epoch() {
    let mut watched = Watched::new("epoch", "x.c").write("x.c", "const char *z = __DATE__;\n");
    with_each(&mut watched, "SOURCE_DATE_EPOCH", ["86400", "864000"]);
}

/// The working directory is recorded as PWD spells it, if that is true.
#[test]
fn the_spelling_of_the_working_directory() {
    for compiler in ["gcc", "clang"] {
        let mut watched = Watched::new("pwd", "-g x.c")
            .with(compiler)
            .write("x.c", "int z;\n");
        symlink("work", watched.space.aside("link")).expect("the name is free");
        let [real, link] =
            ["work", "link"].map(|name| watched.space.aside(name).display().to_string());
        with_each(&mut watched, "PWD", [&real, &link]);
    }
}

#[test]
fn the_language_of_the_messages() {
    let watched = Watched::new("language", "-Wall x.c").write("x.c", "static int z;\n");
    watched.space.settle();
    let say = |compiler: &str, locale: &str| {
        let mut command = watched.space.wrapper("-Wall -c x.c -o x.o");
        command.env("OBJGUARD_CC", compiler).env("LC_ALL", locale);
        let guarded = Outcome::of(command).success().stderr;
        let mut command = watched.space.command("gcc");
        command
            .args(["-Wall", "-c", "x.c", "-o", "y.o"])
            .env("LC_ALL", locale);
        assert_eq!(guarded, Outcome::of(command).success().stderr, "{locale}");
        guarded
    };
    let (plain, quoted) = (say("gcc", "C"), say("gcc", "C.UTF-8"));
    assert_ne!(
        plain, quoted,
        "the locale makes no difference: the test proves nothing"
    );
    assert_eq!(say("gcc", "C"), plain);
}

/// A script that runs the program of gcc that it stands for, with one word more.
fn stand_in(space: &TestSpace, folder: &str, name: &str, word: &str) {
    let real = std::process::Command::new("gcc")
        .arg(format!("-print-prog-name={name}"))
        .output()
        .expect("gcc runs");
    let real = String::from_utf8_lossy(&real.stdout).trim().to_owned();
    let real = if real.contains('/') {
        real
    } else {
        format!("/usr/bin/{real}")
    };
    space.script(
        format!("{folder}/new"),
        &format!("#!/bin/sh\nexec {real} \"$@\" {word}\n"),
    );
    // By rename, as a package manager does it.
    fs::rename(
        space.path(format!("{folder}/new")),
        space.path(format!("{folder}/{name}")),
    )
    .expect("the folder is ours");
}

const VERSIONED: &str = "#ifndef P\n#define P 0\n#endif\nint z = P;\n";

/// The driver stays as it is; the compiler proper behind it is another one.
#[test]
fn an_upgraded_compiler_proper_behind_the_same_driver() {
    let watched = Watched::new("cc1_b", "-Btools/ x.c").write("x.c", VERSIONED);
    stand_in(&watched.space, "tools", "cc1", "-DP=1");
    watched.notices_somehow(|space| stand_in(space, "tools", "cc1", "-DP=2"));
}

#[test]
fn an_upgraded_compiler_proper_found_by_a_variable() {
    let watched = Watched::new("cc1_variable", "x.c")
        .variable("COMPILER_PATH", "tools")
        .write("x.c", VERSIONED);
    stand_in(&watched.space, "tools", "cc1", "-DP=1");
    watched.notices_somehow(|space| stand_in(space, "tools", "cc1", "-DP=2"));
}

#[test]
fn a_compiler_proper_that_appears_before_the_usual_one() {
    let watched = Watched::new("cc1_appears", "x.c")
        .variable("COMPILER_PATH", "tools")
        .write("x.c", VERSIONED)
        .folder("tools");
    watched.notices_somehow(|space| stand_in(space, "tools", "cc1", "-DP=2"));
}

#[test]
fn another_folder_of_compilers() {
    let mut watched = Watched::new("cc1_folders", "x.c").write("x.c", VERSIONED);
    stand_in(&watched.space, "one", "cc1", "-DP=1");
    stand_in(&watched.space, "two", "cc1", "-DP=2");
    with_each(&mut watched, "COMPILER_PATH", ["one", "two"]);
}

/// `GCC_EXEC_PREFIX` leads to `lib/gcc/MACHINE/VERSION/cc1` under it.
#[test]
fn another_prefix_of_gcc() {
    let say = |option: &str| {
        let said = std::process::Command::new("gcc")
            .arg(option)
            .output()
            .expect("gcc runs")
            .stdout;
        String::from_utf8_lossy(&said).trim().to_owned()
    };
    let below = format!("{}/{}", say("-dumpmachine"), say("-dumpversion"));
    let mut watched = Watched::new("prefix", "x.c").write("x.c", VERSIONED);
    let [one, two] = ["one", "two"].map(|name| format!("{}/", watched.space.path(name).display()));
    for (folder, word) in [("one", "-DP=1"), ("two", "-DP=2")] {
        stand_in(&watched.space, &format!("{folder}/{below}"), "cc1", word);
    }
    with_each(&mut watched, "GCC_EXEC_PREFIX", [&one, &two]);
}

#[test]
fn an_upgraded_assembler() {
    let watched = Watched::new("as", "x.c")
        .variable("COMPILER_PATH", "tools")
        .write("x.c", "int z;\n");
    stand_in(&watched.space, "tools", "as", "--defsym P=1");
    watched.notices_somehow(|space| stand_in(space, "tools", "as", "--defsym P=2"));
}

#[test]
fn an_assembler_that_appears_on_path() {
    let path = std::env::var("PATH").expect("PATH is set");
    let watched = Watched::new("as_path", "x.c")
        .write("x.c", "int z;\n")
        .folder("tools");
    let tools = watched.space.path("tools").display().to_string();
    let watched = watched.variable("PATH", format!("{tools}:{path}"));
    watched.notices_somehow(|space| stand_in(space, "tools", "as", "--defsym P=2"));
}

/// The driver itself is replaced by a script of the same name, the same size and the same time.
#[test]
fn an_upgraded_driver() {
    let watched = Watched::new("driver", "x.c").write("x.c", VERSIONED);
    let driver = |value: u32| {
        watched.space.script(
            "bin/new",
            &format!("#!/bin/sh\nexec gcc -DP={value} \"$@\"\n"),
        );
        let file = fs::File::open(watched.space.path("bin/new")).expect("it is there");
        file.set_modified(UNIX_EPOCH).expect("the file is ours");
        fs::rename(watched.space.path("bin/new"), watched.space.path("bin/cc"))
            .expect("the folder is ours");
    };
    let compile = || {
        let mut command = watched.space.wrapper("-c x.c -o x.o");
        command.env("OBJGUARD_CC", watched.space.path("bin/cc"));
        Outcome::of(command).quiet();
        watched.space.read("x.o")
    };
    driver(1);
    watched.space.settle();
    let one = compile();
    assert_eq!(compile(), one);
    driver(2);
    assert!(compile() != one, "the object is of the old driver");
    driver(1);
    assert_eq!(compile(), one);
}

/// `-march=native` is another request on another processor; a folder may be shared by machines.
#[test]
fn the_processor() {
    let watched = Watched::new("native", "-O2 -march=native x.c").write("x.c", "int z;\n");
    watched.space.settle();
    assert_eq!(watched.compile(), 1);
    watched.space.settle();
    assert_eq!(watched.compile(), 0, "it is the same processor");
    let here = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let there = here.replace("flags\t\t:", "flags\t\t: unheard_of");
    let other = watched.space.aside("cpuinfo");
    let below = |processor: &str, line: &str| {
        fs::write(&other, processor).expect("the folder is ours");
        let mut command = watched.space.command("unshare");
        command.args(["-m", "sh", "-c"]).arg(format!(
            "mount --bind {} /proc/cpuinfo && {line}",
            other.display()
        ));
        command
            .env("OBJGUARD_CC", format!("'{COUNTING_CC}'"))
            .env("REAL_CC", "gcc")
            .env("COUNT_LOG", watched.space.aside("count"));
        Outcome::of(command)
    };
    let able = below(&there, "grep -q unheard_of /proc/cpuinfo").status;
    let lacking = "no mount for a test's own /proc/cpuinfo";
    if !or_say_so("the_processor", able.success(), lacking) {
        return;
    }
    let wrapper = crate::space::WRAPPER;
    let line = format!("{wrapper} -c -O2 -march=native x.c -o x.o");
    for (processor, compiles) in [(&here, 0), (&there, 1)] {
        let before = watched.compiles();
        below(processor, &line).success();
        assert_eq!(
            watched.compiles() - before,
            compiles,
            "with another processor: {}",
            processor == &there
        );
    }
}

/// The option that names nothing of this doesn't care.
#[test]
fn unrelated_variables_are_no_reason_to_compile() {
    let mut watched = Watched::new("unrelated", "x.c").write("x.c", "int z;\n");
    watched.space.settle();
    assert_eq!(watched.compile(), 1);
    watched.space.settle();
    let unrelated = [
        ("TMPDIR", "/tmp"),
        ("MAKEFLAGS", " -j2"),
        ("USER", "somebody"),
        ("LD_RUN_PATH", "/x"),
        ("COLUMNS", "40"),
    ];
    for (name, value) in unrelated {
        watched.variables.push((name, value.to_owned()));
        assert_eq!(watched.compile(), 0, "{name}");
    }
    watched.is_right();
    edit(&watched.space, "x.c", "z", "y");
    assert_eq!(watched.compile(), 1);
}
