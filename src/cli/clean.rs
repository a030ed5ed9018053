//! `objguard clean [DIR]`: removes what objguard keeps beside objects.
//!
//! Nothing that a running build may still need goes: an object stays if its locks are held, or if a process that claimed it
//! lives; a state folder stays whole while a compile or link works in its scratch. Objects themselves are never touched, and
//! state that isn't trusted is somebody else's.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command, value_parser};

use super::{cannot, print, text, walk};
use crate::claims::Log;
use crate::lineage::{self, Lineage};
use crate::lock;
use crate::process::Ended;
use crate::scratch::{self, TRANSIENT_PREFIX};
use crate::state::{Folder, ObjectState};

pub(super) fn command() -> Command {
    Command::new("clean")
        .about("Remove what objguard keeps beside objects; leaves what a running build needs")
        .arg(
            Arg::new("dir")
                .value_name("DIR")
                .default_value(".")
                .value_parser(value_parser!(OsString))
                .help("Where to look, folders below it included"),
        )
}

pub(super) fn main(given: &ArgMatches) -> anyhow::Result<Ended> {
    let dir = given.get_one::<OsString>("dir").expect("it has a default");
    let dir = walk::spelled(dir);
    let found = walk::state_folders(&dir)?;
    let mut failed = found.complain();
    let mut done = Done::default();
    let here = lineage::read().map_err(cannot("read", Path::new("/proc")))?;
    for (parent, folder) in &found.trusted {
        match clean_folder(folder, &here, &mut done) {
            // Another clean was faster.
            Err((_, e)) if e.kind() == io::ErrorKind::NotFound => {}
            Err((path, e)) => {
                eprintln!("objguard: {:#}", cannot("remove", &path)(e));
                failed = true;
            }
            Ok(()) => {}
        }
        scratch::sweep(parent, TRANSIENT_PREFIX);
    }
    found
        .strays
        .iter()
        .for_each(|parent| scratch::sweep(parent, TRANSIENT_PREFIX));
    for (path, why) in &done.left {
        eprintln!("objguard: left `{}`: {why}", text::path(path));
    }
    let mut line = format!(
        "removed {} with the state of {}, {}",
        text::count(done.folders, "folder"),
        text::count(done.objects, "object"),
        text::size(done.bytes)
    );
    if !done.left.is_empty() {
        line.push_str(&format!("; left {}", text::count(done.left.len(), "path")));
    }
    print(&format!("{line}\n"))?;
    Ok(Ended::Code(i32::from(failed)))
}

#[derive(Default)]
struct Done {
    folders: usize,
    objects: usize,
    bytes: u64,
    left: Vec<(PathBuf, String)>,
}

fn clean_folder(
    folder: &Folder,
    here: &Lineage,
    done: &mut Done,
) -> Result<(), (PathBuf, io::Error)> {
    let of_folder = |e| (folder.path().to_owned(), e);
    scratch::sweep(&folder.tmp(), "");
    if fs::read_dir(folder.tmp()).is_ok_and(|mut scratch| scratch.next().is_some()) {
        done.left.push((
            folder.path().to_owned(),
            "a compile or link is at work in it".into(),
        ));
        return Ok(());
    }
    let mut whole = true;
    for name in folder.objects().map_err(of_folder)? {
        let Ok(state) = folder.object(&name) else {
            continue;
        };
        match clean_object(&state, here) {
            Ok(Ok(bytes)) => {
                done.objects += 1;
                done.bytes += bytes;
            }
            Ok(Err(why)) => {
                whole = false;
                done.left.push((state.path().to_owned(), why));
            }
            Err(e) => return Err((state.path().to_owned(), e)),
        }
    }
    if whole && remove_folder(folder).map_err(of_folder)? {
        done.folders += 1;
    }
    Ok(())
}

/// Removes the state of one object; the inner error says why it stays. Gives the bytes that were freed.
fn clean_object(state: &ObjectState, here: &Lineage) -> io::Result<Result<u64, String>> {
    let Some(publish) = lock::try_acquire(&state.publish_lock())? else {
        return Ok(Err("it is being published or linked".into()));
    };
    let mut flights = Vec::new();
    for entry in fs::read_dir(state.path())? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "flight") {
            match lock::try_acquire(&path)? {
                Some(lock) => flights.push(lock),
                None => return Ok(Err("it is being compiled".into())),
            }
        }
    }
    if let Some(pid) = still_needed(&Log::read(&state.claims())?, here) {
        let name = lineage::name(pid).unwrap_or_else(|| "process".into());
        return Ok(Err(format!(
            "a running build asked for it (`{name}`, process {pid})"
        )));
    }
    let bytes = size_of(state.path());
    // The claims go first: without them, what is left after a kill tells nothing.
    remove_file(&state.claims())?;
    for entry in fs::read_dir(state.path())? {
        let path = entry?.path();
        if path.is_dir() {
            fs::remove_dir_all(&path)?;
        } else if path != state.publish_lock() {
            remove_file(&path)?;
        }
    }
    drop(flights);
    publish.remove();
    match fs::remove_dir(state.path()) {
        // A compile that has just begun put its lock there.
        Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => {
            Ok(Err("a compile has just begun".into()))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Ok(bytes)),
        Err(e) => Err(e),
        Ok(()) => Ok(Ok(bytes)),
    }
}

/// A living process that claimed a variant and may link it yet. Sessions outlive their builds: what leads one (a login shell,
/// a terminal's) doesn't count, nor do our own ancestors.
fn still_needed(log: &Log, here: &Lineage) -> Option<u32> {
    let own: HashSet<(u32, u64)> = here.steps.iter().map(|s| (s.pid, s.start)).collect();
    log.claims()
        .filter(|c| c.lineage.host == here.host)
        .flat_map(|c| {
            c.lineage.steps.iter().take_while(|s| {
                s.pid != 1 && !own.contains(&(s.pid, s.start)) && !lineage::leads_a_session(s.pid)
            })
        })
        .find(|s| lineage::alive(s.pid, s.start))
        .map(|s| s.pid)
}

/// Removes a state folder that has no objects any more; false if something has come meanwhile.
fn remove_folder(folder: &Folder) -> io::Result<bool> {
    let path = folder.path();
    // Not with what is in it: a compile that has just begun makes its scratch there.
    match fs::remove_dir(folder.tmp()) {
        Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => return Ok(false),
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    remove_file(&folder.links())?;
    match fs::remove_dir_all(path.join("fingerprints")) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    for name in [".gitignore", "CACHEDIR.TAG"] {
        remove_file(&path.join(name))?;
    }
    match fs::remove_dir(path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(false),
        Err(e) => Err(e),
    }
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Bytes on disk that go with the folder: a file with another name elsewhere stays.
fn size_of(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else {
        return 0;
    };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => size_of(&entry.path()),
        Ok(meta) if meta.nlink() == 1 => meta.len(),
        _ => 0,
    };
    entries.flatten().map(size).sum()
}
