//! The state folders below a folder.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{cannot, text};
use crate::scratch;
use crate::state::{self, Distrust, Folder};

/// What a walk came upon.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Folders with trusted state, and that state; sorted by path.
    pub(super) trusted: Vec<(PathBuf, Folder)>,
    /// State folders that aren't trusted.
    pub(super) distrusted: Vec<Distrust>,
    /// Folders that hold scratch outside of a state folder.
    pub(super) strays: Vec<PathBuf>,
    /// Folders that can't be read.
    pub(super) unreadable: Vec<(PathBuf, io::Error)>,
}

impl Found {
    /// Says on stderr what can't be read or trusted; whether there was any.
    pub(super) fn complain(&self) -> bool {
        for distrust in &self.distrusted {
            eprintln!("objguard: {distrust}");
        }
        for (path, e) in &self.unreadable {
            eprintln!(
                "objguard: cannot read `{}`: {}",
                text::path(path),
                text::cause(e)
            );
        }
        !self.distrusted.is_empty() || !self.unreadable.is_empty()
    }
}

/// Looks for state folders in `dir` and below, without following symbolic links.
///
/// # Errors
/// `dir` itself can't be read.
pub(super) fn state_folders(dir: &Path) -> anyhow::Result<Found> {
    let mut found = Found::default();
    let mut open = vec![dir.to_owned()];
    while let Some(folder) = open.pop() {
        let entries = match fs::read_dir(if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            &folder
        }) {
            Ok(entries) => entries,
            Err(e) if folder == dir => return Err(cannot("read", dir)(e)),
            Err(e) => {
                found.unreadable.push((folder, e));
                continue;
            }
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if name == state::FOLDER {
                match Folder::open(&folder) {
                    Ok(Some(trusted)) => found.trusted.push((folder.clone(), trusted)),
                    Ok(None) => {}
                    Err(distrust) => found.distrusted.push(distrust),
                }
            } else if entry.file_type().is_ok_and(|t| t.is_dir()) {
                if scratch::is_reserved(&name) {
                    found.strays.push(folder.clone());
                } else {
                    open.push(state::in_dir(&folder, &name));
                }
            }
        }
    }
    found.trusted.sort_by(|a, b| a.0.cmp(&b.0));
    found.strays.sort();
    found.strays.dedup();
    Ok(found)
}

/// `.` as no folder at all, so that names below it are shown without a `./` that nobody wrote.
pub(super) fn spelled(dir: &OsStr) -> PathBuf {
    if dir == "." {
        PathBuf::new()
    } else {
        PathBuf::from(dir)
    }
}
