//! Runs with a story, each decided by the machine itself.

use std::sync::Arc;

use backstitch_core::command::{AttemptResult, Command, Submission};
use backstitch_core::event::{Callback, CallbackEvent, Submitted};
use backstitch_core::failure::Failure;
use backstitch_core::ids::{Digest, ExecutionId, PartitionId};
use backstitch_core::machine;
use backstitch_core::payload::Payload;
use backstitch_core::plan::Plan;
use backstitch_core::state::State;
use backstitch_core::time::{Moment, Timestamp};
use serde_json::{Value, json};

use crate::directory::{MORNING, Writing, Written};

pub const ORDER: &str = r#"
id: order
name: Order fulfilment
version: 1.2.0
on_failure: compensate
defaults:
  retry: { max_attempts: 3, backoff: fixed, initial: 400ms, jitter: false }
steps:
  - id: reserve
    type: http
    with: { method: POST, url: "http://stock/reserve", body: { order: "{{ input.order_id }}" } }
    undo: { type: http, with: { method: POST, url: "http://stock/release" } }
  - id: price
    needs: [reserve]
    type: transform
    with: { total: "{{ input.amount }}" }
  - id: charge
    needs: [price]
    type: http
    with: { method: POST, url: "http://payment/charge" }
    undo: { type: http, with: { method: POST, url: "http://payment/refund" } }
  - id: gift
    needs: [reserve]
    when: "{{ input.gift | default(false) }}"
    type: noop
    with: {}
  - id: cool
    needs: [charge]
    type: wait
    with: { duration: 1s }
  - id: ship
    needs: [cool, gift]
    type: http
    with: { method: POST, url: "http://shipping/book" }
outputs: { parcel: "{{ steps.ship.output.id }}" }
callbacks:
  - { event: workflow.failed, url: "https://example.com/hook" }
"#;

/// One run in the making.
pub struct Run {
    pub state: State,
    now: Timestamp,
}

pub fn id(partition: u16, digits: u128) -> ExecutionId {
    ExecutionId { partition: PartitionId(partition), digits }
}

pub fn submission(plan: &Arc<Plan>, digest: Digest, input: Value) -> Box<Submitted> {
    Box::new(Submitted {
        namespace: "default".into(),
        workflow: plan.workflow.clone(),
        revision: 1,
        digest,
        input: Payload::of(&input),
        variables: Payload::of(&json!({})),
        correlation_id: "".into(),
        idempotency_key: None,
        request: Digest::of(b"request"),
        callbacks: Vec::new(),
        deadline_at: None,
        retry_of: None,
        actor: "shop".to_owned(),
    })
}

impl Run {
    pub fn submit(
        writing: &mut Writing,
        execution: ExecutionId,
        plan: &Arc<Plan>,
        submitted: Box<Submitted>,
        at_ms: u64,
    ) -> Self {
        let submission = Submission {
            execution,
            plan: plan.clone(),
            submitted,
            tags: Vec::new(),
            origin: None,
            targets: Vec::new(),
            faults: Vec::new(),
            alerts: Vec::new(),
            trace: None,
        };
        Self::begin(writing, submission, at_ms)
    }

    pub fn begin(writing: &mut Writing, submission: Submission, at_ms: u64) -> Self {
        let (execution, now) = (submission.execution, MORNING.plus_ms(at_ms));
        let (state, decision) = machine::submit(submission, Moment::at(now)).unwrap();
        writing.append_run(execution, &decision.events, now);
        Self { state, now }
    }

    /// Some time later somebody wants something of the run.
    pub fn then(&mut self, writing: &mut Writing, after_ms: u64, command: Command) {
        self.now = self.now.plus_ms(after_ms);
        let decision = machine::handle(&mut self.state, command, Moment::at(self.now)).unwrap();
        assert!(!decision.events.is_empty(), "the story goes wrong {after_ms} ms after this");
        writing.append_run(self.state.id, &decision.events, self.now);
    }

    pub fn wait(&mut self, writing: &mut Writing, after_ms: u64) {
        self.then(writing, after_ms, Command::Continue);
    }

