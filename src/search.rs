//! What the compiler looked for in vain: headers that would shadow another if they appeared, and names `__has_include` tested.
//!
//! A depfile lists what was found. A file that appears earlier on the search path changes the result without touching a
//! listed one. Including Python.h makes gcc try 832 names that don't exist, but in only 8 folders (compiler-options.md, E): so
//! the folders are watched. While their stamps stand, nothing can have appeared; when one moved, the names that were included
//! are looked up in it, and a hit that wasn't there when the compile began is a reason to compile.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::dirty::Dirty;
use crate::inputs::{self, Input};
use crate::request;
use crate::spelling::{Spelled, folder_of, identical, name, parent};
use crate::stamp::{Stamp, may_exist, says_missing};

/// What is known of the search.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Search {
    /// Folders in which a header could appear, with their stamps (no times if they had just changed); `None`: not there.
    pub watched: Vec<(PathBuf, Option<Stamp>)>,
    /// The folders of the search path itself.
    pub roots: Vec<PathBuf>,
    /// Names whose presence on the search path matters although no include found them: tested by `__has_include`, precompiled headers.
    pub probed: Vec<Vec<u8>>,
    /// Digest of which of them were there.
    pub presence: [u8; 16],
    /// Digest of what lay in build environments under a name that was included, and wasn't read ([`Search::mates_now`]).
    pub mates: [u8; 16],
    /// Files on the search path that bear an included file's name, were there before the compile, and weren't read: they come after
    /// what was, and touching them makes them no newcomers.
    pub rivals: Vec<PathBuf>,
    /// A computed `__has_include`: any change in a watched folder counts.
    pub tests_unknown: bool,
    /// The file-system clock when the compile began (ns): what is older was there before.
    pub clock: i64,
}

/// How the search path stands now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Standing {
    /// No watched folder moved.
    Same,
    /// Some did, but nothing that matters is in them; with these stamps it need not be looked up again.
    Settled(Vec<(PathBuf, Option<Stamp>)>),
    /// Something came or went.
    Dirty(Dirty),
}

