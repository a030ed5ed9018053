//! The claims of one object: what was published at its path, and which lineage asked for which variant.
//!
//! # Format
//!
//! A log of lines, appended under the publish lock. Fields are separated by one blank, numbers are hexadecimal, the last field
//! is a checksum: the first 8 bytes of the BLAKE3 hash of what stands before its blank.
//!
//! ```text
//! P1 <variant> <key> <ino> <size> <mtime> <content hash> <sum>
//! L1 <at> <sum>
//! C1 <variant> <key> <ino> <size> <mtime> <ctime> <how> <settled> <at> <lineage> <sum>
//! ```
//!
//! `P` says what is about to be renamed to the path: it is written before the rename, so that after a kill between the two the
//! file at the path is still known by its content. `C` is written when a compile returns 0, with the stamp of the path.
//! `<how>` is `c` (compiled), `s` (skipped) or `r` (skipped, and published again); `<settled>` is 1 if the stamp's `ctime` was
//! old enough by then for any later change to show in it. `<at>` is CLOCK_BOOTTIME in ns; `<lineage>` is `<host>;<began>;<beside>;<pid>:<start>:<thread>:<thread start>,…`.
//! A line of another version, or with a wrong sum, is passed over, and the log counts as damaged: what it says is true, but
//! it may not be all.
//!
//! `L` says that claims of living processes from before `<at>` may be missing.
//!
//! The log is rewritten (to scratch, renamed) when it is long: what no living process can ask for goes, but the newest claim
//! of each variant stays.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use crate::lineage::{Beside, Lineage, Step};
use crate::request::{Key, Variant};
use crate::scratch::{self, Scratch};
use crate::stamp::Stamp;

/// The content hash of an object: the first 16 bytes of its BLAKE3 hash.
pub type ContentHash = [u8; 16];

/// A variant that was, or was about to be, renamed to the path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Publish {
    /// What was published.
    pub variant: Variant,
    /// The request that it answers.
    pub key: Key,
    /// The file: inode, size and `mtime` count.
    pub stamp: Stamp,
    /// Hash of its content.
    pub hash: ContentHash,
}

/// How a claim came about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// The compiler ran.
    Compiled,
    /// The path held the variant.
    Skipped,
    /// Another variant was at the path, and this one was published again.
    Republished,
}

impl How {
    const ALL: [(How, &'static str); 3] = [
        (How::Compiled, "c"),
        (How::Skipped, "s"),
        (How::Republished, "r"),
    ];
}

/// "This lineage asked for this variant, and it was at the path."
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claim {
    /// What was asked for.
    pub variant: Variant,
    /// The request.
    pub key: Key,
    /// The path's stamp then.
    pub stamp: Stamp,
    /// How.
    pub how: How,
    /// Any later change of the file shows in the stamp: its `ctime` was past by more than a tick of the file-system clock.
    pub settled: bool,
    /// When, ns of CLOCK_BOOTTIME.
    pub at: u64,
    /// By whom.
    pub lineage: Lineage,
}

/// A line of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Entry {
    /// `P`
    Publish(Publish),
    /// `C`
    Claim(Claim),
}

/// Which file a log was, and how far it was read: equal positions mean that nothing was appended or rewritten since.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Position {
    ino: u64,
    len: u64,
}

/// What a log says.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// Its entries, oldest first.
    pub entries: Vec<Entry>,
    /// Some lines could not be read: there may have been more.
    pub damaged: bool,
    /// Claims of living processes from before this time (ns of CLOCK_BOOTTIME) may be missing; 0: none are.
    pub lost_before: u64,
    /// How far it goes.
    pub position: Position,
}

/// What a file is, judged by the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Content {
    /// This variant, for sure.
    Is(Variant),
    /// One of these variants if its content hash agrees (newest first).
    OneOf(Vec<(Variant, ContentHash)>),
    /// None that we published.
    Foreign,
}

