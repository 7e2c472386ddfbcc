//! Keyed limits that a run, or steps of it, need places of. Most runs have none.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::State;
use crate::advance::alone::Gate;
use crate::arrows::StepStatus;
use crate::event::{LimitKey, SlotKey};
use crate::ids::StepIndex;
use crate::time::Timestamp;

/// What steps need of keyed limits, from before they are ready until they are settled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keyed {
    wanted: BTreeMap<StepIndex, Wanted>,
    /// Those with status `Ready`: they wait for their places, and then for a turn.
    pub(crate) ready: BTreeSet<StepIndex>,
}

/// What the run as a whole is under, from its submission on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunKeys {
    /// The limits, each key once.
    pub keys: Vec<SlotKey>,
}

/// What one step needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// The limits, each key once.
    pub keys: Vec<LimitKey>,
    /// Since when: who goes first within a key.
    pub since: Timestamp,
}

impl Keyed {
    /// Every step that is not settled and needs places.
    pub fn wanted(&self) -> impl Iterator<Item = (StepIndex, &Wanted)> {
        self.wanted.iter().map(|(step, own)| (*step, own))
    }

    pub(crate) fn note(&mut self, step: StepIndex, keys: &[LimitKey], since: Timestamp) {
        self.wanted.insert(step, Wanted { keys: keys.to_vec(), since });
    }

    pub(crate) fn has(&self, step: StepIndex) -> bool {
        self.wanted.contains_key(&step)
    }

    /// The step is settled, or starts over.
    pub(crate) fn forget(&mut self, step: StepIndex) {
        self.wanted.remove(&step);
    }
}

impl State {
    /// The limits of runs with the same key that this one counts against.
    #[must_use]
    pub fn run_keys(&self) -> &[SlotKey] {
        self.run_keys.as_ref().map_or(&[], |own| &own.keys)
    }

    /// What the step needs of keyed limits, if it needs anything.
    #[must_use]
    pub fn wanted(&self, step: StepIndex) -> Option<&Wanted> {
        self.keyed.as_ref()?.wanted.get(&step)
    }

    /// Which steps those that run alone let start at `now`. One that they keep back holds no places
    /// and waits for none: it may be kept back until a child has ended that needs the same ones.
    pub fn let_start(&self, now: Timestamp) -> impl Fn(StepIndex) -> bool + '_ {
        let gate = Gate::of(self, now);
        move |step| gate.lets(self, step)
    }

    /// Whether an attempt of the step is under way, which takes its places.
    #[must_use]
    pub fn holds_keys(&self, step: StepIndex) -> bool {
        self.wanted(step).is_some() && self.step(step).status == StepStatus::Running
    }
}
