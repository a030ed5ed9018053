//! `objguard exec`: a command that makes files, guarded as a compile is. (cpython bpo-19521: two link rules wrote one export file
//! at once.)
//!
//! One command at a time works on an output, under its flight lock; several outputs are locked in the order of their paths.
//! A request can be skipped
//!
//! * if its inputs are declared: when they, the program and every word that names a file are as they were, and the outputs can
//!   be had as they were made;
//! * if not: when the same command was run while this one waited for its turn. A run that began after we asked has read
//!   whatever we could have meant; one that had begun before may not have.
//!
//! A skipped command prints nothing.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{anyhow, bail};

use super::held::{Held, Wanted};
use super::{Target, cannot, wall_ms};
use crate::claims::How;
use crate::compiler;
use crate::config::Config;
use crate::dirty::Dirty;
use crate::events::{Event, Events};
use crate::generator::Generator;
use crate::inputs::{self, Input, Standing};
use crate::lineage::Lineage;
use crate::lock::{self, Lock, Mode};
use crate::process::{self, Ended, Invocation, Stderr};
use crate::record::Record;
use crate::request::{self, Key, Variant};
use crate::scratch::{self, Scratch};
use crate::search::Search;
use crate::signals;
use crate::stamp::{Stamp, says_missing};
use crate::state::{Distrust, Folder, ObjectState};

/// Variables that say nothing of what a command makes; all others do, for all we know.
const OF_NO_MATTER: [&str; 13] = [
    "COLUMNS",
    "LINES",
    "MAKEFLAGS",
    "MAKELEVEL",
    "MAKE_TERMERR",
    "MAKE_TERMOUT",
    "MFLAGS",
    "OLDPWD",
    // The working directory counts as it is.
    "PWD",
    "SHLVL",
    "WINDOWID",
    "XDG_SESSION_ID",
    "_",
];

/// The exit codes of env(1) and the shells for a command that isn't there, or can't be run.
const NOT_FOUND: i32 = 127;
const NOT_EXECUTABLE: i32 = 126;

/// What a generator is run in.
pub struct Surroundings<'a> {
    /// What the user set.
    pub config: &'a Config,
    /// The environment.
    pub environment: &'a [(OsString, OsString)],
    /// Who asks.
    pub lineage: Lineage,
    /// Where events go.
    pub events: Events,
}

impl Surroundings<'_> {
    fn variable(&self, name: &str) -> Option<&OsStr> {
        let found = self.environment.iter().find(|(n, _)| n == name);
        found.map(|(_, v)| v.as_os_str())
    }
}

/// Runs or skips a generator's command.
///
/// # Errors
/// An input can't be read, an output can't be written, or the command made none.
pub fn generate(generator: &Generator, around: &Surroundings<'_>) -> anyhow::Result<Ended> {
    let began = Instant::now();
    let program = match program(&generator.command[0], around.variable("PATH")) {
        Ok(program) => program,
        Err((code, why)) => {
            process::say(format!("objguard: {why}\n").as_bytes());
            return Ok(Ended::Code(code));
        }
    };
    for input in &generator.inputs {
        let meta = fs::metadata(input).map_err(cannot("read", input))?;
        if meta.is_dir() {
            bail!(
                "cannot read `{}`: it is a folder; name the files in it that count",
                input.display()
            );
        }
    }
    let mut outputs = Vec::new();
    for spelled in &generator.outputs {
        outputs.push(Output::of(spelled)?);
    }
    let mut generating = Generating {
        generator,
        around,
        program,
        outputs,
        key: Key([0; 16]),
        began,
        waited: 0,
    };
    if around.config.disable {
        let paths = generator.outputs.clone();
        return generating.run(&paths);
    }
    generating.key = generating.key()?;
    signals::catch();
    match generating.guarded() {
        Err(_) if signals::caught().is_some() => Ok(interrupted()),
        other => other,
    }
}

