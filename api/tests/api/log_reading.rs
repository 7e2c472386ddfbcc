//! The log read over HTTP and by the command line, and how much is logged set while the server runs.

use std::path::Path;
use std::process::Child;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::forms::client;
use crate::guarded::{Guarded, is_refused};
use crate::process::{folder, output, serve_at};
use crate::server::{TWO_STEPS, answer};
use crate::streams::Sse;

const LOGS: &str = "/api/v1/admin/logs";
const LEVELS: &str = "/api/v1/admin/log-levels";
const BEGINS: &str = "a run begins";
const FAILS: &str =
    "{ id: fails, steps: [{ id: a, type: noop, with: { fail: { code: BROKEN } }, retry: none }] }";

/// A server in a process of its own, which has a log.
struct Logging {
    process: Child,
    url: String,
    folder: TempDir,
}

impl Drop for Logging {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Logging {
    async fn start(flags: &[&str]) -> Self {
        let folder = folder();
        let (process, url, _) = serve_at("127.0.0.1:0", &folder.path().join("data"), flags);
        let own = Self { process, url, folder };
        for (file, text) in [("two.yaml", TWO_STEPS), ("fails.yaml", FAILS)] {
            let file = own.folder.path().join(file);
            std::fs::write(&file, text).expect("a file");
            let defined = own.command(&["apply", path(&file)]);
            assert_eq!(defined.0, Some(0), "{}", defined.1);
        }
        own
    }

