//! Commits: records made durable together, as one run of bytes chained by hash.
//!
//! The format, all integers little-endian:
//! ```text
//! magic 4 | format u16 | store id 16 | generation u32 | partition u16 | epoch u64 |
//! sequence u64 | first position u64 | count u32 | committed_at i64 | previous hash 32 |
//! count x (end of the record u32, counted from the first record) | records | blake3 32
//! ```
//! The last 32 bytes are the hash of all bytes before them; the next commit carries it.
//! The same bytes are a log entry and a message between nodes. Knows nothing of files.

use backstitch_core::ids::{Digest, PartitionId, StreamId};
use backstitch_core::time::Timestamp;

use crate::blobs::Text;
use crate::bytes::{Fields, Malformed};
use crate::error::Damage;
use crate::record::{self, Record};

/// The most bytes one commit may have.
pub const COMMIT_BYTES_MAX: usize = 128 * 1024;
/// The format this code writes; it reads this and every older one.
pub const COMMIT_FORMAT: u16 = 1;

pub(crate) const MAGIC: [u8; 4] = [0xFF, b'b', b's', b'c'];
pub(crate) const HEADER_BYTES: usize = 96;
pub(crate) const HASH_BYTES: usize = 32;
/// Format, store id and generation, between the magic and the partition.
const FORMAT_AND_ORIGIN_BYTES: usize = 2 + 16 + 4;
const EPOCH_BYTES: usize = 8;
/// Where a commit says how many records it holds.
const COUNT_AT: usize = 4 + FORMAT_AND_ORIGIN_BYTES + 2 + EPOCH_BYTES + 8 + 8;
/// What one more record costs beside its own bytes.
pub(crate) const RECORD_END_BYTES: usize = 4;

/// Which store a commit was made for. A restore gives a store a new generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Drawn when the store was created.
    pub store: [u8; 16],
    /// Counts restores, from 1.
    pub generation: u32,
}

impl Origin {
    /// Whether something of this origin may stand in what was begun under `other`: the same
    /// store, in that generation or an earlier one.
    pub(crate) fn is_of(&self, other: &Self) -> bool {
        self.store == other.store && (1..=other.generation).contains(&self.generation)
    }
}

/// Where a partition's chain stands. All zeros for an empty partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// Number of the last commit.
    pub sequence: u64,
    /// Position of the last record.
    pub position: u64,
    /// Hash of the last commit.
    pub hash: Digest,
    /// Time of the last commit.
    pub committed_at: Timestamp,
}

/// One record inside a commit: where its bytes are and what they say of themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub stream: StreamId,
    pub version: u64,
    pub position: u64,
    pub start: usize,
    pub end: usize,
}

/// What a commit's bytes say of its place, before anything of them is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Glance {
    pub partition: PartitionId,
    pub first_position: u64,
    pub previous: Digest,
    pub head: Head,
}

/// Reads a commit's place without its records; nothing is hashed.
///
/// # Errors
/// If the bytes are too short for a commit or begin differently.
pub(crate) fn glance(bytes: &[u8]) -> Result<Glance, Malformed> {
    let short = || Malformed::because("no commit has this length");
    let hash_at = bytes.len().checked_sub(HASH_BYTES).ok_or_else(short)?;
    let mut fields = Fields::of(bytes);
    if fields.array()? != MAGIC {
        return Err(Malformed::because("it does not begin like a commit"));
    }
    fields.take(FORMAT_AND_ORIGIN_BYTES)?;
    let partition = PartitionId(fields.u16()?);
    fields.take(EPOCH_BYTES)?;
    let (sequence, first_position) = (fields.u64()?, fields.u64()?);
    let count = u64::from(fields.u32()?);
    let committed_at = Timestamp(fields.i64()?);
    let previous = Digest(fields.array()?);
    let position = first_position.saturating_add(count).saturating_sub(1);
    let hash = Digest(Fields::of(&bytes[hash_at..]).array()?);
    let head = Head { sequence, position, hash, committed_at };
    Ok(Glance { partition, first_position, previous, head })
}

