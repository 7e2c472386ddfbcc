//! Every payload of an event: to look at, and to change.
//!
//! Each match names every variant, so that a new one is a question to whoever adds it; a test
//! of the journal counts what is met here against what is written.

use super::{Event, PartitionEvent, RedriveEvent, ReplayEvent, RunEvent, WorkflowEvent};
use crate::failure::Failure;
use crate::payload::Payload;

impl Event {
    /// Visits every payload.
    pub fn for_each_payload(&self, visit: &mut dyn FnMut(&Payload)) {
        match self {
            Self::Run(event) => event.for_each_payload(visit),
            Self::Replay(ReplayEvent::Requested(request)) => visit(&request.filter),
            Self::Redrive(RedriveEvent::Requested(request)) => visit(&request.terms),
            Self::Workflow(
                WorkflowEvent::DefinitionPart { .. }
                | WorkflowEvent::Defined { .. }
                | WorkflowEvent::Kept { .. }
                | WorkflowEvent::SourceKept { .. }
                | WorkflowEvent::Rollout(_)
                | WorkflowEvent::Availability(_)
                | WorkflowEvent::Adapted { .. },
            )
            | Self::Partition(
                PartitionEvent::RunsRemoved { .. }
                | PartitionEvent::PayloadErased { .. }
                | PartitionEvent::LogCut { .. }
                | PartitionEvent::Restored { .. }
                | PartitionEvent::RunsImported { .. }
                | PartitionEvent::RetentionPolicySet { .. }
                | PartitionEvent::CacheEmptied { .. }
                | PartitionEvent::BreakerSet { .. }
                | PartitionEvent::RedrivesRemoved { .. }
                | PartitionEvent::ApiKey(_)
                | PartitionEvent::CallbackTried { .. }
                | PartitionEvent::Object(_)
                | PartitionEvent::LogLevelsSet { .. }
                | PartitionEvent::SettingsReloaded { .. },
            )
            | Self::Replay(
                ReplayEvent::Advanced { .. }
                | ReplayEvent::Stopped { .. }
                | ReplayEvent::Resumed { .. }
                | ReplayEvent::Completed { .. },
            )
            | Self::Redrive(
                RedriveEvent::Claimed { .. }
                | RedriveEvent::Observed { .. }
                | RedriveEvent::Halted { .. }
                | RedriveEvent::Resumed { .. }
                | RedriveEvent::Cancelled { .. }
                | RedriveEvent::Completed,
            ) => {}
        }
    }

    /// Visits every payload to change it.
    pub fn for_each_payload_mut(&mut self, visit: &mut dyn FnMut(&mut Payload)) {
        match self {
            Self::Run(event) => event.for_each_payload_mut(visit),
            Self::Replay(ReplayEvent::Requested(request)) => visit(&mut request.filter),
            Self::Redrive(RedriveEvent::Requested(request)) => visit(&mut request.terms),
            Self::Workflow(
                WorkflowEvent::DefinitionPart { .. }
                | WorkflowEvent::Defined { .. }
                | WorkflowEvent::Kept { .. }
                | WorkflowEvent::SourceKept { .. }
                | WorkflowEvent::Rollout(_)
                | WorkflowEvent::Availability(_)
                | WorkflowEvent::Adapted { .. },
            )
            | Self::Partition(
                PartitionEvent::RunsRemoved { .. }
                | PartitionEvent::PayloadErased { .. }
                | PartitionEvent::LogCut { .. }
                | PartitionEvent::Restored { .. }
                | PartitionEvent::RunsImported { .. }
                | PartitionEvent::RetentionPolicySet { .. }
                | PartitionEvent::CacheEmptied { .. }
                | PartitionEvent::BreakerSet { .. }
                | PartitionEvent::RedrivesRemoved { .. }
                | PartitionEvent::ApiKey(_)
                | PartitionEvent::CallbackTried { .. }
                | PartitionEvent::Object(_)
                | PartitionEvent::LogLevelsSet { .. }
                | PartitionEvent::SettingsReloaded { .. },
            )
            | Self::Replay(
                ReplayEvent::Advanced { .. }
                | ReplayEvent::Stopped { .. }
                | ReplayEvent::Resumed { .. }
                | ReplayEvent::Completed { .. },
            )
            | Self::Redrive(
                RedriveEvent::Claimed { .. }
                | RedriveEvent::Observed { .. }
                | RedriveEvent::Halted { .. }
                | RedriveEvent::Resumed { .. }
                | RedriveEvent::Cancelled { .. }
                | RedriveEvent::Completed,
            ) => {}
        }
    }
}

