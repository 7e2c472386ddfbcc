//! Checkpoints are caches with a format: a changed state is a new format.

use backstitch_core::arrows::{DeliveryStatus, Phase, STEP_ARROWS, UNDO_ARROWS};
use backstitch_core::checkpoint::{CHECKPOINT_FORMAT, Checkpoint, Unusable};
use backstitch_core::event::{
    Alert, AlertOf, BodyForm, CallbackEvent, CallbackForm, DeliveryEvent, Event, Fault, FaultKind,
    GraphEvent, Hold, HoldReason, LinkEvent, RunEvent, ServiceEvent, Severity, Target,
};
use backstitch_core::failure::Failure;
use backstitch_core::ids::{Digest, ExecutionId, PartitionId, StepIndex};
use backstitch_core::machine::replay;
use backstitch_core::payload::Payload;
use backstitch_core::state::State;
use backstitch_core::trace::{SpanId, TraceContext, TraceId};
use serde_json::json;

use crate::stage::{
    CHAIN, Life, RUN, START, cancel, discard, force, pause, plan, retry, roll_back, set, signal,
};
use crate::{checks, forks};

/// States that hold something in every field.
fn states() -> Vec<State> {
    let callbacks = "
callbacks: [{ event: workflow.failed, url: 'http://127.0.0.1/' }]
timeout: 10m";
    let mut undone = Life::begin(&format!("{CHAIN}{callbacks}"), json!({ "n": 1 }));
    undone.succeeds("a").succeeds("b").refuses("c").undo_refused("b").undone("a");
    let half_retried = {
        undone.act(retry(1)).expect("an undo is retried in place");
        undone.state.clone()
    };
    undone.undone("b");
    let mut cancelled = Life::begin(CHAIN, json!({}));
    cancelled.succeeds("a").stumbles("b");
    let retrying = cancelled.state.clone();
    cancelled.act(cancel(Some(true))).expect("it runs");
    let mut given_up = Life::begin(&format!("{CHAIN}\non_failure: suspend"), json!({}));
    given_up.succeeds("a").refuses("b");
    given_up.act(discard(0)).expect("open");
    let mut waiting = Life::begin(
        "{ id: w, outputs: { x: 1 }, steps: [{ id: a, type: wait, with: { duration: 5s } }] }",
        json!({}),
    );
    let asleep = waiting.state.clone();
    waiting.later(6_000);
    let mut held = Life::begin(
        "{ id: h, steps: [{ id: a, type: wait, with: { signal: go } }, { id: b, type: task }] }",
        json!({}),
    );
    held.act(signal("other", 1, Some("id"))).expect("it runs");
    held.act(pause()).expect("it runs");
    held.act(set("a", None)).expect("it waits");
    let mut rolled_back = Life::begin(CHAIN, json!({}));
    rolled_back.succeeds("a").act(pause()).expect("it runs");
    rolled_back.act(roll_back()).expect("it is paused");
    let mut forced = Life::begin(CHAIN, json!({}));
    forced.succeeds("a").act(force()).expect("it runs");
    forced.act(force()).expect("it unwinds");
    let [asking, found] = checks::both();
    let forks = forks::both();
    let mut chosen = Life::begin(
        "
id: flow
sla: 1ms
steps:
  - { id: which, type: router, routes: [{ when: 'true', to: [a, b] }], default: [c] }
  - { id: a, type: task, on_failure: [d] }
  - { id: b, type: task, on_failure: [e], on_success: [f] }
  - { id: c, type: task }
  - { id: d, type: task }
  - { id: e, type: task }
  - { id: f, type: task, total_timeout: 5s, sla: 1s }",
        json!({}),
    );
    chosen.refuses("a").succeeds("d").later(1_000).refuses("b");
    let mut cached =
        Life::begin("{ id: k, steps: [{ id: a, type: task, cache: true }] }", json!({}));
    cached.state = answered_from_cache(cached.state);
    let mut waits = Life::begin("{ id: c, steps: [{ id: a, type: task }] }", json!({}));
    waits.state = told_to_wait(waits.state);
    let numbered = Life::begin(
        "{ id: n, sla: '{{ input.s }}', steps: [{ id: a, type: task, timeout: '{{ input.s }}' }] }",
        json!({ "s": "5s" }),
    );
    let looping = Life::begin(
        "{ id: l, steps: [{ id: a, type: foreach, with: { items: [1] }, each: { type: task } }] }",
        json!({}),
    );
    let keyed = Life::begin(
        "{ id: n, concurrency: { key: a, max_runs: 2 }, steps: [{ id: a, type: task }] }",
        json!({}),
    );
    let mut formed = Life::begin(
        "{ id: t, callbacks: [{ events: [step.failed], url: 'http://h/' }],
           steps: [{ id: a, type: task }] }",
        json!({}),
    );
    formed.state = told_in_forms(formed.state);
    let mut traced = Life::begin("{ id: o, steps: [{ id: a, type: task }] }", json!({}));
    traced.state = told_its_trace(traced.state);
    let lives = [
        traced,
        formed,
        waits,
        keyed,
        looping,
        numbered,
        cached,
        chosen,
        undone,
        cancelled,
        given_up,
        waiting,
        held,
        rolled_back,
        forced,
    ];
    lives
        .into_iter()
        .map(|life| life.state)
        .chain([half_retried, retrying, asleep, asking, found])
        .chain(forks)
        .collect()
}

