//! Who is to be told of what happened: callbacks that are not scheduled yet.

use super::STARTS_PER_LAYER_MAX;
use crate::event::{AboutStep, AlertOf, CallbackEvent, CallbackForm, DeliveryEvent, RunEvent};
use crate::state::{State, Told};

/// The callbacks that what happened calls for, of steps and of the run as a whole. They get their
/// numbers with the rest of their layer.
pub(crate) fn owed(state: &State) -> Vec<RunEvent> {
    let of_steps = state.untold().iter().flat_map(|own| {
        let left = state.told_of(own.event).skip(own.told);
        left.map(move |told| event_of(told, Some(own.about)))
    });
    let of_run = state.happened().flat_map(|event| scheduled(state, event));
    of_steps.take(STARTS_PER_LAYER_MAX).chain(of_run).collect()
}

/// The callbacks for an event of the run as a whole that are not scheduled yet: each at most once
/// in a run's life, in the order of [`State::told`], so that a cut between two of them is made
/// good.
fn scheduled(state: &State, event: CallbackEvent) -> Vec<RunEvent> {
    let scheduled = || state.deliveries.iter().filter(move |own| own.event == event);
    let wanted = state.told_of(event).filter(|told| told.alert.is_none());
    let wanted: Vec<_> = wanted.collect();
    let known = scheduled().filter(|own| own.alert.is_none()).take(wanted.len()).count();
    // An alert that was raised since the run ended the first time is one more to end.
    let told_of = |of: &AlertOf| scheduled().any(|own| own.alert.as_deref() == Some(of));
    let alerts = state.told_of(event).filter(|told| told.alert.is_some_and(|of| !told_of(of)));
    wanted.into_iter().skip(known).chain(alerts).map(|told| event_of(told, None)).collect()
}

/// That somebody is owed a callback; its number comes later.
fn event_of(told: Told<'_>, about: Option<AboutStep>) -> RunEvent {
    let delivery = 0;
    match (told.alert, told.form, about) {
        (Some(of), ..) => {
            let (target, of) = (told.target(), of.clone());
            RunEvent::Delivery(DeliveryEvent::AlertScheduled { delivery, target, about, of })
        }
        (None, CallbackForm::Backstitch, None) => {
            RunEvent::CallbackScheduled { delivery, event: told.event, url: told.url.to_owned() }
        }
        _ => {
            let target = told.target();
            RunEvent::Delivery(DeliveryEvent::Scheduled { delivery, target, about })
        }
    }
}

/// Numbers the deliveries of one layer.
pub(super) fn number(state: &State, events: &mut [RunEvent]) {
    let first = u32::try_from(state.deliveries.len()).expect("deliveries are far fewer than 2^32");
    let scheduled = events.iter_mut().filter_map(|event| match event {
        RunEvent::CallbackScheduled { delivery, .. }
        | RunEvent::Delivery(
            DeliveryEvent::Scheduled { delivery, .. }
            | DeliveryEvent::AlertScheduled { delivery, .. },
        ) => Some(delivery),
        _ => None,
    });
    scheduled.zip(first..).for_each(|(delivery, number)| *delivery = number);
}
