//! `/api/v1/executions/{id}/undos/...`: what people say became of undos that wait for them or
//! have failed.

use axum::response::Response;
use backstitch_core::command::Command;
use backstitch_core::definition::problem::codes as problems;
use backstitch_core::event::UndoSettlement;

use super::caller::Caller;
use super::document::Document;
use super::executions::accepted;
use super::fields::Fields;
use super::path::PathId;
use super::refusal::Refusal;
use super::run_names::find;

/// `POST .../undos/done`: a person undid by hand what the step did.
pub(super) async fn done(
    caller: Caller,
    PathId(id): PathId,
    document: Document,
) -> Result<Response, Refusal> {
    settle(&caller, &id, UndoSettlement::Done, document).await
}

/// `POST .../undos/accept`: what the step did stays.
pub(super) async fn accept(
    caller: Caller,
    PathId(id): PathId,
    document: Document,
) -> Result<Response, Refusal> {
    settle(&caller, &id, UndoSettlement::Accepted, document).await
}

/// `POST .../undos/set-aside`: it is kept as a dead letter, and the other undos go on.
pub(super) async fn set_aside(
    caller: Caller,
    PathId(id): PathId,
    document: Document,
) -> Result<Response, Refusal> {
    settle(&caller, &id, UndoSettlement::SetAside, document).await
}

async fn settle(
    caller: &Caller,
    id: &str,
    settlement: UndoSettlement,
    document: Document,
) -> Result<Response, Refusal> {
    let (engine, run) = (caller.engine()?, find(caller, id)?);
    let mut fields = Fields::of(document, &["step", "note"]);
    let step = Some(fields.words("step")).filter(|step| !step.is_empty());
    let note = fields.words("note");
    if note.is_empty() {
        let message = "say what was done, or why it stays: the audit keeps it";
        fields.problem("note", problems::MISSING_FIELD, message.to_owned());
    }
    fields.finish()?;
    let actor = caller.actor();
    accepted(engine, run, Command::SettleUndos { step, settlement, note, actor }).await
}
