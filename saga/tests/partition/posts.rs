//! Messages between runs, sent and taken in by one partition.

use backstitch_core::command::{AttemptResult, Command};
use backstitch_core::effect::Effect;
use backstitch_core::event::{Event, LinkEvent, Message, Outcome, RunEvent};
use backstitch_core::ids::{ExecutionId, StepIndex, StreamId};
use backstitch_core::links::Parcel;
use backstitch_core::payload::Payload;
use backstitch_core::plan::Plan;
use backstitch_core::retention::Candidate;
use backstitch_core::time::Timestamp;
use backstitch_saga::partition::{Input, Post, RESEND_AFTER_MS, Removal};
use serde_json::{Value, json};
use std::sync::Arc;

use crate::bench::{Bench, RUN, START, plan, submission};

fn parent(with: &Value) -> Arc<Plan> {
    plan(json!({ "id": "above", "steps": [{ "id": "sub", "type": "workflow", "with": with }] }))
}

fn below() -> Arc<Plan> {
    let schema = json!({ "type": "object", "required": ["n"] });
    plan(json!({
        "id": "below", "input_schema": schema, "steps": [{ "id": "a", "type": "task" }],
    }))
}

/// A parent that has asked for its child, and what it sent.
fn asked(with: &Value) -> (Bench, Post) {
    let (above, below) = (parent(with), below());
    let mut bench = Bench::new(START, &[&above, &below]);
    bench.take(Input::Submit(submission(RUN, &above, None), ()), START);
    assert!(bench.posts.is_empty(), "nothing is sent before it is durable");
    bench.flush();
    let post = bench.posts.pop().expect("the child is asked for");
    (bench, post)
}

fn begun(bench: &Bench) -> Vec<ExecutionId> {
    bench.orders.iter().map(|order| order.execution).collect()
}

#[test]
fn a_child_begins_once_however_often_it_is_asked_for() {
    let (mut bench, post) = asked(&json!({ "workflow": "below", "input": { "n": 1 } }));
    bench.take(Input::Post(post.clone()), START);
    bench.take(Input::Post(post.clone()), START);
    assert!(bench.posts.is_empty(), "no answer before it is durable");
    bench.flush();
    assert_eq!(begun(&bench).len(), 1);
    let answers = std::mem::take(&mut bench.posts);
    let agreed = |post: &Post| matches!(post, Post::Acknowledge { refused: None, .. });
    assert!(answers.len() == 2 && answers.iter().all(agreed), "{answers:?}");
    for answer in answers {
        bench.take(Input::Post(answer), START);
    }
    bench.flush();
    bench.take(Input::Post(post), START);
    bench.flush();
    assert_eq!(begun(&bench).len(), 1, "and not once more later");
}

#[test]
fn a_message_is_sent_again_until_it_is_answered() {
    let (mut bench, _) = asked(&json!({ "workflow": "below", "input": { "n": 1 } }));
    let due = START.plus_ms(RESEND_AFTER_MS);
    assert_eq!(bench.partition.next_timer(), Some(due));
    bench.partition.fire(due);
    bench.flush();
    let [Post::Deliver(_)] = &bench.posts[..] else { panic!("{:?}", bench.posts) };
    let post = bench.posts.pop().expect("one");
    bench.take(Input::Post(post), due);
    bench.flush();
    let answer = bench.posts.pop().expect("the child answers");
    bench.take(Input::Post(answer), due);
    bench.flush();
    bench.partition.fire(due.plus_ms(RESEND_AFTER_MS));
    bench.flush();
    assert!(bench.posts.is_empty(), "{:?}", bench.posts);
}

#[test]
fn a_child_that_can_not_begin_is_refused_with_the_reason() {
    let cases = [
        (json!({ "workflow": "nobody" }), "CHILD_WORKFLOW_NOT_FOUND"),
        (json!({ "workflow": "below", "input": {} }), "CHILD_INPUT_INVALID"),
    ];
    for (with, code) in cases {
        let (mut bench, post) = asked(&with);
        bench.take(Input::Post(post), START);
        bench.flush();
        let Some(Post::Acknowledge { refused: Some(why), .. }) = bench.posts.pop() else {
            panic!("it is refused");
        };
        assert_eq!(why.code, code);
        assert!(begun(&bench).is_empty());
    }
}

/// Has every message arrive and every attempt succeed until nothing is left to do.
fn settle(bench: &mut Bench, now: Timestamp) {
    loop {
        bench.flush();
        let (posts, orders) = (std::mem::take(&mut bench.posts), std::mem::take(&mut bench.orders));
        if posts.is_empty() && orders.is_empty() {
            return;
        }
        posts.into_iter().for_each(|post| bench.take(Input::Post(post), now));
        for order in orders {
            let Effect::RunStep { step, attempt } = order.effect else { panic!("{order:?}") };
            let result = AttemptResult::Answered(Ok(Payload::null()));
            let report = Command::ReportStep { step, attempt, result, retry_delay_ms: 0 };
            bench.take(Input::Command(order.execution, report, None), now);
        }
    }
}

