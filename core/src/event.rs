//! The format: every fact the journal can hold.
//!
//! Variants are added at the end and never edited; bytes written by any version decode for
//! ever (golden files in `tests/golden`). Events say what happened, with everything a fold
//! needs: folding evaluates no template and reads no clock.

mod alert;
mod api_key;
mod control;
mod delivery;
mod fault;
mod fork;
mod form;
mod graph;
mod letter;
mod link;
mod message;
mod object;
mod outcome;
mod partition;
mod payloads;
mod redrive;
mod replay;
mod rollout;
mod service;
mod submitted;
mod unwind;
mod workflow;

use std::sync::Arc;

pub use alert::{Alert, AlertOf, Severity};
pub use api_key::ApiKeyEvent;
pub use control::ControlEvent;
pub use delivery::{AboutStep, DeliveryEvent, Target, targets_given};
pub use fault::{Fault, FaultKind};
pub use fork::{ForkEvent, ForkOrigin, KeptStatus, KeptStep};
pub use form::{BodyForm, CallbackForm, Furnished};
pub use graph::{GraphEvent, LimitKey, Number};
pub use letter::LetterEvent;
pub use link::{ItemCounts, Items, LinkEvent, OnLimit, Origin, Parent, Priority, SlotKey};
pub use message::Message;
pub use object::{ObjectEvent, ObjectKind};
pub use outcome::{Compensation, Outcome, Recourse, SuspendReason};
pub use partition::{PartitionEvent, SettingChanged};
pub use redrive::{ClaimedLetter, RedriveEvent, RedriveOutcome, RedriveRequest};
pub use replay::{ReplayEvent, ReplayRequest};
pub use rollout::{Arm, Beta, Buckets, Rollout, RolloutEvent};
use serde::{Deserialize, Serialize};
pub use service::{BreakerOrder, Hold, HoldReason, ServiceEvent};
pub use submitted::{Callback, CallbackEvent, Submitted};
pub use unwind::{UndoSettlement, UnwindEvent};
pub use workflow::{Applied, AvailabilityEvent, WorkflowEvent};

use crate::failure::Failure;
use crate::ids::{ExecutionId, StepIndex};
use crate::payload::Payload;
use crate::time::Timestamp;

/// One fact of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// Of a run.
    Run(RunEvent),
    /// Of a workflow and its revisions.
    Workflow(WorkflowEvent),
    /// Of a partition as a whole.
    Partition(PartitionEvent),
    /// Of a replay of recorded events.
    Replay(ReplayEvent),
    /// Of a redrive of dead letters.
    Redrive(RedriveEvent),
}

