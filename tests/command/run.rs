//! `objguard run`.

use std::path::Path;

use super::space::{Outcome, Running, TestSpace, can_run, not_here};
use super::{TWINS, assert_no_leftovers, command, json, objguard, run_script, write_twins};

#[test]
fn two_builders_get_their_own_and_the_summary_says_so() {
    let space = TestSpace::new("two_builders_get_their_own_and_the_summary_says_so");
    write_twins(&space);
    let outcome = Outcome::of(run_script(&space, "-j2 --json s.json", TWINS)).success();
    assert_eq!(
        (space.run("mod1"), space.run("mod2")),
        ("12".into(), "42".into())
    );
    let lines: Vec<&str> = outcome.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{outcome}");
    assert_eq!(
        lines[0],
        "objguard: compiles run 2, reused 0, variants kept apart 2 (of 1 object), links re-pointed 1 of 2"
    );
    for part in ["time waited ", "in compilers ", "wall ", "saved about "] {
        assert!(lines[1].contains(part), "`{part}` is missing: {outcome}");
    }
    let summary = json(&space.path("s.json"));
    for (name, value) in [
        ("version", 1),
        ("exit", 0),
        ("jobs", 2),
        ("compiles_run", 2),
        ("compiles_reused", 0),
        ("variants_kept_apart", 2),
        ("objects_kept_apart", 1),
        ("links", 2),
        ("links_repointed", 1),
    ] {
        assert_eq!(summary[name], value, "{name}");
    }
    assert!(summary["seconds_wall"].as_f64().unwrap() > 0.0);
    assert_eq!(summary["command"][0], "sh");
    assert_no_leftovers(&space);

    let again = Outcome::of(run_script(&space, "", TWINS)).success();
    assert!(
        again.stderr.contains("compiles run 0, reused 2,"),
        "{again}"
    );
}

#[test]
fn the_environment_of_the_build() {
    let space = TestSpace::new("the_environment_of_the_build");
    let build = |script: &str| {
        let mut command = run_script(&space, "-j1 --no-summary", script);
        command
            .env("CC", "nice gcc -pthread")
            .env("CXX", "g++")
            .env("AR", "gcc-ar")
            .env("LDSHARED", "nice gcc -pthread -shared");
        Outcome::of(command).success()
    };
    let outcome = build(
        r#"for v in CC OBJGUARD_CC CXX OBJGUARD_CXX AR OBJGUARD_AR LDSHARED NPY_NUM_BUILD_JOBS CMAKE_BUILD_PARALLEL_LEVEL MAKEFLAGS
        do eval "echo $v=\$$v"; done"#,
    );
    assert_eq!(outcome.stderr, "");
    let links = space.aside("cache/objguard/links");
    let shown = outcome.stdout.replace(links.to_str().unwrap(), "LINKS");
    let undigested: Vec<String> = shown
        .lines()
        .map(|line| {
            match line
                .find("LINKS/")
                .and_then(|at| Some(at + line[at..].find('-')?))
            {
                Some(at) => format!("{}{}", &line[..at], &line[at + 17..]),
                None => line.to_owned(),
            }
        })
        .collect();
    assert_eq!(
        undigested,
        [
            "CC=LINKS/cc/gcc -pthread",
            "OBJGUARD_CC=nice gcc",
            "CXX=LINKS/cxx/g++",
            "OBJGUARD_CXX=g++",
            "AR=LINKS/ar/gcc-ar",
            "OBJGUARD_AR=gcc-ar",
            "LDSHARED=LINKS/cc/gcc -pthread -shared",
            "NPY_NUM_BUILD_JOBS=1",
            "CMAKE_BUILD_PARALLEL_LEVEL=1",
            "MAKEFLAGS=",
        ]
    );
    assert_eq!(
        build("cat \"$DIST_EXTRA_CONFIG\"").stdout,
        "[build_ext]\nparallel = 1\n"
    );
    for (name, ours) in [
        ("gcc", "objguard-cc"),
        ("g++", "objguard-cc"),
        ("ar", "objguard-ar"),
    ] {
        let found = build(&format!("command -v {name}")).stdout;
        let found = Path::new(found.trim_end());
        assert!(found.starts_with(&links), "{name}: {}", found.display());
        let target = std::fs::read_link(found).unwrap();
        assert_eq!(
            target,
            Path::new(super::OBJGUARD).with_file_name(ours),
            "{name}"
        );
    }
    assert_no_leftovers(&space);
}

