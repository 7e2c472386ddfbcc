//! Dead letters: listed, shown, counted, settled.

use std::collections::BTreeMap;

use backstitch_core::time::Timestamp;
use backstitch_journal::Order;
use serde_json::{Value, json};

use super::letter_groups::attempts;
use super::list::{foot, nothing};
use super::marks::{sentence, subject_words};
use super::show::{settled, value};
use super::{Answer, workflow_label};
use crate::Form;
use crate::clock;
use crate::error::exit;
use crate::facts::{instant, text};
use crate::source::{Rows, Settled};
use crate::text::{Screen, Style, Table, clip, counted, printable, style_of, us_between};

/// The longest error that a list shows whole.
const ERROR_CHARACTERS_MAX: usize = 120;
/// Ages that letters are counted by, in seconds, each up to and without its own.
const AGES_S: [(&str, u64); 4] = [
    ("under 1 hour", 3_600),
    ("under 1 day", 86_400),
    ("under 7 days", 604_800),
    ("under 30 days", 2_592_000),
];
/// The rest.
const OLDER: &str = "30 days and more";

/// The newest letters that were wanted.
pub(crate) fn list(rows: &Rows, form: &Form) -> Answer {
    let answer = match form.json {
        true => Answer::json(&json!({ "letters": rows.rows, "count": rows.count })),
        false => Answer::text(list_text(rows, &form.screen)),
    };
    answer.warn(rows.warning.clone())
}

fn list_text(rows: &Rows, screen: &Screen) -> String {
    if rows.rows.is_empty() {
        return nothing("letter", rows.count);
    }
    let given = rows.rows.iter().any(|row| row["assignee"].is_string());
    let mut headings = vec!["LETTER", "WORKFLOW", "ABOUT", "STATUS", "OPENED", "ATTEMPTS"];
    headings.extend(given.then_some("ASSIGNEE").into_iter().chain(["ERROR"]));
    let mut table = Table::with_headings(&headings);
    for row in &rows.rows {
        let word = text(&row["status"]);
        let mut cells = vec![
            (text(&row["letter_id"]).to_owned(), Style::Plain),
            (workflow_label(row), Style::Plain),
            (subject_words(text(&row["kind"]), &row["subject"]), Style::Plain),
            (word.to_owned(), style_of(word)),
            (text(&row["opened_at"]).to_owned(), Style::Dim),
            (row["attempts"].to_string(), Style::Plain),
        ];
        cells.extend(given.then(|| (text(&row["assignee"]).to_owned(), Style::Plain)));
        cells.push((clip(&sentence(&row["error"]), ERROR_CHARACTERS_MAX), Style::Bad));
        table.row(cells);
    }
    let foot = foot("letter", Order::NewestFirst, rows.rows.len() as u64, rows.count);
    format!("{}{}\n", table.print(screen, 0), screen.paint(Style::Dim, &foot))
}

/// One letter in full.
pub(crate) fn show(letter: &Value, form: &Form) -> Answer {
    if form.json {
        return Answer::json(letter);
    }
    let screen = &form.screen;
    let word = text(&letter["status"]);
    let title = screen.paint(Style::Bold, text(&letter["letter_id"]));
    let mut table = Table::bare();
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            table.row([(name.to_owned(), Style::Dim), (value, Style::Plain)]);
        }
    };
    line("about", subject_words(text(&letter["kind"]), &letter["subject"]));
    line("of", text(&letter["execution_id"]).to_owned());
    line("workflow", format!("{}, revision {}", workflow_label(letter), letter["revision"]));
    line("correlation", text(&letter["correlation_id"]).to_owned());
    line("fingerprint", text(&letter["fingerprint"]).to_owned());
    line("opened", text(&letter["opened_at"]).to_owned());
    line("attempts", letter["attempts"].to_string());
    line("error", sentence(&letter["error"]));
    line("effect", effect(&letter["error"]).to_owned());
    line("details", value(&letter["error"]["details"]));
    line("input", value(&letter["input"]));
    line("edited input", value(&letter["edited_input"]));
    line("assignee", text(&letter["assignee"]).to_owned());
    for note in letter["notes"].as_array().into_iter().flatten() {
        let [at, actor, words] = ["at", "actor", "text"].map(|name| text(&note[name]));
        line("note", format!("{at} by {actor}: {words}"));
    }
    let how = settled(&letter["settled"]);
    if !how.is_empty() {
        line(word, format!("{}{how}", text(&letter["settled"]["at"])));
    }
    let (table, attempts) = (table.print(screen, 2), attempts(letter, screen));
    Answer::text(format!("{title}  {}\n{table}{attempts}", screen.paint(style_of(word), word)))
}

/// What a retry may find.
fn effect(error: &Value) -> &'static str {
    match text(&error["effect"]) {
        "none" => "it did not happen",
        "unknown" => "nobody knows whether it happened",
        _ => "",
    }
}

/// How many letters there are, by what tells them apart.
pub(crate) fn stats(rows: &Rows, form: &Form) -> Answer {
    let document = counts(&rows.rows, clock::now());
    let answer = match form.json {
        true => Answer::json(&document),
        false => Answer::text(stats_text(&document, &form.screen)),
    };
    answer.warn(rows.warning.clone())
}

