//! Runs the real compiler: the only place that spawns or execs on its behalf.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};

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
    /// Something came on the standard output that was passed on.
    pub printed: bool,
    /// Nobody reads our stderr: writing to it would have ended the command.
    pub unread: bool,
}

/// Files in the place of the command's standard input and output; `None`: they are ours.
#[derive(Debug, Default)]
pub struct Redirect {
    /// Read by the command.
    pub stdin: Option<File>,
    /// Written by the command.
    pub stdout: Option<File>,
    /// Standard output goes the way of stderr: they are one file, and what is written to both keeps its order.
    pub together: bool,
    /// Standard output is passed on as it comes, and looked at.
    pub tee: bool,
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
        let mut pipes = Vec::new();
        if redirect.tee {
            let (reader, writer) = io::pipe()?;
            command.stdout(writer);
            pipes.push((Stream::Stdout, reader));
        }
        if stderr != Stderr::Inherit {
            let (reader, writer) = io::pipe()?;
            if redirect.together {
                command.stdout(writer.try_clone()?);
            }
            command.stderr(writer);
            pipes.push((Stream::Stderr, reader));
        }
        let mut child = command.spawn()?;
        // It holds the other end of the pipe.
        drop(command);
        signals::set_child(child.id() as i32);
        let mut sink = Sink {
            live: stderr == Stderr::Tee,
            rewrite,
            kept: Vec::new(),
            line: Vec::new(),
            overflow: false,
            printed: false,
            unread: false,
        };
        let early = drain(&mut child, pipes, &mut sink)?;
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
            printed: sink.printed,
            unread: sink.unread,
        })
    }
}

/// Reads the child's stderr to its end. A daemon that the compiler left behind may hold the pipe open for hours (sccache), so
/// the child's own end is looked at now and then; its status is returned if it was seen so.
fn drain(
    child: &mut Child,
    mut pipes: Vec<(Stream, io::PipeReader)>,
    sink: &mut Sink<'_>,
) -> io::Result<Option<ExitStatus>> {
    let mut chunk = [0u8; 16 * 1024];
    let mut ended = None;
    while !pipes.is_empty() {
        let mut polls: Vec<libc::pollfd> = pipes
            .iter()
            .map(|(_, pipe)| libc::pollfd {
                fd: pipe.as_raw_fd(),
                events: libc::POLLIN,
                revents: 0,
            })
            .collect();
        // SAFETY: as many valid pollfds as are said.
        let ready = unsafe { libc::poll(polls.as_mut_ptr(), polls.len() as libc::nfds_t, 100) };
        if ready == 0 {
            if ended.is_some() {
                return Ok(ended);
            }
            ended = child.try_wait()?;
        } else if ready < 0 {
            let e = io::Error::last_os_error();
            if e.kind() != io::ErrorKind::Interrupted {
                return Err(e);
            }
        }
        for at in (0..pipes.len())
            .rev()
            .filter(|at| ready > 0 && polls[*at].revents != 0)
        {
            match pipes[at].1.read(&mut chunk) {
                Ok(0) => drop(pipes.remove(at)),
                Ok(n) => sink.take(pipes[at].0, &chunk[..n]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
    Ok(ended)
}

/// Where a piece of output came from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stream {
    Stdout,
    Stderr,
}

struct Sink<'a> {
    live: bool,
    rewrite: &'a [(Vec<u8>, Vec<u8>)],
    kept: Vec<u8>,
    line: Vec<u8>,
    overflow: bool,
    printed: bool,
    unread: bool,
}

impl Sink<'_> {
    /// Whole lines go on at once: several compilers share a terminal.
    fn take(&mut self, stream: Stream, bytes: &[u8]) {
        if stream == Stream::Stdout {
            self.printed = true;
            let mut out = io::stdout().lock();
            let _ = out.write_all(bytes).and_then(|()| out.flush());
            return;
        }
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
            self.unread |= !say(&text);
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

/// Whether our standard output and standard error are one file.
pub fn streams_are_one() -> bool {
    let of = |fd: i32| {
        // SAFETY: `stat` is zeroed plain data that fstat fills.
        unsafe {
            let mut stat: libc::stat = std::mem::zeroed();
            (libc::fstat(fd, &mut stat) == 0).then_some((stat.st_dev, stat.st_ino))
        }
    };
    matches!((of(1), of(2)), (Some(a), Some(b)) if a == b)
}

/// Writes to our stderr; one that is closed is no reason to fail. `false`: it is a pipe, and nobody reads it any more.
pub fn say(text: &[u8]) -> bool {
    let written = io::stderr().lock().write_all(text);
    !written.is_err_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}
