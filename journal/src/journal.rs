//! The journal as the engine sees it: append, read, list, close.
//!
//! Puts the log, the store and the views together. What is durable is in the store's
//! pending records and in the rows before its append is answered, so every read shows all
//! that was acknowledged and nothing that was not.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use backstitch_core::ids::{ExecutionId, LetterId, PartitionId, StreamId};
use backstitch_core::summary::{LetterSummary, RunSummary, ViewChange};

use backstitch_core::checkpoint::Checkpoint;

use crate::blobs::Blobs;
use crate::blobs::writer::Queue;
use crate::builder::CommitBuilder;
use crate::checkpoints::Checkpoints;
use crate::commit::{Commit, Head, Origin};
use crate::directory::DirectoryLock;
use crate::directory::Place;
use crate::error::Error;
use crate::info::{self, Info};
use crate::locks::lock;
use crate::log::{AppendError, Log};
use crate::open;
use crate::options::{Fsync, Options};
use crate::pending::Take;
use crate::record::Record;
use crate::removal::{self, RemovedRun};
use crate::store::Store;
use crate::views::{Cursor, LetterFilter, Page, RunFilter, Views};

/// Bytes of records that may be durable and not yet stored; beyond it, append waits.
pub const PENDING_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What is appended together.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The records.
    pub commit: Commit,
    /// Runs of this commit for which nothing is owed any more, so that a restart need not
    /// hand them out again.
    pub quiescent: Vec<StreamId>,
    /// Rows as they are after this commit.
    pub changes: Vec<ViewChange>,
}

/// Takes the answer to an append, on the log's thread: it must be quick and must not wait
/// for another append.
pub type Callback = Box<dyn FnOnce(Result<(), AppendError>) + Send>;

/// A handle of an open journal; clones share it. It closes with the last one, or earlier
/// with [`Journal::close`].
#[derive(Clone)]
pub struct Journal {
    inner: Arc<Inner>,
}

struct Inner {
    parts: Arc<Parts>,
    storer: Mutex<Option<JoinHandle<()>>>,
    blob_writer: Mutex<Option<JoinHandle<()>>>,
    /// Released with the last handle.
    lock: Mutex<Option<DirectoryLock>>,
}

/// What the journal's threads share.
pub(crate) struct Parts {
    pub directory: Option<PathBuf>,
    pub place: Option<Place>,
    pub options: Options,
    pub origin: Origin,
    pub log: Box<dyn Log>,
    pub store: Store,
    pub views: Views,
    pub blobs: Blobs,
    pub queue: Queue,
    pub checkpoints: Checkpoints,
}

/// What a run's state is recovered from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recoverable {
    /// A checkpoint to begin with, if there is one that the history reaches.
    pub checkpoint: Option<Box<Checkpoint>>,
    /// The events after it, or all, in order.
    pub records: Vec<Record>,
}

