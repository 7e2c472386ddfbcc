//! Checking a whole directory: every byte, every chain, every history.
//!
//! Works on a data directory and on a backup, changes nothing, and goes on behind damage, so
//! that the report names all of it. Log and archive are read as they are; the store is looked
//! at in a private copy.

mod chain;
mod report;
mod store;

use std::path::{Path, PathBuf};

pub use report::{
    BackupCheck, CheckedPart, Erasure, PROBLEMS_LISTED_MAX, PartitionReport, Problem, Severity,
    StoreReport, VerifyReport,
};
pub(crate) use store::{Scratch, open_copy};

use crate::backup::{MANIFEST, Manifest};
use crate::error::Error;
use crate::log::wal::walk::{Flaw, Found, walk};
use crate::progress::{Meter, OnProgress, unheard};
use crate::reader::Reader;
use crate::witnesses::missing_segment;
use chain::Check;
use store::StoredHistories;

/// What a check looks at beside the log and its archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyOptions {
    /// Also the store and the views, in a private copy: needs as much space as they take.
    pub store: bool,
    /// Where that copy goes; without it, where the system keeps temporary files.
    pub scratch: Option<PathBuf>,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        Self { store: true, scratch: None }
    }
}

/// Checks log, archive and payloads of a data directory or a backup, not its store.
///
/// # Errors
/// If a server has the directory open, it is no data directory, or it cannot be read. What
/// is wrong with it is in the report.
pub fn verify(directory: impl AsRef<Path>) -> Result<VerifyReport, Error> {
    check(&Reader::open(directory)?)
}

/// Checks a data directory or a backup.
///
/// # Errors
/// As [`verify`]; also if there is no space for the copy of the store, or `heard` broke it
/// off.
pub fn verify_with(
    directory: impl AsRef<Path>,
    options: &VerifyOptions,
    mut heard: OnProgress<'_>,
) -> Result<VerifyReport, Error> {
    run(&Reader::open(directory)?, options, &mut heard)
}

/// Checks what a reader looks at, not its store.
pub(crate) fn check(reader: &Reader) -> Result<VerifyReport, Error> {
    let mut silent = unheard();
    let mut heard: OnProgress<'_> = &mut silent;
    run(reader, &VerifyOptions { store: false, scratch: None }, &mut heard)
}

fn run(
    reader: &Reader,
    options: &VerifyOptions,
    heard: &mut OnProgress<'_>,
) -> Result<VerifyReport, Error> {
    let mut check = Check::new(reader);
    // Before the log, which may grow meanwhile.
    let witnesses = reader.witnesses()?;
    let (manifest, unlike) = check_manifest(reader, &mut check, heard)?;
    let stored = match options.store && reader.directory.store().exists() {
        true => check_store(reader, options, &mut check, heard)?,
        false => None,
    };
    begin(reader, &mut check, stored.is_some())?;
    follow(reader, &mut check, stored.as_ref(), heard)?;
    check.contents(&reader.directory.path)?;
    check.ends(manifest.as_ref(), &witnesses);
    if let Some(segment) = missing_segment(&reader.directory, &reader.sources)? {
        check.end_is_gone(segment);
    }
    check.unlike_manifest(unlike);
    Ok(check.finish(stored.as_ref()))
}

