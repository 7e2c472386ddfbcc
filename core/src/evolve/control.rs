//! What people and signals do to a run: folding it.

use crate::event::ControlEvent;
use crate::state::State;
use crate::time::Timestamp;

pub(super) fn apply(
    _state: &mut State,
    event: &ControlEvent,
    _at: Timestamp,
) -> Result<(), String> {
    Err(format!("nothing is known of {event:?} yet"))
}
