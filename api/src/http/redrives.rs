//! `/api/v1/dlq/retries`: redrives, dead letters retried by a filter, at a rate.

use axum::http::header::LOCATION;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use backstitch_core::definition::problem::codes as problems;
use backstitch_core::ids::RedriveId;
use backstitch_core::letters::{Fingerprint, InputEdit};
use backstitch_core::redrives::{
    CANARIES_MAX, CANARY_WAIT_MS_DEFAULT, Canary, LetterChoice, RATE_DEFAULT, RATE_MAX,
    RedriveCommand, RedriveState, StopWhen, Terms,
};
use backstitch_core::report::{kind_word, redrive_json};
use backstitch_core::summary::LetterKind;
use backstitch_core::time::{Timestamp, parse_duration_ms};
use backstitch_saga::handle::RedriveWish;
use serde_json::{Map, Value, json};

use super::caller::Caller;
use super::control::reason;
use super::document::Document;
use super::fields::Fields;
use super::path::PathId;
use super::query::Parameters;
use super::refusal::Refusal;
use super::window::{self, Newest, Window};
use super::{answer, codes};
use crate::nearest::unknown;

const FIELDS: [&str; 7] =
    ["filter", "rate_per_second", "canary", "stop_when", "input", "input_patch", "reason"];
const FILTER_FIELDS: [&str; 10] = [
    "workflow_id",
    "step",
    "kind",
    "code",
    "fingerprint",
    "tag",
    "assignee",
    "execution_id",
    "opened_after",
    "opened_before",
];
const CANARY_FIELDS: [&str; 2] = ["count", "wait"];
const STOP_FIELDS: [&str; 3] = ["failures", "failure_ratio", "after_outcomes"];
/// The most failures, and outcomes, that a rule can name.
const COUNT_MAX: u64 = 1_000_000_000;

/// `POST /api/v1/dlq/retries`: 202 once the redrive is durable.
pub(super) async fn begin(caller: Caller, document: Document) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let wish = read(&caller, document)?;
    let (id, state) = engine.request_redrive(wish).await?;
    let response = answer::json(StatusCode::ACCEPTED, &redrive_json(id, &state));
    Ok(answer::with_header(response, LOCATION, &format!("/api/v1/dlq/retries/{id}")))
}

/// `GET /api/v1/dlq/retries`: newest first.
pub(super) async fn list(caller: Caller, uri: Uri) -> Result<Response, Refusal> {
    let window = Window::of_short(&Parameters::of(&uri, &window::PARAMETERS)?)?;
    let mut redrives = caller.engine()?.redrives().await?;
    redrives.retain(|(_, state)| state.request.namespace == *caller.namespace());
    let part = window.part(redrives, |(id, _)| Newest::of(*id))?;
    let row = |(id, state): &(RedriveId, RedriveState)| redrive_json(*id, state);
    Ok(answer::ok(&window.told(json!({}), "redrives", &part, row)))
}

/// `GET /api/v1/dlq/retries/{id}`.
pub(super) async fn show(caller: Caller, PathId(id): PathId) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let id = read_id(&id)?;
    Ok(answer::ok(&redrive_json(id, &engine.redrive(id).await?)))
}

/// `POST /api/v1/dlq/retries/{id}/pause`: what is under way goes on.
pub(super) async fn pause(
    caller: Caller,
    PathId(id): PathId,
    document: Document,
) -> Result<Response, Refusal> {
    let (reason, actor) = (reason(document)?, Some(caller.actor()));
    act(&caller, &id, RedriveCommand::Halt { reason, actor }).await
}

/// `POST /api/v1/dlq/retries/{id}/resume`: from where it stopped.
pub(super) async fn resume(
    caller: Caller,
    PathId(id): PathId,
    document: Document,
) -> Result<Response, Refusal> {
    let (reason, actor) = (reason(document)?, caller.actor());
    act(&caller, &id, RedriveCommand::Resume { reason, actor }).await
}

/// `POST /api/v1/dlq/retries/{id}/cancel`: letters that were not retried stay open.
pub(super) async fn cancel(
    caller: Caller,
    PathId(id): PathId,
    document: Document,
) -> Result<Response, Refusal> {
    let (reason, actor) = (reason(document)?, caller.actor());
    act(&caller, &id, RedriveCommand::Cancel { reason, actor }).await
}

async fn act(caller: &Caller, id: &str, command: RedriveCommand) -> Result<Response, Refusal> {
    let (id, state) = caller.engine()?.redrive_command(read_id(id)?, command).await?;
    Ok(answer::ok(&redrive_json(id, &state)))
}

