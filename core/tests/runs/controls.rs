//! What people do to a run under way: pause, resume, settle steps by hand, roll back, force.

use backstitch_core::command::{AttemptResult, Command, Rejection};
use backstitch_core::effect::{Effect, owed};
use backstitch_core::failure::codes;
use backstitch_core::ids::StepIndex;
use backstitch_core::payload::{PAYLOAD_BYTES_MAX, Payload};
use backstitch_core::summary::LetterStatus;
use serde_json::json;

use crate::stage::{CHAIN, Life, cancel, discard, force, pause, resume, retry, roll_back, set};

fn suspending() -> String {
    format!("{CHAIN}\non_failure: suspend")
}

#[test]
fn a_paused_run_starts_nothing_and_what_is_under_way_ends() {
    let mut life = Life::begin(CHAIN, json!({}));
    life.act(pause()).expect("it runs");
    assert_eq!((life.status(), life.words().as_str()), ("suspended", "running pending pending"));
    let events = life.events.len();
    life.act(pause()).expect("a repeat");
    assert_eq!(life.events.len(), events, "a repeat records nothing");
    life.succeeds("a");
    assert_eq!((life.status(), life.words().as_str()), ("suspended", "succeeded pending pending"));
    life.act(resume()).expect("it is paused");
    assert_eq!((life.status(), life.words().as_str()), ("running", "succeeded running pending"));
    let events = life.events.len();
    life.act(resume()).expect("a repeat");
    assert_eq!(life.events.len(), events, "a repeat records nothing");
    life.succeeds("b").succeeds("c");
    assert_eq!(life.status(), "completed");
    assert_eq!(life.act(pause()), Err(Rejection::AlreadyEnded { status: "completed" }));
}

#[test]
fn what_falls_due_in_a_pause_starts_when_it_is_over() {
    let definition = "
id: w
steps:
  - { id: sleep, type: wait, with: { duration: 5s } }
  - { id: again, type: task, retry: { max_attempts: 3, initial: 1s } }
";
    let mut life = Life::begin(definition, json!({}));
    life.act(pause()).expect("it runs");
    life.stumbles("again").later(60_000);
    assert_eq!((life.status(), life.words().as_str()), ("suspended", "waiting retrying"));
    assert!(life.state.next_due(life.now).is_none(), "nothing wakes it");
    life.act(resume()).expect("it is paused");
    assert_eq!(life.words(), "succeeded running");
}

#[test]
fn the_timeout_of_a_paused_run_goes_on() {
    let mut life = Life::begin(&format!("{CHAIN}\ntimeout: 10m"), json!({}));
    life.succeeds("a").act(pause()).expect("it runs");
    life.later(600_000);
    assert_eq!(life.words(), "succeeded running pending");
    life.succeeds("b").undone("b").undone("a");
    assert_eq!(life.status(), "compensated");
    let why = life.state.failing.as_ref().expect("it failed");
    assert_eq!(why.failure.code, codes::WORKFLOW_TIMEOUT);
}

#[test]
fn a_step_that_fails_in_a_pause_fails_the_run_when_it_is_over() {
    let mut life = Life::begin(CHAIN, json!({}));
    life.succeeds("a").act(pause()).expect("it runs");
    life.refuses("b");
    assert_eq!((life.status(), life.state.letters.len()), ("suspended", 1));
    life.act(resume()).expect("it is paused");
    assert_eq!(life.status(), "compensating");
}

#[test]
fn a_retry_in_a_pause_does_not_end_it() {
    let mut life = Life::begin(&suspending(), json!({}));
    life.succeeds("a").act(pause()).expect("it runs");
    life.refuses("b").act(retry(0)).expect("in place");
    assert_eq!((life.status(), life.words().as_str()), ("suspended", "succeeded pending pending"));
    life.act(resume()).expect("it is paused");
    assert_eq!(life.words(), "succeeded running pending");
}

#[test]
fn a_letter_discarded_in_a_pause_gives_the_run_up() {
    let mut life = Life::begin(&suspending(), json!({}));
    life.succeeds("a").act(pause()).expect("it runs");
    life.refuses("b").act(discard(0)).expect("open");
    assert_eq!(life.status(), "compensating");
}

