//! Stages on their way to the disk, and what their acknowledgement lets out.

use std::collections::BTreeSet;

use backstitch_core::event::{Event, ForkEvent, PartitionEvent, RunEvent};
use backstitch_core::ids::StreamId;
use backstitch_core::summary::ViewChange;
use backstitch_saga::partition::{Stage, StagedRecord};

use super::world::World;

/// A commit on its way to the disk; the last of a stage answers for it.
pub struct Commit {
    records: Vec<StagedRecord>,
    stage: Option<u64>,
    quiescent: Vec<StreamId>,
    changes: Vec<ViewChange>,
}

/// Whether a commit tells a run of its fork and does not begin that: a crash behind it is rare
/// and has rules of its own.
fn tears_a_fork(commit: &Commit) -> bool {
    let any = |wanted: fn(&ForkEvent) -> bool| {
        commit.records.iter().any(
            |record| matches!(&record.event, Event::Run(RunEvent::Fork(event)) if wanted(event)),
        )
    };
    any(|event| matches!(event, ForkEvent::Forked { .. }))
        && !any(|event| matches!(event, ForkEvent::Started))
}

impl World {
    pub fn write_some(&mut self) -> bool {
        let busy: Vec<_> =
            (0..self.writing.len()).filter(|&at| !self.writing[at].is_empty()).collect();
        if busy.is_empty() {
            return false;
        }
        let at = *self.random.pick(&busy);
        if self.faults && self.random.chance(1) {
            // A full disk or a conflict poisons the log: the process ends.
            self.writing[at].clear();
            self.crash();
            return true;
        }
        let torn = self.writing[at].front().is_some_and(tears_a_fork);
        self.write_one(at);
        if torn && self.faults && self.random.chance(50) {
            self.crash();
        }
        true
    }

    pub fn write_one(&mut self, at: usize) {
        let Some(commit) = self.writing[at].pop_front() else { return };
        let mut gone = BTreeSet::new();
        let mut disk = self.disk.lock().expect("no thread panicked");
        for record in commit.records {
            if let Event::Partition(PartitionEvent::RunsRemoved { runs, .. }) = &record.event {
                // One of them may begin anew further on in this commit.
                runs.iter().for_each(|run| self.watch.forget(run));
                gone.extend(runs.iter().copied());
            }
            self.watch.see(&record, &disk, self.seed);
            disk.write(record);
        }
        for stream in commit.quiescent {
            let StreamId::Execution(run) = stream else { panic!("only runs here") };
            disk.live.remove(&run);
        }
        drop(disk);
        gone.iter().for_each(|run| self.books.forget(run));
        self.rows.retain(|_, row| match row {
            ViewChange::Run(own) => !gone.contains(&own.execution),
            ViewChange::Letter(own) => !gone.contains(&own.letter.execution),
        });
        for change in commit.changes {
            self.row(change);
        }
        self.acks[at].extend(commit.stage);
    }

    pub fn row(&mut self, row: ViewChange) {
        let (key, version) = match &row {
            ViewChange::Run(own) => (own.execution.to_string(), own.version),
            ViewChange::Letter(own) => (own.letter.to_string(), own.version),
        };
        let known = self.rows.get(&key).map_or(0, |row| match row {
            ViewChange::Run(own) => own.version,
            ViewChange::Letter(own) => own.version,
        });
        if version >= known {
            self.rows.insert(key, row);
        }
    }

    pub fn ack_some(&mut self) -> bool {
        let busy: Vec<_> = (0..self.acks.len()).filter(|&at| !self.acks[at].is_empty()).collect();
        if busy.is_empty() {
            return false;
        }
        let at = *self.random.pick(&busy);
        let stage = self.acks[at].pop_front().expect("picked because it has one");
        let releases = self.partitions[at].committed(stage);
        self.let_out(releases);
        self.hand_over(at);
        true
    }

    pub fn hand_over(&mut self, at: usize) {
        if let Some(stage) = self.partitions[at].stage() {
            self.split(at, stage);
        }
        let releases = self.partitions[at].releases();
        self.let_out(releases);
    }

    /// A stage becomes one commit, or several.
    fn split(&mut self, at: usize, stage: Stage) {
        let Stage { id, at: _, mut records, quiescent, changes, told: _ } = stage;
        while records.len() > 1 && self.random.chance(25) {
            let mut cut = 1 + self.random.index(records.len() - 1);
            // A run is tagged, and its origin told, in the commit that begins it.
            let begins = |own: &&StagedRecord| match &own.event {
                Event::Run(event) => event.belongs_to_the_beginning(),
                _ => false,
            };
            cut += records[cut..].iter().take_while(begins).count();
            let rest = records.split_off(cut);
            self.writing[at].push_back(Commit {
                records,
                stage: None,
                quiescent: Vec::new(),
                changes: Vec::new(),
            });
            records = rest;
        }
        self.writing[at].push_back(Commit { records, stage: Some(id), quiescent, changes });
    }
}
