//! The one thread that writes the log: gathers a group, writes it once, syncs it once,
//! answers.
//!
//! Knows nothing of what is in the commits beyond their chain.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::commit::{Commit, Head};
use crate::error::Error;
use crate::locks::{lock, wait, wait_ms};
use crate::log::wal::layout::{self, GROUP_HEADER_BYTES, SECTOR_BYTES, SegmentHeader};
use crate::log::wal::recover::Recovered;
use crate::log::wal::scan::Shape;
use crate::log::wal::segments::{self, Preparer};
use crate::log::wal::{End, GROUP_BYTES_MAX, MARKER_IDLE_MS, Shared, Work};
use crate::log::{AppendError, Done};
use crate::options::Fsync;

/// Writes the header of a segment and makes it durable.
pub(crate) fn begin_segment(
    file: &File,
    shape: &Shape,
    number: u64,
    first_group: u64,
    heads: Vec<Head>,
) -> io::Result<()> {
    let (origin, segment_bytes) = (shape.origin, shape.segment_bytes);
    let header = SegmentHeader { origin, number, first_group, segment_bytes, heads };
    let header = layout::encode_segment_header(&header);
    let begun = file.write_all_at(&header, 0).and_then(|()| file.sync_data());
    if begun.is_err() {
        take_back(file, 0, header.len() as u64);
    }
    begun
}

/// Overwrites what a failed write or sync leaves. The system may hold it in memory as if it were
/// written, and never write it: whoever goes on behind it would lose what is acknowledged then.
fn take_back(file: &File, from: u64, until: u64) {
    let bytes = usize::try_from(until.saturating_sub(from)).unwrap_or_default();
    // If this fails too, nothing more can be done here.
    drop(file.write_all_at(&vec![0; bytes], from));
}

/// The writer's own state; only its thread touches it.
pub(super) struct Writer {
    shared: Arc<Shared>,
    directory: PathBuf,
    shape: Shape,
    fsync: Fsync,
    preparer: Preparer,
    file: File,
    segment: u64,
    offset: u64,
    /// Behind what is durable of this segment.
    synced_offset: u64,
    next_group: u64,
    /// The last group known durable.
    proven: u64,
    /// The chains including commits not yet durable.
    heads: Vec<Head>,
    /// Whether the last group is not yet followed by one that proves it.
    unmarked: bool,
    last_sync: Instant,
    buffer: Vec<u8>,
}

/// What the queue had.
enum Batch {
    /// Appends, and perhaps somebody who waits for a sync behind them.
    Work(Vec<Work>),
    /// Nothing for as long as was agreed.
    Idle,
    /// Nothing, and the log closes.
    Closing,
}

impl Writer {
    pub(super) fn new(
        directory: &Path,
        shape: Shape,
        fsync: Fsync,
        recovered: &Recovered,
        shared: Arc<Shared>,
    ) -> Result<Self, Error> {
        Ok(Self {
            shared,
            directory: directory.to_owned(),
            shape,
            fsync,
            preparer: Preparer::start(directory, recovered.segment + 1, shape.segment_bytes)?,
            file: segments::open(directory, recovered.segment)?,
            segment: recovered.segment,
            offset: recovered.offset,
            synced_offset: recovered.offset,
            next_group: recovered.next_group,
            proven: recovered.next_group - 1,
            heads: recovered.heads.clone(),
            unmarked: false,
            last_sync: Instant::now(),
            buffer: Vec::new(),
        })
    }

    pub(super) fn run(mut self) {
        loop {
            match self.next_batch() {
                Batch::Work(work) => self.write_and_answer(work),
                Batch::Idle => self.rest(),
                Batch::Closing => return self.rest(),
            }
        }
    }

    fn next_batch(&self) -> Batch {
        let shared = &self.shared;
        let mut queue = lock(&shared.queue);
        while queue.work.is_empty() {
            if queue.closing {
                return Batch::Closing;
            }
            let resting_ms = self.resting_ms().filter(|_| queue.poisoned.is_none());
            let Some(resting_ms) = resting_ms else {
                queue = wait(&shared.arrived, queue);
                continue;
            };
            let (back, timed_out) = wait_ms(&shared.arrived, queue, resting_ms);
            queue = back;
            if timed_out && queue.work.is_empty() && !queue.closing {
                return Batch::Idle;
            }
        }
        let group_bytes_max = GROUP_BYTES_MAX.min(self.shape.segment_bytes as usize / 4);
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while let Some(work) = queue.work.front() {
            let more = match work {
                Work::Append(commit, _) => layout::commit_bytes_in_group(commit),
                Work::Sync(_) => 0,
            };
            if bytes > 0 && bytes + more > group_bytes_max {
                break;
            }
            bytes += more;
            taken.extend(queue.work.pop_front());
        }
        queue.bytes = queue.bytes.saturating_sub(
            taken
                .iter()
                .map(|work| match work {
                    Work::Append(commit, _) => commit.bytes().len(),
                    Work::Sync(_) => 0,
                })
                .sum(),
        );
        drop(queue);
        shared.room.notify_all();
        Batch::Work(taken)
    }

