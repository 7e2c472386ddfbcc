//! Retrying dead letters by a filter: one task for each redrive that is under way.
//!
//! Finds letters in the view, claims them through the partition that keeps the redrives, and
//! only then retries them, at the rate asked for; watches what comes of each, and stops by the
//! rules. All that a crash leaves is claimed letters without an outcome: they are retried
//! again, which does nothing to those that were.

mod attempt;
mod pace;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backstitch_core::event::{ClaimedLetter, RedriveOutcome};
use backstitch_core::ids::{LetterId, RedriveId};
use backstitch_core::redrives::{
    LETTERS_PER_CLAIM_MAX, LetterChoice, RedriveCommand, RedriveState, RedriveStatus, Terms,
};
use backstitch_core::summary::LetterStatus;
use backstitch_core::time::Timestamp;
use backstitch_journal::{LetterFilter, Order, Range};
use tokio::sync::{Semaphore, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use crate::error::Error;
use crate::handle::Handle;
use crate::{clock, metrics};
use attempt::{Attempt, Gone};
use pace::Pace;

/// Retries that wait for their commits at a time, of one redrive.
const RETRIES_IN_FLIGHT_MAX: usize = 128;
/// Letters whose outcome is awaited at a time, of one redrive. With more it waits.
const AWAITED_MAX: usize = 4_096;
/// Outcomes recorded together.
const OUTCOMES_PER_RECORD_MAX: usize = LETTERS_PER_CLAIM_MAX;
/// Outcomes are recorded at least so often while there are any.
const RECORD_INTERVAL: Duration = Duration::from_millis(250);

/// Everything a redrive's task works with. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Redrives {
    handle: Handle,
    stopping: watch::Receiver<bool>,
    running: Arc<Mutex<HashMap<RedriveId, AbortHandle>>>,
}

impl Redrives {
    pub(crate) fn new(handle: Handle, stopping: watch::Receiver<bool>) -> Self {
        Self { handle, stopping, running: Arc::default() }
    }

    /// Whom it asks.
    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Does what a redrive's recorded state asks for: begins its task, or ends it.
    pub(crate) fn follow(&self, id: RedriveId, state: RedriveState) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|_, task| !task.is_finished());
        // One task at a time: a stopped one's has nothing to say any more.
        if let Some(earlier) = running.remove(&id) {
            earlier.abort();
        }
        if !state.is_under_way() {
            return;
        }
        let Some(job) = Job::new(self.clone(), id, state) else {
            let reason = "it was asked for in terms that this version does not know".to_owned();
            return self.halt(id, reason);
        };
        let task = tokio::spawn(job.run());
        running.insert(id, task.abort_handle());
        let redrives = self.clone();
        tokio::spawn(async move {
            // A panic must not leave the redrive running with nobody at it.
            if task.await.is_err_and(|error| error.is_panic()) {
                redrives.halt(id, "it met a bug; see the server's log".to_owned());
            }
        });
    }

    fn halt(&self, id: RedriveId, reason: String) {
        let handle = self.handle.clone();
        // Nobody waits for it.
        drop(tokio::spawn(async move {
            handle.tell_redrive(id, RedriveCommand::Halt { reason, actor: None }).await;
        }));
    }
}

/// What came of one letter.
type Learned = Result<Option<(LetterId, RedriveOutcome)>, Gone>;

/// One redrive under way.
struct Job {
    redrives: Redrives,
    id: RedriveId,
    state: RedriveState,
    terms: Terms,
    pace: Pace,
    /// Bounds retries that wait for their commits.
    in_flight: Arc<Semaphore>,
    attempts: JoinSet<Learned>,
    outcomes: Vec<(LetterId, RedriveOutcome)>,
    recorded_at: Instant,
}

impl Job {
    fn new(redrives: Redrives, id: RedriveId, state: RedriveState) -> Option<Self> {
        let terms = state.terms()?;
        let pace = Pace::new(state.request.rate_per_second);
        Some(Self {
            redrives,
            id,
            state,
            terms,
            pace,
            in_flight: Arc::new(Semaphore::new(RETRIES_IN_FLIGHT_MAX)),
            attempts: JoinSet::new(),
            outcomes: Vec::new(),
            recorded_at: Instant::now(),
        })
    }

