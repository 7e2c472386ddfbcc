//! What is larger than a commit is refused where it would be staged: nothing that is staged may
//! turn out not to fit, since a partition that can't write ends the process.

use std::sync::Arc;

use backstitch_core::event::{
    ApiKeyEvent, BreakerOrder, Event, PartitionEvent, RedriveRequest, ReplayRequest,
};
use backstitch_core::ids::{Digest, PartitionId, RedriveId, ReplayId, StreamId};
use backstitch_core::payload::Payload;
use backstitch_core::redrives::RedriveCommand;
use backstitch_core::replays::ReplayCommand;
use backstitch_core::time::Timestamp;
use backstitch_journal::{COMMIT_BYTES_MAX, record_fits};
use backstitch_saga::partition::{Answer, Import, Input};

use crate::bench::{Bench, RUN, START};

/// Every event that is recorded as it is, with such a text in one of its places.
fn recorded(text: &str) -> Vec<PartitionEvent> {
    let words = || text.to_owned();
    let name = || Arc::<str>::from(text);
    let (digest, actor) = (Digest::of(b"x"), "ann".to_owned());
    let created = |permissions, actor| {
        PartitionEvent::ApiKey(ApiKeyEvent::Created {
            id: "key_1".into(),
            name: "ci".to_owned(),
            namespace: "default".into(),
            digest,
            permissions,
            expires_at: None,
            actor,
        })
    };
    vec![
        PartitionEvent::PayloadErased { digest, reason: words(), actor: actor.clone() },
        PartitionEvent::LogCut { sequence: 1, hash: digest, actor: words() },
        PartitionEvent::Restored {
            generation: 1,
            sequence: 1,
            reason: words(),
            actor: actor.clone(),
        },
        PartitionEvent::RetentionPolicySet { policy: words(), actor: actor.clone() },
        PartitionEvent::CacheEmptied { reason: words(), actor: actor.clone() },
        PartitionEvent::BreakerSet {
            namespace: "default".into(),
            key: name(),
            order: BreakerOrder::Open,
            reason: String::new(),
            actor: actor.clone(),
        },
        created(vec![words()], actor.clone()),
        created(vec![text[..text.len() / 1_024].to_owned(); 1_024], actor.clone()),
        PartitionEvent::ApiKey(ApiKeyEvent::Revoked {
            id: "key_1".into(),
            namespace: "default".into(),
            reason: words(),
            actor,
        }),
    ]
}

#[test]
fn an_event_of_the_partition_that_no_commit_holds_is_refused() {
    let mut bench = Bench::new(START, &[]);
    for event in recorded(&"x".repeat(COMMIT_BYTES_MAX)) {
        let answer = bench.take_and_answer(Input::Record(Box::new(event.clone()), ()));
        assert!(matches!(answer, Answer::TooLarge), "{answer:?}");
    }
    assert!(bench.records.is_empty() && bench.partition.own().version == 0);
    for event in recorded(&"x".repeat(COMMIT_BYTES_MAX / 2)) {
        let answer = bench.take_and_answer(Input::Record(Box::new(event), ()));
        assert!(matches!(answer, Answer::Recorded { .. }), "{answer:?}");
    }
}

#[test]
fn the_largest_event_that_is_taken_is_the_largest_that_fits() {
    let of = |bytes: usize| PartitionEvent::CacheEmptied {
        reason: "x".repeat(bytes),
        actor: String::new(),
    };
    let stream = StreamId::Partition(PartitionId(0));
    let fits = |bytes: &usize| record_fits(&stream, &Event::Partition(of(*bytes)));
    let largest = (0..COMMIT_BYTES_MAX).rev().find(fits).expect("an empty one does");
    let mut bench = Bench::new(START, &[]);
    let answer = bench.take_and_answer(Input::Record(Box::new(of(largest + 1)), ()));
    assert!(matches!(answer, Answer::TooLarge), "{answer:?}");
    let answer = bench.take_and_answer(Input::Record(Box::new(of(largest)), ()));
    assert!(matches!(answer, Answer::Recorded { .. }), "{answer:?}");
    assert!(largest > COMMIT_BYTES_MAX - 1_024, "{largest}");
}

#[test]
fn what_else_is_no_run_is_refused_alike() {
    let mut bench = Bench::new(START, &[]);
    let text = || "x".repeat(COMMIT_BYTES_MAX);
    let import = Import {
        execution: RUN,
        events: Vec::new(),
        marks: std::collections::BTreeMap::new(),
        rows: Vec::new(),
        source: text(),
        actor: "ann".to_owned(),
    };
    let replay = ReplayCommand::Request(Box::new(ReplayRequest {
        namespace: "default".into(),
        url: text(),
        after: vec![0],
        until: vec![0],
        filter: Payload::null(),
        rate_per_second: 1,
        actor: "ann".to_owned(),
    }));
    let redrive = RedriveCommand::Request(Box::new(RedriveRequest {
        namespace: "default".into(),
        until: Timestamp(0),
        terms: Payload::null(),
        rate_per_second: 1,
        reason: text(),
        actor: "ann".to_owned(),
    }));
    for input in [
        Input::Import(Box::new(import), ()),
        Input::Replay(ReplayId(1), replay, Some(())),
        Input::Redrive(RedriveId(1), redrive, Some(())),
    ] {
        let answer = bench.take_and_answer(input);
        assert!(matches!(answer, Answer::TooLarge), "{answer:?}");
    }
    assert!(bench.records.is_empty());
}
