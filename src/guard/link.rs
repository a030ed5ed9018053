//! A guarded link: every guarded object in the variant that the link's own lineage asked for, and inputs that don't change
//! while it runs.
//!
//! The everyday case, objects of one variant each, costs one read of each log before and two stats after. Only where an
//! object has several variants is there evidence to weigh, under its publish lock.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::bail;

use super::compile::respond;
use super::held::{Held, Wanted, content_of, link_or_copy};
use super::{Done, Session, Target, cannot, life, wall_ms};
use crate::claims::{Claim, How, Log};
use crate::command::{Colour, Link, Placement};
use crate::config::Ambiguous;
use crate::diagnostics;
use crate::events::Event;
use crate::evidence::{self, Earlier, Verdict};
use crate::inputs;
use crate::lineage::{self, Lineage};
use crate::links::{self, LinkLine};
use crate::lock::{self, Mode};
use crate::plan;
use crate::process::{self, Ended, Outcome, Stderr};
use crate::record::Record;
use crate::request::{self, Key, Variant};
use crate::scratch::{self, Scratch};
use crate::signals;
use crate::stamp::Stamp;
use crate::state::{Folder, ObjectState};

/// How often a link is run again because its inputs changed, before they are taken from private links for good.
const OPTIMISTIC_RUNS: usize = 1;

/// Runs one link.
///
/// # Errors
/// The link is ambiguous, a variant it must take is lost, or its output can't be published.
pub fn link(session: &Session<'_>, command: &Link) -> anyhow::Result<Done> {
    let began = Instant::now();
    let target = match Target::of(&command.output, false) {
        Ok(target) => target,
        Err(why) => return Ok(Done::AsWritten(why)),
    };
    let inputs = guarded_inputs(command);
    if inputs.is_empty() && !stages(command, &target) {
        return Ok(Done::AsWritten(
            "no input is guarded, and the link runs in place".into(),
        ));
    }
    Linking {
        session,
        command,
        target,
        inputs,
        began,
    }
    .run()
}

/// Whether the output can be made in scratch. Where there is no folder to make one in, the linker says so itself.
fn stages(command: &Link, target: &Target) -> bool {
    command.placement == Placement::Staged && target.folder().is_dir()
}

/// One guarded object among the inputs.
struct Guarded {
    /// Its place in `command.inputs`.
    input: usize,
    /// Its path, symbolic links resolved.
    path: PathBuf,
    folder: Folder,
    state: ObjectState,
    log: Log,
    stamp: Option<Stamp>,
}

/// Where the linker is to find an input.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Choice {
    /// At its path, which holds what is wanted, or what the user put there.
    AsItIs(Option<Variant>),
    /// In the file that keeps this variant.
    Kept(Variant, PathBuf),
}

impl Choice {
    fn variant(&self) -> Option<Variant> {
        match self {
            Choice::AsItIs(variant) => *variant,
            Choice::Kept(variant, _) => Some(*variant),
        }
    }
}

/// The guarded objects among the inputs. Folders are looked at once.
fn guarded_inputs(command: &Link) -> Vec<Guarded> {
    let mut folders: HashMap<PathBuf, Option<Folder>> = HashMap::new();
    let mut guarded = Vec::new();
    for (input, link_input) in command.inputs.iter().enumerate() {
        let mut path = link_input.path.clone();
        let mut meta = fs::symlink_metadata(&path).ok();
        if meta.as_ref().is_some_and(|m| m.is_symlink()) {
            let Ok(resolved) = fs::canonicalize(&path) else {
                continue;
            };
            path = resolved;
            meta = fs::metadata(&path).ok();
        }
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
            continue;
        };
        let folder = match folders.get(dir) {
            Some(known) => known.clone(),
            None => folders
                .entry(dir.to_owned())
                .or_insert(Folder::open(dir).ok().flatten())
                .clone(),
        };
        let Some(folder) = folder else { continue };
        let Ok(state) = folder.object(name) else {
            continue;
        };
        let Ok(log) = Log::read(&state.claims()) else {
            continue;
        };
        if log.entries.is_empty() && !log.damaged {
            continue;
        }
        let stamp = meta.map(|m| Stamp::from(&m));
        guarded.push(Guarded {
            input,
            path,
            folder,
            state,
            log,
            stamp,
        });
    }
    guarded
}

