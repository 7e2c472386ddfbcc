//! `backstitch reload`: a server reads its configuration file again.

use serde_json::{Value, json};

use super::runs::At;
use super::runs::table::{list, text};
use crate::error::Error;

/// Has the settings read again, and says what changed.
///
/// # Errors
/// [`Error::Refused`] with every problem, [`Error::Unreachable`], [`Error::Foreign`]; [`Error::Setting`] for a
/// server that is no URL.
pub async fn run(at: At) -> Result<(), Error> {
    let answer = at.client()?.post("/api/v1/config/reload", &json!({})).await?;
    at.show(&answer, || told(&answer))
}

fn told(answer: &Value) -> String {
    let line = |own: &Value, what: &str| {
        let (setting, from, to) = (text(&own["setting"]), word(&own["from"]), word(&own["to"]));
        format!("{setting}: {from} -> {to}{what}\n")
    };
    let changed = list(answer, "changed").iter().map(|own| line(own, ""));
    let waiting = list(answer, "needs_restart").iter().map(|own| line(own, " (needs a restart)"));
    let all: String = changed.chain(waiting).collect();
    if all.is_empty() { "nothing has changed\n".to_owned() } else { all }
}

fn word(value: &Value) -> String {
    if value.is_null() { "unset".to_owned() } else { text(value) }
}
