//! Says what differs between the two sides of a case, and what objguard made of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{Phase, Place, Seen, Side, Step};
use crate::snapshot::{Entry, Kind, Tree};
use crate::table::{Case, Decision, Weaker};

/// Something that the wrapper's caller would notice.
#[derive(Clone, Debug)]
pub struct Difference {
    pub phase: Phase,
    pub what: String,
}

/// All differences of a case, in the order of the phases.
pub fn compare(case: &Case, place: &Place, plain: &Side, wrapped: &Side) -> Vec<Difference> {
    let mut differences = Vec::new();
    for (plain_seen, wrapped_seen) in common_phases(plain, wrapped) {
        let mut found = Vec::new();
        for (index, (one, other)) in plain_seen.steps.iter().zip(&wrapped_seen.steps).enumerate() {
            compare_step(case, place, index, one, other, &mut found);
        }
        compare_tree(
            case,
            place,
            &plain_seen.tree,
            &wrapped_seen.tree,
            &mut found,
        );
        compare_order(plain, wrapped, plain_seen, wrapped_seen, &mut found);
        for stray in &wrapped_seen.strays {
            found.push(format!("left behind: {}", stray.display()));
        }
        differences.extend(found.into_iter().map(|what| Difference {
            phase: plain_seen.phase,
            what,
        }));
    }
    differences
}

/// The phases that both sides ran. One is left out by a side that wrote no side files, which shows as a difference of its own.
fn common_phases<'a>(
    plain: &'a Side,
    wrapped: &'a Side,
) -> impl Iterator<Item = (&'a Seen, &'a Seen)> {
    plain.phases.iter().filter_map(|one| {
        let other = wrapped
            .phases
            .iter()
            .find(|other| other.phase == one.phase)?;
        Some((one, other))
    })
}

/// Whether the change of an input shows in anything: if not, the phase proves nothing. What fails is not expected to.
pub fn change_shows(plain: &Side) -> bool {
    let of = |phase| plain.phases.iter().find(|seen| seen.phase == phase);
    let (Some(before), Some(after)) = (of(Phase::OutputsDeleted), of(Phase::InputChanged)) else {
        return false;
    };
    if after.steps.iter().any(|step| step.status != "exit 0") {
        return true;
    }
    let told = |step: &Step| {
        (
            step.status.clone(),
            step.stdout.clone(),
            step.stderr.clone(),
        )
    };
    let outputs = |seen: &Seen| -> Vec<(PathBuf, Kind)> {
        let written: BTreeSet<&PathBuf> = seen.steps.iter().flat_map(|step| &step.wrote).collect();
        let entries = seen.tree.iter().filter(|(path, _)| written.contains(path));
        entries
            .map(|(path, entry)| (path.clone(), entry.kind.clone()))
            .collect()
    };
    !before
        .steps
        .iter()
        .map(told)
        .eq(after.steps.iter().map(told))
        || outputs(before) != outputs(after)
}

/// The `differs` lines of which nothing was needed.
pub fn needless<'a>(case: &'a Case, plain: &Side, wrapped: &Side) -> Vec<&'a str> {
    let differs = |name: &str| {
        let used = |file: &PathBuf| crate::table::matches(name, &file.to_string_lossy());
        common_phases(plain, wrapped).any(|(one, other)| {
            one.steps.iter().zip(&other.steps).any(|(one, other)| {
                (name == "stdout" && one.stdout != other.stdout)
                    || (name == "stderr" && one.stderr != other.stderr)
            }) || one.tree.iter().any(|(path, entry)| {
                used(path)
                    && other
                        .tree
                        .get(path)
                        .is_some_and(|other| other.kind != entry.kind)
            })
        })
    };
    case.differs
        .iter()
        .map(|line| line.name.as_str())
        .filter(|name| !differs(name))
        .collect()
}

