//! The event log: one JSON object a line for every guarded command, if `OBJGUARD_LOG` names a file.
//!
//! Appended in one write, so that lines of commands that run side by side don't mix. `objguard run` sums it up, `objguard
//! report` shows it. Times are nanoseconds; `began` and `at` are CLOCK_BOOTTIME.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::lineage::{self, Lineage};
use crate::process::Ended;
use crate::request::{Key, Variant};

/// Where events go.
#[derive(Clone, Debug, Default)]
pub struct Events {
    path: Option<PathBuf>,
}

/// One guarded command, finished.
#[derive(Debug)]
pub struct Event<'a> {
    /// `compile`, `link`, `archive` or `exec`.
    pub kind: &'static str,
    /// What was done: `compile`, `skip`, `republish`, `in-place`, `fail`; `link`, `re-point`, `relink`.
    pub what: &'a str,
    /// The output.
    pub output: &'a Path,
    /// The source.
    pub source: Option<&'a Path>,
    /// The request.
    pub key: Option<Key>,
    /// The variant made or taken.
    pub variant: Option<Variant>,
    /// Why it wasn't skipped.
    pub why: Option<String>,
    /// Time waited for somebody else's compile, ns.
    pub waited: u64,
    /// Time in the real compiler, ns.
    pub compiler: u64,
    /// Compile time that a skip saved, ns.
    pub saved: u64,
    /// Time from start to end, ns.
    pub total: u64,
    /// How it ended.
    pub ended: Ended,
    /// The guarded inputs of a link: path, variant, and whether a kept file stood in.
    pub inputs: &'a [(PathBuf, Option<Variant>, bool)],
    /// Who asked.
    pub lineage: &'a Lineage,
}

impl Events {
    /// Events to `path`, or to nowhere.
    pub fn new(path: Option<PathBuf>) -> Events {
        Events { path }
    }

    /// Appends one event; a log that can't be written doesn't fail a build.
    pub fn write(&self, event: &Event<'_>) {
        let Some(path) = &self.path else { return };
        let mut line = json(event).to_string();
        line.push('\n');
        if let Ok(mut file) = OpenOptions::new().append(true).create(true).open(path) {
            let _ = file.write_all(line.as_bytes());
        }
    }
}

fn json(event: &Event<'_>) -> Value {
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
    put("kind", event.kind.into());
    put("what", event.what.into());
    put("output", lossy(event.output));
    if let Some(source) = event.source {
        put("source", lossy(source));
    }
    if let Some(key) = event.key {
        put("key", key.short().into());
    }
    if let Some(variant) = event.variant {
        put("variant", variant.short().into());
    }
    if let Some(why) = &event.why {
        put("why", why.as_str().into());
    }
    put("began", event.lineage.began.into());
    put("at", lineage::boottime_ns().into());
    put("waited", event.waited.into());
    put("compiler", event.compiler.into());
    put("saved", event.saved.into());
    put("total", event.total.into());
    match event.ended {
        Ended::Code(code) => put("exit", code.into()),
        Ended::Signal(signal) => put("signal", signal.into()),
    };
    if event.kind == "link" || event.kind == "archive" {
        let inputs = event.inputs.iter();
        put("inputs", inputs.map(|(p, v, kept)| json!({"path": lossy(p), "variant": v.map(|v| v.short()), "kept": kept})).collect());
    }
    put("pid", std::process::id().into());
    let steps = event
        .lineage
        .steps
        .iter()
        .map(|s| json!([s.pid, s.start, s.thread, s.thread_start]));
    put("lineage", steps.collect());
    Value::Object(object)
}

fn lossy(path: &Path) -> Value {
    Value::String(path.to_string_lossy().into_owned())
}
