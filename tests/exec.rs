//! `objguard exec`: generators, as they are in makefiles.
//!
//! cpython bpo-19521 is rebuilt from its description: on AIX the link command of two rules begins with a script that writes one
//! export file (`tests/exec/makexp`), and both go on to read it. The linker here takes it as `--dynamic-list`.

#[path = "exec/refusals.rs"]
mod refusals;
mod space;

use std::fs;
use std::process::Command;
use std::time::Duration;

use space::{Fifo, OBJGUARD, Outcome, Running, TestSpace, can_run};

const MAKEXP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/exec/makexp");

/// `objguard exec` with these words (separated by blanks).
fn wrapper(space: &TestSpace, words: &str) -> Command {
    let mut command = space.command(OBJGUARD);
    command.arg("exec").args(words.split_whitespace());
    command
}

/// Runs `objguard exec` to its end.
fn exec(space: &TestSpace, words: &str) -> Outcome {
    Outcome::of(wrapper(space, words))
}

/// A space with a program `gen`: `gen OUT IN…` logs the call and writes the inputs' text to OUT.
fn with_generator(test: &str) -> TestSpace {
    let space = TestSpace::new(test);
    space.script(
        "gen",
        "#!/bin/sh\necho run >> ../runs\nout=$1; shift\ncat \"$@\" > \"$out\"\n",
    );
    space.write("in", "one\n");
    space.settle();
    space
}

/// How often the generator ran.
fn runs(space: &TestSpace) -> usize {
    fs::read_to_string(space.aside("runs")).map_or(0, |log| log.lines().count())
}

/// With its inputs declared a command runs when one of them changes, and at no other time.
#[test]
fn declared_inputs_decide() {
    let space = with_generator("declared_inputs_decide");
    let words = "-o out -i in -- ./gen {out} in";
    exec(&space, words).quiet();
    exec(&space, words).quiet();
    assert_eq!((runs(&space), space.text("out")), (1, "one\n".into()));
    // Touched, not changed: the output is newer in the end, so that make comes to rest.
    space.write("in", "one\n");
    exec(&space, words).quiet();
    assert_eq!(runs(&space), 1);
    let modified = |name: &str| {
        space
            .path(name)
            .metadata()
            .expect("it is there")
            .modified()
            .expect("times are known")
    };
    assert!(modified("out") >= modified("in"));
    space.write("in", "two\n");
    space.settle();
    exec(&space, words).quiet();
    assert_eq!((runs(&space), space.text("out")), (2, "two\n".into()));
    // The program itself, and a file among the words.
    space.script(
        "gen",
        "#!/bin/sh\necho run >> ../runs\necho other > \"$1\"\n",
    );
    space.settle();
    exec(&space, words).quiet();
    assert_eq!((runs(&space), space.text("out")), (3, "other\n".into()));
    space.write("more", "x");
    space.settle();
    let words = "-o out -i in -- ./gen {out} more";
    exec(&space, words).quiet();
    exec(&space, words).quiet();
    assert_eq!(runs(&space), 4);
    space.write("more", "y");
    space.settle();
    exec(&space, words).quiet();
    assert_eq!(runs(&space), 5);
    // A variable, and another directory.
    let mut command = wrapper(&space, words);
    command.env("FLAVOUR", "sweet");
    Outcome::of(command).quiet();
    assert_eq!(runs(&space), 6);
    space.assert_no_scratch();
}

/// Somebody else's file at the path, or none: made again, from what is kept if there is anything.
#[test]
fn outputs_are_what_was_made() {
    let space = with_generator("outputs_are_what_was_made");
    let words = "-o out -i in -- ./gen {out} in";
    exec(&space, words).quiet();
    space.write("out", "scribbled");
    exec(&space, words).quiet();
    assert_eq!((runs(&space), space.text("out")), (2, "one\n".into()));
    fs::remove_file(space.path("out")).expect("it was made");
    exec(&space, words).quiet();
    assert_eq!((runs(&space), space.text("out")), (3, "one\n".into()));
    // Another command's content comes and goes.
    exec(&space, "-o out -i gen -- ./gen {out} gen").quiet();
    assert_eq!(runs(&space), 4);
    exec(&space, words).quiet();
    assert_eq!((runs(&space), space.text("out")), (4, "one\n".into()));
}

