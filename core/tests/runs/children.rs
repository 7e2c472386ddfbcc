//! Steps that are runs of other workflows, and the messages that make them so.

use backstitch_core::command::{AttemptResult, Command, Rejection};
use backstitch_core::effect::{Effect, owed};
use backstitch_core::event::{LinkEvent, Message, Outcome, RunEvent};
use backstitch_core::failure::Failure;
use backstitch_core::ids::ExecutionId;
use backstitch_core::letters::InputEdit;
use backstitch_core::links::{Begins, DEPTH_MAX, Parcel, parcel};
use backstitch_core::payload::Payload;
use backstitch_core::time::Timestamp;
use serde_json::json;

use crate::stage::{Life, START, child, discard, plan_problems, retry, roll_back_to};

const PARENT: &str = "
id: parent
steps:
  - { id: first, type: task, undo: { type: task } }
  - id: sub
    type: workflow
    needs: [first]
    with: { workflow: '{{ input.which }}', input: { n: 1 } }
    retry: { max_attempts: 2, initial: 1s }
  - { id: last, type: task, needs: [sub] }
";

/// The messages a run owes, by their words.
pub fn owes(life: &Life) -> Vec<(u32, &'static str)> {
    let sends = owed(&life.state, life.now).into_iter().filter_map(|effect| match effect {
        Effect::Send { message } => parcel(&life.state, message),
        _ => None,
    });
    sends.map(|own| (own.message, own.body.word())).collect()
}

fn answer(life: &mut Life, message: u32, refused: Option<Failure>) {
    let owed = life.state.links.as_ref().and_then(|links| links.outbox.get(&message));
    let posted_at = owed.map_or(life.now, |own| own.posted_at);
    life.act(Command::Acknowledge { message, posted_at, refused }).expect("never rejected");
}

pub fn acknowledge(life: &mut Life, message: u32) {
    answer(life, message, None);
}

fn begun() -> (Life, ExecutionId) {
    let mut life = Life::begin(PARENT, json!({ "which": "other" }));
    life.succeeds("first");
    assert_eq!(owes(&life), [(0, "start")]);
    let sent = parcel(&life.state, 0).expect("owed");
    let start = sent.start.expect("a start says with what");
    let Begins::Workflow(wish) = &start.begins else { panic!("no loop here") };
    assert_eq!((wish.workflow.as_str(), wish.input.text()), ("other", "{\"n\":1}"));
    assert_eq!((start.parent.attempt, start.parent.depth), (1, 1));
    (life, sent.to)
}

fn receive(
    life: &mut Life,
    from: ExecutionId,
    message: u32,
    body: Message,
) -> Result<(), Rejection> {
    let posted_at = Timestamp(START.0 - 1);
    receive_posted(life, from, (message, posted_at), body)
}

pub fn receive_posted(
    life: &mut Life,
    from: ExecutionId,
    (message, posted_at): (u32, Timestamp),
    body: Message,
) -> Result<(), Rejection> {
    let output = Some(Payload::of(&json!({ "sum": 3 })));
    let (to, start) = (life.state.id, None);
    let namespace = life.state.submitted.namespace.clone();
    let parcel = Parcel { from, namespace, message, to, posted_at, body, start, output };
    life.act(Command::Receive { parcel: Box::new(parcel), retry_delay_ms: 1_000 })
}

fn ended(life: &Life, outcome: Outcome, failure: Option<Failure>) -> Message {
    let step = life.state.plan.index_of("sub").expect("a step");
    Message::Ended { step, attempt: life.state.step(step).attempt, outcome, failure }
}

#[test]
fn a_child_answers_once_and_its_output_is_the_steps() {
    let (mut life, child) = begun();
    let body = ended(&life, Outcome::Completed, None);
    receive(&mut life, child, 0, body.clone()).expect("awaited");
    assert_eq!(life.words(), "succeeded succeeded running");
    // The answer shows that the start has arrived.
    assert!(owes(&life).is_empty());
    let events = life.events.len();
    receive(&mut life, child, 0, body).expect("a repeat is never rejected");
    assert_eq!(life.events.len(), events, "a repeat changes nothing");
    life.succeeds("last");
    assert_eq!(life.status(), "completed");
    let step = life.state.plan.index_of("sub").expect("a step");
    assert_eq!(life.state.step(step).output.as_ref().expect("an answer").text(), "{\"sum\":3}");
}

