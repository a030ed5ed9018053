//! A status line under the output of a quiet command.
//!
//! To know when the command is quiet, and to take the line away before it prints, its output goes through a pseudo-terminal of
//! ours: the command still sees a terminal of the same size, and every byte is passed on as it is. Its input, its controlling
//! terminal and with them job control and prompts remain the real one's. Only used if stderr is a terminal.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Seek, SeekFrom};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Saves the cursor; a line below there must be, so one is made first (IND, RI).
const TO_LINE_BELOW: &[u8] = b"\x1bD\x1bM\x1b7\x1bD\r";
const TO_THIS_LINE: &[u8] = b"\x1b7";
const BACK: &[u8] = b"\x1b8";
const CLEAR_REST: &[u8] = b"\x1b[K";

/// The pseudo-terminal and what is drawn on the real one.
pub(super) struct Terminal {
    master: Option<File>,
    slave: Option<OwnedFd>,
    size: libc::winsize,
    /// The command's last output ended a line, so the cursor is at the start of one.
    at_start: bool,
    /// A status line is there, on the cursor's line (`true`) or below it.
    drawn: Option<bool>,
    /// What it says.
    text: String,
}

impl Terminal {
    /// Opens a pseudo-terminal like the one that stderr is; `None` if it is none, or none that can be drawn on.
    pub(super) fn open() -> Option<Terminal> {
        if !super::can_draw() {
            return None;
        }
        let size = size_of(libc::STDERR_FILENO)?;
        // SAFETY: zeroed plain data that tcgetattr fills.
        let mut modes: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: `modes` is valid for the call to fill.
        if unsafe { libc::tcgetattr(libc::STDERR_FILENO, &mut modes) } != 0 {
            return None;
        }
        // The real terminal turns newlines into what it needs; done twice, it would be done wrong.
        modes.c_oflag &= !libc::OPOST;
        let (mut master, mut slave) = (-1, -1);
        // SAFETY: both descriptors are written to on success; the name is not wanted.
        let opened =
            unsafe { libc::openpty(&mut master, &mut slave, std::ptr::null_mut(), &modes, &size) };
        if opened != 0 {
            return None;
        }
        // SAFETY: openpty gave two descriptors that nobody else owns.
        let (master, slave) =
            unsafe { (OwnedFd::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) };
        for fd in [master.as_raw_fd(), slave.as_raw_fd()] {
            // SAFETY: plain system call on a descriptor of ours.
            unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
        // SAFETY: plain system calls on a descriptor of ours.
        unsafe {
            let flags = libc::fcntl(master.as_raw_fd(), libc::F_GETFL);
            libc::fcntl(master.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK);
        }
        Some(Terminal {
            master: Some(File::from(master)),
            slave: Some(slave),
            size,
            at_start: true,
            drawn: None,
            text: String::new(),
        })
    }

    /// Makes the command write to the pseudo-terminal where it would write to the real one.
    pub(super) fn lend(&self, command: &mut Command) -> io::Result<()> {
        let slave = self.slave.as_ref().expect("it is lent once");
        command.stderr(Stdio::from(slave.try_clone()?));
        if io::stdout().is_terminal() {
            command.stdout(Stdio::from(slave.try_clone()?));
        }
        Ok(())
    }

    /// The command has its own descriptors now.
    pub(super) fn lent(&mut self) {
        self.slave = None;
    }

    /// Where the output comes from, as long as somebody may write.
    pub(super) fn fd(&self) -> Option<RawFd> {
        self.master.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// Passes on what there is.
    pub(super) fn pass_on(&mut self) {
        let mut chunk = [0u8; 16 * 1024];
        let Some(master) = &mut self.master else {
            return;
        };
        match master.read(&mut chunk) {
            Ok(n) if n > 0 => {
                self.erase();
                self.at_start = chunk[n - 1] == b'\n';
                crate::process::say(&chunk[..n]);
            }
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
                ) => {}
            // All who could write have closed it.
            _ => self.master = None,
        }
    }

    /// Passes on the rest, and takes the status line away. A daemon that the command left behind may hold the terminal open:
    /// what is there counts, not its end.
    pub(super) fn finish(&mut self) {
        while let Some(fd) = self.fd() {
            let mut ready = libc::pollfd {
                fd,
                events: libc::POLLIN,
                revents: 0,
            };
            // SAFETY: one valid pollfd.
            if unsafe { libc::poll(&mut ready, 1, 0) } <= 0 {
                break;
            }
            self.pass_on();
        }
        self.erase();
        if !self.at_start {
            crate::process::say(b"\n");
            self.at_start = true;
        }
    }

    /// Gives the pseudo-terminal the real one's size, if that has changed.
    pub(super) fn follow_size(&mut self) {
        let (Some(size), Some(fd)) = (size_of(libc::STDERR_FILENO), self.fd()) else {
            return;
        };
        if (size.ws_row, size.ws_col) != (self.size.ws_row, self.size.ws_col) {
            self.size = size;
            // SAFETY: `size` is a valid winsize that lives during the call.
            unsafe { libc::ioctl(fd, libc::TIOCSWINSZ, &size) };
        }
    }

    /// Draws the status line, or draws it anew; not from the background.
    pub(super) fn draw(&mut self, text: &str) {
        // SAFETY: plain system calls without pointers.
        let in_front = unsafe { libc::tcgetpgrp(libc::STDERR_FILENO) == libc::getpgrp() };
        if !in_front || (self.drawn.is_some() && self.text == text) {
            return;
        }
        text.clone_into(&mut self.text);
        let here = self.drawn.unwrap_or(self.at_start);
        let columns = usize::from(self.size.ws_col).max(20) - 1;
        let shown: String = text.chars().take(columns).collect();
        let to = if here { TO_THIS_LINE } else { TO_LINE_BELOW };
        crate::process::say(&[to, shown.as_bytes(), CLEAR_REST, BACK].concat());
        self.drawn = Some(here);
    }

    fn erase(&mut self) {
        if let Some(here) = self.drawn.take() {
            let to = if here { TO_THIS_LINE } else { TO_LINE_BELOW };
            crate::process::say(&[to, CLEAR_REST, BACK].concat());
        }
    }
}

fn size_of(fd: RawFd) -> Option<libc::winsize> {
    // SAFETY: zeroed plain data that the call fills.
    let mut size: libc::winsize = unsafe { std::mem::zeroed() };
    // SAFETY: `size` is valid for the call.
    (unsafe { libc::ioctl(fd, libc::TIOCGWINSZ, &mut size) } == 0).then_some(size)
}

/// Reads a growing log for the status line: whole lines, counted without being understood.
pub(super) struct Tail {
    path: PathBuf,
    at: u64,
    rest: Vec<u8>,
    compiled: usize,
    reused: usize,
    linked: usize,
}

impl Tail {
    /// A tail of the log at `path`, from the byte `from` on.
    pub(super) fn of(path: &Path, from: u64) -> Tail {
        Tail {
            path: path.to_owned(),
            at: from,
            rest: Vec::new(),
            compiled: 0,
            reused: 0,
            linked: 0,
        }
    }