/// The program to execute, or the exit code and the line to end with.
fn program(word: &OsStr, path: Option<&OsStr>) -> Result<PathBuf, (i32, String)> {
    let shown = word.display();
    if word.as_bytes().contains(&b'/') {
        let program = Path::new(word);
        return match fs::metadata(program) {
            Err(e) => Err((NOT_FOUND, format!("cannot run `{shown}`: {e}"))),
            Ok(meta) if compiler::executable(program, &meta) => Ok(program.to_owned()),
            Ok(_) => Err((
                NOT_EXECUTABLE,
                format!("cannot run `{shown}`: it is not executable"),
            )),
        };
    }
    let mut there = false;
    let found = compiler::each_on_path(path, word, |candidate, meta| {
        there = true;
        compiler::executable(candidate, meta).then(|| candidate.to_owned())
    });
    found.ok_or_else(|| match there {
        true => (
            NOT_EXECUTABLE,
            format!("cannot run `{shown}`: it is not executable"),
        ),
        false => (
            NOT_FOUND,
            format!("cannot run `{shown}`: there is no such program on PATH"),
        ),
    })
}

/// One output and its state; without any if its state folder isn't trusted: it is staged and renamed all the same.
struct Output {
    target: Target,
    state: Option<(Folder, ObjectState)>,
}

impl Output {
    fn of(spelled: &Path) -> anyhow::Result<Output> {
        let target = Target::behind_links(spelled)
            .map_err(|why| anyhow!("cannot make `{}`: {why}", spelled.display()))?;
        let folder = target.folder();
        if !folder.is_dir() {
            bail!(
                "cannot make `{}`: there is no folder `{}`; create it first",
                spelled.display(),
                folder.display()
            );
        }
        let state = match Folder::create(&target.dir) {
            Ok(folder) => folder
                .object(&target.name)
                .ok()
                .map(|state| (folder, state)),
            Err(Distrust::Unmade(path, e) | Distrust::Io(path, e)) => {
                return Err(cannot("create", &path)(e));
            }
            Err(_) => None,
        };
        if let Some((_, state)) = &state {
            state.create().map_err(cannot("create", state.path()))?;
        }
        Ok(Output { target, state })
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

    fn state(&self) -> Option<&ObjectState> {
        self.state.as_ref().map(|(_, state)| state)
    }
}

struct Generating<'a> {
    generator: &'a Generator,
    around: &'a Surroundings<'a>,
    program: PathBuf,
    outputs: Vec<Output>,
    key: Key,
    began: Instant,
    waited: u64,
}

