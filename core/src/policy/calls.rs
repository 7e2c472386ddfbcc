//! What a step comes to that names an adapter: a call of the adapter's service.

use serde_json::{Map, Value, json};

use super::Adapter;

/// The task type that makes the call.
pub(super) const HTTP: &str = "http";
/// The field of a step's input that says what is asked of the service; it goes into the URL.
const ACTION: &str = "action";

/// What an `http` step is given for it: the input as the body, and its `action` behind the URL.
pub(super) fn call(adapter: &Adapter, with: Option<&Value>) -> Value {
    let mut body = with.cloned().unwrap_or_else(|| Value::Object(Map::new()));
    let action = match &mut body {
        Value::Object(fields) if fields.get(ACTION).is_some_and(Value::is_string) => {
            fields.remove(ACTION)
        }
        _ => None,
    };
    let url = match action.as_ref().and_then(Value::as_str) {
        Some(action) => {
            let (base, action) = (adapter.url.trim_end_matches('/'), action.trim_matches('/'));
            format!("{base}/{action}")
        }
        None => adapter.url.clone(),
    };
    let mut made = json!({ "method": "POST", "url": url, "body": body });
    if !adapter.headers.is_empty() {
        made["headers"] = adapter.headers.clone().into();
    }
    made
}
