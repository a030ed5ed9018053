//! Build environments that come and go: pip, build, pdm and uv make a new folder with a random name for each isolated build, so
//! that `-I` paths into it differ from build to build though nothing else does (pypa/build #655, asv #201, propcache #237).
//!
//! The folder is a *place*. In the request key a place in an include directory is replaced by its number, so that the record of the
//! last build is found again; the record names the places it was made with. Whether its object could be told from one made
//! elsewhere is settled in two steps:
//!
//! - After the compile ([`look_into`]): the path may stand in the object's debug information, as that names a folder which is gone when
//!   the build ends, this one as well as the other. It, and pieces of it, may stand nowhere else in the object. Words other than
//!   include directories, relevant variables, and side outputs must not name the place.
//! - When another build asks for the first time ([`shows`]): the object may depend on a path without holding it
//!   (`sizeof(__FILE__)`), so the source is preprocessed once, which takes a small part of a compile's time, and the places must not
//!   show in the text. Only arguments of functions known to print them ([`PRINTERS`]) are left to the look into the object.
//!
//! A record that moves ([`moved`]) has its places exchanged in every path, in its depfile and in its diagnostics. What lies there
//! counts by content, as everywhere, and what else lies there on the search path must be the same by name ([`crate::search::Search::mates`]).

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use object::{Object, ObjectSection};

use crate::command::{Compile, Placement};
use crate::dirty::Dirty;
use crate::record::{Bound, Record};
use crate::request;

/// How the folders begin that are made for one build: pip's, build's (`DefaultIsolatedEnv`), pdm's.
const PREFIXES: [&[u8]; 3] = [b"pip-build-env-", b"build-env-", b"pdm-build-env-"];
/// The random part of such a name has at least this many bytes; Python's tempfile makes eight.
const RANDOM: usize = 6;

/// Functions that hand a file's name to nothing but a message: of `assert` in glibc, in musl and in the BSDs and macOS, and pybind11's.
const PRINTERS: [&[u8]; 5] = [
    b"__assert_fail",
    b"__assert",
    b"__assert2",
    b"__assert_rtn",
    b"pybind11_fail",
];
/// What becomes a path, but isn't one in a preprocessed text.
const LATE: [&[u8]; 3] = [b"__FILE__", b"__builtin_FILE", b"source_location"];
/// A compiler that builds a text from constants in its instructions does so by this many bytes, or more.
const PIECE: usize = 8;

/// The build environment that a path leads into.
pub fn place_of(path: &Path) -> Option<&Path> {
    if !path.is_absolute() {
        return None;
    }
    let folders: Vec<&Path> = path.ancestors().collect();
    let mut outermost_first = folders.into_iter().rev();
    outermost_first.find(|folder| {
        let Some(name) = folder.file_name().map(OsStr::as_bytes) else {
            return false;
        };
        let random = |tail: &[u8]| {
            tail.len() >= RANDOM
                && tail
                    .iter()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
        };
        let parent = folder.parent().and_then(Path::file_name);
        // uv: `builds-v0/.tmpAbC123`.
        let of_uv = || {
            name.strip_prefix(b".tmp").is_some_and(random)
                && parent.is_some_and(|p| p.as_bytes().starts_with(b"builds-v"))
        };
        PREFIXES
            .iter()
            .any(|p| name.strip_prefix(*p).is_some_and(random))
            || of_uv()
    })
}

/// The build environments that a compile's include directories lie in, in order of their first. None if anything else
/// names one of them.
pub fn places(
    compile: &Compile,
    directory: &Path,
    environment: &[(OsString, OsString)],
) -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> = Vec::new();
    for dir in &compile.search {
        if let Some(place) = place_of(Path::new(&dir.dir))
            && !places.iter().any(|p| p == place)
        {
            places.push(place.to_owned());
        }
    }
    if places.is_empty() || place_of(directory).is_some() {
        return Vec::new();
    }
    let names_one = |text: &OsStr| places.iter().any(|p| holds(text.as_bytes(), p));
    let words = compile.words.args.iter().enumerate();
    let elsewhere = words
        .filter(|(n, _)| !of_search(compile, *n))
        .any(|(_, word)| names_one(word));
    let variables = environment.iter().filter(|(n, _)| request::relevant(n));
    if elsewhere || variables.map(|(_, v)| v).any(|v| names_one(v)) {
        return Vec::new();
    }
    places
}

