//! Workflows disabled, archived and purged: over HTTP, from the command line and across a kill.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::process::{backstitch, folder, serve, serve_again};
use crate::server::{Server, TWO_STEPS, answer};

const TWO: &str = "/api/v1/workflows/two";
const HELD: &str = "
id: held
steps:
  - { id: gate, type: wait, with: { signal: go } }
  - { id: after, type: noop, needs: [gate] }
";

async fn order(server: &Server, workflow: &str, word: &str) -> Value {
    let path = format!("/api/v1/workflows/{workflow}/{word}");
    let (status, told) = server.post(&path, &json!({ "reason": "because" })).await;
    assert_eq!(status, StatusCode::OK, "{told}");
    told
}

async fn delete(server: &Server, path: &str) -> (StatusCode, Value) {
    answer(server.request(Method::DELETE, path).json(&json!({ "reason": "old" }))).await
}

/// The code that each way to begin a run is refused with.
async fn refused(server: &Server, ended: &str) -> Vec<(StatusCode, String)> {
    let ways = [
        (format!("{TWO}/execute"), json!({})),
        ("/workflows/two/execute".to_owned(), json!({})),
        ("/orchestrator/workflows/two/execute".to_owned(), json!({})),
        ("/v1/run".to_owned(), json!({ "workflow": "two" })),
        (format!("/api/v1/executions/{ended}/fork"), json!({ "from_step": "second" })),
    ];
    let mut codes = Vec::new();
    for (path, body) in ways {
        let (status, told) = server.post(&path, &body).await;
        codes.push((status, told["error_code"].as_str().unwrap_or_default().to_owned()));
    }
    codes
}

