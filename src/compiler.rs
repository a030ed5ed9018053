//! Which real compiler to run, and how to never run ourselves instead.
//!
//! | invoked as | the real compiler |
//! |---|---|
//! | `objguard-cc`, `objguard-c++` | `$OBJGUARD_CC`, `$OBJGUARD_CXX`; unset: the first `cc`, `c++` on PATH that isn't objguard |
//! | a link that `objguard run` made | as that link's role says ([`Config::role`]) |
//! | `objguard-ar` | `$OBJGUARD_AR`; unset: the first `ar` on PATH that isn't objguard ([`archiver`]) |
//! | any other name (`gcc`, `x86_64-linux-gnu-g++`, `gcc-ar`, `ranlib`) | the first program of that name on PATH that isn't objguard; the two variables don't count |
//! | `objguard CC ARGS…` | `CC`, as written |
//!
//! The command of the variables may begin with launchers (`ccache gcc`, `nice -n 5 gcc`) and end in options (`gcc -pthread`).
//! Symbolic links are never resolved for execution: `/usr/lib/ccache/gcc` is a compiler only under that name, and clang takes
//! its target from it.

mod archiver;
mod names;
mod programs;
#[cfg(test)]
pub(crate) mod tests;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};

use crate::command::{Dialect, Driver};
use crate::config::Config;
use names::Launcher;
use programs::{Found, Id, Mark, Miss, Own, Search};

pub use archiver::resolve_archiver;
pub(crate) use names::{driver, split};
pub(crate) use programs::{each_on_path, executable};

/// A real compiler and how to call it: `program` with `argv0`, then `words`, then `flags`, then the user's arguments.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Compiler {
    /// What to execute. Absolute if it was found on PATH.
    pub program: PathBuf,
    /// Its `argv[0]`: the word as written where everybody else would find the same program by it, else the path. gcc looks up
    /// a bare `argv[0]` on PATH itself and searches its `cc1` from there: were that our link, it would find none.
    pub argv0: OsString,
    /// Words between the program and the user's arguments: `["gcc"]` of `ccache gcc`.
    pub words: Vec<OsString>,
    /// Options of `OBJGUARD_CC` after the compiler (`-pthread`): they stand before the user's arguments and are parsed with them.
    pub flags: Vec<OsString>,
    /// What it takes `.c` files for.
    pub driver: Driver,
    /// The compiler proper: for `ccache gcc` the gcc that ccache will run.
    pub proper: PathBuf,
    /// The launchers before it, outermost first.
    pub launchers: Vec<PathBuf>,
    ids: Vec<Id>,
}

impl Compiler {
    /// The value of [`crate::config::INNER`] for the compiler's environment: which programs were run by now. Whatever objguard
    /// is started below steps aside, and passes these over when it looks for the real compiler.
    pub fn inner_mark(&self, config: &Config) -> OsString {
        Mark(config.inner()).extended(&self.ids)
    }

    /// Which option grammar to expect, by the name of the compiler and, where that says nothing (`cc`), by the names that its
    /// symbolic links lead over. A guess, which [`crate::identity`] confirms: `gcc` is clang on macOS.
    pub fn likely_dialect(&self) -> Dialect {
        let mut path = self.proper.clone();
        // Links of links end somewhere: the kernel follows 40.
        for _ in 0..40 {
            let name = path.file_name().unwrap_or_default().as_bytes();
            let has = |word: &[u8]| name.windows(word.len()).any(|part| part == word);
            if has(b"clang") {
                return Dialect::Clang;
            }
            if has(b"gcc") || has(b"g++") {
                return Dialect::Gcc;
            }
            let Ok(target) = fs::read_link(&path) else {
                break;
            };
            path = path.parent().unwrap_or(Path::new("")).join(target);
        }
        Dialect::Gcc
    }
}

/// The real compiler for an instance that was invoked as `invoked_as` (`argv[0]`), with PATH's value in `path`.
///
/// # Errors
/// There is no such compiler, `OBJGUARD_CC` or `OBJGUARD_CXX` can't be used, or everything found leads back to objguard: one
/// line that says what to do.
pub fn resolve(invoked_as: &OsStr, config: &Config, path: Option<&OsStr>) -> Result<Compiler> {
    resolve_beside(&Own::of_this_process(), invoked_as, config, path)
}

/// The compiler that the command line `words` begins with (`objguard ccache gcc -c x.c`), and how many of the words name it.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_prefix(
    words: &[OsString],
    config: &Config,
    path: Option<&OsStr>,
) -> Result<(Compiler, usize)> {
    resolve_prefix_beside(&Own::of_this_process(), words, config, path)
}

