//! The whole history, page by page, through a filter.

use backstitch_core::history::{EventFilter, Place, placed_event_json};
use backstitch_core::ids::PartitionId;
use backstitch_journal::{
    ChainCursor, ChainEvent, EventPage, EventQuery, Generations, Journal, PAGE_SCAN_BYTES_MAX,
    events,
};
use serde_json::Value;

use super::{Handle, blocking};
use crate::error::Error;
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
}

impl Handle {
    /// A page of the whole history.
    ///
    /// # Errors
    /// [`Error::CursorOutdated`] for a cursor of another generation or another store,
    /// [`Error::Journal`] where the chain is not whole.
    pub async fn events(
        &self,
        filter: EventFilter,
        after: Option<ChainCursor>,
        until: Option<ChainCursor>,
        rows_max: usize,
    ) -> Result<EventRows, Error> {
        let after = after.map(|own| self.positions(own)).transpose()?.unwrap_or_default();
        let until = until.map(|own| self.positions(own)).transpose()?;
        let (journal, catalog) = (self.shared.journal.clone(), self.shared.catalog.clone());
        let generation = journal.origin().generation;
        blocking(move || {
            let mut owners = Owners::new(&journal, &catalog);
            let range = Range { after, until, rows_max };
            let page = page(&journal, &mut owners, &filter, range)?;
            let rows = page.rows.iter().map(|row| row_json(row, &mut owners)).collect();
            let next = ChainCursor { generation, positions: page.positions };
            Ok(EventRows { rows, next, more: page.more })
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

/// Where a page lies.
pub(crate) struct Range {
    pub(crate) after: Vec<u64>,
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
    let query = EventQuery {
        after: range.after,
        until: range.until,
        from: filter.from,
        to: filter.to,
        // A run's events are all in its own partition.
        partition: filter.run().map(|run| run.partition),
        rows_max: range.rows_max,
        scan_bytes_max: PAGE_SCAN_BYTES_MAX,
    };
    let mut counts = |record: &backstitch_journal::Record| {
        filter.passes(&record.stream, &record.event, |run| owners.owner(run))
    };
    Ok(events(journal, &query, &mut counts)?)
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
