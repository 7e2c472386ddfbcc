//! Spans at a collector, over OTLP/HTTP.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use backstitch_api::Settings;
use backstitch_api::settings::{Headers, Otlp};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::world::{World, submit};
use super::{SPAN, TRACE, parts};
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
    let folder = tempfile::tempdir().expect("a folder");
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
        server.stop().await;
    }
    assert!(*refusing.books.tried.lock().expect("no panic") > 0);
    assert_eq!(refusing.spans(), Vec::<Value>::new());
}
