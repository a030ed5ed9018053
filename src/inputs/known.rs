//! Hashes of files that other compiles have read: hundreds of objects include the same headers.
//!
//! # Format
//!
//! A table of [`BUCKETS`] buckets of [`WAYS`] slots, 64 bytes each, in a sparse file beside the compilers' fingerprints:
//!
//! ```text
//! key     16 bytes   of the spelling (with the working directory, if that is relative), the stamp, and the scanner's own source
//! hash    16 bytes   of the content, in which the scanner found nothing
//! check   32 bytes   blake3 of both
//! ```
//!
//! The key tells the bucket. There are no locks: a slot that two write at once, or that is only partly written, fails its check and is a miss, as is
//! all that can't be read; a full bucket loses one of its slots. An entry says what the stamp in a record says ([`super`]), of the same
//! path, and no more: it is made under the same condition, that the file was older than the clock when the compile began.

use std::fs::{File, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::InputHash;
use crate::identity::CacheDir;
use crate::scan;
use crate::stamp::Stamp;
use crate::state::is_ours;

/// Of a megabyte in all.
const BUCKETS: u64 = 4096;
const WAYS: usize = 4;
const SLOT: usize = 64;
const BUCKET: usize = WAYS * SLOT;

/// The table's name in its folder.
const NAME: &str = "inputs";

/// The table, if it can be had; without it nothing is known, and nothing kept.
#[derive(Debug, Default)]
pub struct Known {
    file: Option<File>,
    directory: PathBuf,
}

impl Known {
    /// The table in the first of `dirs` that can be used. `directory`: where relative paths begin.
    pub fn open(dirs: &[CacheDir], directory: &Path) -> Known {
        Known {
            file: dirs.iter().find_map(table),
            directory: directory.to_owned(),
        }
    }

    /// The hash of the file at `path`, which has this stamp; the scanner finds nothing in it.
    pub fn find(&self, path: &Path, stamp: &Stamp) -> Option<InputHash> {
        let key = self.key(path, stamp);
        let bucket = read(self.file.as_ref()?, place(&key))?;
        let mut slots = bucket.chunks_exact(SLOT);
        let slot = slots.find(|slot| slot[..16] == key)?;
        (check(&slot[..32]) == slot[32..]).then(|| slot[16..32].try_into().expect("16 bytes"))
    }

    /// Keeps the hash of a file in which the scanner found nothing. What can't be written isn't kept.
    pub fn keep(&self, path: &Path, stamp: &Stamp, hash: &InputHash) {
        let Some(file) = &self.file else { return };
        let key = self.key(path, stamp);
        let bucket = read(file, place(&key)).unwrap_or([0; BUCKET]);
        let free = bucket.chunks_exact(SLOT).position(|s| s[..16] == [0; 16]);
        let way = free.unwrap_or(usize::from(key[15]) % WAYS);
        let mut slot = [0; SLOT];
        slot[..16].copy_from_slice(&key);
        slot[16..32].copy_from_slice(hash);
        let check = check(&slot[..32]);
        slot[32..].copy_from_slice(&check);
        let _ = file.write_all_at(&slot, place(&key) + (way * SLOT) as u64);
    }

    fn key(&self, path: &Path, stamp: &Stamp) -> [u8; 16] {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(&scan::VERSION.to_le_bytes());
        for number in [stamp.dev, stamp.ino, stamp.size] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for time in [stamp.mtime, stamp.ctime] {
            bytes.extend_from_slice(&time.to_le_bytes());
        }
        if path.is_relative() {
            bytes.extend_from_slice(self.directory.as_os_str().as_bytes());
            bytes.push(0);
        }
        bytes.extend_from_slice(path.as_os_str().as_bytes());
        super::hash(&bytes)
    }
}

/// Opens the table, and makes it if it isn't there.
fn table(dir: &CacheDir) -> Option<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(dir.prepared()?.join(NAME))
        .ok()?;
    let meta = file.metadata().ok()?;
    // Under another name, too, it may be anything.
    (meta.is_file() && is_ours(&meta, 0o022) && meta.nlink() == 1).then_some(file)
}

/// Where the bucket of a key begins.
fn place(key: &[u8; 16]) -> u64 {
    u64::from(u16::from_le_bytes([key[0], key[1]])) % BUCKETS * BUCKET as u64
}

/// A bucket; what lies behind the file's end is empty.
fn read(file: &File, at: u64) -> Option<[u8; BUCKET]> {
    let mut bucket = [0; BUCKET];
    file.read_at(&mut bucket, at).ok().map(|_| bucket)
}

