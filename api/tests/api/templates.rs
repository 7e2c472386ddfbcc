//! Workflows made of templates, and run.

use axum::Router;
use axum::http::StatusCode as Status;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::process::{backstitch, folder, serve};
use crate::server::Server;

const FROM: &str = "/api/v1/workflows/from-template";

/// A service that answers every call with what the templates read.
async fn service() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it has an address");
    let answer = || async {
        let body = json!({ "score": 0.9, "visits": 7 }).to_string();
        (Status::OK, [("content-type", "application/json")], body)
    };
    let router = Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

/// Every URL of a template leads to the service.
fn led_to(service: &str, template: &Value) -> Value {
    let variables = template["variables"].as_object().expect("variables");
    let urls = variables.keys().filter(|name| name.ends_with("_url"));
    urls.map(|name| (name.clone(), json!(service))).collect::<serde_json::Map<_, _>>().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_template_runs_with_its_examples() {
    let (server, service) = (Server::start().await, service().await);
    let (_, listed) = server.get("/api/v1/templates").await;
    let rows = listed["templates"].as_array().expect("templates").clone();
    let names: Vec<_> = rows.iter().map(|own| own["name"].as_str().expect("a name")).collect();
    let all = ["approval", "document_analysis", "fan_out", "order_saga", "scheduled_report"];
    assert_eq!(names, all);
    for name in all {
        let (_, template) = server.get(&format!("/api/v1/templates/{name}")).await;
        let own = json!({ "name": format!("My {name}"), "variables": led_to(&service, &template) });
        let wish = json!({ "template_name": name, "customizations": own });
        let (status, made) = server.post(FROM, &wish).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        let id = made["workflow_id"].as_str().expect("an id").to_owned();
        assert_eq!(id, format!("my-{}", name.replace('_', "-")));
        for example in template["examples"].as_array().expect("examples") {
            let path = format!("/api/v1/workflows/{id}/execute");
            let (status, begun) = server.post(&path, &json!({ "input": example })).await;
            assert_eq!(status, StatusCode::ACCEPTED, "{begun}");
            let run = begun["execution_id"].as_str().expect("an id");
            if name == "approval" {
                let signal = format!("/api/v1/executions/{run}/signals/decided");
                let payload = json!({ "payload": { "approved": true } });
                assert_eq!(server.post(&signal, &payload).await.0, StatusCode::ACCEPTED);
            }
            let ended = loop {
                let (_, shown) = server.get(&format!("/api/v1/executions/{run}")).await;
                if shown["completed_at"].is_string() {
                    break shown;
                }
            };
            assert_eq!(ended["status"], "completed", "{name}: {ended}");
        }
        let (status, refused) =
            server.post(&format!("/api/v1/workflows/{id}/execute"), &json!({ "input": {} })).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{refused}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_is_counted_up_or_must_be_free() {
    let server = Server::start().await;
    let make = async |own: Value| {
        let wish = json!({ "template_name": "approval", "customizations": own });
        let (status, made) = server.post(FROM, &wish).await;
        (status.as_u16(), made["workflow_id"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(make(json!({})).await, (201, "approval".to_owned()));
    assert_eq!(make(json!({})).await, (200, "approval".to_owned()), "the same is there");
    assert_eq!(make(json!({ "tags": ["b"] })).await, (201, "approval-2".to_owned()));
    assert_eq!(make(json!({ "id": "own" })).await, (201, "own".to_owned()));
    assert_eq!(make(json!({ "id": "own" })).await.0, 200);
    assert_eq!(make(json!({ "id": "own", "name": "Another" })).await.0, 412);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_there_is_not_is_refused_with_the_nearest() {
    let server = Server::start().await;
    let before = server.records().await;
    for (wish, status, code, word) in [
        (json!({ "template_name": "aproval" }), 404, "NOT_FOUND", "`approval`"),
        (json!({}), 422, "INVALID_INPUT", "template_name"),
        (
            json!({ "template_name": "approval", "customizations": { "nmae": "x" } }),
            422,
            "INVALID_INPUT",
            "`name`",
        ),
        (
            json!({ "template_name": "fan_out", "customizations": { "variables": { "url": 1 } } }),
            422,
            "INVALID_INPUT",
            "service_url",
        ),
        (
            json!({ "template_name": "approval", "customizations": { "id": "a b" } }),
            422,
            "INVALID_WORKFLOW_DEFINITION",
            "id",
        ),
    ] {
        let (found, told) = server.post(FROM, &wish).await;
        assert_eq!((found.as_u16(), told["error_code"].as_str()), (status, Some(code)), "{told}");
        assert!(told["message"].as_str().is_some_and(|own| own.contains(word)), "{told}");
    }
    let (status, told) = server.get("/api/v1/templates/order-saga").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(told["message"].as_str().is_some_and(|own| own.contains("`order_saga`")), "{told}");
    assert_eq!(server.records().await, before, "nothing was recorded");
    server.stop().await;
}

#[test]
fn templates_are_listed_printed_and_defined_from_the_command_line() {
    let said = |arguments: &[&str]| {
        let output = backstitch(arguments).output().expect("it starts");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {told}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    assert!(said(&["templates"]).contains("order_saga"));
    let folder = folder();
    let file = folder.path().join("saga.yaml");
    std::fs::write(&file, said(&["new", "order_saga"])).expect("a file");
    said(&["validate", file.to_str().expect("UTF-8")]);
    let (mut server, url) = serve(&folder.path().join("data"));
    let defined = said(&["new", "approval", "--define", "--name", "Laptops", "--server", &url]);
    assert_eq!(defined.trim(), "laptops: revision 1");
    server.kill().expect("it runs");
    server.wait().expect("it ended");
}
