//! `/orchestrator/workflows/executions`, and `execute` of a workflow.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use backstitch_core::command::Command;
use backstitch_core::event::Priority;
use backstitch_core::ids::Digest;
use backstitch_core::summary::RunStatus;
use backstitch_journal::RunFilter;
use backstitch_saga::Handle;
use backstitch_saga::handle::Request;
use serde_json::{Value, json};

use crate::http::answer;
use crate::http::caller::Caller;
use crate::http::document::Document;
use crate::http::documents::runs::{listed, shown, usual_ms};
use crate::http::documents::tasks::{Run, minutes, seconds};
use crate::http::documents::words::Word;
use crate::http::executions::{idempotency_key, trace_of};
use crate::http::fields::Fields;
use crate::http::path::PathId;
use crate::http::query::Parameters;
use crate::http::refusal::Refusal;
use crate::http::run_names::find;
use crate::http::window::{self, Window};

/// Rows unless told otherwise.
const LIMIT_DEFAULT: usize = 50;
/// Bytes of results that one list shows; those behind them are left out and said to be.
const RESULTS_BYTES_MAX: usize = 8 * 1024 * 1024;

/// `POST /orchestrator/workflows/{id}/execute`: 202 once the run is durable.
pub(super) async fn execute(
    caller: Caller,
    PathId(workflow): PathId,
    headers: HeaderMap,
    document: Document,
) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let mut fields = Fields::of(document, &["trigger_data", "variables"]);
    let input = fields.take("trigger_data").unwrap_or_else(|| json!({}));
    let variables = fields.take("variables").unwrap_or_else(|| json!({}));
    fields.finish()?;
    let request = Request {
        namespace: caller.namespace().clone(),
        workflow,
        revision: None,
        priority: priority(&input)?,
        input,
        variables,
        correlation_id: String::new(),
        tags: Vec::new(),
        callbacks: Vec::new(),
        faults: Vec::new(),
        idempotency_key: idempotency_key(&headers)?,
        actor: caller.actor(),
        trace: trace_of(&headers),
    };
    let workflow = request.workflow.clone();
    let accepted = caller.submit(request).await?;
    let run = engine.execution(accepted.execution).await?;
    let usually_ms = usual_ms(engine, caller.namespace(), &workflow).await?;
    Ok(answer::json(
        StatusCode::ACCEPTED,
        &json!({
            "success": true,
            "execution_id": run["execution_id"],
            "workflow_id": workflow,
            "status": RunStatus::of_word(accepted.status).map(|own| Word::of(own, false).word()),
            "engine_status": run["status"],
            "started_at": run["submitted_at"],
            "estimated_duration_minutes":
                usually_ms.or_else(|| run["sla"]["limit_ms"].as_u64()).map(minutes),
            "message": "Workflow execution started",
            "repeated": accepted.repeated,
        }),
    ))
}

/// `trigger_data.priority`, which is the run's.
fn priority(input: &Value) -> Result<Option<Priority>, Refusal> {
    let given = &input["priority"];
    if given.is_null() {
        return Ok(None);
    }
    let known = given.as_str().and_then(Priority::of_word);
    known.map(Some).ok_or_else(|| {
        Refusal::bad_request(format!(
            "`trigger_data.priority` is one of high, medium, low, not {given}"
        ))
    })
}

/// `GET /orchestrator/workflows/executions`: newest first.
pub(super) async fn list(caller: Caller, uri: Uri) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let known =
        [&["workflow_id", "status", "start_time", "end_time"][..], &window::PARAMETERS].concat();
    let asked = Parameters::of(&uri, &known)?;
    let window = Window::of(&asked, LIMIT_DEFAULT)?;
    let word = asked.word("status", &Word::ALL.map(|(_, word)| word), Word::of_word)?;
    let filter = RunFilter {
        namespace: caller.namespace().to_string(),
        workflow: asked.owned("workflow_id"),
        submitted: asked.range("start_time", "end_time")?,
        ..RunFilter::default()
    };
    let found = listed(engine, filter, word, &window).await?;
    let mut usual = BTreeMap::<Arc<str>, Option<u64>>::new();
    let (mut rows, mut room) = (Vec::new(), RESULTS_BYTES_MAX);
    for row in &found.rows {
        let Some(run) = shown(engine, row.execution).await? else { continue };
        if !usual.contains_key(&row.workflow) {
            let usually = usual_ms(engine, caller.namespace(), &row.workflow).await?;
            usual.insert(row.workflow.clone(), usually);
        }
        let usually = usual.get(&row.workflow).copied().flatten();
        let mut made = outline(engine, &run, usually);
        leave_out_results(&mut made["task_results"], &mut room);
        rows.push(made);
    }
    let pagination = window.pagination(found.total, found.next);
    Ok(answer::ok(&json!({ "executions": rows, "pagination": pagination })))
}

