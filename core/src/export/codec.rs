//! An event as one JSON value that reads back without loss, its payloads as values in it.
//!
//! The value is what serde makes of the event, with two changes: a payload stands there as
//! the JSON it is, not as a text of it, and a field that is absent is left out, so that it is
//! told apart from a payload that is `null`. The fields of events that hold payloads are named
//! in [`SLOTS`]; a test sends every kind of event through.

use serde_json::Value;

use crate::event::Event;
use crate::payload::Payload;

/// The fields of events that hold payloads.
const SLOTS: [&str; 6] = ["details", "input", "output", "payload", "results", "variables"];

/// An event as a value.
#[must_use]
pub fn event_to_value(event: &Event) -> Value {
    let mut event = event.clone();
    let mut payloads = Vec::new();
    event.for_each_payload_mut(&mut |payload| {
        // A number in its place, so that it is found again whatever it holds.
        payloads.push(payload.value());
        *payload = Payload::of(&Value::from(payloads.len() as u64 - 1));
    });
    let mut value = serde_json::to_value(&event).expect("an event is plain data");
    put_in(&mut value, &mut payloads);
    value
}

fn put_in(value: &mut Value, payloads: &mut [Value]) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            for (name, field) in fields {
                match (SLOTS.contains(&name.as_str()), field.as_str()) {
                    (true, Some(text)) => {
                        let slot = text.parse().ok().and_then(|at: usize| payloads.get_mut(at));
                        *field = slot.map(Value::take).unwrap_or_default();
                    }
                    _ => put_in(field, payloads),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| put_in(item, payloads)),
        _ => {}
    }
}

/// The event that [`event_to_value`] wrote.
///
/// # Errors
/// A sentence, when the value is no event.
pub fn event_from_value(mut value: Value) -> Result<Event, String> {
    let mut payloads = Vec::new();
    take_out(&mut value, &mut payloads);
    let mut event: Event =
        serde_json::from_value(value).map_err(|error| format!("it is no event: {error}"))?;
    let mut missing = false;
    event.for_each_payload_mut(&mut |payload| {
        let at = payload.text().parse().ok();
        match at.and_then(|at: usize| payloads.get_mut(at)) {
            Some(found) => *payload = Payload::of(&found.take()),
            None => missing = true,
        }
    });
    if missing { Err("a payload of it can't be read".to_owned()) } else { Ok(event) }
}

fn take_out(value: &mut Value, payloads: &mut Vec<Value>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if SLOTS.contains(&name.as_str()) {
                    payloads.push(field.take());
                    *field = Value::String((payloads.len() - 1).to_string());
                } else {
                    take_out(field, payloads);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| take_out(item, payloads)),
        _ => {}
    }
}
