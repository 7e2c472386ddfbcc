//! Runs from beginning to end, one rule of SEMANTICS each.

use backstitch_core::command::{AttemptResult, Rejection};
use backstitch_core::event::RunEvent;
use backstitch_core::failure::{Failure, codes};
use backstitch_core::payload::{PAYLOAD_BYTES_MAX, Payload};
use serde_json::json;

use crate::stage::{CHAIN, Life, cancel};

#[test]
fn a_chain_completes_and_answers_its_last_output() {
    let mut life = Life::begin(CHAIN, json!({}));
    assert_eq!(life.told(0), ["ExecutionSubmitted", "StepReady a", "StepStarted a"]);
    life.succeeds("a").succeeds("b").succeeds("c");
    assert_eq!(life.status(), "completed");
    let output = life.state.ending.as_ref().and_then(|end| end.output.clone()).expect("one");
    assert_eq!(output.value(), json!({ "c": { "of": "c" } }));
    assert!(life.state.is_quiescent());
}

#[test]
fn a_late_or_repeated_report_changes_nothing() {
    let mut life = Life::begin(CHAIN, json!({}));
    life.succeeds("a");
    let told = life.events.len();
    life.succeeds("a").refuses("a");
    assert_eq!(life.events.len(), told);
}

#[test]
fn independent_steps_run_at_the_same_time_and_a_join_waits_for_all() {
    let mut life = Life::begin(
        "id: d\nsteps:\n  - { id: a, type: task }\n  - { id: b, type: task }\n  - { id: j, needs: [a, b], type: task }",
        json!({}),
    );
    assert_eq!(life.words(), "running running pending");
    life.succeeds("b");
    assert_eq!(life.words(), "running succeeded pending");
    life.succeeds("a");
    assert_eq!(life.words(), "succeeded succeeded running");
}

#[test]
fn retries_wait_their_drawn_time_and_then_the_step_fails() {
    let mut life = Life::begin(
        "id: r\nsteps: [{ id: a, type: task, retry: { max_attempts: 2, initial: 1s } }]",
        json!({}),
    );
    life.stumbles("a");
    assert_eq!(life.words(), "retrying");
    life.later(999);
    assert_eq!(life.words(), "retrying");
    life.later(1);
    assert_eq!(life.words(), "running");
    let from = life.events.len();
    life.stumbles("a");
    assert_eq!(
        life.told(from),
        [
            "StepAttemptFailed a",
            "StepFailed a",
            "DeadLetterOpened",
            "ExecutionFailing a",
            "ExecutionEnded"
        ]
    );
    assert_eq!(life.status(), "failed", "nothing was there to undo");
}

#[test]
fn a_permanent_failure_is_not_retried() {
    let mut life = Life::begin("id: p\nsteps: [{ id: a, type: task }]", json!({}));
    life.refuses("a");
    assert_eq!(life.status(), "failed");
    assert_eq!(life.state.letters.len(), 1);
}

#[test]
fn undo_goes_back_along_the_graph_after_everything_in_flight_has_ended() {
    let mut life = Life::begin(
        "
id: u
steps:
  - { id: a, type: task, undo: { type: task } }
  - { id: plain, needs: [a], type: task }
  - { id: b, needs: [plain], type: task, undo: { type: task } }
  - { id: c, needs: [a], type: task, undo: { type: task } }
  - { id: slow, type: task, undo: { type: task } }
  - { id: bad, needs: [b], type: task }
",
        json!({}),
    );
    life.succeeds("a").succeeds("plain").succeeds("b").succeeds("c").refuses("bad");
    assert_eq!(life.status(), "running", "slow is still in flight");
    let from = life.events.len();
    life.succeeds("slow");
    assert_eq!(life.status(), "compensating");
    let undone_first: Vec<_> =
        life.told(from).into_iter().filter(|t| t.starts_with("UndoStarted")).collect();
    assert_eq!(undone_first, ["UndoStarted b", "UndoStarted c", "UndoStarted slow"]);
    life.undone("b").undone("slow");
    assert_eq!(life.words(), "succeeded succeeded undone undoing undone failed");
    life.undone("c");
    assert_eq!(life.words(), "undoing succeeded undone undone undone failed");
    life.undone("a");
    assert_eq!(life.status(), "compensated");
}

#[test]
fn an_unknown_outcome_is_undone_where_the_undo_needs_only_inputs() {
    let mut life = Life::begin(
        "id: x\nsteps: [{ id: a, type: task, retry: none, undo: { type: task } }]",
        json!({}),
    );
    life.report("a", AttemptResult::TimedOut);
    assert_eq!(life.status(), "compensating");
    life.undone("a");
    assert_eq!((life.status(), life.words().as_str()), ("compensated", "undone"));
}

#[test]
fn an_unknown_outcome_is_put_before_a_person_where_the_undo_reads_the_output() {
    let mut life = Life::begin(
        "
id: x
steps:
  - { id: a, type: task, retry: none, undo: { type: task, with: { id: '{{ steps.a.output.id }}' } } }
",
        json!({}),
    );
    life.report("a", AttemptResult::TimedOut);
    assert_eq!(life.status(), "compensation_failed");
    assert_eq!(life.state.letters[1].failure.code, codes::OUTCOME_UNKNOWN);
}

#[test]
fn a_definite_failure_is_not_undone() {
    let mut life = Life::begin(CHAIN, json!({}));
    life.succeeds("a").refuses("b");
    assert_eq!(life.words(), "undoing failed pruned");
    life.undone("a");
    assert_eq!(life.status(), "compensated");
}

