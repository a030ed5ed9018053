//! Inputs that nobody lists: each test changes one of them and nothing else, and would find the stale object if objguard
//! didn't look. What plain gcc (or clang) makes of the same command at that moment is the truth.
//!
//! Compiles are counted by the compiler itself (`hidden_inputs/counting-cc`), so a skip is a run that the counter didn't see.

#[path = "hidden_inputs/appearing.rs"]
mod appearing;
#[path = "hidden_inputs/around.rs"]
mod around;
#[path = "hidden_inputs/contents.rs"]
mod contents;
#[path = "hidden_inputs/environments.rs"]
mod environments;
#[path = "hidden_inputs/images.rs"]
mod images;
#[path = "hidden_inputs/objects.rs"]
mod objects;
#[path = "hidden_inputs/racing.rs"]
mod racing;
#[path = "hidden_inputs/searching.rs"]
mod searching;
mod space;

use std::ffi::CString;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use space::{Outcome, TestSpace};

const COUNTING_CC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fake/counting-cc");

/// One command line, compiled to `x.o` over and over.
struct Watched {
    space: TestSpace,
    compiler: &'static str,
    args: String,
    variables: Vec<(&'static str, String)>,
}

impl Watched {
    /// `args` are those of gcc, with the source and without `-o`.
    fn new(test: &str, args: &str) -> Watched {
        Watched {
            space: TestSpace::new(test),
            compiler: "gcc",
            args: format!("-c {args}"),
            variables: Vec::new(),
        }
    }

    /// Compiles with this compiler instead of gcc.
    fn with(mut self, compiler: &'static str) -> Watched {
        self.compiler = compiler;
        self
    }

    /// Compiles with this variable.
    fn variable(mut self, name: &'static str, value: impl Into<String>) -> Watched {
        self.variables.push((name, value.into()));
        self
    }

    fn write(self, name: &str, content: &str) -> Watched {
        self.space.write(name, content);
        self
    }

    fn folder(self, name: &str) -> Watched {
        fs::create_dir_all(self.space.path(name)).expect("the folder is ours");
        self
    }

    fn environment(&self, mut command: Command) -> Command {
        for (name, value) in &self.variables {
            command.env(name, value);
        }
        command
    }

    /// Compiles; returns how many times the compiler compiled for it.
    #[track_caller]
    fn compile(&self) -> usize {
        let before = self.compiles();
        let mut command = self.space.wrapper(&format!("{} -o x.o", self.args));
        command
            .env("OBJGUARD_CC", format!("'{COUNTING_CC}'"))
            .env("REAL_CC", self.compiler)
            .env("COUNT_LOG", self.space.aside("count"));
        Outcome::of(self.environment(command)).success();
        self.compiles() - before
    }

    fn compiles(&self) -> usize {
        fs::read_to_string(self.space.aside("count")).map_or(0, |log| log.lines().count())
    }

    /// The object must be what the plain compiler makes now.
    #[track_caller]
    fn is_right(&self) {
        let kept = self.space.aside("kept.o");
        fs::rename(self.space.path("x.o"), &kept).expect("there is an object");
        let mut command = self.space.command(self.compiler);
        command
            .args(self.args.split_whitespace())
            .args(["-o", "x.o"]);
        Outcome::of(self.environment(command)).success();
        let plain = self.space.read("x.o");
        // By rename, so that it is the very file that objguard left.
        fs::rename(&kept, self.space.path("x.o")).expect("the folder is ours");
        assert!(self.space.read("x.o") == plain, "the object is stale");
    }

    /// Compiles, compiles again, changes the input, compiles: the object must be new and right. Returns whether the second
    /// compile was skipped.
    #[track_caller]
    fn notices_somehow(&self, change: impl FnOnce(&TestSpace)) -> bool {
        self.space.settle();
        assert_eq!(self.compile(), 1, "the first compile");
        self.is_right();
        self.space.settle();
        let skipped = self.compile() == 0;
        self.is_right();
        let old = self.space.read("x.o");
        change(&self.space);
        self.compile();
        self.is_right();
        assert!(
            self.space.read("x.o") != old,
            "the change makes no difference: the test proves nothing"
        );
        skipped
    }

    /// The same for a command that is skipped as long as nothing changes.
    #[track_caller]
    fn notices(&self, change: impl FnOnce(&TestSpace)) {
        assert!(self.notices_somehow(change), "the second run compiles");
    }

    /// The same for a command that is never skipped.
    #[track_caller]
    fn never_skips_and_notices(&self, change: impl FnOnce(&TestSpace)) {
        assert!(!self.notices_somehow(change), "the second run is skipped");
    }

    /// Compiles, changes something that makes no difference, compiles: that must be a skip, and the object right.
    #[track_caller]
    fn skips_after(&self, change: impl FnOnce(&TestSpace)) {
        self.space.settle();
        assert_eq!(self.compile(), 1, "the first compile");
        self.space.settle();
        change(&self.space);
        self.space.settle();
        assert_eq!(self.compile(), 0, "compiles though nothing has changed");
        self.is_right();
    }
}

/// Sets the times of last access and modification, which no program can do to the time of the last change.
fn set_times(path: &Path, like: &fs::Metadata) {
    let name = CString::new(path.as_os_str().as_bytes()).expect("no NUL in the path");
    let time = |seconds, nanoseconds| libc::timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds,
    };
    let times = [
        time(like.atime(), like.atime_nsec()),
        time(like.mtime(), like.mtime_nsec()),
    ];
    // SAFETY: a C string and two times, all of which outlive the call.
    let set = unsafe { libc::utimensat(libc::AT_FDCWD, name.as_ptr(), times.as_ptr(), 0) };
    assert_eq!(set, 0, "cannot set the times of `{}`", path.display());
}

/// Replaces `from` by `to` in a file, in place, and gives it the times that it had: size and mtime are as before.
fn edit_unseen(space: &TestSpace, name: &str, from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    let before = space.path(name).metadata().expect("the file is there");
    edit(space, name, from, to);
    set_times(&space.path(name), &before);
}

/// Replaces `from` by `to` in a file, in place.
fn edit(space: &TestSpace, name: &str, from: &str, to: &str) {
    let text = space.text(name);
    assert!(text.contains(from), "`{from}` is in `{name}`");
    space.write(name, text.replace(from, to));
}

/// Whether the compiler can compile this; a test that can't run here says so, whatever the harness hides.
fn or_say_so(test: &str, able: bool, lacking: &str) -> bool {
    if !able {
        let _ = writeln!(std::io::stderr(), "cannot run here: {test}: {lacking}");
    }
    able
}
