//! A guarded link: every guarded object and archive in the variant that the link's own lineage asked for, and inputs that don't
//! change while it runs. What is taken is decided in [`super::taken`]; this is the order of the effects.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::mem::ManuallyDrop;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::bail;

use super::compile::{respond, unwritable};
use super::held::{Held, Wanted};
use super::taken::{Choice, Named, Taken, guarded};
use super::{Done, Session, Target, cannot, wall_ms};
use crate::archive::members;
use crate::claims::How;
use crate::command::{Colour, Link, Placement};
use crate::diagnostics;
use crate::events::Event;
use crate::inputs;
use crate::libraries;
use crate::lineage;
use crate::plan::{self, Slot};
use crate::process::{self, Ended, Outcome, Redirect, Stderr};
use crate::record::Record;
use crate::request::{self, Key, Variant};
use crate::scratch::{self, Scratch};
use crate::signals;
use crate::stamp::Stamp;
use crate::state::Folder;

/// How often a link is run again because its inputs changed, before they are taken from private links for good.
const OPTIMISTIC_RUNS: usize = 1;

/// How often one is run again because inputs changed that no private link can stand in for.
const MOST_RUNS: usize = 10;

/// Runs one link.
///
/// # Errors
/// The link is ambiguous, a variant it must take is lost, or its output can't be published.
pub fn link(session: &Session<'_>, command: &Link) -> anyhow::Result<Done> {
    let began = Instant::now();
    let mut taken = Taken {
        session,
        output: &command.output,
        verb: "link",
        inputs: guarded(named_inputs(session, command))?,
    };
    let target = match Target::of(&command.output, true) {
        Ok(target) => target,
        Err(why) => return Ok(Done::AsWritten(taken.as_it_is(why)?)),
    };
    if taken.is_empty() && !stages(command, &target) {
        return Ok(Done::AsWritten(
            "no input is guarded, and the link runs in place".into(),
        ));
    }
    // Its inputs aren't freed one by one a moment before the process ends.
    let linking = Linking {
        session,
        command,
        target,
        taken,
        began,
    };
    ManuallyDrop::new(linking).run()
}

/// The files that the linker will read, as far as the words tell: those they name, the archives that `-l` finds, and the
/// members of thin archives, which stay in files of their own.
fn named_inputs(session: &Session<'_>, command: &Link) -> Vec<(Named, PathBuf)> {
    let mut named: Vec<(Named, PathBuf)> = command
        .inputs
        .iter()
        .map(|i| (Named::By(Slot::word(i.word, i.piece)), i.path.clone()))
        .collect();
    for (n, path) in libraries::archives(command, session.variable("LIBRARY_PATH")) {
        let name = match plan::library_slot(command, n) {
            Some(slot) => Named::By(slot),
            None => Named::Fixed(format!(
                "its `-l` and its name stand in two words for the linker; write `-l{}`",
                command.libraries[n].name.display()
            )),
        };
        named.push((name, path));
    }
    let mut members = Vec::new();
    for (_, path) in &named {
        if path.extension().is_some_and(|e| e == "a")
            && let Ok(Some(names)) = members::of_thin(path)
        {
            let why = format!("it is a member of the thin archive `{}`", path.display());
            members.extend(names.into_iter().map(|m| (Named::Fixed(why.clone()), m)));
        }
    }
    named.extend(members);
    named
}

/// Whether the folder may not be written to; another cause is the linker's to tell.
fn is_refusal(e: &io::Error) -> bool {
    matches!(
        e.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
    )
}

/// Whether the output can be made in scratch. Where there is no folder to make one in, the linker says so itself.
fn stages(command: &Link, target: &Target) -> bool {
    command.placement == Placement::Staged && target.has_room() && target.folder().is_dir()
}

/// One run of the linker.
struct Run {
    outcome: Outcome,
    /// Held back, with the paths that the user knows.
    stdout: Vec<u8>,
    /// What it made in scratch.
    output: Option<PathBuf>,
}

struct Linking<'a> {
    session: &'a Session<'a>,
    command: &'a Link,
    target: Target,
    taken: Taken<'a>,
    began: Instant,
}

