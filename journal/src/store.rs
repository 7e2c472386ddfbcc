//! Histories by stream: the tree behind the log, and what is still on its way there.
//!
//! Keys: `h` + stream + first version + part -> packed records, cut into values sled can
//! hold; `l` + stream -> nothing, for each run that is not quiescent; `t` + stream -> when and
//! why, for each run that was removed. A unit of the tree is whole records of one stream, so a
//! crash never leaves a part of a record, or all there is to a removal. Knows nothing of
//! segments, and of sled only its fence.

mod removed;
mod restore;
mod visit;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard};

use backstitch_core::ids::StreamId;

use crate::bytes::{Fields, Malformed};
use crate::error::Error;
use crate::fence::{FencedTree, Unit};
use crate::keys;
use crate::locks::lock;
use crate::pending::{
    OfStream, PACKED_HEADER_BYTES, Pending, Selection, Take, decode_packed, unpack,
};
use crate::record::{self, Record};
use crate::sled::VALUE_BYTES_MAX;

const HISTORY: u8 = b'h';
const LIVE: u8 = b'l';
/// Packed records that go into the tree together, if each is not larger by itself.
const UNIT_BYTES_MAX: usize = 256 * 1024;
/// First version u64, part u16.
const SUFFIX_BYTES: usize = 10;

/// Where histories are read from.
pub(crate) struct Store {
    pub pending: Pending,
    tree: Option<FencedTree>,
    /// Up to these commits everything is in the tree, durably.
    applied: Mutex<Vec<u64>>,
    ticking: Mutex<()>,
}

impl Store {
    /// A store over a tree that has applied the log up to `applied`; without a tree
    /// everything stays pending.
    pub(crate) fn new(tree: Option<FencedTree>, applied: &[u64], tick_after_bytes: usize) -> Self {
        let pending = Pending::new(applied.to_vec(), tick_after_bytes);
        Self { pending, tree, applied: Mutex::new(applied.to_vec()), ticking: Mutex::default() }
    }

