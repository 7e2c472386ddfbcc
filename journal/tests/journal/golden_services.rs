//! The format of what stands between runs and the services they call.

use backstitch_core::event::{
    BreakerOrder, Event, Hold, HoldReason, PartitionEvent, RunEvent, ServiceEvent,
};
use backstitch_core::ids::StreamId;
use backstitch_core::time::Timestamp;
use backstitch_journal::{Commit, CommitBuilder, Fit, Origin};

use crate::golden::{RUN, STEP, commit_2};

/// Calls that were held and refused, and what operators have breakers do.
pub fn commit_services() -> Commit {
    let origin = Origin { store: *b"0123456789abcdef", generation: 4 };
    let mut builder = CommitBuilder::new(origin, RUN.partition, 9, &commit_2().head());
    let at = Timestamp(1_763_639_179_000_000);
    let hold = |why, until| Hold { key: "http://127.0.0.1:9001".into(), why, until };
    let events = [
        ServiceEvent::CallHeld { step: STEP, undo: false, hold: hold(HoldReason::Open, Some(at)) },
        ServiceEvent::CallHeld { step: STEP, undo: true, hold: hold(HoldReason::Probing, None) },
        ServiceEvent::CallRefused { step: STEP, hold: hold(HoldReason::Forced, None) },
        ServiceEvent::CallbackHeld {
            delivery: 3,
            hold: hold(HoldReason::RetryBudget, Some(at)),
            due_at: at,
        },
    ];
    for (version, event) in (90..).zip(events) {
        let event = Event::Run(RunEvent::Service(event));
        assert_eq!(builder.push(&StreamId::Execution(RUN), version, at, &event), Fit::Fits);
    }
    let partition = StreamId::Partition(RUN.partition);
    for (version, (_, order)) in (8..).zip(BreakerOrder::WORDS) {
        let (namespace, key) = ("default".into(), "payments".into());
        let (reason, actor) = ("they are down".to_owned(), "ann".to_owned());
        let set = PartitionEvent::BreakerSet { namespace, key, order, reason, actor };
        assert_eq!(builder.push(&partition, version, at, &Event::Partition(set)), Fit::Fits);
    }
    builder.finish(Timestamp(0))
}
