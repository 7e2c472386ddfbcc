//! One run in full: as it stands, or as it stood at a point of its history.

use backstitch_core::time::Timestamp;
use serde_json::{Value, json};

use super::marks::{sentence, subject_words, words};
use super::{Answer, events, workflow_label};
use crate::Form;
use crate::facts::{instant, text};
use crate::source::{Run, Standing};
use crate::text::{
    Screen, Style, Table, clip, counted, duration, offset, printable, style_of, us_between,
};

/// The longest JSON value that text shows whole; `--json` shows all of it.
const VALUE_CHARACTERS_MAX: usize = 400;

/// The run as it stands. One that does not fold is shown by its events.
pub(crate) fn answer(run: &Run, form: &Form) -> Answer {
    let answer = match (&run.execution, form.json) {
        (Some(execution), true) => Answer::json(execution),
        (Some(execution), false) => Answer::text(whole(run, execution, "", &form.screen)),
        (None, json) => quarantined(run, json, &form.screen),
    };
    answer.warn(run.warning.clone())
}

/// The run as it stood at a point of its history.
pub(crate) fn answer_at(run: &Run, form: &Form) -> Answer {
    let none = Value::Null;
    let execution = run.execution.as_ref().unwrap_or(&none);
    let answer = match form.json {
        true => Answer::json(execution),
        false => {
            let (version, at) = (&execution["version"], text(&execution["updated_at"]));
            let of = Some(run.last_version).filter(|&last| last > 0);
            let of = of.map(|last| format!(" of {last}")).unwrap_or_default();
            let as_of = format!("as of version {version}{of}, {at}\n");
            Answer::text(whole(run, execution, &as_of, &form.screen))
        }
    };
    answer.warn(run.warning.clone())
}

fn quarantined(run: &Run, json: bool, screen: &Screen) -> Answer {
    let word = Standing::QUARANTINED;
    let why = run.quarantined.as_deref().unwrap_or_default();
    if json {
        return Answer::json(&json!({
            "execution_id": run.id,
            "status": word,
            "quarantined": why,
            "events": run.events,
        }));
    }
    let word = screen.paint(style_of(word), word);
    let title = screen.paint(Style::Bold, &run.id);
    let why = printable(why);
    let table = events::table(run, screen);
    Answer::text(format!("{title}  {word}: {why}\n\n{table}"))
}

fn whole(run: &Run, execution: &Value, as_of: &str, screen: &Screen) -> String {
    let word = text(&execution["status"]);
    let mut shown = format!(
        "{}  {}\n{as_of}",
        screen.paint(Style::Bold, &run.id),
        screen.paint(style_of(word), word)
    );
    shown.push_str(&head(run, execution).print(screen, 2));
    shown.push_str(&screen.heading("STEPS"));
    shown.push_str(&steps(run, execution).print(screen, 2));
    let list = |name: &str| execution[name].as_array().filter(|list| !list.is_empty());
    if let Some(list) = list("dead_letters") {
        shown.push_str(&screen.heading("DEAD LETTERS"));
        shown.push_str(&letters(list).print(screen, 2));
    }
    if let Some(list) = list("callbacks") {
        shown.push_str(&screen.heading("CALLBACKS"));
        shown.push_str(&callbacks(list).print(screen, 2));
    }
    shown
}

fn head(run: &Run, execution: &Value) -> Table {
    let mut table = Table::bare();
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            table.row([(name.to_owned(), Style::Dim), (value, Style::Plain)]);
        }
    };
    let label = match run.label.as_str() {
        "" => String::new(),
        label => format!(" ({label})"),
    };
    let field = |name: &str| text(&execution[name]).to_owned();
    let revision = &execution["revision"];
    line("workflow", format!("{}, revision {revision}{label}", workflow_label(execution)));
    line("submitted", format!("{} by {}", field("submitted_at"), field("submitted_by")));
    line("ended", ended(execution));
    line("version", execution["version"].to_string());
    line("correlation", field("correlation_id"));
    line("tags", words(&execution["tags"]));
    line("key", field("idempotency_key"));
    line("retry of", field("retry_of"));
    line("parent", parent(&execution["parent"]));
    for child in execution["children"].as_array().into_iter().flatten() {
        line("child", format!("{} of {}", text(&child["execution_id"]), text(&child["step"])));
    }
    line("deadline", field("deadline_at"));
    line("input", value(&execution["input"]));
    line("variables", value(&execution["variables"]));
    line("output", value(&execution["output"]));
    if execution["error"].is_object() {
        line("error", sentence(&execution["error"]));
    }
    let cancel = &execution["cancel"];
    if cancel.is_object() {
        let word = |name: &str| text(&cancel[name]);
        let (at, actor, reason) = (word("requested_at"), word("actor"), word("reason"));
        line("cancel", format!("{at} by {actor}: {reason}"));
    }
    table
}

fn parent(parent: &Value) -> String {
    if parent.is_null() {
        return String::new();
    }
    format!("{}, attempt {} of its step", text(&parent["execution_id"]), parent["attempt"])
}

