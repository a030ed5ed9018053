//! From the words of an archiver's command line to one [`Verdict`]: archives to change under guard, or a command that runs as
//! it was written.
//!
//! Pure, but for response files. `ar` reads its words as `getopt_long` does: letters in the first word, with or without a
//! dash, and in every further word with one; values of letters (`a b i N`) are the first words that are no options. GNU ar,
//! llvm-ar and gcc-ar agree in what is taken here. What they don't agree in (`l` takes a value in GNU ar from 2.36 on and none
//! elsewhere), and what isn't known, runs as written.

pub mod members;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::response::{self, Refused, Words};

/// Which program's words these are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tool {
    /// `ar`, `gcc-ar`, `llvm-ar`.
    Ar,
    /// `ranlib`, `gcc-ranlib`, `llvm-ranlib`.
    Ranlib,
}

/// The tool that a program of this name is, if it is one; prefixes and versions count for nothing
/// (`x86_64-linux-gnu-gcc-ar-12`).
pub fn tool(name: &OsStr) -> Option<Tool> {
    let mut pieces = name.as_bytes().rsplit(|b| *b == b'-');
    let is_version = |piece: &[u8]| piece.iter().all(|b| b.is_ascii_digit() || *b == b'.');
    match pieces.find(|piece| !is_version(piece))? {
        b"ar" => Some(Tool::Ar),
        b"ranlib" => Some(Tool::Ranlib),
        _ => None,
    }
}

/// What a command line is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Each of these archives is changed; more than one only for `ranlib`, which takes them in turn.
    Change(Vec<Archive>),
    /// `ar -M`: what is done stands in a script on standard input.
    Script,
    /// The content of members is taken out of an archive: `x`, `p`.
    TakeOut(Box<Archive>),
    /// Nothing is changed, or it isn't understood: runs as written.
    PassThrough(Aside),
}

/// What is done to an archive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// `r`: files replace members of their names, or are added.
    Replace,
    /// `q`: files are added behind what is there.
    Append,
    /// `d`, `m`, `s`, ranlib; `x`, `p`: no files become members.
    Rearrange,
}

/// One archive that a command changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Archive {
    /// All words after the program's name.
    pub words: Words,
    /// The word that names the archive.
    pub archive: usize,
    /// What is done to it.
    pub operation: Operation,
    /// The words that name files which become members.
    pub members: Vec<usize>,
    /// The words of letters among which there is `u`: only files newer than the members they replace.
    pub newer_only: Vec<usize>,
    /// `v`: names of files are printed.
    pub verbose: bool,
    /// Why it must be changed at its path and by the members' own names; `None`: it needn't.
    pub in_place: Option<&'static str>,
}

impl Archive {
    /// The archive's path as written.
    pub fn path(&self) -> &Path {
        Path::new(&self.words.args[self.archive])
    }

    /// The words with a `c` for each `u`. Times tell nothing next to members that others archived later than they were compiled;
    /// and `c`, that a new archive is no surprise, means nothing where there is one.
    pub fn without_times(&self) -> Vec<OsString> {
        let mut words = self.words.args.clone();
        for at in &self.newer_only {
            let letters = words[*at].as_bytes().iter();
            let without: Vec<u8> = letters
                .map(|b| if *b == b'u' { b'c' } else { *b })
                .collect();
            words[*at] = OsString::from_vec(without);
        }
        words
    }
}

/// Why a command runs as written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Aside {
    /// It only lists, or asks for the version or help.
    Reads,
    /// No operation, or no archive: the archiver will say so.
    Incomplete,
    /// Several operations.
    Several,
    /// An option that isn't known here, or that archivers read differently.
    Unknown(OsString),
    /// The response file can't be expanded here.
    ResponseFile(Refused),
}

impl fmt::Display for Aside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Aside::Reads => f.write_str("no archive is changed"),
            Aside::Incomplete => f.write_str("the operation or the archive is missing"),
            Aside::Several => f.write_str("several operations are asked for"),
            Aside::Unknown(word) => write!(f, "`{}` is not known here", word.display()),
            Aside::ResponseFile(refused) => refused.fmt(f),
        }
    }
}

const MEMBER_PATHS: &str = "a thin archive holds the paths of its members";
const WHOLE_NAMES: &str = "`P` compares whole paths with the members' names";

