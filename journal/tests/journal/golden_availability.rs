//! The golden commit of a workflow's availability.

use backstitch_core::event::{AvailabilityEvent, Event, WorkflowEvent};
use backstitch_core::ids::StreamId;
use backstitch_core::time::Timestamp;
use backstitch_journal::{Commit, CommitBuilder, Fit, Origin};

use crate::golden::{RUN, commit_1};

/// A workflow disabled and enabled by its definition and by somebody, archived, restored, purged.
pub fn commit_availability() -> Commit {
    let origin = Origin { store: *b"0123456789abcdef", generation: 4 };
    let head = commit_1().head();
    let mut builder = CommitBuilder::new(origin, RUN.partition, 9, &head);
    let workflow = StreamId::Workflow { namespace: "default".into(), workflow: "order".into() };
    let (reason, actor) = ("z\u{fc}rich first".to_owned(), "ann".to_owned());
    let said = || (reason.clone(), actor.clone());
    let mut events = Vec::new();
    for revision in [Some(300), None] {
        let (reason, actor) = said();
        events.push(AvailabilityEvent::Disabled { revision, reason, actor });
        let (reason, actor) = said();
        events.push(AvailabilityEvent::Enabled { revision, reason, actor });
    }
    events.extend([
        AvailabilityEvent::Archived { reason: reason.clone(), actor: actor.clone() },
        AvailabilityEvent::Restored { reason: reason.clone(), actor: actor.clone() },
        AvailabilityEvent::Purged { reason, actor },
    ]);
    let at = Timestamp(1_763_639_179_000_000);
    for (version, event) in (4..).zip(events) {
        let event = Event::Workflow(WorkflowEvent::Availability(event));
        assert_eq!(builder.push(&workflow, version, at, &event), Fit::Fits);
    }
    builder.finish(Timestamp(0))
}
