//! A copy of a journal that can be verified and restored.

use std::path::Path;

use backstitch_journal::{BackupReport, backup};

use super::Answer;
use crate::Form;
use crate::clock;
use crate::error::Error;
use crate::progress::Progress;
use crate::source::check_directory;
use crate::text::{Screen, Style, counted, printable, size};

/// Backs a directory up.
///
/// # Errors
/// If the source cannot be read, or the target is taken or cannot be written.
pub(crate) fn answer(from: &Path, to: &Path, form: &Form) -> Result<Answer, Error> {
    check_directory(from)?;
    let mut progress = Progress::phases(form.watched());
    let report = backup(from, to, clock::now(), &mut |heard| progress.hear(&heard))?;
    drop(progress);
    Ok(match form.json {
        true => Answer::report(&report),
        false => Answer::text(text(&report, &form.screen)),
    })
}

fn text(report: &BackupReport, screen: &Screen) -> String {
    let to = printable(&report.directory.display().to_string());
    format!(
        "{}  store {}, generation {}\n{}, {} in all; {} copied, {}; {} no longer needed\n",
        screen.paint(Style::Good, &format!("backed up to {to}")),
        report.store_id,
        report.generation,
        counted(report.files, "file"),
        size(report.bytes),
        report.files_copied,
        size(report.bytes_copied),
        report.files_removed,
    )
}
