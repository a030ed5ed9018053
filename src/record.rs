//! The record of one request: what its variant was made from, and what else its compile wrote.
//!
//! # Format
//!
//! ```text
//! "OGREC04\n"   8 bytes: magic and version
//! sum           32 bytes: BLAKE3 of the key of its request and of what follows
//! body          fields in the order of `Record::write`
//! ```
//!
//! Numbers are LEB128 varints, byte strings have their length before them, hashes are 16 bytes. An input's path shares a
//! prefix with the one before it, given as a count. A record that can't be read, of whatever reason, is no record.
//!
//! Written to scratch and renamed, so a reader sees a whole one; read in one go.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::inputs::Input;
use crate::request::{Key, Variant};
use crate::scratch;
use crate::search::Search;
use crate::stamp::Stamp;

const MAGIC: &[u8; 8] = b"OGREC04\n";

/// A file written beside the object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Side {
    /// Where.
    pub path: PathBuf,
    /// Its stamp after the compile.
    pub stamp: Stamp,
    /// Its content.
    pub hash: [u8; 16],
}

/// The compiler that made a variant: enough to ask it again what it is, and to tell a user what it was.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Maker {
    /// The program and the words before the user's; empty: not known.
    pub command: Vec<OsString>,
    /// How it calls itself, with version and target.
    pub name: String,
    /// [`crate::identity::Identity::digest`].
    pub digest: [u8; 32],
    /// The words of the command line that it was asked with.
    pub probe_flags: Vec<OsString>,
    /// The language it was asked for ([`crate::identity::asked_as`]).
    pub language: String,
}

/// What is known of one request's last compile.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Record {
    /// The variant it gave.
    pub variant: Variant,
    /// Why it is never skipped; `None`: it may be.
    pub never: Option<String>,
    /// Why the compiler ran this last time.
    pub why: String,
    /// Size of the object, bytes.
    pub size: u64,
    /// Content hash of the object.
    pub hash: [u8; 16],
    /// When the compile ended, ms since the epoch.
    pub when: u64,
    /// How long it took, ns.
    pub took: u64,
    /// What it wrote to stderr.
    pub stderr: Vec<u8>,
    /// That was in colour.
    pub coloured: bool,
    /// The variables that shaped it: [`crate::request::diagnostics_digest`].
    pub diagnostics: [u8; 16],
    /// The depfile that the user asked for.
    pub depfile: Option<Vec<u8>>,
    /// The compiler.
    pub maker: Maker,
    /// The words that decide the content, for comparing variants.
    pub flags: Vec<OsString>,
    /// The source, as spelled.
    pub source: PathBuf,
    /// The working directory.
    pub directory: PathBuf,
    /// Files written beside the object.
    pub sides: Vec<Side>,
    /// What was read.
    pub inputs: Vec<Input>,
    /// What was looked for in vain.
    pub search: Search,
    /// The build environments in the include directories ([`crate::relocation::places`]).
    pub places: Vec<PathBuf>,
    /// Whether it can stand for a compile with other places.
    pub bound: Bound,
}

/// Whether an object is bound to the build environment that it was made with ([`crate::relocation`]).
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub enum Bound {
    /// Nothing in it tells; the preprocessed text has still to be looked at.
    #[default]
    Unknown,
    /// It isn't.
    Free,
    /// It may be, and why.
    To(String),
}

impl Record {
    /// Reads the record at `path`; `None` if there is none that can be used.
    pub fn read(path: &Path) -> Option<Record> {
        Record::parse(&fs::read(path).ok()?, &key_of(path)?)
    }

