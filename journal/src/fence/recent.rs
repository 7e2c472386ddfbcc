//! What changed in a tree since sled's last snapshot: a file beside the marks.
//!
//! ```text
//! header   magic 8 | length u32 | tick u64 | digest 32 | snapshot's name u32+n, hash 32 | blake3
//! tick     length u32 | tick u64 | batches u32, each: changes u32, each:
//!          key u32+n, old 16, new 16 | blake3
//! ```
//! `old` and `new` are the first half of the hash of key and value, zeros for no value. The
//! header says in which state the tree was as sled wrote that snapshot, and at which tick.
//! A file that is not whole, to the last byte, is no proof of anything. Knows nothing of
//! sled.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::bytes::{Fields, Malformed, length_u32};
use crate::error::Error;
use crate::files;
use crate::marks::hash_of;

const MAGIC: [u8; 8] = *b"\xFFbsrct\x01\n";
/// Bytes of a value's mark.
pub(crate) const MARK_BYTES: usize = 16;

/// Half of the hash of a key and its value; zeros if there is no value.
pub(crate) type Mark = [u8; MARK_BYTES];

/// The mark of a key with a value or without.
pub(crate) fn mark_of(key: &[u8], value: Option<&[u8]>) -> Mark {
    mark_of_hash(value.map(|value| hash_of(key, value)).as_ref())
}

/// The mark of a value whose hash with its key is known.
pub(crate) fn mark_of_hash(hash: Option<&[u8; 32]>) -> Mark {
    let mut mark = [0; MARK_BYTES];
    if let Some(hash) = hash {
        mark.copy_from_slice(&hash[..MARK_BYTES]);
    }
    mark
}

/// One key's change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Changed {
    pub key: Vec<u8>,
    pub old: Mark,
    pub new: Mark,
}

/// One tick: its batches in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecentTick {
    pub tick: u64,
    pub batches: Vec<Vec<Changed>>,
}

/// Where the file begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Base {
    /// The last tick before.
    pub tick: u64,
    /// The digest of the state the tree was in then.
    pub digest: [u8; 32],
    /// sled's snapshot.
    pub snapshot: SnapshotMark,
}

/// A snapshot file of sled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SnapshotMark {
    pub name: String,
    pub hash: [u8; 32],
}

/// What the file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recent {
    pub base: Base,
    pub ticks: Vec<RecentTick>,
}

impl Recent {
    /// Reads a file; `None` if it is missing or not whole.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, Error> {
        if !path.exists() {
            return Ok(None);
        }
        let content = std::fs::read(path).map_err(|e| Error::io("reading", path, e))?;
        Ok(Self::decode(&content).ok())
    }

    fn decode(content: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::of(content);
        if fields.array()? != MAGIC {
            return Err(Malformed::because("it does not begin like recent changes"));
        }
        let mut header = Fields::of(part(&mut fields)?);
        let (tick, digest) = (header.u64()?, header.array()?);
        let length = header.u32()? as usize;
        let name = String::from_utf8(header.take(length)?.to_vec())
            .map_err(|_| Malformed::because("the snapshot's name is no text"))?;
        let snapshot = SnapshotMark { name, hash: header.array()? };
        let base = Base { tick, digest, snapshot };
        let mut ticks = Vec::new();
        while !fields.rest().is_empty() {
            ticks.push(decode_tick(part(&mut fields)?)?);
        }
        let gapless = (base.tick + 1..).zip(&ticks).all(|(tick, recent)| recent.tick == tick);
        match gapless {
            true => Ok(Self { base, ticks }),
            false => Err(Malformed::because("a tick is missing")),
        }
    }
}

/// A length, so many bytes, and their hash.
fn part<'a>(fields: &mut Fields<'a>) -> Result<&'a [u8], Malformed> {
    let length = fields.u32()? as usize;
    let body = fields.take(length)?;
    match fields.array::<32>()? == *blake3::hash(body).as_bytes() {
        true => Ok(body),
        false => Err(Malformed::because("a hash does not match")),
    }
}

fn push_part(content: &mut Vec<u8>, body: &[u8]) {
    content.extend(length_u32(body.len()).to_le_bytes());
    content.extend(body);
    content.extend(blake3::hash(body).as_bytes());
}

