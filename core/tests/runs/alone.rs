//! Steps that run alone: nothing else of the run is under way meanwhile.

use backstitch_core::why::blockers;
use serde_json::json;

use crate::stage::{Life, START, plan_problems};

const ALONE: &str = "
id: alone
steps:
  - { id: a, type: task }
  - { id: b, type: task, exclusive: true, retry: { max_attempts: 2, jitter: false, initial: 1s } }
  - { id: c, type: task }
  - { id: d, type: transform, with: 1 }
  - { id: e, type: task, needs: [d] }
";

#[test]
fn a_step_that_runs_alone_goes_first_and_holds_the_others_up() {
    let mut life = Life::begin(ALONE, json!({}));
    assert_eq!(life.words(), "ready running ready succeeded ready");
    assert!(
        life.state.wants_turn(life.now, &Default::default(), &Default::default()).is_none(),
        "what may not start wants no turn"
    );
    let told: Vec<_> = blockers(&life.state).into_iter().map(|own| own.sentence).collect();
    let held =
        format!("step `a` is ready since {START} and waits until these ended: `b` since {START}");
    assert!(told.contains(&held), "{told:?}");
    life.stumbles("b");
    assert_eq!(life.words(), "running retrying running succeeded running");
    life.later(1_000);
    assert_eq!(life.words(), "running retrying running succeeded running", "others are under way");
    life.succeeds("a").succeeds("c");
    assert_eq!(life.words(), "succeeded retrying succeeded succeeded running");
    life.succeeds("e");
    assert_eq!(life.words(), "succeeded running succeeded succeeded succeeded");
    life.succeeds("b");
    assert_eq!(life.status(), "completed");
}

#[test]
fn one_that_comes_later_waits_for_what_is_under_way_and_lets_nothing_else_begin() {
    let mut life = Life::begin(
        "
id: later
steps:
  - { id: a, type: task }
  - { id: b, type: task }
  - { id: c, type: task, needs: [a], exclusive: true }
  - { id: d, type: task, needs: [a] }",
        json!({}),
    );
    life.succeeds("a");
    assert_eq!(life.words(), "succeeded running ready ready");
    let told: Vec<_> = blockers(&life.state).into_iter().map(|own| own.sentence).collect();
    let expected = format!(
        "step `c` is ready since {START}, runs alone and waits until these ended: `b` since {START}"
    );
    assert!(told.contains(&expected), "{told:?}");
    life.succeeds("b");
    assert_eq!(life.words(), "succeeded succeeded running ready");
    life.succeeds("c");
    assert_eq!(life.words(), "succeeded succeeded succeeded running");
}

#[test]
fn two_that_run_alone_take_turns_and_pure_steps_cannot() {
    let mut life = Life::begin(
        "
id: two
steps:
  - { id: a, type: task, exclusive: true }
  - { id: b, type: task, exclusive: true }",
        json!({}),
    );
    assert_eq!(life.words(), "running ready");
    life.succeeds("a");
    assert_eq!(life.words(), "succeeded running");
    let pure = "{ id: w, steps: [{ id: a, type: transform, with: 1, exclusive: true }] }";
    assert_eq!(plan_problems(pure), ["steps[0].exclusive"]);
}
