//! The journal as the engine sees it: append, read, list, close.
//!
//! Puts the log, the store and the views together. What is durable is in the store's
//! pending records and in the rows before its append is answered, so every read shows all
//! that was acknowledged and nothing that was not.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use backstitch_core::ids::{ExecutionId, PartitionId, StreamId};
use backstitch_core::summary::ViewChange;

use backstitch_core::checkpoint::Checkpoint;

use crate::archive::archiver::Archiver;
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
use crate::store::Store;
use crate::views::Views;

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
    pub checkpoints: Checkpoints,
    pub archiver: Option<Archiver>,
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
        parts.tell_archiver();
        let storer = match &parts.directory {
            Some(directory) => {
                let shared = Arc::clone(&parts);
                let thread = std::thread::Builder::new()
                    .name("journal-storer".to_owned())
                    .spawn(move || shared.store_until_closed())
                    .map_err(|e| Error::io("starting a thread for", directory, e))?;
                Some(thread)
            }
            None => None,
        };
        let (storer, lock) = (Mutex::new(storer), Mutex::new(lock));
        Ok(Self { inner: Arc::new(Inner { parts, storer, lock }) })
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
        let Batch { commit, quiescent, changes } = batch;
        let done = move |answer: Result<&Commit, AppendError>| match answer {
            Ok(commit) => {
                // Rows first: the store's mark must never be ahead of theirs.
                let history = |stream: &StreamId| parts.store.history(stream).ok().flatten();
                parts.views.apply(commit, changes, history);
                parts.checkpoints.remove(quiescent.iter());
                parts.store.pending.push(commit, &quiescent, |_, _| false);
                callback(Ok(()));
            }
            Err(error) => callback(Err(error)),
        };
        self.parts().log.append(commit, Box::new(done));
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
        self.parts().store.history(stream)
    }

    /// What a run's state is recovered from: its checkpoint and what came after it.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn recoverable(&self, run: &ExecutionId) -> Result<Option<Recoverable>, Error> {
        let stream = StreamId::Execution(*run);
        if let Some(checkpoint) = self.parts().checkpoints.get(run)? {
            let after = self.parts().store.history_after(&stream, checkpoint.version())?;
            if let Some(records) = after {
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
        self.parts.archiver.iter().for_each(Archiver::close);
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
        let _turn = self.store.turn();
        let Some(selection) = self.store.select(take) else { return Ok(()) };
        if self.options.fsync != Fsync::Always && self.log.sync().is_err() {
            // The store must not get ahead of the log; the log's own failure is known.
            return Ok(());
        }
        self.views.tick()?;
        self.store.write(&selection)?;
        self.tell_archiver();
        self.checkpoints.tick()
    }

    /// Says how far store and views have come, so that the log can be taken off.
    fn tell_archiver(&self) {
        if let Some(archiver) = &self.archiver {
            let (store, views) = (self.store.applied(), self.views.applied_by_all());
            let both = store.into_iter().zip(views).map(|(store, views)| store.min(views));
            archiver.signals().applied(both.collect());
        }
    }
}

/// Streams with their last versions.
pub(crate) type Versions = HashMap<StreamId, u64>;
