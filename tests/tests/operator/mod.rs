//! The command line of an operator, on a real server and on its directory once it is gone.

mod service;
mod transfer;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use backstitch_tests::binaries;
use backstitch_tests::http::{Connection, request};
use backstitch_tests::server::Server;
use serde_json::{Value, json};

use service::Service;

/// How long a run may take to get somewhere.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the server may wait for a run's end before it answers.
const WAIT_SECONDS: u32 = 30;

/// What the command line answered.
struct Printed {
    code: Option<i32>,
    out: String,
    complaints: String,
}

/// Asks at a place: `--data-dir` or `--server`, and which.
fn ask(place: [&str; 2], arguments: &[&str]) -> Printed {
    let mut command = Command::new(binaries::replay_tool());
    let clean = ["BACKSTITCH_SERVER", "ORCHESTRATOR_URL", "BACKSTITCH_DATA_DIR"];
    for name in clean {
        command.env_remove(name);
    }
    let ended = command.args(place).args(arguments).output().expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("it prints UTF-8");
    Printed { code: ended.status.code(), out: text(ended.stdout), complaints: text(ended.stderr) }
}

/// What is printed where all goes well.
fn told(place: [&str; 2], arguments: &[&str]) -> String {
    let printed = ask(place, arguments);
    assert_eq!((printed.code, printed.complaints.as_str()), (Some(0), ""), "{arguments:?}");
    printed.out
}

fn told_json(place: [&str; 2], arguments: &[&str]) -> Value {
    let out = told(place, &[&["--json"], arguments].concat());
    serde_json::from_str(&out).expect("it prints JSON")
}

/// A server, its directory, and a service whose answers the test chooses.
struct Scene {
    folder: tempfile::TempDir,
    service: Service,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        Self { folder, service: Service::start() }
    }

    fn data_dir(&self) -> String {
        self.folder.path().join("data").to_str().expect("the path is text").to_owned()
    }

    async fn serve(&self) -> Server {
        let program = Command::new(binaries::backstitch());
        let words = self.folder.path().join("words");
        let mut server = Server::spawn(program, Path::new(&self.data_dir()), &words)
            .expect("the server can be started");
        server.ready().await.expect("the server opens its journal");
        server
    }

    /// Defines a workflow of two steps, the second of which the service decides.
    async fn define(&self, at: SocketAddr, id: &str, on_failure: &str) {
        let url = |path: &str| format!("http://{}/{path}", self.service.address());
        let step = |path: &str| json!({ "method": "POST", "url": url(path) });
        let definition = json!({
            "id": id, "version": "1.0", "on_failure": on_failure,
            "defaults": { "retry": { "max_attempts": 1 } },
            "steps": [
                { "id": "zeroth", "type": "http", "with": step("fine"),
                  "undo": { "type": "http", "with": step("fine") } },
                { "id": "charge", "needs": ["zeroth"], "type": "http", "with": step("chosen") },
                { "id": "after", "needs": ["charge"], "type": "noop", "with": {} },
            ],
        });
        send(at, "POST", "/api/v1/workflows", &definition).await;
    }
}

async fn send(at: SocketAddr, method: &str, path: &str, body: &Value) -> Value {
    let headers = [("content-type", "application/json")];
    let request = request(method, path, &headers, body.to_string().as_bytes());
    let mut connection = Connection::open(at).await.expect("the server listens");
    let answer = connection.send(&request).await.expect("the server answers");
    let body: Value = serde_json::from_slice(&answer.body).expect("it answers JSON");
    assert!(answer.status < 300, "{method} {path}: {} {body}", answer.status);
    body
}

/// Begins a run, and waits for its end if it has one.
async fn execute(at: SocketAddr, workflow: &str, wait_seconds: u32) -> String {
    let path = format!("/api/v1/workflows/{workflow}/execute");
    let body = json!({
        "input": { "order": 7 }, "wait_seconds": wait_seconds, "tags": ["shop"],
        "correlation_id": "basket",
    });
    let begun = send(at, "POST", &path, &body).await;
    begun["execution_id"].as_str().expect("a run has an id").to_owned()
}

/// Asks until the run stands so.
fn until(place: [&str; 2], run: &str, status: &str) -> Value {
    let begun = Instant::now();
    loop {
        let shown = told_json(place, &["show", run]);
        if shown["status"] == status {
            return shown;
        }
        assert!(begun.elapsed() < PATIENCE, "{run} is {} and not {status}", shown["status"]);
    }
}

