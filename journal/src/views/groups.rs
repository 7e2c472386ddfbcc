//! Dead letters by what they have in common: how many there are of each cause, the first and
//! the last of them.
//!
//! Counts are kept with the rows, in the same units of the tree; first and last letters are
//! the ends of the cause's index. So a group costs a few look-ups, however many letters it has.

use backstitch_core::letters::{LetterCause, LetterCounts, LetterGroup};
use backstitch_core::summary::LetterStatus;
use backstitch_core::time::Timestamp;

use super::Views;
use super::filter::{LetterFilter, Order};
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
        for (cause, counts) in causes.into_iter().take(limit) {
            groups.extend(self.letter_group(cause, counts, filter.status)?);
        }
        Ok(LetterGroups { groups, count })
    }

    /// Nothing if the last letter has left since the counts were made.
    fn letter_group(
        &self,
        cause: LetterCause,
        counts: LetterCounts,
        status: Option<LetterStatus>,
    ) -> Result<Option<LetterGroup>, Error> {
        let of = |status, order| {
            let fingerprint = Some(cause.fingerprint);
            let namespace = cause.namespace.clone();
            let filter =
                LetterFilter { namespace, fingerprint, status, order, ..LetterFilter::default() };
            Ok::<_, Error>(self.letters(&filter, None, 1)?.rows.pop())
        };
        let ends = (of(None, Order::OldestFirst)?, of(None, Order::NewestFirst)?);
        let (Some(first), Some(last)) = ends else { return Ok(None) };
        let example = match status {
            Some(_) if Some(last.status) != status => of(status, Order::NewestFirst)?,
            _ => Some(last.clone()),
        };
        let (first_at, last_at) = (first.opened_at, last.opened_at);
        let group = |example| LetterGroup { cause, counts, first_at, last_at, example };
        Ok(example.map(group))
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
