//! The way back: folding the events of undos, in graph order.
//!
//! A step is unwound when everything that needs it is unwound and, if it calls for one, its
//! own undo has a result, be it from before. Each unwound step lets go of what it needs, so the
//! order costs one pass over the edges, and independent branches unwind at the same time.

mod checks;

use std::collections::BTreeSet;

use crate::arrows::{Phase, PhaseMove, UNDO_ARROWS, UndoMove, UndoStatus, follow};
use crate::event::{LetterSubject, RunEvent, UndoSettlement, UnwindEvent};
use crate::failure::{Failure, codes};
use crate::ids::StepIndex;
use crate::state::{LetterSettled, Said, State, Subject, UndoByHand, UndoState};
use crate::time::Timestamp;

pub(crate) fn apply(state: &mut State, event: &RunEvent, at: Timestamp) -> Result<(), String> {
    match event {
        RunEvent::UnwindingStarted => {
            crate::evolve::move_run(state, PhaseMove::Unwind)?;
            begin(state, None, at);
            Ok(())
        }
        RunEvent::Unwind(UnwindEvent::PartialUnwindingStarted { steps }) => {
            let known = state.steps.len();
            if let Some(step) = steps.iter().find(|step| step.at() >= known) {
                return Err(format!("step {} of {known}", step.0));
            }
            crate::evolve::move_run(state, PhaseMove::UnwindPart)?;
            let steps: BTreeSet<_> = steps.iter().copied().collect();
            begin(state, Some(&steps), at);
            let own = state.controls_mut().partial.get_or_insert_default();
            own.steps = steps;
            Ok(())
        }
        RunEvent::Unwind(UnwindEvent::PartialUnwindingEnded { steps }) => {
            crate::evolve::again::ended(state, steps, at)
        }
        RunEvent::UndoReady { step, input } => {
            undo_mut(state, *step)?.input = Some(input.clone());
            move_undo(state, *step, UndoMove::Ready, at)
        }
        RunEvent::UndoStarted { step, attempt } => {
            move_undo(state, *step, UndoMove::Start, at)?;
            let own = undo_mut(state, *step)?;
            own.attempt = *attempt;
            own.started_at.get_or_insert(at);
            Ok(())
        }
        RunEvent::UndoSucceeded { step, attempt, output } => {
            let own = undo_mut(state, *step)?;
            crate::evolve::current(*attempt, own.attempt)?;
            (own.output, own.failure) = (Some(output.clone()), None);
            move_undo(state, *step, UndoMove::Succeed, at)
        }
        RunEvent::UndoAttemptFailed { step, attempt, failure, retry_delay_ms } => {
            let own = undo_mut(state, *step)?;
            crate::evolve::current(*attempt, own.attempt)?;
            let lost = failure.code == codes::ATTEMPT_LOST;
            own.tries += u16::from(!lost);
            own.lost += u16::from(lost);
            own.retry_delay_ms = *retry_delay_ms;
            own.failure = Some(Box::new(failure.clone()));
            move_undo(state, *step, UndoMove::Fault, at)
        }
        RunEvent::UndoRetryScheduled { step, due_at } => {
            undo_mut(state, *step)?.due_at = Some(*due_at);
            move_undo(state, *step, UndoMove::Retry, at)
        }
        RunEvent::UndoFailed { step, failure } => {
            undo_mut(state, *step)?.failure = Some(Box::new(failure.clone()));
            move_undo(state, *step, UndoMove::Fail, at)
        }
        RunEvent::Unwind(UnwindEvent::UndoAwaited { step }) => {
            move_undo(state, *step, UndoMove::Await, at)?;
            undo_mut(state, *step)?.started_at.get_or_insert(at);
            Ok(())
        }
        RunEvent::Unwind(UnwindEvent::UndosSettled { steps, settlement, note, actor }) => {
            let said = Said { reason: note.clone(), actor: actor.clone(), at };
            let by_hand = UndoByHand { settlement: *settlement, said };
            steps.iter().try_for_each(|step| settle(state, *step, &by_hand))
        }
        RunEvent::Unwind(UnwindEvent::CompensationTimedOut { limit_ms: _ }) => {
            state.controls_mut().undos_timed_out = true;
            state.sets.due.retain(|(_, subject)| *subject != Subject::Compensation);
            Ok(())
        }
        RunEvent::Unwind(event) => checks::apply(state, event, at),
        _ => Err("not an event of an undo".to_owned()),
    }
}

