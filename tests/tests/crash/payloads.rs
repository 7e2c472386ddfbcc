//! Runs that hand megabytes from step to step, killed in the middle: every accepted run ends
//! with what it was given, and no commit names a content that is not there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use backstitch_journal::{Named, Reader, check_blobs};
use backstitch_tests::binaries;
use backstitch_tests::http::{Connection, request};
use backstitch_tests::server::Server;
use serde_json::{Value, json};

use super::clients::{JSON, get};

/// Hands its input on, five times.
const CHAIN: &str = "
id: chain
steps:
  - { id: a, type: noop, with: { output: '{{ input }}' } }
  - { id: b, type: noop, needs: [a], with: { output: { n: 1, text: '{{ steps.a.output.text }}' } } }
  - { id: c, type: noop, needs: [b], with: { output: { n: 2, text: '{{ steps.b.output.text }}' } } }
  - { id: d, type: transform, needs: [c], with: { text: '{{ steps.c.output.text }}' } }
";
/// Bytes of each input's text: different in every run.
const TEXT_BYTES: usize = 1024 * 1024;
/// Runs submitted before each kill.
const RUNS_PER_LIFE: u32 = 4;
/// Times the server is killed.
const KILLS: u32 = 3;

fn text(n: u32) -> String {
    format!("{n:08}").repeat(TEXT_BYTES / 8)
}

fn start(folder: &Path) -> Server {
    let program = Command::new(binaries::backstitch());
    Server::spawn(program, &folder.join("data"), &folder.join("server.log"))
        .expect("the server starts")
}

async fn post(connection: &mut Connection, path: &str, kind: &str, body: &[u8]) -> Value {
    let asked = request("POST", path, &[("content-type", kind)], body);
    let answer = connection.send(&asked).await.expect("the server answers");
    assert!((200..300).contains(&answer.status), "{}", String::from_utf8_lossy(&answer.body));
    serde_json::from_slice(&answer.body).expect("JSON")
}

#[test]
fn payloads_of_megabytes_survive_kills() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    runtime.block_on(async {
        let folder = tempfile::tempdir().expect("a folder for the data");
        let mut accepted: BTreeMap<String, u32> = BTreeMap::new();
        for kill in 0..KILLS {
            let mut server = start(folder.path());
            server.ready().await.expect("it starts");
            let mut connection = Connection::open(server.address()).await.expect("it is ready");
            let yaml = "application/yaml";
            post(&mut connection, "/api/v1/workflows", yaml, CHAIN.as_bytes()).await;
            for n in 0..RUNS_PER_LIFE {
                let n = kill * RUNS_PER_LIFE + n;
                let body = json!({ "input": { "text": text(n) } }).to_string();
                let path = "/api/v1/workflows/chain/execute";
                let run = post(&mut connection, path, JSON.1, body.as_bytes()).await;
                accepted.insert(run["execution_id"].as_str().expect("an id").to_owned(), n);
            }
            server.kill().expect("it is there");
        }
        let mut server = start(folder.path());
        server.ready().await.expect("it starts");
        let mut connection = Connection::open(server.address()).await.expect("it is ready");
        for (run, n) in &accepted {
            let execution = loop {
                let shown = get(&mut connection, &format!("/api/v1/executions/{run}")).await;
                if shown["status"] != "running" && shown["status"] != "pending" {
                    break shown;
                }
            };
            assert_eq!(execution["status"], "completed", "{}", execution["error"]);
            let same = execution["output"]["d"]["text"] == text(*n);
            assert!(same, "{run} carries another text than it was given");
        }
        server.kill().expect("it is there");
        check_contents(&folder.path().join("data"));
    });
}

/// Everything that a commit names is there, whole.
fn check_contents(data_dir: &Path) {
    let mut named = Named::new();
    let reader = Reader::open(data_dir).expect("nobody has the directory open");
    let read = reader.for_each_commit(|commit, _| {
        named.extend(commit.named());
        true
    });
    read.expect("the log is whole");
    let report = check_blobs(data_dir, &named, &BTreeSet::new()).expect("it can be read");
    assert_eq!(report.whole, named.len() as u64, "{report:?}");
    assert!(report.missing.is_empty() && report.damaged.is_empty(), "{report:?}");
}
