//! The transactions: the only place that orders effects.
//!
//! [`compile`], [`link`], [`archive`] and [`generate`] each run one command to its end. Whatever they can't guard they hand back as
//! [`Done::AsWritten`], and the caller executes the user's own words.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::command::{Dialect, Language};
use crate::compiler::Compiler;
use crate::config::Config;
use crate::events::Events;
use crate::identity::{self, Identity, Question};
use crate::lineage::{self, Lineage, Step};
use crate::process::{Ended, Invocation};
use crate::state::Folder;

mod archive;
mod compile;
mod generate;
mod held;
mod link;
mod lookup;
mod taken;

pub use archive::{archive, archive_script, take_out};
pub use compile::compile;
pub use generate::{Surroundings, generate};
pub use held::Held;
pub use link::link;
pub use lookup::{Hit, lookup, standing};

/// What became of a command.
#[derive(Debug)]
pub enum Done {
    /// It ran, or was skipped.
    Ended(Ended),
    /// It must run exactly as written, unguarded; why.
    AsWritten(String),
    /// The compiler isn't the one its name says: the words are to be read as this one reads them.
    ReadAs(Dialect),
}

/// All that a transaction knows of its surroundings. Nothing here changes.
pub struct Session<'a> {
    /// What the user set.
    pub config: &'a Config,
    /// The real compiler.
    pub compiler: &'a Compiler,
    /// The option grammar by which the words were read.
    pub dialect: Dialect,
    /// The user's words, as they came.
    pub args: &'a [OsString],
    /// The environment.
    pub environment: &'a [(OsString, OsString)],
    /// Who asks.
    pub lineage: Lineage,
    /// Where events go.
    pub events: Events,
}

impl Session<'_> {
    /// A command line of the real compiler.
    pub fn invocation(&self, args: Vec<OsString>) -> Invocation<'_> {
        let mut all = self.compiler.words.clone();
        all.extend(args);
        Invocation {
            program: &self.compiler.program,
            argv0: &self.compiler.argv0,
            args: all,
            mark: self.compiler.inner_mark(self.config),
        }
    }

    /// The user's words behind those of `OBJGUARD_CC`.
    pub fn words(&self) -> Vec<OsString> {
        let mut words = self.compiler.flags.clone();
        words.extend_from_slice(self.args);
        words
    }

    /// The user's own command line.
    pub fn as_written(&self) -> Invocation<'_> {
        self.invocation(self.words())
    }

    /// What the real compiler is made of; its fingerprint is kept in the user's cache or in the state folder.
    pub fn identify(
        &self,
        probe_flags: &[OsString],
        language: Language,
        folder: Option<&Folder>,
    ) -> anyhow::Result<Identity> {
        let (compiler, config, environment) = (self.compiler, self.config, self.environment);
        let question = Question {
            compiler,
            config,
            probe_flags,
            language,
            environment,
        };
        identity::identify(
            &question,
            &identity::cache_dirs(environment, folder.map(Folder::path)),
        )
    }

    fn variable(&self, name: &str) -> Option<&OsStr> {
        self.environment
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_os_str())
    }
}

/// Where an output is: its path with symbolic links resolved as the compiler does, its folder and base name.
#[derive(Clone, Debug)]
pub struct Target {
    /// The path that is published to.
    pub path: PathBuf,
    /// Its folder; empty for a bare name.
    pub dir: PathBuf,
    /// Its base name.
    pub name: OsString,
    /// Device and inode of the file that is there.
    pub file: Option<(u64, u64)>,
}