    /// Takes the turn to tick: of two ticks at once, one would select what the other has not
    /// written yet as if it were stored.
    pub(crate) fn turn(&self) -> MutexGuard<'_, ()> {
        lock(&self.ticking)
    }

    /// Up to which commits the tree has everything, durably.
    pub(crate) fn applied(&self) -> Vec<u64> {
        lock(&self.applied).clone()
    }

    /// Its tree, if there is one.
    pub(crate) fn tree(&self) -> Option<&FencedTree> {
        self.tree.as_ref()
    }

    /// Gives the tree's files back; reading is refused from then on.
    pub(crate) fn close(&self) {
        self.tree.iter().for_each(FencedTree::close);
    }

    /// A stream's whole history, gapless from version 1; `None` if there is none.
    pub(crate) fn history(&self, stream: &StreamId) -> Result<Option<Vec<Record>>, Error> {
        let packed = self.packed(stream)?;
        if packed.is_empty() {
            return Ok(None);
        }
        let records = decode_packed(&packed).map_err(|e| self.broken(stream, &e))?;
        check_gapless(stream, 1, &records)?;
        Ok(Some(records))
    }

    /// A stream's history after a version; `None` if it does not reach that version.
    pub(crate) fn history_after(
        &self,
        stream: &StreamId,
        version: u64,
    ) -> Result<Option<Vec<Record>>, Error> {
        let packed = self.packed(stream)?;
        let mut records = Vec::new();
        let mut last = 0;
        for (at, piece) in (1..).zip(unpack(&packed)) {
            let (position, body) = piece.map_err(|e| self.broken(stream, &e))?;
            last = at;
            if at > version {
                records.push(record::decode(body, position).map_err(|e| self.broken(stream, &e))?);
            }
        }
        check_gapless(stream, version + 1, &records)?;
        Ok(Some(records).filter(|_| last >= version))
    }

    /// A stream's last version; `None` if it has no history.
    pub(crate) fn last_version(&self, stream: &StreamId) -> Result<Option<u64>, Error> {
        let count = self.count(stream, &self.packed(stream)?)?;
        Ok(Some(count).filter(|count| *count > 0))
    }

    /// Bytes of a stream's packed records.
    pub(crate) fn history_bytes(&self, stream: &StreamId) -> Result<u64, Error> {
        Ok(self.packed(stream)?.len() as u64)
    }

    /// A stream's packed records, stored and pending, without those that were removed.
    fn packed(&self, stream: &StreamId) -> Result<Vec<u8>, Error> {
        let join = |mut packed: Vec<u8>, records: Option<(u64, Vec<u8>)>| {
            packed.extend(records.into_iter().flat_map(|(_, bytes)| bytes));
            packed
        };
        loop {
            let before = self.removed_run(stream)?;
            // Pending first: what a tick stores in between is then found twice, never not at
            // all.
            let OfStream { records, removed } = self.pending.of_stream(stream);
            if removed.is_some() {
                return Ok(join(Vec::new(), records));
            }
            let bound = records.as_ref().map_or(u64::MAX, |(first, _)| *first);
            let packed = self.stored(stream, bound)?;
            // A removal that came in between may have left a part, which nobody must see.
            if self.removed_run(stream)? == before {
                return Ok(join(packed, records));
            }
        }
    }

    /// The last version in the tree; 0 if there is none.
    pub(crate) fn last_stored_version(&self, stream: &StreamId) -> Result<u64, Error> {
        self.count(stream, &self.stored(stream, u64::MAX)?)
    }

    fn count(&self, stream: &StreamId, packed: &[u8]) -> Result<u64, Error> {
        let count = unpack(packed).try_fold(0, |count, piece| piece.map(|_| count + 1));
        count.map_err(|e| self.broken(stream, &e))
    }

    /// Packed records of the tree below version `bound`.
    fn stored(&self, stream: &StreamId, bound: u64) -> Result<Vec<u8>, Error> {
        let mut packed = Vec::new();
        let Some(tree) = &self.tree else { return Ok(packed) };
        let prefix = history_prefix(stream);
        tree.scan(&prefix, &prefix, |key, value| {
            let first_version = Fields::of(&key[prefix.len()..]).array().map(u64::from_be_bytes);
            if first_version.is_ok_and(|first_version| first_version >= bound) {
                return ControlFlow::Break(());
            }
            packed.extend(value);
            ControlFlow::Continue(())
        })?;
        Ok(packed)
    }

    fn broken(&self, stream: &StreamId, error: &Malformed) -> Error {
        let path = self.tree.as_ref().map(|tree| tree.path().to_owned()).unwrap_or_default();
        Error::Store { path, detail: format!("the history of {stream}: {error}") }
    }

    /// Runs that are not quiescent, as far as the tree knows, and not removed.
    pub(crate) fn live(&self) -> Result<Vec<StreamId>, Error> {
        let mut live = self.streams_with(&[LIVE])?;
        live.retain(|stream| self.pending.removed(stream).is_none());
        Ok(live)
    }

    /// Every workflow with a history in the tree.
    pub(crate) fn workflows(&self) -> Result<Vec<StreamId>, Error> {
        self.streams_with(&[HISTORY, keys::WORKFLOW])
    }

    /// Every replay and redrive with a history in the tree, and not removed.
    pub(crate) fn jobs(&self) -> Result<Vec<StreamId>, Error> {
        let mut jobs = self.streams_with(&[HISTORY, keys::REPLAY])?;
        jobs.extend(self.streams_with(&[HISTORY, keys::REDRIVE])?);
        jobs.retain(|stream| self.pending.removed(stream).is_none());
        Ok(jobs)
    }

    /// Every run with a history in the tree.
    pub(crate) fn executions(&self) -> Result<Vec<StreamId>, Error> {
        self.streams_with(&[HISTORY, keys::EXECUTION])
    }

    fn streams_with(&self, prefix: &[u8]) -> Result<Vec<StreamId>, Error> {
        let mut found: Vec<StreamId> = Vec::new();
        let Some(tree) = &self.tree else { return Ok(found) };
        let mut malformed = None;
        tree.scan(prefix, prefix, |key, _| match keys::stream_of(&key[1..]) {
            Ok((stream, _)) => {
                if found.last() != Some(&stream) {
                    found.push(stream);
                }
                ControlFlow::Continue(())
            }
            Err(error) => {
                malformed = Some(error);
                ControlFlow::Break(())
            }
        })?;
        match malformed {
            Some(error) => Err(self.broken_key(&error)),
            None => Ok(found),
        }
    }

    /// Bytes of the tree's keys and values.
    pub(crate) fn live_bytes(&self) -> Result<u64, Error> {
        let mut bytes = 0;
        if let Some(tree) = &self.tree {
            tree.scan(&[], &[], |key, value| {
                bytes += (key.len() + value.len()) as u64;
                ControlFlow::Continue(())
            })?;
        }
        Ok(bytes)
    }

    /// Every stream there is, stored or pending.
    pub(crate) fn all_streams(&self) -> Result<Vec<StreamId>, Error> {
        // Pending first: what a tick stores in between is then found twice, never not at all.
        let mut streams: BTreeSet<StreamId> = self.pending.streams().into_iter().collect();
        streams.extend(self.streams_with(&[HISTORY])?);
        Ok(streams.into_iter().collect())
    }

    fn broken_key(&self, error: &Malformed) -> Error {
        let path = self.tree.as_ref().map(|tree| tree.path().to_owned()).unwrap_or_default();
        Error::Store { path, detail: format!("a key is malformed: {error}") }
    }

    /// Every run there is, stored or pending.
    pub(crate) fn all_executions(&self) -> Result<Vec<StreamId>, Error> {
        // Pending first, as in `all_streams`.
        let mut streams: BTreeSet<StreamId> = self.pending.streams().into_iter().collect();
        streams.retain(|stream| matches!(stream, StreamId::Execution(_)));
        let mut stored = self.executions()?;
        stored.retain(|stream| self.pending.removed(stream).is_none());
        streams.extend(stored);
        Ok(streams.into_iter().collect())
    }

    /// Chooses what the next tick writes; `None` if there is no tree to write to.
    pub(crate) fn select(&self, take: Take) -> Option<Selection> {
        self.tree.as_ref().map(|_| self.pending.select(take))
    }

    /// Writes a selection into the tree, durably, and forgets it as pending.
    pub(crate) fn write(&self, selection: &Selection) -> Result<(), Error> {
        let Some(tree) = &self.tree else { return Ok(()) };
        let mut units = Vec::new();
        for (stream, run, quiescent) in &selection.streams {
            if let Some(run) = run {
                history_units(stream, run.first_version, &run.bytes, &mut units)
                    .map_err(|e| self.broken(stream, &e))?;
            }
            if let StreamId::Execution(_) = stream {
                units.push(vec![(live_key(stream), (!quiescent).then(Vec::new))]);
            }
        }
        for (stream, mark) in &selection.removed {
            units.push(self.removal_unit(stream, mark)?);
        }
        let forgotten = self.forget_units(selection, &mut units)?;
        tree.tick(units, &encode_applied(&selection.applied))?;
        lock(&self.applied).clone_from(&selection.applied);
        self.pending.stored(selection);
        if let Some(sequences) = selection.forget.as_ref().filter(|_| forgotten) {
            self.pending.forgotten(sequences);
        }
        Ok(())
    }
}

