//! Asking whether there is anything to undo, where nobody knows whether a step took effect.

use crate::event::{RunEvent, UnwindEvent};
use crate::failure::{Failure, codes};
use crate::ids::StepIndex;
use crate::items::ItemScope;
use crate::payload::Payload;
use crate::plan::{Concluded, PlanCheck};
use crate::scope::Scope;
use crate::state::State;
use crate::template::Work;

/// What is to be asked before the step is undone, rendered; nothing if its outcome is known, or
/// nobody can be asked.
pub(super) fn asked(state: &State, step: StepIndex, work: &mut Work) -> Option<RunEvent> {
    let check = state.to_ask(step)?;
    if state.step(step).check().is_some_and(|known| known.verdict.is_some()) {
        return None;
    }
    let item = ItemScope::of(state, step);
    let scope: &dyn Scope = item.as_ref().map_or(state, |item| item);
    Some(match check.render_input(scope, work) {
        Ok(input) => RunEvent::Unwind(UnwindEvent::CheckReady { step, input }),
        Err(failure) => RunEvent::UndoFailed { step, failure },
    })
}

/// What the answer that the check has means.
pub(super) fn concluded(state: &State, step: StepIndex, work: &mut Work) -> RunEvent {
    match conclude(state, step, work) {
        Ok(Concluded { took_effect, output }) => {
            RunEvent::Unwind(UnwindEvent::CheckConcluded { step, took_effect, output })
        }
        Err(failure) => RunEvent::UndoFailed { step, failure },
    }
}

fn conclude(state: &State, step: StepIndex, work: &mut Work) -> Result<Concluded, Failure> {
    let own = state.step(step).check().and_then(|check| check.answer.as_ref());
    let (Some(check), Some(answer)) = (state.asking(step), own) else {
        return Err(Failure::permanent(codes::INTERNAL, "nobody was asked about the step"));
    };
    let item = ItemScope::of(state, step);
    let scope: &dyn Scope = item.as_ref().map_or(state, |item| item);
    PlanCheck::conclude(check, scope, answer, work)
}

/// The last failure of an undo's attempts: while its service is asked, nobody knows the outcome.
pub(super) fn last_failure(state: &State, step: StepIndex, failure: Failure) -> Failure {
    if !state.is_asking(step) {
        return failure;
    }
    let Failure { code, message, details, .. } = failure;
    let message = format!(
        "nobody could say whether the step took effect: its check failed: {code}: {message}; \
         retry the letter to ask again, or see to it by hand and discard the letter"
    );
    let details: Option<Payload> = details;
    Failure { details, ..Failure::permanent(codes::OUTCOME_UNKNOWN, message) }.clipped()
}
