//! `/orchestrator/workflows`: definitions.

use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use backstitch_saga::catalog::Listed;
use backstitch_saga::handle::WorkflowStatistics;
use serde_json::{Value, json};

use crate::http::answer;
use crate::http::caller::Caller;
use crate::http::document::SourceDocument;
use crate::http::documents::tasks::minutes;
use crate::http::query::Parameters;
use crate::http::refusal::Refusal;
use crate::http::window::{self, Window};
use crate::http::workflow_list::is_archived;
use crate::http::workflow_updates::submitted;
use crate::http::workflows;

/// Rows unless told otherwise.
const LIMIT_DEFAULT: usize = 100;

/// `POST /orchestrator/workflows`: 201 for new content, 200 for what is a revision already.
pub(super) async fn define(
    caller: Caller,
    headers: HeaderMap,
    submitted: SourceDocument,
) -> Result<Response, Refusal> {
    let defined = workflows::defined(&caller, &headers, submitted).await?;
    let (status, message) = match defined.created {
        true => (StatusCode::CREATED, "Workflow created successfully"),
        false => (StatusCode::OK, "Workflow is defined so already"),
    };
    Ok(answer::json(
        status,
        &json!({
            "success": true,
            "workflow_id": defined.workflow,
            "message": message,
            "revision": defined.revision,
            "warnings": defined.warnings,
        }),
    ))
}

/// `GET /orchestrator/workflows`: the newest revision of each, by id.
pub(super) async fn list(caller: Caller, uri: Uri) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let known = [&["enabled", "type"][..], &window::PARAMETERS].concat();
    let asked = Parameters::of(&uri, &known)?;
    let window = Window::of(&asked, LIMIT_DEFAULT)?;
    let enabled = asked.word("enabled", &["true", "false"], |word| word.parse::<bool>().ok())?;
    let catalog = engine.catalog();
    let all = catalog.listed(caller.namespace()).into_iter().filter(|own| !is_archived(own));
    let all = all.map(|own| {
        let source = submitted(catalog, caller.namespace(), &own.newest);
        (own, source)
    });
    let fits = |(own, source): &(Listed, Value)| {
        enabled.is_none_or(|enabled| enabled == is_enabled(own))
            && asked.text("type").is_none_or(|word| is_of_type(source, word))
    };
    let fitting: Vec<_> = all.filter(fits).collect();
    let id = |own: &Listed| own.newest.plan.workflow.to_string();
    let (shown, pagination) = window.cut(fitting, |(own, _)| id(own));
    let statistics = engine.statistics(caller.namespace()).await?;
    let rows = shown.iter().map(|(own, source)| row(own, source, statistics.get(&id(own))));
    let rows: Vec<_> = rows.collect();
    Ok(answer::ok(&json!({ "workflows": rows, "pagination": pagination })))
}

fn is_enabled(own: &Listed) -> bool {
    own.availability.unavailable().is_none()
}

fn triggers(source: &Value) -> impl Iterator<Item = &Value> {
    source["triggers"].as_array().into_iter().flatten()
}

/// Whether the definition says that it is of a type, or else has a trigger of it.
fn is_of_type(source: &Value, word: &str) -> bool {
    match source["type"].as_str() {
        Some(own) => own == word,
        None => triggers(source).any(|trigger| trigger["type"] == word),
    }
}

fn row(listed: &Listed, source: &Value, statistics: Option<&WorkflowStatistics>) -> Value {
    let own = &listed.newest;
    let runs = statistics.map(|own| &own.runs);
    json!({
        "id": own.plan.workflow,
        "name": own.plan.name,
        "description": own.plan.description,
        "version": own.plan.label,
        "enabled": is_enabled(listed),
        "created_at": listed.created_at.to_string(),
        "updated_at": own.defined_at.to_string(),
        "task_count": own.plan.steps.len(),
        "average_duration_minutes": runs.and_then(|own| own.duration_ms_mean()).map(whole_minutes),
        "success_rate_percent": runs.and_then(|own| own.success_rate()).map(|rate| rate * 100.0),
        "last_execution": statistics
            .and_then(|own| own.last.as_ref())
            .map(|run| run.submitted_at.to_string()),
        "triggers": triggers(source).map(trigger).collect::<Vec<_>>(),
        "tags": own.plan.tags,
        "revision": own.number,
    })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a mean of durations")]
fn whole_minutes(mean_ms: f64) -> Value {
    minutes(mean_ms.round() as u64)
}

/// A trigger as it is declared, and whether it starts runs: only requests do yet.
fn trigger(declared: &Value) -> Value {
    let mut shown = declared.clone();
    if let Some(fields) = shown.as_object_mut() {
        if let Some(url) = fields.remove("webhook_url") {
            fields.insert("url".to_owned(), url);
        }
        let active = matches!(declared["type"].as_str(), Some("manual" | "api_trigger"));
        fields.insert("active".to_owned(), active.into());
    }
    shown
}
