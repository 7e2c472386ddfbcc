//! What becomes of large, erasable and absent payloads.

use backstitch_core::arrows::UndoStatus;
use backstitch_core::command::{AttemptResult, Command};
use backstitch_core::event::{Event, RunEvent};
use backstitch_core::failure::codes;
use backstitch_core::machine::replay;
use backstitch_core::payload::{
    AbsentWhy, PAYLOAD_BYTES_MAX, Payload, RUN_PAYLOAD_BYTES_MAX, SIGNAL_PAYLOAD_BYTES,
    UNDO_PAYLOAD_BYTES,
};
use serde_json::json;

use super::stage::{Life, RUN, START};

/// The event as it is read when the contents it left beside its record are gone.
fn read_back(event: &RunEvent, why: AbsentWhy) -> RunEvent {
    let mut event = event.clone();
    event.for_each_payload_mut(&mut |own| {
        let written = serde_json::to_string(own).expect("plain data");
        *own = serde_json::from_str(&written).expect("it was written just now");
        own.give_back(Err(why));
    });
    event
}

#[test]
fn every_payload_of_an_erasable_workflow_leaves_its_record() {
    let mut life = Life::begin(
        "
id: e
erasable: true
steps:
  - { id: a, type: task, with: { who: '{{ input.who }}' }, undo: { type: task } }
  - { id: b, needs: a, type: task }
",
        json!({ "who": "Ada" }),
    );
    life.succeeds("a").refuses("b").undone("a");
    assert_eq!(life.status(), "compensated");
    let mut payloads = 0;
    for event in &life.events {
        event.for_each_payload(&mut |own| {
            payloads += 1;
            assert!(own.kept_beside().is_some(), "{event:?}");
        });
    }
    assert!(payloads >= 6, "{payloads}");
}

#[test]
fn a_submission_of_many_small_payloads_fits_its_record() {
    let mut life = Life::begin("id: s\nsteps: [{ id: a, type: task }]", json!("x".repeat(65_534)));
    let RunEvent::Submitted(own) = &life.events[0] else { panic!("a run begins so") };
    assert!(own.input.kept_beside().is_some());
    life.succeeds("a");
    assert_eq!(life.status(), "completed");
}

#[test]
fn a_run_holds_a_bounded_number_of_bytes_and_can_still_be_undone() {
    let steps: Vec<String> = (0..8)
        .map(|n| {
            let with = "with: { whole: '{{ steps.s0.output }}' }";
            match n {
                0 => "{ id: s0, type: task }".to_owned(),
                _ => format!(
                    "{{ id: s{n}, needs: s{}, type: task, undo: {{ type: task, {with} }} }}",
                    n - 1
                ),
            }
        })
        .collect();
    let mut life = Life::begin(&format!("id: l\nsteps: [{}]", steps.join(", ")), json!({}));
    let large = || Payload::of(&json!("x".repeat(PAYLOAD_BYTES_MAX - 1_000)));
    let mut answered = 0;
    while life.status() == "running" {
        life.report(&format!("s{answered}"), AttemptResult::Answered(Ok(large())));
        answered += 1;
    }
    assert_eq!(answered, (RUN_PAYLOAD_BYTES_MAX - UNDO_PAYLOAD_BYTES) / PAYLOAD_BYTES_MAX + 1);
    let why = &life.state.letters[0].failure;
    assert_eq!(why.code, codes::PAYLOAD_TOO_LARGE, "{}", why.message);
    while life.status() == "compensating" {
        let running = (0..8).rev().map(|n| format!("s{n}")).find(|id| {
            let step = life.state.plan.index_of(id).expect("a step");
            life.state
                .step(step)
                .undo
                .as_ref()
                .is_some_and(|undo| undo.status == UndoStatus::Running)
        });
        match running {
            Some(id) => {
                life.undone(&id);
            }
            // Rendering so much is cut into several decisions.
            None => life.act(Command::Continue).expect("going on is always right"),
        }
    }
    assert!(life.state.payload_bytes <= RUN_PAYLOAD_BYTES_MAX);
    let undone = life.words().matches("undone").count();
    assert_eq!(undone, UNDO_PAYLOAD_BYTES / PAYLOAD_BYTES_MAX, "{}", life.words());
    assert_eq!(life.status(), "compensation_failed", "what did not fit is a person's to undo");
}

/// Folding with what is left, a run goes on as far as it needs nothing that is gone.
#[test]
fn a_step_that_needs_an_absent_payload_fails_and_says_why() {
    for (why, code) in [
        (AbsentWhy::Erased, codes::PAYLOAD_ERASED),
        (AbsentWhy::Missing, codes::PAYLOAD_MISSING),
        (AbsentWhy::Damaged, codes::PAYLOAD_MISSING),
    ] {
        let definition = "
id: g
erasable: true
on_failure: halt
steps:
  - { id: a, type: task }
  - { id: c, type: task }
  - { id: b, needs: [a, c], type: task, with: { x: '{{ steps.a.output.of }}' } }
";
        let mut life = Life::begin(definition, json!({}));
        life.succeeds("a");
        life.events = life.events.iter().map(|event| read_back(event, why)).collect();
        let events: Vec<_> = life.events.iter().cloned().map(Event::Run).collect();
        let events = events.iter().map(|event| (event, START));
        life.state = replay(RUN, &life.state.plan, events).expect("absent payloads fold");
        life.succeeds("c");
        assert_eq!(life.status(), "failed");
        assert_eq!(life.state.letters[0].failure.code, code);
        let message = &life.state.letters[0].failure.message;
        assert!(message.contains("the output of `a`, which it reads, "), "{message}");
    }
}

#[test]
fn signals_leave_room_for_steps() {
    let mut life = Life::begin("{ id: s, steps: [{ id: a, type: task }] }", json!({}));
    let large = || Payload::of(&json!("x".repeat(PAYLOAD_BYTES_MAX - 2)));
    let send = |life: &mut Life| {
        let (name, actor) = ("other".into(), "me".to_owned());
        life.act(Command::Signal { name, payload: large(), id: None, actor })
    };
    for _ in 0..SIGNAL_PAYLOAD_BYTES / PAYLOAD_BYTES_MAX {
        send(&mut life).expect("there is room for it");
    }
    let refused = send(&mut life).expect_err("the signals have what they may have");
    assert!(refused.to_string().contains("the signal has"), "{refused}");
    life.report("a", AttemptResult::Answered(Ok(large())));
    assert_eq!(life.status(), "completed", "there is room for the step");
}
