//! Callbacks as their receivers see them: the same body and id in every attempt, signed.

mod notifications;
pub mod receiver;
mod secrets;

use std::fs;
use std::path::Path;
use std::process::{Child, Command};

use serde_json::{Value, json};

use crate::process::{folder, output, serve_at};
use crate::server::{Server, settings};
use receiver::{Receiver, Seen};

const OLD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEW: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn definition(event: &str, url: &str) -> String {
    format!(
        "id: told\nsteps: [{{ id: a, type: noop }}]\n\
         callbacks: [{{ event: {event}, url: '{url}' }}]\n"
    )
}

/// A server as a process, with a file of secrets.
struct Signing {
    process: Child,
    url: String,
    client: reqwest::Client,
}

impl Signing {
    fn start(data: &Path, secrets: &str) -> Self {
        let (process, url, _) = serve_at("127.0.0.1:0", data, &["--webhook-secrets", secrets]);
        Self { process, url, client: crate::forms::client() }
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.client.post(format!("{}/api/v1/{path}", self.url)).json(body);
        let answer = request.send().await.expect("an answer");
        assert!(answer.status().is_success(), "{}", answer.status());
        answer.json().await.expect("JSON")
    }

    async fn settings(&self) -> Value {
        let url = format!("{}/api/v1/config/effective", self.url);
        let answer = self.client.get(url).send().await.expect("an answer");
        answer.json::<Value>().await.expect("JSON")["settings"].take()
    }

    async fn submit(&self, receiver: &Receiver) {
        let told = json!([{ "event": "workflow.completed", "url": receiver.url }]);
        self.post("workflows/quiet/execute", &json!({ "callbacks": told })).await;
    }

    fn hang_up(&self) {
        let told = Command::new("kill").args(["-HUP", &self.process.id().to_string()]).status();
        assert!(told.expect("kill is there").success());
    }

    fn kill(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }
}

