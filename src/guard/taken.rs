//! The guarded objects that a link or an archive takes: which variant of each, and whether any changed meanwhile.
//!
//! The everyday case, objects of one variant each, costs one read of each log before and two stats after. Only where an
//! object has several variants is there evidence to weigh, under its publish lock.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::bail;

use super::held::{content_of, link_or_copy};
use super::{Session, cannot, life, wall_ms};
use crate::claims::{Claim, Entry, Log, Lost};
use crate::config::Ambiguous;
use crate::evidence::{self, Earlier, Verdict};
use crate::inputs;
use crate::lineage::{self, Lineage};
use crate::links::{self, LinkLine};
use crate::lock::{self, Mode};
use crate::plan::Slot;
use crate::record::Record;
use crate::request::Variant;
use crate::scratch::Scratch;
use crate::search::settled_clock;
use crate::spelling::identical;
use crate::stamp::{Stamp, says_missing};
use crate::state::{Distrust, Folder, ObjectState};

/// How a command names one of its inputs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Named {
    /// By words for which another path can stand in.
    By(Slot),
    /// In a way that leaves it at its path, and which.
    Fixed(String),
}

/// One guarded object among the inputs.
pub(super) struct Guarded {
    /// Where the command names it.
    pub(super) named: Named,
    /// Its path as the command has it.
    spelled: PathBuf,
    /// Its path, symbolic links resolved.
    pub(super) path: PathBuf,
    pub(super) folder: Folder,
    pub(super) state: ObjectState,
    pub(super) log: Log,
    pub(super) stamp: Option<Stamp>,
    /// A clock reading (ns) that was past when the stamp was taken.
    past: i64,
}

/// Where the command is to find an input.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Choice {
    /// At its path, which holds what is wanted, or what the user put there.
    AsItIs(Option<Variant>),
    /// In the file that keeps this variant.
    Kept(Variant, PathBuf),
}

impl Choice {
    pub(super) fn variant(&self) -> Option<Variant> {
        match self {
            Choice::AsItIs(variant) => *variant,
            Choice::Kept(variant, _) => Some(*variant),
        }
    }
}

/// The guarded objects among some paths, and how each is named.
///
/// # Errors
/// It can't be found out whether an object is guarded. To go on as if it weren't would be a guess.
pub(super) fn guarded(
    paths: impl IntoIterator<Item = (Named, PathBuf)>,
) -> anyhow::Result<Vec<Guarded>> {
    let found = in_pieces(paths.into_iter().collect(), look_at);
    let found: anyhow::Result<Vec<_>> = found.into_iter().collect();
    Ok(found?.into_iter().flatten().collect())
}

/// What `work` makes of each piece of `items`, in their order. Another thread helps where there are many, if one can be had. It may
/// start milliseconds late, on a core that is busy with this one, so that the pieces go to whoever comes for them.
fn in_pieces<I: Send, T: Send>(items: Vec<I>, work: impl Fn(Vec<I>) -> T + Sync) -> Vec<T> {
    const MANY: usize = 200;
    const PIECE: usize = 50;
    if items.len() < MANY {
        return vec![work(items)];
    }
    let mut pieces = Vec::with_capacity(items.len() / PIECE + 1);
    let mut items = items.into_iter();
    while items.len() > 0 {
        pieces.push(items.by_ref().take(PIECE).collect::<Vec<I>>());
    }
    let mut made: Vec<(usize, T)> = Vec::with_capacity(pieces.len());
    let left = Mutex::new(pieces.into_iter().enumerate());
    let run = || {
        let mut made = Vec::new();
        loop {
            let next = left.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((n, piece)) = next else { return made };
            made.push((n, work(piece)));
        }
    };
    thread::scope(|scope| {
        let helper = thread::Builder::new().spawn_scoped(scope, run);
        made.extend(run());
        if let Ok(helper) = helper {
            made.extend(helper.join().expect("it doesn't panic"));
        }
    });
    made.sort_by_key(|(n, _)| *n);
    made.into_iter().map(|(_, made)| made).collect()
}

