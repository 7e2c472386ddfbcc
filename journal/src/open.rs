//! Opening a journal: take the directory, heal the store from the log, hand out what lives.
//!
//! The log is the law. A store or view that cannot prove that it holds what its marks say is
//! made anew; a log that is not whole is refused.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use backstitch_core::ids::StreamId;

use crate::archive;
use crate::archive::archiver::{ArchiveHome, Archiver, Signals};
use crate::archive::owner::{self, Owned};
use crate::blobs::writer::Queue;
use crate::blobs::{Blobs, Files};
use crate::checkpoints::Checkpoints;
use crate::commit::Head;
use crate::directory::{Directory, DirectoryLock, Place};
use crate::error::Error;
use crate::fence::FencedTree;
use crate::generations;
use crate::journal::{Journal, Parts, Versions};
use crate::keeper::Bell;
use crate::log::Log;
use crate::log::memory::MemoryLog;
use crate::log::wal::recover::Recovered;
use crate::log::wal::scan::Shape;
use crate::log::wal::{TornTail, Wal, segments};
use crate::options::{Fsync, Options};
use crate::replay::replay;
use crate::sources::Sources;
use crate::store::{Store, decode_applied, encode_applied};
use crate::views::Views;

/// An opened journal and what its reader must take over.
pub struct Opened {
    /// The journal.
    pub journal: Journal,
    /// Where each partition's chain stands.
    pub heads: Vec<Head>,
    /// In order: every workflow, every run that is not quiescent, and every stream that the
    /// log's end concerns. Their histories are read one by one ([`Journal::history`],
    /// [`Journal::recoverable`]); each run should get its row by [`Journal::mark`].
    pub streams: Vec<StreamId>,
    /// What opening met.
    pub report: OpenReport,
}

/// What opening met.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct OpenReport {
    /// The directory was made just now.
    pub created: bool,
    /// A write that a crash had left half done, now cut.
    pub torn_tail: Option<TornTail>,
    /// Segments that were read, of the log and of the archive.
    pub segments_read: u64,
    /// Segments of the log that were not whole and were put back from the archive.
    pub segments_healed: Vec<u64>,
    /// Commits of the chain beyond what the store had applied.
    pub commits_replayed: u64,
    /// Why the store was made anew from the log, if it was. Then every run counts as not
    /// quiescent until marked.
    pub store_rebuilt: Option<String>,
    /// Why the views were emptied, if they were.
    pub views_emptied: Option<String>,
    /// The views lack rows of runs that are not among the streams handed out: visit all runs
    /// with [`Journal::for_each_history`], give each its row with [`Journal::mark`], then
    /// call [`Journal::rows_complete`].
    pub views_missing: bool,
    /// Why all checkpoints were dropped, if they were.
    pub checkpoints_dropped: Option<String>,
    /// The ballast was given up to find space for opening.
    pub ballast_dropped: bool,
}

impl Journal {
    /// Opens the journal in a directory, or makes one if the directory is missing or empty.
    ///
    /// # Errors
    /// If the directory is locked, foreign, of a newer format, unwritable or full, or if the
    /// log is damaged; each says what to do about it.
    pub fn open(directory: impl AsRef<Path>, options: Options) -> Result<Opened, Error> {
        options.check()?;
        let directory = Directory::at(directory.as_ref());
        match Self::open_once(&directory, options.clone()) {
            // A tree that was opened quickly and then could not be read has noted so, and is
            // made anew by the second attempt.
            Err(Error::Store { .. }) => Self::open_once(&directory, options),
            opened => opened,
        }
    }

    fn open_once(directory: &Directory, options: Options) -> Result<Opened, Error> {
        let lock = directory.take()?;
        let mut report = OpenReport::default();
        let prepared = match prepare(directory, &options, &mut report) {
            Err(error) if error.is_full() && directory.drop_ballast()? => {
                report = OpenReport { ballast_dropped: true, ..OpenReport::default() };
                prepare(directory, &options, &mut report)?
            }
            prepared => prepared?,
        };
        if !report.ballast_dropped {
            directory.keep_ballast(options.ballast_bytes)?;
        }
        start(directory, options, lock, prepared, report)
    }

    /// A journal in memory, without files, for tests.
    ///
    /// # Panics
    /// If there are no partitions.
    #[must_use]
    pub fn memory(partitions: u16) -> Opened {
        assert!(partitions > 0, "a journal has at least one partition");
        Self::on_memory(&MemoryLog::automatic(partitions)).expect("an empty log has no gaps")
    }

