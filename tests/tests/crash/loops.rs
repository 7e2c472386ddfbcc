//! A loop over a list, killed at random moments: every item takes effect once under its key,
//! and what is undone is what was done.

use std::collections::BTreeSet;
use std::time::Duration;

use backstitch_tests::http::{Connection, request};
use backstitch_tests::server::Server;
use serde_json::{Value, json};

use super::clients::{JSON, get, read};
use super::scene::{Shared, bookkeeper, start};
use super::verdict::wait_until_all_ended;
use crate::simulation::random::Random;

/// Kills of a test run.
const KILLS: u64 = 5;
/// The longest that a server lives.
const KILL_WITHIN_MS: u64 = 600;
/// Items of a loop: more than one chunk has.
const ITEMS: usize = 1_200;
/// The longest page of items.
const PAGE: usize = 1_000;

/// Charges every customer, then says a last word that may undo it all.
fn workflow() -> Value {
    let retry = json!({ "max_attempts": 60, "initial": "5ms", "max": "50ms" });
    let call = |path: &str| {
        let url = format!("{{{{ input.url }}}}/{path}");
        json!({ "method": "POST", "url": url, "body": { "who": "{{ item.name }}" } })
    };
    let word = json!({ "method": "POST", "url": "{{ input.url }}/{{ input.word }}", "body": {} });
    json!({ "id": "bill", "steps": [
        { "id": "all", "type": "foreach", "with": { "items": "{{ input.customers }}" },
          "max_parallel": 16,
          "each": {
            "type": "http", "with": call("do"), "retry": retry,
            "undo": { "type": "http", "with": call("undo"), "retry": retry },
          } },
        { "id": "word", "type": "http", "needs": "all", "retry": retry, "with": word },
    ]})
}

async fn submit(server: &Server, url: &str, word: &str) -> String {
    let mut connection = Connection::open(server.address()).await.expect("it is up");
    let bytes = workflow().to_string();
    let ask = request("POST", "/api/v1/workflows", &[JSON], bytes.as_bytes());
    let answer = connection.send(&ask).await.expect("it answers");
    assert!(answer.status < 300, "{}", read(&answer));
    let customers: Vec<_> = (0..ITEMS).map(|n| json!({ "name": format!("c{n}") })).collect();
    let input = json!({ "url": url, "word": word, "customers": customers });
    let body = json!({ "input": input }).to_string();
    let path = "/api/v1/workflows/bill/execute";
    let answer = connection.send(&request("POST", path, &[JSON], body.as_bytes())).await;
    let answer = answer.expect("it answers");
    assert_eq!(answer.status, 202, "{}", read(&answer));
    read(&answer)["execution_id"].as_str().expect("an id").to_owned()
}

#[test]
fn every_item_takes_effect_once_whatever_dies() {
    let seed = getrandom::u64().expect("the system gives randomness");
    eprintln!("seed {seed}");
    let mut random = Random::new(seed);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    runtime.block_on(async {
        let folder = tempfile::tempdir().expect("a folder for the data");
        let (url, books) = bookkeeper().await;
        let server = start(folder.path(), &[]).await;
        let good = submit(&server, &url, "do").await;
        let bad = submit(&server, &url, "refuse").await;
        server.kill().expect("a child of ours can be killed");
        for _ in 0..KILLS {
            let server = start(folder.path(), &[]).await;
            let moment = Duration::from_micros(random.below(KILL_WITHIN_MS * 1_000));
            // The kill comes while items are under way.
            tokio::time::sleep(moment).await;
            server.kill().expect("a child of ours can be killed");
        }
        let server = start(folder.path(), &[]).await;
        let mut connection = Connection::open(server.address()).await.expect("it is up");
        wait_until_all_ended(&mut connection).await;
        judge(&mut connection, (&good, &bad), &books).await;
        server.kill().expect("a child of ours can be killed");
        let report = backstitch_journal::verify(folder.path().join("data")).expect("readable");
        assert!(report.ok, "{:#?}", report.problems);
    });
}

async fn judge(connection: &mut Connection, (good, bad): (&str, &str), books: &Shared) {
    let (mut charged, mut refunded) = (BTreeSet::new(), BTreeSet::new());
    for (run, status, word) in [(good, "completed", "succeeded"), (bad, "compensated", "undone")] {
        let shown = get(connection, &format!("/api/v1/executions/{run}")).await;
        assert_eq!(shown["status"], status, "{shown:#}");
        assert_eq!(shown["children"].as_array().map(Vec::len), Some(2), "{shown:#}");
        let output = &shown["steps"]["all"]["output"];
        assert_eq!((&output["count"], &output["succeeded"]), (&json!(ITEMS), &json!(ITEMS)));
        for item in items(connection, run).await {
            assert_eq!(item["status"], word, "{item:#}");
            let key = item["idempotency_key"].as_str().expect("a key").to_owned();
            assert_eq!(key, format!("{run}/all/{}/1", item["index"]));
            refunded.extend((run == bad).then(|| format!("{key}/undo")));
            charged.insert(key);
        }
    }
    assert_eq!(charged.len(), 2 * ITEMS);
    charged.insert(format!("{good}/word/1"));
    let books = books.lock().expect("no panic");
    assert_eq!(books.done, charged, "each item took effect once");
    assert_eq!(books.undone, refunded, "what was to be undone is undone, and nothing else");
    eprintln!("{} calls for {} effects", books.calls, charged.len());
}

/// All items of a run's loop, page by page.
async fn items(connection: &mut Connection, run: &str) -> Vec<Value> {
    let mut items = Vec::new();
    let mut cursor = "0".to_owned();
    loop {
        let path = format!("/api/v1/executions/{run}/steps/all/items?limit={PAGE}&cursor={cursor}");
        let page = get(connection, &path).await;
        items.extend(page["items"].as_array().expect("a list").iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => return items,
        }
    }
}
