//! Templates in the place of numbers: rendered once, before anything goes by them.

use backstitch_core::arrows::StepStatus;
use backstitch_core::command::Command;
use backstitch_core::event::{Event, GraphEvent, Number, RunEvent};
use backstitch_core::failure::codes;
use backstitch_core::ids::StepIndex;
use backstitch_core::machine::{handle, replay};
use backstitch_core::report::execution_json;
use backstitch_core::state::number_problems;
use backstitch_core::time::Moment;
use serde_json::{Value, json};

use crate::stage::{Life, RUN, START, plan, plan_problems};

const NUMBERED: &str = "
id: numbered
variables: { minutes: 2, most: 3 }
timeout: '{{ variables.minutes }}m'
sla: '{{ input.sla }}'
defaults: { timeout: '{{ variables.minutes * 10 }}s' }
steps:
  - id: a
    type: task
  - id: b
    needs: a
    type: task
    timeout: '{{ steps.a.output.of }}'
    total_timeout: 10s
    retry: { max_attempts: '{{ variables.most }}', initial: '{{ input.wait }}', backoff: fixed }
    undo: { type: task, timeout: '{{ variables.minutes }}s', retry: { max_attempts: '{{ 1 + 1 }}' } }
";

fn input() -> Value {
    json!({ "sla": "30s", "wait": "2s" })
}

/// Whose they are, and what they came to.
type Set = (Option<u32>, Vec<(Number, u64)>);

fn numbers(life: &Life) -> Vec<Set> {
    let set = life.events.iter().filter_map(|event| match event {
        RunEvent::Graph(GraphEvent::NumbersSet { step, numbers }) => {
            Some((step.map(|step| step.0), numbers.clone()))
        }
        _ => None,
    });
    set.collect()
}

fn answers(life: &mut Life, step: &str, with: &Value) {
    let output = backstitch_core::payload::Payload::of(with);
    life.report(step, backstitch_core::command::AttemptResult::Answered(Ok(output)));
}

#[test]
fn numbers_are_rendered_when_what_goes_by_them_begins() {
    let mut life = Life::begin(NUMBERED, input());
    let own = vec![(Number::Timeout, 120_000), (Number::Sla, 30_000)];
    let first = vec![(Number::Timeout, 20_000)];
    assert_eq!(numbers(&life), [(None, own), (Some(0), first)]);
    assert_eq!(life.state.timeout_ms(StepIndex(0)), 20_000);
    assert_eq!(life.state.deadline_at(), Some(START.plus_ms(120_000)));
    answers(&mut life, "a", &json!({ "of": "7s" }));
    let second = vec![
        (Number::Timeout, 7_000),
        (Number::MaxAttempts, 3),
        (Number::RetryInitial, 2_000),
        (Number::UndoTimeout, 2_000),
        (Number::UndoMaxAttempts, 2),
    ];
    assert_eq!(numbers(&life)[2], (Some(1), second));
    let step = StepIndex(1);
    let (retry, undo) = (life.state.retries(step).policy, life.state.undo_retries(step).policy);
    assert_eq!((life.state.timeout_ms(step), life.state.undo_timeout_ms(step)), (7_000, 2_000));
    assert_eq!((retry.max_attempts, retry.initial_ms, undo.max_attempts), (3, 2_000, 2));
    life.report("b", backstitch_core::command::AttemptResult::TimedOut);
    let failure = life.state.step(step).failure.as_ref().expect("it timed out");
    assert_eq!(failure.message, "no answer within 7000 ms");
    life.later(1_000).stumbles("b").later(1_000).stumbles("b");
    assert_eq!(life.state.step(step).status, StepStatus::Failed, "three attempts are all");
    life.later(119_000);
    assert!(life.told(0).contains(&"SlaBreached".to_owned()));
    assert_eq!(execution_json(&life.state)["sla"]["limit_ms"], 30_000);
}

#[test]
fn a_run_is_late_by_its_own_number() {
    let mut life = Life::begin(NUMBERED, input());
    life.later(119_999);
    assert!(life.state.failing.is_none());
    life.later(1);
    let failing = life.state.failing.as_ref().expect("it fails");
    assert_eq!(failing.failure.code, codes::WORKFLOW_TIMEOUT);
}

