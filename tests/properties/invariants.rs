//! What must hold of any bytes at all. Each function takes what a fuzzer made up and panics if it doesn't hold.
//!
//! `tests/fuzz` runs them on what it invents, the properties on what is kept of that, so that whatever was found once is
//! looked at by every test run.

use std::collections::{BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use objguard::claims::{self, Claim, Log};
use objguard::command::{
    Compile, Dialect, Driver, Link, Placement, SearchDir, Verdict, parse_with,
};
use objguard::evidence;
use objguard::plan::{self, Additions, Slot};
use objguard::record::Record;
use objguard::request::Key;
use objguard::{depfile, response};

/// Both drivers of both dialects.
pub const DRIVERS: [(Driver, Dialect); 4] = [
    (Driver::C, Dialect::Gcc),
    (Driver::Cxx, Dialect::Gcc),
    (Driver::C, Dialect::Clang),
    (Driver::Cxx, Dialect::Clang),
];

/// The request of all records here.
pub const KEY: Key = Key([6; 16]);

/// The record with this body, if it is one.
pub fn sealed(body: &[u8]) -> Option<Record> {
    let mut bytes = Record::default().write(&KEY)[..8].to_vec();
    let mut sum = blake3::Hasher::new();
    sum.update(&KEY.0).update(body);
    bytes.extend_from_slice(sum.finalize().as_bytes());
    bytes.extend_from_slice(body);
    Record::parse(&bytes, &KEY)
}

/// Bytes as a record, and as the body of one whose sum is right.
pub fn record(data: &[u8]) {
    let _ = Record::parse(data, &KEY);
    let Some(record) = sealed(data) else {
        return;
    };
    let written = record.write(&KEY);
    assert_eq!(Record::parse(&written, &KEY), Some(record), "it reads back");
    assert_eq!(Record::parse(&written, &Key([7; 16])), None, "it has a key");
    let at = data.iter().map(|b| usize::from(*b)).sum::<usize>() % written.len();
    let mut flipped = written;
    flipped[at] ^= 1 << (data.len() % 8);
    assert_eq!(Record::parse(&flipped, &KEY), None, "byte {at} counts");
}

/// Bytes as a log of claims, and as the lines of one with right sums.
pub fn claims(data: &[u8]) {
    judge(&Log::parse(data));
    let mut lines = String::new();
    for line in String::from_utf8_lossy(data).lines() {
        lines += &format!("{line} {}\n", claims::sum(line));
    }
    let log = Log::parse(lines.as_bytes());
    judge(&log);
    let written = claims::text(&log.entries);
    let again = Log::parse(written.as_bytes());
    assert_eq!(again.entries, log.entries, "it reads back");
    assert!(!again.damaged, "what is written is whole");
    if written.is_empty() {
        return;
    }
    let at = data.iter().map(|b| usize::from(*b)).sum::<usize>() % written.len();
    let mut flipped = written.into_bytes();
    flipped[at] ^= 1 << (data.len() % 8);
    let flipped = Log::parse(&flipped);
    assert!(
        flipped.damaged && flipped.lost.is_some(),
        "byte {at} counts"
    );
    let known = |entry| log.entries.contains(entry);
    assert!(flipped.entries.iter().all(known), "nothing is made up");
}

/// Asks everything that a log is asked.
fn judge(log: &Log) {
    let _ = (log.only_variant(), log.in_doubt(), log.lost_among_claims());
    let all: Vec<Claim> = log.claims().cloned().collect();
    for claim in &all {
        let _ = log.content(&claim.stamp);
        assert!(all.iter().any(|c| c.variant == claim.variant));
    }
    let asked = log.asked_for(1, &|_| true, &|_| true);
    let variants: HashSet<_> = all.iter().map(|c| c.variant).collect();
    assert!(asked.is_subset(&variants), "nobody asked for the others");
    let Some(last) = all.last() else { return };
    let object = || evidence::Object {
        claims: &all,
        flags: all
            .iter()
            .map(|c| {
                let flags: BTreeSet<Vec<u8>> = [vec![c.variant.0[0]], vec![c.key.0[0]]].into();
                (c.variant, flags)
            })
            .collect(),
        shortened: log.lost_before,
        lost: log.lost_among_claims(),
    };
    let verdicts = evidence::decide(&last.lineage, &[object(), object()], &[], &|_| true);
    for verdict in verdicts {
        if let evidence::Verdict::Take(variant) = verdict {
            assert!(variants.contains(&variant), "nobody claimed it");
        }
    }
}

/// Bytes as a depfile.
pub fn depfile(data: &[u8]) {
    let Some(names) = depfile::prerequisites(data) else {
        return;
    };
    let different: HashSet<_> = names.iter().map(|name| name.as_os_str()).collect();
    assert_eq!(different.len(), names.len(), "each once");
    assert!(names.iter().all(|name| !name.as_os_str().is_empty()));
    // Neither compiler lets one tell whether a backslash at the end protects the blank behind it.
    if names
        .iter()
        .any(|n| n.as_os_str().as_bytes().ends_with(b"\\"))
    {
        return;
    }
    let written = depfile_of(&names);
    assert_eq!(
        depfile::prerequisites(&written),
        Some(names),
        "it reads back: {}",
        written.escape_ascii()
    );
}

/// The depfile of `x.o` with these prerequisites, as compilers write it.
pub fn depfile_of(names: &[PathBuf]) -> Vec<u8> {
    let mut text = b"x.o:".to_vec();
    for name in names {
        text.extend_from_slice(b" \\\n ");
        let mut backslashes = 0;
        for &byte in name.as_os_str().as_bytes() {
            match byte {
                b' ' | b'\t' => text.resize(text.len() + backslashes + 1, b'\\'),
                b'#' => text.push(b'\\'),
                b'$' => text.push(b'$'),
                _ => {}
            }
            backslashes = if byte == b'\\' { backslashes + 1 } else { 0 };
            text.push(byte);
        }
    }
    text.push(b'\n');
    text
}

/// Bytes as a response file.
pub fn response(data: &[u8]) {
    let expand = |text: &[u8]| {
        response::expand(&["@file".into()], &|path| match path.to_str() {
            Some("file") => Ok(text.to_vec()),
            _ => Err(io::ErrorKind::NotFound.into()),
        })
    };
    let Ok(words) = expand(data) else { return };
    assert!(words.expanded());
    let quoted = response::quote(&words.args);
    let again = expand(&quoted);
    let odd = |word: &OsString| word.as_bytes().iter().any(|b| matches!(b, 0 | 0x0b | 0x0c));
    assert!(!words.args.iter().any(odd), "these are refused");
    assert_eq!(again.map(|w| w.args), Ok(words.args), "it reads back");
}

/// Bytes as a command line: words a line each; behind a byte 0x1e the files `@0`, `@1` and so on.
pub fn command_line(data: &[u8]) {
    let mut parts = data.split(|b| *b == 0x1e);
    let args: Vec<OsString> = parts
        .next()
        .unwrap_or_default()
        .split(|b| *b == b'\n')
        .filter(|word| !word.contains(&0))
        .map(|word| OsString::from_vec(word.to_vec()))
        .collect();
    let files: Vec<&[u8]> = parts.collect();
    let read = |path: &Path| {
        let number = path.to_str().and_then(|p| p.parse::<usize>().ok());
        match number.and_then(|n| files.get(n)) {
            Some(text) => Ok(text.to_vec()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    };
    for (driver, dialect) in DRIVERS {
        line(&args, driver, dialect, &read);
    }
}

/// What must hold of the verdict on any line, and of the commands that are planned from it.
pub fn line(
    args: &[OsString],
    driver: Driver,
    dialect: Dialect,
    read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
) {
    let verdict = parse_with(args, driver, dialect, read);
    let parse = |args: &[OsString]| {
        parse_with(args, driver, dialect, &|_| {
            Err(io::ErrorKind::NotFound.into())
        })
    };
    match &verdict {
        Verdict::PassThrough(reason) => {
            let said = reason.to_string();
            let line = !said.is_empty() && !said.contains('\n');
            assert!(line, "one line is expected: {said:?}");
        }
        Verdict::Compile(compile) => {
            compile_is_sound(compile);
            compile_reads_back(compile, &parse);
        }
        Verdict::Link(link) => {
            link_is_sound(link);
            link_reads_back(link, &parse);
        }
    }
    in_a_response_file(args, &verdict, driver, dialect, read);
}

/// The same words out of a response file are the same command.
fn in_a_response_file(
    args: &[OsString],
    verdict: &Verdict,
    driver: Driver,
    dialect: Dialect,
    read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
) {
    let odd = |word: &OsString| {
        let bytes = word.as_bytes();
        bytes.is_empty() || bytes.iter().any(|b| matches!(b, 0x0b | 0x0c))
    };
    if args.iter().any(odd) {
        return;
    }
    let text = response::quote(args);
    let inside = parse_with(&["@all".into()], driver, dialect, &|path| {
        if path == Path::new("all") {
            Ok(text.clone())
        } else {
            read(path)
        }
    });
    let words = |verdict: &Verdict| match verdict {
        Verdict::Compile(compile) => Some(compile.words.args.clone()),
        Verdict::Link(link) => Some(link.words.args.clone()),
        Verdict::PassThrough(_) => None,
    };
    // Nested one deeper, a file may be one too many.
    let files = args.iter().filter(|w| w.as_bytes().first() == Some(&b'@'));
    if files.count() == 0 {
        assert_eq!(words(&inside), words(verdict), "in a response file");
    }
}

const SCRATCH: &str = "/objguard scratch/1";
const COLOUR: &str = "-fdiagnostics-color=always";

fn compile_is_sound(compile: &Compile) {
    let args = &compile.words.args;
    assert!(compile.source < compile.append_at || compile.append_at < args.len());
    assert!(compile.source < args.len() && compile.append_at <= args.len());
    assert!(!compile.output.as_os_str().is_empty());
    assert_ne!(compile.output, compile.source_path());
    let increasing = |list: &[usize]| {
        list.windows(2).all(|pair| pair[0] < pair[1]) && list.iter().all(|at| *at < args.len())
    };
    assert!(increasing(&compile.depfile_words));
    for range in [
        compile.output_words.as_ref(),
        compile.depfile.as_ref().and_then(|d| d.file_words.as_ref()),
    ]
    .into_iter()
    .flatten()
    {
        assert!(range.start < range.end && range.end <= compile.append_at);
        assert!(!range.contains(&compile.source));
    }
    if let Some(request) = &compile.depfile {
        assert!(increasing(&request.words));
        let among = |at: &usize| compile.depfile_words.contains(at);
        assert!(request.words.iter().all(among));
    }
    // An empty one is the user's, as a value of an option.
    let empty = OsStr::new("");
    assert!(!compile.flag_words().contains(&empty) || args.iter().any(|word| word == empty));
}

/// A planned compile differs from the user's in the words that must, and means the same.
fn compile_reads_back(compile: &Compile, parse: &dyn Fn(&[OsString]) -> Verdict) {
    if matches!(compile.placement, Placement::InPlace(_)) {
        return;
    }
    let object = PathBuf::from(format!("{SCRATCH}/x.o"));
    let dependencies = PathBuf::from(format!("{SCRATCH}/x.d"));
    for depfile in [None, Some(dependencies.as_path())] {
        if depfile.is_some() && !compile.depfile_allowed {
            continue;
        }
        for (colour, names) in [(false, false), (true, false), (true, true)] {
            let planned = plan::compile(
                compile,
                Additions {
                    object: object.as_os_str().as_bytes(),
                    depfile,
                    colour,
                    names,
                },
            );
            let mut gone = compile.output_words.clone().unwrap_or(0..0);
            let added = added(&compile.words.args, &mut gone, &planned);
            let known = |word: &OsString| {
                word == COLOUR
                    || word == object.as_os_str()
                    || depfile.is_some_and(|d| word == d.as_os_str())
                    || word == compile.output.as_os_str()
                    || [&b"-o"[..], b"-MD", b"-MF", b"-MQ"].contains(&word.as_bytes())
            };
            if names {
                continue;
            }
            assert!(added.iter().all(known), "added: {added:?}");
            let Verdict::Compile(again) = parse(&planned) else {
                panic!("no compile any more: {planned:?}");
            };
            assert_eq!(again.output, object, "{planned:?}");
            assert_eq!(again.source_path(), compile.source_path(), "{planned:?}");
            assert_eq!(again.stage, compile.stage, "{planned:?}");
            assert_eq!(again.language, compile.language, "{planned:?}");
            let searched = |c: &Compile| {
                let words = |d: &SearchDir| c.words.args[d.words.clone()].to_vec();
                let dirs = c.search.iter();
                dirs.map(|d| (d.kind, d.dir.clone(), words(d)))
                    .collect::<Vec<_>>()
            };
            assert_eq!(searched(&again), searched(compile));
            assert_eq!(again.forced_includes, compile.forced_includes);
            assert_eq!(again.probe_flags, compile.probe_flags);
            assert_eq!(again.reuse, compile.reuse, "{planned:?}");
            assert_eq!(
                (again.native, again.lto, again.debug),
                (compile.native, compile.lto, compile.debug)
            );
            let flags: Vec<&OsStr> = again
                .flag_words()
                .into_iter()
                .filter(|word| *word != COLOUR)
                .collect();
            let before: Vec<&OsStr> = compile
                .flag_words()
                .into_iter()
                .filter(|word| *word != COLOUR)
                .collect();
            assert_eq!(flags, before, "{planned:?}");
            if let Some(ours) = depfile {
                let request = again.depfile.expect("one was asked for");
                assert_eq!(request.file, ours, "{planned:?}");
                // The user's own depfile names the user's own object.
                let own = compile.depfile.is_some();
                assert!(request.has_target || !own, "{planned:?}");
                let system = compile.depfile.as_ref().is_none_or(|d| d.system);
                assert_eq!(request.system, system, "{planned:?}");
            }
        }
    }
}

/// The words of `planned` that aren't the user's. Those must all be there, in order, but for the ones that are gone.
fn added(
    args: &[OsString],
    gone: &mut std::ops::Range<usize>,
    planned: &[OsString],
) -> Vec<OsString> {
    let mut left = args
        .iter()
        .enumerate()
        .filter(|(at, _)| !gone.contains(at))
        .map(|(_, word)| word)
        .peekable();
    let mut added = Vec::new();
    for word in planned {
        if left.next_if(|next| *next == word).is_none() {
            added.push(word.clone());
        }
    }
    let lost: Vec<_> = left.collect();
    assert!(lost.is_empty(), "lost: {lost:?} in {planned:?}");
    added
}

fn link_is_sound(link: &Link) {
    let args = &link.words.args;
    assert!(link.append_at <= args.len());
    assert!(!link.output.as_os_str().is_empty());
    if let Some(range) = &link.output_words {
        assert!(range.start < range.end && range.end <= link.append_at);
    }
    for input in &link.inputs {
        assert!(input.word < args.len());
        let word = args[input.word].as_bytes();
        match input.piece {
            None => assert!(word.ends_with(input.path.as_os_str().as_bytes())),
            Some(piece) => {
                let piece = word.split(|b| *b == b',').nth(piece + 1).expect("a piece");
                assert!(piece.ends_with(input.path.as_os_str().as_bytes()));
            }
        }
    }
    for library in &link.libraries {
        assert!(library.word < args.len());
    }
}

/// A planned link differs from the user's in the words that must, and means the same.
fn link_reads_back(link: &Link, parse: &dyn Fn(&[OsString]) -> Verdict) {
    if matches!(link.placement, Placement::InPlace(_)) {
        return;
    }
    let output = PathBuf::from(format!("{SCRATCH}/program"));
    let planned = plan::link(link, Some(&output), &[], false);
    let mut gone = link.output_words.clone().unwrap_or(0..0);
    let words = added(&link.words.args, &mut gone, &planned);
    assert_eq!(words, ["-o".into(), output.clone().into_os_string()]);
    let mut instead = Vec::new();
    let mut paths: Vec<PathBuf> = Vec::new();
    for (n, input) in link.inputs.iter().enumerate() {
        // What ends in a slash is no file.
        let folder = input.path.as_os_str().as_bytes().ends_with(b"/");
        let path = match input.path.file_name() {
            Some(name) if !folder => Path::new(&format!("{SCRATCH}/{n}")).join(name),
            _ => input.path.clone(),
        };
        paths.push(path.clone());
        instead.push((Slot::word(input.word, input.piece), path));
    }
    let planned = plan::link(link, Some(&output), &instead, true);
    let Verdict::Link(again) = parse(&planned) else {
        panic!("no link any more: {planned:?}");
    };
    assert_eq!(again.output, output, "{planned:?}");
    // A piece of `-Wl,` that names the output is taken for the value of an option, and has no longer its name.
    let inputs: Vec<PathBuf> = again
        .inputs
        .iter()
        .map(|input| input.path.clone())
        .filter(|path| *path != link.output)
        .collect();
    assert_eq!(inputs, paths, "{planned:?}");
    let names =
        |link: &Link| -> Vec<OsString> { link.libraries.iter().map(|l| l.name.clone()).collect() };
    assert_eq!(names(&again), names(link), "{planned:?}");
    assert_eq!(
        (again.sources, again.relocatable, again.lto),
        (link.sources, link.relocatable, link.lto),
        "{planned:?}"
    );
    assert_eq!(again.library_dirs, link.library_dirs);
}
