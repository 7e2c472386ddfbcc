//! What views count beside their rows: of runs their statistics, of dead letters how many
//! there are of each cause.
//!
//! Knows what is counted together and how a tree names it; not when it is written.

use std::fmt::Debug;

use backstitch_core::audit::AuditRow;
use backstitch_core::letters::{Fingerprint, LetterCause, LetterCounts};
use backstitch_core::statistics::RunStatistics;
use backstitch_core::summary::{LetterSummary, RunSummary};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bytes::Malformed;
use crate::keys;
use crate::views::letter::{kind_byte, kind_of};

/// A count of some rows that can be taken away again exactly.
pub(super) trait Share:
    Debug + Default + Clone + Serialize + DeserializeOwned + Send
{
    /// Of which rows.
    type Row;
    /// What rows have in common that are counted together.
    type Key: Debug + Clone + Ord + Send;

    /// Where a row is counted; nowhere if it is not.
    fn key(row: &Self::Row) -> Option<Self::Key>;
    /// The key as a tree has it.
    fn push_key(key: &Self::Key, bytes: &mut Vec<u8>);
    /// The key back; what follows it is left alone.
    fn key_of(bytes: &[u8]) -> Result<Self::Key, Malformed>;
    fn add(&mut self, row: &Self::Row);
    fn take_away(&mut self, row: &Self::Row);
    fn merge(&mut self, other: &Self);
    fn is_empty(&self) -> bool;
}

/// Whose statistics: a namespace, a workflow, and the arm of a roll-out with its revision.
pub(super) type RunKey = (String, String, Arm);
/// None for the runs that fell into no arm.
pub(super) type Arm = Option<(String, u32)>;

impl Share for RunStatistics {
    type Row = RunSummary;
    type Key = RunKey;

    fn key(row: &RunSummary) -> Option<RunKey> {
        let arm = row.variant.as_ref().map(|name| (name.to_string(), row.revision));
        // A chunk is a part of a run that is counted.
        (!row.chunk).then(|| (row.namespace.to_string(), row.workflow.to_string(), arm))
    }

    /// Revisions are counted from 1: 0 says that there is no arm.
    fn push_key((namespace, workflow, arm): &RunKey, bytes: &mut Vec<u8>) {
        keys::push_text(bytes, namespace);
        keys::push_text(bytes, workflow);
        let (name, revision) = arm.as_ref().map_or(("", 0), |(name, own)| (name.as_str(), *own));
        keys::push_text(bytes, name);
        bytes.extend(revision.to_be_bytes());
    }

    fn key_of(bytes: &[u8]) -> Result<RunKey, Malformed> {
        let bad = || Malformed::because("a key of the statistics names no workflow");
        let (namespace, rest) = keys::text_of(bytes).ok_or_else(bad)?;
        let (workflow, rest) = keys::text_of(rest).ok_or_else(bad)?;
        let (name, rest) = keys::text_of(rest).ok_or_else(bad)?;
        let (revision, _) = rest.split_first_chunk().ok_or_else(bad)?;
        let revision = u32::from_be_bytes(*revision);
        let arm = (revision > 0).then(|| (name.to_owned(), revision));
        Ok((namespace.to_owned(), workflow.to_owned(), arm))
    }

    fn add(&mut self, row: &RunSummary) {
        self.add(row);
    }

    fn take_away(&mut self, row: &RunSummary) {
        self.take_away(row);
    }

    fn merge(&mut self, other: &Self) {
        self.merge(other);
    }

    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

impl Share for LetterCounts {
    type Row = LetterSummary;
    type Key = LetterCause;

    fn key(row: &LetterSummary) -> Option<LetterCause> {
        Some(LetterCause::of(row))
    }

    fn push_key(key: &LetterCause, bytes: &mut Vec<u8>) {
        keys::push_text(bytes, &key.namespace);
        bytes.extend(key.fingerprint.0.to_be_bytes());
        keys::push_text(bytes, &key.workflow);
        bytes.push(kind_byte(key.kind));
        keys::push_text(bytes, &key.code);
    }

    fn key_of(bytes: &[u8]) -> Result<LetterCause, Malformed> {
        let bad = || Malformed::because("a key of the statistics names no cause");
        let (namespace, rest) = keys::text_of(bytes).ok_or_else(bad)?;
        let (fingerprint, rest) = rest.split_first_chunk().ok_or_else(bad)?;
        let (workflow, rest) = keys::text_of(rest).ok_or_else(bad)?;
        let (kind, rest) = rest.split_first().ok_or_else(bad)?;
        let (code, _) = keys::text_of(rest).ok_or_else(bad)?;
        Ok(LetterCause {
            namespace: namespace.to_owned(),
            fingerprint: Fingerprint(u64::from_be_bytes(*fingerprint)),
            workflow: workflow.to_owned(),
            kind: kind_of(*kind).ok_or_else(bad)?,
            code: code.to_owned(),
        })
    }

    fn add(&mut self, row: &LetterSummary) {
        self.add(row);
    }

    fn take_away(&mut self, row: &LetterSummary) {
        self.take_away(row);
    }

    fn merge(&mut self, other: &Self) {
        self.merge(other);
    }

    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

/// Of the audit nothing is counted.
#[derive(Debug, Clone, Default, Serialize, serde::Deserialize)]
pub(super) struct Uncounted;

impl Share for Uncounted {
    type Row = AuditRow;
    type Key = ();

    fn key(_: &AuditRow) -> Option<()> {
        None
    }

    fn push_key((): &(), _: &mut Vec<u8>) {}

    fn key_of(_: &[u8]) -> Result<(), Malformed> {
        Ok(())
    }

    fn add(&mut self, _: &AuditRow) {}

    fn take_away(&mut self, _: &AuditRow) {}

    fn merge(&mut self, _: &Self) {}

    fn is_empty(&self) -> bool {
        true
    }
}