/// Open letters by everything; all of them by status.
fn counts(letters: &[Value], now: Timestamp) -> Value {
    let mut statuses: BTreeMap<&str, u64> = BTreeMap::new();
    let mut by: [BTreeMap<String, u64>; 4] = Default::default();
    let mut ages = vec![0_u64; AGES_S.len() + 1];
    for letter in letters {
        let status = text(&letter["status"]);
        *statuses.entry(status).or_default() += 1;
        if status != "open" {
            continue;
        }
        let words = [
            &letter["workflow_id"],
            &letter["kind"],
            &letter["error"]["error_code"],
            &letter["fingerprint"],
        ];
        let words = words.map(text);
        for (counts, word) in by.iter_mut().zip(words) {
            *counts.entry(word.to_owned()).or_default() += 1;
        }
        let age_s = us_between(instant(&letter["opened_at"]).unwrap_or(now), now) / 1_000_000;
        let older = AGES_S.iter().take_while(|(_, under_s)| age_s >= *under_s).count();
        ages[older] += 1;
    }
    let names = AGES_S.iter().map(|(name, _)| *name).chain([OLDER]);
    let ages = names.zip(ages).map(|(name, count)| json!({ "age": name, "count": count }));
    let [by_workflow, by_kind, by_code, by_fingerprint] = by;
    json!({
        "total": letters.len(),
        "by_status": statuses,
        "by_workflow": by_workflow,
        "by_kind": by_kind,
        "by_code": by_code,
        "by_fingerprint": by_fingerprint,
        "by_age": ages.collect::<Vec<_>>(),
    })
}

fn stats_text(document: &Value, screen: &Screen) -> String {
    if document["total"] == 0 {
        return "no letters\n".to_owned();
    }
    let mut shown = block(screen, "LETTERS", pairs(&document["by_status"]));
    if document["by_status"]["open"].is_null() {
        return shown;
    }
    for (title, name) in [
        ("OPEN BY WORKFLOW", "by_workflow"),
        ("OPEN BY KIND", "by_kind"),
        ("OPEN BY CODE", "by_code"),
        ("OPEN BY FINGERPRINT", "by_fingerprint"),
    ] {
        shown.push_str(&format!("\n{}", block(screen, title, pairs(&document[name]))));
    }
    let ages = document["by_age"].as_array().into_iter().flatten();
    let ages = ages.map(|own| (text(&own["age"]).to_owned(), own["count"].as_u64().unwrap_or(0)));
    shown.push_str(&format!("\n{}", block(screen, "OPEN BY AGE", ages.collect())));
    shown
}

/// Counts, the largest first.
fn pairs(counts: &Value) -> Vec<(String, u64)> {
    let counts = counts.as_object().into_iter().flatten();
    let mut pairs: Vec<_> =
        counts.map(|(name, count)| (name.clone(), count.as_u64().unwrap_or(0))).collect();
    pairs.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), name.clone()));
    pairs
}

fn block(screen: &Screen, title: &str, pairs: Vec<(String, u64)>) -> String {
    let mut table = Table::bare();
    for (name, count) in pairs {
        table.row([(name, Style::Plain), (count.to_string(), Style::Bold)]);
    }
    format!("{}\n{}", screen.paint(Style::Dim, title), table.print(screen, 2))
}

/// What came of each letter.
pub(crate) fn outcome(settled: &[Settled], asked: usize, form: &Form) -> Answer {
    let rows: Vec<Value> = settled.iter().map(settled_json).collect();
    let refused = settled.iter().filter(|own| own.outcome.is_err()).count() + asked - settled.len();
    let mut answer = match form.json {
        true => Answer::json(&json!({ "letters": rows, "refused": refused })),
        false => Answer::text(settled.iter().map(|own| line(own, &form.screen)).collect()),
    };
    if refused > 0 {
        answer.code = exit::NO;
        answer.warning = Some(format!("{refused} of {asked} could not be done"));
    }
    answer
}

fn settled_json(own: &Settled) -> Value {
    match &own.outcome {
        Ok(document) => document.clone(),
        Err(error) => json!({ "letter_id": own.letter.to_string(), "error": error.line() }),
    }
}

fn line(own: &Settled, screen: &Screen) -> String {
    let letter = own.letter.to_string();
    match &own.outcome {
        Ok(document) if document["notes"].is_array() => {
            let (word, notes) = (text(&document["status"]), document["notes"].as_array());
            let to = match text(&document["assignee"]) {
                "" => "nobody".to_owned(),
                to => printable(to),
            };
            let (word, notes) = (screen.paint(style_of(word), word), notes.map_or(0, Vec::len));
            format!("{letter}  is {word}, given to {to}, has {}\n", counted(notes as u64, "note"))
        }
        Ok(document) => {
            let (run, status) = (text(&document["execution_id"]), text(&document["status"]));
            let new = if document["new_execution"] == true { "new run " } else { "" };
            format!("{letter}  {new}{run} is {}\n", screen.paint(style_of(status), status))
        }
        Err(error) => {
            let why = printable(&error.line());
            format!("{letter}  {} {why}\n", screen.paint(Style::Bad, "refused:"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_counted_by_age() {
        let now = Timestamp(3_000_000_000_000_000);
        let letter = |age_s: i64| {
            json!({
                "status": "open", "workflow_id": "order", "kind": "step",
                "error": { "error_code": "HTTP_STATUS" },
                "opened_at": Timestamp(now.0 - age_s * 1_000_000).to_string(),
            })
        };
        let letters = [0, 3_599, 3_600, 604_799, 604_800, 99_999_999].map(letter);
        let counted = counts(&letters, now);
        let ages: Vec<_> =
            counted["by_age"].as_array().unwrap().iter().map(|a| &a["count"]).collect();
        assert_eq!(ages, [2, 1, 1, 1, 1]);
        assert_eq!(counted["by_code"], json!({ "HTTP_STATUS": 6 }));
    }
}
