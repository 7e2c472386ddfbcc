//! The format of what routers, caches and limits of time bring about.

use backstitch_core::event::{CallbackEvent, Event, GraphEvent, RunEvent};
use backstitch_core::ids::StreamId;
use backstitch_core::time::Timestamp;
use backstitch_journal::{Commit, CommitBuilder, Fit, Origin};

use crate::golden::{RUN, STEP, commit_2, payload};

/// Every event of the graph but those of signals.
pub fn commit_graph() -> Commit {
    let origin = Origin { store: *b"0123456789abcdef", generation: 4 };
    let mut builder = CommitBuilder::new(origin, RUN.partition, 9, &commit_2().head());
    let graph = [
        GraphEvent::RouteChosen { step: STEP, route: Some(2), output: payload() },
        GraphEvent::RouteChosen { step: STEP, route: None, output: payload() },
        GraphEvent::StepCacheHit {
            step: STEP,
            attempt: 1,
            source: RUN,
            source_step: "rate".into(),
            output: payload(),
        },
        GraphEvent::StepLimitPassed { step: STEP, limit_ms: 90_000 },
        GraphEvent::SlaBreached { step: Some(STEP), limit_ms: 300_000 },
        GraphEvent::SlaBreached { step: None, limit_ms: 300_000 },
    ];
    let url = "https://example.com/sla".to_owned();
    let told = RunEvent::CallbackScheduled { delivery: 1, event: CallbackEvent::SlaBreached, url };
    let (run, at) = (StreamId::Execution(RUN), Timestamp(1_763_639_179_000_000));
    for (version, event) in (80..).zip(graph.into_iter().map(RunEvent::Graph).chain([told])) {
        assert_eq!(builder.push(&run, version, at, &Event::Run(event)), Fit::Fits);
    }
    builder.finish(Timestamp(0))
}
