//! `objguard doctor [DIR]`: does it work here? Each check is one line: what was looked at, how it stands, and what to do.

mod files;
mod trial;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command, value_parser};

use super::{print, text, walk};
use crate::command::Language;
use crate::compiler;
use crate::config::Config;
use crate::identity::{self, Question};
use crate::process::Ended;

pub(super) fn command() -> Command {
    Command::new("doctor")
        .about("Check that objguard works here: compilers, file system, kernel, a tiny build, state that isn't trusted")
        .long_about(
            "Check that objguard works here: which compilers are the real ones, whether the file system locks, links and renames as \
             needed, whether the kernel tells threads apart, whether CC reaches the compile, the link and the archive of a tiny build \
             (with setuptools, if python3 has it), and which state folders below DIR aren't trusted. Exits with 1 if something fails.",
        )
        .arg(
            Arg::new("dir")
                .value_name("DIR")
                .default_value(".")
                .value_parser(value_parser!(OsString))
                .help("The build's folder: its file system is checked, and the state below it"),
        )
}

pub(super) fn main(given: &ArgMatches) -> anyhow::Result<Ended> {
    let dir = given.get_one::<OsString>("dir").expect("it has a default");
    let dir = walk::spelled(dir);
    // A folder that can't be read is the user's mistake, not a finding.
    let found = walk::state_folders(&dir)?;
    let environment: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    let mut report = Report::default();
    programs(&mut report);
    compilers(&environment, &mut report);
    files::check(&dir, &mut report);
    threads(&mut report);
    trial::check(&environment, &mut report);
    state(&dir, &found, &mut report);
    print(&report.show())?;
    Ok(Ended::Code(i32::from(report.failed())))
}

/// How a check came out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mark {
    Good,
    /// It works, but not as well, or not as it may seem.
    Note,
    Bad,
}

/// The findings, in order.
#[derive(Debug, Default)]
struct Report {
    lines: Vec<(Mark, String, String)>,
}

impl Report {
    fn add(&mut self, mark: Mark, what: &str, says: impl Into<String>) {
        self.lines.push((mark, what.to_owned(), says.into()));
    }

    fn good(&mut self, what: &str, says: impl Into<String>) {
        self.add(Mark::Good, what, says);
    }

    fn note(&mut self, what: &str, says: impl Into<String>) {
        self.add(Mark::Note, what, says);
    }

    fn bad(&mut self, what: &str, says: impl Into<String>) {
        self.add(Mark::Bad, what, says);
    }

    fn failed(&self) -> bool {
        self.lines.iter().any(|(mark, ..)| *mark == Mark::Bad)
    }

    fn show(&self) -> String {
        let rows: Vec<Vec<String>> = self
            .lines
            .iter()
            .map(|(mark, what, says)| {
                let mark = match mark {
                    Mark::Good => "ok",
                    Mark::Note => "note",
                    Mark::Bad => "FAIL",
                };
                vec![mark.to_owned(), what.clone(), text::one_line(says)]
            })
            .collect();
        let bad = self
            .lines
            .iter()
            .filter(|(mark, ..)| *mark == Mark::Bad)
            .count();
        let end = match bad {
            0 => "objguard works here\n".to_owned(),
            n => format!("{} failed\n", text::count(n, "check")),
        };
        text::table(&rows, &[]) + &end
    }
}

/// The executables that belong together.
fn programs(report: &mut Report) {
    let Ok(own) = std::env::current_exe() else {
        report.bad("objguard", "its own file can't be found; install it anew");
        return;
    };
    report.good(
        "objguard",
        format!("{} at {}", env!("CARGO_PKG_VERSION"), text::path(&own)),
    );
    for (name, bad) in [
        ("objguard-cc", true),
        ("objguard-c++", false),
        ("objguard-ar", false),
    ] {
        let path = own.with_file_name(name);
        if path.is_file() {
            report.good(name, format!("at {}", text::path(&path)));
        } else if bad {
            report.bad(
                name,
                format!(
                    "missing at {}: install it beside objguard",
                    text::path(&path)
                ),
            );
        } else {
            report.note(name, format!("missing at {}", text::path(&path)));
        }
    }
}

