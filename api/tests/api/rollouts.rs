//! Roll-outs over HTTP, from the command line and across a kill.

use std::collections::BTreeMap;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::process::{backstitch, folder, serve, serve_again};
use crate::server::{Server, answer};

/// Answers which revision ran.
fn revision(number: u32) -> String {
    format!(
        "id: greet\nsteps:\n  - {{ id: say, type: noop, with: {{ output: {number} }} }}\n\
         outputs: {{ said: '{{{{ steps.say.output }}}}' }}\n"
    )
}

const ROLLOUT: &str = "/api/v1/workflows/greet/rollout";

async fn server_with_revisions(count: u32) -> Server {
    let server = Server::start().await;
    for number in 1..=count {
        let (status, defined) = server.define(&revision(number)).await;
        assert_eq!((status, &defined["revision"]), (StatusCode::CREATED, &json!(number)));
    }
    server
}

async fn run(server: &Server, body: &Value) -> (StatusCode, Value) {
    let mut body = body.clone();
    body["wait_seconds"] = 60.into();
    server.post("/api/v1/workflows/greet/execute", &body).await
}

async fn put(server: &Server, body: &Value) -> (StatusCode, Value) {
    answer(server.request(Method::PUT, ROLLOUT).json(body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_stay_in_their_arm_and_the_kill_switch_empties_it_at_once() {
    let server = server_with_revisions(3).await;
    let (status, none) = server.get(ROLLOUT).await;
    assert_eq!((status, &none["rollout"]), (StatusCode::OK, &Value::Null));
    let wish = json!({ "stable": 1, "candidate": 2, "percent": 30.5, "reason": "first" });
    let (status, set) = put(&server, &wish).await;
    assert_eq!((status, &set["changed"]), (StatusCode::OK, &json!(true)), "{set}");
    assert_eq!(put(&server, &wish).await.1["changed"], false, "the same again changes nothing");
    let mut arms = BTreeMap::new();
    for at in 0..40 {
        let key = format!("customer-{at}");
        let (status, run) = run(&server, &json!({ "correlation_id": key })).await;
        assert_eq!(status, StatusCode::OK, "{run}");
        let (arm, said) = (run["variant"].as_str().expect("an arm"), &run["output"]["said"]);
        assert_eq!(*said, if arm == "candidate" { 2 } else { 1 }, "{run}");
        assert_eq!(run["revision"], *said);
        arms.insert(key, arm.to_owned());
    }
    let inside = arms.values().filter(|arm| *arm == "candidate").count();
    assert!((1..40).contains(&inside), "{inside}");
    let wish = json!({ "stable": 1, "candidate": 2, "percent": 60 });
    assert_eq!(put(&server, &wish).await.0, StatusCode::OK);
    for (key, arm) in &arms {
        let (_, run) = run(&server, &json!({ "correlation_id": key })).await;
        assert!(arm == "stable" || run["variant"] == "candidate", "{key} left its arm");
    }
    let (status, killed) =
        server.post(&format!("{ROLLOUT}/kill"), &json!({ "reason": "no" })).await;
    assert_eq!((status, &killed["rollout"]["killed"]["reason"]), (StatusCode::OK, &json!("no")));
    for key in arms.keys() {
        let (_, run) = run(&server, &json!({ "correlation_id": key })).await;
        assert_eq!((&run["variant"], &run["revision"]), (&json!("stable"), &json!(1)));
    }
    let (status, refused) = run(&server, &json!({ "revision": 2 })).await;
    assert_eq!(
        (status, &refused["error_code"]),
        (StatusCode::CONFLICT, &json!("REVISION_NOT_OPEN"))
    );
    let (status, ended) =
        answer(server.request(Method::DELETE, ROLLOUT).json(&json!({ "reason": "done" }))).await;
    assert_eq!((status, &ended["rollout"]), (StatusCode::OK, &Value::Null));
    let (_, newest) = run(&server, &json!({})).await;
    assert_eq!((&newest["variant"], &newest["revision"]), (&Value::Null, &json!(3)));
    let (_, audit) = server.get("/api/v1/audit?target=greet&order=asc").await;
    let deeds = audit["audit"].as_array().expect("rows");
    let deeds: Vec<_> = deeds.iter().map(|own| own["action"].as_str().expect("a word")).collect();
    let ours = ["rollout.set", "rollout.set", "rollout.killed", "rollout.ended"];
    assert_eq!(deeds, [&["workflow.defined"; 3][..], &ours].concat());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_beta_revision_is_for_those_it_names() {
    let server = server_with_revisions(2).await;
    let beta = json!({ "tags": ["early"], "correlation_ids": ["customer-7"] });
    let wish = json!({ "stable": 1, "candidate": 2, "percent": 0, "beta": beta });
    assert_eq!(put(&server, &wish).await.0, StatusCode::OK);
    for body in [json!({ "tags": ["early"] }), json!({ "correlation_id": "customer-7" })] {
        let (_, run) = run(&server, &body).await;
        assert_eq!((&run["variant"], &run["revision"]), (&json!("beta"), &json!(2)), "{run}");
    }
    let (_, other) = run(&server, &json!({})).await;
    assert_eq!((&other["variant"], &other["revision"]), (&json!("stable"), &json!(1)));
    let (status, refused) = run(&server, &json!({ "revision": 2 })).await;
    assert_eq!(status, StatusCode::CONFLICT, "{refused}");
    let message = refused["message"].as_str().expect("a message");
    assert!(message.contains("beta"), "{message}");
    let (status, named) = run(&server, &json!({ "revision": 2, "tags": ["early"] })).await;
    assert_eq!((status, &named["variant"]), (StatusCode::OK, &Value::Null), "{named}");
    let (status, missing) = run(&server, &json!({ "revision": 9 })).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{missing}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_falls_by_its_parents_correlation_id_and_a_fork_keeps_its_arm() {
    let server = server_with_revisions(2).await;
    let parent = "
id: parent
steps:
  - { id: child, type: workflow, with: { workflow: greet } }
  - { id: after, type: noop, needs: [child] }
";
    server.define(parent).await;
    let wish = json!({ "stable": 1, "candidate": 2, "percent": 50 });
    assert_eq!(put(&server, &wish).await.0, StatusCode::OK);
    for at in 0..6 {
        let body = json!({ "correlation_id": format!("c-{at}"), "wait_seconds": 60 });
        let (_, alone) = run(&server, &body).await;
        let (_, above) = server.post("/api/v1/workflows/parent/execute", &body).await;
        let child = above["children"][0]["execution_id"].as_str().expect("a child").to_owned();
        let (_, child) = server.get(&format!("/api/v1/executions/{child}")).await;
        assert_eq!(child["variant"], alone["variant"], "{child}");
        assert_eq!(child["revision"], alone["revision"]);
        let id = alone["execution_id"].as_str().expect("an id");
        let path = format!("/api/v1/executions/{id}/fork");
        let (status, fork) = server.post(&path, &json!({ "from_step": "say" })).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{fork}");
        let fork = fork["execution_id"].as_str().expect("an id");
        let (_, fork) = server.get(&format!("/api/v1/executions/{fork}")).await;
        assert_eq!(fork["variant"], alone["variant"]);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_arm_has_statistics_and_a_list() {
    let server = server_with_revisions(3).await;
    let wish = json!({
        "stable": 1,
        "variants": [
            { "name": "green", "revision": 2, "percent": 50 },
            { "name": "blue", "revision": 3, "percent": 50 },
        ],
    });
    assert_eq!(put(&server, &wish).await.0, StatusCode::OK);
    let mut expected = BTreeMap::from([("stable", 0_u64), ("green", 0), ("blue", 0)]);
    for at in 0..12 {
        let (_, run) = run(&server, &json!({ "correlation_id": format!("c-{at}") })).await;
        let arm = run["variant"].as_str().expect("an arm");
        *expected.get_mut(arm).expect("a known arm") += 1;
    }
    // Statistics are those of the last tick.
    let arms = loop {
        let (_, shown) = server.get(ROLLOUT).await;
        let arms = shown["rollout"]["arms"].as_array().expect("arms").clone();
        let runs = arms.iter().map(|arm| arm["statistics"]["ended"].as_u64().expect("a number"));
        if runs.sum::<u64>() == 12 {
            break arms;
        }
        tokio::task::yield_now().await;
    };
    for arm in &arms {
        let name = arm["name"].as_str().expect("a name");
        let own = &arm["statistics"];
        assert_eq!(own["executions"], expected[name], "{arm}");
        let rate = if expected[name] > 0 { json!(1.0) } else { Value::Null };
        assert_eq!(own["success_rate"], rate, "{arm}");
        let path = format!("/api/v1/executions?workflow_id=greet&variant={name}");
        let (_, list) = server.get(&path).await;
        let listed = list["executions"].as_array().expect("runs").len() as u64;
        assert_eq!(listed, expected[name]);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_rollout_is_refused_with_every_place() {
    let server = server_with_revisions(1).await;
    let before = server.records().await;
    let wish = json!({
        "stable": 1.5,
        "candidate": 7,
        "percent": 0.001,
        "variants": [{ "name": "b", "revision": 1, "percent": 101 }, 3],
        "beta": { "tags": [7], "friends": [] },
        "pecent": 1,
    });
    let (status, refused) = put(&server, &wish).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{refused}");
    let problems = refused["details"]["problems"].as_array().expect("problems");
    let mut paths: Vec<_> =
        problems.iter().map(|own| own["path"].as_str().expect("a path")).collect();
    paths.sort_unstable();
    let expected = [
        "beta.friends",
        "beta.tags[0]",
        "candidate",
        "pecent",
        "percent",
        "stable",
        "variants[0].percent",
        "variants[1]",
    ];
    assert_eq!(paths, expected);
    let wish = json!({ "stable": 2, "candidate": 1, "percent": 100 });
    let (status, refused) = put(&server, &wish).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{refused}");
    assert_eq!(refused["details"]["problems"][0]["path"], "stable");
    for (method, below) in [(Method::PUT, ""), (Method::DELETE, ""), (Method::POST, "/kill")] {
        let path = format!("/api/v1/workflows/nobody/rollout{below}");
        let (status, _) = answer(server.request(method, &path).json(&json!({ "stable": 1 }))).await;
        let refused = [StatusCode::NOT_FOUND, StatusCode::UNPROCESSABLE_ENTITY];
        assert!(refused.contains(&status), "{path}: {status}");
    }
    assert_eq!(server.get("/api/v1/workflows/nobody/rollout").await.0, StatusCode::NOT_FOUND);
    assert_eq!(server.records().await, before, "nothing was recorded");
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
fn a_rollout_survives_a_kill_and_is_operated_from_the_command_line() {
    let folder = folder();
    let data = folder.path().join("data");
    let (mut server, url) = serve(&data);
    for number in 1..=2 {
        let file = folder.path().join(format!("{number}.yaml"));
        std::fs::write(&file, revision(number)).expect("a file");
        command(&url, &["submit", file.to_str().expect("UTF-8")]);
    }
    let set = ["rollout", "set", "greet", "--stable", "1", "--candidate", "2", "--percent", "100"];
    let shown = command(&url, &set);
    assert!(shown.contains("candidate  2         100"), "{shown}");
    server.kill().expect("it runs");
    server.wait().expect("it ended");
    let (mut server, url, _) = serve_again(&data);
    let shown = command(&url, &["rollout", "show", "greet"]);
    assert!(shown.contains("candidate  2         100"), "{shown}");
    let shown = command(&url, &["rollout", "kill", "greet", "--reason", "it burns"]);
    assert!(shown.starts_with("killed at ") && shown.contains("(it burns)"), "{shown}");
    server.kill().expect("it runs");
    server.wait().expect("it ended");
    let (mut server, url, _) = serve_again(&data);
    let shown = command(&url, &["rollout", "show", "greet"]);
    assert!(shown.starts_with("killed at "), "{shown}");
    let shown = command(&url, &["rollout", "end", "greet"]);
    assert!(shown.contains("new runs get the newest revision"), "{shown}");
    server.kill().expect("it runs");
    server.wait().expect("it ended");
}
