//! Every list is asked and told of in the same words: derived from the description, so that a new list
//! without them fails.

use std::collections::BTreeSet;

use backstitch_api::http::openapi;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::server::{Server, TWO_STEPS, answer};

const WORDS: [&str; 5] = ["limit", "offset", "page", "page_size", "cursor"];
/// Answers that hold lists and are none: each is of one thing, which it tells as a whole.
const OF_ONE_THING: [&str; 12] = [
    "getLogLevels",
    "getBackups",
    "getEffectiveSettings",
    "getRedrive",
    "getLetterStatistics",
    "getLetter",
    "getExecution",
    "compareExecutions",
    "diffExecution",
    "planRollback",
    "explainExecution",
    "getLimits",
];
/// The same, of workflows.
const OF_ONE_WORKFLOW: [&str; 3] = ["getWorkflow", "diffRevisions", "getEffectiveDefinition"];

const LOOP: &str = "
id: loop
steps:
  - id: all
    type: foreach
    with: { items: [1, 2, 3, 4, 5] }
    each: { type: noop, with: { output: '{{ item }}' } }
";
const FAILING: &str = "
id: failing
on_failure: halt
steps:
  - { id: only, type: noop, retry: none, with: { fail: { permanent: true } } }
";

fn resolved(named: &'static Value) -> &'static Value {
    match named["$ref"].as_str() {
        Some(path) => openapi().pointer(&path[1..]).expect("a reference that leads somewhere"),
        None => named,
    }
}

/// The names of an answer's lists of objects.
fn lists_in(schema: &'static Value) -> Vec<&'static str> {
    let fields = schema["properties"].as_object().into_iter().flatten();
    let lists = fields.filter(|(_, own)| {
        let own = resolved(own);
        own["type"] == "array" && resolved(&own["items"])["type"] == "object"
    });
    lists.map(|(name, _)| name.as_str()).collect()
}

/// Every list of `/api/v1`: its path, and the name of its rows.
fn lists() -> Vec<(&'static str, &'static str)> {
    let mut found = Vec::new();
    for (path, item) in openapi()["paths"].as_object().expect("paths") {
        let own = &item["get"];
        let id = own["operationId"].as_str().unwrap_or_default();
        let whole = OF_ONE_THING.contains(&id) || OF_ONE_WORKFLOW.contains(&id);
        if !path.starts_with("/api/v1/") || whole {
            continue;
        }
        let content = &own["responses"]["200"]["content"]["application/json"]["schema"];
        let schema = resolved(content);
        let schemas = match schema["anyOf"].as_array() {
            Some(all) => all.iter().map(resolved).collect(),
            None => vec![schema],
        };
        let Some(rows) = schemas.iter().find_map(|own| lists_in(own).first().copied()) else {
            continue;
        };
        let asked = own["parameters"].as_array().into_iter().flatten().map(resolved);
        let asked: BTreeSet<_> = asked.filter_map(|own| own["name"].as_str()).collect();
        for word in WORDS {
            assert!(asked.contains(word), "{path} takes no `{word}`");
        }
        for own in schemas {
            for name in ["next_cursor", "pagination"] {
                assert!(own["properties"].get(name).is_some(), "{path} tells no `{name}`");
            }
        }
        found.push((path.as_str(), rows));
    }
    found
}

/// A server with something in every list, and how paths are filled in.
async fn filled() -> (Server, [(&'static str, String); 3]) {
    let server = Server::start().await;
    for text in [TWO_STEPS, LOOP, FAILING, &TWO_STEPS.replace("hello", "bye")] {
        assert!(server.define(text).await.0.is_success());
    }
    for _ in 0..3 {
        server.run("two", &json!({})).await;
    }
    let run =
        server.run("loop", &json!({})).await["execution_id"].as_str().expect("an id").to_owned();
    for _ in 0..2 {
        let (status, _) = server.post("/api/v1/workflows/failing/execute", &json!({})).await;
        assert_eq!(status, StatusCode::ACCEPTED);
    }
    while server.get("/api/v1/dlq").await.1["letters"].as_array().map(Vec::len) != Some(2) {}
    // Groups are as of the last tick.
    while server.get("/api/v1/dlq/groups").await.1["groups"][0]["letters"] != 2 {}
    for n in 0..3 {
        let key = json!({ "name": format!("key {n}"), "permissions": ["workflows:read"] });
        let (status, body) = server.post("/api/v1/admin/api-keys", &key).await;
        assert_eq!(status, StatusCode::CREATED, "{body}");
        let replay = json!({ "view": "audit" });
        let (status, body) = server.post("/api/v1/replays", &replay).await;
        assert!(status == StatusCode::ACCEPTED || n > 0, "{body}");
        let redrive = json!({ "filter": { "workflow_id": format!("none_{n}") } });
        let (status, body) = server.post("/api/v1/dlq/retries", &redrive).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{body}");
        let path = format!("/api/v1/environments/env_{n}");
        let own = server.request(reqwest::Method::PUT, &path).json(&json!({ "timeout": "10s" }));
        assert_eq!(answer(own).await.0, StatusCode::CREATED);
    }
    let names = [
        ("{execution_id}", run),
        ("{workflow_id}", "two".to_owned()),
        ("{step_id}", "all".to_owned()),
    ];
    (server, names)
}

/// Rows of an answer by what does not change from one answer to the next.
fn rows(body: &Value, name: &str) -> Vec<String> {
    let keys = [
        "position",
        "execution_id",
        "key_id",
        "letter_id",
        "replay_id",
        "redrive_id",
        "revision",
        "index",
        "name",
        "view",
        "form",
        "fingerprint",
        "workflow_id",
    ];
    let word = |row: &Value| {
        let own = keys.iter().filter_map(|key| row.get(*key)).map(Value::to_string);
        own.collect::<Vec<_>>().join(" ")
    };
    body[name].as_array().unwrap_or_else(|| panic!("{body}")).iter().map(word).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_is_read_by_offset_by_page_and_by_cursor() {
    let (server, names) = filled().await;
    let lists = lists();
    let mut with_rows = 0;
    for (path, name) in &lists {
        let path = names.iter().fold((*path).to_owned(), |path, (own, id)| path.replace(own, id));
        let get = async |query: &str| {
            let (status, body) = server.get(&format!("{path}?{query}")).await;
            assert_eq!(status, StatusCode::OK, "{path}?{query}: {body}");
            body
        };
        let plain = get("").await;
        assert!(plain.get("pagination").is_none() && plain.get("next_cursor").is_some(), "{path}");
        let whole = get("offset=0&limit=1000").await;
        let all = rows(&whole, name);
        assert_eq!(whole["pagination"]["total"], all.len(), "{path}");
        assert_eq!(whole["pagination"]["has_more"], false, "{path}");
        assert!(all.iter().all(|row| !row.is_empty()), "{path}: {whole}");
        with_rows += usize::from(all.len() > 1);
        // By page and by offset.
        let second = get("page=2&page_size=2").await;
        assert_eq!(rows(&second, name), all.iter().skip(2).take(2).cloned().collect::<Vec<_>>());
        let same = get("offset=2&limit=2").await;
        assert_eq!(same["pagination"], second["pagination"], "{path}");
        assert_eq!(second["pagination"]["total"], all.len(), "{path}");
        assert_eq!(second["pagination"]["has_more"], all.len() > 4, "{path}");
        // By cursor, to the end, also from where an offset led.
        for first in ["limit=2", "limit=2&offset=0"] {
            let (mut seen, mut page) = (Vec::new(), get(first).await);
            loop {
                let own = rows(&page, name);
                assert!(own.len() <= 2, "{path}");
                seen.extend(own);
                // A page of events always says where to go on.
                let cursor = page["next_cursor"].as_str().filter(|_| page["more"] != false);
                let Some(cursor) = cursor else { break };
                page = get(&format!("limit=2&cursor={cursor}")).await;
                assert!(page.get("pagination").is_none(), "{path}");
            }
            assert_eq!(seen, all, "{path}?{first}");
        }
        for (wrong, why) in [
            ("offset=10001", "cursor"),
            ("page=10002&page_size=1", "cursor"),
            ("limit=1001", "limit"),
            ("page_size=1001", "page_size"),
            ("limit=0", "limit"),
            ("offset=1&page=1", "one of them"),
            ("limit=1&page_size=1", "one of them"),
        ] {
            let (status, body) = server.get(&format!("{path}?{wrong}")).await;
            let message = body["message"].as_str().unwrap_or_default();
            assert_eq!(status, StatusCode::BAD_REQUEST, "{path}?{wrong}: {body}");
            assert!(message.contains(why), "{path}?{wrong}: {message}");
        }
    }
    assert!(lists.len() >= 22 && with_rows >= 14, "{} lists, {with_rows} with rows", lists.len());
    server.stop().await;
}
