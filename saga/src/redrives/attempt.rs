//! One letter of a redrive: retried, and watched until it is known what came of it.

use std::sync::Arc;
use std::time::Duration;

use backstitch_core::command::Rejection;
use backstitch_core::event::RedriveOutcome;
use backstitch_core::ids::LetterId;
use backstitch_core::letters::{Fate, InputEdit};
use backstitch_core::redrives::RedriveStatus;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use crate::error::Error;
use crate::handle::Handle;

/// How long an outcome is awaited: what takes longer counts as unknown.
pub const OUTCOME_WAIT_MAX: Duration = Duration::from_secs(24 * 3_600);
/// The first wait between two looks at a letter, and the longest: each is twice the one before.
const LOOK_INTERVAL_MIN: Duration = Duration::from_millis(25);
const LOOK_INTERVAL_MAX: Duration = Duration::from_secs(2);
/// How long a retry waits that finds no room for its new run.
const FULL_PAUSE: Duration = Duration::from_secs(1);

/// The engine is stopping: the rest is left to the next start.
#[derive(Debug)]
pub(super) struct Gone;

/// One letter's retry.
pub(super) struct Attempt {
    pub(super) handle: Handle,
    pub(super) letter: LetterId,
    /// Who retries: the redrive.
    pub(super) actor: String,
    /// Where the redrive stands: only a running one retries, others see to what they left.
    pub(super) status: RedriveStatus,
    pub(super) in_flight: Arc<Semaphore>,
    /// What becomes of the letter's input, and why.
    pub(super) edit: Option<(InputEdit, String)>,
}

impl Attempt {
    /// Answers what came of it; nothing if it is left as it stands.
    ///
    /// # Errors
    /// [`Gone`]
    pub(super) async fn run(self) -> Result<Option<(LetterId, RedriveOutcome)>, Gone> {
        let retried = match self.status {
            RedriveStatus::Running => self.retry().await?,
            _ => true,
        };
        if !retried && !self.is_own().await? {
            return Ok(Some((self.letter, RedriveOutcome::Refused)));
        }
        Ok(self.outcome().await?.map(|outcome| (self.letter, outcome)))
    }

    /// Whether the letter was retried just now.
    async fn retry(&self) -> Result<bool, Gone> {
        let _turn = self.in_flight.acquire().await.map_err(|_| Gone)?;
        loop {
            let (letter, actor) = (self.letter, &*self.actor);
            let retried = match self.edit.clone() {
                None => self.handle.retry_letter(letter, actor).await,
                Some((edit, why)) => {
                    self.handle.retry_letter_with(letter, (edit, false), why, actor).await
                }
            };
            match retried {
                Ok(_) => return Ok(true),
                Err(Error::Full(_)) => sleep(FULL_PAUSE).await,
                Err(Error::Draining | Error::Stopped) => return Err(Gone),
                Err(Error::Rejected(Rejection::LetterNotOpen { .. })) => return Ok(false),
                Err(error) => {
                    let run = self.letter.execution;
                    tracing::warn!(execution_id = %run, letter_id = %self.letter, "not retried: {error}");
                    return Ok(false);
                }
            }
        }
    }

    /// Whether this redrive has retried the letter, before a crash or a pause.
    async fn is_own(&self) -> Result<bool, Gone> {
        match self.handle.letter_fate(self.letter).await {
            Ok((_, actor)) => Ok(actor.as_ref() == Some(&self.actor)),
            Err(Error::Draining | Error::Stopped) => Err(Gone),
            Err(_) => Ok(false),
        }
    }

    async fn outcome(&self) -> Result<Option<RedriveOutcome>, Gone> {
        let until = Instant::now() + OUTCOME_WAIT_MAX;
        let mut pause = LOOK_INTERVAL_MIN;
        loop {
            match self.handle.letter_fate(self.letter).await {
                Ok((Fate::Succeeded, _)) => return Ok(Some(RedriveOutcome::Succeeded)),
                Ok((Fate::Failed, _)) => return Ok(Some(RedriveOutcome::Failed)),
                Ok((Fate::GivenUp, _)) => return Ok(Some(RedriveOutcome::Unknown)),
                Ok((Fate::Settled, _)) => return Ok(Some(RedriveOutcome::Refused)),
                // Claimed and not retried: left open by a pause, and for good by a cancel.
                Ok((Fate::Open, _)) => {
                    return Ok(self.status.is_over().then_some(RedriveOutcome::Refused));
                }
                Ok((Fate::Pending | Fate::Linked(_), _)) => {}
                Err(Error::Draining | Error::Stopped) => return Err(Gone),
                Err(error) => {
                    let run = self.letter.execution;
                    tracing::warn!(execution_id = %run, letter_id = %self.letter, "its outcome is unknown: {error}");
                    return Ok(Some(RedriveOutcome::Unknown));
                }
            }
            if Instant::now() >= until {
                return Ok(Some(RedriveOutcome::Unknown));
            }
            sleep(pause).await;
            pause = (pause * 2).min(LOOK_INTERVAL_MAX);
        }
    }
}
