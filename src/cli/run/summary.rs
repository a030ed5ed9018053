//! What a run came to, summed up from its events.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::super::text;
use crate::events::Logged;
use crate::process::Ended;
use crate::request::{Key, Variant};

/// Counts, and times in ns.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Summary {
    /// Compiles that the compiler ran for.
    pub(super) compiled: usize,
    /// Of these, the ones that failed.
    pub(super) failed: usize,
    /// Compiles that a variant on record stood for.
    pub(super) reused: usize,
    /// Objects that links took in different variants.
    pub(super) objects_apart: usize,
    /// Those variants.
    pub(super) variants_apart: usize,
    /// Links that ran.
    pub(super) links: usize,
    /// Links for which a kept variant stood in for what was at the path.
    pub(super) repointed: usize,
    /// Links that were run again, since an input changed meanwhile.
    pub(super) relinked: usize,
    /// Archives written.
    pub(super) archives: usize,
    /// Generators run or skipped by `objguard exec`.
    pub(super) generators: usize,
    /// Waiting for other commands.
    pub(super) waited: u64,
    /// In the real compilers, linkers and archivers.
    pub(super) compilers: u64,
    /// Compile time that was not spent thanks to reuse.
    pub(super) saved_by_reuse: u64,
    /// The difference between the commands one after the other and as they ran, side by side.
    pub(super) saved_side_by_side: u64,
}

impl Summary {
    pub(super) fn of(events: &[Logged]) -> Summary {
        let mut summary = Summary::default();
        for event in events {
            summary.waited += event.waited;
            summary.compilers += event.compiler;
            let failed = event.ended != Ended::Code(0);
            match (event.kind.as_str(), event.what.as_str()) {
                ("compile", "skip" | "republish") => {
                    summary.reused += 1;
                    summary.saved_by_reuse += event.saved;
                }
                ("compile", _) => {
                    summary.compiled += 1;
                    summary.failed += usize::from(failed);
                }
                ("link", what) => {
                    summary.links += 1;
                    summary.relinked += usize::from(what == "relink");
                    summary.repointed += usize::from(event.inputs.iter().any(|(_, _, kept)| *kept));
                }
                ("archive", _) => summary.archives += 1,
                _ => summary.generators += 1,
            }
        }
        let apart = apart(events);
        summary.objects_apart = apart.len();
        summary.variants_apart = apart.values().map(BTreeSet::len).sum();
        summary.saved_side_by_side = side_by_side(events);
        summary
    }

    fn nothing(&self) -> bool {
        self.compiled + self.reused + self.links + self.archives + self.generators == 0
    }

    /// A few lines for people. `wall`: how long the command ran, ns.
    pub(super) fn show(&self, wall: u64, unreadable: usize) -> String {
        if self.nothing() {
            return format!(
                "objguard: no compile, link or archive came through objguard in {}: either nothing had to be built, or the build \
                 takes its compiler from elsewhere than CC, CXX and PATH\n",
                text::duration(wall)
            );
        }
        let mut parts = vec![
            format!("compiles run {}", self.compiled),
            format!("reused {}", self.reused),
        ];
        if self.failed > 0 {
            parts[0].push_str(&format!(" ({} failed)", self.failed));
        }
        parts.push(match self.objects_apart {
            0 => "variants kept apart 0".into(),
            n => format!(
                "variants kept apart {} (of {})",
                self.variants_apart,
                text::count(n, "object")
            ),
        });
        parts.push(format!(
            "links re-pointed {} of {}",
            self.repointed, self.links
        ));
        if self.relinked > 0 {
            parts.push(format!("links repeated {}", self.relinked));
        }
        if self.archives > 0 {
            parts.push(format!("archives {}", self.archives));
        }
        if self.generators > 0 {
            parts.push(format!("generators {}", self.generators));
        }
        let times = [
            format!("time waited {}", text::duration(self.waited)),
            format!("in compilers {}", text::duration(self.compilers)),
            format!("wall {}", text::duration(wall)),
            format!(
                "saved about {} ({} by reuse, {} side by side)",
                text::duration(self.saved()),
                text::duration(self.saved_by_reuse),
                text::duration(self.saved_side_by_side)
            ),
        ];
        let mut out = format!(
            "objguard: {}\nobjguard: {}\n",
            parts.join(", "),
            times.join(", ")
        );
        if unreadable > 0 {
            out.push_str(&format!(
                "objguard: {} of the log can't be read and don't count\n",
                text::count(unreadable, "line")
            ));
        }
        out
    }

    fn saved(&self) -> u64 {
        self.saved_by_reuse + self.saved_side_by_side
    }

