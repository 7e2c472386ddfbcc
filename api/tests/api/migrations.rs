//! Runs under way that go on with another revision, over HTTP and from the command line.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::process::{backstitch, folder, serve, serve_again};
use crate::server::{Server, answer};

const HELD: &str = "
id: held
steps:
  - { id: first, type: noop, with: { output: { n: '{{ input.n }}' } }, undo: { type: noop } }
  - { id: hold, type: wait, needs: [first], with: { signal: go } }
  - { id: last, type: noop, needs: [hold], with: { output: old } }
outputs: { said: '{{ steps.last.output }}' }
";

/// A later revision: a step before the end, and another end.
fn later() -> String {
    let text = HELD.replace("output: old", "output: 'new {{ steps.more.output }}'");
    let more = "  - { id: more, type: noop, needs: [first], with: { output: '{{ steps.first.output.n }}' } }\n";
    let text = text.replace("needs: [hold]", "needs: [hold, more]");
    text.replace("  - { id: first", &format!("{more}  - {{ id: first"))
}

async fn held(server: &Server, n: u32) -> String {
    let path = "/api/v1/workflows/held/execute";
    let (status, run) = server.post(path, &json!({ "input": { "n": n } })).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{run}");
    let run = run["execution_id"].as_str().expect("an id").to_owned();
    loop {
        let (_, shown) = server.get(&format!("/api/v1/executions/{run}")).await;
        if shown["steps"]["hold"]["status"] == "waiting" {
            return run;
        }
    }
}

