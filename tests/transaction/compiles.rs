//! Compiles in flight: shared, independent, failing, killed; and what others see of them meanwhile.

use crate::space::{Fake, wait_until};

/// Tells the test that it began and waits until it may go on.
const HOLD: &str = "on_compile() { tell began; await go; real \"$@\"; }";

/// Promise 5: identical requests in flight compile once; the others wait and reuse.
#[test]
fn identical_requests_compile_once() {
    let fake = Fake::new("identical_requests_compile_once", HOLD);
    let (mut began, mut go) = (fake.fifo("began"), fake.fifo("go"));
    let first = fake.start("-c x.c -o x.o");
    began.wait();
    let mut others = [
        fake.start("-c x.c -o x.o"),
        fake.start("-c x.c -o x.o"),
        fake.start("-c x.c -o ./x.o"),
    ];
    for other in &mut others {
        other.until_it_waits();
    }
    // More than one go, so that a second compile shows as a wrong count and not as a hang.
    for _ in 0..4 {
        go.tell();
    }
    first.finish().quiet();
    for other in others {
        other.finish().quiet();
    }
    assert_eq!(fake.calls("compile").len(), 1);
    assert_eq!(fake.space.read("x.o"), fake.plain("-c x.c"));
}

/// Promise 5: different requests never wait for each other's compile, also when they write the same object.
#[test]
fn different_requests_do_not_wait() {
    let plan =
        "on_compile() { case \"$*\" in *VALUE=1*) tell began; await go ;; esac; real \"$@\"; }";
    let fake = Fake::new("different_requests_do_not_wait", plan);
    let (mut began, mut go) = (fake.fifo("began"), fake.fifo("go"));
    let held = fake.start("-DVALUE=1 -c x.c -o x.o");
    began.wait();
    fake.cc("-DVALUE=2 -c x.c -o x.o").quiet();
    assert_eq!(fake.space.read("x.o"), fake.plain("-DVALUE=2 -c x.c"));
    go.tell();
    held.finish().quiet();
    assert_eq!(
        fake.space.read("x.o"),
        fake.plain("-DVALUE=1 -c x.c"),
        "the last to finish is at the path"
    );
}

/// Promise 2: a compile that is skipped puts its variant back at the path.
#[test]
fn a_skip_puts_its_variant_back() {
    let fake = Fake::new("a_skip_puts_its_variant_back", "");
    let variants = [
        fake.plain("-DVALUE=1 -c x.c"),
        fake.plain("-DVALUE=2 -c x.c"),
    ];
    for _ in 0..3 {
        for value in [1, 2] {
            fake.cc(&format!("-DVALUE={value} -c x.c -o x.o")).quiet();
            assert_eq!(fake.space.read("x.o"), variants[value - 1]);
        }
    }
    assert_eq!(fake.calls("compile").len(), 2);
}

/// Promise 1: while the compiler has written half an object, nobody sees it, whether there was one before or not.
#[test]
fn half_an_object_is_never_seen() {
    let plan = "on_compile() { half \"$@\"; tell half; await go; real \"$@\"; }";
    let fake = Fake::new("half_an_object_is_never_seen", plan);
    let (mut half, mut go) = (fake.fifo("half"), fake.fifo("go"));
    let first = fake.start("-DVALUE=1 -c x.c -o x.o");
    half.wait();
    assert!(
        !fake.space.has("x.o"),
        "the path is touched before the object is whole"
    );
    go.tell();
    first.finish().quiet();
    let old = fake.plain("-DVALUE=1 -c x.c");
    assert_eq!(fake.space.read("x.o"), old);

    let second = fake.start("-DVALUE=2 -c x.c -o x.o");
    half.wait();
    assert_eq!(
        fake.space.read("x.o"),
        old,
        "the old object stays whole until the new one is"
    );
    go.tell();
    second.finish().quiet();
    assert_eq!(fake.space.read("x.o"), fake.plain("-DVALUE=2 -c x.c"));
}

/// Promise 1 for the depfile: it comes with its object, whole.
#[test]
fn half_a_depfile_is_never_seen() {
    let plan = "on_compile() { real \"$@\"; tell made; await go; }";
    let fake = Fake::new("half_a_depfile_is_never_seen", plan);
    let (mut made, mut go) = (fake.fifo("made"), fake.fifo("go"));
    let running = fake.start("-MD -MF x.d -c x.c -o x.o");
    made.wait();
    assert!(
        !fake.space.has("x.o") && !fake.space.has("x.d"),
        "{:?}",
        fake.space.files()
    );
    go.tell();
    running.finish().quiet();
    fake.space.gcc("-MD -MF plain.d -c x.c -o x.o").quiet();
    assert_eq!(fake.space.text("x.d"), fake.space.text("plain.d"));
}

