//! Reading deeds off events: who did what, to what, in which words.

use std::sync::Arc;

use super::{AuditAction, Deed};
use crate::event::{
    AvailabilityEvent, ControlEvent, DeliveryEvent, Event, ForkEvent, LetterEvent, PartitionEvent,
    ReplayEvent, RolloutEvent, RunEvent, SettingChanged, UnwindEvent, WorkflowEvent,
};
use crate::ids::{ExecutionId, LetterId, StreamId};

/// Steps that the detail of one deed names.
const STEPS_NAMED_MAX: usize = 8;

/// Reads a deed off an event.
#[must_use]
pub fn deed(stream: &StreamId, event: &Event) -> Option<Deed> {
    match (stream, event) {
        (StreamId::Execution(run), Event::Run(event)) => run_deed(*run, event),
        (StreamId::Workflow { namespace, workflow }, Event::Workflow(event)) => match event {
            // A content kept for imported runs is part of their import, a text of its revision,
            // and what policies make of one follows of them.
            WorkflowEvent::DefinitionPart { .. }
            | WorkflowEvent::Kept { .. }
            | WorkflowEvent::SourceKept { .. }
            | WorkflowEvent::Adapted { .. } => None,
            WorkflowEvent::Defined { revision, digest, actor, .. } => Some(Deed {
                namespace: Some(namespace.clone()),
                actor: actor.clone(),
                action: AuditAction::WorkflowDefined,
                target: workflow.to_string(),
                detail: format!("revision {revision}, digest {digest}"),
            }),
            WorkflowEvent::Rollout(event) => {
                Some(rollout_deed(namespace.clone(), workflow.to_string(), event))
            }
            WorkflowEvent::Availability(event) => {
                Some(availability_deed(namespace.clone(), workflow.to_string(), event))
            }
        },
        (_, Event::Partition(event)) => Some(partition_deed(stream, event)),
        (_, Event::Replay(event)) => replay_deed(stream, event),
        (_, Event::Redrive(event)) => super::redrives::deed(stream, event),
        (_, Event::Run(_) | Event::Workflow(_)) => None,
    }
}

fn changes(changed: &[SettingChanged]) -> String {
    let word = |own: &Option<String>| own.clone().unwrap_or_else(|| "unset".to_owned());
    let said =
        |own: &SettingChanged| format!("{}: {} -> {}", own.name, word(&own.from), word(&own.to));
    changed.iter().map(said).collect::<Vec<_>>().join("; ")
}

fn rollout_deed(namespace: Arc<str>, target: String, event: &RolloutEvent) -> Deed {
    let (action, actor, detail) = match event {
        RolloutEvent::Set { rollout, reason, actor } => {
            let spread = rollout.to_string();
            let detail = if reason.is_empty() { spread } else { format!("{spread}: {reason}") };
            (AuditAction::RolloutSet, actor, detail)
        }
        RolloutEvent::Killed { reason, actor } => {
            (AuditAction::RolloutKilled, actor, reason.clone())
        }
        RolloutEvent::Ended { reason, actor } => (AuditAction::RolloutEnded, actor, reason.clone()),
    };
    Deed { namespace: Some(namespace), actor: actor.clone(), action, target, detail }
}

fn availability_deed(namespace: Arc<str>, target: String, event: &AvailabilityEvent) -> Deed {
    let (action, revision, reason, actor) = match event {
        AvailabilityEvent::Disabled { revision, reason, actor } => {
            (AuditAction::WorkflowDisabled, *revision, reason, actor)
        }
        AvailabilityEvent::Enabled { revision, reason, actor } => {
            (AuditAction::WorkflowEnabled, *revision, reason, actor)
        }
        AvailabilityEvent::Archived { reason, actor } => {
            (AuditAction::WorkflowArchived, None, reason, actor)
        }
        AvailabilityEvent::Restored { reason, actor } => {
            (AuditAction::WorkflowRestored, None, reason, actor)
        }
        AvailabilityEvent::Purged { reason, actor } => {
            (AuditAction::WorkflowPurged, None, reason, actor)
        }
    };
    let detail = match revision {
        Some(revision) => format!("revision {revision}: {reason}"),
        None => reason.clone(),
    };
    Deed { namespace: Some(namespace), actor: actor.clone(), action, target, detail }
}

