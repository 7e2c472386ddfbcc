//! Events as they happen: server-sent events and WebSockets.

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::guarded::{FIRST_KEY, Guarded};
use crate::server::Server;
use crate::streams::{PATIENCE, Sent, Sse};

const SINGLE: &str = "id: single\nsteps:\n  - { id: one, type: noop }\n";
const WAITING: &str =
    "id: waiting\nsteps:\n  - { id: go, type: wait, with: { signal: go, timeout: 2d } }\n";
/// Runs of which a reader that sleeps misses more than its mailbox holds.
const MANY_RUNS: usize = 150;

type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

async fn begin(server: &Server, workflow: &str) -> String {
    let path = format!("/api/v1/workflows/{workflow}/execute");
    let (status, run) = server.post(&path, &json!({})).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{run}");
    run["execution_id"].as_str().expect("an id").to_owned()
}

async fn listed(server: &Server, run: &str) -> Vec<Value> {
    let (status, page) = server.get(&format!("/api/v1/executions/{run}/events")).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    page["events"].as_array().expect("events").clone()
}

fn positions(events: &[Value]) -> Vec<&str> {
    events.iter().map(|own| own["position"].as_str().expect("a position")).collect()
}

fn data(sent: &[Sent]) -> Vec<Value> {
    sent.iter().filter_map(|own| own.data.clone()).collect()
}

async fn socket(url: &str, path: &str) -> Socket {
    let url = format!("{}{path}", url.replacen("http", "ws", 1));
    connect_async(url).await.expect("a WebSocket").0
}

