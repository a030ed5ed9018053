//! Reads the depfiles that gcc and clang write with `-MD`.
//!
//! Only the first rule counts: `-MP` adds empty ones. What is escaped how was measured (compiler-options.md, D1): blank, tab
//! and `#` by a backslash, `$` by another, a backslash only before a blank or a tab; a backslash before a newline continues the
//! line. Everything else stands as it is, so names are bytes. (`tests/properties` asks the compilers.)

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// The prerequisites of the first rule, in order, each once.
///
/// Returns `None` if the text holds no rule.
pub fn prerequisites(text: &[u8]) -> Option<Vec<PathBuf>> {
    let mut words = Words { text, at: 0 };
    // The targets end at a word that ends in a colon (`x.o:`), or at a colon of its own.
    loop {
        match words.next()? {
            Word::EndOfRule => return None,
            Word::Name(name) if name.last() == Some(&b':') => break,
            Word::Name(_) => {}
        }
    }
    let mut names = Vec::new();
    while let Some(Word::Name(name)) = words.next() {
        names.push(name);
    }
    let mut seen = std::collections::HashSet::with_capacity(names.len());
    let new: Vec<bool> = names
        .iter()
        .map(|name| seen.insert(name.as_slice()))
        .collect();
    let names = names.into_iter().zip(new).filter(|(_, new)| *new);
    Some(
        names
            .map(|(name, _)| OsString::from_vec(name).into())
            .collect(),
    )
}

enum Word {
    Name(Vec<u8>),
    EndOfRule,
}

struct Words<'a> {
    text: &'a [u8],
    at: usize,
}

impl Words<'_> {
    /// The next word of the line; `None` at the end of the text.
    fn next(&mut self) -> Option<Word> {
        loop {
            match self.text.get(self.at..)? {
                [] => return None,
                [b' ' | b'\t' | b'\r', ..] => self.at += 1,
                [b'\\', b'\n', ..] => self.at += 2,
                [b'\\', b'\r', b'\n', ..] => self.at += 3,
                [b'\n', ..] => {
                    self.at += 1;
                    return Some(Word::EndOfRule);
                }
                _ => return Some(Word::Name(self.name())),
            }
        }
    }

    fn name(&mut self) -> Vec<u8> {
        let mut name = Vec::new();
        while let Some(&byte) = self.text.get(self.at) {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' => break,
                b'$' if self.text.get(self.at + 1) == Some(&b'$') => {
                    name.push(b'$');
                    self.at += 2;
                }
                b'\\' => {
                    let run = self.text[self.at..]
                        .iter()
                        .take_while(|b| **b == b'\\')
                        .count();
                    match self.text.get(self.at + run) {
                        Some(b' ' | b'\t') => {
                            name.resize(name.len() + run / 2, b'\\');
                            self.at += run;
                            if run % 2 == 1 {
                                name.push(self.text[self.at]);
                                self.at += 1;
                            }
                        }
                        Some(b'#') => {
                            name.resize(name.len() + run - 1, b'\\');
                            name.push(b'#');
                            self.at += run + 1;
                        }
                        Some(b'\n') if run == 1 => break,
                        _ => {
                            name.resize(name.len() + run, b'\\');
                            self.at += run;
                        }
                    }
                }
                _ => {
                    // All that needs no look, at once: `$` and a backslash at the front of the rest do.
                    let rest = &self.text[self.at..];
                    let special = |b: &u8| matches!(b, b' ' | b'\t' | b'\n' | b'\r' | b'$' | b'\\');
                    let run = rest[1..]
                        .iter()
                        .position(special)
                        .map_or(rest.len(), |n| n + 1);
                    name.extend_from_slice(&rest[..run]);
                    self.at += run;
                }
            }
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        prerequisites(text.as_bytes())
            .unwrap()
            .into_iter()
            .map(|p| p.into_os_string().into_string().unwrap())
            .collect()
    }

    #[test]
    fn rules() {
        assert_eq!(names("x.o: x.c a.h \\\n b.h\n"), ["x.c", "a.h", "b.h"]);
        assert_eq!(names("x.o: x.c a.h\n\na.h:\n"), ["x.c", "a.h"]);
        assert_eq!(names("a.o b.o: x.c x.c ./x.c"), ["x.c", "./x.c"]);
        assert_eq!(names("x.o :\n"), Vec::<String>::new());
        assert_eq!(
            names("x.o: \\\n  /usr/include/a.h \\\n  /usr/include/b.h\n"),
            ["/usr/include/a.h", "/usr/include/b.h"]
        );
        assert!(prerequisites(b"").is_none());
        assert!(prerequisites(b"no rule here\n").is_none());
    }

    #[test]
    fn escapes() {
        assert_eq!(
            names("x.o: a\\ b.h c\\#d.h e$$f.h g\\h.h\n"),
            ["a b.h", "c#d.h", "e$f.h", "g\\h.h"]
        );
        assert_eq!(
            names("x.o: m\\\\\\ n.h two\\\\ words\n"),
            ["m\\ n.h", "two\\", "words"]
        );
        // gcc 12 and clang 14 write one backslash before `#`, however many are in the name.
        assert_eq!(names("x.o: a\\\\\\#.h b\\\\#.h\n"), ["a\\\\#.h", "b\\#.h"]);
        assert_eq!(names("x.o: C:/a.h b:c.h\n"), ["C:/a.h", "b:c.h"]);
    }

    #[test]
    fn any_bytes_end_without_a_panic() {
        let pieces: [&[u8]; 9] = [b"a", b"\\", b" ", b"\n", b"$", b":", b"#", b"\xff", b"\t"];
        for n in 0..9usize.pow(5) {
            let mut text = Vec::new();
            let mut rest = n;
            for _ in 0..5 {
                text.extend_from_slice(pieces[rest % 9]);
                rest /= 9;
            }
            let _ = prerequisites(&text);
        }
    }
}
