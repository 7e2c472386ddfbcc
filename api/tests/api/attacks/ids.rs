//! Ids and names that would be paths, other ids, or nothing that a person can see.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use backstitch_api::http::routes;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::wire::{LAST, replies};
use crate::server::{Server, TWO_STEPS, answer, settings};

/// In a file beside the data; no answer may have it.
const OUTSIDE: &str = "what-stands-outside-of-the-data";

/// Segments of a path that would lead elsewhere.
fn segments() -> Vec<String> {
    let mut all: Vec<_> = [
        "..",
        ".",
        "%2e%2e",
        "%2e%2e%2f%2e%2e%2foutside.txt",
        "..%2foutside.txt",
        "..%5c..%5coutside.txt",
        "%2foutside.txt",
        "%252e%252e%252foutside.txt",
        "outside.txt%00",
        "%00",
        "%0d%0aSet-Cookie:%20a=b",
        "%c0%ae%c0%ae%c0%afoutside.txt",
        "%e0%80%ae%e0%80%ae",
        "%f0%80%80%af",
        "%ed%a0%80",
        "%ff",
        "%",
        "%2",
        "%zz",
        "%ef%bc%8e%ef%bc%8e",
        "%e2%80%ae",
        "%e2%80%8b",
        "con",
        "null",
        "__proto__",
        "%7b%7bsecrets.a%7d%7d",
        "~",
        "-1",
        "18446744073709551616",
        "exec_%2e%2e",
        "dlq_%2e%2e_0",
    ]
    .map(str::to_owned)
    .into();
    all.push("x".repeat(10_000));
    all
}

/// Everything below a folder but its data.
fn beside(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).expect("a folder").map(|own| own.expect("an entry"));
    entries.map(|own| own.file_name().into_string().expect("a name")).collect()
}