impl Log {
    /// Reads the log; no log is an empty one.
    ///
    /// # Errors
    /// Whatever open and read say, but for a missing file.
    pub fn read(path: &Path) -> io::Result<Log> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Log::default()),
            Err(e) => return Err(e),
        };
        let mut text = Vec::with_capacity(4096);
        file.read_to_end(&mut text)?;
        let ino = file.metadata()?.ino();
        let mut log = Log::parse(&text);
        log.position = Position {
            ino,
            len: text.len() as u64,
        };
        Ok(log)
    }

    /// What the lines say.
    pub fn parse(text: &[u8]) -> Log {
        let mut log = Log::default();
        for line in text.split(|b| *b == b'\n') {
            if line.is_empty() {
                continue;
            }
            match std::str::from_utf8(line).ok().and_then(parse_line) {
                Some(Line::Entry(entry)) => log.entries.push(entry),
                Some(Line::LostBefore(at)) => log.lost_before = log.lost_before.max(at),
                None => log.damaged = true,
            }
        }
        if !text.is_empty() && text.last() != Some(&b'\n') {
            log.damaged = true;
        }
        log
    }

    /// Where the log at `path` ends now.
    pub fn position_of(path: &Path) -> io::Result<Position> {
        match std::fs::metadata(path) {
            Ok(meta) => Ok(Position {
                ino: meta.ino(),
                len: meta.len(),
            }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Position::default()),
            Err(e) => Err(e),
        }
    }

    /// The claims, oldest first.
    pub fn claims(&self) -> impl DoubleEndedIterator<Item = &Claim> {
        self.entries.iter().filter_map(|e| match e {
            Entry::Claim(c) => Some(c),
            Entry::Publish(_) => None,
        })
    }

    /// The publishes, oldest first.
    pub fn publishes(&self) -> impl DoubleEndedIterator<Item = &Publish> {
        self.entries.iter().filter_map(|e| match e {
            Entry::Publish(p) => Some(p),
            Entry::Claim(_) => None,
        })
    }

    /// The one variant that the log knows, if it is only one.
    pub fn only_variant(&self) -> Option<Variant> {
        let mut all = self.entries.iter().map(Entry::variant);
        let first = all.next()?;
        all.all(|v| v == first).then_some(first)
    }

    /// What the file with this stamp is. A known stamp, `ctime` included, is known content; else its hash decides, whatever
    /// its inode (objects get copied and hard-linked: gentoo-python 2012-11-29).
    pub fn content(&self, stamp: &Stamp) -> Content {
        for claim in self.claims().rev() {
            if claim.settled && claim.stamp.same_content(stamp) && claim.stamp.ctime == stamp.ctime
            {
                return Content::Is(claim.variant);
            }
        }
        let mut candidates: Vec<(Variant, ContentHash)> = Vec::new();
        for publish in self.publishes().rev() {
            let one = (publish.variant, publish.hash);
            if publish.stamp.size == stamp.size && !candidates.contains(&one) {
                candidates.push(one);
            }
        }
        if candidates.is_empty() {
            Content::Foreign
        } else {
            Content::OneOf(candidates)
        }
    }

    /// The newest publish of `variant`.
    pub fn newest_publish(&self, variant: &Variant) -> Option<&Publish> {
        self.publishes().rev().find(|p| p.variant == *variant)
    }

    /// Whether anything was published after `since` of the same log; true as well if that can't be told.
    pub fn published_since(&self, since: &Log) -> bool {
        if self.position.ino != since.position.ino
            || self.position.len < since.position.len
            || self.damaged
        {
            return self.position != since.position;
        }
        self.entries[since.entries.len().min(self.entries.len())..]
            .iter()
            .any(|e| matches!(e, Entry::Publish(_)))
    }

    /// Whether a living process may still ask for `variant`: one of those above the wrapper that claimed it, init aside.
    pub fn claimed_by_the_living(
        &self,
        variant: &Variant,
        here: u64,
        alive: &mut dyn FnMut(&Step) -> bool,
    ) -> bool {
        self.claims().rev().any(|c| {
            c.variant == *variant
                && (c.lineage.host != here
                    || c.lineage.steps.iter().any(|s| s.pid != 1 && alive(s)))
        })
    }
}