impl Search {
    /// Looks around after a compile. `roots` is the search path, user's and built-in; `inputs` what was read, in `folders`; of `absent`
    /// nothing lay on that path a moment ago, but what matters of it, as of `tested`, is whether it comes.
    #[allow(
        clippy::too_many_arguments,
        reason = "all that is known of one compile"
    )]
    pub fn observe(
        roots: Vec<PathBuf>,
        inputs: &[Input],
        folders: BTreeSet<PathBuf>,
        tested: Vec<Vec<u8>>,
        absent: Vec<Vec<u8>>,
        tests_unknown: bool,
        clock: i64,
        before: &Listings,
    ) -> Search {
        let sub_folders = sub_folders(&roots, &folders, tested.iter().chain(&absent));
        let mut watched: Watched = folders.into_iter().map(stamped).collect();
        for root in &roots {
            watch_or_above(root, &mut watched);
            let mut missing: Option<&Path> = None;
            // A folder comes before those in it.
            for sub in &sub_folders {
                if missing.is_none_or(|above| !sub.starts_with(above))
                    && !watch(root.join(sub), &mut watched)
                {
                    missing = Some(sub);
                }
            }
        }
        let mut rivals = before.rivals(inputs, clock);
        rivals.extend(untold_rivals(&roots, inputs, &watched));
        rivals.sort();
        rivals.dedup();
        // What is tested lies in a folder that is watched, or doesn't.
        let may_hold = |path: &PathBuf| parent(path).is_none_or(|f| watched.contains_key(f));
        let there = candidates(&tested, &roots).map(|p| may_hold(&p) && may_exist(&p));
        let not_there = std::iter::repeat_n(false, absent.len() * roots.len());
        let presence = digest_of(there.chain(not_there));
        let dated = |(f, s): (PathBuf, Option<Stamp>)| (f, s.map(|s| dated(s, clock)));
        Search {
            watched: watched.into_iter().map(dated).collect(),
            roots,
            probed: tested.into_iter().chain(absent).collect(),
            presence,
            mates: [0; 16],
            rivals,
            tests_unknown,
            clock,
        }
    }

    /// Compares with the folders as they are now. One stat a watched folder if nothing moved.
    /// `present`: device and inode of each input as it is now. In `places` names are compared, whatever their times.
    pub fn standing(
        &self,
        inputs: &[Input],
        present: &[(u64, u64)],
        places: &[PathBuf],
    ) -> Standing {
        let mut moved = Vec::new();
        for (folder, before) in &self.watched {
            let now = Stamp::of(folder).ok().map(folder_stamp);
            if now != *before || now.is_some_and(|now| !now.tells(folder)) {
                let replaced = match (before, &now) {
                    (Some(b), Some(n)) => (b.dev, b.ino) != (n.dev, n.ino),
                    _ => true,
                };
                moved.push(Moved { folder, replaced });
            }
        }
        let Some(first) = moved.first() else {
            return Standing::Same;
        };
        if self.tests_unknown {
            return Standing::Dirty(Dirty::SearchFolderChanged(first.folder.to_owned()));
        }
        let there = candidates(&self.probed, &self.roots).map(|p| may_exist(&p));
        if digest_of(there) != self.presence {
            let name = self
                .probed
                .first()
                .map(|n| PathBuf::from(OsStr::from_bytes(n)))
                .unwrap_or_default();
            return Standing::Dirty(Dirty::Shadowed(name));
        }
        if self.mates_now(inputs, places) != self.mates {
            return Standing::Dirty(Dirty::Shadowed(places[0].clone()));
        }
        if let Some(path) = self.newcomer(&moved, inputs, present, places) {
            return Standing::Dirty(Dirty::Shadowed(path));
        }
        let settled = settled_clock();
        let watched = self
            .watched
            .iter()
            .map(|(f, s)| {
                if moved.iter().any(|m| m.folder == f) {
                    let (folder, stamp) = stamped(f.clone());
                    (folder, stamp.map(|s| dated(s, settled)))
                } else {
                    (f.clone(), *s)
                }
            })
            .collect();
        Standing::Settled(watched)
    }

    /// A file that bears an included name, lies on the search path, wasn't read, and may have come after the compile began.
    fn newcomer(
        &self,
        moved: &[Moved<'_>],
        inputs: &[Input],
        present: &[(u64, u64)],
        places: &[PathBuf],
    ) -> Option<PathBuf> {
        let present: HashSet<_> = present.iter().collect();
        look_alikes(&self.roots, inputs, moved, |candidate, above| {
            if places.iter().any(|p| candidate.starts_with(p)) || self.rivals.contains(&candidate) {
                return None;
            }
            let meta = fs::metadata(&candidate).ok()?;
            let stamp = Stamp::from(&meta);
            if !meta.is_file() || present.contains(&(stamp.dev, stamp.ino)) {
                return None;
            }
            // Old files come with a folder that is moved here, or by a symbolic link that is.
            let parent = folder_of(&candidate);
            let parent_is_new = !self.watched.iter().any(|(f, _)| *f == parent)
                && Stamp::of(&parent).is_ok_and(|p| p.ctime >= self.clock);
            let link_is_new =
                fs::symlink_metadata(&candidate).is_ok_and(|l| Stamp::from(&l).ctime >= self.clock);
            let is_new = stamp.ctime >= self.clock
                || !stamp.tells(&candidate)
                || parent_is_new
                || link_is_new
                || above.iter().any(|m| m.replaced);
            is_new.then_some(candidate)
        })
    }

    /// Digest of the files below `places` (by number and name) that bear an included name, lie on the search path, and weren't read.
    pub fn mates_now(&self, inputs: &[Input], places: &[PathBuf]) -> [u8; 16] {
        if places.is_empty() {
            return [0; 16];
        }
        let read: HashSet<(u64, u64)> = inputs
            .iter()
            .filter_map(|i| Stamp::of(&i.path).ok())
            .map(|s| (s.dev, s.ino))
            .collect();
        let mut folders: BTreeSet<PathBuf> = self.roots.iter().cloned().collect();
        folders.extend(folders_of(inputs));
        let names = included_names(&folders, inputs, None);
        let mut mates = BTreeSet::new();
        for folder in &folders {
            for candidate in names.iter().map(|n| folder.join(n)) {
                let place = places
                    .iter()
                    .enumerate()
                    .find_map(|(n, p)| Some((n, candidate.strip_prefix(p).ok()?.to_owned())));
                let Some(place) = place else { continue };
                if Stamp::of(&candidate).is_ok_and(|s| !read.contains(&(s.dev, s.ino))) {
                    mates.insert(place);
                }
            }
        }
        let mut hasher = blake3::Hasher::new();
        for (n, name) in mates {
            hasher.update(&(n as u64).to_le_bytes());
            request::tagged(&mut hasher, "mate", name.as_os_str().as_bytes());
        }
        request::truncate(&hasher)
    }

    /// The first of `names` that lies on the search path.
    pub fn find(roots: &[PathBuf], names: &[Vec<u8>]) -> Option<PathBuf> {
        candidates(names, roots).find(|p| may_exist(p))
    }
}

