//! A command that makes files, as `objguard exec` is told of it: what it makes, what of, and where the paths go.
//!
//! Pure. `{out}` in a word of the command stands for the path of the output, `{out1}`, `{out2}`, … for those of several; `{out}`
//! is then the first. If the words have any, each output needs one, and the command writes to scratch; without any it writes to
//! the outputs themselves.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// A generator's command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Generator {
    /// The files it makes, as spelled.
    pub outputs: Vec<PathBuf>,
    /// The files it says it reads, as spelled; none: what it reads isn't known.
    pub inputs: Vec<PathBuf>,
    /// The program and its arguments, with placeholders.
    pub command: Vec<OsString>,
    /// The words have placeholders.
    pub staged: bool,
}

impl Generator {
    /// Checks what was given.
    ///
    /// # Errors
    /// In one line: what is wrong, and what to write.
    pub fn new(
        outputs: Vec<PathBuf>,
        inputs: Vec<PathBuf>,
        command: Vec<OsString>,
    ) -> Result<Generator, String> {
        if command.first().is_none_or(|program| program.is_empty()) {
            return Err(
                "no command given; write it after `--`, as in `objguard exec -o OUT -- COMMAND`"
                    .into(),
            );
        }
        if outputs.is_empty() {
            return Err("no output given; name what the command makes with `-o OUT`".into());
        }
        let mut seen = BTreeSet::new();
        for path in &outputs {
            let shown = path.display();
            if path.as_os_str().is_empty() || path.file_name().is_none() {
                return Err(format!(
                    "cannot make `{shown}`: it is not the name of a file"
                ));
            }
            if !seen.insert(plain(path)) {
                return Err(format!(
                    "cannot make `{shown}` twice; give each output once"
                ));
            }
        }
        if let Some(both) = inputs.iter().find(|path| seen.contains(&plain(path))) {
            let shown = both.display();
            return Err(format!(
                "cannot make `{shown}` of itself; leave out `-i {shown}`, or write to another file"
            ));
        }
        let mut used = BTreeSet::new();
        for word in &command {
            for piece in pieces(word.as_bytes()) {
                match piece {
                    Piece::Output(n) if n < outputs.len() => {
                        used.insert(n);
                    }
                    Piece::Output(n) => {
                        return Err(format!(
                            "`{{out{}}}` has no output: {} given with `-o`",
                            n + 1,
                            match outputs.len() {
                                1 => "one is".to_owned(),
                                n => format!("{n} are"),
                            }
                        ));
                    }
                    Piece::Text(_) => {}
                }
            }
        }
        let staged = !used.is_empty();
        if let Some(n) = (0..outputs.len()).find(|n| staged && !used.contains(n)) {
            return Err(format!(
                "`{}` has no place in the command; write `{{out{}}}` where its path belongs, or no placeholder at all",
                outputs[n].display(),
                n + 1
            ));
        }
        Ok(Generator {
            outputs,
            inputs,
            command,
            staged,
        })
    }

    /// The command's words with these paths in the place of the outputs'.
    pub fn words(&self, paths: &[PathBuf]) -> Vec<OsString> {
        let fill = |word: &OsString| {
            let mut filled = Vec::with_capacity(word.len());
            for piece in pieces(word.as_bytes()) {
                filled.extend_from_slice(match piece {
                    Piece::Text(text) => text,
                    Piece::Output(n) => paths[n].as_os_str().as_bytes(),
                });
            }
            OsString::from_vec(filled)
        };
        self.command.iter().map(fill).collect()
    }

    /// Words that may name files the command reads: any but its program and its outputs.
    pub fn words_that_may_be_files(&self) -> impl Iterator<Item = &Path> {
        let words = self.command[1..].iter().map(Path::new);
        words.filter(|word| !self.outputs.iter().any(|out| plain(out) == plain(word)))
    }
}

/// A part of a word.
enum Piece<'a> {
    Text(&'a [u8]),
    /// A placeholder: an index into the outputs.
    Output(usize),
}

fn pieces(word: &[u8]) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    let mut text = 0;
    let mut at = 0;
    while at < word.len() {
        if let Some((length, n)) = placeholder(&word[at..]) {
            found.push(Piece::Text(&word[text..at]));
            found.push(Piece::Output(n));
            at += length;
            text = at;
        } else {
            at += 1;
        }
    }
    found.push(Piece::Text(&word[text..]));
    found
}

