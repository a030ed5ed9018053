//! The names compilers make up: the output's without `-o`, the depfile's, those of the files beside the object.
//!
//! Measured with gcc 12 and clang 14 and 19. Both take the suffix to start at the last dot of the last component. gcc
//! leaves a name whole that has no other dot than its first byte (`.c` gives `.c.o`); clang, and gcc where it derives
//! the depfile from `-o`, don't (`-MD -o .foo` writes `.d`).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::options::language::base_name;
use crate::options::{Dialect, Side};

fn path(parts: &[&[u8]]) -> PathBuf {
    PathBuf::from(OsString::from_vec(parts.concat()))
}

/// Where the suffix of the last component starts, or the length of `name`.
fn suffix_start(name: &[u8], dialect: Dialect) -> usize {
    let base = name.len() - base_name(name).len();
    match name[base..].iter().rposition(|&b| b == b'.') {
        Some(0) if dialect == Dialect::Gcc => name.len(),
        Some(dot) => base + dot,
        None => name.len(),
    }
}

/// The output of a compile without `-o`: the source's name with another suffix, in the working directory.
pub(super) fn output(source: &[u8], suffix: &[u8], dialect: Dialect) -> PathBuf {
    let base = base_name(source);
    path(&[&base[..suffix_start(base, dialect)], suffix])
}

/// The depfile when no `-MF` names it.
pub(super) fn depfile(source: &[u8], output: Option<&[u8]>, dialect: Dialect) -> PathBuf {
    match output {
        // Here gcc too treats a leading dot as the start of a suffix.
        Some(output) => path(&[&output[..suffix_start(output, Dialect::Clang)], b".d"]),
        None => self::output(source, b".d", dialect),
    }
}

/// A file beside the object: `suffix` after the stem of the output, or of the source when there is no `-o`.
pub(super) fn beside(
    source: &[u8],
    output: Option<&[u8]>,
    suffix: &[u8],
    dialect: Dialect,
) -> PathBuf {
    match output {
        Some(output) => path(&[&output[..suffix_start(output, dialect)], suffix]),
        None => self::output(source, suffix, dialect),
    }
}

/// The file `side` beside the object.
pub(super) fn side(side: Side, source: &[u8], output: Option<&[u8]>, dialect: Dialect) -> PathBuf {
    let suffix: &[u8] = match side {
        Side::CoverageNotes => b".gcno",
        Side::StackUsage => b".su",
        Side::CallGraph => b".ci",
        Side::OptimizationRecord if dialect == Dialect::Clang => b".opt.yaml",
        Side::OptimizationRecord => {
            // gcc keeps the source's suffix in the names of its dumps: `foo.c.opt-record.json.gz`.
            let base = base_name(source);
            let own = &base[suffix_start(base, dialect)..];
            return beside(
                source,
                output,
                &[own, b".opt-record.json.gz"].concat(),
                dialect,
            );
        }
    };
    beside(source, output, suffix, dialect)
}
