//! Replays: recorded events delivered to somebody again, or into a view.

use backstitch_core::ids::ReplayId;
use serde_json::{Map, Value, json};

use super::Answer;
use crate::Form;
use crate::arguments::{ReplayWanted, Replays};
use crate::error::Error;
use crate::facts::text;
use crate::source::Server;
use crate::text::{Screen, Style, Table, printable};

const REPLAYS: [&str; 3] = ["api", "v1", "replays"];

/// Asks the server, or has it begin, stop or resume a replay.
///
/// # Errors
/// If the server cannot be asked, or refuses.
pub(crate) fn answer(command: &Replays, server: &Server, form: &Form) -> Result<Answer, Error> {
    let client = server.client();
    let order = |id: &ReplayId, word: &'static str, body: &Value| {
        client.post(&[&REPLAYS[..], &[id.to_string().as_str(), word]].concat(), body)
    };
    let shown = match command {
        Replays::List => {
            let list = client.get(&REPLAYS, &[])?;
            return Ok(match form.json {
                true => Answer::json(&list),
                false => Answer::text(table(&list, &form.screen)),
            });
        }
        Replays::Show { id } => {
            let id = id.to_string();
            client.get(&[&REPLAYS[..], &[id.as_str()]].concat(), &[])?
        }
        Replays::Start(wanted) => client.post(&REPLAYS, &body(wanted))?,
        Replays::Stop { id, reason } => order(id, "stop", &json!({ "reason": reason }))?,
        Replays::Resume { id } => order(id, "resume", &json!({}))?,
    };
    Ok(match form.json {
        true => Answer::json(&shown),
        false => Answer::text(words(&shown, &form.screen)),
    })
}

/// What is wanted, as the API takes it.
fn body(wanted: &ReplayWanted) -> Value {
    let mut body = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        body.extend(value.map(|value| (name.to_owned(), value)));
    };
    put("url", wanted.url.as_ref().map(|url| json!(url)));
    put("view", wanted.view.as_ref().map(|view| json!(view)));
    put("from", wanted.from.as_ref().map(|from| json!(from)));
    put("to", wanted.to.as_ref().map(|to| json!(to)));
    put("rate_per_second", wanted.rate.map(|rate| json!(rate)));
    put("max_attempts", wanted.max_attempts.map(|attempts| json!(attempts)));
    let mut filter = Map::new();
    if !wanted.r#type.is_empty() {
        filter.insert("type".to_owned(), json!(wanted.r#type));
    }
    filter.extend(wanted.workflow.as_ref().map(|id| ("workflow_id".to_owned(), json!(id))));
    let execution = wanted.execution.map(|id| ("execution_id".to_owned(), json!(id.to_string())));
    filter.extend(execution);
    if !filter.is_empty() {
        body.insert("filter".to_owned(), Value::Object(filter));
    }
    Value::Object(body)
}

fn style(status: &str) -> Style {
    match status {
        "completed" => Style::Good,
        "stopped" => Style::Bad,
        _ => Style::Waiting,
    }
}

/// Where it goes.
fn target(replay: &Value) -> String {
    match replay["view"].as_str() {
        Some(view) => format!("the view `{}`", printable(view)),
        None => printable(text(&replay["url"])),
    }
}

fn table(list: &Value, screen: &Screen) -> String {
    let rows = list["replays"].as_array().map_or(&[][..], Vec::as_slice);
    if rows.is_empty() {
        return "no replays\n".to_owned();
    }
    let mut table = Table::with_headings(&["REPLAY", "STATUS", "DELIVERED", "REQUESTED", "TO"]);
    for replay in rows {
        let status = text(&replay["status"]);
        table.row([
            (text(&replay["replay_id"]).to_owned(), Style::Plain),
            (status.to_owned(), style(status)),
            (replay["delivered"].to_string(), Style::Plain),
            (text(&replay["requested_at"]).to_owned(), Style::Dim),
            (target(replay), Style::Plain),
        ]);
    }
    table.print(screen, 0)
}

fn words(replay: &Value, screen: &Screen) -> String {
    let status = text(&replay["status"]);
    let mut shown = format!(
        "{}  {}  to {}\n",
        printable(text(&replay["replay_id"])),
        screen.paint(style(status), status),
        target(replay),
    );
    if replay["view"].is_null() {
        shown.push_str(&format!(
            "{} delivered, at most {} a second\n",
            replay["delivered"], replay["rate_per_second"]
        ));
    }
    if let Some(until) = replay["cut_until"].as_str() {
        shown.push_str(&format!("events up to {until} had been cut: it begins behind them\n"));
    }
    let (by, at) = (text(&replay["requested_by"]), text(&replay["requested_at"]));
    shown.push_str(&format!("asked for by {} at {at}\n", printable(by)));
    if let Some(reason) = replay["stopped"]["reason"].as_str() {
        let who = replay["stopped"]["actor"]
            .as_str()
            .map_or_else(String::new, |actor| format!(" by {}", printable(actor)));
        shown.push_str(&format!("stopped{who}: {}\n", printable(reason)));
    }
    shown
}
