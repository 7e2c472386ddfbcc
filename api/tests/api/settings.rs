//! Settings as the documents write them, and all of them as they are in force.

use std::fs;
use std::process::Stdio;

use serde_json::Value;

use crate::process::{backstitch, folder, listening};

/// What document 002 prints, but for what only works together with others.
const PRINTED: &str = "
database:
  path: data/orchestrator_workflows.db
  connection_pool_size: 10
  timeout_seconds: 30
services:
  host: localhost
  port: 0
  workers: 4
security:
  enable_tls: false
  tls_cert_path: ./certs/server.crt
  tls_key_path: ./certs/server.key
monitoring:
  enabled: true
  metrics_interval: 60
  health_check_interval: 30
  log_level: INFO
enterprise:
  service_mesh_enabled: true
  event_streaming_enabled: true
  circuit_breaker_enabled: true
  rate_limiting_enabled: true
";

#[tokio::test(flavor = "multi_thread")]
async fn the_documents_files_and_variables_set_up_a_server_that_says_by_whom() {
    for file in ["config/orchestrator.yaml", "config/app.yaml"] {
        let folder = folder();
        fs::create_dir(folder.path().join("config")).expect("a folder");
        let others = if file == "config/app.yaml" { "redis: { host: redis }" } else { "" };
        fs::write(folder.path().join(file), format!("{PRINTED}{others}")).expect("a file");
        let mut server = backstitch(&["serve", "--log-format", "json", "--node", "n1"])
            .current_dir(folder.path())
            .env("ORCHESTRATOR_QUEUE_SIZE", "1000")
            .env("ORCHESTRATOR_METRICS_ENABLED", "false")
            .env("REDIS_HOST", "redis")
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let (url, _) = listening(&mut server);
        let client = crate::forms::client();
        let get = async |path: &str| {
            let answer = client.get(format!("{url}{path}")).send().await.expect("an answer");
            (answer.status().as_u16(), answer.json::<Value>().await.expect("JSON"))
        };
        let (_, shown) = get("/config/effective").await;
        assert_eq!((200, shown.clone()), get("/api/v1/config/effective").await);
        let own = |key: &str| {
            let text = |name: &str| shown["settings"][key][name].as_str().unwrap_or("-").to_owned();
            (text("value"), text("origin"))
        };
        let said = |value: &str, origin: String| (value.to_owned(), origin);
        let of_file = |name: &str| format!("`{name}` in {file}");
        assert_eq!(own("listen"), said("localhost:0", of_file("services.port")));
        assert_eq!(
            own("data_dir"),
            said("data/orchestrator_workflows.db", of_file("database.path"))
        );
        assert_eq!(own("max_workers"), said("4", of_file("services.workers")));
        assert_eq!(own("log_level"), said("info", of_file("monitoring.log_level")));
        assert_eq!(own("queue_size"), said("1000", "ORCHESTRATOR_QUEUE_SIZE".to_owned()));
        assert_eq!(own("metrics"), said("false", "ORCHESTRATOR_METRICS_ENABLED".to_owned()));
        assert_eq!(own("node"), said("n1", "--node".to_owned()));
        assert_eq!(own("fsync"), said("always", "default".to_owned()));
        let rate = of_file("enterprise.rate_limiting_enabled");
        assert_eq!(own("rate_limit_address"), said("100/s", rate));
        assert_eq!(own("tls_certificate"), said("-", "default".to_owned()));
        let idle = shown["without_effect"].as_array().expect("a list");
        for name in ["REDIS_HOST", "database.connection_pool_size", "security.tls_cert_path"] {
            assert!(idle.iter().any(|own| own["name"] == name), "{name}: {idle:?}");
        }
        assert_eq!(get("/metrics").await.0, 404);
        assert!(folder.path().join("data/orchestrator_workflows.db/log").is_dir());
        server.kill().expect("it can be killed");
        server.wait().expect("it ends");
    }
}

#[test]
fn what_the_documents_settings_cannot_be_is_refused_by_name() {
    let folder = folder();
    let refused = |variables: &[(&str, &str)], words: &str| {
        let mut command = backstitch(&["serve", "--data-dir", "data", "--listen", "127.0.0.1:0"]);
        command.current_dir(folder.path()).envs(variables.iter().copied());
        let output = command.output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(words), "{said}");
    };
    let on = ("ORCHESTRATOR_ENABLE_TLS", "true");
    refused(&[on], "ORCHESTRATOR_ENABLE_TLS: needs tls_certificate and tls_key");
    let certificate = ("ORCHESTRATOR_TLS_CERT_PATH", "./certs/server.crt");
    refused(&[on, certificate], "ORCHESTRATOR_TLS_CERT_PATH: needs tls_key");
    let key = ("ORCHESTRATOR_TLS_KEY_PATH", "./certs/server.key");
    refused(&[on, certificate, key], "./certs/server.crt");
    let file = folder.path().join("backstitch.yaml");
    fs::write(&file, "security: { enable_tls: true, tls_cert_path: a, tls_key_path: b }")
        .expect("a file");
    refused(&[], "a can't be read");
    let off = ("ORCHESTRATOR_ENABLE_TLS", "false");
    let own = ("BACKSTITCH_TLS_KEY", "b");
    refused(&[off, own], "BACKSTITCH_TLS_KEY: needs tls_certificate");
    fs::remove_file(&file).expect("it is there");
    refused(&[("ORCHESTRATOR_MAX_WORKERS", "many")], "ORCHESTRATOR_MAX_WORKERS: `many`");
    fs::write(&file, "monitoring: { enable: true }").expect("a file");
    refused(&[], "did you mean `monitoring.enabled`");
}
