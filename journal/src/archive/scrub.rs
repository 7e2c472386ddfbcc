//! Comparing what is both in the log and in the archive.
//!
//! Two copies of the same bytes: if one of them is not whole it is made anew from the other.
//! If neither is, nothing is touched.

use std::path::Path;

use backstitch_core::ids::Digest;

use crate::archive::NOT_AS_PACKED;
use crate::archive::pack::{SealedAt, check, pack};
use crate::error::{Damage, Error};
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
    let (in_archive, packed_of) = match sources.archived(number) {
        Ok(Some(mut archived)) => {
            let damage = archived.damages().into_iter().next();
            let packed_of = archived.header().raw_hash;
            (damage.clone(), Some(packed_of).filter(|_| damage.is_none()))
        }
        Ok(None) => (None, None),
        Err(Error::Damaged { damage }) => (Some(damage), None),
        Err(error) => return Err(error),
    };
    let in_log = match check(log, number, shape, sealed_at) {
        // What pads the groups proves itself by nothing; what was packed was compared with it.
        Ok(found) if packed_of.is_some_and(|packed_of| packed_of != found) => Some(differs(number)),
        Ok(_) => None,
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

fn differs(segment: u64) -> Damage {
    let detail = NOT_AS_PACKED.to_owned();
    Damage { segment, offset: 0, partition: None, sequence: None, detail }
}
