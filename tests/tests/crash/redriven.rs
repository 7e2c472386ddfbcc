//! A redrive, killed again and again: each letter is retried once by it, and none is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use backstitch_tests::http::{Connection, request};
use backstitch_tests::server::Server;
use serde_json::{Value, json};

use super::clients::read;
use super::scene::{send, serve, start_connected};
use crate::simulation::random::Random;

/// Runs with a letter each.
const RUNS: usize = 60;
/// Retries per second: slow enough for several kills, fast enough for a test.
const RATE: u32 = 40;
/// Kills while it goes on, if it goes on so long.
const KILLS: u32 = 4;
/// A server that goes on with it is killed within so many milliseconds.
const KILL_WITHIN_MS: u64 = 500;

/// What a service knows: whether it is mended, and how often each order reached it whole.
#[derive(Default)]
struct Books {
    mended: AtomicBool,
    orders: Mutex<BTreeMap<u64, BTreeSet<String>>>,
}

/// A service that refuses everything until it is mended, but orders that name a card.
async fn service() -> (String, Arc<Books>) {
    let books = Arc::new(Books::default());
    let router = Router::new().route("/do", post(answer)).with_state(books.clone());
    (serve(router).await, books)
}

async fn answer(
    State(books): State<Arc<Books>>,
    headers: HeaderMap,
    Json(order): Json<Value>,
) -> StatusCode {
    if order["card"].is_string() {
        let key = headers["idempotency-key"].to_str().expect("text").to_owned();
        let number = order["n"].as_u64().expect("a number");
        books.orders.lock().expect("no panic").entry(number).or_default().insert(key);
        return StatusCode::OK;
    }
    match books.mended.load(Ordering::SeqCst) {
        true => StatusCode::OK,
        false => StatusCode::CONFLICT,
    }
}

async fn get(connection: &mut Connection, path: &str) -> Value {
    let answer = connection.send(&request("GET", path, &[], b"")).await.expect("it is up");
    assert_eq!(answer.status, 200, "{path}: {}", read(&answer));
    read(&answer)
}

async fn open_letters(connection: &mut Connection) -> Vec<Value> {
    let listed = get(connection, "/api/v1/dlq?limit=1000").await;
    listed["letters"].as_array().expect("a list").clone()
}

/// Runs whose first step is refused; what becomes of them then is said in equal shares.
async fn fail(folder: &Path, url: &str, recourses: &[&str]) -> Vec<String> {
    let (server, mut connection) = start_connected(folder, &[]).await;
    for recourse in recourses {
        let with = json!({
            "method": "POST", "url": format!("{url}/do"), "body": { "n": "{{ input.n }}" },
        });
        let definition = json!({ "id": recourse, "on_failure": recourse, "steps": [
            { "id": "a", "type": "http", "with": with },
        ]});
        send(&mut connection, "POST", "/api/v1/workflows", &definition).await;
        let path = format!("/api/v1/workflows/{recourse}/execute");
        for n in 0..RUNS / recourses.len() {
            send(&mut connection, "POST", &path, &json!({ "input": { "n": n } })).await;
        }
    }
    let letters = loop {
        let letters = open_letters(&mut connection).await;
        if letters.len() == RUNS {
            break letters;
        }
    };
    drop(server);
    let id = |own: &Value| own["letter_id"].as_str().expect("an id").to_owned();
    letters.iter().map(id).collect()
}

/// Begins a redrive and kills the server while it goes on; then lets it go on to its end.
async fn redriven(folder: &Path, wish: &Value) -> (Server, Connection, Value) {
    let seed = std::env::var("BACKSTITCH_SEED").ok().and_then(|own| own.parse().ok());
    let mut random = Random::new(seed.unwrap_or(11));
    let mut path = None;
    for _ in 0..KILLS {
        let (server, mut connection) = start_connected(folder, &[]).await;
        if path.is_none() {
            let begun = send(&mut connection, "POST", "/api/v1/dlq/retries", wish).await;
            let id = begun["redrive_id"].as_str().expect("an id");
            path = Some(format!("/api/v1/dlq/retries/{id}"));
        }
        tokio::time::sleep(Duration::from_millis(random.below(KILL_WITHIN_MS))).await;
        server.kill().expect("it is killed");
    }
    let path = path.expect("it was asked for");
    let (server, mut connection) = start_connected(folder, &[]).await;
    loop {
        let now = get(&mut connection, &path).await;
        if now["status"] != "running" {
            return (server, connection, now);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_that_is_killed_gives_each_letter_its_other_input_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let (url, books) = service().await;
    fail(folder.path(), &url, &["suspend"]).await;
    let patch = json!({ "body": { "card": "4711" } });
    let wish = json!({ "filter": { "step": "a" }, "rate_per_second": RATE, "input_patch": patch });
    let (server, mut connection, ended) = redriven(folder.path(), &wish).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    assert_eq!(ended["letters"]["succeeded"], RUNS, "{ended}");
    assert_eq!(open_letters(&mut connection).await, Vec::<Value>::new());
    let edits = get(&mut connection, "/api/v1/audit?action=letter.edited&limit=1000").await;
    assert_eq!(edits["audit"].as_array().map(Vec::len), Some(RUNS), "each is edited once");
    // Calls that a kill cut off come again, under the key of the one round with that input.
    let orders = books.orders.lock().expect("no panic").clone();
    assert_eq!(orders.len(), RUNS, "every order has its own number still");
    assert!(orders.values().all(|keys| keys.len() == 1), "{orders:?}");
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_that_is_killed_retries_each_letter_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let (url, books) = service().await;
    // Half of them wait for a person, half are started over.
    let letters = fail(folder.path(), &url, &["suspend", "compensate"]).await;
    books.mended.store(true, Ordering::SeqCst);
    let wish = json!({ "filter": { "step": "a" }, "rate_per_second": RATE });
    let (server, mut connection, ended) = redriven(folder.path(), &wish).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    let counts = &ended["letters"];
    assert_eq!((&counts["claimed"], &counts["succeeded"]), (&json!(RUNS), &json!(RUNS)), "{ended}");
    assert_eq!(open_letters(&mut connection).await, Vec::<Value>::new());
    let actor = ended["redrive_id"].as_str().expect("an id");
    let audit = get(&mut connection, &format!("/api/v1/audit?actor={actor}&limit=1000")).await;
    let mut retried: Vec<_> = audit["audit"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|own| own["target"].as_str().expect("a letter").to_owned())
        .collect();
    let mut letters = letters;
    retried.sort_unstable();
    letters.sort_unstable();
    assert_eq!(retried, letters, "each letter is retried once");
    let runs = get(&mut connection, "/api/v1/executions?status=completed&limit=1000").await;
    assert_eq!(runs["executions"].as_array().map(Vec::len), Some(RUNS), "in place, or anew");
    drop(server);
}
