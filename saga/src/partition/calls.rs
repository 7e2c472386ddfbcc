//! Which calls of a run were let through to their services, and which wait.
//!
//! What the circuits have in their books is what runs have: it is compared after every decision,
//! so that a try of a service that is not made goes to another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backstitch_core::breaker::{Call, Passage};
use backstitch_core::command::{AttemptResult, Command};
use backstitch_core::effect::Effect;
use backstitch_core::event::{Hold, Priority};
use backstitch_core::ids::ExecutionId;
use backstitch_core::payload::Payload;
use backstitch_core::state::{HeldCall, State, Subject};
use backstitch_core::time::{Moment, Timestamp};
use serde_json::json;

use super::cell::{Cell, reported};
use super::stage::Release;
use super::{Abandon, Partition};
use crate::breakers::{BreakerSeat, Called, Dependencies, Name, Order, Outcome};

/// Calls that one look of [`Partition::fire`] lets go on.
const GRANTS_PER_FIRE_MAX: usize = 1_024;
/// When a callback that waits without an end in sight asks again.
const CALLBACK_RECHECK_MS: u64 = 60_000;
/// The same for one that has waited for long.
const CALLBACK_RECHECK_MS_MAX: u64 = 3_600_000;

/// Calls of one run that have to do with circuits.
#[derive(Debug, Default)]
pub(super) struct Calls {
    waiting: BTreeMap<Subject, Name>,
    /// Those that may be made and were not yet.
    granted: BTreeMap<Subject, Name>,
    /// Those under way.
    begun: BTreeMap<Subject, Called>,
}

/// A decision that may call services.
pub(super) struct Calling<'a> {
    pub(super) run: ExecutionId,
    pub(super) seat: &'a BreakerSeat,
    pub(super) services: &'a dyn Dependencies,
    pub(super) own: &'a mut Calls,
    pub(super) namespace: &'a Arc<str>,
    pub(super) now: Timestamp,
}

impl Calling<'_> {
    /// Whether a call may be made now.
    pub(super) fn passes(&mut self, call: &Call<'_>) -> Passage {
        let enabled = self.seat.breakers().settings().enabled;
        if !enabled || call.policy.is_some_and(|own| own.off) {
            return Passage::Free;
        }
        if let Some(hold) = call.held {
            return self.passes_now(call, hold);
        }
        let named = call.policy.and_then(|own| own.key.clone());
        let service = || call.input.and_then(|own| self.services.service(call.task_type, own));
        let Some(key) = named.or_else(|| service().map(Into::into)) else { return Passage::Free };
        match self.seat.ask(&(self.namespace.clone(), key), call.policy, call.again, self.now) {
            Ok(called) => {
                self.own.begun.insert(call.subject, called);
                Passage::Free
            }
            Err(hold) => Passage::Held(hold),
        }
    }

    /// A call that waited: once it was let on, unless the circuit has turned since.
    fn passes_now(&mut self, call: &Call<'_>, hold: &Hold) -> Passage {
        let Some(name) = self.own.granted.get(&call.subject) else {
            return Passage::Held(hold.clone());
        };
        match self.seat.called(((self.run, call.subject), name), call.policy) {
            Some(called) => {
                self.own.begun.insert(call.subject, called);
                Passage::Free
            }
            None => {
                self.own.granted.remove(&call.subject);
                Passage::Held(hold.clone())
            }
        }
    }
}

impl Calls {
    /// A call may be made. Answers whether it is known here: one that waits no more is told so by
    /// who let it go.
    fn grant(&mut self, subject: Subject, name: &Name) -> bool {
        let waited = self.waiting.remove(&subject).is_some();
        if waited {
            self.granted.insert(subject, name.clone());
        }
        waited || self.granted.contains_key(&subject) || self.begun.contains_key(&subject)
    }

    /// Whether a call that waited may be made.
    pub(super) fn may(&self, subject: Subject) -> bool {
        self.granted.contains_key(&subject)
    }

    /// The calls that waited and may be made.
    pub(super) fn granted(&self) -> BTreeSet<Subject> {
        self.granted.keys().copied().collect()
    }

    /// Calls under way, with what they passed.
    pub(super) fn begun(&self) -> impl Iterator<Item = &Called> {
        self.begun.values()
    }