    /// Reads the bytes of the record of `key`.
    pub fn parse(bytes: &[u8], key: &Key) -> Option<Record> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (sum, body) = rest.split_at_checked(32)?;
        if checksum(key, body) != sum {
            return None;
        }
        let mut r = Reader { rest: body };
        let record = r.record()?;
        r.rest.is_empty().then_some(record)
    }

    /// The bytes of the record of `key`.
    pub fn write(&self, key: &Key) -> Vec<u8> {
        let mut w = Writer {
            out: Vec::with_capacity(self.inputs.len() * 110 + 1024),
        };
        w.out.extend_from_slice(MAGIC);
        w.out.extend_from_slice(&[0; 32]);
        w.record(self);
        let sum = checksum(key, &w.out[40..]);
        w.out[8..40].copy_from_slice(&sum);
        w.out
    }

    /// Puts the record at `path`, by way of `temporary`.
    pub fn save(&self, temporary: &Path, path: &Path) -> io::Result<()> {
        let key = key_of(path).ok_or(io::ErrorKind::InvalidInput)?;
        fs::write(temporary, self.write(&key))?;
        scratch::publish(temporary, path)
    }
}

/// The request whose record has this name: [`crate::state::ObjectState::record`].
fn key_of(path: &Path) -> Option<Key> {
    Key::from_short(path.file_stem()?.to_str()?)
}

fn checksum(key: &Key, body: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&key.0);
    hasher.update(body);
    *hasher.finalize().as_bytes()
}

struct Writer {
    out: Vec<u8>,
}

impl Writer {
    fn number(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.out.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.out.push(n as u8);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }

    fn path(&mut self, path: &Path) {
        self.bytes(path.as_os_str().as_bytes());
    }

    fn words(&mut self, words: &[OsString]) {
        self.number(words.len() as u64);
        for word in words {
            self.bytes(word.as_bytes());
        }
    }

    fn paths(&mut self, paths: &[PathBuf]) {
        self.number(paths.len() as u64);
        for path in paths {
            self.path(path);
        }
    }

    fn optional(&mut self, bytes: Option<&[u8]>) {
        self.number(u64::from(bytes.is_some()));
        if let Some(bytes) = bytes {
            self.bytes(bytes);
        }
    }

    fn stamp(&mut self, s: &Stamp) {
        self.number(s.dev);
        self.number(s.ino);
        self.number(s.size);
        self.out.extend_from_slice(&s.mtime.to_le_bytes());
        self.out.extend_from_slice(&s.ctime.to_le_bytes());
    }

    /// A path given by what it shares with the one before.
    fn path_after(&mut self, path: &Path, before: &mut Vec<u8>) {
        let bytes = path.as_os_str().as_bytes();
        let shared = bytes
            .iter()
            .zip(before.iter())
            .take_while(|(a, b)| a == b)
            .count();
        self.number(shared as u64);
        self.bytes(&bytes[shared..]);
        bytes.clone_into(before);
    }

    fn record(&mut self, r: &Record) {
        self.out.extend_from_slice(&r.variant.0);
        self.optional(r.never.as_deref().map(str::as_bytes));
        self.bytes(r.why.as_bytes());
        self.number(r.size);
        self.out.extend_from_slice(&r.hash);
        self.number(r.when);
        self.number(r.took);
        self.bytes(&r.stderr);
        self.number(u64::from(r.coloured));
        self.out.extend_from_slice(&r.diagnostics);
        self.optional(r.depfile.as_deref());
        self.words(&r.maker.command);
        self.bytes(r.maker.name.as_bytes());
        self.out.extend_from_slice(&r.maker.digest);
        self.words(&r.maker.probe_flags);
        self.bytes(r.maker.language.as_bytes());
        self.words(&r.flags);
        self.path(&r.source);
        self.path(&r.directory);
        self.number(r.sides.len() as u64);
        for side in &r.sides {
            self.path(&side.path);
            self.stamp(&side.stamp);
            self.out.extend_from_slice(&side.hash);
        }
        self.number(r.inputs.len() as u64);
        let mut before = Vec::new();
        for input in &r.inputs {
            self.path_after(&input.path, &mut before);
            self.stamp(&input.stamp);
            self.out.extend_from_slice(&input.hash);
        }
        self.search(&r.search);
        self.paths(&r.places);
        match &r.bound {
            Bound::Unknown => self.number(0),
            Bound::Free => self.number(1),
            Bound::To(why) => {
                self.number(2);
                self.bytes(why.as_bytes());
            }
        }
    }