#[test]
fn a_build_tree_remembers_its_compiler() {
    const TEST: &str = "a_build_tree_remembers_its_compiler";
    if !can_run(TEST, "cmake") || !can_run(TEST, "make") {
        return;
    }
    let space = TestSpace::new(TEST);
    space.write("CMakeLists.txt", "cmake_minimum_required(VERSION 3.5)\nproject(t C)\nadd_library(l STATIC l.c)\nadd_executable(a a.c)\ntarget_link_libraries(a l)\n");
    space.write("l.c", "int l(void) { return 0; }\n");
    space.write("a.c", "int l(void);\nint main(void) { return l(); }\n");
    let mut configure = run_script(&space, "--no-summary", "cmake -S . -B b > /dev/null");
    configure.env("CC", "nice gcc");
    Outcome::of(configure).success();
    // In a run of its own, and with another compiler set: the tree's own is used, guarded.
    for summary in ["compiles run 2, reused 0,", "compiles run 1, reused 0,"] {
        let mut build = run_script(&space, "", "cmake --build b > /dev/null");
        build.env("CC", "false");
        Outcome::of(build).success().says(&[summary]);
        space.write("a.c", "int l(void);\nint main(void) { return l() + 0; }\n");
    }
    // And in none.
    space.write("a.c", "int l(void);\nint main(void) { return l() * 1; }\n");
    let mut alone = space.command("cmake");
    alone
        .args(["--build", "b"])
        .env("OBJGUARD_LOG", space.path("log"));
    Outcome::of(alone).success();
    assert_eq!(space.text("log").lines().count(), 2, "a compile and a link");
}

#[test]
fn without_a_home_the_links_go_with_the_run() {
    let space = TestSpace::new("without_a_home_the_links_go_with_the_run");
    space.write("x.c", "int x;\n");
    let mut command = run_script(&space, "", "echo $CC; $CC -c x.c");
    command
        .env_remove("XDG_CACHE_HOME")
        .env("HOME", "/homeless-shelter");
    let outcome = Outcome::of(command).success();
    assert!(
        Path::new(outcome.stdout.trim_end()).starts_with(space.aside("tmp")),
        "{outcome}"
    );
    outcome.says(&["compiles run 1,"]);
    assert_no_leftovers(&space);
}

#[test]
fn a_compiler_called_by_name_is_guarded_too() {
    let space = TestSpace::new("a_compiler_called_by_name_is_guarded_too");
    space.write("x.c", "int x;\n");
    space.settle();
    let outcome =
        Outcome::of(run_script(&space, "", "gcc -c x.c; gcc -c x.c; $CC -c x.c")).success();
    outcome.says(&["compiles run 2, reused 1,"]);
}

#[test]
fn the_launcher_and_options_of_cc_are_used() {
    let space = TestSpace::new("the_launcher_and_options_of_cc_are_used");
    space.write("x.c", "int x = FROM_CC;\n");
    let launcher = space.script(
        "launch",
        "#!/bin/sh\necho launched >> launched\nexec \"$@\"\n",
    );
    let mut command = run_script(&space, "", "$CC -c x.c");
    command.env("CC", format!("{} gcc -DFROM_CC=7", launcher.display()));
    Outcome::of(command).success().says(&["compiles run 1,"]);
    assert!(space.text("launched").contains("launched"));
}

#[test]
fn an_existing_extra_config_keeps_what_it_says() {
    let space = TestSpace::new("an_existing_extra_config_keeps_what_it_says");
    space.write("mine.cfg", "[build_ext]\ndebug = 1\n[other]\nx = 1\n");
    let shown = |config: &str| {
        let mut command = run_script(&space, "-j2 --no-summary", "cat \"$DIST_EXTRA_CONFIG\"");
        command.env("DIST_EXTRA_CONFIG", config);
        Outcome::of(command)
    };
    assert_eq!(
        shown("mine.cfg").success().stdout,
        "[build_ext]\nparallel = 2\ndebug = 1\n[other]\nx = 1\n"
    );
    space.write("set.cfg", "[build_ext]\nparallel=1\n");
    assert_eq!(
        shown("set.cfg").success().stdout,
        "[build_ext]\nparallel=1\n"
    );
    assert_eq!(
        shown("missing.cfg").success().stdout,
        "[build_ext]\nparallel = 2\n"
    );
    space.write("folder.cfg/x", "");
    let unreadable = shown("folder.cfg").code(1);
    assert!(
        unreadable
            .stderr
            .contains("extensions are not built in parallel: cannot read `folder.cfg`"),
        "{unreadable}"
    );
}

