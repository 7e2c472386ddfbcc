//! A payment of which nobody knows whether it was made, through kills: the bank is asked by its key until
//! it answers, what it finds is refunded once, and what it does not find is left alone.

use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::{Json, Router};
use backstitch_tests::http::Connection;
use backstitch_tests::server::Server;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::clients::get;
use super::scene::{send, start_connected};

/// What the bank was asked for.
#[derive(Default)]
struct Bank {
    /// Keys of payments, made or not.
    paid: Vec<String>,
    /// What was asked by, and the keys of those calls.
    asked: Vec<(String, String)>,
    /// What was refunded.
    refunded: Vec<String>,
    /// Whether it answers when it is asked.
    answers: bool,
}

type Shared = Arc<Mutex<Bank>>;

/// Takes payments and never answers; one below `/made` is made.
async fn answer(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> (StatusCode, Json<Value>) {
    let key = headers.get("idempotency-key").and_then(|own| own.to_str().ok()).unwrap_or_default();
    let (key, path) = (key.to_owned(), uri.path().to_owned());
    let found = {
        let mut bank = shared.lock().expect("no panic");
        if method == Method::GET {
            let by = uri.query().unwrap_or_default().replace("%2F", "/");
            bank.asked.push((by, key));
            bank.answers.then(|| path == "/made")
        } else if path.starts_with("/refund/") {
            bank.refunded.push(path);
            Some(true)
        } else {
            bank.paid.push(key);
            None
        }
    };
    match found {
        None => std::future::pending().await,
        Some(true) => (StatusCode::OK, Json(json!({ "id": "p-1" }))),
        Some(false) => (StatusCode::NOT_FOUND, Json(Value::Null)),
    }
}

async fn bank() -> (String, Shared) {
    let shared = Shared::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}", listener.local_addr().expect("it has an address"));
    let router = Router::new().fallback(answer).with_state(shared.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, shared)
}

fn workflow(id: &str, url: &str) -> Value {
    let post = |path: &str| json!({ "method": "POST", "url": format!("{url}/{path}") });
    let query = json!({ "key": "{{ steps.pay.idempotency_key }}" });
    let find = json!({ "url": format!("{url}/{id}"), "query": query });
    json!({ "id": id, "steps": [{
        "id": "pay", "type": "http", "retry": "none", "timeout": "100ms", "with": post(id),
        "undo": { "type": "http", "with": post("refund/{{ steps.pay.output.body.id }}") },
        "check": { "type": "http", "with": find, "timeout": "1h" },
    }]})
}

struct Desk {
    server: Server,
    connection: Connection,
    run: String,
}

impl Desk {
    async fn killed(self, folder: &Path) -> Self {
        self.server.kill().expect("a child of ours can be killed");
        let (server, connection) = start_connected(folder, &[]).await;
        Self { server, connection, ..self }
    }

    async fn until(&mut self, holds: impl Fn(&Value) -> bool) -> Value {
        loop {
            let shown = get(&mut self.connection, &self.run).await;
            if holds(&shown) {
                return shown;
            }
        }
    }
}

/// A run of such a workflow, killed while the bank is asked, until it has ended.
async fn run(id: &str) -> (String, Value, Shared) {
    let folder = tempfile::tempdir().expect("a folder for the data");
    let folder = folder.path();
    let (url, shared) = bank().await;
    let (server, mut connection) = start_connected(folder, &[]).await;
    send(&mut connection, "POST", "/api/v1/workflows", &workflow(id, &url)).await;
    let path = format!("/api/v1/workflows/{id}/execute");
    let begun = send(&mut connection, "POST", &path, &json!({})).await;
    let execution = begun["execution_id"].as_str().expect("an id").to_owned();
    let mut desk = Desk { server, connection, run: format!("/api/v1/executions/{execution}") };
    let asked = |times: usize| shared.lock().expect("no panic").asked.len() >= times;
    desk.until(|_| asked(1)).await;
    let shown = desk.until(|own| own["steps"]["pay"]["undo"]["status"] == "checking").await;
    assert_eq!(shown["status"], "compensating", "{shown:#}");
    let plan = get(&mut desk.connection, &format!("{}/rollback", desk.run)).await;
    assert_eq!(plan["undos"][0]["asked_first"]["type"], "http", "{plan:#}");
    shared.lock().expect("no panic").answers = true;
    let mut desk = desk.killed(folder).await;
    let shown = desk.until(|own| own["completed_at"].is_string()).await;
    desk.server.kill().expect("a child of ours can be killed");
    (execution, shown, shared)
}

#[test]
fn a_bank_is_asked_again_after_a_kill_and_what_it_finds_is_refunded() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    runtime.block_on(async {
        let (id, shown, shared) = run("made").await;
        assert_eq!(shown["status"], "compensated", "{shown:#}");
        let undo = &shown["steps"]["pay"]["undo"];
        assert_eq!(undo["check"]["took_effect"], true, "{shown:#}");
        assert_eq!((&undo["attempts"], &undo["check"]["attempts"]), (&json!(1), &json!(2)));
        {
            let bank = shared.lock().expect("no panic");
            let question = (format!("key={id}/pay/1"), format!("{id}/pay/1/check"));
            assert_eq!(bank.asked, [question.clone(), question], "twice, under one key");
            assert_eq!(bank.paid, [format!("{id}/pay/1")]);
            assert_eq!(bank.refunded, ["/refund/p-1"]);
        }

        let (_, shown, shared) = run("lost").await;
        assert_eq!(shown["status"], "compensated", "{shown:#}");
        let undo = &shown["steps"]["pay"]["undo"];
        assert_eq!((&undo["status"], &undo["attempts"]), (&json!("skipped"), &json!(0)));
        assert_eq!(undo["check"]["took_effect"], false, "{shown:#}");
        assert_eq!(shared.lock().expect("no panic").refunded, [""; 0]);
    });
}
