//! `/api/v1/executions/{id}/fork`: an ended run gone on with from some step.

use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use backstitch_core::definition::problem::codes as problems;
use backstitch_saga::handle::ForkWish;
use serde_json::{Value, json};

use super::answer;
use super::caller::Caller;
use super::document::Document;
use super::executions::idempotency_key;
use super::fields::Fields;
use super::path::PathId;
use super::refusal::Refusal;
use super::run_names::find;

const FIELDS: [&str; 8] = [
    "from_step",
    "version",
    "input",
    "variables",
    "revision",
    "take_over",
    "accept_unsafe",
    "reason",
];

/// `POST /api/v1/executions/{id}/fork`: 202 once the fork is durable.
pub(super) async fn fork(
    caller: Caller,
    PathId(id): PathId,
    headers: HeaderMap,
    document: Document,
) -> Result<Response, Refusal> {
    let (engine, run) = (caller.engine()?, find(&caller, &id)?);
    let wish = read(&caller, &headers, document)?;
    let made = engine.fork(run, wish).await?;
    let warnings: Vec<Value> = made.again.iter().map(|step| warning(step)).collect();
    let body = json!({
        "execution_id": made.execution.to_string(),
        "status": made.status,
        "repeated": made.repeated,
        "forked_from": run.to_string(),
        "warnings": warnings,
    });
    let location = format!("/api/v1/executions/{}", made.execution);
    Ok(answer::with_header(answer::json(StatusCode::ACCEPTED, &body), LOCATION, &location))
}

fn warning(step: &str) -> Value {
    let message = format!(
        "step `{step}` took effect in the run and runs again, under another idempotency key"
    );
    json!({ "step": step, "message": message })
}

fn read(caller: &Caller, headers: &HeaderMap, document: Document) -> Result<ForkWish, Refusal> {
    let idempotency_key = idempotency_key(headers)?;
    let mut fields = Fields::of(document, &FIELDS);
    let from_step = fields.text("from_step");
    let version = fields.whole("version", u64::MAX);
    let revision = fields.whole("revision", u64::from(u32::MAX));
    let wish = ForkWish {
        from_step,
        version,
        input: fields.take("input"),
        variables: fields.take("variables"),
        revision: revision.and_then(|own| u32::try_from(own).ok()),
        take_over: fields.truth("take_over").unwrap_or(false),
        accept_unsafe: fields.truth("accept_unsafe").unwrap_or(false),
        idempotency_key,
        reason: fields.words("reason"),
        actor: caller.actor(),
    };
    if wish.from_step.is_none() && wish.version.is_none() {
        let message = "say where to go on from: `from_step`, or a `version`".to_owned();
        fields.problem("from_step", problems::MISSING_FIELD, message);
    }
    fields.finish()?;
    Ok(wish)
}
