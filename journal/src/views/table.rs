//! One kind of rows: those changed lately in memory, laid over those in the tree.
//!
//! Readers look at memory first and at the tree second, so a row that moves from one to the
//! other in between is found, and the memory's word counts.

use std::collections::{BTreeMap, HashMap};
use std::ops::{Bound, ControlFlow};
use std::sync::{Arc, Mutex, OnceLock};

use backstitch_core::statistics::RunStatistics;
use backstitch_core::summary::RunSummary;

use crate::error::Error;
use crate::fence::FencedTree;
use crate::locks::lock;
use crate::record::decode_row;
use crate::views::filter::Order;
use crate::views::home::Home;
use crate::views::page::{Cursor, Page, Part, Span, join};
use crate::views::row::{self, Filter, ROWS, Row};
use crate::views::tally::Tallies;

/// Rows of the tree that are read for one page; a page that finds too few by then ends
/// there.
pub const ROWS_READ_PER_PAGE_MAX: usize = 2_000;
/// The same for rows in memory, which cost less.
const MEMORY_ROWS_READ_MAX: usize = 20_000;
/// Rows that are looked at, looked up or forgotten in one go: what commits bring waits for the rows
/// in memory meanwhile.
pub(super) const ROWS_AT_ONCE: usize = 256;
/// Index entries read at once: as many as rows are wanted, within these.
const ENTRIES_PER_SCAN_MIN: usize = 16;
const ENTRIES_PER_SCAN_MAX: usize = 128;

/// Rows by id and by their place in lists.
pub(super) struct Table<R: Row> {
    pub(super) tree: Option<Arc<FencedTree>>,
    pub(super) changed: Mutex<Changed<R>>,
    pub(super) tallies: Mutex<Tallies<R::Share>>,
    /// What the tree has applied.
    pub(super) applied: Mutex<Vec<u64>>,
    /// The tree's home and number, once it is no longer in force.
    retired: OnceLock<(Home, u64)>,
}

/// What is not in the tree yet.
pub(super) struct Changed<R: Row> {
    pub(super) rows: HashMap<R::Id, Entry<R>>,
    pub(super) order: BTreeMap<Vec<u8>, R::Id>,
    changes: u64,
}

/// A row that changed, or its removal.
pub(super) struct Entry<R> {
    pub(super) row: Option<Arc<R>>,
    /// It counts whatever version the tree has: the row was removed in between.
    pub(super) forced: bool,
    /// Tells one change of a row from the next.
    pub(super) change: u64,
}

impl<R> Clone for Entry<R> {
    fn clone(&self) -> Self {
        Self { row: self.row.clone(), ..*self }
    }
}

impl<R: Row> Table<R> {
    /// A table over a tree; without one every row stays in memory.
    pub(super) fn new(tree: Option<FencedTree>, applied: Vec<u64>) -> Result<Self, Error> {
        let changed = Changed { rows: HashMap::new(), order: BTreeMap::new(), changes: 0 };
        let tallies = match &tree {
            Some(tree) => Tallies::load(tree)?,
            None => Tallies::default(),
        };
        let (changed, tallies) = (Mutex::new(changed), Mutex::new(tallies));
        let tree = tree.map(Arc::new);
        Ok(Self { tree, changed, tallies, applied: Mutex::new(applied), retired: OnceLock::new() })
    }

    /// Has the tree's files removed when nobody reads them any more.
    pub(super) fn retire(&self, home: Home, number: u64) {
        // Once is enough.
        drop(self.retired.set((home, number)));
    }

    /// Takes a row, unless a newer one is in memory.
    pub(super) fn put(&self, row: R) {
        let (id, place) = (row.id(), row::place(&row));
        let mut changed = lock(&self.changed);
        let known = changed.rows.get(&id).map(|entry| (entry.row.clone(), entry.forced));
        let forced = match known {
            Some((Some(known), _)) if known.version() > row.version() => return,
            Some((Some(known), forced)) => {
                changed.order.remove(&row::place(known.as_ref()));
                forced
            }
            Some((None, _)) => true,
            None => false,
        };
        changed.changes += 1;
        let entry = Entry { row: Some(Arc::new(row)), forced, change: changed.changes };
        changed.order.insert(place, id);
        changed.rows.insert(id, entry);
    }

    /// Drops a row with its index entries and its share of the statistics.
    pub(super) fn remove(&self, id: &R::Id) {
        let mut changed = lock(&self.changed);
        if let Some(Entry { row: Some(row), .. }) = changed.rows.remove(id) {
            changed.order.remove(&row::place(row.as_ref()));
        }
        changed.changes += 1;
        if self.tree.is_some() {
            let entry = Entry { row: None, forced: true, change: changed.changes };
            changed.rows.insert(*id, entry);
        }
    }

    pub(super) fn get(&self, id: &R::Id) -> Result<Option<R>, Error> {
        let in_memory = self.in_memory(id);
        if let Some(Entry { row, forced: true, .. }) = in_memory {
            return Ok(row.map(|row| R::clone(&row)));
        }
        let stored = self.stored(id)?;
        Ok(match (in_memory.and_then(|entry| entry.row), stored) {
            (Some(row), Some(stored)) if stored.version() > row.version() => Some(stored),
            (Some(row), _) => Some(R::clone(&row)),
            (None, stored) => stored,
        })
    }

