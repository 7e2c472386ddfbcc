//! `/workflows`: definitions, searched and counted.

use axum::http::{StatusCode, Uri};
use axum::response::Response;
use backstitch_core::definition::problem::Problem;
use backstitch_core::statistics::RunStatistics;
use backstitch_saga::catalog::Revision;
use backstitch_saga::handle::Defined;
use serde_json::{Value, json};

use crate::http::caller::Caller;
use crate::http::document::{Document, SourceDocument};
use crate::http::documents::updates::{newest, submitted, updated};
use crate::http::documents::window::{self, Window};
use crate::http::path::PathId;
use crate::http::query::{LIMIT_DEFAULT, Parameters};
use crate::http::refusal::Refusal;
use crate::http::statistics::{runs_json, workflow_json};
use crate::http::{answer, workflows};

/// States of a workflow; nothing makes one other than active yet.
const STATES: [&str; 3] = [ACTIVE, "disabled", "archived"];
const ACTIVE: &str = "active";

/// `POST /workflows`: 201 for new content, 200 for what is a revision already.
pub(super) async fn define(caller: Caller, submitted: SourceDocument) -> Result<Response, Refusal> {
    let defined = workflows::defined(&caller, submitted).await?;
    let status = if defined.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok(answer::json(status, &told(&defined)))
}

/// `PUT /workflows/{id}`: the fields that are given are replaced.
pub(super) async fn update(
    caller: Caller,
    PathId(workflow): PathId,
    document: Document,
) -> Result<Response, Refusal> {
    let (_, defined) = updated(&caller, &workflow, document).await?;
    Ok(answer::ok(&told(&defined)))
}

fn told(defined: &Defined) -> Value {
    let warnings: &Vec<Problem> = &defined.warnings;
    json!({
        "workflow_id": defined.workflow,
        "revision": defined.revision,
        "created": defined.created,
        "warnings": warnings,
    })
}

/// `GET /workflows`: by id.
pub(super) async fn list(caller: Caller, uri: Uri) -> Result<Response, Refusal> {
    let known = [&["status", "created_by"][..], &window::PARAMETERS].concat();
    let asked = Parameters::of(&uri, &known)?;
    let state =
        asked.word("status", &STATES, |word| STATES.into_iter().find(|state| *state == word))?;
    let by = asked.owned("created_by");
    page(&caller, &asked, |row, _| {
        state.is_none_or(|state| row["status"] == state)
            && by.as_ref().is_none_or(|by| row["created_by"] == **by)
    })
}

/// `GET /workflows/search?q=`: in names, descriptions, tags, and the names of actions.
pub(super) async fn search(caller: Caller, uri: Uri) -> Result<Response, Refusal> {
    let asked = Parameters::of(&uri, &[&["q"][..], &window::PARAMETERS].concat())?;
    let wanted = asked.text("q").unwrap_or_default().to_lowercase();
    page(&caller, &asked, |row, definition| {
        let own = ["workflow_id", "name", "description"].map(|name| &row[name]);
        let tags = row["tags"].as_array().into_iter().flatten();
        let steps = definition["steps"].as_array().into_iter().flatten();
        let steps = steps.flat_map(|step| [&step["id"], &step["name"]]);
        let mut texts = own.into_iter().chain(tags).chain(steps).filter_map(Value::as_str);
        texts.any(|text| text.to_lowercase().contains(&wanted))
    })
}

fn page(
    caller: &Caller,
    asked: &Parameters,
    fits: impl Fn(&Value, &Value) -> bool,
) -> Result<Response, Refusal> {
    let window = Window::of(asked, LIMIT_DEFAULT)?;
    let all = caller.engine()?.catalog().all(caller.namespace());
    let mut rows = Vec::new();
    for own in &all {
        let definition = serde_json::from_str(&own.text).unwrap_or(Value::Null);
        let row = row(caller, own, &definition)?;
        if fits(&row, &definition) {
            rows.push(row);
        }
    }
    let key = |row: &Value| row["workflow_id"].as_str().unwrap_or_default().to_owned();
    let (rows, pagination) = window.cut(rows, key);
    Ok(answer::ok(&json!({ "workflows": rows, "pagination": pagination })))
}

/// `GET /workflows/{id}`: the newest revision as it was submitted.
pub(super) async fn show(caller: Caller, PathId(workflow): PathId) -> Result<Response, Refusal> {
    let revision = newest(&caller, &workflow)?;
    let definition = serde_json::from_str(&revision.text).unwrap_or(Value::Null);
    let mut shown = row(&caller, &revision, &definition)?;
    let source = submitted(caller.engine()?.catalog(), caller.namespace(), &revision);
    for name in ["parameters", "actions"] {
        shown[name] = source[name].clone();
    }
    shown["definition"] = source;
    Ok(answer::ok(&shown))
}

fn row(caller: &Caller, own: &Revision, definition: &Value) -> Result<Value, Refusal> {
    let revisions = caller.engine()?.catalog().revisions(caller.namespace(), &own.plan.workflow);
    let first = revisions.first();
    Ok(json!({
        "workflow_id": own.plan.workflow,
        "name": own.plan.name,
        "description": definition["description"],
        "tags": own.plan.tags,
        "status": ACTIVE,
        "version": own.plan.label,
        "revision": own.number,
        "actions_count": own.plan.steps.len(),
        "created_by": first.map(|first| &*first.actor),
        "created_at": first.map(|first| first.defined_at.to_string()),
        "updated_at": own.defined_at.to_string(),
    }))
}

/// `GET /workflows/statistics`: workflows by state, runs by status, and the same of each workflow.
pub(super) async fn statistics(caller: Caller) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let all = engine.statistics(caller.namespace()).await?;
    let mut total = RunStatistics::default();
    all.values().for_each(|own| total.merge(&own.runs));
    let count = engine.catalog().all(caller.namespace()).len();
    let by_state = |state: &str| if state == ACTIVE { count } else { 0 };
    let states: serde_json::Map<_, _> =
        STATES.iter().map(|state| ((*state).to_owned(), by_state(state).into())).collect();
    let workflows: Vec<_> = all.iter().map(|(id, own)| workflow_json(&caller, id, own)).collect();
    Ok(answer::ok(&json!({
        "total_workflows": count,
        "workflows_by_status": states,
        "executions": runs_json(&total),
        "workflows": workflows,
    })))
}
