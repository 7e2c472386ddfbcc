//! Undos that people settle, through kills: who waits for a person waits still, what was said
//! stays said, and the time that undos have together does not begin anew.

use std::path::Path;

use backstitch_tests::http::Connection;
use backstitch_tests::server::Server;
use serde_json::{Value, json};

use super::clients::get;
use super::scene::{bookkeeper, send, start_connected};

/// `mail` acts and has no undo, the undo of `seat` is refused, and `last` fails the run.
fn trip(url: &str) -> Value {
    let call = |path: &str| {
        let with = json!({ "method": "POST", "url": format!("{url}{path}"), "body": {} });
        json!({ "type": "http", "retry": "none", "with": with })
    };
    let step = |id: &str, path: &str, needs: &[&str], undo: Value| {
        let mut step = call(path);
        (step["id"], step["needs"]) = (json!(id), json!(needs));
        if !undo.is_null() {
            step["undo"] = undo;
        }
        step
    };
    json!({ "id": "trip", "on_no_undo": "suspend", "compensation_timeout": "1d", "steps": [
        step("seat", "/do", &[], call("/refuse")),
        step("mail", "/do", &["seat"], Value::Null),
        step("car", "/do", &["seat"], call("/undo")),
        step("last", "/refuse", &["mail", "car"], json!("none")),
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

    async fn ended(&mut self, status: &str) -> Value {
        let shown = self.until(|own| own["completed_at"].is_string()).await;
        assert_eq!(shown["status"], status, "{shown:#}");
        shown
    }

    async fn say(&mut self, verb: &str, body: Value) {
        let path = format!("{}/undos/{verb}", self.run);
        send(&mut self.connection, "POST", &path, &body).await;
    }

    /// What the run waits for of such a kind.
    async fn blocker(&mut self, kind: &str) -> Value {
        let why = get(&mut self.connection, &format!("{}/why", self.run)).await;
        let mut blockers = why["blockers"].as_array().expect("a list").iter();
        let found = blockers.find(|own| own["kind"] == kind);
        found.unwrap_or_else(|| panic!("no {kind} in {why:#}")).clone()
    }

    /// The details of the audit's rows of settled undos, the oldest first.
    async fn audited(&mut self) -> Vec<String> {
        let found = get(&mut self.connection, "/api/v1/audit?action=undos.settled").await;
        let rows = found["audit"].as_array().expect("rows").iter().rev();
        rows.map(|row| row["detail"].as_str().expect("a text").to_owned()).collect()
    }
}

#[test]
fn what_is_said_of_undos_survives_kills() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    runtime.block_on(async {
        let folder = tempfile::tempdir().expect("a folder for the data");
        let folder = folder.path();
        let (url, books) = bookkeeper().await;
        let (server, mut connection) = start_connected(folder, &[]).await;
        send(&mut connection, "POST", "/api/v1/workflows", &trip(&url)).await;
        let path = "/api/v1/workflows/trip/execute";
        let begun = send(&mut connection, "POST", path, &json!({})).await;
        let run = format!("/api/v1/executions/{}", begun["execution_id"].as_str().expect("an id"));
        let mut desk = Desk { server, connection, run };
        let held = |own: &Value| own["steps"]["mail"]["undo"]["status"] == "waiting";
        desk.until(held).await;
        let limit = desk.blocker("compensation_timeout").await;

        desk = desk.killed(folder).await;
        let shown = desk.until(held).await;
        assert_eq!(shown["steps"]["seat"]["undo"]["status"], "pending", "{shown:#}");
        assert_eq!(desk.blocker("undo_by_hand").await["subject"], "mail");
        assert_eq!(desk.blocker("compensation_timeout").await, limit, "as long as before");

        desk.say("accept", json!({ "step": "mail", "note": "they know" })).await;
        desk = desk.killed(folder).await;
        let shown = desk.ended("compensation_failed").await;
        let said = &shown["steps"]["mail"]["undo"];
        assert_eq!(
            (&said["status"], &said["by_hand"]["note"]),
            (&json!("skipped"), &json!("they know"))
        );
        assert_eq!(shown["steps"]["seat"]["undo"]["status"], "failed", "{shown:#}");
        assert_eq!(desk.audited().await.len(), 1);

        desk.say("done", json!({ "note": "by telephone" })).await;
        for _ in 0..2 {
            desk = desk.killed(folder).await;
            let shown = desk.ended("compensated").await;
            let said = &shown["steps"]["seat"]["undo"];
            let by_hand = (&said["by_hand"]["settlement"], &said["by_hand"]["note"]);
            assert_eq!(by_hand, (&json!("done"), &json!("by telephone")), "{shown:#}");
            let letters = get(&mut desk.connection, "/api/v1/dlq?kind=undo&status=open").await;
            assert_eq!(letters["letters"], json!([]), "it was settled");
            let audited = desk.audited().await;
            assert_eq!(audited.len(), 2, "{audited:?}");
            assert!(audited[0].ends_with("they know") && audited[1].ends_with("by telephone"));
        }
        desk.server.kill().expect("a child of ours can be killed");

        let books = books.lock().expect("no panic");
        assert_eq!(
            (books.done.len(), books.undone.len()),
            (3, 1),
            "only `car` is undone by a call"
        );
    });
}
