//! Evidence by flags, where the order of claims decides nothing: rules 4 and 5.

use std::collections::BTreeSet;

use super::{Earlier, Flag, Object, Open, Verdict, variants};
use crate::claims::Claim;
use crate::request::Variant;

/// A candidate of an open object: its newest claim.
struct Candidate<'a> {
    object: usize,
    variant: Variant,
    signature: BTreeSet<&'a Flag>,
    claim: &'a Claim,
}

/// Decides for all open objects together, or for none.
pub(super) fn decide(
    objects: &[Object<'_>],
    open: &[Open<'_>],
    earlier: &[Earlier],
    verdicts: &mut [Option<Verdict>],
) {
    let Some((candidates, differing)) = candidates(objects, open) else {
        // Flags tell nothing here; the phases may tell all.
        if open.iter().all(|o| o.hint.is_some()) {
            for o in open {
                verdicts[o.object] = o.hint.map(Verdict::Take);
            }
        }
        return;
    };
    let complete = |s: &BTreeSet<&Flag>| {
        open.iter().all(|o| {
            candidates
                .iter()
                .any(|c| c.object == o.object && c.signature == *s)
        })
    };
    let mut sets: Vec<BTreeSet<&Flag>> = candidates.iter().map(|c| c.signature.clone()).collect();
    sets.sort();
    sets.dedup();
    let mut votes: Vec<BTreeSet<&Flag>> = Vec::new();
    let hints = open.iter().filter_map(|o| Some((o.object, o.hint?)));
    let decided = verdicts.iter().enumerate().filter_map(|(n, v)| match v {
        Some(Verdict::Take(variant)) => Some((n, *variant)),
        _ => None,
    });
    for (n, variant) in decided.chain(hints) {
        if let Some(flags) = objects[n].flags.get(&variant) {
            let vote = signature(&differing, flags);
            if sets.contains(&vote) && !votes.contains(&vote) {
                votes.push(vote);
            }
        }
    }
    let chosen = match votes.as_slice() {
        [vote] => complete(vote).then(|| vote.clone()),
        [] => {
            sets.retain(|s| complete(s));
            let counted = open.iter().all(|o| {
                !o.by_votes_only && !super::history_is_lost(&o.near[0].ancestor, &objects[o.object])
            });
            counted
                .then(|| waiting(&sets, &candidates, open, earlier))
                .flatten()
        }
        _ => None,
    };
    if let Some(chosen) = chosen {
        for candidate in candidates.iter().filter(|c| c.signature == chosen) {
            verdicts[candidate.object] = Some(Verdict::Take(candidate.variant));
        }
    }
}

/// The flags of one variant among those in which candidates differ.
fn signature<'a>(differing: &BTreeSet<&'a Flag>, flags: &'a BTreeSet<Flag>) -> BTreeSet<&'a Flag> {
    flags.iter().filter(|f| differing.contains(f)).collect()
}

/// The newest claim of each set of flags of each open object, and the flags in which they differ. `None`: flags tell nothing.
fn candidates<'a>(
    objects: &'a [Object<'_>],
    open: &'a [Open<'_>],
) -> Option<(Vec<Candidate<'a>>, BTreeSet<&'a Flag>)> {
    // A variant whose record is lost has flags that aren't known: nothing can be told by them.
    let known = |o: &Open<'_>| {
        let flags = &objects[o.object].flags;
        o.near.iter().all(|n| flags.contains_key(&n.claim.variant))
    };
    if !open.iter().all(known) {
        return None;
    }
    let flags = |object: usize, variant: &Variant| &objects[object].flags[variant];
    let mut differing: BTreeSet<&Flag> = BTreeSet::new();
    for Open {
        object: n, near, ..
    } in open
    {
        let sets: Vec<&BTreeSet<Flag>> = variants(near.iter().map(|c| c.claim))
            .iter()
            .map(|v| flags(*n, v))
            .collect();
        for set in &sets {
            differing.extend(set.iter().filter(|f| !sets.iter().all(|s| s.contains(*f))));
        }
    }
    let signature =
        |object: usize, variant: &Variant| signature(&differing, flags(object, variant));
    let mut candidates: Vec<Candidate<'_>> = Vec::new();
    for Open {
        object: n, near, ..
    } in open
    {
        // Newest first: of variants of one request (a header was edited in between) the newest stands. Requests that flags
        // don't tell apart (another directory, variable or compiler) can't be told by them.
        for near in near.iter().rev() {
            let signature = signature(*n, &near.claim.variant);
            match candidates
                .iter()
                .find(|c| c.object == *n && c.signature == signature)
            {
                Some(same) if same.claim.key != near.claim.key => return None,
                Some(_) => {}
                None => candidates.push(Candidate {
                    object: *n,
                    variant: near.claim.variant,
                    signature,
                    claim: near.claim,
                }),
            }
        }
    }
    Some((candidates, differing))
}

/// Rule 5: the one set whose objects were all asked for more often than they were linked together.
fn waiting<'a>(
    sets: &[BTreeSet<&'a Flag>],
    candidates: &[Candidate<'a>],
    open: &[Open<'_>],
    earlier: &[Earlier],
) -> Option<BTreeSet<&'a Flag>> {
    let waits = |set: &&BTreeSet<&'a Flag>| {
        let members: Vec<&Candidate<'a>> =
            candidates.iter().filter(|c| c.signature == **set).collect();
        let asked = open.iter().map(|o| {
            let of_set = |variant| {
                members
                    .iter()
                    .any(|c| c.object == o.object && c.variant == variant)
            };
            o.near.iter().filter(|c| of_set(c.claim.variant)).count()
        });
        let linked = earlier
            .iter()
            .filter(|e| {
                open.iter().any(|o| {
                    e.lineage
                        .steps
                        .iter()
                        .any(|s| s.same_process(&o.near[0].ancestor))
                })
            })
            .filter(|e| {
                members
                    .iter()
                    .all(|c| e.took.contains(&(c.object, c.variant)))
            })
            .count();
        asked.min().unwrap_or(0) > linked
    };
    let mut waiting = sets.iter().filter(waits);
    match (waiting.next(), waiting.next()) {
        (Some(one), None) => Some(one.clone()),
        _ => None,
    }
}
