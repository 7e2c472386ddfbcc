//! The transition tables: every arrow a step, an undo, a callback and a run can take.
//!
//! `evolve` follows these tables and nothing else; `docs/transitions.md` is printed from them.

use std::fmt::Debug;

use serde::{Deserialize, Serialize};

use crate::event::Outcome;

/// Where a step stands on its way forward. What is shown (see [`crate::state::StepState::word`])
/// merges this with its undo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum StepStatus {
    /// Some need is not settled yet.
    Pending,
    /// Its input is rendered.
    Ready,
    /// Sleeps until an instant or a signal.
    Waiting,
    /// An attempt is with an executor.
    Running,
    /// An attempt did not succeed and what follows is not decided yet.
    Faulted,
    /// Waits for its next attempt.
    Retrying,
    /// Done.
    Succeeded,
    /// Out of retries.
    Failed,
    /// Its condition was false.
    Skipped,
    /// It can no longer run.
    Pruned,
    /// Given up because the run failed or was cancelled.
    Cancelled,
}

impl StepStatus {
    /// Whether the step has its result, unless it is started over.
    #[must_use]
    pub fn is_settled(self) -> bool {
        match self {
            Self::Succeeded | Self::Failed | Self::Skipped | Self::Pruned | Self::Cancelled => true,
            Self::Pending
            | Self::Ready
            | Self::Waiting
            | Self::Running
            | Self::Faulted
            | Self::Retrying => false,
        }
    }
}

/// What can happen to a step on its way forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StepMove {
    /// `StepReady`.
    Ready,
    /// `StepWaiting`, `StepAwaitsSignal`.
    Wait,
    /// `StepStarted`.
    Start,
    /// `StepSucceeded`, `StepSignalled`.
    Succeed,
    /// `StepAttemptFailed`, `StepTimedOut`, `StepAttemptLost`, `StepLimitPassed`.
    Fault,
    /// `StepRetryScheduled`.
    Retry,
    /// `StepFailed`.
    Fail,
    /// `StepSkipped`.
    Skip,
    /// `StepsPruned`.
    Prune,
    /// `StepCancelled`, and the steps left over when a run ends.
    Cancel,
    /// `LetterRetried` for the step itself, or for a step of the halted run it belongs to.
    Reopen,
    /// `StepOverridden` with an output.
    SetOutput,
    /// `StepOverridden` without one.
    SkipByHand,
}

/// The arrows of a step.
pub const STEP_ARROWS: &[(StepStatus, StepMove, StepStatus)] = {
    use StepMove as M;
    use StepStatus as S;
    &[
        (S::Pending, M::Ready, S::Ready),
        (S::Pending, M::Skip, S::Skipped),
        (S::Pending, M::Prune, S::Pruned),
        (S::Pending, M::Fail, S::Failed),
        (S::Pending, M::Cancel, S::Cancelled),
        (S::Ready, M::Start, S::Running),
        (S::Ready, M::Wait, S::Waiting),
        (S::Ready, M::Succeed, S::Succeeded),
        (S::Ready, M::Fail, S::Failed),
        (S::Ready, M::Cancel, S::Cancelled),
        (S::Waiting, M::Succeed, S::Succeeded),
        (S::Waiting, M::Fail, S::Failed),
        (S::Waiting, M::Cancel, S::Cancelled),
        (S::Running, M::Succeed, S::Succeeded),
        (S::Running, M::Fault, S::Faulted),
        (S::Ready, M::Fault, S::Faulted),
        (S::Waiting, M::Fault, S::Faulted),
        (S::Retrying, M::Fault, S::Faulted),
        (S::Faulted, M::Retry, S::Retrying),
        (S::Faulted, M::Fail, S::Failed),
        (S::Faulted, M::Cancel, S::Cancelled),
        (S::Retrying, M::Start, S::Running),
        (S::Retrying, M::Cancel, S::Cancelled),
        (S::Failed, M::Reopen, S::Pending),
        (S::Cancelled, M::Reopen, S::Pending),
        (S::Pending, M::SetOutput, S::Succeeded),
        (S::Ready, M::SetOutput, S::Succeeded),
        (S::Waiting, M::SetOutput, S::Succeeded),
        (S::Retrying, M::SetOutput, S::Succeeded),
        (S::Failed, M::SetOutput, S::Succeeded),
        (S::Pending, M::SkipByHand, S::Skipped),
        (S::Ready, M::SkipByHand, S::Skipped),
        (S::Waiting, M::SkipByHand, S::Skipped),
        (S::Retrying, M::SkipByHand, S::Skipped),
        (S::Failed, M::SkipByHand, S::Skipped),
    ]
};

