//! Rehearsals: the real run on virtual time, with a script in place of the world.

use backstitch_core::event::Event;
use backstitch_core::failure::{EffectKnown, FailureClass};
use backstitch_core::machine::replay;
use backstitch_core::payload::Payload;
use backstitch_core::rehearsal::{
    Question, Rehearsed, Script, Surroundings, Unmocked, rehearsal_json, rehearse,
};
use backstitch_core::retry_policy::RetryPolicy;
use backstitch_core::travel::{Told, compare};
use serde_json::{Value, json};

use crate::stage::{CHAIN, Life, plan};

/// Every wait is a second; 500 and above may be tried again.
struct Around;

impl Surroundings for Around {
    fn wait_ms(&self, _: &RetryPolicy, _: u16) -> u64 {
        1_000
    }

    fn verdict(&self, status: u16) -> (FailureClass, EffectKnown) {
        let class = if status >= 500 { FailureClass::Retryable } else { FailureClass::Permanent };
        (class, EffectKnown::None)
    }
}

fn question(definition: &str, input: &Value, mocks: &Value) -> Question {
    let mut question = Question::of(plan(definition), 1, Payload::of(input));
    question.script = Script::read(mocks, &question.plan, &Around).expect("mocks");
    question
}

fn play(question: Question) -> Rehearsed {
    let rehearsed = rehearse(question, &Around).expect("legal");
    let events = rehearsed.events.iter().map(|(event, at)| (event, *at));
    let folded = replay(rehearsed.state.id, &rehearsed.state.plan, events).expect("legal");
    assert_eq!(folded.version, rehearsed.state.version, "its events are its state");
    rehearsed
}

fn rehearsed(definition: &str, mocks: &Value) -> Value {
    let once = rehearsal_json(&play(question(definition, &json!({}), mocks)));
    let again = rehearsal_json(&play(question(definition, &json!({}), mocks)));
    assert_eq!(once, again, "the same question has the same answer");
    once
}

#[test]
fn outputs_are_mocked_and_flow_into_later_steps() {
    let shown = rehearsed(
        "{ id: w, steps: [
            { id: a, type: task },
            { id: b, needs: [a], type: task, with: { n: '{{ steps.a.output.n + 1 }}' } },
            { id: c, needs: [b], type: transform, with: { m: '{{ steps.b.output.m }}' } } ] }",
        &json!({ "a": { "output": { "n": 41 }, "delay_ms": 500 }, "b": { "output": { "m": 7 } } }),
    );
    assert_eq!(shown["status"], "completed");
    assert_eq!(shown["steps"]["b"]["input"], json!({ "n": 42 }));
    assert_eq!(shown["output"], json!({ "c": { "m": 7 } }));
    assert_eq!((&shown["duration_ms"], &shown["unmocked"]), (&json!(500), &json!([])));
}

#[test]
fn attempts_fail_one_by_one_and_wait_between() {
    let shown = rehearsed(
        "{ id: w, steps: [{ id: a, type: task, timeout: 10s, retry: { max_attempts: 4 } }] }",
        &json!({ "a": { "attempts": [
            { "error": { "status": 503 }, "delay_ms": 200 },
            { "delay_ms": 60_000 },
            { "output": { "done": true } },
        ] } }),
    );
    assert_eq!(
        (&shown["status"], &shown["steps"]["a"]["attempts"]),
        (&json!("completed"), &json!(3))
    );
    let at = |kind: &str| {
        let entries = shown["timeline"].as_array().expect("a list");
        let of = entries.iter().filter(|entry| entry["type"] == kind);
        of.map(|entry| entry["at_ms"].as_u64().expect("ms")).collect::<Vec<_>>()
    };
    assert_eq!(at("StepStarted"), [0, 1_200, 12_200]);
    assert_eq!(at("StepTimedOut"), [11_200]);
}

#[test]
fn a_check_is_played_with_its_own_mock() {
    let definition = "
id: w
steps:
  - id: pay
    type: task
    retry: none
    undo: { type: refund, with: { id: '{{ steps.pay.output.id }}' } }
    check: { type: find, took_effect: steps.pay.check.found, with: '{{ input }}' }
";
    let unknown = json!({ "effect": "unknown", "class": "permanent" });
    let mocks = |found: bool| {
        json!({
            "pay": { "error": unknown },
            "pay/check": { "attempts": [
                { "error": { "status": 503 } }, { "output": { "found": found, "id": 7 } },
            ] },
            "pay/undo": { "attempts": [{ "error": { "status": 503 } }, {}] },
        })
    };
    let shown = rehearsed(definition, &mocks(true));
    assert_eq!((&shown["status"], &shown["unmocked"]), (&json!("compensated"), &json!([])));
    let undo = &shown["steps"]["pay"]["undo"];
    assert_eq!((&undo["attempts"], &undo["check"]["attempts"]), (&json!(2), &json!(2)), "{undo:#}");
    assert_eq!(
        (&undo["input"], &undo["check"]["took_effect"]),
        (&json!({ "id": 7 }), &json!(true))
    );
    assert_eq!(shown["undo_order"], json!(["pay"]));
    let shown = rehearsed(definition, &mocks(false));
    assert_eq!(shown["unused"], json!(["pay/undo"]), "there is nothing to undo");
    assert_eq!(shown["steps"]["pay"]["undo"]["status"], "skipped");
    // What was recorded is played again, attempt by attempt.
    let first = play(question(definition, &json!({}), &mocks(true)));
    let mut again = question(definition, &json!({}), &json!({}));
    again.script = Script::recorded(&first.state.plan, &first.events);
    let again = play(again);
    let kinds = |own: &Rehearsed| -> Vec<_> {
        own.events.iter().map(|(event, _)| backstitch_core::report::event_type(event)).collect()
    };
    assert_eq!(kinds(&first), kinds(&again));
}

