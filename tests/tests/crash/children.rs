//! Parents and their children, killed at random moments: every child takes effect once, and
//! what a parent takes for undone is undone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use backstitch_tests::binaries;
use backstitch_tests::http::{Connection, request};
use backstitch_tests::server::Server;
use serde_json::{Value, json};

use super::clients::{JSON, get, read};
use super::verdict::wait_until_all_ended;
use crate::simulation::random::Random;

/// Kills of a test run, and trips that are submitted before each.
const KILLS: u64 = 6;
const TRIPS_PER_ROUND: u64 = 15;
const KILL_WITHIN_MS: u64 = 250;

/// What a service was asked for, by idempotency key.
#[derive(Default)]
struct Books {
    booked: BTreeSet<String>,
    returned: BTreeSet<String>,
}

type Shared = Arc<Mutex<Books>>;

fn key(headers: &HeaderMap) -> String {
    let key = headers.get("idempotency-key").expect("every effect has a key");
    key.to_str().expect("a text").to_owned()
}

async fn book(State(books): State<Shared>, headers: HeaderMap) -> &'static str {
    books.lock().expect("no panic").booked.insert(key(&headers));
    "{}"
}

async fn give_back(State(books): State<Shared>, headers: HeaderMap) -> &'static str {
    books.lock().expect("no panic").returned.insert(key(&headers));
    "{}"
}

async fn service() -> (String, Shared) {
    let books = Shared::default();
    let router = Router::new()
        .route("/book", post(book))
        .route("/return", post(give_back))
        .route("/refuse", post(|| std::future::ready(StatusCode::CONFLICT)))
        .with_state(books.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
    (url, books)
}

/// A leg books something; a trip is two legs, one after the other, and a last word.
fn workflows() -> [Value; 2] {
    let retry = json!({ "max_attempts": 60, "initial": "5ms", "max": "50ms" });
    let call = |path: &str| {
        let url = format!("{{{{ input.url }}}}/{path}");
        json!({ "method": "POST", "url": url, "body": {} })
    };
    let undo = json!({ "type": "http", "with": call("return"), "retry": retry });
    let leg = json!({ "id": "leg", "steps": [
        { "id": "book", "type": "http", "with": call("book"), "retry": retry, "undo": undo },
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

async fn start(folder: &Path) -> Server {
    let program = Command::new(binaries::backstitch());
    let words = folder.join("server.log");
    let mut server = Server::spawn(program, &folder.join("data"), &words).expect("it starts");
    server.ready().await.expect("it is ready");
    server
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
        let word = if trip % 3 == 0 { "refuse" } else { "book" };
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
        let (url, books) = service().await;
        for round in 0..KILLS {
            let server = start(folder.path()).await;
            let moment = Duration::from_micros(random.below(KILL_WITHIN_MS * 1_000));
            // The kill comes while clients go on, or after.
            drop(tokio::time::timeout(moment, visit(&server, &url, round)).await);
            server.kill().expect("a child of ours can be killed");
        }
        let server = start(folder.path()).await;
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
        let done = run["input"]["word"] == "book";
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
    assert_eq!(books.booked, booked, "each child took effect once");
    assert_eq!(books.returned, returned, "what was to be undone is undone, and nothing else");
    assert!(!returned.is_empty());
}
