//! How long runs are kept, in a directory whose server does not run.
//!
//! Which runs may go is the core's to say, as for a server; what goes is recorded as a
//! partition does it. Nothing can happen to a run in between: the directory is this process's
//! own. A policy that stands only in a server's settings is not in the directory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backstitch_core::event::{Event, PartitionEvent};
use backstitch_core::ids::{ExecutionId, PartitionId, StreamId};
use backstitch_core::partition::RUNS_PER_REMOVAL_MAX;
use backstitch_core::report::retention_plan_json;
use backstitch_core::retention::{
    Asked, HELD_LISTED_MAX, Held, Plan, Planned, Planner, Policy, Runs, Seen,
};
use backstitch_core::summary::RunSummary;
use backstitch_core::time::Timestamp;
use backstitch_journal::{Cursor, RunFilter};
use serde_json::{Value, json};

use super::Writing;
use crate::clock;
use crate::error::Error;

/// Rows read at a time.
const ROWS_PER_PAGE: usize = 500;
/// The partition whose stream says which policy is in force.
const POLICY_PARTITION: PartitionId = PartitionId(0);

/// What applying a policy did.
#[derive(Debug, Default)]
struct Done {
    examined: u64,
    removed: u64,
    bytes: u64,
    held: BTreeMap<&'static str, u64>,
}

impl Writing {
    /// The policy that somebody set by the API, as the API prints it; `None` if nobody did.
    pub(crate) fn policy(&self) -> Result<Option<(Policy, Value)>, Error> {
        let own = self.journal.history(&StreamId::Partition(POLICY_PARTITION))?;
        let set = own.unwrap_or_default().into_iter().rev().find_map(|record| match record.event {
            Event::Partition(PartitionEvent::RetentionPolicySet { policy, actor }) => {
                Some((policy, actor, record.recorded_at))
            }
            _ => None,
        });
        let Some((text, actor, at)) = set else { return Ok(None) };
        let policy = Policy::read_text(&text).map_err(|problems| Error::BadPolicy { problems })?;
        let shown = json!({
            "policy": policy.to_json(),
            "source": "api",
            "set_by": actor,
            "set_at": at.to_string(),
            "sweep_interval_seconds": null,
        });
        Ok(Some((policy, shown)))
    }

    /// Says what applying a policy would remove, in every namespace; answers what the API
    /// would.
    pub(crate) fn plan_retention(
        &mut self,
        policy: &Policy,
        at: Timestamp,
        limit: usize,
    ) -> Result<Value, Error> {
        let mut whole =
            Plan { rules: vec![Default::default(); policy.rules.len()], ..Plan::default() };
        for namespace in self.namespaces()? {
            let left = limit - whole.runs.len();
            let mut planner = self.planner(&namespace, policy, at, left);
            while !planner.is_done() && whole.runs.len() < limit {
                merge(&mut whole, planner.plan(clock::now())?);
            }
            if whole.runs.len() >= limit {
                break;
            }
        }
        Ok(retention_plan_json(&whole, policy, at))
    }

    /// Removes what a policy lets go, in every namespace; `removed` is told how many runs are
    /// gone. Answers what the API would.
    pub(crate) fn apply_retention(
        &mut self,
        policy: &Policy,
        at: Timestamp,
        actor: &str,
        removed: &mut dyn FnMut(u64),
    ) -> Result<Value, Error> {
        let (started_at, mut done) = (clock::now(), Done::default());
        for namespace in self.namespaces()? {
            let mut planner = self.planner(&namespace, policy, at, RUNS_PER_REMOVAL_MAX);
            while !planner.is_done() {
                let plan = planner.plan(clock::now())?;
                done.examined += plan.examined;
                for (why, count) in &plan.held_count {
                    *done.held.entry(why).or_default() += count;
                }
                planner.runs().writing.remove_planned(plan.runs, policy, actor, &mut done)?;
                removed(done.removed);
            }
        }
        Ok(json!({
            "status": "done",
            "error": null,
            "actor": actor,
            "policy": policy.to_json(),
            "at": at.to_string(),
            "started_at": started_at.to_string(),
            "finished_at": clock::now().to_string(),
            "examined": done.examined,
            "removed": done.removed,
            "bytes": done.bytes,
            "held_count": done.held,
        }))
    }

    /// Namespaces that have runs.
    fn namespaces(&self) -> Result<BTreeSet<String>, Error> {
        // What the views know of them is as of their last tick.
        self.journal.store_now()?;
        Ok(self.journal.namespaces())
    }

