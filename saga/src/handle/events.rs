//! The whole history, page by page, through a filter.

use std::ops::ControlFlow;

use backstitch_core::history::{EventFilter, Place, placed_event_json};
use backstitch_core::ids::PartitionId;
use backstitch_core::time::Timestamp;
use backstitch_journal::{
    ChainCursor, ChainEvent, Commit, Error as JournalError, EventPage, EventQuery, Generations,
    Head, Journal, PAGE_SCAN_BYTES_MAX, Record, events,
};
use serde_json::Value;

use super::{Handle, blocking};
use crate::error::Error;
use crate::live::{Live, Told, tell};
use crate::owners::Owners;

/// Events as they are printed, and where the next page goes on.
#[derive(Debug, Clone)]
pub struct EventRows {
    /// In order.
    pub rows: Vec<Value>,
    /// The place behind them; what is recorded later follows it.
    pub next: ChainCursor,
    /// Whether there may be more already.
    pub more: bool,
    /// What is not there any more, if the log was cut.
    pub cut: Option<HistoryCut>,
}

/// What was cut off the whole history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryCut {
    /// The place behind it: what is left follows.
    pub cursor: ChainCursor,
    /// When the newest commit that is gone was made.
    pub until: Timestamp,
}

impl HistoryCut {
    /// What is missing of a history that begins so, if anything is.
    pub(crate) fn of(generation: u32, beginning: &[Head]) -> Option<Self> {
        let cut = beginning.iter().filter(|head| head.sequence > 0);
        let until = cut.map(|head| head.committed_at).max()?;
        let positions = beginning.iter().map(|head| head.position).collect();
        Some(Self { cursor: ChainCursor { generation, positions }, until })
    }
}

impl Handle {
    /// A page of the whole history. Without a place to begin behind, or with the very first one,
    /// it begins with the first event that is left.
    ///
    /// # Errors
    /// [`Error::CursorOutdated`] for a cursor of another generation or another store,
    /// [`Error::HistoryCut`] if some of what is asked for was cut, [`Error::Journal`] where the
    /// chain is not whole.
    pub async fn events(
        &self,
        filter: EventFilter,
        after: Option<ChainCursor>,
        until: Option<ChainCursor>,
        rows_max: usize,
    ) -> Result<EventRows, Error> {
        let after = self.begun(after)?;
        let until = until.map(|own| self.positions(own)).transpose()?;
        let (journal, catalog) = (self.shared.journal.clone(), self.shared.catalog.clone());
        let generation = journal.origin().generation;
        blocking(move || {
            let mut owners = Owners::new(&journal, &catalog);
            let range = Range { after, until, rows_max };
            let page = page(&journal, &mut owners, &filter, range)?;
            let rows = page.rows.iter().map(|row| row_json(row, &mut owners)).collect();
            let next = ChainCursor { generation, positions: page.positions };
            let cut = HistoryCut::of(generation, &page.beginning);
            Ok(EventRows { rows, next, more: page.more, cut })
        })
        .await?
    }

    pub(crate) fn live(&self) -> &Live {
        &self.shared.live
    }

    /// Some events between some positions and others as followers get them, in the order of
    /// writing, the positions behind what was looked at, and whether there may be more already.
    ///
    /// # Errors
    /// As [`Handle::events`].
    pub(crate) async fn events_told(
        &self,
        filter: EventFilter,
        (after, until): (Vec<u64>, Vec<u64>),
        rows_max: usize,
    ) -> Result<(Vec<Told>, Vec<u64>, bool), Error> {
        let (journal, catalog) = (self.shared.journal.clone(), self.shared.catalog.clone());
        blocking(move || {
            let mut owners = Owners::new(&journal, &catalog);
            let after = Some(after).filter(|own| own.iter().any(|position| *position > 0));
            let range = Range { after, until: None, rows_max };
            let (after, _) = beginning(&journal, &filter, range)?;
            let (mut told, mut bytes, mut more) = (Vec::new(), 0, false);
            let mut positions = after.clone();
            let visit = &mut |commit: &Commit| {
                if told.len() >= rows_max || bytes >= PAGE_SCAN_BYTES_MAX {
                    more = true;
                    return ControlFlow::Break(());
                }
                bytes += commit.bytes().len();
                let (partition, head) = (commit.partition(), commit.head());
                let at = usize::from(partition.0);
                if until.get(at).is_none_or(|until| head.position > *until) {
                    return ControlFlow::Continue(());
                }
                for record in records_behind(commit, after[at]) {
                    let passes = filter.spans(record.recorded_at)
                        && filter.passes(&record.stream, &record.event, |run| owners.owner(run));
                    if passes {
                        let generation = commit.origin().generation;
                        told.push(tell(&record, partition, generation, &mut owners));
                    }
                }
                positions[at] = head.position;
                ControlFlow::Continue(())
            };
            journal.commits_behind(&after, visit).map_err(|error| unread(&journal, error))?;
            Ok((told, positions, more))
        })
        .await?
    }

