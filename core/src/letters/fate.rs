//! What came of a letter that was retried, as its run stands.

use crate::arrows::{DeliveryStatus, Phase, StepStatus, UndoStatus};
use crate::event::{LetterSubject, Outcome};
use crate::ids::ExecutionId;
use crate::state::State;
use crate::summary::LetterStatus;

/// What came of a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It waits for a person.
    Open,
    /// It was settled in another way than by a retry.
    Settled,
    /// The operation is under way again, or waits for others.
    Pending,
    /// A new run starts over: what comes of it says what came of the letter.
    Linked(ExecutionId),
    /// The operation succeeded.
    Succeeded,
    /// The operation failed again.
    Failed,
    /// The operation was given up before it had a result.
    GivenUp,
}

/// What came of a run's letter, and who settled it; nothing if there is no such letter.
#[must_use]
pub fn fate(state: &State, number: u32) -> Option<(Fate, Option<&str>)> {
    let letter = state.letters.get(number as usize)?;
    let settled = letter.settled.as_ref();
    let actor = settled.map(|own| own.actor.as_str());
    let linked = settled.and_then(|own| own.linked);
    let fate = match (letter.status, linked) {
        (LetterStatus::Open, _) => Fate::Open,
        (LetterStatus::Discarded | LetterStatus::Resolved, _) => Fate::Settled,
        (LetterStatus::Retried, Some(run)) => Fate::Linked(run),
        (LetterStatus::Retried, None) => retried(state, number, letter.subject),
    };
    Some((fate, actor))
}

fn retried(state: &State, number: u32, subject: LetterSubject) -> Fate {
    if state.letters_of(subject).any(|own| own > number) {
        return Fate::Failed;
    }
    match subject {
        LetterSubject::Step(step) => match state.step(step).status {
            StepStatus::Succeeded | StepStatus::Skipped => Fate::Succeeded,
            // Without a letter: a handler sees to it.
            StepStatus::Failed => Fate::Failed,
            StepStatus::Cancelled | StepStatus::Pruned => Fate::GivenUp,
            StepStatus::Pending
            | StepStatus::Ready
            | StepStatus::Waiting
            | StepStatus::Running
            | StepStatus::Faulted
            | StepStatus::Retrying => Fate::Pending,
        },
        LetterSubject::Undo(step) => match state.step(step).undo.as_ref().map(|undo| undo.status) {
            Some(UndoStatus::Succeeded) => Fate::Succeeded,
            Some(UndoStatus::Skipped) => Fate::GivenUp,
            Some(UndoStatus::Failed) => Fate::Failed,
            // The step was undone and is done anew.
            None => Fate::Succeeded,
            Some(_) => Fate::Pending,
        },
        LetterSubject::Callback(number) => match state.deliveries.get(number as usize) {
            Some(own) if own.status == DeliveryStatus::Delivered => Fate::Succeeded,
            Some(own) if own.status == DeliveryStatus::Failed => Fate::Failed,
            Some(_) => Fate::Pending,
            None => Fate::GivenUp,
        },
    }
}

/// What came of a run that a letter's retry started: one that waits for a person has failed.
#[must_use]
pub fn fate_of_run(state: &State) -> Fate {
    match (&state.ending, state.phase) {
        (Some(end), _) if end.outcome == Outcome::Completed => Fate::Succeeded,
        (None, Phase::Failing | Phase::Unwinding) if state.partial().is_some() => Fate::Pending,
        (Some(_), _) | (None, Phase::Failing | Phase::Unwinding) => Fate::Failed,
        (None, Phase::Suspended) if state.paused().is_none() => Fate::Failed,
        (None, _) => Fate::Pending,
    }
}
