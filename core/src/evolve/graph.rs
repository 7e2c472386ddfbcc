//! What the richer words of the graph bring about: folding it.

use crate::event::GraphEvent;
use crate::state::State;
use crate::time::Timestamp;

pub(super) fn apply(_state: &mut State, event: &GraphEvent, _at: Timestamp) -> Result<(), String> {
    Err(format!("nothing is known of {event:?} yet"))
}
