//! The files a compile read: stat identity and content hash of each, learnt from its depfile.
//!
//! A file whose `ctime` is not older than the file-system clock at the compile's start may have been read before or after the
//! change: the object is published, but not reusable. All recorded stamps are older than that clock, so a later change, even
//! one within the same tick, shows in them.

pub mod known;

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::dirty::Dirty;
use crate::scan::{Findings, Scanner};
use crate::spelling::same;
use crate::stamp::Stamp;
use known::Known;

/// The first 16 bytes of a file's BLAKE3 hash.
pub type InputHash = [u8; 16];

/// One file that was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Input {
    /// As the compiler spells it, relative to its working directory.
    pub path: PathBuf,
    /// What stat said.
    pub stamp: Stamp,
    /// What it held.
    pub hash: InputHash,
}

/// How a file that was read stands now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Standing {
    /// The same stamp.
    Same,
    /// Another stamp, the same content.
    Touched(Stamp),
    /// Other content, or gone.
    Dirty(Dirty),
}

impl Input {
    /// Compares with the file as it is now: one stat, and a read only if that differs, or tells nothing.
    pub fn standing(&self, buffer: &mut Vec<u8>) -> Standing {
        match Stamp::of(&self.path) {
            Ok(stamp) if stamp == self.stamp && stamp.tells(&self.path) => return Standing::Same,
            Ok(stamp) if stamp.size != self.stamp.size => {
                return Standing::Dirty(Dirty::InputChanged(self.path.clone()));
            }
            Ok(_) => {}
            Err(_) => return Standing::Dirty(Dirty::InputMissing(self.path.clone())),
        }
        match read(&self.path, buffer) {
            Ok((stamp, content)) if hash(content) == self.hash => {
                if stamp == self.stamp {
                    Standing::Same
                } else {
                    Standing::Touched(stamp)
                }
            }
            Ok(_) => Standing::Dirty(Dirty::InputChanged(self.path.clone())),
            Err(_) => Standing::Dirty(Dirty::InputMissing(self.path.clone())),
        }
    }
}

/// What was learnt of all inputs after a compile.
#[derive(Debug, Default)]
pub struct Collected {
    /// Those that could be read, in the depfile's order.
    pub inputs: Vec<Input>,
    /// What their texts say, merged.
    pub findings: Findings,
    /// The first reason why the compile can't be reused.
    pub unusable: Option<String>,
    /// The text of the source, for a look at its `#include` lines.
    pub source_text: Vec<u8>,
}

/// Devices whose clock may not be the scratch's: an input there must be this much older than the start (ns).
const OTHER_CLOCK_MARGIN: i64 = 2_000_000_000;

/// Reads every file the compile read, once, unless what it would learn is `known`. `words` are the command's: `-D` puts text into the
/// source as well.
///
/// `clock` is the file-system clock (ns) of device `dev` when the compile began.
pub fn collect(
    paths: Vec<PathBuf>,
    source: &Path,
    words: &[u8],
    clock: i64,
    dev: u64,
    known: &Known,
) -> Collected {
    let scanner = Scanner::new();
    let mut collected = Collected {
        inputs: Vec::with_capacity(paths.len()),
        ..Collected::default()
    };
    collected.merge(scanner.scan(words), Path::new("the command line"));
    let settled = |stamp: &Stamp| stamp.older_than(limit(stamp, clock, dev));
    let look = |path: &PathBuf| {
        // The text of the source is wanted, too.
        let stamp = (!same(path, source)).then(|| Stamp::of(path).ok())??;
        (stamp.tells(path) && settled(&stamp)).then_some(stamp)
    };
    let stamps: Vec<_> = paths.iter().map(look).collect();
    let found = known.find(&paths, &stamps);
    let mut buffer = Vec::new();
    for ((path, stamp), found) in paths.into_iter().zip(stamps).zip(found) {
        if let (Some(stamp), Some(hash)) = (stamp, found) {
            collected.inputs.push(Input { path, stamp, hash });
            continue;
        }
        let (stamp, content) = match read(&path, &mut buffer) {
            Ok(read) => read,
            Err(e) => {
                collected.refuse(format!("input `{}` cannot be read: {e}", path.display()));
                continue;
            }
        };
        if !settled(&stamp) {
            collected.refuse(format!(
                "input `{}` was modified while it was compiled, or may have been",
                path.display()
            ));
        }
        let (found, hash) = (scanner.scan(content), hash(content));
        if settled(&stamp) && stamp.tells(&path) && found == Findings::default() {
            known.keep(&path, &stamp, &hash);
        }
        collected.merge(found, &path);
        if same(&path, source) {
            content.clone_into(&mut collected.source_text);
        }
        collected.inputs.push(Input { path, stamp, hash });
    }
    collected
}