/// [`guarded`], in one thread. Folders are looked at once.
fn look_at(paths: Vec<(Named, PathBuf)>) -> anyhow::Result<Vec<Guarded>> {
    let mut folders: HashMap<PathBuf, Option<Folder>> = HashMap::new();
    let mut guarded = Vec::new();
    let past = settled_clock();
    for (named, spelled) in paths {
        let mut path = spelled.clone();
        let mut meta = there(fs::symlink_metadata(&path)).map_err(cannot("read", &path))?;
        if meta.as_ref().is_some_and(|m| m.is_symlink()) {
            let Some(resolved) = there(fs::canonicalize(&path)).map_err(cannot("read", &path))?
            else {
                continue;
            };
            path = resolved;
            meta = there(fs::metadata(&path)).map_err(cannot("read", &path))?;
        }
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
            continue;
        };
        let folder = match folders.get(dir) {
            Some(known) => known.clone(),
            None => {
                let folder = match Folder::open(dir) {
                    Ok(folder) => folder,
                    Err(Distrust::Io(path, e)) => there(Err(e)).map_err(cannot("read", &path))?,
                    Err(_) => None,
                };
                folders.entry(dir.to_owned()).or_insert(folder).clone()
            }
        };
        let Some(folder) = folder else { continue };
        let Ok(state) = folder.object(name) else {
            continue;
        };
        let claims = state.claims();
        let Some(log) = there(Log::read(&claims)).map_err(cannot("read", &claims))? else {
            continue;
        };
        if log.entries.is_empty() && !log.damaged {
            continue;
        }
        let stamp = meta.map(|m| Stamp::from(&m));
        guarded.push(Guarded {
            named,
            spelled,
            path,
            folder,
            state,
            log,
            stamp,
            past,
        });
    }
    Ok(guarded)
}

/// `None` for what isn't there, or can't be: a name too long for its state, a link in a circle.
fn there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(e) if says_missing(&e) || e.raw_os_error() == Some(libc::ELOOP) => Ok(None),
        Err(e) => Err(e),
    }
}

/// The guarded objects that one command takes.
pub(super) struct Taken<'a> {
    pub(super) session: &'a Session<'a>,
    /// What the command makes of them, as the user wrote it.
    pub(super) output: &'a Path,
    /// What the command does to its output: `link`, `archive`.
    pub(super) verb: &'static str,
    pub(super) inputs: Vec<Guarded>,
}

