//! What is checked as it happens: no effect and no answer ahead of the disk.

use std::collections::BTreeSet;

use backstitch_core::checkpoint::Checkpoint;
use backstitch_core::command::Rejection;
use backstitch_core::effect::Effect;
use backstitch_core::event::{DeliveryEvent, Event, RunEvent};
use backstitch_core::ids::ExecutionId;
use backstitch_core::state::State;
use backstitch_saga::partition::{Answer, Input, Order};

use super::forks::is_started;
use super::rollouts::is_in_force;
use super::services::{Faults, Flight, fly, report};
use super::world::{Asked, Ticket, World};

impl World {
    /// No effect before the commit that causes it is durable.
    pub fn perform(&mut self, order: Order) {
        let disk = self.disk.lock().expect("no thread panicked");
        let records = &disk.runs[&order.execution];
        let caused = records.iter().any(|record| match (&record.event, order.effect) {
            (
                Event::Run(RunEvent::StepStarted { step, attempt }),
                Effect::RunStep { step: s, attempt: a },
            )
            | (
                Event::Run(RunEvent::UndoStarted { step, attempt }),
                Effect::UndoStep { step: s, attempt: a },
            ) => *step == s && *attempt == a,
            (
                Event::Run(
                    RunEvent::CallbackScheduled { delivery, .. }
                    | RunEvent::Delivery(
                        DeliveryEvent::Scheduled { delivery, .. }
                        | DeliveryEvent::AlertScheduled { delivery, .. },
                    ),
                ),
                Effect::DeliverCallback { delivery: d, .. },
            ) => *delivery == d,
            _ => false,
        });
        assert!(caused, "seed {}: {order:?} before its cause is durable", self.seed);
        drop(disk);
        let twin = self.flights.iter().any(|flight| {
            let same = flight.order.effect.subject() == order.effect.subject();
            flight.order.execution == order.execution && same
        });
        assert!(!twin, "seed {}: {order:?} is in flight already", self.seed);
        self.watch.struck.extend(super::faults::strikes_check(&order));
        let faults =
            if self.outages.strikes(&order, self.now) { Faults::Down } else { self.days() };
        let flight = fly(order, self.now, &mut self.random, faults);
        self.flights.push(flight);
    }

    fn days(&self) -> Faults {
        if self.faults { Faults::Some } else { Faults::None }
    }

    /// An attempt that is no longer owed is stopped, before or after it took effect; its report
    /// may be on its way already.
    pub fn abort(&mut self, run: ExecutionId, effect: Effect) {
        let own = |flight: &Flight| flight.order.execution == run && flight.order.effect == effect;
        let Some(at) = self.flights.iter().position(own) else { return };
        let flight = self.flights.swap_remove(at);
        if flight.takes_effect && self.random.chance(50) {
            self.books.apply(&flight.order);
        }
        if self.random.chance(30) {
            let late = report(&flight, 0);
            self.take(usize::from(run.partition.0), Input::Command(run, late, None));
        }
    }

