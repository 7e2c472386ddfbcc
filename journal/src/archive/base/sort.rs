//! Sorting more records than fit into memory.
//!
//! Records gather up to [`RUN_BYTES_MAX`], are sorted and spilled into a file beside the archive;
//! as soon as [`MERGE_WIDTH`] such files are there they are merged into one. So memory holds one
//! run or the buffers of one merge, whatever is sorted. The files are named like unfinished
//! archive files, which the next start removes. Knows items and their order only.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use crate::bytes::length_u32;
use crate::error::Error;

/// Bytes of items in memory before they are spilled.
pub const RUN_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How many spilled files are merged at a time.
pub const MERGE_WIDTH: usize = 64;
/// What an item takes in memory beside its key and body.
const ITEM_BYTES: usize = 112;
const BUFFER_BYTES: usize = 64 * 1024;

/// What is sorted: by stream, removals first, then by position.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Item {
    pub key: Vec<u8>,
    pub kind: Kind,
    pub position: u64,
    pub partition: u16,
    pub version: u64,
    pub body: Vec<u8>,
}

/// What an item is. Removals of a stream come before its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// The stream's records before this position are dropped.
    Removal,
    /// A record.
    Record,
}

/// Items in order.
pub(super) type Items<'a> = Box<dyn Iterator<Item = Result<Item, Error>> + 'a>;

/// A sort under way. Its files are removed with it.
pub(super) struct Sorter {
    archive: PathBuf,
    run_bytes_max: usize,
    items: Vec<Item>,
    bytes: usize,
    /// Spilled files by how often their items were merged.
    levels: Vec<Vec<PathBuf>>,
    files: u64,
}

impl Sorter {
    pub(super) fn new(archive: &Path, run_bytes_max: usize) -> Self {
        let (items, levels) = (Vec::new(), Vec::new());
        Self { archive: archive.to_owned(), run_bytes_max, items, bytes: 0, levels, files: 0 }
    }

    pub(super) fn push(&mut self, item: Item) -> Result<(), Error> {
        self.bytes += ITEM_BYTES + item.key.len() + item.body.len();
        self.items.push(item);
        if self.bytes < self.run_bytes_max {
            return Ok(());
        }
        self.spill()?;
        self.merge_full_levels()
    }

    /// Everything in order, together with items that are in order already.
    pub(super) fn merged<'a>(&'a mut self, sorted: Vec<Items<'a>>) -> Result<Merge<'a>, Error> {
        self.items.sort_unstable();
        let mut inputs = sorted;
        for path in self.levels.iter().flatten() {
            inputs.push(Box::new(Spilled::open(path)?));
        }
        inputs.push(Box::new(self.items.drain(..).map(Ok)));
        Merge::of(inputs)
    }

    fn spill(&mut self) -> Result<(), Error> {
        self.items.sort_unstable();
        self.bytes = 0;
        let items = std::mem::take(&mut self.items);
        let path = self.next_path();
        // Listed before it is written, so that it is removed whatever happens.
        self.push_level(0, path.clone());
        write_items(&path, items.into_iter().map(Ok))
    }

    fn merge_full_levels(&mut self) -> Result<(), Error> {
        let mut level = 0;
        while self.levels.get(level).is_some_and(|files| files.len() >= MERGE_WIDTH) {
            let path = self.next_path();
            self.push_level(level + 1, path.clone());
            let mut inputs: Vec<Items<'_>> = Vec::new();
            for file in &self.levels[level] {
                inputs.push(Box::new(Spilled::open(file)?));
            }
            write_items(&path, Merge::of(inputs)?)?;
            for file in self.levels[level].drain(..) {
                fs::remove_file(&file).map_err(|e| Error::io("removing", &file, e))?;
            }
            level += 1;
        }
        Ok(())
    }

    fn push_level(&mut self, level: usize, path: PathBuf) {
        while self.levels.len() <= level {
            self.levels.push(Vec::new());
        }
        self.levels[level].push(path);
    }

    fn next_path(&mut self) -> PathBuf {
        self.files += 1;
        self.archive.join(format!("sort-{:06}.arc.new", self.files))
    }
}

impl Drop for Sorter {
    fn drop(&mut self) {
        for path in self.levels.iter().flatten() {
            // What stays is removed at the next start.
            drop(fs::remove_file(path));
        }
    }
}

