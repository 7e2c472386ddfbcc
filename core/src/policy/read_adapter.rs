//! Reading adapters, with every problem and its place.

use serde_json::{Map, Value, json};

use super::Adapter;
use crate::definition::problem::{Problem, Problems, codes};
use crate::definition::read_fields::Fields;
use crate::definition::read_policies::duration;
use crate::definition::{
    DESCRIPTION_CHARS_MAX, Defaults, Definition, STEP_TIMEOUT_MS_MAX, Step, URL_CHARS_MAX,
    check_url, read_retry,
};
use crate::plan::Plan;

const FIELDS: [&str; 6] = ["description", "url", "headers", "timeout", "retry", "health"];
/// The most headers of an adapter.
pub const HEADERS_MAX: usize = 32;
/// The longest name of a header.
const HEADER_NAME_BYTES_MAX: usize = 128;

/// Checks what an adapter says; answers it as it is kept.
///
/// # Errors
/// Every problem, at its path.
pub fn check_adapter(value: &Value) -> Result<Value, Vec<Problem>> {
    adapter(value).map(|_| value.clone())
}

/// Reads an adapter.
pub(super) fn adapter(value: &Value) -> Result<Adapter, Vec<Problem>> {
    let mut problems = Problems::default();
    let Some(fields) = Fields::of(value, "", &FIELDS, &mut problems) else {
        return Err(problems.into_list());
    };
    drop(fields.text("description", DESCRIPTION_CHARS_MAX, &mut problems));
    fields.required("url", &mut problems);
    let read = Adapter {
        url: url(&fields, "url", &mut problems).unwrap_or_default(),
        headers: headers(&fields, &mut problems),
        timeout: duration(&fields, "timeout", (1, STEP_TIMEOUT_MS_MAX), &mut problems),
        retry: read_retry(&fields, &mut problems),
        health: url(&fields, "health", &mut problems),
    };
    let alone = Definition {
        defaults: Defaults { retry: read.retry.clone(), ..Defaults::default() },
        ..Definition::default()
    };
    let mut of_retry = Problems::default();
    alone.check_retries(&|_| false, &mut of_retry);
    for problem in of_retry.into_list() {
        problems.push(Problem { path: "retry".to_owned(), ..problem });
    }
    if problems.is_empty() { Ok(read) } else { Err(problems.into_list()) }
}

/// An address without query or fragment: an action is put behind it.
fn url(fields: &Fields<'_>, name: &str, problems: &mut Problems) -> Option<String> {
    let url = fields.text(name, URL_CHARS_MAX, problems)?;
    let why = match check_url(&url) {
        Err(why) => Some(why),
        Ok(()) if name == "url" && url.contains(['?', '#']) => {
            Some("an action is put behind it, so it has no query and no fragment")
        }
        Ok(()) => None,
    };
    if let Some(why) = why {
        problems.add(fields.at(name), codes::BAD_URL, why);
        return None;
    }
    Some(url)
}

fn headers(fields: &Fields<'_>, problems: &mut Problems) -> Map<String, Value> {
    let none = Map::new();
    let given = fields.object("headers", problems).unwrap_or(&none);
    if given.len() > HEADERS_MAX {
        let message = format!("`headers` has at most {HEADERS_MAX}, not {}", given.len());
        problems.add("headers", codes::OUT_OF_RANGE, message);
        return Map::new();
    }
    for (name, own) in given {
        let shown: String = name.chars().take(64).collect();
        let path = format!("headers.{shown}");
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if !(1..=HEADER_NAME_BYTES_MAX).contains(&name.len()) || !name.bytes().all(plain) {
            problems.add(path, codes::BAD_VALUE, "a header's name has letters, digits, `-`, `_`");
        } else if !own.is_string() {
            problems.add(path, codes::WRONG_TYPE, "a header is a text");
        } else {
            check_header(own, &path, problems);
        }
    }
    given.clone()
}

/// A header may refer to secrets and to nothing else: what a run's data is, no adapter knows.
fn check_header(own: &Value, path: &str, problems: &mut Problems) {
    let step = Step {
        id: "call".to_owned(),
        task_type: "http".to_owned(),
        with: Some(json!({ "header": own })),
        ..Step::default()
    };
    let alone = Definition { id: "adapter".to_owned(), steps: vec![step], ..Definition::default() };
    match Plan::compile_stored(&alone) {
        Ok(plan) if plan.steps[0].input.reads().only_secrets() => {}
        Ok(_) => {
            let message = "a header of an adapter refers to secrets and to nothing else";
            problems.add(path, codes::BAD_EXPRESSION, message);
        }
        Err(found) => {
            for Problem { code, message, .. } in found {
                problems.add(path, code, message);
            }
        }
    }
}
