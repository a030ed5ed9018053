//! A guarded compile: skip it if a variant can stand for it, else run it in scratch and publish what it gives.

use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::mem::ManuallyDrop;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::held::{Held, Wanted};
use super::{Done, Hit, Session, Target, cannot, lasting, lookup, wall_ms, writes_through_links};
use crate::claims::How;
use crate::command::{Compile, Dialect, Placement};
use crate::diagnostics;
use crate::dirty::Dirty;
use crate::events::Event;
use crate::identity::{Identity, Kind, asked_as, cache_dirs};
use crate::inputs::known::Known;
use crate::inputs::{self, Collected};
use crate::lock;
use crate::plan::{self, Additions};
use crate::process::{self, Ended, Outcome, Redirect, Stderr};
use crate::record::{Bound, Maker, Record, Side};
use crate::relocation;
use crate::request::{self, Key, Request, Variant};
use crate::scan;
use crate::scratch::{self, Scratch};
use crate::search::{self, Listings, Search};
use crate::signals;
use crate::spelling;
use crate::stamp::{Stamp, may_exist};
use crate::state::{Distrust, Folder, ObjectState};

/// Variables that make gcc write dependency files of its own, unless `-MD` is given (compiler-options.md, D2).
const DEPENDENCY_VARIABLES: [&str; 2] = ["DEPENDENCIES_OUTPUT", "SUNPRO_DEPENDENCIES"];
/// Variables that rewrite the compiler's command line, or print it.
const REWRITING_VARIABLES: [&str; 5] = [
    "GCC_COMPARE_DEBUG",
    "CCC_OVERRIDE_OPTIONS",
    "CC_PRINT_OPTIONS",
    "CC_PRINT_HEADERS",
    "CC_PRINT_PROC_STAT",
];

/// Runs or skips one compile.
///
/// # Errors
/// What was compiled can't be published or claimed: the compile must not count as done.
pub fn compile(session: &Session<'_>, command: &Compile) -> anyhow::Result<Done> {
    signals::survive_file_size_limit();
    if let Some(name) = REWRITING_VARIABLES
        .iter()
        .find(|n| session.variable(n).is_some())
    {
        return Ok(Done::AsWritten(format!("`{name}` rewrites the command")));
    }
    let dialect = session.dialect;
    let target = match Target::of(&command.output, writes_through_links(dialect)) {
        Ok(target) => target,
        Err(why) => return Ok(Done::AsWritten(why)),
    };
    if let Ok(source) = fs::metadata(command.source_path()) {
        if !source.is_file() {
            return Ok(Done::AsWritten("the source is not a regular file".into()));
        }
        if target.file == Some((source.dev(), source.ino())) {
            return Ok(Done::AsWritten("the output is the source".into()));
        }
    }
    if !target.has_room() {
        return Ok(Done::AsWritten(
            "the paths of its state would be too long".into(),
        ));
    }
    let folder = match Folder::create(&target.dir) {
        Ok(folder) => folder,
        Err(Distrust::Io(_, e) | Distrust::Unmade(_, e))
            if matches!(
                e.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(Done::AsWritten("the output's folder isn't there".into()));
        }
        Err(Distrust::Io(path, e)) => return Err(cannot("read", &path)(e)),
        Err(Distrust::Unmade(path, e)) if lasting(&e) => return unwritable(session, &path, &e),
        Err(Distrust::Unmade(path, e)) => return Err(cannot("create", &path)(e)),
        Err(distrust) => {
            return Unrecorded {
                session,
                command,
                target: &target,
            }
            .run(&distrust.to_string());
        }
    };
    let identity = session.identify(&command.probe_flags, command.language, Some(&folder))?;
    if identity.kind != Kind::Unknown && identity.dialect() != dialect {
        return Ok(Done::ReadAs(identity.dialect()));
    }
    let state = match folder.object(&target.name) {
        Ok(state) => state,
        Err(distrust) => {
            return Unrecorded {
                session,
                command,
                target: &target,
            }
            .run(&distrust.to_string());
        }
    };
    if let Err(e) = state.create() {
        if !lasting(&e) {
            return Err(cannot("create", state.path())(e));
        }
        return Unrecorded {
            session,
            command,
            target: &target,
        }
        .run(&format!("cannot create `{}`: {e}", state.path().display()));
    }
    let directory = match request::working_directory(session.variable("PWD")) {
        Ok(directory) => directory,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Ok(Done::AsWritten(
                "the working directory has been removed".into(),
            ));
        }
        Err(e) => return Err(cannot("find", Path::new("."))(e)),
    };
    let program: Vec<_> = std::iter::once(session.compiler.program.as_os_str())
        .chain(session.compiler.words.iter().map(OsString::as_os_str))
        .collect();
    let places = relocation::places(command, &directory, session.environment);
    let request = Request {
        compile: command,
        identity: &identity,
        program: &program,
        directory: &directory,
        environment: session.environment,
        places: &places,
    };
    let key = request.key();
    let refusal = depfile_refusal(command);
    let guarded = Guarded {
        session,
        command,
        target: &target,
        folder: &folder,
        state: &state,
        key,
        directory: &directory,
        places: &places,
        place: match refusal {
            Some(_) => Place::Here,
            None => placement(session, command, &identity),
        },
        never: refusal.or_else(|| never_skipped(session, command, &identity)),
        coloured: diagnostics::wants_colour(
            command.colour,
            dialect,
            identity.version.0,
            session.environment,
        ),
        identity: &identity,
        began: Instant::now(),
    };
    guarded.run()
}

