//! Logs as JSON: whatever happens, each line that the server says is an object with the fields that
//! docs/operations.md names.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use backstitch_core::time::Timestamp;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::forms::client;
use crate::process::{backstitch, folder};

const LEVELS: [&str; 5] = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"];
const FIELDS: [&str; 6] = ["timestamp", "level", "fields", "target", "span", "spans"];
/// What a client calls its request.
const REQUEST_ID: &str = "req-of-a-client:1";
/// One step does nothing, the other calls where nobody listens.
const WORKFLOW: &str = r#"
id: said
name: "a name with \"quotes\", a\ttab and ☃"
on_failure: suspend
steps:
  - { id: tell, type: notification, with: { message: told, severity: warning } }
  - { id: quiet, type: noop, retry: { max_attempts: 3, initial: 1ms, max: 1ms }, undo: { type: noop } }
  - id: call
    type: http
    needs: [quiet, tell]
    with: { url: 'http://127.0.0.1:1/', method: POST }
    retry: { max_attempts: 2, initial: 1ms, max: 1ms }
callbacks:
  - { event: workflow.failed, url: 'http://127.0.0.1:1/told' }
"#;

/// A server whose two outputs go to files.
struct Logged {
    child: Child,
    outputs: [PathBuf; 2],
}

impl Logged {
    fn start(folder: &Path, life: &str) -> Self {
        let outputs = ["out", "err"].map(|kind| folder.join(format!("{life}.{kind}")));
        let [out, err] = outputs.each_ref().map(|path| File::create(path).expect("a file"));
        let data = folder.join("data");
        let child = backstitch(&["serve", "--listen", "127.0.0.1:0", "--log-format", "json"])
            .args(["--log-level", "debug,hyper=trace", "--fault-injection"])
            .args([Path::new("--data-dir"), &data])
            .stdout(Stdio::from(out))
            .stderr(Stdio::from(err))
            .spawn()
            .expect("the program starts");
        Self { child, outputs }
    }

    /// What was said so far; the last line may not be whole yet.
    fn said(&self) -> String {
        self.outputs.iter().map(|path| fs::read_to_string(path).expect("UTF-8")).collect()
    }

    async fn url(&mut self) -> String {
        loop {
            let said = self.said();
            let ready = said.split_inclusive('\n').find(|line| line.contains("is ready"));
            if let Some(line) = ready.filter(|line| line.ends_with('\n')) {
                let line: Value = serde_json::from_str(line).expect("JSON");
                return format!("http://{}", line["fields"]["address"].as_str().expect("a place"));
            }
            let ended = self.child.try_wait().expect("a child");
            assert!(ended.is_none(), "it ended: {said}");
            tokio::task::yield_now().await;
        }
    }

    /// Every line, once it has ended, and its exit code.
    fn lines(mut self) -> (Vec<Value>, Option<i32>) {
        let code = self.child.wait().expect("it ended").code();
        let said = self.said();
        let read = |line: &str| {
            let line: Value =
                serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"));
            is_a_line(&line);
            line
        };
        (said.lines().map(read).collect(), code)
    }
}

fn is_a_line(line: &Value) {
    let named: BTreeSet<_> = line.as_object().expect("an object").keys().cloned().collect();
    assert!(named.iter().all(|name| FIELDS.contains(&name.as_str())), "{line}");
    let text = |name: &str| line[name].as_str().unwrap_or_else(|| panic!("{name} of {line}"));
    assert!(Timestamp::parse(text("timestamp")).is_some(), "{line}");
    assert!(LEVELS.contains(&text("level")) && line["fields"].is_object(), "{line}");
    assert!(
        !text("target").starts_with("backstitch") || line["fields"]["message"].is_string(),
        "{line}"
    );
    assert_eq!(named.contains("span"), named.contains("spans"), "{line}");
}

/// What a line says under a name, itself or what it is said in.
fn said<'a>(line: &'a Value, name: &str) -> Option<&'a str> {
    let spans = line["spans"].as_array().into_iter().flatten();
    spans.chain([&line["fields"]]).find_map(|own| own[name].as_str())
}

/// Whatever is said of a run, of a request or in an attempt names it.
fn have_their_ids(lines: &[Value]) {
    let with = |message: &str| {
        let found = lines.iter().filter(|line| line["fields"]["message"] == message);
        found.collect::<Vec<_>>()
    };
    for message in ["a run begins", "a run ended", "a fault on purpose", "\"told\""] {
        let found = with(message);
        assert!(!found.is_empty(), "{message}");
        for line in found {
            let id = said(line, "execution_id").expect("a run");
            assert!(id.starts_with("exec_"), "{line}");
            assert_eq!(said(line, "correlation_id"), Some("a \"b\" ☃"), "{line}");
        }
    }
    for line in with("a request to change something") {
        assert!(said(line, "request_id").is_some(), "{line}");
        let path = line["fields"]["path"].as_str().expect("a path");
        if path.ends_with("/execute") || path.ends_with("/cancel") {
            assert!(
                said(line, "execution_id").is_some_and(|own| own.starts_with("exec_")),
                "{line}"
            );
        }
    }
    let in_attempts = lines.iter().filter(|line| {
        let message = line["fields"]["message"].as_str().unwrap_or_default();
        message.contains("connecting to 127.0.0.1:1") && said(line, "execution_id").is_some()
    });
    let in_attempts: Vec<_> = in_attempts.collect();
    assert!(!in_attempts.is_empty(), "what a call logs names its run");
    let names = ["correlation_id", "step"];
    assert!(in_attempts.iter().all(|line| names.iter().all(|name| said(line, name).is_some())));
}

