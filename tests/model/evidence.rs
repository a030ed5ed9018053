//! What the program decides without looking around, decided by the program: the model's log as the program's.
//!
//! Logs are known by numbers, so that states are small, and nothing is decided twice.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use objguard::claims::{Claim, Content as OfFile, Entry, How, Log, Publish};
use objguard::evidence::{self, Earlier, Object, Verdict};
use objguard::lineage::{Beside, Lineage, Step};
use objguard::request::{Key, Variant as Named};
use objguard::stamp::Stamp;

use crate::state::{Content, Inode, Line, Linked, List, State, Variant, Who};

/// The lists that were met, and what was found out about them.
pub struct Memory {
    logs: Lists<Line>,
    links: Lists<Linked>,
    /// By log.
    facts: Vec<Facts>,
    verdicts: HashMap<(List, List, Who, u8), Verdict>,
    published: HashMap<(List, List), bool>,
}

struct Facts {
    log: Log,
    only: Option<Variant>,
}

impl Default for Memory {
    fn default() -> Memory {
        Memory {
            logs: Lists::default(),
            links: Lists::default(),
            facts: vec![Facts::of(&[])],
            verdicts: HashMap::new(),
            published: HashMap::new(),
        }
    }
}

impl Facts {
    fn of(lines: &[Line]) -> Facts {
        let log = program_log(lines);
        let only = log.only_variant().map(number);
        Facts { log, only }
    }
}

impl Memory {
    /// Appends a line to the log.
    pub fn write(&mut self, s: &mut State, line: Line) {
        s.log = self.logs.with(s.log, line);
        s.now += 1;
        if s.log.0 as usize == self.facts.len() {
            self.facts.push(Facts::of(self.logs.get(s.log)));
        }
    }

    /// Appends to the links.
    pub fn linked(&mut self, s: &mut State, linked: Linked) {
        s.links = self.links.with(s.links, linked);
        s.now += 1;
    }

    /// Which variant `who` is to take.
    pub fn decide(&mut self, s: &State, who: Who) -> Verdict {
        let began = s.builders[who as usize].began;
        let (facts, links) = (&self.facts, &self.links);
        *self
            .verdicts
            .entry((s.log, s.links, who, began))
            .or_insert_with(|| {
                let claims: Vec<Claim> = facts[s.log.0 as usize].log.claims().cloned().collect();
                let object = Object {
                    claims: &claims,
                    flags: BTreeMap::new(),
                    shortened: 0,
                    lost: None,
                };
                let earlier: Vec<Earlier> = links.get(s.links).iter().map(earlier).collect();
                // All builders are threads of one process that lives.
                evidence::decide(&lineage(who, began), &[object], &earlier, &|_| true)[0]
            })
    }

    /// The one variant that the log knows.
    pub fn only_variant(&self, log: List) -> Option<Variant> {
        self.facts[log.0 as usize].only
    }

    /// Which of the published variants is at the path, as the program sees it: by what the log knows, then by its content.
    pub fn variant_at_path(&self, s: &State) -> Option<Variant> {
        let inode = s.path?;
        match self.facts[s.log.0 as usize].log.content(&stamp(inode)) {
            OfFile::Is(variant) => Some(number(variant)),
            OfFile::Foreign => None,
            OfFile::OneOf(candidates) => {
                let Content::Whole(there) = s.files[inode as usize] else {
                    return None;
                };
                let named = candidates.iter().find(|(_, hash)| *hash == [there; 16]);
                named.map(|(variant, _)| number(*variant))
            }
        }
    }

    /// Whether anything was published between two states of the log.
    pub fn published_since(&mut self, now: List, before: List) -> bool {
        let facts = &self.facts;
        let log = |list: List| &facts[list.0 as usize].log;
        *self
            .published
            .entry((now, before))
            .or_insert_with(|| log(now).published_since(log(before)))
    }
}

/// Lists by number: each is another one and an item more.
struct Lists<T> {
    all: Vec<Vec<T>>,
    longer: HashMap<(List, T), List>,
}

impl<T> Default for Lists<T> {
    fn default() -> Lists<T> {
        Lists {
            all: vec![Vec::new()],
            longer: HashMap::new(),
        }
    }
}

impl<T: Copy + Eq + Hash> Lists<T> {
    fn get(&self, list: List) -> &[T] {
        &self.all[list.0 as usize]
    }

    fn with(&mut self, list: List, item: T) -> List {
        *self.longer.entry((list, item)).or_insert_with(|| {
            let mut longer = self.all[list.0 as usize].clone();
            longer.push(item);
            self.all.push(longer);
            List(self.all.len() as u32 - 1)
        })
    }
}

pub fn number(variant: Named) -> Variant {
    variant.0[0]
}

fn named(variant: Variant) -> Named {
    Named([variant; 16])
}

fn program_log(lines: &[Line]) -> Log {
    let entries = lines.iter().map(|line| match *line {
        Line::Publish(variant, inode) => Entry::Publish(Publish {
            variant: named(variant),
            key: Key([variant; 16]),
            stamp: stamp(inode),
            hash: [variant; 16],
        }),
        Line::Claim {
            variant,
            inode,
            who,
            began,
            at,
        } => Entry::Claim(Claim {
            variant: named(variant),
            key: Key([variant; 16]),
            stamp: stamp(inode),
            how: How::Compiled,
            // Written within a tick of the clock: the stamp proves nothing.
            settled: false,
            at: time_of(at),
            lineage: lineage(who, began),
        }),
    });
    Log {
        entries: entries.collect(),
        ..Log::default()
    }
}

fn earlier(link: &Linked) -> Earlier {
    Earlier {
        at: time_of(link.at),
        lineage: lineage(link.who, link.began),
        took: vec![(0, named(link.took))],
    }
}

/// All files are of one size and one time.
fn stamp(inode: Inode) -> Stamp {
    Stamp {
        ino: u64::from(inode),
        size: 1000,
        ..Stamp::default()
    }
}

fn time_of(event: u8) -> u64 {
    1_000_000 * u64::from(event)
}

/// A thread of the one process that all builders are.
fn lineage(who: Who, began: u8) -> Lineage {
    Lineage {
        host: 1,
        began: time_of(began) + 500_000,
        beside: Beside::Nothing,
        steps: vec![Step {
            pid: 10,
            start: 1,
            thread: 11 + u32::from(who),
            thread_start: 0,
        }],
    }
}
