//! Sizes and counts of a journal.

use serde_json::Value;

use super::Answer;
use crate::Form;
use crate::facts::text;
use crate::source::Rows;
use crate::text::{Screen, Style, Table, duration, size, style_of};

/// What a journal holds and how large it is.
pub(crate) fn answer(rows: &Rows, form: &Form) -> Answer {
    let none = Value::Null;
    let document = rows.rows.first().unwrap_or(&none);
    let answer = match form.json {
        true => Answer::json(document),
        false => Answer::text(table(document, &form.screen)),
    };
    answer.warn(rows.warning.clone())
}

fn table(document: &Value, screen: &Screen) -> String {
    let mut shown = format!(
        "store {}, generation {}, {} partitions, {} records\n",
        screen.paint(Style::Bold, text(&document["store_id"])),
        document["generation"],
        document["partitions"],
        document["records"],
    );
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let mut block = |title: &str, values: &Value, print: &dyn Fn(&Value) -> String| {
        let Some(values) = values.as_object().filter(|values| !values.is_empty()) else { return };
        let mut table = Table::bare();
        for (name, value) in values {
            table.row([(name.clone(), style_of(name)), (print(value), Style::Plain)]);
        }
        shown.push_str(&format!("{}{}", screen.heading(title), table.print(screen, 2)));
    };
    let plain = |value: &Value| value.to_string();
    block("RUNS", &document["runs"]["by_status"], &plain);
    block("DEAD LETTERS", &document["dead_letters"], &plain);
    block("BYTES", &document["bytes"], &|value| size(number(value)));
    if document["database"].is_object() {
        database(&document["database"], screen, &mut shown);
    }
    shown
}

/// What the journal knows of itself.
fn database(statistics: &Value, screen: &Screen, shown: &mut String) {
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let headings = ["PART", "FILES", "LIVE", "DEAD", "ENTRIES"];
    let mut table = Table::with_headings(&headings);
    for part in ["log", "archive", "store", "views", "checkpoints", "blobs"] {
        let own = &statistics[part];
        let bytes = |name: &str| own[name].as_u64().map(size).unwrap_or_default();
        table.row([
            (part.to_owned(), Style::Plain),
            (bytes("file_bytes"), Style::Plain),
            (bytes("live_bytes"), Style::Good),
            (bytes("dead_bytes"), Style::Dim),
            (own["entries"].as_u64().map(|n| n.to_string()).unwrap_or_default(), Style::Plain),
        ]);
    }
    shown.push_str(&format!("{}{}", screen.heading("DATABASE"), table.print(screen, 2)));
    let (log, memory) = (&statistics["log"], &statistics["memory"]);
    shown.push_str(&format!(
        "  {} commits with {} records; {} pending, {} rows pending\n",
        number(&log["commits"]),
        number(&log["records"]),
        size(number(&memory["pending_bytes"])),
        number(&memory["pending_rows"]),
    ));
    if let Some(age_ms) = statistics["checkpoints_age_ms"].as_u64() {
        let age = duration(age_ms.saturating_mul(1_000));
        shown.push_str(&format!("  the newest checkpoint is {age} old\n"));
    }
    let sync = &log["sync"];
    if number(&sync["count"]) > 0 {
        let time = |name: &str| duration(number(&sync[name]));
        shown.push_str(&format!(
            "  {} syncs since the start: p50 {}, p95 {}, p99 {}, longest {}\n",
            number(&sync["count"]),
            time("p50_us"),
            time("p95_us"),
            time("p99_us"),
            time("max_us"),
        ));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_age_of_the_newest_checkpoint_is_told() {
        let mut shown = String::new();
        database(&json!({ "checkpoints_age_ms": 90_000 }), &Screen::default(), &mut shown);
        assert!(shown.contains("the newest checkpoint is 1m30s old"), "{shown}");
        let mut shown = String::new();
        database(&json!({ "checkpoints_age_ms": null }), &Screen::default(), &mut shown);
        assert!(!shown.contains("the newest checkpoint"), "{shown}");
    }
}
