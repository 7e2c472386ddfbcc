//! Dead letters by what they have in common.

use std::collections::BTreeMap;

use super::{Fingerprint, LetterCounts};
use crate::summary::{LetterKind, LetterStatus, LetterSummary};
use crate::time::Timestamp;

/// Which dead letters are counted together: those of a cause. The code is the last failure's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LetterCause {
    /// Tenant.
    pub namespace: String,
    /// What they share.
    pub fingerprint: Fingerprint,
    /// Of which workflow.
    pub workflow: String,
    /// Which kind of operation.
    pub kind: LetterKind,
    /// The last failure's.
    pub code: String,
}

impl LetterCause {
    /// Where a letter is counted.
    #[must_use]
    pub fn of(row: &LetterSummary) -> Self {
        Self {
            namespace: row.namespace.to_string(),
            fingerprint: row.fingerprint,
            workflow: row.workflow.to_string(),
            kind: row.kind,
            code: row.code.clone(),
        }
    }
}

/// Dead letters of one cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetterGroup {
    /// What they share.
    pub cause: LetterCause,
    /// How many there are.
    pub counts: LetterCounts,
    /// When the oldest was opened.
    pub first_at: Timestamp,
    /// When the newest was opened.
    pub last_at: Timestamp,
    /// The newest one with the status asked for.
    pub example: LetterSummary,
}

/// The groups of some letters that have one with the status asked for, the largest first.
#[must_use]
pub fn groups<'a>(
    rows: impl IntoIterator<Item = &'a LetterSummary>,
    status: Option<LetterStatus>,
) -> Vec<LetterGroup> {
    let mut all: BTreeMap<LetterCause, Vec<&LetterSummary>> = BTreeMap::new();
    for row in rows {
        all.entry(LetterCause::of(row)).or_default().push(row);
    }
    let mut groups: Vec<_> = all
        .into_iter()
        .filter_map(|(cause, rows)| {
            let mut counts = LetterCounts::default();
            rows.iter().for_each(|row| counts.add(row));
            let at = || rows.iter().map(|row| row.opened_at);
            let (first_at, last_at) = (at().min()?, at().max()?);
            let wanted = rows.iter().filter(|row| status.is_none_or(|own| own == row.status));
            let example = (*wanted.max_by_key(|row| (row.opened_at, row.letter))?).clone();
            Some(LetterGroup { cause, counts, first_at, last_at, example })
        })
        .collect();
    let size = |own: &LetterGroup| status.map_or(own.counts.total(), |s| own.counts.of_status(s));
    groups.sort_by(|one, other| {
        size(other).cmp(&size(one)).then_with(|| one.cause.cmp(&other.cause))
    });
    groups
}
