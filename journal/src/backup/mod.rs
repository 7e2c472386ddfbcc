//! Backups: directories that verify and restore like data directories, made while in use.
//!
//! ```text
//! BACKUP        says what the directory is; there from the first moment
//! LOCK          held while a backup goes on
//! identity      as in a data directory; written when a first backup is whole
//! log/ archive/ blobs/
//! backup.json   every file with its digest, replaced last; see manifest.rs
//! ```
//! It holds a prefix of the log up to what was durable when the backup began. What is there
//! already is not copied again. Payloads come first, then segments in order, the base last: so
//! whatever moment a crash chooses, what is there is a prefix again, and the manifest of
//! the backup before still describes it. The store and the views are left out.

mod ahead;
mod copy;
mod gap;
mod list;
mod manifest;
mod payloads;
mod take;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use backstitch_core::time::Timestamp;
use serde::Serialize;

pub(crate) use gap::last_before_gap;
pub(crate) use manifest::MANIFEST;
use manifest::digest_of_file;
pub use manifest::{BackupEnd, FileEntry, Manifest};
use payloads::PAYLOADS;

use crate::archive::unpack::Archived;
use crate::directory::Directory;
use crate::error::Error;
use crate::files;
use crate::journal::Journal;
use crate::log::DurableEnd;
use crate::log::wal::layout::SECTOR_BYTES;
use crate::log::wal::scan::{Chains, Segment, Shape};
use crate::log::wal::segments;
use crate::progress::{Meter, OnProgress};
use crate::reader::Reader;
use copy::{Copied, SourceFile, copy};
use list::{Source, file_name, names_of, went_unseen};
use take::take;

/// The file by which a backup is known from its first moment on.
const MARKER: &str = "BACKUP";
/// What is kept of everything before the archive's first segment.
const BASE: &str = "base.arc";
const PARTS: [&str; 3] = ["log", "archive", "blobs"];
/// Files move from the log to the archive meanwhile; then the list is made again.
const LISTINGS_MAX: u32 = 100;

/// Whether a directory is a backup, or the beginning of one.
pub(crate) fn is_backup(directory: &Path) -> bool {
    directory.join(MARKER).exists()
}

/// What a backup did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackupReport {
    /// Where it is.
    pub directory: PathBuf,
    /// The store's id, in hex.
    pub store_id: String,
    /// Counts restores, from 1.
    pub generation: u32,
    /// Where each partition ends.
    pub ends: Vec<BackupEnd>,
    /// Files it holds.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that were not there before.
    pub files_copied: u64,
    /// Their bytes.
    pub bytes_copied: u64,
    /// Files of earlier backups that this one no longer names.
    pub files_removed: u64,
}

impl Journal {
    /// Backs the journal up to a directory: a new one, or one that holds an earlier backup of
    /// this store. Runs on the caller's thread beside everything else.
    ///
    /// # Errors
    /// If the directory is taken or cannot be written, another backup writes to it, the
    /// journal is in memory or closed, or `heard` broke it off.
    pub fn backup(
        &self,
        to: &Path,
        at: Timestamp,
        mut heard: OnProgress<'_>,
    ) -> Result<BackupReport, Error> {
        let parts = self.parts();
        let taken = |detail: &str| Error::Target { directory: to.into(), detail: detail.into() };
        let directory = parts.directory.as_deref();
        let directory = directory.ok_or_else(|| taken("a journal in memory has no files"))?;
        if parts.log.sync().is_err() {
            return Err(Error::Closed);
        }
        loop {
            let DurableEnd { heads, segment, offset } =
                parts.log.durable_end().ok_or_else(|| taken("a journal in memory has no files"))?;
            let shape = Shape::of(parts.origin, &parts.options);
            let archive = Directory::at(directory).archive()?;
            let settle = &|| self.finish_erasures();
            let source = Source { directory, archive, shape, heads, segment, offset, settle };
            if let Done::Whole(report) = run(&source, to, at, &mut heard)? {
                return Ok(report);
            }
        }
    }
}

