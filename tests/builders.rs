//! Many builders that share objects: each compiles the same sources to the same object paths with values of its own
//! and with common ones, over and over, links and runs. Every program must give its builder's value.
//!
//! The builders are `builders/driver.py` (what setuptools is: Python threads that start subprocesses) and, once more,
//! threads of Rust. `OBJGUARD_TEST_ROUNDS=n` multiplies the rounds; `OBJGUARD_TEST_WRAPPER=gcc` puts another program in
//! the wrapper's place, to see what goes wrong without it.

mod space;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Barrier;

use space::{ARCHIVER, PATIENCE, Running, TestSpace, WRAPPER, can_run, wait_until};

const BUILDERS: usize = 8;
const DRIVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/builders/driver.py");
const COUNTING_CC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fake/counting-cc");

/// One run of the driver.
struct Builders {
    test: String,
    mode: &'static str,
    compiler: &'static str,
    flags: &'static str,
    link_flags: &'static str,
    kind: &'static str,
    values: &'static str,
    by_header: bool,
    nothing_own: bool,
    rounds: usize,
    may_refuse: bool,
    wrapper: Option<&'static str>,
}

/// How the programs of one run came out; for each verdict of the driver, its lines.
struct Tally {
    lines: BTreeMap<String, Vec<String>>,
    space: TestSpace,
}

impl Builders {
    /// Builders that work in this way. `test` is the name of the test's function.
    fn new(test: &str, mode: &'static str) -> Builders {
        Builders {
            test: test.to_owned(),
            mode,
            compiler: "gcc",
            flags: "-g -O2",
            link_flags: "",
            kind: "exe",
            values: "mixed",
            by_header: false,
            nothing_own: false,
            rounds: 5,
            may_refuse: false,
            wrapper: None,
        }
    }

    /// Flags of all compiles and links.
    fn flags(self, flags: &'static str) -> Builders {
        Builders { flags, ..self }
    }

    /// Another compiler; the test says so if it isn't there.
    fn compiler(self, compiler: &'static str) -> Builders {
        Builders { compiler, ..self }
    }

    /// Flags of links only.
    fn link_flags(self, link_flags: &'static str) -> Builders {
        Builders { link_flags, ..self }
    }

    /// What is made of the objects: `exe`, `shared` (and loaded), `relocatable` (and linked again), `archive`
    /// (of all objects of a builder, linked) or `shared-archive` (one path for the archives of all).
    fn kind(self, kind: &'static str) -> Builders {
        Builders { kind, ..self }
    }

    /// What they compile with: values of their `own`, the `common` one, or `mixed`.
    fn values(self, values: &'static str) -> Builders {
        Builders { values, ..self }
    }

    /// Rounds of each builder.
    fn rounds(self, rounds: usize) -> Builders {
        Builders { rounds, ..self }
    }

    /// The value comes from a header in a folder of its own, so that the commands differ in their -I only.
    fn by_header(self) -> Builders {
        Builders {
            by_header: true,
            ..self
        }
    }

    /// Another program in the wrapper's place.
    fn wrapper(self, wrapper: &'static str) -> Builders {
        Builders {
            wrapper: Some(wrapper),
            ..self
        }
    }

    /// Main is a shared object too: a builder has no object of its own.
    fn nothing_own(self) -> Builders {
        Builders {
            nothing_own: true,
            ..self
        }
    }

    /// What the builders do can't tell their objects apart in every case; then the link must say so.
    fn may_refuse(self) -> Builders {
        Builders {
            may_refuse: true,
            ..self
        }
    }

    /// Runs the builders and sorts what they said.
    fn run(&self) -> Tally {
        let space = TestSpace::new(&self.test);
        write_sources(&space);
        self.run_in(space)
    }

