//! One walk over the words: what each option says is gathered here, and `command.rs` adds it up.

use std::ffi::{OsStr, OsString};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::nested::{self, Nested};
use super::{
    Colour, Library, LinkInput, Reason, SearchDir, Stage, hidden_in_macro, may_name_a_file,
};
use crate::options::language::{self, Driver, Language};
use crate::options::linker::{self, LinkerWord};
use crate::options::{self, Dep, Dialect, Effect, Found, SearchKind, Side};

/// A word that names a file, no option's value.
pub(super) struct Input {
    pub(super) word: usize,
    /// `None`: it goes to the linker.
    pub(super) language: Option<Language>,
}

/// A file named by an option.
pub(super) struct Named<'a> {
    /// The option's words.
    pub(super) words: Range<usize>,
    /// The file's path.
    pub(super) path: &'a [u8],
}

impl<'a> Named<'a> {
    pub(super) fn path(&self) -> &'a OsStr {
        OsStr::from_bytes(self.path)
    }
}

/// What the next word for the linker is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Awaited {
    Nothing,
    Value,
    Library,
    Directory,
}

/// Everything the words say.
pub(super) struct Scan<'a> {
    pub(super) args: &'a [OsString],
    pub(super) dialect: Dialect,
    driver: Driver,

    pub(super) stage: Option<Stage>,
    pub(super) inputs: Vec<Input>,
    /// `-x` in effect for the next input.
    explicit: Option<Language>,
    /// A `-x` came since the last input.
    spoken: bool,
    pub(super) output: Option<Named<'a>>,
    pub(super) several_outputs: bool,
    pub(super) append_at: usize,

    pub(super) dep_words: Vec<usize>,
    pub(super) depfile_words: Vec<usize>,
    pub(super) dep_system: bool,
    pub(super) dep_file: Option<Named<'a>>,
    pub(super) dep_target: bool,
    pub(super) dep_phony: bool,

    pub(super) search: Vec<SearchDir>,
    pub(super) forced_includes: Vec<OsString>,
    pub(super) probe_flags: Vec<OsString>,
    pub(super) native: bool,
    pub(super) colour: Colour,
    pub(super) lto: bool,
    pub(super) debug: bool,
    architecture: Option<&'a [u8]>,

    /// `-gsplit-dwarf` in effect, with a file of its own.
    pub(super) split_dwarf: Option<usize>,
    pub(super) sides: Vec<(Side, usize)>,
    pub(super) written: Vec<(PathBuf, usize)>,
    pub(super) listed_input: Option<usize>,
    /// Why the object may not be skipped.
    pub(super) never: Option<Reason>,
    /// Files are named after the output.
    pub(super) named: Option<Reason>,
    /// Why the command, compile or link, runs as written.
    pub(super) in_place: Option<Reason>,
    /// Why it does when it compiles.
    pub(super) compile_in_place: Option<Reason>,
    /// Why it does when it links.
    pub(super) link_in_place: Option<Reason>,

    pub(super) link_inputs: Vec<LinkInput>,
    pub(super) libraries: Vec<Library>,
    pub(super) library_dirs: Vec<OsString>,
    pub(super) linker_dirs: Vec<OsString>,
    pub(super) relocatable: bool,
    pub(super) linker_asks: Option<usize>,
    /// A word for the linker, or a library: then a header without `-c` is followed by a link.
    pub(super) links: bool,
    awaited: Awaited,
    assembler_awaits: bool,
    compiler_awaits: bool,
}

