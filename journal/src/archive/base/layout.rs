//! The bytes of the base: what is kept of everything before the chain's beginning.
//!
//! ```text
//! header:
//!   magic 8 | format u16 | header bytes u32 | store id 16 | generation u32 |
//!   next segment u64 | next group u64 | link of the last archive file cut 32 |
//!   streams u64 | records u64 | blocks u32 | packed bytes u64 | packed hash 32 |
//!   partitions u16 | partitions x head | hash 32
//! block: as in an archive file; raw, it holds whole entries
//! entry: key length u16 | key of the stream | partition u16 | first version u64 |
//!   records u32 | length u32 | records x (position u64, length u32, record)
//! footer: the header again | blocks x (offset u64, key length u16, first key) | hash 32
//! end: footer bytes u32 | magic 8
//! ```
//! Entries are in the order of their keys, those of one stream in the order of versions; a
//! stream is there from version 1 on or not at all. The heads are those at the anchor: the end
//! of the last segment cut. Knows no file.

use backstitch_core::ids::Digest;

use crate::archive::frame::{self, Kind};
use crate::archive::layout::{push_head, read_heads};
use crate::bytes::{Fields, Malformed, length_u32};
use crate::commit::{Head, Origin};
use crate::pending::unpack;

/// The longest that the records of one entry may be, if none is longer by itself.
pub(crate) const ENTRY_BYTES_MAX: usize = 256 * 1024;
/// The longest header that is read: 1,024 partitions and what is fixed.
const HEADER_BYTES_MAX: usize = 64 * 1024;

/// Bases, as this code writes them. Their footers name a stream for each block, so that nothing
/// but the file bounds them.
pub(crate) const BASE: Kind = Kind {
    magic: *b"\xFFbsbas\xFE\n",
    format: 1,
    header_bytes_max: HEADER_BYTES_MAX,
    footer_bytes_max: usize::MAX,
    name: "base",
};

/// What a base says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BaseHeader {
    /// Of the store at the anchor.
    pub origin: Origin,
    /// The first segment that is kept.
    pub next_segment: u64,
    /// Its first group.
    pub next_group: u64,
    /// The link that the first archive file kept carries.
    pub last_archived: Digest,
    pub streams: u64,
    pub records: u64,
    pub blocks: u32,
    pub packed_bytes: u64,
    pub packed_hash: Digest,
    /// The anchor: where each partition stands before the first segment kept.
    pub heads: Vec<Head>,
}

/// Where a block is and which stream it begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BlockPlace {
    pub offset: u64,
    pub first_key: Vec<u8>,
}

/// Consecutive records of one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub key: Vec<u8>,
    pub partition: u16,
    pub first_version: u64,
    pub records: u32,
    /// Position, length and bytes of each.
    pub packed: Vec<u8>,
}

pub(crate) fn encode_header(header: &BaseHeader) -> Vec<u8> {
    let mut bytes = BASE.begin_header();
    bytes.extend(header.origin.store);
    bytes.extend(header.origin.generation.to_le_bytes());
    bytes.extend(header.next_segment.to_le_bytes());
    bytes.extend(header.next_group.to_le_bytes());
    bytes.extend(header.last_archived.0);
    bytes.extend(header.streams.to_le_bytes());
    bytes.extend(header.records.to_le_bytes());
    bytes.extend(header.blocks.to_le_bytes());
    bytes.extend(header.packed_bytes.to_le_bytes());
    bytes.extend(header.packed_hash.0);
    let partitions = u16::try_from(header.heads.len()).expect("partitions are counted in u16");
    bytes.extend(partitions.to_le_bytes());
    header.heads.iter().for_each(|head| push_head(&mut bytes, head));
    frame::seal_header(bytes)
}

pub(crate) fn decode_header(bytes: &[u8]) -> Result<BaseHeader, Malformed> {
    let mut fields = BASE.header_fields(bytes)?;
    let origin = Origin { store: fields.array()?, generation: fields.u32()? };
    let (next_segment, next_group) = (fields.u64()?, fields.u64()?);
    let last_archived = Digest(fields.array()?);
    let (streams, records, blocks) = (fields.u64()?, fields.u64()?, fields.u32()?);
    let (packed_bytes, packed_hash) = (fields.u64()?, Digest(fields.array()?));
    let partitions = fields.u16()?;
    let heads = read_heads(&mut fields, partitions)?;
    if !fields.rest().is_empty() {
        return Err(Malformed::because("the base header is longer than what it says"));
    }
    Ok(BaseHeader {
        origin,
        next_segment,
        next_group,
        last_archived,
        streams,
        records,
        blocks,
        packed_bytes,
        packed_hash,
        heads,
    })
}