/// Where each name may lie.
fn candidates<'a>(
    names: &'a [Vec<u8>],
    roots: &'a [PathBuf],
) -> impl Iterator<Item = PathBuf> + 'a {
    let of = |name: &'a Vec<u8>| {
        let name = OsStr::from_bytes(name);
        roots.iter().map(move |root| root.join(name))
    };
    names.iter().flat_map(of)
}

/// Digest of which candidates are there.
fn digest_of(presence: impl Iterator<Item = bool>) -> [u8; 16] {
    let bits: Vec<u8> = presence.map(u8::from).collect();
    inputs::hash(&bits)
}

/// What lies below watched folders whose stamps tell nothing, bears an included name and wasn't read: what is there now is all that
/// there is to compare with later.
fn untold_rivals(roots: &[PathBuf], inputs: &[Input], watched: &Watched) -> Vec<PathBuf> {
    let untold = watched
        .iter()
        .filter(|(folder, stamp)| stamp.is_some_and(|stamp| !stamp.tells(folder)));
    let folders: Vec<Moved<'_>> = untold
        .map(|(folder, _)| Moved {
            folder,
            replaced: false,
        })
        .collect();
    let mut rivals = Vec::new();
    if folders.is_empty() {
        return rivals;
    }
    let present: HashSet<_> = inputs.iter().map(|i| (i.stamp.dev, i.stamp.ino)).collect();
    look_alikes(roots, inputs, &folders, |path, _| {
        let meta = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
        let stamp = Stamp::from(&meta);
        if !stamp.tells(&path) && !present.contains(&(stamp.dev, stamp.ino)) {
            rivals.push(path);
        }
        None::<()>
    });
    rivals
}

