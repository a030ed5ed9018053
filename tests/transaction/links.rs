//! Links: inputs that change meanwhile, and objects of which nobody can know whose they are.

use std::fs;

use crate::space::{Fake, Fifo, Outcome, TestSpace, not_here};

/// Compiles main and x with VALUE=1, as the builder that will link them.
fn two_objects(fake: &Fake) {
    fake.cc("-c main.c -o main.o").quiet();
    fake.cc("-DVALUE=1 -c x.c -o x.o").quiet();
}

/// Another builder: a thread of its own compiles x with VALUE=2 to the same object.
fn another_builder_compiles(fake: &Fake, flags: &str) {
    std::thread::scope(|threads| {
        threads.spawn(|| fake.cc(&format!("{flags} -DVALUE=2 -c x.c -o x.o")).quiet());
    });
}

/// Promise 4: an object is replaced while the linker has not read it yet. The link is done again, and nobody notices.
#[test]
fn an_object_replaced_during_a_link_does_no_harm() {
    let plan = "on_link() { [ $call = 1 ] && { tell began; await go; }; real \"$@\"; }";
    let fake = Fake::new("an_object_replaced_during_a_link_does_no_harm", plan);
    let (mut began, mut go) = (fake.fifo("began"), fake.fifo("go"));
    two_objects(&fake);
    let link = fake.start("main.o x.o -o prog");
    began.wait();
    another_builder_compiles(&fake, "");
    assert!(!fake.space.has("prog"));
    go.tell();
    link.finish().quiet();
    assert_eq!(fake.space.run("prog"), "1");
    assert!(
        fake.calls("link").len() > 1,
        "the first link read the other builder's object"
    );
}

/// The same when the first attempt fails because of it: the caller never hears of that attempt.
#[test]
fn a_link_that_failed_over_a_change_is_done_again() {
    let plan = "on_link() { [ $call = 1 ] || { real \"$@\"; return; }\n\
        tell began; await go; echo out; echo 'x.o: file truncated' >&2; exit 1; }";
    let fake = Fake::new("a_link_that_failed_over_a_change_is_done_again", plan);
    let (mut began, mut go) = (fake.fifo("began"), fake.fifo("go"));
    two_objects(&fake);
    let link = fake.start("main.o x.o -o prog");
    began.wait();
    another_builder_compiles(&fake, "");
    go.tell();
    link.finish().quiet();
    assert_eq!(fake.space.run("prog"), "1");
}

/// However often the inputs change, the second attempt has its own.
#[test]
fn a_link_is_not_repeated_for_ever() {
    let plan = "on_link() { tell began; await go; real \"$@\"; }";
    let fake = Fake::new("a_link_is_not_repeated_for_ever", plan);
    let (mut began, mut go) = (fake.fifo("began"), fake.fifo("go"));
    two_objects(&fake);
    let link = fake.start("main.o x.o -o prog");
    for value in [2, 3] {
        began.wait();
        std::thread::scope(|threads| {
            threads.spawn(|| fake.cc(&format!("-DVALUE={value} -c x.c -o x.o")).quiet());
        });
        go.tell();
    }
    link.finish().quiet();
    assert_eq!(fake.space.run("prog"), "1");
    assert_eq!(fake.calls("link").len(), 2);
}

/// A link that fails for a reason of its own runs once and looks like the linker's failure.
#[test]
fn a_failing_link_is_passed_on() {
    let plan = "on_link() { echo out; echo 'undefined reference' >&2; exit 5; }";
    let fake = Fake::new("a_failing_link_is_passed_on", plan);
    two_objects(&fake);
    let failed = fake.cc("main.o x.o -o prog").code(5);
    assert_eq!(
        (failed.stdout.as_str(), failed.stderr.as_str()),
        ("out\n", "undefined reference\n")
    );
    assert_eq!(fake.calls("link").len(), 1);
    assert!(!fake.space.has("prog"));
    fake.space.assert_no_scratch();
}

/// A failing link does to an old program what gcc does to it (it deletes it).
#[test]
fn a_failing_link_treats_the_old_program_as_gcc_does() {
    let fake = Fake::new("a_failing_link_treats_the_old_program_as_gcc_does", "");
    two_objects(&fake);
    fake.cc("main.o x.o -o prog").quiet();
    fake.space.gcc("main.o x.o -o plain").quiet();
    let plain = fake.space.gcc("main.o -o plain").code(1);
    let guarded = fake.cc("main.o -o prog").code(1);
    assert_eq!(guarded.stderr, plain.stderr);
    assert_eq!(fake.space.has("prog"), fake.space.has("plain"));
}

