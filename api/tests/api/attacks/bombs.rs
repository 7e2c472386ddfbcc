//! Little that would become much: compressed, nested, repeated by aliases, or by a pattern.

use axum::Router;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::json;
use tokio::net::TcpListener;

use crate::server::{Server, TWO_STEPS, answer};

/// 100,000 zeros, by gzip.
const PACKED: &str = "H4sIAAAAAAACA+3BMQEAAADCoErrn84aHkABAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\
    AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAArwaFwk3FoIYB\
    AA==";

fn packed() -> Vec<u8> {
    STANDARD.decode(PACKED).expect("it is base64")
}

#[tokio::test]
async fn what_is_packed_is_not_unpacked() {
    let server = Server::start().await;
    server.define(TWO_STEPS).await;
    for (path, kind) in [
        ("/api/v1/workflows", "application/json"),
        ("/api/v1/workflows/two/execute", "application/json"),
        ("/api/v1/import", "application/x-ndjson"),
    ] {
        for coding in [
            "gzip",
            "deflate",
            "br",
            "zstd",
            "x-gzip",
            "identity, gzip",
            "gzip, identity",
            "GZIP",
            "",
        ] {
            let asked = server.request(Method::POST, path).header("content-type", kind);
            let asked = asked.header("content-encoding", coding).body(packed());
            let (status, told) = answer(asked).await;
            assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{path} {coding}: {told}");
        }
        // Neither is it where nothing says that it is packed.
        let asked = server.request(Method::POST, path).header("content-type", kind).body(packed());
        let (status, told) = answer(asked).await;
        assert!(matches!(status.as_u16(), 400 | 422), "{path}: {status} {told}");
    }
    server.stop().await;
}

/// A service whose answers are small, or seem so.
async fn service() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let router = Router::new().fallback(|uri: Uri, headers: HeaderMap| async move {
        let deep = |levels: usize| ("[".repeat(levels) + &"]".repeat(levels)).into_bytes();
        let (coding, body) = match uri.path() {
            _ if headers.contains_key("accept-encoding") => ("", b"it asks for more".to_vec()),
            "/deep" => ("identity", deep(127)),
            "/deeper" => ("identity", deep(1_000_000)),
            "/fits" => ("identity", deep(100)),
            packed_by => (&packed_by[1..], packed()),
        };
        let headers = [("content-type", "application/json"), ("content-encoding", coding)];
        let headers = headers.map(|(name, value)| (name, value.to_owned()));
        (headers, body).into_response()
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test]
async fn answers_of_services_are_bounded_as_they_come() {
    let (server, url) = (Server::start().await, service().await);
    let calls = format!(
        "{{ id: calls, steps: [{{ id: call, type: http, retry: none, with: {{ url: '{url}/{{{{ input }}}}' }} }}] }}"
    );
    assert_eq!(server.define(&calls).await.0, StatusCode::CREATED);
    for (path, code) in [
        ("gzip", "HTTP_BODY_NOT_TEXT"),
        ("deflate", "HTTP_BODY_NOT_TEXT"),
        ("br", "HTTP_BODY_NOT_TEXT"),
        ("deep", "HTTP_RESPONSE_TOO_LARGE"),
        ("deeper", "HTTP_RESPONSE_TOO_LARGE"),
    ] {
        let failed = server.run("calls", &json!(path)).await;
        let cause = &failed["error"]["details"]["cause"]["error_code"];
        assert_eq!(cause, code, "{path}: {failed}");
    }
    let done = server.run("calls", &json!("fits")).await;
    assert!(done["steps"]["call"]["output"]["body"].is_array(), "{done}");
    let id = done["execution_id"].as_str().expect("an id").to_owned();
    // What was taken is read again.
    let server = Server::start_in(server.stop().await).await;
    let (_, again) = server.get(&format!("/api/v1/executions/{id}")).await;
    assert_eq!(again["steps"]["call"]["output"], done["steps"]["call"]["output"]);
    let export = server.request(Method::GET, &format!("/api/v1/executions/{id}/export"));
    let export = export.send().await.expect("an answer").text().await.expect("a text");
    let other = Server::start().await;
    let import = other.request(Method::POST, "/api/v1/import");
    let import = import.header("content-type", "application/x-ndjson").body(export);
    let (status, told) = answer(import).await;
    assert_eq!(status, StatusCode::OK, "{told}");
    other.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn texts_that_grow_as_they_are_read_are_refused() {
    let server = Server::start().await;
    let laughs = (1..10).fold("a0: &a0 [lol, lol]\n".to_owned(), |text, n| {
        let last = format!("*a{}, ", n - 1).repeat(9);
        text + &format!("a{n}: &a{n} [{last}]\n")
    });
    let wide = format!("a: &a [{}]\nb: [{}]\n", "x, ".repeat(1_000), "*a, ".repeat(1_000));
    let deep = |open: &str, close: &str| open.repeat(100_000) + &close.repeat(100_000);
    for (kind, text) in [
        ("yaml", laughs),
        ("yaml", wide),
        ("yaml", "a: &a [*a]".to_owned()),
        ("yaml", "a: &a { <<: *a }".to_owned()),
        ("yaml", deep("[", "]")),
        ("yaml", deep("{a: ", "}")),
        ("yaml", "- ".repeat(100_000)),
        ("yaml", "? ".repeat(100_000)),
        ("yaml", "a: !!binary aGk=".to_owned()),
        ("yaml", "a: !!python/object/apply:os.system [id]".to_owned()),
        ("json", deep("[", "]")),
        ("json", deep("{\"a\":", "}")),
        ("json", format!("{{\"a\":{}}}", "9".repeat(1_000_000))),
    ] {
        let shown: String = text.chars().take(40).collect();
        for path in ["/api/v1/workflows", "/api/v1/workflows/validate"] {
            let asked = server.request(Method::POST, path);
            let asked = asked.header("content-type", format!("application/{kind}"));
            let (status, told) = answer(asked.body(text.clone())).await;
            assert!(matches!(status.as_u16(), 400 | 422), "{shown}: {status} {told}");
            assert!(
                told.to_string().len() < 20_000,
                "{shown}: an answer of {}",
                told.to_string().len()
            );
        }
    }
    assert_eq!(server.get("/health").await.0, StatusCode::OK);
    server.stop().await;
}

/// Patterns are matched in time that grows with their text, and those that would not be small are refused.
#[tokio::test]
async fn a_pattern_takes_no_longer_than_its_text() {
    let server = Server::start().await;
    let with = |pattern: &str| {
        json!({ "id": "w", "steps": [{ "id": "a", "type": "noop" }], "input_schema": {
            "type": "object", "properties": { "text": { "type": "string", "pattern": pattern } } } })
    };
    for pattern in ["((((a{100}){100}){100}){100}){100}", "(a", "(?=a)b", "\\1(a)", "[a-"] {
        let (status, told) = server.post("/api/v1/workflows", &with(pattern)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{pattern}: {told}");
        assert_eq!(told["details"]["problems"][0]["code"], "BAD_SCHEMA", "{pattern}: {told}");
    }
    for pattern in ["^(a+)+$", "^(a|aa)+$", "^(.*a){30}$", "^([a-zA-Z]+)*$"] {
        let (status, told) = server.post("/api/v1/workflows", &with(pattern)).await;
        assert_eq!(status, StatusCode::CREATED, "{pattern}: {told}");
        // Whoever backtracks does not come back from it.
        let body = json!({ "input": { "text": "a".repeat(100_000) + "!" } });
        let (status, told) = server.post("/api/v1/workflows/w/execute", &body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{pattern}: {told}");
    }
    server.stop().await;
}
