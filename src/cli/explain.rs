//! `objguard explain OBJECT`: what variants exist, what each was made from, who claimed them, the last decision, and whether
//! the next identical compile would be skipped.

mod next;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::builders::claimant;
use super::{cannot, print, text};
use crate::claims::{Claim, Content, How, Log};
use crate::inputs;
use crate::lineage::{self, Lineage};
use crate::process::Ended;
use crate::record::Record;
use crate::request::{Key, Variant};
use crate::stamp::Stamp;
use crate::state::{Folder, ObjectState};

/// Claims of one variant that are listed.
const LISTED_CLAIMS: usize = 4;

/// Inputs of one variant that are listed unless all are asked for.
const LISTED_INPUTS: usize = 12;

pub(super) fn command() -> Command {
    Command::new("explain")
        .about("Tell what is known of an object, and whether its next compile would be skipped")
        .arg(
            Arg::new("object")
                .value_name("OBJECT")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("The path of an object that objguard compiled"),
        )
        .arg(
            Arg::new("all")
                .long("all")
                .action(ArgAction::SetTrue)
                .help("List every input, those of the system too"),
        )
}

pub(super) fn main(given: &ArgMatches) -> anyhow::Result<Ended> {
    let object = given.get_one::<PathBuf>("object").expect("clap demands it");
    let known = Known::of(object)?;
    print(&known.show(given.get_flag("all")))?;
    Ok(Ended::Code(0))
}

/// An object and what tells of it.
struct Known {
    object: PathBuf,
    state: ObjectState,
    log: Log,
    at_path: AtPath,
}

/// What is at the object's path.
enum AtPath {
    Nothing,
    Variant(Variant),
    /// Something that objguard didn't put there.
    Foreign,
}

impl Known {
    fn of(object: &Path) -> anyhow::Result<Known> {
        let shown = text::path(object);
        let path = match fs::symlink_metadata(object) {
            Ok(meta) if meta.is_symlink() => {
                fs::canonicalize(object).map_err(cannot("follow", object))?
            }
            Ok(meta) if meta.is_dir() => {
                bail!("cannot explain `{shown}`: it is a folder; name an object")
            }
            _ => object.to_owned(),
        };
        let Some(name) = path.file_name() else {
            bail!("cannot explain `{shown}`: it names no file");
        };
        let dir = path.parent().unwrap_or(Path::new(""));
        let folder = match Folder::open(dir) {
            Ok(Some(folder)) => folder,
            Ok(None) => bail!(
                "cannot explain `{shown}`: there is no record of it, nor of any object in its folder; compile it with objguard first"
            ),
            Err(distrust) => bail!("cannot explain `{shown}`: {distrust}"),
        };
        let state = folder
            .object(name)
            .map_err(|e| anyhow::anyhow!("cannot explain `{shown}`: {e}"))?;
        let log = Log::read(&state.claims()).map_err(cannot("read", &state.claims()))?;
        if log.entries.is_empty() {
            let near = folder.objects().unwrap_or_default();
            bail!(
                "cannot explain `{shown}`: there is no record of it{}",
                others(&near)
            );
        }
        let at_path = at_path(&path, &log);
        Ok(Known {
            object: path,
            state,
            log,
            at_path,
        })
    }

    /// The variants, the one that was asked for last first.
    fn variants(&self) -> Vec<(Variant, Key)> {
        let mut seen = BTreeSet::new();
        let claims = self.log.claims().rev().map(|c| (c.variant, c.key));
        let publishes = self.log.publishes().rev().map(|p| (p.variant, p.key));
        claims
            .chain(publishes)
            .filter(|(v, _)| seen.insert(*v))
            .collect()
    }

    fn show(&self, all: bool) -> String {
        let variants = self.variants();
        let mut rows = vec![
            row("object", text::path(&self.object)),
            row("state", text::path(self.state.path())),
            row("at path", self.show_path()),
            row("variants", variants.len().to_string()),
            row("last", self.last_decision()),
        ];
        if self.log.damaged {
            rows.push(row(
                "note",
                "some lines of its log can't be read: more may have happened".into(),
            ));
        }
        let mut out = text::table(&rows, &[]);
        let records: Vec<Option<Record>> = variants
            .iter()
            .map(|(variant, key)| {
                Record::read(&self.state.record(key)).filter(|r| r.variant == *variant)
            })
            .collect();
        for ((variant, key), record) in variants.iter().zip(&records) {
            out.push_str(&format!("\nvariant {}", text::short(&variant.short())));
            out.push_str(match self.place(variant) {
                Place::Path => ", at the path\n",
                Place::Kept => ", kept\n",
                Place::Nowhere => ", no longer there\n",
            });
            let mut rows = match record {
                Some(record) => self.made(record, all),
                None => vec![row(
                    "record",
                    "none: a later compile of the same request took its place".into(),
                )],
            };
            rows.extend(self.claimed(variant));
            rows.push(row("next", self.next(variant, key, record.as_ref())));
            out.push_str(&indented(&text::table(&rows, &[])));
        }
        out.push_str(&differences(&variants, &records));
        out
    }

