//! Reading callbacks: of a definition, and of a submission.

use serde_json::Value;

use super::CALLBACKS_MAX;
use super::problem::{Problem, Problems, codes};
use super::read_fields::{Fields, type_of};
use super::read_receiver::{Secrets, receiver};
use crate::event::{CallbackEvent, Target};

/// The fields of a callback.
pub const CALLBACK_FIELDS: [&str; 7] =
    ["event", "events", "url", "format", "routing_key", "api_key", "headers"];

/// The most bytes of what says who is told, of one submission: it is recorded with the beginning of
/// its run, which is one commit.
const TARGETS_BYTES_MAX: usize = 24 * 1024;

/// Reads the callbacks of a submission, which refer to no secrets.
///
/// # Errors
/// Every problem, with its place in `callbacks`.
pub fn read_callbacks(items: &[Value]) -> Result<Vec<Target>, Vec<Problem>> {
    let mut problems = Problems::default();
    let targets = callbacks(items, Secrets::Refused, &mut problems);
    let bytes = |own: &Target| {
        own.url.len() + serde_json::to_string(&own.form).map_or(0, |form| form.len())
    };
    let bytes = targets.iter().map(bytes).sum::<usize>();
    if bytes > TARGETS_BYTES_MAX {
        let message = format!(
            "URLs, keys and headers have at most {TARGETS_BYTES_MAX} bytes in all, not {bytes}; \
             each of `events` counts"
        );
        problems.add("callbacks", codes::OUT_OF_RANGE, message);
    }
    let problems = problems.into_list();
    if problems.is_empty() { Ok(targets) } else { Err(problems) }
}

/// Reads callbacks; one with several events is as many.
pub(crate) fn callbacks(items: &[Value], secrets: Secrets, problems: &mut Problems) -> Vec<Target> {
    let read = |(at, value): (usize, &Value)| {
        callback(value, &format!("callbacks[{at}]"), secrets, problems)
    };
    let targets: Vec<_> = items.iter().enumerate().flat_map(read).collect();
    if targets.len() > CALLBACKS_MAX {
        let many = targets.len();
        let message = format!(
            "at most {CALLBACKS_MAX} callbacks are taken, not {many}; each of `events` counts"
        );
        problems.add("callbacks", codes::OUT_OF_RANGE, message);
        return Vec::new();
    }
    targets
}

fn callback(value: &Value, path: &str, secrets: Secrets, problems: &mut Problems) -> Vec<Target> {
    let Some(fields) = Fields::of(value, path, &CALLBACK_FIELDS, problems) else {
        return Vec::new();
    };
    let events = events(&fields, problems);
    let Some(own) = receiver(&fields, secrets, problems) else { return Vec::new() };
    let target = |event| Target { event, url: own.url.clone(), form: own.form.clone() };
    events.into_iter().map(target).collect()
}

fn events(fields: &Fields<'_>, problems: &mut Problems) -> Vec<CallbackEvent> {
    let words = &CallbackEvent::WORDS;
    if fields.get("events").is_none() {
        fields.required("event", problems);
        return fields.word("event", words, problems).into_iter().collect();
    }
    if fields.get("event").is_some() {
        let message = "either `event` or `events` is given, not both";
        problems.add(fields.at("events"), codes::BAD_VALUE, message);
        return Vec::new();
    }
    let given = fields.list("events", words.len(), problems);
    let mut events = Vec::new();
    for (at, value) in given.iter().enumerate() {
        let path = fields.at(&format!("events[{at}]"));
        let known = words.iter().find(|(word, _)| value == word);
        let message = match (known, value) {
            (Some((word, event)), _) if events.contains(event) => {
                format!("`{word}` is there twice")
            }
            (Some((_, event)), _) => {
                events.push(*event);
                continue;
            }
            (None, Value::String(text)) => {
                let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
                let shown: String = text.chars().take(64).collect();
                format!("an event is one of {}, not `{shown}`", known.join(", "))
            }
            (None, other) => {
                let message = format!("an event is a text, not {}", type_of(other));
                problems.add(path, codes::WRONG_TYPE, message);
                continue;
            }
        };
        problems.add(path, codes::BAD_VALUE, message);
    }
    if given.is_empty() && fields.get("events").is_some_and(Value::is_array) {
        problems.add(fields.at("events"), codes::BAD_VALUE, "`events` names at least one event");
    }
    events
}
