//! Facts of a workflow and its revisions, part of the format.

use serde::{Deserialize, Serialize};

use super::rollout::RolloutEvent;
use crate::ids::Digest;

/// What happens to one workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkflowEvent {
    /// A piece of a definition too large for one record, in order before its `Defined`.
    DefinitionPart {
        /// The canonical JSON's piece.
        text: String,
    },
    /// A revision exists.
    Defined {
        /// Counted from 1.
        revision: u32,
        /// blake3 of the canonical JSON.
        digest: Digest,
        /// The last piece of the canonical JSON; the whole, if it is small.
        text: String,
        /// Who defined it.
        actor: String,
    },
    /// A content that imported runs are pinned to. It is no revision: no new run uses it.
    Kept {
        /// blake3 of the canonical JSON.
        digest: Digest,
        /// The last piece of the canonical JSON; the whole, if it is small.
        text: String,
        /// Who imported it.
        actor: String,
    },
    /// The text that a content was submitted as.
    SourceKept {
        /// blake3 of the canonical JSON that the text means: whose source it is.
        digest: Digest,
        /// Word of the form it is written in.
        form: String,
        /// How it is written: `json` or `yaml`.
        format: String,
        /// blake3 of the text.
        source: Digest,
        /// The last piece of the text, byte by byte as submitted; the whole, if it is small.
        text: String,
        /// Who submitted it.
        actor: String,
    },
    /// Which revision new runs get.
    Rollout(RolloutEvent),
    /// Whether runs of it begin.
    Availability(AvailabilityEvent),
    /// What a revision comes to under the policies, the environment and the adapters that were in
    /// force: a content that runs are pinned to, and no revision.
    Adapted {
        /// Which revision.
        revision: u32,
        /// blake3 of the canonical JSON.
        digest: Digest,
        /// The last piece of the canonical JSON; the whole, if it is small.
        text: String,
        /// Who said what the revision does not say.
        applied: Vec<Applied>,
    },
}

/// Something that a definition leaves unsaid, and who says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// Its place in the canonical form; `types.<task type>.<field>` for all steps of a type.
    pub field: String,
    /// Who: `policy:<name>`, `adapter:<name>` or `environment:<name>`.
    pub by: String,
    /// Which revision of it; 0 for what a configuration file says.
    pub revision: u32,
}

/// What happens to a workflow as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AvailabilityEvent {
    /// No run of it begins any more; those under way go on.
    Disabled {
        /// The revision whose definition says so, if it was not somebody's order.
        revision: Option<u32>,
        /// In their words.
        reason: String,
        /// Who.
        actor: String,
    },
    /// Runs begin again.
    Enabled {
        /// The revision whose definition no longer says otherwise, if it was not somebody's order.
        revision: Option<u32>,
        /// In their words.
        reason: String,
        /// Who.
        actor: String,
    },
    /// It is out of use: no run begins, no revision is added, and lists leave it out.
    Archived {
        /// In their words.
        reason: String,
        /// Who.
        actor: String,
    },
    /// It is in use again, as it was before.
    Restored {
        /// In their words.
        reason: String,
        /// Who.
        actor: String,
    },
    /// Its revisions are gone. What is defined under its id later is counted on from them.
    Purged {
        /// In their words.
        reason: String,
        /// Who.
        actor: String,
    },
}