impl Taken<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.inputs.is_empty()
    }

    /// Inputs, their variants, and whether a kept file stands in: for the event log.
    pub(super) fn listed(&self, choices: &[Choice]) -> Vec<(PathBuf, Option<Variant>, bool)> {
        if !self.session.events.wanted() {
            return Vec::new();
        }
        self.inputs
            .iter()
            .zip(choices)
            .map(|(g, c)| (g.path.clone(), c.variant(), matches!(c, Choice::Kept(..))))
            .collect()
    }

    /// The flags that the inputs were compiled with, each once: they speak for what is made of them in a further link.
    pub(super) fn flags(&self, choices: &[Choice]) -> Vec<OsString> {
        let mut all: Vec<OsString> = Vec::new();
        for (guarded, choice) in self.inputs.iter().zip(choices) {
            let variant = choice.variant().or_else(|| guarded.log.only_variant());
            let Some(record) = variant.and_then(|v| guarded.record_of(&v)) else {
                continue;
            };
            for flag in record.flags {
                if !all.contains(&flag) {
                    all.push(flag);
                }
            }
        }
        all
    }

    /// Writes down which variants were taken.
    pub(super) fn log(&self, choices: &[Choice]) {
        let mut by_folder: Vec<(&Folder, Vec<_>)> = Vec::new();
        for (guarded, choice) in self.inputs.iter().zip(choices) {
            let took = (guarded.state.name().to_owned(), choice.variant());
            let path = guarded.folder.path();
            let same = |folder: &Folder| identical(folder.path(), path) || folder.path() == path;
            match by_folder.iter_mut().find(|(folder, _)| same(folder)) {
                Some((_, all)) => all.push(took),
                None => by_folder.push((&guarded.folder, vec![took])),
            }
        }
        for (folder, took) in by_folder {
            let line = LinkLine {
                when: wall_ms(),
                at: lineage::boottime_ns(),
                lineage: self.session.lineage.clone(),
                output: self.output.to_owned(),
                took,
            };
            // A help to later links and to the audit; the command itself is done.
            let _ = links::append(&folder.links(), &line);
        }
    }

    /// What each input is to be.
    ///
    /// # Errors
    /// It can't be known, what is wanted is lost, or nothing can stand in for the path.
    pub(super) fn choose(&mut self) -> anyhow::Result<Vec<Choice>> {
        let mut choices: Vec<Choice> = self
            .inputs
            .iter()
            .map(|g| Choice::AsItIs(g.log.only_variant()))
            .collect();
        let several: Vec<usize> = self
            .inputs
            .iter()
            .enumerate()
            .filter(|(_, g)| {
                g.log.lost.is_some() || g.log.only_variant().is_none() || g.is_strange()
            })
            .map(|(n, _)| n)
            .collect();
        if several.is_empty() {
            return Ok(choices);
        }
        // Read under the lock, the log and the path belong together.
        let mut at_path: HashMap<usize, Option<Variant>> = HashMap::new();
        for n in &several {
            let guarded = &mut self.inputs[*n];
            let _shared = lock::acquire(&guarded.state.publish_lock(), Mode::Shared)
                .map_err(cannot("lock", &guarded.state.publish_lock()))?;
            guarded.refresh()?;
            let there = guarded.content(&guarded.log, guarded.stamp.as_ref())?;
            at_path.insert(*n, there);
        }
        let verdicts = self.weigh();
        for n in several {
            choices[n] = self.choice(&self.inputs[n], verdicts[n], at_path[&n])?;
        }
        Ok(choices)
    }

    /// Gives `why` back if the command takes what it should as it is written, too.
    ///
    /// # Errors
    /// As [`Taken::choose`]; or an input's path holds another builder's variant.
    pub(super) fn as_it_is(&mut self, why: String) -> anyhow::Result<String> {
        let choices = self.choose()?;
        for (guarded, choice) in self.inputs.iter().zip(&choices) {
            if matches!(choice, Choice::Kept(..)) {
                bail!(self.fixed(guarded, &why));
            }
        }
        Ok(why)
    }

    fn weigh(&self) -> Vec<Verdict> {
        let claims: Vec<Vec<Claim>> = self
            .inputs
            .iter()
            .map(|g| g.log.claims().cloned().collect())
            .collect();
        let objects: Vec<evidence::Object<'_>> = self
            .inputs
            .iter()
            .zip(&claims)
            .map(|(g, claims)| evidence::Object {
                claims,
                flags: flags_of_variants(&g.state, &g.log),
                shortened: g.log.lost_before,
                lost: g.loss(),
            })
            .collect();
        evidence::decide(&self.session.lineage, &objects, &self.earlier(), &life())
    }

    /// The links on record that took objects of this one, as indexes into it.
    fn earlier(&self) -> Vec<Earlier> {
        let folders: BTreeSet<&Path> = self.inputs.iter().map(|g| g.folder.path()).collect();
        let mut all = Vec::new();
        for folder in folders {
            let Some(guarded) = self.inputs.iter().find(|g| g.folder.path() == folder) else {
                continue;
            };
            let index: HashMap<&OsStr, usize> = self
                .inputs
                .iter()
                .enumerate()
                .filter(|(_, g)| g.folder.path() == folder)
                .map(|(n, g)| (g.state.name(), n))
                .collect();
            for line in links::read(&guarded.folder.links()) {
                if line.lineage.host != self.session.lineage.host {
                    continue;
                }
                let took = line
                    .took
                    .iter()
                    .filter_map(|(name, v)| Some((*index.get(name.as_os_str())?, (*v)?)))
                    .collect();
                all.push(Earlier {
                    at: line.at,
                    lineage: line.lineage,
                    took,
                });
            }
        }
        merge_folders(all)
    }

    fn choice(
        &self,
        guarded: &Guarded,
        verdict: Verdict,
        at_path: Option<Variant>,
    ) -> anyhow::Result<Choice> {
        let newest = guarded.log.claims().last().map(|c| c.variant);
        let hash = |v: Variant| guarded.log.newest_publish(&v).map(|p| p.hash);
        let wanted = match verdict {
            Verdict::Take(variant) => variant,
            Verdict::Unclaimed => return Ok(Choice::AsItIs(at_path)),
            Verdict::Ambiguous => {
                let mut contents: Vec<_> = guarded.log.claims().map(|c| hash(c.variant)).collect();
                contents.dedup();
                match (contents.as_slice(), self.session.config.ambiguous, newest) {
                    // All the same: any will do. The path may hold another that nobody claims.
                    ([Some(_)], _, Some(newest)) if guarded.loss().is_none() => newest,
                    (_, Ambiguous::Newest, Some(newest)) => newest,
                    _ => bail!(self.ambiguous(guarded)),
                }
            }
        };
        // A path that holds what no compile of ours gave is the user's word, if it can't be half of one.
        let Some(there) = at_path else {
            let only = guarded.log.only_variant().is_some();
            return match guarded.stamp {
                Some(_) if !guarded.log.in_doubt() => Ok(Choice::AsItIs(None)),
                // The linker says best that it isn't there.
                None if only && !guarded.is_whole(&guarded.state.kept(&wanted), &wanted) => {
                    Ok(Choice::AsItIs(Some(wanted)))
                }
                _ => self.kept(guarded, wanted),
            };
        };
        if there == wanted || (hash(there).is_some() && hash(there) == hash(wanted)) {
            return Ok(Choice::AsItIs(Some(wanted)));
        }
        self.kept(guarded, wanted)
    }

    fn kept(&self, guarded: &Guarded, variant: Variant) -> anyhow::Result<Choice> {
        let (verb, output, path) = (self.verb, self.output.display(), guarded.path.display());
        let kept = guarded.state.kept(&variant);
        if !guarded.is_whole(&kept, &variant) {
            bail!(
                "cannot {verb} `{output}`: the variant of `{path}` that this build compiled is lost (`{}`); compile it again",
                kept.display()
            );
        }
        if let Named::Fixed(why) = &guarded.named {
            bail!(self.fixed(guarded, why));
        }
        Ok(Choice::Kept(variant, kept))
    }

    /// The files that stand in for paths.
    pub(super) fn stand_ins(&self, choices: &[Choice]) -> Vec<(Slot, PathBuf)> {
        let pairs = self.inputs.iter().zip(choices);
        pairs
            .filter_map(|(g, c)| match (&g.named, c) {
                (Named::By(slot), Choice::Kept(_, path)) => Some((slot.clone(), path.clone())),
                _ => None,
            })
            .collect()
    }

    /// What to write for the paths that stand in, in messages: what the user knows them as.
    pub(super) fn spelled(&self, instead: &[(Slot, PathBuf)]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let bytes = |p: &Path| p.as_os_str().as_bytes().to_vec();
        instead
            .iter()
            .filter_map(|(slot, path)| {
                let same = |g: &&Guarded| matches!(&g.named, Named::By(s) if s == slot);
                let guarded = self.inputs.iter().find(same)?;
                Some((bytes(path), bytes(&guarded.spelled)))
            })
            .collect()
    }

    /// Names of our own, in scratch, for all guarded inputs that others can stand in for: nobody replaces those.
    pub(super) fn private(
        &self,
        choices: &[Choice],
        scratch: &Scratch,
    ) -> anyhow::Result<Vec<(Slot, PathBuf)>> {
        let mut instead = Vec::new();
        for (n, (guarded, choice)) in self.inputs.iter().zip(choices).enumerate() {
            let Named::By(slot) = &guarded.named else {
                continue;
            };
            let folder = scratch.own(&format!("i{n}"));
            match crate::state::make_private(&folder) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(cannot("create", &folder)(e));
                }
                _ => {}
            }
            let private = folder.join(guarded.state.name());
            let _ = fs::remove_file(&private);
            let _shared = lock::acquire(&guarded.state.publish_lock(), Mode::Shared)
                .map_err(cannot("lock", &guarded.state.publish_lock()))?;
            let from = guarded.source_of(choice)?;
            match link_or_copy(&from, &private) {
                Ok(()) => instead.push((slot.clone(), private)),
                // The linker will say that it isn't there.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(cannot("link", &from)(e)),
            }
        }
        Ok(instead)
    }

    /// Whether an input changed since it was chosen. `private`: those that have names of our own don't count.
    pub(super) fn changed(&self, choices: &[Choice], private: bool) -> bool {
        let pairs: Vec<_> = self.inputs.iter().zip(choices).collect();
        let any = |pairs: Vec<(&Guarded, &Choice)>| {
            pairs.into_iter().any(|(g, c)| match c {
                _ if private && matches!(g.named, Named::By(_)) => false,
                Choice::AsItIs(_) => g.moved(),
                Choice::Kept(variant, path) => {
                    let size = g.log.newest_publish(variant).map(|p| p.stamp.size);
                    fs::metadata(path).ok().map(|m| m.size()) != size
                }
            })
        };
        in_pieces(pairs, any).contains(&true)
    }

    /// Whether any input's path isn't as it was.
    pub(super) fn moved(&self) -> bool {
        self.inputs.iter().any(Guarded::moved)
    }

    /// Reads all logs anew.
    pub(super) fn read_again(&mut self) -> anyhow::Result<()> {
        self.inputs.iter_mut().try_for_each(|g| {
            let _shared = lock::acquire(&g.state.publish_lock(), Mode::Shared)
                .map_err(cannot("lock", &g.state.publish_lock()))?;
            g.refresh()
        })
    }

    /// The message for an input that must be taken from its path, which holds another variant.
    fn fixed(&self, guarded: &Guarded, why: &str) -> String {
        format!(
            "cannot {} `{}`: `{}` holds another build's variant, and no other file can stand in for it: {why}; build one after the other, or give the object a path of its own in each",
            self.verb,
            self.output.display(),
            guarded.path.display()
        )
    }

    /// The message of promise 3: the object, its variants, who made them, what to do.
    fn ambiguous(&self, guarded: &Guarded) -> String {
        let mut text = format!(
            "cannot {} `{}`: it can't be known which variant of `{}` this {} is to take:",
            self.verb,
            self.output.display(),
            guarded.path.display(),
            self.verb,
        );
        let mut seen = Vec::new();
        for claim in guarded.log.claims().rev() {
            if seen.contains(&claim.variant) {
                continue;
            }
            seen.push(claim.variant);
            text.push_str(&format!(
                "\n  variant {}: {}",
                &claim.variant.short()[..8],
                made_by(&claim.lineage)
            ));
            if let Some(record) = Record::read(&guarded.state.record(&claim.key)) {
                let flags: Vec<_> = record.flags.iter().map(|f| f.to_string_lossy()).collect();
                text.push_str(&format!(", with `{}`", flags.join(" ")));
            }
        }
        text.push_str(
            "\nbuild the extensions one after the other, give the object a path of its own in each, or set OBJGUARD_AMBIGUOUS=newest to take the one compiled last",
        );
        text
    }
}

