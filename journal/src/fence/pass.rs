//! Reading a whole tree in key order while it changes.
//!
//! A pass knows the totals of what lies behind it; ticks adjust them for keys it has passed,
//! so that at the end they are the tree's. Knows nothing of what is done with the entries.

use crate::error::Error;
use crate::fence::tick::Planned;
use crate::marks::{Totals, hash_of};
use crate::sled::{Entry, RawTree};

/// Bytes read at a time; ticks and reads of the same moment wait for so much at most.
pub(super) const CHUNK_BYTES: usize = 256 * 1024;

/// How far a pass has come.
#[derive(Debug, Default)]
pub(super) struct Pass {
    /// Keys below this are passed.
    next: Vec<u8>,
    /// What they amount to.
    pub totals: Totals,
}

impl Pass {
    /// Reads on; answers the entries, and whether that was the end.
    pub(super) fn read(&mut self, raw: &RawTree) -> Result<(Vec<Entry>, bool), Error> {
        let (entries, next) = raw.read_chunk(&self.next, CHUNK_BYTES)?;
        for (key, value) in &entries {
            self.totals.add(&hash_of(key, value), (key.len() + value.len()) as u64);
        }
        let end = next.is_none();
        if let Some(next) = next {
            self.next = next;
        }
        Ok((entries, end))
    }

    /// Whether a key lies behind.
    pub(super) fn has_passed(&self, key: &[u8]) -> bool {
        key < self.next.as_slice()
    }

    /// Takes over changes of the tree.
    pub(super) fn adjust(&mut self, change: &Planned) {
        if !self.has_passed(&change.key) {
            return;
        }
        if let Some((hash, bytes)) = &change.old {
            self.totals.remove(hash, *bytes);
        }
        if let Some((hash, bytes)) = &change.new {
            self.totals.add(hash, *bytes);
        }
    }
}

/// Reads a whole tree that nobody changes.
pub(super) fn totals_of(raw: &RawTree) -> Result<Totals, Error> {
    let mut pass = Pass::default();
    loop {
        if pass.read(raw)?.1 {
            return Ok(pass.totals);
        }
    }
}
