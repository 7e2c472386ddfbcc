//! Every answer that a test gets is held against the OpenAPI document: its status is one of its
//! operation's, its code is named there, and its body is what the schema says and nothing more.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use backstitch_api::http::{openapi, routes};
use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

/// The schemas, where an object has no fields beside those that are named. The document leaves
/// that open, so that a later version may add some.
static STRICT: LazyLock<Value> = LazyLock::new(|| {
    let mut components = openapi()["components"].clone();
    close(&mut components);
    components
});
static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.contains_key("properties") && !fields.contains_key("additionalProperties") {
                fields.insert("additionalProperties".to_owned(), false.into());
            }
            fields.values_mut().for_each(close);
        }
        Value::Array(list) => list.iter_mut().for_each(close),
        _ => {}
    }
}

/// What checks values against a schema of the document.
pub fn validator(schema: &Value) -> Arc<Validator> {
    let mut known = VALIDATORS.lock().expect("no panic");
    let made = known.entry(schema.to_string()).or_insert_with(|| {
        let whole = json!({ "allOf": [schema], "components": *STRICT });
        let options = jsonschema::options().with_draft(Draft::Draft202012);
        Arc::new(options.should_validate_formats(true).build(&whole).expect("a schema"))
    });
    made.clone()
}

/// The path in the document that a request's path belongs to, if it belongs to one.
fn route_of(method: &str, path: &str) -> Option<&'static str> {
    let fits = |own: &str| {
        let (own, given) = (own.split('/'), path.split('/'));
        own.clone().count() == given.clone().count()
            && own.zip(given).all(|(own, given)| own.starts_with('{') || own == given)
    };
    let fitting = routes().into_iter().filter(|own| own.method == method && fits(own.path));
    fitting.map(|own| own.path).min_by_key(|own| own.matches('{').count())
}

/// A path or a head that is too long is refused below the router, by whoever speaks HTTP.
const BELOW_THE_ROUTER: [u16; 2] = [414, 431];

/// Fails unless the document says that the request may be answered so.
pub fn check(method: &str, path: &str, (status, kind): (u16, &str), body: &Value) {
    let Some(route) = route_of(method, path) else { return };
    if BELOW_THE_ROUTER.contains(&status) && body == "" {
        return;
    }
    let operation = &openapi()["paths"][route][method.to_lowercase()];
    if operation.is_null() {
        assert!(status >= 400, "{method} {route} is in no document, and works: {status}");
        return;
    }
    let answer = &operation["responses"][status.to_string()];
    assert!(!answer.is_null(), "{method} {route} is not said to answer {status}: {body}");
    if let Some(codes) = answer["x-error-codes"].as_array() {
        let code = &body["error_code"];
        assert!(codes.contains(code), "{method} {route} is not said to refuse with {code}");
    }
    let Some(content) = answer["content"].as_object() else { return };
    let kind = kind.split(';').next().unwrap_or_default();
    let said = content.get(kind);
    let said = said.unwrap_or_else(|| panic!("{method} {route} is not said to answer {kind}"));
    if kind == "application/json" {
        let problems: Vec<_> = validator(&said["schema"])
            .iter_errors(body)
            .map(|own| format!("{}: {own}", own.instance_path()))
            .collect();
        assert!(problems.is_empty(), "{method} {route} {status}: {problems:#?}\n{body}");
    }
}

#[test]
fn an_answer_that_is_not_described_is_found() {
    let fails = |status: u16, kind: &str, body: &Value| {
        let asked = || check("GET", "/api/v1/cache", (status, kind), body);
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(asked)).is_err()
    };
    let body = json!({
        "entries": 0, "bytes": 0, "bytes_max": 1, "hits": 0, "misses": 0, "evicted": 0, "warming": false,
    });
    assert!(!fails(200, "application/json", &body));
    assert!(fails(202, "application/json", &body) && fails(200, "text/plain", &body));
    let mut more = body.clone();
    more["more"] = true.into();
    assert!(fails(200, "application/json", &more), "a field that is not named");
    more = body;
    more["hits"] = Value::Null;
    assert!(fails(200, "application/json", &more));
    assert!(fails(410, "application/json", &json!({ "error_code": "EXECUTION_REMOVED" })));
}
