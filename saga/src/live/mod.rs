//! Events as they become durable, for whoever follows them.
//!
//! While anybody follows, partitions hand what became durable to one task, which gives every event
//! to those whose filter it passes. Each of them has a mailbox of its own, which has a bound: who
//! does not empty it in time is let go, and reads the journal until it has caught up, as it does
//! at its beginning. So nothing is lost, and a slow one holds up nobody. Where that task itself is
//! too slow, partitions wait for nothing either: it reads what it did not get once, for all.

mod desk;
mod follower;
mod hall;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use backstitch_core::ids::PartitionId;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};

use crate::partition::StagedRecord;
use desk::Desk;

pub(crate) use follower::Told;
pub use follower::{Follower, Heard};
pub(crate) use hall::{hand_out, tell};

/// Pieces of news that may wait to be handed out.
const NEWS_MAX: usize = 4_096;
/// Followers that read the journal at the same time: many may come again at once, after a restart.
const READING_MAX: usize = 8;

/// What became durable. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Live(Arc<Inner>);

struct Inner {
    /// How many follow, with a mailbox or without.
    following: AtomicUsize,
    news: mpsc::Sender<News>,
    /// Some news found no room.
    missed: AtomicBool,
    /// How far partitions have heard that what they wrote is durable. The log is further, at times:
    /// what is in it beyond this is in no list yet, nor in its run's history.
    answered: Vec<AtomicU64>,
    desk: Mutex<Desk>,
    /// Turns of those that read the journal.
    reading: Semaphore,
}

/// Records of a partition that became durable, in order.
pub(crate) struct News {
    pub(crate) partition: PartitionId,
    /// The position of the first.
    pub(crate) first: u64,
    pub(crate) records: Vec<StagedRecord>,
}

impl Live {
    /// Nobody follows yet, and partitions stand at these positions. What comes out at the other end
    /// is to be handed out.
    pub(crate) fn new(answered: Vec<u64>) -> (Self, mpsc::Receiver<News>) {
        let (news, handed) = mpsc::channel(NEWS_MAX);
        let inner = Inner {
            following: AtomicUsize::new(0),
            news,
            missed: AtomicBool::new(false),
            desk: Mutex::new(Desk::of(answered.len())),
            answered: answered.into_iter().map(AtomicU64::new).collect(),
            reading: Semaphore::new(READING_MAX),
        };
        (Self(Arc::new(inner)), handed)
    }

    /// Whether what is written now has to be kept until it is durable.
    pub(crate) fn is_followed(&self) -> bool {
        self.0.following.load(Ordering::SeqCst) > 0
    }

    /// A partition has heard that all up to a position is durable; takes news of it, none where
    /// nobody followed as it was written. Then who follows by now is let go, and finds it in the
    /// journal.
    pub(crate) fn hear(&self, partition: PartitionId, last: u64, news: Option<News>) {
        if let Some(own) = self.0.answered.get(usize::from(partition.0)) {
            own.fetch_max(last, Ordering::SeqCst);
        }
        if !self.is_followed() {
            return;
        }
        let Some(news) = news else { return self.desk().let_all_go() };
        if let Err(TrySendError::Full(news)) = self.0.news.try_send(news) {
            self.0.missed.store(true, Ordering::SeqCst);
            // All may have been handed out before that was said: then there is room, and this
            // has it looked at.
            drop(self.0.news.try_send(news));
        }
    }

    /// Up to where each partition has been answered: what followers read, and no further.
    fn answered(&self) -> Vec<u64> {
        self.0.answered.iter().map(|own| own.load(Ordering::SeqCst)).collect()
    }

    /// Ends every follower: the engine stops.
    pub(crate) fn close(&self) {
        self.desk().close();
    }

    /// A turn at reading the journal.
    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // Nobody closes it.
        self.0.reading.acquire().await.ok()
    }

    fn desk(&self) -> std::sync::MutexGuard<'_, Desk> {
        self.0.desk.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// One that follows, for as long as it does.
struct Following(Live);

impl Following {
    /// Whoever is the first reads by itself what there is.
    fn begin(live: &Live) -> Self {
        let answered = live.answered();
        if live.0.following.fetch_add(1, Ordering::SeqCst) == 0 {
            live.desk().skip(&answered);
        }
        Self(live.clone())
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.0.0.following.fetch_sub(1, Ordering::SeqCst);
    }
}
