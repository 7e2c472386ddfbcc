//! Reading an archive file: any place of its segment, or all of it.
//!
//! Every block is proven by its hash before a byte of it is used. Where one copy of the header
//! or of the blocks' offsets is damaged, the other one is used. Changes nothing.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::archive::layout::{self, ARCHIVE, ArchiveHeader, BLOCK_BYTES, BLOCK_HEADER_BYTES};
use crate::archive::path_of;
use crate::bytes::Malformed;
use crate::error::{Damage, Error};
use crate::log::wal::scan::Shape;

/// An archive file, open for reading.
#[derive(Debug)]
pub(crate) struct Archived {
    file: File,
    path: PathBuf,
    length: u64,
    header: ArchiveHeader,
    /// Where blocks begin, from the footer; without it they are found one from the other.
    offsets: Option<Vec<u64>>,
    /// The block read last, unpacked.
    block: Option<(u32, Vec<u8>)>,
}

impl Archived {
    /// Opens the file of a segment; `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Damaged`] if neither of its headers can be read, or it is of another store.
    pub(crate) fn open(archive: &Path, number: u64, shape: &Shape) -> Result<Option<Self>, Error> {
        let path = path_of(archive, number);
        let opened = match File::open(&path) {
            Ok(file) => Self::of(file, &path, number)?,
            Err(error) if is_not_there(&error) => return Ok(None),
            Err(error) => return Err(Error::io("opening", &path, error)),
        };
        let segment = &opened.header.segment;
        let detail = if segment.number != number {
            format!("the archive file says it is number {}", segment.number)
        } else if !shape.admits(&segment.origin) {
            "the archive file belongs to another store".to_owned()
        } else if segment.segment_bytes != shape.segment_bytes {
            format!("the archive file is of a segment of {} bytes", segment.segment_bytes)
        } else if segment.heads.len() != shape.partitions {
            format!("the archive file has {} partitions", segment.heads.len())
        } else {
            return Ok(Some(opened));
        };
        Err(damage(number, 0, detail))
    }

    /// Opens a file whatever it says of itself.
    pub(crate) fn open_at(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(|e| Error::io("opening", path, e))?;
        Self::of(file, path, 0)
    }

    fn of(file: File, path: &Path, number: u64) -> Result<Self, Error> {
        let failed = |e| Error::io("reading", path, e);
        let length = file.metadata().map_err(failed)?.len();
        let footer = ARCHIVE.read_footer(&file, length).map_err(failed)?;
        let footer = footer.and_then(|bytes| layout::decode_footer(&bytes));
        let header = match (read_header(&file, length).map_err(failed)?, &footer) {
            (Ok(header), _) => header,
            (Err(_), Ok((header, _))) => header.clone(),
            (Err(error), Err(_)) => return Err(damage(number, 0, error.to_string())),
        };
        let offsets = footer.ok().map(|(_, offsets)| offsets);
        Ok(Self { file, path: path.to_owned(), length, header, offsets, block: None })
    }

    pub(crate) fn header(&self) -> &ArchiveHeader {
        &self.header
    }

    /// Reads bytes of the segment. Behind its last group there are zeros.
    ///
    /// # Errors
    /// [`Error::Damaged`] if a block that holds them is not whole.
    pub(crate) fn read_at(&mut self, bytes: &mut [u8], offset: u64) -> Result<(), Error> {
        let (mut done, raw_bytes) = (0, self.header.raw_bytes);
        while done < bytes.len() {
            let at = offset + done as u64;
            if at >= raw_bytes {
                bytes[done..].fill(0);
                return Ok(());
            }
            let index = u32::try_from(at / BLOCK_BYTES as u64).unwrap_or(u32::MAX);
            let within = usize::try_from(at % BLOCK_BYTES as u64).expect("below a block's bytes");
            let block = self.block(index)?;
            let piece = block.get(within..).unwrap_or_default();
            let count = piece.len().min(bytes.len() - done);
            bytes[done..done + count].copy_from_slice(&piece[..count]);
            done += count;
        }
        Ok(())
    }

    /// The whole segment, byte for byte.
    ///
    /// # Errors
    /// [`Error::Damaged`] if any of it is not what was packed.
    pub(crate) fn unpack(&mut self) -> Result<Vec<u8>, Error> {
        let number = self.header.segment.number;
        let length = usize::try_from(self.header.segment.segment_bytes);
        let mut bytes =
            vec![0; length.map_err(|_| damage(number, 0, "it is too large here".to_owned()))?];
        self.read_at(&mut bytes, 0)?;
        let raw_bytes = usize::try_from(self.header.raw_bytes).unwrap_or(usize::MAX);
        let raw = bytes.get(..raw_bytes);
        if raw.map(backstitch_core::ids::Digest::of) != Some(self.header.raw_hash) {
            let detail = "the archived segment's hash does not match its bytes".to_owned();
            return Err(damage(number, 0, detail));
        }
        Ok(bytes)
    }

    /// What of the segment can be read: a block that is not whole is left as zeros, and named.
    pub(crate) fn unpack_what_is_whole(&mut self) -> (Vec<u8>, Vec<Damage>) {
        let length = usize::try_from(self.header.segment.segment_bytes).unwrap_or(0);
        let raw_bytes = usize::try_from(self.header.raw_bytes).unwrap_or(0).min(length);
        let (mut bytes, mut damages) = (vec![0; length], Vec::new());
        for (at, piece) in
            (0u64..).step_by(BLOCK_BYTES).zip(bytes[..raw_bytes].chunks_mut(BLOCK_BYTES))
        {
            if let Err(error) = self.read_at(piece, at) {
                piece.fill(0);
                let segment = self.header.segment.number;
                damages.push(match error {
                    Error::Damaged { damage } => damage,
                    other => Damage {
                        segment,
                        offset: at,
                        partition: None,
                        sequence: None,
                        detail: other.to_string(),
                    },
                });
            }
        }
        (bytes, damages)
    }

