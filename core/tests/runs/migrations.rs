//! Runs that go on with another revision.

use backstitch_core::command::Rejection;
use backstitch_core::event::{Event, RunEvent};
use backstitch_core::ids::StepIndex;
use backstitch_core::report::execution_json;
use serde_json::json;

use crate::stage::{CHAIN, Life, START, cancel, pause, set};

/// `a` is done, `b` runs, `c` waits.
fn chain() -> Life {
    let mut life = Life::begin(CHAIN, json!({}));
    life.succeeds("a");
    life
}

fn reasons(life: &mut Life, definition: &str) -> Vec<String> {
    let events = life.events.len();
    match life.migrate(definition) {
        Err(Rejection::MigrationRefused { reasons }) => {
            assert_eq!(life.events.len(), events, "a refusal changes nothing");
            reasons
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_run_goes_on_with_new_steps_behind_and_between() {
    let mut life = chain();
    life.migrate(
        "{ id: chain, steps: [
            { id: z, type: task },
            { id: a, type: task, undo: { type: task } },
            { id: m, needs: [a], type: task, undo: { type: task } },
            { id: b, needs: [a], type: task, undo: { type: task } },
            { id: c, needs: [b, m], type: task, with: { from: '{{ steps.m.output.of }}' } },
            { id: d, needs: [c], type: transform, with: { last: true } } ] }",
    )
    .expect("it fits");
    // Places stay: `a b c` as they were, `z m d` behind them.
    assert_eq!(life.words(), "succeeded running pending running running pending");
    life.succeeds("b").succeeds("m").succeeds("z");
    assert_eq!(life.state.step(life.state.plan.index_of("c").expect("c")).word(), "running");
    let shown = execution_json(&life.state);
    assert_eq!(shown["steps"]["c"]["input"], json!({ "from": "m" }));
    assert_eq!((&shown["revision"], &shown["migrations"][0]["revision"]), (&json!(2), &json!(2)));
    assert_eq!(shown["migrations"][0]["from_revision"], 1);
    life.refuses("c").undone("b").undone("m").undone("a");
    assert_eq!(life.status(), "compensated");
}

#[test]
fn steps_that_have_not_begun_may_go_and_leave_nothing() {
    let mut life = chain();
    life.migrate(
        "{ id: chain, steps: [
        { id: a, type: task, undo: { type: task } },
        { id: b, needs: [a], type: task, undo: { type: task } } ] }",
    )
    .expect("it fits");
    assert_eq!(life.words(), "succeeded running pruned");
    life.succeeds("b");
    assert_eq!(life.status(), "completed");
    let output = execution_json(&life.state)["output"].clone();
    assert_eq!(output, json!({ "b": { "of": "b" } }));
}

#[test]
fn the_same_content_again_is_a_repeat_and_back_again_is_a_migration() {
    let mut life = chain();
    let other = CHAIN.replace("id: chain", "id: chain\nname: other");
    life.migrate(&other).expect("it fits");
    let events = life.events.len();
    life.migrate(&other).expect("a repeat");
    assert_eq!(life.events.len(), events);
    life.migrate(CHAIN).expect("it fits");
    assert_eq!(life.state.lineage().len(), 3);
    life.succeeds("b").succeeds("c");
    assert_eq!(life.status(), "completed");
}

#[test]
fn what_a_run_did_is_not_said_otherwise() {
    let mut life = chain();
    let refused = [
        "{ id: chain, steps: [{ id: b, type: task }] }",
        "{ id: chain, steps: [
            { id: a, type: noop }, { id: x, type: task }, { id: b, needs: [a, x], type: task } ] }",
        "{ id: chain, steps: [
            { id: a, type: task, undo: { type: other } }, { id: b, type: task } ] }",
        "{ id: other, input_schema: { required: [n] }, concurrency: { max_runs: 1 }, steps: [
            { id: a, type: task, undo: { type: task } },
            { id: b, needs: [a], type: task, undo: { type: task } } ] }",
    ];
    let refused: Vec<_> = refused.iter().map(|own| reasons(&mut life, own).join("\n")).collect();
    insta::assert_snapshot!(refused.join("\n\n"));
    life.succeeds("b");
    life.act(cancel(None)).expect("it runs");
    let while_unwinding = reasons(&mut life, &CHAIN.replace("id: chain", "id: chain\nname: x"));
    assert!(while_unwinding[0].contains("undone by the revision"), "{while_unwinding:?}");
    let mut life = chain();
    life.succeeds("b").succeeds("c");
    let ended = reasons(&mut life, &CHAIN.replace("id: chain", "id: chain\nname: x"));
    assert!(ended[0].contains("has ended"), "{ended:?}");
}

