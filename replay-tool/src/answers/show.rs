//! One run in full: as it stands, or as it stood after its first events.

use backstitch_core::failure::Failure;
use backstitch_core::ids::LetterId;
use backstitch_core::report::{callback_word, execution_json, letter_word};
use backstitch_core::state::{State, StepState};
use backstitch_core::time::Timestamp;
use serde_json::{Value, json};

use super::marks::{sentence, subject_words};
use super::{Answer, events, workflow_label};
use crate::Form;
use crate::archive::History;
use crate::error::Error;
use crate::fold::Fold;
use crate::listing::Standing;
use crate::text::{
    Screen, Style, Table, clip, counted, duration, offset, printable, style_of, us_between,
};

/// The longest JSON value that text shows whole; `--json` shows all of it.
const VALUE_CHARACTERS_MAX: usize = 400;

/// The run as it stands. One that does not fold is shown by its events.
///
/// # Errors
/// None; kept for the other questions' sake.
pub(crate) fn answer(mut history: History, form: &Form) -> Result<Answer, Error> {
    let answer = match (history.fold(), form.json) {
        (Fold::Whole(state), true) => Answer::json(&execution_json(&state)),
        (Fold::Whole(state), false) => Answer::text(text(&state, "", &form.screen)),
        (Fold::Broken { why }, json) => quarantined(&mut history, &why, json, &form.screen),
        (Fold::Empty, json) => {
            quarantined(&mut history, "nothing was recorded", json, &form.screen)
        }
    };
    Ok(answer.read_up_to(history.damage.as_ref()))
}

/// The run as it stood after its first `version` events.
///
/// # Errors
/// If there are not so many, or they do not fold.
pub(crate) fn answer_at(mut history: History, version: u64, form: &Form) -> Result<Answer, Error> {
    let state = history.state_at(version)?;
    let answer = match form.json {
        true => Answer::json(&execution_json(&state)),
        false => {
            let last = history.records.len();
            let as_of = format!("as of version {version} of {last}, {}\n", state.updated_at);
            Answer::text(text(&state, &as_of, &form.screen))
        }
    };
    Ok(answer.read_up_to(history.damage.as_ref()))
}

fn quarantined(history: &mut History, why: &str, json: bool, screen: &Screen) -> Answer {
    let run = history.run.to_string();
    let word = Standing::QUARANTINED;
    if json {
        return Answer::json(&json!({
            "execution_id": run,
            "status": word,
            "quarantined": why,
            "events": events::rows(history),
        }));
    }
    let word = screen.paint(style_of(word), word);
    let title = screen.paint(Style::Bold, &run);
    let why = printable(why);
    let table = events::table(history, screen);
    Answer::text(format!("{title}  {word}: {why}\n\n{table}"))
}

fn text(state: &State, as_of: &str, screen: &Screen) -> String {
    let word = state.status().word();
    let mut text = format!(
        "{}  {}\n{as_of}",
        screen.paint(Style::Bold, &state.id.to_string()),
        screen.paint(style_of(word), word)
    );
    text.push_str(&head(state).print(screen, 2));
    text.push_str(&screen.heading("STEPS"));
    text.push_str(&steps(state).print(screen, 2));
    if !state.letters.is_empty() {
        text.push_str(&screen.heading("DEAD LETTERS"));
        text.push_str(&letters(state).print(screen, 2));
    }
    if !state.deliveries.is_empty() {
        text.push_str(&screen.heading("CALLBACKS"));
        text.push_str(&callbacks(state).print(screen, 2));
    }
    text
}

fn head(state: &State) -> Table {
    let document = execution_json(state);
    let own = &state.submitted;
    let mut table = Table::bare();
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            table.row([(name.to_owned(), Style::Dim), (value, Style::Plain)]);
        }
    };
    let label = match state.plan.label.as_str() {
        "" => String::new(),
        label => format!(" ({label})"),
    };
    let workflow = workflow_label(&own.namespace, &own.workflow);
    line("workflow", format!("{workflow}, revision {}{label}", own.revision));
    line("submitted", format!("{} by {}", state.submitted_at, own.actor));
    line("ended", ended(state, &document));
    line("version", state.version.to_string());
    line("correlation", own.correlation_id.to_string());
    line("key", own.idempotency_key.clone().unwrap_or_default());
    line("retry of", own.retry_of.map(|run| run.to_string()).unwrap_or_default());
    line("deadline", own.deadline_at.map(|at| at.to_string()).unwrap_or_default());
    line("input", value(&document["input"]));
    line("variables", value(&document["variables"]));
    line("output", value(&document["output"]));
    let error = &document["error"];
    if let (Some(code), Some(message)) = (error["error_code"].as_str(), error["message"].as_str()) {
        line("error", format!("{code}: {message}"));
    }
    if let Some(cancel) = &state.cancel {
        line("cancel", format!("{} by {}: {}", cancel.at, cancel.actor, cancel.reason));
    }
    table
}

