use super::*;
use crate::claims::{How, Lost};
use crate::request::Key;
use crate::stamp::Stamp;

fn step(pid: u32, thread: u32) -> Step {
    Step {
        pid,
        start: u64::from(pid),
        thread,
        thread_start: 0,
    }
}

fn lineage(began: u64, steps: &[Step]) -> Lineage {
    Lineage {
        host: 1,
        began,
        beside: Beside::Nothing,
        steps: steps.to_vec(),
    }
}

/// A claim of variant `v` that began at `began` and ended at `at`.
fn claim(v: u8, began: u64, at: u64, steps: &[Step]) -> Claim {
    let stamp = Stamp::default();
    Claim {
        variant: Variant([v; 16]),
        key: Key([v; 16]),
        stamp,
        how: How::Compiled,
        settled: true,
        at,
        lineage: lineage(began, steps),
    }
}

fn object<'a>(claims: &'a [Claim], flags: &[(u8, &str)]) -> Object<'a> {
    let mut map: BTreeMap<Variant, BTreeSet<Flag>> = BTreeMap::new();
    for (v, words) in flags {
        map.insert(
            Variant([*v; 16]),
            words.split(' ').map(|w| w.as_bytes().to_vec()).collect(),
        );
    }
    Object {
        claims,
        flags: map,
        shortened: 0,
        lost: None,
    }
}

fn take(v: u8) -> Verdict {
    Verdict::Take(Variant([v; 16]))
}

const DEAD: fn(&Step) -> bool = |_| false;

/// setuptools: process 10, builder threads 11 and 12.
#[test]
fn a_builder_thread_takes_what_it_asked_for() {
    let claims = [
        claim(1, 10, 20, &[step(10, 11), step(2, 2)]),
        claim(2, 15, 30, &[step(10, 12), step(2, 2)]),
    ];
    let of = |thread| {
        decide(
            &lineage(40, &[step(10, thread), step(2, 2)]),
            &[object(&claims, &[])],
            &[],
            &DEAD,
        )[0]
    };
    assert_eq!(of(11), take(1));
    assert_eq!(of(12), take(2));
    assert_eq!(
        of(13),
        Verdict::Ambiguous,
        "a thread that compiled nothing, and no flags"
    );
}

#[test]
fn each_command_in_a_shell_of_its_own() {
    let claims = [
        claim(1, 10, 20, &[step(50, 50), step(10, 11), step(2, 2)]),
        claim(2, 15, 30, &[step(51, 51), step(10, 12), step(2, 2)]),
    ];
    let link = lineage(40, &[step(60, 60), step(10, 11), step(2, 2)]);
    assert_eq!(
        decide(&link, &[object(&claims, &[])], &[], &DEAD)[0],
        take(1)
    );
}

#[test]
fn a_shell_that_runs_all_is_nearer_than_its_parent() {
    let claims = [
        claim(1, 10, 20, &[step(50, 50), step(10, 10)]),
        claim(2, 15, 30, &[step(51, 51), step(10, 10)]),
    ];
    let link = lineage(40, &[step(50, 50), step(10, 10)]);
    assert_eq!(
        decide(&link, &[object(&claims, &[])], &[], &|_| true)[0],
        take(1)
    );
}

#[test]
fn one_thread_in_turn_is_program_order() {
    let claims = [
        claim(1, 10, 20, &[step(10, 10)]),
        claim(2, 21, 30, &[step(10, 10)]),
    ];
    assert_eq!(
        decide(
            &lineage(40, &[step(10, 10)]),
            &[object(&claims, &[])],
            &[],
            &DEAD
        )[0],
        take(2)
    );
}

#[test]
fn one_thread_side_by_side_is_not() {
    let overlapping = [
        claim(1, 10, 25, &[step(10, 10)]),
        claim(2, 21, 30, &[step(10, 10)]),
    ];
    let link = lineage(40, &[step(10, 10)]);
    assert_eq!(
        decide(&link, &[object(&overlapping, &[])], &[], &DEAD)[0],
        Verdict::Ambiguous
    );
    let mut flagged = [
        claim(1, 10, 20, &[step(10, 10)]),
        claim(2, 21, 30, &[step(10, 10)]),
    ];
    flagged[1].lineage.beside = Beside::Others;
    assert_eq!(
        decide(&link, &[object(&flagged, &[])], &[], &DEAD)[0],
        Verdict::Ambiguous
    );
}