    /// A journal over a memory log that a test holds in its hand.
    ///
    /// # Errors
    /// If the log's records are not gapless histories.
    pub fn on_memory(log: &MemoryLog) -> Result<Opened, Error> {
        let heads = log.heads();
        let partitions = u16::try_from(heads.len()).expect("a memory log counts them in u16");
        let zeros = vec![0; heads.len()];
        let options = Options { partitions, fsync: Fsync::Never, ..Options::default() };
        let (store, views) = (Store::new(None, &zeros, usize::MAX), Views::memory(zeros.len()));
        let mut seen = Versions::new();
        let mut report = OpenReport::default();
        let blobs = Blobs::memory();
        for commit in log.durable() {
            blobs.keep(&commit.beside)?;
            store.replay(&commit, &mut seen)?;
            views.replay(&commit, |stream| store.history(stream).ok().flatten());
            report.commits_replayed += 1;
        }
        blobs.erase_again(&store, partitions)?;
        seen.retain(|_, version| *version > 0);
        let streams = sorted(seen.into_keys());
        let (origin, log) = (log.origin(), Box::new(log.clone()));
        let parts = Parts {
            directory: None,
            place: None,
            options,
            origin,
            log,
            store,
            views,
            blobs,
            queue: Queue::default(),
            checkpoints: Checkpoints::none(),
            archiver: None,
            bell: Bell::default(),
            generations: generations::Known::default(),
        };
        Ok(Opened { journal: Self::of(parts, None)?, heads, streams, report })
    }
}

/// Everything read, nothing running yet.
struct Prepared {
    sources: Sources,
    owned: Option<Owned>,
    store: Store,
    views: Views,
    checkpoints: Checkpoints,
    recovered: Recovered,
    seen: Versions,
}

fn prepare(
    directory: &Directory,
    options: &Options,
    report: &mut OpenReport,
) -> Result<Prepared, Error> {
    let shape = match directory.shape()? {
        Some(shape) => {
            directory.write_identity(&shape)?;
            shape
        }
        None => {
            report.created = true;
            directory.create(options)?
        }
    };
    let archive = directory.archive_at(options.archive_directory.as_deref())?;
    segments::refuse_gone(&directory.log())?;
    segments::remove_unfinished(&directory.log())?;
    directory.settle_names(&archive)?;
    let (store_tree, store_applied) = open_store(directory, &shape, options, report)?;
    let (views, emptied) = Views::open(directory, shape.partitions, options)?;
    report.views_emptied = emptied.filter(|_| !report.created);
    let views_applied = views.applied();
    let lacks = |view: &Vec<u64>| view.iter().zip(&store_applied).any(|(view, store)| view < store);
    let [runs, letters, audit] = &views_applied;
    report.views_missing = lacks(runs) || lacks(letters);
    let audit_missing = lacks(audit);
    let sources = Sources::of(&directory.log(), &archive, shape);
    sources.check_archive_is_own()?;
    let owned = own_archive(directory, &archive, &shape)?;
    archive::remove_unfinished(&archive)?;
    archive::cut::finish(&sources)?;
    let trees = (store_tree, &views);
    let first = replay(&sources, options, trees, &store_applied, report)?;
    let (store, recovered, seen) = match first {
        Some(replayed) => replayed,
        None => {
            report.store_rebuilt = Some("it misses records before the log's end".to_owned());
            let (tree, applied) = new_store(directory, &shape, options)?;
            match replay(&sources, options, (tree, &views), &applied, report)? {
                Some(replayed) => replayed,
                None => return Err(first_gap(directory)),
            }
        }
    };
    let sequences: Vec<u64> = recovered.heads.iter().map(|head| head.sequence).collect();
    for applied in views_applied.iter().chain([&store_applied]) {
        check_not_ahead(&sequences, applied)?;
    }
    // A base holds histories, not commits to read the audit off.
    if audit_missing || report.store_rebuilt.is_some() {
        views.make_audit(&store)?;
    }
    let mut awaited = Views::executions(seen.keys());
    if report.views_missing {
        // They may show runs whose removal the log's end does not tell of.
        views.remove_all(store.removed_runs()?.iter().map(|(run, _)| run))?;
        awaited.extend(Views::executions(store.all_executions()?.iter()));
    }
    views.await_rows(&sequences, awaited);
    directory.keep_archive_place(&archive)?;
    directory.keep_archiving(options.archive)?;
    let (checkpoints, dropped) =
        Checkpoints::open(directory, &shape.origin, options.tree(), &sequences)?;
    report.checkpoints_dropped = dropped;
    Ok(Prepared { sources, owned, store, views, checkpoints, recovered, seen })
}

/// Keeps an archive that is elsewhere from other stores. One that is not there yet, or cannot be
/// written, is the archiver's to take.
fn own_archive(
    directory: &Directory,
    archive: &Path,
    shape: &Shape,
) -> Result<Option<Owned>, Error> {
    owner::check(archive, shape)?;
    if directory.has_archive(archive) || !archive.exists() {
        return Ok(None);
    }
    match owner::take(archive, shape) {
        Err(error @ Error::ArchiveTaken { .. }) => Err(error),
        owned => Ok(owned.ok()),
    }
}

