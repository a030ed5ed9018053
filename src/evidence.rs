//! Which variant of each object a link must take: the rules of DESIGN section 5, as a pure function of the claims.
//!
//! Strongest first:
//!
//! 1. One variant only: no evidence is needed.
//! 2. **Program order.** The nearest common ancestor of the link and the claims; if the thread of it that forked the link made
//!    some, and waits for its commands in turn, its last claim decides.
//! 3. **Phases.** A thread that has its objects compiled side by side, by itself or by a pool, and then links: if between two of
//!    its links each object was claimed once and then taken, the claim since its last link is its own again.
//! 4. **Flags.** Claims of that process by other threads (compile pools), or of a thread that runs commands side by side
//!    (make -j): all objects of one extension are compiled with the same flags, so the objects of the link must agree in those
//!    flags in which candidates differ. Objects that are decided vote.
//! 5. If nothing votes: the one set of objects that was asked for more often than it was linked. Two that wait are not told
//!    apart.
//! 6. No claim of a common ancestor: the one variant that anything living claims.
//!
//! What remains is ambiguous, and the link stops.
//!
//! Where lines of a log were lost ([`Lost`]), only what can't have been among them counts: claims below an ancestor that
//! began later, or a later claim of the link's own thread, and none of a nearer ancestor.

use std::collections::{BTreeMap, BTreeSet};

use crate::claims::{Claim, Lost};
use crate::lineage::{self, Beside, Lineage, Step};
use crate::request::Variant;

mod flags;

/// A flag, as it stands on the command line.
pub type Flag = Vec<u8>;

/// One guarded object of a link.
pub struct Object<'a> {
    /// Its claims, oldest first.
    pub claims: &'a [Claim],
    /// The flags of each variant, as far as records tell.
    pub flags: BTreeMap<Variant, BTreeSet<Flag>>,
    /// Claims of living processes from before this time (ns of CLOCK_BOOTTIME) may be missing; 0: none are.
    pub shortened: u64,
    /// Where claims of anybody may be missing: [`crate::claims::Log::lost_among_claims`].
    pub lost: Option<Lost>,
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

/// An object that is not decided yet.
struct Open<'a> {
    /// Its index.
    object: usize,
    /// The claims that count.
    near: Vec<Near<'a>>,
    /// What was asked for and not linked says nothing here: the thread may link again what it compiled before, or the
    /// common ancestor is too far above to be the builder.
    by_votes_only: bool,
    /// What the phases of the linking thread say, if others compiled for it: good if nothing contradicts it.
    hint: Option<Variant>,
}