#[test]
fn a_router_that_has_chosen_keeps_its_routes() {
    let routed = "{ id: r, steps: [
        { id: which, type: router, routes: [{ when: 'true', to: [x] }], default: [y] },
        { id: x, type: task }, { id: y, type: task } ] }";
    let mut life = Life::begin(routed, json!({}));
    assert_eq!(life.words(), "succeeded running pruned");
    let why = reasons(
        &mut life,
        &routed.replace("to: [x]", "to: [y]").replace("default: [y]", "default: [x]"),
    );
    assert!(why.iter().any(|own| own.contains("other routes")), "{why:?}");
    life.migrate(&routed.replace("when: 'true'", "when: 'false'")).expect("what was chosen stays");
    assert_eq!(life.words(), "succeeded running pruned");
    life.succeeds("x");
    assert_eq!(life.status(), "completed");
}

#[test]
fn a_suspended_run_is_mended_and_goes_on() {
    let broken = "{ id: w, on_failure: suspend, steps: [
        { id: a, type: task, total_timeout: 10s }, { id: b, needs: [a], type: task, with: { n: '{{ steps.a.output.missing }}' } } ] }";
    let mut life = Life::begin(broken, json!({}));
    life.succeeds("a");
    assert_eq!(life.status(), "suspended");
    life.migrate(&broken.replace("steps.a.output.missing", "steps.a.output.of")).expect("it fits");
    assert_eq!(life.status(), "suspended");
    life.act(crate::stage::retry(0)).expect("its letter is open");
    assert_eq!((life.status(), life.words().as_str()), ("running", "succeeded running"));
    life.succeeds("b");
    assert_eq!(life.status(), "completed");
}

#[test]
fn limits_and_timeouts_are_the_new_revisions() {
    let slow = "{ id: w, timeout: 1m, steps: [{ id: a, type: task, total_timeout: 5s }] }";
    let mut life = Life::begin(slow, json!({}));
    life.migrate(&slow.replace("1m", "2h").replace(", total_timeout: 5s", "")).expect("it fits");
    life.later(3_600_000);
    assert_eq!(life.status(), "running");
    life.later(3_600_000);
    assert!(life.told(0).contains(&"DeadlinePassed".to_owned()), "counted from the submission");
}

#[test]
fn numbers_of_what_has_begun_stay_and_the_rest_is_rendered_anew() {
    let text = "{ id: w, variables: { s: 60 }, timeout: '{{ variables.s }}s', sla: '{{ variables.s }}s',
        steps: [{ id: a, type: task, total_timeout: '{{ variables.s }}s', timeout: '{{ variables.s }}s' },
                { id: b, type: task, needs: a, timeout: '{{ variables.s }}s' }] }";
    let mut life = Life::begin(text, json!({}));
    let (a, b) = (StepIndex(0), StepIndex(1));
    // The run's and the first step's numbers are known: other templates change nothing of them.
    life.migrate(&text.replace("{{ variables.s }}", "{{ variables.s * 2 }}")).expect("it fits");
    assert_eq!((life.state.timeout_ms(a), life.state.run_sla_ms()), (60_000, Some(60_000)));
    assert_eq!(life.state.deadline_at(), Some(START.plus_ms(60_000)));
    life.later(30_000).succeeds("a");
    assert_eq!(life.state.timeout_ms(b), 120_000, "by the template of its revision");
    // What was agreed for the run is agreed still.
    life.later(30_000);
    assert_eq!(life.told(0).iter().filter(|told| *told == "SlaBreached").count(), 1);
    assert!(life.told(0).contains(&"DeadlinePassed".to_owned()));
}

