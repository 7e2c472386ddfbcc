//! Folding how steps wait for signals and take them.

use std::sync::Arc;

use crate::arrows::StepMove;
use crate::event::{CallbackEvent, LetterSubject};
use crate::ids::StepIndex;
use crate::payload::Payload;
use crate::state::State;
use crate::time::Timestamp;

use super::{move_step, step_mut};

/// The step waits for a signal, until an instant or without end.
pub(super) fn wait(
    state: &mut State,
    step: StepIndex,
    name: &Arc<str>,
    due_at: Option<Timestamp>,
    at: Timestamp,
) -> Result<(), String> {
    let own = step_mut(state, step)?;
    own.due_at = due_at;
    own.started_at.get_or_insert(at);
    move_step(state, step, StepMove::Wait, at)?;
    let signals = &mut state.controls_mut().signals;
    signals.wait(step, name);
    // One that came in before is taken at once.
    if signals.pairs().all(|(waiting, ..)| waiting != step) {
        state.note(CallbackEvent::StepWaiting, LetterSubject::Step(step), None);
    }
    Ok(())
}

/// The step takes a signal.
pub(super) fn take(
    state: &mut State,
    step: StepIndex,
    signal: u32,
    output: &Payload,
    at: Timestamp,
) -> Result<(), String> {
    if state.awaits(step).is_none() {
        return Err(format!("step {} waits for no signal", step.0));
    }
    let taken = state.controls_mut().signals.take(signal);
    taken.ok_or_else(|| format!("no signal {signal} is kept"))?;
    step_mut(state, step)?.output = Some(output.clone());
    move_step(state, step, StepMove::Succeed, at)
}
