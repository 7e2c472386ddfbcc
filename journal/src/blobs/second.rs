//! The two copies of a content: its file, and a packed one in the archive from when the segment
//! that names it is archived.
//!
//! Each heals the other. A content that was erased, or collected, is gone from both, and what
//! is gone is not made again: a copy is only ever made of a file, and a file of a copy only
//! where no erasure stands beside its name.

use std::path::Path;
use std::sync::Arc;

use backstitch_core::ids::Digest;
use backstitch_core::payload::AbsentWhy;

use super::archived::Copies;
use super::check::Named;
use super::files::{Files, path_of, tombstone_of};
use crate::error::Error;
use crate::files;
use crate::locks::lock;

/// How the two copies of a content were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pair {
    /// Nothing was to be done, or could be.
    AsItWas,
    /// There was no copy, and there is now.
    Archived,
    /// One of the two was made anew from the other.
    Healed,
}

impl Files {
    /// The same with the copies of an archive; `heals` says whether a file that is lost or
    /// damaged is made anew as it is read.
    pub(crate) fn with_copies(mut self, archive: Option<&Path>, heals: bool) -> Self {
        (self.copies, self.heals) = (archive.map(Copies::of), heals);
        self
    }

    /// A content: as its file has it, or else as its copy does.
    pub(super) fn read(
        &self,
        digest: &Digest,
        length_bytes: u64,
    ) -> Result<Result<Arc<str>, AbsentWhy>, Error> {
        let why = match self.read_file(digest, length_bytes)? {
            Err(why @ (AbsentWhy::Missing | AbsentWhy::Damaged)) => why,
            found => return Ok(found),
        };
        let Some(bytes) = self.copies.as_ref().and_then(|copies| copies.read(digest)) else {
            return Ok(Err(why));
        };
        if self.heals {
            // What cannot be written now is put back by another read.
            drop(self.put_back(digest, length_bytes));
        }
        Ok(String::from_utf8(bytes).map(Arc::from).map_err(|_| why))
    }

    /// Makes a content's file anew from its copy.
    fn put_back(&self, digest: &Digest, length_bytes: u64) -> Result<bool, Error> {
        let path = path_of(self.path(), digest);
        let _taking = lock(&self.taking);
        // It may have been erased, or kept anew, since it was looked for.
        let erased = !path.exists() && tombstone_of(&path).exists();
        if erased || self.read_file(digest, length_bytes)?.is_ok() {
            return Ok(false);
        }
        let Some(bytes) = self.copies.as_ref().and_then(|copies| copies.read(digest)) else {
            return Ok(false);
        };
        files::make_directories(files::parent(&path))?;
        self.put(digest, &path, &bytes)?;
        files::sync_directory(files::parent(&path))?;
        Ok(true)
    }

    /// Makes every file anew that is lost or damaged and has a copy.
    pub(crate) fn put_back_all(&self) -> Result<(), Error> {
        let Some(copies) = &self.copies else { return Ok(()) };
        for digest in copies.digests()? {
            if let Some(copy) = copies.read(&digest) {
                self.put_back(&digest, copy.len() as u64)?;
            }
        }
        Ok(())
    }

    /// Whether a content has a copy, whole or not.
    pub(crate) fn has_copy(&self, digest: &Digest) -> bool {
        self.copies.as_ref().is_some_and(|copies| copies.has(digest))
    }

    /// Has a copy of a content in the archive; with `compare` both are read, and one that is not
    /// whole is made anew from the other.
    pub(crate) fn pair(&self, digest: &Digest, compare: bool) -> Result<Pair, Error> {
        let Some(copies) = &self.copies else { return Ok(Pair::AsItWas) };
        let has = copies.has(digest);
        if has && !compare {
            return Ok(Pair::AsItWas);
        }
        let copy = copies.read(digest);
        let path = path_of(self.path(), digest);
        let file = std::fs::read(&path).ok().filter(|bytes| Digest::of(bytes) == *digest);
        let bytes = match (file, copy) {
            (None, Some(copy)) => {
                let healed = self.put_back(digest, copy.len() as u64)?;
                return Ok(if healed { Pair::Healed } else { Pair::AsItWas });
            }
            // One that is gone was erased, or collected.
            (Some(_), Some(_)) | (None, None) => return Ok(Pair::AsItWas),
            (Some(bytes), None) => bytes,
        };
        // Whoever keeps contents waits while files are taken: so the copy is made before.
        copies.prepare(digest, &bytes)?;
        {
            let _taking = lock(&self.taking);
            if !path.exists() {
                copies.remove(digest)?;
                return Ok(Pair::AsItWas);
            }
            copies.put(digest)?;
        }
        copies.settle(digest)?;
        Ok(if has { Pair::Healed } else { Pair::Archived })
    }

    /// Removes the copy of a content that is just going; if that cannot be, it is removed later.
    pub(super) fn remove_copy(&self, digest: &Digest) {
        let Some(copies) = &self.copies else { return };
        if !copies.is_in_reach() || copies.remove(digest).is_err() {
            lock(&self.left_over).insert(*digest);
        }
    }

    /// Removes copies that could not be removed as their contents went.
    pub(crate) fn remove_left_over(&self) -> Result<(), Error> {
        let Some(copies) = self.copies.as_ref().filter(|copies| copies.is_in_reach()) else {
            return Ok(());
        };
        let left_over = lock(&self.left_over).clone();
        for digest in left_over {
            let _taking = lock(&self.taking);
            // One that was kept anew since has a copy by right.
            if self.kept_bytes(&digest).is_none() {
                copies.remove(&digest)?;
            }
            lock(&self.left_over).remove(&digest);
        }
        Ok(())
    }

    /// Removes copies of contents that have no file and are not named.
    pub(super) fn collect_copies(&self, named: &Named) -> Result<(), Error> {
        let Some(copies) = &self.copies else { return Ok(()) };
        for digest in copies.digests()?.iter().filter(|digest| !named.contains_key(digest)) {
            let _taking = lock(&self.taking);
            if self.kept_bytes(digest).is_none() {
                copies.remove(digest)?;
            }
        }
        Ok(())
    }
}
