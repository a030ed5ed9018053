//! `objguard run [-j N] -- COMMAND…`: any build, guarded and parallel, and a summary of what came of it.
//!
//! What the run needs lies in a private folder that goes with it: the extra configuration for setuptools ([`distutils`]) and the
//! log of events, unless the user wants to keep that. Links ([`settings`]) stay in the user's cache. The command's own streams and exit code are
//! passed through; on a terminal its output goes by way of ours only so that a status line can be drawn when it is quiet.

mod child;
mod distutils;
mod jobs;
mod settings;
mod summary;
mod terminal;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions};
use std::io::{self, IsTerminal};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::bail;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use self::settings::{Programs, Settings};
use self::summary::Summary;
use self::terminal::Terminal;
use super::log::Log;
use super::{cannot, text};
use crate::config::Config;
use crate::identity;
use crate::lineage;
use crate::process::Ended;
use crate::scratch::{self, Scratch};
use crate::signals;

pub(super) fn command() -> Command {
    Command::new("run")
        .about("Run a build with its compilers guarded and its extensions built in parallel; sum up what happened")
        .long_about(
            "Run a build with its compilers guarded and its extensions built in parallel; sum up what happened.\n\n\
             CC, CXX and AR (and LDSHARED, LDCXXSHARED and the like where they are set) lead to objguard; what they were becomes the \
             real compiler. setuptools builds extensions in parallel (DIST_EXTRA_CONFIG, which keeps what an existing one says), and \
             NPY_NUM_BUILD_JOBS and CMAKE_BUILD_PARALLEL_LEVEL are set unless they are. make is not told to be parallel: not every \
             makefile can be. The exit code is the command's.",
        )
        .override_usage("objguard run [OPTIONS] [--] COMMAND…")
        .arg(
            Arg::new("jobs")
                .short('j')
                .long("jobs")
                .value_name("N")
                .value_parser(value_parser!(u32).range(1..))
                .help("Jobs; else the -jN of MAKEFLAGS, MAKE or MAKEOPTS, else the CPUs available; at most twice these"),
        )
        .arg(
            Arg::new("no-summary")
                .long("no-summary")
                .action(ArgAction::SetTrue)
                .help("Print no summary at the end, and no status line meanwhile"),
        )
        .arg(
            Arg::new("json")
                .long("json")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Write the summary to FILE as JSON"),
        )
        .arg(
            Arg::new("log")
                .long("log")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Append the events to FILE, for `objguard report`; else to $OBJGUARD_LOG"),
        )
        .arg(
            Arg::new("command")
                .value_name("COMMAND")
                .required(true)
                .num_args(1..)
                .trailing_var_arg(true)
                .value_parser(value_parser!(OsString))
                .help("The build, as in `pip install .`"),
        )
}

pub(super) fn main(given: &ArgMatches) -> anyhow::Result<Ended> {
    let command: Vec<OsString> = given
        .get_many("command")
        .expect("clap demands it")
        .cloned()
        .collect();
    let environment: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    // The wrapper would say it at every compile.
    let config = Config::from_env(environment.iter().map(|(n, v)| (n, v)))?;
    let asked = given.get_one::<u32>("jobs").map(|n| *n as usize);
    let jobs = jobs::decide(asked, &environment, jobs::available());
    let json = given.get_one::<PathBuf>("json");
    if let Some(file) = json {
        // A place that can't be written to is better found out before the build.
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(file)
            .map_err(cannot("write", file))?;
    }
    signals::catch();
    let private = Private::new(given.get_one::<PathBuf>("log"), &config)?;
    let folder = private.folder_of_links(&environment);
    let programs = programs()?;
    let mut settings = settings::settings(&folder, &programs, &environment, jobs.number);
    make_links(&folder, &settings)?;
    if let Some(config) = private.extra_config(&environment, jobs.number, &mut settings.notes)? {
        settings
            .variables
            .push(("DIST_EXTRA_CONFIG".into(), config.into()));
    }
    for (name, value) in [
        ("OBJGUARD_LOG", private.log.clone().into_os_string()),
        ("OBJGUARD_RUN", private.id()),
    ] {
        settings.variables.push((name.into(), value));
    }
    let summing = !given.get_flag("no-summary");
    for note in jobs.note.iter().chain(&settings.notes) {
        eprintln!("objguard: {note}");
    }
    if let Some(signal) = signals::caught() {
        return Ok(Ended::Signal(signal));
    }

    let terminal = if summing { Terminal::open() } else { None };
    let mut tail = terminal::Tail::of(&private.log, private.from);
    let started = Instant::now();
    let ran = child::run(&command, &settings.variables, terminal, &mut || {
        tail.status(started.elapsed())
    });
    let wall = started.elapsed().as_nanos() as u64;
    let runs = ran.is_ok();
    let ended = match ran {
        Ok(ended) => ended,
        // As env(1), nice(1) and the shells say it.
        Err(e) => {
            eprintln!(
                "objguard: cannot run `{}`: {}",
                text::path(Path::new(&command[0])),
                text::cause(&e)
            );
            let code = if e.kind() == io::ErrorKind::NotFound {
                127
            } else {
                126
            };
            Ended::Code(code)
        }
    };
    let log = private.read_log();
    let summary = Summary::of(&log.events);
    if summing && runs {
        eprint!("{}", summary.show(wall, log.broken.len()));
    }
    if let Some(file) = json {
        let text = format!("{:#}\n", summary.json(&command, jobs.number, wall, ended));
        fs::write(file, text).map_err(cannot("write", file))?;
    }
    Ok(ended)
}

