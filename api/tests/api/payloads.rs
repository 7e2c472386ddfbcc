//! Large payloads, and erasing them.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::server::Server;

/// Hands a large text from step to step.
const CARRYING: &str = "
id: carrying
steps:
  - { id: first, type: noop, with: { output: '{{ input }}' } }
  - { id: second, type: transform, needs: [first], with: { whole: '{{ steps.first.output.text }}' } }
";
/// Whatever its runs hold can be erased.
const ERASABLE: &str = "
id: erasable
erasable: true
on_failure: halt
steps:
  - { id: first, type: noop, with: { output: '{{ input }}' } }
  - { id: second, type: http, needs: [first], retry: none, with: { url: 'http://127.0.0.1:1/{{ steps.first.output.name | length }}' } }
";

async fn beside(server: &Server, run: &str) -> Vec<Value> {
    let (_, page) = server.get(&format!("/api/v1/executions/{run}/events")).await;
    let events = page["events"].as_array().expect("events").clone();
    events.iter().flat_map(|event| event["kept_beside"].as_array().cloned()).flatten().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_of_megabytes_pass_through_a_run_and_a_start() {
    let server = Server::start().await;
    server.define(CARRYING).await;
    let text = "x".repeat(1024 * 1024);
    let run = server.run("carrying", &json!({ "text": text })).await;
    assert_eq!(run["status"], "completed", "{}", run["error"]);
    assert_eq!(run["output"]["second"]["whole"], text);
    let id = run["execution_id"].as_str().expect("an id").to_owned();
    let kept = beside(&server, &id).await;
    assert!(kept.len() >= 4, "{kept:?}");
    let (_, info) = server.get("/info").await;
    assert!(info["journal"]["log_bytes"].as_u64().is_some());
    let server = Server::start_in(server.stop().await).await;
    let (_, shown) = server.get(&format!("/api/v1/executions/{id}")).await;
    assert_eq!(shown, run);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_refused_and_names_the_limit() {
    let server = Server::start().await;
    server.define(CARRYING).await;
    let path = "/api/v1/workflows/carrying/execute";
    let fits = json!({ "input": { "text": "x".repeat(4_194_000) } });
    assert_eq!(server.post(path, &fits).await.0, StatusCode::ACCEPTED);
    let large = json!({ "input": { "text": "x".repeat(4_194_304) } });
    let (status, refused) = server.post(path, &large).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(refused["error_code"], "PAYLOAD_TOO_LARGE");
    assert_eq!(refused["details"]["bytes_max"], 4_194_304);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_payload_is_gone_from_answers_and_from_what_comes_after() {
    let server = Server::start().await;
    server.define(ERASABLE).await;
    let run = server.run("erasable", &json!({ "name": "Ada Lovelace" })).await;
    assert_eq!(run["status"], "failed");
    let id = run["execution_id"].as_str().expect("an id").to_owned();
    let letter = run["dead_letters"][0]["letter_id"].as_str().expect("a letter").to_owned();
    let mut digests: Vec<String> = beside(&server, &id)
        .await
        .iter()
        .map(|kept| kept["digest"].as_str().expect("a digest").to_owned())
        .collect();
    digests.sort();
    digests.dedup();
    let (_, page) = server.get(&format!("/api/v1/executions/{id}/events")).await;
    assert!(page.to_string().contains("Ada Lovelace"));
    let erase = |digest: &str| format!("/api/v1/admin/payloads/{digest}/erase");
    let (status, dry) = server.post(&erase(&digests[0]), &json!({ "dry_run": true })).await;
    assert_eq!((status, &dry["erased"]), (StatusCode::OK, &json!(false)));
    assert_eq!(dry["executions"], json!([id]));
    let (status, refused) = server.post(&erase(&digests[0]), &json!({})).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "a reason is required: {refused}");
    for digest in &digests {
        let reason = json!({ "reason": "asked for by the person" });
        let (status, erased) = server.post(&erase(digest), &reason).await;
        assert_eq!((status, &erased["erased"]), (StatusCode::OK, &json!(true)), "{erased}");
    }
    // Once more is a repeat, also when two ask at a time: it is recorded once.
    let path = erase(&digests[0]);
    let again = json!({ "reason": "asked for once more" });
    let (one, other) = tokio::join!(server.post(&path, &again), server.post(&path, &again));
    for (status, erased) in [one, other] {
        assert_eq!((status, &erased["erased"]), (StatusCode::OK, &json!(false)), "{erased}");
    }
    let (_, audit) = server.get("/api/v1/audit?action=payload.erased").await;
    assert_eq!(audit["audit"].as_array().map(Vec::len), Some(digests.len()), "{audit}");
    let check = |text: String| {
        assert!(!text.contains("Lovelace"), "{text}");
        assert!(text.contains("\"why\":\"erased\""), "{text}");
    };
    check(server.get(&format!("/api/v1/executions/{id}")).await.1.to_string());
    check(server.get(&format!("/api/v1/executions/{id}/events")).await.1.to_string());
    // The second step reads what is gone: it fails, and says so.
    let (status, _) = server.post(&format!("/api/v1/dlq/{letter}/retry"), &json!({})).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let (_, again) = server.get(&format!("/api/v1/executions/{id}")).await;
    let second = &again["steps"]["second"];
    assert_eq!(second["error"]["error_code"], "PAYLOAD_ERASED", "{second}");
    let server = Server::start_in(server.stop().await).await;
    check(server.get(&format!("/api/v1/executions/{id}/events")).await.1.to_string());
    let unknown = "ab".repeat(32);
    let (status, refused) = server.get(&format!("/api/v1/admin/payloads/{unknown}")).await;
    assert_eq!(
        (status, &refused["error_code"]),
        (StatusCode::NOT_FOUND, &json!("PAYLOAD_NOT_FOUND"))
    );
    let (status, collected) =
        server.post("/api/v1/admin/payloads/collect", &json!({ "dry_run": true })).await;
    assert_eq!((status, &collected["payloads"]), (StatusCode::OK, &json!(0)));
    server.stop().await;
}