    /// The same where builders have been before.
    fn run_in(&self, space: TestSpace) -> Tally {
        let rounds = self.rounds * rounds_factor();
        let mut command = space.command(python());
        command
            .arg(DRIVER)
            .arg("--mode")
            .arg(self.mode)
            .arg("--cc")
            .arg(self.wrapper_path());
        command
            .arg(format!("--flags={}", self.flags))
            .arg(format!("--link-flags={}", self.link_flags));
        command.args(["--kind", self.kind, "--values", self.values]);
        command
            .arg(format!("--rounds={rounds}"))
            .arg(format!("--builders={BUILDERS}"));
        command.args(self.nothing_own.then_some("--nothing-own"));
        command.args(self.by_header.then_some("--by-header"));
        if self.wrapper_path() == WRAPPER {
            command.arg("--ar").arg(ARCHIVER);
        }
        if self.compiler == "gcc" && self.flags.contains("-flto") {
            command.env("OBJGUARD_AR", "gcc-ar");
        }
        // Through the counting compiler, so that every run says how much was really compiled.
        command
            .env("OBJGUARD_CC", format!("'{COUNTING_CC}'"))
            .env("REAL_CC", self.compiler);
        command.env("COUNT_LOG", space.aside("compiles"));
        let patience = PATIENCE * rounds as u32;
        let outcome = Running::start(command).finish_within(patience).success();

        let mut lines: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in outcome.stdout.lines() {
            let verdict = line.split('\t').next().unwrap_or_default();
            lines
                .entry(verdict.to_owned())
                .or_default()
                .push(line.to_owned());
        }
        let tally = Tally { lines, space };
        let judged = tally.count("right")
            + tally.count("wrong")
            + tally.count("refused")
            + tally.count("failed");
        assert_eq!(
            judged + tally.count("noisy"),
            BUILDERS * rounds,
            "a program is missing: {outcome}"
        );
        tally
    }

    /// Runs the builders; every program must be right.
    fn must_be_right(&self) -> Option<Tally> {
        if !can_run(&self.test, self.compiler)
            || (self.link_flags.contains("lld") && !can_run(&self.test, "ld.lld"))
        {
            return None;
        }
        let tally = self.run();
        tally.assert_right(self.may_refuse);
        Some(tally)
    }

    /// Runs the builders with one value for all; the real compiler runs once for each distinct request.
    fn must_compile_once(self) {
        let distinct = if self.nothing_own { 3 } else { 2 + BUILDERS };
        let Some(tally) = self.values("common").must_be_right() else {
            return;
        };
        assert_eq!(tally.compiles(), distinct, "real compiles");
    }

    fn wrapper_path(&self) -> OsString {
        let other = self.wrapper.map(OsString::from);
        other
            .or_else(|| std::env::var_os("OBJGUARD_TEST_WRAPPER"))
            .unwrap_or_else(|| WRAPPER.into())
    }
}

impl Tally {
    #[track_caller]
    fn assert_right(&self, may_refuse: bool) {
        for (verdict, lines) in &self.lines {
            let fine = verdict == "right" || (may_refuse && verdict == "refused");
            assert!(fine, "{self}{}", lines[..lines.len().min(3)].join("\n"));
        }
    }

    fn count(&self, verdict: &str) -> usize {
        self.lines.get(verdict).map_or(0, Vec::len)
    }

    /// The number of compiles that a real compiler did.
    fn compiles(&self) -> usize {
        let log = std::fs::read_to_string(self.space.aside("compiles"))
            .expect("the counting compiler ran");
        log.lines().count()
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (verdict, lines) in &self.lines {
            write!(to, "{} {verdict}, ", lines.len())?;
        }
        writeln!(to, "for instance:")
    }
}

fn rounds_factor() -> usize {
    let given = std::env::var("OBJGUARD_TEST_ROUNDS").unwrap_or_else(|_| "1".to_owned());
    given
        .parse()
        .unwrap_or_else(|_| panic!("OBJGUARD_TEST_ROUNDS is a number, not `{given}`"))
}

/// The interpreter itself: a version manager's `python3` is a slow script that wants its own environment.
fn python() -> PathBuf {
    let mut ask = Command::new("python3");
    let found = ask
        .args(["-c", "import sys; print(sys.executable)"])
        .output()
        .expect("python3 is needed");
    PathBuf::from(
        String::from_utf8(found.stdout)
            .expect("its path is text")
            .trim(),
    )
}

/// Two shared sources that read one header, a main for each builder, a shared main, and a loader of modules. A program
/// prints the value that main and each shared object was compiled with.
fn write_sources(space: &TestSpace) {
    space.write(
        "shared.h",
        "int shared1(void);\nint shared2(void);\n#ifndef VALUE\n#include <value.h>\n#endif\n\
         #define GIVE(name) int name(void) { return VALUE; }\n",
    );
    space.write("shared1.c", "#include \"shared.h\"\nGIVE(shared1)\n");
    space.write("shared2.c", "#include \"shared.h\"\nGIVE(shared2)\n");
    let main = "#include <stdio.h>\n#include \"shared.h\"\n\
        int give(void) { return printf(\"%d %d %d\\n\", VALUE, shared1(), shared2()); }\n\
        int main(void) { give(); return 0; }\n";
    space.write("main.c", main);
    for number in 1..=BUILDERS {
        space.write(format!("own_{number}.c"), main);
    }
    let loader = "#include <dlfcn.h>\n#include <stdio.h>\n\
        int main(int count, char **words) {\n\
        void *module = count == 2 ? dlopen(words[1], RTLD_NOW) : 0;\n\
        int (*give)(void) = module ? (int (*)(void))dlsym(module, \"give\") : 0;\n\
        if (!give) { fprintf(stderr, \"%s\\n\", dlerror()); return 1; }\n\
        give(); return 0; }\n";
    std::fs::write(space.aside("loader.c"), loader).expect("the folder is ours");
    space.gcc("../loader.c -o loader -ldl").quiet();
    space.settle();
}

