//! What follows once every step of a run is settled, and before and once a part of it is undone.
//!
//! A step that failed without failing the run may have taken effect all the same. It is undone
//! before the run completes; an undo that can't be made waits for a person, and the run with it.

use crate::arrows::StepStatus;
use crate::event::{Compensation, Outcome, RunEvent, SuspendReason, UnwindEvent};
use crate::items;
use crate::links;
use crate::state::{Partial, State};
use crate::template::Work;
use crate::time::Timestamp;

use super::{cancelled, resolve_faults};

/// Every step is settled: what may have been done in vain is undone first.
pub(super) fn settled(state: &State, work: &mut Work) -> RunEvent {
    let steps = state.unsettled_outcomes();
    if steps.is_empty() {
        return completed(state, work);
    }
    RunEvent::Unwind(UnwindEvent::PartialUnwindingStarted { steps })
}

/// Before a part of the run is undone what is under way ends: of the part, nothing is tried
/// again; of the rest, whatever waits goes on waiting, and runs below go on.
pub(super) fn stopping(state: &State, now: Timestamp, part: &Partial, events: &mut Vec<RunEvent>) {
    if let Some(event) = cancelled(state) {
        events.push(event);
        return;
    }
    resolve_faults(state, now, events);
    let given_up = part.steps.iter().copied().filter(|step| match state.step(*step).status {
        StepStatus::Ready | StepStatus::Waiting | StepStatus::Faulted | StepStatus::Retrying => {
            true
        }
        StepStatus::Pending
        | StepStatus::Running
        | StepStatus::Succeeded
        | StepStatus::Failed
        | StepStatus::Skipped
        | StepStatus::Pruned
        | StepStatus::Cancelled => false,
    });
    events.extend(given_up.map(|step| RunEvent::StepCancelled { step }));
    if events.is_empty() && !links::in_flight(state, part) {
        let steps = part.steps.iter().copied().collect();
        events.push(RunEvent::Unwind(UnwindEvent::PartialUnwindingStarted { steps }));
    }
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
    if let Some(part) = state.partial().filter(|part| part.back_to.is_some()) {
        let steps = part.steps.iter().copied().collect();
        return RunEvent::Unwind(UnwindEvent::PartialUnwindingEnded { steps });
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