/// Without declared inputs nobody knows what a command reads: it runs again.
#[test]
fn without_declared_inputs_it_runs() {
    let space = with_generator("without_declared_inputs_it_runs");
    for turn in 1..=2 {
        exec(&space, "-o out -- ./gen {out} in").quiet();
        assert_eq!(runs(&space), turn);
    }
}

/// Several outputs of one command belong together.
#[test]
fn several_outputs() {
    let space = with_generator("several_outputs");
    space.script(
        "two",
        "#!/bin/sh\necho run >> ../runs\ncat in > \"$1\"; cat in in > \"$2\"\n",
    );
    fs::create_dir(space.path("sub")).expect("the space is new");
    space.settle();
    let words = "-o a sub/b -i in -- ./two {out1} {out2}";
    exec(&space, words).quiet();
    exec(&space, words).quiet();
    assert_eq!(
        (runs(&space), space.text("sub/b")),
        (1, "one\none\n".into())
    );
    fs::remove_file(space.path("sub/b")).expect("it was made");
    exec(&space, words).quiet();
    assert_eq!(
        (runs(&space), space.text("sub/b")),
        (2, "one\none\n".into())
    );
}

/// A generator that tells when it is half way and awaits a signal, and the FIFOs for that.
fn halving(space: &TestSpace) -> (Fifo, Fifo) {
    let (half, go) = (space.fifo("half"), space.fifo("go"));
    let text = "#!/bin/sh\necho run >> ../runs\necho new > \"$1\"\necho . > half\nread -r signal < go\necho whole >> \"$1\"\nexit ${2:-0}\n";
    space.script("halving", text);
    space.settle();
    (half, go)
}

/// With a placeholder nobody sees a part of the output, and one that fails leaves the old one.
#[test]
fn staged_outputs_appear_whole() {
    let space = with_generator("staged_outputs_appear_whole");
    let (mut half, mut go) = halving(&space);
    space.write("out", "old\n");
    for (code, after) in [(3, "old\n"), (0, "new\nwhole\n")] {
        let running = Running::start(wrapper(
            &space,
            &format!("-o out -- ./halving {{out}} {code}"),
        ));
        half.wait();
        assert_eq!(space.text("out"), "old\n");
        go.tell();
        running.finish().code(code);
        assert_eq!(space.text("out"), after);
    }
    space.assert_no_scratch();
}

/// Without one the output is written where it is; what a failing command leaves behind is put back.
#[test]
fn outputs_written_in_place() {
    let space = with_generator("outputs_written_in_place");
    let (mut half, mut go) = halving(&space);
    for before in [Some("old\n"), None] {
        let _ = fs::remove_file(space.path("out"));
        if let Some(text) = before {
            space.write("out", text);
        }
        let running = Running::start(wrapper(&space, "-o out -- ./halving out 3"));
        half.wait();
        assert_eq!(space.text("out"), "new\n");
        go.tell();
        running.finish().code(3);
        assert_eq!(
            space.has("out").then(|| space.text("out")),
            before.map(str::to_owned)
        );
    }
    // The same for a signal.
    space.write("out", "old\n");
    let running = Running::start(wrapper(&space, "-o out -- ./halving out"));
    half.wait();
    running.send_to_group(libc::SIGTERM);
    running.finish().signal(libc::SIGTERM);
    assert_eq!(space.text("out"), "old\n");
    space.assert_no_scratch();
}

/// Different commands for one output wait for each other; those for others don't.
#[test]
fn one_at_a_time_for_each_output() {
    let space = with_generator("one_at_a_time_for_each_output");
    let (mut half, mut go) = halving(&space);
    let first = Running::start(wrapper(&space, "-o out -- ./halving out"));
    half.wait();
    let mut second = Running::start(wrapper(
        &space,
        "-o ./more ./out -- sh -c 'cat${IFS}out>more;./gen${IFS}out${IFS}in'",
    ));
    second.until_it_waits();
    exec(&space, "-o other -- ./gen other in").quiet();
    assert!(!second.ended());
    go.tell();
    first.finish().quiet();
    second.finish();
}

