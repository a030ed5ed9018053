//! `objguard audit [DIR]`: for packagers. The objects that more than one link took, whether they were compiled in one way or
//! in several, which link took which, and what to change upstream so that the build is right without objguard.
//!
//! Links tell who uses an object: the newest line of each output counts. An object that was compiled once for all of them is
//! no problem, so a build must have asked for it more than once. Where no link is on record (the build failed, or
//! links don't come through objguard), claims of different requests by different threads do.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::builders::claimant;
use super::explain::own_words;
use super::{cannot, print, text, walk};
use crate::claims::Log;
use crate::lineage::{self, Lineage, Step};
use crate::links;
use crate::process::Ended;
use crate::record::Record;
use crate::request::{Key, Variant};
use crate::state::{self, Folder, ObjectState};

pub(super) fn command() -> Command {
    Command::new("audit")
        .about("List the objects that several extensions share, with equal or different flags, and what to change upstream")
        .arg(
            Arg::new("dir")
                .value_name("DIR")
                .default_value(".")
                .value_parser(value_parser!(OsString))
                .help("Where to look for objects, folders below it included"),
        )
        .arg(
            Arg::new("strict")
                .long("strict")
                .action(ArgAction::SetTrue)
                .help("Exit with 1 if a shared object is compiled with different flags"),
        )
}

pub(super) fn main(given: &ArgMatches) -> anyhow::Result<Ended> {
    let dir = given.get_one::<OsString>("dir").expect("it has a default");
    let found = walk::state_folders(&walk::spelled(dir))?;
    let incomplete = found.complain();
    if found.trusted.is_empty() {
        bail!(
            "nothing to audit: no compile is on record below `{}`; build there with `objguard run` or CC=objguard-cc first",
            text::path(Path::new(dir))
        );
    }
    let here = lineage::read().map_err(cannot("read", Path::new("/proc")))?;
    let mut shared = Vec::new();
    for (dir, folder) in &found.trusted {
        shared.extend(shared_objects(dir, folder, &here));
    }
    shared.sort_by_key(|s: &Shared| (!s.differs(), s.object.clone()));
    print(&show(&shared))?;
    let differ = shared.iter().any(Shared::differs);
    Ok(Ended::Code(i32::from(
        incomplete || (given.get_flag("strict") && differ),
    )))
}

/// One way in which an object is used.
#[derive(Debug)]
struct Taker {
    /// The link's output; `None`: no link is on record.
    output: Option<PathBuf>,
    variant: Option<Variant>,
    /// The words of its compile, if a record tells.
    words: Option<Vec<OsString>>,
}

/// An object that several ask for.
#[derive(Debug)]
struct Shared {
    object: PathBuf,
    source: PathBuf,
    takers: Vec<Taker>,
}

impl Shared {
    fn word_lists(&self) -> Vec<&[OsString]> {
        self.takers
            .iter()
            .filter_map(|t| t.words.as_deref())
            .collect()
    }

    fn differs(&self) -> bool {
        let lists = self.word_lists();
        lists.windows(2).any(|pair| pair[0] != pair[1])
    }
}

fn shared_objects(dir: &Path, folder: &Folder, here: &Lineage) -> Vec<Shared> {
    let mut newest: BTreeMap<PathBuf, Vec<(OsString, Option<Variant>)>> = BTreeMap::new();
    for line in links::read(&folder.links()) {
        newest.insert(line.output, line.took);
    }
    let mut takers: HashMap<OsString, Vec<(PathBuf, Option<Variant>)>> = HashMap::new();
    for (output, took) in newest {
        for (object, variant) in took {
            takers
                .entry(object)
                .or_default()
                .push((output.clone(), variant));
        }
    }
    let mut shared = Vec::new();
    for name in folder.objects().unwrap_or_default() {
        let Ok(state) = folder.object(&name) else {
            continue;
        };
        let object = Object::of(&state);
        let takers: Vec<Taker> = match takers.remove(&name) {
            Some(links) => links
                .into_iter()
                .map(|(output, variant)| object.taker(Some(output), variant))
                .collect(),
            None => object.claimed_side_by_side(here),
        };
        let one = Shared {
            object: state::in_dir(dir, &name),
            source: object.source(),
            takers,
        };
        if one.takers.len() > 1 && (one.differs() || object.asked_for_again(here)) {
            shared.push(one);
        }
    }
    shared
}

/// What is on record of one object.
struct Object {
    log: Log,
    keys: HashMap<Variant, Key>,
    records: BTreeMap<Key, Record>,
}

impl Object {
    fn of(state: &ObjectState) -> Object {
        let log = Log::read(&state.claims()).unwrap_or_default();
        let claimed = log.claims().map(|c| (c.variant, c.key));
        let keys: HashMap<_, _> = claimed
            .chain(log.publishes().map(|p| (p.variant, p.key)))
            .collect();
        let all: BTreeSet<Key> = keys.values().copied().collect();
        let records = all
            .into_iter()
            .filter_map(|key| Some((key, Record::read(&state.record(&key))?)))
            .collect();
        Object { log, keys, records }
    }

