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
const MAGIC: [u8; 6] = *b"\xFFbsmrk";
const MAGIC_END: u8 = b'\n';
/// Format 2 adds what is counted; 1 is still read.
const FORMAT: u8 = 2;

/// The most states one tick may pass through; see [`Marks::states`].
pub(crate) const STATES_MAX: usize = 512;

/// What a whole tree amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Totals {
    /// Hashes of all entries, joined by XOR.
    pub digest: [u8; 32],
    /// How many entries.
    pub entries: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
}

impl Totals {
    /// Counts an entry in.
    pub(crate) fn add(&mut self, hash: &[u8; 32], bytes: u64) {
        join(&mut self.digest, hash);
        self.entries = self.entries.wrapping_add(1);
        self.bytes = self.bytes.wrapping_add(bytes);
    }

    /// Counts an entry out again.
    pub(crate) fn remove(&mut self, hash: &[u8; 32], bytes: u64) {
        join(&mut self.digest, hash);
        self.entries = self.entries.wrapping_sub(1);
        self.bytes = self.bytes.wrapping_sub(bytes);
    }
}

/// What a slot says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Marks {
    /// Counts ticks.
    pub tick: u64,
    /// What is applied if the tree's digest is the last of `states`.
    pub applied_after: Vec<u8>,
    /// What is applied if it is an earlier one.
    pub applied_before: Vec<u8>,
    /// The states the tick passes through, from before to after; at least one.
    pub states: Vec<Totals>,
    /// Whether the states say more than their digests: marks of format 1 do not.
    pub counted: bool,
    /// Bytes of sled's file after it was last rewritten; 0 if it never was.
    pub rewritten_bytes: u64,
    /// The content of sled's `conf`, which it neither syncs nor checks well.
    pub conf: Vec<u8>,
}

impl Marks {
    /// The newest marks of a file that are whole, changing nothing; `None` if there are none.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, Error> {
        let content = match std::fs::read(path) {
            Ok(content) => content,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("reading", path, error)),
        };
        let whole = content.chunks(SLOT_BYTES).filter_map(|slot| Self::decode(slot).ok());
        Ok(whole.max_by_key(|marks| marks.tick))
    }

    fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        body.extend(self.tick.to_le_bytes());
        for part in [&self.applied_after, &self.applied_before, &self.conf] {
            body.extend(length_u32(part.len()).to_le_bytes());
            body.extend(part);
        }
        body.extend(length_u32(self.states.len()).to_le_bytes());
        for state in &self.states {
            body.extend(state.digest);
            body.extend(state.entries.to_le_bytes());
            body.extend(state.bytes.to_le_bytes());
        }
        body.extend(self.rewritten_bytes.to_le_bytes());
        let mut slot = MAGIC.to_vec();
        slot.extend([FORMAT, MAGIC_END]);
        slot.extend(length_u32(body.len()).to_le_bytes());
        slot.extend(body);
        slot.extend(*blake3::hash(&slot).as_bytes());
        assert!(slot.len() <= SLOT_BYTES, "the limits of partitions and states keep slots small");
        slot
    }

    fn decode(slot: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::of(slot);
        let (magic, [format, end]) = (fields.array()?, fields.array()?);
        if magic != MAGIC || end != MAGIC_END || !(1..=FORMAT).contains(&format) {
            return Err(Malformed::because("it does not begin like marks"));
        }
        let counted = format > 1;
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
        let mut state = || -> Result<Totals, Malformed> {
            let digest = body.array()?;
            let counts = if counted { (body.u64()?, body.u64()?) } else { (0, 0) };
            Ok(Totals { digest, entries: counts.0, bytes: counts.1 })
        };
        let states = (0..count).map(|_| state()).collect::<Result<_, _>>()?;
        let rewritten_bytes = if counted { body.u64()? } else { 0 };
        Ok(Self { tick, applied_after, applied_before, states, counted, rewritten_bytes, conf })
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
        match Marks::read(path)? {
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

/// The hash of an entry.
pub(crate) fn hash_of(key: &[u8], value: &[u8]) -> [u8; 32] {
    // In one piece: pieces of it would be hashed a block at a time, not several at once.
    let length_bytes = (key.len() as u64).to_le_bytes();
    let mut entry = Vec::with_capacity(length_bytes.len() + key.len() + value.len());
    for part in [&length_bytes, key, value] {
        entry.extend_from_slice(part);
    }
    *blake3::hash(&entry).as_bytes()
}

/// Adds an entry's hash to a digest, or takes it out again.
fn join(digest: &mut [u8; 32], hash: &[u8; 32]) {
    for (joined, byte) in digest.iter_mut().zip(hash) {
        *joined ^= byte;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(tick: u64) -> Marks {
        let state = Totals { digest: [u8::try_from(tick).unwrap(); 32], entries: 7, bytes: 70 };
        Marks {
            tick,
            applied_after: vec![9; 20],
            applied_before: vec![],
            states: vec![state; 3],
            counted: true,
            rewritten_bytes: 5,
            conf: b"conf".to_vec(),
        }
    }

    /// The bytes of format 1: digests only.
    fn encoded_before(marks: &Marks) -> Vec<u8> {
        let mut body = marks.tick.to_le_bytes().to_vec();
        for part in [&marks.applied_after, &marks.applied_before, &marks.conf] {
            body.extend(length_u32(part.len()).to_le_bytes());
            body.extend(part);
        }
        body.extend(length_u32(marks.states.len()).to_le_bytes());
        body.extend(marks.states.iter().flat_map(|state| state.digest));
        let mut slot = b"\xFFbsmrk\x01\n".to_vec();
        slot.extend(length_u32(body.len()).to_le_bytes());
        slot.extend(body);
        slot.extend(*blake3::hash(&slot).as_bytes());
        slot
    }

    #[test]
    fn marks_of_the_first_format_are_read() {
        let mut expected = marks(3);
        (expected.counted, expected.rewritten_bytes) = (false, 0);
        let digest = expected.states[0].digest;
        expected.states = vec![Totals { digest, ..Totals::default() }; 3];
        assert_eq!(Marks::decode(&encoded_before(&marks(3))), Ok(expected));
    }

    #[test]
    fn the_largest_slot_fits() {
        let mut largest = marks(1);
        largest.states = vec![Totals::default(); STATES_MAX];
        let applied = vec![0; 8 * usize::from(crate::options::PARTITIONS_MAX)];
        (largest.applied_after, largest.applied_before) = (applied.clone(), applied);
        largest.conf = vec![0; 1_024];
        assert_eq!(Marks::decode(&largest.encode()), Ok(largest));
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