/// A person has said what became of what the step did.
fn settle(state: &mut State, step: StepIndex, by_hand: &UndoByHand) -> Result<(), String> {
    let Said { reason: note, actor, at } = by_hand.said.clone();
    let own = undo_mut(state, step)?;
    let status = own.status;
    own.by_hand = Some(Box::new(by_hand.clone()));
    match (by_hand.settlement, status) {
        (UndoSettlement::Done, UndoStatus::Waiting) => {
            return move_undo(state, step, UndoMove::DoByHand, at);
        }
        (UndoSettlement::Accepted, UndoStatus::Waiting) => {
            return move_undo(state, step, UndoMove::LetStand, at);
        }
        (UndoSettlement::SetAside, UndoStatus::Waiting) => {
            let message = format!("the step has no undo, and {actor} set it aside: {note}");
            own.failure = Some(Box::new(Failure::permanent(codes::NO_UNDO, message).clipped()));
            return move_undo(state, step, UndoMove::Fault, at);
        }
        (UndoSettlement::Done, UndoStatus::Failed) => {
            own.failure = None;
            go_on(state)?;
            state.sets.undo_unfinished += 1;
            move_undo(state, step, UndoMove::DoByHand, at)?;
        }
        (UndoSettlement::Accepted, UndoStatus::Failed) => look_again(state)?,
        (settlement, status) => {
            return Err(format!("the undo of step {} is {status:?}, not {settlement:?}", step.0));
        }
    }
    let settled = LetterSettled { actor, reason: Some(note), linked: None, at };
    crate::evolve::resolve_letters(state, LetterSubject::Undo(step), &settled);
    Ok(())
}

/// From now on the undos have so long, if their workflow says how long.
fn begin_timeout(state: &mut State, at: Timestamp) {
    if let Some(limit_ms) = state.plan.compensation_timeout_ms {
        state.sets.due.retain(|(_, subject)| *subject != Subject::Compensation);
        state.sets.due.insert((at.plus_ms(limit_ms), Subject::Compensation));
    }
}

/// The run unwinds again: an undo of it has no result any more.
fn go_on(state: &mut State) -> Result<(), String> {
    crate::evolve::move_run(state, PhaseMove::ReopenUnwinding)?;
    state.ending = None;
    if let Some(controls) = &mut state.controls {
        controls.suspended_at = None;
    }
    Ok(())
}

/// A person settled a failed undo as it is: a run that waits for that looks what is left.
pub(crate) fn look_again(state: &mut State) -> Result<(), String> {
    let waits = state.phase == Phase::Suspended && state.partial().is_some();
    if waits { go_on(state) } else { Ok(()) }
}

/// Finds what needs an undo, of the whole run or of a part of it, and what holds each back, and
/// opens what nothing holds. An undo that was made before is not made again.
fn begin(state: &mut State, part: Option<&BTreeSet<StepIndex>>, at: Timestamp) {
    begin_timeout(state, at);
    let plan = state.plan.clone();
    let mut free = Vec::new();
    let left = state.left_undone();
    for (index, own) in (0..).map(StepIndex).zip(&plan.steps) {
        let called = part.is_none_or(|part| part.contains(&index)) && state.stands(index);
        let step = &mut state.steps[index.at()];
        step.unwind_open = u32::try_from(own.dependants.len()).expect("bounded by the steps");
        if called {
            step.undo = Some(Box::new(UndoState::pending()));
            state.sets.undo_unfinished += 1;
        } else if let Some(undo) = &mut step.undo {
            undo.released = false;
            undo.stands = undo.status == UndoStatus::Failed && !left.contains(&index);
        }
        if own.dependants.is_empty() {
            free.push(index);
        }
    }
    open(state, free);
}

/// Opens the undos of steps that nothing holds back; those that have none, or have its result,
/// are unwound.
fn open(state: &mut State, mut free: Vec<StepIndex>) {
    while let Some(step) = free.pop() {
        match state.steps[step.at()].undo.as_ref().map(|undo| undo.status) {
            Some(UndoStatus::Pending) => drop(state.sets.undo_open.insert(step)),
            Some(own) if !own.is_settled() => {}
            Some(_) | None => free.extend(let_go(state, step)),
        }
    }
}

