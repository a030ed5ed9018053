//! Build environments that come and go: pip, build, pdm and uv make a new folder with a random name for each isolated build, so
//! that `-I` paths into it differ from build to build though nothing else does (pypa/build #655, asv #201, propcache #237).
//!
//! The folder is a *place*. In the request key a place in an include directory is replaced by its number, so that the record of the
//! last build is found again; the record names the places it was made with, and [`movable`] decides once, after the compile,
//! whether its object could be told from one made elsewhere:
//!
//! - The path may stand in the debug information: that names a folder which is gone when the build ends, this one as well as
//!   the other. It may stand nowhere else in the object.
//! - The path may come into a program by `__FILE__` and what is like it, spelled in a file of the place, or by a macro defined
//!   anywhere and used there. Then the object may depend on it without holding it (`sizeof(__FILE__)`), and doesn't move. Only arguments
//!   of functions known to print them ([`PRINTERS`]) are left to the look into the object.
//! - Words other than include directories, relevant variables, and side outputs must not name the place.
//!
//! A record that moves ([`moved`]) has its places exchanged in every path, in its depfile and in its diagnostics. What lies there
//! counts by content, as everywhere, and what else lies there on the search path must be the same by name ([`crate::search::Search::mates`]).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use object::{Object, ObjectSection};

use crate::command::{Compile, Placement};
use crate::dirty::Dirty;
use crate::inputs::{self, Input};
use crate::record::Record;
use crate::request;

/// How the folders begin that are made for one build: pip's, build's (`DefaultIsolatedEnv`), pdm's.
const PREFIXES: [&[u8]; 3] = [b"pip-build-env-", b"build-env-", b"pdm-build-env-"];
/// The random part of such a name has at least this many bytes; Python's tempfile makes eight.
const RANDOM: usize = 6;

/// Functions, and macros that end in one, that hand a file's name to nothing but a message.
const PRINTERS: [&[u8]; 2] = [b"assert", b"pybind11_fail"];

/// The build environment that a path leads into.
pub fn place_of(path: &Path) -> Option<&Path> {
    if !path.is_absolute() {
        return None;
    }
    let folders: Vec<&Path> = path.ancestors().collect();
    let mut outermost_first = folders.into_iter().rev();
    outermost_first.find(|folder| {
        let Some(name) = folder.file_name().map(OsStr::as_bytes) else {
            return false;
        };
        let random = |tail: &[u8]| {
            tail.len() >= RANDOM
                && tail
                    .iter()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
        };
        let parent = folder.parent().and_then(Path::file_name);
        // uv: `builds-v0/.tmpAbC123`.
        let of_uv = || {
            name.strip_prefix(b".tmp").is_some_and(random)
                && parent.is_some_and(|p| p.as_bytes().starts_with(b"builds-v"))
        };
        PREFIXES
            .iter()
            .any(|p| name.strip_prefix(*p).is_some_and(random))
            || of_uv()
    })
}

/// The build environments that a compile's include directories lie in, in order of their first. None if anything else
/// names one of them.
pub fn places(
    compile: &Compile,
    directory: &Path,
    environment: &[(OsString, OsString)],
) -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> = Vec::new();
    for dir in &compile.search {
        if let Some(place) = place_of(Path::new(&dir.dir))
            && !places.iter().any(|p| p == place)
        {
            places.push(place.to_owned());
        }
    }
    if places.is_empty() || place_of(directory).is_some() {
        return Vec::new();
    }
    let names_one = |text: &OsStr| places.iter().any(|p| holds(text.as_bytes(), p));
    let words = compile.words.args.iter().enumerate();
    let elsewhere = words
        .filter(|(n, _)| !of_search(compile, *n))
        .any(|(_, word)| names_one(word));
    let variables = environment.iter().filter(|(n, _)| request::relevant(n));
    if elsewhere || variables.map(|(_, v)| v).any(|v| names_one(v)) {
        return Vec::new();
    }
    places
}

/// A word of an include directory, its places replaced by their numbers; `None`: it is another word.
pub fn placeless(compile: &Compile, n: usize, places: &[PathBuf]) -> Option<Vec<u8>> {
    if places.is_empty() || !of_search(compile, n) {
        return None;
    }
    let word = compile.words.args[n].as_bytes();
    let number = |n: usize| format!("\0{n}\0").into_bytes();
    let numbers = places.iter().enumerate().map(|(n, p)| (p, number(n)));
    Some(numbers.fold(word.to_vec(), |word, (place, number)| {
        exchanged(&word, place, &number)
    }))
}

fn of_search(compile: &Compile, word: usize) -> bool {
    compile.search.iter().any(|d| d.words.contains(&word))
}