#[test]
fn a_failure_is_undone_in_order_and_callbacks_are_told() {
    let definition =
        format!("{CHAIN}callbacks: [{{ event: workflow.failed, url: 'http://a.test/x' }}]\n");
    let mocks = json!({
        "c": { "error": { "code": "NO", "message": "no stock", "class": "permanent" } },
        "a/undo": { "delay_ms": 30 },
    });
    let shown = rehearsed(&definition, &mocks);
    assert_eq!(shown["status"], "compensated");
    assert_eq!(shown["undo_order"], json!(["b", "a"]));
    assert_eq!(shown["steps"]["c"]["error"]["error_code"], "NO");
    assert_eq!(shown["callbacks"][0]["event"], "workflow.failed");
    assert_eq!(shown["callbacks"][0]["body"]["data"]["status"], "compensated");
    assert_eq!(shown["unmocked"], json!(["a", "b", "b/undo"]));
    assert_eq!(shown["duration_ms"], 30);
}

#[test]
fn what_is_not_mocked_may_fail_and_what_nobody_asked_for_is_named() {
    let mocks = json!({ "c": { "output": 1 }, "b/undo": { "output": 1 } });
    let mut question = question(CHAIN, &json!({}), &mocks);
    question.unmocked = Unmocked::Fail;
    let shown = rehearsal_json(&play(question));
    assert_eq!(shown["status"], "failed");
    assert_eq!(shown["steps"]["a"]["error"]["error_code"], "NOT_MOCKED");
    assert_eq!(shown["unused"], json!(["b/undo", "c"]));
}

#[test]
fn waits_pass_signals_come_or_do_not_and_children_answer() {
    let definition = "{ id: w, steps: [
        { id: nap, type: wait, with: { duration: 2h } },
        { id: go, needs: [nap], type: wait, with: { signal: ok, timeout: 1d } },
        { id: sub, needs: [go], type: workflow,
          with: { workflow: other, input: { by: '{{ steps.go.output.payload.by }}' } } },
        { id: tell, needs: [sub], type: signal,
          with: { execution: exec_000000000000000000000000000000000001, name: x } },
        { id: last, needs: [tell], type: task } ] }";
    let mocks = json!({
        "go": { "output": { "by": "ann" }, "delay_ms": 60_000 },
        "sub": { "output": { "id": 3 }, "delay_ms": 1_000 },
        "last": { "error": { "class": "permanent" } },
    });
    let shown = rehearsed(definition, &mocks);
    assert_eq!(shown["status"], "compensated", "{shown:#}");
    assert_eq!(shown["children"][0]["input"], json!({ "by": "ann" }));
    assert_eq!(shown["steps"]["sub"]["output"], json!({ "id": 3 }));
    assert_eq!(shown["undo_order"], json!(["sub"]));
    assert_eq!(shown["duration_ms"], 2 * 3_600_000 + 60_000 + 1_000);
    let silent = json!({ "go": { "error": {} } });
    let shown = rehearsed(definition, &silent);
    assert_eq!(
        (&shown["status"], &shown["duration_ms"]),
        (&json!("failed"), &json!(26 * 3_600_000))
    );
    let forever = "{ id: w, steps: [{ id: go, type: wait, with: { signal: ok } }] }";
    let shown = rehearsed(forever, &silent);
    assert_eq!((&shown["ended"], &shown["status"]), (&json!(false), &json!("running")));
    assert!(shown["waits_for"][0].as_str().expect("a sentence").contains("`ok`"), "{shown:#}");
}

#[test]
fn a_failing_run_stops_its_children() {
    let shown = rehearsed(
        "{ id: w, steps: [
            { id: sub, type: workflow, with: { workflow: other } }, { id: b, type: task } ] }",
        &json!({ "sub": { "delay_ms": 90_000 }, "b": { "error": { "class": "permanent" } } }),
    );
    assert_eq!((&shown["status"], &shown["duration_ms"]), (&json!("failed"), &json!(0)));
}

