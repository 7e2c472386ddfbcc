//! A span as JSON.

use serde_json::{Value, json};

use super::instant;
use crate::trace::{RunSpans, Span};

/// A span of a run, as trace queries show it.
#[must_use]
pub fn span_json(of: &RunSpans, span: &Span) -> Value {
    let end = span.end.as_ref();
    let failure = end.filter(|end| end.has_failed()).and_then(|end| end.failure.as_ref());
    json!({
        "trace_id": of.context.trace.to_string(),
        "span_id": span.id.to_string(),
        "parent_span_id": span.above.map(|own| own.to_string()),
        "kind": span.kind.word(),
        "name": &*span.subject,
        "execution_id": of.run.to_string(),
        "workflow_id": &*of.submitted.workflow,
        "attempt": (span.attempt > 0).then_some(span.attempt),
        "service": span.service,
        "status": end.map_or("running", |end| end.word),
        "error": failure.map(|own| json!({ "error_code": own.code, "message": own.message })),
        "began_at": span.began_at.to_string(),
        "ended_at": instant(end.map(|end| end.at)),
        "duration_ms": end.map(|end| end.at.ms_since(span.began_at)),
    })
}