fn on_runtime(work: impl Future<Output = ()>) {
    tokio::runtime::Runtime::new().expect("a runtime starts").block_on(work);
}

#[test]
fn a_server_and_its_directory_answer_alike() {
    on_runtime(async {
        let scene = Scene::new();
        let server = scene.serve().await;
        let (at, url) = (server.address(), format!("http://{}", server.address()));
        scene.define(at, "order", "compensate").await;
        scene.define(at, "parked", "suspend").await;
        let mut runs = vec![execute(at, "order", WAIT_SECONDS).await];
        scene.service.refuse(true);
        runs.push(execute(at, "order", WAIT_SECONDS).await);
        runs.push(execute(at, "parked", 0).await);
        let online = ["--server", url.as_str()];
        until(online, &runs[2], "suspended");
        let letters = told_json(online, &["dlq", "list"]);
        assert_eq!(letters["count"], 2);
        let letter = letters["letters"][0]["letter_id"].as_str().expect("a letter has an id");
        // Runs of the same millisecond share half of their digits.
        let shortened = &runs[0][..runs[0].len() - 3];
        let mut questions: Vec<Vec<&str>> = vec![
            vec!["list"],
            vec!["list", "--status", "compensated", "--workflow", "order"],
            vec!["list", "--limit", "3"],
            vec!["list", "--order", "asc", "--limit", "3", "--tag", "shop"],
            vec!["list", "--tag", "nowhere"],
            vec!["list", "--submitted-after", "2020-01-01T00:00:00Z", "--correlation-id", "basket"],
            vec!["list", "--ended-before", "2020-01-01T00:00:00Z"],
            vec!["dlq", "list", "--kind", "step", "--code", "HTTP_STATUS"],
            vec!["dlq", "show", letter],
            vec!["dlq", "stats"],
            vec!["show", shortened],
        ];
        for run in &runs {
            questions.extend(["show", "events", "diff"].map(|word| vec![word, run]));
            // How long one goes on that has not ended, only a server knows.
            let shown: Value = serde_json::from_str(&told(online, &["--json", "show", run]))
                .expect("it answers in JSON");
            if shown["status"] != "suspended" {
                questions.push(vec!["timeline", run]);
            }
            questions.push(vec!["state", run, "--version", "3"]);
            questions.push(vec!["diff", run, "--from", "3", "--to", "2"]);
        }
        questions.push(vec!["compare", &runs[0], &runs[1]]);
        let both = |place| -> Vec<[String; 2]> {
            let ask = |question: &Vec<&str>| {
                [told(place, question), told(place, &[&["--json"], &question[..]].concat())]
            };
            questions.iter().map(ask).collect()
        };
        let from_server = both(online);
        assert!(told(online, &["stats", "--database"]).contains("DATABASE"));
        assert!(told(online, &["rebuild", "--view", "runs"]).contains("rebuilt"));
        server.kill().expect("the server can be killed");
        let data_dir = scene.data_dir();
        let offline = ["--data-dir", data_dir.as_str()];
        for ((question, server), files) in questions.iter().zip(&from_server).zip(both(offline)) {
            assert_eq!(*server, files, "{question:?}");
        }
        assert_eq!(told(offline, &["rebuild"]).matches("rebuilt").count(), 3);
        assert!(told(offline, &["stats", "--database"]).contains("DATABASE"));
        assert!(told(offline, &["verify"]).contains("whole"));
    });
}

