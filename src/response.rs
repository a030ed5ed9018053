//! Response files: `@file` among the words of a command line stands for the words in the file.
//!
//! The syntax, equal in gcc 12 and clang 14 to 19: whitespace separates words; `'…'` and `"…"` group; a backslash
//! makes the next byte literal, inside quotes of either kind too; no variables, no comments, no patterns. An open
//! quote reaches to the end of the file. Words of a file may be `@file` again;
//! relative names always start at the working directory. A file that doesn't exist leaves `@name` as it is.
//!
//! Where the drivers disagree (empty words, byte order marks, form feeds, NUL, a backslash as the last byte) the file is refused, and the command runs
//! as written.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Files inside files, deeper than this, are taken for a loop.
const DEPTH: usize = 64;
/// Files altogether; gcc stops at 2000.
const FILES: usize = 1000;
/// Bytes read altogether.
const BYTES: usize = 64 << 20;

/// The words of a command line, its response files expanded.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Words {
    /// The words, without the program's name.
    pub args: Vec<OsString>,
    /// The response files that were read, in that order.
    pub files: Vec<PathBuf>,
}

impl Words {
    /// Whether any of the words came from a response file.
    pub fn expanded(&self) -> bool {
        !self.files.is_empty()
    }
}

/// Why a response file can't be expanded here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// The word, with its `@`.
    pub word: OsString,
    /// What is the matter with it.
    pub why: &'static str,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the response file `{}` {}",
            self.word.display(),
            self.why
        )
    }
}

/// Expands the response files among `args`, reading them with `read`.
///
/// # Errors
/// When a file can't be read though it is there, holds what the drivers read differently, includes itself, or is too
/// big.
pub fn expand(
    args: &[OsString],
    read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
) -> Result<Words, Refused> {
    if !args.iter().any(|arg| names_file(arg)) {
        return Ok(Words {
            args: args.to_vec(),
            files: Vec::new(),
        });
    }
    let mut expansion = Expansion {
        read,
        open: Vec::new(),
        bytes: 0,
        out: Words::default(),
    };
    expansion.words(args)?;
    Ok(expansion.out)
}

fn names_file(word: &OsStr) -> bool {
    matches!(word.as_bytes(), [b'@', _, ..])
}

struct Expansion<'a> {
    read: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
    /// The files being expanded, outermost first.
    open: Vec<OsString>,
    bytes: usize,
    out: Words,
}

impl Expansion<'_> {
    fn words(&mut self, words: &[OsString]) -> Result<(), Refused> {
        for word in words {
            if !names_file(word) {
                self.out.args.push(word.clone());
                continue;
            }
            let refused = |why| Refused {
                word: word.clone(),
                why,
            };
            let name = OsStr::from_bytes(&word.as_bytes()[1..]);
            // Once more, lest a moment's lack of something have the command run unguarded.
            let read = || (self.read)(Path::new(name));
            let again = |e: io::Error| match e.kind() {
                io::ErrorKind::NotFound => Err(e),
                _ => read(),
            };
            let text = match read().or_else(again) {
                Ok(text) => text,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.out.args.push(word.clone());
                    continue;
                }
                Err(_) => return Err(refused("cannot be read")),
            };
            self.bytes += text.len();
            if self.open.iter().any(|open| open == name) {
                return Err(refused("includes itself"));
            }
            if self.open.len() >= DEPTH || self.out.files.len() > FILES || self.bytes > BYTES {
                return Err(refused("is one of too many"));
            }
            let inner = split(&text).map_err(refused)?;
            self.out.files.push(name.into());
            self.open.push(name.to_owned());
            self.words(&inner)?;
            self.open.pop();
        }
        Ok(())
    }
}

/// The words of a response file's text.
fn split(text: &[u8]) -> Result<Vec<OsString>, &'static str> {
    if text.starts_with(b"\xef\xbb\xbf")
        || text.starts_with(b"\xfe\xff")
        || text.starts_with(b"\xff\xfe")
    {
        return Err("starts with a byte order mark");
    }
    if text.iter().any(|b| matches!(b, 0 | 0x0b | 0x0c)) {
        return Err("holds a byte that compilers read differently");
    }
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => {
                let next = bytes.next().ok_or("ends in a backslash")?;
                word.get_or_insert_default().push(next);
            }
            b'\'' | b'"' if quote == Some(byte) => quote = None,
            b'\'' | b'"' if quote.is_none() => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            b' ' | b'\t' | b'\r' | b'\n' if quote.is_none() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    if words.iter().any(Vec::is_empty) {
        return Err("holds an empty word");
    }
    Ok(words.into_iter().map(OsString::from_vec).collect())
}

