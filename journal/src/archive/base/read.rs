//! Reading a base: all of its entries in order, or one stream's.
//!
//! Every block is proven by its hash before its entries are used. Changes nothing.

use std::fs::File;
use std::path::{Path, PathBuf};

use backstitch_core::ids::StreamId;

use crate::archive::base::layout::{self, BASE, BaseHeader, BlockPlace, Entry};
use crate::archive::base::path_of;
use crate::archive::layout::BLOCK_HEADER_BYTES;
use crate::archive::unpack::{is_not_there, read_block_at};
use crate::bytes::Malformed;
use crate::error::{Damage, Error};
use crate::keys;
use crate::log::wal::scan::Shape;
use crate::pending::decode_packed;
use crate::record::Record;

/// A base, open for reading.
#[derive(Debug)]
pub(crate) struct Base {
    file: File,
    path: PathBuf,
    header: BaseHeader,
    /// From the footer; without it blocks are found one from the other.
    blocks: Option<Vec<BlockPlace>>,
    /// Which copies of the header and of the table of blocks cannot be read.
    spare_damages: Vec<Damage>,
}

impl Base {
    /// Opens the base of an archive; `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Damaged`] if neither of its headers can be read, or it is of another store.
    pub(crate) fn open(archive: &Path, shape: &Shape) -> Result<Option<Self>, Error> {
        let path = path_of(archive);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if is_not_there(&error) => return Ok(None),
            Err(error) => return Err(Error::io("opening", &path, error)),
        };
        let opened = Self::of(file, &path)?;
        if !shape.admits(&opened.header.origin) {
            return Err(damage(0, "it belongs to another store").into());
        }
        if opened.header.heads.len() != shape.partitions {
            return Err(damage(0, "it has another number of partitions").into());
        }
        Ok(Some(opened))
    }

    /// Opens a base file whatever store it is of.
    pub(crate) fn open_at(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(|e| Error::io("opening", path, e))?;
        Self::of(file, path)
    }

    fn of(file: File, path: &Path) -> Result<Self, Error> {
        let failed = |e| Error::io("reading", path, e);
        let length = file.metadata().map_err(failed)?.len();
        let front = BASE.read_header(&file, length).map_err(failed)?;
        let front = front.and_then(|bytes| layout::decode_header(&bytes));
        let footer = BASE.read_footer(&file, length).map_err(failed)?;
        let footer = footer.and_then(|bytes| layout::decode_footer(&bytes));
        let mut spare_damages = Vec::new();
        let errors = front.as_ref().err().into_iter().chain(footer.as_ref().err());
        spare_damages.extend(errors.map(|error| damage(0, &error.0)));
        let header = match (front, &footer) {
            (Ok(header), _) => header,
            (Err(_), Ok((header, _))) => header.clone(),
            (Err(error), Err(_)) => return Err(damage(0, &error.0).into()),
        };
        let blocks = footer.ok().map(|(_, blocks)| blocks);
        Ok(Self { file, path: path.to_owned(), header, blocks, spare_damages })
    }

    pub(crate) fn header(&self) -> &BaseHeader {
        &self.header
    }

    /// Visits every entry in order.
    ///
    /// # Errors
    /// [`Error::Damaged`] at the first block that is not whole, and what `visit` answers.
    pub(crate) fn for_each_entry(
        &self,
        mut visit: impl FnMut(Entry) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut items = self.entries();
        while let Some(entry) = items.next_entry()? {
            visit(entry)?;
        }
        Ok(())
    }

    /// Which histories a block holds, in words, as far as the table of blocks tells: entries are
    /// in the order of their keys.
    fn held_by(&self, index: u32) -> String {
        let first_of = |index: u32| {
            let place = self.blocks.as_ref()?.get(index as usize)?;
            keys::stream_of(&place.first_key).ok().map(|(stream, _)| stream)
        };
        match (first_of(index), first_of(index.saturating_add(1))) {
            (Some(first), Some(next)) => {
                format!("; it held the histories from {first} until before {next}")
            }
            (Some(first), None) => format!("; it held the histories from {first} on"),
            (None, _) => String::new(),
        }
    }

    /// The entries of one stream, in order.
    pub(crate) fn entries_of(&self, stream: &StreamId) -> Result<Vec<Entry>, Error> {
        let key = keys::stream(stream);
        let mut items = self.entries();
        if let Some(blocks) = &self.blocks {
            let behind = blocks.partition_point(|block| block.first_key < key);
            items.seek(u32::try_from(behind.saturating_sub(1)).unwrap_or(0), blocks);
        }
        let mut found = Vec::new();
        while let Some(entry) = items.next_entry()? {
            match entry.key.cmp(&key) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => found.push(entry),
                std::cmp::Ordering::Greater => break,
            }
        }
        Ok(found)
    }

    pub(super) fn entries(&self) -> Entries<'_> {
        let offset = layout::encode_header(&self.header).len() as u64;
        Entries { base: self, index: 0, offset, ready: Vec::new().into_iter() }
    }

    /// What is wrong with the file: either copy of its header, the table of blocks, any block.
    pub(crate) fn damages(&self) -> Vec<Damage> {
        self.for_each_whole_entry(&mut |_| {})
    }

    /// Visits the entries of every block that is whole; answers what is wrong with the file.
    pub(crate) fn for_each_whole_entry(&self, visit: &mut dyn FnMut(Entry)) -> Vec<Damage> {
        let mut found = self.spare_damages.clone();
        let mut items = self.entries();
        loop {
            match items.next_entry() {
                Ok(Some(entry)) => visit(entry),
                Ok(None) => return found,
                Err(error) => {
                    found.push(match error {
                        Error::Damaged { damage } => damage,
                        other => damage(0, &other.to_string()),
                    });
                    // The next block is found by the table, or not at all.
                    let next = items.index + 1;
                    match &self.blocks {
                        Some(blocks) if next < self.header.blocks => items.seek(next, blocks),
                        _ => return found,
                    }
                }
            }
        }
    }
}

