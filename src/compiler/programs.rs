//! Programs on PATH, and which of them would lead back to us.
//!
//! Two things keep objguard from calling itself. A program that *is* objguard (this executable or one installed beside it, under
//! any link, or a copy) is never taken: [`Own`]. A program that *runs* objguard (`cc`, a script that ends in
//! `exec objguard-cc "$@"`) can't be told beforehand; so what an instance runs is noted in the environment of its child
//! ([`Mark`]), and an instance that finds the note passes those programs over.
//!
//! A compiler may also run a program of its own name for good reasons (an `ld` script that asks `gcc -print-file-name=…`). So
//! a compiled program is passed over only when it came up [`LIMIT`] times, scripts and launchers at once.

use std::ffi::{CString, OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How often one program may come up below itself before that is called a loop.
pub(super) const LIMIT: usize = 3;

/// The names that objguard's executables are installed under.
const NAMES: [&str; 4] = ["objguard", "objguard-cc", "objguard-c++", "objguard-ar"];

/// What execvp(3) uses where PATH isn't set.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Device and inode: the same program under any name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Id {
    dev: u64,
    ino: u64,
}

impl From<&Metadata> for Id {
    fn from(meta: &Metadata) -> Id {
        Id {
            dev: meta.dev(),
            ino: meta.ino(),
        }
    }
}

/// The programs that objguard itself consists of.
#[derive(Debug)]
pub(super) struct Own {
    files: Vec<(PathBuf, Id, u64)>,
}

impl Own {
    /// This executable and those installed beside it.
    pub(super) fn of_this_process() -> Own {
        let exe = if cfg!(target_os = "linux") {
            Some(PathBuf::from("/proc/self/exe"))
        } else {
            std::env::current_exe().ok()
        };
        let Some(exe) = exe else {
            return Own { files: Vec::new() };
        };
        let folder = fs::read_link(&exe).unwrap_or_else(|_| exe.clone());
        let siblings = NAMES.iter().map(|name| folder.with_file_name(name));
        Own::of(std::iter::once(exe).chain(siblings))
    }

    /// The programs at `paths`; what isn't there is left out.
    pub(super) fn of(paths: impl Iterator<Item = PathBuf>) -> Own {
        let mut files: Vec<(PathBuf, Id, u64)> = Vec::with_capacity(1 + NAMES.len());
        for path in paths {
            let Ok(meta) = fs::metadata(&path) else {
                continue;
            };
            let id = Id::from(&meta);
            if meta.is_file() && files.iter().all(|(_, known, _)| *known != id) {
                files.push((path, id, meta.len()));
            }
        }
        Own { files }
    }

    /// Whether `path` is one of them: under a name of ours, a link to one of them, or a copy.
    fn contains(&self, path: &Path, meta: &Metadata) -> bool {
        is_own_name(path)
            || self.files.iter().any(|(own, id, size)| {
                *id == Id::from(meta) || (*size == meta.len() && same_bytes(own, path))
            })
    }
}

/// Whether `path` ends in a name that objguard is installed under.
pub(super) fn is_own_name(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| NAMES.iter().any(|own| name == *own))
}

fn same_bytes(a: &Path, b: &Path) -> bool {
    let (Ok(mut a), Ok(mut b)) = (File::open(a), File::open(b)) else {
        return false;
    };
    let (mut left, mut right) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let Ok(n) = a.read(&mut left) else {
            return false;
        };
        if n == 0 {
            return matches!(b.read(&mut right), Ok(0));
        }
        if b.read_exact(&mut right[..n]).is_err() || left[..n] != right[..n] {
            return false;
        }
    }
}

/// The programs that outer instances ran: `dev.ino` in hexadecimal, joined by `:`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark<'a>(pub(super) Option<&'a OsStr>);

impl Mark<'_> {
    /// How often `id` was run by outer instances.
    pub(super) fn times(&self, id: Id) -> usize {
        let Some(mark) = self.0 else { return 0 };
        let wanted = text(id);
        mark.as_bytes()
            .split(|b| *b == b':')
            .filter(|entry| *entry == wanted.as_bytes())
            .count()
    }

    /// The mark for a child that `ids` are run for.
    pub(super) fn extended(&self, ids: &[Id]) -> OsString {
        let mut mark = self.0.unwrap_or_default().to_owned();
        for id in ids {
            if !mark.is_empty() {
                mark.push(":");
            }
            mark.push(text(*id));
        }
        mark
    }
}

fn text(id: Id) -> String {
    format!("{:x}.{:x}", id.dev, id.ino)
}

/// A program to run.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// Where it is; absolute if it was found on PATH.
    pub(super) path: PathBuf,
    pub(super) id: Id,
    /// Whether anybody who looks for the name finds this program: nothing was passed over.
    pub(super) plain: bool,
}

/// Why there is no program to run.
#[derive(Debug)]
pub(super) enum Miss {
    /// PATH has none of that name.
    NotOnPath,
    /// PATH has only files of that name that can't be executed, this one first.
    NotExecutable(PathBuf),
    /// PATH has only objguard under that name, here.
    OnlyOurselves(PathBuf),
    /// It runs objguard again and again.
    Loop(PathBuf),
    /// The path can't be used: cause.
    Unusable(PathBuf, String),
}

/// How programs are looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search<'a> {
    pub(super) path: Option<&'a OsStr>,
    pub(super) own: &'a Own,
    pub(super) mark: Mark<'a>,
}