/// A word of an include directory, its places replaced by their numbers; `None`: it is another word.
pub fn placeless(compile: &Compile, n: usize, places: &[PathBuf]) -> Option<Vec<u8>> {
    if places.is_empty() || !of_search(compile, n) {
        return None;
    }
    let word = compile.words.args[n].as_bytes();
    let number = |n: usize| format!("\0{n}\0").into_bytes();
    let numbers = places.iter().enumerate().map(|(n, p)| (p, number(n)));
    Some(numbers.fold(word.to_vec(), |word, (place, number)| {
        exchanged(&word, place, &number)
    }))
}

fn of_search(compile: &Compile, word: usize) -> bool {
    compile.search.iter().any(|d| d.words.contains(&word))
}

fn holds(text: &[u8], place: &Path) -> bool {
    memchr::memmem::find(text, place.as_os_str().as_bytes()).is_some()
}

/// The text with another path for a place, wherever that is the whole of a path's beginning.
fn exchanged(text: &[u8], place: &Path, by: &[u8]) -> Vec<u8> {
    let place = place.as_os_str().as_bytes();
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    for hit in memchr::memmem::find_iter(text, place) {
        let end = hit + place.len();
        let whole = !text
            .get(end)
            .is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
        if whole {
            out.extend_from_slice(&text[at..hit]);
            out.extend_from_slice(by);
            at = end;
        }
    }
    out.extend_from_slice(&text[at..]);
    out
}

/// What is known of an object that was made with `places`, as far as it tells by itself.
pub fn look_into(compile: &Compile, object: &[u8], places: &[PathBuf]) -> Bound {
    if compile.placement != Placement::Staged || !compile.side_outputs.is_empty() {
        return Bound::To("it writes files beside the object".into());
    }
    if let Some(word) = compile.words.args.iter().find(|w| changes_the_text(w)) {
        return Bound::To(format!("`{}`", word.display()));
    }
    match places
        .iter()
        .find(|p| !in_debug_information_only(object, p))
    {
        Some(place) => Bound::To(format!("the object holds the path `{}`", place.display())),
        None => Bound::Unknown,
    }
}

/// Words with which `-E` doesn't write the text that is compiled.
fn changes_the_text(word: &OsStr) -> bool {
    let word = word.as_bytes();
    let starts = [
        "-Wp,",
        "-Xpreprocessor",
        "-dM",
        "-dD",
        "-dN",
        "-dI",
        "-dU",
        "-traditional",
        "--traditional",
    ];
    word == b"-fdirectives-only"
        || word == b"-frewrite-includes"
        || starts.iter().any(|s| word.starts_with(s.as_bytes()))
}

/// Whether all of an object's sections that hold the path, or a piece of it, are those of debug information.
fn in_debug_information_only(object: &[u8], place: &Path) -> bool {
    let name = place.file_name().unwrap_or(place.as_os_str()).as_bytes();
    let pieces: Vec<_> = name
        .windows(PIECE)
        .map(memchr::memmem::Finder::new)
        .collect();
    if pieces.is_empty() {
        return false;
    }
    let holds = |data: &[u8]| pieces.iter().any(|piece| piece.find(data).is_some());
    let Ok(file) = object::File::parse(object) else {
        // Bitcode, say: what it holds isn't to be seen, but for the path itself.
        return !holds(object);
    };
    file.sections().all(|section| {
        section
            .name_bytes()
            .is_ok_and(|name| name.starts_with(b".debug_"))
            || section.data().is_ok_and(|data| !holds(data))
    })
}