/// A compile that fails: exit code, both outputs, and an old object that nobody touched stays.
#[test]
fn a_failure_is_passed_on() {
    let plan = "on_compile() { [ $call = 1 ] && { real \"$@\"; return; }; echo said; echo 'x.c:1: boom' >&2; exit 3; }";
    let fake = Fake::new("a_failure_is_passed_on", plan);
    fake.cc("-c x.c -o x.o").quiet();
    let old = fake.space.read("x.o");
    for _ in 0..2 {
        let failed = fake.cc("-DVALUE=9 -c x.c -o x.o").code(3);
        assert_eq!(
            (failed.stdout.as_str(), failed.stderr.as_str()),
            ("said\n", "x.c:1: boom\n")
        );
        assert_eq!(fake.space.read("x.o"), old);
    }
    assert_eq!(fake.calls("compile").len(), 3, "a failure is never reused");
    fake.space.assert_no_scratch();
}

/// A compile that the real gcc refuses does to an existing object what gcc does to it.
#[test]
fn a_failure_treats_the_old_object_as_gcc_does() {
    let fake = Fake::new("a_failure_treats_the_old_object_as_gcc_does", "");
    // The front end fails, and the assembler fails: gcc deletes what the second one leaves.
    for broken in ["int x(void) { return }", "asm(\"no such instruction\");"] {
        fake.space.write("b.c", "int b;");
        fake.cc("-c b.c -o b.o").quiet();
        fake.space.gcc("-c b.c -o plain.o").quiet();
        fake.space.write("b.c", broken);
        let plain = fake.space.gcc("-c b.c -o plain.o").code(1);
        let guarded = fake.cc("-c b.c -o b.o").code(1);
        assert_eq!(
            without_temporary_names(&guarded.stderr),
            without_temporary_names(&plain.stderr)
        );
        assert_eq!(fake.space.has("b.o"), fake.space.has("plain.o"), "{broken}");
    }
}

/// The assembler names its input, which is another temporary file each time (`/tmp/ccY7aeeC.s:4: Error: …`).
fn without_temporary_names(said: &str) -> String {
    let tail = |line: &str| {
        line.rsplit_once(".s:")
            .map_or(line, |(_name, tail)| tail)
            .to_owned()
    };
    said.lines().map(tail).collect::<Vec<_>>().join("\n")
}

/// Who waited for a compile that failed runs its own.
#[test]
fn waiters_of_a_failure_compile_themselves() {
    let plan = "on_compile() { [ $call = 1 ] || { real \"$@\"; return; }; tell began; await go; echo boom >&2; exit 1; }";
    let fake = Fake::new("waiters_of_a_failure_compile_themselves", plan);
    let (mut began, mut go) = (fake.fifo("began"), fake.fifo("go"));
    let first = fake.start("-c x.c -o x.o");
    began.wait();
    let mut second = fake.start("-c x.c -o x.o");
    second.until_it_waits();
    go.tell();
    assert_eq!(first.finish().code(1).stderr, "boom\n");
    second.finish().quiet();
    assert_eq!(fake.calls("compile").len(), 2);
    assert_eq!(fake.space.read("x.o"), fake.plain("-c x.c"));
}

/// Each of several identical compiles that fail tells its own caller.
#[test]
fn every_caller_of_a_failure_is_told() {
    let plan = "on_compile() { tell began; await go; echo boom >&2; exit 1; }";
    let fake = Fake::new("every_caller_of_a_failure_is_told", plan);
    let (mut began, mut go) = (fake.fifo("began"), fake.fifo("go"));
    let first = fake.start("-c x.c -o x.o");
    began.wait();
    let mut second = fake.start("-c x.c -o x.o");
    second.until_it_waits();
    go.tell();
    assert_eq!(first.finish().code(1).stderr, "boom\n");
    began.wait();
    go.tell();
    assert_eq!(second.finish().code(1).stderr, "boom\n");
}

/// Promise 7: the holder is killed while its compiler works on. The next run isn't stuck, the orphan does no harm, and a
/// later run leaves no scratch.
#[test]
fn a_killed_holder_is_no_obstacle() {
    let plan = "on_compile() { [ $call = 1 ] || { real \"$@\"; return; }\n\
        tell began; await go; real \"$@\"; tell done; }";
    let fake = Fake::new("a_killed_holder_is_no_obstacle", plan);
    let (mut began, mut go, mut done) = (fake.fifo("began"), fake.fifo("go"), fake.fifo("done"));
    let mut killed = fake.start("-c x.c -o x.o");
    began.wait();
    killed.kill();
    fake.cc("-c x.c -o x.o").quiet();
    assert_eq!(fake.calls("compile").len(), 2);
    let right = fake.plain("-c x.c");
    assert_eq!(fake.space.read("x.o"), right);

    go.tell();
    done.wait();
    assert_eq!(fake.space.read("x.o"), right);
    fake.cc("-DVALUE=5 -c x.c -o x.o").quiet();
    assert_eq!(fake.space.read("x.o"), fake.plain("-DVALUE=5 -c x.c"));
    fake.space.assert_no_scratch();
}

