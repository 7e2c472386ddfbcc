//! What people say became of undos, over HTTP and from the command line.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::control::backstitch;
use crate::server::Server;

/// `mail` acts and has no undo, `seat` has one that fails as long as the input says so.
const TRIP: &str = "
id: trip
on_no_undo: suspend
compensation_timeout: 1d
steps:
  - { id: seat, type: noop, undo: { type: noop, retry: none, with: { fail: { permanent: true } } } }
  - { id: mail, type: noop, needs: [seat] }
  - { id: last, type: noop, needs: [mail], retry: none, undo: none, with: { fail: { permanent: true } } }
";

async fn begin(server: &Server) -> String {
    let (status, run) = server.post("/api/v1/workflows/trip/execute", &json!({})).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{run}");
    run["execution_id"].as_str().expect("an id").to_owned()
}

/// Waits until the run shows what is wanted.
async fn until(server: &Server, run: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    loop {
        let (status, shown) = server.get(&format!("/api/v1/executions/{run}")).await;
        assert_eq!(status, StatusCode::OK, "{shown}");
        if wanted(&shown) {
            return shown;
        }
    }
}

async fn say(server: &Server, run: &str, verb: &str, body: Value) -> (StatusCode, Value) {
    server.post(&format!("/api/v1/executions/{run}/undos/{verb}"), &body).await
}

fn is_held(shown: &Value) -> bool {
    shown["steps"]["mail"]["undo"]["status"] == "waiting"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_step_and_a_failed_undo_are_settled_by_hand() {
    let server = Server::start().await;
    server.define(TRIP).await;
    let run = begin(&server).await;
    let held = until(&server, &run, is_held).await;
    assert_eq!(held["status"], "compensating");
    let (_, why) = server.get(&format!("/api/v1/executions/{run}/why")).await;
    let kinds: Vec<_> = why["blockers"].as_array().expect("a list").iter().collect();
    assert!(kinds.iter().any(|own| own["kind"] == "undo_by_hand"), "{why}");
    assert!(kinds.iter().any(|own| own["kind"] == "compensation_timeout"), "{why}");

    let (status, refused) = say(&server, &run, "done", json!({})).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "a note is required: {refused}");
    let unknown = json!({ "step": "nobody", "note": "n" });
    assert_eq!(say(&server, &run, "done", unknown).await.0, StatusCode::NOT_FOUND);
    let body = json!({ "step": "mail", "note": "they know" });
    assert_eq!(say(&server, &run, "accept", body).await.0, StatusCode::ACCEPTED);
    until(&server, &run, |own| own["status"] == "compensation_failed").await;

    let (status, refused) = say(&server, &run, "set-aside", json!({ "note": "n" })).await;
    assert_eq!((status.as_u16(), refused["error_code"].as_str()), (409, Some("UNDO_NOT_OPEN")));
    let body = json!({ "note": "cancelled by telephone" });
    assert_eq!(say(&server, &run, "done", body).await.0, StatusCode::ACCEPTED);
    let ended = until(&server, &run, |own| own["status"] == "compensated").await;
    let by_hand = &ended["steps"]["seat"]["undo"]["by_hand"];
    assert_eq!(
        (&by_hand["settlement"], &by_hand["note"]),
        (&json!("done"), &json!("cancelled by telephone"))
    );
    assert_eq!(ended["steps"]["mail"]["status"], "succeeded", "what it did stays");
    let (_, audit) = server.get("/api/v1/audit?action=undos.settled").await;
    let rows = audit.to_string();
    assert!(rows.contains("they know") && rows.contains("cancelled by telephone"), "{rows}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_step_is_held_still_after_a_restart() {
    let server = Server::start().await;
    server.define(TRIP).await;
    let run = begin(&server).await;
    until(&server, &run, is_held).await;
    let server = Server::start_in(server.stop().await).await;
    until(&server, &run, is_held).await;
    let url = server.url.clone();
    let arguments = ["undo", &run, "set-aside", "--step", "mail", "--note", "tomorrow"];
    let arguments: Vec<_> = arguments.iter().map(|own| (*own).to_owned()).collect();
    let output = tokio::task::spawn_blocking(move || backstitch(&arguments, &url)).await;
    let output = output.expect("no panic");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let ended = until(&server, &run, |own| own["status"] == "compensation_failed").await;
    assert_eq!(ended["steps"]["mail"]["undo"]["error"]["error_code"], "NO_UNDO");
    server.stop().await;
}