/// Requests of many kinds, right and wrong.
async fn work(url: &str) {
    let client = client();
    let ask = async |method: Method, path: &str, body: String| {
        let request = client.request(method, format!("{url}{path}"));
        let answer =
            request.header("x-request-id", REQUEST_ID).body(body).send().await.expect("an answer");
        (answer.status(), answer.json::<Value>().await.unwrap_or_default())
    };
    let (status, _) = ask(Method::POST, "/api/v1/workflows", WORKFLOW.to_owned()).await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "a body without a type is refused");
    let request =
        client.post(format!("{url}/api/v1/workflows")).header("content-type", "application/yaml");
    let defined = request.body(WORKFLOW).send().await.expect("an answer");
    assert!(defined.status().is_success());
    for path in
        ["/%22%0A%00?x=%22", "/%ff", "/api/v1/executions/%22%0A", "/api/v1/executions?limit=%22"]
    {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            assert!(ask(method, path, "{\"\u{1}".to_owned()).await.0.is_client_error(), "{path}");
        }
    }
    let post = async |path: String, body: Value| {
        let answer =
            client.post(format!("{url}{path}")).json(&body).send().await.expect("an answer");
        (answer.status(), answer.json::<Value>().await.unwrap_or_default())
    };
    for kind in ["fail", "delay", "crash_before_ack", "duplicate"] {
        let mut fault = json!({ "step": "quiet", "kind": kind });
        if kind == "delay" {
            fault["delay"] = "1ms".into();
        }
        let body =
            json!({ "faults": [fault], "tags": ["\"\\\u{2028}☃"], "correlation_id": "a \"b\" ☃" });
        let (status, begun) = post("/api/v1/workflows/said/execute".to_owned(), body).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{begun}");
        let run = begun["execution_id"].as_str().expect("an id").to_owned();
        let letters = format!("{url}/api/v1/dlq?execution_id={run}");
        let letter = loop {
            let page = client.get(&letters).send().await.expect("an answer");
            let page: Value = page.json().await.expect("JSON");
            if let Some(letter) = page["letters"][0]["letter_id"].as_str() {
                break letter.to_owned();
            }
        };
        let reason = json!({ "reason": "a \"reason\" with ☃ and \u{2028}" });
        assert!(post(format!("/api/v1/dlq/{letter}/retry"), reason.clone()).await.0.is_success());
        let (status, told) = post(format!("/api/v1/executions/{run}/cancel"), reason).await;
        assert!(status.is_success() || status == StatusCode::CONFLICT, "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_is_an_object_with_the_promised_fields() {
    let folder = folder();
    let mut first = Logged::start(folder.path(), "first");
    let url = first.url().await;
    work(&url).await;
    let (refused, code) = Logged::start(folder.path(), "refused").lines();
    let last = refused.last().expect("it says why");
    assert_eq!((code, &last["fields"]["exit_code"]), (Some(3), &json!(3)), "{last}");
    assert!(last["fields"]["message"].as_str().is_some_and(|own| own.contains("in use")), "{last}");
    first.child.kill().expect("it runs");
    let (lines, _) = first.lines();
    let changed = |line: &&Value| {
        line["span"] == json!({ "name": "request", "request_id": REQUEST_ID })
            && line["fields"]["path"] == "/%22%0A%00"
    };
    assert_eq!(
        lines.iter().filter(changed).count(),
        2,
        "one for each request that changes something"
    );

    // What is made of the log is lost, and what was under way goes on.
    for part in ["store", "views"] {
        fs::remove_dir_all(folder.path().join("data").join(part)).expect("it was there");
    }
    let mut second = Logged::start(folder.path(), "second");
    work(&second.url().await).await;
    let signalled = Command::new("kill").args(["-TERM", &second.child.id().to_string()]).status();
    assert!(signalled.expect("kill is there").success());
    let (lines, code) = second.lines();
    assert_eq!(code, Some(0));
    have_their_ids(&lines);
    let changed = |line: &&Value| line["fields"]["message"] == "a request to change something";
    assert!(lines.iter().filter(changed).count() >= 20, "{lines:?}");
}
