//! Runs at rest: they leave memory while they only wait, and come back as they were.

use std::sync::Arc;

use backstitch_core::command::{AttemptResult, Command};
use backstitch_core::effect::Effect;
use backstitch_core::event::{Event, RunEvent};
use backstitch_core::payload::Payload;
use backstitch_core::plan::Plan;
use backstitch_core::retention::{Candidate, Held};
use backstitch_core::summary::RunStatus;
use backstitch_core::time::Timestamp;
use backstitch_saga::keys::Keys;
use backstitch_saga::partition::{Answer, Input, Removal, RestPolicy, Rested};
use backstitch_saga::slots::{Settings, Slots};
use backstitch_saga::turns::Pool;
use serde_json::json;

use crate::bench::{Bench, OTHER, RUN, START, plan, submission};

const HOUR_MS: u64 = 3_600_000;

/// A wait, and a step behind it.
fn pausing(duration: &str) -> Arc<Plan> {
    plan(json!({ "id": "w", "steps": [
        { "id": "pause", "type": "wait", "with": { "duration": duration } },
        { "id": "then", "type": "task", "needs": ["pause"] },
    ]}))
}

/// A wait in a run that goes on alone.
fn limited() -> Arc<Plan> {
    plan(json!({ "id": "w", "concurrency": { "max_runs": 1 }, "steps": [
        { "id": "pause", "type": "wait", "with": { "duration": "1h" } },
    ]}))
}

fn listening() -> Arc<Plan> {
    plan(json!({ "id": "w", "steps": [
        { "id": "go", "type": "wait", "with": { "signal": "go" } },
    ]}))
}

fn begin(bench: &mut Bench, plan: &Arc<Plan>) {
    bench.take(Input::Submit(submission(RUN, plan, None), ()), START);
    bench.flush();
}

fn begun(plan: &Arc<Plan>) -> Bench {
    let mut bench = Bench::new(START, &[plan]);
    begin(&mut bench, plan);
    bench
}

/// Runs in memory, and at rest.
fn counts(bench: &Bench) -> (usize, usize) {
    (bench.partition.resident(), bench.partition.at_rest())
}

fn fire(bench: &mut Bench, now: Timestamp) {
    bench.partition.fire(now);
    bench.flush();
}

fn signal() -> Command {
    let (payload, actor) = (Payload::null(), "op".to_owned());
    Command::Signal { name: "go".into(), payload, id: None, actor }
}

/// The status that the run ended with.
fn ended(bench: &Bench) -> Option<RunStatus> {
    bench.answers.iter().rev().find_map(|answer| match answer {
        Answer::Shown(state) if state.status().is_ended() => Some(state.status()),
        _ => None,
    })
}

#[test]
fn a_run_that_waits_long_leaves_memory_and_is_back_before_it_is_due() {
    let mut bench = begun(&pausing("1h"));
    assert_eq!(counts(&bench), (0, 1));
    let due = START.plus_ms(HOUR_MS);
    let rested = Rested { run: RUN, version: 3, due: Some(due), holds_slot: true };
    assert_eq!(bench.partition.rested().collect::<Vec<_>>(), [rested]);
    let ahead = bench.partition.next_timer().expect("it is to be brought back");
    assert_eq!(ahead, START.plus_ms(HOUR_MS - RestPolicy::default().wake_ahead_ms));
    fire(&mut bench, Timestamp(ahead.0 - 1));
    assert_eq!(counts(&bench), (0, 1));
    fire(&mut bench, ahead);
    assert_eq!(counts(&bench), (1, 0));
    assert_eq!(bench.partition.next_timer(), Some(due));
    assert_eq!(bench.records.len(), 3, "nothing happened to it");
    fire(&mut bench, due);
    let order = bench.orders.pop().expect("the step behind the wait");
    let Effect::RunStep { step, attempt } = order.effect else { panic!("a step") };
    let result = AttemptResult::Answered(Ok(Payload::null()));
    let done = Command::ReportStep { step, attempt, result, retry_delay_ms: 0 };
    bench.take(Input::Command(RUN, done, None), due);
    bench.flush();
    let last = bench.records.last().map(|record| &record.event);
    assert!(matches!(last, Some(Event::Run(RunEvent::RunEnded { .. }))), "{last:?}");
    assert_eq!(counts(&bench), (0, 0));
}

#[test]
fn what_was_slept_through_goes_on_at_once() {
    let mut bench = begun(&pausing("1h"));
    fire(&mut bench, START.plus_ms(2 * HOUR_MS));
    assert_eq!((bench.orders.len(), counts(&bench)), (1, (1, 0)));
}