    /// The end of the whole history as it stands.
    #[must_use]
    pub fn newest_cursor(&self) -> ChainCursor {
        let journal = &self.shared.journal;
        let positions = journal.heads().iter().map(|head| head.position).collect();
        ChainCursor { generation: journal.origin().generation, positions }
    }

    /// Where a partition's generations begin. A store that was restored looks it up once.
    ///
    /// # Errors
    /// [`Error::Journal`] where the chain is not whole.
    pub async fn generations(&self, partition: PartitionId) -> Result<Generations, Error> {
        let journal = self.shared.journal.clone();
        Ok(blocking(move || journal.generations(partition)).await??)
    }

    /// The positions to begin behind; none for the beginning, which the very first place is.
    ///
    /// # Errors
    /// [`Error::CursorOutdated`].
    pub(super) fn begun(&self, after: Option<ChainCursor>) -> Result<Option<Vec<u64>>, Error> {
        let positions = after.map(|own| self.positions(own)).transpose()?;
        Ok(positions.filter(|own| own.iter().any(|position| *position > 0)))
    }

    /// The positions of a cursor, if it was given out by this store as it is.
    ///
    /// # Errors
    /// [`Error::CursorOutdated`].
    pub fn positions(&self, cursor: ChainCursor) -> Result<Vec<u64>, Error> {
        let generation = self.shared.journal.origin().generation;
        let partitions = usize::from(self.shared.journal.partition_count());
        if cursor.generation != generation || cursor.positions.len() != partitions {
            let given = cursor.generation;
            return Err(Error::CursorOutdated { given, generation });
        }
        Ok(cursor.positions)
    }
}

/// The records of a commit behind a position.
pub(crate) fn records_behind(commit: &Commit, position: u64) -> impl Iterator<Item = Record> {
    commit.records().into_iter().filter(move |record| record.position > position)
}

/// Where a page lies.
pub(crate) struct Range {
    /// Where the chain begins, without.
    pub(crate) after: Option<Vec<u64>>,
    pub(crate) until: Option<Vec<u64>>,
    pub(crate) rows_max: usize,
}

/// Reads one page through a filter.
pub(crate) fn page(
    journal: &Journal,
    owners: &mut Owners<'_>,
    filter: &EventFilter,
    range: Range,
) -> Result<EventPage, Error> {
    let query = range.query(filter);
    let mut counts =
        |record: &Record| filter.passes(&record.stream, &record.event, |run| owners.owner(run));
    events(journal, &query, &mut counts).map_err(|error| unread(journal, error))
}

/// The positions that a range begins behind, and what was cut before.
pub(crate) fn beginning(
    journal: &Journal,
    filter: &EventFilter,
    range: Range,
) -> Result<(Vec<u64>, Option<HistoryCut>), Error> {
    let beginning = journal.beginning()?;
    let positions =
        range.query(filter).begin(&beginning).map_err(|error| unread(journal, error))?;
    Ok((positions, HistoryCut::of(journal.origin().generation, &beginning)))
}

/// Names the place where what is left begins.
fn unread(journal: &Journal, error: JournalError) -> Error {
    let JournalError::Cut { partition, position } = error else { return error.into() };
    let cut = |beginning: Vec<Head>| HistoryCut::of(journal.origin().generation, &beginning);
    match journal.beginning().map(cut) {
        Ok(Some(cut)) => Error::HistoryCut { partition, position, cut },
        Ok(None) => JournalError::Cut { partition, position }.into(),
        Err(error) => error.into(),
    }
}

impl Range {
    fn query(self, filter: &EventFilter) -> EventQuery {
        EventQuery {
            after: self.after,
            until: self.until,
            from: filter.from,
            to: filter.to,
            // A run's events are all in its own partition.
            partition: filter.run().map(|run| run.partition),
            rows_max: self.rows_max,
            scan_bytes_max: PAGE_SCAN_BYTES_MAX,
        }
    }
}

/// An event as the API prints it.
pub(crate) fn row_json(row: &ChainEvent, owners: &mut Owners<'_>) -> Value {
    let plan = owners.plan(&row.record);
    let place = Place {
        generation: row.generation,
        partition: row.partition.0,
        position: row.record.position,
        stream: &row.record.stream,
        version: row.record.version,
        recorded_at: row.record.recorded_at,
    };
    let mut shown = placed_event_json(&place, &row.record.event, plan.as_deref());
    shown["committed_at"] = row.committed_at.to_string().into();
    shown
}
