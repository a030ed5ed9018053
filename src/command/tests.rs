//! Tables of command lines and what they add up to.

mod commands;
mod links;
mod options;

use super::*;
use Dialect::{Clang, Gcc};

/// Splits a line at spaces; `~` stands for a space inside a word, `''` for an empty word.
fn words(line: &str) -> Vec<OsString> {
    let word = |word: &str| {
        if word == "''" {
            OsString::new()
        } else {
            word.replace('~', " ").into()
        }
    };
    line.split_whitespace().map(word).collect()
}

fn no_files(_: &Path) -> io::Result<Vec<u8>> {
    Err(io::ErrorKind::NotFound.into())
}

fn verdict(dialect: Dialect, line: &str) -> Verdict {
    parse_with(&words(line), Driver::C, dialect, &no_files)
}

#[track_caller]
fn compile(dialect: Dialect, line: &str) -> Compile {
    match verdict(dialect, line) {
        Verdict::Compile(compile) => *compile,
        other => panic!("{line}: {other:?}"),
    }
}

#[track_caller]
fn link(dialect: Dialect, line: &str) -> Link {
    match verdict(dialect, line) {
        Verdict::Link(link) => *link,
        other => panic!("{line}: {other:?}"),
    }
}

/// A verdict in a few words: what it is, where it runs, whether it may be skipped.
fn brief(verdict: &Verdict) -> String {
    let place = |placement: &Placement| match placement {
        Placement::Staged => "staged",
        Placement::Named => "named",
        Placement::InPlace(_) => "in place",
    };
    match verdict {
        Verdict::Compile(c) => {
            let stage = if c.stage == Stage::Object {
                "object"
            } else {
                "assembly"
            };
            let reuse = if c.reuse.is_ok() {
                ""
            } else {
                ", never skipped"
            };
            format!(
                "{stage} {} from {:?}, {}{reuse}",
                c.output.display(),
                c.language,
                place(&c.placement)
            )
        }
        Verdict::Link(l) => {
            let sources = if l.sources { " with sources" } else { "" };
            let relocatable = if l.relocatable { " relocatable" } else { "" };
            format!(
                "link{relocatable} {}{sources}, {}",
                l.output.display(),
                place(&l.placement)
            )
        }
        Verdict::PassThrough(reason) => format!("as written: {reason}"),
    }
}

/// Checks rows of a line and its verdict in a few words.
#[track_caller]
fn check(dialects: &[Dialect], rows: &[(&str, &str)]) {
    for dialect in dialects {
        for (line, expected) in rows {
            assert_eq!(
                brief(&verdict(*dialect, line)),
                *expected,
                "{dialect:?}: {line}"
            );
        }
    }
}

/// Checks that each option, put into `-c x.c`, gives the placement and reuse named.
#[track_caller]
fn check_options(dialects: &[Dialect], options: &[&str], expected: &str) {
    for dialect in dialects {
        for option in options {
            let line = format!("-c {option} x.c -o d/x.o");
            let wanted = format!("object d/x.o from C, {expected}");
            assert_eq!(
                brief(&verdict(*dialect, &line)),
                wanted,
                "{dialect:?}: {line}"
            );
        }
    }
}

const BOTH: &[Dialect] = &[Gcc, Clang];
