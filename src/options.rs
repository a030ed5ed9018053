//! The option table of gcc and clang as data: how an option is spelled, which words it takes, and what it means for
//! a wrapper that guards and skips compiles.
//!
//! One [`Row`] per option. The rows both drivers share are in `options/common.rs`, those of one driver in
//! `options/gcc.rs` and `options/clang.rs`; `options/linker.rs` knows the linker's own options (inside `-Wl,`) and
//! `options/language.rs` the suffixes and the values of `-x`. This module knows nothing of whole commands: that is
//! `command.rs`.
//!
//! Two kinds of row carry a reason as text, because the user is told it: "never skipped" and "run as written".
//!
//! Sources: the option tables of gcc 12 to 15 (`common.opt`, `c.opt`, `lang.opt`) and clang 14 to 19 (`Options.td`),
//! checked with the drivers themselves (`tests/command_driver.rs`).

mod clang;
mod common;
mod gcc;
pub mod language;
pub mod linker;

/// Whose grammar a command line follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// The gcc driver (any release from 11 on; older ones parse alike).
    Gcc,
    /// The clang driver in its gcc-like mode.
    Clang,
}

/// How an option is written and where its value stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// The word alone: `-c`.
    Flag,
    /// The value is the rest of the word: `-std=c99`.
    Joined,
    /// Alone, or with a value as the rest of the word: `-O`, `-O2`.
    FlagOrJoined,
    /// Alone, or with a value after `=`: `-flto`, `-flto=auto`.
    FlagOrEquals,
    /// The value is the next word: `-Xlinker WORD`.
    Separate,
    /// The value is the rest of the word or the next word: `-Idir`, `-I dir`.
    JoinedOrSeparate,
    /// The value follows `=` or is the next word: `--output=F`, `--output F`.
    SeparateOrEquals,
    /// This many further words, all of them values: `-sectalign A B C`.
    Words(u8),
    /// Some value joined, and one further word: `-Xarch_arm64 WORD`.
    JoinedAndSeparate,
}

/// The kinds of include directory, in the order the preprocessor searches them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SearchKind {
    /// `-iquote`: for `#include "…"` only.
    Quote,
    /// `-I`.
    Normal,
    /// `-F`, `-iframework`: searched as Darwin frameworks.
    Framework,
    /// `-isystem` and its relatives.
    System,
    /// `-idirafter`: after the directories of the system.
    After,
    /// `--embed-dir`: for `#embed` only.
    Embed,
}

/// A file that a compile writes beside the object under a name made from the output's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// `.gcno`, the notes of `--coverage`.
    CoverageNotes,
    /// `.su`, the stack usage.
    StackUsage,
    /// `.ci`, the call graph.
    CallGraph,
    /// The optimisation record: `.c.opt-record.json.gz` from gcc, `.opt.yaml` from clang.
    OptimizationRecord,
}

/// The parts of a dependency request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dep {
    /// `-MD`: with the headers of the system.
    All,
    /// `-MMD`: without them.
    User,
    /// `-MF FILE`.
    File,
    /// `-MT`, `-MQ`.
    Target,
    /// `-MP`.
    Phony,
}

