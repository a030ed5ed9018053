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

use std::ffi::{OsStr, OsString};
use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
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

const CLOCK: &str = "the macro's value holds the time of the compile";

/// Whether a `-D` value makes the object depend on the clock. The name alone doesn't: `-D__DATE__="x"` fixes it.
fn names_time(definition: &[u8]) -> bool {
    let name = definition
        .iter()
        .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$' | 0x80..))
        .count();
    let value = &definition[name..];
    [&b"__DATE__"[..], b"__TIME__", b"__TIMESTAMP__"]
        .iter()
        .any(|token| value.windows(token.len()).any(|w| w == *token))
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

/// Whether a path names no regular file by its mere spelling.
fn is_special(path: &[u8]) -> bool {
    path.starts_with(b"/dev/") || path.starts_with(b"/proc/")
}

/// Whether two spellings are the same path for sure; others may still lead to the same file.
fn same_spelling(a: &OsStr, b: &Path) -> bool {
    fn plain(path: &Path) -> impl Iterator<Item = std::path::Component<'_>> {
        path.components()
            .filter(|part| !matches!(part, std::path::Component::CurDir))
    }
    plain(Path::new(a)).eq(plain(b))
}

impl Scan<'_> {
    /// What the words add up to; `Err`: the command runs as written.
    fn verdict(self, words: &Words) -> Result<Verdict, Reason> {
        if let Some(input) = self
            .inputs
            .iter()
            .map(|input| self.args[input.word].as_os_str())
            .find(|path| {
                let path = path.as_bytes();
                path == b"-" || path.starts_with(b"@") || is_special(path)
            })
        {
            return Err(match input.as_bytes() {
                b"-" => Reason::Stdin,
                [b'@', ..] => Reason::NoResponseFile(input.to_owned()),
                _ => Reason::SpecialFile(input.to_owned()),
            });
        }
        if let Some(output) = &self.output {
            match output.path {
                b"-" => return Err(Reason::SpecialFile(output.path().into())),
                path if is_special(path) => return Err(Reason::SpecialFile(output.path().into())),
                b"" | [.., b'/'] => return Err(Reason::OutputName(output.path().into())),
                _ => {}
            }
        }
        let headers = self
            .inputs
            .iter()
            .any(|input| input.language.is_some_and(Language::is_header));
        match self.stage {
            Some(stage) => self.compile(words, stage),
            None if headers && self.links => Err(Reason::PrecompiledHeader),
            None if headers => self.compile(words, Stage::Object),
            None => self.link(words),
        }
    }

    fn compile(mut self, words: &Words, stage: Stage) -> Result<Verdict, Reason> {
        let mut sources = self
            .inputs
            .iter()
            .filter_map(|input| Some((input.word, input.language?)));
        let Some((source, language)) = sources.next() else {
            return Err(Reason::NoSource);
        };
        if sources.next().is_some() {
            return Err(Reason::SeveralSources);
        }
        if let Some(other) = self.inputs.iter().find(|input| input.language.is_none()) {
            return Err(Reason::OtherInput(self.args[other.word].clone()));
        }
        let name = self.args[source].as_bytes();
        if language == Language::Other {
            return Err(Reason::Language(self.args[source].clone()));
        }
        if stage == Stage::Assembly && (language.is_assembler() || language.is_header()) {
            return Err(Reason::NothingToDo);
        }
        if self.dep_words.is_empty()
            && let Some(&word) = self.depfile_words.first()
        {
            return Err(Reason::DependencyOption(self.args[word].clone()));
        }
        let dialect = self.dialect;
        let given = self.output.as_ref().map(|output| output.path);
        let output = match (&self.output, stage) {
            (Some(output), _) => PathBuf::from(output.path()),
            (None, Stage::Object) if language.is_header() => match dialect {
                Dialect::Gcc => PathBuf::from(OsStr::from_bytes(&[name, b".gch"].concat())),
                // `.gch` or `.pch`: it depends on the release.
                Dialect::Clang => return Err(Reason::PrecompiledHeader),
            },
            (None, Stage::Object) => names::output(name, b".o", dialect),
            (None, Stage::Assembly) => names::output(name, b".s", dialect),
        };
        if same_spelling(&self.args[source], &output) {
            return Err(Reason::OutputIsInput(self.args[source].clone()));
        }

        if self.several_outputs {
            self.in_place.get_or_insert(Reason::SeveralOutputs);
        }
        if language.is_header() {
            self.never.get_or_insert(Reason::PrecompiledHeader);
            if dialect == Dialect::Clang {
                self.in_place.get_or_insert(Reason::PrecompiledHeader);
            }
        }
        if let Some(word) = self.listed_input
            && !language.runs_preprocessor()
        {
            self.never(word, "the file it names is in no dependency list");
        }
        let side_outputs = self.side_outputs(name, given);
        let depfile = if language.runs_preprocessor() {
            self.dep_request(name, given)
        } else {
            None
        };
        if let Some(request) = &depfile {
            let file = request.file.as_os_str().as_bytes();
            if file == b"-" || file.is_empty() || is_special(file) {
                self.in_place
                    .get_or_insert(Reason::SpecialFile(request.file.clone().into()));
            }
        }
        let in_place = self.in_place.take().or(self.compile_in_place.take());
        let reuse = match self.never.take().or(in_place.clone()) {
            Some(reason) => Err(reason),
            None => Ok(()),
        };
        let placement = match in_place {
            Some(reason) => Placement::InPlace(reason),
            None if self.named.is_some() => Placement::Named,
            None => Placement::Staged,
        };
        let depfile_allowed =
            language.runs_preprocessor() && !matches!(placement, Placement::InPlace(_));
        Ok(Verdict::Compile(Box::new(Compile {
            words: words.clone(),
            stage,
            source,
            language,
            output,
            output_words: self.output.map(|output| output.words),
            depfile,
            depfile_words: self.depfile_words,
            search: self.search,
            forced_includes: self.forced_includes,
            probe_flags: self.probe_flags,
            native: self.native,
            reuse,
            placement,
            side_outputs,
            depfile_allowed,
            append_at: self.append_at,
            colour: self.colour,
            lto: self.lto,
            debug: self.debug,
        })))
    }

    fn side_outputs(&self, source: &[u8], output: Option<&[u8]>) -> Vec<SideOutput> {
        let mut outputs = Vec::new();
        if let Some(word) = self.split_dwarf {
            let path = names::beside(source, output, b".dwo", self.dialect);
            outputs.push(SideOutput {
                path,
                option: self.args[word].clone(),
            });
        }
        for &(side, word) in &self.sides {
            let path = names::side(side, source, output, self.dialect);
            outputs.push(SideOutput {
                path,
                option: self.args[word].clone(),
            });
        }
        for (path, word) in &self.written {
            outputs.push(SideOutput {
                path: path.clone(),
                option: self.args[*word].clone(),
            });
        }
        outputs
    }

    fn dep_request(&self, source: &[u8], output: Option<&[u8]>) -> Option<DepRequest> {
        if self.dep_words.is_empty() {
            return None;
        }
        let (file, file_words) = match &self.dep_file {
            Some(file) => (PathBuf::from(file.path()), Some(file.words.clone())),
            None => (names::depfile(source, output, self.dialect), None),
        };
        Some(DepRequest {
            system: self.dep_system,
            file,
            file_words,
            has_target: self.dep_target,
            phony: self.dep_phony,
            words: self.dep_words.clone(),
        })
    }

    fn link(mut self, words: &Words) -> Result<Verdict, Reason> {
        if let Some(word) = self.linker_asks {
            return Err(Reason::aside(
                &self.args[word],
                "it asks the linker for information",
            ));
        }
        let sources = self.inputs.iter().any(|input| input.language.is_some());
        if !sources && self.link_inputs.is_empty() && self.libraries.is_empty() {
            return Err(Reason::NoInput);
        }
        let output = match &self.output {
            Some(output) => PathBuf::from(output.path()),
            None => PathBuf::from("a.out"),
        };
        let paths = self
            .inputs
            .iter()
            .map(|input| self.args[input.word].as_os_str());
        let pieces = self.link_inputs.iter().map(|input| input.path.as_os_str());
        if let Some(same) = paths
            .chain(pieces)
            .find(|path| same_spelling(path, &output))
        {
            return Err(Reason::OutputIsInput(same.to_owned()));
        }
        if self.several_outputs {
            self.in_place.get_or_insert(Reason::SeveralOutputs);
        }
        let other = self
            .inputs
            .iter()
            .find(|input| input.language == Some(Language::Other));
        let mut in_place = self.in_place.take().or(self.link_in_place.take());
        if let Some(input) = other {
            in_place = in_place.or(Some(Reason::Language(self.args[input.word].clone())));
        }
        if sources || self.lto {
            in_place = in_place.or(self.named.take());
        }
        if sources {
            in_place = in_place.or(self.compile_in_place.take());
            if let Some(&word) = self.depfile_words.first() {
                let reason = Reason::in_place(
                    &self.args[word],
                    "the name of the dependency file follows the output's",
                );
                in_place = in_place.or(Some(reason));
            }
        }
        let mut library_dirs = self.library_dirs;
        library_dirs.append(&mut self.linker_dirs);
        Ok(Verdict::Link(Box::new(Link {
            words: words.clone(),
            output,
            output_words: self.output.map(|output| output.words),
            inputs: self.link_inputs,
            libraries: self.libraries,
            library_dirs,
            sources,
            relocatable: self.relocatable,
            lto: self.lto,
            placement: in_place.map_or(Placement::Staged, Placement::InPlace),
            append_at: self.append_at,
        })))
    }
}

#[cfg(test)]
mod tests;