/// What happens to one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunEvent {
    /// The run exists; its revision and inputs are pinned.
    Submitted(Box<Submitted>),
    /// All needs are met; the input is rendered and stays for every attempt of the round.
    StepReady {
        /// Which step.
        step: StepIndex,
        /// Rises only when the step is deliberately run again.
        round: u16,
        /// The rendered `with`.
        input: Payload,
    },
    /// A `wait` step sleeps until an instant.
    StepWaiting {
        /// Which step.
        step: StepIndex,
        /// When it succeeds.
        due_at: Timestamp,
    },
    /// An attempt is about to be handed to its executor.
    StepStarted {
        /// Which step.
        step: StepIndex,
        /// Counts attempts over all rounds, from 1.
        attempt: u16,
    },
    /// The step took effect.
    StepSucceeded {
        /// Which step.
        step: StepIndex,
        /// The attempt that answered; 0 for pure steps.
        attempt: u16,
        /// What it answered.
        output: Payload,
    },
    /// An attempt answered with an error.
    StepAttemptFailed {
        /// Which step.
        step: StepIndex,
        /// Which attempt.
        attempt: u16,
        /// Why.
        failure: Failure,
        /// The wait drawn for the next attempt, should there be one.
        retry_delay_ms: u64,
    },
    /// An attempt ran past its timeout; nobody knows whether it took effect.
    StepTimedOut {
        /// Which step.
        step: StepIndex,
        /// Which attempt.
        attempt: u16,
        /// The timeout it had.
        timeout_ms: u64,
        /// The wait drawn for the next attempt, should there be one.
        retry_delay_ms: u64,
    },
    /// The process went away under an attempt; nobody knows whether it took effect.
    StepAttemptLost {
        /// Which step.
        step: StepIndex,
        /// Which attempt.
        attempt: u16,
    },
    /// The step will be tried again.
    StepRetryScheduled {
        /// Which step.
        step: StepIndex,
        /// When the next attempt starts.
        due_at: Timestamp,
    },
    /// The step is out of retries, or failed for good.
    StepFailed {
        /// Which step.
        step: StepIndex,
        /// The last failure.
        failure: Failure,
    },
    /// The step's own condition was false; it counts as done.
    StepSkipped {
        /// Which step.
        step: StepIndex,
    },
    /// Steps that can no longer run: a need failed, or all needs were pruned.
    StepsPruned {
        /// Which steps, ascending.
        steps: Vec<StepIndex>,
    },
    /// A waiting or retrying step is given up because the run fails or is cancelled.
    StepCancelled {
        /// Which step.
        step: StepIndex,
    },
    /// Somebody wants the run to stop.
    CancelRequested {
        /// In their words.
        reason: String,
        /// Who.
        actor: String,
        /// Whether what was done is to be undone.
        compensate: bool,
    },
    /// The run passed its timeout.
    DeadlinePassed,
    /// The run will not complete; no forward step starts any more.
    RunFailing {
        /// Why.
        failure: Failure,
        /// The step at fault, if one was.
        step: Option<StepIndex>,
        /// What is done about it.
        recourse: Recourse,
    },
    /// Nothing forward is in flight any more and the undos begin.
    UnwindingStarted,
    /// Everything that needed the step is undone; the undo's input is rendered.
    UndoReady {
        /// Which step.
        step: StepIndex,
        /// The rendered `undo.with`.
        input: Payload,
    },
    /// An undo's attempt is about to be handed to its executor.
    UndoStarted {
        /// Which step.
        step: StepIndex,
        /// Counts attempts of this undo, from 1.
        attempt: u16,
    },
    /// The step is undone.
    UndoSucceeded {
        /// Which step.
        step: StepIndex,
        /// The attempt that answered.
        attempt: u16,
        /// What it answered.
        output: Payload,
    },
    /// An undo's attempt failed, timed out or was lost.
    UndoAttemptFailed {
        /// Which step.
        step: StepIndex,
        /// Which attempt.
        attempt: u16,
        /// Why.
        failure: Failure,
        /// The wait drawn for the next attempt, should there be one.
        retry_delay_ms: u64,
    },
    /// The undo will be tried again.
    UndoRetryScheduled {
        /// Which step.
        step: StepIndex,
        /// When the next attempt starts.
        due_at: Timestamp,
    },
    /// The undo is out of retries, or cannot be made; the others go on.
    UndoFailed {
        /// Which step.
        step: StepIndex,
        /// Why.
        failure: Failure,
    },
    /// The run waits for an operator.
    RunSuspended {
        /// For what.
        reason: SuspendReason,
    },
    /// The run has its outcome. Callbacks and letters may still be open.
    RunEnded {
        /// The final word.
        outcome: Outcome,
        /// What became of the undos.
        compensation: Compensation,
        /// The rendered `outputs`, for a completed run.
        output: Option<Payload>,
    },
    /// An operation ran out of retries and is kept for a person.
    LetterOpened {
        /// Counts the run's letters from 0.
        letter: u32,
        /// Which operation.
        subject: LetterSubject,
        /// Its last failure.
        failure: Failure,
    },
    /// A person has the operation tried again.
    LetterRetried {
        /// Which letter.
        letter: u32,
        /// Who.
        actor: String,
        /// For the step of a compensated run: the new run that starts over.
        linked: Option<ExecutionId>,
    },
    /// A person gives the operation up.
    LetterDiscarded {
        /// Which letter.
        letter: u32,
        /// Who.
        actor: String,
        /// In their words.
        reason: String,
    },
    /// A callback is owed to somebody.
    CallbackScheduled {
        /// Counts the run's deliveries from 0.
        delivery: u32,
        /// What it reports.
        event: CallbackEvent,
        /// Where it goes.
        url: String,
    },
    /// The callback was received.
    CallbackDelivered {
        /// Which delivery.
        delivery: u32,
        /// Which attempt.
        attempt: u16,
        /// The status it was answered with.
        status: u16,
    },
    /// A callback's attempt was not received.
    CallbackAttemptFailed {
        /// Which delivery.
        delivery: u32,
        /// Which attempt.
        attempt: u16,
        /// Why.
        failure: Failure,
        /// When the next attempt is due, should there be one.
        retry_at: Option<Timestamp>,
    },
    /// The callback is out of retries.
    CallbackFailed {
        /// Which delivery.
        delivery: u32,
        /// The last failure.
        failure: Failure,
    },
    /// The run's tags: those of its definition and of its submission together. Comes right
    /// behind `Submitted`, in the same commit, if there are any.
    Tagged {
        /// Ascending, each once.
        tags: Vec<Arc<str>>,
    },
    /// What people and signals do to the run.
    Control(ControlEvent),
    /// What the richer words of the graph bring about.
    Graph(GraphEvent),
    /// What ties the run to others.
    Link(LinkEvent),
    /// What makes it go on from another's steps.
    Fork(ForkEvent),
    /// What stands between it and the services it calls.
    Service(ServiceEvent),
    /// What people do about a dead letter before it is settled.
    Letter(LetterEvent),
    /// What stops the way back, and what people do about it.
    Unwind(UnwindEvent),
    /// What becomes of callbacks in a form of their own, about steps, or sent again.
    Delivery(DeliveryEvent),
}

impl RunEvent {
    /// Whether it stands right behind the submission, in the same commit, or nowhere.
    #[must_use]
    pub fn belongs_to_the_beginning(&self) -> bool {
        matches!(
            self,
            Self::Tagged { .. }
                | Self::Link(LinkEvent::Origin(_) | LinkEvent::Keyed { .. } | LinkEvent::Traced(_))
                | Self::Delivery(
                    DeliveryEvent::Targeted { .. } | DeliveryEvent::AlertsPinned { .. }
                )
                | Self::Fork(ForkEvent::Begun(_))
                | Self::Service(ServiceEvent::FaultsPlanned { .. })
        )
    }
}

/// The operation a dead letter is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LetterSubject {
    /// A step.
    Step(StepIndex),
    /// A step's undo.
    Undo(StepIndex),
    /// A callback, by its delivery number.
    Callback(u32),
}
