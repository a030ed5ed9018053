//! Messages: at once while the compiler runs, again on a skip, in colour for a terminal.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc;

use crate::CHATTY;
use crate::space::{Fake, Outcome, PATIENCE, TestSpace};
use crate::terminal::on_terminal;

/// A space with a source that both compilers warn about.
fn chatty(test: &str) -> TestSpace {
    let space = TestSpace::new(test);
    space.write("x.c", CHATTY);
    space.settle();
    space
}

fn guarded(space: &TestSpace, compiler: &str, args: &str) -> Command {
    let mut command = space.wrapper(&format!("{args} -c x.c -o x.o"));
    command.env("OBJGUARD_CC", compiler);
    command
}

fn plain(space: &TestSpace, compiler: &str, args: &str) -> Command {
    let mut command = space.command(compiler);
    command
        .args(args.split_whitespace())
        .args(["-c", "x.c", "-o"])
        .arg(space.aside("plain.o"));
    command
}

/// What the compiler says is there as soon as it is said, not when it ends.
#[test]
fn messages_are_live() {
    for stream in ["stdout", "stderr"] {
        let redirection = if stream == "stderr" { ">&2" } else { "" };
        let plan = format!(
            "on_compile() {{\necho a line {redirection}; tell said; await go\necho another {redirection}\nreal \"$@\"\n}}\n"
        );
        let fake = Fake::new("messages_are_live", &plan);
        let [mut said, mut go] = ["said", "go"].map(|name| fake.fifo(name));
        let mut command = fake.wrapper("-c x.c -o x.o");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the wrapper starts");
        let mut pipe: Box<dyn Read + Send> = match stream {
            "stderr" => Box::new(child.stderr.take().expect("it is piped")),
            _ => Box::new(child.stdout.take().expect("it is piped")),
        };
        let (sender, received) = mpsc::channel();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = pipe.read(&mut piece) {
                let _ = sender.send(piece[..length].to_vec());
            }
        });
        said.wait();
        let first = received
            .recv_timeout(PATIENCE)
            .expect("the message comes while the compiler waits");
        assert_eq!(first, b"a line\n", "{stream}");
        go.tell();
        let rest: Vec<u8> = received.iter().flatten().collect();
        assert_eq!(rest, b"another\n", "{stream}");
        assert!(child.wait().expect("the child is ours").success());
    }
}

#[test]
fn warnings_are_repeated_byte_for_byte() {
    for compiler in ["gcc", "clang"] {
        for args in [
            "-Wall",
            "-Wall -Wextra -g",
            "-Wall -fdiagnostics-color=always",
            "-Wall -fdiagnostics-format=json",
        ] {
            if compiler == "clang" && args.contains("json") {
                continue;
            }
            let space = chatty("repeated");
            let expected = Outcome::of(plain(&space, compiler, args)).success().stderr;
            assert!(!expected.is_empty());
            for run in 1..=3 {
                let outcome = Outcome::of(guarded(&space, compiler, args)).success();
                assert_eq!(outcome.stderr, expected, "{compiler} {args}, run {run}");
                assert_eq!(outcome.stdout, "");
            }
        }
    }
}

/// Bytes that are no text come through, live and replayed.
#[test]
fn messages_that_are_not_utf8() {
    let plan =
        "on_compile() {\nprintf 'odd \\377\\000\\376 bytes\\r no newline' >&2\nreal \"$@\"\n}\n";
    let fake = Fake::new("not_utf8", plan);
    for run in 1..=2 {
        let output = fake
            .wrapper("-c x.c -o x.o")
            .output()
            .expect("the wrapper starts");
        assert_eq!(
            output.stderr, b"odd \xff\x00\xfe bytes\r no newline",
            "run {run}"
        );
    }
    assert_eq!(fake.calls("compile").len(), 1, "the second run is a skip");
}

/// More than anybody would keep: still complete, every time.
#[test]
fn a_flood_of_messages() {
    let plan = "on_compile() {\nseq 1 600000 >&2\nreal \"$@\"\n}\n";
    let fake = Fake::new("flood", plan);
    for run in 1..=2 {
        let outcome = fake.cc("-c x.c -o x.o").success();
        assert_eq!(outcome.stderr.lines().count(), 600000, "run {run}");
        assert!(outcome.stderr.ends_with("\n600000\n"));
    }
}