#[test]
fn living_workers_of_a_process_pool_are_side_by_side() {
    let claims = [
        claim(1, 10, 20, &[step(70, 70), step(10, 10)]),
        claim(2, 21, 30, &[step(71, 71), step(10, 10)]),
    ];
    let own = [claim(3, 5, 9, &[step(70, 70), step(10, 10)])];
    let link = lineage(40, &[step(10, 10)]);
    let objects = [
        object(&claims, &[(1, "-O2 -DV=1"), (2, "-O2 -DV=2")]),
        object(&own, &[(3, "-O2 -DV=1")]),
    ];
    assert_eq!(
        decide(&link, &objects, &[], &|s| s.pid >= 70)[0],
        take(1),
        "the object of its own has -DV=1"
    );
}

/// A pool per builder: threads 20.. compile, 11 and 12 link.
#[test]
fn flags_decide_between_pools() {
    let shared = [
        claim(1, 10, 30, &[step(10, 20)]),
        claim(2, 11, 31, &[step(10, 21)]),
    ];
    let own = [claim(9, 10, 20, &[step(10, 22)])];
    let flags = [(1, "-DV=1 -O2 -DX"), (2, "-DV=2 -O2 -DX")];
    for (mine, expected) in [
        ("-DV=1 -O2", take(1)),
        ("-DV=2 -O2", take(2)),
        ("-O2", Verdict::Ambiguous),
    ] {
        let objects = [object(&shared, &flags), object(&own, &[(9, mine)])];
        assert_eq!(
            decide(&lineage(40, &[step(10, 11)]), &objects, &[], &DEAD)[0],
            expected,
            "{mine}"
        );
    }
}

#[test]
fn votes_that_contradict_each_other_decide_nothing() {
    let shared = [
        claim(1, 10, 30, &[step(10, 20)]),
        claim(2, 11, 31, &[step(10, 21)]),
    ];
    let (a, b) = (
        [claim(8, 1, 2, &[step(10, 20)])],
        [claim(9, 1, 2, &[step(10, 20)])],
    );
    let objects = [
        object(&shared, &[(1, "-DV=1"), (2, "-DV=2")]),
        object(&a, &[(8, "-DV=1")]),
        object(&b, &[(9, "-DV=2")]),
    ];
    assert_eq!(
        decide(&lineage(40, &[step(10, 11)]), &objects, &[], &DEAD)[0],
        Verdict::Ambiguous
    );
}

#[test]
fn a_set_that_was_linked_is_used_up() {
    let a = [
        claim(1, 10, 30, &[step(10, 20)]),
        claim(2, 11, 31, &[step(10, 21)]),
    ];
    let b = [
        claim(3, 10, 32, &[step(10, 20)]),
        claim(4, 11, 33, &[step(10, 21)]),
    ];
    let objects = || {
        [
            object(&a, &[(1, "-DV=1"), (2, "-DV=2")]),
            object(&b, &[(3, "-DV=1"), (4, "-DV=2")]),
        ]
    };
    let link = lineage(40, &[step(10, 11)]);
    assert_eq!(
        decide(&link, &objects(), &[], &DEAD),
        [Verdict::Ambiguous; 2],
        "both wait, made side by side"
    );
    let took = |v: u8, w: u8| vec![(0, Variant([v; 16])), (1, Variant([w; 16]))];
    let earlier = [Earlier {
        at: 35,
        lineage: lineage(34, &[step(10, 12)]),
        took: took(2, 4),
    }];
    assert_eq!(
        decide(&link, &objects(), &earlier, &DEAD),
        [take(1), take(3)]
    );
    let both = [
        Earlier {
            at: 35,
            lineage: lineage(34, &[step(10, 12)]),
            took: took(2, 4),
        },
        Earlier {
            at: 36,
            lineage: lineage(34, &[step(10, 13)]),
            took: took(1, 3),
        },
    ];
    assert_eq!(
        decide(&link, &objects(), &both, &DEAD),
        [Verdict::Ambiguous; 2],
        "none waits"
    );
}