#[test]
fn a_failed_child_is_tried_again_by_another_one() {
    let (mut life, first) = begun();
    let failure = Failure::retryable("CHILD_FAILED", "undone");
    let body = ended(&life, Outcome::Compensated, Some(failure.clone()));
    receive(&mut life, first, 0, body.clone()).expect("awaited");
    life.later(1_500);
    assert_eq!(owes(&life), [(1, "start")]);
    let second = parcel(&life.state, 1).expect("owed").to;
    assert_ne!(first, second);
    // A late word of the first child is heard and changes nothing.
    receive(&mut life, first, 1, body).expect("the run goes on");
    assert_eq!(life.words(), "succeeded running pending");
    let body = ended(&life, Outcome::Compensated, Some(failure));
    receive(&mut life, second, 0, body).expect("awaited");
    assert_eq!((life.status(), life.words().as_str()), ("compensating", "undoing failed pruned"));
}

#[test]
fn a_refused_start_fails_the_step() {
    let (mut life, _) = begun();
    let refused = Some(Failure::permanent("CHILD_WORKFLOW_NOT_FOUND", "no"));
    answer(&mut life, 0, refused);
    assert_eq!(life.words(), "undoing failed pruned");
    life.undone("first");
    assert_eq!(life.status(), "compensated");
}

#[test]
fn a_cancelled_parent_waits_for_its_child() {
    let (mut life, child) = begun();
    life.act(crate::stage::cancel(None)).expect("it runs");
    assert_eq!(owes(&life), [(0, "start")], "nobody is told to stop before it has begun");
    acknowledge(&mut life, 0);
    assert_eq!(owes(&life), [(1, "cancel")]);
    acknowledge(&mut life, 1);
    assert_eq!(life.words(), "succeeded running pending");
    let failure = Failure::permanent("CHILD_FAILED", "cancelled");
    let body = ended(&life, Outcome::Cancelled, Some(failure));
    receive(&mut life, child, 0, body).expect("awaited");
    life.undone("first");
    assert_eq!(life.status(), "cancelled");
}

#[test]
fn what_a_child_did_is_undone_by_the_child() {
    let (mut life, child) = begun();
    let body = ended(&life, Outcome::Completed, None);
    receive(&mut life, child, 0, body).expect("awaited");
    life.refuses("last");
    assert_eq!(owes(&life), [(1, "roll_back")]);
    acknowledge(&mut life, 1);
    let step = life.state.plan.index_of("sub").expect("a step");
    let failure = Some(Failure::permanent("CHILD_NOT_UNDONE", "stuck"));
    let body = Message::RolledBack { step, attempt: 1, failure };
    receive(&mut life, child, 1, body).expect("awaited");
    life.undone("first");
    assert_eq!(life.status(), "compensation_failed");
    life.act(retry(1)).expect("an undo is retried in place");
    assert_eq!(owes(&life), [(2, "roll_back")]);
    let body = Message::RolledBack { step, attempt: 2, failure: None };
    receive(&mut life, child, 2, body).expect("awaited");
    assert_eq!(life.words(), "undone undone failed");
    acknowledge(&mut life, 2);
    assert!(life.state.is_quiescent());
}

#[test]
fn a_child_owes_its_parent_the_end_and_is_undone_when_asked() {
    let above = ExecutionId { digits: 99, ..crate::stage::RUN };
    let mut life = child("{ id: c, steps: [{ id: a, type: task, undo: { type: task } }] }", above);
    assert_eq!(life.status(), "running");
    life.succeeds("a");
    assert_eq!((life.status(), owes(&life)), ("completed", vec![(0, "ended")]));
    assert!(!life.state.is_quiescent(), "the parent does not know yet");
    let ask = |life: &mut Life, message| {
        let step = life.state.parent().expect("a child").step;
        receive(life, above, message, Message::RollBack { step, attempt: 1 })
    };
    ask(&mut life, 7).expect("of the parent");
    assert_eq!((life.status(), owes(&life)), ("compensating", vec![(0, "ended")]));
    acknowledge(&mut life, 0);
    life.undone("a");
    assert_eq!((life.status(), owes(&life)), ("compensated", vec![(1, "rolled_back")]));
    acknowledge(&mut life, 1);
    assert!(life.state.is_quiescent());
    // Asked again by another attempt, it has nothing left to undo and says so.
    ask(&mut life, 8).expect("of the parent");
    assert_eq!(owes(&life), [(2, "rolled_back")]);
    let told = |event: &RunEvent| matches!(event, RunEvent::Link(LinkEvent::MessagePosted { .. }));
    assert_eq!(life.events.iter().filter(|event| told(event)).count(), 3);
}

#[test]
fn a_word_to_undo_that_comes_late_takes_no_newer_ones_place() {
    let above = ExecutionId { digits: 99, ..crate::stage::RUN };
    let mut life = child("{ id: c, steps: [{ id: a, type: task, undo: { type: task } }] }", above);
    life.succeeds("a");
    acknowledge(&mut life, 0);
    let step = life.state.parent().expect("a child").step;
    for (message, attempt) in [(8, 2), (7, 1)] {
        let body = Message::RollBack { step, attempt };
        receive(&mut life, above, message, body).expect("of the parent");
    }
    life.undone("a");
    let told = life.events.iter().find_map(|event| match event {
        RunEvent::Link(LinkEvent::MessagePosted { body, .. }) => match **body {
            Message::RolledBack { attempt, .. } => Some(attempt),
            _ => None,
        },
        _ => None,
    });
    assert_eq!(told, Some(2), "the attempt that is under way is answered");
}