impl Journal {
    pub(crate) fn of(parts: Parts, lock: Option<DirectoryLock>) -> Result<Self, Error> {
        let parts = Arc::new(parts);
        let thread = |name: &str, work: fn(&Parts)| {
            let Some(directory) = &parts.directory else { return Ok(Mutex::new(None)) };
            let shared = Arc::clone(&parts);
            let thread = std::thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || work(&shared))
                .map_err(|e| Error::io("starting a thread for", directory, e))?;
            Ok(Mutex::new(Some(thread)))
        };
        let storer = thread("journal-storer", Parts::store_until_closed)?;
        let blob_writer = thread("journal-blobs", |parts| {
            parts.queue.run(&parts.blobs, parts.log.as_ref());
        })?;
        let lock = Mutex::new(lock);
        Ok(Self { inner: Arc::new(Inner { parts, storer, blob_writer, lock }) })
    }

    /// Starts the commit that follows `head` in a partition.
    #[must_use]
    pub fn commit_builder(&self, partition: PartitionId, epoch: u64, head: &Head) -> CommitBuilder {
        CommitBuilder::new(self.parts().origin, partition, epoch, head)
    }

    /// Appends a commit. The callback gets `Ok` once it is durable and readable; the laws are
    /// those of [`Log`]. Waits while too much is queued.
    pub fn append(&self, batch: Batch, callback: Callback) {
        let parts = Arc::clone(self.parts());
        if parts.directory.is_some() {
            parts.store.pending.wait_for_room(PENDING_BYTES_MAX);
        }
        let Batch { mut commit, quiescent, changes } = batch;
        let in_files = parts.directory.is_some();
        let texts = if in_files { std::mem::take(&mut commit.beside) } else { Vec::new() };
        let done = move |answer: Result<&Commit, AppendError>| match answer {
            Ok(commit) => {
                // Rows first: the store's mark must never be ahead of theirs.
                let removed = removal::of_commit(commit);
                parts.checkpoints.remove(quiescent.iter());
                parts.checkpoints.remove(removed.iter().map(|(run, _)| run));
                parts.views.remove(removed);
                parts.views.apply(commit.partition().0, commit.sequence(), changes);
                parts.store.pending.push(commit, &quiescent, |_, _| false);
                parts.erase_what_is_named_by(commit);
                callback(Ok(()));
            }
            Err(error) => callback(Err(error)),
        };
        let (own, done) = (self.parts(), Box::new(done));
        if in_files {
            return own.queue.append(own.log.as_ref(), texts, commit, done);
        }
        if let Err(error) = own.blobs.keep(&commit.beside) {
            own.log.poison(&open::with_source(&error));
        }
        own.log.append(commit, done);
    }

    /// Takes what recovery learned without a commit: runs that owe nothing, and rows. Every
    /// run that opening handed out should get its row this way.
    pub fn mark(&self, quiescent: Vec<StreamId>, changes: Vec<ViewChange>) {
        self.parts().views.supply(changes);
        self.parts().checkpoints.remove(quiescent.iter());
        self.parts().store.pending.mark_quiescent(&quiescent);
    }

    /// Says that recovery has supplied every row it can. Without this, one run without a row
    /// has the next start hand out all that came after it again.
    pub fn rows_complete(&self) {
        self.parts().views.complete();
    }

    /// A stream's whole history in order, `None` if there is none.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn history(&self, stream: &StreamId) -> Result<Option<Vec<Record>>, Error> {
        let mut records = self.parts().store.history(stream)?;
        self.parts().blobs.give_back(records.as_deref_mut().unwrap_or_default())?;
        Ok(records)
    }

    /// A stream's last version, `None` if it has no history.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn last_version(&self, stream: &StreamId) -> Result<Option<u64>, Error> {
        self.parts().store.last_version(stream)
    }

    /// Forgets when and why runs were removed up to these commits, one for each partition:
    /// call it with what was cut, for nothing before it is ever read again. It happens in the
    /// next ticks.
    pub fn forget_removed(&self, cut: &[u64]) {
        self.parts().store.pending.forget(cut);
    }

    /// Bytes of a stream's records; 0 if it has no history.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn history_bytes(&self, stream: &StreamId) -> Result<u64, Error> {
        self.parts().store.history_bytes(stream)
    }

    /// Bytes of keys and values in the store's tree. Reads all of it.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn stored_bytes(&self) -> Result<u64, Error> {
        self.parts().store.live_bytes()
    }

    /// When and why a run was removed; `None` if it was not, or the log was cut since.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn removed_run(&self, run: &ExecutionId) -> Result<Option<RemovedRun>, Error> {
        self.parts().store.removed_run(&StreamId::Execution(*run))
    }

    /// What a run's state is recovered from: its checkpoint and what came after it.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn recoverable(&self, run: &ExecutionId) -> Result<Option<Recoverable>, Error> {
        let stream = StreamId::Execution(*run);
        // One of a life that was removed would fit the versions of the next, and be wrong.
        let removed_at = self.removed_run(run)?.map(|removed| removed.at);
        if let Some(mut checkpoint) = self.parts().checkpoints.get(run)?
            && removed_at.is_none_or(|at| checkpoint.submitted_at() > at)
        {
            let after = self.parts().store.history_after(&stream, checkpoint.version())?;
            let whole = self.parts().blobs.give_back_to_checkpoint(&mut checkpoint)?;
            if let Some(mut records) = after.filter(|_| whole) {
                self.parts().blobs.give_back(&mut records)?;
                return Ok(Some(Recoverable { checkpoint: Some(Box::new(checkpoint)), records }));
            }
        }
        let whole = self.history(&stream)?;
        Ok(whole.map(|records| Recoverable { checkpoint: None, records }))
    }

    /// Takes checkpoints of runs, each of a version that is durable. They are written in the
    /// background and shorten the next start.
    pub fn checkpoint(&self, made: Vec<(ExecutionId, Box<Checkpoint>)>) {
        self.parts().checkpoints.put(made);
    }

    /// Visits the whole history of every run, one after the other, by id. Runs that come into
    /// being meanwhile may be left out.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn for_each_history(
        &self,
        mut visit: impl FnMut(StreamId, Vec<Record>),
    ) -> Result<(), Error> {
        for stream in self.parts().store.all_executions()? {
            if let Some(records) = self.history(&stream)? {
                visit(stream, records);
            }
        }
        Ok(())
    }

    /// Visits the durable commits of a partition that hold records behind a position, in
    /// order, until `visit` breaks off. Goes through the files while the log is being written;
    /// commits acknowledged meanwhile may be left out.
    ///
    /// # Errors
    /// [`Error::Damaged`] where the chain is not whole; what was visited before is right.
    pub fn commits_after(
        &self,
        partition: PartitionId,
        after_position: u64,
        visit: &mut dyn FnMut(&Commit) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        self.parts().log.commits_after(partition, after_position, visit)
    }

    /// A run's row.
    ///
    /// # Errors
    /// If the views cannot be read.
    pub fn run(&self, id: &ExecutionId) -> Result<Option<RunSummary>, Error> {
        self.parts().views.run(id)
    }

    /// Runs, newest first. Filtering by workflow and status together reads past the
    /// workflow's runs of other statuses.
    ///
    /// # Errors
    /// If the views cannot be read.
    pub fn runs(
        &self,
        filter: &RunFilter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<RunSummary>, Error> {
        self.parts().views.runs(filter, after, limit)
    }

    /// A dead letter's row.
    ///
    /// # Errors
    /// If the views cannot be read.
    pub fn letter(&self, id: &LetterId) -> Result<Option<LetterSummary>, Error> {
        self.parts().views.letter(id)
    }

    /// Dead letters, newest first.
    ///
    /// # Errors
    /// If the views cannot be read.
    pub fn letters(
        &self,
        filter: &LetterFilter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<LetterSummary>, Error> {
        self.parts().views.letters(filter, after, limit)
    }

    /// The durable end of each partition.
    #[must_use]
    pub fn heads(&self) -> Vec<Head> {
        self.parts().log.heads()
    }

    /// Which store this is: its id and how often it was restored.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.parts().origin
    }

    /// How many partitions there are.
    #[must_use]
    pub fn partition_count(&self) -> u16 {
        self.parts().options.partitions
    }

    /// What the journal is and how it stands.
    #[must_use]
    pub fn info(&self) -> Info {
        info::of(self.parts())
    }

    /// Why no more commits are taken, if so: the process should stop and start again.
    #[must_use]
    pub fn poisoned(&self) -> Option<String> {
        self.parts().log.poisoned()
    }

    /// Writes what is pending into the store and the views now.
    ///
    /// # Errors
    /// If that fails; the journal is poisoned then.
    pub fn store_now(&self) -> Result<(), Error> {
        self.parts().tick(Take::All)
    }

    /// Answers what is queued, stores everything, and releases the directory. Later appends
    /// are refused, and so is reading through handles that remain.
    ///
    /// # Errors
    /// If the last write to the store fails; everything acknowledged is in the log.
    pub fn close(&self) -> Result<(), Error> {
        self.inner.close()
    }

    pub(crate) fn parts(&self) -> &Arc<Parts> {
        &self.inner.parts
    }
}

