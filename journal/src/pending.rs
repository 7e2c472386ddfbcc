//! Records that are durable in the log and not yet in the store.
//!
//! Filled by the log's thread before an append is answered, so that a reader always sees
//! what was acknowledged; emptied by the storer. Knows no files.

mod select;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use backstitch_core::ids::StreamId;

use crate::bytes::{Fields, Malformed, length_u32};
use crate::commit::Commit;
use crate::locks::{lock, wait, wait_ms};
use crate::record::{self, Record};
use crate::removal::{self, RemovedRun};
pub(crate) use select::{Selection, Take};

/// Bytes a packed record has before its body: position u64, length u32.
pub(crate) const PACKED_HEADER_BYTES: usize = 12;

/// Consecutive records of one stream, packed.
#[derive(Debug, Default, Clone)]
pub(crate) struct Run {
    pub first_version: u64,
    /// The commit its first record came with.
    pub first_sequence: u64,
    pub bytes: Vec<u8>,
    since: Option<Instant>,
}

#[derive(Debug, Default)]
struct Stream {
    partition: u16,
    quiescent: bool,
    /// Being written to the store just now.
    storing: Option<Arc<Run>>,
    fresh: Run,
}

#[derive(Debug, Default)]
struct State {
    streams: HashMap<StreamId, Stream>,
    /// Runs that are gone for readers and still to be taken out of the tree.
    removed: HashMap<StreamId, RemovedRun>,
    /// Marks of removals up to these commits are to be forgotten.
    forget: Option<Vec<u64>>,
    bytes: usize,
    /// Last durable commit of each partition.
    sequences: Vec<u64>,
    /// Somebody wants a tick now.
    wanted: bool,
    closing: bool,
}

/// All pending records.
#[derive(Debug)]
pub(crate) struct Pending {
    state: Mutex<State>,
    changed: Condvar,
    tick_after_bytes: usize,
}

/// What is pending of one stream.
#[derive(Debug, Default)]
pub(crate) struct OfStream {
    /// The first version and the packed bytes.
    pub records: Option<(u64, Vec<u8>)>,
    /// What the tree has of the stream is gone.
    pub removed: Option<RemovedRun>,
}

impl Pending {
    pub(crate) fn new(sequences: Vec<u64>, tick_after_bytes: usize) -> Self {
        let state = State { sequences, ..State::default() };
        Self { state: Mutex::new(state), changed: Condvar::new(), tick_after_bytes }
    }

    /// Takes a durable commit's records and removals, but for those that `known` says are
    /// stored, by stream and position.
    pub(crate) fn push(
        &self,
        commit: &Commit,
        quiescent: &[StreamId],
        known: impl Fn(&StreamId, u64) -> bool,
    ) {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        let partition = commit.partition().0;
        let now = Instant::now();
        for entry in &commit.entries {
            for (run, mark) in removal::of_entry(commit, entry) {
                if !known(&run, mark.position) {
                    remove(state, run, mark);
                }
            }
            if known(&entry.stream, entry.position) {
                continue;
            }
            let stream = match state.streams.get_mut(&entry.stream) {
                Some(stream) => stream,
                None => state.streams.entry(entry.stream.clone()).or_default(),
            };
            stream.partition = partition;
            stream.quiescent = false;
            let run = &mut stream.fresh;
            if run.bytes.is_empty() {
                run.first_version = entry.version;
                run.first_sequence = commit.sequence();
                run.since = Some(now);
            }
            let body = commit.body(entry);
            run.bytes.extend(entry.position.to_le_bytes());
            run.bytes.extend(length_u32(body.len()).to_le_bytes());
            run.bytes.extend(body);
            state.bytes += PACKED_HEADER_BYTES + body.len();
        }
        if let Some(sequence) = state.sequences.get_mut(usize::from(partition)) {
            *sequence = commit.sequence();
        }
        mark_quiescent(state, quiescent);
        if state.bytes >= self.tick_after_bytes && !state.wanted {
            state.wanted = true;
            self.changed.notify_all();
        }
    }

    /// Takes records of a stream that come from the base, packed, behind what is stored.
    pub(crate) fn restore(
        &self,
        stream: StreamId,
        partition: u16,
        first_version: u64,
        packed: &[u8],
    ) {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        let stream = state.streams.entry(stream).or_default();
        stream.partition = partition;
        stream.quiescent = false;
        let run = &mut stream.fresh;
        if run.bytes.is_empty() {
            run.first_version = first_version;
            // Whatever is stored of the base, nothing counts as applied until all of it is.
            run.first_sequence = 0;
            run.since = Some(Instant::now());
        }
        run.bytes.extend(packed);
        state.bytes += packed.len();
    }

    /// Says up to which commits everything was taken, once the whole base was.
    pub(crate) fn begin_at(&self, sequences: Vec<u64>) {
        lock(&self.state).sequences = sequences;
    }

    /// Notes streams for which nothing is owed any more.
    pub(crate) fn mark_quiescent(&self, streams: &[StreamId]) {
        mark_quiescent(&mut lock(&self.state), streams);
    }

