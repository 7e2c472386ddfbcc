//! Folding what stands between a run and the services it calls.

use crate::arrows::{DeliveryMove, StepMove, StepStatus, UndoStatus};
use crate::event::{Hold, HoldReason, ServiceEvent};
use crate::failure::{Failure, codes};
use crate::ids::StepIndex;
use crate::state::{State, Subject};
use crate::time::Timestamp;

use super::{move_delivery, move_step, step_mut};

pub(super) fn apply(state: &mut State, event: &ServiceEvent, at: Timestamp) -> Result<(), String> {
    match event {
        ServiceEvent::CallHeld { step, undo: false, hold } => hold_step(state, *step, hold, at),
        ServiceEvent::CallHeld { step, undo: true, hold } => hold_undo(state, *step, hold, at),
        ServiceEvent::CallRefused { step, hold } => {
            step_mut(state, *step)?.failure = Some(Box::new(refusal(hold)));
            move_step(state, *step, StepMove::Fault, at)
        }
        ServiceEvent::CallbackHeld { delivery, hold, due_at } => {
            move_delivery(state, *delivery, DeliveryMove::Retry, Some(*due_at))?;
            let calls = state.calls.get_or_insert_default();
            calls.hold(Subject::Delivery(*delivery), hold.clone(), at);
            Ok(())
        }
        ServiceEvent::FaultsPlanned { faults } => {
            if state.version != state.beginning() {
                return Err("a run's faults are told when it is submitted".to_owned());
            }
            if faults.is_empty() {
                return Err("a run without faults is told of none".to_owned());
            }
            for own in faults {
                step_mut(state, own.step)?;
            }
            state.calls.get_or_insert_default().faults.clone_from(faults);
            Ok(())
        }
    }
}

/// The failure of a call that was not made and not waited for.
#[must_use]
pub fn refusal(hold: &Hold) -> Failure {
    let key = &hold.key;
    let until = hold.until.map(|at| format!(" until {at}")).unwrap_or_default();
    let (code, message) = match hold.why {
        HoldReason::Open => (codes::CIRCUIT_OPEN, format!("circuit open for `{key}`{until}")),
        HoldReason::Probing => {
            let message = format!("circuit half open for `{key}`: other calls are tried first");
            (codes::CIRCUIT_OPEN, message)
        }
        HoldReason::Forced => {
            (codes::CIRCUIT_OPEN, format!("an operator keeps the circuit for `{key}` open"))
        }
        HoldReason::RetryBudget => {
            let message = format!("too many of the calls to `{key}` were retries{until}");
            (codes::RETRY_BUDGET_SPENT, message)
        }
    };
    Failure::permanent(code, message)
}

/// The step keeps its status and leaves the sets of what is about to start.
fn hold_step(state: &mut State, step: StepIndex, hold: &Hold, at: Timestamp) -> Result<(), String> {
    let own = step_mut(state, step)?;
    match own.status {
        StepStatus::Ready => {
            state.sets.queued.remove(&step);
            if let Some(keyed) = &mut state.keyed {
                keyed.ready.remove(&step);
            }
        }
        StepStatus::Retrying => {
            let due_at = own.due_at.take().unwrap_or_default();
            state.sets.due.remove(&(due_at, Subject::Step(step)));
        }
        status => return Err(format!("step {} is {status:?} and makes no call", step.0)),
    }
    state.calls.get_or_insert_default().hold(Subject::Step(step), hold.clone(), at);
    state.sets.touched.push(Subject::Step(step));
    Ok(())
}

fn hold_undo(state: &mut State, step: StepIndex, hold: &Hold, at: Timestamp) -> Result<(), String> {
    let undo = step_mut(state, step)?.undo.as_deref_mut();
    let own = undo.ok_or_else(|| format!("step {} has no undo under way", step.0))?;
    match own.status {
        UndoStatus::Ready => drop(state.sets.undo_ready.remove(&step)),
        UndoStatus::Retrying => {
            let due_at = own.due_at.take().unwrap_or_default();
            state.sets.due.remove(&(due_at, Subject::Undo(step)));
        }
        status => return Err(format!("the undo of step {} is {status:?}", step.0)),
    }
    state.calls.get_or_insert_default().hold(Subject::Undo(step), hold.clone(), at);
    state.sets.touched.push(Subject::Undo(step));
    Ok(())
}