fn check(entry: &[u8]) -> [u8; 32] {
    *blake3::hash(entry).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;
    use std::fs;

    use crate::identity::cache_dirs;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let dir =
                std::env::temp_dir().join(format!("objguard-known-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&dir);
            fs::create_dir_all(&dir).unwrap();
            Folder(dir)
        }

        fn dirs(&self) -> Vec<CacheDir> {
            let home = (OsString::from("XDG_CACHE_HOME"), self.0.clone().into());
            cache_dirs(&[home], None)
        }

        fn open(&self) -> Known {
            Known::open(&self.dirs(), Path::new("/work"))
        }

        fn table(&self) -> PathBuf {
            self.0.join("objguard").join(NAME)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn stamp(n: u64) -> Stamp {
        Stamp {
            dev: 1,
            ino: n,
            size: 3,
            mtime: 4,
            ctime: 5,
        }
    }

    #[test]
    fn what_was_kept_is_found_by_path_and_stamp() {
        let folder = Folder::new("found");
        let path = Path::new("/usr/include/a.h");
        folder.open().keep(path, &stamp(1), &[7; 16]);
        let known = folder.open();
        assert_eq!(known.find(path, &stamp(1)), Some([7; 16]));
        assert_eq!(known.find(path, &stamp(2)), None);
        assert_eq!(known.find(Path::new("/usr/include/b.h"), &stamp(1)), None);
        for changed in [
            Stamp { dev: 0, ..stamp(1) },
            Stamp {
                size: 0,
                ..stamp(1)
            },
            Stamp {
                mtime: 0,
                ..stamp(1)
            },
            Stamp {
                ctime: 0,
                ..stamp(1)
            },
        ] {
            assert_eq!(known.find(path, &changed), None, "{changed:?}");
        }
    }

    #[test]
    fn a_relative_path_is_one_of_its_working_directory() {
        let folder = Folder::new("relative");
        let path = Path::new("a.h");
        folder.open().keep(path, &stamp(1), &[7; 16]);
        assert!(folder.open().find(path, &stamp(1)).is_some());
        let elsewhere = Known::open(&folder.dirs(), Path::new("/elsewhere"));
        assert_eq!(elsewhere.find(path, &stamp(1)), None);
    }

    #[test]
    fn every_flipped_byte_and_every_cut_is_a_miss() {
        let folder = Folder::new("flipped");
        let path = Path::new("/a.h");
        folder.open().keep(path, &stamp(1), &[7; 16]);
        let whole = fs::read(folder.table()).unwrap();
        let begins = whole.len() - SLOT;
        for at in begins..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(folder.table(), bytes).unwrap();
            assert_eq!(folder.open().find(path, &stamp(1)), None, "byte {at}");
            fs::write(folder.table(), &whole[..at]).unwrap();
            assert_eq!(folder.open().find(path, &stamp(1)), None, "cut at {at}");
        }
        fs::write(folder.table(), &whole).unwrap();
        assert!(folder.open().find(path, &stamp(1)).is_some());
    }

    #[test]
    fn a_full_table_still_finds_most() {
        let folder = Folder::new("full");
        let known = folder.open();
        let path = Path::new("/a.h");
        for n in 0..20_000u64 {
            let hash = u128::from(n).to_le_bytes();
            known.keep(path, &stamp(n), &hash);
            assert_eq!(known.find(path, &stamp(n)), Some(hash));
        }
        let found = (0..20_000u64).filter(|n| known.find(path, &stamp(*n)).is_some());
        assert!(found.count() > 10_000);
        let size = fs::metadata(folder.table()).unwrap().len();
        assert!(size <= BUCKETS * BUCKET as u64, "{size}");
    }

    #[test]
    fn a_table_that_others_may_write_is_not_used() {
        use std::os::unix::fs::PermissionsExt;
        let folder = Folder::new("planted");
        let path = Path::new("/a.h");
        folder.open().keep(path, &stamp(1), &[7; 16]);
        fs::set_permissions(folder.table(), fs::Permissions::from_mode(0o622)).unwrap();
        assert!(folder.open().file.is_none());
        fs::set_permissions(folder.table(), fs::Permissions::from_mode(0o600)).unwrap();
        assert!(folder.open().file.is_some());
        fs::hard_link(folder.table(), folder.0.join("other")).unwrap();
        assert!(folder.open().file.is_none());
        fs::remove_file(folder.table()).unwrap();
        std::os::unix::fs::symlink("../other", folder.table()).unwrap();
        assert!(folder.open().file.is_none());
        fs::remove_file(folder.table()).unwrap();
        fs::create_dir(folder.table()).unwrap();
        assert!(folder.open().file.is_none());
    }
}