    fn data_dir(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    async fn ask(&self, method: Method, path: &str, body: &Value) -> (StatusCode, Value) {
        answer(client().request(method, format!("{}{path}", self.url)).json(body)).await
    }

    async fn set(&self, body: Value) -> (StatusCode, Value) {
        self.ask(Method::PUT, LEVELS, &body).await
    }

    /// A run to its end.
    async fn run(&self, workflow: &str, request: &str) -> String {
        let url = format!("{}/api/v1/workflows/{workflow}/execute", self.url);
        let body = json!({ "wait_seconds": 60, "correlation_id": "c-1" });
        let asked = client().post(url).header("x-request-id", request).json(&body);
        let (status, run) = answer(asked).await;
        assert_eq!(status, StatusCode::OK, "{run}");
        run["execution_id"].as_str().expect("an id").to_owned()
    }

    /// Lines of the log, as a query picks them.
    async fn lines(&self, query: &str) -> Vec<Value> {
        lines(&self.url, query).await
    }

    /// What a command says, with its exit code.
    fn command(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let said = output(&[arguments, &["--server", &self.url]].concat());
        let text = [said.stdout, said.stderr].concat();
        (said.status.code(), String::from_utf8(text).expect("UTF-8"))
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

async fn lines(url: &str, query: &str) -> Vec<Value> {
    let asked = client().get(format!("{url}{LOGS}?{query}")).send().await.expect("an answer");
    let text = asked.text().await.expect("a text");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn messages(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|own| own["fields"]["message"].as_str().expect("a message")).collect()
}

#[tokio::test]
async fn a_component_logs_more_for_a_while_and_a_restart_goes_back_to_the_settings() {
    let mut server = Logging::start(&["--log-level", "info,hyper=warn"]).await;
    let quiet = server.run("two", "r-1").await;
    let (_, before) = server.ask(Method::GET, LEVELS, &Value::Null).await;
    assert_eq!((&before["in_force"], &before["set_by"]), (&json!("info,hyper=warn"), &Value::Null));
    let (status, set) = server.set(json!({ "levels": { "runs": "debug" }, "for": "10m" })).await;
    assert_eq!(status, StatusCode::OK, "{set}");
    assert_eq!(set["in_force"], "info,hyper=warn,backstitch_saga::runs=debug");
    assert!(set["until"].is_string() && set["set_at"].is_string(), "{set}");
    let told = server.run("two", "r-2").await;
    let url = server.url.clone();
    let begun = async |run: &str| lines(&url, &format!("component=runs&execution_id={run}")).await;
    assert_eq!(begun(&quiet).await, Vec::<Value>::new());
    let lines = begun(&told).await;
    assert_eq!(messages(&lines), [BEGINS, "a run ended"]);
    for line in &lines {
        assert_eq!(
            (&line["level"], &line["target"]),
            (&json!("DEBUG"), &json!("backstitch_saga::runs"))
        );
        assert_eq!(
            (&line["fields"]["workflow_id"], &line["fields"]["correlation_id"]),
            (&json!("two"), &json!("c-1"))
        );
    }
    let (_, audit) =
        server.ask(Method::GET, "/api/v1/audit?action=log_levels.set", &Value::Null).await;
    let row = &audit["audit"][0];
    assert_eq!(
        (&row["target"], &row["detail"]),
        (&json!("local"), &json!("runs=debug, for 600000 ms"))
    );

    let (code, said) = server.command(&["logs", "level"]);
    assert!(code == Some(0) && said.contains("runs=debug, until 20"), "{said}");
    let (code, said) = server.command(&["logs", "level", "default=warn", "steps=trace"]);
    assert!(code == Some(0) && said.contains(": default=warn steps=trace\n"), "{said}");
    let silent = server.run("two", "r-3").await;
    assert_eq!(server.lines(&format!("execution_id={silent}")).await, Vec::<Value>::new());
    let (code, said) = server.command(&["logs", "level", "--reset"]);
    assert!(code == Some(0) && said.contains("nothing else"), "{said}");
    server.set(json!({ "levels": { "runs": "trace" } })).await;

    server.process.kill().expect("it runs");
    server.process.wait().expect("it ends");
    (server.process, server.url, _) = serve_at("127.0.0.1:0", &server.data_dir(), &[]);
    let (_, after) = server.ask(Method::GET, LEVELS, &Value::Null).await;
    assert_eq!((&after["in_force"], &after["levels"]), (&json!("info"), &json!({})));
}

#[tokio::test]
async fn what_is_no_level_is_refused_with_the_nearest_that_is_one() {
    let server = Logging::start(&[]).await;
    for (body, path, words) in [
        (json!({ "levels": { "sagas": "debug" } }), "levels.sagas", "did you mean `saga`?"),
        (json!({ "levels": { "saga": "debgu" } }), "levels.saga", "did you mean `debug`?"),
        (json!({ "levels": "debug" }), "levels", "must be an object"),
        (json!({}), "levels", "is required"),
        (json!({ "levels": {}, "for": "8d" }), "for", "from 1s to 7d"),
        (json!({ "levels": {}, "until": "now" }), "until", "known are: levels, for"),
    ] {
        let (status, told) = server.set(body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{told}");
        let problem = &told["details"]["problems"][0];
        assert_eq!(problem["path"], path);
        assert!(problem["message"].as_str().is_some_and(|own| own.contains(words)), "{problem}");
    }
    let (code, said) = server.command(&["logs", "level", "saga"]);
    assert!(code == Some(2) && said.contains("COMPONENT=LEVEL"), "{said}");
    let (code, said) = server.command(&["logs", "--component", "sagas"]);
    assert!(code == Some(1) && said.contains("did you mean `saga`?"), "{said}");
    let (status, told) = server.ask(Method::GET, &format!("{LOGS}?level=warm"), &Value::Null).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{told}");
}

#[tokio::test]
async fn lines_are_found_by_run_request_level_and_part_of_the_program() {
    let server = Logging::start(&[]).await;
    let failed = server.run("fails", "r-1").await;
    server.run("two", "r-2").await;
    let of_run = server.lines(&format!("execution_id={failed}")).await;
    assert_eq!(messages(&of_run), ["a run failed", "a request to change something"]);
    let fields = &of_run[0]["fields"];
    assert_eq!((&fields["code"], &fields["step"]), (&json!("BROKEN"), &json!("a")));
    assert_eq!((&fields["outcome"], &fields["workflow_id"]), (&json!("failed"), &json!("fails")));
    let of_request = server.lines("request_id=r-1").await;
    assert_eq!(of_request, of_run[1..]);
    assert_eq!(of_request[0]["fields"]["execution_id"], failed.as_str());
    assert_eq!(server.lines("request_id=r-1&component=saga").await, Vec::<Value>::new());
    assert_eq!(server.lines("level=error").await, Vec::<Value>::new());
    let all = server.lines("").await;
    assert!(messages(&all).iter().any(|own| own.ends_with("is ready")), "{all:?}");
    assert_eq!(server.lines("limit=2").await, all[all.len() - 2..]);
    let (code, said) = server.command(&["logs", "--execution", &failed, "--limit", "1"]);
    assert!(
        code == Some(0) && said.lines().count() == 1 && said.contains("request_id=r-1"),
        "{said}"
    );
    let (_, said) = server.command(&["logs", "--request-id", "r-1", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&said).expect("JSON"), of_request[0]);
}

#[tokio::test]
async fn lines_are_followed_as_they_come_and_on_behind_the_last_one() {
    let server = Logging::start(&[]).await;
    server.set(json!({ "levels": { "runs": "debug" } })).await;
    let open = async |query: &str| {
        Sse::open(client().get(format!("{}{LOGS}?component=runs&{query}", server.url))).await
    };
    let first = server.run("two", "r-1").await;
    let mut stream = open("limit=1").await;
    let ended = stream.event().await.expect("a line");
    assert_eq!(messages(&[ended.data.clone().expect("data")]), ["a run ended"]);
    let second = server.run("two", "r-2").await;
    for message in [BEGINS, "a run ended"] {
        let line = stream.event().await.expect("a line").data.expect("data");
        assert_eq!(
            (&line["fields"]["message"], &line["fields"]["execution_id"]),
            (&json!(message), &json!(second))
        );
    }
    let mut again = open(&format!("after={}", ended.id.expect("an id"))).await;
    let line = again.event().await.expect("a line").data.expect("data");
    assert_eq!(line["fields"]["execution_id"], second.as_str());
    // One of another life of the server goes on with all that is kept.
    let mut other = open("after=1:99999").await;
    let line = other.event().await.expect("a line").data.expect("data");
    assert_eq!(line["fields"]["execution_id"], first.as_str());
}

#[tokio::test]
async fn the_log_is_for_whoever_may_read_it_in_the_default_namespace() {
    let server = Guarded::start();
    let (_, reader) = server.key(&["logs:read"], "default").await;
    let (_, writer) = server.key(&["logs:write"], "default").await;
    let (_, tenant) = server.key(&["logs:read", "logs:write"], "other").await;
    let body = json!({ "levels": {} });
    for (method, path, allowed) in
        [("GET", LOGS, &reader), ("GET", LEVELS, &reader), ("PUT", LEVELS, &writer)]
    {
        for token in [&reader, &writer, &tenant] {
            let (status, told) = answer(server.ask(method, path, token).json(&body)).await;
            assert_eq!(is_refused(status, &told), token != allowed, "{method} {path}: {told}");
        }
    }
}
