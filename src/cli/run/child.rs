//! Runs the command of `objguard run`: waits for it, passes signals on, and lends it a terminal if a status line is drawn.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use super::terminal::Terminal;
use crate::process::Ended;
use crate::signals;

/// How often (ms) the status and the terminal's size are looked at.
const TICK: i32 = 250;

/// A command that has printed nothing for so long is quiet.
const QUIET: Duration = Duration::from_millis(1000);

/// Runs the command to its end. `status` gives the text of the status line.
///
/// # Errors
/// The command can't be started.
pub(super) fn run(
    command: &[OsString],
    variables: &[(OsString, OsString)],
    terminal: Option<Terminal>,
    status: &mut dyn FnMut() -> String,
) -> io::Result<Ended> {
    let mut spawned = Command::new(&command[0]);
    spawned.args(&command[1..]);
    spawned.envs(variables.iter().map(|(n, v)| (n, v)));
    let mut terminal = terminal;
    if let Some(terminal) = &terminal {
        terminal.lend(&mut spawned)?;
    }
    let mut child = spawned.spawn()?;
    // The command's builder holds the lent terminal open.
    drop(spawned);
    if let Some(terminal) = &mut terminal {
        terminal.lent();
    }
    attend(&mut child, terminal, status)
}

fn attend(
    child: &mut Child,
    mut terminal: Option<Terminal>,
    status: &mut dyn FnMut() -> String,
) -> io::Result<Ended> {
    let pid = child.id() as libc::pid_t;
    let end = watch(pid)?;
    let mut passed_on = 0;
    let mut heard = Instant::now();
    loop {
        let fd = terminal.as_ref().and_then(Terminal::fd);
        let (ended, output) = poll(end.as_raw_fd(), fd, TICK);
        // A terminal sends its signals to the command as well; those that a process sent to us alone are passed on.
        let sent = signals::sent();
        if sent != passed_on
            && let Some(signal) = signals::caught()
        {
            passed_on = sent;
            // SAFETY: plain system call; the child isn't reaped before `child.wait` below, so the id is still its own.
            unsafe { libc::kill(pid, signal) };
        }
        if let Some(terminal) = &mut terminal {
            if output {
                terminal.pass_on();
                heard = Instant::now();
            } else {
                terminal.follow_size();
                if heard.elapsed() > QUIET && !ended {
                    terminal.draw(&status());
                }
            }
        }
        if ended {
            break;
        }
    }
    let ended = child.wait()?;
    if let Some(terminal) = &mut terminal {
        terminal.finish();
    }
    Ok(ended.into())
}

/// A stream that is closed when the process has ended; the process stays to be waited for.
fn watch(pid: libc::pid_t) -> io::Result<UnixStream> {
    let (here, there) = UnixStream::pair()?;
    let quiet = SignalsBlocked::new();
    std::thread::Builder::new().spawn(move || {
        // SAFETY: zeroed plain data that waitid fills.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // SAFETY: `info` is valid for the call; WNOWAIT leaves the child to `Child::wait`.
        while unsafe {
            libc::waitid(
                libc::P_PID,
                pid as libc::id_t,
                &mut info,
                libc::WEXITED | libc::WNOWAIT,
            )
        } == -1
            && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
        {}
        drop(there);
    })?;
    drop(quiet);
    Ok(here)
}

/// Blocks signals for threads that are made meanwhile: they are for the main thread, whose waiting they must end.
struct SignalsBlocked(libc::sigset_t);

impl SignalsBlocked {
    fn new() -> SignalsBlocked {
        // SAFETY: both sets are plain data that the calls fill.
        unsafe {
            let mut all: libc::sigset_t = std::mem::zeroed();
            let mut before: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&mut all);
            libc::pthread_sigmask(libc::SIG_BLOCK, &all, &mut before);
            SignalsBlocked(before)
        }
    }
}

impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        // SAFETY: the set was filled by the call that blocked them.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, std::ptr::null_mut()) };
    }
}

/// Waits for the end or for output: whether each is there.
fn poll(end: RawFd, output: Option<RawFd>, timeout: i32) -> (bool, bool) {
    let watched = |fd: Option<RawFd>| libc::pollfd {
        fd: fd.unwrap_or(-1),
        events: libc::POLLIN,
        revents: 0,
    };
    let mut fds = [watched(Some(end)), watched(output)];
    // SAFETY: two valid pollfds; a negative descriptor is passed over (poll(2)).
    let ready = unsafe { libc::poll(fds.as_mut_ptr(), 2, timeout) };
    (
        ready > 0 && fds[0].revents != 0,
        ready > 0 && fds[1].revents != 0,
    )
}
