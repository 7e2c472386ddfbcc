//! The result cache: answers of durable successes, which later steps take in place of asking.
//!
//! One for all partitions of a node, bounded by bytes; what was not asked for longest goes
//! first. It is a copy of the journal and never truth: losing all of it costs nothing but
//! attempts. What is let in is durable, so that no answer rests on anything that is not.

mod entries;
pub(crate) mod warm;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use backstitch_core::cache::{CacheKey, CacheSource, Recalled};
use backstitch_core::ids::{Digest, ExecutionId};
use backstitch_core::payload::Payload;
use backstitch_core::time::Timestamp;

use crate::metrics;
use entries::Entries;

/// Bytes of the cache unless told otherwise.
pub const CACHE_BYTES_DEFAULT: usize = 64 * 1024 * 1024;

/// An answer as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// What it is known by.
    pub key: CacheKey,
    /// Who answered.
    pub source: CacheSource,
    /// What.
    pub output: Payload,
    /// When.
    pub at: Timestamp,
    /// How long the step that answered lets it count.
    pub ttl_ms: u64,
}

/// How the cache stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Answers that are kept.
    pub entries: usize,
    /// Bytes that they take.
    pub bytes: usize,
    /// Bytes that they may take; 0 if the cache is off.
    pub bytes_max: usize,
    /// Steps that were answered since the start.
    pub hits: u64,
    /// Steps that asked and were not.
    pub misses: u64,
    /// Answers that left for others to come in.
    pub evicted: u64,
    /// Whether answers of before the start are still being looked for.
    pub warming: bool,
}

/// All answers of a node. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ResultCache {
    inner: Arc<Mutex<Inner>>,
    bytes_max: usize,
}

#[derive(Debug)]
struct Inner {
    entries: Entries,
    usage: Usage,
    /// Answers of then and before count no more.
    emptied_at: Option<Timestamp>,
    /// How often answers were taken out because they must not be used: whoever read one before
    /// that and brings it after may bring what was taken out.
    taken_out: u64,
}

impl ResultCache {
    /// An empty cache of so many bytes.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        let usage = Usage { bytes_max, ..Usage::default() };
        let inner = Inner { entries: Entries::new(), usage, emptied_at: None, taken_out: 0 };
        Self { inner: Arc::new(Mutex::new(inner)), bytes_max }
    }

    /// Whether it keeps nothing.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.bytes_max == 0
    }

    /// An answer that is not older than `ttl_ms`, nor than whoever gave it lets it count.
    #[must_use]
    pub fn recall(&self, key: &CacheKey, ttl_ms: u64, now: Timestamp) -> Option<Recalled> {
        if self.is_off() {
            return None;
        }
        let mut inner = self.lock();
        let found = inner.entries.get(key).map(|known| {
            let fresh = |ttl_ms| now <= known.at.plus_ms(ttl_ms);
            let hit = Recalled { source: known.source.clone(), output: known.output.clone() };
            (fresh(known.ttl_ms), fresh(ttl_ms), hit)
        });
        let hit = match found {
            Some((true, fresh, hit)) => Some(hit).filter(|_| fresh),
            Some((false, ..)) => {
                inner.entries.take(key);
                None
            }
            None => None,
        };
        let usage = &mut inner.usage;
        match &hit {
            Some(_) => usage.hits += 1,
            None => usage.misses += 1,
        }
        drop(inner);
        metrics::cache_asked(hit.is_some());
        hit
    }

    /// Keeps an answer that is durable, in place of an older one.
    pub fn remember(&self, answered: Answered) {
        self.lock().insert(answered);
    }

    /// Keeps answers that were read while nothing was taken out since `taken_out`; answers
    /// whether that was so.
    pub(crate) fn remember_read(&self, answered: Vec<Answered>, taken_out: u64) -> bool {
        let mut inner = self.lock();
        let holds = inner.taken_out == taken_out;
        if holds {
            answered.into_iter().for_each(|answered| inner.insert(answered));
        }
        holds
    }

    /// How often answers were taken out because they must not be used.
    pub(crate) fn taken_out(&self) -> u64 {
        self.lock().taken_out
    }

    /// Lets go what some runs answered: they are removed.
    pub fn forget_runs(&self, runs: &BTreeSet<ExecutionId>) {
        let mut inner = self.lock();
        inner.taken_out += 1;
        runs.iter().for_each(|run| inner.entries.take_of(run));
        inner.tell();
    }

    /// Lets a content go that is erased.
    pub fn forget(&self, digest: &Digest) {
        let mut inner = self.lock();
        inner.taken_out += 1;
        let is_it = |own: &Answered| own.output.reference().is_some_and(|(own, _)| own == *digest);
        inner.entries.take_where(is_it);
        inner.tell();
    }

    /// Takes everything out, and lets nothing in that was answered at `at` or before; answers
    /// how much there was.
    pub fn empty(&self, at: Timestamp) -> usize {
        let mut inner = self.lock();
        inner.taken_out += 1;
        // A partition's stamps may be ahead of a clock that was set back.
        let newest = inner.entries.newest();
        inner.emptied_at = inner.emptied_at.max(newest).max(Some(at));
        let emptied = inner.entries.clear();
        inner.tell();
        emptied
    }

    /// Whether answers of before the start are being looked for.
    pub(crate) fn set_warming(&self, warming: bool) {
        self.lock().usage.warming = warming;
    }

    /// How it stands.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let inner = self.lock();
        Usage { entries: inner.entries.len(), bytes: inner.entries.bytes(), ..inner.usage }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here panics half way.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn insert(&mut self, answered: Answered) {
        let emptied = self.emptied_at.is_some_and(|emptied_at| answered.at <= emptied_at);
        let older = self.entries.peek(&answered.key).is_some_and(|known| known.at > answered.at);
        let absent = answered.output.absent().is_some();
        let fits = Entries::bytes_of(&answered) <= self.usage.bytes_max;
        if emptied || older || absent || !fits {
            return;
        }
        self.entries.put(answered);
        while self.entries.bytes() > self.usage.bytes_max && self.entries.take_oldest() {
            self.usage.evicted += 1;
        }
        self.tell();
    }

    fn tell(&self) {
        metrics::cache_holds(self.entries.len(), self.entries.bytes());
    }
}

#[cfg(test)]
mod tests;