#[test]
fn what_a_parent_has_undone_is_not_retried() {
    let above = ExecutionId { digits: 99, ..crate::stage::RUN };
    let ask = |life: &mut Life, message| {
        let step = life.state.parent().expect("a child").step;
        receive(life, above, message, Message::RollBack { step, attempt: 1 })
            .expect("of the parent");
    };
    let refused = Err(Rejection::UndoneWithParent { run: above });
    // Halted with nothing done, it is undone at once, and its step would act for nobody.
    let mut halted = child("{ id: c, on_failure: halt, steps: [{ id: a, type: task }] }", above);
    halted.refuses("a");
    ask(&mut halted, 7);
    assert_eq!(halted.act(retry(0)), refused);
    let edit = InputEdit::Replace(json!({}));
    let (reason, actor) = (String::new(), "ann".to_owned());
    let edit = Command::RetryLetterWith { letter: 0, edit, reason, actor };
    assert_eq!(halted.act(edit), refused);
    halted.act(discard(0)).expect("it can be given up");
    // An undo is retried until it has worked, and the parent is told what came of it.
    let undo = "{ id: c, steps: [{ id: a, type: task, undo: { type: task } }] }";
    let mut stuck = child(undo, above);
    stuck.succeeds("a");
    acknowledge(&mut stuck, 0);
    ask(&mut stuck, 7);
    stuck.undo_refused("a");
    assert_eq!((stuck.status(), owes(&stuck)), ("compensation_failed", vec![(1, "rolled_back")]));
    stuck.act(retry(0)).expect("it is not undone yet");
    stuck.undone("a");
    ask(&mut stuck, 8);
    assert_eq!(stuck.status(), "compensated");
    assert!(stuck.state.links.as_ref().is_some_and(|links| links.rolled_back));
}

#[test]
fn a_signal_is_sent_until_it_is_taken_in_or_refused() {
    let to = ExecutionId { digits: 5, ..crate::stage::RUN };
    let sender = "{ id: s, steps: [{ id: a, type: signal,
        with: { execution: '{{ input.to }}', name: go, payload: [1] } }] }";
    let mut life = Life::begin(sender, json!({ "to": to.to_string() }));
    assert_eq!(owes(&life), [(0, "signal")]);
    let sent = parcel(&life.state, 0).expect("owed");
    assert_eq!((sent.to, sent.output.expect("a payload").text()), (to, "[1]"));
    acknowledge(&mut life, 0);
    assert_eq!(life.status(), "completed");
    let mut refused = Life::begin(sender, json!({ "to": to.to_string() }));
    let why = Some(Failure::permanent("MESSAGE_REFUSED", "there is no such run"));
    answer(&mut refused, 0, why);
    assert_eq!((refused.status(), refused.words().as_str()), ("failed", "failed"));
    let nobody = Life::begin(sender, json!({ "to": "somebody" }));
    assert_eq!(nobody.state.letters[0].failure.code, "EXPRESSION_FAILED");
    let waits = "{ id: w, steps: [{ id: a, type: wait, with: { signal: go } }] }";
    let mut waiting = Life::begin(waits, json!({}));
    let body = sent.body;
    receive(&mut waiting, life.state.id, 0, body.clone()).expect("it goes on");
    assert_eq!(waiting.status(), "completed");
    receive(&mut waiting, life.state.id, 0, body).expect("a repeat is never rejected");
}

#[test]
fn only_the_parent_has_a_say() {
    let above = ExecutionId { digits: 99, ..crate::stage::RUN };
    let mut life = child("{ id: c, steps: [{ id: a, type: task }] }", above);
    let step = life.state.parent().expect("a child").step;
    let body = Message::Cancel { step, reason: "no".to_owned(), compensate: true };
    let stranger = ExecutionId { digits: 98, ..above };
    let refused = receive(&mut life, stranger, 0, body.clone());
    assert!(matches!(refused, Err(Rejection::MessageRefused { .. })), "{refused:?}");
    receive(&mut life, above, 0, body.clone()).expect("of the parent");
    life.succeeds("a");
    assert_eq!(life.status(), "cancelled");
    let late = receive(&mut life, above, 1, body);
    assert!(matches!(late, Err(Rejection::AlreadyEnded { .. })), "{late:?}");
}

