//! Where answers come from: the files of a data directory, or a running server.
//!
//! Both answer the API's JSON, so that whatever prints them need not know which it was.

mod archive;
mod client;
mod definitions;
mod directory;
mod download;
pub(crate) mod export;
mod filter;
mod fold;
mod lines;
mod listing;
mod server;
mod sizes;
mod travel;
mod writing;

use std::path::PathBuf;

use backstitch_core::ids::LetterId;
use backstitch_core::time::Timestamp;
use backstitch_core::travel::Point;
use serde_json::Value;

use crate::arguments::{LettersWanted, ListWanted};
use crate::error::Error;

pub use archive::OnDamage;
pub use directory::Directory;
pub use fold::panic_message;
pub use listing::Standing;
pub use server::Server;

pub(crate) use archive::{Archive, check_directory, check_parent, place_of_archive};
pub(crate) use listing::{Listing, Row, fold_all};
pub(crate) use writing::{Writing, check_export};

/// Candidates that an ambiguous id is answered with.
pub const CANDIDATES_MAX: usize = 5;

/// What answers questions.
pub trait Source {
    /// Runs, by when they were submitted.
    ///
    /// # Errors
    /// If the source cannot be read.
    fn runs(&self, wanted: &ListWanted) -> Result<Rows, Error>;

    /// The one run whose id begins so.
    ///
    /// # Errors
    /// If there is none, there are several, or the source cannot be read.
    fn run(&self, id: &str, need: Need) -> Result<Run, Error>;

    /// What a run waits for, as `GET /api/v1/executions/{id}/why` answers it.
    ///
    /// # Errors
    /// The same, and if the run does not fold.
    fn why(&self, id: &str) -> Result<Value, Error>;

    /// The run as it stood at a point of its history, without its events.
    ///
    /// # Errors
    /// The same, and if there is no such point or what stands before it does not fold.
    fn run_at(&self, id: &str, point: Point) -> Result<Run, Error>;

    /// What changed in a run between two points, and the events between them.
    ///
    /// # Errors
    /// As [`Source::run_at`].
    fn diff(&self, id: &str, from: Option<Point>, to: Option<Point>) -> Result<Value, Error>;

    /// Two runs side by side.
    ///
    /// # Errors
    /// As [`Source::run_at`].
    fn compare(&self, left: &str, right: &str) -> Result<Value, Error>;

    /// Dead letters, newest first.
    ///
    /// # Errors
    /// If the source cannot be read.
    fn letters(&self, wanted: &LettersWanted) -> Result<Rows, Error>;

    /// Dead letters by cause, the largest group first.
    ///
    /// # Errors
    /// If the source cannot be read.
    fn letter_groups(&self, wanted: &LettersWanted) -> Result<Rows, Error>;

    /// A dead letter with its whole context.
    ///
    /// # Errors
    /// If there is none, or the source cannot be read.
    fn letter(&self, id: LetterId) -> Result<Value, Error>;

    /// Does something about dead letters, each for itself; answers what came of each.
    ///
    /// # Errors
    /// If nothing could be done. What was refused of a single letter is in its answer.
    fn settle(&self, ids: &[LetterId], how: &Settling) -> Result<Vec<Settled>, Error>;

    /// Sizes and counts; with what the journal knows of itself, if that is wanted.
    ///
    /// # Errors
    /// If the source cannot be read.
    fn stats(&self, database: bool) -> Result<Rows, Error>;
}

/// Who carries out a command that is not asked but done.
#[derive(Debug)]
pub(crate) enum Holder {
    /// A running server.
    Server(Box<Server>),
    /// This program itself, in the directory of a server that does not run.
    Files(PathBuf),
}

/// Rows of a list, as the API shows them.
#[derive(Debug, Default)]
pub struct Rows {
    /// The rows.
    pub rows: Vec<Value>,
    /// How many there are in all, where that is known.
    pub count: Option<u64>,
    /// For stderr.
    pub warning: Option<String>,
}

/// What is wanted of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// How it stands.
    Standing,
    /// Its events.
    Events,
    /// Both.
    Both,
}

/// One run, as far as it was needed.
#[derive(Debug, Default)]
pub struct Run {
    /// Its whole id.
    pub id: String,
    /// The run as `GET /api/v1/executions/{id}` answers it, if it folds.
    pub execution: Option<Value>,
    /// Why it does not fold; then its events are there in any case.
    pub quarantined: Option<String>,
    /// Its events as the API lists them.
    pub events: Vec<Value>,
    /// The ids of its steps in the order of the definition, where that is known.
    pub steps: Vec<String>,
    /// The definition's own version, where that is known.
    pub label: String,
    /// How many events the run has.
    pub last_version: u64,
    /// When it was asked for, of a server, where it goes on unless it has ended.
    pub goes_on_at: Option<Timestamp>,
    /// For stderr.
    pub warning: Option<String>,
}

/// What is done about a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settling {
    /// Tried again.
    Retry {
        /// With this input in place of the one it had, if there is one.
        input: Option<Value>,
        /// Why it is another.
        reason: String,
        /// Who decides, where the source does not know.
        actor: Option<String>,
    },
    /// Given to somebody.
    Assign {
        /// To whom; nobody any more, if to none.
        assignee: Option<String>,
        /// Why.
        reason: String,
        /// Who decides, where the source does not know.
        actor: Option<String>,
    },
    /// Written about.
    Note {
        /// What.
        text: String,
        /// Who writes, where the source does not know.
        actor: Option<String>,
    },
    /// Given up.
    Discard {
        /// Why.
        reason: String,
        /// Who decides, where the source does not know.
        actor: Option<String>,
    },
}

/// What came of a letter.
#[derive(Debug)]
pub struct Settled {
    /// Which.
    pub letter: LetterId,
    /// What the API answers, or why not.
    pub outcome: Result<Value, Error>,
}

/// The beginning of a run's id, without `exec_`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prefix(Vec<u8>);

/// Digits of a whole id.
const DIGITS: usize = 36;

impl Prefix {
    /// Reads what a person gave.
    ///
    /// # Errors
    /// [`Error::BadId`]
    pub(crate) fn of(given: &str) -> Result<Self, Error> {
        let digits = given.strip_prefix("exec_").unwrap_or(given);
        let digit = |byte| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let read: Option<Vec<u8>> = digits.bytes().map(digit).collect();
        read.filter(|read| !given.is_empty() && read.len() <= DIGITS)
            .map(Self)
            .ok_or_else(|| Error::BadId { given: given.chars().take(64).collect() })
    }

    /// Whether only one id can begin so.
    pub(crate) fn is_whole(&self) -> bool {
        self.0.len() == DIGITS
    }

    pub(crate) fn digits(&self) -> &[u8] {
        &self.0
    }

    /// As an id's beginning is written.
    pub(crate) fn text(&self) -> String {
        let digits = self.0.iter().map(|&digit| char::from_digit(digit.into(), 16));
        format!("exec_{}", digits.map(|digit| digit.unwrap_or('?')).collect::<String>())
    }
}
