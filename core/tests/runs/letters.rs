//! Dead letters and callbacks: what waits for a person, and what is told to others.

use backstitch_core::command::{Command, Rejection};
use backstitch_core::decide::CALLBACK_ATTEMPTS_MAX;
use backstitch_core::effect::owed;
use backstitch_core::failure::Failure;
use backstitch_core::ids::StepIndex;
use backstitch_core::letters::InputEdit;
use backstitch_core::payload::Payload;
use backstitch_core::report::letter_json;
use backstitch_core::state::Subject;
use serde_json::json;

use crate::stage::{CHAIN, Life, cancel, discard, retry};

#[test]
fn a_failed_undo_becomes_a_letter_and_the_others_go_on() {
    let mut life = Life::begin(CHAIN, json!({}));
    life.succeeds("a").succeeds("b").refuses("c").undo_refused("b").undone("a");
    assert_eq!(life.status(), "compensation_failed");
    assert_eq!(life.words(), "undone undo_failed failed");
    life.act(retry(1)).expect("an undo is retried in place");
    assert_eq!(life.status(), "compensating");
    life.undone("b");
    assert_eq!((life.status(), life.words().as_str()), ("compensated", "undone undone failed"));
    assert_eq!(life.act(retry(1)), Err(Rejection::LetterNotOpen { letter: 1, status: "retried" }));
}

#[test]
fn a_halted_run_goes_on_where_it_stopped() {
    let mut life = Life::begin(&format!("{CHAIN}\non_failure: halt"), json!({}));
    life.succeeds("a").refuses("b");
    assert_eq!((life.status(), life.words().as_str()), ("failed", "succeeded failed cancelled"));
    life.act(retry(0)).expect("in place");
    assert_eq!((life.status(), life.words().as_str()), ("running", "succeeded running pending"));
    life.succeeds("b").succeeds("c");
    assert_eq!(life.status(), "completed");
}

#[test]
fn a_suspended_run_waits_and_goes_on_or_is_given_up() {
    let definition = format!("{CHAIN}\non_failure: suspend");
    let mut life = Life::begin(&definition, json!({}));
    life.succeeds("a").refuses("b");
    assert_eq!(life.status(), "suspended");
    life.act(retry(0)).expect("in place");
    life.refuses("b");
    assert_eq!(life.status(), "suspended");
    life.act(discard(1)).expect("open");
    let discarded = Rejection::LetterNotOpen { letter: 1, status: "discarded" };
    assert_eq!(life.act(retry(1)), Err(discarded));
    assert_eq!(life.status(), "compensating");
    life.undone("a");
    assert_eq!(life.status(), "compensated");
}

#[test]
fn a_compensated_run_is_not_retried_in_place() {
    let mut life = Life::begin(CHAIN, json!({}));
    life.succeeds("a").refuses("b");
    assert!(matches!(life.act(retry(0)), Err(Rejection::NotYet { .. })));
    life.undone("a");
    assert_eq!(life.act(retry(0)), Err(Rejection::NeedsNewRun));
    assert_eq!(life.act(retry(9)), Err(Rejection::UnknownLetter { letter: 9 }));
}

#[test]
fn an_allowed_failure_counts_as_done_and_leaves_no_letter() {
    let mut life = Life::begin(
        "id: f\nsteps:\n  - { id: a, type: task, allow_failure: true }\n  - { id: b, needs: [a], type: task }",
        json!({}),
    );
    life.refuses("a").succeeds("b");
    assert_eq!((life.status(), life.words().as_str()), ("completed", "failed succeeded"));
    assert!(life.state.letters.is_empty());
}

#[test]
fn callbacks_are_sent_until_received_and_then_become_letters() {
    let mut life = Life::begin(
        "
id: c
steps: [{ id: a, type: task }]
callbacks: [{ event: workflow.completed, url: 'http://h/done' }, { event: workflow.failed, url: 'http://h/bad' }]
",
        json!({}),
    );
    life.succeeds("a");
    assert!(!life.state.is_quiescent());
    for attempt in 1..=CALLBACK_ATTEMPTS_MAX {
        let result = Err(Failure::retryable("BUSY", "busy"));
        let (delivery, retry_delay_ms) = (0, 1_000);
        life.act(Command::ReportCallback { delivery, attempt, result, retry_delay_ms })
            .expect("never rejected");
        life.later(1_000);
    }
    assert!(life.state.is_quiescent());
    assert_eq!(life.state.letters.len(), 1);
    life.act(retry(0)).expect("in place");
    let (delivery, attempt, result, retry_delay_ms) = (0, CALLBACK_ATTEMPTS_MAX + 1, Ok(204), 0);
    life.act(Command::ReportCallback { delivery, attempt, result, retry_delay_ms })
        .expect("never rejected");
    assert_eq!(life.state.deliveries[0].answered, Some(204));
    assert!(owed(&life.state, life.now).is_empty(), "what was received is not sent again");
    assert_eq!(life.status(), "completed");
}