/// What runs once for many that ask at the same time.
#[test]
fn identical_commands_in_flight() {
    for (inputs, most) in [("-i in", 1), ("", 2)] {
        let space = with_generator("identical_commands_in_flight");
        let (mut half, mut go) = halving(&space);
        let words = format!("-o out {inputs} -- ./halving {{out}}");
        let mut all = vec![Running::start(wrapper(&space, &words))];
        half.wait();
        for _ in 0..5 {
            let mut one = Running::start(wrapper(&space, &words));
            one.until_it_waits();
            all.push(one);
        }
        // Enough for every one, should they run.
        (0..6).for_each(|_| go.tell());
        for one in all {
            one.finish().quiet();
        }
        assert_eq!(runs(&space), most, "{inputs}");
        assert_eq!(space.text("out"), "new\nwhole\n");
    }
}

/// Killed half way, a command is no obstacle to the next.
#[test]
fn a_killed_command_is_no_obstacle() {
    let space = with_generator("a_killed_command_is_no_obstacle");
    let (mut half, mut go) = halving(&space);
    space.write("out", "old\n");
    let mut running = Running::start(wrapper(&space, "-o out -- ./halving {out}"));
    half.wait();
    running.kill();
    assert_eq!(space.text("out"), "old\n");
    go.tell();
    exec(&space, "-o out -- ./gen {out} in").quiet();
    assert_eq!(space.text("out"), "one\n");
}

/// An object that a generator makes is resolved by links like any other.
#[test]
fn links_take_their_own_generated_object() {
    let space = TestSpace::new("links_take_their_own_generated_object");
    space.write(
        "main.c",
        "#include <stdio.h>\nextern char text[];\nint main(void) { puts(text); return 0; }\n",
    );
    space.cc("-c main.c -o main.o").quiet();
    for name in ["mine", "yours"] {
        space.write(
            format!("{name}.s"),
            format!(".globl text\ntext: .string \"{name}\"\n.section .note.GNU-stack,\"\"\n"),
        );
    }
    let make = |name: &str| exec(&space, &format!("-o text.o -- as -o {{out}} {name}.s")).quiet();
    make("mine");
    std::thread::scope(|threads| threads.spawn(|| make("yours")).join().map(drop))
        .expect("it ends");
    space.cc("main.o text.o -o prog").quiet();
    assert_eq!(space.run("prog"), "mine");
}

/// Compiles inside a generator are guarded as they would be outside.
#[test]
fn compiles_inside_are_guarded() {
    let space = with_generator("compiles_inside_are_guarded");
    space.write("x.c", "int x;\n");
    let cc = space::WRAPPER;
    let mut command = wrapper(
        &space,
        &format!("-o list -- sh -c {cc}${{IFS}}-c${{IFS}}x.c;ls>list"),
    );
    command.env("OBJGUARD_CC", "gcc");
    Outcome::of(command).quiet();
    assert!(space.has(".objguard/x.o/claims"));
}

/// The two link rules of bpo-19521, by `make -j2`. `makexp`: what stands for the script in the link command.
fn link_rules(space: &TestSpace, makexp: &str) -> Outcome {
    let mut command = space.command("make");
    command.args(["-s", "-j2", "-k", "python", "Programs/_testembed"]);
    command.arg(format!("LINKCC={makexp} ; cc"));
    command
        .env("MAKEXP_LOG", space.aside("runs"))
        .env("MAKEXP_PAUSE", "0.005");
    Outcome::of(command)
}

fn python_tree(test: &str) -> TestSpace {
    let space = TestSpace::new(test);
    let mut library = String::new();
    for n in 0..12 {
        library.push_str(&format!("int Py_Function{n}(void) {{ return {n}; }}\n"));
    }
    space.write("library.c", library);
    for name in ["Modules/python.c", "Programs/_testembed.c"] {
        space.write(name, "int main(void) { return 0; }\n");
    }
    // As in Makefile.pre.in: the rules know nothing of the export file.
    let rules = "LINKFORSHARED = -Wl,--dynamic-list=Modules/python.exp\n\
        WHOLE = -Wl,--whole-archive libpython.a -Wl,--no-whole-archive\n\
        python: Modules/python.o libpython.a\n\t$(LINKCC) $(LINKFORSHARED) -o $@ Modules/python.o $(WHOLE)\n\
        Programs/_testembed: Programs/_testembed.o libpython.a\n\t$(LINKCC) $(LINKFORSHARED) -o $@ Programs/_testembed.o $(WHOLE)\n";
    space.write("Makefile", rules);
    space.gcc("-c library.c -o library.o").quiet();
    for name in ["Modules/python", "Programs/_testembed"] {
        space.gcc(&format!("-c {name}.c -o {name}.o")).quiet();
    }
    let mut ar = space.command("ar");
    ar.args(["rcs", "libpython.a", "library.o"]);
    Outcome::of(ar).quiet();
    space
}