/// Who waits for a holder that is killed goes on in its place.
#[test]
fn a_waiter_takes_a_killed_holders_place() {
    let plan =
        "on_compile() { [ $call = 1 ] || { real \"$@\"; return; }; tell began; await never; }";
    let fake = Fake::new("a_waiter_takes_a_killed_holders_place", plan);
    let (mut began, _never) = (fake.fifo("began"), fake.fifo("never"));
    let mut holder = fake.start("-c x.c -o x.o");
    began.wait();
    let mut waiter = fake.start("-c x.c -o x.o");
    waiter.until_it_waits();
    holder.kill();
    waiter.finish().quiet();
    assert_eq!(fake.space.read("x.o"), fake.plain("-c x.c"));
}

/// Promise 6: a compiler that dies of a signal looks the same through the wrapper.
#[test]
fn death_by_a_signal_is_passed_on() {
    for signal in [libc::SIGKILL, libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        let plan = format!("on_compile() {{ echo dying >&2; kill -{signal} $$; }}");
        let fake = Fake::new("death_by_a_signal_is_passed_on", &plan);
        let died = fake.cc("-c x.c -o x.o").signal(signal);
        assert_eq!(died.stderr, "dying\n");
        assert!(!fake.space.has("x.o"));
        fake.space.assert_no_scratch();
    }
}

/// A signal to the wrapper ends the compiler as well: no compile goes on behind its caller's back, nothing is left.
#[test]
fn a_terminated_wrapper_takes_the_compiler_along() {
    for to_all in [false, true] {
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
            let plan = "on_compile() { [ $call = 1 ] && { real \"$@\"; return; }\n\
                half \"$@\"; echo $$ > \"$FAKE_DIR/pid\"; tell began; await never; }";
            let fake = Fake::new("a_terminated_wrapper_takes_the_compiler_along", plan);
            let (mut began, _never) = (fake.fifo("began"), fake.fifo("never"));
            fake.cc("-DVALUE=1 -c x.c -o x.o").quiet();
            let running = fake.start("-DVALUE=2 -c x.c -o x.o");
            began.wait();
            if to_all {
                running.send_to_group(signal);
            } else {
                running.send(signal);
            }
            running.finish().signal(signal);
            let compiler: i32 = fake
                .space
                .text("../fake/pid")
                .trim()
                .parse()
                .expect("the compiler wrote its id");
            // SAFETY: signal 0 only asks whether there is such a process.
            wait_until(
                "the compiler's end",
                || unsafe { libc::kill(compiler, 0) } != 0,
            );
            assert_eq!(fake.space.read("x.o"), fake.plain("-DVALUE=1 -c x.c"));
            fake.space.assert_no_scratch();
        }
    }
}

/// Exit 0 without an output is nothing unusual (`-fsyntax-only`): nothing appears, nothing goes, nobody complains.
#[test]
fn success_without_an_object_is_silent() {
    let plan = "on_compile() { [ $call = 1 ] || return 0; real \"$@\"; }";
    let fake = Fake::new("success_without_an_object_is_silent", plan);
    fake.cc("-DVALUE=1 -c x.c -o x.o").quiet();
    for _ in 0..2 {
        fake.cc("-DVALUE=2 -c x.c -o x.o").quiet();
        assert_eq!(fake.space.read("x.o"), fake.plain("-DVALUE=1 -c x.c"));
        fake.cc("-c x.c -o y.o").quiet();
        assert!(!fake.space.has("y.o"));
    }
    assert_eq!(
        fake.calls("compile").len(),
        5,
        "what made no object can't be reused"
    );
}

/// A skipped compile says what the compiler said, byte for byte.
#[test]
fn warnings_are_repeated() {
    let fake = Fake::new("warnings_are_repeated", "");
    fake.space.write(
        "w.c",
        "static int unused;\nint w(void) { int a; return a; }\n",
    );
    fake.space.settle();
    let plain = fake.space.gcc("-Wall -c w.c -o plain.o").success();
    assert!(plain.stderr.contains("unused"), "{plain}");
    for _ in 0..3 {
        let guarded = fake.cc("-Wall -c w.c -o w.o").success();
        assert_eq!(guarded.stderr, plain.stderr);
    }
    assert_eq!(fake.calls("compile").len(), 1);
}

/// An input that changes while the compiler runs: the object is what this compile made, and is not reused for the next.
#[test]
fn an_input_that_changes_meanwhile_is_compiled_again() {
    let plan = "on_compile() { real \"$@\"; [ $call = 1 ] || return 0; tell made; await go; }";
    let fake = Fake::new("an_input_that_changes_meanwhile_is_compiled_again", plan);
    let (mut made, mut go) = (fake.fifo("made"), fake.fifo("go"));
    let running = fake.start("-c x.c -o x.o");
    made.wait();
    fake.space.write("x.c", "int x(void) { return 77; }\n");
    go.tell();
    running.finish().quiet();
    fake.cc("-c x.c -o x.o").quiet();
    assert_eq!(fake.space.read("x.o"), fake.plain("-c x.c"));
    assert_eq!(fake.calls("compile").len(), 2);
}
