//! The log of guarded links in a folder of objects: who linked what, and which variants it took.
//!
//! # Format
//!
//! Lines as in [`crate::claims`], appended in one write:
//!
//! ```text
//! L1 <ms since the epoch> <at> <lineage> <output> <object>=<variant>,… <sum>
//! ```
//!
//! Names are percent-encoded; `-` stands for a variant that isn't known (a path that held another tool's content). The log is
//! a help, not a promise: it tells which sets of claims were used up, and `objguard audit` reads it. When it is long, only
//! the last line of each output is kept.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::claims;
use crate::lineage::Lineage;
use crate::request::{Variant, hex_number};

/// One link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkLine {
    /// When, ms since the epoch.
    pub when: u64,
    /// When, ns of CLOCK_BOOTTIME.
    pub at: u64,
    /// By whom.
    pub lineage: Lineage,
    /// The output, as spelled.
    pub output: PathBuf,
    /// The objects of this folder that it took.
    pub took: Vec<(OsString, Option<Variant>)>,
}

/// A log longer than this (bytes) is shortened.
const LONG: u64 = 512 * 1024;

/// Reads the log, oldest line first; what can't be read is passed over.
pub fn read(path: &Path) -> Vec<LinkLine> {
    let Ok(text) = fs::read(path) else {
        return Vec::new();
    };
    text.split(|b| *b == b'\n').filter_map(parse).collect()
}

/// Appends a line.
pub fn append(path: &Path, line: &LinkLine) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|m| m.len() > LONG) {
        shorten(path)?;
    }
    claims::append_text(path, write(line).as_bytes())
}

/// Keeps the last line of each output. Lines that are appended meanwhile may be lost: no promise rests on them.
fn shorten(path: &Path) -> io::Result<()> {
    let mut seen = std::collections::HashSet::new();
    let mut kept: Vec<String> = read(path)
        .iter()
        .rev()
        .filter(|l| seen.insert(l.output.clone()))
        .map(write)
        .collect();
    kept.reverse();
    crate::scratch::write_atomically(path, kept.concat().as_bytes(), 0o600)
}

fn write(line: &LinkLine) -> String {
    let mut text = format!("L1 {:x} {:x} ", line.when, line.at);
    claims::write_lineage(&mut text, &line.lineage);
    text.push(' ');
    encode(&mut text, line.output.as_os_str());
    text.push(' ');
    for (n, (object, variant)) in line.took.iter().enumerate() {
        text.push_str(if n == 0 { "" } else { "," });
        encode(&mut text, object);
        match variant {
            Some(v) => {
                let _ = write!(text, "={}", v.short());
            }
            None => text.push_str("=-"),
        }
    }
    let sum = claims::sum(&text);
    let _ = writeln!(text, " {sum}");
    text
}

fn parse(line: &[u8]) -> Option<LinkLine> {
    let mut fields = claims::checked(line)?.split(|b| *b == b' ');
    if fields.next()? != b"L1" {
        return None;
    }
    let when = hex_number(fields.next()?)?;
    let at = hex_number(fields.next()?)?;
    let lineage = claims::parse_lineage(fields.next()?)?;
    let output = PathBuf::from(decode(fields.next()?)?);
    let mut took = Vec::new();
    let pairs = fields.next()?.split(|b| *b == b',');
    for pair in pairs.filter(|p| !p.is_empty()) {
        let equals = pair.iter().rposition(|b| *b == b'=')?;
        let (object, variant) = (&pair[..equals], &pair[equals + 1..]);
        took.push((decode(object)?, Variant::from_short(variant)));
    }
    Some(LinkLine {
        when,
        at,
        lineage,
        output,
        took,
    })
}

fn encode(text: &mut String, name: &OsStr) {
    for byte in name.as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' | b'/' | b'+' => {
                text.push(*byte as char)
            }
            other => {
                let _ = write!(text, "%{other:02x}");
            }
        }
    }
}

fn decode(text: &[u8]) -> Option<OsString> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        if byte == b'%' {
            let (digits, tail) = tail.split_at_checked(2)?;
            bytes.push(u8::try_from(hex_number(digits)?).ok()?);
            rest = tail;
        } else {
            bytes.push(byte);
            rest = tail;
        }
    }
    Some(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let line = LinkLine {
            when: 1,
            at: 2,
            lineage: Lineage {
                host: 3,
                began: 4,
                beside: crate::lineage::Beside::Others,
                steps: Vec::new(),
            },
            output: OsString::from_vec(b"a b=\xff,%.so".to_vec()).into(),
            took: vec![
                ("x=,.o".into(), Some(Variant([7; 16]))),
                ("y.o".into(), None),
            ],
        };
        assert_eq!(parse(write(&line).trim_end().as_bytes()), Some(line));
    }
}
