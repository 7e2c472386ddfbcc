//! Rest: a run of which nothing follows before something falls due or somebody addresses it.
//!
//! What the shell has under way for a run is not known here: a run that rests by its state has
//! nothing to have under way, but for the places it has asked for in lines that all runs share.

use std::collections::BTreeSet;

use crate::advance::alone::Gate;
use crate::advance::layer;
use crate::arrows::{Phase, StepStatus};
use crate::cache::{CacheKey, Recalled};
use crate::effect::owed;
use crate::ids::StepIndex;
use crate::room::{Attempt, Room};
use crate::state::{State, Subject, Wanted};
use crate::template::Work;
use crate::time::{Moment, Timestamp};

/// Room for nothing.
struct NoRoom;

impl Room for NoRoom {
    fn starts(&mut self, _: Attempt) -> bool {
        false
    }

    fn holds(&mut self, _: StepIndex, _: &Wanted) -> bool {
        false
    }

    fn begins(&mut self) -> bool {
        false
    }

    fn recalls(&mut self, _: &CacheKey, _: u64) -> Option<Recalled> {
        None
    }
}

impl State {
    /// Whether the run waits for nothing but an instant, a signal, another run, a person, or its
    /// turn to begin: it owes nothing, nothing follows of it, and it stands in no line but that
    /// of runs that have not begun.
    #[must_use]
    pub fn is_at_rest(&self, moment: Moment) -> bool {
        !self.is_unstarted_fork()
            && owed(self, moment.now).is_empty()
            && self.wants_turn(moment.now, &BTreeSet::new(), &BTreeSet::new()).is_none()
            && self.wanted_calls(moment.now).next().is_none()
            && !self.wants_keys(moment.now)
            && layer(self, moment, &mut NoRoom, &mut Work::default()).is_empty()
    }

    /// Whether, as long as nobody acts on it, only the clock has the run go on: it runs forward,
    /// and no step waits for a signal or another run.
    #[must_use]
    pub fn waits_for_time_alone(&self) -> bool {
        let listens = self.signals().is_some_and(|own| own.waiting().next().is_some());
        self.phase == Phase::Forward && self.has_begun() && !listens && self.sets.running.is_empty()
    }

    /// Whether a step could start but for its places of keyed limits.
    fn wants_keys(&self, now: Timestamp) -> bool {
        if self.phase != Phase::Forward || self.keyed.is_none() {
            return false;
        }
        let gate = Gate::of(self, now);
        let ready = self.keyed.iter().flat_map(|keyed| keyed.ready.iter().copied());
        let retrying = self.due_by(now).filter_map(|subject| match subject {
            Subject::Step(step) if self.step(step).status == StepStatus::Retrying => Some(step),
            _ => None,
        });
        ready.chain(retrying).any(|step| gate.lets(self, step))
    }
}
