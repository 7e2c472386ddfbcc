//! The small machine of a workflow's own stream: its revisions, each known by its content.
//!
//! Knows nothing of what a definition says: revisions are texts and their hashes.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::availability::{self, Availability};
use crate::event::{Applied, WorkflowEvent};
use crate::ids::Digest;
use crate::rollout::{self, InForce};
use crate::time::Timestamp;

/// The most bytes of a definition that one event carries.
pub const PART_BYTES_MAX: usize = 64 * 1024;

/// A workflow and its revisions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkflowState {
    /// In order; numbers are gapless from 1, or from those that were purged.
    pub revisions: Vec<Revision>,
    /// Contents that runs are pinned to and that are no revisions, with their texts: of imported
    /// runs, and what policies made of revisions.
    pub kept: BTreeMap<Digest, Arc<str>>,
    /// What policies said in those that they made.
    pub adapted: BTreeMap<Digest, Adaptation>,
    /// The texts that contents were submitted as, the newest of each, by the content.
    pub sources: BTreeMap<Digest, Source>,
    /// Which revision new runs get; the newest if nothing is in force.
    pub rollout: Option<InForce>,
    /// Whether runs of it begin.
    pub availability: Availability,
    /// How many revisions were purged.
    purged: u32,
    /// Pieces of a definition whose last piece is still to come; a crash may have left some of
    /// another one before them.
    pending: Vec<String>,
}

/// One content of a workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// Counted from 1.
    pub number: u32,
    /// blake3 of the text.
    pub digest: Digest,
    /// The canonical JSON.
    pub text: Arc<str>,
    /// When it was defined.
    pub defined_at: Timestamp,
    /// Who defined it.
    pub actor: String,
}

/// What policies, the environment and adapters made of a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adaptation {
    /// Of which.
    pub revision: u32,
    /// What each of them said.
    pub applied: Arc<[Applied]>,
}

/// A definition as it was submitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Word of the form it is written in.
    pub form: Arc<str>,
    /// `json` or `yaml`.
    pub format: Arc<str>,
    /// blake3 of the text.
    pub digest: Digest,
    /// Byte by byte as submitted.
    pub text: Arc<str>,
}

/// An event that does not fit the state: the journal is damaged, or of another stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IllegalWorkflowEvent {
    /// Revisions are counted without gaps.
    #[error("revision {found} follows, but {expected} is next")]
    RevisionOutOfOrder {
        /// The next number.
        expected: u32,
        /// The event's.
        found: u32,
    },
    /// The same, of a content that is no revision.
    #[error("the text kept as {digest} does not match its digest")]
    KeptMismatch {
        /// Which content.
        digest: Digest,
    },
    /// The same, of a text that was submitted.
    #[error("the source kept as {digest} does not match its digest")]
    SourceMismatch {
        /// blake3 of the text.
        digest: Digest,
    },
    /// The text is not the one that was hashed.
    #[error("the text of revision {revision} does not match its digest")]
    DigestMismatch {
        /// Which revision.
        revision: u32,
    },
}

impl WorkflowState {
    /// The newest revision.
    #[must_use]
    pub fn latest(&self) -> Option<&Revision> {
        self.revisions.last()
    }

    /// A revision by its number.
    #[must_use]
    pub fn revision(&self, number: u32) -> Option<&Revision> {
        let at = number.checked_sub(self.purged)?.checked_sub(1)?;
        self.revisions.get(usize::try_from(at).ok()?)
    }

    /// The number of the revision that is defined next.
    #[must_use]
    pub fn next_number(&self) -> u32 {
        self.known_revisions().saturating_add(1)
    }

    fn known_revisions(&self) -> u32 {
        let kept = u32::try_from(self.revisions.len()).unwrap_or(u32::MAX);
        self.purged.saturating_add(kept)
    }
}

impl WorkflowState {
    /// Everything goes but the count of its revisions.
    fn let_go(&mut self) {
        let (purged, availability) = (self.known_revisions(), self.availability.clone());
        *self = Self { purged, availability, ..Self::default() };
    }
}

/// What defining this content means: nothing, if it is the newest revision's already. An older
/// revision's content becomes a new revision: whoever defines it wants it to be current.
#[must_use]
pub fn define(
    state: &Option<WorkflowState>,
    text: &str,
    digest: Digest,
    actor: &str,
) -> Vec<WorkflowEvent> {
    let latest = state.as_ref().and_then(WorkflowState::latest);
    if latest.is_some_and(|latest| latest.digest == digest) {
        return Vec::new();
    }
    let revision = state.as_ref().map_or(1, WorkflowState::next_number);
    let (mut events, last) = pieces(text);
    let actor = actor.to_owned();
    events.push(WorkflowEvent::Defined { revision, digest, text: last, actor });
    events
}

/// What keeping a content for imported runs means: nothing, if the workflow has it already.
#[must_use]
pub fn keep(
    state: &Option<WorkflowState>,
    text: &str,
    digest: Digest,
    actor: &str,
) -> Vec<WorkflowEvent> {
    let known = state.as_ref().is_some_and(|own| {
        own.kept.contains_key(&digest) || own.revisions.iter().any(|one| one.digest == digest)
    });
    if known {
        return Vec::new();
    }
    let (mut events, last) = pieces(text);
    events.push(WorkflowEvent::Kept { digest, text: last, actor: actor.to_owned() });
    events
}

