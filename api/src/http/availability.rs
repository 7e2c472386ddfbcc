//! `/api/v1/workflows/{id}/enable`, `disable`, `archive`, `restore` and its `DELETE`: whether runs
//! of a workflow begin, and whether it is there at all.

use axum::http::Uri;
use axum::response::Response;
use backstitch_core::access::Permission;
use backstitch_core::availability::AvailabilityAct;
use backstitch_core::report::{availability_word, closed_json};
use serde_json::{Value, json};

use super::answer;
use super::caller::Caller;
use super::control::reason;
use super::document::Document;
use super::path::PathId;
use super::query::Parameters;
use super::refusal::Refusal;

/// `POST /api/v1/workflows/{id}/enable`: runs begin again.
pub(super) async fn enable(
    caller: Caller,
    PathId(workflow): PathId,
    document: Document,
) -> Result<Response, Refusal> {
    act(&caller, &workflow, AvailabilityAct::Enable, document).await
}

/// `POST /api/v1/workflows/{id}/disable`: no run begins; those under way go on.
pub(super) async fn disable(
    caller: Caller,
    PathId(workflow): PathId,
    document: Document,
) -> Result<Response, Refusal> {
    act(&caller, &workflow, AvailabilityAct::Disable, document).await
}

/// `POST /api/v1/workflows/{id}/archive`: it is out of use.
pub(super) async fn archive(
    caller: Caller,
    PathId(workflow): PathId,
    document: Document,
) -> Result<Response, Refusal> {
    act(&caller, &workflow, AvailabilityAct::Archive, document).await
}

/// `POST /api/v1/workflows/{id}/restore`: it is in use again.
pub(super) async fn restore(
    caller: Caller,
    PathId(workflow): PathId,
    document: Document,
) -> Result<Response, Refusal> {
    act(&caller, &workflow, AvailabilityAct::Restore, document).await
}

/// `DELETE /api/v1/workflows/{id}`: archives it; with `purge=true` an archived one's revisions go.
pub(super) async fn delete(
    caller: Caller,
    PathId(workflow): PathId,
    uri: Uri,
    document: Document,
) -> Result<Response, Refusal> {
    let asked = Parameters::of(&uri, &["purge"])?;
    let purge = asked.word("purge", &["true", "false"], |word| word.parse::<bool>().ok())?;
    if purge != Some(true) {
        return act(&caller, &workflow, AvailabilityAct::Archive, document).await;
    }
    caller.needs(Permission::WorkflowsPurge)?;
    let words = (reason(document)?, caller.actor());
    caller.engine()?.purge(caller.namespace(), &workflow, words).await?;
    Ok(answer::ok(&json!({ "workflow_id": workflow, "purged": true })))
}

async fn act(
    caller: &Caller,
    workflow: &str,
    act: AvailabilityAct,
    document: Document,
) -> Result<Response, Refusal> {
    let (engine, words) = (caller.engine()?, (reason(document)?, caller.actor()));
    let done = engine.avail(caller.namespace(), workflow, act, words).await?;
    let mut body: Value = json!({ "workflow_id": workflow, "changed": done.changed });
    let own = &done.availability;
    body["status"] = availability_word(own).into();
    body["disabled"] = closed_json(own.disabled.as_ref());
    body["archived"] = closed_json(own.archived.as_ref());
    Ok(answer::ok(&body))
}
