//! Replays and imports, killed at random moments: every event is delivered, every run arrives
//! whole, and no run is touched.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::routing::post;
use backstitch_tests::binaries;
use backstitch_tests::http::{Connection, request};
use backstitch_tests::server::Server;
use serde_json::{Value, json};

use super::clients::{JSON, get, read};
use crate::simulation::random::Random;

const RUNS: usize = 6;
/// Kills of each of the two.
const KILLS: u64 = 4;
/// An import is killed within so many milliseconds of its beginning.
const KILL_IMPORT_WITHIN_MS: u64 = 60;

async fn start(folder: &Path, name: &str) -> Server {
    let program = Command::new(binaries::backstitch());
    let words = folder.join(format!("{name}.log"));
    let mut server = Server::spawn(program, &folder.join(name), &words).expect("it starts");
    server.ready().await.expect("it is ready");
    server
}

async fn connect(server: &Server) -> Connection {
    Connection::open(server.address()).await.expect("the server is up")
}

async fn send(connection: &mut Connection, path: &str, body: &Value) -> Value {
    let bytes = request("POST", path, &[JSON], body.to_string().as_bytes());
    let answer = connection.send(&bytes).await.expect("an answer");
    assert!(answer.status < 300, "{path}: {}", read(&answer));
    read(&answer)
}

/// Runs whose histories are larger than a commit. Answers them as they are shown.
async fn runs(connection: &mut Connection) -> Vec<Value> {
    let text = "x".repeat(8_000);
    let steps: Vec<_> = (0..20)
        .map(|at| json!({ "id": format!("s{at}"), "type": "transform", "with": { "text": text } }))
        .chain([json!({ "id": "last", "type": "noop", "needs": ["s0"] })])
        .collect();
    let definition = json!({ "id": "wide", "steps": steps, "outputs": {} });
    send(connection, "/api/v1/workflows", &definition).await;
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        let body = json!({ "wait_seconds": 60 });
        runs.push(send(connection, "/api/v1/workflows/wide/execute", &body).await);
    }
    assert!(runs.iter().all(|run| run["status"] == "completed"));
    runs
}

fn id(run: &Value) -> &str {
    run["execution_id"].as_str().expect("an id")
}

/// Somebody who remembers the events that were delivered, each with how often.
async fn receiver() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let taken = Arc::new(Mutex::new(Vec::new()));
    let told = taken.clone();
    let take = move |Json(body): Json<Value>| {
        let event = body["event_id"].as_str().expect("an id").to_owned();
        assert!(body["replay"]["replay_id"].is_string(), "it is marked");
        told.lock().expect("no panic").push(event);
        std::future::ready("taken")
    };
    let router = Router::new().route("/hook", post(take));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
    (address, taken)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_is_killed_delivers_everything_and_touches_no_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = start(folder.path(), "data").await;
    let mut connection = connect(&server).await;
    let runs = runs(&mut connection).await;
    let mut wanted = BTreeSet::new();
    let mut cursor = String::new();
    loop {
        let page = get(&mut connection, &format!("/api/v1/events?after={cursor}")).await;
        let events = page["events"].as_array().expect("a list");
        wanted.extend(events.iter().map(|own| own["position"].as_str().expect("id").to_owned()));
        cursor = page["next_cursor"].as_str().expect("a cursor").to_owned();
        if page["more"] == false {
            break;
        }
    }
    let (hook, taken) = receiver().await;
    let url = format!("http://{hook}/hook");
    let wish = json!({ "url": url, "to": cursor, "rate_per_second": 500 });
    let replay = send(&mut connection, "/api/v1/replays", &wish).await;
    let path = format!("/api/v1/replays/{}", replay["replay_id"].as_str().expect("an id"));
    for kill in 1..=KILLS {
        let more = wanted.len() * kill as usize / (KILLS as usize + 2);
        while taken.lock().expect("no panic").iter().collect::<BTreeSet<_>>().len() < more {
            tokio::task::yield_now().await;
        }
        server.kill().expect("a child of ours can be killed");
        server = start(folder.path(), "data").await;
    }
    let mut connection = connect(&server).await;
    let done = loop {
        let shown = get(&mut connection, &path).await;
        assert_ne!(shown["status"], "stopped", "{shown}");
        if shown["status"] == "completed" {
            break shown;
        }
    };
    let taken = taken.lock().expect("no panic").clone();
    let delivered: BTreeSet<_> = taken.iter().cloned().collect();
    assert_eq!(delivered, wanted, "every event came");
    assert!(done["delivered"].as_u64() >= Some(wanted.len() as u64), "{done}");
    for run in &runs {
        let shown = get(&mut connection, &format!("/api/v1/executions/{}", id(run))).await;
        assert_eq!(shown, *run, "no run is touched");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_is_killed_leaves_whole_runs_or_none() {
    let seed = getrandom::u64().expect("the system gives randomness");
    eprintln!("seed {seed}");
    let mut random = Random::new(seed);
    let folder = tempfile::tempdir().expect("a folder");
    let source = start(folder.path(), "source").await;
    let mut connection = connect(&source).await;
    let runs = runs(&mut connection).await;
    let mut files = Vec::new();
    for run in &runs {
        let path = format!("/api/v1/executions/{}/export", id(run));
        let answer = connection.send(&request("GET", &path, &[], b"")).await.expect("an answer");
        assert_eq!(answer.status, 200);
        files.push(answer.body);
    }
    source.kill().expect("a child of ours can be killed");
    let lines = [("content-type", "application/x-ndjson")];
    for _ in 0..KILLS {
        let server = start(folder.path(), "target").await;
        let address = server.address();
        let files = files.clone();
        let importing = tokio::spawn(async move {
            let Ok(mut connection) = Connection::open(address).await else { return };
            for file in files {
                if connection.send(&request("POST", "/api/v1/import", &lines, &file)).await.is_err()
                {
                    return;
                }
            }
        });
        tokio::time::sleep(Duration::from_millis(random.below(KILL_IMPORT_WITHIN_MS))).await;
        server.kill().expect("a child of ours can be killed");
        importing.await.expect("no panic");
    }
    let server = start(folder.path(), "target").await;
    let mut connection = connect(&server).await;
    for run in &runs {
        let path = format!("/api/v1/executions/{}", id(run));
        let answer = connection.send(&request("GET", &path, &[], b"")).await.expect("an answer");
        match answer.status {
            200 => assert_eq!(read(&answer), *run, "whole or not at all"),
            status => assert!(matches!(status, 404 | 410), "{}", read(&answer)),
        }
    }
    for file in &files {
        let bytes = request("POST", "/api/v1/import", &lines, file);
        let answer = connection.send(&bytes).await.expect("an answer");
        assert_eq!((answer.status, &read(&answer)["conflicts"]), (200, &json!(0)));
    }
    for run in &runs {
        let shown = get(&mut connection, &format!("/api/v1/executions/{}", id(run))).await;
        assert_eq!(shown, *run, "a run is where it comes from what it was");
    }
}