    /// Whether no call waits, may be made or is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.granted.is_empty() && self.begun.is_empty()
    }

    /// After a start: what waits.
    pub(super) fn claim(&mut self, state: &State, seat: &BreakerSeat, now: Timestamp) {
        for (subject, own) in state.wanted_calls(now) {
            let (name, order) = place(state, subject, own);
            seat.waited(&name, &own.hold, order, now);
            self.waiting.insert(subject, name);
        }
    }

    /// The run is worked on no more, or never came to be.
    pub(super) fn abandon(self, run: ExecutionId, seat: &BreakerSeat, now: Timestamp) {
        let begun = self.begun.into_iter().map(|(subject, own)| (subject, own.name));
        for (subject, name) in self.waiting.into_iter().chain(self.granted).chain(begun) {
            seat.leave(&name, (run, subject), now);
        }
    }

    /// After a decision: what waits no more leaves its line, what waits now stands in one, and
    /// what was let through and not begun is another's.
    fn settle(
        &mut self,
        state: &State,
        in_flight: &dyn Fn(Subject) -> bool,
        (seat, now): (&BreakerSeat, Timestamp),
    ) {
        if self.is_idle() && state.calls.is_none() {
            return;
        }
        let run = state.id;
        let stale: Vec<_> = self.begun.keys().copied().filter(|own| !in_flight(*own)).collect();
        for subject in stale {
            let Some(called) = self.begun.remove(&subject) else { continue };
            if !self.granted.contains_key(&subject) {
                seat.leave(&called.name, (run, subject), now);
            }
        }
        // What is under way keeps its place in the circuit's book.
        self.granted.retain(|subject, _| !self.begun.contains_key(subject));
        let wanted: BTreeMap<_, _> = state.wanted_calls(now).collect();
        for held in [&mut self.waiting, &mut self.granted] {
            let gone: Vec<_> =
                held.keys().filter(|own| !wanted.contains_key(own)).copied().collect();
            for subject in gone {
                if let Some(name) = held.remove(&subject) {
                    seat.leave(&name, (run, subject), now);
                }
            }
        }
        for (subject, own) in wanted {
            if self.waiting.contains_key(&subject) || self.granted.contains_key(&subject) {
                continue;
            }
            let (name, order) = place(state, subject, own);
            self.waiting.insert(subject, name.clone());
            seat.wait(&name, own.hold.why, order, now);
        }
    }
}

/// Where a call that waits stands. Undos go before what goes forward.
fn place(state: &State, subject: Subject, own: &HeldCall) -> (Name, Order) {
    let priority = match subject {
        Subject::Undo(_) => Priority::High,
        _ => state.priority(),
    };
    let name = (state.submitted.namespace.clone(), own.hold.key.clone());
    (name, (priority, own.since, state.id, subject))
}

/// What the end of an attempt says of its service.
fn outcome(command: &Command) -> Outcome {
    match command {
        Command::ReportStep { result, .. } | Command::ReportUndo { result, .. } => match result {
            AttemptResult::Answered(Ok(_)) => Outcome::Answered,
            AttemptResult::Answered(Err(failure)) => Outcome::of(failure),
            AttemptResult::TimedOut => Outcome::Failed("no answer in time".to_owned()),
            AttemptResult::Lost => Outcome::Nothing,
        },
        Command::ReportCallback { result: Ok(_), .. } => Outcome::Answered,
        Command::ReportCallback { result: Err(failure), .. } => Outcome::of(failure),
        _ => Outcome::Nothing,
    }
}

impl<T: Abandon> Partition<T> {
    /// Asks circuits before it calls services.
    #[must_use]
    pub fn guarded_by(mut self, seat: BreakerSeat, services: Arc<dyn Dependencies>) -> Self {
        (self.breakers, self.services) = (seat, services);
        self
    }

    /// A report has come of an attempt that was in flight: its circuit learns of it.
    pub(super) fn report_call(&mut self, id: ExecutionId, command: &Command, now: Timestamp) {
        let Some(effect) = reported(command) else { return };
        let Some(Cell::Run(run)) = self.runs.get_mut(&id) else { return };
        let subject = effect.subject();
        if let Some(called) = run.standing.calls.begun.remove(&subject) {
            // What goes wrong on purpose says nothing of the service.
            let outcome = match run.state.fault_of(effect) {
                Some(_) => Outcome::Nothing,
                None => outcome(command),
            };
            self.breakers.ended(&called, (id, subject), &outcome, now);
        }
    }

    /// After a decision: what the circuits know of the run's calls is what there is.
    pub(super) fn settle_calls(&mut self, id: ExecutionId, moment: Moment) {
        let Some(Cell::Run(run)) = self.runs.get_mut(&id) else { return };
        let mut own = std::mem::take(&mut run.standing.calls);
        own.settle(&run.state, &|subject| run.flies(subject), (&self.breakers, moment.now));
        run.standing.calls = own;
    }

