//! The golden commit of a workflow's roll-out.

use backstitch_core::event::{Arm, Beta, Buckets, Event, Rollout, RolloutEvent, WorkflowEvent};
use backstitch_core::ids::StreamId;
use backstitch_core::time::Timestamp;
use backstitch_journal::{Commit, CommitBuilder, Fit, Origin};

use crate::golden::{RUN, commit_1};

/// A roll-out set with everything it may have and with little, switched off, and ended.
pub fn commit_rollout() -> Commit {
    let origin = Origin { store: *b"0123456789abcdef", generation: 4 };
    let head = commit_1().head();
    let mut builder = CommitBuilder::new(origin, RUN.partition, 9, &head);
    let workflow = StreamId::Workflow { namespace: "default".into(), workflow: "order".into() };
    let (reason, actor) = ("z\u{fc}rich first".to_owned(), "ann".to_owned());
    let buckets = vec![Buckets { from: 0, to: 999 }, Buckets { from: 4_000, to: 10_000 }];
    let beta = Beta {
        revision: 7,
        tags: vec!["early".to_owned()],
        subjects: vec!["ann".to_owned(), "bob".to_owned()],
        correlation_ids: vec!["customer-7".to_owned()],
    };
    let whole = Rollout {
        stable: 3,
        arms: vec![
            Arm { name: "candidate".to_owned(), revision: 300, buckets },
            Arm { name: "b".to_owned(), revision: 5, buckets: Vec::new() },
        ],
        beta: Some(beta),
    };
    let little = Rollout { stable: 1, arms: Vec::new(), beta: None };
    let set = |rollout| {
        let (rollout, reason, actor) = (Box::new(rollout), reason.clone(), actor.clone());
        RolloutEvent::Set { rollout, reason, actor }
    };
    let events = [
        set(whole),
        set(little),
        RolloutEvent::Killed { reason: reason.clone(), actor: actor.clone() },
        RolloutEvent::Ended { reason: reason.clone(), actor: actor.clone() },
    ];
    let at = Timestamp(1_763_639_179_000_000);
    for (version, event) in (4..).zip(events) {
        let event = Event::Workflow(WorkflowEvent::Rollout(event));
        assert_eq!(builder.push(&workflow, version, at, &event), Fit::Fits);
    }
    builder.finish(Timestamp(0))
}
