//! Document 000, everything below `/orchestrator`.

mod availability;

use serde_json::{Value, json};

use super::report::Report;
use super::{Scene, code, printed, printed_text};

const WORKFLOWS: &str = "/orchestrator/workflows";
const EXECUTIONS: &str = "/orchestrator/workflows/executions";
const ID: &str = "compliance-check-workflow";

pub async fn ask(scene: &Scene, report: &mut Report) {
    definitions(scene, report).await;
    let run = finished(scene, report).await;
    lists(scene, report, &run).await;
    on_their_way(scene, report).await;
    failures(scene, report).await;
    monitoring(scene, report).await;
    availability::disabled(scene, report).await;
    later(scene, report).await;
}

/// The printed workflow, with tasks that this server performs and the printed results.
fn performed() -> Value {
    let mut definition = printed("000-compliance-check.json");
    let results = &printed("000-execution.json")["task_results"];
    for task in definition["tasks"].as_array_mut().expect("a list") {
        let id = task["id"].as_str().expect("a text").to_owned();
        task["task_type"] = "noop".into();
        task["parameters"] = json!({ "output": results[&id]["result"] });
        task["retry_delay_seconds"] = 0.into();
    }
    // The printed run repeated this task once.
    definition["tasks"][1]["parameters"]["fail"] = json!({ "attempts": 1 });
    definition["notifications"] = json!({});
    let score = "{{ steps['analyze-compliance'].output.compliance_score }}";
    definition["outputs"] = json!({ "compliance_score": score, "critical_issues": 3 });
    definition["triggers"] = json!([
        { "type": "scheduled", "schedule": "0 2 * * *", "description": "Daily at 2 AM" },
        { "type": "webhook", "webhook_url": "/webhooks/compliance", "description": "By hand" },
    ]);
    definition
}

async fn definitions(scene: &Scene, report: &mut Report) {
    let text = printed_text("000-compliance-check.json");
    let (status, made) = scene.send("POST", WORKFLOWS, &text).await;
    report.as_printed("000-29", &printed("000-created.json"), &made, &[]);
    report.holds("000-1", [(status == 201, &made)]);
    let (again, same) = scene.send("POST", WORKFLOWS, &text).await;
    let (changed, next) = scene.post(WORKFLOWS, &performed()).await;
    report.holds(
        "000-29",
        [
            (again == 200 && same["revision"] == made["revision"], &same),
            (changed == 201 && next["revision"] == 2, &next),
        ],
    );
    let mut wrong = performed();
    wrong["tasks"][1]["dependencies"] = json!(["nobody"]);
    wrong["tasks"][2]["id"] = json!("collect-data");
    let (status, refused) = scene.post(WORKFLOWS, &wrong).await;
    let problems = refused["details"]["problems"].as_array().map_or(0, Vec::len);
    report.holds(
        "000-117",
        [
            (status == 422 && problems > 1, &refused),
            (code(&refused) == "INVALID_WORKFLOW_DEFINITION", &refused),
        ],
    );
}

async fn finished(scene: &Scene, report: &mut Report) -> Value {
    let path = format!("{WORKFLOWS}/{ID}/execute");
    let (status, begun) = scene.send("POST", &path, &printed_text("000-execute.json")).await;
    report.as_printed("000-55", &printed("000-executed.json"), &begun, &[]);
    let id = begun["execution_id"].as_str().unwrap_or_default().to_owned();
    let hex = id.strip_prefix("exec_").unwrap_or_default();
    report.holds("000-55", [(status == 202, &begun)]);
    let is_hex = !hex.is_empty()
        && hex.chars().all(|own| own.is_ascii_digit() || ('a'..='f').contains(&own));
    report.holds("000-60", [(is_hex, &id)]);
    // Nothing has ended yet: what was agreed is the best guess.
    report.holds("000-59", [(begun["estimated_duration_minutes"] == 60, &begun)]);
    let run =
        scene.until(&format!("{EXECUTIONS}/{id}"), |run| run["completed_at"].is_string()).await;
    report.as_printed("000-65", &printed("000-execution.json"), &run, &[]);
    let expected = &printed("000-execution.json")["task_results"];
    let same = |task: &str| run["task_results"][task]["result"] == expected[task]["result"];
    report.holds(
        "000-64",
        [(
            ["collect-data", "analyze-compliance", "generate-report"].iter().all(|own| same(own)),
            &run,
        )],
    );
    let retried = &run["task_results"]["analyze-compliance"]["retry_count"];
    report.holds("000-65", [(*retried == 1 && run["status"] == "completed", &run)]);
    let given: Value = printed("000-execute.json");
    report.holds(
        "000-56",
        [(
            run["trigger_data"] == given["trigger_data"] && run["variables"] == given["variables"],
            &run,
        )],
    );
    report.holds(
        "000-58",
        [(
            run["triggered_by"] == "user@company.com" && run["initiated_by"] == "user@company.com",
            &run,
        )],
    );
    let counts = json!({
        "success": true, "total_tasks": 3, "completed_tasks": 3, "failed_tasks": 0,
        "total_retries": 1, "compliance_score": 92.98, "critical_issues": 3,
    });
    report.holds("000-66", [(run["summary"] == counts, &run)]);
    report.holds("000-67", [(run["summary"] == counts, &run)]);
    report.holds("000-63", [(run["progress"]["percent_complete"] == 100, &run)]);
    let (_, second) = scene.send("POST", &path, &printed_text("000-execute.json")).await;
    report.holds("000-59", [(second["estimated_duration_minutes"].as_f64() < Some(60.0), &second)]);
    let wrong = json!({ "trigger_data": { "priority": "urgent" } });
    let (status, refused) = scene.post(&path, &wrong).await;
    let shown = scene.get(&format!("/api/v1/executions/{id}/events?limit=3")).await.1;
    report.holds(
        "000-57",
        [(status == 400, &refused), (shown.to_string().contains("\"high\""), &shown)],
    );
    run
}

