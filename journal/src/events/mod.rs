//! The whole history, page by page: the events of all partitions in the order of their
//! commits' times.
//!
//! The order is by time of the commit, then partition, then position. A partition's time never
//! goes back, so a page ends where it cannot know yet what another partition has there. Work
//! is bounded, not only rows: a page may come short, or empty, with a cursor to go on. Knows
//! nothing of what an event means; whoever asks says which ones count.

mod cursor;

use std::ops::ControlFlow;

use backstitch_core::ids::PartitionId;
use backstitch_core::time::Timestamp;

use crate::commit::{Commit, Head};
use crate::error::Error;
use crate::journal::Journal;
use crate::reader::Reader;
use crate::record::Record;

pub use cursor::ChainCursor;

/// Bytes of commits that one page looks into, over all partitions.
pub const PAGE_SCAN_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes of commits that one page passes over because they are older than it asks for.
pub const PAGE_SKIP_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Commits in order, of each partition: an open journal, or a directory nobody has open.
pub trait Chain {
    /// How many partitions there are.
    fn partitions(&self) -> u16;

    /// Where it begins: each partition's last commit that was cut; zeros if none was.
    ///
    /// # Errors
    /// If that cannot be read.
    fn beginning(&self) -> Result<Vec<Head>, Error>;

    /// Visits the commits of a partition with records behind a position, in order.
    ///
    /// # Errors
    /// Where the chain is not whole.
    fn commits_after(
        &self,
        partition: PartitionId,
        after_position: u64,
        visit: &mut dyn FnMut(&Commit) -> ControlFlow<()>,
    ) -> Result<(), Error>;
}

impl Chain for Journal {
    fn partitions(&self) -> u16 {
        self.partition_count()
    }

    fn beginning(&self) -> Result<Vec<Head>, Error> {
        Self::beginning(self)
    }

    fn commits_after(
        &self,
        partition: PartitionId,
        after_position: u64,
        visit: &mut dyn FnMut(&Commit) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        Self::commits_after(self, partition, after_position, visit)
    }
}

impl Chain for Reader {
    fn partitions(&self) -> u16 {
        u16::try_from(Self::partitions(self)).unwrap_or(u16::MAX)
    }

    fn beginning(&self) -> Result<Vec<Head>, Error> {
        Self::beginning(self)
    }

    fn commits_after(
        &self,
        partition: PartitionId,
        after_position: u64,
        visit: &mut dyn FnMut(&Commit) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        Self::commits_after(self, partition, after_position, visit)
    }
}

/// What a page is asked for.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// Last position seen, of each partition; what is missing counts as 0. `None` begins where
    /// the chain does.
    pub after: Option<Vec<u64>>,
    /// Last position wanted, of each partition, if there is an end.
    pub until: Option<Vec<u64>>,
    /// Only events committed at this instant or later.
    pub from: Option<Timestamp>,
    /// Only events committed before this instant.
    pub to: Option<Timestamp>,
    /// The one partition to look into, where only one can hold what is wanted.
    pub partition: Option<PartitionId>,
    /// The most rows.
    pub rows_max: usize,
    /// The most bytes of commits looked into; [`PAGE_SCAN_BYTES_MAX`] is a good number.
    pub scan_bytes_max: usize,
}

/// One event of the whole history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainEvent {
    /// Which restore of the store it was recorded under.
    pub generation: u32,
    /// Its partition.
    pub partition: PartitionId,
    /// When its commit was made.
    pub committed_at: Timestamp,
    /// The event and where it stands.
    pub record: Record,
}

/// Some events, and where the next page goes on.
#[derive(Debug, Clone, Default)]
pub struct EventPage {
    /// In order.
    pub rows: Vec<ChainEvent>,
    /// Last position delivered or passed over, of each partition.
    pub positions: Vec<u64>,
    /// Whether there may be more behind these positions already.
    pub more: bool,
    /// Where the chain began as this was read: each partition's last commit that was cut.
    pub beginning: Vec<Head>,
}

/// Reads a page of the whole history: the events for which `counts` answers true.
///
/// # Errors
/// [`Error::Cut`] if some of what is asked for was cut; others where the chain is not whole.
pub fn events(
    chain: &dyn Chain,
    query: &EventQuery,
    counts: &mut dyn FnMut(&Record) -> bool,
) -> Result<EventPage, Error> {
    let beginning = chain.beginning()?;
    let positions = query.begin(&beginning)?;
    let chosen: Vec<u16> = (0..chain.partitions())
        .filter(|&id| query.partition.is_none_or(|only| only.0 == id))
        .filter(|&id| positions[usize::from(id)] < query.end_of(id))
        .collect();
    let share = chosen.len().max(1);
    let mut looks = Vec::new();
    for &partition in &chosen {
        let after = positions[usize::from(partition)];
        looks.push(look(chain, query, PartitionId(partition), after, share, counts)?);
    }
    Ok(EventPage { beginning, ..merge(looks, positions, query.rows_max) })
}

