//! The OpenAPI 3.1 document: the table of routes, and what `api/openapi` says of them.
//!
//! What follows from a route is not said there: who may use it, and the errors that its guard, its
//! parameters and its body bring with them.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;

use backstitch_core::access::{EVERYTHING, Permission};
use backstitch_core::audit::AuditAction;
use serde_json::{Map, Value, json};

use super::super::codes;
use super::super::routes::{Access, Route};
use super::areas::{Answer, Area, Body, Operation};

const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
const TITLE: &str = "Backstitch";
const ABOUT: &str = "A durable orchestrator: every run finishes or is undone, whatever crashes. Bodies are JSON or \
    YAML; unknown fields and query parameters are refused. Lists go on with `cursor`, the `next_cursor` of the page \
    before. Every error is an `Error` with a stable `error_code`.";
/// Errors of every route that asks who is there.
const GUARDED: [&str; 7] = [
    codes::INVALID_REQUEST,
    codes::UNAUTHENTICATED,
    codes::PERMISSION_DENIED,
    codes::FORBIDDEN_HOST,
    codes::RATE_LIMITED,
    codes::ORCHESTRATOR_UNAVAILABLE,
    codes::INTERNAL,
];
/// Errors of the others.
const OPEN: [&str; 3] = [codes::INVALID_REQUEST, codes::FORBIDDEN_HOST, codes::INTERNAL];
/// Errors of reading a body.
const OF_BODIES: [&str; 4] = [
    codes::REQUEST_TIMEOUT,
    codes::PAYLOAD_TOO_LARGE,
    codes::UNSUPPORTED_MEDIA_TYPE,
    codes::INVALID_INPUT,
];
const OF_RUNS: [&str; 3] =
    [codes::EXECUTION_NOT_FOUND, codes::EXECUTION_REMOVED, codes::EXECUTION_QUARANTINED];

/// The document of some routes; those that nothing is said of are left out.
pub(super) fn of(routes: &[Route], areas: &[Area]) -> Value {
    let mut paths = Map::new();
    let mut tags = Vec::new();
    for area in areas {
        let Some(tag) = &area.tag else { continue };
        tags.push(json!({ "name": tag, "description": area.description }));
        for route in routes {
            let key = format!("{} {}", route.method, route.path);
            let Some(own) = area.operations.get(&key) else { continue };
            let path = paths.entry(route.path).or_insert_with(|| json!({}));
            path[route.method.to_lowercase()] = operation(route, own, tag);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": TITLE,
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "The HTTP API",
            "description": ABOUT,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas(areas),
            "parameters": shared(areas, |area| &area.parameters),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key or a JSON Web Token. Without authentication none is needed.",
                },
                "apiKey": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-API-Key",
                    "description": "An API key, in place of `Authorization`.",
                },
            },
        },
    })
}

