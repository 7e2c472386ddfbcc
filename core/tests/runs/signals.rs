//! Signals, and steps that wait for them.

use backstitch_core::command::{Command, Rejection, SIGNALS_KEPT_MAX};
use backstitch_core::failure::codes;
use backstitch_core::payload::Payload;
use serde_json::json;

use crate::stage::{Life, cancel, pause, resume, signal};

const APPROVAL: &str = "
id: approval
steps:
  - { id: ask, type: task }
  - { id: approved, type: wait, needs: [ask], with: { signal: 'go-{{ input.n }}', timeout: 2d } }
  - { id: then, type: task, needs: [approved], with: { by: '{{ steps.approved.output.payload.by }}' } }
";
const TWO_DAYS_MS: u64 = 2 * 24 * 3_600_000;

#[test]
fn a_signal_is_taken_by_the_step_that_waits_for_it() {
    let mut life = Life::begin(APPROVAL, json!({ "n": 1 }));
    life.succeeds("ask");
    assert_eq!(life.words(), "succeeded waiting pending");
    life.act(signal("go-2", 0, None)).expect("another's");
    assert_eq!(life.words(), "succeeded waiting pending");
    life.act(signal("go-1", 7, None)).expect("its own");
    assert_eq!(life.words(), "succeeded succeeded running");
    let output = life.state.steps[1].output.as_ref().expect("succeeded").value();
    assert_eq!((&output["signal"], &output["payload"]["by"]), (&json!("go-1"), &json!(7)));
    assert_eq!(output["received_at"], json!(life.now.to_string()));
    let input = life.state.steps[2].input.as_ref().expect("ready").value();
    assert_eq!(input["by"], 7);
}

#[test]
fn signals_before_the_step_waits_are_kept_in_order() {
    let definition = "
id: two
steps:
  - { id: ask, type: task }
  - { id: first, type: wait, needs: [ask], with: { signal: go } }
  - { id: second, type: wait, needs: [first], with: { signal: go } }
";
    let mut life = Life::begin(definition, json!({}));
    life.act(signal("go", 1, Some("x"))).expect("it runs");
    life.act(signal("go", 2, Some("y"))).expect("it runs");
    let events = life.events.len();
    life.act(signal("go", 3, Some("x"))).expect("a repeat");
    assert_eq!(life.events.len(), events, "a repeat records nothing");
    life.succeeds("ask");
    assert_eq!(life.status(), "completed");
    let by = |at: usize| {
        life.state.steps[at].output.as_ref().expect("done").value()["payload"]["by"].clone()
    };
    assert_eq!((by(1), by(2)), (json!(1), json!(2)));
    assert_eq!(
        life.act(signal("go", 1, None)),
        Err(Rejection::AlreadyEnded { status: "completed" })
    );
}

#[test]
fn a_step_that_waits_too_long_fails_as_any_step() {
    let mut life = Life::begin(APPROVAL, json!({ "n": 1 }));
    life.succeeds("ask").later(TWO_DAYS_MS);
    assert_eq!((life.status(), life.words().as_str()), ("failed", "succeeded failed pruned"));
    let failure = life.state.steps[1].failure.as_ref().expect("it failed");
    assert_eq!(failure.code, codes::SIGNAL_TIMEOUT);
    assert_eq!(life.state.letters.len(), 1);
}

#[test]
fn a_signal_that_came_in_a_pause_counts_although_time_is_up() {
    let mut life = Life::begin(APPROVAL, json!({ "n": 1 }));
    life.succeeds("ask").act(pause()).expect("it runs");
    life.act(signal("go-1", 7, None)).expect("it is suspended");
    life.later(TWO_DAYS_MS).act(resume()).expect("it is paused");
    assert_eq!(life.words(), "succeeded succeeded running");
}

#[test]
fn a_cancelled_run_waits_for_nothing() {
    let endless = "{ id: e, steps: [{ id: w, type: wait, with: { signal: go } }] }";
    let mut life = Life::begin(endless, json!({}));
    assert!(life.state.next_due(life.now).is_none());
    life.act(cancel(None)).expect("it waits");
    assert_eq!((life.status(), life.words().as_str()), ("cancelled", "cancelled"));
}

#[test]
fn a_name_that_is_none_fails_the_step() {
    let definition = "{ id: n, steps: [{ id: w, type: wait, with: { signal: '{{ input.n }}' } }] }";
    let life = Life::begin(definition, json!({ "n": 5 }));
    let failure = life.state.steps[0].failure.as_ref().expect("it failed");
    assert_eq!(failure.code, codes::EXPRESSION_FAILED);
}

#[test]
fn a_run_keeps_a_bounded_number_of_signals() {
    let mut life = Life::begin(APPROVAL, json!({ "n": 1 }));
    for _ in 0..SIGNALS_KEPT_MAX {
        let (name, actor) = ("other".into(), "me".into());
        let command = Command::Signal { name, payload: Payload::null(), id: None, actor };
        life.record(command);
    }
    assert_eq!(life.act(signal("go-1", 1, None)), Err(Rejection::TooManySignals));
    // One that a step waits for is not kept.
    life.succeeds("ask").act(signal("go-1", 1, None)).expect("the step takes it");
    assert_eq!(life.act(signal("go-1", 1, None)), Err(Rejection::TooManySignals));
}

#[test]
fn a_signal_that_is_known_is_taken_once_also_of_a_run_that_it_ended() {
    let waits = "{ id: w, steps: [{ id: w, type: wait, with: { signal: go } }] }";
    let mut life = Life::begin(waits, json!({}));
    life.act(signal("go", 1, Some("one"))).expect("the step waits");
    assert_eq!(life.status(), "completed");
    let events = life.state.version;
    life.act(signal("go", 1, Some("one"))).expect("it is known");
    assert_eq!(life.state.version, events);
    let ended = Err(Rejection::AlreadyEnded { status: "completed" });
    assert_eq!(life.act(signal("go", 1, Some("two"))).map(drop), ended);
}
