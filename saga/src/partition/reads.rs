//! Answering what a run looks like, now or at its end.
//!
//! Only what is in memory is answered here, as a copy: reading histories and printing JSON
//! takes long for large runs, and every run of the partition would wait. A run at rest is read
//! from its history as one that has ended is, and stays at rest.

use std::sync::Arc;

use backstitch_core::ids::ExecutionId;

use super::cell::Cell;
use super::{Abandon, Answer, Partition, Release};

impl<T: Abandon> Partition<T> {
    /// Lets an answer out with the newest stage, so that it shows only what is durable.
    pub(super) fn answer(&mut self, ticket: T, answer: Answer) {
        self.let_out(Release::Answer(ticket, answer));
    }

    /// Lets something out with the newest stage: it rests on nothing that is not durable.
    pub(super) fn let_out(&mut self, release: Release<T>) {
        if self.open.records.is_empty()
            && let Some((_, releases, _)) = self.in_flight.back_mut()
        {
            releases.push(release);
        } else {
            self.releases.push(release);
        }
    }

    /// Shows a run as it stands: at once if all of that is durable, so that whoever reads does not
    /// wait for the disk.
    pub(super) fn show(&mut self, id: ExecutionId, ticket: T) {
        let (answer, is_durable) = match self.runs.get(&id) {
            Some(Cell::Run(run)) => {
                let is_durable = run.stages <= self.committed_stages;
                (Answer::Shown(Arc::new(run.state.clone())), is_durable)
            }
            Some(Cell::Quarantined(aside)) => (Answer::Quarantined(aside.why.clone()), false),
            None if self.arriving.contains_key(&id) => (Answer::NotFound, false),
            // What leaves memory, and what rests, is durable.
            None => (Answer::NotResident, true),
        };
        match is_durable {
            true => self.at_once.push(Release::Answer(ticket, answer)),
            false => self.answer(ticket, answer),
        }
    }

    /// Answers whether a run's history may be read: not while a part of it is still to come.
    pub(super) fn visible(&mut self, id: ExecutionId, ticket: T) {
        match self.arriving.contains_key(&id) {
            true => self.answer(ticket, Answer::NotFound),
            false => self.at_once.push(Release::Answer(ticket, Answer::NotResident)),
        }
    }

    pub(super) fn wait_for_end(&mut self, id: ExecutionId, ticket: T) {
        let unended = match self.runs.get(&id) {
            Some(Cell::Run(run)) => !run.state.status().is_ended(),
            Some(Cell::Quarantined(_)) => false,
            None => self.resting.is_unended(id),
        };
        match unended {
            true => self.waiters.add(id, ticket),
            false => self.show(id, ticket),
        }
    }
}
