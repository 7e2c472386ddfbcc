//! Deciding what becomes of callbacks: an attempt's end, a wait, and a wish to have one again.

use super::open_letter;
use crate::arrows::DeliveryStatus;
use crate::command::Rejection;
use crate::event::{DeliveryEvent, Hold, LetterSubject, RunEvent, ServiceEvent};
use crate::failure::Failure;
use crate::state::State;
use crate::time::Timestamp;

/// Attempts to deliver one callback before it becomes a dead letter.
pub const CALLBACK_ATTEMPTS_MAX: u16 = 17;

/// An attempt has ended.
pub(super) fn report(
    state: &State,
    delivery: u32,
    attempt: u16,
    result: Result<u16, Failure>,
    retry_at: Timestamp,
) -> Vec<RunEvent> {
    let Some(own) = state.deliveries.get(delivery as usize) else { return Vec::new() };
    if own.status != DeliveryStatus::Owed || own.attempt + 1 != attempt {
        return Vec::new();
    }
    vec![match result {
        Ok(status) => RunEvent::CallbackDelivered { delivery, attempt, status },
        Err(failure) => {
            let failure = failure.clipped();
            let again = own.tries + 1 < CALLBACK_ATTEMPTS_MAX;
            let retry_at = again.then_some(retry_at);
            RunEvent::CallbackAttemptFailed { delivery, attempt, failure, retry_at }
        }
    }]
}

/// One that is owed is owed later.
pub(super) fn hold(state: &State, delivery: u32, hold: Hold, due_at: Timestamp) -> Vec<RunEvent> {
    let owed = state.deliveries.get(delivery as usize);
    let owed = owed.is_some_and(|own| own.status == DeliveryStatus::Owed);
    let held = ServiceEvent::CallbackHeld { delivery, hold, due_at };
    owed.then_some(RunEvent::Service(held)).into_iter().collect()
}

/// One that was received is owed again; one that failed, by its letter.
pub(super) fn send_again(
    state: &State,
    delivery: u32,
    actor: String,
) -> Result<Vec<RunEvent>, Rejection> {
    let own = state.deliveries.get(delivery as usize);
    let own = own.ok_or(Rejection::UnknownDelivery { delivery })?;
    match own.status {
        DeliveryStatus::Owed | DeliveryStatus::Faulted => {
            Err(Rejection::DeliveryPending { delivery })
        }
        DeliveryStatus::Delivered => {
            Ok(vec![RunEvent::Delivery(DeliveryEvent::SentAgain { delivery, actor })])
        }
        DeliveryStatus::Failed => {
            let letter = state.letters_of(LetterSubject::Callback(delivery)).last();
            let letter = letter.ok_or(Rejection::DeliveryPending { delivery })?;
            open_letter(state, letter)?;
            Ok(vec![RunEvent::LetterRetried { letter, actor, linked: None }])
        }
    }
}
