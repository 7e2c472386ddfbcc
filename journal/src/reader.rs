//! Reading a data directory without opening it: no server, no store, nothing changed.
//!
//! Knows the chain only, log and archive, so what it shows is what was committed, whatever became
//! of the store.

use std::ops::ControlFlow;
use std::path::Path;

use backstitch_core::ids::{PartitionId, StreamId};

use crate::backup;
use crate::blobs::Blobs;
use crate::commit::{Commit, Head};
use crate::directory::{Directory, DirectoryLock};
use crate::error::Error;
use crate::log::wal::TornTail;
use crate::log::wal::scan::{Chains, Shape};
use crate::log::wal::walk::{Found, walk};
use crate::open::check_not_ahead;
use crate::record::{self, Record};
use crate::removal;
use crate::sources::Sources;
use crate::witnesses::{Witness, witnesses};

/// A data directory that no process has open.
#[derive(Debug)]
pub struct Reader {
    pub(crate) directory: Directory,
    blobs: Blobs,
    pub(crate) shape: Shape,
    pub(crate) sources: Sources,
    /// Keeps a server from starting meanwhile.
    _lock: Option<DirectoryLock>,
}

/// Where a commit stands in the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    /// Number of the segment file.
    pub segment: u64,
    /// Byte in that file.
    pub offset: u64,
}