/// The verdict on `args` (without the program's name), with response files read from disk.
pub fn parse(args: &[OsString], tool: Tool) -> Verdict {
    parse_with(args, tool, &|path| std::fs::read(path))
}

/// [`parse`], with response files read by `read`.
pub fn parse_with(
    args: &[OsString],
    tool: Tool,
    read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
) -> Verdict {
    let words = match response::expand(args, read) {
        Ok(words) => words,
        Err(refused) => return Verdict::PassThrough(Aside::ResponseFile(refused)),
    };
    let found = match tool {
        Tool::Ar => ar(&words),
        Tool::Ranlib => ranlib(&words),
    };
    found.unwrap_or_else(Verdict::PassThrough)
}

/// Long options, and whether the value, if it isn't joined by `=`, is the next word.
const LONG: [(&str, bool); 7] = [
    ("--format", false),
    ("--output", true),
    ("--plugin", true),
    ("--record-libdeps", true),
    ("--rsp-quoting", false),
    ("--target", true),
    ("--thin", false),
];

/// What the letters say.
#[derive(Default)]
struct Letters {
    given: bool,
    operations: Vec<u8>,
    index: bool,
    place: bool,
    count: bool,
    thin: bool,
    whole_names: bool,
    verbose: bool,
    script: bool,
    asks: bool,
}

impl Letters {
    fn read(&mut self, letters: &[u8]) -> Result<(), Aside> {
        self.given = true;
        for letter in letters {
            match letter {
                b'd' | b'm' | b'p' | b'q' | b'r' | b't' | b'x' => self.operations.push(*letter),
                b's' => self.index = true,
                b'a' | b'b' | b'i' => self.place = true,
                b'N' => self.count = true,
                b'T' => self.thin = true,
                b'P' => self.whole_names = true,
                b'v' => self.verbose = true,
                b'M' => self.script = true,
                b'h' | b'V' => self.asks = true,
                b'c' | b'D' | b'f' | b'L' | b'o' | b'O' | b'S' | b'u' | b'U' => {}
                _ => return Err(Aside::Unknown(OsStr::from_bytes(&[*letter]).to_owned())),
            }
        }
        Ok(())
    }
}

fn ar(words: &Words) -> Result<Verdict, Aside> {
    let args = &words.args;
    let mut letters = Letters::default();
    let mut plain: Vec<usize> = Vec::new();
    let mut newer_only: Vec<usize> = Vec::new();
    let mut options_end = false;
    let mut at = 0;
    while at < args.len() {
        let word = args[at].as_bytes();
        let here = at;
        at += 1;
        match word {
            _ if options_end => plain.push(here),
            b"--" => options_end = true,
            b"--help" | b"--version" => return Err(Aside::Reads),
            [b'-', b'-', ..] => {
                let (name, joined) = match word.iter().position(|b| *b == b'=') {
                    Some(equals) => (&word[..equals], true),
                    None => (word, false),
                };
                let known = LONG.iter().find(|(long, _)| long.as_bytes() == name);
                let (name, takes) = known.ok_or_else(|| Aside::Unknown(args[here].clone()))?;
                letters.thin |= *name == "--thin";
                at += usize::from(*takes && !joined);
            }
            b"-X32_64" | b"-X32" | b"-X64" | b"-Xany" => {}
            [b'-', rest @ ..] if !rest.is_empty() => {
                letters.read(rest)?;
                newer_only.extend(rest.contains(&b'u').then_some(here));
            }
            _ if !letters.given => {
                letters.read(word)?;
                newer_only.extend(word.contains(&b'u').then_some(here));
            }
            _ => plain.push(here),
        }
    }
    if letters.asks {
        return Err(Aside::Reads);
    }
    if letters.script {
        return Ok(Verdict::Script);
    }
    let operation = match letters.operations.as_slice() {
        b"r" => Operation::Replace,
        b"q" => Operation::Append,
        b"d" | b"m" => Operation::Rearrange,
        // `ts` prints, and makes the index first.
        b"" | b"t" if letters.index => Operation::Rearrange,
        b"" => return Err(Aside::Incomplete),
        b"t" => return Err(Aside::Reads),
        b"p" | b"x" => Operation::Rearrange,
        _ => return Err(Aside::Several),
    };
    let values = usize::from(letters.place) + usize::from(letters.count);
    let archive = *plain.get(values).ok_or(Aside::Incomplete)?;
    let members = match operation {
        Operation::Rearrange => Vec::new(),
        _ => plain[values + 1..].to_vec(),
    };
    let in_place = match (letters.thin, letters.whole_names) {
        (true, _) => Some(MEMBER_PATHS),
        (false, true) => Some(WHOLE_NAMES),
        _ => None,
    };
    let one = Archive {
        words: words.clone(),
        archive,
        operation,
        members,
        newer_only,
        verbose: letters.verbose || letters.operations == b"t",
        in_place,
    };
    Ok(match letters.operations.as_slice() {
        b"p" | b"x" => Verdict::TakeOut(Box::new(one)),
        _ => Verdict::Change(vec![one]),
    })
}

