//! What the backup before holds and its source does not: a run over it would lose that.
//!
//! A source that is older, that went on otherwise, or that has lost files is refused before
//! anything is changed. The same store, further on, has all of it, or has cut it on purpose.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;

use backstitch_core::ids::PartitionId;

use super::Manifest;
use super::copy::SourceFile;
use super::list::Source;
use super::manifest::{BackupEnd, FileEntry, digest_of_file};
use super::payloads::{ERASED, PAYLOADS};
use crate::archive;
use crate::archive::unpack::Archived;
use crate::commit::Head;
use crate::error::Error;
use crate::log::wal::scan::Chains;
use crate::log::wal::segments;
use crate::log::wal::walk::{Found, walk};
use crate::sources::{Sources, missing};

/// Refuses a source that does not reach as far as the backup before, or went on otherwise.
pub(super) fn check_ends(
    source: &Source<'_>,
    to: &Path,
    before: Option<&Manifest>,
) -> Result<(), Error> {
    let ends = match before {
        Some(manifest) => manifest.ends.clone(),
        // Its list is gone, or its first run was stopped: its files say how far it came.
        None => found_ends(source, to)?,
    };
    let chain = source.chain();
    let beginning = chain.beginning()?.heads;
    for (partition, end) in (0..).zip(&ends) {
        let head = source.heads.get(usize::from(partition)).copied().unwrap_or_default();
        let begun = beginning.get(usize::from(partition)).copied().unwrap_or_default();
        let (held, at) = (end.sequence, end.committed_at);
        if head.sequence < held {
            return refuse(
                to,
                format!(
                    "it holds a backup that has partition {partition} up to commit {held}, made at {at}; \
                 what is to be backed up ends at commit {}: it is older, or has lost its end",
                    head.sequence
                ),
            );
        }
        if held > 0 && !has(&chain, PartitionId(partition), end, &begun)? {
            return refuse(
                to,
                format!(
                    "it holds a backup in which commit {held} of partition {partition}, made at {at}, is \
                 another one than in what is to be backed up: that went on otherwise, or is \
                 another store"
                ),
            );
        }
    }
    Ok(())
}

/// Whether a chain has a commit. What was cut off it was there.
fn has(
    chain: &Sources,
    partition: PartitionId,
    end: &BackupEnd,
    begun: &Head,
) -> Result<bool, Error> {
    if end.sequence <= begun.sequence {
        return Ok(end.sequence < begun.sequence || end.hash == begun.hash.to_string());
    }
    let mut found = false;
    let read =
        chain.commits_after(None, partition, end.position.saturating_sub(1), &mut |commit| {
            let head = commit.head();
            found = head.sequence == end.sequence && head.hash.to_string() == end.hash;
            ControlFlow::Break(())
        });
    match read {
        // It was cut just now.
        Err(Error::Cut { .. }) => Ok(true),
        read => read.map(|()| found),
    }
}

/// How far the chain goes that a backup without a list holds.
fn found_ends(source: &Source<'_>, to: &Path) -> Result<Vec<BackupEnd>, Error> {
    let held = Sources::of(&to.join("log"), &to.join("archive"), source.shape);
    let mut chains = Chains::at(held.beginning()?.heads);
    if held.numbers()?.is_empty() {
        return Ok(chains.heads.iter().map(BackupEnd::of).collect());
    }
    walk(&held, &mut |found| {
        if let Found::Commit { origin, commit, .. } = found {
            // Behind damage nothing is known to be the chain's.
            chains.accept(&origin, commit).ok();
        }
        true
    })?;
    Ok(chains.heads.iter().map(BackupEnd::of).collect())
}

