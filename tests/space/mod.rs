//! A place for one test: a folder of its own, programs run in a clean environment, and hand-shakes through FIFOs.
//!
//! ```ignore
//! let space = TestSpace::new("umask");
//! space.write("x.c", "int x;\n");
//! space.cc("-c x.c -o x.o").quiet();
//! ```
//!
//! The folder goes when the test passes. When it fails the folder stays, and the command that repeats the test is
//! printed. Nothing of the caller's environment but PATH reaches the programs; HOME, TMPDIR and the cache are below
//! the folder. Whatever a test leaves running is killed at its end, so that a failing test cannot hang the others.

#![allow(dead_code, reason = "each test binary uses a part of it")]

mod fake;
mod fifo;
mod running;

#[allow(unused_imports, reason = "each test binary uses a part of it")]
pub use {fake::Fake, fifo::Fifo, running::Outcome, running::Running};

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long a hand-shake may take before the test fails. Long, because the machine may be busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The wrapper under test as cargo built it.
pub const WRAPPER: &str = env!("CARGO_BIN_EXE_objguard-cc");

/// Copies a program, by another process: were it this one that writes, a child that another test forks meanwhile would hold the
/// copy open for writing, and it could not be run (execve(2), ETXTBSY).
pub fn copy_program(from: impl AsRef<Path>, to: impl AsRef<Path>) {
    let mut command = Command::new("cp");
    command.arg("-p").arg(from.as_ref()).arg(to.as_ref());
    let done = command.status();
    assert!(
        done.is_ok_and(|s| s.success()),
        "cannot copy {}",
        from.as_ref().display()
    );
}

/// The archiver's wrapper as cargo built it.
pub const ARCHIVER: &str = env!("CARGO_BIN_EXE_objguard-ar");

/// The user's command as cargo built it.
pub const OBJGUARD: &str = env!("CARGO_BIN_EXE_objguard");

/// One test's folder and what runs in it.
pub struct TestSpace {
    test: String,
    root: PathBuf,
}

impl TestSpace {
    /// Makes the folder. `test` is the name of the test's function, and goes into the folder's.
    pub fn new(test: &str) -> TestSpace {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("objguard-{test}-{}-{number}", std::process::id());
        let root = std::env::temp_dir().join(name);
        fs::create_dir(&root)
            .unwrap_or_else(|error| panic!("cannot create `{}`: {error}", root.display()));
        // Without symbolic links, so that a test can compare names the compiler embeds.
        let root = root.canonicalize().expect("the folder was just made");
        for folder in ["work", "home", "cache", "tmp"] {
            fs::create_dir(root.join(folder)).expect("the parent was just made");
        }
        TestSpace {
            test: test.to_owned(),
            root,
        }
    }

