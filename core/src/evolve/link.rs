//! What ties a run to others: folding it.

use crate::event::LinkEvent;
use crate::state::State;
use crate::time::Timestamp;

pub(super) fn apply(_state: &mut State, event: &LinkEvent, _at: Timestamp) -> Result<(), String> {
    Err(format!("nothing is known of {event:?} yet"))
}