    fn source(&self) -> PathBuf {
        let newest = self
            .log
            .claims()
            .last()
            .and_then(|c| self.records.get(&c.key));
        newest.map(|r| r.source.clone()).unwrap_or_default()
    }

    fn taker(&self, output: Option<PathBuf>, variant: Option<Variant>) -> Taker {
        // The words belong to the request: they are the same for all variants of a key.
        let key = variant.and_then(|v| self.keys.get(&v));
        let record = key.and_then(|k| self.records.get(k));
        Taker {
            output,
            variant,
            words: record.map(|r| r.flags.clone()),
        }
    }

    /// Whether one build asked for it more than once: two claims have an ancestor in common that is no session's leader (the
    /// shell that two builds were started from) and none of ours.
    fn asked_for_again(&self, here: &Lineage) -> bool {
        let mut seen = BTreeSet::new();
        let of_build = |s: &&Step| {
            s.pid != 1
                && !here.steps.iter().any(|h| h.same_process(s))
                && !(lineage::alive(s.pid, s.start) && lineage::leads_a_session(s.pid))
        };
        self.log.claims().any(|claim| {
            let steps = claim.lineage.steps.iter().filter(of_build);
            let mut again = false;
            for step in steps {
                again |= !seen.insert((step.pid, step.start));
            }
            again
        })
    }

    /// The newest variants of different requests, if more than one thread made them.
    fn claimed_side_by_side(&self, here: &Lineage) -> Vec<Taker> {
        let mut newest: BTreeMap<Key, Variant> = BTreeMap::new();
        let mut threads = BTreeSet::new();
        for claim in self.log.claims() {
            newest.insert(claim.key, claim.variant);
            let step = claimant(&claim.lineage, here);
            threads.extend(step.map(|s| (s.pid, s.start, s.thread)));
        }
        if threads.len() < 2 {
            return Vec::new();
        }
        newest
            .into_values()
            .map(|v| self.taker(None, Some(v)))
            .collect()
    }
}

fn show(shared: &[Shared]) -> String {
    if shared.is_empty() {
        return "no object is shared: no build compiles one for several links\n".into();
    }
    let different = shared.iter().filter(|s| s.differs()).count();
    let mut out = format!(
        "{} shared by several links, {different} of them compiled with different flags\n",
        text::count(shared.len(), "object"),
    );
    for one in shared {
        out.push_str(&show_one(one));
    }
    out
}

fn show_one(shared: &Shared) -> String {
    let how = if shared.differs() {
        "DIFFERENT FLAGS"
    } else {
        "equal flags"
    };
    let source = text::path(&shared.source);
    let mut out = format!("\n{}: {how}\n", text::path(&shared.object));
    if !source.is_empty() {
        out.push_str(&format!("  source  {source}\n"));
    }
    let lists: Vec<&[OsString]> = shared
        .takers
        .iter()
        .map(|t| t.words.as_deref().unwrap_or(&[]))
        .collect();
    let own = own_words(&lists);
    let reordered = shared.differs() && own.iter().all(Vec::is_empty);
    let rows: Vec<Vec<String>> = shared
        .takers
        .iter()
        .zip(own)
        .map(|(taker, own)| {
            let variant = taker.variant.map(|v| v.short());
            let words = match (&taker.words, reordered) {
                (None, _) => "(its words aren't on record)".into(),
                (Some(_), true) => "(the same words in another order)".into(),
                (Some(_), false) => text::words(own),
            };
            vec![
                taker
                    .output
                    .as_deref()
                    .map_or("(no link on record)".into(), text::path),
                "took".into(),
                variant.map_or("what was at the path".into(), |v| {
                    text::short(&v).to_owned()
                }),
                if shared.differs() {
                    words
                } else {
                    String::new()
                },
            ]
        })
        .collect();
    out.push_str(
        &text::table(&rows, &[])
            .lines()
            .map(|l| format!("  {l}\n"))
            .collect::<String>(),
    );
    let name = if source.is_empty() {
        "its source".to_owned()
    } else {
        format!("`{source}`")
    };
    let advice = if shared.differs() {
        format!(
            "each extension compiles {name} in its own way to one path, so the last one wins: give each a source of its own that \
             #includes {name}, or a static library of its own (`libraries=` of setup()), or pass the value at run time"
        )
    } else {
        format!(
            "several extensions compile {name} alike to one path, and a link may read it half written: compile it once, in a static \
             library (`libraries=` of setup()) that they all link"
        )
    };
    out.push_str(&format!("  upstream: {advice}\n"));
    out
}
