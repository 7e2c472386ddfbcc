//! Keyed limits: what a step asks for, and until when.

use backstitch_core::arrows::StepStatus;
use backstitch_core::event::{Event, GraphEvent, LimitKey, RunEvent};
use backstitch_core::failure::codes;
use backstitch_core::ids::StepIndex;
use backstitch_core::plan::Plan;
use backstitch_core::room::{Attempt, Room};
use backstitch_core::state::Wanted;
use backstitch_core::time::Moment;
use backstitch_core::{command::Command, machine};
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
    assert_eq!(state.wants_turn(START, &held), Some(Attempt::Step));
    assert_eq!(state.wants_turn(START, &Default::default()), None, "it waits for its places");
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
