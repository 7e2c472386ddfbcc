//! Gradual roll-outs: which revision of a workflow a new run gets.
//!
//! A key falls into one of [`BUCKETS`] buckets by its hash, for ever; an arm has some of them.
//! Which ones is in the event, so that an arm that grows only takes buckets that no arm had, and
//! whoever is in an arm stays in it. Knows nothing of how runs begin.

mod allot;
#[cfg(test)]
mod tests;
mod wish;

use std::fmt;
use std::sync::Arc;

use crate::event::{Beta, Rollout, RolloutEvent};
use crate::time::Timestamp;

pub use wish::{ARMS_MAX, ArmWish, BETA_BYTES_MAX, BETA_ENTRIES_MAX, NAME_BYTES_MAX, RolloutWish};

/// Buckets that keys fall into: hundredths of a percent.
pub const BUCKETS: u16 = 10_000;

/// The name of the arm of all that fall into no other.
pub const STABLE: &str = "stable";
/// The name of the arm that is given as `candidate`.
pub const CANDIDATE: &str = "candidate";
/// The name of the arm of those who get a revision before all others.
pub const BETA: &str = "beta";

/// A roll-out that new runs follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// The revisions and their keys.
    pub rollout: Arc<Rollout>,
    /// Since when.
    pub at: Timestamp,
    /// Who said so.
    pub actor: String,
    /// In their words.
    pub reason: String,
    /// Since when every new run gets the stable revision.
    pub killed: Option<Killed>,
}

/// That a roll-out was switched off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Killed {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub actor: String,
    /// In their words.
    pub reason: String,
}

/// What a run that is to begin says of itself.
#[derive(Debug, Clone, Copy)]
pub struct Applicant<'a> {
    /// What decides its bucket: the same key falls the same way for ever.
    pub key: &'a str,
    /// Its correlation id.
    pub correlation_id: &'a str,
    /// The tags that it is submitted with.
    pub tags: &'a [Arc<str>],
    /// Who submits it.
    pub subject: &'a str,
}

/// Why a revision that was asked for by its number is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotOpen {
    /// Only some may have it.
    #[error("is for the beta of its roll-out only")]
    BetaOnly,
    /// Nobody may have it.
    #[error("is switched off: the roll-out that offers it was killed")]
    Killed,
}

/// The bucket of a key.
#[must_use]
pub fn bucket(namespace: &str, workflow: &str, key: &str) -> u16 {
    let mut hasher = blake3::Hasher::new();
    for word in ["rollout", namespace, workflow, key] {
        hasher.update(&(word.len() as u64).to_le_bytes());
        hasher.update(word.as_bytes());
    }
    let [a, b, c, d, e, f, g, h, ..] = *hasher.finalize().as_bytes();
    let drawn = u64::from_le_bytes([a, b, c, d, e, f, g, h]) % u64::from(BUCKETS);
    u16::try_from(drawn).expect("there are fewer buckets")
}

/// A number of buckets in percent.
#[must_use]
pub fn percent(buckets: u16) -> f64 {
    f64::from(buckets) * 100.0 / f64::from(BUCKETS)
}

impl InForce {
    /// The revision that a new run gets, and the name of its arm.
    #[must_use]
    pub fn assign(&self, namespace: &str, workflow: &str, run: &Applicant<'_>) -> (u32, &str) {
        let rollout = &self.rollout;
        if self.killed.is_some() {
            return (rollout.stable, STABLE);
        }
        if let Some(beta) = rollout.beta.as_ref().filter(|beta| beta.takes(run)) {
            return (beta.revision, BETA);
        }
        let bucket = bucket(namespace, workflow, run.key);
        let has = |own: &&crate::event::Arm| {
            own.buckets.iter().any(|own| (own.from..own.to).contains(&bucket))
        };
        let found = rollout.arms.iter().find(has);
        found.map_or((rollout.stable, STABLE), |arm| (arm.revision, arm.name.as_str()))
    }

    /// Whether a run may have a revision that it asks for by its number.
    ///
    /// # Errors
    /// Why not.
    pub fn admits(&self, revision: u32, run: &Applicant<'_>) -> Result<(), NotOpen> {
        let rollout = &self.rollout;
        if revision == rollout.stable {
            return Ok(());
        }
        let beta = rollout.beta.as_ref().filter(|beta| beta.revision == revision);
        let arms = || rollout.arms.iter().filter(|arm| arm.revision == revision);
        if self.killed.is_some() && (beta.is_some() || arms().next().is_some()) {
            return Err(NotOpen::Killed);
        }
        let everybody = arms().any(|arm| arm.size() > 0);
        match beta {
            Some(beta) if !everybody && !beta.takes(run) => Err(NotOpen::BetaOnly),
            _ => Ok(()),
        }
    }
}

impl Rollout {
    /// Buckets that no arm has.
    #[must_use]
    pub fn stable_size(&self) -> u16 {
        let arms: u16 = self.arms.iter().map(crate::event::Arm::size).sum();
        BUCKETS.saturating_sub(arms)
    }
}

impl Beta {
    fn takes(&self, run: &Applicant<'_>) -> bool {
        let has = |list: &[String], word: &str| list.iter().any(|own| own == word);
        run.tags.iter().any(|tag| has(&self.tags, tag))
            || has(&self.subjects, run.subject)
            || has(&self.correlation_ids, run.correlation_id)
    }

    /// How many entries its lists have.
    fn entries(&self) -> usize {
        self.tags.len() + self.subjects.len() + self.correlation_ids.len()
    }
}

impl fmt::Display for Rollout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stable revision {}", self.stable)?;
        for arm in &self.arms {
            write!(f, ", {} revision {} {} %", arm.name, arm.revision, percent(arm.size()))?;
        }
        if let Some(beta) = &self.beta {
            write!(f, ", beta revision {} for {} entries", beta.revision, beta.entries())?;
        }
        Ok(())
    }
}

/// What switching off means: nothing if nothing is in force, or is switched off already.
#[must_use]
pub fn kill(known: Option<&InForce>, reason: &str, actor: &str) -> Vec<RolloutEvent> {
    let on = known.is_some_and(|own| own.killed.is_none());
    let (reason, actor) = (reason.to_owned(), actor.to_owned());
    on.then_some(RolloutEvent::Killed { reason, actor }).into_iter().collect()
}

/// What ending means: nothing if nothing is in force.
#[must_use]
pub fn end(known: Option<&InForce>, reason: &str, actor: &str) -> Vec<RolloutEvent> {
    let (reason, actor) = (reason.to_owned(), actor.to_owned());
    known.map(|_| RolloutEvent::Ended { reason, actor }).into_iter().collect()
}

/// Folds one event.
pub fn evolve(known: &mut Option<InForce>, event: &RolloutEvent, at: Timestamp) {
    match event {
        RolloutEvent::Set { rollout, reason, actor } => {
            let rollout = Arc::new((**rollout).clone());
            let (reason, actor) = (reason.clone(), actor.clone());
            *known = Some(InForce { rollout, at, actor, reason, killed: None });
        }
        RolloutEvent::Killed { reason, actor } => {
            let (reason, actor) = (reason.clone(), actor.clone());
            if let Some(own) = known {
                own.killed = Some(Killed { at, actor, reason });
            }
        }
        RolloutEvent::Ended { .. } => *known = None,
    }
}