async fn lists(scene: &Scene, report: &mut Report, run: &Value) {
    let failing = json!({
        "id": "failing", "name": "Failing", "type": "nightly",
        "tasks": [{ "id": "only", "task_type": "noop", "parameters": { "fail": { "permanent": true } } }],
    });
    scene.post(WORKFLOWS, &failing).await;
    let listed = scene
        .until(WORKFLOWS, |told| told["workflows"][0]["success_rate_percent"].is_number())
        .await;
    report.as_printed("000-22", &printed("000-workflows.json"), &listed, &[]);
    let own = &listed["workflows"][0];
    report.holds(
        "000-23",
        [
            (own["success_rate_percent"] == 100.0 && own["last_execution"].is_string(), own),
            (own["average_duration_minutes"].is_number(), own),
        ],
    );
    report.holds("000-24", [(own["triggers"][1]["url"] == "/webhooks/compliance", own)]);
    let pagination = &listed["pagination"];
    report.holds("000-27", [(pagination["limit"] == 100 && pagination["offset"] == 0, pagination)]);
    let count = |told: &Value| told["workflows"].as_array().map_or(0, Vec::len);
    let (_, enabled) = scene.get(&format!("{WORKFLOWS}?enabled=true")).await;
    let (_, disabled) = scene.get(&format!("{WORKFLOWS}?enabled=false")).await;
    let (status, maybe) = scene.get(&format!("{WORKFLOWS}?enabled=maybe")).await;
    report.holds(
        "000-25",
        [
            (count(&enabled) == 2, &enabled),
            (count(&disabled) == 0, &disabled),
            (status == 400, &maybe),
        ],
    );
    let (_, nightly) = scene.get(&format!("{WORKFLOWS}?type=nightly")).await;
    let (_, scheduled) = scene.get(&format!("{WORKFLOWS}?type=scheduled")).await;
    let first = |told: &Value| (count(told), told["workflows"][0]["id"].clone());
    report.holds(
        "000-26",
        [
            (first(&nightly) == (1, json!("failing")), &nightly),
            (first(&scheduled) == (1, json!(ID)), &scheduled),
        ],
    );
    let (_, page) = scene.get(&format!("{WORKFLOWS}?limit=1")).await;
    let (_, last) = scene.get(&format!("{WORKFLOWS}?limit=1&offset=1")).await;
    let more = |told: &Value| told["pagination"]["has_more"].clone();
    report.holds(
        "000-28",
        [
            (more(&page) == true && page["pagination"]["total"] == 2, &page),
            (more(&last) == false, &last),
        ],
    );
    runs(scene, report, run).await;
}

