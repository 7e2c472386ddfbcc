//! What somebody did beyond submitting runs: the rows of the audit, read off events.
//!
//! A pure function of one event, so that the audit can be made again from the journal at any
//! time. Knows nothing of how its rows are kept.

mod redrives;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event::{
    ControlEvent, Event, ForkEvent, PartitionEvent, ReplayEvent, RolloutEvent, RunEvent,
    UnwindEvent, WorkflowEvent,
};
use crate::ids::{ExecutionId, LetterId, PartitionId, StreamId};
use crate::time::Timestamp;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AuditAction {
    /// A revision of a workflow was made.
    WorkflowDefined,
    /// A run was asked to stop.
    ExecutionCancelled,
    /// A dead letter was tried again.
    LetterRetried,
    /// A dead letter was given up.
    LetterDiscarded,
    /// Runs left the store.
    RunsRemoved,
    /// A payload was erased.
    PayloadErased,
    /// The log was cut.
    LogCut,
    /// The store was restored to an earlier point.
    StoreRestored,
    /// Runs came from another store.
    RunsImported,
    /// A replay was asked for.
    ReplayRequested,
    /// A replay was stopped by somebody.
    ReplayStopped,
    /// A replay goes on.
    ReplayResumed,
    /// How long runs are kept was decided.
    RetentionPolicySet,
    /// A run was paused.
    ExecutionPaused,
    /// A suspended run goes on.
    ExecutionResumed,
    /// A step was skipped or given an output.
    StepOverridden,
    /// A run was rolled back.
    ExecutionRolledBack,
    /// A run was forced to stop.
    ExecutionForced,
    /// A run was sent a signal.
    ExecutionSignalled,
    /// A run was begun from another's steps.
    ExecutionForked,
    /// A fork undoes what a run did.
    UndoDutyMoved,
    /// New runs of a workflow are spread over revisions.
    RolloutSet,
    /// A roll-out was switched off.
    RolloutKilled,
    /// A roll-out is over.
    RolloutEnded,
    /// The result cache was emptied.
    CacheEmptied,
    /// A run goes on with another revision.
    ExecutionMigrated,
    /// Dead letters are retried by a filter.
    RedriveRequested,
    /// A redrive was stopped by somebody.
    RedrivePaused,
    /// A redrive goes on.
    RedriveResumed,
    /// A redrive was given up.
    RedriveCancelled,
    /// A breaker was opened, closed, released or reset by somebody.
    BreakerSet,
    /// Undos were settled by hand.
    UndosSettled,
}

impl AuditAction {
    /// Every action.
    pub const ALL: [Self; 32] = [
        Self::WorkflowDefined,
        Self::ExecutionCancelled,
        Self::LetterRetried,
        Self::LetterDiscarded,
        Self::RunsRemoved,
        Self::PayloadErased,
        Self::LogCut,
        Self::StoreRestored,
        Self::RunsImported,
        Self::ReplayRequested,
        Self::ReplayStopped,
        Self::ReplayResumed,
        Self::RetentionPolicySet,
        Self::ExecutionPaused,
        Self::ExecutionResumed,
        Self::StepOverridden,
        Self::ExecutionRolledBack,
        Self::ExecutionForced,
        Self::ExecutionSignalled,
        Self::ExecutionForked,
        Self::UndoDutyMoved,
        Self::RolloutSet,
        Self::RolloutKilled,
        Self::RolloutEnded,
        Self::CacheEmptied,
        Self::ExecutionMigrated,
        Self::RedriveRequested,
        Self::RedrivePaused,
        Self::RedriveResumed,
        Self::RedriveCancelled,
        Self::BreakerSet,
        Self::UndosSettled,
    ];

    /// The word the API prints.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::WorkflowDefined => "workflow.defined",
            Self::ExecutionCancelled => "execution.cancelled",
            Self::LetterRetried => "letter.retried",
            Self::LetterDiscarded => "letter.discarded",
            Self::RunsRemoved => "runs.removed",
            Self::PayloadErased => "payload.erased",
            Self::LogCut => "log.cut",
            Self::StoreRestored => "store.restored",
            Self::RunsImported => "runs.imported",
            Self::ReplayRequested => "replay.requested",
            Self::ReplayStopped => "replay.stopped",
            Self::ReplayResumed => "replay.resumed",
            Self::RetentionPolicySet => "retention.policy_set",
            Self::ExecutionPaused => "execution.paused",
            Self::ExecutionResumed => "execution.resumed",
            Self::StepOverridden => "step.overridden",
            Self::ExecutionRolledBack => "execution.rolled_back",
            Self::ExecutionForced => "execution.forced",
            Self::ExecutionSignalled => "execution.signalled",
            Self::ExecutionForked => "execution.forked",
            Self::UndoDutyMoved => "execution.undo_duty_moved",
            Self::RolloutSet => "rollout.set",
            Self::RolloutKilled => "rollout.killed",
            Self::RolloutEnded => "rollout.ended",
            Self::CacheEmptied => "cache.emptied",
            Self::ExecutionMigrated => "execution.migrated",
            Self::RedriveRequested => "redrive.requested",
            Self::RedrivePaused => "redrive.paused",
            Self::RedriveResumed => "redrive.resumed",
            Self::RedriveCancelled => "redrive.cancelled",
            Self::BreakerSet => "breaker.set",
            Self::UndosSettled => "undos.settled",
        }
    }

    /// The action of a word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.word() == word)
    }
}

