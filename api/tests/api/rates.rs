//! Who asks too often.

use reqwest::StatusCode;
use reqwest::header::RETRY_AFTER;
use serde_json::json;

use crate::guarded::{FIRST_KEY, Guarded};

/// Where everybody asks who may read.
const WORKFLOWS: &str = "/api/v1/workflows";

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_asks_too_often_is_told_when_to_come_again() {
    let server = Guarded::start_with(&["--rate-limit-address", "1/h, burst 3"]);
    for _ in 0..3 {
        let (status, body) = server.get(WORKFLOWS, "a guess").await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{body}");
    }
    let refused = server.ask("GET", WORKFLOWS, FIRST_KEY).send().await.expect("an answer");
    assert_eq!(
        refused.status(),
        StatusCode::TOO_MANY_REQUESTS,
        "whoever guesses keys has no more tries"
    );
    let after = refused.headers()[RETRY_AFTER].to_str().expect("digits").to_owned();
    let body: serde_json::Value = refused.json().await.expect("JSON");
    assert_eq!(
        (&body["error_code"], &body["details"]["by"]),
        (&json!("RATE_LIMITED"), &json!("address"))
    );
    assert_eq!(body["details"]["retry_after_seconds"].to_string(), after);
    assert!((3_000..=3_600).contains(&after.parse::<u32>().expect("a number")), "{after}");
    let (status, body) = server.get("/ready", "").await;
    assert_eq!(status, StatusCode::OK, "what needs no permission is not counted: {body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_caller_has_a_rate_of_its_own() {
    let server = Guarded::start_with(&["--rate-limit-caller", "1/h, burst 4"]);
    let (_, one) = server.key(&["workflows:read"], "default").await;
    let (_, other) = server.key(&["workflows:read"], "default").await;
    for _ in 0..4 {
        let (status, body) = server.get(WORKFLOWS, &one).await;
        assert_eq!(status, StatusCode::OK, "{body}");
    }
    let (status, body) = server.get(WORKFLOWS, &one).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{body}");
    assert_eq!(body["details"]["by"], "caller");
    let (status, body) = server.get(WORKFLOWS, &other).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let printed = server.ask("GET", "/metrics", FIRST_KEY).send().await.expect("an answer");
    let printed = printed.text().await.expect("text");
    let counted = "backstitch_http_rate_limited_total{by=\"caller\"} 1";
    assert!(printed.contains(counted), "{printed}");
}
