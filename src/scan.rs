//! Looks through what a compile read for words that make its result depend on more than that.
//!
//! The search is for words, not for meaning: one in a comment counts too. That costs a compile that needn't have been, never a
//! wrong object.

use aho_corasick::packed;
use memchr::memmem::Finder;

/// Another one for every change of this file: what an older scanner didn't look for, a newer one may find.
pub const VERSION: u64 = {
    let source = include_bytes!("scan.rs");
    // FNV-1a.
    let (mut hash, mut at) = (0xcbf2_9ce4_8422_2325_u64, 0);
    while at < source.len() {
        hash = (hash ^ source[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
};

/// What a file's text says of hidden inputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// `__DATE__`, `__TIME__` or `__TIMESTAMP__`: the clock is an input.
    pub clock: Option<&'static str>,
    /// `.incbin`, `.include` of the assembler or `#embed`: files no depfile lists are inputs.
    pub embeds: Option<&'static str>,
    /// Names tested by `__has_include`.
    pub tested: Vec<Vec<u8>>,
    /// `__has_include` of something that isn't spelled out.
    pub tests_unknown: bool,
}

/// The macros that tell the time.
const CLOCK: [&str; 3] = ["__DATE__", "__TIME__", "__TIMESTAMP__"];

/// The searches, prepared once.
pub struct Scanner {
    /// All the words that the others look for first: most files have none of them, and one pass tells. `None`: this processor
    /// can't.
    any: Option<packed::Searcher>,
    /// Ends and beginnings of [`CLOCK`]'s words: `##` may paste them of two pieces.
    clock: [Finder<'static>; 5],
    embeds: [(&'static str, Finder<'static>); 3],
    assembly: Finder<'static>,
    /// Where an assembler directive may begin that is cut in two, or spelled with an escape.
    directive: [Finder<'static>; 2],
    has: Finder<'static>,
}

impl Default for Scanner {
    fn default() -> Self {
        Scanner::new()
    }
}

impl Scanner {
    /// Prepares the searches.
    pub fn new() -> Scanner {
        const CLOCKS: [&str; 5] = ["__TI", "__DA", "ME__", "TE__", "MP__"];
        const EMBEDS: [&str; 3] = ["incbin", ".include", "embed"];
        const ASSEMBLY: &str = "asm";
        const HAS: &str = "has_";
        let words = CLOCKS.iter().chain(&EMBEDS).chain([&ASSEMBLY, &HAS]);
        Scanner {
            any: packed::Searcher::new(words),
            clock: CLOCKS.map(Finder::new),
            embeds: EMBEDS.map(|word| (word, Finder::new(word))),
            assembly: Finder::new(ASSEMBLY),
            directive: [".i", ".\\"].map(Finder::new),
            has: Finder::new(HAS),
        }
    }

    /// What `text` says.
    pub fn scan(&self, text: &[u8]) -> Findings {
        if self
            .any
            .as_ref()
            .is_some_and(|any| any.find(text).is_none())
        {
            return Findings::default();
        }
        let embeds = self
            .embeds
            .iter()
            .find(|(word, f)| f.find_iter(text).any(|at| embeds(word, text, at)))
            .map(|(word, _)| *word);
        let mut found = Findings {
            clock: self.clock_word(text),
            embeds: embeds.or_else(|| self.cut_directive(text)),
            ..Findings::default()
        };
        for at in self.has.find_iter(text) {
            if text[at..].starts_with(b"has_include") {
                tested(text, at, at + "has_include".len(), &mut found);
            } else {
                let (start, end) = identifier(text, at);
                let half = matches!(
                    &text[start..end],
                    b"__has_" | b"__has_i" | b"__has_in" | b"__has_inc" | b"__has_incl"
                );
                // What is pasted behind `struct` is no `__has_include` of a condition: `struct __has_##_NTYPE` of libstdc++.
                found.tests_unknown |= half && !names_a_type(&text[..start]);
            }
        }
        found
    }

    /// The macro of [`CLOCK`] that stands in the text, whole or as one of two pieces to paste: then it is an operand of `##`,
    /// or the argument of a macro that pastes.
    fn clock_word(&self, text: &[u8]) -> Option<&'static str> {
        let mut hits = self.clock.iter().flat_map(|f| f.find_iter(text));
        hits.find_map(|at| {
            let (start, end) = identifier(text, at);
            let piece = &text[start..end];
            let of = |word: &&str| {
                let word = word.as_bytes();
                word == piece
                    || ((word.starts_with(piece) || word.ends_with(piece))
                        && is_operand(&text[..start], &text[end..]))
            };
            CLOCK.into_iter().find(of)
        })
    }

    /// `.incbin` or `.include` in assembler text of C that is cut in two by the end of a string, a line or an operand of `##`.
    fn cut_directive(&self, text: &[u8]) -> Option<&'static str> {
        self.assembly.find(text)?;
        let [begun, escaped] = &self.directive;
        let cut = |at: usize| {
            let word = &text[at + 1..];
            let same = |whole: &[u8]| word.iter().zip(whole).take_while(|(a, b)| a == b).count();
            let rest = &word[same(b"incbin").max(same(b"include"))..];
            let rest = &rest[blanks(rest)..];
            rest.starts_with(b"##") || matches!(rest.first(), Some(b'"' | b'\\'))
        };
        let found = begun.find_iter(text).any(cut) || escaped.find(text).is_some();
        found.then_some("asm")
    }
}

/// Where the identifier around a place in the text begins and ends.
fn identifier(text: &[u8], at: usize) -> (usize, usize) {
    let is_word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    let start = text[..at]
        .iter()
        .rposition(|b| !is_word(b))
        .map_or(0, |n| n + 1);
    (
        start,
        at + text[at..].iter().take_while(|b| is_word(b)).count(),
    )
}

/// Whether what stands between `before` and `after` can be pasted to something else.
fn is_operand(before: &[u8], after: &[u8]) -> bool {
    let blank = |b: &&u8| matches!(b, b' ' | b'\t');
    let last = before.iter().rev().find(|b| !blank(b));
    let next = after.iter().find(|b| !blank(b));
    matches!(last, Some(b'(' | b',' | b'#')) || matches!(next, Some(b')' | b',' | b'#'))
}

/// Whether the word found at `at` can be the directive: `embed` only as `#embed`, `.include` not as a file's suffix.
fn embeds(word: &str, text: &[u8], at: usize) -> bool {
    let before = text[..at]
        .iter()
        .rev()
        .copied()
        .find(|b| !matches!(b, b' ' | b'\t'));
    match word {
        "embed" => before == Some(b'#'),
        ".include" => !at
            .checked_sub(1)
            .is_some_and(|i| text[i].is_ascii_alphanumeric()),
        _ => true,
    }
}

/// Reads the argument of a `…has_include…(`, if it is one: `__has_include`, `__has_include_next`, and macros made of it whose
/// names hold it, such as glibc's `__glibc_has_include`.
fn tested(text: &[u8], start: usize, end: usize, found: &mut Findings) {
    let is_word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    let mut at = end + text[end..].iter().take_while(|b| is_word(b)).count();
    at += blanks(&text[at..]);
    if text.get(at) != Some(&b'(') {
        return;
    }
    at += 1;
    at += blanks(&text[at..]);
    let close = match text.get(at) {
        Some(b'<') => b'>',
        Some(b'"') => b'"',
        _ => {
            if !defines_an_alias(text, start) {
                found.tests_unknown = true;
            }
            return;
        }
    };
    let name: Vec<u8> = text[at + 1..]
        .iter()
        .copied()
        .take_while(|b| *b != close && *b != b'\n')
        .collect();
    if !found.tested.contains(&name) {
        found.tested.push(name);
    }
}

/// Whether the identifier that follows `before` is the name of a class.
fn names_a_type(before: &[u8]) -> bool {
    let end = before.trim_ascii_end().len();
    let blank = end < before.len();
    let word = before[..end]
        .rsplit(|b| !(b.is_ascii_alphanumeric() || *b == b'_'))
        .next();
    blank && matches!(word, Some(b"struct" | b"class"))
}

/// Whether the line is `#define …has_include…(x) __has_include(x)` or the head of such a definition: uses of that macro are
/// found by its name.
fn defines_an_alias(text: &[u8], at: usize) -> bool {
    let line_start = text[..at]
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |n| n + 1);
    let line = &text[line_start..at];
    let after_hash = line.iter().position(|b| *b == b'#').map(|n| &line[n + 1..]);
    let Some(rest) = after_hash else { return false };
    let rest = &rest[blanks(rest)..];
    let Some(rest) = rest.strip_prefix(b"define") else {
        return false;
    };
    let rest = &rest[blanks(rest)..];
    let name_end = rest
        .iter()
        .position(|b| !(b.is_ascii_alphanumeric() || *b == b'_'))
        .unwrap_or(rest.len());
    // In the head itself the name is cut at `at`: `__glibc_` of `__glibc_has_include`.
    name_end == rest.len() || memchr::memmem::find(&rest[..name_end], b"has_include").is_some()
}

fn blanks(text: &[u8]) -> usize {
    text.iter()
        .take_while(|b| matches!(b, b' ' | b'\t'))
        .count()
}

/// The names in the `#include` directives of a source, and whether one is computed by a macro: where gcc may find a
/// precompiled header instead, which its depfile doesn't show (compiler-options.md, D1).
pub fn includes(text: &[u8]) -> (Vec<Vec<u8>>, bool) {
    let mut names = Vec::new();
    let mut computed = false;
    for line in text.split(|b| *b == b'\n') {
        let line = &line[blanks(line)..];
        let Some(rest) = line.strip_prefix(b"#") else {
            continue;
        };
        let rest = &rest[blanks(rest)..];
        let Some(rest) = rest
            .strip_prefix(b"include")
            .or_else(|| rest.strip_prefix(b"import"))
        else {
            continue;
        };
        let rest = rest.strip_prefix(b"_next").unwrap_or(rest);
        let rest = &rest[blanks(rest)..];
        let close = match rest.first() {
            Some(b'<') => b'>',
            Some(b'"') => b'"',
            Some(_) => {
                computed = true;
                continue;
            }
            None => continue,
        };
        let name: Vec<u8> = rest[1..]
            .iter()
            .copied()
            .take_while(|b| *b != close)
            .collect();
        names.push(name);
    }
    (names, computed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(text: &str) -> Findings {
        Scanner::new().scan(text.as_bytes())
    }

    #[test]
    fn the_clock() {
        assert_eq!(
            scan("char *t = __TIMESTAMP__;").clock,
            Some("__TIMESTAMP__")
        );
        assert_eq!(scan("/* Defines __TIME*_T_TYPE macros. */").clock, None);
        assert_eq!(scan("int __TIMER__, STATE__, NAME__, __TIMER;").clock, None);
        assert_eq!(scan("CAT(__TI, ME__)").clock, Some("__TIME__"));
        assert_eq!(scan("CAT(__, DATE__)").clock, Some("__DATE__"));
    }

    #[test]
    fn embedded_files() {
        assert_eq!(scan("asm(\".incbin \\\"x\\\"\");").embeds, Some("incbin"));
        assert_eq!(scan("  # embed \"x\"").embeds, Some("embed"));
        assert_eq!(scan("struct embedded x; /* embed */").embeds, None);
        assert_eq!(scan("\t.include \"x\"").embeds, Some(".include"));
        assert_eq!(scan("see foo.include").embeds, None);
        assert_eq!(scan("asm(\".in\" \"cbin x\");").embeds, Some("asm"));
        assert_eq!(scan("asm(\".\\x69ncbin x\");").embeds, Some("asm"));
        assert_eq!(scan("asm(S(.inc##x));").embeds, Some("asm"));
        assert_eq!(scan("asm(\".inc\\\nbin\");").embeds, Some("asm"));
        assert_eq!(scan("asm(\".if\");").embeds, None);
        assert_eq!(scan("puts(\"a.in\");").embeds, None);
    }

    #[test]
    fn tested_names() {
        let f = scan(
            "#if __has_include(<a/b.h>) || __has_include_next( \"c.h\" )\n#ifdef __has_include\n",
        );
        assert_eq!(
            (f.tested, f.tests_unknown),
            (vec![b"a/b.h".to_vec(), b"c.h".to_vec()], false)
        );
        assert!(scan("#if __has_include(NAME)").tests_unknown);
        assert!(scan("#define HAS(x) __has_##x").tests_unknown);
        assert!(scan("#define HAS(x) my_struct __has_##x").tests_unknown);
        assert!(!scan("#define HAS(x) struct __has_##x").tests_unknown);
        assert!(scan("#define HAS(x) __has_include(x)").tests_unknown);
        assert!(scan("#if CAT(__has_, include)(<a.h>)").tests_unknown);
        assert!(!scan("#if __has_attribute(x)").tests_unknown);
        let glibc = scan(
            "# define __glibc_has_include(header)\t__has_include (header)\n# if __glibc_has_include (\"linux/stat.h\")\n",
        );
        assert_eq!(
            (glibc.tested, glibc.tests_unknown),
            (vec![b"linux/stat.h".to_vec()], false)
        );
    }

    #[test]
    fn include_directives() {
        let (names, computed) = includes(
            b"#include <a.h>\n  #  include \"b/c.h\" // x\n#import <d>\n#include MACRO\nint x;\n",
        );
        assert_eq!(names, [b"a.h".to_vec(), b"b/c.h".to_vec(), b"d".to_vec()]);
        assert!(computed);
        assert!(!includes(b"#include <a.h>").1);
    }
}
