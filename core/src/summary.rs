//! The rows that lists show: what views keep of each run and each dead letter.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{ExecutionId, LetterId};
use crate::letters::Fingerprint;
use crate::time::Timestamp;
use crate::trace::TraceId;

/// A run's status word, as the API prints it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RunStatus {
    /// Submitted; nothing started yet.
    Pending,
    /// Steps run or wait.
    Running,
    /// Waits for an operator.
    Suspended,
    /// Undos run.
    Compensating,
    /// Done.
    Completed,
    /// Failed, nothing undone.
    Failed,
    /// Failed, everything undone.
    Compensated,
    /// Failed, something could not be undone.
    CompensationFailed,
    /// Cancelled.
    Cancelled,
}

impl RunStatus {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Every status, in the order of a run's life.
    pub const ALL: [Self; 9] = [
        Self::Pending,
        Self::Running,
        Self::Suspended,
        Self::Compensating,
        Self::Completed,
        Self::Failed,
        Self::Compensated,
        Self::CompensationFailed,
        Self::Cancelled,
    ];

    /// The word the API prints.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Suspended => "suspended",
            Self::Compensating => "compensating",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Compensated => "compensated",
            Self::CompensationFailed => "compensation_failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status of a word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.word() == word)
    }

    /// Whether the run has its final word.
    #[must_use]
    pub const fn is_ended(self) -> bool {
        matches!(
            self,
            Self::Completed
                | Self::Failed
                | Self::Compensated
                | Self::CompensationFailed
                | Self::Cancelled
        )
    }
}

/// A run's row in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSummary {
    /// The run.
    pub execution: ExecutionId,
    /// Tenant.
    pub namespace: Arc<str>,
    /// The workflow's id.
    pub workflow: Arc<str>,
    /// Its revision.
    pub revision: u32,
    /// Where the run stands.
    pub status: RunStatus,
    /// As submitted.
    pub correlation_id: Arc<str>,
    /// The definition's and the submission's, ascending.
    pub tags: Arc<[Arc<str>]>,
    /// The run that it is a step of.
    pub parent: Option<ExecutionId>,
    /// The arm of a roll-out that it fell into.
    pub variant: Option<Arc<str>>,
    /// The trace that it belongs to, where that is not the one of its own id.
    pub trace: Option<TraceId>,
    /// When it was submitted: never changes, lists are ordered by it.
    pub submitted_at: Timestamp,
    /// When it got its final word.
    pub ended_at: Option<Timestamp>,
    /// Whether it is a chunk of its parent's loop: a part of a run, not counted as one.
    pub chunk: bool,
    /// Events folded into this row.
    pub version: u64,
}

/// What a dead letter is about, as the API prints it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LetterKind {
    /// A step.
    Step,
    /// A step's undo.
    Undo,
    /// A callback.
    Callback,
}

impl LetterKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Step, Self::Undo, Self::Callback];
}

impl LetterStatus {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Every status.
    pub const ALL: [Self; 4] = [Self::Open, Self::Retried, Self::Discarded, Self::Resolved];
}

/// Where a letter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LetterStatus {
    /// Waits for a person.
    Open,
    /// Tried again.
    Retried,
    /// Given up.
    Discarded,
    /// A person settled the step itself.
    Resolved,
}

/// A dead letter's row in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetterSummary {
    /// The letter.
    pub letter: LetterId,
    /// Tenant.
    pub namespace: Arc<str>,
    /// The run's workflow.
    pub workflow: Arc<str>,
    /// Its revision.
    pub revision: u32,
    /// The run's tags, ascending.
    pub tags: Arc<[Arc<str>]>,
    /// Which kind of operation.
    pub kind: LetterKind,
    /// What letters of the same cause share.
    pub fingerprint: Fingerprint,
    /// The step's id, or the callback's URL.
    pub subject: String,
    /// The last failure's code.
    pub code: String,
    /// The last failure's message.
    pub message: String,
    /// Where it stands.
    pub status: LetterStatus,
    /// Who is to see to it.
    pub assignee: Option<String>,
    /// When it was opened: never changes, lists are ordered by it.
    pub opened_at: Timestamp,
    /// Attempts before it was opened.
    pub attempts: u16,
    /// Events of the run folded into this row.
    pub version: u64,
}

/// A row that changed with a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ViewChange {
    /// A run's.
    Run(RunSummary),
    /// A letter's.
    Letter(LetterSummary),
}
