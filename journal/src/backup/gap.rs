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
use crate::log::wal::segments;
use crate::sources::Sources;

/// Where the chain of a backup ends before a gap behind which its manifest names nothing. Its
/// next run was broken off before its base took the place of the one before: what is behind the
/// gap goes on from that.
pub(crate) fn last_before_gap(directory: &Directory, sources: &Sources) -> Option<u64> {
    if !directory.path.join(MARKER).exists() {
        return None;
    }
    // What of these cannot be read is found by whoever reads the chain.
    let manifest = Manifest::read(&directory.path).ok()??;
    let (numbers, first) = (sources.numbers().ok()?, sources.beginning().ok()?.number);
    let (last, at) = (first..).zip(&numbers).find(|(expected, number)| expected != *number)?;
    let named = |number: &&u64| {
        let log = segments::path_of(Path::new("log"), **number);
        let archive = archive::path_of(Path::new("archive"), **number);
        [log, archive]
            .iter()
            .any(|path| manifest.files.contains_key(path.to_string_lossy().as_ref()))
    };
    let behind = numbers.iter().filter(|number| *number >= at);
    (!behind.into_iter().any(|number| named(&number))).then(|| last.saturating_sub(1))
}

/// Whether a base that was copied goes beyond the segment that the backup ends with: then no
/// segment would be left that it goes on with.
pub(super) fn is_overtaken(copied: &Path, source: &Source<'_>) -> Result<bool, Error> {
    Ok(Base::open_at(copied)?.header().next_segment > source.segment)
}
