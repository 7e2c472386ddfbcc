//! Where a step leads beside its dependants: the routes of a router, the handlers of a step.

use super::PlanStep;
use crate::failure::Failure;
use crate::ids::StepIndex;
use crate::scope::Scope;
use crate::template::{Condition, Work};

/// Where a step leads, and whom it handles. Every place is also a dependant.
#[derive(Debug, Clone, Default)]
pub struct Flow {
    /// Its routes, if it is a router.
    pub router: Option<Router>,
    /// Who runs only when it succeeded, ascending.
    pub on_success: Vec<StepIndex>,
    /// Who runs only when it failed, ascending.
    pub on_failure: Vec<StepIndex>,
    /// The steps that name it as a handler, ascending.
    pub handles: Vec<StepIndex>,
}

/// The routes of a router.
#[derive(Debug, Clone, Default)]
pub struct Router {
    /// Each condition with where it leads, ascending.
    pub routes: Vec<(Condition, Vec<StepIndex>)>,
    /// Where it leads if none holds, ascending.
    pub default: Vec<StepIndex>,
}

impl Router {
    /// Which route is taken: the first that holds, else the default as one behind them, if
    /// there is one; `work` grows by what the conditions took.
    ///
    /// # Errors
    /// `EXPRESSION_FAILED`.
    pub fn choose(&self, scope: &dyn Scope, work: &mut Work) -> Result<Option<u16>, Failure> {
        for (number, (condition, _)) in (0..).zip(&self.routes) {
            if condition.holds(scope, work)? {
                return Ok(Some(number));
            }
        }
        let behind = u16::try_from(self.routes.len()).expect("a router has few routes");
        Ok((!self.default.is_empty()).then_some(behind))
    }

    /// Where a route leads.
    #[must_use]
    pub fn targets(&self, route: Option<u16>) -> &[StepIndex] {
        let Some(route) = route.map(usize::from) else { return &[] };
        self.routes.get(route).map_or(&self.default, |(_, to)| to)
    }

    /// Where any route leads, with repeats.
    pub fn all_targets(&self) -> impl Iterator<Item = StepIndex> + '_ {
        self.routes.iter().flat_map(|(_, to)| to).chain(&self.default).copied()
    }
}

impl PlanStep {
    /// The steps that handle its failures.
    #[must_use]
    pub fn failure_handlers(&self) -> &[StepIndex] {
        self.flow.as_ref().map_or(&[], |flow| &flow.on_failure)
    }

    /// The steps it handles.
    #[must_use]
    pub fn handles(&self) -> &[StepIndex] {
        self.flow.as_ref().map_or(&[], |flow| &flow.handles)
    }

    /// Its routes, if it is a router.
    #[must_use]
    pub fn router(&self) -> Option<&Router> {
        self.flow.as_ref()?.router.as_ref()
    }

    /// Whether a dependant is one of its handlers.
    #[must_use]
    pub fn is_handled_by(&self, dependant: StepIndex) -> bool {
        self.flow.as_ref().is_some_and(|flow| {
            let handlers = [&flow.on_success, &flow.on_failure];
            handlers.iter().any(|own| own.binary_search(&dependant).is_ok())
        })
    }

    /// How much it waits for: each need, but all steps it handles count as one.
    pub(crate) fn waits_for(&self) -> usize {
        let handles = self.handles().len();
        self.needs.len() - handles + usize::from(handles > 0)
    }
}