#[test]
fn what_is_no_number_fails_what_would_go_by_it() {
    for (of, told) in [
        (json!("soon"), "is not a duration"),
        (json!(7), "a duration is meant"),
        (json!("2d"), "it is between 1ms and 1d"),
        (json!(null), "a duration is meant"),
    ] {
        let mut life = Life::begin(NUMBERED, input());
        answers(&mut life, "a", &json!({ "of": of }));
        let failure = life.state.step(StepIndex(1)).failure.as_ref().expect("it failed");
        assert_eq!(failure.code, codes::LIMIT_INVALID);
        let place = failure.message.contains("`steps.b.timeout` comes to");
        assert!(place && failure.message.contains(told), "{}", failure.message);
    }
    let mut wrong = input();
    wrong["sla"] = json!("never");
    let life = Life::begin(NUMBERED, wrong);
    assert_eq!((life.status(), life.words().as_str()), ("failed", "cancelled cancelled"));
    assert_eq!(
        execution_json(&life.state)["error"]["details"]["cause"]["error_code"],
        "LIMIT_INVALID"
    );
}

#[test]
fn what_reads_no_step_is_known_wrong_before_the_run_begins() {
    let problems = |input: Value| {
        let life = Life::begin(NUMBERED, input);
        let (plan, submitted) = (&life.state.plan, &life.state.submitted);
        let found = number_problems(plan, RUN, submitted, START);
        found.into_iter().map(|own| own.path).collect::<Vec<_>>()
    };
    assert!(problems(input()).is_empty());
    let wrong = problems(json!({ "sla": 5, "wait": "2h" }));
    assert_eq!(wrong, ["sla", "steps[1].retry.initial"]);
    assert_eq!(problems(json!({ "sla": "5s" })), ["steps[1].retry.initial"]);
}

#[test]
fn a_cut_between_numbers_and_start_changes_nothing() {
    let life = Life::begin(NUMBERED, input());
    for cut in 1..=life.events.len() {
        let events: Vec<_> = life.events[..cut].iter().cloned().map(Event::Run).collect();
        let events = events.iter().map(|event| (event, START));
        let mut state = replay(RUN, &life.state.plan, events).expect("a prefix is a place");
        let rest = handle(&mut state, Command::Continue, Moment::at(START)).expect("legal");
        assert_eq!(rest.events, life.events[cut..], "cut behind {cut}");
    }
}

#[test]
fn templates_of_numbers_are_checked_like_others() {
    assert!(plan_problems(NUMBERED).is_empty());
    let of = |fields: &str| plan_problems(&format!("{{ id: w, {fields} }}"));
    let step = |fields: &str| of(&format!("steps: [{{ id: a, type: task, {fields} }}]"));
    assert_eq!(step("timeout: '{{ steps.a.output }}'"), ["steps[0].timeout"]);
    assert_eq!(step("timeout: '{{ nope }}'"), ["steps[0].timeout"]);
    assert_eq!(step("retry: { initial: '{{ x' }"), ["steps[0].retry.initial"]);
    assert_eq!(step("cache: { ttl: '{{ input.x }}' }"), ["steps[0].cache.ttl"]);
    let own = "timeout: '{{ steps.a.output }}', steps: [{ id: a, type: task }]";
    assert_eq!(of(own), ["timeout"]);
    assert_eq!(plan("{ id: w, steps: [{ id: a, type: task }] }").numbers.len(), 0);
}

#[test]
fn a_policy_that_the_workflow_names_may_have_templates() {
    let text = "
id: named
variables: { most: 2 }
retry_policies:
  gentle: { max_attempts: '{{ variables.most }}', on: [timeout] }
  critical: { max_attempts: '{{ variables.most + 5 }}' }
steps:
  - { id: a, type: task, retry: gentle, undo: { type: task } }
";
    let life = Life::begin(text, json!({}));
    let (retries, undo) = (life.state.retries(StepIndex(0)), life.state.undo_retries(StepIndex(0)));
    assert_eq!((retries.policy.max_attempts, undo.policy.max_attempts), (2, 7));
    assert!(retries.conditions.is_some(), "what the policy says beside stays");
    let wrong = text.replace("variables.most }}", "variables.most");
    assert!(!plan_problems(&wrong).is_empty(), "a template of a policy is read");
}
