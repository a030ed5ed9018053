//! One object under its publish lock: what is at the path, what is kept, and the steps that change either.
//!
//! Whoever has a [`Held`] holds the lock, so only its holder can publish and claim. The order within [`Held::publish`] is what
//! makes a kill at any instant harmless: the variant at the path is kept, the log says what is coming, then comes the rename.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::claims::{self, Claim, Content, ContentHash, Entry, How, Log, Publish};
use crate::inputs;
use crate::lineage::{self, Lineage, Step};
use crate::lock::{self, Lock, Mode};
use crate::request::{Key, Variant};
use crate::scratch::{self, Scratch};
use crate::stamp::{Stamp, may_exist};
use crate::state::ObjectState;

/// At most this many variants that nothing living asks for are kept.
const KEPT_VARIANTS: usize = 32;

/// A folder of an object's state with more entries than this is looked through for what is no longer of use.
const MANY_ENTRIES: usize = 160;

/// A stamp this much younger than now (ns) may hide a further change: the coarsest file-system clock in use (FAT) ticks every
/// two seconds.
const UNSETTLED: i64 = 2_000_000_000;

/// An object under its publish lock.
pub struct Held<'a> {
    state: &'a ObjectState,
    path: &'a Path,
    log: Log,
    _lock: Lock,
}

/// A variant and how to know its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Which.
    pub variant: Variant,
    /// Its request.
    pub key: Key,
    /// Its size, bytes.
    pub size: u64,
    /// Its content.
    pub hash: ContentHash,
}

