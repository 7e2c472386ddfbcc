//! The bytes of an archive file: one sealed segment, packed.
//!
//! ```text
//! header:
//!   magic 8 | format u16 | header bytes u32 | store id 16 | generation u32 | number u64 |
//!   first group u64 | groups end u64 | segment bytes u64 | raw bytes u64 | raw hash 32 |
//!   packed bytes u64 | packed hash 32 | raw bytes of a block u32 | blocks u32 |
//!   link of the file before 32 | partitions u16 |
//!   partitions x head before | partitions x head after | blobs u32 | blobs x digest 32 | hash 32
//! head: sequence u64, position u64, committed_at i64, hash 32
//! block: magic 4 | index u32 | raw bytes u32 | packed bytes u32 | hash 32 | packed
//! footer: the header again | blocks x offset of the block u64 | hash 32
//! end: footer bytes u32 | magic 8
//! ```
//! Raw is the segment's bytes from its beginning to the end of its last group (`groups end` is
//! the first group it does not hold); the rest of the segment is zeros. Every block holds 1 MiB
//! of raw, the last one less, and is packed alone; its hash covers its header and what is
//! packed. `packed hash` covers everything between header and footer. So one flipped bit costs
//! at most one block: header and offsets are there twice, the second time as the footer.
//! A header's link is the hash of it with zeros for packed bytes and packed hash; the next file's
//! header carries it, which makes a chain of them. Knows no file.

use backstitch_core::ids::Digest;
use backstitch_core::time::Timestamp;

use crate::archive::frame::{self, Kind};
use crate::bytes::{Fields, Malformed, length_u32};
use crate::commit::{Head, Origin};
use crate::log::wal::layout::SegmentHeader;
use crate::options::SEGMENT_BYTES_MAX;

/// Raw bytes of a block; the last one may have fewer.
pub(crate) const BLOCK_BYTES: usize = 1024 * 1024;
/// Before what is packed of a block.
pub(crate) const BLOCK_HEADER_BYTES: usize = 48;
/// The longest that packed bytes may be: zstd's bound for a block, rounded up.
pub(crate) const PACKED_BYTES_MAX: usize = BLOCK_BYTES + BLOCK_BYTES / 8;
/// The longest header that is read: 1,024 partitions and a quarter of a million blobs.
const HEADER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Archive files, as this code writes them.
pub(crate) const ARCHIVE: Kind = Kind {
    magic: *b"\xFFbsarc\xFE\n",
    format: 1,
    header_bytes_max: HEADER_BYTES_MAX,
    footer_bytes_max: 2 * HEADER_BYTES_MAX,
    name: "archive file",
};
const BLOCK_MAGIC: [u8; 4] = [0xFF, b'b', b's', b'k'];

/// What an archive file says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ArchiveHeader {
    /// The segment's own header.
    pub segment: SegmentHeader,
    /// The first group that the segment does not hold.
    pub groups_end: u64,
    pub raw_bytes: u64,
    pub raw_hash: Digest,
    pub packed_bytes: u64,
    pub packed_hash: Digest,
    pub blocks: u32,
    /// The link of the file before; zeros for the first.
    pub previous: Digest,
    pub heads_after: Vec<Head>,
    /// Blobs that its commits name, ascending.
    pub blobs: Vec<Digest>,
}

impl ArchiveHeader {
    /// What the next file's header carries of this one: everything but how it is packed, so that
    /// a file that is packed anew is the same link.
    pub(crate) fn link(&self) -> Digest {
        let (packed_bytes, packed_hash) = (0, Digest::default());
        Digest::of(&encode_header(&Self { packed_bytes, packed_hash, ..self.clone() }))
    }
}

/// One block as it is in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlockHeader {
    pub index: u32,
    pub raw_bytes: u32,
    pub packed_bytes: u32,
    pub hash: Digest,
}

