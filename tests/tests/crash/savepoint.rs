//! A run that is rolled back to a step, through kills: what builds on the step is undone once and
//! done anew once, under keys of its own, and what does not is not touched.

use std::path::Path;

use backstitch_tests::http::Connection;
use backstitch_tests::server::Server;
use serde_json::{Value, json};

use super::clients::get;
use super::scene::{bookkeeper, send, start_connected};

/// `who` is the savepoint; `mail` has nothing to do with it. An undo of `seat` is refused.
fn trip(url: &str) -> Value {
    let call = |path: &str| {
        let with = json!({ "method": "POST", "url": format!("{url}{path}"), "body": {} });
        json!({ "type": "http", "retry": "none", "with": with })
    };
    let step = |id: &str, needs: &[&str], undo: &str| {
        // What a kill takes is tried again, under the same key.
        let with = call("/do")["with"].take();
        json!({ "id": id, "needs": needs, "type": "http", "with": with, "undo": call(undo) })
    };
    json!({ "id": "trip", "steps": [
        step("who", &[], "/undo"),
        step("seat", &["who"], "/refuse"),
        step("pay", &["seat"], "/undo"),
        step("mail", &[], "/undo"),
        { "id": "go", "type": "wait", "needs": ["pay"], "with": { "signal": "go" } },
    ]})
}

struct Desk {
    server: Server,
    connection: Connection,
    run: String,
}

impl Desk {
    /// Killed right behind the last answer: what was answered must be there again.
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

    async fn post(&mut self, below: &str, body: Value) -> Value {
        let path = format!("{}/{below}", self.run);
        send(&mut self.connection, "POST", &path, &body).await
    }
}

#[test]
fn a_run_that_is_rolled_back_to_a_step_survives_kills() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    runtime.block_on(async {
        let folder = tempfile::tempdir().expect("a folder for the data");
        let folder = folder.path();
        let (url, books) = bookkeeper().await;
        let (server, mut connection) = start_connected(folder, &[]).await;
        send(&mut connection, "POST", "/api/v1/workflows", &trip(&url)).await;
        let path = "/api/v1/workflows/trip/execute";
        let begun = send(&mut connection, "POST", path, &json!({})).await;
        let id = begun["execution_id"].as_str().expect("an id").to_owned();
        let run = format!("/api/v1/executions/{id}");
        let mut desk = Desk { server, connection, run };
        let waits = |own: &Value| {
            own["steps"]["go"]["status"] == "waiting" && own["steps"]["mail"]["output"].is_object()
        };
        desk.until(waits).await;
        desk.post("signals/go", json!({ "payload": 1 })).await;
        desk.until(|own| own["status"] == "completed").await;

        let words = json!({ "to": "who", "reason": "wrong dates" });
        desk.post("rollback", words.clone()).await;
        desk = desk.killed(folder).await;
        let shown = desk.until(|own| own["status"] == "suspended").await;
        assert_eq!(shown["suspended"]["reason"], "undo", "{shown:#}");
        assert_eq!(shown["rollback"]["to"], "who", "{shown:#}");
        assert_eq!(shown["steps"]["pay"]["status"], "undone", "{shown:#}");
        desk.post("rollback", words).await;

        desk = desk.killed(folder).await;
        let settled = json!({ "step": "seat", "note": "by telephone" });
        desk.post("undos/done", settled).await;
        desk = desk.killed(folder).await;
        let shown = desk.until(waits).await;
        for (step, round) in [("who", 1), ("seat", 2), ("pay", 2), ("mail", 1)] {
            assert_eq!(shown["steps"][step]["round"], round, "{step}: {shown:#}");
        }
        assert_eq!(shown["rollback"], Value::Null, "{shown:#}");
        let letters = get(&mut desk.connection, "/api/v1/dlq?status=open").await;
        assert_eq!(letters["letters"], json!([]), "it was settled");
        desk.post("signals/go", json!({ "payload": 2 })).await;
        desk = desk.killed(folder).await;
        let shown = desk.until(|own| own["status"] == "completed").await;
        assert_eq!(shown["steps"]["go"]["output"]["payload"], 2, "{shown:#}");
        let found = get(&mut desk.connection, "/api/v1/audit?action=execution.rolled_back").await;
        let rows = found["audit"].as_array().expect("rows");
        assert_eq!(rows.len(), 1, "a repeat is nothing: {found:#}");
        desk.server.kill().expect("a child of ours can be killed");

        let books = books.lock().expect("no panic");
        let done = ["mail/1", "pay/1", "pay/2", "seat/1", "seat/2", "who/1"];
        let done: Vec<_> = done.iter().map(|own| format!("{id}/{own}")).collect();
        assert!(books.done.iter().eq(&done), "{:?}", books.done);
        assert!(books.undone.iter().eq([&format!("{id}/pay/1/undo")]), "{:?}", books.undone);
    });
}
