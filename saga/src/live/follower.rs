//! Somebody who follows events: from a place in the journal on, and then as they become durable.

use std::sync::Arc;

use backstitch_core::event::{Event, RunEvent};
use backstitch_core::history::{EventFilter, Place, placed_event_json};
use backstitch_core::ids::{ExecutionId, PartitionId};
use backstitch_core::report::event_type;
use backstitch_journal::ChainCursor;
use serde_json::Value;
use tokio::sync::mpsc;

use super::{Following, Live};
use crate::error::Error;
use crate::handle::Handle;

/// Events read off the journal at a time, and given out at a time.
const EVENTS_AT_ONCE_MAX: usize = 256;
/// Bytes of a run's events given out at a time, if it is more than one event.
const READ_BYTES_MAX: usize = 8 * 1024 * 1024;

/// An event that is told to followers. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    kind: &'static str,
    pub(super) json: Arc<str>,
    partition: PartitionId,
    position: u64,
}

impl Told {
    pub(super) fn of(partition: PartitionId, position: u64, event: &Event, json: &Value) -> Self {
        Self { kind: event_type(event), json: json.to_string().into(), partition, position }
    }
}

/// An event that a follower heard.
#[derive(Debug, Clone)]
pub struct Heard {
    /// The place behind it, to go on from later.
    pub place: String,
    /// Its type, such as `StepSucceeded`.
    pub kind: &'static str,
    /// The event as the API prints it, as text.
    pub json: Arc<str>,
}

/// Follows events; each one comes once, in the order of its partition.
pub struct Follower {
    handle: Handle,
    live: Live,
    filter: Arc<EventFilter>,
    run: Option<ExecutionId>,
    generation: u32,
    /// The last position seen, of each partition.
    pub(super) positions: Vec<u64>,
    /// Where it will stand once it has given out what was read.
    passed: Option<Vec<u64>>,
    seat: Option<(u64, mpsc::Receiver<Told>)>,
    /// Whether everything before what comes into the mailbox was seen.
    caught_up: bool,
    _following: Following,
}

impl Handle {
    /// Follows the events that pass a filter, behind a place; from now on without one.
    ///
    /// # Errors
    /// [`Error::CursorOutdated`]; [`Error::HistoryCut`] comes with the first events.
    pub fn follow(
        &self,
        filter: EventFilter,
        after: Option<ChainCursor>,
    ) -> Result<Follower, Error> {
        let positions = match after {
            Some(after) => self.positions(after)?,
            None => self.live().answered(),
        };
        Ok(Follower::begin(self, filter, positions))
    }

    /// Follows a run behind one of its events, named by generation and position; from its first
    /// one on without.
    ///
    /// # Errors
    /// [`Error::ExecutionNotFound`], [`Error::ExecutionRemoved`]; [`Error::CursorOutdated`] if
    /// that event is not there any more.
    pub async fn follow_run(
        &self,
        run: ExecutionId,
        filter: EventFilter,
        after: Option<(u32, u64)>,
    ) -> Result<Follower, Error> {
        self.history(run).await?;
        let mut positions = vec![0; usize::from(self.journal().partition_count())];
        if let Some((given, position)) = after {
            let generation = self.journal().origin().generation;
            if self.generations(run.partition).await?.of(position) != given {
                return Err(Error::CursorOutdated { given, generation });
            }
            positions[usize::from(run.partition.0)] = position;
        }
        let filter = EventFilter { execution: Some(run.to_string()), ..filter };
        Ok(Follower::begin(self, filter, positions))
    }
}

impl Follower {
    fn begin(handle: &Handle, filter: EventFilter, positions: Vec<u64>) -> Self {
        let live = handle.live().clone();
        Self {
            run: filter.run(),
            generation: handle.journal().origin().generation,
            filter: Arc::new(filter),
            positions,
            passed: None,
            seat: None,
            caught_up: false,
            _following: Following::begin(&live),
            handle: handle.clone(),
            live,
        }
    }

    /// The next events; none where all that was there has just been given out. Nothing is lost if
    /// this is dropped while it waits.
    ///
    /// # Errors
    /// [`Error::Stopped`] when the engine stops; what reading the journal fails with.
    pub async fn next(&mut self) -> Result<Vec<Heard>, Error> {
        loop {
            let told = match &mut self.seat {
                Some((_, mailbox)) if self.caught_up => {
                    let mut told = Vec::new();
                    if mailbox.recv_many(&mut told, EVENTS_AT_ONCE_MAX).await == 0 {
                        self.leave();
                    }
                    let positions = &self.positions;
                    told.retain(|own| {
                        positions
                            .get(usize::from(own.partition.0))
                            .is_some_and(|seen| own.position > *seen)
                    });
                    told
                }
                // A follower waits for most of its life, and need not hold what reading takes.
                _ => Box::pin(self.catch_up()).await?,
            };
            if !told.is_empty() || self.is_idle() {
                let heard = told.into_iter().map(|own| self.hear(own)).collect();
                if let Some(passed) = self.passed.take() {
                    self.positions = passed;
                }
                return Ok(heard);
            }
        }
    }

