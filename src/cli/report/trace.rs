//! Events as a trace: the Trace Event Format's "JSON Object Format", which Perfetto and chrome://tracing read.
//!
//! A complete event (`"ph": "X"`) for each command, on the lane (`pid`, `tid`) of the thread that started it, named by
//! metadata events (`"ph": "M"`). Times are microseconds from the first start. Viewers draw events of a lane inside each other
//! where they overlap; commands that one thread ran side by side (make -j) therefore get lanes of their own.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::super::builders::Builder;
use crate::events::Logged;

/// The trace of `events`, each of which belongs to the builder at the same place.
pub(super) fn of(events: &[Logged], builders: &[Builder]) -> Value {
    let origin = super::origin(events);
    let lanes = lanes(events, builders);
    let mut out = metadata(builders, &lanes);
    for ((event, builder), lane) in events.iter().zip(builders).zip(&lanes) {
        let file = event.output.file_name().unwrap_or_default();
        out.push(json!({
            "name": format!("{} {}", event.what, file.to_string_lossy()),
            "cat": event.kind,
            "ph": "X",
            "ts": (event.began - origin) as f64 / 1e3,
            "dur": event.at.saturating_sub(event.began) as f64 / 1e3,
            "pid": builder.pid,
            "tid": tid(builder, *lane),
            "args": {
                "output": event.output.to_string_lossy(),
                "source": event.source.as_ref().map(|s| s.to_string_lossy()),
                "why": event.why,
                "variant": event.variant.map(|v| v.short()),
                "waited_ms": event.waited as f64 / 1e6,
                "compiler_ms": event.compiler as f64 / 1e6,
            },
        }));
    }
    json!({"traceEvents": out, "displayTimeUnit": "ms"})
}

/// Which of its builder's lanes each event is on: the first that is free.
fn lanes(events: &[Logged], builders: &[Builder]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..events.len()).collect();
    order.sort_by_key(|n| (events[*n].began, events[*n].at));
    let mut free_from: BTreeMap<&Builder, Vec<u64>> = BTreeMap::new();
    let mut lanes = vec![0; events.len()];
    for n in order {
        let busy = free_from.entry(&builders[n]).or_default();
        let lane = match busy.iter().position(|end| *end <= events[n].began) {
            Some(lane) => lane,
            None => {
                busy.push(0);
                busy.len() - 1
            }
        };
        busy[lane] = events[n].at;
        lanes[n] = lane;
    }
    lanes
}

/// Further lanes of a thread need ids of their own: beyond any thread id (Linux: at most 2^22).
fn tid(builder: &Builder, lane: usize) -> u64 {
    u64::from(builder.thread) + ((lane as u64) << 24)
}

fn metadata(builders: &[Builder], lanes: &[usize]) -> Vec<Value> {
    let used: BTreeSet<(&Builder, usize)> = builders.iter().zip(lanes.iter().copied()).collect();
    let processes: BTreeMap<u32, &str> =
        builders.iter().map(|b| (b.pid, b.name.as_str())).collect();
    let named = |what: &str, pid: u32, tid: u64, name: String| json!({"name": what, "ph": "M", "pid": pid, "tid": tid, "args": {"name": name}});
    let mut out: Vec<Value> = processes
        .iter()
        .map(|(pid, name)| named("process_name", *pid, 0, format!("{name} {pid}")))
        .collect();
    out.extend(used.iter().map(|(builder, lane)| {
        let more = if *lane == 0 {
            String::new()
        } else {
            format!(" ({})", lane + 1)
        };
        let name = format!("thread {}{more}", builder.thread);
        named("thread_name", builder.pid, tid(builder, *lane), name)
    }));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Ended;

    fn event(began: u64, at: u64) -> Logged {
        Logged {
            kind: "compile".into(),
            what: "compile".into(),
            output: "b/x.o".into(),
            source: None,
            directory: None,
            key: None,
            variant: None,
            why: None,
            began,
            at,
            waited: 0,
            compiler: 0,
            saved: 0,
            total: at - began,
            ended: Ended::Code(0),
            inputs: Vec::new(),
            steps: Vec::new(),
            names: Vec::new(),
            run: None,
        }
    }

    #[test]
    fn what_overlaps_on_one_thread_gets_lanes_of_its_own() {
        let builder = |thread| Builder {
            pid: 10,
            thread,
            name: "make".into(),
        };
        let events = [
            event(1000, 3000),
            event(2000, 4000),
            event(3000, 5000),
            event(2000, 2500),
        ];
        let builders = [builder(10), builder(10), builder(10), builder(11)];
        assert_eq!(lanes(&events, &builders), [0, 1, 0, 0]);
        let trace = of(&events, &builders);
        let list = trace["traceEvents"].as_array().unwrap();
        let complete: Vec<_> = list.iter().filter(|e| e["ph"] == "X").collect();
        assert_eq!(complete.len(), 4);
        assert_eq!(
            (&complete[0]["ts"], &complete[0]["dur"]),
            (&json!(0.0), &json!(2.0))
        );
        assert_eq!(complete[0]["name"], "compile x.o");
        let names: Vec<_> = list
            .iter()
            .filter(|e| e["name"] == "thread_name")
            .map(|e| e["args"]["name"].clone())
            .collect();
        assert_eq!(names, ["thread 10", "thread 10 (2)", "thread 11"]);
    }
}
