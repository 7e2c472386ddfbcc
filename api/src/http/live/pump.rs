//! From a source to a reader: events as they come, heartbeats between them, and an end.

use std::time::Duration;

use backstitch_core::ids::ExecutionId;
use backstitch_core::summary::RunStatus;
use backstitch_saga::Error;
use backstitch_saga::live::{Follower, Heard};
use tokio::time::{MissedTickBehavior, interval};

use super::Terms;
use crate::http::refusal::Refusal;
use crate::log::Tail;

/// How long a reader may take for one piece. Then it is cut off.
pub(super) const PIECE_TIMEOUT: Duration = Duration::from_secs(30);
/// The type of the event that ends a run.
const END: &str = "ExecutionEnded";

/// Why a stream is over.
#[derive(Debug)]
pub(super) enum Over {
    /// The run that it was for has ended.
    Ended,
    /// The server stops.
    Stopping,
    /// It can't go on.
    Refused(Refusal),
}

/// The reader has gone, or does not read.
#[derive(Debug)]
pub(super) struct Gone;

/// Where events come from.
pub(super) trait Source: Send + 'static {
    /// The next ones. Dropped at any time, it loses nothing.
    fn next(&mut self) -> impl Future<Output = Result<Vec<Heard>, Error>> + Send;

    /// The place behind what was given out.
    fn place(&self) -> String;

    /// What was seen and left out needs no second look; whether there was any.
    fn pass_over(&mut self) -> bool;

    /// Whether all that has happened was given out.
    fn is_idle(&self) -> bool;
}

impl Source for Follower {
    async fn next(&mut self) -> Result<Vec<Heard>, Error> {
        Self::next(self).await
    }

    fn place(&self) -> String {
        Self::place(self)
    }

    fn pass_over(&mut self) -> bool {
        Self::pass_over(self)
    }

    fn is_idle(&self) -> bool {
        Self::is_idle(self)
    }
}

impl Source for Tail {
    async fn next(&mut self) -> Result<Vec<Heard>, Error> {
        Self::next(self).await.ok_or(Error::Stopped)
    }

    fn place(&self) -> String {
        Self::place(self)
    }

    fn pass_over(&mut self) -> bool {
        Self::pass_over(self)
    }

    fn is_idle(&self) -> bool {
        false
    }
}

/// Where events go.
pub(super) trait Outlet: Send {
    /// Sends an event.
    fn event(&mut self, heard: &Heard) -> impl Future<Output = Result<(), Gone>> + Send;

    /// Says that the server lives, and the place to go on behind, if it has moved.
    fn beat(&mut self, place: Option<String>) -> impl Future<Output = Result<(), Gone>> + Send;

    /// Completes when the reader goes away.
    fn gone(&mut self) -> impl Future<Output = ()> + Send;

    /// Says why it is over.
    fn over(self, why: Over) -> impl Future<Output = ()> + Send;
}

/// Carries events until the stream is over or the reader gone.
pub(super) async fn pump(terms: Terms, mut source: impl Source, mut outlet: impl Outlet) {
    if let Ok(Some(why)) = carry(&terms, &mut source, &mut outlet).await {
        outlet.over(why).await;
    }
}

async fn carry(
    terms: &Terms,
    source: &mut impl Source,
    outlet: &mut impl Outlet,
) -> Result<Option<Over>, Gone> {
    let mut beats = interval(terms.heartbeat);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first one is at once.
    beats.tick().await;
    outlet.beat(Some(source.place())).await?;
    let mut seen_end = false;
    loop {
        if let Some(run) = terms.until_end_of
            && seen_end
            && source.is_idle()
            && Box::pin(has_ended(terms, run)).await
        {
            return Ok(Some(Over::Ended));
        }
        tokio::select! {
            next = source.next() => match next {
                Ok(heard) => for one in heard {
                    seen_end |= one.kind == END;
                    outlet.event(&one).await?;
                },
                Err(Error::Stopped) => return Ok(Some(Over::Stopping)),
                Err(error) => return Ok(Some(Over::Refused(error.into()))),
            },
            _ = beats.tick() => {
                // Boxed, since what it takes is large and a stream waits for most of its life.
                if let Err(refusal) = Box::pin(terms.caller.again(&terms.headers)).await {
                    return Ok(Some(Over::Refused(refusal)));
                }
                outlet.beat(source.pass_over().then(|| source.place())).await?;
            }
            () = outlet.gone() => return Ok(None),
        }
    }
}

/// Whether a run stands ended: it may have been rolled back since it did.
async fn has_ended(terms: &Terms, run: ExecutionId) -> bool {
    let Ok(engine) = terms.caller.engine() else { return false };
    let Ok(shown) = engine.execution(run).await else { return true };
    shown["status"].as_str().and_then(RunStatus::of_word).is_some_and(RunStatus::is_ended)
}
