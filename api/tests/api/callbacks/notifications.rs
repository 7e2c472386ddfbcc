//! `notifications` of a workflow as document 000 has it: each end of a run, and a breach of its
//! agreed time, reach one post of Slack and one webhook.

use std::fs;

use backstitch_api::Settings;
use serde_json::{Value, json};

use super::receiver::Receiver;
use crate::process::folder;
use crate::server::{Server, settings};

/// Path, event and run of what was sent, in order.
async fn told(receiver: &mut Receiver, count: usize) -> Vec<(String, String, String)> {
    let mut told = Vec::new();
    for _ in 0..count {
        let seen = receiver.next().await;
        let body = seen.json();
        let of = seen.header("webhook-id").split('/').next().expect("a run").to_owned();
        let event = match body["event"].as_str() {
            Some(event) => event.to_owned(),
            None => body["text"].as_str().expect("a text").to_owned(),
        };
        told.push((seen.path, event, of));
    }
    told.sort();
    told
}

fn definition(id: &str, task: &Value, sla_minutes: f64, url: &str) -> String {
    let webhook = format!("{url}/web");
    json!({
        "id": id, "name": id, "sla_minutes": sla_minutes, "tasks": [task],
        "notifications": { "webhook": [webhook], "slack": ["{{ secrets.slack }}"] },
    })
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_end_and_a_breach_reach_one_post_of_slack_and_one_webhook() {
    let mut receiver = Receiver::start().await;
    let folder = folder();
    let secrets = folder.path().join("secrets");
    fs::create_dir_all(secrets.join("default")).expect("a folder");
    let slack = format!("{}/slack", receiver.url);
    fs::write(secrets.join("default/slack"), slack).expect("a file");
    let settings = Settings { secrets_dir: Some(secrets), ..settings(&folder) };
    let server = Server::start_with(settings, folder).await;
    let noop =
        |with: Value| json!({ "id": "a", "name": "a", "task_type": "noop", "parameters": with });
    let fails = noop(json!({ "fail": { "code": "NO_STOCK", "permanent": true } }));
    let waits =
        |with: Value| json!({ "id": "a", "name": "a", "task_type": "wait", "parameters": with });
    let slack_says = [
        "workflow w completed",
        "workflow w failed: it is failed",
        "workflow w was cancelled",
        "workflow w takes longer than agreed",
    ];
    let words = ["completed", "failed", "cancelled", "sla_breached"];
    for (task, sla_minutes, expected) in [
        (noop(json!({})), 60.0, &[0][..]),
        (fails, 60.0, &[1][..]),
        (waits(json!({ "signal": "go" })), 60.0, &[2][..]),
        (waits(json!({ "duration": "300ms" })), 0.001, &[0, 3][..]),
    ] {
        let (status, made) =
            server.define(&definition("w", &task, sla_minutes, &receiver.url)).await;
        assert!(status.is_success(), "{made}");
        let (_, run) = server.post("/api/v1/workflows/w/execute", &json!({})).await;
        let id = run["execution_id"].as_str().expect("an id");
        let path = format!("/api/v1/executions/{id}");
        if expected == [2] {
            let cancel = json!({ "reason": "over" });
            let (status, cancelled) = server.post(&format!("{path}/cancel"), &cancel).await;
            assert!(status.is_success(), "{cancelled}");
        }
        let mut wanted: Vec<_> = expected
            .iter()
            .flat_map(|&at| {
                let web = ("/hook/web", format!("workflow.{}", words[at]));
                [("/hook/slack", slack_says[at].to_owned()), web]
            })
            .map(|(path, event)| (path.to_owned(), event, id.to_owned()))
            .collect();
        wanted.sort();
        assert_eq!(told(&mut receiver, 2 * expected.len()).await, wanted);
        let (_, shown) = server.get(&path).await;
        let callbacks = shown["callbacks"].as_array().expect("a list");
        assert_eq!(callbacks.len(), 2 * expected.len(), "each is recorded, and nothing else");
        assert!(!shown.to_string().contains("/hook/slack"), "{shown}");
    }
    server.stop().await;
}
