//! Settings that documents 000, 002 and 003 print, as a server that is started with them has them.

use std::process::Command;

use backstitch_tests::binaries;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::Scene;
use super::report::Report;

/// As printed.
const VARIABLES: [(&str, &str); 2] =
    [("ORCHESTRATOR_MAX_WORKERS", "10"), ("ORCHESTRATOR_QUEUE_SIZE", "1000")];
/// As printed, for what is not here yet: taken, and said to have no effect.
const IDLE: [(&str, &str); 10] = [
    ("ORCHESTRATOR_HEALTH_CHECK_INTERVAL", "30"),
    ("REPORTING_URL", "http://reporting:5030"),
    ("NOTIFICATION_URL", "http://notification-service:5095"),
    ("DOC_STORE_URL", "http://doc-store:5051"),
    ("ORCHESTRATOR_PEERS", "http://one:5080,http://two:5080"),
    ("WORKFLOW_CACHE_SIZE", "500"),
    ("PYTHON_PATH", "/usr/bin/python3"),
    ("MODEL_REGISTRY_URL", "http://model-registry:8080"),
    ("POLICY_SERVICE_URL", "http://policy-service:8080"),
    ("KAFKA_BROKERS", "kafka-1:9092,kafka-2:9092"),
];
/// 002's file, but for what a server here can't have, and with a key of its own.
const FILE: &str = "
database: { connection_pool_size: 10, timeout_seconds: 30 }
services: { host: localhost, workers: 4 }
security: { enable_tls: false, tls_cert_path: a, tls_key_path: b, jwt_secret: 'env:TEST_SECRET' }
monitoring: { enabled: false, metrics_interval: 60, health_check_interval: 30, log_level: DEBUG }
enterprise:
  service_mesh_enabled: true
  event_streaming_enabled: true
  circuit_breaker_enabled: false
  rate_limiting_enabled: true
";

pub async fn ask(report: &mut Report) {
    let mut program = Command::new(binaries::backstitch());
    program.envs(VARIABLES).envs(IDLE).env("ORCHESTRATOR_METRICS_ENABLED", "false");
    program.env("ORCHESTRATOR_API_KEY", "k".repeat(32));
    let scene = Scene::open_as(program).await;
    let key = ("x-api-key", &*"k".repeat(32));
    let (status, shown) = scene.send_with(&[key], "GET", "/config/effective", "").await;
    let set = |setting: &str, value: &str, origin: &str| {
        let own = &shown["settings"][setting];
        own["value"] == value && own["origin"] == origin
    };
    let hidden = !shown.to_string().contains(key.1);
    let all_idle = IDLE.iter().all(|(name, _)| is_idle(&shown, name));
    report.holds("002-29", [(status == 200, &shown), (hidden, &shown), (all_idle, &shown)]);
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
    file(report).await;
    collector(report).await;
    lives_in(report, "003-50", "ROCKSDB_PATH");
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

/// Whether a name was said to no effect, with the reason.
fn is_idle(shown: &Value, name: &str) -> bool {
    let idle = shown["without_effect"].as_array().into_iter().flatten();
    let why = |own: &Value| own["why"].as_str().is_some_and(|why| !why.is_empty());
    idle.filter(|own| own["name"] == name).any(why)
}

/// The sections of 002's file.
async fn file(report: &mut Report) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("settings.yaml");
    std::fs::write(&path, FILE).expect("a file");
    let mut program = Command::new(binaries::backstitch());
    program.env("BACKSTITCH_CONFIG", &path).env("TEST_SECRET", "s".repeat(32));
    program.env("ORCHESTRATOR_API_KEY", "k".repeat(32));
    let scene = Scene::open_as(program).await;
    let key = ("x-api-key", &*"k".repeat(32));
    let (_, shown) = scene.send_with(&[key], "GET", "/config/effective", "").await;
    let set = |setting: &str, value: &str, name: &str| {
        let own = &shown["settings"][setting];
        let origin = own["origin"].as_str().unwrap_or_default();
        own["value"] == value && origin.starts_with(&format!("`{name}` in "))
    };
    let idle = |name: &str| is_idle(&shown, name);
    let pool = idle("database.connection_pool_size") && idle("database.timeout_seconds");
    report.holds("002-75", [(pool, &shown)]);
    lives_in(report, "002-75", "ORCHESTRATOR_DB_PATH");
    report.holds("002-76", [(set("max_workers", "4", "services.workers"), &shown)]);
    let secret = set("jwt_secret", "env:TEST_SECRET", "security.jwt_secret");
    let no_tls = idle("security.tls_cert_path") && idle("security.tls_key_path");
    report.holds("002-77", [(secret, &shown), (no_tls, &shown)]);
    let level = set("log_level", "debug", "monitoring.log_level");
    let metrics = set("metrics", "false", "monitoring.enabled");
    let intervals = idle("monitoring.metrics_interval") && idle("monitoring.health_check_interval");
    report.holds("002-78", [(level, &shown), (metrics, &shown), (intervals, &shown)]);
    let breakers = set("breakers", "off", "enterprise.circuit_breaker_enabled");
    let rates = set("rate_limit_address", "100/s", "enterprise.rate_limiting_enabled");
    let others =
        idle("enterprise.service_mesh_enabled") && idle("enterprise.event_streaming_enabled");
    report.holds("002-79", [(breakers, &shown), (rates, &shown), (others, &shown)]);
}

/// Lines of the log are posted to the collector.
async fn collector(report: &mut Report) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let mut program = Command::new(binaries::backstitch());
    program.env("LOG_COLLECTOR_URL", &url);
    let scene = Scene::open_as(program).await;
    let (mut stream, _) = listener.accept().await.expect("it connects");
    let mut request = Vec::new();
    let body = loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && head.to_lowercase().contains(&format!("content-length: {}", body.len()))
        {
            break body.to_owned();
        }
        let read = stream.read_buf(&mut request).await.expect("it goes on");
        assert!(read > 0, "{text}");
    };
    stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.expect("it reads");
    let line = |line: &str| {
        serde_json::from_str::<Value>(line)
            .is_ok_and(|own| own["timestamp"].is_string() && own["fields"]["message"].is_string())
    };
    let told = Value::from(body.clone());
    report.holds("002-74", [(!body.is_empty() && body.lines().all(line), &told)]);
    let (_, shown) = scene.get("/config/effective").await;
    let own = &shown["settings"]["log_collector_url"];
    report.holds("002-74", [(own["value"] == url && own["origin"] == "LOG_COLLECTOR_URL", &shown)]);
}

/// A variable names the data directory: a file can't be one.
fn lives_in(report: &mut Report, row: &str, variable: &str) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let mut program = Command::new(binaries::backstitch());
    program.args(["serve", "--listen", "127.0.0.1:0"]).env(variable, file.path());
    let ended = program.output().expect("it can be started");
    let said = Value::from(String::from_utf8_lossy(&ended.stderr).into_owned());
    let text = said.as_str().unwrap_or_default();
    let named = text.contains(&file.path().display().to_string());
    report.holds(row, [(ended.status.code() == Some(3) && named, &said)]);
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
