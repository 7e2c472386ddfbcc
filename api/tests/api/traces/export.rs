//! Spans at a collector, over OTLP/HTTP.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use backstitch_api::Settings;
use backstitch_api::settings::{Headers, Otlp};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::world::{World, submit};
use super::{SPAN, TRACE, parts};
use crate::process::{folder, serve_at};
use crate::server::{Server, settings};

#[derive(Default)]
struct Books {
    requests: Mutex<Vec<Value>>,
    /// The statuses of the next answers; 200 behind them.
    next: Mutex<Vec<u16>>,
    tried: Mutex<usize>,
    news: Notify,
}

/// A collector on loopback.
struct Collector {
    url: String,
    books: Arc<Books>,
}

impl Collector {
    async fn start(next: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let next = Mutex::new(next.iter().rev().copied().collect());
        let books = Arc::new(Books { next, ..Books::default() });
        let router = Router::new().fallback(take).with_state(books.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, books }
    }

    /// Every span so far.
    fn spans(&self) -> Vec<Value> {
        let requests = self.books.requests.lock().expect("no panic");
        let resources = requests.iter().flat_map(|own| list(&own["resourceSpans"]));
        let scopes = resources.flat_map(|own| list(&own["scopeSpans"]));
        scopes.flat_map(|own| list(&own["spans"])).cloned().collect()
    }

    async fn until_spans(&self, count: usize) -> Vec<Value> {
        loop {
            let news = self.books.news.notified();
            let spans = self.spans();
            if spans.len() >= count {
                return spans;
            }
            news.await;
        }
    }

    async fn until_tried(&self) {
        loop {
            let news = self.books.news.notified();
            if *self.books.tried.lock().expect("no panic") > 0 {
                return;
            }
            news.await;
        }
    }
}

fn list(value: &Value) -> std::slice::Iter<'_, Value> {
    value.as_array().expect("a list").iter()
}

async fn take(
    State(books): State<Arc<Books>>,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Response {
    assert_eq!(uri.path(), "/v1/traces");
    assert_eq!(headers["content-type"], "application/json");
    *books.tried.lock().expect("no panic") += 1;
    let status = books.next.lock().expect("no panic").pop().unwrap_or(200);
    if status == 200 {
        let said = serde_json::from_str(&body).expect("JSON");
        books.requests.lock().expect("no panic").push(said);
    }
    books.news.notify_waiters();
    let status = StatusCode::from_u16(status).expect("a status");
    (status, [("retry-after", "0")], "{}").into_response()
}

async fn exporting_to(url: &str) -> Server {
    exporting_in(url, tempfile::tempdir().expect("a folder")).await
}

async fn exporting_in(url: &str, folder: TempDir) -> Server {
    let url = format!("{url}/v1/traces").parse().expect("a URL");
    let otlp = Otlp { url, headers: Headers::default(), service_name: "shop".to_owned() };
    Server::start_with(Settings { otlp: Some(otlp), ..settings(&folder) }, folder).await
}

fn attribute<'a>(of: &'a Value, key: &str) -> &'a Value {
    let found = list(&of["attributes"]).find(|own| own["key"] == key);
    found.map_or(&Value::Null, |own| &own["value"])
}

