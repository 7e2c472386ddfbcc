//! Each thing that the audit shows, done by a request: which one it was, for whom, why, and what it
//! changed.

mod changed;
mod scripts;

use backstitch_api::Settings;
use backstitch_core::audit::AuditAction;
use backstitch_journal::{Options, SEGMENT_BYTES_MIN};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::process::{folder, serve, serve_again};
use crate::server::{Server, answer, settings};

/// Actions that no request of the API does, and who does them.
const BY_NOBODY: [(&str, &str); 2] = [
    ("store.restored", "a restore, before a server opens the directory"),
    ("redrives.removed", "retention, as another redrive begins: see `saga/tests/partition`"),
];
/// What takes a program with a file of its own: in `reload.rs`.
const ELSEWHERE: [&str; 1] = ["settings.reloaded"];
/// Actions that come with another one: of whose request they are.
const WITH_ANOTHER: [(&str, &str); 1] = [("execution.undo_duty_moved", "execution.forked")];

/// A server that is asked by somebody, with an id for each request.
pub struct Site {
    pub server: Server,
}

impl Site {
    /// A request that says who sends it, and is called after what it does.
    pub fn request(&self, action: &str, method: Method, path: &str) -> RequestBuilder {
        let request = self.server.request(method, path);
        request.header("x-request-id", action).header("x-user-id", "ann")
    }

    /// Does something, which must not be refused.
    pub async fn does(&self, action: &str, path: &str, body: Value) -> Value {
        self.sends(action, Method::POST, path, body).await
    }

    pub async fn sends(&self, action: &str, method: Method, path: &str, body: Value) -> Value {
        let (status, told) = answer(self.request(action, method, path).json(&body)).await;
        assert!(status.is_success(), "{action}: {status} {told}");
        told
    }

    pub async fn begins(&self, workflow: &str, input: Value) -> String {
        let path = format!("/api/v1/workflows/{workflow}/execute");
        let told = self.does("begins", &path, json!({ "input": input })).await;
        told["execution_id"].as_str().expect("an id").to_owned()
    }

    /// Waits until something shows what is wanted.
    pub async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let (status, shown) = self.server.get(path).await;
            assert_eq!(status, StatusCode::OK, "{shown}");
            if wanted(&shown) {
                return shown;
            }
        }
    }

    /// A run that has come to a status.
    pub async fn run(&self, workflow: &str, input: Value, status: &str) -> String {
        let run = self.begins(workflow, input).await;
        self.until(&format!("/api/v1/executions/{run}"), |own| own["status"] == status).await;
        run
    }

    pub async fn rows(&self, query: &str) -> Vec<Value> {
        let (status, page) = self.server.get(&format!("/api/v1/audit?limit=1000&{query}")).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        page["audit"].as_array().expect("a list").clone()
    }
}

/// A server whose log can be cut soon.
async fn site() -> Site {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let own = settings(&folder);
    let segment_bytes = SEGMENT_BYTES_MIN;
    let journal = Options { segment_bytes, log_segments_kept: 1, tick_ms: 20, ..own.journal };
    Site { server: Server::start_with(Settings { journal, ..own }, folder).await }
}