/// Promise 1 for programs: the old one runs until the new one is whole.
#[test]
fn half_a_program_is_never_seen() {
    let plan = "on_link() { [ $call = 1 ] && { real \"$@\"; return; }; half \"$@\"; tell half; await go; real \"$@\"; }";
    let fake = Fake::new("half_a_program_is_never_seen", plan);
    let (mut half, mut go) = (fake.fifo("half"), fake.fifo("go"));
    two_objects(&fake);
    fake.cc("main.o x.o -o prog").quiet();
    fake.cc("-DVALUE=3 -c x.c -o x.o").quiet();
    let link = fake.start("main.o x.o -o prog");
    half.wait();
    assert_eq!(fake.space.run("prog"), "1");
    go.tell();
    link.finish().quiet();
    assert_eq!(fake.space.run("prog"), "3");
}

/// A linker that dies of a signal, and a wrapper that is killed during a link: the old program stays, no scratch does.
#[test]
fn a_killed_link_leaves_the_old_program() {
    let plan = "on_link() { case $call in 1 | 4) real \"$@\" ;; 2) kill -KILL $$ ;; *) half \"$@\"; tell half; await never ;; esac; }";
    let fake = Fake::new("a_killed_link_leaves_the_old_program", plan);
    let (mut half, _never) = (fake.fifo("half"), fake.fifo("never"));
    two_objects(&fake);
    fake.cc("main.o x.o -o prog").quiet();
    fake.cc("-DVALUE=4 -c x.c -o x.o").quiet();
    fake.cc("main.o x.o -o prog").signal(libc::SIGKILL);
    assert_eq!(fake.space.run("prog"), "1");
    let mut link = fake.start("main.o x.o -o prog");
    half.wait();
    link.kill();
    assert_eq!(fake.space.run("prog"), "1");
    drop(link);
    fake.cc("main.o x.o -o prog").quiet();
    assert_eq!(fake.space.run("prog"), "4");
    fake.space.assert_no_scratch();
}

/// Promise 4 with link time optimization: `lto1` opens the object again after the linker read it, and finds another one
/// with another random seed ("resolution sub id … not in object file", Gentoo 860444).
#[test]
fn an_lto_object_replaced_between_its_two_readings_does_no_harm() {
    let test = "an_lto_object_replaced_between_its_two_readings_does_no_harm";
    let fake = Fake::new(test, "");
    let (mut began, mut go) = (fake.fifo("began"), fake.fifo("go"));
    let named = fake
        .space
        .gcc("-print-prog-name=lto-wrapper")
        .success()
        .stdout;
    let real = named.trim();
    if !std::path::Path::new(real).is_absolute() {
        return not_here(test, "gcc has no lto-wrapper");
    }
    // The linker's plugin has read the objects when gcc's lto-wrapper starts; a -B folder puts ours in its place.
    let dir = fake.space.aside("fake").display().to_string();
    let pause = format!(
        "#!/bin/sh\nif mkdir '{dir}/lto.1' 2>/dev/null; then echo . > '{dir}/began'; read -r x < '{dir}/go'; fi\nexec '{real}' \"$@\"\n"
    );
    fake.space.script("tools/lto-wrapper", &pause);
    fake.cc("-flto -c main.c -o main.o").quiet();
    fake.cc("-flto -DVALUE=1 -c x.c -o x.o").quiet();
    let link = fake.start("-flto -B./tools/ main.o x.o -o prog");
    began.wait();
    another_builder_compiles(&fake, "-flto");
    go.tell();
    link.finish().quiet();
    assert_eq!(fake.space.run("prog"), "1");
}

/// An object that another tool changed after its compile is the user's word: it is linked as it is.
#[test]
fn a_changed_object_is_the_users_word() {
    let fake = Fake::new("a_changed_object_is_the_users_word", "");
    two_objects(&fake);
    fs::write(fake.space.path("x.o"), fake.plain("-DVALUE=66 -c x.c")).expect("the folder is ours");
    fake.cc("main.o x.o -o prog").quiet();
    assert_eq!(fake.space.run("prog"), "66");
}

/// Two threads of one process build, with one object each; each links what it compiled, whatever came last to the path.
#[test]
fn each_thread_links_what_it_compiled() {
    let fake = Fake::new("each_thread_links_what_it_compiled", "");
    fake.cc("-c main.c -o main.o").quiet();
    let together = std::sync::Barrier::new(2);
    std::thread::scope(|threads| {
        for value in [1, 2] {
            let (fake, together) = (&fake, &together);
            threads.spawn(move || {
                fake.cc(&format!("-DVALUE={value} -c x.c -o x.o")).quiet();
                together.wait();
                fake.cc(&format!("main.o x.o -o prog{value}")).quiet();
                assert_eq!(fake.space.run(&format!("prog{value}")), value.to_string());
            });
        }
    });
}

/// A process without living relatives, which runs one command when told to and stays alive until the test ends.
struct Stranger {
    go: Fifo,
    done: Fifo,
    name: String,
    _end: Fifo,
}

