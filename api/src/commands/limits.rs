//! `backstitch limits`: how much may go on at a time, who holds what, and who waits.

use serde_json::Value;

use super::runs::At;
use super::runs::table::{columns, list, text, words};
use crate::error::Error;

/// Holders that a row names.
const HOLDERS_SHOWN_MAX: usize = 3;

/// Shows the limits.
///
/// # Errors
/// [`Error::Refused`], [`Error::Unreachable`], [`Error::Foreign`]; [`Error::Setting`] for a server
/// that is no URL.
pub async fn run(at: At) -> Result<(), Error> {
    let answer = at.client()?.get("/api/v1/limits").await?;
    at.show(&answer, || table(&answer))
}

fn table(answer: &Value) -> String {
    let mut rows = vec![words(["LIMIT", "MAX", "IN USE", "WAITING", "HELD BY"])];
    let row = |name: String, max: &Value, used: &Value, own: &Value| {
        let max = if max.is_null() { "no limit".to_owned() } else { text(max) };
        vec![name, max, text(used), waiting(&own["waiting"]), holders(own)]
    };
    let (workers, runs) = (&answer["workers"], &answer["runs"]);
    rows.push(row("workers".to_owned(), &workers["max"], &workers["in_use"], workers));
    rows.push(row("runs of the node".to_owned(), &runs["max"], &runs["running"], runs));
    for own in list(answer, "workflows") {
        let workflow = text(&own["workflow_id"]);
        // A workflow that has keyed limits only has no number of its own.
        if !own["max_runs"].is_null() {
            rows.push(row(format!("runs of {workflow}"), &own["max_runs"], &own["running"], own));
        }
        for key in list(own, "keys") {
            let name = format!("runs of {workflow}, key {}", text(&key["key"]));
            rows.push(row(name, &key["max_runs"], &key["running"], key));
        }
        more(&mut rows, &format!("keys of {workflow}"), &own["keys_more"]);
    }
    for key in list(answer, "keys") {
        let name = format!("steps with key {}", text(&key["key"]));
        rows.push(row(name, &key["max"], &key["running"], key));
    }
    more(&mut rows, "keys of steps", &answer["keys_more"]);
    let mut shown = columns(&rows);
    let queue = text(&runs["queue_max"]);
    shown.push_str(&format!("at most {queue} runs may wait to begin\n"));
    shown
}

/// How many there are beyond those shown.
fn more(rows: &mut Vec<Vec<String>>, what: &str, count: &Value) {
    if let Some(count) = count.as_u64().filter(|count| *count > 0) {
        rows.push(vec![format!("and {count} more {what}")]);
    }
}

/// Those who wait, by priority or class; `-` if nobody does.
fn waiting(counts: &Value) -> String {
    let counts = counts.as_object().into_iter().flatten();
    let some = counts.filter(|(_, count)| count.as_u64() != Some(0));
    let shown: Vec<_> = some.map(|(word, count)| format!("{count} {word}")).collect();
    if shown.is_empty() { "-".to_owned() } else { shown.join(", ") }
}

/// The first of those who hold it.
fn holders(own: &Value) -> String {
    let holders = list(own, "holders");
    let name = |holder: &Value| {
        let undo = if holder["undo"] == true { " undo of" } else { "" };
        let step = holder["step"].as_str().map(|step| format!("{undo} {step}"));
        let since = holder["since"].as_str().map(|at| format!(" since {at}"));
        let run = text(&holder["execution_id"]);
        format!("{run}{}{}", step.unwrap_or_default(), since.unwrap_or_default())
    };
    let mut shown: Vec<_> = holders.iter().take(HOLDERS_SHOWN_MAX).map(name).collect();
    if holders.len() > HOLDERS_SHOWN_MAX {
        shown.push(format!("and {} more", holders.len() - HOLDERS_SHOWN_MAX));
    }
    if let Some(others @ 1..) = own["other_namespaces"]["holders"].as_u64() {
        shown.push(format!("{others} of other namespaces"));
    }
    if shown.is_empty() { "-".to_owned() } else { shown.join(", ") }
}
