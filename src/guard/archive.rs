//! A guarded change of an archive: read, modify and write as one step, with every member in the variant that the own lineage
//! asked for.
//!
//! GNU ar writes the new archive over the old one's bytes, so a linker can see half of it, and two archivers at once lose
//! members. Here one archiver at a time works on a copy in scratch, under the archive's flight lock, and the copy is renamed.
//! (So an archive that has several hard links gets a file of its own, where GNU ar would have changed all of them.)
//!
//! # The variants of an archive
//!
//! An archive is an object like others, and two builders can make different ones at one path. What the change starts from is
//! what the own lineage knows as the archive: its own variant, be it at the path or kept; else what is at the path. An archive
//! that only grew stays the variant it was: whoever asked for it finds all that was in it (make -j fills one archive by many
//! commands). One whose members changed or went is another.

mod base;
mod script;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::bail;

use super::compile::respond;
use super::held::{Held, Wanted};
use super::taken::{Choice, Named, Taken, guarded};
use super::{Done, Session, Target, cannot, lasting, wall_ms};
use crate::archive::{Archive, members};
use crate::claims::{Entry, How, Publish};
use crate::events::Event;
use crate::inputs;
use crate::lineage;
use crate::lock::{self, Mode};
use crate::plan::{self, Slot};
use crate::process::{self, Ended, Outcome, Redirect, Stderr};
use crate::record::Record;
use crate::request::{self, Key, Variant};
use crate::scratch::{self, Scratch};
use crate::signals;
use crate::stamp::Stamp;
use crate::state::{Distrust, Folder, ObjectState, user};
use base::Base;
pub use script::archive_script;

/// How often a change is made again because its inputs changed, before that is an error. From the second time on they are
/// private links, where they can be.
const MOST_RUNS: usize = 10;

/// Changes one archive.
///
/// # Errors
/// A member's variant can't be known, is lost or can't stand in; or the archive can't be published.
pub fn archive(session: &Session<'_>, command: &Archive) -> anyhow::Result<Done> {
    let began = Instant::now();
    // GNU ar writes through a symbolic link, llvm-ar replaces it.
    let name = session.compiler.proper.file_name().unwrap_or_default();
    let llvm = memchr::memmem::find(name.as_bytes(), b"llvm").is_some();
    let target = match llvm {
        true => Target::of(command.path(), false),
        false => Target::behind_links(command.path()),
    };
    let stays = || target.as_ref().ok().and_then(stays);
    let in_place = command.in_place.or_else(stays);
    let members = command.members.iter().map(|at| {
        let named = match in_place {
            None => Named::By(Slot::word(*at, None)),
            Some(why) => Named::Fixed(why.into()),
        };
        (named, PathBuf::from(&command.words.args[*at]))
    });
    let mut taken = Taken {
        session,
        output: command.path(),
        verb: "archive",
        inputs: guarded(members)?,
    };
    let target = match target {
        Ok(target) => target,
        Err(why) => return Ok(Done::AsWritten(taken.as_it_is(why)?)),
    };
    let job = match in_place {
        None => Job::Staged(command),
        Some(_) => Job::InPlace(command.words.args.clone(), None),
    };
    match Changing::new(session, job, target, taken, began)? {
        Ok(changing) => changing.run(),
        Err(why) => Ok(Done::AsWritten(why)),
    }
}

/// Takes members out of an archive: of the own lineage's, which may be a kept one.
///
/// # Errors
/// It can't be known which one that is, or it is lost.
pub fn take_out(session: &Session<'_>, command: &Archive) -> anyhow::Result<Done> {
    let slot = Slot::word(command.archive, None);
    let mut taken = Taken {
        session,
        output: command.path(),
        verb: "read",
        inputs: guarded([(Named::By(slot), command.path().to_owned())])?,
    };
    let choices = taken.choose()?;
    let instead = taken.stand_ins(&choices);
    if instead.is_empty() {
        return Ok(Done::AsWritten(
            "the archive at its path is the one to read".into(),
        ));
    }
    signals::catch();
    let invocation = session.invocation(plan::archive(&command.words.args, &instead));
    let outcome = invocation
        .run(Stderr::Tee, &taken.spelled(&instead))
        .map_err(cannot("run", &session.compiler.program))?;
    Ok(Done::Ended(outcome.ended))
}