impl<'a> Scan<'a> {
    /// Walks over all words. `Err`: the command is none of ours.
    pub(super) fn of(
        args: &'a [OsString],
        driver: Driver,
        dialect: Dialect,
    ) -> Result<Scan<'a>, Reason> {
        let mut scan = Scan {
            args,
            dialect,
            driver,
            stage: None,
            inputs: Vec::new(),
            explicit: None,
            spoken: false,
            output: None,
            several_outputs: false,
            append_at: args.len(),
            dep_words: Vec::new(),
            depfile_words: Vec::new(),
            dep_system: true,
            dep_file: None,
            dep_target: false,
            dep_phony: false,
            search: Vec::new(),
            forced_includes: Vec::new(),
            probe_flags: Vec::new(),
            native: false,
            colour: Colour::Default,
            lto: false,
            debug: false,
            architecture: None,
            split_dwarf: None,
            sides: Vec::new(),
            written: Vec::new(),
            listed_input: None,
            never: None,
            named: None,
            in_place: None,
            compile_in_place: None,
            link_in_place: None,
            link_inputs: Vec::new(),
            libraries: Vec::new(),
            library_dirs: Vec::new(),
            linker_dirs: Vec::new(),
            relocatable: false,
            linker_asks: None,
            links: false,
            awaited: Awaited::Nothing,
            assembler_awaits: false,
            compiler_awaits: false,
        };
        scan.driver_mode()?;
        scan.walk()?;
        Ok(scan)
    }

    /// clang looks for `--driver-mode=` before anything else.
    fn driver_mode(&mut self) -> Result<(), Reason> {
        if self.dialect != Dialect::Clang {
            return Ok(());
        }
        for word in self.args {
            match word.as_bytes().strip_prefix(b"--driver-mode=") {
                Some(b"gcc") => self.driver = Driver::C,
                Some(b"g++") => self.driver = Driver::Cxx,
                Some(_) => return Err(Reason::aside(word, "it asks for another grammar")),
                None => {}
            }
        }
        Ok(())
    }

    fn walk(&mut self) -> Result<(), Reason> {
        let args = self.args;
        let mut at = 0;
        while at < args.len() {
            let word = args[at].as_bytes();
            if word.is_empty() {
                return Err(Reason::EmptyWord);
            }
            if word == b"--" && self.dialect == Dialect::Clang {
                self.append_at = at;
                (at + 1..args.len()).for_each(|word| self.input(word));
                break;
            }
            if word.len() < 2 || word[0] != b'-' {
                self.input(at);
                at += 1;
                continue;
            }
            let Some(found) = options::find(self.dialect, word) else {
                return Err(Reason::UnknownOption(args[at].clone()));
            };
            let words = at..at + 1 + found.following;
            if words.end > args.len() {
                return Err(Reason::MissingValue(args[at].clone()));
            }
            at = words.end;
            self.option(found, words)?;
        }
        if self.awaited != Awaited::Nothing {
            self.link_in_place.get_or_insert(Reason::in_place(
                args.last().map_or(OsStr::new(""), |word| word),
                "the linker's last option lacks its value",
            ));
        }
        Ok(())
    }

    fn input(&mut self, word: usize) {
        let language = self.language_of(self.args[word].as_bytes());
        self.inputs.push(Input { word, language });
        self.interrupts(word);
        if language.is_none() {
            self.link_inputs.push(LinkInput {
                word,
                piece: None,
                path: PathBuf::from(&self.args[word]),
            });
        }
    }

    /// The language of the input `name`, `None` for the linker's.
    ///
    /// g++ puts `-xc++ … -xnone` around a `.c`, `.i` or `.h`, unless `-x` of any kind stands before it and no other input
    /// in between. (Measured: `g++ -xnone a.c` compiles C, `g++ -xc a.c b.c` one of each, and `-xc` ends there.)
    fn language_of(&mut self, name: &[u8]) -> Option<Language> {
        if (self.driver, self.dialect) != (Driver::Cxx, Dialect::Gcc) {
            return self
                .explicit
                .or_else(|| language::of_file(name, self.driver, self.dialect));
        }
        let by_suffix = |driver| language::of_file(name, driver, Dialect::Gcc);
        if !std::mem::take(&mut self.spoken) && by_suffix(Driver::C) != by_suffix(Driver::Cxx) {
            self.explicit = None;
            return by_suffix(Driver::Cxx);
        }
        self.explicit.or_else(|| by_suffix(Driver::C))
    }

    /// A word of the driver's stands where the linker awaits the value of an option in `-Wl,`.
    fn interrupts(&mut self, word: usize) {
        if self.awaited != Awaited::Nothing {
            let why = "it stands between a linker's option and its value";
            self.link_in_place
                .get_or_insert(Reason::in_place(&self.args[word], why));
        }
    }

    pub(super) fn never(&mut self, word: usize, why: &'static str) {
        self.never
            .get_or_insert_with(|| Reason::never(&self.args[word], why));
    }

    fn named(&mut self, word: usize, why: &'static str) {
        self.named
            .get_or_insert_with(|| Reason::in_place(&self.args[word], why));
    }

    fn in_place(&mut self, word: usize, why: &'static str) {
        self.in_place
            .get_or_insert_with(|| Reason::in_place(&self.args[word], why));
    }

    /// What one option says. `words` are its own and its values.
    fn option(&mut self, found: Found<'a>, words: Range<usize>) -> Result<(), Reason> {
        let args = self.args;
        let word = words.start;
        // The value: the last of the following words, or the rest of the option's own.
        let own = found.joined.unwrap_or_default();
        let value = if found.following > 0 {
            args[words.end - 1].as_bytes()
        } else {
            own
        };
        let value_word = words.end - 1;
        match found.row.effect {
            Effect::Plain => {}
            Effect::Unlisted => {
                if may_name_a_file(own) {
                    self.never(word, "the option is not known here and may name a file");
                }
            }
            Effect::Object => self.stage = self.stage.or(Some(Stage::Object)),
            Effect::Assembly => self.stage = Some(Stage::Assembly),
            Effect::Aside(why) => return Err(Reason::aside(&args[word], why)),
            Effect::DriverMode => {}
            Effect::Output => {
                self.several_outputs |= self.output.is_some();
                self.output = Some(Named { words, path: value });
            }
            Effect::Language => {
                self.spoken = true;
                self.explicit = if value == b"none" {
                    None
                } else {
                    Some(language::named(value))
                };
            }
            Effect::Define => {
                if let Some(why) = hidden_in_macro(value) {
                    self.never(word, why);
                }
            }
            Effect::Search(kind) => self.search_dir(kind, value, words),
            Effect::Forced => self
                .forced_includes
                .push(OsStr::from_bytes(value).to_owned()),
            Effect::Depfile(part) => self.dependency(part, words, value),
            Effect::Probe => self.probe_flags.extend_from_slice(&args[words]),
            Effect::ProbeNever(why) => {
                self.never(word, why);
                self.probe_flags.extend_from_slice(&args[words]);
            }
            Effect::Machine => {
                self.native |= value == b"native";
                self.probe_flags.extend_from_slice(&args[words]);
            }
            Effect::Architecture => {
                if self
                    .architecture
                    .replace(value)
                    .is_some_and(|before| before != value)
                {
                    self.in_place(word, "the source is compiled for several architectures");
                }
                self.probe_flags.extend_from_slice(&args[words]);
            }
            Effect::Colour => {
                // `auto` is what is done by default, and counts if it comes last.
                self.colour = match value {
                    b"auto" => Colour::Default,
                    _ => Colour::UserSet,
                };
            }
            Effect::MessageFormat => {
                self.colour = Colour::UserSet;
                if value.ends_with(b"-file") {
                    self.in_place(word, "the messages are written to a file");
                }
            }
            Effect::Debug => self.debug_level(value),
            Effect::SplitDwarf => {
                let single = self.dialect == Dialect::Clang && value == b"single";
                self.split_dwarf = Some(word).filter(|_| !single);
                self.named(word, "the object holds a name made from the output's");
            }
            Effect::NoSplitDwarf => self.split_dwarf = None,
            Effect::Lto => self.lto = !matches!(value, b"none" | b"no"),
            Effect::NoLto => self.lto = false,
            Effect::Side(side) => {
                if self.sides.iter().all(|(known, _)| *known != side) {
                    self.sides.push((side, word));
                }
                self.named(word, "it writes a file named after the output");
            }
            Effect::Embeds => self.named(word, "the object holds a name made from the output's"),
            Effect::Named(why) => {
                self.never(word, why);
                self.named(word, why);
            }
            Effect::Writes(why) => self.writes(value, word, why),
            Effect::OptInfo => self.remarks(own, word),
            Effect::ListedInput => self.listed_input = Some(word),
            Effect::Never(why) => self.never(word, why),
            Effect::InPlace(why) => self.in_place(word, why),
            Effect::SaveTemps => {
                if self.dialect == Dialect::Clang || value == b"cwd" {
                    self.in_place(word, "it keeps the intermediate files");
                } else {
                    self.never(word, "it keeps the intermediate files");
                    self.named(word, "it keeps the intermediate files");
                    let why = "it keeps the intermediate files";
                    self.link_in_place
                        .get_or_insert_with(|| Reason::in_place(&args[word], why));
                }
            }
            Effect::LinkerWords => {
                for (piece, text) in value.split(|&b| b == b',').enumerate() {
                    self.linker_word(text, value_word, Some(piece));
                }
            }
            Effect::LinkerWord => self.linker_word(value, value_word, None),
            Effect::AssemblerWords => {
                for text in value.split(|&b| b == b',') {
                    let nested = nested::assembler(text, &mut self.assembler_awaits);
                    self.nested(nested, word);
                }
            }
            Effect::AssemblerWord => {
                let nested = nested::assembler(value, &mut self.assembler_awaits);
                self.nested(nested, word);
            }
            Effect::PreprocessorWords => {
                for text in value.split(|&b| b == b',') {
                    self.nested(nested::preprocessor(text, self.dialect), word);
                }
            }
            Effect::PreprocessorWord => {
                self.nested(nested::preprocessor(value, self.dialect), word)
            }
            Effect::CompilerWord => {
                let nested = nested::compiler(value, &mut self.compiler_awaits);
                self.nested(nested, word);
            }
            Effect::Library => {
                self.interrupts(word);
                self.library(value, value_word, None);
            }
            Effect::LibraryDir => self.library_dirs.push(OsStr::from_bytes(value).to_owned()),
            Effect::LinkInput => {
                self.interrupts(word);
                let path = PathBuf::from(OsStr::from_bytes(value));
                if found.following > 0 {
                    self.link_inputs.push(LinkInput {
                        word: value_word,
                        piece: None,
                        path,
                    });
                } else {
                    self.link_in_place.get_or_insert(Reason::in_place(
                        &args[word],
                        "it holds the name of an input",
                    ));
                }
            }
            Effect::Relocatable => self.relocatable = true,
        }
        Ok(())
    }

    fn search_dir(&mut self, kind: SearchKind, dir: &[u8], words: Range<usize>) {
        let word = words.start;
        if dir == b"-" && kind == SearchKind::Normal {
            self.in_place(word, "it splits the include path in two");
            return;
        }
        if dir.starts_with(b"=") || dir.starts_with(b"$SYSROOT") {
            self.never(word, "the directory it names depends on another option");
        }
        self.search.push(SearchDir {
            kind,
            dir: OsStr::from_bytes(dir).to_owned(),
            words,
        });
    }

    fn dependency(&mut self, part: Dep, words: Range<usize>, value: &'a [u8]) {
        self.depfile_words.extend(words.clone());
        match part {
            Dep::All => self.dep_words.push(words.start),
            Dep::User => {
                self.dep_words.push(words.start);
                self.dep_system = false;
            }
            Dep::File => self.dep_file = Some(Named { words, path: value }),
            Dep::Target => self.dep_target = true,
            Dep::Phony => self.dep_phony = true,
        }
    }

    fn debug_level(&mut self, level: &[u8]) {
        match level {
            b"0" | b"gdb0" | b"dwarf0" | b"stabs0" | b"stabs+0" | b"xcoff0" | b"vms0" => {
                self.debug = false
            }
            [b'n', b'o', b'-', ..] | [b'z', ..] => {}
            _ => self.debug = true,
        }
    }

    fn writes(&mut self, path: &[u8], word: usize, why: &'static str) {
        self.never(word, why);
        self.named(word, why);
        self.written
            .push((PathBuf::from(OsStr::from_bytes(path)), word));
    }

    /// `-fopt-info` with what stands behind it: kinds, and `=FILE`.
    fn remarks(&mut self, text: &[u8], word: usize) {
        let (kinds, file) = match text.iter().position(|&b| b == b'=') {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        match file {
            Some(file) if !matches!(file, b"stderr" | b"stdout") => {
                self.writes(file, word, "it writes remarks to a file");
            }
            // Notes hold addresses of the compiler's memory.
            _ if [&b"all"[..], b"note"]
                .iter()
                .any(|kind| kinds.split(|&b| b == b'-').any(|k| k == *kind)) =>
            {
                self.never(word, "what it prints differs from run to run");
            }
            _ => {}
        }
    }

    fn nested(&mut self, nested: Nested, word: usize) {
        match nested {
            Nested::Plain => {}
            Nested::Never(why) => self.never(word, why),
            Nested::InPlace(why) => {
                self.compile_in_place
                    .get_or_insert_with(|| Reason::in_place(&self.args[word], why));
            }
        }
    }

    fn linker_word(&mut self, text: &[u8], word: usize, piece: Option<usize>) {
        self.links = true;
        match std::mem::replace(&mut self.awaited, Awaited::Nothing) {
            Awaited::Nothing => {}
            Awaited::Value => return,
            Awaited::Library => return self.library(text, word, piece),
            Awaited::Directory => return self.linker_dirs.push(OsStr::from_bytes(text).to_owned()),
        }
        match linker::classify(text) {
            LinkerWord::Plain => {}
            LinkerWord::TakesValue => self.awaited = Awaited::Value,
            LinkerWord::Input(path) => {
                let path = PathBuf::from(OsStr::from_bytes(path));
                self.link_inputs.push(LinkInput { word, piece, path });
            }
            LinkerWord::Library(name) => self.library(name, word, piece),
            LinkerWord::LibraryNext => self.awaited = Awaited::Library,
            LinkerWord::Directory(dir) => self.linker_dirs.push(OsStr::from_bytes(dir).to_owned()),
            LinkerWord::DirectoryNext => self.awaited = Awaited::Directory,
            LinkerWord::Relocatable => self.relocatable = true,
            LinkerWord::Shows(why) => self.linker_shows(word, why),
            LinkerWord::ShowsNext(why) => {
                self.linker_shows(word, why);
                self.awaited = Awaited::Value;
            }
            LinkerWord::Asks => self.linker_asks = Some(word),
        }
    }

    fn linker_shows(&mut self, word: usize, why: &'static str) {
        self.link_in_place
            .get_or_insert_with(|| Reason::in_place(&self.args[word], why));
    }

    fn library(&mut self, name: &[u8], word: usize, piece: Option<usize>) {
        self.links = true;
        self.libraries.push(Library {
            word,
            piece,
            name: OsStr::from_bytes(name).to_owned(),
        });
    }
}
