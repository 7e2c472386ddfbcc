//! The storer: the thread that carries what is durable into the store, the views and the
//! checkpoints, tick by tick, and sees whether the directory is still there.
//!
//! Knows in which order parts are written, not what is in them.

use std::sync::Arc;
use std::thread::JoinHandle;

use crate::directory::Place;
use crate::error::Error;
use crate::journal::{PENDING_BYTES_MAX, Parts};
use crate::log::AppendError;
use crate::open;
use crate::options::{Fsync, Options};
use crate::pending::Take;

impl Parts {
    /// Starts a thread for a journal that has files.
    pub(crate) fn start(
        self: &Arc<Self>,
        name: &str,
        run: impl FnOnce(&Self) + Send + 'static,
    ) -> Result<Option<JoinHandle<()>>, Error> {
        let Some(directory) = &self.directory else { return Ok(None) };
        let shared = Arc::clone(self);
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || run(&shared))
            .map(Some)
            .map_err(|e| Error::io("starting a thread for", directory, e))
    }

    pub(crate) fn store_until_closed(&self) {
        while self.store.pending.wait_for_tick(self.options.tick_ms) {
            if self.check_place().is_err()
                || self.log.poisoned().is_some()
                || self.tick(self.due()).is_err()
            {
                // A failed tick has poisoned the log; nobody is left waiting for room.
                self.store.pending.close();
                return;
            }
            self.look_after_trees();
        }
    }

    /// What is worth a write; all there is when room runs out.
    fn due(&self) -> Take {
        let Options { store_after_bytes: bytes, store_after_ms: age_ms, .. } = self.options;
        match self.store.pending.bytes() > PENDING_BYTES_MAX / 2 {
            true => Take::Due { bytes: 0, age_ms: 0 },
            false => Take::Due { bytes, age_ms },
        }
    }

    /// Poisons the log if the directory is gone: what is written there goes nowhere.
    pub(crate) fn check_place(&self) -> Result<(), Error> {
        let checked = self.place.as_ref().map_or(Ok(()), Place::check);
        if let Err(error) = &checked {
            self.log.poison(&error.to_string());
        }
        checked
    }

    /// Writes pending records and rows. The selection comes before the rows, so that the
    /// rows' mark is never behind the store's.
    pub(crate) fn tick(&self, take: Take) -> Result<(), Error> {
        let ticked = self.try_tick(take);
        if let Err(error) = &ticked {
            self.log.poison(&open::with_source(error));
        }
        ticked
    }

    /// Whoever wants all stored gets what there is now, not what comes meanwhile.
    fn try_tick(&self, take: Take) -> Result<(), Error> {
        let wanted = self.store.pending.sequences();
        loop {
            let deferred = self.write_selection(take)?;
            let applied = self.store.applied();
            let reached = applied.iter().zip(&wanted).all(|(applied, wanted)| applied >= wanted);
            if !deferred || reached || matches!(take, Take::Due { .. }) {
                return Ok(());
            }
        }
    }

    /// Answers whether something was left to the next tick.
    fn write_selection(&self, take: Take) -> Result<bool, Error> {
        let _turn = self.store.turn();
        let Some(selection) = self.store.select(take) else { return Ok(false) };
        // Before the sync: a checkpoint must not get ahead of the log either.
        let checkpoints = self.checkpoints.take();
        let heads = self.log.heads();
        if self.options.fsync != Fsync::Always && !self.is_log_synced() {
            // The store must not get ahead of the log; the log's own failure is known.
            return Ok(false);
        }
        self.views.tick()?;
        self.store.write(&selection)?;
        self.tell_archiver();
        let made_of: Vec<u64> = heads.iter().map(|head| head.sequence).collect();
        self.checkpoints.write(checkpoints, &made_of)?;
        Ok(selection.deferred)
    }

    fn is_log_synced(&self) -> bool {
        match self.log.sync() {
            Ok(()) => true,
            Err(AppendError::Closed) => {
                // A log that closes syncs what it has, or says why not.
                self.log.close();
                self.log.poisoned().is_none()
            }
            Err(_) => false,
        }
    }

    /// Says how far store and views have come, so that the log can be taken off.
    pub(crate) fn tell_archiver(&self) {
        if let Some(archiver) = &self.archiver {
            let mut all = self.store.applied();
            for view in self.views.applied() {
                all.iter_mut().zip(view).for_each(|(all, view)| *all = view.min(*all));
            }
            archiver.signals().applied(all);
        }
    }
}
