//! Everything that was recorded of one run, in order.

use backstitch_core::report::event_json;
use serde_json::{Value, json};

use super::{Answer, record_json};
use crate::Form;
use crate::archive::History;
use crate::error::Error;
use crate::text::{Screen, Style, Table, offset};

/// The events of a run.
///
/// # Errors
/// None; a run that does not fold is shown all the same.
pub(crate) fn answer(mut history: History, form: &Form) -> Result<Answer, Error> {
    let answer = match form.json {
        true => Answer::json(&json!({
            "execution_id": history.run.to_string(),
            "events": rows(&mut history),
        })),
        false => Answer::text(format!(
            "{}\n{}",
            form.screen.paint(Style::Bold, &history.run.to_string()),
            table(&mut history, &form.screen)
        )),
    };
    Ok(answer.read_up_to(history.damage.as_ref()))
}

/// The events as the API lists them.
pub(super) fn rows(history: &mut History) -> Vec<Value> {
    let plan = history.plan();
    let partition = history.run.partition.0;
    let records = history.records.iter();
    records
        .map(|record| record_json(record, history.generation, partition, plan.as_deref()))
        .collect()
}

/// The events as a table.
pub(super) fn table(history: &mut History, screen: &Screen) -> String {
    let plan = history.plan();
    let start = history.records.first().map_or_else(Default::default, |first| first.recorded_at);
    let mut table = Table::with_headings(&["VERSION", "POSITION", "TIME", "AFTER", "TYPE", "DATA"]);
    for record in &history.records {
        let (kind, data) = event_json(&record.event, plan.as_deref());
        table.row([
            (record.version.to_string(), Style::Plain),
            (
                format!("{}:{}:{}", history.generation, history.run.partition, record.position),
                Style::Plain,
            ),
            (record.recorded_at.to_string(), Style::Dim),
            (offset(start, record.recorded_at), Style::Plain),
            (kind.to_owned(), Style::Bold),
            (data.to_string(), Style::Plain),
        ]);
    }
    table.print(screen, 0)
}