/// Whether a preprocessed text tells one of the `places`: then the object may depend on it. Line markers, which every file has, don't
/// count (cpp(1), "Preprocessor Output").
///
/// `built_in`: folders of the system's headers. `lto`: the object can't be looked into.
///
/// # Errors
/// In words: what tells it.
pub fn shows(
    text: &[u8],
    places: &[PathBuf],
    built_in: &[PathBuf],
    lto: bool,
) -> Result<(), String> {
    let names: Vec<&[u8]> = places
        .iter()
        .map(|p| p.file_name().unwrap_or(p.as_os_str()).as_bytes())
        .collect();
    // What each open bracket belongs to: a function's name before a parenthesis.
    let mut open: Vec<&[u8]> = Vec::new();
    let mut last: &[u8] = b"";
    let mut file = Path::new("");
    let mut of_system = false;
    let mut rest = text;
    let mut line_begins = true;
    while let Some(&byte) = rest.first() {
        if line_begins && let Some(path) = marker(rest) {
            file = path;
            of_system = built_in.iter().any(|d| path.starts_with(d));
            rest = &rest[memchr::memchr(b'\n', rest).unwrap_or(rest.len())..];
            line_begins = false;
            continue;
        }
        line_begins = byte == b'\n';
        let length = token(rest, last);
        let word = &rest[..length];
        let names_it = names
            .iter()
            .any(|n| memchr::memmem::find(word, n).is_some());
        let late = !of_system && LATE.contains(&word);
        if names_it || late {
            let printed = open.last().is_some_and(|f| PRINTERS.contains(f));
            let what = if late { word } else { b"its path".as_slice() };
            if !printed {
                return Err(format!("{} in `{}`", what.escape_ascii(), file.display()));
            }
            if lto {
                return Err(format!(
                    "messages in `{}`, which link-time optimisation hides",
                    file.display()
                ));
            }
        }
        match byte {
            b'(' => open.push(last),
            b'[' | b'{' => open.push(b""),
            b')' | b']' | b'}' => {
                open.pop();
            }
            _ => {}
        }
        if !byte.is_ascii_whitespace() {
            last = word;
        }
        rest = &rest[length..];
    }
    Ok(())
}

/// The file that a line marker, `# 12 "p.h" 1`, names.
fn marker(line: &[u8]) -> Option<&Path> {
    let number = line
        .strip_prefix(b"# ")
        .or_else(|| line.strip_prefix(b"#line "))?;
    let digits = number.iter().take_while(|b| b.is_ascii_digit()).count();
    let name = number[digits..].strip_prefix(b" \"")?;
    let end = name.iter().position(|b| matches!(b, b'"' | b'\n'))?;
    (digits > 0).then(|| Path::new(OsStr::from_bytes(&name[..end])))
}

/// Length of the token that a preprocessed text begins with; `last` is the one before.
fn token(text: &[u8], last: &[u8]) -> usize {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'$' || b >= 0x80;
    match text[0] {
        b'"' if last.ends_with(b"R") && last.len() <= 3 => raw_literal(text),
        quote @ (b'"' | b'\'') => literal(text, quote),
        // A number: with digit separators it holds quotes.
        b if b.is_ascii_digit() => {
            text.windows(2)
                .take_while(|w| word(w[1]) || w[1] == b'.' || (w[1] == b'\'' && word(w[0])))
                .count()
                + 1
        }
        b if word(b) => text.iter().take_while(|b| word(**b)).count(),
        _ => 1,
    }
}

/// Length of `"delimiter(…)delimiter"`.
fn raw_literal(text: &[u8]) -> usize {
    let Some(open) = memchr::memchr(b'(', text) else {
        return 1;
    };
    let end = [b")".as_slice(), &text[1..open], b"\""].concat();
    memchr::memmem::find(text, &end).map_or(1, |at| at + end.len())
}

/// Length of the literal that `text` begins with, quotes included; 1 if it doesn't end in its line.
fn literal(text: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while let Some(byte) = text.get(at) {
        match byte {
            b'\\' => at += 1,
            b'\n' => return 1,
            b if *b == quote => return at + 1,
            _ => {}
        }
        at += 1;
    }
    1
}

