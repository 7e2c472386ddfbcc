//! `/api/v1/executions`, and `execute` of a workflow: runs begun, shown, listed, cancelled.

mod faults;
mod request;

use std::time::Duration;

use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use backstitch_core::command::Command;
use backstitch_core::ids::{Digest, ExecutionId};
use backstitch_core::report::{event_json, run_row_json};
use backstitch_core::summary::RunStatus;
use backstitch_journal::{Record, RunFilter};
use backstitch_saga::{Error, Handle};
use serde_json::{Value, json};

pub(super) use request::{idempotency_key, trace_of};

use super::caller::Caller;
use super::document::Document;
use super::fields::Fields;
use super::live::Form;
use super::path::PathId;
use super::query::{LIMIT_DEFAULT, LIMIT_MAX, Parameters};
use super::refusal::Refusal;
use super::run_names::find;
use super::window::{self, Window};
use super::{answer, history, travel};

/// `POST /api/v1/workflows/{id}/execute`: 202 once the run is durable; with `wait_seconds`
/// 200 and the whole run, if it ends by then.
pub(super) async fn execute(
    caller: Caller,
    PathId(workflow): PathId,
    headers: HeaderMap,
    document: Document,
) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let (request, wait) = request::read(&caller, workflow, &headers, document)?;
    let accepted = caller.submit(request).await?;
    let run = accepted.execution;
    let mut status = accepted.status;
    if !wait.is_zero() {
        match engine.wait(run, wait).await {
            Ok(Some(ended)) => return Ok(located(StatusCode::OK, run, &ended)),
            Ok(None) => status = standing(engine.execution(run).await?.as_ref()).unwrap_or(status),
            // The run is durable and goes on at the next start: that is the answer.
            Err(Error::Stopped | Error::Draining) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let body = json!({
        "execution_id": run.to_string(),
        "status": status,
        "repeated": accepted.repeated,
    });
    Ok(located(StatusCode::ACCEPTED, run, &body))
}

fn located(status: StatusCode, run: ExecutionId, body: &Value) -> Response {
    let location = format!("/api/v1/executions/{run}");
    answer::with_header(answer::json(status, body), LOCATION, &location)
}

fn standing(execution: &Value) -> Option<&'static str> {
    execution["status"].as_str().and_then(RunStatus::of_word).map(RunStatus::word)
}

/// `GET /api/v1/executions/{id}`: as it stands, or as it was at a version or an instant.
pub(super) async fn show(
    caller: Caller,
    PathId(id): PathId,
    uri: Uri,
) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let run = find(&caller, &id)?;
    match travel::point(&Parameters::of(&uri, &["version", "at"])?)? {
        Some(point) => Ok(answer::ok(&engine.execution_at(run, point).await?)),
        None => Ok(answer::ok(&*engine.execution(run).await?)),
    }
}

/// What picks runs of a list.
pub(super) const FILTER_PARAMETERS: [&str; 10] = [
    "active",
    "status",
    "workflow_id",
    "tag",
    "variant",
    "correlation_id",
    "submitted_after",
    "submitted_before",
    "ended_after",
    "ended_before",
];

/// `GET /api/v1/executions`: by submission, newest first unless told otherwise.
pub(super) async fn list(caller: Caller, uri: Uri) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let known = [&FILTER_PARAMETERS[..], &["order"], &window::PARAMETERS].concat();
    let asked = Parameters::of(&uri, &known)?;
    let filter = RunFilter { order: asked.order()?, ..filter(&caller, &asked)? };
    let window = Window::of(&asked, LIMIT_DEFAULT)?;
    let read = |after, most| engine.runs(filter.clone(), after, most);
    let part = window.read(window.place()?, read).await?;
    Ok(answer::ok(&window.told(json!({}), "executions", &part, run_row_json)))
}

/// Which runs are asked for, by [`FILTER_PARAMETERS`].
///
/// # Errors
/// 400 for a value that can't be read.
pub(super) fn filter(caller: &Caller, asked: &Parameters) -> Result<RunFilter, Refusal> {
    let words = RunStatus::ALL.map(RunStatus::word);
    Ok(RunFilter {
        namespace: caller.namespace().to_string(),
        status: asked.word("status", &words, RunStatus::of_word)?,
        workflow: asked.owned("workflow_id"),
        tag: asked.owned("tag"),
        correlation_id: asked.owned("correlation_id"),
        variant: asked.owned("variant"),
        submitted: asked.range("submitted_after", "submitted_before")?,
        ended: asked.range("ended_after", "ended_before")?,
        active: asked
            .word("active", &["true", "false"], |word| word.parse().ok())?
            .unwrap_or(false),
        ..RunFilter::default()
    })
}

