//! The base: what is kept of everything before the chain's beginning, once the chain was cut.
//!
//! Holds every stream that is still kept, sorted by stream, and where each partition stood at
//! the anchor. With it a store can be made anew although the first segments are gone. `build`
//! makes one from the base before and the segments to cut, `sort` is how it does so in bounded
//! memory, `layout`, `write` and `read` are the file.

pub(crate) mod build;
pub(crate) mod layout;
pub(crate) mod read;
pub(crate) mod sort;
mod write;

use std::path::{Path, PathBuf};

pub(crate) fn path_of(archive: &Path) -> PathBuf {
    archive.join("base.arc")
}

fn unfinished_path_of(archive: &Path) -> PathBuf {
    archive.join("base.arc.new")
}
