use serde_json::{Value, json};

use super::*;
use crate::definition::problem::codes as problem_codes;
use crate::event::CallbackEvent;
use crate::retry_policy::RetryPolicy;
use crate::scope::StepView;

/// Task types as executors declare them; `http` needs a `url`.
pub(super) struct Types;

impl TaskTypes for Types {
    fn effectful(&self) -> &[&'static str] {
        &["http", "notification", "noop"]
    }

    fn check(&self, task_type: &str, with: &Value) -> Vec<(String, String)> {
        if task_type == "http" && with.get("url").is_none() {
            return vec![("url".to_owned(), "`url` is required".to_owned())];
        }
        Vec::new()
    }
}

pub(super) fn read(yaml: &str) -> Result<(Definition, Plan), Vec<Problem>> {
    let value = parse(yaml.as_bytes(), Format::Yaml).map_err(|problem| vec![problem])?;
    Plan::read(&value, &Types)
}

fn plan(yaml: &str) -> Plan {
    match read(yaml) {
        Ok((_, plan)) => plan,
        Err(problems) => panic!("{problems:#?}"),
    }
}

struct Facts {
    input: Value,
    outputs: Vec<Option<Value>>,
}

impl Scope for Facts {
    fn input(&self) -> Payload {
        Payload::of(&self.input)
    }

    fn variables(&self) -> Payload {
        Payload::of(&json!({ "stock_url": "http://127.0.0.1:9001" }))
    }

    fn workflow(&self) -> Value {
        json!({ "execution_id": "exec_1" })
    }

    fn step(&self, step: StepIndex) -> StepView {
        let output = self.outputs[step.at()].as_ref().map(Payload::of);
        let (error, check, idempotency_key) = (None, None, "exec_1/a/1".to_owned());
        StepView { status: "succeeded", attempts: 1, output, error, check, idempotency_key }
    }
}

const ORDER: &str = "
id: order
name: Order fulfilment
version: 1.2.0
input_schema: { type: object, required: [order_id] }
variables: { stock_url: 'http://127.0.0.1:9001' }
defaults: { retry: standard, timeout: 30s }
on_failure: compensate
timeout: 1h
steps:
  - id: reserve
    type: http
    with: { method: POST, url: '{{ variables.stock_url }}/reserve', body: { order: '{{ input.order_id }}' } }
    retry: { max_attempts: 5, backoff: exponential, initial: 200ms, max: 10s, jitter: true }
    undo: { type: http, with: { method: POST, url: '{{ variables.stock_url }}/release', body: '{{ steps.reserve.output }}' } }
  - id: charge
    needs: [reserve]
    when: '{{ input.amount > 0 }}'
    type: http
    with: { method: POST, url: 'http://127.0.0.1:9002/charge', body: { amount: '{{ input.amount }}' } }
    undo: { type: http, timeout: 5s, with: { url: 'http://127.0.0.1:9002/refund', body: '{{ input.order_id }}' } }
outputs: { receipt: '{{ steps.charge.output.body.id }}' }
callbacks:
  - { event: workflow.failed, url: 'https://example.com/hook' }
";

#[test]
fn the_canonical_example_compiles() {
    let plan = plan(ORDER);
    assert_eq!(
        (&*plan.workflow, &*plan.name, &*plan.label),
        ("order", "Order fulfilment", "1.2.0")
    );
    assert_eq!(plan.timeout_ms, Some(3_600_000));
    assert_eq!(plan.callbacks[0].event, CallbackEvent::Failed);
    let charge = plan.index_of("charge").unwrap();
    assert_eq!(charge, StepIndex(1));
    assert_eq!(plan.step(charge).needs, [StepIndex(0)]);
    let reserve = plan.step(StepIndex(0));
    assert_eq!(reserve.dependants, [charge]);
    assert_eq!(reserve.task, TaskKind::Effect("http".into()));
    assert_eq!((reserve.retry.policy.max_attempts, reserve.retry.policy.initial_ms), (5, 200));
    assert_eq!(reserve.timeout_ms, 30_000);
    let undo = reserve.undo.as_ref().unwrap();
    assert!(undo.reads_own_output);
    assert_eq!(undo.retry, RetryPolicy::CRITICAL.into());
    let refund = plan.step(charge).undo.as_ref().unwrap();
    assert!(!refund.reads_own_output);
    assert_eq!(refund.timeout_ms, 5_000);
    assert_eq!(plan.step(charge).retry, RetryPolicy::STANDARD.into());
}

