//! A redrive, killed again and again: each letter is retried once by it, and none is lost.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use backstitch_tests::http::{Connection, request};
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

/// A service that refuses everything until it is mended.
async fn service() -> (String, Arc<AtomicBool>) {
    let mended = Arc::new(AtomicBool::new(false));
    let answer = |State(mended): State<Arc<AtomicBool>>| async move {
        match mended.load(Ordering::SeqCst) {
            true => StatusCode::OK,
            false => StatusCode::CONFLICT,
        }
    };
    let router = Router::new().route("/do", post(answer)).with_state(mended.clone());
    (serve(router).await, mended)
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

/// Runs whose first step is refused; half of them wait for a person, half are started over.
async fn fail(folder: &Path, url: &str) -> Vec<String> {
    let (server, mut connection) = start_connected(folder, &[]).await;
    for recourse in ["suspend", "compensate"] {
        let definition = json!({ "id": recourse, "on_failure": recourse, "steps": [
            { "id": "a", "type": "http", "with": { "method": "POST", "url": format!("{url}/do") } },
        ]});
        send(&mut connection, "POST", "/api/v1/workflows", &definition).await;
        let path = format!("/api/v1/workflows/{recourse}/execute");
        for _ in 0..RUNS / 2 {
            send(&mut connection, "POST", &path, &json!({})).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_that_is_killed_retries_each_letter_once() {
    let seed = std::env::var("BACKSTITCH_SEED").ok().and_then(|own| own.parse().ok());
    let mut random = Random::new(seed.unwrap_or(11));
    let folder = tempfile::tempdir().expect("a folder");
    let (url, mended) = service().await;
    let letters = fail(folder.path(), &url).await;
    mended.store(true, Ordering::SeqCst);
    let mut path = None;
    for _ in 0..KILLS {
        let (server, mut connection) = start_connected(folder.path(), &[]).await;
        if path.is_none() {
            let wish = json!({ "filter": { "step": "a" }, "rate_per_second": RATE });
            let begun = send(&mut connection, "POST", "/api/v1/dlq/retries", &wish).await;
            let id = begun["redrive_id"].as_str().expect("an id");
            path = Some(format!("/api/v1/dlq/retries/{id}"));
        }
        tokio::time::sleep(Duration::from_millis(random.below(KILL_WITHIN_MS))).await;
        server.kill().expect("it is killed");
    }
    let path = path.expect("it was asked for");
    let (server, mut connection) = start_connected(folder.path(), &[]).await;
    let ended = loop {
        let now = get(&mut connection, &path).await;
        if now["status"] != "running" {
            break now;
        }
    };
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
