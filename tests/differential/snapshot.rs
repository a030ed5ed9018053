//! What a caller can see of a folder: names, types, modes, bytes, and which file is older than which.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The folder in which objguard keeps its state beside the objects: no part of what is compared.
pub const STATE_FOLDER: &str = ".objguard";

/// What a path is, with everything of it that is compared byte for byte.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    File(Vec<u8>),
    Folder,
    Link(PathBuf),
    Fifo,
    Other,
}

/// One path of a folder.
#[derive(Clone, Debug)]
pub struct Entry {
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    pub inode: u64,
    /// Nanoseconds since the epoch.
    pub modified: i128,
}

/// All paths below a folder, relative to it.
pub type Tree = BTreeMap<PathBuf, Entry>;

/// The inode and the times of every file: enough to tell which ones a command wrote.
pub type Stamps = BTreeMap<PathBuf, (u64, i128, i128)>;

/// Reads everything below `root` but objguard's state folders.
pub fn tree(root: &Path) -> io::Result<Tree> {
    let mut tree = Tree::new();
    walk(root, &mut |path, metadata| {
        let kind = if metadata.is_dir() {
            Kind::Folder
        } else if metadata.is_symlink() {
            Kind::Link(fs::read_link(path)?)
        } else if metadata.is_file() {
            Kind::File(read_whatever_the_mode(path, metadata)?)
        } else if metadata.file_type().is_fifo() {
            Kind::Fifo
        } else {
            Kind::Other
        };
        let (modified, _) = times(metadata);
        let entry = Entry {
            kind,
            mode: metadata.mode() & 0o7777,
            inode: metadata.ino(),
            modified,
        };
        tree.insert(relative(root, path), entry);
        Ok(())
    })?;
    Ok(tree)
}

/// The stamps of everything below `root` but objguard's state folders.
pub fn stamps(root: &Path) -> io::Result<Stamps> {
    let mut stamps = Stamps::new();
    walk(root, &mut |path, metadata| {
        if !metadata.is_dir() {
            let (modified, changed) = times(metadata);
            stamps.insert(relative(root, path), (metadata.ino(), modified, changed));
        }
        Ok(())
    })?;
    Ok(stamps)
}

/// objguard's state folders below `root`, and the scratch files left in them.
pub fn state(root: &Path) -> io::Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let mut folders = Vec::new();
    let mut strays = Vec::new();
    let mut pending = vec![root.to_owned()];
    while let Some(folder) = pending.pop() {
        let in_scratch = folder.file_name().is_some_and(|name| name == "tmp")
            && folder
                .components()
                .any(|part| part.as_os_str() == STATE_FOLDER);
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let path = entry.path();
            if in_scratch {
                strays.push(path.clone());
            }
            if entry.file_type()?.is_dir() {
                if entry.file_name() == STATE_FOLDER {
                    folders.push(path.clone());
                }
                pending.push(path);
            }
        }
    }
    Ok((folders, strays))
}

fn walk(
    folder: &Path,
    visit: &mut dyn FnMut(&Path, &fs::Metadata) -> io::Result<()>,
) -> io::Result<()> {
    let mut names: Vec<OsString> = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<io::Result<_>>()?;
    names.sort();
    for name in names {
        if name == STATE_FOLDER {
            continue;
        }
        let path = folder.join(&name);
        let metadata = path.symlink_metadata()?;
        visit(&path, &metadata)?;
        if metadata.is_dir() {
            walk(&path, visit)?;
        }
    }
    Ok(())
}

fn relative(root: &Path, path: &Path) -> PathBuf {
    path.strip_prefix(root)
        .expect("the walk stays below its root")
        .to_owned()
}

fn times(metadata: &fs::Metadata) -> (i128, i128) {
    let nanoseconds =
        |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
    (
        nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
        nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
    )
}

/// Files that a umask made unreadable are opened to us for the moment; who runs as root needn't.
fn read_whatever_the_mode(path: &Path, metadata: &fs::Metadata) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let mut opened = metadata.permissions();
            std::os::unix::fs::PermissionsExt::set_mode(&mut opened, 0o600);
            fs::set_permissions(path, opened)?;
            let bytes = fs::read(path);
            fs::set_permissions(path, metadata.permissions())?;
            bytes
        }
        other => other,
    }
}
