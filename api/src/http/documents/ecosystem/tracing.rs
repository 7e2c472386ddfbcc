//! `/infrastructure/tracing`: traces of document 002, read off the journal.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::Uri;
use axum::response::Response;
use backstitch_core::ids::ExecutionId;
use backstitch_core::report::span_json;
use backstitch_core::trace::{RunSpans, Span, TraceId};
use backstitch_journal::{Cursor, RunFilter};
use backstitch_saga::{Error, Handle};
use serde_json::{Value, json};

use crate::http::caller::Caller;
use crate::http::path::PathId;
use crate::http::query::Parameters;
use crate::http::refusal::Refusal;
use crate::http::{answer, codes};

/// Spans after which an answer looks at no more runs.
const SPANS_MAX: usize = 10_000;

/// `GET /infrastructure/tracing/trace/{trace_id}`: every span of its runs, in the order in which
/// they began.
pub(super) async fn trace(
    caller: Caller,
    PathId(id): PathId,
    uri: Uri,
) -> Result<Response, Refusal> {
    let asked = Parameters::of(&uri, &["limit", "cursor"])?;
    let trace: TraceId = id
        .parse()
        .map_err(|bad| Refusal::bad_request(format!("the id in the path is no trace: {bad}")))?;
    let first = asked.cursor()?.is_none();
    let (mut spans, mut told) = (Vec::new(), Vec::new());
    let walked = walk(&caller, &asked, Some(trace), |read| {
        told.push(json!({
            "execution_id": read.run.to_string(),
            "workflow_id": &*read.submitted.workflow,
            "status": read.own().end.as_ref().map_or("running", |end| end.word),
        }));
        spans.extend(read.spans.iter().map(|span| (span.began_at, span_json(read, span))));
    });
    let Walked { next, .. } = walked.await?;
    if first && told.is_empty() {
        return Err(Refusal::new(codes::NOT_FOUND, format!("there is no trace {trace} here")));
    }
    spans.sort_by_key(|(began_at, _)| *began_at);
    let spans: Vec<_> = spans.into_iter().map(|(_, span)| span).collect();
    let trace = trace.to_string();
    Ok(answer::ok(&json!({
        "trace_id": trace, "executions": told, "spans": spans, "next_cursor": next,
    })))
}

/// `GET /infrastructure/tracing/service/{service_name}`: which of the newest runs called it.
pub(super) async fn service(
    caller: Caller,
    PathId(name): PathId,
    uri: Uri,
) -> Result<Response, Refusal> {
    let asked = Parameters::of(&uri, &["limit", "cursor"])?;
    let mut traces = Vec::new();
    let walked = walk(&caller, &asked, None, |read| {
        let calls: Vec<_> = read.spans.iter().filter(|span| is_of(span, &name)).collect();
        let Some(began_at) = calls.iter().map(|span| span.began_at).min() else { return };
        traces.push(json!({
            "trace_id": read.context.trace.to_string(),
            "execution_id": read.run.to_string(),
            "workflow_id": &*read.submitted.workflow,
            "spans": calls.len(),
            "errors": calls.iter().filter(|span| has_failed(span)).count(),
            "began_at": began_at.to_string(),
        }));
    });
    let Walked { looked_at, next } = walked.await?;
    Ok(answer::ok(&json!({
        "service_name": name, "traces": traces, "executions_looked_at": looked_at,
        "next_cursor": next,
    })))
}

