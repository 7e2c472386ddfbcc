//! Comparing what is both in the log and in the archive.
//!
//! Two copies of the same bytes: if one of them is not whole it is made anew from the other.
//! If neither is, nothing is touched.

use std::path::Path;

use backstitch_core::ids::Digest;

use crate::archive::pack::{SealedAt, check, pack};
use crate::error::Error;
use crate::log::wal::heal::heal;
use crate::sources::Sources;

/// Compares the two copies of a sealed segment; answers whether one of them was made anew.
///
/// # Errors
/// [`Error::Damaged`] if neither copy is whole.
pub(crate) fn scrub(
    sources: &Sources,
    archive: &Path,
    number: u64,
    sealed_at: &SealedAt,
    previous: Digest,
) -> Result<bool, Error> {
    let (log, shape) = (sources.log(), sources.shape());
    let in_archive = match sources.archived(number) {
        Ok(Some(mut archived)) => archived.damages().into_iter().next(),
        Ok(None) => None,
        Err(Error::Damaged { damage }) => Some(damage),
        Err(error) => return Err(error),
    };
    let in_log = match check(log, number, shape, sealed_at) {
        Ok(()) => None,
        Err(Error::Damaged { damage }) => Some(damage),
        Err(error) => return Err(error),
    };
    match (in_log, in_archive) {
        (None, None) => Ok(false),
        (None, Some(_)) => pack(log, archive, number, shape, sealed_at, previous).map(|_| true),
        (Some(damage), _) => match heal(sources, number)? {
            Some(_) => Ok(true),
            None => Err(damage.into()),
        },
    }
}
