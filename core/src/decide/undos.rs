//! Deciding what people say became of undos.

use crate::arrows::{Phase, UndoStatus};
use crate::command::Rejection;
use crate::event::{LetterSubject, RunEvent, UndoSettlement, UnwindEvent};
use crate::ids::StepIndex;
use crate::state::State;
use crate::summary::LetterStatus;

use super::letters::refuse_if_undone;

/// The undo of one step, or all that wait for a person or have failed, are settled. Said again,
/// it records nothing.
///
/// # Errors
/// [`Rejection::UnknownStep`], [`Rejection::UndoNotOpen`], [`Rejection::NoUndoOpen`],
/// [`Rejection::UndoneWithParent`].
pub(super) fn settle(
    state: &State,
    step: Option<String>,
    settlement: UndoSettlement,
    note: String,
    actor: String,
) -> Result<Vec<RunEvent>, Rejection> {
    let steps = match step {
        Some(id) => match one(state, id, settlement)? {
            Some(step) => vec![step],
            None => return Ok(Vec::new()),
        },
        None => {
            let steps = (0..).map(StepIndex).take(state.steps.len());
            let open: Vec<_> = steps.filter(|step| is_open(state, *step, settlement)).collect();
            if open.is_empty() {
                return Err(Rejection::NoUndoOpen { status: state.status().word() });
            }
            open
        }
    };
    if settlement == UndoSettlement::Done {
        steps.iter().try_for_each(|step| refuse_if_undone(state, LetterSubject::Undo(*step)))?;
    }
    let settled = UnwindEvent::UndosSettled { steps, settlement, note, actor };
    Ok(vec![RunEvent::Unwind(settled)])
}

fn one(
    state: &State,
    id: String,
    settlement: UndoSettlement,
) -> Result<Option<StepIndex>, Rejection> {
    let Some(step) = state.plan.index_of(&id) else {
        return Err(Rejection::UnknownStep { step: id });
    };
    if is_open(state, step, settlement) {
        return Ok(Some(step));
    }
    let own = state.step(step).undo.as_deref();
    let said = own.and_then(|own| own.by_hand.as_ref());
    if said.is_some_and(|said| said.settlement == settlement) {
        return Ok(None);
    }
    let status = own.map_or("not under way", |own| own.word());
    Err(Rejection::UndoNotOpen { step: id, status, settlement: settlement.word() })
}

/// Whether that can be said of the step's undo now.
fn is_open(state: &State, step: StepIndex, settlement: UndoSettlement) -> bool {
    let status = state.step(step).undo.as_deref().map(|own| own.status);
    match (state.phase, status) {
        (Phase::Unwinding, Some(UndoStatus::Waiting)) => true,
        (Phase::Unwinding | Phase::Ended, Some(UndoStatus::Failed)) => {
            let newest = state.letters_of(LetterSubject::Undo(step)).last();
            let newest = newest.and_then(|number| state.letters.get(number as usize));
            settlement != UndoSettlement::SetAside
                && newest.is_some_and(|letter| letter.status == LetterStatus::Open)
        }
        _ => false,
    }
}