impl EventQuery {
    /// The positions that it begins behind, in a chain that begins so.
    ///
    /// # Errors
    /// [`Error::Cut`] if some of what it asks for was cut.
    pub fn begin(&self, beginning: &[Head]) -> Result<Vec<u64>, Error> {
        let begin = |(partition, head): (u16, &Head)| {
            let Some(after) = &self.after else { return Ok(head.position) };
            let after = after.get(usize::from(partition)).copied().unwrap_or(0);
            let is_asked = self.partition.is_none_or(|only| only.0 == partition)
                && after < self.end_of(partition);
            if !is_asked || after >= head.position {
                return Ok(after);
            }
            // What was cut is not wanted if all of it is older than that.
            match self.from.is_some_and(|from| from > head.committed_at) {
                true => Ok(head.position),
                false => Err(Error::Cut { partition, position: head.position }),
            }
        };
        (0..).zip(beginning).map(begin).collect()
    }

    fn end_of(&self, partition: u16) -> u64 {
        let end = self.until.as_ref().map(|until| until.get(usize::from(partition)).copied());
        end.map_or(u64::MAX, Option::unwrap_or_default)
    }
}

/// What was seen of one partition.
struct Look {
    partition: PartitionId,
    commits: Vec<Seen>,
    /// Passed over without looking inside, before any of the commits.
    skipped_to: u64,
    /// Whether nothing wanted follows.
    finished: bool,
}

/// What counts in one commit.
struct Seen {
    committed_at: Timestamp,
    generation: u32,
    last_position: u64,
    records: Vec<Record>,
}

fn look(
    chain: &dyn Chain,
    query: &EventQuery,
    partition: PartitionId,
    after: u64,
    share: usize,
    counts: &mut dyn FnMut(&Record) -> bool,
) -> Result<Look, Error> {
    let end = query.end_of(partition.0);
    let (mut scan_bytes, mut skip_bytes) =
        (query.scan_bytes_max / share, PAGE_SKIP_BYTES_MAX / share);
    let (mut rows, mut begun) = (0, false);
    let mut look = Look { partition, commits: Vec::new(), skipped_to: after, finished: true };
    chain.commits_after(partition, after, &mut |commit| {
        let (head, bytes) = (commit.head(), commit.bytes().len());
        let is_old = query.from.is_some_and(|from| head.committed_at < from);
        let is_late = query.to.is_some_and(|to| head.committed_at >= to);
        if is_late || commit.first_position() > end {
            return ControlFlow::Break(());
        }
        let budget = if is_old { &mut skip_bytes } else { &mut scan_bytes };
        // One commit is always looked into, so that every page gets somewhere.
        if (begun && *budget < bytes) || rows >= query.rows_max {
            look.finished = false;
            return ControlFlow::Break(());
        }
        *budget = budget.saturating_sub(bytes);
        begun = true;
        if is_old {
            look.skipped_to = head.position.min(end);
            return ControlFlow::Continue(());
        }
        let inside = |record: &Record| record.position > after && record.position <= end;
        let records = commit.records().into_iter();
        let wanted: Vec<_> = records.filter(|record| inside(record) && counts(record)).collect();
        rows += wanted.len();
        look.commits.push(Seen {
            committed_at: head.committed_at,
            generation: commit.origin().generation,
            last_position: head.position.min(end),
            records: wanted,
        });
        ControlFlow::Continue(())
    })?;
    Ok(look)
}

/// Lays the looks into each other by time, as far as all of them reach.
fn merge(looks: Vec<Look>, mut positions: Vec<u64>, rows_max: usize) -> EventPage {
    let mut reach = None;
    let mut more = false;
    let mut commits = Vec::new();
    for look in looks {
        let at = usize::from(look.partition.0);
        positions[at] = look.skipped_to.max(positions[at]);
        if !look.finished {
            more = true;
            let last = look.commits.last().map(|seen| seen.committed_at);
            // Only older commits were passed over: nothing of this partition is known yet.
            let last = (last.unwrap_or(Timestamp(i64::MIN)), look.partition.0);
            reach = Some(reach.map_or(last, |reach: (Timestamp, u16)| reach.min(last)));
        }
        let partition = look.partition;
        commits.extend(look.commits.into_iter().map(|seen| (seen.committed_at, partition, seen)));
    }
    commits.sort_by_key(|(at, partition, seen)| (*at, partition.0, seen.last_position));
    let mut rows = Vec::new();
    for (committed_at, partition, seen) in commits {
        if reach.is_some_and(|reach| (committed_at, partition.0) > reach) {
            more = true;
            break;
        }
        let position = &mut positions[usize::from(partition.0)];
        for record in seen.records {
            if rows.len() == rows_max {
                return EventPage { rows, positions, more: true, ..EventPage::default() };
            }
            *position = record.position;
            let generation = seen.generation;
            rows.push(ChainEvent { generation, partition, committed_at, record });
        }
        *position = seen.last_position;
    }
    EventPage { rows, positions, more, ..EventPage::default() }
}