    fn search(&mut self, s: &Search) {
        let mut before = Vec::new();
        self.number(s.watched.len() as u64);
        for (folder, stamp) in &s.watched {
            self.path_after(folder, &mut before);
            self.number(u64::from(stamp.is_some()));
            if let Some(stamp) = stamp {
                self.stamp(stamp);
            }
        }
        self.paths(&s.roots);
        self.number(s.probed.len() as u64);
        for name in &s.probed {
            self.bytes(name);
        }
        self.out.extend_from_slice(&s.presence);
        self.out.extend_from_slice(&s.mates);
        self.paths(&s.rivals);
        self.number(u64::from(s.tests_unknown));
        self.out.extend_from_slice(&s.clock.to_le_bytes());
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.rest.split_at_checked(n)?;
        self.rest = tail;
        Some(head)
    }

    fn number(&mut self) -> Option<u64> {
        let mut n = 0u64;
        for (at, byte) in self.rest.iter().take(10).enumerate() {
            n |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[at + 1..];
                return Some(n);
            }
        }
        None
    }

    /// How many items follow; no more than there are bytes, so that a wrong number allocates nothing.
    fn count(&mut self) -> Option<usize> {
        let n = usize::try_from(self.number()?).ok()?;
        (n <= self.rest.len()).then_some(n)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let n = self.count()?;
        self.take(n)
    }

    fn path(&mut self) -> Option<PathBuf> {
        self.bytes().map(|b| PathBuf::from(OsStr::from_bytes(b)))
    }

    fn words(&mut self) -> Option<Vec<OsString>> {
        self.list(|r| r.bytes().map(|b| OsString::from_vec(b.to_vec())))
    }

    fn flag(&mut self) -> Option<bool> {
        match self.number()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn optional(&mut self) -> Option<Option<&'a [u8]>> {
        if self.flag()? {
            self.bytes().map(Some)
        } else {
            Some(None)
        }
    }

    fn hash(&mut self) -> Option<[u8; 16]> {
        self.take(16)?.try_into().ok()
    }

    fn time(&mut self) -> Option<i64> {
        Some(i64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn stamp(&mut self) -> Option<Stamp> {
        Some(Stamp {
            dev: self.number()?,
            ino: self.number()?,
            size: self.number()?,
            mtime: self.time()?,
            ctime: self.time()?,
        })
    }

    fn path_after(&mut self, before: &mut Vec<u8>) -> Option<PathBuf> {
        let shared = usize::try_from(self.number()?)
            .ok()
            .filter(|n| *n <= before.len())?;
        before.truncate(shared);
        before.extend_from_slice(self.bytes()?);
        Some(PathBuf::from(OsString::from_vec(before.clone())))
    }

    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let n = self.count()?;
        let mut list = Vec::with_capacity(n);
        for _ in 0..n {
            list.push(item(self)?);
        }
        Some(list)
    }

    fn record(&mut self) -> Option<Record> {
        let mut before = Vec::new();
        Some(Record {
            variant: Variant(self.hash()?),
            never: match self.optional()? {
                Some(why) => Some(text(why)?),
                None => None,
            },
            why: text(self.bytes()?)?,
            size: self.number()?,
            hash: self.hash()?,
            when: self.number()?,
            took: self.number()?,
            stderr: self.bytes()?.to_vec(),
            coloured: self.flag()?,
            diagnostics: self.hash()?,
            depfile: self.optional()?.map(<[u8]>::to_vec),
            maker: Maker {
                command: self.words()?,
                name: text(self.bytes()?)?,
                digest: self.take(32)?.try_into().ok()?,
                probe_flags: self.words()?,
                language: text(self.bytes()?)?,
            },
            flags: self.words()?,
            source: self.path()?,
            directory: self.path()?,
            sides: self.list(|r| {
                Some(Side {
                    path: r.path()?,
                    stamp: r.stamp()?,
                    hash: r.hash()?,
                })
            })?,
            inputs: self.list(|r| {
                Some(Input {
                    path: r.path_after(&mut before)?,
                    stamp: r.stamp()?,
                    hash: r.hash()?,
                })
            })?,
            search: self.search()?,
            places: self.list(|r| r.path())?,
            bound: match self.number()? {
                0 => Bound::Unknown,
                1 => Bound::Free,
                2 => Bound::To(text(self.bytes()?)?),
                _ => return None,
            },
        })
    }

    fn search(&mut self) -> Option<Search> {
        let mut before = Vec::new();
        Some(Search {
            watched: self.list(|r| {
                let folder = r.path_after(&mut before)?;
                let stamp = if r.flag()? { Some(r.stamp()?) } else { None };
                Some((folder, stamp))
            })?,
            roots: self.list(|r| r.path())?,
            probed: self.list(|r| r.bytes().map(<[u8]>::to_vec))?,
            presence: self.hash()?,
            mates: self.hash()?,
            rivals: self.list(|r| r.path())?,
            tests_unknown: self.flag()?,
            clock: self.time()?,
        })
    }
}

