//! The command lines that are run in place of the user's: pure functions from what was parsed to words.
//!
//! Only additions are made that leave the bytes alone: `-MD -MF -MQ`, `-fdiagnostics-color=always` and gcc's
//! `-dumpdir -dumpbase -dumpbase-ext` (compiler-options.md, section 0). The user's `-o` is replaced where it stands: a second
//! one would win, but makes gcc 12 fail together with `-MD`.

use std::ffi::{OsStr, OsString};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::command::{Compile, Link};
use crate::response;

/// What a staged compile adds to the user's words.
#[derive(Clone, Copy, Debug, Default)]
pub struct Additions<'a> {
    /// Where the object goes.
    pub object: &'a [u8],
    /// Where the depfile goes; `None`: none is asked for.
    pub depfile: Option<&'a Path>,
    /// Ask for colour.
    pub colour: bool,
    /// Keep the names of side files, and those embedded in the object, as if the object were written to its own path.
    pub names: bool,
}

/// The words of a staged compile.
pub fn compile(compile: &Compile, add: Additions<'_>) -> Vec<OsString> {
    let mut out = Vec::with_capacity(compile.words.args.len() + 12);
    let end = compile.append_at;
    copy_with_output(
        &mut out,
        &compile.words.args[..end],
        compile.output_words.as_ref(),
        OsStr::from_bytes(add.object),
    );
    if add.colour {
        // Last, as the user may have asked for `auto`.
        out.push("-fdiagnostics-color=always".into());
    }
    if let Some(depfile) = add.depfile {
        if compile.depfile.is_none() {
            out.push("-MD".into());
        }
        out.extend(["-MF".into(), depfile.into()]);
        if compile.depfile.as_ref().is_some_and(|d| !d.has_target) {
            out.extend(["-MQ".into(), compile.output.clone().into()]);
        }
    }
    if add.names {
        names(&mut out, compile);
    }
    out.extend_from_slice(&compile.words.args[end..]);
    out
}

/// `-dumpdir D/ -dumpbase STEM.EXT -dumpbase-ext .EXT`: the stem of the output, the suffix of the source (compiler-options.md, B1).
fn names(out: &mut Vec<OsString>, compile: &Compile) {
    let source = Path::new(&compile.words.args[compile.source]);
    let extension = source.extension().unwrap_or_default();
    let stem = match &compile.output_words {
        Some(_) => compile.output.file_stem(),
        None => source.file_stem(),
    };
    let mut base = stem.unwrap_or_default().to_owned();
    let mut suffix = OsString::new();
    if !extension.is_empty() {
        suffix.push(".");
        suffix.push(extension);
    }
    base.push(&suffix);
    // Without a folder the prefix is empty, not left out: gcc would take that of the scratch.
    let mut dumpdir = OsString::new();
    if let Some(folder) = compile
        .output
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
    {
        dumpdir.push(folder);
        if !dumpdir.as_bytes().ends_with(b"/") {
            dumpdir.push("/");
        }
    }
    out.extend(["-dumpdir".into(), dumpdir]);
    out.extend(["-dumpbase".into(), base]);
    if !suffix.is_empty() {
        out.extend(["-dumpbase-ext".into(), suffix]);
    }
}

/// The words that name an input, where another path can stand in for them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Slot {
    /// One word, or two (`-l foo`) that one path replaces.
    pub words: Range<usize>,
    /// Only this piece of a `-Wl,` word, the first being 0.
    pub piece: Option<usize>,
}

impl Slot {
    /// The word at `at`, or a piece of it.
    pub fn word(at: usize, piece: Option<usize>) -> Slot {
        Slot {
            words: at..at + 1,
            piece,
        }
    }
}