#[test]
fn it_ends_as_the_command_ends() {
    let space = TestSpace::new("it_ends_as_the_command_ends");
    objguard(&space, "run --no-summary -- sh -c true")
        .code(0)
        .quiet();
    let seven = Outcome::of(run_script(&space, "--json s.json --no-summary", "exit 7")).code(7);
    assert_eq!(seven.stderr, "");
    assert_eq!(json(&space.path("s.json"))["exit"], 7);
    Outcome::of(run_script(
        &space,
        "--json s.json --no-summary",
        "kill -KILL $$",
    ))
    .signal(libc::SIGKILL);
    assert_eq!(json(&space.path("s.json"))["signal"], 9);
    objguard(&space, "run -- ./no-such-build")
        .code(127)
        .one_line(&["cannot run `./no-such-build`: No such file or directory"]);
    space.write("plain", "");
    objguard(&space, "run -- ./plain")
        .code(126)
        .one_line(&["cannot run `./plain`: Permission denied"]);
    assert_no_leftovers(&space);
}

#[test]
fn a_signal_reaches_the_build_and_nothing_stays() {
    let space = TestSpace::new("a_signal_reaches_the_build_and_nothing_stays");
    let mut up = space.fifo("up");
    let running = Running::start(run_script(
        &space,
        "--no-summary",
        "trap 'echo got it; exit 3' TERM; echo > up; while :; do sleep 0.05; done",
    ));
    up.wait();
    running.send(libc::SIGTERM);
    let outcome = running.finish().code(3);
    assert_eq!(outcome.stdout, "got it\n");
    assert_no_leftovers(&space);

    let running = Running::start(run_script(
        &space,
        "--no-summary",
        "echo > up; exec sleep 60",
    ));
    up.wait();
    running.send(libc::SIGINT);
    running.finish().signal(libc::SIGINT);
    assert_no_leftovers(&space);
}

#[test]
fn what_a_killed_run_left_the_next_one_sweeps() {
    let space = TestSpace::new("what_a_killed_run_left_the_next_one_sweeps");
    let mut up = space.fifo("up");
    let mut running = Running::start(run_script(
        &space,
        "--no-summary",
        "echo > up; exec sleep 60",
    ));
    up.wait();
    running.kill();
    drop(running);
    assert_eq!(std::fs::read_dir(space.aside("tmp")).unwrap().count(), 1);
    objguard(&space, "run --no-summary -- true").quiet();
    assert_no_leftovers(&space);
}

#[test]
fn jobs_come_from_make_s_variables_and_are_capped() {
    let space = TestSpace::new("jobs_come_from_make_s_variables_and_are_capped");
    let mut from_make = run_script(&space, "--no-summary", "echo $NPY_NUM_BUILD_JOBS");
    from_make.env("MAKEOPTS", "-l9 -j1");
    assert_eq!(Outcome::of(from_make).success().stdout, "1\n");
    let capped = Outcome::of(run_script(
        &space,
        "-j 9999 --no-summary",
        "echo $NPY_NUM_BUILD_JOBS",
    ))
    .success();
    let most = 2 * std::thread::available_parallelism().unwrap().get();
    assert_eq!(capped.stdout, format!("{most}\n"));
    assert!(
        capped
            .stderr
            .starts_with("objguard: 9999 jobs are more than twice the "),
        "{capped}"
    );
    assert!(
        capped
            .stderr
            .ends_with(&format!("available here: {most} are run\n")),
        "{capped}"
    );
}

