//! Signals: they reach the compiler, the wrapper dies of the same, and nothing stays behind.

use std::fs;
use std::process::Command;

use crate::space::{Fake, Outcome, Running, TestSpace};

const SIGNALS: [(i32, &str); 3] = [
    (libc::SIGINT, "INT"),
    (libc::SIGTERM, "TERM"),
    (libc::SIGHUP, "HUP"),
];

/// A compiler that has written half of its object, waits for a signal, says that it came, and dies of it.
fn waiting(signal: &str) -> String {
    format!(
        "on_compile() {{\n\
         trap 'kill $nap; tell caught; trap - {signal}; kill -{signal} $$' {signal}\n\
         printf half > \"$output\"\n\
         sleep 1000 & nap=$!\n\
         tell started\n\
         wait $nap\n}}\n"
    )
}

/// make and terminals both: to the wrapper alone, and to everything that runs in front of the terminal.
#[test]
fn a_signal_reaches_the_compiler_and_the_wrapper_dies_of_it() {
    for to_group in [false, true] {
        for (signal, name) in SIGNALS {
            let fake = Fake::new(&format!("signal_{name}"), &waiting(name));
            let [mut started, mut caught] = ["started", "caught"].map(|name| fake.fifo(name));
            fake.space.write("x.o", "old");
            let running = fake.start("-MD -c x.c -o x.o");
            started.wait();
            match to_group {
                true => running.send_to_group(signal),
                false => running.send(signal),
            }
            caught.wait();
            running.finish().signal(signal);
            assert_eq!(fake.space.read("x.o"), b"old", "{name}");
            assert!(!fake.space.has("x.d"), "{name}");
            fake.space.assert_no_scratch();
            nothing_in_tmp(&fake.space);
            // And the next one finds no obstacle.
            fake.plan("");
            fake.cc("-MD -c x.c -o x.o").quiet();
            assert!(fake.space.read("x.o") == fake.plain("-c x.c"));
        }
    }
}

#[test]
fn a_signal_during_a_link() {
    for (signal, name) in SIGNALS {
        let plan = waiting(name).replace("on_compile", "on_link");
        let fake = Fake::new(&format!("link_signal_{name}"), &plan);
        let [mut started, mut caught] = ["started", "caught"].map(|name| fake.fifo(name));
        fake.cc("-c x.c -o x.o").quiet();
        fake.cc("-c main.c -o main.o").quiet();
        let running = fake.start("main.o x.o -o prog");
        started.wait();
        running.send(signal);
        caught.wait();
        running.finish().signal(signal);
        fake.space.assert_no_scratch();
        fake.plan("");
        fake.cc("main.o x.o -o prog").quiet();
        assert_eq!(fake.space.run("prog"), "0");
    }
}

/// Who waits for somebody else's compile dies at once, and the other isn't disturbed.
#[test]
fn a_signal_to_one_that_waits() {
    for (signal, name) in SIGNALS {
        let fake = Fake::new(
            &format!("waiter_{name}"),
            "on_compile() { tell started; await go; real \"$@\"; }\n",
        );
        let [mut started, mut go] = ["started", "go"].map(|name| fake.fifo(name));
        let first = fake.start("-c x.c -o x.o");
        started.wait();
        let mut second = fake.start("-c x.c -o x.o");
        second.until_it_waits();
        second.send(signal);
        second.finish().signal(signal);
        go.tell();
        first.finish().quiet();
        assert_eq!(fake.calls("compile").len(), 1, "{name}");
        fake.space.assert_no_scratch();
    }
}

