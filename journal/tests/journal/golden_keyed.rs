//! The format of keyed limits.

use backstitch_core::event::{Event, GraphEvent, LimitKey, RunEvent};
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