impl Stranger {
    /// A shell in a session of its own whose parent is gone. Its command has a clean environment.
    fn new(fake: &Fake, name: &str, command: &str, variables: &str) -> Stranger {
        let (go, done, end) = (
            format!("{name}-go"),
            format!("{name}-done"),
            format!("{name}-end"),
        );
        let fifos = (fake.fifo(&go), fake.fifo(&done), fake.fifo(&end));
        let dir = fake.space.aside("fake").display().to_string();
        let wrapper = crate::space::WRAPPER;
        let script = format!(
            "exec 3<'{dir}/{end}'\necho $$ > '{dir}/{name}-pid'\nread -r x < '{dir}/{go}'\n\
             {variables} '{wrapper}' {command} > '{dir}/{name}-stdout' 2> '{dir}/{name}-stderr'\n\
             echo $? > '{dir}/{name}-status'\necho . > '{dir}/{done}'\nread -r x <&3\n"
        );
        let path = fake.space.script(format!("{name}.sh"), &script);
        // The outer shell ends at once; the inner one passes to init, before it may do anything.
        let mut shell = fake.space.command("sh");
        shell
            .args(["-c", "(setsid sh \"$0\" < /dev/null > /dev/null 2>&1 &)"])
            .arg(path);
        shell.envs(
            fake.wrapper("")
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        Outcome::of(shell).quiet();
        Stranger {
            go: fifos.0,
            done: fifos.1,
            name: name.to_owned(),
            _end: fifos.2,
        }
    }

    /// Lets it run its command; returns the exit status, standard output and standard error.
    fn run(&mut self, space: &TestSpace) -> (i32, String, String) {
        self.go.tell();
        self.done.wait();
        let said = |what: &str| space.text(format!("../fake/{}-{what}", self.name));
        (
            said("status").trim().parse().expect("a number"),
            said("stdout"),
            said("stderr"),
        )
    }

    fn pid(&self, space: &TestSpace) -> String {
        space
            .text(format!("../fake/{}-pid", self.name))
            .trim()
            .to_owned()
    }
}

/// Two strangers compile two variants, a third one links: nothing tells which is meant.
fn strangers(test: &str, variables: &str) -> (Fake, (i32, String, String), [String; 2]) {
    let fake = Fake::new(test, "");
    fake.cc("-c main.c -o main.o").quiet();
    let mut one = Stranger::new(&fake, "one", "-DVALUE=1 -c x.c -o x.o", "");
    let mut two = Stranger::new(&fake, "two", "-DVALUE=2 -c x.c -o x.o", "");
    let mut linker = Stranger::new(&fake, "linker", "main.o x.o -o prog", variables);
    for compiler in [&mut one, &mut two] {
        assert_eq!(compiler.run(&fake.space), (0, String::new(), String::new()));
    }
    let outcome = linker.run(&fake.space);
    let pids = [one.pid(&fake.space), two.pid(&fake.space)];
    (fake, outcome, pids)
}

/// Promise 3: what can't be known isn't guessed. The message names the object, the variants, who made them and what to do.
#[test]
fn an_ambiguous_link_stops() {
    let (fake, (status, stdout, stderr), pids) = strangers("an_ambiguous_link_stops", "");
    assert_ne!(status, 0, "it guessed: {stdout}{stderr}");
    assert!(!fake.space.has("prog"));
    assert_eq!(stdout, "");
    for word in [
        "x.o",
        "-DVALUE=1",
        "-DVALUE=2",
        &pids[0],
        &pids[1],
        "OBJGUARD_AMBIGUOUS=newest",
    ] {
        assert!(stderr.contains(word), "`{word}` is missing: {stderr}");
    }
    assert!(fake.calls("link").is_empty(), "the linker ran all the same");
}

/// OBJGUARD_AMBIGUOUS=newest takes what was compiled last.
#[test]
fn an_ambiguous_link_may_take_the_newest() {
    let (fake, outcome, _) = strangers(
        "an_ambiguous_link_may_take_the_newest",
        "OBJGUARD_AMBIGUOUS=newest",
    );
    assert_eq!(outcome, (0, String::new(), String::new()));
    assert_eq!(fake.space.run("prog"), "2");
}

/// Strangers who ask for the same variant agree, and one who compiled it himself needs no other evidence.
#[test]
fn a_stranger_links_his_own() {
    let fake = Fake::new("a_stranger_links_his_own", "");
    fake.cc("-c main.c -o main.o").quiet();
    let wrapper = crate::space::WRAPPER;
    let both = format!(
        "-DVALUE=1 -c x.c -o x.o && echo . > \"$FAKE_DIR/own-compiled\" && read -r x < \"$FAKE_DIR/own-link\" && '{wrapper}' main.o x.o -o prog"
    );
    let (mut compiled, mut link) = (fake.fifo("own-compiled"), fake.fifo("own-link"));
    let mut own = Stranger::new(&fake, "own", &both, "");
    let mut other = Stranger::new(&fake, "other", "-DVALUE=2 -c x.c -o x.o", "");
    own.go.tell();
    compiled.wait();
    assert_eq!(other.run(&fake.space).0, 0);
    link.tell();
    own.done.wait();
    assert_eq!(fake.space.text("../fake/own-stderr"), "");
    assert_eq!(fake.space.run("prog"), "1");
}