fn read(caller: &Caller, document: Document) -> Result<RedriveWish, Refusal> {
    let mut fields = Fields::of(document, &FIELDS);
    let filter = part(&mut fields, "filter", &FILTER_FIELDS).unwrap_or_default();
    let filter = read_filter(&mut fields, filter);
    let canary = part(&mut fields, "canary", &CANARY_FIELDS);
    let canary = canary.map(|own| read_canary(&mut fields, &own));
    let rules = part(&mut fields, "stop_when", &STOP_FIELDS).unwrap_or_default();
    let stop_when = read_rules(&mut fields, &rules);
    let rate = fields.whole("rate_per_second", u64::from(RATE_MAX));
    let rate = rate.and_then(|rate| u32::try_from(rate).ok()).unwrap_or(RATE_DEFAULT);
    let edit = read_edit(&mut fields);
    let reason = fields.words("reason");
    fields.finish()?;
    Ok(RedriveWish {
        namespace: caller.namespace().clone(),
        terms: Terms { filter, canary, stop_when, edit },
        rate_per_second: rate,
        reason,
        actor: caller.actor(),
    })
}

fn part(fields: &mut Fields, name: &str, known: &[&str]) -> Option<Map<String, Value>> {
    let given = fields.take(name)?;
    fields.object(name, given, known)
}

/// Every condition; what is wrong with one is noted.
fn read_filter(fields: &mut Fields, given: Map<String, Value>) -> LetterChoice {
    let mut choice = LetterChoice::default();
    for (name, value) in given {
        let Value::String(text) = &value else {
            let message = format!("must be text, not {}", super::fields::kind(&value));
            fields.problem(format!("filter.{name}"), problems::WRONG_TYPE, message);
            continue;
        };
        if let Err(message) = condition(&mut choice, &name, text) {
            fields.problem(format!("filter.{name}"), problems::BAD_VALUE, message);
        }
    }
    choice
}

fn condition(choice: &mut LetterChoice, name: &str, text: &str) -> Result<(), String> {
    let own = Some(text.to_owned());
    let instant = || {
        let wrong = || "must be an instant such as 2026-01-31T12:00:00Z".to_owned();
        Timestamp::parse(text).map(Some).ok_or_else(wrong)
    };
    match name {
        "workflow_id" => choice.workflow = own,
        "step" => choice.step = own,
        "code" => choice.code = own,
        "tag" => choice.tag = own,
        "assignee" => choice.assignee = own,
        "execution_id" => choice.execution = own,
        "kind" => {
            let known = LetterKind::ALL.map(kind_word);
            let found = LetterKind::ALL.into_iter().find(|kind| kind_word(*kind) == text);
            choice.kind = Some(found.ok_or_else(|| unknown("kind", text, &known))?);
        }
        "fingerprint" => {
            let found = text.parse::<Fingerprint>().map_err(|bad| bad.to_string())?;
            choice.fingerprint = Some(found);
        }
        "opened_after" => choice.opened_after = instant()?,
        "opened_before" => choice.opened_before = instant()?,
        // Told as unknown already.
        _ => {}
    }
    Ok(())
}

fn read_canary(fields: &mut Fields, given: &Map<String, Value>) -> Canary {
    let count = given.get("count").cloned().unwrap_or(Value::from(1));
    let count = fields.whole_of("canary.count", &count, u64::from(CANARIES_MAX));
    let count = count.and_then(|count| u32::try_from(count).ok()).unwrap_or(1);
    let wait_ms = match given.get("wait") {
        None => CANARY_WAIT_MS_DEFAULT,
        Some(value) => duration_ms(value).unwrap_or_else(|| {
            let message = "must be a duration such as 30s or 5m".to_owned();
            fields.problem("canary.wait", problems::BAD_VALUE, message);
            CANARY_WAIT_MS_DEFAULT
        }),
    };
    Canary { count, wait_ms }
}

fn duration_ms(value: &Value) -> Option<u64> {
    parse_duration_ms(value.as_str()?).ok()
}

fn read_rules(fields: &mut Fields, given: &Map<String, Value>) -> StopWhen {
    let mut count = |name: &str| {
        let value = given.get(name)?;
        fields.whole_of(&format!("stop_when.{name}"), value, COUNT_MAX)
    };
    let (failures, after_outcomes) = (count("failures"), count("after_outcomes"));
    let failure_ratio = given.get("failure_ratio").and_then(|value| {
        let share = value.as_f64();
        if share.is_none() {
            let message = format!("must be a number, not {}", super::fields::kind(value));
            fields.problem("stop_when.failure_ratio", problems::WRONG_TYPE, message);
        }
        share
    });
    StopWhen { failures, failure_ratio, after_outcomes }
}

/// A whole input in place of each letter's, or a JSON merge patch of it.
fn read_edit(fields: &mut Fields) -> Option<InputEdit> {
    let whole = fields.take("input").map(InputEdit::Replace);
    let patch = match fields.take("input_patch") {
        None => return whole,
        Some(Value::Object(patch)) => InputEdit::Merge(patch),
        Some(other) => {
            let message = format!(
                "must be an object with what is to differ, not {}; a whole input goes into `input`",
                super::fields::kind(&other)
            );
            fields.problem("input_patch", problems::WRONG_TYPE, message);
            return whole;
        }
    };
    if whole.is_some() {
        let message = "takes no `input` beside it: one of them".to_owned();
        fields.problem("input_patch", problems::BAD_VALUE, message);
    }
    Some(patch)
}

fn read_id(text: &str) -> Result<RedriveId, Refusal> {
    text.parse().map_err(|bad| Refusal::new(codes::REDRIVE_NOT_FOUND, format!("{bad}")))
}
