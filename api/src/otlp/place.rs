//! How far the journal was exported, in a small file beside it.
//!
//! A hint, never truth: without it, or if it does not fit the journal, the export begins with what
//! happens from the start on. It is written behind the collector's answers, so that a crash has a
//! few spans sent twice, and none that ended meanwhile left out.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use backstitch_journal::ChainCursor;
use tokio::time::Instant;

/// The file in the data directory.
const FILE: &str = "otlp.place";
/// The longest that a place can be: one position for each partition.
const BYTES_MAX: u64 = 64 * 1024;
/// The shortest time between two writes.
const PAUSE: Duration = Duration::from_secs(1);

/// The file.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    written_at: Option<Instant>,
}

impl Place {
    pub(super) fn of(data_dir: &Path) -> Self {
        Self { path: data_dir.join(FILE), written_at: None }
    }

    /// The place, if there is one.
    pub(super) fn read(&self) -> Option<ChainCursor> {
        let is_small = fs::metadata(&self.path).is_ok_and(|own| own.len() <= BYTES_MAX);
        let text = is_small.then(|| fs::read_to_string(&self.path).ok()).flatten()?;
        text.trim().parse().ok()
    }

    /// Notes a place, unless that was done just now.
    pub(super) fn keep(&mut self, place: &str) {
        if self.written_at.is_none_or(|at| at.elapsed() >= PAUSE) {
            self.written_at = Some(Instant::now());
            self.write(place);
        }
    }

    /// Notes a place.
    pub(super) fn write(&self, place: &str) {
        let beside = self.path.with_extension("new");
        let written = fs::write(&beside, place).and_then(|()| fs::rename(&beside, &self.path));
        if let Err(error) = written {
            tracing::debug!(%error, "the place of the export is not noted");
        }
    }
}

/// Nothing is exported: what happens now is nobody's to export later.
pub fn forget(data_dir: &Path) {
    match fs::remove_file(data_dir.join(FILE)) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            tracing::debug!(%error, "the place of the last export stays");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_place_is_found_again_and_what_is_none_is_no_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut place = Place::of(folder.path());
        assert_eq!(place.read(), None);
        let cursor = ChainCursor { generation: 2, positions: vec![7, 0, 9] };
        place.keep(&cursor.to_string());
        assert_eq!(place.read(), Some(cursor.clone()));
        assert_eq!(Place::of(folder.path()).read(), Some(cursor));
        place.write("what is this");
        assert_eq!(place.read(), None);
        forget(folder.path());
        forget(folder.path());
        assert!(fs::read_dir(folder.path()).expect("a folder").next().is_none());
    }
}
