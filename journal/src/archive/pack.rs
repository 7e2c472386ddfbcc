//! Packing a sealed segment into its archive file.
//!
//! A segment is read through first: what does not verify is never archived. The file is
//! written beside, synced, read back, compared, and only then named. Knows one segment at a
//! time.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use backstitch_core::ids::Digest;

use crate::archive::blobs_named;
use crate::archive::layout::{self, ArchiveHeader, BLOCK_BYTES};
use crate::archive::unpack::Archived;
use crate::archive::{path_of, unfinished_path_of};
use crate::bytes::length_u32;
use crate::commit::Head;
use crate::error::{Damage, Error};
use crate::files;
use crate::log::wal::layout as segment_layout;
use crate::log::wal::scan::{Chains, Segment, Shape};

/// How hard zstd tries.
pub(crate) const LEVEL: i32 = 3;

/// What a sealed segment must end with: where the next one begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SealedAt {
    pub next_group: u64,
    pub heads: Vec<Head>,
}

/// Packs segment `number` of a log into the archive; answers its header.
///
/// # Errors
/// [`Error::Damaged`] if the segment is not what was written; nothing is archived then. Others
/// if the archive cannot be written.
pub(crate) fn pack(
    log: &Path,
    archive: &Path,
    number: u64,
    shape: &Shape,
    sealed_at: &SealedAt,
    previous: Digest,
) -> Result<ArchiveHeader, Error> {
    let segment = Segment::load(log, number, shape)?;
    let (mut header, raw_bytes) = read_through(&segment, shape, sealed_at)?;
    header.previous = previous;
    let raw = &segment.bytes[..raw_bytes];
    let beside = unfinished_path_of(archive, number);
    let written = write(&beside, &mut header, raw).and_then(|()| compare(&beside, raw));
    if let Err(error) = written {
        // What is left of it takes space that may be missing; the next try makes it anew.
        drop(fs::remove_file(&beside));
        return Err(error);
    }
    let path = path_of(archive, number);
    fs::rename(&beside, &path).map_err(|e| Error::io("naming", &path, e))?;
    files::sync_directory(archive)?;
    Ok(header)
}

/// Reads a sealed segment of a log through; answers the digest of what there is to pack of it,
/// what pads its groups included.
///
/// # Errors
/// [`Error::Damaged`] if it is not what was written.
pub(crate) fn check(
    log: &Path,
    number: u64,
    shape: &Shape,
    sealed_at: &SealedAt,
) -> Result<Digest, Error> {
    let segment = Segment::load(log, number, shape)?;
    read_through(&segment, shape, sealed_at).map(|(header, _)| header.raw_hash)
}

/// Follows a segment to its end with all checks; answers its header to be and how many of its
/// bytes there are to pack.
fn read_through(
    segment: &Segment,
    shape: &Shape,
    sealed_at: &SealedAt,
) -> Result<(ArchiveHeader, usize), Error> {
    let damaged = |offset: usize, detail: String| segment.damage(offset, detail).into();
    let header = match &segment.header {
        Ok(header) => header.clone(),
        Err(detail) => return Err(damaged(0, detail.clone())),
    };
    let mut chains = Chains::at(header.heads.clone());
    let mut blobs = Vec::new();
    let mut offset = segment.first_group_at(shape);
    for number in header.first_group..sealed_at.next_group {
        let group = segment_layout::group_at(&segment.bytes, offset, &header.origin)
            .filter(|group| group.number == number)
            .ok_or_else(|| damaged(offset, format!("group {number} cannot be read")))?;
        for (at, commit) in segment.commits(offset, &group)? {
            chains
                .accept(&header.origin, &commit)
                .map_err(|detail| commit.damage(segment.number, at as u64, detail))?;
            blobs.extend(blobs_named(&commit));
        }
        offset = group.end;
    }
    if chains.heads != sealed_at.heads {
        return Err(damaged(offset, "it ends elsewhere than the next one begins".to_owned()));
    }
    if !segment.is_zero_from(offset) {
        return Err(damaged(offset, "there are bytes behind its last group".to_owned()));
    }
    blobs.sort_unstable_by_key(|digest| digest.0);
    blobs.dedup();
    let raw = &segment.bytes[..offset];
    let header = ArchiveHeader {
        segment: header,
        groups_end: sealed_at.next_group,
        raw_bytes: raw.len() as u64,
        raw_hash: Digest::of(raw),
        packed_bytes: 0,
        packed_hash: Digest::default(),
        blocks: layout::blocks_of(raw.len() as u64),
        previous: Digest::default(),
        heads_after: chains.heads,
        blobs,
    };
    Ok((header, offset))
}

/// Writes a whole archive file, durably but for its name.
fn write(path: &Path, header: &mut ArchiveHeader, raw: &[u8]) -> Result<(), Error> {
    let failed = |e: io::Error| Error::io("writing", path, e);
    let mut file = File::create(path).map_err(failed)?;
    // Its length is known before its content is.
    let header_bytes = layout::encode_header(header).len();
    file.write_all(&vec![0; header_bytes]).map_err(failed)?;
    let mut hasher = blake3::Hasher::new();
    let mut compressor = zstd::bulk::Compressor::new(LEVEL).map_err(failed)?;
    let (mut offset, mut offsets) = (header_bytes as u64, Vec::new());
    for (index, block) in (0u32..).zip(raw.chunks(BLOCK_BYTES)) {
        let packed = compressor.compress(block).map_err(failed)?;
        let block = layout::encode_block(index, length_u32(block.len()) as usize, &packed);
        hasher.update(&block);
        file.write_all(&block).map_err(failed)?;
        offsets.push(offset);
        offset += block.len() as u64;
    }
    header.packed_bytes = offset - header_bytes as u64;
    header.packed_hash = Digest(*hasher.finalize().as_bytes());
    let encoded = layout::encode_header(header);
    file.write_all(&layout::encode_footer(&encoded, &offsets)).map_err(failed)?;
    file.write_all_at(&encoded, 0).map_err(failed)?;
    file.sync_all().map_err(failed)
}

/// Reads a file back: it must give every byte again.
fn compare(path: &Path, raw: &[u8]) -> Result<(), Error> {
    let mut archived = Archived::open_at(path)?;
    let mut again = vec![0; BLOCK_BYTES];
    for (at, block) in (0u64..).step_by(BLOCK_BYTES).zip(raw.chunks(BLOCK_BYTES)) {
        let again = &mut again[..block.len()];
        archived.read_at(again, at)?;
        if again != block {
            let detail = "what was just archived reads back differently".to_owned();
            let (segment, offset) = (archived.header().segment.number, at);
            return Err(Damage { segment, offset, partition: None, sequence: None, detail }.into());
        }
    }
    Ok(())
}
