//! Runs one case with one compiler, phase by phase, and notes what its caller can see.
//!
//! Both sides of a case run in a folder of the same path (`-g` records it), one after the other: the folder is made once, copied
//! with its times for each side, and renamed away afterwards.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, Once};
use std::time::{Duration, Instant, SystemTime};

use crate::snapshot::{self, Kind, Stamps, Tree};
use crate::table::{Case, Compiler};

/// How long before the test began the files of a case seem to have been written, in seconds; the outputs among them a minute more.
const AGE: u64 = 3600;

/// After which time a command is taken for stuck, and killed with all it started.
const PATIENCE: Duration = Duration::from_secs(60);

/// The situations in which a case's commands are run, in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Phase {
    First,
    Again,
    SideFilesDeleted,
    OutputsDeleted,
    InputChanged,
    InputRestored,
}

impl Phase {
    const ALL: [Phase; 6] = [
        Phase::First,
        Phase::Again,
        Phase::SideFilesDeleted,
        Phase::OutputsDeleted,
        Phase::InputChanged,
        Phase::InputRestored,
    ];
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::First => "first run",
            Phase::Again => "second run",
            Phase::SideFilesDeleted => "after the side files were deleted",
            Phase::OutputsDeleted => "after the outputs were deleted",
            Phase::InputChanged => "after an input changed",
            Phase::InputRestored => "after the input was changed back",
        })
    }
}

/// What one shell line did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    pub status: String,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    /// The files it wrote, relative to the case's folder.
    pub wrote: Vec<PathBuf>,
}

/// What could be seen after a phase.
#[derive(Clone, Debug)]
pub struct Seen {
    pub phase: Phase,
    pub steps: Vec<Step>,
    pub tree: Tree,
    /// Files left in `$TMPDIR` and in objguard's scratch folders.
    pub strays: Vec<PathBuf>,
    /// objguard's state folders.
    pub state: Vec<PathBuf>,
}

/// Everything seen of one case with one compiler.
#[derive(Clone, Debug)]
pub struct Side {
    /// The folder's content before the first run.
    pub fixture: Tree,
    pub phases: Vec<Seen>,
    /// The table has no change of its own for this case.
    pub default_change: bool,
}

/// The program under test.
#[derive(Clone, Debug)]
pub enum Wrapper {
    /// `objguard-cc`; the folder holds the links `objguard-cc` and `objguard-c++`.
    Objguard(PathBuf),
    /// Words put before the compiler, such as `ccache`; none at all is the plain compiler once more.
    Prefix(String),
}

impl Wrapper {
    /// The values of `$CC` and `$CXX`.
    fn commands(&self, compiler: Compiler) -> (String, String) {
        let (cc, cxx) = compiler.commands();
        match self {
            Wrapper::Objguard(links) => {
                let link = |name| links.join(name).display().to_string();
                (link("objguard-cc"), link("objguard-c++"))
            }
            Wrapper::Prefix(words) => (
                format!("{words} {cc}").trim().to_owned(),
                format!("{words} {cxx}").trim().to_owned(),
            ),
        }
    }
}

/// The folders of one case.
pub struct Place {
    /// Holds the others: `work`, in which the commands run, `home` and `tmp` for what they write elsewhere.
    pub root: PathBuf,
}

impl Place {
    /// The folder in which the commands run, of the same path for both sides.
    pub fn work(&self) -> PathBuf {
        self.root.join("work")
    }

    fn pristine(&self) -> PathBuf {
        self.root.join("pristine")
    }

    /// Makes the case's folder: the fixture, aged, and what the setup lines add.
    pub fn prepare(&self, case: &Case, fixture: &Path, now: SystemTime) -> Result<(), String> {
        let described = |error: io::Error| format!("cannot make the case's folder: {error}");
        let _ = fs::remove_dir_all(&self.root);
        fs::create_dir_all(&self.root).map_err(described)?;
        let work = self.work();
        copy(fixture, &work)?;
        let sources = now - Duration::from_secs(AGE);
        for path in snapshot::stamps(&work).map_err(described)?.keys() {
            set_modified(&work.join(path), sources).map_err(described)?;
        }
        let before = snapshot::stamps(&work).map_err(described)?;
        self.clean_surroundings().map_err(described)?;
        let (cc, cxx) = case.compiler.commands();
        for line in &case.setup {
            let step = self.shell(line, cc, cxx, case).map_err(described)?;
            if step.status != "exit 0" {
                return Err(format!(
                    "setup `{line}` ended with {}: {}",
                    step.status,
                    String::from_utf8_lossy(&step.stderr)
                ));
            }
        }
        let after = snapshot::stamps(&work).map_err(described)?;
        for path in newer(&before, &after) {
            let age = Duration::from_secs(AGE + 60);
            set_modified(&work.join(path), now - age).map_err(described)?;
        }
        fs::rename(work, self.pristine()).map_err(described)
    }

