//! `/v1/run`, `/v1/cancel` and `/v1/executions`: runs, by names such as `scan-1728000000000`.

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use backstitch_core::command::Command;
use backstitch_core::ids::ExecutionId;
use backstitch_core::time::Timestamp;
use backstitch_journal::RunFilter;
use backstitch_saga::handle::{Accepted, Request};
use backstitch_saga::{Error, Handle, clock};
use serde_json::{Value, json};

use crate::http::answer;
use crate::http::caller::Caller;
use crate::http::codes;
use crate::http::document::Document;
use crate::http::documents::runs::{listed, shown};
use crate::http::documents::tasks::Run;
use crate::http::documents::words::Word;
use crate::http::executions::{WAIT_MAX, idempotency_key, trace_of};
use crate::http::fields::Fields;
use crate::http::path::PathId;
use crate::http::query::{LIMIT_DEFAULT, Parameters};
use crate::http::refusal::Refusal;
use crate::http::run_names::{find, name_of};
use crate::http::window::{self, Window};

/// How long `run` waits for the end unless told otherwise.
const WAIT_SECONDS_DEFAULT: f64 = 30.0;
/// Names that are tried until one is free: as many runs of one workflow in as many milliseconds.
const NAMES_TRIED_MAX: u64 = 100_000;

/// `POST /v1/run`: 200 once the run has ended, 422 if it failed, 202 if it takes longer.
pub(super) async fn run(
    caller: Caller,
    headers: HeaderMap,
    document: Document,
) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let mut fields = Fields::of(document, &["workflow", "parameters", "wait_seconds"]);
    let workflow = fields.text("workflow").unwrap_or_default();
    let input = fields.take("parameters").unwrap_or_else(|| json!({}));
    let wait = fields.number("wait_seconds", WAIT_MAX.as_secs_f64());
    fields.finish()?;
    let request = Request {
        idempotency_key: idempotency_key(&headers)?,
        trace: trace_of(&headers),
        ..Request::new(caller.namespace().clone(), workflow, input, caller.actor())
    };
    let accepted = begin(&caller, request).await?;
    let wait = Duration::from_secs_f64(wait.unwrap_or(WAIT_SECONDS_DEFAULT));
    match engine.wait(accepted.execution, wait).await {
        Ok(Some(ended)) => ended_so(&ended),
        // The run is durable and goes on at the next start: that is the answer.
        Ok(None) | Err(Error::Stopped | Error::Draining) => {
            let run = engine.execution(accepted.execution).await?;
            Ok(answer::json(StatusCode::ACCEPTED, &outline(&run)))
        }
        Err(error) => Err(error.into()),
    }
}

/// Begins a run under a name that no other has: its workflow's and the time, counted up until it is
/// free. A key of the client's own is left alone.
async fn begin(caller: &Caller, request: Request) -> Result<Accepted, Refusal> {
    if request.idempotency_key.is_some() {
        return caller.submit(request).await;
    }
    let now_ms = clock::now().0 / 1_000;
    for ms in (now_ms..).take(usize::try_from(NAMES_TRIED_MAX).unwrap_or(usize::MAX)) {
        let name = Some(format!("{}-{ms}", request.workflow));
        match caller.submit(Request { idempotency_key: name, ..request.clone() }).await {
            Ok(Accepted { repeated: true, .. }) => {}
            Err(refusal) if refusal.code == codes::IDEMPOTENCY_KEY_CONFLICT => {}
            begun => return begun,
        }
    }
    Err(Refusal::unavailable("no name is free for the run; too many begin at this moment"))
}

fn ended_so(run: &Value) -> Result<Response, Refusal> {
    let body = outline(run);
    if body["status"] != "failed" {
        return Ok(answer::ok(&body));
    }
    let message = run["error"]["message"].as_str().unwrap_or("the run failed").to_owned();
    let mut details = run["error"]["details"].clone();
    for name in ["workflow_id", "status", "engine_status", "duration_ms", "task_results"] {
        details[name] = body[name].clone();
    }
    Err(Refusal::new(codes::WORKFLOW_EXECUTION_FAILED, message).with(details))
}

