//! What others tell the archiver.

use std::sync::{Condvar, Mutex};
use std::time::Instant;

use super::ARCHIVE_RETRY_MS;
use crate::locks::{lock, wait, wait_ms};
use crate::log::wal::End;

/// Where it is told.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    state: Mutex<State>,
    changed: Condvar,
}

/// What was told last.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    /// The last segment that is sealed.
    pub sealed: u64,
    /// Up to these commits store and views have everything.
    pub applied: Vec<u64>,
    /// Where the log ends, while nothing is appended.
    pub rests_at: Option<End>,
}

#[derive(Debug, Default)]
struct State {
    told: Told,
    news: bool,
    closing: bool,
}

impl Signals {
    /// A segment is sealed, and with it all before.
    pub(crate) fn sealed(&self, number: u64) {
        self.tell(|told| told.sealed = number);
    }

    /// Store and views have everything up to these commits, synced.
    pub(crate) fn applied(&self, sequences: Vec<u64>) {
        self.tell(|told| told.applied = sequences);
    }

    /// Nothing was appended for a while, and all up to here is durable.
    pub(crate) fn rests(&self, end: End) {
        self.tell(|told| told.rests_at = Some(end));
    }

    /// Something is appended again.
    pub(crate) fn goes_on(&self) {
        lock(&self.state).told.rests_at = None;
    }

    /// The journal closes.
    pub(super) fn close(&self) {
        lock(&self.state).closing = true;
        self.changed.notify_all();
    }

    fn tell(&self, change: impl FnOnce(&mut Told)) {
        let mut state = lock(&self.state);
        change(&mut state.told);
        state.news = true;
        self.changed.notify_all();
    }

    pub(super) fn is_closing(&self) -> bool {
        lock(&self.state).closing
    }

    /// Where the log rests, also if the journal closes.
    pub(super) fn rests_at(&self) -> Option<End> {
        lock(&self.state).told.rests_at
    }

    /// What was told so far; `None` once the journal closes.
    pub(super) fn told(&self) -> Option<Told> {
        let state = lock(&self.state);
        (!state.closing).then(|| state.told.clone())
    }

    /// Waits for news; behind a failure, until it may be over.
    pub(super) fn next(&self, failed: bool) -> Option<Told> {
        let begun = Instant::now();
        let mut state = lock(&self.state);
        while !state.closing && (failed || !state.news) {
            if !failed {
                state = wait(&self.changed, state);
                continue;
            }
            let waited_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            let Some(left_ms) = ARCHIVE_RETRY_MS.checked_sub(waited_ms).filter(|left| *left > 0)
            else {
                break;
            };
            state = wait_ms(&self.changed, state, left_ms).0;
        }
        state.news = false;
        (!state.closing).then(|| state.told.clone())
    }
}
