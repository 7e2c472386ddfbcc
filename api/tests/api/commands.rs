//! The command line against a server: what it asks for, and what it says.

use std::fs;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{backstitch, folder};
use crate::server::{Server, answer};

/// Two steps, the second of which fails, and so does the undo of the first.
const STUCK: &str = "
id: stuck
steps:
  - { id: held, type: noop, undo: { type: noop, retry: none, with: { fail: { permanent: true } } } }
  - { id: last, type: noop, needs: [held], retry: none, with: { fail: { permanent: true } } }
";

/// Says what it is given.
const ECHO: &str = "
id: echo
variables: { greeting: hello }
input_schema: { type: object, properties: { name: { type: string } } }
steps:
  - { id: say, type: noop, with: { output: { said: '{{ variables.greeting }} {{ input.name }}' } } }
  - { id: end, type: noop, needs: [say] }
outputs: { said: '{{ steps.say.output.said }}' }
";

/// What a command came to: its exit code, and what it wrote.
struct Said {
    code: Option<i32>,
    out: String,
    error: String,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("no JSON: {}", self.out))
    }

    #[track_caller]
    fn done(self) -> Self {
        assert_eq!(self.code, Some(0), "{} {}", self.out, self.error);
        self
    }

    #[track_caller]
    fn failed(self, code: i32, words: &str) -> Self {
        assert_eq!(self.code, Some(code), "{} {}", self.out, self.error);
        assert!(self.error.contains(words), "{}", self.error);
        self
    }
}

async fn tell(server: &Server, arguments: &[&str]) -> Said {
    let mut command = backstitch(arguments);
    command.env("BACKSTITCH_SERVER", &server.url);
    let output = tokio::task::spawn_blocking(move || command.output().expect("it starts"));
    let output = output.await.expect("no panic");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Said { code: output.status.code(), out: text(output.stdout), error: text(output.stderr) }
}

fn file(folder: &TempDir, name: &str, content: &str) -> String {
    let path = folder.path().join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(&path, content).expect("a file");
    path.to_str().expect("UTF-8").to_owned()
}

async fn runs(server: &Server) -> usize {
    let (_, list) = server.get("/api/v1/executions").await;
    list["executions"].as_array().expect("a list").len()
}

/// The open letters of a run that has ended, by their kinds.
async fn open(server: &Server, run: &str) -> Vec<(String, String)> {
    let (_, shown) = server.get(&format!("/api/v1/executions/{run}")).await;
    let letters = shown["dead_letters"].as_array().cloned().unwrap_or_default();
    let text = |own: &Value| own.as_str().expect("a text").to_owned();
    let open = letters.iter().filter(|own| own["status"] == "open");
    open.map(|own| (text(&own["kind"]), text(&own["letter_id"]))).collect()
}

