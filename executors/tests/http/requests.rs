//! What goes out: the request line, the headers and the body.

use backstitch_core::trace::{SpanId, TraceContext, TraceId};
use backstitch_executors::Task;
use serde_json::json;

use crate::server::{Reply, Seen, Server, answer};
use crate::{NONE, PERMANENT, attempt, failure, output, run, task, words};

#[tokio::test]
async fn a_request_says_who_asks() {
    let mut server = Server::saying(answer("200 OK", &[], "")).await;
    output(json!({ "method": "post", "url": server.url("/charge"), "body": { "b": 1, "a": "x" } }))
        .await;
    let request = server.next_request().await;
    assert_eq!(request.line, "POST /charge HTTP/1.1");
    assert_eq!(request.body, r#"{"a":"x","b":1}"#);
    let run = "exec_00030000000000000000000000000000feed";
    for (name, value) in [
        ("idempotency-key", format!("{run}/charge/1")),
        ("backstitch-attempt", "2".to_owned()),
        ("backstitch-execution", run.to_owned()),
        ("x-correlation-id", "order 17".to_owned()),
        ("user-agent", format!("backstitch/{}", env!("CARGO_PKG_VERSION"))),
        ("content-type", "application/json".to_owned()),
        ("content-length", "15".to_owned()),
    ] {
        assert_eq!(request.headers.get(name), Some(&value), "{name}");
    }
    assert!(!request.headers.contains_key("referer"));
}

#[tokio::test]
async fn a_step_sets_headers_query_and_text() {
    let mut server = Server::saying(answer("200 OK", &[], "")).await;
    output(json!({
        "method": "PUT",
        "url": server.url("/a b?x=1#part"),
        "query": { "q": "ä&=", "list": [1, true], "none": null },
        "headers": {
            "Authorization": "Bearer t", "X-Count": 3, "User-Agent": "mine", "X-Null": null,
            "X-Correlation-ID": "mine too",
        },
        "body": "plain",
    }))
    .await;
    let request = server.next_request().await;
    assert_eq!(request.line, "PUT /a%20b?x=1&list=1&list=true&q=%C3%A4%26%3D HTTP/1.1");
    assert_eq!(request.body, "plain");
    for (name, value) in [
        ("authorization", "Bearer t"),
        ("x-count", "3"),
        ("user-agent", "mine"),
        ("x-correlation-id", "mine too"),
        ("content-type", "text/plain; charset=utf-8"),
    ] {
        assert_eq!(request.headers[name], value, "{name}");
    }
    assert!(!request.headers.contains_key("x-null"));
}

#[tokio::test]
async fn a_content_type_of_the_step_stands() {
    let mut server = Server::saying(answer("200 OK", &[], "")).await;
    let headers = json!({ "content-type": "text/csv" });
    output(json!({ "method": "POST", "url": server.url("/"), "headers": headers, "body": "a;b" }))
        .await;
    assert_eq!(server.next_request().await.headers["content-type"], "text/csv");
}

#[tokio::test]
async fn every_method_goes_out() {
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let mut server = Server::saying(answer("200 OK", &[], "")).await;
        output(json!({ "method": method, "url": server.url("/") })).await;
        let request = server.next_request().await;
        assert_eq!(request.line, format!("{method} / HTTP/1.1"));
        let length = request.headers.get("content-length").map(String::as_str);
        let has_body = matches!(method, "POST" | "PUT" | "PATCH");
        assert_eq!(length, has_body.then_some("0"), "{method}");
    }
}

