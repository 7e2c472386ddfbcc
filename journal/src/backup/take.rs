//! Taking the directory of a backup: whose it may be, and that nobody else is at it.

use std::path::Path;

use super::{MARKER, PARTS, Source, is_backup};
use crate::directory::{Directory, DirectoryLock};
use crate::error::Error;
use crate::files;

/// The marker, half written by a crash.
const MARKER_UNFINISHED: &str = "BACKUP.new";

/// Takes the directory of a backup: a new one, or one of this store.
pub(super) fn take(
    source: &Source<'_>,
    to: &Path,
    store_id: &str,
) -> Result<(Directory, DirectoryLock), Error> {
    let taken = |detail: String| Err(Error::Target { directory: to.to_owned(), detail });
    // Before anything is made there: what is looked at only, or is another's, is not changed.
    if let (Some(to), Some(data)) = (files::resolved(to), files::resolved(source.directory)) {
        if to.starts_with(&data) || data.starts_with(&to) {
            return taken("a backup inside of what it backs up is none".to_owned());
        }
        if let Some(above) = to.ancestors().skip(1).find(|above| is_kept(above)) {
            let detail = format!("{} above it is a data directory or a backup", above.display());
            return taken(detail);
        }
    }
    files::make_directories(to)?;
    let names = files::names(to)?;
    // A crash may have left the marker half written.
    let is_ours = |name: &String| name == MARKER || name == MARKER_UNFINISHED;
    if !names.is_empty() && !names.iter().any(is_ours) {
        return taken("it is not empty and holds no backup".to_owned());
    }
    files::replace(&to.join(MARKER), b"a backup of a Backstitch store\n")?;
    let target = Directory::at(to);
    let lock = target.take_new().map_err(|error| match error {
        Error::Locked { directory } => Error::Busy { directory },
        error => error,
    })?;
    if let Some(shape) = target.shape()?
        && shape.origin != source.shape.origin
    {
        return taken(format!(
            "it holds a backup of another store or generation than {store_id}, generation {}",
            source.shape.origin.generation
        ));
    }
    for part in PARTS {
        files::make_directories(&to.join(part))?;
    }
    Ok((target, lock))
}

/// Whether a directory is a store or a backup, which nothing foreign may be put into.
fn is_kept(directory: &Path) -> bool {
    is_backup(directory) || Directory::at(directory).is_named()
}
