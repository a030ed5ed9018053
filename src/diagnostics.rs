//! Diagnostics and their colours, live and replayed.
//!
//! A compiler that writes to a pipe drops its colours, so on a terminal they are asked for. What is kept for a replay is what
//! the compiler wrote; without a terminal the colours are taken out again (compiler-options.md, F).

use std::borrow::Cow;
use std::ffi::OsString;
use std::io::IsTerminal;

use crate::command::{Colour, Dialect};

/// `major`: the compiler's major version, 0 if it isn't known.
///
/// Whether `-fdiagnostics-color=always` stands for what the compiler would do by itself with our stderr.
pub fn wants_colour(
    user: Colour,
    dialect: Dialect,
    major: u32,
    environment: &[(OsString, OsString)],
) -> bool {
    if user != Colour::Default || !std::io::stderr().is_terminal() {
        return false;
    }
    let variable = |name: &str| environment.iter().find(|(n, _)| n == name).map(|(_, v)| v);
    let Some(terminal) = variable("TERM").filter(|t| *t != "dumb") else {
        return false;
    };
    match dialect {
        // gcc ignores NO_COLOR; an empty GCC_COLORS says no.
        Dialect::Gcc => variable("GCC_COLORS").is_none_or(|v| !v.is_empty()),
        // clang 14 doesn't know NO_COLOR, 19 does (compiler-options.md, F).
        Dialect::Clang => {
            let refused = variable("NO_COLOR").is_some_and(|v| !v.is_empty());
            !terminal.is_empty() && (!refused || (1..15).contains(&major))
        }
    }
}

/// The text without what colours it: `ESC [ … m`, `ESC [ … K` and links, `ESC ] 8 ; … ; … ESC \` (or BEL).
pub fn without_colour(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&0x1b) {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        match sequence(rest) {
            Some(length) => rest = &rest[length..],
            None => {
                out.push(byte);
                rest = tail;
            }
        }
    }
    Cow::Owned(out)
}

/// Length of the colour sequence that `text` begins with.
fn sequence(text: &[u8]) -> Option<usize> {
    match text {
        [0x1b, b'[', parameters @ ..] => {
            let end = parameters
                .iter()
                .position(|b| !(b.is_ascii_digit() || *b == b';'))?;
            matches!(parameters[end], b'm' | b'K').then_some(2 + end + 1)
        }
        [0x1b, b']', b'8', b';', link @ ..] => {
            let bell = link.iter().position(|b| *b == 0x07).map(|n| n + 1);
            let string = link
                .windows(2)
                .position(|w| w == [0x1b, b'\\'])
                .map(|n| n + 2);
            let end = match (bell, string) {
                (Some(a), Some(b)) => a.min(b),
                (a, b) => a.or(b)?,
            };
            Some(4 + end)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_go_and_text_stays() {
        let text = b"\x1b[01m\x1b[Kx.c:1:\x1b[m\x1b[K \x1b]8;;https://x\x1b\\[-Wall]\x1b]8;;\x07 plain [m \x1b[2J";
        assert_eq!(
            &*without_colour(text),
            b"x.c:1: [-Wall] plain [m \x1b[2J".as_slice()
        );
        assert!(matches!(without_colour(b"plain"), Cow::Borrowed(_)));
    }
}
