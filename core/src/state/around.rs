//! What surrounds a run's steps: why it fails, how it ended, its callbacks and letters.

use serde::{Deserialize, Serialize};

use crate::arrows::DeliveryStatus;
use crate::event::{
    AboutStep, AlertOf, CallbackEvent, CallbackForm, Compensation, LetterSubject, Outcome, Recourse,
};
use crate::failure::Failure;
use crate::ids::{ExecutionId, StepIndex};
use crate::payload::Payload;
use crate::summary::LetterStatus;
use crate::time::Timestamp;

use super::Said;

/// Why a run fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// What went wrong.
    pub failure: Failure,
    /// The step at fault.
    pub step: Option<StepIndex>,
    /// What is done about it.
    pub recourse: Recourse,
}

/// A cancel that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    /// In the caller's words.
    pub reason: String,
    /// Who.
    pub actor: String,
    /// Whether to undo what was done.
    pub compensate: bool,
    /// Whether it stopped the run; one that came during unwinding did not.
    pub in_force: bool,
    /// When.
    pub at: Timestamp,
}

/// The final word on a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// The word.
    pub outcome: Outcome,
    /// What became of the undos.
    pub compensation: Compensation,
    /// The run's output.
    pub output: Option<Payload>,
    /// When.
    pub at: Timestamp,
}

/// One callback's delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// What it reports.
    pub event: CallbackEvent,
    /// Where it goes.
    pub url: String,
    /// How it is written.
    pub form: CallbackForm,
    /// The step that it is about; the run as a whole, if unsaid.
    pub about: Option<AboutStep>,
    /// The alert that it is about, if a rule wants it.
    pub alert: Option<Box<AlertOf>>,
    /// Where it stands.
    pub status: DeliveryStatus,
    /// Attempts made.
    pub attempt: u16,
    /// Attempts since it was last opened.
    pub tries: u16,
    /// When the next attempt is due; at once if unsaid.
    pub due_at: Option<Timestamp>,
    /// The status of the last answer.
    pub answered: Option<u16>,
    /// The last failure.
    pub failure: Option<Box<Failure>>,
    /// When it was scheduled.
    pub scheduled_at: Timestamp,
    /// What is sent: the run as it stood then, the same for every attempt.
    pub body: Payload,
}

/// One dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// Which operation.
    pub subject: LetterSubject,
    /// Where it stands.
    pub status: LetterStatus,
    /// The operation's last failure.
    pub failure: Failure,
    /// Attempts before it was opened.
    pub attempts: u16,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it was retried or discarded, by whom, and why.
    pub settled: Option<LetterSettled>,
    /// What people did about it before, if they did anything.
    pub handling: Option<Box<Handling>>,
}

/// What people did about a letter before it was settled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handling {
    /// Who is to see to it.
    pub assignee: Option<String>,
    /// What was written down, the oldest first.
    pub notes: Vec<Said>,
    /// With what its step is run again.
    pub edit: Option<Edit>,
}

/// An input that a person gave a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// In place of what is rendered.
    pub input: Payload,
    /// The round that ran with it, once one has.
    pub round: Option<u16>,
}

/// What became of a letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetterSettled {
    /// Who settled it.
    pub actor: String,
    /// Why, for a discarded one.
    pub reason: Option<String>,
    /// The new run, where the retry started one.
    pub linked: Option<ExecutionId>,
    /// When.
    pub at: Timestamp,
}