    /// The current attempt of a step is answered.
    pub fn step(
        &mut self,
        writing: &mut Writing,
        after_ms: u64,
        step: &str,
        result: AttemptResult,
    ) {
        let step = self.state.plan.index_of(step).unwrap();
        let attempt = self.state.step(step).attempt;
        let command = Command::ReportStep { step, attempt, result, retry_delay_ms: 400 };
        self.then(writing, after_ms, command);
    }

    /// The current attempt of an undo is answered.
    pub fn undo(
        &mut self,
        writing: &mut Writing,
        after_ms: u64,
        step: &str,
        result: AttemptResult,
    ) {
        let step = self.state.plan.index_of(step).unwrap();
        let attempt = self.state.step(step).undo.as_ref().unwrap().attempt;
        let command = Command::ReportUndo { step, attempt, result, retry_delay_ms: 400 };
        self.then(writing, after_ms, command);
    }

    /// The current attempt of a callback is answered.
    pub fn callback(&mut self, writing: &mut Writing, after_ms: u64, result: Result<u16, Failure>) {
        let attempt = self.state.deliveries[0].attempt + 1;
        let command =
            Command::ReportCallback { delivery: 0, attempt, result, retry_delay_ms: 2_000 };
        self.then(writing, after_ms, command);
    }
}

pub fn ok(output: Value) -> AttemptResult {
    AttemptResult::Answered(Ok(Payload::of(&output)))
}

pub fn busy() -> AttemptResult {
    let failure = Failure::retryable("HTTP_STATUS", "answered with 503")
        .with_details(Payload::of(&json!({ "status": 503 })));
    AttemptResult::Answered(Err(failure))
}

pub fn refused() -> AttemptResult {
    AttemptResult::Answered(Err(Failure::permanent("HTTP_STATUS", "answered with 422")))
}

/// It goes well, with a busy and a silent payment service on the way.
pub fn fulfilled(writing: &mut Writing, plan: &Arc<Plan>, digest: Digest) -> ExecutionId {
    let run = id(1, 0x0198_a001);
    let mut submitted = submission(plan, digest, json!({"order_id": "A-1", "amount": 42}));
    submitted.correlation_id = "basket-7".into();
    submitted.idempotency_key = Some("order A-1".to_owned());
    let mut run = Run::submit(writing, run, plan, submitted, 0);
    run.step(writing, 120, "reserve", ok(json!({"id": "r-1"})));
    run.step(writing, 250, "charge", busy());
    run.wait(writing, 400);
    run.step(writing, 600, "charge", AttemptResult::Lost);
    run.step(writing, 180, "charge", ok(json!({"id": "c-1"})));
    run.wait(writing, 1_000);
    run.step(writing, 90, "ship", ok(json!({"id": "p-1"})));
    run.state.id
}

/// Shipping refuses; the refund works at the second try; the hook hears of it at the second.
pub fn undone(writing: &mut Writing, plan: &Arc<Plan>, digest: Digest) -> ExecutionId {
    let submitted = submission(plan, digest, json!({"order_id": "A-2", "amount": 7, "gift": true}));
    let mut run = Run::submit(writing, id(1, 0x0198_a002), plan, submitted, 5_000);
    run.step(writing, 80, "reserve", ok(json!({"id": "r-2"})));
    run.step(writing, 40, "gift", ok(json!({})));
    run.step(writing, 300, "charge", ok(json!({"id": "c-2"})));
    run.wait(writing, 1_000);
    run.step(writing, 110, "ship", refused());
    run.undo(writing, 150, "charge", busy());
    run.wait(writing, 400);
    run.undo(writing, 130, "charge", ok(json!({})));
    run.undo(writing, 70, "reserve", ok(json!({})));
    run.callback(writing, 30, Err(Failure::retryable("HTTP_CONNECT_FAILED", "no answer")));
    run.callback(writing, 2_020, Ok(204));
    run.state.id
}

