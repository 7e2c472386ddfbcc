//! What can be asked about dead letters.

use backstitch_core::ids::LetterId;
use backstitch_core::report::{kind_word, letter_word};
use backstitch_core::summary::{LetterKind, LetterStatus};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};

use super::LIST_LIMIT;
use crate::help;

/// What can be done with dead letters.
#[derive(Debug, Subcommand)]
pub enum Dlq {
    /// List letters, newest first.
    #[command(after_help = help::DLQ_LIST)]
    List(LettersWanted),
    /// Show a letter with its input, its error, and how it was settled.
    #[command(after_help = help::DLQ_SHOW)]
    Show {
        /// The letter's ID.
        #[arg(value_name = "LETTER")]
        id: LetterId,
    },
    /// Count letters by status, workflow, kind, error code and age.
    #[command(after_help = help::DLQ_STATS)]
    Stats {
        /// Only letters of this workflow.
        #[arg(long, value_name = "ID")]
        workflow: Option<String>,
    },
    /// Have the operation tried again: in place, or by a new run that starts over.
    #[command(after_help = help::DLQ_RETRY)]
    Retry {
        /// The letters' IDs.
        #[arg(value_name = "LETTER", required = true)]
        ids: Vec<LetterId>,
        /// Who decides, for the record. Offline only: a server records its caller.
        #[arg(long, value_name = "NAME", conflicts_with = "server")]
        actor: Option<String>,
    },
    /// Give the operation up.
    #[command(after_help = help::DLQ_DISCARD)]
    Discard {
        /// The letters' IDs.
        #[arg(value_name = "LETTER", required = true)]
        ids: Vec<LetterId>,
        /// Why, for the record.
        #[arg(long, value_name = "WORDS")]
        reason: String,
        /// Who decides, for the record. Offline only: a server records its caller.
        #[arg(long, value_name = "NAME", conflicts_with = "server")]
        actor: Option<String>,
    },
}

/// Which dead letters to list.
#[derive(Debug, Clone, Args)]
pub struct LettersWanted {
    /// How many at most.
    #[arg(long, value_name = "N", default_value_t = LIST_LIMIT)]
    pub limit: usize,
    /// Only letters that stand so.
    #[arg(long, value_name = "STATUS", value_parser = letter_standings(), default_value = "open")]
    pub status: LetterStanding,
    /// Only letters of this workflow.
    #[arg(long, value_name = "ID")]
    pub workflow: Option<String>,
    /// Only letters about this kind of operation.
    #[arg(long, value_name = "KIND", value_parser = kinds())]
    pub kind: Option<LetterKind>,
    /// Only letters with this error code.
    #[arg(long, value_name = "CODE")]
    pub code: Option<String>,
}

/// Where the letters wanted stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetterStanding {
    /// Anywhere.
    All,
    /// There.
    Only(LetterStatus),
}

impl LetterStanding {
    const ALL: &'static str = "all";

    /// The word of the API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::All => Self::ALL,
            Self::Only(status) => letter_word(status),
        }
    }
}

fn letter_standings() -> impl TypedValueParser<Value = LetterStanding> {
    const ALL: [LetterStatus; 3] =
        [LetterStatus::Open, LetterStatus::Retried, LetterStatus::Discarded];
    let words = ALL.map(letter_word).into_iter().chain([LetterStanding::ALL]);
    PossibleValuesParser::new(words).map(|word| {
        let status = ALL.into_iter().find(|status| letter_word(*status) == word);
        status.map_or(LetterStanding::All, LetterStanding::Only)
    })
}

fn kinds() -> impl TypedValueParser<Value = LetterKind> {
    const ALL: [LetterKind; 3] = [LetterKind::Step, LetterKind::Undo, LetterKind::Callback];
    PossibleValuesParser::new(ALL.map(kind_word)).map(|word| {
        let kind = ALL.into_iter().find(|kind| kind_word(*kind) == word);
        kind.expect("the parser takes no other word")
    })
}
