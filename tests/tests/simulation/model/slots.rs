//! Who may go on at a time, once more and as plainly as it can be said.
//!
//! It knows durable events only, in the order in which they became durable, and no lines, lanes
//! or seats: every rule counts all runs each time. A slot is let go once an ending is durable, so
//! whatever begins, begins within the limits by this count too.

use std::collections::BTreeMap;
use std::sync::Arc;

use backstitch_core::arrows::{Phase, StepStatus};
use backstitch_core::event::{ControlEvent, LinkEvent, RunEvent};
use backstitch_core::ids::ExecutionId;
use backstitch_core::plan::Plan;

use super::super::arrows::Standing;
use super::{Verdict, rule};

/// A limit of runs: of a workflow, or of those of it with a key.
type Limit = (Arc<str>, Option<Arc<str>>);

/// Every run that is on the disk.
#[derive(Default)]
pub struct Slots {
    runs: BTreeMap<ExecutionId, Run>,
    /// Runs that the node lets go on at a time, children aside.
    runs_max: Option<usize>,
}

/// What the rules ask of one.
struct Run {
    limits: Vec<(Limit, u32)>,
    parent: Option<ExecutionId>,
    /// Whether it has begun and not ended.
    goes_on: bool,
    /// Whether a person had it begin or go on, whatever the limits say.
    by_hand: bool,
    /// The limits of which it takes no slot: a run above it had one when it began.
    within: Vec<Limit>,
}

impl Slots {
    /// Nobody is there yet.
    pub fn new(runs_max: Option<usize>) -> Self {
        Self { runs: BTreeMap::new(), runs_max }
    }

    /// A run was submitted.
    pub fn submitted(&mut self, run: ExecutionId, plan: &Plan) {
        let whole = plan.concurrency.map(|own| ((plan.workflow.clone(), None), own.max_runs));
        let limits = whole.into_iter().collect();
        let (goes_on, by_hand, within) = (false, false, Vec::new());
        self.runs.insert(run, Run { limits, parent: None, goes_on, by_hand, within });
    }

    /// A run left the disk.
    pub fn forget(&mut self, run: &ExecutionId) {
        self.runs.remove(run);
    }

    /// Whether the run has begun and not ended.
    pub fn goes_on(&self, run: ExecutionId) -> bool {
        self.runs.get(&run).is_some_and(|own| own.goes_on)
    }

    /// Whether a run that goes on counts against any limit.
    pub fn is_bound(&self, run: ExecutionId) -> bool {
        self.runs.get(&run).is_some_and(|own| {
            let now = self.within(run);
            let free = |limit| own.within.contains(limit) || now.contains(limit);
            let counts = own.limits.iter().any(|(limit, _)| !free(limit));
            counts || (own.parent.is_none() && self.runs_max.is_some())
        })
    }

    /// One event of a run, and where it stood before and after.
    ///
    /// # Errors
    /// The limit that it breaks.
    pub fn happened(
        &mut self,
        (run, workflow): (ExecutionId, &Arc<str>),
        event: &RunEvent,
        (before, after): (&Standing, &Standing),
        starts: bool,
    ) -> Verdict {
        let own = self.runs.get_mut(&run).ok_or("nobody submitted it")?;
        match event {
            RunEvent::Link(LinkEvent::Origin(origin)) => {
                own.parent = origin.parent.as_ref().map(|parent| parent.run);
                if origin.parent.as_ref().is_some_and(|parent| parent.items.is_some()) {
                    // A chunk is a part of a run that has its slots.
                    own.limits.clear();
                }
            }
            RunEvent::Link(LinkEvent::Keyed { keys }) => {
                let limit = |key: &Arc<str>| (workflow.clone(), Some(key.clone()));
                own.limits.extend(keys.iter().map(|own| (limit(&own.key), own.max_runs)));
            }
            _ => {}
        }
        // What a fork keeps, and what a migration takes away, has not begun.
        let starts = starts && !matches!(event, RunEvent::Fork(_));
        let opened = before.steps.iter().zip(&after.steps).any(|(before, after)| {
            let stays = [StepStatus::Pending, StepStatus::Cancelled];
            before.0 == StepStatus::Pending && !stays.contains(&after.0)
        });
        let ended = after.phase == Phase::Ended;
        let reopened = before.phase == Phase::Ended && !ended;
        let by_hand = matches!(event, RunEvent::Control(ControlEvent::StepOverridden { .. }));
        if ended {
            own.goes_on = false;
        } else if reopened {
            (own.goes_on, own.by_hand) = (true, true);
            let within = self.within(run);
            self.runs.get_mut(&run).ok_or("nobody submitted it")?.within = within;
        } else if opened && starts && !own.goes_on {
            own.by_hand |= by_hand;
            own.goes_on = true;
            return self.begins(run);
        }
        Ok(())
    }

    /// A run has begun: all limits have room for it.
    fn begins(&mut self, run: ExecutionId) -> Verdict {
        let within = self.within(run);
        let own = self.runs.get_mut(&run).ok_or("nobody submitted it")?;
        own.within = within;
        if own.by_hand {
            return Ok(());
        }
        let own = &self.runs[&run];
        let counted = own.limits.iter().filter(|(limit, _)| !own.within.contains(limit));
        for (limit, max_runs) in counted {
            let counts = |other: &&Run| {
                let has = other.limits.iter().any(|(known, _)| known == limit);
                other.goes_on && !other.by_hand && has && !other.within.contains(limit)
            };
            let running = self.runs.values().filter(counts).count();
            rule(running <= *max_runs as usize, &format!("{running} runs of {limit:?}"))?;
        }
        let of_the_node = |other: &&Run| other.goes_on && !other.by_hand && other.parent.is_none();
        let running = self.runs.values().filter(of_the_node).count();
        let free = own.parent.is_some() || self.runs_max.is_none_or(|max| running <= max);
        rule(free, &format!("{running} runs on a node that lets {:?} go on", self.runs_max))
    }

    /// The limits of which a run above has a slot.
    fn within(&self, run: ExecutionId) -> Vec<Limit> {
        let mut held = Vec::new();
        let mut above = self.runs[&run].parent;
        while let Some(own) = above.and_then(|run| self.runs.get(&run)) {
            if own.goes_on {
                held.extend(own.limits.iter().map(|(limit, _)| limit.clone()));
            }
            above = own.parent;
        }
        let own = self.runs[&run].limits.iter().map(|(limit, _)| limit.clone());
        own.filter(|limit| held.contains(limit)).collect()
    }
}
