//! The archive: sealed segments of the log, packed and kept as long as they are wanted.
//!
//! `frame` and `layout` are the bytes, `pack` and `unpack` the way in and out, `archiver` the thread that
//! does it. A segment unpacks to the bytes it had in the log. Knows nothing of records.

pub(crate) mod archiver;
pub(crate) mod base;
pub(crate) mod cut;
pub(crate) mod frame;
pub(crate) mod layout;
pub(crate) mod owner;
pub(crate) mod pack;
mod scrub;
pub(crate) mod unpack;

use std::fs;
use std::path::{Path, PathBuf};

use backstitch_core::ids::Digest;

use crate::commit::Commit;
use crate::error::Error;
use crate::files;

const SUFFIX: &str = ".arc";
const UNFINISHED_SUFFIX: &str = ".arc.new";

/// What is wrong with a segment in the log that its whole archive file contradicts.
pub(crate) const NOT_AS_PACKED: &str = "the segment in the log is not what its archive file holds";

pub(crate) fn path_of(archive: &Path, number: u64) -> PathBuf {
    archive.join(format!("{number:010}{SUFFIX}"))
}

fn unfinished_path_of(archive: &Path, number: u64) -> PathBuf {
    archive.join(format!("{number:010}{UNFINISHED_SUFFIX}"))
}

/// The numbers of the archived segments, ascending; none if there is no archive.
pub(crate) fn numbers(archive: &Path) -> Result<Vec<u64>, Error> {
    if !archive.exists() {
        return Ok(Vec::new());
    }
    let mut numbers = Vec::new();
    for name in files::names(archive)? {
        if let Some(number) = name.strip_suffix(SUFFIX).and_then(|digits| digits.parse().ok()) {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Removes what was being written when a process ended.
pub(crate) fn remove_unfinished(archive: &Path) -> Result<(), Error> {
    if !archive.exists() {
        return Ok(());
    }
    for name in files::names(archive)?.iter().filter(|name| name.ends_with(UNFINISHED_SUFFIX)) {
        let path = archive.join(name);
        fs::remove_file(&path).map_err(|e| Error::io("removing", &path, e))?;
    }
    Ok(())
}

/// The contents that a commit's payloads are kept in, beside their records.
pub(crate) fn blobs_named(commit: &Commit) -> Vec<Digest> {
    commit.named().into_iter().map(|(digest, _)| digest).collect()
}