/// Where and how the compiler works.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// In scratch.
    Staged,
    /// In scratch, with the names of its output kept right; the object is held meanwhile.
    Named,
    /// At the path itself, exactly as written; the object is held meanwhile.
    Here,
}

fn placement(session: &Session<'_>, command: &Compile, identity: &Identity) -> Place {
    if DEPENDENCY_VARIABLES
        .iter()
        .any(|n| session.variable(n).is_some())
    {
        return Place::Here;
    }
    match command.placement {
        // What its dependency options mean isn't known.
        Placement::Staged if identity.kind == Kind::Unknown && command.depfile.is_some() => {
            Place::Here
        }
        Placement::Staged => Place::Staged,
        Placement::Named if identity.kind == Kind::Gcc && identity.version.0 >= 11 => Place::Named,
        Placement::Named | Placement::InPlace(_) => Place::Here,
    }
}

fn never_skipped(session: &Session<'_>, command: &Compile, identity: &Identity) -> Option<String> {
    if let Err(reason) = &command.reuse {
        return Some(reason.to_string());
    }
    if identity.kind == Kind::Unknown {
        return Some("the compiler is neither gcc nor clang".into());
    }
    if let Some(name) = DEPENDENCY_VARIABLES
        .iter()
        .find(|n| session.variable(n).is_some())
    {
        return Some(format!("`{name}` has the compiler write a file of its own"));
    }
    match &command.placement {
        Placement::InPlace(reason) => return Some(reason.to_string()),
        Placement::Named if command.side_outputs.is_empty() => {
            return Some("it writes files beside the object whose names aren't known".into());
        }
        Placement::Named if placement(session, command, identity) == Place::Here => {
            return Some(
                "it runs in place, and what it writes beside the object isn't tracked".into(),
            );
        }
        _ => {}
    }
    if command.depfile.as_ref().is_some_and(|d| !d.system) {
        return Some("`-MMD` hides the system's headers, which are inputs".into());
    }
    None
}

/// Why the user's depfile can't be put where it belongs.
fn depfile_refusal(command: &Compile) -> Option<String> {
    let file = &command.depfile.as_ref()?.file;
    if file.as_os_str() == "-" {
        return Some("the depfile goes to stdout".into());
    }
    if !writable(&spelling::folder_of(file)) || (file.exists() && !writable(file)) || file.is_dir()
    {
        return Some("the depfile can't be written to".into());
    }
    None
}

fn writable(path: &Path) -> bool {
    // SAFETY: `c` is a NUL-terminated path that lives during the call.
    std::ffi::CString::new(path.as_os_str().as_bytes())
        .is_ok_and(|c| unsafe { libc::access(c.as_ptr(), libc::W_OK) == 0 })
}

/// The output's folder can't hold state: the compiler runs as written, and if it fails, a line says what to do.
pub(super) fn unwritable(
    session: &Session<'_>,
    path: &Path,
    error: &io::Error,
) -> anyhow::Result<Done> {
    let outcome = session
        .as_written()
        .run(Stderr::Inherit, &[])
        .map_err(cannot("run", &session.compiler.program))?;
    if !outcome.ended.ok() {
        let line = format!(
            "objguard: cannot write `{}`: {error}; make the folder writable, or build elsewhere\n",
            path.display()
        );
        process::say(line.as_bytes());
    }
    Ok(Done::Ended(outcome.ended))
}

/// One compile of an object with trusted state.
struct Guarded<'a> {
    session: &'a Session<'a>,
    command: &'a Compile,
    target: &'a Target,
    folder: &'a Folder,
    state: &'a ObjectState,
    key: Key,
    directory: &'a Path,
    places: &'a [PathBuf],
    never: Option<String>,
    place: Place,
    coloured: bool,
    identity: &'a Identity,
    began: Instant,
}

/// What a run in scratch gave.
struct Made {
    wanted: Wanted,
    record: Record,
    depfile: Option<PathBuf>,
}

