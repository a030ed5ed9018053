//! Which variant of each object a link must take: the rules of DESIGN section 5, as a pure function of the claims.
//!
//! Strongest first:
//!
//! 1. One variant only: no evidence is needed.
//! 2. **Program order.** The nearest common ancestor of the link and the claims; if one thread of it made them all, or the
//!    thread that forked the link made some, and that thread waits for its commands in turn, its last claim decides.
//! 3. **Flags.** Claims of that process by other threads (compile pools), or of a thread that runs commands side by side
//!    (make -j): all objects of one extension are compiled with the same flags, so the objects of the link must agree in those
//!    flags in which candidates differ. Objects with one candidate vote.
//! 4. If several sets of flags would do: the set that has been completed and not been linked yet, or the last one if they
//!    were made one after the other. Sets made at the same time and both waiting are not told apart.
//! 5. No claim of a common ancestor: the one variant that anything living claims.
//!
//! What remains is ambiguous, and the link stops.

use std::collections::{BTreeMap, BTreeSet};

use crate::claims::Claim;
use crate::lineage::{self, Lineage, Step};
use crate::request::Variant;

/// A flag, as it stands on the command line.
pub type Flag = Vec<u8>;

/// One guarded object of a link.
pub struct Object<'a> {
    /// Its claims, oldest first.
    pub claims: &'a [Claim],
    /// The flags of each variant, as far as records tell.
    pub flags: BTreeMap<Variant, BTreeSet<Flag>>,
}

/// An earlier link that took objects of this one.
pub struct Earlier {
    /// When, ns of CLOCK_BOOTTIME.
    pub at: u64,
    /// By whom.
    pub lineage: Lineage,
    /// Object (its index in the present link) and what was taken.
    pub took: Vec<(usize, Variant)>,
}

/// What the evidence says of one object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// This variant.
    Take(Variant),
    /// Nobody claims any: the path stays as it is.
    Unclaimed,
    /// It can't be known.
    Ambiguous,
}

/// The claims of one object that count, with their place in the chain.
struct Near<'a> {
    claim: &'a Claim,
    /// The common ancestor as the claim saw it.
    ancestor: Step,
    /// The ancestor's child on the claim's side; `None`: the wrapper itself.
    branch: Option<Step>,
}

/// Decides for all objects of a link.
pub fn decide(
    link: &Lineage,
    objects: &[Object<'_>],
    earlier: &[Earlier],
    alive: &dyn Fn(&Step) -> bool,
) -> Vec<Verdict> {
    let mut verdicts: Vec<Option<Verdict>> = Vec::with_capacity(objects.len());
    let mut open: Vec<(usize, Vec<Near<'_>>)> = Vec::new();
    for (n, object) in objects.iter().enumerate() {
        let verdict = match variants(object.claims.iter()).as_slice() {
            [] => Some(Verdict::Unclaimed),
            [only] => Some(Verdict::Take(*only)),
            _ => None,
        };
        verdicts.push(verdict);
        if verdict.is_none() {
            open.push((n, nearest(link, object.claims)));
        }
    }
    open.retain(|(n, near)| {
        verdicts[*n] = if near.is_empty() {
            Some(by_life(objects[*n].claims, alive))
        } else {
            by_order(link, near, objects, earlier, alive)
        };
        verdicts[*n].is_none()
    });
    if !open.is_empty() {
        by_flags(objects, &open, earlier, &mut verdicts);
    }
    verdicts
        .into_iter()
        .map(|v| v.unwrap_or(Verdict::Ambiguous))
        .collect()
}

fn variants<'a>(claims: impl Iterator<Item = &'a Claim>) -> Vec<Variant> {
    let mut all: Vec<Variant> = claims.map(|c| c.variant).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// The claims with the nearest common ancestor, oldest first.
fn nearest<'a>(link: &Lineage, claims: &'a [Claim]) -> Vec<Near<'a>> {
    let mut best = usize::MAX;
    let mut near = Vec::new();
    for claim in claims.iter().filter(|c| c.lineage.host == link.host) {
        let steps = &claim.lineage.steps;
        let common = link
            .steps
            .iter()
            .enumerate()
            .find_map(|(i, s)| Some((i, steps.iter().position(|c| c.same_process(s))?)));
        let Some((distance, at)) = common else {
            continue;
        };
        if distance < best {
            best = distance;
            near.clear();
        }
        if distance == best {
            near.push(Near {
                claim,
                ancestor: steps[at],
                branch: at.checked_sub(1).map(|n| steps[n]),
            });
        }
    }
    near
}

