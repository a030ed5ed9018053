//! What the file system of a build must be able to do, tried out in a folder of our own.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use super::{Report, TrialFolder};
use crate::cli::text;
use crate::lock::{self, Mode};
use crate::scratch;
use crate::stamp::Stamp;

/// A trial: `Ok(None)` it works, `Ok(Some)` it doesn't, as described.
type Trial = fn(&Path) -> io::Result<Option<&'static str>>;

/// The trials: name, trial, and what it means if it doesn't work.
const TRIALS: [(&str, Trial, &str); 5] = [
    (
        "locks",
        locks,
        "builds on it aren't guarded against each other; build on a local file system",
    ),
    ("hard links", links, "kept variants are copied instead"),
    (
        "rename",
        rename,
        "objects can't be published in one step; build on another file system",
    ),
    (
        "symbolic links",
        symlinks,
        "`objguard run` needs them in its temporary folder",
    ),
    (
        "times",
        times,
        "changes within the same second may be missed",
    ),
];

pub(super) fn check(dir: &Path, report: &mut Report) {
    let dir = if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    };
    let folder = match TrialFolder::new(dir) {
        Ok(folder) => folder,
        Err(e) => {
            report.bad(
                "file system",
                format!(
                    "cannot create a folder in `{}`: {}; nothing can be built here",
                    text::path(dir),
                    text::cause(&e)
                ),
            );
            return;
        }
    };
    for (name, trial, meaning) in TRIALS {
        let what = format!("file system: {name}");
        match trial(&folder.0) {
            Ok(None) => report.good(&what, "as needed"),
            Ok(Some(how)) => report.bad(&what, format!("{how}: {meaning}")),
            Err(e) if name == "hard links" => {
                report.note(&what, format!("{}: {meaning}", text::cause(&e)))
            }
            Err(e) => report.bad(&what, format!("{}: {meaning}", text::cause(&e))),
        }
    }
}

fn locks(dir: &Path) -> io::Result<Option<&'static str>> {
    let path = dir.join("lock");
    let held = lock::acquire(&path, Mode::Exclusive)?;
    if lock::try_acquire(&path)?.is_some() {
        return Ok(Some("a lock that is held can be taken again"));
    }
    drop(held);
    let shared = (
        lock::acquire(&path, Mode::Shared)?,
        lock::acquire(&path, Mode::Shared)?,
    );
    drop(shared);
    match lock::try_acquire(&path)? {
        Some(lock) => lock.remove(),
        None => return Ok(Some("a lock that was freed can't be taken again")),
    }
    // Scratch folders are locked themselves.
    if !lock::try_lock_file(&File::open(dir)?)? {
        return Ok(Some("a folder can't be locked"));
    }
    Ok(None)
}

fn links(dir: &Path) -> io::Result<Option<&'static str>> {
    let (one, two) = (dir.join("one"), dir.join("two"));
    fs::write(&one, "x")?;
    fs::hard_link(&one, &two)?;
    let same = Stamp::of(&one)?.ino == Stamp::of(&two)?.ino && fs::metadata(&two)?.nlink() == 2;
    Ok((!same).then_some("a hard link is another file"))
}

fn rename(dir: &Path) -> io::Result<Option<&'static str>> {
    let (old, new) = (dir.join("old"), dir.join("new"));
    fs::write(&old, "old")?;
    let mut reader = File::open(&old)?;
    fs::write(&new, "new")?;
    let ino = Stamp::of(&new)?.ino;
    scratch::publish(&new, &old)?;
    let mut seen = String::new();
    io::Read::read_to_string(&mut reader, &mut seen)?;
    if seen != "old" {
        return Ok(Some(
            "a file that is open changes when another takes its name",
        ));
    }
    let good = fs::read_to_string(&old)? == "new" && Stamp::of(&old)?.ino == ino;
    Ok((!good).then_some("a renamed file is another one"))
}

fn symlinks(dir: &Path) -> io::Result<Option<&'static str>> {
    symlink("target", dir.join("link"))?;
    Ok((fs::read_link(dir.join("link"))? != Path::new("target"))
        .then_some("a link leads elsewhere"))
}

/// Two writes a little apart must have two times, and the clock must not go backwards.
fn times(dir: &Path) -> io::Result<Option<&'static str>> {
    let path = dir.join("time");
    let mut file = File::create(&path)?;
    file.write_all(b"1")?;
    let first = Stamp::of(&path)?;
    // Longer than the tick of the coarsest clock in use on systems with sub-second times (HZ=100).
    std::thread::sleep(std::time::Duration::from_millis(25));
    file.write_all(b"2")?;
    let second = Stamp::of(&path)?;
    Ok(if second.mtime < first.mtime {
        Some("its clock goes backwards")
    } else if second.ctime == first.ctime {
        Some("its times are too coarse to tell two writes apart")
    } else {
        None
    })
}
