//! Records that only the store still has.
//!
//! The store counts if its digest is the one in its marks, and then for records whose
//! positions lie in a gap. Knows positions, not what the records mean.

use std::collections::BTreeMap;

use backstitch_core::ids::StreamId;

use super::ends::Ends;
use super::{Gap, SalvageRequest, StoreEvidence};
use crate::archive::base::layout::Entry;
use crate::error::Error;
use crate::keys;
use crate::pending::unpack;
use crate::progress::OnProgress;
use crate::reader::Reader;
use crate::record;
use crate::verify::{Scratch, open_copy};

/// A record as the store has it.
pub(super) struct StoredRecord {
    pub stream: StreamId,
    pub version: u64,
    pub body: Vec<u8>,
}

/// The store's records in the gaps, by partition and position.
pub(super) struct StoredRecords {
    pub evidence: StoreEvidence,
    records: BTreeMap<(usize, u64), StoredRecord>,
}

impl StoredRecords {
    /// Looks into a copy of the store, if something is missing or it may reach further than
    /// the log.
    pub(super) fn find(
        reader: &Reader,
        request: &SalvageRequest,
        ends: &mut Ends,
        gaps: &mut [Vec<Gap>],
        heard: &mut OnProgress<'_>,
    ) -> Result<Self, Error> {
        let mut found = Self { evidence: StoreEvidence::NotNeeded, records: BTreeMap::new() };
        if !reader.directory.store().exists() {
            if gaps.iter().any(|gaps| !gaps.is_empty()) {
                found.evidence = StoreEvidence::NotProven;
            }
            return Ok(found);
        }
        let scratch = Scratch::new(request.scratch.as_deref())?;
        let opened = open_copy(&reader.directory, &reader.shape, &scratch, heard)?;
        let Ok((store, applied)) = opened else {
            found.evidence = StoreEvidence::NotProven;
            return Ok(found);
        };
        ends.take_stored(applied);
        if gaps.iter().all(|gaps| gaps.is_empty()) {
            store.close();
            return Ok(found);
        }
        found.evidence = StoreEvidence::Proven;
        let read = found.read(&store, gaps);
        store.close();
        read.map(|()| found)
    }

    /// Adds what a damaged base still has of the gaps.
    pub(super) fn add_kept(&mut self, entries: &[Entry], gaps: &[Vec<Gap>]) {
        for entry in entries {
            let Ok((stream, _)) = keys::stream_of(&entry.key) else { continue };
            let index = usize::from(entry.partition);
            let packed = unpack(&entry.packed).filter_map(Result::ok);
            for (version, (position, body)) in (entry.first_version..).zip(packed) {
                let wanted = gaps.get(index).is_some_and(|own| own.iter().any(|g| g.has(position)));
                if wanted && is_its_own(&stream, version, position, body) {
                    let (stream, body) = (stream.clone(), body.to_vec());
                    let record = StoredRecord { stream, version, body };
                    self.records.entry((index, position)).or_insert(record);
                }
            }
        }
    }

    fn read(&mut self, store: &crate::store::Store, gaps: &[Vec<Gap>]) -> Result<(), Error> {
        store.for_each_stored(&mut |stream, version, position, body| {
            let index = partition_of(stream);
            let wanted = gaps.get(index).is_some_and(|gaps| gaps.iter().any(|g| g.has(position)));
            if wanted && is_its_own(stream, version, position, body) {
                let (stream, body) = (stream.clone(), body.to_vec());
                self.records.insert((index, position), StoredRecord { stream, version, body });
            }
        })
    }

    /// Whether it has nothing that is wanted.
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Takes the records of a gap, in order.
    pub(super) fn take(&mut self, index: usize, gap: &Gap) -> Vec<(u64, StoredRecord)> {
        let from = (index, gap.before.position + 1);
        let until = (index, gap.next_position.unwrap_or(u64::MAX));
        let keys: Vec<_> = self.records.range(from..until).map(|(key, _)| *key).collect();
        let take = |key: (usize, u64)| Some((key.1, self.records.remove(&key)?));
        keys.into_iter().filter_map(take).collect()
    }
}

impl Gap {
    fn has(&self, position: u64) -> bool {
        position > self.before.position && self.next_position.is_none_or(|next| position < next)
    }
}

/// The body says itself whose it is; a record that contradicts its key is none.
fn is_its_own(stream: &StreamId, version: u64, position: u64, body: &[u8]) -> bool {
    record::decode(body, position)
        .is_ok_and(|found| found.stream == *stream && found.version == version)
}

/// The partition a history is written in: all but runs and partitions in the first.
fn partition_of(stream: &StreamId) -> usize {
    match stream {
        StreamId::Execution(run) => usize::from(run.partition.0),
        StreamId::Partition(partition) => usize::from(partition.0),
        StreamId::Workflow { .. } | StreamId::Replay(_) | StreamId::Redrive(_) => 0,
    }
}
