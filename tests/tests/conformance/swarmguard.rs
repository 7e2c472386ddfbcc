//! Document 003, everything below `/v1`.

use serde_json::{Value, json};

use super::report::Report;
use super::{Scene, code, printed_text};

const RUN: &str = r#"{
  "workflow": "threat_response",
  "parameters": {
    "indicator": "192.168.1.100"
  }
}"#;
const CANCEL: &str = r#"{
  "reason": "False positive detected"
}"#;
const SCHEDULE: &str = r#"{
  "workflow_name": "threat_scan",
  "cron_expr": "0 */5 * * * *",
  "enabled": true,
  "max_concurrent": 3,
  "timeout": "5m"
}"#;
const EVENT: &str = r#"{
  "event_type": "kafka.threat_detected",
  "event_data": {
    "severity": "high",
    "source": "ids"
  }
}"#;

pub async fn ask(scene: &Scene, report: &mut Report) {
    definitions(scene, report).await;
    runs(scene, report).await;
    under_way(scene, report).await;
    later(scene, report).await;
}

async fn definitions(scene: &Scene, report: &mut Report) {
    let text = printed_text("003-auto-threat-response.yaml");
    let (status, yaml) = scene.send_yaml("/v1/workflows", &text).await;
    let tasks = json!([{ "id": "score", "type": "noop" }]);
    let body = json!({ "name": "threat_response", "description": "Automated threat response", "tasks": tasks.clone() });
    let (made, first) = scene.post("/v1/workflows", &body).await;
    let mut changed = body;
    changed["description"] = "Another".into();
    let (again, second) = scene.post("/v1/workflows", &changed).await;
    report.holds(
        "003-35",
        [
            (status == 201 && yaml["name"] == "auto_threat_response", &yaml),
            (made == 201 && first["version"] == 1, &first),
            (again == 201 && second["version"] == 2, &second),
        ],
    );
    let (_, listed) = scene.get("/v1/workflows").await;
    let path = "/v1/workflows/threat_response";
    let (updated, third) = scene.send("PUT", path, r#"{ "description": "A third" }"#).await;
    let (_, shown) = scene.get(path).await;
    let (archived, told) = scene.send("DELETE", path, "").await;
    scene.post("/api/v1/workflows/threat_response/restore", &Value::Null).await;
    report.holds(
        "003-86",
        [
            (listed["pagination"]["total"].as_u64() >= Some(2), &listed),
            (updated == 200 && third["version"] == 3, &third),
            (shown["description"] == "A third" && shown["definition"]["tasks"] == tasks, &shown),
            (archived == 200 && told["status"] == "archived", &told),
        ],
    );
}

async fn runs(scene: &Scene, report: &mut Report) {
    let (status, run) = scene.send("POST", "/v1/run", RUN).await;
    let printed = json!({ "status": "", "workflow_id": "", "duration_ms": 0, "task_results": { "score": {} } });
    report.as_printed("003-41", &printed, &run, &[]);
    let name = run["workflow_id"].as_str().unwrap_or_default().to_owned();
    let ms = name.strip_prefix("threat_response-").unwrap_or_default();
    let is_named = ms.len() == 13 && ms.chars().all(|own| own.is_ascii_digit());
    let (_, other) = scene.send("POST", "/v1/run", RUN).await;
    let (_, by_name) = scene.get(&format!("/v1/executions/{name}")).await;
    let (_, in_full) = scene.get(&format!("/api/v1/executions/{name}")).await;
    let (_, by_id) = scene.get(&format!("/v1/executions/{}", text(&run["execution_id"]))).await;
    report.holds(
        "003-41",
        [
            (status == 200 && run["status"] == "completed" && is_named, &run),
            (other["workflow_id"] != run["workflow_id"], &other),
            (in_full["execution_id"] == run["execution_id"], &in_full),
            (by_name["execution_id"] == run["execution_id"] && by_id == by_name, &by_name),
        ],
    );
    let (_, listed) = scene.get("/v1/executions?workflow=threat_response").await;
    report.holds(
        "003-46",
        [(
            listed["pagination"]["total"] == 2 && listed["executions"][1]["workflow_id"] == name,
            &listed,
        )],
    );
    let fails =
        json!({ "name": "refusing", "tasks": [{ "id": "t", "type": "python", "script": "x" }] });
    scene.post("/v1/workflows", &fails).await;
    let (status, failed) = scene.post("/v1/run", &json!({ "workflow": "refusing" })).await;
    let details = &failed["details"];
    report.holds(
        "000-114",
        [
            (status == 422 && code(&failed) == "WORKFLOW_EXECUTION_FAILED", &failed),
            (details["failed_task"] == "t" && details["workflow_id"].is_string(), &failed),
        ],
    );
}

async fn under_way(scene: &Scene, report: &mut Report) {
    let long = json!({ "id": "long", "type": "wait", "with": { "duration": "1h" } });
    let waits = json!({ "id": "slow", "steps": [long] });
    scene.post("/v1/workflows", &waits).await;
    let (status, begun) =
        scene.post("/v1/run", &json!({ "workflow": "slow", "wait_seconds": 0 })).await;
    let name = text(&begun["workflow_id"]);
    report.holds("003-41", [(status == 202 && begun["execution_id"].is_string(), &begun)]);
    let active = scene
        .until("/v1/executions/active", |told| told["executions"][0]["status"] == "running")
        .await;
    let own = &active["executions"][0];
    report.holds(
        "003-47",
        [(
            own["workflow_id"] == name
                && own["age_ms"].is_number()
                && own.get("current_task").is_some(),
            &active,
        )],
    );
    let (status, told) = scene.send("POST", &format!("/v1/cancel/{name}"), CANCEL).await;
    let ended = format!("/v1/executions/{name}");
    scene.until(&ended, |run| run["completed_at"].is_string()).await;
    let (late, refused) = scene.send("POST", &format!("/v1/cancel/{name}"), CANCEL).await;
    let (missing, unknown) = scene.send("POST", "/v1/cancel/slow-17", CANCEL).await;
    report.holds(
        "003-44",
        [
            (
                status == 200
                    && told["status"] == "cancelled"
                    && told["reason"] == "False positive detected",
                &told,
            ),
            (late == 409 && refused["details"]["status"] == "cancelled", &refused),
            (missing == 404 && code(&unknown) == "EXECUTION_NOT_FOUND", &unknown),
        ],
    );
    let (_, database) = scene.get("/v1/stats/db").await;
    let part = |name: &str| database["memory"]["parts"][name]["bytes"].is_u64();
    let parts =
        ["live_runs", "result_cache", "definitions", "store", "views"].into_iter().all(part);
    report.holds("003-89", [(parts, &database)]);
    report.holds("003-48", [(database["rocksdb.estimate-num-keys"].is_number(), &database)]);
}

async fn later(scene: &Scene, report: &mut Report) {
    let paths = [
        ("POST", "/v1/schedules", SCHEDULE),
        ("GET", "/v1/schedules", ""),
        ("GET", "/v1/schedules/one", ""),
        ("PUT", "/v1/schedules/one", SCHEDULE),
        ("DELETE", "/v1/schedules/one", ""),
        ("POST", "/v1/events", EVENT),
        ("POST", "/v1/admin/compact", ""),
    ];
    for (method, path, body) in paths {
        let (status, told) = scene.send(method, path, body).await;
        report.holds("000-120", [(status == 501 && code(&told) == "NOT_IMPLEMENTED", &told)]);
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
