//! `/api/v1/replays`: recorded events delivered to somebody again.

use std::collections::BTreeSet;

use axum::http::header::LOCATION;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use backstitch_core::access::Permission;
use backstitch_core::definition::problem::codes as problems;
use backstitch_core::history::EventFilter;
use backstitch_core::ids::{ExecutionId, ReplayId};
use backstitch_core::replays::{
    ATTEMPTS_DEFAULT, ATTEMPTS_MAX, RATE_DEFAULT, RATE_MAX, ReplayState,
};
use backstitch_core::report::{EVENT_TYPES, replay_json};
use backstitch_core::time::Timestamp;
use backstitch_journal::{ChainCursor, ViewName};
use backstitch_saga::handle::{ReplayTarget, ReplayWish};
use serde_json::{Value, json};

use super::caller::Caller;
use super::document::Document;
use super::fields::{Fields, kind};
use super::path::PathId;
use super::query::Parameters;
use super::refusal::Refusal;
use super::window::{self, Newest, Window};
use super::{answer, codes};
use crate::nearest::unknown;

/// What beginning a replay needs beside its own permission: it tells what it delivers.
pub(super) const TO_A_URL: &str = "with `url`";
pub(super) const INTO_A_VIEW: &str = "with `view`";

const FIELDS: [&str; 7] =
    ["url", "view", "from", "to", "filter", "rate_per_second", "max_attempts"];
const FILTER_FIELDS: [&str; 4] = ["type", "workflow_id", "execution_id", "namespace"];

/// `POST /api/v1/replays`: 202 once the replay is durable.
pub(super) async fn begin(caller: Caller, document: Document) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let wish = read(&caller, document)?;
    caller.needs(match wish.target {
        ReplayTarget::Webhook(_) => Permission::HistoryRead,
        ReplayTarget::View(_) => Permission::ViewsWrite,
    })?;
    let (id, state) = engine.request_replay(wish).await?;
    let response = answer::json(StatusCode::ACCEPTED, &replay_json(id, &state));
    Ok(answer::with_header(response, LOCATION, &format!("/api/v1/replays/{id}")))
}

/// `GET /api/v1/replays`: newest first.
pub(super) async fn list(caller: Caller, uri: Uri) -> Result<Response, Refusal> {
    let window = Window::of_short(&Parameters::of(&uri, &window::PARAMETERS)?)?;
    let part = window.part(caller.engine()?.replays().await?, |(id, _)| Newest::of(*id))?;
    let row = |(id, state): &(ReplayId, ReplayState)| replay_json(*id, state);
    Ok(answer::ok(&window.told(json!({}), "replays", &part, row)))
}

/// `GET /api/v1/replays/{id}`.
pub(super) async fn show(caller: Caller, PathId(id): PathId) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let id = read_id(&id)?;
    Ok(answer::ok(&replay_json(id, &engine.replay(id).await?)))
}

/// `POST /api/v1/replays/{id}/stop`.
pub(super) async fn stop(
    caller: Caller,
    PathId(id): PathId,
    document: Document,
) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let id = read_id(&id)?;
    let mut fields = Fields::of(document, &["reason"]);
    let reason = fields.words("reason");
    fields.finish()?;
    let state = engine.stop_replay(id, reason, caller.actor()).await?;
    Ok(answer::ok(&replay_json(id, &state)))
}

/// `POST /api/v1/replays/{id}/resume`.
pub(super) async fn resume(
    caller: Caller,
    PathId(id): PathId,
    document: Document,
) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let id = read_id(&id)?;
    Fields::of(document, &[]).finish()?;
    let state = engine.resume_replay(id, caller.actor()).await?;
    Ok(answer::json(StatusCode::ACCEPTED, &replay_json(id, &state)))
}

fn read(caller: &Caller, document: Document) -> Result<ReplayWish, Refusal> {
    let mut fields = Fields::of(document, &FIELDS);
    let target = target(&mut fields);
    let (after, from) = place(&mut fields, "from");
    let (until, to) = place(&mut fields, "to");
    let filter = filter(&mut fields);
    let rate_per_second = whole(&mut fields, "rate_per_second", RATE_DEFAULT, RATE_MAX);
    let attempts = u32::from(ATTEMPTS_DEFAULT);
    let attempts_max = whole(&mut fields, "max_attempts", attempts, u32::from(ATTEMPTS_MAX));
    fields.finish()?;
    Ok(ReplayWish {
        namespace: caller.namespace().clone(),
        target,
        after,
        until,
        filter: EventFilter { from, to, ..filter },
        rate_per_second,
        attempts_max: u16::try_from(attempts_max).unwrap_or(ATTEMPTS_MAX),
        actor: caller.actor(),
    })
}

