//! Who built: one builder for each thread that runs commands in turn, as far as lineages tell.

use std::collections::HashMap;

use crate::events::Logged;
use crate::lineage::{Lineage, Step};

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
/// the nearest that started more than one of these commands (a shell between starts just one). What is above all of the
/// events is no builder: a terminal or a session manager with threads of its own.
pub(super) fn builders(events: &[Logged]) -> Vec<Builder> {
    let mut started: HashMap<(u32, u64), usize> = HashMap::new();
    for event in events {
        for step in &event.steps {
            *started.entry((step.pid, step.start)).or_default() += 1;
        }
    }
    let of = |event: &Logged| {
        let commands = |s: &Step| started[&(s.pid, s.start)];
        // The first that all have in common is still one: the process whose threads build.
        let common = event
            .steps
            .iter()
            .position(|s| commands(s) == events.len() && events.len() > 1);
        let below = &event.steps[..common.map_or(event.steps.len(), |n| n + 1)];
        let nearest = below
            .iter()
            .position(threaded)
            .or_else(|| below.iter().position(|s| commands(s) > 1))
            .or_else(|| (!below.is_empty()).then_some(0));
        nearest.map_or(
            Builder {
                pid: 0,
                thread: 0,
                name: String::new(),
            },
            |n| Builder::of(&below[n], event.names.get(n)),
        )
    };
    events.iter().map(of).collect()
}

/// Whether the step was forked by another thread than its process's main one. Not so init, which is above everything.
fn threaded(step: &Step) -> bool {
    step.pid != 1 && step.thread != 0 && step.thread != step.pid
}

/// Who made one claim: the nearest ancestor that forked from a thread other than its main one, else the nearest. Our own
/// ancestors are no builders.
pub(super) fn claimant<'a>(lineage: &'a Lineage, here: &Lineage) -> Option<&'a Step> {
    let own = |s: &Step| here.steps.iter().any(|h| h.same_process(s));
    let below = lineage.steps.iter().take_while(|s| !own(s));
    below
        .into_iter()
        .find(|s| threaded(s))
        .or(lineage.steps.first())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Ended;

    /// An event whose ancestors are these `(process, thread)`s, nearest first.
    fn event(steps: &[(u32, u32)]) -> Logged {
        let step = |(pid, thread): &(u32, u32)| Step {
            pid: *pid,
            start: 1,
            thread: *thread,
            thread_start: 1,
        };
        Logged {
            kind: "compile".into(),
            what: "compile".into(),
            output: "x.o".into(),
            source: None,
            directory: None,
            key: None,
            variant: None,
            why: None,
            began: 0,
            at: 0,
            waited: 0,
            compiler: 0,
            saved: 0,
            total: 0,
            ended: Ended::Code(0),
            inputs: Vec::new(),
            steps: steps.iter().map(step).collect(),
            names: Vec::new(),
            run: None,
        }
    }

    fn of(events: &[Logged]) -> Vec<(u32, u32)> {
        builders(events)
            .into_iter()
            .map(|b| (b.pid, b.thread))
            .collect()
    }

    #[test]
    fn threads_of_one_process() {
        let events = [
            event(&[(20, 20), (10, 11), (2, 5), (1, 9)]),
            event(&[(21, 21), (10, 12), (2, 5), (1, 9)]),
            event(&[(10, 11), (2, 5), (1, 9)]),
        ];
        assert_eq!(of(&events), [(10, 11), (10, 12), (10, 11)]);
    }

    #[test]
    fn processes_with_a_shell_between() {
        let events = [
            event(&[(30, 30), (10, 10), (2, 2)]),
            event(&[(31, 31), (11, 11), (2, 2)]),
            event(&[(32, 32), (10, 10), (2, 2)]),
        ];
        assert_eq!(of(&events), [(10, 10), (2, 2), (10, 10)]);
    }

    #[test]
    fn what_is_above_all_is_no_builder() {
        let events = [
            event(&[(10, 10), (2, 5), (1, 9)]),
            event(&[(10, 10), (2, 5), (1, 9)]),
        ];
        assert_eq!(of(&events), [(10, 10), (10, 10)]);
        assert_eq!(of(&[event(&[(10, 10), (1, 9)])]), [(10, 10)]);
        assert_eq!(of(&[event(&[])]), [(0, 0)]);
    }
}
