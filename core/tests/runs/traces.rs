//! The trace that a run belongs to: told or derived, handed on to attempts and children.

use backstitch_core::checkpoint::Checkpoint;
use backstitch_core::command::{AttemptResult, Command};
use backstitch_core::effect::{Effect, owed};
use backstitch_core::event::{Event, LinkEvent, Origin, RunEvent};
use backstitch_core::ids::{ExecutionId, StepIndex};
use backstitch_core::links::parcel;
use backstitch_core::machine::{replay, submit};
use backstitch_core::payload::Payload;
use backstitch_core::report::execution_json;
use backstitch_core::state::State;
use backstitch_core::time::Moment;
use backstitch_core::trace::{RunSpans, SpanId, TraceContext, TraceId};
use serde_json::json;

use crate::stage::{Known, Life, RUN, START, child_at, plan, roll_back_to, submission};

const SAGA: &str = "
id: saga
tags: [t]
concurrency: { key: k, max_runs: 3 }
steps:
  - { id: charge, type: task, undo: { type: task }, retry: { max_attempts: 2, initial: 1s } }
  - { id: sub, type: workflow, needs: [charge], with: { workflow: other } }
";

fn told() -> TraceContext {
    let state = "vendor=x".into();
    TraceContext { trace: TraceId(0xabc), parent: Some(SpanId(0xdef)), sampled: false, state }
}

/// A run that was submitted in a trace, and what began it.
fn begun(trace: Option<TraceContext>) -> (State, Vec<RunEvent>) {
    let mut submission = submission(plan(SAGA), &json!({}));
    submission.trace = trace.map(Box::new);
    let (state, decision) = submit(submission, Moment::at(START)).expect("it begins");
    (state, decision.events)
}

fn is_traced(event: &RunEvent) -> bool {
    matches!(event, RunEvent::Link(LinkEvent::Traced(_)))
}

#[test]
fn a_trace_is_told_last_when_a_run_begins_and_outlives_replay_and_checkpoint() {
    let (state, events) = begun(Some(told()));
    assert_eq!(state.trace(), told());
    let behind = events.iter().position(is_traced).expect("it is told");
    assert!(events[1..=behind].iter().all(RunEvent::belongs_to_the_beginning));
    assert!(!events[behind + 1].belongs_to_the_beginning());
    let events: Vec<_> = events.into_iter().map(Event::Run).collect();
    let stamped = || events.iter().map(|event| (event, START));
    let again = replay(RUN, &Known::of(&state.plan), stamped()).expect("it folds");
    assert_eq!(again.trace(), told());
    let restored = Checkpoint::of(&state).restore(RUN, state.plan.clone()).expect("its own");
    assert_eq!(restored.trace(), told());
    assert_eq!(execution_json(&state)["trace_id"], json!(format!("{:032x}", 0xabc)));

    let mut late = events.clone();
    let told = late.remove(behind);
    late.push(told);
    let late = replay(RUN, &Known::of(&state.plan), late.iter().map(|event| (event, START)));
    assert!(late.is_err(), "only when it is submitted");
}

#[test]
fn what_follows_from_a_run_is_not_told() {
    let (state, events) = begun(None);
    assert!(!events.iter().any(is_traced));
    let root =
        TraceContext { trace: TraceId::of_run(RUN), parent: None, sampled: true, state: "".into() };
    assert_eq!(state.trace(), root);
    let (_, events) = begun(Some(root));
    assert!(!events.iter().any(is_traced));
}

#[test]
fn each_attempt_is_called_below_its_own_span_of_the_runs_trace() {
    let mut life = Life::begin(SAGA, json!({}));
    (life.state, life.events) = begun(Some(told()));
    life.times = vec![START; life.events.len()];
    let below = |life: &Life| {
        let [effect] = owed(&life.state, life.now)[..] else { panic!("one is under way") };
        life.state.trace_below(effect)
    };
    let first = below(&life);
    assert_eq!(first, TraceContext { parent: first.parent, ..told() });
    assert_eq!(first.parent, Some(SpanId::of_step(RUN, StepIndex(0), 1)));
    life.report("charge", AttemptResult::TimedOut).later(1_000);
    assert_eq!(below(&life).parent, Some(SpanId::of_step(RUN, StepIndex(0), 2)));
    let undo = Effect::UndoStep { step: StepIndex(0), attempt: 1 };
    let span = SpanId::of_undo(RUN, StepIndex(0), 1, 1);
    assert_eq!(life.state.trace_below(undo).parent, Some(span));
}

#[test]
fn a_child_stands_below_the_attempt_that_it_is_and_is_told_what_does_not_follow() {
    for trace in [None, Some(told())] {
        let mut life = Life::begin(SAGA, json!({}));
        (life.state, life.events) = begun(trace.clone());
        life.times = vec![START; life.events.len()];
        life.succeeds("charge");
        let start = parcel(&life.state, 0).and_then(|own| own.start).expect("a child begins");
        let step = SpanId::of_step(RUN, StepIndex(1), 1);
        assert_eq!(*start.trace, TraceContext { parent: Some(step), ..life.state.trace() });

        let mut own = submission(plan("{ id: other, steps: [{ id: a, type: noop }] }"), &json!({}));
        own.execution = ExecutionId { digits: 99, ..RUN };
        let origin = Origin { parent: Some(start.parent), ..Origin::default() };
        (own.origin, own.trace) = (Some(Box::new(origin)), Some(start.trace.clone()));
        let (child, decision) = submit(own, Moment::at(START)).expect("it begins");
        assert_eq!(child.trace(), *start.trace);
        assert_eq!(decision.events.iter().any(is_traced), trace.is_some());
    }
}

