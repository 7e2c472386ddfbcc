//! Histories as they must be read, some contents of which were erased.

use std::collections::HashSet;

use backstitch_core::event::Event;
use backstitch_core::ids::{Digest, ExecutionId, StreamId};
use backstitch_core::payload::AbsentWhy;
use backstitch_journal::Record;

use crate::workload::{event_of, recorded_at};

/// Contents that were erased, or may have been.
#[derive(Debug, Clone, Default)]
pub struct Erased {
    /// Whoever reads during a life does not know which.
    pub any: bool,
    pub begun: HashSet<Digest>,
    pub done: HashSet<Digest>,
}

impl Erased {
    /// The event as it must be read now, given what is read.
    fn apply(&self, event: &mut Event, read: &Event) {
        let mut absent = HashSet::new();
        read.for_each_payload(&mut |payload| {
            let own = payload.absent().filter(|own| own.why == AbsentWhy::Erased);
            absent.extend(own.map(|own| own.digest));
        });
        absent.retain(|digest| self.any || self.begun.contains(digest));
        event.for_each_payload_mut(&mut |payload| {
            let Some((digest, _)) = payload.reference() else { return };
            if absent.contains(&digest) || self.done.contains(&digest) {
                payload.let_go(AbsentWhy::Erased);
            }
        });
    }
}

/// A whole history as it must be up to a version.
pub fn check_history(run: &ExecutionId, records: &[Record]) -> Result<(), String> {
    check_history_but(run, records, &Erased::default())
}

/// The same when some contents were erased.
pub fn check_history_but(
    run: &ExecutionId,
    records: &[Record],
    erased: &Erased,
) -> Result<(), String> {
    for (version, record) in (1..).zip(records) {
        let mut event = event_of(run, version);
        erased.apply(&mut event, &record.event);
        let right = record.version == version
            && record.stream == StreamId::Execution(*run)
            && record.recorded_at == recorded_at(run, version)
            && record.event == event;
        if !right {
            return Err(format!("version {version} of {run} is not what was written"));
        }
    }
    Ok(())
}