struct Linking<'a> {
    session: &'a Session<'a>,
    command: &'a Link,
    target: Target,
    inputs: Vec<Guarded>,
    began: Instant,
}

impl Linking<'_> {
    fn run(mut self) -> anyhow::Result<Done> {
        let mut choices = self.choose()?;
        let staged = stages(self.command, &self.target);
        if !staged
            && choices.iter().all(|c| matches!(c, Choice::AsItIs(_)))
            && self.inputs.is_empty()
        {
            return Ok(Done::AsWritten("nothing to guard".into()));
        }
        signals::catch();
        let scratch = match self.scratch() {
            Ok(scratch) => scratch,
            Err(_) if self.inputs.is_empty() => {
                return Ok(Done::AsWritten(
                    "the output's folder can't be written to".into(),
                ));
            }
            Err(e) => return Err(cannot("create a folder for", &self.target.path)(e)),
        };
        let mut compiler = 0;
        for attempt in 0.. {
            let private = attempt >= OPTIMISTIC_RUNS;
            let instead = if private {
                self.private_inputs(&choices, &scratch)?
            } else {
                self.stand_ins(&choices)
            };
            let started = Instant::now();
            let (outcome, output) = match self.link_once(&scratch, attempt, staged, &instead)? {
                Ok(ran) => ran,
                Err(why) => return Ok(Done::AsWritten(why)),
            };
            compiler += started.elapsed().as_nanos() as u64;
            if let Some(signal) = signals::caught() {
                return Ok(Done::Ended(Ended::Signal(signal)));
            }
            if !private && self.changed(&choices) {
                self.read_again()?;
                choices = self.choose()?;
                continue;
            }
            if !self.inputs.is_empty() {
                process::say(&outcome.stderr);
            }
            return self.conclude(outcome, output, &choices, &scratch, attempt, compiler);
        }
        unreachable!("the attempts are endless")
    }

    /// Scratch on the output's file system: in the state folder of an object if that lies there, so that nothing shows in a
    /// folder that is packaged while the link runs.
    fn scratch(&self) -> io::Result<Scratch> {
        let dev = fs::metadata(self.target.folder())?.dev();
        if let Some(first) = self.inputs.iter().find(|g| g.folder.dev() == dev) {
            return Scratch::in_state(&first.folder);
        }
        if let Ok(Some(folder)) = Folder::open(&self.target.dir) {
            return Scratch::in_state(&folder);
        }
        Scratch::beside(&self.target.dir)
    }

    fn link_once(
        &self,
        scratch: &Scratch,
        attempt: usize,
        staged: bool,
        instead: &[(usize, PathBuf)],
    ) -> anyhow::Result<Result<(Outcome, Option<PathBuf>), String>> {
        let folder = scratch.dir().join(format!("o{attempt}"));
        let output = folder.join(&self.target.name);
        let mut placeholder = None;
        if staged {
            crate::state::make_private(&folder).map_err(cannot("create", &folder))?;
            placeholder = self.placeholder(&output)?;
        }
        let hold = !self.inputs.is_empty();
        let dialect = self.session.dialect;
        let colour =
            hold && diagnostics::wants_colour(Colour::Default, dialect, self.session.environment);
        let mut args = plan::link(
            self.command,
            staged.then_some(output.as_path()),
            instead,
            colour,
        );
        if self.command.words.expanded {
            args = respond(&args, scratch)?;
        }
        let rewrite = [(
            output.as_os_str().as_bytes().to_vec(),
            self.command.output.as_os_str().as_bytes().to_vec(),
        )];
        let stderr = if hold { Stderr::Hold } else { Stderr::Inherit };
        let outcome = match self.session.invocation(args).run(stderr, &rewrite) {
            Ok(outcome) => outcome,
            Err(e) if e.raw_os_error() == Some(libc::E2BIG) => {
                return Ok(Err("the command line is too long to change".into()));
            }
            Err(e) => return Err(cannot("run", &self.session.compiler.program)(e)),
        };
        let made = fs::symlink_metadata(&output)
            .ok()
            .filter(|m| m.is_file())
            .map(|m| Stamp::from(&m));
        let written = staged && made.is_some() && made != placeholder;
        if staged
            && !outcome.ended.ok()
            && placeholder.is_some()
            && made != placeholder
            && signals::caught().is_none()
            && !self.inputs_moved()
        {
            // A failing linker removes its old output (compiler-options.md, G2).
            let _ = fs::remove_file(&self.target.path);
        }
        Ok(Ok((outcome, written.then_some(output))))
    }

    fn placeholder(&self, output: &Path) -> anyhow::Result<Option<Stamp>> {
        if !self.target.exists {
            return Ok(None);
        }
        let Ok(meta) = fs::metadata(&self.target.path) else {
            return Ok(None);
        };
        fs::write(output, b"objguard: nothing was written\n").map_err(cannot("write", output))?;
        let _ = fs::set_permissions(
            output,
            std::os::unix::fs::PermissionsExt::from_mode(meta.mode() & 0o777 | 0o200),
        );
        Stamp::of(output).map(Some).map_err(cannot("read", output))
    }

    /// Publishes the output and writes down who took what.
    fn conclude(
        &self,
        outcome: Outcome,
        output: Option<PathBuf>,
        choices: &[Choice],
        scratch: &Scratch,
        attempt: usize,
        compiler: u64,
    ) -> anyhow::Result<Done> {
        if outcome.ended.ok() {
            if let Some(output) = &output {
                self.publish(output, choices, scratch)?;
            }
            self.log_links(choices);
        }
        let repointed = choices
            .iter()
            .filter(|c| matches!(c, Choice::Kept(..)))
            .count();
        let what = match (outcome.ended.ok(), attempt, repointed) {
            (false, ..) => "fail",
            (true, 0, 0) => "link",
            (true, 0, _) => "re-point",
            (true, ..) => "relink",
        };
        let inputs: Vec<(PathBuf, Option<Variant>, bool)> = self
            .inputs
            .iter()
            .zip(choices)
            .map(|(g, c)| (g.path.clone(), c.variant(), matches!(c, Choice::Kept(..))))
            .collect();
        self.session.events.write(&Event {
            kind: "link",
            what,
            output: &self.target.path,
            source: None,
            key: None,
            variant: None,
            why: None,
            waited: 0,
            compiler,
            saved: 0,
            total: self.began.elapsed().as_nanos() as u64,
            ended: outcome.ended,
            inputs: &inputs,
            lineage: &self.session.lineage,
        });
        Ok(Done::Ended(outcome.ended))
    }

    /// A partial link makes an object like a compile does: it gets a variant and a claim of its own.
    fn publish(&self, output: &Path, choices: &[Choice], scratch: &Scratch) -> anyhow::Result<()> {
        let failed = || cannot("write", &self.target.path);
        if !self.command.relocatable {
            return scratch::publish(output, &self.target.path).map_err(failed());
        }
        let Ok(folder) = Folder::create(&self.target.dir) else {
            return scratch::publish(output, &self.target.path).map_err(failed());
        };
        let Ok(state) = folder.object(&self.target.name) else {
            return scratch::publish(output, &self.target.path).map_err(failed());
        };
        state.create().map_err(cannot("create", state.path()))?;
        let mut hasher = blake3::Hasher::new();
        for word in &self.command.words.args {
            request::tagged(&mut hasher, "word", word.as_bytes());
        }
        let key = Key(request::truncate(&hasher));
        for choice in choices.iter().filter_map(Choice::variant) {
            request::tagged(&mut hasher, "input", &choice.0);
        }
        request::tagged(
            &mut hasher,
            "unique",
            format!("{} {}", std::process::id(), lineage::boottime_ns()).as_bytes(),
        );
        let variant = Variant(request::truncate(&hasher));
        let hash = inputs::hash_file(output).map_err(cannot("read", output))?;
        let size = fs::metadata(output).map_err(cannot("read", output))?.len();
        let wanted = Wanted {
            variant,
            key,
            size,
            hash,
        };
        let record = Record {
            variant,
            never: Some("a partial link always runs".into()),
            why: "a partial link always runs".into(),
            size,
            hash,
            when: wall_ms(),
            flags: self.flags_of_inputs(choices),
            ..Record::default()
        };
        let mut held =
            Held::take(&state, &self.target.path).map_err(cannot("lock", &state.publish_lock()))?;
        held.publish(output, &wanted).map_err(failed())?;
        record
            .save(&scratch.dir().join("record"), &state.record(&key))
            .map_err(cannot("write", &state.record(&key)))?;
        held.claim(&wanted, How::Compiled, &self.session.lineage)
            .map_err(cannot("write", &state.claims()))?;
        held.tidy(scratch);
        Ok(())
    }

    /// The flags that a partial link's objects have in common speak for it in a further link.
    fn flags_of_inputs(&self, choices: &[Choice]) -> Vec<std::ffi::OsString> {
        let mut all: Vec<std::ffi::OsString> = Vec::new();
        for (guarded, choice) in self.inputs.iter().zip(choices) {
            let variant = choice.variant().or_else(|| guarded.log.only_variant());
            let Some(publish) = variant.and_then(|v| guarded.log.newest_publish(&v)) else {
                continue;
            };
            let Some(record) = Record::read(&guarded.state.record(&publish.key)) else {
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

    fn log_links(&self, choices: &[Choice]) {
        let mut by_folder: BTreeMap<PathBuf, Vec<(std::ffi::OsString, Option<Variant>)>> =
            BTreeMap::new();
        for (guarded, choice) in self.inputs.iter().zip(choices) {
            by_folder
                .entry(guarded.folder.links())
                .or_default()
                .push((guarded.state.name().to_owned(), choice.variant()));
        }
        for (path, took) in by_folder {
            let line = LinkLine {
                when: wall_ms(),
                at: lineage::boottime_ns(),
                lineage: self.session.lineage.clone(),
                output: self.command.output.clone(),
                took,
            };
            // A help to later links and to the audit; the link itself is done.
            let _ = links::append(&path, &line);
        }
    }

    /// What each input is to be.
    fn choose(&mut self) -> anyhow::Result<Vec<Choice>> {
        let mut choices: Vec<Choice> = self
            .inputs
            .iter()
            .map(|g| Choice::AsItIs(g.log.only_variant()))
            .collect();
        let several: Vec<usize> = self
            .inputs
            .iter()
            .enumerate()
            .filter(|(_, g)| g.log.damaged || g.log.only_variant().is_none())
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
            at_path.insert(
                *n,
                guarded
                    .stamp
                    .and_then(|s| content_of(&guarded.log, &guarded.path, &s)),
            );
        }
        let verdicts = self.weigh();
        for n in several {
            choices[n] = self.choice(&self.inputs[n], verdicts[n], at_path[&n])?;
        }
        Ok(choices)
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
                flags: flags(g),
                shortened: g.log.lost_before,
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
                    ([Some(_)], ..) => return Ok(Choice::AsItIs(at_path)),
                    (_, Ambiguous::Newest, Some(newest)) => newest,
                    _ => bail!(ambiguous(guarded, &self.command.output)),
                }
            }
        };
        // A path that holds what no compile of ours gave is the user's word.
        let Some(there) = at_path else {
            return Ok(if guarded.stamp.is_some() {
                Choice::AsItIs(None)
            } else {
                self.kept(guarded, wanted)?
            });
        };
        if there == wanted || (hash(there).is_some() && hash(there) == hash(wanted)) {
            return Ok(Choice::AsItIs(Some(wanted)));
        }
        self.kept(guarded, wanted)
    }

    fn kept(&self, guarded: &Guarded, variant: Variant) -> anyhow::Result<Choice> {
        let kept = guarded.state.kept(&variant);
        let publish = guarded.log.newest_publish(&variant);
        let whole = publish.is_some_and(|p| inputs::hash_file(&kept).is_ok_and(|h| h == p.hash));
        if !whole {
            bail!(
                "cannot link `{}`: the variant of `{}` that this build compiled is lost (`{}`); compile it again",
                self.command.output.display(),
                guarded.path.display(),
                kept.display()
            );
        }
        Ok(Choice::Kept(variant, kept))
    }

    fn stand_ins(&self, choices: &[Choice]) -> Vec<(usize, PathBuf)> {
        let kept = |c: &Choice| match c {
            Choice::Kept(_, path) => Some(path.clone()),
            Choice::AsItIs(_) => None,
        };
        self.inputs
            .iter()
            .zip(choices)
            .filter_map(|(g, c)| Some((g.input, kept(c)?)))
            .collect()
    }

    /// Names of our own for all guarded inputs: nobody replaces those.
    fn private_inputs(
        &self,
        choices: &[Choice],
        scratch: &Scratch,
    ) -> anyhow::Result<Vec<(usize, PathBuf)>> {
        let mut instead = Vec::new();
        for (n, (guarded, choice)) in self.inputs.iter().zip(choices).enumerate() {
            let folder = scratch.dir().join(format!("i{n}"));
            crate::state::make_private(&folder).map_err(cannot("create", &folder))?;
            let private = folder.join(guarded.state.name());
            let _shared = lock::acquire(&guarded.state.publish_lock(), Mode::Shared)
                .map_err(cannot("lock", &guarded.state.publish_lock()))?;
            let from = self.source_of(guarded, choice)?;
            match link_or_copy(&from, &private) {
                Ok(()) => instead.push((guarded.input, private)),
                // The linker will say that it isn't there.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(cannot("link", &from)(e)),
            }
        }
        Ok(instead)
    }

    /// The file that holds the chosen variant now; the caller holds the publish lock.
    fn source_of(&self, guarded: &Guarded, choice: &Choice) -> anyhow::Result<PathBuf> {
        let Some(variant) = choice.variant() else {
            return Ok(guarded.path.clone());
        };
        let log =
            Log::read(&guarded.state.claims()).map_err(cannot("read", &guarded.state.claims()))?;
        let stamp = Stamp::of(&guarded.path).ok();
        let there = stamp.and_then(|s| content_of(&log, &guarded.path, &s));
        if there == Some(variant) || (there.is_none() && stamp.is_some()) {
            return Ok(guarded.path.clone());
        }
        let kept = guarded.state.kept(&variant);
        let publish = log.newest_publish(&variant);
        if publish.is_some_and(|p| inputs::hash_file(&kept).is_ok_and(|h| h == p.hash)) {
            Ok(kept)
        } else {
            Ok(guarded.path.clone())
        }
    }

    /// Whether an input changed while the linker ran.
    fn changed(&self, choices: &[Choice]) -> bool {
        self.inputs.iter().zip(choices).any(|(g, c)| match c {
            Choice::AsItIs(_) => g.moved(),
            Choice::Kept(variant, path) => {
                let size = g.log.newest_publish(variant).map(|p| p.stamp.size);
                fs::metadata(path).ok().map(|m| m.size()) != size
            }
        })
    }

    fn inputs_moved(&self) -> bool {
        self.inputs.iter().any(Guarded::moved)
    }

    fn read_again(&mut self) -> anyhow::Result<()> {
        self.inputs.iter_mut().try_for_each(|g| {
            let _shared = lock::acquire(&g.state.publish_lock(), Mode::Shared)
                .map_err(cannot("lock", &g.state.publish_lock()))?;
            g.refresh()
        })
    }
}

impl Guarded {
    fn refresh(&mut self) -> anyhow::Result<()> {
        self.log = Log::read(&self.state.claims()).map_err(cannot("read", &self.state.claims()))?;
        self.stamp = Stamp::of(&self.path).ok();
        Ok(())
    }

    /// Whether the path, or what was published at it, isn't as it was.
    fn moved(&self) -> bool {
        let same_file = match (Stamp::of(&self.path).ok(), self.stamp) {
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

/// The flags of each variant, where records tell.
fn flags(guarded: &Guarded) -> BTreeMap<Variant, BTreeSet<evidence::Flag>> {
    let mut all = BTreeMap::new();
    for publish in guarded.log.publishes() {
        if let std::collections::btree_map::Entry::Vacant(slot) = all.entry(publish.variant)
            && let Some(record) = Record::read(&guarded.state.record(&publish.key))
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

/// The message of promise 3: the object, its variants, who made them, what to do.
fn ambiguous(guarded: &Guarded, output: &Path) -> String {
    let mut text = format!(
        "cannot link `{}`: it can't be known which variant of `{}` this link is to take:",
        output.display(),
        guarded.path.display()
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

fn made_by(lineage: &Lineage) -> String {
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
