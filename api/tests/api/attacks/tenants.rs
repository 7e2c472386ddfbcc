//! What those of one tenant try on another's.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::guarded::{FIRST_KEY, Guarded};
use crate::server::answer;

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