fn ranlib(words: &Words) -> Result<Verdict, Aside> {
    let args = &words.args;
    let mut archives = Vec::new();
    let mut at = 0;
    while at < args.len() {
        let word = args[at].as_bytes();
        let here = at;
        at += 1;
        match word {
            b"--plugin" | b"--target" => at += 1,
            [b'-', rest @ ..] if !rest.is_empty() => match rest {
                b"-help" | b"-version" | b"h" | b"H" | b"v" | b"V" => return Err(Aside::Reads),
                b"X32_64" | b"X32" | b"X64" | b"Xany" => {}
                _ if word.starts_with(b"--plugin=") || word.starts_with(b"--target=") => {}
                _ if rest.iter().all(|b| b"DUt".contains(b)) => {}
                _ => return Err(Aside::Unknown(args[here].clone())),
            },
            _ => archives.push(here),
        }
    }
    if archives.is_empty() {
        return Err(Aside::Incomplete);
    }
    let one = |archive: &usize| {
        // The words for this archive alone.
        let others = |at: &usize| at != archive && archives.contains(at);
        let kept = (0..args.len()).filter(|at| !others(at));
        let kept: Vec<usize> = kept.collect();
        Archive {
            words: Words {
                args: kept.iter().map(|at| args[*at].clone()).collect(),
                files: words.files.clone(),
            },
            archive: kept.iter().position(|at| at == archive).unwrap_or(0),
            operation: Operation::Rearrange,
            members: Vec::new(),
            newer_only: Vec::new(),
            verbose: false,
            in_place: None,
        }
    };
    Ok(Verdict::Change(archives.iter().map(one).collect()))
}

/// What an `ar -M` script names.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Script {
    /// The archives that it opens or creates.
    pub archives: Vec<PathBuf>,
    /// The files whose content goes into them: objects, and archives of which the members are taken.
    pub files: Vec<PathBuf>,
}

/// Reads a script: a command a line, in letters of either case; words are parted by blanks or commas, `;` and `*` begin a
/// comment and a `+` at the end goes on in the next line (binutils, `arlex.l`).
pub fn script(text: &[u8]) -> Script {
    let mut found = Script::default();
    let joined = joined(text);
    for line in joined.split(|b| *b == b'\n') {
        let line = line
            .split(|b| matches!(b, b';' | b'*'))
            .next()
            .unwrap_or_default();
        let parts = line.split(|b| b" \t\r,()".contains(b));
        let mut words = parts.filter(|w| !w.is_empty());
        let Some(command) = words.next() else {
            continue;
        };
        let paths = words.map(|w| PathBuf::from(OsStr::from_bytes(w)));
        match command.to_ascii_uppercase().as_slice() {
            b"OPEN" | b"CREATE" | b"CREATETHIN" => found.archives.extend(paths.take(1)),
            b"ADDMOD" | b"REPLACE" | b"ADDLIB" => found.files.extend(paths),
            _ => {}
        }
    }
    found
}

/// The text with continued lines made one.
fn joined(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for line in text.split(|b| *b == b'\n') {
        let trimmed = line.trim_ascii_end();
        match trimmed.strip_suffix(b"+") {
            Some(begun) => {
                out.extend_from_slice(begun);
                out.push(b' ');
            }
            None => {
                out.extend_from_slice(line);
                out.push(b'\n');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests;
