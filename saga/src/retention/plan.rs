//! Which runs a policy lets go, what they take, and what is held back and why.

use std::collections::{BTreeMap, HashMap};
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
const ROWS_PER_PLAN_MAX: usize = 100_000;

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
    pub after: Option<Cursor>,
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
    pub next: Option<Cursor>,
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
    /// Rows before this were dealt with by an earlier plan: they are counted only.
    after: Option<Cursor>,
    cursor: Option<Cursor>,
    /// Ended runs met so far, by rule and workflow.
    met: HashMap<(usize, Arc<str>), u64>,
    done: bool,
}

/// What becomes of a row.
enum Verdict {
    Kept,
    Held(Held),
    Goes(Planned),
}

impl Planner {
    pub(super) fn new(histories: JournalHistories, asked: Asked) -> Self {
        let (after, policy) = (asked.after.clone(), &asked.policy);
        // Whoever counts begins with the newest; age alone begins with the oldest kept.
        let cursor = match policy.keep_for_ms_min() {
            Some(ms) if !policy.counts() => after.clone().or_else(|| {
                let ago_us = i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1_000);
                Some(Cursor::submitted_by(Timestamp(asked.at.0.saturating_sub(ago_us))))
            }),
            _ => None,
        };
        let done = !policy.removes();
        Self { histories, asked, after, cursor, met: HashMap::new(), done }
    }

    /// Whether the whole list was walked.
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// The next part of the list, up to the limits.
    pub(super) fn plan(&mut self) -> Result<Plan, Error> {
        let rules = vec![RuleShare::default(); self.asked.policy.rules.len()];
        let mut plan = Plan { rules, ..Plan::default() };
        let filter =
            RunFilter { namespace: self.asked.namespace.to_string(), ..RunFilter::default() };
        while !self.done && plan.runs.len() < self.asked.limit {
            if plan.examined >= ROWS_PER_PLAN_MAX as u64 {
                break;
            }
            let page = self.histories.journal.runs(&filter, self.cursor.as_ref(), ROWS_PER_PAGE)?;
            self.done = page.next.is_none();
            for row in page.rows {
                if plan.runs.len() >= self.asked.limit {
                    self.done = false;
                    break;
                }
                self.cursor = Some(Cursor::of_run(&row));
                self.row(&row, &mut plan)?;
            }
        }
        plan.next = self.cursor.clone().filter(|_| !self.done);
        Ok(plan)
    }

    fn row(&mut self, row: &RunSummary, plan: &mut Plan) -> Result<(), Error> {
        plan.examined += 1;
        let Some((place, rule)) = self.asked.policy.rule_of(row) else { return Ok(()) };
        let rule = rule.clone();
        let met = self.met.entry((place, row.workflow.clone())).or_default();
        *met += 1;
        let beyond = rule.keep_count.is_some_and(|count| *met > count);
        let seen_before = self.after.as_ref().is_some_and(|after| Cursor::of_run(row) <= *after);
        if seen_before {
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
        let keyed = state.submitted.idempotency_key.is_some() || state.submitted.retry_of.is_some();
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

    /// Why a run must stay whatever its age.
    fn holds(&self, state: &State) -> Result<Option<Held>, Error> {
        if !state.is_quiescent() {
            return Ok(Some(Held::Live));
        }
        if !state.is_closed() {
            return Ok(Some(Held::OpenLetter));
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