#[test]
fn templates_for_numbers_come_too_late_for_what_has_begun() {
    let text = "{ id: w, timeout: 1m, steps: [{ id: a, type: task, timeout: 5s }] }";
    let mut life = Life::begin(text, json!({}));
    let late = text.replace("1m", "'{{ 1 + 1 }}m'").replace("5s", "'{{ 4 + 4 }}s'");
    let reasons = reasons(&mut life, &late);
    assert_eq!(
        reasons,
        [
            "the revision's `timeout_ms` is a template, rendered as a run begins",
            "step `a` is running, and the revision has a template for its `timeout_ms`, rendered \
             before it is ready",
        ]
    );
    // The other way round the number is the new revision's.
    let mut life = Life::begin(&late, json!({}));
    life.migrate(text).expect("it fits");
    assert_eq!(life.state.timeout_ms(StepIndex(0)), 5_000);
    assert_eq!(life.state.deadline_at(), Some(START.plus_ms(60_000)));
}

#[test]
fn a_paused_run_is_migrated_and_events_keep_their_names() {
    let mut life = chain();
    life.act(pause()).expect("it runs");
    let wider = CHAIN.replace("steps:", "steps:\n  - { id: first, type: task }");
    life.migrate(&wider).expect("it fits");
    life.succeeds("b");
    life.act(set("c", None)).expect("it is open");
    life.act(crate::stage::resume()).expect("it is suspended");
    life.succeeds("first");
    assert_eq!(life.status(), "completed");
    let told = life.told(0);
    assert!(told.contains(&"StepStarted first".to_owned()), "{told:?}");
    let migrated = |event: &RunEvent| {
        backstitch_core::report::event_type(&Event::Run(event.clone())) == "ExecutionMigrated"
    };
    assert_eq!(life.events.iter().filter(|event| migrated(event)).count(), 1);
}

#[test]
fn a_loop_that_changes_or_comes_anew_keeps_the_run_where_it_is() {
    let looped = |task: &str, around: &str| {
        format!(
            "{{ id: l, {around} steps: [
                {{ id: a, type: task }},
                {{ id: each, needs: [a], type: foreach, with: {{ items: '{{{{ input.list }}}}' }},
                   each: {{ type: {task} }} }} ] }}"
        )
    };
    let plain = "{ id: l, steps: [{ id: a, type: task }] }";
    let mut life = Life::begin(plain, json!({ "list": [1] }));
    assert!(reasons(&mut life, &looped("task", ""))[0].contains("`each` is a loop"));
    let mut life = Life::begin(&looped("task", ""), json!({ "list": [1] }));
    for other in [looped("other", ""), looped("task", "defaults: { timeout: 9s },")] {
        assert!(reasons(&mut life, &other)[0].contains("`each` is a loop"));
    }
    life.migrate(plain).expect("the loop has not begun");
    life.succeeds("a");
    assert_eq!(life.status(), "completed");
}

#[test]
fn chunks_of_a_migrated_run_are_pinned_to_what_it_was_submitted_with() {
    let each =
        "{ id: each, needs: [a], type: foreach, with: { items: [1, 2] }, each: { type: task } }";
    let before = format!("{{ id: l, steps: [{{ id: a, type: task }}, {each}] }}");
    let after = format!(
        "{{ id: l, steps: [{{ id: z, type: task }}, {{ id: a, type: task }}, {each},
           {{ id: y, needs: [each], type: task }}] }}"
    );
    let mut life = Life::begin(&before, json!({}));
    let first = life.state.plan.digest;
    life.migrate(&after).expect("the loop is the same");
    life.succeeds("a");
    let start = backstitch_core::links::parcel(&life.state, 0).expect("a chunk is asked for").start;
    let start = start.expect("it begins");
    let backstitch_core::links::Begins::Chunk(chunk) = start.begins else { panic!("a chunk") };
    assert_eq!((chunk.revision, chunk.digest), (1, first));
    assert_eq!(
        start.parent.step,
        backstitch_core::ids::StepIndex(1),
        "its place is the same in both"
    );
}
