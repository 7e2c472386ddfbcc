//! Attempts that are no longer owed, and rows of letters that people resolve.

use backstitch_core::command::{AttemptResult, Command};
use backstitch_core::effect::Effect;
use backstitch_core::failure::Failure;
use backstitch_core::ids::StepIndex;
use backstitch_core::payload::Payload;
use backstitch_saga::partition::Input;
use serde_json::json;

use crate::bench::{Bench, RUN, START, plan, submission};
use crate::{report, retry};

fn force() -> Command {
    let (reason, actor) = ("now".to_owned(), "op".to_owned());
    Command::Cancel { reason, actor, compensate: Some(true), force: true }
}

#[test]
fn what_is_given_up_is_aborted_once_that_is_durable() {
    let plan = plan(json!({ "id": "w", "steps": [
        { "id": "a", "type": "task", "undo": { "type": "task" } },
        { "id": "b", "type": "task" },
    ]}));
    let mut bench = Bench::new(START, &[&plan]);
    bench.take(Input::Submit(submission(RUN, &plan, None), ()), START);
    bench.flush();
    let orders = std::mem::take(&mut bench.orders);
    bench.take(Input::Command(RUN, force(), None), START);
    assert!(bench.aborted.is_empty(), "nothing is let out before it is durable");
    bench.flush();
    let wanted: Vec<_> = orders.iter().map(|order| order.effect).collect();
    assert_eq!(bench.aborted, wanted);
    let undo = Effect::UndoStep { step: StepIndex(0), attempt: 1 };
    let ordered: Vec<_> = bench.orders.iter().map(|order| order.effect).collect();
    assert_eq!(ordered, [undo], "its outcome is unknown, so it is undone");
    let records = bench.records.len();
    for order in &orders {
        let Effect::RunStep { step, attempt } = order.effect else { panic!("only steps") };
        let result = AttemptResult::Answered(Ok(Payload::null()));
        let late = Command::ReportStep { step, attempt, result, retry_delay_ms: 0 };
        bench.take(Input::Command(RUN, late, None), START);
    }
    bench.flush();
    assert_eq!(bench.records.len(), records, "a late report changes nothing");
    assert_eq!(bench.partition.effects_in_flight(), 1);
    bench.take(Input::Command(RUN, force(), None), START);
    bench.flush();
    assert_eq!(bench.aborted.last(), Some(&undo));
    assert_eq!(bench.partition.effects_in_flight(), 0);
}

#[test]
fn a_reported_attempt_is_not_aborted() {
    let plan = plan(json!({ "id": "w", "on_failure": "suspend", "steps": [
        { "id": "a", "type": "task" },
    ]}));
    let mut bench = Bench::new(START, &[&plan]);
    bench.take(Input::Submit(submission(RUN, &plan, None), ()), START);
    bench.flush();
    let order = bench.orders.pop().expect("it runs");
    let failed = report(&order, Failure::permanent("NO", "no"));
    bench.take(Input::Command(RUN, failed, None), START);
    bench.flush();
    bench.take(Input::Command(RUN, retry(0), None), START);
    bench.flush();
    assert_eq!((bench.orders.len(), bench.aborted.len()), (1, 0));
}

#[test]
fn a_letter_that_is_resolved_changes_its_row() {
    let plan = plan(json!({ "id": "w", "on_failure": "suspend", "steps": [
        { "id": "a", "type": "task" },
    ]}));
    let mut bench = Bench::new(START, &[&plan]);
    bench.take(Input::Submit(submission(RUN, &plan, None), ()), START);
    bench.flush();
    let order = bench.orders.pop().expect("it runs");
    bench.take(Input::Command(RUN, report(&order, Failure::permanent("NO", "no")), None), START);
    bench.flush();
    let rows = bench.rows;
    let (step, reason, actor) = ("a".to_owned(), String::new(), "op".to_owned());
    let skip = Command::OverrideStep { step, output: None, reason, actor };
    bench.take(Input::Command(RUN, skip, None), START);
    bench.flush();
    assert_eq!(bench.rows, rows + 1, "the letter's row");
}
