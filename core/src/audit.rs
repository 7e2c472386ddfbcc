//! What somebody did beyond submitting runs: the rows of the audit, read off events.
//!
//! A pure function of one record: of its event, and of the mark of the request behind it. So the
//! audit can be made again from the journal at any time. Knows nothing of how its rows are kept.

mod api_keys;
mod deeds;
mod mark;
mod objects;
mod reasons;
mod redrives;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{DEFAULT_NAMESPACE, ExecutionId, PartitionId, StreamId};
use crate::time::Timestamp;

pub use deeds::deed;
pub use mark::{ACTOR_BYTES_MAX, MARK_BYTES_MAX, Mark, REQUEST_ID_BYTES_MAX};
pub use reasons::reason;

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
    /// A dead letter was given to somebody, or to nobody any more.
    LetterAssigned,
    /// Something was written down about a dead letter.
    LetterNoted,
    /// A dead letter was given another input.
    LetterEdited,
    /// Redrives left the store.
    RedrivesRemoved,
    /// Undos were settled by hand.
    UndosSettled,
    /// An API key was made.
    KeyCreated,
    /// An API key was revoked.
    KeyRevoked,
    /// A callback that was received is sent again.
    CallbackSentAgain,
    /// No run of a workflow begins any more.
    WorkflowDisabled,
    /// Runs of a workflow begin again.
    WorkflowEnabled,
    /// A workflow is out of use.
    WorkflowArchived,
    /// A workflow is in use again.
    WorkflowRestored,
    /// An archived workflow's revisions are gone.
    WorkflowPurged,
    /// An example of a callback was sent.
    CallbackTried,
    /// An object of configuration was set.
    ConfigurationSet,
    /// An object of configuration was removed.
    ConfigurationRemoved,
    /// A node logs more or less.
    LogLevelsSet,
    /// Settings of a node were read again.
    SettingsReloaded,
}

impl AuditAction {
    /// Every action.
    pub const ALL: [Self; 49] = [
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
        Self::LetterAssigned,
        Self::LetterNoted,
        Self::LetterEdited,
        Self::RedrivesRemoved,
        Self::UndosSettled,
        Self::KeyCreated,
        Self::KeyRevoked,
        Self::CallbackSentAgain,
        Self::WorkflowDisabled,
        Self::WorkflowEnabled,
        Self::WorkflowArchived,
        Self::WorkflowRestored,
        Self::WorkflowPurged,
        Self::CallbackTried,
        Self::ConfigurationSet,
        Self::ConfigurationRemoved,
        Self::LogLevelsSet,
        Self::SettingsReloaded,
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
            Self::LetterAssigned => "letter.assigned",
            Self::LetterNoted => "letter.noted",
            Self::LetterEdited => "letter.edited",
            Self::RedrivesRemoved => "redrives.removed",
            Self::UndosSettled => "undos.settled",
            Self::KeyCreated => "key.created",
            Self::KeyRevoked => "key.revoked",
            Self::CallbackSentAgain => "callback.sent_again",
            Self::WorkflowDisabled => "workflow.disabled",
            Self::WorkflowEnabled => "workflow.enabled",
            Self::WorkflowArchived => "workflow.archived",
            Self::WorkflowRestored => "workflow.restored",
            Self::WorkflowPurged => "workflow.purged",
            Self::CallbackTried => "callback.tried",
            Self::ConfigurationSet => "configuration.set",
            Self::ConfigurationRemoved => "configuration.removed",
            Self::LogLevelsSet => "log_levels.set",
            Self::SettingsReloaded => "settings.reloaded",
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
    /// The history that the record stands in.
    pub stream: StreamId,
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
    /// In words: a reason, a rule, a revision.
    pub detail: String,
    /// Why, in the words of who did it; empty if they said nothing.
    pub reason: String,
    /// The request that had it done.
    pub mark: Option<Arc<Mark>>,
}

impl AuditRow {
    /// The run that it was done to, if it was done to one.
    #[must_use]
    pub fn execution(&self) -> Option<ExecutionId> {
        match &self.stream {
            StreamId::Execution(run) => Some(*run),
            _ => None,
        }
    }

    /// Whether a tenant sees it: what concerns the store as a whole, the default one does.
    #[must_use]
    pub fn is_shown_to(&self, namespace: &str) -> bool {
        let of_the_store = self.namespace.is_empty() && namespace == DEFAULT_NAMESPACE;
        of_the_store || *self.namespace == *namespace
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, RunEvent};
    use crate::ids::LetterId;

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
        assert_eq!(super::reason(&Event::Run(event.clone())), Some("no more"));
        let found = of(event).expect("a person did it");
        let letter = LetterId { execution: run, number: 2 }.to_string();
        assert_eq!((found.target, found.detail.as_str()), (letter, "no more"));
        assert_eq!((found.actor, found.action), (actor, AuditAction::LetterDiscarded));
        assert_eq!(of(RunEvent::UnwindingStarted), None);
    }
}
