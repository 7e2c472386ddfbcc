//! A segment put together from all there is of it: its archive file and its copy in the log.
//!
//! Where one of them is damaged and the other is not, nothing is lost. Changes nothing; knows
//! bytes, groups and hashes, not chains.

use std::fs;
use std::io;

use crate::archive;
use crate::error::{Damage, Error};
use crate::log::wal::layout;
use crate::log::wal::scan::Segment;
use crate::log::wal::segments;
use crate::sources::{Sources, missing};

/// Raw bytes that an archive file loses together.
const BLOCK_BYTES: usize = crate::archive::layout::BLOCK_BYTES;

/// What there is of a segment.
pub(crate) struct Evidence {
    /// The best that can be made of it.
    pub segment: Segment,
    /// Flaws of its copy in the log that the archive makes good.
    pub in_log: Vec<Damage>,
    /// Flaws of its archive file.
    pub in_archive: Vec<Damage>,
    /// Every group of the archived segment is whole here, from wherever.
    pub whole: bool,
    /// The archive file is whole.
    pub archived: bool,
    /// Both copies as they are, where they differ from the best.
    pub others: Vec<Vec<u8>>,
}

impl Sources {
    /// Puts together what there is of a segment.
    ///
    /// # Errors
    /// If a file cannot be read. What is wrong with a file is in the answer.
    pub(crate) fn evidence(&self, number: u64) -> Result<Evidence, Error> {
        let path = segments::path_of(self.log(), number);
        let in_log = match fs::read(&path) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(Error::io("reading", &path, error)),
        };
        let (archived, mut flaws) = match self.archived(number) {
            Ok(archived) => (archived, Vec::new()),
            Err(Error::Damaged { damage }) => (None, vec![damage]),
            Err(error) => return Err(error),
        };
        let length = usize::try_from(self.shape().segment_bytes).unwrap_or(usize::MAX);
        let Some(mut archived) = archived else {
            let there = in_log.is_some();
            if !there && flaws.is_empty() {
                return Err(missing(number));
            }
            let bytes = in_log.unwrap_or_else(|| vec![0; length]);
            let segment = Segment::of(number, bytes, self.shape());
            let whole = there && segment.header.is_ok();
            let (in_log, others) = (Vec::new(), Vec::new());
            return Ok(Evidence {
                segment,
                in_log,
                in_archive: flaws,
                whole,
                archived: false,
                others,
            });
        };
        flaws.extend(archived.damages());
        let (mut bytes, broken) = archived.unpack_what_is_whole();
        let mut others = Vec::new();
        if let Some(in_log) = in_log.as_ref().filter(|in_log| in_log.len() == bytes.len()) {
            for damage in &broken {
                let at = usize::try_from(damage.offset).unwrap_or(usize::MAX);
                let end = at.saturating_add(BLOCK_BYTES).min(bytes.len());
                if let (Some(to), Some(from)) = (bytes.get_mut(at..end), in_log.get(at..end)) {
                    to.copy_from_slice(from);
                }
            }
        }
        let segment = Segment::of(number, bytes, self.shape());
        let whole =
            groups_are_whole(&segment, archived.header().groups_end, self.shape().partitions);
        let mut log_flaws = Vec::new();
        if let Some(in_log) = in_log.filter(|in_log| *in_log != segment.bytes) {
            let at = in_log.iter().zip(&segment.bytes).position(|(one, other)| one != other);
            log_flaws.push(segment.damage(at.unwrap_or(0), archive::NOT_AS_PACKED));
            others.push(in_log);
        }
        let archived = flaws.is_empty();
        Ok(Evidence { segment, in_log: log_flaws, in_archive: flaws, whole, archived, others })
    }
}

/// Whether a segment can be followed from its header to the group it should end before.
fn groups_are_whole(segment: &Segment, groups_end: u64, partitions: usize) -> bool {
    let Ok(header) = &segment.header else { return false };
    let mut offset = layout::segment_header_bytes(partitions);
    (header.first_group..groups_end).all(|number| {
        let group = layout::group_at(&segment.bytes, offset, &segment.origin);
        group.filter(|group| group.number == number).is_some_and(|group| {
            offset = group.end;
            true
        })
    })
}