    /// Every answer shows only what is durable.
    pub fn answer(&mut self, ticket: Ticket, answer: Answer) {
        assert!(!self.answered[ticket.0], "seed {}: answered twice", self.seed);
        self.answered[ticket.0] = true;
        let disk = self.disk.lock().expect("no thread panicked");
        match (&self.asked[ticket.0], answer) {
            (Asked::Submit(run, digest), Answer::Submitted { execution, .. }) => {
                assert_eq!(*run, execution);
                let Some(requests) = disk.requests.get(run) else {
                    panic!("seed {}: {run} was accepted and is not durable", self.seed);
                };
                assert!(requests.contains(digest), "another request was answered as this one");
                self.accepted.insert(execution);
            }
            (Asked::Submit(run, digest), Answer::KeyConflict(_)) => {
                let other = disk.requests[run].iter().any(|request| request != digest);
                assert!(other, "a repeat was refused as a conflict");
            }
            (Asked::Show(run), Answer::Shown(shown)) => {
                let version = shown.version;
                let durable = disk.runs.get(run).map_or(0, Vec::len) as u64;
                let gone = disk.own_removed(*run);
                assert!(gone || version <= durable, "seed {}: {run} shown ahead", self.seed);
                drop(disk);
                if !gone {
                    self.is_its_replay(&shown);
                }
            }
            (Asked::Retry(run, letter), Answer::Rejected(Rejection::NeedsNewRun)) => {
                self.wants_new_run.push((*run, *letter));
            }
            (Asked::Remove(asked), Answer::Removed { removed, held }) => {
                for run in asked {
                    let gone = disk.own_removed(*run);
                    let answered = removed.contains(run);
                    assert!(!answered || gone, "seed {}: {run} is gone too early", self.seed);
                    let known = answered || held.iter().any(|(held, _)| held == run);
                    assert!(known, "seed {}: {run} was asked about in vain", self.seed);
                }
            }
            (Asked::Fork(run), Answer::Forked { execution, .. }) => {
                assert_eq!(*run, execution);
                let whole = disk.runs.get(run).is_some_and(|own| is_started(own.iter()));
                assert!(whole, "seed {}: {run} was made and is not durable", self.seed);
                self.accepted.insert(execution);
            }
            (Asked::Breaker(name, order), Answer::Recorded { .. }) => {
                let (name, order) = (name.clone(), *order);
                drop(disk);
                self.carry_out(&name, order);
            }
            (Asked::Rollout(name), Answer::RolledOut { rollout, changed: _ }) => {
                let holds = is_in_force(&disk, name, rollout.as_ref());
                assert!(holds, "seed {}: {name:?} does not follow {rollout:?}", self.seed);
            }
            (Asked::Redrive(id), Answer::Redrive(_, state)) => {
                let id = *id;
                drop(disk);
                self.redriven(id, *state);
            }
            (Asked::Redriven(id, letter), Answer::Rejected(_)) => {
                let (id, letter) = (*id, *letter);
                drop(disk);
                self.not_redriven(id, letter);
            }
            (_, Answer::Quarantined(why)) => panic!("seed {}: {why}", self.seed),
            _ => {}
        }
    }

    /// What a partition holds in memory is what its durable events add up to.
    pub fn is_its_replay(&self, live: &State) {
        let (seed, run) = (self.seed, live.id);
        let version = usize::try_from(live.version).expect("few events");
        let folded = self.folded(run, version);
        let alike = Checkpoint::of(live) == Checkpoint::of(&folded);
        assert!(alike, "seed {seed}: {run}: version {version} is not its replay");
    }

    /// Prints what is around a run of which something does not hold: the histories of its parent
    /// and its children, and the circuits that keep anybody waiting.
    pub fn tell_around(&self, state: &State) {
        let children = state.links.iter().flat_map(|links| links.children.values().flatten());
        let kin = state.parent().map(|own| own.run).into_iter();
        for run in kin.chain(children.map(|own| own.run)) {
            self.tell_history(run);
        }
        self.tell_restless();
        let circuits = self.breakers.shown("default", self.now);
        for own in circuits.iter().filter(|own| own.waiting + own.retries_waiting > 0) {
            eprintln!("{own:?}");
            for (run, _) in &own.probing {
                eprintln!("{run} {:?}", backstitch_core::why::blockers(&self.live_state(*run)));
            }
        }
    }

    /// Prints what a run recorded.
    pub fn tell_history(&self, run: ExecutionId) {
        let disk = self.disk.lock().expect("no thread panicked");
        for record in disk.runs.get(&run).into_iter().flatten() {
            eprintln!("{run} {:4} {:?}", record.version, record.event);
        }
    }

    /// Prints what runs wait for that are not over.
    pub fn tell_restless(&self) {
        for run in self.watch.runs_that(|own| !own.is_quiescent()) {
            let own = self.live_state(run);
            let why = backstitch_core::why::blockers(&own);
            let why: Vec<_> = why.iter().map(|own| own.sentence.as_str()).collect();
            let (workflow, status) = (&own.submitted.workflow, own.status().word());
            eprintln!("{run} of {workflow} is {status}: {why:?}");
        }
    }

    /// Every kind of event that became durable.
    pub fn event_kinds(&self) -> BTreeSet<&'static str> {
        let disk = self.disk.lock().expect("no thread panicked");
        let records = disk.runs.values().chain(disk.removed.values()).flatten();
        let records = records.chain(disk.own.values().flatten());
        let records = records.chain(disk.workflows.values().flatten());
        let records = records.chain(disk.redrives.values().flatten());
        records.map(|r| backstitch_core::report::event_json(&r.event, None).0).collect()
    }
}