/// A finished commit: checked, hashed, and never changed.
#[derive(Debug, Clone)]
pub struct Commit {
    pub(crate) origin: Origin,
    pub(crate) partition: PartitionId,
    pub(crate) epoch: u64,
    pub(crate) first_position: u64,
    pub(crate) previous: Digest,
    pub(crate) head: Head,
    pub(crate) entries: Vec<Entry>,
    pub(crate) bytes: Vec<u8>,
    /// Contents its records name, for whoever makes it durable; none once it was read back.
    pub(crate) beside: Vec<Text>,
}

impl PartialEq for Commit {
    /// The bytes are the commit; everything else is read off them.
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Commit {}

impl Commit {
    /// Reads a commit back and checks everything: format, lengths, hash, every record.
    ///
    /// # Errors
    /// If the bytes are not exactly one commit of a known format.
    pub fn decode(bytes: Vec<u8>) -> Result<Self, Malformed> {
        if bytes.len() > COMMIT_BYTES_MAX || bytes.len() < HEADER_BYTES + HASH_BYTES {
            return Err(Malformed::because("no commit has this length"));
        }
        let (covered, hash) = bytes.split_at(bytes.len() - HASH_BYTES);
        let hash = Digest(hash.try_into().expect("split off exactly so many bytes"));
        let mut fields = Fields::of(covered);
        if fields.array()? != MAGIC {
            return Err(Malformed::because("it does not begin like a commit"));
        }
        let format = fields.u16()?;
        if format != COMMIT_FORMAT {
            return Err(Malformed(format!("commit format {format} is not known here")));
        }
        let origin = Origin { store: fields.array()?, generation: fields.u32()? };
        let partition = PartitionId(fields.u16()?);
        let epoch = fields.u64()?;
        let sequence = fields.u64()?;
        let first_position = fields.u64()?;
        let count = fields.u32()?;
        let committed_at = Timestamp(fields.i64()?);
        let previous = Digest(fields.array()?);
        if Digest::of(covered) != hash {
            return Err(Malformed::because("its hash does not match its bytes"));
        }
        if count == 0 || sequence == 0 || first_position == 0 {
            return Err(Malformed::because("a count, sequence or position is zero"));
        }
        let position = first_position
            .checked_add(u64::from(count) - 1)
            .ok_or_else(|| Malformed::because("its positions wrap"))?;
        let entries = decode_entries(fields, count, first_position, covered.len())?;
        let head = Head { sequence, position, hash, committed_at };
        Ok(Self {
            origin,
            partition,
            epoch,
            first_position,
            previous,
            head,
            entries,
            bytes,
            beside: Vec::new(),
        })
    }

    /// Where the partition stands after this commit.
    #[must_use]
    pub fn head(&self) -> Head {
        self.head
    }

    /// The partition it belongs to.
    #[must_use]
    pub fn partition(&self) -> PartitionId {
        self.partition
    }

    /// Who owned the partition: the epoch given to the builder.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Number of this commit in its partition, gapless from 1.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.head.sequence
    }

    /// Position of its first record.
    #[must_use]
    pub fn first_position(&self) -> u64 {
        self.first_position
    }

    /// Hash of the commit before it; zeros for the first.
    #[must_use]
    pub fn previous(&self) -> Digest {
        self.previous
    }

