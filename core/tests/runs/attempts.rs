//! What belongs to one attempt, and what all attempts of an operation share.

use backstitch_core::command::{AttemptResult, Command};
use backstitch_core::failure::Failure;
use backstitch_core::ids::StepIndex;
use backstitch_core::payload::Payload;
use backstitch_core::state::Subject;
use serde_json::json;

use crate::stage::{CHAIN, Life, retry};

const FIRST: StepIndex = StepIndex(0);
/// A step and an undo that are tried twice, and a step that fails behind them.
const TWICE: &str = "
id: twice
steps:
  - { id: a, type: task, retry: { max_attempts: 2 }, undo: { type: task, retry: { max_attempts: 2 } } }
  - { id: b, needs: [a], type: task, retry: none }
";

fn busy() -> AttemptResult {
    AttemptResult::Answered(Err(Failure::retryable("BUSY", "busy")))
}

fn answer() -> AttemptResult {
    AttemptResult::Answered(Ok(Payload::of(&json!("late"))))
}

#[test]
fn a_late_report_of_an_earlier_attempt_changes_nothing() {
    let mut life = Life::begin(TWICE, json!({}));
    life.stumbles("a").later(1_000);
    assert_eq!(life.words(), "running pending");
    let told = life.events.len();
    let (step, attempt, retry_delay_ms) = (FIRST, 1, 0);
    let late = Command::ReportStep { step, attempt, result: answer(), retry_delay_ms };
    life.act(late).expect("a report is never rejected");
    assert_eq!((life.words().as_str(), life.events.len()), ("running pending", told));
    life.succeeds("a").refuses("b").undo("a", busy()).later(1_000);
    assert_eq!(life.words(), "undoing failed");
    let told = life.events.len();
    let late = Command::ReportUndo { step, attempt, result: answer(), retry_delay_ms };
    life.act(late).expect("a report is never rejected");
    assert_eq!((life.words().as_str(), life.events.len()), ("undoing failed", told));
    life.undone("a");
    assert_eq!(life.status(), "compensated");
}

#[test]
fn every_attempt_carries_the_same_key_and_the_undo_another() {
    let mut life = Life::begin(TWICE, json!({}));
    let key = |life: &Life, subject| life.state.idempotency_key(subject);
    let (step, undo) = (Subject::Step(FIRST), Subject::Undo(FIRST));
    let of_step = key(&life, step);
    assert_eq!(of_step, format!("{}/a/1", life.state.id));
    life.stumbles("a").later(1_000);
    assert_eq!((life.state.step(FIRST).attempt, key(&life, step)), (2, of_step.clone()));
    life.succeeds("a").refuses("b");
    let of_undo = key(&life, undo);
    assert_eq!(of_undo, format!("{of_step}/undo"));
    life.undo("a", busy()).later(1_000);
    assert_eq!((life.words().as_str(), key(&life, undo)), ("undoing failed", of_undo));
}

#[test]
fn what_may_have_acted_once_is_undone_whatever_a_later_attempt_says() {
    let mut life = Life::begin(TWICE, json!({}));
    life.report("a", AttemptResult::TimedOut).later(1_000).refuses("a");
    assert_eq!((life.status(), life.words().as_str()), ("compensating", "undoing pruned"));
    life.undone("a");
    assert_eq!(life.status(), "compensated");
}

#[test]
fn an_undo_that_is_retried_has_all_its_attempts_again() {
    let mut life = Life::begin(TWICE, json!({}));
    life.succeeds("a").refuses("b").undo("a", busy()).later(1_000).undo("a", busy());
    assert_eq!(life.status(), "compensation_failed");
    life.act(retry(1)).expect("an undo is retried in place");
    life.undo("a", busy());
    assert_eq!(life.status(), "compensating", "one attempt is left");
    life.later(1_000).undone("a");
    assert_eq!(life.status(), "compensated");
}

#[test]
fn what_succeeded_is_owed_no_more() {
    let mut life = Life::begin(CHAIN, json!({}));
    life.succeeds("a").succeeds("b").refuses("c").undone("b");
    let owed = backstitch_core::effect::owed(&life.state, life.now);
    let subjects: Vec<_> = owed.iter().map(|effect| effect.subject()).collect();
    assert_eq!(subjects, [Subject::Undo(FIRST)]);
}

#[test]
fn a_second_wait_is_as_long_as_the_first() {
    let mut life = Life::begin(
        "id: w\nsteps: [{ id: a, type: task, retry: { max_attempts: 3, initial: 1s } }]",
        json!({}),
    );
    life.stumbles("a").later(1_000).stumbles("a");
    assert_eq!(life.words(), "retrying");
    life.later(999);
    assert_eq!(life.words(), "retrying", "the first wait says nothing any more");
    life.later(1);
    assert_eq!(life.words(), "running");
}
