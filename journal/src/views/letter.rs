//! Dead letters as rows of lists.

use backstitch_core::ids::{ExecutionId, LetterId};
use backstitch_core::letters::{Fingerprint, LetterCounts};
use backstitch_core::summary::{LetterKind, LetterStatus, LetterSummary};
use backstitch_core::time::Timestamp;

use crate::keys;
use crate::views::filter::{LetterFilter, Order, Range};
use crate::views::row::{Filter, INSTANT_BYTES, Index, Row, TEXT_BYTES_MAX, clip_shared};

/// Every letter of a namespace.
const ALL: u8 = b'a';
/// By status.
const STATUS: u8 = b's';
/// By workflow.
const WORKFLOW: u8 = b'w';
/// By workflow and status.
const WORKFLOW_STATUS: u8 = b'x';
/// By kind.
const KIND: u8 = b'k';
/// By kind and status.
const KIND_STATUS: u8 = b'q';
/// By code.
const CODE: u8 = b'o';
/// By code and status.
const CODE_STATUS: u8 = b'p';
/// By fingerprint.
const FINGERPRINT: u8 = b'f';
/// By fingerprint and status.
const FINGERPRINT_STATUS: u8 = b'g';
/// By fingerprint, the oldest first: what comes next is the instant as it is.
const FINGERPRINT_OLDEST: u8 = b'h';
/// By tag, once for each.
const TAG: u8 = b't';
/// By tag and status, once for each.
const TAG_STATUS: u8 = b'u';
/// By who is to see to it, if anybody is.
const ASSIGNEE: u8 = b'm';
/// The same, by status.
const ASSIGNEE_STATUS: u8 = b'n';
/// By run.
const EXECUTION: u8 = b'e';

/// The number of a letter's status in keys; part of the format.
fn status_byte(status: LetterStatus) -> u8 {
    match status {
        LetterStatus::Open => 0,
        LetterStatus::Retried => 1,
        LetterStatus::Discarded => 2,
        LetterStatus::Resolved => 3,
    }
}

/// The number of a letter's kind in keys; part of the format.
pub(super) fn kind_byte(kind: LetterKind) -> u8 {
    match kind {
        LetterKind::Step => 0,
        LetterKind::Undo => 1,
        LetterKind::Callback => 2,
    }
}

/// The kind of a number.
pub(super) fn kind_of(byte: u8) -> Option<LetterKind> {
    LetterKind::ALL.into_iter().find(|kind| kind_byte(*kind) == byte)
}

impl Row for LetterSummary {
    type Id = LetterId;
    type Share = LetterCounts;

    fn id(&self) -> LetterId {
        self.letter
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

    fn indexes(&self) -> Vec<Vec<u8>> {
        let (space, status) = (&*self.namespace, status_byte(self.status));
        let (workflow, kind, code) = (&*self.workflow, kind_byte(self.kind), &*self.code);
        let cause = self.fingerprint.0.to_be_bytes();
        let mut indexes = vec![
            Index::of(ALL).text(space).done(),
            Index::of(STATUS).text(space).byte(status).done(),
            Index::of(WORKFLOW).text(space).text(workflow).done(),
            Index::of(WORKFLOW_STATUS).text(space).text(workflow).byte(status).done(),
            Index::of(KIND).text(space).byte(kind).done(),
            Index::of(KIND_STATUS).text(space).byte(kind).byte(status).done(),
            Index::of(CODE).text(space).text(code).done(),
            Index::of(CODE_STATUS).text(space).text(code).byte(status).done(),
            Index::of(FINGERPRINT).text(space).bytes(&cause).done(),
            Index::of(FINGERPRINT_STATUS).text(space).bytes(&cause).byte(status).done(),
            [by_cause_oldest(space, self.fingerprint), ascending(self.opened_at).to_vec()].concat(),
            by_execution(&self.letter.execution),
        ];
        if let Some(assignee) = &self.assignee {
            indexes.push(Index::of(ASSIGNEE).text(space).text(assignee).done());
            indexes.push(Index::of(ASSIGNEE_STATUS).text(space).text(assignee).byte(status).done());
        }
        for tag in self.tags.iter() {
            indexes.push(Index::of(TAG).text(space).text(tag).done());
            indexes.push(Index::of(TAG_STATUS).text(space).text(tag).byte(status).done());
        }
        indexes
    }
}

/// The beginning of the entries of a cause's letters, in the order of their opening.
pub(super) fn by_cause_oldest(namespace: &str, cause: Fingerprint) -> Vec<u8> {
    Index::of(FINGERPRINT_OLDEST).text(namespace).bytes(&cause.0.to_be_bytes()).done()
}

/// An instant so that an older one sorts first.
fn ascending(at: Timestamp) -> [u8; INSTANT_BYTES] {
    (at.0.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

/// The beginning of the entries of a run's letters.
pub(super) fn by_execution(execution: &ExecutionId) -> Vec<u8> {
    Index::of(EXECUTION).bytes(&keys::execution(execution)).done()
}

impl Filter for LetterFilter {
    type Row = LetterSummary;

    fn takes(&self, row: &LetterSummary) -> bool {
        *row.namespace == self.namespace
            && self.status.is_none_or(|status| status == row.status)
            && self.workflow.as_ref().is_none_or(|workflow| **workflow == *row.workflow)
            && self.kind.is_none_or(|kind| kind == row.kind)
            && self
                .step
                .as_ref()
                .is_none_or(|step| row.kind != LetterKind::Callback && *step == row.subject)
            && self.fingerprint.is_none_or(|cause| cause == row.fingerprint)
            && self.assignee.as_ref().is_none_or(|own| Some(own) == row.assignee.as_ref())
            && self.tag.as_ref().is_none_or(|tag| row.tags.iter().any(|own| **own == **tag))
            && self.code.as_ref().is_none_or(|code| *code == row.code)
            && self.execution.is_none_or(|execution| execution == row.letter.execution)
            && self.opened.takes(row.opened_at)
    }

    fn order(&self) -> Order {
        self.order
    }

    fn range(&self) -> Range {
        self.opened
    }

    /// A run has few letters, a cause fewer than a code, a code fewer than a workflow, a
    /// workflow fewer than a kind.
    fn index(&self, _: &dyn Fn(&Self) -> bool) -> Vec<u8> {
        let (space, status) = (&self.namespace, self.status.map(status_byte));
        if let Some(execution) = &self.execution {
            return by_execution(execution);
        }
        let with = |plain: u8, with_status: u8| match status {
            Some(_) => Index::of(with_status).text(space),
            None => Index::of(plain).text(space),
        };
        let named = if let Some(cause) = &self.fingerprint {
            with(FINGERPRINT, FINGERPRINT_STATUS).bytes(&cause.0.to_be_bytes())
        } else if let Some(assignee) = &self.assignee {
            with(ASSIGNEE, ASSIGNEE_STATUS).text(assignee)
        } else if let Some(tag) = &self.tag {
            with(TAG, TAG_STATUS).text(tag)
        } else if let Some(code) = &self.code {
            with(CODE, CODE_STATUS).text(code)
        } else if let Some(workflow) = &self.workflow {
            with(WORKFLOW, WORKFLOW_STATUS).text(workflow)
        } else if let Some(kind) = self.kind.map(kind_byte) {
            with(KIND, KIND_STATUS).byte(kind)
        } else {
            with(ALL, STATUS)
        };
        match status {
            Some(status) => named.byte(status).done(),
            None => named.done(),
        }
    }
}
