//! Building a commit record by record, with its limit of bytes.
//!
//! Knows the layout of `commit.rs` and draws no time: the instant comes with `finish`.

use backstitch_core::audit::{MARK_BYTES_MAX, Mark};
use backstitch_core::event::Event;
use backstitch_core::ids::{Digest, ExecutionId, PartitionId, StreamId};
use backstitch_core::time::Timestamp;

use crate::blobs::Text;
use crate::bytes::length_u32;
use crate::commit::{
    COMMIT_BYTES_MAX, COMMIT_FORMAT, Commit, Entry, HASH_BYTES, HEADER_BYTES, Head, MAGIC, Origin,
    RECORD_END_BYTES,
};
use crate::keys;
use crate::record;

/// Whether a record went into the commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Fit {
    /// It is in.
    Fits,
    /// It is not in: finish this commit and push it into the next one.
    Full,
    /// It is not in and never will be: larger than a whole commit, or its stream's name is
    /// longer than [`STREAM_KEY_BYTES_MAX`].
    TooLarge,
}

/// The longest a stream's key may be: a workflow's namespace and id and a few bytes.
pub const STREAM_KEY_BYTES_MAX: usize = 1_024;

/// Whether an event can ever be a record of a stream: alone in a commit, at any version and time,
/// whoever asked for it.
#[must_use]
pub fn record_fits(stream: &StreamId, event: &Event) -> bool {
    let mut body = Vec::new();
    record::encode(stream, u64::MAX, Timestamp(i64::MAX), (event, None), &mut body);
    let bytes = body.len() + MARK_BYTES_MAX;
    keys::stream_key_bytes(stream) <= STREAM_KEY_BYTES_MAX && fits_alone(bytes)
}

fn fits_alone(body_bytes: usize) -> bool {
    HEADER_BYTES + HASH_BYTES + RECORD_END_BYTES + body_bytes <= COMMIT_BYTES_MAX
}

/// A commit under construction.
#[derive(Debug)]
pub struct CommitBuilder {
    origin: Origin,
    partition: PartitionId,
    epoch: u64,
    before: Head,
    entries: Vec<Entry>,
    bodies: Vec<u8>,
    beside: Vec<Text>,
}

impl CommitBuilder {
    /// Starts the commit that follows `before`.
    #[must_use]
    pub fn new(origin: Origin, partition: PartitionId, epoch: u64, before: &Head) -> Self {
        let (entries, bodies, beside) = (Vec::new(), Vec::new(), Vec::new());
        Self { origin, partition, epoch, before: *before, entries, bodies, beside }
    }

    /// Adds a record, if it fits.
    ///
    /// # Panics
    /// If the stream is a run of another partition, or the version is 0.
    pub fn push(
        &mut self,
        stream: &StreamId,
        version: u64,
        recorded_at: Timestamp,
        event: &Event,
    ) -> Fit {
        self.push_marked(stream, version, recorded_at, (event, None))
    }

    /// The same of a record that says which request it came of.
    ///
    /// # Panics
    /// As [`CommitBuilder::push`].
    pub fn push_marked(
        &mut self,
        stream: &StreamId,
        version: u64,
        recorded_at: Timestamp,
        (event, mark): (&Event, Option<&Mark>),
    ) -> Fit {
        assert!(version > 0, "versions count from 1");
        match stream {
            StreamId::Execution(ExecutionId { partition, .. }) | StreamId::Partition(partition) => {
                assert_eq!(*partition, self.partition, "a stream is written by its own partition");
            }
            StreamId::Workflow { .. } | StreamId::Replay(_) | StreamId::Redrive(_) => {}
        }
        if keys::stream_key_bytes(stream) > STREAM_KEY_BYTES_MAX {
            return Fit::TooLarge;
        }
        let start = self.bodies.len();
        record::encode(stream, version, recorded_at, (event, mark), &mut self.bodies);
        let end = self.bodies.len();
        if !fits_alone(end - start) {
            self.bodies.truncate(start);
            return Fit::TooLarge;
        }
        let fixed = HEADER_BYTES + HASH_BYTES;
        if fixed + RECORD_END_BYTES * (self.entries.len() + 1) + end > COMMIT_BYTES_MAX {
            self.bodies.truncate(start);
            return Fit::Full;
        }
        let position = self.before.position + 1 + self.entries.len() as u64;
        event.for_each_payload(&mut |payload| self.beside.extend(payload.kept_beside()));
        self.entries.push(Entry { stream: stream.clone(), version, position, start, end });
        Fit::Fits
    }

    /// Adds a record and those behind it in its stream, all or none.
    ///
    /// # Panics
    /// As [`CommitBuilder::push`].
    pub fn push_together(
        &mut self,
        stream: &StreamId,
        first_version: u64,
        recorded_at: Timestamp,
        events: &[(&Event, Option<&Mark>)],
    ) -> Fit {
        let (entries, bytes) = (self.entries.len(), self.bodies.len());
        for (version, event) in (first_version..).zip(events.iter().copied()) {
            let fit = self.push_marked(stream, version, recorded_at, event);
            if fit != Fit::Fits {
                self.entries.truncate(entries);
                self.bodies.truncate(bytes);
                let alone = fit == Fit::Full && entries == 0;
                return if alone { Fit::TooLarge } else { fit };
            }
        }
        Fit::Fits
    }

    /// Whether nothing was pushed yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Hashes and closes the commit. Its time is `committed_at`, or one microsecond after
    /// the commit before it if that is later: the time of a partition never goes back.
    ///
    /// # Panics
    /// If nothing was pushed.
    #[must_use]
    pub fn finish(mut self, committed_at: Timestamp) -> Commit {
        assert!(!self.entries.is_empty(), "a commit holds at least one record");
        let before = self.before;
        let earliest = Timestamp(before.committed_at.0.saturating_add(1));
        let committed_at =
            if before.sequence == 0 { committed_at } else { committed_at.max(earliest) };
        let sequence = before.sequence + 1;
        let table_bytes = RECORD_END_BYTES * self.entries.len();
        let mut bytes =
            Vec::with_capacity(HEADER_BYTES + table_bytes + self.bodies.len() + HASH_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(COMMIT_FORMAT.to_le_bytes());
        bytes.extend(self.origin.store);
        bytes.extend(self.origin.generation.to_le_bytes());
        bytes.extend(self.partition.0.to_le_bytes());
        bytes.extend(self.epoch.to_le_bytes());
        bytes.extend(sequence.to_le_bytes());
        bytes.extend((before.position + 1).to_le_bytes());
        bytes.extend(length_u32(self.entries.len()).to_le_bytes());
        bytes.extend(committed_at.0.to_le_bytes());
        bytes.extend(before.hash.0);
        assert_eq!(bytes.len(), HEADER_BYTES, "the header has one size");
        for entry in &mut self.entries {
            bytes.extend(length_u32(entry.end).to_le_bytes());
            entry.start += HEADER_BYTES + table_bytes;
            entry.end += HEADER_BYTES + table_bytes;
        }
        bytes.extend(&self.bodies);
        let hash = Digest::of(&bytes);
        bytes.extend(hash.0);
        let position = before.position + self.entries.len() as u64;
        Commit {
            origin: self.origin,
            partition: self.partition,
            epoch: self.epoch,
            first_position: before.position + 1,
            previous: before.hash,
            head: Head { sequence, position, hash, committed_at },
            entries: self.entries,
            bytes,
            beside: self.beside,
        }
    }
}
