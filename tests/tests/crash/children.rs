//! Parents and their children, killed at random moments: every child takes effect once, and
//! what a parent takes for undone is undone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use backstitch_tests::http::{Connection, request};
use backstitch_tests::server::Server;
use serde_json::{Value, json};

use super::clients::{JSON, get, read};
use super::scene::{Shared, bookkeeper, start};
use super::verdict::wait_until_all_ended;
use crate::simulation::random::Random;

/// Kills of a test run, and trips that are submitted before each.
const KILLS: u64 = 6;
const TRIPS_PER_ROUND: u64 = 15;
const KILL_WITHIN_MS: u64 = 250;

/// A leg books something; a trip is two legs, one after the other, and a last word.
fn workflows() -> [Value; 2] {
    let retry = json!({ "max_attempts": 60, "initial": "5ms", "max": "50ms" });
    let call = |path: &str| {
        let url = format!("{{{{ input.url }}}}/{path}");
        json!({ "method": "POST", "url": url, "body": {} })
    };
    let undo = json!({ "type": "http", "with": call("undo"), "retry": retry });
    let leg = json!({ "id": "leg", "steps": [
        { "id": "book", "type": "http", "with": call("do"), "retry": retry, "undo": undo },
    ]});
    let child = json!({ "workflow": "leg", "input": { "url": "{{ input.url }}" } });
    let trip = json!({ "id": "trip", "steps": [
        { "id": "out", "type": "workflow", "with": child },
        { "id": "home", "type": "workflow", "needs": "out", "with": child },
        { "id": "word", "type": "http", "needs": "home", "retry": retry,
          "with": call("{{ input.word }}") },
    ]});
    [leg, trip]
}

/// Defines both and submits trips until the server is gone.
async fn visit(server: &Server, url: &str, round: u64) -> std::io::Result<()> {
    let mut connection = Connection::open(server.address()).await?;
    for workflow in workflows() {
        let bytes = workflow.to_string();
        let ask = request("POST", "/api/v1/workflows", &[JSON], bytes.as_bytes());
        let answer = connection.send(&ask).await?;
        assert!(answer.status < 300, "{}", read(&answer));
    }
    for trip in 0..TRIPS_PER_ROUND {
        let key = format!("trip-{round}-{trip}");
        let word = if trip % 3 == 0 { "refuse" } else { "do" };
        let body = json!({ "input": { "url": url, "word": word } }).to_string();
        let headers = [JSON, ("idempotency-key", key.as_str())];
        let path = "/api/v1/workflows/trip/execute";
        let answer = connection.send(&request("POST", path, &headers, body.as_bytes())).await?;
        assert_eq!(answer.status, 202, "{}", read(&answer));
    }
    Ok(())
}

#[test]
fn children_take_effect_once_whatever_dies() {
    let seed = getrandom::u64().expect("the system gives randomness");
    eprintln!("seed {seed}");
    let mut random = Random::new(seed);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    runtime.block_on(async {
        let folder = tempfile::tempdir().expect("a folder for the data");
        let (url, books) = bookkeeper().await;
        for round in 0..KILLS {
            let server = start(folder.path(), &[]).await;
            let moment = Duration::from_micros(random.below(KILL_WITHIN_MS * 1_000));
            // The kill comes while clients go on, or after.
            drop(tokio::time::timeout(moment, visit(&server, &url, round)).await);
            server.kill().expect("a child of ours can be killed");
        }
        let server = start(folder.path(), &[]).await;
        visit(&server, &url, KILLS).await.expect("nobody kills the server now");
        let mut connection = Connection::open(server.address()).await.expect("it is up");
        wait_until_all_ended(&mut connection).await;
        judge(&mut connection, &books).await;
        server.kill().expect("a child of ours can be killed");
        let report = backstitch_journal::verify(folder.path().join("data")).expect("readable");
        assert!(report.ok, "{:#?}", report.problems);
    });
}

async fn judge(connection: &mut Connection, books: &Shared) {
    let page = get(connection, "/api/v1/executions?limit=1000").await;
    let mut runs = BTreeMap::new();
    for row in page["executions"].as_array().expect("a list") {
        let id = row["execution_id"].as_str().expect("an id").to_owned();
        let run = get(connection, &format!("/api/v1/executions/{id}")).await;
        runs.insert(id, run);
    }
    let (mut booked, mut returned) = (BTreeSet::new(), BTreeSet::new());
    let mut legs = 0;
    for (id, run) in runs.iter().filter(|(_, run)| run["workflow_id"] == "trip") {
        let done = run["input"]["word"] == "do";
        assert_eq!(run["status"], if done { "completed" } else { "compensated" }, "{run:#}");
        assert_eq!(run["messages"], json!([]), "{run:#}");
        let children = run["children"].as_array().expect("a list");
        assert_eq!(children.len(), 2, "{run:#}");
        booked.extend(done.then(|| format!("{id}/word/1")));
        for child in children {
            let leg = child["execution_id"].as_str().expect("an id");
            let shown = &runs[leg];
            assert_eq!(shown["status"], run["status"], "{shown:#}");
            assert_eq!(shown["parent"]["execution_id"], *id, "{shown:#}");
            booked.insert(format!("{leg}/book/1"));
            returned.extend((!done).then(|| format!("{leg}/book/1/undo")));
            legs += 1;
        }
    }
    assert_eq!(runs.values().filter(|run| run["workflow_id"] == "leg").count(), legs);
    let books = books.lock().expect("no panic");
    assert_eq!(books.done, booked, "each child took effect once");
    assert_eq!(books.undone, returned, "what was to be undone is undone, and nothing else");
    assert!(!returned.is_empty());
}
