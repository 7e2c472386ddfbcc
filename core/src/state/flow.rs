//! What routers, handlers, limits of time and the cache brought about. Most plans have none of them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::State;
use crate::arrows::StepStatus;
use crate::cache::CacheSource;
use crate::event::Number;
use crate::ids::StepIndex;
use crate::plan::{Plan, PlanStep};
use crate::time::Timestamp;

/// What routers, handlers, limits of time and the cache of one run brought about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowState {
    /// Handlers that were neither called nor ruled out yet.
    pub(crate) awaiting: BTreeMap<StepIndex, Awaiting>,
    /// Steps to be pruned, whatever else they need: on a route not taken, behind a failure
    /// that was made good, handlers that nobody called. A step that was cancelled stays, for
    /// it may be pending again.
    pub(crate) doomed: BTreeSet<StepIndex>,
    /// Failed steps whose handlers are at work, and how many of these may still make it good.
    pub(crate) called: BTreeMap<StepIndex, u32>,
    /// Failed steps whose failure a handler made good.
    pub(crate) handled: BTreeSet<StepIndex>,
    /// The clocks of steps that are not settled.
    pub(crate) limits: BTreeMap<StepIndex, StepLimits>,
    /// What took longer than was agreed, in order.
    pub breached: Vec<Breach>,
    /// Numbers that templates came to, by step.
    pub(crate) numbers: BTreeMap<StepIndex, Vec<(Number, u64)>>,
    /// The run's own.
    pub(crate) own_numbers: Vec<(Number, u64)>,
    /// Where routers that have chosen lead, ascending.
    pub(crate) led: BTreeMap<StepIndex, Vec<StepIndex>>,
    /// Steps that were answered from the cache, and by whom.
    pub(crate) cached: BTreeMap<StepIndex, CacheSource>,
}

/// When a step has had its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StepLimits {
    pub limit_at: Option<Timestamp>,
    pub sla_at: Option<Timestamp>,
}

/// Something took longer than was agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breach {
    /// Which step; the run if unsaid.
    pub step: Option<StepIndex>,
    /// What was agreed.
    pub limit_ms: u64,
    /// When it was noticed.
    pub at: Timestamp,
}

/// What a handler waits for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Awaiting {
    /// Steps it handles that are not settled.
    pub open: u32,
    /// Whether one of them succeeded and names it for that.
    pub matched: bool,
}

impl FlowState {
    /// The start, if the plan has routers, handlers, limits of time or cached steps.
    pub(super) fn begin(plan: &Plan) -> Option<Self> {
        let limited = |own: &PlanStep| own.total_timeout_ms.is_some() || own.sla_ms.is_some();
        let has_flow = |step: &PlanStep| {
            step.flow.is_some() || step.cache.is_some() || !step.numbers.is_empty()
        };
        let of_steps = plan.steps.iter().any(|step| has_flow(step) || limited(step));
        if !of_steps && plan.sla_ms.is_none() && plan.numbers.is_empty() {
            return None;
        }
        let steps = (0..).map(StepIndex).zip(&plan.steps);
        let handlers = steps.filter(|(_, step)| !step.handles().is_empty());
        let awaiting = handlers.map(|(index, step)| {
            let open = u32::try_from(step.handles().len()).expect("bounded by the steps");
            (index, Awaiting { open, matched: false })
        });
        Some(Self { awaiting: awaiting.collect(), ..Self::default() })
    }
}

impl State {
    /// What took longer than was agreed, in order.
    #[must_use]
    pub fn breaches(&self) -> &[Breach] {
        self.flow.as_ref().map_or(&[], |flow| &flow.breached)
    }

    /// The pending steps that are to be pruned.
    pub(crate) fn doomed(&self) -> impl Iterator<Item = StepIndex> + '_ {
        let doomed = self.flow.iter().flat_map(|flow| &flow.doomed).copied();
        doomed.filter(|&step| State::step(self, step).status == StepStatus::Pending)
    }

    pub(crate) fn is_doomed(&self, step: StepIndex) -> bool {
        self.flow.as_ref().is_some_and(|flow| flow.doomed.contains(&step))
    }

    /// The failed steps whose failure a handler made good, ascending.
    pub fn handled_failures(&self) -> impl Iterator<Item = StepIndex> + '_ {
        self.flow.iter().flat_map(|flow| &flow.handled).copied()
    }

    /// Whether the step's failure was made good.
    #[must_use]
    pub fn is_handled(&self, step: StepIndex) -> bool {
        self.flow.as_ref().is_some_and(|flow| flow.handled.contains(&step))
    }

    /// Whether the step failed and its handlers are at work.
    #[must_use]
    pub fn has_called(&self, step: StepIndex) -> bool {
        self.flow.as_ref().is_some_and(|flow| flow.called.contains_key(&step))
    }
}
