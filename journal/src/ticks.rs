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
use crate::pending::{Selection, Take};

/// Bytes of records from which on rows and histories are written beside each other.
const BESIDE_BYTES_MIN: usize = 1024 * 1024;

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
    /// Whoever wants all stored gets what there is now, not what comes meanwhile.
    pub(crate) fn tick(&self, take: Take) -> Result<(), Error> {
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

    /// Answers whether something was left to the next tick. What a failed tick had selected is
    /// stored nowhere, and the next one would store what follows it as if it were: so there is
    /// none, nor for those who waited for their turn meanwhile.
    fn write_selection(&self, take: Take) -> Result<bool, Error> {
        let _turn = self.store.turn();
        if let Some(reason) = self.log.poisoned() {
            return Err(Error::Poisoned { reason });
        }
        let written = self.write_selected(take);
        if let Err(error) = &written {
            self.log.poison(&open::with_source(error));
        }
        written
    }

    /// The selection comes before the rows, so that the rows' mark is never behind the store's.
    fn write_selected(&self, take: Take) -> Result<bool, Error> {
        let Some(mut selection) = self.store.select(take) else { return Ok(false) };
        // Before the sync: a checkpoint must not get ahead of the log either.
        let checkpoints = self.checkpoints.take();
        let heads = self.log.heads();
        if self.options.fsync != Fsync::Always && !self.is_log_synced() {
            // The store must not get ahead of the log; the log's own failure is known.
            return Ok(false);
        }
        match take {
            Take::Due { .. } if selection.bytes() >= BESIDE_BYTES_MIN => {
                self.write_beside(&mut selection)?;
            }
            _ => {
                self.views.tick()?;
                self.store.write(&selection)?;
            }
        }
        self.tell_archiver();
        let made_of: Vec<u64> = heads.iter().map(|head| head.sequence).collect();
        self.checkpoints.write(checkpoints, &made_of)?;
        Ok(selection.deferred)
    }

    /// Writes rows and histories beside each other. Which of them a crash finds further nobody
    /// knows then; so the store's mark says no more than what the rows' marks said before, and
    /// what lies between is read again at the next open.
    fn write_beside(&self, selection: &mut Selection) -> Result<(), Error> {
        let rows = self.views.applied();
        for (partition, (applied, stored)) in
            selection.applied.iter_mut().zip(self.store.applied()).enumerate()
        {
            let rows = rows.iter().filter_map(|view| view.get(partition)).min();
            *applied = rows.map_or(*applied, |rows| *rows.min(applied)).max(stored);
        }
        std::thread::scope(|scope| {
            let rows = scope.spawn(|| self.views.tick());
            let stored = self.store.write(selection);
            rows.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).and(stored)
        })
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use backstitch_core::event::{Event, RunEvent};
    use backstitch_core::ids::{ExecutionId, PartitionId, StepIndex, StreamId};
    use backstitch_core::payload::Payload;
    use backstitch_core::summary::{RunStatus, RunSummary, ViewChange};
    use backstitch_core::time::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::builder::Fit;
    use crate::commit::Head;
    use crate::journal::{Batch, Journal};
    use crate::options::Options;

    const PARTITION: PartitionId = PartitionId(0);
    const TEXT_BYTES: usize = 60_000;
    /// Commits that are more than is written one after the other.
    const COMMITS: u64 = 24;
    /// Every record, of whatever size and age.
    const EVERY: Take = Take::Due { bytes: 0, age_ms: 0 };

    fn row(execution: ExecutionId) -> RunSummary {
        RunSummary {
            execution,
            namespace: "default".into(),
            workflow: "orders".into(),
            revision: 1,
            status: RunStatus::Completed,
            correlation_id: "any".into(),
            tags: [].into(),
            submitted_at: Timestamp(1),
            ended_at: None,
            parent: None,
            chunk: false,
            variant: None,
            trace: None,
            version: 1,
        }
    }

    /// Appends commits of a run each, with its row.
    fn append(journal: &Journal, head: &mut Head) {
        let (done, answers) = channel();
        for _ in 0..COMMITS {
            let digits = u128::from(head.sequence);
            let run = ExecutionId { partition: PARTITION, digits };
            let stream = StreamId::Execution(run);
            let output = Payload::of(&json!("x".repeat(TEXT_BYTES)));
            let event =
                Event::Run(RunEvent::StepSucceeded { step: StepIndex(0), attempt: 1, output });
            let mut builder = journal.commit_builder(PARTITION, 1, head);
            assert_eq!(builder.push(&stream, 1, Timestamp(1), &event), Fit::Fits);
            let commit = builder.finish(Timestamp(1));
            *head = commit.head();
            let changes = vec![ViewChange::Run(row(run))];
            let done = done.clone();
            let callback = Box::new(move |told| done.send(told).unwrap());
            journal.append(Batch { commit, quiescent: vec![stream], changes }, callback);
        }
        answers.iter().take(usize::try_from(COMMITS).unwrap()).for_each(|told| told.unwrap());
    }

    fn open(directory: &std::path::Path) -> crate::open::Opened {
        let quiet = 3_600_000;
        let options = Options {
            partitions: 1,
            tick_ms: quiet,
            tick_after_bytes: usize::MAX,
            ballast_bytes: 0,
            ..Options::default()
        };
        Journal::open(directory, options).unwrap()
    }

    fn copy(from: &std::path::Path, to: &std::path::Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let target = to.join(entry.file_name());
            match entry.file_type().unwrap().is_dir() {
                true => copy(&entry.path(), &target),
                // Some are on their way out: the next segment, while it is made ready.
                false => match std::fs::copy(entry.path(), target) {
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    copied => drop(copied.unwrap()),
                },
            }
        }
    }

    /// A tick that failed has taken what it selected, and nobody has it stored.
    #[test]
    fn nothing_is_stored_behind_a_failed_tick() {
        let home = tempfile::tempdir().unwrap();
        let opened = open(home.path());
        let (journal, mut head) = (opened.journal, opened.heads[0]);
        append(&journal, &mut head);
        let waiting = {
            let turn = journal.parts().store.turn();
            let taken = journal.parts().store.select(Take::All).unwrap();
            assert_eq!(taken.applied, [COMMITS]);
            let waiting = std::thread::spawn({
                let journal = journal.clone();
                move || journal.store_now()
            });
            append(&journal, &mut head);
            journal.parts().log.poison("a tick failed");
            drop(turn);
            waiting
        };
        let refused = waiting.join().unwrap().unwrap_err();
        assert!(matches!(&refused, Error::Poisoned { reason } if reason == "a tick failed"));
        drop(journal.close());
        let opened = open(home.path());
        assert_eq!(opened.report.commits_replayed, 2 * COMMITS);
        for digits in 0..u128::from(2 * COMMITS) {
            let run = ExecutionId { partition: PARTITION, digits };
            let records = opened.journal.history(&StreamId::Execution(run)).unwrap();
            assert_eq!(records.unwrap().len(), 1, "run {digits}");
        }
    }

    /// What a crash would leave: as much as the rows' marks said before, and nothing twice.
    #[test]
    fn histories_written_beside_rows_count_no_further_than_rows_did() {
        let home = tempfile::tempdir().unwrap();
        let opened = open(&home.path().join("own"));
        let (journal, mut head) = (opened.journal, opened.heads[0]);
        let applied = |journal: &Journal| {
            let parts = journal.parts();
            (parts.store.applied()[0], parts.views.applied().map(|view| view[0]))
        };
        append(&journal, &mut head);
        journal.parts().tick(EVERY).unwrap();
        assert_eq!(applied(&journal), (0, [COMMITS; 3]), "the rows had nothing before");
        assert_eq!(journal.parts().store.pending.bytes(), 0, "all is in the tree nevertheless");
        let killed = home.path().join("killed");
        copy(&home.path().join("own"), &killed);
        append(&journal, &mut head);
        journal.parts().tick(EVERY).unwrap();
        assert_eq!(applied(&journal), (COMMITS, [2 * COMMITS; 3]));
        journal.store_now().unwrap();
        assert_eq!(applied(&journal), (2 * COMMITS, [2 * COMMITS; 3]));
        journal.close().unwrap();

        let opened = open(&killed);
        assert_eq!(opened.report.commits_replayed, COMMITS);
        assert!(!opened.report.views_missing && opened.report.store_rebuilt.is_none());
        for digits in 0..u128::from(COMMITS) {
            let run = ExecutionId { partition: PARTITION, digits };
            let records = opened.journal.history(&StreamId::Execution(run)).unwrap();
            assert_eq!(records.unwrap().len(), 1, "run {digits}");
        }
    }
}