/// The record as it is with other places.
///
/// # Errors
/// Why it can't be.
pub fn moved(mut record: Record, places: &[PathBuf]) -> Result<Record, Dirty> {
    if record.places == places {
        return Ok(record);
    }
    if record.places.len() != places.len() {
        return Err(Dirty::NoRecord);
    }
    let pairs: Vec<(PathBuf, PathBuf)> = record
        .places
        .iter()
        .cloned()
        .zip(places.iter().cloned())
        .collect();
    // The compiler breaks a depfile's lines by their length.
    if record.depfile.is_some()
        && pairs
            .iter()
            .any(|(a, b)| a.as_os_str().len() != b.as_os_str().len())
    {
        return Err(Dirty::Moved("its depfile would be broken otherwise".into()));
    }
    let text = |text: &[u8]| {
        pairs.iter().fold(text.to_vec(), |text, (from, to)| {
            exchanged(&text, from, to.as_os_str().as_bytes())
        })
    };
    let path = |path: &Path| PathBuf::from(OsString::from_vec(text(path.as_os_str().as_bytes())));
    for input in &mut record.inputs {
        input.path = path(&input.path);
    }
    for word in &mut record.flags {
        *word = OsString::from_vec(text(word.as_bytes()));
    }
    record.stderr = text(&record.stderr);
    record.depfile = record.depfile.as_deref().map(text);
    let search = &mut record.search;
    search.roots = search.roots.iter().map(|r| path(r)).collect();
    search.rivals = search.rivals.iter().map(|r| path(r)).collect();
    for (folder, _) in &mut search.watched {
        *folder = path(folder);
    }
    record.places = places.to_vec();
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str, lto: bool) -> Result<(), String> {
        let place = [PathBuf::from("/tmp/pip-build-env-0a1b2c3d")];
        let text = text.replace("ENV", "/tmp/pip-build-env-0a1b2c3d");
        shows(text.as_bytes(), &place, &["/usr/include".into()], lto)
    }

    #[test]
    fn line_markers_tell_nothing() {
        let text = "# 1 \"x.c\"\n# 1 \"ENV/p.h\" 1 3 4\nint a;\n# 2 \"x.c\" 2\nint b;\n#line 3 \"ENV/q.h\"\nint c;\n";
        assert_eq!(told(text, true), Ok(()));
    }

    #[test]
    fn paths_in_the_text() {
        for text in [
            "const char *a = \"ENV/p.h\";\n",
            "const char *a = R\"x(ENV/p.h)x\";\n",
            "const char *a = R\"x(\n# 1 \"ENV/p.h\"\n)x\";\n",
            "const char *a = u8\"ENV/p.h\";\n",
            "long a = sizeof(\"pybind11_fail(\" \"ENV/p.h\");\n",
            "long a = 1'000'0 + sizeof(\"ENV/p.h\");\n",
            "char a = '\"', b = f(\"ENV/p.h\");\n",
            "void f() { pybind11_fail(sizeof(\"ENV/p.h\")); }\n",
            "void f() { pybind11_fail([] { return \"ENV/p.h\"; }()); }\n",
            "void f() { pybind11_fail(a[\"ENV\"]); }\n",
            "#pragma comment(lib, \"ENV/p.lib\")\n",
            "# 1 \"p.h\"\nauto a = __builtin_FILE();\n",
            "# 1 \"p.h\"\nauto a = std::source_location::current();\n",
        ] {
            assert!(told(text, false).is_err(), "{text}");
        }
    }

    #[test]
    fn messages() {
        let texts = [
            "void f() { pybind11_fail(\"at \" \"ENV/p.h\" \":\" \"12\"); }\n",
            "((a) ? (void)0 : __assert_fail(\"a(\", \"ENV/p.h\", 3, f()));\n",
            "((a) ? (void)0 : __assert_fail(\"a\", __builtin_FILE(), 3, f()));\n",
        ];
        for text in texts {
            assert_eq!(told(text, false), Ok(()), "{text}");
            assert!(told(text, true).is_err(), "{text}");
        }
    }

    #[test]
    fn headers_of_the_system_may_ask_where_they_are() {
        let text = "# 1 \"/usr/include/c++/12/source_location\" 1 3\nauto a = __builtin_FILE();\n";
        assert_eq!(told(text, false), Ok(()));
    }

    #[test]
    fn pieces_of_a_path() {
        let place = Path::new("/tmp/pip-build-env-0a1b2c3d");
        assert!(in_debug_information_only(b"nothing", place));
        assert!(!in_debug_information_only(
            b"\x48\xb8v-0a1b2c\x48\xb8",
            place
        ));
    }
}
