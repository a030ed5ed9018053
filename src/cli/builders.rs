//! Who built: one builder for each thread that runs commands in turn, as far as lineages tell.

use std::collections::HashMap;

use crate::events::Logged;
use crate::lineage::Step;

/// A thread that starts commands.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(super) struct Builder {
    /// Its process; 0: not known.
    pub(super) pid: u32,
    /// The thread; the process's own id for its main thread.
    pub(super) thread: u32,
    /// The command name of the process, if it was written down.
    pub(super) name: String,
}

impl Builder {
    fn of(step: &Step, name: Option<&String>) -> Builder {
        Builder {
            pid: step.pid,
            thread: if step.thread == 0 {
                step.pid
            } else {
                step.thread
            },
            name: name.cloned().unwrap_or_default(),
        }
    }

    /// `python3 123/125`: the thread only if it isn't the main one.
    pub(super) fn show(&self) -> String {
        let name = if self.name.is_empty() {
            "process"
        } else {
            &self.name
        };
        match (self.pid, self.thread) {
            (0, _) => "-".into(),
            (pid, thread) if pid == thread => format!("{name} {pid}"),
            (pid, thread) => format!("{name} {pid}/{thread}"),
        }
    }
}

/// The builder of each event: the nearest ancestor that forked from a thread other than its main one; where there is none,
/// the nearest that started more than one of these commands (a shell between starts just one).
pub(super) fn builders(events: &[Logged]) -> Vec<Builder> {
    let mut started: HashMap<(u32, u64), usize> = HashMap::new();
    for event in events {
        for step in &event.steps {
            *started.entry((step.pid, step.start)).or_default() += 1;
        }
    }
    let of = |event: &Logged| {
        let steps = event
            .steps
            .iter()
            .zip(event.names.iter().map(Some).chain(std::iter::repeat(None)));
        let threaded = steps
            .clone()
            .find(|(s, _)| s.thread != 0 && s.thread != s.pid);
        let busy = || steps.clone().find(|(s, _)| started[&(s.pid, s.start)] > 1);
        let nearest = threaded.or_else(busy).or_else(|| steps.clone().next());
        nearest.map_or(
            Builder {
                pid: 0,
                thread: 0,
                name: String::new(),
            },
            |(step, name)| Builder::of(step, name),
        )
    };
    events.iter().map(of).collect()
}