/// The children that a run has asked for, and how often it completed.
fn life_of(bench: &Bench, run: ExecutionId) -> (Vec<ExecutionId>, usize) {
    let own = bench.records.iter().filter(|own| own.stream == StreamId::Execution(run));
    let (mut children, mut completed) = (Vec::new(), 0);
    for record in own {
        match &record.event {
            Event::Run(RunEvent::Link(LinkEvent::MessagePosted { to, body, .. }))
                if matches!(**body, Message::Start { .. }) =>
            {
                children.push(*to);
            }
            Event::Run(RunEvent::RunEnded { outcome: Outcome::Completed, .. }) => completed += 1,
            _ => {}
        }
    }
    (children, completed)
}

#[test]
fn a_run_whose_key_was_free_again_has_children_of_its_own() {
    let with = json!({ "items": [1] });
    let each = json!({ "type": "task" });
    let above = plan(json!({ "id": "above", "steps": [
        { "id": "sub", "type": "workflow", "with": { "workflow": "below", "input": { "n": 1 } } },
        { "id": "loop", "type": "foreach", "with": with, "each": each },
    ]}));
    let mut bench = Bench::new(START, &[&above, &below()]);
    let keyed = || {
        let mut own = submission(RUN, &above, None);
        own.submitted.idempotency_key = Some("key".to_owned());
        Input::Submit(own, ())
    };
    bench.take(keyed(), START);
    settle(&mut bench, START);
    let (first, completed) = life_of(&bench, RUN);
    assert_eq!((first.len(), completed), (2, 1));
    let last = bench.records.iter().rev().find(|own| own.stream == StreamId::Execution(RUN));
    let version = last.expect("it is there").version;
    let runs = vec![Candidate { execution: RUN, version, not_before: START }];
    let removal = Removal { runs, rule: "old".to_owned(), actor: "test".to_owned() };
    bench.take(Input::Remove(Box::new(removal), ()), START);
    bench.flush();
    // Its children are kept longer than the run itself.
    let later = START.plus_ms(1_000);
    bench.take(keyed(), later);
    settle(&mut bench, later);
    let (all, completed) = life_of(&bench, RUN);
    assert_eq!((all.len(), completed), (4, 2));
    assert!(all[2..].iter().all(|own| !first.contains(own)), "{all:?}");
}

#[test]
fn what_a_child_says_is_answered_and_not_said_again() {
    let (mut bench, post) = asked(&json!({ "workflow": "below", "input": { "n": 1 } }));
    bench.take(Input::Post(post), START);
    settle(&mut bench, START);
    assert_eq!(life_of(&bench, RUN).1, 1, "the parent has its answer");
    bench.partition.fire(START.plus_ms(RESEND_AFTER_MS));
    bench.flush();
    assert!(bench.posts.is_empty(), "{:?}", bench.posts);
}

/// What is answered to a message of a tenant's run.
fn answered(bench: &mut Bench, to: ExecutionId, namespace: &str, body: Message) -> String {
    let from = ExecutionId { partition: RUN.partition, digits: 77 };
    let parcel = Parcel {
        from,
        namespace: namespace.into(),
        message: 0,
        to,
        posted_at: START,
        body,
        start: None,
        output: None,
    };
    bench.take(Input::Post(Post::Deliver(Box::new(parcel))), START);
    bench.flush();
    let Some(Post::Acknowledge { refused, .. }) = bench.posts.pop() else { panic!("no answer") };
    format!("{refused:?}").replace(&to.to_string(), "ID")
}

#[test]
fn another_tenants_run_answers_every_message_as_if_it_were_not_there() {
    let plan = plan(json!({ "id": "w", "steps": [
        { "id": "go", "type": "wait", "with": { "signal": "go" } },
    ]}));
    let mut bench = Bench::new(START, &[&plan]);
    bench.take(Input::Submit(submission(RUN, &plan, None), ()), START);
    bench.flush();
    let (step, attempt, reason) = (StepIndex(0), 1, String::new());
    let signal = Message::Signal { step, attempt, name: "go".to_owned() };
    let (outcome, failure, compensate) = (Outcome::Completed, None, true);
    let absent = ExecutionId { partition: RUN.partition, digits: 99 };
    let records = bench.records.len();
    for body in [
        signal.clone(),
        Message::Cancel { step, reason: reason.clone(), compensate },
        Message::Force { step, reason, compensate },
        Message::RollBack { step, attempt },
        Message::Ended { step, attempt, outcome, failure: failure.clone() },
        Message::RolledBack { step, attempt, failure },
    ] {
        let foreign = answered(&mut bench, RUN, "other", body.clone());
        assert_eq!(foreign, answered(&mut bench, absent, "other", body));
        assert!(foreign.contains("there is no run ID"), "{foreign}");
    }
    assert_eq!(bench.records.len(), records, "nothing is recorded of it");
    assert_eq!(answered(&mut bench, RUN, "default", signal), "None");
}