/// Looks at every path on the search path by which an included name could be found, as far as it lies below folders that
/// `moved`: `look` gets it with those, and ends it all with what it gives.
fn look_alikes<T>(
    roots: &[PathBuf],
    inputs: &[Input],
    moved: &[Moved<'_>],
    mut look: impl FnMut(PathBuf, &[&Moved<'_>]) -> Option<T>,
) -> Option<T> {
    let mut folders: BTreeSet<PathBuf> = roots.iter().cloned().collect();
    folders.extend(folders_of(inputs));
    // A name is relative: only in these folders, or above them, may it lie below one that moved.
    let near = |folder: &Path| {
        moved
            .iter()
            .any(|m| m.folder.starts_with(folder) || below(m.folder, folder))
    };
    for folder in folders.iter().filter(|f| near(f)) {
        // Where there is less in it, it takes less than to look for all names.
        let listed = listing(folder, inputs.len()).ok().flatten();
        let names = included_names(&folders, inputs, listed.as_ref());
        for candidate in names.iter().map(|n| folder.join(n)) {
            let above: Vec<_> = moved
                .iter()
                .filter(|m| below(m.folder, &candidate))
                .collect();
            if above.is_empty() {
                continue;
            }
            if let Some(found) = look(candidate, &above) {
                return Some(found);
            }
        }
    }
    None
}

/// What lay in some folders at one time.
#[derive(Debug, Default)]
pub struct Listings(HashMap<PathBuf, HashSet<OsString>>);

impl Listings {
    /// A folder with more entries isn't listed.
    const LONG: usize = 4096;

    /// Lists the folders. One that isn't there has no entries; one that can't be read isn't listed.
    pub fn of(folders: &[PathBuf]) -> Listings {
        let listed = |folder: &PathBuf| match listing(folder, Self::LONG) {
            Ok(names) => Some((folder.clone(), names?)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Some((folder.clone(), HashSet::new())),
            Err(_) => None,
        };
        Listings(folders.iter().filter_map(listed).collect())
    }

    /// Files in these folders that bear an input's name, are older than `clock`, and aren't inputs.
    fn rivals(&self, inputs: &[Input], clock: i64) -> Vec<PathBuf> {
        let mut found = BTreeSet::new();
        for (folder, listed) in self.0.iter().filter(|(_, listed)| !listed.is_empty()) {
            // What lies there itself is no rival.
            let elsewhere = |path: &&Path| parent(path).is_none_or(|p| !identical(p, folder));
            let paths = inputs.iter().map(|i| i.path.as_path()).filter(elsewhere);
            let names = paths.filter_map(name).filter(|n| listed.contains(*n));
            found.extend(names.map(|n| folder.join(n)));
        }
        let is_rival = |candidate: &PathBuf| {
            if inputs.iter().any(|i| identical(&i.path, candidate)) {
                return false;
            }
            let Ok(Some(stamp)) = Stamp::of_file(candidate) else {
                return false;
            };
            let read = |i: &Input| (i.stamp.dev, i.stamp.ino) == (stamp.dev, stamp.ino);
            stamp.older_than(clock) && !inputs.iter().any(read)
        };
        found.into_iter().filter(is_rival).collect()
    }
}

/// What of `names` on the search path `roots` may have come or gone since `clock`, when `before` was listed: a file that did; or a
/// folder that changed, if it wasn't listed or the name leads further down. Builders make folders all the time, so that the change
/// of a listed folder by itself tells nothing. Objects are published to `changing` all the time: if that wasn't listed, what went
/// from there isn't noticed.
pub fn moved_since(
    roots: &[PathBuf],
    names: &[Vec<u8>],
    changing: &Path,
    before: &Listings,
    clock: i64,
) -> Option<PathBuf> {
    if names.is_empty() {
        return None;
    }
    let of = |p: &Path| Stamp::of(p).ok().map(|s| (s.dev, s.ino));
    let changing = of(changing);
    let young =
        |p: &Path| fs::symlink_metadata(p).is_ok_and(|m| !Stamp::from(&m).older_than(clock));
    for root in roots {
        let listed = before.0.get(root);
        if listed.is_none() && young(root) && of(root) != changing {
            return Some(root.clone());
        }
        let mut missing = None;
        for name in names {
            let name = Path::new(OsStr::from_bytes(name));
            let first = match name.components().next() {
                Some(Component::Normal(first)) => first,
                // `..` and absolute names lead elsewhere.
                _ => OsStr::new(""),
            };
            if missing == Some(first) {
                continue;
            }
            let candidate = root.join(name);
            let mut went = false;
            if !first.is_empty()
                && let Err(e) = fs::symlink_metadata(root.join(first))
            {
                went = listed.is_some_and(|l| l.contains(first));
                if !went && says_missing(&e) {
                    missing = Some(first);
                    continue;
                }
            }
            if young(&candidate) {
                return Some(candidate);
            }
            let between = name.ancestors().skip(1);
            let mut between = between.filter(|f| !f.as_os_str().is_empty());
            if went || between.any(|f| young(&root.join(f))) {
                return Some(candidate);
            }
        }
    }
    None
}

/// What a folder holds; `None`: more than `most` names, or not all of them can be read.
///
/// # Errors
/// It can't be opened.
fn listing(folder: &Path, most: usize) -> io::Result<Option<HashSet<OsString>>> {
    let entries = fs::read_dir(folder)?.take(most + 1);
    let names: io::Result<HashSet<OsString>> = entries.map(|e| Ok(e?.file_name())).collect();
    Ok(names.ok().filter(|n| n.len() <= most))
}

/// A watched folder whose stamp isn't the recorded one.
struct Moved<'a> {
    folder: &'a Path,
    /// It is another folder now, or wasn't there.
    replaced: bool,
}

/// Whether `path` lies in `folder`, as far as the spelling shows; relative paths lie in `.`.
fn below(folder: &Path, path: &Path) -> bool {
    path.starts_with(folder) || (folder == Path::new(".") && path.is_relative())
}

/// The folders that the inputs lie in: few, so that it pays to look at each spelling once.
pub fn folders_of(inputs: &[Input]) -> BTreeSet<PathBuf> {
    let mut seen = HashSet::new();
    let new = inputs
        .iter()
        .filter(|i| seen.insert(parent(&i.path).map(Path::as_os_str)));
    new.map(|i| folder_of(&i.path)).collect()
}

/// A folder's stamp: its size says nothing.
fn folder_stamp(stamp: Stamp) -> Stamp {
    Stamp { size: 0, ..stamp }
}

/// The folder with its stamp.
fn stamped(folder: PathBuf) -> (PathBuf, Option<Stamp>) {
    let stamp = Stamp::of(&folder).ok();
    (folder, stamp)
}

/// [`folder_stamp`]; without times, which no folder has, if they are too new to tell a further change.
fn dated(stamp: Stamp, clock: i64) -> Stamp {
    match stamp.older_than(clock) {
        true => folder_stamp(stamp),
        false => Stamp {
            dev: stamp.dev,
            ino: stamp.ino,
            ..Stamp::default()
        },
    }
}

/// Folders to watch, and what they are.
type Watched = BTreeMap<PathBuf, Option<Stamp>>;

/// Watches `folder` if it is one, for all that can be seen: one that can't be looked at now may come to light. Says whether.
fn watch(folder: PathBuf, watched: &mut Watched) -> bool {
    if watched.contains_key(&folder) {
        return true;
    }
    let stamp = match fs::metadata(&folder) {
        Ok(meta) if meta.is_dir() => Some(Stamp::from(&meta)),
        Ok(_) => return false,
        Err(e) if says_missing(&e) => return false,
        Err(_) => None,
    };
    watched.insert(folder, stamp);
    true
}

/// A clock reading that is surely past, ns: two seconds ago, the coarsest granularity of a file system in use (FAT).
pub fn settled_clock() -> i64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |d| d.as_nanos() as i64);
    now - 2_000_000_000
}

/// Watches `root`, or the nearest folder above it that exists: there `root` would appear.
fn watch_or_above(root: &Path, watched: &mut Watched) {
    let mut at = root;
    while !watch(at.to_owned(), watched) {
        match at.parent() {
            Some(p) if !p.as_os_str().is_empty() => at = p,
            _ => {
                let top = PathBuf::from(if root.is_absolute() { "/" } else { "." });
                watched.extend([stamped(top)]);
                return;
            }
        }
    }
}

/// The names by which files may have been included: what stands behind a search folder, and base names. Only those that may lie in a
/// folder which holds just what is `listed`.
fn included_names(
    folders: &BTreeSet<PathBuf>,
    inputs: &[Input],
    listed: Option<&HashSet<OsString>>,
) -> BTreeSet<PathBuf> {
    let may_be = |path: &Path| match (listed, path.components().next()) {
        (Some(listed), Some(Component::Normal(first))) => listed.contains(first),
        _ => true,
    };
    let search_folders: Vec<_> = folders.iter().map(|f| Spelled::new(f)).collect();
    // Of each folder that inputs lie in, where it lies itself.
    let mut behind: HashMap<&OsStr, Vec<&Path>> = HashMap::new();
    let mut names = BTreeSet::new();
    for input in inputs {
        let (Some(above), Some(name)) = (parent(&input.path), name(&input.path)) else {
            continue;
        };
        if listed.is_none_or(|listed| listed.contains(name)) {
            names.insert(PathBuf::from(name));
        }
        let behind = behind.entry(above.as_os_str()).or_insert_with(|| {
            let above = Spelled::new(above);
            let rests = search_folders.iter().filter_map(|f| above.behind(*f));
            rests.filter(|rest| may_be(rest)).collect()
        });
        names.extend(behind.iter().map(|rest| rest.join(name)));
    }
    names
}

/// The folders, below a search folder, that included (in `folders`) or tested names lie in.
fn sub_folders<'a>(
    roots: &[PathBuf],
    folders: &BTreeSet<PathBuf>,
    names: impl Iterator<Item = &'a Vec<u8>>,
) -> BTreeSet<PathBuf> {
    let mut below = BTreeSet::new();
    let mut add = |folder: Option<&Path>| {
        let mut at = folder;
        while let Some(folder) = at.filter(|f| !f.as_os_str().is_empty()) {
            below.insert(folder.to_owned());
            at = parent(folder);
        }
    };
    let roots: Vec<_> = roots.iter().map(|r| Spelled::new(r)).collect();
    for folder in folders.iter().map(|f| Spelled::new(f)) {
        roots.iter().for_each(|r| add(folder.behind(*r)));
    }
    names.for_each(|name| add(parent(Path::new(OsStr::from_bytes(name)))));
    below
}