#[test]
fn only_a_run_under_way_is_paused_and_only_a_suspended_one_operated() {
    let mut life = Life::begin(CHAIN, json!({}));
    let not_suspended = Err(Rejection::NotSuspended { status: "running" });
    assert_eq!(life.act(set("b", None)), not_suspended);
    assert_eq!(life.act(roll_back()), not_suspended);
    life.succeeds("a").refuses("b");
    assert_eq!(life.act(pause()), Err(Rejection::NotPausable { status: "compensating" }));
    assert_eq!(life.act(resume()), Err(Rejection::NotSuspended { status: "compensating" }));
}

#[test]
fn steps_of_a_suspended_run_are_settled_by_hand() {
    let mut life = Life::begin(&suspending(), json!({}));
    life.succeeds("a").refuses("b");
    let failed = Err(Rejection::StepsFailed { step: "b".to_owned() });
    assert_eq!(life.act(resume()), failed);
    let by_hand = Some(Payload::of(&json!({ "by": "hand" })));
    life.act(set("b", by_hand)).expect("it failed");
    assert_eq!(life.state.letters[0].status, LetterStatus::Resolved);
    assert_eq!(life.act(retry(0)), Err(Rejection::LetterNotOpen { letter: 0, status: "resolved" }));
    life.act(set("c", None)).expect("it is pending");
    assert_eq!(
        (life.status(), life.words().as_str()),
        ("suspended", "succeeded succeeded skipped")
    );
    life.act(resume()).expect("nothing failed is left");
    assert_eq!(life.status(), "completed");
}

#[test]
fn what_runs_or_is_settled_is_not_set() {
    let mut life = Life::begin(CHAIN, json!({}));
    life.act(pause()).expect("it runs");
    let refused = |life: &mut Life, step: &str| life.act(set(step, None));
    let runs = Rejection::StepNotOpen { step: "a".to_owned(), status: "running" };
    assert_eq!(refused(&mut life, "a"), Err(runs));
    life.succeeds("a");
    let settled = Rejection::StepNotOpen { step: "a".to_owned(), status: "succeeded" };
    assert_eq!(refused(&mut life, "a"), Err(settled));
    assert_eq!(refused(&mut life, "x"), Err(Rejection::UnknownStep { step: "x".to_owned() }));
    let large = Payload::of(&json!("x".repeat(PAYLOAD_BYTES_MAX)));
    assert!(matches!(life.act(set("b", Some(large))), Err(Rejection::TooLarge { .. })));
}

#[test]
fn a_pending_step_may_be_set_before_its_needs() {
    let mut life = Life::begin(CHAIN, json!({}));
    life.act(pause()).expect("it runs");
    life.act(set("b", Some(Payload::null()))).expect("it is pending");
    life.act(resume()).expect("it is paused");
    assert_eq!(life.words(), "running succeeded running");
    life.succeeds("c").refuses("a").undone("b");
    assert_eq!((life.status(), life.words().as_str()), ("compensated", "failed undone succeeded"));
}

#[test]
fn a_suspended_run_is_rolled_back() {
    let mut life = Life::begin(&suspending(), json!({}));
    life.succeeds("a").refuses("b").act(roll_back()).expect("suspended");
    assert_eq!(life.status(), "compensating");
    life.act(roll_back()).expect("a repeat");
    life.undone("a");
    assert_eq!(life.status(), "compensated");
    let why = life.state.failing.as_ref().expect("it failed");
    assert_eq!(why.failure.code, "NO", "it failed of what suspended it");
}

#[test]
fn a_paused_run_is_rolled_back_once_nothing_is_in_flight() {
    let mut life = Life::begin(CHAIN, json!({}));
    life.succeeds("a").act(pause()).expect("it runs");
    life.act(roll_back()).expect("suspended");
    assert_eq!(life.words(), "succeeded running pending");
    life.succeeds("b").undone("b").undone("a");
    assert_eq!(life.status(), "compensated");
    let why = life.state.failing.as_ref().expect("it failed");
    assert_eq!(why.failure.code, codes::ROLLED_BACK);
}