fn ended(execution: &Value) -> String {
    let both = instant(&execution["submitted_at"]).zip(instant(&execution["completed_at"]));
    let Some((from, to)) = both else { return String::new() };
    let undone = match text(&execution["compensation"]) {
        "done" => ", everything undone",
        "failed" => ", something could not be undone",
        _ => "",
    };
    format!("{to} after {}{undone}", duration(us_between(from, to)))
}

/// A JSON value in one line; nothing for nothing.
pub(super) fn value(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Object(map) if map.is_empty() => String::new(),
        value => clip(&value.to_string(), VALUE_CHARACTERS_MAX),
    }
}

/// The steps in the order of the definition; where that is not known, by their ids.
fn steps(run: &Run, execution: &Value) -> Table {
    let headings = ["STEP", "STATUS", "ATTEMPTS", "START", "TOOK", "UNDO", "ERROR"];
    let mut table = Table::with_headings(&headings);
    let submitted_at = instant(&execution["submitted_at"]).unwrap_or_default();
    let Some(own) = execution["steps"].as_object() else { return table };
    let known = run.steps.iter().filter(|id| own.contains_key(*id));
    let others = own.keys().filter(|id| !run.steps.contains(id));
    for id in known.chain(others) {
        let own = &own[id];
        let word = text(&own["status"]);
        let start = instant(&own["started_at"]).map(|at| offset(submitted_at, at));
        table.row([
            (id.clone(), Style::Plain),
            (word.to_owned(), style_of(word)),
            (attempts(own).map(|count| count.to_string()).unwrap_or_default(), Style::Plain),
            (start.unwrap_or_default(), Style::Plain),
            (took(own), Style::Plain),
            (undo(&own["undo"]), Style::Undo),
            (error(own), Style::Bad),
        ]);
    }
    table
}

fn attempts(own: &Value) -> Option<u64> {
    own["attempts"].as_u64().filter(|&count| count > 0)
}

fn undo(undo: &Value) -> String {
    let mut words = text(&undo["status"]).to_owned();
    if let Some(count) = attempts(undo) {
        words.push_str(&format!(", {}", counted(count, "attempt")));
    }
    if let Some(took_effect) = undo["check"]["took_effect"].as_bool() {
        words.push_str(if took_effect { ", took effect" } else { ", no effect" });
    }
    let took = took(undo);
    if took.is_empty() { words } else { format!("{words}, {took}") }
}

/// The step's failure and its undo's.
fn error(own: &Value) -> String {
    let forward = own["error"].is_object().then(|| sentence(&own["error"]));
    let undo = &own["undo"]["error"];
    let undo = undo.is_object().then(|| format!("undo: {}", sentence(undo)));
    let both: Vec<_> = forward.into_iter().chain(undo).collect();
    clip(&both.join("; "), VALUE_CHARACTERS_MAX)
}

fn took(own: &Value) -> String {
    let both: Option<(Timestamp, Timestamp)> =
        instant(&own["started_at"]).zip(instant(&own["completed_at"]));
    both.map(|(from, to)| duration(us_between(from, to))).unwrap_or_default()
}

fn letters(letters: &[Value]) -> Table {
    let mut table = Table::with_headings(&["LETTER", "ABOUT", "STATUS", "ATTEMPTS", "ERROR"]);
    for letter in letters {
        let word = text(&letter["status"]);
        table.row([
            (text(&letter["letter_id"]).to_owned(), Style::Plain),
            (subject_words(text(&letter["kind"]), &letter["subject"]), Style::Plain),
            (format!("{word}{}", settled(&letter["settled"])), style_of(word)),
            (letter["attempts"].to_string(), Style::Plain),
            (failure(&letter["error"]), Style::Bad),
        ]);
    }
    table
}

/// How a letter was settled.
pub(super) fn settled(settled: &Value) -> String {
    if settled.is_null() {
        return String::new();
    }
    let part = |name: &str, before: &str| {
        settled[name].as_str().map(|word| format!("{before}{word}")).unwrap_or_default()
    };
    let (linked, reason) = (part("execution_id", " as "), part("reason", ": "));
    format!(" by {}{linked}{reason}", text(&settled["actor"]))
}

fn callbacks(callbacks: &[Value]) -> Table {
    let mut table = Table::with_headings(&["EVENT", "URL", "STATUS", "ATTEMPTS", "ERROR"]);
    for own in callbacks {
        let word = text(&own["status"]);
        let delivered = word == "delivered";
        let answered = own["response_status"].as_u64().filter(|_| delivered);
        let answered = answered.map(|status| format!(" ({status})")).unwrap_or_default();
        table.row([
            (text(&own["event"]).to_owned(), Style::Plain),
            (text(&own["url"]).to_owned(), Style::Plain),
            (format!("{word}{answered}"), style_of(word)),
            (own["attempts"].to_string(), Style::Plain),
            (
                if own["error"].is_object() { failure(&own["error"]) } else { String::new() },
                Style::Bad,
            ),
        ]);
    }
    table
}

fn failure(error: &Value) -> String {
    clip(&sentence(error), VALUE_CHARACTERS_MAX)
}
