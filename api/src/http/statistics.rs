//! Statistics of workflows: how many runs, how they ended, how long they took.

use axum::http::Uri;
use axum::response::Response;
use backstitch_core::access::Permission;
use backstitch_core::report::run_row_json;
use backstitch_core::statistics::{DURATION_ERROR_PERCENT_MAX, RunStatistics};
use backstitch_core::summary::RunStatus;
use backstitch_saga::handle::WorkflowStatistics;
use serde_json::{Map, Value, json};

use super::answer;
use super::caller::Caller;
use super::path::PathId;
use super::query::Parameters;
use super::refusal::Refusal;
use super::window::{self, Window};

/// What the last run of a workflow is shown with.
pub(super) const LAST_RUN: &str = "for `last_execution`";

/// The percentile of durations that is shown.
const PERCENT: u64 = 95;

/// `GET /api/v1/workflows/{id}/statistics`, over its retained runs.
pub(super) async fn of_workflow(
    caller: Caller,
    PathId(workflow): PathId,
) -> Result<Response, Refusal> {
    match caller.engine()?.statistics_of(caller.namespace(), &workflow).await? {
        Some(own) => Ok(answer::ok(&workflow_json(&caller, &workflow, &own))),
        None => {
            let workflow = workflow.chars().take(256).collect();
            Err(backstitch_saga::Error::WorkflowNotFound { workflow }.into())
        }
    }
}

/// `GET /api/v1/statistics`: all workflows, and their sum.
pub(super) async fn all(caller: Caller, uri: Uri) -> Result<Response, Refusal> {
    let window = Window::of_short(&Parameters::of(&uri, &window::PARAMETERS)?)?;
    let all = caller.engine()?.statistics(caller.namespace()).await?;
    let mut total = RunStatistics::default();
    all.values().for_each(|own| total.merge(&own.runs));
    let part = window.part(all.into_iter().collect(), |(name, _)| name.clone())?;
    let row = |(name, own): &(String, _)| workflow_json(&caller, name, own);
    Ok(answer::ok(&window.told(json!({ "total": runs_json(&total) }), "workflows", &part, row)))
}

/// The last run is shown to whoever may read runs.
pub(super) fn workflow_json(caller: &Caller, workflow: &str, own: &WorkflowStatistics) -> Value {
    let last = own.last.as_ref().filter(|_| caller.may(Permission::ExecutionsRead));
    let mut shown = json!({
        "workflow_id": workflow,
        "last_execution": last.map(run_row_json),
    });
    if let Some(fields) = shown.as_object_mut() {
        fields.extend(runs_json(&own.runs));
    }
    shown
}

/// Counts and durations of some runs.
pub(super) fn runs_json(runs: &RunStatistics) -> Map<String, Value> {
    let count = |status: RunStatus| (status.word().to_owned(), runs.of_status(status).into());
    let by_status: Map<_, _> = RunStatus::ALL.into_iter().map(count).collect();
    let fields = [
        ("executions", json!(runs.total())),
        ("ended", json!(runs.ended())),
        ("by_status", by_status.into()),
        ("success_rate", json!(runs.success_rate())),
        (
            "duration_ms",
            json!({
                "average": runs.duration_ms_mean(),
                "p95": runs.duration_ms_percentile(PERCENT),
                "p95_error_percent_max": DURATION_ERROR_PERCENT_MAX,
            }),
        ),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