/// Rule 2, and the trivial case that the nearest ancestor saw one variant only.
fn by_order(
    link: &Lineage,
    near: &[Near<'_>],
    objects: &[Object<'_>],
    earlier: &[Earlier],
    alive: &dyn Fn(&Step) -> bool,
) -> Option<Verdict> {
    if let [only] = variants(near.iter().map(|n| n.claim)).as_slice() {
        return Some(Verdict::Take(*only));
    }
    let at = link
        .steps
        .iter()
        .position(|s| s.same_process(&near[0].ancestor))?;
    let ours = &link.steps[at];
    let our_branch = at.checked_sub(1).map(|n| link.steps[n]);
    let own: Vec<&Near<'_>> = near
        .iter()
        .filter(|n| n.ancestor.same_thread(ours))
        .collect();
    let last = own.last()?;
    if (at == 0 && link.concurrent) || !in_turn(&own, our_branch, alive) {
        return None;
    }
    let others_are_newer = near
        .iter()
        .any(|n| !n.ancestor.same_thread(ours) && n.claim.at > last.claim.at);
    if others_are_newer && moved_on(ours, objects, earlier) {
        return None;
    }
    Some(Verdict::Take(last.claim.variant))
}

/// Whether a thread's claims were made one after the other: each command ended before the next began, none is still running.
fn in_turn(own: &[&Near<'_>], our_branch: Option<Step>, alive: &dyn Fn(&Step) -> bool) -> bool {
    let mut last: Option<(&Near<'_>, u64)> = None;
    for near in own {
        let begun = match &near.branch {
            // A start is rounded down to its tick.
            Some(branch) => branch
                .start
                .saturating_mul(lineage::tick_ns())
                .saturating_add(lineage::tick_ns()),
            None => {
                if near.claim.lineage.concurrent {
                    return false;
                }
                near.claim.lineage.began
            }
        };
        let other_branch = |step: &Option<Step>| match (&near.branch, step) {
            (Some(a), Some(b)) => !a.same_process(b),
            _ => true,
        };
        if let Some((before, ended)) = last
            && other_branch(&before.branch)
            && begun < ended
        {
            return false;
        }
        if let Some(branch) = &near.branch
            && other_branch(&our_branch)
            && alive(branch)
        {
            return false;
        }
        last = Some((near, near.claim.at.max(last.map_or(0, |(_, at)| at))));
    }
    true
}

/// Whether the thread has linked since it last asked for any object of this link: then others may compile for it now (a
/// builder that compiles small extensions itself and large ones in a pool).
fn moved_on(thread: &Step, objects: &[Object<'_>], earlier: &[Earlier]) -> bool {
    let by_thread = |l: &Lineage| l.steps.iter().any(|s| s.same_thread(thread));
    let Some(linked) = earlier
        .iter()
        .filter(|e| by_thread(&e.lineage))
        .map(|e| e.at)
        .max()
    else {
        return false;
    };
    !objects
        .iter()
        .flat_map(|o| o.claims)
        .any(|c| c.at > linked && by_thread(&c.lineage))
}

/// Rule 5.
fn by_life(claims: &[Claim], alive: &dyn Fn(&Step) -> bool) -> Verdict {
    let living = claims
        .iter()
        .filter(|c| c.lineage.steps.iter().any(|s| s.pid != 1 && alive(s)));
    match variants(living).as_slice() {
        [] => Verdict::Unclaimed,
        [only] => Verdict::Take(*only),
        _ => Verdict::Ambiguous,
    }
}

/// A candidate of an open object: its newest claim.
struct Candidate<'a> {
    object: usize,
    variant: Variant,
    signature: BTreeSet<&'a Flag>,
    claim: &'a Claim,
}

/// Rules 3 and 4, for all open objects together.
fn by_flags(
    objects: &[Object<'_>],
    open: &[(usize, Vec<Near<'_>>)],
    earlier: &[Earlier],
    verdicts: &mut [Option<Verdict>],
) {
    let none = BTreeSet::new();
    let flags =
        |object: usize, variant: &Variant| objects[object].flags.get(variant).unwrap_or(&none);
    let mut differing: BTreeSet<&Flag> = BTreeSet::new();
    for (n, near) in open {
        let sets: Vec<&BTreeSet<Flag>> = variants(near.iter().map(|c| c.claim))
            .iter()
            .map(|v| flags(*n, v))
            .collect();
        for set in &sets {
            differing.extend(set.iter().filter(|f| !sets.iter().all(|s| s.contains(*f))));
        }
    }
    let signature = |object: usize, variant: &Variant| -> BTreeSet<&Flag> {
        flags(object, variant)
            .iter()
            .filter(|f| differing.contains(f))
            .collect()
    };
    let mut candidates: Vec<Candidate<'_>> = Vec::new();
    for (n, near) in open {
        // Newest first: of variants of one request (a header was edited in between) the newest stands. Requests that flags
        // don't tell apart (another directory, variable or compiler) can't be told by them.
        for near in near.iter().rev() {
            let signature = signature(*n, &near.claim.variant);
            match candidates
                .iter()
                .find(|c| c.object == *n && c.signature == signature)
            {
                Some(same) if same.claim.key != near.claim.key => return,
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
    let complete = |s: &BTreeSet<&Flag>| {
        open.iter().all(|(n, _)| {
            candidates
                .iter()
                .any(|c| c.object == *n && c.signature == *s)
        })
    };
    let mut sets: Vec<BTreeSet<&Flag>> = candidates.iter().map(|c| c.signature.clone()).collect();
    sets.sort();
    sets.dedup();
    let mut votes: Vec<BTreeSet<&Flag>> = Vec::new();
    for (n, verdict) in verdicts.iter().enumerate() {
        if let Some(Verdict::Take(variant)) = verdict {
            let vote = signature(n, variant);
            if sets.contains(&vote) && !votes.contains(&vote) {
                votes.push(vote);
            }
        }
    }
    let chosen = match votes.as_slice() {
        [vote] => complete(vote).then(|| vote.clone()),
        [] => {
            sets.retain(|s| complete(s));
            completed_last(&sets, &candidates, earlier)
        }
        _ => None,
    };
    if let Some(chosen) = chosen {
        for candidate in candidates.iter().filter(|c| c.signature == chosen) {
            verdicts[candidate.object] = Some(Verdict::Take(candidate.variant));
        }
    }
}

/// Rule 4.
fn completed_last<'a>(
    sets: &[BTreeSet<&'a Flag>],
    candidates: &[Candidate<'a>],
    earlier: &[Earlier],
) -> Option<BTreeSet<&'a Flag>> {
    let members = |s: &BTreeSet<&Flag>| -> Vec<&Candidate<'a>> {
        candidates.iter().filter(|c| c.signature == *s).collect()
    };
    // A set is there when its last member is, and begins with its first.
    let spans: Vec<(u64, u64, &BTreeSet<&'a Flag>)> = sets
        .iter()
        .map(|s| {
            let members = members(s);
            let begun = members
                .iter()
                .map(|c| c.claim.lineage.began)
                .min()
                .unwrap_or(0);
            let ended = members.iter().map(|c| c.claim.at).max().unwrap_or(0);
            (begun, ended, s)
        })
        .collect();
    let linked = |ended: u64, set: &BTreeSet<&Flag>| {
        let members = members(set);
        earlier.iter().any(|e| {
            e.at >= ended
                && members
                    .iter()
                    .all(|c| e.took.contains(&(c.object, c.variant)))
        })
    };
    let waiting: Vec<_> = spans
        .iter()
        .filter(|(_, ended, set)| !linked(*ended, set))
        .collect();
    let of = if waiting.is_empty() {
        spans.iter().collect()
    } else {
        waiting
    };
    let last = of.iter().max_by_key(|(begun, ended, _)| (*ended, *begun))?;
    let one_after_the_other = of
        .iter()
        .all(|(begun, ended, set)| (*begun, *ended, *set) == **last || *ended <= last.0);
    one_after_the_other.then(|| last.2.clone())
}

#[cfg(test)]
#[path = "evidence/tests.rs"]
mod tests;