fn run_deed(run: ExecutionId, event: &RunEvent) -> Option<Deed> {
    let letter = |number: u32| LetterId { execution: run, number }.to_string();
    let (actor, action, target, detail) = match event {
        RunEvent::CancelRequested { reason, actor, .. } => {
            (actor.as_str(), AuditAction::ExecutionCancelled, run.to_string(), reason.clone())
        }
        RunEvent::LetterRetried { letter: number, actor, linked } => {
            let detail = linked.map(|new| format!("by the new run {new}")).unwrap_or_default();
            (actor.as_str(), AuditAction::LetterRetried, letter(*number), detail)
        }
        RunEvent::LetterDiscarded { letter: number, actor, reason } => {
            (actor.as_str(), AuditAction::LetterDiscarded, letter(*number), reason.clone())
        }
        RunEvent::Letter(event) => {
            let (actor, action, detail) = handling(event);
            (actor, action, letter(event.letter()), detail)
        }
        RunEvent::Unwind(UnwindEvent::UndosSettled { steps, settlement, note, actor }) => {
            let places: Vec<_> = steps.iter().take(STEPS_NAMED_MAX).map(|own| own.0).collect();
            let more = if steps.len() > STEPS_NAMED_MAX { " and more" } else { "" };
            let detail = format!("{} of step number {places:?}{more}: {note}", settlement.word());
            (actor.as_str(), AuditAction::UndosSettled, run.to_string(), detail)
        }
        RunEvent::Delivery(DeliveryEvent::SentAgain { delivery, actor }) => {
            let detail = format!("callback {delivery}");
            (actor.as_str(), AuditAction::CallbackSentAgain, run.to_string(), detail)
        }
        RunEvent::Control(event) => {
            let (action, detail) = control(event);
            (event.actor(), action, run.to_string(), detail)
        }
        RunEvent::Fork(ForkEvent::Begun(own)) => {
            let detail = format!("from {} at version {}: {}", own.run, own.version, own.reason);
            (own.actor.as_str(), AuditAction::ExecutionForked, run.to_string(), detail)
        }
        RunEvent::Fork(ForkEvent::Forked { to, actor, undoes }) if !undoes.is_empty() => {
            let detail = format!("{to} undoes {} of its steps", undoes.len());
            (actor.as_str(), AuditAction::UndoDutyMoved, run.to_string(), detail)
        }
        RunEvent::Fork(ForkEvent::Migrated { revision, reason, actor, .. }) => {
            let detail = format!("onto revision {revision}: {reason}");
            (actor.as_str(), AuditAction::ExecutionMigrated, run.to_string(), detail)
        }
        _ => return None,
    };
    Some(Deed { namespace: None, actor: actor.to_owned(), action, target, detail })
}

fn handling(event: &LetterEvent) -> (&str, AuditAction, String) {
    match event {
        LetterEvent::Assigned { assignee, reason, actor, .. } => {
            let to = assignee.as_deref().unwrap_or("nobody");
            let detail = if reason.is_empty() { to.to_owned() } else { format!("{to}: {reason}") };
            (actor, AuditAction::LetterAssigned, detail)
        }
        LetterEvent::Noted { text, actor, .. } => (actor, AuditAction::LetterNoted, text.clone()),
        LetterEvent::InputEdited { reason, actor, .. } => {
            (actor, AuditAction::LetterEdited, reason.clone())
        }
    }
}

fn control(event: &ControlEvent) -> (AuditAction, String) {
    match event {
        ControlEvent::Paused { reason, .. } => (AuditAction::ExecutionPaused, reason.clone()),
        ControlEvent::Resumed { reason, .. } => (AuditAction::ExecutionResumed, reason.clone()),
        ControlEvent::StepOverridden { step, output, reason, .. } => {
            let done = if output.is_some() { "given an output" } else { "skipped" };
            let detail = format!("step number {} was {done}: {reason}", step.0);
            (AuditAction::StepOverridden, detail)
        }
        ControlEvent::RollbackRequested { to, reason, .. } => {
            let detail = match to {
                Some(step) => format!("to step number {}: {reason}", step.0),
                None => reason.clone(),
            };
            (AuditAction::ExecutionRolledBack, detail)
        }
        ControlEvent::CancelForced { reason, .. } => (AuditAction::ExecutionForced, reason.clone()),
        ControlEvent::SignalReceived { name, .. } => {
            (AuditAction::ExecutionSignalled, name.to_string())
        }
    }
}