fn ended(state: &State, document: &Value) -> String {
    let Some(ending) = &state.ending else { return String::new() };
    let took = duration(us_between(state.submitted_at, ending.at));
    let undone = match document["compensation"].as_str() {
        Some("done") => ", everything undone",
        Some("failed") => ", something could not be undone",
        _ => "",
    };
    format!("{} after {took}{undone}", ending.at)
}

/// A JSON value in one line; nothing for nothing.
fn value(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Object(map) if map.is_empty() => String::new(),
        value => clip(&value.to_string(), VALUE_CHARACTERS_MAX),
    }
}

fn steps(state: &State) -> Table {
    let headings = ["STEP", "STATUS", "ATTEMPTS", "START", "TOOK", "UNDO", "ERROR"];
    let mut table = Table::with_headings(&headings);
    for (plan, own) in state.plan.steps.iter().zip(&state.steps) {
        let word = own.word();
        let start = own.started_at.map(|at| offset(state.submitted_at, at));
        let attempts = if own.attempt > 0 { own.attempt.to_string() } else { String::new() };
        let undo = undo(own);
        table.row([
            (plan.id.to_string(), Style::Plain),
            (word.to_owned(), style_of(word)),
            (attempts, Style::Plain),
            (start.unwrap_or_default(), Style::Plain),
            (took(own.started_at, own.completed_at), Style::Plain),
            (undo, Style::Undo),
            (error(own), Style::Bad),
        ]);
    }
    table
}

fn undo(own: &StepState) -> String {
    let Some(undo) = &own.undo else { return String::new() };
    let mut words = undo.word().to_owned();
    if undo.attempt > 0 {
        words.push_str(&format!(", {}", counted(undo.attempt.into(), "attempt")));
    }
    let took = took(undo.started_at, undo.completed_at);
    if took.is_empty() { words } else { format!("{words}, {took}") }
}

/// The step's failure and its undo's.
fn error(own: &StepState) -> String {
    let forward = own.failure.as_deref().map(sentence);
    let undo = own.undo.as_ref().and_then(|undo| undo.failure.as_deref());
    let undo = undo.map(|failure| format!("undo: {}", sentence(failure)));
    let both: Vec<_> = forward.into_iter().chain(undo).collect();
    clip(&both.join("; "), VALUE_CHARACTERS_MAX)
}

fn took(from: Option<Timestamp>, to: Option<Timestamp>) -> String {
    from.zip(to).map(|(from, to)| duration(us_between(from, to))).unwrap_or_default()
}

fn letters(state: &State) -> Table {
    let mut table = Table::with_headings(&["LETTER", "ABOUT", "STATUS", "ATTEMPTS", "ERROR"]);
    for (number, letter) in (0..).zip(&state.letters) {
        let word = letter_word(letter.status);
        let settled = letter.settled.as_ref().map(|settled| {
            let linked = settled.linked.map(|run| format!(" as {run}")).unwrap_or_default();
            let reason = settled.reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            format!(" by {}{linked}{reason}", settled.actor)
        });
        table.row([
            (LetterId { execution: state.id, number }.to_string(), Style::Plain),
            (subject_words(letter.subject, Some(&state.plan)), Style::Plain),
            (format!("{word}{}", settled.unwrap_or_default()), style_of(word)),
            (letter.attempts.to_string(), Style::Plain),
            (failure(&letter.failure), Style::Bad),
        ]);
    }
    table
}

fn callbacks(state: &State) -> Table {
    let document = execution_json(state);
    let mut table = Table::with_headings(&["EVENT", "URL", "STATUS", "ATTEMPTS", "ERROR"]);
    for (number, own) in state.deliveries.iter().enumerate() {
        let word = document["callbacks"][number]["status"].as_str().unwrap_or_default();
        let answered = own.answered.map(|status| format!(" ({status})")).unwrap_or_default();
        table.row([
            (callback_word(own.event).to_owned(), Style::Plain),
            (own.url.clone(), Style::Plain),
            (format!("{word}{answered}"), style_of(word)),
            (own.attempt.to_string(), Style::Plain),
            (own.failure.as_deref().map(failure).unwrap_or_default(), Style::Bad),
        ]);
    }
    table
}

fn failure(failure: &Failure) -> String {
    clip(&sentence(failure), VALUE_CHARACTERS_MAX)
}
