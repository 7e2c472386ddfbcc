//! The type word of each event, without its data: what filters look at.

use crate::event::{
    ApiKeyEvent, AvailabilityEvent, ControlEvent, DeliveryEvent, Event, ForkEvent, GraphEvent,
    LetterEvent, LinkEvent, ObjectEvent, PartitionEvent, RedriveEvent, ReplayEvent, RolloutEvent,
    RunEvent, ServiceEvent, UnwindEvent, WorkflowEvent,
};

/// Every type word there is, in the order of the format.
pub const EVENT_TYPES: [&str; 121] = [
    "ExecutionSubmitted",
    "ExecutionTagged",
    "StepReady",
    "StepWaiting",
    "StepStarted",
    "StepSucceeded",
    "StepAttemptFailed",
    "StepTimedOut",
    "StepAttemptLost",
    "StepRetryScheduled",
    "StepFailed",
    "StepSkipped",
    "StepsPruned",
    "StepCancelled",
    "CancelRequested",
    "DeadlinePassed",
    "ExecutionFailing",
    "UnwindingStarted",
    "UndoReady",
    "UndoStarted",
    "UndoSucceeded",
    "UndoAttemptFailed",
    "UndoRetryScheduled",
    "UndoFailed",
    "ExecutionSuspended",
    "ExecutionEnded",
    "DeadLetterOpened",
    "DeadLetterRetried",
    "DeadLetterDiscarded",
    "CallbackScheduled",
    "CallbackDelivered",
    "CallbackAttemptFailed",
    "CallbackFailed",
    "ExecutionPaused",
    "ExecutionResumed",
    "StepOverridden",
    "RollbackRequested",
    "CancelForced",
    "SignalReceived",
    "RouteChosen",
    "StepAwaitsSignal",
    "StepSignalled",
    "StepCacheHit",
    "StepLimitPassed",
    "SlaBreached",
    "StepKeyed",
    "NumbersSet",
    "ExecutionOrigin",
    "MessagePosted",
    "MessageAcknowledged",
    "MessageReceived",
    "LoopBegun",
    "ChunkEnded",
    "ChunkUndone",
    "ExecutionKeyed",
    "ExecutionTraced",
    "ForkBegun",
    "StepKept",
    "ForkStarted",
    "ExecutionForked",
    "ForkDropped",
    "ExecutionMigrated",
    "CallHeld",
    "CallRefused",
    "CallbackHeld",
    "FaultsPlanned",
    "DeadLetterAssigned",
    "DeadLetterNoted",
    "DeadLetterEdited",
    "UndoAwaited",
    "UndosSettled",
    "CompensationTimedOut",
    "PartialUnwindingStarted",
    "PartialUnwindingEnded",
    "CheckReady",
    "CheckAnswered",
    "CheckConcluded",
    "CallbacksGiven",
    "AlertsPinned",
    "CallbackSentAgain",
    "DefinitionPart",
    "WorkflowDefined",
    "DefinitionKept",
    "DefinitionSourceKept",
    "RolloutSet",
    "RolloutKilled",
    "RolloutEnded",
    "WorkflowDisabled",
    "WorkflowEnabled",
    "WorkflowArchived",
    "WorkflowRestored",
    "WorkflowPurged",
    "DefinitionAdapted",
    "RunsRemoved",
    "PayloadErased",
    "LogCut",
    "Restored",
    "RunsImported",
    "RetentionPolicySet",
    "CacheEmptied",
    "BreakerSet",
    "RedrivesRemoved",
    "ApiKeyCreated",
    "ApiKeyRevoked",
    "CallbackTried",
    "ConfigurationSet",
    "ConfigurationRemoved",
    "LogLevelsSet",
    "SettingsReloaded",
    "ReplayRequested",
    "ReplayAdvanced",
    "ReplayStopped",
    "ReplayResumed",
    "ReplayCompleted",
    "RedriveRequested",
    "RedriveClaimed",
    "RedriveObserved",
    "RedriveHalted",
    "RedriveResumed",
    "RedriveCancelled",
    "RedriveCompleted",
];

