//! What follows of an event that somebody wants to be told of.

use crate::command::callbacks;
use crate::event::{CallbackEvent, RunEvent};
use crate::state::State;

/// The callbacks for an event that are not scheduled yet: each at most once in a run's life,
/// in the order of [`callbacks`], so that a cut between two of them is made good.
pub(crate) fn scheduled(state: &State, event: CallbackEvent) -> Vec<RunEvent> {
    let known = state.deliveries.iter().filter(|delivery| delivery.event == event).count();
    let first = u32::try_from(state.deliveries.len()).expect("deliveries are far fewer than 2^32");
    let wanted = callbacks(&state.plan, &state.submitted).filter(|own| own.event == event);
    wanted
        .skip(known)
        .zip(first..)
        .map(|(own, delivery)| {
            let url = own.url.clone();
            RunEvent::CallbackScheduled { delivery, event, url }
        })
        .collect()
}