#[test]
fn a_run_that_its_timeout_suspended_is_led_out() {
    let definition = format!("{}\ntimeout: 10m", suspending());
    let mut life = Life::begin(&definition, json!({}));
    life.succeeds("a").later(600_000);
    assert_eq!((life.status(), life.state.letters.len()), ("suspended", 0));
    life.act(resume()).expect("no step failed");
    life.succeeds("b").succeeds("c").later(1);
    assert_eq!(life.status(), "completed");

    let mut life = Life::begin(&definition, json!({}));
    life.succeeds("a").later(600_000).act(roll_back()).expect("suspended");
    life.succeeds("b").undone("b").undone("a");
    assert_eq!(life.status(), "compensated");
}

#[test]
fn resuming_lifts_the_timeout_of_a_run_that_its_policy_suspended_and_of_no_other() {
    let definition = format!("{}\ntimeout: 10m", suspending());
    let mut life = Life::begin(&definition, json!({}));
    life.refuses("a").act(set("a", None)).expect("suspended");
    assert!(life.state.failing.is_some());
    life.act(resume()).expect("no step has failed");
    assert!(life.state.failing.is_none());
    life.later(600_000);
    assert_eq!(life.status(), "running");

    let mut life = Life::begin(&definition, json!({}));
    life.act(pause()).expect("it runs");
    life.act(resume()).expect("it is paused");
    life.later(600_000);
    assert_eq!(life.status(), "suspended");
}

#[test]
fn a_run_that_its_outputs_suspended_renders_them_again() {
    let definition = "
id: o
on_failure: suspend
outputs: { x: '{{ input.a.b }}' }
steps: [{ id: a, type: task, undo: { type: task } }]
";
    let mut life = Life::begin(definition, json!({}));
    life.succeeds("a");
    assert_eq!(life.status(), "suspended");
    life.act(resume()).expect("no step failed");
    assert_eq!(life.status(), "suspended", "they fail again, and the run says so");
    life.act(roll_back()).expect("suspended");
    life.undone("a");
    assert_eq!(life.status(), "compensated");
}

#[test]
fn a_forced_cancel_gives_up_what_is_under_way_and_undoes_it() {
    let mut life = Life::begin(CHAIN, json!({}));
    life.succeeds("a").act(force()).expect("it runs");
    assert_eq!(
        (life.status(), life.words().as_str()),
        ("compensating", "succeeded undoing pending")
    );
    let b = StepIndex(1);
    let late = AttemptResult::Answered(Ok(Payload::null()));
    let (attempt, retry_delay_ms) = (1, 0);
    let events = life.events.len();
    life.act(Command::ReportStep { step: b, attempt, result: late, retry_delay_ms }).expect("late");
    assert_eq!(life.events.len(), events, "a late report changes nothing");
    life.undone("b").undone("a");
    assert_eq!(life.status(), "cancelled");
}

#[test]
fn a_forced_cancel_of_an_unwinding_run_gives_up_its_undos() {
    let mut life = Life::begin(CHAIN, json!({}));
    life.succeeds("a").succeeds("b").refuses("c");
    life.act(cancel(None)).expect("recorded");
    assert_eq!(life.words(), "succeeded undoing failed");
    life.act(force()).expect("it unwinds");
    assert_eq!(
        (life.status(), life.words().as_str()),
        ("compensation_failed", "undo_failed undo_failed failed")
    );
    assert!(owed(&life.state, life.now).is_empty());
    let forced =
        life.state.letters.iter().filter(|own| own.failure.code == codes::CANCELLED_BY_FORCE);
    assert_eq!(forced.count(), 2, "each is a letter");
    let letter =
        life.state.letters.iter().position(|own| own.failure.code == codes::CANCELLED_BY_FORCE);
    let letter = u32::try_from(letter.expect("counted")).expect("few");
    life.act(retry(letter)).expect("an undo is retried in place");
    assert_eq!(life.status(), "compensating", "force is over with the retry");
    assert!(matches!(owed(&life.state, life.now)[..], [Effect::UndoStep { .. }]));
}