impl Drop for Signing {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn quiet() -> Value {
    json!({ "id": "quiet", "steps": [{ "id": "a", "type": "noop" }] })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_names_its_delivery_and_its_attempt_and_is_not_signed_without_a_secret() {
    let mut receiver = Receiver::start().await;
    receiver.answers(&[503]);
    let server = Server::start().await;
    server.define(&definition("workflow.completed", &receiver.url)).await;
    let run = server.run("told", &json!({})).await;
    let (first, second) = (receiver.next().await, receiver.next().await);
    let id = format!("{}/callback/0", run["execution_id"].as_str().expect("an id"));
    for (attempt, seen) in [("1", &first), ("2", &second)] {
        assert_eq!(seen.header("webhook-id"), id);
        assert_eq!(seen.header("idempotency-key"), id);
        assert_eq!(seen.header("backstitch-attempt"), attempt);
        assert_eq!(seen.header("content-type"), "application/json");
        assert!(!seen.headers.contains_key("webhook-signature"));
        assert_eq!(seen.json()["data"]["execution_id"], run["execution_id"]);
    }
    assert_eq!(first.body, second.body);
    let stamped = |seen: &Seen| seen.header("webhook-timestamp").parse::<i64>().expect("seconds");
    assert!(stamped(&first) > 1_700_000_000 && stamped(&second) >= stamped(&first));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_signed_is_what_is_sent() {
    let mut receiver = Receiver::start().await;
    let folder = folder();
    let file = folder.path().join("secrets");
    fs::write(&file, format!("# the newest first\n{NEW}\n{OLD}\n")).expect("a file");
    let settings = backstitch_api::Settings { webhook_secrets: Some(file), ..settings(&folder) };
    let server = Server::start_with(settings, folder).await;
    server.define(&definition("workflow.completed", &receiver.url)).await;
    // Signs that JSON may write in several ways are sent as they were signed.
    let path = "/api/v1/workflows/told/execute";
    server.post(path, &json!({ "correlation_id": "für \"Ü\" \\ 1/2 \u{2028}" })).await;
    let seen = receiver.next().await;
    assert_eq!(seen.header("webhook-signature"), seen.signature(&format!("{NEW}\n{OLD}")));
    assert_eq!(seen.json()["data"]["correlation_id"], "für \"Ü\" \\ 1/2 \u{2028}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_goes_on_with_the_same_delivery() {
    let mut receiver = Receiver::start().await;
    receiver.answers(&[500]);
    let folder = folder();
    let (data, file) = (folder.path().join("data"), folder.path().join("secrets"));
    fs::write(&file, OLD).expect("a file");
    let file = file.to_str().expect("UTF-8");
    let mut server = Signing::start(&data, file);
    server.post("workflows", &quiet()).await;
    server.submit(&receiver).await;
    let first = receiver.next().await;
    server.kill();
    let server = Signing::start(&data, file);
    // The kill may have come before the answer was recorded: then the first attempt is made again.
    let second = receiver.next().await;
    assert_eq!(first.header("webhook-id"), second.header("webhook-id"));
    assert_eq!(first.body, second.body);
    for seen in [&first, &second] {
        assert_eq!(seen.header("webhook-signature"), seen.signature(OLD));
    }
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_change_while_the_server_runs() {
    let mut receiver = Receiver::start().await;
    let folder = folder();
    let file = folder.path().join("secrets");
    fs::write(&file, OLD).expect("a file");
    let server = Signing::start(&folder.path().join("data"), file.to_str().expect("UTF-8"));
    let shown = server.settings().await;
    assert_eq!(shown["webhook_secrets"]["value"].as_str(), file.to_str());
    assert!(!shown.to_string().contains("whsec_"), "{shown}");
    server.post("workflows", &quiet()).await;
    server.submit(&receiver).await;
    let seen = receiver.next().await;
    assert_eq!(seen.header("webhook-signature"), seen.signature(OLD));
    fs::write(&file, "whsec_half").expect("a file");
    server.hang_up();
    server.submit(&receiver).await;
    let seen = receiver.next().await;
    assert_eq!(seen.header("webhook-signature"), seen.signature(OLD));
    let both = format!("{NEW}\n{OLD}");
    fs::write(&file, &both).expect("a file");
    server.hang_up();
    loop {
        server.submit(&receiver).await;
        let seen = receiver.next().await;
        if seen.header("webhook-signature") == seen.signature(&both) {
            break;
        }
        assert_eq!(seen.header("webhook-signature"), seen.signature(OLD));
    }
}

#[test]
fn secrets_that_cannot_be_used_are_told_by_file_and_line_before_anything_starts() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let (data, file) = (path("data"), path("secrets"));
    let refused = |words: &str| {
        let flags = ["--listen", "127.0.0.1:0", "--webhook-secrets", &file];
        let output = output(&[&["serve", "--data-dir", &data][..], &flags].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(&file) && said.contains(words), "{said}");
        assert!(!said.contains("c2VjcmV0"), "{said}");
    };
    refused("can't be read");
    fs::write(&file, format!("{OLD}\nwhsec_c2VjcmV0")).expect("a file");
    refused("line 2 has 6 bytes");
    fs::write(&file, "c2VjcmV0").expect("a file");
    refused("line 1 does not begin with `whsec_`");
    fs::write(&file, "\n").expect("a file");
    refused("holds no secret");
    assert!(!folder.path().join("data").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_step_and_its_letter_are_told_of_with_the_step() {
    let mut receiver = Receiver::start().await;
    let server = Server::start().await;
    let callbacks = format!(
        "callbacks: [{{ events: [workflow.started, step.failed, step.dead_lettered], url: '{}' }}]",
        receiver.url
    );
    let fail = "{ id: a, type: noop, with: { fail: { code: NO_STOCK, permanent: true } } }";
    server.define(&format!("id: told\non_failure: halt\nsteps: [{fail}]\n{callbacks}")).await;
    let run = server.run("told", &json!({})).await;
    let mut told = Vec::new();
    for _ in 0..3 {
        told.push(receiver.next().await.json());
    }
    told.sort_by_key(|own| own["timestamp"].as_str().unwrap_or_default().to_owned());
    let of = |event: &str| told.iter().find(|own| own["event"] == event).expect("it was told");
    assert!(of("workflow.started")["data"].get("step").is_none());
    let (failed, lettered) = (of("step.failed"), of("step.dead_lettered"));
    for own in [failed, lettered] {
        assert_eq!(own["data"]["step"]["step_id"], "a");
        assert_eq!(own["data"]["execution_id"], run["execution_id"]);
    }
    assert!(failed["data"]["step"]["letter_id"].is_null());
    let letter = lettered["data"]["step"]["letter_id"].as_str().expect("an id");
    assert_eq!(server.get(&format!("/api/v1/dlq/{letter}")).await.0, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callbacks_of_a_submission_have_forms_too_and_say_what_is_wrong_with_them() {
    let mut receiver = Receiver::start().await;
    let server = Server::start().await;
    server.define("id: quiet\nsteps: [{ id: a, type: noop }]").await;
    let path = "/api/v1/workflows/quiet/execute";
    let url = receiver.url.clone();
    let submit = async |callback: Value| {
        server.post(path, &json!({ "callbacks": [callback], "wait_seconds": 60 })).await
    };
    let formed = json!({ "event": "workflow.completed", "url": url, "format": "cloudevents" });
    let (_, run) = submit(formed).await;
    let seen = receiver.next().await;
    assert_eq!(seen.header("content-type"), "application/cloudevents+json");
    let event = seen.json();
    assert_eq!(event["id"], seen.header("webhook-id"));
    assert_eq!(event["data"]["execution_id"], run["execution_id"]);
    let shown = run["execution_id"].as_str().expect("an id");
    let (_, shown) = server.get(&format!("/api/v1/executions/{shown}")).await;
    assert_eq!(shown["callbacks"][0]["format"], "cloudevents");
    let event = "workflow.completed";
    for (wrong, field) in [
        (json!({ "event": event, "events": [event], "url": url }), "events"),
        (json!({ "events": [], "url": url }), "events"),
        (json!({ "events": [event, event], "url": url }), "events[1]"),
        (json!({ "url": url }), "event"),
        (json!({ "event": event, "url": url, "format": "xml" }), "format"),
        (json!({ "event": event, "url": url, "format": "pagerduty" }), "routing_key"),
        (json!({ "event": event, "url": url, "routing_key": "k" }), "routing_key"),
        (json!({ "event": event, "url": "ftp://x" }), "url"),
    ] {
        let (status, refused) = submit(wrong.clone()).await;
        assert_eq!(status, 422, "{wrong}: {refused}");
        let problems = refused["details"]["problems"].to_string();
        assert!(problems.contains(&format!("callbacks[0].{field}")), "{wrong}: {problems}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_is_sent_again_with_the_same_id_and_body() {
    let mut receiver = Receiver::start().await;
    let server = Server::start().await;
    server.define(&definition("workflow.completed", &receiver.url)).await;
    let run = server.run("told", &json!({})).await;
    let run = format!("/api/v1/executions/{}", run["execution_id"].as_str().expect("an id"));
    let first = receiver.next().await;
    let again = format!("{run}/callbacks/0/redeliver");
    // The attempt may not have been recorded yet.
    let accepted = loop {
        let (status, answer) = server.post(&again, &json!({})).await;
        if status == 202 {
            break answer;
        }
        assert_eq!((status.as_u16(), &answer["error_code"]), (409, &json!("CALLBACK_PENDING")));
    };
    assert_eq!(accepted["status"], "completed");
    let second = receiver.next().await;
    assert_eq!(first.header("webhook-id"), second.header("webhook-id"));
    assert_eq!(first.body, second.body);
    assert_eq!(second.header("backstitch-attempt"), "2");
    let (status, missing) = server.post(&format!("{run}/callbacks/1/redeliver"), &json!({})).await;
    assert_eq!((status.as_u16(), &missing["error_code"]), (404, &json!("CALLBACK_NOT_FOUND")));
    let (_, audit) = server.get("/api/v1/audit?action=callback.sent_again").await;
    assert_eq!(audit["audit"].as_array().map(Vec::len), Some(1), "{audit}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_is_tried_out() {
    let mut receiver = Receiver::start().await;
    let server = Server::start().await;
    let test = "/api/v1/callbacks/test";
    let asked = json!({ "event": "step.failed", "url": receiver.url, "format": "cloudevents" });
    let (status, told) = server.post(test, &asked).await;
    assert_eq!((status.as_u16(), &told["delivered"]), (200, &json!(true)), "{told}");
    assert_eq!(told["response_status"], 204);
    let seen = receiver.next().await;
    assert_eq!(seen.header("webhook-id"), told["sent"]["webhook_id"]);
    assert_eq!(
        (seen.json(), false),
        (told["sent"]["body"].clone(), told["sent"]["signed"] == true)
    );
    assert_eq!(seen.json()["data"]["test"], true);
    receiver.answers(&[500]);
    let (_, told) = server.post(test, &asked).await;
    assert_eq!((&told["delivered"], told["error"].is_object()), (&json!(false), true), "{told}");
    let (status, _) = server.post(test, &json!({ "event": "step.failed", "url": "x" })).await;
    assert_eq!(status, 422);
    let (_, audit) = server.get("/api/v1/audit?action=callback.tried").await;
    let rows = audit["audit"].as_array().expect("rows");
    let to = receiver.url.trim_end_matches("/hook");
    assert_eq!(rows.len(), 2, "one for each that was sent: {audit}");
    for row in rows {
        let told = (&row["actor"], &row["target"], &row["detail"]);
        assert_eq!(told, (&json!("anonymous"), &json!(to), &json!("step.failed")));
    }
    server.stop().await;
}