impl Entry {
    /// The variant it is about.
    pub fn variant(&self) -> Variant {
        match self {
            Entry::Publish(p) => p.variant,
            Entry::Claim(c) => c.variant,
        }
    }
}

/// Appends entries to the log, made if it isn't there. The caller holds the publish lock. A log that ends in half a line (a
/// full disk) is brought back to whole lines first; a write that fails half way is taken back.
pub fn append(path: &Path, entries: &[Entry]) -> io::Result<()> {
    let mut text = String::with_capacity(256 * entries.len());
    for entry in entries {
        write_line(&mut text, entry);
    }
    append_text(path, text.as_bytes())
}

/// Appends whole lines to a log.
pub fn append_text(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)?;
    let before = file.metadata()?.len();
    if before > 0 {
        use std::os::unix::fs::FileExt;
        let mut last = [0u8];
        file.read_exact_at(&mut last, before - 1)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    let start = file.metadata()?.len();
    file.write_all(text).inspect_err(|_| {
        let _ = file.set_len(start);
    })
}

/// A log longer than this (bytes) is worth a look whether it can be shortened.
const LONG: u64 = 64 * 1024;

/// Shortens a long log. The caller holds the publish lock exclusively. `keep` says whether a variant can still be had.
pub fn shorten(path: &Path, scratch: &Scratch, keep: &dyn Fn(&Variant) -> bool) -> io::Result<()> {
    let Ok(meta) = std::fs::metadata(path) else {
        return Ok(());
    };
    if meta.len() < LONG {
        return Ok(());
    }
    let log = Log::read(path)?;
    let mut known = std::collections::HashMap::new();
    let mut alive = |s: &Step| {
        *known
            .entry((s.pid, s.start))
            .or_insert_with(|| crate::lineage::alive(s.pid, s.start))
    };
    let (kept, lost_before) = needed(&log, keep, &mut alive);
    let mut text = String::new();
    if lost_before > 0 {
        let _ = write!(text, "L1 {lost_before:x}");
        let sum = sum(&text);
        let _ = writeln!(text, " {sum}");
    }
    for entry in &kept {
        write_line(&mut text, entry);
    }
    // Rewriting what can't be made much shorter, at every compile, would cost more than a long log.
    if text.len() as u64 * 2 > meta.len() {
        return Ok(());
    }
    let new = scratch.dir().join("claims");
    std::fs::write(&new, text)?;
    scratch::publish(&new, path)
}

/// The entries that can still matter, in their order: of each variant that can be had the newest publish and claim, and of
/// each living thread its newest claim of each variant. Also before when claims of living processes are missing then.
fn needed(
    log: &Log,
    keep: &dyn Fn(&Variant) -> bool,
    alive: &mut dyn FnMut(&Step) -> bool,
) -> (Vec<Entry>, u64) {
    let mut lost_before = log.lost_before;
    let mut seen_publish = std::collections::HashSet::new();
    let mut seen_claim = std::collections::HashSet::new();
    let mut seen_asker = std::collections::HashSet::new();
    let mut kept: Vec<Entry> = Vec::new();
    for entry in log.entries.iter().rev() {
        let wanted = match entry {
            Entry::Publish(p) => keep(&p.variant) && seen_publish.insert(p.variant),
            Entry::Claim(c) => {
                let asker = c.lineage.steps.iter().find(|s| alive(s)).copied();
                let of_asker = asker.is_some_and(|s| seen_asker.insert((s, c.variant)));
                let wanted = (keep(&c.variant) && seen_claim.insert(c.variant)) || of_asker;
                if !wanted && asker.is_some_and(|s| s.pid != 1) {
                    lost_before = lost_before.max(c.at);
                }
                wanted
            }
        };
        if wanted {
            kept.push(entry.clone());
        }
    }
    kept.reverse();
    (kept, lost_before)
}

/// The checksum that ends a line.
pub fn sum(line: &str) -> String {
    let hash = blake3::hash(line.as_bytes());
    hash.to_hex()[..16].to_owned()
}

/// A line without its checksum, if that is right.
pub fn checked(line: &str) -> Option<&str> {
    let (body, given) = line.rsplit_once(' ')?;
    (sum(body) == given).then_some(body)
}

