//! The format of what people and signals do to a run.

use backstitch_core::event::{ControlEvent, Event, GraphEvent, RunEvent, SuspendReason};
use backstitch_core::ids::StreamId;
use backstitch_core::time::Timestamp;
use backstitch_journal::{Commit, CommitBuilder, Fit, Origin};

use crate::golden::{RUN, STEP, commit_2, payload};

/// Every event of control, and those of steps that wait for signals.
pub fn commit_control() -> Commit {
    let origin = Origin { store: *b"0123456789abcdef", generation: 4 };
    let mut builder = CommitBuilder::new(origin, RUN.partition, 9, &commit_2().head());
    let (reason, actor) = (|| "wartung".to_owned(), || "ann".to_owned());
    let due_at = Some(Timestamp(1_763_639_180_000_000));
    let control = [
        ControlEvent::Paused { reason: reason(), actor: actor() },
        ControlEvent::Resumed { reason: reason(), actor: actor() },
        ControlEvent::StepOverridden {
            step: STEP,
            output: Some(payload()),
            reason: reason(),
            actor: actor(),
        },
        ControlEvent::StepOverridden { step: STEP, output: None, reason: reason(), actor: actor() },
        ControlEvent::RollbackRequested { to: None, reason: reason(), actor: actor() },
        ControlEvent::RollbackRequested { to: Some(STEP), reason: reason(), actor: actor() },
        ControlEvent::CancelForced { reason: reason(), actor: actor() },
        ControlEvent::SignalReceived {
            name: "approved".into(),
            payload: payload(),
            id: Some("s-1".to_owned()),
            actor: actor(),
        },
    ];
    let graph = [
        GraphEvent::StepAwaitsSignal { step: STEP, name: "approved".into(), due_at },
        GraphEvent::StepAwaitsSignal { step: STEP, name: "approved".into(), due_at: None },
        GraphEvent::StepSignalled { step: STEP, signal: 7, output: payload() },
    ];
    let events = control.into_iter().map(RunEvent::Control);
    let events = events.chain(graph.into_iter().map(RunEvent::Graph));
    let events = events.chain([RunEvent::RunSuspended { reason: SuspendReason::Pause }]);
    let (run, at) = (StreamId::Execution(RUN), Timestamp(1_763_639_179_000_000));
    for (version, event) in (60..).zip(events) {
        assert_eq!(builder.push(&run, version, at, &Event::Run(event)), Fit::Fits);
    }
    builder.finish(Timestamp(0))
}