/// The step is unwound: answers which of its needs nothing holds back any more. What held none of
/// them back any more before holds none of them back again.
fn let_go(state: &mut State, step: StepIndex) -> Vec<StepIndex> {
    let undo = state.steps[step.at()].undo.as_deref_mut();
    if undo.is_some_and(|undo| std::mem::replace(&mut undo.released, true)) {
        return Vec::new();
    }
    let plan = state.plan.clone();
    let mut free = Vec::new();
    for &need in &plan.steps[step.at()].needs {
        let own = &mut state.steps[need.at()];
        own.unwind_open -= 1;
        if own.unwind_open == 0 {
            free.push(need);
        }
    }
    free
}

/// The failed undo goes back to its start, and the run unwinds again, with its whole time.
pub(crate) fn reopen(state: &mut State, step: StepIndex, at: Timestamp) -> Result<(), String> {
    go_on(state)?;
    if let Some(controls) = &mut state.controls {
        (controls.undos_forced, controls.undos_timed_out) = (false, false);
    }
    let own = undo_mut(state, step)?;
    own.status = follow(UNDO_ARROWS, own.status, UndoMove::Reopen)?;
    (own.tries, own.lost, own.completed_at, own.by_hand) = (0, 0, None, None);
    // What was not said is asked again.
    own.check = own.check.take().filter(|check| check.verdict.is_some());
    begin_timeout(state, at);
    state.sets.undo_unfinished += 1;
    if state.step(step).unwind_open == 0 {
        state.sets.undo_open.insert(step);
    }
    Ok(())
}

fn undo_mut(state: &mut State, step: StepIndex) -> Result<&mut UndoState, String> {
    let undo = crate::evolve::step_mut(state, step)?.undo.as_deref_mut();
    undo.ok_or_else(|| format!("step {} has no undo under way", step.0))
}

fn move_undo(
    state: &mut State,
    step: StepIndex,
    by: UndoMove,
    at: Timestamp,
) -> Result<(), String> {
    let own = undo_mut(state, step)?;
    let (from, to) = (own.status, follow(UNDO_ARROWS, own.status, by)?);
    own.status = to;
    let waited = match from {
        UndoStatus::Ready | UndoStatus::Retrying => own.due_at.take(),
        _ => None,
    };
    if to == UndoStatus::Ready {
        own.due_at = Some(at);
    }
    let due_at = own.due_at;
    let finished = to.is_settled();
    if finished {
        own.completed_at = Some(at);
    }
    let sets = &mut state.sets;
    match from {
        UndoStatus::Pending => drop(sets.undo_open.remove(&step)),
        UndoStatus::Ready => drop(sets.undo_ready.remove(&step)),
        UndoStatus::Faulted => drop(sets.undo_faulted.remove(&step)),
        UndoStatus::Answered => drop(sets.undo_answered.remove(&step)),
        UndoStatus::Retrying => {
            sets.due.remove(&(waited.unwrap_or_default(), Subject::Undo(step)));
        }
        UndoStatus::Running
        | UndoStatus::Succeeded
        | UndoStatus::Failed
        | UndoStatus::Waiting
        | UndoStatus::Skipped => {}
    }
    match to {
        UndoStatus::Ready => drop(sets.undo_ready.insert(step)),
        UndoStatus::Faulted => drop(sets.undo_faulted.insert(step)),
        UndoStatus::Answered => drop(sets.undo_answered.insert(step)),
        UndoStatus::Retrying => {
            sets.due.insert((due_at.unwrap_or_default(), Subject::Undo(step)));
        }
        UndoStatus::Failed => sets.unlettered.push(LetterSubject::Undo(step)),
        UndoStatus::Pending
        | UndoStatus::Running
        | UndoStatus::Succeeded
        | UndoStatus::Waiting
        | UndoStatus::Skipped => {}
    }
    sets.touched.push(Subject::Undo(step));
    if let Some(calls) = &mut state.calls {
        calls.release(Subject::Undo(step));
    }
    let sets = &mut state.sets;
    if finished {
        sets.undo_unfinished -= 1;
    }
    crate::evolve::link::undo_moved(state, step);
    if finished && state.step(step).unwind_open == 0 {
        open(state, vec![step]);
    }
    Ok(())
}