/// Why an archive must be changed where it is.
fn stays(target: &Target) -> Option<&'static str> {
    if members::is_thin(&target.path).unwrap_or(false) {
        return Some("a thin archive holds the paths of its members");
    }
    foreign(&target.path).then_some("the archive belongs to another user")
}

fn foreign(path: &Path) -> bool {
    let euid = user();
    fs::metadata(path).is_ok_and(|m| m.uid() != euid)
}

/// What is run.
enum Job<'a> {
    /// The command, on a copy in scratch.
    Staged(&'a Archive),
    /// These words, at the path itself; with a script on standard input.
    InPlace(Vec<OsString>, Option<script::Input>),
}

/// A change that came to its end.
struct Ran {
    outcome: Outcome,
    choices: Vec<Choice>,
    /// How often it was made again.
    attempt: usize,
}

/// What is to be said instead of [`Ran`]: interrupted, or to be run as written.
type Otherwise = Done;

struct Changing<'a> {
    session: &'a Session<'a>,
    job: Job<'a>,
    target: Target,
    /// `None`: the state folder isn't trusted. The change is staged all the same.
    state: Option<(Folder, ObjectState)>,
    taken: Taken<'a>,
    began: Instant,
    archiver: u64,
}

impl<'a> Changing<'a> {
    /// The inner error: why the command must run as written.
    fn new(
        session: &'a Session<'a>,
        job: Job<'a>,
        target: Target,
        mut taken: Taken<'a>,
        began: Instant,
    ) -> anyhow::Result<Result<Changing<'a>, String>> {
        let state = match Folder::create(&target.dir) {
            Ok(folder) => match folder.object(&target.name) {
                Ok(state) => Some((folder, state)),
                Err(_) => None,
            },
            Err(Distrust::Unmade(path, e) | Distrust::Io(path, e))
                if lasting(&e) || e.kind() == io::ErrorKind::NotFound =>
            {
                let why = format!("cannot create `{}`: {e}", path.display());
                return Ok(Err(taken.as_it_is(why)?));
            }
            Err(Distrust::Unmade(path, e) | Distrust::Io(path, e)) => {
                return Err(cannot("create", &path)(e));
            }
            Err(_) => None,
        };
        if let Some((_, state)) = &state {
            state.create().map_err(cannot("create", state.path()))?;
        }
        Ok(Ok(Changing {
            session,
            job,
            target,
            state,
            taken,
            began,
            archiver: 0,
        }))
    }

    fn run(mut self) -> anyhow::Result<Done> {
        signals::catch();
        let mut flight = None;
        if let Some((_, state)) = &self.state {
            let path = state.flight_lock(&in_turn());
            match lock::acquire(&path, Mode::Exclusive) {
                Ok(lock) => flight = Some(lock),
                Err(_) if signals::caught().is_some() => return Ok(interrupted()),
                Err(e) => return Err(cannot("lock", &path)(e)),
            }
        }
        let waited = self.began.elapsed().as_nanos() as u64;
        let base = match &self.state {
            Some((_, state)) => Base::find(self.session, state, &self.target.path)?,
            None => Base::unknown(&self.target.path),
        };
        let ran = match self.job {
            Job::Staged(command) => {
                base.check_names(self.session, command)?;
                self.staged(command, &base)?
            }
            Job::InPlace(..) => self.in_place(base)?,
        };
        drop(flight);
        let ran = match ran {
            Ok(ran) => ran,
            Err(otherwise) => return Ok(otherwise),
        };
        let kept = ran.choices.iter().any(|c| matches!(c, Choice::Kept(..)));
        let what = match (ran.outcome.ended.ok(), ran.attempt, kept) {
            (false, ..) => "fail",
            (true, 0, false) => "archive",
            (true, 0, true) => "re-point",
            (true, ..) => "again",
        };
        self.session.events.write(&Event {
            kind: "archive",
            what,
            output: &self.target.path,
            source: None,
            key: None,
            variant: None,
            why: None,
            waited,
            compiler: self.archiver,
            saved: 0,
            total: self.began.elapsed().as_nanos() as u64,
            ended: ran.outcome.ended,
            inputs: &self.taken.listed(&ran.choices),
            lineage: &self.session.lineage,
        });
        Ok(Done::Ended(ran.outcome.ended))
    }

    fn scratch(&self) -> anyhow::Result<Scratch> {
        match &self.state {
            Some((folder, _)) => {
                Scratch::in_state(folder).map_err(cannot("create a folder in", &folder.tmp()))
            }
            None => Scratch::beside(&self.target.dir)
                .map_err(cannot("create a folder beside", &self.target.path)),
        }
    }

    /// Changes a copy in scratch.
    fn staged(&mut self, command: &Archive, base: &Base) -> anyhow::Result<Result<Ran, Otherwise>> {
        let scratch = self.scratch()?;
        let mut choices = self.taken.choose()?;
        for attempt in 0..=MOST_RUNS {
            let private = attempt > 0;
            let instead = if private {
                self.taken.private(&choices, &scratch)?
            } else {
                self.taken.stand_ins(&choices)
            };
            let copy = Copy::of(base, &scratch, attempt, &self.target)?;
            let words = match base.contested {
                true => command.without_times(),
                false => command.words.args.clone(),
            };
            let (outcome, stdout) = match self.run_on(&copy, command, words, instead, &scratch)? {
                Ok(ran) => ran,
                Err(why) => return Ok(Err(Done::AsWritten(self.taken.as_it_is(why)?))),
            };
            if signals::caught().is_some() {
                return Ok(Err(interrupted()));
            }
            if self.taken.changed(&choices, private) {
                self.taken.read_again()?;
                choices = self.taken.choose()?;
                continue;
            }
            if !self.taken.is_empty() {
                process::say(&outcome.stderr);
            }
            let _ = io::stdout().lock().write_all(&stdout);
            self.conclude(&copy, command, base, &outcome, &choices, &scratch)?;
            return Ok(Ok(Ran {
                outcome,
                choices,
                attempt,
            }));
        }
        self.restless()
    }

    fn restless<T>(&self) -> anyhow::Result<T> {
        bail!(
            "cannot archive `{}`: its members keep changing; build one after the other",
            self.taken.output.display()
        )
    }

    /// Runs the archiver on the copy; gives how it went and what it printed. The inner error: why it must run as written.
    fn run_on(
        &mut self,
        copy: &Copy,
        command: &Archive,
        words: Vec<OsString>,
        mut instead: Vec<(Slot, PathBuf)>,
        scratch: &Scratch,
    ) -> anyhow::Result<Result<(Outcome, Vec<u8>), String>> {
        let bytes = |p: &Path| p.as_os_str().as_bytes().to_vec();
        let mut rewrite = self.taken.spelled(&instead);
        rewrite.push((bytes(&copy.path), bytes(command.path())));
        instead.push((Slot::word(command.archive, None), copy.path.clone()));
        let mut args = plan::archive(&words, &instead);
        if command.words.expanded() {
            // gcc-ar looks at its first word.
            let rest = args.split_off(1);
            args.extend(respond(rest, scratch)?);
        }
        let printed = scratch.dir().join("stdout");
        let mut redirect = Redirect::default();
        if command.verbose {
            redirect.stdout = Some(File::create(&printed).map_err(cannot("create", &printed))?);
        }
        let stderr = if self.taken.is_empty() {
            Stderr::Tee
        } else {
            Stderr::Hold
        };
        let started = Instant::now();
        let invocation = self.session.invocation(args);
        let outcome = match invocation.run_with(redirect, stderr, &rewrite) {
            Ok(outcome) => outcome,
            Err(e) if e.raw_os_error() == Some(libc::E2BIG) => {
                return Ok(Err("the command line is too long to change".into()));
            }
            Err(e) => return Err(cannot("run", &self.session.compiler.program)(e)),
        };
        self.archiver += started.elapsed().as_nanos() as u64;
        let mut stdout = Vec::new();
        if command.verbose {
            let text = fs::read(&printed).map_err(cannot("read", &printed))?;
            stdout = process::rewritten(&text, &rewrite).into_owned();
        }
        Ok(Ok((outcome, stdout)))
    }

    /// Gives the path what the archiver gave the copy.
    fn conclude(
        &self,
        copy: &Copy,
        command: &Archive,
        base: &Base,
        outcome: &Outcome,
        choices: &[Choice],
        scratch: &Scratch,
    ) -> anyhow::Result<()> {
        let path = &self.target.path;
        // What only can't be looked at mustn't be taken for removed.
        let made = Stamp::of_file(&copy.path).map_err(cannot("read", &copy.path))?;
        if made == copy.before {
            return Ok(());
        }
        if made.is_none() {
            // The archiver removed it.
            let _ = fs::remove_file(path);
            return Ok(());
        }
        let (Some((_, state)), true) = (&self.state, outcome.ended.ok()) else {
            return scratch::publish(&copy.path, path).map_err(cannot("write", path));
        };
        let mut held = Held::take(state, path).map_err(cannot("lock", &state.publish_lock()))?;
        let replaced = base.is_replaced_by(command);
        let made = self.made(&held, state, &copy.path, base, choices, replaced)?;
        note_what_is_there(&mut held, path).map_err(cannot("write", &state.claims()))?;
        held.publish(&copy.path, &made.wanted)
            .map_err(cannot("write", path))?;
        self.claim(&mut held, state, &made, choices, scratch)
    }

    /// Runs the archiver exactly as written, while the archive is held.
    fn in_place(&mut self, mut base: Base) -> anyhow::Result<Result<Ran, Otherwise>> {
        let scratch = self.scratch()?;
        let path = self.target.path.clone();
        let state = self.state.as_ref().map(|(_, state)| state.clone());
        if let Some(file) = &base.file {
            let saved = scratch.dir().join("base");
            fs::copy(file, &saved).map_err(cannot("copy", file))?;
            base.file = Some(saved);
        }
        for attempt in 0..=MOST_RUNS {
            let choices = self.taken.choose()?;
            let mut held = match &state {
                Some(state) => {
                    Some(Held::take(state, &path).map_err(cannot("lock", &state.publish_lock()))?)
                }
                None => None,
            };
            if let Some(held) = &mut held {
                held.open_path(&scratch).map_err(cannot("keep", &path))?;
            }
            if attempt > 0 || !foreign(&path) {
                base.put(&path, &scratch.dir().join("again"))?;
            }
            let before = stamp(&path);
            let outcome = self.run_in_place()?;
            if signals::caught().is_some() {
                return Ok(Err(interrupted()));
            }
            if self.taken.changed(&choices, false) {
                drop(held);
                self.taken.read_again()?;
                continue;
            }
            if !self.taken.is_empty() {
                process::say(&outcome.stderr);
            }
            let (Some(state), Some(mut held)) = (&state, held) else {
                return Ok(Ok(Ran {
                    outcome,
                    choices,
                    attempt,
                }));
            };
            if outcome.ended.ok() && stamp(&path).is_some_and(|s| Some(s) != before) {
                let made = self.made(&held, state, &path, &base, &choices, false)?;
                held.adopt(&made.wanted)
                    .map_err(cannot("write", &state.claims()))?;
                self.claim(&mut held, state, &made, &choices, &scratch)?;
            } else {
                held.close_path()
                    .map_err(cannot("write", &state.claims()))?;
            }
            return Ok(Ok(Ran {
                outcome,
                choices,
                attempt,
            }));
        }
        self.restless()
    }

    fn run_in_place(&mut self) -> anyhow::Result<Outcome> {
        let Job::InPlace(words, input) = &self.job else {
            bail!("a staged change is not run in place");
        };
        let redirect = Redirect {
            stdin: input.as_ref().map(script::Input::start).transpose()?,
            stdout: None,
            ..Redirect::default()
        };
        let stderr = if self.taken.is_empty() {
            Stderr::Inherit
        } else {
            Stderr::Hold
        };
        let started = Instant::now();
        let invocation = self.session.invocation(words.clone());
        let outcome = invocation
            .run_with(redirect, stderr, &[])
            .map_err(cannot("run", &self.session.compiler.program))?;
        self.archiver += started.elapsed().as_nanos() as u64;
        Ok(outcome)
    }

    /// What was taken is logged before the archive is claimed: to a later link, that was done with when it was asked for.
    fn claim(
        &self,
        held: &mut Held<'_>,
        state: &ObjectState,
        made: &Made,
        choices: &[Choice],
        scratch: &Scratch,
    ) -> anyhow::Result<()> {
        self.taken.log(choices);
        let at = state.record(&made.wanted.key);
        made.record
            .save(&scratch.dir().join("record"), &at)
            .map_err(cannot("write", &at))?;
        held.claim(&made.wanted, How::Compiled, &self.session.lineage)
            .map_err(cannot("write", &state.claims()))?;
        held.tidy(made.wanted.variant, scratch);
        Ok(())
    }

    /// Which variant the archive `new` is, and its record.
    fn made(
        &self,
        held: &Held<'_>,
        state: &ObjectState,
        new: &Path,
        base: &Base,
        choices: &[Choice],
        replaced: bool,
    ) -> anyhow::Result<Made> {
        let log = held.log();
        let hash = inputs::hash_file(new).map_err(cannot("read", new))?;
        let size = fs::metadata(new).map_err(cannot("read", new))?.len();
        let mut flags = self.taken.flags(choices);
        let before = base.variant.and_then(|v| log.newest_publish(&v));
        if let Some(publish) = before.filter(|_| !replaced)
            && let Some(record) = Record::read(&state.record(&publish.key))
        {
            let more: Vec<OsString> = record
                .flags
                .into_iter()
                .filter(|f| !flags.contains(f))
                .collect();
            flags.extend(more);
        }
        let mut hasher = blake3::Hasher::new();
        request::tagged(&mut hasher, "version", b"objguard archive 1");
        for word in self.session.args {
            request::tagged(&mut hasher, "word", word.as_bytes());
        }
        for flag in &flags {
            request::tagged(&mut hasher, "flag", flag.as_bytes());
        }
        let key = Key(request::truncate(&hasher));
        let holds = |v: &Variant| log.newest_publish(v).is_some_and(|p| p.hash == hash);
        let known = || {
            log.entries
                .iter()
                .rev()
                .filter_map(Entry::variant)
                .find(holds)
        };
        let grown = || {
            let file = base.file.as_deref()?;
            members::grew(file, new)
                .unwrap_or(false)
                .then_some(base.variant?)
        };
        let variant = base.variant.filter(holds).or_else(known).or_else(grown);
        let variant = variant.unwrap_or_else(|| {
            let id = format!("{} {}", std::process::id(), lineage::boottime_ns());
            request::tagged(&mut hasher, "unique", id.as_bytes());
            Variant(request::truncate(&hasher))
        });
        let why = "an archive is always made";
        Ok(Made {
            wanted: Wanted {
                variant,
                key,
                size,
                hash,
            },
            record: Record {
                variant,
                never: Some(why.into()),
                why: why.into(),
                size,
                hash,
                when: wall_ms(),
                took: self.archiver,
                flags,
                ..Record::default()
            },
        })
    }
}

