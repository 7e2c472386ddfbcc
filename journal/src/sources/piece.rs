//! The groups of one segment, read one after the other.
//!
//! Reads a group at a time and no more, so that following a long chain takes the memory of one
//! group. A group that is not whole in the log is read from the archive, and the other way
//! round. Knows where groups end and not what is in them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::archive::unpack::Archived;
use crate::commit::Origin;
use crate::error::{Damage, Error};
use crate::log::wal::layout::{self, GROUP_HEADER_BYTES, Group, SECTOR_BYTES, SegmentHeader};
use crate::log::wal::scan::{self, Shape};
use crate::log::wal::segments;

/// A segment file, open for reading.
pub(super) struct InLog {
    file: File,
    path: PathBuf,
}

/// One segment being read.
pub(super) struct Piece {
    log: Option<InLog>,
    archived: Option<Archived>,
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

/// The segment's file in the log, if it is there.
pub(super) fn open_in_log(log: &Path, number: u64) -> Result<Option<InLog>, Error> {
    let path = segments::path_of(log, number);
    match File::open(&path) {
        Ok(file) => Ok(Some(InLog { file, path })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("opening", &path, error)),
    }
}

/// The header of a segment file; `None` if it is not there, or was never begun.
pub(super) fn log_header(
    log: &Path,
    number: u64,
    shape: &Shape,
) -> Result<Option<SegmentHeader>, Error> {
    let Some(InLog { file, path }) = open_in_log(log, number)? else { return Ok(None) };
    let failed = |e| Error::io("reading", &path, e);
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
    pub(super) fn new(
        header: &SegmentHeader,
        groups_end: Option<u64>,
        end_offset: Option<u64>,
        log: Option<InLog>,
        archived: Option<Archived>,
    ) -> Self {
        Self {
            log,
            archived,
            number: header.number,
            origin: header.origin,
            segment_bytes: header.segment_bytes,
            offset: layout::segment_header_bytes(header.heads.len()) as u64,
            next_group: header.first_group,
            groups_end,
            end_offset,
            buffer: Vec::new(),
        }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Goes on with a group that begins at `offset`.
    pub(super) fn go_on(&mut self, offset: u64, next_group: u64) {
        (self.offset, self.next_group) = (offset, next_group);
    }

    /// The next group and where it stands; `None` behind the last one.
    pub(super) fn next_group(&mut self) -> Result<Option<(u64, Group<'_>)>, Error> {
        if self.end_offset.is_some_and(|end| self.offset >= end)
            || self.groups_end.is_some_and(|end| self.next_group >= end)
        {
            return Ok(None);
        }
        let mut found = self.read_group(Self::read_log)?;
        if found.is_none() {
            found = self.read_group(Self::read_archived)?;
        }
        match found {
            Some(length) => {
                let offset = self.offset;
                self.offset += length as u64;
                self.next_group += 1;
                let group = layout::group_unproven(&self.buffer);
                Ok(group.map(|group| (offset, group)))
            }
            // The end of a log that nobody writes: a tear is none of a reader's business.
            None if self.end_offset.is_none() && self.groups_end.is_none() => Ok(None),
            None => {
                let detail = format!("group {} cannot be read", self.next_group);
                Err(damage(self.number, self.offset, detail))
            }
        }
    }

    /// Reads the next group into the buffer; answers where it ends, from where it begins, if it
    /// is whole.
    fn read_group(&mut self, read: Read) -> Result<Option<usize>, Error> {
        let left = usize::try_from(self.segment_bytes.saturating_sub(self.offset));
        let left = left.unwrap_or(usize::MAX);
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(left.min(GROUP_HEADER_BYTES), 0);
        let mut there = read(self, &mut buffer, self.offset)?;
        let length = layout::group_bytes(&buffer).filter(|length| *length <= left);
        if let Some(length) = length.filter(|_| there) {
            buffer.resize(length, 0);
            let rest = self.offset + GROUP_HEADER_BYTES as u64;
            there = read(self, &mut buffer[GROUP_HEADER_BYTES..], rest)?;
        }
        let whole = layout::group_at(&buffer, 0, &self.origin)
            .filter(|group| there && group.number == self.next_group)
            .map(|group| group.end);
        self.buffer = buffer;
        Ok(whole)
    }

    fn read_log(&mut self, bytes: &mut [u8], offset: u64) -> Result<bool, Error> {
        let Some(InLog { file, path }) = &self.log else { return Ok(false) };
        match file.read_exact_at(bytes, offset) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            // A sector that the disk gives up on is what the archive is for.
            Err(_) if self.archived.is_some() => Ok(false),
            Err(error) => Err(Error::io("reading", path, error)),
        }
    }

    fn read_archived(&mut self, bytes: &mut [u8], offset: u64) -> Result<bool, Error> {
        match &mut self.archived {
            Some(archived) => archived.read_at(bytes, offset).map(|()| true),
            None => Ok(false),
        }
    }
}

/// Reads bytes of the segment from one of its places; answers whether they are there.
type Read = fn(&mut Piece, &mut [u8], u64) -> Result<bool, Error>;

pub(super) fn damage(segment: u64, offset: u64, detail: String) -> Error {
    Damage { segment, offset, partition: None, sequence: None, detail }.into()
}
