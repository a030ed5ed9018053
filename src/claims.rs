//! The claims of one object: what was published at its path, and which lineage asked for which variant.
//!
//! # Format
//!
//! A log of lines, appended under the publish lock. Fields are separated by one blank, numbers are hexadecimal, the last field
//! is a checksum: the first 8 bytes of the BLAKE3 hash of what stands before its blank.
//!
//! ```text
//! P1 <variant> <key> <ino> <size> <mtime> <content hash> <sum>
//! W1 <at> <sum>
//! L1 <at> <sum>
//! D1 <host> <at> <sum>
//! C1 <variant> <key> <ino> <size> <mtime> <ctime> <how> <settled> <at> <lineage> <sum>
//! ```
//!
//! `P` says what is about to be renamed to the path: it is written before the rename, so that after a kill between the two the
//! file at the path is still known by its content. `C` is written when a compile returns 0, with the stamp of the path.
//! `<how>` is `c` (compiled), `s` (skipped) or `r` (skipped, and published again); `<settled>` is 1 if the stamp's `ctime` was
//! old enough by then for any later change to show in it. `<at>` is CLOCK_BOOTTIME in ns; `<lineage>` is `<host>;<began>;<beside>;<pid>:<start>:<thread>:<thread start>,…`.
//! `W` says that a command writes to the path itself from here on, until the next `P`: what is there may be half an object.
//!
//! A line of another version, or with a wrong sum, is passed over, and the log counts as damaged: what it says is true, but
//! it may not be all ([`Lost`]). The next compile rewrites it, with a `D` where lines were lost, all of them before `<at>` by the
//! clock of `<host>`.
//!
//! `L` says that claims of living processes from before `<at>` may be missing, but of each living thread's claims of a variant
//! only the older ones.
//!
//! The log is rewritten (to scratch, renamed) when it is long: what no living process can ask for goes, but the newest claim
//! of each variant stays.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use crate::inputs::read_some;
use crate::lineage::{Beside, Lineage, Step};
use crate::request::{self, Key, Variant};
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
    /// `W`: a command writes to the path itself since then (ns of CLOCK_BOOTTIME).
    InPlace(u64),
    /// `C`
    Claim(Claim),
}

