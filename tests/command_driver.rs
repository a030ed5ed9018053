//! The parser against the drivers themselves: what gcc and clang plan to do (`-###`) is what the verdict says.
//!
//! A few hundred command lines are put together from pieces, by a fixed rule. For each the driver is asked what it would run, and
//! the verdict must agree: a compile or a link, which output, which language, which files for the linker. A driver that isn't
//! installed is named on standard error. `scripts/fuzz driver` goes on with any others.

#[path = "command_driver/effects.rs"]
mod effects;
#[path = "command_driver/lines.rs"]
mod lines;
#[path = "command_driver/plan.rs"]
mod plan;

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use lines::{Dice, compile_line, link_line};
use objguard::command::{Dialect, Driver};
use objguard::response;
use plan::{Bench, Count, check};

fn bench(name: &str) -> Bench {
    Bench::new(
        PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("command_driver-{name}-{}", std::process::id())),
    )
}

/// The same numbers every time.
struct Rule(u64);

impl Dice for Rule {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % limit
    }
}

fn compare(program: &str, driver: Driver, dialect: Dialect, lines: usize) {
    let bench = bench(program);
    let mut dice = Rule(lines as u64);
    let mut count = Count::default();
    for round in 0..lines {
        let args = if round % 3 == 2 {
            link_line(&mut dice)
        } else {
            compile_line(&mut dice)
        };
        if !check(&bench, program, driver, dialect, &args, &mut count) {
            eprintln!("not run: {program} is not installed");
            return;
        }
    }
    eprintln!("{program}: {count:?}");
    assert!(
        count.compiles * 5 > lines && count.links * 10 > lines,
        "too few lines mean something: {count:?}"
    );
}

#[test]
fn gcc() {
    compare("gcc", Driver::C, Dialect::Gcc, 600);
}

#[test]
fn gxx() {
    compare("g++", Driver::Cxx, Dialect::Gcc, 300);
}

#[test]
fn clang() {
    compare("clang", Driver::C, Dialect::Clang, 150);
}

#[test]
fn clangxx() {
    compare("clang++", Driver::Cxx, Dialect::Clang, 75);
}

/// What `quote` writes, both drivers read back: `-print-file-name=X` prints an `X` it doesn't find.
#[test]
fn response_files_read_back() {
    let bench = bench("response");
    let every_byte: Vec<u8> = (1..=255u8)
        .filter(|byte| !matches!(byte, b'/' | 0x0b | 0x0c))
        .collect();
    for name in [
        &every_byte[..],
        b"a b",
        b"it's",
        b"\"",
        b"back\\slash",
        b"-c",
        b"line\nbreak",
        b"\\\\n",
        b"$HOME #x * \xff",
    ] {
        let word = OsString::from_vec([b"-print-file-name=", name].concat());
        fs::write(bench.folder.join("words"), response::quote([&word])).unwrap();
        for program in ["gcc", "clang"] {
            let Ok(output) = Command::new(program)
                .arg("@words")
                .current_dir(&bench.folder)
                .output()
            else {
                eprintln!("not run: {program} is not installed");
                continue;
            };
            let stdout = output.stdout.strip_suffix(b"\n").unwrap_or(&output.stdout);
            assert_eq!(
                stdout.escape_ascii().to_string(),
                name.escape_ascii().to_string(),
                "{program}"
            );
        }
    }
}

/// What a response file holds, `expand` reads as the drivers do.
#[test]
fn response_files_are_split_alike() {
    let bench = bench("split");
    let texts: &[&[u8]] = &[
        b"-c a.c\n-o\tx.o",
        b"'-c' \"a.c\"",
        b"-c 'odd name.c'",
        b"-c odd\\ name.c -o'x y.o'",
        b"-c \"odd name.c\" -D'A=\"b c\"'",
        b"-c a.c\\\n",
        b"-c \\$x#.c",
        b"-c '$x#.c",
        b"-c @inner",
        b"-c 'odd\\ name.c'",
        b"-c a.c #-S",
        b"-c a.c \\-S",
        b"@missing -c a.c",
    ];
    fs::write(bench.folder.join("inner"), "a.c -o inner.o").unwrap();
    for text in texts {
        fs::write(bench.folder.join("words"), text).unwrap();
        let read = |path: &Path| fs::read(bench.folder.join(path));
        let words = response::expand(&["@words".into()], &read).unwrap();
        for program in ["gcc", "clang"] {
            let ask = |args: &[OsString]| {
                let args: Vec<OsString> = ["-###".into()]
                    .into_iter()
                    .chain(args.iter().cloned())
                    .collect();
                let (done, text) = bench.run(program, &args)?;
                // Names of temporary files differ from run to run.
                let steps = text
                    .lines()
                    .filter(|line| line.starts_with(' '))
                    .map(|line| {
                        let temporary =
                            |word: &&str| !word.contains("/tmp/cc") && !word.contains("@words");
                        line.split(' ')
                            .filter(temporary)
                            .collect::<Vec<_>>()
                            .join(" ")
                    });
                Some((done, steps.collect::<Vec<_>>()))
            };
            let (Some(theirs), Some(ours)) = (ask(&["@words".into()]), ask(&words.args)) else {
                eprintln!("not run: {program} is not installed");
                continue;
            };
            assert_eq!(theirs, ours, "{program}: {}", text.escape_ascii());
            assert!(words.args.iter().all(|word| !word.as_bytes().is_empty()));
        }
    }
}