async fn go(server: &Server, run: &str) -> Value {
    let (status, _) =
        server.post(&format!("/api/v1/executions/{run}/signals/go"), &json!({})).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    loop {
        let (_, shown) = server.get(&format!("/api/v1/executions/{run}")).await;
        if !shown["completed_at"].is_null() {
            return shown;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_on_with_a_later_revision_and_through_a_restart() {
    let server = Server::start().await;
    server.define(HELD).await;
    let run = held(&server, 7).await;
    server.define(&later()).await;
    let path = format!("/api/v1/executions/{run}/migrate");
    let (status, asked) = server.post(&format!("{path}?dry_run=true"), &json!({})).await;
    assert_eq!(
        (status, &asked["fits"], &asked["migrated"]),
        (StatusCode::OK, &json!(true), &json!(false))
    );
    let (_, shown) = server.get(&format!("/api/v1/executions/{run}")).await;
    assert_eq!((&shown["revision"], &shown["migrations"]), (&json!(1), &json!([])));
    let wish = json!({ "revision": 2, "reason": "the end was wrong" });
    let (status, done) = server.post(&path, &wish).await;
    assert_eq!(
        (status, &done["from_revision"], &done["revision"]),
        (StatusCode::OK, &json!(1), &json!(2)),
        "{done}"
    );
    let (status, again) = server.post(&path, &wish).await;
    assert_eq!((status, &again["migrated"]), (StatusCode::OK, &json!(true)), "{again}");
    let server = Server::start_in(server.stop().await).await;
    let (_, shown) = server.get(&format!("/api/v1/executions/{run}")).await;
    assert_eq!(
        (&shown["revision"], &shown["migrations"][0]["reason"]),
        (&json!(2), &json!("the end was wrong"))
    );
    assert_eq!(shown["steps"]["more"]["status"], "succeeded");
    let ended = go(&server, &run).await;
    assert_eq!(
        (&ended["status"], &ended["output"]),
        (&json!("completed"), &json!({ "said": "new 7" }))
    );
    let (_, events) = server.get(&format!("/api/v1/executions/{run}/events")).await;
    let events = events["events"].as_array().expect("a list");
    let of =
        |kind: &str| events.iter().filter(|own| own["type"] == kind).cloned().collect::<Vec<_>>();
    assert_eq!(of("ExecutionMigrated").len(), 1, "a repeat records nothing");
    let started: Vec<_> = of("StepStarted").iter().map(|own| own["data"]["step"].clone()).collect();
    assert_eq!(started, ["first", "more", "last"], "each step keeps its name");
    let (_, page) = server.get(&format!("/api/v1/events?execution_id={run}")).await;
    assert!(page.to_string().contains("\"step\":\"more\""), "{page}");
    let (_, early) = server.get(&format!("/api/v1/executions/{run}?version=4")).await;
    assert_eq!(early["revision"], 1, "{early}");
    let (_, diff) = server.get(&format!("/api/v1/executions/{run}/diff")).await;
    assert!(diff["changes"].to_string().contains("revision"), "{diff}");
    let (_, rows) = server.get("/api/v1/executions").await;
    assert_eq!(rows["executions"][0]["revision"], 2, "{rows}");
    let (_, audit) = server.get("/api/v1/audit?action=execution.migrated").await;
    assert!(audit["audit"][0]["detail"].to_string().contains("revision 2: the end"), "{audit}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_runs_of_a_workflow_are_asked_and_those_that_fit_go_on() {
    let server = Server::start().await;
    server.define(HELD).await;
    let (one, other) = (held(&server, 1).await, held(&server, 2).await);
    let ended = held(&server, 3).await;
    go(&server, &ended).await;
    server.define(&later()).await;
    let newest = held(&server, 4).await;
    let wish = json!({ "from": 1, "reason": "all" });
    let (status, asked) = server.post("/api/v1/workflows/held/migrate?dry_run=true", &wish).await;
    assert_eq!(
        (status, &asked["fits"], &asked["refused"]),
        (StatusCode::OK, &json!(2), &json!(0)),
        "{asked}"
    );
    let (_, done) = server.post("/api/v1/workflows/held/migrate", &wish).await;
    let rows = done["executions"].as_array().expect("a list");
    let runs: Vec<_> = rows.iter().map(|row| row["execution_id"].as_str()).collect();
    assert_eq!(runs, [Some(one.as_str()), Some(other.as_str())], "{done}");
    assert!(rows.iter().all(|row| row["migrated"] == true) && done["next_cursor"].is_null());
    assert!(!done.to_string().contains(&newest));
    for (run, said) in [(&one, "new 1"), (&other, "new 2"), (&newest, "new 4")] {
        assert_eq!(go(&server, run).await["output"], json!({ "said": said }));
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_refused_with_every_reason() {
    let server = Server::start().await;
    server.define(HELD).await;
    let run = held(&server, 1).await;
    server
        .define(
            &HELD
                .replace("id: first, type: noop", "id: first, type: http")
                .replace(
                    "with: { output: { n: '{{ input.n }}' } }",
                    "with: { url: 'http://a.test/' }",
                )
                .replace(
                    "undo: { type: noop }",
                    "undo: { type: http, with: { url: 'http://a.test/' } }",
                ),
        )
        .await;
    let path = format!("/api/v1/executions/{run}/migrate");
    let (status, refused) = server.post(&path, &json!({})).await;
    assert_eq!(
        (status, &refused["error_code"]),
        (StatusCode::CONFLICT, &json!("MIGRATION_REFUSED")),
        "{refused}"
    );
    let reasons = refused["details"]["reasons"].as_array().expect("a list").clone();
    assert_eq!(reasons.len(), 2, "{refused}");
    let (_, all) = server.post("/api/v1/workflows/held/migrate", &json!({})).await;
    assert_eq!((&all["refused"], &all["executions"][0]["reasons"]), (&json!(1), &json!(reasons)));
    let (status, _) = server.post(&path, &json!({ "revision": 9 })).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let (status, _) = server.post("/api/v1/workflows/none/migrate", &json!({})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, _) = server.post(&format!("{path}?dry_run=maybe"), &json!({})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let ended = go(&server, &run).await;
    assert_eq!((&ended["revision"], &ended["output"]), (&json!(1), &json!({ "said": "old" })));
    let (_, over) = server.post(&format!("{path}?dry_run=true"), &json!({})).await;
    assert!(over["reasons"][0].to_string().contains("has ended"), "{over}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migrated_run_that_failed_is_forked_exported_and_started_over() {
    let failing = HELD.replace(
        "id: last, type: noop, needs: [hold], with: { output: old }",
        "id: last, type: noop, needs: [hold], retry: none, with: { fail: { permanent: true } }",
    );
    let server = Server::start().await;
    server.define(&failing).await;
    let run = held(&server, 5).await;
    let more = failing.replace("  - { id: first", "  - { id: extra, type: noop }\n  - { id: first");
    server.define(&more).await;
    let (status, done) =
        server.post(&format!("/api/v1/executions/{run}/migrate"), &json!({})).await;
    assert_eq!(status, StatusCode::OK, "{done}");
    let ended = go(&server, &run).await;
    assert_eq!(ended["status"], "compensated");
    let letter = ended["dead_letters"][0]["letter_id"].as_str().expect("a letter");
    let (status, again) = server.post(&format!("/api/v1/dlq/{letter}/retry"), &json!({})).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{again}");
    let fresh = again["execution_id"].as_str().expect("a new run");
    let (_, shown) = server.get(&format!("/api/v1/executions/{fresh}")).await;
    assert_eq!((&shown["revision"], &shown["migrations"]), (&json!(2), &json!([])));
    assert!(shown["steps"]["extra"].is_object(), "{shown}");
    let path = format!("/api/v1/executions/{run}/export");
    let exported = server.request(Method::GET, &path).send().await.expect("an answer");
    let exported = exported.text().await.expect("a text");
    assert_eq!(exported.matches("{\"definition\"").count(), 2, "{exported}");
    let other = Server::start().await;
    let import = other.request(Method::POST, "/api/v1/import").body(exported);
    let (status, report) = answer(import.header("content-type", "application/x-ndjson")).await;
    assert_eq!((status, &report["imported"]), (StatusCode::OK, &json!(1)), "{report}");
    let (_, there) = other.get(&format!("/api/v1/executions/{run}")).await;
    let (_, here) = server.get(&format!("/api/v1/executions/{run}")).await;
    assert_eq!(there, here);
    other.stop().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_survives_a_kill_and_the_command_line_asks_for_it() {
    let folder = folder();
    let data = folder.path().join("data");
    let (mut process, url) = serve(&data);
    let client = crate::forms::client();
    let define = async |url: &str, text: String| {
        let request = client.post(format!("{url}/api/v1/workflows"));
        let request = request.header("content-type", "application/yaml").body(text);
        assert!(request.send().await.expect("an answer").status().is_success());
    };
    let get = async |url: &str, run: &str| -> Value {
        let asked = client.get(format!("{url}/api/v1/executions/{run}")).send().await;
        serde_json::from_str(&asked.expect("an answer").text().await.expect("text")).expect("JSON")
    };
    define(&url, HELD.to_owned()).await;
    let begun = client.post(format!("{url}/api/v1/workflows/held/execute"));
    let begun = begun.json(&json!({ "input": { "n": 3 } })).send().await.expect("an answer");
    let begun: Value = serde_json::from_str(&begun.text().await.expect("text")).expect("JSON");
    let run = begun["execution_id"].as_str().expect("an id").to_owned();
    while get(&url, &run).await["steps"]["hold"]["status"] != "waiting" {}
    define(&url, later()).await;
    let said = |arguments: &[&str]| {
        let out = backstitch(arguments).output().expect("the program starts");
        (out.status.code(), String::from_utf8_lossy(&out.stdout).into_owned())
    };
    let (code, lines) = said(&["migrate", "held", "--dry-run", "--server", &url]);
    assert_eq!(
        (code, lines.trim()),
        (Some(0), format!("{run}: revision 1 -> 2 would fit").as_str())
    );
    let (code, lines) = said(&["migrate", &run, "--to", "2", "--reason", "r", "--server", &url]);
    assert_eq!((code, lines.trim()), (Some(0), format!("{run}: revision 1 -> 2").as_str()));
    process.kill().expect("a child of ours can be killed");
    process.wait().expect("it ends");
    let (mut process, url, live) = serve_again(&data);
    assert_eq!(live, 1);
    let shown = get(&url, &run).await;
    assert_eq!(
        (&shown["revision"], &shown["migrations"][0]["from_revision"]),
        (&json!(2), &json!(1)),
        "{shown}"
    );
    let signalled = client.post(format!("{url}/api/v1/executions/{run}/signals/go"));
    assert!(signalled.json(&json!({})).send().await.expect("an answer").status().is_success());
    let ended = loop {
        let shown = get(&url, &run).await;
        if !shown["completed_at"].is_null() {
            break shown;
        }
    };
    assert_eq!(
        (&ended["status"], &ended["output"]),
        (&json!("completed"), &json!({ "said": "new 3" }))
    );
    let (code, lines) = said(&["migrate", &run, "--to", "1", "--server", &url]);
    assert_eq!(code, Some(1), "{lines}");
    process.kill().expect("a child of ours can be killed");
    process.wait().expect("it ends");
}
