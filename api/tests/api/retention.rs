//! Retention over HTTP: policy, plan, apply, and what is said of a run that is gone.

use backstitch_api::Settings;
use backstitch_journal::{Options, SEGMENT_BYTES_MIN};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{Server, TWO_STEPS, answer, settings};

const FAILING: &str = "
id: failing
steps:
  - { id: only, type: noop, with: { fail: { code: NO, message: no } }, retry: none }
";

async fn put(server: &Server, policy: &Value) -> (StatusCode, Value) {
    let path = "/api/v1/admin/retention/policy";
    answer(server.request(Method::PUT, path).json(policy)).await
}

async fn applied(server: &Server, body: &Value) -> Value {
    let path = "/api/v1/admin/retention/apply";
    let (status, begun) = server.post(path, body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{begun}");
    loop {
        let (_, progress) = server.get(path).await;
        if progress["status"] != "running" {
            assert_eq!(progress["status"], "done", "{progress}");
            return progress;
        }
    }
}

fn id(run: &Value) -> String {
    run["execution_id"].as_str().expect("an id").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_set_and_outlives_the_server() {
    let server = Server::start().await;
    let (_, none) = server.get("/api/v1/admin/retention/policy").await;
    assert_eq!((&none["source"], &none["policy"]), (&json!("default"), &json!({ "rules": [] })));
    let policy = json!({ "rules": [{ "name": "old", "keep_for": "30d", "status": ["failed"] }] });
    let (status, set) = put(&server, &policy).await;
    assert_eq!((status, &set["policy"], &set["source"]), (StatusCode::OK, &policy, &json!("api")));
    let (status, wrong) = put(&server, &json!({ "rules": [{ "keep_for": "soon" }] })).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let places: Vec<_> =
        wrong["details"]["problems"].as_array().expect("problems").iter().collect();
    assert!(places.iter().any(|problem| problem["path"] == "rules[0].keep_for"), "{wrong}");
    let folder = server.stop().await;

    let server = Server::start_in(folder).await;
    let (_, found) = server.get("/api/v1/admin/retention/policy").await;
    assert_eq!((&found["policy"], &found["set_by"]), (&policy, &json!("anonymous")));
    let (_, newest) = put(&server, &json!({ "rules": [] })).await;
    assert_eq!(newest["policy"], json!({ "rules": [] }));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_rolled_back_stays_until_its_window_is_over() {
    let server = Server::start().await;
    let step = json!({ "id": "only", "type": "noop" });
    let mut undone = step.clone();
    undone["undo"] = json!({ "type": "noop" });
    for (workflow, step) in [("kept", undone), ("goes", step)] {
        let definition = json!({ "id": workflow, "rollback_window": "1d", "steps": [step] });
        let (status, _) = server.post("/api/v1/workflows", &definition).await;
        assert_eq!(status, StatusCode::CREATED);
    }
    let kept = id(&server.run("kept", &json!({})).await);
    let goes = id(&server.run("goes", &json!({})).await);
    let rule = json!({ "policy": { "rules": [{ "name": "all", "keep_for": "0s" }] } });
    let (_, plan) = server.post("/api/v1/admin/retention/plan", &rule).await;
    assert_eq!(plan["held_count"], json!({ "rollback_window": 1 }), "{plan}");
    assert_eq!(plan["held"][0]["execution_id"], kept.as_str(), "{plan}");
    assert!(plan.to_string().contains(&goes), "{plan}");
    act_on(&server, &kept, "rollback").await;
    while server.get(&format!("/api/v1/executions/{kept}")).await.1["status"] != "compensated" {}
    let (_, plan) = server.post("/api/v1/admin/retention/plan", &rule).await;
    assert_eq!(plan["held_count"], json!({}), "{plan}");
    server.stop().await;
}

async fn act_on(server: &Server, run: &str, verb: &str) {
    let (status, said) = server.post(&format!("/api/v1/executions/{run}/{verb}"), &json!({})).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_changes_nothing_and_applying_it_removes() {
    let server = Server::start().await;
    server.define(TWO_STEPS).await;
    server.define(FAILING).await;
    let mut gone = Vec::new();
    for _ in 0..3 {
        gone.push(id(&server.run("two", &json!({})).await));
    }
    let lettered = id(&server.run("failing", &json!({})).await);
    let path = "/api/v1/workflows/two/execute";
    let keyed = server.request(Method::POST, path).header("idempotency-key", "k");
    let (_, keyed) = answer(keyed.json(&json!({ "wait_seconds": 60 }))).await;
    let keyed = id(&keyed);

    let policy = json!({ "rules": [{ "name": "at once", "keep_for": "0s" }] });
    let before = server.records().await;
    let (status, plan) =
        server.post("/api/v1/admin/retention/plan", &json!({ "policy": policy })).await;
    assert_eq!(status, StatusCode::OK, "{plan}");
    let mut planned: Vec<_> = plan["executions"].as_array().expect("runs").iter().map(id).collect();
    planned.reverse();
    assert_eq!(planned, gone, "newest first");
    assert_eq!(plan["by_rule"][0]["executions"], 3);
    assert!(plan["by_rule"][0]["bytes"].as_u64() > Some(100), "{plan}");
    assert_eq!(plan["held_count"], json!({ "idempotency_key": 1, "open_letter": 1 }));
    let held = plan["held"].as_array().expect("held");
    assert!(held.iter().any(|own| own["execution_id"] == lettered.as_str()), "{plan}");
    assert_eq!(server.records().await, before, "a plan is dry");

    let path = "/api/v1/admin/retention/plan";
    let (_, first) = server.post(path, &json!({ "policy": policy, "limit": 2 })).await;
    let cursor = &first["next_cursor"];
    assert!(cursor.is_string(), "{first}");
    let (_, rest) = server.post(path, &json!({ "policy": policy, "cursor": cursor })).await;
    assert_eq!(first["executions"].as_array().map(Vec::len), Some(2));
    assert_eq!(rest["executions"].as_array().map(Vec::len), Some(1), "{rest}");

    let apply = "/api/v1/admin/retention/apply";
    let (status, _) = server.post(apply, &json!({ "policy": policy })).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "it wants to be confirmed");
    let body = json!({ "policy": policy, "at": plan["at"], "confirm": true });
    let progress = applied(&server, &body).await;
    assert_eq!(progress["removed"], 3, "{progress}");
    assert_eq!(progress["held_count"], plan["held_count"]);

    shows_none_of(&server, &gone).await;
    for kept in [&lettered, &keyed] {
        let (status, _) = server.get(&format!("/api/v1/executions/{kept}")).await;
        assert_eq!(status, StatusCode::OK);
    }
    let folder = server.stop().await;
    let server = Server::start_in(folder).await;
    shows_none_of(&server, &gone).await;
    assert_eq!(applied(&server, &body).await["removed"], 0, "nothing is removed twice");
    let (_, metrics) = server.get("/metrics").await;
    assert!(metrics.as_str().expect("text").contains("backstitch_executions_removed_total"));
    server.stop().await;
}

async fn shows_none_of(server: &Server, gone: &[String]) {
    for run in gone {
        for path in ["", "/events"] {
            let (status, body) = server.get(&format!("/api/v1/executions/{run}{path}")).await;
            assert_eq!(
                (status, &body["error_code"]),
                (StatusCode::GONE, &json!("EXECUTION_REMOVED"))
            );
            assert_eq!(body["details"]["rule"], "at once");
            assert!(body["details"]["removed_at"].is_string(), "{body}");
        }
        let (status, _) =
            server.post(&format!("/api/v1/executions/{run}/cancel"), &json!({})).await;
        assert_eq!(status, StatusCode::GONE);
        let letter = format!("dlq_{}_0", run.trim_start_matches("exec_"));
        for path in [format!("/api/v1/dlq/{letter}")] {
            let (status, _) = server.get(&path).await;
            assert_eq!(status, StatusCode::GONE);
        }
    }
    let (_, list) = server.get("/api/v1/executions?limit=1000").await;
    let listed: Vec<_> = list["executions"].as_array().expect("rows").iter().map(id).collect();
    assert!(gone.iter().all(|run| !listed.contains(run)), "{listed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_keeps_the_newest_of_each_workflow() {
    let server = Server::start().await;
    server.define(TWO_STEPS).await;
    server.define(&TWO_STEPS.replace("two", "three")).await;
    let (mut two, mut three) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        two.push(id(&server.run("two", &json!({})).await));
        three.push(id(&server.run("three", &json!({})).await));
    }
    let policy = json!({ "rules": [
        { "name": "all of three", "workflow": "th*" },
        { "name": "one", "keep_count": 1 },
    ]});
    put(&server, &policy).await;
    let (_, plan) = server.post("/api/v1/admin/retention/plan", &json!({ "limit": 1 })).await;
    assert_eq!(plan["executions"][0]["execution_id"], two[1].as_str(), "{plan}");
    let body = json!({ "cursor": plan["next_cursor"] });
    let (_, rest) = server.post("/api/v1/admin/retention/plan", &body).await;
    assert_eq!(rest["executions"].as_array().map(Vec::len), Some(1), "{rest}");
    assert_eq!(rest["executions"][0]["execution_id"], two[0].as_str());
    assert_eq!(applied(&server, &json!({ "confirm": true })).await["removed"], 2);
    let (_, list) = server.get("/api/v1/executions").await;
    assert_eq!(list["executions"].as_array().map(Vec::len), Some(4));
    server.stop().await;
}

/// Settings under which segments are sealed and archived soon.
fn small(folder: &TempDir) -> Settings {
    let own = settings(folder);
    let journal = Options {
        segment_bytes: SEGMENT_BYTES_MIN,
        log_segments_kept: 1,
        tick_ms: 20,
        ..own.journal
    };
    Settings { journal, ..own }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_removed_leaves_the_log_when_it_is_cut() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start_with(small(&folder), folder).await;
    server.define(TWO_STEPS).await;
    let input = json!({ "name": "x".repeat(40_000) });
    let mut runs = Vec::new();
    for _ in 0..20 {
        runs.push(id(&server.run("two", &input).await));
    }
    let kept = runs.pop().expect("twenty");
    put(&server, &json!({ "rules": [{ "name": "at once", "keep_count": 1 }] })).await;
    assert_eq!(applied(&server, &json!({ "confirm": true })).await["removed"], 19);
    // The segment that the removals stand in must be sealed, too.
    for _ in 0..10 {
        server.run("two", &input).await;
    }
    let path = "/api/v1/admin/cut";
    let (status, wrong) = server.post(path, &json!({ "dry_run": true })).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
    let plan = loop {
        let (status, plan) = server.post(path, &json!({ "keep_for": "0s" })).await;
        assert_eq!((status, &plan["dry_run"]), (StatusCode::OK, &json!(true)), "{plan}");
        if plan["executions_dropped"] == 19 {
            break plan;
        }
    };
    assert_eq!(plan["oldest_restorable_before"], Value::Null);
    let (_, still) = server.get(&format!("/api/v1/executions/{}", runs[0])).await;
    assert_eq!(still["error_code"], "EXECUTION_REMOVED");
    let (status, done) = server.post(path, &json!({ "keep_for": "0s", "dry_run": false })).await;
    assert_eq!(status, StatusCode::OK, "{done}");
    assert!(done["segments"].as_u64() >= plan["segments"].as_u64(), "{done}");
    assert!(done["base_bytes"].as_u64() < done["bytes_removed"].as_u64(), "{done}");
    assert!(done["oldest_restorable_after"].is_string(), "{done}");
    // Nobody needs to know of them any more.
    while server.get(&format!("/api/v1/executions/{}", runs[0])).await.0 != StatusCode::NOT_FOUND {}

    let folder = server.stop().await;
    let report = backstitch_journal::verify(folder.path().join("data")).expect("it is there");
    assert!(report.ok, "{report:?}");
    std::fs::remove_dir_all(folder.path().join("data/store")).expect("it was there");
    let server = Server::start_with(small(&folder), folder).await;
    let (status, _) = server.get(&format!("/api/v1/executions/{kept}")).await;
    assert_eq!(status, StatusCode::OK, "the base keeps what is kept");
    for run in &runs {
        let (status, _) = server.get(&format!("/api/v1/executions/{run}")).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
    }
    server.stop().await;
}