fn holds(text: &[u8], place: &Path) -> bool {
    memchr::memmem::find(text, place.as_os_str().as_bytes()).is_some()
}

/// The text with another path for a place, wherever that is the whole of a path's beginning.
fn exchanged(text: &[u8], place: &Path, by: &[u8]) -> Vec<u8> {
    let place = place.as_os_str().as_bytes();
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    for hit in memchr::memmem::find_iter(text, place) {
        let end = hit + place.len();
        let whole = !text
            .get(end)
            .is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
        if whole {
            out.extend_from_slice(&text[at..hit]);
            out.extend_from_slice(by);
            at = end;
        }
    }
    out.extend_from_slice(&text[at..]);
    out
}

/// What a compile gave, for [`movable`].
pub struct Made<'a> {
    /// The compile.
    pub compile: &'a Compile,
    /// What it read.
    pub inputs: &'a [Input],
    /// Folders of the system's headers.
    pub built_in: &'a [PathBuf],
    /// What it wrote.
    pub object: &'a Path,
}

/// Whether an object that was made with `places` is what a compile with others would give, as far as a program can tell.
///
/// # Errors
/// In words: why it may not be.
pub fn movable(made: &Made<'_>, places: &[PathBuf]) -> Result<(), String> {
    let compile = made.compile;
    if compile.placement != Placement::Staged || !compile.side_outputs.is_empty() {
        return Err("it writes files beside the object".into());
    }
    let words = &compile.words.args;
    if let Some(word) = words.iter().find(|w| path_word(w.as_bytes()).is_some()) {
        return Err(format!("`{}` tells paths", word.display()));
    }
    let quiet = words.iter().rfind(|w| names_ndebug(w)).is_some_and(|w| {
        let word = w.as_bytes();
        word.starts_with(b"-D") || word.starts_with(b"--define-macro")
    });
    let mut texts = Texts::default();
    for input in made.inputs {
        let text = fs::read(&input.path)
            .map_err(|e| format!("`{}` cannot be read: {e}", input.path.display()))?;
        if inputs::hash(&text) != input.hash {
            return Err(format!("`{}` has changed", input.path.display()));
        }
        let of_place = places.iter().any(|p| input.path.starts_with(p));
        let built_in = made.built_in.iter().any(|d| input.path.starts_with(d));
        texts.add(&input.path, &text, of_place, built_in);
    }
    let printed = texts.tells_paths()?;
    // What an assertion would print isn't seen in what is written for the link-time optimisation.
    let silent = quiet && !texts.asserts_anyway;
    if compile.lto && printed.iter().any(|p| !(silent && p == b"assert")) {
        return Err("messages may tell its paths, and link-time optimisation hides them".into());
    }
    let object = fs::read(made.object).map_err(|e| format!("the object cannot be read: {e}"))?;
    match places.iter().find(|p| holds(&object, p)) {
        Some(place) if !in_debug_information_only(&object, place) => {
            Err(format!("the object holds the path `{}`", place.display()))
        }
        _ => Ok(()),
    }
}

fn names_ndebug(word: &OsStr) -> bool {
    let word = word.as_bytes();
    let name = ["-D", "-U"]
        .iter()
        .find_map(|option| word.strip_prefix(option.as_bytes()));
    name.is_some_and(|n| n == b"NDEBUG" || n.starts_with(b"NDEBUG="))
}

/// Whether all of an ELF object's sections that hold the path are those of debug information.
fn in_debug_information_only(object: &[u8], place: &Path) -> bool {
    let Ok(file) = object::File::parse(object) else {
        return false;
    };
    let mut seen = false;
    for section in file.sections() {
        let Ok(data) = section.data() else {
            return false;
        };
        if !holds(data, place) {
            continue;
        }
        seen = true;
        if !section
            .name_bytes()
            .is_ok_and(|name| name.starts_with(b".debug_"))
        {
            return false;
        }
    }
    seen
}

/// The part of a text by which the path of the file that is compiled comes into it.
fn path_word(text: &[u8]) -> Option<&'static str> {
    const WORDS: [&str; 3] = ["__FILE__", "builtin_FILE", "source_location"];
    WORDS
        .into_iter()
        .find(|w| memchr::memmem::find(text, w.as_bytes()).is_some())
}

/// What the texts of all inputs say of paths.
#[derive(Default)]
struct Texts {
    /// Identifiers in the bodies of macros, by the macro's name, if there are such of interest; several definitions in one.
    macros: HashMap<Vec<u8>, BTreeSet<Vec<u8>>>,
    /// Of the files of places: identifiers outside directives, and the file.
    uses: BTreeMap<Vec<u8>, PathBuf>,
    /// The functions that a path word of a place's file is handed to.
    printers: BTreeSet<Vec<u8>>,
    /// The first reason found in a text by itself.
    flaw: Option<String>,
    /// `NDEBUG` may be taken back.
    asserts_anyway: bool,
}