/// A test for each way of building: its name, a run of the driver, and what must hold.
macro_rules! builders {
    ($($must:ident { $($name:ident: $mode:literal $(.$change:ident($($value:expr)?))*;)* })*) => {$($(
        #[test]
        fn $name() {
            Builders::new(stringify!($name), $mode)$(.$change($($value)?))*.$must();
        }
    )*)*};
}

builders! {
    must_be_right {
        threads: "threads";
        processes: "processes";
        thread_pools: "pool";
        process_pools: "process-pool";
        thread_pools_for_a_part: "half-pool";
        a_thread_pool_for_all: "shared-pool";
        a_process_pool_for_all: "shared-process-pool";
        a_shell_for_each_command: "shell-each";
        a_shell_for_each_build: "shell-all";
        a_shell_with_background_jobs: "shell-background";
        compiles_started_at_once: "at-once";
        recipes_of_make: "make-recipes";
        makes_below_make: "make-below-make";
        // All builders' compilers are started by one thread at the same time: only the flags tell.
        rules_of_one_make: "make-flat".may_refuse();

        threads_with_nothing_own: "threads".nothing_own();
        processes_with_nothing_own: "processes".nothing_own();
        shells_for_each_command_with_nothing_own: "shell-each".nothing_own();
        shells_for_each_build_with_nothing_own: "shell-all".nothing_own();
        makes_below_make_with_nothing_own: "make-below-make".nothing_own();
        // Here nothing at all may tell whose object is whose.
        thread_pools_with_nothing_own: "pool".nothing_own().may_refuse();
        a_thread_pool_for_all_with_nothing_own: "shared-pool".nothing_own().may_refuse();
        process_pools_with_nothing_own: "process-pool".nothing_own().may_refuse();
        a_process_pool_for_all_with_nothing_own: "shared-process-pool".nothing_own().may_refuse();
        rules_of_one_make_with_nothing_own: "make-flat".nothing_own().may_refuse();

        lto_threads: "threads".flags("-flto -g -O2").rounds(3);
        lto_processes: "processes".flags("-flto -g -O2").rounds(3);
        lto_thread_pools: "pool".flags("-flto -g -O2").rounds(3);
        lto_process_pools: "process-pool".flags("-flto -g -O2").rounds(3);
        lto_shells: "shell-all".flags("-flto -g -O2").rounds(3);
        lto_auto_threads: "threads".flags("-flto=auto -O2").rounds(3);
        lto_auto_thread_pools: "pool".flags("-flto=auto -g -O2").rounds(3);
        lto_auto_makes: "make-below-make".flags("-flto=auto -g -O2").rounds(3);
        lto_threads_with_nothing_own: "threads".flags("-flto -g -O2").nothing_own().rounds(3);

        clang_threads: "threads".compiler("clang").rounds(3);
        clang_processes: "processes".compiler("clang").rounds(3);
        clang_thread_pools: "pool".compiler("clang").rounds(3);
        clang_lto_threads: "threads".compiler("clang").flags("-flto -g -O2").link_flags("-fuse-ld=lld").rounds(3);
        clang_lto_thread_pools: "pool".compiler("clang").flags("-flto -g -O2").link_flags("-fuse-ld=lld").rounds(3);

        modules_in_threads: "threads".flags("-g -O2 -fPIC").kind("shared").rounds(3);
        modules_in_thread_pools: "pool".flags("-g -O2 -fPIC").kind("shared").rounds(3);
        lto_modules_in_threads: "threads".flags("-flto -O2 -fPIC").kind("shared").rounds(3);
        lto_modules_in_processes: "processes".flags("-flto -O2 -fPIC").kind("shared").rounds(3);
        headers_in_threads: "threads".by_header().rounds(3);
        headers_in_thread_pools: "pool".by_header().rounds(3);
        archives_in_threads: "threads".kind("archive").rounds(3);
        archives_in_thread_pools: "pool".kind("archive").rounds(3);
        archives_in_shells: "shell-all".kind("archive").rounds(3);
        lto_archives_in_processes: "processes".flags("-flto -g -O2").kind("archive").rounds(3);
        one_archive_path_in_threads: "threads".kind("shared-archive").rounds(3);
        one_archive_path_in_processes: "processes".kind("shared-archive").rounds(3);
        relocatables_in_threads: "threads".kind("relocatable").rounds(3);
        relocatables_in_processes: "processes".kind("relocatable").rounds(3);
        relocatables_in_shells: "shell-each".kind("relocatable").rounds(3);
    }
    must_compile_once {
        threads_compile_once: "threads";
        processes_compile_once: "processes";
        thread_pools_compile_once: "pool";
        process_pools_compile_once: "process-pool";
        shells_compile_once: "shell-all";
        rules_of_one_make_compile_once: "make-flat";
        threads_with_nothing_own_compile_once: "threads".nothing_own();
        lto_threads_compile_once: "threads".flags("-flto -g -O2").rounds(2);
        clang_processes_compile_once: "processes".compiler("clang").rounds(2);
    }
}