impl RunEvent {
    /// Visits every payload.
    pub fn for_each_payload(&self, visit: &mut dyn FnMut(&Payload)) {
        match self {
            Self::Submitted(own) => {
                visit(&own.input);
                visit(&own.variables);
            }
            Self::StepReady { input: payload, .. }
            | Self::StepSucceeded { output: payload, .. }
            | Self::UndoReady { input: payload, .. }
            | Self::UndoSucceeded { output: payload, .. } => visit(payload),
            Self::RunEnded { output, .. } => output.iter().for_each(visit),
            Self::Control(event) => event.payload().into_iter().for_each(visit),
            Self::Graph(event) => event.payload().into_iter().for_each(visit),
            Self::Link(event) => event.payload().into_iter().for_each(visit),
            Self::Fork(event) => event.for_each_payload(visit),
            Self::Letter(event) => event.payload().into_iter().for_each(visit),
            Self::Unwind(event) => event.payload().into_iter().for_each(visit),
            Self::StepAttemptFailed { failure, .. }
            | Self::StepFailed { failure, .. }
            | Self::RunFailing { failure, .. }
            | Self::UndoAttemptFailed { failure, .. }
            | Self::UndoFailed { failure, .. }
            | Self::LetterOpened { failure, .. }
            | Self::CallbackAttemptFailed { failure, .. }
            | Self::CallbackFailed { failure, .. } => {
                let Failure { details, code: _, message: _, class: _, effect: _ } = failure;
                details.iter().for_each(visit);
            }
            Self::StepWaiting { .. }
            | Self::StepStarted { .. }
            | Self::StepTimedOut { .. }
            | Self::StepAttemptLost { .. }
            | Self::StepRetryScheduled { .. }
            | Self::StepSkipped { .. }
            | Self::StepsPruned { .. }
            | Self::StepCancelled { .. }
            | Self::CancelRequested { .. }
            | Self::DeadlinePassed
            | Self::UnwindingStarted
            | Self::UndoStarted { .. }
            | Self::UndoRetryScheduled { .. }
            | Self::RunSuspended { .. }
            | Self::LetterRetried { .. }
            | Self::LetterDiscarded { .. }
            | Self::CallbackScheduled { .. }
            | Self::CallbackDelivered { .. }
            | Self::Service(_)
            | Self::Delivery(_)
            | Self::Tagged { .. } => {}
        }
    }

    /// Visits every payload to change it.
    pub fn for_each_payload_mut(&mut self, visit: &mut dyn FnMut(&mut Payload)) {
        match self {
            Self::Submitted(own) => {
                visit(&mut own.input);
                visit(&mut own.variables);
            }
            Self::StepReady { input: payload, .. }
            | Self::StepSucceeded { output: payload, .. }
            | Self::UndoReady { input: payload, .. }
            | Self::UndoSucceeded { output: payload, .. } => visit(payload),
            Self::RunEnded { output, .. } => output.iter_mut().for_each(visit),
            Self::Control(event) => event.payload_mut().into_iter().for_each(visit),
            Self::Graph(event) => event.payload_mut().into_iter().for_each(visit),
            Self::Link(event) => event.payload_mut().into_iter().for_each(visit),
            Self::Fork(event) => event.for_each_payload_mut(visit),
            Self::Letter(event) => event.payload_mut().into_iter().for_each(visit),
            Self::Unwind(event) => event.payload_mut().into_iter().for_each(visit),
            Self::StepAttemptFailed { failure, .. }
            | Self::StepFailed { failure, .. }
            | Self::RunFailing { failure, .. }
            | Self::UndoAttemptFailed { failure, .. }
            | Self::UndoFailed { failure, .. }
            | Self::LetterOpened { failure, .. }
            | Self::CallbackAttemptFailed { failure, .. }
            | Self::CallbackFailed { failure, .. } => {
                let Failure { details, code: _, message: _, class: _, effect: _ } = failure;
                details.iter_mut().for_each(visit);
            }
            Self::StepWaiting { .. }
            | Self::StepStarted { .. }
            | Self::StepTimedOut { .. }
            | Self::StepAttemptLost { .. }
            | Self::StepRetryScheduled { .. }
            | Self::StepSkipped { .. }
            | Self::StepsPruned { .. }
            | Self::StepCancelled { .. }
            | Self::CancelRequested { .. }
            | Self::DeadlinePassed
            | Self::UnwindingStarted
            | Self::UndoStarted { .. }
            | Self::UndoRetryScheduled { .. }
            | Self::RunSuspended { .. }
            | Self::LetterRetried { .. }
            | Self::LetterDiscarded { .. }
            | Self::CallbackScheduled { .. }
            | Self::CallbackDelivered { .. }
            | Self::Service(_)
            | Self::Delivery(_)
            | Self::Tagged { .. } => {}
        }
    }

    /// Bytes of all its payloads.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        let mut bytes = 0_usize;
        self.for_each_payload(&mut |own| bytes = bytes.saturating_add(own.length_bytes()));
        bytes
    }
}
