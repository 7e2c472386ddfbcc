//! One view: the table in force, and one that is made anew beside it.
//!
//! Whoever puts or removes rows, or switches tables, does so under the lock of
//! [`super::Views`]: then no row goes to the old table only.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::error::Error;
use crate::locks::lock;
use crate::views::home::{Found, Home};
use crate::views::row::Row;
use crate::views::table::Table;

/// How a rebuild goes.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    pub visited: AtomicU64,
    pub total: AtomicU64,
}

/// What became of rebuilds.
#[derive(Debug, Clone, Default)]
pub(super) struct Rebuilds {
    pub done: u64,
    pub failed: u64,
    /// Why the last one failed, if it did.
    pub error: Option<String>,
}

/// One view.
pub(super) struct View<R: Row> {
    home: Option<Home>,
    table: RwLock<Arc<Table<R>>>,
    number: AtomicU64,
    beside: Mutex<Option<Beside<R>>>,
    rebuilding: AtomicBool,
    /// Held while the table in force is written or exchanged.
    ticking: Mutex<()>,
    pub(super) gauge: Gauge,
    /// What became of rebuilds.
    pub(super) rebuilds: Mutex<Rebuilds>,
}

/// A table that is being filled.
struct Beside<R: Row> {
    table: Arc<Table<R>>,
    number: u64,
    /// Rows that left since the filling began, and must not come back from a history. What
    /// lives again under the same id is put, not filled in.
    removed: HashSet<R::Id>,
}

impl<R: Row> View<R> {
    /// A view in memory.
    pub(super) fn memory(partitions: usize) -> Self {
        let table = Table::new(None, vec![0; partitions]).expect("there is no tree to read");
        Self::over(None, table, 0)
    }

    /// Opens a view; answers what was met, too.
    ///
    /// # Errors
    /// If the file system refuses.
    pub(super) fn open(home: Home) -> Result<(Self, Option<String>), Error> {
        let Found { tree, number, applied, emptied } = home.open()?;
        let table = Table::new(Some(tree), applied)?;
        Ok((Self::over(Some(home), table, number), emptied))
    }

    fn over(home: Option<Home>, table: Table<R>, number: u64) -> Self {
        Self {
            home,
            table: RwLock::new(Arc::new(table)),
            number: AtomicU64::new(number),
            beside: Mutex::new(None),
            rebuilding: AtomicBool::new(false),
            ticking: Mutex::new(()),
            gauge: Gauge::default(),
            rebuilds: Mutex::default(),
        }
    }

    /// The table in force.
    pub(super) fn table(&self) -> Arc<Table<R>> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Which of the view's trees is in force.
    pub(super) fn number(&self) -> u64 {
        self.number.load(Ordering::SeqCst)
    }

    pub(super) fn applied(&self) -> Vec<u64> {
        lock(&self.table().applied).clone()
    }

    pub(super) fn close(&self) {
        let beside = lock(&self.beside).take();
        let tables = [Some(self.table()), beside.map(|beside| beside.table)];
        for table in tables.into_iter().flatten() {
            table.tree.iter().for_each(|tree| tree.close());
        }
    }

    pub(super) fn put(&self, row: R) {
        let row = row.clipped();
        if let Some(beside) = lock(&self.beside).as_mut() {
            beside.table.put(row.clone());
        }
        self.table().put(row);
    }

    /// The ids of rows that `is_meant`, in the table in force and in one being filled.
    pub(super) fn ids_in(
        &self,
        index: &[u8],
        is_meant: impl Fn(&R::Id) -> bool,
    ) -> Result<Vec<R::Id>, Error> {
        let mut ids = self.table().ids_in(index, &is_meant)?;
        let beside = lock(&self.beside).as_ref().map(|beside| beside.table.clone());
        if let Some(table) = beside {
            ids.extend(table.ids_in(index, &is_meant)?);
        }
        Ok(ids)
    }

    pub(super) fn remove(&self, id: &R::Id) {
        if let Some(beside) = lock(&self.beside).as_mut() {
            beside.removed.insert(*id);
            beside.table.remove(id);
        }
        self.table().remove(id);
    }

