//! What waits to be sent: so much at most, in batches. What comes where there is no room is left out.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// How much waits, and how much is sent at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Entries that wait, and their bytes.
    pub(crate) entries_max: usize,
    pub(crate) bytes_max: usize,
    /// Entries of one batch, and their bytes if it has more than one entry.
    pub(crate) batch_entries_max: usize,
    pub(crate) batch_bytes_max: usize,
    /// How long an entry waits for others.
    pub(crate) wait: Duration,
}

#[derive(Debug)]
struct Kept<T> {
    entries: VecDeque<T>,
    bytes: usize,
    /// Places of a source, each with how many entries were put before it was reached.
    places: VecDeque<(u64, String)>,
    put: u64,
    taken: u64,
    closed: bool,
}

/// What is sent at once.
#[derive(Debug)]
pub(crate) struct Batch<T> {
    pub(crate) entries: Vec<T>,
    /// Behind which nothing is left to send before the next entry.
    pub(crate) place: Option<String>,
}

/// What waits to be sent.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    limits: Limits,
    kept: Mutex<Kept<T>>,
    news: Notify,
}

impl<T: AsRef<str>> Queue<T> {
    /// One in which nothing waits.
    pub(crate) fn new(limits: Limits) -> Self {
        let kept = Kept {
            entries: VecDeque::new(),
            bytes: 0,
            places: VecDeque::new(),
            put: 0,
            taken: 0,
            closed: false,
        };
        Self { limits, kept: Mutex::new(kept), news: Notify::new() }
    }

    /// Keeps an entry if there is room; whether there was.
    #[must_use]
    pub(crate) fn put(&self, entry: T) -> bool {
        let bytes = entry.as_ref().len();
        let mut kept = self.kept();
        let fits = kept.entries.len() < self.limits.entries_max
            && kept.bytes + bytes <= self.limits.bytes_max;
        if !fits || kept.closed {
            return false;
        }
        let had_enough = kept.has_enough(&self.limits);
        kept.entries.push_back(entry);
        kept.bytes += bytes;
        kept.put += 1;
        let is_news = kept.entries.len() == 1 || !had_enough && kept.has_enough(&self.limits);
        drop(kept);
        if is_news {
            self.news.notify_one();
        }
        true
    }

    /// The source of the entries was read up to a place; what it had was put.
    pub(crate) fn reached(&self, place: String) {
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
    pub(crate) fn close(&self) {
        self.kept().closed = true;
        self.news.notify_one();
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.kept().entries.len()
    }

    /// The next batch: once there is enough, or the first entry has waited long enough; a place
    /// that was reached without any has a batch of its own. None once it is closed and empty.
    pub(crate) async fn batch(&self) -> Option<Batch<T>> {
        while self.kept().is_idle() {
            if self.kept().closed {
                return None;
            }
            self.news.notified().await;
        }
        let enough = async {
            while self.kept().wants_more(&self.limits) {
                self.news.notified().await;
            }
        };
        // Few are sent as they are once their time is over.
        drop(tokio::time::timeout(self.limits.wait, enough).await);
        Some(self.kept().take(&self.limits))
    }

    fn kept(&self) -> MutexGuard<'_, Kept<T>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: AsRef<str>> Kept<T> {
    fn is_idle(&self) -> bool {
        self.entries.is_empty() && self.places.is_empty()
    }

    fn has_enough(&self, limits: &Limits) -> bool {
        self.entries.len() >= limits.batch_entries_max || self.bytes >= limits.batch_bytes_max
    }

    fn wants_more(&self, limits: &Limits) -> bool {
        !self.closed && !self.entries.is_empty() && !self.has_enough(limits)
    }

    fn take(&mut self, limits: &Limits) -> Batch<T> {
        let mut entries: Vec<T> = Vec::new();
        let mut bytes = 0;
        while entries.len() < limits.batch_entries_max
            && let Some(entry) = self.entries.pop_front_if(|own| {
                bytes += own.as_ref().len();
                entries.is_empty() || bytes <= limits.batch_bytes_max
            })
        {
            self.bytes -= entry.as_ref().len();
            entries.push(entry);
        }
        self.taken += entries.len() as u64;
        let mut place = None;
        while self.places.front().is_some_and(|(put, _)| *put <= self.taken) {
            place = self.places.pop_front().map(|(_, own)| own);
        }
        Batch { entries, place }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        entries_max: 100,
        bytes_max: 1_000,
        batch_entries_max: 8,
        batch_bytes_max: 50,
        wait: Duration::from_secs(1),
    };

    #[tokio::test]
    async fn what_there_is_no_room_for_is_left_out_and_batches_are_bounded() {
        let queue = Queue::new(LIMITS);
        let numbers: Vec<_> = (0..105).map(|own: u32| own.to_string()).collect();
        let kept = numbers.iter().filter(|own| queue.put((*own).clone())).count();
        assert_eq!((kept, queue.len()), (100, 100));
        queue.close();
        assert!(!queue.put("late".to_owned()));
        let mut sizes = Vec::new();
        let mut next = 0;
        while let Some(batch) = queue.batch().await {
            for entry in &batch.entries {
                assert_eq!(*entry, numbers[next], "in order");
                next += 1;
            }
            sizes.push(batch.entries.len());
        }
        assert_eq!((next, sizes.iter().max()), (100, Some(&8)));
    }

    #[tokio::test]
    async fn bytes_count_as_well() {
        let queue = Queue::new(LIMITS);
        let kept = (0..60).filter(|_| queue.put("x".repeat(20))).count();
        assert_eq!(kept, 50);
        assert_eq!(queue.batch().await.expect("a batch").entries.len(), 2);
        assert!(queue.put("y".repeat(40)), "there is room again");
        let large = Queue::new(LIMITS);
        assert!(large.put("z".repeat(900)), "one entry is a batch, however large");
        assert_eq!(large.batch().await.expect("a batch").entries.len(), 1);
    }

    #[tokio::test]
    async fn a_place_comes_with_the_last_entry_that_was_read_before_it() {
        let queue = Queue::new(LIMITS);
        let all = (0..=LIMITS.batch_entries_max).all(|number| queue.put(number.to_string()));
        assert!(all);
        queue.reached("one".to_owned());
        queue.reached("two".to_owned());
        assert!(queue.put("last".to_owned()));
        queue.close();
        let first = queue.batch().await.expect("a batch");
        assert_eq!((first.entries.len(), first.place), (LIMITS.batch_entries_max, None));
        let second = queue.batch().await.expect("a batch");
        assert_eq!((second.entries.len(), second.place.as_deref()), (2, Some("two")));
        assert!(queue.batch().await.is_none());
    }
}
