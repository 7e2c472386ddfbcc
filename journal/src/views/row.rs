//! What runs and letters have in common as rows of a list, and their keys.
//!
//! Keys, `K` being `r` for runs and `d` for letters, `T` the row's instant turned so that
//! newer sorts first:
//! ```text
//! K i | id                           -> the row
//! K a | namespace | T | id           -> nothing
//! K s | namespace | status | T | id  -> nothing
//! K w | namespace | workflow | T | id -> status
//! ```

use std::hash::Hash;
use std::sync::Arc;

use backstitch_core::ids::{ExecutionId, LetterId};
use backstitch_core::summary::{LetterStatus, LetterSummary, RunStatus, RunSummary};
use backstitch_core::time::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::keys;

/// The longest name in a key; longer ones share an index entry's beginning.
const NAME_BYTES_MAX: usize = 512;
/// The longest free text in a row, so that a row stays one value.
const TEXT_BYTES_MAX: usize = 4_000;
/// Bytes of the turned instant.
pub(super) const INSTANT_BYTES: usize = 8;

/// A row of a list.
pub(super) trait Row: Clone + Serialize + DeserializeOwned {
    /// Who it is about.
    type Id: Copy + Eq + Hash;
    /// First byte of its keys.
    const KIND: u8;

    fn id(&self) -> Self::Id;
    /// The run that it goes with when that is removed.
    fn run_of(id: &Self::Id) -> ExecutionId;
    fn id_key(id: &Self::Id) -> Vec<u8>;
    fn id_of(key: &[u8]) -> Option<Self::Id>;
    fn namespace(&self) -> &str;
    fn workflow(&self) -> &str;
    fn status(&self) -> u8;
    /// The instant that orders lists; never changes.
    fn at(&self) -> Timestamp;
    /// Rises with each change.
    fn version(&self) -> u64;
    /// The same with texts short enough for one value.
    fn clipped(self) -> Self;
}

/// Which rows a list shows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Query<'a> {
    pub namespace: &'a str,
    pub status: Option<u8>,
    pub workflow: Option<&'a str>,
}

impl Query<'_> {
    pub(super) fn takes<R: Row>(&self, row: &R) -> bool {
        row.namespace() == self.namespace
            && self.status.is_none_or(|status| status == row.status())
            && self.workflow.is_none_or(|workflow| workflow == row.workflow())
    }

    /// The beginning of the index entries to walk.
    pub(super) fn prefix<R: Row>(&self) -> Vec<u8> {
        match (self.workflow, self.status) {
            (Some(workflow), _) => workflow_prefix::<R>(self.namespace, workflow),
            (None, Some(status)) => status_prefix::<R>(self.namespace, status),
            (None, None) => all_prefix::<R>(self.namespace),
        }
    }
}

/// Where a row stands in every list: turned instant, then id.
pub(super) fn place<R: Row>(row: &R) -> Vec<u8> {
    let mut place = turned(row.at()).to_vec();
    place.extend(R::id_key(&row.id()));
    place
}

/// An instant turned so that later ones sort first.
pub(super) fn turned(at: Timestamp) -> [u8; INSTANT_BYTES] {
    (!(at.0.cast_unsigned() ^ (1 << 63))).to_be_bytes()
}

pub(super) fn row_key<R: Row>(id: &R::Id) -> Vec<u8> {
    let mut key = vec![R::KIND, b'i'];
    key.extend(R::id_key(id));
    key
}

pub(super) fn all_prefix<R: Row>(namespace: &str) -> Vec<u8> {
    let mut key = vec![R::KIND, b'a'];
    keys::push_text(&mut key, clip(namespace, NAME_BYTES_MAX));
    key
}

pub(super) fn status_prefix<R: Row>(namespace: &str, status: u8) -> Vec<u8> {
    let mut key = vec![R::KIND, b's'];
    keys::push_text(&mut key, clip(namespace, NAME_BYTES_MAX));
    key.push(status);
    key
}

pub(super) fn workflow_prefix<R: Row>(namespace: &str, workflow: &str) -> Vec<u8> {
    let mut key = vec![R::KIND, b'w'];
    keys::push_text(&mut key, clip(namespace, NAME_BYTES_MAX));
    keys::push_text(&mut key, clip(workflow, NAME_BYTES_MAX));
    key
}

/// A text's beginning of at most so many bytes.
fn clip(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

fn clip_shared(text: Arc<str>, bytes_max: usize) -> Arc<str> {
    if text.len() <= bytes_max { text } else { clip(&text, bytes_max).into() }
}

/// The number of a run's status in keys; part of the format.
pub(super) fn run_status(status: RunStatus) -> u8 {
    match status {
        RunStatus::Pending => 0,
        RunStatus::Running => 1,
        RunStatus::Suspended => 2,
        RunStatus::Compensating => 3,
        RunStatus::Completed => 4,
        RunStatus::Failed => 5,
        RunStatus::Compensated => 6,
        RunStatus::CompensationFailed => 7,
        RunStatus::Cancelled => 8,
    }
}

/// The number of a letter's status in keys; part of the format.
pub(super) fn letter_status(status: LetterStatus) -> u8 {
    match status {
        LetterStatus::Open => 0,
        LetterStatus::Retried => 1,
        LetterStatus::Discarded => 2,
    }
}

impl Row for RunSummary {
    type Id = ExecutionId;
    const KIND: u8 = b'r';

    fn id(&self) -> ExecutionId {
        self.execution
    }

    fn run_of(id: &ExecutionId) -> ExecutionId {
        *id
    }

    fn id_key(id: &ExecutionId) -> Vec<u8> {
        keys::execution(id).to_vec()
    }

    fn id_of(key: &[u8]) -> Option<ExecutionId> {
        keys::execution_of(key)
    }

    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn workflow(&self) -> &str {
        &self.workflow
    }

    fn status(&self) -> u8 {
        run_status(self.status)
    }

    fn at(&self) -> Timestamp {
        self.submitted_at
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn clipped(mut self) -> Self {
        self.namespace = clip_shared(self.namespace, TEXT_BYTES_MAX);
        self.workflow = clip_shared(self.workflow, TEXT_BYTES_MAX);
        self.correlation_id = clip_shared(self.correlation_id, TEXT_BYTES_MAX);
        self
    }
}

impl Row for LetterSummary {
    type Id = LetterId;
    const KIND: u8 = b'd';

    fn id(&self) -> LetterId {
        self.letter
    }

    fn run_of(id: &LetterId) -> ExecutionId {
        id.execution
    }

    fn id_key(id: &LetterId) -> Vec<u8> {
        let mut key = keys::execution(&id.execution).to_vec();
        key.extend(id.number.to_be_bytes());
        key
    }

    fn id_of(key: &[u8]) -> Option<LetterId> {
        let (execution, number) = key.split_at_checked(keys::EXECUTION_BYTES)?;
        let number = u32::from_be_bytes(number.try_into().ok()?);
        Some(LetterId { execution: keys::execution_of(execution)?, number })
    }

    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn workflow(&self) -> &str {
        &self.workflow
    }

    fn status(&self) -> u8 {
        letter_status(self.status)
    }

    fn at(&self) -> Timestamp {
        self.opened_at
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn clipped(mut self) -> Self {
        self.namespace = clip_shared(self.namespace, TEXT_BYTES_MAX / 2);
        self.workflow = clip_shared(self.workflow, TEXT_BYTES_MAX / 2);
        for text in [&mut self.subject, &mut self.code, &mut self.message] {
            text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        }
        self
    }
}
