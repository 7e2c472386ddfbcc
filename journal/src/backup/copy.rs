//! Copying one file into a backup, if it is not there already.
//!
//! Knows bytes and digests, not what the files mean.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::manifest::{FileEntry, digest_of_file};
use crate::error::Error;
use crate::progress::Meter;

/// Read at a time.
const PIECE_BYTES: usize = 1024 * 1024;

/// A file of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SourceFile {
    /// Its name in the backup.
    pub name: String,
    pub path: std::path::PathBuf,
    /// Bytes to copy, if not all: what is behind them is left zero.
    pub bytes: Option<u64>,
}

/// What became of a file.
pub(super) struct Copied {
    pub entry: FileEntry,
    /// It is written beside its place, for the caller to put there.
    pub fresh: bool,
}

impl SourceFile {
    pub(super) fn bytes(&self) -> u64 {
        let length = || fs::metadata(&self.path).map_or(0, |found| found.len());
        self.bytes.unwrap_or_else(length)
    }
}

/// Makes the file's content be in the backup: at `to` already, or at `beside`, synced.
pub(super) fn copy(
    source: &SourceFile,
    known: Option<&FileEntry>,
    to: &Path,
    beside: &Path,
    meter: &mut Meter<'_, '_>,
) -> Result<Copied, Error> {
    let file = File::open(&source.path).map_err(|e| Error::io("opening", &source.path, e))?;
    let found = file.metadata().map_err(|e| Error::io("measuring", &source.path, e))?;
    let length = found.len();
    let modified_ns =
        found.mtime().saturating_mul(1_000_000_000).saturating_add(found.mtime_nsec());
    let limit = source.bytes.unwrap_or(length);
    let there = fs::metadata(to).ok().filter(|there| there.len() == length);
    if let (Some(known), Some(_)) = (known, &there) {
        // What is still written may change within a tick of the file system's clock; what is
        // covered to its last byte is not written any more.
        let unchanged = known.modified_ns == modified_ns && known.bytes == length;
        let whole = source.bytes.is_none() && unchanged;
        if whole && digest_of_file(to, known.bytes)?.to_string() == known.blake3 {
            meter.add(limit)?;
            return Ok(Copied { entry: known.clone(), fresh: false });
        }
    }
    if let (Some(known), Some(_), Some(limit)) = (known, &there, source.bytes)
        && (known.bytes, known.length) == (limit, length)
        && digest_of_file(&source.path, limit)?.to_string() == known.blake3
        && digest_of_file(to, limit)?.to_string() == known.blake3
    {
        // Nothing was written to it since the backup before.
        meter.add(limit)?;
        return Ok(Copied { entry: known.clone(), fresh: false });
    }
    let entry = |bytes: u64, digest: blake3::Hash| FileEntry {
        bytes,
        length,
        blake3: digest.to_hex().to_string(),
        modified_ns,
    };
    if there.is_some() && source.bytes.is_none() {
        // A run that did not end may have copied it: compare rather than write again.
        let digest = digest_of_file(&source.path, length)?;
        if digest_of_file(to, length)? == digest {
            meter.add(limit)?;
            return Ok(Copied { entry: entry(length, blake3::Hash::from(digest.0)), fresh: false });
        }
    }
    let (bytes, digest) = write(file, source, limit, length, beside, meter)?;
    Ok(Copied { entry: entry(bytes, digest), fresh: true })
}

/// Writes the file beside its place and reads it back.
fn write(
    file: File,
    source: &SourceFile,
    limit: u64,
    length: u64,
    beside: &Path,
    meter: &mut Meter<'_, '_>,
) -> Result<(u64, blake3::Hash), Error> {
    let reading = |e| Error::io("reading", &source.path, e);
    let writing = |e| Error::io("writing", beside, e);
    let mut target = File::create(beside).map_err(writing)?;
    let (mut hasher, mut piece, mut bytes) = (blake3::Hasher::new(), vec![0; PIECE_BYTES], 0);
    let mut file = file.take(limit);
    loop {
        let read = file.read(&mut piece).map_err(reading)?;
        if read == 0 {
            break;
        }
        hasher.update(&piece[..read]);
        target.write_all(&piece[..read]).map_err(writing)?;
        bytes += read as u64;
        meter.add(read as u64)?;
    }
    if bytes != limit {
        let short = io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter");
        return Err(reading(short));
    }
    target.set_len(length).map_err(writing)?;
    target.sync_all().map_err(writing)?;
    let digest = hasher.finalize();
    if digest_of_file(beside, bytes)?.0 != *digest.as_bytes() {
        return Err(writing(io::Error::other("what was written reads back otherwise")));
    }
    Ok((bytes, digest))
}