/// What a file must be older than if it was not to change after a run began whose device `dev` said `clock` (ns) then.
pub fn limit(stamp: &Stamp, clock: i64, dev: u64) -> i64 {
    if stamp.dev == dev {
        clock
    } else {
        clock - OTHER_CLOCK_MARGIN
    }
}

impl Collected {
    fn refuse(&mut self, why: String) {
        self.unusable.get_or_insert(why);
    }

    fn merge(&mut self, found: Findings, path: &Path) {
        if let Some(word) = found.clock {
            self.refuse(format!(
                "`{word}` in `{}`: the clock is an input",
                path.display()
            ));
        }
        if let Some(word) = found.embeds {
            self.refuse(format!(
                "`{word}` in `{}`: a file that no depfile lists is an input",
                path.display()
            ));
        }
        for name in found.tested {
            if !self.findings.tested.contains(&name) {
                self.findings.tested.push(name);
            }
        }
        self.findings.tests_unknown |= found.tests_unknown;
    }
}

/// Reads a regular file whole; the stamp is taken after the read, of the file that was read. The content is in `buffer`, which keeps
/// its length: zeroing it again for each of hundreds of files would take a fifth as long as hashing them.
pub fn read<'b>(path: &Path, buffer: &'b mut Vec<u8>) -> io::Result<(Stamp, &'b [u8])> {
    // A FIFO would hold us until somebody writes to it.
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        ));
    }
    let mut wanted = meta.len() as usize + 1;
    let mut filled = 0;
    loop {
        if buffer.len() < wanted {
            buffer.resize(wanted.max(16 * 1024), 0);
        }
        filled += read_some(&mut file, &mut buffer[filled..wanted])?;
        if filled == wanted {
            wanted *= 2;
            continue;
        }
        let stamp = Stamp::from(&file.metadata()?);
        // Less than was asked for is the end of a file, on most file systems; its size tells.
        if stamp.size == filled as u64 || read_some(&mut file, &mut buffer[filled..=filled])? == 0 {
            return Ok((stamp, &buffer[..filled]));
        }
        filled += 1;
    }
}

/// One read that no signal ends.
pub fn read_some(file: &mut File, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read(into) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// The hash of a content.
pub fn hash(content: &[u8]) -> InputHash {
    blake3::hash(content).as_bytes()[..16]
        .try_into()
        .expect("16 of 32 bytes")
}

/// The content hash of a file, read in pieces: objects may be large.
pub fn hash_file(path: &Path) -> io::Result<InputHash> {
    let mut file = File::open(path)?;
    let mut hasher = blake3::Hasher::new();
    // Most objects are small, and zeroing much more than they have takes longer than hashing them.
    let most = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    let mut chunk = vec![0u8; most.clamp(4096, 256 * 1024)];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => {
                hasher.update(&chunk[..n]);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(crate::request::truncate(&hasher))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn folder(name: &str) -> PathBuf {
        let dir =
            std::env::temp_dir().join(format!("objguard-inputs-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn standing_tells_touched_from_changed() {
        let dir = folder("standing");
        let path = dir.join("a.h");
        fs::write(&path, "one").unwrap();
        let got = collect(
            vec![path.clone()],
            Path::new("x"),
            b"",
            i64::MAX,
            Stamp::of(&path).unwrap().dev,
            &Known::default(),
        );
        let input = &got.inputs[0];
        assert_eq!(input.standing(&mut Vec::new()), Standing::Same);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "one").unwrap();
        assert!(matches!(
            input.standing(&mut Vec::new()),
            Standing::Touched(_)
        ));
        fs::write(&path, "two").unwrap();
        assert_eq!(
            input.standing(&mut Vec::new()),
            Standing::Dirty(Dirty::InputChanged(path.clone()))
        );
        fs::remove_file(&path).unwrap();
        assert_eq!(
            input.standing(&mut Vec::new()),
            Standing::Dirty(Dirty::InputMissing(path))
        );
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn what_changed_since_the_start_is_not_reusable() {
        let dir = folder("clock");
        let path = dir.join("a.c");
        fs::write(&path, "int x;").unwrap();
        let stamp = Stamp::of(&path).unwrap();
        let paths = || vec![path.clone()];
        let known = Known::default();
        assert!(
            collect(paths(), &path, b"", stamp.ctime, stamp.dev, &known)
                .unusable
                .unwrap()
                .contains("was modified while")
        );
        assert!(
            collect(paths(), &path, b"", stamp.ctime + 1, stamp.dev, &known)
                .unusable
                .is_none()
        );
        assert!(
            collect(paths(), &path, b"", stamp.ctime + 1, stamp.dev + 1, &known)
                .unusable
                .is_some(),
            "another device's clock"
        );
        fs::remove_dir_all(&dir).unwrap();
    }
}
