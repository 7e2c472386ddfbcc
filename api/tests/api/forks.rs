//! Ended runs gone on with from a step, over HTTP, from the command line and across a kill.

use std::process::Child;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::process::{backstitch, folder, serve, serve_again};
use crate::server::Server;

const HALTING: &str = "
id: halting
on_failure: halt
steps:
  - { id: first, type: noop, with: { output: { n: '{{ input.n }}' } }, undo: { type: noop } }
  - { id: bad, type: noop, needs: [first], when: input.bad, retry: none, with: { fail: { permanent: true } } }
  - { id: then, type: noop, needs: [bad], with: { output: '{{ steps.first.output.n }}' } }
outputs: { n: '{{ steps.then.output }}' }
";

async fn begin(server: &Server, workflow: &str, input: Value) -> String {
    let path = format!("/api/v1/workflows/{workflow}/execute");
    let (status, run) = server.post(&path, &json!({ "input": input, "wait_seconds": 30 })).await;
    assert_eq!(status, StatusCode::OK, "{run}");
    run["execution_id"].as_str().expect("an id").to_owned()
}

async fn ended(server: &Server, run: &str) -> Value {
    loop {
        let (status, run) = server.get(&format!("/api/v1/executions/{run}")).await;
        assert_eq!(status, StatusCode::OK, "{run}");
        if !run["completed_at"].is_null() {
            return run;
        }
    }
}

fn failing() -> Value {
    json!({ "n": 7, "bad": true })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_run_goes_on_from_its_failed_step() {
    let server = Server::start().await;
    server.define(HALTING).await;
    let run = begin(&server, "halting", failing()).await;
    let path = format!("/api/v1/executions/{run}/fork");
    let wish = json!({ "from_step": "bad", "input": { "n": 8, "bad": false }, "reason": "mended" });
    let (status, made) = server.post(&path, &wish).await;
    assert_eq!((status, &made["forked_from"]), (StatusCode::ACCEPTED, &json!(run)), "{made}");
    let fork = made["execution_id"].as_str().expect("an id");
    let shown = ended(&server, fork).await;
    assert_eq!((&shown["status"], &shown["output"]), (&json!("completed"), &json!({ "n": 7 })));
    assert_eq!(shown["fork"]["of"]["execution_id"], run.as_str());
    assert_eq!(shown["fork"]["undone_there"], json!(["first"]));
    let (_, parent) = server.get(&format!("/api/v1/executions/{run}")).await;
    assert_eq!(parent["fork"]["forks"], json!([{ "execution_id": fork, "undoes": [] }]));
    let (_, events) = server.get(&format!("/api/v1/executions/{fork}/events")).await;
    let kinds: Vec<_> = events["events"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|own| own["type"].clone())
        .collect();
    assert_eq!(kinds[..4], ["ExecutionSubmitted", "ForkBegun", "StepKept", "ForkStarted"]);
    let (_, audit) = server.get("/api/v1/audit?action=execution.forked").await;
    let detail = audit["audit"][0]["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("mended"), "{audit}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_is_refused_with_every_reason() {
    let server = Server::start().await;
    server.define(HALTING).await;
    let run = begin(&server, "halting", failing()).await;
    let path = format!("/api/v1/executions/{run}/fork");
    let (status, refused) = server.post(&path, &json!({})).await;
    assert_eq!(
        (status, &refused["details"]["problems"][0]["path"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("from_step"))
    );
    let (status, _) = server.post(&path, &json!({ "from_step": "nowhere" })).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, _) = server.post(&path, &json!({ "version": 10_000 })).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, _) = server.post(&path, &json!({ "from_step": "then", "revision": 9 })).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    server.define("{ id: halting, steps: [{ id: then, type: noop }] }").await;
    let (status, refused) =
        server.post(&path, &json!({ "from_step": "then", "revision": 2 })).await;
    assert_eq!((status, &refused["error_code"]), (StatusCode::CONFLICT, &json!("FORK_REFUSED")));
    let why = "step `first` is kept, and the revision has no such step";
    assert_eq!(refused["details"]["reasons"], json!([why]));
    server.define("{ id: pays, steps: [{ id: pay, type: noop, replay: unsafe }] }").await;
    let paid = begin(&server, "pays", json!({})).await;
    let path = format!("/api/v1/executions/{paid}/fork");
    let (status, refused) = server.post(&path, &json!({ "from_step": "pay" })).await;
    assert_eq!((status, &refused["details"]["steps"]), (StatusCode::CONFLICT, &json!(["pay"])));
    let accepted = json!({ "from_step": "pay", "accept_unsafe": true });
    let (status, made) = server.post(&path, &accepted).await;
    assert_eq!((status, &made["warnings"][0]["step"]), (StatusCode::ACCEPTED, &json!("pay")));
    server.stop().await;
}

async fn call(request: reqwest::RequestBuilder) -> Value {
    let answer = request.send().await.expect("the server answers");
    answer.json().await.expect("JSON")
}

async fn until_ended(client: &reqwest::Client, url: &str) -> Value {
    loop {
        let run = call(client.get(url)).await;
        if !run["completed_at"].is_null() {
            return run;
        }
    }
}

fn kill(mut server: Child) {
    server.kill().expect("it runs");
    server.wait().expect("it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_survives_a_kill_and_repeats_under_its_key() {
    let folder = folder();
    let (server, url) = serve(folder.path());
    let client = crate::forms::client();
    let text = HALTING
        .replace(
            "  - { id: bad",
            "  - { id: nap, type: wait, needs: [first], with: { duration: 2s } }\n  - { id: bad",
        )
        .replace("needs: [first], when", "needs: [nap], when");
    let define = client.post(format!("{url}/api/v1/workflows"));
    call(define.header("content-type", "application/yaml").body(text)).await;
    let execute = client.post(format!("{url}/api/v1/workflows/halting/execute"));
    let run = call(execute.json(&json!({ "input": failing(), "wait_seconds": 30 }))).await;
    let run = run["execution_id"].as_str().expect("an id").to_owned();
    let wish = json!({ "from_step": "nap", "input": { "n": 1, "bad": false }, "take_over": true });
    let ask = |url: &str| {
        let fork = client.post(format!("{url}/api/v1/executions/{run}/fork"));
        fork.header("Idempotency-Key", "once").json(&wish)
    };
    let made = call(ask(&url)).await;
    assert_eq!(made["repeated"], false, "{made}");
    kill(server);
    let (server, url, recovered) = serve_again(folder.path());
    assert_eq!(recovered, 1, "the fork goes on");
    let again = call(ask(&url)).await;
    let told = (&again["repeated"], &again["execution_id"]);
    assert_eq!(told, (&json!(true), &made["execution_id"]), "{again}");
    let fork = made["execution_id"].as_str().expect("an id");
    let shown = until_ended(&client, &format!("{url}/api/v1/executions/{fork}")).await;
    assert_eq!((&shown["status"], &shown["output"]), (&json!("completed"), &json!({ "n": 7 })));
    let parent = call(client.get(format!("{url}/api/v1/executions/{run}"))).await;
    assert_eq!(parent["fork"]["forks"], json!([{ "execution_id": fork, "undoes": ["first"] }]));
    let mut again =
        backstitch(&["rerun", &run, "--from", "then", "--server", &url, "--input", "{}"]);
    let said = again.output().expect("the program starts");
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.status.success() && text.starts_with("exec_"), "{text} {said:?}");
    kill(server);
}