fn write_line(text: &mut String, entry: &Entry) {
    let start = text.len();
    match entry {
        Entry::Publish(p) => {
            let hash = u128::from_be_bytes(p.hash);
            let Stamp {
                ino, size, mtime, ..
            } = p.stamp;
            let _ = write!(
                text,
                "P1 {} {} {ino:x} {size:x} {mtime:x} {hash:032x}",
                p.variant.short(),
                p.key.short()
            );
        }
        Entry::Claim(c) => {
            let Stamp {
                ino,
                size,
                mtime,
                ctime,
                ..
            } = c.stamp;
            let how = How::ALL
                .iter()
                .find(|(how, _)| *how == c.how)
                .map_or("c", |(_, letter)| letter);
            let settled = u8::from(c.settled);
            let (variant, key) = (c.variant.short(), c.key.short());
            let _ = write!(
                text,
                "C1 {variant} {key} {ino:x} {size:x} {mtime:x} {ctime:x} {how} {settled} {:x} ",
                c.at
            );
            write_lineage(text, &c.lineage);
        }
    }
    let sum = sum(&text[start..]);
    let _ = writeln!(text, " {sum}");
}

/// A lineage as it stands in a log.
pub fn write_lineage(text: &mut String, lineage: &Lineage) {
    let _ = write!(
        text,
        "{:x};{:x};{};",
        lineage.host,
        lineage.began,
        u8::from(lineage.beside != Beside::Nothing)
    );
    for (n, s) in lineage.steps.iter().enumerate() {
        let comma = if n == 0 { "" } else { "," };
        let _ = write!(
            text,
            "{comma}{:x}:{:x}:{:x}:{:x}",
            s.pid, s.start, s.thread, s.thread_start
        );
    }
}

enum Line {
    Entry(Entry),
    LostBefore(u64),
}

fn parse_line(line: &str) -> Option<Line> {
    let mut fields = checked(line)?.split(' ');
    match fields.next()? {
        "P1" => {
            let variant = Variant::from_short(fields.next()?)?;
            let key = Key::from_short(fields.next()?)?;
            let stamp = Stamp {
                ino: hex(fields.next())?,
                size: hex(fields.next())?,
                mtime: time(fields.next())?,
                ..Stamp::default()
            };
            let hash = u128::from_str_radix(fields.next()?, 16).ok()?.to_be_bytes();
            Some(Line::Entry(Entry::Publish(Publish {
                variant,
                key,
                stamp,
                hash,
            })))
        }
        "L1" => Some(Line::LostBefore(hex(fields.next())?)),
        "C1" => {
            let variant = Variant::from_short(fields.next()?)?;
            let key = Key::from_short(fields.next()?)?;
            let stamp = Stamp {
                dev: 0,
                ino: hex(fields.next())?,
                size: hex(fields.next())?,
                mtime: time(fields.next())?,
                ctime: time(fields.next())?,
            };
            let letter = fields.next()?;
            let how = How::ALL.iter().find(|(_, l)| *l == letter)?.0;
            let settled = fields.next()? == "1";
            let at = hex(fields.next())?;
            let lineage = parse_lineage(fields.next()?)?;
            Some(Line::Entry(Entry::Claim(Claim {
                variant,
                key,
                stamp,
                how,
                settled,
                at,
                lineage,
            })))
        }
        _ => None,
    }
}

/// Reads what [`write_lineage`] wrote.
pub fn parse_lineage(text: &str) -> Option<Lineage> {
    let mut parts = text.split(';');
    let host = hex(parts.next())?;
    let began = hex(parts.next())?;
    let beside = match parts.next()? {
        "0" => Beside::Nothing,
        _ => Beside::Others,
    };
    let mut steps = Vec::new();
    for step in parts.next()?.split(',').filter(|s| !s.is_empty()) {
        let mut f = step.split(':');
        let pid = u32::try_from(hex(f.next())?).ok()?;
        let start = hex(f.next())?;
        let thread = u32::try_from(hex(f.next())?).ok()?;
        let thread_start = hex(f.next())?;
        steps.push(Step {
            pid,
            start,
            thread,
            thread_start,
        });
    }
    Some(Lineage {
        host,
        began,
        beside,
        steps,
    })
}