impl Guarded {
    fn refresh(&mut self) -> anyhow::Result<()> {
        self.log = Log::read(&self.state.claims()).map_err(cannot("read", &self.state.claims()))?;
        self.past = settled_clock();
        self.stamp = Stamp::of(&self.path).ok();
        Ok(())
    }

    /// Which variant is at the path.
    fn content(&self, log: &Log, stamp: Option<&Stamp>) -> anyhow::Result<Option<Variant>> {
        let Some(stamp) = stamp else { return Ok(None) };
        match content_of(log, &self.path, stamp) {
            // It goes just now.
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            other => other.map_err(cannot("read", &self.path)),
        }
    }

    /// Whether the path isn't the file that the log last told of: then only a look under the lock tells what it is.
    fn is_strange(&self) -> bool {
        let last = self.log.entries.iter().rev().find_map(|e| match e {
            Entry::Publish(p) => Some(p.stamp),
            Entry::Claim(c) => Some(c.stamp),
            Entry::InPlace(_) => None,
        });
        match (last, self.stamp) {
            (Some(last), Some(now)) => !last.same_content(&now),
            _ => true,
        }
    }

    /// Where claims were lost, unless all that is left speaks of one variant and nothing else does.
    fn loss(&self) -> Option<Lost> {
        let lost = self.log.lost_among_claims()?;
        let only = self.log.only_variant();
        let Ok(entries) = fs::read_dir(self.state.path()) else {
            return Some(lost);
        };
        let mut records = 0;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            records += usize::from(name.ends_with(".record"));
            let kept = name.strip_prefix("v-").map(Variant::from_short);
            if kept.is_some_and(|kept| kept != only || kept.is_none()) {
                return Some(lost);
            }
        }
        (records > 1).then_some(lost)
    }

    fn record_of(&self, variant: &Variant) -> Option<Record> {
        let publish = self.log.newest_publish(variant)?;
        Record::read(&self.state.record(&publish.key))
    }

    /// Whether the file at `path` holds the variant.
    fn is_whole(&self, path: &Path, variant: &Variant) -> bool {
        let publish = self.log.newest_publish(variant);
        publish.is_some_and(|p| inputs::hash_file(path).is_ok_and(|h| h == p.hash))
    }

    /// The file that holds the chosen variant now; the caller holds the publish lock.
    fn source_of(&self, choice: &Choice) -> anyhow::Result<PathBuf> {
        let Some(variant) = choice.variant() else {
            return Ok(self.path.clone());
        };
        let log = Log::read(&self.state.claims()).map_err(cannot("read", &self.state.claims()))?;
        let stamp = Stamp::of(&self.path).ok();
        let there = self.content(&log, stamp.as_ref())?;
        if there == Some(variant) || (there.is_none() && stamp.is_some() && !log.in_doubt()) {
            return Ok(self.path.clone());
        }
        let kept = self.state.kept(&variant);
        let publish = log.newest_publish(&variant);
        if publish.is_some_and(|p| inputs::hash_file(&kept).is_ok_and(|h| h == p.hash)) {
            Ok(kept)
        } else if stamp.is_none() {
            // Whoever looks for it there will say that it isn't.
            Ok(self.path.clone())
        } else {
            bail!(
                "the variant of `{}` that this build compiled is lost (`{}`); compile it again",
                self.path.display(),
                kept.display()
            )
        }
    }

    /// Whether the path, or what was published at it, isn't as it was.
    fn moved(&self) -> bool {
        let now = Stamp::of(&self.path).ok();
        // A file that another is renamed over, that is linked to come back, or that is written to, gets another `ctime`, which
        // shows if this one was past. That saves a look at the log for each of a thousand objects.
        if now.is_some_and(|now| Some(now) == self.stamp && now.older_than(self.past)) {
            return false;
        }
        let same_file = match (now, self.stamp) {
            (Some(now), Some(then)) => now.same_content(&then),
            (None, None) => true,
            _ => false,
        };
        let same_log = Log::position_of(&self.state.claims()).is_ok_and(|p| p == self.log.position);
        !same_file
            || (!same_log
                && Log::read(&self.state.claims())
                    .map_or(true, |now| now.published_since(&self.log)))
    }
}

