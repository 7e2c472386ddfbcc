//! Retention: which runs are kept, and letting the others go.
//!
//! A planner reads lists and histories beside the partitions; each run is removed by its own
//! partition, which looks at it again. What is under way here is memory only: after a crash
//! nothing is half done, and the next sweep finds what is left.

mod apply;
mod cut;
mod plan;
mod sweep;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backstitch_core::event::PartitionEvent;
use backstitch_core::partition::PartitionState;
use backstitch_core::retention::Policy;
use backstitch_core::time::Timestamp;

use crate::engine::WORKFLOWS_PARTITION;
use crate::error::Error;
use crate::handle::Handle;
use crate::partition::{Answer, Input};

pub use apply::{Progress, RUNS_PER_SECOND_DEFAULT, RUNS_PER_SECOND_MAX, Stage};
pub use cut::ago;
pub(crate) use cut::keep_cut;
pub(crate) use sweep::sweep;

/// What the settings say of retention.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// In force until somebody sets another by the API.
    pub policy: Option<Policy>,
    /// How often the policy in force is applied; never, unless told.
    pub sweep_every: Option<Duration>,
    /// How far back the log and its archive reach; for ever, unless told.
    pub archive_keep_for: Option<Duration>,
}

/// The policy in force, and who says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// Nothing is removed if it is empty.
    pub policy: Policy,
    /// Where it comes from.
    pub source: Source,
}

/// Who set a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody: everything is kept.
    Default,
    /// The settings of this node.
    Settings,
    /// Somebody by the API; it is in the journal.
    Set {
        /// Who.
        actor: String,
        /// When.
        at: Timestamp,
    },
}

/// What the engine holds of retention.
pub(crate) struct Retention {
    settings: Settings,
    /// The settings' policy, which may be read again.
    policy: Mutex<Option<Policy>>,
    set: Mutex<Option<(u64, InForce)>>,
    job: Mutex<Option<Progress>>,
    cutting: tokio::sync::Mutex<()>,
    /// Each partition's last cut that was recorded before this start; 0 if none was.
    recorded_cuts: Vec<u64>,
}

impl Retention {
    /// `own` is what each partition's own stream says; partition 0 knows of the policy.
    pub(crate) fn new(settings: Settings, own: &[&PartitionState]) -> Self {
        let first = own.first();
        let (version, found) = first.map_or((0, None), |own| (own.version, own.policy.as_ref()));
        let recorded_cuts =
            own.iter().map(|own| own.cut.as_ref().map_or(0, |cut| cut.sequence)).collect();
        let found = found.map(|set| {
            let policy = Policy::read_text(&set.text).unwrap_or_else(|problems| {
                tracing::error!(?problems, "the journal's retention policy is not understood");
                Policy::default()
            });
            let source = Source::Set { actor: set.actor.clone(), at: set.at };
            (version, InForce { policy, source })
        });
        let (set, job) = (Mutex::new(found), Mutex::new(None));
        let policy = Mutex::new(settings.policy.clone());
        Self { settings, policy, set, job, cutting: tokio::sync::Mutex::new(()), recorded_cuts }
    }

    pub(crate) fn sweep_every(&self) -> Option<Duration> {
        self.settings.sweep_every
    }

    fn in_force(&self) -> InForce {
        if let Some((_, set)) = &*held(&self.set) {
            return set.clone();
        }
        match &*held(&self.policy) {
            Some(policy) => InForce { policy: policy.clone(), source: Source::Settings },
            None => InForce { policy: Policy::default(), source: Source::Default },
        }
    }

    /// The settings say another policy, or none.
    pub(crate) fn keep_policy_of_settings(&self, policy: Option<Policy>) {
        *held(&self.policy) = policy;
    }

    fn job(&self) -> MutexGuard<'_, Option<Progress>> {
        held(&self.job)
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Handle {
    /// The policy in force.
    #[must_use]
    pub fn retention_policy(&self) -> InForce {
        self.retention().in_force()
    }

    /// How often the policy in force is applied by itself.
    #[must_use]
    pub fn retention_sweep_every(&self) -> Option<Duration> {
        self.retention().sweep_every()
    }

    /// Sets the policy: durable when this answers, and stronger than the settings'.
    ///
    /// # Errors
    /// [`Error::RecordTooLarge`], [`Error::Draining`], [`Error::Stopped`].
    pub async fn set_retention_policy(
        &self,
        policy: Policy,
        actor: &str,
    ) -> Result<InForce, Error> {
        let actor = actor.to_owned();
        self.to_its_end(move |handle| async move { handle.set_policy(policy, &actor).await }).await
    }

    async fn set_policy(&self, policy: Policy, actor: &str) -> Result<InForce, Error> {
        let event = PartitionEvent::RetentionPolicySet {
            policy: policy.to_text(),
            actor: actor.to_owned(),
        };
        let at = crate::clock::now();
        let version = self.record(WORKFLOWS_PARTITION, event).await?;
        let source = Source::Set { actor: actor.to_owned(), at };
        let in_force = InForce { policy, source };
        let mut set = held(&self.retention().set);
        // Two may set at a time: the journal's order counts.
        if set.as_ref().is_none_or(|(known, _)| *known < version) {
            *set = Some((version, in_force.clone()));
        }
        Ok(in_force)
    }

    /// Records an event of a partition's own stream; answers its version once it is durable.
    ///
    /// # Errors
    /// [`Error::RecordTooLarge`], [`Error::Draining`], [`Error::Stopped`].
    pub async fn record(
        &self,
        partition: backstitch_core::ids::PartitionId,
        event: PartitionEvent,
    ) -> Result<u64, Error> {
        let event = Box::new(event);
        match self.ask(partition, |ticket| Input::Record(event, ticket)).await? {
            Answer::Recorded { version } => Ok(version),
            answer => Err(crate::handle::unexpected(answer, None)),
        }
    }
}