/// Whether both programs were made, and export all of the library's functions.
fn is_right(space: &TestSpace, outcome: &Outcome) -> bool {
    outcome.status.success()
        && ["python", "Programs/_testembed"].iter().all(|program| {
            let mut nm = space.command("nm");
            nm.args(["-D", "--defined-only", program]);
            let listed = Outcome::of(nm).stdout;
            listed.lines().filter(|l| l.contains("Py_Function")).count() == 12
        })
}

const ROUNDS: usize = 12;

fn rounds(test: &str, makexp: &str) -> usize {
    let space = python_tree(test);
    (0..ROUNDS)
        .filter(|_| {
            for made in ["python", "Programs/_testembed", "Modules/python.exp"] {
                let _ = fs::remove_file(space.path(made));
            }
            // Otherwise the rounds would differ in nothing, and the later ones would be skipped.
            std::thread::sleep(Duration::from_millis(1));
            is_right(&space, &link_rules(&space, makexp))
        })
        .count()
}

#[test]
fn bpo_19521_happens_without_objguard() {
    if can_run("bpo_19521_happens_without_objguard", "make") {
        let makexp = format!("{MAKEXP} Modules/python.exp libpython.a");
        let right = rounds("bpo_19521_happens_without_objguard", &makexp);
        assert!(
            right < ROUNDS,
            "two scripts that write one file at once should go wrong"
        );
    }
}

#[test]
fn bpo_19521_is_gone_with_a_placeholder() {
    if can_run("bpo_19521_is_gone_with_a_placeholder", "make") {
        let makexp =
            format!("{OBJGUARD} exec -o Modules/python.exp -- {MAKEXP} {{out}} libpython.a");
        let right = rounds("bpo_19521_is_gone_with_a_placeholder", &makexp);
        assert_eq!(right, ROUNDS);
    }
}

#[test]
fn bpo_19521_is_gone_with_declared_inputs() {
    if can_run("bpo_19521_is_gone_with_declared_inputs", "make") {
        let makexp = format!(
            "{OBJGUARD} exec -o Modules/python.exp -i libpython.a -- {MAKEXP} Modules/python.exp libpython.a"
        );
        let right = rounds("bpo_19521_is_gone_with_declared_inputs", &makexp);
        assert_eq!(right, ROUNDS);
    }
}

/// The second rule finds the file made: the script runs once a build.
#[test]
fn bpo_19521_makes_the_file_once() {
    if !can_run("bpo_19521_makes_the_file_once", "make") {
        return;
    }
    let space = python_tree("bpo_19521_makes_the_file_once");
    space.settle();
    let makexp = format!(
        "{OBJGUARD} exec -o Modules/python.exp -i libpython.a -- {MAKEXP} {{out}} libpython.a"
    );
    let outcome = link_rules(&space, &makexp);
    assert!(is_right(&space, &outcome), "{outcome}");
    assert_eq!(runs(&space), 1);
}

/// The race by hand-shake: the second script has begun the file anew when the first rule's linker reads it.
#[test]
fn the_reader_between_two_writers() {
    for guarded in [false, true] {
        let space = with_generator("the_reader_between_two_writers");
        let (mut half, mut go) = halving(&space);
        let start = || {
            let mut plain = space.command("./halving");
            plain.arg("out");
            Running::start(match guarded {
                true => wrapper(&space, "-o out -- ./halving {out}"),
                false => plain,
            })
        };
        let first = start();
        half.wait();
        go.tell();
        first.finish().quiet();
        let second = start();
        half.wait();
        let read = space.text("out");
        assert_eq!(read == "new\nwhole\n", guarded, "{read}");
        go.tell();
        second.finish().quiet();
    }
}
