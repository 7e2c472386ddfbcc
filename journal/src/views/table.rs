//! One kind of rows: those changed lately in memory, laid over those in the tree.
//!
//! Readers look at memory first and at the tree second, so a row that moves from one to the
//! other in between is found, and the memory's word counts.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::ControlFlow;
use std::str::FromStr;
use std::sync::{Arc, Mutex};

use backstitch_core::ids::ExecutionId;
use backstitch_core::summary::RunSummary;
use backstitch_core::time::Timestamp;

use crate::error::Error;
use crate::locks::lock;
use crate::record::{decode_row, encode_row};
use crate::sled::{FencedTree, Unit};
use crate::views::row::{self, INSTANT_BYTES, Query, Row};

/// A place in a list, to go on from. Opaque outside; printed in hex.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor(Vec<u8>);

impl Cursor {
    /// Before the newest run that was submitted at an instant or earlier.
    #[must_use]
    pub fn submitted_by(at: Timestamp) -> Self {
        Self(row::turned(at).to_vec())
    }

    /// Behind a run's place in the lists of runs.
    #[must_use]
    pub fn of_run(run: &RunSummary) -> Self {
        Self(row::place(run))
    }
}

/// The longest text of a cursor that is read at all.
const CURSOR_CHARS_MAX: usize = 128;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Cursor {
    type Err = crate::bytes::Malformed;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || crate::bytes::Malformed::because("this is no cursor of a list");
        let hex =
            |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        if text.len() > CURSOR_CHARS_MAX || !text.len().is_multiple_of(2) {
            return Err(bad());
        }
        let bytes: Option<Vec<u8>> = text
            .as_bytes()
            .chunks(2)
            .map(|pair| Some(hex(pair[0])? * 16 + hex(pair[1])?))
            .collect();
        bytes.map(Self).ok_or_else(bad)
    }
}

/// Some rows of a list, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<Row> {
    /// The rows.
    pub rows: Vec<Row>,
    /// Where the next page goes on, if there is more.
    pub next: Option<Cursor>,
}

/// Rows by id and by their place in lists.
pub(super) struct Table<R: Row> {
    pub(super) changed: Mutex<Changed<R>>,
}

pub(super) struct Changed<R: Row> {
    pub(super) rows: HashMap<R::Id, Arc<R>>,
    /// Runs whose rows in the tree count no more, with the position that says so.
    pub(super) removed: HashMap<ExecutionId, u64>,
    /// Namespace and place -> id.
    pub(super) order: BTreeMap<(String, Vec<u8>), R::Id>,
}

impl<R: Row> Default for Table<R> {
    fn default() -> Self {
        let (rows, removed, order) = (HashMap::new(), HashMap::new(), BTreeMap::new());
        let changed = Changed { rows, removed, order };
        Self { changed: Mutex::new(changed) }
    }
}

impl<R: Row> Table<R> {
    /// Takes a row, unless a newer one is in memory.
    pub(super) fn put(&self, row: R) {
        let mut changed = lock(&self.changed);
        match changed.rows.get_mut(&row.id()) {
            Some(known) if known.version() > row.version() => {}
            Some(known) => *known = Arc::new(row),
            None => {
                let place = (row.namespace().to_owned(), row::place(&row));
                changed.order.insert(place, row.id());
                changed.rows.insert(row.id(), Arc::new(row));
            }
        }
    }

    pub(super) fn get(&self, tree: Option<&FencedTree>, id: &R::Id) -> Result<Option<R>, Error> {
        let (in_memory, removed) = (self.in_memory(id), self.is_removed(id));
        let stored = match tree {
            Some(tree) if !removed => stored::<R>(tree, id)?,
            _ => None,
        };
        Ok(match (in_memory, stored) {
            (Some(row), Some(stored)) if stored.version() > row.version() => Some(stored),
            (Some(row), _) => Some(R::clone(&row)),
            (None, stored) => stored,
        })
    }

    fn in_memory(&self, id: &R::Id) -> Option<Arc<R>> {
        lock(&self.changed).rows.get(id).cloned()
    }

    /// A page of the rows that `query` takes, newest first, after a place in the list.
    pub(super) fn list(
        &self,
        tree: Option<&FencedTree>,
        query: &Query<'_>,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<R>, Error> {
        let wanted = limit.saturating_add(1);
        let mut found: BTreeMap<Vec<u8>, R> = self.list_memory(query, after, wanted);
        if let Some(tree) = tree {
            for row in self.list_tree(tree, query, after, wanted)? {
                found.entry(row::place(&row)).or_insert(row);
            }
        }
        let more = found.len() > limit;
        let mut rows = Vec::with_capacity(limit.min(found.len()));
        let mut last = None;
        for (place, row) in found.into_iter().take(limit) {
            rows.push(row);
            last = Some(Cursor(place));
        }
        Ok(Page { rows, next: last.filter(|_| more) })
    }

