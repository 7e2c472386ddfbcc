//! Room: how much of what could start may start, as the shell says.
//!
//! The core asks and never counts: how many attempts a node has under way, and how many runs of
//! a workflow there are, is known where all runs are. What was refused stays as it is, and is
//! asked for again whenever the run is decided on.

use std::collections::BTreeSet;

use crate::advance::alone::Gate;
use crate::arrows::{Phase, StepStatus};
use crate::breaker::{Call, Passage};
use crate::cache::{CacheKey, Recalled};
use crate::event::Priority;
use crate::ids::StepIndex;
use crate::plan::TaskKind;
use crate::state::{State, Subject, Wanted};
use crate::time::Timestamp;

/// What an attempt is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Attempt {
    /// A step's undo.
    Undo,
    /// A step on its way forward.
    Step,
}

/// Says what may start. A turn is one attempt that is under way; a slot is one run that has
/// begun and not ended.
pub trait Room {
    /// Whether one more attempt may start. A turn that was given and not used goes back.
    fn starts(&mut self, attempt: Attempt) -> bool;

    /// Whether an attempt of a step may hold places of keyed limits. Those that were given and
    /// not used stay the step's until it starts or needs them no more.
    fn holds(&mut self, step: StepIndex, wanted: &Wanted) -> bool;

    /// Whether a run that has not begun may. One that may and does not is asked for again.
    fn begins(&mut self) -> bool;

    /// Whether a service may be called now. A call that may and is not made is asked for again.
    fn passes(&mut self, _call: &Call<'_>) -> Passage {
        Passage::Free
    }

    /// An answer that is known already and not older than `ttl_ms`, if there is one.
    fn recalls(&mut self, _key: &CacheKey, _ttl_ms: u64) -> Option<Recalled> {
        None
    }
}

/// Room for everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unbounded;

impl Room for Unbounded {
    fn starts(&mut self, _: Attempt) -> bool {
        true
    }

    fn holds(&mut self, _: StepIndex, _: &Wanted) -> bool {
        true
    }

    fn begins(&mut self) -> bool {
        true
    }
}

/// Turns of one layer: once one is refused no more are asked for.
pub(crate) struct Turns<'a> {
    room: &'a mut dyn Room,
    attempt: Attempt,
    refused: bool,
    /// Whether one was given and not used.
    spare: bool,
}

impl<'a> Turns<'a> {
    pub(crate) fn of(room: &'a mut dyn Room, attempt: Attempt) -> Self {
        Self { room, attempt, refused: false, spare: false }
    }

    pub(crate) fn take(&mut self) -> bool {
        if std::mem::take(&mut self.spare) {
            return true;
        }
        self.refused = self.refused || !self.room.starts(self.attempt);
        !self.refused
    }

    /// A turn for a step, and the places of keyed limits that it needs.
    pub(crate) fn take_for(&mut self, state: &State, step: StepIndex) -> bool {
        let wanted = state.wanted(step);
        !self.refused && wanted.is_none_or(|own| self.room.holds(step, own)) && self.take()
    }

    /// Whether no more turns are to be had.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused
    }

    /// Whether a service may be called.
    pub(crate) fn passes(&mut self, call: &Call<'_>) -> Passage {
        self.room.passes(call)
    }

    /// The turn that was taken last is not used.
    pub(crate) fn put_back(&mut self) {
        self.spare = true;
    }

    /// An answer that is known already.
    pub(crate) fn recalls(&mut self, key: &CacheKey, ttl_ms: u64) -> Option<Recalled> {
        self.room.recalls(key, ttl_ms)
    }
}

impl State {
    /// Who goes first when not all can.
    #[must_use]
    pub fn priority(&self) -> Priority {
        let origin = self.links.as_ref().and_then(|links| links.origin.as_ref());
        origin.map(|origin| origin.priority).unwrap_or_default()
    }

