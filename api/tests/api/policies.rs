//! Policies, environments and adapters by HTTP: in force, pinned, and shown with their origins.

use std::fs;
use std::path::Path;

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use crate::process::{backstitch, folder, serve_at};
use crate::server::{Server, answer};

/// As document 001 prints it.
const PRINTED: &str = "
environments:
  production:
    retry-attempts: 5
    timeout: 30s
    man-mode-threshold: high
  staging:
    retry-attempts: 3
    timeout: 10s
    man-mode-threshold: medium
";

const PAYMENTS: &str = "
id: payments
tags: [money]
steps:
  - { id: pay, type: http, with: { url: 'http://pay.example/' }, retry: none }
  - { id: book, type: noop, retry: gentle, needs: [pay] }
";

async fn put(server: &Server, path: &str, body: &Value) -> (StatusCode, Value) {
    answer(server.request(Method::PUT, path).json(body)).await
}

fn is(value: Value, origin: &str) -> Value {
    json!({ "value": value, "origin": origin })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_for_workflows_of_its_tag_and_a_run_is_pinned_to_it() {
    let server = Server::start().await;
    let payments = json!({
        "applies_to": { "tags": ["money"] },
        "retry_policies": { "gentle": { "max_attempts": 2 } },
        "defaults": { "timeout": "7s" },
        "callbacks": [{ "event": "workflow.cancelled", "url": "http://127.0.0.1:9/hook" }],
        "egress": { "allow": ["*.bank.example"] },
    });
    let (status, refused) = server.define(PAYMENTS).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "nobody knows `gentle`: {refused}");
    let (status, made) = put(&server, "/api/v1/policies/payments", &payments).await;
    assert_eq!((status, &made["content"]), (StatusCode::CREATED, &payments));
    let (status, defined) = server.define(PAYMENTS).await;
    assert_eq!(status, StatusCode::CREATED, "{defined}");

    let (_, shown) = server.get("/api/v1/workflows/payments/effective").await;
    assert_eq!(shown["steps"][0]["timeout"], is(json!("7s"), "policy:payments"));
    assert_eq!(shown["steps"][0]["retry"]["origin"], "step");
    assert_eq!(shown["steps"][1]["retry"]["named_by"], "policy:payments");
    assert_eq!(shown["steps"][1]["retry"]["policy"]["max_attempts"], 2);
    assert_eq!(shown["workflow"]["callbacks"][0]["origin"], "policy:payments");
    assert_eq!(shown["workflow"]["egress"][0]["origin"], "policy:payments");
    assert_ne!(shown["digest"], defined["digest"]);
    let fields: Vec<_> = shown["applied"].as_array().expect("a list").iter().collect();
    let timeout = json!({ "field": "defaults.timeout", "by": "policy:payments", "revision": 1 });
    assert!(fields.contains(&&timeout), "{fields:?}");

    let run = server.run("payments", &json!({})).await;
    assert_eq!(run["status"], "failed", "{run}");
    let error = &run["steps"]["pay"]["error"];
    assert_eq!(error["error_code"], "HTTP_HOST_DENIED", "{run}");
    assert!(error["message"].as_str().is_some_and(|own| own.contains("egress")), "{error}");

    let removal = server.request(Method::DELETE, "/api/v1/policies/payments");
    assert_eq!(answer(removal).await.0, StatusCode::OK);
    let id = run["execution_id"].as_str().expect("an id");
    let path = format!("/api/v1/workflows/payments/effective?execution_id={id}");
    assert_eq!(server.get(&path).await, (StatusCode::OK, shown), "it is what it was pinned to");
    let (_, now) = server.get("/api/v1/workflows/payments/effective").await;
    assert_eq!(now["steps"][0]["timeout"], is(json!("30s"), "built_in"));
    assert_eq!((&now["digest"], &now["applied"]), (&defined["digest"], &json!([])));

    let (status, _) = server.get(&format!("{path}&revision=1")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let elsewhere = format!("/api/v1/workflows/other/effective?execution_id={id}");
    for path in [&elsewhere, "/api/v1/workflows/payments/effective?execution_id=exec_none"] {
        let (status, gone) = server.get(path).await;
        assert_eq!(
            (status, &gone["error_code"]),
            (StatusCode::NOT_FOUND, &json!("EXECUTION_NOT_FOUND"))
        );
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_an_object_is_named_with_its_place() {
    let server = Server::start().await;
    for (path, content, place) in [
        ("policies/a", json!({ "egress": { "deny": ["http://x"] } }), "egress.deny[0]"),
        ("policies/a", json!({ "defaults": { "retry": "gentle" } }), "defaults.retry"),
        ("environments/a", json!({ "retry-attempts": 0 }), "retry-attempts"),
        ("adapters/a", json!({ "url": "crm" }), "url"),
    ] {
        let (status, refused) = put(&server, &format!("/api/v1/{path}"), &content).await;
        assert!(status.is_client_error(), "{refused}");
        assert!(refused.to_string().contains(place), "{place}: {refused}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_calls_the_adapter_that_it_names() {
    let server = Server::start().await;
    let shop = crate::secrets::echo().await;
    let adapter = json!({ "url": shop, "headers": { "authorization": "Bearer of-the-crm" } });
    let (status, _) = put(&server, "/api/v1/adapters/crm", &adapter).await;
    assert_eq!(status, StatusCode::CREATED);
    let workflow = "
workflow:
  name: welcome
  steps:
    - { id: account, adapter: crm, with: { action: accounts, name: '{{ input.name }}' } }
";
    let (status, defined) = server.define(workflow).await;
    assert_eq!((status, &defined["warnings"]), (StatusCode::CREATED, &json!([])), "{defined}");
    let run = server.run("welcome", &json!({ "name": "Ann" })).await;
    let said = &run["steps"]["account"]["output"]["body"];
    assert_eq!(said["heard"], "Bearer of-the-crm", "{run}");
    assert_eq!((&said["uri"], &said["body"]), (&json!("/accounts"), &json!(r#"{"name":"Ann"}"#)));
    server.stop().await;
}

/// A server that is started with the printed file, in an environment.
fn serve_in(folder: &Path, environment: &str) -> (std::process::Child, String) {
    let file = folder.join("backstitch.yaml");
    fs::write(&file, PRINTED).expect("a file");
    let file = file.to_str().expect("UTF-8");
    let flags = ["--config", file, "--environment", environment];
    let (server, url, _) = serve_at("127.0.0.1:0", &folder.join("data"), &flags);
    (server, url)
}

/// A run of a workflow that has ended.
async fn execute(client: &Client, url: &str) -> String {
    let body = json!({ "input": {}, "wait_seconds": 60 });
    let request = client.post(format!("{url}/api/v1/workflows/w/execute")).json(&body);
    answer(request).await.1["execution_id"].as_str().expect("an id").to_owned()
}

async fn effective(client: &Client, url: &str, run: &str) -> Value {
    let path = format!("{url}/api/v1/workflows/w/effective?execution_id={run}");
    answer(client.get(path)).await.1
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_environment_is_in_force_and_a_run_keeps_its_content_through_a_kill() {
    let folder = folder();
    let (mut server, url) = serve_in(folder.path(), "staging");
    let client = crate::forms::client();
    let (_, shown) = answer(client.get(format!("{url}/api/v1/config/effective"))).await;
    assert_eq!(shown["settings"]["environment"]["value"], "staging");
    let idle = &shown["without_effect"][0];
    assert_eq!(idle["name"], "environments.man-mode-threshold", "{shown}");
    let definition = json!({ "id": "w", "steps": [{ "id": "a", "type": "noop" }] });
    answer(client.post(format!("{url}/api/v1/workflows")).json(&definition)).await;
    let run = execute(&client, &url).await;
    let before = effective(&client, &url, &run).await;
    assert_eq!(before["steps"][0]["timeout"], is(json!("10s"), "environment:staging"));
    assert_eq!(before["steps"][0]["retry"]["origin"], "environment:staging");
    assert_eq!(before["steps"][0]["retry"]["policy"]["max_attempts"], 3);
    server.kill().expect("it runs");
    server.wait().expect("it ended");

    let (mut server, url) = serve_in(folder.path(), "production");
    assert_eq!(effective(&client, &url, &run).await, before, "it is what it was pinned to");
    let after = effective(&client, &url, &execute(&client, &url).await).await;
    assert_eq!(after["steps"][0]["timeout"], is(json!("30s"), "environment:production"));
    assert_eq!(after["steps"][0]["retry"]["policy"]["max_attempts"], 5);
    server.kill().expect("it runs");
    server.wait().expect("it ended");

    let data = folder.path().join("data");
    let (data, file) = (data.to_str().expect("UTF-8"), folder.path().join("backstitch.yaml"));
    let flags = ["--config", file.to_str().expect("UTF-8"), "--environment", "stagin"];
    let refused = backstitch(&["serve", "--listen", "127.0.0.1:0", "--data-dir", data])
        .args(flags)
        .output()
        .expect("the program starts");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("did you mean `staging`?"), "{said}");
}