/// The harness itself: without the wrapper it must see wrong programs.
#[test]
fn a_plain_compiler_goes_wrong() {
    let tally = Builders::new("a_plain_compiler_goes_wrong", "threads")
        .wrapper("gcc")
        .values("own")
        .run();
    assert!(
        tally.count("right") < BUILDERS * 5 / 2,
        "most should be wrong: {tally}"
    );
}

/// The same builders again: every object is there in each builder's variant, and no compiler runs.
#[test]
fn a_second_run_compiles_nothing() {
    for mode in ["threads", "processes", "pool"] {
        let builders = Builders::new("a_second_run_compiles_nothing", mode)
            .values("own")
            .rounds(1);
        let first = builders.run();
        first.assert_right(false);
        let compiles = first.compiles();
        let second = builders.run_in(first.space);
        second.assert_right(false);
        assert_eq!(second.compiles(), compiles, "{mode}: compiles of both runs");
    }
}

/// Promise 7: commands that are killed at any instant and run again make no wrong program, and leave nothing in the end.
#[test]
fn killed_commands_do_no_harm() {
    killed("killed_commands_do_no_harm", "-g -O2");
}

/// The same with link time optimization.
#[test]
fn killed_lto_commands_do_no_harm() {
    killed("killed_lto_commands_do_no_harm", "-flto -O2");
}

fn killed(test: &str, flags: &'static str) {
    let tally = Builders::new(test, "killed").flags(flags).run();
    tally.assert_right(false);
    let space = &tally.space;
    // Compilers that have outlived their wrapper may still be at work; when they are gone, so is their scratch.
    let mut value = 0;
    wait_until("scratch is swept", || {
        value += 1;
        space
            .cc(&format!("-DVALUE={value} -c main.c -o swept.o"))
            .quiet();
        space.scratch().is_empty()
    });
}

/// Builders that are threads of this process and start their commands with posix_spawn, not from Python.
#[test]
fn threads_of_rust() {
    rust_threads(&TestSpace::new("threads_of_rust"), "-g -O2");
}

/// The same with link time optimization, where the objects are read twice.
#[test]
fn lto_threads_of_rust() {
    rust_threads(&TestSpace::new("lto_threads_of_rust"), "-flto -g -O2");
}

fn rust_threads(space: &TestSpace, flags: &str) {
    write_sources(space);
    let start = Barrier::new(BUILDERS);
    let builder = &|number: usize| {
        start.wait();
        for turn in 0..4 * rounds_factor() {
            let value = if turn % 2 == 0 { 100 + number } else { 7 };
            for name in ["shared1", "shared2", &format!("own_{number}")] {
                space
                    .cc(&format!("{flags} -DVALUE={value} -c {name}.c -o {name}.o"))
                    .quiet();
            }
            space
                .cc(&format!(
                    "{flags} shared1.o shared2.o own_{number}.o -o prog_{number}"
                ))
                .quiet();
            assert_eq!(
                space.run(&format!("prog_{number}")),
                format!("{value} {value} {value}"),
                "round {turn}"
            );
        }
    };
    std::thread::scope(|threads| {
        for number in 1..=BUILDERS {
            threads.spawn(move || builder(number));
        }
    });
}