    /// How long to wait before there is something to do without new work.
    fn resting_ms(&self) -> Option<u64> {
        let dirty = self.proven + 1 < self.next_group;
        match self.fsync {
            Fsync::Always => self.unmarked.then_some(MARKER_IDLE_MS),
            Fsync::Interval { ms } if dirty => {
                let since = u64::try_from(self.last_sync.elapsed().as_millis()).unwrap_or(ms);
                Some(ms.saturating_sub(since).max(1))
            }
            Fsync::Interval { .. } => self.unmarked.then_some(MARKER_IDLE_MS),
            Fsync::Never => None,
        }
    }

    /// Nothing to write: sync what is not, then prove it by a marker.
    fn rest(&mut self) {
        if !self.unmarked || lock(&self.shared.queue).poisoned.is_some() {
            return;
        }
        let interval_was_due =
            matches!(self.fsync, Fsync::Interval { .. }) && self.proven + 1 < self.next_group;
        let closing = lock(&self.shared.queue).closing;
        let rested = self.sync_now().and_then(|()| match interval_was_due && !closing {
            true => Ok(()),
            false => self.write_marker(),
        });
        if let Err(error) = rested {
            self.poison(&error);
        }
    }

    fn write_and_answer(&mut self, work: Vec<Work>) {
        if let Some(reason) = lock(&self.shared.queue).poisoned.clone() {
            return answer_poisoned(work, &reason);
        }
        let staged_before = self.heads.clone();
        let verdicts: Vec<_> = work.iter().map(|work| self.judge(work)).collect();
        let accepted: Vec<&Commit> = work
            .iter()
            .zip(&verdicts)
            .filter_map(|(work, verdict)| match work {
                Work::Append(commit, _) if verdict.is_ok() => Some(commit),
                _ => None,
            })
            .collect();
        let wants_sync = work.iter().any(|work| matches!(work, Work::Sync(_)));
        let written = self
            .write_group(&accepted, &staged_before)
            .and_then(|()| self.sync_by_policy(wants_sync));
        let reason = written.err().map(|error| self.poison(&error));
        if let Some(reason) = reason {
            return answer_poisoned(work, &reason);
        }
        self.publish();
        self.answer(work, verdicts);
    }

    /// Says how far the log may be read.
    fn publish(&self) {
        let mut durable = lock(&self.shared.durable);
        durable.heads.clone_from(&self.heads);
        durable.end = self.end();
    }

    fn end(&self) -> End {
        End { segment: self.segment, offset: self.offset }
    }

