//! The partition's own stream: what concerns it as a whole, with gapless versions.

use backstitch_core::event::{Event, PartitionEvent};
use backstitch_core::ids::StreamId;
use backstitch_core::partition::{self, PartitionState};
use backstitch_core::time::{Moment, Timestamp};
use backstitch_journal::record_fits;

use super::stage::StagedRecord;
use super::{Abandon, Answer, Partition};

impl<T: Abandon> Partition<T> {
    /// Takes in the partition's own stream as it was found at start-up, oldest first.
    ///
    /// # Errors
    /// A sentence, when an event is of another stream.
    pub fn adopt_own<'a>(
        &mut self,
        events: impl IntoIterator<Item = (&'a Event, Timestamp)>,
    ) -> Result<(), String> {
        for (event, at) in events {
            let Event::Partition(event) = event else {
                return Err(format!("the stream of partition {} holds another's event", self.id));
            };
            partition::evolve(&mut self.own, event, at);
        }
        Ok(())
    }

    /// The fold of the partition's own stream, with what is staged.
    #[must_use]
    pub fn own(&self) -> &PartitionState {
        &self.own
    }

    /// Stages an event that needs no decision. Runs are removed by [`super::Input::Remove`],
    /// which looks at them first.
    pub(super) fn record_own(&mut self, event: PartitionEvent, ticket: T, moment: Moment) {
        let answer = match event {
            PartitionEvent::RunsRemoved { .. } | PartitionEvent::RedrivesRemoved { .. } => {
                let why = "runs and redrives are removed by a decision, not by a record";
                Answer::Quarantined(why.to_owned())
            }
            event if !self.fits_own(&event) => Answer::TooLarge,
            event => Answer::Recorded { version: self.stage_own(event, moment) },
        };
        self.answer(ticket, answer);
    }

    /// Whether an event of the partition can be written at all.
    pub(super) fn fits_own(&self, event: &PartitionEvent) -> bool {
        record_fits(&StreamId::Partition(self.id), &Event::Partition(event.clone()))
    }

    /// Folds and stages an event of the partition that fits; answers its version.
    pub(super) fn stage_own(&mut self, event: PartitionEvent, moment: Moment) -> u64 {
        partition::evolve(&mut self.own, &event, moment.stamp);
        let (stream, version) = (StreamId::Partition(self.id), self.own.version);
        let (at, event) = (moment.stamp, Event::Partition(event));
        self.open.records.push(StagedRecord::new(stream, version, at, event));
        version
    }
}
