//! The OpenAPI document and its page: whole, valid, and what the handlers do.

pub mod answers;

use std::collections::BTreeSet;
use std::path::Path;

use backstitch_api::http::{codes, openapi, routes};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::server::{Server, TWO_STEPS, answer};

/// From the package openapi-spec-validator (Apache-2.0), which has it from
/// <https://spec.openapis.org/oas/3.1/schema/2022-10-07>.
const META_SCHEMA: &str = include_str!("openapi-3.1.schema.json");
const KEPT: &str = "../docs/openapi.json";
/// A name that is near to no other, so that a refusal lists all that are known.
const UNKNOWN: &str = "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz";

/// Every operation: path, method, and what is said.
fn operations() -> impl Iterator<Item = (&'static str, String, &'static Value)> {
    let paths = openapi()["paths"].as_object().expect("paths").iter();
    paths.flat_map(|(path, item)| {
        let methods = item.as_object().expect("operations").iter();
        methods.map(move |(method, own)| (path.as_str(), method.to_uppercase(), own))
    })
}

/// What a reference within the document leads to.
fn resolved(named: &'static Value) -> &'static Value {
    let Some(path) = named["$ref"].as_str() else { return named };
    openapi().pointer(&path[1..]).unwrap_or_else(|| panic!("{path} leads nowhere"))
}

fn parameters(own: &'static Value, place: &str) -> BTreeSet<String> {
    let all = own["parameters"].as_array().into_iter().flatten().map(resolved);
    let there = all.filter(|own| own["in"] == place);
    there.map(|own| own["name"].as_str().expect("a name").to_owned()).collect()
}

#[tokio::test]
async fn every_route_is_described_or_is_yet_to_come() {
    let server = Server::start().await;
    for route in routes() {
        if openapi()["paths"][route.path].get(route.method.to_lowercase()).is_some() {
            continue;
        }
        let path = route.path.replace(['{', '}'], "");
        let method = route.method.parse().expect("a method");
        let (status, body) = answer(server.request(method, &path).json(&json!({}))).await;
        let told = (status, &body["error_code"]);
        assert_eq!(told, (StatusCode::NOT_IMPLEMENTED, &"NOT_IMPLEMENTED".into()), "{route:?}");
    }
    // `Allow` names what works, and not what is to come.
    let headers = server.request(Method::OPTIONS, "/workflows/two").send().await;
    let allow = headers.expect("an answer").headers()["allow"].clone();
    assert_eq!(allow, "DELETE,GET,HEAD,PUT");
    server.stop().await;
    let declared: BTreeSet<_> =
        routes().iter().map(|own| (own.path, own.method.to_owned())).collect();
    assert!(operations().all(|(path, method, _)| declared.contains(&(path, method))));
    // Every operation of the files has its route, or it would not have come into the document.
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi");
    let mut written = 0;
    for file in std::fs::read_dir(files).expect("a folder") {
        let path = file.expect("a file").path();
        if path.extension().is_some_and(|own| own == "json") {
            let text = std::fs::read_to_string(path).expect("a file");
            let area: Value = serde_json::from_str(&text).expect("JSON");
            written += area["operations"].as_object().map_or(0, serde_json::Map::len);
        }
    }
    assert_eq!(operations().count(), written);
}

#[test]
fn the_document_is_valid() {
    let meta: Value = serde_json::from_str(META_SCHEMA).expect("JSON");
    let meta = jsonschema::draft202012::new(&meta).expect("a schema");
    let problems: Vec<_> = meta.iter_errors(openapi()).map(|own| own.to_string()).collect();
    assert!(problems.is_empty(), "{problems:#?}");
    for (name, schema) in openapi()["components"]["schemas"].as_object().expect("schemas") {
        assert!(jsonschema::draft202012::meta::is_valid(schema), "{name}");
        for example in schema["examples"].as_array().into_iter().flatten() {
            let fits = answers::validator(schema).is_valid(example);
            assert!(fits, "{name} is not {example}");
        }
    }
    every_reference_leads_somewhere(openapi());
    let mut names = BTreeSet::new();
    for (path, method, own) in operations() {
        let name = own["operationId"].as_str().expect("a name");
        assert!(names.insert(name), "{name} is the name of two operations");
        let braces = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let braces: BTreeSet<_> = braces.map(str::to_owned).collect();
        assert_eq!(parameters(own, "path"), braces, "{method} {path}");
        for answer in own["responses"].as_object().expect("answers").values() {
            for code in answer["x-error-codes"].as_array().into_iter().flatten() {
                assert!(codes::ALL.iter().any(|(known, _)| code == known), "{path}: {code}");
            }
        }
    }
}

fn every_reference_leads_somewhere(value: &'static Value) {
    match value {
        Value::Object(fields) => {
            resolved(value);
            fields.values().for_each(every_reference_leads_somewhere);
        }
        Value::Array(list) => list.iter().for_each(every_reference_leads_somewhere),
        _ => {}
    }
}

#[test]
fn the_kept_document_is_that_of_the_server() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(KEPT);
    let printed = serde_json::to_string_pretty(openapi()).expect("text keys") + "\n";
    if std::env::var_os("BACKSTITCH_WRITE_DOCS").is_some() {
        std::fs::write(&path, &printed).expect("docs can be written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == printed, "docs/openapi.json is out of date: `make openapi` writes it");
}

/// The words that a refusal says are known; none if it takes none.
fn known(message: &str) -> BTreeSet<String> {
    match message.split_once("known are") {
        Some((_, words)) => {
            let words = words.trim_start_matches(':').trim_start();
            words.split(", ").map(str::to_owned).collect()
        }
        None => {
            assert!(message.contains("takes none"), "{message}");
            BTreeSet::new()
        }
    }
}

/// A server with a run that has ended, and paths with their parameters filled in.
struct Filled {
    server: Server,
    run: String,
}

impl Filled {
    async fn start() -> Self {
        let server = Server::start().await;
        server.define(TWO_STEPS).await;
        let run = server.run("two", &json!({})).await;
        Self { server, run: run["execution_id"].as_str().expect("an id").to_owned() }
    }

    /// With the id of an execution in place of a workflow's.
    fn with_a_run(&self, path: &str) -> String {
        path.replace("{workflow_id}", &self.run)
    }

    fn path(&self, path: &str) -> String {
        let path = match path.starts_with("/v1/cancel/") {
            true => self.with_a_run(path),
            false => path.to_owned(),
        };
        let named = [
            ("{execution_id}", self.run.as_str()),
            ("{other_id}", &self.run),
            ("{saga_id}", &self.run),
            ("{letter_id}", &format!("dlq_{}_0", &self.run["exec_".len()..])),
            ("{workflow_id}", "two"),
            ("{step_id}", "first"),
            ("{order}", "open"),
            ("{digest}", &"0".repeat(64)),
            ("{redrive_id}", &format!("redrive_{}", "0".repeat(32))),
            ("{replay_id}", &format!("replay_{}", "0".repeat(32))),
        ];
        let filled = named.iter().fold(path, |path, (name, value)| path.replace(name, value));
        filled.replace(['{', '}'], "")
    }
}

#[tokio::test]
async fn queries_are_described_as_their_handlers_read_them() {
    let filled = Filled::start().await;
    let mut asked = 0;
    for (path, method, own) in operations() {
        let said = parameters(own, "query");
        let mut taken = BTreeSet::new();
        let paths = [filled.path(path), filled.path(&filled.with_a_run(path))];
        for (path, accept) in
            paths.iter().flat_map(|own| [(own, "application/json"), (own, "text/event-stream")])
        {
            let path = format!("{path}?{UNKNOWN}=1");
            let method: Method = method.parse().expect("a method");
            let request = filled.server.request(method, &path).header("accept", accept);
            let (status, body) = answer(request.json(&json!({}))).await;
            let is_no_workflow = path.contains(&filled.run) && status == StatusCode::NOT_FOUND;
            assert!(is_no_workflow || status == StatusCode::BAD_REQUEST, "{path}: {body}");
            if !is_no_workflow {
                taken.extend(known(body["message"].as_str().expect("a message")));
            }
        }
        assert_eq!(said, taken, "{method} {path}");
        asked += usize::from(!said.is_empty());
    }
    assert!(asked >= 30, "{asked} operations take a query");
    filled.server.stop().await;
}

#[tokio::test]
async fn bodies_are_described_as_their_handlers_read_them() {
    let filled = Filled::start().await;
    let mut asked = 0;
    for (path, method, own) in operations() {
        let schema = resolved(&own["requestBody"]["content"]["application/json"]["schema"]);
        let Some(said) = schema["properties"].as_object() else { continue };
        let path = filled.path(path);
        let body = json!({ (UNKNOWN): 1 });
        let request = filled.server.request(method.parse().expect("a method"), &path);
        let (status, body) = answer(request.json(&body)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{method} {path}: {body}");
        let problems = body["details"]["problems"].as_array().expect("problems").iter();
        let mut problems = problems.filter(|own| own["path"] == UNKNOWN);
        let problem = problems.next().unwrap_or_else(|| panic!("{method} {path}: {body}"));
        let message = problem["message"].as_str().expect("a message");
        let taken = match path.ends_with("/retention/policy") {
            true => BTreeSet::from(["rules".to_owned()]),
            false => known(message),
        };
        assert_eq!(said.keys().cloned().collect::<BTreeSet<_>>(), taken, "{method} {path}");
        asked += 1;
    }
    assert!(asked >= 40, "{asked} operations take an object with known fields");
    filled.server.stop().await;
}

#[tokio::test]
async fn the_page_is_whole_and_loads_nothing_from_elsewhere() {
    let server = Server::start().await;
    let ask = |path: &str| server.request(Method::GET, path);
    for path in ["/openapi.json", "/docs", "/docs/page.css", "/docs/page.js"] {
        let response = ask(path).send().await.expect("an answer");
        let headers = response.headers().clone();
        assert_eq!(
            (response.status(), &headers["x-content-type-options"]),
            (StatusCode::OK, &"nosniff".parse().expect("a value"))
        );
        let policy = headers["content-security-policy"].to_str().expect("text");
        assert!(
            policy.starts_with("default-src 'none';") && !policy.contains("unsafe"),
            "{policy}"
        );
        let again = ask(path).header("if-none-match", &headers["etag"]);
        let again = again.send().await.expect("an answer");
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert!(again.text().await.expect("a text").is_empty());
    }
    let (_, served) = server.get("/openapi.json").await;
    assert_eq!(&served, openapi());
    let page = ask("/docs").send().await.expect("an answer").text().await.expect("a page");
    for (_, _, own) in operations() {
        let id = own["operationId"].as_str().expect("a name");
        assert!(page.contains(&format!("<article id=\"{id}\">")), "{id}");
    }
    let targets = page.split("href=\"").skip(1).filter_map(|own| own.split('"').next());
    for target in targets {
        match target.strip_prefix('#') {
            Some(id) => assert!(page.contains(&format!("id=\"{id}\"")), "{target}"),
            None => assert!(["docs/page.css", "openapi.json"].contains(&target), "{target}"),
        }
    }
    assert_eq!(page.matches("<script").count(), 1);
    assert!(page.contains("<script src=\"docs/page.js\" defer>") && !page.contains("<style"));
    for (code, _) in codes::ALL {
        let row = page.split(&format!("<tr id=\"error-{code}\">")).nth(1).expect("a row");
        let meaning = row.split("<td>").nth(3).expect("a meaning");
        assert!(!meaning.starts_with("</tr>"), "{code} has no meaning");
    }
    server.stop().await;
}