#[test]
fn nesting_has_an_end() {
    let above = ExecutionId { digits: 99, ..crate::stage::RUN };
    let nested = "{ id: c, steps: [{ id: a, type: workflow, with: { workflow: c } }] }";
    let life = crate::stage::child_at(nested, above, DEPTH_MAX);
    assert_eq!(life.status(), "failed");
    assert_eq!(life.state.letters[0].failure.code, "CHILD_TOO_DEEP");
    let life = crate::stage::child_at(nested, above, DEPTH_MAX - 1);
    assert_eq!(owes(&life), [(0, "start")]);
}

#[test]
fn a_step_that_names_no_workflow_is_no_definition() {
    let problems = |with: &str| {
        plan_problems(&format!("{{ id: p, steps: [{{ id: a, type: workflow, {with} }}] }}"))
    };
    assert_eq!(problems("with: { workflow: c, input: { a: 1 }, revision: 2 }"), [""; 0]);
    assert_eq!(problems("with: { workflow: '{{ input.x }}' }"), [""; 0]);
    assert_eq!(problems("name: x"), ["steps[0].with"]);
    assert_eq!(problems("with: { input: 1 }"), ["steps[0].with.workflow"]);
    assert_eq!(problems("with: { workflow: c, inputs: 1 }"), ["steps[0].with.inputs"]);
    assert_eq!(problems("with: { workflow: c, revision: 0 }"), ["steps[0].with"]);
    assert_eq!(problems("with: { workflow: c }, timeout: 5s"), ["steps[0].timeout"]);
    let undo = "with: { workflow: c }, undo: { type: workflow, with: { workflow: d } }";
    assert_eq!(problems(undo), ["steps[0].undo.type"]);
}

#[test]
fn only_the_child_answers_for_its_step() {
    let (mut life, child) = begun();
    let body = ended(&life, Outcome::Completed, None);
    let stranger = ExecutionId { digits: 98, ..child };
    receive(&mut life, stranger, 0, body.clone()).expect("it is taken in and means nothing");
    assert_eq!(life.words(), "succeeded running pending");
    receive(&mut life, child, 0, body).expect("awaited");
    assert_eq!(life.words(), "succeeded succeeded running");
}

#[test]
fn a_run_beside_what_is_rolled_back_is_not_waited_for() {
    let text = "
id: parent
steps:
  - { id: who, type: task }
  - { id: seat, type: task, needs: who, undo: { type: free } }
  - { id: sub, type: workflow, with: { workflow: other } }
";
    let rolled_back = || {
        let mut life = Life::begin(text, json!({}));
        life.succeeds("who").succeeds("seat");
        let child = parcel(&life.state, 0).expect("owed").to;
        life.act(roll_back_to("who")).expect("it runs");
        assert_eq!(life.words(), "succeeded undoing running", "it may wait for a person");
        (life, child)
    };
    let (mut life, _) = rolled_back();
    life.undone("seat");
    assert_eq!(life.words(), "succeeded running running");
    let (mut life, child) = rolled_back();
    let body = ended(&life, Outcome::Completed, None);
    receive(&mut life, child, 0, body).expect("awaited");
    assert_eq!(life.words(), "succeeded undoing succeeded");
    life.undone("seat").succeeds("seat");
    assert_eq!(life.status(), "completed");
    let (mut life, child) = rolled_back();
    let failure = Some(Failure::permanent("NO", "no"));
    let body = ended(&life, Outcome::Failed, failure);
    receive(&mut life, child, 0, body).expect("awaited");
    life.undone("seat");
    assert_eq!(life.words(), "succeeded cancelled failed", "the whole run fails of it");
}

#[test]
fn a_child_that_was_stopped_as_it_is_is_undone_whole_whatever_is_under_way_as_its_parent_asks() {
    let above = ExecutionId { digits: 99, ..crate::stage::RUN };
    let text = "
id: c
steps:
  - { id: seat, type: task, undo: { type: free } }
  - { id: gift, type: task, retry: none, allow_failure: true, undo: { type: recall } }
";
    let mut life = child(text, above);
    life.succeeds("seat").report("gift", AttemptResult::TimedOut);
    let (reason, actor) = ("now".to_owned(), "me".to_owned());
    let stop = Command::Cancel { reason, actor, compensate: Some(false), force: true };
    life.act(stop).expect("it has not ended");
    assert_eq!((life.status(), owes(&life)), ("cancelled", vec![(0, "ended")]));
    acknowledge(&mut life, 0);
    life.act(retry(0)).expect("it is open");
    let step = life.state.parent().expect("a child").step;
    receive(&mut life, above, 7, Message::RollBack { step, attempt: 1 }).expect("of the parent");
    life.undone("gift");
    assert_eq!((life.words().as_str(), owes(&life)), ("undoing undone", vec![]));
    life.undone("seat");
    assert_eq!((life.status(), owes(&life)), ("compensated", vec![(1, "rolled_back")]));
}