    fn list_memory(
        &self,
        query: &Query<'_>,
        after: Option<&Cursor>,
        wanted: usize,
    ) -> BTreeMap<Vec<u8>, R> {
        let changed = lock(&self.changed);
        let from = after.map_or_else(Vec::new, |cursor| cursor.0.clone());
        changed
            .order
            .range((query.namespace.to_owned(), from)..)
            .take_while(|((namespace, _), _)| namespace == query.namespace)
            .filter(|((_, place), _)| after.is_none_or(|cursor| *place > cursor.0))
            .filter_map(|((_, place), id)| Some((place, changed.rows.get(id)?)))
            .filter(|(_, row)| query.takes(row.as_ref()))
            .take(wanted)
            .map(|(place, row)| (place.clone(), R::clone(row)))
            .collect()
    }

    fn list_tree(
        &self,
        tree: &FencedTree,
        query: &Query<'_>,
        after: Option<&Cursor>,
        wanted: usize,
    ) -> Result<Vec<R>, Error> {
        let prefix = query.prefix::<R>();
        let mut from = prefix.clone();
        from.extend(after.iter().flat_map(|cursor| &cursor.0));
        let mut found = Vec::new();
        let mut failure = None;
        tree.scan(&prefix, &from, |key, value| {
            let place = &key[prefix.len()..];
            let other_status = query.workflow.is_some()
                && query.status.is_some_and(|status| value.first() != Some(&status));
            let Some(id) = place.get(INSTANT_BYTES..).and_then(R::id_of) else {
                return ControlFlow::Continue(());
            };
            if after.is_some_and(|cursor| place <= cursor.0.as_slice()) {
                return ControlFlow::Continue(());
            }
            let row = match self.in_memory(&id) {
                Some(row) => Some(R::clone(&row)),
                None if other_status || self.is_removed(&id) => None,
                None => stored::<R>(tree, &id).unwrap_or_else(|error| {
                    failure = Some(error);
                    None
                }),
            };
            found.extend(row.filter(|row| query.takes(row)));
            match found.len() >= wanted || failure.is_some() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        })?;
        failure.map_or(Ok(found), Err)
    }

    /// The rows to write.
    pub(super) fn changed(&self) -> Vec<Arc<R>> {
        lock(&self.changed).rows.values().cloned().collect()
    }

    pub(super) fn changed_count(&self) -> usize {
        lock(&self.changed).rows.len()
    }

    /// Forgets rows that are written, unless they changed again, and removals carried out.
    pub(super) fn written(&self, rows: &[Arc<R>], removed: &HashMap<ExecutionId, u64>) {
        let mut changed = lock(&self.changed);
        changed.removed.retain(|run, position| removed.get(run) != Some(position));
        for row in rows {
            if changed.rows.get(&row.id()).is_some_and(|known| Arc::ptr_eq(known, row)) {
                changed.rows.remove(&row.id());
                changed.order.remove(&(row.namespace().to_owned(), row::place(row.as_ref())));
            }
        }
    }
}

pub(super) fn stored<R: Row>(tree: &FencedTree, id: &R::Id) -> Result<Option<R>, Error> {
    let Some(bytes) = tree.get(&row::row_key::<R>(id))? else { return Ok(None) };
    decode_row(&bytes).map(Some).map_err(|e| Error::Store {
        path: tree.path().to_owned(),
        detail: format!("a row is malformed: {e}"),
    })
}

/// What writing a row changes in the tree; `None` if the tree has the same or a newer one.
pub(super) fn unit<R: Row>(tree: &FencedTree, row: &R) -> Result<Option<Unit>, Error> {
    let old = stored::<R>(tree, &row.id())?;
    if old.as_ref().is_some_and(|old| old.version() >= row.version()) {
        return Ok(None);
    }
    let mut unit = entries(row);
    if let Some(old) = old.filter(|old| old.status() != row.status()) {
        let mut key = row::status_prefix::<R>(row.namespace(), old.status());
        key.extend(row::place(row));
        unit.push((key, None));
    }
    Ok(Some(unit))
}

/// A row's keys, each with its value.
pub(super) fn entries<R: Row>(row: &R) -> Unit {
    let place = row::place(row);
    let at = |mut prefix: Vec<u8>| {
        prefix.extend(&place);
        prefix
    };
    let (namespace, status) = (row.namespace(), row.status());
    vec![
        (row::row_key::<R>(&row.id()), Some(encode_row(row))),
        (at(row::all_prefix::<R>(namespace)), Some(Vec::new())),
        (at(row::status_prefix::<R>(namespace, status)), Some(Vec::new())),
        (at(row::workflow_prefix::<R>(namespace, row.workflow())), Some(vec![status])),
    ]
}