fn check_gapless(stream: &StreamId, first: u64, records: &[Record]) -> Result<(), Error> {
    for (expected, record) in (first..).zip(records) {
        if record.version != expected || record.stream != *stream {
            return Err(Error::Gap { stream: stream.clone(), missing: expected });
        }
    }
    Ok(())
}

/// Cuts packed records into units, and each unit into values.
fn history_units(
    stream: &StreamId,
    first_version: u64,
    packed: &[u8],
    units: &mut Vec<Unit>,
) -> Result<(), Malformed> {
    let (mut unit_first, mut start, mut end) = (first_version, 0, 0);
    for (version, piece) in (first_version..).zip(unpack(packed)) {
        let piece_bytes = PACKED_HEADER_BYTES + piece?.1.len();
        if end > start && end - start + piece_bytes > UNIT_BYTES_MAX {
            units.push(values(stream, unit_first, &packed[start..end]));
            (unit_first, start) = (version, end);
        }
        end += piece_bytes;
    }
    units.push(values(stream, unit_first, &packed[start..end]));
    Ok(())
}

fn values(stream: &StreamId, first_version: u64, packed: &[u8]) -> Unit {
    (0u16..)
        .zip(packed.chunks(VALUE_BYTES_MAX))
        .map(|(part, value)| {
            let mut key = history_prefix(stream);
            key.extend(first_version.to_be_bytes());
            key.extend(part.to_be_bytes());
            (key, Some(value.to_vec()))
        })
        .collect()
}

fn history_prefix(stream: &StreamId) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + keys::stream_key_bytes(stream) + SUFFIX_BYTES);
    key.push(HISTORY);
    key.extend(keys::stream(stream));
    key
}

fn live_key(stream: &StreamId) -> Vec<u8> {
    let mut key = vec![LIVE];
    key.extend(keys::stream(stream));
    key
}

/// What a tree's marks say of the log: a sequence per partition.
pub(crate) fn encode_applied(sequences: &[u64]) -> Vec<u8> {
    sequences.iter().flat_map(|sequence| sequence.to_le_bytes()).collect()
}

/// The same read back; `None` if it does not fit the number of partitions.
pub(crate) fn decode_applied(bytes: &[u8], partitions: usize) -> Option<Vec<u64>> {
    let mut fields = Fields::of(bytes);
    let sequences: Result<Vec<u64>, _> = (0..partitions).map(|_| fields.u64()).collect();
    sequences.ok().filter(|_| fields.rest().is_empty())
}
