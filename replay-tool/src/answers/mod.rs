//! The answers, one module for each kind of question, each as text and as JSON.
//!
//! JSON shapes are documented in `docs/replay-tool.md`; they only grow.

pub mod archive;
pub mod backup;
pub mod cut;
pub mod events;
pub mod export;
pub mod fork;
pub mod import;
pub mod key;
pub mod letter_groups;
pub mod letters;
pub mod list;
pub mod manual;
mod marks;
pub mod payload;
pub mod rebuild;
pub mod replays;
pub mod restore;
pub mod retention;
pub mod salvage;
pub mod show;
pub mod stats;
mod step_marks;
pub mod timeline;
pub mod travel;
pub mod verify;
pub mod why;

use std::path::Path;
use std::{fs, io};

use backstitch_core::ids::DEFAULT_NAMESPACE;
use backstitch_core::yaml::{Format, parse};
use serde_json::Value;

use crate::error::{Error, exit};
use crate::facts::text;

/// A file's JSON or YAML.
pub(crate) fn read_document(path: &Path) -> Result<Value, Error> {
    let file = |source| Error::File { action: "reading", path: path.to_owned(), source };
    let text = fs::read(path).map_err(file)?;
    // JSON is YAML as well, but its own reader says better what is wrong with it.
    let named_json = path.extension().is_some_and(|extension| extension == "json");
    let format = if named_json { Format::Json } else { Format::Yaml };
    let wrong = |message| file(io::Error::new(io::ErrorKind::InvalidData, message));
    parse(&text, format).map_err(|bad| wrong(bad.message))
}

/// What is printed, and how it went.
#[derive(Debug)]
pub struct Answer {
    /// For stdout.
    pub text: String,
    /// The exit code.
    pub code: u8,
    /// One line for stderr.
    pub warning: Option<String>,
    /// Whether the text is for people, and not for a program.
    pub drawn: bool,
}

impl Answer {
    /// An answer in text.
    #[must_use]
    pub fn text(text: String) -> Self {
        Self { text, code: exit::DONE, warning: None, drawn: true }
    }

    /// An answer in JSON: one document and a line end.
    #[must_use]
    pub fn json(document: &Value) -> Self {
        Self { drawn: false, ..Self::text(format!("{document:#}\n")) }
    }

    /// The same of a report.
    #[must_use]
    pub(crate) fn report<Report: serde::Serialize>(report: &Report) -> Self {
        Self::json(&serde_json::to_value(report).expect("a report is plain data"))
    }

    /// The same, with a warning if there is one.
    #[must_use]
    pub(crate) fn warn(self, warning: Option<String>) -> Self {
        Self { warning, ..self }
    }
}

/// A workflow's id, with its namespace where that is not the usual one.
fn workflow_label(document: &Value) -> String {
    let workflow = text(&document["workflow_id"]);
    match text(&document["namespace"]) {
        DEFAULT_NAMESPACE | "" => workflow.to_owned(),
        namespace => format!("{namespace}/{workflow}"),
    }
}
