//! Advisory locks in files of their own.
//!
//! flock(2) through `fs2`: the kernel frees a lock with its holder, so a killed process leaves none behind. The lock files are
//! opened close-on-exec: a daemon that the compiler starts doesn't inherit a lock.
//!
//! A lock file may be removed by whoever holds it exclusively ([`Lock::remove`]). So after getting the lock, [`acquire`] looks
//! whether the file it locked is still the one at the path, and starts again if not.
//!
//! Two kinds are used, `flight` and `publish`; always in that order, never two of a kind at once (DESIGN, section 7).

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::signals;

/// How a lock is held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// By any number of readers.
    Shared,
    /// By one.
    Exclusive,
}

/// A held lock; dropping it frees it.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Removes the lock file, which only an exclusive holder may do.
    pub fn remove(self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Takes the lock at `path`, creating the file; waits as long as it takes.
///
/// # Errors
/// Whatever open or flock say: a file system without locks gives `ENOLCK` or `EOPNOTSUPP`.
pub fn acquire(path: &Path, mode: Mode) -> io::Result<Lock> {
    loop {
        let file = open(path)?;
        retry_interrupted(|| match mode {
            Mode::Shared => fs2::FileExt::lock_shared(&file),
            Mode::Exclusive => fs2::FileExt::lock_exclusive(&file),
        })?;
        if still_at(&file, path)? {
            return Ok(Lock {
                file,
                path: path.to_owned(),
            });
        }
    }
}

/// Takes the lock at `path` exclusively if nobody holds it; `None` if somebody does.
pub fn try_acquire(path: &Path) -> io::Result<Option<Lock>> {
    loop {
        let file = open(path)?;
        if !try_lock_file(&file)? {
            return Ok(None);
        }
        if still_at(&file, path)? {
            return Ok(Some(Lock {
                file,
                path: path.to_owned(),
            }));
        }
    }
}

/// Waits until nobody holds the lock at `path` exclusively; does not take it. Any number can wait side by side.
pub fn wait(path: &Path) -> io::Result<()> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    retry_interrupted(|| fs2::FileExt::lock_shared(&file))
}

/// Locks an open file or folder exclusively without waiting; false if somebody holds it. Closing the file frees it.
pub fn try_lock_file(file: &File) -> io::Result<bool> {
    match retry_interrupted(|| fs2::FileExt::try_lock_exclusive(file)) {
        Ok(()) => Ok(true),
        Err(e) if e.raw_os_error() == fs2::lock_contended_error().raw_os_error() => Ok(false),
        Err(e) => Err(e),
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
        .open(path)
}

fn still_at(file: &File, path: &Path) -> io::Result<bool> {
    let held = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(there) => Ok(there.ino() == held.ino() && there.dev() == held.dev()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

fn retry_interrupted(mut call: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    loop {
        match call() {
            // A signal that ends the build ends the waiting; any other doesn't.
            Err(e) if e.kind() == io::ErrorKind::Interrupted && signals::caught().is_none() => {
                continue;
            }
            other => return other,
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file would do; a descriptor that a fork in flight has copied would keep the lock until its exec.
        let _ = fs2::FileExt::unlock(&self.file);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_lock_file_is_not_a_lock() {
        let dir = std::env::temp_dir().join(format!("objguard-lock-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("l");
        let held = acquire(&path, Mode::Exclusive).unwrap();
        assert!(try_acquire(&path).unwrap().is_none());
        held.remove();
        let again = try_acquire(&path).unwrap();
        assert!(again.is_some(), "the removed file's lock doesn't count");
        drop(again);
        let one = acquire(&path, Mode::Shared).unwrap();
        let two = acquire(&path, Mode::Shared).unwrap();
        assert!(try_acquire(&path).unwrap().is_none());
        drop((one, two));
        fs::remove_dir_all(&dir).unwrap();
    }
}
