//! `/v1/workflows`: definitions.

use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use backstitch_saga::catalog::Revision;
use backstitch_saga::handle::Defined;
use serde_json::{Value, json};

use crate::http::answer;
use crate::http::caller::Caller;
use crate::http::document::{Document, SourceDocument};
use crate::http::path::PathId;
use crate::http::query::{LIMIT_DEFAULT, Parameters};
use crate::http::refusal::Refusal;
use crate::http::window::{self, Window};
use crate::http::workflow_list::is_archived;
use crate::http::workflow_updates::{newest, replace, submitted, updated};
use crate::http::workflows;

/// `POST /v1/workflows`: 201 for new content, 200 for what is a revision already.
pub(super) async fn define(
    caller: Caller,
    headers: HeaderMap,
    submitted: SourceDocument,
) -> Result<Response, Refusal> {
    let defined = workflows::defined(&caller, &headers, submitted).await?;
    let status = if defined.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok(answer::json(status, &told(&defined)))
}

/// `PUT /v1/workflows/{id}`: the fields that are given are replaced.
pub(super) async fn update(
    caller: Caller,
    PathId(workflow): PathId,
    headers: HeaderMap,
    document: Document,
) -> Result<Response, Refusal> {
    let defined = updated(&caller, &workflow, &headers, (document, replace)).await?;
    Ok(answer::ok(&told(&defined)))
}

fn told(defined: &Defined) -> Value {
    json!({
        "name": defined.workflow,
        "workflow_id": defined.workflow,
        "version": defined.revision,
        "created": defined.created,
        "warnings": defined.warnings,
    })
}

/// `GET /v1/workflows`: the newest revision of each, by id.
pub(super) async fn list(caller: Caller, uri: Uri) -> Result<Response, Refusal> {
    let asked = Parameters::of(&uri, &window::PARAMETERS)?;
    let window = Window::of(&asked, LIMIT_DEFAULT)?;
    let all = caller.engine()?.catalog().listed(caller.namespace()).into_iter();
    let all = all.filter(|own| !is_archived(own)).map(|own| own.newest).collect();
    let (shown, pagination) = window.cut(all, |own| own.plan.workflow.to_string());
    let rows: Vec<_> = shown.iter().map(row).collect();
    Ok(answer::ok(&json!({ "workflows": rows, "pagination": pagination })))
}

/// `GET /v1/workflows/{id}`: the newest revision as it was submitted.
pub(super) async fn show(caller: Caller, PathId(workflow): PathId) -> Result<Response, Refusal> {
    let revision = newest(&caller, &workflow)?;
    let mut shown = row(&revision);
    shown["definition"] = submitted(caller.engine()?.catalog(), caller.namespace(), &revision);
    Ok(answer::ok(&shown))
}

fn row(own: &Revision) -> Value {
    json!({
        "name": own.plan.workflow,
        "workflow_id": own.plan.workflow,
        "description": own.plan.description,
        "version": own.number,
        "tasks": own.plan.steps.len(),
        "updated_at": own.defined_at.to_string(),
    })
}
