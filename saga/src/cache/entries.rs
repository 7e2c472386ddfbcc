//! Answers by key, in the order in which they were asked for, with their bytes counted.

use std::collections::BTreeSet;

use backstitch_core::cache::CacheKey;
use backstitch_core::ids::ExecutionId;
use backstitch_core::time::Timestamp;
use lru::LruCache;

use super::Answered;

/// What an entry takes beside its output: its places in table and index, and what is shared.
const ENTRY_BYTES: usize = 512;

/// Answers by key. The bound is the caller's to keep.
#[derive(Debug)]
pub(super) struct Entries {
    table: LruCache<CacheKey, Answered>,
    /// By the run that answered.
    by_run: BTreeSet<(ExecutionId, CacheKey)>,
    bytes: usize,
}

impl Entries {
    pub(super) fn new() -> Self {
        Self { table: LruCache::unbounded(), by_run: BTreeSet::new(), bytes: 0 }
    }

    /// What an answer takes, in bytes.
    pub(super) fn bytes_of(answered: &Answered) -> usize {
        answered.output.length_bytes() + answered.source.step.len() + ENTRY_BYTES
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// An answer, which was asked for last from now on.
    pub(super) fn get(&mut self, key: &CacheKey) -> Option<&Answered> {
        self.table.get(key)
    }

    pub(super) fn peek(&self, key: &CacheKey) -> Option<&Answered> {
        self.table.peek(key)
    }

    pub(super) fn put(&mut self, answered: Answered) {
        self.take(&answered.key);
        self.bytes += Self::bytes_of(&answered);
        self.by_run.insert((answered.source.run, answered.key));
        self.table.put(answered.key, answered);
    }

    pub(super) fn take(&mut self, key: &CacheKey) {
        let taken = self.table.pop(key);
        self.left(taken);
    }

    /// Takes out what was not asked for longest; answers whether there was anything.
    pub(super) fn take_oldest(&mut self) -> bool {
        let taken = self.table.pop_lru().map(|(_, answered)| answered);
        let found = taken.is_some();
        self.left(taken);
        found
    }

    /// Takes out what a run answered.
    pub(super) fn take_of(&mut self, run: &ExecutionId) {
        let own = self.by_run.range((*run, CacheKey::FIRST)..);
        let own: Vec<_> = own.take_while(|(of, _)| of == run).map(|(_, key)| *key).collect();
        own.iter().for_each(|key| self.take(key));
    }

    pub(super) fn take_where(&mut self, goes: impl Fn(&Answered) -> bool) {
        let going = self.table.iter().filter(|(_, own)| goes(own)).map(|(key, _)| *key);
        let going: Vec<_> = going.collect();
        going.iter().for_each(|key| self.take(key));
    }

    /// When the newest answer was given.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        self.table.iter().map(|(_, own)| own.at).max()
    }

    /// Takes everything out; answers how much it was.
    pub(super) fn clear(&mut self) -> usize {
        let entries = self.table.len();
        *self = Self::new();
        entries
    }

    fn left(&mut self, taken: Option<Answered>) {
        let Some(taken) = taken else { return };
        self.bytes -= Self::bytes_of(&taken);
        self.by_run.remove(&(taken.source.run, taken.key));
    }
}