    /// Retries until the end, a rule that stops it, or the engine's stop.
    async fn run(mut self) {
        let mut stopping = self.redrives.stopping.clone();
        let stopped = async move {
            // Whoever could tell is gone: that is a stop too.
            drop(stopping.wait_for(|stop| *stop).await);
        };
        tokio::pin!(stopped);
        let last = tokio::select! {
            () = &mut stopped => Ok(None),
            last = self.go_on() => last,
        };
        self.record().await;
        if let Ok(Some(last)) = last {
            self.redrives.handle.tell_redrive(self.id, last).await;
        }
    }

    /// Answers how the redrive ends; nothing if it only had to see to what it left.
    async fn go_on(&mut self) -> Result<Option<RedriveCommand>, Gone> {
        // Claimed before a crash or a pause, and not known.
        let left: Vec<_> = self.state.pending.keys().copied().collect();
        self.retry(&left).await?;
        if self.state.status != RedriveStatus::Running {
            while !self.attempts.is_empty() {
                self.learn().await?;
            }
            return Ok(None);
        }
        loop {
            if let Some(reason) = self.state.stop_reason(&self.terms) {
                return Ok(Some(halted(reason)));
            }
            if self.state.waits_for_canaries() {
                if let Some(reason) = self.await_canaries().await? {
                    return Ok(Some(halted(reason)));
                }
                continue;
            }
            let listed = match self.list().await {
                Ok(listed) => listed,
                Err(Error::Draining | Error::Stopped) => return Err(Gone),
                Err(error) => return Ok(Some(halted(format!("no letters can be read: {error}")))),
            };
            let (letters, canary) = match self.state.next_claim(&self.terms, &listed) {
                Ok(claim) => claim,
                Err(reason) => return Ok(Some(halted(reason))),
            };
            if letters.is_empty() {
                if self.state.pending.is_empty() {
                    return Ok(Some(RedriveCommand::Complete));
                }
                self.learn().await?;
                continue;
            }
            self.claim(letters.clone(), canary).await?;
            let letters: Vec<_> = letters.iter().map(|own| own.letter).collect();
            self.retry(&letters).await?;
        }
    }

    /// Records what is retried next. When this answers, it is durable.
    async fn claim(&mut self, letters: Vec<ClaimedLetter>, canary: bool) -> Result<(), Gone> {
        self.record().await;
        let command = RedriveCommand::Claim { letters, canary };
        let claimed = self.redrives.handle.redrive_command(self.id, command).await;
        let state = claimed.map_err(|_| Gone)?.1;
        // Somebody stopped it meanwhile: the task that follows from that sees to the rest.
        if state.status != RedriveStatus::Running {
            return Err(Gone);
        }
        self.state = state;
        Ok(())
    }

