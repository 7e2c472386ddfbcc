//! What must be true once everything has ended, whatever happened on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use backstitch_api::demo::shop::Books;
use backstitch_tests::http::Connection;
use serde_json::Value;

use super::clients::{Desk, get};
use super::orders::Order;

/// Words of runs that have not ended.
const UNDER_WAY: [&str; 4] = ["pending", "running", "suspended", "compensating"];
/// How long the last runs may take to end.
const END_WITHIN: Duration = Duration::from_secs(240);
/// Pause between two questions whether they have.
const POLL_EVERY: Duration = Duration::from_millis(20);
/// The saga's steps: each needs the one before it.
const CHAIN: [&str; 3] = ["reserve", "charge", "ship"];

/// Polls until no run is under way.
pub async fn wait_until_all_ended(connection: &mut Connection) {
    let begun = Instant::now();
    loop {
        let mut left = Vec::new();
        for status in UNDER_WAY {
            let path = format!("/api/v1/executions?status={status}&limit=1000");
            let page = get(connection, &path).await;
            left.extend(page["executions"].as_array().expect("a list").clone());
        }
        if left.is_empty() {
            return;
        }
        assert!(begun.elapsed() < END_WITHIN, "runs that do not end: {left:#?}");
        tokio::time::sleep(POLL_EVERY).await;
    }
}

/// Checks all that the server and the shop say, and answers each run as the server shows it.
pub async fn judge(
    connection: &mut Connection,
    desk: &Desk,
    books: &Books,
) -> BTreeMap<String, Value> {
    let rows = all_rows(connection).await;
    let (acknowledged, unknown) = {
        let told = desk.told();
        (told.acknowledged.clone(), told.unknown.clone())
    };
    let mut run_of: BTreeMap<&str, &str> = BTreeMap::new();
    for (run, order) in &rows {
        let other = run_of.insert(order, run);
        assert_eq!(other, None, "{order} has two runs: {run} and {other:?}");
        let known = acknowledged.contains_key(order) || unknown.contains_key(order);
        assert!(known, "{run} is of {order}, which nobody submitted");
    }
    for (order, (_, run)) in &acknowledged {
        assert_eq!(run_of.get(order.as_str()), Some(&run.as_str()), "{order} was acknowledged");
    }
    ask_again(connection, desk, &acknowledged).await;
    let mut shown = BTreeMap::new();
    for (run, id) in &rows {
        let order = acknowledged.get(id).map(|(order, _)| order).or_else(|| unknown.get(id));
        let order = order.expect("looked up above");
        let execution = get(connection, &format!("/api/v1/executions/{run}")).await;
        let status = execution["status"].as_str().expect("a run has a status");
        assert!(order.statuses().contains(&status), "{order:?} ended wrong: {execution:#}");
        let history = get(connection, &format!("/api/v1/executions/{run}/events")).await;
        judge_history(run, history["events"].as_array().expect("a list of events"));
        let fulfilled = books.is_fulfilled(id);
        assert_eq!(fulfilled, status == "completed", "{id} at the shop: {execution:#}");
        shown.insert(run.clone(), execution);
    }
    let submitted: Vec<&str> = run_of.keys().copied().collect();
    assert_eq!(books.check(&submitted), [], "the books do not balance");
    assert_eq!(books.check_undo_order(), [], "the shop saw undos out of order");
    shown
}

/// Every run and the order it is of, from the list.
async fn all_rows(connection: &mut Connection) -> BTreeMap<String, String> {
    let mut rows = BTreeMap::new();
    let mut path = "/api/v1/executions?limit=1000".to_owned();
    loop {
        let page = get(connection, &path).await;
        for row in page["executions"].as_array().expect("a list") {
            let text = |name: &str| row[name].as_str().expect("a text").to_owned();
            let other = rows.insert(text("execution_id"), text("correlation_id"));
            assert_eq!(other, None, "the list has a run twice: {row}");
        }
        match page["next_cursor"].as_str() {
            Some(next) => path = format!("/api/v1/executions?limit=1000&cursor={next}"),
            None => return rows,
        }
    }
}

/// The same key answers the same run, for ever.
async fn ask_again(
    connection: &mut Connection,
    desk: &Desk,
    acknowledged: &BTreeMap<String, (Order, String)>,
) {
    for (order, run) in acknowledged.values().filter(|(order, _)| order.keyed) {
        let again = desk.submit(connection, order).await.expect("nobody kills the server now");
        assert_eq!(again, *run, "{} asked for again", order.id);
    }
}

/// No step that was recorded as succeeded began again, and what was undone was undone in the
/// reverse order of the graph. A step that failed after an attempt was lost is undone too: it
/// may have taken effect.
fn judge_history(run: &str, events: &[Value]) {
    let mut started: BTreeSet<&str> = BTreeSet::new();
    let mut succeeded: BTreeSet<&str> = BTreeSet::new();
    let mut undoing: BTreeSet<&str> = BTreeSet::new();
    let mut undone: BTreeSet<&str> = BTreeSet::new();
    for (version, event) in (1_u64..).zip(events) {
        assert_eq!(event["version"], version, "{run} has a gap");
        let step = event["data"]["step"].as_str().unwrap_or_default();
        match event["type"].as_str().expect("an event has a type") {
            "StepReady" | "StepStarted" => {
                assert!(!succeeded.contains(step), "{run}: {step} succeeded and began again");
                assert!(undoing.is_empty(), "{run}: {step} began while the run unwound");
                started.insert(step);
            }
            "StepSucceeded" => assert!(succeeded.insert(step), "{run}: {step} succeeded twice"),
            "UndoReady" | "UndoStarted" => {
                assert!(started.contains(step), "{run}: {step} is undone and was never begun");
                assert!(!undone.contains(step), "{run}: {step} was undone and is undone again");
                undoing.insert(step);
                let place = CHAIN.iter().position(|own| *own == step).expect("has an undo");
                let early = CHAIN[place + 1..]
                    .iter()
                    .find(|later| succeeded.contains(*later) && !undone.contains(*later));
                assert_eq!(early, None, "{run}: {step} is undone before what was built on it");
            }
            "UndoSucceeded" => assert!(undone.insert(step), "{run}: {step} was undone twice"),
            _ => {}
        }
    }
    let last = events.last().expect("a run has events");
    assert_eq!(last["type"], "ExecutionEnded", "{run} ends with {last}");
    assert_eq!(undoing, undone, "{run} ended with undos under way");
    if last["data"]["status"] == "compensated" {
        let left = succeeded.iter().find(|step| CHAIN.contains(step) && !undone.contains(*step));
        assert_eq!(left, None, "{run}: something that was done was not undone");
    }
}
