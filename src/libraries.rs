//! Which archives the `-l` words of a link find.
//!
//! The linkers of ELF systems look in each folder in turn, first for the shared library and then for the archive, unless only
//! archives are asked for (`ld(1)`: `-l`, `-Bstatic`). The user's folders come first, in their order, then those of
//! `LIBRARY_PATH`, then the system's; nothing that is guarded lies in those. Measured with bfd, gold and lld (`--trace`).

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::command::Link;
use crate::state::in_dir;

/// Suffixes of what is taken before an archive of the same folder: on ELF systems the first, on macOS the others.
const SHARED: [&str; 3] = [".so", ".dylib", ".tbd"];

/// The archive that each `-l` of a link finds in the user's folders: its index in [`Link::libraries`] and the path.
/// `library_path`: the value of `LIBRARY_PATH`.
pub fn archives(link: &Link, library_path: Option<&OsStr>) -> Vec<(usize, PathBuf)> {
    if link.libraries.is_empty() {
        return Vec::new();
    }
    archives_in(link, library_path, &|path| path.is_file())
}

fn archives_in(
    link: &Link,
    library_path: Option<&OsStr>,
    is_file: &dyn Fn(&Path) -> bool,
) -> Vec<(usize, PathBuf)> {
    let folders = folders(link, library_path);
    let archives_only = archives_only(link);
    let found = link.libraries.iter().enumerate().map(|(n, library)| {
        let path = find(&folders, &library.name, archives_only[n], is_file)?;
        Some((n, path))
    });
    found.flatten().collect()
}

fn folders(link: &Link, library_path: Option<&OsStr>) -> Vec<PathBuf> {
    let given = link.library_dirs.iter().map(OsString::as_os_str);
    let more = library_path.map_or(&b""[..], OsStr::as_bytes);
    let more = more.split(|b| *b == b':').filter(|d| !d.is_empty());
    given
        .chain(more.map(OsStr::from_bytes))
        .map(|folder| {
            // Below the sysroot, which is `/` for a compiler that builds for its own system.
            let bytes = folder.as_bytes();
            let inside = bytes.strip_prefix(b"=").or(bytes.strip_prefix(b"$SYSROOT"));
            PathBuf::from(inside.map_or(folder, OsStr::from_bytes))
        })
        .collect()
}

fn find(
    folders: &[PathBuf],
    name: &OsStr,
    archives_only: bool,
    is_file: &dyn Fn(&Path) -> bool,
) -> Option<PathBuf> {
    if let Some(file) = name.as_bytes().strip_prefix(b":") {
        let candidates = folders.iter().map(|f| in_dir(f, OsStr::from_bytes(file)));
        return candidates.into_iter().find(|path| is_file(path));
    }
    let called = |folder: &Path, suffix: &str| {
        let mut file = OsString::from("lib");
        file.push(name);
        file.push(suffix);
        in_dir(folder, &file)
    };
    for folder in folders {
        let is_there = |suffix: &&str| is_file(&called(folder, suffix));
        if !archives_only && SHARED.iter().any(is_there) {
            return None;
        }
        let archive = called(folder, ".a");
        if is_file(&archive) {
            return Some(archive);
        }
    }
    None
}

/// For each `-l`, whether only archives are looked for where it stands.
fn archives_only(link: &Link) -> Vec<bool> {
    let words = &link.words.args;
    let whole = words
        .iter()
        .any(|w| matches!(w.as_bytes(), b"-static" | b"--static" | b"-static-pie"));
    // The word and piece from which on it holds.
    let mut states: Vec<((usize, usize), bool)> = vec![((0, 0), whole)];
    let mut pushed = Vec::new();
    let mut see = |at: (usize, usize), word: &[u8]| {
        let now = states.last().is_some_and(|(_, now)| *now);
        match switch(word) {
            Some(Switch::To(state)) => states.push((at, state)),
            Some(Switch::Push) => pushed.push(now),
            Some(Switch::Pop) => states.push((at, pushed.pop().unwrap_or(now))),
            None => {}
        }
    };
    for (n, word) in words.iter().enumerate() {
        let word = word.as_bytes();
        if let Some(list) = word.strip_prefix(b"-Wl,") {
            for (piece, text) in list.split(|b| *b == b',').enumerate() {
                see((n, piece), text);
            }
        } else if n > 0 && words[n - 1] == "-Xlinker" {
            see((n, 0), word);
        }
    }
    let only = link.libraries.iter().map(|library| {
        let place = (library.word, library.piece.unwrap_or(0));
        let before = states.iter().rev().find(|(at, _)| *at <= place);
        before.is_some_and(|(_, state)| *state)
    });
    only.collect()
}