    fn in_memory(&self, id: &R::Id) -> Option<Entry<R>> {
        lock(&self.changed).rows.get(id).cloned()
    }

    /// The row as the tree has it.
    pub(super) fn stored(&self, id: &R::Id) -> Result<Option<R>, Error> {
        let Some(tree) = &self.tree else { return Ok(None) };
        let Some(bytes) = tree.get(&row::row_key::<R>(id))? else { return Ok(None) };
        decode_row(&bytes).map(Some).map_err(|e| malformed(tree, &e))
    }

    /// The rows of the tree among these.
    pub(super) fn stored_among<'a>(
        &self,
        ids: impl Iterator<Item = &'a R::Id>,
    ) -> Result<HashMap<R::Id, R>, Error>
    where
        R: 'a,
    {
        let Some(tree) = &self.tree else { return Ok(HashMap::new()) };
        let mut ids: Vec<(Vec<u8>, R::Id)> = ids.map(|id| (row::row_key::<R>(id), *id)).collect();
        ids.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let keys: Vec<&[u8]> = ids.iter().map(|(key, _)| key.as_slice()).collect();
        let values = ids.iter().zip(tree.get_many(&keys)?);
        let stored = values.filter_map(|((_, id), value)| Some((*id, value?)));
        let row = |bytes: &[u8]| decode_row(bytes).map_err(|e| malformed(tree, &e));
        stored.map(|(id, bytes)| Ok((id, row(&bytes)?))).collect()
    }

    /// A page of the rows that `filter` takes, behind a place in the list.
    pub(super) fn list<F: Filter<Row = R>>(
        &self,
        filter: &F,
        is_few: &dyn Fn(&F) -> bool,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<R>, Error> {
        let span = Span::of(filter, after)?;
        let wanted = limit.saturating_add(1);
        let in_memory = self.list_memory(filter, &span, wanted);
        let mut in_tree = span.clone();
        if let Some((last, _)) = in_memory.rows.get(limit) {
            // What comes behind them in the tree is on a later page.
            in_tree.end_at(last);
        }
        let mut parts = vec![in_memory];
        if let Some(row) = filter.beside_index().map(|id| self.get(&id)).transpose()?.flatten() {
            let place = row::place(&row);
            let taken = span.takes(&place) && filter.takes(&row);
            parts.push(Part { rows: Vec::from_iter(taken.then_some((place, row))), stopped: None });
        }
        if self.tree.is_some() {
            for index in filter.indexes(is_few) {
                parts.push(self.list_tree(filter, &index, in_tree.clone(), wanted)?);
            }
        }
        Ok(join(filter, parts, limit))
    }

    fn list_memory<F: Filter<Row = R>>(&self, filter: &F, span: &Span, wanted: usize) -> Part<R> {
        let mut part = Part { rows: Vec::new(), stopped: None };
        let (mut span, mut read) = (span.clone(), 0);
        while !span.is_empty() {
            let looked = self.look(filter, &span, wanted, &mut part.rows);
            let Some(last) = looked else { break };
            read += ROWS_AT_ONCE;
            if read >= MEMORY_ROWS_READ_MAX {
                part.stopped = Some(last);
                break;
            }
            span.go_behind(&last);
        }
        part
    }

    /// Looks at the first rows in memory of a span, and adds those that the filter takes to
    /// `found`. Answers the place of the last one, unless there are no more.
    fn look<F: Filter<Row = R>>(
        &self,
        filter: &F,
        span: &Span,
        wanted: usize,
        found: &mut Vec<(Vec<u8>, R)>,
    ) -> Option<Vec<u8>> {
        let changed = lock(&self.changed);
        let high = span.high.clone().map_or(Bound::Unbounded, Bound::Excluded);
        let mut range = changed.order.range((Bound::Included(span.low.clone()), high));
        let mut last = None;
        for _ in 0..ROWS_AT_ONCE {
            let next = match span.order {
                Order::NewestFirst => range.next(),
                Order::OldestFirst => range.next_back(),
            };
            let (place, id) = next?;
            let row = changed.rows.get(id).and_then(|entry| entry.row.as_deref());
            if let Some(row) = row.filter(|row| filter.takes(row)) {
                found.push((place.clone(), row.clone()));
                if found.len() >= wanted {
                    return None;
                }
            }
            last = Some(place);
        }
        last.cloned()
    }

    fn list_tree<F: Filter<Row = R>>(
        &self,
        filter: &F,
        index: &[u8],
        mut span: Span,
        wanted: usize,
    ) -> Result<Part<R>, Error> {
        let mut part = Part { rows: Vec::new(), stopped: None };
        let mut read = 0;
        let count = wanted.clamp(ENTRIES_PER_SCAN_MIN, ENTRIES_PER_SCAN_MAX);
        loop {
            let entries = self.entries(index, &span, count)?;
            let mut rows = self.rows_of(&entries)?;
            for (place, id) in &entries {
                read += 1;
                let row = rows.remove(id).filter(|row| filter.takes(row));
                part.rows.extend(row.map(|row| (place.clone(), row)));
                if part.rows.len() >= wanted {
                    return Ok(part);
                }
            }
            match entries.last() {
                Some((last, _)) if entries.len() == count => span.go_behind(last),
                _ => return Ok(part),
            }
            if read >= ROWS_READ_PER_PAGE_MAX {
                part.stopped = entries.into_iter().last().map(|(place, _)| place);
                return Ok(part);
            }
        }
    }

    /// The rows of some entries; those in the tree are looked up together.
    fn rows_of(&self, entries: &[(Vec<u8>, R::Id)]) -> Result<HashMap<R::Id, R>, Error> {
        let changed: HashMap<R::Id, Option<Arc<R>>> = {
            let changed = lock(&self.changed);
            let known = entries.iter().map(|(_, id)| (id, changed.rows.get(id)));
            known.filter_map(|(id, entry)| Some((*id, entry?.row.clone()))).collect()
        };
        let others = entries.iter().map(|(_, id)| id).filter(|id| !changed.contains_key(*id));
        let mut rows = self.stored_among(others)?;
        rows.extend(changed.into_iter().filter_map(|(id, row)| Some((id, R::clone(&*row?)))));
        Ok(rows)
    }

    /// The ids of rows that `is_meant`, which in the tree have entries in an index.
    pub(super) fn ids_in(
        &self,
        index: &[u8],
        is_meant: impl Fn(&R::Id) -> bool,
    ) -> Result<Vec<R::Id>, Error> {
        let mut ids: Vec<R::Id> =
            lock(&self.changed).rows.keys().filter(|id| is_meant(id)).copied().collect();
        let mut span = Span { low: Vec::new(), high: None, order: Order::NewestFirst };
        loop {
            let entries = self.entries(index, &span, ENTRIES_PER_SCAN_MAX)?;
            ids.extend(entries.iter().map(|(_, id)| *id).filter(|id| is_meant(id)));
            match entries.last() {
                Some((last, _)) if entries.len() == ENTRIES_PER_SCAN_MAX => span.go_behind(last),
                _ => return Ok(ids),
            }
        }
    }

    /// Visits every row that is not in the tree yet, in no order.
    pub(super) fn for_each_changed(&self, mut visit: impl FnMut(&R)) {
        let changed = lock(&self.changed);
        changed.rows.values().filter_map(|entry| entry.row.as_deref()).for_each(&mut visit);
    }

    /// Visits every row, in no order.
    pub(super) fn for_each(&self, mut visit: impl FnMut(R)) -> Result<(), Error> {
        let mut seen = std::collections::HashSet::new();
        let rows: Vec<_> = {
            let changed = lock(&self.changed);
            seen.extend(changed.rows.keys().copied());
            changed.rows.values().filter_map(|entry| entry.row.clone()).collect()
        };
        rows.into_iter().for_each(|row| visit(R::clone(&row)));
        let Some(tree) = &self.tree else { return Ok(()) };
        let mut broken = None;
        tree.scan(ROWS, ROWS, |_, value| match decode_row::<R>(value) {
            Ok(row) => {
                if !seen.contains(&row.id()) {
                    visit(row);
                }
                ControlFlow::Continue(())
            }
            Err(error) => {
                broken = Some(malformed(tree, &error));
                ControlFlow::Break(())
            }
        })?;
        broken.map_or(Ok(()), Err)
    }

    /// Statistics as of the last tick, or of all rows without a tree.
    pub(super) fn statistics<T>(&self, look: impl FnOnce(&Tallies<R::Share>) -> T) -> T {
        if self.tree.is_some() {
            return look(&lock(&self.tallies));
        }
        let mut tallies = Tallies::default();
        for entry in lock(&self.changed).rows.values() {
            tallies.change(None, entry.row.as_deref());
        }
        look(&tallies)
    }

    pub(super) fn changed_count(&self) -> usize {
        lock(&self.changed).rows.len()
    }
}

impl Table<RunSummary> {
    /// A workflow's statistics, as [`Table::statistics`] has them.
    pub(super) fn statistics_of(&self, namespace: &str, workflow: &str) -> RunStatistics {
        self.statistics(|all| {
            let mut sum = RunStatistics::default();
            all.of_arms(namespace, workflow).for_each(|(_, own)| sum.merge(own));
            sum
        })
    }
}

impl<R: Row> Drop for Table<R> {
    fn drop(&mut self) {
        self.tree.iter().for_each(|tree| tree.close());
        if let Some((home, number)) = self.retired.get() {
            // What stays is removed at the next opening.
            drop(home.discard(*number));
        }
    }
}

pub(super) fn malformed(tree: &FencedTree, error: &crate::bytes::Malformed) -> Error {
    Error::Store { path: tree.path().to_owned(), detail: format!("a row is malformed: {error}") }
}
