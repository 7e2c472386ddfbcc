//! Dead letters beyond retry and discard: what they share, counted, and their whole context.

use backstitch_api::Settings;
use backstitch_api::settings::LetterAlarm;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::process::output;
use crate::server::{Server, settings};

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

#[tokio::test(flavor = "multi_thread")]
async fn letters_are_retried_by_a_filter_and_every_mistake_is_told() {
    let server = Server::start().await;
    server.define(REFUSED).await;
    for _ in 0..3 {
        server.run("refused", &json!({ "why": "busy" })).await;
    }
    let wish = json!({
        "filter": { "workflow_id": "refused" },
        "rate_per_second": 1_000,
        "canary": { "count": 1, "wait": "10m" },
        "reason": "it may be back",
    });
    let (status, begun) = server.post("/api/v1/dlq/retries", &wish).await;
    assert_eq!((status, &begun["canary"]["wait_ms"]), (StatusCode::ACCEPTED, &json!(600_000)));
    let path = format!("/api/v1/dlq/retries/{}", text(&begun["redrive_id"]));
    // It fails again: the first canary stops it.
    let ended = until(&server, &path, |own| own["status"] == "stopped").await;
    let cause = text(&letters(&server, "limit=1").await[0]["fingerprint"]);
    assert_eq!(ended["stopped"]["reason"], format!("the canary of group {cause}: 1 of 1 failed"));
    assert_eq!((&ended["letters"]["claimed"], &ended["letters"]["failed"]), (&json!(1), &json!(1)));
    assert_eq!(ended["canaries"][0]["fingerprint"], cause.as_str());
    let (_, listed) = server.get("/api/v1/dlq/retries").await;
    assert_eq!(listed["redrives"][0]["redrive_id"], begun["redrive_id"]);
    let (status, paused) = server.post(&format!("{path}/pause"), &json!({})).await;
    assert_eq!((status, &paused["status"]), (StatusCode::OK, &json!("stopped")));
    let over = json!({ "reason": "leave it" });
    let (status, cancelled) = server.post(&format!("{path}/cancel"), &over).await;
    assert_eq!((status, &cancelled["status"]), (StatusCode::OK, &json!("cancelled")));
    let (status, refused) = server.post(&format!("{path}/resume"), &json!({})).await;
    assert_eq!((status, &refused["error_code"]), (StatusCode::CONFLICT, &json!("REDRIVE_OVER")));
    let (_, audit) = server.get("/api/v1/audit?action=redrive.cancelled").await;
    assert_eq!(audit["audit"][0]["detail"], "leave it", "{audit}");

    let wrong = json!({
        "filter": { "kind": "odd", "fingerprint": "1", "tag": 7, "opened_after": "now", "id": "x" },
        "rate_per_second": 0,
        "canary": { "count": 0, "wait": "soon" },
        "stop_when": { "failures": 0, "failure_ratio": "half" },
    });
    let (status, refused) = server.post("/api/v1/dlq/retries", &wrong).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{refused}");
    let problems = refused["details"]["problems"].as_array().expect("a list");
    let mut paths: Vec<_> = problems.iter().map(|own| text(&own["path"])).collect();
    paths.sort_unstable();
    let expected = [
        "canary.count",
        "canary.wait",
        "filter.fingerprint",
        "filter.id",
        "filter.kind",
        "filter.opened_after",
        "filter.tag",
        "rate_per_second",
        "stop_when.failure_ratio",
        "stop_when.failures",
    ];
    assert_eq!(paths, expected);
    let (status, nothing) = server.post("/api/v1/dlq/retries", &json!({ "filter": {} })).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "never all of them: {nothing}");
    for path in ["/api/v1/dlq/retries/redrive_1", "/api/v1/dlq/retries/nonsense"] {
        let (status, _) = server.get(path).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_are_retried_by_a_filter_with_another_input() {
    let server = Server::start().await;
    server.define(&REFUSED.replace("id: refused", "id: refused\non_failure: suspend")).await;
    for why in ["busy", "shut"] {
        let body = json!({ "input": { "why": why } });
        server.post("/api/v1/workflows/refused/execute", &body).await;
    }
    until(&server, "/api/v1/dlq/stats", |own| own["by_status"]["open"] == 2).await;
    for (edit, path) in [
        (json!({ "input_patch": 7 }), "input_patch"),
        (json!({ "input_patch": { "fail": null }, "input": {} }), "input_patch"),
        (json!({ "input": { "fial": {} } }), "input.fial"),
    ] {
        let mut wish = json!({ "filter": { "workflow_id": "refused" } });
        wish.as_object_mut().expect("an object").extend(edit.as_object().expect("one").clone());
        let (status, refused) = server.post("/api/v1/dlq/retries", &wish).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{refused}");
        assert_eq!(refused["details"]["problems"][0]["path"], path, "{refused}");
    }
    let url = server.url.clone();
    let started = tokio::task::spawn_blocking(move || {
        let patch = r#"{"fail":null,"output":{"paid":true}}"#;
        let wish = ["--workflow", "refused", "--input-patch", patch, "--reason", "new cards"];
        let start = ["dlq", "redrive", "start", "--follow", "--json", "--server", &url];
        output(&[&start[..], &wish[..]].concat())
    });
    let started = started.await.expect("no panic");
    let said = String::from_utf8_lossy(&started.stderr).into_owned();
    assert_eq!(started.status.code(), Some(0), "{said}");
    let ended: Value = serde_json::from_slice(&started.stdout).expect("JSON");
    assert_eq!(ended["letters"]["succeeded"], 2, "{ended}");
    assert_eq!(ended["input_patch"], json!({ "fail": null, "output": { "paid": true } }));
    assert_eq!((&ended["input"], &ended["filter"]["kind"]), (&Value::Null, &json!("step")));
    let path = "/api/v1/executions?status=completed&workflow_id=refused";
    let listed = until(&server, path, |own| own["executions"][1].is_object()).await;
    for run in listed["executions"].as_array().expect("a list") {
        let run = format!("/api/v1/executions/{}", text(&run["execution_id"]));
        let (_, shown) = server.get(&run).await;
        assert_eq!(shown["steps"]["charge"]["output"], json!({ "paid": true }), "{shown}");
        assert_eq!(shown["dead_letters"][0]["edited_input"]["output"], json!({ "paid": true }));
    }
    let (_, audit) = server.get("/api/v1/audit?action=letter.edited").await;
    assert_eq!(audit["audit"][1]["detail"], "new cards", "{audit}");
    assert_eq!(audit["audit"][1]["actor"], ended["redrive_id"], "{audit}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_open_letters_are_told_where_people_look() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let alarm = LetterAlarm { letters: Some(2), age_ms: None };
    let settings = Settings { letter_alarm: alarm, ..settings(&folder) };
    let server = Server::start_with(settings, folder).await;
    server.define(REFUSED).await;
    server.run("refused", &json!({ "why": "busy" })).await;
    until(&server, "/api/v1/dlq/stats", |own| own["by_status"]["open"] == 1).await;
    let (_, health) = server.get("/health").await;
    assert_eq!(health, json!({ "status": "healthy", "warnings": [] }));
    server.run("refused", &json!({ "why": "busy" })).await;
    let rings = |own: &Value| own["warnings"] == json!(["2 dead letters are open"]);
    until(&server, "/health", rings).await;
    let info = until(&server, "/info", rings).await;
    assert_eq!(info["letter_alarm"], json!({ "letters": 2, "age_ms": null }));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_is_given_to_somebody_noted_and_retried_with_another_input() {
    let server = Server::start().await;
    server.define(&REFUSED.replace("id: refused", "id: refused\non_failure: suspend")).await;
    let path = "/api/v1/workflows/refused/execute";
    let (_, begun) = server.post(path, &json!({ "input": { "why": "busy" } })).await;
    let run = format!("/api/v1/executions/{}", text(&begun["execution_id"]));
    let failed = until(&server, &run, |own| own["status"] == "suspended").await;
    let letter = format!("/api/v1/dlq/{}", text(&failed["dead_letters"][0]["letter_id"]));
    let given = json!({ "assignee": "bob", "reason": "knows the bank" });
    let (status, shown) = server.post(&format!("{letter}/assign"), &given).await;
    assert_eq!((status, &shown["assignee"]), (StatusCode::OK, &json!("bob")));
    assert_eq!(letters(&server, "assignee=bob").await.len(), 1);
    assert_eq!(letters(&server, "assignee=ann").await.len(), 0);
    let (status, shown) =
        server.post(&format!("{letter}/notes"), &json!({ "text": "asked" })).await;
    assert_eq!((status, &shown["notes"][0]["text"]), (StatusCode::OK, &json!("asked")));
    let (status, _) = server.post(&format!("{letter}/notes"), &json!({})).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let edited = json!({ "input": { "output": { "paid": true } }, "reason": "the right card" });
    let (status, retried) = server.post(&format!("{letter}/retry"), &edited).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{retried}");
    let ended = until(&server, &run, |own| own["status"] == "completed").await;
    assert_eq!(ended["steps"]["charge"]["output"], json!({ "paid": true }));
    for (action, detail) in [
        ("letter.assigned", "bob: knows the bank"),
        ("letter.noted", "asked"),
        ("letter.edited", "the right card"),
    ] {
        let (_, audit) = server.get(&format!("/api/v1/audit?action={action}")).await;
        assert_eq!(audit["audit"][0]["detail"], detail, "{action}");
    }
    server.stop().await;
}
