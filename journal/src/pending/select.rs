//! Which of the pending records the next tick writes.
//!
//! A tick takes no more than a bounded number of bytes, so that what it holds beside the
//! pending records stays small and room for new ones comes in steps; the oldest go first.

use std::sync::Arc;
use std::time::Instant;

use backstitch_core::ids::StreamId;

use super::{Pending, Run, State, Stream};
use crate::locks::lock;
use crate::removal::RemovedRun;

/// Removals that one tick carries out; more wait for the next.
const REMOVALS_PER_TICK_MAX: usize = 4_096;

/// Bytes of records that one tick takes at most, but for the first stream's; more wait for
/// the next.
const BYTES_PER_TICK_MAX: usize = 32 * 1024 * 1024;

/// What a tick writes.
#[derive(Debug)]
pub(crate) struct Selection {
    pub streams: Vec<(StreamId, Option<Arc<Run>>, bool)>,
    /// Runs to take out of the tree.
    pub removed: Vec<(StreamId, RemovedRun)>,
    /// Up to these commits, by partition, marks of removals go.
    pub forget: Option<Vec<u64>>,
    /// Per partition: up to this commit everything is in the store once this is written.
    pub applied: Vec<u64>,
    /// Something waits for the next tick: what follows a removal under the same id, or
    /// records and removals beyond what one tick takes.
    pub deferred: bool,
}

impl Selection {
    /// Bytes of the records.
    pub(crate) fn bytes(&self) -> usize {
        self.streams.iter().filter_map(|(_, run, _)| Some(run.as_ref()?.bytes.len())).sum()
    }
}

/// Which streams a tick takes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Take {
    /// Those worth it: quiescent, large, or old.
    Due { bytes: usize, age_ms: u64 },
    /// Every one.
    All,
}

impl Pending {
    /// Chooses what the next tick writes; it stays readable until [`Self::stored`].
    pub(crate) fn select(&self, take: Take) -> Selection {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        let taken_since = oldest_that_fit(state, take);
        // What does not fit wants the next tick at once.
        state.wanted = taken_since.is_some();
        let mut applied = state.sequences.clone();
        let mut deferred = state.wanted || state.removed.len() > REMOVALS_PER_TICK_MAX;
        let mut streams = Vec::new();
        for (id, stream) in &mut state.streams {
            // A new life waits until the tree is rid of the one before it.
            let waits = state.removed.contains_key(id);
            deferred |= waits;
            let fits = taken_since.is_none_or(|since| stream.fresh.since <= Some(since));
            if !waits && fits && is_due(stream, take) {
                let run = std::mem::take(&mut stream.fresh);
                let run = Some(run).filter(|run| !run.bytes.is_empty()).map(Arc::new);
                stream.storing.clone_from(&run);
                streams.push((id.clone(), run, stream.quiescent));
            } else if let Some(applied) = applied.get_mut(usize::from(stream.partition)) {
                *applied = (*applied).min(stream.fresh.first_sequence.saturating_sub(1));
            }
        }
        let mut removed = Vec::new();
        for (id, mark) in &state.removed {
            if removed.len() < REMOVALS_PER_TICK_MAX {
                removed.push((id.clone(), mark.clone()));
            } else if let Some(applied) = applied.get_mut(usize::from(partition_of(id))) {
                *applied = (*applied).min(mark.sequence.saturating_sub(1));
            }
        }
        let forget = state.forget.clone();
        Selection { streams, removed, forget, applied, deferred }
    }
}

fn partition_of(stream: &StreamId) -> u16 {
    match stream {
        StreamId::Execution(run) => run.partition.0,
        _ => 0,
    }
}

/// If the records that are due are more than one tick takes: since when those are pending that
/// it takes still, the oldest ones.
fn oldest_that_fit(state: &State, take: Take) -> Option<Instant> {
    let due = state.streams.values().filter(|stream| is_due(stream, take));
    let mut due: Vec<(Instant, usize)> =
        due.filter_map(|stream| Some((stream.fresh.since?, stream.fresh.bytes.len()))).collect();
    if due.iter().map(|(_, bytes)| bytes).sum::<usize>() <= BYTES_PER_TICK_MAX {
        return None;
    }
    due.sort_unstable();
    let mut bytes = 0;
    let fitting = due.iter().take_while(|(_, more)| {
        bytes += more;
        bytes <= BYTES_PER_TICK_MAX
    });
    let fitting = fitting.count().max(1);
    due.get(fitting - 1).map(|(since, _)| *since)
}

fn is_due(stream: &Stream, take: Take) -> bool {
    match take {
        Take::All => true,
        Take::Due { bytes, age_ms } => {
            let old = |since: &Instant| since.elapsed().as_millis() >= u128::from(age_ms);
            stream.quiescent
                || stream.fresh.bytes.len() >= bytes
                || stream.fresh.since.as_ref().is_some_and(old)
        }
    }
}

#[cfg(test)]
mod tests {
    use backstitch_core::event::{Event, RunEvent};
    use backstitch_core::ids::{ExecutionId, PartitionId, StepIndex};
    use backstitch_core::payload::Payload;
    use backstitch_core::time::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::builder::{CommitBuilder, Fit};
    use crate::commit::{Head, Origin};

    /// Records of one commit, each of a run of its own.
    const RECORDS: usize = 3;
    const PAYLOAD_BYTES: usize = 30_000;

    /// Fills `pending` with more than one tick takes; answers how many commits that took.
    fn fill(pending: &Pending) -> u64 {
        let origin = Origin { store: [1; 16], generation: 1 };
        let output = Payload::of(&json!("x".repeat(PAYLOAD_BYTES)));
        let event = Event::Run(RunEvent::StepSucceeded { step: StepIndex(0), attempt: 1, output });
        let mut head = Head::default();
        while pending.bytes() <= BYTES_PER_TICK_MAX + BYTES_PER_TICK_MAX / 2 {
            let mut builder = CommitBuilder::new(origin, PartitionId(0), 1, &head);
            for record in 0..RECORDS {
                let digits = (u128::from(head.sequence) << 8) + record as u128;
                let run = ExecutionId { partition: PartitionId(0), digits };
                let now = Timestamp(i64::try_from(head.sequence).unwrap());
                let fit = builder.push(&StreamId::Execution(run), 1, now, &event);
                assert_eq!(fit, Fit::Fits);
            }
            let commit = builder.finish(Timestamp(0));
            head = commit.head();
            pending.push(&commit, &[], |_, _| false);
        }
        head.sequence
    }

    #[test]
    fn a_tick_takes_the_oldest_as_far_as_they_fit() {
        let pending = Pending::new(vec![0], usize::MAX);
        let commits = fill(&pending);
        let all = pending.bytes();
        let first = pending.select(Take::All);
        assert!(first.deferred);
        let [applied] = first.applied[..] else { panic!("there is one partition") };
        assert!(applied > 0 && applied < commits, "{applied} of {commits}");
        assert_eq!(first.streams.len(), usize::try_from(applied).unwrap() * RECORDS);
        pending.stored(&first);
        assert!(all - pending.bytes() <= BYTES_PER_TICK_MAX + RECORDS * 2 * PAYLOAD_BYTES);
        assert!(lock(&pending.state).wanted, "the next tick follows at once");
        let second = pending.select(Take::All);
        assert!(!second.deferred);
        assert_eq!(second.applied, [commits]);
        pending.stored(&second);
        assert_eq!(pending.bytes(), 0);
    }
}
