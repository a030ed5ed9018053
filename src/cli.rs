//! The user's command, `objguard`: run a build guarded, see what happened, find out why.
//!
//! | subcommand | module |
//! |---|---|
//! | `run` | `cli::run`: the environment of a guarded build, its summary |
//! | `exec` | `cli::exec`: guards any command that makes files |
//! | `report` | `cli::report`: the events of a log or of state folders, as a table, JSON or a trace |
//! | `explain` | `cli::explain`: what is known of one object |
//! | `audit` | `cli::audit`: objects that several extensions share |
//! | `doctor` | `cli::doctor`: does all of this work here |
//! | `clean` | `cli::clean`: removes state |
//! | `completions`, `man` | `cli::pages` |
//!
//! Anything else is a compiler: `objguard gcc -c x.c` ([`crate::wrapper::prefixed`]), which never builds clap's tables.
//! The subcommands read what the wrapper wrote and change nothing of it, but for `clean`.

mod audit;
mod builders;
mod clean;
mod doctor;
mod exec;
mod explain;
mod log;
mod pages;
mod report;
mod run;
mod text;
mod walk;

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;

use clap::{ArgMatches, Command};

use crate::compiler;
use crate::process::Ended;
use crate::wrapper;

/// A subcommand: its name, its options, and what it does.
struct Subcommand {
    name: &'static str,
    command: fn() -> Command,
    main: fn(&ArgMatches) -> anyhow::Result<Ended>,
}

const SUBCOMMANDS: [Subcommand; 9] = [
    Subcommand {
        name: "run",
        command: run::command,
        main: run::main,
    },
    Subcommand {
        name: "exec",
        command: exec::command,
        main: exec::main,
    },
    Subcommand {
        name: "report",
        command: report::command,
        main: report::main,
    },
    Subcommand {
        name: "explain",
        command: explain::command,
        main: explain::main,
    },
    Subcommand {
        name: "audit",
        command: audit::command,
        main: audit::main,
    },
    Subcommand {
        name: "doctor",
        command: doctor::command,
        main: doctor::main,
    },
    Subcommand {
        name: "clean",
        command: clean::command,
        main: clean::main,
    },
    Subcommand {
        name: "completions",
        command: pages::completions_command,
        main: pages::completions,
    },
    Subcommand {
        name: "man",
        command: pages::man_command,
        main: pages::man,
    },
];

/// What clap answers by itself.
const OWN_WORDS: [&str; 5] = ["help", "--help", "-h", "--version", "-V"];

/// Runs the command with the process's own arguments; ends the process.
pub fn main() -> ! {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let Some(first) = words.first() else {
        let _ = application().write_help(&mut io::stderr());
        std::process::exit(2);
    };
    let known = SUBCOMMANDS.iter().any(|s| first == s.name) || OWN_WORDS.iter().any(|w| first == w);
    if known {
        finish(dispatch(&words));
    }
    if let Some(line) = misspelt(first) {
        eprintln!("objguard: {line}");
        std::process::exit(2);
    }
    wrapper::prefixed(&words)
}

fn dispatch(words: &[OsString]) -> anyhow::Result<Ended> {
    let program = OsString::from("objguard");
    let matches = application()
        .try_get_matches_from(std::iter::once(&program).chain(words))
        .unwrap_or_else(|e| refuse(&e, words));
    let (name, given) = matches.subcommand().expect("clap demands a subcommand");
    let subcommand = SUBCOMMANDS.iter().find(|s| s.name == name);
    (subcommand.expect("clap knows no other").main)(given)
}

/// Help goes to stdout as clap writes it; an error is one line.
fn refuse(error: &clap::Error, words: &[OsString]) -> ! {
    if !error.use_stderr() {
        error.exit();
    }
    let text = error.render().to_string();
    let said: Vec<&str> = text
        .lines()
        .map(str::trim)
        .take_while(|l| !l.is_empty())
        .collect();
    let said = said.join(" ");
    let of = SUBCOMMANDS
        .iter()
        .find(|s| words.first().is_some_and(|w| w == s.name));
    let help = of.map_or("objguard --help".into(), |s| {
        format!("objguard {} --help", s.name)
    });
    eprintln!(
        "objguard: {}; `{help}` shows what it takes",
        said.strip_prefix("error: ").unwrap_or(&said)
    );
    std::process::exit(2)
}