/// A place in a log where lines were lost, of which nothing is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lost {
    /// How many of the entries come before it.
    pub entries: usize,
    /// By whose clock `at` is; 0: not known.
    pub host: u64,
    /// All that was lost had been written before this time, ns of CLOCK_BOOTTIME.
    pub at: u64,
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
    /// Some lines could not be read.
    pub damaged: bool,
    /// The last place where lines were lost, now or before the log was rewritten.
    pub lost: Option<Lost>,
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
        let meta = file.metadata()?;
        let ino = meta.ino();
        // One byte more than there is, and less comes: that is the end, and one call for each of a thousand objects less.
        let mut text = vec![0; meta.len() as usize + 1];
        let mut filled = read_some(&mut file, &mut text)?;
        if filled as u64 != meta.len() {
            text.truncate(filled);
            filled += file.read_to_end(&mut text)?;
        }
        text.truncate(filled);
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
            match parse_line(line) {
                Some(Line::Entry(entry)) => log.entries.push(entry),
                Some(Line::LostBefore(at)) => log.lost_before = log.lost_before.max(at),
                Some(Line::Damaged { host, at }) => {
                    let entries = log.entries.len();
                    log.lost = Some(Lost { entries, host, at });
                }
                None => log.damage(),
            }
        }
        if !text.is_empty() && text.last() != Some(&b'\n') {
            log.damage();
        }
        log
    }

    fn damage(&mut self) {
        self.damaged = true;
        self.lost = Some(Lost {
            entries: self.entries.len(),
            host: 0,
            at: u64::MAX,
        });
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
            Entry::Publish(_) | Entry::InPlace(_) => None,
        })
    }

    /// The last loss, with the number of claims before it in place of that of the entries.
    pub fn lost_among_claims(&self) -> Option<Lost> {
        let lost = self.lost?;
        let before = &self.entries[..lost.entries];
        let claims = before.iter().filter(|e| matches!(e, Entry::Claim(_)));
        Some(Lost {
            entries: claims.count(),
            ..lost
        })
    }

    /// The publishes, oldest first.
    pub fn publishes(&self) -> impl DoubleEndedIterator<Item = &Publish> {
        self.entries.iter().filter_map(|e| match e {
            Entry::Publish(p) => Some(p),
            Entry::Claim(_) | Entry::InPlace(_) => None,
        })
    }

    /// The one variant that the log knows, if it is only one and at the path for all that is known.
    pub fn only_variant(&self) -> Option<Variant> {
        let mut all = self.entries.iter().filter_map(Entry::variant);
        let first = all.next()?;
        (all.all(|v| v == first) && !self.in_place()).then_some(first)
    }

    /// Whether the last that came to the path, or is about to, is what a command writes there itself.
    pub fn in_place(&self) -> bool {
        let last = self.entries.iter().rev();
        let mut last = last.filter(|e| !matches!(e, Entry::Claim(_)));
        matches!(last.next(), Some(Entry::InPlace(_)))
    }

    /// Whether a file that none of the entries knows may still be ours: it is being written, or the line that told of it is lost.
    pub fn in_doubt(&self) -> bool {
        let told = |lost: Lost| {
            self.entries[lost.entries..]
                .iter()
                .any(|e| matches!(e, Entry::Claim(_)))
        };
        self.in_place() || self.lost.is_some_and(|lost| !told(lost))
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
            .any(|e| !matches!(e, Entry::Claim(_)))
    }

    /// The variants that somebody living may still ask for: of each living thread the one that it, or what is below it, claimed
    /// last; and of each request that a living process claimed the newest, for whoever compiles in a pool. Init aside, and whatever
    /// another host claims is claimed by the living.
    pub fn asked_for(
        &self,
        here: u64,
        alive: &dyn Fn(&Step) -> bool,
        thread_alive: &dyn Fn(&Step) -> bool,
    ) -> HashSet<Variant> {
        let mut asked = HashSet::new();
        let mut later: HashSet<&Step> = HashSet::new();
        let mut requests = HashSet::new();
        for claim in self.claims().rev() {
            if claim.lineage.host != here {
                asked.insert(claim.variant);
                continue;
            }
            let newest = requests.insert(claim.key);
            for step in claim.lineage.steps.iter().filter(|s| s.pid != 1) {
                let last = later.insert(step);
                if (newest || last) && alive(step) && (newest || thread_alive(step)) {
                    asked.insert(claim.variant);
                }
            }
        }
        asked
    }
}

impl Entry {
    /// The variant it is about.
    pub fn variant(&self) -> Option<Variant> {
        match self {
            Entry::Publish(p) => Some(p.variant),
            Entry::Claim(c) => Some(c.variant),
            Entry::InPlace(_) => None,
        }
    }
}

/// Appends entries to the log, made if it isn't there. The caller holds the publish lock. A log that ends in half a line (a
/// full disk) is brought back to whole lines first; a write that fails half way is taken back.
pub fn append(path: &Path, entries: &[Entry]) -> io::Result<()> {
    append_text(path, text(entries).as_bytes())
}

/// The lines that say `entries`.
pub fn text(entries: &[Entry]) -> String {
    let mut text = String::with_capacity(256 * entries.len());
    for entry in entries {
        write_line(&mut text, entry);
    }
    text
}

/// Appends whole lines to a log. One that has several names, because somebody made a copy of the tree of hard links
/// (gentoo-python, 2012-11-29), gets a file of its own: what is published here isn't so there.
pub fn append_text(path: &Path, text: &[u8]) -> io::Result<()> {
    let open = || {
        OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(path)
    };
    let mut file = open()?;
    let mut meta = file.metadata()?;
    if meta.nlink() > 1 {
        let mut whole = Vec::new();
        file.read_to_end(&mut whole)?;
        scratch::write_atomically(path, &whole, 0o600)?;
        file = open()?;
        meta = file.metadata()?;
    }
    let mut start = meta.len();
    if start > 0 {
        use std::os::unix::fs::FileExt;
        let mut last = [0u8];
        file.read_exact_at(&mut last, start - 1)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
            start += 1;
        }
    }
    file.write_all(text).inspect_err(|_| {
        let _ = file.set_len(start);
    })
}

