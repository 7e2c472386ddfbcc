//! Definitions in the forms of the documents: accepted as printed, run, and fetched back.

use std::fs;
use std::path::{Path, PathBuf};

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::process::{backstitch, folder, serve};
use crate::server::{Server, answer};

/// The printed definitions, their forms and the ids they get.
const PRINTED: [(&str, &str, &str); 9] = [
    ("000-compliance-check.json", "unified", "compliance-check-workflow"),
    ("001-customer-onboarding.yaml", "omnihub", "customer-onboarding"),
    ("001-router.yaml", "omnihub", "router-b705fb495ea7"),
    ("002-hello-world.json", "ecosystem", "hello-world"),
    ("002-hello-world-service.yaml", "ecosystem", "hello-world-workflow"),
    ("002-document-analysis.json", "ecosystem", "document-analysis-workflow"),
    ("002-document-quality-analysis.yaml", "ecosystem", "document-quality-analysis"),
    ("002-pr-confidence-analysis.yaml", "ecosystem", "pr-confidence-analysis"),
    ("003-auto-threat-response.yaml", "swarmguard", "auto_threat_response"),
];

fn seed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/seeds").join(name)
}

fn media_type(name: &str) -> &'static str {
    if name.ends_with(".json") { "application/json" } else { "application/yaml" }
}

async fn define(url: &str, name: &str) -> (StatusCode, Value) {
    let text = fs::read_to_string(seed(name)).expect("a fixture");
    let request = client().post(format!("{url}/api/v1/workflows"));
    answer(request.header("content-type", media_type(name)).body(text)).await
}

pub fn client() -> Client {
    // Whoever was first has installed the same one.
    drop(rustls::crypto::ring::default_provider().install_default());
    Client::builder().no_proxy().build().expect("a client")
}

/// A workflow in both forms.
async fn both(url: &str, id: &str) -> [Value; 2] {
    let ask = |form| client().get(format!("{url}/api/v1/workflows/{id}?form={form}"));
    [answer(ask("submitted")).await.1, answer(ask("canonical")).await.1]
}

#[tokio::test]
async fn printed_definitions_are_kept_as_submitted_through_a_kill() {
    let folder = folder();
    let data_dir = folder.path().join("data");
    let (mut server, url) = serve(&data_dir);
    let mut before = Vec::new();
    for (name, form, id) in PRINTED {
        let (status, defined) = define(&url, name).await;
        assert_eq!(status, StatusCode::CREATED, "{name}: {defined}");
        assert_eq!((&defined["workflow_id"], &defined["form"]), (&id.into(), &form.into()));
        let (status, again) = define(&url, name).await;
        let expected = (&id.into(), &json!(1), StatusCode::OK);
        assert_eq!((&again["workflow_id"], &again["revision"], status), expected);
        assert_eq!(again["warnings"], defined["warnings"]);
        before.push(both(&url, id).await);
    }
    server.kill().expect("it runs");
    server.wait().expect("it ended");
    let (mut server, url) = serve(&data_dir);
    for ((name, form, id), before) in PRINTED.into_iter().zip(before) {
        let [submitted, canonical] = both(&url, id).await;
        assert_eq!([&submitted, &canonical], [&before[0], &before[1]], "{name}");
        let text = fs::read_to_string(seed(name)).expect("a fixture");
        assert_eq!(submitted["source"], text, "{name} comes back byte by byte");
        assert_eq!((&submitted["form"], &canonical["form"]), (&form.into(), &"canonical".into()));
        assert!(canonical["definition"]["steps"].is_array() && canonical["source"].is_null());
        assert!(submitted["definition"]["steps"].is_null(), "{name} is not translated");
    }
    server.kill().expect("it runs");
    server.wait().expect("it ended");
}

#[tokio::test]
async fn the_last_text_of_a_content_is_the_one_that_is_fetched() {
    let server = Server::start().await;
    let source = || async {
        let (_, shown) = server.get("/api/v1/workflows/w?form=submitted").await;
        (shown["source"].as_str().expect("a text").to_owned(), shown["revision"].clone())
    };
    let canonical = json!({ "id": "w", "steps": [{ "id": "a", "type": "noop" }] });
    server.post("/api/v1/workflows", &canonical).await;
    assert_eq!(source().await, (canonical.to_string(), json!(1)), "its own text");
    for yaml in
        ["id: w # one\nsteps: [{ id: a, type: noop }]", "{id: w, steps: [{id: a, type: noop}]}"]
    {
        let (status, defined) = server.define(yaml).await;
        assert_eq!((status, &defined["created"]), (StatusCode::OK, &false.into()));
        assert_eq!(source().await, (yaml.to_owned(), json!(1)));
    }
    let (status, refused) = server.get("/api/v1/workflows/w?form=yaml").await;
    assert_eq!(
        (status, &refused["error_code"]),
        (StatusCode::BAD_REQUEST, &"INVALID_REQUEST".into())
    );
    server.stop().await;
}

