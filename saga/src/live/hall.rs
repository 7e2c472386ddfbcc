//! The task that hands out what became durable.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use backstitch_core::event::Event;
use backstitch_core::history::{EventFilter, Place, placed_event_json};
use backstitch_core::ids::{PartitionId, StreamId};
use backstitch_journal::{Commit, Journal, Record};
use tokio::sync::mpsc;

use super::desk::Group;
use super::follower::Told;
use super::{Live, News};
use crate::handle::events::records_behind;
use crate::handle::{Handle, blocking};
use crate::owners::Owners;
use crate::partition::StagedRecord;

/// Pieces of news that are handed out at a time.
const NEWS_AT_ONCE_MAX: usize = 64;
/// The longest event that waits in mailboxes, in bytes; who follows reads a longer one in the
/// journal.
const EVENT_BYTES_MAX: usize = 64 * 1024;
/// Events that were missed and are read for all who follow; where there are more, each reads what it
/// wants.
const MISSED_MAX: u64 = 1_000_000;

/// Hands out news until there is nobody left to say any.
pub(crate) async fn hand_out(live: Live, mut news: mpsc::Receiver<News>, handle: Handle) {
    let mut some = Vec::new();
    while news.recv_many(&mut some, NEWS_AT_ONCE_MAX).await > 0 {
        let batch = std::mem::take(&mut some);
        let (own, handle) = (live.clone(), handle.clone());
        let handed = move || {
            let owners = Owners::new(handle.journal(), handle.catalog());
            Hall { live: &own, journal: handle.journal(), owners }.hand_out(batch);
        };
        if blocking(handed).await.is_err() {
            // An event that can't be printed is a bug, and each follower's to meet by itself.
            live.skip();
        }
    }
}

/// Where events are handed out.
struct Hall<'a> {
    live: &'a Live,
    journal: &'a Journal,
    owners: Owners<'a>,
}

impl Hall<'_> {
    fn hand_out(&mut self, batch: Vec<News>) {
        let generation = self.journal.origin().generation;
        for News { partition, first, records } in batch {
            if first > self.handed(partition) + 1 {
                self.hand_missed();
            }
            let handed = self.handed(partition);
            let placed = (first..).zip(records).map(|(position, staged)| {
                let StagedRecord { stream, version, at, event, mark } = staged;
                Record { stream, version, position, recorded_at: at, event, mark }
            });
            let fresh = placed.filter(|record| record.position > handed).collect();
            self.hand(partition, generation, fresh);
        }
        if self.live.0.missed.swap(false, Ordering::SeqCst) {
            self.hand_missed();
        }
    }

    /// Up to where all of a partition was handed out.
    fn handed(&self, partition: PartitionId) -> u64 {
        let desk = self.live.desk();
        desk.positions().get(usize::from(partition.0)).copied().unwrap_or(u64::MAX)
    }

    /// Hands out what the journal has beyond what was handed out.
    fn hand_missed(&mut self) {
        let newest = self.live.answered();
        let (handed, nobody) = {
            let desk = self.live.desk();
            (desk.positions().to_vec(), desk.is_empty())
        };
        let missed = newest.iter().zip(&handed).map(|(newest, own)| newest.saturating_sub(*own));
        let journal = self.journal;
        let mut hand = |commit: &Commit| {
            let (partition, at) = (commit.partition(), usize::from(commit.partition().0));
            if commit.head().position <= newest[at] {
                let behind = records_behind(commit, handed[at]);
                self.hand(partition, commit.origin().generation, behind.collect());
            }
            ControlFlow::Continue(())
        };
        let is_read = !nobody
            && missed.sum::<u64>() <= MISSED_MAX
            && journal.commits_behind(&handed, &mut hand).is_ok();
        if !is_read {
            self.live.skip();
        }
    }

    /// Hands out records of a partition that follow what was handed out before.
    fn hand(&mut self, partition: PartitionId, generation: u32, records: Vec<Record>) {
        let Some(last) = records.last().map(|record| record.position) else { return };
        let mut gone = BTreeMap::new();
        let (of_runs, others) = self.live.wanted(records);
        let owners = &mut self.owners;
        for (record, of_run) in of_runs {
            let told = &mut None;
            for Group { filter, seats } in of_run.iter().chain(&others) {
                if !passes(filter, &record, owners) {
                    continue;
                }
                let told = told.get_or_insert_with(|| tell(&record, partition, generation, owners));
                let is_elsewhere = told.json.len() > EVENT_BYTES_MAX || lacks_some(&record.event);
                for seat in seats.iter() {
                    if gone.contains_key(&seat.number) {
                        continue;
                    }
                    if is_elsewhere || seat.mailbox.try_send(told.clone()).is_err() {
                        gone.insert(seat.number, filter.clone());
                    }
                }
            }
        }
        drop(others);
        let mut desk = self.live.desk();
        gone.iter().for_each(|(number, filter)| desk.leave(*number, filter));
        desk.reached(partition, last);
    }
}

impl Live {
    /// What there is need not be handed out any more: whoever has a seat reads it.
    fn skip(&self) {
        let answered = self.answered();
        let mut desk = self.desk();
        desk.let_all_go();
        desk.skip(&answered);
    }

    /// The records that somebody may want, each with who follows its run, and who follows more.
    fn wanted(&self, records: Vec<Record>) -> (Vec<(Record, Vec<Group>)>, Vec<Group>) {
        let desk = self.desk();
        let with_groups = records.into_iter().map(|record| {
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

/// Whether a payload of the event is kept beside it and was not read.
fn lacks_some(event: &Event) -> bool {
    let mut lacks = false;
    event.for_each_payload(&mut |payload| lacks |= payload.absent().is_some());
    lacks
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