/// A log longer than this (bytes) is worth a look whether it can be shortened.
const LONG: u64 = 64 * 1024;

/// A skip looks only after so many entries whether a long log can be shortened: it may be that it can't.
const LOOKS: usize = 64;

impl Log {
    /// Whether it is time to look whether the log can be shortened.
    pub fn grows_long(&self) -> bool {
        self.position.len >= LONG && self.entries.len().is_multiple_of(LOOKS)
    }
}

/// Shortens a long log, and rewrites a damaged one. The caller holds the publish lock exclusively, and `log` is what stands
/// at `path`. `keep` says whether a variant can still be had, `host` whose clock [`crate::lineage::boottime_ns`] is.
pub fn shorten(
    path: &Path,
    log: &Log,
    scratch: &Scratch,
    host: u64,
    keep: &dyn Fn(&Variant) -> bool,
) -> io::Result<()> {
    let Ok(meta) = std::fs::metadata(path) else {
        return Ok(());
    };
    // Another host's time, or that of another boot, tells nothing here: the present one is later.
    let heal = log.lost.is_some_and(|lost| lost.host != host);
    if meta.len() < LONG && !heal {
        return Ok(());
    }
    let mut known = std::collections::HashMap::new();
    let mut alive = |s: &Step| {
        *known
            .entry((s.pid, s.start))
            .or_insert_with(|| crate::lineage::alive(s.pid, s.start))
    };
    let (kept, lost_before) = needed(log, keep, &mut alive);
    let mut text = String::new();
    if lost_before > 0 {
        seal(&mut text, format!("L1 {lost_before:x}"));
    }
    let mut lost = log.lost;
    for n in kept {
        if lost.is_some_and(|lost| lost.entries <= n) {
            write_lost(&mut text, lost.take(), host);
        }
        write_line(&mut text, &log.entries[n]);
    }
    write_lost(&mut text, lost, host);
    // Rewriting what can't be made much shorter, at every compile, would cost more than a long log.
    if text.len() as u64 * 2 > meta.len() && !heal {
        return Ok(());
    }
    let new = scratch.own("claims");
    std::fs::write(&new, text)?;
    scratch::publish(&new, path)
}

fn write_lost(text: &mut String, lost: Option<Lost>, host: u64) {
    if let Some(lost) = lost {
        let at = if lost.host == host {
            lost.at
        } else {
            crate::lineage::boottime_ns()
        };
        seal(text, format!("D1 {host:x} {at:x}"));
    }
}

/// Ends a line with its sum.
fn seal(text: &mut String, line: String) {
    let _ = writeln!(text, "{line} {}", sum(&line));
}

/// The entries that can still matter, by their places: of each variant that can be had the newest publish and claim, and of
/// each living thread its newest claim of each variant. Also before when claims of living processes are missing then.
fn needed(
    log: &Log,
    keep: &dyn Fn(&Variant) -> bool,
    alive: &mut dyn FnMut(&Step) -> bool,
) -> (Vec<usize>, u64) {
    let mut lost_before = log.lost_before;
    let mut seen_publish = HashSet::new();
    let mut seen_claim = HashSet::new();
    let mut seen_asker = HashSet::new();
    let mut in_place = log.in_place();
    let mut kept: Vec<usize> = Vec::new();
    for (n, entry) in log.entries.iter().enumerate().rev() {
        let wanted = match entry {
            Entry::Publish(p) => keep(&p.variant) && seen_publish.insert(p.variant),
            Entry::InPlace(_) => std::mem::take(&mut in_place),
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
            kept.push(n);
        }
    }
    kept.reverse();
    (kept, lost_before)
}

/// The checksum that ends a line.
pub fn sum(line: &str) -> String {
    format!("{:016x}", sum_number(line.as_bytes()))
}

fn sum_number(line: &[u8]) -> u64 {
    let hash = blake3::hash(line);
    u64::from_be_bytes(hash.as_bytes()[..8].try_into().expect("8 of 32 bytes"))
}

/// A line without its checksum, if that is right.
pub fn checked(line: &[u8]) -> Option<&[u8]> {
    let blank = line.len().checked_sub(17)?;
    let (body, given) = (&line[..blank], line[blank..].strip_prefix(b" ")?);
    (hex(given)? == sum_number(body)).then_some(body)
}