/// Refuses a source of which a segment is gone.
pub(super) fn check_segments(
    source: &Source<'_>,
    to: &Path,
    before: Option<&Manifest>,
    list: &[SourceFile],
) -> Result<(), Error> {
    let listed: BTreeSet<&str> = list.iter().map(|file| file.name.as_str()).collect();
    // Behind the list: a base that came into force meanwhile goes on further behind.
    let first = source.chain().beginning()?.number;
    for number in first..=source.segment {
        let names = [
            segments::path_of(Path::new("log"), number),
            archive::path_of(Path::new("archive"), number),
        ];
        let names = names.map(|path| path.to_string_lossy().into_owned());
        if names.iter().any(|name| listed.contains(name.as_str())) {
            continue;
        }
        let held = |name: &&String| before.is_some_and(|before| before.files.contains_key(*name));
        return match names.iter().find(held) {
            Some(name) => refuse(
                to,
                format!(
                    "it holds a backup with {name}, which what is to be backed up has lost; run \
                 `replay-tool verify` there"
                ),
            ),
            None => Err(missing(number)),
        };
    }
    Ok(())
}

/// Refuses to put an archive file that is damaged in the place of another one.
pub(super) fn check_archived(
    to: &Path,
    name: &str,
    beside: &Path,
    known: Option<&FileEntry>,
) -> Result<(), Error> {
    if known.is_none() || !name.starts_with("archive/") {
        return Ok(());
    }
    let damages = Archived::open_at(beside).map(|mut file| file.damages());
    match damages {
        Ok(damages) if damages.is_empty() => Ok(()),
        _ => refuse(
            to,
            format!(
                "it holds a backup with {name}, which is damaged in what is to be backed up; run \
             `replay-tool verify` there"
            ),
        ),
    }
}

/// Payloads that the backup before holds, the chain names, and the source has lost: they stay.
pub(super) fn payloads_to_keep(
    source: &Source<'_>,
    to: &Path,
    before: Option<&Manifest>,
    list: &[SourceFile],
) -> Result<Vec<(String, FileEntry)>, Error> {
    let Some(before) = before else { return Ok(Vec::new()) };
    let listed: BTreeSet<&str> = list.iter().map(|file| file.name.as_str()).collect();
    let gone = before.files.iter().filter(|(name, _)| {
        let erased = format!("{name}.{ERASED}");
        name.starts_with(PAYLOADS)
            && !name.ends_with(ERASED)
            && !listed.contains(name.as_str())
            && !listed.contains(erased.as_str())
    });
    let mut gone: Vec<(String, FileEntry)> =
        gone.map(|(name, entry)| (name.clone(), entry.clone())).collect();
    if gone.is_empty() {
        return Ok(gone);
    }
    let named = source.named()?;
    gone.retain(|(name, entry)| named.contains(name) && is_whole(to, name, entry));
    Ok(gone)
}

/// Whether a file of the backup is what its list says.
pub(super) fn is_whole(to: &Path, name: &str, entry: &FileEntry) -> bool {
    digest_of_file(&to.join(name), entry.bytes).is_ok_and(|found| found.to_string() == entry.blake3)
}

fn refuse<T>(to: &Path, detail: String) -> Result<T, Error> {
    Err(Error::Target { directory: to.to_owned(), detail })
}

impl Source<'_> {
    fn chain(&self) -> Sources {
        Sources::of(&self.directory.join("log"), &self.archive, self.shape)
    }

    /// The payloads that its chain names, as a backup names their files.
    fn named(&self) -> Result<BTreeSet<String>, Error> {
        let chain = self.chain();
        let mut named = BTreeSet::new();
        let name = |digest: &backstitch_core::ids::Digest| {
            format!("{PAYLOADS}{:02x}/{digest}", digest.0[0])
        };
        chain.for_each_kept(&mut |record| {
            record.event.for_each_payload(&mut |own| {
                named.extend(own.reference().map(|(digest, _)| name(&digest)));
            });
        })?;
        walk(&chain, &mut |found| {
            if let Found::Commit { commit, .. } = found {
                named.extend(commit.named().iter().map(|(digest, _)| name(digest)));
            }
            true
        })?;
        Ok(named)
    }
}
