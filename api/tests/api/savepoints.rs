//! A run that is rolled back to a step and goes on, over HTTP and from the command line.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::control::backstitch;
use crate::server::Server;

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

/// What a command of the program prints.
async fn said(server: &Server, arguments: &[&str]) -> String {
    let (arguments, url) =
        (arguments.iter().map(ToString::to_string).collect::<Vec<_>>(), server.url.clone());
    let output = tokio::task::spawn_blocking(move || backstitch(&arguments, &url)).await;
    let output = output.expect("no panic");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// `who` is the savepoint; `go` waits for a signal.
const SAVED: &str = "
id: saved
steps:
  - { id: who, type: noop, undo: { type: noop } }
  - { id: seat, type: noop, needs: [who], undo: { type: noop } }
  - { id: card, type: noop, needs: [who], replay: unsafe }
  - { id: go, type: wait, needs: [seat, card], with: { signal: go } }
";

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_rolled_back_to_a_step_and_goes_on() {
    let server = Server::start().await;
    server.define(SAVED).await;
    let (_, begun) = server.post("/api/v1/workflows/saved/execute", &json!({})).await;
    let run = begun["execution_id"].as_str().expect("an id").to_owned();
    let path = format!("/api/v1/executions/{run}/rollback");
    let waits = |own: &Value| own["steps"]["go"]["status"] == "waiting";
    until(&server, &run, waits).await;
    let (status, plan) = server.get(&format!("{path}?to=who")).await;
    assert_eq!((status, &plan["to"]), (StatusCode::OK, &json!("who")), "{plan}");
    assert_eq!(plan["again"], json!(["seat", "card", "go"]), "{plan}");
    assert_eq!(plan["left"][0]["step"], "card", "{plan}");
    assert_eq!(server.get(&format!("{path}?to=nobody")).await.0, StatusCode::NOT_FOUND);
    assert_eq!(server.get(&format!("{path}?step=who")).await.0, StatusCode::BAD_REQUEST);

    let refused = |body: Value| {
        let (server, path) = (&server, &path);
        async move {
            let (status, refused) = server.post(path, &body).await;
            (status, refused["error_code"].as_str().expect("a code").to_owned())
        }
    };
    let unsafe_again = refused(json!({ "to": "who" })).await;
    assert_eq!(unsafe_again, (StatusCode::CONFLICT, "FORK_UNSAFE".to_owned()));
    let open = refused(json!({ "to": "go" })).await;
    assert_eq!(open, (StatusCode::CONFLICT, "ROLLBACK_REFUSED".to_owned()));
    let unknown = refused(json!({ "to": "nobody" })).await;
    assert_eq!(unknown, (StatusCode::NOT_FOUND, "STEP_NOT_FOUND".to_owned()));
    let number = refused(json!({ "to": 3 })).await.0;
    assert_eq!(number, StatusCode::UNPROCESSABLE_ENTITY);

    let preview = said(&server, &["rollback", &run, "--to", "who", "--preview"]).await;
    assert!(preview.contains("again  seat") && preview.contains("left  card"), "{preview}");
    let flags = ["rollback", &run, "--to", "who", "--accept-unsafe", "--reason", "wrong dates"];
    said(&server, &flags).await;
    let again = |own: &Value| waits(own) && own["steps"]["seat"]["round"] == 2;
    let shown = until(&server, &run, again).await;
    assert_eq!(shown["steps"]["who"]["round"], 1, "{shown}");
    assert_eq!((&shown["status"], &shown["rollback"]), (&json!("running"), &Value::Null));
    let (_, found) = server.get("/api/v1/audit?action=execution.rolled_back").await;
    let detail = found["audit"][0]["detail"].as_str().expect("a text");
    assert!(detail.contains("to step number 0") && detail.ends_with("wrong dates"), "{found}");
    let (_, events) = server.get(&format!("/api/v1/executions/{run}/events")).await;
    let types: Vec<_> = events["events"].as_array().expect("a list").iter().collect();
    assert!(types.iter().any(|own| own["type"] == "PartialUnwindingEnded"), "{events}");
    server.stop().await;
}
