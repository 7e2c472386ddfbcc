//! Looking into a private copy of the store and the views.
//!
//! sled changes its files when it opens them, so what is looked at is a copy in a scratch
//! directory. Knows the store's histories, not what they mean.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use backstitch_core::ids::StreamId;

use super::chain::mix_record;
use crate::directory::Directory;
use crate::error::Error;
use crate::fence::{FencedTree, TreeOptions};
use crate::files;
use crate::log::wal::scan::Shape;
use crate::progress::{Meter, OnProgress};
use crate::store::{Store, decode_applied};

/// A copy is read and hashed whole.
const WHOLE: TreeOptions = TreeOptions {
    cache_bytes: 64 * 1024 * 1024,
    check_whole_below_bytes: u64::MAX,
    recent_changes_max: u64::MAX,
    rewrite_above_bytes: u64::MAX,
};

/// A directory of our own, removed when dropped.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Makes a directory below `parent`, or below the system's place for temporary files.
    pub(crate) fn new(parent: Option<&Path>) -> Result<Self, Error> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_owned);
        let mut drawn = [0; 8];
        getrandom::fill(&mut drawn).map_err(|e| {
            Error::io("drawing a name below", &parent, std::io::Error::other(e.to_string()))
        })?;
        let name = format!("backstitch-verify-{:016x}", u64::from_le_bytes(drawn));
        let path = parent.join(name);
        files::make_directories(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed stays where temporary files are.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// What a proven store holds of each history.
pub(super) struct StoredHistories {
    /// Per partition: commits that are in the store.
    pub applied: Vec<u64>,
    histories: HashMap<StreamId, (u64, [u8; 32])>,
}

impl StoredHistories {
    /// Whether a history's digest at a version is the store's, if its history ends there.
    pub(super) fn agrees(&self, stream: &StreamId, version: u64, digest: &[u8; 32]) -> bool {
        match self.histories.get(stream) {
            Some((count, stored)) if *count == version => stored == digest,
            _ => true,
        }
    }

    pub(super) fn count(&self, stream: &StreamId) -> u64 {
        self.histories.get(stream).map_or(0, |(count, _)| *count)
    }

    pub(super) fn counts(&self) -> impl Iterator<Item = (&StreamId, u64)> {
        self.histories.iter().map(|(stream, (count, _))| (stream, *count))
    }
}

/// Opens a copy of the store; says why if it is not what its marks say.
pub(crate) fn open_copy(
    directory: &Directory,
    shape: &Shape,
    scratch: &Scratch,
    heard: &mut OnProgress<'_>,
) -> Result<Result<(Store, Vec<u64>), String>, Error> {
    let (store, marks) = (directory.store(), directory.store_marks());
    let tree = match open_tree(&store, &marks, scratch, heard)? {
        Ok(tree) => tree,
        Err(why) => return Ok(Err(why)),
    };
    let (tree, applied) = tree;
    match decode_applied(&applied, shape.partitions) {
        Some(applied) => Ok(Ok((Store::new(Some(tree), &applied, usize::MAX), applied))),
        None => Ok(Err("its marks are of another number of partitions".to_owned())),
    }
}

/// Reads every history of a store.
pub(super) fn read(store: &Store, applied: Vec<u64>) -> Result<StoredHistories, Error> {
    let mut histories: HashMap<StreamId, (u64, [u8; 32])> = HashMap::new();
    store.for_each_stored(&mut |stream, version, position, body| {
        let known = histories.entry(stream.clone()).or_insert((0, [0; 32]));
        known.0 = version;
        mix_record(&mut known.1, position, body);
    })?;
    Ok(StoredHistories { applied, histories })
}

/// A copy of a tree, proven, with what it has applied; else why it cannot be trusted.
pub(super) fn open_tree(
    tree: &Path,
    marks: &Path,
    scratch: &Scratch,
    heard: &mut OnProgress<'_>,
) -> Result<Result<(FencedTree, Vec<u8>), String>, Error> {
    let name = tree.file_name().unwrap_or_default();
    let (to, to_marks) = (scratch.path().join(name), scratch.path().join("marks").join(name));
    files::make_directories(files::parent(&to_marks))?;
    files::remove(&to)?;
    let mut meter = Meter::of(heard, "copying the store", 0);
    for path in files::below(tree)? {
        let target = to.join(path.strip_prefix(tree).expect("it was listed below"));
        files::make_directories(files::parent(&target))?;
        meter.add(files::copy(&path, &target)?)?;
    }
    if marks.exists() {
        files::copy(marks, &to_marks)?;
    }
    let opened = FencedTree::open(&to, &to_marks, WHOLE)?;
    Ok(opened.map_err(|untrusted| untrusted.0))
}