fn finish(ended: anyhow::Result<Ended>) -> ! {
    match ended {
        Ok(ended) => ended.follow(),
        Err(e) => {
            eprintln!("objguard: {e:#}");
            std::process::exit(1)
        }
    }
}

/// The whole command line, for parsing, completions and man pages.
fn application() -> Command {
    Command::new("objguard")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Makes parallel builds right: guards compiles and links that share objects")
        .override_usage("objguard SUBCOMMAND …\n       objguard COMPILER ARGS…")
        .after_help(
            "`objguard COMPILER ARGS…` runs one compiler command guarded, as in `objguard gcc -c x.c`. Where a build asks for a \
             compiler, `CC=objguard-cc CXX=objguard-c++` guards all of it.\n\n\
             Environment: OBJGUARD_CC, OBJGUARD_CXX, OBJGUARD_AR name the real programs; OBJGUARD_DISABLE=1 switches objguard off; \
             OBJGUARD_LOG=FILE keeps a log of events; OBJGUARD_AMBIGUOUS=newest lets a link take the newest variant where it can't be \
             known which is meant; OBJGUARD_DEBUG=1 says what is decided.",
        )
        .subcommand_required(true)
        .subcommands(SUBCOMMANDS.iter().map(|s| (s.command)()))
}

/// One line about a first word that is neither a subcommand nor a compiler; `None`: it may be one.
fn misspelt(word: &OsStr) -> Option<String> {
    let shown = word.display();
    if word.as_bytes().starts_with(b"-") {
        return Some(format!(
            "unknown option `{shown}`: options stand after a subcommand; `objguard --help` lists them"
        ));
    }
    let named = compiler::driver(word.as_bytes()).is_some();
    if word.is_empty() || word.as_bytes().contains(&b'/') || named {
        return None;
    }
    let near = nearest(&word.to_string_lossy())?;
    let path = std::env::var_os("PATH");
    let there = compiler::each_on_path(path.as_deref(), word, |candidate, meta| {
        compiler::executable(candidate, meta).then_some(())
    });
    there.is_none().then(|| {
        format!(
            "unknown subcommand `{shown}`: did you mean `{near}`? `objguard --help` lists them (and no compiler `{shown}` is on PATH)"
        )
    })
}

/// The subcommand that is at most two letters off.
fn nearest(word: &str) -> Option<&'static str> {
    let names = SUBCOMMANDS.iter().map(|s| s.name);
    let (distance, name) = names.map(|n| (distance(word, n), n)).min()?;
    let short = word.chars().count() < 4;
    (distance <= if short { 1 } else { 2 } || swapped(word, name)).then_some(name)
}

/// Whether two neighbouring letters stand the wrong way round.
fn swapped(a: &str, b: &str) -> bool {
    let (mut a, mut b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    a.sort_unstable();
    b.sort_unstable();
    a == b
}

/// How many letters must be changed, put in or left out to get from one word to the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut before = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = before + usize::from(x != *y);
            before = row[j + 1];
            row[j + 1] = changed.min(before + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// Writes to stdout; a reader that has seen enough (`| head`) is no error.
fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|e| anyhow::Error::new(e).context("cannot write to stdout")),
    }
}

/// ``cannot VERB `path`: cause``.
fn cannot(verb: &str, path: &std::path::Path) -> impl FnOnce(io::Error) -> anyhow::Error {
    let what = format!("cannot {verb} `{}`", path.display());
    move |e| anyhow::anyhow!("{what}: {}", text::cause(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        application().debug_assert();
        for subcommand in &SUBCOMMANDS {
            assert_eq!((subcommand.command)().get_name(), subcommand.name);
        }
    }

    #[test]
    fn typing_errors_are_found() {
        for (word, meant) in [
            ("rnu", Some("run")),
            ("reprot", Some("report")),
            ("explian", Some("explain")),
            ("adit", Some("audit")),
            ("cleen", Some("clean")),
            ("gcc", None),
            ("cc", None),
            ("icc", None),
        ] {
            assert_eq!(nearest(word), meant, "{word}");
        }
    }
}
