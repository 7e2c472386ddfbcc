//! The local log: write-ahead segments, one write and one sync for a group of commits.
//!
//! `layout` is the bytes, `segments` the files, `scan`, `recover` and `walk` read, `writer` is the
//! one thread that writes. Nothing here knows what records mean.

pub(crate) mod heal;
pub(crate) mod layout;
pub(crate) mod offline;
pub(crate) mod recover;
pub(crate) mod scan;
pub(crate) mod segments;
pub(crate) mod walk;
mod writer;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

use backstitch_core::ids::PartitionId;
pub use recover::TornTail;

use crate::archive::archiver::Signals;
use crate::commit::{Commit, Head, Origin};
use crate::error::Error;
use crate::latency::Histogram;
use crate::locks::{lock, wait};
use crate::log::{AppendError, Done, DurableEnd, Log, LogStats};
use crate::options::{Fsync, Options};
use crate::record::Record;
use recover::Recovered;
use scan::Shape;

use crate::sources::Sources;

/// Bytes of commits that may wait to be written; beyond it, append waits.
pub const QUEUE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// The most bytes of commits in one group; a quarter of the segment if that is less.
pub const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long the log must rest before a marker says that its last group was whole.
pub const MARKER_IDLE_MS: u64 = 100;

/// The write-ahead log of a data directory.
pub struct Wal {
    shared: Arc<Shared>,
    sources: Sources,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What callers and the writer share.
struct Shared {
    queue: Mutex<Queue>,
    /// Something was queued, or the log closes.
    arrived: Condvar,
    /// The queue has room again.
    room: Condvar,
    durable: Mutex<Durable>,
    counters: Counters,
    signals: Arc<Signals>,
}

/// How far the log is acknowledged.
#[derive(Debug, Clone)]
struct Durable {
    heads: Vec<Head>,
    end: End,
}

/// A place in the log behind a whole group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    pub segment: u64,
    pub offset: u64,
}

#[derive(Default)]
struct Queue {
    work: std::collections::VecDeque<Work>,
    bytes: usize,
    closing: bool,
    poisoned: Option<Arc<str>>,
}

enum Work {
    Append(Commit, Done),
    Sync(std::sync::mpsc::SyncSender<Result<(), AppendError>>),
}

#[derive(Default)]
struct Counters {
    groups: AtomicU64,
    group_syncs: AtomicU64,
    markers: AtomicU64,
    commits: AtomicU64,
    written_bytes: AtomicU64,
    sync: Histogram,
}

impl Wal {
    /// Begins the log of a new store: its first segment, with a header and no group.
    pub(crate) fn create(directory: &Path, shape: &Shape) -> Result<(), Error> {
        let file = segments::create(directory, 1, shape.segment_bytes)?;
        let heads = vec![Head::default(); shape.partitions];
        writer::begin_segment(&file, shape, 1, 1, heads)
            .map_err(|e| Error::io("beginning", &segments::path_of(directory, 1), e))
    }

    /// Begins a log that stands alone, without a data directory around it.
    ///
    /// # Errors
    /// If the files cannot be made.
    pub fn create_alone(directory: &Path, origin: Origin, options: &Options) -> Result<(), Error> {
        options.check()?;
        Self::create(directory, &Shape::of(origin, options))
    }

    /// Opens a log that stands alone, visiting every commit.
    ///
    /// # Errors
    /// If the log is damaged, or its files cannot be read.
    pub fn open_alone(
        directory: &Path,
        origin: Origin,
        options: &Options,
        visit: &mut dyn FnMut(&Commit),
    ) -> Result<Self, Error> {
        options.check()?;
        let shape = Shape::of(origin, options);
        segments::remove_unfinished(directory)?;
        let zeros = vec![0; shape.partitions];
        let sources = Sources::of_log(directory, shape);
        let recovered = recover::recover(&sources, &zeros, &mut |commit| {
            visit(commit);
            Ok(())
        })?;
        Self::start(directory, sources, options.fsync, &recovered, Arc::default())
    }

