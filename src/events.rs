//! The event log: one JSON object a line for every guarded command, if `OBJGUARD_LOG` names a file.
//!
//! Appended in one write, so that lines of commands that run side by side don't mix. `objguard run` sums it up, `objguard
//! report` shows it ([`crate::cli`]).
//!
//! # Format
//!
//! | field | what |
//! |---|---|
//! | `v` | 1: the version of this table; a reader refuses others, and passes over fields it doesn't know |
//! | `kind`, `what` | [`Event::kind`], [`Event::what`] |
//! | `output`, `source` | as spelled, relative to `directory`; bytes that aren't UTF-8 are replaced |
//! | `directory` | the working directory |
//! | `key`, `variant` | 32 hexadecimal digits each |
//! | `why` | why it wasn't skipped |
//! | `began`, `at` | start and end, ns of CLOCK_BOOTTIME |
//! | `waited`, `compiler`, `saved`, `total` | ns: waiting for others, in the real compiler, not spent thanks to a skip, all |
//! | `exit` or `signal` | how it ended |
//! | `inputs` | of a link or archive: list of `path`, `variant` or null, `kept` (a kept file stood in for the path) |
//! | `pid`, `lineage` | the wrapper; its ancestors, nearest first: `[pid, start, thread, thread start]` |
//! | `names` | the command names of those ancestors |
//! | `run` | the `objguard run` above, if any |

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::config::Config;
use crate::lineage::{self, Lineage, Step};
use crate::process::Ended;
use crate::request::{Key, Variant};

/// The version of the lines.
const VERSION: u64 = 1;

/// Where events go.
#[derive(Clone, Debug, Default)]
pub struct Events {
    path: Option<PathBuf>,
    run: Option<OsString>,
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
    /// Events to where the user wants them, or to nowhere.
    pub fn of(config: &Config) -> Events {
        Events {
            path: config.log.clone(),
            run: config.run.clone(),
        }
    }

    /// Whether anybody wants them.
    pub fn wanted(&self) -> bool {
        self.path.is_some()
    }

    /// Appends one event; a log that can't be written doesn't fail a build.
    pub fn write(&self, event: &Event<'_>) {
        let Some(path) = &self.path else { return };
        let mut line = self.json(event).to_string();
        line.push('\n');
        if let Ok(mut file) = OpenOptions::new().append(true).create(true).open(path) {
            let _ = file.write_all(line.as_bytes());
        }
    }

    fn json(&self, event: &Event<'_>) -> Value {
        let mut object = Map::new();
        let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
        put("v", VERSION.into());
        put("kind", event.kind.into());
        put("what", event.what.into());
        put("output", lossy(event.output));
        if let Some(source) = event.source {
            put("source", lossy(source));
        }
        if let Ok(directory) = std::env::current_dir() {
            put("directory", lossy(&directory));
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
            let inputs = event.inputs.iter().map(
                |(p, v, kept)| json!({"path": lossy(p), "variant": v.map(|v| v.short()), "kept": kept}),
            );
            put("inputs", inputs.collect());
        }
        put("pid", std::process::id().into());
        let steps = &event.lineage.steps;
        put(
            "lineage",
            steps
                .iter()
                .map(|s| json!([s.pid, s.start, s.thread, s.thread_start]))
                .collect(),
        );
        put(
            "names",
            steps
                .iter()
                .map(|s| lineage::name(s.pid).unwrap_or_default())
                .collect(),
        );
        if let Some(run) = &self.run {
            put("run", run.to_string_lossy().into());
        }
        Value::Object(object)
    }
}

fn lossy(path: &Path) -> Value {
    Value::String(path.to_string_lossy().into_owned())
}

