//! Which runs a policy lets go, what they take, and what is held back and why.
//!
//! Walks a list of runs that somebody else reads, and looks at each run that a rule lets go.
//! Knows neither where rows and histories are nor how runs are removed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::{Candidate, Held, KEY_KEPT_MS, Policy, Rule};
use crate::ids::ExecutionId;
use crate::state::State;
use crate::summary::{RunStatus, RunSummary};
use crate::time::Timestamp;

/// The most runs that one plan names.
pub const RUNS_PER_PLAN_MAX: usize = 10_000;
/// The most runs that one plan names as held back; all are counted.
pub const HELD_LISTED_MAX: usize = 100;
/// Rows that one plan looks at; it goes on from its cursor.
const ROWS_PER_PLAN_MAX: u64 = 100_000;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Tenant.
    pub namespace: Arc<str>,
    /// The rules.
    pub policy: Policy,
    /// As of when: a run is as old as it was then.
    pub at: Timestamp,
    /// Where an earlier plan ended.
    pub after: Option<Place>,
    /// How many runs to name, at most [`RUNS_PER_PLAN_MAX`].
    pub limit: usize,
}

/// Which rows of the list are worth reading.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Only runs that ended before.
    pub ended_before: Option<Timestamp>,
    /// Only runs submitted before.
    pub submitted_before: Option<Timestamp>,
}

/// Whoever knows the runs.
pub trait Runs {
    /// Why something can't be read.
    type Error;

    /// The next rows within the bounds, the newest submission first; `None` behind the last.
    ///
    /// # Errors
    /// If the list can't be read.
    fn rows(&mut self) -> Result<Option<Vec<RunSummary>>, Self::Error>;

    /// The run as its whole history tells it.
    fn look(&mut self, run: ExecutionId) -> Seen;

    /// A run's row.
    ///
    /// # Errors
    /// If the list can't be read.
    fn row(&mut self, run: ExecutionId) -> Result<Option<RunSummary>, Self::Error>;

    /// Bytes of a run's history in the store.
    ///
    /// # Errors
    /// If the store can't be read.
    fn history_bytes(&mut self, run: ExecutionId) -> Result<u64, Self::Error>;
}

/// What looking at a run came to.
#[derive(Debug)]
pub enum Seen {
    /// Removed while the list was read.
    Gone,
    /// It can't be read or folded.
    Broken,
    /// As it stands.
    Whole(Box<State>),
}

/// A run that may go.
#[derive(Debug, Clone)]
pub struct Planned {
    /// For whoever removes it.
    pub candidate: Candidate,
    /// The place of the rule that says so.
    pub rule: usize,
    /// The run's workflow.
    pub workflow: Arc<str>,
    /// Its final word.
    pub status: RunStatus,
    /// Since when nothing of it is outstanding.
    pub closed_at: Timestamp,
    /// Bytes of its history in the store.
    pub bytes: u64,
}

/// One rule's part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleShare {
    /// Runs it lets go.
    pub runs: u64,
    /// Bytes of their histories.
    pub bytes: u64,
}

/// What applying a policy would do.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Runs that may go, newest first.
    pub runs: Vec<Planned>,
    /// By the rules' places.
    pub rules: Vec<RuleShare>,
    /// Runs that a rule lets go and that must stay, with the rule's place; the first ones.
    pub held: Vec<(ExecutionId, usize, Held)>,
    /// How many are held back, by the word of the reason.
    pub held_count: BTreeMap<&'static str, u64>,
    /// Rows looked at.
    pub examined: u64,
    /// Where to go on, if this is not all.
    pub next: Option<Place>,
}

/// A place in the list of runs, the newest first. Printed as instant and id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(Reverse<Timestamp>, ExecutionId);

impl Place {
    fn of(row: &RunSummary) -> Self {
        Self(Reverse(row.submitted_at), row.execution)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0.0.0, self.1)
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (at, run) = text.rsplit_once('-').ok_or(())?;
        let at = at.parse().map_err(drop)?;
        Ok(Self(Reverse(Timestamp(at)), run.parse().map_err(drop)?))
    }
}

impl Asked {
    /// Which rows of the list are worth reading.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        // Whoever counts begins with the newest; age alone begins with the oldest kept.
        let (Some(ms), false) = (self.policy.keep_for_ms_min(), self.policy.counts()) else {
            return Bounds::default();
        };
        let ago_us = i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1_000);
        let old = Timestamp(self.at.0.saturating_sub(ago_us).saturating_add(1));
        let next = |Place(Reverse(at), _)| Timestamp(at.0.saturating_add(1));
        let submitted = self.after.map_or(old, next).min(old);
        Bounds { ended_before: Some(old), submitted_before: Some(submitted) }
    }
}

/// Walks the list of runs, newest first.
#[derive(Debug)]
pub struct Planner<R> {
    runs: R,
    asked: Asked,
    /// Rows read and not looked at.
    rows: VecDeque<RunSummary>,
    /// The last row looked at.
    at: Option<Place>,
    /// Every row was read.
    read: bool,
    /// Ended runs met so far, by rule and workflow.
    met: HashMap<(usize, Arc<str>), u64>,
}

/// What becomes of a row.
enum Verdict {
    Kept,
    Held(Held),
    Goes(Planned),
}

impl<R: Runs> Planner<R> {
    /// A planner over runs whose rows are read within [`Asked::bounds`].
    pub fn new(runs: R, asked: Asked) -> Self {
        let read = !asked.policy.removes();
        Self { runs, asked, rows: VecDeque::new(), at: None, read, met: HashMap::new() }
    }

    /// Whoever knows the runs.
    pub fn runs(&mut self) -> &mut R {
        &mut self.runs
    }

