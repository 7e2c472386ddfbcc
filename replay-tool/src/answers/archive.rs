//! The segments of log and archive, and how far back a restore reaches.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use backstitch_journal::oldest_point;
use serde_json::{Value, json};

use super::Answer;
use super::restore::oldest;
use crate::Form;
use crate::error::Error;
use crate::progress::Progress;
use crate::source::{check_directory, place_of_archive};
use crate::text::{Screen, Style, Table, counted, size};

/// What is kept of everything before the first segment.
const BASE: &str = "base.arc";

/// What there is of each segment, and the oldest point that can be restored.
///
/// # Errors
/// If the directory cannot be read or the chain is damaged.
pub(crate) fn answer(directory: &Path, form: &Form) -> Result<Answer, Error> {
    check_directory(directory)?;
    let mut progress = Progress::phases(form.watched());
    let oldest_kept = oldest_point(directory, &mut |heard| progress.hear(&heard))?;
    drop(progress);
    let archive = place_of_archive(directory);
    let mut segments: BTreeMap<u64, [Option<u64>; 2]> = BTreeMap::new();
    for (place, folder) in [directory.join("log"), archive.clone()].iter().enumerate() {
        for (number, bytes) in numbered(folder) {
            segments.entry(number).or_default()[place] = Some(bytes);
        }
    }
    let base_bytes = fs::metadata(archive.join(BASE)).map(|file| file.len()).ok();
    Ok(match form.json {
        true => {
            let rows = segments.iter().map(|(number, [log, packed])| {
                json!({ "segment": number, "log_bytes": log, "archive_bytes": packed })
            });
            Answer::json(&json!({
                "archive_directory": archive.display().to_string(),
                "base_bytes": base_bytes,
                "segments": rows.collect::<Vec<Value>>(),
                "oldest": oldest_kept,
            }))
        }
        false => {
            let mut shown = text(&segments, base_bytes, &form.screen);
            shown.push_str(&format!("{}\n", oldest(&oldest_kept)));
            Answer::text(shown)
        }
    })
}

fn text(
    segments: &BTreeMap<u64, [Option<u64>; 2]>,
    base_bytes: Option<u64>,
    screen: &Screen,
) -> String {
    let mut table = Table::with_headings(&["SEGMENT", "LOG", "ARCHIVE"]);
    let word = |bytes: Option<u64>| bytes.map(size).unwrap_or_default();
    if base_bytes.is_some() {
        let cells = ["base".to_owned(), String::new(), word(base_bytes)];
        table.row(cells.map(|cell| (cell, Style::Plain)));
    }
    for (number, [log, packed]) in segments {
        table.row([
            (number.to_string(), Style::Plain),
            (word(*log), Style::Plain),
            (word(*packed), Style::Good),
        ]);
    }
    let packed = segments.values().filter(|[_, packed]| packed.is_some()).count() as u64;
    let count = counted(segments.len() as u64, "segment");
    format!("{}{count}, {packed} of them archived\n", table.print(screen, 0))
}

/// The numbered files of a folder and their bytes, as far as they can be read.
fn numbered(folder: &Path) -> Vec<(u64, u64)> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries
        .filter_map(|entry| {
            let number = entry.path().file_stem()?.to_str()?.parse().ok()?;
            Some((number, entry.metadata().ok()?.len()))
        })
        .collect()
}
