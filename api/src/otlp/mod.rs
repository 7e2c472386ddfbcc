//! Spans for a collector, over OTLP/HTTP.
//!
//! Follows the journal as any client of live events does, so that no partition waits for it: of
//! each event that ends an attempt or a run it takes the run's name only, and reads the spans off
//! the run's history, as the trace queries do. What is exported is what they answer.
//!
//! - `encode`: from spans to the JSON of OTLP 1;
//! - `outbox`: spans that wait, and what is counted of them;
//! - `place`: how far the journal was exported, so that the next process goes on there;
//! - `send`: batches, and what the collector's answers say of them.

mod encode;
mod outbox;
mod place;
mod send;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use backstitch_core::history::EventFilter;
use backstitch_core::ids::ExecutionId;
use backstitch_journal::ChainCursor;
use backstitch_saga::live::{Follower, Heard};
use backstitch_saga::{Error as EngineError, Handle};
use serde::Deserialize;

use crate::courier::Reason;
use crate::error::Error;
use crate::settings::Otlp;
use encode::Resource;
use outbox::Outbox;
use place::Place;
use send::Sender;

pub use place::forget;

/// What may end a span.
const ENDINGS: [&str; 14] = [
    "StepSucceeded",
    "StepAttemptFailed",
    "StepTimedOut",
    "StepAttemptLost",
    "StepFailed",
    "StepCancelled",
    "StepOverridden",
    "UndoSucceeded",
    "UndoAttemptFailed",
    "UndoFailed",
    "CheckAnswered",
    "CallbackDelivered",
    "CallbackAttemptFailed",
    "ExecutionEnded",
];
/// How long spans may still be sent once the engine has stopped.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long it waits before it follows again what it could not.
const PAUSE: Duration = Duration::from_secs(1);

/// Sends the spans of runs to a collector.
#[derive(Debug)]
pub struct Exporter {
    sender: Sender,
    outbox: Outbox,
    resource: Resource,
    place: Place,
}

impl Exporter {
    /// An exporter as the settings say; `node` names this server, whose data directory it goes on
    /// by.
    ///
    /// # Errors
    /// [`Error::Failed`] if no client can be built.
    pub fn new(settings: &Otlp, node: &str, data_dir: &Path) -> Result<Self, Error> {
        let resource = Resource::of(&settings.service_name, node);
        let sender = Sender::new(settings)?;
        Ok(Self { sender, outbox: outbox::outbox(), resource, place: Place::of(data_dir) })
    }

    /// Exports what happens behind the place where the last process came to, else behind `opened`,
    /// until the engine stops and a little longer.
    pub async fn run(self, handle: Handle, opened: ChainCursor) {
        let Self { sender, outbox, resource, mut place } = self;
        outbox::describe();
        let kept = place.read();
        if kept.is_none() {
            place.write(&opened.to_string());
        }
        let begin = [kept, Some(opened)];
        let reading = async {
            read(&handle, begin, &outbox, &resource).await;
            outbox.close();
        };
        let mut sending = Box::pin(sender.run(&outbox, &resource, &mut place));
        tokio::select! {
            () = reading => {}
            () = &mut sending => return,
        }
        // What is not sent by then is the next process's to send.
        drop(tokio::time::timeout(LAST_WORDS, sending).await);
    }
}

/// What is read of an event.
#[derive(Deserialize)]
struct Ending {
    stream: String,
    version: u64,
}

/// Follows the journal behind the first of some places that it still has, else from now on.
async fn read(
    handle: &Handle,
    begin: [Option<ChainCursor>; 2],
    outbox: &Outbox,
    resource: &Resource,
) {
    let types = ENDINGS.iter().map(|own| (*own).to_owned()).collect();
    let filter = EventFilter { types, ..EventFilter::default() };
    let mut begin = begin.into_iter().flatten();
    let mut from = begin.next();
    loop {
        let why = match handle.follow(filter.clone(), from.clone()) {
            Ok(mut follower) => {
                let why = follow(&mut follower, handle, outbox, resource).await;
                from = follower.place().parse().ok();
                why
            }
            Err(why) => why,
        };
        match why {
            EngineError::Stopped => return,
            EngineError::CursorOutdated { .. } | EngineError::HistoryCut { .. } => {
                from = begin.next();
            }
            _ => {}
        }
        tracing::warn!(error = %why, "spans are exported later, or not at all");
        tokio::time::sleep(PAUSE).await;
    }
}

async fn follow(
    follower: &mut Follower,
    handle: &Handle,
    outbox: &Outbox,
    resource: &Resource,
) -> EngineError {
    loop {
        let heard = match follower.next().await {
            Ok(heard) => heard,
            Err(why) => return why,
        };
        for (run, versions) in by_run(&heard) {
            match handle.spans(run).await {
                Ok(read) if read.context.sampled => {
                    let ended = read.spans.iter().filter(|span| {
                        span.end.as_ref().is_some_and(|end| versions.contains(&end.version))
                    });
                    ended.for_each(|span| {
                        outbox::put(outbox, resource.span(&read, span).to_string().into())
                    });
                }
                Err(EngineError::Stopped) => return EngineError::Stopped,
                // Nobody wants its spans, or it was removed meanwhile.
                Ok(_)
                | Err(EngineError::ExecutionNotFound(_) | EngineError::ExecutionRemoved { .. }) => {
                }
                Err(why) => {
                    tracing::warn!(execution_id = %run, error = %why, "spans are not exported");
                    outbox::dropped(versions.len() as u64, Reason::Unread);
                }
            }
        }
        // What was left out needs no second look.
        if follower.is_idle() {
            follower.pass_over();
        }
        outbox.reached(follower.place());
    }
}

/// Which events ended something, by run.
fn by_run(heard: &[Heard]) -> BTreeMap<ExecutionId, BTreeSet<u64>> {
    let mut runs: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for own in heard {
        let Ok(Ending { stream, version }) = serde_json::from_str(&own.json) else { continue };
        if let Ok(run) = stream.parse() {
            runs.entry(run).or_default().insert(version);
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use backstitch_core::report::EVENT_TYPES;

    use super::*;

    #[test]
    fn every_ending_is_a_type_of_event() {
        for own in ENDINGS {
            assert!(EVENT_TYPES.contains(&own), "{own}");
        }
    }
}
