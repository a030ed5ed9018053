//! Runs a compiler, or a loader, to ask it something: no terminal, nothing left behind.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Which of its outputs is wanted; the other one goes nowhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wanted {
    Stdout,
    Stderr,
}

/// What it said, and whether it ended with 0.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) text: Vec<u8>,
    pub(super) ok: bool,
}

/// Variables that would make a compiler write a file or say more when it is only asked something. gcc's two append to the
/// user's dependency files, clang's `CC_…` write logs.
const SILENCED: [&str; 9] = [
    "DEPENDENCIES_OUTPUT",
    "SUNPRO_DEPENDENCIES",
    "CC_PRINT_OPTIONS",
    "CC_PRINT_OPTIONS_FILE",
    "CC_PRINT_HEADERS",
    "CC_PRINT_HEADERS_FILE",
    "CC_LOG_DIAGNOSTICS",
    "CC_PRINT_PROC_STAT",
    "CC_PRINT_INTERNAL_STAT",
];

/// More than any compiler has to say (bytes); what goes on after that is no answer.
const LONGEST: usize = 4 << 20;

/// Runs `program` with `args` in `environment`, in the C locale, and with `mark`, by which an objguard below steps aside.
///
/// # Errors
/// It can't be started.
pub(super) fn ask(
    program: &Path,
    argv0: &OsStr,
    args: &[&OsStr],
    environment: &[(OsString, OsString)],
    mark: &OsStr,
    wanted: Wanted,
) -> io::Result<Answer> {
    let mut command = Command::new(program);
    command.arg0(argv0).args(args).env_clear();
    command.envs(
        environment
            .iter()
            .filter(|(name, _)| SILENCED.iter().all(|s| name != s))
            .map(|(name, value)| (name, value)),
    );
    // ccache would count the call in its statistics, or keep the output.
    command
        .env("LC_ALL", "C")
        .env("CCACHE_DISABLE", "1")
        .env(crate::config::INNER, mark);
    command.stdin(Stdio::null());
    match wanted {
        Wanted::Stdout => command.stdout(Stdio::piped()).stderr(Stdio::null()),
        Wanted::Stderr => command.stdout(Stdio::null()).stderr(Stdio::piped()),
    };
    let mut child = command.spawn()?;
    match wanted {
        Wanted::Stdout => child
            .stdout
            .take()
            .map_or(Ok(Vec::new()), |pipe| drain(pipe, &mut child)),
        Wanted::Stderr => child
            .stderr
            .take()
            .map_or(Ok(Vec::new()), |pipe| drain(pipe, &mut child)),
    }
    .and_then(|text| {
        Ok(Answer {
            text,
            ok: child.wait()?.success(),
        })
    })
}

/// Reads to the end. What the child leaves behind (sccache's server) may hold the pipe open for hours, so the child's own end
/// is looked at now and then.
fn drain(mut pipe: impl Read + AsRawFd, child: &mut Child) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let mut chunk = [0; 8 << 10];
    let mut ended = false;
    loop {
        let mut poll = libc::pollfd {
            fd: pipe.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: `poll` is one valid pollfd, alive during the call.
        match unsafe { libc::poll(&mut poll, 1, 100) } {
            0 if ended => return Ok(text),
            0 => ended = child.try_wait()?.is_some(),
            _ => match pipe.read(&mut chunk) {
                Ok(0) => return Ok(text),
                // Past the limit it is read and forgotten, lest the child wait for us.
                Ok(n) if text.len() < LONGEST => text.extend_from_slice(&chunk[..n]),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            },
        }
    }
}