/// Backs up a data directory that no server has open, in the same way.
///
/// # Errors
/// If the source is in use or damaged, or the target is taken or cannot be written.
pub fn backup(
    from: &Path,
    to: &Path,
    at: Timestamp,
    mut heard: OnProgress<'_>,
) -> Result<BackupReport, Error> {
    let reader = Reader::open(from)?;
    let mut chains = Chains::at(reader.sources.beginning()?.heads);
    let (mut failure, mut meter) = (None, Meter::of(&mut heard, "reading", 0));
    let torn = reader.for_each_commit(|commit, _| {
        chains.jump(commit);
        failure = meter.add(commit.bytes().len() as u64).err();
        failure.is_none()
    })?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    let (segment, offset) = match torn {
        Some(torn) => (torn.segment, torn.offset),
        None => end_of(&reader)?,
    };
    let (directory, heads) = (reader.directory.path.as_path(), chains.heads);
    let archive = reader.directory.archive()?;
    let (shape, settle) = (reader.shape, &|| {});
    let source = Source { directory, archive, shape, heads, segment, offset, settle };
    match run(&source, to, at, &mut heard)? {
        Done::Whole(report) => Ok(report),
        Done::Overtaken => Err(Error::Target {
            directory: to.into(),
            detail: "the store was cut meanwhile; back up once more".to_owned(),
        }),
    }
}

/// Where the groups of a log that nobody writes end.
fn end_of(reader: &Reader) -> Result<(u64, u64), Error> {
    for number in segments::numbers(&reader.directory.log())?.into_iter().rev() {
        let segment = Segment::load(&reader.directory.log(), number, &reader.shape)?;
        if segment.header.is_ok() {
            let written = segment.bytes.iter().rposition(|&byte| byte != 0).map_or(0, |at| at + 1);
            return Ok((number, written.next_multiple_of(SECTOR_BYTES) as u64));
        }
    }
    Ok((0, 0))
}

/// How a run of a backup ended.
enum Done {
    Whole(BackupReport),
    /// The store was cut behind the run's end: a later end is needed.
    Overtaken,
}

fn run(
    source: &Source<'_>,
    to: &Path,
    at: Timestamp,
    heard: &mut OnProgress<'_>,
) -> Result<Done, Error> {
    let store_id: String = source.shape.origin.store.iter().map(|b| format!("{b:02x}")).collect();
    let generation = source.shape.origin.generation;
    let (target, _lock) = take(source, to, &store_id)?;
    let before = Manifest::read(to)?;
    ahead::check_ends(source, to, before.as_ref())?;
    let mut run = Run {
        to,
        before,
        manifest: Manifest::new(store_id.clone(), generation, at, &source.heads),
        copied: (0, 0),
    };
    let mut listings = 0;
    loop {
        let list = source.list()?;
        ahead::check_segments(source, to, run.before.as_ref(), &list)?;
        match run.copy_all(source, &list, heard) {
            // It moved to the archive, or went with a cut.
            Err(Error::Io { path, source: error, .. })
                if error.kind() == std::io::ErrorKind::NotFound
                    && !path.starts_with(to)
                    && listings < LISTINGS_MAX =>
            {
                listings += 1;
            }
            copied => {
                let copied = copied?;
                if copied == Copies::Overtaken {
                    return Ok(Done::Overtaken);
                }
                (source.settle)();
                let again = source.list()?;
                let same = copied == Copies::All
                    && names_of(&list) == names_of(&again)
                    && !went_unseen(&list, &again);
                if same || listings >= LISTINGS_MAX {
                    break;
                }
                listings += 1;
            }
        }
    }
    let kept = ahead::payloads_to_keep(source, to, run.before.as_ref(), &source.list()?)?;
    run.manifest.files.extend(kept);
    target.write_identity(&source.shape)?;
    run.manifest.write(to)?;
    let files_removed = run.remove_others()?;
    let Run { manifest, copied, .. } = run;
    Ok(Done::Whole(BackupReport {
        directory: to.to_owned(),
        store_id,
        generation,
        ends: manifest.ends,
        files: manifest.files.len() as u64,
        bytes: manifest.files.values().map(|entry| entry.bytes).sum(),
        files_copied: copied.0,
        bytes_copied: copied.1,
        files_removed,
    }))
}

/// One backup under way.
struct Run<'a> {
    to: &'a Path,
    before: Option<Manifest>,
    manifest: Manifest,
    /// Files and bytes.
    copied: (u64, u64),
}

/// How copying the files of a list ended.
#[derive(PartialEq, Eq)]
enum Copies {
    All,
    /// A payload was erased or collected meanwhile. What says that it was erased is to be copied
    /// then: the record of it lies behind the backup's end.
    PayloadWent,
    /// The base goes beyond the run's end.
    Overtaken,
}

