//! The small machine of a workflow's own stream: its revisions, each known by its content.
//!
//! Knows nothing of what a definition says: revisions are texts and their hashes.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::event::WorkflowEvent;
use crate::ids::Digest;
use crate::rollout::{self, InForce};
use crate::time::Timestamp;

/// The most bytes of a definition that one event carries.
pub const PART_BYTES_MAX: usize = 64 * 1024;

/// A workflow and its revisions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkflowState {
    /// In order; numbers are gapless from 1.
    pub revisions: Vec<Revision>,
    /// Contents that imported runs are pinned to and that are no revisions, with their texts.
    pub kept: BTreeMap<Digest, Arc<str>>,
    /// The texts that contents were submitted as, the newest of each, by the content.
    pub sources: BTreeMap<Digest, Source>,
    /// Which revision new runs get; the newest if nothing is in force.
    pub rollout: Option<InForce>,
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
        let at = usize::try_from(number).ok()?.checked_sub(1)?;
        self.revisions.get(at)
    }

    fn next_number(&self) -> u32 {
        u32::try_from(self.revisions.len()).unwrap_or(u32::MAX).saturating_add(1)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn defined(state: &mut Option<WorkflowState>, text: &str) -> usize {
        let events = define(state, text, Digest::of(text.as_bytes()), "someone");
        for event in &events {
            evolve(state, event, Timestamp(7)).unwrap();
        }
        events.len()
    }

    #[test]
    fn the_same_content_is_the_same_revision() {
        let mut state = None;
        assert_eq!(defined(&mut state, "{\"id\":\"a\"}"), 1);
        assert_eq!(defined(&mut state, "{\"id\":\"a\"}"), 0);
        assert_eq!(defined(&mut state, "{\"id\":\"b\"}"), 1);
        let state = state.unwrap();
        assert_eq!(state.revisions.len(), 2);
        assert_eq!(state.latest().unwrap().number, 2);
        assert_eq!(&*state.revision(1).unwrap().text, "{\"id\":\"a\"}");
        assert_eq!(state.revision(0), None);
        assert_eq!(state.revision(3), None);
    }

    #[test]
    fn a_large_content_comes_in_parts_and_is_whole_again() {
        let mut state = None;
        let text = format!("\"{}\"", "äö€".repeat(50_000));
        let events = define(&state, &text, Digest::of(text.as_bytes()), "someone");
        assert_eq!(events.len(), text.len().div_ceil(PART_BYTES_MAX));
        for event in &events {
            let (WorkflowEvent::DefinitionPart { text }
            | WorkflowEvent::Defined { text, .. }
            | WorkflowEvent::Kept { text, .. }
            | WorkflowEvent::SourceKept { text, .. }) = event
            else {
                panic!("a definition is defined")
            };
            assert!(text.len() <= PART_BYTES_MAX);
            evolve(&mut state, event, Timestamp(7)).unwrap();
        }
        assert_eq!(&*state.unwrap().latest().unwrap().text, text);
    }

    #[test]
    fn a_kept_content_is_no_revision_and_kept_once() {
        let mut state = None;
        defined(&mut state, "{\"id\":\"a\"}");
        let large = format!("\"{}\"", "x".repeat(2 * PART_BYTES_MAX));
        for text in [large.as_str(), "{\"id\":\"old\"}"] {
            let digest = Digest::of(text.as_bytes());
            let events = keep(&state, text, digest, "someone");
            assert_eq!(events.len(), text.len().div_ceil(PART_BYTES_MAX));
            for event in &events {
                evolve(&mut state, event, Timestamp(7)).unwrap();
            }
            assert_eq!(&*state.as_ref().unwrap().kept[&digest], text);
            assert!(keep(&state, text, digest, "someone").is_empty());
        }
        let known = Digest::of(b"{\"id\":\"a\"}");
        assert!(keep(&state, "{\"id\":\"a\"}", known, "someone").is_empty());
        assert_eq!(state.unwrap().revisions.len(), 1);
    }

    #[test]
    fn the_newest_text_of_a_content_is_kept_whole() {
        let mut state = None;
        let content = Digest::of(b"{}");
        let source = |text: &str| Source {
            form: "canonical".into(),
            format: "yaml".into(),
            digest: Digest::of(text.as_bytes()),
            text: text.into(),
        };
        let large = "# \u{e4}\n".repeat(PART_BYTES_MAX);
        for text in ["id: a # one", large.as_str(), "id: a # two"] {
            let events = keep_source(&state, content, &source(text), "someone");
            assert!(events.len() >= text.len().div_ceil(PART_BYTES_MAX));
            for event in &events {
                evolve(&mut state, event, Timestamp(1)).unwrap();
            }
            assert_eq!(&*state.as_ref().unwrap().sources[&content].text, text);
            assert!(keep_source(&state, content, &source(text), "someone").is_empty());
        }
        assert!(keep_source(&None, content, &source("{}"), "someone").is_empty(), "its own");
        let mut bad = keep_source(&None, content, &source("id: b"), "someone");
        if let Some(WorkflowEvent::SourceKept { text, .. }) = bad.last_mut() {
            text.push('!');
        }
        let digest = Digest::of(b"id: b");
        assert_eq!(
            evolve(&mut state, &bad[0], Timestamp(2)),
            Err(IllegalWorkflowEvent::SourceMismatch { digest })
        );
    }

    #[test]
    fn events_that_do_not_follow_are_refused() {
        let mut state = None;
        defined(&mut state, "{}");
        let before = state.clone();
        let event = |revision, digest| WorkflowEvent::Defined {
            revision,
            digest,
            text: "[]".to_owned(),
            actor: "someone".to_owned(),
        };
        let good = Digest::of(b"[]");
        assert_eq!(
            evolve(&mut state, &event(3, good), Timestamp(8)),
            Err(IllegalWorkflowEvent::RevisionOutOfOrder { expected: 2, found: 3 })
        );
        assert_eq!(
            evolve(&mut state, &event(2, Digest::of(b"{}")), Timestamp(8)),
            Err(IllegalWorkflowEvent::DigestMismatch { revision: 2 })
        );
        assert_eq!(state, before);
    }

    #[test]
    fn pieces_that_a_crash_left_behind_do_not_spoil_what_follows() {
        let large = format!("\"{}\"", "x".repeat(2 * PART_BYTES_MAX));
        let mut state = None;
        let events = define(&state, &large, Digest::of(large.as_bytes()), "someone");
        assert!(events.len() > 2);
        evolve(&mut state, &events[0], Timestamp(1)).expect("a piece");
        for text in [large.as_str(), "{}"] {
            assert!(defined(&mut state, text) > 0);
            let latest = state.as_ref().and_then(WorkflowState::latest).expect("defined");
            assert_eq!(&*latest.text, text);
        }
    }
}
