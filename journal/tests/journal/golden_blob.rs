//! The format of payloads kept beside their records, and that none is forgotten.

use backstitch_core::event::{Event, RunEvent};
use backstitch_core::ids::StreamId;
use backstitch_core::payload::Payload;
use backstitch_core::time::Timestamp;
use backstitch_journal::{Commit, CommitBuilder, Fit, Head, Origin};

use crate::golden::{RUN, STEP, commit_1, commit_2, payload};
use crate::golden_control::commit_control;

/// A payload kept beside its record, and a small one that is told to leave it.
pub fn commit_blob() -> Commit {
    let origin = Origin { store: *b"0123456789abcdef", generation: 4 };
    let mut builder = CommitBuilder::new(origin, RUN.partition, 9, &commit_2().head());
    let mut small = payload();
    small.keep_beside();
    let large = Payload::of(&serde_json::json!("x".repeat(100_000)));
    let at = Timestamp(1_763_639_179_000_000);
    for (version, output) in (50..).zip([small, large]) {
        let event = Event::Run(RunEvent::StepSucceeded { step: STEP, attempt: 2, output });
        let fit = builder.push(&StreamId::Execution(RUN), version, at, &event);
        assert_eq!(fit, Fit::Fits);
    }
    builder.finish(Timestamp(0))
}

/// Whether some bytes hold a word.
fn holds(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word)
}

/// Every payload of every kind of event is met: once all of them have left, no text of any is
/// in the bytes.
#[test]
fn no_payload_of_any_event_is_forgotten() {
    let origin = Origin { store: *b"0123456789abcdef", generation: 4 };
    let texts: [&[u8]; 3] = ["Zürich".as_bytes(), b"null", b"{}"];
    let control = commit_control().records();
    for record in commit_1().records().into_iter().chain(commit_2().records()).chain(control) {
        let mut event = record.event;
        if matches!(event, Event::Workflow(_)) {
            // A definition is no payload.
            continue;
        }
        let (mut seen, mut changed) = (0, 0);
        event.for_each_payload_mut(&mut |own| {
            own.keep_beside();
            changed += 1;
        });
        event.for_each_payload(&mut |own| {
            assert!(own.kept_beside().is_some());
            seen += 1;
        });
        assert_eq!(seen, changed, "{event:?}");
        let mut builder = CommitBuilder::new(origin, RUN.partition, 9, &Head::default());
        let fit = builder.push(&record.stream, 1, Timestamp(1), &event);
        assert_eq!(fit, Fit::Fits);
        let commit = builder.finish(Timestamp(1));
        assert_eq!(commit.named().len(), seen, "{event:?}");
        let left = texts.iter().filter(|text| holds(commit.bytes(), text)).count();
        assert_eq!(left, 0, "{event:?}");
    }
}
