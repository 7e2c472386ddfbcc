//! Forks: an ended run gone on with, by the server that has it.

use serde_json::{Map, Value, json};

use super::{Answer, read_document};
use crate::Form;
use crate::arguments::ForkWanted;
use crate::error::Error;
use crate::facts::text;
use crate::source::Server;
use crate::text::printable;

/// Has the server make a fork.
///
/// # Errors
/// If the input's file can't be read or is no JSON; if the server cannot be asked, or refuses.
pub(crate) fn answer(wanted: &ForkWanted, server: &Server, form: &Form) -> Result<Answer, Error> {
    let body = body(wanted)?;
    let id = wanted.id.to_string();
    let made = server.client().post(&["api", "v1", "executions", &id, "fork"], &body)?;
    if form.json {
        return Ok(Answer::json(&made));
    }
    let mut shown = String::new();
    for warning in made["warnings"].as_array().map_or(&[][..], Vec::as_slice) {
        shown.push_str(&format!("warning: {}\n", printable(text(&warning["message"]))));
    }
    let (run, status) = (text(&made["execution_id"]), text(&made["status"]));
    shown.push_str(&format!("{}: {}\n", printable(run), printable(status)));
    Ok(Answer::text(shown))
}

/// What is wanted, as the API takes it.
fn body(wanted: &ForkWanted) -> Result<Value, Error> {
    let mut body = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        body.extend(value.map(|value| (name.to_owned(), value)));
    };
    put("from_step", wanted.from.as_ref().map(|step| json!(step)));
    put("version", wanted.version.map(|version| json!(version)));
    put("input", wanted.input.as_deref().map(read_document).transpose()?);
    put("revision", wanted.revision.map(|revision| json!(revision)));
    put("take_over", Some(wanted.take_over.into()));
    put("accept_unsafe", Some(wanted.accept_unsafe.into()));
    put("reason", Some(json!(wanted.reason)));
    Ok(Value::Object(body))
}
