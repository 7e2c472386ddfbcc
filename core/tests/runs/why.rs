//! What a run says it waits for.

use backstitch_core::command::Command;
use backstitch_core::failure::codes;
use backstitch_core::ids::StepIndex;
use backstitch_core::room::Attempt;
use backstitch_core::time::Timestamp;
use backstitch_core::why::{blockers, first_without_turn, why_json};
use serde_json::json;

use crate::stage::{CHAIN, Life, START, cancel, force, pause, resume, set, signal};

fn sentences(life: &Life) -> Vec<String> {
    blockers(&life.state).into_iter().map(|own| own.sentence).collect()
}

fn at(ms: u64) -> Timestamp {
    START.plus_ms(ms)
}

#[test]
fn each_thing_a_run_waits_for_has_a_sentence() {
    let definition = "
id: w
steps:
  - { id: call, type: task, retry: { max_attempts: 3, initial: 1s } }
  - { id: nap, type: wait, with: { duration: 5s } }
  - { id: nod, type: wait, with: { signal: ok, timeout: 1h } }
  - { id: last, type: task, needs: [call, nap] }
";
    let mut life = Life::begin(definition, json!({}));
    assert_eq!(
        sentences(&life),
        [
            format!("step `call` runs at the executor `task` (attempt 1 of 3) since {START}"),
            format!("step `nap` waits until {}", at(5_000)),
            format!("step `nod` waits for the signal `ok` since {START}, until {}", at(3_600_000)),
            "step `last` waits for `call`, `nap`".to_owned(),
        ]
    );
    life.stumbles("call");
    let retry = format!("step `call` is tried again at {} (attempt 2 of 3): BUSY: busy", at(1_000));
    assert_eq!(sentences(&life)[0], retry);
    life.act(pause()).expect("it runs");
    let paused = format!("paused by ann since {START} because: maintenance");
    assert_eq!(sentences(&life)[0], paused);
    let why = why_json(&life.state, &blockers(&life.state));
    assert_eq!((&why["summary"], &why["status"]), (&json!(paused), &json!("suspended")));
    assert_eq!(why["blockers"][0]["since"], json!(START.to_string()));
}

#[test]
fn a_suspended_run_names_the_step_and_its_letter() {
    let mut life = Life::begin(&format!("{CHAIN}\non_failure: suspend"), json!({}));
    life.succeeds("a").refuses("b");
    let found = sentences(&life);
    let first = format!("suspended since {START} because step `b` failed: no (dead letter dlq_");
    assert!(found[0].starts_with(&first), "{found:?}");
    assert!(found.iter().any(|own| own.contains("waits for a person")), "{found:?}");
    life.act(set("b", None)).expect("it failed");
    life.act(resume()).expect("nothing failed is left");
    assert!(sentences(&life)[0].starts_with("step `c` runs"));
}

#[test]
fn an_unwinding_run_tells_of_its_undos_and_an_ended_one_of_its_letters() {
    let mut life = Life::begin(CHAIN, json!({}));
    life.succeeds("a").succeeds("b").refuses("c");
    let found = sentences(&life);
    assert_eq!(found[0], "the undo of step `a` waits for the undo of `b`");
    assert!(found[1].starts_with("the undo of step `b` runs since"), "{found:?}");
    life.act(force()).expect("it unwinds");
    let letters = blockers(&life.state);
    assert!(letters.iter().all(|own| own.kind == "dead_letter"), "{letters:?}");
    let mut done = Life::begin("{ id: d, steps: [{ id: a, type: task }] }", json!({}));
    done.succeeds("a");
    let why = why_json(&done.state, &blockers(&done.state));
    let ended = format!("the run has ended: completed at {START}; nothing is outstanding");
    assert_eq!((&why["blockers"], &why["summary"]), (&json!([]), &json!(ended)));
}

#[test]
fn a_run_that_is_being_stopped_says_so() {
    let mut life = Life::begin(CHAIN, json!({}));
    life.act(cancel(None)).expect("it runs");
    let found = sentences(&life);
    assert!(
        found[0].starts_with(&format!("cancelled by me since {START} because: enough")),
        "{found:?}"
    );
    assert!(found[0].contains("`cancel` with `force`"), "{found:?}");
    assert!(found[1].starts_with("step `a` runs at the executor"), "{found:?}");
    assert_eq!(found.len(), 2, "what begins no more waits for nothing: {found:?}");
}

#[test]
fn what_leads_on_is_said_once_nothing_is_in_the_way() {
    let mut life = Life::begin(&format!("{CHAIN}\non_failure: suspend"), json!({}));
    life.succeeds("a").refuses("b");
    assert!(!sentences(&life)[0].contains("`resume`"));
    life.act(set("b", None)).expect("it failed");
    assert!(sentences(&life)[0].ends_with("no failed step is left: `resume` lets it go on"));
}

#[test]
fn a_signal_that_came_to_a_held_run_is_no_longer_waited_for() {
    let definition = "{ id: w, steps: [{ id: nod, type: wait, with: { signal: ok } }] }";
    let mut life = Life::begin(definition, json!({}));
    life.act(pause()).expect("it runs");
    life.act(signal("ok", 1, None)).expect("it waits for it");
    let found = sentences(&life);
    assert_eq!(found[1], "step `nod` takes the signal `ok`, which has come, in its turn");
}

#[test]
fn a_ready_step_says_since_when_it_is() {
    let definition = "
id: w
steps:
  - { id: a, type: task, exclusive: true }
  - { id: b, type: task }
";
    let mut life = Life::begin(definition, json!({}));
    let b = StepIndex(1);
    life.later(2_000);
    let found = blockers(&life.state);
    let own = found.iter().find(|own| own.subject.as_deref() == Some("b")).expect("it waits");
    assert_eq!((own.kind, own.since), ("alone", Some(START)));
    assert_eq!(life.state.step(b).due_at, Some(START));
    life.succeeds("a");
    assert_eq!(life.state.step(b).due_at, None, "it has started");
    let first = first_without_turn(&life.state, Attempt::Step, life.now);
    assert_eq!(first, None);
}

#[test]
fn the_step_that_has_waited_longest_for_a_turn_is_named() {
    let definition = "
id: w
steps:
  - { id: a, type: task, exclusive: true }
  - { id: b, type: task }
  - { id: c, type: wait, with: { duration: 1s } }
  - { id: d, type: task, needs: [c] }
";
    let mut life = Life::begin(definition, json!({}));
    life.later(1_000);
    let first = first_without_turn(&life.state, Attempt::Step, life.now).expect("two are ready");
    assert_eq!((&*life.state.plan.step(first.0).id, first.1), ("b", START));
    assert_eq!(first_without_turn(&life.state, Attempt::Undo, life.now), None);
}

#[test]
fn a_run_rolled_back_after_its_end_says_by_whom_with_or_without_a_reason() {
    for (reason, said) in [("", "rolled back by op"), ("late", "rolled back by op: late")] {
        let mut life = Life::begin(CHAIN, json!({}));
        life.succeeds("a").succeeds("b").succeeds("c");
        let (reason, actor) = (reason.to_owned(), "op".to_owned());
        life.act(Command::RollBack { reason, actor }).expect("it has ended");
        let failure = &life.state.failing.as_ref().expect("it is undone").failure;
        assert_eq!((&*failure.code, &*failure.message), (codes::ROLLED_BACK, said));
    }
}