impl Run<'_> {
    fn copy_all(
        &mut self,
        from: &Source<'_>,
        list: &[SourceFile],
        heard: &mut OnProgress<'_>,
    ) -> Result<Copies, Error> {
        let mut copies = Copies::All;
        let total = list.iter().map(SourceFile::bytes).sum();
        let mut meter = Meter::of(heard, "backing up", total);
        let mut directories = BTreeSet::new();
        let mut files = BTreeMap::new();
        for source in list {
            self.complete_stale(source, list)?;
            let to = self.to.join(&source.name);
            let parent = files::parent(&to).to_owned();
            files::make_directories(&parent)?;
            let beside = to.with_extension("copying");
            let done = self.manifest.files.get(&source.name);
            let known = done.or_else(|| self.before.as_ref()?.files.get(&source.name)).cloned();
            let copied = match copy(source, known.as_ref(), &to, &beside, &mut meter) {
                Err(Error::Io { path, source: error, .. })
                    if path == source.path
                        && source.name.starts_with(PAYLOADS)
                        && error.kind() == std::io::ErrorKind::NotFound =>
                {
                    match from.copied_from_archive(source, &beside)? {
                        Some(copied) => copied,
                        None => {
                            copies = Copies::PayloadWent;
                            continue;
                        }
                    }
                }
                copied => from.mended(source, copied?, (self.to, known.as_ref()), &beside)?,
            };
            let Copied { entry, fresh } = copied;
            if fresh {
                if source.name.ends_with(BASE) && gap::is_overtaken(&beside, from)? {
                    return Ok(Copies::Overtaken);
                }
                if !source.name.ends_with(BASE) {
                    ahead::check_archived(self.to, &source.name, &beside, known.as_ref())?;
                }
                self.announce(source, &entry)?;
                if source.name.ends_with(BASE) {
                    // Names in two directories become durable in any order: what the base goes
                    // on with must be there before it.
                    files::sync_directories(&directories)?;
                }
                fs::rename(&beside, &to).map_err(|e| Error::io("naming", &to, e))?;
                self.copied = (self.copied.0 + 1, self.copied.1 + entry.bytes);
                directories.insert(parent);
            }
            files.insert(source.name.clone(), entry);
        }
        directories.extend(PARTS.iter().map(|part| self.to.join(part)));
        files::sync_directories(&directories)?;
        self.manifest.files = files;
        Ok(copies)
    }

    /// A segment that the backup before has in part, as the end of its log, and that has moved
    /// to the archive since: it is completed first, so that what is there stays a prefix.
    fn complete_stale(&self, archived: &SourceFile, list: &[SourceFile]) -> Result<(), Error> {
        let Some(name) = archived.name.strip_prefix("archive/") else { return Ok(()) };
        let Some(number) = name.strip_suffix(".arc").and_then(|n| n.parse().ok()) else {
            return Ok(());
        };
        let to = segments::path_of(&self.to.join("log"), number);
        let name = format!("log/{}", file_name(&to));
        if !to.exists() || list.iter().any(|file| file.name == name) {
            return Ok(());
        }
        let whole = Archived::open_at(&archived.path)?.unpack()?;
        files::replace(&to, &whole)
    }

    /// Has the manifest of the backup before allow a content that takes another's place. A
    /// segment that only grew needs no word.
    fn announce(&mut self, source: &SourceFile, entry: &FileEntry) -> Result<(), Error> {
        let Some(before) = &mut self.before else { return Ok(()) };
        let Some(known) = before.files.get(&source.name) else { return Ok(()) };
        let grew = source.name.starts_with("log/") && known.bytes <= entry.bytes;
        if grew || known.blake3 == entry.blake3 {
            return Ok(());
        }
        let name = source.name.clone();
        if before.replacing.get(&name) == Some(entry) {
            return Ok(());
        }
        if let Some(in_place) = before.replacing.insert(name.clone(), entry.clone()) {
            // This run has replaced it before. Only two contents may be there at a time.
            files::sync_directory(files::parent(&self.to.join(&name)))?;
            if digest_of_file(&self.to.join(&name), in_place.bytes)?.to_string() == in_place.blake3
            {
                before.files.insert(name, in_place);
            }
        }
        before.write(self.to)
    }

    /// Removes what earlier backups left and this one does not name.
    fn remove_others(&self) -> Result<u64, Error> {
        let mut removed = 0;
        for part in PARTS {
            for path in files::below(&self.to.join(part))? {
                let below = path.strip_prefix(self.to).expect("it was listed below");
                if !self.manifest.files.contains_key(below.to_string_lossy().as_ref()) {
                    files::remove(&path)?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }
}
