//! What a backup copies, listed in the order in which it is copied.

use std::path::{Path, PathBuf};

use super::BASE;
use super::copy::SourceFile;
use super::payloads::PAYLOADS;
use crate::archive;
use crate::commit::Head;
use crate::error::Error;
use crate::files;
use crate::log::wal::scan::Shape;
use crate::log::wal::segments;

/// What is backed up.
pub(super) struct Source<'a> {
    pub(super) directory: &'a Path,
    pub(super) archive: PathBuf,
    pub(super) shape: Shape,
    pub(super) heads: Vec<Head>,
    pub(super) segment: u64,
    pub(super) offset: u64,
    /// Waits until payloads that are being erased say so.
    pub(super) settle: &'a dyn Fn(),
}

/// Segments and archive files: what must be there together. Payloads come and go.
pub(super) fn names_of(list: &[SourceFile]) -> Vec<&str> {
    let chain = |name: &&str| !name.starts_with(PAYLOADS);
    list.iter().map(|file| file.name.as_str()).filter(chain).collect()
}

impl Source<'_> {
    /// The files to copy, in order: payloads, segments from the first to the last, the base.
    /// Of a segment its copy in the log comes first. The log is listed first, since segments
    /// leave it only once they are archived.
    pub(super) fn list(&self) -> Result<Vec<SourceFile>, Error> {
        let log = self.directory.join("log");
        let mut segments = Vec::new();
        let in_log = segments::numbers(&log)?;
        let archived = archive::numbers(&self.archive)?;
        for number in in_log.into_iter().filter(|n| *n <= self.segment) {
            let path = segments::path_of(&log, number);
            // What is archived by now is not written any more.
            let written = number == self.segment && !archived.contains(&number);
            let bytes = Some(self.offset).filter(|_| written);
            let name = format!("log/{}", file_name(&path));
            segments.push((number, SourceFile { name, path, bytes }));
        }
        for number in archived.into_iter().filter(|n| *n <= self.segment) {
            let path = archive::path_of(&self.archive, number);
            let name = format!("archive/{}", file_name(&path));
            segments.push((number, SourceFile { name, path, bytes: None }));
        }
        segments.sort_by(|one, other| (one.0, &other.1.name).cmp(&(other.0, &one.1.name)));
        let blobs = self.directory.join("blobs");
        let mut list = Vec::new();
        for path in files::below(&blobs)? {
            let below = path.strip_prefix(&blobs).expect("it was listed below");
            let name = format!("blobs/{}", below.to_string_lossy());
            // Files in the making have names of their own until they are whole.
            if !name.ends_with(".new") {
                list.push(SourceFile { name, path, bytes: None });
            }
        }
        list.extend(self.only_archived(&list)?);
        list.extend(segments.into_iter().map(|(_, file)| file));
        let base = self.archive.join(BASE);
        if base.exists() {
            let name = format!("archive/{BASE}");
            list.push(SourceFile { name, path: base, bytes: None });
        }
        Ok(list)
    }
}

pub(super) fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