/// What the caller ignores (nohup, a job in the background of a script) stays ignored, in the compiler too.
#[test]
fn an_ignored_signal_stays_ignored() {
    let plan = "on_compile() { tell started; await go; real \"$@\"; }\n";
    let fake = Fake::new("ignored", plan);
    let [mut started, mut go] = ["started", "go"].map(|name| fake.fifo(name));
    let wrapper = fake.wrapper("-c x.c -o x.o");
    let mut shell = fake.space.command("sh");
    shell
        .args([
            "-c",
            "trap '' INT HUP; exec \"$@\"",
            "sh",
            crate::space::WRAPPER,
        ])
        .args(wrapper.get_args());
    shell.envs(
        wrapper
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let running = Running::start(shell);
    started.wait();
    running.send_to_group(libc::SIGINT);
    running.send_to_group(libc::SIGHUP);
    go.tell();
    running.finish().quiet();
    assert!(fake.space.read("x.o") == fake.plain("-c x.c"));
}

/// A compiler that dies of a signal by itself looks the same through the wrapper.
#[test]
fn a_compiler_that_is_killed() {
    for (signal, name) in [
        (libc::SIGKILL, "KILL"),
        (libc::SIGSEGV, "SEGV"),
        (libc::SIGTERM, "TERM"),
        (libc::SIGPIPE, "PIPE"),
    ] {
        let fake = Fake::new(
            "killed",
            &format!(
                "on_compile() {{ printf half > \"$output\"; ulimit -c 0; kill -{name} $$; }}\n"
            ),
        );
        fake.cc("-c x.c -o x.o").signal(signal);
        fake.space.assert_no_scratch();
        assert!(!fake.space.has("x.o"), "half an object after SIG{name}");
    }
}

/// The real gcc, stopped in the middle of its work by a header that is a FIFO: the old object stays as it was, gcc's own
/// temporary files go.
#[test]
fn the_real_compiler_is_interrupted() {
    for (signal, name) in SIGNALS {
        let space = TestSpace::new(&format!("interrupted_{name}"));
        space.write("x.c", "#include \"slow.h\"\nint z;\n");
        let old = space.write("x.o", "old");
        let _header = space.fifo("slow.h");
        let before = fs::metadata(&old).expect("it is there");
        let running = Running::start(space.wrapper("-c x.c -o x.o"));
        until_open(&space, "slow.h", "cc1");
        running.send_to_group(signal);
        running.finish().signal(signal);
        let after = fs::metadata(&old).expect("it is there");
        assert_eq!(space.read("x.o"), b"old");
        assert_eq!(before.modified().ok(), after.modified().ok());
        space.assert_no_scratch();
        nothing_in_tmp(&space);
    }
}

/// Waits until a process called `program` has `name` open. Without /proc there is nothing to look at.
fn until_open(space: &TestSpace, name: &str, program: &str) {
    let path = space.path(name);
    crate::space::wait_until("the compiler to read its header", || {
        fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .flatten()
            .any(|process| {
                let folder = process.path();
                fs::read_to_string(folder.join("comm")).is_ok_and(|comm| comm.trim() == program)
                    && fs::read_dir(folder.join("fd")).is_ok_and(|descriptors| {
                        descriptors
                            .flatten()
                            .any(|entry| fs::read_link(entry.path()).is_ok_and(|to| to == path))
                    })
            })
    });
}

fn nothing_in_tmp(space: &TestSpace) {
    let left: Vec<_> = fs::read_dir(space.aside("tmp"))
        .expect("the folder is ours")
        .flatten()
        .map(|entry| entry.file_name())
        // The space's own clock.
        .filter(|name| name != "clock")
        .collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

/// The same through a shell, as make sees it: 128 and the signal's number.
#[test]
fn a_shell_sees_the_signal() {
    let fake = Fake::new("shell_sees", &waiting("TERM"));
    let [mut started, mut caught] = ["started", "caught"].map(|name| fake.fifo(name));
    let wrapper = fake.wrapper("-c x.c -o x.o");
    let mut shell: Command = fake.space.command("sh");
    shell
        .args([
            "-c",
            "\"$@\" & echo $!; wait $!; echo $?",
            "sh",
            crate::space::WRAPPER,
        ])
        .args(wrapper.get_args());
    shell.envs(
        wrapper
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let running = Running::start(shell);
    started.wait();
    // The wrapper is the shell's only child.
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", running.pid()));
    let Ok(child) = children.unwrap_or_default().trim().parse::<i32>() else {
        // Without /proc the group is signalled, and the shell with it.
        return;
    };
    // SAFETY: the shell waits for it, so the id is still its own.
    unsafe { libc::kill(child, libc::SIGTERM) };
    caught.wait();
    let outcome: Outcome = running.finish();
    assert_eq!(outcome.stdout.lines().last(), Some("143"), "{outcome}");
}