#[tokio::test]
async fn a_run_with_a_retry_and_an_undo_is_a_tree_of_spans_at_the_collector() {
    let collector = Collector::start(&[503, 429]).await;
    let (server, world) = (exporting_to(&collector.url).await, World::start().await);
    world.define(&server.client, &server.url).await;
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let headers = [("traceparent", parent.as_str()), ("tracestate", "vendor=x")];
    let run = submit(&server.client, &server.url, "saga", &headers).await;
    let spans = collector.until_spans(6).await;
    assert_eq!(spans.len(), 6, "each of them once: {spans:?}");
    assert!(*collector.books.tried.lock().expect("no panic") >= 3, "refused twice, and sent again");

    let own = spans.iter().find(|own| own["parentSpanId"] == SPAN).expect("the run's");
    assert_eq!((&own["name"], &own["traceState"]), (&json!("saga"), &json!("vendor=x")));
    assert_eq!(attribute(own, "backstitch.outcome")["stringValue"], "compensated");
    assert_eq!((&own["status"]["code"], &own["kind"]), (&json!(2), &json!(1)));
    let mut below: Vec<_> =
        spans.iter().filter(|other| other["parentSpanId"] == own["spanId"]).collect();
    assert_eq!(below.len(), 5, "{spans:?}");
    below.sort_by_key(|own| own["startTimeUnixNano"].as_str().map(str::to_owned));
    let names: Vec<_> = below.iter().map(|own| own["name"].as_str().unwrap_or_default()).collect();
    let expected = ["charge", "charge", "ship", "undo charge", "callback workflow.failed"];
    assert_eq!(names, expected);
    let heard = world.heard();
    for (span, heard) in below.iter().zip(&heard) {
        assert_eq!(span["spanId"], parts(&heard.traceparent)[2], "as its service was told");
        assert_eq!((&span["traceId"], &span["kind"]), (&json!(TRACE), &json!(3)));
        assert_eq!(attribute(span, "backstitch.execution_id")["stringValue"], *run);
        assert_eq!(attribute(span, "backstitch.service")["stringValue"], *world.url);
        let instant = |name: &str| span[name].as_str().and_then(|own| own.parse::<u64>().ok());
        assert!(instant("startTimeUnixNano") <= instant("endTimeUnixNano"), "{span}");
    }
    let attempts: Vec<_> =
        below.iter().map(|own| attribute(own, "backstitch.attempt")["intValue"].clone()).collect();
    assert_eq!(attempts, ["1", "2", "1", "1", "1"]);
    let failed: Vec<_> = below.iter().map(|own| own["status"]["code"] == 2).collect();
    assert_eq!(failed, [true, false, true, false, false]);
    assert_eq!(attribute(below[2], "error.type")["stringValue"], "HTTP_STATUS");
    let resource =
        collector.books.requests.lock().expect("no panic")[0]["resourceSpans"][0].clone();
    assert_eq!(attribute(&resource["resource"], "service.name")["stringValue"], "shop");
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_sampled_is_not_exported() {
    let collector = Collector::start(&[]).await;
    let (server, world) = (exporting_to(&collector.url).await, World::start().await);
    world.define(&server.client, &server.url).await;
    let parent = format!("00-{TRACE}-{SPAN}-00");
    submit(&server.client, &server.url, "plain", &[("traceparent", &parent)]).await;
    world.until_heard("/plain").await;
    let run = submit(&server.client, &server.url, "plain", &[]).await;
    let spans = collector.until_spans(2).await;
    assert!(spans.iter().all(|own| own["traceId"] == run[9..]), "{spans:?}");
    server.stop().await;
    assert!(collector.spans().iter().all(|own| own["traceId"] != TRACE));
}

#[tokio::test]
async fn a_collector_that_is_away_or_refuses_costs_no_run() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let away = format!("http://{}", nobody.local_addr().expect("an address"));
    drop(nobody);
    let refusing = Collector::start(&[400; 100]).await;
    for url in [&away, &refusing.url] {
        let (server, world) = (exporting_to(url).await, World::start().await);
        world.define(&server.client, &server.url).await;
        let run = server.run("plain", &json!({})).await;
        assert_eq!(run["status"], "completed");
        if *url == refusing.url {
            refusing.until_tried().await;
        }
        server.stop().await;
    }
    assert_eq!(refusing.spans(), Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_a_kill_lost_is_exported_by_the_next_process() {
    let (folder, world, collector) = (folder(), World::start().await, Collector::start(&[]).await);
    let data_dir = folder.path().join("data");
    let flags = ["--otlp-endpoint", collector.url.as_str()];
    let (mut process, url, _) = serve_at("127.0.0.1:0", &data_dir, &flags);
    let client = crate::forms::client();
    world.define(&client, &url).await;
    world.hold("/charge");
    let run = submit(&client, &url, "saga", &[]).await;
    world.until_heard("/charge").await;
    process.kill().expect("it runs");
    process.wait().expect("it ended");

    let (mut process, _, _) = serve_at("127.0.0.1:0", &data_dir, &flags);
    let spans = collector.until_spans(7).await;
    assert!(spans.iter().all(|own| own["traceId"] == run[9..]), "{spans:?}");
    let lost: Vec<_> = spans
        .iter()
        .filter(|own| attribute(own, "error.type")["stringValue"] == "ATTEMPT_LOST")
        .collect();
    let told = parts(&world.heard()[0].traceparent)[2].to_owned();
    assert!(matches!(lost[..], [own] if own["spanId"] == told), "{spans:?}");
    process.kill().expect("it runs");
    process.wait().expect("it ended");
}

#[tokio::test]
async fn the_next_process_goes_on_where_the_last_one_came_to() {
    let collector = Collector::start(&[]).await;
    let (server, world) = (exporting_to(&collector.url).await, World::start().await);
    world.define(&server.client, &server.url).await;
    let first = submit(&server.client, &server.url, "plain", &[]).await;
    collector.until_spans(2).await;
    // Whoever exports has stopped and has noted its place.
    let folder = server.stop().await;
    let server = exporting_in(&collector.url, folder).await;
    let second = submit(&server.client, &server.url, "plain", &[]).await;
    let spans = collector.until_spans(4).await;
    let count = |run: &str| spans.iter().filter(|own| own["traceId"] == run[9..]).count();
    assert_eq!((count(&first), count(&second)), (2, 2), "each of them once: {spans:?}");
    server.stop().await;
}
