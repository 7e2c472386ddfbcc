//! What people and signals did to runs, through kills: paused stays paused, a signal that was
//! taken in is there, a step that was settled by hand stays settled.

use std::path::Path;
use std::process::Command;

use backstitch_tests::binaries;
use backstitch_tests::http::{Connection, request};
use backstitch_tests::server::Server;
use serde_json::{Value, json};

use super::clients::{JSON, get, read};

/// Waits for two signals, one after the other, and then does something.
const WORKFLOW: &str = r#"{ "id": "held", "steps": [
    { "id": "first", "type": "wait", "with": { "signal": "go", "timeout": "1d" } },
    { "id": "second", "type": "wait", "needs": ["first"], "with": { "signal": "go" } },
    { "id": "third", "type": "wait", "needs": ["second"], "with": { "signal": "never" } },
    { "id": "last", "type": "noop", "needs": ["third"],
      "with": { "output": "{{ steps.second.output.payload }}" } }
] }"#;

struct Desk {
    server: Server,
    connection: Connection,
}

impl Desk {
    async fn open(folder: &Path) -> Self {
        let (program, words) = (Command::new(binaries::backstitch()), folder.join("server.log"));
        let server = Server::spawn(program, &folder.join("data"), &words);
        let mut server = server.expect("the server starts");
        server.ready().await.expect("the server is ready");
        let connection = Connection::open(server.address()).await.expect("the server is up");
        Self { server, connection }
    }

    /// Killed right behind the last answer: what was answered must be there again.
    async fn killed(self, folder: &Path) -> Self {
        self.server.kill().expect("a child of ours can be killed");
        Self::open(folder).await
    }

    async fn post(&mut self, path: &str, body: &Value) -> Value {
        let body = body.to_string();
        let asked = request("POST", path, &[JSON], body.as_bytes());
        let answer = self.connection.send(&asked).await.expect("an answer");
        let said = read(&answer);
        assert!((200..300).contains(&answer.status), "{path}: {said}");
        said
    }

    async fn act(&mut self, run: &str, below: &str, body: Value) {
        self.post(&format!("/api/v1/executions/{run}/{below}"), &body).await;
    }

    async fn show(&mut self, run: &str) -> Value {
        get(&mut self.connection, &format!("/api/v1/executions/{run}")).await
    }

    async fn why(&mut self, run: &str) -> Value {
        get(&mut self.connection, &format!("/api/v1/executions/{run}/why")).await
    }
}

#[test]
fn what_is_done_to_a_run_survives_kills() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    runtime.block_on(async {
        let folder = tempfile::tempdir().expect("a folder for the data");
        let folder = folder.path();
        let mut desk = Desk::open(folder).await;
        desk.post("/api/v1/workflows", &read_json(WORKFLOW)).await;
        let begun = desk.post("/api/v1/workflows/held/execute", &json!({})).await;
        let run = begun["execution_id"].as_str().expect("an id").to_owned();
        desk.act(&run, "pause", json!({ "reason": "a kill is near" })).await;
        for by in 1..=3 {
            let signal = json!({ "payload": { "by": by }, "id": format!("s-{by}") });
            desk.act(&run, "signals/go", signal).await;
            desk = desk.killed(folder).await;
        }
        desk.act(&run, "signals/go", json!({ "id": "s-2" })).await;
        let shown = desk.show(&run).await;
        assert_eq!(
            (&shown["status"], &shown["suspended"]["reason"]),
            (&json!("suspended"), &json!("pause"))
        );
        assert_eq!(shown["signals"].as_array().map(Vec::len), Some(3), "{}", shown["signals"]);

        desk.act(&run, "resume", json!({})).await;
        desk = desk.killed(folder).await;
        let shown = desk.show(&run).await;
        let by = |step: &str| shown["steps"][step]["output"]["payload"]["by"].clone();
        assert_eq!((by("first"), by("second")), (json!(1), json!(2)), "in order, each once");
        let why = desk.why(&run).await;
        assert_eq!(
            (&why["blockers"][0]["kind"], &why["blockers"][0]["subject"]),
            (&json!("signal"), &json!("third"))
        );

        desk.act(&run, "pause", json!({})).await;
        desk.act(&run, "steps/third/skip", json!({ "reason": "nobody will" })).await;
        desk = desk.killed(folder).await;
        assert_eq!(desk.show(&run).await["steps"]["third"]["status"], "skipped");
        desk.act(&run, "resume", json!({})).await;
        desk = desk.killed(folder).await;
        let ended = loop {
            let shown = desk.show(&run).await;
            if shown["completed_at"].is_string() {
                break shown;
            }
        };
        assert_eq!(ended["status"], "completed", "{ended}");
        assert_eq!(ended["steps"]["last"]["output"], json!({ "by": 2 }));
        desk.server.kill().expect("a child of ours can be killed");
    });
}

fn read_json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}