/// What a word for the linker does to the search for shared libraries.
enum Switch {
    /// Only archives (true), or both again.
    To(bool),
    Push,
    Pop,
}

fn switch(word: &[u8]) -> Option<Switch> {
    match word {
        b"-Bstatic" | b"--Bstatic" | b"-dn" | b"-non_shared" | b"-static" | b"--static" => {
            Some(Switch::To(true))
        }
        b"-Bdynamic" | b"--Bdynamic" | b"-dy" | b"-call_shared" => Some(Switch::To(false)),
        b"--push-state" | b"-push-state" => Some(Switch::Push),
        b"--pop-state" | b"-pop-state" => Some(Switch::Pop),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{self, Dialect, Driver, Verdict};

    /// What a command line finds if these files are there.
    fn found(words: &str, files: &[&str], library_path: Option<&str>) -> Vec<String> {
        let args: Vec<OsString> = words.split_whitespace().map(OsString::from).collect();
        let Verdict::Link(link) = command::parse(&args, Driver::C, Dialect::Gcc) else {
            panic!("no link: {words}");
        };
        let is_file = |path: &Path| files.iter().any(|f| Path::new(f) == path);
        archives_in(&link, library_path.map(OsStr::new), &is_file)
            .into_iter()
            .map(|(n, path)| format!("{n}:{}", path.display()))
            .collect()
    }

    #[test]
    fn what_each_library_finds() {
        let files = ["a/libx.a", "a/libx.so", "b/libx.a", "b/file.o", "c/liby.a"];
        for (words, expected) in [
            ("m.o -La -lx", &[][..]),
            ("m.o -Lb -lx", &["0:b/libx.a"]),
            ("m.o -lx -Lb", &["0:b/libx.a"]),
            ("m.o -L b -L a -l x", &["0:b/libx.a"]),
            ("m.o -La -Lb -lx", &[]),
            ("m.o -static -La -lx", &["0:a/libx.a"]),
            ("m.o -La -Wl,-Bstatic -lx", &["0:a/libx.a"]),
            ("m.o -La -Wl,-Bstatic,-lx,-Bdynamic -lx", &["0:a/libx.a"]),
            (
                "m.o -La -Wl,-Bstatic -lx -Wl,-Bdynamic -lx",
                &["0:a/libx.a"],
            ),
            (
                "m.o -La -Wl,--push-state,-Bstatic -lx -Wl,--pop-state -lx",
                &["0:a/libx.a"],
            ),
            ("m.o -La -Xlinker -Bstatic -lx", &["0:a/libx.a"]),
            ("m.o -Lb -l:file.o -l:none.o", &["0:b/file.o"]),
            ("m.o -Lb -lm -Lc -ly -lx", &["1:c/liby.a", "2:b/libx.a"]),
            ("m.o -L=b -lx", &["0:b/libx.a"]),
            ("m.o -Wl,-Lb -Wl,-lx", &["0:b/libx.a"]),
            ("m.o -lx", &[]),
        ] {
            assert_eq!(found(words, &files, None), expected, "{words}");
        }
        assert_eq!(found("m.o -lx", &files, Some("none:b")), ["0:b/libx.a"]);
        assert_eq!(found("m.o -La -lx", &files, Some("b")), [""; 0]);
    }
}
