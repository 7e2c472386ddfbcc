//! What a run that is set aside, and a fork, have to do with turns and slots.

use std::sync::Arc;

use backstitch_core::command::{AttemptResult, Command};
use backstitch_core::effect::Effect;
use backstitch_core::failure::Failure;
use backstitch_core::forks::ForkOrder;
use backstitch_core::ids::{ExecutionId, StepIndex};
use backstitch_core::payload::Payload;
use backstitch_core::plan::Plan;
use backstitch_saga::breakers::{Breakers, Independent, Settings as BreakerSettings};
use backstitch_saga::keys::Keys;
use backstitch_saga::partition::{Answer, Fork, Input, Order};
use backstitch_saga::slots::{Full, Settings, Slots};
use backstitch_saga::turns::Pool;
use serde_json::json;

use crate::bench::{Bench, OTHER, RUN, START, plan, submission};
use crate::report;

const THIRD: ExecutionId = ExecutionId { digits: 3, ..RUN };

/// A bench whose attempts and runs are counted.
fn counted(pool: &Pool, slots: &Slots, plans: &[&Arc<Plan>]) -> Bench {
    keyed(pool, slots, &Keys::default(), plans)
}

fn keyed(pool: &Pool, slots: &Slots, keys: &Keys, plans: &[&Arc<Plan>]) -> Bench {
    let bench = Bench::new(START, plans);
    let keys = keys.seat(Arc::new(|| {}));
    bench.seated(pool.seat(Arc::new(|| {})), slots.seat(Arc::new(|| {})), keys)
}

fn succeeds(order: &Order) -> Command {
    let Effect::RunStep { step, attempt } = order.effect else { panic!("only steps here") };
    let result = AttemptResult::Answered(Ok(Payload::null()));
    Command::ReportStep { step, attempt, result, retry_delay_ms: 0 }
}

#[test]
fn a_run_that_is_set_aside_keeps_what_its_attempts_hold() {
    let step = |id: &str| {
        json!({
            "id": id, "type": "task", "limits": [{ "key": "k", "max": 3 }],
        })
    };
    let steps = [step("a"), step("b"), step("c")];
    let definition = json!({ "id": "w", "concurrency": { "max_runs": 1 }, "steps": steps });
    let mut broken = Arc::into_inner(plan(definition)).expect("nobody else has it");
    // A plan that the engine can't follow once its first step is done.
    broken.steps[0].dependants = vec![StepIndex(99)];
    let broken = Arc::new(broken);
    let (pool, slots) = (Pool::new(5), Slots::new(Settings::default()));
    let keys = Keys::default();
    let running = || keys.shown("default", 1).0.first().map_or(0, |own| own.running);
    let mut bench = keyed(&pool, &slots, &keys, &[&broken]);
    bench.take(Input::Submit(submission(RUN, &broken, None), ()), START);
    bench.flush();
    assert_eq!((pool.usage().used, running()), (3, 3));
    let orders = std::mem::take(&mut bench.orders);
    bench.take(Input::Command(RUN, succeeds(&orders[0]), None), START);
    bench.flush();
    let shown = bench.take_and_answer(Input::Command(RUN, Command::Continue, Some(())));
    assert!(matches!(shown, Answer::Quarantined(_)), "{shown:?}");
    assert_eq!((pool.usage().used, running()), (2, 2), "two attempts are under way");
    assert_eq!(slots.limits().workflows[0].running, 1);
    bench.take(Input::Command(RUN, succeeds(&orders[1]), None), START);
    bench.take(Input::Command(RUN, succeeds(&orders[1]), None), START);
    assert_eq!((pool.usage().used, slots.limits().workflows.len()), (1, 1), "a repeat is none");
    bench.take(Input::Command(RUN, succeeds(&orders[2]), None), START);
    assert_eq!((pool.usage().used, slots.limits().workflows.len(), running()), (0, 0, 0));
    assert_eq!(bench.partition.turns(), (0, 0));
}

