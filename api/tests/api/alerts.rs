//! Alerts of operators: pinned to runs as they begin, sent through kills, and over with the run.

use std::fs;
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::attacks::define;
use crate::callbacks::receiver::{Receiver, Seen};
use crate::guarded::{FIRST_KEY, Guarded};
use crate::secrets::{SECRET, files_with, server};
use crate::server::answer;

const GENIE: &str = "eb243592-faa2-4ba2-a551-1afdf565c889";

async fn put(server: &Guarded, path: &str, token: &str, content: &Value) -> (StatusCode, Value) {
    answer(server.ask("PUT", &format!("/api/v1/alerts/{path}"), token).json(content)).await
}

/// A workflow that waits for somebody.
async fn asks(server: &Guarded, token: &str) {
    let steps = json!([{ "id": "approved", "type": "wait", "with": { "signal": "go" } }]);
    define(server, token, &json!({ "id": "asks", "steps": steps }).to_string()).await;
}

/// A run of it.
async fn waiting(server: &Guarded, token: &str) -> String {
    let path = "/api/v1/workflows/asks/execute";
    let (status, begun) = server.post(path, token, &json!({})).await;
    assert!(status.is_success(), "{begun}");
    begun["execution_id"].as_str().expect("an id").to_owned()
}

async fn shown(server: &Guarded, run: &str) -> Value {
    server.get(&format!("/api/v1/executions/{run}"), FIRST_KEY).await.1
}

/// A pager and Opsgenie, told of runs that wait; answers what the channel of the pager says.
async fn configured(server: &Guarded, receiver: &Receiver) -> Value {
    let pager = json!({ "format": "pagerduty", "url": format!("{}/pd", receiver.url),
                        "routing_key": "{{ secrets.token }}" });
    let genie = json!({ "format": "opsgenie", "url": format!("{}/og", receiver.url),
                        "api_key": "{{ secrets.genie }}" });
    let rule = json!({ "on": ["step_waiting", "run_failed"], "workflows": ["as*"],
                       "channels": ["pager", "genie"] });
    for (path, content) in
        [("channels/pager", &pager), ("channels/genie", &genie), ("rules/waits", &rule)]
    {
        let (status, made) = put(server, path, FIRST_KEY, content).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
    }
    pager
}

/// What comes next for PagerDuty and for Opsgenie.
async fn both(receiver: &mut Receiver) -> [Seen; 2] {
    let mut came = [receiver.next().await, receiver.next().await];
    came.sort_by_key(|seen| !seen.path.starts_with("/hook/pd"));
    came
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_raised_once_through_a_kill_and_is_over_with_its_run() {
    let mut receiver = Receiver::start().await;
    receiver.answers(&[503, 503]);
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = server(folder.path());
    fs::write(folder.path().join("default/genie"), GENIE).expect("a file");
    let pager = configured(&server, &receiver).await;
    asks(&server, FIRST_KEY).await;
    let run = waiting(&server, FIRST_KEY).await;
    let first = both(&mut receiver).await;
    server.start_again();
    while server.get("/ready", "").await.0 != StatusCode::OK {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The kill may have come before the answers were recorded.
    let again = both(&mut receiver).await;
    let alias = format!("{run}:waits");
    for (first, again) in first.iter().zip(&again) {
        assert_eq!(first.header("webhook-id"), again.header("webhook-id"));
        assert_eq!((&first.body, &first.path), (&again.body, &again.path));
    }
    let [pd, og] = &again;
    assert_eq!(
        (&pd.json()["event_action"], &pd.json()["dedup_key"]),
        (&json!("trigger"), &json!(alias))
    );
    assert_eq!(
        (&pd.json()["routing_key"], &pd.json()["payload"]["severity"]),
        (&json!(SECRET), &json!("warning"))
    );
    assert_eq!(og.header("authorization"), format!("GenieKey {GENIE}"));
    assert_eq!((&og.json()["alias"], &og.json()["priority"]), (&json!(alias), &json!("P3")));
    let signal = format!("/api/v1/executions/{run}/signals/go");
    let (status, sent) = server.post(&signal, FIRST_KEY, &json!({ "payload": 1 })).await;
    assert!(status.is_success(), "{sent}");
    let [pd, og] = both(&mut receiver).await;
    assert_eq!(
        (&pd.json()["event_action"], &pd.json()["dedup_key"]),
        (&json!("resolve"), &json!(alias))
    );
    assert_eq!(og.path, format!("/hook/og/{alias}/close?identifierType=alias"));
    let shown = loop {
        let shown = shown(&server, &run).await;
        let callbacks = shown["callbacks"].as_array().expect("a list").clone();
        if callbacks.iter().all(|own| own["status"] == "delivered") {
            assert_eq!(callbacks.len(), 4, "{callbacks:?}");
            break shown;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let of = json!({ "rule": "waits", "channel": "pager", "severity": null });
    assert_eq!(shown["callbacks"][0]["alert"], of);
    let (_, events) = server.get(&format!("/api/v1/executions/{run}/events"), FIRST_KEY).await;
    let (_, channels) = server.get("/api/v1/alerts/channels", FIRST_KEY).await;
    assert_eq!(channels["objects"][1]["content"], pager);
    for secret in [SECRET, GENIE] {
        for answer in [&shown, &events, &channels] {
            assert!(!answer.to_string().contains(secret), "{answer}");
        }
        let (found, _) = files_with(&server.folder.path().join("data"), secret);
        assert!(found.is_empty() && !server.has_logged(secret), "{found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_of_a_tenant_and_count_for_runs_that_begin_later() {
    let mut receiver = Receiver::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let server = server(folder.path());
    let (_, other) = server.key(&["*"], "other").await;
    asks(&server, FIRST_KEY).await;
    asks(&server, &other).await;
    let earlier = waiting(&server, FIRST_KEY).await;
    let channel = json!({ "url": receiver.url });
    let rule = json!({ "on": "step_waiting", "severity": "info", "channels": ["hook", "gone"] });
    assert_eq!(put(&server, "channels/hook", FIRST_KEY, &channel).await.0, StatusCode::CREATED);
    assert_eq!(put(&server, "rules/waits", FIRST_KEY, &rule).await.0, StatusCode::CREATED);
    let of_other = waiting(&server, &other).await;
    let later = waiting(&server, FIRST_KEY).await;
    let seen = receiver.next().await.json();
    assert_eq!(
        (&seen["event"], &seen["data"]["execution_id"]),
        (&json!("step.waiting"), &json!(later))
    );
    let alert =
        json!({ "rule": "waits", "channel": "hook", "severity": "info", "resolved": false });
    assert_eq!(seen["data"]["alert"], alert);
    assert_eq!(shown(&server, &earlier).await["callbacks"], json!([]));
    let (_, of_other) = server.get(&format!("/api/v1/executions/{of_other}"), &other).await;
    assert_eq!((&of_other["callbacks"], &of_other["status"]), (&json!([]), &json!("running")));
    for (path, wrong, field) in [
        ("channels/a", json!({ "url": "ftp://x" }), "url"),
        ("channels/a", json!({ "url": "http://x", "format": "opsgenie" }), "api_key"),
        ("rules/a", json!({ "on": "anything", "channels": ["hook"] }), "on"),
        ("rules/a", json!({ "on": "dead_letter" }), "channels"),
    ] {
        let (status, told) = put(&server, path, FIRST_KEY, &wrong).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{told}");
        assert!(told["details"]["problems"].to_string().contains(field), "{told}");
    }
}