#[tokio::test(flavor = "multi_thread")]
async fn no_run_of_a_disabled_workflow_begins_and_those_under_way_go_on() {
    let server = Server::start().await;
    server.define(TWO_STEPS).await;
    server.define(HELD).await;
    let ended = server.run("two", &json!({})).await;
    let ended = ended["execution_id"].as_str().expect("an id");
    let (_, waits) = server.post("/api/v1/workflows/held/execute", &json!({})).await;
    let waits = waits["execution_id"].as_str().expect("an id").to_owned();
    let told = order(&server, "two", "disable").await;
    assert_eq!((&told["status"], &told["changed"]), (&json!("disabled"), &json!(true)));
    assert_eq!((&told["disabled"]["reason"], &told["archived"]), (&json!("because"), &Value::Null));
    assert_eq!(order(&server, "two", "disable").await["changed"], false);
    order(&server, "held", "disable").await;
    let before = server.records().await;
    let all = refused(&server, ended).await;
    let disabled = (StatusCode::CONFLICT, "WORKFLOW_DISABLED".to_owned());
    assert_eq!(all, vec![disabled; 5]);
    assert_eq!(server.records().await, before, "nothing was recorded");
    let signal = format!("/api/v1/executions/{waits}/signals/go");
    assert_eq!(server.post(&signal, &json!({ "payload": 1 })).await.0, StatusCode::ACCEPTED);
    let path = format!("/api/v1/executions/{waits}");
    let ended_too = loop {
        let (_, run) = server.get(&path).await;
        if run["completed_at"].is_string() {
            break run;
        }
    };
    assert_eq!(ended_too["status"], "completed", "a run under way goes on");
    assert_eq!(server.get(&format!("/api/v1/executions/{ended}")).await.0, StatusCode::OK);
    assert_eq!(order(&server, "two", "enable").await["status"], "active");
    server.run("two", &json!({})).await;
    let (_, audit) = server.get("/api/v1/audit?target=two&order=asc").await;
    let rows = audit["audit"].as_array().expect("rows");
    let deeds: Vec<_> = rows.iter().map(|own| own["action"].as_str().expect("a word")).collect();
    assert_eq!(deeds, ["workflow.defined", "workflow.disabled", "workflow.enabled"]);
    assert_eq!(rows[1]["detail"], "because");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_whose_workflow_is_disabled_fails_and_is_retried_once_it_is_enabled() {
    let server = Server::start().await;
    server.define(TWO_STEPS).await;
    server
        .define(
            "
id: parent
on_failure: suspend
steps:
  - { id: gate, type: wait, with: { signal: go } }
  - { id: child, type: workflow, needs: [gate], with: { workflow: two } }
",
        )
        .await;
    let (_, begun) = server.post("/api/v1/workflows/parent/execute", &json!({})).await;
    let run = format!("/api/v1/executions/{}", begun["execution_id"].as_str().expect("an id"));
    order(&server, "two", "disable").await;
    server.post(&format!("{run}/signals/go"), &json!({ "payload": 1 })).await;
    let letter = loop {
        let (_, shown) = server.get(&run).await;
        if let Some(letter) = shown["dead_letters"].get(0) {
            break letter.clone();
        }
    };
    assert_eq!(letter["error"]["error_code"], "WORKFLOW_DISABLED", "{letter}");
    order(&server, "two", "enable").await;
    let retry = format!("/api/v1/dlq/{}/retry", letter["letter_id"].as_str().expect("an id"));
    let (status, told) = server.post(&retry, &json!({})).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{told}");
    let status = loop {
        let (_, shown) = server.get(&run).await;
        if shown["completed_at"].is_string() {
            break shown["status"].clone();
        }
    };
    assert_eq!(status, "completed");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archived_workflow_is_out_of_use_until_it_is_restored() {
    let server = Server::start().await;
    server.define(TWO_STEPS).await;
    let run = server.run("two", &json!({})).await;
    let run = run["execution_id"].as_str().expect("an id").to_owned();
    order(&server, "two", "disable").await;
    for path in [TWO, "/workflows/two", "/v1/workflows/two"] {
        let (status, told) = delete(&server, path).await;
        assert_eq!((status, &told["status"]), (StatusCode::OK, &json!("archived")), "{told}");
    }
    let archived = (StatusCode::CONFLICT, "WORKFLOW_ARCHIVED".to_owned());
    assert_eq!(refused(&server, &run).await, vec![archived.clone(); 5]);
    for word in ["enable", "disable"] {
        let (status, told) = server.post(&format!("{TWO}/{word}"), &json!({})).await;
        assert_eq!((status, &told["error_code"]), (archived.0, &json!(archived.1)));
    }
    let (status, told) = server.define(TWO_STEPS).await;
    assert_eq!((status, &told["error_code"]), (archived.0, &json!(archived.1)));
    assert!(told["message"].as_str().is_some_and(|own| own.contains("restored")), "{told}");
    for (path, count) in [
        ("/api/v1/workflows", 0),
        ("/api/v1/workflows?status=disabled", 0),
        ("/api/v1/workflows?status=archived", 1),
        ("/orchestrator/workflows", 0),
        ("/v1/workflows", 0),
        ("/workflows", 0),
        ("/workflows/search?q=two", 0),
        ("/workflows?status=archived", 1),
    ] {
        let (_, told) = server.get(path).await;
        assert_eq!(told["workflows"].as_array().map(Vec::len), Some(count), "{path}: {told}");
    }
    let (_, shown) = server.get(TWO).await;
    assert_eq!(
        (&shown["status"], &shown["archived"]["reason"]),
        (&json!("archived"), &json!("old"))
    );
    assert_eq!(server.get(&format!("/api/v1/executions/{run}")).await.0, StatusCode::OK);
    assert_eq!(order(&server, "two", "restore").await["status"], "disabled", "as it was before");
    assert_eq!(order(&server, "two", "enable").await["status"], "active");
    server.run("two", &json!({})).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_archived_workflow_without_runs_is_purged_and_its_id_counts_on() {
    let server = Server::start().await;
    server.define(TWO_STEPS).await;
    server.define("{id: used, steps: [{id: a, type: noop}]}").await;
    server.run("used", &json!({})).await;
    let purge = |id: &str| format!("/api/v1/workflows/{id}?purge=true");
    let (status, told) = delete(&server, &purge("two")).await;
    let code = told["error_code"].as_str().unwrap_or_default().to_owned();
    assert_eq!((status, code.as_str()), (StatusCode::CONFLICT, "WORKFLOW_NOT_ARCHIVED"));
    order(&server, "used", "archive").await;
    let (status, told) = delete(&server, &purge("used")).await;
    assert_eq!((status, &told["details"]["runs"]), (StatusCode::CONFLICT, &json!(1)), "{told}");
    assert_eq!(told["error_code"], "WORKFLOW_HAS_RUNS");
    order(&server, "two", "archive").await;
    let (status, told) = delete(&server, &purge("two")).await;
    assert_eq!((status, &told["purged"]), (StatusCode::OK, &json!(true)), "{told}");
    assert_eq!(server.get(TWO).await.0, StatusCode::NOT_FOUND);
    assert_eq!(delete(&server, &purge("two")).await.0, StatusCode::NOT_FOUND);
    let folder = server.stop().await;
    let server = Server::start_in(folder).await;
    assert_eq!(server.get(TWO).await.0, StatusCode::NOT_FOUND);
    let (status, told) = server.define(TWO_STEPS).await;
    assert_eq!((status, &told["revision"]), (StatusCode::CREATED, &json!(2)), "{told}");
    server.run("two", &json!({})).await;
    let folder = server.stop().await;
    let server = Server::start_in(folder).await;
    assert_eq!(server.get(TWO).await.1["revision"], 2);
    assert_eq!(server.get(&format!("{TWO}?revision=1")).await.0, StatusCode::NOT_FOUND);
    assert_eq!(server.run("two", &json!({})).await["revision"], 2);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_that_says_so_disables_its_workflow_until_one_no_longer_does() {
    let server = Server::start().await;
    let text = |enabled: &str, output: u32| {
        format!(
            "id: own\n{enabled}steps:\n- {{ id: a, type: noop, with: {{ output: {output} }} }}\n"
        )
    };
    let (status, told) = server.define(&text("enabled: false\n", 1)).await;
    assert_eq!((status, &told["warnings"]), (StatusCode::CREATED, &json!([])), "{told}");
    let path = "/api/v1/workflows/own";
    let (_, shown) = server.get(path).await;
    assert_eq!((&shown["status"], &shown["disabled"]["revision"]), (&json!("disabled"), &json!(1)));
    let (status, told) = server.post(&format!("{path}/execute"), &json!({})).await;
    assert_eq!((status, &told["error_code"]), (StatusCode::CONFLICT, &json!("WORKFLOW_DISABLED")));
    server.define(&text("", 1)).await;
    assert_eq!(server.get(path).await.1["status"], "active");
    order(&server, "own", "disable").await;
    server.define(&text("", 2)).await;
    assert_eq!(server.get(path).await.1["status"], "disabled", "an order stands");
    order(&server, "own", "enable").await;
    server.define(&text("enabled: false\n", 2)).await;
    order(&server, "own", "enable").await;
    server.define(&text("enabled: false\n", 2)).await;
    assert_eq!(server.get(path).await.1["status"], "active", "the same content changes nothing");
    let unified = json!({
        "id": "uni", "enabled": false, "tasks": [{ "id": "a", "task_type": "noop" }],
    });
    let (status, told) = server.post("/orchestrator/workflows", &unified).await;
    assert_eq!((status, &told["warnings"]), (StatusCode::CREATED, &json!([])), "{told}");
    for (query, count) in [("enabled=false", 1), ("enabled=true", 1)] {
        let (_, told) = server.get(&format!("/orchestrator/workflows?{query}")).await;
        let rows = told["workflows"].as_array().expect("rows").clone();
        assert_eq!(rows.len(), count, "{query}: {told}");
        assert_eq!(rows[0]["enabled"], query == "enabled=true");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workflows_are_listed_page_by_page_and_found() {
    let server = Server::start().await;
    for at in 0..5 {
        let text = format!(
            "id: w{at}\nname: Number {at}\ndescription: counts to {}\ntags: [t{}]\n\
             steps: [{{ id: a, type: noop }}]\n",
            at + 10,
            at % 2
        );
        assert_eq!(server.define(&text).await.0, StatusCode::CREATED);
    }
    order(&server, "w3", "disable").await;
    let ids = async |query: &str| {
        let (status, told) = server.get(&format!("/api/v1/workflows?{query}")).await;
        assert_eq!(status, StatusCode::OK, "{query}: {told}");
        let rows = told["workflows"].as_array().expect("rows");
        let id = |own: &Value| own["workflow_id"].as_str().expect("an id").to_owned();
        (rows.iter().map(id).collect::<Vec<_>>(), told["next_cursor"].clone())
    };
    let (mut seen, mut cursor) = (Vec::new(), Value::Null);
    loop {
        let behind = cursor.as_str().map(|own| format!("&cursor={own}")).unwrap_or_default();
        let (page, next) = ids(&format!("limit=2{behind}")).await;
        assert!(page.len() <= 2);
        seen.extend(page);
        cursor = next;
        if cursor.is_null() {
            break;
        }
    }
    assert_eq!(seen, ["w0", "w1", "w2", "w3", "w4"]);
    for (query, wanted) in [
        ("status=disabled", vec!["w3"]),
        ("status=enabled&tag=t1", vec!["w1"]),
        ("q=NUMBER%202", vec!["w2"]),
        ("q=counts%20to%2014", vec!["w4"]),
        ("created_by=nobody", vec![]),
        ("created_by=anonymous&tag=t0", vec!["w0", "w2", "w4"]),
    ] {
        assert_eq!(ids(query).await.0, wanted, "{query}");
    }
    assert_eq!(server.get("/api/v1/workflows?status=maybe").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(server.get("/api/v1/workflows?limit=0").await.0, StatusCode::BAD_REQUEST);
    server.stop().await;
}

/// The command line against a server; what it says on success.
fn command(url: &str, arguments: &[&str]) -> String {
    let output = backstitch(arguments).args(["--server", url]).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn how_a_workflow_stands_survives_a_kill_and_is_operated_from_the_command_line() {
    let folder = folder();
    let data = folder.path().join("data");
    let (mut server, mut url) = serve(&data);
    let file = folder.path().join("two.yaml");
    std::fs::write(&file, TWO_STEPS).expect("a file");
    command(&url, &["apply", file.to_str().expect("UTF-8")]);
    let orders: [(&[&str], &str); 4] = [
        (&["disable", "two", "--reason", "it burns"], "two: disabled"),
        (&["archive", "two"], "two: archived"),
        (&["restore", "two"], "two: disabled"),
        (&["enable", "two"], "two: active"),
    ];
    for (arguments, said) in orders {
        assert_eq!(command(&url, arguments).trim(), said);
        server.kill().expect("it runs");
        server.wait().expect("it ended");
        (server, url, _) = serve_again(&data);
        assert!(command(&url, arguments).contains("already"), "{arguments:?} is durable");
    }
    assert!(command(&url, &["workflows"]).contains("two"), "it is listed");
    command(&url, &["archive", "two"]);
    assert_eq!(command(&url, &["workflows"]).trim(), "no workflows");
    assert!(command(&url, &["workflows", "--status", "archived"]).contains("two"));
    assert_eq!(command(&url, &["purge", "two", "--reason", "gone"]).trim(), "two: purged");
    assert_eq!(command(&url, &["workflows", "--status", "archived"]).trim(), "no workflows");
    server.kill().expect("it runs");
    server.wait().expect("it ended");
}
