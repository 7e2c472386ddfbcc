//! Putting sealed segments of the log back from the archive.
//!
//! Only what the archive holds whole is put back, and only in place of what cannot be read.

use crate::error::Error;
use crate::log::wal::scan::Segment;
use crate::log::wal::segments;
use crate::sources::Sources;

/// Puts a segment back, if its archive file is whole; answers it.
pub(crate) fn heal(sources: &Sources, number: u64) -> Result<Option<Segment>, Error> {
    let shape = sources.shape();
    let bytes = match sources.archived(number) {
        Ok(Some(mut archived)) => archived.unpack(),
        Ok(None) => return Ok(None),
        Err(error) => Err(error),
    };
    let bytes = match bytes {
        Ok(bytes) => bytes,
        // Damaged there too: what is wrong in the log is the better message.
        Err(Error::Damaged { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let segment = Segment::of(number, bytes, shape);
    if segment.header.is_err() {
        return Ok(None);
    }
    segments::put(sources.log(), number, &segment.bytes)?;
    Ok(Some(segment))
}

/// Puts back what is missing between segments of the log, and what has no readable header.
pub(super) fn heal_headers(sources: &Sources) -> Result<Vec<u64>, Error> {
    let numbers = segments::numbers(sources.log())?;
    let (Some(&first), Some(archived)) = (numbers.first(), sources.last_archived()?) else {
        return Ok(Vec::new());
    };
    let mut healed = Vec::new();
    for number in first..=archived {
        let readable = numbers.binary_search(&number).is_ok() && has_header(sources, number)?;
        if !readable && heal(sources, number)?.is_some() {
            healed.push(number);
        }
    }
    Ok(healed)
}

fn has_header(sources: &Sources, number: u64) -> Result<bool, Error> {
    match sources.log_header(number) {
        Ok(header) => Ok(header.is_some()),
        Err(Error::Damaged { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
