//! What people, signals and services do to a run, as its timeline draws it.

use backstitch_core::command::Command;
use backstitch_core::event::{GraphEvent, Hold, HoldReason, RunEvent, ServiceEvent};
use backstitch_core::payload::Payload;
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::directory::{MORNING, Writing, Written};
use crate::runs::{Run, id, ok, refused, submission};

const APPROVED: &str = "
id: approved
on_failure: suspend
steps:
  - { id: ask, type: http, with: { method: POST, url: 'http://ask' } }
  - { id: sg, type: wait, needs: [ask], with: { signal: go, timeout: 2d } }
  - { id: bad, type: http, needs: [sg], with: { method: POST, url: 'http://bad' } }
  - { id: last, type: http, needs: [bad], with: { method: POST, url: 'http://last' } }
";

fn said() -> (String, String) {
    ("it was done by telephone".to_owned(), "ada".to_owned())
}

fn by_hand(writing: &mut Writing) -> Run {
    let (_, digest, plan) = writing.define(APPROVED, MORNING);
    let submitted = submission(&plan, digest, json!({}));
    let mut run = Run::submit(writing, id(1, 0x51), &plan, submitted, 0);
    run.step(writing, 100, "ask", ok(json!({})));
    let (payload, actor) = (Payload::of(&json!({ "by": 7 })), "ada".to_owned());
    run.then(writing, 900, Command::Signal { name: "go".into(), payload, id: None, actor });
    run.step(writing, 500, "bad", refused());
    let (reason, actor) = said();
    let step = "bad".to_owned();
    run.then(writing, 1_000, Command::OverrideStep { step, output: None, reason, actor });
    let (reason, actor) = said();
    run.then(writing, 100, Command::Resume { reason, actor });
    run.step(writing, 400, "last", ok(json!({})));
    run
}

fn statuses(timeline: &Value) -> Vec<&str> {
    let rows = timeline["rows"].as_array().unwrap();
    rows.iter().map(|row| row["status"].as_str().unwrap()).collect()
}

fn shown(written: &Written, run: &str) -> Vec<String> {
    let steps = written.json(&["show", run])["steps"].clone();
    let of = |step: &str| steps[step]["status"].as_str().unwrap().to_owned();
    ["ask", "sg", "bad", "last"].map(of).to_vec()
}

#[test]
fn a_step_that_was_set_by_hand_and_a_signal_are_drawn_as_they_went() {
    let mut writing = Writing::new();
    let run = by_hand(&mut writing).state.id.to_string();
    let written = writing.close();
    assert_snapshot!("by_hand_timeline", written.text(&["timeline", &run]));
    let timeline = written.json(&["timeline", &run]);
    assert_eq!(statuses(&timeline), ["succeeded", "succeeded", "skipped", "succeeded"]);
    assert_eq!(statuses(&timeline), shown(&written, &run));
    let wait = &timeline["rows"][1]["spans"][0];
    assert_eq!((&wait["kind"], &wait["signal"]), (&json!("signal_wait"), &json!("go")));
    assert_eq!((&wait["from_us"], &wait["to_us"]), (&json!(100_000), &json!(1_000_000)));
}

#[test]
fn what_a_run_waits_for_has_a_bar_and_a_name() {
    let mut writing = Writing::new();
    let (_, digest, plan) = writing.define(APPROVED, MORNING);
    let submitted = submission(&plan, digest, json!({}));
    let mut run = Run::submit(&mut writing, id(1, 0x52), &plan, submitted, 0);
    run.step(&mut writing, 100, "ask", ok(json!({})));
    let (reason, actor) = said();
    run.then(&mut writing, 400, Command::Pause { reason, actor });
    let run = run.state.id.to_string();
    let written = writing.close();
    assert_snapshot!("signal_wait_timeline", written.text(&["timeline", &run]));
    assert_eq!(statuses(&written.json(&["timeline", &run])), shown(&written, &run));
}

#[test]
fn a_call_that_is_held_is_drawn_and_one_that_is_refused_is_told() {
    let mut writing = Writing::new();
    let run = by_hand(&mut writing).state;
    let step = run.plan.index_of("last").unwrap();
    let hold = Hold { key: "http://last".into(), why: HoldReason::Open, until: None };
    // As its events tell it: it does not fold any more.
    let held = RunEvent::Service(ServiceEvent::CallHeld { step, undo: false, hold: hold.clone() });
    writing.append_run(run.id, &[held], MORNING.plus_ms(4_000));
    let refused = RunEvent::Service(ServiceEvent::CallRefused { step, hold });
    let late = RunEvent::Graph(GraphEvent::SlaBreached { step: Some(step), limit_ms: 1_500 });
    writing.append_run(run.id, &[refused, late], MORNING.plus_ms(5_000));
    let run = run.id.to_string();
    let written = writing.close();
    let timeline = written.json(&["timeline", &run]);
    let held = timeline["rows"][3]["spans"].as_array().unwrap().last().unwrap();
    assert_eq!((&held["kind"], &held["breaker"]), (&json!("held"), &json!("http://last")));
    assert_eq!((&held["from_us"], &held["to_us"]), (&json!(4_000_000), &json!(5_000_000)));
    let text = written.text(&["timeline", &run]);
    assert!(text.contains("call refused  step last: circuit `http://last`, open"), "{text}");
    assert!(text.contains("step last: 1.50s were agreed"), "{text}");
}
