//! Spans that wait to be sent: at most so many, and what comes then is counted and left out.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;

/// Spans that the collector has taken.
pub const EXPORTED: &str = "backstitch_otlp_spans_exported_total";
/// Spans that it did not get, by `reason`: `full`, `refused`, `unreachable` or `stopped`.
pub const DROPPED: &str = "backstitch_otlp_spans_dropped_total";

/// Spans that wait.
const SPANS_MAX: usize = 8_192;
/// Spans of one request.
const BATCH_MAX: usize = 512;
/// How long a span waits for others.
const BATCH_WAIT: Duration = Duration::from_secs(1);

/// Why a span was not exported.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reason {
    /// Too many wait already.
    Full,
    /// The collector does not take it.
    Refused,
    /// The collector did not answer, however often it was asked.
    Unreachable,
    /// The server stopped.
    Stopped,
}

impl Reason {
    fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Stopped => "stopped",
        }
    }
}

pub(super) fn describe() {
    metrics::describe_counter!(EXPORTED, "spans that the collector has taken");
    metrics::describe_counter!(DROPPED, "spans that the collector did not get, by reason");
}

pub(super) fn dropped(spans: u64, reason: Reason) {
    metrics::counter!(DROPPED, "reason" => reason.word()).increment(spans);
}

#[derive(Debug, Default)]
struct Kept {
    spans: VecDeque<Value>,
    closed: bool,
}

/// Spans that wait to be sent.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    kept: Mutex<Kept>,
    news: Notify,
}

impl Outbox {
    /// Keeps a span if there is room.
    pub(super) fn put(&self, span: Value) {
        let mut kept = self.kept();
        if kept.spans.len() >= SPANS_MAX {
            drop(kept);
            return dropped(1, Reason::Full);
        }
        kept.spans.push_back(span);
        let waits = kept.spans.len();
        drop(kept);
        if waits == 1 || waits == BATCH_MAX {
            self.news.notify_one();
        }
    }

    /// No more will come.
    pub(super) fn close(&self) {
        self.kept().closed = true;
        self.news.notify_one();
    }

    /// What still waits will not be sent.
    pub(super) fn lose_all(&self) {
        let lost = std::mem::take(&mut self.kept().spans).len() as u64;
        dropped(lost, Reason::Stopped);
    }

    /// The next batch: once there are enough, or the first has waited long enough. None once it
    /// is closed and empty.
    pub(super) async fn batch(&self) -> Option<Vec<Value>> {
        loop {
            let (waits, closed) = self.standing();
            match (waits, closed) {
                (0, true) => return None,
                (0, false) => self.news.notified().await,
                _ => break,
            }
        }
        let enough = async {
            loop {
                let (waits, closed) = self.standing();
                if closed || waits >= BATCH_MAX {
                    return;
                }
                self.news.notified().await;
            }
        };
        // Few spans are sent as they are once their time is over.
        drop(tokio::time::timeout(BATCH_WAIT, enough).await);
        let mut kept = self.kept();
        let size = kept.spans.len().min(BATCH_MAX);
        Some(kept.spans.drain(..size).collect())
    }

    fn standing(&self) -> (usize, bool) {
        let kept = self.kept();
        (kept.spans.len(), kept.closed)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_there_is_no_room_for_is_left_out_and_batches_are_bounded() {
        let outbox = Outbox::default();
        (0..SPANS_MAX + 5).for_each(|number| outbox.put(number.into()));
        outbox.close();
        let (mut next, mut batches) = (0, 0);
        while let Some(batch) = outbox.batch().await {
            assert!(batch.len() <= BATCH_MAX);
            for span in batch {
                assert_eq!(span, next, "in order");
                next += 1;
            }
            batches += 1;
        }
        assert_eq!((next, batches), (SPANS_MAX, SPANS_MAX / BATCH_MAX));
    }
}