    /// Which store it was made for.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// How many records it holds, at least one.
    #[must_use]
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// The bytes, as written to a log.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its records in order; payloads that are kept beside them are absent.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.records_of(|_| true).collect()
    }

    /// The records of the wanted streams, in order; the events of others are not decoded.
    pub fn records_of(&self, wanted: impl Fn(&StreamId) -> bool) -> impl Iterator<Item = Record> {
        self.entries.iter().filter(move |entry| wanted(&entry.stream)).map(|entry| {
            record::decode(self.body(entry), entry.position)
                .expect("each record was encoded or decoded when the commit was made")
        })
    }

    /// The payloads that are kept beside its records: digests and lengths, as often as they
    /// are named.
    #[must_use]
    pub fn named(&self) -> Vec<(Digest, u64)> {
        let mut named = Vec::new();
        for record in self.records() {
            record.event.for_each_payload(&mut |payload| named.extend(payload.reference()));
        }
        named
    }

    pub(crate) fn body(&self, entry: &Entry) -> &[u8] {
        &self.bytes[entry.start..entry.end]
    }

    /// Something wrong with this commit at a place in the log.
    pub(crate) fn damage(&self, segment: u64, offset: u64, detail: &str) -> Damage {
        let (partition, sequence) = (Some(self.partition.0), Some(self.head.sequence));
        Damage { segment, offset, partition, sequence, detail: detail.to_owned() }
    }

    /// Whether it holds a record behind its partition's place among these.
    pub(crate) fn is_behind(&self, positions: &[u64]) -> bool {
        let own = positions.get(usize::from(self.partition.0)).copied();
        self.head.position > own.unwrap_or_default()
    }

    /// Whether this commit comes right after `head`, and if not, why.
    pub(crate) fn follows(&self, head: &Head) -> Result<(), &'static str> {
        let (partition, first_position) = (self.partition, self.first_position);
        let (previous, own) = (self.previous, self.head);
        Glance { partition, first_position, previous, head: own }.follows(head)
    }
}

impl Glance {
    /// Whether the commit comes right after `head`, and if not, why.
    pub(crate) fn follows(&self, head: &Head) -> Result<(), &'static str> {
        if self.head.sequence != head.sequence + 1 {
            return Err("its sequence does not follow");
        }
        if self.previous != head.hash {
            return Err("it carries another hash of the commit before it");
        }
        if self.first_position != head.position + 1 {
            return Err("its positions do not follow");
        }
        if self.head.committed_at <= head.committed_at && head.sequence != 0 {
            return Err("its time goes back");
        }
        Ok(())
    }
}

/// How many bytes the commit has that begins here, by its table of records; `None` if none
/// does. Nothing is proven by it.
pub(crate) fn measure(bytes: &[u8]) -> Option<usize> {
    let mut fields = Fields::of(bytes);
    if fields.array().ok()? != MAGIC {
        return None;
    }
    fields.take(COUNT_AT - MAGIC.len()).ok()?;
    let count = usize::try_from(fields.u32().ok()?).ok()?;
    let last_end = HEADER_BYTES + count.checked_sub(1)?.checked_mul(RECORD_END_BYTES)?;
    let bodies = Fields::of(bytes.get(last_end..)?).u32().ok()? as usize;
    let length = (last_end + RECORD_END_BYTES).checked_add(bodies)?.checked_add(HASH_BYTES)?;
    (length <= COMMIT_BYTES_MAX).then_some(length)
}

fn decode_entries(
    mut fields: Fields<'_>,
    count: u32,
    first_position: u64,
    covered_bytes: usize,
) -> Result<Vec<Entry>, Malformed> {
    let count = count as usize;
    let mut ends = Fields::of(fields.take(count.saturating_mul(RECORD_END_BYTES))?);
    let bodies = fields.rest();
    let base = covered_bytes - bodies.len();
    let mut entries = Vec::with_capacity(count);
    let mut start = 0;
    for position in (first_position..).take(count) {
        let end = ends.u32()? as usize;
        let body = bodies
            .get(start..end)
            .filter(|body| !body.is_empty())
            .ok_or_else(|| Malformed::because("its table of records is wrong"))?;
        let record = record::decode(body, position)?;
        entries.push(Entry {
            stream: record.stream,
            version: record.version,
            position,
            start: base + start,
            end: base + end,
        });
        start = end;
    }
    if start != bodies.len() {
        return Err(Malformed::because("bytes are left over behind its records"));
    }
    Ok(entries)
}