/// Thread 11 compiled and linked; thread 12 compiled since; 11 links another program of its objects.
#[test]
fn a_second_link_does_not_take_what_waits_for_another_thread() {
    let shared = [
        claim(1, 10, 20, &[step(10, 11)]),
        claim(2, 30, 40, &[step(10, 12)]),
    ];
    let link = lineage(50, &[step(10, 11)]);
    let earlier = [Earlier {
        at: 25,
        lineage: lineage(21, &[step(10, 11)]),
        took: vec![(0, Variant([1; 16]))],
    }];
    let objects = [object(&shared, &[(1, "-DV=1"), (2, "-DV=2")])];
    assert_eq!(
        decide(&link, &objects, &earlier, &DEAD)[0],
        Verdict::Ambiguous
    );
    let own = [claim(9, 10, 21, &[step(10, 11)])];
    let objects = [
        object(&shared, &[(1, "-DV=1"), (2, "-DV=2")]),
        object(&own, &[(9, "-DV=1")]),
    ];
    assert_eq!(
        decide(&link, &objects, &earlier, &DEAD)[0],
        take(1),
        "its own object tells"
    );
}

/// Rule 3: thread 11 has a pool compile for it, round after round; 12 does the same with objects of its own.
#[test]
fn what_only_this_thread_ever_linked_is_its_own_again() {
    let own = [
        claim(1, 10, 20, &[step(10, 21)]),
        claim(2, 30, 40, &[step(10, 31)]),
    ];
    let link = lineage(50, &[step(10, 11)]);
    let by = |thread| {
        [Earlier {
            at: 26,
            lineage: lineage(22, &[step(10, thread)]),
            took: vec![(0, Variant([1; 16]))],
        }]
    };
    let objects = [object(&own, &[(1, "-DV=1"), (2, "-DV=2")])];
    assert_eq!(decide(&link, &objects, &by(11), &DEAD)[0], take(2));
    let shared = [
        own[0].clone(),
        own[1].clone(),
        claim(3, 31, 41, &[step(10, 32)]),
    ];
    let objects = [object(&shared, &[(1, "-DV=1"), (2, "-DV=2"), (3, "-DV=3")])];
    assert_eq!(
        decide(&link, &objects, &by(11), &DEAD)[0],
        Verdict::Ambiguous,
        "claimed twice since"
    );
}

#[test]
fn flags_that_are_not_known_tell_nothing() {
    let shared = [
        claim(1, 10, 30, &[step(10, 20)]),
        claim(2, 11, 31, &[step(10, 21)]),
    ];
    let own = [claim(9, 10, 20, &[step(10, 22)])];
    let objects = [
        object(&shared, &[(1, "-DV=1")]),
        object(&own, &[(9, "-O2")]),
    ];
    assert_eq!(
        decide(&lineage(40, &[step(10, 11)]), &objects, &[], &DEAD)[0],
        Verdict::Ambiguous
    );
}

/// Thread 11 compiled one extension itself and linked it; the next is compiled by a pool.
#[test]
fn an_old_claim_of_the_linking_thread_does_not_win_over_its_pool() {
    let shared = [
        claim(1, 10, 20, &[step(10, 11)]),
        claim(2, 30, 40, &[step(10, 21)]),
    ];
    let own = [claim(9, 30, 41, &[step(10, 22)])];
    let objects = || {
        [
            object(&shared, &[(1, "-DV=1"), (2, "-DV=2")]),
            object(&own, &[(9, "-DV=2")]),
        ]
    };
    let link = lineage(50, &[step(10, 11)]);
    let earlier = [Earlier {
        at: 25,
        lineage: lineage(21, &[step(10, 11)]),
        took: vec![(0, Variant([1; 16]))],
    }];
    assert_eq!(decide(&link, &objects(), &earlier, &DEAD)[0], take(2));
    assert_eq!(
        decide(&link, &objects(), &[], &DEAD)[0],
        take(1),
        "not linked yet: the claim stands"
    );
}

