//! The list of runs, newest first.

use backstitch_core::report::run_row_json;
use serde_json::{Value, json};

use super::{Answer, workflow_label};
use crate::Form;
use crate::archive::Archive;
use crate::error::Error;
use crate::listing::{Row, Standing, fold_all};
use crate::text::{Screen, Style, Table, counted, duration, style_of, us_between};

/// The newest runs that stand so and are of that workflow.
///
/// # Errors
/// If the log cannot be read.
pub(crate) fn answer(
    archive: &Archive,
    form: &Form,
    limit: usize,
    standing: Option<Standing>,
    workflow: Option<&str>,
) -> Result<Answer, Error> {
    let mut listing = fold_all(archive, workflow)?;
    listing.rows.retain(|row| standing.is_none_or(|wanted| row.standing() == wanted));
    let count = listing.rows.len();
    listing.rows.truncate(limit);
    let answer = match form.json {
        true => Answer::json(&json!({
            "executions": listing.rows.iter().map(row_json).collect::<Vec<_>>(),
            "count": count,
        })),
        false => Answer::text(text(&listing.rows, count, &form.screen)),
    };
    Ok(answer.read_up_to(listing.damage.as_ref()))
}

/// The API's row, with what only an offline list can tell.
fn row_json(row: &Row) -> Value {
    let mut document = run_row_json(&row.summary);
    document["namespace"] = json!(row.summary.namespace);
    document["status"] = json!(row.standing().word());
    if let Some(why) = &row.quarantined {
        document["quarantined"] = json!(why);
    }
    document
}

fn text(rows: &[Row], count: usize, screen: &Screen) -> String {
    if rows.is_empty() {
        return match count {
            0 => "no runs\n".to_owned(),
            _ => format!("{}, none shown\n", counted(count as u64, "run")),
        };
    }
    let headings = ["EXECUTION", "WORKFLOW", "REV", "STATUS", "SUBMITTED", "TOOK", ""];
    let mut table = Table::with_headings(&headings);
    for Row { summary, quarantined } in rows {
        let row = Row { summary: summary.clone(), quarantined: quarantined.clone() };
        let word = row.standing().word();
        let took = summary.ended_at.map(|at| duration(us_between(summary.submitted_at, at)));
        table.row([
            (summary.execution.to_string(), Style::Plain),
            (workflow_label(&summary.namespace, &summary.workflow), Style::Plain),
            (summary.revision.to_string(), Style::Plain),
            (word.to_owned(), style_of(word)),
            (summary.submitted_at.to_string(), Style::Dim),
            (took.unwrap_or_default(), Style::Plain),
            (quarantined.clone().unwrap_or_default(), Style::Bad),
        ]);
    }
    let foot = match rows.len() {
        shown if shown == count => counted(count as u64, "run"),
        shown => format!("{shown} of {count} runs; --limit {count} shows all"),
    };
    format!("{}{}\n", table.print(screen, 0), screen.paint(Style::Dim, &foot))
}