/// What an option means for us. The text some of them carry says why, and is shown to the user.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Changes the bytes of the object or the messages at most, as a function of its text alone.
    Plain,
    /// A spelling of a family that writes and reads no files as far as we know, but isn't in the table. It is
    /// [`Effect::Plain`], unless its value looks like a path: then it may name an input nobody lists.
    Unlisted,
    /// `-c`.
    Object,
    /// `-S`.
    Assembly,
    /// The command is no compile or link that can be guarded: it runs as written.
    Aside(&'static str),
    /// `-o`.
    Output,
    /// `-x`.
    Language,
    /// `-D`.
    Define,
    /// An include directory.
    Search(SearchKind),
    /// `-include`, `-imacros`.
    Forced,
    /// A part of a dependency request.
    Depfile(Dep),
    /// Changes which tools or which directories of the system are used: part of the compiler's identity.
    Probe,
    /// As [`Effect::Probe`], and the object may depend on files that nobody lists.
    ProbeNever(&'static str),
    /// `-march=`, `-mcpu=`, `-mtune=`: with `native` the host's processor counts.
    Machine,
    /// `-arch`: given twice there are several compiles in one command.
    Architecture,
    /// Says how messages look: then we don't.
    Colour,
    /// `-fdiagnostics-format=`: as [`Effect::Colour`], and with a file as target it writes one.
    MessageFormat,
    /// `-g` and its levels.
    Debug,
    /// `-gsplit-dwarf`: a `.dwo` beside the object, its name inside it.
    SplitDwarf,
    /// `-gno-split-dwarf`.
    NoSplitDwarf,
    /// `-flto`, with its value.
    Lto,
    /// `-fno-lto`.
    NoLto,
    /// A file beside the object, named after the output.
    Side(Side),
    /// The object holds names made from the output's.
    Embeds,
    /// Writes files named after the output, which ones isn't known.
    Named(&'static str),
    /// The value names a file that the compile writes.
    Writes(&'static str),
    /// `-fopt-info…`: messages, or with `=FILE` a file.
    OptInfo,
    /// Names an input that the dependency output lists, if there is one.
    ListedInput,
    /// Guarded, but the object may depend on something nobody lists.
    Never(&'static str),
    /// Writes files in places we don't know, or shows the name of the output: runs exactly as written.
    InPlace(&'static str),
    /// `-save-temps`, with its value.
    SaveTemps,
    /// `-Wl,`: comma separated words for the linker.
    LinkerWords,
    /// `-Xlinker`: one word for the linker.
    LinkerWord,
    /// `-Wa,`: comma separated words for the assembler.
    AssemblerWords,
    /// `-Xassembler`: one word for the assembler.
    AssemblerWord,
    /// `-Wp,`: comma separated words for the preprocessor.
    PreprocessorWords,
    /// `-Xpreprocessor`: one word for the preprocessor.
    PreprocessorWord,
    /// `-Xclang`: one word for clang's compiler proper.
    CompilerWord,
    /// `-l`.
    Library,
    /// `-L`.
    LibraryDir,
    /// The value is a file the linker reads: `-force_load FILE`.
    LinkInput,
    /// `-r`.
    Relocatable,
    /// `--driver-mode=`: another grammar, or another language for `.c`.
    DriverMode,
}

/// One option.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// The spelling, with its dashes, without the value.
    pub name: &'static str,
    /// Where its value stands.
    pub form: Form,
    /// What it means.
    pub effect: Effect,
}

const fn row(name: &'static str, form: Form, effect: Effect) -> Row {
    Row { name, form, effect }
}

/// A word recognised as an option.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found<'a> {
    /// The row it matches.
    pub row: &'static Row,
    /// The value inside the word, where the form has one.
    pub joined: Option<&'a [u8]>,
    /// How many of the following words are its values.
    pub following: usize,
}

/// The option that `word` spells in `dialect`: the longest name that fits, as both drivers decide it.
///
/// `None`: not an option of the table. The word starts with a dash, has more than that, and isn't `--`.
pub fn find(dialect: Dialect, word: &[u8]) -> Option<Found<'_>> {
    let own = match dialect {
        Dialect::Gcc => gcc::ROWS,
        Dialect::Clang => clang::ROWS,
    };
    match (longest(own, word), longest(common::ROWS, word)) {
        (Some(a), Some(b)) if b.row.name.len() > a.row.name.len() => Some(b),
        (Some(a), _) => Some(a),
        (None, b) => b,
    }
}

/// The longest row of a sorted table that accepts `word`.
fn longest<'a>(rows: &'static [Row], word: &'a [u8]) -> Option<Found<'a>> {
    // Every name that begins `word` sorts at or before it. Stepping back from there, the common prefix with the
    // row just below bounds what can still fit, so a few steps do.
    let mut limit = word.len();
    loop {
        let prefix = &word[..limit];
        let below = rows.partition_point(|row| row.name.as_bytes() <= prefix);
        let row = &rows[below.checked_sub(1)?];
        let name = row.name.as_bytes();
        if prefix.starts_with(name) {
            if let Some(found) = accept(row, &word[name.len()..]) {
                return Some(found);
            }
            limit = name.len().checked_sub(1)?;
        } else {
            limit = prefix.iter().zip(name).take_while(|(a, b)| a == b).count();
        }
    }
}

/// Whether `rest`, the text after the row's name, fits its form.
fn accept<'a>(row: &'static Row, rest: &'a [u8]) -> Option<Found<'a>> {
    let (joined, following) = match row.form {
        Form::Flag if rest.is_empty() => (None, 0),
        Form::Joined => (Some(rest), 0),
        Form::FlagOrJoined => (Some(rest).filter(|r| !r.is_empty()), 0),
        Form::FlagOrEquals if rest.is_empty() => (None, 0),
        Form::FlagOrEquals => (Some(rest.strip_prefix(b"=")?), 0),
        Form::Separate if rest.is_empty() => (None, 1),
        Form::JoinedOrSeparate if rest.is_empty() => (None, 1),
        Form::JoinedOrSeparate => (Some(rest), 0),
        Form::SeparateOrEquals if rest.is_empty() => (None, 1),
        Form::SeparateOrEquals => (Some(rest.strip_prefix(b"=")?), 0),
        Form::Words(count) if rest.is_empty() => (None, usize::from(count)),
        Form::JoinedAndSeparate => (Some(rest), 1),
        Form::Flag | Form::Separate | Form::Words(_) => return None,
    };
    Some(Found {
        row,
        joined,
        following,
    })
}

#[cfg(test)]
mod tests;