impl<'a> Held<'a> {
    /// Takes the publish lock of the object at `path` and reads its claims.
    pub fn take(state: &'a ObjectState, path: &'a Path) -> io::Result<Held<'a>> {
        let lock = match lock::acquire(&state.publish_lock(), Mode::Exclusive) {
            // `objguard clean` took the folder away a moment ago.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                state.create()?;
                lock::acquire(&state.publish_lock(), Mode::Exclusive)?
            }
            other => other?,
        };
        let log = Log::read(&state.claims())?;
        Ok(Held {
            state,
            path,
            log,
            _lock: lock,
        })
    }

    /// The claims as they were when the lock was taken, and what this holder added.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Whether the path holds the variant: by its stamp if that is known, else by its content.
    pub fn path_holds(&self, wanted: &Wanted) -> bool {
        match fs::symlink_metadata(self.path) {
            Ok(meta) if meta.is_file() => {
                let stamp = Stamp::from(&meta);
                stamp.size == wanted.size
                    && (self.log.content(&stamp) == Content::Is(wanted.variant)
                        || inputs::hash_file(self.path).is_ok_and(|h| h == wanted.hash))
            }
            _ => false,
        }
    }

    /// The file that keeps the variant, if one does.
    pub fn kept(&self, wanted: &Wanted) -> Option<PathBuf> {
        let kept = self.state.kept(&wanted.variant);
        let meta = fs::symlink_metadata(&kept).ok()?;
        let good = meta.is_file()
            && meta.size() == wanted.size
            && inputs::hash_file(&kept).is_ok_and(|h| h == wanted.hash);
        good.then_some(kept)
    }

    /// Which of the published variants the path holds.
    pub fn current(&self) -> io::Result<Option<Variant>> {
        match fs::symlink_metadata(self.path) {
            Ok(meta) if meta.is_file() => content_of(&self.log, self.path, &Stamp::from(&meta)),
            Ok(_) => Ok(None),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Makes the file `from` the content of the path.
    pub fn publish(&mut self, from: &Path, wanted: &Wanted) -> io::Result<()> {
        self.keep_current(Some(wanted))?;
        let stamp = Stamp::from(&fs::symlink_metadata(from)?);
        let publish = Publish {
            variant: wanted.variant,
            key: wanted.key,
            stamp,
            hash: wanted.hash,
        };
        self.append(Entry::Publish(publish))?;
        scratch::publish(from, self.path)
    }

    /// Makes the variant that `kept` holds the content of the path again; its time is now.
    pub fn publish_again(
        &mut self,
        kept: &Path,
        wanted: &Wanted,
        scratch: &Scratch,
    ) -> io::Result<()> {
        let again = scratch.path(self.state.name());
        link_or_copy(kept, &again)?;
        scratch::utimens(&again, None)?;
        self.publish(&again, wanted)
    }

    /// Lets a command write to the path itself. What is there is kept; the file at the path is no longer one with a kept file
    /// or with what a link reads, which would change under it; and the log says that what is there may be half an object.
    pub fn open_path(&mut self, scratch: &Scratch) -> io::Result<()> {
        self.keep_current(None)?;
        match fs::symlink_metadata(self.path) {
            Ok(meta) if meta.is_file() && meta.nlink() > 1 => {
                let alone = scratch.own("alone");
                fs::copy(self.path, &alone)?;
                scratch::utimens(&alone, Some(Stamp::from(&meta).mtime))?;
                scratch::publish(&alone, self.path)?;
            }
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        self.append(Entry::InPlace(lineage::boottime_ns()))
    }

    /// The command that wrote to the path is done, and what it left there is one of the variants known.
    pub fn close_path(&mut self) -> io::Result<()> {
        if self.log.in_place()
            && let Some(variant) = self.current()?
            && let Some(newest) = self.log.newest_publish(&variant).cloned()
        {
            self.append(Entry::Publish(newest))?;
        }
        Ok(())
    }

    /// Writes down a variant that the compiler itself wrote to the path.
    pub fn adopt(&mut self, wanted: &Wanted) -> io::Result<()> {
        let stamp = Stamp::from(&fs::symlink_metadata(self.path)?);
        self.append(Entry::Publish(Publish {
            variant: wanted.variant,
            key: wanted.key,
            stamp,
            hash: wanted.hash,
        }))
    }

    /// Claims what is at the path now for `lineage`.
    pub fn claim(&mut self, wanted: &Wanted, how: How, lineage: &Lineage) -> io::Result<()> {
        let stamp = Stamp::from(&fs::symlink_metadata(self.path)?);
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_nanos() as i64);
        let claim = Claim {
            variant: wanted.variant,
            key: wanted.key,
            stamp,
            how,
            settled: now - stamp.ctime > UNSETTLED,
            at: lineage::boottime_ns(),
            lineage: lineage.clone(),
        };
        self.append(Entry::Claim(claim))
    }

    fn append(&mut self, entry: Entry) -> io::Result<()> {
        let claims = self.state.claims();
        claims::append(&claims, std::slice::from_ref(&entry)).map_err(at(&claims))?;
        self.log.entries.push(entry);
        Ok(())
    }

    /// Keeps the variant at the path under its own name, if it is ours and somebody may still ask for it: another request's,
    /// or one that something living claims. `None`: whatever comes, keep it.
    pub fn keep_current(&self, coming: Option<&Wanted>) -> io::Result<()> {
        if let Some(coming) = coming
            && self.log.lost.is_none()
            && self.log.entries.is_empty() | (self.log.only_variant() == Some(coming.variant))
        {
            return Ok(());
        }
        let Some(variant) = self.current()? else {
            return Ok(());
        };
        if coming.is_some_and(|c| c.variant == variant || !self.worth_keeping(&variant, c)) {
            return Ok(());
        }
        let kept = self.state.kept(&variant);
        self.keep_as(&variant, &kept).map_err(at(&kept))
    }

    fn keep_as(&self, variant: &Variant, kept: &Path) -> io::Result<()> {
        if let (Ok(a), Ok(b)) = (fs::symlink_metadata(kept), fs::symlink_metadata(self.path)) {
            if a.ino() == b.ino() {
                return Ok(());
            }
            fs::remove_file(kept)?;
        }
        match fs::create_dir(self.state.kept_folder(variant)) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
        link_or_copy(self.path, kept)
    }

    fn worth_keeping(&self, variant: &Variant, coming: &Wanted) -> bool {
        let key = self.log.newest_publish(variant).map(|p| p.key);
        key != Some(coming.key) || self.asked_for().contains(variant)
    }

    /// The variants that somebody living may still ask for.
    fn asked_for(&self) -> HashSet<Variant> {
        let known = RefCell::new(HashMap::new());
        let alive = |s: &Step| {
            let mut known = known.borrow_mut();
            let life = known.entry((s.pid, s.start));
            *life.or_insert_with(|| lineage::alive(s.pid, s.start))
        };
        self.log
            .asked_for(self.host(), &alive, &lineage::thread_alive)
    }

    /// This host, as the last claim tells; 0 if there is none.
    fn host(&self) -> u64 {
        self.log.claims().last().map_or(0, |c| c.lineage.host)
    }

    /// Removes what nobody can ask for: kept variants that a newer one of the same request replaced, and the oldest of too
    /// many; records without a variant; a log grown long. `current` is at the path.
    pub fn tidy(&self, current: Variant, scratch: &Scratch) {
        let keep = |v: &Variant| current == *v || may_exist(&self.state.kept(v));
        let _ = claims::shorten(&self.state.claims(), &self.log, scratch, self.host(), &keep);
        if self.log.only_variant().is_some() {
            return;
        }
        let Ok(entries) = fs::read_dir(self.state.path()) else {
            return;
        };
        let names: Vec<String> = entries
            .flatten()
            .filter_map(|e| e.file_name().into_string().ok())
            .collect();
        let kept: Vec<Variant> = names
            .iter()
            .filter_map(|n| Variant::from_short(n.strip_prefix("v-")?))
            .collect();
        let newest_of_key = |v: &Variant| {
            let key = self.log.newest_publish(v)?.key;
            self.log
                .publishes()
                .rev()
                .find(|p| p.key == key)
                .map(|p| p.variant)
        };
        let last_use = |v: &Variant| {
            self.log
                .entries
                .iter()
                .rposition(|e| e.variant() == Some(*v))
        };
        let asked = self.asked_for();
        let mut idle: Vec<Variant> = kept.into_iter().filter(|v| !asked.contains(v)).collect();
        idle.sort_by_key(|v| std::cmp::Reverse(last_use(v)));
        for (n, variant) in idle.iter().enumerate() {
            if n >= KEPT_VARIANTS || newest_of_key(variant) != Some(*variant) {
                scratch::remove_folder(&self.state.kept_folder(variant));
            }
        }
        if names.len() > MANY_ENTRIES {
            self.remove_idle_records(&names, current);
        }
    }

    /// Removes records whose variant is neither at the path nor kept, and flight locks that nobody holds.
    fn remove_idle_records(&self, names: &[String], current: Variant) {
        let newest = |key: &Key| {
            self.log
                .publishes()
                .rev()
                .find(|p| p.key == *key)
                .map(|p| p.variant)
        };
        for name in names {
            let path = self.state.path().join(name);
            if let Some(key) = name.strip_suffix(".record").and_then(Key::from_short) {
                let there =
                    newest(&key).is_some_and(|v| v == current || may_exist(&self.state.kept(&v)));
                let in_flight = may_exist(&self.state.flight_lock(&key));
                if !there && !in_flight {
                    let _ = fs::remove_file(path);
                }
            } else if name.ends_with(".flight")
                && let Ok(Some(lock)) = lock::try_acquire(&path)
            {
                lock.remove();
            }
        }
    }
}

/// Says of which file of the state an error speaks: the caller names the object.
fn at(path: &Path) -> impl FnOnce(io::Error) -> io::Error {
    move |e| io::Error::new(e.kind(), format!("`{}`: {e}", path.display()))
}

/// Which published variant the file at `path` with this stamp holds.
///
/// # Errors
/// It can't be read: what it holds isn't known, which is not the same as being nothing of ours.
pub fn content_of(log: &Log, path: &Path, stamp: &Stamp) -> io::Result<Option<Variant>> {
    match log.content(stamp) {
        Content::Is(variant) => Ok(Some(variant)),
        Content::Foreign => Ok(None),
        Content::OneOf(candidates) => {
            let hash = inputs::hash_file(path)?;
            let same = candidates.iter().find(|(_, h)| *h == hash);
            Ok(same.map(|(v, _)| *v))
        }
    }
}

/// A second name for a file; a copy where the file system has no hard links, or no more of them.
pub fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(from, to).or_else(|e| match e.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists => Err(e),
        _ => fs::copy(from, to).map(drop),
    })
}