    fn hear(&mut self, told: Told) -> Heard {
        self.positions[usize::from(told.partition.0)] = told.position;
        Heard { place: self.place(), kind: told.kind, json: told.json }
    }

    /// Whether everything that is there was given out.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.caught_up && self.seat.as_ref().is_some_and(|(_, mailbox)| mailbox.is_empty())
    }

    /// The place behind the last event that was given out, in the words of the cursors of its list.
    #[must_use]
    pub fn place(&self) -> String {
        match self.run {
            Some(run) => {
                let position = self.positions[usize::from(run.partition.0)];
                format!("{}:{}:{position}", self.generation, run.partition.0)
            }
            None => {
                let positions = self.positions.clone();
                ChainCursor { generation: self.generation, positions }.to_string()
            }
        }
    }

    /// Moves the place over events that did not pass the filter; answers whether it moved.
    pub fn pass_over(&mut self) -> bool {
        let Some((_, mailbox)) = self.seat.as_ref().filter(|_| self.caught_up) else {
            return false;
        };
        if self.run.is_some() {
            return false;
        }
        let handed = self.live.desk().positions().to_vec();
        // What was handed out before is in the mailbox, or was seen.
        if mailbox.is_closed() || !mailbox.is_empty() {
            return false;
        }
        let mut moved = false;
        for (seen, handed) in self.positions.iter_mut().zip(handed) {
            moved |= handed > *seen;
            *seen = handed.max(*seen);
        }
        moved
    }

    /// Reads on in the journal. At its end a seat is taken, and what came meanwhile is read once
    /// more; from then on the mailbox has everything.
    async fn catch_up(&mut self) -> Result<Vec<Told>, Error> {
        if self.live.desk().is_closed() {
            return Err(Error::Stopped);
        }
        let live = self.live.clone();
        let turn = live.turn().await;
        let (told, more) = match self.run {
            Some(run) => self.read_run(run).await?,
            None => self.read_all().await?,
        };
        drop(turn);
        if told.is_empty() && !more {
            self.caught_up = self.seat.is_some();
            if self.seat.is_none() {
                self.seat = self.live.desk().take(&self.filter);
            }
        }
        Ok(told)
    }

    async fn read_all(&mut self) -> Result<(Vec<Told>, bool), Error> {
        let (after, until) = (self.positions.clone(), self.live.answered());
        if after.iter().zip(&until).all(|(seen, newest)| seen >= newest) {
            return Ok((Vec::new(), false));
        }
        let (filter, between) = (EventFilter::clone(&self.filter), (after, until));
        let (told, next, more) =
            self.handle.events_told(filter, between, EVENTS_AT_ONCE_MAX).await?;
        match told.is_empty() {
            true => self.positions = next,
            false => self.passed = Some(next),
        }
        Ok((told, more))
    }

    async fn read_run(&mut self, run: ExecutionId) -> Result<(Vec<Told>, bool), Error> {
        let (records, plan) = self.handle.history(run).await?;
        let seen = self.positions[usize::from(run.partition.0)];
        let behind = records.partition_point(|record| record.position <= seen);
        let generations = self.handle.generations(run.partition).await?;
        let owner = records.first().and_then(|first| match &first.event {
            Event::Run(RunEvent::Submitted(own)) => {
                Some((own.namespace.clone(), own.workflow.clone()))
            }
            _ => None,
        });
        let passing = records[behind..].iter().filter(|record| {
            self.filter.spans(record.recorded_at)
                && self.filter.passes(&record.stream, &record.event, |_| owner.clone())
        });
        let told = passing.take(EVENTS_AT_ONCE_MAX).map(|record| {
            let place = Place {
                generation: generations.of(record.position),
                partition: run.partition.0,
                position: record.position,
                stream: &record.stream,
                version: record.version,
                recorded_at: record.recorded_at,
            };
            let json = placed_event_json(&place, &record.event, plan.as_deref());
            Told::of(run.partition, record.position, &record.event, &json)
        });
        let mut bytes = 0;
        let fits = |told: &Told| {
            let fits = bytes == 0 || bytes + told.json.len() <= READ_BYTES_MAX;
            bytes += told.json.len();
            fits
        };
        Ok((told.take_while(fits).collect(), false))
    }

    fn leave(&mut self) {
        self.caught_up = false;
        if let Some((number, _)) = self.seat.take() {
            self.live.desk().leave(number, &self.filter);
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.leave();
    }
}
