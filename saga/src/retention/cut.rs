//! Cutting the chain: recorded by every partition first, then carried out by the journal.
//!
//! The journal refuses a cut that is not recorded, so a crash in between leaves a fact without
//! a deed: the next start finishes it. Which segments can go is the journal's to say.

use std::time::Duration;

use backstitch_core::event::PartitionEvent;
use backstitch_core::ids::PartitionId;
use backstitch_core::time::Timestamp;
use backstitch_journal::{CutPlan, CutPoint};

use crate::clock;
use crate::error::Error;
use crate::handle::{Handle, blocking};
use crate::metrics;

/// How often the chain is cut by itself, if the settings want it.
const CUT_EVERY: Duration = Duration::from_secs(3_600);
/// Who acts then.
const ACTOR: &str = "retention";

impl Handle {
    /// Says what a cut would do, and changes nothing.
    ///
    /// # Errors
    /// [`Error::Journal`]: there is no archive, or the chain can't be read.
    pub async fn plan_cut(&self, point: CutPoint) -> Result<CutPlan, Error> {
        let journal = self.journal().clone();
        Ok(blocking(move || journal.plan_cut(&point)).await??)
    }

    /// Cuts the chain: point-in-time recovery reaches back to the anchor from then on. Answers
    /// what was done.
    ///
    /// # Errors
    /// [`Error::CutRunning`], [`Error::Draining`], [`Error::Journal`]. What was recorded and
    /// not done is done by the next start or the next cut.
    pub async fn cut(&self, point: CutPoint, actor: &str) -> Result<CutPlan, Error> {
        let Ok(_turn) = self.retention().cutting.try_lock() else {
            return Err(Error::CutRunning);
        };
        let journal = self.journal().clone();
        // What store and views have not taken yet would hold the cut back.
        blocking(move || journal.store_now()).await??;
        let plan = self.plan_cut(point).await?;
        for anchor in plan.anchor.iter().filter(|anchor| anchor.moves) {
            let (sequence, hash, actor) = (anchor.sequence, anchor.hash, actor.to_owned());
            let event = PartitionEvent::LogCut { sequence, hash, actor };
            self.record(PartitionId(anchor.partition), event).await?;
        }
        self.carry_out_cut(plan).await
    }

    async fn carry_out_cut(&self, plan: CutPlan) -> Result<CutPlan, Error> {
        if plan.through_segment.is_none() {
            return Ok(plan);
        }
        let journal = self.journal().clone();
        let done = blocking(move || {
            let done = journal.cut(&plan)?;
            // Nothing before the anchor is ever replayed again.
            let gone: Vec<u64> = done.anchor.iter().map(|anchor| anchor.sequence).collect();
            journal.forget_removed(&gone);
            Ok::<_, backstitch_journal::Error>(done)
        });
        let done = done.await??;
        metrics::cut(done.segments, done.bytes_removed);
        tracing::info!(segments = done.segments, records = done.records, "the log was cut");
        Ok(done)
    }

    /// Does what partitions have recorded and a crash left undone.
    async fn finish_cut(&self, recorded: Vec<u64>) -> Result<(), Error> {
        let Ok(_turn) = self.retention().cutting.try_lock() else { return Ok(()) };
        let plan = self.plan_cut(CutPoint::Sequences(recorded)).await?;
        self.carry_out_cut(plan).await.map(drop)
    }
}

/// Finishes what an earlier life recorded, and then cuts now and then until the engine stops.
pub(crate) async fn keep_cut(handle: Handle) {
    let recorded = handle.retention().recorded_cuts.clone();
    if recorded.iter().any(|sequence| *sequence > 0)
        && let Err(error) = handle.finish_cut(recorded).await
    {
        tracing::warn!(%error, "a cut that was recorded is not finished; the next one will be");
    }
    let Some(keep_for) = handle.retention().settings.archive_keep_for else { return };
    let mut ticks = tokio::time::interval(CUT_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match handle.cut(CutPoint::Before(ago(keep_for)), ACTOR).await {
            Ok(_) | Err(Error::CutRunning) => {}
            Err(Error::Draining | Error::Stopped) => return,
            Err(error) => tracing::error!(%error, "the log was not cut"),
        }
    }
}

/// The instant so long ago.
#[must_use]
pub fn ago(keep_for: Duration) -> Timestamp {
    let us = i64::try_from(keep_for.as_micros()).unwrap_or(i64::MAX);
    Timestamp(clock::now().0.saturating_sub(us))
}