#[test]
fn a_halted_run_that_goes_on_can_be_cancelled_again() {
    let mut life = Life::begin(&format!("{CHAIN}\non_failure: halt"), json!({}));
    life.refuses("a");
    life.act(retry(0)).expect("in place");
    life.act(cancel(Some(false))).expect("it runs");
    life.succeeds("a");
    assert_eq!(life.status(), "cancelled");
}

#[test]
fn the_failed_steps_of_a_halted_run_go_on_together_or_not_at_all() {
    let halted = || {
        let mut life = Life::begin(
            "id: h\non_failure: halt\nsteps: [{ id: a, type: task }, { id: b, type: task }]",
            json!({}),
        );
        life.refuses("a").refuses("b");
        assert_eq!(life.status(), "failed");
        life
    };
    let mut life = halted();
    life.act(retry(0)).expect("open");
    assert_eq!(life.act(discard(1)), Err(Rejection::OthersWait { letter: 1 }));
    life.act(retry(1)).expect("open");
    assert_eq!(life.words(), "running running");
    let mut life = halted();
    life.act(discard(1)).expect("open");
    assert_eq!(life.act(retry(0)), Err(Rejection::NeedsNewRun));
}

#[test]
fn a_callback_says_what_was_so_when_it_was_scheduled() {
    let mut life = Life::begin(
        "
id: c
on_failure: halt
steps: [{ id: a, type: task }]
callbacks: [{ event: workflow.failed, url: 'http://h/bad' }]
",
        json!({}),
    );
    life.refuses("a").act(retry(0)).expect("in place");
    assert_eq!(life.status(), "running");
    assert_eq!(life.state.deliveries[0].body.value()["data"]["status"], "failed");
}

fn edit(letter: u32, input: serde_json::Value) -> Command {
    let (reason, actor) = ("wrong amount".to_owned(), "ann".to_owned());
    Command::RetryLetterWith { letter, edit: InputEdit::Replace(input), reason, actor }
}

#[test]
fn an_edited_input_is_a_new_round_and_stays_with_the_step() {
    let mut life = Life::begin(&format!("{CHAIN}\non_failure: suspend"), json!({}));
    life.succeeds("a").refuses("b");
    let step = StepIndex(1);
    let key = life.state.idempotency_key(Subject::Step(step));
    let from = life.events.len();
    life.act(edit(0, json!({ "amount": 5 }))).expect("in place");
    assert!(life.told(from).join(", ").starts_with("DeadLetterEdited, DeadLetterRetried"));
    let own = life.state.step(step);
    assert_eq!(
        (own.round, own.input.as_ref().map(Payload::value)),
        (2, Some(json!({ "amount": 5 })))
    );
    let edited = life.state.idempotency_key(Subject::Step(step));
    assert_ne!(edited, key, "another input is another effect");
    // Another letter of the same step keeps it, and its key: it is the same effect.
    life.refuses("b").act(retry(1)).expect("in place");
    assert_eq!(life.state.idempotency_key(Subject::Step(step)), edited);
    life.act(edit(1, json!({}))).expect_err("it was retried");
    life.succeeds("b").succeeds("c");
    assert_eq!(life.status(), "completed");
}

#[test]
fn an_input_is_edited_only_where_nothing_may_have_happened() {
    let refused = |life: &mut Life, letter| {
        let told = life.act(edit(letter, json!({}))).expect_err("it is kept");
        assert!(matches!(told, Rejection::InputNotEditable { .. }), "{told}");
    };
    let mut undone = Life::begin(CHAIN, json!({}));
    undone.succeeds("a").succeeds("b").refuses("c").undo_refused("b").undone("a");
    refused(&mut undone, 0);
    refused(&mut undone, 1);
    assert_eq!(undone.act(edit(9, json!({}))), Err(Rejection::UnknownLetter { letter: 9 }));
}

#[test]
fn letters_are_assigned_and_noted() {
    let mut life = Life::begin(&format!("{CHAIN}\non_failure: suspend"), json!({}));
    life.refuses("a");
    let (reason, actor) = (String::new(), "ann".to_owned());
    let assign = |assignee: Option<&str>| Command::AssignLetter {
        letter: 0,
        assignee: assignee.map(str::to_owned),
        reason: reason.clone(),
        actor: actor.clone(),
    };
    let note =
        |text: &str| Command::NoteLetter { letter: 0, text: text.to_owned(), actor: actor.clone() };
    life.act(assign(Some("bob"))).expect("open");
    let version = life.state.version;
    life.act(assign(Some("bob"))).expect("twice is once");
    assert_eq!(life.state.version, version);
    life.act(note("asked the bank")).expect("open");
    let shown = letter_json(&life.state, 0, &life.state.letters[0]);
    assert_eq!(
        (&shown["assignee"], &shown["notes"][0]["text"]),
        (&json!("bob"), &json!("asked the bank"))
    );
    life.act(discard(0)).expect("open");
    life.act(note("it is paid")).expect("settled letters are written about still");
    assert!(matches!(life.act(assign(None)), Err(Rejection::LetterNotOpen { .. })));
}