impl Texts {
    fn add(&mut self, path: &Path, text: &[u8], of_place: bool, built_in: bool) {
        let text = spliced(&without_comments(text));
        let mut flaw = |what: &str| {
            self.flaw
                .get_or_insert_with(|| format!("{what} in `{}`", path.display()));
        };
        for word in ["builtin_FILE", "source_location"] {
            if !built_in && memchr::memmem::find(&text, word.as_bytes()).is_some() {
                flaw(&format!("`{word}`"));
            }
        }
        let half = |word: &[u8]| {
            word.len() >= 3
                && word.len() < b"__FILE__".len()
                && (b"__FILE__".starts_with(word) || b"__FILE__".ends_with(word))
        };
        if of_place && identifiers(&text).any(|(start, end)| half(&text[start..end])) {
            flaw("half of a pasted `__FILE__`");
        }
        for line in text.split(|b| *b == b'\n') {
            let start = line.trim_ascii_start();
            let Some(directive) = start.strip_prefix(b"#") else {
                if of_place {
                    for (start, end) in identifiers(line) {
                        let word = &line[start..end];
                        if !self.uses.contains_key(word) {
                            self.uses.insert(word.to_vec(), path.to_owned());
                        }
                    }
                }
                continue;
            };
            let directive = directive.trim_ascii_start();
            if !built_in
                && directive.starts_with(b"undef")
                && memchr::memmem::find(directive, b"NDEBUG").is_some()
            {
                self.asserts_anyway = true;
            }
            let Some(definition) = directive.strip_prefix(b"define") else {
                continue;
            };
            let mut words = identifiers(definition).map(|(a, b)| &definition[a..b]);
            let Some(name) = words.next() else { continue };
            let pasted = memchr::memmem::find(definition, b"##").is_some();
            if pasted && !built_in && words.clone().any(half) {
                flaw("half of a pasted `__FILE__`");
            }
            let body = self.macros.entry(name.to_vec()).or_default();
            body.extend(words.map(<[u8]>::to_vec));
        }
        if of_place {
            self.look_at_printers(&text, path);
        }
    }

    /// Every `__FILE__` outside directives must be handed to a printer.
    fn look_at_printers(&mut self, text: &[u8], path: &Path) {
        let mut in_directive = Vec::new();
        let mut at = 0;
        for line in text.split_inclusive(|b| *b == b'\n') {
            if line.trim_ascii_start().starts_with(b"#") {
                in_directive.push(at..at + line.len());
            }
            at += line.len();
        }
        for hit in memchr::memmem::find_iter(text, b"__FILE__") {
            if in_directive.iter().any(|r| r.contains(&hit)) {
                continue;
            }
            match PRINTERS.iter().find(|p| callee(&text[..hit]) == Some(**p)) {
                Some(printer) => {
                    self.printers.insert(printer.to_vec());
                }
                None => {
                    self.flaw
                        .get_or_insert_with(|| format!("`__FILE__` in `{}`", path.display()));
                }
            }
        }
    }

    /// The printers that are handed a path in a file of a place, or the reason why a path may matter.
    fn tells_paths(&self) -> Result<BTreeSet<Vec<u8>>, String> {
        if let Some(flaw) = &self.flaw {
            return Err(flaw.clone());
        }
        let mut tainted: BTreeSet<&[u8]> = BTreeSet::from([b"__FILE__".as_slice()]);
        loop {
            let more: Vec<&[u8]> = self
                .macros
                .iter()
                .filter(|(name, body)| {
                    !tainted.contains(name.as_slice())
                        && !PRINTERS.contains(&name.as_slice())
                        && body.iter().any(|word| tainted.contains(word.as_slice()))
                })
                .map(|(name, _)| name.as_slice())
                .collect();
            if more.is_empty() {
                break;
            }
            tainted.extend(more);
        }
        tainted.remove(b"__FILE__".as_slice());
        if let Some((word, path)) = self
            .uses
            .iter()
            .find(|(word, _)| tainted.contains(word.as_slice()))
        {
            return Err(format!(
                "macro `{}`, made of `__FILE__`, in `{}`",
                word.escape_ascii(),
                path.display()
            ));
        }
        let mut printed = self.printers.clone();
        let used = PRINTERS.iter().filter(|p| self.uses.contains_key(**p));
        // A function's name alone hands no path on, a macro's does.
        printed.extend(
            used.filter(|p| self.macros.contains_key(**p))
                .map(|p| p.to_vec()),
        );
        Ok(printed)
    }
}

