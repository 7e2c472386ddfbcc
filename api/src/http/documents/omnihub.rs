//! Document 001 has the paths of our own API; what it means by them beside what we do is here.

use std::collections::BTreeMap;

use axum::http::HeaderMap;
use backstitch_core::access::Permission;
use backstitch_core::report::{availability_word, closed_json, run_row_json};
use backstitch_core::summary::{RunStatus, RunSummary};
use backstitch_journal::RunFilter;
use backstitch_saga::handle::{Accepted, Request};
use serde_json::{Map, Value, json};

use crate::http::caller::Caller;
use crate::http::executions::{idempotency_key, trace_of};
use crate::http::query::LIMIT_MAX;
use crate::http::refusal::Refusal;

/// Begins a run of a workflow with nothing given.
///
/// # Errors
/// As [`backstitch_saga::Handle::submit`].
pub(in crate::http) async fn begin(
    caller: &Caller,
    headers: &HeaderMap,
    workflow: &str,
) -> Result<Accepted, Refusal> {
    let request = Request {
        idempotency_key: idempotency_key(headers)?,
        trace: trace_of(headers),
        ..Request::new(caller.namespace().clone(), workflow.to_owned(), json!({}), caller.actor())
    };
    caller.submit(request).await
}

/// Where a workflow stands: how many of its runs have not ended, and the last one, for whoever may
/// read runs.
///
/// # Errors
/// As [`backstitch_saga::Handle::runs`].
pub(in crate::http) async fn standing(
    caller: &Caller,
    workflow: &str,
) -> Result<Map<String, Value>, Refusal> {
    let engine = caller.engine()?;
    let own = engine.catalog().availability(caller.namespace(), workflow);
    let runs = engine.journal().run_statistics(caller.namespace()).remove(workflow);
    let live = RunStatus::ALL.into_iter().filter(|status| !status.is_ended());
    let active = runs.map_or(0, |own| live.map(|status| own.of_status(status)).sum::<u64>());
    let filter = RunFilter { workflow: Some(workflow.to_owned()), ..of(caller) };
    let last = match caller.may(Permission::ExecutionsRead) {
        true => engine.runs(filter, None, 1).await?.rows.first().map(run_row_json),
        false => None,
    };
    let fields = [
        ("status", json!(availability_word(&own))),
        ("disabled", closed_json(own.disabled.as_ref())),
        ("archived", closed_json(own.archived.as_ref())),
        ("active_executions", json!(active)),
        ("last_execution", json!(last)),
    ];
    Ok(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// Runs that have not ended by workflow, the newest, and whether there are more.
///
/// # Errors
/// As [`backstitch_saga::Handle::runs`].
pub(in crate::http) async fn active(
    caller: &Caller,
) -> Result<(BTreeMap<String, Vec<Value>>, bool), Refusal> {
    let engine = caller.engine()?;
    let filter = RunFilter { active: true, ..of(caller) };
    let (mut found, mut after) = (Vec::<RunSummary>::new(), None);
    loop {
        let page = engine.runs(filter.clone(), after, LIMIT_MAX - found.len()).await?;
        found.extend(page.rows.into_iter().filter(|row| !row.chunk));
        after = page.next;
        if after.is_none() || found.len() >= LIMIT_MAX {
            break;
        }
    }
    let mut by_workflow = BTreeMap::<String, Vec<Value>>::new();
    for row in &found {
        by_workflow.entry(row.workflow.to_string()).or_default().push(run_row_json(row));
    }
    Ok((by_workflow, after.is_some()))
}

fn of(caller: &Caller) -> RunFilter {
    RunFilter { namespace: caller.namespace().to_string(), ..RunFilter::default() }
}