fn partition_deed(stream: &StreamId, event: &PartitionEvent) -> Deed {
    let (actor, action, target, detail) = match event {
        PartitionEvent::RunsRemoved { runs, rule, actor } => {
            let detail = format!("{} runs: {rule}", runs.len());
            (actor, AuditAction::RunsRemoved, stream.to_string(), detail)
        }
        PartitionEvent::PayloadErased { digest, reason, actor } => {
            (actor, AuditAction::PayloadErased, digest.to_string(), reason.clone())
        }
        PartitionEvent::LogCut { sequence, hash, actor } => {
            let detail = format!("behind commit {sequence}, hash {hash}");
            (actor, AuditAction::LogCut, stream.to_string(), detail)
        }
        PartitionEvent::Restored { generation, sequence, reason, actor } => {
            let detail = format!("generation {generation}, to commit {sequence}: {reason}");
            (actor, AuditAction::StoreRestored, stream.to_string(), detail)
        }
        PartitionEvent::RunsImported { runs, source, actor } => {
            let detail = format!("{} runs of the store {source}", runs.len());
            (actor, AuditAction::RunsImported, stream.to_string(), detail)
        }
        PartitionEvent::RetentionPolicySet { policy, actor } => {
            (actor, AuditAction::RetentionPolicySet, stream.to_string(), policy.clone())
        }
        PartitionEvent::CacheEmptied { reason, actor } => {
            (actor, AuditAction::CacheEmptied, stream.to_string(), reason.clone())
        }
        PartitionEvent::BreakerSet { namespace, key, order, reason, actor } => {
            return Deed {
                namespace: Some(namespace.clone()),
                actor: actor.clone(),
                action: AuditAction::BreakerSet,
                target: key.to_string(),
                detail: format!("{}: {reason}", order.word()),
            };
        }
        PartitionEvent::RedrivesRemoved { redrives, rule, actor } => {
            let detail = format!("{} redrives: {rule}", redrives.len());
            (actor, AuditAction::RedrivesRemoved, stream.to_string(), detail)
        }
        PartitionEvent::ApiKey(event) => return super::api_keys::deed(event),
        PartitionEvent::Object(event) => return super::objects::deed(event),
        PartitionEvent::CallbackTried { namespace, receiver, event, actor } => {
            return Deed {
                namespace: Some(namespace.clone()),
                actor: actor.clone(),
                action: AuditAction::CallbackTried,
                target: receiver.clone(),
                detail: event.word().to_owned(),
            };
        }
        PartitionEvent::LogLevelsSet { node, levels, for_ms, actor } => {
            let levels = levels.iter().map(|(name, level)| format!("{name}={level}"));
            let mut said: Vec<_> = levels.collect();
            if said.is_empty() {
                said.push("as in the settings".to_owned());
            }
            said.extend(for_ms.map(|ms| format!("for {ms} ms")));
            (actor, AuditAction::LogLevelsSet, node.clone(), said.join(", "))
        }
        PartitionEvent::SettingsReloaded { node, changed, actor } => {
            (actor, AuditAction::SettingsReloaded, node.clone(), changes(changed))
        }
    };
    Deed { namespace: None, actor: actor.clone(), action, target, detail }
}

fn replay_deed(stream: &StreamId, event: &ReplayEvent) -> Option<Deed> {
    let (namespace, actor, action, detail) = match event {
        ReplayEvent::Requested(request) => {
            let namespace = Some(request.namespace.clone());
            (namespace, &request.actor, AuditAction::ReplayRequested, request.url.clone())
        }
        ReplayEvent::Stopped { reason, actor: Some(actor) } => {
            (None, actor, AuditAction::ReplayStopped, reason.clone())
        }
        ReplayEvent::Resumed { actor } => (None, actor, AuditAction::ReplayResumed, String::new()),
        ReplayEvent::Stopped { actor: None, .. }
        | ReplayEvent::Advanced { .. }
        | ReplayEvent::Completed { .. } => return None,
    };
    Some(Deed { namespace, actor: actor.clone(), action, target: stream.to_string(), detail })
}