#[tokio::test]
async fn a_step_that_nothing_performs_fails_when_it_is_reached() {
    let server = Server::start().await;
    for name in ["001-customer-onboarding.yaml", "001-router.yaml", "000-compliance-check.json"] {
        let (_, defined) = define(&server.url, name).await;
        let id = defined["workflow_id"].as_str().expect("an id");
        let run = server.run(id, &json!({ "amount": 7, "region": "EU" })).await;
        let run = run["execution_id"].as_str().expect("an id").to_owned();
        let (_, shown) = server.get(&format!("/api/v1/executions/{run}")).await;
        let failed = steps_with(&shown, "failed");
        let expected = match name {
            "001-router.yaml" => "gdpr-compliant-processor",
            "000-compliance-check.json" => "collect-data",
            _ => "validate-customer",
        };
        assert_eq!(failed, [expected], "{shown}");
        let step = &shown["steps"][expected];
        let code = match name {
            "001-router.yaml" => "CHILD_WORKFLOW_NOT_FOUND",
            _ => "TASK_EXECUTOR_NOT_FOUND",
        };
        assert_eq!(step["error"]["error_code"], code, "{shown}");
        if name == "001-router.yaml" {
            assert_eq!(
                steps_with(&shown, "pruned"),
                ["high-value-processor", "standard-processor"]
            );
        }
    }
    server.stop().await;
}

/// A variable used for a limit: a run overrides it, and one that is no number is refused with
/// the place of the number.
#[tokio::test]
async fn a_variable_may_be_a_limit() {
    let server = Server::start().await;
    let defined = "
id: limited
variables: { custom_timeout_minutes: 5 }
sla_minutes: '{{ variables.custom_timeout_minutes }}'
tasks:
  - id: a
    task_type: noop
    timeout_minutes: '{{ variables.custom_timeout_minutes }}'
    retry_count: '{{ trigger_data.tries }}'
";
    let (status, defined) = server.define(defined).await;
    assert_eq!((status, &defined["warnings"]), (StatusCode::CREATED, &json!([])));
    let path = "/api/v1/workflows/limited/execute";
    let variables = json!({ "custom_timeout_minutes": 120 });
    let body = json!({ "input": { "tries": 2 }, "variables": variables, "wait_seconds": 60 });
    let (_, run) = server.post(path, &body).await;
    let run = run["execution_id"].as_str().expect("an id");
    let (_, shown) = server.get(&format!("/api/v1/executions/{run}")).await;
    assert_eq!(
        (&shown["status"], &shown["sla"]["limit_ms"]),
        (&json!("completed"), &json!(7_200_000))
    );
    let (_, told) = server.get(&format!("/api/v1/executions/{run}/events")).await;
    let events = told["events"].as_array().expect("a list").iter();
    let set: Vec<_> = events.filter(|own| own["type"] == "NumbersSet").collect();
    let numbers = json!({ "timeout_ms": 7_200_000, "max_attempts": 3 });
    assert_eq!((set.len(), &set[1]["data"]["numbers"]), (2, &numbers));
    let body = json!({ "input": { "tries": "x" }, "variables": { "custom_timeout_minutes": 2.5 } });
    let (status, refused) = server.post(path, &body).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{refused}");
    let problems = refused["details"]["problems"].as_array().expect("problems").iter();
    let paths: Vec<_> = problems.map(|own| own["path"].as_str().unwrap_or_default()).collect();
    assert_eq!(paths, ["sla", "steps[0].timeout", "steps[0].retry.max_attempts"]);
    server.stop().await;
}

fn steps_with<'v>(shown: &'v Value, status: &str) -> Vec<&'v str> {
    let steps = shown["steps"].as_object().expect("steps by their ids").iter();
    steps.filter(|(_, step)| step["status"] == status).map(|(id, _)| id.as_str()).collect()
}

#[tokio::test]
async fn a_name_that_is_taken_by_other_content_is_numbered() {
    let server = Server::start().await;
    let named = |message: &str| {
        json!({ "name": "Hello World", "actions": [
            { "action_id": "a", "action_type": "notification", "config": { "message": message } },
        ] })
    };
    for (message, id, revision, status) in [
        ("one", "hello-world", 1, StatusCode::CREATED),
        ("two", "hello-world-2", 1, StatusCode::CREATED),
        ("three", "hello-world-3", 1, StatusCode::CREATED),
        ("two", "hello-world-2", 1, StatusCode::OK),
        ("one", "hello-world", 1, StatusCode::OK),
    ] {
        let (answered, defined) = server.post("/api/v1/workflows", &named(message)).await;
        let told = (&defined["workflow_id"], &defined["revision"], answered);
        assert_eq!(told, (&id.into(), &revision.into(), status), "{defined}");
    }
    let run = server.run("hello-world-2", &json!({})).await;
    assert_eq!(run["status"], "completed", "{run}");
    server.stop().await;
}