/// The length of the placeholder that `text` begins with, and its output. `{out0}` and `{outer}` are none.
fn placeholder(text: &[u8]) -> Option<(usize, usize)> {
    let rest = text.strip_prefix(b"{out")?;
    let end = rest.iter().position(|b| *b == b'}')?;
    let digits = &rest[..end];
    let number = match digits {
        b"" => 1,
        [b'1'..=b'9', ..] => OsStr::from_bytes(digits).to_str()?.parse().ok()?,
        _ => return None,
    };
    Some((b"{out}".len() + digits.len(), number - 1))
}

/// A path without `.` components.
fn plain(path: &Path) -> PathBuf {
    path.components()
        .filter(|part| !matches!(part, std::path::Component::CurDir))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(outputs: &str, inputs: &str, command: &str) -> Result<Generator, String> {
        let paths = |text: &str| text.split_whitespace().map(PathBuf::from).collect();
        let words = command.split_whitespace().map(OsString::from).collect();
        Generator::new(paths(outputs), paths(inputs), words)
    }

    fn filled(outputs: &str, command: &str) -> String {
        let generator = new(outputs, "", command).unwrap();
        let paths: Vec<PathBuf> = (1..=generator.outputs.len())
            .map(|n| PathBuf::from(format!("/s/{n}")))
            .collect();
        let words = generator.words(&paths);
        format!(
            "{} {}",
            if generator.staged {
                "staged"
            } else {
                "in place"
            },
            words.join(OsStr::new(" ")).into_string().unwrap()
        )
    }

    #[test]
    fn placeholders_are_filled() {
        for (outputs, command, expected) in [
            ("a", "gen -o {out}", "staged gen -o /s/1"),
            ("a", "gen -o{out1},{out}", "staged gen -o/s/1,/s/1"),
            ("a b", "gen {out2} {out1}", "staged gen /s/2 /s/1"),
            ("a b", "gen {out2}{out}", "staged gen /s/2/s/1"),
            ("a", "gen a", "in place gen a"),
            (
                "a",
                "gen {output} {out0} {out {out-1}",
                "in place gen {output} {out0} {out {out-1}",
            ),
        ] {
            assert_eq!(filled(outputs, command), expected);
        }
    }

    #[test]
    fn words_are_bytes() {
        let word = OsString::from_vec(b"\xff{out}\xfe".to_vec());
        let generator = Generator::new(vec!["a".into()], Vec::new(), vec![word]).unwrap();
        let filled = generator.words(&["b".into()]);
        assert_eq!(filled[0].as_bytes(), b"\xffb\xfe");
    }

    #[test]
    fn refusals_say_what_to_write() {
        for (outputs, inputs, command, expected) in [
            (
                "a",
                "",
                "",
                "no command given; write it after `--`, as in `objguard exec -o OUT -- COMMAND`",
            ),
            (
                "",
                "",
                "gen",
                "no output given; name what the command makes with `-o OUT`",
            ),
            (
                "..",
                "",
                "gen",
                "cannot make `..`: it is not the name of a file",
            ),
            (
                "a b ./a",
                "",
                "gen",
                "cannot make `./a` twice; give each output once",
            ),
            (
                "d/a",
                "x ./d/a",
                "gen",
                "cannot make `./d/a` of itself; leave out `-i ./d/a`, or write to another file",
            ),
            (
                "a",
                "",
                "gen {out2}",
                "`{out2}` has no output: one is given with `-o`",
            ),
            (
                "a b",
                "",
                "gen {out3}",
                "`{out3}` has no output: 2 are given with `-o`",
            ),
            (
                "a b",
                "",
                "gen {out}",
                "`b` has no place in the command; write `{out2}` where its path belongs, or no placeholder at all",
            ),
        ] {
            assert_eq!(new(outputs, inputs, command).unwrap_err(), expected);
        }
    }

    #[test]
    fn words_that_may_be_files_are_neither_program_nor_output() {
        let generator = new("out", "", "sh gen.sh ./out x out").unwrap();
        let words: Vec<_> = generator.words_that_may_be_files().collect();
        assert_eq!(words, [Path::new("gen.sh"), Path::new("x")]);
    }
}
