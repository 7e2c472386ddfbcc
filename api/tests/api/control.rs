//! What people and signals do to a run, over HTTP and from the command line.

use std::io::Read as _;
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use backstitch_api::Settings;
use backstitch_saga::Shutdown;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::server::{Server, settings};

const APPROVAL: &str = "
id: approval
steps:
  - { id: approved, type: wait, with: { signal: 'go {{ input.n }}', timeout: 2d } }
  - { id: then, type: noop, needs: [approved], with: { output: '{{ steps.approved.output.payload }}' } }
outputs: { by: '{{ steps.then.output.by }}' }
";
const RETURNED: &str = "
id: returned
rollback_window: 1d
steps:
  - { id: bought, type: noop, with: { output: { n: 3 } }, undo: { type: noop, with: { output: '{{ steps.bought.output.n }}' } } }
  - { id: told, type: noop, needs: [bought] }
";
const SUSPENDING: &str = "
id: suspending
on_failure: suspend
steps:
  - { id: bad, type: noop, retry: none, with: { fail: { permanent: true } }, undo: { type: noop } }
  - { id: last, type: noop, needs: [bad] }
outputs: { x: '{{ steps.bad.output.x }}' }
";

async fn begin(server: &Server, workflow: &str, input: Value) -> String {
    let path = format!("/api/v1/workflows/{workflow}/execute");
    let (status, run) = server.post(&path, &json!({ "input": input })).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{run}");
    run["execution_id"].as_str().expect("an id").to_owned()
}

async fn act(server: &Server, run: &str, below: &str, body: Value) -> (StatusCode, Value) {
    server.post(&format!("/api/v1/executions/{run}/{below}"), &body).await
}

/// Waits until the run has a status.
async fn until(server: &Server, run: &str, wanted: &str) -> Value {
    loop {
        let (status, run) = server.get(&format!("/api/v1/executions/{run}")).await;
        assert_eq!(status, StatusCode::OK, "{run}");
        if run["status"] == wanted {
            return run;
        }
        assert!(run["completed_at"].is_null(), "{wanted} never came: {run}");
    }
}