/// The run was submitted in somebody's trace.
fn told_its_trace(state: State) -> State {
    let submitted = Event::Run(RunEvent::Submitted(state.submitted.clone()));
    let (trace, parent) = (TraceId(1), Some(SpanId(2)));
    let trace = Box::new(TraceContext { trace, parent, sampled: false, state: "a=1".into() });
    let events = [submitted, Event::Run(RunEvent::Link(LinkEvent::Traced(trace)))];
    replay(RUN, &state.plan, events.iter().map(|event| (event, START))).expect("it happens so")
}

/// The first step had been answered by another run's.
fn answered_from_cache(state: State) -> State {
    let submitted = Event::Run(RunEvent::Submitted(state.submitted.clone()));
    let input = Payload::of(&json!({}));
    let ready = Event::Run(RunEvent::StepReady { step: StepIndex(0), round: 1, input });
    let hit = Event::Run(RunEvent::Graph(GraphEvent::StepCacheHit {
        step: StepIndex(0),
        attempt: 0,
        source: RUN,
        source_step: "b".into(),
        output: Payload::null(),
    }));
    let events = [submitted, ready, hit];
    let events = events.iter().map(|event| (event, START));
    replay(RUN, &state.plan, events).expect("it happens so")
}

/// The first step's service was not to be called, and its first attempt is to fail.
fn told_to_wait(state: State) -> State {
    let submitted = Event::Run(RunEvent::Submitted(state.submitted.clone()));
    let input = Payload::of(&json!({}));
    let ready = Event::Run(RunEvent::StepReady { step: StepIndex(0), round: 1, input });
    let hold = Hold { key: "k".into(), why: HoldReason::Open, until: Some(START) };
    let held = ServiceEvent::CallHeld { step: StepIndex(0), undo: false, hold };
    let kind = FaultKind::Fail { permanent: true };
    let faults = vec![Fault { step: StepIndex(0), undo: false, attempt: Some(1), kind }];
    let faults = Event::Run(RunEvent::Service(ServiceEvent::FaultsPlanned { faults }));
    let events = [submitted, faults, ready, Event::Run(RunEvent::Service(held))];
    replay(RUN, &state.plan, events.iter().map(|event| (event, START))).expect("it happens so")
}

