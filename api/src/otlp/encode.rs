//! From spans to the JSON of OTLP 1: ids in hex, 64-bit integers as strings, enums as numbers.

use backstitch_core::time::Timestamp;
use backstitch_core::trace::{RunSpans, Span, SpanKind};
use serde_json::{Value, json};

/// `SPAN_KIND_INTERNAL` and `SPAN_KIND_CLIENT`.
const INTERNAL: u8 = 1;
const CLIENT: u8 = 3;
/// `STATUS_CODE_ERROR`.
const ERROR: u8 = 2;
/// The longest message of a status, in characters.
const MESSAGE_CHARS_MAX: usize = 1_024;

/// Who sends.
#[derive(Debug, Clone)]
pub(super) struct Resource {
    attributes: Value,
}

impl Resource {
    pub(super) fn of(service_name: &str, node: &str) -> Self {
        let attributes = json!([
            text("service.name", service_name),
            text("service.version", env!("CARGO_PKG_VERSION")),
            text("service.instance.id", node),
        ]);
        Self { attributes }
    }

    /// One request with all of these spans, each in JSON.
    pub(super) fn request(&self, spans: &[Box<str>]) -> String {
        let scope = json!({ "name": "backstitch", "version": env!("CARGO_PKG_VERSION") });
        let (resource, spans) = (json!({ "attributes": self.attributes }), spans.join(","));
        let of_scope = format!(r#"{{"scope":{scope},"spans":[{spans}]}}"#);
        format!(r#"{{"resourceSpans":[{{"resource":{resource},"scopeSpans":[{of_scope}]}}]}}"#)
    }

    /// A span that has ended.
    pub(super) fn span(&self, of: &RunSpans, span: &Span) -> Value {
        let submitted = &of.submitted;
        let mut attributes = vec![
            text("backstitch.namespace", &submitted.namespace),
            text("backstitch.workflow_id", &submitted.workflow),
            whole("backstitch.revision", submitted.revision.into()),
            text("backstitch.execution_id", &of.run.to_string()),
            text("backstitch.kind", span.kind.word()),
        ];
        match span.kind {
            SpanKind::Run => {
                attributes.push(text("backstitch.correlation_id", &submitted.correlation_id));
            }
            SpanKind::Callback => attributes.push(text("backstitch.event", &span.subject)),
            SpanKind::Step | SpanKind::Undo | SpanKind::Check => {
                attributes.push(text("backstitch.step", &span.subject));
            }
        }
        if span.kind != SpanKind::Run {
            attributes.push(whole("backstitch.attempt", span.attempt.into()));
        }
        attributes.extend(span.service.iter().map(|own| text("backstitch.service", own)));
        let end = span.end.as_ref();
        attributes.extend(end.map(|end| text("backstitch.outcome", end.word)));
        let failure = end.filter(|end| end.has_failed()).and_then(|end| end.failure.as_ref());
        attributes.extend(failure.map(|own| text("error.type", &own.code)));
        let mut shown = json!({
            "traceId": of.context.trace.to_string(),
            "spanId": span.id.to_string(),
            "name": name(span),
            "kind": if span.service.is_some() { CLIENT } else { INTERNAL },
            "startTimeUnixNano": nanoseconds(span.began_at),
            "endTimeUnixNano": nanoseconds(end.map_or(span.began_at, |end| end.at)),
            "attributes": attributes,
            "flags": u8::from(of.context.sampled),
            "status": status(span),
        });
        if let Some(above) = span.above {
            shown["parentSpanId"] = above.to_string().into();
        }
        if !of.context.state.is_empty() {
            shown["traceState"] = (*of.context.state).into();
        }
        shown
    }
}

/// Few names: no run and no attempt has one of its own.
fn name(span: &Span) -> String {
    match span.kind {
        SpanKind::Run | SpanKind::Step => span.subject.to_string(),
        SpanKind::Undo | SpanKind::Check | SpanKind::Callback => {
            format!("{} {}", span.kind.word(), span.subject)
        }
    }
}

fn status(span: &Span) -> Value {
    match &span.end {
        Some(end) if end.has_failed() => {
            let message = end.failure.as_ref().map_or(end.word, |own| &own.message);
            let message: String = message.chars().take(MESSAGE_CHARS_MAX).collect();
            json!({ "code": ERROR, "message": message })
        }
        _ => json!({}),
    }
}

fn nanoseconds(at: Timestamp) -> String {
    (i128::from(at.0) * 1_000).max(0).to_string()
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

fn whole(key: &str, value: u64) -> Value {
    json!({ "key": key, "value": { "intValue": value.to_string() } })
}