/// Where a step's undo stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum UndoStatus {
    /// Needed; something that depends on the step is not undone yet, or it is about to be readied.
    Pending,
    /// Its input is rendered.
    Ready,
    /// An attempt is with an executor.
    Running,
    /// An attempt did not succeed and what follows is not decided yet.
    Faulted,
    /// Waits for its next attempt.
    Retrying,
    /// The step is undone.
    Succeeded,
    /// Out of retries, or it can't be made.
    Failed,
    /// The step has none, and a person is to say what becomes of what it did.
    Waiting,
    /// A person lets what the step did stand, or there is nothing to undo.
    Skipped,
    /// Its service was asked whether there is anything to undo, and what its answer means is not
    /// decided yet.
    Answered,
}

impl UndoStatus {
    /// Whether the undo has its result, unless it is opened again.
    #[must_use]
    pub fn is_settled(self) -> bool {
        match self {
            Self::Succeeded | Self::Failed | Self::Skipped => true,
            Self::Pending
            | Self::Ready
            | Self::Running
            | Self::Faulted
            | Self::Retrying
            | Self::Answered
            | Self::Waiting => false,
        }
    }
}

/// What can happen to an undo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UndoMove {
    /// `UndoReady`, `CheckReady`.
    Ready,
    /// `UndoStarted`.
    Start,
    /// `UndoSucceeded`.
    Succeed,
    /// `UndoAttemptFailed`, `UndosSettled` that sets it aside.
    Fault,
    /// `UndoRetryScheduled`.
    Retry,
    /// `UndoFailed`.
    Fail,
    /// `LetterRetried`.
    Reopen,
    /// `UndoAwaited`.
    Await,
    /// `UndosSettled` by hand.
    DoByHand,
    /// `UndosSettled` by letting it stand.
    LetStand,
    /// `CheckAnswered`.
    Answer,
    /// `CheckConcluded`: the step took effect.
    GoAhead,
    /// `CheckConcluded`: it did not.
    Spare,
}

/// The arrows of an undo.
pub const UNDO_ARROWS: &[(UndoStatus, UndoMove, UndoStatus)] = {
    use UndoMove as M;
    use UndoStatus as S;
    &[
        (S::Pending, M::Ready, S::Ready),
        (S::Pending, M::Fail, S::Failed),
        (S::Ready, M::Start, S::Running),
        (S::Running, M::Succeed, S::Succeeded),
        (S::Running, M::Fault, S::Faulted),
        (S::Faulted, M::Retry, S::Retrying),
        (S::Faulted, M::Fail, S::Failed),
        (S::Retrying, M::Start, S::Running),
        (S::Ready, M::Fail, S::Failed),
        (S::Running, M::Fail, S::Failed),
        (S::Retrying, M::Fail, S::Failed),
        (S::Failed, M::Reopen, S::Pending),
        (S::Pending, M::Await, S::Waiting),
        (S::Waiting, M::DoByHand, S::Succeeded),
        (S::Waiting, M::LetStand, S::Skipped),
        (S::Waiting, M::Fault, S::Faulted),
        (S::Waiting, M::Fail, S::Failed),
        (S::Failed, M::DoByHand, S::Succeeded),
        (S::Running, M::Answer, S::Answered),
        (S::Answered, M::GoAhead, S::Pending),
        (S::Answered, M::Spare, S::Skipped),
        (S::Answered, M::Fail, S::Failed),
    ]
};

/// Where a callback's delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DeliveryStatus {
    /// Owed: to be sent now or at its next due time.
    Owed,
    /// Received.
    Delivered,
    /// An attempt was the last one and what follows is not decided yet.
    Faulted,
    /// Out of retries.
    Failed,
}

/// What can happen to a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeliveryMove {
    /// `CallbackDelivered`.
    Deliver,
    /// `CallbackAttemptFailed` with a next attempt.
    Retry,
    /// `CallbackAttemptFailed` without one.
    Fault,
    /// `CallbackFailed`.
    Fail,
    /// `LetterRetried`.
    Reopen,
    /// `CallbackSentAgain`.
    SendAgain,
}

