//! Dead letters beyond retry and discard: what they share, counted, and their whole context.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::server::Server;

/// Fails at `charge` with what it is told.
const REFUSED: &str = "
id: refused
tags: [money]
steps:
  - id: charge
    type: noop
    retry: { max_attempts: 2, backoff: fixed, initial: 1ms, jitter: false }
    with: { fail: { message: '{{ input.why }}' } }
";

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

async fn letters(server: &Server, query: &str) -> Vec<Value> {
    let (status, page) = server.get(&format!("/api/v1/dlq?{query}")).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    page["letters"].as_array().cloned().unwrap_or_default()
}

/// Counts are as of the last tick.
async fn until(server: &Server, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
    loop {
        let (status, answer) = server.get(path).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        if holds(&answer) {
            return answer;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_of_one_cause_are_one_group() {
    let server = Server::start().await;
    server.define(REFUSED).await;
    for why in ["card 4711 of 'ann' was refused", "card 9 of 'bob' was refused", "no answer"] {
        server.run("refused", &json!({ "why": why })).await;
    }
    let groups = until(&server, "/api/v1/dlq/groups", |own| own["groups"][0]["letters"] == 2).await;
    let group = &groups["groups"][0];
    assert_eq!((&groups["count"], &group["by_status"]["open"]), (&json!(2), &json!(2)));
    assert_eq!(group["message"], "card <n> of <text> was refused");
    assert_eq!((&group["subject"], &group["kind"]), (&json!("charge"), &json!("step")));
    let cause = text(&group["fingerprint"]);
    let own = letters(&server, &format!("fingerprint={cause}")).await;
    assert_eq!(own.len(), 2);
    assert_eq!(group["example"], own[0], "the newest");
    assert_eq!(group["last_seen_at"], own[0]["opened_at"]);
    assert_eq!(group["first_seen_at"], own[1]["opened_at"]);
    assert_eq!(letters(&server, "tag=money&step=charge").await.len(), 3);
    assert_eq!(letters(&server, "tag=other").await.len(), 0);
    assert_eq!(letters(&server, "step=ship").await.len(), 0);

    let discard = format!("/api/v1/dlq/{}/discard", text(&own[0]["letter_id"]));
    server.post(&discard, &json!({ "reason": "paid by hand" })).await;
    let path = format!("/api/v1/dlq/groups?fingerprint={cause}&status=discarded");
    let settled = until(&server, &path, |own| own["count"] == 1).await;
    assert_eq!(settled["groups"][0]["example"]["letter_id"], own[0]["letter_id"]);
    let stats = until(&server, "/api/v1/dlq/stats", |own| own["by_status"]["open"] == 2).await;
    assert_eq!((&stats["total"], &stats["by_status"]["discarded"]), (&json!(3), &json!(1)));
    assert_eq!(stats["by_fingerprint"][&cause], 1);
    assert_eq!(stats["by_workflow"], json!({ "refused": 2 }));
    assert_eq!(stats["by_age"][0], json!({ "age": "under 1 hour", "count": 2 }));
    for bad in ["groups?fingerprint=1", "groups?limit=0", "groups?step=a", "stats?status=open"] {
        let (status, refused) = server.get(&format!("/api/v1/dlq/{bad}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{bad}: {refused}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_tells_every_attempt() {
    let server = Server::start().await;
    server.define(REFUSED).await;
    let run = server.run("refused", &json!({ "why": "busy" })).await;
    let listed = &run["dead_letters"][0];
    let (status, letter) = server.get(&format!("/api/v1/dlq/{}", text(&listed["letter_id"]))).await;
    assert_eq!((status, &letter["fingerprint"]), (StatusCode::OK, &listed["fingerprint"]));
    assert_eq!(letter["input"], json!({ "fail": { "message": "busy" } }));
    assert_eq!((&letter["tags"], &letter["revision"]), (&json!(["money"]), &json!(1)));
    assert_eq!(letter["correlation_id"], run["correlation_id"]);
    let attempts = letter["attempt_history"].as_array().expect("a list");
    let numbers: Vec<_> = attempts.iter().map(|own| own["attempt"].clone()).collect();
    assert_eq!(numbers, [1, 2]);
    for own in attempts {
        assert_eq!(own["error"]["message"], "busy");
        assert!(text(&own["started_at"]) <= text(&own["ended_at"]), "{own}");
    }
    server.stop().await;
}
