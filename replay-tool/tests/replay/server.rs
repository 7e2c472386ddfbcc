//! Servers that are not there, not ours, or have no time: told apart, in one line.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::{JoinHandle, spawn};

use replay_tool::{Screen, run};
use serde_json::{Value, json};

use crate::directory::Printed;
use crate::runs::day;

/// Asks a server.
fn ask(url: &str, arguments: &[&str]) -> Printed {
    let line = [&["replay-tool", "--server", url], arguments].concat();
    let (mut out, mut complaints) = (Vec::new(), Vec::new());
    let code = run(line, Screen::default(), &mut out, &mut complaints);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Printed { code, out: text(out), complaints: text(complaints) }
}

/// Something that answers one request so; what it was asked comes with its end.
fn answering(status: &str, body: &str) -> (String, JoinHandle<String>) {
    answering_all(vec![answer(status, body)])
}

/// Something that answers one request after the other with these documents.
fn answering_each(bodies: &[String]) -> (String, JoinHandle<String>) {
    answering_all(bodies.iter().map(|body| answer("200 OK", body)).collect())
}

fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

fn answering_all(answers: Vec<String>) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let thread = spawn(move || {
        let mut asked = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut request, mut piece) = (Vec::<u8>::new(), [0; 1024]);
            while !request.windows(4).any(|window| window == b"\r\n\r\n") {
                let read = stream.read(&mut piece).unwrap();
                request.extend(&piece[..read]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            asked.extend(request);
        }
        String::from_utf8(asked).unwrap()
    });
    (url, thread)
}

/// One line is complained, with these words.
fn refused(printed: &Printed, code: u8, words: &str) {
    assert_eq!((printed.code, printed.out.as_str()), (code, ""), "{printed:?}");
    assert_eq!(printed.complaints.matches('\n').count(), 1, "{printed:?}");
    assert!(printed.complaints.contains(words), "`{words}` in {printed:?}");
}

#[test]
fn a_server_that_is_not_there() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for arguments in [vec!["list"], vec!["dlq", "stats"], vec!["show", "exec_0001"], vec!["stats"]]
    {
        refused(&ask(&format!("http://{free}"), &arguments), 5, "no answer from http://127.0.0.1:");
    }
    refused(&ask("localhost:8080", &["list"]), 2, "must be written as http://HOST:PORT");
}

#[test]
fn what_works_offline_only_is_not_ignored() {
    let letter = format!("dlq_{}_0", "0".repeat(36));
    let asked = ask("http://127.0.0.1:1", &["dlq", "retry", &letter, "--actor", "night shift"]);
    refused(&asked, 2, "`--actor` works offline only");
}

#[test]
fn a_run_that_has_not_ended_is_drawn_until_now() {
    let day = day();
    let run = day.written.json(&["show", &day.running]);
    let events = day.written.json(&["events", &day.running]);
    let (url, thread) = answering_each(&[run.to_string(), "{}".to_owned(), events.to_string()]);
    let asked = ask(&url, &["timeline", &day.running]);
    thread.join().unwrap();
    assert_eq!((asked.code, asked.complaints.as_str()), (0, ""));
    let head = asked.out.lines().next().unwrap();
    assert!(head.contains(" so far") && !head.contains("700ms"), "{head}");
}

#[test]
fn a_server_counts_letters_as_its_directory_does() {
    let info = r#"{"journal": {"store_id": "ab", "log_bytes": 7}}"#;
    let runs = r#"{"total": {"executions": 3, "by_status": {"failed": 2, "completed": 1}}}"#;
    let letters = r#"{"by_status": {"open": 2, "retried": 1, "discarded": 0}}"#;
    let (url, thread) = answering_each(&[info, runs, letters].map(str::to_owned));
    let asked = ask(&url, &["--json", "stats"]);
    let questions = thread.join().unwrap();
    assert!(questions.contains("/api/v1/dlq/stats"), "{questions}");
    assert_eq!((asked.code, asked.complaints.as_str()), (0, ""));
    let shown: Value = serde_json::from_str(&asked.out).unwrap();
    assert_eq!(shown["dead_letters"], json!({ "open": 2, "retried": 1 }));
    assert_eq!(shown["runs"]["total"], 3);
}

