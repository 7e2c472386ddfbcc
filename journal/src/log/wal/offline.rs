//! Writing a log that nobody has open: commits in order, into segments that are not used
//! before all of it is there.
//!
//! Nothing is synced before the end, so what a crash leaves of it is to be thrown away. Knows
//! nothing of where the commits come from.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::commit::{Commit, Head};
use crate::error::Error;
use crate::log::wal::layout::{self, GROUP_HEADER_BYTES, SECTOR_BYTES};
use crate::log::wal::scan::{Chains, Shape};
use crate::log::wal::writer::begin_segment;
use crate::log::wal::{GROUP_BYTES_MAX, segments};

/// A log under construction.
pub(crate) struct OfflineLog {
    directory: PathBuf,
    shape: Shape,
    file: File,
    segment: u64,
    offset: u64,
    next_group: u64,
    chains: Chains,
    /// The chains before the commits that are still to be written.
    written: Vec<Head>,
    waiting: Vec<Commit>,
    waiting_bytes: usize,
}

impl OfflineLog {
    /// Begins with a segment of this number, behind what the heads and the group say.
    pub(crate) fn begin(
        directory: &Path,
        shape: Shape,
        segment: u64,
        first_group: u64,
        heads: Vec<Head>,
    ) -> Result<Self, Error> {
        let file = segments::create(directory, segment, shape.segment_bytes)?;
        begin_segment(&file, &shape, segment, first_group, heads.clone())
            .map_err(|e| Error::io("beginning", &segments::path_of(directory, segment), e))?;
        Ok(Self {
            directory: directory.to_owned(),
            shape,
            file,
            segment,
            offset: layout::segment_header_bytes(shape.partitions) as u64,
            next_group: first_group,
            written: heads.clone(),
            chains: Chains::at(heads),
            waiting: Vec::new(),
            waiting_bytes: 0,
        })
    }

    /// Takes the next commit of a partition.
    ///
    /// # Errors
    /// [`Error::Damaged`] if it does not follow the one before it.
    pub(crate) fn push(&mut self, commit: Commit) -> Result<(), Error> {
        self.chains.accept(&self.shape.origin, &commit).map_err(|detail| Error::Damaged {
            damage: commit.damage(self.segment, self.offset, detail),
        })?;
        let group_bytes_max = GROUP_BYTES_MAX.min(self.shape.segment_bytes as usize / 4);
        let bytes = layout::commit_bytes_in_group(&commit);
        if self.waiting_bytes > 0 && self.waiting_bytes + bytes > group_bytes_max {
            self.write_group()?;
        }
        self.waiting_bytes += bytes;
        self.waiting.push(commit);
        Ok(())
    }

    /// Where the chains stand.
    pub(crate) fn heads(&self) -> &[Head] {
        &self.chains.heads
    }

    /// Writes what waits, and a marker that proves it; then all of it is durable. Answers
    /// where the chains ended.
    pub(crate) fn finish(mut self) -> Result<Vec<Head>, Error> {
        if !self.waiting.is_empty() {
            self.write_group()?;
        }
        self.make_room(GROUP_HEADER_BYTES)?;
        self.write(&[])?;
        self.sync()?;
        Ok(self.chains.heads)
    }

    fn write_group(&mut self) -> Result<(), Error> {
        self.make_room(GROUP_HEADER_BYTES + self.waiting_bytes)?;
        let commits = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        self.write(&commits)?;
        for commit in &commits {
            self.written[usize::from(commit.partition().0)] = commit.head();
        }
        Ok(())
    }

    fn make_room(&mut self, bytes: usize) -> Result<(), Error> {
        let needed = bytes.next_multiple_of(SECTOR_BYTES) as u64;
        if self.offset + needed <= self.shape.segment_bytes {
            return Ok(());
        }
        self.sync()?;
        let (number, heads) = (self.segment + 1, self.written.clone());
        let next = Self::begin(&self.directory, self.shape, number, self.next_group, heads)?;
        (self.file, self.segment, self.offset) = (next.file, next.segment, next.offset);
        Ok(())
    }

    fn write(&mut self, commits: &[Commit]) -> Result<(), Error> {
        let (origin, mut bytes) = (self.shape.origin, Vec::new());
        let proven = self.next_group - 1;
        layout::encode_group(&origin, self.next_group, proven, commits.iter(), &mut bytes);
        let path = segments::path_of(&self.directory, self.segment);
        self.file
            .write_all_at(&bytes, self.offset)
            .map_err(|e| Error::io("writing to", &path, e))?;
        self.offset += bytes.len() as u64;
        self.next_group += 1;
        Ok(())
    }

    fn sync(&self) -> Result<(), Error> {
        let path = segments::path_of(&self.directory, self.segment);
        self.file.sync_data().map_err(|e| Error::io("syncing", &path, e))
    }
}
