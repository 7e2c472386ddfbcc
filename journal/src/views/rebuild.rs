//! Making a view anew while the old one serves.
//!
//! From the beginning on both tables take every new row; then each history is read and its
//! rows are filled into the new one, where a row that came meanwhile counts as newer by its
//! version. Whatever fails or crashes before the end leaves the old table in force.

use std::sync::atomic::Ordering;

use backstitch_core::ids::StreamId;
use backstitch_core::summary::ViewChange;

use super::audit::rows_of_history;
use super::info::ViewName;
use super::row::Row;
use super::view::View;
use super::{Progress, Views};
use crate::error::Error;
use crate::locks::lock;
use crate::record::Record;
use crate::store::Store;

/// Folds a run's history to its rows; nothing if it cannot be folded.
pub(crate) type Fold<'a> = &'a mut dyn FnMut(StreamId, Vec<Record>) -> Vec<ViewChange>;

impl Views {
    /// Makes a view anew from the histories; `false` if that is under way already.
    ///
    /// # Errors
    /// If the store cannot be read or the new tree not be written.
    pub(crate) fn rebuild(
        &self,
        name: ViewName,
        store: &Store,
        fold: Fold<'_>,
    ) -> Result<bool, Error> {
        match name {
            ViewName::Runs => self.rebuild_with(&self.runs, store, |stream, records| {
                let rows = fold(stream, records).into_iter();
                let run = |change| match change {
                    ViewChange::Run(row) => Some(row),
                    ViewChange::Letter(_) => None,
                };
                rows.filter_map(run).collect()
            }),
            ViewName::Letters => self.rebuild_with(&self.letters, store, |stream, records| {
                let rows = fold(stream, records).into_iter();
                let letter = |change| match change {
                    ViewChange::Letter(row) => Some(row),
                    ViewChange::Run(_) => None,
                };
                rows.filter_map(letter).collect()
            }),
            ViewName::Audit => self.rebuild_with(&self.audit, store, |stream, records| {
                rows_of_history(&stream, &records)
            }),
        }
    }

    /// Reads the audit off every history into the table in force, whose tree is behind the store's.
    /// How far the tree has come stays as it is, so that a crash meanwhile has it read again.
    ///
    /// # Errors
    /// If the store cannot be read or the tree not be written.
    pub(crate) fn make_audit(&self, store: &Store) -> Result<(), Error> {
        for stream in store.all_streams()? {
            let records = store.history(&stream)?.unwrap_or_default();
            for row in rows_of_history(&stream, &records) {
                self.audit.put(row);
            }
            self.audit.table().spill()?;
        }
        Ok(())
    }

    fn rebuild_with<R: Row>(
        &self,
        view: &View<R>,
        store: &Store,
        rows_of: impl FnMut(StreamId, Vec<Record>) -> Vec<R>,
    ) -> Result<bool, Error> {
        if !view.begin()? {
            return Ok(false);
        }
        let filled = self.fill(view, store, rows_of);
        if let Err(error) = &filled {
            view.abandon(error);
        }
        filled.map(|()| true)
    }

    fn fill<R: Row>(
        &self,
        view: &View<R>,
        store: &Store,
        mut rows_of: impl FnMut(StreamId, Vec<Record>) -> Vec<R>,
    ) -> Result<(), Error> {
        // A commit's rows are put before its records are pending: once the records of all
        // rows that the new table has missed are there, every history is found.
        let sequences = lock(&self.progress).sequences.clone();
        while !store.pending.has_reached(&sequences) {
            std::thread::yield_now();
        }
        let streams = store.all_streams()?;
        view.gauge.total.store(streams.len() as u64, Ordering::SeqCst);
        for stream in streams {
            if let Some(records) = store.history(&stream)? {
                view.fill(rows_of(stream, records));
            }
            view.gauge.visited.fetch_add(1, Ordering::SeqCst);
            view.tick_beside()?;
        }
        if R::OUTLIVES_HISTORY {
            self.carry_over(view, store)?;
        }
        let switching = |switch: &mut dyn FnMut()| {
            let _progress: std::sync::MutexGuard<'_, Progress> = lock(&self.progress);
            switch();
        };
        view.finish(|before| self.reached(before), switching)
    }

    /// Rows whose history has left the store stay as they are.
    fn carry_over<R: Row>(&self, view: &View<R>, store: &Store) -> Result<(), Error> {
        let mut rows = Vec::new();
        view.table().for_each(|row| rows.push(row))?;
        let mut kept = Vec::new();
        for row in rows {
            let gone = match row.history() {
                Some(stream) => store.history(&stream)?.is_none(),
                None => false,
            };
            kept.extend(gone.then_some(row));
        }
        view.fill(kept);
        Ok(())
    }
}