fn hex(field: Option<&str>) -> Option<u64> {
    u64::from_str_radix(field?, 16).ok()
}

/// A time: `{:x}` of a negative i64 prints its two's complement.
fn time(field: Option<&str>) -> Option<i64> {
    hex(field).map(|t| t as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lineage(pid: u32) -> Lineage {
        let step = Step {
            pid,
            start: 5,
            thread: pid + 1,
            thread_start: 6,
        };
        Lineage {
            host: 1,
            began: 2,
            beside: Beside::Nothing,
            steps: vec![step],
        }
    }

    fn sample() -> Vec<Entry> {
        let stamp = Stamp {
            dev: 0,
            ino: 7,
            size: 100,
            mtime: -3,
            ctime: 9,
        };
        let (variant, key) = (Variant([1; 16]), Key([2; 16]));
        vec![
            Entry::Publish(Publish {
                variant,
                key,
                stamp: Stamp { ctime: 0, ..stamp },
                hash: [0xab; 16],
            }),
            Entry::Claim(Claim {
                variant,
                key,
                stamp,
                how: How::Skipped,
                settled: true,
                at: 77,
                lineage: lineage(10),
            }),
        ]
    }

    fn text(entries: &[Entry]) -> String {
        let mut text = String::new();
        entries.iter().for_each(|e| write_line(&mut text, e));
        text
    }

    #[test]
    fn what_is_written_is_read() {
        let log = Log::parse(text(&sample()).as_bytes());
        assert_eq!(log.entries, sample());
        assert!(!log.damaged);
        assert_eq!(log.only_variant(), Some(Variant([1; 16])));
    }

    #[test]
    fn any_flipped_byte_or_truncation_is_noticed() {
        let whole = text(&sample()).into_bytes();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            let log = Log::parse(&flipped);
            assert!(log.damaged, "byte {at}");
            assert!(
                log.entries.iter().all(|e| sample().contains(e)),
                "byte {at}"
            );
            let cut = Log::parse(&whole[..at]);
            let line_end = at == 0 || whole[at - 1] == b'\n';
            assert_eq!(cut.damaged, !line_end, "length {at}");
        }
    }

    #[test]
    fn a_file_is_known_by_its_stamp_or_else_by_its_hash() {
        let log = Log::parse(text(&sample()).as_bytes());
        let stamp = Stamp {
            dev: 3,
            ino: 7,
            size: 100,
            mtime: -3,
            ctime: 9,
        };
        assert_eq!(log.content(&stamp), Content::Is(Variant([1; 16])));
        let touched = Stamp { ctime: 10, ..stamp };
        assert_eq!(
            log.content(&touched),
            Content::OneOf(vec![(Variant([1; 16]), [0xab; 16])])
        );
        assert_eq!(log.content(&Stamp { size: 99, ..stamp }), Content::Foreign);
    }

    #[test]
    fn shortening_keeps_what_can_be_asked_for() {
        let mut entries = Vec::new();
        for n in 0..6u8 {
            for mut e in sample() {
                match &mut e {
                    Entry::Publish(p) => p.variant = Variant([n % 3; 16]),
                    Entry::Claim(c) => {
                        c.variant = Variant([n % 3; 16]);
                        c.lineage = lineage(if n < 3 { 10 } else { 20 });
                    }
                }
                entries.push(e);
            }
        }
        let log = Log {
            entries,
            ..Log::default()
        };
        let (nobody, _) = needed(&log, &|_| true, &mut |_| false);
        assert_eq!(
            nobody.len(),
            6,
            "newest publish and claim of each of three variants"
        );
        let (living, lost_before) = needed(&log, &|v| *v == Variant([0; 16]), &mut |s| s.pid == 10);
        // Variant 0: publish and newest claim; the living asker 10: its claims of 0, 1 and 2.
        assert_eq!(living.len(), 5);
        assert_eq!(lost_before, 0, "each asker has one claim of each variant");
    }
}
