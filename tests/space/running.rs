//! Programs that tests start: run to the end, or kept running while the test does something else.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{PATIENCE, wait_until};

/// A finished program.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    shown: String,
}

impl Outcome {
    /// Runs `command` to its end.
    pub fn of(command: Command) -> Outcome {
        Running::start(command).finish()
    }

    /// The program must have ended with 0.
    #[track_caller]
    pub fn success(self) -> Outcome {
        assert!(self.status.success(), "{self}");
        self
    }

    /// The program must have ended with 0 and printed nothing.
    #[track_caller]
    pub fn quiet(self) -> Outcome {
        assert!(
            self.status.success() && self.stdout.is_empty() && self.stderr.is_empty(),
            "{self}"
        );
        self
    }

    /// The program must have ended with this exit code.
    #[track_caller]
    pub fn code(self, code: i32) -> Outcome {
        assert_eq!(self.status.code(), Some(code), "{self}");
        self
    }

    /// The program must have died of this signal.
    #[track_caller]
    pub fn signal(self, signal: i32) -> Outcome {
        assert_eq!(self.status.signal(), Some(signal), "{self}");
        self
    }

    /// The program must have failed by itself, with one line on standard error that contains all of `words`.
    #[track_caller]
    pub fn one_line(self, words: &[&str]) -> Outcome {
        assert!(
            self.status.code().is_some_and(|code| code != 0),
            "it should fail: {self}"
        );
        assert_eq!(
            self.stderr.lines().count(),
            1,
            "one line is expected: {self}"
        );
        self.says(words)
    }

    /// All of `words` must be in standard error.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Outcome {
        for word in words {
            assert!(self.stderr.contains(word), "`{word}` is missing: {self}");
        }
        self
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(to, "{}\nended with {}", self.shown, self.status)?;
        writeln!(
            to,
            "standard output: {}\nstandard error: {}",
            self.stdout, self.stderr
        )
    }
}

/// A program that runs in a process group of its own. Dropped, it is killed with all it started.
pub struct Running {
    child: Child,
    shown: String,
    output: Vec<JoinHandle<String>>,
    orphans: bool,
}

impl Running {
    /// Starts `command`; its output is collected.
    pub fn start(mut command: Command) -> Running {
        let shown = format!("{command:?}");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        // Whoever runs the tests in the background has them ignored (POSIX, asynchronous lists; nohup(1)).
        // SAFETY: signal(2) is safe between fork and exec.
        unsafe {
            command.pre_exec(|| {
                for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP, libc::SIGTERM] {
                    libc::signal(signal, libc::SIG_DFL);
                }
                Ok(())
            });
        }
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {shown}: {error}"));
        let stdout = collect(child.stdout.take().expect("it is piped"));
        let stderr = collect(child.stderr.take().expect("it is piped"));
        Running {
            child,
            shown,
            output: vec![stdout, stderr],
            orphans: false,
        }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end of the program, and of everything that holds its output open.
    pub fn finish(self) -> Outcome {
        self.finish_within(PATIENCE)
    }

    /// The same for a program that may take longer.
    pub fn finish_within(mut self, patience: Duration) -> Outcome {
        let start = Instant::now();
        let mut pause = Duration::from_micros(200);
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("the child is ours") {
                break status;
            }
            assert!(start.elapsed() < patience, "does not end: {}", self.shown);
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(5));
        };
        let mut texts = self
            .output
            .drain(..)
            .map(|thread| thread.join().expect("the reader does not panic"));
        let (stdout, stderr) = (
            texts.next().expect("two readers"),
            texts.next().expect("two readers"),
        );
        drop(texts);
        Outcome {
            status,
            stdout,
            stderr,
            shown: std::mem::take(&mut self.shown),
        }
    }

    /// Whether the program has ended.
    pub fn ended(&mut self) -> bool {
        self.child.try_wait().expect("the child is ours").is_some()
    }

    /// Sends a signal to the program alone, not to what it started.
    pub fn send(&self, signal: i32) {
        // SAFETY: the child has not been waited for, so the id is still its own.
        let sent = unsafe { libc::kill(self.child.id() as i32, signal) };
        assert_eq!(sent, 0, "cannot signal {}", self.shown);
    }

    /// Sends a signal to the program and all it started, as a terminal does.
    pub fn send_to_group(&self, signal: i32) {
        // SAFETY: the child has not been waited for, so the group is still its own.
        let sent = unsafe { libc::kill(-(self.child.id() as i32), signal) };
        assert_eq!(sent, 0, "cannot signal {}", self.shown);
    }

    /// Kills the program alone and waits for its death; what it started runs on.
    pub fn kill(&mut self) {
        self.orphans = true;
        self.child.kill().expect("the child is ours");
        self.child.wait().expect("the child is ours");
    }

    /// Waits until the program sleeps and has no child: it waits for somebody else. Without /proc, does nothing.
    ///
    /// Tests may use it to make a situation likely, never to make a result true.
    pub fn until_it_waits(&mut self) {
        if !cfg!(target_os = "linux") {
            return;
        }
        let pid = self.pid();
        let mut looks = 0;
        wait_until("a process that waits", || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let state = stat
                .rsplit_once(") ")
                .and_then(|(_, rest)| rest.chars().next());
            let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
                .unwrap_or_default();
            looks = if state == Some('S') && children.is_empty() {
                looks + 1
            } else {
                0
            };
            looks == 10 || self.ended()
        });
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended() || self.orphans {
            // SAFETY: the group is ours: its leader is not waited for yet, or was killed among others of the group.
            unsafe { libc::kill(-(self.child.id() as i32), libc::SIGKILL) };
            let _ = self.child.wait();
        }
    }
}

fn collect(mut pipe: impl std::io::Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