    /// Writes what changed into the tree in force.
    pub(super) fn tick(&self, applied: impl FnOnce(&[u64]) -> Vec<u64>) -> Result<(), Error> {
        let _ticking = lock(&self.ticking);
        let table = self.table();
        let before = lock(&table.applied).clone();
        table.tick(&applied(&before))
    }

    /// Begins to fill a new table beside the one in force; `false` if that is under way.
    ///
    /// # Errors
    /// If the new tree cannot be made.
    pub(super) fn begin(&self) -> Result<bool, Error> {
        if self.rebuilding.swap(true, Ordering::SeqCst) {
            return Ok(false);
        }
        self.gauge.visited.store(0, Ordering::SeqCst);
        self.gauge.total.store(0, Ordering::SeqCst);
        let number = self.number() + 1;
        let tree = self.home.as_ref().map(|home| home.create(number)).transpose();
        let table = tree.and_then(|tree| Table::new(tree, vec![0; self.applied().len()]));
        match table {
            Ok(table) => {
                let (table, removed) = (Arc::new(table), HashSet::new());
                *lock(&self.beside) = Some(Beside { table, number, removed });
                Ok(true)
            }
            Err(error) => {
                self.abandon(&error);
                Err(error)
            }
        }
    }

    pub(super) fn is_rebuilding(&self) -> bool {
        self.rebuilding.load(Ordering::SeqCst)
    }

    /// Gives rows that were read off a history to the new table.
    pub(super) fn fill(&self, rows: Vec<R>) {
        let beside = lock(&self.beside);
        let Some(beside) = beside.as_ref() else { return };
        for row in rows.into_iter().filter(|row| !beside.removed.contains(&row.id())) {
            beside.table.put(row.clipped());
        }
    }

    /// Writes what was filled in, if it is much.
    ///
    /// # Errors
    /// If the new tree cannot be written, or the journal was closed.
    pub(super) fn tick_beside(&self) -> Result<(), Error> {
        let table = lock(&self.beside).as_ref().map(|beside| beside.table.clone());
        table.ok_or(Error::Closed)?.spill()
    }

    /// Puts the new table into force. `applied` answers how far both tables have come;
    /// `switching` is called around the exchange and keeps writers out.
    ///
    /// # Errors
    /// If the new tree cannot be written; the old one is in force then.
    pub(super) fn finish(
        &self,
        applied: impl FnOnce(&[u64]) -> Vec<u64>,
        switching: impl FnOnce(&mut dyn FnMut()),
    ) -> Result<(), Error> {
        let _ticking = lock(&self.ticking);
        let found = lock(&self.beside).as_ref().map(|own| (own.table.clone(), own.number));
        let (table, number) = found.ok_or(Error::Closed)?;
        let before = lock(&self.table().applied).clone();
        table.tick(&applied(&before))?;
        if let Some(home) = &self.home {
            home.point_to(number)?;
            // Readers may still have the old tree open; its files go with the last of them.
            self.table().retire(home.clone(), self.number());
        }
        switching(&mut || {
            *self.table.write().unwrap_or_else(PoisonError::into_inner) = table.clone();
            *lock(&self.beside) = None;
        });
        self.number.store(number, Ordering::SeqCst);
        {
            let mut rebuilds = lock(&self.rebuilds);
            (rebuilds.done, rebuilds.error) = (rebuilds.done + 1, None);
        }
        self.rebuilding.store(false, Ordering::SeqCst);
        Ok(())
    }

    /// Gives up what was begun.
    pub(super) fn abandon(&self, why: &Error) {
        let beside = lock(&self.beside).take();
        if let (Some(home), Some(beside)) = (&self.home, beside) {
            beside.table.retire(home.clone(), beside.number);
        }
        {
            let mut rebuilds = lock(&self.rebuilds);
            rebuilds.failed += 1;
            rebuilds.error = Some(crate::open::with_source(why));
        }
        self.rebuilding.store(false, Ordering::SeqCst);
    }
}
