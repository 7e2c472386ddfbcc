//! Keyed limits: what a step asks for, and until when.

use backstitch_core::arrows::StepStatus;
use backstitch_core::command::{Command, Rejection};
use backstitch_core::definition::Definition;
use backstitch_core::event::{Event, GraphEvent, LimitKey, LinkEvent, OnLimit, RunEvent, SlotKey};
use backstitch_core::failure::codes;
use backstitch_core::ids::StepIndex;
use backstitch_core::machine;
use backstitch_core::plan::Plan;
use backstitch_core::room::{Attempt, Room};
use backstitch_core::state::Wanted;
use backstitch_core::time::Moment;
use serde_json::json;

use crate::stage::{Life, START, Types, cancel, pause};

const KEYED: &str = "
id: keyed
steps:
  - id: a
    type: task
    retry: { max_attempts: 3, initial: 1s, backoff: fixed, jitter: false }
    limits:
      - { key: 'customer-{{ input.customer }}', max: 2 }
      - { key: all, max: 9 }
      - { key: all, max: 7 }
";

/// Room for everything but the places of keyed limits.
#[derive(Default)]
struct Full {
    asked: Vec<StepIndex>,
}

impl Room for Full {
    fn starts(&mut self, _: Attempt) -> bool {
        true
    }

    fn holds(&mut self, step: StepIndex, _: &Wanted) -> bool {
        self.asked.push(step);
        false
    }

    fn begins(&mut self) -> bool {
        true
    }
}

fn wanted(life: &Life) -> Option<Vec<LimitKey>> {
    life.state.wanted(StepIndex(0)).map(|own| own.keys.clone())
}

#[test]
fn a_step_asks_for_its_keys_until_it_is_settled() {
    let mut life = Life::begin(KEYED, json!({ "customer": 7 }));
    let key = |key: &str, max| LimitKey { key: key.into(), max };
    assert_eq!(wanted(&life), Some(vec![key("all", 7), key("customer-7", 2)]));
    let keyed = |event: &RunEvent| matches!(event, RunEvent::Graph(GraphEvent::StepKeyed { .. }));
    let at = life.events.iter().position(keyed).expect("it is recorded");
    assert!(matches!(life.events[at + 1], RunEvent::StepReady { .. }), "before it is ready");
    assert!(life.state.holds_keys(StepIndex(0)));
    life.stumbles("a");
    assert!(!life.state.holds_keys(StepIndex(0)), "between two attempts it holds nothing");
    life.later(1_000).succeeds("a");
    assert_eq!((life.status(), wanted(&life)), ("completed", None));
}

#[test]
fn a_step_without_its_places_is_ready_and_takes_no_turn() {
    let mut life = Life::begin(KEYED, json!({ "customer": 7 }));
    // The run as it was before its first attempt.
    let ready = life.events.iter().position(|e| matches!(e, RunEvent::StepReady { .. }));
    let told = life.events[..=ready.expect("it was ready")].iter().cloned();
    let told: Vec<_> = told.map(|event| (Event::Run(event), START)).collect();
    let told = told.iter().map(|(event, at)| (event, *at));
    let mut state = machine::replay(life.state.id, &life.state.plan, told).expect("it folds");
    let mut room = Full::default();
    let decision =
        machine::handle_within(&mut state, Command::Continue, Moment::at(START), &mut room);
    assert!(decision.expect("legal").events.is_empty());
    assert_eq!(room.asked, [StepIndex(0)]);
    assert_eq!(state.steps[0].status, StepStatus::Ready);
    let held = [StepIndex(0)].into_iter().collect();
    assert_eq!(state.wants_turn(START, &held, &Default::default()), Some(Attempt::Step));
    assert_eq!(
        state.wants_turn(START, &Default::default(), &Default::default()),
        None,
        "it waits for its places"
    );
    machine::handle(&mut state, pause(), Moment::at(START)).expect("it goes on");
    machine::handle(&mut state, cancel(None), Moment::at(START)).expect("it is paused");
    assert!(state.steps[0].status == StepStatus::Cancelled && state.wanted(StepIndex(0)).is_none());
    life.act(cancel(None)).expect("it runs");
}

#[test]
fn a_key_that_is_none_fails_the_step() {
    for customer in [json!("x".repeat(300)), json!("a\nb")] {
        let life = Life::begin(KEYED, json!({ "customer": customer }));
        let failure = life.state.steps[0].failure.as_ref().expect("it failed");
        assert_eq!(failure.code, codes::EXPRESSION_FAILED, "{failure:?}");
        assert!(failure.message.contains("is no key"), "{failure:?}");
    }
}