#[test]
fn a_plan_renders_inputs_conditions_and_outputs() {
    let plan = plan(ORDER);
    let receipt = json!({ "status": 200, "body": { "id": "r-7" } });
    let facts = Facts {
        input: json!({ "order_id": "o-1", "amount": 12.5 }),
        outputs: vec![Some(json!({ "held": 1 })), Some(receipt)],
    };
    let charge = plan.step(StepIndex(1));
    assert_eq!(charge.condition_holds(&facts, &mut Work::default()), Ok(true));
    assert_eq!(
        charge.render_input(&facts, &mut Work::default()).unwrap().value()["body"],
        json!({ "amount": 12.5 })
    );
    let undo = plan.step(StepIndex(0)).undo.as_ref().unwrap();
    assert_eq!(
        undo.render_input(&facts, &mut Work::default()).unwrap().value()["body"],
        json!({ "held": 1 })
    );
    assert_eq!(
        plan.render_outputs(&facts, &mut Work::default()).unwrap().unwrap().text(),
        r#"{"receipt":"r-7"}"#
    );
    let failing = Facts { input: json!({}), ..facts };
    let failure = charge.condition_holds(&failing, &mut Work::default()).unwrap_err();
    assert_eq!(failure.code, codes::EXPRESSION_FAILED);
    assert_eq!(
        failure.message,
        "steps.charge.when: `{{ input.amount > 0 }}`: `input.amount` is missing; `input` is empty"
    );
}

#[test]
fn outputs_default_to_those_of_the_last_steps() {
    let plan = plan(
        "{ id: w, steps: [ { id: a, type: noop }, { id: b, needs: a, type: noop }, \
         { id: c, needs: [a], type: noop } ] }",
    );
    let facts = Facts { input: Value::Null, outputs: vec![Some(json!(1)), Some(json!(2)), None] };
    assert_eq!(
        plan.render_outputs(&facts, &mut Work::default()).unwrap().unwrap().text(),
        r#"{"b":2,"c":null}"#
    );
}

#[test]
fn outputs_that_are_too_large_are_left_out_or_refused() {
    let plan = plan("{ id: w, steps: [ { id: a, type: noop }, { id: b, type: noop } ] }");
    let large = Some(json!("x".repeat(PAYLOAD_BYTES_MAX / 2)));
    let facts = Facts { input: Value::Null, outputs: vec![large.clone(), large] };
    assert_eq!(plan.render_outputs(&facts, &mut Work::default()), Ok(None));
    let plan = self::plan(
        "{ id: w, steps: [ { id: a, type: noop }, { id: b, type: noop } ], \
         outputs: { a: '{{ steps.a.output }}', b: '{{ steps.b.output }}' } }",
    );
    let refused = plan.render_outputs(&facts, &mut Work::default()).unwrap_err();
    assert_eq!(refused.code, codes::PAYLOAD_TOO_LARGE);
}

/// Ten thousand steps in a row, each reading the first; and as many side by side.
#[test]
fn large_graphs_compile() {
    let chain = (0..10_000).map(|at: usize| match at {
        0 => json!({ "id": "s0", "type": "noop" }),
        _ => json!({
            "id": format!("s{at}"), "type": "noop", "needs": [format!("s{}", at - 1)],
            "with": { "first": "{{ steps.s0.output }}", "last": format!("{{{{ steps.s{}.output }}}}", at - 1) },
        }),
    });
    let chain = json!({ "id": "chain", "steps": chain.collect::<Vec<_>>() });
    let (definition, plan) = Plan::read(&chain, &Types).unwrap();
    assert_eq!(plan.steps.len(), 10_000);
    let text = definition.canonical_text();
    assert_eq!(Plan::recompile(&text).unwrap().digest, plan.digest);
    let mut fan: Vec<Value> =
        (0..9_999).map(|at| json!({ "id": format!("s{at}"), "type": "noop" })).collect();
    let ids: Vec<Value> = fan.iter().map(|step| step["id"].clone()).collect();
    fan.push(json!({ "id": "join", "type": "noop", "needs": ids }));
    let (_, plan) = Plan::read(&json!({ "id": "fan", "steps": fan }), &Types).unwrap();
    assert_eq!(plan.steps[9_999].needs.len(), 9_999);
}

#[test]
fn a_stored_revision_compiles_without_its_executors() {
    let (definition, plan) = read(ORDER).unwrap();
    let stored = Plan::recompile(&definition.canonical_text()).unwrap();
    assert_eq!(stored.digest, plan.digest);
    assert_eq!(stored.digest, definition.digest());
    let gone = r#"{"id":"w","steps":[{"id":"a","type":"gone"}]}"#;
    assert_eq!(Plan::recompile(gone).unwrap().steps[0].task, TaskKind::Effect("gone".into()));
}