/// With both streams in one pipe, what was said first stands first.
#[test]
fn both_streams_in_one_pipe_keep_their_order() {
    let plan = "on_compile() {\nfor n in 1 2 3 4 5 6 7 8; do echo out $n; echo err $n >&2; done\nreal \"$@\"\n}\n";
    let fake = Fake::new("one_pipe", plan);
    let expected: String = (1..=8).map(|n| format!("out {n}\nerr {n}\n")).collect();
    for run in 1..=2 {
        let wrapper = fake.wrapper("-c x.c -o x.o");
        let mut shell = fake.space.command("sh");
        shell
            .args(["-c", "exec \"$@\" 2>&1", "sh", crate::space::WRAPPER])
            .args(wrapper.get_args());
        shell.envs(
            wrapper
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        assert_eq!(Outcome::of(shell).success().stdout, expected, "run {run}");
    }
}

/// Every order of a first run with or without a terminal and a later one with or without.
#[test]
fn colours_are_for_terminals() {
    for compiler in ["gcc", "clang"] {
        let coloured = |space: &TestSpace| {
            let mut command = plain(space, compiler, "-Wall");
            command.env("TERM", "xterm");
            on_terminal(command).1
        };
        let space = chatty("colours");
        let (bright, dull) = (
            coloured(&space),
            Outcome::of(plain(&space, compiler, "-Wall")).stderr,
        );
        assert!(
            bright.contains(&0x1b) && !dull.contains('\x1b'),
            "{compiler} colours by itself"
        );
        for order in ["tt", "tp", "pt", "pp", "tptp"] {
            let space = chatty("colours");
            for (run, terminal) in order.chars().enumerate() {
                let mut command = guarded(&space, compiler, "-Wall");
                command.env("TERM", "xterm");
                if terminal == 't' {
                    let (status, text) = on_terminal(command);
                    assert!(status.success());
                    assert_eq!(
                        shown(&text),
                        shown(&bright),
                        "{compiler} {order}, run {run}"
                    );
                } else {
                    assert_eq!(
                        Outcome::of(command).success().stderr,
                        dull,
                        "{compiler} {order}, run {run}"
                    );
                }
            }
        }
    }
}

/// What the user, the terminal or the environment say about colours is what the plain compiler makes of it.
#[test]
fn colours_as_the_user_wants_them() {
    let wishes: [(&str, &[(&str, &str)]); 11] = [
        ("", &[("TERM", "dumb")]),
        ("", &[]),
        ("", &[("TERM", "")]),
        ("", &[("TERM", "xterm"), ("NO_COLOR", "1")]),
        ("", &[("TERM", "xterm"), ("GCC_COLORS", "")]),
        ("", &[("TERM", "xterm"), ("GCC_COLORS", "warning=01;32")]),
        ("-fdiagnostics-color=never", &[("TERM", "xterm")]),
        ("-fno-diagnostics-color", &[("TERM", "xterm")]),
        ("-fdiagnostics-color=auto", &[("TERM", "xterm")]),
        ("-fdiagnostics-color=always", &[("TERM", "dumb")]),
        ("-fno-diagnostics-show-caret", &[("TERM", "linux")]),
    ];
    for compiler in ["gcc", "clang"] {
        for (option, variables) in wishes {
            let space = chatty("wishes");
            let args = format!("-Wall {option}");
            let environment = |mut command: Command| {
                command.envs(variables.iter().copied());
                command
            };
            let (_, expected) = on_terminal(environment(plain(&space, compiler, &args)));
            for run in 1..=2 {
                let (_, text) = on_terminal(environment(guarded(&space, compiler, &args)));
                assert_eq!(
                    shown(&text),
                    shown(&expected),
                    "{compiler} {option} {variables:?}, run {run}"
                );
            }
        }
    }
}

/// Colours are asked of the compiler by an option; no object may show it.
#[test]
fn colours_leave_the_object_alone() {
    for compiler in ["gcc", "clang"] {
        for args in [
            "-Wall -g",
            "-Wall -g -frecord-gcc-switches",
            "-Wall -grecord-gcc-switches -g3",
        ] {
            let space = chatty("same_object");
            let mut command = space.command(compiler);
            // The same output name: clang records it.
            command
                .args(args.split_whitespace())
                .args(["-c", "x.c", "-o", "x.o"]);
            Outcome::of(command).success();
            let expected = space.read("x.o");
            std::fs::remove_file(space.path("x.o")).expect("it is there");
            let mut command = guarded(&space, compiler, args);
            command.env("TERM", "xterm");
            assert!(on_terminal(command).0.success());
            assert!(space.read("x.o") == expected, "{compiler} {args}");
        }
    }
}

/// Errors are as coloured as warnings, and no run is skipped.
#[test]
fn errors_are_coloured_too() {
    for compiler in ["gcc", "clang"] {
        let space = chatty("errors");
        let mut command = plain(&space, compiler, "-Wall -Werror");
        command.env("TERM", "xterm");
        let (status, expected) = on_terminal(command);
        assert_eq!(status.code(), Some(1));
        for _ in 0..2 {
            let mut command = guarded(&space, compiler, "-Wall -Werror");
            command.env("TERM", "xterm");
            let (status, text) = on_terminal(command);
            assert_eq!(status.code(), Some(1));
            assert_eq!(shown(&text), shown(&expected));
        }
    }
}

/// A capable terminal gets links from gcc. Through a pipe they can't be had without changing the object, so they may be missing;
/// everything else is the same.
#[test]
fn only_links_may_be_missing_on_a_capable_terminal() {
    let capable = |mut command: Command| {
        command
            .env("TERM", "xterm-256color")
            .env("COLORTERM", "truecolor");
        shown(&on_terminal(command).1)
    };
    let space = chatty("links");
    let expected = capable(plain(&space, "gcc", "-Wall"));
    for _ in 0..2 {
        assert_eq!(capable(guarded(&space, "gcc", "-Wall")), expected);
    }
}

/// The text that a terminal got, escaped, without the links of a capable one.
fn shown(text: &[u8]) -> String {
    let mut text = String::from_utf8(text.to_vec()).expect("compilers write text");
    while let Some(start) = text.find("\x1b]8;;") {
        let length = text[start..].find(['\x07', '\\']).expect("a link ends");
        text.replace_range(start..=start + length, "");
    }
    text.escape_default().to_string()
}