/// Has the audit made anew, and waits for it.
async fn rebuilt(site: &Site) {
    let path = "/api/v1/admin/views";
    let (status, _) =
        site.server.post(&format!("{path}/rebuild"), &json!({ "view": "audit" })).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let done = |own: &Value| {
        let views = own["views"].as_array().expect("a list");
        views.iter().any(|view| view["view"] == "audit" && view["rebuilds"] == 1)
    };
    site.until(path, done).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_action_says_which_request_did_it_and_says_so_for_ever() {
    let site = site().await;
    scripts::workflows(&site).await;
    scripts::runs(&site).await;
    scripts::forks(&site).await;
    scripts::letters(&site).await;
    scripts::redrives(&site).await;
    scripts::store(&site).await;
    scripts::callbacks(&site).await;
    scripts::replays(&site).await;
    scripts::removals(&site).await;
    for action in AuditAction::ALL.map(AuditAction::word) {
        if BY_NOBODY.iter().any(|(word, _)| *word == action) {
            assert!(site.rows(&format!("action={action}&actor=ann")).await.is_empty(), "{action}");
            continue;
        }
        if ELSEWHERE.contains(&action) {
            continue;
        }
        let request = WITH_ANOTHER.iter().find(|(word, _)| *word == action);
        let request = request.map_or(action, |(_, other)| other);
        let rows = site.rows(&format!("action={action}&request_id={request}")).await;
        assert!(!rows.is_empty(), "{action} is not done, or not by its request");
        for row in rows {
            let said = (&row["request_id"], &row["actor"], &row["on_behalf_of"]);
            assert_eq!(said, (&json!(request), &json!("ann"), &Value::Null), "{row}");
        }
    }
    assert!(site.rows("request_id=begins").await.is_empty(), "a submission is no row");
    let of_requests = async |site: &Site| {
        let rows = site.rows("order=asc").await.into_iter();
        rows.filter(|row| !row["request_id"].is_null()).collect::<Vec<_>>()
    };
    let before = of_requests(&site).await;
    rebuilt(&site).await;
    assert_eq!(of_requests(&site).await, before, "a view that is made again says the same");
    let site = Site { server: Server::start_in(site.server.stop().await).await };
    assert_eq!(of_requests(&site).await, before, "and so does the next start");
    site.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_asked_for_names_no_request() {
    let site = site().await;
    site.server.define(scripts::HELD).await;
    let server = Server::start_in(site.server.stop().await).await;
    let site = Site { server };
    let (_, drawn) = site.server.get("/api/v1/audit").await;
    let id = drawn["audit"][0]["request_id"].as_str().expect("one is drawn");
    assert!(id.starts_with("req_"), "{id}");
    // What fits on no line is not taken.
    let odd = site.server.request(Method::POST, "/api/v1/workflows/held/disable");
    let odd = odd.header("x-request-id", "two words").json(&json!({ "reason": "odd" }));
    assert_eq!(answer(odd).await.0, StatusCode::OK);
    let rows = site.rows("action=workflow.disabled").await;
    assert!(rows[0]["request_id"].as_str().is_some_and(|id| id.starts_with("req_")), "{rows:?}");
    assert_eq!((&rows[0]["reason"], &rows[0]["detail"]), (&json!("odd"), &json!("odd")));
    site.server.stop().await;
}

async fn call(request: RequestBuilder) -> Value {
    let marked = request.header("x-request-id", "abc").header("x-user-id", "ann");
    marked.send().await.expect("the server answers").json().await.expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_is_in_the_audit_after_a_kill() {
    let folder = folder();
    let (mut server, url) = serve(folder.path());
    let client = crate::forms::client();
    let define = client.post(format!("{url}/api/v1/workflows"));
    call(define.header("content-type", "application/yaml").body(scripts::HELD)).await;
    let execute = client.post(format!("{url}/api/v1/workflows/held/execute"));
    let run = call(execute.json(&json!({ "input": { "n": 1 } }))).await;
    let run = run["execution_id"].as_str().expect("an id").to_owned();
    let pause = client.post(format!("{url}/api/v1/executions/{run}/pause"));
    call(pause.json(&json!({ "reason": "lunch" }))).await;
    call(client.delete(format!("{url}/api/v1/cache?reason=wrong"))).await;
    server.kill().expect("it runs");
    server.wait().expect("it ends");
    let (mut server, url, _) = serve_again(folder.path());
    let page = call(client.get(format!("{url}/api/v1/audit?request_id=abc&order=asc"))).await;
    let rows = page["audit"].as_array().expect("a list");
    let told: Vec<_> = rows.iter().map(|own| (&own["action"], &own["reason"])).collect();
    let (defined, none) = (json!("workflow.defined"), Value::Null);
    let (paused, lunch) = (json!("execution.paused"), json!("lunch"));
    let (emptied, wrong) = (json!("cache.emptied"), json!("wrong"));
    assert_eq!(told, [(&defined, &none), (&paused, &lunch), (&emptied, &wrong)]);
    assert!(rows.iter().all(|own| own["request_id"] == "abc" && own["actor"] == "ann"));
    server.kill().expect("it runs");
    server.wait().expect("it ends");
}
