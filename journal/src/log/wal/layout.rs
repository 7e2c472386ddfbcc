//! The bytes of a segment file.
//!
//! ```text
//! segment header, padded to 4 KiB:
//!   magic 8 | format u16 | store id 16 | generation u32 | segment number u64 |
//!   first group u64 | segment bytes u64 | partitions u16 |
//!   partitions x (sequence u64, position u64, committed_at i64, hash 32) | blake3 32
//! group, padded to 512 bytes, so that a synced sector is never written again:
//!   magic 4 | number u64 | proven u64 | commits u32 | length u32 | blake3 32 | reserved 4 |
//!   commits x (length u32, bytes)
//! ```
//! The heads are those before the segment's first group. `proven` is the last group known
//! durable when this one was written; a group without commits is a marker that only says so.
//! The group's hash covers the store id and everything of the group but itself. The rest of
//! a segment is zeros. Knows no file.

use backstitch_core::ids::Digest;
use backstitch_core::time::Timestamp;

use crate::bytes::{Fields, Malformed, length_u32};
use crate::commit::{Commit, Head, Origin};

/// Groups begin at multiples of this.
pub(crate) const SECTOR_BYTES: usize = 512;
/// The segment header is padded to a multiple of this.
const HEADER_PAGE_BYTES: usize = 4_096;
/// Before the commits of a group.
pub(crate) const GROUP_HEADER_BYTES: usize = 64;
/// Before each commit in a group.
pub(crate) const COMMIT_LENGTH_BYTES: usize = 4;

/// The format of segment files that this code writes.
const SEGMENT_FORMAT: u16 = 1;
const SEGMENT_MAGIC: [u8; 8] = *b"\xFFbslog\xFE\n";
const GROUP_MAGIC: [u8; 4] = [0xFF, b'b', b's', b'g'];
const GROUP_LENGTH_AT: usize = 24;
const GROUP_HASH_AT: usize = 28;

/// How a segment begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub origin: Origin,
    pub number: u64,
    pub first_group: u64,
    pub segment_bytes: u64,
    pub heads: Vec<Head>,
}

/// Bytes the header of a segment takes.
pub(crate) fn segment_header_bytes(partitions: usize) -> usize {
    (8 + 2 + 16 + 4 + 8 + 8 + 8 + 2 + partitions * 56 + 32).next_multiple_of(HEADER_PAGE_BYTES)
}

pub(crate) fn encode_segment_header(header: &SegmentHeader) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(segment_header_bytes(header.heads.len()));
    bytes.extend(SEGMENT_MAGIC);
    bytes.extend(SEGMENT_FORMAT.to_le_bytes());
    bytes.extend(header.origin.store);
    bytes.extend(header.origin.generation.to_le_bytes());
    bytes.extend(header.number.to_le_bytes());
    bytes.extend(header.first_group.to_le_bytes());
    bytes.extend(header.segment_bytes.to_le_bytes());
    let partitions = u16::try_from(header.heads.len()).expect("partitions are counted in u16");
    bytes.extend(partitions.to_le_bytes());
    for head in &header.heads {
        bytes.extend(head.sequence.to_le_bytes());
        bytes.extend(head.position.to_le_bytes());
        bytes.extend(head.committed_at.0.to_le_bytes());
        bytes.extend(head.hash.0);
    }
    bytes.extend(Digest::of(&bytes).0);
    bytes.resize(segment_header_bytes(header.heads.len()), 0);
    bytes
}

pub(crate) fn decode_segment_header(bytes: &[u8]) -> Result<SegmentHeader, Malformed> {
    let mut fields = Fields::of(bytes);
    if fields.array()? != SEGMENT_MAGIC {
        return Err(Malformed::because("it does not begin like a segment"));
    }
    let format = fields.u16()?;
    if format != SEGMENT_FORMAT {
        return Err(Malformed(format!("segment format {format} is not known here")));
    }
    let origin = Origin { store: fields.array()?, generation: fields.u32()? };
    let (number, first_group, segment_bytes) = (fields.u64()?, fields.u64()?, fields.u64()?);
    let partitions = fields.u16()?;
    let mut heads = Vec::with_capacity(usize::from(partitions));
    for _ in 0..partitions {
        let (sequence, position) = (fields.u64()?, fields.u64()?);
        let (committed_at, hash) = (Timestamp(fields.i64()?), Digest(fields.array()?));
        heads.push(Head { sequence, position, hash, committed_at });
    }
    let covered = &bytes[..bytes.len() - fields.rest().len()];
    if Digest(fields.array()?) != Digest::of(covered) {
        return Err(Malformed::because("the segment header's hash does not match"));
    }
    Ok(SegmentHeader { origin, number, first_group, segment_bytes, heads })
}

/// A group found in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Group<'a> {
    pub number: u64,
    pub proven: u64,
    pub commits: u32,
    pub payload: &'a [u8],
    /// Where the next group begins in the segment.
    pub end: usize,
}

