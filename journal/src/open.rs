//! Opening a journal: take the directory, heal the store from the log, hand out what lives.
//!
//! The log is the law. A store or view that cannot prove that it holds what its marks say is
//! made anew; a log that is not whole is refused.

use std::collections::HashSet;
use std::path::Path;

use backstitch_core::ids::{PartitionId, StreamId};

use crate::blobs::writer::Queue;
use crate::blobs::{Blobs, erased_by};
use crate::checkpoints::Checkpoints;
use crate::commit::Head;
use crate::directory::{Directory, DirectoryLock, Place};
use crate::error::Error;
use crate::journal::{Journal, Parts, Versions};
use crate::log::Log;
use crate::log::memory::MemoryLog;
use crate::log::wal::recover::{Recovered, recover};
use crate::log::wal::scan::Shape;
use crate::log::wal::{TornTail, Wal, segments};
use crate::options::{Fsync, Options};
use crate::pending::Take;
use crate::removal;
use crate::sled::FencedTree;
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
    /// Segments of the log that were read.
    pub segments_read: u64,
    /// Commits of the log beyond what the store had applied.
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
        let lock = directory.take()?;
        let mut report = OpenReport::default();
        let prepared = match prepare(&directory, &options, &mut report) {
            Err(error) if error.is_full() && directory.drop_ballast()? => {
                report = OpenReport { ballast_dropped: true, ..OpenReport::default() };
                prepare(&directory, &options, &mut report)?
            }
            prepared => prepared?,
        };
        if !report.ballast_dropped {
            directory.keep_ballast(options.ballast_bytes)?;
        }
        start(&directory, options, lock, prepared, report)
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
        let (store, views) = (Store::new(None, &zeros, usize::MAX), Views::new(None, &zeros));
        let mut seen = Versions::new();
        let mut report = OpenReport::default();
        let blobs = Blobs::memory();
        for commit in log.durable() {
            blobs.keep(&commit.beside)?;
            store.replay(&commit, &mut seen)?;
            report.commits_replayed += 1;
        }
        erase_again(&store, &blobs, partitions)?;
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
        };
        Ok(Opened { journal: Self::of(parts, None)?, heads, streams, report })
    }
}

/// Everything read, nothing running yet.
struct Prepared {
    shape: Shape,
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
    segments::remove_unfinished(&directory.log())?;
    let (store_tree, store_applied) = open_store(directory, &shape, options, report)?;
    let (views_tree, views_applied) = open_views(directory, &shape, options, report)?;
    report.views_missing =
        views_applied.iter().zip(&store_applied).any(|(views, store)| views < store);
    let views = Views::new(Some(views_tree), &views_applied);
    let first = replay(directory, &shape, options, store_tree, &store_applied, &views, report)?;
    let (store, recovered, seen) = match first {
        Some(replayed) => replayed,
        None => {
            report.store_rebuilt = Some("it misses records before the log's end".to_owned());
            let (tree, applied) = new_store(directory, &shape, options)?;
            match replay(directory, &shape, options, tree, &applied, &views, report)? {
                Some(replayed) => replayed,
                None => return Err(first_gap(directory)),
            }
        }
    };
    let sequences: Vec<u64> = recovered.heads.iter().map(|head| head.sequence).collect();
    for applied in [&store_applied, &views_applied] {
        check_not_ahead(&sequences, applied)?;
    }
    let mut awaited = Views::executions(seen.keys());
    if report.views_missing {
        // They may show runs whose removal the log's end does not tell of.
        views.remove(store.removed_runs()?);
        awaited.extend(Views::executions(store.all_executions()?.iter()));
    }
    views.await_rows(&sequences, awaited);
    let (checkpoints, dropped) = Checkpoints::open(directory, &shape.origin, options.cache_bytes)?;
    report.checkpoints_dropped = dropped;
    Ok(Prepared { shape, store, views, checkpoints, recovered, seen })
}

fn open_store(
    directory: &Directory,
    shape: &Shape,
    options: &Options,
    report: &mut OpenReport,
) -> Result<(FencedTree, Vec<u64>), Error> {
    let opened =
        FencedTree::open(&directory.store(), &directory.store_marks(), options.cache_bytes)?;
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
    let tree = FencedTree::create(&path, &marks, options.cache_bytes, &encode_applied(&applied))?;
    Ok((tree, applied))
}

