//! Letting runs go: batch by batch, each run by its own partition, no faster than allowed.

use std::collections::BTreeMap;
use std::time::Duration;

use backstitch_core::ids::PartitionId;
use backstitch_core::partition::RUNS_PER_REMOVAL_MAX;
use backstitch_core::retention::{Asked, Plan, Planned, Policy};
use backstitch_core::time::Timestamp;

use super::Retention;
use super::plan::planner;
use crate::error::Error;
use crate::handle::{Handle, blocking, unexpected};
use crate::partition::{Answer, Input, Removal};
use crate::{clock, metrics};

/// Runs removed in a second unless told otherwise.
pub const RUNS_PER_SECOND_DEFAULT: u32 = 1_000;
/// The most runs that may be asked for in a second.
pub const RUNS_PER_SECOND_MAX: u32 = 100_000;

/// Where applying a policy stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// It goes on.
    Running,
    /// Everything that may go is gone.
    Done,
    /// The server is shutting down; what is left waits for the next time.
    Stopped,
    /// It failed: why. What is gone stays gone.
    Failed(String),
}

/// What applying a policy has done so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Where it stands.
    pub stage: Stage,
    /// Who asked.
    pub actor: String,
    /// The policy applied.
    pub policy: Policy,
    /// As of when.
    pub at: Timestamp,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Rows looked at.
    pub examined: u64,
    /// Runs removed.
    pub removed: u64,
    /// Bytes of their histories.
    pub bytes: u64,
    /// Runs held back, by the word of the reason.
    pub held: BTreeMap<&'static str, u64>,
}

impl Retention {
    fn note(&self, change: impl FnOnce(&mut Progress)) {
        if let Some(progress) = self.job().as_mut() {
            change(progress);
        }
    }
}

impl Handle {
    /// What the policy being applied, or applied last, has done since this server started.
    #[must_use]
    pub fn retention_progress(&self) -> Option<Progress> {
        self.retention().job().clone()
    }

    /// Begins to apply a policy, in the background. One at a time.
    ///
    /// # Errors
    /// [`Error::RetentionRunning`], [`Error::Draining`].
    pub fn apply_retention(
        &self,
        asked: Asked,
        actor: &str,
        runs_per_second: u32,
    ) -> Result<Progress, Error> {
        let progress = self.begin_retention(&asked, actor)?;
        let own = self.clone();
        tokio::spawn(async move { own.carry_out(asked, runs_per_second).await });
        Ok(progress)
    }

    /// Applies a policy and waits for it.
    ///
    /// # Errors
    /// As [`Handle::apply_retention`].
    pub(super) async fn apply_and_wait(&self, asked: Asked, actor: &str) -> Result<(), Error> {
        self.begin_retention(&asked, actor)?;
        self.carry_out(asked, RUNS_PER_SECOND_DEFAULT).await;
        Ok(())
    }

    fn begin_retention(&self, asked: &Asked, actor: &str) -> Result<Progress, Error> {
        if self.is_draining() {
            return Err(Error::Draining);
        }
        let mut job = self.retention().job();
        if job.as_ref().is_some_and(|known| known.stage == Stage::Running) {
            return Err(Error::RetentionRunning);
        }
        let progress = Progress {
            stage: Stage::Running,
            actor: actor.to_owned(),
            policy: asked.policy.clone(),
            at: asked.at,
            started_at: clock::now(),
            finished_at: None,
            examined: 0,
            removed: 0,
            bytes: 0,
            held: BTreeMap::new(),
        };
        *job = Some(progress.clone());
        Ok(progress)
    }

    async fn carry_out(&self, asked: Asked, runs_per_second: u32) {
        let started = std::time::Instant::now();
        let stage = match self.remove_all(asked, runs_per_second).await {
            Ok(()) => Stage::Done,
            Err(Error::Draining | Error::Stopped) => Stage::Stopped,
            Err(error) => {
                tracing::error!(%error, "applying the retention policy failed");
                Stage::Failed(error.to_string())
            }
        };
        metrics::retention_ended(started.elapsed());
        self.retention().note(|progress| {
            tracing::info!(removed = progress.removed, ?stage, "a retention policy was applied");
            progress.stage = stage;
            progress.finished_at = Some(clock::now());
        });
    }

    async fn remove_all(&self, asked: Asked, runs_per_second: u32) -> Result<(), Error> {
        let asked = Asked { limit: RUNS_PER_REMOVAL_MAX, ..asked };
        let mut walk = planner(self.histories(), asked);
        while !walk.is_done() {
            let (back, plan) = blocking(move || {
                let plan = walk.plan(clock::now());
                (walk, plan)
            })
            .await?;
            walk = back;
            let removed = self.remove_planned(plan?).await?;
            let wait = f64::from(removed) / f64::from(runs_per_second.max(1));
            if !walk.is_done() && removed > 0 {
                tokio::time::sleep(Duration::from_secs_f64(wait)).await;
            }
        }
        Ok(())
    }

    /// Has the partitions remove what a plan names; answers how many runs are gone.
    async fn remove_planned(&self, plan: Plan) -> Result<u32, Error> {
        self.retention().note(|progress| {
            progress.examined += plan.examined;
            for (why, count) in &plan.held_count {
                *progress.held.entry(why).or_default() += count;
            }
        });
        let actor = self.retention().job().as_ref().map_or_else(String::new, |p| p.actor.clone());
        let rules =
            self.retention().job().as_ref().map_or_else(Vec::new, |p| p.policy.rules.clone());
        let mut shares: BTreeMap<(PartitionId, usize), Vec<Planned>> = BTreeMap::new();
        for planned in plan.runs {
            let partition = planned.candidate.execution.partition;
            shares.entry((partition, planned.rule)).or_default().push(planned);
        }
        let mut gone = 0;
        for ((partition, rule), planned) in shares {
            if self.is_draining() {
                return Err(Error::Draining);
            }
            let rule = rules.get(rule).map_or_else(String::new, |rule| rule.name.clone());
            let runs = planned.iter().map(|planned| planned.candidate).collect();
            let removal = Box::new(Removal { runs, rule, actor: actor.clone() });
            let (removed, held) =
                match self.ask(partition, |ticket| Input::Remove(removal, ticket)).await? {
                    Answer::Removed { removed, held } => (removed, held),
                    answer => return Err(unexpected(answer, None)),
                };
            let bytes = planned.iter().filter(|p| removed.contains(&p.candidate.execution));
            let bytes = bytes.map(|planned| planned.bytes).sum::<u64>();
            gone += u32::try_from(removed.len()).unwrap_or(u32::MAX);
            metrics::runs_removed(removed.len(), bytes);
            self.retention().note(|progress| {
                progress.removed += removed.len() as u64;
                progress.bytes += bytes;
                for (_, why) in &held {
                    *progress.held.entry(why.word()).or_default() += 1;
                }
            });
        }
        Ok(gone)
    }
}
