//! Document 002, everything at the root.

use serde_json::{Value, json};

use super::report::Report;
use super::{Scene, code, printed, printed_text};

const EXECUTE: &str = r#"{"parameters": {"message": "Hello, Orchestrator!"}}"#;
const UPDATE: &str = r#"{
  "description": "Updated description",
  "tags": ["updated", "v2"]
}"#;

pub async fn ask(scene: &Scene, report: &mut Report) {
    let id = definitions(scene, report).await;
    runs(scene, report, &id).await;
    searched(scene, report, &id).await;
    server(scene, report).await;
    infrastructure(scene, report).await;
    traced(scene, report, &id).await;
    archived(scene, report, &id).await;
    from_template(scene, report).await;
    later(scene, report).await;
}

async fn definitions(scene: &Scene, report: &mut Report) -> String {
    let hello = printed_text("002-hello-world.json");
    let (status, made) = scene.send("POST", "/workflows", &hello).await;
    let (again, same) = scene.send("POST", "/workflows", &hello).await;
    let id = made["workflow_id"].as_str().unwrap_or_default().to_owned();
    report.holds(
        "002-3",
        [
            (status == 201 && id == "hello-world", &made),
            (again == 200 && same["workflow_id"] == made["workflow_id"], &same),
        ],
    );
    let (status, shown) = scene.get(&format!("/workflows/{id}")).await;
    let actions = &printed("002-hello-world.json")["actions"];
    report.holds(
        "002-12",
        [(status == 200 && shown["actions"] == *actions && shown["revision"] == 1, &shown)],
    );
    let (status, next) = scene.send("PUT", &format!("/workflows/{id}"), UPDATE).await;
    let (_, shown) = scene.get(&format!("/workflows/{id}")).await;
    report.holds(
        "002-13",
        [
            (status == 200 && next["revision"] == 2 && next["workflow_id"] == *id, &next),
            (
                shown["description"] == "Updated description"
                    && shown["tags"] == json!(["updated", "v2"]),
                &shown,
            ),
            (shown["actions"] == *actions, &shown),
        ],
    );
    id
}