/// The text of a response file that stands for `args`, one word a line; both drivers read it back exactly.
///
/// A word that starts with `@` can't be protected: it must be one whose file doesn't exist. Empty words are written
/// `""`, which clang overlooks.
pub fn quote<I>(args: I) -> Vec<u8>
where
    I: IntoIterator,
    I::Item: AsRef<OsStr>,
{
    let mut text = Vec::new();
    for arg in args {
        let bytes = arg.as_ref().as_bytes();
        if bytes.is_empty() {
            text.extend_from_slice(b"\"\"");
        }
        for &byte in bytes {
            if !(byte.is_ascii_alphanumeric() || b"_./=+,:@-".contains(&byte)) {
                text.push(b'\\');
            }
            text.push(byte);
        }
        text.push(b'\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn os(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    fn expand_with(files: &[(&str, &[u8])], words: &[&str]) -> Result<Words, Refused> {
        let files: HashMap<_, _> = files
            .iter()
            .map(|(name, text)| (OsString::from(name), text.to_vec()))
            .collect();
        expand(&os(words), &|path| match path.as_os_str().as_bytes() {
            b"dir" => Err(io::Error::from(io::ErrorKind::IsADirectory)),
            _ => files
                .get(path.as_os_str())
                .cloned()
                .ok_or(io::Error::from(io::ErrorKind::NotFound)),
        })
    }

    #[test]
    fn quoting() {
        for (text, words) in [
            (
                &b"-c a.c\t-o\r\na.o\n"[..],
                &[&b"-c"[..], b"a.c", b"-o", b"a.o"][..],
            ),
            (b"'a b' \"c d\"", &[b"a b", b"c d"]),
            (b"a'b c'd\"e f\"g", &[b"ab cde fg"]),
            (b"a\\ b", &[b"a b"]),
            (b"'a\\'b'", &[b"a'b"]),
            (b"\"a\\\"b\"", &[b"a\"b"]),
            (b"'a\"b' \"a'b\"", &[b"a\"b", b"a'b"]),
            (b"a\\\\b", &[b"a\\b"]),
            (b"a\\\nb", &[b"a\nb"]),
            (b"\\n", &[b"n"]),
            (b"# no comment", &[b"#", b"no", b"comment"]),
            (b"$HOME * `x`", &[b"$HOME", b"*", b"`x`"]),
            (b"'open to the end", &[b"open to the end"]),
            (b"\xff\xe9.c", &[b"\xff\xe9.c"]),
            (b"", &[]),
            (b" \n ", &[]),
        ] {
            let got = split(text).unwrap();
            let got: Vec<&[u8]> = got.iter().map(|word| word.as_bytes()).collect();
            assert_eq!(got, words, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn files_inside_files() {
        let words = expand_with(&[("a", b"1 @b 4"), ("b", b"2\n3")], &["0", "@a", "5"]).unwrap();
        assert_eq!(
            words,
            Words {
                args: os(&["0", "1", "2", "3", "4", "5"]),
                files: vec!["a".into(), "b".into()]
            }
        );
        let twice = expand_with(&[("b", b"x")], &["@b", "@b"]).unwrap();
        assert_eq!(twice.args, os(&["x", "x"]));
    }

    #[test]
    fn a_missing_file_is_a_word() {
        let words = expand_with(&[], &["@x.c", "@", "a@b"]).unwrap();
        assert_eq!(
            words,
            Words {
                args: os(&["@x.c", "@", "a@b"]),
                files: Vec::new()
            }
        );
    }

    #[test]
    fn refused_files() {
        for (text, why) in [
            (&b"@a"[..], "includes itself"),
            (b"@b", "includes itself"),
            (b"x\0y", "holds a byte that compilers read differently"),
            (b"x\x0cy", "holds a byte that compilers read differently"),
            (b"last\\", "ends in a backslash"),
            (b"\xef\xbb\xbfx", "starts with a byte order mark"),
            (b"a \"\" b", "holds an empty word"),
        ] {
            let refused = expand_with(&[("a", text), ("b", b"@a")], &["@a"]).unwrap_err();
            assert_eq!(refused.why, why, "{}", text.escape_ascii());
        }
        let refused = expand_with(&[], &["@dir"]).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the response file `@dir` cannot be read"
        );
    }

    #[test]
    fn what_is_quoted_reads_back() {
        let all: Vec<u8> = (1..=255).filter(|b| !matches!(b, 0x0b | 0x0c)).collect();
        let words = [
            &all[..],
            b"a b",
            b"'",
            b"\"",
            b"\\",
            b"-DX=\"a b\"",
            b"x\ny",
            b"-c",
        ];
        let words: Vec<OsString> = words
            .iter()
            .map(|word| OsString::from_vec(word.to_vec()))
            .collect();
        assert_eq!(split(&quote(&words)).unwrap(), words);
        assert_eq!(quote([""]), b"\"\"\n");
    }
}
