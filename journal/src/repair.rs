//! What is put right in sled's directory before it is opened, and what it must not hold.
//!
//! Knows sled's file names, not its code.

use std::fs;
use std::path::Path;

use crate::error::Error;
use crate::files;

/// What sled leaves half-written: a snapshot in the making, which it would read for ever,
/// and a `conf` it never syncs.
pub(crate) fn repair_before_open(path: &Path, conf: &[u8]) -> Result<(), Error> {
    for name in files::names(path)? {
        if name.starts_with("snap.") && name.ends_with(".generating") {
            files::remove(&path.join(name))?;
        }
    }
    let conf_path = path.join("conf");
    if fs::read(&conf_path).ok().as_deref() != Some(conf) {
        files::replace(&conf_path, conf)?;
    }
    Ok(())
}

/// sled's snapshots in order, the one it reads last.
pub(crate) fn snapshots(path: &Path) -> Result<Vec<String>, Error> {
    let mut names = files::names(path)?;
    names.retain(|name| name.starts_with("snap.") && !name.ends_with(".generating"));
    Ok(names)
}

/// Whether sled made blob files, which it never syncs.
pub(crate) fn has_blobs(path: &Path) -> Result<bool, Error> {
    let blobs = path.join("blobs");
    Ok(blobs.exists() && !files::names(&blobs)?.is_empty())
}
