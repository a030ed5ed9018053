//! What `stat` says of a file, as far as it tells one content from another.
//!
//! The times are nanoseconds since the epoch. A stamp that is equal proves nothing if the file changed within the tick of the
//! file-system clock in which the stamp was taken (4 ms at HZ=250): whoever keeps one compares its `ctime` with the clock
//! ([`Stamp::older_than`]) first.
//!
//! Nor does one of an image prove anything: see [`Stamp::tells`].

use std::ffi::CString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Mutex;

/// Device, inode, size and times of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stamp {
    /// Device number.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Size in bytes.
    pub size: u64,
    /// Modification time, ns.
    pub mtime: i64,
    /// Status change time, ns: nobody can set it.
    pub ctime: i64,
}

impl Stamp {
    /// The stamp of what `path` names, symbolic links followed.
    pub fn of(path: &Path) -> io::Result<Stamp> {
        fs::metadata(path).map(|m| Stamp::from(&m))
    }

    /// The stamp of the regular file at `path` itself; `None`: there is nothing, or something else. What can't be looked at may
    /// be there.
    pub fn of_file(path: &Path) -> io::Result<Option<Stamp>> {
        match fs::symlink_metadata(path) {
            Ok(m) if m.is_file() => Ok(Some(Stamp::from(&m))),
            Ok(_) => Ok(None),
            Err(e) if says_missing(&e) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Whether the file last changed before `clock` (ns of the same file system's clock). `mtime` can be set to anything, also
    /// to a day in the future; that changes `ctime`.
    pub fn older_than(&self, clock: i64) -> bool {
        self.ctime < clock
    }

    /// Whether an equal stamp of `path` means equal content at all. Images (squashfs, ISO 9660, EROFS with fixed times) have whole
    /// seconds, the same ones in each image of a reproducible build; if another is mounted in the place of one, its files have the
    /// same device, inodes, sizes and times. So a `ctime` in whole seconds tells nothing on a file system that is mounted
    /// read-only, nor one from before any disk in use (0, 1 and 1980 are what such builds set). There, contents are compared.
    pub fn tells(&self, path: &Path) -> bool {
        const SECOND: i64 = 1_000_000_000;
        /// 2001-09-09, seconds since the epoch.
        const OLDEST: i64 = 1_000_000_000;
        if self.ctime % SECOND != 0 {
            return true;
        }
        self.ctime > OLDEST * SECOND && !is_read_only(self.dev, path)
    }

    /// The same file with the same content, as far as a rename or a hard link, which touch only `ctime`, let one tell.
    pub fn same_content(&self, other: &Stamp) -> bool {
        self.ino == other.ino && self.size == other.size && self.mtime == other.mtime
    }
}

/// Whether the file system of `path`, device `dev`, is mounted read-only, or may be. It is asked once.
fn is_read_only(dev: u64, path: &Path) -> bool {
    static KNOWN: Mutex<Vec<(u64, bool)>> = Mutex::new(Vec::new());
    let Ok(mut known) = KNOWN.lock() else {
        return true;
    };
    if let Some((_, answer)) = known.iter().find(|(d, _)| *d == dev) {
        return *answer;
    }
    let answer = CString::new(path.as_os_str().as_bytes()).map_or(true, |path| {
        // SAFETY: an all-zero statvfs is valid, `path` is NUL-terminated, and both outlive the call.
        unsafe {
            let mut about: libc::statvfs = std::mem::zeroed();
            libc::statvfs(path.as_ptr(), &raw mut about) != 0 || about.f_flag & libc::ST_RDONLY != 0
        }
    });
    known.push((dev, answer));
    answer
}

/// Whether an error says that there is nothing at a path. Any other leaves it open.
pub fn says_missing(e: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, NotADirectory, NotFound};
    matches!(e.kind(), NotFound | NotADirectory | InvalidFilename)
}

/// Whether something may be at `path`, which what can't be looked at may.
pub fn may_exist(path: &Path) -> bool {
    fs::metadata(path).map_or_else(|e| !says_missing(&e), |_| true)
}

impl From<&Metadata> for Stamp {
    fn from(m: &Metadata) -> Stamp {
        Stamp {
            dev: m.dev(),
            ino: m.ino(),
            size: m.size(),
            mtime: nanoseconds(m.mtime(), m.mtime_nsec()),
            ctime: nanoseconds(m.ctime(), m.ctime_nsec()),
        }
    }
}

/// Seconds and nanoseconds as one number; saturates for times no clock shows (a file dated to the year 3000).
fn nanoseconds(seconds: i64, nanos: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}
