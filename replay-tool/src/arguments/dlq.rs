//! What can be asked about dead letters.

use std::path::PathBuf;

use backstitch_core::ids::{ExecutionId, LetterId};
use backstitch_core::letters::Fingerprint;
use backstitch_core::report::{kind_word, letter_word};
use backstitch_core::summary::{LetterKind, LetterStatus, LetterSummary};
use backstitch_core::time::Timestamp;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};

use super::{LIST_LIMIT, instant, words};
use crate::error::Error;
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
    /// Group letters by what they share: the same operation failing for the same cause.
    #[command(after_help = help::DLQ_GROUPS)]
    Groups(LettersWanted),
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
        /// A file with the input that takes the place of the step's, as a new round: JSON, or YAML.
        #[arg(long, value_name = "FILE")]
        input: Option<PathBuf>,
        /// Why it is another input, for the record.
        #[arg(long, value_name = "WORDS", value_parser = words, requires = "input")]
        reason: Option<String>,
        /// Who decides, for the record. Offline only: a server records its caller.
        #[arg(long, value_name = "NAME", conflicts_with = "server")]
        actor: Option<String>,
    },
    /// Say who is to see to it.
    #[command(after_help = help::DLQ_ASSIGN)]
    Assign {
        /// The letters' IDs.
        #[arg(value_name = "LETTER", required = true)]
        ids: Vec<LetterId>,
        /// Who is to.
        #[arg(long, value_name = "NAME", value_parser = words, required_unless_present = "nobody")]
        to: Option<String>,
        /// Nobody any more.
        #[arg(long, conflicts_with = "to")]
        nobody: bool,
        /// Why, for the record.
        #[arg(long, value_name = "WORDS", value_parser = words)]
        reason: Option<String>,
        /// Who decides, for the record. Offline only: a server records its caller.
        #[arg(long, value_name = "NAME", conflicts_with = "server")]
        actor: Option<String>,
    },
    /// Write something down about it.
    #[command(after_help = help::DLQ_NOTE)]
    Note {
        /// The letters' IDs.
        #[arg(value_name = "LETTER", required = true)]
        ids: Vec<LetterId>,
        /// What.
        #[arg(long, value_name = "WORDS", value_parser = words)]
        text: String,
        /// Who writes, for the record. Offline only: a server records its caller.
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
        #[arg(long, value_name = "WORDS", value_parser = words)]
        reason: String,
        /// Who decides, for the record. Offline only: a server records its caller.
        #[arg(long, value_name = "NAME", conflicts_with = "server")]
        actor: Option<String>,
    },
}

impl Dlq {
    /// Who decides, if that was said.
    #[must_use]
    pub fn actor(&self) -> Option<&str> {
        match self {
            Self::Retry { actor, .. }
            | Self::Assign { actor, .. }
            | Self::Note { actor, .. }
            | Self::Discard { actor, .. } => actor.as_deref(),
            Self::List(_) | Self::Groups(_) | Self::Show { .. } | Self::Stats { .. } => None,
        }
    }
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
    /// Only letters of this step, or its undo.
    #[arg(long, value_name = "STEP")]
    pub step: Option<String>,
    /// Only letters of this cause, as `dlq groups` prints it.
    #[arg(long, value_name = "FINGERPRINT")]
    pub fingerprint: Option<Fingerprint>,
    /// Only letters of runs with this tag.
    #[arg(long, value_name = "TAG")]
    pub tag: Option<String>,
    /// Only letters that this one is to see to.
    #[arg(long, value_name = "NAME")]
    pub assignee: Option<String>,
    /// Only letters about this kind of operation.
    #[arg(long, value_name = "KIND", value_parser = kinds())]
    pub kind: Option<LetterKind>,
    /// Only letters with this error code.
    #[arg(long, value_name = "CODE")]
    pub code: Option<String>,
    /// Only letters of this run, by its whole ID.
    #[arg(long, value_name = "ID")]
    pub execution: Option<ExecutionId>,
    /// Only letters opened at this instant or later, such as 2026-01-31T03:00:00Z.
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub opened_after: Option<Timestamp>,
    /// Only letters opened before this instant.
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub opened_before: Option<Timestamp>,
}

