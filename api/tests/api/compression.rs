//! Answers in gzip: which, for whom, and under which tag.

use std::io::Read as _;

use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::server::{Server, answer};

/// Longer than what is left as it is.
fn long() -> Value {
    let step = |n: u32| json!({ "id": format!("step_{n}"), "type": "noop" });
    json!({ "id": "long", "steps": (0..60).map(step).collect::<Vec<_>>() })
}

async fn asked(
    server: &Server,
    (method, path): (Method, &str),
    headers: &[(&'static str, &str)],
) -> (StatusCode, HeaderMap, Vec<u8>) {
    let mut request = server.request(method, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.expect("an answer");
    let (status, headers) = (response.status(), response.headers().clone());
    (status, headers, response.bytes().await.expect("a body").to_vec())
}

fn unpacked(packed: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    flate2::read::GzDecoder::new(packed).read_to_end(&mut whole).expect("gzip");
    whole
}

const PACKED: &[(&str, &str)] = &[("accept-encoding", "gzip")];

#[tokio::test(flavor = "multi_thread")]
async fn texts_are_packed_for_whoever_takes_them_so() {
    let server = Server::start().await;
    assert_eq!(server.post("/api/v1/workflows", &long()).await.0, StatusCode::CREATED);
    server.run("long", &json!({})).await;
    for path in [
        "/api/v1/workflows/long",
        "/api/v1/executions?limit=1000",
        "/api/v1/export",
        "/api/v1/events",
        "/openapi.json",
        "/docs",
        "/docs/page.css",
        "/docs/page.js",
        "/metrics",
    ] {
        let (status, plain, whole) = asked(&server, (Method::GET, path), &[]).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        if whole.len() < 1_024 {
            assert!(path.contains("executions"), "{path}");
            continue;
        }
        assert!(plain.get("content-encoding").is_none(), "{path}");
        assert_eq!(plain["vary"], "accept-encoding", "{path}");
        let (_, headers, packed) = asked(&server, (Method::GET, path), PACKED).await;
        assert_eq!(headers["content-encoding"], "gzip", "{path}");
        assert_eq!(headers["vary"], "accept-encoding", "{path}");
        assert_eq!(headers["content-type"], plain["content-type"], "{path}");
        let again = unpacked(&packed);
        // Time goes by between two answers of these.
        let varies = ["/metrics", "/api/v1/export"].contains(&path);
        assert!(varies || again == whole, "{path}");
        assert!(packed.len() < again.len(), "{path}");
        let (_, head, body) = asked(&server, (Method::HEAD, path), PACKED).await;
        assert!(body.is_empty() && head.get("content-length").is_none(), "{path}: {head:?}");
        for name in ["content-encoding", "content-type", "vary", "etag"] {
            assert_eq!(head.get(name), headers.get(name), "HEAD {path}: {name}");
        }
        let identity = [("accept-encoding", "identity, gzip;q=0.5")];
        let (_, headers, _) = asked(&server, (Method::GET, path), &identity).await;
        assert!(headers.get("content-encoding").is_none(), "{path}");
        let (_, head, _) = asked(&server, (Method::HEAD, path), &identity).await;
        assert_eq!(head.get("content-encoding"), None, "{path}");
        assert_eq!(head.get("etag"), plain.get("etag"), "{path}");
    }
    // Short ones, and errors, are sent as they are.
    let (_, headers, _) = asked(&server, (Method::GET, "/health"), PACKED).await;
    assert!(headers.get("content-encoding").is_none() && headers.get("vary").is_none());
    let (status, _) = answer(
        server
            .request(Method::POST, "/api/v1/workflows")
            .header("content-encoding", "gzip")
            .json(&json!({})),
    )
    .await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "what comes in is not unpacked");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_events_are_not_packed() {
    let server = Server::start().await;
    let headers = [("accept-encoding", "gzip"), ("accept", "text/event-stream")];
    let request = server.request(Method::GET, "/api/v1/events");
    let request =
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let response = request.send().await.expect("an answer");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert!(response.headers().get("content-encoding").is_none());
    drop(response);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_is_of_the_bytes_it_came_with_and_any_of_them_can_be_asked_for() {
    let server = Server::start().await;
    assert_eq!(server.post("/api/v1/workflows", &long()).await.0, StatusCode::CREATED);
    let one = "/api/v1/workflows/long";
    let (_, plain, _) = asked(&server, (Method::GET, one), &[]).await;
    let (_, packed, _) = asked(&server, (Method::GET, one), PACKED).await;
    let (plain, packed) = (plain["etag"].clone(), packed["etag"].clone());
    assert_ne!(plain, packed);
    let mut changed = long();
    for (tag, name) in [(packed.clone(), "second"), (plain, "third")] {
        changed["name"] = name.into();
        let request = server.request(Method::POST, "/api/v1/workflows").header("if-match", &tag);
        let (status, body) = answer(request.json(&changed)).await;
        // The first is current and made another one, so that the second is not any more.
        let expected = match name {
            "second" => StatusCode::CREATED,
            _ => StatusCode::PRECONDITION_FAILED,
        };
        assert_eq!(status, expected, "{body}");
    }
    let (_, headers, _) = asked(&server, (Method::GET, "/openapi.json"), PACKED).await;
    let tag = headers["etag"].to_str().expect("a text").to_owned();
    assert!(tag.ends_with("-gzip\""), "{tag}");
    let has = [("accept-encoding", "gzip"), ("if-none-match", &*tag)];
    let (status, headers, body) = asked(&server, (Method::GET, "/openapi.json"), &has).await;
    assert_eq!((status, body.len()), (StatusCode::NOT_MODIFIED, 0));
    assert_eq!(headers["etag"], *tag);
    assert_eq!(headers["vary"], "accept-encoding");
    server.stop().await;
}