/// The slot of the library `n` of a link: a path can stand where `-lfoo` stood. `None`: its words are spelled so that none can
/// (`-Wl,-l,foo`).
pub fn library_slot(link: &Link, n: usize) -> Option<Slot> {
    let library = &link.libraries[n];
    let names = |text: &[u8]| text.starts_with(b"-l") || text.starts_with(b"--library=");
    let word = link.words.args[library.word].as_bytes();
    match library.piece {
        Some(piece) => names(word.split(|b| *b == b',').nth(piece + 1)?)
            .then(|| Slot::word(library.word, Some(piece))),
        None if names(word) => Some(Slot::word(library.word, None)),
        None => {
            let before = library.word.checked_sub(1)?;
            let option = link.words.args[before].as_bytes();
            (option == b"-l" || option == b"--library").then(|| Slot {
                words: before..library.word + 1,
                piece: None,
            })
        }
    }
}

/// The words of a link with another output and, at their places, other inputs.
pub fn link(
    link: &Link,
    output: Option<&Path>,
    instead: &[(Slot, PathBuf)],
    colour: bool,
) -> Vec<OsString> {
    let args = &link.words.args;
    let words = replaced(args, instead);
    let mut out = Vec::with_capacity(words.len() + 3);
    if colour {
        out.push("-fdiagnostics-color=always".into());
    }
    let put_output = || output.map(|o| ["-o".into(), o.as_os_str().to_owned()]);
    let given = link.output_words.clone().filter(|_| output.is_some());
    for (at, word) in words.into_iter().enumerate() {
        match &given {
            Some(given) if given.start == at => out.extend(put_output().into_iter().flatten()),
            Some(given) if given.contains(&at) => {}
            None if at == link.append_at => {
                out.extend(put_output().into_iter().flatten());
                out.extend(word);
            }
            _ => out.extend(word),
        }
    }
    if given.is_none() && link.append_at == args.len() {
        out.extend(put_output().into_iter().flatten());
    }
    out
}

/// The words of an archiver's command with another archive and other members at their places.
pub fn archive(words: &[OsString], instead: &[(Slot, PathBuf)]) -> Vec<OsString> {
    replaced(words, instead).into_iter().flatten().collect()
}

/// The words with paths in their slots; `None` where a slot of several words lost one.
fn replaced(words: &[OsString], instead: &[(Slot, PathBuf)]) -> Vec<Option<OsString>> {
    let mut words: Vec<Option<OsString>> = words.iter().cloned().map(Some).collect();
    for (slot, path) in instead {
        let first = slot.words.start;
        words[first] = match (slot.piece, words[first].take()) {
            (Some(piece), Some(word)) => Some(replace_piece(&word, piece, path.as_os_str())),
            _ => Some(path.clone().into()),
        };
        words[first + 1..slot.words.end].fill(None);
    }
    words
}

/// Copies words with `-o OUTPUT` in place of the user's, or at the end if there was none.
fn copy_with_output(
    out: &mut Vec<OsString>,
    words: &[OsString],
    given: Option<&Range<usize>>,
    output: &OsStr,
) {
    match given {
        Some(range) => {
            out.extend_from_slice(&words[..range.start]);
            out.extend(["-o".into(), output.to_owned()]);
            out.extend_from_slice(&words[range.end..]);
        }
        None => {
            out.extend_from_slice(words);
            out.extend(["-o".into(), output.to_owned()]);
        }
    }
}

/// Replaces the n-th piece between commas, counted from 0 behind `-Wl,`.
fn replace_piece(word: &OsStr, piece: usize, with: &OsStr) -> OsString {
    let mut out = OsString::new();
    for (n, part) in word.as_bytes().split(|b| *b == b',').enumerate() {
        if n > 0 {
            out.push(",");
        }
        out.push(if n == piece + 1 {
            with
        } else {
            OsStr::from_bytes(part)
        });
    }
    out
}

/// The content of a response file with these words, for a command whose own words came out of one and may be too many.
pub fn response_file(words: &[OsString]) -> Vec<u8> {
    response::quote(words)
}
