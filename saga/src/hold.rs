//! Holding a node up: from some record on it records nothing more, and whoever tests it can kill
//! it exactly there.
//!
//! What was recorded before is durable. There are two moments at which a crash then finds most
//! to get wrong: the next records were about to be written, so that most has happened that nobody
//! wrote down; and the last ones were just written, so that most is written that did not happen.
//! Knows nothing of what is recorded, and holds up a node of one partition.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::watch;

/// Where a node stands that is held up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Records since the hold was set.
    pub recorded: u64,
    /// Records that wait, and would be made durable next, together.
    pub waiting: u64,
}

/// When the node is held up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before the next records: everything that follows of the last ones was let out and has
    /// ended.
    Before,
    /// Behind the last records: nothing that follows of them was let out.
    Behind,
}

/// A hold, and what it counts by. Cheap to clone; holds nobody until it is set.
#[derive(Debug, Clone)]
pub struct Hold(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    records_max: AtomicU64,
    is_behind: AtomicBool,
    recorded: AtomicU64,
    held: watch::Sender<Option<Held>>,
}

impl Default for Hold {
    fn default() -> Self {
        let (held, _) = watch::channel(None);
        let (records_max, recorded) = (AtomicU64::new(u64::MAX), AtomicU64::new(0));
        let is_behind = AtomicBool::new(false);
        Self(Arc::new(Inner { records_max, is_behind, recorded, held }))
    }
}

impl Hold {
    /// From now on at most so many records are made durable; those of one stage together or not
    /// at all.
    pub fn set(&self, records_max: u64, moment: Moment) {
        self.0.recorded.store(0, Ordering::SeqCst);
        self.0.is_behind.store(moment == Moment::Behind, Ordering::SeqCst);
        self.0.records_max.store(records_max, Ordering::SeqCst);
        self.0.held.send_replace(None);
    }

    /// Holds nobody up any more.
    pub fn lift(&self) {
        self.set(u64::MAX, Moment::Before);
    }

    /// Completes once the node is held up.
    pub async fn held(&self) -> Held {
        let mut held = self.0.held.subscribe();
        match held.wait_for(Option::is_some).await.map(|held| *held) {
            Ok(Some(held)) => held,
            // The sender is this value's own.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    fn records_max(&self) -> Option<u64> {
        Some(self.0.records_max.load(Ordering::SeqCst)).filter(|own| *own != u64::MAX)
    }

    /// Whether records that wait may not be made durable.
    pub(crate) fn stops(&self, waiting: usize) -> bool {
        let Some(records_max) = self.records_max() else { return false };
        let recorded = self.0.recorded.load(Ordering::SeqCst);
        waiting > 0 && recorded.saturating_add(waiting as u64) > records_max
    }

    /// Whether nothing that follows of what was recorded is let out any more.
    pub(crate) fn is_silent(&self) -> bool {
        let Some(records_max) = self.records_max() else { return false };
        let recorded = self.0.recorded.load(Ordering::SeqCst);
        self.0.is_behind.load(Ordering::SeqCst) && recorded >= records_max
    }

    /// Records are about to be made durable.
    pub(crate) fn count(&self, records: usize) {
        // Partitions that nobody holds up share nothing that changes.
        if self.records_max().is_some() {
            self.0.recorded.fetch_add(records as u64, Ordering::SeqCst);
        }
    }

    /// The node is held up, with so many records that wait.
    pub(crate) fn tell(&self, waiting: usize) {
        if !self.stops(waiting) && !self.is_silent() {
            return; // It was set anew meanwhile.
        }
        let recorded = self.0.recorded.load(Ordering::SeqCst);
        self.0.held.send_if_modified(|held| {
            let first = held.is_none();
            held.get_or_insert(Held { recorded, waiting: waiting as u64 });
            first
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_stops_the_first_records_too_many_and_says_so_once() {
        let hold = Hold::default();
        hold.count(1_000);
        assert!(!hold.stops(usize::MAX), "nobody is held up until it is set");
        hold.set(5, Moment::Before);
        assert!(!hold.stops(5) && hold.stops(6));
        hold.count(4);
        assert!(!hold.stops(1) && hold.stops(2));
        assert!(!hold.stops(0), "nothing waits");
        hold.tell(2);
        hold.tell(9);
        assert_eq!(hold.held().await, Held { recorded: 4, waiting: 2 });
        hold.set(0, Moment::Before);
        assert!(hold.stops(1));
        hold.tell(1);
        assert_eq!(hold.held().await, Held { recorded: 0, waiting: 1 });
        hold.lift();
        assert!(!hold.stops(usize::MAX));
        hold.tell(1);
        assert!(hold.0.held.borrow().is_none(), "nobody is held up");
    }

    #[test]
    fn behind_its_last_record_it_is_silent() {
        let hold = Hold::default();
        hold.set(2, Moment::Behind);
        hold.count(1);
        assert!(!hold.is_silent());
        hold.count(1);
        assert!(hold.is_silent() && hold.stops(1));
        hold.set(2, Moment::Before);
        hold.count(2);
        assert!(!hold.is_silent());
    }
}