#[test]
fn inputs_are_checked_against_the_schema() {
    let plan = plan(
        "{ id: w, steps: [ { id: a, type: noop } ], input_schema: { type: object, \
         required: [order_id], properties: { order_id: { type: string, pattern: '^o-' }, \
         lines: { type: array, items: { type: integer } }, again: { $ref: '#' } } } }",
    );
    assert_eq!(plan.check_input(&json!({ "order_id": "o-1", "lines": [1] })), Ok(()));
    let found = |input: Value| -> Vec<String> {
        plan.check_input(&input).unwrap_err().iter().map(ToString::to_string).collect()
    };
    assert_eq!(found(json!({})), ["input: \"order_id\" is a required property (INPUT_MISMATCH)"]);
    assert_eq!(found(json!({ "order_id": "x", "lines": [1, "2"] })).len(), 2);
    assert!(
        found(json!({ "order_id": "o-1", "lines": [1, "2"] }))[0].starts_with("input.lines[1]: ")
    );
    assert!(
        found(json!({ "order_id": "o-1", "again": { "again": {} } }))[0]
            .starts_with("input.again: ")
    );
}

#[test]
fn plans_are_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Plan>();
}

/// The examples of the repository.
#[test]
fn the_examples_compile() {
    for text in [
        include_str!("../../../examples/order.yaml"),
        include_str!("../../../examples/order-saga.yaml"),
        include_str!("../../../examples/fan-out.yaml"),
        include_str!("../../../examples/reminder.yaml"),
        include_str!("../../../examples/savepoint.yaml"),
    ] {
        let plan = plan(text);
        assert!(!plan.steps.is_empty());
    }
}

#[test]
fn what_a_schema_can_cost_is_bounded() {
    let with_schema = |schema: Value| {
        let value =
            json!({ "id": "w", "steps": [{ "id": "a", "type": "noop" }], "input_schema": schema });
        Plan::read(&value, &Types).map(|(_, plan)| plan).map_err(|found| found[0].to_string())
    };
    let doubling = |levels: usize| {
        let mut schemas = Map::new();
        for level in 0..levels {
            let next = json!({ "$ref": format!("#/$defs/d{}", level + 1) });
            schemas.insert(format!("d{level}"), json!({ "allOf": [next, next] }));
        }
        schemas.insert(format!("d{levels}"), json!({ "type": "object" }));
        json!({ "$ref": "#/$defs/d0", "$defs": schemas })
    };
    assert!(with_schema(doubling(5)).is_ok());
    assert!(with_schema(doubling(40)).unwrap_err().contains("more than 10000 parts"));
    let child = json!({ "properties": { "a": { "$ref": "#" } } });
    let plan = with_schema(json!({ "allOf": [child, child] })).unwrap();
    let nested = |levels: usize| (0..levels).fold(json!({}), |inner, _| json!({ "a": inner }));
    assert!(plan.check_input(&nested(10)).is_ok());
    assert!(plan.check_input(&nested(60)).unwrap_err()[0].message.contains("nests at most"));
    let list = with_schema(json!({ "properties": { "next": { "$ref": "#" } } })).unwrap();
    assert!(list.check_input(&nested(90)).is_ok());
    for circle in ["{ $ref: '#' }", "{ allOf: [ { $ref: '#' } ] }", "{ not: { $ref: '#' } }"] {
        let schema = parse(circle.as_bytes(), Format::Yaml).unwrap();
        let _seen = with_schema(schema).unwrap().check_input(&json!({ "a": 1 })).is_ok();
    }
    assert!(with_schema(json!({ "$schema": "http://nowhere/x" })).is_err());
    assert!(with_schema(json!({ "properties": { "a": { "$id": "http://h/" } } })).is_err());
}

/// Compiled strings are kept, so how many a whole definition has is bounded.
#[test]
fn a_definition_computes_a_bounded_number_of_strings() {
    let steps = |count: usize| {
        let list = json!(vec!["{{ input.a + 1 }}"; 1_000]);
        let step = |at: usize| json!({ "id": format!("s{at}"), "type": "noop", "with": list });
        let mut steps: Vec<Value> = (0..count / 1_000).map(step).collect();
        steps.push(json!({ "id": "last", "type": "noop", "when": "input.a > 1" }));
        Plan::read(&json!({ "id": "w", "steps": steps }), &Types).map(|_| ())
    };
    assert_eq!(steps(19_000), Ok(()));
    let found = steps(20_000).unwrap_err();
    assert_eq!((found.len(), &*found[0].path), (1, "steps[20].when"));
    assert_eq!(found[0].code, problem_codes::EXPRESSION_LIMIT);
    let found = steps(30_000).unwrap_err();
    assert_eq!((found.len(), &*found[0].path), (1, "steps[20].with[0]"));
}