async fn until(server: &Server, run: &str, holds: impl Fn(&Value) -> bool) {
    loop {
        let (_, shown) = server.get(&format!("/api/v1/executions/{run}")).await;
        if holds(&shown) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retrying_a_run_begins_no_other_run_unless_it_is_asked_for() {
    let server = Server::start().await;
    server.define(STUCK).await;
    let ended = server.run("stuck", &json!({})).await;
    assert_eq!(ended["status"], "compensation_failed", "{ended}");
    let run = ended["execution_id"].as_str().expect("an id");
    for arguments in [&["retry", run][..], &["retry", run, "--new-run"]] {
        let said = tell(&server, arguments).await.done();
        let lines: Vec<_> = said.out.lines().collect();
        assert_eq!(lines.len(), 2, "{}", said.out);
        assert!(lines[0].contains(&format!("retried by {run}")), "{}", said.out);
        assert!(lines[1].contains("left"), "{}", said.out);
        // Its undo fails once more.
        until(&server, run, |own| {
            own["dead_letters"].as_array().is_some_and(|own| own.len() > lines.len())
                && own["status"] == "compensation_failed"
        })
        .await;
        assert_eq!(runs(&server).await, 1, "no run beside one that is not undone");
    }
    let (_, undo) = open(&server, run).await.into_iter().find(|own| own.0 == "undo").expect("one");
    tell(&server, &["dlq", "discard", &undo, "--reason", "by hand"]).await.done();
    let said = tell(&server, &["retry", run]).await.failed(1, "--new-run");
    assert_eq!(said.out, "");
    let said = tell(&server, &["retry", run, "--new-run", "--json"]).await.done().json();
    assert_eq!((&said["new_execution"], runs(&server).await), (&json!(true), 2), "{said}");
    tell(&server, &["retry", run]).await.failed(1, "no open dead letter");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_is_to_be_retried_in_place_begins_no_run() {
    let server = Server::start().await;
    server.define(STUCK).await;
    let ended = server.run("stuck", &json!({})).await;
    let run = ended["execution_id"].as_str().expect("an id");
    let letters = open(&server, run).await;
    let (_, step) = letters.iter().find(|own| own.0 == "step").expect("a step's");
    let path = format!("/api/v1/dlq/{step}/retry");
    let (status, refused) = server.post(&path, &json!({ "in_place": true })).await;
    assert_eq!(
        (status, &refused["error_code"]),
        (StatusCode::CONFLICT, &json!("DEAD_LETTER_NOT_READY"))
    );
    let (status, _) = server.post(&path, &json!({ "in_place": 1 })).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!((open(&server, run).await, runs(&server).await), (letters, 1));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_definitions_is_applied_whole_or_not_at_all() {
    let (server, folder) = (Server::start().await, folder());
    let stuck = file(&folder, "all/stuck.yaml", STUCK);
    file(&folder, "all/below/echo.yml", ECHO);
    file(&folder, "all/notes.txt", "no definition");
    let wrong = file(&folder, "all/wrong.yaml", "id: wrong\nsteps: []\n");
    let all = folder.path().join("all").to_str().expect("UTF-8").to_owned();
    let before = server.records().await;
    let said = tell(&server, &["apply", &all]).await.failed(1, "nothing was defined");
    assert!(said.out.contains("wrong.yaml") && said.out.contains("NO_STEPS"), "{}", said.out);
    let said = tell(&server, &["apply", &all, "--json"]).await.failed(1, "nothing was defined");
    assert_eq!(said.json()["refused"][0]["file"], json!(wrong));
    let twice = file(&folder, "again.yaml", STUCK);
    tell(&server, &["apply", &stuck, &twice]).await.failed(1, "both define `stuck`");
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).expect("a folder");
    tell(&server, &["apply", empty.to_str().expect("UTF-8")]).await.failed(2, "no definition");
    tell(&server, &["apply", "/nowhere/at/all.yaml"]).await.failed(2, "can't be read");
    tell(&server, &["apply"]).await.failed(2, "FILE");
    assert_eq!(server.records().await, before);
    fs::remove_file(&wrong).expect("it is there");
    let said = tell(&server, &["apply", &all, "--json"]).await.done().json();
    let rows = said["workflows"].as_array().expect("rows");
    let row = |own: &Value| (own["workflow_id"].clone(), own["created"].clone());
    let rows: Vec<_> = rows.iter().map(row).collect();
    assert_eq!(rows, [(json!("echo"), json!(true)), (json!("stuck"), json!(true))]);
    file(&folder, "all/below/echo.yml", &ECHO.replace("hello", "good day"));
    let said = tell(&server, &["apply", &all]).await.done();
    let words: Vec<Vec<_>> = said.out.lines().map(|own| own.split_whitespace().collect()).collect();
    assert_eq!(words[1][..3], ["echo", "2", "new"], "{}", said.out);
    assert_eq!(words[2][..3], ["stuck", "1", "unchanged"], "{}", said.out);
    assert_eq!(runs(&server).await, 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submission_says_what_the_api_takes_and_what_was_recorded() {
    let (server, folder) = (Server::start().await, folder());
    let echo = file(&folder, "echo.yaml", ECHO);
    let refused =
        tell(&server, &["submit", &echo, "--input", "{\"name\":1}"]).await.failed(1, "input.name");
    assert!(refused.error.contains("`echo` was defined as revision 1; no run was begun"));
    let faults = ["submit", &echo, "--fault", "step=say,kind=fail"];
    let refused = tell(&server, &faults).await.failed(1, "FAULTS_NOT_ALLOWED");
    assert!(refused.error.contains("`echo` was revision 1 before; no run was begun"));
    assert!(!refused.error.contains("nothing was recorded"), "{}", refused.error);
    assert_eq!(runs(&server).await, 0);
    let next = file(&folder, "next.yaml", &ECHO.replace("hello", "good day"));
    tell(&server, &["apply", &next]).await.done();
    let arguments = [
        "submit",
        "--workflow",
        "echo",
        "--revision",
        "1",
        "--input",
        "{\"name\":\"ann\"}",
        "--variables",
        "{\"greeting\":\"hi\"}",
        "--priority",
        "high",
        "--tag",
        "vip",
        "--tag",
        "x",
        "--correlation-id",
        "c-1",
        "--follow",
    ];
    let said = tell(&server, &arguments).await.done();
    let run = said.out.lines().next().expect("the id");
    let (_, shown) = server.get(&format!("/api/v1/executions/{run}")).await;
    assert_eq!((&shown["revision"], &shown["tags"]), (&json!(1), &json!(["vip", "x"])), "{shown}");
    assert_eq!(shown["correlation_id"], "c-1");
    assert_eq!(shown["output"], json!({ "said": "hi ann" }));
    let (_, events) = server.get(&format!("/api/v1/executions/{run}/events")).await;
    let events = events["events"].as_array().expect("a list");
    assert!(events.iter().any(|own| own["data"]["priority"] == "high"), "{events:?}");
    tell(&server, &["submit", &echo, "--revision", "1"]).await.failed(2, "--revision");
    tell(&server, &["submit"]).await.failed(2, "FILE");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_gone_on_with_from_a_version_once_for_a_key() {
    let server = Server::start().await;
    server.define(ECHO).await;
    let ended = server.run("echo", &json!({ "name": "ann" })).await;
    let run = ended["execution_id"].as_str().expect("an id");
    let arguments = [
        "rerun",
        run,
        "--version",
        "1",
        "--variables",
        "{\"greeting\":\"hi\"}",
        "--idempotency-key",
        "k-1",
        "--json",
    ];
    let first = tell(&server, &arguments).await.done().json();
    let again = tell(&server, &arguments).await.done().json();
    assert_eq!(first["execution_id"], again["execution_id"]);
    assert_eq!((&first["repeated"], &again["repeated"]), (&json!(false), &json!(true)));
    let fork = first["execution_id"].as_str().expect("an id");
    until(&server, fork, |own| own["status"] == "completed").await;
    let (_, shown) = server.get(&format!("/api/v1/executions/{fork}")).await;
    assert_eq!(shown["output"], json!({ "said": "hi ann" }), "nothing had settled by then");
    tell(&server, &["rerun", run]).await.failed(2, "--from");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_at_a_server_meets_past_runs_and_revisions() {
    let (server, folder) = (Server::start().await, folder());
    server.define(ECHO).await;
    let ended = server.run("echo", &json!({ "name": "ann" })).await;
    let run = ended["execution_id"].as_str().expect("an id");
    let next = file(&folder, "next.yaml", &ECHO.replace("hello", "good day"));
    let before = server.records().await;
    let said = tell(&server, &["dry-run", "--workflow", "echo", "--input-of", run]).await.done();
    assert!(said.out.contains(&format!("as in {run}: every step did the same")), "{}", said.out);
    let arguments = ["dry-run", &next, "--input-of", run];
    let said = tell(&server, &arguments).await.failed(1, "the run would end: failed");
    let words = format!("differs from {run}, first in step say");
    assert!(said.out.contains(&words) && said.out.contains("given something else"), "{}", said.out);
    let at = ["dry-run", "--workflow", "echo", "--revision", "1"];
    let arguments =
        [&at[..], &["--recorded", run, "--input", "{\"name\":\"bob\"}", "--json"]].concat();
    let said = tell(&server, &arguments).await.done().json();
    assert_eq!((&said["output"], &said["unmocked"]), (&ended["output"], &json!([])));
    let arguments = ["dry-run", "--workflow", "echo", "--revision", "9"];
    tell(&server, &["dry-run", &next, "--revision", "1"]).await.failed(2, "--revision");
    tell(&server, &arguments).await.failed(1, "has no revision 9");
    let mocks = file(&folder, "mocks.yaml", "say: { output: { said: 7 } }\n");
    let given = ["dry-run", &next, "--input", "{\"name\":\"bob\"}"];
    let at = [&given[..], &["--mocks", &mocks, "--server", &server.url, "--json"]].concat();
    let said = tell(&server, &at).await.done().json();
    assert_eq!((&said["output"], &said["unmocked"]), (&json!({ "said": 7 }), &json!(["end"])));
    assert_eq!(server.records().await, before);
    let variables = [&given[..], &["--variables", "{\"greeting\":[]}", "--json"]].concat();
    let said = tell(&server, &variables).await.failed(1, "would end").json();
    assert_eq!(said["steps"]["say"]["input"], json!({ "output": { "said": "[] bob" } }));
    let strict = [&given[..], &["--unmocked", "fail"]].concat();
    let said = tell(&server, &strict).await.failed(1, "would end");
    assert!(said.out.contains("nothing mocks, so it failed: say"), "{}", said.out);
    assert!(!said.out.contains("made up"), "{}", said.out);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_a_table_for_people_and_the_answer_for_programs() {
    let server = Server::start().await;
    let keyed = "
id: keyed
concurrency: [{ max_runs: 1 }, { key: '{{ input.customer }}', max_runs: 2 }]
steps: [{ id: hold, type: wait, with: { signal: go } }]
";
    server.define(keyed).await;
    let mut begun = Vec::new();
    for _ in 0..2 {
        let path = "/api/v1/workflows/keyed/execute";
        let (status, run) = server.post(path, &json!({ "input": { "customer": "ann" } })).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{run}");
        begun.push(run["execution_id"].as_str().expect("an id").to_owned());
    }
    until(&server, &begun[0], |own| own["status"] == "running").await;
    let said = tell(&server, &["limits"]).await.done().out;
    let row = |begins: &str| said.lines().find(|own| own.starts_with(begins)).expect("a row");
    let own = row("runs of keyed  ");
    assert!(own.contains("1 medium") && own.contains(&begun[0]), "{said}");
    assert!(row("runs of keyed, key ann").contains(" 2 "), "{said}");
    assert!(row("runs of the node").contains("no limit"), "{said}");
    let json = tell(&server, &["limits", "--json"]).await.done().json();
    assert_eq!(json, server.get("/api/v1/limits").await.1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_refused() {
    let server = Server::start().await;
    server.define(ECHO).await;
    tell(&server, &["rollout", "kill", "echo"]).await.failed(1, "ROLLOUT_NOT_FOUND");
    tell(&server, &["rollout", "end", "echo"]).await.done();
    tell(&server, &["migrate", "echo", "--from", "9"])
        .await
        .failed(1, "from: `echo` has no revision 9");
    tell(&server, &["migrate", "echo", "--to", "9"])
        .await
        .failed(1, "to: `echo` has no revision 9");
    tell(&server, &["migrate", "echo", "--from", "1"]).await.done();
    let ended = server.run("echo", &json!({ "name": "ann" })).await;
    let run = ended["execution_id"].as_str().expect("an id");
    let path = format!("/api/v1/executions/{run}?version=");
    let (status, refused) = server.get(&format!("{path}-1")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(refused["message"].as_str().expect("words").contains("from 1 to"), "{refused}");
    let (status, _) = server.get(&format!("{path}0")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let wish = json!({ "stable": 9, "candidate": 1, "percent": 200, "variants": [7, { "name": "beta", "revision": 8, "percent": 5 }] });
    let put = server.request(Method::PUT, "/api/v1/workflows/echo/rollout").json(&wish);
    let (status, refused) = answer(put).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let problems = refused["details"]["problems"].as_array().expect("problems");
    let mut paths: Vec<_> = problems.iter().map(|own| own["path"].as_str().expect("one")).collect();
    paths.sort_unstable();
    let expected = ["percent", "stable", "variants[0]", "variants[1].name", "variants[1].revision"];
    assert_eq!(paths, expected);
    server.stop().await;
}
