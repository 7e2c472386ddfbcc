//! The task that hands out what became durable.

use std::collections::HashSet;

use backstitch_core::history::{EventFilter, Place, placed_event_json};
use backstitch_core::ids::{PartitionId, StreamId};
use backstitch_journal::Record;
use tokio::sync::mpsc;

use super::desk::Seat;
use super::follower::Told;
use super::{Live, News};
use crate::handle::{Handle, blocking};
use crate::owners::Owners;
use crate::partition::StagedRecord;

/// Pieces of news that are handed out at a time.
const NEWS_AT_ONCE_MAX: usize = 64;
/// The longest event that waits in mailboxes, in bytes; who follows reads a longer one in the
/// journal.
const EVENT_BYTES_MAX: usize = 64 * 1024;

/// Hands out news until there is nobody left to say any.
pub(crate) async fn hand_out(live: Live, mut news: mpsc::Receiver<News>, handle: Handle) {
    let mut some = Vec::new();
    while news.recv_many(&mut some, NEWS_AT_ONCE_MAX).await > 0 {
        let (live, handle) = (live.clone(), handle.clone());
        let batch = std::mem::take(&mut some);
        let handed = move || {
            let mut owners = Owners::new(handle.journal(), handle.catalog());
            let generation = handle.journal().origin().generation;
            batch.into_iter().for_each(|one| live.hand_one(one, generation, &mut owners));
        };
        if blocking(handed).await.is_err() {
            return;
        }
    }
}

impl Live {
    fn hand_one(&self, news: News, generation: u32, owners: &mut Owners<'_>) {
        if self.take_lost() {
            self.desk().let_all_go();
        }
        let News::Durable(partition, first, staged) = news else {
            return self.desk().let_all_go();
        };
        let Some(last) = (first + staged.len() as u64).checked_sub(1) else { return };
        let mut gone = HashSet::new();
        for (record, seats) in self.wanted(first, staged) {
            let told = &mut None;
            for seat in seats {
                if gone.contains(&seat.number) || !passes(&seat.filter, &record, owners) {
                    continue;
                }
                let told = told.get_or_insert_with(|| tell(&record, partition, generation, owners));
                let is_large = told.json.len() > EVENT_BYTES_MAX;
                if is_large || seat.mailbox.try_send(told.clone()).is_err() {
                    gone.insert(seat.number);
                }
            }
        }
        let mut desk = self.desk();
        desk.let_go(&gone);
        desk.reached(partition, last);
    }

    /// The records that somebody may want, with who.
    fn wanted(&self, first: u64, staged: Vec<StagedRecord>) -> Vec<(Record, Vec<Seat>)> {
        let desk = self.desk();
        let placed = (first..).zip(staged).map(|(position, staged)| {
            let StagedRecord { stream, version, at, event } = staged;
            Record { stream, version, position, recorded_at: at, event }
        });
        let with_seats = placed.map(|record| {
            let of_run = match &record.stream {
                StreamId::Execution(run) => desk.of_run(run),
                _ => &[],
            };
            let seats = of_run.iter().chain(desk.others()).cloned().collect();
            (record, seats)
        });
        with_seats.filter(|(_, seats): &(_, Vec<Seat>)| !seats.is_empty()).collect()
    }
}

fn passes(filter: &EventFilter, record: &Record, owners: &mut Owners<'_>) -> bool {
    filter.spans(record.recorded_at)
        && filter.passes(&record.stream, &record.event, |run| owners.owner(run))
}

/// An event as followers get it.
pub(crate) fn tell(
    record: &Record,
    partition: PartitionId,
    generation: u32,
    owners: &mut Owners<'_>,
) -> Told {
    let plan = owners.plan(record);
    let place = Place {
        generation,
        partition: partition.0,
        position: record.position,
        stream: &record.stream,
        version: record.version,
        recorded_at: record.recorded_at,
    };
    let json = placed_event_json(&place, &record.event, plan.as_deref());
    Told::of(partition, record.position, &record.event, &json)
}
