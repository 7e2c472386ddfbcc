//! `/api/v1/limits`: how many attempts and runs there may be at a time, who holds what, and who
//! waits.

use axum::response::Response;
use backstitch_core::ids::ExecutionId;
use backstitch_core::time::Timestamp;
use backstitch_saga::driver::UnderWay;
use backstitch_saga::holders::Holders;
use backstitch_saga::keys::KeyShown;
use backstitch_saga::slots::{Full, KeyedRuns, Limit, SlotHolder};
use backstitch_saga::turns::Class;
use serde_json::{Map, Value, json};

use super::caller::Caller;
use super::refusal::Refusal;
use super::{answer, codes};

/// Holders of the node's own limits that are named; counts say how many there are.
const HOLDERS_SHOWN_MAX: usize = 100;

/// Keyed limits that one answer shows; it says how many more there are.
const KEYS_SHOWN_MAX: usize = 1_000;

/// `GET /api/v1/limits`.
pub(super) async fn show(caller: Caller) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let (turns, limits) = (engine.turns(), engine.limits());
    let classes = Class::ALL.map(Class::word);
    let (keys, keys_more) = engine.keyed_limits(caller.namespace(), KEYS_SHOWN_MAX);
    let namespace = caller.namespace();
    let own = limits.workflows.iter().filter(|own| own.namespace == *namespace);
    let under_way = engine.under_way(namespace, HOLDERS_SHOWN_MAX);
    let going_on = limits.runs_max.map(|_| engine.going_on(namespace, HOLDERS_SHOWN_MAX));
    Ok(answer::ok(&json!({
        "workers": {
            "max": turns.size,
            "in_use": turns.used,
            "holders": under_way.named.iter().map(attempt).collect::<Vec<_>>(),
            "other_namespaces": elsewhere(&under_way),
            "waiting": by_word(&classes, &turns.waiting),
        },
        "runs": {
            "max": limits.runs_max,
            "running": limits.runs_max.map(|_| limits.running),
            "holders": going_on.as_ref().map(|own| runs(&own.named)),
            "other_namespaces": going_on.as_ref().map(elsewhere),
            "waiting": priorities(&limits.waiting),
            "queue_max": limits.queue_max,
        },
        "workflows": own.map(workflow).collect::<Vec<_>>(),
        "keys": keys.iter().map(key).collect::<Vec<_>>(),
        "keys_more": keys_more,
    })))
}

/// How many of others hold what all share, and since when.
fn elsewhere<T>(holders: &Holders<T>) -> Value {
    let since = holders.others_since.map(|at| at.to_string());
    json!({ "holders": holders.others, "since": since })
}

fn workflow(own: &Limit) -> Value {
    json!({
        "workflow_id": own.workflow,
        "max_runs": own.max_runs,
        "running": own.running,
        "holders": runs(&own.holders),
        "waiting": priorities(&own.waiting),
        "keys": own.keys.iter().map(runs_of_key).collect::<Vec<_>>(),
        "keys_more": own.keys_more,
    })
}

fn runs_of_key(own: &KeyedRuns) -> Value {
    json!({
        "key": own.key,
        "max_runs": own.max_runs,
        "running": own.running,
        "holders": runs(&own.holders),
        "waiting": priorities(&own.waiting),
    })
}

fn runs(holders: &[SlotHolder]) -> Value {
    let run = |own: &SlotHolder| {
        let since = own.since.map(|at| at.to_string());
        json!({ "execution_id": own.run.to_string(), "since": since })
    };
    holders.iter().map(run).collect()
}

fn attempt(own: &UnderWay) -> Value {
    json!({
        "execution_id": own.run.to_string(),
        "step": own.step,
        "undo": own.undo,
        "since": own.since.to_string(),
    })
}

fn key(own: &KeyShown) -> Value {
    let holder = |(run, step, since): &(ExecutionId, std::sync::Arc<str>, Timestamp)| json!({ "execution_id": run.to_string(), "step": step, "since": since.to_string() });
    json!({
        "key": own.key,
        "max": own.max,
        "running": own.running,
        "holders": own.holders.iter().map(holder).collect::<Vec<_>>(),
        "waiting": priorities(&own.waiting),
        "waiters": own.waiters.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn priorities(waiting: &[usize; 3]) -> Value {
    by_word(&["high", "medium", "low"], waiting)
}

fn by_word(words: &[&str], counts: &[usize]) -> Value {
    let counts = words.iter().zip(counts).map(|(word, count)| ((*word).to_owned(), json!(count)));
    Value::Object(counts.collect::<Map<_, _>>())
}

/// 429 where a workflow refuses more runs, 503 where too many wait already.
pub(super) fn full(full: &Full) -> Refusal {
    match full {
        Full::Workflow { workflow, max_runs } => Refusal::new(codes::QUEUE_FULL, full.to_string())
            .with(json!({ "workflow_id": workflow, "max_runs": max_runs })),
        Full::Key { workflow, key, max_runs } => Refusal::new(codes::QUEUE_FULL, full.to_string())
            .with(json!({ "workflow_id": workflow, "key": key, "max_runs": max_runs })),
        Full::Queue { queue_max } => Refusal::new(codes::INSUFFICIENT_RESOURCES, full.to_string())
            .with(json!({ "queue_max": queue_max })),
    }
}