/// The variables, and which compilers they lead to.
fn compilers(environment: &[(OsString, OsString)], report: &mut Report) {
    let config = match Config::from_env(environment.iter().map(|(n, v)| (n, v))) {
        Ok(config) => config,
        Err(e) => {
            report.bad("variables", format!("{e:#}"));
            return;
        }
    };
    if config.disable {
        report.note(
            "variables",
            "OBJGUARD_DISABLE is set: every command runs unguarded",
        );
    }
    let path = environment
        .iter()
        .find(|(n, _)| n == "PATH")
        .map(|(_, v)| v.as_os_str());
    for (what, invoked_as, language) in [
        ("C compiler", "objguard-cc", Language::C),
        ("C++ compiler", "objguard-c++", Language::Cxx),
    ] {
        match compiler::resolve(OsStr::new(invoked_as), &config, path) {
            Err(e) => report.bad(what, format!("{e:#}")),
            Ok(compiler) => {
                let question = Question {
                    compiler: &compiler,
                    config: &config,
                    probe_flags: &[],
                    language,
                    environment,
                };
                let mut command: Vec<OsString> = vec![compiler.program.clone().into()];
                command.extend(compiler.words.iter().chain(&compiler.flags).cloned());
                let shown = text::words(&command);
                match identity::identify(&question, &identity::cache_dirs(environment, None)) {
                    Ok(identity) if identity.kind == identity::Kind::Unknown => {
                        report.note(
                            what,
                            format!("`{shown}`, neither gcc nor clang: guarded, but never skipped"),
                        );
                    }
                    Ok(identity) => {
                        report.good(what, format!("`{shown}`, {}", identity.describe()))
                    }
                    Err(e) => report.bad(what, format!("{e:#}")),
                }
            }
        }
    }
}

/// Whether the kernel tells which thread forked a process.
fn threads(report: &mut Report) {
    const WHAT: &str = "threads";
    if !cfg!(target_os = "linux") {
        report.note(
            WHAT,
            "only Linux tells which thread started a command: links go by flags instead",
        );
        return;
    }
    match std::thread::spawn(forked_by_this_thread).join() {
        Ok(Ok(true)) => report.good(WHAT, "the kernel tells which thread started a command"),
        Ok(Ok(false)) => report.note(
            WHAT,
            "the kernel lists no children of a thread (CONFIG_PROC_CHILDREN): links go by processes and flags instead",
        ),
        Ok(Err(e)) => report.note(
            WHAT,
            format!("the kernel's list of a thread's children can't be read ({}): links go by processes and flags instead", text::cause(&e)),
        ),
        Err(_) => report.bad(WHAT, "no thread can be started"),
    }
}

/// Starts a child from this thread, not the main one, and looks for it in this thread's list.
fn forked_by_this_thread() -> std::io::Result<bool> {
    use std::process::Stdio;
    // It waits for its input, so it is there until it has been looked for.
    let mut child = std::process::Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    let list = std::fs::read_to_string("/proc/thread-self/children");
    drop(child.stdin.take());
    child.wait()?;
    Ok(list?
        .split_whitespace()
        .any(|id| id.parse() == Ok(child.id())))
}

/// State that isn't used, and why.
fn state(dir: &Path, found: &walk::Found, report: &mut Report) {
    let shown = if dir.as_os_str().is_empty() {
        ".".into()
    } else {
        text::path(dir)
    };
    for distrust in &found.distrusted {
        report.bad("state", format!("not trusted: {distrust}"));
    }
    for (path, e) in &found.unreadable {
        report.note(
            "state",
            format!("cannot read `{}`: {}", text::path(path), text::cause(e)),
        );
    }
    if found.distrusted.is_empty() {
        let folders = text::count(found.trusted.len(), "state folder");
        report.good("state", format!("{folders} below `{shown}`, all trusted"));
    }
}

/// A folder for a trial, removed when dropped.
struct TrialFolder(PathBuf);

impl TrialFolder {
    fn new(parent: &Path) -> std::io::Result<TrialFolder> {
        let name = format!(
            "objguard-doctor-{:x}-{:x}",
            std::process::id(),
            crate::lineage::boottime_ns()
        );
        let path = parent.join(name);
        crate::state::make_private(&path)?;
        Ok(TrialFolder(path))
    }
}

impl Drop for TrialFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