async fn runs(scene: &Scene, report: &mut Report, run: &Value) {
    let all = scene.until(EXECUTIONS, |told| told["executions"][0]["status"] == "completed").await;
    let nullable = ["/executions/0/estimated_completion", "/executions/0/progress/current_task"];
    report.as_printed("000-62", &printed("000-executions.json"), &all, &nullable);
    let ids = |told: &Value| -> Vec<String> {
        let rows = told["executions"].as_array().into_iter().flatten();
        rows.filter_map(|row| row["execution_id"].as_str().map(str::to_owned)).collect()
    };
    let (oldest, started) = (run["execution_id"].as_str().unwrap_or_default(), &run["started_at"]);
    let started = started.as_str().unwrap_or_default();
    let both = ids(&all);
    let asked = async |query: &str| ids(&scene.get(&format!("{EXECUTIONS}?{query}")).await.1);
    let after = asked(&format!("start_time={started}")).await;
    let before = asked(&format!("end_time={started}")).await;
    let of_it = asked(&format!("workflow_id={ID}&status=completed&start_time={started}")).await;
    let none = asked("status=failed").await;
    report.holds(
        "000-61",
        [
            (both.len() == 2 && both.last().is_some_and(|own| own == oldest), &all),
            (after == both && of_it == both, &after.join(" ")),
            (before.is_empty() && none.is_empty(), &before.join(" ")),
        ],
    );
    let (status, deep) = scene.get(&format!("{EXECUTIONS}?offset=10001")).await;
    let first = scene.get(&format!("{EXECUTIONS}?limit=1")).await.1;
    let cursor = first["pagination"]["next_cursor"].as_str().unwrap_or_default();
    let second = asked(&format!("limit=1&cursor={cursor}")).await;
    report.holds(
        "000-61",
        [
            (
                status == 400 && deep["message"].as_str().unwrap_or_default().contains("cursor"),
                &deep,
            ),
            (first["pagination"]["total"] == 2, &first),
            (second == [oldest], &second.join(" ")),
        ],
    );
}

async fn on_their_way(scene: &Scene, report: &mut Report) {
    let waiting = json!({
        "id": "waiting",
        "steps": [
            { "id": "a", "type": "noop", "undo": { "type": "noop" } },
            { "id": "b", "type": "wait", "needs": ["a"], "with": { "duration": "1h" } },
            { "id": "c", "type": "noop", "needs": ["b"] },
        ],
    });
    scene.post(WORKFLOWS, &waiting).await;
    let (_, begun) = scene.post(&format!("{WORKFLOWS}/waiting/execute"), &Value::Null).await;
    let id = begun["execution_id"].as_str().unwrap_or_default().to_owned();
    let path = format!("{EXECUTIONS}/{id}");
    let run = scene.until(&path, |run| run["progress"]["completed_tasks"] == 1).await;
    report.holds("000-63", [(run["progress"]["percent_complete"] == 33, &run)]);
    let body = printed_text("000-cancel.json");
    let (status, told) = scene.send("POST", &format!("{path}/cancel"), &body).await;
    report.as_printed("000-68", &printed("000-cancelled.json"), &told, &[]);
    report.holds("000-68", [(status == 200 && told["status"] == "cancelled", &told)]);
    let ended = scene.until(&path, |run| run["completed_at"].is_string()).await;
    report.holds("000-68", [(ended["status"] == "cancelled", &ended)]);
    let (status, late) = scene.send("POST", &format!("{path}/cancel"), &body).await;
    let ghost = format!("{EXECUTIONS}/exec_0123");
    let (unknown, missing) = scene.send("POST", &format!("{ghost}/cancel"), &body).await;
    report.holds(
        "000-70",
        [
            (status == 409 && late["details"]["status"] == "cancelled", &late),
            (unknown == 404 && code(&missing) == "EXECUTION_NOT_FOUND", &missing),
        ],
    );
}

async fn failures(scene: &Scene, report: &mut Report) {
    let path = format!("{WORKFLOWS}/failing/execute");
    let (_, begun) = scene.post(&path, &Value::Null).await;
    let id = begun["execution_id"].as_str().unwrap_or_default().to_owned();
    let run =
        scene.until(&format!("{EXECUTIONS}/{id}"), |run| run["completed_at"].is_string()).await;
    let error = &run["error"];
    let details = &printed("000-error.json")["details"];
    report.as_printed("000-85", details, &error["details"], &[]);
    report.holds("000-85", [(error["details"]["retry_available"] == true, error)]);
    report.holds("000-114", [(code(error) == "WORKFLOW_EXECUTION_FAILED", error)]);
    let (status, missing) = scene.post(&format!("{WORKFLOWS}/nobody/execute"), &Value::Null).await;
    report.as_printed(
        "000-84",
        &json!({
            "success": false, "error_code": "", "message": "", "details": {}, "timestamp": "",
        }),
        &missing,
        &[],
    );
    report.holds("000-84", [(missing["success"] == false, &missing)]);
    report.holds("000-113", [(status == 404 && code(&missing) == "WORKFLOW_NOT_FOUND", &missing)]);
    let unknown = json!({ "id": "foreign", "name": "F", "tasks": [{ "id": "t", "task_type": "remediation" }] });
    scene.post(WORKFLOWS, &unknown).await;
    let (_, begun) = scene.post(&format!("{WORKFLOWS}/foreign/execute"), &Value::Null).await;
    let id = begun["execution_id"].as_str().unwrap_or_default().to_owned();
    let run =
        scene.until(&format!("{EXECUTIONS}/{id}"), |run| run["completed_at"].is_string()).await;
    report.holds(
        "000-116",
        [(code(&run["task_results"]["t"]["error"]) == "TASK_EXECUTOR_NOT_FOUND", &run)],
    );
}

