//! Hashes of files that other compiles have read: hundreds of objects include the same headers.
//!
//! # Format
//!
//! A table of [`GROUPS`] groups of [`SETS`] sets of [`WAYS`] slots, 64 bytes each, in a sparse file beside the compilers' fingerprints:
//!
//! ```text
//! key     40 bytes   hash of spelling (with the working directory, if that is relative), device and the scanner's own source;
//!                    inode, size, mtime, ctime
//! hash    16 bytes   of the content, in which the scanner found nothing
//! check    8 bytes   hash of both
//! ```
//!
//! The folder tells the group, and the key the set in it: the headers of one folder are found by one read. There are no locks: a slot
//! that two write at once, or that is only partly written, fails its check and is a miss, as is all that can't be read; a full set
//! loses one of its slots. An entry says what the stamp in a record says ([`super`]), of the same path, and no more: it is made under
//! the same condition, that the file was older than the clock when the compile began.
//!
//! Nobody but its owner can write to the table, so that the hashes only need to tell what differs by chance. They are the standard
//! library's: four times as fast for such short texts as BLAKE3, and if another release has others, nothing is found.

use std::collections::hash_map::DefaultHasher;
use std::fs::{File, OpenOptions};
use std::hash::Hasher;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::InputHash;
use crate::identity::CacheDir;
use crate::lineage::boottime_ns;
use crate::scan;
use crate::spelling::parent;
use crate::stamp::Stamp;
use crate::state::is_ours;

/// Of a megabyte in all.
const GROUPS: u64 = 64;
const SETS: usize = 64;
const WAYS: usize = 4;
const SLOT: usize = 64;
const SET: usize = WAYS * SLOT;
const GROUP: usize = SETS * SET;

