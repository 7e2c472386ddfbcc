//! `/workflows`: definitions, searched and counted.

use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use backstitch_core::definition::problem::Problem;
use backstitch_core::report::{AVAILABILITY_WORDS, availability_word};
use backstitch_core::statistics::RunStatistics;
use backstitch_saga::catalog::Listed;
use backstitch_saga::handle::Defined;
use serde_json::{Value, json};

use crate::http::caller::Caller;
use crate::http::document::{Document, SourceDocument};
use crate::http::path::PathId;
use crate::http::query::{LIMIT_DEFAULT, Parameters};
use crate::http::refusal::Refusal;
use crate::http::statistics::{runs_json, workflow_json};
use crate::http::window::{self, Window};
use crate::http::workflow_list::{is_archived, names};
use crate::http::workflow_updates::{listed, replace, submitted, updated};
use crate::http::{answer, templates, workflows};

/// `POST /workflows`: 201 for new content, 200 for what is a revision already.
pub(super) async fn define(
    caller: Caller,
    headers: HeaderMap,
    submitted: SourceDocument,
) -> Result<Response, Refusal> {
    let defined = workflows::defined(&caller, &headers, submitted).await?;
    let status = if defined.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok(answer::json(status, &told(&defined)))
}

/// `POST /workflows/from-template`: 201 for a new workflow, 200 for what is one already.
pub(super) async fn from_template(caller: Caller, document: Document) -> Result<Response, Refusal> {
    let defined = templates::defined(&caller, document).await?;
    let status = if defined.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok(answer::json(status, &told(&defined)))
}

/// `PUT /workflows/{id}`: the fields that are given are replaced.
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
    let state = asked.word("status", &AVAILABILITY_WORDS, |word| {
        AVAILABILITY_WORDS.into_iter().find(|state| *state == word)
    })?;
    page(&caller, &asked, |own| {
        let fits = |state| availability_word(&own.availability) == state;
        state.map_or(!is_archived(own), fits)
            && asked.text("created_by").is_none_or(|by| *own.created_by == *by)
    })
}

/// `GET /workflows/search?q=`: in names, descriptions, tags, and the names of actions.
pub(super) async fn search(caller: Caller, uri: Uri) -> Result<Response, Refusal> {
    let asked = Parameters::of(&uri, &[&["q"][..], &window::PARAMETERS].concat())?;
    let wanted = asked.text("q").unwrap_or_default().to_lowercase();
    page(&caller, &asked, |own| {
        let plan = &own.newest.plan;
        let tags = plan.tags.iter().map(|tag| Some(&**tag));
        let steps = plan.steps.iter();
        let steps = steps.flat_map(|step| [Some(&*step.id), step.name.as_deref()]);
        let mut texts = tags.chain(steps).flatten();
        let has = names(own, &wanted) || texts.any(|text| text.to_lowercase().contains(&wanted));
        has && !is_archived(own)
    })
}

fn page(
    caller: &Caller,
    asked: &Parameters,
    fits: impl Fn(&Listed) -> bool,
) -> Result<Response, Refusal> {
    let window = Window::of(asked, LIMIT_DEFAULT)?;
    let mut all = caller.engine()?.catalog().listed(caller.namespace());
    all.retain(fits);
    let (shown, pagination) = window.cut(all, |own| own.newest.plan.workflow.to_string());
    let rows: Vec<_> = shown.iter().map(row).collect();
    Ok(answer::ok(&json!({ "workflows": rows, "pagination": pagination })))
}

/// `GET /workflows/{id}`: the newest revision as it was submitted.
pub(super) async fn show(caller: Caller, PathId(workflow): PathId) -> Result<Response, Refusal> {
    let catalog = caller.engine()?.catalog();
    let own = listed(&caller, &workflow)?;
    let mut shown = row(&own);
    let source = submitted(catalog, caller.namespace(), &own.newest);
    for name in ["parameters", "actions"] {
        shown[name] = source[name].clone();
    }
    shown["definition"] = source;
    Ok(answer::ok(&shown))
}

fn row(listed: &Listed) -> Value {
    let own = &listed.newest;
    json!({
        "workflow_id": own.plan.workflow,
        "name": own.plan.name,
        "description": own.plan.description,
        "tags": own.plan.tags,
        "status": availability_word(&listed.availability),
        "version": own.plan.label,
        "revision": own.number,
        "actions_count": own.plan.steps.len(),
        "created_by": *listed.created_by,
        "created_at": listed.created_at.to_string(),
        "updated_at": own.defined_at.to_string(),
    })
}

/// `GET /workflows/statistics`: workflows by state, runs by status, and the same of each workflow.
pub(super) async fn statistics(caller: Caller) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let all = engine.statistics(caller.namespace()).await?;
    let mut total = RunStatistics::default();
    all.values().for_each(|own| total.merge(&own.runs));
    let listed = engine.catalog().listed(caller.namespace());
    let count = listed.len();
    let by_state = |state: &str| {
        listed.iter().filter(|own| availability_word(&own.availability) == state).count()
    };
    let states: serde_json::Map<_, _> = AVAILABILITY_WORDS
        .iter()
        .map(|state| ((*state).to_owned(), by_state(state).into()))
        .collect();
    let workflows: Vec<_> = all.iter().map(|(id, own)| workflow_json(&caller, id, own)).collect();
    Ok(answer::ok(&json!({
        "total_workflows": count,
        "workflows_by_status": states,
        "executions": runs_json(&total),
        "workflows": workflows,
    })))
}