/// One line of a log, read back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Logged {
    /// As in [`Event`].
    pub kind: String,
    /// As in [`Event`].
    pub what: String,
    /// The output, as spelled.
    pub output: PathBuf,
    /// The source, as spelled.
    pub source: Option<PathBuf>,
    /// The working directory.
    pub directory: Option<PathBuf>,
    /// The request.
    pub key: Option<Key>,
    /// The variant made or taken.
    pub variant: Option<Variant>,
    /// Why it wasn't skipped.
    pub why: Option<String>,
    /// Start, ns of CLOCK_BOOTTIME.
    pub began: u64,
    /// End, ns of CLOCK_BOOTTIME.
    pub at: u64,
    /// ns.
    pub waited: u64,
    /// ns.
    pub compiler: u64,
    /// ns.
    pub saved: u64,
    /// ns.
    pub total: u64,
    /// How it ended.
    pub ended: Ended,
    /// The guarded inputs of a link: path, variant, and whether a kept file stood in.
    pub inputs: Vec<(PathBuf, Option<Variant>, bool)>,
    /// The ancestors, nearest first.
    pub steps: Vec<Step>,
    /// Their command names.
    pub names: Vec<String>,
    /// The `objguard run` above.
    pub run: Option<String>,
}

impl Logged {
    /// Reads one line.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(line: &str) -> Result<Logged, String> {
        let value: Value = serde_json::from_str(line).map_err(|e| format!("it is no JSON: {e}"))?;
        let Some(object) = value.as_object() else {
            return Err("it is no JSON object".into());
        };
        let fields = Fields(object);
        match fields.number("v")? {
            VERSION => {}
            other => return Err(format!("it is of version {other}, not {VERSION}")),
        }
        Ok(Logged {
            kind: fields.text("kind")?.to_owned(),
            what: fields.text("what")?.to_owned(),
            output: fields.text("output")?.into(),
            source: fields.optional_text("source").map(PathBuf::from),
            directory: fields.optional_text("directory").map(PathBuf::from),
            key: fields.optional_text("key").and_then(Key::from_short),
            variant: fields
                .optional_text("variant")
                .and_then(Variant::from_short),
            why: fields.optional_text("why").map(str::to_owned),
            began: fields.number("began")?,
            at: fields.number("at")?,
            waited: fields.number("waited")?,
            compiler: fields.number("compiler")?,
            saved: fields.number("saved")?,
            total: fields.number("total")?,
            ended: fields.ended()?,
            inputs: fields.inputs()?,
            steps: fields.steps()?,
            names: fields.names(),
            run: fields.optional_text("run").map(str::to_owned),
        })
    }

    /// The output with the working directory before it.
    pub fn output_path(&self) -> PathBuf {
        self.absolute(&self.output)
    }

    /// `path` as this command meant it, without `.` components.
    pub fn absolute(&self, path: &Path) -> PathBuf {
        let base = self.directory.as_deref().unwrap_or(Path::new(""));
        base.join(path).components().collect()
    }
}

struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    fn optional_text(&self, name: &str) -> Option<&'a str> {
        self.0.get(name)?.as_str()
    }

    fn text(&self, name: &str) -> Result<&'a str, String> {
        self.optional_text(name).ok_or_else(|| missing(name))
    }

    fn number(&self, name: &str) -> Result<u64, String> {
        let value = self.0.get(name).and_then(Value::as_u64);
        value.ok_or_else(|| missing(name))
    }

    fn ended(&self) -> Result<Ended, String> {
        let number = |name| {
            let value = self.0.get(name)?.as_i64()?;
            i32::try_from(value).ok()
        };
        match (number("exit"), number("signal")) {
            (Some(code), _) => Ok(Ended::Code(code)),
            (None, Some(signal)) => Ok(Ended::Signal(signal)),
            (None, None) => Err(missing("exit")),
        }
    }

    fn list(&self, name: &str) -> &'a [Value] {
        self.0
            .get(name)
            .and_then(Value::as_array)
            .map_or(&[], Vec::as_slice)
    }

    fn inputs(&self) -> Result<Vec<(PathBuf, Option<Variant>, bool)>, String> {
        let input = |value: &Value| {
            let variant = value.get("variant").and_then(Value::as_str);
            Some((
                PathBuf::from(value.get("path")?.as_str()?),
                variant.and_then(Variant::from_short),
                value.get("kept")?.as_bool()?,
            ))
        };
        let all: Option<Vec<_>> = self.list("inputs").iter().map(input).collect();
        all.ok_or_else(|| missing("inputs"))
    }

    fn steps(&self) -> Result<Vec<Step>, String> {
        let step = |value: &Value| {
            let numbers: Vec<u64> = value.as_array()?.iter().filter_map(Value::as_u64).collect();
            let [pid, start, thread, thread_start] = numbers[..] else {
                return None;
            };
            Some(Step {
                pid: u32::try_from(pid).ok()?,
                start,
                thread: u32::try_from(thread).ok()?,
                thread_start,
            })
        };
        let all: Option<Vec<_>> = self.list("lineage").iter().map(step).collect();
        all.ok_or_else(|| missing("lineage"))
    }

    fn names(&self) -> Vec<String> {
        let name = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.list("names").iter().map(name).collect()
    }
}