async fn monitoring(scene: &Scene, report: &mut Report) {
    let numbers = "/orchestrator/metrics";
    let told =
        scene.until(numbers, |told| told["system_metrics"]["completed_workflows_today"] == 2).await;
    let services = ["total", "running", "failed", "maintenance"];
    let services = services.map(|own| format!("/system_metrics/{own}_services"));
    let nullable: Vec<_> = services.iter().map(String::as_str).collect();
    let all = printed("000-metrics.json");
    let part = |name: &str| (json!({ name: all[name] }), json!({ name: told[name] }));
    report.as_printed("000-77", &json!({ "timestamp": "", "orchestrator_status": "" }), &told, &[]);
    let (wanted, found) = part("system_metrics");
    report.as_printed("000-78", &wanted, &found, &nullable);
    let system = &told["system_metrics"];
    report.holds(
        "000-78",
        [
            (system["total_workflows"] == 4, system),
            (system["failed_workflows_today"] == 2, system),
            (
                system["memory_usage_percent"]
                    .as_f64()
                    .is_some_and(|own| own > 0.0 && own <= 100.0),
                system,
            ),
        ],
    );
    let (wanted, found) = part("performance_metrics");
    report.as_printed("000-79", &wanted, &found, &[]);
    let performance = &told["performance_metrics"];
    report.holds("000-79", [(performance["requests_per_minute"].as_u64() > Some(10), performance)]);
    let (wanted, found) = part("resource_utilization");
    report.as_printed("000-80", &wanted, &found, &[]);
    let used = &told["resource_utilization"];
    let fits = |name: &str| {
        let number = |kind: &str| used[format!("{name}_{kind}")].as_f64().unwrap_or(f64::NAN);
        number("used") <= number("total")
    };
    report.holds("000-80", [(fits("memory_gb") && fits("disk_gb"), used)]);
    let (status, health) = scene.get("/orchestrator/health").await;
    let nullable = [
        "/checks/service_mesh/healthy_services",
        "/checks/service_mesh/unhealthy_services",
        "/metrics/running_services",
    ];
    let printed_health = printed("000-health.json");
    let mut head = printed_health.clone();
    head["checks"] = json!({});
    head["metrics"] = json!({});
    report.as_printed("000-81", &head, &health, &[]);
    report.holds("000-81", [(status == 200 && health["status"] == "healthy", &health)]);
    report.as_printed("000-82", &printed_health, &health, &nullable);
    report.as_printed("000-83", &printed_health, &health, &nullable);
    executors(scene, report).await;
}

async fn executors(scene: &Scene, report: &mut Report) {
    let (_, told) = scene.get("/orchestrator/task-executors").await;
    let at = "/task_executors/0";
    let metrics = ["total_executions", "successful_executions", "failed_executions"];
    let metrics = metrics.into_iter().chain(["success_rate_percent", "average_duration_seconds"]);
    let nullable: Vec<_> = metrics
        .map(|own| format!("{at}/metrics/{own}"))
        .chain(
            [
                "last_execution",
                "capabilities/average_execution_time_minutes",
                "capabilities/max_concurrent_tasks",
            ]
            .map(|own| format!("{at}/{own}")),
        )
        .collect();
    let nullable: Vec<_> = nullable.iter().map(String::as_str).collect();
    report.as_printed("000-71", &printed("000-task-executors.json"), &told, &nullable);
    let types = told["task_executors"].as_array().into_iter().flatten();
    let types: Vec<_> = types.filter_map(|own| own["task_type"].as_str()).collect();
    report
        .holds("000-71", [(["http", "noop", "wait"].iter().all(|own| types.contains(own)), &told)]);
}

/// What comes later says so.
async fn later(scene: &Scene, report: &mut Report) {
    let service = "/orchestrator/services/threat-analyzer";
    let paths = [
        ("GET", "/orchestrator/services".to_owned(), String::new()),
        ("POST", "/orchestrator/services".to_owned(), printed_text("000-register-service.json")),
        ("POST", format!("{service}/start"), String::new()),
        ("POST", format!("{service}/stop"), String::new()),
        ("POST", format!("{service}/restart"), String::new()),
        ("GET", format!("{service}/health"), String::new()),
        (
            "POST",
            "/orchestrator/task-executors".to_owned(),
            printed_text("000-register-executor.json"),
        ),
    ];
    for (method, path, body) in paths {
        let (status, told) = scene.send(method, &path, &body).await;
        report.holds("000-120", [(status == 501 && code(&told) == "NOT_IMPLEMENTED", &told)]);
    }
}
