//! From staged records to commits: what must be in one, and what is said of them once they are durable.

use std::time::Instant;

use backstitch_core::event::{Event, GraphEvent, RunEvent, ServiceEvent};
use backstitch_core::ids::PartitionId;
use backstitch_journal::{CommitBuilder, Fit};

use crate::live::{Live, News};
use crate::partition::{StagedRecord, Told};
use crate::{document_metrics, metrics, runs};

/// What is to be said of a stage once it is durable.
pub(super) struct Staged {
    pub(super) since: Instant,
    pub(super) events: metrics::Committed,
    pub(super) told: Vec<Told>,
    pub(super) partition: PartitionId,
    /// The position of its last record.
    pub(super) last: u64,
    pub(super) news: Option<News>,
}

impl Staged {
    /// It is durable.
    pub(super) fn tell(self, live: &Live) {
        metrics::committed(self.since.elapsed(), self.events);
        document_metrics::told(&self.told);
        runs::told(&self.told);
        live.hear(self.partition, self.last, self.news);
    }
}

/// What is counted of records once they are durable.
pub(super) fn counted(records: &[StagedRecord]) -> metrics::Committed {
    let is_breach = |own: &&StagedRecord| {
        matches!(own.event, Event::Run(RunEvent::Graph(GraphEvent::SlaBreached { .. })))
    };
    let breaches = records.iter().filter(is_breach).count();
    let (held, refused) = stopped_calls(records);
    metrics::Committed { events: records.len(), breaches, held, refused }
}

/// Calls that records say were held and refused.
fn stopped_calls(records: &[StagedRecord]) -> (usize, usize) {
    records.iter().fold((0, 0), |(held, refused), own| match &own.event {
        Event::Run(RunEvent::Service(ServiceEvent::CallRefused { .. })) => (held, refused + 1),
        Event::Run(RunEvent::Service(
            ServiceEvent::CallHeld { .. } | ServiceEvent::CallbackHeld { .. },
        )) => (held + 1, refused),
        _ => (held, refused),
    })
}

/// Pushes the next record; with it what else begins the run, which belongs into the same
/// commit: without its tags and origin it would be another run. Answers how many went in.
pub(super) fn push(builder: &mut CommitBuilder, records: &[StagedRecord]) -> (Fit, usize) {
    let Some(first) = records.first() else { return (Fit::Fits, 0) };
    let begins = |own: &&StagedRecord| match &own.event {
        Event::Run(event) => event.belongs_to_the_beginning(),
        _ => false,
    };
    let count = 1 + records[1..].iter().take_while(begins).count();
    let told = records[..count].iter().map(|own| (&own.event, own.mark.as_deref()));
    let events: Vec<_> = told.collect();
    (builder.push_together(&first.stream, first.version, first.at, &events), count)
}