/// What was cut: the heads and histories that the base keeps of it.
fn begin(reader: &Reader, check: &mut Check, compare: bool) -> Result<(), Error> {
    let base = match reader.sources.base() {
        Ok(Some(base)) => base,
        Ok(None) => return Ok(()),
        Err(Error::Damaged { damage }) => {
            check.flaw(Flaw { damage, in_archive: true, healable: false });
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    check.begin(&base.header().heads);
    let damages = base.damages();
    let readable = base.for_each_entry(|entry| {
        check.kept(&entry, compare);
        Ok(())
    });
    // What is there twice may be damaged once.
    let healable = readable.is_ok();
    for damage in damages {
        check.flaw(Flaw { damage, in_archive: true, healable });
    }
    match readable {
        Ok(()) | Err(Error::Damaged { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Every commit there is, in order.
fn follow(
    reader: &Reader,
    check: &mut Check,
    stored: Option<&StoredHistories>,
    heard: &mut OnProgress<'_>,
) -> Result<(), Error> {
    let mut meter = Meter::of(heard, "reading", 0);
    let mut failure = None;
    walk(&reader.sources, &mut |found| {
        match found {
            Found::Commit { segment, offset, origin, commit } => {
                check.commit((segment, offset), &origin, commit, stored);
                failure = meter.add(commit.bytes().len() as u64).err();
            }
            Found::Group => check.report.groups += 1,
            Found::Segment => check.report.segments += 1,
            Found::Damage(damage) => check.lost(damage, None),
            Found::Archived => check.report.archived += 1,
            Found::Flaw(flaw) => check.flaw(flaw),
            Found::Torn(tail) => check.report.torn_tail = Some(tail),
        }
        failure.is_none()
    })?;
    failure.map_or(Ok(()), Err)
}

/// A backup's files against its list. Answers it, and which files are not as it says: what that
/// costs is known once the chain was read.
fn check_manifest(
    reader: &Reader,
    check: &mut Check,
    heard: &mut OnProgress<'_>,
) -> Result<(Option<Manifest>, Vec<String>), Error> {
    let directory = &reader.directory.path;
    let manifest = match Manifest::of_backup(directory) {
        Ok(Some(manifest)) => manifest,
        Ok(None) => return Ok((None, Vec::new())),
        Err(Error::Manifest { detail, .. }) => {
            // Nobody can tell what should be there.
            let detail = format!("the manifest `{MANIFEST}`: {detail}");
            check.outside(CheckedPart::Backup, Severity::Lost, &detail, None);
            return Ok((None, Vec::new()));
        }
        Err(error) => return Err(error),
    };
    let total = manifest.files.values().map(|entry| entry.bytes).sum();
    let mut meter = Meter::of(heard, "checking files", total);
    let (mut files_whole, mut unlike) = (0, Vec::new());
    for (name, entry) in &manifest.files {
        match manifest.check(directory, name)? {
            None => files_whole += 1,
            Some(detail) => unlike.push(format!("{name}: {detail}")),
        }
        meter.add(entry.bytes)?;
    }
    let (begun_at, files) = (manifest.begun_at, manifest.files.len() as u64);
    check.report.backup = Some(BackupCheck { begun_at, files, files_whole });
    Ok((Some(manifest), unlike))
}

/// The store and the views in a private copy.
fn check_store(
    reader: &Reader,
    options: &VerifyOptions,
    check: &mut Check,
    heard: &mut OnProgress<'_>,
) -> Result<Option<StoredHistories>, Error> {
    let scratch = Scratch::new(options.scratch.as_deref())?;
    let mut views_proven = 0;
    for (tree, marks) in views_of(reader)? {
        match store::open_tree(&tree, &marks, &scratch, heard)? {
            Ok((tree, _)) => {
                tree.close();
                views_proven += 1;
            }
            Err(why) => {
                let detail = format!("{}: {why}", tree.display());
                check.outside(CheckedPart::Views, Severity::Healable, &detail, None)
            }
        }
    }
    let (stored, histories) = match open_copy(&reader.directory, &reader.shape, &scratch, heard)? {
        Ok((store, applied)) => {
            let read = store::read(&store, applied);
            store.close();
            let read = read?;
            let histories = read.counts().count() as u64;
            (Some(read), histories)
        }
        Err(why) => {
            let detail = format!("the store: {why}");
            check.outside(CheckedPart::Store, Severity::Healable, &detail, None);
            (None, 0)
        }
    };
    let proven = stored.is_some();
    check.report.store = Some(StoreReport { proven, histories, views_proven });
    Ok(stored)
}

/// Trees of views with their marks: `views` itself in an older layout, else those in force
/// in the directories of the views.
fn views_of(reader: &Reader) -> Result<Vec<(PathBuf, PathBuf)>, Error> {
    let views = reader.directory.views();
    if reader.directory.views_marks().exists() {
        return Ok(vec![(views, reader.directory.views_marks())]);
    }
    crate::views::trees_in_force(&views)
}