#[test]
fn letters_are_settled_by_a_server_and_by_its_directory() {
    on_runtime(async {
        let scene = Scene::new();
        let server = scene.serve().await;
        let (at, url) = (server.address(), format!("http://{}", server.address()));
        let online = ["--server", url.as_str()];
        scene.define(at, "parked", "suspend").await;
        scene.service.refuse(true);
        let mut runs = Vec::new();
        for _ in 0..3 {
            runs.push(execute(at, "parked", 0).await);
        }
        let letter = |run: &str| format!("dlq_{}_0", &run["exec_".len()..]);
        for run in &runs {
            until(online, run, "suspended");
        }
        let busy = ask(["--data-dir", &scene.data_dir()], &["dlq", "retry", &letter(&runs[0])]);
        assert_eq!(busy.code, Some(3), "{}", busy.complaints);
        scene.service.refuse(false);
        told(online, &["dlq", "retry", &letter(&runs[0])]);
        until(online, &runs[0], "completed");
        server.kill().expect("the server can be killed");

        let data_dir = scene.data_dir();
        let offline = ["--data-dir", data_dir.as_str()];
        let given = ["dlq", "assign", &letter(&runs[1]), "--to", "night shift"];
        told(offline, &given);
        told(offline, &["dlq", "note", &letter(&runs[1]), "--text", "the card works again"]);
        told(offline, &["dlq", "retry", &letter(&runs[1]), "--actor", "night shift"]);
        let discard = ["dlq", "discard", &letter(&runs[2]), "--reason", "refunded by hand"];
        told(offline, &discard);
        assert!(told(offline, &["verify"]).contains("whole"));
        let calls = scene.service.calls();

        let server = scene.serve().await;
        let url = format!("http://{}", server.address());
        let online = ["--server", url.as_str()];
        let retried = until(online, &runs[1], "completed");
        assert_eq!(retried["dead_letters"][0]["settled"]["actor"], "night shift");
        let noted = told_json(online, &["dlq", "show", &letter(&runs[1])]);
        assert_eq!(noted["assignee"], "night shift");
        assert_eq!(noted["notes"][0]["text"], "the card works again");
        let given_up = until(online, &runs[2], "compensated");
        assert_eq!(given_up["dead_letters"][0]["settled"]["reason"], "refunded by hand");
        assert_eq!(told_json(online, &["dlq", "list"])["count"], 0);
        // One charge of the retried run, one undo of the one given up, and nothing twice.
        assert_eq!(scene.service.calls() - calls, 2);
    });
}

#[test]
fn runs_that_a_policy_lets_go_leave_the_server_and_its_directory() {
    on_runtime(async {
        let scene = Scene::new();
        let server = scene.serve().await;
        let (at, url) = (server.address(), format!("http://{}", server.address()));
        let online = ["--server", url.as_str()];
        scene.define(at, "order", "compensate").await;
        scene.define(at, "parked", "suspend").await;
        let gone = execute(at, "order", WAIT_SECONDS).await;
        scene.service.refuse(true);
        let kept = execute(at, "parked", 0).await;
        until(online, &kept, "suspended");
        let policy = scene.folder.path().join("policy.json");
        let rules = json!({ "rules": [{ "name": "nothing stays", "keep_for": "0s" }] });
        std::fs::write(&policy, rules.to_string()).expect("the policy can be written");
        let policy = policy.to_str().expect("the path is text");
        let plan = told(online, &["retention", "plan", "--policy", policy]);
        assert!(plan.contains(&gone) && !plan.contains(&kept), "{plan}");
        assert!(told(online, &["retention", "policy"]).contains("rules"));
        let unsure = ask(online, &["retention", "apply", "--policy", policy]);
        assert_eq!(unsure.code, Some(2), "{}", unsure.complaints);
        let done = told(online, &["retention", "apply", "--policy", policy, "--confirm"]);
        assert!(done.contains("1 run removed"), "{done}");
        let shown = ask(online, &["show", &gone]);
        assert_eq!(shown.code, Some(1));
        assert!(shown.complaints.contains("EXECUTION_REMOVED"), "{}", shown.complaints);
        scene.service.refuse(false);
        let later = execute(at, "order", WAIT_SECONDS).await;
        until(online, &later, "completed");
        server.kill().expect("the server can be killed");
        let data_dir = scene.data_dir();
        let offline = ["--data-dir", data_dir.as_str()];
        assert_eq!(told_json(offline, &["list"])["count"], 2);
        let plan = told(offline, &["retention", "plan", "--policy", policy]);
        assert!(plan.contains(&later) && !plan.contains(&gone), "{plan}");
        let done = told(offline, &["retention", "apply", "--policy", policy, "--confirm"]);
        assert!(done.contains("1 run removed"), "{done}");
        assert_eq!(told_json(offline, &["list"])["count"], 1);
        assert!(told(offline, &["verify"]).contains("whole"));
        let server = scene.serve().await;
        let url = format!("http://{}", server.address());
        let shown = ask(["--server", url.as_str()], &["show", &later]);
        assert!(shown.complaints.contains("EXECUTION_REMOVED"), "{}", shown.complaints);
        server.kill().expect("the server can be killed");
        let still = ask(offline, &["show", &gone]);
        assert_eq!(still.code, Some(0));
        assert!(still.complaints.contains("was removed at"), "{}", still.complaints);
    });
}