impl Reader {
    /// Looks at a data directory. While it lasts no server can open the directory; other
    /// readers can.
    ///
    /// # Errors
    /// If a server has it open, or it is no data directory.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, Error> {
        let mut reader = Self::of_locked(directory)?;
        reader._lock = reader.directory.lock_for_reading()?;
        if let Some(last) = backup::last_before_gap(&reader.directory, &reader.sources) {
            reader.sources = reader.sources.up_to(last);
        }
        Ok(reader)
    }

    /// Looks at a directory whose identity is not there to be read.
    pub(crate) fn of_shape(directory: &Path, shape: Shape) -> Result<Self, Error> {
        let directory = Directory::at(directory);
        let lock = directory.lock_for_reading()?;
        let sources = Sources::of(&directory.log(), &directory.archive()?, shape);
        let blobs = Blobs::to_read(directory.blobs(), sources.archive());
        Ok(Self { directory, blobs, shape, sources, _lock: lock })
    }

    /// Looks at a directory that this process holds itself.
    pub(crate) fn of_locked(directory: impl AsRef<Path>) -> Result<Self, Error> {
        let directory = Directory::at(directory.as_ref());
        let Some(shape) = directory.shape()? else {
            let unnamed = directory.path.clone();
            if backup::is_backup(&unnamed) {
                return Err(Error::UnfinishedBackup { directory: unnamed });
            }
            directory.refuse_unnamed_log()?;
            let detail = "it has no `identity`".to_owned();
            return Err(Error::Foreign { directory: unnamed, detail });
        };
        let sources = Sources::of(&directory.log(), &directory.archive()?, shape);
        let blobs = Blobs::to_read(directory.blobs(), sources.archive());
        Ok(Self { directory, blobs, shape, sources, _lock: None })
    }

    /// How many partitions there are.
    #[must_use]
    pub fn partitions(&self) -> usize {
        self.shape.partitions
    }

    /// The store's id, in hex.
    #[must_use]
    pub fn store_id(&self) -> String {
        self.shape.origin.store.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Where the chain begins: each partition's last commit that was cut; zeros if none was.
    ///
    /// # Errors
    /// If the archive cannot be read.
    pub fn beginning(&self) -> Result<Vec<Head>, Error> {
        self.sources.beginning().map(|beginning| beginning.heads)
    }

    /// Visits every commit of the chain, which may begin behind a cut, in order of writing, with
    /// all checks, until `visit` answers
    /// `false`. Answers the torn tail, if a crash left one.
    ///
    /// # Errors
    /// [`Error::Damaged`] at the first thing that is not whole; [`Error::LogBehindStore`] if the
    /// chain's end is missing, as far as the store beside it can tell.
    pub fn for_each_commit(
        &self,
        mut visit: impl FnMut(&Commit, Location) -> bool,
    ) -> Result<Option<TornTail>, Error> {
        // Before the log, which may grow meanwhile.
        let witnesses = self.witnesses()?;
        let mut stopped = false;
        let mut chains = Chains::at(self.sources.beginning()?.heads);
        let mut failure = None;
        let mut torn = None;
        walk(&self.sources, &mut |found| match found {
            Found::Commit { segment, offset, origin, commit } => {
                if let Err(detail) = chains.accept(&origin, commit) {
                    failure = Some(commit.damage(segment, offset, detail));
                    return false;
                }
                stopped = !visit(commit, Location { segment, offset });
                !stopped
            }
            Found::Damage(damage) => {
                failure = Some(damage);
                false
            }
            Found::Torn(tail) => {
                torn = Some(tail);
                true
            }
            Found::Flaw(flaw) if !flaw.healable => {
                failure = Some(flaw.damage);
                false
            }
            Found::Group | Found::Segment | Found::Archived | Found::Flaw(_) => true,
        })?;
        match failure {
            Some(damage) => Err(Error::Damaged { damage }),
            None if stopped => Ok(torn),
            None => {
                let log: Vec<u64> = chains.heads.iter().map(|head| head.sequence).collect();
                for witness in &witnesses {
                    check_not_ahead(&log, &witness.applied)?;
                }
                Ok(torn)
            }
        }
    }

    /// Who beside the log says how far it had come: none is ever ahead of it.
    pub(crate) fn witnesses(&self) -> Result<Vec<Witness>, Error> {
        witnesses(&self.directory, &self.shape)
    }

    /// Visits every record that the base keeps of what was cut, stream by stream, with the
    /// generation of the cut and without the payloads that are kept beside the records.
    ///
    /// # Errors
    /// [`Error::Damaged`] at the first thing that is not whole.
    pub fn for_each_kept(&self, mut visit: impl FnMut(u32, Record)) -> Result<(), Error> {
        let Some(base) = self.sources.base()? else { return Ok(()) };
        let generation = base.header().origin.generation;
        base.for_each_entry(|entry| {
            entry.decode()?.into_iter().for_each(|record| visit(generation, record));
            Ok(())
        })
    }

    /// Visits the commits of a partition that hold records behind a position, in order, until
    /// `visit` breaks off. Reads only what it needs, and checks only what it reads.
    ///
    /// # Errors
    /// [`Error::Damaged`] where the log is not whole; what was visited before is right.
    pub fn commits_after(
        &self,
        partition: PartitionId,
        after_position: u64,
        visit: &mut dyn FnMut(&Commit) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        self.sources.commits_after(None, partition, after_position, visit)
    }

    /// Gives records that were read off a commit the payloads back that are kept beside them;
    /// one that cannot be had stays absent and says why.
    ///
    /// # Errors
    /// If the system refuses to read for a reason that may pass.
    pub fn give_back(&self, records: &mut [Record]) -> Result<(), Error> {
        self.blobs.give_back(records)
    }

    /// Visits every record, until `visit` answers `false`: what the base keeps of what was cut,
    /// stream by stream, then the rest in order of writing.
    ///
    /// # Errors
    /// [`Error::Damaged`] at the first thing that is not whole.
    pub fn for_each_record(&self, mut visit: impl FnMut(Record) -> bool) -> Result<(), Error> {
        let (mut going, mut refused) = (true, None);
        let mut whole = |mut record: Record| {
            refused = self.blobs.give_back(std::slice::from_mut(&mut record)).err();
            refused.is_none() && visit(record)
        };
        if let Some(base) = self.sources.base()? {
            base.for_each_entry(|entry| {
                for record in entry.decode()? {
                    going = going && whole(record);
                }
                Ok(())
            })?;
        }
        if going {
            self.for_each_commit(|commit, _| commit.records().into_iter().all(&mut whole))?;
        }
        refused.map_or(Ok(()), Err)
    }

    /// A stream's whole history in order, `None` if there is none or it was removed. Reads the
    /// whole chain.
    ///
    /// # Errors
    /// [`Error::Damaged`] at the first thing that is not whole; [`Error::Gap`] if a version
    /// is missing.
    pub fn history(&self, stream: &StreamId) -> Result<Option<Vec<Record>>, Error> {
        let mut records: Vec<Record> = Vec::new();
        if let Some(base) = self.sources.base()? {
            for entry in base.entries_of(stream)? {
                records.extend(entry.decode()?);
            }
        }
        self.for_each_commit(|commit, _| {
            for entry in &commit.entries {
                if removal::of_entry(commit, entry).iter().any(|(run, _)| run == stream) {
                    records.clear();
                }
                if entry.stream != *stream {
                    continue;
                }
                let decoded = record::decode(commit.body(entry), entry.position);
                records.push(decoded.expect("the commit decoded as a whole"));
            }
            true
        })?;
        let gap = (1..).zip(&records).find(|(version, record)| record.version != *version);
        if let Some((missing, _)) = gap {
            return Err(Error::Gap { stream: stream.clone(), missing });
        }
        self.blobs.give_back(&mut records)?;
        Ok(Some(records).filter(|records| !records.is_empty()))
    }
}