impl Guarded<'_> {
    fn run(&self) -> anyhow::Result<Done> {
        if let Some(why) = &self.never {
            return self.compile(Dirty::NeverSkipped(why.clone()), 0);
        }
        let mut why = match self.skip(0, false)? {
            Ok(done) => return Ok(done),
            Err(why) => why,
        };
        let flight = self.state.flight_lock(&self.key);
        let waiting = Instant::now();
        loop {
            match lock::try_acquire(&flight) {
                Ok(Some(lock)) => {
                    let waited = waiting.elapsed().as_nanos() as u64;
                    let done = match self.skip(waited, true)? {
                        Ok(done) => Ok(done),
                        Err(dirty) => {
                            why = dirty;
                            self.compile(why, waited)
                        }
                    };
                    lock.remove();
                    return done;
                }
                // Somebody compiles just this: when that is over, a look tells whether it can stand for ours.
                Ok(None) => {
                    if self.session.config.debug {
                        let path = self.target.path.display();
                        process::say(
                            format!("objguard: waits for another compile of `{path}`\n").as_bytes(),
                        );
                    }
                    match lock::wait(&flight) {
                        Ok(()) => {}
                        Err(_) if signals::caught().is_some() => return Ok(self.interrupted()),
                        Err(e) => return Err(cannot("lock", &flight)(e)),
                    }
                }
                Err(_) => return self.compile(why, 0),
            }
            let waited = waiting.elapsed().as_nanos() as u64;
            if let Ok(done) = self.skip(waited, false)? {
                return Ok(done);
            }
        }
    }

    fn interrupted(&self) -> Done {
        Done::Ended(Ended::Signal(signals::caught().unwrap_or(libc::SIGINT)))
    }

    /// Lets a recorded variant stand for the compile, or tells why it can't. `prove`: nobody else is at it, so that it may be worked for.
    fn skip(&self, waited: u64, prove: bool) -> anyhow::Result<Result<Done, Dirty>> {
        let mut hit = match lookup(
            self.state,
            &self.key,
            self.session.environment,
            self.coloured,
            self.places,
        ) {
            // Freeing hundreds of paths one by one, a moment before the process ends, would take as long as reading them.
            Ok(hit) => ManuallyDrop::new(hit),
            Err(dirty) => return Ok(Err(dirty)),
        };
        if let Some(counts) = self.old_counts() {
            return Ok(Err(Dirty::NeverSkipped(format!(
                "a compile makes the counts in `{}` void",
                counts.display()
            ))));
        }
        if hit.unproved {
            if !prove {
                let why = "whether it shows must be seen";
                return Ok(Err(Dirty::Moved(why.into())));
            }
            if let Some(why) = self.tells_places()? {
                return Ok(Err(Dirty::Bound(why)));
            }
            hit.record.bound = Bound::Free;
        }
        let record = &hit.record;
        let wanted = Wanted {
            variant: record.variant,
            key: self.key,
            size: record.size,
            hash: record.hash,
        };
        let Some(mut held) = self.hold()? else {
            return Ok(Err(Dirty::ObjectLost));
        };
        let at_path = held.path_holds(&wanted);
        let kept = if at_path { None } else { held.kept(&wanted) };
        if !at_path && kept.is_none() {
            return Ok(Err(Dirty::ObjectLost));
        }
        let mut restored = None;
        if let (Some(request), Some(text)) = (&self.command.depfile, &record.depfile)
            && restore(&request.file, text)?
        {
            restored = Some(&request.file);
        }
        let how = match kept {
            None => How::Skipped,
            Some(kept) => self.republish(&mut held, &kept, &wanted)?,
        };
        let touched = self.settle_path(&hit)?;
        let depfile = self
            .command
            .depfile
            .as_ref()
            .filter(|_| record.depfile.is_some());
        // Written before the object, as by the compiler: not newer than it, and not older than what it lists.
        if let Some(file) = restored.or(depfile.filter(|_| touched).map(|d| &d.file)) {
            let object = Stamp::of(&self.target.path).map_err(cannot("read", &self.target.path))?;
            scratch::utimens(file, Some(object.mtime)).map_err(cannot("touch", file))?;
        }
        held.claim(&wanted, how, &self.session.lineage)
            .map_err(cannot("write", &self.state.claims()))?;
        if (held.log().damaged || held.log().grows_long())
            && let Ok(scratch) = Scratch::in_state(self.folder)
        {
            held.tidy(wanted.variant, &scratch);
        }
        drop(held);
        if hit.restamped
            && let Ok(scratch) = Scratch::in_state(self.folder)
        {
            // Only speed rests on it.
            let _ = record.save(&scratch.own("record"), &self.state.record(&self.key));
        }
        if !self.replay(record) {
            return Ok(Ok(self.unread(waited)?));
        }
        self.event(
            if how == How::Skipped {
                "skip"
            } else {
                "republish"
            },
            None,
            Some(&wanted.variant),
            waited,
            0,
            Ended::Code(0),
            record.took,
        );
        Ok(Ok(Done::Ended(Ended::Code(0))))
    }

    /// Preprocesses the source: what in it tells the path of a build environment?
    fn tells_places(&self) -> anyhow::Result<Option<String>> {
        let scratch = Scratch::in_state(self.folder)
            .map_err(cannot("create a folder in", &self.folder.tmp()))?;
        let (text, depfile) = (scratch.own("i"), scratch.own("d"));
        let mut args = plan::compile(
            self.command,
            Additions {
                object: text.as_os_str().as_bytes(),
                depfile: self.command.depfile.as_ref().map(|_| depfile.as_path()),
                ..Additions::default()
            },
        );
        args.insert(0, "-E".into());
        if self.command.words.expanded() {
            args = respond(args, &scratch)?;
        }
        let outcome = self
            .session
            .invocation(args)
            .run(Stderr::Hold, &[])
            .map_err(cannot("run", &self.session.compiler.program))?;
        let text = fs::read(&text).ok().filter(|_| outcome.ended.ok());
        let Some(text) = text else {
            return Ok(Some("its text can't be had".into()));
        };
        let built_in = &self.identity.include_dirs;
        Ok(relocation::shows(&text, self.places, built_in, self.command.lto).err())
    }

    /// Counts of earlier runs of an instrumented program. gcc removes them as it writes new notes for the coverage, or gives the
    /// notes another stamp, by which the counts are thrown away (gcc(1), `--coverage`; coverage.c).
    fn old_counts(&self) -> Option<PathBuf> {
        if self.session.dialect != Dialect::Gcc {
            return None;
        }
        let notes = self.command.side_outputs.iter().map(|side| &side.path);
        notes
            .filter(|path| path.extension().is_some_and(|end| end == "gcno"))
            .map(|path| path.with_extension("gcda"))
            .find(|counts| may_exist(counts))
    }

    fn republish(&self, held: &mut Held<'_>, kept: &Path, wanted: &Wanted) -> anyhow::Result<How> {
        let scratch = Scratch::in_state(self.folder)
            .map_err(cannot("create a folder in", &self.folder.tmp()))?;
        held.publish_again(kept, wanted, &scratch)
            .map_err(cannot("write", &self.target.path))?;
        Ok(How::Republished)
    }

    /// Gives the path the mode a compile would give it, and a time that is not older than its inputs': make and setuptools
    /// come to rest. Says whether it was older.
    fn settle_path(&self, hit: &Hit) -> anyhow::Result<bool> {
        let path = &self.target.path;
        let meta = fs::symlink_metadata(path).map_err(cannot("read", path))?;
        let mode = 0o666 & !umask();
        if meta.mode() & 0o777 != mode {
            fs::set_permissions(path, Permissions::from_mode(mode))
                .map_err(cannot("set the mode of", path))?;
        }
        let response_files = &self.command.words.files;
        let newest = response_files
            .iter()
            .filter_map(|p| Stamp::of(p).ok())
            .map(|s| s.mtime)
            .fold(hit.newest_input, i64::max);
        let older = newest > Stamp::from(&meta).mtime;
        if older {
            scratch::utimens(path, None).map_err(cannot("touch", path))?;
        }
        Ok(older)
    }

    /// Says again what the compiler said. `false`: nobody reads it.
    fn replay(&self, record: &Record) -> bool {
        if record.coloured && !self.coloured {
            process::say(&diagnostics::without_colour(&record.stderr))
        } else {
            record.stderr.is_empty() || process::say(&record.stderr)
        }
    }

    /// A compiler whose messages nobody reads dies of SIGPIPE in its own way, and its object with it.
    fn unread(&self, waited: u64) -> anyhow::Result<Done> {
        let why = "nobody reads its messages";
        signals::catch();
        match self.hold()? {
            Some(held) => self.in_place(Dirty::NeverSkipped(why.into()), waited, held),
            None => Ok(Done::AsWritten(why.into())),
        }
    }

    /// Runs the compiler.
    fn compile(&self, why: Dirty, waited: u64) -> anyhow::Result<Done> {
        signals::catch();
        match self.place {
            Place::Staged => self.staged(why, waited, None),
            Place::Named | Place::Here => {
                let Some(held) = self.hold()? else {
                    return self.unrecorded("there are no locks");
                };
                match self.place {
                    Place::Here => self.in_place(why, waited, held),
                    _ => self.staged(why, waited, Some(held)),
                }
            }
        }
    }

    /// Takes the publish lock; `None` if that can't be had on this file system, and nobody has claimed anything here.
    fn hold(&self) -> anyhow::Result<Option<Held<'_>>> {
        match Held::take(self.state, &self.target.path) {
            Ok(held) => Ok(Some(held)),
            Err(e) if lasting(&e) && !claimed(self.state) => Ok(None),
            Err(e) => Err(cannot("lock", &self.state.publish_lock())(e)),
        }
    }

    fn unrecorded(&self, why: &str) -> anyhow::Result<Done> {
        Unrecorded {
            session: self.session,
            command: self.command,
            target: self.target,
        }
        .run(why)
    }

    fn staged(&self, why: Dirty, waited: u64, held: Option<Held<'_>>) -> anyhow::Result<Done> {
        let mut scratch = match Scratch::in_state(self.folder) {
            Ok(scratch) => scratch,
            Err(e) if lasting(&e) && !claimed(self.state) => {
                return unwritable(self.session, &self.folder.tmp(), &e);
            }
            Err(e) => return Err(cannot("create a folder in", &self.folder.tmp())(e)),
        };
        let folders = self.command.search.iter().map(|d| Path::new(&d.dir));
        for path in std::iter::once(self.command.source_path())
            .chain(self.command.forced_includes.iter().map(Path::new))
            .chain(folders)
        {
            if let Ok(stamp) = Stamp::of(path) {
                scratch.wait_until_after(stamp.ctime);
            }
        }
        let before = Listings::of(&self.own_roots());
        let started = Instant::now();
        let run = Staged {
            session: self.session,
            command: self.command,
            target: self.target,
            scratch: &scratch,
        };
        let tracked = self.identity.kind != Kind::Unknown;
        let ran = run.run(self.place == Place::Named, self.coloured, tracked)?;
        let Ran {
            outcome,
            object,
            removed,
        } = match ran {
            Ok(ran) => ran,
            Err(too_long) => {
                drop(scratch);
                let Some(held) = held.map_or_else(|| self.hold(), |held| Ok(Some(held)))? else {
                    return Ok(Done::AsWritten(too_long));
                };
                return self.in_place(Dirty::NeverSkipped(too_long), waited, held);
            }
        };
        let took = started.elapsed().as_nanos() as u64;
        if signals::caught().is_some() {
            return Ok(self.interrupted());
        }
        if outcome.unread {
            drop((scratch, held));
            return self.unread(waited);
        }
        let depfile = run.depfile();
        let Some(object) = object.filter(|_| outcome.ended.ok()) else {
            if removed {
                self.remove(held);
            }
            self.event("fail", Some(&why), None, waited, took, outcome.ended, 0);
            run.publish_depfile(&depfile)?;
            return Ok(Done::Ended(outcome.ended));
        };
        let made = self.examine(&outcome, &object, &scratch, &before, &why, took)?;
        let held = match held {
            Some(held) => Some(held),
            None => self.hold()?,
        };
        let Some(mut held) = held else {
            run.publish_depfile(&depfile)?;
            scratch::publish(&object, &self.target.path)
                .map_err(cannot("write", &self.target.path))?;
            return Ok(Done::Ended(outcome.ended));
        };
        if let Some(depfile) = &made.depfile {
            run.publish_depfile(depfile)?;
        }
        if let Some(mode) = self.mode_to_keep() {
            let _ = fs::set_permissions(&object, Permissions::from_mode(mode));
        }
        held.publish(&object, &made.wanted)
            .map_err(cannot("write", &self.target.path))?;
        self.finish(&mut held, &made, &scratch)?;
        drop(held);
        if made.depfile.is_none() {
            // Then the scratch is empty, and goes in one call.
            let _ = fs::remove_file(&depfile);
        }
        self.event(
            "compile",
            Some(&why),
            Some(&made.wanted.variant),
            waited,
            took,
            outcome.ended,
            took,
        );
        Ok(Done::Ended(outcome.ended))
    }

    /// The mode of an output that exists and is empty: gcc's assembler writes into such a file (compiler-options.md, C).
    fn mode_to_keep(&self) -> Option<u32> {
        let meta = fs::metadata(&self.target.path).ok()?;
        (self.session.dialect == Dialect::Gcc && meta.is_file() && meta.len() == 0)
            .then(|| meta.mode() & 0o777)
    }

    /// Removes the object, as a compiler that fails does; others who asked for what was there find it kept.
    fn remove(&self, held: Option<Held<'_>>) {
        let held = held.map_or_else(|| self.hold(), |held| Ok(Some(held)));
        let keeps = |held: Held<'_>| held.keep_current(None).is_ok();
        if held.is_ok_and(|held| held.is_none_or(keeps)) {
            let _ = fs::remove_file(&self.target.path);
        }
    }

    /// The record and the claim, once the variant is at the path. The record comes first: a claim of a variant without one
    /// has no flags to be told by.
    fn finish(&self, held: &mut Held<'_>, made: &Made, scratch: &Scratch) -> anyhow::Result<()> {
        let record = self.state.record(&self.key);
        made.record
            .save(&scratch.own("record"), &record)
            .map_err(cannot("write", &record))?;
        held.claim(&made.wanted, How::Compiled, &self.session.lineage)
            .map_err(cannot("write", &self.state.claims()))?;
        held.tidy(made.wanted.variant, scratch);
        Ok(())
    }

    /// Learns what the object was made from.
    fn examine(
        &self,
        outcome: &Outcome,
        object: &Path,
        scratch: &Scratch,
        before: &Listings,
        why: &Dirty,
        took: u64,
    ) -> anyhow::Result<Made> {
        let source = self.command.source_path();
        let depfile = scratch.own("d");
        let text = fs::read(&depfile).ok();
        let listed = text.as_deref().and_then(crate::depfile::prerequisites);
        let preprocessed = !self.command.language.runs_preprocessor();
        let mut never = self.never.clone();
        let mut paths = match listed {
            Some(paths) => paths,
            None => {
                if !preprocessed {
                    never.get_or_insert_with(|| "the compiler wrote no depfile".into());
                }
                Vec::new()
            }
        };
        // gcc leaves off a `./` that the user wrote: the source counts as spelled, once.
        if preprocessed || !paths.iter().any(|p| spelling::same(p, source)) {
            paths.insert(0, source.to_owned());
        }
        let mut collected = inputs::collect(
            paths,
            source,
            &self
                .command
                .words
                .args
                .join(OsStr::new(
                    "
",
                ))
                .into_encoded_bytes(),
            scratch.clock(),
            self.folder.dev(),
            &Known::open(
                &cache_dirs(self.session.environment, Some(self.folder.path())),
                self.directory,
            ),
        );
        let mut search = self.search(&mut collected, scratch, before);
        search.mates = search.mates_now(&collected.inputs, self.places);
        never = never.or_else(|| collected.unusable.clone());
        if outcome.overflow {
            never.get_or_insert_with(|| "its diagnostics are too long to keep".into());
        }
        if outcome.printed {
            never.get_or_insert_with(|| "it prints to stdout".into());
        }
        let mut sides = Vec::new();
        for side in &self.command.side_outputs {
            match side_of(&side.path) {
                Ok(Some(side)) => sides.push(side),
                Ok(None) => {}
                Err(_) => {
                    never.get_or_insert_with(|| {
                        format!("`{}` can't be read back", side.path.display())
                    });
                }
            }
        }
        let hash = inputs::hash_file(object).map_err(cannot("read", object))?;
        let size = fs::metadata(object).map_err(cannot("read", object))?.len();
        let bound = match why {
            // It is for equal inputs that this was found.
            Dirty::Bound(why) => Bound::To(why.clone()),
            _ if self.places.is_empty() => Bound::Free,
            _ => {
                let bytes = fs::read(object).map_err(cannot("read", object))?;
                relocation::look_into(self.command, &bytes, self.places)
            }
        };
        if size == 0 {
            never.get_or_insert_with(|| "the object is empty".into());
        }
        let variant = variant(&self.key, &collected, never.is_some());
        let record = Record {
            variant,
            never,
            why: why.to_string(),
            size,
            hash,
            when: wall_ms(),
            took,
            stderr: outcome.stderr.clone(),
            coloured: self.coloured,
            diagnostics: request::diagnostics_digest(self.session.environment),
            depfile: self.command.depfile.as_ref().and(text),
            maker: self.maker(),
            flags: self
                .command
                .flag_words()
                .into_iter()
                .map(OsString::from)
                .collect(),
            source: source.to_owned(),
            directory: self.directory.to_owned(),
            sides,
            inputs: collected.inputs,
            search,
            places: self.places.to_vec(),
            bound,
        };
        let depfile = self.command.depfile.is_some().then_some(depfile);
        Ok(Made {
            wanted: Wanted {
                variant,
                key: self.key,
                size,
                hash,
            },
            record,
            depfile,
        })
    }

    fn maker(&self) -> Maker {
        let compiler = self.session.compiler;
        let mut command = vec![compiler.program.clone().into_os_string()];
        command.extend(compiler.words.iter().cloned());
        Maker {
            command,
            name: self.identity.describe(),
            digest: self.identity.digest,
            probe_flags: self.command.probe_flags.clone(),
            language: asked_as(self.command.language).to_owned(),
        }
    }

    /// Where the search for headers begins, as far as the command line tells.
    fn own_roots(&self) -> Vec<PathBuf> {
        let mut roots = vec![spelling::folder_of(self.command.source_path())];
        if !self.command.forced_includes.is_empty() {
            // Forced includes are looked for here, not in the source's folder (gcc(1), `-include`).
            roots.push(PathBuf::from("."));
        }
        roots.extend(self.command.search.iter().map(|d| PathBuf::from(&d.dir)));
        roots
    }

    /// Looks around on the search path, and for precompiled headers on it.
    fn search(&self, collected: &mut Collected, scratch: &Scratch, before: &Listings) -> Search {
        if !self.command.language.runs_preprocessor() {
            return Search {
                clock: scratch.clock(),
                ..Search::default()
            };
        }
        let mut roots = self.own_roots();
        roots.extend(self.identity.include_dirs.iter().cloned());
        // `#include "…"` and `__has_include("…")` look beside the file they stand in first.
        let built_in = |p: &Path| self.identity.include_dirs.iter().any(|d| p.starts_with(d));
        let folders = search::folders_of(&collected.inputs);
        roots.extend(folders.iter().filter(|p| !built_in(p)).cloned());
        let mut seen = std::collections::HashSet::new();
        roots.retain(|r| seen.insert(r.clone()));
        let (mut included, computed) = scan::includes(&collected.source_text);
        included.extend(
            self.command
                .forced_includes
                .iter()
                .map(|n| n.as_bytes().to_vec()),
        );
        let precompiled: Vec<Vec<u8>> = included
            .iter()
            .flat_map(|n| [b".gch".as_slice(), b".pch"].map(|suffix| [n, suffix].concat()))
            .collect();
        if let Some(path) = Search::find(&roots, &precompiled) {
            collected.unusable.get_or_insert(format!(
                "a precompiled header, `{}`, is in reach",
                path.display()
            ));
        }
        if computed && included.is_empty() {
            collected.unusable.get_or_insert(
                "its first `#include` is computed, and may find a precompiled header".into(),
            );
        }
        let tested = std::mem::take(&mut collected.findings.tested);
        let dir = self.target.folder();
        if let Some(path) = search::moved_since(&roots, &tested, dir, before, scratch.clock()) {
            collected.unusable.get_or_insert(format!(
                "`{}`, which `__has_include` may tell of, came or went while it was compiled",
                path.display()
            ));
        }
        Search::observe(
            roots,
            &collected.inputs,
            folders,
            tested,
            precompiled,
            collected.findings.tests_unknown,
            scratch.clock(),
            before,
        )
    }

    /// Runs the command exactly as written, while the object is held.
    fn in_place(&self, why: Dirty, waited: u64, mut held: Held<'_>) -> anyhow::Result<Done> {
        let started = Instant::now();
        let scratch = Scratch::in_state(self.folder)
            .map_err(cannot("create a folder in", &self.folder.tmp()))?;
        held.open_path(&scratch)
            .map_err(cannot("keep", &self.target.path))?;
        let before = Stamp::of(&self.target.path).ok();
        let outcome = self
            .session
            .as_written()
            .run(Stderr::Inherit, &[])
            .map_err(cannot("run", &self.session.compiler.program))?;
        let took = started.elapsed().as_nanos() as u64;
        if signals::caught().is_some() {
            return Ok(self.interrupted());
        }
        let after = Stamp::of_file(&self.target.path).map_err(cannot("read", &self.target.path))?;
        if outcome.ended.ok()
            && let Some(after) = after.filter(|a| Some(*a) != before)
        {
            let hash =
                inputs::hash_file(&self.target.path).map_err(cannot("read", &self.target.path))?;
            let variant = variant(&self.key, &Collected::default(), true);
            let wanted = Wanted {
                variant,
                key: self.key,
                size: after.size,
                hash,
            };
            let record = Record {
                variant,
                never: self.never.clone().or(Some("it runs in place".into())),
                why: why.to_string(),
                size: after.size,
                hash,
                when: wall_ms(),
                took,
                maker: self.maker(),
                flags: self
                    .command
                    .flag_words()
                    .into_iter()
                    .map(OsString::from)
                    .collect(),
                source: self.command.source_path().to_owned(),
                directory: self.directory.to_owned(),
                ..Record::default()
            };
            held.adopt(&wanted)
                .map_err(cannot("write", &self.state.claims()))?;
            self.finish(
                &mut held,
                &Made {
                    wanted,
                    record,
                    depfile: None,
                },
                &scratch,
            )?;
        } else {
            held.close_path()
                .map_err(cannot("write", &self.state.claims()))?;
        }
        drop(held);
        self.event(
            "in-place",
            Some(&why),
            None,
            waited,
            took,
            outcome.ended,
            took,
        );
        Ok(Done::Ended(outcome.ended))
    }

    #[allow(clippy::too_many_arguments, reason = "the columns of one log line")]
    fn event(
        &self,
        what: &str,
        why: Option<&Dirty>,
        variant: Option<&Variant>,
        waited: u64,
        took: u64,
        ended: Ended,
        worth: u64,
    ) {
        self.session.events.write(&Event {
            kind: "compile",
            what,
            output: &self.target.path,
            source: Some(self.command.source_path()),
            key: Some(self.key),
            variant: variant.copied(),
            why: why.map(ToString::to_string),
            waited,
            compiler: took,
            saved: worth.saturating_sub(took),
            total: self.began.elapsed().as_nanos() as u64,
            ended,
            inputs: &[],
            lineage: &self.session.lineage,
        });
    }
}