impl Generating<'_> {
    /// All that is known before the command runs, but for the contents of its inputs.
    fn key(&self) -> anyhow::Result<Key> {
        let mut hasher = blake3::Hasher::new();
        let mut item = |tag: &str, value: &[u8]| request::tagged(&mut hasher, tag, value);
        item("version", b"objguard exec 1");
        item("program", self.program.as_os_str().as_bytes());
        for word in &self.generator.command {
            item("word", word.as_bytes());
        }
        for (tag, paths) in [
            ("output", &self.generator.outputs),
            ("input", &self.generator.inputs),
        ] {
            for path in paths {
                item(tag, path.as_os_str().as_bytes());
            }
        }
        let directory = std::env::current_dir().map_err(cannot("find", Path::new(".")))?;
        item("directory", directory.as_os_str().as_bytes());
        let mut variables: Vec<_> = self.around.environment.iter().collect();
        variables.sort();
        for (name, value) in variables {
            let ours = name.as_bytes().starts_with(b"OBJGUARD");
            if !ours && !OF_NO_MATTER.iter().any(|n| name == n) {
                item("variable", name.as_bytes());
                item("value", value.as_bytes());
            }
        }
        Ok(Key(request::truncate(&hasher)))
    }

    fn guarded(&mut self) -> anyhow::Result<Ended> {
        // The file system's clock when we asked.
        let asked = self.outputs[0].scratch()?;
        let mut why = match self.skip(&asked, false)? {
            Ok(ended) => return Ok(ended),
            Err(why) => why,
        };
        let locks = self.lock()?;
        self.waited = self.began.elapsed().as_nanos() as u64;
        match self.skip(&asked, true)? {
            Ok(ended) => return Ok(ended),
            Err(dirty) => why = if self.waited > 0 { dirty } else { why },
        }
        let ended = if self.generator.staged {
            self.staged(&why)?
        } else {
            self.in_place(&why)?
        };
        drop(locks);
        Ok(ended)
    }

    /// One at a time for each output, in the order of the paths so that nobody waits in a ring.
    fn lock(&self) -> anyhow::Result<Vec<Lock>> {
        let turn = Key(inputs::hash(b"objguard: one generator at a time"));
        let states = self.outputs.iter().filter_map(Output::state);
        let mut paths = Vec::new();
        for state in states {
            let folder = fs::canonicalize(state.path()).map_err(cannot("find", state.path()))?;
            paths.push((folder, state.flight_lock(&turn)));
        }
        paths.sort();
        paths.dedup_by(|a, b| a.0 == b.0);
        let all = paths
            .iter()
            .map(|(_, path)| lock::acquire(path, Mode::Exclusive).map_err(cannot("lock", path)));
        all.collect()
    }

    /// Lets what was made before stand for the command, or tells why it can't. `locked`: the path may be given other content.
    fn skip(&self, asked: &Scratch, locked: bool) -> anyhow::Result<Result<Ended, Dirty>> {
        let mut records = Vec::new();
        let mut newest_input = i64::MIN;
        for output in &self.outputs {
            let record = output
                .state()
                .and_then(|s| Record::read(&s.record(&self.key)));
            let Some(mut record) = record else {
                return Ok(Err(Dirty::NoRecord));
            };
            if let Some(why) = &record.never
                && record.search.clock <= asked.clock()
            {
                return Ok(Err(Dirty::NeverSkipped(why.clone())));
            }
            let mut buffer = Vec::new();
            for input in &mut record.inputs {
                match input.standing(&mut buffer) {
                    Standing::Same => {}
                    Standing::Touched(stamp) => input.stamp = stamp,
                    Standing::Dirty(dirty) => return Ok(Err(dirty)),
                }
                newest_input = newest_input.max(input.stamp.mtime);
            }
            records.push(record);
        }
        let mut how = Vec::new();
        for (output, record) in self.outputs.iter().zip(&records) {
            let state = output.state().expect("it has a record");
            let held = Held::take(state, &output.target.path)
                .map_err(cannot("lock", &state.publish_lock()))?;
            let wanted = wanted(record, self.key);
            if held.path_holds(&wanted) {
                how.push(How::Skipped);
            } else if locked && held.kept(&wanted).is_some() {
                how.push(How::Republished);
            } else {
                return Ok(Err(Dirty::ObjectLost));
            }
        }
        for ((output, record), how) in self.outputs.iter().zip(&records).zip(&how) {
            if let Err(dirty) = self.settle(output, record, *how, newest_input)? {
                return Ok(Err(dirty));
            }
        }
        let what = match how.contains(&How::Republished) {
            true => "republish",
            false => "skip",
        };
        self.event(
            what,
            None,
            Some(records[0].variant),
            0,
            records[0].took,
            Ended::Code(0),
        );
        Ok(Ok(Ended::Code(0)))
    }

    /// Gives the path what is on record, if it isn't there, a time that is not older than its inputs', and the claim.
    fn settle(
        &self,
        output: &Output,
        record: &Record,
        how: How,
        newest_input: i64,
    ) -> anyhow::Result<Result<(), Dirty>> {
        let Some((folder, state)) = &output.state else {
            return Ok(Err(Dirty::NoRecord));
        };
        let path = &output.target.path;
        let wanted = wanted(record, self.key);
        let mut held = Held::take(state, path).map_err(cannot("lock", &state.publish_lock()))?;
        if how == How::Republished {
            let Some(kept) = held.kept(&wanted) else {
                return Ok(Err(Dirty::ObjectLost));
            };
            let scratch =
                Scratch::in_state(folder).map_err(cannot("create a folder in", &folder.tmp()))?;
            held.publish_again(&kept, &wanted, &scratch)
                .map_err(cannot("write", path))?;
        } else if !held.path_holds(&wanted) {
            return Ok(Err(Dirty::ObjectLost));
        }
        let stamp = Stamp::of(path).map_err(cannot("read", path))?;
        if newest_input > stamp.mtime {
            scratch::utimens(path, None).map_err(cannot("touch", path))?;
        }
        held.claim(&wanted, how, &self.around.lineage)
            .map_err(cannot("write", &state.claims()))?;
        Ok(Ok(()))
    }

    /// Runs the command with scratch paths and gives the outputs what it wrote there.
    fn staged(&self, why: &Dirty) -> anyhow::Result<Ended> {
        let mut folders = Vec::new();
        let mut paths = Vec::new();
        for output in &self.outputs {
            let scratch = output.scratch()?;
            // By its own name: some generators put it into what they write.
            let folder = scratch.dir().join("o");
            crate::state::make_private(&folder).map_err(cannot("create", &folder))?;
            paths.push(folder.join(&output.target.name));
            folders.push(scratch);
        }
        self.let_inputs_age(&mut folders[0]);
        let started = Instant::now();
        let ended = self.run(&paths)?;
        let took = started.elapsed().as_nanos() as u64;
        if !ended.ok() || signals::caught().is_some() {
            self.event("fail", Some(why), None, took, 0, ended);
            return Ok(ended);
        }
        for (output, path) in self.outputs.iter().zip(&paths) {
            self.check_made(output, path)?;
        }
        let read = self.read(&folders[0])?;
        for ((output, made), scratch) in self.outputs.iter().zip(&paths).zip(&folders) {
            let path = &output.target.path;
            let Some(state) = output.state() else {
                scratch::publish(made, path).map_err(cannot("write", path))?;
                continue;
            };
            let record = self.record(made, &read, why, took, &folders[0])?;
            let mut held =
                Held::take(state, path).map_err(cannot("lock", &state.publish_lock()))?;
            held.publish(made, &wanted(&record, self.key))
                .map_err(cannot("write", path))?;
            self.claim(&mut held, state, &record, scratch)?;
        }
        self.event("exec", Some(why), None, took, took, ended);
        Ok(ended)
    }

    /// Runs the command as written. What it leaves behind when it fails is put back.
    fn in_place(&self, why: &Dirty) -> anyhow::Result<Ended> {
        let mut scratch = self.outputs[0].scratch()?;
        let mut before = Vec::new();
        for output in &self.outputs {
            before.push(Before::save(output)?);
        }
        self.let_inputs_age(&mut scratch);
        let started = Instant::now();
        let ended = self.run(&self.generator.outputs);
        let took = started.elapsed().as_nanos() as u64;
        let made = || {
            let mut all = self.outputs.iter();
            all.try_for_each(|o| self.check_made(o, &o.target.path))
        };
        let ended = match ended {
            Ok(Ended::Code(0)) if signals::caught().is_none() => made().map(|()| Ended::Code(0)),
            other => other,
        };
        if !matches!(ended, Ok(Ended::Code(0))) {
            for (output, before) in self.outputs.iter().zip(&before) {
                before.put_back(output)?;
            }
            let ended = ended?;
            self.event("fail", Some(why), None, took, 0, ended);
            return Ok(ended);
        }
        let read = self.read(&scratch)?;
        for output in &self.outputs {
            let Some(state) = output.state() else {
                continue;
            };
            let path = &output.target.path;
            let record = self.record(path, &read, why, took, &scratch)?;
            let mut held =
                Held::take(state, path).map_err(cannot("lock", &state.publish_lock()))?;
            held.adopt(&wanted(&record, self.key))
                .map_err(cannot("write", &state.claims()))?;
            self.claim(&mut held, state, &record, &scratch)?;
        }
        self.event("in-place", Some(why), None, took, took, Ended::Code(0));
        Ok(Ended::Code(0))
    }

    /// Runs the command with these paths for its outputs, and the user's own standard input, output and error.
    fn run(&self, paths: &[PathBuf]) -> anyhow::Result<Ended> {
        let words = self.generator.words(paths);
        let invocation = Invocation {
            program: &self.program,
            argv0: &words[0],
            args: words[1..].to_vec(),
            // What it runs is guarded like anything else.
            mark: self.around.config.inner().unwrap_or_default().to_owned(),
        };
        let outcome = invocation
            .run(Stderr::Inherit, &[])
            .map_err(cannot("run", &self.program))?;
        Ok(match signals::caught() {
            Some(signal) => Ended::Signal(signal),
            None => outcome.ended,
        })
    }

    fn check_made(&self, output: &Output, path: &Path) -> anyhow::Result<()> {
        let name = output.target.path.display();
        match fs::symlink_metadata(path) {
            Ok(meta) if meta.is_file() => Ok(()),
            Ok(_) => bail!("the command made `{name}`, but not as a regular file"),
            Err(_) => bail!(
                "the command ended with 0 but did not make `{name}`; see what it does with its arguments"
            ),
        }
    }

    /// The files that the command is known to read.
    fn inputs(&self) -> Vec<PathBuf> {
        let mut paths = vec![self.program.clone()];
        let named = self.generator.words_that_may_be_files();
        // What can't be looked at counts, and keeps the command from being skipped.
        let named =
            named.filter(|p| fs::metadata(p).map_or_else(|e| !says_missing(&e), |m| m.is_file()));
        for path in self
            .generator
            .inputs
            .iter()
            .map(PathBuf::as_path)
            .chain(named)
        {
            if !paths.iter().any(|p| p == path) {
                paths.push(path.to_owned());
            }
        }
        paths
    }

    /// So that files written just before can be told from those written while the command ran.
    fn let_inputs_age(&self, scratch: &mut Scratch) {
        for path in self.inputs() {
            if let Ok(stamp) = Stamp::of(&path) {
                scratch.wait_until_after(stamp.ctime.max(stamp.mtime));
            }
        }
    }

    /// The inputs as they are now, after the run.
    fn read(&self, scratch: &Scratch) -> anyhow::Result<Read> {
        let mut read = Read::default();
        if self.generator.inputs.is_empty() {
            read.never = Some("no inputs are declared with `-i`".into());
            return Ok(read);
        }
        let dev = Stamp::of(scratch.dir())
            .map_err(cannot("read", scratch.dir()))?
            .dev;
        for path in self.inputs() {
            let hash = inputs::hash_file(&path).map_err(cannot("read", &path))?;
            let stamp = Stamp::of(&path).map_err(cannot("read", &path))?;
            if !stamp.older_than(inputs::limit(&stamp, scratch.clock(), dev)) {
                read.never.get_or_insert(format!(
                    "input `{}` was modified while the command ran, or may have been",
                    path.display()
                ));
            }
            read.inputs.push(Input { path, stamp, hash });
        }
        Ok(read)
    }

    fn record(
        &self,
        made: &Path,
        read: &Read,
        why: &Dirty,
        took: u64,
        scratch: &Scratch,
    ) -> anyhow::Result<Record> {
        let hash = inputs::hash_file(made).map_err(cannot("read", made))?;
        let size = fs::metadata(made).map_err(cannot("read", made))?.len();
        // Whoever made it, equal content is one variant.
        let mut hasher = blake3::Hasher::new();
        request::tagged(&mut hasher, "made", &hash);
        Ok(Record {
            variant: Variant(request::truncate(&hasher)),
            never: read.never.clone(),
            why: why.to_string(),
            size,
            hash,
            when: wall_ms(),
            took,
            flags: self.generator.command.clone(),
            source: self.program.clone(),
            directory: std::env::current_dir().map_err(cannot("find", Path::new(".")))?,
            inputs: read.inputs.clone(),
            search: Search {
                clock: scratch.clock(),
                ..Search::default()
            },
            ..Record::default()
        })
    }

    fn claim(
        &self,
        held: &mut Held<'_>,
        state: &ObjectState,
        record: &Record,
        scratch: &Scratch,
    ) -> anyhow::Result<()> {
        let at = state.record(&self.key);
        record
            .save(&scratch.dir().join("record"), &at)
            .map_err(cannot("write", &at))?;
        held.claim(
            &wanted(record, self.key),
            How::Compiled,
            &self.around.lineage,
        )
        .map_err(cannot("write", &state.claims()))?;
        held.tidy(record.variant, scratch);
        Ok(())
    }

    fn event(
        &self,
        what: &str,
        why: Option<&Dirty>,
        variant: Option<Variant>,
        took: u64,
        worth: u64,
        ended: Ended,
    ) {
        self.around.events.write(&Event {
            kind: "exec",
            what,
            output: &self.outputs[0].target.path,
            source: Some(&self.program),
            key: Some(self.key),
            variant,
            why: why.map(ToString::to_string),
            waited: self.waited,
            compiler: took,
            saved: worth.saturating_sub(took),
            total: self.began.elapsed().as_nanos() as u64,
            ended,
            inputs: &[],
            lineage: &self.around.lineage,
        });
    }
}

