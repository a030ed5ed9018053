//! From the words of a command line to one [`Verdict`]: a compile to guard, a link to guard, or a command that runs
//! as it was written.
//!
//! Nothing is written, spawned or looked up here; response files are read through the function given. Nothing is
//! refused either: what isn't understood runs as written. The options themselves are data (`options.rs`); this module
//! knows what they add up to.

mod names;
mod nested;
mod reason;
mod scan;
mod verdict;

use std::ffi::{OsStr, OsString};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

pub use crate::options::language::{Driver, Language};
pub use crate::options::{Dialect, SearchKind};
pub use crate::response::{Refused, Words};
pub use reason::Reason;

use crate::response;
use scan::Scan;

/// What a command line is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// One source becomes one object (or assembler file, or precompiled header).
    Compile(Box<Compile>),
    /// Objects, libraries and perhaps sources become one linked file.
    Link(Box<Link>),
    /// Anything else: runs exactly as written, unguarded.
    PassThrough(Reason),
}

/// How far a compile goes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Stage {
    /// `-c`: an object. Also a precompiled header, with or without `-c`.
    Object,
    /// `-S`: an assembler file.
    Assembly,
}

/// One include directory of the user's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SearchDir {
    /// Which chain it belongs to.
    pub kind: SearchKind,
    /// The directory as written.
    pub dir: OsString,
    /// The words that name it.
    pub words: Range<usize>,
}

/// Where a command can run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Placement {
    /// Only `-o` need be replaced by a scratch path with the same base name.
    Staged,
    /// It writes files beside the object or puts names into it that follow the output's. With gcc from 11 on
    /// `-dumpdir`, `-dumpbase` and `-dumpbase-ext` keep them right in scratch; others run in place.
    Named,
    /// It runs exactly as written: no words are added, none replaced.
    InPlace(Reason),
}

/// A file that a compile may write beside the object. It needn't appear: no `-g`, nothing to record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SideOutput {
    /// Its path as the compiler spells it, relative to the working directory.
    pub path: PathBuf,
    /// The option that asks for it.
    pub option: OsString,
}

/// Whether the user decided how messages look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Colour {
    /// No word about it: colour may be asked for when standard error is a terminal.
    Default,
    /// An option decides; nothing is to be added.
    UserSet,
}

/// The user's own request for a dependency file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DepRequest {
    /// `-MD`: headers of the system too. False as soon as there is a `-MMD`, which wins in either order.
    pub system: bool,
    /// `-MF`, or the name the compiler makes up.
    pub file: PathBuf,
    /// The words of the last `-MF`, the one that counts.
    pub file_words: Option<Range<usize>>,
    /// Any `-MT` or `-MQ`: then the target isn't the output's name.
    pub has_target: bool,
    /// `-MP`.
    pub phony: bool,
    /// Where the words `-MD` and `-MMD` (in any spelling) stand.
    pub words: Vec<usize>,
}

/// One source compiled to one file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Compile {
    /// All words after the program's name.
    pub words: Words,
    /// How far it goes.
    pub stage: Stage,
    /// The word that names the source.
    pub source: usize,
    /// The language the source is compiled as.
    pub language: Language,
    /// The file it makes, as spelled, or the name the compiler makes up.
    pub output: PathBuf,
    /// The words `-o X`, `-oX`, `--output X` or `--output=X`; `None`: there is none.
    pub output_words: Option<Range<usize>>,
    /// The user's own dependency file, if the compile writes one.
    pub depfile: Option<DepRequest>,
    /// Every word that has to do with dependency files, values included, in order.
    pub depfile_words: Vec<usize>,
    /// The user's include directories in the order they are given.
    pub search: Vec<SearchDir>,
    /// The values of `-include` and `-imacros`.
    pub forced_includes: Vec<OsString>,
    /// The words that change which tools or directories of the system are used, in order.
    pub probe_flags: Vec<OsString>,
    /// The object depends on the processor this runs on (`-march=native`).
    pub native: bool,
    /// `Err`: guarded but never skipped, and why.
    pub reuse: Result<(), Reason>,
    /// Where it can run.
    pub placement: Placement,
    /// The files it may write beside the object, where their names are known.
    pub side_outputs: Vec<SideOutput>,
    /// Whether `-MD -MF FILE` may be added.
    pub depfile_allowed: bool,
    /// Where words may be added that are to come last: the end, or before `--`.
    pub append_at: usize,
    /// Whether the user decided how messages look.
    pub colour: Colour,
    /// `-flto` is in effect.
    pub lto: bool,
    /// `-g` is in effect.
    pub debug: bool,
}