#[test]
fn a_child_that_was_told_nothing_is_in_the_trace_of_its_parents_own() {
    let above = ExecutionId { digits: 77, ..RUN };
    let life = child_at("{ id: other, steps: [{ id: a, type: task }] }", above, 1);
    let trace = life.state.trace();
    assert_eq!(trace.trace, TraceId::of_run(above));
    assert_eq!(trace.parent, Some(SpanId::of_step(above, StepIndex(0), 1)));
}

const TOLD: &str = "
id: saga
callbacks: [{ event: workflow.failed, url: 'http://127.0.0.1/told' }]
steps:
  - { id: a, type: task, undo: { type: task }, retry: { max_attempts: 2, initial: 1s } }
  - { id: b, type: task, needs: [a], retry: none }
";

/// The spans of a run, where every task and every URL is a service.
fn spans(life: &Life) -> RunSpans {
    let events: Vec<_> = life.events.iter().cloned().map(Event::Run).collect();
    let stamped = events.iter().zip(life.times.iter().copied());
    let services = |task_type: &str, _: &Payload| Some(format!("by {task_type}"));
    RunSpans::read(RUN, Some(&life.state.plan), &services, stamped).expect("it was submitted")
}

#[test]
fn spans_read_off_the_events_are_those_that_effects_were_sent_with() {
    let mut life = Life::begin(TOLD, json!({}));
    let mut sent = vec![None];
    let note = |life: &Life, sent: &mut Vec<_>| {
        for effect in owed(&life.state, life.now) {
            sent.push(life.state.trace_below(effect).parent);
        }
    };
    note(&life, &mut sent);
    let open = spans(&life);
    assert!(open.spans.iter().all(|own| own.end.is_none()), "{open:?}");
    life.report("a", AttemptResult::TimedOut).later(1_000);
    note(&life, &mut sent);
    life.succeeds("a");
    note(&life, &mut sent);
    life.refuses("b");
    note(&life, &mut sent);
    life.undone("a");
    note(&life, &mut sent);
    let (delivery, attempt, retry_delay_ms) = (0, 1, 0);
    let told = Command::ReportCallback { delivery, attempt, result: Ok(200), retry_delay_ms };
    life.act(told).expect("never rejected");

    let read = spans(&life);
    sent[0] = Some(SpanId::of_run(RUN));
    let ids: Vec<_> = read.spans.iter().map(|own| Some(own.id)).collect();
    assert_eq!(ids, sent);
    let said: Vec<_> = read
        .spans
        .iter()
        .map(|own| {
            let end = own.end.as_ref().expect("all of them are over");
            (own.kind.word(), &*own.subject, own.attempt, end.word, end.failure.is_some())
        })
        .collect();
    assert_eq!(
        said,
        [
            ("run", "saga", 0, "compensated", true),
            ("step", "a", 1, "failed", true),
            ("step", "a", 2, "succeeded", false),
            ("step", "b", 1, "failed", true),
            ("undo", "a", 1, "succeeded", false),
            ("callback", "workflow.failed", 1, "succeeded", false),
        ]
    );
    assert!(read.spans[1..].iter().all(|own| own.above == Some(read.own().id)));
    let services: Vec<_> = read.spans.iter().map(|own| own.service.as_deref()).collect();
    let task = Some("by task");
    assert_eq!(services, [None, task, task, task, task, Some("by http")]);
    let versions = read.spans.iter().filter_map(|own| own.end.as_ref()).map(|end| end.version);
    for version in versions {
        let at = usize::try_from(version).expect("few") - 1;
        assert!(life.events.get(at).is_some(), "the version of an event");
    }
}

#[test]
fn a_run_that_is_undone_to_a_step_and_does_it_again_has_spans_of_their_own() {
    let mut life = Life::begin(
        "{ id: w, steps: [{ id: a, type: task }, { id: b, type: task, needs: [a], undo: { type: task } }] }",
        json!({}),
    );
    life.succeeds("a").succeeds("b");
    assert!(spans(&life).own().end.is_some());
    let undo = |life: &Life| {
        let [effect] = owed(&life.state, life.now)[..] else { panic!("one is under way") };
        life.state.trace_below(effect).parent
    };
    life.act(roll_back_to("a")).expect("it may go back");
    let first = undo(&life);
    assert!(spans(&life).own().end.is_none(), "it goes on");
    life.undone("b");
    life.succeeds("b");
    life.act(roll_back_to("a")).expect("it may go back");
    let second = undo(&life);
    assert_ne!(first, second);
    life.undone("b");
    let ids: Vec<_> = spans(&life).spans.iter().map(|own| Some(own.id)).collect();
    assert!(ids.contains(&first) && ids.contains(&second));
    let mut different = ids.clone();
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), ids.len());
}
