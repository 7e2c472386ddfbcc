//! From a request to execute a workflow to what the engine is asked.

use std::time::Duration;

use axum::http::HeaderMap;
use backstitch_core::command::{TAGS_MAX, WORDS_BYTES_MAX};
use backstitch_core::definition::problem::codes;
use backstitch_core::definition::read_callbacks;
use backstitch_core::event::{Priority, Target};
use backstitch_core::trace::TraceContext;
use backstitch_saga::handle::Request;
use serde_json::{Value, json};

use super::super::caller::Caller;
use super::super::document::Document;
use super::super::fields::{Fields, kind};
use super::super::gate;
use super::super::refusal::Refusal;
use super::WAIT_MAX;
use super::faults::faults;

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
        trace: trace_of(headers),
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
    gate::visible(key, WORDS_BYTES_MAX).map(|key| Some(key.to_owned())).ok_or_else(|| {
        let range = format!("1 to {WORDS_BYTES_MAX} visible ASCII characters");
        Refusal::bad_request(format!("the header Idempotency-Key must have {range}"))
    })
}

/// Where the client stands in a trace, if it says so.
pub(in crate::http) fn trace_of(headers: &HeaderMap) -> Option<TraceContext> {
    let all = |name: &str| -> Vec<&str> {
        let given = headers.get_all(name).iter();
        given.map(|own| own.to_str().unwrap_or("?")).collect()
    };
    TraceContext::read(&all("traceparent"), &all("tracestate"))
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

fn callbacks(fields: &mut Fields) -> Vec<Target> {
    let list = fields.list("callbacks");
    read_callbacks(&list).unwrap_or_else(|problems| {
        for problem in problems {
            fields.problem(problem.path, problem.code, problem.message);
        }
        Vec::new()
    })
}