    /// Goes on with calls that may be made.
    pub(super) fn use_calls(&mut self, moment: Moment) {
        self.breakers.tick(moment.now);
        let mut runs = Vec::new();
        for _ in 0..GRANTS_PER_FIRE_MAX {
            let Some((asker, name)) = self.breakers.next_granted() else { break };
            let (id, subject) = asker;
            let taken = match self.runs.get_mut(&id) {
                Some(Cell::Run(run)) => run.standing.calls.grant(subject, &name),
                _ => false,
            };
            if !taken {
                self.breakers.leave(&name, asker, moment.now);
            } else if !runs.contains(&id) {
                runs.push(id);
            }
        }
        for id in runs {
            self.decide(id, Command::Continue, None, moment);
        }
        // One that was told is not due any more, so this ends.
        while let Some(((id, delivery), (hold, due_at))) = self.callbacks_held.pop_first() {
            self.decide(id, Command::HoldCallback(delivery, hold, due_at), None, moment);
        }
    }

    /// Whether calls wait to be told that they may be made, or that they may not.
    pub(super) fn has_calls(&self) -> bool {
        self.breakers.granted() > 0 || !self.callbacks_held.is_empty()
    }

    /// Keeps back callbacks that are about to be sent and whose services are not to be called:
    /// they are due again later.
    pub(super) fn hold_callbacks(
        &mut self,
        id: ExecutionId,
        owed: &mut Vec<Release<T>>,
        now: Timestamp,
    ) {
        if !self.breakers.breakers().settings().enabled {
            return;
        }
        let Some(Cell::Run(run)) = self.runs.get_mut(&id) else { return };
        let (seat, services) = (&self.breakers, &self.services);
        let namespace = run.state.submitted.namespace.clone();
        owed.retain(|release| {
            let Release::Perform(order) = release else { return true };
            let (Effect::DeliverCallback { delivery, .. }, Some(receiver)) =
                (order.effect, &order.receiver)
            else {
                return true;
            };
            if self.callbacks_held.contains_key(&(id, delivery)) {
                // It is about to be told so: let through now, it would be told while it is sent.
                run.ground(order.effect);
                return false;
            }
            let asked = Payload::of(&json!({ "url": receiver.url }));
            let Some(key) = services.service("http", &asked) else { return true };
            let (subject, again) = (order.effect.subject(), order.tries > 1);
            let name = (namespace.clone(), key.into());
            match seat.ask_in_passing(((id, subject), &name), again, now) {
                Ok(called) => {
                    run.standing.calls.begun.insert(subject, called);
                    true
                }
                Err(hold) => {
                    run.ground(order.effect);
                    let own = run.state.deliveries.get(delivery as usize);
                    let since = own.map_or(now, |own| own.scheduled_at);
                    let due_at = asks_again(&hold, since, now);
                    self.callbacks_held.insert((id, delivery), (hold, due_at));
                    false
                }
            }
        });
    }

    /// Calls under way, and the circuits they passed.
    pub fn calls_begun(&self) -> impl Iterator<Item = &Called> {
        let runs = self.runs.values().filter_map(|cell| match cell {
            Cell::Run(run) => Some(run),
            Cell::Quarantined(_) => None,
        });
        runs.flat_map(|run| run.standing.calls.begun())
    }
}

/// When a callback that is kept back asks again: not before its service may be tried, and once it
/// has waited a quarter longer. All callbacks of a receiver that is gone would otherwise be
/// recorded as kept back each time that one of them tries it.
fn asks_again(hold: &Hold, since: Timestamp, now: Timestamp) -> Timestamp {
    let waited_ms = u64::try_from(now.0.saturating_sub(since.0) / 1_000).unwrap_or_default();
    let longer = now.plus_ms((waited_ms / 4).min(CALLBACK_RECHECK_MS_MAX));
    let may = hold.until.unwrap_or(now.plus_ms(CALLBACK_RECHECK_MS));
    may.max(longer).max(Timestamp(now.0 + 1))
}

/// Callbacks that wait to be told so, each once: for what they wait, and when they are due again.
pub(super) type CallbacksHeld = BTreeMap<(ExecutionId, u32), (Hold, Timestamp)>;

#[cfg(test)]
mod tests {
    use super::*;
    use backstitch_core::event::HoldReason;

    #[test]
    fn a_callback_that_is_kept_back_for_long_asks_less_and_less_often() {
        let (since, mut now, mut held) = (Timestamp(0), Timestamp(0), 0);
        let hold = Hold { key: "dead".into(), why: HoldReason::Probing, until: None };
        while now < since.plus_ms(24 * CALLBACK_RECHECK_MS_MAX) {
            let next = asks_again(&hold, since, now);
            assert!(next > now && next <= now.plus_ms(CALLBACK_RECHECK_MS_MAX));
            (now, held) = (next, held + 1);
        }
        assert!(held < 60, "{held} records in a day");
        let later = Some(now.plus_ms(7 * CALLBACK_RECHECK_MS_MAX));
        let hold = Hold { until: later, why: HoldReason::Open, ..hold };
        assert_eq!(Some(asks_again(&hold, since, now)), later, "not before it may be tried");
    }
}