fn fork(id: ExecutionId, plan: &Arc<Plan>) -> Input<()> {
    let (reason, actor) = ("again".to_owned(), "op".to_owned());
    let mut submission = submission(id, plan, None);
    submission.submitted.request = backstitch_core::ids::Digest::of(b"fork");
    let from = Some("a".to_owned());
    let order =
        ForkOrder { submission, from, take_over: false, accept_unsafe: true, reason, actor };
    Input::Fork(Box::new(Fork { parent: RUN, version: None, order }), ())
}

/// An ended run, and another of its workflow that has the only slot.
fn occupied(on_limit: &str, slots: &Slots) -> (Bench, Arc<Plan>) {
    let plan = plan(json!({
        "id": "w", "on_failure": "halt", "concurrency": { "max_runs": 1, "on_limit": on_limit },
        "steps": [{ "id": "a", "type": "task" }],
    }));
    let mut bench = counted(&Pool::new(5), slots, &[&plan]);
    bench.take(Input::Submit(submission(RUN, &plan, None), ()), START);
    bench.flush();
    let order = bench.orders.pop().expect("it runs");
    bench.take(Input::Command(RUN, report(&order, Failure::permanent("NO", "no")), None), START);
    bench.flush();
    bench.take(Input::Submit(submission(OTHER, &plan, None), ()), START);
    bench.flush();
    (bench, plan)
}

#[test]
fn a_fork_is_refused_where_any_run_is() {
    let slots = Slots::new(Settings::default());
    let (mut bench, plan) = occupied("reject", &slots);
    let records = bench.records.len();
    let answer = bench.take_and_answer(fork(THIRD, &plan));
    assert!(matches!(answer, Answer::Full(Full::Workflow { max_runs: 1, .. })), "{answer:?}");
    assert_eq!(bench.records.len(), records, "nothing is recorded");
    let order = bench.orders.pop().expect("the other runs");
    bench.take(Input::Command(OTHER, succeeds(&order), None), START);
    bench.flush();
    let answer = bench.take_and_answer(fork(THIRD, &plan));
    assert!(matches!(answer, Answer::Forked { .. }), "{answer:?}");
    let holders = &slots.limits().workflows[0].holders;
    assert_eq!(holders.iter().map(|own| own.run).collect::<Vec<_>>(), [THIRD]);
    assert!(holders[0].since.is_some(), "{holders:?}");
}

#[test]
fn a_fork_waits_in_line_if_there_is_room_to_wait() {
    for (queue_max, waits) in [(0, false), (1, true)] {
        let slots = Slots::new(Settings { runs_max: None, queue_max });
        let (mut bench, plan) = occupied("queue", &slots);
        let answer = bench.take_and_answer(fork(THIRD, &plan));
        match waits {
            true => assert!(matches!(answer, Answer::Forked { .. }), "{answer:?}"),
            false => assert!(matches!(answer, Answer::Full(Full::Queue { .. })), "{answer:?}"),
        }
        assert_eq!(slots.limits().waiting, [0, usize::from(waits), 0]);
    }
}

/// A step that calls a service with a circuit, and needs the place of a key.
fn called(workflow: &str, key: &str) -> Arc<Plan> {
    plan(json!({ "id": workflow, "on_failure": "halt", "steps": [{
        "id": "a", "type": "task", "limits": [{ "key": key, "max": 1 }], "retry": "none",
        "breaker": { "key": "b", "failures": 1, "open_for": "1s", "probes": 2 },
    }]}))
}

