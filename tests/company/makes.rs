//! make: its jobserver, and a folder of our links first on PATH.

use std::fs;

use crate::space::{Outcome, TestSpace, WRAPPER, can_run};
use crate::{masquerade, path_with};

/// A project of several sources for `make`, with a library; `flags` for compiles and links.
fn project(test: &str, flags: &str) -> TestSpace {
    let space = TestSpace::new(test);
    let parts: Vec<usize> = (1..=6).collect();
    for n in &parts {
        space.write(
            format!("part{n}.c"),
            format!("int part{n}(int x) {{ return x + {n}; }}\n"),
        );
    }
    let declared: String = parts
        .iter()
        .map(|n| format!("int part{n}(int);\n"))
        .collect();
    let called: Vec<String> = parts.iter().map(|n| format!("part{n}(0)")).collect();
    let main = format!(
        "#include <stdio.h>\n{declared}int main(void) {{ printf(\"%d\\n\", {}); return 0; }}\n",
        called.join(" + ")
    );
    space.write("main.c", main);
    let objects: Vec<String> = parts.iter().map(|n| format!("part{n}.o")).collect();
    let makefile = format!(
        "CFLAGS = {flags}\nall: prog\nlibparts.a: {}\n\t$(AR) rcs $@ $^\n\tranlib $@\n\
         prog: main.o libparts.a\n\t+$(CC) $(CFLAGS) $(LDFLAGS) -o $@ main.o -L. -lparts\n",
        objects.join(" ")
    );
    space.write("Makefile", makefile);
    space.settle();
    space
}

/// `-flto=jobserver`: the linker's helper talks to make through descriptors that it inherits. The compiler must find them, and
/// MAKEFLAGS, as it would without objguard: open for a rule with `+`, closed for one without.
#[test]
fn the_jobserver_is_passed_on() {
    if !can_run("the_jobserver_is_passed_on", "make") {
        return;
    }
    let space = project("the_jobserver_is_passed_on", "-O2 -flto=jobserver");
    // What a compiler sees of its descriptors (the shell's own script is one of them, whatever its number) and of make.
    let script = "#!/bin/sh\ncase $* in *-lparts*)\n\
        echo \"$MAKEFLAGS $MAKELEVEL\" >> ../seen\n\
        for fd in 3 4; do [ -p /proc/$$/fd/$fd ] && echo \"$fd is a pipe\" >> ../seen; done ;;\nesac\nexec gcc \"$@\"\n";
    let looking = space.script("looking-cc", script);
    let make = |cc: &std::path::Path| {
        let _ = fs::remove_file(space.path("prog"));
        let _ = fs::remove_file(space.aside("seen"));
        let mut command = space.command("make");
        command.args(["-s", "-j4", "AR=gcc-ar"]).env("CC", cc);
        command
            .env("OBJGUARD_CC", &looking)
            .env("OBJGUARD_LOG", space.aside("log"));
        Outcome::of(command).quiet();
        assert_eq!(space.run("prog"), "21");
        fs::read_to_string(space.aside("seen")).expect("the compiler looked")
    };
    let plain = make(&looking);
    assert!(
        plain.contains("3 is a pipe") || plain.contains("fifo:"),
        "{plain}"
    );
    assert_eq!(make(WRAPPER.as_ref()), plain);
    let log = fs::read_to_string(space.aside("log")).expect("events were logged");
    assert!(log.contains("\"kind\":\"link\""), "{log}");
    let text = space.text("Makefile").replace("\t+", "\t");
    space.write("Makefile", text);
    let plain = make(&looking);
    assert!(!plain.contains("is a pipe"), "{plain}");
    assert_eq!(make(WRAPPER.as_ref()), plain);
}

/// Every tool by the name it always had: a build that knows nothing of objguard is guarded, and makes the same files.
#[test]
fn a_masquerade_first_on_path() {
    if !can_run("a_masquerade_first_on_path", "make") {
        return;
    }
    let space = project("a_masquerade_first_on_path", "-O2 -g");
    let make = |path: &std::ffi::OsStr| {
        for name in ["prog", "libparts.a", "main.o"] {
            let _ = fs::remove_file(space.path(name));
        }
        let mut command = space.command("make");
        command.args(["-s", "-j4"]).env("PATH", path);
        Outcome::of(command).quiet();
        [space.read("prog"), space.read("libparts.a")]
    };
    let plain = make(&path_with(&[]));
    assert!(!space.has(".objguard"));
    let guarded = make(&path_with(&[masquerade(&space)]));
    for name in ["main.o", "libparts.a"] {
        assert!(
            space.has(format!(".objguard/{name}/claims")),
            "{name} isn't guarded"
        );
    }
    assert!(plain == guarded, "the files differ");
    assert_eq!(space.run("prog"), "21");
    space.assert_no_scratch();
}
