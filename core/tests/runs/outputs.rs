//! The output of a run, and that it undoes nothing without need.

use backstitch_core::command::AttemptResult;
use backstitch_core::failure::codes;
use backstitch_core::payload::{PAYLOAD_BYTES_MAX, Payload};
use serde_json::{Value, json};

use crate::stage::Life;

/// One step whose `when` is false, one that fails and is allowed to, one pruned by it, and one
/// that succeeds.
const STEPS: &str = "
id: w
steps:
  - { id: done, type: task, undo: { type: task } }
  - { id: skip-ped, type: task, when: input.no }
  - { id: failed, type: task, allow_failure: true, retry: none }
";

fn ended(outputs: &str) -> Life {
    let mut life = Life::begin(&format!("{STEPS}{outputs}"), json!({ "no": false }));
    life.succeeds("done").refuses("failed");
    life
}

fn output(life: &Life) -> Option<Value> {
    life.state.ending.as_ref().and_then(|ending| ending.output.as_ref()).map(Payload::value)
}

#[test]
fn entries_that_read_below_an_output_nobody_has_are_null() {
    let life = ended(
        "outputs:
  done: '{{ steps.done.output.of }}'
  path: '{{ steps.failed.output.of }}'
  text: 'it is {{ steps[\"skip-ped\"].output.of }}'
  computed: '{{ steps.failed.output.of + 1 }}'
  inside: { list: ['{{ steps[\"skip-ped\"][\"output\"][0] }}', 1] }
  looped: '{% for a in steps.failed.output.lines %}{{ a }}{% endfor %}'
  whole: '{{ steps.failed.output }}'
  word: '{{ steps.failed.status }}'
",
    );
    assert_eq!(life.status(), "completed");
    let expected = json!({
        "done": "done", "path": null, "text": null, "computed": null, "inside": null,
        "looped": null, "whole": null, "word": "failed",
    });
    assert_eq!(output(&life), Some(expected));
}

#[test]
fn any_other_entry_that_fails_fails_the_run() {
    for entry in [
        "{{ steps.done.output.nothing }}",
        "{{ input.nothing }}",
        "{{ steps.done.output.of - 1 }}",
        "{{ steps.failed.output - 1 }}",
        "{{ steps.done.output.nothing ~ steps.failed.output }}",
    ] {
        let life = ended(&format!("outputs: {{ a: '{entry}' }}"));
        assert_eq!(life.status(), "compensating", "{entry}");
        let why = &life.state.failing.as_ref().expect("it fails").failure;
        assert_eq!(why.code, codes::EXPRESSION_FAILED);
        assert!(why.message.starts_with("outputs.a: "), "{}", why.message);
    }
}

/// Answers that are fine one by one are no reason to undo what was done.
#[test]
fn default_outputs_that_do_not_fit_are_left_out() {
    let definition =
        "id: w\nsteps: [{ id: a, type: task, undo: { type: task } }, { id: b, type: task }]";
    let mut life = Life::begin(definition, json!({}));
    let large =
        || AttemptResult::Answered(Ok(Payload::of(&json!("x".repeat(PAYLOAD_BYTES_MAX / 2)))));
    life.report("a", large()).report("b", large());
    assert_eq!(life.status(), "completed");
    assert_eq!(output(&life), None);
    let mut life = Life::begin(definition, json!({}));
    life.report("a", large()).succeeds("b");
    assert_eq!(
        output(&life).and_then(|output| output.get("b").cloned()),
        Some(json!({ "of": "b" }))
    );
}
