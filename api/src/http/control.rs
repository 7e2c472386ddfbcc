//! `/api/v1/executions/{id}/...`: what people and signals do to a run under way, and why it
//! does not go on.

use axum::http::Uri;
use axum::response::Response;
use backstitch_core::command::Command;
use backstitch_core::definition::problem::codes as problems;
use backstitch_core::payload::Payload;
use backstitch_core::plan::signal_name_problem;
use serde_json::Value;

use super::answer;
use super::caller::Caller;
use super::document::Document;
use super::executions::accepted;
use super::fields::Fields;
use super::path::{PathId, TwoIds};
use super::query::Parameters;
use super::refusal::Refusal;
use super::run_names::find;

/// Reads a body that has a reason only.
pub(super) fn reason(document: Document) -> Result<String, Refusal> {
    let mut fields = Fields::of(document, &["reason"]);
    let reason = fields.words("reason");
    fields.finish()?;
    Ok(reason)
}

/// `POST /api/v1/executions/{id}/pause`: no step starts until the run is resumed.
pub(super) async fn pause(
    caller: Caller,
    PathId(id): PathId,
    document: Document,
) -> Result<Response, Refusal> {
    let (engine, run) = (caller.engine()?, find(&caller, &id)?);
    let (reason, actor) = (reason(document)?, caller.actor());
    accepted(engine, run, Command::Pause { reason, actor }).await
}

/// `POST /api/v1/executions/{id}/resume`: a suspended run goes on.
pub(super) async fn resume(
    caller: Caller,
    PathId(id): PathId,
    document: Document,
) -> Result<Response, Refusal> {
    let (engine, run) = (caller.engine()?, find(&caller, &id)?);
    let (reason, actor) = (reason(document)?, caller.actor());
    accepted(engine, run, Command::Resume { reason, actor }).await
}

/// `POST /api/v1/executions/{id}/rollback`: what a suspended run did is undone; with `to`, what
/// builds on that step is undone, and done anew.
pub(super) async fn roll_back(
    caller: Caller,
    PathId(id): PathId,
    uri: Uri,
    document: Document,
) -> Result<Response, Refusal> {
    let (engine, run) = (caller.engine()?, find(&caller, &id)?);
    Parameters::of(&uri, &[])?;
    let mut fields = Fields::of(document, &["to", "accept_unsafe", "reason"]);
    let (to, accept_unsafe) = (fields.text("to"), fields.truth("accept_unsafe").unwrap_or(false));
    let (reason, actor) = (fields.words("reason"), caller.actor());
    fields.finish()?;
    let command = match to {
        Some(step) => Command::RollBackTo { step, accept_unsafe, reason, actor },
        None => Command::RollBack { reason, actor },
    };
    accepted(engine, run, command).await
}

/// `GET /api/v1/executions/{id}/rollback`: what that would undo now, in which order.
pub(super) async fn unwind_plan(
    caller: Caller,
    PathId(id): PathId,
    uri: Uri,
) -> Result<Response, Refusal> {
    let (engine, run) = (caller.engine()?, find(&caller, &id)?);
    let parameters = Parameters::of(&uri, &["to"])?;
    Ok(answer::ok(&engine.unwind_plan(run, parameters.text("to")).await?))
}

/// `POST /api/v1/executions/{id}/steps/{step_id}/skip`: the step counts as skipped.
pub(super) async fn skip_step(
    caller: Caller,
    TwoIds(id, step): TwoIds,
    document: Document,
) -> Result<Response, Refusal> {
    let (engine, run) = (caller.engine()?, find(&caller, &id)?);
    let (reason, actor) = (reason(document)?, caller.actor());
    accepted(engine, run, Command::OverrideStep { step, output: None, reason, actor }).await
}

/// `POST /api/v1/executions/{id}/steps/{step_id}/set-output`: the step counts as succeeded.
pub(super) async fn set_output(
    caller: Caller,
    TwoIds(id, step): TwoIds,
    document: Document,
) -> Result<Response, Refusal> {
    let (engine, run) = (caller.engine()?, find(&caller, &id)?);
    let mut fields = Fields::of(document, &["output", "reason"]);
    let (reason, actor) = (fields.words("reason"), caller.actor());
    let output = fields.take("output").unwrap_or(Value::Null);
    fields.finish()?;
    let output = Some(Payload::of(&output));
    accepted(engine, run, Command::OverrideStep { step, output, reason, actor }).await
}

/// `POST /api/v1/executions/{id}/signals/{name}`: kept until a step takes it.
pub(super) async fn signal(
    caller: Caller,
    TwoIds(id, name): TwoIds,
    document: Document,
) -> Result<Response, Refusal> {
    let (engine, run) = (caller.engine()?, find(&caller, &id)?);
    let mut fields = Fields::of(document, &["payload", "id"]);
    let id = Some(fields.words("id")).filter(|id| !id.is_empty());
    let payload = Payload::of(&fields.take("payload").unwrap_or(Value::Null));
    if let Some(why) = signal_name_problem(&name) {
        fields.problem("name", problems::BAD_VALUE, why);
    }
    fields.finish()?;
    let (name, actor) = (name.into(), caller.actor());
    accepted(engine, run, Command::Signal { name, payload, id, actor }).await
}

/// `GET /api/v1/executions/{id}/why`: one sentence for each thing the run waits for.
pub(super) async fn why(caller: Caller, PathId(id): PathId) -> Result<Response, Refusal> {
    let (engine, run) = (caller.engine()?, find(&caller, &id)?);
    Ok(answer::ok(&engine.why(run).await?))
}
