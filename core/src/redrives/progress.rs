//! How far a redrive is: which letters it has claimed, and what came of them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::terms::{OUTCOMES_BEFORE_RATIO_DEFAULT, Terms};
use super::{GROUPS_MAX, LETTERS_PER_CLAIM_MAX};
use crate::event::{ClaimedLetter, RedriveOutcome, RedriveRequest};
use crate::ids::LetterId;
use crate::letters::Fingerprint;
use crate::time::Timestamp;

/// One redrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedriveState {
    /// What it retries, and how fast.
    pub request: Box<RedriveRequest>,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// Where it stands.
    pub status: RedriveStatus,
    /// Everything up to here was claimed.
    pub place: Option<Place>,
    /// Letters claimed whose outcome is not known.
    pub pending: BTreeMap<LetterId, Pending>,
    /// Canaries claimed: they may stand behind the place.
    pub canaries: BTreeSet<LetterId>,
    /// What came of each group's canaries.
    pub groups: BTreeMap<Fingerprint, Group>,
    /// What came of all.
    pub counts: Counts,
    /// What came of them since it was last resumed.
    pub since: Counts,
    /// Events folded so far.
    pub version: u64,
    /// When the last of them was recorded.
    pub updated_at: Timestamp,
}

/// A letter's place in a list from the oldest on: of those of one instant, the highest id is
/// first.
pub type Place = (Timestamp, Reverse<LetterId>);

/// A letter whose outcome is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pending {
    /// Of which cause.
    pub fingerprint: Fingerprint,
    /// Whether its group waits for it.
    pub canary: bool,
}

/// A group's canaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Group {
    /// Letters claimed.
    pub claimed: u32,
    /// Of them: the operation succeeded.
    pub succeeded: u32,
    /// Of them: anything else came of it but a refusal.
    pub failed: u32,
}

/// How many letters there are of each outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Letters claimed.
    pub claimed: u64,
    /// The operation succeeded.
    pub succeeded: u64,
    /// The operation failed again.
    pub failed: u64,
    /// It could not be retried.
    pub refused: u64,
    /// Nobody waited any longer.
    pub unknown: u64,
}

impl Counts {
    fn add(&mut self, outcome: RedriveOutcome) {
        match outcome {
            RedriveOutcome::Succeeded => self.succeeded += 1,
            RedriveOutcome::Failed => self.failed += 1,
            RedriveOutcome::Refused => self.refused += 1,
            RedriveOutcome::Unknown => self.unknown += 1,
        }
    }
}

/// Where a redrive stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedriveStatus {
    /// It retries.
    Running,
    /// It waits to be resumed.
    Halted {
        /// The rule that was met, or somebody's reason.
        reason: String,
        /// Who stopped it, if somebody did.
        actor: Option<String>,
    },
    /// It was given up.
    Cancelled {
        /// In their words.
        reason: String,
        /// Who.
        actor: String,
    },
    /// Nothing is left.
    Completed,
}

impl RedriveStatus {
    /// The word the API prints.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Halted { actor: Some(_), .. } => "paused",
            Self::Halted { actor: None, .. } => "stopped",
            Self::Cancelled { .. } => "cancelled",
            Self::Completed => "completed",
        }
    }

    /// Whether it never goes on.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self, Self::Cancelled { .. } | Self::Completed)
    }
}

/// A letter's place in the list.
#[must_use]
pub fn place_of(opened_at: Timestamp, letter: LetterId) -> Place {
    (opened_at, Reverse(letter))
}

impl RedriveState {
    pub(super) fn begin(request: Box<RedriveRequest>, at: Timestamp) -> Self {
        Self {
            request,
            requested_at: at,
            status: RedriveStatus::Running,
            place: None,
            pending: BTreeMap::new(),
            canaries: BTreeSet::new(),
            groups: BTreeMap::new(),
            counts: Counts::default(),
            since: Counts::default(),
            version: 1,
            updated_at: at,
        }
    }