fn outline(run: &Value) -> Value {
    let own = Run(run);
    json!({
        "status": own.word(),
        "workflow_id": name_of(run),
        "duration_ms": own.duration_ms(),
        "task_results": own.results(),
        "execution_id": run["execution_id"],
        "workflow": run["workflow_id"],
        "engine_status": run["status"],
        "started_at": run["submitted_at"],
        "completed_at": run["completed_at"],
        "output": run["output"],
        "error": run["error"],
    })
}

/// A run as lists show it: what its tasks answered is left out.
fn row(run: &Value) -> Value {
    let mut row = outline(run);
    if let Some(fields) = row.as_object_mut() {
        ["task_results", "output", "error"].iter().for_each(|name| drop(fields.remove(*name)));
    }
    row["error_code"] = run["error"]["error_code"].clone();
    row
}

/// `GET /v1/executions`: newest first.
pub(super) async fn list(caller: Caller, uri: Uri) -> Result<Response, Refusal> {
    let known = [&["workflow", "status"][..], &window::PARAMETERS].concat();
    let asked = Parameters::of(&uri, &known)?;
    let word = asked.word("status", &Word::ALL.map(|(_, word)| word), Word::of_word)?;
    let filter = RunFilter {
        namespace: caller.namespace().to_string(),
        workflow: asked.owned("workflow"),
        ..RunFilter::default()
    };
    page(caller.engine()?, filter, word, &asked, row).await
}

/// `GET /v1/executions/active`: those that have not ended, with what they are at.
pub(super) async fn active(caller: Caller, uri: Uri) -> Result<Response, Refusal> {
    let asked = Parameters::of(&uri, &window::PARAMETERS)?;
    let filter = RunFilter {
        namespace: caller.namespace().to_string(),
        active: true,
        ..RunFilter::default()
    };
    let now = clock::now();
    let with_age = |run: &Value| {
        let mut row = row(run);
        let begun = run["submitted_at"].as_str().and_then(Timestamp::parse);
        row["age_ms"] = begun.map(|at| now.ms_since(at)).into();
        row["progress"] = Run(run).progress();
        row["current_task"] = row["progress"]["current_task"].clone();
        row
    };
    page(caller.engine()?, filter, None, &asked, with_age).await
}

async fn page(
    engine: &Handle,
    filter: RunFilter,
    word: Option<Word>,
    asked: &Parameters,
    row: impl Fn(&Value) -> Value,
) -> Result<Response, Refusal> {
    let window = Window::of(asked, LIMIT_DEFAULT)?;
    let found = listed(engine, filter, word, &window).await?;
    let mut rows = Vec::new();
    for own in &found.rows {
        rows.extend(shown(engine, own.execution).await?.map(|run| row(&run)));
    }
    let pagination = window.pagination(found.total, found.next);
    Ok(answer::ok(&json!({ "executions": rows, "pagination": pagination })))
}

/// `GET /v1/executions/{id}`.
pub(super) async fn show(caller: Caller, PathId(id): PathId) -> Result<Response, Refusal> {
    let run = caller.engine()?.execution(find(&caller, &id)?).await?;
    Ok(answer::ok(&outline(&run)))
}

/// `POST /v1/cancel/{id}` with `{reason}`: 200 once the cancel is durable.
pub(super) async fn cancel(
    caller: Caller,
    PathId(id): PathId,
    document: Document,
) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let run: ExecutionId = find(&caller, &id)?;
    let mut fields = Fields::of(document, &["reason"]);
    let reason = fields.words("reason");
    fields.finish()?;
    let command = Command::Cancel { reason, actor: caller.actor(), compensate: None, force: false };
    engine.command(run, command).await?;
    let run = engine.execution(run).await?;
    let mut told = row(&run);
    let cancel = &run["cancel"];
    if cancel["in_force"] == true {
        told["status"] = Word::Cancelled.word().into();
    }
    for name in ["reason", "actor"] {
        told[name] = cancel[name].clone();
    }
    told["cancelled_at"] = cancel["requested_at"].clone();
    Ok(answer::ok(&told))
}
