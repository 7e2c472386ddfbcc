//! Folding the events of dead letters.

use crate::arrows::{DeliveryMove, Phase, PhaseMove, StepMove, StepStatus};
use crate::event::{CallbackEvent, LetterEvent, LetterSubject, Recourse, RunEvent};
use crate::ids::StepIndex;
use crate::state::{Edit, Letter, LetterSettled, Said, State, Subject};
use crate::summary::LetterStatus;
use crate::time::Timestamp;

use super::deliveries::{delivery_mut, move_delivery};
use super::{move_run, move_step, step_mut};

pub(super) fn apply_letter(
    state: &mut State,
    event: &RunEvent,
    at: Timestamp,
) -> Result<(), String> {
    match event {
        RunEvent::LetterOpened { letter, subject, failure } => {
            if *letter as usize != state.letters.len() {
                return Err(format!("letter {letter} after {} letters", state.letters.len()));
            }
            state.sets.unlettered.retain(|waiting| waiting != subject);
            let attempts = match subject {
                LetterSubject::Step(step) => step_mut(state, *step)?.attempt,
                LetterSubject::Undo(step) => {
                    step_mut(state, *step)?.undo.as_ref().map_or(0, |undo| undo.attempt)
                }
                LetterSubject::Callback(n) => delivery_mut(state, *n)?.attempt,
            };
            state.note(CallbackEvent::StepDeadLettered, *subject, Some(failure));
            let (subject, failure, status) = (*subject, failure.clone(), LetterStatus::Open);
            let settled = None;
            state.letters.push(Letter {
                subject,
                status,
                failure,
                attempts,
                opened_at: at,
                settled,
                handling: None,
            });
            Ok(())
        }
        RunEvent::LetterRetried { letter, actor, linked } => {
            let settled = LetterSettled { actor: actor.clone(), reason: None, linked: *linked, at };
            let subject = settle_letter(state, *letter, LetterStatus::Retried, settled)?;
            match subject {
                LetterSubject::Step(_) if linked.is_some() => Ok(()),
                LetterSubject::Step(step) => reopen_step(state, step, at),
                LetterSubject::Undo(step) => crate::unwind::reopen(state, step, at),
                LetterSubject::Callback(delivery) => {
                    let own = move_delivery(state, delivery, DeliveryMove::Reopen, None)?;
                    own.tries = 0;
                    Ok(())
                }
            }
        }
        RunEvent::LetterDiscarded { letter, actor, reason } => {
            let (actor, reason) = (actor.clone(), Some(reason.clone()));
            let settled = LetterSettled { actor, reason, linked: None, at };
            let subject = settle_letter(state, *letter, LetterStatus::Discarded, settled)?;
            if matches!(subject, LetterSubject::Undo(_)) {
                crate::unwind::look_again(state)?;
            }
            // A decision may be cut between failing and suspended.
            let recourse = match &state.failing {
                Some(why) => why.recourse,
                None => state.plan.on_failure,
            };
            let suspends = recourse == Recourse::Suspend
                && matches!(state.phase, Phase::Failing | Phase::Suspended);
            if let (true, LetterSubject::Step(step)) = (suspends, subject) {
                state.sets.given_up = Some(step);
            }
            Ok(())
        }
        _ => Err("not an event of a letter".to_owned()),
    }
}

/// What people do about a letter before it is settled; a note, after it too.
pub(super) fn apply_handling(
    state: &mut State,
    event: &LetterEvent,
    at: Timestamp,
) -> Result<(), String> {
    let number = event.letter();
    let letter =
        state.letters.get_mut(number as usize).ok_or_else(|| format!("no letter {number}"))?;
    let open = letter.status == LetterStatus::Open;
    let handling = letter.handling.get_or_insert_default();
    match event {
        LetterEvent::Noted { text, actor, .. } => {
            handling.notes.push(Said { reason: text.clone(), actor: actor.clone(), at });
        }
        _ if !open => return Err(format!("letter {number} is settled")),
        LetterEvent::Assigned { assignee, .. } => handling.assignee.clone_from(assignee),
        LetterEvent::InputEdited { input, .. } => {
            handling.edit = Some(Edit { input: input.clone(), round: None });
        }
    }
    Ok(())
}

/// The step is ready: from now on it is this round that an edited input belongs to.
pub(super) fn note_round(state: &mut State, step: StepIndex, round: u16) {
    let own = |letter: &&mut Letter| {
        letter.subject == LetterSubject::Step(step) && letter.status == LetterStatus::Retried
    };
    let letters = state.letters.iter_mut().rev().filter(own);
    let edit = letters.filter_map(|letter| letter.handling.as_mut()?.edit.as_mut()).next();
    if let Some(edit) = edit {
        edit.round.get_or_insert(round);
    }
}

fn settle_letter(
    state: &mut State,
    number: u32,
    status: LetterStatus,
    settled: LetterSettled,
) -> Result<LetterSubject, String> {
    let letter =
        state.letters.get_mut(number as usize).ok_or_else(|| format!("no letter {number}"))?;
    if letter.status != LetterStatus::Open {
        return Err(format!("letter {number} is settled"));
    }
    letter.status = status;
    letter.settled = Some(settled);
    Ok(letter.subject)
}

/// The failed step goes back to its start; with the last one, the run goes on unless somebody
/// paused it.
fn reopen_step(state: &mut State, step: StepIndex, at: Timestamp) -> Result<(), String> {
    move_step(state, step, StepMove::Reopen, at)?;
    if !state.sets.failed.is_empty() || state.paused().is_some() {
        return Ok(());
    }
    move_run(state, PhaseMove::ReopenForward)?;
    if let Some(controls) = &mut state.controls {
        (controls.suspended_at, controls.forced) = (None, false);
    }
    state.failing = None;
    state.ending = None;
    state.cancel = None;
    // An operator's retry lifts the run's timeout: it would be over before it began.
    state.sets.due.retain(|(_, subject)| *subject != Subject::Deadline);
    let given_up = |step: &StepIndex| state.step(*step).status == StepStatus::Cancelled;
    let steps: Vec<_> = (0..).map(StepIndex).take(state.steps.len()).filter(given_up).collect();
    steps.into_iter().try_for_each(|step| move_step(state, step, StepMove::Reopen, at))
}