/// What objguard made of the case, seen from outside: were the files that the plain compiler wrote again in the second run left
/// alone, and is there a state folder?
pub fn decision(plain: &Side, wrapped: &Side) -> Decision {
    let again = |side: &Side| {
        let seen = side.phases.iter().find(|seen| seen.phase == Phase::Again);
        seen.map(|seen| seen.steps.clone()).unwrap_or_default()
    };
    let last = wrapped
        .phases
        .iter()
        .find(|seen| seen.phase == Phase::Again);
    let there = last.map(|seen| &seen.tree).unwrap_or(&wrapped.fixture);
    let mut skipped = false;
    for (one, other) in again(plain).iter().zip(again(wrapped)) {
        skipped |= one
            .wrote
            .iter()
            .any(|path| there.contains_key(path) && !other.wrote.contains(path));
    }
    if skipped {
        Decision::Skip
    } else if wrapped.phases.iter().any(|seen| !seen.state.is_empty()) {
        Decision::Compile
    } else {
        Decision::AsWritten
    }
}

fn compare_step(
    case: &Case,
    place: &Place,
    index: usize,
    plain: &Step,
    wrapped: &Step,
    found: &mut Vec<String>,
) {
    let line = &case.run[index];
    if plain.status != wrapped.status {
        found.push(format!(
            "`{line}`: {}, not {}",
            wrapped.status, plain.status
        ));
    }
    let streams = [
        ("stdout", &plain.stdout, &wrapped.stdout),
        ("stderr", &plain.stderr, &wrapped.stderr),
    ];
    for (name, one, other) in streams {
        let (one, other) = (without_random(one, place), without_random(other, place));
        let (one, other) = match case.weaker(name).map(|differs| differs.how) {
            None => (one, other),
            Some(Weaker::Numbers) => (numbers(&one), numbers(&other)),
            Some(Weaker::Addresses) => (addresses(&one), addresses(&other)),
            Some(Weaker::Lines) => (lines(&one), lines(&other)),
            Some(Weaker::Exists | Weaker::Symbols) => continue,
        };
        if one != other {
            found.push(format!(
                "`{line}`: {name}\n{}",
                first_difference(&one, &other)
            ));
        }
    }
}

fn compare_tree(case: &Case, place: &Place, plain: &Tree, wrapped: &Tree, found: &mut Vec<String>) {
    for (path, one) in plain {
        let name = path.display();
        let Some(other) = wrapped.get(path) else {
            found.push(format!("`{name}`: missing"));
            continue;
        };
        if one.mode != other.mode {
            found.push(format!(
                "`{name}`: mode {:o}, not {:o}",
                other.mode, one.mode
            ));
        }
        if let Some(what) = compare_content(case, place, path, one, other) {
            found.push(format!("`{name}`: {what}"));
        }
    }
    for path in wrapped.keys().filter(|path| !plain.contains_key(*path)) {
        found.push(format!(
            "`{}`: not there with the plain compiler",
            path.display()
        ));
    }
    let (one, other) = (shared_inodes(plain), shared_inodes(wrapped));
    if one != other {
        found.push(format!("hard links {other:?}, not {one:?}"));
    }
}

fn compare_content(
    case: &Case,
    place: &Place,
    path: &Path,
    one: &Entry,
    other: &Entry,
) -> Option<String> {
    if one.kind == other.kind {
        return None;
    }
    let (Kind::File(one), Kind::File(other)) = (&one.kind, &other.kind) else {
        return Some(format!(
            "{}, not {}",
            described(&other.kind),
            described(&one.kind)
        ));
    };
    let (one, other) = match case.weaker(&path.to_string_lossy()).map(|line| line.how) {
        None => (one.clone(), other.clone()),
        Some(Weaker::Exists) => return None,
        Some(Weaker::Symbols) => (symbols(one, place), symbols(other, place)),
        Some(Weaker::Numbers) => (numbers(one), numbers(other)),
        Some(Weaker::Addresses) => (addresses(one), addresses(other)),
        Some(Weaker::Lines) => (lines(one), lines(other)),
    };
    (one != other).then(|| {
        format!(
            "{} bytes, not the same {}\n{}",
            other.len(),
            one.len(),
            first_difference(&one, &other)
        )
    })
}

