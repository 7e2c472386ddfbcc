//! Runs that are rolled back to a step and go on from there.

use backstitch_core::command::{AttemptResult, Command, Rejection};
use backstitch_core::effect::owed;
use backstitch_core::event::{ForkEvent, RunEvent, UndoSettlement};
use backstitch_core::ids::StepIndex;
use backstitch_core::letters::InputEdit;
use backstitch_core::payload::Payload;
use backstitch_core::state::Subject;
use backstitch_core::summary::LetterStatus;
use backstitch_core::unwind_plan::unwind_plan_json;
use backstitch_core::why::blockers;
use serde_json::json;

use crate::stage::{
    Life, cancel, discard, pause, resume, retry, roll_back, roll_back_to as to, set, signal,
};

/// `who` is the savepoint; `mail` has nothing to do with it.
const TRIP: &str = "
id: trip
steps:
  - { id: who, type: task, undo: { type: free } }
  - { id: seat, type: task, needs: who, undo: { type: free } }
  - { id: hotel, type: task, needs: who, undo: { type: free } }
  - { id: pay, type: task, needs: [seat, hotel], retry: none, undo: { type: refund } }
  - { id: mail, type: task, retry: { max_attempts: 3, initial: 1s } }
";

fn settle(step: &str, settlement: UndoSettlement) -> Command {
    let (step, note) = (Some(step.to_owned()), "by telephone".to_owned());
    Command::SettleUndos { step, settlement, note, actor: "ann".to_owned() }
}

fn key(life: &Life, step: u32) -> String {
    life.state.idempotency_key(Subject::Step(StepIndex(step)))
}