/// A URL, or a view, which is made anew as a whole.
fn target(fields: &mut Fields) -> ReplayTarget {
    let missing = || ReplayTarget::Webhook("http://missing/".to_owned());
    let Some(word) = fields.text("view") else {
        let Some(url) = fields.text("url") else {
            let message = "is required: an http or https URL; or name a `view`".to_owned();
            fields.problem("url", problems::MISSING_FIELD, message);
            return missing();
        };
        return ReplayTarget::Webhook(url);
    };
    for name in FIELDS.into_iter().filter(|name| *name != "view") {
        if fields.take(name).is_some() {
            let message = "is not taken with `view`: a view is made anew as a whole, from the \
                           whole history, and nothing is delivered";
            fields.problem(name, problems::UNKNOWN_FIELD, message.to_owned());
        }
    }
    ViewName::of_word(&word).map_or_else(
        || {
            let known = ViewName::ALL.map(ViewName::word);
            fields.problem("view", problems::BAD_VALUE, unknown("view", &word, &known));
            missing()
        },
        ReplayTarget::View,
    )
}

/// A place in the history: a cursor of the events, or an instant.
fn place(fields: &mut Fields, name: &str) -> (Option<ChainCursor>, Option<Timestamp>) {
    let Some(text) = fields.text(name) else { return (None, None) };
    if let Some(at) = Timestamp::parse(&text) {
        return (None, Some(at));
    }
    let cursor = text.parse().ok();
    if cursor.is_none() {
        let message = "must be an instant in RFC 3339, or a cursor of the events".to_owned();
        fields.problem(name, problems::BAD_VALUE, message);
    }
    (cursor, None)
}

fn whole(fields: &mut Fields, name: &str, default: u32, max: u32) -> u32 {
    let Some(value) = fields.take(name) else { return default };
    let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
    number.filter(|number| (1..=max).contains(number)).unwrap_or_else(|| {
        let message = format!("must be a whole number from 1 to {max}");
        fields.problem(name, problems::OUT_OF_RANGE, message);
        default
    })
}

fn filter(fields: &mut Fields) -> EventFilter {
    let mut filter = EventFilter::default();
    let mut wrong = Vec::new();
    match fields.take("filter") {
        None => return filter,
        Some(Value::Object(given)) => {
            for (name, value) in given.into_iter().filter(|(_, value)| !value.is_null()) {
                if let Err(problem) = condition(&mut filter, &name, value) {
                    wrong.push((format!("filter.{name}"), problem));
                }
            }
        }
        Some(other) => {
            let message = format!("must be an object, not {}", kind(&other));
            wrong.push(("filter".to_owned(), (problems::WRONG_TYPE, message)));
        }
    }
    for (path, (code, message)) in wrong {
        fields.problem(path, code, message);
    }
    filter
}

/// Takes one condition; the code and message of what is wrong with it otherwise.
fn condition(
    filter: &mut EventFilter,
    name: &str,
    value: Value,
) -> Result<(), (&'static str, String)> {
    if name == "type" {
        filter.types = types(value)?;
        return Ok(());
    }
    if !FILTER_FIELDS.contains(&name) {
        return Err((problems::UNKNOWN_FIELD, unknown("field", name, &FILTER_FIELDS)));
    }
    let Value::String(text) = value else {
        return Err((problems::WRONG_TYPE, format!("must be text, not {}", kind(&value))));
    };
    match name {
        "workflow_id" => filter.workflow = Some(text),
        "namespace" => filter.namespace = Some(text),
        _ => {
            let id: ExecutionId =
                text.parse().map_err(|bad| (problems::BAD_VALUE, format!("{bad}")))?;
            filter.execution = Some(id.to_string());
        }
    }
    Ok(())
}

/// One type word, or a list of them.
fn types(value: Value) -> Result<BTreeSet<String>, (&'static str, String)> {
    let words = match value {
        Value::Array(words) => words,
        one => vec![one],
    };
    words
        .into_iter()
        .map(|word| match word {
            Value::String(word) if EVENT_TYPES.contains(&word.as_str()) => Ok(word),
            Value::String(word) => {
                Err((problems::BAD_VALUE, unknown("event type", &word, &EVENT_TYPES)))
            }
            other => {
                let message =
                    format!("must be an event type or a list of them, not {}", kind(&other));
                Err((problems::WRONG_TYPE, message))
            }
        })
        .collect()
}

fn read_id(text: &str) -> Result<ReplayId, Refusal> {
    text.parse().map_err(|bad| Refusal::new(codes::REPLAY_NOT_FOUND, format!("{bad}")))
}