impl<'a> Group<'a> {
    /// The commits' bytes, each with its offset from the segment's beginning.
    pub(crate) fn commit_bytes(&self, offset: usize) -> Result<Vec<(usize, &'a [u8])>, Malformed> {
        let mut fields = Fields::of(self.payload);
        let mut found = Vec::new();
        for _ in 0..self.commits {
            let length = fields.u32()? as usize;
            let at = offset + GROUP_HEADER_BYTES + self.payload.len() - fields.rest().len();
            found.push((at, fields.take(length)?));
        }
        match fields.rest() {
            [] => Ok(found),
            _ => Err(Malformed::because("bytes are left over behind a group's commits")),
        }
    }
}

/// Bytes a commit takes in a group.
pub(crate) fn commit_bytes_in_group(commit: &Commit) -> usize {
    COMMIT_LENGTH_BYTES + commit.bytes().len()
}

/// Writes a group's bytes into `out`, which is cleared first.
pub(crate) fn encode_group<'a>(
    origin: &Origin,
    number: u64,
    proven: u64,
    commits: impl Iterator<Item = &'a Commit>,
    out: &mut Vec<u8>,
) {
    out.clear();
    out.resize(GROUP_HEADER_BYTES, 0);
    let mut count: u32 = 0;
    for commit in commits {
        out.extend(length_u32(commit.bytes().len()).to_le_bytes());
        out.extend(commit.bytes());
        count += 1;
    }
    let length = length_u32(out.len() - GROUP_HEADER_BYTES);
    out[..4].copy_from_slice(&GROUP_MAGIC);
    out[4..12].copy_from_slice(&number.to_le_bytes());
    out[12..20].copy_from_slice(&proven.to_le_bytes());
    out[20..24].copy_from_slice(&count.to_le_bytes());
    out[24..28].copy_from_slice(&length.to_le_bytes());
    let hash = group_hash(origin, &out[..GROUP_HASH_AT], &out[GROUP_HEADER_BYTES..]);
    out[GROUP_HASH_AT..GROUP_HASH_AT + 32].copy_from_slice(&hash);
    out.resize(out.len().next_multiple_of(SECTOR_BYTES), 0);
}

/// How many bytes the group takes whose first bytes these are, its padding left out; `None`
/// if no group begins so.
pub(crate) fn group_bytes(header: &[u8]) -> Option<usize> {
    let mut fields = Fields::of(header);
    if fields.array().ok()? != GROUP_MAGIC {
        return None;
    }
    fields.take(GROUP_LENGTH_AT - GROUP_MAGIC.len()).ok()?;
    GROUP_HEADER_BYTES.checked_add(fields.u32().ok()? as usize)
}

/// The group that begins at `offset`, if a whole one does.
pub(crate) fn group_at<'a>(segment: &'a [u8], offset: usize, origin: &Origin) -> Option<Group<'a>> {
    let bytes = segment.get(offset..)?;
    let group = group_unproven(bytes)?;
    let hash = bytes.get(GROUP_HASH_AT..GROUP_HASH_AT + 32)?;
    if hash != group_hash(origin, &bytes[..GROUP_HASH_AT], group.payload) {
        return None;
    }
    Some(Group { end: offset + group.end, ..group })
}

/// The group these bytes begin with, by what they say of themselves: for bytes proven before.
pub(crate) fn group_unproven(bytes: &[u8]) -> Option<Group<'_>> {
    let mut fields = Fields::of(bytes);
    if fields.array().ok()? != GROUP_MAGIC {
        return None;
    }
    let (number, proven) = (fields.u64().ok()?, fields.u64().ok()?);
    let (commits, length) = (fields.u32().ok()?, fields.u32().ok()? as usize);
    let end_of_payload = GROUP_HEADER_BYTES.checked_add(length)?;
    let payload = bytes.get(GROUP_HEADER_BYTES..end_of_payload)?;
    let end = end_of_payload.next_multiple_of(SECTOR_BYTES);
    Some(Group { number, proven, commits, payload, end })
}

/// The first whole group at or behind `offset` that `accept` takes, with its offset.
pub(crate) fn find_group<'a>(
    segment: &'a [u8],
    offset: usize,
    origin: &Origin,
    accept: impl Fn(&Group<'a>) -> bool,
) -> Option<(usize, Group<'a>)> {
    let first = offset.next_multiple_of(SECTOR_BYTES);
    (first..segment.len())
        .step_by(SECTOR_BYTES)
        .filter_map(|at| Some((at, group_at(segment, at, origin)?)))
        .find(|(_, group)| accept(group))
}

fn group_hash(origin: &Origin, header: &[u8], payload: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&origin.store).update(&origin.generation.to_le_bytes());
    hasher.update(header).update(payload);
    *hasher.finalize().as_bytes()
}
