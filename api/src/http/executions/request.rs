//! From a request to execute a workflow to what the engine is asked.

use std::time::Duration;

use axum::http::HeaderMap;
use backstitch_core::command::{CALLBACKS_MAX, TAGS_MAX, WORDS_BYTES_MAX};
use backstitch_core::definition::problem::codes;
use backstitch_core::event::{Callback, CallbackEvent, Priority};
use backstitch_core::report::callback_word;
use backstitch_saga::handle::Request;
use serde_json::{Value, json};

use super::super::caller::Caller;
use super::super::document::Document;
use super::super::fields::{Fields, kind};
use super::super::refusal::Refusal;
use super::WAIT_MAX;
use super::faults::faults;
use crate::nearest::unknown;

/// The header that makes a repeated request answer the same run.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
const FIELDS: [&str; 9] = [
    "revision",
    "input",
    "variables",
    "correlation_id",
    "tags",
    "callbacks",
    "priority",
    "faults",
    "wait_seconds",
];
const CALLBACK_EVENTS: [CallbackEvent; 5] = [
    CallbackEvent::Completed,
    CallbackEvent::Failed,
    CallbackEvent::Compensating,
    CallbackEvent::Cancelled,
    CallbackEvent::SlaBreached,
];

/// What is asked of the engine, and how long its client waits.
pub(super) fn read(
    caller: &Caller,
    workflow: String,
    headers: &HeaderMap,
    document: Document,
) -> Result<(Request, Duration), Refusal> {
    let idempotency_key = idempotency_key(headers)?;
    let mut fields = Fields::of(document, &FIELDS);
    let revision = fields.whole("revision", u64::from(u32::MAX));
    let input = fields.take("input").unwrap_or_else(|| json!({}));
    let variables = fields.take("variables").unwrap_or_else(|| json!({}));
    let correlation_id = fields.words("correlation_id");
    let wait_seconds = fields.number("wait_seconds", WAIT_MAX.as_secs_f64()).unwrap_or(0.0);
    let tags = tags(&mut fields);
    let callbacks = callbacks(&mut fields);
    let priority = priority(&mut fields);
    let faults = faults(&mut fields);
    fields.finish()?;
    let actor = caller.actor();
    let request = Request {
        namespace: caller.namespace().clone(),
        workflow,
        revision: revision.and_then(|own| u32::try_from(own).ok()),
        input,
        variables,
        correlation_id,
        tags,
        priority,
        callbacks,
        faults,
        idempotency_key,
        actor,
    };
    Ok((request, Duration::from_secs_f64(wait_seconds)))
}

/// The key of a request that answers the same run when it is repeated.
pub(in crate::http) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let mut given = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(key) = given.next() else { return Ok(None) };
    if given.next().is_some() {
        return Err(Refusal::bad_request("the header Idempotency-Key is given twice"));
    }
    let key = key.to_str().ok().filter(|key| !key.is_empty() && key.len() <= WORDS_BYTES_MAX);
    key.map(|key| Some(key.to_owned())).ok_or_else(|| {
        let range = format!("1 to {WORDS_BYTES_MAX} visible ASCII characters");
        Refusal::bad_request(format!("the header Idempotency-Key must have {range}"))
    })
}

fn priority(fields: &mut Fields) -> Option<Priority> {
    let word = match fields.take("priority")? {
        Value::String(word) => word,
        other => {
            let message = format!("must be text, not {}", kind(&other));
            fields.problem("priority", codes::WRONG_TYPE, message);
            return None;
        }
    };
    let priority = Priority::of_word(&word);
    if priority.is_none() {
        fields.problem("priority", codes::BAD_VALUE, "is one of high, medium, low".to_owned());
    }
    priority
}

fn tags(fields: &mut Fields) -> Vec<String> {
    let list = fields.list("tags");
    if list.len() > TAGS_MAX {
        let message = format!("at most {TAGS_MAX} tags are taken, not {}", list.len());
        fields.problem("tags", codes::OUT_OF_RANGE, message);
        return Vec::new();
    }
    fields.texts("tags", list)
}

fn callbacks(fields: &mut Fields) -> Vec<Callback> {
    let list = fields.list("callbacks");
    if list.len() > CALLBACKS_MAX {
        let message = format!("at most {CALLBACKS_MAX} callbacks are taken, not {}", list.len());
        fields.problem("callbacks", codes::OUT_OF_RANGE, message);
        return Vec::new();
    }
    let read = |(at, value): (usize, Value)| callback(fields, &format!("callbacks[{at}]"), value);
    list.into_iter().enumerate().filter_map(read).collect()
}

fn callback(fields: &mut Fields, path: &str, value: Value) -> Option<Callback> {
    let given = fields.object(path, value, &["event", "url"])?;
    let mut text = |name: &str| {
        let text = given.get(name).and_then(Value::as_str).map(str::to_owned);
        if text.is_none() {
            let message = "is required and must be text".to_owned();
            fields.problem(format!("{path}.{name}"), codes::MISSING_FIELD, message);
        }
        text
    };
    let (event, url) = (text("event"), text("url"));
    let event = event.as_deref().and_then(|word| {
        let event = CALLBACK_EVENTS.into_iter().find(|event| callback_word(*event) == word);
        if event.is_none() {
            let known = CALLBACK_EVENTS.map(callback_word);
            let message = unknown("event", word, &known);
            fields.problem(format!("{path}.event"), codes::BAD_VALUE, message);
        }
        event
    });
    Some(Callback { event: event?, url: url? })
}
