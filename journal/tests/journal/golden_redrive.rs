//! The golden commit of a redrive of dead letters.

use backstitch_core::event::{
    ClaimedLetter, Event, PartitionEvent, RedriveEvent, RedriveOutcome, RedriveRequest,
};
use backstitch_core::ids::{LetterId, RedriveId, StreamId};
use backstitch_core::letters::Fingerprint;
use backstitch_core::time::Timestamp;
use backstitch_journal::{Commit, CommitBuilder, Fit, Origin};

use crate::golden::{RUN, commit_1, payload};

/// A redrive's whole life, with every outcome.
pub fn commit_redrive() -> Commit {
    let origin = Origin { store: *b"0123456789abcdef", generation: 4 };
    let mut builder = CommitBuilder::new(origin, RUN.partition, 9, &commit_1().head());
    let redrive = StreamId::Redrive(RedriveId(0x0123_4567_89ab_cdef));
    let (reason, actor) = ("the service is back".to_owned(), "ann".to_owned());
    let letter = |number| LetterId { execution: RUN, number };
    let claimed = |number| ClaimedLetter {
        letter: letter(number),
        fingerprint: Fingerprint(u64::MAX - u64::from(number)),
        opened_at: Timestamp(-7),
    };
    let outcomes = vec![
        (letter(0), RedriveOutcome::Succeeded),
        (letter(1), RedriveOutcome::Failed),
        (letter(2), RedriveOutcome::Refused),
        (letter(300), RedriveOutcome::Unknown),
    ];
    let events = [
        RedriveEvent::Requested(Box::new(RedriveRequest {
            namespace: "default".into(),
            until: Timestamp(1_763_639_179_000_000),
            terms: payload(),
            rate_per_second: 500,
            reason: reason.clone(),
            actor: actor.clone(),
        })),
        RedriveEvent::Claimed { letters: vec![claimed(0), claimed(1)], canary: true },
        RedriveEvent::Claimed { letters: vec![claimed(2), claimed(300)], canary: false },
        RedriveEvent::Observed { outcomes },
        RedriveEvent::Halted { reason: reason.clone(), actor: None },
        RedriveEvent::Resumed { reason: reason.clone(), actor: actor.clone() },
        RedriveEvent::Halted { reason: reason.clone(), actor: Some(actor.clone()) },
        RedriveEvent::Cancelled { reason, actor },
        RedriveEvent::Completed,
    ];
    let at = Timestamp(1_763_639_180_000_000);
    for (version, event) in (1..).zip(events) {
        assert_eq!(builder.push(&redrive, version, at, &Event::Redrive(event)), Fit::Fits);
    }
    builder.finish(Timestamp(0))
}

/// Redrives that left the store.
pub fn commit_redrives_removed() -> Commit {
    let origin = Origin { store: *b"0123456789abcdef", generation: 4 };
    let mut builder = CommitBuilder::new(origin, RUN.partition, 9, &commit_1().head());
    let redrives = vec![RedriveId(0x0123_4567_89ab_cdef), RedriveId(u128::MAX)];
    let (rule, actor) = ("at rest for 90 days".to_owned(), "retention".to_owned());
    let event = Event::Partition(PartitionEvent::RedrivesRemoved { redrives, rule, actor });
    let (stream, at) = (StreamId::Partition(RUN.partition), Timestamp(1_763_639_181_000_000));
    assert_eq!(builder.push(&stream, 8, at, &event), Fit::Fits);
    builder.finish(Timestamp(0))
}
