//! Bringing the store up to date at open: what the tree lacks of the base and of the chain.

use std::collections::HashSet;

use backstitch_core::ids::StreamId;

use super::Store;
use crate::archive::base::layout::Entry;
use crate::commit::Commit;
use crate::error::Error;
use crate::keys;
use crate::pending::{PACKED_HEADER_BYTES, unpack};
use crate::removal;

impl Store {
    /// Takes an entry of the base at open, less what the tree has of it already. `seen` holds the
    /// last version known of each stream met so far.
    pub(crate) fn restore(
        &self,
        entry: &Entry,
        seen: &mut std::collections::HashMap<StreamId, u64>,
    ) -> Result<(), Error> {
        let (stream, _) = keys::stream_of(&entry.key).map_err(|e| self.broken_key(&e))?;
        let last = match seen.get(&stream) {
            Some(&last) => last,
            None => self.last_stored_version(&stream)?,
        };
        let (mut from, mut version) = (0, entry.first_version);
        for piece in unpack(&entry.packed) {
            let (_, body) = piece.map_err(|e| self.broken(&stream, &e))?;
            if version > last {
                break;
            }
            version += 1;
            from += PACKED_HEADER_BYTES + body.len();
        }
        let end = entry.first_version + u64::from(entry.records) - 1;
        seen.insert(stream.clone(), last.max(end));
        if from < entry.packed.len() {
            self.pending.restore(stream, entry.partition, version, &entry.packed[from..]);
        }
        Ok(())
    }

    /// Takes a commit of the log at open. `seen` holds the last version known of each stream
    /// met so far. Answers `false` if the tree misses records before it.
    pub(crate) fn replay(
        &self,
        commit: &Commit,
        seen: &mut std::collections::HashMap<StreamId, u64>,
    ) -> Result<bool, Error> {
        let mut fresh = HashSet::new();
        for entry in &commit.entries {
            for (run, mark) in removal::of_entry(commit, entry) {
                if self.is_removed_at(&run, mark.position)? {
                    seen.remove(&run);
                } else {
                    seen.insert(run.clone(), 0);
                    fresh.insert((run, mark.position));
                }
            }
            let last = match seen.get(&entry.stream) {
                Some(&last) => last,
                None if self.is_removed_at(&entry.stream, entry.position)? => continue,
                None => self.last_stored_version(&entry.stream)?,
            };
            if entry.version > last + 1 {
                return Ok(false);
            }
            if entry.version == last + 1 {
                fresh.insert((entry.stream.clone(), entry.position));
            }
            seen.insert(entry.stream.clone(), last.max(entry.version));
        }
        self.pending
            .push(commit, &[], |stream, position| !fresh.contains(&(stream.clone(), position)));
        Ok(true)
    }
}
