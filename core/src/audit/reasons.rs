//! Why somebody did something, in their words.

use crate::event::{
    ApiKeyEvent, AvailabilityEvent, ControlEvent, Event, ForkEvent, LetterEvent, ObjectEvent,
    PartitionEvent, RedriveEvent, ReplayEvent, RolloutEvent, RunEvent, UnwindEvent, WorkflowEvent,
};

/// The reason that an event of a deed has; nothing where none was asked for, or none was given.
#[must_use]
pub fn reason(event: &Event) -> Option<&str> {
    let said = match event {
        Event::Run(event) => of_run(event)?,
        Event::Workflow(WorkflowEvent::Rollout(
            RolloutEvent::Set { reason, .. }
            | RolloutEvent::Killed { reason, .. }
            | RolloutEvent::Ended { reason, .. },
        ))
        | Event::Workflow(WorkflowEvent::Availability(
            AvailabilityEvent::Disabled { reason, .. }
            | AvailabilityEvent::Enabled { reason, .. }
            | AvailabilityEvent::Archived { reason, .. }
            | AvailabilityEvent::Restored { reason, .. }
            | AvailabilityEvent::Purged { reason, .. },
        )) => reason,
        Event::Workflow(_) => return None,
        Event::Partition(event) => of_partition(event)?,
        Event::Replay(ReplayEvent::Stopped { reason, .. })
        | Event::Redrive(
            RedriveEvent::Halted { reason, .. }
            | RedriveEvent::Resumed { reason, .. }
            | RedriveEvent::Cancelled { reason, .. },
        ) => reason,
        Event::Redrive(RedriveEvent::Requested(request)) => &request.reason,
        Event::Replay(_) | Event::Redrive(_) => return None,
    };
    Some(said).filter(|said| !said.is_empty())
}

fn of_run(event: &RunEvent) -> Option<&str> {
    Some(match event {
        RunEvent::CancelRequested { reason, .. }
        | RunEvent::LetterDiscarded { reason, .. }
        | RunEvent::Letter(
            LetterEvent::Assigned { reason, .. } | LetterEvent::InputEdited { reason, .. },
        )
        | RunEvent::Control(
            ControlEvent::Paused { reason, .. }
            | ControlEvent::Resumed { reason, .. }
            | ControlEvent::StepOverridden { reason, .. }
            | ControlEvent::RollbackRequested { reason, .. }
            | ControlEvent::CancelForced { reason, .. },
        )
        | RunEvent::Fork(ForkEvent::Migrated { reason, .. }) => reason,
        RunEvent::Fork(ForkEvent::Begun(origin)) => &origin.reason,
        RunEvent::Unwind(UnwindEvent::UndosSettled { note, .. }) => note,
        _ => return None,
    })
}

fn of_partition(event: &PartitionEvent) -> Option<&str> {
    Some(match event {
        PartitionEvent::PayloadErased { reason, .. }
        | PartitionEvent::Restored { reason, .. }
        | PartitionEvent::CacheEmptied { reason, .. }
        | PartitionEvent::BreakerSet { reason, .. }
        | PartitionEvent::ApiKey(ApiKeyEvent::Revoked { reason, .. })
        | PartitionEvent::Object(
            ObjectEvent::Set { reason, .. } | ObjectEvent::Removed { reason, .. },
        ) => reason,
        PartitionEvent::RunsRemoved { rule, .. } | PartitionEvent::RedrivesRemoved { rule, .. } => {
            rule
        }
        PartitionEvent::LogCut { .. }
        | PartitionEvent::RunsImported { .. }
        | PartitionEvent::RetentionPolicySet { .. }
        | PartitionEvent::CallbackTried { .. }
        | PartitionEvent::LogLevelsSet { .. }
        | PartitionEvent::SettingsReloaded { .. }
        | PartitionEvent::ApiKey(ApiKeyEvent::Created { .. }) => return None,
    })
}