fn write_line(text: &mut String, entry: &Entry) {
    let start = text.len();
    match entry {
        Entry::InPlace(at) => {
            let _ = write!(text, "W1 {at:x}");
        }
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
    Damaged { host: u64, at: u64 },
}

fn parse_line(line: &[u8]) -> Option<Line> {
    let mut fields = checked(line)?.split(|b| *b == b' ');
    match fields.next()? {
        b"P1" => {
            let variant = Variant::from_short(fields.next()?)?;
            let key = Key::from_short(fields.next()?)?;
            let stamp = Stamp {
                ino: hex(fields.next()?)?,
                size: hex(fields.next()?)?,
                mtime: time(fields.next()?)?,
                ..Stamp::default()
            };
            let hash = request::from_hex(fields.next()?)?;
            Some(Line::Entry(Entry::Publish(Publish {
                variant,
                key,
                stamp,
                hash,
            })))
        }
        b"W1" => Some(Line::Entry(Entry::InPlace(hex(fields.next()?)?))),
        b"L1" => Some(Line::LostBefore(hex(fields.next()?)?)),
        b"D1" => Some(Line::Damaged {
            host: hex(fields.next()?)?,
            at: hex(fields.next()?)?,
        }),
        b"C1" => {
            let variant = Variant::from_short(fields.next()?)?;
            let key = Key::from_short(fields.next()?)?;
            let stamp = Stamp {
                dev: 0,
                ino: hex(fields.next()?)?,
                size: hex(fields.next()?)?,
                mtime: time(fields.next()?)?,
                ctime: time(fields.next()?)?,
            };
            let letter = fields.next()?;
            let how = How::ALL.iter().find(|(_, l)| l.as_bytes() == letter)?.0;
            let settled = fields.next()? == b"1";
            let at = hex(fields.next()?)?;
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
pub fn parse_lineage(text: &[u8]) -> Option<Lineage> {
    let mut parts = text.split(|b| *b == b';');
    let host = hex(parts.next()?)?;
    let began = hex(parts.next()?)?;
    let beside = match parts.next()? {
        b"0" => Beside::Nothing,
        _ => Beside::Others,
    };
    let mut steps = Vec::new();
    let each = parts.next()?.split(|b| *b == b',');
    for step in each.filter(|s| !s.is_empty()) {
        let mut f = step.split(|b| *b == b':');
        let pid = u32::try_from(hex(f.next()?)?).ok()?;
        let start = hex(f.next()?)?;
        let thread = u32::try_from(hex(f.next()?)?).ok()?;
        let thread_start = hex(f.next()?)?;
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

/// Reads a number as it is written here: lower-case digits only.
fn hex(digits: &[u8]) -> Option<u64> {
    request::hex_number(digits)
}

/// A time: `{:x}` of a negative i64 prints its two's complement.
fn time(digits: &[u8]) -> Option<i64> {
    hex(digits).map(|t| t as i64)
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
    fn a_hard_linked_copy_of_the_log_is_left_alone() {
        let dir = std::env::temp_dir().join(format!("objguard-claims-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (log, copy) = (dir.join("claims"), dir.join("copy"));
        append(&log, &sample()).unwrap();
        std::fs::hard_link(&log, &copy).unwrap();
        append(&log, &sample()).unwrap();
        append(&log, &sample()).unwrap();
        assert_eq!(Log::read(&log).unwrap().entries.len(), 6);
        assert_eq!(Log::read(&copy).unwrap().entries, sample());
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn shortening_keeps_what_can_be_asked_for() {
        let mut entries = Vec::new();
        for n in 0..6u8 {
            for mut e in sample() {
                match &mut e {
                    Entry::InPlace(_) => {}
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

    fn folder(name: &str) -> std::path::PathBuf {
        let id = std::process::id();
        let dir = std::env::temp_dir().join(format!("objguard-claims-{name}-{id}"));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn a_rewritten_log_remembers_where_lines_were_lost() {
        let dir = folder("lost");
        let path = dir.join("claims");
        let mut broken = text(&sample()).replacen("C1", "C3", 1);
        broken.push_str(&text(&sample()));
        std::fs::write(&path, &broken).unwrap();
        let log = Log::read(&path).unwrap();
        let lost = log.lost.unwrap();
        assert_eq!((lost.entries, lost.host, lost.at), (1, 0, u64::MAX));
        assert_eq!(log.lost_among_claims().unwrap().entries, 0);
        let scratch = Scratch::beside(&dir).unwrap();
        let before = crate::lineage::boottime_ns();
        shorten(&path, &log, &scratch, 1, &|_| true).unwrap();
        let healed = Log::read(&path).unwrap();
        assert_eq!(healed.entries, sample(), "the first publish is shadowed");
        let lost = healed.lost.unwrap();
        assert!(!healed.damaged && lost.entries == 0 && lost.host == 1);
        assert!(lost.at >= before);
        let at = |path| Log::read(path).unwrap().lost.unwrap().at;
        let first = at(&path);
        shorten(&path, &healed, &scratch, 1, &|_| true).unwrap();
        assert_eq!(at(&path), first, "there is nothing to do");
        shorten(&path, &healed, &scratch, 2, &|_| true).unwrap();
        assert!(at(&path) > first, "another host's clock tells nothing");
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn what_is_written_in_place_is_in_doubt_until_it_is_published() {
        let entry = Entry::InPlace(5);
        let mut log = Log::parse(text(std::slice::from_ref(&entry)).as_bytes());
        assert_eq!(log.entries, std::slice::from_ref(&entry));
        assert!(log.in_place() && log.in_doubt());
        log.entries.extend(sample());
        assert!(!log.in_place() && !log.in_doubt());
        assert_eq!(log.only_variant(), Some(Variant([1; 16])));
        log.entries.push(entry);
        assert!(log.in_place());
        assert_eq!(log.only_variant(), None, "the path may hold anything");
        let (kept, _) = needed(&log, &|_| true, &mut |_| true);
        assert_eq!(kept, [1, 2, 3], "the old mark is of no use");
    }

    #[test]
    fn an_unreadable_claim_after_a_loss_leaves_no_doubt_about_the_path() {
        let mut broken = text(&sample()).replacen("P1", "P2", 1);
        let log = Log::parse(broken.as_bytes());
        assert!(
            log.lost.is_some() && !log.in_doubt(),
            "a claim says what came there"
        );
        broken.push_str("half a li");
        assert!(Log::parse(broken.as_bytes()).in_doubt());
    }

    #[test]
    fn what_somebody_living_may_still_ask_for() {
        let claims = |list: &[(u8, u8, u32)]| {
            let entries = list.iter().map(|(variant, key, thread)| {
                let Entry::Claim(mut c) = sample().remove(1) else {
                    unreachable!()
                };
                (c.variant, c.key) = (Variant([*variant; 16]), Key([*key; 16]));
                c.lineage.steps[0].thread = *thread;
                Entry::Claim(c)
            });
            Log {
                entries: entries.collect(),
                ..Log::default()
            }
        };
        let asked = |log: &Log, alive: bool, threads: &dyn Fn(&Step) -> bool| {
            let mut all: Vec<u8> = log
                .asked_for(1, &|_| alive, threads)
                .iter()
                .map(|v| v.0[0])
                .collect();
            all.sort_unstable();
            all
        };
        // One thread, one request, three contents of a header: only the last counts.
        let one = claims(&[(1, 1, 11), (2, 1, 11), (3, 1, 11)]);
        assert_eq!(asked(&one, true, &|_| true), [3]);
        assert_eq!(asked(&one, false, &|_| true), [0; 0]);
        // Two threads: each its last, as long as it lives; the newest of the request also for a pool.
        let two = claims(&[(1, 1, 11), (2, 1, 12)]);
        assert_eq!(asked(&two, true, &|_| true), [1, 2]);
        assert_eq!(asked(&two, true, &|s| s.thread == 12), [2]);
        // Two requests of one thread: it may link the first one's object with others that its pool compiles.
        let requests = claims(&[(1, 1, 11), (2, 2, 11)]);
        assert_eq!(asked(&requests, true, &|_| true), [1, 2]);
        assert_eq!(
            requests.asked_for(7, &|_| false, &|_| false).len(),
            2,
            "another host's"
        );
    }
}
