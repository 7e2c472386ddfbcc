//! Settings that documents 000 and 002 print, as a server that is started with them has them.

use std::process::Command;

use backstitch_tests::binaries;
use serde_json::{Value, json};

use super::Scene;
use super::report::Report;

/// As printed.
const VARIABLES: [(&str, &str); 3] = [
    ("ORCHESTRATOR_MAX_WORKERS", "10"),
    ("ORCHESTRATOR_QUEUE_SIZE", "1000"),
    ("ORCHESTRATOR_HEALTH_CHECK_INTERVAL", "30"),
];

pub async fn ask(report: &mut Report) {
    let mut program = Command::new(binaries::backstitch());
    program.envs(VARIABLES).env("ORCHESTRATOR_METRICS_ENABLED", "false");
    program.env("ORCHESTRATOR_API_KEY", "k".repeat(32));
    let scene = Scene::open_as(program).await;
    let key = ("x-api-key", &*"k".repeat(32));
    let (status, shown) = scene.send_with(&[key], "GET", "/config/effective", "").await;
    let set = |setting: &str, value: &str, origin: &str| {
        shown["settings"][setting] == json!({ "value": value, "origin": origin })
    };
    let hidden = !shown.to_string().contains(key.1);
    report.holds("002-29", [(status == 200, &shown), (hidden, &shown)]);
    let workers = set("max_workers", "10", "ORCHESTRATOR_MAX_WORKERS");
    let (_, limits) = scene.send_with(&[key], "GET", "/api/v1/limits", "").await;
    report.holds("000-97", [(workers, &shown), (limits["workers"]["max"] == 10, &limits)]);
    let queue = set("queue_size", "1000", "ORCHESTRATOR_QUEUE_SIZE");
    report.holds("000-98", [(queue, &shown)]);
    let (status, told) = scene.send_with(&[key], "GET", "/metrics", "").await;
    report.holds("002-68", [(status == 404, &told)]);
    let (refused, _) = scene.get("/workflows").await;
    let (taken, told) = scene.send_with(&[key], "GET", "/workflows", "").await;
    report.holds("002-71", [(refused == 401, &refused), (taken == 200, &told)]);

    environments(report).await;
    let tls = [
        ("ORCHESTRATOR_ENABLE_TLS", "true"),
        ("ORCHESTRATOR_TLS_CERT_PATH", "./certs/server.crt"),
        ("ORCHESTRATOR_TLS_KEY_PATH", "./certs/server.key"),
    ];
    refuses(report, "002-67", &tls, "./certs/server.crt");
    refuses(report, "002-66", &[("ORCHESTRATOR_SERVICE_PORT", "many")], "localhost:many");
    refuses(report, "002-70", &[("ORCHESTRATOR_JWT_SECRET", "your-secret-key")], "sample");
}

/// As document 001 prints them.
const ENVIRONMENTS: &str = "
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

/// A server that is started in one of them.
async fn environments(report: &mut Report) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let file = folder.path().join("backstitch.yaml");
    std::fs::write(&file, ENVIRONMENTS).expect("a file");
    let mut program = Command::new(binaries::backstitch());
    program.env("BACKSTITCH_CONFIG", &file).env("BACKSTITCH_ENVIRONMENT", "staging");
    let scene = Scene::open_as(program).await;
    let steps = json!([{ "id": "call", "adapter": "noop" }]);
    let body = json!({ "workflow": { "name": "staged", "steps": steps } });
    let (made, _) = scene.post("/api/v1/workflows", &body).await;
    let (status, shown) = scene.get("/api/v1/workflows/staged/effective").await;
    let step = &shown["steps"][0];
    report.holds(
        "001-60",
        [
            (made == 201 && status == 200, &shown),
            (step["retry"]["policy"]["max_attempts"] == 3, &shown),
            (step["retry"]["origin"] == "environment:staging", &shown),
            (step["timeout"] == json!({ "value": "10s", "origin": "environment:staging" }), &shown),
        ],
    );
}

/// A server is not started, and says why.
fn refuses(report: &mut Report, row: &str, variables: &[(&str, &str)], words: &str) {
    let mut program = Command::new(binaries::backstitch());
    program.arg("serve").envs(variables.iter().copied());
    program.env("ORCHESTRATOR_SERVICE_HOST", "localhost");
    let ended = program.output().expect("it can be started");
    let said = Value::from(String::from_utf8_lossy(&ended.stderr).into_owned());
    let text = said.as_str().unwrap_or_default();
    report.holds(row, [(ended.status.code() == Some(2) && text.contains(words), &said)]);
}