    /// Begins to retry letters at the rate, and learns what came of others meanwhile; no more
    /// of them once a rule says to stop.
    async fn retry(&mut self, letters: &[LetterId]) -> Result<(), Gone> {
        let runs = self.state.status == RedriveStatus::Running;
        for &letter in letters {
            if runs {
                self.pace.next().await;
            }
            while self.attempts.len() >= AWAITED_MAX {
                self.learn().await?;
            }
            let attempt = Attempt {
                handle: self.redrives.handle.clone(),
                letter,
                actor: self.id.to_string(),
                status: self.state.status.clone(),
                in_flight: self.in_flight.clone(),
                edit: self.terms.edit.clone().map(|edit| (edit, self.state.request.reason.clone())),
            };
            self.attempts.spawn(attempt.run());
            while let Some(learned) = self.attempts.try_join_next() {
                self.take(learned)?;
            }
            if self.is_record_due() {
                self.record().await;
                if runs && self.state.stop_reason(&self.terms).is_some() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Answers why the redrive has to stop, once all canaries are known or their time is up.
    async fn await_canaries(&mut self) -> Result<Option<String>, Gone> {
        let Some(canary) = self.terms.canary else { return Ok(None) };
        let until = Instant::now() + Duration::from_millis(canary.wait_ms);
        while self.state.waits_for_canaries() {
            match tokio::time::timeout_at(until, self.learn()).await {
                Ok(learned) => learned?,
                Err(_) => {
                    self.record().await;
                    return Ok(self.late_canary(canary.wait_ms));
                }
            }
            if let Some(reason) = self.state.stop_reason(&self.terms) {
                return Ok(Some(reason));
            }
        }
        Ok(None)
    }

    fn late_canary(&self, wait_ms: u64) -> Option<String> {
        let late = self.state.pending.values().find(|own| own.canary)?;
        let fingerprint = late.fingerprint;
        Some(format!("the canary of group {fingerprint} has no outcome after {wait_ms} ms"))
    }

    /// Waits until something more is known, and records it.
    async fn learn(&mut self) -> Result<(), Gone> {
        let Some(learned) = self.attempts.join_next().await else {
            // What is pending and not under way is left to whoever resumes it.
            return Err(Gone);
        };
        self.take(learned)?;
        while let Some(learned) = self.attempts.try_join_next() {
            self.take(learned)?;
        }
        self.record().await;
        Ok(())
    }

    fn take(&mut self, learned: Result<Learned, tokio::task::JoinError>) -> Result<(), Gone> {
        // A bug in one attempt is told by the task that watches this one.
        let learned = learned.unwrap_or_else(|bug| match bug.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Gone),
        })?;
        if let Some((letter, outcome)) = learned {
            metrics::redriven(outcome);
            self.outcomes.push((letter, outcome));
        }
        Ok(())
    }

    fn is_record_due(&self) -> bool {
        self.outcomes.len() >= OUTCOMES_PER_RECORD_MAX
            || (!self.outcomes.is_empty() && self.recorded_at.elapsed() >= RECORD_INTERVAL)
    }

    /// Records what came of letters.
    async fn record(&mut self) {
        self.recorded_at = Instant::now();
        if self.outcomes.is_empty() {
            return;
        }
        let outcomes = std::mem::take(&mut self.outcomes);
        let command = RedriveCommand::Observe { outcomes };
        self.state.follow(command.clone(), clock::now());
        self.redrives.handle.tell_redrive(self.id, command).await;
    }

    /// The open letters behind the place reached, the oldest first: some of them, as long as
    /// there are any.
    async fn list(&self) -> Result<Vec<ClaimedLetter>, Error> {
        let (request, reached) = (&self.state.request, self.state.place.map(|(at, _)| at));
        let filter = wanted(&request.namespace, &self.terms.filter, reached, request.until);
        let mut after = None;
        loop {
            let page = self
                .redrives
                .handle
                .letters(filter.clone(), after.take(), LETTERS_PER_CLAIM_MAX)
                .await?;
            let listed = page.rows.into_iter().map(|row| ClaimedLetter {
                letter: row.letter,
                fingerprint: row.fingerprint,
                opened_at: row.opened_at,
            });
            let fresh: Vec<_> = listed.filter(|own| !self.state.was_claimed(own)).collect();
            if !fresh.is_empty() || page.next.is_none() {
                return Ok(fresh);
            }
            after = page.next;
        }
    }
}

/// The open letters of a redrive, the oldest first, from an instant on.
pub(crate) fn wanted(
    namespace: &str,
    choice: &LetterChoice,
    from: Option<Timestamp>,
    until: Timestamp,
) -> LetterFilter {
    LetterFilter {
        namespace: namespace.to_owned(),
        status: Some(LetterStatus::Open),
        workflow: choice.workflow.clone(),
        step: choice.step.clone(),
        kind: choice.kind,
        code: choice.code.clone(),
        fingerprint: choice.fingerprint,
        tag: choice.tag.clone(),
        assignee: choice.assignee.clone(),
        execution: choice.run(),
        opened: Range {
            after: choice.opened_after.max(from),
            before: Some(choice.opened_before.map_or(until, |at| at.min(until))),
        },
        order: Order::OldestFirst,
    }
}

fn halted(reason: String) -> RedriveCommand {
    RedriveCommand::Halt { reason, actor: None }
}