/// An archive as it is written down.
struct Made {
    wanted: Wanted,
    record: Record,
}

/// The copy that the archiver works on.
struct Copy {
    path: PathBuf,
    /// As it was before; `None`: the archiver creates it.
    before: Option<Stamp>,
}

impl Copy {
    fn of(base: &Base, scratch: &Scratch, attempt: usize, target: &Target) -> anyhow::Result<Copy> {
        let folder = scratch.dir().join(format!("a{attempt}"));
        crate::state::make_private(&folder).map_err(cannot("create", &folder))?;
        let path = folder.join(&target.name);
        if let Some(file) = &base.file {
            fs::copy(file, &path).map_err(cannot("copy", file))?;
        }
        Ok(Copy {
            before: stamp(&path),
            path,
        })
    }
}

/// The name of the lock under which an archive is changed by one at a time.
fn in_turn() -> Key {
    Key(inputs::hash(b"objguard: one archiver at a time"))
}

fn interrupted() -> Done {
    Done::Ended(Ended::Signal(signals::caught().unwrap_or(libc::SIGINT)))
}

fn stamp(path: &Path) -> Option<Stamp> {
    Stamp::of_file(path).ok().flatten()
}

/// After a kill between the log's line and the rename, the path holds a variant as it was before it grew: then that is what
/// the variant is.
fn note_what_is_there(held: &mut Held<'_>, path: &Path) -> io::Result<()> {
    let (Some(variant), Some(there)) = (held.current()?, stamp(path)) else {
        return Ok(());
    };
    let Some(newest) = held.log().newest_publish(&variant) else {
        return Ok(());
    };
    let Publish {
        key, stamp, hash, ..
    } = *newest;
    if stamp.same_content(&there) {
        return Ok(());
    }
    let now = inputs::hash_file(path)?;
    if now == hash {
        return Ok(());
    }
    held.adopt(&Wanted {
        variant,
        key,
        size: there.size,
        hash: now,
    })
}