    /// Goes on where recovery ended; `signals` hears of every segment that is sealed.
    pub(crate) fn start(
        directory: &Path,
        sources: Sources,
        fsync: Fsync,
        recovered: &Recovered,
        signals: Arc<Signals>,
    ) -> Result<Self, Error> {
        let end = End { segment: recovered.segment, offset: recovered.offset };
        signals.sealed(recovered.segment - 1);
        signals.rests(end);
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            arrived: Condvar::new(),
            room: Condvar::new(),
            durable: Mutex::new(Durable { heads: recovered.heads.clone(), end }),
            counters: Counters::default(),
            signals,
        });
        let writer = writer::Writer::new(
            directory,
            *sources.shape(),
            fsync,
            recovered,
            Arc::clone(&shared),
        )?;
        let thread = std::thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|e| Error::io("starting a thread for", directory, e))?;
        Ok(Self { shared, sources, thread: Mutex::new(Some(thread)) })
    }
}

impl Log for Wal {
    fn append(&self, commit: Commit, done: Done) {
        let bytes = commit.bytes().len();
        let mut queue = lock(&self.shared.queue);
        while queue.bytes + bytes > QUEUE_BYTES_MAX && !queue.closing {
            queue = wait(&self.shared.room, queue);
        }
        if queue.closing {
            drop(queue);
            done(Err(AppendError::Closed));
            return;
        }
        queue.bytes += bytes;
        queue.work.push_back(Work::Append(commit, done));
        drop(queue);
        self.shared.arrived.notify_one();
    }

    fn heads(&self) -> Vec<Head> {
        lock(&self.shared.durable).heads.clone()
    }

    fn durable_end(&self) -> Option<DurableEnd> {
        let Durable { heads, end: End { segment, offset } } = lock(&self.shared.durable).clone();
        Some(DurableEnd { heads, segment, offset })
    }

    fn commits_after(
        &self,
        partition: PartitionId,
        after_position: u64,
        visit: &mut dyn FnMut(&Commit) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        if lock(&self.shared.queue).closing {
            return Err(Error::Closed);
        }
        let end = lock(&self.shared.durable).end;
        self.sources.commits_after(Some(end), partition, after_position, visit)
    }

    fn commits_behind(
        &self,
        positions: &[u64],
        visit: &mut dyn FnMut(&Commit) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        if lock(&self.shared.queue).closing {
            return Err(Error::Closed);
        }
        let end = lock(&self.shared.durable).end;
        self.sources.commits_behind(end, positions, visit)
    }

    fn beginning(&self) -> Result<Vec<Head>, Error> {
        self.sources.beginning().map(|beginning| beginning.heads)
    }

    fn for_each_kept(&self, visit: &mut dyn FnMut(&Record)) -> Result<(), Error> {
        self.sources.for_each_kept(visit)
    }

    fn sync(&self) -> Result<(), AppendError> {
        let (sender, answer) = sync_channel(1);
        {
            let mut queue = lock(&self.shared.queue);
            if queue.closing {
                return Err(AppendError::Closed);
            }
            queue.work.push_back(Work::Sync(sender));
        }
        self.shared.arrived.notify_one();
        answer.recv().unwrap_or(Err(AppendError::Closed))
    }

    fn poison(&self, reason: &str) {
        lock(&self.shared.queue).poisoned.get_or_insert_with(|| reason.into());
    }

    fn poisoned(&self) -> Option<String> {
        lock(&self.shared.queue).poisoned.as_ref().map(ToString::to_string)
    }

    fn close(&self) {
        lock(&self.shared.queue).closing = true;
        self.shared.arrived.notify_all();
        self.shared.room.notify_all();
        if let Some(thread) = lock(&self.thread).take() {
            // The writer answers everything before it ends and catches panics of callbacks.
            drop(thread.join());
        }
    }

    fn stats(&self) -> LogStats {
        let counters = &self.shared.counters;
        LogStats {
            groups: counters.groups.load(Ordering::Relaxed),
            group_syncs: counters.group_syncs.load(Ordering::Relaxed),
            markers: counters.markers.load(Ordering::Relaxed),
            commits: counters.commits.load(Ordering::Relaxed),
            written_bytes: counters.written_bytes.load(Ordering::Relaxed),
            sync: counters.sync.latency(),
        }
    }
}

impl Drop for Wal {
    fn drop(&mut self) {
        self.close();
    }
}
