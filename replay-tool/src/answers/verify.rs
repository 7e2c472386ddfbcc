//! Whether a log is whole, and every history in it folds.

use std::path::Path;

use backstitch_journal::{
    CheckedPart, Problem, Severity, VerifyOptions, VerifyReport, verify_with,
};
use serde_json::{Value, json};

use super::Answer;
use crate::Form;
use crate::error::{Error, exit};
use crate::progress::Progress;
use crate::source::{Archive, Listing, OnDamage, check_directory, check_parent, fold_all};
use crate::text::{Screen, Style, Table, counted, printable};

/// Histories touched by damage that text names.
const TOUCHED_SHOWN_MAX: usize = 20;

/// Checks everything there is, then folds every run.
///
/// # Errors
/// If the directory cannot be read. What is wrong with the log is in the answer.
pub(crate) fn answer(
    directory: &Path,
    options: &VerifyOptions,
    form: &Form,
) -> Result<Answer, Error> {
    check_directory(directory)?;
    let mut progress = Progress::phases(form.watched());
    if let Some(scratch) = &options.scratch {
        check_parent(scratch)?;
    }
    let outputs: Vec<_> = options.scratch.as_deref().into_iter().collect();
    let report = verify_with(directory, options, &mut |heard| progress.hear(&heard))
        .map_err(|error| Error::of_output(error, &outputs))?;
    drop(progress);
    let listing = match report.ok {
        true => Some(fold_all(&Archive::open(directory, OnDamage::Refuse, form.watched())?, None)?),
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
    text.push_str(&beside(report));
    for problem in &report.problems {
        text.push_str(&problem_line(problem, screen));
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

/// What was found beside the log.
fn beside(report: &VerifyReport) -> String {
    let mut text = String::new();
    if report.archived > 0 {
        text.push_str(&format!("{} archived\n", counted(report.archived, "segment")));
    }
    if let Some(store) = &report.store {
        let proven = match store.proven {
            true => "proven",
            false => "not proven, the next start makes it anew",
        };
        let histories = counted(store.histories, "history").replace("historys", "histories");
        let views = counted(store.views_proven, "tree");
        text.push_str(&format!("store: {proven}, {histories} compared; views: {views} proven\n"));
    }
    if let Some(backup) = &report.backup {
        let (whole, files) = (backup.files_whole, backup.files);
        text.push_str(&format!("backup of {}: {whole} of {files} files whole\n", backup.begun_at));
    }
    for erasure in &report.erasures {
        let (digest, at) = (&erasure.digest, erasure.recorded_at);
        let line =
            format!("payload {digest} erased at {at} by {}: {}", erasure.actor, erasure.reason);
        text.push_str(&format!("{}\n", printable(&line)));
    }
    if !report.touched.is_empty() {
        let count =
            counted(report.touched.len() as u64, "history").replace("historys", "histories");
        let names = report.touched.iter().take(TOUCHED_SHOWN_MAX).cloned().collect::<Vec<_>>();
        let more = match report.touched.len().saturating_sub(TOUCHED_SHOWN_MAX) {
            0 => String::new(),
            more => format!(" and {more} more; --json lists them"),
        };
        let line = format!("damage touches {count}: {}{more}", names.join(", "));
        text.push_str(&format!("{}\n", printable(&line)));
    }
    text
}

fn problem_line(problem: &Problem, screen: &Screen) -> String {
    let Problem { damage, stream, part, severity } = problem;
    let stream = stream.as_ref().map(|stream| format!(" ({stream})")).unwrap_or_default();
    let what = match part {
        // Elsewhere there are no segments to count in.
        CheckedPart::Log | CheckedPart::Archive => damage.to_string(),
        CheckedPart::Blobs | CheckedPart::Store | CheckedPart::Views | CheckedPart::Backup => {
            damage.detail.clone()
        }
    };
    let part = match part {
        CheckedPart::Log => "",
        CheckedPart::Archive => "archive: ",
        CheckedPart::Blobs => "payloads: ",
        CheckedPart::Store => "store: ",
        CheckedPart::Views => "views: ",
        CheckedPart::Backup => "backup: ",
    };
    let (word, style) = match severity {
        Severity::Lost => ("damage", Style::Bad),
        Severity::Healable => ("healable", Style::Waiting),
    };
    let line = printable(&format!("{part}{what}{stream}"));
    format!("{}  {line}\n", screen.paint(style, word))
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
            let line = match report.problem_count - report.healable_count {
                0 => format!(
                    "damaged: {count}, each whole elsewhere; nothing was changed. The next start \
                     or `salvage` puts it right"
                ),
                _ => format!(
                    "damaged: {count}; nothing was changed. Restore from a copy, `salvage` what \
                     is left, or read on with --before-damage"
                ),
            };
            screen.paint(Style::Bad, &line)
        }
    };
    format!("{line}\n")
}
