//! Document 001: its paths are those of our own API.

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::report::Report;
use super::{Scene, Socket};

pub async fn ask(scene: &Scene, report: &mut Report) {
    let steps = json!([{ "id": "hold", "adapter": "wait", "with": { "duration": "1h" } }]);
    let body = json!({ "workflow": { "name": "held-up", "steps": steps } });
    let (status, made) = scene.post("/api/v1/workflows", &body).await;
    let (again, begun) = scene.post("/api/v1/workflows?execute=true", &body).await;
    report.holds(
        "001-64",
        [
            (status == 201 && made.get("execution_id").is_none(), &made),
            (again == 200 && begun["execution_id"].is_string(), &begun),
        ],
    );
    let run = begun["execution_id"].as_str().unwrap_or_default();
    let shown =
        scene.until("/api/v1/workflows/held-up", |told| told["active_executions"] == 1).await;
    let (_, execution) = scene.get(&format!("/api/v1/workflows/{run}")).await;
    report.holds(
        "001-65",
        [
            (shown["status"] == "active" && shown["last_execution"]["execution_id"] == run, &shown),
            (execution["execution_id"] == run && execution["steps"].is_object(), &execution),
        ],
    );
    let (_, active) = scene.get("/api/v1/workflows?status=active").await;
    let mut own = active["workflows"].as_array().into_iter().flatten();
    let own = own.find(|own| own["workflow_id"] == "held-up").cloned().unwrap_or(Value::Null);
    let (_, all) = scene.get("/api/v1/workflows").await;
    let count = |told: &Value| told["workflows"].as_array().map_or(0, Vec::len);
    report.holds(
        "001-66",
        [
            (own["executions"][0]["execution_id"] == run, &active),
            (count(&active) < count(&all), &active),
        ],
    );
    streams(scene, report, run).await;
    configurations(scene, report).await;
}

/// Everything that is configured is made, found, changed and removed, and somebody did it.
async fn configurations(scene: &Scene, report: &mut Report) {
    let each = [
        ("policies", json!({ "defaults": { "timeout": "10s" } })),
        ("environments", json!({ "retry-attempts": 3, "timeout": "10s" })),
        ("adapters", json!({ "url": "http://crm.example/" })),
        ("alerts/channels", json!({ "format": "backstitch", "url": "http://ops.example/" })),
        ("alerts/rules", json!({ "on": "run_failed", "channels": ["one"] })),
    ];
    let mut seen = Vec::new();
    for (collection, content) in &each {
        let (all, one) = (format!("/api/v1/{collection}"), format!("/api/v1/{collection}/one"));
        let body = content.to_string();
        let (made, _) = scene.send("PUT", &one, &body).await;
        let (_, listed) = scene.get(&all).await;
        let (found, shown) = scene.get(&one).await;
        let (same, _) = scene.send("PUT", &one, &body).await;
        seen.push(((made, found, same) == (201, 200, 200), shown));
        seen.push((listed["objects"][0]["name"] == "one", listed));
    }
    // A rule names its channel, so that it goes first.
    for (collection, _) in each.iter().rev() {
        let one = format!("/api/v1/{collection}/one");
        let (removed, told) = scene.send("DELETE", &one, "").await;
        let (gone, _) = scene.get(&one).await;
        seen.push(((removed, gone) == (200, 404), told));
        let target = format!("/api/v1/audit?target={collection}/one");
        let (_, audit) = scene.get(&target).await;
        let actions = audit["audit"].as_array().map_or(0, Vec::len);
        seen.push((actions == 2, audit));
    }
    let wrong: Vec<_> = seen.into_iter().filter(|(holds, _)| !holds).collect();
    report.holds("001-67", [(wrong.is_empty(), &json!(wrong))]);
}

/// The WebSocket: with a run's id and with a workflow's.
async fn streams(scene: &Scene, report: &mut Report, run: &str) {
    let (_, listed) = scene.get(&format!("/api/v1/executions/{run}/events")).await;
    let listed = listed["events"].as_array().cloned().unwrap_or_default();
    let mut of_run = scene.socket(&format!("/api/v1/workflows/{run}/events")).await;
    let mut of_workflow = scene.socket("/api/v1/workflows/held-up/events").await;
    let mut told = Vec::new();
    while told.len() < listed.len() {
        told.push(next(&mut of_run).await["position"].clone());
    }
    let positions: Vec<Value> = listed.iter().map(|own| own["position"].clone()).collect();
    let (_, begun) = scene.post("/api/v1/workflows/held-up/execute", &json!({})).await;
    let first = next(&mut of_workflow).await;
    report.holds(
        "001-68",
        [
            (!positions.is_empty() && told == positions, &json!(told)),
            (first["stream"] == begun["execution_id"], &first),
            (first["type"] == "ExecutionSubmitted", &first),
        ],
    );
}

/// The next event that a WebSocket tells.
async fn next(socket: &mut Socket) -> Value {
    loop {
        let message = socket.next().await.expect("it goes on").expect("a message");
        let Message::Text(text) = message else { continue };
        let told: Value = serde_json::from_str(&text).expect("JSON");
        if told["event"].is_object() {
            return told["event"].clone();
        }
    }
}