#[test]
fn cancel_undoes_by_default_and_leaves_standing_when_told_so() {
    let mut life = Life::begin(CHAIN, json!({}));
    life.succeeds("a").act(cancel(None)).expect("running");
    assert_eq!(life.words(), "succeeded running pending");
    life.succeeds("b");
    assert_eq!(life.words(), "succeeded undoing cancelled".replace("cancelled", "pending"));
    life.undone("b").undone("a");
    assert_eq!(life.status(), "cancelled");
    let mut life = Life::begin(CHAIN, json!({}));
    life.succeeds("a").act(cancel(Some(false))).expect("running");
    life.succeeds("b");
    assert_eq!(
        (life.status(), life.words().as_str()),
        ("cancelled", "succeeded succeeded cancelled")
    );
    assert_eq!(life.act(cancel(None)), Err(Rejection::AlreadyEnded { status: "cancelled" }));
}

#[test]
fn cancel_during_unwinding_is_recorded_and_changes_nothing() {
    let mut life = Life::begin(CHAIN, json!({}));
    life.succeeds("a").refuses("b").act(cancel(None)).expect("recorded");
    assert!(matches!(life.events.last(), Some(RunEvent::CancelRequested { .. })));
    life.undone("a");
    assert_eq!(life.status(), "compensated");
}

#[test]
fn skipped_counts_as_done_and_a_bad_condition_fails_the_step() {
    let definition = "
id: s
steps:
  - { id: a, type: task, when: '{{ input.n > 1 }}' }
  - { id: b, needs: [a], type: transform, with: { a: '{{ steps.a.output }}' } }
";
    let life = Life::begin(definition, json!({ "n": 1 }));
    assert_eq!((life.status(), life.words().as_str()), ("completed", "skipped succeeded"));
    let life = Life::begin(definition, json!({}));
    assert_eq!((life.status(), life.words().as_str()), ("failed", "failed pruned"));
    assert_eq!(life.state.letters[0].failure.code, codes::EXPRESSION_FAILED);
}

#[test]
fn a_wait_sleeps_and_a_run_times_out() {
    let mut life = Life::begin(
        "id: w\ntimeout: 10s\nsteps: [{ id: a, type: wait, with: { duration: 4s } }, { id: b, needs: [a], type: task, undo: { type: task } }]",
        json!({}),
    );
    assert_eq!(life.words(), "waiting pending");
    life.later(4_000);
    assert_eq!(life.words(), "succeeded running");
    life.later(6_000);
    assert_eq!((life.status(), life.words().as_str()), ("running", "succeeded running"));
    life.succeeds("b").undone("b");
    assert_eq!(life.status(), "compensated");
    let failing = life.state.failing.as_ref().expect("it failed");
    assert_eq!(failing.failure.code, codes::WORKFLOW_TIMEOUT);
}

#[test]
fn a_crash_uses_up_no_attempt_but_is_not_risked_without_retries() {
    let mut life = Life::begin(CHAIN, json!({}));
    life.report("a", AttemptResult::Lost);
    assert_eq!(life.words(), "running pending pending", "at once, as the next attempt");
    assert_eq!((life.state.steps[0].attempt, life.state.steps[0].tries), (2, 0));
    let mut life = Life::begin("id: o\nsteps: [{ id: a, type: task, retry: none }]", json!({}));
    life.report("a", AttemptResult::Lost);
    assert_eq!(life.status(), "failed");
    assert_eq!(life.state.letters[0].failure.code, codes::ATTEMPT_LOST);
}

#[test]
fn an_output_past_its_limit_fails_the_step_as_unknown() {
    let mut life = Life::begin(CHAIN, json!({}));
    let large = Payload::of(&json!("x".repeat(PAYLOAD_BYTES_MAX)));
    life.report("a", AttemptResult::Answered(Ok(large))).undone("a");
    assert_eq!(life.status(), "compensated");
    assert_eq!(life.state.letters[0].failure.code, codes::PAYLOAD_TOO_LARGE);
}

#[test]
fn outputs_that_cannot_be_rendered_fail_the_run() {
    let mut life = Life::begin(
        "id: o\nsteps: [{ id: a, type: task, undo: { type: task } }]\noutputs: { x: '{{ steps.a.output.nothing }}' }",
        json!({}),
    );
    life.succeeds("a").undone("a");
    assert_eq!(life.status(), "compensated");
}

#[test]
fn a_cancel_while_the_run_is_failing_is_in_force() {
    let mut life = Life::begin(
        "
id: f
on_failure: halt
steps:
  - { id: a, type: task, undo: { type: task } }
  - { id: b, type: task }
",
        json!({}),
    );
    life.refuses("b").act(cancel(Some(true))).expect("a is still in flight");
    life.succeeds("a").undone("a");
    assert_eq!((life.status(), life.words().as_str()), ("cancelled", "undone failed"));
}

#[test]
fn an_undo_that_crashes_take_is_given_up_in_the_end() {
    let mut life = Life::begin(CHAIN, json!({}));
    life.succeeds("a").refuses("b");
    for _ in 0..100 {
        if life.status() != "compensating" {
            break;
        }
        life.undo("a", AttemptResult::Lost);
    }
    assert_eq!(life.status(), "compensation_failed");
}

#[test]
fn a_failure_is_cut_to_what_a_record_keeps() {
    let mut life = Life::begin(CHAIN, json!({}));
    let long = Failure::permanent("NO", "é".repeat(100_000))
        .with_details(Payload::of(&json!("x".repeat(60_000))));
    life.report("a", AttemptResult::Answered(Err(long)));
    let kept = &life.state.letters[0].failure;
    assert!(kept.message.len() <= 4 * 1024 && kept.details.is_none());
}
