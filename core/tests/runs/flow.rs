//! Routers and handlers: what runs, what is pruned, and what a handled failure comes to.

use backstitch_core::checkpoint::Checkpoint;
use backstitch_core::event::{Event, RunEvent};
use backstitch_core::machine::{self, replay};
use backstitch_core::report::execution_json;
use backstitch_core::time::Moment;
use serde_json::{Value, json};

use crate::stage::{Life, RUN, cancel, retry};

const ROUTED: &str = "
id: routed
steps:
  - id: which
    type: router
    routes:
      - { when: 'input.n > 5', to: [large] }
      - { when: 'input.n > 2', to: [middle, shared] }
    default: [small]
  - { id: large, type: task }
  - { id: middle, type: task }
  - { id: shared, type: task }
  - { id: small, type: task }
  - { id: behind, needs: [large], type: task }
  - { id: join, needs: [behind, middle, small], type: task }
";

fn output(life: &Life, step: &str) -> Value {
    execution_json(&life.state)["steps"][step]["output"].clone()
}

#[test]
fn the_first_route_that_holds_is_taken_and_the_others_are_pruned() {
    let mut life = Life::begin(ROUTED, json!({ "n": 9 }));
    assert_eq!(life.words(), "succeeded running pruned pruned pruned pending pending");
    assert_eq!(output(&life, "which"), json!({ "route": 0, "to": ["large"] }));
    life.succeeds("large").succeeds("behind").succeeds("join");
    assert_eq!(life.status(), "completed");

    let mut life = Life::begin(ROUTED, json!({ "n": 4 }));
    assert_eq!(life.words(), "succeeded pruned running running pruned pruned pending");
    life.succeeds("middle").succeeds("shared").succeeds("join");
    assert_eq!(life.status(), "completed");

    let life = Life::begin(ROUTED, json!({ "n": 1 }));
    assert_eq!(output(&life, "which"), json!({ "route": "default", "to": ["small"] }));
    assert_eq!(life.words(), "succeeded pruned pruned pruned running pruned pending");
}

#[test]
fn a_target_not_chosen_is_pruned_whatever_else_it_needs() {
    let definition = "
id: r
steps:
  - { id: slow, type: task }
  - { id: which, type: router, routes: [{ when: 'input.n > 1', to: [t] }] }
  - { id: t, needs: [slow], type: task }
";
    let mut life = Life::begin(definition, json!({ "n": 0 }));
    assert_eq!(life.words(), "running succeeded pruned");
    assert_eq!(output(&life, "which"), json!({ "route": null, "to": [] }));
    life.succeeds("slow");
    assert_eq!(life.status(), "completed");
    let mut life = Life::begin(definition, json!({ "n": 2 }));
    assert_eq!(life.words(), "running succeeded pending");
    life.succeeds("slow").succeeds("t");
    assert_eq!(life.status(), "completed");
}

#[test]
fn a_router_that_does_not_choose_takes_no_branch() {
    let skipped = "
id: r
steps:
  - { id: which, type: router, when: 'false', routes: [{ when: 'true', to: [t] }] }
  - { id: t, type: task }
";
    let life = Life::begin(skipped, json!({}));
    assert_eq!((life.words().as_str(), life.status()), ("skipped pruned", "completed"));
    let failed = "
id: r
steps:
  - { id: which, type: router, routes: [{ when: 'input.missing > 1', to: [t] }] }
  - { id: t, type: task }
";
    let life = Life::begin(failed, json!({}));
    assert_eq!((life.words().as_str(), life.status()), ("failed pruned", "failed"));
}

