//! `/api/v1/events`: the whole history, by position and by time, through a filter.

use std::sync::{Mutex, PoisonError};

use axum::http::Uri;
use axum::response::Response;
use backstitch_core::history::EventFilter;
use backstitch_core::ids::ExecutionId;
use backstitch_core::report::EVENT_TYPES;
use backstitch_journal::ChainCursor;
use backstitch_saga::handle::HistoryCut;
use serde_json::{Value, json};

use super::caller::Caller;
use super::live::Form;
use super::path::PathId;
use super::query::{LIMIT_DEFAULT, Parameters};
use super::refusal::Refusal;
use super::travel::instant;
use super::window::{self, Pages, Window};
use super::{answer, executions, workflows};
use crate::nearest::unknown;

const PARAMETERS: [&str; 5] = ["after", "until", "from", "to", "type"];
/// What the whole history can be asked, too.
const OF_ALL: [&str; 3] = ["workflow_id", "execution_id", "namespace"];

/// `GET /api/v1/events`: oldest first, or a stream of what happens.
pub(super) async fn events(
    caller: Caller,
    uri: Uri,
    Form(stream): Form,
) -> Result<Response, Refusal> {
    if let Some(stream) = stream {
        return stream.of_all(caller, &uri);
    }
    let known = [&PARAMETERS[..], &OF_ALL, &window::PARAMETERS].concat();
    let asked = Parameters::of(&uri, &known)?;
    page(&caller, &asked, filter(&asked)?).await
}

/// `GET /api/v1/workflows/{id}/events`: of a workflow and all of its runs, oldest first, or a
/// stream of them. The id of an execution asks for that run's.
pub(super) async fn of_workflow(
    caller: Caller,
    PathId(workflow): PathId,
    uri: Uri,
    form: Form,
) -> Result<Response, Refusal> {
    if workflow.parse::<ExecutionId>().is_ok() {
        return executions::events(caller, PathId(workflow), uri, form).await;
    }
    workflows::revisions_of(&caller, &workflow)?;
    if let Some(stream) = form.0 {
        return stream.of_workflow(caller, workflow, &uri);
    }
    let asked = Parameters::of(&uri, &[&PARAMETERS[..], &window::PARAMETERS].concat())?;
    let of_workflow = EventFilter {
        workflow: Some(workflow),
        namespace: Some(caller.namespace().to_string()),
        ..filter(&asked)?
    };
    page(&caller, &asked, of_workflow).await
}

async fn page(
    caller: &Caller,
    asked: &Parameters,
    filter: EventFilter,
) -> Result<Response, Refusal> {
    let (engine, window) = (caller.engine()?, Window::of(asked, LIMIT_DEFAULT)?);
    let until = cursor(asked.text("until"), "until")?;
    let after = window.place_or(cursor(asked.text("after"), "after")?, "after")?;
    let cut = Mutex::new(None);
    let read = |after, most| {
        let reading = engine.events(filter.clone(), after, until.clone(), most);
        let cut = &cut;
        async move {
            let page = reading.await?;
            *cut.lock().unwrap_or_else(PoisonError::into_inner) = page.cut;
            Ok::<_, Refusal>(Pages { rows: page.rows, next: Some(page.next), more: page.more })
        }
    };
    let part = window.read(after, read).await?;
    let cut = cut.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut body = json!({
        "events": part.rows,
        "more": part.more,
        "cut": cut.map(|cut| cut_json(&cut)),
    });
    window.tell(&mut body, part.total, part.next());
    // It is there always: more may come.
    body["next_cursor"] = part.place.into();
    Ok(answer::ok(&body))
}

/// What was cut off the history, and where what is left begins.
pub(super) fn cut_json(cut: &HistoryCut) -> Value {
    json!({ "cursor": cut.cursor.to_string(), "until": cut.until.to_string() })
}

/// The filter that a query names, by those of its parameters that are known there.
pub(super) fn filter(asked: &Parameters) -> Result<EventFilter, Refusal> {
    let mut types = std::collections::BTreeSet::new();
    for word in asked.text("type").into_iter().flat_map(|words| words.split(',')) {
        if !EVENT_TYPES.contains(&word) {
            return Err(Refusal::bad_request(unknown("event type", word, &EVENT_TYPES)));
        }
        types.insert(word.to_owned());
    }
    let execution = asked.text("execution_id").map(str::parse::<ExecutionId>).transpose();
    let execution = execution
        .map_err(|bad| Refusal::bad_request(format!("`execution_id`: {bad}")))?
        .map(|run| run.to_string());
    Ok(EventFilter {
        types,
        workflow: asked.text("workflow_id").map(str::to_owned),
        execution,
        namespace: asked.text("namespace").map(str::to_owned),
        from: instant(asked, "from")?,
        to: instant(asked, "to")?,
    })
}

/// A place that an earlier answer gave.
pub(super) fn cursor(text: Option<&str>, name: &str) -> Result<Option<ChainCursor>, Refusal> {
    let read = |text: &str| {
        text.parse().map_err(|_| {
            let message =
                format!("`{name}` must be the `next_cursor` of an earlier page of events");
            Refusal::bad_request(message)
        })
    };
    text.map(read).transpose()
}
