//! What a compiler is made of: everything whose change may change its objects.
//!
//! The driver's own stamp says little. gcc's driver only starts `cc1` and `as`, which come in other packages; `as` is found
//! through PATH; clang is a small file whose code is in shared libraries; `cc` may be a script (compiler-options.md, I). So the
//! compiler is asked, with `-E -v` of an empty file, `-print-prog-name=as` and `-print-search-dirs`: never with `-c`, since
//! people count compiles in such scripts. That takes 20 ms with gcc and 65 ms with clang, so the answers are kept (`store`),
//! with the stamps of all files they name, the libraries those load, the places where something else would be found first, and the
//! variables that scripts mention. Reading them back takes less than 0.1 ms and starts nothing.
//!
//! Limits: a script that reads its settings from another file, or asks the network, can't be seen through. distcc's remote
//! compilers aren't seen.

mod answers;
mod elf;
mod facts;
mod run;
mod store;
#[cfg(test)]
mod tests;
mod variables;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::command::{Dialect, Language};
use crate::compiler::Compiler;
use crate::config::Config;
use crate::stamp::Stamp;

pub use store::{CacheDir, cache_dirs};

/// A kind of compiler.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Kind {
    /// GNU.
    Gcc,
    /// LLVM's, and what is made from it.
    Clang,
    /// Neither says so.
    #[default]
    Unknown,
}

/// Part that a file plays in a compiler.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// ccache, distcc, `nice`: runs the driver.
    Launcher,
    /// gcc, clang, or a script that runs them.
    Driver,
    /// `cc1`, `cc1plus`, clang itself.
    Compiler,
    /// `as`.
    Assembler,
    /// A shared library that one of these loads.
    Library,
    /// A specs or configuration file.
    Settings,
    /// No part of the compiler, but decides what is: a folder of installations, the loader's cache.
    Watched,
}

impl Role {
    const ALL: [Role; 7] = [
        Role::Launcher,
        Role::Driver,
        Role::Compiler,
        Role::Assembler,
        Role::Library,
        Role::Settings,
        Role::Watched,
    ];

    fn number(self) -> u8 {
        self as u8
    }

    fn numbered(number: u8) -> Option<Role> {
        Role::ALL.get(usize::from(number)).copied()
    }
}

/// One file of a compiler.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tool<'a> {
    /// What it is for.
    pub role: Role,
    /// Where it is; relative if the compiler was given a relative folder.
    pub path: &'a Path,
    /// What it was when the compiler was asked.
    pub stamp: Stamp,
    /// The hash of its content, where its stamp alone won't do: it is text, or the stamp tells nothing.
    pub content: Option<[u8; 32]>,
}

/// A compiler's identity.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Which compiler it is.
    pub kind: Kind,
    /// Major, minor, patch level; zeros where there are none.
    pub version: (u32, u32, u32),
    /// What it compiles for, as it says: `x86_64-linux-gnu`. Empty if it doesn't.
    pub target: String,
    /// Hash of all that may change its objects. Equal for the same compiler through another link.
    pub digest: [u8; 32],
    /// Where it looks for `#include <…>` if nothing else is said, in order, as it spells them: the folders of `CPATH`, of the
    /// language's variable (`C_INCLUDE_PATH`), and those built in. User's `-I` folders stand before all of these, their
    /// `-isystem` folders between the first two, their `-idirafter` after all.
    pub include_dirs: Vec<PathBuf>,
    /// It was not asked now: all is from the cache.
    pub cached: bool,
    body: Vec<u8>,
    files_at: usize,
}