impl LettersWanted {
    /// Every letter of one workflow, or of all.
    #[must_use]
    pub fn all_of(workflow: Option<String>) -> Self {
        Self {
            limit: usize::MAX,
            status: LetterStanding::All,
            workflow,
            step: None,
            fingerprint: None,
            tag: None,
            assignee: None,
            kind: None,
            code: None,
            execution: None,
            opened_after: None,
            opened_before: None,
        }
    }

    /// The letters that tell the whole of every group that is wanted, and with which status one
    /// of it must be.
    #[must_use]
    pub fn of_groups(&self) -> (Self, Option<LetterStatus>) {
        let status = match self.status {
            LetterStanding::All => None,
            LetterStanding::Only(status) => Some(status),
        };
        (Self { status: LetterStanding::All, limit: usize::MAX, ..self.clone() }, status)
    }

    /// Whether a letter is wanted, by everything but its workflow.
    #[must_use]
    pub fn takes(&self, letter: &LetterSummary) -> bool {
        let stands = match self.status {
            LetterStanding::All => true,
            LetterStanding::Only(status) => letter.status == status,
        };
        let of_step =
            |step: &String| letter.kind != LetterKind::Callback && *step == letter.subject;
        let tagged = |tag: &String| letter.tags.iter().any(|own| **own == **tag);
        stands
            && self.step.as_ref().is_none_or(of_step)
            && self.fingerprint.is_none_or(|cause| letter.fingerprint == cause)
            && self.tag.as_ref().is_none_or(tagged)
            && self.assignee.as_ref().is_none_or(|own| letter.assignee.as_ref() == Some(own))
            && self.kind.is_none_or(|kind| letter.kind == kind)
            && self.code.as_ref().is_none_or(|code| *code == letter.code)
            && self.execution.is_none_or(|run| letter.letter.execution == run)
            && self.opened_after.is_none_or(|at| letter.opened_at >= at)
            && self.opened_before.is_none_or(|at| letter.opened_at < at)
    }

    /// The same as parameters of the API's groups.
    ///
    /// # Errors
    /// If a letter is asked for by more than its cause.
    pub fn cause_query(&self) -> Result<Vec<(&'static str, String)>, Error> {
        const OF_CAUSES: [&str; 5] = ["status", "workflow_id", "kind", "code", "fingerprint"];
        let query = self.query();
        match query.iter().find(|(name, _)| !OF_CAUSES.contains(name)) {
            None => Ok(query),
            Some(_) => Err(Error::Misplaced {
                command: "`dlq groups` by step, tag, assignee, run or time".to_owned(),
                why: "works offline only: a server counts letters by their cause",
            }),
        }
    }

    /// The same as parameters of the API's list.
    #[must_use]
    pub fn query(&self) -> Vec<(&'static str, String)> {
        let at = |at: Option<Timestamp>| at.map(|at| at.to_string());
        let asked = [
            ("status", Some(self.status.word().to_owned())),
            ("workflow_id", self.workflow.clone()),
            ("step", self.step.clone()),
            ("fingerprint", self.fingerprint.map(|cause| cause.to_string())),
            ("tag", self.tag.clone()),
            ("assignee", self.assignee.clone()),
            ("kind", self.kind.map(|kind| kind_word(kind).to_owned())),
            ("code", self.code.clone()),
            ("execution_id", self.execution.map(|run| run.to_string())),
            ("opened_after", at(self.opened_after)),
            ("opened_before", at(self.opened_before)),
        ];
        asked.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
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
    let words = LetterStatus::ALL.map(letter_word).into_iter().chain([LetterStanding::ALL]);
    PossibleValuesParser::new(words).map(|word| {
        let status = LetterStatus::ALL.into_iter().find(|status| letter_word(*status) == word);
        status.map_or(LetterStanding::All, LetterStanding::Only)
    })
}

fn kinds() -> impl TypedValueParser<Value = LetterKind> {
    PossibleValuesParser::new(LetterKind::ALL.map(kind_word)).map(|word| {
        let kind = LetterKind::ALL.into_iter().find(|kind| kind_word(*kind) == word);
        kind.expect("the parser takes no other word")
    })
}
