//! A server's answers about runs as lines and columns for a person.

use serde_json::Value;

use crate::terminal::printable;

/// A value as one word: a text as it is printed, nothing as `-`.
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => printable(text),
        other => other.to_string(),
    }
}

/// Rows in columns as wide as their widest word.
pub fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let words = rows.iter().filter_map(|row| row.get(column));
        words.map(|word| word.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..count).map(width).collect();
    let line = |row: &Vec<String>| {
        let words = row.iter().zip(&widths);
        let line: String = words.map(|(word, width)| format!("{word:<width$}  ")).collect();
        format!("{}\n", line.trim_end())
    };
    rows.iter().map(line).collect()
}

/// Words as a row.
pub fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

/// The entries of a list in an answer; none if there is no such list.
pub fn list<'a>(answer: &'a Value, name: &str) -> &'a [Value] {
    answer[name].as_array().map_or(&[], Vec::as_slice)
}

pub fn runs(answer: &Value) -> String {
    let found = list(answer, "executions");
    if found.is_empty() {
        return "no runs".to_owned();
    }
    let mut rows = vec![words(["EXECUTION", "WORKFLOW", "STATUS", "SUBMITTED", "COMPLETED"])];
    let fields = ["execution_id", "workflow_id", "status", "submitted_at", "completed_at"];
    rows.extend(found.iter().map(|own| fields.map(|field| text(&own[field])).to_vec()));
    let mut shown = columns(&rows);
    if !answer["next_cursor"].is_null() {
        shown.push_str("there are more; raise --limit\n");
    }
    shown
}

pub fn items(answer: &Value) -> String {
    let found = list(answer, "items");
    if found.is_empty() {
        return "no items".to_owned();
    }
    let mut rows = vec![words(["ITEM", "STATUS", "ATTEMPTS", "EXECUTION", "ERROR"])];
    rows.extend(found.iter().map(|own| {
        let mut row =
            ["index", "status", "attempts", "execution_id"].map(|f| text(&own[f])).to_vec();
        row.push(text(&own["error"]["message"]));
        row
    }));
    let mut shown = columns(&rows);
    if !answer["next_cursor"].is_null() {
        shown.push_str("there are more; raise --limit\n");
    }
    shown
}

pub fn run(answer: &Value) -> String {
    let mut rows = vec![vec![text(&answer["execution_id"]), text(&answer["status"])]];
    let fields = ["workflow_id", "correlation_id", "submitted_at", "completed_at", "compensation"];
    rows.extend(fields.map(|field| vec![field.replace('_', " "), text(&answer[field])]));
    if !answer["error"].is_null() {
        rows.push(vec!["error".to_owned(), text(&answer["error"]["message"])]);
    }
    let suspended = &answer["suspended"];
    if !suspended.is_null() {
        let since = format!("{} since {}", text(&suspended["reason"]), text(&suspended["since"]));
        rows.push(vec!["suspended".to_owned(), since]);
    }
    let parent = &answer["parent"];
    if !parent.is_null() {
        let own = format!("{}, step {}", text(&parent["execution_id"]), text(&parent["step"]));
        rows.push(vec!["parent".to_owned(), own]);
    }
    rows.extend(list(answer, "children").iter().map(|own| {
        let of = format!("{} of {}", text(&own["execution_id"]), text(&own["step"]));
        vec!["child".to_owned(), of]
    }));
    let mut shown = columns(&rows);
    let mut steps = vec![words(["STEP", "STATUS", "ATTEMPTS", "DUE", "ERROR"])];
    for (id, own) in answer["steps"].as_object().into_iter().flatten() {
        let (error, undo) = (&own["error"]["error_code"], &own["undo"]["error"]["error_code"]);
        let is_undone = own["undo"]["status"] == "succeeded";
        let error = if undo.is_null() || is_undone { error } else { undo };
        let own = [&own["status"], &own["attempts"], &own["due_at"], error];
        steps.push(std::iter::once(id.clone()).chain(own.map(text)).collect());
    }
    shown.push('\n');
    shown.push_str(&columns(&steps));
    let mut letters = vec![words(["DEAD LETTER", "KIND", "SUBJECT", "STATUS", "ERROR"])];
    letters.extend(list(answer, "dead_letters").iter().map(|own| {
        let fields = ["letter_id", "kind", "subject", "status"].map(|field| text(&own[field]));
        fields.into_iter().chain([text(&own["error"]["error_code"])]).collect()
    }));
    if letters.len() > 1 {
        shown.push('\n');
        shown.push_str(&columns(&letters));
    }
    shown
}

pub fn why(answer: &Value) -> String {
    let mut shown = format!("{}  {}\n", text(&answer["execution_id"]), text(&answer["status"]));
    let blockers = list(answer, "blockers");
    if blockers.is_empty() {
        return format!("{shown}{}", text(&answer["summary"]));
    }
    for own in blockers {
        shown.push_str(&format!("- {}\n", text(&own["sentence"])));
    }
    match answer["more"].as_u64() {
        None | Some(0) => {}
        Some(more) => shown.push_str(&format!("and {more} more\n")),
    }
    shown
}

/// The waves of an unwind plan, then what nothing would undo.
pub fn unwind_plan(answer: &Value) -> String {
    let mut shown = format!("{}  {}\n", text(&answer["execution_id"]), text(&answer["status"]));
    if let Some(until) = answer["rollback_until"].as_str() {
        shown.push_str(&format!("it can be rolled back until {until}\n"));
    }
    if list(answer, "undos").is_empty() {
        shown.push_str("nothing would be undone\n");
    }
    for own in list(answer, "undos") {
        let (wave, step, kind) = (text(&own["wave"]), text(&own["step"]), text(&own["type"]));
        let mut line = format!("wave {wave}  {step}  by {kind}");
        if own["outcome"] == "unknown" {
            line.push_str("  its outcome is unknown");
        }
        if let Some(status) = own["status"].as_str() {
            line.push_str(&format!("  {status}"));
        }
        if let Some(problem) = own["problem"].as_str() {
            // Without an undo nothing fails: it waits.
            let word = if own["type"].is_null() { "" } else { "would fail: " };
            line.push_str(&format!("  {word}{problem}"));
        }
        shown.push_str(&format!("{line}\n"));
    }
    for own in list(answer, "left") {
        shown.push_str(&format!("left  {}: {}\n", text(&own["step"]), text(&own["why"])));
    }
    for own in list(answer, "again") {
        shown.push_str(&format!("again  {}\n", text(own)));
    }
    for own in list(answer, "in_flight") {
        shown.push_str(&format!("in flight  {}\n", text(own)));
    }
    let more = [("more_undos", "undos"), ("more_left", "left"), ("more_again", "again")];
    for (word, what) in more {
        if let Some(more) = answer[word].as_u64().filter(|more| *more > 0) {
            shown.push_str(&format!("and {more} more {what}\n"));
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn runs_stand_in_columns() {
        let row = json!({ "execution_id": "exec_1", "workflow_id": "w", "status": "running",
            "submitted_at": "now", "completed_at": null });
        let shown = runs(&json!({ "executions": [row], "next_cursor": "x" }));
        let expected = "EXECUTION  WORKFLOW  STATUS   SUBMITTED  COMPLETED\n\
                        exec_1     w         running  now        -\n\
                        there are more; raise --limit\n";
        assert_eq!(shown, expected);
        assert_eq!(runs(&json!({ "executions": [] })), "no runs");
    }

    #[test]
    fn what_a_server_says_tells_the_terminal_nothing() {
        assert_eq!(text(&json!("a\u{1b}[31mb")), "a[31mb");
    }
}