fn open_views(
    directory: &Directory,
    shape: &Shape,
    options: &Options,
    report: &mut OpenReport,
) -> Result<(FencedTree, Vec<u64>), Error> {
    let (path, marks) = (directory.views(), directory.views_marks());
    let untrusted = match FencedTree::open(&path, &marks, options.cache_bytes)? {
        Ok((tree, applied)) => match decode_applied(&applied, shape.partitions) {
            Some(applied) => return Ok((tree, applied)),
            None => "their marks are of another number of partitions".to_owned(),
        },
        Err(untrusted) => untrusted.0,
    };
    report.views_emptied = Some(untrusted).filter(|_| !report.created);
    let applied = vec![0; shape.partitions];
    let tree = FencedTree::create(&path, &marks, options.cache_bytes, &encode_applied(&applied))?;
    Ok((tree, applied))
}

/// The store with the log's end in it, where the log ends, and the streams met on the way.
type Replayed = (Store, Recovered, Versions);

/// Reads the log beyond what the store has applied, into the store. `None` if the store
/// misses records that the log does not show from where it was read.
fn replay(
    directory: &Directory,
    shape: &Shape,
    options: &Options,
    tree: FencedTree,
    applied: &[u64],
    views: &Views,
    report: &mut OpenReport,
) -> Result<Option<Replayed>, Error> {
    let store = Store::new(Some(tree), applied, options.tick_after_bytes);
    let (mut seen, mut gap, mut replayed) = (Versions::new(), false, 0);
    let recovered = recover(&directory.log(), shape, applied, &mut |commit| {
        if gap {
            return Ok(());
        }
        gap = !store.replay(commit, &mut seen)?;
        views.remove(removal::of_commit(commit));
        replayed += 1;
        if store.pending.bytes() >= options.tick_after_bytes
            && let Some(selection) = store.select(Take::All)
        {
            store.write(&selection)?;
        }
        Ok(())
    })?;
    // A removed run is nobody's to take over.
    seen.retain(|_, version| *version > 0);
    report.torn_tail = report.torn_tail.take().or(recovered.torn.clone());
    report.segments_read = recovered.segments_read;
    report.commits_replayed = replayed;
    Ok(Some((store, recovered, seen)).filter(|_| !gap))
}

fn start(
    directory: &Directory,
    options: Options,
    lock: DirectoryLock,
    prepared: Prepared,
    report: OpenReport,
) -> Result<Opened, Error> {
    let Prepared { shape, store, views, checkpoints, recovered, seen } = prepared;
    let mut streams: HashSet<StreamId> = seen.into_keys().collect();
    streams.extend(store.live()?);
    streams.extend(store.workflows()?);
    streams.extend(store.replays()?);
    let streams = sorted(streams);
    let partitions = u16::try_from(shape.partitions).expect("an identity counts them in u16");
    let blobs = Blobs::at(directory.blobs(), options.fsync != Fsync::Never);
    erase_again(&store, &blobs, partitions)?;
    let sources = Sources::of_log(&directory.log(), shape);
    let wal = Wal::start(&directory.log(), sources, options.fsync, &recovered)?;
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
    };
    let journal = Journal::of(parts, Some(lock))?;
    Ok(Opened { journal, heads: recovered.heads, streams, report })
}

/// Erases what some record says is erased: a crash may have come between the two.
fn erase_again(store: &Store, blobs: &Blobs, partitions: u16) -> Result<(), Error> {
    for partition in (0..partitions).map(PartitionId) {
        let records = store.history(&StreamId::Partition(partition))?;
        for digest in erased_by(records.iter().flatten()) {
            blobs.erase_once(&digest)?;
            blobs.note_erased([digest]);
        }
    }
    Ok(())
}

fn sorted(streams: impl IntoIterator<Item = StreamId>) -> Vec<StreamId> {
    let mut sorted: Vec<StreamId> = streams.into_iter().collect();
    sorted.sort();
    sorted
}

fn check_not_ahead(log: &[u64], applied: &[u64]) -> Result<(), Error> {
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

/// An error's message with its cause.
pub(crate) fn with_source(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
