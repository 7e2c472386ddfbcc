//! Unwind plans: what a roll back would do is what it then does.

use std::collections::BTreeMap;

use backstitch_core::command::{AttemptResult, Rejection};
use backstitch_core::event::RunEvent;
use backstitch_core::unwind_plan::unwind_plan_json;
use serde_json::{Value, json};

use crate::stage::{Life, roll_back};

const BOOKING: &str = "
id: booking
on_failure: suspend
steps:
  - { id: seat, type: task, undo: { type: free, with: { seat: '{{ steps.seat.output.n }}' } } }
  - { id: mail, type: task, needs: seat }
  - { id: car, type: task, needs: seat, retry: none, undo: { type: free } }
  - { id: hotel, type: task, needs: seat, undo: { type: free } }
  - { id: bill, type: task, needs: [car, hotel, mail], undo: { type: free } }
  - { id: last, type: task, needs: bill, retry: none }
";

fn plan(life: &Life) -> Value {
    unwind_plan_json(&life.state, None)
}

fn waves(plan: &Value) -> Vec<(String, u64)> {
    let undos = plan["undos"].as_array().expect("a list").iter();
    let own = |undo: &Value| Some((undo["step"].as_str()?.to_owned(), undo["wave"].as_u64()?));
    undos.map(|undo| own(undo).expect("told")).collect()
}

fn booked() -> Life {
    let mut life = Life::begin(BOOKING, json!({}));
    let output = backstitch_core::payload::Payload::of(&json!({ "n": 7 }));
    life.report("seat", AttemptResult::Answered(Ok(output)));
    life.succeeds("mail").succeeds("car").succeeds("hotel");
    life
}

#[test]
fn a_plan_tells_order_inputs_and_what_is_left() {
    let mut life = booked();
    let told = plan(&life);
    assert_eq!(told["in_flight"], json!(["bill"]));
    assert_eq!(told["left"], json!([{ "step": "mail", "why": "it has no undo" }]));
    let expected = [("car", 1), ("hotel", 1), ("seat", 2)].map(|(id, at)| (id.to_owned(), at));
    assert_eq!(waves(&told), expected);
    assert_eq!(told["undos"][2]["input"], json!({ "seat": 7 }));
    assert_eq!((&told["waves"], &told["undos"][0]["outcome"]), (&json!(2), &json!("succeeded")));
    life.succeeds("bill").refuses("last");
    assert_eq!(waves(&plan(&life)).first(), Some(&("bill".to_owned(), 1)));
    assert_eq!(plan(&life)["waves"], 3);
}

#[test]
fn what_a_plan_says_is_what_rolling_back_does() {
    let mut life = booked();
    life.succeeds("bill").refuses("last");
    assert_eq!(life.status(), "suspended");
    let told = plan(&life);
    life.act(roll_back()).expect("it is suspended");
    for step in ["bill", "car", "hotel", "seat"] {
        life.undone(step);
    }
    let mut begun = BTreeMap::new();
    let mut inputs = BTreeMap::new();
    for (at, event) in life.events.iter().enumerate() {
        if let RunEvent::UndoReady { step, input } = event {
            let id = life.state.plan.step(*step).id.to_string();
            inputs.insert(id.clone(), input.value());
            begun.insert(id, at);
        }
    }
    let waves = waves(&told);
    assert_eq!(begun.len(), waves.len());
    for (one, wave) in &waves {
        for (other, later) in &waves {
            assert!(wave >= later || begun[one] < begun[other], "{one} before {other}");
        }
    }
    for undo in told["undos"].as_array().expect("a list") {
        let step = undo["step"].as_str().expect("an id");
        assert_eq!(json!(inputs[step]), undo["input"], "{step}");
    }
    let after = plan(&life);
    let done = after["undos"].as_array().expect("a list");
    assert!(done.iter().all(|undo| undo["status"] == "succeeded"), "{after:#}");
}

#[test]
fn an_ended_run_is_rolled_back_within_its_window() {
    let text = "
id: w
rollback_window: 1h
steps: [{ id: a, type: task, undo: { type: free } }, { id: b, type: task, needs: a }]
";
    let mut life = Life::begin(text, json!({}));
    life.succeeds("a").succeeds("b");
    assert_eq!(life.status(), "completed");
    assert_eq!(waves(&plan(&life)), [("a".to_owned(), 1)]);
    let mut late = Life::begin(text, json!({}));
    late.succeeds("a").succeeds("b").later(3_600_001);
    let refused = late.act(roll_back());
    assert!(matches!(refused, Err(Rejection::RollbackWindowOver { .. })), "{refused:?}");
    life.later(3_599_000).act(roll_back()).expect("it is in time");
    assert_eq!(life.status(), "compensating");
    life.undone("a");
    assert_eq!(life.status(), "compensated");
    life.check_replay();
    let again = life.act(roll_back());
    assert!(matches!(again, Err(Rejection::AlreadyEnded { .. })), "{again:?}");
    // What failed and was left as it was can be undone later.
    let halted = text.replace("rollback_window: 1h", "on_failure: halt");
    let mut life = Life::begin(&halted, json!({}));
    life.succeeds("a").refuses("b");
    assert_eq!(life.status(), "failed");
    life.later(10_000_000_000).act(roll_back()).expect("there is no window");
    life.undone("a");
    assert_eq!(life.status(), "compensated");
}

#[test]
fn an_undo_that_could_not_be_made_is_told_as_such() {
    let mut life = Life::begin(BOOKING, json!({}));
    for _ in 0..3 {
        life.report("seat", AttemptResult::TimedOut).later(60_000);
    }
    let told = plan(&life);
    assert_eq!(told["undos"][0]["outcome"], "unknown", "{told:#}");
    let problem = told["undos"][0]["problem"].as_str().expect("a problem");
    assert!(problem.contains("an output that nobody has"), "{problem}");
}

#[test]
fn the_plan_says_until_when_it_can_be_carried_out() {
    let text = "{ id: w, rollback_window: 5s, steps: [{ id: a, type: task, undo: { type: u } }] }";
    let mut life = Life::begin(text, json!({}));
    assert_eq!(plan(&life)["rollback_until"], json!(null), "it goes on");
    life.succeeds("a");
    let until = life.now.plus_ms(5_000).to_string();
    assert_eq!(plan(&life)["rollback_until"], until.as_str());
}