fn resolve_beside(
    own: &Own,
    invoked_as: &OsStr,
    config: &Config,
    path: Option<&OsStr>,
) -> Result<Compiler> {
    let search = Search {
        path,
        own,
        mark: Mark(config.inner()),
    };
    let invoked_as = config
        .role(Path::new(invoked_as))
        .map_or(invoked_as, OsStr::new);
    let name = Path::new(invoked_as)
        .file_name()
        .unwrap_or(OsStr::new("objguard-cc"));
    if !name.as_bytes().starts_with(b"objguard") {
        let origin = Origin::Masquerade(name);
        return Ok(Command {
            search,
            origin,
            words: vec![name.to_owned()],
        }
        .compiler(Driver::C)?
        .0);
    }
    let driver = if name.as_bytes().ends_with(b"++") {
        Driver::Cxx
    } else {
        Driver::C
    };
    let (variable, value, standard) = match driver {
        Driver::C => ("OBJGUARD_CC", &config.cc, "cc"),
        Driver::Cxx => ("OBJGUARD_CXX", &config.cxx, "c++"),
    };
    let Some(value) = value else {
        let origin = Origin::Standard {
            name: standard,
            variable,
        };
        return Ok(Command {
            search,
            origin,
            words: vec![standard.into()],
        }
        .compiler(driver)?
        .0);
    };
    let shown = value.display();
    let Some(mut words) = names::split(value.as_bytes()) else {
        bail!(
            "cannot read `{variable}={shown}`: a quote is not closed; set {variable} to the compiler to run, as in `ccache gcc`"
        );
    };
    if words.first().is_none_or(|word| word.is_empty()) {
        bail!(
            "cannot use `{variable}={shown}`: it names no compiler; set it to the compiler to run, or unset it"
        );
    }
    let command = Command {
        search,
        origin: Origin::Variable {
            name: variable,
            value,
        },
        words: words.clone(),
    };
    let (mut compiler, used) = command.compiler(driver)?;
    compiler.flags = words.split_off(used);
    Ok(compiler)
}

fn resolve_prefix_beside(
    own: &Own,
    words: &[OsString],
    config: &Config,
    path: Option<&OsStr>,
) -> Result<(Compiler, usize)> {
    let search = Search {
        path,
        own,
        mark: Mark(config.inner()),
    };
    if words.first().is_none_or(|word| word.is_empty()) {
        bail!("no compiler given; write it first, as in `objguard gcc -c x.c`");
    }
    Command {
        search,
        origin: Origin::Prefix,
        words: words.to_vec(),
    }
    .compiler(Driver::C)
}

/// Where a command comes from: decides how it is read and what an error advises.
#[derive(Clone, Copy)]
enum Origin<'a> {
    Masquerade(&'a OsStr),
    Standard { name: &'a str, variable: &'a str },
    Variable { name: &'a str, value: &'a OsStr },
    Prefix,
}

impl Origin<'_> {
    /// What is looked for.
    fn noun(&self) -> &'static str {
        match self {
            Origin::Standard { variable: name, .. } | Origin::Variable { name, .. }
                if *name == archiver::VARIABLE =>
            {
                "archiver"
            }
            _ => "compiler",
        }
    }
}

/// A command line that begins with a compiler.
struct Command<'a> {
    search: Search<'a>,
    origin: Origin<'a>,
    words: Vec<OsString>,
}