#[test]
fn a_replay_goes_to_a_url_or_into_a_view() {
    let asked = ask("http://127.0.0.1:1", &["replays", "start"]);
    refused(&asked, 2, "--view");
    assert!(asked.complaints.contains("--url"), "{asked:?}");
    let both = ["replays", "start", "--url", "http://a", "--view", "runs"];
    refused(&ask("http://127.0.0.1:1", &both), 2, "cannot be used with");
}

#[test]
fn a_problem_is_said_once() {
    let body = r#"{"error_code": "INVALID_INPUT", "message": "the request is wrong: limit: too big (X)",
        "details": {"problems": [{"path": "limit", "message": "too big", "code": "X"},
            {"path": "at", "message": "no instant", "code": "Y"}]}}"#;
    let (url, thread) = answering("422 Unprocessable", body);
    let asked = ask(&url, &["list"]);
    refused(&asked, 1, "limit: too big (X); at: no instant (INVALID_INPUT)");
    thread.join().unwrap();
}

#[test]
fn a_policy_is_read_from_yaml_and_json() {
    let directory = tempfile::tempdir().unwrap();
    let plan = |name: &str, text: &str, url: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        ask(url, &["retention", "plan", "--policy", path.to_str().unwrap()])
    };
    let answer = r#"{"executions": [], "by_rule": [], "held": [], "held_count": 0}"#;
    for (name, text) in [
        ("policy.yaml", "rules: [{ name: the rest, keep_for: 30d }]"),
        ("policy.json", r#"{"rules": [{"name": "the rest", "keep_for": "30d"}]}"#),
    ] {
        let (url, thread) = answering("200 OK", answer);
        assert_eq!(plan(name, text, &url).code, 0, "{name}");
        thread.join().unwrap();
    }
    refused(&plan("empty.yaml", "", "http://127.0.0.1:1"), 1, "it holds no policy");
    refused(&plan("bad.json", "{", "http://127.0.0.1:1"), 1, "not JSON");
}

