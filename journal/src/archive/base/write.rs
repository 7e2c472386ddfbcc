//! Writing a base: records in order in, a file of blocks out.
//!
//! Holds one entry and one block in memory. Without a file it only counts, for a dry run. Knows
//! nothing of where the records come from.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use backstitch_core::ids::Digest;

use crate::archive::base::layout::{self, BaseHeader, BlockPlace, ENTRY_BYTES_MAX, Entry};
use crate::archive::layout as archive_layout;
use crate::archive::pack::LEVEL;
use crate::bytes::length_u32;
use crate::error::Error;

/// A base in the making.
pub(super) struct BaseWriter {
    path: PathBuf,
    file: Option<File>,
    compressor: zstd::bulk::Compressor<'static>,
    hasher: blake3::Hasher,
    header: BaseHeader,
    entry: Option<Entry>,
    raw: Vec<u8>,
    first_key: Vec<u8>,
    last_key: Vec<u8>,
    blocks: Vec<BlockPlace>,
    offset: u64,
}

impl BaseWriter {
    /// Begins a base with this header, whose counts are still to come; without `write` nothing
    /// is written.
    pub(super) fn begin(path: &Path, header: BaseHeader, write: bool) -> Result<Self, Error> {
        let failed = |e| Error::io("writing", path, e);
        let header_bytes = layout::encode_header(&header).len();
        let mut file = write.then(|| File::create(path)).transpose().map_err(failed)?;
        if let Some(file) = &mut file {
            file.write_all(&vec![0; header_bytes]).map_err(failed)?;
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            compressor: zstd::bulk::Compressor::new(LEVEL).map_err(failed)?,
            hasher: blake3::Hasher::new(),
            header,
            entry: None,
            raw: Vec::new(),
            first_key: Vec::new(),
            last_key: Vec::new(),
            blocks: Vec::new(),
            offset: header_bytes as u64,
        })
    }

    /// Takes the next record of the order.
    pub(super) fn push(
        &mut self,
        key: &[u8],
        partition: u16,
        version: u64,
        position: u64,
        body: &[u8],
    ) -> Result<(), Error> {
        let goes_on = self.entry.as_ref().is_some_and(|entry| {
            entry.key == key && entry.packed.len() + body.len() <= ENTRY_BYTES_MAX
        });
        if !goes_on {
            self.end_entry()?;
            if self.last_key != key {
                self.last_key = key.to_vec();
                self.header.streams += 1;
            }
        }
        let entry = self.entry.get_or_insert_with(|| Entry {
            key: key.to_vec(),
            partition,
            first_version: version,
            records: 0,
            packed: Vec::new(),
        });
        entry.records += 1;
        entry.packed.extend(position.to_le_bytes());
        entry.packed.extend(length_u32(body.len()).to_le_bytes());
        entry.packed.extend(body);
        self.header.records += 1;
        Ok(())
    }

    /// Ends the file, durably but for its name; answers its header and how long it is.
    pub(super) fn finish(mut self) -> Result<(BaseHeader, u64), Error> {
        self.end_entry()?;
        self.end_block()?;
        let failed = |e| Error::io("writing", &self.path, e);
        let header_bytes = layout::encode_header(&self.header).len() as u64;
        self.header.packed_bytes = self.offset - header_bytes;
        self.header.packed_hash = Digest(*self.hasher.finalize().as_bytes());
        self.header.blocks = length_u32(self.blocks.len());
        let encoded = layout::encode_header(&self.header);
        let footer = layout::encode_footer(&encoded, &self.blocks);
        if let Some(file) = &mut self.file {
            let write = |file: &mut File| -> io::Result<()> {
                file.write_all(&footer)?;
                file.write_all_at(&encoded, 0)?;
                file.sync_all()
            };
            write(file).map_err(failed)?;
        }
        Ok((self.header, self.offset + footer.len() as u64))
    }

    fn end_entry(&mut self) -> Result<(), Error> {
        let Some(entry) = self.entry.take() else { return Ok(()) };
        if self.raw.len() + layout::entry_bytes(&entry) > archive_layout::BLOCK_BYTES {
            self.end_block()?;
        }
        if self.raw.is_empty() {
            self.first_key.clone_from(&entry.key);
        }
        layout::push_entry(&mut self.raw, &entry);
        Ok(())
    }

    fn end_block(&mut self) -> Result<(), Error> {
        if self.raw.is_empty() {
            return Ok(());
        }
        let failed = |e| Error::io("writing", &self.path, e);
        let packed = self.compressor.compress(&self.raw).map_err(failed)?;
        let index = length_u32(self.blocks.len());
        let block = archive_layout::encode_block(index, self.raw.len(), &packed);
        if let Some(file) = &mut self.file {
            file.write_all(&block).map_err(failed)?;
        }
        self.hasher.update(&block);
        let first_key = std::mem::take(&mut self.first_key);
        self.blocks.push(BlockPlace { offset: self.offset, first_key });
        self.offset += block.len() as u64;
        self.raw.clear();
        Ok(())
    }
}
