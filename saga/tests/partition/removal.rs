//! The partition's own stream, and runs that leave.

use std::sync::Arc;

use backstitch_core::command::{AttemptResult, Command};
use backstitch_core::effect::Effect;
use backstitch_core::event::{Event, PartitionEvent, RunEvent};
use backstitch_core::failure::Failure;
use backstitch_core::ids::{Digest, ExecutionId, PartitionId, StreamId};
use backstitch_core::partition::RUNS_PER_REMOVAL_MAX;
use backstitch_core::payload::Payload;
use backstitch_core::plan::Plan;
use backstitch_core::retention::{Candidate, Held};
use backstitch_core::time::Timestamp;
use backstitch_saga::partition::{Answer, Input, Removal};
use serde_json::json;

use crate::bench::{Bench, OTHER, RUN, START, plan, submission};

fn at_once() -> Arc<Plan> {
    plan(json!({ "id": "w", "steps": [{ "id": "a", "type": "transform", "with": {} }] }))
}

fn candidate(bench: &Bench, execution: ExecutionId) -> Candidate {
    let stream = StreamId::Execution(execution);
    let own = bench.records.iter().rev().find(|record| record.stream == stream);
    Candidate { execution, version: own.map_or(0, |record| record.version), not_before: START }
}

fn remove(bench: &mut Bench, runs: Vec<Candidate>) -> (Vec<ExecutionId>, Vec<(ExecutionId, Held)>) {
    let removal = Removal { runs, rule: "old".to_owned(), actor: "test".to_owned() };
    bench.take(Input::Remove(Box::new(removal), ()), START);
    bench.flush();
    match bench.answers.pop() {
        Some(Answer::Removed { removed, held }) => (removed, held),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_own_stream_has_gapless_versions_and_is_taken_up_again() {
    let mut bench = Bench::new(START, &[]);
    for number in 0..3_u8 {
        let event = PartitionEvent::PayloadErased {
            digest: Digest::of(&[number]),
            reason: "asked for".to_owned(),
            actor: "test".to_owned(),
        };
        bench.take(Input::Record(Box::new(event), ()), START);
    }
    bench.flush();
    let versions: Vec<u64> = bench.records.iter().map(|record| record.version).collect();
    assert_eq!(versions, [1, 2, 3]);
    assert!(bench.records.iter().all(|r| r.stream == StreamId::Partition(PartitionId(0))));
    assert!(matches!(bench.answers.last(), Some(Answer::Recorded { version: 3 })));

    let mut again = Bench::new(START, &[]);
    let found = bench.records.iter().map(|record| (&record.event, record.at));
    again.partition.adopt_own(found).expect("it is its own");
    let policy = PartitionEvent::RetentionPolicySet { policy: "{}".into(), actor: "op".into() };
    again.take(Input::Record(Box::new(policy), ()), START);
    again.flush();
    assert_eq!(again.records[0].version, 4);
    assert_eq!(again.partition.own().policy.as_ref().map(|set| set.text.as_str()), Some("{}"));
}

#[test]
fn removal_is_no_record() {
    let mut bench = Bench::new(START, &[]);
    let event =
        PartitionEvent::RunsRemoved { runs: vec![RUN], rule: String::new(), actor: String::new() };
    bench.take(Input::Record(Box::new(event), ()), START);
    bench.flush();
    assert!(matches!(bench.answers.last(), Some(Answer::Quarantined(_))));
    assert!(bench.records.is_empty());
}

#[test]
fn a_closed_run_leaves_and_its_key_is_free() {
    let plan = at_once();
    let mut bench = Bench::new(START, &[&plan]);
    let mut keyed = submission(RUN, &plan, None);
    keyed.submitted.idempotency_key = Some("k".to_owned());
    bench.take(Input::Submit(keyed.clone(), ()), START);
    bench.flush();
    let own = candidate(&bench, RUN);
    let tomorrow = START.plus_ms(1);
    let held = remove(&mut bench, vec![Candidate { not_before: tomorrow, ..own }]);
    assert_eq!(held, (vec![], vec![(RUN, Held::Key(tomorrow))]));
    let stale = Candidate { version: own.version - 1, ..own };
    assert_eq!(remove(&mut bench, vec![stale]), (vec![], vec![(RUN, Held::Changed)]));
    assert_eq!(remove(&mut bench, vec![own, own]), (vec![RUN], vec![]));
    assert_eq!(remove(&mut bench, vec![own]), (vec![], vec![(RUN, Held::Missing)]));

    bench.take(Input::Submit(keyed, ()), START);
    bench.flush();
    let answer = bench.answers.last();
    assert!(matches!(answer, Some(Answer::Submitted { repeated: false, .. })), "{answer:?}");
    let again = candidate(&bench, RUN);
    assert_eq!(remove(&mut bench, vec![again]), (vec![RUN], vec![]));
}

#[test]
fn a_late_report_for_a_run_that_leaves_shows_no_row_of_it() {
    let plan = plan(json!({ "id": "w", "steps": [{ "id": "a", "type": "task" }] }));
    let mut bench = Bench::new(START, &[&plan]);
    bench.take(Input::Submit(submission(RUN, &plan, None), ()), START);
    bench.flush();
    let order = bench.orders.pop().expect("it runs");
    let Effect::RunStep { step, attempt } = order.effect else { panic!("a step") };
    let result = AttemptResult::Answered(Ok(Payload::null()));
    let done = Command::ReportStep { step, attempt, result, retry_delay_ms: 0 };
    bench.take(Input::Command(RUN, done.clone(), None), START);
    bench.flush();
    assert_eq!(bench.partition.resident(), 0, "it is over and has left memory");
    let rows = bench.rows;
    // It comes back to memory for the report, and leaves for good within the same stage.
    bench.take(Input::Command(RUN, done, None), START);
    let runs = vec![candidate(&bench, RUN)];
    assert_eq!(remove(&mut bench, runs), (vec![RUN], vec![]));
    assert_eq!(bench.rows, rows, "a row would outlive its run");
}

#[test]
fn between_the_removal_and_its_commit_the_run_is_gone() {
    let plan = at_once();
    let mut bench = Bench::new(START, &[&plan]);
    let keyed = submission(RUN, &plan, None);
    bench.take(Input::Submit(keyed.clone(), ()), START);
    bench.flush();
    let runs = vec![candidate(&bench, RUN)];
    let removal = Removal { runs, rule: "old".to_owned(), actor: "test".to_owned() };
    bench.take(Input::Remove(Box::new(removal), ()), START);
    let cancel = Command::Cancel {
        reason: String::new(),
        actor: "x".into(),
        compensate: None,
        force: false,
    };
    bench.take(Input::Command(RUN, cancel, Some(())), START);
    let mut again = keyed;
    again.submitted.retry_of = Some(OTHER);
    bench.take(Input::Submit(again, ()), START);
    let before = bench.records.len();
    bench.flush();
    assert!(matches!(bench.answers[bench.answers.len() - 2], Answer::NotFound));
    let events: Vec<_> = bench.records[before..].iter().map(|r| (r.version, &r.event)).collect();
    assert!(matches!(events[0].1, Event::Partition(PartitionEvent::RunsRemoved { .. })));
    assert!(matches!(events[1], (1, Event::Run(RunEvent::Submitted(_)))), "{events:?}");
}

#[test]
fn what_is_live_or_strange_stays() {
    let slow = plan(json!({ "id": "w", "steps": [{ "id": "a", "type": "task" }] }));
    let mut bench = Bench::new(START, &[&slow]);
    bench.take(Input::Submit(submission(RUN, &slow, None), ()), START);
    bench.flush();
    let live = candidate(&bench, RUN);
    assert_eq!(remove(&mut bench, vec![live]), (vec![], vec![(RUN, Held::Live)]));
    let foreign = ExecutionId { partition: PartitionId(1), ..RUN };
    let foreign = Candidate { execution: foreign, version: 0, not_before: Timestamp(0) };
    assert_eq!(remove(&mut bench, vec![foreign]).1[0].1, Held::Missing);
    bench.partition.quarantine(OTHER, "strange".to_owned());
    let strange = Candidate { execution: OTHER, ..foreign };
    assert_eq!(remove(&mut bench, vec![strange]).1[0].1, Held::SetAside);

    let order = bench.orders.pop().expect("it runs");
    let Effect::RunStep { step, attempt } = order.effect else { panic!("only steps here") };
    let result = AttemptResult::Answered(Err(Failure::permanent("NO", "no")));
    let report = Command::ReportStep { step, attempt, result, retry_delay_ms: 0 };
    bench.take(Input::Command(RUN, report, None), START);
    bench.flush();
    let ended = candidate(&bench, RUN);
    assert_eq!(remove(&mut bench, vec![ended]).0, [RUN], "letters are the planner's to see");
}

#[test]
fn one_event_takes_so_many_runs() {
    let plan = at_once();
    let mut bench = Bench::new(START, &[&plan]);
    let runs: Vec<_> = (10..11 + RUNS_PER_REMOVAL_MAX as u128)
        .map(|digits| ExecutionId { partition: PartitionId(0), digits })
        .collect();
    for run in &runs {
        bench.take(Input::Submit(submission(*run, &plan, None), ()), START);
    }
    bench.flush();
    let candidates = runs.iter().map(|run| candidate(&bench, *run)).collect();
    let (removed, held) = remove(&mut bench, candidates);
    assert_eq!(removed.len(), RUNS_PER_REMOVAL_MAX);
    assert_eq!(held, [(runs[RUNS_PER_REMOVAL_MAX], Held::TooMany)]);
}

#[test]
fn what_changed_since_or_has_a_key_that_counts_stays() {
    let plan = at_once();
    let mut bench = Bench::new(START, &[&plan]);
    bench.take(Input::Submit(submission(RUN, &plan, None), ()), START);
    bench.flush();
    let seen = candidate(&bench, RUN);
    let earlier = Candidate { version: seen.version - 1, ..seen };
    assert_eq!(remove(&mut bench, vec![earlier]), (vec![], vec![(RUN, Held::Changed)]));
    let until = START.plus_ms(1_000);
    let counts = Candidate { not_before: until, ..seen };
    assert_eq!(remove(&mut bench, vec![counts]), (vec![], vec![(RUN, Held::Key(until))]));
    assert_eq!(remove(&mut bench, vec![seen]).0, [RUN]);
}