impl Inner {
    fn close(&self) -> Result<(), Error> {
        let place = self.parts.check_place();
        let Some(released) = lock(&self.lock).take() else {
            self.parts.log.close();
            return Ok(());
        };
        self.parts.queue.close();
        if let Some(writer) = lock(&self.blob_writer).take()
            && writer.join().is_err()
        {
            self.parts.log.poison("the thread that keeps contents panicked");
        }
        self.parts.log.close();
        self.parts.store.pending.close();
        if let Some(storer) = lock(&self.storer).take() {
            // A panic there has poisoned the log with its message.
            drop(storer.join());
        }
        let stored = match self.parts.log.poisoned() {
            None => self.parts.tick(Take::All),
            Some(_) => Ok(()),
        };
        self.parts.store.close();
        self.parts.views.close();
        self.parts.checkpoints.close();
        drop(released);
        place.and(stored)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Whoever wants to know calls `close`; the log has everything either way.
        drop(self.close());
    }
}

impl Parts {
    fn store_until_closed(&self) {
        let Options { store_after_bytes: bytes, store_after_ms: age_ms, .. } = self.options;
        while self.store.pending.wait_for_tick(self.options.tick_ms) {
            if self.check_place().is_err()
                || self.log.poisoned().is_some()
                || self.tick(Take::Due { bytes, age_ms }).is_err()
            {
                // A failed tick has poisoned the log; nobody is left waiting for room.
                self.store.pending.close();
                return;
            }
        }
    }

    /// Poisons the log if the directory is gone: what is written there goes nowhere.
    fn check_place(&self) -> Result<(), Error> {
        let checked = self.place.as_ref().map_or(Ok(()), Place::check);
        if let Err(error) = &checked {
            self.log.poison(&error.to_string());
        }
        checked
    }

    /// Writes pending records and rows. The selection comes before the rows, so that the
    /// rows' mark is never behind the store's.
    pub(crate) fn tick(&self, take: Take) -> Result<(), Error> {
        let ticked = self.try_tick(take);
        if let Err(error) = &ticked {
            self.log.poison(&open::with_source(error));
        }
        ticked
    }

    fn try_tick(&self, take: Take) -> Result<(), Error> {
        while self.write_selection(take)? && matches!(take, Take::All) {}
        Ok(())
    }

    /// Answers whether something was left to the next tick.
    fn write_selection(&self, take: Take) -> Result<bool, Error> {
        let Some(selection) = self.store.select(take) else { return Ok(false) };
        if self.options.fsync != Fsync::Always && self.log.sync().is_err() {
            // The store must not get ahead of the log; the log's own failure is known.
            return Ok(false);
        }
        self.views.tick()?;
        self.store.write(&selection)?;
        self.checkpoints.tick()?;
        Ok(selection.deferred)
    }
}

/// Streams with their last versions.
pub(crate) type Versions = HashMap<StreamId, u64>;