/// Somebody is told in a form of their own, and nobody yet that the step has failed.
fn told_in_forms(state: State) -> State {
    let submitted = Event::Run(RunEvent::Submitted(state.submitted.clone()));
    let form = CallbackForm::PagerDuty { routing_key: "k".to_owned() };
    let target =
        Target { event: CallbackEvent::Started, url: "http://127.0.0.1/".to_owned(), form };
    let targets = DeliveryEvent::Targeted { targets: vec![target.clone()] };
    let scheduled = DeliveryEvent::Scheduled { delivery: 0, target, about: None };
    let [targets, scheduled] = [targets, scheduled].map(|own| Event::Run(RunEvent::Delivery(own)));
    let failure = Failure::permanent("NO", "no").with_details(Payload::null());
    let failed = Event::Run(RunEvent::StepFailed { step: StepIndex(0), failure });
    let of = AlertOf {
        rule: "r".to_owned(),
        channel: "c".to_owned(),
        severity: Some(Severity::Warning),
    };
    let form = CallbackForm::of(
        BodyForm::Opsgenie { api_key: "k".to_owned() },
        vec![("x-from".to_owned(), "b".to_owned())],
    );
    let (url, waiting) = ("http://127.0.0.1/".to_owned(), vec![CallbackEvent::StepWaiting]);
    let alert = Alert { of: of.clone(), events: waiting, url: url.clone(), form: form.clone() };
    let pinned = DeliveryEvent::AlertsPinned { alerts: vec![alert] };
    let target = Target { event: CallbackEvent::Completed, url, form };
    let alerted = DeliveryEvent::AlertScheduled { delivery: 1, target, about: None, of };
    let [pinned, alerted] = [pinned, alerted].map(|own| Event::Run(RunEvent::Delivery(own)));
    let events = [submitted, targets, pinned, scheduled, alerted, failed];
    let state = replay(RUN, &state.plan, events.iter().map(|event| (event, START)));
    let state = state.expect("it happens so");
    assert_eq!(state.untold().len(), 1);
    state
}

/// If this fails, what a state holds has changed: raise [`CHECKPOINT_FORMAT`], so that older
/// checkpoints are dropped, and write the new digest beside it.
#[test]
fn a_state_of_another_shape_is_another_format() {
    let made: Vec<_> = states().iter().map(Checkpoint::of).collect();
    let arrows = STEP_ARROWS.iter().map(|&(from, _, to)| [from as u8, to as u8]);
    let arrows = arrows.chain(UNDO_ARROWS.iter().map(|&(from, _, to)| [from as u8, to as u8]));
    let arrows: Vec<_> = arrows.collect();
    let numbers = [Phase::Forward as u8, Phase::Ended as u8, DeliveryStatus::Failed as u8];
    let text = serde_json::to_string(&(made, arrows, numbers)).expect("plain data");
    let known = (26, "941542af2b2cb02ac6341cac79beea8965dcbfc60053675b144d9a38f3705e29");
    assert_eq!((CHECKPOINT_FORMAT, Digest::of(text.as_bytes()).to_string().as_str()), known);
}

#[test]
fn a_checkpoint_of_something_else_is_refused() {
    for state in states() {
        let made = Checkpoint::of(&state);
        let other = ExecutionId { partition: PartitionId(1), digits: 7 };
        let foreign = made.clone().restore(other, state.plan.clone());
        assert_eq!(foreign.map(|_| ()), Err(Unusable::Foreign));
        let other_plan = plan("{ id: other, steps: [{ id: a, type: task }] }");
        assert_eq!(made.clone().restore(RUN, other_plan).map(|_| ()), Err(Unusable::Foreign));
        let mut older = serde_json::to_value(&made).expect("plain data");
        older["format"] = json!(CHECKPOINT_FORMAT + 1);
        let older: Checkpoint = serde_json::from_value(older).expect("plain data");
        let refused = older.restore(RUN, state.plan.clone()).map(|_| ());
        assert_eq!(refused, Err(Unusable::Format(CHECKPOINT_FORMAT + 1)));
    }
}
