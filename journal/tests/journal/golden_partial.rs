//! The golden commit of runs of which a part is undone.

use backstitch_core::event::{ControlEvent, Event, RunEvent, SuspendReason, UnwindEvent};
use backstitch_core::ids::{StepIndex, StreamId};
use backstitch_core::time::Timestamp;
use backstitch_journal::{Commit, CommitBuilder, Fit, Origin};

use crate::golden::{RUN, STEP, commit_1};

/// A part that is undone, and a run that waits for an undo of it.
pub fn commit_partial() -> Commit {
    let origin = Origin { store: *b"0123456789abcdef", generation: 4 };
    let mut builder = CommitBuilder::new(origin, RUN.partition, 10, &commit_1().head());
    let part = UnwindEvent::PartialUnwindingStarted { steps: vec![StepIndex(0), STEP] };
    let waits = RunEvent::RunSuspended { reason: SuspendReason::Undo };
    let (run, at) = (StreamId::Execution(RUN), Timestamp(1_763_639_179_000_000));
    for (version, event) in (90..).zip([RunEvent::Unwind(part), waits]) {
        assert_eq!(builder.push(&run, version, at, &Event::Run(event)), Fit::Fits);
    }
    builder.finish(Timestamp(0))
}

/// A run that is rolled back to a step, and goes on from there.
pub fn commit_savepoint() -> Commit {
    let origin = Origin { store: *b"0123456789abcdef", generation: 4 };
    let mut builder = CommitBuilder::new(origin, RUN.partition, 11, &commit_1().head());
    let (reason, actor) = ("z\u{fc}rich".to_owned(), "ann".to_owned());
    let asked = ControlEvent::RollbackRequested { to: Some(STEP), reason, actor };
    let again = UnwindEvent::PartialUnwindingEnded { steps: vec![StepIndex(0), STEP] };
    let (run, at) = (StreamId::Execution(RUN), Timestamp(1_763_639_179_000_000));
    for (version, event) in (95..).zip([RunEvent::Control(asked), RunEvent::Unwind(again)]) {
        assert_eq!(builder.push(&run, version, at, &Event::Run(event)), Fit::Fits);
    }
    builder.finish(Timestamp(0))
}
