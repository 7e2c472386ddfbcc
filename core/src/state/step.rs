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
    /// What became of asking whether there is anything to undo, once that was begun.
    pub check: Option<Box<CheckState>>,
    /// Whether it failed and a person settled that before the whole run was undone: it counts as
    /// failed no more.
    pub(crate) stands: bool,
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

    /// What became of asking whether the step took effect, once that was begun.
    #[must_use]
    pub fn check(&self) -> Option<&CheckState> {
        self.undo.as_ref()?.check.as_deref()
    }

    /// What the step's undo takes for its output: what it answered, or what its check came to,
    /// while the undo is about to be rendered.
    #[must_use]
    pub fn output_to_undo(&self) -> Option<&Payload> {
        let pending = self.undo.as_ref().filter(|undo| undo.status == UndoStatus::Pending);
        let found = || pending?.check.as_ref()?.found();
        self.output.as_ref().or_else(found)
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

/// What became of asking a service whether a step took effect. While it is being asked, its
/// attempts, input and failure are those of the undo.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckState {
    /// Attempts made, of the undo's, once there is a verdict.
    pub attempts: u16,
    /// When its first attempt started, once there is a verdict.
    pub started_at: Option<Timestamp>,
    /// When there was a verdict.
    pub completed_at: Option<Timestamp>,
    /// What was asked, once there is a verdict.
    pub input: Option<Payload>,
    /// What the service answered.
    pub answer: Option<Payload>,
    /// What that means.
    pub verdict: Option<CheckVerdict>,
}

/// What an answer to a check means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckVerdict {
    /// The step took effect; this stands for its output, if it is not the answer itself.
    TookEffect(Option<Payload>),
    /// It did not: there is nothing to undo.
    NoEffect,
}

impl CheckState {
    /// What stands for the output of the step, which took effect.
    #[must_use]
    pub fn found(&self) -> Option<&Payload> {
        match self.verdict.as_ref()? {
            CheckVerdict::TookEffect(output) => output.as_ref().or(self.answer.as_ref()),
            CheckVerdict::NoEffect => None,
        }
    }
}

impl UndoState {
    /// How many attempts its check had: those of the undo itself come after them.
    #[must_use]
    pub fn attempts_before(&self) -> u16 {
        match &self.check {
            Some(_) if self.asks() => self.attempt,
            Some(check) => check.attempts,
            None => 0,
        }
    }

    /// Whether a service is being asked whether there is anything to undo, or was and did not say.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.check.as_ref().is_some_and(|check| check.verdict.is_none())
    }

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
            check: None,
            stands: false,
            released: false,
        }
    }

    /// The status word that is shown.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self.status {
            status if self.asks() && !status.is_settled() => "checking",
            UndoStatus::Pending => "pending",
            UndoStatus::Ready => "ready",
            UndoStatus::Running | UndoStatus::Answered => "running",
            UndoStatus::Faulted | UndoStatus::Retrying => "retrying",
            UndoStatus::Succeeded => "succeeded",
            UndoStatus::Failed => "failed",
            UndoStatus::Waiting => "waiting",
            UndoStatus::Skipped => "skipped",
        }
    }
}