    /// Checks the file as a file: both copies of the header, every block, every hash.
    pub(crate) fn damages(&mut self) -> Vec<Damage> {
        let number = self.header.segment.number;
        let failed = |detail: String| Damage {
            segment: number,
            offset: 0,
            partition: None,
            sequence: None,
            detail: format!("the archive file: {detail}"),
        };
        let mut found = Vec::new();
        match read_header(&self.file, self.length) {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => found.push(failed(error.to_string())),
            Err(error) => found.push(failed(error.to_string())),
        }
        if self.offsets.is_none() {
            found.push(failed("its footer cannot be read".to_owned()));
        }
        let (bytes, blocks) = self.unpack_what_is_whole();
        found.extend(blocks);
        let raw_bytes = usize::try_from(self.header.raw_bytes).unwrap_or(0).min(bytes.len());
        let raw_hash = backstitch_core::ids::Digest::of(&bytes[..raw_bytes]);
        if found.is_empty() && raw_hash != self.header.raw_hash {
            found.push(failed("its blocks are not those of its segment".to_owned()));
        }
        found
    }

    fn block(&mut self, index: u32) -> Result<&[u8], Error> {
        if self.block.as_ref().is_none_or(|(known, _)| *known != index) {
            self.block = None;
            let unpacked = self.read_block(index)?;
            self.block = Some((index, unpacked));
        }
        Ok(self.block.as_ref().map(|(_, bytes)| bytes.as_slice()).unwrap_or_default())
    }

    fn read_block(&self, index: u32) -> Result<Vec<u8>, Error> {
        let raw_at = u64::from(index) * BLOCK_BYTES as u64;
        let number = self.header.segment.number;
        let failed = |e| Error::io("reading", &self.path, e);
        let broken = |detail: &str| {
            let detail = format!("block {index} of the archive file cannot be read: {detail}");
            damage(number, raw_at, detail)
        };
        let malformed = |error: Malformed| broken(&error.0);
        let offset = match &self.offsets {
            Some(offsets) => offsets.get(index as usize).copied(),
            None => self.find_block(index).map_err(failed)?,
        };
        let offset = offset.ok_or_else(|| broken("it is not found"))?;
        let read = read_block_at(&self.file, offset, index).map_err(failed)?;
        let (unpacked, _) = read.map_err(malformed)?;
        let expected = (self.header.raw_bytes - raw_at).min(BLOCK_BYTES as u64);
        match unpacked.len() as u64 == expected {
            true => Ok(unpacked),
            false => Err(broken("it has another length")),
        }
    }

    /// Walks the blocks' headers from the first on.
    fn find_block(&self, index: u32) -> io::Result<Option<u64>> {
        let mut offset = layout::encode_header(&self.header).len() as u64;
        for _ in 0..index {
            let begin = read_some(&self.file, offset, BLOCK_HEADER_BYTES)?;
            let Ok(block) = layout::decode_block_header(&begin) else { return Ok(None) };
            offset += BLOCK_HEADER_BYTES as u64 + u64::from(block.packed_bytes);
        }
        Ok(Some(offset))
    }
}

fn read_header(file: &File, length: u64) -> io::Result<Result<ArchiveHeader, Malformed>> {
    let bytes = ARCHIVE.read_header(file, length)?;
    Ok(bytes.and_then(|bytes| layout::decode_header(&bytes)))
}

type Block = Result<(Vec<u8>, usize), Malformed>;

/// Reads the block that begins at `offset` and proves it; answers it unpacked, and how many
/// bytes it takes packed.
pub(crate) fn read_block_at(file: &File, offset: u64, index: u32) -> io::Result<Block> {
    let begin = read_some(file, offset, BLOCK_HEADER_BYTES)?;
    let header = match layout::decode_block_header(&begin) {
        Ok(header) => header,
        Err(error) => return Ok(Err(error)),
    };
    let length = BLOCK_HEADER_BYTES + header.packed_bytes as usize;
    let bytes = read_some(file, offset, length)?;
    if header.index != index || bytes.len() != length || !layout::is_whole(&header, &bytes) {
        return Ok(Err(Malformed::because("its hash does not match its bytes")));
    }
    let raw_bytes = header.raw_bytes as usize;
    Ok(match zstd::bulk::decompress(&bytes[BLOCK_HEADER_BYTES..], raw_bytes) {
        Ok(raw) if raw.len() == raw_bytes => Ok((raw, header.packed_bytes as usize)),
        Ok(_) => Err(Malformed::because("it unpacks to another length")),
        Err(error) => Err(Malformed(error.to_string())),
    })
}

/// Whether a file is not there, nor perhaps the archive itself.
pub(crate) fn is_not_there(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Reads up to so many bytes; fewer at the end of the file.
pub(crate) fn read_some(file: &File, offset: u64, count: usize) -> io::Result<Vec<u8>> {
    let (mut bytes, mut done) = (vec![0; count], 0);
    while done < count {
        match file.read_at(&mut bytes[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(done);
    Ok(bytes)
}

fn damage(segment: u64, offset: u64, detail: String) -> Error {
    Damage { segment, offset, partition: None, sequence: None, detail }.into()
}
