//! The order of undos, against the durable records.

use std::collections::{BTreeMap, BTreeSet};

use backstitch_core::event::{
    Compensation, LetterSubject, Outcome, Recourse, RunEvent, UndoSettlement, UnwindEvent,
};
use backstitch_core::ids::StepIndex;
use backstitch_core::plan::TaskKind;
use backstitch_core::state::{CheckVerdict, Ending, Letter, State, Subject};
use backstitch_core::summary::LetterStatus;

use super::world::World;

/// An undo starts only when everything that transitively needed its step and calls for an undo
/// has its result. Answers what is wrong.
pub fn out_of_order(state: &State, events: &[RunEvent]) -> Option<&'static str> {
    let (mut finished, mut part) = (BTreeSet::new(), None);
    for (at, event) in events.iter().enumerate() {
        match event {
            RunEvent::Unwind(UnwindEvent::PartialUnwindingStarted { .. }) => {
                part = Some(called_for(&events[at..]));
            }
            RunEvent::UnwindingStarted => part = None,
            RunEvent::Unwind(UnwindEvent::PartialUnwindingEnded { steps }) => {
                finished.retain(|step| !steps.contains(step));
                part = None;
            }
            RunEvent::UndoSucceeded { step, .. }
            | RunEvent::UndoFailed { step, .. }
            | RunEvent::Unwind(UnwindEvent::CheckConcluded { step, took_effect: false, .. }) => {
                finished.insert(*step);
            }
            RunEvent::Unwind(UnwindEvent::UndosSettled { steps, settlement, .. })
                if *settlement != UndoSettlement::SetAside =>
            {
                finished.extend(steps);
            }
            RunEvent::UndoStarted { step, .. } => {
                let held = dependants(state, *step).into_iter().any(|dependant| {
                    let called = match &part {
                        Some(steps) => steps.contains(&dependant),
                        None => state.step(dependant).undo.is_some(),
                    };
                    called && !finished.contains(&dependant)
                });
                if held {
                    return Some("an undo started before what depends on it");
                }
            }
            _ => {}
        }
    }
    None
}

/// The steps of a part whose undo was called for: each of them is heard of before the part is over.
fn called_for(events: &[RunEvent]) -> BTreeSet<StepIndex> {
    let over = |event: &&RunEvent| {
        matches!(
            event,
            RunEvent::RunFailing { .. }
                | RunEvent::RunEnded { .. }
                | RunEvent::Unwind(UnwindEvent::PartialUnwindingEnded { .. })
        )
    };
    let called = events.iter().take_while(|event| !over(event)).filter_map(|event| match event {
        RunEvent::UndoReady { step, .. }
        | RunEvent::UndoFailed { step, .. }
        | RunEvent::Unwind(UnwindEvent::CheckReady { step, .. })
        | RunEvent::Unwind(UnwindEvent::UndoAwaited { step }) => Some(*step),
        _ => None,
    });
    called.collect()
}

/// The services' books against what was undone, in this round and the ones before.
pub fn agree(world: &World, state: &State, events: &[RunEvent]) {
    earlier_rounds_are_undone(world, state, events);
    let applied = |subject| world.books.applied.contains_key(&state.idempotency_key(subject));
    for step in (0..).map(StepIndex).take(state.steps.len()) {
        let Some(check) = state.step(step).check() else { continue };
        let found = matches!(check.verdict, Some(CheckVerdict::TookEffect(_)));
        // What was done before a fork may be forgotten, with the run that did it.
        let known = applied(Subject::Step(step)) || super::forks::is_kept(state, step);
        let wrong = if found { !known } else { applied(Subject::Undo(step)) };
        let (seed, run) = (world.seed, state.id);
        assert!(!wrong, "seed {seed}: {run}: step {} is not undone as its check says", step.0);
    }
}

/// What a step did before it was done anew was undone, unless a person settled that.
fn earlier_rounds_are_undone(world: &World, state: &State, events: &[RunEvent]) {
    let (mut rounds, mut settled) = (BTreeMap::new(), BTreeSet::new());
    for event in events {
        match event {
            RunEvent::StepReady { step, round, .. } => drop(rounds.insert(*step, *round)),
            RunEvent::Unwind(UnwindEvent::UndosSettled { steps, .. }) => settled.extend(steps),
            RunEvent::LetterDiscarded { letter, .. } => {
                if let LetterSubject::Undo(step) = state.letters[*letter as usize].subject {
                    settled.insert(step);
                }
            }
            RunEvent::Unwind(UnwindEvent::PartialUnwindingEnded { steps }) => {
                for step in steps {
                    let id = &state.plan.step(*step).id;
                    let Some(round) = rounds.get(step).filter(|_| state.migrations.is_none())
                    else {
                        continue;
                    };
                    let key = format!("{}/{id}/{round}", state.id);
                    let applied = &world.books.applied;
                    let undo = state.plan.step(*step).undo.is_some() && !settled.contains(step);
                    let left = undo
                        && applied.contains_key(&key)
                        && !applied.contains_key(&format!("{key}/undo"));
                    assert!(!left, "seed {}: {key} stands and is done anew", world.seed);
                }
                settled.retain(|step| !steps.contains(step));
            }
            _ => {}
        }
    }
}

/// Whether a person said what became of the step's undo, or gave its letter up.
pub fn is_by_hand(state: &State, step: StepIndex) -> bool {
    let given_up = |own: &Letter| {
        own.subject == LetterSubject::Undo(step) && own.status == LetterStatus::Discarded
    };
    let undo = state.step(step).undo.as_deref();
    undo.is_some_and(|own| own.by_hand.is_some()) || state.letters.iter().any(given_up)
}

/// Whether the step's attempts are calls of a service, and no other runs.
pub fn calls(state: &State, step: StepIndex) -> bool {
    matches!(state.plan.step(step).task, TaskKind::Effect(_))
}

fn dependants(state: &State, step: StepIndex) -> BTreeSet<StepIndex> {
    let mut found = BTreeSet::new();
    let mut from = vec![step];
    while let Some(step) = from.pop() {
        for &next in &state.plan.steps[step.at()].dependants {
            if found.insert(next) {
                from.push(next);
            }
        }
    }
    found
}

/// Whether everything that could be undone is.
pub fn is_unwound(state: &State, ending: &Ending) -> bool {
    let done = ending.compensation == Compensation::Done;
    !leaves_the_rest(state) && (done || ending.outcome == Outcome::Compensated)
}

/// Whether the run was stopped as it is, after a part of it was undone at most: the rest stays.
pub fn leaves_the_rest(state: &State) -> bool {
    state.failing.as_ref().is_some_and(|own| own.recourse == Recourse::Halt)
}
