//! Contents kept beside the records that name them, by digest.
//!
//! A content is durable here before the commit that names it goes to the log, and what is read
//! is compared with its digest: it is the right content or none. Knows digests and texts, and
//! nothing of what they mean.

pub(crate) mod archived;
pub(crate) mod check;
mod files;
mod journal;
mod second;
pub(crate) mod writer;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use backstitch_core::checkpoint::Checkpoint;
use backstitch_core::event::{Event, PartitionEvent};
use backstitch_core::ids::Digest;
use backstitch_core::payload::{AbsentWhy, Payload};

use crate::error::Error;
use crate::locks::lock;
use crate::record::Record;
pub(crate) use files::Files;
pub(crate) use second::Pair;

/// A content and its digest.
pub(crate) type Text = (Digest, Arc<str>);

/// All contents of a store.
#[derive(Debug)]
pub(crate) struct Blobs {
    home: Home,
    /// Erased by a record, whatever became of the file so far.
    erased: Mutex<HashSet<Digest>>,
}

#[derive(Debug)]
enum Home {
    Files(Arc<Files>),
    Memory(Mutex<HashMap<Digest, Arc<str>>>),
}

impl Blobs {
    /// Contents in files.
    pub(crate) fn of(files: Arc<Files>) -> Self {
        Self { home: Home::Files(files), erased: Mutex::default() }
    }

    /// Contents of a directory that is only looked at, with their copies in its archive.
    pub(crate) fn to_read(path: PathBuf, archive: Option<&Path>) -> Self {
        Self::of(Arc::new(Files::at(path, false).with_copies(archive, false)))
    }

    /// Contents in memory, for journals without files.
    pub(crate) fn memory() -> Self {
        Self { home: Home::Memory(Mutex::default()), erased: Mutex::default() }
    }

    fn files(&self) -> Option<&Files> {
        match &self.home {
            Home::Files(files) => Some(files),
            Home::Memory(_) => None,
        }
    }

    /// Keeps contents, durably once this returns.
    pub(crate) fn keep(&self, texts: &[Text]) -> Result<(), Error> {
        match &self.home {
            Home::Files(files) => files.write(texts),
            Home::Memory(kept) => {
                lock(kept).extend(texts.iter().cloned());
                Ok(())
            }
        }
    }

    /// A content, or why there is none.
    ///
    /// # Errors
    /// If the system refuses to read for a reason that may pass.
    pub(crate) fn read(
        &self,
        digest: &Digest,
        length_bytes: u64,
    ) -> Result<Result<Arc<str>, AbsentWhy>, Error> {
        let found = match &self.home {
            Home::Files(files) => files.read(digest, length_bytes)?,
            Home::Memory(kept) => lock(kept).get(digest).cloned().ok_or(AbsentWhy::Missing),
        };
        Ok(match found {
            Err(AbsentWhy::Missing) if lock(&self.erased).contains(digest) => {
                Err(AbsentWhy::Erased)
            }
            found => found,
        })
    }

    /// Gives records the contents back that they left here; what cannot be had is said.
    ///
    /// # Errors
    /// If the system refuses to read for a reason that may pass.
    pub(crate) fn give_back(&self, records: &mut [Record]) -> Result<(), Error> {
        let mut giving = Giving { blobs: self, found: HashMap::new(), failed: None };
        for record in records {
            record.event.for_each_payload_mut(&mut |payload| giving.give(payload));
        }
        giving.failed.map_or(Ok(()), Err)
    }

    /// Gives a checkpoint its contents back. Answers whether it got all: what a state derives
    /// of its events is not kept here, and then it is folded from them.
    ///
    /// # Errors
    /// If the system refuses to read for a reason that may pass.
    pub(crate) fn give_back_to_checkpoint(
        &self,
        checkpoint: &mut Checkpoint,
    ) -> Result<bool, Error> {
        let mut giving = Giving { blobs: self, found: HashMap::new(), failed: None };
        let mut whole = true;
        checkpoint.for_each_payload_mut(&mut |payload| {
            giving.give(payload);
            whole &= payload.absent().is_none();
        });
        giving.failed.map_or(Ok(whole), Err)
    }

    /// Takes note of what records say was erased.
    pub(crate) fn note_erased(&self, digests: impl IntoIterator<Item = Digest>) {
        lock(&self.erased).extend(digests);
    }

    /// Erases a content for good: a record that says so was made just now.
    pub(crate) fn erase(&self, digest: &Digest) -> Result<(), Error> {
        match &self.home {
            Home::Files(files) => files.erase(digest),
            Home::Memory(kept) => {
                lock(kept).remove(digest);
                Ok(())
            }
        }
    }

    /// Makes good what a crash cut off: erases a content unless as many erasures of it as are
    /// recorded took place. One that was kept anew since stays.
    pub(crate) fn erase_up_to(&self, digest: &Digest, recorded: u64) -> Result<(), Error> {
        match &self.home {
            Home::Files(files) => files.erase_up_to(digest, recorded),
            Home::Memory(_) => self.erase(digest),
        }
    }

    /// Bytes of a content that is kept here, whole or not.
    pub(crate) fn kept_bytes(&self, digest: &Digest) -> Option<u64> {
        match &self.home {
            Home::Files(files) => files.kept_bytes(digest),
            Home::Memory(kept) => lock(kept).get(digest).map(|text| text.len() as u64),
        }
    }

    /// Counts what is there: contents and their bytes, as far as they were counted.
    pub(crate) fn counted(&self) -> (u64, u64) {
        match &self.home {
            Home::Files(files) => files.counted(),
            Home::Memory(kept) => {
                let kept = lock(kept);
                (kept.len() as u64, kept.values().map(|text| text.len() as u64).sum())
            }
        }
    }
}

/// Giving contents back; equal ones are read and held once.
struct Giving<'a> {
    blobs: &'a Blobs,
    found: HashMap<Digest, Result<Arc<str>, AbsentWhy>>,
    failed: Option<Error>,
}

impl Giving<'_> {
    fn give(&mut self, payload: &mut Payload) {
        let Some((digest, length_bytes)) = payload.reference() else { return };
        if payload.absent().is_none() || self.failed.is_some() {
            return;
        }
        if let Some(known) = self.found.get(&digest) {
            return payload.give_back(known.clone());
        }
        match self.blobs.read(&digest, length_bytes) {
            Ok(read) => {
                payload.give_back(read.clone());
                self.found.insert(digest, read);
            }
            Err(error) => self.failed = Some(error),
        }
    }
}

/// The contents that records say were erased.
pub(crate) fn erased_by<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<Digest> {
    let erased = records.into_iter().filter_map(|record| match &record.event {
        Event::Partition(PartitionEvent::PayloadErased { digest, .. }) => Some(*digest),
        _ => None,
    });
    erased.collect()
}