#[test]
fn every_problem_of_a_limit_is_found_at_its_place() {
    let definition = json!({ "id": "w", "steps": [
        { "id": "a", "type": "task", "limits": [{ "key": "{{ steps.b.output.x }}", "max": 1 }] },
        { "id": "b", "type": "transform", "with": {}, "limits": [{ "key": "k", "max": 1 }] },
        { "id": "c", "type": "task", "limits": [{ "key": "k", "max": 0 }, { "max": 1 }, 5] },
        { "id": "d", "type": "task", "exclusive": true, "limits": [{ "key": "k", "max": 1 }] },
    ]});
    let problems = Plan::read(&definition, &Types).expect_err("it is wrong");
    let found: Vec<_> = problems.iter().map(|own| (own.path.as_str(), own.code)).collect();
    assert_eq!(
        found,
        [
            ("steps[2].limits[0].max", "OUT_OF_RANGE"),
            ("steps[2].limits[1].key", "MISSING_FIELD"),
            ("steps[2].limits[2]", "WRONG_TYPE"),
            ("steps[1].limits", "BAD_VALUE"),
            ("steps[3].limits", "BAD_VALUE"),
            ("steps[0].limits[0].key", "NOT_AN_ANCESTOR"),
        ]
    );
}

const KEYED_RUNS: &str = "
id: keyed
variables: { region: eu }
concurrency:
  - { key: 'customer-{{ input.customer }}', max_runs: 2, on_limit: cancel_running }
  - { max_runs: 9 }
  - { key: '{{ variables.region }}', max_runs: 7, on_limit: reject }
  - { key: eu, max_runs: 5 }
steps:
  - { id: a, type: task }
";

#[test]
fn a_run_is_told_its_keys_when_it_is_submitted() {
    let life = Life::begin(KEYED_RUNS, json!({ "customer": 7 }));
    let keys = vec![
        SlotKey { key: "customer-7".into(), max_runs: 2, on_limit: OnLimit::CancelRunning },
        SlotKey { key: "eu".into(), max_runs: 5, on_limit: OnLimit::Reject },
    ];
    assert_eq!(life.state.run_keys(), keys);
    assert_eq!(life.events[1], RunEvent::Link(LinkEvent::Keyed { keys }));
    assert_eq!(life.state.plan.concurrency.map(|own| own.max_runs), Some(9));
}

#[test]
fn a_submission_that_makes_no_key_is_refused() {
    let plan = crate::stage::plan(KEYED_RUNS);
    for input in [json!({}), json!({ "customer": "x".repeat(300) })] {
        let submission = crate::stage::submission(plan.clone(), &input);
        let refused = machine::begin(submission, Moment::at(START)).map(|_| ());
        let Err(machine::Refusal::Rejected(Rejection::NoLimitKey { why })) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(why.code, codes::EXPRESSION_FAILED, "{why:?}");
    }
}

#[test]
fn limits_of_runs_are_written_as_they_were_read() {
    let single = json!({ "id": "w", "concurrency": { "max_runs": 1 }, "steps": [
        { "id": "a", "type": "task" },
    ]});
    let mut listed = single.clone();
    listed["concurrency"] = json!([{ "max_runs": 1 }]);
    let several = serde_json::to_value(
        json!([{ "key": "k", "max_runs": 1, "on_limit": "cancel_running" }, { "max_runs": 2 }]),
    );
    let mut both = single.clone();
    both["concurrency"] = several.expect("plain data");
    let written = |value| Definition::read(value).expect("it is right").to_value();
    assert_eq!(written(&single), single);
    assert_eq!(written(&listed), single, "a list of one is the same content");
    assert_eq!(written(&both), both);
}

#[test]
fn every_problem_of_a_limit_of_runs_is_found_at_its_place() {
    let definition = |concurrency| json!({ "id": "w", "concurrency": concurrency, "steps": [{ "id": "a", "type": "task" }] });
    let found = |concurrency| -> Vec<(String, &'static str)> {
        let problems = Plan::read(&definition(concurrency), &Types).expect_err("it is wrong");
        problems.into_iter().map(|own| (own.path, own.code)).collect()
    };
    assert_eq!(
        found(json!([{ "max_runs": 1 }, { "max_runs": 0 }, { "max_runs": 2, "key": 5 }, 7])),
        [
            ("concurrency[1].max_runs".to_owned(), "OUT_OF_RANGE"),
            ("concurrency[2].key".to_owned(), "WRONG_TYPE"),
            ("concurrency[3]".to_owned(), "WRONG_TYPE"),
            ("concurrency".to_owned(), "BAD_VALUE"),
        ]
    );
    let reads_a_step = json!({ "key": "{{ steps.a.output.x }}", "max_runs": 1 });
    assert_eq!(found(reads_a_step), [("concurrency.key".to_owned(), "UNKNOWN_STEP")]);
}
