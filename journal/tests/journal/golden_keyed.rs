//! The format of keyed limits.

use backstitch_core::event::{Event, GraphEvent, LimitKey, LinkEvent, OnLimit, RunEvent, SlotKey};
use backstitch_core::ids::StreamId;
use backstitch_core::time::Timestamp;
use backstitch_journal::{Commit, CommitBuilder, Fit, Origin};

use crate::golden::{RUN, STEP, commit_2};

/// What a step asks of keyed limits.
pub fn commit_keyed() -> Commit {
    let origin = Origin { store: *b"0123456789abcdef", generation: 4 };
    let mut builder = CommitBuilder::new(origin, RUN.partition, 9, &commit_2().head());
    let key = |key: &str, max| LimitKey { key: key.into(), max };
    let keys = vec![key("all", 10_000), key("customer-7", 2)];
    let event = Event::Run(RunEvent::Graph(GraphEvent::StepKeyed { step: STEP, keys }));
    let at = Timestamp(1_763_639_179_000_000);
    assert_eq!(builder.push(&StreamId::Execution(RUN), 80, at, &event), Fit::Fits);
    builder.finish(Timestamp(0))
}

/// Which limits of runs with the same key a run is under.
pub fn commit_keyed_runs() -> Commit {
    let origin = Origin { store: *b"0123456789abcdef", generation: 4 };
    let mut builder = CommitBuilder::new(origin, RUN.partition, 10, &commit_keyed().head());
    let key = |key: &str, max_runs, on_limit| SlotKey { key: key.into(), max_runs, on_limit };
    let keys = vec![
        key("customer-7", 1, OnLimit::Queue),
        key("region-eu", 1_000_000, OnLimit::Reject),
        key("9", 3, OnLimit::CancelRunning),
    ];
    let event = Event::Run(RunEvent::Link(LinkEvent::Keyed { keys }));
    let at = Timestamp(1_763_639_180_000_000);
    assert_eq!(builder.push(&StreamId::Execution(RUN), 4, at, &event), Fit::Fits);
    builder.finish(Timestamp(0))
}