#[test]
fn mocks_are_checked_with_every_problem() {
    let plan = plan(
        "{ id: w, steps: [
        { id: charge, type: task }, { id: t, type: transform, with: {} } ] }",
    );
    let mocks = json!({
        "chargee": {}, "charge/undo": {}, "t": {},
        "charge": { "output": 1, "error": { "class": "odd", "status": 7 }, "outptu": 2,
            "attempts": [{ "delay_ms": -1 }, 7] },
    });
    let problems = Script::read(&mocks, &plan, &Around).expect_err("wrong");
    let shown: Vec<_> = problems.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn a_past_run_is_the_script_of_its_own_rehearsal() {
    let definition = "{ id: w, steps: [
        { id: a, type: task, undo: { type: task }, retry: { max_attempts: 3 } },
        { id: b, needs: [a], type: task, with: { n: '{{ steps.a.output.of }}' } } ] }";
    let mut life = Life::begin(definition, json!({ "x": 1 }));
    life.stumbles("a").later(1_000).succeeds("a").refuses("b").undone("a");
    assert_eq!(life.status(), "compensated");
    let past: Vec<_> =
        life.events.iter().map(|event| (Event::Run(event.clone()), life.now)).collect();
    let mut question = Question::of(life.state.plan.clone(), 1, Payload::of(&json!({ "x": 1 })));
    question.execution = life.state.id;
    question.correlation_id = life.state.submitted.correlation_id.clone();
    question.script = Script::recorded(&life.state.plan, &past);
    question.unmocked = Unmocked::Fail;
    let rehearsed = play(question.clone());
    assert!(rehearsed.unmocked.is_empty() && rehearsed.unused.is_empty(), "{rehearsed:?}");
    let told = Told { state: &life.state, events: &past };
    let played = Told { state: &rehearsed.state, events: &rehearsed.events };
    assert_eq!(compare(told, played).first_divergence, None);
    // Another revision gives `b` something else: what was recorded does not hold there.
    question.plan = plan(&definition.replace("steps.a.output.of", "steps.a.attempts"));
    let rehearsed = play(question);
    assert_eq!(rehearsed.differing.iter().collect::<Vec<_>>(), ["b"]);
    assert_eq!(rehearsed.state.step(backstitch_core::ids::StepIndex(1)).word(), "failed");
}

#[test]
fn a_run_that_goes_on_too_long_is_stopped() {
    let steps: Vec<_> = (0..400)
        .map(|at| json!({ "id": format!("s{at}"), "type": "task", "retry": { "max_attempts": 100 } }))
        .collect();
    let definition = json!({ "id": "w", "steps": steps }).to_string();
    let mocks: serde_json::Map<_, _> =
        (0..400).map(|at| (format!("s{at}"), json!({ "error": { "status": 503 } }))).collect();
    let played = rehearse(question(&definition, &json!({}), &mocks.into()), &Around);
    let played = played.expect("legal");
    assert!(played.stopped.is_some_and(|why| why.contains("100000 events")));
    let far = "{ id: w, steps: [
        { id: a, type: wait, with: { until: '9000-01-01T00:00:00Z' } } ] }";
    let shown = rehearsed(far, &json!({}));
    assert!(shown["stopped"].as_str().expect("why").contains("9000-01-01"), "{shown:#}");
}

const LOOP: &str = "
id: w
steps:
  - id: all
    type: foreach
    with: { items: '{{ input.items }}' }
    max_parallel: 2
    each: { type: task, with: { n: '{{ item }}' }, undo: { type: task } }
  - { id: last, needs: [all], type: task }";

#[test]
fn the_items_of_a_loop_are_played_with_the_loops_own_mock() {
    let items = json!({ "items": (0..2_500).collect::<Vec<_>>() });
    let mocks = json!({ "all": { "output": { "ok": true }, "delay_ms": 10 }, "last": {} });
    let shown = rehearsal_json(&play(question(LOOP, &items, &mocks)));
    assert_eq!((&shown["status"], &shown["unmocked"]), (&json!("completed"), &json!([])));
    let output = &shown["steps"]["all"]["output"];
    assert_eq!((&output["count"], &output["succeeded"]), (&json!(2_500), &json!(2_500)));
    assert_eq!(output["results"][2_499]["output"]["ok"], true);
    // Two at a time, ten milliseconds each.
    assert_eq!(shown["duration_ms"], 12_500);
    let mocks = json!({ "all": { "error": { "code": "NO", "message": "no" } } });
    let shown = rehearsal_json(&play(question(LOOP, &json!({ "items": [1, 2] }), &mocks)));
    assert_eq!(
        (&shown["status"], &shown["steps"]["all"]["status"]),
        (&json!("failed"), &json!("failed"))
    );
    let whole = json!({ "results": [{ "index": 0, "status": "failed" }] });
    let mocks = json!({ "all": { "output": whole }, "last": {} });
    let shown = rehearsal_json(&play(question(LOOP, &json!({ "items": [1] }), &mocks)));
    assert_eq!(shown["steps"]["all"]["output"]["failed"], 1);
}