    /// Runs all phases with the wrapper, or with the plain compiler, and leaves the folder under the name `kept`.
    pub fn side(&self, case: &Case, wrapper: Option<&Wrapper>, kept: &str) -> Result<Side, String> {
        let described = |error: io::Error| format!("cannot look at the case's folder: {error}");
        let work = self.work();
        copy(&self.pristine(), &work)?;
        self.clean_surroundings().map_err(described)?;
        let (cc, cxx) = match wrapper {
            Some(wrapper) => wrapper.commands(case.compiler),
            None => {
                let (cc, cxx) = case.compiler.commands();
                (cc.to_owned(), cxx.to_owned())
            }
        };
        let fixture = snapshot::tree(&work).map_err(described)?;
        let mut phases: Vec<Seen> = Vec::new();
        let mut change = (Tree::new(), Tree::new());
        for phase in Phase::ALL {
            match phase {
                Phase::First | Phase::Again => {}
                Phase::SideFilesDeleted => {
                    if delete(&work, &fixture, is_side_file).map_err(described)? == 0 {
                        continue;
                    }
                }
                Phase::OutputsDeleted => {
                    delete(&work, &fixture, |_, _| true).map_err(described)?;
                }
                Phase::InputChanged => {
                    change.0 = snapshot::tree(&work).map_err(described)?;
                    for line in changes(case) {
                        let step = self.shell(&line, &cc, &cxx, case).map_err(described)?;
                        if step.status != "exit 0" {
                            return Err(format!("change `{line}` ended with {}", step.status));
                        }
                    }
                    change.1 = snapshot::tree(&work).map_err(described)?;
                }
                Phase::InputRestored => {
                    restore(&work, &change.0, &change.1).map_err(described)?;
                }
            }
            let mut steps = Vec::new();
            for line in &case.run {
                wait_for_tick(&self.root).map_err(described)?;
                let before = snapshot::stamps(&work).map_err(described)?;
                let mut step = self.shell(line, &cc, &cxx, case).map_err(described)?;
                let after = snapshot::stamps(&work).map_err(described)?;
                step.wrote = newer(&before, &after);
                steps.push(step);
            }
            wait_for_tick(&self.root).map_err(described)?;
            let (state, mut strays) = snapshot::state(&work).map_err(described)?;
            strays.extend(self.left_in_tmp().map_err(described)?);
            phases.push(Seen {
                phase,
                steps,
                tree: snapshot::tree(&work).map_err(described)?,
                strays,
                state,
            });
        }
        fs::rename(&work, self.root.join(kept)).map_err(described)?;
        Ok(Side {
            fixture,
            phases,
            default_change: case.change.is_empty(),
        })
    }

    /// The variables every command of this case gets, and no others.
    pub fn environment(&self, case: &Case) -> BTreeMap<&'static str, String> {
        let path = |name: &str| self.root.join(name).display().to_string();
        let (cc, cxx) = case.compiler.commands();
        BTreeMap::from([
            ("PATH", std::env::var("PATH").unwrap_or_default()),
            ("PWD", path("work")),
            ("HOME", path("home")),
            ("XDG_CACHE_HOME", path("home/cache")),
            ("CCACHE_DIR", path("home/ccache")),
            ("TMPDIR", path("tmp")),
            ("LC_ALL", "C".to_owned()),
            ("OBJGUARD_CC", cc.to_owned()),
            ("OBJGUARD_CXX", cxx.to_owned()),
        ])
    }

    fn shell(&self, line: &str, cc: &str, cxx: &str, case: &Case) -> io::Result<Step> {
        let child = Command::new("sh")
            .args(["-c", line])
            .current_dir(self.work())
            .env_clear()
            .envs(self.environment(case))
            .env("CC", cc)
            .env("CXX", cxx)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let watch = Watch::over(child.id());
        // The group's leader stays a zombie until all that holds its output has ended, so its id can't be anybody else's.
        let output = child.wait_with_output()?;
        let late = watch.end();
        Ok(Step {
            status: match output.status.code() {
                _ if late => format!("no end after {} s", PATIENCE.as_secs()),
                Some(code) => format!("exit {code}"),
                None => output.status.to_string(),
            },
            stdout: output.stdout,
            stderr: output.stderr,
            wrote: Vec::new(),
        })
    }

    fn clean_surroundings(&self) -> io::Result<()> {
        for name in ["home", "tmp"] {
            let folder = self.root.join(name);
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder)?;
        }
        Ok(())
    }

    fn left_in_tmp(&self) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(self.root.join("tmp"))?
            .map(|entry| Ok(entry?.path()))
            .collect()
    }
}

/// The lines that change an input of `case`.
fn changes(case: &Case) -> Vec<String> {
    if case.change.is_empty() {
        vec![
            r#"sed -i 's|VALUE 1|VALUE 2\n#include "sub/more.h"|' h.h"#.to_owned(),
            "sed -i 's/VALUE, 1/VALUE, 2/' h.inc && sed -i 's/10/11/' sub/in.h".to_owned(),
        ]
    } else {
        case.change.clone()
    }
}