#[test]
fn a_call_that_was_let_on_and_is_kept_back_again_lets_its_key_go() {
    let plans = [called("first", "f"), called("tries", "t"), called("waits", "k")];
    let (pool, slots) = (Pool::new(2), Slots::new(Settings::default()));
    let (keys, breakers) = (Keys::default(), Breakers::new(BreakerSettings::default()));
    let held = || {
        let shown = keys.shown("default", 10).0;
        shown.iter().filter(|own| own.running > 0).map(|own| own.key.to_string()).collect()
    };
    let held: &dyn Fn() -> Vec<String> = &held;
    let plans: Vec<_> = plans.iter().collect();
    let mut bench = keyed(&pool, &slots, &keys, &plans);
    bench.partition =
        bench.partition.guarded_by(breakers.seat(Arc::new(|| {})), Arc::new(Independent));
    let another = pool.seat(Arc::new(|| {}));
    assert!(another.take(), "one turn is somebody else's");
    for (run, plan) in [THIRD, OTHER, RUN].into_iter().zip(plans) {
        bench.take(Input::Submit(submission(run, plan, None), ()), START);
        bench.flush();
        if run == THIRD {
            let order = bench.orders.pop().expect("its service is called");
            let busy = report(&order, Failure::retryable("BUSY", "try again"));
            bench.take(Input::Command(THIRD, busy, None), START);
            bench.flush();
        }
    }
    assert!(bench.orders.is_empty(), "the circuit is open");
    let later = START.plus_ms(1_000);
    bench.partition.fire(later);
    bench.flush();
    assert_eq!(held(), ["k", "t"], "both may try the service, and one has a turn");
    let order = bench.orders.pop().expect("the service is tried");
    assert_eq!((order.execution, bench.orders.len()), (OTHER, 0));
    let busy = report(&order, Failure::retryable("BUSY", "try again"));
    bench.take(Input::Command(OTHER, busy, None), later);
    bench.flush();
    bench.partition.fire(later);
    bench.flush();
    bench.partition.fire(later);
    bench.flush();
    assert!(bench.orders.is_empty(), "the circuit is open again");
    assert_eq!(held(), Vec::<String>::new(), "whoever waits for a service holds no key");
}

#[test]
fn a_step_that_another_keeps_back_by_running_alone_lets_its_key_go() {
    let holder = plan(json!({ "id": "holder", "steps": [
        { "id": "a", "type": "task", "limits": [{ "key": "k", "max": 1 }] },
    ]}));
    let kept_back = plan(json!({ "id": "kept_back", "steps": [
        { "id": "long", "type": "task" },
        { "id": "keyed", "type": "task", "limits": [{ "key": "k", "max": 1 }] },
        { "id": "short", "type": "task" },
        { "id": "alone", "type": "task", "needs": ["short"], "exclusive": true },
    ]}));
    let (pool, slots) = (Pool::new(9), Slots::new(Settings::default()));
    let keys = Keys::default();
    let mut bench = keyed(&pool, &slots, &keys, &[&holder, &kept_back]);
    let ordered = |bench: &mut Bench, run: ExecutionId, step: u32| {
        let at = bench.orders.iter().position(|order| {
            let own = matches!(order.effect, Effect::RunStep { step: own, .. } if own.0 == step);
            order.execution == run && own
        });
        at.map(|at| bench.orders.swap_remove(at))
    };
    let ended = |bench: &mut Bench, order: &Order| {
        bench.take(Input::Command(order.execution, succeeds(order), None), START);
        bench.flush();
        bench.partition.fire(START);
        bench.flush();
    };
    for (run, plan) in [(OTHER, &holder), (RUN, &kept_back)] {
        bench.take(Input::Submit(submission(run, plan, None), ()), START);
        bench.flush();
    }
    let short = ordered(&mut bench, RUN, 2).expect("it has started");
    ended(&mut bench, &short);
    let holds = ordered(&mut bench, OTHER, 0).expect("it has the place");
    ended(&mut bench, &holds);
    assert!(ordered(&mut bench, RUN, 1).is_none(), "another step is to run alone before it");
    bench.take(Input::Submit(submission(THIRD, &holder, None), ()), START);
    bench.flush();
    let third = ordered(&mut bench, THIRD, 0).expect("nobody holds the place");
    let long = ordered(&mut bench, RUN, 0).expect("it has started");
    ended(&mut bench, &long);
    let alone = ordered(&mut bench, RUN, 3).expect("nothing else is under way");
    ended(&mut bench, &alone);
    assert!(ordered(&mut bench, RUN, 1).is_none(), "the place is taken");
    ended(&mut bench, &third);
    let keyed = ordered(&mut bench, RUN, 1).expect("its turn has come");
    ended(&mut bench, &keyed);
    assert_eq!(bench.folded(RUN).status().word(), "completed");
}