    /// The status after `elapsed`.
    pub(super) fn status(&mut self, elapsed: Duration) -> String {
        // A status that can't be read is an old one.
        let _ = self.read();
        let s = elapsed.as_secs();
        format!(
            "objguard: {}:{:02}, compiled {}, reused {}, linked {}",
            s / 60,
            s % 60,
            self.compiled,
            self.reused,
            self.linked
        )
    }

    fn read(&mut self) -> io::Result<()> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.at))?;
        let before = self.rest.len();
        file.read_to_end(&mut self.rest)?;
        self.at += (self.rest.len() - before) as u64;
        let Some(end) = memchr::memrchr(b'\n', &self.rest) else {
            return Ok(());
        };
        let rest = self.rest.split_off(end + 1);
        let whole = std::mem::replace(&mut self.rest, rest);
        let has = |line: &[u8], field: &[u8]| memchr::memmem::find(line, field).is_some();
        for line in whole.split(|b| *b == b'\n') {
            if has(line, b"\"kind\":\"link\"") {
                self.linked += 1;
            } else if has(line, b"\"what\":\"skip\"") || has(line, b"\"what\":\"republish\"") {
                self.reused += 1;
            } else if has(line, b"\"kind\":\"compile\"") {
                self.compiled += 1;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn the_tail_counts_whole_lines() {
        let path = std::env::temp_dir().join(format!("objguard-tail-{}", std::process::id()));
        std::fs::write(
            &path,
            "{\"kind\":\"compile\",\"what\":\"compile\"}\n{\"kind\":\"compile\",\"wh",
        )
        .unwrap();
        let mut tail = Tail::of(&path, 0);
        assert_eq!(
            tail.status(Duration::from_secs(61)),
            "objguard: 1:01, compiled 1, reused 0, linked 0"
        );
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap();
        file.write_all(b"at\":\"skip\"}\n{\"kind\":\"link\",\"what\":\"link\"}\n")
            .unwrap();
        assert_eq!(
            tail.status(Duration::from_secs(2)),
            "objguard: 0:02, compiled 1, reused 1, linked 1"
        );
        std::fs::remove_file(&path).unwrap();
    }
}