fn shared(areas: &[Area], of: fn(&Area) -> &Map<String, Value>) -> Map<String, Value> {
    areas.iter().flat_map(of).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Every schema. Words that the code lists are listed by it.
fn schemas(areas: &[Area]) -> Map<String, Value> {
    let mut all = shared(areas, |area| &area.schemas);
    let permissions = Permission::WORDS.iter().map(|(_, word)| *word);
    let words: [(&str, Vec<&str>); 3] = [
        ("AuditAction", AuditAction::ALL.map(AuditAction::word).into()),
        ("ErrorCode", codes::ALL.iter().map(|(code, _)| *code).collect()),
        ("Permission", iter::once(EVERYTHING).chain(permissions).collect()),
    ];
    for (name, words) in words {
        let schema = all.get_mut(name).expect("a test builds the document");
        schema["enum"] = json!(words);
    }
    all
}

fn operation(route: &Route, own: &Operation, tag: &str) -> Value {
    let mut shown = json!({
        "operationId": own.id,
        "summary": own.summary,
        "tags": [tag],
        "responses": responses(route, own),
    });
    let named = |name: &String| json!({ "$ref": format!("#/components/parameters/{name}") });
    if !own.parameters.is_empty() {
        shown["parameters"] = own.parameters.iter().map(named).collect();
    }
    if let Some(about) = &own.description {
        shown["description"] = json!(about);
    }
    if let Some(body) = &own.body {
        shown["requestBody"] = request_body(body);
    }
    match route.access {
        Access::Open => shown["security"] = json!([]),
        Access::Needs(permission) => {
            shown["security"] = json!([{ "bearer": [] }, { "apiKey": [] }]);
            shown["x-permission"] = json!(permission.word());
        }
    }
    if !route.further.is_empty() {
        let further = route.further.iter();
        let further =
            further.map(|own| json!({ "permission": own.permission.word(), "for": own.what_for }));
        shown["x-further-permissions"] = further.collect();
    }
    shown
}

fn schema(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn request_body(body: &Body) -> Value {
    let (content, required) = match body {
        Body::Schema(name) => (json!({ JSON: { "schema": schema(name) } }), false),
        Body::Said(own) => {
            let of = own.schema.as_deref().map_or_else(|| json!({ "type": "string" }), schema);
            let first = own.media_type.as_deref().unwrap_or(JSON);
            let mut content = json!({ first: { "schema": of } });
            if own.yaml {
                content[YAML] = json!({ "schema": of });
            }
            (content, own.required)
        }
    };
    json!({ "required": required, "content": content })
}

/// What it answers, with the errors that it can answer by status.
fn responses(route: &Route, own: &Operation) -> Map<String, Value> {
    let mut all = Map::new();
    for (status, answer) in &own.answers {
        let shown = match answer {
            Answer::Schema(name) => {
                let content = json!({ JSON: { "schema": schema(name) } });
                json!({ "description": reason(status), "content": content })
            }
            Answer::Said(own) => {
                let of =
                    |(kind, schema): (&String, &Value)| (kind.clone(), json!({ "schema": schema }));
                let mut content: Map<_, _> = own.content.iter().map(of).collect();
                if let Some(name) = &own.schema {
                    content.insert(JSON.to_owned(), json!({ "schema": schema(name) }));
                }
                let mut shown = json!({ "description": own.description });
                if !content.is_empty() {
                    shown["content"] = content.into();
                }
                shown
            }
        };
        all.insert(status.clone(), shown);
    }
    let mut refused = BTreeMap::<u16, BTreeSet<&str>>::new();
    for code in refusals(route, own) {
        refused.entry(codes::status(code).as_u16()).or_default().insert(code);
    }
    for (status, codes) in refused {
        let listed: Vec<_> = codes.iter().map(|code| format!("`{code}`")).collect();
        let mut shown = json!({
            "description": listed.join(", "),
            "content": { JSON: { "schema": schema("Error") } },
            "x-error-codes": codes,
        });
        if [429, 503].contains(&status) {
            let seconds = json!({ "type": "integer", "minimum": 0 });
            let about = "Seconds after which to come again.";
            shown["headers"] =
                json!({ "Retry-After": { "description": about, "schema": seconds } });
        }
        all.insert(status.to_string(), shown);
    }
    all
}

fn reason(status: &str) -> &'static str {
    let status = status.parse::<axum::http::StatusCode>().ok();
    status.and_then(|status| status.canonical_reason()).unwrap_or("Done")
}

/// Every code that a route can refuse with.
fn refusals<'a>(route: &Route, own: &'a Operation) -> Vec<&'a str> {
    let mut all: Vec<&str> = match route.access {
        Access::Open => OPEN.into(),
        Access::Needs(_) => GUARDED.into(),
    };
    if own.body.is_some() {
        all.extend(OF_BODIES);
    }
    for name in route.path.split('/').filter_map(|part| part.strip_prefix('{')) {
        all.extend(not_there(name.trim_end_matches('}')));
    }
    all.extend(own.refuses.iter().map(String::as_str));
    all
}

/// The codes of something that is not there, by the name of the path's parameter.
fn not_there(parameter: &str) -> Vec<&'static str> {
    match parameter {
        "execution_id" | "other_id" | "saga_id" => OF_RUNS.into(),
        "letter_id" => [&OF_RUNS[..], &[codes::DEAD_LETTER_NOT_FOUND]].concat(),
        "workflow_id" => vec![codes::WORKFLOW_NOT_FOUND],
        "step_id" => vec![codes::STEP_NOT_FOUND],
        "redrive_id" => vec![codes::REDRIVE_NOT_FOUND],
        "replay_id" => vec![codes::REPLAY_NOT_FOUND],
        "key_id" => vec![codes::API_KEY_NOT_FOUND],
        "position" => vec![codes::AUDIT_ROW_NOT_FOUND],
        "digest" => vec![codes::PAYLOAD_NOT_FOUND],
        "key" => vec![codes::BREAKER_NOT_FOUND],
        _ => Vec::new(),
    }
}