impl Search<'_> {
    /// The program that `word` names: a path as it is, a name by PATH. A path to objguard under another name than its own is
    /// taken for that name (`/usr/lib/objguard/gcc` means the `gcc` on PATH).
    pub(super) fn program(&self, word: &OsStr) -> Result<Found, Miss> {
        if !word.as_bytes().contains(&b'/') {
            return self.on_path(word, None);
        }
        let path = Path::new(word);
        let meta = match fs::metadata(path) {
            Ok(meta) => meta,
            Err(e) => return Err(Miss::Unusable(path.to_owned(), describe(&e))),
        };
        if meta.is_dir() {
            return Err(Miss::Unusable(path.to_owned(), "it is a folder".to_owned()));
        }
        if self.own.contains(path, &meta) {
            return match path.file_name() {
                Some(name) if !is_own_name(path) => self.on_path(name, None).map(|found| Found {
                    plain: false,
                    ..found
                }),
                _ => Err(Miss::OnlyOurselves(path.to_owned())),
            };
        }
        if !executable(path, &meta) {
            return Err(Miss::Unusable(
                path.to_owned(),
                "it is not executable".to_owned(),
            ));
        }
        let id = Id::from(&meta);
        if self.mark.times(id) >= LIMIT {
            return Err(Miss::Loop(path.to_owned()));
        }
        Ok(Found {
            path: path.to_owned(),
            id,
            plain: true,
        })
    }

    /// The first program `name` on PATH that is neither objguard nor known to lead back to it; `but` isn't taken either.
    pub(super) fn on_path(&self, name: &OsStr, but: Option<Id>) -> Result<Found, Miss> {
        let mut own = None;
        let mut unusable = None;
        let mut looping = None;
        let mut again = None;
        let found = each_on_path(self.path, name, |candidate, meta| {
            let id = Id::from(meta);
            if !executable(candidate, meta) {
                unusable.get_or_insert_with(|| candidate.to_owned());
                return None;
            }
            if self.own.contains(candidate, meta) {
                own.get_or_insert_with(|| candidate.to_owned());
                return None;
            }
            if but == Some(id) {
                return None;
            }
            let found = |plain| Found {
                path: absolute(candidate),
                id,
                plain,
            };
            match self.mark.times(id) {
                0 => Some(found(own.is_none() && looping.is_none() && again.is_none())),
                LIMIT.. => {
                    looping.get_or_insert_with(|| candidate.to_owned());
                    None
                }
                _ if forwards(candidate) => {
                    again.get_or_insert_with(|| found(false));
                    None
                }
                _ => Some(found(own.is_none() && looping.is_none() && again.is_none())),
            }
        });
        match (found.or(again), looping, own, unusable) {
            (Some(found), ..) => Ok(found),
            (None, Some(path), ..) => Err(Miss::Loop(path)),
            (None, None, Some(path), _) => Err(Miss::OnlyOurselves(path)),
            (None, None, None, Some(path)) => Err(Miss::NotExecutable(path)),
            (None, None, None, None) => Err(Miss::NotOnPath),
        }
    }
}

/// Whether the program's whole point may be to run another one: a script, or a launcher under some name.
fn forwards(path: &Path) -> bool {
    let mut start = [0; 2];
    let script = File::open(path)
        .and_then(|mut file| file.read_exact(&mut start))
        .is_ok()
        && start == *b"#!";
    script
        || path
            .file_name()
            .is_some_and(|name| super::names::launcher(name.as_bytes()).is_some())
        || masquerades(path)
}

/// Whether `path` is a symbolic link to a launcher of compilers, which then finds out by its name what to run.
pub(super) fn masquerades(path: &Path) -> bool {
    let Ok(target) = fs::read_link(path) else {
        return false;
    };
    target.file_name().is_some_and(|name| {
        super::names::launcher(name.as_bytes()) == Some(super::names::Launcher::OfCompilers)
    })
}

/// Calls `visit` for every regular file `name` in the folders of `path` (PATH's value), in order, until it gives something.
pub(crate) fn each_on_path<T>(
    path: Option<&OsStr>,
    name: &OsStr,
    mut visit: impl FnMut(&Path, &Metadata) -> Option<T>,
) -> Option<T> {
    let mut candidate = Vec::new();
    for folder in path
        .unwrap_or(OsStr::new(DEFAULT_PATH))
        .as_bytes()
        .split(|b| *b == b':')
    {
        candidate.clear();
        // An empty element is the current folder.
        candidate.extend_from_slice(if folder.is_empty() { b"." } else { folder });
        candidate.push(b'/');
        candidate.extend_from_slice(name.as_bytes());
        let file = Path::new(OsStr::from_bytes(&candidate));
        if let Ok(meta) = fs::metadata(file)
            && meta.is_file()
            && let Some(result) = visit(file, &meta)
        {
            return Some(result);
        }
    }
    None
}

/// Whether we may execute the file.
pub(crate) fn executable(path: &Path, meta: &Metadata) -> bool {
    if !meta.is_file() || meta.mode() & 0o111 == 0 {
        return false;
    }
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else {
        return false;
    };
    // SAFETY: `path` is NUL-terminated and alive during the call.
    unsafe { libc::access(path.as_ptr(), libc::X_OK) == 0 }
}

fn absolute(path: &Path) -> PathBuf {
    if path.is_absolute() {
        return path.to_owned();
    }
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The cause without the number that `io::Error` appends.
fn describe(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((cause, _)) => cause.to_owned(),
        None => text,
    }
}
