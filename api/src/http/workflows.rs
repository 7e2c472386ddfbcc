//! `/api/v1/workflows`: definitions and their revisions.

use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use backstitch_saga::catalog::Revision;
use serde_json::{Value, json};

use super::document::Document;
use super::path::PathId;
use super::query::Parameters;
use super::refusal::Refusal;
use super::{ACTOR, App, answer, codes};

/// What a definition's body must be.
const A_DEFINITION: &str = "a workflow definition in JSON or YAML";

/// `POST /api/v1/workflows`: 201 for new content, 200 for a revision there is.
pub(super) async fn define(
    State(app): State<App>,
    document: Document,
) -> Result<Response, Refusal> {
    let engine = app.engine()?;
    let (definition, share) = document.required(A_DEFINITION)?;
    let (engine, namespace) = (engine.clone(), app.namespace().clone());
    // Defining goes on when its client goes away, and so it keeps its share until it ends.
    let defining = tokio::spawn(async move {
        let defined = engine.define(&namespace, &definition, ACTOR).await;
        drop((definition, share));
        defined
    });
    let defined = defining.await.map_err(|_| Refusal::new(codes::INTERNAL, "not defined"))??;
    let status = if defined.created { StatusCode::CREATED } else { StatusCode::OK };
    let body = json!({
        "workflow_id": defined.workflow,
        "revision": defined.revision,
        "digest": defined.digest.to_string(),
        "created": defined.created,
    });
    let location = format!("/api/v1/workflows/{}", defined.workflow);
    Ok(answer::with_header(answer::json(status, &body), LOCATION, &location))
}

/// `POST /api/v1/workflows/validate`: all that defining checks, and nothing is recorded.
pub(super) async fn validate(
    State(app): State<App>,
    document: Document,
) -> Result<Response, Refusal> {
    let engine = app.engine()?.clone();
    let (definition, share) = document.required(A_DEFINITION)?;
    let compiling = tokio::task::spawn_blocking(move || {
        let compiled = engine.compile(&definition);
        drop((definition, share));
        compiled
    });
    let compiled = compiling.await.map_err(|_| Refusal::new(codes::INTERNAL, "not checked"))?;
    let (plan, _) = compiled?;
    Ok(answer::ok(&json!({
        "valid": true,
        "workflow_id": plan.workflow,
        "digest": plan.digest.to_string(),
        "steps": plan.steps.len(),
    })))
}

/// `GET /api/v1/workflows`: the newest revision of each, by id; those with a tag, if asked.
pub(super) async fn list(State(app): State<App>, uri: Uri) -> Result<Response, Refusal> {
    let asked = Parameters::of(&uri, &["tag"])?;
    let all = app.engine()?.catalog().all(app.namespace());
    let has = |own: &&Revision| match asked.text("tag") {
        Some(tag) => own.plan.tags.iter().any(|known| **known == *tag),
        None => true,
    };
    let rows: Vec<_> = all.iter().filter(has).map(row).collect();
    Ok(answer::ok(&json!({ "workflows": rows })))
}

/// `GET /api/v1/workflows/{id}`: the newest revision, or the one asked for.
pub(super) async fn show(
    State(app): State<App>,
    PathId(workflow): PathId,
    uri: Uri,
) -> Result<Response, Refusal> {
    let number = Parameters::of(&uri, &["revision"])?.number("revision", 1..=u32::MAX)?;
    let mut revisions = revisions_of(&app, &workflow)?;
    let found = match number {
        None => revisions.pop(),
        Some(number) => revisions.into_iter().find(|revision| revision.number == number),
    };
    let revision = found.ok_or_else(|| {
        let message = format!("workflow `{workflow}` has no such revision");
        Refusal::new(codes::WORKFLOW_NOT_FOUND, message)
    })?;
    let mut shown = row(&revision);
    shown["definition"] = serde_json::from_str(&revision.text).unwrap_or(Value::Null);
    Ok(answer::ok(&shown))
}

/// `GET /api/v1/workflows/{id}/revisions`, oldest first.
pub(super) async fn revisions(
    State(app): State<App>,
    PathId(workflow): PathId,
) -> Result<Response, Refusal> {
    let rows: Vec<_> = revisions_of(&app, &workflow)?.iter().map(row).collect();
    Ok(answer::ok(&json!({ "workflow_id": workflow, "revisions": rows })))
}

fn revisions_of(app: &App, workflow: &str) -> Result<Vec<Revision>, Refusal> {
    let revisions = app.engine()?.catalog().revisions(app.namespace(), workflow);
    if revisions.is_empty() {
        let workflow = workflow.chars().take(256).collect();
        return Err(backstitch_saga::Error::WorkflowNotFound { workflow }.into());
    }
    Ok(revisions)
}

fn row(revision: &Revision) -> Value {
    let plan = &revision.plan;
    json!({
        "workflow_id": plan.workflow,
        "name": plan.name,
        "version": plan.label,
        "revision": revision.number,
        "digest": plan.digest.to_string(),
        "tags": plan.tags,
        "steps": plan.steps.len(),
        "defined_at": revision.defined_at.to_string(),
        "defined_by": revision.actor,
    })
}
