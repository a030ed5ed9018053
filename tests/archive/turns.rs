//! One archiver at a time, and nobody sees what it has half done.

use std::fs;

use crate::space::{Fifo, Outcome, Running, TestSpace, can_run, wait_until};
use crate::{ar, compile, members, sources, wrapper};

/// A space with an archiver that tells and awaits (FIFOs `began` and `go`) before it runs the real one.
fn waiting(test: &str) -> (TestSpace, Fifo, Fifo) {
    let space = sources(test);
    let (began, go) = (space.fifo("began"), space.fifo("go"));
    space.script(
        "waiting-ar",
        "#!/bin/sh\necho . > began\nread -r signal < go\nexec ar \"$@\"\n",
    );
    compile(&space, "x", 1);
    compile(&space, "y", 1);
    (space, began, go)
}

fn start(space: &TestSpace, args: &str) -> Running {
    let mut command = wrapper(space, args);
    command.env("OBJGUARD_AR", space.path("waiting-ar"));
    Running::start(command)
}

/// The lost update: two archivers read the same old archive, and the second writes over what the first added.
#[test]
fn two_archivers_lose_nothing() {
    let (space, mut began, mut go) = waiting("two_archivers_lose_nothing");
    let mut first = start(&space, "rcs lib.a x.o");
    began.wait();
    let mut second = start(&space, "rcs lib.a y.o");
    second.until_it_waits();
    assert!(
        !began.arrived(),
        "the second began while the first was at work"
    );
    go.tell();
    go.tell();
    assert!(!first.ended() || !second.ended() || members(&space, "lib.a").len() == 2);
    first.finish().quiet();
    second.finish().quiet();
    assert_eq!(members(&space, "lib.a"), ["x.o", "y.o"]);
    space.assert_no_scratch();
}

/// The same with plain ar, so that the test is known to see it.
#[test]
fn two_plain_archivers_lose_a_member() {
    let space = sources("two_plain_archivers_lose_a_member");
    space.write("a.o", "a");
    space.write("b.o", vec![b'b'; 3_000_000]);
    space.write("c.o", "c");
    let plain = |args: &str| {
        let mut command = space.command("ar");
        command.args(args.split_whitespace());
        Running::start(command)
    };
    for _ in 0..50 {
        let _ = fs::remove_file(space.path("lib.a"));
        plain("rcs lib.a a.o").finish().quiet();
        let (one, two) = (plain("rcs lib.a b.o"), plain("rcs lib.a c.o"));
        let ended = [one.finish(), two.finish()];
        let listed = Outcome::of({
            let mut command = space.command("ar");
            command.args(["t", "lib.a"]);
            command
        });
        let whole = listed.status.success() && listed.stdout.lines().count() == 3;
        if !whole || ended.iter().any(|e| !e.status.success()) {
            return;
        }
    }
    panic!("plain ar did not lose anything in 50 rounds");
}

/// GNU ar writes over the old archive; here a reader has the old one until the new one is whole.
#[test]
fn a_half_written_archive_is_never_seen() {
    let space = sources("a_half_written_archive_is_never_seen");
    let (mut half, mut go) = (space.fifo("half"), space.fifo("go"));
    compile(&space, "x", 1);
    compile(&space, "y", 1);
    ar(&space, "rcs lib.a x.o").quiet();
    let old = space.read("lib.a");
    // Empties the archive, as ar does, before it writes.
    let text = "#!/bin/sh\n: > \"$2\"\necho . > half\nread -r signal < go\nrm \"$2\"\nexec ar rcs \"$2\" x.o y.o\n";
    let script = space.script("halving-ar", text);
    let mut command = wrapper(&space, "rcs lib.a y.o");
    command.env("OBJGUARD_AR", script);
    let running = Running::start(command);
    half.wait();
    assert_eq!(space.read("lib.a"), old);
    go.tell();
    running.finish().quiet();
    assert_eq!(members(&space, "lib.a"), ["x.o", "y.o"]);
}

/// `make -j` with the rules it has built in for members of archives (make's manual warns of it).
#[test]
fn make_fills_an_archive_in_parallel() {
    if !can_run("make_fills_an_archive_in_parallel", "make") {
        return;
    }
    let space = TestSpace::new("make_fills_an_archive_in_parallel");
    let names: Vec<String> = (0..24).map(|n| format!("m{n}")).collect();
    for name in &names {
        space.write(
            format!("{name}.c"),
            format!("int {name}(void) {{ return 1; }}\n"),
        );
    }
    let list: Vec<String> = names.iter().map(|n| format!("lib.a({n}.o)")).collect();
    space.write(
        "Makefile",
        format!("all: {}\n.PRECIOUS: %.o\n", list.join(" ")),
    );
    let mut command = space.command("make");
    command.args(["-s", "-j8", &format!("CC={}", crate::space::WRAPPER)]);
    command.args([&format!("AR={}", crate::AR), "ARFLAGS=rcs"]);
    Outcome::of(command).quiet();
    let mut found = members(&space, "lib.a");
    found.sort();
    let mut expected: Vec<String> = names.iter().map(|n| format!("{n}.o")).collect();
    expected.sort();
    assert_eq!(found, expected);
    // It only grew: one variant, and no old copies.
    assert_eq!(crate::variants(&space, "lib.a"), (1, 0));
}

/// Killed half way, the archiver leaves the old archive, and the next one isn't stuck.
#[test]
fn a_killed_archiver_is_no_obstacle() {
    let (space, mut began, mut go) = waiting("a_killed_archiver_is_no_obstacle");
    ar(&space, "rcs lib.a x.o").quiet();
    let old = space.read("lib.a");
    let mut killed = start(&space, "rcs lib.a y.o");
    began.wait();
    killed.kill();
    go.tell();
    ar(&space, "rcs lib.a y.o").quiet();
    assert_ne!(space.read("lib.a"), old);
    assert_eq!(members(&space, "lib.a"), ["x.o", "y.o"]);
}

/// A signal reaches the archiver; the old archive stays, nothing else does.
#[test]
fn a_signal_ends_it_like_the_archiver() {
    let (space, mut began, _go) = waiting("a_signal_ends_it_like_the_archiver");
    ar(&space, "rcs lib.a x.o").quiet();
    let old = space.read("lib.a");
    let running = start(&space, "rcs lib.a y.o");
    began.wait();
    running.send(libc::SIGTERM);
    running.finish().signal(libc::SIGTERM);
    assert_eq!(space.read("lib.a"), old);
    wait_until("scratch to go", || {
        fs::read_dir(space.path(".objguard/tmp")).is_ok_and(|mut d| d.next().is_none())
    });
}

/// One that waits for its turn can be interrupted.
#[test]
fn waiting_can_be_interrupted() {
    let (space, mut began, mut go) = waiting("waiting_can_be_interrupted");
    let first = start(&space, "rcs lib.a x.o");
    began.wait();
    let mut second = start(&space, "rcs lib.a y.o");
    second.until_it_waits();
    second.send(libc::SIGINT);
    second.finish().signal(libc::SIGINT);
    go.tell();
    first.finish().quiet();
    assert_eq!(members(&space, "lib.a"), ["x.o"]);
}