/// Decides for all objects of a link.
pub fn decide(
    link: &Lineage,
    objects: &[Object<'_>],
    earlier: &[Earlier],
    alive: &dyn Fn(&Step) -> bool,
) -> Vec<Verdict> {
    let mut verdicts: Vec<Option<Verdict>> = Vec::with_capacity(objects.len());
    let mut open: Vec<Open<'_>> = Vec::new();
    for (n, object) in objects.iter().enumerate() {
        let verdict = match (object.lost, variants(object.claims.iter()).as_slice()) {
            (Some(lost), _) => after_loss(link, n, lost, objects, earlier, alive),
            (None, []) => Some(Verdict::Unclaimed),
            (None, [only]) => Some(Verdict::Take(*only)),
            (None, _) => None,
        };
        verdicts.push(verdict);
        if verdict.is_none() {
            let (near, distance) = nearest(link, object.claims);
            open.push(Open {
                object: n,
                near,
                by_votes_only: distance > 1,
                hint: None,
            });
        }
    }
    open.retain_mut(|o| {
        verdicts[o.object] = if o.near.is_empty() {
            Some(by_life(objects[o.object].claims, alive))
        } else {
            by_history(link, o, objects, earlier, alive)
        };
        verdicts[o.object].is_none()
    });
    if !open.is_empty() {
        flags::decide(objects, &open, earlier, &mut verdicts);
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

/// The claims with the nearest common ancestor, oldest first, and how many steps above the link that is.
fn nearest<'a>(link: &Lineage, claims: &'a [Claim]) -> (Vec<Near<'a>>, usize) {
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
    (near, best)
}

/// What can be said of an object some of whose claims are lost; `None`: none that counts is.
fn after_loss(
    link: &Lineage,
    object: usize,
    lost: Lost,
    objects: &[Object<'_>],
    earlier: &[Earlier],
    alive: &dyn Fn(&Step) -> bool,
) -> Option<Verdict> {
    let began_later = |step: &Step| {
        lost.host == link.host && step.start.saturating_mul(lineage::tick_ns()) > lost.at
    };
    let claims = objects[object].claims;
    let (near, distance) = nearest(link, claims);
    if near.is_empty() || !link.steps[..distance].iter().all(began_later) {
        return Some(Verdict::Ambiguous);
    }
    let ours = &link.steps[distance];
    if began_later(ours) {
        return None;
    }
    let (near, same_distance) = nearest(link, &claims[lost.entries..]);
    let (own, others): (Vec<&Near<'_>>, Vec<_>) =
        near.iter().partition(|n| n.ancestor.same_thread(ours));
    let branch = distance.checked_sub(1).map(|n| link.steps[n]);
    let in_turn = (distance > 0 || link.beside == Beside::Nothing) && in_turn(&own, branch, alive);
    match own.last() {
        Some(last) if same_distance == distance && in_turn => {
            let newer = others.iter().any(|n| n.claim.at > last.claim.at);
            let passed = newer && taken_since(ours, object, last.claim.at, earlier);
            Some(if passed {
                Verdict::Ambiguous
            } else {
                Verdict::Take(last.claim.variant)
            })
        }
        _ => Some(Verdict::Ambiguous),
    }
}

/// Rules 2 and 3, and the trivial case that the nearest ancestor saw one variant only. Where they decide nothing, `open` is
/// left with the claims among which flags may.
fn by_history(
    link: &Lineage,
    open: &mut Open<'_>,
    objects: &[Object<'_>],
    earlier: &[Earlier],
    alive: &dyn Fn(&Step) -> bool,
) -> Option<Verdict> {
    let (object, near) = (open.object, &mut open.near);
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
    let beside = at == 0 && link.beside != Beside::Nothing;
    let by_others = || {
        let all: Vec<&Near<'_>> = near.iter().collect();
        let exclusive = !beside && only_taken_by(ours, object, earlier);
        exclusive
            .then(|| by_phases(ours, object, &all, objects, earlier))
            .flatten()
    };
    let Some(last) = own.last() else {
        open.hint = by_others();
        return None;
    };
    let others_are_newer = near
        .iter()
        .any(|n| !n.ancestor.same_thread(ours) && n.claim.at > last.claim.at);
    if others_are_newer && taken_since(ours, object, last.claim.at, earlier) {
        // Either others compile for this thread now, or it links again what it compiled before.
        if compiles(ours, objects, earlier) {
            open.hint = by_others();
        } else {
            open.by_votes_only = true;
        }
        return None;
    }
    if !beside && in_turn(&own, our_branch, alive) {
        return Some(Verdict::Take(last.claim.variant));
    }
    if at == 0
        && !beside
        && let Some(variant) = by_phases(ours, object, &own, objects, earlier)
    {
        return Some(Verdict::Take(variant));
    }
    near.retain(|n| n.ancestor.same_thread(ours));
    None
}

/// Rule 3. `claims`: those of one object by the thread, or by the pools of the process.
fn by_phases(
    thread: &Step,
    object: usize,
    claims: &[&Near<'_>],
    objects: &[Object<'_>],
    earlier: &[Earlier],
) -> Option<Variant> {
    if history_is_lost(thread, &objects[object]) {
        return None;
    }
    let mut rest = claims;
    let mut links: Vec<&Earlier> = earlier
        .iter()
        .filter(|e| by_thread(&e.lineage, thread))
        .collect();
    links.sort_by_key(|e| e.at);
    for linked in links {
        let before = rest.partition_point(|n| n.claim.at <= linked.lineage.began);
        let (phase, later) = rest.split_at(before);
        if later
            .first()
            .is_some_and(|n| n.claim.lineage.began < linked.at)
        {
            return None;
        }
        let took = linked
            .took
            .iter()
            .find(|(o, _)| *o == object)
            .map(|(_, v)| *v);
        match (phase, took) {
            ([], _) => {}
            ([one], Some(variant)) if one.claim.variant == variant => {}
            _ => return None,
        }
        rest = later;
    }
    match rest {
        [one] => Some(one.claim.variant),
        _ => None,
    }
}

/// Whether claims that this thread's process may have made are missing from the log.
fn history_is_lost(thread: &Step, object: &Object<'_>) -> bool {
    thread.start.saturating_mul(lineage::tick_ns()) <= object.shortened
}

/// Whether no other thread of the process has ever linked the object.
fn only_taken_by(thread: &Step, object: usize, earlier: &[Earlier]) -> bool {
    earlier
        .iter()
        .filter(|e| e.took.iter().any(|(o, _)| *o == object))
        .filter(|e| e.lineage.steps.iter().any(|s| s.same_process(thread)))
        .all(|e| by_thread(&e.lineage, thread))
}

fn by_thread(lineage: &Lineage, thread: &Step) -> bool {
    lineage.steps.iter().any(|s| s.same_thread(thread))
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
                if near.claim.lineage.beside != Beside::Nothing {
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

/// Whether the thread has linked the object since `claimed`.
fn taken_since(thread: &Step, object: usize, claimed: u64, earlier: &[Earlier]) -> bool {
    earlier
        .iter()
        .filter(|e| e.at > claimed && by_thread(&e.lineage, thread))
        .any(|e| e.took.iter().any(|(o, _)| *o == object))
}

/// Whether the thread itself has asked for an object of this link since it last linked (a builder that compiles some itself
/// and some in a pool).
fn compiles(thread: &Step, objects: &[Object<'_>], earlier: &[Earlier]) -> bool {
    let links = earlier.iter().filter(|e| by_thread(&e.lineage, thread));
    let linked = links.map(|e| e.at).max().unwrap_or(0);
    objects
        .iter()
        .flat_map(|o| o.claims)
        .any(|c| c.at > linked && by_thread(&c.lineage, thread))
}

/// Rule 6.
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

#[cfg(test)]
#[path = "evidence/tests.rs"]
mod tests;
