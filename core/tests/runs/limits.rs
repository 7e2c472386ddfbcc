//! Limits of time: a step's over all its attempts, and what was agreed.

use backstitch_core::effect::owed;
use backstitch_core::event::{Event, RunEvent};
use backstitch_core::failure::codes;
use backstitch_core::report::{event_type, execution_json};
use serde_json::json;

use crate::stage::{Life, retry};

const LIMITED: &str = "
id: limited
steps:
  - id: a
    type: task
    retry: { max_attempts: 100, initial: 1s, backoff: fixed, jitter: false }
    total_timeout: 10s
    undo: { type: task }
";

#[test]
fn a_limit_over_all_attempts_stops_the_attempt_under_way() {
    let mut life = Life::begin(LIMITED, json!({}));
    life.later(4_000).stumbles("a").later(5_999);
    assert_eq!(life.words(), "running");
    life.later(1);
    assert_eq!(life.status(), "compensating", "nobody knows whether the attempt took effect");
    let failure = life.state.steps[0].failure.as_ref().expect("failed");
    assert_eq!(failure.code, codes::STEP_TIMEOUT);
    assert!(
        owed(&life.state, life.now)
            .iter()
            .all(|own| !matches!(own, backstitch_core::effect::Effect::RunStep { .. }))
    );
    life.undone("a");
    assert_eq!(life.status(), "compensated");
}

#[test]
fn a_limit_ends_the_waits_between_attempts() {
    let mut life = Life::begin(LIMITED, json!({}));
    life.later(9_500).stumbles("a").later(500);
    assert_eq!((life.words().as_str(), life.status()), ("failed", "failed"));
    life.later(60_000);
    assert!(life.state.next_due(life.now).is_none());
}

#[test]
fn a_retried_step_has_its_time_anew() {
    let mut life = Life::begin(&format!("{LIMITED}on_failure: suspend"), json!({}));
    life.later(10_000);
    assert_eq!(life.status(), "suspended");
    life.act(retry(0)).expect("open");
    life.later(9_999);
    assert_eq!(life.words(), "running");
    life.succeeds("a").later(60_000);
    assert_eq!(life.status(), "completed");
}

#[test]
fn a_wait_for_a_signal_ends_with_the_limit() {
    let definition = "
id: w
steps: [{ id: a, type: wait, with: { signal: go }, total_timeout: 5s, allow_failure: true }]
";
    let mut life = Life::begin(definition, json!({}));
    life.later(5_000);
    assert_eq!((life.words().as_str(), life.status()), ("failed", "completed"));
}

#[test]
fn a_breach_is_said_once_and_nothing_else_follows() {
    let definition = "
id: agreed
sla: { within: 10s }
callbacks: [{ event: workflow.sla_breached, url: 'http://127.0.0.1/' }]
steps: [{ id: a, type: task, sla: 5s }]
";
    let mut life = Life::begin(definition, json!({}));
    life.later(60_000).later(60_000);
    assert_eq!(life.words(), "running");
    life.succeeds("a");
    assert_eq!(life.status(), "completed");
    let said = |event: &&RunEvent| event_type(&Event::Run((*event).clone())) == "SlaBreached";
    assert_eq!(life.events.iter().filter(said).count(), 2);
    assert_eq!(life.state.deliveries.len(), 1);
    let shown = execution_json(&life.state);
    assert_eq!(shown["sla"]["limit_ms"], 10_000);
    let steps: Vec<_> = life.state.breaches().iter().map(|own| own.step.is_some()).collect();
    assert_eq!(steps, [true, false], "the earlier one first");
}

#[test]
fn what_ends_in_time_breaches_nothing() {
    let definition = "
id: agreed
sla: 10s
steps: [{ id: a, type: task, sla: 5s, total_timeout: 8s }]
";
    let mut life = Life::begin(definition, json!({}));
    life.later(4_999).succeeds("a").later(60_000);
    assert_eq!(life.status(), "completed");
    assert!(life.state.breaches().is_empty());
    assert!(life.state.next_due(backstitch_core::time::Timestamp(0)).is_none());
}
