//! The second copy of contents, in the archive: `contents/ab/<64 hex digits>`, packed.
//!
//! A copy is what its name says or none: whatever reads back otherwise is as if it were not
//! there. Knows nothing of the first copy, nor of who asks.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use backstitch_core::ids::Digest;
use backstitch_core::payload::PAYLOAD_BYTES_MAX;

use super::files::{Kind, SPREAD, for_each, path_of};
use crate::archive::pack::LEVEL;
use crate::error::Error;
use crate::files;

/// Where copies are, in an archive.
pub(crate) const DIRECTORY: &str = "contents";

/// The copies in an archive.
#[derive(Debug, Clone)]
pub(crate) struct Copies {
    path: PathBuf,
}

impl Copies {
    /// Those of the archive in a directory, which need not be there.
    pub(crate) fn of(archive: &Path) -> Self {
        Self { path: archive.join(DIRECTORY) }
    }

    /// Whether the archive is there at all: it may be on a disk that is not.
    pub(super) fn is_in_reach(&self) -> bool {
        files::parent(&self.path).exists()
    }

    /// Whether there is a copy, whole or not.
    pub(super) fn has(&self, digest: &Digest) -> bool {
        path_of(&self.path, digest).exists()
    }

    /// A content, if its copy is whole.
    pub(crate) fn read(&self, digest: &Digest) -> Option<Vec<u8>> {
        let packed = fs::read(path_of(&self.path, digest)).ok()?;
        let bytes = zstd::bulk::decompress(&packed, PAYLOAD_BYTES_MAX).ok()?;
        (Digest::of(&bytes) == *digest).then_some(bytes)
    }

    /// Writes a copy beside its place, durably, and gives it no name yet.
    pub(super) fn prepare(&self, digest: &Digest, bytes: &[u8]) -> Result<(), Error> {
        let path = path_of(&self.path, digest);
        files::make_directories(files::parent(&path))?;
        let beside = path.with_extension("new");
        let write = || -> io::Result<()> {
            let mut file = File::create(&beside)?;
            file.write_all(&zstd::bulk::compress(bytes, LEVEL)?)?;
            file.sync_all()
        };
        write().map_err(|e| Error::io("writing", &beside, e))
    }

    /// Puts what was prepared in place of a copy that may be there.
    pub(super) fn put(&self, digest: &Digest) -> Result<(), Error> {
        let path = path_of(&self.path, digest);
        fs::rename(path.with_extension("new"), &path)
            .map_err(|e| Error::io("renaming to", &path, e))
    }

    /// Makes durable that a copy is there.
    pub(super) fn settle(&self, digest: &Digest) -> Result<(), Error> {
        files::sync_directory(files::parent(&path_of(&self.path, digest)))
    }

    /// Removes a copy and what was being written of it, durably.
    pub(super) fn remove(&self, digest: &Digest) -> Result<(), Error> {
        let path = path_of(&self.path, digest);
        files::remove(&path.with_extension("new"))?;
        files::remove(&path)
    }

    /// The contents of which there is a copy, whole or not, ascending.
    pub(crate) fn digests(&self) -> Result<Vec<Digest>, Error> {
        let mut found = Vec::new();
        for first in 0..SPREAD {
            let first = u8::try_from(first).expect("there are as many as a byte has values");
            for_each(&self.path, first, &mut |_, kind, _| {
                if let Kind::Content(digest) = kind {
                    found.push(digest);
                }
            })?;
        }
        found.sort_unstable_by_key(|digest| digest.0);
        Ok(found)
    }
}