impl Linking<'_> {
    fn run(&mut self) -> anyhow::Result<Done> {
        let mut choices = self.taken.choose()?;
        let staged = stages(self.command, &self.target);
        if !staged
            && choices.iter().all(|c| matches!(c, Choice::AsItIs(_)))
            && self.taken.is_empty()
        {
            return Ok(Done::AsWritten("nothing to guard".into()));
        }
        signals::catch();
        let scratch = match self.scratch() {
            Ok(scratch) => scratch,
            Err(e) if is_refusal(&e) && self.taken.is_empty() => {
                return unwritable(self.session, &self.target.path, &e);
            }
            Err(_) if self.taken.is_empty() => {
                return Ok(Done::AsWritten(
                    "the output's folder can't be written to".into(),
                ));
            }
            Err(e) if is_refusal(&e) => bail!(
                "cannot write `{}`: {e}; make the folder writable, or build elsewhere",
                self.target.path.display()
            ),
            Err(e) => return Err(cannot("create a folder for", &self.target.path)(e)),
        };
        let mut compiler = 0;
        for attempt in 0.. {
            let private = attempt >= OPTIMISTIC_RUNS;
            let instead = if private {
                self.taken.private(&choices, &scratch)?
            } else {
                self.taken.stand_ins(&choices)
            };
            let started = Instant::now();
            let run = match self.link_once(&scratch, attempt, staged, &instead)? {
                Ok(ran) => ran,
                Err(why) => return Ok(Done::AsWritten(self.taken.as_it_is(why)?)),
            };
            compiler += started.elapsed().as_nanos() as u64;
            if let Some(signal) = signals::caught() {
                return Ok(Done::Ended(Ended::Signal(signal)));
            }
            if self.taken.changed(&choices, private) {
                if attempt >= MOST_RUNS {
                    bail!(
                        "cannot link `{}`: its inputs keep changing; build one after the other",
                        self.command.output.display()
                    );
                }
                self.taken.read_again()?;
                choices = self.taken.choose()?;
                continue;
            }
            if !self.taken.is_empty() {
                let _ = io::stdout().lock().write_all(&run.stdout);
                process::say(&run.outcome.stderr);
            }
            return self.conclude(
                run.outcome,
                run.output,
                &choices,
                &scratch,
                attempt,
                compiler,
            );
        }
        unreachable!("the attempts are endless")
    }

    /// Scratch on the output's file system: in the state folder of an object if that lies there, so that nothing shows in a
    /// folder that is packaged while the link runs.
    fn scratch(&self) -> io::Result<Scratch> {
        let dev = fs::metadata(self.target.folder())?.dev();
        if let Some(first) = self.taken.inputs.iter().find(|g| g.folder.dev() == dev) {
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
        instead: &[(Slot, PathBuf)],
    ) -> anyhow::Result<Result<Run, String>> {
        // gcc's driver follows the output's path anew for each input: every folder less counts.
        let mut output = scratch.path(&self.target.name);
        if staged && attempt > 0 {
            let folder = scratch.own(&format!("again{attempt}"));
            crate::state::make_private(&folder).map_err(cannot("create", &folder))?;
            output = folder.join(&self.target.name);
        }
        let placeholder = if staged {
            self.placeholder(&output)?
        } else {
            None
        };
        let hold = !self.taken.is_empty();
        let dialect = self.session.dialect;
        let colour = hold
            && diagnostics::wants_colour(Colour::Default, dialect, 0, self.session.environment);
        let mut args = plan::link(
            self.command,
            staged.then_some(output.as_path()),
            instead,
            colour,
        );
        if self.command.words.expanded() {
            args = respond(args, scratch)?;
        }
        let mut rewrite = self.taken.spelled(instead);
        rewrite.push((
            output.as_os_str().as_bytes().to_vec(),
            self.command.output.as_os_str().as_bytes().to_vec(),
        ));
        let stderr = if hold { Stderr::Hold } else { Stderr::Inherit };
        // What a run says that is done again must not be heard.
        let printed = scratch.own(&format!("stdout{attempt}"));
        let mut redirect = Redirect::default();
        if hold {
            redirect.stdout = Some(File::create(&printed).map_err(cannot("create", &printed))?);
        }
        let invocation = self.session.invocation(args);
        let outcome = match invocation.run_with(redirect, stderr, &rewrite) {
            Ok(outcome) => outcome,
            Err(e) if e.raw_os_error() == Some(libc::E2BIG) => {
                return Ok(Err("the command line is too long to change".into()));
            }
            Err(e) => return Err(cannot("run", &self.session.compiler.program)(e)),
        };
        let mut stdout = Vec::new();
        if hold {
            let text = fs::read(&printed).map_err(cannot("read", &printed))?;
            stdout = process::rewritten(&text, &rewrite).into_owned();
            let _ = fs::remove_file(&printed);
        }
        let made = Stamp::of_file(&output).map_err(cannot("read", &output))?;
        let written = staged && made.is_some() && made != placeholder;
        if staged
            && !outcome.ended.ok()
            && placeholder.is_some()
            && made != placeholder
            && signals::caught().is_none()
            && !self.taken.moved()
        {
            // A failing linker removes its old output (compiler-options.md, G2).
            let _ = fs::remove_file(&self.target.path);
        }
        Ok(Ok(Run {
            outcome,
            stdout,
            output: written.then_some(output),
        }))
    }

    fn placeholder(&self, output: &Path) -> anyhow::Result<Option<Stamp>> {
        if self.target.file.is_none() {
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
            match &output {
                Some(output) => self.publish(output, choices, scratch)?,
                None => self.taken.log(choices),
            }
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
        let inputs = self.taken.listed(choices);
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
        let plainly = || {
            scratch::publish(output, &self.target.path).map_err(failed())?;
            // Not before: whoever is killed until then has taken nothing, and may link again.
            self.taken.log(choices);
            Ok(())
        };
        if !self.command.relocatable {
            return plainly();
        }
        let Ok(folder) = Folder::create(&self.target.dir) else {
            return plainly();
        };
        let Ok(state) = folder.object(&self.target.name) else {
            return plainly();
        };
        state.create().map_err(cannot("create", state.path()))?;
        let mut hasher = blake3::Hasher::new();
        for word in &self.command.words.args {
            request::tagged(&mut hasher, "word", word.as_bytes());
        }
        let flags = self.taken.flags(choices);
        for flag in &flags {
            request::tagged(&mut hasher, "flag", flag.as_bytes());
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
            flags,
            ..Record::default()
        };
        let mut held =
            Held::take(&state, &self.target.path).map_err(cannot("lock", &state.publish_lock()))?;
        held.publish(output, &wanted).map_err(failed())?;
        // Before it is claimed: to a further link, taking its objects was done with then.
        self.taken.log(choices);
        record
            .save(&scratch.own("record"), &state.record(&key))
            .map_err(cannot("write", &state.record(&key)))?;
        held.claim(&wanted, How::Compiled, &self.session.lineage)
            .map_err(cannot("write", &state.claims()))?;
        held.tidy(variant, scratch);
        Ok(())
    }
}