/// Several ordered inputs as one.
pub(super) struct Merge<'a> {
    inputs: Vec<Items<'a>>,
    next: BinaryHeap<Reverse<(Item, usize)>>,
}

impl<'a> Merge<'a> {
    fn of(inputs: Vec<Items<'a>>) -> Result<Self, Error> {
        let mut merge = Self { inputs, next: BinaryHeap::new() };
        for index in 0..merge.inputs.len() {
            merge.refill(index)?;
        }
        Ok(merge)
    }

    fn refill(&mut self, index: usize) -> Result<(), Error> {
        if let Some(item) = self.inputs[index].next().transpose()? {
            self.next.push(Reverse((item, index)));
        }
        Ok(())
    }
}

impl Iterator for Merge<'_> {
    type Item = Result<Item, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let Reverse((item, index)) = self.next.pop()?;
        Some(self.refill(index).map(|()| item))
    }
}

fn write_items(path: &Path, items: impl Iterator<Item = Result<Item, Error>>) -> Result<(), Error> {
    let failed = |e| Error::io("writing", path, e);
    let file = File::create(path).map_err(failed)?;
    let mut file = BufWriter::with_capacity(BUFFER_BYTES, file);
    for item in items {
        let item = item?;
        let write = |file: &mut BufWriter<File>| -> io::Result<()> {
            file.write_all(&length_u32(item.key.len()).to_le_bytes())?;
            file.write_all(&item.key)?;
            file.write_all(&[u8::from(item.kind == Kind::Record)])?;
            file.write_all(&item.position.to_le_bytes())?;
            file.write_all(&item.partition.to_le_bytes())?;
            file.write_all(&item.version.to_le_bytes())?;
            file.write_all(&length_u32(item.body.len()).to_le_bytes())?;
            file.write_all(&item.body)
        };
        write(&mut file).map_err(failed)?;
    }
    file.flush().map_err(failed)
}

/// A spilled file read back.
struct Spilled {
    file: BufReader<File>,
    path: PathBuf,
}

impl Spilled {
    fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(|e| Error::io("opening", path, e))?;
        Ok(Self { file: BufReader::with_capacity(BUFFER_BYTES, file), path: path.to_owned() })
    }

    fn read(&mut self) -> io::Result<Option<Item>> {
        let mut length = [0; 4];
        match self.file.read_exact(&mut length) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let key = self.bytes(u32::from_le_bytes(length))?;
        let kind = match self.array::<1>()? {
            [0] => Kind::Removal,
            _ => Kind::Record,
        };
        let position = u64::from_le_bytes(self.array()?);
        let partition = u16::from_le_bytes(self.array()?);
        let version = u64::from_le_bytes(self.array()?);
        let length = u32::from_le_bytes(self.array()?);
        let body = self.bytes(length)?;
        Ok(Some(Item { key, kind, position, partition, version, body }))
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.file.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn bytes(&mut self, length: u32) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length as usize];
        self.file.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

impl Iterator for Spilled {
    type Item = Result<Item, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().map_err(|e| Error::io("reading", &self.path, e)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(number: u64) -> Item {
        // Scattered, so that every spilled file has a part of each key.
        let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let kind = if mixed.is_multiple_of(7) { Kind::Removal } else { Kind::Record };
        let key = (mixed % 50).to_be_bytes().to_vec();
        let (partition, version) = (3, number);
        Item { key, kind, position: mixed, partition, version, body: vec![1; 20] }
    }

    #[test]
    fn what_is_spilled_and_merged_over_levels_comes_back_in_order() {
        let directory = tempfile::tempdir().unwrap();
        // A few items a file, so that files of files are merged.
        let mut sorter = Sorter::new(directory.path(), 1_000);
        let mut all: Vec<Item> = (0..40_000).map(item).collect();
        for item in all.clone() {
            sorter.push(item).unwrap();
        }
        let files = std::fs::read_dir(directory.path()).unwrap().count();
        assert!(sorter.levels.len() > 2 && files < 3 * MERGE_WIDTH, "{files} files");
        let mut more: Vec<Item> = (40_000..41_000).map(item).collect();
        more.sort_unstable();
        all.extend(more.clone());
        all.sort_unstable();
        let sorted: Items<'_> = Box::new(more.into_iter().map(Ok));
        let merged: Result<Vec<Item>, Error> = sorter.merged(vec![sorted]).unwrap().collect();
        assert!(merged.unwrap() == all);
        drop(sorter);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
