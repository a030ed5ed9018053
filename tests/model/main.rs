//! The protocol, checked: every interleaving of three builders that compile and link one object, with kills at any step.
//!
//! [`state`] is what the builders share and what each of them is about to do, [`steps`] the protocol of `src/guard` cut
//! into the steps between which others can run, [`search`] walks through all reachable states, and [`promises`] says what
//! must hold in each. What the program decides by pure functions is decided by them here too: [`objguard::claims::Log`] and
//! [`objguard::evidence::decide`] ([`evidence`]).
//!
//! That the walk would find a mistake is shown by making some: each of [`Mutation::ALL`] takes one step out of the protocol,
//! and each must break a promise.

mod evidence;
mod promises;
mod search;
mod state;
mod steps;

use state::{Command, Mutation, Scene};

/// Two variants; a third builder asks for the same as the first.
const THREE: Scene = Scene {
    name: "three builders",
    scripts: &[
        &[Command::Compile(1), Command::Link],
        &[Command::Compile(2), Command::Link],
        &[Command::Compile(1), Command::Link],
    ],
    kills: 1,
};

/// One builder builds two things, one after the other.
const TURNS: Scene = Scene {
    name: "a builder that asks for one variant and then for the other",
    scripts: &[
        &[
            Command::Compile(1),
            Command::Link,
            Command::Compile(2),
            Command::Link,
        ],
        &[Command::Compile(2), Command::Link],
    ],
    kills: 2,
};

/// A variant is asked for again after another builder's.
const AGAIN: Scene = Scene {
    name: "a variant that is put back",
    scripts: &[
        &[Command::Compile(1), Command::Compile(1), Command::Link],
        &[Command::Compile(2), Command::Compile(2), Command::Link],
    ],
    kills: 2,
};

const SCENES: [Scene; 3] = [THREE, TURNS, AGAIN];

#[test]
fn the_promises_hold_in_every_state() {
    for scene in &SCENES {
        let found = search::walk(scene, None);
        if let Some(broken) = &found.broken {
            panic!("{}: {broken}", scene.name);
        }
        println!(
            "{}: {} states, {} steps",
            scene.name, found.states, found.steps
        );
        assert!(found.states > 1000, "the walk ended too soon");
    }
}

/// Each mutation must be found in at least one scene.
#[test]
fn every_mutation_is_found() {
    for mutation in Mutation::ALL {
        let found = SCENES.iter().find_map(|scene| {
            search::walk(scene, Some(mutation))
                .broken
                .map(|b| (scene.name, b))
        });
        match found {
            Some((scene, broken)) => {
                println!("{mutation:?}, {scene}: {}", broken.promise.broken);
                let expected = mutation.breaks();
                assert!(
                    expected.contains(&broken.promise.number),
                    "{mutation:?} should break one of {expected:?}: {broken}"
                );
            }
            None => panic!(
                "{mutation:?} breaks no promise: the model doesn't need the step, or doesn't see it"
            ),
        }
    }
}
