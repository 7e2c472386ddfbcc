//! The groups of one segment, read one after the other.
//!
//! Reads a group at a time and no more, so that following a long chain takes the memory of
//! one group. Knows where groups end and not what is in them.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::commit::Origin;
use crate::error::{Damage, Error};
use crate::log::wal::layout::{self, GROUP_HEADER_BYTES, Group, SECTOR_BYTES, SegmentHeader};
use crate::log::wal::scan::{self, Shape};
use crate::log::wal::segments;

/// One segment being read.
pub(super) struct Piece {
    file: File,
    path: PathBuf,
    number: u64,
    origin: Origin,
    segment_bytes: u64,
    offset: u64,
    next_group: u64,
    /// The first group of the segment behind this one, where there is one.
    groups_end: Option<u64>,
    /// Where to stop although more may be there.
    end_offset: Option<u64>,
    buffer: Vec<u8>,
}

/// The header of a segment file; `None` if it was made ready and never begun.
pub(super) fn log_header(
    log: &Path,
    number: u64,
    shape: &Shape,
) -> Result<Option<SegmentHeader>, Error> {
    let path = segments::path_of(log, number);
    let failed = |e| Error::io("reading", &path, e);
    let file = File::open(&path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let wanted = layout::segment_header_bytes(shape.partitions) + SECTOR_BYTES;
    let mut bytes = vec![0; wanted.min(usize::try_from(length).unwrap_or(wanted))];
    file.read_exact_at(&mut bytes, 0).map_err(failed)?;
    match scan::check_header(&bytes, length, number, shape) {
        Ok(header) => Ok(Some(header)),
        Err(_) if bytes.iter().all(|&byte| byte == 0) => Ok(None),
        Err(detail) => Err(damage(number, 0, detail)),
    }
}

impl Piece {
    pub(super) fn open(
        log: &Path,
        number: u64,
        header: &SegmentHeader,
        groups_end: Option<u64>,
        end_offset: Option<u64>,
    ) -> Result<Self, Error> {
        let path = segments::path_of(log, number);
        let file = File::open(&path).map_err(|e| Error::io("opening", &path, e))?;
        Ok(Self {
            file,
            path,
            number,
            origin: header.origin,
            segment_bytes: header.segment_bytes,
            offset: layout::segment_header_bytes(header.heads.len()) as u64,
            next_group: header.first_group,
            groups_end,
            end_offset,
            buffer: Vec::new(),
        })
    }

    /// The next group and where it stands; `None` behind the last one.
    pub(super) fn next_group(&mut self) -> Result<Option<(u64, Group<'_>)>, Error> {
        if self.end_offset.is_some_and(|end| self.offset >= end)
            || self.groups_end.is_some_and(|end| self.next_group >= end)
        {
            return Ok(None);
        }
        self.read_group()?;
        let group = layout::group_at(&self.buffer, 0, &self.origin)
            .filter(|group| group.number == self.next_group);
        match group {
            Some(group) => {
                let offset = self.offset;
                self.offset += group.end as u64;
                self.next_group += 1;
                Ok(Some((offset, group)))
            }
            // The end of a log that nobody writes: a tear is none of a reader's business.
            None if self.end_offset.is_none() && self.groups_end.is_none() => Ok(None),
            None => {
                let detail = format!("group {} cannot be read", self.next_group);
                Err(damage(self.number, self.offset, detail))
            }
        }
    }

    /// Reads what may be the next group into the buffer.
    fn read_group(&mut self) -> Result<(), Error> {
        let failed = |e| Error::io("reading", &self.path, e);
        let left = usize::try_from(self.segment_bytes.saturating_sub(self.offset));
        let left = left.unwrap_or(usize::MAX);
        self.buffer.resize(left.min(GROUP_HEADER_BYTES), 0);
        self.file.read_exact_at(&mut self.buffer, self.offset).map_err(failed)?;
        let length = layout::group_bytes(&self.buffer).filter(|length| *length <= left);
        if let Some(length) = length {
            self.buffer.resize(length, 0);
            let rest = self.offset + GROUP_HEADER_BYTES as u64;
            let behind_header = &mut self.buffer[GROUP_HEADER_BYTES..];
            self.file.read_exact_at(behind_header, rest).map_err(failed)?;
        }
        Ok(())
    }
}

pub(super) fn damage(segment: u64, offset: u64, detail: String) -> Error {
    let damage = Damage { segment, offset, partition: None, sequence: None, detail };
    Error::Damaged { damage }
}