impl Identity {
    /// The files it consists of, each at the place where it is found.
    pub fn tools(&self) -> impl Iterator<Item = Tool<'_>> {
        store::tools(&self.body, self.files_at)
    }

    /// What it is, for people: `gcc 12.2.0 (x86_64-linux-gnu)`.
    pub fn describe(&self) -> String {
        let (major, minor, patch) = self.version;
        let name = match self.kind {
            Kind::Gcc => "gcc",
            Kind::Clang => "clang",
            Kind::Unknown => return "neither gcc nor clang".into(),
        };
        format!("{name} {major}.{minor}.{patch} ({})", self.target)
    }

    /// Its option grammar; an unknown compiler is read like gcc.
    pub fn dialect(&self) -> Dialect {
        match self.kind {
            Kind::Clang => Dialect::Clang,
            Kind::Gcc | Kind::Unknown => Dialect::Gcc,
        }
    }
}

/// A compiler, and all else that decides what it will say of itself.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The compiler.
    pub compiler: &'a Compiler,
    /// For the mark by which an objguard below steps aside.
    pub config: &'a Config,
    /// Words of the command line that change which tools or folders of the system it uses, in order (`-m32`, `-B…`).
    pub probe_flags: &'a [OsString],
    /// What it is to compile.
    pub language: Language,
    /// The environment it will run in.
    pub environment: &'a [(OsString, OsString)],
}

impl Question<'_> {
    fn path(&self) -> Option<&OsStr> {
        variables::get(self.environment, "PATH")
    }

    /// Hashes what decides the answers, but for the content of files.
    fn key(&self) -> [u8; 32] {
        let Compiler {
            program,
            argv0,
            words,
            proper,
            launchers,
            ..
        } = self.compiler;
        let mut hasher = blake3::Hasher::new();
        let mut item = |tag: u8, value: &[u8]| {
            hasher.update(&[tag]);
            hasher.update(&(value.len() as u64).to_le_bytes());
            hasher.update(value);
        };
        item(0, b"objguard compiler key 1");
        item(1, program.as_os_str().as_bytes());
        item(2, argv0.as_bytes());
        words.iter().for_each(|word| item(3, word.as_bytes()));
        item(4, proper.as_os_str().as_bytes());
        launchers
            .iter()
            .for_each(|launcher| item(5, launcher.as_os_str().as_bytes()));
        self.probe_flags
            .iter()
            .for_each(|flag| item(6, flag.as_bytes()));
        item(7, asked_as(self.language).as_bytes());
        variables::key_values(self.environment, |number, value| {
            item(100 + number as u8, value)
        });
        *hasher.finalize().as_bytes()
    }
}

/// The `-x` under which to ask. What has been preprocessed is compiled by the same programs, and asking about that or about
/// plain assembler would start none.
pub fn asked_as(language: Language) -> &'static str {
    use Language::*;
    match language {
        C | CPreprocessed | CHeader | Other => "c",
        Cxx | CxxPreprocessed | CxxHeader => "c++",
        ObjC | ObjCPreprocessed | ObjCHeader => "objective-c",
        ObjCxx | ObjCxxPreprocessed | ObjCxxHeader => "objective-c++",
        Asm | AsmCpp => "assembler-with-cpp",
    }
}

/// A language that is asked about by this name; `None`: there is none.
pub fn asked_about(name: &str) -> Option<Language> {
    use Language::*;
    [C, Cxx, ObjC, ObjCxx, AsmCpp]
        .into_iter()
        .find(|language| asked_as(*language) == name)
}

/// The identity of the compiler: from the first of `cache` that has it, else by asking the compiler; then it is kept in the
/// first folder that can be used.
///
/// # Errors
/// The compiler can't be started.
pub fn identify(question: &Question<'_>, cache: &[CacheDir]) -> Result<Identity> {
    let key = question.key();
    if let Some(identity) = cache
        .iter()
        .find_map(|dir| store::load(dir, &key, question))
    {
        return Ok(identity);
    }
    let facts = facts::find_out(question)?;
    let lasting = facts.lasting;
    let identity = store::identity(&key, facts, question);
    if lasting {
        cache.iter().find(|dir| store::save(dir, &key, &identity));
    }
    Ok(identity)
}