/// `GET /api/v1/executions/{id}/events`: the history, in order, or a stream of it.
pub(super) async fn events(
    caller: Caller,
    PathId(id): PathId,
    uri: Uri,
    Form(stream): Form,
) -> Result<Response, Refusal> {
    if let Some(stream) = stream {
        let run = find(&caller, &id)?;
        return stream.of_run(caller, run, &uri).await;
    }
    let engine = caller.engine()?;
    let known = [&["after_version", "type", "from", "to"], &window::PARAMETERS[..]].concat();
    let asked = Parameters::of(&uri, &known)?;
    let filter = history::filter(&asked)?;
    let window = Window::of(&asked, LIMIT_MAX)?;
    let after = asked.number("after_version", 0..=u64::MAX)?;
    let after = window.place_or(after, "after_version")?.unwrap_or(0);
    let run = find(&caller, &id)?;
    let (records, plan) = engine.history(run).await?;
    let generations = engine.generations(run.partition).await?;
    let behind = records.partition_point(|record| record.version <= after);
    let wanted = |record: &&Record| {
        filter.spans(record.recorded_at) && filter.passes(&record.stream, &record.event, |_| None)
    };
    let chosen: Vec<&Record> = records[behind..].iter().filter(wanted).collect();
    let total = chosen.len();
    let chosen = &chosen[total.min(window.offset)..];
    let shown = fitting(chosen, window.limit);
    let beside = |record: &Record| {
        let mut beside = Vec::new();
        record.event.for_each_payload(&mut |own| beside.extend(own.reference()));
        let listed = |(digest, bytes): (Digest, u64)| json!({ "digest": digest.to_string(), "bytes": bytes });
        beside.into_iter().map(listed).collect::<Vec<_>>()
    };
    let event = |record: &&Record| {
        let (kind, data) = event_json(&record.event, plan.as_deref());
        let generation = generations.of(record.position);
        json!({
            "position": format!("{generation}:{}:{}", run.partition, record.position),
            "stream": record.stream.to_string(),
            "version": record.version,
            "recorded_at": record.recorded_at.to_string(),
            "type": kind,
            "data": data,
            "kept_beside": beside(record),
        })
    };
    let events: Vec<_> = chosen[..shown].iter().map(event).collect();
    let last = chosen[..shown].last().map(|record| record.version);
    let more = last.filter(|_| chosen.len() > shown);
    let mut body = json!({
        "execution_id": run.to_string(),
        "events": events,
        "next_after_version": more,
    });
    window.tell(&mut body, total, more.map(|version| version.to_string()));
    Ok(answer::ok(&body))
}

/// How many records one answer takes: at least one, and no more than so many payloads.
fn fitting(records: &[&Record], limit: usize) -> usize {
    let mut bytes = 0_usize;
    let fits = |record: &&&Record| {
        let first = bytes == 0;
        record.event.for_each_payload(&mut |own| bytes += own.length_bytes());
        bytes = bytes.max(1);
        first || bytes <= EVENTS_BYTES_MAX
    };
    records.iter().take(limit).take_while(fits).count()
}

/// `POST /api/v1/executions/{id}/cancel`.
pub(super) async fn cancel(
    caller: Caller,
    PathId(id): PathId,
    document: Document,
) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let run = find(&caller, &id)?;
    let mut fields = Fields::of(document, &["reason", "compensate", "force"]);
    let reason = fields.words("reason");
    let compensate = fields.truth("compensate");
    let force = fields.truth("force").unwrap_or(false);
    fields.finish()?;
    let command = Command::Cancel { reason, actor: caller.actor(), compensate, force };
    accepted(engine, run, command).await
}

/// A command carried out on a run: 202 with its status after it.
pub(super) async fn accepted(
    engine: &Handle,
    run: ExecutionId,
    command: Command,
) -> Result<Response, Refusal> {
    let status = engine.command(run, command).await?;
    let body = json!({ "execution_id": run.to_string(), "status": status });
    Ok(located(StatusCode::ACCEPTED, run, &body))
}

/// Payloads that one page of events holds, in bytes, if it holds more than one event.
const EVENTS_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The longest that a client may wait for a run's end.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(60);
