//! A space whose compiler is the script `tests/fake/cc`, which does what the test's plan says.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::{Fifo, Outcome, Running, TestSpace};

const FAKE_CC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fake/cc");

/// A space with a scripted compiler.
pub struct Fake {
    /// The folder and all else.
    pub space: TestSpace,
    dir: PathBuf,
}

impl Fake {
    /// A space where the compiler follows `plan` (shell functions, see `tests/fake/cc`), with two sources: `x.c`, whose
    /// function `x` gives VALUE (0 if there is none), and `main.c`, which prints what `x` gives.
    pub fn new(test: &str, plan: &str) -> Fake {
        let space = TestSpace::new(test);
        let dir = space.aside("fake");
        fs::create_dir(&dir).expect("the space is new");
        let fake = Fake { space, dir };
        fake.plan(plan);
        fs::write(fake.dir.join("log"), "").expect("the folder is ours");
        fake.space.write(
            "x.c",
            "#ifndef VALUE\n#define VALUE 0\n#endif\nint x(void) { return VALUE; }\n",
        );
        let main = "#include <stdio.h>\nint x(void);\nint main(void) { printf(\"%d\\n\", x()); return 0; }\n";
        fake.space.write("main.c", main);
        fake.space.settle();
        fake
    }

    /// Replaces the plan.
    pub fn plan(&self, plan: &str) {
        fs::write(self.dir.join("plan"), plan).expect("the folder is ours");
    }

    /// A FIFO that the plan's `tell` and `await` know by this name.
    pub fn fifo(&self, name: &str) -> Fifo {
        Fifo::new(self.dir.join(name))
    }

    /// The wrapper around the scripted compiler.
    pub fn wrapper(&self, args: &str) -> Command {
        let mut command = self.space.wrapper(args);
        command
            .env("OBJGUARD_CC", format!("'{FAKE_CC}'"))
            .env("FAKE_DIR", &self.dir);
        command
    }

    /// Runs the wrapper to its end.
    pub fn cc(&self, args: &str) -> Outcome {
        Outcome::of(self.wrapper(args))
    }

    /// Starts the wrapper.
    pub fn start(&self, args: &str) -> Running {
        Running::start(self.wrapper(args))
    }

    /// The calls of the compiler that were of this kind (`compile` or `link`), as it logged them.
    pub fn calls(&self, kind: &str) -> Vec<String> {
        let log = fs::read_to_string(self.dir.join("log")).expect("the log was made");
        log.lines()
            .filter(|line| line.split(' ').next() == Some(kind))
            .map(str::to_owned)
            .collect()
    }

    /// What plain gcc makes of these arguments, which name no output.
    pub fn plain(&self, args: &str) -> Vec<u8> {
        let reference = self.space.aside("reference");
        let reference = reference.to_str().expect("the name is text");
        self.space.gcc(&format!("{args} -o {reference}")).success();
        self.space.read(reference)
    }
}
