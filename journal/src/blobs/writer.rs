//! The one thread that makes contents durable before their commits go to the log.
//!
//! Commits of a partition keep their order: one that leaves nothing beside it waits here only
//! while an earlier one of its partition does. Erasing has its place in the same order.

use std::collections::{HashMap, VecDeque};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Condvar, Mutex};

use backstitch_core::ids::Digest;

use super::{Blobs, Text};
use crate::commit::Commit;
use crate::error::Error;
use crate::locks::{lock, wait};
use crate::log::{AppendError, Done, Log};
use crate::open::with_source;

/// Bytes of contents that may wait to be written; beyond it, append waits.
pub const BLOB_QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of contents that are written before their commits go to the log together.
const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What waits for contents to be durable.
#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    room: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Commits of each partition that are queued or just being seen to.
    held: HashMap<u16, usize>,
    bytes: usize,
    closing: bool,
}

enum Job {
    Append(Box<Append>),
    Erase(Digest),
    /// Somebody waits for everything before this.
    Settle(SyncSender<()>),
}

/// A commit and the contents it names.
struct Append {
    texts: Vec<Text>,
    commit: Commit,
    done: Done,
}

impl Job {
    fn bytes(&self) -> usize {
        match self {
            Self::Append(own) => own.texts.iter().map(|(_, text)| text.len()).sum(),
            Self::Erase(_) | Self::Settle(_) => 0,
        }
    }
}

impl Queue {
    /// Appends a commit once its contents are durable. Waits while too much is queued. Once
    /// the queue closes nothing more is taken: nobody would make the contents durable, and
    /// what waits here would be overtaken.
    pub(crate) fn append(&self, log: &dyn Log, texts: Vec<Text>, commit: Commit, done: Done) {
        let partition = commit.partition().0;
        let mut state = lock(&self.state);
        let goes_straight = texts.is_empty() && !state.held.contains_key(&partition);
        while !goes_straight && state.bytes > BLOB_QUEUE_BYTES_MAX && !state.closing {
            state = wait(&self.room, state);
        }
        if state.closing {
            drop(state);
            let reason =
                log.poisoned().map(|reason| AppendError::Poisoned { reason: reason.into() });
            return done(Err(reason.unwrap_or(AppendError::Closed)));
        }
        if goes_straight {
            drop(state);
            return log.append(commit, done);
        }
        let job = Job::Append(Box::new(Append { texts, commit, done }));
        state.bytes += job.bytes();
        *state.held.entry(partition).or_default() += 1;
        state.jobs.push_back(job);
        drop(state);
        self.arrived.notify_all();
    }

    /// Has a content erased behind everything queued so far.
    pub(crate) fn erase(&self, digest: Digest) {
        lock(&self.state).jobs.push_back(Job::Erase(digest));
        self.arrived.notify_all();
    }

    /// Waits until everything queued so far is done.
    pub(crate) fn settle(&self) {
        let (done, settled) = sync_channel(1);
        let mut state = lock(&self.state);
        if state.closing {
            return;
        }
        state.jobs.push_back(Job::Settle(done));
        drop(state);
        self.arrived.notify_all();
        // The thread ends only when the journal closes; then there is nothing to wait for.
        settled.recv().unwrap_or(());
    }

    /// What is queued is still seen to; then the thread ends.
    pub(crate) fn close(&self) {
        lock(&self.state).closing = true;
        self.arrived.notify_all();
        self.room.notify_all();
    }

    /// The thread: sees to what is queued until the journal closes, and counts contents while
    /// there is nothing else to do.
    pub(crate) fn run(&self, blobs: &Blobs, log: &dyn Log) {
        let _leaving = Leaving { queue: self, log };
        loop {
            let mut state = lock(&self.state);
            while state.jobs.is_empty() {
                if state.closing {
                    return;
                }
                drop(state);
                let counting = blobs.files().is_some_and(super::files::Files::count_more);
                state = lock(&self.state);
                if !counting && state.jobs.is_empty() && !state.closing {
                    state = wait(&self.arrived, state);
                }
            }
            let jobs = state.next_jobs();
            drop(state);
            self.room.notify_all();
            self.see_to(jobs, blobs, log);
        }
    }