#[tokio::test]
async fn what_cannot_be_sent_is_not_sent() {
    let mut server = Server::saying(answer("200 OK", &[], "")).await;
    let url = server.url("/");
    let with_user = url.replace("http://", "http://me:secret@");
    for (with, message) in [
        (json!({}), "with.url is missing"),
        (json!("text"), "must be an object"),
        (json!({ "url": "" }), "with.url is not a url"),
        (json!({ "url": "/relative" }), "with.url is not a url"),
        (json!({ "url": 5 }), "with.url must be a string, not a number"),
        (json!({ "url": "ftp://x/" }), "must begin with http:// or https://"),
        (json!({ "url": "file:///etc/hosts" }), "must begin with http:// or https://"),
        (json!({ "url": with_user }), "must not hold a user or password"),
        (json!({ "url": format!("{url}{}", "x".repeat(9000)) }), "longer than 8192 bytes"),
        (json!({ "url": url, "method": "BREW" }), "unknown method"),
        (json!({ "url": url, "headers": { "X-A": "a\r\nX-B: b" } }), "control characters"),
        (json!({ "url": url, "headers": { "a b": "c" } }), "is not a header name"),
        (json!({ "url": url, "headers": { "X-A": ["b"] } }), "not a list"),
        (json!({ "url": url, "headers": { "Idempotency-Key": "mine" } }), "can't be overridden"),
        (json!({ "url": url, "headers": { "backstitch-attempt": "9" } }), "can't be overridden"),
        (json!({ "url": url, "headers": { "Content-Length": "9" } }), "belongs to the connection"),
        (json!({ "url": url, "query": { "q": { "a": 1 } } }), "with.query.q must be"),
        (json!({ "url": url, "bdoy": 1 }), "did you mean `body`?"),
        (json!({ "url": "http://{{ x }}/" }), "with.url is not a url"),
    ] {
        let failure = failure(with.clone()).await;
        assert_eq!(words(&failure), ("HTTP_BAD_REQUEST", PERMANENT, NONE), "{with}");
        assert!(failure.message.contains(message), "{with}: {}", failure.message);
        assert!(!failure.message.contains("secret"), "{}", failure.message);
    }
    let mut run_of_odd_name = task(&json!({ "url": url }));
    run_of_odd_name.correlation_id = "a\r\nb: c".into();
    let failure = attempt(run_of_odd_name).await.expect_err("it can't be a header");
    assert_eq!(words(&failure), ("HTTP_BAD_REQUEST", PERMANENT, NONE));
    assert_eq!(server.counts(), (0, 0));
}

#[tokio::test]
async fn requests_share_a_connection() {
    let mut server = Server::saying(answer("500 Oops", &[], "x".repeat(3000))).await;
    let registry =
        backstitch_executors::Registry::builtin(Default::default()).expect("a client can be built");
    let http = registry.get("http").expect("it is built in");
    for _ in 0..5 {
        http.run(task(&json!({ "url": server.url("/") }))).await.expect_err("a 500 is a failure");
    }
    assert_eq!(server.counts(), (1, 5));
}

#[tokio::test]
async fn dropping_an_attempt_closes_its_connection() {
    let mut server = Server::start(|_, _| Reply::Hang).await;
    let with = json!({ "url": server.url("/") });
    let attempt = tokio::spawn(async move { run(with).await });
    server.next_request().await;
    attempt.abort();
    assert!(matches!(server.next().await, Seen::Left));
    assert!(attempt.await.expect_err("it was aborted").is_cancelled());
}

#[tokio::test]
async fn dropping_an_attempt_in_the_middle_of_an_answer_closes_its_connection() {
    let begun = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc".to_vec();
    let mut server = Server::start(move |_, _| Reply::Send(begun.clone())).await;
    let with = json!({ "url": server.url("/") });
    let attempt = tokio::spawn(async move { run(with).await });
    server.next_request().await;
    attempt.abort();
    assert!(matches!(server.next().await, Seen::Left));
}

fn traced() -> TraceContext {
    let (trace, parent) = (TraceId(0xabc), Some(SpanId(0xdef)));
    TraceContext { trace, parent, sampled: true, state: "vendor=x".into() }
}

#[tokio::test]
async fn a_call_is_told_where_it_stands_in_the_trace() {
    let mut server = Server::saying(answer("200 OK", &[], "")).await;
    let with = json!({ "url": server.url("/"), "headers": { "TraceState": "mine=1" } });
    attempt(Task { trace: Some(traced()), ..task(&with) }).await.expect("it succeeds");
    let request = server.next_request().await;
    let parent = format!("00-{:032x}-{:016x}-01", 0xabc, 0xdef);
    assert_eq!(request.headers["traceparent"], parent);
    assert_eq!(request.headers["tracestate"], "vendor=x", "that of this place in the trace");
}

#[tokio::test]
async fn a_step_that_says_where_it_stands_is_left_its_word() {
    let mut server = Server::saying(answer("200 OK", &[], "")).await;
    let with = json!({ "url": server.url("/"), "headers": { "Traceparent": "mine" } });
    attempt(Task { trace: Some(traced()), ..task(&with) }).await.expect("it succeeds");
    let request = server.next_request().await;
    assert_eq!(request.headers["traceparent"], "mine");
    assert!(!request.headers.contains_key("tracestate"), "ours is of another place");
    output(json!({ "url": server.url("/") })).await;
    assert!(!server.next_request().await.headers.contains_key("traceparent"), "in no trace");
}
