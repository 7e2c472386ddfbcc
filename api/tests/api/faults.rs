//! Faults on purpose: what a run's attempts meet, and what a real service sees of it.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::server::{Server, settings};
use crate::service::Service;

async fn server() -> Server {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut settings = settings(&folder);
    settings.fault_injection = true;
    // One failure would open a circuit: faults must not.
    settings.breakers.rules.failures = 1;
    Server::start_with(settings, folder).await
}

/// A workflow that charges, then ships; the charge can be refunded.
fn saga(service: &Service) -> String {
    let with = |path: &str| format!("with: {{ method: POST, url: '{}' }}", service.url(path));
    let retry = "retry: { max_attempts: 3, initial: 1ms, max: 1ms }";
    let refund = format!("undo: {{ type: http, {retry}, {} }}", with("refund"));
    let charge = format!("{{ id: charge, type: http, {retry}, {}, {refund} }}", with("charge"));
    let ship = format!("{{ id: ship, type: http, needs: [charge], {retry}, {} }}", with("ship"));
    format!("id: saga\nsteps:\n  - {charge}\n  - {ship}\n")
}

/// A run with these faults, once it has ended.
async fn run(server: &Server, faults: Value) -> Value {
    let body = json!({ "faults": faults, "wait_seconds": 60 });
    let (status, shown) = server.post("/api/v1/workflows/saga/execute", &body).await;
    assert_eq!(status, StatusCode::OK, "{shown}");
    shown
}

