//! Runs taken in from a file.

use std::fs::File;
use std::io::{BufReader, Seek};
use std::path::Path;

use serde_json::Value;

use super::Answer;
use crate::Form;
use crate::arguments::ImportWanted;
use crate::error::{Error, exit};
use crate::facts::text;
use crate::progress::Progress;
use crate::source::{Holder, Server, Writing, check_export};
use crate::text::{counted, printable};

/// Who decides, where nobody says.
const ACTOR: &str = "operator";

/// Takes a file in.
///
/// # Errors
/// Why that cannot be done, or not to its end.
pub(crate) fn answer(holder: &Holder, wanted: &ImportWanted, form: &Form) -> Result<Answer, Error> {
    match holder {
        Holder::Server(server) => of_server(server, wanted, form),
        Holder::Files(path) => of_files(path, wanted, form),
    }
}

/// Has a server take a file in.
///
/// # Errors
/// If the file cannot be read, or the server refuses it.
fn of_server(server: &Server, wanted: &ImportWanted, form: &Form) -> Result<Answer, Error> {
    Ok(print(&server.import(&wanted.file)?, form))
}

/// Takes a file in, in a directory that no server has open.
///
/// # Errors
/// If the file or the directory cannot be opened, the file is no whole export, or something could
/// not be recorded. What stops a whole file before its end is in the answer, behind what was taken
/// in.
fn of_files(directory: &Path, wanted: &ImportWanted, form: &Form) -> Result<Answer, Error> {
    let unread = |source| Error::File { action: "reading", path: wanted.file.clone(), source };
    let file = File::open(&wanted.file).map_err(unread)?;
    let about = file.metadata().map_err(unread)?;
    if !about.is_file() {
        return Err(Error::NoFile { path: wanted.file.clone() });
    }
    let bytes = about.len();
    let actor = wanted.actor.as_deref().unwrap_or(ACTOR);
    let empty = std::fs::read_dir(directory).map_or(true, |mut entries| entries.next().is_none());
    let mut file = BufReader::new(file);
    let mut progress = Progress::bytes(form.watched(), "checking the file", bytes);
    check_export(&mut file, &mut |done| progress.reach(done))?;
    drop(progress);
    file.rewind().map_err(unread)?;
    let mut writing = match Writing::open(directory) {
        Err(Error::NoDirectory { directory } | Error::Foreign { directory, .. }) if empty => {
            return Err(Error::NoStore { directory });
        }
        writing => writing?,
    };
    let mut progress = Progress::bytes(form.watched(), "reading the file", bytes);
    let taken = writing.import(file, actor, &mut |done| progress.reach(done));
    drop(progress);
    writing.close()?;
    let (report, stopped) = taken?;
    let answer = print(&report, form);
    Ok(match stopped {
        Some(error) => Answer { code: error.exit_code(), ..answer }.warn(Some(error.line())),
        None => answer,
    })
}

fn print(report: &Value, form: &Form) -> Answer {
    let number = |name: &str| report[name].as_u64().unwrap_or(0);
    let answer = match form.json {
        true => Answer::json(report),
        false => Answer::text(words(report)),
    };
    let whole = number("conflicts") == 0 && number("refused") == 0;
    let code = if whole { answer.code } else { exit::NO };
    Answer { code, ..answer }
}

fn words(report: &Value) -> String {
    let number = |name: &str| report[name].as_u64().unwrap_or(0);
    let list = |name: &str| report[name].as_array().into_iter().flatten();
    let mut shown = format!("{} imported", counted(number("imported"), "run"));
    for (name, word) in [
        ("skipped", "here already"),
        ("conflicts", "here with another history"),
        ("refused", "refused"),
    ] {
        if number(name) > 0 {
            shown.push_str(&format!(", {} {word}", number(name)));
        }
    }
    shown.push('\n');
    for run in list("conflicting") {
        shown.push_str(&format!("here with another history: {}\n", printable(text(run))));
    }
    for own in list("refusals") {
        let (run, why) = (text(&own["execution_id"]), text(&own["reason"]));
        shown.push_str(&format!("refused: {}: {}\n", printable(run), printable(why)));
    }
    shown
}