fn decode_tick(body: &[u8]) -> Result<RecentTick, Malformed> {
    let mut body = Fields::of(body);
    let (tick, batch_count) = (body.u64()?, body.u32()?);
    let mut batches = Vec::new();
    for _ in 0..batch_count {
        let mut batch = Vec::new();
        for _ in 0..body.u32()? {
            let length = body.u32()? as usize;
            let key = body.take(length)?.to_vec();
            batch.push(Changed { key, old: body.array()?, new: body.array()? });
        }
        batches.push(batch);
    }
    Ok(RecentTick { tick, batches })
}

fn encode_tick(tick: &RecentTick) -> Vec<u8> {
    let mut body = tick.tick.to_le_bytes().to_vec();
    body.extend(length_u32(tick.batches.len()).to_le_bytes());
    for batch in &tick.batches {
        body.extend(length_u32(batch.len()).to_le_bytes());
        for Changed { key, old, new } in batch {
            body.extend(length_u32(key.len()).to_le_bytes());
            body.extend(key);
            body.extend(old);
            body.extend(new);
        }
    }
    body
}

/// The file as it is written.
#[derive(Debug)]
pub(crate) struct RecentFile {
    file: File,
    path: PathBuf,
    end: u64,
    /// Changes written so far.
    pub changes: u64,
}

impl RecentFile {
    /// Begins the file anew, durably, in place of one that is there.
    pub(crate) fn begin(path: &Path, base: &Base) -> Result<Self, Error> {
        let mut body = base.tick.to_le_bytes().to_vec();
        body.extend(base.digest);
        body.extend(length_u32(base.snapshot.name.len()).to_le_bytes());
        body.extend(base.snapshot.name.as_bytes());
        body.extend(base.snapshot.hash);
        let mut content = MAGIC.to_vec();
        push_part(&mut content, &body);
        files::replace(path, &content)?;
        let file =
            OpenOptions::new().write(true).open(path).map_err(|e| Error::io("opening", path, e))?;
        Ok(Self { file, path: path.to_owned(), end: content.len() as u64, changes: 0 })
    }

    /// Adds a tick, durably.
    pub(crate) fn append(&mut self, tick: &RecentTick) -> Result<(), Error> {
        let mut content = Vec::new();
        push_part(&mut content, &encode_tick(tick));
        self.file
            .write_all_at(&content, self.end)
            .and_then(|()| self.file.sync_data())
            .map_err(|e| Error::io("writing recent changes to", &self.path, e))?;
        self.end += content.len() as u64;
        self.changes += tick.batches.iter().map(|batch| batch.len() as u64).sum::<u64>();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Base {
        let snapshot = SnapshotMark { name: "snap.01".to_owned(), hash: [2; 32] };
        Base { tick: 4, digest: [1; 32], snapshot }
    }

    fn tick(tick: u64) -> RecentTick {
        let key = vec![7; 3];
        let changed = Changed { old: mark_of(&key, None), new: mark_of(&key, Some(b"v")), key };
        RecentTick { tick, batches: vec![vec![changed.clone()], vec![], vec![changed]] }
    }

    #[test]
    fn only_a_whole_file_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("recent");
        assert_eq!(Recent::read(&path).unwrap(), None);
        let mut file = RecentFile::begin(&path, &base()).unwrap();
        file.append(&tick(5)).unwrap();
        file.append(&tick(6)).unwrap();
        assert_eq!(file.changes, 4);
        let whole = Recent { base: base(), ticks: vec![tick(5), tick(6)] };
        assert_eq!(Recent::read(&path).unwrap(), Some(whole));
        let content = std::fs::read(&path).unwrap();
        let headers = [content.len(), content.len() - (content.len() - header_bytes()) / 2];
        for length in 0..content.len() {
            std::fs::write(&path, &content[..length]).unwrap();
            let read = Recent::read(&path).unwrap();
            let at_border = headers.contains(&length) || length == header_bytes();
            assert!(read.is_none() || at_border, "cut at {length}: {read:?}");
        }
        for at in 0..content.len() {
            let mut flipped = content.clone();
            flipped[at] ^= 1;
            std::fs::write(&path, &flipped).unwrap();
            assert_eq!(Recent::read(&path).unwrap(), None, "byte {at}");
        }
    }

    fn header_bytes() -> usize {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("recent");
        usize::try_from(RecentFile::begin(&path, &base()).unwrap().end).unwrap()
    }

    #[test]
    fn a_missing_tick_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("recent");
        let mut file = RecentFile::begin(&path, &base()).unwrap();
        file.append(&tick(6)).unwrap();
        assert_eq!(Recent::read(&path).unwrap(), None);
    }
}