    /// Whether a commit continues its chain; moves the staged head if so.
    fn judge(&mut self, work: &Work) -> Result<(), AppendError> {
        let Work::Append(commit, _) = work else { return Ok(()) };
        let partition = commit.partition().0;
        let conflict = |last: u64, detail: &'static str| AppendError::Conflict {
            partition,
            last,
            given: commit.sequence(),
            detail,
        };
        if commit.origin() != self.shape.origin {
            return Err(conflict(0, "it was made for another store"));
        }
        let Some(head) = self.heads.get_mut(usize::from(partition)) else {
            return Err(conflict(0, "there is no such partition"));
        };
        commit.follows(head).map_err(|detail| conflict(head.sequence, detail))?;
        *head = commit.head();
        Ok(())
    }

    fn write_group(&mut self, commits: &[&Commit], heads_before: &[Head]) -> Result<(), Error> {
        if commits.is_empty() {
            return Ok(());
        }
        if !self.unmarked {
            self.shared.signals.goes_on();
        }
        let payload: usize = commits.iter().map(|c| layout::commit_bytes_in_group(c)).sum();
        self.make_room(GROUP_HEADER_BYTES + payload, heads_before)?;
        self.write(commits)?;
        let counters = &self.shared.counters;
        counters.groups.fetch_add(1, Ordering::Relaxed);
        counters.commits.fetch_add(commits.len() as u64, Ordering::Relaxed);
        self.unmarked = true;
        Ok(())
    }

    /// Writes one group at the end of the segment, which has room for it.
    fn write(&mut self, commits: &[&Commit]) -> Result<(), Error> {
        let origin = self.shape.origin;
        layout::encode_group(
            &origin,
            self.next_group,
            self.proven,
            commits.iter().copied(),
            &mut self.buffer,
        );
        let bytes = self.buffer.len() as u64;
        if let Err(error) = self.file.write_all_at(&self.buffer, self.offset) {
            take_back(&self.file, self.offset, self.offset + bytes);
            return Err(self.failed("writing to", error));
        }
        self.shared.counters.written_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.offset += bytes;
        self.next_group += 1;
        Ok(())
    }

    fn write_marker(&mut self) -> Result<(), Error> {
        let heads = self.heads.clone();
        self.make_room(GROUP_HEADER_BYTES, &heads)?;
        self.write(&[])?;
        self.shared.counters.markers.fetch_add(1, Ordering::Relaxed);
        self.unmarked = false;
        self.sync_now()?;
        self.shared.signals.rests(self.end());
        Ok(())
    }

    /// Goes on to the next segment if this one has no room for so many bytes.
    fn make_room(&mut self, bytes: usize, heads: &[Head]) -> Result<(), Error> {
        let needed = bytes.next_multiple_of(SECTOR_BYTES) as u64;
        if self.offset + needed <= self.shape.segment_bytes {
            return Ok(());
        }
        // Whatever the policy: a later segment vouches for all of the one before it.
        self.sync_now()?;
        let next = self.preparer.take(&self.directory)?;
        let number = self.segment + 1;
        begin_segment(&next, &self.shape, number, self.next_group, heads.to_vec())
            .map_err(|e| Error::io("beginning", &segments::path_of(&self.directory, number), e))?;
        self.file = next;
        self.segment = number;
        self.offset = layout::segment_header_bytes(self.shape.partitions) as u64;
        self.synced_offset = self.offset;
        self.shared.signals.sealed(number - 1);
        Ok(())
    }

    fn sync_by_policy(&mut self, wanted: bool) -> Result<(), Error> {
        let dirty = self.proven + 1 < self.next_group;
        let due = match self.fsync {
            Fsync::Always => true,
            Fsync::Interval { ms } => self.last_sync.elapsed() >= Duration::from_millis(ms),
            Fsync::Never => false,
        };
        if !dirty || !(due || wanted) {
            return Ok(());
        }
        let began = Instant::now();
        self.sync_now()?;
        self.shared.counters.sync.add(began.elapsed());
        self.shared.counters.group_syncs.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn sync_now(&mut self) -> Result<(), Error> {
        if self.proven + 1 == self.next_group {
            return Ok(());
        }
        if let Err(error) = self.file.sync_data() {
            take_back(&self.file, self.synced_offset, self.offset);
            return Err(self.failed("syncing", error));
        }
        self.proven = self.next_group - 1;
        self.synced_offset = self.offset;
        self.last_sync = Instant::now();
        Ok(())
    }

    fn failed(&self, action: &'static str, source: io::Error) -> Error {
        Error::io(action, &segments::path_of(&self.directory, self.segment), source)
    }

    fn poison(&self, error: &dyn std::error::Error) -> Arc<str> {
        let mut reason = error.to_string();
        if let Some(source) = error.source() {
            reason = format!("{reason}: {source}");
        }
        let mut queue = lock(&self.shared.queue);
        Arc::clone(queue.poisoned.get_or_insert_with(|| reason.into()))
    }

    fn answer(&self, work: Vec<Work>, verdicts: Vec<Result<(), AppendError>>) {
        for (work, verdict) in work.into_iter().zip(verdicts) {
            match work {
                Work::Append(commit, done) => {
                    let called = catch_unwind(AssertUnwindSafe(|| {
                        done(verdict.map(|()| &commit));
                    }));
                    if called.is_err() {
                        self.poison(&io::Error::other("an append's callback panicked"));
                    }
                }
                // Nobody waits any more if the receiver is gone.
                Work::Sync(waiting) => drop(waiting.send(Ok(()))),
            }
        }
    }
}

fn answer_poisoned(work: Vec<Work>, reason: &Arc<str>) {
    for work in work {
        let error = AppendError::Poisoned { reason: Arc::clone(reason) };
        match work {
            Work::Append(_, done) => call_refused(done, error),
            Work::Sync(waiting) => drop(waiting.send(Err(error))),
        }
    }
}

fn call_refused(done: Done, error: AppendError) {
    // The log is poisoned already; a panicking callback makes it no worse.
    drop(catch_unwind(AssertUnwindSafe(|| done(Err(error)))));
}
