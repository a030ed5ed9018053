//! The state folder `.objguard` beside the objects, and whether it can be trusted.
//!
//! A state folder is trusted if it is a real folder (no symbolic link), belongs to us and nobody else may write in it. One that
//! another user planted in a shared `/tmp` could name objects of his as ours (DESIGN, section 6).

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::request::{Key, Variant};

/// The name of a state folder.
pub const FOLDER: &str = ".objguard";

/// Names in a state folder that are not objects' folders.
const RESERVED: [&str; 5] = ["tmp", "links", "fingerprints", ".gitignore", "CACHEDIR.TAG"];

/// How often a folder is made that `objguard clean` takes away at once.
const ATTEMPTS: usize = 100;

/// Why a state folder isn't used: the compile still runs staged and renamed, unrecorded.
#[derive(Debug)]
pub enum Distrust {
    /// It is a symbolic link, or no folder.
    NotAFolder(PathBuf),
    /// It belongs to another user.
    Foreign(PathBuf, u32),
    /// Others may write in it.
    Writable(PathBuf, u32),
    /// The object's name is one that the state folder uses itself.
    Reserved(OsString),
    /// It can't be looked at.
    Io(PathBuf, io::Error),
    /// There is none, and it can't be made.
    Unmade(PathBuf, io::Error),
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Distrust::NotAFolder(p) => {
                write!(f, "`{}` is not a folder of its own; remove it", p.display())
            }
            Distrust::Foreign(p, uid) => write!(
                f,
                "`{}` belongs to user {uid}; remove it, or build as that user",
                p.display()
            ),
            Distrust::Writable(p, mode) => {
                write!(
                    f,
                    "`{}` can be written by others (mode {mode:o}); remove it, or chmod 700 it if you know its content",
                    p.display()
                )
            }
            Distrust::Reserved(name) => write!(
                f,
                "an object named `{}` has no state",
                Path::new(name).display()
            ),
            Distrust::Io(p, e) => write!(f, "cannot use `{}`: {e}", p.display()),
            Distrust::Unmade(p, e) => write!(f, "cannot create `{}`: {e}", p.display()),
        }
    }
}

/// A trusted state folder.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
    dev: u64,
}

impl Folder {
    /// The state folder of the objects in `dir`, if there is one.
    pub fn open(dir: &Path) -> Result<Option<Folder>, Distrust> {
        let path = in_dir(dir, OsStr::new(FOLDER));
        let meta = match fs::symlink_metadata(&path) {
            Ok(meta) => meta,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Distrust::Io(path, e)),
        };
        if !meta.is_dir() {
            return Err(Distrust::NotAFolder(path));
        }
        let euid = user();
        if meta.uid() != euid {
            return Err(Distrust::Foreign(path, meta.uid()));
        }
        if meta.mode() & 0o022 != 0 {
            return Err(Distrust::Writable(path, meta.mode() & 0o7777));
        }
        Ok(Some(Folder {
            path,
            dev: meta.dev(),
        }))
    }

    /// The same, made if it isn't there.
    pub fn create(dir: &Path) -> Result<Folder, Distrust> {
        let path = in_dir(dir, OsStr::new(FOLDER));
        for _ in 0..ATTEMPTS {
            if let Some(folder) = Folder::open(dir)? {
                return Ok(folder);
            }
            match make_private(&path) {
                Ok(()) => {
                    // For others' eyes only: nothing of ours rests on these two.
                    let _ = write_new(&path.join(".gitignore"), b"*\n");
                    // https://bford.info/cachedir/: backup tools leave such folders out.
                    let _ = write_new(
                        &path.join("CACHEDIR.TAG"),
                        b"Signature: 8a477f597d28d172789f06886806bc55\n# objguard\n",
                    );
                }
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                // `objguard clean` was faster, if there is a folder to make it in at all.
                Err(e) if e.kind() == io::ErrorKind::NotFound && has_room_for(&path) => {}
                Err(e) => return Err(Distrust::Unmade(path, e)),
            }
        }
        Err(Distrust::Io(path, io::ErrorKind::NotFound.into()))
    }

    /// Its path, as spelled by way of the object's.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The device it lies on.
    pub fn dev(&self) -> u64 {
        self.dev
    }

    /// Where scratch folders go.
    pub fn tmp(&self) -> PathBuf {
        self.path.join("tmp")
    }

    /// The log of links that took objects of this folder.
    pub fn links(&self) -> PathBuf {
        self.path.join("links")
    }

    /// The state of the object `name`, whether there is any or not.
    pub fn object(&self, name: &OsStr) -> Result<ObjectState, Distrust> {
        if RESERVED.iter().any(|r| *r == name) {
            return Err(Distrust::Reserved(name.to_owned()));
        }
        Ok(ObjectState {
            path: self.path.join(name),
            name: name.to_owned(),
        })
    }

    /// The objects that have state here, by name.
    pub fn objects(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            if entry.file_type()?.is_dir() && !RESERVED.iter().any(|r| *r == name) {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }
}

