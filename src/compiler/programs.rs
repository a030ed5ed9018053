//! Programs on PATH, and which of them would lead back to us.
//!
//! Two things keep objguard from calling itself. A program that *is* objguard (this executable under any link, a copy of it, a
//! symbolic link to any of ours) is never taken: [`Own`]. A program that *runs* objguard (`cc`, a script that ends in
//! `exec objguard-cc "$@"`) can't be told beforehand; so what an instance runs is noted in the environment of its child
//! ([`Mark`]), and an instance that finds the note passes those programs over. What the first misses, the second catches.
//!
//! A compiler may also run a program of its own name for good reasons (an `ld` script that asks `gcc -print-file-name=…`). So
//! a compiled program is passed over only when it came up [`LIMIT`] times, scripts and launchers at once.

use std::ffi::{CString, OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::names::{self, Launcher};

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

/// The executable that runs now.
#[derive(Debug)]
pub(super) struct Own(Option<(PathBuf, Id, u64)>);

impl Own {
    /// This process's executable.
    pub(super) fn of_this_process() -> Own {
        if cfg!(target_os = "linux") {
            // There even if the file was removed or replaced meanwhile.
            return Own::at(PathBuf::from("/proc/self/exe"));
        }
        std::env::current_exe().map_or(Own(None), Own::at)
    }

    /// The executable at `path`.
    pub(super) fn at(path: PathBuf) -> Own {
        let Ok(meta) = fs::metadata(&path) else {
            return Own(None);
        };
        Own(Some((path, Id::from(&meta), meta.len())))
    }

    /// Whether `path` is objguard: has a name of ours, leads to one (`link`: the last name of the symbolic link that it is), or
    /// is this executable or a copy of it.
    fn is(&self, path: &Path, meta: &Metadata, link: Option<&OsStr>) -> bool {
        let same = |(own, id, size): &(PathBuf, Id, u64)| {
            *id == Id::from(meta) || (*size == meta.len() && same_bytes(own, path))
        };
        is_own_name(path)
            || link.is_some_and(|name| is_own_name(Path::new(name)))
            || self.0.as_ref().is_some_and(same)
    }
}

/// The last name of the path that the symbolic link `path` holds; `None` if it is none.
fn link_name(path: &Path) -> Option<OsString> {
    fs::read_link(path).ok()?.file_name().map(OsStr::to_owned)
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
    /// The last name of what it links to.
    link: Option<OsString>,
}

impl Found {
    /// Whether it is a symbolic link to a launcher of compilers, which then finds out by its name what to run.
    pub(super) fn masquerades(&self) -> bool {
        masquerades(self.link.as_deref())
    }
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
        let link = link_name(path);
        if self.own.is(path, &meta, link.as_deref()) {
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
            link,
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
            let link = link_name(candidate);
            if self.own.is(candidate, meta, link.as_deref()) {
                own.get_or_insert_with(|| candidate.to_owned());
                return None;
            }
            if but == Some(id) {
                return None;
            }
            let times = self.mark.times(id);
            if times >= LIMIT {
                looping.get_or_insert_with(|| candidate.to_owned());
                return None;
            }
            let forwards = times > 0 && forwards(candidate, link.as_deref());
            let plain = own.is_none() && looping.is_none() && again.is_none() && !forwards;
            let found = Found {
                path: absolute(candidate),
                id,
                plain,
                link,
            };
            if forwards {
                again.get_or_insert(found);
                return None;
            }
            Some(found)
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
fn forwards(path: &Path, link: Option<&OsStr>) -> bool {
    let name = path.file_name().unwrap_or_default().as_bytes();
    let mut start = [0; 2];
    names::launcher(name).is_some()
        || masquerades(link)
        || File::open(path)
            .and_then(|mut file| file.read_exact(&mut start))
            .is_ok_and(|()| start == *b"#!")
}

fn masquerades(link: Option<&OsStr>) -> bool {
    link.is_some_and(|name| names::launcher(name.as_bytes()) == Some(Launcher::OfCompilers))
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
    match meta.mode() & 0o111 {
        _ if !meta.is_file() => return false,
        0 => return false,
        0o111 => return true,
        _ => {}
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
