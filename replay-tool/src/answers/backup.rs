//! A copy of a journal that can be verified and restored.

use std::path::Path;

use backstitch_journal::backup;
use serde_json::{Value, json};

use super::Answer;
use crate::Form;
use crate::clock;
use crate::error::{Error, exit};
use crate::facts::text;
use crate::progress::Progress;
use crate::source::{Holder, Server, check_directory};
use crate::text::{Screen, Style, counted, printable, size};

const BACKUPS: [&str; 4] = ["api", "v1", "admin", "backups"];

/// Backs a journal up.
///
/// # Errors
/// Why that cannot be done, or not to its end.
pub(crate) fn answer(holder: &Holder, to: &Path, form: &Form) -> Result<Answer, Error> {
    match holder {
        Holder::Server(server) => of_server(server, to, form),
        Holder::Files(path) => of_files(path, to, form),
    }
}

/// Backs a directory up.
///
/// # Errors
/// If the source cannot be read, or the target is taken or cannot be written.
fn of_files(from: &Path, to: &Path, form: &Form) -> Result<Answer, Error> {
    check_directory(from)?;
    let mut progress = Progress::phases(form.watched());
    let report = backup(from, to, clock::now(), &mut |heard| progress.hear(&heard))
        .map_err(|error| Error::of_output(error, &[to]))?;
    drop(progress);
    Ok(print(&serde_json::to_value(report).expect("a report is plain data"), form))
}

/// Has a server back itself up, below the directory that its settings name, and waits for it.
///
/// # Errors
/// If the server cannot be asked, or refuses.
fn of_server(server: &Server, name: &Path, form: &Form) -> Result<Answer, Error> {
    let begun = match server.client().post(&BACKUPS, &json!({ "directory": name })) {
        // Whoever asked for it before may have been interrupted: it goes on in the server.
        Err(Error::Refused { code, message }) if code == "BACKUP_RUNNING" => {
            let running = server.client().get(&BACKUPS, &[])?["running"].take();
            let same =
                running["directory"].as_str().is_some_and(|at| Path::new(at).ends_with(name));
            if !same {
                return Err(Error::Refused { code, message });
            }
            running
        }
        begun => begun?,
    };
    let standing = server.watch("bytes backed up", &BACKUPS, |standing| {
        let progress = &standing["running"]["progress"];
        let number = |name: &str| progress[name].as_u64().unwrap_or(0);
        (number("bytes_done"), number("bytes_total"), standing["running"].is_null())
    })?;
    let mut list = standing["ended"].as_array().into_iter().flatten();
    let own = list.find(|own| own["begun_at"] == begun["begun_at"]);
    match own.filter(|own| own["report"].is_object()) {
        Some(own) => Ok(print(&own["report"], form)),
        None => {
            let none = Value::Null;
            let own = own.unwrap_or(&none);
            let mut answer = match form.json {
                true => Answer::json(own),
                false => Answer::text(String::new()),
            };
            answer.code = exit::NO;
            Ok(answer.warn(Some(ended(own))))
        }
    }
}

/// How a backup ended that has no report.
fn ended(own: &Value) -> String {
    let how = match text(&own["result"]) {
        "failed" => "failed".to_owned(),
        "" => "is not in the server's list any more; ask again".to_owned(),
        other => format!("was {other}"),
    };
    match text(&own["error"]) {
        "" => format!("the backup {how}"),
        why => format!("the backup {how}: {why}"),
    }
}

fn print(report: &Value, form: &Form) -> Answer {
    match form.json {
        true => Answer::json(report),
        false => Answer::text(words(report, &form.screen)),
    }
}

fn words(report: &Value, screen: &Screen) -> String {
    let number = |name: &str| report[name].as_u64().unwrap_or(0);
    let to = printable(text(&report["directory"]));
    format!(
        "{}  store {}, generation {}\n{}, {} in all; {} copied, {}; {} no longer needed\n",
        screen.paint(Style::Good, &format!("backed up to {to}")),
        text(&report["store_id"]),
        report["generation"],
        counted(number("files"), "file"),
        size(number("bytes")),
        number("files_copied"),
        size(number("bytes_copied")),
        number("files_removed"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_backup_ended_is_a_sentence() {
        let failed = json!({ "result": "failed", "error": "the disk is full" });
        assert_eq!(ended(&failed), "the backup failed: the disk is full");
        assert_eq!(ended(&json!({ "result": "stopped" })), "the backup was stopped");
    }
}
