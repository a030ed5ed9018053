//! `objguard run` on a terminal: the status line.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::{Command, Stdio};

use super::run_script;
use super::space::TestSpace;

/// Runs a command with its output on a pseudo-terminal of 80 columns; gives what it wrote there.
fn on_terminal(mut command: Command) -> (String, std::process::ExitStatus) {
    let (mut master, mut slave) = (-1, -1);
    let size = libc::winsize {
        ws_row: 24,
        ws_col: 80,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: both descriptors are written to on success; name and modes are not given.
    let opened = unsafe {
        libc::openpty(
            &mut master,
            &mut slave,
            std::ptr::null_mut(),
            std::ptr::null(),
            &size,
        )
    };
    assert_eq!(opened, 0, "cannot open a pseudo-terminal");
    // SAFETY: openpty gave two descriptors that nobody else owns.
    let (master, slave) = unsafe { (File::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) };
    // SAFETY: plain system call on a descriptor of ours: the command must not hold the terminal's other end.
    unsafe { libc::fcntl(master.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
    command
        .env("TERM", "xterm")
        .stdin(slave.try_clone().unwrap());
    command
        .stdout(slave.try_clone().unwrap())
        .stderr(Stdio::from(slave));
    // The terminal must be the command's own for it to be in front.
    // SAFETY: only async-signal-safe calls between fork and exec.
    unsafe {
        std::os::unix::process::CommandExt::pre_exec(&mut command, || {
            libc::setsid();
            libc::ioctl(0, libc::TIOCSCTTY, 0);
            Ok(())
        });
    }
    let mut child = command.spawn().expect("cannot run the command");
    drop(command);
    let mut text = Vec::new();
    let mut chunk = [0u8; 4096];
    let mut master = master;
    // The end of a pseudo-terminal is an error (EIO).
    while let Ok(n @ 1..) = master.read(&mut chunk) {
        text.extend_from_slice(&chunk[..n]);
    }
    let status = child.wait().expect("the child is ours");
    (String::from_utf8_lossy(&text).into_owned(), status)
}

/// What a terminal of 80 columns shows in the end: enough of one for what is used here.
fn screen(text: &str) -> Vec<String> {
    let mut lines: Vec<Vec<char>> = vec![Vec::new()];
    let (mut row, mut column, mut saved) = (0, 0, (0, 0));
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\r' => column = 0,
            '\n' => row += 1,
            '\x1b' => match chars.next() {
                Some('7') => saved = (row, column),
                Some('8') => (row, column) = saved,
                Some('D') => row += 1,
                Some('M') => row -= 1,
                Some('[') => {
                    assert_eq!(
                        chars.next(),
                        Some('K'),
                        "an escape sequence that isn't used: {text:?}"
                    );
                    lines[row].truncate(column);
                }
                other => panic!("an escape sequence that isn't used: {other:?} in {text:?}"),
            },
            c => {
                while lines[row].len() <= column {
                    lines[row].push(' ');
                }
                lines[row][column] = c;
                column += 1;
            }
        }
        while lines.len() <= row {
            lines.push(Vec::new());
        }
    }
    lines
        .into_iter()
        .map(|l| l.into_iter().collect::<String>().trim_end().to_owned())
        .collect()
}

#[test]
fn a_quiet_build_has_a_status_line_that_goes_again() {
    let space = TestSpace::new("a_quiet_build_has_a_status_line_that_goes_again");
    space.write("x.c", "int x;\n");
    // The status appears when the build has been quiet for a second: this is about time, so time must pass.
    let script =
        "echo start; $CC -c x.c; printf 'Building... '; sleep 2; echo done; sleep 2; exit 3";
    let (text, status) = on_terminal(run_script(&space, "-j1", script));
    assert_eq!(status.code(), Some(3), "{text:?}");
    assert!(
        text.contains("objguard: 0:01, compiled 1, reused 0, linked 0"),
        "{text:?}"
    );
    let screen = screen(&text);
    assert_eq!(screen[..2], ["start", "Building... done"], "{text:?}");
    assert!(
        screen[2].starts_with("objguard: compiles run 1,"),
        "{screen:#?}"
    );
}

#[test]
fn the_build_still_sees_a_terminal_of_the_same_size() {
    let space = TestSpace::new("the_build_still_sees_a_terminal_of_the_same_size");
    let script = "for fd in 0 1 2; do test -t $fd && echo yes; done; stty size <&1";
    let (text, status) = on_terminal(run_script(&space, "-j1", script));
    assert!(status.success(), "{text:?}");
    assert!(
        text.starts_with("yes\r\nyes\r\nyes\r\n24 80\r\n"),
        "{text:?}"
    );
}

#[test]
fn without_a_summary_there_is_no_status_either() {
    let space = TestSpace::new("without_a_summary_there_is_no_status_either");
    let (text, _) = on_terminal(run_script(
        &space,
        "-j1 --no-summary",
        "echo start; sleep 1.6; echo end",
    ));
    assert_eq!(text, "start\r\nend\r\n");
}

#[test]
fn a_dumb_terminal_is_not_drawn_on() {
    let space = TestSpace::new("a_dumb_terminal_is_not_drawn_on");
    let mut inner = space.command("env");
    let script = run_script(&space, "-j1", "sleep 1.6; echo end");
    inner
        .arg("TERM=dumb")
        .arg(script.get_program())
        .args(script.get_args());
    let (text, _) = on_terminal(inner);
    assert!(text.starts_with("end\r\nobjguard: no compile"), "{text:?}");
}
