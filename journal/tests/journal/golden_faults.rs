//! The format of the faults that runs are submitted with.

use backstitch_core::event::{Event, Fault, FaultKind, RunEvent, ServiceEvent};
use backstitch_core::ids::StreamId;
use backstitch_core::time::Timestamp;
use backstitch_journal::{Commit, CommitBuilder, Fit, Origin};

use crate::golden::{RUN, STEP, commit_2};

/// A fault of each kind, of steps and of undos.
pub fn commit_faults() -> Commit {
    let fault = |undo, attempt, kind| Fault { step: STEP, undo, attempt, kind };
    commit(vec![
        fault(false, None, FaultKind::Fail { permanent: false }),
        fault(true, Some(1), FaultKind::Fail { permanent: true }),
        fault(false, Some(2), FaultKind::Delay { ms: 1_500 }),
        fault(true, Some(300), FaultKind::CrashBeforeAck),
        fault(false, None, FaultKind::Duplicate),
    ])
}

/// Faults of checks.
pub fn commit_check_faults() -> Commit {
    let fault = |attempt, kind| {
        let kind = FaultKind::AtCheck(Box::new(kind));
        Fault { step: STEP, undo: true, attempt, kind }
    };
    commit(vec![
        fault(Some(1), FaultKind::Fail { permanent: true }),
        fault(None, FaultKind::Delay { ms: 20 }),
        fault(Some(2), FaultKind::Duplicate),
    ])
}

fn commit(faults: Vec<Fault>) -> Commit {
    let origin = Origin { store: *b"0123456789abcdef", generation: 4 };
    let mut builder = CommitBuilder::new(origin, RUN.partition, 9, &commit_2().head());
    let at = Timestamp(1_763_639_179_000_000);
    let event = Event::Run(RunEvent::Service(ServiceEvent::FaultsPlanned { faults }));
    assert_eq!(builder.push(&StreamId::Execution(RUN), 4, at, &event), Fit::Fits);
    builder.finish(Timestamp(0))
}