/// make compares times: nothing may look older than an input, or than the product of an earlier command, if it doesn't with the
/// plain compiler; and what the plain compiler leaves alone keeps its time.
fn compare_order(
    plain: &Side,
    wrapped: &Side,
    plain_seen: &Seen,
    wrapped_seen: &Seen,
    found: &mut Vec<String>,
) {
    let both = |path: &Path| {
        let (one, other) = (plain_seen.tree.get(path)?, wrapped_seen.tree.get(path)?);
        (other.kind != Kind::Folder).then_some((one, other))
    };
    let all = || plain.phases.iter().chain(&wrapped.phases);
    let written: BTreeSet<&PathBuf> = all()
        .flat_map(|seen| &seen.steps)
        .flat_map(|step| &step.wrote)
        .collect();
    for (input, before) in &plain.fixture {
        let Some((plain_input, wrapped_input)) = both(input) else {
            continue;
        };
        let kept = |entry: &Entry, before: &Entry| entry.modified == before.modified;
        let untouched = kept(plain_input, before);
        if untouched != kept(wrapped_input, &wrapped.fixture[input]) {
            let verb = match untouched {
                true => "got a new time",
                false => "kept its time",
            };
            found.push(format!("`{}`: {verb}", input.display()));
        }
        // The default change touches files that not every case reads, and what isn't read makes nothing old.
        if plain.default_change && !change_shows(plain) {
            continue;
        }
        // An output that was there before the first run.
        if written.contains(input) {
            continue;
        }
        for output in plain_seen.tree.keys().filter(|path| written.contains(path)) {
            let Some((plain_output, wrapped_output)) = both(output) else {
                continue;
            };
            let expected = plain_output.modified < plain_input.modified;
            if expected != (wrapped_output.modified < wrapped_input.modified) {
                let now = if expected { "not older" } else { "older" };
                found.push(format!(
                    "`{}`: {now} than `{}`",
                    output.display(),
                    input.display()
                ));
            }
        }
    }
    compare_steps_order(plain_seen, wrapped_seen, found);
}

/// What an earlier command made for a later one, an object for a link, must not be younger than what the later one made of it.
fn compare_steps_order(plain: &Seen, wrapped: &Seen, found: &mut Vec<String>) {
    let steps = plain.steps.iter().enumerate();
    let made: BTreeMap<&PathBuf, usize> = steps
        .flat_map(|(index, step)| step.wrote.iter().map(move |path| (path, index)))
        .collect();
    let is_input = |path: &Path| path.extension().is_some_and(|end| end == "o" || end == "a");
    for (early, early_step) in made.iter().filter(|(path, _)| is_input(path)) {
        for (late, late_step) in made.iter().filter(|(_, step)| *step > early_step) {
            let time = |path: &PathBuf| wrapped.tree.get(path).map(|entry| entry.modified);
            let (Some(early_time), Some(late_time)) = (time(early), time(late)) else {
                continue;
            };
            if late_time < early_time {
                found.push(format!(
                    "`{}` of command {}: older than `{}` of command {}",
                    late.display(),
                    late_step + 1,
                    early.display(),
                    early_step + 1
                ));
            }
        }
    }
}

/// The groups of names that are one file.
fn shared_inodes(tree: &Tree) -> Vec<Vec<&PathBuf>> {
    let mut groups: BTreeMap<u64, Vec<&PathBuf>> = BTreeMap::new();
    for (path, entry) in tree {
        if entry.kind != Kind::Folder {
            groups.entry(entry.inode).or_default().push(path);
        }
    }
    let mut groups: Vec<_> = groups
        .into_values()
        .filter(|group| group.len() > 1)
        .collect();
    groups.sort();
    groups
}

