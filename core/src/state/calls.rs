//! Calls of one run that wait until their services may be called. Most runs have none.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{State, Subject};
use crate::advance::alone::Gate;
use crate::arrows::Phase;
use crate::event::{Fault, Hold};
use crate::ids::StepIndex;
use crate::time::Timestamp;

/// Calls that wait until their services may be called, and what goes wrong with others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calls {
    steps: BTreeMap<StepIndex, HeldCall>,
    undos: BTreeMap<StepIndex, HeldCall>,
    deliveries: BTreeMap<u32, HeldCall>,
    /// What goes wrong with attempts on purpose.
    pub(crate) faults: Vec<Fault>,
}

/// A call that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldCall {
    /// For what.
    pub hold: Hold,
    /// Since when: who goes first.
    pub since: Timestamp,
}

impl Calls {
    /// Only steps, undos and callbacks call anybody.
    pub(crate) fn hold(&mut self, subject: Subject, hold: Hold, since: Timestamp) {
        let own = HeldCall { hold, since };
        match subject {
            Subject::Step(step) => drop(self.steps.insert(step, own)),
            Subject::Undo(step) => drop(self.undos.insert(step, own)),
            Subject::Delivery(delivery) => drop(self.deliveries.insert(delivery, own)),
            _ => {}
        }
    }

    pub(crate) fn release(&mut self, subject: Subject) {
        match subject {
            Subject::Step(step) => drop(self.steps.remove(&step)),
            Subject::Undo(step) => drop(self.undos.remove(&step)),
            Subject::Delivery(delivery) => drop(self.deliveries.remove(&delivery)),
            _ => {}
        }
    }

    fn get(&self, subject: Subject) -> Option<&HeldCall> {
        match subject {
            Subject::Step(step) => self.steps.get(&step),
            Subject::Undo(step) => self.undos.get(&step),
            Subject::Delivery(delivery) => self.deliveries.get(&delivery),
            _ => None,
        }
    }

    fn all(&self) -> impl Iterator<Item = (Subject, &HeldCall)> {
        let steps = self.steps.iter().map(|(step, own)| (Subject::Step(*step), own));
        let undos = self.undos.iter().map(|(step, own)| (Subject::Undo(*step), own));
        let deliveries = self.deliveries.iter().map(|(own, held)| (Subject::Delivery(*own), held));
        steps.chain(undos).chain(deliveries)
    }
}

impl State {
    /// What a step's, an undo's or a callback's call waits for, if it waits.
    #[must_use]
    pub fn held_call(&self, subject: Subject) -> Option<&HeldCall> {
        self.calls.as_ref()?.get(subject)
    }

    /// Every call that waits, in order.
    pub fn held_calls(&self) -> impl Iterator<Item = (Subject, &HeldCall)> {
        self.calls.iter().flat_map(|own| own.all())
    }

    /// The calls that wait and would be made in the run's present phase: those of steps on its
    /// way forward, those of undos while it unwinds.
    /// A step that another keeps from starting by running alone does not count: it would keep
    /// others of the service waiting.
    pub fn wanted_calls(&self, now: Timestamp) -> impl Iterator<Item = (Subject, &HeldCall)> {
        let gate = Gate::of(self, now);
        let wanted = move |subject: Subject| match subject {
            Subject::Step(step) => self.phase == Phase::Forward && gate.lets(self, step),
            Subject::Undo(_) => self.phase == Phase::Unwinding,
            _ => false,
        };
        self.held_calls().filter(move |(subject, _)| wanted(*subject))
    }

    pub(crate) fn is_held(&self, step: StepIndex) -> bool {
        self.held_call(Subject::Step(step)).is_some()
    }
}
