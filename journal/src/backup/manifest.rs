//! What a backup holds: a list of files with their digests, written last.
//!
//! ```text
//! backup.json = {"backup": {...}, "blake3": digest of the text of the first}
//! ```
//! A segment that is still written grows: its entry covers the bytes that were there, and a
//! later run may leave more behind them. Knows names and digests, not what is in the files.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path};

use backstitch_core::ids::Digest;
use backstitch_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::backup::is_backup;
use crate::commit::Head;
use crate::error::Error;
use crate::files;

/// The manifest's name in a backup.
pub(crate) const MANIFEST: &str = "backup.json";
/// The format of manifests that this code writes.
const FORMAT: u16 = 1;
/// Read at a time while hashing.
const PIECE_BYTES: usize = 1024 * 1024;

/// What a backup is and holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Format of this list.
    pub format: u16,
    /// The store's id, in hex.
    pub store_id: String,
    /// Counts restores, from 1.
    pub generation: u32,
    /// When the backup was begun.
    pub begun_at: Timestamp,
    /// Where each partition ends at least.
    pub ends: Vec<BackupEnd>,
    /// The files, by name.
    pub files: BTreeMap<String, FileEntry>,
    /// Contents that a run which did not end may have put in place of a file's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub replacing: BTreeMap<String, FileEntry>,
}

/// The last commit of a partition that is surely in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupEnd {
    /// Its number; 0 if the partition is empty.
    pub sequence: u64,
    /// Position of its last record.
    pub position: u64,
    /// Its hash, in hex.
    pub hash: String,
    /// When it was made.
    pub committed_at: Timestamp,
}

/// One file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Bytes that the digest covers; what is behind them is zeros, or came later.
    pub bytes: u64,
    /// Bytes of the file.
    pub length: u64,
    /// Digest of the covered bytes, in hex.
    pub blake3: String,
    /// When the source was changed last, in nanoseconds since 1970: tells whether it must be
    /// read again.
    pub modified_ns: i64,
}

#[derive(Deserialize)]
struct Sealed {
    backup: Manifest,
    blake3: String,
}

impl BackupEnd {
    pub(crate) fn of(head: &Head) -> Self {
        let Head { sequence, position, committed_at, .. } = *head;
        Self { sequence, position, hash: head.hash.to_string(), committed_at }
    }
}

impl Manifest {
    pub(crate) fn new(store_id: String, generation: u32, at: Timestamp, heads: &[Head]) -> Self {
        Self {
            format: FORMAT,
            store_id,
            generation,
            begun_at: at,
            ends: heads.iter().map(BackupEnd::of).collect(),
            files: BTreeMap::new(),
            replacing: BTreeMap::new(),
        }
    }

    /// The manifest of a directory; `None` if it has none.
    ///
    /// # Errors
    /// [`Error::Manifest`] if it cannot be read as what was written.
    pub fn read(directory: &Path) -> Result<Option<Self>, Error> {
        let path = directory.join(MANIFEST);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("reading", &path, error)),
        };
        let damaged = |detail: String| Error::Manifest { path: path.clone(), detail };
        let Sealed { backup, blake3 } =
            serde_json::from_slice(&text).map_err(|e| damaged(e.to_string()))?;
        if backup.format != FORMAT {
            return Err(damaged(format!("its format {} is not known here", backup.format)));
        }
        let foreign = |name: &&String| {
            let mut parts = Path::new(name.as_str()).components();
            name.is_empty() || !parts.all(|part| matches!(part, Component::Normal(_)))
        };
        if let Some(name) = backup.files.keys().chain(backup.replacing.keys()).find(foreign) {
            return Err(damaged(format!("`{name}` is no file of a backup")));
        }
        match backup.text(&path)?.1 == blake3 {
            true => Ok(Some(backup)),
            false => Err(damaged("its digest does not match".to_owned())),
        }
    }

    /// The manifest of a directory, which must be there in a backup; `None` if it is none.
    ///
    /// # Errors
    /// [`Error::Manifest`] if it is missing, or cannot be read as what was written.
    pub(crate) fn of_backup(directory: &Path) -> Result<Option<Self>, Error> {
        match Self::read(directory)? {
            None if is_backup(directory) => Err(Error::Manifest {
                path: directory.join(MANIFEST),
                detail: "it is missing: the backup was never finished, or somebody removed it, \
                         and nothing else tells where it should end"
                    .to_owned(),
            }),
            found => Ok(found),
        }
    }

    /// The manifest as JSON, and the digest of that.
    fn text(&self, path: &Path) -> Result<(Vec<u8>, String), Error> {
        let text = serde_json::to_vec(self)
            .map_err(|e| Error::io("writing", path, io::Error::other(e)))?;
        let digest = Digest::of(&text).to_string();
        Ok((text, digest))
    }

    /// Puts the manifest into a backup, in one step and durably.
    pub(crate) fn write(&self, directory: &Path) -> Result<(), Error> {
        let path = directory.join(MANIFEST);
        let (backup, digest) = self.text(&path)?;
        let mut text = b"{\"backup\":".to_vec();
        text.extend(backup);
        text.extend(format!(",\"blake3\":\"{digest}\"}}\n").bytes());
        files::replace(&path, &text)
    }

    /// Whether a file of the backup is what the manifest says; if not, what is wrong.
    pub(crate) fn check(&self, directory: &Path, name: &str) -> Result<Option<String>, Error> {
        let path = directory.join(name);
        let candidates = [self.files.get(name), self.replacing.get(name)];
        let mut wrong = None;
        for entry in candidates.into_iter().flatten() {
            match fs::metadata(&path) {
                Ok(found) if found.len() == entry.length => {}
                Ok(found) => {
                    let (found, length) = (found.len(), entry.length);
                    wrong = Some(format!("it has {found} bytes, not {length}"));
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Ok(Some("it is missing".to_owned()));
                }
                Err(error) => return Err(Error::io("measuring", &path, error)),
            }
            if digest_of_file(&path, entry.bytes)?.to_string() == entry.blake3 {
                return Ok(None);
            }
            wrong = Some("its digest is not the one in the manifest".to_owned());
        }
        Ok(wrong)
    }
}

/// The digest of a file's first bytes.
pub(crate) fn digest_of_file(path: &Path, bytes: u64) -> Result<Digest, Error> {
    let failed = |e| Error::io("reading", path, e);
    let mut file = File::open(path).map_err(failed)?.take(bytes);
    let (mut hasher, mut piece) = (blake3::Hasher::new(), vec![0; PIECE_BYTES]);
    loop {
        match file.read(&mut piece).map_err(failed)? {
            0 => return Ok(Digest(*hasher.finalize().as_bytes())),
            read => hasher.update(&piece[..read]),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_out_of_the_backup_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let entry = FileEntry { bytes: 1, length: 1, blake3: String::new(), modified_ns: 0 };
        for (name, good) in [("log/a", true), ("../a", false), ("/dev/zero", false), ("", false)] {
            let mut manifest = Manifest::new("x".to_owned(), 1, Timestamp(1), &[]);
            manifest.files.insert(name.to_owned(), entry.clone());
            manifest.write(directory.path()).unwrap();
            assert_eq!(Manifest::read(directory.path()).is_ok(), good, "{name}");
        }
    }
}