/// The flags of each variant of an object, where records tell.
pub(super) fn flags_of_variants(
    state: &ObjectState,
    log: &Log,
) -> BTreeMap<Variant, BTreeSet<evidence::Flag>> {
    let mut all = BTreeMap::new();
    for publish in log.publishes().rev() {
        if let std::collections::btree_map::Entry::Vacant(slot) = all.entry(publish.variant)
            && let Some(record) = Record::read(&state.record(&publish.key))
        {
            slot.insert(record.flags.iter().map(|f| f.as_bytes().to_vec()).collect());
        }
    }
    all
}

/// A link with objects in several folders is logged in each: the lines of one link are one.
fn merge_folders(lines: Vec<Earlier>) -> Vec<Earlier> {
    let mut merged: Vec<Earlier> = Vec::new();
    for line in lines {
        match merged.iter_mut().find(|m| m.lineage == line.lineage) {
            Some(same) => same.took.extend(line.took),
            None => merged.push(line),
        }
    }
    merged
}

pub(super) fn made_by(lineage: &Lineage) -> String {
    match lineage.steps.first() {
        Some(step) => {
            let state = if lineage::alive(step.pid, step.start) {
                "running"
            } else {
                "ended"
            };
            format!(
                "compiled by process {} ({state}), thread {}",
                step.pid, step.thread
            )
        }
        None => "compiled by an unknown process".into(),
    }
}