/// What is known of a file, and where that stands in a slot.
type Key = [u8; 40];
const HASH: std::ops::Range<usize> = 40..56;
const CHECK: std::ops::Range<usize> = 56..64;

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

    /// Of each file that has a stamp, the hash, if it is known; the scanner finds nothing in such a file.
    pub fn find(&self, paths: &[PathBuf], stamps: &[Option<Stamp>]) -> Vec<Option<InputHash>> {
        let mut found = vec![None; paths.len()];
        let Some(file) = &self.file else { return found };
        let files = paths.iter().zip(stamps).enumerate();
        let mut wanted: Vec<_> = files
            .filter_map(|(at, (path, stamp))| Some((group(path), at, stamp.as_ref()?)))
            .collect();
        wanted.sort_unstable_by_key(|(group, ..)| *group);
        let mut sets = [0; GROUP];
        let mut read_at = None;
        for (group, at, stamp) in wanted {
            if read_at != Some(group) {
                read(file, group, &mut sets);
                read_at = Some(group);
            }
            let key = self.key(&paths[at], stamp);
            let mut slots = sets[set(&key)..][..SET].chunks_exact(SLOT);
            let slot = slots.find(|slot| slot.starts_with(&key));
            found[at] = slot
                .filter(|slot| check(slot) == slot[CHECK])
                .map(|slot| slot[HASH].try_into().expect("16 bytes"));
        }
        found
    }

    /// Keeps the hash of a file in which the scanner found nothing. What can't be written isn't kept.
    pub fn keep(&self, path: &Path, stamp: &Stamp, hash: &InputHash) {
        let Some(file) = &self.file else { return };
        let key = self.key(path, stamp);
        let place = group(path) + set(&key) as u64;
        let mut slots = [0; SET];
        read(file, place, &mut slots);
        let of = |key: &Key| slots.chunks_exact(SLOT).position(|s| s.starts_with(key));
        let way = of(&key).or_else(|| of(&[0; 40]));
        // Any: else two of one set that always meet in one slot would drive each other out, beside what is of no more use.
        let way = way.unwrap_or_else(|| boottime_ns() as usize / 16 % WAYS);
        let mut slot = [0; SLOT];
        slot[..HASH.start].copy_from_slice(&key);
        slot[HASH].copy_from_slice(hash);
        let check = check(&slot);
        slot[CHECK].copy_from_slice(&check);
        let _ = file.write_all_at(&slot, place + (way * SLOT) as u64);
    }

    fn key(&self, path: &Path, stamp: &Stamp) -> Key {
        let mut name = DefaultHasher::new();
        name.write_u64(scan::VERSION);
        name.write_u64(stamp.dev);
        if path.is_relative() {
            name.write(self.directory.as_os_str().as_bytes());
            name.write_u8(0);
        }
        name.write(path.as_os_str().as_bytes());
        let numbers = [name.finish(), stamp.ino, stamp.size].map(u64::to_le_bytes);
        let times = [stamp.mtime, stamp.ctime].map(i64::to_le_bytes);
        let mut key = [0; 40];
        let fields = numbers.iter().chain(&times).flatten();
        key.iter_mut()
            .zip(fields)
            .for_each(|(to, from)| *to = *from);
        key
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

/// Where the group of a path begins.
fn group(path: &Path) -> u64 {
    let folder = parent(path).map_or(&b""[..], |folder| folder.as_os_str().as_bytes());
    sum(folder) % GROUPS * GROUP as u64
}

/// Where the set of a key begins in its group.
fn set(key: &Key) -> usize {
    usize::from(key[0]) % SETS * SET
}

/// Reads what lies at a place; what can't be read, or lies behind the file's end, is empty.
fn read(file: &File, at: u64, into: &mut [u8]) {
    let filled = file.read_at(into, at).unwrap_or(0);
    into[filled..].fill(0);
}

/// What must stand in the last bytes of a slot.
fn check(slot: &[u8]) -> [u8; 8] {
    sum(&slot[..CHECK.start]).to_le_bytes()
}

fn sum(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
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

    fn find(known: &Known, path: &Path, stamp: &Stamp) -> Option<InputHash> {
        known.find(&[path.to_owned()], &[Some(*stamp)])[0]
    }

    #[test]
    fn what_was_kept_is_found_by_path_and_stamp() {
        let folder = Folder::new("found");
        let path = Path::new("/usr/include/a.h");
        folder.open().keep(path, &stamp(1), &[7; 16]);
        let known = folder.open();
        assert_eq!(find(&known, path, &stamp(1)), Some([7; 16]));
        assert_eq!(find(&known, path, &stamp(2)), None);
        assert_eq!(find(&known, Path::new("/usr/include/b.h"), &stamp(1)), None);
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
            assert_eq!(find(&known, path, &changed), None, "{changed:?}");
        }
    }

    #[test]
    fn many_are_found_at_once_each_its_own() {
        let folder = Folder::new("many");
        let paths: Vec<PathBuf> = (0..150u8)
            .map(|n| format!("/{}/{n}.h", n % 7).into())
            .collect();
        let known = folder.open();
        for (n, path) in (0..).zip(&paths).filter(|(n, _)| n % 3 != 0) {
            known.keep(path, &stamp(1), &[n; 16]);
        }
        let stamps: Vec<_> = (0..150).map(|n| (n % 5 != 0).then_some(stamp(1))).collect();
        for (n, found) in (0..).zip(known.find(&paths, &stamps)) {
            let kept = (n % 3 != 0 && n % 5 != 0).then_some([n; 16]);
            assert_eq!(found, kept, "{n}");
        }
        assert_eq!(Known::default().find(&paths, &stamps), vec![None; 150]);
    }

    #[test]
    fn a_relative_path_is_one_of_its_working_directory() {
        let folder = Folder::new("relative");
        let path = Path::new("a.h");
        folder.open().keep(path, &stamp(1), &[7; 16]);
        assert!(find(&folder.open(), path, &stamp(1)).is_some());
        let elsewhere = Known::open(&folder.dirs(), Path::new("/elsewhere"));
        assert_eq!(find(&elsewhere, path, &stamp(1)), None);
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
            assert_eq!(find(&folder.open(), path, &stamp(1)), None, "byte {at}");
            fs::write(folder.table(), &whole[..at]).unwrap();
            assert_eq!(find(&folder.open(), path, &stamp(1)), None, "cut at {at}");
        }
        fs::write(folder.table(), &whole).unwrap();
        assert!(find(&folder.open(), path, &stamp(1)).is_some());
    }

    #[test]
    fn a_full_table_still_finds_most() {
        let folder = Folder::new("full");
        let known = folder.open();
        let path = |n: u64| PathBuf::from(format!("/{}/{n}.h", n % 1000));
        for n in 0..20_000u64 {
            let hash = u128::from(n).to_le_bytes();
            known.keep(&path(n), &stamp(n), &hash);
            assert_eq!(find(&known, &path(n), &stamp(n)), Some(hash));
        }
        let found = (0..20_000u64).filter(|n| find(&known, &path(*n), &stamp(*n)).is_some());
        assert!(found.count() > 10_000);
        let size = fs::metadata(folder.table()).unwrap().len();
        assert!(size <= GROUPS * GROUP as u64, "{size}");
    }

    #[test]
    fn what_is_in_use_takes_the_place_of_what_is_not() {
        let folder = Folder::new("stale");
        let known = folder.open();
        let path = |n: u64| PathBuf::from(format!("/include/{n}.h"));
        for n in 0..2000 {
            known.keep(&path(n), &stamp(1), &[1; 16]);
        }
        let mut unknown = 40;
        for _ in 0..200 {
            let missed = |n: &u64| find(&known, &path(*n), &stamp(2)).is_none();
            let missed: Vec<u64> = (0..40).filter(missed).collect();
            unknown = missed.len();
            for n in missed {
                known.keep(&path(n), &stamp(2), &[2; 16]);
            }
        }
        assert_eq!(unknown, 0);
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
