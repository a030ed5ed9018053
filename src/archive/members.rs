//! What is in an archive: the members' names and, for two archives, whether one only grew into the other.
//!
//! # Format
//!
//! `!<arch>\n`, or `!<thin>\n` if the members stay in files of their own; then for each member, at an even offset, a header of
//! 60 bytes: name (16), date (12), owner (6), group (6), mode (8), size (10), and `` `\n ``. The numbers are decimal text.
//! GNU and LLVM end a name with `/` and put a longer one into a table, the member `//`, as `/OFFSET`; BSD puts it before the
//! data, as `#1/LENGTH`. `/`, `/SYM64/` and `__.SYMDEF` are symbol tables. In a thin archive only tables have data.
//!
//! Anything else is an error, and whoever asks decides for the worse.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"!<arch>\n";
const THIN: &[u8; 8] = b"!<thin>\n";
const HEADER: usize = 60;

/// Whether the file is a thin archive.
pub fn is_thin(path: &Path) -> io::Result<bool> {
    Ok(magic(&File::open(path)?)? == *THIN)
}

/// The files that a thin archive stands for, as seen from the working directory; `None`: it isn't one.
pub fn of_thin(path: &Path) -> io::Result<Option<Vec<PathBuf>>> {
    if !is_thin(path)? {
        return Ok(None);
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let member = |name: Vec<u8>| folder.join(OsString::from_vec(name));
    Ok(Some(names(path)?.into_iter().map(member).collect()))
}

/// The members' names, in order.
pub fn names(path: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut members = Members::open(path)?;
    let mut names = Vec::new();
    while let Some(member) = members.next_member()? {
        names.push(member.name);
    }
    Ok(names)
}

/// Whether `new` holds every member of `old`, with the same bytes and in the same order, and perhaps more.
pub fn grew(old: &Path, new: &Path) -> io::Result<bool> {
    let (mut old, mut new) = (Members::open(old)?, Members::open(new)?);
    if old.thin != new.thin {
        return Ok(false);
    }
    'old: while let Some(wanted) = old.next_member()? {
        while let Some(candidate) = new.next_member()? {
            if candidate.name == wanted.name
                && candidate.size == wanted.size
                && (old.thin || same_data(&old.file, &wanted, &new.file, &candidate)?)
            {
                continue 'old;
            }
        }
        return Ok(false);
    }
    Ok(true)
}

struct Member {
    name: Vec<u8>,
    data: u64,
    size: u64,
}

struct Members {
    file: File,
    thin: bool,
    length: u64,
    at: u64,
    long_names: Vec<u8>,
}

impl Members {
    fn open(path: &Path) -> io::Result<Members> {
        let file = File::open(path)?;
        let magic = magic(&file)?;
        if magic != *MAGIC && magic != *THIN {
            return Err(broken());
        }
        let length = file.metadata()?.len();
        Ok(Members {
            file,
            thin: magic == *THIN,
            length,
            at: MAGIC.len() as u64,
            long_names: Vec::new(),
        })
    }

    /// The next member that is no table; `None` at the end.
    fn next_member(&mut self) -> io::Result<Option<Member>> {
        while self.at < self.length {
            let mut header = [0; HEADER];
            self.file.read_exact_at(&mut header, self.at)?;
            if header[58..] != *b"`\n" {
                return Err(broken());
            }
            let field = trimmed(&header[..16]);
            let mut size = number(trimmed(&header[48..58]))?;
            let mut data = self.at + HEADER as u64;
            let table = matches!(field, b"/" | b"//" | b"/SYM64/");
            let stored = if self.thin && !table { 0 } else { size };
            let end = data.checked_add(stored).ok_or_else(broken)?;
            if end > self.length {
                return Err(broken());
            }
            self.at = end + end % 2;
            if field == b"//" {
                self.long_names = self.bytes(data, size)?;
            }
            if table {
                continue;
            }
            let name = if let Some(length) = field.strip_prefix(b"#1/") {
                let length = number(length)?;
                let name = self.bytes(data, length)?;
                data += length;
                size = size.checked_sub(length).ok_or_else(broken)?;
                let end = name.iter().position(|b| *b == 0).unwrap_or(name.len());
                name[..end].to_vec()
            } else if let Some(offset) = field.strip_prefix(b"/") {
                self.long_name(offset)?
            } else {
                field.strip_suffix(b"/").unwrap_or(field).to_vec()
            };
            if name.starts_with(b"__.SYMDEF") {
                continue;
            }
            return Ok(Some(Member { name, data, size }));
        }
        Ok(None)
    }

    /// A name of the table: it ends with `/` and a newline. Thin archives write `:ORIGIN` behind the offset of a member that
    /// lies in another archive.
    fn long_name(&self, offset: &[u8]) -> io::Result<Vec<u8>> {
        let offset = offset.split(|b| *b == b':').next().unwrap_or_default();
        let start = usize::try_from(number(offset)?).map_err(|_| broken())?;
        let rest = self.long_names.get(start..).ok_or_else(broken)?;
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let name = &rest[..end];
        Ok(name.strip_suffix(b"/").unwrap_or(name).to_vec())
    }

    fn bytes(&self, at: u64, length: u64) -> io::Result<Vec<u8>> {
        if at.checked_add(length).is_none_or(|end| end > self.length) {
            return Err(broken());
        }
        let mut bytes = vec![0; length as usize];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    }
}

