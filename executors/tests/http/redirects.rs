//! Redirects: named by default, followed within the host when the step says so.

use serde_json::json;

use crate::server::{Reply, Server, answer};
use crate::{NONE, PERMANENT, UNKNOWN, details, failure, output, words};

/// Redirects the first request and answers the second.
async fn redirecting(status: &'static str, location: &'static str) -> Server {
    Server::start(move |number, _| {
        let location = format!("location: {location}");
        Reply::Send(match number {
            0 => answer(status, &[&location], "elsewhere"),
            _ => answer("200 OK", &[], "here"),
        })
    })
    .await
}

#[tokio::test]
async fn a_redirect_is_a_failure_that_names_the_location() {
    let mut server = redirecting("301 Moved", "http://other.example/new").await;
    let failed = failure(json!({ "url": server.url("/old") })).await;
    assert_eq!(words(&failed), ("HTTP_REDIRECT", PERMANENT, UNKNOWN));
    assert!(
        failed.message.contains("answered 301 to http://other.example/new"),
        "{}",
        failed.message
    );
    assert_eq!(details(&failed)["location"], "http://other.example/new");
    assert_eq!(server.counts(), (1, 1));

    let server = redirecting("308 Moved", "/new").await;
    let failed = failure(json!({ "url": server.url("/old") })).await;
    assert_eq!(words(&failed), ("HTTP_REDIRECT", PERMANENT, NONE));
}

#[tokio::test]
async fn a_redirect_may_be_expected() {
    let server = redirecting("302 Found", "/new").await;
    let with = json!({ "url": server.url("/"), "expect_status": 302, "follow_redirects": true });
    assert_eq!(output(with).await["headers"]["location"], "/new");
}

#[tokio::test]
async fn within_the_host_a_redirect_is_followed() {
    for (status, second) in [
        ("301 Moved", "GET /new HTTP/1.1"),
        ("302 Found", "GET /new HTTP/1.1"),
        ("303 See Other", "GET /new HTTP/1.1"),
        ("307 Temporary", "POST /new HTTP/1.1"),
        ("308 Permanent", "POST /new HTTP/1.1"),
    ] {
        let mut server = redirecting(status, "/new").await;
        let url = server.url("/old");
        let with = json!({ "method": "POST", "url": url, "follow_redirects": true, "body": [1] });
        assert_eq!(output(with).await["body"], "here", "{status}");
        let (first, then) = (server.next_request().await, server.next_request().await);
        assert_eq!((first.line.as_str(), first.body.as_str()), ("POST /old HTTP/1.1", "[1]"));
        assert_eq!(then.line, second, "{status}");
        let repeated = second.starts_with("POST");
        assert_eq!(then.body, if repeated { "[1]" } else { "" }, "{status}");
        assert_eq!(then.headers.contains_key("content-type"), repeated, "{status}");
        assert_eq!(then.headers["idempotency-key"], first.headers["idempotency-key"]);
    }
}

#[tokio::test]
async fn elsewhere_a_redirect_is_not_followed() {
    let mut other = Server::saying(answer("200 OK", &[], "stolen")).await;
    let elsewhere = other.url("/");
    let here = elsewhere.replace("127.0.0.1", "localhost");
    let user = elsewhere.replace("http://", "http://me:pw@");
    for location in [elsewhere, here, user, "file:///etc/passwd".into(), "http://".into()] {
        let header = format!("location: {location}");
        let server = Server::saying(answer("307 Temporary", &[&header], "")).await;
        let with = json!({ "url": server.url("/"), "follow_redirects": true });
        let failure = failure(with).await;
        assert_eq!(words(&failure), ("HTTP_REDIRECT", PERMANENT, NONE), "{location}");
    }
    assert_eq!(other.counts(), (0, 0));
}

#[tokio::test]
async fn redirects_in_a_circle_end() {
    let mut server = Server::saying(answer("302 Found", &["location: /again"], "")).await;
    let with = json!({ "method": "POST", "url": server.url("/"), "follow_redirects": true });
    let failure = failure(with).await;
    assert_eq!(words(&failure), ("HTTP_REDIRECT", PERMANENT, UNKNOWN));
    assert_eq!(server.counts(), (1, 6));
}

#[tokio::test]
async fn a_failure_behind_a_redirect_leaves_the_effect_unknown() {
    let mut server = Server::start(|number, _| {
        Reply::Send(match number {
            0 => answer("303 See Other", &["location: /receipt"], ""),
            _ => answer("404 Not Found", &[], ""),
        })
    })
    .await;
    let port = server.port();
    let with = json!({ "method": "POST", "url": server.url("/"), "follow_redirects": true });
    let failure = failure(with).await;
    assert_eq!(words(&failure), ("HTTP_STATUS", PERMANENT, UNKNOWN));
    let start = format!("GET http://127.0.0.1:{port}/receipt answered 404");
    assert!(failure.message.starts_with(&start), "{}", failure.message);
    assert_eq!(server.counts(), (1, 2));
}