    fn planner(
        &mut self,
        namespace: &str,
        policy: &Policy,
        at: Timestamp,
        limit: usize,
    ) -> Planner<Known<'_>> {
        let namespace: Arc<str> = namespace.into();
        let mut filter = RunFilter { namespace: namespace.to_string(), ..RunFilter::default() };
        let asked = Asked { namespace, policy: policy.clone(), at, after: None, limit };
        let bounds = asked.bounds();
        filter.ended.before = bounds.ended_before;
        filter.submitted.before = bounds.submitted_before;
        Planner::new(Known { writing: self, filter, cursor: None, read: false }, asked)
    }

    /// Records that runs are gone: one event for each partition and rule.
    fn remove_planned(
        &mut self,
        planned: Vec<Planned>,
        policy: &Policy,
        actor: &str,
        done: &mut Done,
    ) -> Result<(), Error> {
        let mut shares: BTreeMap<(PartitionId, usize), Vec<Planned>> = BTreeMap::new();
        for planned in planned {
            let partition = planned.candidate.execution.partition;
            shares.entry((partition, planned.rule)).or_default().push(planned);
        }
        for ((partition, rule), mut planned) in shares {
            let moment = self.moment(partition);
            let mut going = Vec::new();
            for one in planned.drain(..) {
                match self.holds(&one, moment.now)? {
                    Some(why) => *done.held.entry(why.word()).or_default() += 1,
                    None => going.push(one),
                }
            }
            if going.is_empty() {
                continue;
            }
            let mut runs: Vec<ExecutionId> =
                going.iter().map(|one| one.candidate.execution).collect();
            runs.sort_unstable();
            let rule = policy.rules.get(rule).map_or_else(String::new, |rule| rule.name.clone());
            let event = PartitionEvent::RunsRemoved { runs, rule, actor: actor.to_owned() };
            let own = self.own_record(partition, event, moment.stamp)?;
            self.append(partition, &[own], Vec::new(), Vec::new(), moment.stamp)?;
            done.removed += going.len() as u64;
            done.bytes += going.iter().map(|one| one.bytes).sum::<u64>();
        }
        Ok(())
    }

    /// Why a planned run must stay, if it must: what a partition asks before it lets one go.
    fn holds(&self, planned: &Planned, now: Timestamp) -> Result<Option<Held>, Error> {
        let candidate = planned.candidate;
        let version = self.journal.last_version(&StreamId::Execution(candidate.execution))?;
        Ok(match version {
            None => Some(Held::Missing),
            Some(known) if known != candidate.version => Some(Held::Changed),
            Some(_) if now < candidate.not_before => Some(Held::Key(candidate.not_before)),
            Some(_) => None,
        })
    }
}

/// Adds a part of a plan, or the plan of another namespace.
fn merge(whole: &mut Plan, part: Plan) {
    whole.runs.extend(part.runs);
    for (sum, share) in whole.rules.iter_mut().zip(part.rules) {
        sum.runs += share.runs;
        sum.bytes += share.bytes;
    }
    let room = HELD_LISTED_MAX.saturating_sub(whole.held.len());
    whole.held.extend(part.held.into_iter().take(room));
    for (why, count) in part.held_count {
        *whole.held_count.entry(why).or_default() += count;
    }
    whole.examined += part.examined;
    whole.next = part.next;
}

/// The runs of a namespace of a directory.
struct Known<'a> {
    writing: &'a mut Writing,
    filter: RunFilter,
    cursor: Option<Cursor>,
    read: bool,
}

impl Runs for Known<'_> {
    type Error = Error;

    fn rows(&mut self) -> Result<Option<Vec<RunSummary>>, Error> {
        if self.read {
            return Ok(None);
        }
        let journal = &self.writing.journal;
        let page = journal.runs(&self.filter, self.cursor.as_ref(), ROWS_PER_PAGE)?;
        self.read = page.next.is_none();
        self.cursor = page.next;
        Ok(Some(page.rows))
    }

    fn look(&mut self, run: ExecutionId) -> Seen {
        match self.writing.state(run) {
            Ok(Some(state)) => Seen::Whole(state),
            Ok(None) => Seen::Gone,
            Err(_) => Seen::Broken,
        }
    }

    fn row(&mut self, run: ExecutionId) -> Result<Option<RunSummary>, Error> {
        Ok(self.writing.journal.run(&run)?)
    }

    fn history_bytes(&mut self, run: ExecutionId) -> Result<u64, Error> {
        Ok(self.writing.journal.history_bytes(&StreamId::Execution(run))?)
    }
}