/// The type words of runs' events: those before the first of another stream.
pub const RUN_EVENT_TYPES: &[&str] = EVENT_TYPES.split_at(80).0;

/// The type word of an event, as [`event_json`](super::event_json) answers it.
#[must_use]
pub fn event_type(event: &Event) -> &'static str {
    match event {
        Event::Run(event) => run_type(event),
        Event::Workflow(WorkflowEvent::DefinitionPart { .. }) => "DefinitionPart",
        Event::Workflow(WorkflowEvent::Defined { .. }) => "WorkflowDefined",
        Event::Workflow(WorkflowEvent::Kept { .. }) => "DefinitionKept",
        Event::Workflow(WorkflowEvent::SourceKept { .. }) => "DefinitionSourceKept",
        Event::Workflow(WorkflowEvent::Adapted { .. }) => "DefinitionAdapted",
        Event::Workflow(WorkflowEvent::Rollout(event)) => rollout_type(event),
        Event::Workflow(WorkflowEvent::Availability(event)) => availability_type(event),
        Event::Partition(event) => match event {
            PartitionEvent::RunsRemoved { .. } => "RunsRemoved",
            PartitionEvent::PayloadErased { .. } => "PayloadErased",
            PartitionEvent::LogCut { .. } => "LogCut",
            PartitionEvent::Restored { .. } => "Restored",
            PartitionEvent::RunsImported { .. } => "RunsImported",
            PartitionEvent::RetentionPolicySet { .. } => "RetentionPolicySet",
            PartitionEvent::CacheEmptied { .. } => "CacheEmptied",
            PartitionEvent::BreakerSet { .. } => "BreakerSet",
            PartitionEvent::RedrivesRemoved { .. } => "RedrivesRemoved",
            PartitionEvent::ApiKey(ApiKeyEvent::Created { .. }) => "ApiKeyCreated",
            PartitionEvent::ApiKey(ApiKeyEvent::Revoked { .. }) => "ApiKeyRevoked",
            PartitionEvent::CallbackTried { .. } => "CallbackTried",
            PartitionEvent::Object(ObjectEvent::Set { .. }) => "ConfigurationSet",
            PartitionEvent::Object(ObjectEvent::Removed { .. }) => "ConfigurationRemoved",
            PartitionEvent::LogLevelsSet { .. } => "LogLevelsSet",
            PartitionEvent::SettingsReloaded { .. } => "SettingsReloaded",
        },
        Event::Replay(event) => match event {
            ReplayEvent::Requested(_) => "ReplayRequested",
            ReplayEvent::Advanced { .. } => "ReplayAdvanced",
            ReplayEvent::Stopped { .. } => "ReplayStopped",
            ReplayEvent::Resumed { .. } => "ReplayResumed",
            ReplayEvent::Completed { .. } => "ReplayCompleted",
        },
        Event::Redrive(event) => redrive_type(event),
    }
}

pub(super) fn redrive_type(event: &RedriveEvent) -> &'static str {
    match event {
        RedriveEvent::Requested(_) => "RedriveRequested",
        RedriveEvent::Claimed { .. } => "RedriveClaimed",
        RedriveEvent::Observed { .. } => "RedriveObserved",
        RedriveEvent::Halted { .. } => "RedriveHalted",
        RedriveEvent::Resumed { .. } => "RedriveResumed",
        RedriveEvent::Cancelled { .. } => "RedriveCancelled",
        RedriveEvent::Completed => "RedriveCompleted",
    }
}

pub(super) fn rollout_type(event: &RolloutEvent) -> &'static str {
    match event {
        RolloutEvent::Set { .. } => "RolloutSet",
        RolloutEvent::Killed { .. } => "RolloutKilled",
        RolloutEvent::Ended { .. } => "RolloutEnded",
    }
}