pub(crate) fn encode_header(header: &ArchiveHeader) -> Vec<u8> {
    let segment = &header.segment;
    let mut bytes = ARCHIVE.begin_header();
    bytes.extend(segment.origin.store);
    bytes.extend(segment.origin.generation.to_le_bytes());
    for number in [
        segment.number,
        segment.first_group,
        header.groups_end,
        segment.segment_bytes,
        header.raw_bytes,
    ] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(header.raw_hash.0);
    bytes.extend(header.packed_bytes.to_le_bytes());
    bytes.extend(header.packed_hash.0);
    bytes.extend(length_u32(BLOCK_BYTES).to_le_bytes());
    bytes.extend(header.blocks.to_le_bytes());
    bytes.extend(header.previous.0);
    let partitions = u16::try_from(segment.heads.len()).expect("partitions are counted in u16");
    bytes.extend(partitions.to_le_bytes());
    segment.heads.iter().chain(&header.heads_after).for_each(|head| push_head(&mut bytes, head));
    bytes.extend(length_u32(header.blobs.len()).to_le_bytes());
    bytes.extend(header.blobs.iter().flat_map(|digest| digest.0));
    frame::seal_header(bytes)
}

pub(crate) fn decode_header(bytes: &[u8]) -> Result<ArchiveHeader, Malformed> {
    let mut fields = ARCHIVE.header_fields(bytes)?;
    let origin = Origin { store: fields.array()?, generation: fields.u32()? };
    let (number, first_group, groups_end) = (fields.u64()?, fields.u64()?, fields.u64()?);
    let (segment_bytes, raw_bytes) = (fields.u64()?, fields.u64()?);
    let raw_hash = Digest(fields.array()?);
    let (packed_bytes, packed_hash) = (fields.u64()?, Digest(fields.array()?));
    let (block_bytes, blocks) = (fields.u32()?, fields.u32()?);
    let previous = Digest(fields.array()?);
    let partitions = fields.u16()?;
    let heads = read_heads(&mut fields, partitions)?;
    let heads_after = read_heads(&mut fields, partitions)?;
    let blob_count = fields.u32()?;
    let blobs = (0..blob_count).map(|_| fields.array().map(Digest)).collect::<Result<_, _>>()?;
    if !fields.rest().is_empty() {
        return Err(Malformed::because("the archive header is longer than what it says"));
    }
    if block_bytes as usize != BLOCK_BYTES || blocks_of(raw_bytes) != blocks {
        return Err(Malformed::because("the archive header's blocks are not of this format"));
    }
    if segment_bytes > SEGMENT_BYTES_MAX || raw_bytes > segment_bytes || first_group > groups_end {
        return Err(Malformed::because("the archive header's values are out of range"));
    }
    let segment = SegmentHeader { origin, number, first_group, segment_bytes, heads };
    Ok(ArchiveHeader {
        segment,
        groups_end,
        raw_bytes,
        raw_hash,
        packed_bytes,
        packed_hash,
        blocks,
        previous,
        heads_after,
        blobs,
    })
}

/// How many blocks so many raw bytes take.
pub(crate) fn blocks_of(raw_bytes: u64) -> u32 {
    u32::try_from(raw_bytes.div_ceil(BLOCK_BYTES as u64)).unwrap_or(u32::MAX)
}

/// A block's header in front of what is packed of it.
pub(crate) fn encode_block(index: u32, raw_bytes: usize, packed: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(BLOCK_HEADER_BYTES + packed.len());
    bytes.extend(BLOCK_MAGIC);
    bytes.extend(index.to_le_bytes());
    bytes.extend(length_u32(raw_bytes).to_le_bytes());
    bytes.extend(length_u32(packed.len()).to_le_bytes());
    let hash = block_hash(&bytes, packed);
    bytes.extend(hash.0);
    bytes.extend(packed);
    bytes
}

