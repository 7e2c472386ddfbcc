//! Runs written to a file.

use std::path::Path;

use serde_json::Value;

use super::Answer;
use crate::Form;
use crate::arguments::ExportWanted;
use crate::error::{Error, exit};
use crate::facts::text;
use crate::source::{Archive, Holder, OnDamage, Row, Server, export, fold_all};
use crate::text::{counted, printable, size};

/// Exports the runs that are wanted.
///
/// # Errors
/// Why that cannot be done, or not to its end.
pub(crate) fn answer(holder: &Holder, wanted: &ExportWanted, form: &Form) -> Result<Answer, Error> {
    match holder {
        Holder::Server(server) => of_server(server, wanted, form),
        Holder::Files(path) => of_files(path, wanted, form),
    }
}

/// Has a server export the runs that are wanted.
///
/// # Errors
/// If the server refuses or breaks off, a run that was named is not there, or the file cannot
/// be written.
fn of_server(server: &Server, wanted: &ExportWanted, form: &Form) -> Result<Answer, Error> {
    Ok(print(&server.export(wanted)?, form))
}

/// Exports the runs that are wanted; the answer is no if one of them could not be.
///
/// # Errors
/// If the directory cannot be read, a run that was named is not there, or the file cannot be
/// written.
fn of_files(directory: &Path, wanted: &ExportWanted, form: &Form) -> Result<Answer, Error> {
    let archive = Archive::open(directory, OnDamage::Refuse, form.watched())?;
    let mut listing = fold_all(&archive, wanted.filter.workflow.as_deref())?;
    listing.rows.retain(|row| wanted.filter.takes(row));
    let rows = match wanted.ids.as_slice() {
        [] => listing.rows,
        ids => named(&listing.rows, ids)?,
    };
    let redaction = wanted.redact.clone().unwrap_or_default();
    let written = export::write(&archive, rows, listing.generation, redaction, &wanted.output)?;
    Ok(print(&written, form))
}

fn print(written: &Value, form: &Form) -> Answer {
    let answer = match form.json {
        true => Answer::json(written),
        false => Answer::text(words(written)),
    };
    let skipped = written["skipped"].as_array().map_or(0, Vec::len);
    let code = if skipped > 0 { exit::NO } else { answer.code };
    Answer { code, ..answer }
}

/// The runs whose ids begin so, each the only one.
fn named(rows: &[Row], ids: &[String]) -> Result<Vec<Row>, Error> {
    let mut found: Vec<Row> = Vec::new();
    for given in ids {
        let prefix = crate::source::Prefix::of(given)?.text();
        let begins = |row: &&Row| row.summary.execution.to_string().starts_with(&prefix);
        let own: Vec<&Row> = rows.iter().filter(begins).collect();
        match own.as_slice() {
            [] => return Err(Error::NotFound { prefix }),
            [row] if found.iter().any(|f| f.summary.execution == row.summary.execution) => {}
            [row] => found.push((*row).clone()),
            several => {
                let some = several.iter().take(crate::CANDIDATES_MAX);
                let some = some.map(|row| row.summary.execution.to_string()).collect();
                return Err(Error::Ambiguous { prefix, count: several.len() as u64, some });
            }
        }
    }
    Ok(found)
}

fn words(written: &Value) -> String {
    let number = |name: &str| written[name].as_u64().unwrap_or(0);
    let (runs, events) = (counted(number("executions"), "run"), counted(number("events"), "event"));
    let file = printable(text(&written["file"]));
    let mut shown = format!("{runs} with {events} in {file}, {}\n", size(number("bytes")));
    for own in written["skipped"].as_array().into_iter().flatten() {
        let why = printable(text(&own["why"]));
        shown.push_str(&format!("left out: {} does not fold: {why}\n", text(&own["execution_id"])));
    }
    shown
}