#[test]
fn bad_options_and_values_are_one_line() {
    let space = TestSpace::new("bad_options_and_values_are_one_line");
    for (args, words) in [
        ("run", &["<COMMAND>", "objguard run --help"][..]),
        ("run -j0 -- true", &["0", "--jobs"]),
        ("run -jx -- true", &["x", "--jobs"]),
        ("run --josn -- true", &["--josn"]),
        (
            "run --json /no/such/place -- true",
            &["cannot write `/no/such/place`"],
        ),
        (
            "run --log /no/such/place -- true",
            &["cannot write `/no/such/place`"],
        ),
        ("rnu -- true", &["unknown subcommand `rnu`", "`run`"]),
        ("--jobs", &["unknown option `--jobs`"]),
    ] {
        objguard(&space, args).one_line(words);
    }
    let mut unknown = command(&space, "run -- true");
    unknown.env("OBJGUARD_LGO", "x");
    Outcome::of(unknown).one_line(&["unknown variable `OBJGUARD_LGO`"]);
    let mut nowhere = command(&space, "run -- true");
    nowhere.env("TMPDIR", "/no/such/place");
    Outcome::of(nowhere).one_line(&["cannot create a folder in `/no/such/place`", "TMPDIR"]);
    assert_no_leftovers(&space);
}

#[test]
fn a_build_that_goes_by_is_told() {
    let space = TestSpace::new("a_build_that_goes_by_is_told");
    objguard(&space, "run -- true")
        .success()
        .says(&["no compile, link or archive came through objguard"]);
    let mut missing = command(&space, "run -- true");
    missing.env("CC", "no-such-cc");
    Outcome::of(missing)
        .success()
        .says(&["CC is left as it is: cannot find `no-such-cc`"]);
}

#[test]
fn a_run_in_a_run_guards_once() {
    let space = TestSpace::new("a_run_in_a_run_guards_once");
    space.write("x.c", "int x;\n");
    let inner = format!(
        "{} run --no-summary -- sh -c '$CC -c x.c; echo $OBJGUARD_CC'",
        super::OBJGUARD
    );
    let mut command = run_script(&space, "--log log", &inner);
    command.env("CC", "nice gcc");
    assert_eq!(Outcome::of(command).success().stdout, "nice gcc\n");
    assert_eq!(space.text("log").lines().count(), 1);
    assert_no_leftovers(&space);
}

#[test]
fn a_log_that_is_kept_counts_this_run_only() {
    let space = TestSpace::new("a_log_that_is_kept_counts_this_run_only");
    space.write("x.c", "int x;\n");
    space.settle();
    for said in ["compiles run 1, reused 0,", "compiles run 0, reused 1,"] {
        Outcome::of(run_script(
            &space,
            "--log log",
            "cd /; $CC -c $OLDPWD/x.c -o $OLDPWD/x.o",
        ))
        .success()
        .says(&[said]);
    }
    assert_eq!(space.text("log").lines().count(), 2);
    objguard(&space, "report log").success();
}

#[test]
fn setuptools_builds_extensions_in_parallel() {
    const TEST: &str = "setuptools_builds_extensions_in_parallel";
    if !can_run(TEST, "python3") {
        return;
    }
    let space = TestSpace::new(TEST);
    let mut probe = space.command("python3");
    probe.args(["-c", "import setuptools, sysconfig, os; assert os.path.exists(sysconfig.get_path('include') + '/Python.h')"]);
    if !Outcome::of(probe).status.success() {
        not_here(TEST, "python3 has no setuptools, or no Python.h");
        return;
    }
    let package = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/packages/twins");
    let mut copy = space.command("cp");
    copy.args(["-r", package, "."]);
    Outcome::of(copy).quiet();
    let script = "cd twins; python3 setup.py -q build_ext --inplace; python3 -c 'import mod1, mod2; print(mod1.my_function(), mod2.my_function())'";
    let outcome = Outcome::of(run_script(&space, "-j2 --log log", script)).success();
    assert_eq!(outcome.stdout, "12 42\n", "{outcome}");
    let outcome = outcome.says(&[
        "compiles run 4,",
        "variants kept apart 2 (of 1 object)",
        " of 2\n",
    ]);
    drop(outcome);
    // Two builder threads of one process.
    let report = objguard(&space, "report --json log").success().stdout;
    let events: serde_json::Value = serde_json::from_str(&report).unwrap();
    let builders: std::collections::BTreeSet<_> = events
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["builder"]["thread"].as_u64())
        .collect();
    if cfg!(target_os = "linux") {
        assert_eq!(builders.len(), 2, "{report}");
    }
    assert_no_leftovers(&space);
}
