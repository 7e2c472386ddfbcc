//! What those of one tenant try on another's.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::guarded::{FIRST_KEY, Guarded};
use crate::server::{TWO_STEPS, answer};

const WAITS: &str = "
id: waits
steps:
  - { id: go, type: wait, with: { signal: go, timeout: 30d } }
";
const SIGNALS: &str = "
id: signals
steps:
  - { id: send, type: signal, with: { execution: '{{ input.to }}', name: go }, retry: none }
";

pub async fn define(server: &Guarded, token: &str, yaml: &str) {
    let request = server.ask("POST", "/api/v1/workflows", token);
    let request = request.header("content-type", "application/yaml").body(yaml.to_owned());
    let (status, told) = answer(request).await;
    assert_eq!(status, StatusCode::CREATED, "{told}");
}

/// A new run, as it stands after so many seconds at most.
pub async fn run(server: &Guarded, token: &str, workflow: &str, input: &Value, wait: u8) -> Value {
    let path = format!("/api/v1/workflows/{workflow}/execute");
    let (_, run) =
        server.post(&path, token, &json!({ "input": input, "wait_seconds": wait })).await;
    assert!(run["execution_id"].is_string(), "{run}");
    run
}

#[tokio::test]
async fn a_step_signals_no_run_of_another_tenant() {
    let server = Guarded::start();
    let (_, other) = server.key(&["*"], "other").await;
    define(&server, FIRST_KEY, WAITS).await;
    define(&server, FIRST_KEY, SIGNALS).await;
    define(&server, &other, SIGNALS).await;
    let target = run(&server, FIRST_KEY, "waits", &json!({}), 0).await;
    let target = target["execution_id"].as_str().expect("an id");
    // One digit off: no run at all.
    let last = if target.ends_with('0') { "1" } else { "0" };
    let absent = format!("{}{last}", &target[..target.len() - 1]);
    let mut told = Vec::new();
    for to in [target, &absent] {
        let sent = run(&server, &other, "signals", &json!({ "to": to }), 60).await;
        assert_eq!(sent["status"], "failed", "{sent}");
        told.push(sent["error"]["details"]["cause"].to_string().replace(to, "ID"));
    }
    assert_eq!(told[0], told[1]);
    let path = format!("/api/v1/executions/{target}");
    assert_eq!(server.get(&path, FIRST_KEY).await.1["steps"]["go"]["status"], "waiting");
    let own = run(&server, FIRST_KEY, "signals", &json!({ "to": target }), 60).await;
    assert_eq!(own["status"], "completed", "{own}");
}

#[tokio::test]
async fn why_and_limits_count_other_tenants_and_name_none() {
    let server = Guarded::start_with(&["--max-parallel-workflows", "1"]);
    let (_, other) = server.key(&["*"], "other").await;
    define(&server, FIRST_KEY, WAITS).await;
    define(&server, &other, WAITS).await;
    let holder = run(&server, FIRST_KEY, "waits", &json!({}), 0).await;
    let holder = holder["execution_id"].as_str().expect("an id");
    let waiting = run(&server, &other, "waits", &json!({}), 0).await;
    let path = format!("/api/v1/executions/{}/why", waiting["execution_id"].as_str().expect("id"));
    let (_, why) = server.get(&path, &other).await;
    let said = why["summary"].as_str().expect("a sentence");
    assert!(said.contains("held by 1 of other namespaces since 20"), "{said}");
    assert!(!why.to_string().contains(holder), "{why}");
    let own = run(&server, FIRST_KEY, "waits", &json!({}), 0).await;
    let path = format!("/api/v1/executions/{}/why", own["execution_id"].as_str().expect("an id"));
    let (_, why) = server.get(&path, FIRST_KEY).await;
    assert!(why["summary"].as_str().is_some_and(|said| said.contains(holder)), "{why}");
}

#[tokio::test]
async fn a_tenant_reads_what_is_its_own_and_no_more() {
    let server = Guarded::start();
    let (_, other) = server.key(&["*"], "other").await;
    define(&server, FIRST_KEY, WAITS).await;
    define(&server, &other, TWO_STEPS).await;
    let ours = run(&server, FIRST_KEY, "waits", &json!({}), 0).await;
    let theirs = run(&server, &other, "two", &json!({}), 60).await;
    let id = |run: &Value| run["execution_id"].as_str().expect("an id").to_owned();
    for (token, own, foreign) in
        [(other.as_str(), id(&theirs), id(&ours)), (FIRST_KEY, id(&ours), id(&theirs))]
    {
        let export = server.ask("GET", "/api/v1/export", token).send().await.expect("an answer");
        let export = export.text().await.expect("a text");
        assert!(export.contains(&own) && !export.contains(&foreign), "{export}");
    }
    let (_, audit) = server.get("/api/v1/audit?order=asc", &other).await;
    let actions: Vec<_> = audit["audit"].as_array().expect("rows").iter().collect();
    let actions: Vec<_> =
        actions.iter().map(|row| row["action"].as_str().expect("a word")).collect();
    assert_eq!(actions, ["key.created", "workflow.defined"]);
    // Deeds about the store, and of others, are in the audit of `default` only.
    assert_eq!(answer(server.ask("DELETE", "/api/v1/cache", FIRST_KEY)).await.0, StatusCode::OK);
    let order = "/api/v1/breakers/svc/open";
    assert_eq!(server.post(order, &other, &json!({ "reason": "theirs" })).await.0, StatusCode::OK);
    let (_, audit) = server.get("/api/v1/audit", &other).await;
    assert_eq!(audit["audit"].as_array().map(Vec::len), Some(3), "{audit}");
    let (_, seen) = server.get("/api/v1/breakers", FIRST_KEY).await;
    assert_eq!(seen["breakers"], json!([]), "another's order opens no circuit of ours");
    let (_, seen) = server.get("/api/v1/breakers", &other).await;
    assert_eq!(seen["breakers"][0]["forced"], "open");
    let (status, limits) = server.get("/api/v1/limits", &other).await;
    assert_eq!(status, StatusCode::OK);
    assert!(!limits.to_string().contains(&id(&ours)), "{limits}");
}

#[tokio::test]
async fn that_a_run_of_another_was_removed_is_told_to_nobody() {
    let server = Guarded::start();
    let (_, other) = server.key(&["*"], "other").await;
    let (_, reader) = server.key(&["executions:read", "letters:read"], "default").await;
    define(&server, FIRST_KEY, TWO_STEPS).await;
    let gone = run(&server, FIRST_KEY, "two", &json!({}), 60).await;
    let gone = gone["execution_id"].as_str().expect("an id");
    let policy = json!({ "rules": [{ "name": "all", "keep_count": 0 }] });
    let apply = json!({ "policy": policy, "confirm": true });
    let path = "/api/v1/admin/retention/apply";
    let (status, told) = server.post(path, FIRST_KEY, &apply).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{told}");
    while server.get(path, FIRST_KEY).await.1["status"] != "done" {}
    let path = format!("/api/v1/executions/{gone}");
    assert_eq!(server.get(&path, FIRST_KEY).await.0, StatusCode::GONE);
    let letter = format!("/api/v1/dlq/{}_0", gone.replace("exec_", "dlq_"));
    for (token, path) in [(&other, &path), (&reader, &path), (&other, &letter), (&reader, &letter)]
    {
        let (status, told) = server.get(path, token).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{told}");
    }
}
