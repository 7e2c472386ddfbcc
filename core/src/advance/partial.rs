//! What follows once every step of a run is settled, and once a part of it is undone.
//!
//! A step that failed without failing the run may have taken effect all the same. It is undone
//! before the run completes; an undo that can't be made waits for a person, and the run with it.

use crate::event::{Compensation, Outcome, RunEvent, SuspendReason, UnwindEvent};
use crate::items;
use crate::state::State;
use crate::template::Work;

use super::cancelled;

/// Every step is settled: what may have been done in vain is undone first.
pub(super) fn settled(state: &State, work: &mut Work) -> RunEvent {
    let steps = state.unsettled_outcomes();
    if steps.is_empty() {
        return completed(state, work);
    }
    RunEvent::Unwind(UnwindEvent::PartialUnwindingStarted { steps })
}

/// Every undo of the part has its result. Whoever cancelled the run meanwhile has the whole of
/// it undone; an undo that failed is put before a person.
pub(super) fn undone(state: &State, work: &mut Work) -> RunEvent {
    if let Some(event) = cancelled(state) {
        return event;
    }
    if state.unsettled_undo().is_some() {
        return RunEvent::RunSuspended { reason: SuspendReason::Undo };
    }
    completed(state, work)
}

/// The last event of a run that did what it was to do; it fails of outputs that can't be had.
fn completed(state: &State, work: &mut Work) -> RunEvent {
    let output = match &state.plan.part {
        Some(_) => Ok(Some(items::answer(state))),
        None => state.plan.render_outputs(state, work),
    };
    match output {
        Ok(output) => RunEvent::RunEnded {
            outcome: Outcome::Completed,
            compensation: Compensation::None,
            output,
        },
        Err(failure) => {
            RunEvent::RunFailing { failure, step: None, recourse: state.plan.on_failure }
        }
    }
}