fn missing(name: &str) -> String {
    format!("its field `{name}` is missing or of another type")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(lineage: &Lineage) -> Event<'_> {
        Event {
            kind: "link",
            what: "re-point",
            output: Path::new("./b/m.so"),
            source: None,
            key: Some(Key([1; 16])),
            variant: None,
            why: Some("\"why\"\n".into()),
            waited: 1,
            compiler: 2,
            saved: 3,
            total: 4,
            ended: Ended::Signal(9),
            inputs: &[],
            lineage,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let steps = vec![Step {
            pid: std::process::id(),
            start: 7,
            thread: 8,
            thread_start: 9,
        }];
        let lineage = Lineage {
            host: 1,
            began: 5,
            beside: crate::lineage::Beside::Nothing,
            steps: steps.clone(),
        };
        let events = Events {
            path: None,
            run: Some("r".into()),
        };
        let inputs = [
            (PathBuf::from("b/x.o"), Some(Variant([2; 16])), true),
            (PathBuf::from("b/y.o"), None, false),
        ];
        let event = Event {
            inputs: &inputs,
            ..event(&lineage)
        };
        let line = events.json(&event).to_string();
        assert!(!line.contains('\n'), "{line}");
        let read = Logged::parse(&line).unwrap();
        assert_eq!(
            (read.kind.as_str(), read.what.as_str()),
            ("link", "re-point")
        );
        assert_eq!(read.inputs, inputs);
        assert_eq!(read.steps, steps);
        assert_eq!(read.ended, Ended::Signal(9));
        assert_eq!(
            (read.waited, read.compiler, read.saved, read.total),
            (1, 2, 3, 4)
        );
        assert_eq!(read.why.as_deref(), Some("\"why\"\n"));
        assert_eq!(read.run.as_deref(), Some("r"));
        assert_eq!(
            read.output_path(),
            std::env::current_dir().unwrap().join("b/m.so")
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        let lineage = Lineage {
            host: 1,
            began: 5,
            beside: crate::lineage::Beside::Nothing,
            steps: Vec::new(),
        };
        let good = Events::default().json(&event(&lineage));
        for (change, message) in [
            (("v", Value::from(2)), "it is of version 2, not 1"),
            (
                ("total", Value::from("x")),
                "its field `total` is missing or of another type",
            ),
            (
                ("signal", Value::Null),
                "its field `exit` is missing or of another type",
            ),
            (
                ("lineage", json!([[1, 2]])),
                "its field `lineage` is missing or of another type",
            ),
        ] {
            let mut bad = good.clone();
            bad[change.0] = change.1;
            assert_eq!(Logged::parse(&bad.to_string()).unwrap_err(), message);
        }
        assert!(
            Logged::parse("{\"v\":1,")
                .unwrap_err()
                .starts_with("it is no JSON: ")
        );
        assert_eq!(Logged::parse("[]").unwrap_err(), "it is no JSON object");
    }
}
