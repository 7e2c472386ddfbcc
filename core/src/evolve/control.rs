//! What people and signals do to a run: folding it.

use crate::arrows::{Phase, PhaseMove, StepMove, StepStatus};
use crate::event::{ControlEvent, LetterSubject, Recourse};
use crate::failure::{Failure, codes};
use crate::ids::StepIndex;
use crate::payload::Payload;
use crate::state::{Failing, LetterSettled, Said, Signal, State, Subject};
use crate::summary::LetterStatus;
use crate::time::Timestamp;

use super::{again, move_run, move_step, step_mut};

pub(super) fn apply(state: &mut State, event: &ControlEvent, at: Timestamp) -> Result<(), String> {
    let said = |reason: &String, actor: &String| {
        let (reason, actor) = (reason.clone(), actor.clone());
        Some(Said { reason, actor, at })
    };
    match event {
        ControlEvent::Paused { reason, actor } => {
            state.controls_mut().paused = said(reason, actor);
            Ok(())
        }
        ControlEvent::Resumed { .. } => resume(state),
        ControlEvent::StepOverridden { step, output, reason, actor } => {
            set_by_hand(state, *step, output.as_ref(), at)?;
            let (actor, reason) = (actor.clone(), Some(reason.clone()));
            let settled = LetterSettled { actor, reason, linked: None, at };
            resolve_letters(state, LetterSubject::Step(*step), &settled);
            Ok(())
        }
        ControlEvent::RollbackRequested { to: None, reason, actor }
            if state.phase == Phase::Ended =>
        {
            move_run(state, PhaseMove::RollBack)?;
            let failure = rolled_back(actor, reason);
            state.failing = Some(Failing { failure, step: None, recourse: Recourse::Compensate });
            (state.ending, state.cancel) = (None, None);
            Ok(())
        }
        ControlEvent::RollbackRequested { to: None, reason, actor } => {
            state.controls_mut().rollback = said(reason, actor);
            Ok(())
        }
        ControlEvent::RollbackRequested { to: Some(step), reason, actor } => {
            let (reason, actor) = (reason.clone(), actor.clone());
            again::requested(state, *step, Said { reason, actor, at })
        }
        ControlEvent::CancelForced { .. } => {
            let unwinding = state.phase == Phase::Unwinding;
            let controls = state.controls_mut();
            controls.undos_forced |= unwinding;
            controls.forced |= !unwinding;
            Ok(())
        }
        ControlEvent::SignalReceived { name, payload, id, actor: _ } => {
            let (name, payload) = (name.clone(), payload.clone());
            let signal = Signal { name, payload, received_at: at };
            state.controls_mut().signals.receive(signal, id.as_deref());
            Ok(())
        }
    }
}

/// The failure of a run that somebody had rolled back.
pub(crate) fn rolled_back(actor: &str, reason: &str) -> Failure {
    let message = match reason {
        "" => format!("rolled back by {actor}"),
        reason => format!("rolled back by {actor}: {reason}"),
    };
    Failure::permanent(codes::ROLLED_BACK, message)
}

/// A paused run goes on as it stands. One that its policy suspended has nothing left that
/// failed: it is a running one again, and its timeout is lifted, for it may be over already.
fn resume(state: &mut State) -> Result<(), String> {
    if state.partial().is_some() {
        state.controls_mut().paused = None;
        return Ok(());
    }
    let by_policy = state.failing.is_some();
    if by_policy && !state.sets.failed.is_empty() {
        return Err("a run with failed steps was resumed".to_owned());
    }
    if state.phase == Phase::Suspended || by_policy {
        move_run(state, PhaseMove::ReopenForward)?;
    }
    let controls = state.controls_mut();
    (controls.paused, controls.suspended_at) = (None, None);
    if by_policy {
        state.failing = None;
        state.sets.given_up = None;
        state.sets.due.retain(|(_, subject)| *subject != Subject::Deadline);
    }
    Ok(())
}

fn set_by_hand(
    state: &mut State,
    step: StepIndex,
    output: Option<&Payload>,
    at: Timestamp,
) -> Result<(), String> {
    let by = if output.is_some() { StepMove::SetOutput } else { StepMove::SkipByHand };
    let allowed = state.plan.steps.get(step.at()).is_some_and(|own| own.allow_failure);
    let own = step_mut(state, step)?;
    if allowed && own.status == StepStatus::Failed {
        return Err(format!("step {} failed as it may, and is settled", step.0));
    }
    (own.output, own.failure, own.by_hand) = (output.cloned(), None, true);
    move_step(state, step, by, at)?;
    state.sets.unlettered.retain(|own| *own != LetterSubject::Step(step));
    Ok(())
}

/// The open letter of what failed has nothing left to ask for.
pub(crate) fn resolve_letters(state: &mut State, own: LetterSubject, settled: &LetterSettled) {
    let open = |status| status == LetterStatus::Open;
    let letters = state.letters.iter_mut().rev();
    for letter in letters.filter(|letter| letter.subject == own && open(letter.status)) {
        letter.status = LetterStatus::Resolved;
        letter.settled = Some(settled.clone());
    }
}