/// The paths that were called, and how many keys they were called with.
fn called(service: &Service) -> (Vec<String>, usize) {
    let calls = service.calls();
    let mut keys: Vec<_> = calls.iter().map(|(_, key)| key.clone()).collect();
    keys.sort_unstable();
    keys.dedup();
    (calls.into_iter().map(|(path, _)| path).collect(), keys.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_fails_on_purpose_calls_nobody_and_opens_no_circuit() {
    let (server, service) = (server().await, Service::start().await);
    server.define(&saga(&service)).await;
    let faults = json!([{ "step": "charge", "kind": "fail", "attempt": 1 }]);
    let shown = run(&server, faults).await;
    assert_eq!(shown["status"], "completed", "{shown}");
    assert_eq!(shown["steps"]["charge"]["attempts"], 2, "{shown}");
    let recorded = json!([{
        "step": "charge", "undo": false, "check": false, "attempt": 1, "kind": "fail",
        "permanent": false,
    }]);
    assert_eq!(shown["faults"], recorded);
    assert_eq!(called(&service), (vec!["/charge".to_owned(), "/ship".to_owned()], 2));
    let (_, breakers) = server.get("/api/v1/breakers").await;
    assert_eq!(breakers["breakers"][0]["opened"], 0, "{breakers}");
    let id = shown["execution_id"].as_str().expect("an id");
    let (_, events) = server.get(&format!("/api/v1/executions/{id}/events")).await;
    assert_eq!(events["events"][1]["type"], "FaultsPlanned", "{events}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saga_is_undone_where_faults_strike_forward_and_back() {
    let (server, service) = (server().await, Service::start().await);
    server.define(&saga(&service)).await;
    let faults = json!([
        { "step": "ship", "kind": "fail", "permanent": true },
        { "step": "charge", "undo": true, "kind": "crash_before_ack", "attempt": 1 },
    ]);
    let shown = run(&server, faults).await;
    assert_eq!(shown["status"], "compensated", "{shown}");
    assert_eq!(shown["steps"]["ship"]["error"]["error_code"], "FAULT_INJECTED", "{shown}");
    let undo = &shown["steps"]["charge"]["undo"];
    assert_eq!(undo["attempts"], 2, "{shown}");
    let paths = ["/charge", "/refund", "/refund"].map(str::to_owned);
    assert_eq!(called(&service), (paths.to_vec(), 2), "the refund is repeated under its key");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_lost_doubled_and_late() {
    let (server, service) = (server().await, Service::start().await);
    server.define(&saga(&service)).await;
    let faults = json!([
        { "step": "charge", "kind": "crash_before_ack", "attempt": 1 },
        { "step": "charge", "kind": "duplicate", "attempt": 2 },
        { "step": "ship", "kind": "delay", "delay": "1ms" },
    ]);
    let shown = run(&server, faults).await;
    assert_eq!(shown["status"], "completed", "{shown}");
    assert_eq!(shown["steps"]["charge"]["attempts"], 2, "{shown}");
    let paths = ["/charge", "/charge", "/charge", "/ship"].map(str::to_owned);
    assert_eq!(called(&service), (paths.to_vec(), 2), "three charges under one key");
    assert_eq!(shown["faults"][2]["delay_ms"], 1, "{shown}");
    let (_, metrics) = server.get("/metrics").await;
    let metrics = metrics.as_str().expect("a text");
    assert!(metrics.contains("backstitch_faults_injected_total"), "{metrics}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_too_late_took_effect_and_counts_as_timed_out() {
    let (server, service) = (server().await, Service::start().await);
    let url = service.url("slow");
    let step = format!(
        "{{ id: slow, type: http, timeout: 2s, retry: {{ max_attempts: 2, initial: 1ms }}, \
         with: {{ method: POST, url: '{url}' }} }}"
    );
    server.define(&format!("id: saga\nsteps:\n  - {step}\n")).await;
    let fault = json!([{ "step": "slow", "kind": "delay", "delay": "1h", "attempt": 1 }]);
    let shown = run(&server, fault).await;
    assert_eq!((&shown["status"], service.calls().len()), (&json!("completed"), 2), "{shown}");
    let id = shown["execution_id"].as_str().expect("an id");
    let (_, events) = server.get(&format!("/api/v1/executions/{id}/events")).await;
    let events = events["events"].as_array().expect("a list");
    assert!(events.iter().any(|event| event["type"] == "StepTimedOut"), "{events:#?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_meets_each_kind_and_its_undo_none_of_them() {
    let (server, service) = (server().await, Service::start().await);
    let retry = "retry: { max_attempts: 3, initial: 1ms, max: 1ms }";
    let at = |path: &str| format!("with: {{ method: POST, url: '{}' }}", service.url(path));
    let undo = format!("undo: {{ type: http, {retry}, {} }}", at("refund"));
    let check = format!("check: {{ type: http, {retry}, timeout: 2s, {} }}", at("find"));
    let pay = format!("{{ id: pay, type: http, retry: none, {}, {undo}, {check} }}", at("pay"));
    server.define(&format!("id: saga\nsteps:\n  - {pay}\n")).await;
    // By kind: attempts of the check, and how often its service was asked.
    for (fault, attempts, asked) in [
        (json!({ "kind": "fail", "attempt": 1 }), 2, 1),
        (json!({ "kind": "delay", "delay": "1h", "attempt": 1 }), 2, 2),
        (json!({ "kind": "crash_before_ack", "attempt": 1 }), 2, 2),
        (json!({ "kind": "duplicate" }), 1, 2),
    ] {
        let mut fault = fault;
        fault["step"] = "pay".into();
        fault["check"] = true.into();
        let before = service.calls().len();
        let faults = json!([{ "step": "pay", "kind": "crash_before_ack" }, fault]);
        let shown = run(&server, faults).await;
        assert_eq!(shown["status"], "compensated", "{shown:#}");
        let undo = &shown["steps"]["pay"]["undo"];
        assert_eq!(undo["check"]["attempts"], attempts, "{shown:#}");
        assert_eq!(undo["check"]["took_effect"], true, "{shown:#}");
        let calls: Vec<_> = service.calls().split_off(before);
        let of = |path: &str| calls.iter().filter(|(own, _)| own == path).count();
        assert_eq!((of("/pay"), of("/find"), of("/refund")), (1, asked, 1), "{fault}: {calls:?}");
    }
    // What fails for good leaves the payment to a person.
    let faults = json!([
        { "step": "pay", "kind": "crash_before_ack" },
        { "step": "pay", "check": true, "kind": "fail", "permanent": true },
    ]);
    let shown = run(&server, faults).await;
    assert_eq!(shown["status"], "compensation_failed", "{shown:#}");
    let path = "/api/v1/workflows/saga/execute";
    let both =
        json!({ "faults": [{ "step": "pay", "undo": true, "check": true, "kind": "fail" }] });
    let (status, answer) = server.post(path, &both).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
    assert_eq!(answer["details"]["problems"][0]["path"], "faults[0].check", "{answer}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_takes_faults_only_where_it_is_told_to_and_says_what_is_wrong_with_them() {
    let (server, service) = (server().await, Service::start().await);
    server.define(&saga(&service)).await;
    let path = "/api/v1/workflows/saga/execute";
    let wrong = json!({ "faults": [
        { "step": "chrage", "kind": "fail" },
        { "step": "ship", "kind": "fail", "undo": true },
    ] });
    let (status, answer) = server.post(path, &wrong).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
    let text = answer.to_string();
    for part in ["faults[0].step", "did you mean `charge`", "faults[1].step", "has no undo"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let wrong = json!({ "faults": [
        { "step": "ship", "kind": "explode" },
        { "step": "ship", "kind": "delay" },
        { "step": "ship", "kind": "duplicate", "delay": "1s" },
        { "step": "ship", "kind": "delay", "delay": "2h" },
        { "step": "ship", "kind": "fail", "attempt": 0 },
        { "kind": "fail", "undo": "yes", "permanent": 1 },
        { "step": "ship" },
        "fail",
    ] });
    let (status, answer) = server.post(path, &wrong).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
    let text = answer.to_string();
    for part in [
        "faults[0].kind",
        "faults[1].delay",
        "faults[2].delay",
        "faults[3].delay",
        "faults[4].attempt",
        "faults[5].step",
        "faults[5].undo",
        "faults[5].permanent",
        "faults[6].kind",
        "faults[7]",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let folder = server.stop().await;
    let other = Server::start_in(folder).await;
    let one = json!({ "faults": [{ "step": "ship", "kind": "fail" }] });
    let (status, answer) = other.post(path, &one).await;
    assert_eq!(
        (status, &answer["error_code"]),
        (StatusCode::FORBIDDEN, &json!("FAULTS_NOT_ALLOWED")),
        "{answer}"
    );
    assert!(service.calls().is_empty());
    other.stop().await;
}
