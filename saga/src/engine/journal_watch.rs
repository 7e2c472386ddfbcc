//! Watching the journal while the engine runs: whether it can still be trusted, how far its
//! parts have been read behind a quick open, and what it amounts to.
//!
//! Knows how to tell, not what to do about it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use backstitch_journal::{Journal, Part, ScrubState};
use tokio::time::MissedTickBehavior;

use crate::metrics;

/// How often it is looked at.
const PERIOD: Duration = Duration::from_millis(500);
/// Sizes change slowly and cost a look at every file: once in so many periods.
const PERIODS_OF_STATISTICS: u64 = 10;

/// Completes when the journal is poisoned, with the reason.
pub(super) async fn until_poisoned(journal: &Arc<Journal>) -> String {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut known = HashMap::new();
    for period in 0_u64.. {
        ticks.tick().await;
        tell_scrubs(&mut known, journal.scrub_state());
        if let Some(why) = journal.poisoned() {
            return why;
        }
        if period.is_multiple_of(PERIODS_OF_STATISTICS) {
            let journal = Arc::clone(journal);
            let reading = tokio::task::spawn_blocking(move || journal.statistics());
            if let Ok(statistics) = reading.await {
                metrics::journal(&statistics);
            }
        }
    }
    unreachable!("u64 counts more periods than there are")
}

/// Logs what has changed since the last look.
fn tell_scrubs(known: &mut HashMap<(Part, usize), ScrubState>, now: Vec<(Part, ScrubState)>) {
    for (index, (part, state)) in now.into_iter().enumerate() {
        let before = known.insert((part, index), state).unwrap_or_default();
        let part = part.name();
        match (before, state) {
            (ScrubState::Idle | ScrubState::Proven { .. }, ScrubState::Running { .. }) => {
                tracing::info!(part, "reading all of it behind, to prove it");
            }
            (before, ScrubState::Proven { entries, bytes }) if before != state => {
                tracing::info!(part, entries, bytes, "all of it was read and is right");
            }
            (before, ScrubState::Damaged) if before != state => {
                tracing::error!(part, "it is damaged; the next start rebuilds it from the log");
            }
            _ => {}
        }
    }
}