/// Takes results out that there is no room for.
fn leave_out_results(results: &mut Value, room: &mut usize) {
    for (_, own) in results.as_object_mut().into_iter().flatten() {
        let bytes = own["result"].to_string().len();
        match room.checked_sub(bytes) {
            Some(left) => *room = left,
            None => {
                own["result"] = Value::Null;
                own["result_left_out"] = true.into();
            }
        }
    }
}

/// A run as lists show it.
fn outline(engine: &Handle, run: &Value, usually_ms: Option<u64>) -> Value {
    let own = Run(run);
    let workflow = run["workflow_id"].as_str().unwrap_or_default();
    let plan = run["digest"].as_str().and_then(Digest::parse);
    let plan = plan.and_then(|digest| engine.catalog().plan(&digest));
    json!({
        "execution_id": run["execution_id"],
        "workflow_id": workflow,
        "workflow_name": plan.map_or_else(|| workflow.to_owned(), |plan| plan.name.clone()),
        "status": own.word(),
        "engine_status": run["status"],
        "started_at": run["submitted_at"],
        "estimated_completion": own.estimated_completion(usually_ms.or_else(|| run["sla"]["limit_ms"].as_u64())),
        "triggered_by": own.triggered_by(),
        "initiated_by": run["input"]["initiated_by"],
        "progress": own.progress(),
        "task_results": own.results(),
    })
}

/// `GET /orchestrator/workflows/executions/{id}`.
pub(super) async fn show(caller: Caller, PathId(id): PathId) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let run = engine.execution(find(&caller, &id)?).await?;
    let own = Run(&run);
    let workflow = run["workflow_id"].as_str().unwrap_or_default();
    let usually_ms = usual_ms(engine, caller.namespace(), workflow).await?;
    let mut whole = outline(engine, &run, usually_ms);
    for (name, value) in [
        ("completed_at", run["completed_at"].clone()),
        ("duration_seconds", own.duration_ms().map_or(Value::Null, seconds)),
        ("trigger_data", run["input"].clone()),
        ("variables", run["variables"].clone()),
        ("summary", own.summary().into()),
        ("output", run["output"].clone()),
        ("error", run["error"].clone()),
    ] {
        whole[name] = value;
    }
    Ok(answer::ok(&whole))
}

/// `POST /orchestrator/workflows/executions/{id}/cancel`: 200 once the cancel is durable.
pub(super) async fn cancel(
    caller: Caller,
    PathId(id): PathId,
    document: Document,
) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let run = find(&caller, &id)?;
    let mut fields = Fields::of(document, &["reason", "force"]);
    let (reason, force) = (fields.words("reason"), fields.truth("force").unwrap_or(false));
    fields.finish()?;
    let command = Command::Cancel { reason, actor: caller.actor(), compensate: None, force };
    engine.command(run, command).await?;
    let run = engine.execution(run).await?;
    Ok(answer::ok(&cancelled(&run)))
}

/// What is said of a run that was just cancelled: that it is, although what it does may go on.
fn cancelled(run: &Value) -> Value {
    let (word, message) = match run["cancel"]["in_force"] == true {
        true => ("cancelled", "Workflow execution cancelled successfully"),
        false => (Run(run).word(), "Workflow execution is being undone already"),
    };
    json!({
        "success": true,
        "execution_id": run["execution_id"],
        "status": word,
        "engine_status": run["status"],
        "cancelled_at": run["cancel"]["requested_at"],
        "message": message,
    })
}
