//! Payloads that a backup takes from their copies in the archive, because the source has lost
//! them or has them damaged. Nothing is changed in the source.

use std::collections::BTreeSet;
use std::path::Path;

use backstitch_core::ids::Digest;

use super::ahead::is_whole;
use super::copy::{Copied, SourceFile};
use super::list::Source;
use super::manifest::FileEntry;
use crate::blobs::archived::Copies;
use crate::error::Error;
use crate::files;

/// What payloads' names in a backup begin with.
pub(super) const PAYLOADS: &str = "blobs/";
/// What stands behind the name of one that was erased.
pub(super) const ERASED: &str = "erased";

impl Source<'_> {
    /// Payloads of which only the copy is left.
    pub(super) fn only_archived(&self, listed: &[SourceFile]) -> Result<Vec<SourceFile>, Error> {
        let names: BTreeSet<&str> = listed.iter().map(|file| file.name.as_str()).collect();
        let digests = Copies::of(&self.archive).digests()?.into_iter();
        let files = digests.map(|digest| {
            let below = format!("{:02x}/{digest}", digest.0[0]);
            let path = self.directory.join(PAYLOADS).join(&below);
            SourceFile { name: format!("{PAYLOADS}{below}"), path, bytes: None }
        });
        let is_lost = |file: &SourceFile| {
            let erased = format!("{}.{ERASED}", file.name);
            !names.contains(file.name.as_str()) && !names.contains(erased.as_str())
        };
        Ok(files.filter(is_lost).collect())
    }

    /// What was copied, or of a payload that is not what its name says, the copy of it: that in
    /// the source's archive, or what the backup holds of it from an earlier run.
    pub(super) fn mended(
        &self,
        source: &SourceFile,
        copied: Copied,
        (to, known): (&Path, Option<&FileEntry>),
        beside: &Path,
    ) -> Result<Copied, Error> {
        match payload_of(source) {
            Some(digest) if copied.entry.blake3 != digest.to_string() => {
                let held = known.filter(|known| {
                    known.blake3 == digest.to_string() && is_whole(to, &source.name, known)
                });
                match (held, self.copied_from_archive(source, beside)?) {
                    (_, Some(archived)) => Ok(archived),
                    (Some(held), None) => Ok(Copied { entry: held.clone(), fresh: false }),
                    (None, None) => Ok(copied),
                }
            }
            _ => Ok(copied),
        }
    }

    /// Writes a payload beside its place as its copy has it; nothing if there is none, or the
    /// payload was erased.
    pub(super) fn copied_from_archive(
        &self,
        source: &SourceFile,
        beside: &Path,
    ) -> Result<Option<Copied>, Error> {
        let Some(digest) = payload_of(source) else { return Ok(None) };
        let Some(bytes) = Copies::of(&self.archive).read(&digest) else { return Ok(None) };
        if source.path.with_extension(ERASED).exists() && !source.path.exists() {
            return Ok(None);
        }
        files::replace(beside, &bytes)?;
        let length = bytes.len() as u64;
        // No file of the source has this time: a later backup compares it again.
        let entry = FileEntry { bytes: length, length, blake3: digest.to_string(), modified_ns: 0 };
        Ok(Some(Copied { entry, fresh: true }))
    }
}

/// The payload that a file is named after.
fn payload_of(source: &SourceFile) -> Option<Digest> {
    let (_, hex) = source.name.strip_prefix(PAYLOADS)?.split_once('/')?;
    Digest::parse(hex)
}