    /// Whether the whole list was walked.
    pub fn is_done(&self) -> bool {
        self.read && self.rows.is_empty()
    }

    /// The next part of the list, up to the limits.
    ///
    /// # Errors
    /// If the runs can't be read.
    pub fn plan(&mut self, now: Timestamp) -> Result<Plan, R::Error> {
        let rules = vec![RuleShare::default(); self.asked.policy.rules.len()];
        let mut plan = Plan { rules, ..Plan::default() };
        while plan.runs.len() < self.asked.limit && plan.examined < ROWS_PER_PLAN_MAX {
            match self.rows.pop_front() {
                Some(row) => {
                    self.at = Some(Place::of(&row));
                    self.row(&row, &mut plan, now)?;
                }
                None if self.read => break,
                None => match self.runs.rows()? {
                    Some(rows) => self.rows.extend(rows),
                    None => self.read = true,
                },
            }
        }
        plan.next = self.at.filter(|_| !self.is_done());
        Ok(plan)
    }

    fn row(&mut self, row: &RunSummary, plan: &mut Plan, now: Timestamp) -> Result<(), R::Error> {
        plan.examined += 1;
        let Some((place, rule)) = self.asked.policy.rule_of(row) else { return Ok(()) };
        let rule = rule.clone();
        let met = self.met.entry((place, row.workflow.clone())).or_default();
        *met += 1;
        let beyond = rule.keep_count.is_some_and(|count| *met > count);
        // What an earlier plan dealt with is counted only.
        if self.asked.after.is_some_and(|after| Place::of(row) <= after) {
            return Ok(());
        }
        match self.verdict(row, (place, &rule), beyond, now)? {
            Verdict::Kept => {}
            Verdict::Held(why) => {
                *plan.held_count.entry(why.word()).or_default() += 1;
                if plan.held.len() < HELD_LISTED_MAX {
                    plan.held.push((row.execution, place, why));
                }
            }
            Verdict::Goes(planned) => {
                let share = &mut plan.rules[place];
                share.runs += 1;
                share.bytes += planned.bytes;
                plan.runs.push(planned);
            }
        }
        Ok(())
    }

    fn verdict(
        &mut self,
        row: &RunSummary,
        (place, rule): (usize, &Rule),
        beyond: bool,
        now: Timestamp,
    ) -> Result<Verdict, R::Error> {
        let at = self.asked.at;
        let old = |since: Timestamp| rule.keep_for_ms.is_some_and(|ms| since.plus_ms(ms) <= at);
        if !beyond && !old(row.ended_at.unwrap_or(row.submitted_at)) {
            return Ok(Verdict::Kept);
        }
        let run = row.execution;
        let state = match self.runs.look(run) {
            Seen::Gone => return Ok(Verdict::Kept),
            Seen::Broken => return Ok(Verdict::Held(Held::SetAside)),
            Seen::Whole(state) => state,
        };
        let closed_at = state.updated_at;
        if let Some(why) = self.holds(&state, now)? {
            return Ok(Verdict::Held(why));
        }
        if !beyond && !old(closed_at) {
            return Ok(Verdict::Kept);
        }
        if let Some(until) = state.rollback_until().filter(|until| now < *until) {
            return Ok(Verdict::Held(Held::Window(until)));
        }
        let submitted = &state.submitted;
        // A child's id is derived too: no copy of the message that began it may begin it again.
        let keyed = submitted.idempotency_key.is_some()
            || submitted.retry_of.is_some()
            || state.parent().is_some();
        let not_before = if keyed { closed_at.plus_ms(KEY_KEPT_MS) } else { closed_at };
        if now < not_before {
            return Ok(Verdict::Held(Held::Key(not_before)));
        }
        Ok(Verdict::Goes(Planned {
            candidate: Candidate { execution: run, version: state.version, not_before },
            rule: place,
            workflow: row.workflow.clone(),
            status: state.status(),
            closed_at,
            bytes: self.runs.history_bytes(run)?,
        }))
    }

    /// The run above a child that is not closed, or can be rolled back: it may still have the
    /// child undone. One that is gone was closed, with all above it.
    fn open_above(&mut self, state: &State, now: Timestamp) -> Option<ExecutionId> {
        let mut above = state.parent().map(|parent| parent.run);
        while let Some(run) = above {
            match self.runs.look(run) {
                Seen::Gone => return None,
                Seen::Whole(state) if is_over(&state, now) => {
                    above = state.parent().map(|parent| parent.run);
                }
                Seen::Whole(_) | Seen::Broken => return Some(run),
            }
        }
        None
    }

    /// Why a run must stay whatever its age.
    fn holds(&mut self, state: &State, now: Timestamp) -> Result<Option<Held>, R::Error> {
        if !state.is_quiescent() {
            return Ok(Some(Held::Live));
        }
        if !state.is_closed() {
            return Ok(Some(Held::OpenLetter));
        }
        if let Some(above) = self.open_above(state, now) {
            return Ok(Some(Held::LiveParent(above)));
        }
        let settled = state.letters.iter().filter_map(|letter| letter.settled.as_ref());
        let forks = state.forks.iter().flat_map(|forks| forks.made.keys().copied());
        for child in settled.filter_map(|settled| settled.linked).chain(forks) {
            let row = self.runs.row(child)?;
            if row.is_some_and(|row| !row.status.is_ended()) {
                return Ok(Some(Held::LiveChild(child)));
            }
        }
        Ok(None)
    }
}

/// Whether nothing can undo the run any more.
fn is_over(state: &State, now: Timestamp) -> bool {
    state.is_closed() && state.rollback_until().is_none_or(|until| until <= now)
}