/// A compile whose state folder isn't trusted, or can't be had: staged and renamed, unrecorded.
struct Unrecorded<'a> {
    session: &'a Session<'a>,
    command: &'a Compile,
    target: &'a Target,
}

impl Unrecorded<'_> {
    fn run(&self, why: &str) -> anyhow::Result<Done> {
        if self.command.placement != Placement::Staged
            || depfile_refusal(self.command).is_some()
            || DEPENDENCY_VARIABLES
                .iter()
                .any(|n| self.session.variable(n).is_some())
        {
            return Ok(Done::AsWritten(why.to_owned()));
        }
        signals::catch();
        let Ok(scratch) = Scratch::beside(&self.target.dir) else {
            return Ok(Done::AsWritten(why.to_owned()));
        };
        let run = Staged {
            session: self.session,
            command: self.command,
            target: self.target,
            scratch: &scratch,
        };
        let dialect = self.session.dialect;
        let coloured =
            diagnostics::wants_colour(self.command.colour, dialect, 0, self.session.environment);
        let Ran {
            outcome,
            object,
            removed,
        } = match run.run(false, coloured, self.command.depfile.is_some())? {
            Ok(ran) => ran,
            Err(why) => return Ok(Done::AsWritten(why)),
        };
        if outcome.unread {
            return Ok(Done::AsWritten("nobody reads its messages".into()));
        }
        if removed {
            let _ = fs::remove_file(&self.target.path);
        }
        if let Some(signal) = signals::caught() {
            return Ok(Done::Ended(Ended::Signal(signal)));
        }
        run.publish_depfile(&run.depfile())?;
        if let Some(object) = object.filter(|_| outcome.ended.ok()) {
            scratch::publish(&object, &self.target.path)
                .map_err(cannot("write", &self.target.path))?;
        }
        Ok(Done::Ended(outcome.ended))
    }
}

