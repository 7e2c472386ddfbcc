//! Removing closed runs: decided here, where nothing can happen to a run in between.
//!
//! Whoever plans a removal has read and folded each run beside the partition, and names the
//! version it saw. A run that is not in memory and stands at that version is the one that was
//! seen; anything else is left out and reported.

use std::collections::BTreeSet;
use std::fmt;

use backstitch_core::event::PartitionEvent;
use backstitch_core::ids::ExecutionId;
use backstitch_core::partition::RUNS_PER_REMOVAL_MAX;
use backstitch_core::time::{Moment, Timestamp};

use super::cell::Cell;
use super::{Abandon, Answer, Partition};

/// How long a run with a derived id is kept after it was closed: its key is not free before.
pub const KEY_KEPT_MS: u64 = 24 * 3_600_000;

/// A wish to remove runs.
#[derive(Debug, Clone)]
pub struct Removal {
    /// At most [`RUNS_PER_REMOVAL_MAX`]; what is beyond is left out.
    pub runs: Vec<Candidate>,
    /// The rule that says so, in words.
    pub rule: String,
    /// Who applies it.
    pub actor: String,
}

/// A run that was seen to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// The run.
    pub execution: ExecutionId,
    /// Its version then.
    pub version: u64,
    /// Before this it must stay.
    pub not_before: Timestamp,
}

/// Why a run stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Held {
    /// It has not ended, or something is still owed.
    Live,
    /// A dead letter of it waits for a person.
    OpenLetter,
    /// A run that began from one of its letters still goes on.
    LiveChild(ExecutionId),
    /// A run above it is not closed and may have it undone.
    LiveParent(ExecutionId),
    /// Its idempotency key must be remembered until then.
    Key(Timestamp),
    /// Something happened to it since it was looked at.
    Changed,
    /// It can't be read or folded; a person must look at it.
    SetAside,
    /// There is no such run, or no more.
    Missing,
    /// Beyond what one event takes.
    TooMany,
}

impl Held {
    /// The word that the API prints.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::OpenLetter => "open_letter",
            Self::LiveChild(_) => "live_child",
            Self::LiveParent(_) => "live_parent",
            Self::Key(_) => "idempotency_key",
            Self::Changed => "changed",
            Self::SetAside => "set_aside",
            Self::Missing => "missing",
            Self::TooMany => "too_many",
        }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Live => f.write_str("it is not closed: something is still owed"),
            Self::OpenLetter => f.write_str("a dead letter of it is open: retry or discard it"),
            Self::LiveChild(run) => write!(f, "{run}, begun from one of its letters, is live"),
            Self::LiveParent(run) => write!(f, "{run}, above it, is not closed"),
            Self::Key(until) => write!(f, "its idempotency key is kept until {until}"),
            Self::Changed => f.write_str("it changed since it was looked at"),
            Self::SetAside => f.write_str("it is set aside: it can't be read or folded"),
            Self::Missing => f.write_str("there is no such run"),
            Self::TooMany => f.write_str("it is left to the next event"),
        }
    }
}

impl<T: Abandon> Partition<T> {
    /// Stages one `RunsRemoved` with the runs that may go.
    pub(super) fn remove(&mut self, removal: Removal, ticket: T, moment: Moment) {
        let (mut removed, mut held) = (BTreeSet::new(), Vec::new());
        for candidate in removal.runs {
            let run = candidate.execution;
            if removed.len() >= RUNS_PER_REMOVAL_MAX {
                held.push((run, Held::TooMany));
                continue;
            }
            match self.holds(candidate, moment) {
                _ if removed.contains(&run) => {}
                Ok(None) => {
                    removed.insert(run);
                }
                Ok(Some(why)) => held.push((run, why)),
                Err(_) => held.push((run, Held::SetAside)),
            }
        }
        let removed: Vec<ExecutionId> = removed.into_iter().collect();
        if !removed.is_empty() {
            self.leaving.extend(removed.iter().map(|run| (*run, self.next_stage)));
            let (runs, rule, actor) = (removed.clone(), removal.rule, removal.actor);
            self.stage_own(PartitionEvent::RunsRemoved { runs, rule, actor }, moment);
        }
        self.answer(ticket, Answer::Removed { removed, held });
    }

    /// Why a run must stay, if it must.
    fn holds(&mut self, candidate: Candidate, moment: Moment) -> Result<Option<Held>, String> {
        let Candidate { execution, version, not_before } = candidate;
        self.evict(execution);
        match self.runs.get(&execution) {
            Some(Cell::Run(run)) if run.state.is_closed() => return Ok(Some(Held::Changed)),
            Some(Cell::Run(_)) => return Ok(Some(Held::Live)),
            Some(Cell::Quarantined(_)) => return Ok(Some(Held::SetAside)),
            None => {}
        }
        if execution.partition != self.id || self.leaving.contains_key(&execution) {
            return Ok(Some(Held::Missing));
        }
        Ok(match self.histories.version(execution)? {
            None => Some(Held::Missing),
            Some(known) if known != version => Some(Held::Changed),
            Some(_) if moment.now < not_before => Some(Held::Key(not_before)),
            Some(_) => None,
        })
    }
}
