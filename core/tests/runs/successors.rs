//! Runs that were removed and begun again under their ids: their messages have the same numbers.

use backstitch_core::command::Command;
use backstitch_core::event::Message;
use backstitch_core::ids::{ExecutionId, StepIndex};
use backstitch_core::time::Timestamp;
use serde_json::json;

use crate::children::{acknowledge, owes, receive_posted};
use crate::stage::{Life, RUN, START};

#[test]
fn whoever_was_removed_and_begun_again_is_heard_again() {
    let waits = "{ id: w, steps: [
        { id: a, type: wait, with: { signal: go } },
        { id: b, type: wait, needs: [a], with: { signal: go } },
        { id: c, type: wait, needs: [b], with: { signal: go } },
    ] }";
    let from = ExecutionId { digits: 99, ..RUN };
    let mut life = Life::begin(waits, json!({}));
    let body = Message::Signal { step: StepIndex(0), attempt: 1, name: "go".to_owned() };
    let mut hear = |posted_at, words| {
        receive_posted(&mut life, from, (0, posted_at), body.clone()).expect("it is wanted");
        assert_eq!(life.words(), words);
        life.now = life.now.plus_ms(1);
        life.now
    };
    let first = Timestamp(START.0 - 1);
    let second = hear(first, "succeeded waiting pending");
    hear(first, "succeeded waiting pending");
    // The sender was removed since, and its successor counts from 0 again.
    hear(second, "succeeded succeeded waiting");
    hear(second, "succeeded succeeded waiting");
    hear(first, "succeeded succeeded waiting");
}

#[test]
fn an_answer_for_a_removed_run_is_none_for_its_successor() {
    let to = ExecutionId { digits: 5, ..RUN };
    let sender = "{ id: s, steps: [{ id: a, type: signal,
        with: { execution: '{{ input.to }}', name: go } }] }";
    let mut life = Life::begin(sender, json!({ "to": to.to_string() }));
    let (message, posted_at, refused) = (0, Timestamp(life.now.0 - 1), None);
    let late = Command::Acknowledge { message, posted_at, refused };
    life.act(late).expect("never rejected");
    assert_eq!(owes(&life), [(0, "signal")], "it is still to be said");
    acknowledge(&mut life, 0);
    assert_eq!(life.status(), "completed");
}
