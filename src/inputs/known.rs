//! Hashes of files that other compiles have read: hundreds of objects include the same headers.
//!
//! # Format
//!
//! A table of [`PAGES`] pages of [`WAYS`] slots, 64 bytes each, in a sparse file beside the compilers' fingerprints:
//!
//! ```text
//! key     16 bytes   of the spelling (with the working directory, if that is relative), the stamp, and the scanner's own source
//! hash    16 bytes   of the content, in which the scanner found nothing
//! check   32 bytes   blake3 of both
//! ```
//!
//! The folder and the key tell the page: headers of one folder share a few, so that two hundred are found by twenty reads. There are no
//! locks: a slot that two write at once, or that is only partly written, fails its check and is a miss, as is all that can't be read; a
//! full page loses one of its slots. An entry says what the stamp in a record says ([`super`]), of the same path, and no more: it is
//! made under the same condition, that the file was older than the clock when the compile began.

use std::fs::{File, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::InputHash;
use crate::identity::CacheDir;
use crate::scan;
use crate::spelling::parent;
use crate::stamp::Stamp;
use crate::state::is_ours;

/// Of a megabyte in all.
const PAGES: u64 = 256;
const WAYS: usize = 64;
const SLOT: usize = 64;
const PAGE: usize = WAYS * SLOT;
/// So many pages may hold what lies in one folder: a power of two.
const SPREAD: u64 = 4;

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
        let mut wanted: Vec<(u64, [u8; 16], usize)> = files
            .filter_map(|(at, (path, stamp))| {
                let key = self.key(path, stamp.as_ref()?);
                Some((place(path, &key), key, at))
            })
            .collect();
        wanted.sort_unstable();
        let mut page = [0; PAGE];
        let mut read_at = None;
        for (place, key, at) in wanted {
            if read_at != Some(place) {
                read(file, place, &mut page);
                read_at = Some(place);
            }
            let slot = page.chunks_exact(SLOT).find(|slot| slot[..16] == key);
            found[at] = slot
                .filter(|slot| check(&slot[..32]) == slot[32..])
                .map(|slot| slot[16..32].try_into().expect("16 bytes"));
        }
        found
    }

    /// Keeps the hash of a file in which the scanner found nothing. What can't be written isn't kept.
    pub fn keep(&self, path: &Path, stamp: &Stamp, hash: &InputHash) {
        let Some(file) = &self.file else { return };
        let key = self.key(path, stamp);
        let place = place(path, &key);
        let mut page = [0; PAGE];
        read(file, place, &mut page);
        let of = |wanted: &[u8; 16]| page.chunks_exact(SLOT).position(|s| s[..16] == *wanted);
        let way = of(&key).or_else(|| of(&[0; 16]));
        let way = way.unwrap_or(usize::from(key[15]) % WAYS);
        let mut slot = [0; SLOT];
        slot[..16].copy_from_slice(&key);
        slot[16..32].copy_from_slice(hash);
        let check = check(&slot[..32]);
        slot[32..].copy_from_slice(&check);
        let _ = file.write_all_at(&slot, place + (way * SLOT) as u64);
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

/// Where the page of a key begins.
fn place(path: &Path, key: &[u8; 16]) -> u64 {
    let folder = parent(path).map_or(&b""[..], |folder| folder.as_os_str().as_bytes());
    let page = scan::fnv_1a(folder).wrapping_add(u64::from(key[0]) % SPREAD);
    page % PAGES * PAGE as u64
}

/// Reads a page; what can't be read, or lies behind the file's end, is empty.
fn read(file: &File, at: u64, page: &mut [u8; PAGE]) {
    let filled = file.read_at(page, at).unwrap_or(0);
    page[filled..].fill(0);
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
        assert!(size <= PAGES * PAGE as u64, "{size}");
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
