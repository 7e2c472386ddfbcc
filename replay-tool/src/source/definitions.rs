//! The revisions a log holds, compiled when a run first asks for one.
//!
//! Knows nothing of runs.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use backstitch_core::event::WorkflowEvent;
use backstitch_core::ids::{Digest, StreamId};
use backstitch_core::lineage::{Plans, Texts};
use backstitch_core::plan::Plan;
use backstitch_core::time::Timestamp;
use backstitch_core::workflow::{self, WorkflowState};

/// Every revision met so far.
#[derive(Debug, Default)]
pub struct Definitions {
    workflows: BTreeMap<StreamId, Option<WorkflowState>>,
    texts: HashMap<Digest, Arc<str>>,
    plans: HashMap<Digest, Result<Arc<Plan>, String>>,
    /// Streams that do not fold, and why.
    pub broken: BTreeMap<StreamId, String>,
}

impl Definitions {
    /// Folds one event of a workflow's stream.
    pub fn take(&mut self, stream: &StreamId, event: &WorkflowEvent, at: Timestamp) {
        let state = match self.workflows.get_mut(stream) {
            Some(state) => state,
            None => self.workflows.entry(stream.clone()).or_default(),
        };
        if let Err(why) = workflow::evolve(state, event, at) {
            self.broken.entry(stream.clone()).or_insert_with(|| why.to_string());
            return;
        }
        let Some(state) = state else { return };
        let fresh = match event {
            WorkflowEvent::DefinitionPart { .. }
            | WorkflowEvent::SourceKept { .. }
            | WorkflowEvent::Rollout(_)
            | WorkflowEvent::Availability(_) => None,
            WorkflowEvent::Defined { .. } => {
                state.latest().map(|own| (own.digest, own.text.clone()))
            }
            WorkflowEvent::Kept { digest, .. } | WorkflowEvent::Adapted { digest, .. } => {
                state.kept.get(digest).map(|text| (*digest, text.clone()))
            }
        };
        self.texts.extend(fresh);
    }

    /// A workflow as its stream tells it so far.
    #[must_use]
    pub fn workflow(&self, stream: &StreamId) -> Option<WorkflowState> {
        self.workflows.get(stream).cloned().flatten()
    }

    /// The canonical JSON of a revision.
    #[must_use]
    pub fn text(&self, digest: &Digest) -> Option<Arc<str>> {
        self.texts.get(digest).cloned()
    }

    /// The plan of a run that was pinned to these contents, the present one last.
    ///
    /// # Errors
    /// As [`Definitions::plan`].
    pub fn plan_of(&mut self, lineage: &[Digest]) -> Result<Arc<Plan>, String> {
        for digest in lineage {
            self.plan(digest)?;
        }
        let none = || "its revisions do not make a plan".to_owned();
        Plans::plan_of(&*self, lineage).ok_or_else(none)
    }

    /// The plan of a revision.
    ///
    /// # Errors
    /// Why there is none: the log does not hold it, or it does not compile.
    pub fn plan(&mut self, digest: &Digest) -> Result<Arc<Plan>, String> {
        if let Some(plan) = self.plans.get(digest) {
            return plan.clone();
        }
        // Not kept: the revision may still be met.
        let text = self.texts.get(digest).ok_or_else(|| {
            format!("the revision with digest {digest} is not among the definitions")
        })?;
        let plan = Plan::recompile(text).map(Arc::new).map_err(|problems| {
            let first = problems.first().map_or_else(String::new, |problem| {
                format!(" (`{}`: {})", problem.path, problem.message)
            });
            format!("the revision with digest {digest} does not compile{first}")
        });
        self.plans.insert(*digest, plan.clone());
        plan
    }
}

impl Plans for Definitions {
    fn plan_of(&self, lineage: &[Digest]) -> Option<Arc<Plan>> {
        match lineage {
            [only] if self.plans.contains_key(only) => self.plans.get(only)?.clone().ok(),
            _ => Texts(|digest: &Digest| self.text(digest)).plan_of(lineage),
        }
    }
}
