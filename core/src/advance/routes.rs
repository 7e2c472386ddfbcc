//! Routers: which way a ready one leads.

use serde_json::json;

use crate::event::{GraphEvent, RunEvent};
use crate::failure::{Failure, codes};
use crate::ids::StepIndex;
use crate::payload::Payload;
use crate::state::State;
use crate::template::Work;

/// The choice as an event, with the choice as the step's output.
pub(super) fn chosen(state: &State, step: StepIndex, work: &mut Work) -> RunEvent {
    let Some(router) = state.plan.steps[step.at()].router() else {
        let failure = Failure::permanent(codes::INTERNAL, "the router has no routes");
        return RunEvent::StepFailed { step, failure };
    };
    let route = match router.choose(state, work) {
        Ok(route) => route,
        Err(failure) => return RunEvent::StepFailed { step, failure },
    };
    let number = route.map(|route| match usize::from(route) {
        route if route < router.routes.len() => json!(route),
        _ => json!("default"),
    });
    let to = router.targets(route).iter().map(|to| &state.plan.steps[to.at()].id);
    let output = Payload::of(&json!({ "route": number, "to": to.collect::<Vec<_>>() }));
    RunEvent::Graph(GraphEvent::RouteChosen { step, route, output })
}