pub(super) fn availability_type(event: &AvailabilityEvent) -> &'static str {
    match event {
        AvailabilityEvent::Disabled { .. } => "WorkflowDisabled",
        AvailabilityEvent::Enabled { .. } => "WorkflowEnabled",
        AvailabilityEvent::Archived { .. } => "WorkflowArchived",
        AvailabilityEvent::Restored { .. } => "WorkflowRestored",
        AvailabilityEvent::Purged { .. } => "WorkflowPurged",
    }
}

pub(super) fn run_type(event: &RunEvent) -> &'static str {
    match event {
        RunEvent::Submitted(_) => "ExecutionSubmitted",
        RunEvent::Tagged { .. } => "ExecutionTagged",
        RunEvent::StepReady { .. } => "StepReady",
        RunEvent::StepWaiting { .. } => "StepWaiting",
        RunEvent::StepStarted { .. } => "StepStarted",
        RunEvent::StepSucceeded { .. } => "StepSucceeded",
        RunEvent::StepAttemptFailed { .. } => "StepAttemptFailed",
        RunEvent::StepTimedOut { .. } => "StepTimedOut",
        RunEvent::StepAttemptLost { .. } => "StepAttemptLost",
        RunEvent::StepRetryScheduled { .. } => "StepRetryScheduled",
        RunEvent::StepFailed { .. } => "StepFailed",
        RunEvent::StepSkipped { .. } => "StepSkipped",
        RunEvent::StepsPruned { .. } => "StepsPruned",
        RunEvent::StepCancelled { .. } => "StepCancelled",
        RunEvent::CancelRequested { .. } => "CancelRequested",
        RunEvent::DeadlinePassed => "DeadlinePassed",
        RunEvent::RunFailing { .. } => "ExecutionFailing",
        RunEvent::UnwindingStarted => "UnwindingStarted",
        RunEvent::UndoReady { .. } => "UndoReady",
        RunEvent::UndoStarted { .. } => "UndoStarted",
        RunEvent::UndoSucceeded { .. } => "UndoSucceeded",
        RunEvent::UndoAttemptFailed { .. } => "UndoAttemptFailed",
        RunEvent::UndoRetryScheduled { .. } => "UndoRetryScheduled",
        RunEvent::UndoFailed { .. } => "UndoFailed",
        RunEvent::RunSuspended { .. } => "ExecutionSuspended",
        RunEvent::RunEnded { .. } => "ExecutionEnded",
        RunEvent::LetterOpened { .. } => "DeadLetterOpened",
        RunEvent::LetterRetried { .. } => "DeadLetterRetried",
        RunEvent::LetterDiscarded { .. } => "DeadLetterDiscarded",
        RunEvent::CallbackScheduled { .. } => "CallbackScheduled",
        RunEvent::CallbackDelivered { .. } => "CallbackDelivered",
        RunEvent::CallbackAttemptFailed { .. } => "CallbackAttemptFailed",
        RunEvent::CallbackFailed { .. } => "CallbackFailed",
        RunEvent::Control(event) => control_type(event),
        RunEvent::Graph(event) => graph_type(event),
        RunEvent::Link(event) => link_type(event),
        RunEvent::Fork(event) => fork_type(event),
        RunEvent::Service(event) => service_type(event),
        RunEvent::Letter(event) => letter_type(event),
        RunEvent::Unwind(event) => unwind_type(event),
        RunEvent::Delivery(event) => delivery_type(event),
    }
}

fn control_type(event: &ControlEvent) -> &'static str {
    match event {
        ControlEvent::Paused { .. } => "ExecutionPaused",
        ControlEvent::Resumed { .. } => "ExecutionResumed",
        ControlEvent::StepOverridden { .. } => "StepOverridden",
        ControlEvent::RollbackRequested { .. } => "RollbackRequested",
        ControlEvent::CancelForced { .. } => "CancelForced",
        ControlEvent::SignalReceived { .. } => "SignalReceived",
    }
}