    /// A stream's pending records, and whether what the tree has of it is gone.
    pub(crate) fn of_stream(&self, id: &StreamId) -> OfStream {
        let state = lock(&self.state);
        let removed = state.removed.get(id).cloned();
        let Some(stream) = state.streams.get(id) else {
            return OfStream { records: None, removed };
        };
        let storing = stream.storing.as_deref().filter(|run| !run.bytes.is_empty());
        let fresh = Some(&stream.fresh).filter(|run| !run.bytes.is_empty());
        let runs = [storing, fresh].into_iter().flatten();
        let records = storing
            .or(fresh)
            .map(|first| (first.first_version, runs.flat_map(|run| &run.bytes).copied().collect()));
        OfStream { records, removed }
    }

    /// When a run was removed, if the tree does not know yet.
    pub(crate) fn removed(&self, stream: &StreamId) -> Option<RemovedRun> {
        lock(&self.state).removed.get(stream).cloned()
    }

    /// Every stream that has pending records.
    pub(crate) fn streams(&self) -> HashSet<StreamId> {
        lock(&self.state).streams.keys().cloned().collect()
    }

    /// Whether every commit up to these has been taken.
    pub(crate) fn has_reached(&self, sequences: &[u64]) -> bool {
        let state = lock(&self.state);
        state.sequences.iter().zip(sequences).all(|(own, wanted)| own >= wanted)
    }

    /// Up to which commit of each partition everything was taken.
    pub(crate) fn sequences(&self) -> Vec<u64> {
        lock(&self.state).sequences.clone()
    }

    pub(crate) fn bytes(&self) -> usize {
        lock(&self.state).bytes
    }

    /// Forgets what a tick has written.
    pub(crate) fn stored(&self, selection: &Selection) {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        for (id, run, quiescent) in &selection.streams {
            if let Some(stream) = state.streams.get_mut(id) {
                stream.storing = None;
                if stream.fresh.bytes.is_empty() && stream.quiescent == *quiescent {
                    state.streams.remove(id);
                }
            }
            state.bytes -= run.as_ref().map_or(0, |run| run.bytes.len());
        }
        for (id, mark) in &selection.removed {
            if state.removed.get(id).is_some_and(|known| known.position == mark.position) {
                state.removed.remove(id);
            }
        }
        drop(guard);
        self.changed.notify_all();
    }

    /// Has ticks forget the marks of removals up to these commits, by partition.
    pub(crate) fn forget(&self, sequences: &[u64]) {
        lock(&self.state).forget = Some(sequences.to_vec());
    }

    /// Notes that a tick has found no more such marks.
    pub(crate) fn forgotten(&self, sequences: &[u64]) {
        let mut state = lock(&self.state);
        if state.forget.as_deref() == Some(sequences) {
            state.forget = None;
        }
    }

    /// Waits until a tick is due: so many milliseconds, or earlier if much is pending.
    /// Answers whether to go on.
    pub(crate) fn wait_for_tick(&self, tick_ms: u64) -> bool {
        let mut state = lock(&self.state);
        while !state.wanted && !state.closing {
            let (back, timed_out) = wait_ms(&self.changed, state, tick_ms);
            state = back;
            if timed_out {
                break;
            }
        }
        !state.closing
    }

    /// Waits while more than so many bytes are pending.
    pub(crate) fn wait_for_room(&self, bytes_max: usize) {
        let mut state = lock(&self.state);
        while state.bytes > bytes_max && !state.closing {
            if !state.wanted {
                state.wanted = true;
                self.changed.notify_all();
            }
            state = wait(&self.changed, state);
        }
    }

    /// Ends all waiting.
    pub(crate) fn close(&self) {
        lock(&self.state).closing = true;
        self.changed.notify_all();
    }
}

/// Forgets what is pending of a run, and notes that the tree must too. What a tick is
/// writing just now is no longer readable, and is taken out again by the next.
fn remove(state: &mut State, run: StreamId, mark: RemovedRun) {
    if let Some(stream) = state.streams.remove(&run) {
        state.bytes -= stream.fresh.bytes.len();
    }
    state.removed.insert(run, mark);
}

fn mark_quiescent(state: &mut State, streams: &[StreamId]) {
    for id in streams {
        match state.streams.get_mut(id) {
            Some(stream) => stream.quiescent = true,
            None if state.removed.contains_key(id) => {}
            // Nothing pending: the entry tells the next tick to forget that the run lives.
            None => {
                let stream = Stream { quiescent: true, ..Stream::default() };
                state.streams.insert(id.clone(), stream);
            }
        }
    }
}

/// Walks packed records: position and body of each.
pub(crate) fn unpack(packed: &[u8]) -> impl Iterator<Item = Result<(u64, &[u8]), Malformed>> {
    let mut fields = Fields::of(packed);
    std::iter::from_fn(move || {
        if fields.rest().is_empty() {
            return None;
        }
        let mut next = || {
            let position = fields.u64()?;
            let length = fields.u32()? as usize;
            Ok((position, fields.take(length)?))
        };
        let piece = next();
        if piece.is_err() {
            fields = Fields::of(&[]);
        }
        Some(piece)
    })
}

/// Packed records decoded.
pub(crate) fn decode_packed(packed: &[u8]) -> Result<Vec<Record>, Malformed> {
    unpack(packed)
        .map(|piece| piece.and_then(|(position, body)| record::decode(body, position)))
        .collect()
}
