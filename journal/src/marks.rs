//! The marks of a tree: what it may hold and how far it has applied the log, kept outside
//! of it.
//!
//! A file of two slots written in turn, each with its own checksum and synced before the
//! tree changes. A tear can only hit the slot being written; then the other one still
//! describes the tree. Knows nothing of sled.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::bytes::{Fields, Malformed, length_u32};
use crate::error::Error;
use crate::files;

/// Bytes of one slot.
const SLOT_BYTES: usize = 64 * 1024;
const MAGIC: [u8; 8] = *b"\xFFbsmrk\x01\n";

/// The most states one tick may pass through; see [`Marks::states`].
pub(crate) const STATES_MAX: usize = 512;

/// What a slot says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Marks {
    /// Counts ticks.
    pub tick: u64,
    /// What is applied if the tree's digest is the last of `states`.
    pub applied_after: Vec<u8>,
    /// What is applied if it is an earlier one.
    pub applied_before: Vec<u8>,
    /// Digests of the states the tick passes through, from before to after; at least one.
    pub states: Vec<[u8; 32]>,
    /// The content of sled's `conf`, which it neither syncs nor checks well.
    pub conf: Vec<u8>,
}

impl Marks {
    fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        body.extend(self.tick.to_le_bytes());
        for part in [&self.applied_after, &self.applied_before, &self.conf] {
            body.extend(length_u32(part.len()).to_le_bytes());
            body.extend(part);
        }
        body.extend(length_u32(self.states.len()).to_le_bytes());
        body.extend(self.states.iter().flatten());
        let mut slot = MAGIC.to_vec();
        slot.extend(length_u32(body.len()).to_le_bytes());
        slot.extend(body);
        slot.extend(*blake3::hash(&slot).as_bytes());
        assert!(slot.len() <= SLOT_BYTES, "the limits of partitions and states keep slots small");
        slot
    }

    fn decode(slot: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::of(slot);
        if fields.array()? != MAGIC {
            return Err(Malformed::because("it does not begin like marks"));
        }
        let length = fields.u32()? as usize;
        let mut body = Fields::of(fields.take(length)?);
        let covered = &slot[..slot.len() - fields.rest().len()];
        if fields.array::<32>()? != *blake3::hash(covered).as_bytes() {
            return Err(Malformed::because("the marks' hash does not match"));
        }
        let tick = body.u64()?;
        let mut part = || -> Result<Vec<u8>, Malformed> {
            let length = body.u32()? as usize;
            Ok(body.take(length)?.to_vec())
        };
        let (applied_after, applied_before, conf) = (part()?, part()?, part()?);
        let count = body.u32()?;
        let states = (0..count).map(|_| body.array()).collect::<Result<_, _>>()?;
        Ok(Self { tick, applied_after, applied_before, states, conf })
    }
}

/// The file of two slots.
#[derive(Debug)]
pub(crate) struct MarksFile {
    file: File,
    path: PathBuf,
}

impl MarksFile {
    /// Makes the file with its first marks, durable together with its name.
    pub(crate) fn create(path: &Path, marks: &Marks) -> Result<Self, Error> {
        let mut content = vec![0; 2 * SLOT_BYTES];
        let slot = marks.encode();
        let at = Self::slot_at(marks.tick);
        content[at..at + slot.len()].copy_from_slice(&slot);
        files::replace(path, &content)?;
        Self::open_file(path)
    }

    /// Opens the file and reads the newest marks that are whole; `None` if there are none.
    pub(crate) fn open(path: &Path) -> Result<Option<(Self, Marks)>, Error> {
        if !path.exists() {
            return Ok(None);
        }
        let content = std::fs::read(path).map_err(|e| Error::io("reading", path, e))?;
        let newest = content
            .chunks(SLOT_BYTES)
            .filter_map(|slot| Marks::decode(slot).ok())
            .max_by_key(|marks| marks.tick);
        match newest {
            Some(marks) => Ok(Some((Self::open_file(path)?, marks))),
            None => Ok(None),
        }
    }

    /// Writes marks into the older slot and syncs them.
    pub(crate) fn write(&self, marks: &Marks) -> Result<(), Error> {
        let at = Self::slot_at(marks.tick) as u64;
        self.file
            .write_all_at(&marks.encode(), at)
            .and_then(|()| self.file.sync_data())
            .map_err(|e| Error::io("writing marks to", &self.path, e))
    }

    fn open_file(path: &Path) -> Result<Self, Error> {
        let file =
            OpenOptions::new().write(true).open(path).map_err(|e| Error::io("opening", path, e))?;
        Ok(Self { file, path: path.to_owned() })
    }

    fn slot_at(tick: u64) -> usize {
        if tick.is_multiple_of(2) { 0 } else { SLOT_BYTES }
    }
}

/// Adds an entry to a digest, or takes it out again: entries are joined by XOR.
pub(crate) fn mix(digest: &mut [u8; 32], key: &[u8], value: &[u8]) {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(key.len() as u64).to_le_bytes()).update(key).update(value);
    for (mixed, byte) in digest.iter_mut().zip(hasher.finalize().as_bytes()) {
        *mixed ^= byte;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(tick: u64) -> Marks {
        let states = vec![[u8::try_from(tick).unwrap(); 32]; 3];
        let applied_after = vec![9; 20];
        Marks { tick, applied_after, applied_before: vec![], states, conf: b"conf".to_vec() }
    }

    #[test]
    fn the_newest_whole_slot_counts() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("marks");
        let file = MarksFile::create(&path, &marks(1)).unwrap();
        file.write(&marks(2)).unwrap();
        assert_eq!(MarksFile::open(&path).unwrap().unwrap().1, marks(2));
        let mut content = std::fs::read(&path).unwrap();
        content[30] ^= 1;
        std::fs::write(&path, &content).unwrap();
        assert_eq!(MarksFile::open(&path).unwrap().unwrap().1, marks(1));
        content[SLOT_BYTES + 30] ^= 1;
        std::fs::write(&path, &content).unwrap();
        assert!(MarksFile::open(&path).unwrap().is_none());
    }
}
