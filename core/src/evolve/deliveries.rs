//! Folding the events of callbacks.

use crate::arrows::{DELIVERY_ARROWS, DeliveryMove, DeliveryStatus, follow};
use crate::event::{AboutStep, AlertOf, DeliveryEvent, Target};
use crate::payload::Payload;
use crate::report::{Notice, callback_body, callback_url};
use crate::state::{Delivery, Notices, State, Subject};
use crate::time::Timestamp;

pub(super) fn apply(state: &mut State, event: &DeliveryEvent, at: Timestamp) -> Result<(), String> {
    match event {
        DeliveryEvent::Targeted { targets } => {
            notices_of_beginning(state)?.targets.clone_from(targets);
            Ok(())
        }
        DeliveryEvent::AlertsPinned { alerts } => {
            notices_of_beginning(state)?.alerts.clone_from(alerts);
            Ok(())
        }
        DeliveryEvent::Scheduled { delivery, target, about } => {
            schedule(state, *delivery, (target.clone(), None), about.as_ref(), at)
        }
        DeliveryEvent::AlertScheduled { delivery, target, about, of } => {
            schedule(state, *delivery, (target.clone(), Some(of)), about.as_ref(), at)
        }
        DeliveryEvent::SentAgain { delivery, .. } => {
            let own = move_delivery(state, *delivery, DeliveryMove::SendAgain, None)?;
            (own.tries, own.answered) = (0, None);
            Ok(())
        }
    }
}

fn notices_of_beginning(state: &mut State) -> Result<&mut Notices, String> {
    if state.version != state.beginning() {
        return Err("who is told is said when a run is submitted".to_owned());
    }
    Ok(state.notices.get_or_insert_default())
}

pub(super) fn schedule(
    state: &mut State,
    number: u32,
    (target, alert): (Target, Option<&AlertOf>),
    about: Option<&AboutStep>,
    at: Timestamp,
) -> Result<(), String> {
    if number as usize != state.deliveries.len() {
        return Err(format!("delivery {number} after {} deliveries", state.deliveries.len()));
    }
    let failure = about.map(|about| state.tell(target.event, about)).transpose()?;
    let step = about.map(|about| (about, failure.as_ref().and_then(Option::as_ref)));
    let output = state.ending.as_ref().and_then(|ending| ending.output.as_ref());
    let mut body = match output.filter(|output| output.absent().is_some()) {
        // Without the run's output there is nothing right to send: the delivery says so.
        Some(absent) => absent.clone(),
        None => Payload::of(&callback_body(state, &target, &Notice { number, step, alert, at })),
    };
    if state.plan.erasable {
        // No copy of what can be erased goes into a checkpoint.
        body.keep_beside();
    }
    let url = callback_url(state, &target, alert);
    let Target { event, url: _, form } = target;
    state.deliveries.push(Delivery {
        event,
        url,
        form,
        about: about.copied(),
        alert: alert.cloned().map(Box::new),
        status: DeliveryStatus::Owed,
        attempt: 0,
        tries: 0,
        due_at: None,
        answered: None,
        failure: None,
        scheduled_at: at,
        body,
    });
    state.sets.owed_deliveries.insert(number);
    state.sets.touched.push(Subject::Delivery(number));
    Ok(())
}

pub(super) fn delivery_mut(state: &mut State, number: u32) -> Result<&mut Delivery, String> {
    let known = state.deliveries.len();
    let missing = || format!("delivery {number} of {known}");
    state.deliveries.get_mut(number as usize).ok_or_else(missing)
}

pub(super) fn move_delivery(
    state: &mut State,
    number: u32,
    by: DeliveryMove,
    due_at: Option<Timestamp>,
) -> Result<&mut Delivery, String> {
    let own = delivery_mut(state, number)?;
    let (from, to) = (own.status, follow(DELIVERY_ARROWS, own.status, by)?);
    own.status = to;
    let waited = std::mem::replace(&mut own.due_at, due_at);
    if let Some(calls) = &mut state.calls {
        calls.release(Subject::Delivery(number));
    }
    let sets = &mut state.sets;
    if let Some(at) = waited {
        sets.due.remove(&(at, Subject::Delivery(number)));
    }
    match from {
        DeliveryStatus::Owed => drop(sets.owed_deliveries.remove(&number)),
        DeliveryStatus::Faulted => drop(sets.faulted_deliveries.remove(&number)),
        DeliveryStatus::Delivered | DeliveryStatus::Failed => {}
    }
    match to {
        DeliveryStatus::Owed => {
            sets.owed_deliveries.insert(number);
            sets.due.extend(due_at.map(|at| (at, Subject::Delivery(number))));
        }
        DeliveryStatus::Faulted => drop(sets.faulted_deliveries.insert(number)),
        DeliveryStatus::Delivered | DeliveryStatus::Failed => {}
    }
    sets.touched.push(Subject::Delivery(number));
    delivery_mut(state, number)
}