/// What stands in scratch for an output that exists, so that what a failing compiler does to it shows.
pub(super) const NOTHING: &[u8] = b"objguard: nothing was written\n";

/// How a run in scratch went.
struct Ran {
    outcome: Outcome,
    /// What it wrote.
    object: Option<PathBuf>,
    /// It failed, and removed the output that was there, or left a part of one: so must we.
    removed: bool,
}

/// The compiler's run in scratch.
struct Staged<'a> {
    session: &'a Session<'a>,
    command: &'a Compile,
    target: &'a Target,
    scratch: &'a Scratch,
}

impl Staged<'_> {
    fn depfile(&self) -> PathBuf {
        self.scratch.own("d")
    }

    /// Runs the compiler. The inner error: why the command must run as written instead.
    fn run(&self, names: bool, colour: bool, depfile: bool) -> anyhow::Result<Result<Ran, String>> {
        let object = self.scratch.path(&self.target.name);
        let placeholder = self.placeholder(&object)?;
        let depfile = (depfile && (self.command.depfile_allowed || self.command.depfile.is_some()))
            .then(|| self.depfile());
        if let Some(ours) = &depfile
            && self
                .command
                .depfile
                .as_ref()
                .is_some_and(|d| may_exist(&d.file))
        {
            fs::write(ours, NOTHING).map_err(cannot("write", ours))?;
        }
        let add = Additions {
            object: object.as_os_str().as_bytes(),
            depfile: depfile.as_deref(),
            colour,
            names,
        };
        let mut args = plan::compile(self.command, add);
        if self.command.words.expanded() {
            args = respond(args, self.scratch)?;
        }
        let rewrite = [(
            object.as_os_str().as_bytes().to_vec(),
            self.command.output.as_os_str().as_bytes().to_vec(),
        )];
        let invocation = self.session.invocation(args);
        let together = process::streams_are_one();
        let redirect = Redirect {
            together,
            tee: !together,
            ..Redirect::default()
        };
        let outcome = match invocation.run_with(redirect, Stderr::Tee, &rewrite) {
            Ok(outcome) => outcome,
            Err(e) if e.raw_os_error() == Some(libc::E2BIG) => {
                return Ok(Err("the command line is too long to add to".into()));
            }
            Err(e) => return Err(cannot("run", &self.session.compiler.program)(e)),
        };
        let made = Stamp::of_file(&object).map_err(cannot("read", &object))?;
        let removed = !outcome.ended.ok()
            && signals::caught().is_none()
            && placeholder.is_some()
            && made != placeholder;
        let object = (made.is_some() && made != placeholder).then_some(object);
        Ok(Ok(Ran {
            outcome,
            object,
            removed,
        }))
    }

    /// Stands in scratch for an existing output, so that what a failing compiler does to it shows: gcc keeps the old object
    /// if cc1 fails and removes it if as does, clang removes it always (compiler-options.md, H).
    fn placeholder(&self, object: &Path) -> anyhow::Result<Option<Stamp>> {
        if self.target.file.is_none() {
            return Ok(None);
        }
        let Ok(meta) = fs::metadata(&self.target.path) else {
            return Ok(None);
        };
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(meta.mode() & 0o777 | 0o200)
            .open(object);
        let stamp = written.and_then(|mut file| {
            io::Write::write_all(&mut file, NOTHING)?;
            Ok(Stamp::from(&file.metadata()?))
        });
        stamp.map(Some).map_err(cannot("write", object))
    }

    /// Puts the user's depfile in its place. A compile that failed may have written one as well, or removed the old one.
    fn publish_depfile(&self, made: &Path) -> anyhow::Result<()> {
        let Some(request) = &self.command.depfile else {
            return Ok(());
        };
        let to = &request.file;
        let text = match fs::read(made) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let _ = fs::remove_file(to);
                return Ok(());
            }
            Err(e) => return Err(cannot("read", made)(e)),
        };
        if text == NOTHING {
            return Ok(());
        }
        let written = Stamp::of(made).map_or(i64::MAX, |s| s.mtime);
        let copy = || {
            scratch::write_atomically(to, &text, 0o666)?;
            // As old as the compiler's: not newer than the object.
            match fs::metadata(to) {
                Ok(meta) if meta.is_file() => scratch::utimens(to, Some(written)),
                _ => Ok(()),
            }
        };
        match fs::symlink_metadata(to) {
            Err(_) => scratch::publish(made, to).or_else(|_| copy()),
            Ok(_) => copy(),
        }
        .map_err(cannot("write", to))
    }
}

