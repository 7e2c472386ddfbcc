//! Compiling where steps lead: routes and handlers.

use super::{Compiler, Flow, PlanStep, Router, Step, codes};
use crate::ids::StepIndex;

impl Compiler<'_, '_> {
    /// Where the step leads beside its dependants, if anywhere; whom it handles comes later.
    pub(super) fn flow(
        &mut self,
        path: &str,
        place: &str,
        index: StepIndex,
        step: &Step,
    ) -> Option<Box<Flow>> {
        let is_router = step.task_type == "router";
        let leads = [("routes", step.routes.is_empty()), ("default", step.default.is_empty())];
        for (field, _) in leads.iter().filter(|(_, empty)| !is_router && !empty) {
            let message = format!("only a step of type `router` has `{field}`");
            self.problems.add(format!("{path}.{field}"), codes::BAD_VALUE, message);
        }
        if is_router && step.routes.is_empty() {
            let message = "a router has at least one route: `{ when: ..., to: [...] }`";
            self.problems.add(format!("{path}.routes"), codes::MISSING_FIELD, message);
        }
        let waits_for_a_run = [super::WORKFLOW_TYPE, super::SIGNAL_TYPE];
        if step.total_timeout.is_some() && waits_for_a_run.contains(&step.task_type.as_str()) {
            let message = "the step ends when the other run answers, and no earlier";
            self.problems.add(format!("{path}.total_timeout"), codes::BAD_VALUE, message);
        }
        let words = self.graph.words.get(&index).cloned();
        if words.is_none() && !is_router {
            return None;
        }
        let words = words.unwrap_or_default();
        let mut routes = Vec::with_capacity(words.routes.len());
        for (nth, (own, to)) in step.routes.iter().zip(words.routes).enumerate() {
            let below = format!("routes[{nth}].when");
            let (path, place) = (format!("{path}.{below}"), format!("{place}.{below}"));
            let condition = self.condition(&own.when, &path, &place, index, false);
            routes.extend(condition.map(|condition| (condition, to)));
        }
        let router = is_router.then_some(Router { routes, default: words.default });
        let (on_success, on_failure) = (words.on_success, words.on_failure);
        Some(Box::new(Flow { router, on_success, on_failure, handles: Vec::new() }))
    }
}

/// Tells handlers whom they handle.
pub(super) fn with_handled(mut steps: Vec<PlanStep>) -> Vec<PlanStep> {
    let mut pairs = Vec::new();
    for (index, step) in (0..).map(StepIndex).zip(&steps) {
        let Some(flow) = &step.flow else { continue };
        pairs.extend(flow.on_success.iter().chain(&flow.on_failure).map(|&own| (own, index)));
    }
    for (handler, handled) in pairs {
        let flow = steps[handler.at()].flow.get_or_insert_default();
        // A step may name one handler for both ends.
        if flow.handles.last() != Some(&handled) {
            flow.handles.push(handled);
        }
    }
    steps
}
