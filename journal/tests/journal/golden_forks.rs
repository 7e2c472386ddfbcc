//! The format of forks.

use backstitch_core::event::{Event, ForkEvent, ForkOrigin, KeptStatus, KeptStep, RunEvent};
use backstitch_core::ids::{StepIndex, StreamId};
use backstitch_core::payload::Payload;
use backstitch_core::time::Timestamp;
use backstitch_journal::{Commit, CommitBuilder, Fit, Origin};
use serde_json::json;

use crate::golden::{RUN, STEP, commit_2, failure};

/// A step kept with everything it may have, or with little.
fn kept(status: KeptStatus, whole: bool) -> ForkEvent {
    let payload = |name: &str| whole.then(|| Payload::of(&json!({ "of": name })));
    ForkEvent::StepKept(Box::new(KeptStep {
        step: STEP,
        status,
        round: 1,
        attempt: 3,
        input: payload("input"),
        output: payload("output"),
        failure: whole.then(failure),
        unsure: whole,
        undone_here: whole,
        led_to: whole.then(|| vec![STEP]),
    }))
}

/// How a fork begins, and what is said of it in the run it comes from.
pub fn commit_forks() -> Commit {
    let origin = Origin { store: *b"0123456789abcdef", generation: 4 };
    let mut builder = CommitBuilder::new(origin, RUN.partition, 9, &commit_2().head());
    let begun = |from, takes_over| {
        let (reason, actor) = ("try again".to_owned(), "ann".to_owned());
        let (run, version, kept) = (RUN, 12, 4);
        let origin = ForkOrigin { run, version, from, kept, takes_over, reason, actor };
        ForkEvent::Begun(Box::new(origin))
    };
    let (undoes, actor) = (vec![STEP, StepIndex(9)], "ann".to_owned());
    let events = [
        begun(Some(STEP), false),
        begun(None, true),
        kept(KeptStatus::Succeeded, true),
        kept(KeptStatus::Skipped, false),
        kept(KeptStatus::Pruned, false),
        kept(KeptStatus::Failed, true),
        ForkEvent::Started,
        ForkEvent::Forked { to: RUN, undoes, actor },
        ForkEvent::ForkDropped { fork: RUN },
    ];
    let at = Timestamp(1_763_639_179_000_000);
    for (version, event) in (80..).zip(events) {
        let event = Event::Run(RunEvent::Fork(event));
        assert_eq!(builder.push(&StreamId::Execution(RUN), version, at, &event), Fit::Fits);
    }
    builder.finish(Timestamp(0))
}
