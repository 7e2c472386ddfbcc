//! How much goes on at a time: limits, who waits for them, and who is refused.

use std::net::TcpListener;

use backstitch_api::Settings;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::server::{Server, settings};

fn waiting(id: &str, more: &str) -> String {
    let step = "{ id: go, type: wait, with: { signal: go, timeout: 2d } }";
    format!("id: {id}\n{more}\nsteps:\n  - {step}\n")
}

async fn limited(change: impl FnOnce(&mut Settings)) -> Server {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut settings = settings(&folder);
    change(&mut settings);
    Server::start_with(settings, folder).await
}

async fn execute(server: &Server, workflow: &str, body: Value) -> (StatusCode, Value) {
    server.post(&format!("/api/v1/workflows/{workflow}/execute"), &body).await
}

async fn begin(server: &Server, workflow: &str, body: Value) -> String {
    let (status, run) = execute(server, workflow, body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{run}");
    run["execution_id"].as_str().expect("an id").to_owned()
}

async fn until(server: &Server, run: &str, wanted: &str) {
    loop {
        let (_, shown) = server.get(&format!("/api/v1/executions/{run}")).await;
        if shown["status"] == wanted {
            return;
        }
        assert!(shown["completed_at"].is_null(), "{wanted} never came: {shown}");
    }
}

async fn go(server: &Server, run: &str) {
    let (status, sent) =
        server.post(&format!("/api/v1/executions/{run}/signals/go"), &json!({})).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{sent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_beyond_a_workflow_s_limit_wait_and_say_for_whom() {
    let server = Server::start().await;
    server.define(&waiting("single", "concurrency: { max_runs: 1 }")).await;
    let first = begin(&server, "single", json!({})).await;
    let second = begin(&server, "single", json!({})).await;
    until(&server, &first, "running").await;
    until(&server, &second, "pending").await;
    let (status, limits) = server.get("/api/v1/limits").await;
    let since = &limits["workflows"][0]["holders"][0]["since"];
    let shown = since.as_str().expect("it has begun");
    let wanted = json!([{
        "workflow_id": "single", "max_runs": 1, "running": 1,
        "holders": [{ "execution_id": first, "since": since }],
        "waiting": { "high": 0, "medium": 1, "low": 0 }, "keys": [], "keys_more": 0,
    }]);
    assert_eq!((status, &limits["workflows"]), (StatusCode::OK, &wanted));
    let (_, why) = server.get(&format!("/api/v1/executions/{second}/why")).await;
    assert_eq!(why["blockers"][0]["kind"], "slot", "{why}");
    let said = why["summary"].as_str().expect("a sentence");
    assert!(
        said.contains(&format!(
            "`single`, which has 1 run(s) at a time, held by {first} since {shown}"
        )),
        "{said}"
    );
    go(&server, &first).await;
    until(&server, &first, "completed").await;
    until(&server, &second, "running").await;
    go(&server, &second).await;
    until(&server, &second, "completed").await;
    let (_, limits) = server.get("/api/v1/limits").await;
    assert_eq!(limits["workflows"], json!([]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_may_refuse_what_is_beyond_its_limit() {
    let server = Server::start().await;
    let concurrency = "concurrency: { max_runs: 1, on_limit: reject }";
    server.define(&waiting("single", concurrency)).await;
    let first = begin(&server, "single", json!({})).await;
    let (status, refused) = execute(&server, "single", json!({})).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{refused}");
    assert_eq!(refused["error_code"], "QUEUE_FULL", "{refused}");
    go(&server, &first).await;
    until(&server, &first, "completed").await;
    begin(&server, "single", json!({})).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_lets_the_urgent_in_first_and_takes_no_more_than_may_wait() {
    let server = limited(|own| {
        own.slots.runs_max = Some(1);
        own.slots.queue_max = 2;
    })
    .await;
    server.define(&waiting("any", "priority: low")).await;
    let first = begin(&server, "any", json!({})).await;
    until(&server, &first, "running").await;
    let low = begin(&server, "any", json!({})).await;
    let high = begin(&server, "any", json!({ "priority": "high" })).await;
    let (status, refused) = execute(&server, "any", json!({})).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{refused}");
    assert_eq!(refused["error_code"], "INSUFFICIENT_RESOURCES", "{refused}");
    let (_, limits) = server.get("/api/v1/limits").await;
    let waiting = json!({ "high": 1, "medium": 0, "low": 1 });
    let holders = &limits["runs"]["holders"];
    assert_eq!(holders[0]["execution_id"], json!(first));
    let (_, why) = server.get(&format!("/api/v1/executions/{low}/why")).await;
    let since = holders[0]["since"].as_str().expect("it has begun");
    let said = why["summary"].as_str().expect("a sentence");
    assert!(said.contains(&format!("go on at a time, held by {first} since {since}")), "{said}");
    assert_eq!(
        limits["runs"],
        json!({
            "max": 1, "running": 1, "holders": holders, "waiting": waiting, "queue_max": 2,
            "other_namespaces": { "holders": 0, "since": null },
        })
    );
    let (status, wrong) = execute(&server, "any", json!({ "priority": "urgent" })).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
    go(&server, &first).await;
    until(&server, &high, "running").await;
    until(&server, &low, "pending").await;
    go(&server, &high).await;
    until(&server, &low, "running").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_is_submitted_with_says_how_urgent_it_is() {
    let server = Server::start().await;
    let priority = r#"priority: "{{ 'high' if input.vip else input.otherwise }}""#;
    server.define(&waiting("urgent", priority)).await;
    let priority_of = async |run: &str| {
        let (_, page) = server.get(&format!("/api/v1/executions/{run}/events")).await;
        let events = page["events"].as_array().expect("a list").clone();
        let origin = events.iter().find(|own| own["data"]["priority"].is_string());
        origin.map(|own| own["data"]["priority"].clone())
    };
    let vip = begin(&server, "urgent", json!({ "input": { "vip": true } })).await;
    assert_eq!(priority_of(&vip).await, Some(json!("high")));
    let own = json!({ "input": { "vip": true }, "priority": "low" });
    let own = begin(&server, "urgent", own).await;
    assert_eq!(priority_of(&own).await, Some(json!("low")), "who submits it has the last word");
    let low = json!({ "input": { "vip": false, "otherwise": "low" } });
    let low = begin(&server, "urgent", low).await;
    assert_eq!(priority_of(&low).await, Some(json!("low")));
    for (otherwise, said) in
        [(json!("urgent"), "comes to `\"urgent\"`"), (json!(1), "comes to `1`")]
    {
        let body = json!({ "input": { "vip": false, "otherwise": otherwise } });
        let (status, refused) = execute(&server, "urgent", body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{refused}");
        let problem = &refused["details"]["problems"][0];
        assert_eq!(problem["path"], "priority", "{refused}");
        assert!(problem["message"].as_str().is_some_and(|own| own.contains(said)), "{refused}");
    }
    let (status, refused) = execute(&server, "urgent", json!({ "input": {} })).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{refused}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_without_a_turn_is_ready_and_says_what_it_waits_for() {
    let server = limited(|own| own.workers_max = 1).await;
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", silent.local_addr().expect("bound"));
    let with = format!("with: {{ method: POST, url: '{url}', body: {{}} }}");
    let step = format!("{{ id: call, type: http, retry: none, {with} }}");
    server.define(&format!("id: silent\nsteps:\n  - {step}\n")).await;
    server.define("id: quick\nsteps:\n  - { id: one, type: noop }\n").await;
    let first = begin(&server, "silent", json!({})).await;
    let holder = loop {
        let (_, limits) = server.get("/api/v1/limits").await;
        let holder = limits["workers"]["holders"][0].clone();
        if !holder.is_null() {
            break holder;
        }
    };
    let wanted = json!({
        "execution_id": first, "step": "call", "undo": false, "since": holder["since"],
    });
    assert_eq!(holder, wanted);
    let second = begin(&server, "quick", json!({})).await;
    while server.get("/api/v1/limits").await.1["workers"]["waiting"]["medium"] != 1 {}
    let (_, shown) = server.get(&format!("/api/v1/executions/{second}")).await;
    assert_eq!(shown["steps"]["one"]["status"], "ready", "{shown}");
    let (_, why) = server.get(&format!("/api/v1/executions/{second}/why")).await;
    assert_eq!(why["blockers"][0]["kind"], "turn", "{why}");
    let said = why["summary"].as_str().expect("a sentence");
    let since = holder["since"].as_str().expect("an instant");
    let held = format!("1 of 1 workers are in use, held by {first} (`call`) since {since}, and 1");
    assert!(said.contains(&held) && said.ends_with("; 0 of priority medium before it"), "{why}");
    let ready = why["blockers"][0]["since"].as_str().expect("since when it is ready");
    assert!(said.starts_with(&format!("step `one` waits for a turn since {ready}: ")), "{said}");
    // Nobody is there any more: the call fails, and its turn goes on.
    drop(silent);
    until(&server, &second, "completed").await;
    until(&server, &first, "failed").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_waits_for_its_key_and_says_for_whom() {
    let server = Server::start().await;
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", silent.local_addr().expect("bound"));
    let with = format!("with: {{ method: POST, url: '{url}', body: {{}} }}");
    let limits = "limits: [{ key: 'customer-{{ input.customer }}', max: 1 }]";
    let step = format!("{{ id: call, type: http, retry: none, {limits}, {with} }}");
    server.define(&format!("id: silent\nsteps:\n  - {step}\n")).await;
    let quick = format!("{{ id: one, type: noop, {limits} }}");
    server.define(&format!("id: quick\nsteps:\n  - {quick}\n")).await;
    let of = |customer: u32| json!({ "input": { "customer": customer } });
    let first = begin(&server, "silent", of(7)).await;
    while server.get("/api/v1/limits").await.1["keys"][0]["running"] != 1 {}
    let second = begin(&server, "quick", of(7)).await;
    let other = begin(&server, "quick", of(8)).await;
    until(&server, &other, "completed").await;
    while server.get("/api/v1/limits").await.1["keys"][0]["waiting"]["medium"] != 1 {}
    let (_, limits) = server.get("/api/v1/limits").await;
    let key = &limits["keys"][0];
    assert_eq!((&key["key"], &key["max"]), (&json!("customer-7"), &json!(1)), "{limits}");
    assert_eq!(key["holders"][0]["execution_id"], first, "{limits}");
    assert_eq!((&key["waiters"], &limits["keys_more"]), (&json!([second]), &json!(0)), "{limits}");
    let (_, shown) = server.get(&format!("/api/v1/executions/{second}")).await;
    assert_eq!(shown["steps"]["one"]["status"], "ready", "{shown}");
    let (_, why) = server.get(&format!("/api/v1/executions/{second}/why")).await;
    assert_eq!(why["blockers"][0]["kind"], "limit", "{why}");
    let said = why["summary"].as_str().expect("a sentence");
    assert!(said.contains("`customer-7`") && said.contains(&first), "{why}");
    // Nobody is there any more: the call fails, and its place goes on.
    drop(silent);
    until(&server, &second, "completed").await;
    until(&server, &first, "failed").await;
    assert_eq!(server.get("/api/v1/limits").await.1["keys"], json!([]));
    server.stop().await;
}

fn of_customer(customer: Value) -> Value {
    json!({ "input": { "customer": customer } })
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_of_one_customer_wait_for_each_other_and_hold_up_no_others() {
    let server = Server::start().await;
    let concurrency = "concurrency: { key: '{{ input.customer }}', max_runs: 1 }";
    server.define(&waiting("sync", concurrency)).await;
    let first = begin(&server, "sync", of_customer(json!(7))).await;
    let second = begin(&server, "sync", of_customer(json!("7"))).await;
    let other = begin(&server, "sync", of_customer(json!(8))).await;
    until(&server, &first, "running").await;
    until(&server, &other, "running").await;
    until(&server, &second, "pending").await;
    let (_, limits) = server.get("/api/v1/limits").await;
    let keys = &limits["workflows"][0]["keys"];
    let key = |at: usize, key: &str, holder: &str, medium: u32| {
        let waiting = json!({ "high": 0, "medium": medium, "low": 0 });
        let since = &keys[at]["holders"][0]["since"];
        assert!(since.is_string(), "{limits}");
        let holder = json!({ "execution_id": holder, "since": since });
        json!({ "key": key, "max_runs": 1, "running": 1, "holders": [holder], "waiting": waiting })
    };
    assert_eq!(*keys, json!([key(0, "7", &first, 1), key(1, "8", &other, 0)]), "{limits}");
    let (_, shown) = server.get(&format!("/api/v1/executions/{second}")).await;
    let wanted = json!([{ "key": "7", "max_runs": 1, "on_limit": "queue" }]);
    assert_eq!(shown["concurrency_keys"], wanted, "{shown}");
    let (_, why) = server.get(&format!("/api/v1/executions/{second}/why")).await;
    let said = why["summary"].as_str().expect("a sentence");
    assert!(said.contains("key `7`") && said.contains(&first), "{said}");
    assert!(said.ends_with("0 before it"), "{said}");
    go(&server, &first).await;
    until(&server, &second, "running").await;
    let (status, refused) = execute(&server, "sync", json!({ "input": {} })).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{refused}");
    let said = refused["details"].to_string();
    assert!(said.contains("concurrency"), "{refused}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_run_takes_the_place_of_the_one_under_way() {
    let server = Server::start().await;
    let limit = "{ key: 'customer-{{ input.customer }}', max_runs: 1, on_limit: cancel_running }";
    server.define(&waiting("sync", &format!("concurrency: [{limit}, {{ max_runs: 9 }}]"))).await;
    let other = begin(&server, "sync", of_customer(json!(8))).await;
    let first = begin(&server, "sync", of_customer(json!(7))).await;
    until(&server, &first, "running").await;
    let second = begin(&server, "sync", of_customer(json!(7))).await;
    until(&server, &first, "cancelled").await;
    until(&server, &second, "running").await;
    let (_, shown) = server.get(&format!("/api/v1/executions/{first}")).await;
    assert_eq!(shown["cancel"]["actor"], second, "{shown}");
    let said = shown["cancel"]["reason"].as_str().expect("a sentence");
    assert!(said.contains("1 run(s) with key `customer-7` at a time"), "{said}");
    until(&server, &other, "running").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_key_refuses_with_its_name() {
    let server = Server::start().await;
    let concurrency = "concurrency: { key: '{{ input.customer }}', max_runs: 1, on_limit: reject }";
    server.define(&waiting("sync", concurrency)).await;
    begin(&server, "sync", of_customer(json!(7))).await;
    let (status, refused) = execute(&server, "sync", of_customer(json!(7))).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{refused}");
    assert_eq!(
        (&refused["error_code"], &refused["details"]["key"]),
        (&json!("QUEUE_FULL"), &json!("7"))
    );
    begin(&server, "sync", of_customer(json!(8))).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workflows_that_wait_for_each_other_s_slots_go_on() {
    let server = Server::start().await;
    let calls = |id: &str, other: &str| {
        let gate = "{ id: go, type: wait, with: { signal: go, timeout: 2d } }";
        let with = format!("with: {{ workflow: {other}, input: {{ last: true }} }}");
        let child = format!(
            "{{ id: call, needs: go, when: 'not input.last', type: workflow, retry: none, {with} }}"
        );
        format!("id: {id}\nconcurrency: {{ max_runs: 1 }}\nsteps:\n  - {gate}\n  - {child}\n")
    };
    server.define(&calls("one", "two")).await;
    server.define(&calls("two", "one")).await;
    let first = json!({ "input": { "last": false } });
    let one = begin(&server, "one", first.clone()).await;
    let two = begin(&server, "two", first).await;
    until(&server, &one, "running").await;
    until(&server, &two, "running").await;
    go(&server, &one).await;
    go(&server, &two).await;
    // One of them gives way; the child of the other begins then.
    let (failed, other) = loop {
        let mut ended = Vec::new();
        for run in [&one, &two] {
            let (_, shown) = server.get(&format!("/api/v1/executions/{run}")).await;
            ended.push(shown["status"] == "failed");
        }
        match ended[..] {
            [true, false] => break (&one, &two),
            [false, true] => break (&two, &one),
            [false, false] => {}
            _ => panic!("both gave way"),
        }
    };
    let (_, shown) = server.get(&format!("/api/v1/executions/{failed}")).await;
    let error = &shown["steps"]["call"]["error"];
    assert_eq!(error["details"]["error_code"], "LIMIT_CIRCLE", "{shown}");
    let child = loop {
        let (_, shown) = server.get(&format!("/api/v1/executions/{other}")).await;
        if let Some(child) = shown["children"][0]["execution_id"].as_str() {
            break child.to_owned();
        }
    };
    until(&server, &child, "running").await;
    go(&server, &child).await;
    until(&server, other, "completed").await;
    server.stop().await;
}