/// Bodies first, then answers, then the step itself.
const BARE_NAMES: &str = "
name: bare
tasks:
  - { id: enrich, type: transform, body: { ip: '{{input.ip}}', risk: '{{input.risk}}', deep: [{ x: 1 }] } }
  - { id: block, type: transform, body: { ip: '{{enrich.ip}}' }, depends_on: [enrich], condition: 'enrich.risk > 0.8' }
  - id: audit
    type: transform
    depends_on: [block]
    body:
      result: '{{block.status}}'
      response: '{{enrich.response}}'
      deep: '{{ enrich.deep[0].x }}'
      none: '{{ enrich.nothing | default(7) }}'
      run: '{{workflow.id}}'
outputs: { audit: '{{audit.body}}', blocked: '{{ block.ip }}' }
";

#[tokio::test]
async fn bare_names_read_the_answer_and_then_the_step() {
    let server = Server::start().await;
    let (status, defined) = server.define(BARE_NAMES).await;
    assert_eq!(status, StatusCode::CREATED, "{defined}");
    let run = server.run("bare", &json!({ "ip": "10.0.0.1", "risk": 0.9 })).await;
    assert_eq!(run["output"]["blocked"], "10.0.0.1", "{run}");
    assert_eq!(run["output"]["audit"]["result"], "succeeded", "{run}");
    let run = server.run("bare", &json!({ "ip": "10.0.0.1", "risk": 0.5 })).await;
    let audit = &run["output"]["audit"];
    assert_eq!((&audit["result"], &run["output"]["blocked"]), (&"skipped".into(), &Value::Null));
    assert_eq!((&audit["deep"], &audit["none"]), (&json!(1), &json!(7)));
    assert_eq!(audit["response"]["ip"], "10.0.0.1");
    assert_eq!(audit["run"], run["execution_id"]);
    let (_, defined) = server
        .define("{name: lost, tasks: [{id: a, type: transform, body: {x: 1}}, {id: b, type: noop, depends_on: a, condition: a.risk > 0.8}]}")
        .await;
    assert_eq!(defined["workflow_id"], "lost", "{defined}");
    let run = server.run("lost", &json!({})).await;
    assert_eq!(run["status"], "failed", "what is missing is never false: {run}");
    assert!(run.to_string().contains("`risk` is missing in what the step answered"), "{run}");
    server.stop().await;
}

#[tokio::test]
async fn validate_and_schemas_know_every_form() {
    let server = Server::start().await;
    let (_, listed) = server.get("/api/v1/schemas").await;
    let rows = listed["schemas"].as_array().expect("a list");
    assert_eq!(rows.len(), 5);
    for row in rows {
        let (status, schema) = server.get(row["url"].as_str().expect("a path")).await;
        let kept = format!("../docs/schemas/{}.json", row["form"].as_str().expect("a word"));
        let kept = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(kept)).expect("a schema");
        let kept: Value = serde_json::from_slice(&kept).expect("JSON");
        assert_eq!((status, &schema), (StatusCode::OK, &kept));
    }
    let (status, refused) = server.get("/api/v1/schemas/omnihup").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(refused["message"].as_str().expect("words").contains("omnihub"), "{refused}");
    let wrong = json!({ "tasks": [{ "type": "http" }], "actions": [] });
    let (status, refused) = server.post("/api/v1/workflows/validate", &wrong).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let problem = &refused["details"]["problems"][0];
    assert_eq!((&problem["code"], &problem["path"]), (&"AMBIGUOUS_FORM".into(), &"actions".into()));
    for (name, form, id) in PRINTED {
        let file = seed(name);
        let file = file.to_str().expect("UTF-8");
        let told = backstitch(&["validate", file]).output().expect("the program starts");
        let told = String::from_utf8(told.stdout).expect("UTF-8");
        assert!(told.contains(&format!("workflow `{id}`, form {form}, ")), "{told}");
        let told = backstitch(&["validate", "--json", file]).output().expect("it starts").stdout;
        let told: Value = serde_json::from_slice(&told).expect("JSON");
        let text = fs::read_to_string(file).expect("a fixture");
        let request = server.request(reqwest::Method::POST, "/api/v1/workflows/validate");
        let (_, checked) =
            answer(request.header("content-type", media_type(name)).body(text)).await;
        assert_eq!((&told["form"], &told["warnings"]), (&checked["form"], &checked["warnings"]));
        assert_eq!(told["digest"], checked["digest"]);
        let told = backstitch(&["validate", "--canonical", file]).output().expect("it starts");
        let canonical: Value = serde_json::from_slice(&told.stdout).expect("JSON");
        let (_, checked) = server.post("/api/v1/workflows/validate", &canonical).await;
        assert_eq!((&checked["form"], &checked["valid"]), (&"canonical".into(), &true.into()));
    }
    server.stop().await;
}