#[test]
fn something_else_answers() {
    for (status, body) in [
        ("200 OK", "<html>hello</html>"),
        ("200 OK", "{\"rows\": []}"),
        ("404 Not Found", "nothing here"),
        ("301 Moved", ""),
        ("404 Not Found", r#"{"error_code": "NOT_FOUND", "message": "no such path"}"#),
    ] {
        let (url, thread) = answering(status, body);
        refused(&ask(&url, &["list"]), 5, "is no Backstitch server");
        thread.join().unwrap();
    }
}

#[test]
fn a_server_that_has_no_time() {
    let body = r#"{"error_code": "ORCHESTRATOR_UNAVAILABLE", "message": "it reads its journal"}"#;
    let (url, thread) = answering("503 Service Unavailable", body);
    refused(&ask(&url, &["list"]), 5, "it reads its journal");
    thread.join().unwrap();
}

#[test]
fn a_server_that_wants_to_know_who_asks() {
    let (url, thread) = answering("401 Unauthorized", "");
    refused(&ask(&url, &["list"]), 5, "--token");
    thread.join().unwrap();
    let (url, thread) = answering("200 OK", r#"{"executions": [], "next_cursor": null}"#);
    let printed = ask(&url, &["--token", "secret-17", "list"]);
    assert_eq!((printed.code, printed.out.as_str()), (0, "no runs\n"));
    let asked = thread.join().unwrap();
    assert!(asked.to_ascii_lowercase().contains("authorization: bearer secret-17"), "{asked}");
}

#[test]
fn a_refusal_is_told_with_its_code() {
    let body = r#"{"error_code": "DEAD_LETTER_NOT_OPEN", "message": "it was retried"}"#;
    let (url, thread) = answering("409 Conflict", body);
    let letter = "dlq_000100000000000000000000000000000001_0";
    let printed = ask(&url, &["dlq", "retry", letter]);
    assert_eq!(printed.code, 1);
    assert!(printed.out.contains("it was retried (DEAD_LETTER_NOT_OPEN)"), "{printed:?}");
    let asked = thread.join().unwrap();
    assert!(asked.starts_with(&format!("POST /api/v1/dlq/{letter}/retry ")), "{asked}");
}

#[test]
fn a_fork_is_told_with_what_runs_again() {
    let body = r#"{"execution_id": "exec_2", "status": "running",
        "warnings": [{"step": "charge", "message": "step `charge` took effect"}]}"#;
    let (url, thread) = answering("202 Accepted", body);
    let run = format!("exec_{}", "0".repeat(36));
    let printed = ask(&url, &["fork", &run, "--from", "charge", "--reason", "renewed"]);
    let told = "warning: step `charge` took effect\nexec_2: running\n";
    assert_eq!((printed.code, printed.out.as_str()), (0, told), "{printed:?}");
    let asked = thread.join().unwrap();
    assert!(asked.starts_with(&format!("POST /api/v1/executions/{run}/fork ")), "{asked}");
}

#[test]
fn what_works_on_files_is_not_asked_of_a_server() {
    let url = "http://127.0.0.1:9";
    refused(&ask(url, &["verify"]), 2, "`verify` reads the files themselves");
    refused(&ask(url, &["list", "--status", "quarantined"]), 2, "works offline only");
    refused(&ask(url, &["--before-damage", "list"]), 2, "cannot be used with");
    let day = day();
    let path = day.written.path().to_str().unwrap();
    refused(&ask(url, &["--data-dir", path, "list"]), 2, "cannot be used with");
}

#[test]
fn what_only_a_server_can_do_wants_one() {
    let day = day();
    let digest = "0".repeat(64);
    let run = format!("exec_{}", "0".repeat(36));
    let fork = vec!["fork", &run, "--from", "charge", "--reason", "why not"];
    for arguments in [vec!["payload", "show", &digest], vec!["replays", "list"], fork] {
        let printed = day.written.ask(&arguments);
        refused(&printed, 2, "is carried out by a running server: name it with --server URL");
    }
    let unsure = ask("http://127.0.0.1:9", &["retention", "apply"]);
    refused(&unsure, 2, "--confirm");
}

#[test]
fn a_plan_of_retention_names_runs_rules_and_what_is_held_back() {
    let plan = r#"{
        "policy": { "rules": [] }, "at": "2026-01-01T00:00:00.000000Z", "examined": 3,
        "executions": [ { "execution_id": "exec_1", "workflow_id": "order", "status": "completed",
            "closed_at": "2025-01-01T00:00:00.000000Z", "bytes": 2048, "rule": "old" } ],
        "by_rule": [ { "rule": "old", "executions": 1, "bytes": 2048 } ],
        "held": [ { "execution_id": "exec_2", "rule": "old", "reason": "open_letter",
            "message": "a dead letter of it is open: retry or discard it" } ],
        "held_count": { "open_letter": 1 }, "next_cursor": null }"#;
    let (url, thread) = answering("200 OK", plan);
    let printed = ask(&url, &["retention", "plan", "--at", "2026-01-01T00:00:00Z"]);
    assert_eq!((printed.code, printed.complaints.as_str()), (0, ""));
    insta::assert_snapshot!("retention_plan", printed.out);
    let asked = thread.join().unwrap();
    assert!(asked.starts_with("POST /api/v1/admin/retention/plan "), "{asked}");
}

#[test]
fn an_export_that_breaks_off_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.jsonl");
    let day = day();
    let whole = folder.path().join("whole.jsonl");
    day.written.text(&["export", "-o", whole.to_str().unwrap()]);
    let text = std::fs::read_to_string(&whole).unwrap();
    let cut = &text[..text.len() / 2];
    let status = "200 OK\r\ncontent-type: application/x-ndjson";
    let (url, thread) = answering(status, cut);
    let arguments = ["export", "-o", file.to_str().unwrap(), "--status", "completed"];
    let printed = ask(&url, &arguments);
    refused(&printed, 1, "this is no whole export: line ");
    assert!(thread.join().unwrap().starts_with("GET /api/v1/export?status=completed "));
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    let (url, thread) = answering(status, &text);
    let printed = ask(&url, &arguments);
    assert_eq!((printed.code, printed.complaints.as_str()), (0, ""));
    thread.join().unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
}
