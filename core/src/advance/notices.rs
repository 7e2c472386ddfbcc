//! Who is to be told of what happened: callbacks that are not scheduled yet.

use super::STARTS_PER_LAYER_MAX;
use crate::event::{CallbackEvent, CallbackForm, DeliveryEvent, RunEvent};
use crate::state::State;

/// The callbacks that what happened calls for, of steps and of the run as a whole. They get their
/// numbers with the rest of their layer.
pub(crate) fn owed(state: &State) -> Vec<RunEvent> {
    let of_steps = state.untold().iter().flat_map(|own| {
        let left = state.told_of(own.event).skip(own.told);
        left.map(move |told| {
            let (target, about) = (told.target(), Some(own.about));
            RunEvent::Delivery(DeliveryEvent::Scheduled { delivery: 0, target, about })
        })
    });
    let of_run = state.happened().flat_map(|event| scheduled(state, event));
    of_steps.take(STARTS_PER_LAYER_MAX).chain(of_run).collect()
}

/// The callbacks for an event of the run as a whole that are not scheduled yet: each at most once
/// in a run's life, in the order of [`State::told`], so that a cut between two of them is made
/// good.
fn scheduled(state: &State, event: CallbackEvent) -> Vec<RunEvent> {
    let wanted = state.told_of(event).count();
    let known = state.deliveries.iter().filter(|own| own.event == event).take(wanted).count();
    let left = state.told_of(event).skip(known);
    left.map(|told| match told.form {
        CallbackForm::Backstitch => {
            RunEvent::CallbackScheduled { delivery: 0, event, url: told.url.to_owned() }
        }
        _ => {
            let target = told.target();
            RunEvent::Delivery(DeliveryEvent::Scheduled { delivery: 0, target, about: None })
        }
    })
    .collect()
}

/// Numbers the deliveries of one layer.
pub(super) fn number(state: &State, events: &mut [RunEvent]) {
    let first = u32::try_from(state.deliveries.len()).expect("deliveries are far fewer than 2^32");
    let scheduled = events.iter_mut().filter_map(|event| match event {
        RunEvent::CallbackScheduled { delivery, .. }
        | RunEvent::Delivery(DeliveryEvent::Scheduled { delivery, .. }) => Some(delivery),
        _ => None,
    });
    scheduled.zip(first..).for_each(|(delivery, number)| *delivery = number);
}