    /// The absolute path of `name` in the folder the commands run in.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root.join("work").join(name)
    }

    /// The absolute path of `name` outside the folder the commands run in.
    pub fn aside(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root.join(name)
    }

    /// Writes a file, and the folders it needs.
    pub fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a file has a folder"))
            .expect("cannot make the file's folder");
        fs::write(&path, content)
            .unwrap_or_else(|error| panic!("cannot write `{}`: {error}", path.display()));
        path
    }

    /// Writes a program.
    pub fn script(&self, name: impl AsRef<Path>, content: &str) -> PathBuf {
        let path = self.write(name, "");
        let text = self.write(self.aside("script"), content);
        copy_program(text, &path);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
            .expect("the file was just written");
        path
    }

    /// What a file holds.
    pub fn read(&self, name: impl AsRef<Path>) -> Vec<u8> {
        let path = self.path(name);
        fs::read(&path).unwrap_or_else(|error| panic!("cannot read `{}`: {error}", path.display()))
    }

    /// What a file holds, as text.
    pub fn text(&self, name: impl AsRef<Path>) -> String {
        String::from_utf8(self.read(name)).expect("the file is text")
    }

    /// Whether there is such a file.
    pub fn has(&self, name: impl AsRef<Path>) -> bool {
        self.path(name).symlink_metadata().is_ok()
    }

    /// The permission bits of a file.
    pub fn mode(&self, name: impl AsRef<Path>) -> u32 {
        let path = self.path(name);
        let found = path
            .metadata()
            .unwrap_or_else(|error| panic!("cannot read `{}`: {error}", path.display()));
        found.mode() & 0o7777
    }

    /// Every file below the folder the commands run in, relative to it and sorted; state folders' content as well.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut found = self.entries();
        found.retain(|name| !self.path(name).is_dir() || self.path(name).is_symlink());
        found
    }

    /// Scratch, in a state folder or beside it.
    pub fn scratch(&self) -> Vec<PathBuf> {
        let mut found = self.entries();
        found.retain(|name| {
            let name = format!("/{}", name.display());
            name.contains("/.objguard/tmp/") || name.contains("/.objguard-")
        });
        found
    }

    /// No finished command may have left scratch.
    #[track_caller]
    pub fn assert_no_scratch(&self) {
        let found = self.scratch();
        assert!(found.is_empty(), "scratch stays: {found:?}");
    }

    fn entries(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.path("")];
        while let Some(folder) = folders.pop() {
            // A folder may go while it is looked through.
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    folders.push(entry.path());
                }
                found.push(
                    entry
                        .path()
                        .strip_prefix(self.path(""))
                        .expect("it is below")
                        .to_owned(),
                );
            }
        }
        found.sort();
        found
    }

    /// Waits until files written so far are older than anything that is written from now on, as the file system
    /// counts: an input as young as the compile that reads it is rightly not trusted for a later skip.
    pub fn settle(&self) {
        let probe = self.aside("tmp/clock");
        let clock = || {
            fs::write(&probe, "").expect("the folder is ours");
            let now = probe.metadata().expect("the file was just written");
            (now.ctime(), now.ctime_nsec())
        };
        let before = clock();
        // Two ticks: the file system's clock may be read a little late.
        let mut ticks = 0;
        let mut last = before;
        while ticks < 2 {
            std::thread::sleep(Duration::from_millis(1));
            let now = clock();
            if now > last {
                last = now;
                ticks += 1;
            }
        }
    }

    /// A program in the clean environment, in this folder.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.path("")).env_clear();
        command.env("PATH", std::env::var_os("PATH").expect("PATH is set"));
        command
            .env("HOME", self.aside("home"))
            .env("XDG_CACHE_HOME", self.aside("cache"));
        command.env("TMPDIR", self.aside("tmp")).env("LC_ALL", "C");
        command
    }

    /// The wrapper around gcc, with these arguments (separated by blanks).
    pub fn wrapper(&self, args: &str) -> Command {
        let mut command = self.command(WRAPPER);
        command
            .env("OBJGUARD_CC", "gcc")
            .args(args.split_whitespace());
        command
    }

    /// Runs the wrapper around gcc to its end.
    pub fn cc(&self, args: &str) -> Outcome {
        Outcome::of(self.wrapper(args))
    }

    /// Runs plain gcc to its end: what the wrapper is compared with.
    pub fn gcc(&self, args: &str) -> Outcome {
        let mut command = self.command("gcc");
        command.args(args.split_whitespace());
        Outcome::of(command)
    }

    /// Runs a program of this folder and returns what it prints, trimmed.
    pub fn run(&self, program: &str) -> String {
        let outcome = Outcome::of(self.command(self.path(program)));
        outcome.success().stdout.trim().to_owned()
    }

    /// Makes a FIFO for a hand-shake.
    pub fn fifo(&self, name: &str) -> Fifo {
        Fifo::new(self.path(name))
    }
}

impl Drop for TestSpace {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // A compiler that a test's process left behind may still write for a moment; then the folder just stays.
            let _ = fs::remove_dir_all(&self.root);
            return;
        }
        let own = std::env::current_exe().unwrap_or_default();
        let name = own
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let binary = name
            .rsplit_once('-')
            .map_or(name.as_str(), |(binary, _hash)| binary);
        // The test runner names a test's thread after it, with the modules before, unless it runs tests in its own.
        let thread = std::thread::current();
        let filter = match thread.name() {
            Some(full) if full.ends_with(&self.test) => format!("--exact {full}"),
            _ => self.test.clone(),
        };
        eprintln!("kept: {}", self.root.display());
        eprintln!("repeat: cargo test --test {binary} -- {filter} --nocapture");
    }
}

/// Waits until `done` holds, looking often. For what has no hand-shake, such as another program's death.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whether `program` is on PATH. If not, says by name which test can't run here, past the test runner's capture;
/// with OBJGUARD_TEST_ALL set that is a failure.
pub fn can_run(test: &str, program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|folder| folder.join(program).is_file()) {
        return true;
    }
    not_here(test, &format!("`{program}` is not installed"));
    false
}

/// Says that a test can't run here and why.
pub fn not_here(test: &str, why: &str) {
    assert!(
        std::env::var_os("OBJGUARD_TEST_ALL").is_none(),
        "{test} can't run here: {why}"
    );
    let _ = writeln!(std::io::stderr(), "not run here: {test}: {why}");
}
