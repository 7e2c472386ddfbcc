//! A store being made beside its target, and named at the end.
//!
//! ```text
//! TARGET.restoring/   while it is made: RESTORING, LOCK, log/, archive/, blobs/, identity
//! TARGET/             renamed there when all of it is durable and was read back
//! ```
//! A crash leaves `TARGET.restoring`, which the next attempt at this target recognises by
//! what it holds, removes, and makes anew. Knows files, not where their content comes from.

use std::fs;
use std::path::{Path, PathBuf};

use crate::archive::base;
use crate::blobs::Files;
use crate::commit::Head;
use crate::directory::{Directory, DirectoryLock, LOCK_FILE};
use crate::error::Error;
use crate::files;
use crate::progress::{Meter, OnProgress};
use crate::reader::Reader;
use crate::verify::{CheckedPart, Problem, check};

const MARKER: &str = "RESTORING";
/// What the name of a store being made ends with.
const BESIDE: &str = ".restoring";
/// The same, half written by a crash.
const MARKER_UNFINISHED: &str = "RESTORING.new";
/// What a store being made may hold; anything else is somebody else's.
const OURS: [&str; 8] =
    [MARKER, MARKER_UNFINISHED, LOCK_FILE, "log", "archive", "blobs", "identity", "identity.new"];

/// What becomes of payloads whose files the source has lost or damaged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum DamagedPayloads {
    /// The store is not made.
    Refused,
    /// All else is worth having; reading them says what they are, and so does verify.
    Taken,
}

/// Whether a directory is a store that is still being made: it may look whole, but nobody has
/// read it back.
pub(crate) fn is_unfinished(directory: &Path) -> bool {
    let name = directory.file_name().map(|name| name.to_string_lossy().into_owned());
    name.is_some_and(|name| name.ends_with(BESIDE)) && directory.join(MARKER).exists()
}

/// A store being made.
pub(crate) struct Target {
    to: PathBuf,
    pub directory: Directory,
    _lock: DirectoryLock,
}

impl Target {
    /// Whether a store can be made there of what is in `from`; changes nothing.
    ///
    /// # Errors
    /// [`Error::Target`] if it has no name, is not free, or one is inside of the other.
    pub(crate) fn check(from: &Path, to: &Path) -> Result<(), Error> {
        let taken = |detail: &str| {
            Err(Error::Target { directory: to.to_owned(), detail: detail.to_owned() })
        };
        if to.file_name().is_none() {
            return taken("it has no name of its own");
        }
        if let (Ok(from), Some(to)) = (from.canonicalize(), files::resolved(to))
            && (to.starts_with(&from) || from.starts_with(&to))
        {
            return taken("it is inside of what it would be made of, or the other way round");
        }
        if to.exists() && (!to.is_dir() || !files::names(to)?.is_empty()) {
            return taken("it is not empty");
        }
        Ok(())
    }

    /// Takes the place beside `to`, removing what an earlier attempt left there. It was
    /// checked before.
    pub(crate) fn begin(to: &Path) -> Result<Self, Error> {
        let taken = |directory: &Path, detail: String| {
            Err(Error::Target { directory: directory.to_owned(), detail })
        };
        let Some(name) = to.file_name() else {
            return taken(to, "it has no name of its own".to_owned());
        };
        let mut beside = name.to_owned();
        beside.push(BESIDE);
        let beside = to.with_file_name(beside);
        files::make_directories(&beside)?;
        let names = files::names(&beside)?;
        let foreign = names.iter().find(|name| !OURS.contains(&name.as_str()));
        if let Some(foreign) = foreign {
            return taken(&beside, format!("it holds `{foreign}`, which no restore left"));
        }
        let is_marker = |name: &String| name == MARKER || name == MARKER_UNFINISHED;
        if !names.is_empty() && !names.iter().any(is_marker) {
            return taken(&beside, "it is not what a stopped restore leaves".to_owned());
        }
        files::replace(&beside.join(MARKER), b"a store being made; safe to remove\n")?;
        let directory = Directory::at(&beside);
        // Nobody else may be at work on it, from before it is cleared to its end.
        let lock = directory.take_new()?;
        for name in
            files::names(&beside)?.iter().filter(|name| ![MARKER, LOCK_FILE].contains(&&***name))
        {
            files::remove(&beside.join(name))?;
        }
        files::make_directories(&directory.log())?;
        Ok(Self { to: to.to_owned(), directory, _lock: lock })
    }

    /// Names the store: from here on it counts.
    pub(crate) fn finish(self) -> Result<(), Error> {
        let beside = &self.directory.path;
        files::sync_directory(&self.directory.log())?;
        files::sync_directory(beside)?;
        fs::rename(beside, &self.to).map_err(|e| Error::io("naming", &self.to, e))?;
        files::sync_directory(files::parent(&self.to))?;
        files::remove(&self.to.join(MARKER))
    }
}

/// Takes the base along, if there is one.
pub(crate) fn copy_base(reader: &Reader, to: &Path) -> Result<(), Error> {
    let Some(from) = reader.sources.archive().map(base::path_of) else { return Ok(()) };
    if reader.sources.base()?.is_none() {
        return Ok(());
    }
    let archive = to.join("archive");
    files::make_directories(&archive)?;
    files::copy(&from, &base::path_of(&archive))?;
    files::sync_directory(&archive)
}

/// Payloads kept outside the log. All of them: those that only lost commits name are
/// collected by the restored store itself. Those that are lost or damaged come from the archive.
pub(crate) fn copy_blobs(
    reader: &Reader,
    to: &Path,
    heard: &mut OnProgress<'_>,
) -> Result<(), Error> {
    let (from, to) = (reader.directory.blobs(), to.join("blobs"));
    let mut meter = Meter::of(heard, "copying payloads", 0);
    for path in files::below(&from)? {
        let to = to.join(path.strip_prefix(&from).expect("it was listed below"));
        files::make_directories(files::parent(&to))?;
        meter.add(files::copy(&path, &to)?)?;
    }
    if let Some(archive) = reader.sources.archive() {
        Files::at(to.clone(), true).with_copies(Some(archive), true).put_back_all()?;
    }
    for path in files::directories_below(&to)? {
        files::sync_directory(&path)?;
    }
    Ok(())
}

/// Reads all of it again: every hash, every chain, and that it ends where it should. Payloads
/// may be `damaged` in their files already, and stay so.
pub(crate) fn read_back(
    directory: &Path,
    heads: &[Head],
    damaged: DamagedPayloads,
) -> Result<(), Error> {
    let report = check(&Reader::of_locked(directory)?)?;
    let tolerated =
        |problem: &Problem| damaged == DamagedPayloads::Taken && problem.part == CheckedPart::Blobs;
    if let Some(problem) = report.problems.into_iter().find(|problem| !tolerated(problem)) {
        return Err(Error::Damaged { damage: problem.damage });
    }
    let right = report.partitions.iter().zip(heads).all(|(found, head)| {
        found.last_sequence == head.sequence && found.last_position == head.position
    });
    match right {
        true => Ok(()),
        false => Err(Error::Target {
            directory: directory.to_owned(),
            detail: "what was written there reads back otherwise".to_owned(),
        }),
    }
}
