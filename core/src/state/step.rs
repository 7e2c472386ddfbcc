//! One step of a run, forward and back.

use serde::{Deserialize, Serialize};

use super::Said;
use crate::arrows::{StepStatus, UndoStatus};
use crate::event::UndoSettlement;
use crate::failure::Failure;
use crate::payload::Payload;
use crate::plan::PlanStep;
use crate::time::Timestamp;

/// One step of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepState {
    /// On its way forward.
    pub status: StepStatus,
    /// Which deliberate run of the step this is, from 1.
    pub round: u16,
    /// Attempts over all rounds.
    pub attempt: u16,
    /// Attempts that count against the retry policy since the step was last readied.
    pub tries: u16,
    /// Attempts that a crash took, since the step was last readied.
    pub lost: u16,
    /// Whether some attempt may have taken effect without anybody knowing.
    pub unsure: bool,
    /// Whether a person settled it.
    pub by_hand: bool,
    /// Needs that are not settled yet.
    pub open_needs: u32,
    /// Needs that are done (succeeded, skipped, or failed where that is allowed).
    pub done_needs: u32,
    /// When its wait or its next attempt is due; while it is ready, since when it is.
    pub due_at: Option<Timestamp>,
    /// The wait drawn for the next attempt.
    pub retry_delay_ms: u64,
    /// When its first attempt started.
    pub started_at: Option<Timestamp>,
    /// When it was settled.
    pub completed_at: Option<Timestamp>,
    /// Rendered when it became ready.
    pub input: Option<Payload>,
    /// What it answered.
    pub output: Option<Payload>,
    /// Its last failure.
    pub failure: Option<Box<Failure>>,
    /// Its undo, once the run unwinds and it needs one.
    pub undo: Option<Box<UndoState>>,
    /// While unwinding: dependants that are not unwound yet.
    pub(crate) unwind_open: u32,
}

/// One step's undo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoState {
    /// Where it stands.
    pub status: UndoStatus,
    /// Attempts made.
    pub attempt: u16,
    /// Attempts that count against its retry policy since it was last opened.
    pub tries: u16,
    /// Attempts that a crash took, since it was last opened.
    pub lost: u16,
    /// When its next attempt is due; while it is ready, since when it is.
    pub due_at: Option<Timestamp>,
    /// The wait drawn for the next attempt.
    pub retry_delay_ms: u64,
    /// When its first attempt started.
    pub started_at: Option<Timestamp>,
    /// When it got its result.
    pub completed_at: Option<Timestamp>,
    /// Rendered when it became ready.
    pub input: Option<Payload>,
    /// What it answered.
    pub output: Option<Payload>,
    /// Its last failure.
    pub failure: Option<Box<Failure>>,
    /// What a person said became of it, since it was last opened.
    pub by_hand: Option<Box<UndoByHand>>,
    /// Whether what the step needs has been let go: once, at the first result.
    pub(crate) released: bool,
}

/// What a person said became of an undo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoByHand {
    /// What.
    pub settlement: UndoSettlement,
    /// Who, in which words, and when.
    pub said: Said,
}

impl StepState {
    pub(crate) fn begin(plan: &PlanStep) -> Self {
        Self {
            status: StepStatus::Pending,
            round: 1,
            attempt: 0,
            tries: 0,
            lost: 0,
            unsure: false,
            by_hand: false,
            open_needs: u32::try_from(plan.waits_for()).expect("needs are bounded by the steps"),
            done_needs: 0,
            due_at: None,
            retry_delay_ms: 0,
            started_at: None,
            completed_at: None,
            input: None,
            output: None,
            failure: None,
            undo: None,
            unwind_open: 0,
        }
    }

    /// The status word that is shown: the undo's, once there is one.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self.undo.as_ref().map(|undo| undo.status) {
            Some(UndoStatus::Succeeded) => "undone",
            Some(UndoStatus::Failed) => "undo_failed",
            Some(UndoStatus::Pending | UndoStatus::Skipped) | None => self.forward_word(),
            Some(_) => "undoing",
        }
    }

    fn forward_word(&self) -> &'static str {
        match self.status {
            StepStatus::Pending => "pending",
            StepStatus::Ready => "ready",
            StepStatus::Waiting => "waiting",
            StepStatus::Running => "running",
            StepStatus::Faulted | StepStatus::Retrying => "retrying",
            StepStatus::Succeeded => "succeeded",
            StepStatus::Failed => "failed",
            StepStatus::Skipped => "skipped",
            StepStatus::Pruned => "pruned",
            StepStatus::Cancelled => "cancelled",
        }
    }
}

impl UndoState {
    pub(crate) fn pending() -> Self {
        Self {
            status: UndoStatus::Pending,
            attempt: 0,
            tries: 0,
            lost: 0,
            due_at: None,
            retry_delay_ms: 0,
            started_at: None,
            completed_at: None,
            input: None,
            output: None,
            failure: None,
            by_hand: None,
            released: false,
        }
    }

    /// The status word that is shown.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self.status {
            UndoStatus::Pending => "pending",
            UndoStatus::Ready => "ready",
            UndoStatus::Running => "running",
            UndoStatus::Faulted | UndoStatus::Retrying => "retrying",
            UndoStatus::Succeeded => "succeeded",
            UndoStatus::Failed => "failed",
            UndoStatus::Waiting => "waiting",
            UndoStatus::Skipped => "skipped",
        }
    }
}