/// On the way through the entries of a base.
pub(super) struct Entries<'a> {
    base: &'a Base,
    /// The next block.
    index: u32,
    offset: u64,
    ready: std::vec::IntoIter<Entry>,
}

impl Entries<'_> {
    fn seek(&mut self, index: u32, blocks: &[BlockPlace]) {
        if let Some(place) = blocks.get(index as usize) {
            (self.index, self.offset) = (index, place.offset);
            self.ready = Vec::new().into_iter();
        }
    }

    pub(super) fn next_entry(&mut self) -> Result<Option<Entry>, Error> {
        loop {
            if let Some(entry) = self.ready.next() {
                return Ok(Some(entry));
            }
            if self.index >= self.base.header.blocks {
                return Ok(None);
            }
            let place = self.base.blocks.as_ref().and_then(|all| all.get(self.index as usize));
            let offset = place.map_or(self.offset, |place| place.offset);
            let broken = |error: Malformed| {
                let held = self.base.held_by(self.index);
                let detail = format!("block {} cannot be read: {error}{held}", self.index);
                Error::from(damage(offset, &detail))
            };
            let (file, path) = (&self.base.file, &self.base.path);
            let read = read_block_at(file, offset, self.index);
            let (raw, length) = read.map_err(|e| Error::io("reading", path, e))?.map_err(broken)?;
            let entries = layout::decode_entries(&raw).map_err(broken)?;
            self.index += 1;
            self.offset = offset + (BLOCK_HEADER_BYTES + length) as u64;
            self.ready = entries.into_iter();
        }
    }
}

impl Entry {
    /// Its records.
    pub(crate) fn decode(&self) -> Result<Vec<Record>, Error> {
        decode_packed(&self.packed).map_err(|e| damage(0, &e.0).into())
    }
}

/// Something wrong with the base; it stands where segment 0 would.
fn damage(offset: u64, detail: &str) -> Damage {
    let detail = format!("the base of the archive: {detail}");
    Damage { segment: 0, offset, partition: None, sequence: None, detail }
}
