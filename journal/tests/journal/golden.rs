//! The format, nailed down: bytes written once decode for ever.
//!
//! `tests/golden/commit-1.bin` holds one commit of format 1 with every kind of event. A new
//! event kind gets a new file beside it (`JOURNAL_GOLDEN_WRITE=1` writes those that are
//! missing); no file is ever written again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use backstitch_core::event::{
    Callback, CallbackEvent, Compensation, Event, LetterSubject, Outcome, PartitionEvent, Recourse,
    ReplayEvent, ReplayRequest, RunEvent, Submitted, SuspendReason, WorkflowEvent,
};
use backstitch_core::export::{event_from_value, event_to_value};
use backstitch_core::failure::{EffectKnown, Failure, FailureClass};
use backstitch_core::ids::{Digest, ExecutionId, PartitionId, ReplayId, StepIndex, StreamId};
use backstitch_core::payload::Payload;
use backstitch_core::report::{EVENT_TYPES, RUN_EVENT_TYPES, event_json, event_type};
use backstitch_core::time::Timestamp;
use backstitch_journal::{COMMIT_BYTES_MAX, Commit, CommitBuilder, Fit, Head, Origin};

use crate::golden_adapted::commit_adapted;
use crate::golden_api_keys::commit_api_keys;
use crate::golden_availability::commit_availability;
use crate::golden_blob::commit_blob;
use crate::golden_control::commit_control;
use crate::golden_deliveries;
use crate::golden_faults::{commit_check_faults, commit_faults};
use crate::golden_forks::commit_forks;
use crate::golden_graph::{commit_graph, commit_numbers};
use crate::golden_keyed::{commit_keyed, commit_keyed_runs};
use crate::golden_letters::commit_letters;
use crate::golden_links::{commit_force, commit_links, commit_loops};
use crate::golden_marks::commit_marks;
use crate::golden_migrations::commit_migrations;
use crate::golden_objects::commit_objects;
use crate::golden_partial::{commit_partial, commit_savepoint};
use crate::golden_redrive::{commit_redrive, commit_redrives_removed};
use crate::golden_rollout::commit_rollout;
use crate::golden_services::commit_services;
use crate::golden_source::commit_source;
use crate::golden_traces::commit_traces;
use crate::golden_unwind::{commit_checks, commit_unwind};
use crate::workload::Dice;

/// Kinds that nothing writes yet, and so have no golden file: who comes to write one takes it off
/// this list.
const UNWRITTEN: [&str; 0] = [];

pub const STEP: StepIndex = StepIndex(300);
pub const RUN: ExecutionId = ExecutionId { partition: PartitionId(2), digits: 0x0123_4567_89ab };

pub fn payload() -> Payload {
    Payload::of(&serde_json::json!({ "amount": 12.5, "city": "Zürich" }))
}

pub fn failure() -> Failure {
    Failure {
        code: "HTTP_STATUS".to_owned(),
        message: "503".to_owned(),
        class: FailureClass::Retryable,
        effect: EffectKnown::Unknown,
        details: Some(payload()),
    }
}

fn submitted() -> RunEvent {
    RunEvent::Submitted(Box::new(Submitted {
        namespace: "default".into(),
        workflow: "order".into(),
        revision: 3,
        digest: Digest::of(b"definition"),
        input: payload(),
        variables: Payload::null(),
        correlation_id: "c-1".into(),
        idempotency_key: Some("key".to_owned()),
        request: Digest::of(b"request"),
        callbacks: vec![Callback {
            event: CallbackEvent::Cancelled,
            url: "https://example.com/hook".to_owned(),
        }],
        deadline_at: Some(Timestamp(1_763_639_177_123_456)),
        retry_of: Some(RUN),
        actor: "api".to_owned(),
    }))
}

fn step_events() -> Vec<RunEvent> {
    let (step, due_at, retry_delay_ms) = (STEP, Timestamp(-5), 1_000);
    vec![
        submitted(),
        RunEvent::StepReady { step, round: 1, input: payload() },
        RunEvent::StepWaiting { step, due_at },
        RunEvent::StepStarted { step, attempt: 1 },
        RunEvent::StepSucceeded { step, attempt: 1, output: payload() },
        RunEvent::StepAttemptFailed { step, attempt: 2, failure: failure(), retry_delay_ms },
        RunEvent::StepTimedOut { step, attempt: 3, timeout_ms: 30_000, retry_delay_ms },
        RunEvent::StepAttemptLost { step, attempt: 4 },
        RunEvent::StepRetryScheduled { step, due_at },
        RunEvent::StepFailed { step, failure: failure() },
        RunEvent::StepSkipped { step },
        RunEvent::StepsPruned { steps: vec![StepIndex(0), STEP] },
        RunEvent::StepCancelled { step },
        RunEvent::UndoReady { step, input: payload() },
        RunEvent::UndoStarted { step, attempt: 1 },
        RunEvent::UndoSucceeded { step, attempt: 1, output: Payload::null() },
        RunEvent::UndoAttemptFailed { step, attempt: 2, failure: failure(), retry_delay_ms },
        RunEvent::UndoRetryScheduled { step, due_at },
        RunEvent::UndoFailed { step, failure: failure() },
    ]
}