/// What a run read.
#[derive(Default)]
struct Read {
    inputs: Vec<Input>,
    never: Option<String>,
}

/// An output as it was before the command ran in place.
struct Before {
    /// A copy, and the stamp of what it was made of; `None`: it wasn't there.
    was: Option<(PathBuf, Stamp)>,
    _scratch: Scratch,
}

impl Before {
    /// Saves the output, and notes that it may be half written from now on.
    fn save(output: &Output) -> anyhow::Result<Before> {
        let path = &output.target.path;
        let scratch = output.scratch()?;
        if let Some(state) = output.state() {
            let mut held =
                Held::take(state, path).map_err(cannot("lock", &state.publish_lock()))?;
            held.open_path(&scratch).map_err(cannot("keep", path))?;
        }
        let was = match Stamp::of(path) {
            Ok(stamp) => {
                let copy = scratch.dir().join("before");
                fs::copy(path, &copy).map_err(cannot("copy", path))?;
                Some((copy, stamp))
            }
            Err(_) => None,
        };
        Ok(Before {
            was,
            _scratch: scratch,
        })
    }

    fn put_back(&self, output: &Output) -> anyhow::Result<()> {
        let path = &output.target.path;
        match &self.was {
            None => match fs::remove_file(path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(cannot("remove", path)(e));
                }
                _ => {}
            },
            Some((_, stamp)) if Stamp::of(path).is_ok_and(|now| now.same_content(stamp)) => {}
            Some((copy, stamp)) => {
                scratch::utimens(copy, Some(stamp.mtime)).map_err(cannot("touch", copy))?;
                scratch::publish(copy, path).map_err(cannot("write", path))?;
            }
        }
        if let Some(state) = output.state() {
            let mut held =
                Held::take(state, path).map_err(cannot("lock", &state.publish_lock()))?;
            held.close_path()
                .map_err(cannot("write", &state.claims()))?;
        }
        Ok(())
    }
}

fn wanted(record: &Record, key: Key) -> Wanted {
    Wanted {
        variant: record.variant,
        key,
        size: record.size,
        hash: record.hash,
    }
}

fn interrupted() -> Ended {
    Ended::Signal(signals::caught().unwrap_or(libc::SIGINT))
}