impl Target {
    /// Looks at an output path. A symbolic link to a file that is empty or missing is written through by gcc's assembler and
    /// by ld; one to a file with content is replaced, as they remove their old output first. clang replaces both.
    ///
    /// # Errors
    /// In words: why the output can't be staged.
    pub fn of(output: &Path, through_links: bool) -> Result<Target, String> {
        let irregular = || "the output is not a regular file".to_owned();
        let mut path = output.to_owned();
        let file = match fs::symlink_metadata(output) {
            Ok(meta) if meta.is_file() => Some(meta),
            Ok(meta) if meta.is_symlink() => {
                let behind = fs::metadata(output).ok();
                if behind.as_ref().is_some_and(|m| !m.is_file()) {
                    return Err(irregular());
                }
                if through_links && behind.as_ref().is_none_or(|m| m.len() == 0) {
                    path = one_link_on(output).ok_or_else(irregular)?;
                }
                behind
            }
            Ok(_) => return Err(irregular()),
            Err(_) => None,
        };
        let name = path.file_name().ok_or("the output has no name")?.to_owned();
        if crate::scratch::is_reserved(&name) {
            return Err("the output has a name of objguard's own".into());
        }
        let dir = path.parent().unwrap_or(Path::new("")).to_owned();
        Ok(Target {
            path,
            dir,
            name,
            file: file.map(|m| (m.dev(), m.ino())),
        })
    }

    /// [`Target::of`] for programs that write through symbolic links whatever is behind them.
    ///
    /// # Errors
    /// As [`Target::of`].
    pub fn behind_links(output: &Path) -> Result<Target, String> {
        if !output.is_symlink() {
            return Target::of(output, false);
        }
        let behind = fs::canonicalize(output);
        Target::of(
            &behind.map_err(|_| "the output is a dangling symbolic link".to_owned())?,
            false,
        )
    }

    /// Whether paths of scratch and state, which are longer than the output's, still fit into what the system takes.
    pub fn has_room(&self) -> bool {
        // `<dir>/.objguard/<name>/v-<variant>/<name>` and `<dir>/.objguard/tmp/<id>/<name>`, with something to spare.
        let longest = self.dir.as_os_str().len() + 2 * self.name.len() + 100;
        longest < libc::PATH_MAX as usize
    }

    /// The folder as the system takes it.
    pub fn folder(&self) -> &Path {
        if self.dir.as_os_str().is_empty() {
            Path::new(".")
        } else {
            &self.dir
        }
    }
}

/// Where a symbolic link points to, if that is no further link.
fn one_link_on(link: &Path) -> Option<PathBuf> {
    let to = link
        .parent()
        .unwrap_or(Path::new(""))
        .join(fs::read_link(link).ok()?);
    (!fs::symlink_metadata(&to).is_ok_and(|m| m.is_symlink())).then_some(to)
}

/// Whether writes to the path by the compiler go through a symbolic link.
fn writes_through_links(dialect: Dialect) -> bool {
    dialect == Dialect::Gcc
}

/// Milliseconds since the epoch.
fn wall_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_millis() as u64)
}

/// Remembers which processes live: a link may ask for the same ones a thousand times.
fn life() -> impl Fn(&Step) -> bool {
    let known = std::cell::RefCell::new(HashMap::new());
    move |step: &Step| {
        *known
            .borrow_mut()
            .entry((step.pid, step.start))
            .or_insert_with(|| lineage::alive(step.pid, step.start))
    }
}

/// Whether an error is a way of saying no that doesn't change until somebody changes something: then it goes without. Whatever
/// may be gone the next moment (a full disk, too many open files) must be an error: some commands would be guarded, and others not.
fn lasting(e: &io::Error) -> bool {
    use io::ErrorKind::{
        InvalidFilename, NotADirectory, PermissionDenied, ReadOnlyFilesystem, Unsupported,
    };
    matches!(
        e.kind(),
        PermissionDenied | ReadOnlyFilesystem | NotADirectory | InvalidFilename | Unsupported
    ) || matches!(e.raw_os_error(), Some(libc::ENOLCK | libc::ELOOP))
}

/// ``cannot VERB `path`: cause``.
fn cannot(verb: &str, path: &Path) -> impl FnOnce(io::Error) -> anyhow::Error {
    move |e| anyhow::Error::new(e).context(format!("cannot {verb} `{}`", path.display()))
}
