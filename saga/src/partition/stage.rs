//! What a partition hands out: records to make durable, and what to do once they are.

use std::sync::Arc;

use backstitch_core::audit::{Mark, deed};
use backstitch_core::availability::Availability;
use backstitch_core::effect::Effect;
use backstitch_core::event::Event;
use backstitch_core::ids::{ExecutionId, RedriveId, ReplayId, StreamId};
use backstitch_core::links::Parcel;
use backstitch_core::redrives::RedriveState;
use backstitch_core::replays::ReplayState;
use backstitch_core::rollout::InForce;
use backstitch_core::summary::ViewChange;
use backstitch_core::time::Timestamp;

use super::{Answer, Definition, Order, Post, Told};
use crate::catalog::Name;

/// Records to be made durable together, in order. Too many for one commit are spread over
/// several: every prefix is a state from which the run goes on.
#[derive(Debug, Default)]
pub struct Stage {
    /// Counts the partition's stages since its start.
    pub id: u64,
    /// When it was staged: the time of its commits. Records may be older: those of imported
    /// runs keep their own.
    pub at: Timestamp,
    /// The records.
    pub records: Vec<StagedRecord>,
    /// Streams of which nothing is outstanding after these records.
    pub quiescent: Vec<StreamId>,
    /// Rows of views that these records change.
    pub changes: Vec<ViewChange>,
    /// What is counted of them.
    pub told: Vec<Told>,
}

impl Stage {
    /// Notes which request the deeds among the records from a place on came of.
    pub(super) fn mark(&mut self, from: usize, mark: &Arc<Mark>, of: impl Fn(&StreamId) -> bool) {
        for record in self.records.iter_mut().skip(from).filter(|record| of(&record.stream)) {
            if deed(&record.stream, &record.event).is_some() {
                record.mark = Some(mark.clone());
            }
        }
    }
}

/// One record of a stage.
#[derive(Debug, Clone)]
pub struct StagedRecord {
    /// Whose it is.
    pub stream: StreamId,
    /// Its place in the stream, from 1.
    pub version: u64,
    /// When it was decided.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
    /// The request that had it happen, of what the audit shows.
    pub mark: Option<Arc<Mark>>,
}

impl StagedRecord {
    /// What a partition decides. The mark is set when all that its input causes is staged.
    #[must_use]
    pub fn new(stream: StreamId, version: u64, at: Timestamp, event: Event) -> Self {
        Self { stream, version, at, event, mark: None }
    }
}

/// What a stage lets out.
#[derive(Debug)]
pub enum Release<T> {
    /// Somebody has an answer.
    Answer(T, Answer),
    /// An effect is to be performed.
    Perform(Box<Order>),
    /// Another partition, or this one, is to have it.
    Post(Post),
    /// An effect that was performed is no longer owed: it may stop, and its report, should one
    /// come all the same, changes nothing.
    Abort(ExecutionId, Effect),
    /// A replay is to begin, go on, or end.
    Replay(ReplayId, Box<ReplayState>),
    /// A redrive is to begin, go on, or end.
    Redrive(RedriveId, Box<RedriveState>),
    /// A revision may be used.
    Publish(Box<Definition>, Answer),
    /// New runs of a workflow follow this roll-out, or none.
    PublishRollout(Name, Option<Arc<InForce>>),
    /// Whether runs of a workflow begin.
    PublishAvailability(Name, Box<Availability>),
    /// What policies make of a revision is to be settled, and the message handed over again that
    /// needs it.
    Settle {
        /// Whose.
        name: Name,
        /// Which.
        revision: u32,
        /// The beginning of a child.
        again: Box<Parcel>,
    },
}
