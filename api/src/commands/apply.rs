//! `backstitch apply FILE|DIR...`: definitions made revisions at a server; no run is begun.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use backstitch_core::definition::problem::Problem;
use backstitch_executors::{HttpConfig, Registry};
use backstitch_saga::handle::compile;
use clap::Args;
use serde_json::{Value, json};

use super::runs::At;
use super::runs::table::{columns, list, text, words};
use super::{media_type_of, parse_definition, read_file};
use crate::client::PATIENCE;
use crate::error::Error;

/// Files of a folder that are definitions.
const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];

const AFTER: &str = "\
All files are checked before any is sent: one that is wrong, or two of the same workflow, and nothing
is defined. Of a folder its files *.yaml, *.yml and *.json are taken, those of its folders too.
Content that is the newest revision already is left as it is, so that it can be applied any number of
times.

Examples:
  backstitch apply order.yaml
  backstitch apply workflows/ --json

Exit codes: 0 everything is in force, 1 a definition is wrong or the server refused one, 2 a file
can't be read";

/// What `apply` takes.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct Flags {
    /// Definitions, or folders of them: YAML, or JSON if the file is called so
    #[arg(value_name = "FILE|DIR", required = true)]
    pub paths: Vec<PathBuf>,
    /// Where and how.
    #[command(flatten)]
    pub at: At,
}

/// A file that is a definition.
struct Checked {
    file: String,
    workflow: String,
    text: Vec<u8>,
    media_type: &'static str,
}

/// Defines every workflow of the files, or none of them if one is wrong.
///
/// # Errors
/// [`Error::Failed`] when a definition has problems, [`Error::Refused`], [`Error::Unreachable`],
/// [`Error::Foreign`]; [`Error::File`], [`Error::Setting`] for a folder without definitions.
pub async fn run(flags: Flags) -> Result<(), Error> {
    let client = flags.at.client()?.with_patience(PATIENCE);
    let (mut checked, mut wrong) = (Vec::new(), Vec::new());
    for file in files(&flags.paths)? {
        match check(&file)? {
            Ok(own) => checked.push(own),
            Err(problems) => wrong.push((file.display().to_string(), problems)),
        }
    }
    twice(&checked)?;
    if !wrong.is_empty() {
        return refused(&flags.at, &wrong);
    }
    let (mut defined, mut failure) = (Vec::new(), None);
    for own in checked {
        match client.define(own.text, own.media_type).await {
            Ok(mut answer) => {
                answer["file"] = own.file.into();
                defined.push(answer);
            }
            // What is defined already stays so, and is told.
            Err(error) => {
                failure = Some((own.file, error));
                break;
            }
        }
    }
    flags.at.show(&json!({ "workflows": defined }), || table(&json!({ "workflows": defined })))?;
    match failure {
        None => Ok(()),
        Some((file, Error::Refused { status, code, sentence })) => {
            Err(Error::Refused { status, code, sentence: format!("{file}: {sentence}") })
        }
        Some((_, error)) => Err(error),
    }
}

/// Every file that is named, or in a folder that is, in order.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            let before = found.len();
            walk(path, &mut found)?;
            if found.len() == before {
                let message = format!(
                    "{} has no definition: no file *.yaml, *.yml or *.json",
                    path.display()
                );
                return Err(Error::Setting(message));
            }
        } else {
            found.push(path.clone());
        }
    }
    Ok(found)
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), Error> {
    let failed = |source| Error::File { file: folder.display().to_string(), source };
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        entries.push(entry.map_err(failed)?.path());
    }
    entries.sort_unstable();
    for path in entries {
        // A link to a folder may lead back here.
        if path.is_dir() && !path.is_symlink() {
            walk(&path, found)?;
        } else if path.extension().is_some_and(|own| EXTENSIONS.iter().any(|known| own == *known)) {
            found.push(path);
        }
    }
    Ok(())
}

fn check(file: &Path) -> Result<Result<Checked, Vec<Problem>>, Error> {
    let registry = Registry::builtin(HttpConfig::default())?;
    let text = read_file(file)?;
    let read = parse_definition(file, &text).map_err(|problem| vec![problem]);
    let compiled = read.and_then(|definition| compile(&definition, &registry));
    Ok(compiled.map(|compiled| Checked {
        file: file.display().to_string(),
        workflow: compiled.plan.workflow.to_string(),
        text,
        media_type: media_type_of(file),
    }))
}

/// Refuses two files of one workflow: the later one would win by its name.
fn twice(checked: &[Checked]) -> Result<(), Error> {
    let mut files = BTreeMap::new();
    for own in checked {
        if let Some(other) = files.insert(&own.workflow, &own.file) {
            return Err(Error::Failed(format!(
                "{other} and {} both define `{}`; nothing was defined",
                own.file, own.workflow
            )));
        }
    }
    Ok(())
}

fn refused(at: &At, wrong: &[(String, Vec<Problem>)]) -> Result<(), Error> {
    let rows: Vec<Value> = wrong
        .iter()
        .map(|(file, problems)| json!({ "file": file, "problems": problems }))
        .collect();
    at.show(&json!({ "workflows": [], "refused": rows }), || {
        let lines = wrong.iter().flat_map(|(file, problems)| {
            problems.iter().map(move |problem| format!("{file}: {problem}"))
        });
        lines.collect::<Vec<_>>().join("\n")
    })?;
    Err(Error::Failed(format!("{} file(s) are wrong; nothing was defined", wrong.len())))
}

fn table(answer: &Value) -> String {
    let found = list(answer, "workflows");
    if found.is_empty() {
        return "nothing was defined".to_owned();
    }
    let mut rows = vec![words(["WORKFLOW", "REVISION", "", "FILE"])];
    rows.extend(found.iter().map(|own| {
        let what = if own["created"] == true { "new" } else { "unchanged" };
        vec![text(&own["workflow_id"]), text(&own["revision"]), what.to_owned(), text(&own["file"])]
    }));
    let mut shown = columns(&rows);
    for own in found {
        for warning in list(own, "warnings") {
            let [path, message, code] =
                ["path", "message", "code"].map(|name| text(&warning[name]));
            shown.push_str(&format!(
                "warning: {}: {path}: {message} ({code})\n",
                text(&own["file"])
            ));
        }
    }
    shown
}