async fn runs(scene: &Scene, report: &mut Report, id: &str) {
    let path = format!("/workflows/{id}/execute");
    let (status, begun) = scene.send("POST", &path, EXECUTE).await;
    let run = begun["execution_id"].as_str().unwrap_or_default().to_owned();
    let shown = format!("/workflows/executions/{run}");
    let ended = scene.until(&shown, |run| run["completed_at"].is_string()).await;
    report.holds("002-84", [(status == 202, &begun), (ended["status"] == "completed", &ended)]);
    report.holds(
        "002-16",
        [(
            ended["parameters"]["message"] == "Hello, Orchestrator!"
                && ended["steps"]["greet"].is_object(),
            &ended,
        )],
    );
    let (status, missing) = scene.send("POST", &path, r#"{"parameters": {}}"#).await;
    report.holds("002-4", [(status == 422 && code(&missing) == "INVALID_INPUT", &missing)]);
    let extra = r#"{"parameters": {"message": "x", "analysis_type": "comprehensive"}}"#;
    let (status, second) = scene.send("POST", &path, extra).await;
    let warned = second["warnings"][0].as_str().unwrap_or_default().contains("analysis_type");
    let kept = scene
        .get(&format!(
            "/workflows/executions/{}",
            second["execution_id"].as_str().unwrap_or_default()
        ))
        .await
        .1;
    report.holds(
        "002-15",
        [
            (status == 202 && warned, &second),
            (kept["parameters"]["analysis_type"] == "comprehensive", &kept),
        ],
    );
    let (_, listed) = scene.get(&format!("/workflows/{id}/executions?limit=100")).await;
    report.holds(
        "002-17",
        [(
            listed["pagination"]["total"] == 2 && listed["executions"][1]["execution_id"] == *run,
            &listed,
        )],
    );
    let (_, history) = scene.get("/workflows/history").await;
    report.holds("002-23", [(history["pagination"]["total"].as_u64() >= Some(2), &history)]);
    cancelled(scene, report).await;
}

async fn cancelled(scene: &Scene, report: &mut Report) {
    let waits = json!({ "name": "Waits", "actions": [
        { "action_id": "w", "action_type": "wait", "config": { "duration": "1h" } },
    ]});
    scene.post("/workflows", &waits).await;
    let (_, begun) = scene.post("/workflows/waits/execute", &Value::Null).await;
    let run =
        format!("/workflows/executions/{}", begun["execution_id"].as_str().unwrap_or_default());
    let (status, told) = scene.post(&format!("{run}/cancel"), &Value::Null).await;
    let ended = scene.until(&run, |run| run["completed_at"].is_string()).await;
    report.holds("002-18", [(status == 200, &told), (ended["status"] == "cancelled", &ended)]);
}

async fn searched(scene: &Scene, report: &mut Report, id: &str) {
    let headers = [("x-user-id", "user@example.com")];
    let analysis = printed_text("002-document-analysis.json");
    let (_, made) = scene.send_with(&headers, "POST", "/workflows", &analysis).await;
    let own = made["workflow_id"].as_str().unwrap_or_default();
    let ids = async |path: &str| -> Vec<String> {
        let told = scene.get(path).await.1;
        let rows = told["workflows"].as_array().cloned().unwrap_or_default();
        rows.iter().map(|row| row["workflow_id"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let by = ids("/workflows?page=1&page_size=50&status=active&created_by=user@example.com").await;
    let archived = ids("/workflows?status=archived").await;
    report.holds(
        "002-10",
        [(by == [own], &by.join(" ")), (archived.is_empty(), &archived.join(" "))],
    );
    report.holds("002-11", [(by == [own], &made)]);
    let found = ids("/workflows/search?q=document&limit=50").await;
    let tagged = ids("/workflows/search?q=v2").await;
    report.holds(
        "002-20",
        [
            (found.iter().any(|found| found == own), &found.join(" ")),
            (tagged == [id], &tagged.join(" ")),
        ],
    );
    let told = scene
        .until("/workflows/statistics", |told| {
            told["executions"]["by_status"]["cancelled"].as_u64() >= Some(1)
        })
        .await;
    report.holds(
        "002-21",
        [
            (told["workflows_by_status"]["active"].is_number(), &told),
            (
                told["executions"]["success_rate"].is_number()
                    && told["executions"]["duration_ms"]["average"].is_number(),
                &told,
            ),
            (told["workflows"].is_array(), &told),
        ],
    );
}

async fn server(scene: &Scene, report: &mut Report) {
    for (row, path, field) in [
        ("002-22", "/workflows/health", "checks"),
        ("002-25", "/health", "status"),
        ("002-26", "/health/system", "checks"),
        ("002-27", "/ready", "status"),
        ("002-28", "/info", "version"),
    ] {
        let (status, told) = scene.get(path).await;
        report.holds(row, [(status == 200 && !told[field].is_null(), &told)]);
    }
    let (status, told) = scene.get("/metrics").await;
    let text = told.as_str().unwrap_or_default();
    report.holds("002-30", [(status == 200 && text.contains("# TYPE"), &text)]);
}

async fn infrastructure(scene: &Scene, report: &mut Report) {
    let fails = json!({ "name": "Refuses", "actions": [
        { "action_id": "f", "action_type": "noop", "config": { "fail": { "permanent": true } } },
    ]});
    scene.post("/workflows", &fails).await;
    let (_, begun) = scene.post("/workflows/refuses/execute", &Value::Null).await;
    let run = begun["execution_id"].as_str().unwrap_or_default().to_owned();
    let shown = scene
        .until(&format!("/infrastructure/saga/{run}"), |run| run["completed_at"].is_string())
        .await;
    report.holds("002-47", [(shown["execution_id"] == *run && shown["steps"].is_object(), &shown)]);
    let told =
        scene.until("/infrastructure/saga/stats", |told| told["failed"].as_u64() >= Some(1)).await;
    let words = ["running", "completed", "compensating", "compensated", "compensation_failed"];
    report.holds("002-46", [(words.iter().all(|word| told[*word].is_number()), &told)]);
    let letters = scene
        .until("/infrastructure/dlq/stats", |told| told["by_workflow"]["refuses"].is_number())
        .await;
    report.holds(
        "002-44",
        [(letters["by_kind"].is_object() && letters["by_age"].is_array(), &letters)],
    );
    let retry = "/infrastructure/dlq/retry";
    let (nothing, refused) = scene.post(retry, &json!({})).await;
    let letter = shown["dead_letters"][0]["letter_id"].clone();
    let (status, retried) = scene.post(retry, &json!({ "ids": [letter] })).await;
    let filter = json!({ "filter": { "workflow_id": "refuses" } });
    let (many, redrive) = scene.post(retry, &filter).await;
    report.holds(
        "002-45",
        [
            (nothing == 400, &refused),
            (status == 202 && retried["retried"] == 1, &retried),
            (many == 202 && redrive["status"].is_string(), &redrive),
        ],
    );
    let (status, events) =
        scene.get("/infrastructure/events/history?type=WorkflowDefined&limit=2").await;
    report.holds(
        "002-48",
        [(status == 200 && events["events"].as_array().map(Vec::len) == Some(2), &events)],
    );
    let target = json!({ "url": "http://127.0.0.1:1/", "filter": { "type": "CacheEmptied" } });
    let (status, replay) = scene.post("/infrastructure/events/replay", &target).await;
    report.holds("002-49", [(status == 202 && replay["replay_id"].is_string(), &replay)]);
    let (status, unsure) = scene.post("/infrastructure/events/clear", &json!({})).await;
    let (sure, cleared) =
        scene.post("/infrastructure/events/clear", &json!({ "confirm": true })).await;
    report.holds("002-50", [(status == 422, &unsure), (sure == 202, &cleared)]);
}

async fn archived(scene: &Scene, report: &mut Report, id: &str) {
    let path = format!("/workflows/{id}");
    let (status, told) = scene.send("DELETE", &path, "").await;
    let (refused, execute) = scene.send("POST", &format!("{path}/execute"), EXECUTE).await;
    let (_, runs) = scene.get(&format!("{path}/executions")).await;
    let (_, listed) = scene.get("/workflows?status=archived").await;
    report.holds(
        "002-14",
        [
            (status == 200 && told["status"] == "archived", &told),
            (refused == 409 && code(&execute) == "WORKFLOW_ARCHIVED", &execute),
            (runs["pagination"]["total"].as_u64() >= Some(1), &runs),
            (listed["workflows"][0]["workflow_id"] == *id, &listed),
        ],
    );
}

async fn from_template(scene: &Scene, report: &mut Report) {
    let own = json!({ "name": "Custom Document Analysis", "description": "Customized workflow" });
    let wish = json!({ "template_name": "document_analysis", "customizations": own });
    let (status, made) = scene.post("/workflows/from-template", &wish).await;
    let (_, shown) = scene.get("/workflows/custom-document-analysis").await;
    let wish = json!({ "template_name": "document_analysi" });
    let (unknown, told) = scene.post("/workflows/from-template", &wish).await;
    let message = told["message"].as_str().unwrap_or_default();
    report.holds(
        "002-19",
        [
            (status == 201 && made["workflow_id"] == "custom-document-analysis", &made),
            (shown["description"] == "Customized workflow" && shown["revision"] == 1, &shown),
            (unknown == 404 && message.contains("`document_analysis`"), &told),
        ],
    );
}

async fn traced(scene: &Scene, report: &mut Report, id: &str) {
    let (_, begun) = scene.send("POST", &format!("/workflows/{id}/execute"), EXECUTE).await;
    let run = begun["execution_id"].as_str().unwrap_or_default();
    let (_, shown) = scene.get(&format!("/workflows/executions/{run}")).await;
    let trace = shown["trace_id"].as_str().unwrap_or_default();
    let (status, told) = scene.get(&format!("/infrastructure/tracing/trace/{trace}")).await;
    let first = &told["spans"][0];
    report.holds(
        "002-52",
        [(status == 200 && first["kind"] == "run" && first["execution_id"] == *run, &told)],
    );
    let (status, stats) = scene.get("/infrastructure/tracing/stats").await;
    let counted = |name: &str| stats[name].as_u64().is_some_and(|own| own > 0);
    report.holds("002-51", [(status == 200 && counted("traces") && counted("spans"), &stats)]);
    let (status, nobody) = scene.get("/infrastructure/tracing/service/nobody.example").await;
    report.holds("002-53", [(status == 200 && nobody["traces"] == json!([]), &nobody)]);
}

async fn later(scene: &Scene, report: &mut Report) {
    let paths = [
        ("POST", "/workflows/run"),
        ("POST", "/ingest"),
        ("POST", "/demo/e2e"),
        ("POST", "/report/request"),
        ("POST", "/summarization/suggest"),
        ("POST", "/jobs/recalc-quality"),
        ("POST", "/jobs/notify-consolidation"),
        ("POST", "/docstore/save"),
        ("POST", "/registry/register"),
        ("GET", "/registry"),
        ("POST", "/registry/sync-peers"),
        ("POST", "/registry/poll-openapi"),
        ("GET", "/peers"),
    ];
    for (method, path) in paths {
        let (status, told) = scene.send(method, path, "").await;
        report.holds("000-120", [(status == 501 && code(&told) == "NOT_IMPLEMENTED", &told)]);
    }
}
