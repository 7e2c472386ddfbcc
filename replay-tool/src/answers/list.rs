//! The list of runs, by when they were submitted.

use backstitch_journal::Order;
use serde_json::{Value, json};

use super::{Answer, workflow_label};
use crate::Form;
use crate::facts::{instant, text};
use crate::source::Rows;
use crate::text::{Screen, Style, Table, counted, duration, style_of, us_between};

/// The first runs that were wanted.
pub(crate) fn answer(rows: &Rows, order: Order, form: &Form) -> Answer {
    let answer = match form.json {
        true => Answer::json(&json!({ "executions": rows.rows, "count": rows.count })),
        false => Answer::text(table(rows, order, &form.screen)),
    };
    answer.warn(rows.warning.clone())
}

fn table(rows: &Rows, order: Order, screen: &Screen) -> String {
    if rows.rows.is_empty() {
        return nothing("run", rows.count);
    }
    let headings = ["EXECUTION", "WORKFLOW", "REV", "STATUS", "SUBMITTED", "TOOK", ""];
    let mut table = Table::with_headings(&headings);
    for row in &rows.rows {
        let word = text(&row["status"]);
        table.row([
            (text(&row["execution_id"]).to_owned(), Style::Plain),
            (workflow_label(row), Style::Plain),
            (row["revision"].to_string(), Style::Plain),
            (word.to_owned(), style_of(word)),
            (text(&row["submitted_at"]).to_owned(), Style::Dim),
            (took(row), Style::Plain),
            (text(&row["quarantined"]).to_owned(), Style::Bad),
        ]);
    }
    let foot = foot("run", order, rows.rows.len() as u64, rows.count);
    format!("{}{}\n", table.print(screen, 0), screen.paint(Style::Dim, &foot))
}

fn took(row: &Value) -> String {
    let both = instant(&row["submitted_at"]).zip(instant(&row["completed_at"]));
    both.map(|(from, to)| duration(us_between(from, to))).unwrap_or_default()
}

/// A list without a row.
pub(super) fn nothing(word: &str, count: Option<u64>) -> String {
    match count {
        Some(0) => format!("no {word}s\n"),
        Some(count) => format!("{}, none shown\n", counted(count, word)),
        None => format!("there are {word}s, none shown\n"),
    }
}

/// How much of a list is shown.
pub(super) fn foot(word: &str, order: Order, shown: u64, count: Option<u64>) -> String {
    match count {
        Some(count) if shown == count => counted(count, word),
        Some(count) => format!("{shown} of {count} {word}s; --limit {count} shows all"),
        None => {
            let first = if order == Order::OldestFirst { "oldest" } else { "newest" };
            format!("the {first} {shown} {word}s; --limit {} shows more", shown.saturating_mul(10))
        }
    }
}
