//! One partition by hand: what it stages, lets out and waits for.

mod bench;
mod cached;
mod control;
mod durable;
mod limits;
mod marks;
mod posts;
mod redrives;
mod removal;
mod rest;
mod sizes;

use backstitch_core::command::{AttemptResult, Command};
use backstitch_core::effect::Effect;
use backstitch_core::event::{Event, RunEvent};
use backstitch_core::failure::Failure;
use backstitch_core::ids::Digest;
use backstitch_saga::partition::{Answer, Input, Order};
use serde_json::json;

use bench::{Bench, RUN, START, plan, submission};

fn report(order: &Order, failure: Failure) -> Command {
    let result = AttemptResult::Answered(Err(failure));
    let Effect::RunStep { step, attempt } = order.effect else { panic!("only steps here") };
    Command::ReportStep { step, attempt, result, retry_delay_ms: 1_000 }
}

fn retry(letter: u32) -> Command {
    Command::RetryLetter { letter, actor: "op".into(), linked: None }
}

#[test]
fn a_run_reopened_in_the_stage_it_ended_in_is_not_quiescent() {
    let plan = plan(json!({ "id": "w", "on_failure": "halt", "steps": [
        { "id": "a", "type": "task" }, { "id": "b", "type": "task" },
    ]}));
    let mut bench = Bench::new(START, &[&plan]);
    bench.take(Input::Submit(submission(RUN, &plan, None), ()), START);
    bench.flush();
    for order in std::mem::take(&mut bench.orders) {
        let command = report(&order, Failure::permanent("NO", "no"));
        bench.take(Input::Command(RUN, command, None), START);
    }
    bench.flush();
    assert_eq!(bench.quiescent.len(), 1, "both steps failed, the run is halted");
    bench.take(Input::Command(RUN, retry(0), None), START);
    bench.take(Input::Command(RUN, retry(1), None), START);
    bench.flush();
    assert_eq!(bench.orders.len(), 2, "both steps run again");
    assert!(bench.quiescent.is_empty(), "a start after a crash must find the run");
}

#[test]
fn what_is_due_follows_the_wall_clock_when_it_was_set_back() {
    let timed = plan(json!({ "id": "timed", "timeout": "1m", "steps": [
        { "id": "a", "type": "task" },
    ]}));
    // The last record is of a time when the clock was an hour ahead.
    let mut bench = Bench::new(START.plus_ms(3_600_000), &[&timed]);
    let deadline = Some(START.plus_ms(60_000));
    bench.take(Input::Submit(submission(RUN, &timed, deadline), ()), START);
    bench.flush();
    let order = bench.orders.pop().expect("it runs; it is not overdue");
    let command = report(&order, Failure::retryable("BUSY", "busy"));
    bench.take(Input::Command(RUN, command, None), START);
    bench.flush();
    assert_eq!(bench.partition.next_timer(), Some(START.plus_ms(1_000)));
    let stamps: Vec<_> = bench.records.iter().map(|record| record.at).collect();
    assert!(stamps.is_sorted() && stamps[0] > START.plus_ms(3_600_000), "{stamps:?}");
}

#[test]
fn a_decision_that_was_cut_goes_on_by_itself() {
    let steps: Vec<_> = (0..1_500)
        .map(|at| json!({ "id": format!("s{at}"), "type": "transform", "with": {} }))
        .collect();
    let plan = plan(json!({ "id": "wide", "steps": steps, "outputs": {} }));
    let mut bench = Bench::new(START, &[&plan]);
    bench.take(Input::Submit(submission(RUN, &plan, None), ()), START);
    bench.flush();
    let mut turns = 0;
    while bench.partition.has_more() {
        bench.partition.fire(START);
        bench.flush();
        turns += 1;
    }
    assert!(turns > 1, "{turns} turns");
    let last = bench.records.last().map(|record| record.event.clone());
    assert!(matches!(last, Some(Event::Run(RunEvent::RunEnded { .. }))), "{last:?}");
}

#[test]
fn each_letter_changes_one_row() {
    let steps: Vec<_> =
        (0..200).map(|at| json!({ "id": format!("s{at}"), "type": "task" })).collect();
    let plan = plan(json!({ "id": "wide", "steps": steps }));
    let mut bench = Bench::new(START, &[&plan]);
    bench.take(Input::Submit(submission(RUN, &plan, None), ()), START);
    bench.flush();
    for order in std::mem::take(&mut bench.orders) {
        let command = report(&order, Failure::permanent("NO", "no"));
        bench.take(Input::Command(RUN, command, None), START);
    }
    bench.flush();
    assert!(bench.rows < 200 + 20, "{} rows for 200 letters", bench.rows);
}

#[test]
fn a_derived_run_begins_once() {
    let plan =
        plan(json!({ "id": "w", "steps": [{ "id": "a", "type": "transform", "with": {} }] }));
    let mut bench = Bench::new(START, &[&plan]);
    for _ in 0..2 {
        let mut again = submission(RUN, &plan, None);
        again.submitted.retry_of = Some(bench::OTHER);
        bench.take(Input::Submit(again, ()), START);
        bench.flush();
    }
    let begun = bench
        .records
        .iter()
        .filter(|record| matches!(record.event, Event::Run(RunEvent::Submitted(_))))
        .count();
    assert_eq!((begun, bench.answers.len()), (1, 2));
}

#[test]
fn another_request_with_a_known_id_is_a_conflict() {
    let plan = plan(json!({ "id": "w", "steps": [{ "id": "a", "type": "task" }] }));
    let mut bench = Bench::new(START, &[&plan]);
    bench.take(Input::Submit(submission(RUN, &plan, None), ()), START);
    bench.flush();
    let records = bench.records.len();
    let mut other = submission(RUN, &plan, None);
    other.submitted.request = Digest::of(b"another");
    let answer = bench.take_and_answer(Input::Submit(other, ()));
    assert!(matches!(answer, Answer::KeyConflict(RUN)), "{answer:?}");
    assert_eq!(bench.records.len(), records, "nothing is recorded");
}
