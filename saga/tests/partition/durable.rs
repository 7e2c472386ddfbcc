//! What rests on a stage that is not durable yet, and so must not be seen or given away.

use std::sync::Arc;

use backstitch_core::command::{AttemptResult, Command};
use backstitch_core::effect::Effect;
use backstitch_core::event::{Callback, CallbackEvent};
use backstitch_core::failure::Failure;
use backstitch_core::payload::Payload;
use backstitch_saga::keys::Keys;
use backstitch_saga::partition::{Answer, Input, Order};
use backstitch_saga::slots::{Settings, Slots};
use backstitch_saga::turns::Pool;
use serde_json::json;

use crate::bench::{Bench, OTHER, RUN, START, plan, submission};

fn succeeds(order: &Order) -> Command {
    let Effect::RunStep { step, attempt } = order.effect else { panic!("only steps here") };
    let result = AttemptResult::Answered(Ok(Payload::null()));
    Command::ReportStep { step, attempt, result, retry_delay_ms: 0 }
}

#[test]
fn nothing_is_answered_that_rests_on_a_stage_under_way() {
    let plan = plan(json!({ "id": "w", "steps": [{ "id": "a", "type": "task" }] }));
    let mut bench = Bench::new(START, &[&plan]);
    bench.take(Input::Submit(submission(RUN, &plan, None), ()), START);
    assert!(bench.partition.releases().is_empty(), "it is not even staged");
    let stage = bench.partition.stage().expect("the run's beginning");
    // Nothing is recorded of this: only the stage under way keeps its answer back.
    bench.take(Input::Show(RUN, ()), START);
    assert!(bench.partition.stage().is_none());
    assert!(bench.partition.releases().is_empty(), "the run is not durable yet");
    bench.take(Input::Command(RUN, Command::Continue, Some(())), START);
    assert!(bench.partition.releases().is_empty(), "the run is not durable yet");
    bench.commit(stage);
    bench.flush();
    let [Answer::Submitted { .. }, Answer::Shown(_), Answer::Done { .. }] = &bench.answers[..]
    else {
        panic!("{:?}", bench.answers)
    };
    assert_eq!(bench.orders.len(), 1, "and only now is it begun");
}

#[test]
fn a_run_is_shown_while_the_disk_is_busy_with_another() {
    let plan = plan(json!({ "id": "w", "steps": [{ "id": "a", "type": "task" }] }));
    let mut bench = Bench::new(START, &[&plan]);
    bench.take(Input::Submit(submission(RUN, &plan, None), ()), START);
    bench.flush();
    bench.take(Input::Submit(submission(OTHER, &plan, None), ()), START);
    let stage = bench.partition.stage().expect("the other's beginning");
    let mut shown = |run| {
        bench.take(Input::Show(run, ()), START);
        bench.flush();
        bench.answers.drain(..).filter(|own| matches!(own, Answer::Shown(_))).count()
    };
    assert_eq!((shown(RUN), shown(OTHER)), (1, 0), "the other is not durable yet");
    let order = bench.orders.pop().expect("it runs");
    bench.take(Input::Command(RUN, succeeds(&order), None), START);
    bench.take(Input::Show(RUN, ()), START);
    assert!(bench.partition.releases().is_empty(), "nor is what the run came to");
    bench.commit(stage);
    bench.flush();
    assert_eq!(bench.answers.iter().filter(|own| matches!(own, Answer::Shown(_))).count(), 2);
}

#[test]
fn a_callback_that_falls_due_waits_for_what_it_rests_on() {
    let plan = plan(json!({ "id": "w", "steps": [{ "id": "a", "type": "task" }] }));
    let mut bench = Bench::new(START, &[&plan]);
    let mut told = submission(RUN, &plan, None);
    let url = "http://callbacks/completed".to_owned();
    told.submitted.callbacks = vec![Callback { event: CallbackEvent::Completed, url }];
    bench.take(Input::Submit(told, ()), START);
    bench.flush();
    let order = bench.orders.pop().expect("it runs");
    bench.take(Input::Command(RUN, succeeds(&order), None), START);
    bench.flush();
    assert_eq!(bench.orders.pop().map(|own| own.effect.attempt()), Some(1), "it is sent");
    let result = Err(Failure::retryable("HTTP_STATUS", "503"));
    let failed = Command::ReportCallback { delivery: 0, attempt: 1, result, retry_delay_ms: 1 };
    bench.take(Input::Command(RUN, failed, None), START);
    let stage = bench.partition.stage().expect("the failed attempt");
    // Nothing is recorded of what it owes then.
    bench.partition.fire(START.plus_ms(1_000));
    assert!(bench.partition.stage().is_none());
    assert!(bench.partition.releases().is_empty(), "the failed attempt is not durable yet");
    bench.commit(stage);
    bench.flush();
    assert_eq!(bench.orders.pop().map(|own| own.effect.attempt()), Some(2));
}

#[test]
fn what_a_run_held_is_anothers_once_its_end_is_durable() {
    let plan = plan(json!({ "id": "w", "concurrency": { "max_runs": 1 }, "steps": [
        { "id": "a", "type": "task", "limits": [{ "key": "k", "max": 1 }] },
    ]}));
    let (slots, keys) = (Slots::new(Settings::default()), Keys::default());
    let turns = Pool::new(2).seat(Arc::new(|| {}));
    let seats = (slots.seat(Arc::new(|| {})), keys.seat(Arc::new(|| {})));
    let mut bench = Bench::new(START, &[&plan]).seated(turns, seats.0, seats.1);
    let slot = || slots.limits().workflows[0].holders.iter().map(|own| own.run).collect::<Vec<_>>();
    let place = || keys.shown("default", 1).0.first().map(|own| own.holders[0].0);
    bench.take(Input::Submit(submission(RUN, &plan, None), ()), START);
    bench.flush();
    let order = bench.orders.pop().expect("it runs");
    bench.take(Input::Submit(submission(OTHER, &plan, None), ()), START);
    let before = bench.partition.stage().expect("the other's beginning");
    bench.take(Input::Command(RUN, succeeds(&order), None), START);
    bench.commit(before);
    assert_eq!((slot(), place()), (vec![RUN], Some(RUN)), "a crash would find it under way");
    bench.flush();
    assert_eq!((slot(), place()), (vec![OTHER], None));
    bench.partition.fire(START);
    bench.flush();
    assert_eq!((bench.orders[0].execution, place()), (OTHER, Some(OTHER)));
}