    /// The same for programs. `version` is that of the field list.
    pub(super) fn json(&self, command: &[OsString], jobs: usize, wall: u64, ended: Ended) -> Value {
        let seconds = |ns: u64| ns as f64 / 1e9;
        let (exit, signal) = match ended {
            Ended::Code(code) => (Some(code), None),
            Ended::Signal(signal) => (None, Some(signal)),
        };
        json!({
            "version": 1,
            "command": command.iter().map(|w| w.to_string_lossy()).collect::<Vec<_>>(),
            "exit": exit,
            "signal": signal,
            "jobs": jobs,
            "compiles_run": self.compiled,
            "compiles_failed": self.failed,
            "compiles_reused": self.reused,
            "objects_kept_apart": self.objects_apart,
            "variants_kept_apart": self.variants_apart,
            "links": self.links,
            "links_repointed": self.repointed,
            "links_repeated": self.relinked,
            "archives": self.archives,
            "generators": self.generators,
            "seconds_waited": seconds(self.waited),
            "seconds_in_compilers": seconds(self.compilers),
            "seconds_wall": seconds(wall),
            "seconds_saved": seconds(self.saved()),
            "seconds_saved_by_reuse": seconds(self.saved_by_reuse),
            "seconds_saved_side_by_side": seconds(self.saved_side_by_side),
        })
    }
}

/// The objects that links took in variants of several requests. An object that was compiled again after its source changed
/// is still one request.
fn apart(events: &[Logged]) -> BTreeMap<PathBuf, BTreeSet<[u8; 16]>> {
    let keys: HashMap<Variant, Key> = events
        .iter()
        .filter_map(|e| Some((e.variant?, e.key?)))
        .collect();
    let mut taken: BTreeMap<PathBuf, BTreeSet<[u8; 16]>> = BTreeMap::new();
    for event in events
        .iter()
        .filter(|e| e.kind == "link" || e.kind == "archive")
    {
        for (path, variant, _) in &event.inputs {
            let Some(variant) = variant else { continue };
            let request = keys.get(variant).map_or(variant.0, |key| key.0);
            taken
                .entry(event.absolute(path))
                .or_default()
                .insert(request);
        }
    }
    taken.retain(|_, requests| requests.len() > 1);
    taken
}

/// The sum of the commands' times less the time in which any of them ran, ns. Each command is slower beside others than
/// alone, so this is a little more than what was really saved.
fn side_by_side(events: &[Logged]) -> u64 {
    let mut spans: Vec<(u64, u64)> = events
        .iter()
        .map(|e| (e.began + e.waited, e.at))
        .filter(|(a, b)| a < b)
        .collect();
    spans.sort_unstable();
    let sum: u64 = spans.iter().map(|(a, b)| b - a).sum();
    let mut busy = 0;
    let mut until = 0;
    for (began, at) in spans {
        busy += at.saturating_sub(began.max(until));
        until = until.max(at);
    }
    sum - busy
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, what: &str, began: u64, at: u64) -> Logged {
        Logged {
            kind: kind.into(),
            what: what.into(),
            output: "m.so".into(),
            source: None,
            directory: Some("/d".into()),
            key: None,
            variant: None,
            why: None,
            began,
            at,
            waited: 0,
            compiler: at - began,
            saved: 0,
            total: at - began,
            ended: Ended::Code(0),
            inputs: Vec::new(),
            steps: Vec::new(),
            names: Vec::new(),
            run: None,
        }
    }

    fn compiled(variant: u8, key: u8) -> Logged {
        Logged {
            key: Some(Key([key; 16])),
            variant: Some(Variant([variant; 16])),
            ..event("compile", "compile", 0, 10)
        }
    }

    fn linked(variant: u8, kept: bool) -> Logged {
        Logged {
            inputs: vec![("./x.o".into(), Some(Variant([variant; 16])), kept)],
            ..event("link", if kept { "re-point" } else { "link" }, 10, 20)
        }
    }

    #[test]
    fn variants_of_different_requests_are_kept_apart() {
        let summary = Summary::of(&[
            compiled(1, 1),
            compiled(2, 2),
            linked(1, true),
            linked(2, false),
        ]);
        assert_eq!((summary.objects_apart, summary.variants_apart), (1, 2));
        assert_eq!((summary.links, summary.repointed), (2, 1));
        let edited = Summary::of(&[
            compiled(1, 1),
            compiled(2, 1),
            linked(1, false),
            linked(2, false),
        ]);
        assert_eq!(edited.objects_apart, 0);
    }

    #[test]
    fn time_side_by_side_is_saved() {
        let events = [
            event("compile", "compile", 0, 10),
            event("compile", "compile", 5, 15),
            event("link", "link", 20, 30),
        ];
        assert_eq!(side_by_side(&events), 5);
        assert_eq!(side_by_side(&[]), 0);
    }

    #[test]
    fn the_summary_names_every_number() {
        let mut skip = compiled(1, 1);
        skip.what = "skip".into();
        skip.saved = 2_000_000_000;
        let summary = Summary::of(&[compiled(1, 1), skip, linked(1, false)]);
        let text = summary.show(1_500_000_000, 0);
        assert_eq!(
            text,
            "objguard: compiles run 1, reused 1, variants kept apart 0, links re-pointed 0 of 1\n\
             objguard: time waited 0.00 s, in compilers 0.00 s, wall 1.50 s, saved about 2.00 s (2.00 s by reuse, 0.00 s side by side)\n"
        );
        assert!(
            Summary::default()
                .show(0, 0)
                .contains("no compile, link or archive came through")
        );
        let json = summary.json(&["make".into()], 4, 1_500_000_000, Ended::Code(2));
        assert_eq!(
            (&json["compiles_reused"], &json["exit"], &json["signal"]),
            (&json!(1), &json!(2), &Value::Null)
        );
        assert_eq!(json["seconds_wall"], 1.5);
    }
}
