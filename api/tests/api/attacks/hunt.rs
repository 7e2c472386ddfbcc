//! Whatever can be read of a server, read for what nobody may see.

use std::fs;

use backstitch_api::http::routes;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::tenants::define;
use crate::guarded::{FIRST_KEY, Guarded};
use crate::secrets::{SECRET, definition, echo};
use crate::service::Service;
use crate::tokens;

const WEBHOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The ids of a scene by the names of parameters.
struct Ids {
    run: String,
    other: String,
    letter: String,
    redrive: String,
    breaker: String,
}

impl Ids {
    fn filled(&self, path: &str) -> String {
        let own = |part: &str| match part.strip_prefix('{').and_then(|own| own.strip_suffix('}')) {
            None => part.to_owned(),
            Some("workflow_id") => "fails".to_owned(),
            Some("step_id") => "call".to_owned(),
            Some("letter_id") => self.letter.clone(),
            Some("redrive_id") => self.redrive.clone(),
            Some("other_id") => self.other.clone(),
            Some("key") => self.breaker.clone(),
            Some("form") => "canonical".to_owned(),
            Some("template_name") => "approval".to_owned(),
            Some(_) => self.run.clone(),
        };
        path.split('/').map(own).collect::<Vec<_>>().join("/")
    }
}

/// A new run, once it goes no further by itself.
async fn run(server: &Guarded, workflow: &str, receiver: &Service) -> String {
    let path = format!("/api/v1/workflows/{workflow}/execute");
    let callbacks = ["workflow.completed", "step.failed"]
        .map(|event| json!({ "event": event, "url": receiver.url("told") }));
    let body = json!({ "input": { "data": 1 }, "callbacks": callbacks });
    let (status, begun) = server.post(&path, FIRST_KEY, &body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{begun}");
    let id = begun["execution_id"].as_str().expect("an id").to_owned();
    loop {
        let (_, shown) = server.get(&format!("/api/v1/executions/{id}"), FIRST_KEY).await;
        let told = shown["callbacks"]
            .as_array()
            .is_some_and(|own| own.iter().any(|callback| callback["status"] == "delivered"));
        if told && !["pending", "running"].map(Value::from).contains(&shown["status"]) {
            return id;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// Runs that use a secret, with a letter and all that is made of one.
async fn scene(server: &Guarded) -> Ids {
    let (url, receiver) = (echo().await, Service::start().await);
    define(server, FIRST_KEY, &definition("calls", &format!("{url}/calls"))).await;
    define(server, FIRST_KEY, &definition("fails", &format!("{url}/fails"))).await;
    let other = run(server, "calls", &receiver).await;
    let run = run(server, "fails", &receiver).await;
    let (_, letters) = server.get("/api/v1/dlq", FIRST_KEY).await;
    let letter = letters["letters"][0]["letter_id"].as_str().expect("a letter").to_owned();
    let bulk = json!({ "filter": { "workflow_id": "fails" }, "reason": "again" });
    let (status, redrive) = server.post("/api/v1/dlq/retries", FIRST_KEY, &bulk).await;
    assert!(status.is_success(), "{redrive}");
    let redrive = redrive["redrive_id"].as_str().expect("an id").to_owned();
    let (_, made) = server.key(&["*"], "default").await;
    assert_eq!(server.get("/api/v1/workflows", &made).await.0, StatusCode::OK);
    let (_, seen) = server.get("/api/v1/breakers", FIRST_KEY).await;
    let breaker = seen["breakers"][0]["key"].as_str().unwrap_or("none").replace('/', "%2F");
    Ids { run, other, letter, redrive, breaker }
}

#[tokio::test]
async fn no_answer_has_what_nobody_may_see() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir_all(folder.path().join("default")).expect("a folder");
    fs::write(folder.path().join("default/token"), SECRET).expect("a file");
    let signing = folder.path().join("webhooks");
    fs::write(&signing, format!("{WEBHOOK_SECRET}\n")).expect("a file");
    let [secrets, signing] = [folder.path(), &signing]
        .map(|path| &*Box::leak(path.display().to_string().into_boxed_str()));
    let settings =
        ["--private-hosts", "allow", "--secrets-dir", secrets, "--webhook-secrets", signing];
    let server = Guarded::start_with(&settings);
    let ids = scene(&server).await;
    let bearer = format!("Bearer {SECRET}");
    let hidden = [
        SECRET.to_owned(),
        STANDARD.encode(&bearer),
        URL_SAFE_NO_PAD.encode(&bearer),
        FIRST_KEY.to_owned(),
        tokens::SECRET.to_owned(),
        WEBHOOK_SECRET["whsec_".len()..].to_owned(),
    ];
    let (mut read, mut blotted) = (0, 0);
    for route in routes().iter().filter(|own| own.method == "GET") {
        let path = ids.filled(route.path);
        let answer = server.ask("GET", &path, FIRST_KEY).send().await.expect("an answer");
        let status = answer.status();
        let headers = format!("{:?}", answer.headers());
        let text = headers + &answer.text().await.expect("a text");
        for own in &hidden {
            assert!(!text.contains(own), "{path} tells {own}: {text}");
        }
        read += u32::from(status.is_success());
        blotted += u32::from(text.contains("[secret token]"));
    }
    assert!(read > 60 && blotted > 5, "{read} answers, {blotted} of them about the secret");
    assert!(server.has_logged("a request to change something"));
    for own in &hidden {
        assert!(!server.has_logged(own), "the log tells {own}");
    }
}