fn refused(life: &mut Life, step: &str) -> String {
    match life.act(to(step)) {
        Err(Rejection::RollbackRefused { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}

fn completed() -> Life {
    let mut life = Life::begin(TRIP, json!({}));
    life.succeeds("who").succeeds("seat").succeeds("hotel").succeeds("pay").succeeds("mail");
    assert_eq!(life.status(), "completed");
    life
}

#[test]
fn what_builds_on_the_step_is_undone_and_then_done_anew() {
    let mut life = completed();
    let plan = unwind_plan_json(&life.state, life.state.plan.index_of("who"));
    assert_eq!((&plan["to"], &plan["waves"]), (&json!("who"), &json!(2)));
    assert_eq!(plan["again"], json!(["seat", "hotel", "pay"]));
    life.act(to("who")).expect("it has completed");
    assert_eq!(life.status(), "compensating");
    assert_eq!(life.words(), "succeeded succeeded succeeded undoing succeeded");
    assert!(blockers(&life.state).iter().any(|own| own.kind == "rolling_back"));
    let events = life.events.len();
    life.act(to("who")).expect("a repeat");
    assert_eq!(life.events.len(), events);
    life.undone("pay");
    assert_eq!(life.words(), "succeeded undoing undoing undone succeeded");
    life.undone("hotel");
    assert_eq!(life.words(), "succeeded undoing undone undone succeeded", "nothing starts yet");
    life.undone("seat");
    assert_eq!(
        (life.status(), life.words().as_str()),
        ("running", "succeeded running running pending succeeded")
    );
    assert!(key(&life, 1).ends_with("/seat/2") && key(&life, 0).ends_with("/who/1"));
    life.succeeds("seat").succeeds("hotel").succeeds("pay");
    assert_eq!(life.status(), "completed");
    assert!(life.state.is_closed() && owed(&life.state, life.now).is_empty());
    // Once more, and then the whole of it.
    life.act(to("seat")).expect("it has completed");
    life.undone("pay").succeeds("pay");
    assert!(key(&life, 3).ends_with("/pay/3"));
    life.act(roll_back()).expect("it has completed");
    life.undone("pay").undone("seat").undone("hotel").undone("who");
    assert_eq!(life.status(), "compensated");
}

#[test]
fn a_failure_that_stays_made_good_calls_its_other_handler_again() {
    let definition = "
id: h
steps:
  - { id: a, type: task, on_failure: [tell, mend] }
  - { id: tell, type: task, on_failure: [mend] }
  - { id: mend, type: task, undo: { type: task } }
";
    let mut life = Life::begin(definition, json!({}));
    life.refuses("a").succeeds("tell").succeeds("mend");
    assert_eq!((life.words().as_str(), life.status()), ("failed succeeded succeeded", "completed"));
    life.act(to("tell")).expect("it has completed");
    life.undone("mend");
    assert_eq!(life.words(), "failed succeeded running");
    life.succeeds("mend");
    assert_eq!((life.words().as_str(), life.status()), ("failed succeeded succeeded", "completed"));
}

#[test]
fn what_is_under_way_ends_before_anything_is_undone() {
    let mut life = Life::begin(TRIP, json!({}));
    life.succeeds("who").succeeds("seat");
    life.act(to("who")).expect("it runs");
    assert_eq!(life.words(), "succeeded succeeded running pending running");
    assert!(blockers(&life.state)[0].sentence.contains("under way ends first"));
    life.report("hotel", AttemptResult::TimedOut);
    assert_eq!(life.words(), "succeeded succeeded cancelled pending running");
    life.stumbles("mail");
    assert_eq!(life.words(), "succeeded undoing undoing pending retrying");
    life.later(5_000);
    assert_eq!(life.words(), "succeeded undoing undoing pending retrying", "it waits");
    life.undone("seat").undone("hotel");
    assert_eq!(life.words(), "succeeded running running pending running");
}

#[test]
fn a_paused_run_stays_paused() {
    let mut life = Life::begin(TRIP, json!({}));
    life.succeeds("who").succeeds("seat").succeeds("hotel").succeeds("mail");
    life.act(pause()).expect("it runs");
    life.act(to("who")).expect("it is paused");
    life.succeeds("pay").undone("pay").undone("seat").undone("hotel");
    assert_eq!(
        (life.status(), life.words().as_str()),
        ("suspended", "succeeded pending pending pending succeeded")
    );
    life.act(resume()).expect("it is paused");
    assert_eq!(life.words(), "succeeded running running pending succeeded");
    life.act(pause()).expect("it runs");
    life.succeeds("seat").succeeds("hotel");
    life.act(to("seat")).expect("it is paused");
    life.act(resume()).expect("nothing of it was begun");
    assert_eq!(life.words(), "succeeded succeeded succeeded running succeeded");
}

#[test]
fn failed_steps_behind_the_step_begin_anew_and_others_keep_it_suspended() {
    let mut life = Life::begin(&format!("{TRIP}on_failure: suspend\ntimeout: 1h"), json!({}));
    life.succeeds("who").succeeds("seat").succeeds("hotel").refuses("pay");
    assert_eq!(life.status(), "suspended");
    life.later(7_200_000).refuses("mail");
    life.act(to("who")).expect("it is suspended");
    assert_eq!(life.act(discard(0)), Err(Rejection::NotYet { status: "compensating" }));
    life.undone("seat").undone("hotel");
    assert_eq!(
        (life.status(), life.words().as_str()),
        ("suspended", "succeeded pending pending pending failed")
    );
    let letters: Vec<_> = life.state.letters.iter().map(|own| own.status).collect();
    assert_eq!(letters, [LetterStatus::Resolved, LetterStatus::Open]);
    life.migrate(&TRIP.replace("refund", "task")).expect("what is anew may be otherwise");
    life.act(retry(1)).expect("it is open");
    assert_eq!(life.words(), "succeeded running running pending running");
    life.later(7_200_000).succeeds("seat").succeeds("hotel").succeeds("pay").succeeds("mail");
    assert_eq!(life.status(), "completed", "the timeout was lifted");
}

#[test]
fn a_failed_undo_suspends_the_run_until_it_is_settled() {
    let mut life = completed();
    life.act(to("who")).expect("it has completed");
    life.undo_refused("pay").undone("seat").undone("hotel");
    assert_eq!(life.status(), "suspended");
    assert_eq!(life.act(resume()), Err(Rejection::UndoFailed { step: "pay".to_owned() }));
    assert_eq!(refused(&mut life, "seat"), "another part of it is being undone");
    life.act(retry(0)).expect("it is open");
    life.undo_refused("pay");
    assert_eq!(life.status(), "suspended");
    life.act(settle("pay", UndoSettlement::Accepted)).expect("it failed");
    assert_eq!(life.words(), "succeeded running running pending succeeded");
    assert!(life.state.letters.iter().all(|own| own.status != LetterStatus::Open));
    life.succeeds("seat").succeeds("hotel").succeeds("pay");
    life.act(roll_back()).expect("it has completed");
    life.undone("pay").undone("seat").undone("hotel").undone("who");
    assert_eq!(life.status(), "compensated", "what was accepted is of a round before");
}

#[test]
fn a_cancel_has_the_whole_of_it_undone() {
    let mut life = completed();
    life.act(to("who")).expect("it has completed");
    life.act(cancel(Some(true))).expect("it goes on");
    life.undone("pay").undone("seat").undone("hotel");
    assert_eq!(life.words(), "undoing undone undone undone succeeded");
    life.undone("who");
    assert_eq!(life.status(), "cancelled");
    let mut life = Life::begin(TRIP, json!({}));
    life.succeeds("who").succeeds("seat");
    life.act(to("who")).expect("it runs");
    life.act(cancel(Some(true))).expect("it goes on");
    life.succeeds("hotel").stumbles("mail").undone("hotel").undone("seat").undone("who");
    assert_eq!((life.status(), life.state.steps[4].word()), ("cancelled", "cancelled"));
}

#[test]
fn only_a_run_that_goes_on_or_has_completed_is_rolled_back_to_what_succeeded() {
    let mut life = Life::begin(TRIP, json!({}));
    assert!(refused(&mut life, "who").contains("the step is running"));
    assert!(refused(&mut life, "pay").contains("the step is pending"));
    assert_eq!(life.act(to("x")), Err(Rejection::UnknownStep { step: "x".to_owned() }));
    life.succeeds("mail");
    assert_eq!(refused(&mut life, "mail"), "nothing builds on the step");
    life.succeeds("who").succeeds("seat").succeeds("hotel").refuses("pay");
    assert!(refused(&mut life, "who").contains("compensating"));
    life.undone("seat").undone("hotel").undone("who");
    assert_eq!(refused(&mut life, "who"), "it has ended compensated");
    let mut life = completed();
    life.act(roll_back()).expect("it has completed");
    assert!(refused(&mut life, "who").contains("about to end"));
    let mut life = Life::begin(&format!("{TRIP}rollback_window: 1h"), json!({}));
    life.succeeds("who").succeeds("seat").succeeds("hotel").succeeds("pay").succeeds("mail");
    life.later(3_600_001);
    assert!(matches!(life.act(to("who")), Err(Rejection::RollbackWindowOver { .. })));
}

#[test]
fn what_a_fork_undoes_is_not_done_anew() {
    let mut life = completed();
    let forked = Command::NoteFork {
        to: crate::stage::RUN,
        undoes: vec![StepIndex(1)],
        actor: "ann".to_owned(),
    };
    life.act(forked).expect("it has ended");
    assert!(refused(&mut life, "who").contains("`seat` is another run's"));
    life.act(to("seat")).expect("`pay` is its own");
    assert!(life.events.iter().any(|own| matches!(own, RunEvent::Fork(ForkEvent::Forked { .. }))));
}

#[test]
fn a_step_that_does_harm_twice_has_to_be_accepted() {
    let harmful = TRIP.replace("retry: none, undo: { type: refund }", "replay: unsafe");
    let mut life = Life::begin(&harmful, json!({}));
    life.succeeds("who").succeeds("seat").succeeds("hotel").succeeds("pay").succeeds("mail");
    assert_eq!(life.act(to("who")), Err(Rejection::ForkUnsafe { steps: vec!["pay".to_owned()] }));
    let (step, reason, actor) = ("who".to_owned(), String::new(), "ann".to_owned());
    life.act(Command::RollBackTo { step, accept_unsafe: true, reason, actor }).expect("accepted");
    life.undone("seat").undone("hotel").succeeds("seat").succeeds("hotel").succeeds("pay");
    assert_eq!(life.status(), "completed");
}

/// Handlers, routers and joins behind `a`, and a router beside it that leads there.
const GRAPH: &str = "
id: graph
steps:
  - { id: a, type: task }
  - { id: beside, type: router, routes: [{ when: 'input.n > 5', to: [left] }], default: right }
  - { id: left, type: task, needs: a }
  - { id: right, type: task, needs: a }
  - { id: pay, type: task, needs: a, retry: none, on_failure: [mend], on_success: [thank] }
  - { id: late, type: task, retry: none, on_failure: [mend] }
  - { id: mend, type: task }
  - { id: thank, type: task }
  - { id: ship, type: task, needs: pay }
";

#[test]
fn ways_and_handlers_are_gone_anew_and_choices_beside_stay() {
    let mut life = Life::begin(GRAPH, json!({ "n": 1 }));
    life.succeeds("a").refuses("pay").succeeds("right");
    assert_eq!(
        life.words(),
        "succeeded succeeded pruned succeeded failed running running pending pending"
    );
    life.refuses("late").succeeds("mend");
    assert_eq!(life.status(), "completed");
    let handled: Vec<_> = life.state.handled_failures().collect();
    assert_eq!(handled, [StepIndex(4), StepIndex(5)]);
    life.act(to("a")).expect("it has completed");
    // `late` failed and is no part of it: who mends it is called again.
    assert_eq!(
        life.words(),
        "succeeded succeeded pruned running running failed running pending pending"
    );
    assert!(life.state.letters.is_empty());
    life.succeeds("pay").succeeds("right").succeeds("mend").succeeds("thank").succeeds("ship");
    assert_eq!(
        (life.status(), life.words().as_str()),
        (
            "completed",
            "succeeded succeeded pruned succeeded succeeded failed succeeded succeeded succeeded"
        )
    );
    let handled: Vec<_> = life.state.handled_failures().collect();
    assert_eq!(handled, [StepIndex(5)]);
}

#[test]
fn a_signal_that_was_taken_is_waited_for_anew() {
    let mut life = Life::begin(
        "
id: w
steps:
  - { id: a, type: task }
  - { id: go, type: wait, needs: a, with: { signal: go, timeout: 1h } }
  - { id: b, type: task, needs: go, undo: { type: free } }
",
        json!({}),
    );
    life.succeeds("a").act(signal("go", 1, None)).expect("it waits");
    life.act(to("a")).expect("it runs");
    life.succeeds("b").undone("b");
    assert_eq!(life.words(), "succeeded waiting pending");
    life.act(to("a")).expect("it runs");
    assert_eq!(life.words(), "succeeded waiting pending");
    life.act(signal("go", 2, None)).expect("it waits");
    life.succeeds("b");
    assert_eq!(life.status(), "completed");
    assert_eq!(life.state.step(StepIndex(2)).round, 3);
}

#[test]
fn an_input_that_was_edited_is_rendered_anew() {
    let mut life = Life::begin(&format!("{TRIP}on_failure: suspend"), json!({}));
    life.succeeds("who").succeeds("seat").succeeds("hotel").succeeds("mail").refuses("pay");
    let edit = InputEdit::Replace(json!({ "by": "hand" }));
    let (reason, actor) = ("other card".to_owned(), "ann".to_owned());
    life.act(Command::RetryLetterWith { letter: 0, edit, reason, actor }).expect("it is open");
    assert!(key(&life, 3).ends_with("/pay/2"));
    life.succeeds("pay");
    life.act(to("seat")).expect("it has completed");
    life.undone("pay");
    assert!(key(&life, 3).ends_with("/pay/3"));
    assert_eq!(life.state.step(StepIndex(3)).input.as_ref().map(Payload::value), Some(json!({})));
    life.refuses("pay");
    life.act(set("pay", None)).expect("it failed");
    life.act(resume()).expect("no step has failed");
    assert_eq!(life.status(), "completed");
}
