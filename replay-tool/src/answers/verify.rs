//! Whether a log is whole, and every history in it folds.

use std::path::Path;

use backstitch_journal::{Problem, VerifyReport, verify};
use serde_json::{Value, json};

use super::Answer;
use crate::Form;
use crate::archive::{Archive, OnDamage, check_directory};
use crate::error::{Error, exit};
use crate::listing::{Listing, fold_all};
use crate::text::{Screen, Style, Table, counted, printable};

/// Checks the whole log, then folds every run.
///
/// # Errors
/// If the directory cannot be read. What is wrong with the log is in the answer.
pub(crate) fn answer(directory: &Path, form: &Form) -> Result<Answer, Error> {
    check_directory(directory)?;
    let report = verify(directory)?;
    let listing = match report.ok {
        true => Some(fold_all(&Archive::open(directory, OnDamage::Refuse)?, None)?),
        false => None,
    };
    let unfolded = listing.as_ref().map(unfolded).unwrap_or_default();
    let ok = report.ok && unfolded.is_empty();
    let mut answer = match form.json {
        true => Answer::json(&document(&report, listing.as_ref(), &unfolded, ok)),
        false => Answer::text(text(&report, listing.as_ref(), &unfolded, &form.screen)),
    };
    answer.code = if ok { exit::DONE } else { exit::NO };
    Ok(answer)
}

/// The histories that do not fold, and why.
fn unfolded(listing: &Listing) -> Vec<(String, String)> {
    let runs = listing
        .rows
        .iter()
        .filter_map(|row| Some((row.summary.execution.to_string(), row.quarantined.clone()?)));
    let workflows = listing.broken_workflows.iter();
    runs.chain(workflows.map(|(stream, why)| (stream.to_string(), why.clone()))).collect()
}

fn document(
    report: &VerifyReport,
    listing: Option<&Listing>,
    unfolded: &[(String, String)],
    ok: bool,
) -> Value {
    let mut document = serde_json::to_value(report).expect("a report is plain data");
    document["ok"] = json!(ok);
    document["folds"] = listing.map_or(Value::Null, |listing| {
        let list = unfolded.iter().map(|(stream, why)| json!({ "stream": stream, "why": why }));
        json!({ "runs": listing.rows.len(), "unfolded": list.collect::<Vec<_>>() })
    });
    document
}

fn text(
    report: &VerifyReport,
    listing: Option<&Listing>,
    unfolded: &[(String, String)],
    screen: &Screen,
) -> String {
    let mut text = format!(
        "store {}, generation {}\n{}, {}, {}, {}, {}\n",
        report.store_id,
        report.generation,
        counted(report.segments, "segment"),
        counted(report.groups, "group"),
        counted(report.commits, "commit"),
        counted(report.records, "record"),
        counted(report.streams, "stream"),
    );
    text.push_str(&partitions(report, screen));
    if let Some(tail) = &report.torn_tail {
        text.push_str(&format!(
            "torn tail: {} in segment {} from byte {} on; a crash left them, nobody was told of \
             them, and the next start cuts them\n",
            counted(tail.bytes, "byte"),
            tail.segment,
            tail.offset
        ));
    }
    for Problem { damage, stream, .. } in &report.problems {
        let stream = stream.as_ref().map(|stream| format!(" ({stream})")).unwrap_or_default();
        let line = printable(&format!("{damage}{stream}"));
        text.push_str(&format!("{}  {line}\n", screen.paint(Style::Bad, "damage")));
    }
    let unlisted = report.problem_count.saturating_sub(report.problems.len() as u64);
    if unlisted > 0 {
        text.push_str(&format!("and {unlisted} more problems\n"));
    }
    for (stream, why) in unfolded {
        let line = printable(&format!("{stream}: {why}"));
        text.push_str(&format!("{}  {line}\n", screen.paint(Style::Bad, "does not fold")));
    }
    text.push_str(&verdict(report, listing, unfolded, screen));
    text
}

/// One line for each partition that holds anything.
fn partitions(report: &VerifyReport, screen: &Screen) -> String {
    let headings = ["PARTITION", "COMMITS", "RECORDS", "LAST COMMIT", "LAST POSITION", "CHAIN"];
    let mut table = Table::with_headings(&headings);
    let used = report.partitions.iter().filter(|own| own.commits > 0 || !own.chain_ok);
    for own in used {
        let numbers = [own.partition.into(), own.commits, own.records, own.last_sequence];
        let chain = match own.chain_ok {
            true => ("whole".to_owned(), Style::Good),
            false => ("broken".to_owned(), Style::Bad),
        };
        let numbers = numbers.into_iter().chain([own.last_position]);
        table.row(numbers.map(|number| (number.to_string(), Style::Plain)).chain([chain]));
    }
    table.print(screen, 0)
}

fn verdict(
    report: &VerifyReport,
    listing: Option<&Listing>,
    unfolded: &[(String, String)],
    screen: &Screen,
) -> String {
    let line = match listing {
        Some(listing) if unfolded.is_empty() => {
            let runs = counted(listing.rows.len() as u64, "run");
            screen.paint(Style::Good, &format!("whole: the log is as written, {runs} folded"))
        }
        Some(_) => {
            let count = counted(unfolded.len() as u64, "history").replace("historys", "histories");
            screen
                .paint(Style::Bad, &format!("the log is as written, but {count} cannot be folded"))
        }
        None => {
            let count = counted(report.problem_count, "problem");
            screen.paint(
                Style::Bad,
                &format!(
                    "damaged: {count}; nothing was changed. Restore \
                                               from a copy, or read on with --before-damage"
                ),
            )
        }
    };
    format!("{line}\n")
}
