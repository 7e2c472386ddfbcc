//! Dead letters by what they have in common: how many there are of each cause, the first and
//! the last of them.
//!
//! Counts are kept with the rows, in the same units of the tree; first and last letters are
//! the ends of the cause's index. So a group costs a few look-ups, however many letters it has.

use std::collections::HashMap;

use backstitch_core::letters::{Fingerprint, LetterCause, LetterCounts, LetterGroup};
use backstitch_core::summary::LetterStatus;
use backstitch_core::time::Timestamp;

use super::filter::{LetterFilter, Order};
use super::{Views, letter};
use crate::error::Error;

/// Some groups, the largest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LetterGroups {
    /// The groups.
    pub groups: Vec<LetterGroup>,
    /// How many groups there are in all.
    pub count: usize,
}

impl Views {
    /// How many letters there are of each cause of a namespace.
    pub(crate) fn letter_counts(&self, namespace: &str) -> Vec<(LetterCause, LetterCounts)> {
        self.letters.table().statistics(|all| {
            let own = all.all().filter(|(cause, _)| cause.namespace == namespace);
            own.map(|(cause, counts)| (cause.clone(), *counts)).collect()
        })
    }

    /// See [`crate::Journal::letter_groups`].
    pub(crate) fn letter_groups(
        &self,
        filter: &LetterFilter,
        skip: usize,
        limit: usize,
    ) -> Result<LetterGroups, Error> {
        let taken = |counts: &LetterCounts| match filter.status {
            Some(status) => counts.of_status(status),
            None => counts.total(),
        };
        let mut causes = self.letter_counts(&filter.namespace);
        causes.retain(|(cause, counts)| {
            taken(counts) > 0
                && filter.fingerprint.is_none_or(|own| own == cause.fingerprint)
                && filter.workflow.as_ref().is_none_or(|own| *own == cause.workflow)
                && filter.kind.is_none_or(|own| own == cause.kind)
                && filter.code.as_ref().is_none_or(|own| *own == cause.code)
        });
        causes.sort_by(|(one, few), (other, many)| {
            taken(many).cmp(&taken(few)).then_with(|| one.cmp(other))
        });
        let count = causes.len();
        let mut groups = Vec::new();
        let lately = self.opened_lately(&filter.namespace);
        for (cause, counts) in causes.into_iter().skip(skip).take(limit) {
            let lately = lately.get(&cause.fingerprint).copied();
            groups.extend(self.letter_group(cause, counts, filter.status, lately)?);
        }
        Ok(LetterGroups { groups, count })
    }

    /// Nothing if the last letter has left since the counts were made.
    fn letter_group(
        &self,
        cause: LetterCause,
        counts: LetterCounts,
        status: Option<LetterStatus>,
        lately: Option<Timestamp>,
    ) -> Result<Option<LetterGroup>, Error> {
        let newest = |status| {
            let (namespace, fingerprint) = (cause.namespace.clone(), Some(cause.fingerprint));
            let filter = LetterFilter { namespace, fingerprint, status, ..LetterFilter::default() };
            Ok::<_, Error>(self.letters(&filter, None, 1)?.rows.pop())
        };
        let Some(last) = newest(None)? else { return Ok(None) };
        let example = match status {
            Some(_) if Some(last.status) != status => newest(status)?,
            _ => Some(last.clone()),
        };
        let index = letter::by_cause_oldest(&cause.namespace, cause.fingerprint);
        let stored = self.letters.table().first_at(&index)?;
        let (first_at, last_at) = (stored.into_iter().chain(lately).min(), last.opened_at);
        let first_at = first_at.unwrap_or(last_at);
        let group = |example| LetterGroup { cause, counts, first_at, last_at, example };
        Ok(example.map(group))
    }

    /// When the oldest of each cause's letters was opened, among those not in the tree yet.
    fn opened_lately(&self, namespace: &str) -> HashMap<Fingerprint, Timestamp> {
        let mut first = HashMap::new();
        self.letters.table().for_each_changed(|row| {
            if *row.namespace == *namespace {
                let at = first.entry(row.fingerprint).or_insert(row.opened_at);
                *at = row.opened_at.min(*at);
            }
        });
        first
    }

    /// See [`crate::Journal::open_letters_since`].
    pub(crate) fn open_letters_since(
        &self,
        namespace: &str,
        most: usize,
    ) -> Result<(Vec<Timestamp>, bool), Error> {
        let filter = LetterFilter {
            namespace: namespace.to_owned(),
            status: Some(LetterStatus::Open),
            order: Order::OldestFirst,
            ..LetterFilter::default()
        };
        let (mut since, mut after) = (Vec::new(), None);
        loop {
            let page = self.letters(&filter, after.as_ref(), (most - since.len()).max(1))?;
            since.extend(page.rows.iter().map(|row| row.opened_at));
            match page.next {
                Some(_) if since.len() >= most => return Ok((since, false)),
                None => return Ok((since, true)),
                next => after = next,
            }
        }
    }
}
