//! Delivering recorded events again: one task for each replay that is under way.
//!
//! Reads the journal and calls somebody, or has a view made anew; records how far it came through the partition that
//! keeps the replays. Runs no step and changes no run: it has nothing to do either with.

mod delivery;
mod view;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backstitch_core::history::EventFilter;
use backstitch_core::ids::ReplayId;
use backstitch_core::replays::{ReplayCommand, ReplayState, ReplayStatus, Terms};
use backstitch_executors::Registry;
use backstitch_journal::{ChainEvent, Journal};
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use crate::catalog::Catalog;
use crate::handle::Wish;
use crate::handle::events::{Range, page, row_json};
use crate::owners::Owners;
use crate::partition::Input;
use delivery::Receiver;

/// Deliveries after which progress is recorded: what a crash may repeat.
pub const DELIVERIES_PER_ADVANCE: u64 = 100;
/// Progress is recorded at least so often while a replay is getting on.
pub const ADVANCE_INTERVAL: Duration = Duration::from_secs(1);
/// Events read at a time.
const ROWS_PER_PAGE: usize = 256;

/// Everything a replay's task works with. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Replays {
    journal: Arc<Journal>,
    catalog: Arc<Catalog>,
    registry: Arc<Registry>,
    mailbox: mpsc::Sender<Wish>,
    stopping: watch::Receiver<bool>,
    running: Arc<Mutex<HashMap<ReplayId, AbortHandle>>>,
}

impl Replays {
    pub(crate) fn new(
        journal: Arc<Journal>,
        catalog: Arc<Catalog>,
        registry: Arc<Registry>,
        mailbox: mpsc::Sender<Wish>,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let running = Arc::default();
        Self { journal, catalog, registry, mailbox, stopping, running }
    }

    /// Does what a replay's recorded state asks for: begins its task, or ends it.
    pub(crate) fn follow(&self, id: ReplayId, state: ReplayState) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|_, task| !task.is_finished());
        // One task at a time: a stopped one's has nothing to say any more.
        if let Some(earlier) = running.remove(&id) {
            earlier.abort();
        }
        if state.status != ReplayStatus::Running {
            return;
        }
        let job = Job::new(self.clone(), id, state);
        let replays = self.clone();
        let task = tokio::spawn(job.run());
        running.insert(id, task.abort_handle());
        tokio::spawn(async move {
            // A panic of an executor must not leave the replay running with nobody at it.
            if task.await.is_err_and(|error| error.is_panic()) {
                let reason = "the delivery met a bug; see the server's log".to_owned();
                replays.record(id, ReplayCommand::Stop { reason, actor: None }).await;
            }
        });
    }

    async fn record(&self, id: ReplayId, command: ReplayCommand) {
        // A partition that is gone leaves the rest to the next start.
        drop(self.mailbox.send(Wish::own(Input::Replay(id, command, None))).await);
    }
}

/// One replay under way.
struct Job {
    replays: Replays,
    id: ReplayId,
    state: ReplayState,
    filter: EventFilter,
    /// Made anew, instead of anything delivered.
    view: Option<String>,
    receiver: Receiver,
    pace: Interval,
    recorded: (u64, Instant),
}

impl Job {
    fn new(replays: Replays, id: ReplayId, state: ReplayState) -> Self {
        let rate = state.request.rate_per_second.max(1);
        let mut pace = tokio::time::interval(Duration::from_secs(1) / rate);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let Terms { filter, max_attempts, view, .. } = Terms::of_payload(&state.request.filter);
        let receiver = Receiver::new(id, &state, max_attempts, replays.registry.clone());
        let recorded = (state.delivered, Instant::now());
        Self { replays, id, state, filter, view, receiver, pace, recorded }
    }

    /// Delivers until the end, a failure for good, or the engine's stop.
    async fn run(mut self) {
        let mut stopping = self.replays.stopping.clone();
        let stopped = async move {
            // Whoever could tell is gone: that is a stop too.
            drop(stopping.wait_for(|stop| *stop).await);
        };
        tokio::pin!(stopped);
        let last = tokio::select! {
            () = &mut stopped => None,
            last = self.deliver_all() => Some(last),
        };
        self.advance().await;
        if let Some(last) = last {
            self.replays.record(self.id, last).await;
        }
    }

    /// Answers how the replay ends.
    async fn deliver_all(&mut self) -> ReplayCommand {
        if let Some(view) = &self.view {
            let ended = view::replay_into(&self.replays, view).await;
            if matches!(ended, ReplayCommand::Complete { .. }) {
                self.state.positions.clone_from(&self.state.request.until);
            }
            return ended;
        }
        loop {
            let (rows, positions, more) = match self.read().await {
                Ok(page) => page,
                Err(reason) => return ReplayCommand::Stop { reason, actor: None },
            };
            for (event, body) in rows {
                self.pace.tick().await;
                if let Err(reason) = self.receiver.deliver(&event, body).await {
                    return ReplayCommand::Stop { reason, actor: None };
                }
                self.state.positions[usize::from(event.partition.0)] = event.record.position;
                self.state.delivered += 1;
                if self.state.delivered >= self.recorded.0 + DELIVERIES_PER_ADVANCE
                    || self.recorded.1.elapsed() >= ADVANCE_INTERVAL
                {
                    self.advance().await;
                }
            }
            self.state.positions = positions;
            if !more {
                return ReplayCommand::Complete { delivered: self.state.delivered };
            }
            if self.recorded.1.elapsed() >= ADVANCE_INTERVAL {
                self.advance().await;
            }
        }
    }

    /// Records how far the replay came.
    async fn advance(&mut self) {
        self.recorded = (self.state.delivered, Instant::now());
        let positions = self.state.positions.clone();
        let command = ReplayCommand::Advance { positions, delivered: self.state.delivered };
        self.replays.record(self.id, command).await;
    }

    /// The next events with their bodies, the place behind them, and whether more follow.
    async fn read(&self) -> Result<(Vec<(ChainEvent, Value)>, Vec<u64>, bool), String> {
        let (replays, filter) = (self.replays.clone(), self.filter.clone());
        let (after, until) = (self.state.positions.clone(), self.state.request.until.clone());
        let reading = tokio::task::spawn_blocking(move || {
            let mut owners = Owners::new(&replays.journal, &replays.catalog);
            let range = Range { after: Some(after), until: Some(until), rows_max: ROWS_PER_PAGE };
            let page = page(&replays.journal, &mut owners, &filter, range)?;
            let with_body = |row: ChainEvent| {
                let body = row_json(&row, &mut owners);
                (row, body)
            };
            Ok((page.rows.into_iter().map(with_body).collect(), page.positions, page.more))
        });
        match reading.await {
            Ok(Ok(page)) => Ok(page),
            Ok(Err(crate::Error::HistoryCut { partition, position, cut })) => Err(format!(
                "what comes next was cut: the history of partition {partition} begins behind \
                 position {position}. Begin another replay from {}, or from {}",
                cut.cursor, cut.until
            )),
            Ok(Err(error)) => Err(format!("the history can't be read: {error}")),
            Err(error) => Err(format!("the history can't be read: {error}")),
        }
    }
}