pub(crate) fn decode_block_header(bytes: &[u8]) -> Result<BlockHeader, Malformed> {
    let mut fields = Fields::of(bytes);
    if fields.array()? != BLOCK_MAGIC {
        return Err(Malformed::because("a block does not begin like one"));
    }
    let (index, raw_bytes, packed_bytes) = (fields.u32()?, fields.u32()?, fields.u32()?);
    if raw_bytes as usize > BLOCK_BYTES || packed_bytes as usize > PACKED_BYTES_MAX {
        return Err(Malformed::because("no block has this length"));
    }
    Ok(BlockHeader { index, raw_bytes, packed_bytes, hash: Digest(fields.array()?) })
}

/// Whether a block's bytes are those its header was written with.
pub(crate) fn is_whole(header: &BlockHeader, bytes: &[u8]) -> bool {
    let (fields, packed) = (bytes.get(..16), bytes.get(BLOCK_HEADER_BYTES..));
    fields.zip(packed).is_some_and(|(fields, packed)| block_hash(fields, packed) == header.hash)
}

fn block_hash(fields: &[u8], packed: &[u8]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(fields).update(packed);
    Digest(*hasher.finalize().as_bytes())
}

/// Everything behind the blocks.
pub(crate) fn encode_footer(header: &[u8], offsets: &[u64]) -> Vec<u8> {
    let mut bytes = header.to_vec();
    bytes.extend(offsets.iter().flat_map(|offset| offset.to_le_bytes()));
    frame::seal_footer(bytes)
}

/// The header and the blocks' offsets from a footer.
pub(crate) fn decode_footer(bytes: &[u8]) -> Result<(ArchiveHeader, Vec<u64>), Malformed> {
    let mut fields = ARCHIVE.footer_fields(bytes)?;
    let header = decode_header(bytes)?;
    let offsets = (0..header.blocks).map(|_| fields.u64()).collect::<Result<_, _>>()?;
    Ok((header, offsets))
}

/// Appends a head as files have it.
pub(crate) fn push_head(bytes: &mut Vec<u8>, head: &Head) {
    bytes.extend(head.sequence.to_le_bytes());
    bytes.extend(head.position.to_le_bytes());
    bytes.extend(head.committed_at.0.to_le_bytes());
    bytes.extend(head.hash.0);
}

/// Reads a head of each partition.
pub(crate) fn read_heads(fields: &mut Fields<'_>, partitions: u16) -> Result<Vec<Head>, Malformed> {
    let mut read = || {
        let (sequence, position) = (fields.u64()?, fields.u64()?);
        let (committed_at, hash) = (Timestamp(fields.i64()?), Digest(fields.array()?));
        Ok(Head { sequence, position, hash, committed_at })
    };
    (0..partitions).map(|_| read()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(segment_bytes: u64, raw_bytes: u64) -> ArchiveHeader {
        let origin = Origin { store: [1; 16], generation: 1 };
        let heads = vec![Head::default()];
        ArchiveHeader {
            segment: SegmentHeader { origin, number: 1, first_group: 1, segment_bytes, heads },
            groups_end: 1,
            raw_bytes,
            raw_hash: Digest::default(),
            packed_bytes: 0,
            packed_hash: Digest::default(),
            blocks: blocks_of(raw_bytes),
            previous: Digest::default(),
            heads_after: vec![Head::default()],
            blobs: Vec::new(),
        }
    }

    /// A hash proves that nothing happened to a header, not that this program wrote it.
    #[test]
    fn a_header_that_asks_for_more_than_a_segment_is_refused() {
        let whole = header(256 * 1024, 4_096);
        assert!(decode_header(&encode_header(&whole)).is_ok_and(|read| read == whole));
        for (segment_bytes, raw_bytes) in [(u64::MAX, 4_096), (4_096, 4_097), (1 << 40, 1 << 40)] {
            let refused = decode_header(&encode_header(&header(segment_bytes, raw_bytes)));
            assert!(refused.is_err(), "{segment_bytes} {raw_bytes}");
        }
    }
}
