//! Scratch folders and the renames out of them: the only place that renames.
//!
//! A scratch is a private folder on the file system of the output, in which the real compiler works. Its owner holds a flock on
//! the folder itself, so a later run can tell a stray (its owner was killed) from one in use, on any host and in any pid
//! namespace, and sweep it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::lock;
use crate::stamp::Stamp;
use crate::state::{self, Folder};

/// A scratch folder; removed with all that is in it when dropped.
#[derive(Debug)]
pub struct Scratch {
    dir: PathBuf,
    handle: File,
    clock: i64,
}

/// The names of scratch folders outside a state folder start so, and those of our own files in any scratch.
pub const TRANSIENT_PREFIX: &str = ".objguard-";

/// Whether a name is one that objguard gives to files of its own: no output can have it.
pub fn is_reserved(name: &OsStr) -> bool {
    name.as_encoded_bytes()
        .starts_with(TRANSIENT_PREFIX.as_bytes())
}

impl Scratch {
    /// A scratch in the state folder; strays of killed runs are swept first.
    pub fn in_state(folder: &Folder) -> io::Result<Scratch> {
        let tmp = folder.tmp();
        match state::make_private(&tmp) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => sweep(&tmp, ""),
            Err(e) => return Err(e),
        }
        Scratch::make(&tmp, "")
    }

    /// A scratch directly in `dir`, for where there is no trusted state folder.
    pub fn beside(dir: &Path) -> io::Result<Scratch> {
        sweep(dir, TRANSIENT_PREFIX);
        Scratch::make(dir, TRANSIENT_PREFIX)
    }

    fn make(parent: &Path, prefix: &str) -> io::Result<Scratch> {
        let pid = std::process::id();
        for attempt in 0u32.. {
            let mut name = OsString::from(prefix);
            name.push(format!(
                "{pid:x}-{:x}-{attempt}",
                crate::lineage::boottime_ns()
            ));
            let dir = state::in_dir(parent, &name);
            match state::make_private(&dir) {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                // Swept between two calls.
                Err(e) if e.kind() == io::ErrorKind::NotFound && attempt < 100 => {
                    if fs::metadata(if parent.as_os_str().is_empty() {
                        Path::new(".")
                    } else {
                        parent
                    })
                    .is_ok()
                    {
                        continue;
                    }
                    return Err(e);
                }
                Err(e) => return Err(e),
            }
            // A sweeper may come between the mkdir and the lock: then this folder is its, and another is made.
            let Ok(handle) = File::open(&dir) else {
                continue;
            };
            match lock::try_lock_file(&handle) {
                Ok(true) => {}
                Ok(false) => continue,
                // No locks on folders here (NFS): a sweeper can't lock it either, so nobody sweeps.
                Err(_) => {}
            }
            let meta = handle.metadata()?;
            if meta.nlink() == 0 || fs::symlink_metadata(&dir).is_err() {
                continue;
            }
            let clock = Stamp::from(&meta).ctime;
            return Ok(Scratch { dir, handle, clock });
        }
        unreachable!("the attempts are endless")
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// `name` in the scratch.
    pub fn path(&self, name: &OsStr) -> PathBuf {
        self.dir.join(name)
    }

    /// A file of ours called `name`, beside an output whose name may be any but one like this ([`is_reserved`]).
    pub fn own(&self, name: &str) -> PathBuf {
        self.dir.join([TRANSIENT_PREFIX, name].concat())
    }

    /// The file-system clock when the scratch was made (ns): what has a `ctime` not older has changed since, or may have.
    pub fn clock(&self) -> i64 {
        self.clock
    }

    /// Lets the file-system clock pass `ctime`, if that takes no more than a few ticks: so a file written just before the
    /// compile can be told from one written during it. 20 ms is two ticks at HZ=100, the coarsest clock in use.
    pub fn wait_until_after(&mut self, ctime: i64) {
        for _ in 0..20 {
            if ctime < self.clock || ctime > self.clock + 20_000_000 {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
            let _ = utimens(&self.dir, None);
            match self.handle.metadata() {
                Ok(meta) => self.clock = Stamp::from(&meta).ctime,
                Err(_) => return,
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove_folder(&self.dir);
    }
}

/// Removes a folder whose files may come and go meanwhile; what can't be removed is left for the next sweep.
pub fn remove_folder(dir: &Path) {
    // The empty folder is the everyday case: one call.
    if fs::remove_dir(dir).is_err() {
        let _ = fs::remove_dir_all(dir);
    }
}

/// Removes the scratch folders in `parent` that nobody holds.
pub fn sweep(parent: &Path, prefix: &str) {
    let listed = if parent.as_os_str().is_empty() {
        Path::new(".")
    } else {
        parent
    };
    let Ok(entries) = fs::read_dir(listed) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if !name.as_encoded_bytes().starts_with(prefix.as_bytes())
            || !entry.file_type().is_ok_and(|t| t.is_dir())
        {
            continue;
        }
        let path = state::in_dir(parent, &name);
        let Ok(handle) = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW)
            .open(&path)
        else {
            continue;
        };
        let euid = state::user();
        let stray = handle.metadata().is_ok_and(|m| {
            m.uid() == euid && (!owner_lives(&name, prefix) || older_than_a_minute(&m))
        });
        if stray && matches!(lock::try_lock_file(&handle), Ok(true)) {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

/// Whether there is a process of the id that begins a scratch's name: it may be about to lock its folder. In another pid
/// namespace that says nothing; then the lock decides alone, and an owner whose folder went in between makes another.
fn owner_lives(name: &OsStr, prefix: &str) -> bool {
    let id = name.as_encoded_bytes()[prefix.len()..]
        .split(|b| *b == b'-')
        .next()
        .unwrap_or_default();
    let Some(pid) = std::str::from_utf8(id)
        .ok()
        .and_then(|id| i32::from_str_radix(id, 16).ok())
    else {
        return false;
    };
    // SAFETY: signal 0 only asks.
    pid > 0
        && (unsafe { libc::kill(pid, 0) } == 0
            || io::Error::last_os_error().raw_os_error() == Some(libc::EPERM))
}

fn older_than_a_minute(meta: &fs::Metadata) -> bool {
    meta.modified()
        .is_ok_and(|m| m.elapsed().is_ok_and(|age| age.as_secs() > 60))
}

/// Makes `from` the file at `to`, in one step.
pub fn publish(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

/// Writes `content` to `to` by way of a file in the same folder, so that nobody sees a part of it. As when the compiler writes
/// it, an existing file keeps its mode, a symbolic link stays one, and a file that is not regular (`/dev/null`, a FIFO) is
/// written to.
pub fn write_atomically(to: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let existing = fs::metadata(to).ok();
    if existing.as_ref().is_some_and(|m| !m.is_file()) {
        return OpenOptions::new().write(true).open(to)?.write_all(content);
    }
    if existing.is_none() && fs::symlink_metadata(to).is_ok_and(|m| m.is_symlink()) {
        // It points to nothing yet: the file appears where it points.
        return fs::write(to, content);
    }
    let resolved = fs::canonicalize(to).unwrap_or_else(|_| to.to_owned());
    let mut hidden = OsString::from(TRANSIENT_PREFIX);
    hidden.push(format!(
        "{:x}-{:x}",
        std::process::id(),
        crate::lineage::boottime_ns()
    ));
    let temporary = resolved.with_file_name(&hidden);
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&temporary)?;
        file.write_all(content)?;
        if let Some(meta) = &existing {
            file.set_permissions(meta.permissions())?;
        }
        fs::rename(&temporary, &resolved)
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })
}

/// Sets both times of `path` to `when` (ns), or to now.
pub fn utimens(path: &Path, when: Option<i64>) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let c = std::ffi::CString::new(path.as_os_str().as_bytes())?;
    let time = match when {
        None => libc::timespec {
            tv_sec: 0,
            tv_nsec: libc::UTIME_NOW,
        },
        Some(ns) => libc::timespec {
            tv_sec: ns.div_euclid(1_000_000_000),
            tv_nsec: ns.rem_euclid(1_000_000_000),
        },
    };
    let times = [time, time];
    // SAFETY: `c` is a NUL-terminated path and `times` two valid timespecs, both alive during the call.
    if unsafe { libc::utimensat(libc::AT_FDCWD, c.as_ptr(), times.as_ptr(), 0) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