fn run_events() -> Vec<RunEvent> {
    let (actor, reason) = ("ann".to_owned(), "wrong order".to_owned());
    vec![
        RunEvent::CancelRequested {
            reason: reason.clone(),
            actor: actor.clone(),
            compensate: true,
        },
        RunEvent::DeadlinePassed,
        RunEvent::RunFailing {
            failure: failure(),
            step: Some(STEP),
            recourse: Recourse::Compensate,
        },
        RunEvent::UnwindingStarted,
        RunEvent::RunSuspended { reason: SuspendReason::Policy },
        RunEvent::RunEnded {
            outcome: Outcome::CompensationFailed,
            compensation: Compensation::Failed,
            output: Some(payload()),
        },
        RunEvent::LetterOpened {
            letter: 0,
            subject: LetterSubject::Undo(STEP),
            failure: failure(),
        },
        RunEvent::LetterRetried { letter: 0, actor: actor.clone(), linked: Some(RUN) },
        RunEvent::LetterDiscarded { letter: 1, actor, reason },
        RunEvent::CallbackScheduled {
            delivery: 0,
            event: CallbackEvent::Failed,
            url: "http://127.0.0.1:1/".to_owned(),
        },
        RunEvent::CallbackDelivered { delivery: 0, attempt: 1, status: 204 },
        RunEvent::CallbackAttemptFailed {
            delivery: 0,
            attempt: 1,
            failure: failure(),
            retry_at: Some(Timestamp(7)),
        },
        RunEvent::CallbackFailed { delivery: 0, failure: failure() },
    ]
}

/// One commit with every kind of event.
pub fn commit_1() -> Commit {
    let origin = Origin { store: *b"0123456789abcdef", generation: 4 };
    let head = Head {
        sequence: 41,
        position: 1_000,
        hash: Digest::of(b"the commit before"),
        committed_at: Timestamp(1_763_639_177_000_000),
    };
    let mut builder = CommitBuilder::new(origin, RUN.partition, 9, &head);
    let run = StreamId::Execution(RUN);
    let workflow = StreamId::Workflow { namespace: "default".into(), workflow: "order".into() };
    let mut put = |stream: &StreamId, version: u64, event: Event| {
        let at = Timestamp(1_763_639_177_000_000 + i64::try_from(version).expect("few"));
        assert_eq!(builder.push(stream, version, at, &event), Fit::Fits);
    };
    for (version, event) in (1..).zip(step_events().into_iter().chain(run_events())) {
        put(&run, version, Event::Run(event));
    }
    let text = "{}".to_owned();
    put(&workflow, 1, Event::Workflow(WorkflowEvent::DefinitionPart { text: text.clone() }));
    let (digest, actor) = (Digest::of(b"{}{}"), "ann".to_owned());
    let defined = WorkflowEvent::Defined { revision: 1, digest, text, actor };
    put(&workflow, 2, Event::Workflow(defined));
    builder.finish(Timestamp(0))
}

