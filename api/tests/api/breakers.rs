//! Services that are down for a while: calls wait, and go on when they are back.

use backstitch_api::Settings;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{Server, settings};
use crate::service::Service;

/// A server whose circuits open after two failures in a row.
fn small(folder: &TempDir, open_ms: u64) -> Settings {
    let mut settings = settings(folder);
    let rules = &mut settings.breakers.rules;
    (rules.failures, rules.open_ms) = (2, open_ms);
    settings
}

async fn server(open_ms: u64) -> Server {
    let folder = tempfile::tempdir().expect("a temporary folder");
    Server::start_with(small(&folder, open_ms), folder).await
}

/// A workflow that charges; its attempts come quickly and there are many.
fn charging(id: &str, service: &Service, more: &str) -> String {
    let retry = "{ max_attempts: 100, initial: 1ms, max: 1ms }";
    let with = format!("{{ method: POST, url: '{}' }}", service.url("charge"));
    let step = format!("{{ id: charge, type: http, retry: {retry}, with: {with}{more} }}");
    format!("id: {id}\non_failure: halt\nsteps:\n  - {step}\n")
}

async fn begin(server: &Server, workflow: &str) -> String {
    let path = format!("/api/v1/workflows/{workflow}/execute");
    let (status, run) = server.post(&path, &json!({})).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{run}");
    run["execution_id"].as_str().expect("an id").to_owned()
}

async fn run(server: &Server, id: &str) -> Value {
    server.get(&format!("/api/v1/executions/{id}")).await.1
}

async fn until(server: &Server, id: &str, wanted: &str) -> Value {
    loop {
        let shown = run(server, id).await;
        if shown["status"] == wanted {
            return shown;
        }
        assert!(shown["completed_at"].is_null(), "{wanted} never came: {shown}");
    }
}

async fn held(server: &Server, id: &str) -> Value {
    loop {
        let shown = run(server, id).await;
        if !shown["steps"]["charge"]["held"].is_null() {
            return shown;
        }
        assert!(shown["completed_at"].is_null(), "it never waited: {shown}");
    }
}

