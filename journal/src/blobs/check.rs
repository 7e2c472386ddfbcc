//! Comparing what is kept with what is named: what is missing, damaged or left over.
//!
//! Reads every content that is named. Knows nothing of who names it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, SystemTime};

use backstitch_core::ids::Digest;
use backstitch_core::payload::AbsentWhy;
use serde::Serialize;

use super::Blobs;
use super::archived::Copies;
use super::files::{Files, Kind, SPREAD, for_each};
use crate::directory::Directory;
use crate::error::Error;
use crate::files;

/// How long a content that nothing names is left alone: its commit may be on its way.
pub const BLOB_AGE_MIN: Duration = Duration::from_secs(3_600);

/// Contents that are named, with their lengths in bytes.
pub type Named = BTreeMap<Digest, u64>;

/// What comparing found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BlobReport {
    /// Contents that are named and whole.
    pub whole: u64,
    /// Their bytes.
    pub whole_bytes: u64,
    /// Named and not there, in hex.
    pub missing: Vec<String>,
    /// Named and something else, in hex.
    pub damaged: Vec<String>,
    /// Named, lost or damaged in their files and whole in the archive, in hex: opening or reading
    /// them puts them back.
    pub healable: Vec<String>,
    /// Named and whole, with a copy in the archive that is not, in hex.
    pub copies_damaged: Vec<String>,
    /// Named and with a whole copy in the archive.
    pub archived: u64,
    /// Named and erased on purpose, in hex.
    pub erased: Vec<String>,
    /// There and not named: left by a crash, or by runs that are gone.
    pub orphans: u64,
    /// Their bytes.
    pub orphan_bytes: u64,
}

/// Compares what a data directory keeps with what is named. `erased` is what its records say
/// was erased. Copies are looked for in the directory's archive.
///
/// # Errors
/// If the directory cannot be read.
pub fn check(
    directory: &Path,
    named: &Named,
    erased: &BTreeSet<Digest>,
) -> Result<BlobReport, Error> {
    let blobs = Blobs::to_read(directory.join(DIRECTORY), None);
    blobs.note_erased(erased.iter().copied());
    let copies = Copies::of(&Directory::at(directory).archive()?);
    let mut report = BlobReport::default();
    for (digest, &length_bytes) in named {
        let has_copy = copies.has(digest);
        let whole_copy = has_copy && copies.read(digest).is_some();
        report.archived += u64::from(whole_copy);
        match blobs.read(digest, length_bytes)? {
            Ok(text) => {
                report.whole += 1;
                report.whole_bytes += text.len() as u64;
                if has_copy && !whole_copy {
                    report.copies_damaged.push(digest.to_string());
                }
            }
            Err(AbsentWhy::Missing | AbsentWhy::Damaged) if whole_copy => {
                report.healable.push(digest.to_string());
            }
            Err(AbsentWhy::Erased) => report.erased.push(digest.to_string()),
            Err(AbsentWhy::Damaged) => report.damaged.push(digest.to_string()),
            Err(AbsentWhy::Missing | AbsentWhy::NotRead) => report.missing.push(digest.to_string()),
        }
    }
    for first in 0..SPREAD {
        let first = u8::try_from(first).expect("there are as many as a byte has values");
        for_each(&directory.join(DIRECTORY), first, &mut |_, kind, metadata| {
            if matches!(kind, Kind::Content(digest) if !named.contains_key(&digest)) {
                report.orphans += 1;
                report.orphan_bytes += metadata.len();
            }
        })?;
    }
    Ok(report)
}

/// Where contents are, in a data directory.
pub(crate) const DIRECTORY: &str = "blobs";

/// What collecting removed, or would remove.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// Contents that nothing names.
    pub contents: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that a crash left half written.
    pub unfinished: u64,
    /// Contents that nothing names yet and that are too young to tell.
    pub young: u64,
}

impl Blobs {
    /// Removes contents that are not named and were no longer young at `since`: before anybody
    /// began to look for who names them, which may take longer than a content stays young.
    pub(crate) fn collect(
        &self,
        named: &Named,
        since: SystemTime,
        dry_run: bool,
    ) -> Result<Collected, Error> {
        let mut collected = Collected::default();
        let Some(own) = self.files() else { return Ok(collected) };
        let before = since.checked_sub(BLOB_AGE_MIN).unwrap_or(SystemTime::UNIX_EPOCH);
        for first in 0..SPREAD {
            let first = u8::try_from(first).expect("there are as many as a byte has values");
            collect_of(own, first, before, named, dry_run, &mut collected)?;
        }
        if !dry_run {
            own.collect_copies(named)?;
        }
        Ok(collected)
    }
}

fn collect_of(
    own: &Files,
    first: u8,
    before: SystemTime,
    named: &Named,
    dry_run: bool,
    collected: &mut Collected,
) -> Result<(), Error> {
    let (mut contents, mut unfinished) = (Vec::new(), Vec::new());
    for_each(own.path(), first, &mut |path, kind, metadata| {
        let old = metadata.modified().is_ok_and(|modified| modified < before);
        match kind {
            Kind::Content(digest) if !named.contains_key(&digest) => {
                if old {
                    contents.push((digest, metadata.len()));
                } else {
                    collected.young += 1;
                }
            }
            Kind::Unfinished if old => unfinished.push(path.to_owned()),
            _ => {}
        }
    })?;
    for (digest, bytes) in contents {
        let removed = if dry_run { Some(bytes) } else { own.remove_older(&digest, before)? };
        if let Some(bytes) = removed {
            collected.contents += 1;
            collected.bytes += bytes;
        }
    }
    for path in unfinished {
        collected.unfinished += 1;
        if !dry_run {
            files::remove(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::blobs::files::now;

    /// Its commit may have come behind where the names were looked for.
    #[test]
    fn what_was_young_when_the_names_were_looked_for_is_not_collected() {
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::to_read(directory.path().to_owned(), None);
        let text: Arc<str> = "kept meanwhile".into();
        blobs.keep(&[(Digest::of(text.as_bytes()), text)]).unwrap();
        let looked_since = now() + BLOB_AGE_MIN / 2;
        let collected = blobs.collect(&Named::new(), looked_since, false).unwrap();
        assert_eq!((collected.contents, collected.young), (0, 1));
        let looked_since = now() + BLOB_AGE_MIN * 2;
        let collected = blobs.collect(&Named::new(), looked_since, false).unwrap();
        assert_eq!((collected.contents, collected.young), (1, 0));
    }
}
