//! A space whose compiler is quick and whose objects say what they hold, and builders with lineages of their own.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{OnceLock, mpsc};
use std::thread::JoinHandle;

use crate::space::{Outcome, TestSpace};

/// The folder of the tests' work, and their compiler.
pub struct Quick {
    pub space: TestSpace,
}

impl Quick {
    /// A space with `x.c` and the header `v.h`, both older than any compile.
    pub fn new(test: &str) -> Quick {
        let space = TestSpace::new(test);
        space.write("x.c", "the source\n");
        space.write("v.h", "header 0\n");
        space.settle();
        Quick { space }
    }

    /// The wrapper around the quick compiler.
    pub fn wrapper(&self, args: &str) -> Command {
        let mut command = self.space.wrapper(args);
        command.env("OBJGUARD_CC", format!("'{}'", compiler().display()));
        command
    }

    pub fn cc(&self, args: &str) -> Outcome {
        Outcome::of(self.wrapper(args))
    }

    /// Compiles x.c with this value, to `output`.
    pub fn compile(&self, value: u32, output: &str) -> Outcome {
        self.cc(&compiling(value, output))
    }

    /// A builder that runs the wrapper here.
    pub fn builder(&self) -> Builder {
        Builder::new()
    }

    /// Runs the wrapper from `builder`'s thread.
    pub fn by(&self, builder: &Builder, args: &str) -> Outcome {
        builder.run(self.wrapper(args))
    }

    /// What an object or a program holds: its first line.
    pub fn holds(&self, name: impl AsRef<Path>) -> String {
        let text = String::from_utf8_lossy(&self.space.read(name)).into_owned();
        text.lines().next().unwrap_or_default().to_owned()
    }

    /// The state folder of an object.
    pub fn state(&self, object: &str) -> PathBuf {
        self.space.path(".objguard").join(object)
    }

    /// The records of an object, in the order they were last written.
    pub fn records(&self, object: &str) -> Vec<PathBuf> {
        let mut found: Vec<_> = fs::read_dir(self.state(object))
            .expect("the object has state")
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension() == Some(OsStr::new("record")))
            .collect();
        found.sort_by_key(|path| {
            path.metadata()
                .expect("it is there")
                .modified()
                .expect("Unix")
        });
        found
    }
}

/// The words that compile x.c with this value.
pub fn compiling(value: u32, output: &str) -> String {
    format!("-DVALUE={value} -c x.c -o {output}")
}

/// What an object of that holds.
pub fn object_of(value: u32) -> String {
    format!("object x.c {value} header 0")
}

/// What a program of that object holds.
pub fn program_of(value: u32) -> String {
    format!("x.c {value} header 0")
}

/// The quick compiler, built once for all tests of this run.
pub fn compiler() -> &'static Path {
    static COMPILER: OnceLock<PathBuf> = OnceLock::new();
    COMPILER.get_or_init(|| {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fake/quick_cc.c");
        let folder = std::env::temp_dir().join(format!("objguard-quick-cc-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("the folder for temporary files is writable");
        let program = folder.join("quick-cc");
        let status = Command::new("gcc")
            .args(["-O1", "-o"])
            .args([program.as_path(), Path::new(source)])
            .status();
        assert!(status.expect("gcc is installed").success());
        program
    })
}

/// A thread that starts commands one after the other, and lives as long as it is needed: its own lineage.
pub struct Builder {
    tasks: Option<mpsc::Sender<Command>>,
    results: mpsc::Receiver<Outcome>,
    thread: Option<JoinHandle<()>>,
}

impl Builder {
    fn new() -> Builder {
        let (tasks, todo) = mpsc::channel();
        let (done, results) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            for command in todo {
                if done.send(Outcome::of(command)).is_err() {
                    return;
                }
            }
        });
        Builder {
            tasks: Some(tasks),
            results,
            thread: Some(thread),
        }
    }

    /// Runs a command to its end.
    pub fn run(&self, command: Command) -> Outcome {
        let tasks = self.tasks.as_ref().expect("it is open until dropped");
        tasks.send(command).expect("the thread waits for commands");
        self.results.recv().expect("the command came to an end")
    }
}

impl Drop for Builder {
    fn drop(&mut self) {
        self.tasks = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Copies a folder with all that is in it; what was at `to` goes.
pub fn copy_folder(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    let status = Command::new("cp")
        .args(["-a", "--"])
        .args([from, to])
        .status();
    assert!(status.expect("cp is there").success());
}

/// The same content broken in a number of ways, each with a name: cut off after every `step`th byte, and with every
/// `step`th byte flipped.
pub fn broken(whole: &[u8], step: usize) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for length in (0..whole.len()).step_by(step) {
        all.push((format!("cut off at {length}"), whole[..length].to_vec()));
    }
    for at in (step / 2..whole.len()).step_by(step) {
        let mut flipped = whole.to_vec();
        flipped[at] ^= 1 << (at % 8);
        all.push((format!("byte {at} flipped"), flipped));
    }
    all
}