/// `GET /infrastructure/tracing/stats`: what the newest runs come to.
pub(super) async fn stats(caller: Caller, uri: Uri) -> Result<Response, Refusal> {
    let asked = Parameters::of(&uri, &["limit", "cursor"])?;
    let (mut services, mut kinds) = (BTreeMap::new(), BTreeMap::new());
    let (mut all, mut traces) = (Counts::default(), BTreeSet::new());
    let walked = walk(&caller, &asked, None, |read| {
        traces.insert(read.context.trace);
        for span in &read.spans {
            all.add(span);
            count(&mut kinds, span.kind.word(), span);
            span.service.iter().for_each(|own| count(&mut services, own, span));
        }
    });
    let Walked { looked_at, next } = walked.await?;
    let each = |counts: BTreeMap<String, Counts>| -> Value {
        counts.into_iter().map(|(name, own)| (name, own.json())).collect()
    };
    let mut told = all.json();
    told["traces"] = traces.len().into();
    told["kinds"] = each(kinds);
    told["services"] = each(services);
    told["executions_looked_at"] = looked_at.into();
    told["next_cursor"] = next.into();
    Ok(answer::ok(&told))
}

/// Spans, and those that failed.
#[derive(Default)]
struct Counts {
    spans: u32,
    errors: u32,
}

impl Counts {
    fn add(&mut self, span: &Span) {
        self.spans += 1;
        self.errors += u32::from(has_failed(span));
    }

    fn json(&self) -> Value {
        let share = f64::from(self.errors) / f64::from(self.spans.max(1));
        json!({ "spans": self.spans, "errors": self.errors, "error_share": share })
    }
}

fn count(counts: &mut BTreeMap<String, Counts>, name: &str, span: &Span) {
    match counts.get_mut(name) {
        Some(own) => own.add(span),
        None => counts.entry(name.to_owned()).or_default().add(span),
    }
}

/// How far some runs were looked at.
struct Walked {
    looked_at: usize,
    next: Option<String>,
}

/// Shows runs of a trace, or the newest ones, to `see`: as many as are asked for, or until they have
/// [`SPANS_MAX`] spans.
async fn walk(
    caller: &Caller,
    asked: &Parameters,
    trace: Option<TraceId>,
    mut see: impl FnMut(&RunSpans),
) -> Result<Walked, Refusal> {
    let (engine, namespace) = (caller.engine()?, caller.namespace());
    let (limit, mut after) = (asked.limit()?, asked.cursor()?);
    let (mut looked_at, mut spans) = (0, 0);
    loop {
        // One at a time: any of them may have all the spans that an answer holds.
        let (runs, next) = match trace {
            Some(trace) => engine.runs_of_trace(namespace, trace, after, 1).await?,
            None => newest(engine, namespace, after, 1).await?,
        };
        for run in runs {
            looked_at += 1;
            let Some(read) = still_there(engine, run).await? else { continue };
            spans += read.spans.len();
            see(&read);
        }
        if next.is_none() || looked_at >= limit || spans >= SPANS_MAX {
            return Ok(Walked { looked_at, next: next.map(|next| next.to_string()) });
        }
        after = next;
    }
}

async fn newest(
    engine: &Handle,
    namespace: &str,
    after: Option<Cursor>,
    limit: usize,
) -> Result<(Vec<ExecutionId>, Option<Cursor>), Refusal> {
    let filter = RunFilter { namespace: namespace.to_owned(), ..RunFilter::default() };
    let page = engine.runs(filter, after, limit).await?;
    Ok((page.rows.into_iter().map(|row| row.execution).collect(), page.next))
}

/// A run may be removed while others are read.
async fn still_there(engine: &Handle, run: ExecutionId) -> Result<Option<RunSpans>, Refusal> {
    match engine.spans(run).await {
        Ok(spans) => Ok(Some(spans)),
        Err(Error::ExecutionNotFound(_) | Error::ExecutionRemoved { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether a span calls a service: named whole, without its scheme, or by its host.
fn is_of(span: &Span, name: &str) -> bool {
    let Some(service) = &span.service else { return false };
    let address = service.split_once("://").map_or(service.as_str(), |(_, address)| address);
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    [service.as_str(), address, host].iter().any(|own| own.eq_ignore_ascii_case(name))
}

fn has_failed(span: &Span) -> bool {
    span.end.as_ref().is_some_and(|end| end.has_failed())
}
