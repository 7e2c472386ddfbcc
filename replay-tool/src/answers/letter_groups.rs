//! Dead letters grouped by their cause.

use serde_json::{Value, json};

use super::list::nothing;
use super::marks::subject_words;
use super::{Answer, workflow_label};
use crate::Form;
use crate::facts::text;
use crate::source::Rows;
use crate::text::{Screen, Style, Table, clip, counted};

/// The longest message that a group shows whole.
const MESSAGE_CHARACTERS_MAX: usize = 80;

/// The largest groups that were wanted.
pub(crate) fn list(rows: &Rows, form: &Form) -> Answer {
    let answer = match form.json {
        true => Answer::json(&json!({ "groups": rows.rows, "count": rows.count })),
        false => Answer::text(list_text(rows, &form.screen)),
    };
    answer.warn(rows.warning.clone())
}

fn list_text(rows: &Rows, screen: &Screen) -> String {
    if rows.rows.is_empty() {
        return nothing("group", rows.count);
    }
    let headings = ["FINGERPRINT", "OPEN", "ALL", "WORKFLOW", "ABOUT", "LAST SEEN", "CAUSE"];
    let mut table = Table::with_headings(&headings);
    for row in &rows.rows {
        let cause = format!("{}: {}", text(&row["error_code"]), text(&row["message"]));
        table.row([
            (text(&row["fingerprint"]).to_owned(), Style::Plain),
            (row["by_status"]["open"].to_string(), Style::Bold),
            (row["letters"].to_string(), Style::Plain),
            (workflow_label(row), Style::Plain),
            (subject_words(text(&row["kind"]), &row["subject"]), Style::Plain),
            (text(&row["last_seen_at"]).to_owned(), Style::Dim),
            (clip(&cause, MESSAGE_CHARACTERS_MAX), Style::Bad),
        ]);
    }
    let (shown, count) = (rows.rows.len() as u64, rows.count.unwrap_or_default());
    let foot = match shown == count {
        true => counted(count, "group"),
        false => format!("the largest {shown} of {}", counted(count, "group")),
    };
    format!("{}{}\n", table.print(screen, 0), screen.paint(Style::Dim, &foot))
}

/// What every attempt came to, one line each; nothing of a letter that tells none.
pub(super) fn attempts(letter: &Value, screen: &Screen) -> String {
    let told = letter["attempt_history"].as_array().filter(|told| !told.is_empty());
    let Some(told) = told else { return String::new() };
    let mut table = Table::with_headings(&["ATTEMPT", "STARTED", "ENDED", "ERROR"]);
    for own in told {
        table.row([
            (own["attempt"].to_string(), Style::Plain),
            (text(&own["started_at"]).to_owned(), Style::Dim),
            (text(&own["ended_at"]).to_owned(), Style::Dim),
            (clip(&super::marks::sentence(&own["error"]), MESSAGE_CHARACTERS_MAX), Style::Bad),
        ]);
    }
    format!("\n{}", table.print(screen, 2))
}
