//! The task that hands out what became durable.

use std::collections::BTreeMap;

use backstitch_core::history::{EventFilter, Place, placed_event_json};
use backstitch_core::ids::{PartitionId, StreamId};
use backstitch_journal::Record;
use tokio::sync::mpsc;

use super::desk::Group;
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
        let batch = std::mem::take(&mut some);
        let (own, handle) = (live.clone(), handle.clone());
        let handed = move || {
            let mut owners = Owners::new(handle.journal(), handle.catalog());
            let generation = handle.journal().origin().generation;
            batch.into_iter().for_each(|one| own.hand_one(one, generation, &mut owners));
        };
        if blocking(handed).await.is_err() {
            // An event that can't be printed is a bug, and each follower's to meet by itself.
            live.desk().let_all_go();
        }
    }
}

impl Live {
    fn hand_one(&self, news: News, generation: u32, owners: &mut Owners<'_>) {
        let News { partition, first, records } = news;
        let last = first + records.len() as u64 - 1;
        let mut gone = BTreeMap::new();
        let (of_runs, others) = self.wanted(first, records);
        for (record, of_run) in of_runs {
            let told = &mut None;
            for Group { filter, seats } in of_run.iter().chain(&others) {
                if !passes(filter, &record, owners) {
                    continue;
                }
                let told = told.get_or_insert_with(|| tell(&record, partition, generation, owners));
                let is_large = told.json.len() > EVENT_BYTES_MAX;
                for seat in seats.iter() {
                    if gone.contains_key(&seat.number) {
                        continue;
                    }
                    if is_large || seat.mailbox.try_send(told.clone()).is_err() {
                        gone.insert(seat.number, filter.clone());
                    }
                }
            }
        }
        drop(others);
        let mut desk = self.desk();
        gone.iter().for_each(|(number, filter)| desk.leave(*number, filter));
        desk.reached(partition, last);
    }

    /// The records that somebody may want, each with who follows its run, and who follows more.
    fn wanted(
        &self,
        first: u64,
        records: Vec<StagedRecord>,
    ) -> (Vec<(Record, Vec<Group>)>, Vec<Group>) {
        let desk = self.desk();
        let placed = (first..).zip(records).map(|(position, staged)| {
            let StagedRecord { stream, version, at, event } = staged;
            Record { stream, version, position, recorded_at: at, event }
        });
        let with_groups = placed.map(|record| {
            let of_run = match &record.stream {
                StreamId::Execution(run) => desk.of_run(run).to_vec(),
                _ => Vec::new(),
            };
            (record, of_run)
        });
        let nobody_else = desk.others().is_empty();
        let wanted = with_groups.filter(|(_, of_run)| !(nobody_else && of_run.is_empty()));
        (wanted.collect(), desk.others().to_vec())
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
