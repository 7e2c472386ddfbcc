//! Reading callbacks: of a definition, and of a submission.

use serde_json::Value;

use super::problem::{Problem, Problems, codes};
use super::read_fields::{Fields, type_of};
use super::{CALLBACKS_MAX, URL_CHARS_MAX};
use crate::event::{CallbackEvent, CallbackForm, Target};

/// The fields of a callback.
pub const CALLBACK_FIELDS: [&str; 5] = ["event", "events", "url", "format", "routing_key"];
/// The longest key of an integration of PagerDuty.
const ROUTING_KEY_CHARS_MAX: usize = 64;

/// Reads the callbacks of a submission.
///
/// # Errors
/// Every problem, with its place in `callbacks`.
pub fn read_callbacks(items: &[Value]) -> Result<Vec<Target>, Vec<Problem>> {
    let mut problems = Problems::default();
    let targets = callbacks(items, &mut problems);
    let problems = problems.into_list();
    if problems.is_empty() { Ok(targets) } else { Err(problems) }
}

/// Reads callbacks; one with several events is as many.
pub(super) fn callbacks(items: &[Value], problems: &mut Problems) -> Vec<Target> {
    let read =
        |(at, value): (usize, &Value)| callback(value, &format!("callbacks[{at}]"), problems);
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

fn callback(value: &Value, path: &str, problems: &mut Problems) -> Vec<Target> {
    let Some(fields) = Fields::of(value, path, &CALLBACK_FIELDS, problems) else {
        return Vec::new();
    };
    let events = events(&fields, problems);
    fields.required("url", problems);
    let url = fields.text("url", URL_CHARS_MAX, problems);
    let form = form(&fields, problems);
    let (Some(url), Some(form)) = (url, form) else { return Vec::new() };
    if let Err(why) = check_url(&url) {
        problems.add(fields.at("url"), codes::BAD_URL, why);
        return Vec::new();
    }
    let target = |event| Target { event, url: url.clone(), form: form.clone() };
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

fn form(fields: &Fields<'_>, problems: &mut Problems) -> Option<CallbackForm> {
    let words = CallbackForm::WORDS.map(|word| (word, word));
    let word = match fields.get("format") {
        None => CallbackForm::default().word(),
        Some(_) => fields.word("format", &words, problems)?,
    };
    if word == "pagerduty" {
        fields.required("routing_key", problems);
        let routing_key = fields.text("routing_key", ROUTING_KEY_CHARS_MAX, problems)?;
        if routing_key.is_empty() || !routing_key.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            let message = "`routing_key` has letters and digits, as PagerDuty shows it";
            problems.add(fields.at("routing_key"), codes::BAD_VALUE, message);
            return None;
        }
        return Some(CallbackForm::PagerDuty { routing_key });
    }
    if fields.get("routing_key").is_some() {
        let message = "`routing_key` belongs to `format: pagerduty`";
        problems.add(fields.at("routing_key"), codes::BAD_VALUE, message);
        return None;
    }
    Some(match word {
        "cloudevents" => CallbackForm::CloudEvents,
        "slack" => CallbackForm::Slack,
        _ => CallbackForm::Backstitch,
    })
}

/// Whether a text is an absolute `http` or `https` URL.
fn check_url(url: &str) -> Result<(), &'static str> {
    let rest = url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("https://"))
        .ok_or("a URL begins with http:// or https://")?;
    if url.contains(|c: char| c.is_whitespace() || c.is_control() || "{}<>\"\\^`|".contains(c)) {
        return Err("a URL has no blanks, templates or other characters that need encoding");
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err("a URL carries no user or password");
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let port_is_good = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    if host.is_empty() || !port_is_good {
        return Err("a URL names a host, and a port from 1 to 65535 if any");
    }
    Ok(())
}
