//! Circles: children that wait for runs which wait for them.
//!
//! A child waits for a slot, whoever has it waits for a child of its own, and that one waits for a
//! slot that a run above the first one has: none of them ever ends by itself. A run waits for
//! ever if a limit of it is full of runs that each have a child, at any level, that waits for ever.
//! Only a child that comes to wait closes a circle, so that is when one is looked for. The
//! youngest child of the circle is given up, and no limit is exceeded.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::Ordering;

use backstitch_core::ids::ExecutionId;

use super::claim::Since;
use super::line::Line;
use super::{Claim, Inner};
use crate::catalog::Name;
use crate::turns::Wake;

/// Waiting children that are looked at for one circle; a larger one is not found.
const CIRCLE_MAX: usize = 1_000;

/// Runs of a circle that are named.
const NAMED_MAX: usize = 8;

/// A child that is given up because it waits for what waits for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Circle {
    /// The child.
    pub run: ExecutionId,
    /// Who waits for whom, in words.
    pub reason: String,
}

/// Where a child waits, and the runs above it.
pub(super) struct Waits {
    pub(super) seat: u64,
    workflow: Name,
    above: Vec<ExecutionId>,
}

/// A waiting child, with those that have to begin before it can.
struct Knot {
    since: Since,
    /// For each limit that is full: for each of its holders, the children that hold it up.
    behind: Vec<Vec<BTreeSet<ExecutionId>>>,
}

type Knots = BTreeMap<ExecutionId, Knot>;

impl Inner {
    /// The child that is to be given up so that a run does not wait for ever.
    pub(super) fn circle(&self, name: &Name, run: ExecutionId) -> Option<(u64, Circle)> {
        let mut knots = self.knots(name, run)?;
        untie(&mut knots);
        let circle = |own: &ExecutionId| around(&knots, *own);
        let mut members: Vec<_> =
            knots.keys().copied().filter(|own| circle(own).is_some()).collect();
        members.sort_by_key(|own| knots[own].since);
        let youngest = *members.last()?;
        let all = circle(&youngest)?;
        let (seat, claim) = self.waiting_child(youngest)?;
        let named: Vec<_> = all.iter().take(NAMED_MAX).map(ToString::to_string).collect();
        let more = match all.len() - named.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let reason = format!(
            "it waits for a slot of `{}`, and whoever has one waits for it: {}{more} can begin \
             only after one another",
            claim.workflow.1,
            named.join(", "),
        );
        Some((*seat, Circle { run: youngest, reason }))
    }

    /// All waiting children that a run's waiting depends on; nothing if there are too many.
    fn knots(&self, name: &Name, run: ExecutionId) -> Option<Knots> {
        let mut knots = Knots::new();
        let mut from = vec![(name.clone(), run)];
        while let Some((name, run)) = from.pop() {
            if knots.contains_key(&run) {
                continue;
            }
            if knots.len() >= CIRCLE_MAX {
                return None;
            }
            let Some(line) = self.lines.get(&name) else { continue };
            let Some((_, claim)) = line.waiting_claim(run) else { continue };
            let behind = self.behind(line, claim);
            let next = behind.iter().flatten().flatten().copied();
            from.extend(
                next.filter_map(|run| Some((self.waits_in.get(&run)?.workflow.clone(), run))),
            );
            knots.insert(run, Knot { since: claim.since(), behind });
        }
        Some(knots)
    }

    /// The full limits of a run of which every holder has a child that waits, with those children.
    fn behind(&self, line: &Line, claim: &Claim) -> Vec<Vec<BTreeSet<ExecutionId>>> {
        let below = |holder: ExecutionId| self.below.get(&holder).cloned();
        line.full_of(claim).filter_map(|holders| holders.map(below).collect()).collect()
    }

    /// A child waits: whoever is above it is held up by it.
    pub(super) fn note_waiting(&mut self, seat: u64, claim: &Claim) {
        self.note_left(claim.run);
        if !claim.is_child() {
            return;
        }
        let above: Vec<_> = self.all_above(claim.parent).collect();
        for run in &above {
            self.below.entry(*run).or_default().insert(claim.run);
        }
        let (workflow, waits) = (claim.workflow.clone(), claim.run);
        self.waits_in.insert(waits, Waits { seat, workflow, above });
    }

    /// It waits no more, or is given up.
    pub(super) fn note_left(&mut self, run: ExecutionId) {
        let Some(Waits { above, .. }) = self.waits_in.remove(&run) else { return };
        for own in above {
            if let Entry::Occupied(mut below) = self.below.entry(own) {
                below.get_mut().remove(&run);
                if below.get().is_empty() {
                    below.remove();
                }
            }
        }
    }

    /// Gives a child up if a run waits for ever; answers whom to wake.
    pub(super) fn open_circle(&mut self, name: &Name, run: ExecutionId) -> Option<Wake> {
        let (seat, circle) = self.circle(name, run)?;
        self.note_left(circle.run);
        let holder = self.seats.get_mut(&seat)?;
        holder.circles.push_back(circle);
        holder.pending.fetch_add(1, Ordering::AcqRel);
        Some(holder.wake.clone())
    }

    /// The same for all children, once every partition has said what its runs wait for.
    pub(super) fn open_circles(&mut self) -> Vec<Wake> {
        let waiting: Vec<_> =
            self.waits_in.iter().map(|(run, own)| (*run, own.seat, own.workflow.clone())).collect();
        for (run, seat, name) in &waiting {
            let claim = self.lines.get(name).and_then(|line| line.waiting_claim(*run));
            if let Some((_, claim)) = claim.cloned() {
                self.note_waiting(*seat, &claim);
            }
        }
        waiting.iter().filter_map(|(run, _, name)| self.open_circle(name, *run)).collect()
    }

    fn waiting_child(&self, run: ExecutionId) -> Option<&(u64, Claim)> {
        self.lines.get(&self.waits_in.get(&run)?.workflow)?.waiting_claim(run)
    }
}

/// Takes away whoever does not wait for ever: none of its full limits is full of those that do.
fn untie(knots: &mut Knots) {
    loop {
        let ties = |knot: &Knot| {
            knot.behind.iter().any(|holders| {
                holders.iter().all(|below| below.iter().any(|run| knots.contains_key(run)))
            })
        };
        let free: Vec<_> = knots.iter().filter(|(_, own)| !ties(own)).map(|own| *own.0).collect();
        if free.is_empty() {
            return;
        }
        free.iter().for_each(|run| drop(knots.remove(run)));
    }
}

/// The runs from one back to itself, if it is in a circle.
fn around(knots: &Knots, run: ExecutionId) -> Option<Vec<ExecutionId>> {
    let mut before: BTreeMap<ExecutionId, ExecutionId> = BTreeMap::new();
    let mut from = VecDeque::from([run]);
    while let Some(at) = from.pop_front() {
        let next = knots[&at].behind.iter().flatten().flatten();
        for &next in next.filter(|own| knots.contains_key(*own)) {
            if next == run {
                let back = std::iter::successors(Some(at), |own| before.get(own).copied());
                let mut all: Vec<_> = back.collect();
                all.reverse();
                return Some(all);
            }
            if let Entry::Vacant(first) = before.entry(next) {
                first.insert(at);
                from.push_back(next);
            }
        }
    }
    None
}