#[test]
fn a_run_that_waits_shortly_stays() {
    let mut bench = begun(&pausing("9s"));
    assert_eq!(counts(&bench), (1, 0));
    fire(&mut bench, START.plus_ms(1_000));
    assert_eq!(counts(&bench), (1, 0));
}

#[test]
fn a_run_that_waits_for_a_word_is_kept_for_a_while() {
    let mut bench = begun(&listening());
    assert_eq!(counts(&bench), (1, 0));
    let RestPolicy { after_idle_ms, wait_ms_per_event, .. } = RestPolicy::default();
    let idle = START.plus_ms(after_idle_ms + 3 * wait_ms_per_event);
    assert_eq!((bench.records.len(), bench.partition.next_timer()), (3, Some(idle)));
    fire(&mut bench, idle);
    assert_eq!((counts(&bench), bench.partition.next_timer()), ((0, 1), None));
    bench.take(Input::Command(RUN, signal(), Some(())), START.plus_ms(HOUR_MS));
    bench.flush();
    assert!(matches!(bench.answers.last(), Some(Answer::Done { status: "completed" })));
    assert_eq!(counts(&bench), (0, 0));
}

#[test]
fn whoever_waits_for_its_end_is_told_though_it_was_at_rest() {
    let plan = listening();
    let mut bench = begun(&plan);
    bench.take(Input::WaitForEnd(RUN, ()), START);
    fire(&mut bench, START.plus_ms(HOUR_MS));
    bench.take(Input::WaitForEnd(RUN, ()), START.plus_ms(HOUR_MS));
    bench.take(Input::Show(RUN, ()), START.plus_ms(HOUR_MS));
    bench.flush();
    assert_eq!(counts(&bench), (0, 1), "looking at it does not bring it back");
    assert!(matches!(bench.answers.last(), Some(Answer::NotResident)));
    assert_eq!(ended(&bench), None);
    let answers = bench.answers.len();
    bench.take(Input::Command(RUN, signal(), None), START.plus_ms(HOUR_MS));
    bench.flush();
    assert_eq!((bench.answers.len(), ended(&bench)), (answers + 2, Some(RunStatus::Completed)));
}

#[test]
fn a_run_at_rest_is_known() {
    let plan = pausing("1h");
    let mut bench = begun(&plan);
    bench.take(Input::Submit(submission(RUN, &plan, None), ()), START);
    bench.flush();
    let answer = bench.answers.last();
    assert!(matches!(answer, Some(Answer::Submitted { repeated: true, .. })), "{answer:?}");
    fire(&mut bench, START.plus_ms(HOUR_MS / 2));
    assert_eq!(counts(&bench), (0, 1), "it has gone to rest again");
    let runs = vec![Candidate { execution: RUN, version: 3, not_before: START }];
    let removal = Removal { runs, rule: "old".to_owned(), actor: "test".to_owned() };
    match bench.take_and_answer(Input::Remove(Box::new(removal), ())) {
        Answer::Removed { removed, held } => {
            assert_eq!((removed, held), (vec![], vec![(RUN, Held::Live)]));
        }
        other => panic!("{other:?}"),
    }
    match bench.take_and_answer(Input::CancelAll(())) {
        Answer::Cancelled(runs) => assert_eq!(runs, [RUN]),
        other => panic!("{other:?}"),
    }
    assert_eq!(counts(&bench), (0, 0), "it is cancelled");
}

#[test]
fn a_row_is_written_once_though_the_run_rested() {
    let mut bench = begun(&pausing("1h"));
    let rows = bench.rows;
    fire(&mut bench, START.plus_ms(HOUR_MS));
    assert_eq!((bench.orders.len(), bench.rows), (1, rows), "it is running as it was");
}

