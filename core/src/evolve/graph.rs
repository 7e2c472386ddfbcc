//! What the richer words of the graph bring about: folding it.

use crate::event::GraphEvent;
use crate::state::State;
use crate::time::Timestamp;

use super::signals;

pub(super) fn apply(state: &mut State, event: &GraphEvent, at: Timestamp) -> Result<(), String> {
    match event {
        GraphEvent::StepAwaitsSignal { step, name, due_at } => {
            signals::wait(state, *step, name, *due_at, at)
        }
        GraphEvent::StepSignalled { step, signal, output } => {
            signals::take(state, *step, *signal, output, at)
        }
        GraphEvent::RouteChosen { .. }
        | GraphEvent::StepCacheHit { .. }
        | GraphEvent::StepLimitPassed { .. }
        | GraphEvent::SlaBreached { .. } => Err(format!("nothing is known of {event:?} yet")),
    }
}
