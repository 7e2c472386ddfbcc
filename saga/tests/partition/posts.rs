//! Messages between runs, sent and taken in by one partition.

use backstitch_core::ids::ExecutionId;
use backstitch_core::plan::Plan;
use backstitch_saga::partition::{Input, Post, RESEND_AFTER_MS};
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