#[test]
fn a_run_at_rest_keeps_its_slot_and_its_place_in_line() {
    let limited = limited();
    let slots = Slots::new(Settings::default());
    let seats = || {
        let wake = || -> backstitch_saga::turns::Wake { Arc::new(|| {}) };
        (Pool::new(5).seat(wake()), slots.seat(wake()), Keys::default().seat(wake()))
    };
    let (pool, slot, keys) = seats();
    let mut bench = Bench::new(START, &[&limited]).seated(pool, slot, keys);
    begin(&mut bench, &limited);
    bench.take(Input::Submit(submission(OTHER, &limited, None), ()), START);
    bench.flush();
    fire(&mut bench, START.plus_ms(HOUR_MS / 2));
    let standing = || {
        let limits = slots.limits();
        (limits.workflows[0].running, limits.waiting.iter().sum::<usize>())
    };
    assert_eq!((counts(&bench), standing()), ((0, 2), (1, 1)));
    // A start finds the first at rest, holding what it held; the other asks whether it may begin.
    let found: Vec<_> = [RUN, OTHER].map(|run| bench.folded(run)).into();
    let plans = [&limited];
    let mut again = Bench::over(bench, &plans);
    assert!(slots.limits().workflows.is_empty(), "what the partition held went with it");
    let (pool, slot, keys) = seats();
    again = again.seated(pool, slot, keys);
    for state in found {
        again.partition.adopt_found(state, 0, START);
    }
    again.partition.claim_slots();
    assert_eq!((counts(&again), standing()), ((1, 1), (1, 1)));
    slots.let_in();
    again.partition.recover(START);
    fire(&mut again, START.plus_ms(HOUR_MS / 2));
    assert_eq!((counts(&again), standing()), ((0, 2), (1, 1)));
    fire(&mut again, START.plus_ms(HOUR_MS));
    assert_eq!(standing(), (1, 0), "the first has ended and the second may begin");
    fire(&mut again, START.plus_ms(HOUR_MS));
    fire(&mut again, START.plus_ms(2 * HOUR_MS));
    assert_eq!(counts(&again), (0, 0));
    assert!(slots.limits().workflows.is_empty());
}

#[test]
fn a_history_that_is_not_what_it_was_is_not_gone_on_with() {
    let limited = limited();
    for events in [0, 2] {
        let slots = Slots::new(Settings::default());
        let (pool, keys) = (Pool::new(5), Keys::default());
        let wake = || -> backstitch_saga::turns::Wake { Arc::new(|| {}) };
        let seats = (pool.seat(wake()), slots.seat(wake()), keys.seat(wake()));
        let mut bench = Bench::new(START, &[&limited]).seated(seats.0, seats.1, seats.2);
        begin(&mut bench, &limited);
        bench.take(Input::WaitForEnd(RUN, ()), START);
        assert_eq!((counts(&bench), slots.limits().workflows.len()), ((0, 1), 1));
        bench.cut_history(RUN, events);
        let records = bench.records.len();
        fire(&mut bench, START.plus_ms(HOUR_MS));
        assert_eq!(bench.records.len(), records, "nothing is decided on a part of a run");
        let answer = bench.answers.last();
        assert!(matches!(answer, Some(Answer::Quarantined(why)) if why.contains("its history")));
        assert_eq!(counts(&bench), (1, 0), "it is shown as set aside");
        assert!(slots.limits().workflows.is_empty(), "its slot is free");
    }
}

#[test]
fn a_long_run_gets_a_checkpoint_as_it_goes_to_rest() {
    let mut steps: Vec<_> = (0..40)
        .map(|at| json!({ "id": format!("s{at}"), "type": "transform", "with": {} }))
        .collect();
    let needs: Vec<_> = (0..40).map(|at| format!("s{at}")).collect();
    let with = json!({ "duration": "1h" });
    steps.push(json!({ "id": "pause", "type": "wait", "needs": needs, "with": with }));
    let mut bench = begun(&plan(json!({ "id": "w", "steps": steps })));
    assert_eq!(counts(&bench), (0, 1));
    let made = bench.partition.checkpoints(8);
    assert_eq!(made.iter().map(|(run, _)| *run).collect::<Vec<_>>(), [RUN]);
    let last = bench.records.last().map_or(0, |record| record.version);
    assert_eq!(made[0].1.version(), last);
    assert!(bench.partition.checkpoints(8).is_empty());
}

#[test]
fn nothing_goes_to_rest_that_is_not_durable() {
    let plan = listening();
    let mut bench = Bench::new(START, &[&plan]);
    bench.take(Input::Submit(submission(RUN, &plan, None), ()), START);
    bench.partition.fire(START.plus_ms(HOUR_MS));
    assert_eq!(counts(&bench), (1, 0));
    bench.flush();
    fire(&mut bench, START.plus_ms(2 * HOUR_MS));
    assert_eq!(counts(&bench), (0, 1));
}

#[test]
fn a_run_that_had_settled_stays_until_what_came_since_is_durable() {
    let plan = pausing("1h");
    let mut bench = Bench::new(START, &[&plan]);
    bench.take(Input::Submit(submission(RUN, &plan, None), ()), START);
    let begun = bench.partition.stage().expect("it begins, and waits for time alone");
    let pause = Command::Pause { reason: "lunch".into(), actor: "ann".into() };
    bench.take(Input::Command(RUN, pause, None), START);
    let paused = bench.partition.stage().expect("the pause");
    bench.commit(begun);
    assert_eq!(counts(&bench), (1, 0), "a history without the pause is not what it is");
    bench.commit(paused);
    fire(&mut bench, START.plus_ms(HOUR_MS / 2));
    assert_eq!(counts(&bench), (0, 1));
}
