//! Walks through every state that can be reached, nearest first, so that the way to a broken promise is a shortest one.

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};

use crate::evidence::Memory;
use crate::promises::{self, Promise};
use crate::state::{Mutation, Scene, State};
use crate::steps::World;

/// What a walk found.
pub struct Found {
    pub states: usize,
    pub steps: usize,
    pub broken: Option<Broken>,
}

/// A broken promise and the way to it.
pub struct Broken {
    pub promise: Promise,
    way: Vec<String>,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "promise {}: {}",
            self.promise.number, self.promise.broken
        )?;
        self.way.iter().try_for_each(|step| writeln!(f, "  {step}"))
    }
}

/// More states than this are a mistake in the model.
const MOST: usize = 20_000_000;

/// Visits all states of a scene, until a promise is broken.
pub fn walk(scene: &Scene, mutation: Option<Mutation>) -> Found {
    let mut world = World {
        scene,
        mutation,
        memory: Memory::default(),
    };
    let start = State::start(scene);
    let mut known: HashSet<State, BuildHasherDefault<Fast>> = HashSet::default();
    // From which state each was reached first, and by whose step.
    let mut from: Vec<(u32, u8)> = vec![(0, 0)];
    let mut layer = vec![(start, 0)];
    known.insert(start);
    let mut steps = 0;
    while !layer.is_empty() {
        let mut later = Vec::new();
        for (state, here) in layer {
            let broken = |promise| Found {
                states: from.len(),
                steps,
                broken: Some(Broken {
                    promise,
                    way: way(scene, mutation, &from, here),
                }),
            };
            if let Some(promise) = promises::broken(&state, scene) {
                return broken(promise);
            }
            let mut moved = false;
            let mut reached: Vec<(State, u8)> = Vec::new();
            for who in 0..scene.scripts.len() as u8 {
                if let Some(next) = world.step(&state, who) {
                    moved = true;
                    reached.push((next, who));
                }
                if let Some([again, gone]) = world.kill(&state, who) {
                    reached.extend([(again, 16 + who), (gone, 32 + who)]);
                }
            }
            if !moved && let Some(promise) = promises::stuck(&state) {
                return broken(promise);
            }
            steps += reached.len();
            for (next, by) in reached {
                if known.insert(next) {
                    assert!(from.len() < MOST, "too many states");
                    later.push((next, from.len() as u32));
                    from.push((here, by));
                }
            }
        }
        layer = later;
    }
    Found {
        states: from.len(),
        steps,
        broken: None,
    }
}

/// The steps from the start to a state, played once more.
fn way(scene: &Scene, mutation: Option<Mutation>, from: &[(u32, u8)], to: u32) -> Vec<String> {
    let mut world = World {
        scene,
        mutation,
        memory: Memory::default(),
    };
    let mut moves = Vec::new();
    let mut at = to;
    while at != 0 {
        let (before, by) = from[at as usize];
        moves.push(by);
        at = before;
    }
    let mut state = State::start(scene);
    let mut way = Vec::new();
    for by in moves.into_iter().rev() {
        let who = by % 16;
        let was = state.builders[who as usize].at;
        let (next, what) = match by / 16 {
            0 => (world.step(&state, who).expect("it was taken before"), ""),
            1 => (
                world.kill(&state, who).expect("it was alive")[0],
                ", killed, runs its command again",
            ),
            _ => (
                world.kill(&state, who).expect("it was alive")[1],
                ", killed, is gone",
            ),
        };
        way.push(format!("builder {who}: {was:?}{what}"));
        state = next;
    }
    way
}

/// A quick hash of small states; nobody chooses them to collide.
#[derive(Default)]
struct Fast(u64);

impl Hasher for Fast {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, n: u8) {
        self.write_u64(u64::from(n));
    }

    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0.rotate_left(5) ^ n).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}
