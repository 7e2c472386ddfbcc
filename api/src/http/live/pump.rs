//! From a follower to a reader: events as they come, heartbeats between them, and an end.

use std::time::Duration;

use backstitch_core::ids::ExecutionId;
use backstitch_core::summary::RunStatus;
use backstitch_saga::Error;
use backstitch_saga::live::{Follower, Heard};
use tokio::time::{MissedTickBehavior, interval};

use super::Terms;
use crate::http::refusal::Refusal;

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
pub(super) async fn pump(terms: Terms, mut follower: Follower, mut outlet: impl Outlet) {
    if let Ok(Some(why)) = carry(&terms, &mut follower, &mut outlet).await {
        outlet.over(why).await;
    }
}

async fn carry(
    terms: &Terms,
    follower: &mut Follower,
    outlet: &mut impl Outlet,
) -> Result<Option<Over>, Gone> {
    let mut beats = interval(terms.heartbeat);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first one is at once.
    beats.tick().await;
    outlet.beat(Some(follower.place())).await?;
    let mut seen_end = false;
    loop {
        if let Some(run) = terms.until_end_of
            && seen_end
            && follower.is_idle()
            && Box::pin(has_ended(terms, run)).await
        {
            return Ok(Some(Over::Ended));
        }
        tokio::select! {
            next = follower.next() => match next {
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
                outlet.beat(follower.pass_over().then(|| follower.place())).await?;
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