    fn see_to(&self, jobs: Vec<Job>, blobs: &Blobs, log: &dyn Log) {
        let texts: Vec<Text> = jobs
            .iter()
            .flat_map(|job| match job {
                Job::Append(own) => own.texts.as_slice(),
                Job::Erase(_) | Job::Settle(_) => &[],
            })
            .cloned()
            .collect();
        let poisoned = |error: Error| log.poison(&with_source(&error));
        if log.poisoned().is_none() {
            // Once poisoned the log refuses these commits itself.
            blobs.keep(&texts).unwrap_or_else(poisoned);
        }
        for job in jobs {
            match job {
                Job::Append(own) => {
                    let Append { commit, done, .. } = *own;
                    let partition = commit.partition().0;
                    log.append(commit, done);
                    let mut state = lock(&self.state);
                    if let Some(held) = state.held.get_mut(&partition) {
                        *held -= 1;
                        if *held == 0 {
                            state.held.remove(&partition);
                        }
                    }
                }
                Job::Erase(digest) => blobs.erase(&digest).unwrap_or_else(poisoned),
                Job::Settle(done) => drop(done.send(())),
            }
        }
    }
}

/// The thread ends. By a panic, nobody is left waiting: the log refuses what is queued.
struct Leaving<'a> {
    queue: &'a Queue,
    log: &'a dyn Log,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        self.log.poison("the thread that keeps contents panicked");
        self.queue.close();
        let jobs = std::mem::take(&mut lock(&self.queue.state).jobs);
        for job in jobs {
            if let Job::Append(own) = job {
                self.log.append(own.commit, own.done);
            }
        }
    }
}

impl State {
    /// What is seen to together: appends up to some bytes, or one of the other jobs.
    fn next_jobs(&mut self) -> Vec<Job> {
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while let Some(job) = self.jobs.front() {
            let more = job.bytes();
            let alone = !matches!(job, Job::Append(_));
            if !taken.is_empty() && (alone || bytes + more > BATCH_BYTES_MAX) {
                break;
            }
            bytes += more;
            taken.extend(self.jobs.pop_front());
            if alone {
                break;
            }
        }
        self.bytes -= bytes;
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::channel;

    use backstitch_core::event::{Event, PartitionEvent};
    use backstitch_core::ids::{PartitionId, StreamId};
    use backstitch_core::time::Timestamp;

    use super::*;
    use crate::builder::{CommitBuilder, Fit};
    use crate::commit::Head;
    use crate::log::memory::MemoryLog;

    fn commit_of(log: &MemoryLog) -> Commit {
        let partition = PartitionId(0);
        let mut builder = CommitBuilder::new(log.origin(), partition, 1, &Head::default());
        let digest = Digest::of(b"x");
        let (reason, actor) = ("asked for".to_owned(), "ann".to_owned());
        let event = Event::Partition(PartitionEvent::PayloadErased { digest, reason, actor });
        let stream = StreamId::Partition(partition);
        assert_eq!(builder.push(&stream, 1, Timestamp(1), &event), Fit::Fits);
        builder.finish(Timestamp(1))
    }

    /// Nobody makes its contents durable any more, so its commit must not be acknowledged.
    #[test]
    fn what_comes_while_the_queue_closes_is_refused_and_answered() {
        let (queue, log) = (Queue::default(), MemoryLog::automatic(1));
        let commit = commit_of(&log);
        let (sender, answers) = channel();
        let append = |bytes: usize| {
            let text: Arc<str> = "x".repeat(bytes).into();
            let texts = vec![(Digest::of(text.as_bytes()), text)];
            let sender = sender.clone();
            let done: Done = Box::new(move |told| sender.send(told.map(|_| ())).unwrap());
            queue.append(&log, texts, commit.clone(), done);
        };
        append(BLOB_QUEUE_BYTES_MAX + 1);
        std::thread::scope(|scope| {
            // It waits for room, or comes behind the closing.
            let waiting = scope.spawn(|| append(1));
            queue.close();
            waiting.join().unwrap();
        });
        append(1);
        for _ in 0..2 {
            assert_eq!(answers.try_recv(), Ok(Err(AppendError::Closed)));
        }
        assert_eq!(log.heads()[0].sequence, 0, "nothing went past the queue");
    }
}