/// Beside runs and workflows: partitions and replays.
pub fn commit_2() -> Commit {
    let origin = Origin { store: *b"0123456789abcdef", generation: 4 };
    let mut builder = CommitBuilder::new(origin, RUN.partition, 9, &commit_1().head());
    let partition = StreamId::Partition(RUN.partition);
    let replay = StreamId::Replay(ReplayId(0x0123_4567_89ab_cdef));
    let (actor, reason) = ("ann".to_owned(), "asked for".to_owned());
    let (digest, runs) = (Digest::of(b"payload"), vec![RUN]);
    let partition_events = [
        PartitionEvent::RunsRemoved {
            runs: runs.clone(),
            rule: "older than 30 days".to_owned(),
            actor: actor.clone(),
        },
        PartitionEvent::PayloadErased { digest, reason: reason.clone(), actor: actor.clone() },
        PartitionEvent::LogCut { sequence: 40, hash: digest, actor: actor.clone() },
        PartitionEvent::Restored {
            generation: 3,
            sequence: 41,
            reason: reason.clone(),
            actor: actor.clone(),
        },
        PartitionEvent::RunsImported { runs, source: "ab".repeat(16), actor: actor.clone() },
    ];
    let replay_events = [
        ReplayEvent::Requested(Box::new(ReplayRequest {
            namespace: "default".into(),
            url: "http://127.0.0.1:9/hook".to_owned(),
            after: vec![1, 2],
            until: vec![3, 4],
            filter: Payload::of(&serde_json::json!({})),
            rate_per_second: 50,
            actor: actor.clone(),
        })),
        ReplayEvent::Advanced { positions: vec![2, 3], delivered: 2 },
        ReplayEvent::Stopped { reason, actor: Some(actor.clone()) },
        ReplayEvent::Resumed { actor },
        ReplayEvent::Completed { delivered: 4 },
    ];
    let at = Timestamp(1_763_639_178_000_000);
    for (version, event) in (1..).zip(partition_events) {
        let fit = builder.push(&partition, version, at, &Event::Partition(event));
        assert_eq!(fit, Fit::Fits);
    }
    for (version, event) in (1..).zip(replay_events) {
        assert_eq!(builder.push(&replay, version, at, &Event::Replay(event)), Fit::Fits);
    }
    builder.finish(Timestamp(0))
}

/// The policy of retention.
fn commit_retention() -> Commit {
    let origin = Origin { store: *b"0123456789abcdef", generation: 4 };
    let mut builder = CommitBuilder::new(origin, RUN.partition, 9, &commit_2().head());
    let partition = StreamId::Partition(RUN.partition);
    let policy = r#"{"rules":[{"name":"old","keep_for":"30d"}]}"#.to_owned();
    let event = PartitionEvent::RetentionPolicySet { policy, actor: "ann".to_owned() };
    let at = Timestamp(1_763_639_179_000_000);
    assert_eq!(builder.push(&partition, 6, at, &Event::Partition(event)), Fit::Fits);
    builder.finish(Timestamp(0))
}

/// The result cache, emptied.
fn commit_cache() -> Commit {
    let origin = Origin { store: *b"0123456789abcdef", generation: 4 };
    let mut builder = CommitBuilder::new(origin, RUN.partition, 9, &commit_2().head());
    let partition = StreamId::Partition(RUN.partition);
    let (reason, actor) = ("it was wrong".to_owned(), "ann".to_owned());
    let event = Event::Partition(PartitionEvent::CacheEmptied { reason, actor });
    let at = Timestamp(1_763_639_179_000_000);
    assert_eq!(builder.push(&partition, 7, at, &event), Fit::Fits);
    builder.finish(Timestamp(0))
}

/// A definition kept for imported runs.
fn commit_kept() -> Commit {
    let origin = Origin { store: *b"0123456789abcdef", generation: 4 };
    let mut builder = CommitBuilder::new(origin, RUN.partition, 9, &commit_1().head());
    let workflow = StreamId::Workflow { namespace: "default".into(), workflow: "order".into() };
    let (digest, text, actor) = (Digest::of(b"{}"), "{}".to_owned(), "ann".to_owned());
    let kept = Event::Workflow(WorkflowEvent::Kept { digest, text, actor });
    assert_eq!(builder.push(&workflow, 3, Timestamp(1_763_639_179_000_000), &kept), Fit::Fits);
    builder.finish(Timestamp(0))
}

/// A run's tags.
fn commit_tagged() -> Commit {
    let origin = Origin { store: *b"0123456789abcdef", generation: 4 };
    let mut builder = CommitBuilder::new(origin, RUN.partition, 9, &commit_2().head());
    let (run, at) = (StreamId::Execution(RUN), Timestamp(1_763_639_179_000_000));
    let tags = vec!["nightly".into(), "zürich".into()];
    for (version, event) in (1..).zip([submitted(), RunEvent::Tagged { tags }]) {
        assert_eq!(builder.push(&run, version, at, &Event::Run(event)), Fit::Fits);
    }
    builder.finish(Timestamp(0))
}

