//! Events put together from state folders: claims tell of compiles and skips, the log of links of links. A link with objects in
//! several folders has a line in each: these are one event.

use std::collections::HashMap;
use std::path::Path;

use super::super::walk::Found;
use crate::claims::{How, Log};
use crate::events::Logged;
use crate::lineage::Lineage;
use crate::links;
use crate::process::Ended;
use crate::record::Record;
use crate::state::{self, Folder};

/// All that the folders tell, by start.
pub(super) fn events(found: &Found) -> Vec<Logged> {
    let mut all = Vec::new();
    let mut linked: Vec<(Lineage, Logged)> = Vec::new();
    for (dir, folder) in &found.trusted {
        compiles(dir, folder, &mut all);
        for line in links::read(&folder.links()) {
            let took = line.took.into_iter();
            let inputs = took.map(|(name, variant)| (state::in_dir(dir, &name), variant, false));
            let same = linked
                .iter_mut()
                .find(|(lineage, event)| *lineage == line.lineage && event.output == line.output);
            if let Some((_, event)) = same {
                event.inputs.extend(inputs);
                continue;
            }
            let mut event = event("link", "link", &line.lineage, line.at);
            event.output = line.output;
            event.inputs = inputs.collect();
            linked.push((line.lineage, event));
        }
    }
    for (_, link) in linked {
        // An archive, or a partial link, is an object with claims of its own.
        let same = |e: &&mut Logged| {
            e.began == link.began
                && e.steps == link.steps
                && e.output.file_name() == link.output.file_name()
        };
        match all.iter_mut().find(same) {
            Some(made) => {
                let archive = link.output.extension().is_some_and(|e| e == "a");
                made.kind = if archive { "archive" } else { "link" }.to_owned();
                made.what.clone_from(&made.kind);
                made.inputs = link.inputs;
            }
            None => all.push(link),
        }
    }
    all.sort_by_key(|e| (e.began, e.at));
    all
}

fn compiles(dir: &Path, folder: &Folder, all: &mut Vec<Logged>) {
    for name in folder.objects().unwrap_or_default() {
        let Ok(state) = folder.object(&name) else {
            continue;
        };
        let log = Log::read(&state.claims()).unwrap_or_default();
        let mut records = HashMap::new();
        for claim in log.claims() {
            let record = records
                .entry(claim.key)
                .or_insert_with(|| Record::read(&state.record(&claim.key)))
                .as_ref();
            let what = match claim.how {
                How::Compiled => "compile",
                How::Skipped => "skip",
                How::Republished => "republish",
            };
            let mut event = event("compile", what, &claim.lineage, claim.at);
            event.output = state::in_dir(dir, &name);
            event.key = Some(claim.key);
            event.variant = Some(claim.variant);
            event.source = record.map(|r| r.source.clone());
            event.directory = record.map(|r| r.directory.clone());
            // A record tells of the last compile of its request only.
            if let Some(record) = record.filter(|r| r.variant == claim.variant) {
                match claim.how {
                    How::Compiled => {
                        event.compiler = record.took;
                        event.why = Some(record.why.clone());
                    }
                    How::Skipped | How::Republished => event.saved = record.took,
                }
            }
            all.push(event);
        }
    }
}

fn event(kind: &str, what: &str, lineage: &Lineage, at: u64) -> Logged {
    Logged {
        kind: kind.to_owned(),
        what: what.to_owned(),
        output: Default::default(),
        source: None,
        directory: None,
        key: None,
        variant: None,
        why: None,
        began: lineage.began,
        at,
        waited: 0,
        compiler: 0,
        saved: 0,
        total: at.saturating_sub(lineage.began),
        ended: Ended::Code(0),
        inputs: Vec::new(),
        steps: lineage.steps.clone(),
        names: Vec::new(),
        run: None,
    }
}
