//! What comes back as the output of a step.

use serde_json::{Value, json};

use crate::server::{Server, answer};
use crate::{PERMANENT, UNKNOWN, failure, output, words};

async fn body_of(headers: &[&str], body: &str) -> Value {
    let server = Server::saying(answer("200 OK", headers, body)).await;
    output(json!({ "url": server.url("/") })).await["body"].take()
}

#[tokio::test]
async fn an_output_holds_status_headers_and_body() {
    let headers = ["X-Id: 7", "content-type: application/json", "x-many: a", "X-Many: b"];
    let server = Server::saying(answer("201 Created", &headers, r#"{"id":7}"#)).await;
    assert_eq!(
        output(json!({ "url": server.url("/") })).await,
        json!({
            "status": 201,
            "headers": {
                "content-length": "8",
                "content-type": "application/json",
                "x-id": "7",
                "x-many": "a, b",
            },
            "body": { "id": 7 },
        })
    );
}

#[tokio::test]
async fn bodies_are_json_where_they_can_be_and_text_where_not() {
    assert_eq!(body_of(&[], r#"[1,"a"]"#).await, json!([1, "a"]));
    assert_eq!(body_of(&["content-type: text/plain"], "42").await, json!(42));
    assert_eq!(body_of(&["content-type: text/plain"], "it is so\n").await, json!("it is so\n"));
    assert_eq!(body_of(&["content-type: text/html"], "<p>ä</p>").await, json!("<p>ä</p>"));
    assert_eq!(body_of(&["content-type: application/json"], "\u{feff}{}").await, json!({}));
    assert_eq!(body_of(&["content-type: application/json"], "").await, Value::Null);
}

#[tokio::test]
async fn answers_without_a_body() {
    let server = Server::saying("HTTP/1.1 204 No Content\r\n\r\n").await;
    let answer = output(json!({ "method": "DELETE", "url": server.url("/") })).await;
    assert_eq!((&answer["status"], &answer["body"]), (&json!(204), &Value::Null));

    let server = Server::saying("HTTP/1.1 200 OK\r\ncontent-length: 999999\r\n\r\n").await;
    let answer = output(json!({ "method": "HEAD", "url": server.url("/") })).await;
    assert_eq!((&answer["status"], &answer["body"]), (&json!(200), &Value::Null));
}

#[tokio::test]
async fn a_chunked_answer_is_put_together() {
    let chunks = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
                  4\r\n{\"a\"\r\n3\r\n:1}\r\n0\r\n\r\n";
    let server = Server::saying(chunks).await;
    assert_eq!(output(json!({ "url": server.url("/") })).await["body"], json!({ "a": 1 }));
}

#[tokio::test]
async fn an_answer_up_to_the_limit_passes_and_one_byte_more_does_not() {
    let limit = backstitch_executors::http::RESPONSE_BYTES_MAX;
    let server = Server::saying(answer("200 OK", &[], "x".repeat(limit))).await;
    let body = output(json!({ "url": server.url("/") })).await;
    assert_eq!(body["body"].as_str().map(str::len), Some(limit));

    let server = Server::saying(answer("200 OK", &[], "x".repeat(limit + 1))).await;
    let failed = failure(json!({ "url": server.url("/") })).await;
    assert_eq!(words(&failed), ("HTTP_RESPONSE_TOO_LARGE", PERMANENT, UNKNOWN));
}

#[tokio::test]
async fn a_step_may_ask_for_less() {
    let server = Server::saying(answer("200 OK", &[], "12345")).await;
    let url = server.url("/");
    output(json!({ "url": url, "response_bytes_max": 5 })).await;
    let failed = failure(json!({ "url": url, "response_bytes_max": 4 })).await;
    assert_eq!(words(&failed), ("HTTP_RESPONSE_TOO_LARGE", PERMANENT, UNKNOWN));
    assert!(failed.message.contains("more than 4 bytes"), "{}", failed.message);
}

#[tokio::test]
async fn an_endless_answer_is_cut() {
    let mut endless = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..1_100 {
        endless.extend_from_slice(b"1000\r\n");
        endless.extend_from_slice(&[b'x'; 0x1000]);
        endless.extend_from_slice(b"\r\n");
    }
    let server = Server::saying(endless).await;
    let failed = failure(json!({ "url": server.url("/") })).await;
    assert_eq!(words(&failed), ("HTTP_RESPONSE_TOO_LARGE", PERMANENT, UNKNOWN));
}

#[tokio::test]
async fn a_body_that_grows_as_json_is_still_bounded() {
    let server = Server::saying(answer("200 OK", &[], "\u{1}".repeat(1_000_000))).await;
    let failed = failure(json!({ "url": server.url("/") })).await;
    assert_eq!(words(&failed), ("HTTP_RESPONSE_TOO_LARGE", PERMANENT, UNKNOWN));
}

#[tokio::test]
async fn headers_are_bounded() {
    let many: Vec<String> = (0..80).map(|n| format!("x-{n}: v")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let server = Server::saying(answer("200 OK", &many, "")).await;
    let kept = output(json!({ "url": server.url("/") })).await;
    assert_eq!(kept["headers"].as_object().map(serde_json::Map::len), Some(64));

    let long = format!("x-long: {}", "v".repeat(5_000));
    let server = Server::saying(answer("200 OK", &[&long, "x-short: v"], "")).await;
    let kept = output(json!({ "url": server.url("/") })).await;
    assert_eq!(kept["headers"], json!({ "content-length": "0", "x-short": "v" }));
}