/// Words that came out of a response file and are too many for a command line, as one of ours. The kernel allows a quarter
/// of the stack limit, 2 MiB by default, with the environment (execve(2)).
pub(super) fn respond(args: Vec<OsString>, scratch: &Scratch) -> anyhow::Result<Vec<OsString>> {
    const LONG: usize = 64 * 1024;
    if args.iter().map(|w| w.len() + 1).sum::<usize>() < LONG {
        return Ok(args);
    }
    let file = scratch.own("args");
    fs::write(&file, plan::response_file(&args)).map_err(cannot("write", &file))?;
    let mut word = OsString::from("@");
    word.push(&file);
    Ok(vec![word])
}

/// The variant of a compile. One that can't be reused is like no other: what it was made from isn't known whole.
fn variant(key: &Key, collected: &Collected, unique: bool) -> Variant {
    let mut hasher = blake3::Hasher::new();
    request::tagged(&mut hasher, "key", &key.0);
    for input in &collected.inputs {
        request::tagged(&mut hasher, "input", input.path.as_os_str().as_bytes());
        hasher.update(&input.hash);
    }
    if unique {
        let id = (
            u64::from(std::process::id()),
            crate::lineage::boottime_ns(),
            wall_ms(),
        );
        request::tagged(&mut hasher, "unique", format!("{id:?}").as_bytes());
    }
    Variant(request::truncate(&hasher))
}

/// Writes a depfile again as the compile would have, unless it is there as it should be; says whether it had to.
fn restore(file: &Path, text: &[u8]) -> anyhow::Result<bool> {
    if fs::read(file).is_ok_and(|there| there == text) {
        return Ok(false);
    }
    scratch::write_atomically(file, text, 0o666).map_err(cannot("write", file))?;
    Ok(fs::metadata(file).is_ok_and(|m| m.is_file()))
}

fn side_of(path: &Path) -> io::Result<Option<Side>> {
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    Ok(Some(Side {
        path: path.to_owned(),
        stamp: Stamp::from(&meta),
        hash: inputs::hash_file(path)?,
    }))
}

/// Whether anybody may have claimed a variant of the object.
fn claimed(state: &ObjectState) -> bool {
    !fs::symlink_metadata(state.claims()).is_err_and(|e| e.kind() == io::ErrorKind::NotFound)
}

/// The file mode creation mask. It can only be read by setting it; this process has one thread.
fn umask() -> u32 {
    // SAFETY: umask has no preconditions and cannot fail.
    unsafe {
        let mask = libc::umask(0o077);
        libc::umask(mask);
        mask as u32
    }
}
