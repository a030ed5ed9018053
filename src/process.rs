//! Runs the real compiler: the only place that spawns or execs on its behalf.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::signals;

/// A command line of the real compiler.
#[derive(Debug)]
pub struct Invocation<'a> {
    /// What is executed.
    pub program: &'a Path,
    /// How it is called: `argv[0]`, by which a compiler may tell its target.
    pub argv0: &'a OsStr,
    /// The other words.
    pub args: Vec<OsString>,
    /// Value of the mark by which an objguard below steps aside; empty: it needn't.
    pub mark: OsString,
}

/// How a command ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl Ended {
    /// Whether it ended with 0.
    pub fn ok(&self) -> bool {
        *self == Ended::Code(0)
    }

    /// Ends this process in the same way.
    pub fn follow(self) -> ! {
        match self {
            Ended::Code(code) => std::process::exit(code),
            Ended::Signal(signal) => signals::die(signal),
        }
    }
}

impl From<ExitStatus> for Ended {
    fn from(status: ExitStatus) -> Ended {
        match (status.code(), status.signal()) {
            (Some(code), _) => Ended::Code(code),
            (None, Some(signal)) => Ended::Signal(signal),
            (None, None) => Ended::Code(1),
        }
    }
}

/// What becomes of the command's stderr.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stderr {
    /// It is ours: nothing is kept.
    Inherit,
    /// Passed on line by line as it comes, and kept.
    Tee,
    /// Kept only; passed on, or not, by the caller.
    Hold,
}

/// A run and what it said.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended.
    pub ended: Ended,
    /// Its stderr, rewritten; empty if inherited.
    pub stderr: Vec<u8>,
    /// There was more than is kept.
    pub overflow: bool,
}

/// Files in the place of the command's standard input and output; `None`: they are ours.
#[derive(Debug, Default)]
pub struct Redirect {
    /// Read by the command.
    pub stdin: Option<File>,
    /// Written by the command.
    pub stdout: Option<File>,
}

/// More stderr than this (bytes) is passed on but not kept for a replay.
const KEPT_STDERR: usize = 1 << 20;

impl Invocation<'_> {
    fn command(&self) -> Command {
        let mut command = Command::new(self.program);
        command.arg0(self.argv0).args(&self.args);
        if !self.mark.is_empty() {
            command.env(crate::config::INNER, &self.mark);
        }
        command
    }

    /// Replaces this process by the command. Returns only if that fails.
    pub fn exec(&self) -> io::Error {
        self.command().exec()
    }

    /// Runs the command to its end. Occurrences of `rewrite.0` (the scratch path of an output) in its stderr are replaced by
    /// `rewrite.1` (what the user wrote).
    ///
    /// # Errors
    /// The command can't be started: `E2BIG` if what was added made it too long.
    pub fn run(&self, stderr: Stderr, rewrite: &[(Vec<u8>, Vec<u8>)]) -> io::Result<Outcome> {
        self.run_with(Redirect::default(), stderr, rewrite)
    }

    /// [`Self::run`] with other standard input or output.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_with(
        &self,
        redirect: Redirect,
        stderr: Stderr,
        rewrite: &[(Vec<u8>, Vec<u8>)],
    ) -> io::Result<Outcome> {
        let mut command = self.command();
        if let Some(file) = redirect.stdin {
            command.stdin(file);
        }
        if let Some(file) = redirect.stdout {
            command.stdout(file);
        }
        if stderr != Stderr::Inherit {
            command.stderr(Stdio::piped());
        }
        let mut child = command.spawn()?;
        signals::set_child(child.id() as i32);
        let mut sink = Sink {
            live: stderr == Stderr::Tee,
            rewrite,
            kept: Vec::new(),
            line: Vec::new(),
            overflow: false,
        };
        let early = match stderr {
            Stderr::Inherit => None,
            _ => drain(&mut child, &mut sink)?,
        };
        let status = match early {
            Some(status) => status,
            None => child.wait()?,
        };
        signals::set_child(0);
        sink.flush();
        Ok(Outcome {
            ended: status.into(),
            stderr: sink.kept,
            overflow: sink.overflow,
        })
    }
}

/// Reads the child's stderr to its end. A daemon that the compiler left behind may hold the pipe open for hours (sccache), so
/// the child's own end is looked at now and then; its status is returned if it was seen so.
fn drain(child: &mut Child, sink: &mut Sink<'_>) -> io::Result<Option<ExitStatus>> {
    let Some(mut pipe) = child.stderr.take() else {
        return Ok(None);
    };
    let mut chunk = [0u8; 16 * 1024];
    let mut ended = None;
    loop {
        let mut poll = libc::pollfd {
            fd: pipe.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one valid pollfd.
        let ready = unsafe { libc::poll(&mut poll, 1, 100) };
        match ready {
            0 => {
                if ended.is_some() {
                    return Ok(ended);
                }
                ended = child.try_wait()?;
            }
            n if n < 0 => {
                let e = io::Error::last_os_error();
                if e.kind() != io::ErrorKind::Interrupted {
                    return Err(e);
                }
            }
            _ => match pipe.read(&mut chunk) {
                Ok(0) => return Ok(ended),
                Ok(n) => sink.take(&chunk[..n]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            },
        }
    }
}

struct Sink<'a> {
    live: bool,
    rewrite: &'a [(Vec<u8>, Vec<u8>)],
    kept: Vec<u8>,
    line: Vec<u8>,
    overflow: bool,
}

impl Sink<'_> {
    /// Whole lines go on at once: several compilers share a terminal.
    fn take(&mut self, bytes: &[u8]) {
        self.line.extend_from_slice(bytes);
        if let Some(end) = self.line.iter().rposition(|b| *b == b'\n') {
            let rest = self.line.split_off(end + 1);
            let whole = std::mem::replace(&mut self.line, rest);
            self.emit(&whole);
        }
    }

    fn flush(&mut self) {
        let rest = std::mem::take(&mut self.line);
        if !rest.is_empty() {
            self.emit(&rest);
        }
    }

    fn emit(&mut self, text: &[u8]) {
        let text = rewritten(text, self.rewrite);
        if self.live {
            say(&text);
        }
        // What is held back must be complete; what was passed on need only be kept for a replay.
        if self.live && self.kept.len() + text.len() > KEPT_STDERR {
            self.overflow = true;
        } else {
            self.kept.extend_from_slice(&text);
        }
    }
}

/// The text with every occurrence of the first of a pair replaced by the second.
pub fn rewritten<'a>(text: &'a [u8], rewrite: &[(Vec<u8>, Vec<u8>)]) -> Cow<'a, [u8]> {
    let mut text = Cow::Borrowed(text);
    for (from, to) in rewrite {
        if memchr::memmem::find(&text, from).is_some() {
            text = replaced(&text, from, to).into();
        }
    }
    text
}

fn replaced(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    for hit in memchr::memmem::find_iter(text, from) {
        out.extend_from_slice(&text[at..hit]);
        out.extend_from_slice(to);
        at = hit + from.len();
    }
    out.extend_from_slice(&text[at..]);
    out
}

/// Writes to our stderr; one that is closed is no reason to fail.
pub fn say(text: &[u8]) {
    let _ = io::stderr().lock().write_all(text);
}
