//! Rows of runs that were removed: gone for readers at once, and from the tree at the next tick.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use backstitch_core::ids::ExecutionId;

use super::row::{self, Row};
use super::table::{Table, entries, stored};
use crate::error::Error;
use crate::keys;
use crate::locks::lock;
use crate::sled::{FencedTree, Unit};

impl<R: Row> Table<R> {
    /// Forgets every row of a run; what comes after belongs to a new life of it.
    pub(super) fn remove(&self, run: ExecutionId, position: u64) {
        let mut changed = lock(&self.changed);
        let ids: Vec<R::Id> =
            changed.rows.keys().filter(|id| R::run_of(id) == run).copied().collect();
        for id in ids {
            if let Some(row) = changed.rows.remove(&id) {
                changed.order.remove(&(row.namespace().to_owned(), row::place(row.as_ref())));
            }
        }
        changed.removed.insert(run, position);
    }

    pub(super) fn is_removed(&self, id: &R::Id) -> bool {
        lock(&self.changed).removed.contains_key(&R::run_of(id))
    }

    /// Runs whose rows the next tick takes out of the tree.
    pub(super) fn removed(&self) -> HashMap<ExecutionId, u64> {
        lock(&self.changed).removed.clone()
    }
}

/// What removing a run's rows changes in the tree, with the rows of its new life laid over.
pub(super) fn unit<R: Row>(
    tree: &FencedTree,
    run: ExecutionId,
    fresh: &[&R],
) -> Result<Unit, Error> {
    let mut prefix = vec![R::KIND, b'i'];
    prefix.extend(keys::execution(&run));
    let mut ids = Vec::new();
    tree.scan(&prefix, &prefix, |key, _| {
        ids.extend(key.get(2..).and_then(R::id_of));
        ControlFlow::Continue(())
    })?;
    let mut changes = BTreeMap::new();
    for id in ids {
        if let Some(row) = stored::<R>(tree, &id)? {
            changes.extend(entries(&row).into_iter().map(|(key, _)| (key, None)));
        }
    }
    changes.extend(fresh.iter().flat_map(|row| entries(*row)));
    Ok(changes.into_iter().collect())
}
