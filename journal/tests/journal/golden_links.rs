//! The format of what ties runs to others.

use backstitch_core::event::{
    Event, Items, LinkEvent, Message, Origin as RunOrigin, Outcome, Parent, Priority, RunEvent,
};
use backstitch_core::ids::StreamId;
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
