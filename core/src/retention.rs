//! How long runs are kept: rules by what a run is, and for how long or how many.
//!
//! Plain data, its reading, and what it means for the runs that somebody names. Where those
//! are, and removing them, is the shell's.

mod held;
mod plan;
mod read;

use serde::{Deserialize, Serialize};

use crate::summary::{RunStatus, RunSummary};

pub use held::{Candidate, Held, KEY_KEPT_MS};
pub use plan::{
    Asked, Bounds, HELD_LISTED_MAX, Place, Plan, Planned, Planner, RUNS_PER_PLAN_MAX, RuleShare,
    Runs, Seen,
};

/// The most rules of a policy.
pub const RULES_MAX: usize = 100;

/// The longest name or pattern in a rule, in bytes.
pub const RULE_TEXT_BYTES_MAX: usize = 200;

/// The most runs that a rule may keep by their count.
pub const KEEP_COUNT_MAX: u64 = 10_000_000;

/// Which runs are kept. The first rule that matches a run decides; one that none matches is
/// kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// In order.
    pub rules: Vec<Rule>,
}

/// What one rule says of the ended runs that it matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Shown wherever the rule removed something.
    pub name: String,
    /// Of these final statuses; of every one if empty.
    pub status: Vec<RunStatus>,
    /// Of this workflow; `*` at the end stands for any rest.
    pub workflow: Option<String>,
    /// With this tag.
    pub tag: Option<String>,
    /// Milliseconds that a run is kept after it was closed.
    pub keep_for_ms: Option<u64>,
    /// How many of each workflow are kept, the newest by submission.
    pub keep_count: Option<u64>,
}

impl Policy {
    /// The rule that decides about a run, and its place; `None` if the run is kept.
    #[must_use]
    pub fn rule_of(&self, run: &RunSummary) -> Option<(usize, &Rule)> {
        if !run.status.is_ended() {
            return None;
        }
        self.rules.iter().enumerate().find(|(_, rule)| rule.matches(run))
    }

    /// Whether any rule ever lets a run go.
    #[must_use]
    pub fn removes(&self) -> bool {
        self.rules.iter().any(|rule| !rule.keeps_for_ever())
    }

    /// Whether some rule counts runs.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.rules.iter().any(|rule| rule.keep_count.is_some())
    }

    /// The shortest time after which a rule lets a run go.
    #[must_use]
    pub fn keep_for_ms_min(&self) -> Option<u64> {
        self.rules.iter().filter_map(|rule| rule.keep_for_ms).min()
    }
}

impl Rule {
    /// Whether the rule is about a run.
    #[must_use]
    pub fn matches(&self, run: &RunSummary) -> bool {
        let workflow =
            self.workflow.as_deref().is_none_or(|wanted| match wanted.strip_suffix('*') {
                Some(start) => run.workflow.starts_with(start),
                None => *run.workflow == *wanted,
            });
        let tag = self.tag.as_deref();
        let tagged = tag.is_none_or(|wanted| run.tags.iter().any(|tag| **tag == *wanted));
        workflow && tagged && (self.status.is_empty() || self.status.contains(&run.status))
    }

    /// Whether the rule names no limit.
    #[must_use]
    pub fn keeps_for_ever(&self) -> bool {
        self.keep_for_ms.is_none() && self.keep_count.is_none()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ids::{ExecutionId, PartitionId};
    use crate::time::Timestamp;

    fn run(workflow: &str, status: RunStatus) -> RunSummary {
        RunSummary {
            execution: ExecutionId { partition: PartitionId(0), digits: 1 },
            namespace: "default".into(),
            workflow: workflow.into(),
            revision: 1,
            status,
            correlation_id: "c".into(),
            tags: ["nightly".into()].into(),
            submitted_at: Timestamp(0),
            ended_at: None,
            parent: None,
            chunk: false,
            variant: None,
            trace: None,
            version: 1,
        }
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let policy = Policy::read(&json!({ "rules": [
            { "name": "books", "workflow": "billing*" },
            { "name": "failures", "status": ["failed", "compensated"], "keep_for": "90d" },
            { "name": "day", "keep_for": "1d", "tag": "daily" },
            { "name": "rest", "keep_for": "30d", "keep_count": 1000, "tag": "nightly" },
        ]}))
        .expect("a right policy");
        let rule = |workflow, status| policy.rule_of(&run(workflow, status)).map(|(at, _)| at);
        assert_eq!(rule("billing-eu", RunStatus::Failed), Some(0));
        assert_eq!(rule("order", RunStatus::Failed), Some(1));
        assert_eq!(rule("order", RunStatus::Completed), Some(3));
        assert_eq!(rule("order", RunStatus::Running), None, "live runs are nobody's");
        assert!(policy.removes() && policy.counts() && policy.rules[0].keeps_for_ever());
        assert_eq!(policy.keep_for_ms_min(), Some(86_400_000));
        assert_eq!(Policy::read(&policy.to_json()).as_ref(), Ok(&policy));
        assert_eq!(Policy::read_text(&policy.to_text()), Ok(policy));
    }

    #[test]
    fn every_problem_is_named_with_its_place() {
        let wrong = Policy::read(&json!({ "rules": [
            { "keep_for": "soon", "status": ["running", "lost"], "keep": 3 },
            { "name": "", "keep_count": -1, "workflow": "a*b" },
            7,
        ], "extra": 1 }));
        let places: Vec<String> =
            wrong.expect_err("much is wrong").into_iter().map(|problem| problem.path).collect();
        for place in [
            "extra",
            "rules[0].name",
            "rules[0].keep",
            "rules[0].keep_for",
            "rules[0].status[0]",
            "rules[0].status[1]",
            "rules[1].name",
            "rules[1].keep_count",
            "rules[1].workflow",
            "rules[2]",
        ] {
            assert!(places.iter().any(|known| known == place), "{place}: {places:?}");
        }
        assert!(Policy::read(&json!([])).is_err());
        assert!(Policy::read_text("{").is_err());
        assert_eq!(Policy::read(&json!({})), Ok(Policy::default()));
    }
}