/// The breaker's key, escaped for a path.
fn escaped(service: &Service) -> String {
    service.url("").trim_end_matches('/').replace('/', "%2F")
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_wait_while_the_service_is_down_and_use_up_no_attempt() {
    let (server, service) = (server(300).await, Service::start().await);
    server.define(&charging("charging", &service, "")).await;
    service.says(&[], 503);
    let first = begin(&server, "charging").await;
    let shown = held(&server, &first).await;
    assert!(shown["steps"]["charge"]["attempts"].as_u64() >= Some(2), "{shown}");
    let (_, all) = server.get("/api/v1/breakers").await;
    let own = &all["breakers"][0];
    assert_eq!(own["key"], service.url("").trim_end_matches('/'), "{all}");
    assert!(own["opened"].as_u64() >= Some(1), "{all}");
    let error = own["last_failure"]["error"].as_str().expect("it failed");
    assert!(error.contains("answered 503"), "{error}");
    let others = [begin(&server, "charging").await, begin(&server, "charging").await];
    for other in &others {
        held(&server, other).await;
    }
    service.says(&[], 200);
    for id in others.iter().chain([&first]) {
        let shown = until(&server, id, "completed").await;
        assert!(shown["steps"]["charge"]["held"].is_null(), "{shown}");
    }
    let (status, own) = server.get(&format!("/api/v1/breakers/{}", escaped(&service))).await;
    assert_eq!(
        (status, &own["state"], &own["waiting"]),
        (StatusCode::OK, &json!("closed"), &json!(0))
    );
    let (_, metrics) = server.get("/metrics").await;
    let metrics = metrics.as_str().expect("a text");
    for name in ["backstitch_circuits_turned_total", "backstitch_circuits{", "calls_waiting"] {
        assert!(metrics.contains(name), "{name}: {metrics}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_finds_what_waited_waiting_and_tries_the_service_first() {
    let service = Service::start().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    // Longer than the test takes: only an operator's word ends it.
    let server = Server::start_with(small(&folder, 3_600_000), folder).await;
    server.define(&charging("charging", &service, "")).await;
    service.says(&[], 503);
    let ids = [begin(&server, "charging").await, begin(&server, "charging").await];
    for id in &ids {
        held(&server, id).await;
    }
    let (_, why) = server.get(&format!("/api/v1/executions/{}/why", ids[0])).await;
    let own = why["blockers"].as_array().expect("a list").iter();
    let circuit = own.clone().find(|own| own["kind"] == "circuit").expect("it waits for it");
    assert!(circuit["sentence"].as_str().expect("a text").contains("circuit open for"), "{why}");
    let calls = service.calls().len();
    let folder = server.stop().await;
    let server = Server::start_with(small(&folder, 3_600_000), folder).await;
    for id in &ids {
        held(&server, id).await;
    }
    let (_, own) = server.get(&format!("/api/v1/breakers/{}", escaped(&service))).await;
    assert_eq!((&own["state"], &own["waiting"]), (&json!("open"), &json!(2)), "{own}");
    assert_eq!(service.calls().len(), calls, "nobody called it");
    service.says(&[], 200);
    let path = format!("/api/v1/breakers/{}/reset", escaped(&service));
    let (status, own) = server.post(&path, &json!({ "reason": "they are back" })).await;
    assert_eq!((status, &own["state"]), (StatusCode::OK, &json!("closed")), "{own}");
    for id in &ids {
        until(&server, id, "completed").await;
    }
    let (_, audit) = server.get("/api/v1/audit?action=breaker.set").await;
    let row = &audit["audit"][0];
    assert_eq!(row["detail"], "reset: they are back", "{audit}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_keep_a_circuit_open_over_a_restart() {
    let service = Service::start().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start_with(small(&folder, 100), folder).await;
    server.define(&charging("named", &service, ", breaker: payments")).await;
    let failing = ", breaker: { key: payments, on_open: fail }";
    server.define(&charging("failing", &service, failing)).await;
    let reason = json!({ "reason": "they migrate" });
    let (status, own) = server.post("/api/v1/breakers/payments/open", &reason).await;
    assert_eq!((status, &own["forced"]), (StatusCode::OK, &json!("open")), "{own}");
    let waiting = begin(&server, "named").await;
    let shown = held(&server, &waiting).await;
    assert_eq!(shown["steps"]["charge"]["held"]["because"], "forced_open", "{shown}");
    let folder = server.stop().await;
    let server = Server::start_with(small(&folder, 100), folder).await;
    let failed = begin(&server, "failing").await;
    let shown = until(&server, &failed, "failed").await;
    assert_eq!(shown["steps"]["charge"]["error"]["error_code"], "CIRCUIT_OPEN", "{shown}");
    assert_eq!(shown["steps"]["charge"]["attempts"], 0, "{shown}");
    held(&server, &waiting).await;
    assert!(service.calls().is_empty());
    let (status, _) = server.post("/api/v1/breakers/payments/release", &json!({})).await;
    assert_eq!(status, StatusCode::OK);
    until(&server, &waiting, "completed").await;
    let (status, wrong) = server.post("/api/v1/breakers/payments/explode", &json!({})).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{wrong}");
    let (status, wrong) = server.get("/api/v1/breakers/nobody").await;
    assert_eq!(
        (status, &wrong["error_code"]),
        (StatusCode::NOT_FOUND, &json!("BREAKER_NOT_FOUND"))
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn undos_and_callbacks_wait_for_their_services_too() {
    let (server, service) = (server(200).await, Service::start().await);
    let with = |path: &str| format!("with: {{ method: POST, url: '{}' }}", service.url(path));
    let retry = "retry: { max_attempts: 100, initial: 1ms, max: 1ms }";
    let undo = format!("undo: {{ type: http, {retry}, {} }}", with("refund"));
    let book = format!("{{ id: book, type: http, {}, {undo} }}", with("book"));
    let fail =
        "{ id: fail, type: noop, needs: [book], retry: none, with: { fail: { permanent: true } } }";
    let callbacks =
        format!("callbacks: [{{ event: workflow.failed, url: '{}' }}]", service.url("told"));
    let definition = format!("id: saga\n{callbacks}\nsteps:\n  - {book}\n  - {fail}\n");
    let (status, defined) = server.define(&definition).await;
    assert_eq!(status, StatusCode::CREATED, "{defined}");
    // The booking works, then nothing does for a while.
    service.says(&[crate::service::Says::status(200)], 503);
    let id = begin(&server, "saga").await;
    loop {
        let shown = run(&server, &id).await;
        if !shown["steps"]["book"]["undo"]["held"].is_null() {
            break;
        }
        assert!(shown["completed_at"].is_null(), "the undo never waited: {shown}");
    }
    service.says(&[], 200);
    let shown = until(&server, &id, "compensated").await;
    let letters = shown["dead_letters"].as_array().expect("a list");
    assert!(letters.iter().all(|own| own["kind"] == "step"), "{shown}");
    loop {
        let calls = service.calls();
        if calls.iter().any(|(path, _)| path == "/told") {
            break;
        }
    }
    let refunds = service.calls().iter().filter(|(path, _)| path == "/refund").count();
    assert!(refunds >= 2, "{refunds}");
    server.stop().await;
}
