//! The golden commit of what stops the way back, and what people do about it.

use backstitch_core::event::{Event, RunEvent, UndoSettlement, UnwindEvent};
use backstitch_core::ids::{StepIndex, StreamId};
use backstitch_core::time::Timestamp;
use backstitch_journal::{Commit, CommitBuilder, Fit, Origin};

use crate::golden::{RUN, STEP, commit_1, payload};

/// An undo that waits for a person, undos settled in every way, and undos that took too long.
pub fn commit_unwind() -> Commit {
    let origin = Origin { store: *b"0123456789abcdef", generation: 4 };
    let mut builder = CommitBuilder::new(origin, RUN.partition, 9, &commit_1().head());
    let settled = UndoSettlement::ALL.into_iter().map(|settlement| {
        let (note, actor) = ("z\u{fc}rich".to_owned(), "ann".to_owned());
        UnwindEvent::UndosSettled { steps: vec![StepIndex(0), STEP], settlement, note, actor }
    });
    let awaited = UnwindEvent::UndoAwaited { step: STEP };
    let late = UnwindEvent::CompensationTimedOut { limit_ms: 3_600_000 };
    let events = std::iter::once(awaited).chain(settled).chain([late]);
    let (run, at) = (StreamId::Execution(RUN), Timestamp(1_763_639_179_000_000));
    for (version, event) in (70..).zip(events) {
        let event = Event::Run(RunEvent::Unwind(event));
        assert_eq!(builder.push(&run, version, at, &event), Fit::Fits);
    }
    builder.finish(Timestamp(0))
}

/// Services that are asked whether there is anything to undo, and all that comes of it.
pub fn commit_checks() -> Commit {
    let origin = Origin { store: *b"0123456789abcdef", generation: 4 };
    let mut builder = CommitBuilder::new(origin, RUN.partition, 10, &commit_1().head());
    let step = STEP;
    let concluded = |took_effect, output| UnwindEvent::CheckConcluded { step, took_effect, output };
    let events = [
        UnwindEvent::CheckReady { step, input: payload() },
        UnwindEvent::CheckAnswered { step, attempt: 2, output: payload() },
        concluded(true, Some(payload())),
        concluded(true, None),
        concluded(false, None),
    ];
    let (run, at) = (StreamId::Execution(RUN), Timestamp(1_763_639_180_000_000));
    for (version, event) in (80..).zip(events) {
        let event = Event::Run(RunEvent::Unwind(event));
        assert_eq!(builder.push(&run, version, at, &event), Fit::Fits);
    }
    builder.finish(Timestamp(0))
}
