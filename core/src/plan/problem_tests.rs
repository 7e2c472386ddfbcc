use serde_json::{Value, json};

use super::tests::{Types, read};
use super::*;
use crate::definition::problem::codes as problem_codes;

/// Every problem of a definition, one a line: path, code, message.
fn problems(yaml: &str) -> String {
    let problems = match read(yaml) {
        Ok(_) => return "none".to_owned(),
        Err(problems) => problems,
    };
    let line = |one: &Problem| format!("{} {} {}\n", one.path, one.code, one.message);
    problems.iter().map(line).collect()
}

/// Checks that a step's fields (in flow style) give one problem.
fn check_step(fields: &str, path: &str, code: &str, message: &str) {
    let yaml = format!("id: w\nsteps:\n  - {{ id: first, type: noop }}\n  - {{ {fields} }}\n");
    let found = problems(&yaml);
    let expected = format!("steps[1]{path} {code} ");
    let alone = found.lines().count() == 1;
    assert!(alone && found.starts_with(&expected) && found.contains(message), "{fields}: {found}");
}

#[test]
fn every_problem_is_reported_at_once() {
    insta::assert_snapshot!(problems(
        "
id: exec_order
nme: Order
version: 1.2
tags: [a, 1]
variables: { url: '{{ input.x }}' }
defaults: { timeout: 30, retry: sometimes }
on_failure: undo
timeout: 11y
steps:
  - { id: a, type: htp }
  - { id: a, type: http, needs: [c, a1] }
  - { id: c, type: http, with: { url: x }, needs: b }
  - { id: 1bad, type: noop, retry: { max_attempts: 0, initial: -1s, mutiplier: 2 } }
  - { id: input, type: noop, with: '{{ steps.c.output }}' }
  - { type: noop, when: '{{ inputs.x > }}' }
callbacks: [ { event: workflow.done, url: 'ftp://x' }, { event: workflow.failed } ]
"
    ), @r##"
    nme UNKNOWN_FIELD `nme` is not a field here; did you mean `name`?
    id RESERVED_ID `exec_order` means something else in URLs; choose another id
    version WRONG_TYPE `version` is a text, not a number; put it in quotes
    tags[1] WRONG_TYPE a tag is a text, not a number
    variables.url BAD_EXPRESSION variables are constants; templates belong into `with`
    defaults.timeout BAD_DURATION a duration is written `500ms`, `5s`, `10m`, `2h`, `1d`, not 30
    on_failure BAD_VALUE `on_failure` is one of compensate, halt, suspend, not `undo`
    timeout BAD_DURATION `11y` is not a duration; write `500ms`, `5s`, `10m`, `2h`, `1d`
    steps[3].id BAD_ID a step's id has 1 to 64 letters, digits, `_`, `-` and begins with a letter or `_`
    steps[3].retry.mutiplier UNKNOWN_FIELD `mutiplier` is not a field here; did you mean `multiplier`?
    steps[3].retry.max_attempts OUT_OF_RANGE `max_attempts` is a whole number from 1 to 100, not 0
    steps[3].retry.initial BAD_DURATION `-1s` is not a duration; write `500ms`, `5s`, `10m`, `2h`, `1d`
    steps[4].id RESERVED_ID `input` means something else in templates; choose another id
    steps[5].id MISSING_FIELD `id` is required
    callbacks[0].event BAD_VALUE `event` is one of workflow.started, workflow.completed, workflow.failed, workflow.compensating, workflow.cancelled, workflow.sla_breached, step.failed, step.dead_lettered, workflow.compensation_failed, step.waiting, not `workflow.done`
    callbacks[0].url BAD_URL a URL begins with http:// or https://
    callbacks[1].url MISSING_FIELD `url` is required
    defaults.retry BAD_VALUE `retry` is one of none, standard, critical, not `sometimes`
    steps[1].id DUPLICATE_ID `a` is already the id of steps[0]
    steps[1].needs[1] UNKNOWN_STEP there is no step `a1`; did you mean `a`?
    steps[2].needs[0] UNKNOWN_STEP there is no step `b`; did you mean `a`?
    steps[0].type UNKNOWN_TASK_TYPE there is no task type `htp`; did you mean `http`?
    steps[1].with.url BAD_VALUE `url` is required
    steps[5].when BAD_EXPRESSION `inputs` is unknown (did you mean `input`?); names begin with input, variables, steps, workflow (line 1, column 4)
    steps[4].with NOT_AN_ANCESTOR `c` may not have run yet; add it to `needs`
    "##);
}

#[test]
fn each_code_has_its_case() {
    use problem_codes::*;
    let whole = |yaml: &str, path: &str, code: &str| {
        let found = problems(yaml);
        let expected = format!("{path} {code} ");
        assert!(found.lines().any(|line| line.starts_with(&expected)), "{yaml}: {found}");
    };
    whole("id: w\nsteps: []", "steps", NO_STEPS);
    whole("id: w", "steps", NO_STEPS);
    whole("id: w\nsteps: 1", "steps", WRONG_TYPE);
    whole("[1]", "", WRONG_TYPE);
    whole("id: w\nsteps: [1]", "steps[0]", WRONG_TYPE);
    whole("a: [", "", BAD_SYNTAX);
    whole("id: run\nsteps: []", "id", RESERVED_ID);
    whole("id: 'a b'\nsteps: []", "id", BAD_ID);
    whole("id: ..\nsteps: []", "id", BAD_ID);
    whole("id: w\ninput_schema: { type: 5 }", "input_schema.type", BAD_SCHEMA);
    whole("id: w\ninput_schema: { $ref: 'http://x/y' }", "input_schema", BAD_SCHEMA);
    whole("id: w\ninput_schema: { $ref: 'file:///x' }", "input_schema", BAD_SCHEMA);
    whole("id: w\ninput_schema: { $ref: '#/nowhere' }", "input_schema", BAD_SCHEMA);
    whole("id: w\ninput_schema: { pattern: '(' }", "input_schema.pattern", BAD_SCHEMA);
    whole(
        "id: w\ncallbacks: [{ event: workflow.failed, url: 'http://' }]",
        "callbacks[0].url",
        BAD_URL,
    );
    whole("id: w\ncallbacks: [{ event: workflow.failed, url: 'x' }]", "callbacks[0].url", BAD_URL);
    for (fields, path, code) in [
        ("url: 'http://h/{{ input.x }}'", "url", BAD_URL),
        ("url: 'http://h/{{ secrets.a | upper }}'", "url", BAD_URL),
        ("url: 'h/{{ secrets.a }}'", "url", BAD_URL),
        ("url: 'http://a@{{ secrets.a }}/'", "url", BAD_URL),
        ("url: 'https://og?x', format: opsgenie, api_key: k", "url", BAD_URL),
        ("url: 'http://h', format: opsgenie", "api_key", MISSING_FIELD),
        ("url: 'http://h', format: opsgenie, api_key: 'a b'", "api_key", BAD_VALUE),
        ("url: 'http://h', format: opsgenie, api_key: ''", "api_key", BAD_VALUE),
        ("url: 'http://h', format: slack, api_key: k", "api_key", BAD_VALUE),
        ("url: 'http://h', format: pagerduty, routing_key: 'k-k'", "routing_key", BAD_VALUE),
        ("url: 'http://h', headers: [1]", "headers", WRONG_TYPE),
        ("url: 'http://h', headers: { a b: c }", "headers.a b", BAD_VALUE),
        ("url: 'http://h', headers: { a: 1 }", "headers.a", BAD_VALUE),
        ("url: 'http://h', headers: { a: b, A: c }", "headers.a", BAD_VALUE),
        ("url: 'http://h', headers: { Webhook-Id: c }", "headers.Webhook-Id", BAD_VALUE),
        ("url: 'http://h', headers: { host: c }", "headers.host", BAD_VALUE),
        ("url: 'http://h', headers: { a: '{{ input.x }}' }", "headers.a", BAD_VALUE),
        (
            "url: 'http://h', format: opsgenie, api_key: k, headers: { authorization: a }",
            "headers.authorization",
            BAD_VALUE,
        ),
    ] {
        let yaml = format!("id: w\ncallbacks: [{{ event: workflow.failed, {fields} }}]");
        whole(&yaml, &format!("callbacks[0].{path}"), code);
    }
    whole("id: w\ntimeout: 0s", "timeout", OUT_OF_RANGE);
    whole("id: w\ntimeout: 4000d", "timeout", OUT_OF_RANGE);
    whole("id: w\nname: 5", "name", WRONG_TYPE);
    whole("id: w\nretry_policies: { 'a b': {} }", "retry_policies.a b", BAD_ID);
    whole(
        "id: w\nretry_policies: { a: { max_attempts: 0 } }",
        "retry_policies.a.max_attempts",
        OUT_OF_RANGE,
    );
    whole("id: w\nretry_policies: [1]", "retry_policies", WRONG_TYPE);

    check_step("id: b, type: noop, colour: red", ".colour", UNKNOWN_FIELD, "known are");
    check_step("id: b, type: noop, need: first", ".need", UNKNOWN_FIELD, "`needs`?");
    check_step("type: noop", ".id", MISSING_FIELD, "required");
    check_step("id: b", ".type", MISSING_FIELD, "required");
    check_step("id: first, type: noop", ".id", DUPLICATE_ID, "steps[0]");
    check_step("id: steps, type: noop", ".id", RESERVED_ID, "templates");
    check_step("id: b, type: noop, needs: [frist]", ".needs[0]", UNKNOWN_STEP, "`first`?");
    check_step("id: b, type: noop, needs: [b]", ".needs", CYCLE, "b needs b");
    check_step("id: b, type: noop, needs: [first, first]", ".needs", BAD_VALUE, "twice");
    check_step("id: b, type: noop, needs: [1]", ".needs[0]", WRONG_TYPE, "text");
    check_step("id: b, type: htttp", ".type", UNKNOWN_TASK_TYPE, "`http`?");
    check_step("id: b, type: http", ".with.url", BAD_VALUE, "required");
    check_step("id: b, type: noop, timeout: 5", ".timeout", BAD_DURATION, "written");
    check_step("id: b, type: noop, timeout: 5x", ".timeout", BAD_DURATION, "not a duration");
    check_step("id: b, type: noop, timeout: 0s", ".timeout", OUT_OF_RANGE, "1ms and 1d");
    check_step("id: b, type: noop, timeout: 2d", ".timeout", OUT_OF_RANGE, "1d");
    check_step("id: b, type: noop, retry: often", ".retry", BAD_VALUE, "none, standard, critical");
    check_step("id: b, type: noop, retry: 3", ".retry", WRONG_TYPE, "policy's name");
    let never = "id: b, type: noop, retry: { never: [timeout, busy] }";
    check_step(never, ".retry.never[1]", BAD_VALUE, "`5xx`");
    check_step("id: b, type: noop, retry: { on: [] }", ".retry.on", BAD_VALUE, "leave it out");
    check_step("id: b, type: noop, retry: { on: [true] }", ".retry.on[0]", WRONG_TYPE, "status");
    check_step("id: b, type: noop, undo: { type: noop, retry: x }", ".undo.retry", BAD_VALUE, "x");
    let attempts = ".retry.max_attempts";
    check_step(
        "id: b, type: noop, retry: { max_attempts: -1 }",
        attempts,
        OUT_OF_RANGE,
        "1 to 100",
    );
    check_step("id: b, type: noop, retry: { max_attempts: 101 }", attempts, OUT_OF_RANGE, "100");
    check_step("id: b, type: noop, retry: { max_attempts: 1.5 }", attempts, OUT_OF_RANGE, "whole");
    check_step("id: b, type: noop, retry: { max_attempts: x }", attempts, WRONG_TYPE, "whole");
    check_step(
        "id: b, type: noop, retry: { initial: 5s, max: 1s }",
        ".retry.max",
        BAD_VALUE,
        "shorter",
    );
    check_step(
        "id: b, type: noop, retry: { multiplier: 0 }",
        ".retry.multiplier",
        OUT_OF_RANGE,
        "1",
    );
    check_step("id: b, type: noop, when: true", ".when", WRONG_TYPE, "quotes");
    check_step("id: b, type: noop, when: '1 +'", ".when", BAD_EXPRESSION, "line 1");
    check_step("id: b, type: noop, when: '1'", ".when", BAD_EXPRESSION, "true or false");
    check_step("id: b, type: noop, with: '{{ [0] | nope }}'", ".with", BAD_EXPRESSION, "no filter");
    check_step(
        "id: b, type: noop, with: { a: ['{{ 1 / 0 }}'] }",
        ".with.a[0]",
        BAD_EXPRESSION,
        "never",
    );
    check_step(
        "id: b, type: noop, with: '{{ steps.frist.output }}'",
        ".with",
        UNKNOWN_STEP,
        "first",
    );
    check_step(
        "id: b, type: noop, with: '{{ steps.first.output }}'",
        ".with",
        NOT_AN_ANCESTOR,
        "needs",
    );
    check_step(
        "id: b, type: noop, with: '{{ steps.b.output }}'",
        ".with",
        NOT_AN_ANCESTOR,
        "itself",
    );
    check_step(
        "id: b, type: noop, with: '{% for a in input %}{% for b in a %}{% for c in b %}{% for d in c %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}'",
        ".with",
        EXPRESSION_LIMIT,
        "deeper than 3",
    );
    check_step("id: b, type: transform", ".with", MISSING_FIELD, "answers");
    check_step(
        "id: b, type: transform, with: 1, timeout: 1s",
        ".timeout",
        BAD_VALUE,
        "no attempts",
    );
    check_step(
        "id: b, type: transform, with: 1, undo: { type: noop }",
        ".undo",
        BAD_VALUE,
        "nothing to undo",
    );
    check_step("id: b, type: noop, undo: { type: wait }", ".undo.type", BAD_VALUE, "no effect");
    check_step(
        "id: b, type: noop, undo: { type: nop }",
        ".undo.type",
        UNKNOWN_TASK_TYPE,
        "`noop`?",
    );
    check_step("id: b, type: wait", ".with", MISSING_FIELD, "duration");
    check_step("id: b, type: wait, with: { duration: 5 }", ".with.duration", BAD_DURATION, "text");
    check_step("id: b, type: wait, with: { until: soon }", ".with.until", BAD_VALUE, "RFC 3339");
    check_step(
        "id: b, type: wait, with: { for: 5s, duration: 5s }",
        ".with.for",
        UNKNOWN_FIELD,
        "known",
    );
}

#[test]
fn cycles_name_their_steps_in_order() {
    let found = problems(
        "{ id: w, steps: [ { id: a, needs: c, type: noop }, { id: b, needs: a, type: noop }, \
         { id: c, needs: b, type: noop }, { id: d, needs: e, type: noop }, \
         { id: e, needs: [d, a], type: noop }, { id: f, needs: [e], type: noop } ] }",
    );
    assert_eq!(
        found,
        "steps[0].needs CYCLE steps need each other: a needs c needs b needs a\n\
         steps[3].needs CYCLE steps need each other: d needs e needs d\n"
    );
}

#[test]
fn at_most_a_hundred_problems_are_listed() {
    let steps: Vec<Value> = (0..500).map(|at| json!({ "id": format!("s{at}") })).collect();
    let found = Plan::read(&json!({ "id": "w", "steps": steps }), &Types).unwrap_err();
    assert_eq!(found.len(), 101);
    assert_eq!(found[100].code, problem_codes::MORE_PROBLEMS);
    assert_eq!(found[100].message, "and 400 more problems");
}

#[test]
fn too_many_steps_or_needs_are_refused() {
    let steps = vec![json!({ "id": "a", "type": "noop" }); 100_000];
    let found = Plan::read(&json!({ "id": "w", "steps": steps }), &Types).unwrap_err();
    assert_eq!(found[0].code, problem_codes::TOO_MANY_STEPS);
    let all: Vec<String> = (0..1_000).map(|at| format!("s{at}")).collect();
    let step = |id: &String| json!({ "id": id, "type": "noop", "needs": all });
    let steps: Vec<Value> = all.iter().map(step).collect();
    let found = Plan::read(&json!({ "id": "w", "steps": steps }), &Types).unwrap_err();
    assert_eq!(found[0].code, problem_codes::OUT_OF_RANGE);
}

#[test]
fn routes_and_handlers_that_cannot_work_are_refused() {
    let check = |steps: &str, path: &str, code: &str| {
        let found = problems(&format!("id: w\nsteps:\n{steps}"));
        let expected = format!("{path} {code} ");
        assert!(found.lines().any(|line| line.starts_with(&expected)), "{steps}: {found}");
    };
    let a = "  - { id: a, type: noop }\n";
    let router = |fields: &str| format!("{a}  - {{ id: r, type: router, {fields} }}\n");
    check(&router("routes: []"), "steps[1].routes", "MISSING_FIELD");
    check(&router("routes: [{ when: 'true' }]"), "steps[1].routes[0].to", "MISSING_FIELD");
    check(&router("routes: [{ to: a }]"), "steps[1].routes[0].when", "MISSING_FIELD");
    let to = |id: &str| router(&format!("routes: [{{ when: 'true', to: {id} }}]"));
    check(&to("b"), "steps[1].routes[0].to[0]", "UNKNOWN_STEP");
    check(&to("[a, a]"), "steps[1].routes[0].to[1]", "BAD_VALUE");
    check(&to("r"), "steps[1].needs", "CYCLE");
    check(&router("routes: [{ when: 'true', to: a }], retry: none"), "steps[1].retry", "BAD_VALUE");
    check("  - { id: a, type: noop, default: [a] }\n", "steps[0].default", "BAD_VALUE");
    let needing = "  - { id: r, needs: [a], type: router, routes: [{ when: 'true', to: [a] }] }\n";
    check(&format!("{a}{needing}"), "steps[0].needs", "CYCLE");
    let handled = "  - { id: h, type: noop }\n  - { id: b, type: noop, on_failure: [h, a] }\n";
    let handler = format!("  - {{ id: a, needs: [h], type: noop }}\n{handled}");
    check(&handler, "steps[2].on_failure[1]", "BAD_VALUE");
    check(&format!("{}{handled}", to("h")), "steps[3].on_failure[0]", "BAD_VALUE");
    check("  - { id: a, type: noop, on_failure: x }\n", "steps[0].on_failure[0]", "UNKNOWN_STEP");
}
