//! Spans that wait to be sent, and how far the journal has been read for them: at most so many, and
//! what comes then is counted and left out.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// Spans that the collector has taken.
pub const EXPORTED: &str = "backstitch_otlp_spans_exported_total";
/// Spans that it did not get, by `reason`: `full`, `refused`, `unreachable` or `unread`.
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
    /// The history of its run could not be read.
    Unread,
}

impl Reason {
    fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Unread => "unread",
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
    /// In JSON.
    spans: VecDeque<Box<str>>,
    /// Places in the journal, each with how many spans were put before it was reached.
    places: VecDeque<(u64, String)>,
    put: u64,
    taken: u64,
    closed: bool,
}

/// Spans of one request.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) spans: Vec<Box<str>>,
    /// Behind which nothing is left to send before the next span.
    pub(super) place: Option<String>,
}

/// Spans that wait to be sent.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    kept: Mutex<Kept>,
    news: Notify,
}

impl Outbox {
    /// Keeps a span if there is room.
    pub(super) fn put(&self, span: Box<str>) {
        let mut kept = self.kept();
        if kept.spans.len() >= SPANS_MAX {
            drop(kept);
            return dropped(1, Reason::Full);
        }
        kept.spans.push_back(span);
        kept.put += 1;
        let waits = kept.spans.len();
        drop(kept);
        if waits == 1 || waits == BATCH_MAX {
            self.news.notify_one();
        }
    }

    /// The journal was read up to a place; what it had was put.
    pub(super) fn reached(&self, place: String) {
        let mut kept = self.kept();
        let put = kept.put;
        if kept.places.back().is_some_and(|(before, _)| *before == put) {
            kept.places.pop_back();
        }
        kept.places.push_back((put, place));
        drop(kept);
        self.news.notify_one();
    }

    /// No more will come.
    pub(super) fn close(&self) {
        self.kept().closed = true;
        self.news.notify_one();
    }

    /// The next batch: once there are enough spans, or the first has waited long enough; a place
    /// that was reached without any has a batch of its own. None once it is closed and empty.
    pub(super) async fn batch(&self) -> Option<Batch> {
        while self.kept().is_idle() {
            if self.kept().closed {
                return None;
            }
            self.news.notified().await;
        }
        let enough = async {
            while self.kept().wants_more() {
                self.news.notified().await;
            }
        };
        // Few spans are sent as they are once their time is over.
        drop(tokio::time::timeout(BATCH_WAIT, enough).await);
        Some(self.kept().take())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn is_idle(&self) -> bool {
        self.spans.is_empty() && self.places.is_empty()
    }

    fn wants_more(&self) -> bool {
        !self.closed && (1..BATCH_MAX).contains(&self.spans.len())
    }

    fn take(&mut self) -> Batch {
        let size = self.spans.len().min(BATCH_MAX);
        let spans: Vec<_> = self.spans.drain(..size).collect();
        self.taken += spans.len() as u64;
        let mut place = None;
        while self.places.front().is_some_and(|(put, _)| *put <= self.taken) {
            place = self.places.pop_front().map(|(_, own)| own);
        }
        Batch { spans, place }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_there_is_no_room_for_is_left_out_and_batches_are_bounded() {
        let outbox = Outbox::default();
        (0..SPANS_MAX + 5).for_each(|number| outbox.put(number.to_string().into()));
        outbox.close();
        let (mut next, mut batches) = (0_usize, 0);
        while let Some(batch) = outbox.batch().await {
            assert!(batch.spans.len() <= BATCH_MAX);
            for span in batch.spans {
                assert_eq!(*span, *next.to_string(), "in order");
                next += 1;
            }
            batches += 1;
        }
        assert_eq!((next, batches), (SPANS_MAX, SPANS_MAX / BATCH_MAX));
    }

    #[tokio::test]
    async fn a_place_comes_with_the_last_span_that_was_read_before_it() {
        let outbox = Outbox::default();
        let more = BATCH_MAX + 1;
        (0..more).for_each(|number| outbox.put(number.to_string().into()));
        outbox.reached("one".to_owned());
        outbox.reached("two".to_owned());
        outbox.put("last".into());
        outbox.close();
        let first = outbox.batch().await.expect("a batch");
        assert_eq!((first.spans.len(), first.place), (BATCH_MAX, None));
        let second = outbox.batch().await.expect("a batch");
        assert_eq!((second.spans.len(), second.place.as_deref()), (2, Some("two")));
        assert!(outbox.batch().await.is_none());
    }
}