/// The arrows of a delivery.
pub const DELIVERY_ARROWS: &[(DeliveryStatus, DeliveryMove, DeliveryStatus)] = {
    use DeliveryMove as M;
    use DeliveryStatus as S;
    &[
        (S::Owed, M::Deliver, S::Delivered),
        (S::Owed, M::Retry, S::Owed),
        (S::Owed, M::Fault, S::Faulted),
        (S::Faulted, M::Fail, S::Failed),
        (S::Failed, M::Reopen, S::Owed),
        (S::Delivered, M::SendAgain, S::Owed),
    ]
};

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// Steps start as their needs are settled.
    Forward,
    /// No step starts any more; what is in flight ends.
    Failing,
    /// Nothing starts until an operator acts.
    Suspended,
    /// Undos run.
    Unwinding,
    /// It has its final word.
    Ended,
}

/// What can happen to a run as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PhaseMove {
    /// `RunFailing`.
    Fail,
    /// `RunSuspended`.
    Suspend,
    /// `UnwindingStarted`.
    Unwind,
    /// `RunEnded`.
    End,
    /// `LetterRetried` for the last failed step, `Resumed`, `PartialUnwindingEnded`.
    ReopenForward,
    /// `LetterRetried` for an undo, `UndosSettled` by hand for one that had failed; in a run that
    /// waits for that, `LetterDiscarded` too.
    ReopenUnwinding,
    /// `RollbackRequested`.
    RollBack,
    /// `PartialUnwindingStarted`.
    UnwindPart,
}

/// The arrows of a run.
pub const PHASE_ARROWS: &[(Phase, PhaseMove, Phase)] = {
    use Phase as P;
    use PhaseMove as M;
    &[
        (P::Forward, M::Fail, P::Failing),
        (P::Forward, M::Suspend, P::Suspended),
        (P::Forward, M::End, P::Ended),
        (P::Forward, M::UnwindPart, P::Unwinding),
        (P::Forward, M::RollBack, P::Failing),
        (P::Failing, M::Fail, P::Failing),
        (P::Failing, M::Suspend, P::Suspended),
        (P::Failing, M::Unwind, P::Unwinding),
        (P::Failing, M::UnwindPart, P::Unwinding),
        (P::Failing, M::End, P::Ended),
        (P::Suspended, M::Fail, P::Failing),
        (P::Suspended, M::ReopenForward, P::Forward),
        (P::Suspended, M::ReopenUnwinding, P::Unwinding),
        (P::Suspended, M::RollBack, P::Failing),
        (P::Unwinding, M::Fail, P::Failing),
        (P::Unwinding, M::Suspend, P::Suspended),
        (P::Unwinding, M::ReopenForward, P::Forward),
        (P::Unwinding, M::End, P::Ended),
        (P::Unwinding, M::ReopenUnwinding, P::Unwinding),
        (P::Ended, M::ReopenForward, P::Forward),
        (P::Ended, M::ReopenUnwinding, P::Unwinding),
        (P::Ended, M::RollBack, P::Failing),
    ]
};

/// Follows one arrow of a table.
pub(crate) fn follow<S: Copy + PartialEq + Debug, M: Copy + PartialEq + Debug>(
    arrows: &[(S, M, S)],
    from: S,
    by: M,
) -> Result<S, String> {
    arrows
        .iter()
        .find(|(start, step, _)| *start == from && *step == by)
        .map(|&(_, _, to)| to)
        .ok_or_else(|| format!("no arrow {by:?} from {from:?}"))
}

/// The tables as one Markdown page.
#[must_use]
pub fn markdown() -> String {
    let mut page = String::from(
        "# Transitions\n\nPrinted from `core/src/arrows.rs` by a test; do not edit. Each row is \
         an arrow that\n`evolve` follows; whatever is not here is refused.\n",
    );
    table(&mut page, "A run", PHASE_ARROWS);
    table(&mut page, "A step, forward", STEP_ARROWS);
    table(&mut page, "A step's undo", UNDO_ARROWS);
    table(&mut page, "A callback's delivery", DELIVERY_ARROWS);
    page.push_str("\n## Final words\n\n");
    for outcome in [
        Outcome::Completed,
        Outcome::Failed,
        Outcome::Compensated,
        Outcome::CompensationFailed,
        Outcome::Cancelled,
    ] {
        page.push_str(&format!("- {outcome:?}\n"));
    }
    page
}

fn table<S: Debug, M: Debug>(page: &mut String, title: &str, arrows: &[(S, M, S)]) {
    page.push_str(&format!("\n## {title}\n\n| from | by | to |\n|---|---|---|\n"));
    for (from, by, to) in arrows {
        page.push_str(&format!("| {from:?} | {by:?} | {to:?} |\n"));
    }
}