/// Objects and libraries (and sources) made into one file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// All words after the program's name.
    pub words: Words,
    /// The file it makes, as spelled, or `a.out`.
    pub output: PathBuf,
    /// The words that name it; `None`: there are none.
    pub output_words: Option<Range<usize>>,
    /// The files given to the linker, in order; values of the linker's options aren't among them.
    pub inputs: Vec<LinkInput>,
    /// The libraries looked for by name, in order.
    pub libraries: Vec<Library>,
    /// The directories they are looked for in: the driver's `-L` first, then those in `-Wl,`.
    pub library_dirs: Vec<OsString>,
    /// Sources are compiled by the same command.
    pub sources: bool,
    /// `-r`: the output is an object.
    pub relocatable: bool,
    /// `-flto` is in effect.
    pub lto: bool,
    /// Where it can run; never [`Placement::Named`].
    pub placement: Placement,
    /// Where words may be added that are to come last: the end, or before `--`.
    pub append_at: usize,
}

/// A file given to the linker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkInput {
    /// The word it stands in.
    pub word: usize,
    /// Which comma separated piece of a `-Wl,` word it is, the first being 0; `None`: the word is the path.
    pub piece: Option<usize>,
    /// The path as written.
    pub path: PathBuf,
}

/// A library looked for by name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Library {
    /// The word its name stands in.
    pub word: usize,
    /// As in [`LinkInput`].
    pub piece: Option<usize>,
    /// `foo` of `-lfoo`, `:file` of `-l:file`.
    pub name: OsString,
}

impl Compile {
    /// The source's path as written.
    pub fn source_path(&self) -> &Path {
        Path::new(&self.words.args[self.source])
    }

    /// The words that say *how* the source is compiled: all but the source, the output and the dependency options.
    pub fn flag_words(&self) -> Vec<&OsStr> {
        let output = self.output_words.clone().unwrap_or(0..0);
        let words = self.words.args.iter().enumerate();
        words
            .filter(|(at, _)| *at != self.source && !output.contains(at))
            .filter(|(at, _)| self.depfile_words.binary_search(at).is_err())
            .map(|(_, word)| word.as_os_str())
            .collect()
    }
}

/// The verdict on `args` (without the program's name), reading response files from disk.
pub fn parse(args: &[OsString], driver: Driver, dialect: Dialect) -> Verdict {
    parse_with(args, driver, dialect, &read_regular)
}

/// [`parse`], with response files read by `read`.
pub fn parse_with(
    args: &[OsString],
    driver: Driver,
    dialect: Dialect,
    read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
) -> Verdict {
    let words = match response::expand(args, read) {
        Ok(words) => words,
        Err(refused) => return Verdict::PassThrough(Reason::ResponseFile(refused)),
    };
    match Scan::of(&words.args, driver, dialect).and_then(|scan| scan.verdict(&words)) {
        Ok(verdict) => verdict,
        Err(reason) => Verdict::PassThrough(reason),
    }
}

/// Reads a response file. What comes out of a pipe can be read only once, and the compiler needs it.
fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    if std::fs::metadata(path)?.is_file() {
        std::fs::read(path)
    } else {
        Err(io::Error::other("not a regular file"))
    }
}

/// What a `-D` value makes the object depend on beside its text, if anything. The name alone makes it depend on
/// nothing: `-D__DATE__="x"` fixes the date.
fn hidden_in_macro(definition: &[u8]) -> Option<&'static str> {
    const TOKENS: &[(&[u8], &str)] = &[
        (
            b"__DATE__",
            "the macro's value holds the time of the compile",
        ),
        (
            b"__TIME__",
            "the macro's value holds the time of the compile",
        ),
        (
            b"__TIMESTAMP__",
            "the macro's value holds the time of the source",
        ),
        (b"__has_include", "the macro's value looks for a file"),
        (b"__has_embed", "the macro's value looks for a file"),
        (b"incbin", "the macro's value reads a file"),
    ];
    let in_name = |b: &&u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$' | 0x80..);
    let value = &definition[definition.iter().take_while(in_name).count()..];
    let holds = |token: &[u8]| value.windows(token.len()).any(|part| part == token);
    TOKENS
        .iter()
        .find(|(token, _)| holds(token))
        .map(|(_, why)| *why)
}

/// Whether the value of an option we don't know may be the name of a file: `text` is the option without its family's
/// prefix. A dot before a digit is a version's (`-mmacosx-version-min=10.9`).
fn may_name_a_file(text: &[u8]) -> bool {
    let value = text
        .iter()
        .position(|&b| b == b'=')
        .map_or(&b""[..], |at| &text[at + 1..]);
    text.contains(&b'/')
        || value
            .windows(2)
            .any(|pair| pair[0] == b'.' && pair[1].is_ascii_alphabetic())
}

#[cfg(test)]
mod tests;
