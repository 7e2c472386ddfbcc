//! The format of what ties runs to others.

use backstitch_core::event::{
    Event, ItemCounts, Items, LinkEvent, Message, Origin as RunOrigin, Outcome, Parent, Priority,
    RunEvent,
};
use backstitch_core::ids::StreamId;
use backstitch_core::payload::Payload;
use backstitch_core::time::Timestamp;
use backstitch_journal::{Commit, CommitBuilder, Fit, Origin};

use crate::golden::{RUN, STEP, commit_2, failure};

/// Every word that one run has for another.
fn words() -> Vec<Message> {
    let (step, attempt) = (STEP, 2);
    let items = Some(Items { first: 200, count: 100 });
    let (name, reason) = ("approved".to_owned(), "its parent fails".to_owned());
    let (outcome, failure) = (Outcome::Failed, Some(failure()));
    vec![
        Message::Signal { step, attempt, name },
        Message::Start { step, attempt, items },
        Message::Cancel { step, reason, compensate: true },
        Message::RollBack { step, attempt },
        Message::Ended { step, attempt, outcome, failure: failure.clone() },
        Message::RolledBack { step, attempt, failure },
    ]
}

/// Where a run comes from, and what it says and hears.
pub fn commit_links() -> Commit {
    let origin = Origin { store: *b"0123456789abcdef", generation: 4 };
    let mut builder = CommitBuilder::new(origin, RUN.partition, 9, &commit_2().head());
    let items = Some(Items { first: 0, count: 100 });
    let parent = Some(Parent { run: RUN, step: STEP, attempt: 3, depth: 1, items });
    let variant = Some("b".to_owned());
    let mut events = vec![
        LinkEvent::Origin(Box::new(RunOrigin { parent, priority: Priority::High, variant })),
        LinkEvent::MessageAcknowledged { message: 0, refused: None },
        LinkEvent::MessageAcknowledged { message: 1, refused: Some(failure()) },
    ];
    for (message, body) in (0..).zip(words()) {
        let body = Box::new(body);
        events.push(LinkEvent::MessagePosted { message, to: RUN, body: body.clone() });
        events.push(LinkEvent::MessageReceived { from: RUN, message, body });
    }
    let at = Timestamp(1_763_639_179_000_000);
    for (version, event) in (60..).zip(events) {
        let event = Event::Run(RunEvent::Link(event));
        assert_eq!(builder.push(&StreamId::Execution(RUN), version, at, &event), Fit::Fits);
    }
    builder.finish(Timestamp(0))
}

/// A loop, its chunks, and their undos.
pub fn commit_loops() -> Commit {
    let origin = Origin { store: *b"0123456789abcdef", generation: 4 };
    let mut builder = CommitBuilder::new(origin, RUN.partition, 9, &commit_2().head());
    let (step, attempt, run) = (STEP, 2, RUN);
    let counts = ItemCounts { succeeded: 2, failed: 1, skipped: 3 };
    let results = Some(Payload::of(&serde_json::json!([{ "index": 0, "status": "succeeded" }])));
    let retry_delay_ms = 250;
    let ended = |results, failure| LinkEvent::ChunkEnded {
        step,
        attempt,
        run,
        counts,
        results,
        failure,
        retry_delay_ms,
    };
    let events = [
        LinkEvent::LoopBegun { step, attempt, items: 2_500, chunk_items: 1_000 },
        ended(results, None),
        ended(None, Some(failure())),
        LinkEvent::ChunkUndone { step, attempt, run, failure: None },
        LinkEvent::ChunkUndone { step, attempt, run, failure: Some(failure()) },
    ];
    let at = Timestamp(1_763_639_180_000_000);
    for (version, event) in (90..).zip(events) {
        let event = Event::Run(RunEvent::Link(event));
        assert_eq!(builder.push(&StreamId::Execution(RUN), version, at, &event), Fit::Fits);
    }
    builder.finish(Timestamp(0))
}

/// A chunk is told to stop at once.
pub fn commit_force() -> Commit {
    let origin = Origin { store: *b"0123456789abcdef", generation: 4 };
    let mut builder = CommitBuilder::new(origin, RUN.partition, 9, &commit_2().head());
    let reason = "its parent fails".to_owned();
    let body = Box::new(Message::Force { step: STEP, reason, compensate: false });
    let posted = LinkEvent::MessagePosted { message: 7, to: RUN, body: body.clone() };
    let received = LinkEvent::MessageReceived { from: RUN, message: 7, body };
    let at = Timestamp(1_763_639_179_000_000);
    for (version, event) in (90..).zip([posted, received]) {
        let event = Event::Run(RunEvent::Link(event));
        assert_eq!(builder.push(&StreamId::Execution(RUN), version, at, &event), Fit::Fits);
    }
    builder.finish(Timestamp(0))
}
