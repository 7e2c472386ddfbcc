//! Which runs a policy lets go, what they take, and what is held back and why.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use backstitch_core::ids::{ExecutionId, StreamId};
use backstitch_core::retention::{Policy, Rule};
use backstitch_core::state::State;
use backstitch_core::summary::{RunStatus, RunSummary};
use backstitch_core::time::Timestamp;
use backstitch_journal::{Cursor, RunFilter};

use crate::engine::JournalHistories;
use crate::error::Error;
use crate::handle::{Handle, blocking};
use crate::partition::{Candidate, Held, Histories, KEY_KEPT_MS, fold};

/// The most runs that one plan names.
pub const RUNS_PER_PLAN_MAX: usize = 10_000;
/// The most runs that one plan names as held back; all are counted.
pub const HELD_LISTED_MAX: usize = 100;
/// Rows read at a time.
const ROWS_PER_PAGE: usize = 500;
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

/// A run that may go.
#[derive(Debug, Clone)]
pub struct Planned {
    /// For its partition.
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

impl Handle {
    /// A dry run: nothing changes.
    ///
    /// # Errors
    /// [`Error::Journal`].
    pub async fn plan_retention(&self, asked: Asked) -> Result<Plan, Error> {
        let mut planner = Planner::new(self.histories(), asked);
        blocking(move || planner.plan()).await?
    }
}

/// Walks the list of runs, newest first.
pub(super) struct Planner {
    histories: JournalHistories,
    asked: Asked,
    filter: RunFilter,
    /// Rows read and not looked at.
    rows: VecDeque<RunSummary>,
    cursor: Option<Cursor>,
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

impl Planner {
    pub(super) fn new(histories: JournalHistories, asked: Asked) -> Self {
        let mut filter =
            RunFilter { namespace: asked.namespace.to_string(), ..RunFilter::default() };
        // Whoever counts begins with the newest; age alone begins with the oldest kept.
        if let (Some(ms), false) = (asked.policy.keep_for_ms_min(), asked.policy.counts()) {
            let ago_us = i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1_000);
            let old = Timestamp(asked.at.0.saturating_sub(ago_us).saturating_add(1));
            filter.ended.before = Some(old);
            let next = |Place(Reverse(at), _)| Timestamp(at.0.saturating_add(1));
            filter.submitted.before = Some(asked.after.map_or(old, next).min(old));
        }
        let read = !asked.policy.removes();
        let (rows, met) = (VecDeque::new(), HashMap::new());
        Self { histories, asked, filter, rows, cursor: None, at: None, read, met }
    }

    /// Whether the whole list was walked.
    pub(super) fn is_done(&self) -> bool {
        self.read && self.rows.is_empty()
    }

    /// The next part of the list, up to the limits.
    pub(super) fn plan(&mut self) -> Result<Plan, Error> {
        let rules = vec![RuleShare::default(); self.asked.policy.rules.len()];
        let mut plan = Plan { rules, ..Plan::default() };
        while plan.runs.len() < self.asked.limit && plan.examined < ROWS_PER_PLAN_MAX {
            match self.rows.pop_front() {
                Some(row) => {
                    self.at = Some(Place::of(&row));
                    self.row(&row, &mut plan)?;
                }
                None if self.read => break,
                None => self.read_page()?,
            }
        }
        plan.next = self.at.filter(|_| !self.is_done());
        Ok(plan)
    }

    fn read_page(&mut self) -> Result<(), Error> {
        let journal = &self.histories.journal;
        let page = journal.runs(&self.filter, self.cursor.as_ref(), ROWS_PER_PAGE)?;
        self.read = page.next.is_none();
        self.cursor = page.next;
        self.rows.extend(page.rows);
        Ok(())
    }

    fn row(&mut self, row: &RunSummary, plan: &mut Plan) -> Result<(), Error> {
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
        match self.verdict(row, (place, &rule), beyond)? {
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
        &self,
        row: &RunSummary,
        (place, rule): (usize, &Rule),
        beyond: bool,
    ) -> Result<Verdict, Error> {
        let at = self.asked.at;
        let old = |since: Timestamp| rule.keep_for_ms.is_some_and(|ms| since.plus_ms(ms) <= at);
        if !beyond && !old(row.ended_at.unwrap_or(row.submitted_at)) {
            return Ok(Verdict::Kept);
        }
        let run = row.execution;
        let Ok(events) = self.histories.history(run) else {
            return Ok(Verdict::Held(Held::SetAside));
        };
        // Removed while the list was read.
        let Some(events) = events else { return Ok(Verdict::Kept) };
        let Ok(state) = fold(run, &events, &self.histories) else {
            return Ok(Verdict::Held(Held::SetAside));
        };
        let closed_at = state.updated_at;
        if let Some(why) = self.holds(&state)? {
            return Ok(Verdict::Held(why));
        }
        if !beyond && !old(closed_at) {
            return Ok(Verdict::Kept);
        }
        let submitted = &state.submitted;
        // A child's id is derived too: no copy of the message that began it may begin it again.
        let keyed = submitted.idempotency_key.is_some()
            || submitted.retry_of.is_some()
            || state.parent().is_some();
        let not_before = if keyed { closed_at.plus_ms(KEY_KEPT_MS) } else { closed_at };
        if crate::clock::now() < not_before {
            return Ok(Verdict::Held(Held::Key(not_before)));
        }
        let bytes = self.histories.journal.history_bytes(&StreamId::Execution(run))?;
        Ok(Verdict::Goes(Planned {
            candidate: Candidate { execution: run, version: state.version, not_before },
            rule: place,
            workflow: row.workflow.clone(),
            status: state.status(),
            closed_at,
            bytes,
        }))
    }

    /// The run above a child that is not closed: it may still have the child undone.
    fn open_above(&self, state: &State) -> Result<Option<ExecutionId>, Error> {
        let mut above = state.parent().map(|parent| parent.run);
        while let Some(run) = above {
            let Ok(Some(events)) = self.histories.history(run) else { return Ok(None) };
            let Ok(state) = fold(run, &events, &self.histories) else { return Ok(Some(run)) };
            if !state.is_closed() {
                return Ok(Some(run));
            }
            above = state.parent().map(|parent| parent.run);
        }
        Ok(None)
    }

    /// Why a run must stay whatever its age.
    fn holds(&self, state: &State) -> Result<Option<Held>, Error> {
        if !state.is_quiescent() {
            return Ok(Some(Held::Live));
        }
        if !state.is_closed() {
            return Ok(Some(Held::OpenLetter));
        }
        if let Some(above) = self.open_above(state)? {
            return Ok(Some(Held::LiveParent(above)));
        }
        let settled = state.letters.iter().filter_map(|letter| letter.settled.as_ref());
        for child in settled.filter_map(|settled| settled.linked) {
            let row = self.histories.journal.run(&child)?;
            if row.is_some_and(|row| !row.status.is_ended()) {
                return Ok(Some(Held::LiveChild(child)));
            }
        }
        Ok(None)
    }
}