/// The next event of a WebSocket, with the cursor behind it.
async fn told(socket: &mut Socket) -> Option<(String, Value)> {
    loop {
        let next = timeout(PATIENCE, socket.next()).await.expect("in time");
        match next?.expect("a message") {
            Message::Text(text) => {
                let told: Value = serde_json::from_str(&text).expect("JSON");
                let cursor = told["cursor"].as_str().expect("a cursor").to_owned();
                if told["event"].is_object() {
                    return Some((cursor, told["event"].clone()));
                }
            }
            Message::Close(_) => return None,
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_followed_from_its_beginning_to_its_end_each_event_once() {
    let server = Server::start().await;
    server.define(WAITING).await;
    let run = begin(&server, "waiting").await;
    let path = format!("/api/v1/executions/{run}/events?until=end&heartbeat_seconds=60");
    let mut stream = Sse::open(server.request(Method::GET, &path)).await;
    let mut heard = stream.until("StepAwaitsSignal").await;
    server.post(&format!("/api/v1/executions/{run}/signals/go"), &json!({})).await;
    heard.extend(stream.until("end").await);
    assert_eq!(stream.event().await, None);
    let end = heard.pop().expect("the stream's end");
    assert_eq!(end.data, Some(json!({})));
    let listed = listed(&server, &run).await;
    let data = data(&heard);
    assert_eq!(positions(&data), positions(&listed));
    for (sent, listed) in heard.iter().zip(&listed) {
        let told = sent.data.as_ref().expect("data");
        assert_eq!(sent.id.as_deref(), listed["position"].as_str());
        assert_eq!(sent.kind.as_deref(), listed["type"].as_str());
        for field in ["stream", "version", "recorded_at", "data"] {
            assert_eq!(told[field], listed[field], "{field}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_cut_off_goes_on_behind_the_last_event_that_was_seen() {
    let server = Server::start().await;
    server.define(SINGLE).await;
    let run = server.run("single", &json!({})).await;
    let run = run["execution_id"].as_str().expect("an id");
    let path = format!("/api/v1/executions/{run}/events");
    let mut stream = Sse::open(server.request(Method::GET, &path)).await;
    let heard = stream.until("StepStarted").await;
    let seen = stream.last_id.expect("an id");
    let listed = listed(&server, run).await;
    let rest = &positions(&listed)[heard.len()..];
    let folder = server.stop().await;
    // By the header of browsers and by the query, and behind a restart.
    let server = Server::start_in(folder).await;
    let by_header = server.request(Method::GET, &format!("{path}?until=end&heartbeat_seconds=60"));
    let by_query = server.request(Method::GET, &format!("{path}?until=end&after={seen}"));
    for request in [by_header.header("last-event-id", &seen), by_query] {
        let mut heard = Sse::open(request).await.until("end").await;
        heard.pop();
        assert_eq!(positions(&data(&heard)), rest);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_falls_behind_loses_nothing_and_holds_up_nobody() {
    let server = Server::start().await;
    server.define(SINGLE).await;
    let path = "/api/v1/events?type=StepSucceeded,ExecutionEnded";
    let mut slow = Sse::open(server.request(Method::GET, path)).await;
    let mut quick = Sse::open(server.request(Method::GET, path)).await;
    let whole = "/api/v1/workflows/single/events";
    let mut sleeper = socket(&server.url, whole).await;
    for _ in 0..MANY_RUNS {
        let run = server.run("single", &json!({})).await;
        assert_eq!(run["status"], "completed");
        let heard = quick.until("ExecutionEnded").await;
        assert_eq!(
            heard.last().and_then(|own| own.data.clone()).expect("data")["stream"],
            run["execution_id"]
        );
    }
    let (_, page) = server.get("/api/v1/events?type=StepSucceeded,ExecutionEnded&limit=1000").await;
    let wanted = page["events"].as_array().expect("events");
    let mut heard = Vec::new();
    while heard.len() < wanted.len() {
        heard.extend(slow.event().await.expect("an event").data);
    }
    let sorted = |events: &[Value]| {
        let mut all: Vec<_> = positions(events).into_iter().map(str::to_owned).collect();
        all.sort();
        all
    };
    assert_eq!(sorted(&heard), sorted(wanted));
    let (_, page) = server.get(&format!("{whole}?limit=1000")).await;
    let (wanted, more) = (page["events"].as_array().expect("events"), &page["more"]);
    assert_eq!((more, wanted.len() > 256), (&json!(false), true));
    let of_runs = wanted
        .iter()
        .filter(|own| own["stream"].as_str().is_some_and(|own| own.starts_with("exec_")))
        .cloned();
    let wanted: Vec<Value> = of_runs.collect();
    let mut heard = Vec::new();
    while heard.len() < wanted.len() {
        heard.push(told(&mut sleeper).await.expect("an event").1);
    }
    assert_eq!(sorted(&heard), sorted(&wanted));
}

#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_move_the_place_over_what_does_not_pass_the_filter() {
    let server = Server::start().await;
    server.define(SINGLE).await;
    let path = "/api/v1/events?workflow_id=other&heartbeat_seconds=1";
    let mut stream = Sse::open(server.request(Method::GET, path)).await;
    let first = stream.next().await.and_then(|sent| sent.id).expect("a place at once");
    server.run("single", &json!({})).await;
    let moved = loop {
        match stream.next().await.expect("a heartbeat").id {
            Some(place) if place != first => break place,
            _ => {}
        }
    };
    let (_, behind) = server.get(&format!("/api/v1/events?after={moved}")).await;
    let (_, all) = server.get(&format!("/api/v1/events?after={first}")).await;
    let count = |page: &Value| page["events"].as_array().map_or(0, Vec::len);
    assert!(count(&behind) < count(&all), "{moved} {behind}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_socket_tells_the_same_and_says_why_it_closes() {
    let server = Server::start().await;
    server.define(SINGLE).await;
    let run = server.run("single", &json!({})).await;
    let run = run["execution_id"].as_str().expect("an id");
    // Document 001 names a run where its path has a workflow.
    for path in ["workflows", "executions"] {
        let mut socket = socket(
            &server.url,
            &format!("/api/v1/{path}/{run}/events?until=end&heartbeat_seconds=60"),
        )
        .await;
        let mut heard = Vec::new();
        let closed = loop {
            match socket.next().await.expect("a close").expect("a message") {
                Message::Text(text) => {
                    heard.push(serde_json::from_str::<Value>(&text).expect("JSON"))
                }
                Message::Close(frame) => break frame.expect("a reason"),
                _ => {}
            }
        };
        assert_eq!((u16::from(closed.code), closed.reason.as_str()), (1000, "the run has ended"));
        let events: Vec<Value> =
            heard.iter().map(|own| own["event"].clone()).filter(Value::is_object).collect();
        assert_eq!(positions(&events), positions(&listed(&server, run).await));
    }
    let mut idle = socket(&server.url, "/api/v1/workflows/single/events").await;
    idle.send(Message::Text("no".repeat(10_000).into())).await.expect("it is sent");
    while let Some(Ok(message)) = idle.next().await {
        assert!(!matches!(message, Message::Text(text) if text.contains("event")));
    }
    let mut last = socket(&server.url, "/api/v1/workflows/single/events").await;
    told_nothing(&mut last).await;
    server.stop().await;
    let mut codes = Vec::new();
    while let Some(Ok(message)) = last.next().await {
        if let Message::Close(Some(frame)) = message {
            codes.push(u16::from(frame.code));
        }
    }
    assert_eq!(codes, [1001]);
}

/// The first message: where it begins.
async fn told_nothing(socket: &mut Socket) {
    let first = socket.next().await.expect("a message").expect("a message");
    let first: Value = serde_json::from_str(first.to_text().expect("text")).expect("JSON");
    assert!(first["cursor"].is_string() && first["event"].is_null(), "{first}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stream_can_t_be_is_refused_before_it_begins() {
    let server = Server::start().await;
    server.define(SINGLE).await;
    let run = server.run("single", &json!({})).await;
    let run = run["execution_id"].as_str().expect("an id");
    let of_run = format!("/api/v1/executions/{run}/events");
    let none = "exec_0000000000000000000000000000000000000000";
    for (path, code) in [
        (format!("{of_run}?until=never"), "INVALID_REQUEST"),
        (format!("{of_run}?until=end&type=StepReady"), "INVALID_REQUEST"),
        (format!("{of_run}?heartbeat_seconds=0"), "INVALID_REQUEST"),
        (format!("{of_run}?heartbeat_seconds=61"), "INVALID_REQUEST"),
        (format!("{of_run}?limit=5"), "INVALID_REQUEST"),
        (format!("{of_run}?after=1:2"), "INVALID_REQUEST"),
        (format!("{of_run}?after=9:0:1"), "CURSOR_OUTDATED"),
        (format!("/api/v1/executions/{none}/events"), "EXECUTION_NOT_FOUND"),
        ("/api/v1/workflows/none/events".to_owned(), "WORKFLOW_NOT_FOUND"),
        ("/api/v1/events?after=x".to_owned(), "INVALID_REQUEST"),
        ("/api/v1/events?type=Nothing".to_owned(), "INVALID_REQUEST"),
        ("/api/v1/events?from=2026-01-01T00:00:00Z".to_owned(), "INVALID_REQUEST"),
    ] {
        let request = server.request(Method::GET, &path).header("accept", "text/event-stream");
        let (_, refused) = crate::server::answer(request).await;
        assert_eq!(refused["error_code"], code, "{path}: {refused}");
    }
    let url = format!("{}{of_run}", server.url.replacen("http", "ws", 1));
    let mut foreign = url.into_client_request().expect("a request");
    foreign.headers_mut().insert("origin", "https://evil.example.com".parse().expect("a header"));
    let Err(SocketError::Http(answer)) = connect_async(foreign).await else {
        panic!("a page of another origin may listen");
    };
    assert_eq!(answer.status().as_u16(), 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_read_any_more_is_cut_off() {
    let guarded = Guarded::start();
    let workflow: Value = json!({ "id": "single", "steps": [{ "id": "one", "type": "noop" }] });
    guarded.post("/api/v1/workflows", FIRST_KEY, &workflow).await;
    let (id, token) = guarded.key(&["executions:read"], "default").await;
    let path = "/api/v1/workflows/single/events?heartbeat_seconds=1";
    let mut stream = Sse::open(guarded.ask("GET", path, &token)).await;
    assert!(stream.next().await.is_some());
    let revoked = guarded.ask("DELETE", &format!("/api/v1/admin/api-keys/{id}"), FIRST_KEY);
    assert!(revoked.send().await.expect("an answer").status().is_success());
    let end = stream.event().await.expect("why it ends");
    assert_eq!(end.kind.as_deref(), Some("error"));
    assert_eq!(end.data.expect("data")["error_code"], "UNAUTHENTICATED");
    assert_eq!(stream.next().await, None);

    // All events are the store's; another tenant's run is not there.
    let (_, theirs) = guarded.key(&["executions:read", "history:read"], "other").await;
    let (_, run) = guarded.post("/api/v1/workflows/single/execute", FIRST_KEY, &json!({})).await;
    let run = run["execution_id"].as_str().expect("an id");
    for (path, status) in [
        ("/api/v1/events".to_owned(), StatusCode::FORBIDDEN),
        (format!("/api/v1/executions/{run}/events"), StatusCode::NOT_FOUND),
        (format!("/api/v1/workflows/{run}/events"), StatusCode::NOT_FOUND),
        ("/api/v1/workflows/single/events".to_owned(), StatusCode::NOT_FOUND),
    ] {
        let request = guarded.ask("GET", &path, &theirs).header("accept", "text/event-stream");
        let (answered, body) = crate::server::answer(request).await;
        assert_eq!(answered, status, "{path}: {body}");
    }
}

/// What a reader was told is durable: behind a `kill -9` it goes on where it was, and every event
/// comes once.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_behind_a_kill() {
    let mut guarded = Guarded::start();
    let step = json!({ "id": "go", "type": "wait", "with": { "signal": "go", "timeout": "2d" } });
    let workflow = json!({ "id": "waiting", "steps": [step] });
    guarded.post("/api/v1/workflows", FIRST_KEY, &workflow).await;
    let (_, run) = guarded.post("/api/v1/workflows/waiting/execute", FIRST_KEY, &json!({})).await;
    let run = run["execution_id"].as_str().expect("an id");
    let path = format!("/api/v1/executions/{run}/events");
    let stream = format!("{path}?until=end&heartbeat_seconds=60");
    let mut before = Sse::open(guarded.ask("GET", &stream, FIRST_KEY)).await;
    let mut heard = before.until("StepAwaitsSignal").await;
    let seen = before.last_id.take().expect("an id");
    guarded.start_again();
    let again = guarded.ask("GET", &stream, FIRST_KEY).header("last-event-id", seen);
    let mut after = Sse::open(again).await;
    let signal = format!("/api/v1/executions/{run}/signals/go");
    let (status, sent) = guarded.post(&signal, FIRST_KEY, &json!({})).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{sent}");
    heard.extend(after.until("end").await);
    heard.pop();
    let (_, page) = guarded.get(&path, FIRST_KEY).await;
    let listed = page["events"].as_array().expect("events");
    assert_eq!(positions(&data(&heard)), positions(listed));
}