fn open_store(
    directory: &Directory,
    shape: &Shape,
    options: &Options,
    report: &mut OpenReport,
) -> Result<(FencedTree, Vec<u64>), Error> {
    let opened = FencedTree::open(&directory.store(), &directory.store_marks(), options.tree())?;
    let untrusted = match opened {
        Ok((tree, applied)) => match decode_applied(&applied, shape.partitions) {
            Some(applied) => return Ok((tree, applied)),
            None => "its marks are of another number of partitions".to_owned(),
        },
        Err(untrusted) => untrusted.0,
    };
    report.store_rebuilt = Some(untrusted).filter(|_| !report.created);
    new_store(directory, shape, options)
}

fn new_store(
    directory: &Directory,
    shape: &Shape,
    options: &Options,
) -> Result<(FencedTree, Vec<u64>), Error> {
    let applied = vec![0; shape.partitions];
    let (path, marks) = (directory.store(), directory.store_marks());
    let tree = FencedTree::create(&path, &marks, options.tree(), &encode_applied(&applied))?;
    Ok((tree, applied))
}

fn start(
    directory: &Directory,
    options: Options,
    lock: DirectoryLock,
    prepared: Prepared,
    report: OpenReport,
) -> Result<Opened, Error> {
    let Prepared { sources, owned, store, views, checkpoints, recovered, seen } = prepared;
    let shape = *sources.shape();
    let mut streams: HashSet<StreamId> = seen.into_keys().collect();
    streams.extend(store.live()?);
    streams.extend(store.workflows()?);
    streams.extend(store.jobs()?);
    let streams = sorted(streams);
    let partitions = u16::try_from(shape.partitions).expect("an identity counts them in u16");
    let contents = Files::at(directory.blobs(), options.fsync != Fsync::Never);
    let contents = Arc::new(contents.with_copies(sources.archive(), true));
    let blobs = Blobs::of(Arc::clone(&contents));
    blobs.erase_again(&store, partitions)?;
    let (wal, archiver) = start_log(directory, &options, (sources, owned), &recovered, contents)?;
    let parts = Parts {
        directory: Some(directory.path.clone()),
        place: Place::of(&directory.path, &lock),
        options: Options { partitions, segment_bytes: shape.segment_bytes, ..options },
        origin: shape.origin,
        log: Box::new(wal),
        store,
        views,
        blobs,
        queue: Queue::default(),
        checkpoints,
        archiver,
        bell: Bell::default(),
        generations: generations::Known::default(),
    };
    let journal = Journal::of(parts, Some(lock))?;
    Ok(Opened { journal, heads: recovered.heads, streams, report })
}

fn sorted(streams: impl IntoIterator<Item = StreamId>) -> Vec<StreamId> {
    let mut sorted: Vec<StreamId> = streams.into_iter().collect();
    sorted.sort();
    sorted
}

/// Whether a store has applied no more than a log holds, both by partition.
pub(crate) fn check_not_ahead(log: &[u64], applied: &[u64]) -> Result<(), Error> {
    for (partition, (&log, &store)) in (0u16..).zip(log.iter().zip(applied)) {
        if store > log {
            return Err(Error::LogBehindStore { partition, log, store });
        }
    }
    Ok(())
}

fn first_gap(directory: &Directory) -> Error {
    Error::Store {
        path: directory.store(),
        detail: "the log's own histories have gaps; run `replay-tool verify`".to_owned(),
    }
}

/// Starts the log's writer and, if there is to be an archive, the archiver.
fn start_log(
    directory: &Directory,
    options: &Options,
    (sources, owned): (Sources, Option<Owned>),
    recovered: &Recovered,
    contents: Arc<Files>,
) -> Result<(Wal, Option<Archiver>), Error> {
    let (log, signals) = (directory.log(), Arc::<Signals>::default());
    let wal = Wal::start(&log, sources.clone(), options.fsync, recovered, Arc::clone(&signals))?;
    let archiver = match (options.archive, sources.archive().map(Path::to_owned)) {
        (true, Some(archive)) => {
            let home = match directory.has_archive(&archive) {
                true => ArchiveHome::Inside,
                false => ArchiveHome::Elsewhere(owned),
            };
            let (kept, sources) = (options.log_segments_kept, (sources, contents));
            Some(Archiver::start(sources, (&archive, home), kept, signals)?)
        }
        _ => None,
    };
    Ok((wal, archiver))
}

/// An error's message with its cause.
pub(crate) fn with_source(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
