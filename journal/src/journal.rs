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

use crate::archive::archiver::Archiver;
use crate::blobs::Blobs;
use crate::blobs::writer::Queue;
use crate::builder::CommitBuilder;
use crate::checkpoints::Checkpoints;
use crate::commit::{Commit, Head, Origin};
use crate::directory::DirectoryLock;
use crate::directory::Place;
use crate::error::Error;
use crate::generations;
use crate::info::{self, Info};
use crate::keeper::Bell;
use crate::locks::lock;
use crate::log::{AppendError, Log};
use crate::open;
use crate::options::Options;
use crate::pending::Take;
use crate::record::Record;
use crate::removal::{self, RemovedRun};
use crate::store::Store;
use crate::views::Views;

/// Bytes of records that may be durable and not yet stored; beyond it, append waits.
pub const PENDING_BYTES_MAX: usize = 128 * 1024 * 1024;

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
    keeper: Mutex<Option<JoinHandle<()>>>,
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
    pub archiver: Option<Archiver>,
    /// Wakes the keeper.
    pub bell: Bell,
    pub generations: generations::Known,
}

impl Journal {
    pub(crate) fn of(parts: Parts, lock: Option<DirectoryLock>) -> Result<Self, Error> {
        let parts = Arc::new(parts);
        parts.tell_archiver();
        let storer = parts.start("journal-storer", Parts::store_until_closed)?;
        let keeper = parts.start("journal-keeper", Parts::keep_until_closed)?;
        let blob_writer = parts.start("journal-blobs", |parts| {
            parts.queue.run(&parts.blobs, parts.log.as_ref());
        })?;
        parts.bell.ring();
        let (storer, keeper) = (Mutex::new(storer), Mutex::new(keeper));
        let (blob_writer, lock) = (Mutex::new(blob_writer), Mutex::new(lock));
        Ok(Self { inner: Arc::new(Inner { parts, storer, keeper, blob_writer, lock }) })
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
                if let Err(error) = parts.views.remove_all(removed.iter().map(|(run, _)| run)) {
                    parts.log.poison(&open::with_source(&error));
                }
                let history = |stream: &StreamId| parts.store.history(stream).ok().flatten();
                parts.views.apply(commit, changes, history);
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
        self.parts.bell.close();
        for thread in [&self.storer, &self.keeper] {
            if let Some(thread) = lock(thread).take() {
                // sled's panics are caught; another one is told as any thread's.
                drop(thread.join());
            }
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

/// Streams with their last versions.
pub(crate) type Versions = HashMap<StreamId, u64>;
