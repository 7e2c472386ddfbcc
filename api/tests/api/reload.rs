//! The configuration file is read again: by the API, by the command line and by SIGHUP.

use std::fs;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::process::{backstitch, folder, listening};

struct Reloaded {
    folder: tempfile::TempDir,
    process: Child,
    url: String,
}

impl Reloaded {
    fn start(file: &str) -> Self {
        let folder = folder();
        fs::write(folder.path().join("backstitch.yaml"), file).expect("a file");
        let flags =
            ["serve", "--listen", "127.0.0.1:0", "--partitions", "1", "--log-format", "json"];
        let mut process = backstitch(&flags)
            .current_dir(folder.path())
            .env("BACKSTITCH_DRAIN", "3s")
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let (url, _) = listening(&mut process);
        Self { folder, process, url }
    }

    fn write(&self, file: &str) {
        fs::write(self.folder.path().join("backstitch.yaml"), file).expect("a file");
    }

    async fn get(&self, path: &str) -> Value {
        let answer = crate::forms::client().get(format!("{}{path}", self.url)).send().await;
        answer.expect("an answer").json().await.expect("JSON")
    }

    async fn reload(&self) -> (u16, Value) {
        let request = crate::forms::client().post(format!("{}/api/v1/config/reload", self.url));
        let request = request.header("x-request-id", "again");
        let answer = request.header("x-user-id", "ann").send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    }

    async fn setting(&self, key: &str) -> Value {
        self.get("/api/v1/config/effective").await["settings"][key].clone()
    }
}

impl Drop for Reloaded {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_takes_force_at_once_is_recorded_and_the_rest_is_named() {
    let server = Reloaded::start("log_level: info\ndlq_alarm_letters: 5\nnode: a\n");
    while server.get("/ready").await["status"] != "ready" {}
    let start = server.setting("dlq_alarm_letters").await["since"].clone();
    assert_eq!(server.reload().await, (200, json!({ "changed": [], "needs_restart": [] })));
    server.write(
        "log_level: debug\ndlq_alarm_letters: 7\nnode: b\ndrain: 9s\nqueue_size: 12\n\
         rate_limit_caller: off\nallowed_hosts: [shop.example]\n\
         retention: { rules: [{ name: old, keep_for: 30d }] }\n",
    );
    let host = || crate::forms::client().get(format!("{}/health", server.url));
    let refused = host().header("host", "shop.example").send().await.expect("an answer");
    assert_eq!(refused.status().as_u16(), 403);
    let (status, told) = server.reload().await;
    assert_eq!(status, 200, "{told}");
    let names = |list: &str| -> Vec<String> {
        let all = told[list].as_array().expect("a list").iter();
        all.map(|own| own["setting"].as_str().expect("a key").to_owned()).collect()
    };
    let changed =
        ["log_level", "rate_limit_caller", "allowed_hosts", "dlq_alarm_letters", "retention"];
    let mut found = names("changed");
    // What was said and is the default is another origin, and no other value.
    found.retain(|own| own != "rate_limit_caller");
    assert_eq!(
        found,
        changed.iter().filter(|own| **own != "rate_limit_caller").copied().collect::<Vec<_>>()
    );
    // The variable counts before the file, and is as it was.
    assert_eq!(names("needs_restart"), ["queue_size", "node"]);
    let taken = host().header("host", "shop.example").send().await.expect("an answer");
    assert_eq!(taken.status().as_u16(), 200);
    let info = server.get("/info").await;
    assert_eq!((&info["letter_alarm"]["letters"], &info["node"]), (&json!(7), &json!("a")));
    assert_eq!(server.get("/api/v1/admin/log-levels").await["settings"], "debug");
    let policy = server.get("/api/v1/admin/retention/policy").await;
    assert!(policy.to_string().contains("\"old\""), "{policy}");
    let letters = server.setting("dlq_alarm_letters").await;
    assert_eq!(letters["value"], "7");
    assert!(letters["since"].as_str() > start.as_str(), "{letters}");
    assert_eq!(server.setting("node").await["value"], "a");
    let effective = server.get("/api/v1/config/effective").await;
    assert_eq!(effective["needs_restart"][1]["to"], "b");
    let audit = server.get("/api/v1/audit?action=settings.reloaded").await;
    let row = &audit["audit"][0];
    assert_eq!((&row["actor"], &row["target"]), (&json!("ann"), &json!("a")), "{audit}");
    assert_eq!(row["request_id"], "again");
    let detail = row["detail"].as_str().expect("a text");
    assert!(detail.contains("dlq_alarm_letters: 5 -> 7"), "{detail}");
    assert_eq!(audit["audit"].as_array().map(Vec::len), Some(1), "what changes nothing is no deed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_file_changes_nothing_and_every_problem_is_told() {
    let server = Reloaded::start("log_level: info\n");
    while server.get("/ready").await["status"] != "ready" {}
    let before = server.get("/api/v1/config/effective").await;
    server.write("log_level: loud\ndlq_alarm_letters: 3\nnode: 'a b'\nsecrets_dir: nowhere\n");
    let (status, refused) = server.reload().await;
    assert_eq!((status, &refused["error_code"]), (422, &json!("INVALID_INPUT")), "{refused}");
    let problems = refused["details"]["problems"].as_array().expect("problems");
    let paths: Vec<_> = problems.iter().map(|own| own["path"].as_str().expect("a key")).collect();
    assert_eq!(paths, ["log_level", "node"]);
    let message = problems[0]["message"].as_str().expect("a message");
    assert!(message.starts_with("`log_level` in backstitch.yaml: `loud`"), "{message}");
    server.write("secrets_dir: nowhere\ndlq_alarm_letters: 3\n");
    assert_eq!(server.reload().await.1["details"]["problems"][0]["path"], "secrets_dir");
    server.write("unknown_thing: 1\n");
    assert_eq!(server.reload().await.0, 422);
    assert_eq!(server.get("/api/v1/config/effective").await, before);
    assert_eq!(server.get("/api/v1/audit?action=settings.reloaded").await["audit"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_and_the_command_line_have_it_read_too() {
    let server = Reloaded::start("dlq_alarm_letters: 5\n");
    while server.get("/ready").await["status"] != "ready" {}
    server.write("dlq_alarm_letters: 6\n");
    let hangup = Command::new("kill").args(["-HUP", &server.process.id().to_string()]).status();
    assert!(hangup.expect("there is kill").success());
    while server.setting("dlq_alarm_letters").await["value"] != "6" {}
    let audit = server.get("/api/v1/audit?action=settings.reloaded").await;
    assert_eq!(audit["audit"][0]["actor"], "SIGHUP");
    server.write("dlq_alarm_letters: 8\nnode: other\n");
    let told = backstitch(&["reload", "--server", &server.url]).output().expect("it runs");
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert_eq!(told, "dlq_alarm_letters: 6 -> 8\nnode: local -> other (needs a restart)\n");
}