#[test]
fn a_cut_between_choice_and_pruning_changes_nothing() {
    let whole = Life::begin(ROUTED, json!({ "n": 9 }));
    let chosen = whole.events.iter().position(|event| matches!(event, RunEvent::Graph(_)));
    let events: Vec<_> = whole.events[..=chosen.expect("a choice")].to_vec();
    let events: Vec<_> = events.into_iter().map(Event::Run).collect();
    let facts = events.iter().map(|event| (event, whole.now));
    let state = replay(RUN, &whole.state.plan, facts).expect("folds");
    let mut state = Checkpoint::of(&state).restore(RUN, whole.state.plan.clone()).expect("fits");
    machine::handle(&mut state, machine_continue(), Moment::at(whole.now)).expect("goes on");
    let words = |state: &backstitch_core::state::State| {
        state.steps.iter().map(|step| step.word()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(words(&state), whole.words());
}

fn machine_continue() -> backstitch_core::command::Command {
    backstitch_core::command::Command::Continue
}

const HANDLED: &str = "
id: handled
steps:
  - { id: pay, type: task, undo: { type: task }, on_failure: [excuse], on_success: [thank] }
  - { id: ship, needs: [pay], type: task, on_failure: [excuse] }
  - { id: report, needs: [ship], type: task }
  - { id: thank, type: task }
  - { id: excuse, type: task, undo: { type: task }, with: { why: '{{ steps.pay.error }}' } }
";

#[test]
fn a_handled_failure_prunes_what_is_behind_it_and_the_run_completes() {
    let mut life = Life::begin(HANDLED, json!({}));
    life.refuses("pay");
    assert_eq!(life.words(), "failed pending pending pending running");
    let shown = execution_json(&life.state);
    assert_eq!(shown["steps"]["excuse"]["input"]["why"]["message"], json!("no"));
    assert_eq!(shown["steps"]["pay"]["handled"], json!(false));
    life.succeeds("excuse");
    assert_eq!(life.words(), "failed pruned pruned pruned succeeded");
    assert_eq!(life.status(), "completed");
    assert!(life.state.letters.is_empty(), "a handled failure leaves no letter");
    let shown = execution_json(&life.state);
    assert_eq!(shown["handled_failures"][0]["step"], "pay");
    assert_eq!(shown["handled_failures"][0]["error"]["error_code"], "NO");
}

#[test]
fn a_handler_that_nobody_calls_is_pruned() {
    let mut life = Life::begin(HANDLED, json!({}));
    life.succeeds("pay");
    assert_eq!(life.words(), "succeeded running pending running pending");
    life.succeeds("thank").succeeds("ship");
    assert_eq!(life.words(), "succeeded succeeded running succeeded pruned");
    life.succeeds("report");
    assert_eq!(life.status(), "completed");
}

#[test]
fn a_handler_is_called_once_retries_are_spent() {
    let mut life = Life::begin(HANDLED, json!({}));
    life.stumbles("pay");
    assert_eq!(life.words(), "retrying pending pending pending pending");
    while life.words().starts_with("retrying") {
        life.later(600_000).stumbles("pay");
    }
    assert_eq!(life.words(), "failed pending pending pending running");
}

#[test]
fn a_handler_that_fails_fails_the_run_and_what_was_done_is_undone() {
    let mut life = Life::begin(HANDLED, json!({}));
    life.succeeds("pay").succeeds("thank").refuses("ship").refuses("excuse");
    assert_eq!(life.status(), "compensating");
    life.undone("pay");
    assert_eq!(life.status(), "compensated");
    let shown = execution_json(&life.state);
    assert_eq!(shown["error"]["details"]["failed_task"], "excuse");
    assert_eq!(shown["handled_failures"], json!([]));
}

#[test]
fn a_skipped_handler_makes_nothing_good() {
    let definition = "
id: h
steps:
  - { id: a, type: task, on_failure: [h] }
  - { id: h, type: task, when: 'input.n > 1' }
";
    let mut life = Life::begin(definition, json!({ "n": 0 }));
    life.refuses("a");
    assert_eq!((life.words().as_str(), life.status()), ("failed skipped", "failed"));
    assert_eq!(life.state.letters.len(), 1);
}

#[test]
fn a_handler_of_a_handler_makes_both_good() {
    let definition = "
id: h
steps:
  - { id: a, type: task, on_failure: [h] }
  - { id: h, type: task, on_failure: [i] }
  - { id: i, type: task }
";
    let mut life = Life::begin(definition, json!({}));
    life.refuses("a").refuses("h").succeeds("i");
    assert_eq!((life.words().as_str(), life.status()), ("failed failed succeeded", "completed"));
    assert_eq!(life.state.handled_failures().count(), 2);
}

#[test]
fn one_handler_stands_for_every_step_that_names_it() {
    let definition = "
id: h
steps:
  - { id: a, type: task, on_failure: [h] }
  - { id: b, type: task, on_failure: [h] }
  - { id: h, type: task }
";
    let mut life = Life::begin(definition, json!({}));
    life.refuses("a").succeeds("h");
    assert_eq!(life.words(), "failed running succeeded");
    life.refuses("b");
    assert_eq!((life.words().as_str(), life.status()), ("failed failed succeeded", "completed"));
}

#[test]
fn a_suspended_run_retries_a_failed_handler_and_goes_on() {
    let mut life = Life::begin(&format!("{HANDLED}\non_failure: suspend"), json!({}));
    life.refuses("pay").refuses("excuse");
    assert_eq!(life.status(), "suspended");
    life.act(retry(0)).expect("open");
    assert_eq!(life.words(), "failed pending pending pending running");
    life.succeeds("excuse");
    assert_eq!(life.status(), "completed");
}

#[test]
fn a_retried_step_whose_handler_was_skipped_goes_on_without_it() {
    let definition = "
id: h
on_failure: suspend
steps:
  - { id: a, type: task, on_failure: [h] }
  - { id: b, needs: [a], type: task }
  - { id: h, type: task, when: 'false' }
";
    let mut life = Life::begin(definition, json!({}));
    life.refuses("a");
    assert_eq!((life.words().as_str(), life.status()), ("failed pending skipped", "suspended"));
    life.act(retry(0)).expect("open");
    life.succeeds("a").succeeds("b");
    assert_eq!(life.status(), "completed");
}

#[test]
fn a_cancel_while_a_handler_runs_undoes_what_was_done() {
    let mut life = Life::begin(HANDLED, json!({}));
    life.succeeds("pay").succeeds("thank").refuses("ship");
    life.act(cancel(Some(true))).expect("it runs");
    life.succeeds("excuse");
    life.undone("excuse").undone("pay");
    assert_eq!(life.status(), "cancelled");
}
