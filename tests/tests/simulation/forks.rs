//! Clients that have ended runs go on from a step, and what must hold of that.

use std::collections::BTreeSet;

use backstitch_core::command::Submission;
use backstitch_core::event::{Event, ForkEvent, RunEvent, Submitted, UnwindEvent};
use backstitch_core::forks::ForkOrder;
use backstitch_core::ids::{Digest, ExecutionId, StepIndex};
use backstitch_core::state::{State, Subject};
use backstitch_saga::partition::{Fork, Input, StagedRecord};

use super::clients::own_tags;
use super::world::{Asked, World};

impl World {
    /// Somebody wants a run to go on from a step, or from a version, whether it may or not.
    pub fn fork(&mut self, parent: ExecutionId) {
        if !self.disk.lock().expect("no panic").runs.contains_key(&parent) {
            return;
        }
        let state = self.live_state(parent);
        let execution = ExecutionId { digits: u128::from(self.random.next()), ..parent };
        let by_step = self.random.chance(70);
        let from = by_step.then(|| format!("s{}", self.random.below(6)));
        let version = (!by_step).then(|| 1 + self.random.below(state.version));
        let submitted = Box::new(Submitted {
            idempotency_key: None,
            request: Digest::of(&execution.digits.to_le_bytes()),
            deadline_at: None,
            retry_of: None,
            ..*state.submitted.clone()
        });
        let (plan, tags) = (self.plain(&state.plan), own_tags(execution));
        let order = ForkOrder {
            submission: Submission {
                execution,
                plan,
                submitted,
                tags,
                origin: None,
                targets: Vec::new(),
                alerts: Vec::new(),
                faults: Vec::new(),
                trace: None,
            },
            from,
            take_over: self.random.chance(50),
            accept_unsafe: self.random.chance(70),
            reason: "once more".to_owned(),
            actor: "operator".to_owned(),
        };
        let fork = Box::new(Fork { parent, version, order });
        self.ask(parent, Asked::Fork(execution), |ticket| Input::Fork(fork, ticket));
    }
}

/// Whether a fork's records are all there.
pub fn is_started<'a>(mut records: impl Iterator<Item = &'a StagedRecord>) -> bool {
    let started = Event::Run(RunEvent::Fork(ForkEvent::Started));
    records.any(|record| record.event == started)
}

/// Every fork started, keeps what it was told of, and has undone with its parent nothing twice.
pub fn forks_agree(world: &World, state: &State) {
    let (seed, id) = (world.seed, state.id);
    let Some(forks) = state.forks.as_deref() else { return };
    if let Some(origin) = &forks.origin {
        assert!(forks.started, "seed {seed}: {id} was left before it started");
        let (told, stands) = told_kept(world, id);
        assert_eq!(origin.kept as usize, told, "seed {seed}: {id} was told of them all");
        assert_eq!(forks.kept, stands, "seed {seed}: {id} keeps what was not rolled back");
        let exists = world.disk.lock().expect("no panic").runs.contains_key(&origin.run);
        if exists {
            let parent = world.live_state(origin.run);
            // One that was removed and begun again knows nothing of its former forks.
            let made = parent.forks.as_ref().and_then(|own| own.made.get(&id));
            if let Some(undoes) = made {
                undone_once(world, state, &parent, undoes);
            }
        }
    }
    for fork in forks.made.keys() {
        let disk = world.disk.lock().expect("no panic");
        let known = disk.runs.contains_key(fork) || disk.removed.contains_key(fork);
        assert!(known, "seed {seed}: {id} was left to a fork that is not there: {fork}");
    }
}

/// How many steps a fork was told to keep, and which of them it did not run again since, for
/// what is rolled back is its own from then on.
fn told_kept(world: &World, fork: ExecutionId) -> (usize, BTreeSet<StepIndex>) {
    let (mut told, mut stands) = (0, BTreeSet::new());
    for record in &world.disk.lock().expect("no thread panicked").runs[&fork] {
        match &record.event {
            Event::Run(RunEvent::Fork(ForkEvent::StepKept(own))) => {
                told += 1;
                stands.insert(own.step);
            }
            Event::Run(RunEvent::Unwind(UnwindEvent::PartialUnwindingEnded { steps })) => {
                stands.retain(|step| !steps.contains(step));
            }
            _ => {}
        }
    }
    (told, stands)
}

fn undone_once(world: &World, fork: &State, parent: &State, undoes: &[StepIndex]) {
    let (seed, id) = (world.seed, fork.id);
    for &step in &fork.forks.as_ref().expect("it is a fork").kept {
        let done = |state: &State| {
            let key = state.idempotency_key(Subject::Undo(step));
            world.books.applied.contains_key(&key)
        };
        let (here, there) = (done(fork), done(parent));
        if here && there {
            world.tell_history(parent.id);
            world.tell_history(id);
        }
        assert!(!(here && there), "seed {seed}: {id} and its parent undid step {}", step.0);
        let ours = undoes.contains(&step);
        assert!(ours || !here, "seed {seed}: {id} undid step {} of its parent", step.0);
        assert!(!ours || !there, "seed {seed}: step {} was undone by who gave it up", step.0);
    }
}

/// Whether the step was kept of another run: no service knows it by the fork's keys.
pub fn is_kept(state: &State, step: StepIndex) -> bool {
    state.forks.as_ref().is_some_and(|own| own.kept.contains(&step))
}
