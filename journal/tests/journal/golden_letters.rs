//! The golden commit of what people do about a dead letter before it is settled.

use backstitch_core::event::{Event, LetterEvent, RunEvent};
use backstitch_core::ids::StreamId;
use backstitch_core::time::Timestamp;
use backstitch_journal::{Commit, CommitBuilder, Fit, Origin};

use crate::golden::{RUN, commit_1, payload};

/// A letter assigned to somebody and to nobody, noted, and given another input.
pub fn commit_letters() -> Commit {
    let origin = Origin { store: *b"0123456789abcdef", generation: 4 };
    let mut builder = CommitBuilder::new(origin, RUN.partition, 9, &commit_1().head());
    let (reason, actor) = (|| "z\u{fc}rich".to_owned(), || "ann".to_owned());
    let assigned = |assignee: Option<&str>| {
        let assignee = assignee.map(str::to_owned);
        LetterEvent::Assigned { letter: 300, assignee, reason: reason(), actor: actor() }
    };
    let events = [
        assigned(Some("bob")),
        assigned(None),
        LetterEvent::Noted { letter: 0, text: reason(), actor: actor() },
        LetterEvent::InputEdited { letter: 1, input: payload(), reason: reason(), actor: actor() },
    ];
    let (run, at) = (StreamId::Execution(RUN), Timestamp(1_763_639_179_000_000));
    for (version, event) in (60..).zip(events) {
        let event = Event::Run(RunEvent::Letter(event));
        assert_eq!(builder.push(&run, version, at, &event), Fit::Fits);
    }
    builder.finish(Timestamp(0))
}
