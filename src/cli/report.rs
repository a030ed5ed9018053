//! `objguard report`: the events of a run, from its log, or what state folders tell of the builds that filled them.

mod state;
mod trace;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde_json::{Value, json};

use super::builders::{Builder, builders};
use super::log::Log;
use super::{print, text, walk};
use crate::events::Logged;
use crate::process::Ended;

pub(super) fn command() -> Command {
    Command::new("report")
        .about("Show the events of a run: what each command did and why, who asked, how long it took and waited")
        .long_about(
            "Show the events of a run: what each command did and why, who asked, how long it took and waited.\n\n\
             A FILE is a log that OBJGUARD_LOG or `objguard run --log` named. Of a DIR the state folders below it are read: they \
             tell of the last compiles and links, but not of waits and failures. Without either, $OBJGUARD_LOG or the current folder.",
        )
        .arg(
            Arg::new("from")
                .value_name("FILE|DIR")
                .value_parser(value_parser!(OsString))
                .help("A log, or a folder with state below it"),
        )
        .arg(
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .help("Print the events as a JSON array"),
        )
        .arg(
            Arg::new("trace")
                .long("trace")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Write a trace for Perfetto or chrome://tracing, one lane for each builder thread; `-` is stdout"),
        )
}

pub(super) fn main(given: &ArgMatches) -> anyhow::Result<Ended> {
    let from = match given.get_one::<OsString>("from") {
        Some(from) => walk::spelled(from),
        None => std::env::var_os("OBJGUARD_LOG")
            .filter(|log| !log.is_empty())
            .map_or_else(PathBuf::new, PathBuf::from),
    };
    let folder = from.as_os_str().is_empty() || from.is_dir();
    let (events, broken) = if folder {
        let found = walk::state_folders(&from)?;
        let events = state::events(&found);
        if events.is_empty() {
            anyhow::bail!(
                "nothing to report: no compile is on record below `{}`; build there with `objguard run`, or name a log",
                if from.as_os_str().is_empty() {
                    ".".into()
                } else {
                    text::path(&from)
                }
            );
        }
        (events, found.complain())
    } else {
        let log = Log::read(&from, 0)?;
        let broken = log.complain(&from);
        (log.events, broken)
    };
    let builders = builders(&events);
    let trace = given.get_one::<PathBuf>("trace");
    if let Some(file) = trace {
        let text = format!("{:#}\n", trace::of(&events, &builders));
        if file.as_os_str() == "-" {
            print(&text)?;
        } else {
            std::fs::write(file, text).map_err(super::cannot("write", file))?;
        }
    }
    if given.get_flag("json") {
        print(&format!("{:#}\n", json(&events, &builders)))?;
    } else if trace.is_none() {
        print(&table(&events, &builders))?;
    }
    Ok(Ended::Code(i32::from(broken)))
}

/// The first start, to count times from: of the events whose times are known.
fn origin(events: &[Logged]) -> u64 {
    events.iter().map(|e| e.began).min().unwrap_or(0)
}

fn table(events: &[Logged], builders: &[Builder]) -> String {
    let origin = origin(events);
    let head = [
        "start", "total", "compiler", "waited", "kind", "what", "builder", "output", "why",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (event, builder) in events.iter().zip(builders) {
        rows.push(vec![
            text::seconds(event.began - origin),
            text::seconds(event.total),
            text::seconds(event.compiler),
            text::seconds(event.waited),
            event.kind.clone(),
            what(event),
            builder.show(),
            text::path(&event.output),
            why(event),
        ]);
    }
    text::table(&rows, &[0, 1, 2, 3])
}

fn what(event: &Logged) -> String {
    match event.ended {
        Ended::Code(0) => event.what.clone(),
        Ended::Code(code) => format!("{} (exit {code})", event.what),
        Ended::Signal(signal) => format!("{} (signal {signal})", event.what),
    }
}

/// Why it wasn't skipped; of a link, what stood in for what.
fn why(event: &Logged) -> String {
    if let Some(why) = &event.why {
        return text::one_line(why);
    }
    let kept = event.inputs.iter().filter(|(_, _, kept)| *kept);
    let list: Vec<String> = kept
        .map(|(path, variant, _)| {
            let id = variant.map(|v| v.short()).unwrap_or_default();
            format!("{} in variant {}", text::path(path), text::short(&id))
        })
        .collect();
    list.join(", ")
}

fn json(events: &[Logged], builders: &[Builder]) -> Value {
    let origin = origin(events);
    let one = |(event, builder): (&Logged, &Builder)| {
        let shown = |path: &Path| path.to_string_lossy().into_owned();
        let (exit, signal) = match event.ended {
            Ended::Code(code) => (Some(code), None),
            Ended::Signal(signal) => (None, Some(signal)),
        };
        json!({
            "kind": event.kind,
            "what": event.what,
            "output": shown(&event.output),
            "source": event.source.as_deref().map(shown),
            "directory": event.directory.as_deref().map(shown),
            "key": event.key.map(|k| k.short()),
            "variant": event.variant.map(|v| v.short()),
            "why": event.why,
            "start_ns": event.began - origin,
            "end_ns": event.at.saturating_sub(origin),
            "total_ns": event.total,
            "compiler_ns": event.compiler,
            "waited_ns": event.waited,
            "saved_ns": event.saved,
            "exit": exit,
            "signal": signal,
            "builder": {"pid": builder.pid, "thread": builder.thread, "name": builder.name},
            "lineage": event.steps.iter().enumerate().map(|(n, s)| json!({
                "pid": s.pid, "thread": s.thread, "name": event.names.get(n),
            })).collect::<Vec<_>>(),
            "inputs": event.inputs.iter().map(|(p, v, kept)| json!({
                "path": shown(p), "variant": v.map(|v| v.short()), "kept": kept,
            })).collect::<Vec<_>>(),
            "run": event.run,
        })
    };
    events.iter().zip(builders).map(one).collect()
}