fn graph_type(event: &GraphEvent) -> &'static str {
    match event {
        GraphEvent::RouteChosen { .. } => "RouteChosen",
        GraphEvent::StepAwaitsSignal { .. } => "StepAwaitsSignal",
        GraphEvent::StepSignalled { .. } => "StepSignalled",
        GraphEvent::StepCacheHit { .. } => "StepCacheHit",
        GraphEvent::StepLimitPassed { .. } => "StepLimitPassed",
        GraphEvent::SlaBreached { .. } => "SlaBreached",
        GraphEvent::StepKeyed { .. } => "StepKeyed",
        GraphEvent::NumbersSet { .. } => "NumbersSet",
    }
}

fn letter_type(event: &LetterEvent) -> &'static str {
    match event {
        LetterEvent::Assigned { .. } => "DeadLetterAssigned",
        LetterEvent::Noted { .. } => "DeadLetterNoted",
        LetterEvent::InputEdited { .. } => "DeadLetterEdited",
    }
}

fn unwind_type(event: &UnwindEvent) -> &'static str {
    match event {
        UnwindEvent::UndoAwaited { .. } => "UndoAwaited",
        UnwindEvent::UndosSettled { .. } => "UndosSettled",
        UnwindEvent::CompensationTimedOut { .. } => "CompensationTimedOut",
        UnwindEvent::PartialUnwindingStarted { .. } => "PartialUnwindingStarted",
        UnwindEvent::PartialUnwindingEnded { .. } => "PartialUnwindingEnded",
        UnwindEvent::CheckReady { .. } => "CheckReady",
        UnwindEvent::CheckAnswered { .. } => "CheckAnswered",
        UnwindEvent::CheckConcluded { .. } => "CheckConcluded",
    }
}

fn delivery_type(event: &DeliveryEvent) -> &'static str {
    match event {
        DeliveryEvent::Targeted { .. } => "CallbacksGiven",
        DeliveryEvent::Scheduled { .. } => "CallbackScheduled",
        DeliveryEvent::SentAgain { .. } => "CallbackSentAgain",
        DeliveryEvent::AlertsPinned { .. } => "AlertsPinned",
        DeliveryEvent::AlertScheduled { .. } => "CallbackScheduled",
    }
}

fn link_type(event: &LinkEvent) -> &'static str {
    match event {
        LinkEvent::Origin(_) => "ExecutionOrigin",
        LinkEvent::MessagePosted { .. } => "MessagePosted",
        LinkEvent::MessageAcknowledged { .. } => "MessageAcknowledged",
        LinkEvent::MessageReceived { .. } => "MessageReceived",
        LinkEvent::LoopBegun { .. } => "LoopBegun",
        LinkEvent::ChunkEnded { .. } => "ChunkEnded",
        LinkEvent::ChunkUndone { .. } => "ChunkUndone",
        LinkEvent::Keyed { .. } => "ExecutionKeyed",
        LinkEvent::Traced(_) => "ExecutionTraced",
    }
}

fn service_type(event: &ServiceEvent) -> &'static str {
    match event {
        ServiceEvent::CallHeld { .. } => "CallHeld",
        ServiceEvent::CallRefused { .. } => "CallRefused",
        ServiceEvent::CallbackHeld { .. } => "CallbackHeld",
        ServiceEvent::FaultsPlanned { .. } => "FaultsPlanned",
    }
}

fn fork_type(event: &ForkEvent) -> &'static str {
    match event {
        ForkEvent::Begun(_) => "ForkBegun",
        ForkEvent::StepKept(_) => "StepKept",
        ForkEvent::Started => "ForkStarted",
        ForkEvent::Forked { .. } => "ExecutionForked",
        ForkEvent::ForkDropped { .. } => "ForkDropped",
        ForkEvent::Migrated { .. } => "ExecutionMigrated",
    }
}