    fn show_path(&self) -> String {
        let size = fs::metadata(&self.object).map_or(0, |m| m.len());
        match &self.at_path {
            AtPath::Nothing => "nothing".into(),
            AtPath::Variant(v) => {
                format!("variant {}, {}", text::short(&v.short()), text::size(size))
            }
            AtPath::Foreign => format!(
                "{} that objguard didn't write: a link takes it as it is",
                text::size(size)
            ),
        }
    }

    fn place(&self, variant: &Variant) -> Place {
        let hash = |v: &Variant| self.log.newest_publish(v).map(|p| p.hash);
        match &self.at_path {
            AtPath::Variant(v)
                if v == variant || (hash(v).is_some() && hash(v) == hash(variant)) =>
            {
                return Place::Path;
            }
            _ => {}
        }
        let kept = fs::symlink_metadata(self.state.kept(variant));
        match (kept, self.log.newest_publish(variant)) {
            (Ok(meta), Some(publish)) if meta.is_file() && meta.size() == publish.stamp.size => {
                Place::Kept
            }
            _ => Place::Nowhere,
        }
    }

    fn last_decision(&self) -> String {
        let Some(claim) = self.log.claims().last() else {
            return "published, and killed before it was claimed".into();
        };
        let variant = claim.variant.short();
        let id = text::short(&variant);
        let record = Record::read(&self.state.record(&claim.key));
        let why = record.filter(|r| r.variant == claim.variant).map(|r| r.why);
        let what = match (claim.how, why) {
            (How::Compiled, Some(why)) => {
                format!("compiled variant {id}: {}", text::one_line(&why))
            }
            (How::Compiled, None) => format!("compiled variant {id}"),
            (How::Skipped, _) => format!(
                "skipped: variant {id} was at the path, and nothing it is made from had changed"
            ),
            (How::Republished, _) => {
                format!("skipped: variant {id} was kept, and was put back at the path")
            }
        };
        format!("{what} ({})", when(claim))
    }

    fn made(&self, record: &Record, all: bool) -> Vec<Vec<String>> {
        let mut rows = Vec::new();
        if !record.source.as_os_str().is_empty() {
            rows.push(row("source", text::path(&record.source)));
        }
        if !record.maker.command.is_empty() {
            let command = text::words(&record.maker.command);
            rows.push(row("compiler", format!("{command}: {}", record.maker.name)));
        }
        if !record.flags.is_empty() {
            rows.push(row("words", text::words(&record.flags)));
        }
        if !record.directory.as_os_str().is_empty() {
            rows.push(row("in", text::path(&record.directory)));
        }
        let took = text::duration(record.took);
        let ago = text::ago(text::since_ms(record.when));
        rows.push(row(
            "made",
            format!("{ago}, in {took}: {}", text::one_line(&record.why)),
        ));
        rows.extend(made_from(record, all));
        for side in &record.sides {
            rows.push(row("beside it", text::path(&side.path)));
        }
        if !record.stderr.is_empty() {
            let lines = record
                .stderr
                .split(|b| *b == b'\n')
                .filter(|l| !l.is_empty())
                .count();
            rows.push(row(
                "said",
                format!(
                    "{} on stderr, shown again on a skip",
                    text::count(lines, "line")
                ),
            ));
        }
        rows
    }

    fn claimed(&self, variant: &Variant) -> Vec<Vec<String>> {
        let claims: Vec<&Claim> = self
            .log
            .claims()
            .filter(|c| c.variant == *variant)
            .collect();
        let mut rows: Vec<Vec<String>> = claims
            .iter()
            .rev()
            .take(LISTED_CLAIMS)
            .map(|claim| {
                let how = match claim.how {
                    How::Compiled => "compiled",
                    How::Skipped | How::Republished => "skipped",
                };
                row(
                    "claimed",
                    format!("{how} for {}, {}", asker(&claim.lineage), when(claim)),
                )
            })
            .collect();
        match claims.len() {
            0 => rows.push(row("claimed", "by nobody".into())),
            n if n > LISTED_CLAIMS => {
                rows.push(row("", format!("and {} times before", n - LISTED_CLAIMS)))
            }
            _ => {}
        }
        rows
    }

    fn next(&self, variant: &Variant, key: &Key, record: Option<&Record>) -> String {
        let Some(record) = record else {
            let newer = Record::read(&self.state.record(key)).is_some();
            return if newer {
                "see the variant that took its place".into()
            } else {
                "would compile: no compile with these words, variables and this compiler is on record".into()
            };
        };
        match next::dirty(record, matches!(self.place(variant), Place::Nowhere)) {
            None => "would be skipped".into(),
            Some(why) => format!("would compile: {}", text::one_line(&why)),
        }
    }
}

