//! Everything that was recorded of one run, in order.

use serde_json::json;

use super::Answer;
use crate::Form;
use crate::facts::{facts, text};
use crate::source::Run;
use crate::text::{Screen, Style, Table, offset};

/// The events of a run; one that does not fold is shown all the same.
pub(crate) fn answer(run: &Run, form: &Form) -> Answer {
    let answer = match form.json {
        true => Answer::json(&json!({ "execution_id": run.id, "events": run.events })),
        false => Answer::text(format!(
            "{}\n{}",
            form.screen.paint(Style::Bold, &run.id),
            table(run, &form.screen)
        )),
    };
    answer.warn(run.warning.clone())
}

/// The events as a table.
pub(super) fn table(run: &Run, screen: &Screen) -> String {
    let start = facts(&run.events).next().map_or_else(Default::default, |first| first.at);
    let mut table = Table::with_headings(&["VERSION", "POSITION", "TIME", "AFTER", "TYPE", "DATA"]);
    for (fact, event) in facts(&run.events).zip(&run.events) {
        table.row([
            (fact.version.to_string(), Style::Plain),
            (text(&event["position"]).to_owned(), Style::Plain),
            (fact.at.to_string(), Style::Dim),
            (offset(start, fact.at), Style::Plain),
            (fact.kind.to_owned(), Style::Bold),
            (fact.data.to_string(), Style::Plain),
        ]);
    }
    table.print(screen, 0)
}