fn code(answer: &(StatusCode, Value)) -> (u16, &str) {
    (answer.0.as_u16(), answer.1["error_code"].as_str().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_is_kept_through_pause_and_restart_and_taken_once() {
    let server = Server::start().await;
    server.define(APPROVAL).await;
    let run = begin(&server, "approval", json!({ "n": 1 })).await;
    let (status, paused) = act(&server, &run, "pause", json!({ "reason": "lunch" })).await;
    assert_eq!((status, &paused["status"]), (StatusCode::ACCEPTED, &json!("suspended")));
    let signal = json!({ "payload": { "by": "ann" }, "id": "s-1" });
    for _ in 0..2 {
        let (status, sent) = act(&server, &run, "signals/go%201", signal.clone()).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{sent}");
    }
    let server = Server::start_in(server.stop().await).await;
    let (_, shown) = server.get(&format!("/api/v1/executions/{run}")).await;
    assert_eq!(shown["suspended"]["reason"], "pause");
    assert_eq!(shown["signals"].as_array().map(Vec::len), Some(1), "a repeat is one signal");
    let (_, why) = server.get(&format!("/api/v1/executions/{run}/why")).await;
    assert_eq!(why["blockers"][0]["kind"], "paused");
    let said = why["summary"].as_str().expect("a sentence");
    assert!(said.starts_with("paused by anonymous since ") && said.ends_with("lunch"), "{said}");
    let (status, _) = act(&server, &run, "resume", json!({})).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let ended = until(&server, &run, "completed").await;
    assert_eq!(ended["output"], json!({ "by": "ann" }));
    assert_eq!(ended["steps"]["approved"]["output"]["signal"], "go 1");
    let late = act(&server, &run, "signals/go", json!({})).await;
    assert_eq!(code(&late), (409, "EXECUTION_ENDED"));
    let (_, why) = server.get(&format!("/api/v1/executions/{run}/why")).await;
    assert_eq!(why["blockers"], json!([]), "{why}");
    let (_, audit) = server.get(&format!("/api/v1/audit?target={run}")).await;
    let rows = audit["audit"].as_array().expect("rows").iter();
    let actions: Vec<_> = rows.map(|row| row["action"].as_str().expect("a word")).collect();
    assert_eq!(actions, ["execution.resumed", "execution.signalled", "execution.paused"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_run_is_settled_by_hand() {
    let server = Server::start().await;
    server.define(SUSPENDING).await;
    let run = begin(&server, "suspending", json!({})).await;
    let suspended = until(&server, &run, "suspended").await;
    let letter = suspended["dead_letters"][0]["letter_id"].as_str().expect("a letter");
    let refused = act(&server, &run, "resume", json!({})).await;
    assert_eq!(
        (code(&refused), &refused.1["details"]["step"]),
        ((409, "STEPS_FAILED"), &json!("bad"))
    );
    let refused = act(&server, &run, "pause", json!({})).await;
    assert_eq!(code(&refused), (409, "EXECUTION_NOT_PAUSABLE"));
    let unknown = act(&server, &run, "steps/none/skip", json!({})).await;
    assert_eq!(code(&unknown), (404, "STEP_NOT_FOUND"));
    let body = json!({ "output": { "x": 7 }, "reason": "done by phone" });
    let (status, _) = act(&server, &run, "steps/bad/set-output", body).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let again = act(&server, &run, "steps/bad/skip", json!({})).await;
    assert_eq!(code(&again), (409, "STEP_NOT_OPEN"));
    let (_, resolved) = server.get(&format!("/api/v1/dlq/{letter}")).await;
    assert_eq!(
        (&resolved["status"], &resolved["settled"]["reason"]),
        (&json!("resolved"), &json!("done by phone"))
    );
    let (_, listed) = server.get("/api/v1/dlq?status=resolved").await;
    assert_eq!(listed["letters"][0]["letter_id"], letter);
    act(&server, &run, "resume", json!({})).await;
    let ended = until(&server, &run, "completed").await;
    assert_eq!(
        (&ended["output"], &ended["steps"]["bad"]["by_hand"]),
        (&json!({ "x": 7 }), &json!(true))
    );

    let run = begin(&server, "suspending", json!({})).await;
    until(&server, &run, "suspended").await;
    let (_, plan) = server.get(&format!("/api/v1/executions/{run}/rollback")).await;
    assert_eq!((&plan["status"], &plan["undos"]), (&json!("suspended"), &json!([])));
    act(&server, &run, "rollback", json!({})).await;
    until(&server, &run, "failed").await;
    let refused = act(&server, &run, "rollback", json!({})).await;
    assert_eq!(code(&refused), (409, "EXECUTION_ENDED"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_completed_run_is_rolled_back_as_its_plan_said() {
    let server = Server::start().await;
    server.define(RETURNED).await;
    let run = begin(&server, "returned", json!({})).await;
    until(&server, &run, "completed").await;
    let path = format!("/api/v1/executions/{run}/rollback");
    let (status, plan) = server.get(&path).await;
    assert_eq!(status, StatusCode::OK, "{plan}");
    assert_eq!(plan["undos"][0]["input"], json!({ "output": 3 }));
    assert_eq!(plan["left"], json!([{ "step": "told", "why": "it has no undo" }]));
    let (status, _) = act(&server, &run, "rollback", json!({ "reason": "sent back" })).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let undone = loop {
        let (_, shown) = server.get(&format!("/api/v1/executions/{run}")).await;
        if shown["status"] == "compensated" {
            break shown;
        }
        assert_ne!(shown["status"], "compensation_failed", "{shown}");
    };
    assert_eq!(undone["steps"]["bought"]["undo"]["input"], plan["undos"][0]["input"]);
    let (_, audit) = server.get("/api/v1/audit").await;
    assert!(audit.to_string().contains("sent back"), "{audit}");
    let again = act(&server, &run, "rollback", json!({})).await;
    assert_eq!(code(&again), (409, "EXECUTION_ENDED"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_cancel_stops_an_attempt_that_hangs() {
    let hanging = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = hanging.local_addr().expect("bound");
    let server = Server::start().await;
    server
        .define(&format!(
            "
id: hanging
steps:
  - id: hang
    type: http
    with: {{ url: 'http://{address}/' }}
    timeout: 1d
    undo: {{ type: noop }}
"
        ))
        .await;
    let run = begin(&server, "hanging", json!({})).await;
    let accept = move || hanging.accept().expect("the attempt connects").0;
    let mut attempt = tokio::task::spawn_blocking(accept).await.expect("no panic");
    let (_, why) = server.get(&format!("/api/v1/executions/{run}/why")).await;
    assert_eq!(why["blockers"][0]["kind"], "running", "{why}");
    let (status, _) = act(&server, &run, "cancel", json!({ "force": true })).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let ended = until(&server, &run, "cancelled").await;
    assert_eq!(ended["cancel"]["force"], true);
    assert_eq!(ended["steps"]["hang"]["undo"]["status"], "succeeded", "its outcome is unknown");
    let read = move || attempt.read_to_end(&mut Vec::new());
    // The connection ends, well before the attempt's timeout of a day.
    drop(tokio::task::spawn_blocking(read).await.expect("no panic"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_operates_runs() {
    let server = Server::start().await;
    server.define(APPROVAL).await;
    server.define(SUSPENDING).await;
    let url = server.url.clone();
    let tell = move |arguments: &[&str]| {
        let arguments: Vec<_> = arguments.iter().map(|own| (*own).to_owned()).collect();
        let url = url.clone();
        tokio::task::spawn_blocking(move || backstitch(&arguments, &url))
    };
    let said = async |arguments: &[&str]| {
        let output = tell(arguments).await.expect("no panic");
        let (text, words) = (output.stdout, String::from_utf8_lossy(&output.stderr).into_owned());
        assert!(output.status.success(), "{arguments:?}: {words}");
        String::from_utf8(text).expect("a text")
    };
    let run = begin(&server, "approval", json!({ "n": 1 })).await;
    assert!(said(&["list", "--active"]).await.contains(&run));
    assert_eq!(
        said(&["pause", &run, "--reason", "lunch"]).await.trim(),
        format!("{run}: suspended")
    );
    assert!(said(&["why", &run]).await.contains("because: lunch"));
    assert!(said(&["get", &run]).await.contains("pause since"));
    said(&["resume", &run]).await;
    assert!(said(&["why", &run]).await.contains("waits for the signal `go 1`"));
    said(&["signal", &run, "go 1", "--payload", "{\"by\":\"bob\"}"]).await;
    until(&server, &run, "completed").await;
    let shown: Value = serde_json::from_str(&said(&["get", &run, "--json"]).await).expect("JSON");
    assert_eq!(shown["output"]["by"], "bob");
    assert_eq!(said(&["list", "--active"]).await.trim(), "no runs");

    let run = begin(&server, "suspending", json!({})).await;
    until(&server, &run, "suspended").await;
    assert!(said(&["retry", &run]).await.contains("retried by"));
    until(&server, &run, "suspended").await;
    said(&["set-output", &run, "bad", "--output", "{\"x\":1}"]).await;
    said(&["skip-step", &run, "last"]).await;
    said(&["resume", &run]).await;
    until(&server, &run, "completed").await;

    let run = begin(&server, "suspending", json!({})).await;
    until(&server, &run, "suspended").await;
    assert!(said(&["rollback", &run, "--preview"]).await.contains("nothing would be undone"));
    said(&["rollback", &run]).await;
    until(&server, &run, "failed").await;
    let refused = tell(&["cancel", &run, "--force"]).await.expect("no panic");
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("EXECUTION_ENDED"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_cancels_what_runs_if_it_is_told_to() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settings = Settings { shutdown: Shutdown::Cancel, ..settings(&folder) };
    let server = Server::start_with(settings, folder).await;
    server.define(APPROVAL).await;
    let run = begin(&server, "approval", json!({ "n": 1 })).await;
    let server = Server::start_in(server.stop().await).await;
    let ended = until(&server, &run, "cancelled").await;
    assert_eq!(ended["cancel"]["reason"], "shutdown");
    let kept = begin(&server, "approval", json!({ "n": 1 })).await;
    let server = Server::start_in(server.stop().await).await;
    until(&server, &kept, "running").await;
    server.stop().await;
}

pub fn backstitch(arguments: &[String], url: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backstitch"));
    command.args(arguments).env("ORCHESTRATOR_URL", url).env_remove("BACKSTITCH_SERVER");
    command.stdin(Stdio::null()).output().expect("the program starts")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_to_a_partition_that_there_is_not_is_refused() {
    let server = Server::start().await;
    let lost = format!("exec_ffff{}", "0".repeat(32));
    let step = format!("{{ id: a, type: signal, with: {{ execution: {lost}, name: go }} }}");
    server.define(&format!("id: lost\nsteps: [{step}]\n")).await;
    let run = begin(&server, "lost", json!({})).await;
    let ended = until(&server, &run, "failed").await;
    assert_eq!(ended["steps"]["a"]["error"]["error_code"], "MESSAGE_REFUSED", "{ended}");
}