/// Everything behind the blocks.
pub(crate) fn encode_footer(header: &[u8], blocks: &[BlockPlace]) -> Vec<u8> {
    let mut bytes = header.to_vec();
    for block in blocks {
        bytes.extend(block.offset.to_le_bytes());
        push_key(&mut bytes, &block.first_key);
    }
    frame::seal_footer(bytes)
}

pub(crate) fn decode_footer(bytes: &[u8]) -> Result<(BaseHeader, Vec<BlockPlace>), Malformed> {
    let mut fields = BASE.footer_fields(bytes)?;
    let header = decode_header(bytes)?;
    let mut place = || {
        let offset = fields.u64()?;
        Ok(BlockPlace { offset, first_key: read_key(&mut fields)? })
    };
    let blocks = (0..header.blocks).map(|_| place()).collect::<Result<_, _>>()?;
    Ok((header, blocks))
}

/// Bytes an entry takes in a block.
pub(crate) fn entry_bytes(entry: &Entry) -> usize {
    2 + entry.key.len() + 2 + 8 + 4 + 4 + entry.packed.len()
}

pub(crate) fn push_entry(bytes: &mut Vec<u8>, entry: &Entry) {
    push_key(bytes, &entry.key);
    bytes.extend(entry.partition.to_le_bytes());
    bytes.extend(entry.first_version.to_le_bytes());
    bytes.extend(entry.records.to_le_bytes());
    bytes.extend(length_u32(entry.packed.len()).to_le_bytes());
    bytes.extend(&entry.packed);
}

/// The entries of a block.
pub(crate) fn decode_entries(raw: &[u8]) -> Result<Vec<Entry>, Malformed> {
    let mut fields = Fields::of(raw);
    let mut entries = Vec::new();
    while !fields.rest().is_empty() {
        let key = read_key(&mut fields)?;
        let (partition, first_version) = (fields.u16()?, fields.u64()?);
        let (records, length) = (fields.u32()?, fields.u32()? as usize);
        let packed = fields.take(length)?.to_vec();
        let counted = unpack(&packed).try_fold(0, |count: u64, piece| piece.map(|_| count + 1))?;
        let in_range = first_version > 0 && first_version.checked_add(counted).is_some();
        if counted == 0 || counted != u64::from(records) || !in_range {
            return Err(Malformed::because("an entry holds other records than it says"));
        }
        entries.push(Entry { key, partition, first_version, records, packed });
    }
    Ok(entries)
}

fn push_key(bytes: &mut Vec<u8>, key: &[u8]) {
    let length = u16::try_from(key.len()).expect("a stream's key is bounded far below 64 KiB");
    bytes.extend(length.to_le_bytes());
    bytes.extend(key);
}

fn read_key(fields: &mut Fields<'_>) -> Result<Vec<u8>, Malformed> {
    let length = usize::from(fields.u16()?);
    Ok(fields.take(length)?.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_holds_other_records_than_it_says_is_refused() {
        let mut packed = 7_u64.to_le_bytes().to_vec();
        packed.extend(1_u32.to_le_bytes());
        packed.push(b'r');
        let whole = Entry { key: vec![1], partition: 0, first_version: 1, records: 1, packed };
        let decoded = |entry: &Entry| {
            let mut raw = Vec::new();
            push_entry(&mut raw, entry);
            decode_entries(&raw)
        };
        assert!(decoded(&whole).is_ok_and(|read| read == [whole.clone()]));
        let wrong = [
            Entry { first_version: 0, ..whole.clone() },
            Entry { first_version: u64::MAX, ..whole.clone() },
            Entry { records: 2, ..whole.clone() },
            Entry { records: 0, packed: Vec::new(), ..whole.clone() },
            Entry { packed: vec![1; 5], ..whole },
        ];
        for entry in wrong {
            assert!(decoded(&entry).is_err(), "{entry:?}");
        }
    }
}