/// The function whose open parenthesis is the innermost before the end of `text`.
fn callee(text: &[u8]) -> Option<&[u8]> {
    let mut depth = 0;
    let open = text.iter().rposition(|b| match b {
        b')' => {
            depth += 1;
            false
        }
        b'(' if depth > 0 => {
            depth -= 1;
            false
        }
        b'(' => true,
        // A statement's beginning.
        b';' | b'{' | b'}' => {
            depth = -1;
            true
        }
        _ => false,
    })?;
    if depth < 0 {
        return None;
    }
    let before = text[..open].trim_ascii_end();
    let word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    let length = before.iter().rev().take_while(|b| word(b)).count();
    Some(&before[before.len() - length..])
}

/// Where the identifiers of a line begin and end. Those in strings count too.
fn identifiers(line: &[u8]) -> impl Iterator<Item = (usize, usize)> + Clone + '_ {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b >= 0x80;
    let mut at = 0;
    std::iter::from_fn(move || {
        at += line[at..].iter().take_while(|b| !word(**b)).count();
        let start = at;
        at += line[at..].iter().take_while(|b| word(**b)).count();
        (at > start).then_some((start, at))
    })
}

/// Continued lines as one.
fn spliced(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        if byte == b'\\' {
            let blanks = tail
                .iter()
                .take_while(|b| matches!(b, b' ' | b'\t' | b'\r'))
                .count();
            if tail.get(blanks) == Some(&b'\n') {
                rest = &tail[blanks + 1..];
                continue;
            }
        }
        out.push(byte);
        rest = tail;
    }
    out
}

/// The text with a blank for each `/* … */` and without `// …`, as far as strings on the same line let them be told.
fn without_comments(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let (skip, keep): (usize, &[u8]) = match rest {
            [b'/', b'*', ..] => match memchr::memmem::find(&rest[2..], b"*/") {
                Some(end) => (end + 4, b" "),
                // No end: taken for text, which sees more.
                None => (1, &rest[..1]),
            },
            [b'/', b'/', ..] => {
                let line = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                // A comment that goes on in the next line is left to be read as text.
                if rest[..line].trim_ascii_end().ends_with(b"\\") {
                    (1, &rest[..1])
                } else {
                    (line, b"")
                }
            }
            [quote @ (b'"' | b'\''), ..] => {
                let length = literal(rest, *quote);
                (length, &rest[..length])
            }
            _ => (1, &rest[..1]),
        };
        out.extend_from_slice(keep);
        at += skip;
    }
    out
}

/// Length of the literal that `text` begins with, quotes included; 1 if it doesn't end in its line (an apostrophe, a digit separator).
fn literal(text: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while let Some(byte) = text.get(at) {
        match byte {
            b'\\' => at += 1,
            b'\n' => return 1,
            b if *b == quote => return at + 1,
            _ => {}
        }
        at += 1;
    }
    1
}

/// The record as it is with other places.
///
/// # Errors
/// Why it can't be.
pub fn moved(mut record: Record, places: &[PathBuf]) -> Result<Record, Dirty> {
    if record.places == places {
        return Ok(record);
    }
    if record.places.len() != places.len() {
        return Err(Dirty::NoRecord);
    }
    if let Some(why) = &record.bound {
        return Err(Dirty::Moved(why.clone()));
    }
    let pairs: Vec<(PathBuf, PathBuf)> = record
        .places
        .iter()
        .cloned()
        .zip(places.iter().cloned())
        .collect();
    // The compiler breaks a depfile's lines by their length.
    if record.depfile.is_some()
        && pairs
            .iter()
            .any(|(a, b)| a.as_os_str().len() != b.as_os_str().len())
    {
        return Err(Dirty::Moved("its depfile would be broken otherwise".into()));
    }
    let text = |text: &[u8]| {
        pairs.iter().fold(text.to_vec(), |text, (from, to)| {
            exchanged(&text, from, to.as_os_str().as_bytes())
        })
    };
    let path = |path: &Path| PathBuf::from(OsString::from_vec(text(path.as_os_str().as_bytes())));
    for input in &mut record.inputs {
        input.path = path(&input.path);
    }
    for word in &mut record.flags {
        *word = OsString::from_vec(text(word.as_bytes()));
    }
    record.stderr = text(&record.stderr);
    record.depfile = record.depfile.as_deref().map(text);
    let search = &mut record.search;
    search.roots = search.roots.iter().map(|r| path(r)).collect();
    for (folder, _) in &mut search.watched {
        *folder = path(folder);
    }
    record.places = places.to_vec();
    Ok(record)
}