/// The state of one object: paths only.
#[derive(Clone, Debug)]
pub struct ObjectState {
    path: PathBuf,
    name: OsString,
}

impl ObjectState {
    /// Makes its folder, and the state folder around it if `objguard clean` has just taken that away.
    pub fn create(&self) -> io::Result<()> {
        for _ in 0..ATTEMPTS {
            match make_private(&self.path) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                // Whatever is wrong with making folders, this one is there.
                Err(_) if fs::symlink_metadata(&self.path).is_ok_and(|m| m.is_dir()) => {
                    return Ok(());
                }
                other => return other,
            }
            if let Some(around) = self.path.parent() {
                match make_private(around) {
                    Err(e)
                        if !matches!(
                            e.kind(),
                            io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound
                        ) =>
                    {
                        return Err(e);
                    }
                    _ => {}
                }
            }
        }
        Err(io::ErrorKind::NotFound.into())
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The object's base name.
    pub fn name(&self) -> &OsStr {
        &self.name
    }

    /// The lock under which the object's path and its claims change.
    pub fn publish_lock(&self) -> PathBuf {
        self.path.join("publish.lock")
    }

    /// The lock held while `key` compiles.
    pub fn flight_lock(&self, key: &Key) -> PathBuf {
        self.path.join(format!("{}.flight", key.short()))
    }

    /// The record of `key`.
    pub fn record(&self, key: &Key) -> PathBuf {
        self.path.join(format!("{}.record", key.short()))
    }

    /// The claims.
    pub fn claims(&self) -> PathBuf {
        self.path.join("claims")
    }

    /// The folder that keeps `variant` when it isn't at the path.
    pub fn kept_folder(&self, variant: &Variant) -> PathBuf {
        self.path.join(format!("v-{}", variant.short()))
    }

    /// The file that keeps `variant`, with the object's own base name.
    pub fn kept(&self, variant: &Variant) -> PathBuf {
        self.kept_folder(variant).join(&self.name)
    }
}

/// `dir/name`, without a `./` that the user didn't write.
pub fn in_dir(dir: &Path, name: &OsStr) -> PathBuf {
    if dir.as_os_str().is_empty() {
        PathBuf::from(name)
    } else {
        dir.join(name)
    }
}

/// Whether there is a folder in which `path` could be.
fn has_room_for(path: &Path) -> bool {
    let around = path.parent().filter(|p| !p.as_os_str().is_empty());
    around.unwrap_or(Path::new(".")).is_dir()
}

/// Who we are, as far as files count.
pub fn user() -> u32 {
    // SAFETY: geteuid has no preconditions and cannot fail.
    unsafe { libc::geteuid() }
}

/// Whether a file or folder is ours, and nobody else may do with it what the bits `others` of its mode allow.
pub fn is_ours(meta: &fs::Metadata, others: u32) -> bool {
    meta.uid() == user() && meta.mode() & others == 0
}

/// Makes a folder of mode 0700, whatever the umask.
pub fn make_private(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)?;
    let meta = fs::symlink_metadata(path)?;
    if meta.mode() & 0o777 != 0o700 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?
        .write_all(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `objguard clean` takes a state folder away between two looks at it.
    #[test]
    fn what_is_cleaned_away_meanwhile_is_made_again() {
        let dir = std::env::temp_dir().join(format!("objguard-state-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let folder = Folder::create(&dir).unwrap();
        let state = folder.object(OsStr::new("x.o")).unwrap();
        fs::remove_dir_all(folder.path()).unwrap();
        state.create().unwrap();
        assert!(state.path().is_dir());
        let mode = fs::metadata(folder.path()).unwrap().mode();
        assert_eq!(mode & 0o777, 0o700);
        fs::remove_dir_all(&dir).unwrap();
        assert!(matches!(Folder::create(&dir), Err(Distrust::Unmade(..))));
        assert!(state.create().is_err());
    }
}
