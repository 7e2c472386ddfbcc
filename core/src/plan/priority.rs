//! Who goes first of a workflow's runs: as it is written, or as a template comes to from what the
//! run is submitted with.

use std::sync::Arc;

use super::Plan;
use super::numbers::shown;
use crate::definition::problem::{Problem, codes};
use crate::event::{Priority, Submitted};
use crate::ids::ExecutionId;
use crate::state::State;
use crate::template::{Template, Work};
use crate::time::Timestamp;

/// What a workflow says of who goes first.
#[derive(Debug, Clone)]
pub enum PlanPriority {
    /// The same for all of its runs.
    Same(Priority),
    /// For each run by what it is submitted with: a word.
    Rendered(Template),
}

/// Who goes first of a run that is about to be submitted and says nothing itself.
///
/// # Errors
/// Why the template comes to no priority, at its place in the definition.
pub fn priority_of(
    plan: &Arc<Plan>,
    execution: ExecutionId,
    submitted: &Submitted,
    at: Timestamp,
) -> Result<Priority, Problem> {
    let template = match &plan.priority {
        PlanPriority::Same(priority) => return Ok(*priority),
        PlanPriority::Rendered(template) => template,
    };
    let state = State::begin(execution, plan.clone(), Box::new(submitted.clone()), at);
    let wrong = |message| Problem { path: "priority".to_owned(), code: codes::BAD_VALUE, message };
    let value = template.render(&state, &mut Work::default());
    let value = value.map_err(|failure| wrong(failure.message))?;
    let priority = value.as_str().and_then(Priority::of_word);
    priority.ok_or_else(|| {
        wrong(format!("`priority` comes to {}: `high`, `medium` or `low` is meant", shown(&value)))
    })
}