#[test]
fn strangers() {
    let shared = [
        claim(1, 10, 20, &[step(10, 11)]),
        claim(2, 30, 40, &[step(12, 12)]),
    ];
    let link = lineage(50, &[step(99, 99)]);
    let of = |alive: &dyn Fn(&Step) -> bool| decide(&link, &[object(&shared, &[])], &[], alive)[0];
    assert_eq!(
        of(&|_| false),
        Verdict::Unclaimed,
        "all are gone: the path's content is the last word"
    );
    assert_eq!(of(&|s| s.pid == 10), take(1));
    assert_eq!(of(&|_| true), Verdict::Ambiguous);
    let mut elsewhere = link.clone();
    elsewhere.host = 2;
    elsewhere.steps = vec![step(10, 11)];
    assert_eq!(
        decide(&elsewhere, &[object(&shared, &[])], &[], &DEAD)[0],
        Verdict::Unclaimed,
        "another host's ids don't compare"
    );
}

/// Thread 11 compiles one object itself and has a pool compile the rest; which one changes by round.
#[test]
fn a_builder_that_compiles_some_itself_takes_the_rest_from_its_pool() {
    let shared = [
        claim(1, 10, 20, &[step(10, 11)]),
        claim(2, 30, 40, &[step(10, 21)]),
        claim(3, 31, 41, &[step(10, 99)]),
    ];
    let own = [
        claim(8, 10, 20, &[step(10, 20)]),
        claim(9, 30, 41, &[step(10, 11)]),
    ];
    let link = lineage(50, &[step(10, 11)]);
    let earlier = [Earlier {
        at: 26,
        lineage: lineage(22, &[step(10, 11)]),
        took: vec![(0, Variant([1; 16])), (1, Variant([8; 16]))],
    }];
    let objects = [
        object(&shared, &[(1, "-DV=1"), (2, "-DV=2"), (3, "-DV=3")]),
        object(&own, &[(8, "-DV=1"), (9, "-DV=2")]),
    ];
    assert_eq!(decide(&link, &objects, &earlier, &DEAD), [take(2), take(9)]);
}

/// Claims were lost after the first `known` ones, before the time `at` of this host's clock.
fn lost<'a>(claims: &'a [Claim], known: usize, at: u64) -> Object<'a> {
    Object {
        lost: Some(Lost {
            entries: known,
            host: 1,
            at,
        }),
        ..object(claims, &[])
    }
}

/// Starts of processes are in ticks.
fn began(pid: u32, thread: u32, at: u64) -> Step {
    Step {
        start: at / lineage::tick_ns(),
        ..step(pid, thread)
    }
}

#[test]
fn after_a_loss_only_a_later_claim_of_the_own_thread_counts() {
    let claims = [
        claim(1, 10, 20, &[step(10, 11)]),
        claim(2, 30, 40, &[step(10, 12)]),
    ];
    let of = |thread, object: Object<'_>| {
        decide(&lineage(50, &[step(10, thread)]), &[object], &[], &DEAD)[0]
    };
    let never = u64::MAX;
    for thread in [11, 12, 13] {
        assert_eq!(of(thread, lost(&claims, 2, never)), Verdict::Ambiguous);
    }
    assert_eq!(of(11, lost(&claims, 1, never)), Verdict::Ambiguous);
    assert_eq!(of(12, lost(&claims, 1, never)), take(2));
    assert_eq!(of(11, lost(&claims, 0, never)), take(1));
    assert_eq!(
        of(11, lost(&claims[..1], 1, never)),
        Verdict::Ambiguous,
        "one variant is left, but there may have been more"
    );
    assert_eq!(of(11, lost(&[], 0, never)), Verdict::Ambiguous);
}

#[test]
fn a_process_that_began_after_the_loss_has_lost_nothing() {
    let second = 1_000_000_000;
    let new = |thread| began(10, thread, 100 * second);
    let old = began(5, 5, 10 * second);
    let claims = [
        claim(1, 1, 2, &[began(7, 7, 20 * second), old]),
        claim(2, 101 * second, 102 * second, &[new(11), old]),
    ];
    let link = |steps: &[Step]| {
        decide(
            &lineage(110 * second, steps),
            &[lost(&claims, 1, 50 * second)],
            &[],
            &DEAD,
        )[0]
    };
    assert_eq!(
        link(&[new(12), old]),
        take(2),
        "a pool's claim, and the only one of its process"
    );
    assert_eq!(link(&[began(8, 8, 30 * second), old]), Verdict::Ambiguous);
    let later = began(8, 8, 60 * second);
    assert_eq!(
        link(&[later, old]),
        take(2),
        "the common ancestor is older, but its last claim is later"
    );
}
