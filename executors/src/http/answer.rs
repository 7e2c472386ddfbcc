//! From an answer that counts as success to the output of the step.

use backstitch_core::payload::{PAYLOAD_BYTES_MAX, Payload, nests_deeper};
use backstitch_core::template::RENDERED_NESTING_MAX;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Method, Response};
use serde_json::{Map, Value, json};

use super::failure::Asked;
use crate::task::Answer;

/// The most headers an output carries, in the order they came; the rest is left out.
const HEADERS_MAX: usize = 64;
/// The most bytes of names and values together; a header that would pass it is left out.
const HEADERS_BYTES_MAX: usize = 3 * 1024;

/// `{status, headers, body}`.
///
/// # Errors
/// The body is not text, is not the JSON it says it is or nests too deep, or the whole is larger than a
/// payload.
pub(super) fn output(asked: &Asked, method: &Method, response: &Response, body: Vec<u8>) -> Answer {
    let status = response.status().as_u16();
    let is_json = says_json(response.headers());
    let body = match String::from_utf8(body) {
        Err(_) => return Err(asked.not_text(status)),
        Ok(text) if text.is_empty() || *method == Method::HEAD => Value::Null,
        Ok(text) => match serde_json::from_str(text.trim_start_matches('\u{feff}')) {
            Ok(value) if !nests_deeper(&value, RENDERED_NESTING_MAX) => value,
            _ if !is_json => Value::String(text),
            Err(why) if !is_too_deep(&why) => return Err(asked.not_json(status, &why)),
            _ => return Err(asked.too_deep(status, RENDERED_NESTING_MAX)),
        },
    };
    let headers = headers_of(response.headers());
    let payload = Payload::of(&json!({ "status": status, "headers": headers, "body": body }));
    if payload.text().len() > PAYLOAD_BYTES_MAX {
        return Err(asked.too_large(status, PAYLOAD_BYTES_MAX));
    }
    Ok(payload)
}

/// Whether a text nests deeper than is ever read.
fn is_too_deep(why: &serde_json::Error) -> bool {
    why.to_string().starts_with("recursion limit exceeded")
}

/// `application/json` and its kin such as `application/problem+json`.
fn says_json(headers: &HeaderMap) -> bool {
    let Some(Ok(content_type)) = headers.get(CONTENT_TYPE).map(|value| value.to_str()) else {
        return false;
    };
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence == "text/json" || essence.ends_with("+json")
}

/// Lower-case names; the values of a repeated header are joined by `, `.
fn headers_of(headers: &HeaderMap) -> Map<String, Value> {
    let mut kept = Map::new();
    let mut bytes = 0;
    for name in headers.keys() {
        let values: Vec<_> = headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        let value = values.join(", ");
        let size = name.as_str().len() + value.len();
        if kept.len() == HEADERS_MAX || bytes + size > HEADERS_BYTES_MAX {
            continue;
        }
        bytes += size;
        kept.insert(name.as_str().to_owned(), Value::String(value));
    }
    kept
}