fn magic(file: &File) -> io::Result<[u8; 8]> {
    let mut magic = [0; 8];
    match file.read_exact_at(&mut magic, 0) {
        // Shorter than any archive.
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok([0; 8]),
        Err(e) => Err(e),
        Ok(()) => Ok(magic),
    }
}

fn same_data(left: &File, a: &Member, right: &File, b: &Member) -> io::Result<bool> {
    let (mut first, mut second) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut done = 0;
    while done < a.size {
        let n = (a.size - done).min(first.len() as u64) as usize;
        left.read_exact_at(&mut first[..n], a.data + done)?;
        right.read_exact_at(&mut second[..n], b.data + done)?;
        if first[..n] != second[..n] {
            return Ok(false);
        }
        done += n as u64;
    }
    Ok(true)
}

fn trimmed(field: &[u8]) -> &[u8] {
    let end = field.iter().rposition(|b| *b != b' ').map_or(0, |i| i + 1);
    &field[..end]
}

fn number(text: &[u8]) -> io::Result<u64> {
    let text = OsStr::from_bytes(text).to_str().ok_or_else(broken)?;
    text.parse().map_err(|_| broken())
}

fn broken() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "not an archive, or a broken one",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::process::Command;

    /// A folder with `tool` run in it on these files, each of one line of its own name.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Place {
            let dir = std::env::temp_dir()
                .join(format!("objguard-members-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&dir);
            fs::create_dir_all(dir.join("sub")).unwrap();
            for file in [
                "a.o",
                "b.o",
                "a_name_longer_than_a_header.o",
                "with space.o",
                "sub/c.o",
            ] {
                fs::write(dir.join(file), format!("{file}\n")).unwrap();
            }
            Place(dir)
        }

        fn ar(&self, words: &[&str]) {
            let done = Command::new("ar").args(words).current_dir(&self.0).output();
            assert!(done.unwrap().status.success(), "ar {words:?}");
        }

        fn names(&self, archive: &str) -> Vec<String> {
            let names = names(&self.0.join(archive)).unwrap();
            names
                .into_iter()
                .map(|n| String::from_utf8(n).unwrap())
                .collect()
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    const ALL: [&str; 4] = [
        "a.o",
        "a_name_longer_than_a_header.o",
        "with space.o",
        "sub/c.o",
    ];

    #[test]
    fn names_of_archives_and_thin_archives() {
        let place = Place::new("names");
        place.ar(&["rcs", "x.a", ALL[0], ALL[1], ALL[2], ALL[3]]);
        assert_eq!(place.names("x.a"), ["a.o", ALL[1], "with space.o", "c.o"]);
        assert_eq!(of_thin(&place.0.join("x.a")).unwrap(), None);
        place.ar(&["rcsT", "sub/t.a", ALL[0], ALL[1], ALL[2], ALL[3]]);
        let thin = of_thin(&place.0.join("sub/t.a")).unwrap().unwrap();
        for (path, file) in thin.iter().zip(ALL) {
            assert_eq!(fs::read_to_string(path).unwrap(), format!("{file}\n"));
        }
        assert_eq!(thin.len(), 4);
    }

    #[test]
    fn bsd_names_stand_before_the_data() {
        let place = Place::new("bsd");
        let mut bytes = MAGIC.to_vec();
        bytes.extend(
            format!(
                "{:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n",
                "#1/20", 0, 0, 0, 644, 23
            )
            .bytes(),
        );
        bytes.extend(b"a_name_of_18_bytes\0\0abc\n");
        fs::write(place.0.join("x.a"), bytes).unwrap();
        assert_eq!(place.names("x.a"), ["a_name_of_18_bytes"]);
    }

    #[test]
    fn growing_is_told_from_changing() {
        let place = Place::new("grew");
        let grew = |a: &str, b: &str| grew(&place.0.join(a), &place.0.join(b)).unwrap();
        place.ar(&["rcs", "one.a", "a.o"]);
        place.ar(&["rcs", "two.a", "a.o", "b.o"]);
        place.ar(&["rcs", "turned.a", "b.o", "a.o"]);
        place.ar(&["rcs", "empty.a"]);
        assert!(grew("one.a", "two.a") && grew("two.a", "two.a") && grew("empty.a", "one.a"));
        assert!(grew("one.a", "turned.a"));
        assert!(!grew("two.a", "one.a") && !grew("two.a", "turned.a"));
        fs::write(place.0.join("a.o"), "A.O\n").unwrap();
        place.ar(&["rcs", "other.a", "a.o", "b.o"]);
        assert!(!grew("one.a", "other.a"));
        place.ar(&["rcsT", "thin.a", "a.o", "b.o"]);
        assert!(!grew("other.a", "thin.a"));
    }

    #[test]
    fn any_truncation_is_an_error_or_fewer_names() {
        let place = Place::new("broken");
        place.ar(&["rcs", "x.a", ALL[0], ALL[1], ALL[2]]);
        let whole = fs::read(place.0.join("x.a")).unwrap();
        // The last byte fills up the last member.
        for n in 0..whole.len() - 1 {
            fs::write(place.0.join("y.a"), &whole[..n]).unwrap();
            if let Ok(names) = names(&place.0.join("y.a")) {
                assert!(names.len() < 3, "length {n}");
            }
        }
        fs::write(place.0.join("y.a"), "no archive at all").unwrap();
        assert!(names(&place.0.join("y.a")).is_err());
        assert!(!is_thin(&place.0.join("y.a")).unwrap());
        fs::write(place.0.join("y.a"), "").unwrap();
        assert!(!is_thin(&place.0.join("y.a")).unwrap());
    }
}