/// What pinning runs to what policies made of a revision means: nothing, if it is recorded
/// already.
#[must_use]
pub fn adapt(
    state: &Option<WorkflowState>,
    text: &str,
    digest: Digest,
    own: &Adaptation,
) -> Vec<WorkflowEvent> {
    if state.as_ref().is_some_and(|known| known.adapted.contains_key(&digest)) {
        return Vec::new();
    }
    let (mut events, last) = pieces(text);
    let (revision, applied) = (own.revision, own.applied.to_vec());
    events.push(WorkflowEvent::Adapted { revision, digest, text: last, applied });
    events
}

/// What keeping the text means that a content was submitted as: nothing, if that text is kept
/// for it already, or is the content's own. Recorded before the content itself, so that there is
/// no revision without it.
#[must_use]
pub fn keep_source(
    state: &Option<WorkflowState>,
    content: Digest,
    given: &Source,
    actor: &str,
) -> Vec<WorkflowEvent> {
    let known = state.as_ref().and_then(|own| own.sources.get(&content));
    let same = match known {
        Some(known) => known == given,
        None => given.digest == content,
    };
    if same {
        return Vec::new();
    }
    let (mut events, last) = pieces(&given.text);
    events.push(WorkflowEvent::SourceKept {
        digest: content,
        form: given.form.to_string(),
        format: given.format.to_string(),
        source: given.digest,
        text: last,
        actor: actor.to_owned(),
    });
    events
}

/// A text in pieces that fit a record: all but the last as events, and the last.
fn pieces(text: &str) -> (Vec<WorkflowEvent>, String) {
    let mut rest = text;
    let mut events = Vec::new();
    while rest.len() > PART_BYTES_MAX {
        let mut end = PART_BYTES_MAX;
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (part, after) = rest.split_at(end);
        events.push(WorkflowEvent::DefinitionPart { text: part.to_owned() });
        rest = after;
    }
    (events, rest.to_owned())
}

/// Folds one event.
///
/// # Errors
/// When the event cannot follow; the state is then as before.
pub fn evolve(
    state: &mut Option<WorkflowState>,
    event: &WorkflowEvent,
    recorded_at: Timestamp,
) -> Result<(), IllegalWorkflowEvent> {
    let workflow = state.get_or_insert_default();
    match event {
        WorkflowEvent::DefinitionPart { text } => workflow.pending.push(text.clone()),
        WorkflowEvent::Defined { revision, digest, text, actor } => {
            let expected = workflow.next_number();
            if *revision != expected {
                let found = *revision;
                return Err(IllegalWorkflowEvent::RevisionOutOfOrder { expected, found });
            }
            let whole = whole(&workflow.pending, text, *digest)
                .ok_or(IllegalWorkflowEvent::DigestMismatch { revision: *revision })?;
            workflow.pending.clear();
            workflow.availability.purged = false;
            workflow.revisions.push(Revision {
                number: *revision,
                digest: *digest,
                text: whole.into(),
                defined_at: recorded_at,
                actor: actor.clone(),
            });
        }
        WorkflowEvent::Kept { digest, text, actor: _ } => {
            let whole = whole(&workflow.pending, text, *digest)
                .ok_or(IllegalWorkflowEvent::KeptMismatch { digest: *digest })?;
            workflow.pending.clear();
            workflow.kept.insert(*digest, whole.into());
        }
        WorkflowEvent::Adapted { revision, digest, text, applied } => {
            let whole = whole(&workflow.pending, text, *digest)
                .ok_or(IllegalWorkflowEvent::KeptMismatch { digest: *digest })?;
            workflow.pending.clear();
            workflow.kept.insert(*digest, whole.into());
            let adaptation = Adaptation { revision: *revision, applied: applied[..].into() };
            workflow.adapted.insert(*digest, adaptation);
        }
        WorkflowEvent::SourceKept { digest, form, format, source, text, actor: _ } => {
            let whole = whole(&workflow.pending, text, *source)
                .ok_or(IllegalWorkflowEvent::SourceMismatch { digest: *source })?;
            workflow.pending.clear();
            let (form, format) = (form.as_str().into(), format.as_str().into());
            let kept = Source { form, format, digest: *source, text: whole.into() };
            workflow.sources.insert(*digest, kept);
        }
        WorkflowEvent::Rollout(event) => {
            rollout::evolve(&mut workflow.rollout, event, recorded_at);
        }
        WorkflowEvent::Availability(event) => {
            availability::evolve(&mut workflow.availability, event, recorded_at);
            if workflow.availability.purged {
                workflow.let_go();
            }
        }
    }
    Ok(())
}

/// The text of a digest: the last piece behind as many of the pieces before it as belong to it.
fn whole(pieces: &[String], last: &str, digest: Digest) -> Option<String> {
    let mut text = last.to_owned();
    for piece in pieces.iter().rev().map(Some).chain([None]) {
        if Digest::of(text.as_bytes()) == digest {
            return Some(text);
        }
        text.insert_str(0, piece?);
    }
    None
}
