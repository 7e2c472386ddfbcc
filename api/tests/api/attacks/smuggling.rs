//! Requests hidden in the bodies of others, and heads that two readers read differently.

use reqwest::StatusCode;
use serde_json::json;

use super::wire::{LAST, replies};
use crate::server::{Server, TWO_STEPS};

/// What must never be read as a request of its own: it would begin a run.
const HIDDEN: &str = "POST /api/v1/workflows/two/execute HTTP/1.1\r\nHost: localhost\r\n\
                      Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
const DEFINE: &str = "POST /api/v1/workflows HTTP/1.1\r\nHost: localhost\r\n\
                      Content-Type: application/json\r\n";

/// A request with further lines in its head, a body, and a last request behind it.
fn sent(head: &str, body: &str) -> String {
    format!("{DEFINE}{head}\r\n\r\n{body}{LAST}")
}

/// Requests that must be refused, and end their connection.
fn requests() -> Vec<(&'static str, String)> {
    let whole = HIDDEN.len();
    let chunk = format!("{whole:x}\r\n{HIDDEN}\r\n0\r\n\r\n");
    let both = |first: &str, second: &str| sent(&format!("{first}\r\n{second}"), "");
    let (long, chunked) = (format!("Content-Length: {whole}"), "Transfer-Encoding: chunked");
    let hidden = |head: &str, before: &str| sent(head, &format!("{before}{HIDDEN}"));
    let mut all = vec![
        ("CL.TE", hidden(&format!("Content-Length: {}\r\n{chunked}", whole + 5), "0\r\n\r\n")),
        ("TE and a short CL", sent(&format!("{chunked}\r\nContent-Length: 4"), &chunk)),
        ("TE.CL", hidden(&format!("{chunked}\r\n{long}"), "0\r\n\r\n")),
        ("nothing after chunks", hidden(chunked, "0\r\n\r\n")),
        ("two lengths", hidden(&format!("Content-Length: 0\r\n{long}"), "")),
        ("two lengths, the other way", hidden(&format!("{long}\r\nContent-Length: 0"), "")),
        ("a list of lengths", hidden(&format!("Content-Length: 0, {whole}"), "")),
        ("a folded length", hidden("X-A: b\r\n Content-Length: 0", "")),
        ("a folded encoding", hidden("Transfer-Encoding:\r\n chunked", "0\r\n\r\n")),
        ("a space before the colon", hidden("Content-Length : 0", "")),
        ("a tab before the colon", hidden("Transfer-Encoding\t: chunked", "0\r\n\r\n")),
        ("a space before the name", hidden(" Content-Length: 0", "")),
        ("a lone CR", hidden(&format!("X-A: b\r{long}"), "")),
        ("a NUL", hidden("X-A: b\0c", "")),
        ("a name that is none", hidden("Content Length: 0", "")),
        ("an encoding of HTTP/1.0", hidden(chunked, "0\r\n\r\n").replace("HTTP/1.1", "HTTP/1.0")),
    ];
    for length in ["+0", "-0", "0x0", "0 0", "0_0", "99999999999999999999999", "1e1", "\u{661}", ""]
    {
        all.push(("a length that is none", hidden(&format!("Content-Length: {length}"), "")));
    }
    for coding in
        ["xchunked", "identity", "chunked, identity", "chunked\u{b}", "gzip", "chunked;q=1"]
    {
        all.push(("an encoding", hidden(&format!("Transfer-Encoding: {coding}"), "0\r\n\r\n")));
    }
    all.push(("two encodings", both(chunked, "Transfer-Encoding: identity")));
    for size in ["10000000000000000", "-1", "0x1", "1_0", "+1", "", "g", "1;\n0", "1 1", "\u{b}1"] {
        all.push(("the size of a chunk", hidden(chunked, &format!("{size}\r\nx\r\n"))));
    }
    all.push(("a chunk that is longer than it says", hidden(chunked, "1\r\nxyz\r\n0\r\n\r\n")));
    all.push(("a chunk that ends in LF", hidden(chunked, "1\r\nx\n0\r\n\r\n")));
    all
}

/// Runs of the server's workflow.
async fn runs(server: &Server) -> usize {
    let (status, list) = server.get("/api/v1/executions").await;
    assert_eq!(status, StatusCode::OK);
    list["executions"].as_array().expect("a list").len()
}

#[tokio::test]
async fn no_rest_of_a_body_is_read_as_a_request() {
    let server = Server::start().await;
    server.define(TWO_STEPS).await;
    for (what, sent) in requests() {
        let statuses: Vec<_> =
            replies(&server.url, sent.as_bytes()).await.iter().map(|own| own.status).collect();
        assert_eq!(statuses, [400], "{what}: {sent}");
        assert_eq!(runs(&server).await, 0, "{what}: {sent}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_nobody_reads_is_no_request_either() {
    let server = Server::start().await;
    server.define(TWO_STEPS).await;
    let whole = HIDDEN.len();
    let of = |line: &str, more: &str| {
        format!(
            "{line} HTTP/1.1\r\nHost: localhost\r\n{more}Content-Length: {whole}\r\n\r\n{HIDDEN}{LAST}"
        )
    };
    for (line, more, status) in [
        ("GET /health", "", 200),
        ("POST /nothing", "", 404),
        ("DELETE /api/v1/limits", "", 405),
        ("POST /api/v1/workflows", "Content-Type: text/plain\r\n", 415),
        ("POST /api/v1/workflows", "Origin: https://evil.test\r\n", 403),
        ("POST /api/v1/import", "Content-Type: text/plain\r\n", 415),
        ("CONNECT localhost:1", "", 404),
    ] {
        let told = replies(&server.url, of(line, more).as_bytes()).await;
        let statuses: Vec<_> = told.iter().map(|own| own.status).collect();
        let ends = matches!(statuses[1..], [] | [200]);
        assert!(statuses[0] == status && ends, "{line}: {statuses:?}");
        assert_eq!(runs(&server).await, 0, "{line}");
    }
    server.stop().await;
}

/// Requests that are whole stay apart on one connection.
#[tokio::test]
async fn requests_of_one_connection_are_answered_one_by_one() {
    let server = Server::start().await;
    server.define(TWO_STEPS).await;
    let told = replies(&server.url, format!("{HIDDEN}{HIDDEN}{LAST}").as_bytes()).await;
    let statuses: Vec<_> = told.iter().map(|own| own.status).collect();
    assert_eq!(statuses, [202, 202, 200]);
    // A line may end in a bare LF (RFC 9112, 2.2): such a length counts as any other.
    let bare = HIDDEN.replace("\r\n\r\n", "\n\n").replace("\r\n", "\n");
    let told = replies(&server.url, format!("{bare}{LAST}").as_bytes()).await;
    let statuses: Vec<_> = told.iter().map(|own| own.status).collect();
    assert_eq!((statuses, runs(&server).await), (vec![202, 200], 3));
    let chunked = server.client.post(format!("{}/api/v1/workflows/two/execute", server.url));
    let pieces = ["{\"wait_", "seconds\": 60}"].map(Ok::<_, std::io::Error>);
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
    let chunked = chunked.header("content-type", "application/json").body(body);
    let answer = chunked.send().await.expect("an answer");
    // Whoever stands before the server may have read another end of such a body.
    assert_eq!(answer.headers()["connection"], "close");
    let run: serde_json::Value = answer.json().await.expect("JSON");
    assert_eq!(run["status"], json!("completed"));
    server.stop().await;
}
