//! What goes wrong, and what each failure says of the next attempt and of this one's effect.

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::server::{Server, answer};
use crate::{NONE, PERMANENT, RETRYABLE, UNKNOWN, details, failure, output, run, words};

#[tokio::test]
async fn each_status_has_its_class() {
    for (status, class, effect) in [
        (400, PERMANENT, NONE),
        (401, PERMANENT, NONE),
        (402, PERMANENT, NONE),
        (404, PERMANENT, NONE),
        (408, RETRYABLE, NONE),
        (409, PERMANENT, NONE),
        (422, PERMANENT, NONE),
        (425, RETRYABLE, NONE),
        (429, RETRYABLE, NONE),
        (500, RETRYABLE, NONE),
        (502, RETRYABLE, UNKNOWN),
        (503, RETRYABLE, NONE),
        (504, RETRYABLE, UNKNOWN),
        (304, PERMANENT, NONE),
    ] {
        let head = format!("{status} Whatever");
        let body = if status == 304 { "" } else { "why" };
        let server = Server::saying(answer(&head, &[], body)).await;
        let failure = failure(json!({ "method": "POST", "url": server.url("/") })).await;
        assert_eq!(words(&failure), ("HTTP_STATUS", class, effect), "{status}");
    }
}

#[tokio::test]
async fn a_failure_says_what_was_asked_and_answered() {
    let body = format!("{{\"error\":\"out of stock\"}}\n{}", "x".repeat(5_000));
    let headers = ["retry-after: 2"];
    let server = Server::saying(answer("503 Busy", &headers, body.clone())).await;
    let url = server.url("/reserve?token=s3cret");
    let failure = failure(json!({ "method": "POST", "url": url })).await;
    let shown = server.url("/reserve");
    let start = format!("POST {shown} answered 503: {{\"error\":\"out of stock\"}} xxx");
    assert!(failure.message.starts_with(&start), "{}", failure.message);
    assert!(failure.message.chars().count() < 300);
    let details = details(&failure);
    assert_eq!(details["status"], 503);
    assert_eq!(details["url"], Value::String(shown));
    assert_eq!(details["retry_after_ms"], 2_000);
    assert_eq!(details["body"], Value::String(format!("{}…", &body[..1024])));
}

#[tokio::test]
async fn a_step_may_expect_other_statuses() {
    let server = Server::saying(answer("404 Not Found", &[], "gone")).await;
    let url = server.url("/");
    let found = output(json!({ "url": url, "expect_status": ["2xx", 404] })).await;
    assert_eq!((&found["status"], &found["body"]), (&json!(404), &json!("gone")));

    let server = Server::saying(answer("200 OK", &[], "")).await;
    let failure = failure(json!({ "url": server.url("/"), "expect_status": 201 })).await;
    assert_eq!(words(&failure), ("HTTP_STATUS", PERMANENT, UNKNOWN));
}

#[tokio::test]
async fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let address = listener.local_addr().expect("it is bound");
    drop(listener);
    let failure = failure(json!({ "url": format!("http://{address}/x?token=s3cret") })).await;
    assert_eq!(words(&failure), ("HTTP_CONNECT_FAILED", RETRYABLE, NONE));
    let start = format!("GET http://{address}/x could not be reached: ");
    assert!(failure.message.starts_with(&start), "{}", failure.message);
    assert!(failure.message.contains("refused"), "{}", failure.message);
    assert_eq!(details(&failure), json!({ "url": format!("http://{address}/x") }));
}

#[tokio::test]
async fn tls_with_one_who_does_not_speak_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let address = listener.local_addr().expect("it is bound");
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("somebody connects");
        stream.write_all(b"220 SMTP ready\r\n").await.expect("the client reads");
    });
    let failure = failure(json!({ "method": "POST", "url": format!("https://{address}/") })).await;
    assert_eq!(words(&failure), ("HTTP_CONNECT_FAILED", RETRYABLE, NONE));
    server.await.expect("it was asked");
}

#[tokio::test]
async fn a_connection_that_breaks_leaves_the_effect_unknown() {
    for bytes in [
        "",
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        "SMTP ready\r\n\r\n",
        "\u{0}\u{1}\u{2}\r\n\r\n",
    ] {
        let server = Server::breaking_after(bytes).await;
        let failure = failure(json!({ "method": "POST", "url": server.url("/"), "body": 1 })).await;
        let expected = ("HTTP_CONNECTION_BROKEN", RETRYABLE, UNKNOWN);
        assert_eq!(words(&failure), expected, "{bytes:?}: {}", failure.message);
    }
}

#[tokio::test]
async fn a_head_without_end_is_cut() {
    let head = format!("HTTP/1.1 200 OK\r\n{}", "x-header: value\r\n".repeat(100_000));
    let server = Server::breaking_after(head).await;
    let failure = failure(json!({ "url": server.url("/") })).await;
    assert_eq!(words(&failure), ("HTTP_CONNECTION_BROKEN", RETRYABLE, UNKNOWN));
}

#[tokio::test]
async fn an_error_whose_body_breaks_is_still_that_error() {
    let server =
        Server::breaking_after("HTTP/1.1 422 No\r\ncontent-length: 99\r\n\r\nno such street").await;
    let failure = failure(json!({ "url": server.url("/") })).await;
    assert_eq!(words(&failure), ("HTTP_STATUS", PERMANENT, NONE));
    assert_eq!(details(&failure)["body"], "no such street");
}

#[tokio::test]
async fn an_error_with_an_endless_body_is_still_that_error() {
    let body = vec![0xff; 200_000];
    let server = Server::saying(answer("500 Oops", &[], body)).await;
    let failure = failure(json!({ "url": server.url("/") })).await;
    assert_eq!(words(&failure), ("HTTP_STATUS", RETRYABLE, NONE));
}

#[tokio::test]
async fn a_binary_body_is_refused() {
    let server = Server::saying(answer("200 OK", &[], [0xff, 0xd8, 0xff, 0xe0])).await;
    let failure = failure(json!({ "url": server.url("/") })).await;
    assert_eq!(words(&failure), ("HTTP_BODY_NOT_TEXT", PERMANENT, UNKNOWN));
}

#[tokio::test]
async fn json_that_was_cut_is_noticed() {
    let cut = "HTTP/1.0 200 OK\r\ncontent-type: application/problem+json\r\n\r\n{\"a\": [1, 2";
    let server = Server::breaking_after(cut).await;
    let failure = failure(json!({ "url": server.url("/") })).await;
    assert_eq!(words(&failure), ("HTTP_BODY_NOT_JSON", RETRYABLE, UNKNOWN));
}

#[tokio::test]
async fn json_that_no_later_step_could_read_is_refused() {
    for (kind, levels, code) in [
        ("application/json", 100, None),
        ("application/json", 101, Some("HTTP_RESPONSE_TOO_LARGE")),
        ("application/json", 20_000, Some("HTTP_RESPONSE_TOO_LARGE")),
        ("text/plain", 101, None),
    ] {
        let body = "[".repeat(levels) + &"]".repeat(levels);
        let kind = format!("content-type: {kind}");
        let server = Server::saying(answer("200 OK", &[&kind], body)).await;
        let answered = run(json!({ "url": server.url("/") })).await;
        assert_eq!(answered.err().map(|own| own.code).as_deref(), code, "{levels} of {kind}");
    }
}
