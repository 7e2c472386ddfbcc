//! Runs and redrives that left the store and the lists: what the log says of it, and what is kept
//! of it.
//!
//! The journal reads its own events here, and no others. A removal counts by its position:
//! every record of the run before it is gone, and one behind it belongs to a new life under
//! the same id, with versions from 1 again.

use std::sync::Arc;

use backstitch_core::event::{Event, PartitionEvent};
use backstitch_core::ids::{PartitionId, StreamId};
use backstitch_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::commit::{Commit, Entry};
use crate::record::{self, Record};

/// Bytes of a rule's words that are kept with each run it removed.
const RULE_BYTES_MAX: usize = 200;

/// When and why a run was removed; known until the log is cut behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedRun {
    /// Where the log says so.
    pub position: u64,
    /// The commit that says so.
    pub sequence: u64,
    /// When it was decided.
    pub at: Timestamp,
    /// The rule, in words.
    pub rule: Arc<str>,
}

/// The runs that an entry of a commit removes.
pub(crate) fn of_entry(commit: &Commit, entry: &Entry) -> Vec<(StreamId, RemovedRun)> {
    if !matches!(entry.stream, StreamId::Partition(_)) {
        return Vec::new();
    }
    let record = record::decode(commit.body(entry), entry.position);
    of_record(&record.expect("the commit decoded as a whole"), commit.sequence())
}

/// The runs that a commit removes.
pub(crate) fn of_commit(commit: &Commit) -> Vec<(StreamId, RemovedRun)> {
    commit.entries.iter().flat_map(|entry| of_entry(commit, entry)).collect()
}

/// The runs that a record removes.
pub(crate) fn of_record(record: &Record, sequence: u64) -> Vec<(StreamId, RemovedRun)> {
    let Some((streams, rule)) = of_event(&record.event) else { return Vec::new() };
    let rule: Arc<str> = rule[..rule.floor_char_boundary(RULE_BYTES_MAX)].into();
    let mark = RemovedRun { position: record.position, sequence, at: record.recorded_at, rule };
    streams.into_iter().map(|stream| (stream, mark.clone())).collect()
}

/// The streams that an event removes, and by which rule.
pub(crate) fn of_event(event: &Event) -> Option<(Vec<StreamId>, &str)> {
    match event {
        Event::Partition(PartitionEvent::RunsRemoved { runs, rule, .. }) => {
            Some((runs.iter().copied().map(StreamId::Execution).collect(), rule))
        }
        Event::Partition(PartitionEvent::RedrivesRemoved { redrives, rule, .. }) => {
            Some((redrives.iter().copied().map(StreamId::Redrive).collect(), rule))
        }
        _ => None,
    }
}

/// The partition whose log says when a stream of its kind is removed; none if it never is.
pub(crate) fn decided_in(stream: &StreamId) -> Option<PartitionId> {
    match stream {
        StreamId::Execution(run) => Some(run.partition),
        StreamId::Redrive(_) => Some(PartitionId(0)),
        StreamId::Workflow { .. } | StreamId::Partition(_) | StreamId::Replay(_) => None,
    }
}