/// One row of the audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// The partition whose record it is.
    pub partition: PartitionId,
    /// The record's place in that partition.
    pub position: u64,
    /// When it was recorded.
    pub at: Timestamp,
    /// Tenant; empty for what concerns the store as a whole.
    pub namespace: Arc<str>,
    /// Who.
    pub actor: String,
    /// What.
    pub action: AuditAction,
    /// The id of what it was done to: an execution, workflow, letter, partition or replay.
    pub target: String,
    /// The run that the target belongs to, if it belongs to one.
    pub execution: Option<ExecutionId>,
    /// In words: a reason, a rule, a revision.
    pub detail: String,
}

/// What an event says somebody did; nothing for what the engine does by itself, and for
/// submissions, which lists of runs show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// Tenant, where the event or its stream names one.
    pub namespace: Option<Arc<str>>,
    /// Who.
    pub actor: String,
    /// What.
    pub action: AuditAction,
    /// To what.
    pub target: String,
    /// In words.
    pub detail: String,
}

/// Steps that the detail of one deed names.
const STEPS_NAMED_MAX: usize = 8;

/// Reads a deed off an event.
#[must_use]
pub fn deed(stream: &StreamId, event: &Event) -> Option<Deed> {
    match (stream, event) {
        (StreamId::Execution(run), Event::Run(event)) => run_deed(*run, event),
        (StreamId::Workflow { namespace, workflow }, Event::Workflow(event)) => match event {
            // A content kept for imported runs is part of their import, a text of its revision.
            WorkflowEvent::DefinitionPart { .. }
            | WorkflowEvent::Kept { .. }
            | WorkflowEvent::SourceKept { .. } => None,
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
        },
        (_, Event::Partition(event)) => Some(partition_deed(stream, event)),
        (_, Event::Replay(event)) => replay_deed(stream, event),
        (_, Event::Redrive(event)) => redrives::deed(stream, event),
        (_, Event::Run(_) | Event::Workflow(_)) => None,
    }
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
        RunEvent::Unwind(UnwindEvent::UndosSettled { steps, settlement, note, actor }) => {
            let places: Vec<_> = steps.iter().take(STEPS_NAMED_MAX).map(|own| own.0).collect();
            let more = if steps.len() > STEPS_NAMED_MAX { " and more" } else { "" };
            let detail = format!("{} of step number {places:?}{more}: {note}", settlement.word());
            (actor.as_str(), AuditAction::UndosSettled, run.to_string(), detail)
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

fn control(event: &ControlEvent) -> (AuditAction, String) {
    match event {
        ControlEvent::Paused { reason, .. } => (AuditAction::ExecutionPaused, reason.clone()),
        ControlEvent::Resumed { reason, .. } => (AuditAction::ExecutionResumed, reason.clone()),
        ControlEvent::StepOverridden { step, output, reason, .. } => {
            let done = if output.is_some() { "given an output" } else { "skipped" };
            let detail = format!("step number {} was {done}: {reason}", step.0);
            (AuditAction::StepOverridden, detail)
        }
        ControlEvent::RollbackRequested { reason, .. } => {
            (AuditAction::ExecutionRolledBack, reason.clone())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back() {
        for action in AuditAction::ALL {
            assert_eq!(AuditAction::of_word(action.word()), Some(action));
        }
    }

    #[test]
    fn what_people_do_is_a_deed_and_what_the_engine_does_is_none() {
        let run = ExecutionId { partition: PartitionId(3), digits: 9 };
        let stream = StreamId::Execution(run);
        let of = |event| deed(&stream, &Event::Run(event));
        let (reason, actor) = ("no more".to_owned(), "ann".to_owned());
        let event = RunEvent::LetterDiscarded { letter: 2, actor: actor.clone(), reason };
        let found = of(event).expect("a person did it");
        let letter = LetterId { execution: run, number: 2 }.to_string();
        assert_eq!((found.target, found.detail.as_str()), (letter, "no more"));
        assert_eq!((found.actor, found.action), (actor, AuditAction::LetterDiscarded));
        assert_eq!(of(RunEvent::UnwindingStarted), None);
    }
}