fn golden_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Every golden file and what it holds.
fn files() -> Vec<(&'static str, Commit)> {
    let mut files = vec![
        ("commit-1.bin", commit_1()),
        ("commit-2.bin", commit_2()),
        ("commit-blob.bin", commit_blob()),
        ("commit-retention.bin", commit_retention()),
        ("commit-kept.bin", commit_kept()),
        ("commit-tagged.bin", commit_tagged()),
        ("commit-graph.bin", commit_graph()),
        ("commit-links.bin", commit_links()),
        ("commit-forks.bin", commit_forks()),
        ("commit-loops.bin", commit_loops()),
        ("commit-force.bin", commit_force()),
        ("commit-migrations.bin", commit_migrations()),
        ("commit-keyed.bin", commit_keyed()),
        ("commit-keyed-runs.bin", commit_keyed_runs()),
        ("commit-control.bin", commit_control()),
        ("commit-source.bin", commit_source()),
        ("commit-rollout.bin", commit_rollout()),
        ("commit-cache.bin", commit_cache()),
        ("commit-services.bin", commit_services()),
        ("commit-redrive.bin", commit_redrive()),
        ("commit-redrives-removed.bin", commit_redrives_removed()),
        ("commit-letters.bin", commit_letters()),
        ("commit-unwind.bin", commit_unwind()),
        ("commit-checks.bin", commit_checks()),
        ("commit-partial.bin", commit_partial()),
        ("commit-savepoint.bin", commit_savepoint()),
        ("commit-numbers.bin", commit_numbers()),
        ("commit-faults.bin", commit_faults()),
        ("commit-check-faults.bin", commit_check_faults()),
        ("commit-api-keys.bin", commit_api_keys()),
        ("commit-availability.bin", commit_availability()),
        ("commit-traces.bin", commit_traces()),
        ("commit-objects.bin", commit_objects()),
        ("commit-adapted.bin", commit_adapted()),
        ("commit-marks.bin", commit_marks()),
    ];
    files.extend(golden_deliveries::files());
    files
}

#[test]
fn golden_commits_decode_for_ever() {
    let mut kinds = BTreeSet::new();
    for (name, commit) in files() {
        let path = golden_directory().join(name);
        if std::env::var_os("JOURNAL_GOLDEN_WRITE").is_some() && !path.exists() {
            std::fs::create_dir_all(golden_directory()).unwrap();
            std::fs::write(&path, commit.bytes()).unwrap();
        }
        let bytes = std::fs::read(&path).unwrap();
        let decoded = Commit::decode(bytes.clone()).unwrap();
        assert_eq!(decoded, commit, "{name} means what it meant");
        assert_eq!(commit.bytes(), bytes, "{name} is still written the same");
        for record in decoded.records() {
            let word = event_type(&record.event);
            assert_eq!(event_json(&record.event, None).0, word, "an event has one type word");
            assert!(EVENT_TYPES.contains(&word), "{word} is listed");
            let of_run = matches!(record.event, Event::Run(_));
            assert_eq!(RUN_EVENT_TYPES.contains(&word), of_run, "{word}");
            if name != "commit-blob.bin" && of_run {
                let value = event_to_value(&record.event);
                let read =
                    event_from_value(value.clone()).unwrap_or_else(|why| panic!("{value}: {why}"));
                assert_eq!(read, record.event, "an exported event reads back: {value}");
            }
            kinds.insert(word);
        }
    }
    let missing: Vec<_> = EVENT_TYPES.into_iter().filter(|word| !kinds.contains(word)).collect();
    assert_eq!(missing, UNWRITTEN, "every other kind of event is in a golden file");
}

#[test]
fn no_changed_byte_of_a_commit_is_taken() {
    let good = commit_1().bytes().to_vec();
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        assert!(Commit::decode(bytes).is_err(), "byte {at} of {}", good.len());
    }
}

#[test]
fn no_bytes_make_decoding_panic() {
    let good = commit_1().bytes().to_vec();
    let mut dice = Dice(3);
    for length in 0..good.len() {
        assert!(Commit::decode(good[..length].to_vec()).is_err());
    }
    for _ in 0..3_000 {
        let mut bytes = good.clone();
        for _ in 0..=dice.below(3) {
            let at = dice.below(bytes.len() as u64) as usize;
            bytes[at] = (dice.next() % 256) as u8;
        }
        // With a right hash, so that what is behind it is reached.
        let covered = bytes.len() - 32;
        let hash = Digest::of(&bytes[..covered]);
        bytes[covered..].copy_from_slice(&hash.0);
        if let Ok(commit) = Commit::decode(bytes) {
            assert_eq!(commit.records().len(), commit.count());
        }
    }
    for _ in 0..300 {
        let length = dice.below(2_000) as usize;
        let noise = (0..length).map(|_| (dice.next() % 256) as u8).collect();
        assert!(Commit::decode(noise).is_err());
    }
    assert!(Commit::decode(vec![0; COMMIT_BYTES_MAX + 1]).is_err());
}