/// Waits until the file system's clock has moved on, so that what is written next is younger than everything there is.
pub fn wait_for_tick(folder: &Path) -> io::Result<()> {
    let probe = folder.join("tick");
    let now = || -> io::Result<SystemTime> {
        fs::write(&probe, "")?;
        fs::metadata(&probe)?.modified()
    };
    let start = now()?;
    while now()? == start {
        std::thread::sleep(Duration::from_micros(500));
    }
    Ok(())
}

/// A process group that is killed if it takes too long.
struct Watch(u32);

/// The groups that run, and when each is late; a group that was killed has no time any more.
static WATCHED: Mutex<BTreeMap<u32, Option<Instant>>> = Mutex::new(BTreeMap::new());

impl Watch {
    fn over(group: u32) -> Watch {
        static START: Once = Once::new();
        START.call_once(|| {
            std::thread::spawn(|| {
                loop {
                    std::thread::sleep(Duration::from_millis(500));
                    kill_the_late();
                }
            });
        });
        let mut watched = WATCHED.lock().expect("no panic while it is held");
        watched.insert(group, Some(Instant::now() + PATIENCE));
        Watch(group)
    }

    /// Whether it took too long.
    fn end(self) -> bool {
        let mut watched = WATCHED.lock().expect("no panic while it is held");
        watched.remove(&self.0).is_some_and(|time| time.is_none())
    }
}

fn kill_the_late() {
    let mut watched = WATCHED.lock().expect("no panic while it is held");
    for (group, time) in watched.iter_mut() {
        if time.is_some_and(|time| time < Instant::now()) {
            *time = None;
            // SAFETY: no memory is involved; the group's leader isn't waited for before its output ends.
            unsafe { libc::kill(-(*group as i32), libc::SIGKILL) };
        }
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status();
    match copied {
        Ok(status) if status.success() => Ok(()),
        other => Err(format!("cannot copy `{}`: {other:?}", from.display())),
    }
}

fn set_modified(path: &Path, time: SystemTime) -> io::Result<()> {
    // A FIFO would block and a link would lead elsewhere.
    if path.symlink_metadata()?.is_file() {
        fs::File::open(path)?.set_modified(time)?;
    }
    Ok(())
}

fn newer(before: &Stamps, after: &Stamps) -> Vec<PathBuf> {
    after
        .iter()
        .filter(|(path, stamp)| before.get(*path) != Some(*stamp))
        .map(|(path, _)| path.clone())
        .collect()
}

/// A file that a compiler writes besides the one it was asked for: neither an object nor executable.
fn is_side_file(path: &Path, entry: &snapshot::Entry) -> bool {
    let object = path.extension().is_some_and(|extension| extension == "o");
    matches!(entry.kind, Kind::File(_)) && !object && entry.mode & 0o111 == 0
}

/// Deletes the chosen files that were not there before the first run; returns how many those are.
fn delete(
    work: &Path,
    fixture: &Tree,
    choose: impl Fn(&Path, &snapshot::Entry) -> bool,
) -> io::Result<usize> {
    let mut deleted = 0;
    // Deepest paths first, so that folders are empty when their turn comes.
    for (path, entry) in snapshot::tree(work)?.iter().rev() {
        if fixture.contains_key(path) || !choose(path, entry) {
            continue;
        }
        if entry.kind == Kind::Folder {
            // It may hold a state folder, which stays.
            let _ = fs::remove_dir(work.join(path));
        } else {
            fs::remove_file(work.join(path))?;
            deleted += 1;
        }
    }
    Ok(deleted)
}

/// Undoes what the change lines did, with new times.
fn restore(work: &Path, before: &Tree, after: &Tree) -> io::Result<()> {
    for (path, added) in after.iter().rev() {
        if !before.contains_key(path) {
            match added.kind {
                Kind::Folder => fs::remove_dir_all(work.join(path))?,
                _ => fs::remove_file(work.join(path))?,
            }
        }
    }
    for (path, old) in before {
        let new = after.get(path);
        let path = work.join(path);
        if let Some(new) = new.filter(|new| new.kind == old.kind) {
            if new.modified != old.modified {
                let time = Duration::from_nanos(old.modified.try_into().unwrap_or(0));
                set_modified(&path, SystemTime::UNIX_EPOCH + time)?;
            }
            continue;
        }
        let _ = fs::remove_file(&path);
        match &old.kind {
            Kind::File(bytes) => {
                fs::write(&path, bytes)?;
                fs::set_permissions(&path, fs::Permissions::from_mode(old.mode))?;
            }
            Kind::Link(target) => std::os::unix::fs::symlink(target, &path)?,
            Kind::Folder => fs::create_dir(&path)?,
            Kind::Fifo | Kind::Other => {}
        }
    }
    Ok(())
}