/// Shipping and then the refund refuse; an operator looks, tries once more and gives up.
pub fn stuck(writing: &mut Writing, plan: &Arc<Plan>, digest: Digest) -> ExecutionId {
    let mut submitted = submission(plan, digest, json!({"order_id": "A-3", "amount": 9}));
    submitted.callbacks =
        vec![Callback { event: CallbackEvent::Compensating, url: "https://shop/undo".to_owned() }];
    let mut run = Run::submit(writing, id(2, 0x0198_a003), plan, submitted, 9_000);
    run.step(writing, 80, "reserve", ok(json!({"id": "r-3"})));
    run.step(writing, 300, "charge", ok(json!({"id": "c-3"})));
    run.wait(writing, 1_000);
    run.step(writing, 5_000, "ship", AttemptResult::TimedOut);
    run.wait(writing, 400);
    run.step(writing, 100, "ship", refused());
    run.undo(writing, 100, "charge", refused());
    run.undo(writing, 60, "reserve", ok(json!({})));
    run.callback(writing, 10, Ok(200));
    let second =
        Command::ReportCallback { delivery: 1, attempt: 1, result: Ok(200), retry_delay_ms: 0 };
    run.then(writing, 10, second);
    assert!(run.state.is_quiescent());
    let discard = |letter, reason: &str| Command::DiscardLetter {
        letter,
        actor: "operator".to_owned(),
        reason: reason.to_owned(),
    };
    run.then(writing, 60_000, discard(0, "the customer knows"));
    run.state.id
}

/// Still waiting for its payment service.
pub fn running(writing: &mut Writing, plan: &Arc<Plan>, digest: Digest) -> ExecutionId {
    let submitted = submission(plan, digest, json!({"order_id": "A-4", "amount": 1}));
    let mut run = Run::submit(writing, id(2, 0x0198_a004), plan, submitted, 20_000);
    run.step(writing, 100, "reserve", ok(json!({"id": "\u{1b}[2J"})));
    run.step(writing, 200, "charge", busy());
    run.wait(writing, 400);
    run.state.id
}

/// Cancelled while it waits.
pub fn cancelled(writing: &mut Writing, plan: &Arc<Plan>, digest: Digest) -> ExecutionId {
    let submitted = submission(plan, digest, json!({"order_id": "A-5", "amount": 1}));
    let mut run = Run::submit(writing, id(3, 0xfe), plan, submitted, 25_000);
    run.step(writing, 100, "reserve", ok(json!({})));
    run.step(writing, 200, "charge", busy());
    let (reason, actor) = ("changed my mind".to_owned(), "customer".to_owned());
    run.then(writing, 50, Command::Cancel { reason, actor, compensate: None, force: false });
    run.undo(writing, 60, "reserve", ok(json!({})));
    run.state.id
}

/// A run of a revision that nobody has.
pub fn orphan(writing: &mut Writing, plan: &Arc<Plan>) -> ExecutionId {
    let submitted = submission(plan, Digest::of(b"another"), json!({"order_id": "A-6"}));
    let mut run = Run::submit(writing, id(3, 0xff), plan, submitted, 30_000);
    run.step(writing, 100, "reserve", ok(json!({})));
    run.state.id
}

/// A day's work: everything above.
pub struct Day {
    pub written: Written,
    pub fulfilled: String,
    pub undone: String,
    pub stuck: String,
    pub running: String,
    pub cancelled: String,
}

pub fn day_in(writing: &mut Writing) -> [ExecutionId; 5] {
    let (_, digest, plan) = writing.define(ORDER, MORNING);
    [
        fulfilled(writing, &plan, digest),
        undone(writing, &plan, digest),
        stuck(writing, &plan, digest),
        running(writing, &plan, digest),
        cancelled(writing, &plan, digest),
    ]
}

pub fn day() -> Day {
    let mut writing = Writing::new();
    let ids = day_in(&mut writing);
    let [fulfilled, undone, stuck, running, cancelled] = ids.map(|run| run.to_string());
    Day { written: writing.close(), fulfilled, undone, stuck, running, cancelled }
}