    /// Whether somebody has to see to it: it retries, or letters it retried have no outcome.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        self.status == RedriveStatus::Running || !self.pending.is_empty()
    }

    /// What was asked for. Nothing else writes terms than this code, so there always are some.
    #[must_use]
    pub fn terms(&self) -> Option<Terms> {
        Terms::of_payload(&self.request.terms)
    }

    /// Whether a letter was claimed before.
    #[must_use]
    pub fn was_claimed(&self, own: &ClaimedLetter) -> bool {
        let place = place_of(own.opened_at, own.letter);
        self.place.is_some_and(|reached| place <= reached) || self.canaries.contains(&own.letter)
    }

    pub(super) fn claim(&mut self, letters: &[ClaimedLetter], canary: bool) {
        for own in letters {
            let fingerprint = own.fingerprint;
            self.pending.insert(own.letter, Pending { fingerprint, canary });
            if canary {
                self.canaries.insert(own.letter);
                self.groups.entry(fingerprint).or_default().claimed += 1;
            } else {
                self.place = self.place.max(Some(place_of(own.opened_at, own.letter)));
            }
        }
        let count = letters.len() as u64;
        (self.counts.claimed, self.since.claimed) =
            (self.counts.claimed + count, self.since.claimed + count);
    }

    pub(super) fn observe(&mut self, letter: LetterId, outcome: RedriveOutcome) {
        let Some(own) = self.pending.remove(&letter) else { return };
        self.counts.add(outcome);
        self.since.add(outcome);
        if own.canary {
            let group = self.groups.entry(own.fingerprint).or_default();
            match outcome {
                RedriveOutcome::Succeeded => group.succeeded += 1,
                // It says nothing about the cause; another one is tried in its place.
                RedriveOutcome::Refused => group.claimed = group.claimed.saturating_sub(1),
                RedriveOutcome::Failed | RedriveOutcome::Unknown => group.failed += 1,
            }
        }
    }

    /// Whoever resumes has seen to what stopped it: groups that had not shown to be good are
    /// tried anew.
    pub(super) fn resume(&mut self) {
        self.status = RedriveStatus::Running;
        self.since = Counts::default();
        self.groups.retain(|_, group| group.failed == 0);
    }

    /// The next letters of a list from the oldest on that are to be claimed, and whether they
    /// are canaries: those of groups that have not shown to be good come first, by themselves.
    ///
    /// # Errors
    /// Why it has to stop.
    pub fn next_claim(
        &self,
        terms: &Terms,
        listed: &[ClaimedLetter],
    ) -> Result<(Vec<ClaimedLetter>, bool), String> {
        let mut fresh: Vec<_> =
            listed.iter().filter(|own| !self.was_claimed(own)).copied().collect();
        fresh.truncate(LETTERS_PER_CLAIM_MAX);
        let Some(canary) = terms.canary else { return Ok((fresh, false)) };
        let mut wanted = self.groups.clone();
        let canaries: Vec<_> = fresh
            .iter()
            .filter(|own| {
                let group = wanted.entry(own.fingerprint).or_default();
                let takes = group.claimed < canary.count;
                group.claimed += u32::from(takes);
                takes
            })
            .copied()
            .collect();
        if wanted.len() > GROUPS_MAX {
            return Err(format!(
                "letters of more than {GROUPS_MAX} causes match; narrow the filter, or go without \
                 canaries"
            ));
        }
        if canaries.is_empty() { Ok((fresh, false)) } else { Ok((canaries, true)) }
    }

    /// Whether canaries are under way: nothing else is claimed until they are known.
    #[must_use]
    pub fn waits_for_canaries(&self) -> bool {
        self.pending.values().any(|own| own.canary)
    }

    /// Why the redrive has to stop by its rules, if it has to.
    #[must_use]
    pub fn stop_reason(&self, terms: &Terms) -> Option<String> {
        if let Some((fingerprint, group)) = self.groups.iter().find(|(_, own)| own.failed > 0) {
            let (failed, claimed) = (group.failed, group.claimed);
            return Some(format!(
                "the canary of group {fingerprint}: {failed} of {claimed} failed"
            ));
        }
        let (rules, since) = (&terms.stop_when, &self.since);
        if rules.failures.is_some_and(|most| since.failed >= most) {
            return Some(format!("{} retries failed", since.failed));
        }
        let known = since.succeeded + since.failed;
        let enough = rules.after_outcomes.unwrap_or(OUTCOMES_BEFORE_RATIO_DEFAULT).max(1);
        let share = |most: f64| known >= enough && since.failed as f64 >= most * known as f64;
        if since.failed > 0 && rules.failure_ratio.is_some_and(share) {
            return Some(format!("{} of {known} retries failed", since.failed));
        }
        None
    }
}
