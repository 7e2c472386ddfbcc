//! Loops over lists, over HTTP and from the command line.

use std::process::{Command, Stdio};

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::server::Server;

const LOOP: &str = "
id: loop
tags: [billing]
concurrency: { max_runs: 1 }
steps:
  - id: all
    type: foreach
    with: { items: '{{ input.users }}' }
    on_item_failure: collect
    each:
      type: noop
      retry: none
      with: { output: { hello: '{{ item.name }}', n: '{{ index }}' } }
outputs: { greeted: '{{ steps.all.output.succeeded }}', failed: '{{ steps.all.output.failed }}' }
";

/// More than one chunk has.
const USERS: usize = 1_003;

async fn ran(server: &Server) -> Value {
    server.define(LOOP).await;
    // Whose name is missing can't be greeted.
    let user = |n| if n == 7 { json!({}) } else { json!({ "name": format!("u{n}") }) };
    let users: Vec<_> = (0..USERS).map(user).collect();
    let body = json!({ "input": { "users": users }, "wait_seconds": 60 });
    let (status, run) = server.post("/api/v1/workflows/loop/execute", &body).await;
    assert_eq!(status, StatusCode::OK, "{run}");
    run
}

#[tokio::test(flavor = "multi_thread")]
async fn items_are_paged_and_chunks_are_parts_of_their_run() {
    let server = Server::start().await;
    let run = ran(&server).await;
    assert_eq!(run["output"], json!({ "greeted": USERS - 1, "failed": 1 }), "{run:#}");
    let id = run["execution_id"].as_str().expect("an id");
    let of_run = format!("/api/v1/executions/{id}");
    let (mut items, mut cursor) = (Vec::new(), "0".to_owned());
    loop {
        let path = format!("{of_run}/steps/all/items?limit=400&cursor={cursor}");
        let (status, page) = server.get(&path).await;
        assert_eq!((status, &page["count"]), (StatusCode::OK, &json!(USERS)), "{page}");
        items.extend(page["items"].as_array().expect("a list").clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    let indexes: Vec<_> = items.iter().map(|own| own["index"].clone()).collect();
    assert_eq!(indexes, (0..USERS).map(Value::from).collect::<Vec<_>>());
    assert_eq!(items[1_002]["output"], json!({ "hello": "u1002", "n": 1_002 }));
    assert_eq!(
        (&items[7]["status"], &items[7]["error"]["error_code"]),
        (&json!("failed"), &json!("EXPRESSION_FAILED"))
    );
    let children = run["children"].as_array().expect("a list");
    assert_eq!(children.len(), 2);
    assert_eq!(children[1]["items"], json!({ "first": 1_000, "count": 3 }));
    let chunk = children[1]["execution_id"].as_str().expect("an id");
    let (_, shown) = server.get(&format!("/api/v1/executions/{chunk}")).await;
    assert_eq!((&shown["tags"], &shown["status"]), (&json!([]), &json!("completed")));
    assert_eq!(shown["steps"]["item-1002"]["status"], "succeeded");
    let (_, page) = server.get(&format!("/api/v1/executions/{chunk}/events?limit=50")).await;
    let steps = page["events"].as_array().expect("a list").iter().map(|own| &own["data"]["step"]);
    assert!(steps.clone().any(|step| step == "item-1001"), "{page:#}");
    let (_, page) = server.get(&format!("/api/v1/events?execution_id={chunk}&limit=50")).await;
    let steps = page["events"].as_array().expect("a list").iter().map(|own| &own["data"]["step"]);
    assert!(steps.clone().any(|step| step == "item-1001"), "{page:#}");
    let body = json!({ "from_step": "item-1001" });
    let (status, refused) = server.post(&format!("/api/v1/executions/{chunk}/fork"), &body).await;
    assert_eq!(
        (status, &refused["error_code"]),
        (StatusCode::CONFLICT, &json!("PART_OF_EXECUTION"))
    );
    assert_eq!(refused["details"]["execution_id"], id);
    for (path, code) in [("none/items", "STEP_NOT_FOUND"), ("all/items?limit=0", "INVALID_REQUEST")]
    {
        let (_, refused) = server.get(&format!("{of_run}/steps/{path}")).await;
        assert_eq!(refused["error_code"], code, "{refused}");
    }
    let statistics =
        format!("/api/v1/workflows/{}/statistics", run["workflow_id"].as_str().expect("an id"));
    let counted = loop {
        // The views follow what is recorded.
        let (_, counted) = server.get(&statistics).await;
        if counted["ended"] != 0 {
            break counted;
        }
    };
    assert_eq!(counted["last_execution"]["execution_id"], id, "{counted}");
    assert_eq!(counted["executions"], 1, "chunks are no runs: {counted}");
    let (url, id) = (server.url.clone(), id.to_owned());
    let shown =
        tokio::task::spawn_blocking(move || failed_items(&url, &id)).await.expect("it ends");
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(lines.len(), 2, "{shown}");
    assert!(lines[1].starts_with("7 ") && lines[1].contains(chunk_of(children, 0)), "{shown}");
}

fn chunk_of(children: &[Value], at: usize) -> &str {
    children[at]["execution_id"].as_str().expect("an id")
}

/// What the command line says of items that failed.
fn failed_items(url: &str, run: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backstitch"));
    command.args(["items", run, "all", "--status", "failed", "--limit", "1003"]);
    command.env("ORCHESTRATOR_URL", url).env_remove("BACKSTITCH_SERVER").stdin(Stdio::null());
    String::from_utf8(command.output().expect("the program starts").stdout).expect("UTF-8")
}

#[tokio::test(flavor = "multi_thread")]
async fn items_that_wait_for_others_of_their_loop_say_for_which() {
    let server = Server::start().await;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", silent.local_addr().expect("bound"));
    let with = format!("with: {{ method: POST, url: '{url}', body: {{}} }}");
    let each = format!("each: {{ type: http, retry: none, {with} }}");
    let all = format!("{{ id: all, type: foreach, with: {{ items: [1, 2, 3] }}, {each}");
    server.define(&format!("id: narrow\nsteps:\n  - {all}, max_parallel: 1 }}\n")).await;
    let (_, run) = server.post("/api/v1/workflows/narrow/execute", &json!({})).await;
    let of_run = format!("/api/v1/executions/{}", run["execution_id"].as_str().expect("an id"));
    let (since, why) = loop {
        let (_, shown) = server.get(&of_run).await;
        let Some(chunk) = shown["children"][0]["execution_id"].as_str() else { continue };
        let (_, chunk) = server.get(&format!("/api/v1/executions/{chunk}")).await;
        let Some(since) = chunk["steps"]["item-0"]["started_at"].as_str() else { continue };
        let path =
            format!("/api/v1/executions/{}/why", chunk["execution_id"].as_str().expect("id"));
        break (since.to_owned(), server.get(&path).await.1);
    };
    let blockers = why["blockers"].as_array().expect("a list");
    let own = blockers.iter().find(|own| own["kind"] == "parallel").expect("two items wait");
    let said = format!(
        "`item-1` and 1 more wait until one of the 1 item(s) ended that may be under way at a \
         time: `item-0` since {since}"
    );
    assert_eq!((&own["sentence"], &own["subject"]), (&json!(said), &json!("item-1")));
    drop(silent);
    server.stop().await;
}
