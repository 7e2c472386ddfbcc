//! Spans that wait to be sent, and what is counted of them.

use std::time::Duration;

use crate::courier::{Limits, Queue, Reason};

/// Spans that the collector has taken.
pub const EXPORTED: &str = "backstitch_otlp_spans_exported_total";
/// Spans that it did not get, by `reason`: `full`, `refused`, `unreachable` or `unread`.
pub const DROPPED: &str = "backstitch_otlp_spans_dropped_total";

const LIMITS: Limits = Limits {
    entries_max: 8_192,
    bytes_max: 64 * 1024 * 1024,
    batch_entries_max: 512,
    batch_bytes_max: 4 * 1024 * 1024,
    wait: Duration::from_secs(1),
};

/// Spans in JSON, and how far the journal has been read for them.
pub(super) type Outbox = Queue<Box<str>>;

pub(super) fn outbox() -> Outbox {
    Queue::new(LIMITS)
}

/// Keeps a span if there is room.
pub(super) fn put(outbox: &Outbox, span: Box<str>) {
    if !outbox.put(span) {
        dropped(1, Reason::Full);
    }
}

pub(super) fn describe() {
    metrics::describe_counter!(EXPORTED, "spans that the collector has taken");
    metrics::describe_counter!(DROPPED, "spans that the collector did not get, by reason");
}

pub(super) fn dropped(spans: u64, reason: Reason) {
    metrics::counter!(DROPPED, "reason" => reason.word()).increment(spans);
}