enum Place {
    Path,
    Kept,
    Nowhere,
}

fn row(name: &str, value: String) -> Vec<String> {
    vec![name.to_owned(), value]
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

fn at_path(path: &Path, log: &Log) -> AtPath {
    let Some(meta) = fs::symlink_metadata(path).ok().filter(|m| m.is_file()) else {
        return AtPath::Nothing;
    };
    match log.content(&Stamp::from(&meta)) {
        Content::Is(variant) => AtPath::Variant(variant),
        Content::Foreign => AtPath::Foreign,
        Content::OneOf(candidates) => inputs::hash_file(path)
            .ok()
            .and_then(|hash| candidates.into_iter().find(|(_, h)| *h == hash))
            .map_or(AtPath::Foreign, |(variant, _)| AtPath::Variant(variant)),
    }
}

/// Who asked: the thread that ran commands in turn, if one is known.
fn asker(lineage: &Lineage) -> String {
    let here = lineage::read().ok();
    let Some(step) = here.and_then(|here| claimant(lineage, &here)) else {
        return "an unknown process".into();
    };
    let alive = lineage::alive(step.pid, step.start);
    let name = lineage::name(step.pid).filter(|_| alive);
    let thread = if step.thread == 0 || step.thread == step.pid {
        String::new()
    } else {
        format!(" thread {}", step.thread)
    };
    match name {
        Some(name) => format!("`{name}` process {}{thread}", step.pid),
        None => format!("process {}{thread} (ended)", step.pid),
    }
}

/// When a claim was made: its clock counts from the boot, so only this boot's can be told.
fn when(claim: &Claim) -> String {
    if lineage::read().is_ok_and(|here| here.host == claim.lineage.host) {
        text::ago(lineage::boottime_ns().saturating_sub(claim.at))
    } else {
        "on another host or before the last boot".into()
    }
}

/// The files that were read: those of the project by name, those of the system by number.
fn made_from(record: &Record, all: bool) -> Vec<Vec<String>> {
    let system = |path: &Path| path.is_absolute() && !path.starts_with(&record.directory);
    let (others, own): (Vec<_>, Vec<_>) = record
        .inputs
        .iter()
        .map(|i| i.path.as_path())
        .partition(|p| system(p));
    let listed = if all { own.len() } else { LISTED_INPUTS };
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut add = |path: &Path| {
        let name = if rows.is_empty() { "made from" } else { "" };
        rows.push(row(name, text::path(path)));
    };
    own.iter().take(listed).for_each(|p| add(p));
    if all {
        others.iter().for_each(|p| add(p));
        return rows;
    }
    let mut rest = Vec::new();
    if own.len() > listed {
        rest.push(format!("{} more", own.len() - listed));
    }
    if !others.is_empty() {
        rest.push(format!("{} elsewhere", text::count(others.len(), "file")));
    }
    if !rest.is_empty() {
        rows.push(row(
            "",
            format!("and {} (--all lists them)", rest.join(", ")),
        ));
    }
    rows
}

/// The words that the variants don't share.
fn differences(variants: &[(Variant, Key)], records: &[Option<Record>]) -> String {
    let known: Vec<(&Variant, &Record)> = variants
        .iter()
        .zip(records)
        .filter_map(|((v, _), r)| Some((v, r.as_ref()?)))
        .collect();
    let own = own_words(
        &known
            .iter()
            .map(|(_, r)| r.flags.as_slice())
            .collect::<Vec<_>>(),
    );
    if own.iter().all(Vec::is_empty) {
        return String::new();
    }
    let rows: Vec<Vec<String>> = known
        .iter()
        .zip(own)
        .map(|((variant, _), own)| vec![text::short(&variant.short()).to_owned(), text::words(own)])
        .collect();
    format!(
        "\nwords that differ\n{}",
        indented(&text::table(&rows, &[]))
    )
}

/// Of each list the words that not all of the lists have.
pub(super) fn own_words<'a>(lists: &[&'a [OsString]]) -> Vec<Vec<&'a OsString>> {
    let common = |word: &OsString| lists.iter().all(|list| list.contains(word));
    lists
        .iter()
        .map(|list| list.iter().filter(|word| !common(word)).collect())
        .collect()
}

fn others(names: &[OsString]) -> String {
    if names.is_empty() {
        return String::new();
    }
    let shown: Vec<String> = names
        .iter()
        .take(5)
        .map(|n| format!("`{}`", text::path(Path::new(n))))
        .collect();
    let more = if names.len() > 5 { ", …" } else { "" };
    format!("; on record in its folder are {}{more}", shown.join(", "))
}
