//! What a list is asked for: plain data, public.

use backstitch_core::audit::AuditAction;
use backstitch_core::ids::ExecutionId;
use backstitch_core::letters::Fingerprint;
use backstitch_core::summary::{LetterKind, LetterStatus, RunStatus};
use backstitch_core::time::Timestamp;
use backstitch_core::trace::TraceId;
use serde::Serialize;

/// Which end of a list comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
pub enum Order {
    /// The newest row first.
    #[default]
    NewestFirst,
    /// The oldest row first.
    OldestFirst,
}

/// A range of instants, from `after` on and before `before`: ranges that meet share nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Range {
    /// At this instant or later.
    pub after: Option<Timestamp>,
    /// Before this instant.
    pub before: Option<Timestamp>,
}

impl Range {
    /// Whether an instant is in it.
    #[must_use]
    pub fn takes(&self, at: Timestamp) -> bool {
        self.after.is_none_or(|after| at >= after) && self.before.is_none_or(|before| at < before)
    }
}

/// Which runs a list shows, and in which order: by submission.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct RunFilter {
    /// Of this tenant.
    pub namespace: String,
    /// With this status only.
    pub status: Option<RunStatus>,
    /// Of this workflow only.
    pub workflow: Option<String>,
    /// With this tag only.
    pub tag: Option<String>,
    /// With this correlation id only.
    pub correlation_id: Option<String>,
    /// That fell into this arm of a roll-out only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Of this trace only, where that is not the one of the run's own id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceId>,
    /// Submitted then.
    pub submitted: Range,
    /// Ended then; runs that have not ended are left out if any of it is set.
    pub ended: Range,
    /// Which end comes first.
    pub order: Order,
    /// Those that have not ended only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub active: bool,
}

/// Which dead letters a list shows, and in which order: by opening.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct LetterFilter {
    /// Of this tenant.
    pub namespace: String,
    /// With this status only.
    pub status: Option<LetterStatus>,
    /// Of this workflow only.
    pub workflow: Option<String>,
    /// About this kind of operation only.
    pub kind: Option<LetterKind>,
    /// With this code of the last failure only.
    pub code: Option<String>,
    /// Of this step, or its undo, only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Of this cause only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
    /// Of runs with this tag only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// That this one is to see to only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assignee: Option<String>,
    /// Of this run only.
    pub execution: Option<ExecutionId>,
    /// Opened then.
    pub opened: Range,
    /// Which end comes first.
    pub order: Order,
}

/// Which rows of the audit a list shows, and in which order: as recorded.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct AuditFilter {
    /// Of this tenant; what concerns the store as a whole is always shown.
    pub namespace: String,
    /// What this one did only.
    pub actor: Option<String>,
    /// This action only.
    pub action: Option<AuditAction>,
    /// Done to this only: the id of an execution (with its letters), workflow, letter, ...
    pub target: Option<String>,
    /// What this request had done only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Recorded then.
    pub recorded: Range,
    /// Which end comes first.
    pub order: Order,
}
