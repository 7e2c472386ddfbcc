//! A web page that its reader's browser shows, against a server on the reader's machine that asks
//! nobody who they are.

use reqwest::StatusCode;
use serde_json::json;

use super::wire::{Reply, replies};
use crate::server::{Server, TWO_STEPS};

const EXECUTE: &str = "POST /api/v1/workflows/two/execute";
const FRAME: &str = "Sec-Fetch-Dest: iframe";
const LIST: &str = "GET /api/v1/workflows";

/// The answer to a request with an empty body, sent as a browser would send it.
async fn asked(server: &Server, line: &str, headers: &[&str]) -> Reply {
    let headers: String = headers.iter().map(|own| format!("{own}\r\n")).collect();
    let sent =
        format!("{line} HTTP/1.1\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n");
    let mut told = replies(&server.url, sent.as_bytes()).await;
    assert_eq!(told.len(), 1, "{line} {headers}: {told:?}");
    let told = told.remove(0);
    assert!(!told.head.to_ascii_lowercase().contains("access-control"), "{}", told.head);
    assert_eq!(told.header("x-content-type-options"), "nosniff", "{}", told.head);
    assert_eq!(told.header("cross-origin-resource-policy"), "same-origin", "{}", told.head);
    told
}

#[tokio::test]
async fn another_site_drives_no_server_of_its_reader() {
    let server = Server::start().await;
    server.define(TWO_STEPS).await;
    let here = "Host: localhost";
    let socket = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"];
    let refused: &[(&str, &[&str])] = &[
        // A name of the page's own that leads to the reader's loopback.
        (EXECUTE, &["Host: evil.test"]),
        (EXECUTE, &["Host: evil.test:8080"]),
        (EXECUTE, &["Host: localhost.evil.test"]),
        (EXECUTE, &["Host: 127.0.0.1.evil.test"]),
        (EXECUTE, &["Host: localhost@evil.test"]),
        (EXECUTE, &["Host: evil.test#localhost"]),
        (EXECUTE, &["Host:"]),
        (EXECUTE, &[]),
        (EXECUTE, &[here, "Host: evil.test"]),
        ("POST http://evil.test/api/v1/workflows/two/execute", &[here]),
        ("POST http://localhost/api/v1/workflows/two/execute", &["Host: evil.test"]),
        // A form or a script of another origin.
        (EXECUTE, &[here, "Origin: https://evil.test"]),
        (EXECUTE, &[here, "Origin: null"]),
        (EXECUTE, &[here, "Origin:"]),
        (EXECUTE, &[here, "Origin: http://localhost.evil.test"]),
        (EXECUTE, &[here, "Origin: http://localhost@evil.test"]),
        (EXECUTE, &[here, "Origin: http://localhost", "Origin: https://evil.test"]),
        (EXECUTE, &[here, "Origin: file://localhost"]),
        (EXECUTE, &[here, "Origin: chrome-extension://localhost"]),
        (LIST, &[here, "Origin: https://evil.test"]),
        ("OPTIONS /api/v1/workflows", &[here, "Origin: https://evil.test"]),
        // One whose browser leaves the origin out, and says that it is another site.
        (EXECUTE, &[here, "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"]),
        (EXECUTE, &[here, "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"]),
        (LIST, &[here, "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"]),
        (LIST, &[here, "Sec-Fetch-Site: cross-site"]),
        (LIST, &[here, "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", FRAME]),
        // Streams of what happens.
        ("GET /api/v1/events", &[here, "Origin: https://evil.test", "Accept: text/event-stream"]),
        ("GET /api/v1/events", &[here, "Origin: null", socket[0], socket[1], socket[2]]),
    ];
    for (line, headers) in refused {
        let told = asked(&server, line, headers).await;
        let shown = format!("{line} {headers:?}: {}", String::from_utf8_lossy(&told.body));
        assert!(told.status == 403 && shown.contains("FORBIDDEN_HOST"), "{} {shown}", told.status);
    }
    let (_, list) = server.get("/api/v1/executions").await;
    assert_eq!(list["executions"], json!([]));
    server.stop().await;
}

#[tokio::test]
async fn what_a_page_sends_without_asking_first_is_taken_as_nothing() {
    let server = Server::start().await;
    server.define(TWO_STEPS).await;
    for kind in
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a"]
    {
        for (path, body) in [
            ("workflows", TWO_STEPS),
            ("workflows/two/execute", "{\"input\": 1}"),
            ("import", "{}"),
        ] {
            let sent = format!(
                "POST /api/v1/{path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n\
                 Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            let told = replies(&server.url, sent.as_bytes()).await;
            assert_eq!(told[0].status, 415, "{kind} for {path}: {told:?}");
        }
    }
    // Who asks first is told nothing that would let them.
    let headers = ["Host: localhost", "Origin: http://localhost:3000"];
    let first = [headers[0], headers[1], "Access-Control-Request-Method: DELETE"];
    assert_eq!(asked(&server, "OPTIONS /api/v1/workflows", &first).await.status, 405);
    let (_, list) = server.get("/api/v1/executions").await;
    assert_eq!(list["executions"], json!([]));
    server.stop().await;
}

#[tokio::test]
async fn pages_of_this_machine_and_links_work() {
    let server = Server::start().await;
    server.define(TWO_STEPS).await;
    let own = ["Host: localhost", "Origin: http://localhost:8080", "Sec-Fetch-Site: same-origin"];
    assert_eq!(asked(&server, EXECUTE, &own).await.status, 202);
    assert_eq!(
        asked(&server, EXECUTE, &["Host: 127.0.0.1", "Sec-Fetch-Site: none"]).await.status,
        202
    );
    let link = ["Host: localhost", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"];
    let page = asked(&server, "GET /docs", &link).await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-security-policy").contains("frame-ancestors 'none'"), "{page:?}");
    assert_eq!(server.get("/health").await.0, StatusCode::OK);
    server.stop().await;
}
