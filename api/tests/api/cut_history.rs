//! The whole history, and replays of it, once the log was cut.

use backstitch_api::Settings;
use backstitch_journal::{Options, SEGMENT_BYTES_MIN};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{Server, TWO_STEPS, settings};

/// Settings under which segments are sealed and archived soon.
fn small(folder: &TempDir) -> Settings {
    let own = settings(folder);
    let segment_bytes = SEGMENT_BYTES_MIN;
    let journal = Options { segment_bytes, log_segments_kept: 1, tick_ms: 20, ..own.journal };
    Settings { journal, ..own }
}

async fn started() -> Server {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start_with(small(&folder), folder).await;
    server.define(TWO_STEPS).await;
    server
}

/// A server whose log was cut; a cursor from before, and one from the very beginning.
async fn cut_server() -> (Server, String, String) {
    let server = started().await;
    let (_, first) = server.get("/api/v1/events?limit=2").await;
    assert_eq!(first["cut"], Value::Null, "{first}");
    let early = first["next_cursor"].as_str().expect("a cursor").to_owned();
    let parts: Vec<&str> = early.split('.').collect();
    let zeros = vec!["0"; parts.len() - 2];
    let beginning = [&parts[..2], &zeros].concat().join(".");
    cut(&server).await;
    (server, early, beginning)
}

/// Writes, and cuts what is archived of it.
async fn cut(server: &Server) {
    let input = json!({ "name": "x".repeat(40_000) });
    for _ in 0..16 {
        server.run("two", &input).await;
    }
    loop {
        let body = json!({ "keep_for": "0s", "dry_run": false });
        let (status, done) = server.post("/api/v1/admin/cut", &body).await;
        assert_eq!(status, StatusCode::OK, "{done}");
        if done["segments"].as_u64() > Some(0) {
            return;
        }
    }
}

async fn rested(server: &Server, begun: &Value) -> Value {
    let path = format!("/api/v1/replays/{}", begun["replay_id"].as_str().expect("an id"));
    loop {
        let (_, shown) = server.get(&path).await;
        if shown["status"] != "running" {
            return shown;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_begin_behind_a_cut_and_say_so() {
    let (server, early, beginning) = cut_server().await;
    for query in ["", "?after=", "?from=2001-01-01T00:00:00Z", &format!("?after={beginning}")] {
        let (status, page) = server.get(&format!("/api/v1/events{query}")).await;
        assert_eq!(status, StatusCode::OK, "{query}: {page}");
        assert!(page["events"].as_array().is_some_and(|rows| !rows.is_empty()), "{page}");
        assert!(page["events"][0]["version"].as_u64() > Some(0), "{page}");
        let until = page["cut"]["until"].as_str().expect("an instant").to_owned();
        assert!(page["cut"]["cursor"].as_str().is_some_and(|cursor| cursor != beginning), "{page}");
        assert!(Some(until.as_str()) <= page["events"][0]["committed_at"].as_str(), "{page}");
    }
    let (status, refused) = server.get(&format!("/api/v1/events?after={early}")).await;
    assert_eq!((status, &refused["error_code"]), (StatusCode::GONE, &json!("HISTORY_CUT")));
    let cursor = refused["details"]["cut"]["cursor"].as_str().expect("a cursor");
    assert!(refused["message"].as_str().is_some_and(|words| words.contains(cursor)), "{refused}");
    let (_, from_there) = server.get(&format!("/api/v1/events?limit=5&after={cursor}")).await;
    let (_, anew) = server.get("/api/v1/events?limit=5").await;
    assert_eq!(from_there["events"], anew["events"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replays_begin_behind_a_cut_and_say_so() {
    let (server, early, beginning) = cut_server().await;
    let (_, events) = server.get("/api/v1/events?limit=1").await;
    let until = &events["cut"]["until"];
    let wish = |from: Option<&str>| json!({ "url": "http://127.0.0.1:1/", "filter": { "type": "RunsImported" }, "from": from });
    let places = [None, Some(beginning.as_str()), Some("2001-01-01T00:00:00Z")];
    for from in places {
        let (status, begun) = server.post("/api/v1/replays", &wish(from)).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{from:?}: {begun}");
        let ended = rested(&server, &begun).await;
        assert_eq!((&ended["status"], &ended["cut_until"]), (&json!("completed"), until));
    }
    let (status, refused) = server.post("/api/v1/replays", &wish(Some(&early))).await;
    assert_eq!((status, &refused["error_code"]), (StatusCode::GONE, &json!("HISTORY_CUT")));
    let cursor = refused["details"]["cut"]["cursor"].as_str().expect("a cursor");
    let (_, begun) = server.post("/api/v1/replays", &wish(Some(cursor))).await;
    let ended = rested(&server, &begun).await;
    assert_eq!((&ended["status"], &ended["cut_until"]), (&json!("completed"), &Value::Null));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_a_cut_overtook_stops_and_says_so() {
    let server = started().await;
    // Nobody listens at this port: the first attempt fails and the replay stops.
    let wish = json!({ "url": "http://127.0.0.1:1/", "max_attempts": 1 });
    let (_, begun) = server.post("/api/v1/replays", &wish).await;
    assert_eq!(rested(&server, &begun).await["delivered"], 0);
    cut(&server).await;
    let path = format!("/api/v1/replays/{}/resume", begun["replay_id"].as_str().expect("an id"));
    let (status, _) = server.post(&path, &json!({})).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let stopped = rested(&server, &begun).await;
    let reason = stopped["stopped"]["reason"].as_str().expect("a reason");
    let (_, events) = server.get("/api/v1/events?limit=1").await;
    let cursor = events["cut"]["cursor"].as_str().expect("a cursor");
    assert!(reason.contains("was cut") && reason.contains(cursor), "{reason}");
    server.stop().await;
}
