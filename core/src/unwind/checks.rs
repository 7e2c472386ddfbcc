//! Folding what becomes of asking whether there is anything to undo.

use super::{move_undo, undo_mut};
use crate::arrows::UndoMove;
use crate::event::UnwindEvent;
use crate::ids::StepIndex;
use crate::state::{CheckState, CheckVerdict, State};
use crate::time::Timestamp;

pub(super) fn apply(state: &mut State, event: &UnwindEvent, at: Timestamp) -> Result<(), String> {
    match event {
        UnwindEvent::CheckReady { step, input } => {
            let own = undo_mut(state, *step)?;
            own.input = Some(input.clone());
            own.check = Some(Box::default());
            move_undo(state, *step, UndoMove::Ready, at)
        }
        UnwindEvent::CheckAnswered { step, attempt, output } => {
            let own = undo_mut(state, *step)?;
            crate::evolve::current(*attempt, own.attempt)?;
            own.failure = None;
            check_mut(state, *step)?.answer = Some(output.clone());
            move_undo(state, *step, UndoMove::Answer, at)
        }
        UnwindEvent::CheckConcluded { step, took_effect, output } => {
            let (verdict, by) = match took_effect {
                true => (CheckVerdict::TookEffect(output.clone()), UndoMove::GoAhead),
                false => (CheckVerdict::NoEffect, UndoMove::Spare),
            };
            conclude(state, *step, verdict, at)?;
            move_undo(state, *step, by, at)?;
            if *took_effect {
                state.sets.undo_open.insert(*step);
            }
            Ok(())
        }
        _ => Err("not an event of a check".to_owned()),
    }
}

/// What the undo had of its check becomes the check's own: the undo begins anew.
fn conclude(
    state: &mut State,
    step: StepIndex,
    verdict: CheckVerdict,
    at: Timestamp,
) -> Result<(), String> {
    let own = undo_mut(state, step)?;
    let (input, attempts, started_at) = (own.input.take(), own.attempt, own.started_at.take());
    (own.tries, own.lost, own.retry_delay_ms) = (0, 0, 0);
    let check = check_mut(state, step)?;
    (check.input, check.attempts, check.started_at) = (input, attempts, started_at);
    (check.completed_at, check.verdict) = (Some(at), Some(verdict));
    Ok(())
}

fn check_mut(state: &mut State, step: StepIndex) -> Result<&mut CheckState, String> {
    let check = undo_mut(state, step)?.check.as_deref_mut();
    let check = check.filter(|check| check.verdict.is_none());
    check.ok_or_else(|| format!("nobody is asked whether step {} took effect", step.0))
}
