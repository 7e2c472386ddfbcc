//! The format of what routers, caches and limits of time bring about.

use backstitch_core::event::{CallbackEvent, Event, GraphEvent, Number, RunEvent};
use backstitch_core::ids::StreamId;
use backstitch_core::time::Timestamp;
use backstitch_journal::{Commit, CommitBuilder, Fit, Origin};

use crate::golden::{RUN, STEP, commit_2, payload};

/// Numbers that templates came to.
pub fn commit_numbers() -> Commit {
    let origin = Origin { store: *b"0123456789abcdef", generation: 4 };
    let mut builder = CommitBuilder::new(origin, RUN.partition, 9, &commit_2().head());
    let all = [
        Number::Timeout,
        Number::TotalTimeout,
        Number::Sla,
        Number::MaxAttempts,
        Number::RetryInitial,
        Number::RetryMax,
        Number::UndoTimeout,
        Number::UndoMaxAttempts,
        Number::UndoRetryInitial,
        Number::UndoRetryMax,
    ];
    let numbers = all.into_iter().zip(1_000..).collect();
    let set = [
        GraphEvent::NumbersSet { step: None, numbers: vec![(Number::Sla, 300_000)] },
        GraphEvent::NumbersSet { step: Some(STEP), numbers },
    ];
    let (run, at) = (StreamId::Execution(RUN), Timestamp(1_763_639_179_000_000));
    for (version, event) in (90..).zip(set.into_iter().map(RunEvent::Graph)) {
        assert_eq!(builder.push(&run, version, at, &Event::Run(event)), Fit::Fits);
    }
    builder.finish(Timestamp(0))
}

/// Every event of the graph but those of signals and numbers.
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