impl Command<'_> {
    /// Walks over the launchers to the compiler proper. `driver`: what a compiler of an unknown name is taken for.
    /// Gives the compiler and the number of words used.
    fn compiler(mut self, driver: Driver) -> Result<(Compiler, usize)> {
        let mut launchers: Vec<(usize, Found)> = Vec::new();
        let mut start = 0;
        let mut at = 0;
        let mut proper = loop {
            let found = self
                .search
                .program(&self.words[at])
                .map_err(|miss| self.explain(&self.words[at], &miss))?;
            let Some(next) = self.launched(at) else {
                break found;
            };
            if self.search.mark.times(found.id) > 0 {
                // It runs above us already: one more of it would only start us again.
                start = next;
                launchers.clear();
            } else {
                launchers.push((at, found));
            }
            at = next;
        };
        let name = Path::new(&self.words[at])
            .file_name()
            .unwrap_or_default()
            .to_owned();
        let mut used = at + 1;
        let mut driver = names::driver(name.as_bytes()).unwrap_or(driver);
        // `zig cc` is one compiler in two words.
        if name == "zig"
            && let Some(said) = self
                .words
                .get(used)
                .and_then(|word| names::driver(word.as_bytes()))
        {
            driver = said;
            used += 1;
        }
        for (word, found) in launchers
            .iter()
            .map(|(i, f)| (*i, f))
            .chain([(at, &proper)])
        {
            if word > start && !found.plain {
                // The launcher would look for it on PATH and find what was passed over here.
                self.words[word] = found.path.clone().into();
            }
        }
        let first = launchers
            .first()
            .map_or(&proper, |(_, found)| found)
            .clone();
        let mut ids: Vec<Id> = launchers.iter().map(|(_, found)| found.id).collect();
        let mut launchers: Vec<PathBuf> =
            launchers.into_iter().map(|(_, found)| found.path).collect();
        if proper.masquerades()
            && let Ok(found) = self.search.on_path(&name, Some(proper.id))
        {
            ids.push(proper.id);
            launchers.push(std::mem::replace(&mut proper, found).path);
        }
        ids.push(proper.id);
        let argv0 = if first.plain {
            self.words[start].clone()
        } else {
            first.path.clone().into()
        };
        let words = self.words[start + 1..used].to_vec();
        let compiler = Compiler {
            program: first.path,
            argv0,
            words,
            flags: Vec::new(),
            driver,
            proper: proper.path,
            launchers,
            ids,
        };
        Ok((compiler, used))
    }

    /// Where the command is that the word `at` launches, if that is a launcher.
    fn launched(&self, at: usize) -> Option<usize> {
        let name = Path::new(&self.words[at]).file_name()?;
        let operand = |word: &OsString| {
            let word = word.as_bytes();
            let before_slash = word.split(|b| *b == b'/').next().unwrap_or_default();
            word.starts_with(b"-") || before_slash.contains(&b'=')
        };
        let mut rest = (at + 1..self.words.len()).filter(|i| !operand(&self.words[*i]));
        match names::launcher(name.as_bytes()) {
            Some(Launcher::OfCompilers) => rest.next(),
            Some(Launcher::OfCommands) => rest.find(|i| self.may_be_launched(*i)),
            // A launcher nobody knows: `mywrap gcc`. The words after a compiler may be files: `gcc cc` links a file `cc`.
            None => {
                let known = names::driver(name.as_bytes()).is_some();
                let files_follow = !matches!(self.origin, Origin::Variable { .. });
                let next = at + 1;
                let candidate =
                    next < self.words.len() && !operand(&self.words[next]) && name != "zig";
                (candidate && !(known && files_follow) && self.may_be_launched(next))
                    .then_some(next)
            }
        }
    }

    fn may_be_launched(&self, at: usize) -> bool {
        let name = Path::new(&self.words[at])
            .file_name()
            .unwrap_or_default()
            .as_bytes();
        (names::driver(name).is_some() || names::launcher(name).is_some())
            && !matches!(
                self.search.program(&self.words[at]),
                Err(Miss::NotOnPath | Miss::Unusable(..))
            )
    }

    /// One line: what can't be run, why, and what to do.
    fn explain(&self, word: &OsStr, miss: &Miss) -> anyhow::Error {
        let word = word.display();
        let noun = self.origin.noun();
        let (from, advice) = match self.origin {
            Origin::Masquerade(name) => (
                String::new(),
                format!(
                    "put the folder of the real `{}` on PATH, or call objguard by another name",
                    name.display()
                ),
            ),
            Origin::Standard { variable, .. } => (
                String::new(),
                format!("set {variable} to the {noun} to run"),
            ),
            Origin::Variable { name, value } => (
                format!(" (`{name}={}`)", value.display()),
                format!("set {name} to the {noun} to run"),
            ),
            Origin::Prefix => (
                String::new(),
                "give the compiler to run, as in `objguard gcc -c x.c`".to_owned(),
            ),
        };
        match miss {
            Miss::NotOnPath => match self.origin {
                Origin::Standard { name, variable } => {
                    anyhow!(
                        "cannot find {} {noun}: there is no `{name}` on PATH; install one, or set {variable} to the {noun} to run",
                        if noun == "archiver" { "an" } else { "a" }
                    )
                }
                _ => anyhow!(
                    "cannot find `{word}`{from}: there is no such program on PATH; {advice}"
                ),
            },
            Miss::NotExecutable(path) => anyhow!(
                "cannot run `{}`{from}: it is not executable; {advice}",
                path.display()
            ),
            Miss::OnlyOurselves(path) => anyhow!(
                "cannot run `{}`{from}: it is objguard itself; {advice}",
                path.display()
            ),
            Miss::Loop(path) => {
                anyhow!(
                    "objguard would call itself through `{}`{from}: {advice} that doesn't run objguard",
                    path.display()
                )
            }
            Miss::Unusable(path, cause) => {
                anyhow!("cannot run `{}`{from}: {cause}; {advice}", path.display())
            }
        }
    }
}
