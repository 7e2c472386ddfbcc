//! How much a run may hold: every payload that its events bring counts against one bound.
//!
//! Looks at events before they are folded and turns one that would pass the bound into the
//! failure that says so; what undos need is kept back for them. Decides nothing else.

use crate::arrows::Phase;
use crate::event::{GraphEvent, RunEvent, UnwindEvent};
use crate::failure::{Failure, codes};
use crate::payload::{Payload, RUN_PAYLOAD_BYTES_MAX, SIGNAL_PAYLOAD_BYTES, UNDO_PAYLOAD_BYTES};
use crate::state::{Signals, State};

/// What the run may still hold.
pub(crate) fn room_bytes(state: &State) -> usize {
    let kept = if state.phase == Phase::Unwinding { 0 } else { UNDO_PAYLOAD_BYTES };
    (RUN_PAYLOAD_BYTES_MAX - kept).saturating_sub(state.payload_bytes)
}

fn too_much(what: &str, bytes: usize, room_bytes: usize) -> Failure {
    let message = format!(
        "{what} has {bytes} bytes, and the run has room for {room_bytes} more: its payloads \
         may have {RUN_PAYLOAD_BYTES_MAX} together, {UNDO_PAYLOAD_BYTES} of them for undos"
    );
    Failure::permanent(codes::PAYLOAD_TOO_LARGE, message)
}

/// Whether an answer may be kept with all that the run holds already.
///
/// # Errors
/// `PAYLOAD_TOO_LARGE`; the attempt that answered may have taken effect.
pub(crate) fn admit(state: &State, output: Payload) -> Result<Payload, Failure> {
    let (bytes, room_bytes) = (output.length_bytes(), room_bytes(state));
    if bytes <= room_bytes {
        return Ok(output);
    }
    Err(too_much("the output", bytes, room_bytes).of_unknown_effect())
}

/// Whether a signal may be kept: whoever sends signals leaves room for the run's steps.
///
/// # Errors
/// A sentence.
pub(crate) fn admit_signal(state: &State, bytes: usize) -> Result<(), String> {
    let known_bytes = state.signals().map_or(0, Signals::bytes);
    let room_bytes = SIGNAL_PAYLOAD_BYTES.saturating_sub(known_bytes);
    if bytes <= room_bytes {
        return Ok(());
    }
    Err(format!(
        "the signal has {bytes} bytes, and the run has room for {room_bytes} more of signals: \
         they may have {SIGNAL_PAYLOAD_BYTES} together, so that there is room for its steps"
    ))
}

/// The same as [`admit`] for events that follow of themselves, in order.
pub(crate) fn allot(state: &State, events: &mut [RunEvent]) {
    let mut room_bytes = room_bytes(state);
    for event in events {
        let bytes = event.payload_bytes();
        if bytes <= room_bytes {
            room_bytes -= bytes;
            continue;
        }
        let refused = |what| too_much(what, bytes, room_bytes);
        *event = match event {
            RunEvent::StepReady { step, .. } => {
                RunEvent::StepFailed { step: *step, failure: refused("the input") }
            }
            RunEvent::StepSucceeded { step, .. }
            | RunEvent::Graph(
                GraphEvent::StepSignalled { step, .. }
                | GraphEvent::RouteChosen { step, .. }
                | GraphEvent::StepCacheHit { step, .. },
            ) => RunEvent::StepFailed { step: *step, failure: refused("the output") },
            RunEvent::UndoReady { step, .. } => {
                RunEvent::UndoFailed { step: *step, failure: refused("the undo's input") }
            }
            RunEvent::Unwind(
                UnwindEvent::CheckReady { step, .. } | UnwindEvent::CheckConcluded { step, .. },
            ) => RunEvent::UndoFailed { step: *step, failure: refused("the check") },
            RunEvent::RunEnded { output: Some(_), .. } => RunEvent::RunFailing {
                failure: refused("`outputs`"),
                step: None,
                recourse: state.plan.on_failure,
            },
            // Failures are small, and what happened is never left unsaid.
            _ => continue,
        };
    }
}