fn described(kind: &Kind) -> String {
    match kind {
        Kind::File(bytes) => format!("a file of {} bytes", bytes.len()),
        Kind::Folder => "a folder".to_owned(),
        Kind::Link(target) => format!("a symbolic link to `{}`", target.display()),
        Kind::Fifo => "a FIFO".to_owned(),
        Kind::Other => "a special file".to_owned(),
    }
}

/// Replaces the random part of the names that the compilers give their own temporary files: `ccXXXXXX` (gcc) and `-xxxxxx.` (clang)
/// in `$TMPDIR`.
fn without_random(text: &[u8], place: &Place) -> Vec<u8> {
    let folder = place.root.join("tmp").display().to_string().into_bytes();
    let mut result = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.windows(folder.len()).position(|part| part == folder) {
        let (head, tail) = rest.split_at(at + folder.len());
        result.extend_from_slice(head);
        let end = tail
            .iter()
            .position(|byte| !byte.is_ascii_alphanumeric() && !b"/-_".contains(byte))
            .unwrap_or(tail.len());
        let name = &tail[..end];
        if name.starts_with(b"/cc") && name.len() >= 9 {
            result.extend_from_slice(b"/ccXXXXXX");
            result.extend_from_slice(&name[9..]);
        } else if let Some(dash) = name.iter().rposition(|&byte| byte == b'-') {
            result.extend_from_slice(&name[..dash]);
            result.extend_from_slice(b"-XXXXXX");
        } else {
            result.extend_from_slice(name);
        }
        rest = &tail[end..];
    }
    result.extend_from_slice(rest);
    result
}

/// The text with each run of digits, dots and spaces replaced by one `0`.
fn numbers(text: &[u8]) -> Vec<u8> {
    let mut result: Vec<u8> = Vec::with_capacity(text.len());
    for &byte in text {
        if byte.is_ascii_digit() || byte == b'.' || byte == b' ' {
            if result.last() != Some(&b'0') {
                result.push(b'0');
            }
        } else {
            result.push(byte);
        }
    }
    result
}

/// The text with the digits of each `0x…` left out.
fn addresses(text: &[u8]) -> Vec<u8> {
    let mut result: Vec<u8> = Vec::with_capacity(text.len());
    let mut inside = false;
    for &byte in text {
        inside = if inside {
            // gcc prints `0x0x7f…` in one place.
            byte.is_ascii_hexdigit() || byte == b'x'
        } else {
            byte == b'x' && result.last() == Some(&b'0')
        };
        if !inside {
            result.push(byte);
        }
    }
    result
}

fn lines(text: &[u8]) -> Vec<u8> {
    let mut lines: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
    lines.sort();
    lines.join(&b'\n')
}

/// The names of the symbols of an object, without the random part that LTO gives some.
fn symbols(bytes: &[u8], place: &Place) -> Vec<u8> {
    let path = place.root.join("symbols.o");
    let listed = fs::write(&path, bytes)
        .and_then(|()| Command::new("nm").arg("-aj").arg(&path).output())
        .map(|output| output.stdout)
        .unwrap_or_else(|error| error.to_string().into_bytes());
    let _ = fs::remove_file(path);
    lines(&listed)
}

/// Where two texts part, with what follows.
fn first_difference(one: &[u8], other: &[u8]) -> String {
    let at = one
        .iter()
        .zip(other)
        .position(|(one, other)| one != other)
        .unwrap_or(one.len().min(other.len()));
    let start = one[..at]
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |at| at + 1);
    let start = start.max(at.saturating_sub(60));
    let excerpt = |text: &[u8]| {
        let end = text.len().min(at + 60);
        text[start.min(end)..end].escape_ascii().to_string()
    };
    format!(
        "      from byte {at}\n      plain:   {}\n      wrapper: {}",
        excerpt(one),
        excerpt(other)
    )
}
