//! `/api/v1/executions/{id}/undos/...`: what people say became of undos that wait for them or
//! have failed.

use axum::extract::State;
use axum::response::Response;
use backstitch_core::command::Command;
use backstitch_core::definition::problem::codes as problems;
use backstitch_core::event::UndoSettlement;

use super::document::Document;
use super::executions::{accepted, read_id};
use super::fields::Fields;
use super::path::PathId;
use super::refusal::Refusal;
use super::{ACTOR, App};

/// `POST .../undos/done`: a person undid by hand what the step did.
pub(super) async fn done(
    State(app): State<App>,
    PathId(id): PathId,
    document: Document,
) -> Result<Response, Refusal> {
    settle(&app, &id, UndoSettlement::Done, document).await
}

/// `POST .../undos/accept`: what the step did stays.
pub(super) async fn accept(
    State(app): State<App>,
    PathId(id): PathId,
    document: Document,
) -> Result<Response, Refusal> {
    settle(&app, &id, UndoSettlement::Accepted, document).await
}

/// `POST .../undos/set-aside`: it is kept as a dead letter, and the other undos go on.
pub(super) async fn set_aside(
    State(app): State<App>,
    PathId(id): PathId,
    document: Document,
) -> Result<Response, Refusal> {
    settle(&app, &id, UndoSettlement::SetAside, document).await
}

async fn settle(
    app: &App,
    id: &str,
    settlement: UndoSettlement,
    document: Document,
) -> Result<Response, Refusal> {
    let (engine, run) = (app.engine()?, read_id(id)?);
    let mut fields = Fields::of(document, &["step", "note"]);
    let step = Some(fields.words("step")).filter(|step| !step.is_empty());
    let note = fields.words("note");
    if note.is_empty() {
        let message = "say what was done, or why it stays: the audit keeps it";
        fields.problem("note", problems::MISSING_FIELD, message.to_owned());
    }
    fields.finish()?;
    let actor = ACTOR.to_owned();
    accepted(engine, run, Command::SettleUndos { step, settlement, note, actor }).await
}