fn text(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key([6; 16]);

    fn sample() -> Record {
        let stamp = Stamp {
            dev: 1,
            ino: 300,
            size: 70_000,
            mtime: -1,
            ctime: i64::MAX,
        };
        let input = |p: &str| Input {
            path: p.into(),
            stamp,
            hash: [9; 16],
        };
        Record {
            variant: Variant([4; 16]),
            never: Some("because".into()),
            why: "first compile".into(),
            size: 5,
            hash: [5; 16],
            when: 6,
            took: 7,
            stderr: b"warning".to_vec(),
            coloured: true,
            diagnostics: [8; 16],
            depfile: Some(b"x.o: x.c\n".to_vec()),
            maker: Maker {
                command: vec!["/usr/bin/ccache".into(), "gcc".into()],
                name: "gcc 12.2.0".into(),
                digest: [6; 32],
                probe_flags: vec!["-m32".into()],
                language: "c".into(),
            },
            flags: vec!["-DA".into(), OsString::from_vec(vec![0xff])],
            source: "x.c".into(),
            directory: "/d".into(),
            sides: vec![Side {
                path: "x.dwo".into(),
                stamp,
                hash: [1; 16],
            }],
            inputs: vec![
                input("/usr/include/a.h"),
                input("/usr/include/b.h"),
                input("x.c"),
            ],
            search: Search {
                watched: vec![("inc".into(), Some(stamp)), ("inc/sub".into(), None)],
                roots: vec!["inc".into()],
                probed: vec![b"a.h".to_vec()],
                presence: [3; 16],
                mates: [4; 16],
                rivals: vec!["inc/p.h".into()],
                tests_unknown: true,
                clock: 42,
            },
            places: vec!["/tmp/pip-build-env-0a1b2c3d".into()],
            bound: Bound::To("`__FILE__` in `p.h`".into()),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(Record::parse(&sample().write(&KEY), &KEY), Some(sample()));
        assert_eq!(
            Record::parse(&Record::default().write(&KEY), &KEY),
            Some(Record::default())
        );
    }

    #[test]
    fn any_truncation_and_any_flipped_bit_is_no_record() {
        let whole = sample().write(&KEY);
        for n in 0..whole.len() {
            assert_eq!(Record::parse(&whole[..n], &KEY), None, "length {n}");
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[n] ^= 1 << bit;
                assert_eq!(Record::parse(&flipped, &KEY), None, "bit {bit} of byte {n}");
            }
        }
    }

    #[test]
    fn a_record_is_of_its_own_request_only() {
        assert_eq!(Record::parse(&sample().write(&KEY), &Key([7; 16])), None);
    }

    #[test]
    fn a_body_of_any_bytes_is_read_without_a_panic() {
        // The sum is right and the body isn't: another version's, or a bug's.
        let whole = sample().write(&KEY);
        for n in 40..whole.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut body = whole[40..].to_vec();
                body[n - 40] = value;
                let _ = Reader { rest: &body }.record();
            }
        }
    }
}
