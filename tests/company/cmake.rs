//! `CMAKE_<LANG>_COMPILER_LAUNCHER=objguard`, with Ninja and with Makefiles.

use std::fs;

use crate::space::{ARCHIVER, OBJGUARD, Outcome, TestSpace, can_run};

const PROJECT: &str = "cmake_minimum_required(VERSION 3.10)\nproject(company C CXX)\n\
    add_library(part STATIC part.c)\nadd_library(more SHARED more.cpp)\n\
    add_executable(prog main.c)\ntarget_link_libraries(prog part more)\n";

fn configured(test: &str, generator: &str) -> TestSpace {
    let space = TestSpace::new(test);
    space.write("CMakeLists.txt", PROJECT);
    space.write("part.h", "#define PART 1\n");
    space.write(
        "part.c",
        "#include \"part.h\"\nint part(void) { return PART; }\n",
    );
    space.write(
        "more.cpp",
        "#include \"part.h\"\nextern \"C\" int more() { return 10 * PART; }\n",
    );
    let main = "#include <stdio.h>\nint part(void);\nint more(void);\nint main(void) { printf(\"%d\\n\", part() + more()); return 0; }\n";
    space.write("main.c", main);
    space.settle();
    let mut cmake = space.command("cmake");
    cmake.args(["-S", ".", "-B", "build", "-G", generator]);
    for language in ["C", "CXX"] {
        cmake.arg(format!("-DCMAKE_{language}_COMPILER_LAUNCHER={OBJGUARD}"));
    }
    cmake.args([
        &format!("-DCMAKE_AR={ARCHIVER}"),
        "-DCMAKE_BUILD_TYPE=Release",
    ]);
    Outcome::of(cmake).success();
    space
}

fn build(space: &TestSpace) -> Outcome {
    let _ = fs::remove_file(space.aside("log"));
    let mut cmake = space.command("cmake");
    cmake.args(["--build", "build", "--parallel", "4"]);
    cmake.env("OBJGUARD_LOG", space.aside("log"));
    Outcome::of(cmake).success()
}

/// How often this was done in the last build.
fn events(space: &TestSpace, kind: &str, what: &str) -> usize {
    let log = fs::read_to_string(space.aside("log")).unwrap_or_default();
    let (kind, what) = (
        format!("\"kind\":\"{kind}\""),
        format!("\"what\":\"{what}\""),
    );
    log.lines()
        .filter(|line| line.contains(&kind) && line.contains(&what))
        .count()
}

fn launcher(test: &str, generator: &str, program: &str) {
    if !can_run(test, "cmake") || !can_run(test, program) {
        return;
    }
    let space = configured(test, generator);
    build(&space);
    assert_eq!(space.run("build/prog"), "11");
    assert_eq!(
        (
            events(&space, "compile", "compile"),
            events(&space, "archive", "archive")
        ),
        (3, 1)
    );
    // Touched, not changed: skipped, and the build comes to rest.
    space.settle();
    space.write("part.h", "#define PART 1\n");
    build(&space);
    assert_eq!(
        (
            events(&space, "compile", "compile"),
            events(&space, "compile", "skip")
        ),
        (0, 2)
    );
    build(&space);
    assert_eq!(
        events(&space, "compile", "skip"),
        0,
        "it did not come to rest"
    );
    // Changed: the depfile that ninja ate, and make reads, told of it.
    space.write("part.h", "#define PART 2\n");
    build(&space);
    assert_eq!(space.run("build/prog"), "22");
    assert_eq!(events(&space, "compile", "compile"), 2);
}

#[test]
fn launcher_with_ninja() {
    launcher("launcher_with_ninja", "Ninja", "ninja");
}

#[test]
fn launcher_with_makefiles() {
    launcher("launcher_with_makefiles", "Unix Makefiles", "make");
}
