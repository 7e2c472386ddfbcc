//! Heads and bodies that are too large or too slow: an answer or an end, and nobody else waits.

use std::time::Duration;

use reqwest::StatusCode;
use tokio::io::AsyncWriteExt as _;

use super::wire::{connect, replies, until_ended};
use crate::server::Server;

const HEAD: &str = "GET /health HTTP/1.1\r\nHost: localhost\r\n";

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let server = Server::start().await;
    let long = "x".repeat(70_000);
    let many = (0..101).fold(String::new(), |all, n| all + &format!("x-{n}: y\r\n"));
    for (what, sent) in [
        ("a path", format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n")),
        ("a path below the limit of paths", format!("GET /{} HTTP/1.1\r\n\r\n", &long[..40_000])),
        ("a query", format!("GET /health?{long} HTTP/1.1\r\nHost: localhost\r\n\r\n")),
        ("a method", format!("{long} / HTTP/1.1\r\nHost: localhost\r\n\r\n")),
        ("a header", format!("{HEAD}x: {long}\r\n\r\n")),
        ("a name of a header", format!("{HEAD}{long}: x\r\n\r\n")),
        ("a header below the buffer", format!("{HEAD}x: {}\r\n\r\n", &long[..40_000])),
        ("headers", format!("{HEAD}{many}\r\n")),
        ("a head without an end", format!("{HEAD}x: {}", long.repeat(20))),
    ] {
        let told = replies(&server.url, sent.as_bytes()).await;
        let statuses: Vec<_> = told.iter().map(|own| own.status).collect();
        assert!(matches!(statuses[..], [414 | 431]), "{what}: {statuses:?}");
        assert_eq!(server.get("/health").await.0, StatusCode::OK, "{what}");
    }
    // What stands around the chunks of a body is bounded too.
    let post = "POST /api/v1/workflows HTTP/1.1\r\nHost: localhost\r\n\
                Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (what, sent) in [
        ("an extension", format!("{post}1;{}\r\n1\r\n0\r\n\r\n", long.repeat(2))),
        ("a trailer", format!("{post}1\r\n1\r\n0\r\nx: {}\r\n\r\n", long.repeat(2))),
    ] {
        let told = replies(&server.url, sent.as_bytes()).await;
        let statuses: Vec<_> = told.iter().map(|own| own.status).collect();
        assert_eq!(statuses, [400], "{what}");
    }
    server.stop().await;
}

/// Sends some bytes and then one more now and then, until the server ends the connection.
async fn dripped(url: &str, sent: &str, drip: &[u8]) -> Vec<u16> {
    let (mut heard, mut said) = connect(url).await.into_split();
    said.write_all(sent.as_bytes()).await.expect("it is sent");
    let drip = drip.to_vec();
    let dripping = tokio::spawn(async move {
        while said.write_all(&drip).await.is_ok() && !drip.is_empty() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        said
    });
    let told = until_ended(&mut heard).await;
    dripping.abort();
    told.iter().map(|own| own.status).collect()
}

#[tokio::test]
async fn who_is_slow_is_given_up_and_holds_up_nobody() {
    let server = Server::start().await;
    let body = "POST /api/v1/workflows HTTP/1.1\r\nHost: localhost\r\n\
                Content-Type: application/json\r\n";
    let import = body.replace("workflows", "import").replace("/json", "/x-ndjson");
    let (sized, chunked) =
        ("Content-Length: 900000\r\n\r\n[", "Transfer-Encoding: chunked\r\n\r\n");
    let slow = [
        (String::new(), "", vec![]),
        (HEAD.to_owned(), "", vec![]),
        (HEAD.to_owned(), "x", vec![]),
        (HEAD.to_owned(), "x: y\r\n", vec![]),
        (format!("{HEAD}\r\n"), "", vec![200]),
        (format!("{body}{sized}"), "", vec![408]),
        (format!("{body}{sized}"), "1,", vec![408]),
        (format!("{body}{chunked}"), "1\r\n1\r\n", vec![408]),
        (format!("{import}{sized}"), "", vec![408]),
    ];
    let talks = slow
        .iter()
        .flat_map(|(sent, drip, _)| (0..20).map(|_| dripped(&server.url, sent, drip.as_bytes())));
    let all = futures_util::future::join_all(talks);
    let others = async {
        for _ in 0..100 {
            assert_eq!(server.get("/health").await.0, StatusCode::OK);
        }
    };
    let (told, ()) = tokio::join!(all, others);
    for (at, statuses) in told.iter().enumerate() {
        let (sent, drip, expected) = &slow[at / 20];
        // Of imports only so many are taken at a time.
        let busy = sent.contains("import") && *statuses == [503];
        assert!(statuses == expected || busy, "{sent:?} and {drip:?}: {statuses:?}");
    }
    server.stop().await;
}