    /// How many more steps may be readied: a chunk has so many of its items under way and no
    /// more.
    pub(crate) fn window(&self) -> usize {
        let under_way = self.sets.unsettled.saturating_sub(self.sets.open.len());
        self.plan.part.as_ref().map_or(usize::MAX, |own| own.max_parallel.saturating_sub(under_way))
    }

    /// The same for undos.
    pub(crate) fn undo_window(&self) -> usize {
        let under_way = self.sets.undo_unfinished.saturating_sub(self.sets.undo_open.len());
        self.plan.part.as_ref().map_or(usize::MAX, |own| own.max_parallel.saturating_sub(under_way))
    }

    /// Whether any step was looked at.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.begun_at.is_some()
    }

    /// Whether the run waits until it may begin.
    #[must_use]
    pub fn waits_to_begin(&self) -> bool {
        self.phase == Phase::Forward && !self.has_begun()
    }

    /// Whether the run is one of those at a time that its workflow and the node allow.
    #[must_use]
    pub fn holds_slot(&self) -> bool {
        self.has_begun() && self.phase != Phase::Ended
    }

    /// What the run wants a turn for, once everything else that follows has happened.
    /// `held` are the steps that hold the places of keyed limits they need: the others wait for
    /// those first. `passing` are the calls that waited for their services and may be made.
    #[must_use]
    pub fn wants_turn(
        &self,
        now: Timestamp,
        held: &BTreeSet<StepIndex>,
        passing: &BTreeSet<Subject>,
    ) -> Option<Attempt> {
        let free = |step| self.wanted(step).is_none() || held.contains(&step);
        let passes = |attempt| {
            passing.iter().any(|subject| match *subject {
                _ if self.held_call(*subject).is_none() => false,
                Subject::Step(step) => attempt == Attempt::Step && free(step),
                Subject::Undo(_) => attempt == Attempt::Undo,
                _ => false,
            })
        };
        let waits = |step: StepIndex| self.held_call(Subject::Step(step)).is_some();
        let ready = || {
            held.iter().any(|step| self.step(*step).status == StepStatus::Ready && !waits(*step))
        };
        let retries = || {
            self.due_by(now).any(|subject| match subject {
                Subject::Step(step) => self.step(step).status == StepStatus::Retrying && free(step),
                Subject::Undo(_) => true,
                _ => false,
            })
        };
        match self.phase {
            Phase::Forward if self.plan.has_exclusive => {
                let due = self.due_by(now).filter_map(|subject| match subject {
                    Subject::Step(step) if self.step(step).status == StepStatus::Retrying => {
                        Some(step).filter(|step| self.takes_turns(*step) && free(*step))
                    }
                    _ => None,
                });
                let gate = Gate::of(self, now);
                let held = held.iter().copied();
                let held = held.filter(|step| self.step(*step).status == StepStatus::Ready);
                let held = held.filter(|step| !waits(*step));
                let passing = passing.iter().filter_map(|subject| match *subject {
                    Subject::Step(step) if waits(step) && free(step) => Some(step),
                    _ => None,
                });
                let wanting = self.sets.queued.iter().copied().chain(held).chain(due);
                let mut wanting = wanting.chain(passing);
                wanting.any(|step| gate.lets(self, step)).then_some(Attempt::Step)
            }
            Phase::Forward
                if !self.sets.queued.is_empty()
                    || ready()
                    || retries()
                    || passes(Attempt::Step) =>
            {
                Some(Attempt::Step)
            }
            Phase::Unwinding
                if !self.sets.undo_ready.is_empty() || retries() || passes(Attempt::Undo) =>
            {
                Some(Attempt::Undo)
            }
            _ => None,
        }
    }

    /// Whether an attempt of the step takes a turn: pure steps and children take none.
    #[must_use]
    pub fn takes_turns(&self, step: StepIndex) -> bool {
        matches!(self.plan.steps[step.at()].task, TaskKind::Effect(_))
    }
}