/// Our executables, beside this one.
fn programs() -> anyhow::Result<Programs> {
    let own = std::env::current_exe()
        .map_err(|e| anyhow::anyhow!("cannot find objguard's own file: {}", text::cause(&e)))?;
    let beside = |name: &str| Some(own.with_file_name(name)).filter(|p| p.is_file());
    let Some(compiler) = beside("objguard-cc") else {
        bail!(
            "cannot find `objguard-cc`: it should be at `{}`; install the two together",
            text::path(&own.with_file_name("objguard-cc"))
        );
    };
    Ok(Programs {
        compiler,
        archiver: beside("objguard-ar"),
        command: own,
    })
}

/// What exists only while the command runs.
struct Private {
    scratch: Scratch,
    log: PathBuf,
    /// The log is the user's: others may write to it as well.
    shared: bool,
    /// Where this run's events begin in it.
    from: u64,
}

impl Private {
    fn new(log: Option<&PathBuf>, config: &Config) -> anyhow::Result<Private> {
        let tmp = std::env::temp_dir();
        let tmp = std::path::absolute(&tmp).unwrap_or(tmp);
        let scratch = Scratch::beside(&tmp).map_err(|e| {
            anyhow::anyhow!(
                "cannot create a folder in `{}`: {}; set TMPDIR to one that can be written to",
                text::path(&tmp),
                text::cause(&e)
            )
        })?;
        let wanted = log.or(config.log.as_ref());
        let (log, from) = match wanted {
            Some(file) => {
                // Commands run in many folders.
                let file = std::path::absolute(file).map_err(cannot("find", file))?;
                let opened = OpenOptions::new().append(true).create(true).open(&file);
                let from = opened
                    .and_then(|f| f.metadata())
                    .map_err(cannot("write", &file))?
                    .len();
                (file, from)
            }
            None => (scratch.dir().join("log"), 0),
        };
        Ok(Private {
            scratch,
            log,
            shared: wanted.is_some(),
            from,
        })
    }

    /// Tells this run from others.
    fn id(&self) -> OsString {
        let name = self.scratch.dir().file_name();
        name.unwrap_or_default().to_owned()
    }

    /// Where links are put: in the user's cache, else with the rest, if there is no cache of his.
    fn folder_of_links(&self, environment: &[(OsString, OsString)]) -> PathBuf {
        identity::cache_dirs(environment, None)
            .iter()
            .find_map(|dir| dir.prepared().map(Path::to_owned))
            .unwrap_or_else(|| self.scratch.dir().to_owned())
            .join("links")
    }

    /// Writes the extra configuration; `None` if the user's own can't be read, and stays.
    fn extra_config(
        &self,
        environment: &[(OsString, OsString)],
        jobs: usize,
        notes: &mut Vec<String>,
    ) -> anyhow::Result<Option<PathBuf>> {
        let given = environment
            .iter()
            .find(|(n, v)| n == "DIST_EXTRA_CONFIG" && !v.is_empty());
        let existing = match given.map(|(_, file)| (file, fs::read_to_string(file))) {
            None => String::new(),
            Some((_, Ok(text))) => text,
            // setuptools passes over a file that isn't there.
            Some((_, Err(e))) if e.kind() == io::ErrorKind::NotFound => String::new(),
            Some((file, Err(e))) => {
                notes.push(format!(
                    "extensions are not built in parallel: cannot read `{}` of DIST_EXTRA_CONFIG: {}",
                    file.display(),
                    text::cause(&e)
                ));
                return Ok(None);
            }
        };
        let file = self.scratch.path(OsStr::new("distutils.cfg"));
        fs::write(&file, distutils::with_parallel(&existing, jobs))
            .map_err(cannot("write", &file))?;
        Ok(Some(file))
    }

    fn read_log(&self) -> Log {
        // A command that compiled nothing wrote none.
        let mut log = Log::read(&self.log, self.from).unwrap_or_default();
        if self.shared {
            let id = self.id();
            log.events
                .retain(|e| e.run.as_deref().is_some_and(|run| id == run));
        }
        log
    }
}

/// Folders of links that are kept; each other set of compilers on PATH makes one.
const MANY_FOLDERS: usize = 64;

/// Makes the links that aren't there yet, or lead elsewhere.
fn make_links(folder: &Path, settings: &Settings) -> anyhow::Result<()> {
    let mut folders = BTreeSet::new();
    for (link, to) in &settings.links {
        let parent = link.parent().unwrap_or(folder);
        if folders.insert(parent) {
            fs::create_dir_all(parent).map_err(cannot("create", parent))?;
            // The oldest go first.
            let _ = scratch::utimens(parent, None);
        }
        if fs::read_link(link).is_ok_and(|there| there == *to) {
            continue;
        }
        // Another run may be making or using it: it appears, or changes, in one step.
        let new = parent.join(format!(
            ".{:x}-{:x}",
            std::process::id(),
            lineage::boottime_ns()
        ));
        symlink(to, &new)
            .and_then(|()| scratch::publish(&new, link))
            .inspect_err(|_| drop(fs::remove_file(&new)))
            .map_err(cannot("create", link))?;
    }
    thin_out(folder, &folders);
    Ok(())
}

/// Removes the folders of links that were not used for longest, when there are many.
fn thin_out(folder: &Path, used: &BTreeSet<&Path>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    let mut all: Vec<_> = entries
        .flatten()
        .filter_map(|e| Some((e.metadata().ok()?.modified().ok()?, e.path())))
        .filter(|(_, path)| !used.contains(path.as_path()))
        .collect();
    all.sort_unstable();
    let excess = all.len().saturating_sub(MANY_FOLDERS);
    for (_, path) in &all[..excess] {
        let _ = fs::remove_dir_all(path);
    }
}

/// Whether a status line can be drawn on stderr.
fn can_draw() -> bool {
    let term = std::env::var_os("TERM").unwrap_or_default();
    io::stderr().is_terminal() && !term.is_empty() && term != "dumb"
}
