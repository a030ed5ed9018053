//! A terminal of a test's own, to which a program's standard error is connected.

use std::fs::File;
use std::io::Read;
use std::os::fd::{FromRawFd, OwnedFd};
use std::process::{Command, ExitStatus, Stdio};

/// Runs a program with its standard error on a new terminal; returns its status and what the terminal got.
pub fn on_terminal(mut command: Command) -> (ExitStatus, Vec<u8>) {
    let (mut ours, theirs) = open();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(theirs)
        .spawn()
        .expect("the program starts");
    // The command keeps the terminal's other end open for further starts; without that we see the end of the output.
    drop(command);
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        let mut piece = [0; 4096];
        // The end is an error (EIO) on Linux, an empty read elsewhere.
        while let Ok(length @ 1..) = ours.read(&mut piece) {
            text.extend_from_slice(&piece[..length]);
        }
        text
    });
    let status = child.wait().expect("the child is ours");
    (status, reader.join().expect("the reader does not panic"))
}

/// A terminal: our end, and the end for a program.
fn open() -> (File, OwnedFd) {
    let (mut ours, mut theirs) = (-1, -1);
    // SAFETY: two places for descriptors; the other pointers may be null.
    let opened = unsafe {
        libc::openpty(
            &mut ours,
            &mut theirs,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
        )
    };
    assert_eq!(
        opened,
        0,
        "no terminal: {}",
        std::io::Error::last_os_error()
    );
    for descriptor in [ours, theirs] {
        // SAFETY: openpty has just opened it. Without this flag other tests' programs would inherit it and hold the terminal open.
        unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    // SAFETY: both descriptors are open, and nobody else owns them.
    unsafe { (File::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)) }
}
