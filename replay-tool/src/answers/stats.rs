//! Sizes and counts of a journal.

use serde_json::Value;

use super::Answer;
use crate::Form;
use crate::facts::text;
use crate::source::Rows;
use crate::text::{Screen, Style, Table, size, style_of};

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
    shown
}