#[tokio::test]
async fn no_id_leads_out_of_the_data() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("outside.txt"), OUTSIDE).expect("a file");
    let server = Server::start_with(settings(&folder), folder).await;
    server.define(TWO_STEPS).await;
    let mut asked = 0;
    for route in routes().iter().filter(|own| own.path.contains('{')) {
        let mut sent = String::new();
        for segment in segments() {
            let parts = route.path.split('/').map(|own| match own.starts_with('{') {
                true => segment.as_str(),
                false => own,
            });
            let path = parts.collect::<Vec<_>>().join("/");
            sent += &format!("{} {path} HTTP/1.1\r\nHost: localhost\r\n", route.method);
            sent += "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
        }
        let told = replies(&server.url, (sent + LAST).as_bytes()).await;
        assert_eq!(told.len(), segments().len() + 1, "{} {}", route.method, route.path);
        for (reply, segment) in told.iter().zip(segments()) {
            let body = String::from_utf8_lossy(&reply.body);
            let shown =
                format!("{} {} {segment:.60}: {} {body}", route.method, route.path, reply.status);
            assert!(reply.status < 500 || reply.status == 501, "{shown}");
            assert!(!body.contains(OUTSIDE) && reply.header("set-cookie").is_empty(), "{shown}");
            asked += 1;
        }
    }
    assert!(asked > 1_000, "{asked}");
    let folder = server.stop().await;
    assert_eq!(beside(folder.path()), ["data", "outside.txt"].map(str::to_owned).into());
    assert_eq!(
        fs::read_to_string(folder.path().join("outside.txt")).expect("it is there"),
        OUTSIDE
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_name_in_a_body_leads_out_of_its_directory() {
    let server = Server::start().await;
    for name in [
        "..",
        ".",
        "../outside",
        "a/../../outside",
        "/var/outside",
        "a\0b",
        "a\nb",
        "//x",
        "./a",
        "",
    ] {
        let (status, told) =
            server.post("/api/v1/admin/backups", &json!({ "directory": name })).await;
        assert!(matches!(status.as_u16(), 400 | 422), "{name:?}: {told}");
    }
    for name in ["../order_saga", "/etc/passwd", "order_saga\0", "order_saga.yaml", "%2e%2e", ""] {
        let body = json!({ "template_name": name });
        let (status, told) = server.post("/api/v1/workflows/from-template", &body).await;
        assert!(status.is_client_error(), "{name:?}: {told}");
    }
    let folder = server.stop().await;
    assert_eq!(beside(folder.path()), ["data".to_owned()].into());
}

/// Ids of workflows and steps are plain words: whatever else is refused by name and place.
#[tokio::test]
async fn ids_are_plain_and_what_is_no_id_is_said_where() {
    let server = Server::start().await;
    let long = "x".repeat(10_000);
    for id in [
        "",
        " ",
        "..",
        ".",
        "a/b",
        "a\\b",
        "a b",
        "é",
        "e\u{301}",
        "\u{430}dmin",
        "a\u{200b}b",
        "a\u{202e}b",
        "\u{feff}a",
        "ａ",
        "a\u{0}b",
        "a\nb",
        "a%2fb",
        "{{ input.a }}",
        "☃",
        long.as_str(),
    ] {
        for (body, path) in [
            (json!({ "id": id, "steps": [{ "id": "a", "type": "noop" }] }), "id"),
            (json!({ "id": "w", "steps": [{ "id": id, "type": "noop" }] }), "steps[0].id"),
        ] {
            let (status, told) = server.post("/api/v1/workflows", &body).await;
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{id:.60?}: {told}");
            let problems = told["details"]["problems"].as_array().expect("problems");
            let named = problems.iter().any(|own| own["path"] == path && own["code"] == "BAD_ID");
            assert!(named, "{id:.60?} at {path}: {told}");
        }
    }
    for id in ["validate", "from-template", "exec_1"] {
        let body = json!({ "id": id, "steps": [{ "id": "a", "type": "noop" }] });
        let (_, told) = server.post("/api/v1/workflows", &body).await;
        assert_eq!(told["details"]["problems"][0]["code"], "RESERVED_ID", "{id}: {told}");
    }
    server.stop().await;
}

/// Words that mean something elsewhere are ids like any other, and none is taken for its like.
#[tokio::test]
async fn words_of_other_systems_are_ids_of_their_own() {
    let server = Server::start().await;
    let ids = [
        "CON",
        "con",
        "nul",
        "null",
        "NULL",
        "undefined",
        "__proto__",
        "constructor",
        "true",
        "a.b",
        "a..b",
    ];
    for id in ids {
        let step = if id.contains('.') { "a" } else { id };
        let body = json!({
            "id": id, "description": format!("this is {id}"),
            "steps": [{ "id": step, "type": "noop", "with": { "output": { "__proto__": { "id": id } } } }],
        });
        let (status, told) = server.post("/api/v1/workflows", &body).await;
        assert_eq!(status, StatusCode::CREATED, "{id}: {told}");
    }
    for id in ids {
        let (_, shown) = server.get(&format!("/api/v1/workflows/{id}")).await;
        assert_eq!(shown["workflow_id"], id, "{shown}");
        assert!(shown.to_string().contains(&format!("this is {id}\"")), "{shown}");
        let run = server.run(id, &json!({ "__proto__": { "admin": true } })).await;
        assert_eq!(run["input"], json!({ "__proto__": { "admin": true } }));
        let step = if id.contains('.') { "a" } else { id };
        assert_eq!(run["steps"][step]["output"], json!({ "__proto__": { "id": id } }), "{run}");
    }
    server.stop().await;
}

/// Two ways to write one letter, and marks that nobody sees, make two texts.
#[tokio::test(flavor = "multi_thread")]
async fn texts_that_look_alike_are_not_taken_for_each_other() {
    let server = Server::start().await;
    let waits =
        "{ id: waits, steps: [{ id: go, type: wait, with: { signal: \"é\", timeout: 30d } }] }";
    assert_eq!(server.define(waits).await.0, StatusCode::CREATED);
    let twins = ["é", "e\u{301}", "é\u{200b}", "\u{202e}é", "É"];
    let mut runs = Vec::new();
    for text in twins {
        let body = json!({ "tags": [text], "correlation_id": text, "input": { text: text } });
        let (status, run) = server.post("/api/v1/workflows/waits/execute", &body).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{text:?}: {run}");
        runs.push(run["execution_id"].as_str().expect("an id").to_owned());
    }
    for (text, run) in twins.iter().zip(&runs) {
        for name in ["tag", "correlation_id"] {
            let (_, list) = server.get(&listed(&server, name, text)).await;
            let found = list["executions"].as_array().unwrap_or_else(|| panic!("{list}"));
            let found: Vec<_> = found.iter().map(|own| &own["execution_id"]).collect();
            assert_eq!(found, [run], "{name} {text:?}");
        }
        let path = format!("/api/v1/executions/{run}");
        let (_, shown) = server.get(&path).await;
        assert_eq!(shown["input"], json!({ *text: *text }));
        let mut signal =
            format!("{}{path}/signals", server.url).parse::<reqwest::Url>().expect("a URL");
        signal.path_segments_mut().expect("a path").push(text);
        let (status, told) = answer(server.client.post(signal).json(&json!({}))).await;
        assert!(status.is_success(), "{told}");
    }
    let waiting = |shown: &Value| shown["steps"]["go"]["status"] == "waiting";
    for (text, run) in twins.iter().zip(&runs).skip(1) {
        let (_, shown) = server.get(&format!("/api/v1/executions/{run}")).await;
        assert!(waiting(&shown), "{text:?} is not what is waited for: {shown}");
    }
    while waiting(&server.get(&format!("/api/v1/executions/{}", runs[0])).await.1) {}
    server.stop().await;
}

/// The path of the list of runs that have a text.
fn listed(server: &Server, name: &str, text: &str) -> String {
    let url = format!("{}/api/v1/executions", server.url);
    let url = reqwest::Url::parse_with_params(&url, [(name, text)]).expect("a URL");
    format!("{}?{}", url.path(), url.query().unwrap_or_default())
}

/// Keys and words of a submission: any visible text, and nothing that hides or has no end.
#[tokio::test]
async fn words_of_a_submission_are_taken_whole_or_refused() {
    let server = Server::start().await;
    server.define(TWO_STEPS).await;
    let execute = || server.request(Method::POST, "/api/v1/workflows/two/execute");
    let keys =
        [".", "..", "null", "__proto__", "../a", "{{ 7*7 }}", "A", "a", "a ", "%61", "\"'\\"];
    let mut begun = BTreeSet::new();
    for key in keys.into_iter().chain(keys) {
        let asked = execute().header("idempotency-key", key).json(&json!({}));
        let (status, run) = answer(asked).await;
        assert!(status.is_success(), "{key}: {run}");
        begun.insert(run["execution_id"].to_string());
    }
    // A header's value ends before the space behind it.
    assert_eq!(begun.len(), keys.len() - 1);
    let long = "x".repeat(10_000);
    for key in ["é".as_bytes(), b"\xff", b"a\tb", long.as_bytes(), b""] {
        let asked = execute().header("idempotency-key", key).json(&json!({}));
        let (status, told) = answer(asked).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{key:.20?}: {told}");
        assert!(told["message"].to_string().contains("Idempotency-Key"), "{told}");
    }
    for (body, path) in [
        (json!({ "correlation_id": long }), "correlation_id"),
        (json!({ "correlation_id": "a\u{0}b" }), "correlation_id"),
        (json!({ "correlation_id": "a\r\nX: b" }), "correlation_id"),
        (json!({ "correlation_id": "a\u{85}b" }), "correlation_id"),
        (json!({ "tags": [long] }), "tags"),
        (json!({ "tags": ["a\u{1b}[2J"] }), "tags"),
        (json!({ "tags": [""] }), "tags"),
    ] {
        let (status, told) = answer(execute().json(&body)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{path}: {told}");
        let named = told["details"]["problems"][0]["path"].as_str().unwrap_or_default();
        assert!(named.starts_with(path), "{path}: {told}");
    }
    server.stop().await;
}
