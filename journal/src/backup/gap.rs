//! A backup whose next run was broken off behind a gap.
//!
//! If the source was cut since the backup before, what is new begins behind segments that no
//! longer are anywhere. Until the new base takes the place of the one before, it is left aside.

use std::path::Path;

use super::list::Source;
use super::{MARKER, Manifest};
use crate::archive;
use crate::archive::base::read::Base;
use crate::directory::Directory;
use crate::error::Error;
use crate::log::wal::scan::Segment;
use crate::log::wal::{layout, segments};
use crate::sources::Sources;

/// Where the chain of a backup ends before a gap behind which its manifest names nothing. Its
/// next run was broken off before its base took the place of the one before: what is behind the
/// gap goes on from that. A gap may also be the rest of the segment with which the backup ended.
pub(crate) fn last_before_gap(directory: &Directory, sources: &Sources) -> Option<u64> {
    if !directory.path.join(MARKER).exists() {
        return None;
    }
    // What of these cannot be read is found by whoever reads the chain.
    let manifest = Manifest::read(&directory.path).ok()??;
    let (numbers, first) = (sources.numbers().ok()?, sources.beginning().ok()?.number);
    let unnamed = |number: &u64| {
        let log = segments::path_of(Path::new("log"), *number);
        let archive = archive::path_of(Path::new("archive"), *number);
        [log, archive]
            .iter()
            .all(|path| !manifest.files.contains_key(path.to_string_lossy().as_ref()))
    };
    let named = numbers.iter().rposition(|number| !unnamed(number)).map_or(0, |at| at + 1);
    let mut before = named.checked_sub(1).map_or(first.checked_sub(1), |at| Some(numbers[at]));
    for &number in &numbers[named..] {
        let follows = before.map_or(0, |before| before + 1) == number;
        if !follows || before.is_some_and(|before| is_short(sources, before, number)) {
            return Some(before.unwrap_or_default());
        }
        before = Some(number);
    }
    None
}

/// Whether groups are missing between the end of a segment, of which the log has a part alone,
/// and the beginning of the next.
fn is_short(sources: &Sources, number: u64, next: u64) -> bool {
    let groups_end = || match sources.archived(number).ok()? {
        Some(_) => None,
        None => {
            let segment = Segment::load(sources.log(), number, sources.shape()).ok()?;
            let mut groups_end = segment.header.as_ref().ok()?.first_group;
            let mut offset = segment.first_group_at(sources.shape());
            while let Some(group) = layout::group_at(&segment.bytes, offset, &segment.origin)
                .filter(|group| group.number == groups_end)
            {
                (groups_end, offset) = (groups_end + 1, group.end);
            }
            Some(groups_end)
        }
    };
    let begins = || match sources.log_header(next).ok()? {
        Some(header) => Some(header.first_group),
        None => Some(sources.archived(next).ok()??.header().segment.first_group),
    };
    groups_end().zip(begins()).is_some_and(|(end, begins)| end < begins)
}

/// Whether a base that was copied goes beyond the segment that the backup ends with: then no
/// segment would be left that it goes on with.
pub(super) fn is_overtaken(copied: &Path, source: &Source<'_>) -> Result<bool, Error> {
    Ok(Base::open_at(copied)?.header().next_segment > source.segment)
}
