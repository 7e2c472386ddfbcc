//! Lineages: the contents that a run was pinned to, one after another.
//!
//! A migrated run goes on with another content, and its events name steps by their places. So
//! that a place names the same step for ever, the plan of a lineage keeps the places of the
//! plan before it: a step that was there keeps its place under its id, a new one comes behind
//! them, and one that is gone leaves an empty place. Knows nothing of states.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::definition::problem::Problem;
use crate::definition::{Definition, Step};
use crate::event::{Event, ForkEvent, RunEvent};
use crate::ids::{Digest, StepIndex};
use crate::plan::Plan;
use crate::yaml::{Format, parse};

/// Migrations of one run.
pub const MIGRATIONS_MAX: usize = 100;

/// Whoever knows the plans of runs.
pub trait Plans {
    /// The plan of a run that was pinned to these contents, the present one last.
    fn plan_of(&self, lineage: &[Digest]) -> Option<Arc<Plan>>;
}

/// A plan knows itself.
impl Plans for Arc<Plan> {
    fn plan_of(&self, lineage: &[Digest]) -> Option<Arc<Plan>> {
        (lineage == [self.digest]).then(|| self.clone())
    }
}

/// Plans made anew of the canonical texts of contents, by whoever looks them up.
pub struct Texts<F>(pub F);

impl<F: Fn(&Digest) -> Option<Arc<str>>> Plans for Texts<F> {
    fn plan_of(&self, lineage: &[Digest]) -> Option<Arc<Plan>> {
        let (first, later) = lineage.split_first()?;
        let mut plan = Plan::recompile(&(self.0)(first)?).ok()?;
        for digest in later {
            plan = successor(&plan, &(self.0)(digest)?).ok()?;
        }
        Some(Arc::new(plan))
    }
}

/// The contents that a history says its run was pinned to.
pub fn lineage_of<'a>(events: impl IntoIterator<Item = &'a Event>) -> Vec<Digest> {
    let pinned = |event: &Event| match event {
        Event::Run(RunEvent::Submitted(own)) => Some(own.digest),
        Event::Run(RunEvent::Fork(ForkEvent::Migrated { digest, .. })) => Some(*digest),
        _ => None,
    };
    events.into_iter().filter_map(pinned).collect()
}

/// The number of the revision that a history says its run is pinned to.
pub fn revision_of<'a>(events: impl IntoIterator<Item = &'a Event>) -> Option<u32> {
    let pinned = |event: &Event| match event {
        Event::Run(RunEvent::Submitted(own)) => Some(own.revision),
        Event::Run(RunEvent::Fork(ForkEvent::Migrated { revision, .. })) => Some(*revision),
        _ => None,
    };
    events.into_iter().filter_map(pinned).last()
}

/// The plan of a content for a run that had another plan before.
///
/// # Errors
/// Every problem: there is none if the text is a stored revision's, unless there are too many
/// steps, gone ones included.
pub fn successor(before: &Plan, text: &str) -> Result<Plan, Vec<Problem>> {
    let value = parse(text.as_bytes(), Format::Json).map_err(|problem| vec![problem])?;
    let mut definition = Definition::read(&value)?;
    let digest = definition.digest();
    let mut left: HashMap<String, (usize, Step)> = std::mem::take(&mut definition.steps)
        .into_iter()
        .enumerate()
        .map(|(at, step)| (step.id.clone(), (at, step)))
        .collect();
    let mut gone = Vec::new();
    for (index, old) in (0..).map(StepIndex).zip(&before.steps) {
        definition.steps.push(match left.remove(&*old.id) {
            Some((_, step)) => step,
            None => {
                gone.push(index);
                empty_place(&old.id)
            }
        });
    }
    let mut fresh: Vec<_> = left.into_values().collect();
    fresh.sort_unstable_by_key(|(at, _)| *at);
    definition.steps.extend(fresh.into_iter().map(|(_, step)| step));
    let mut plan = Plan::compile_stored(&definition)?;
    plan.digest = digest;
    for step in gone {
        plan.steps[step.at()].gone = true;
    }
    Ok(plan)
}

/// What stands where a step was: nothing that could run.
fn empty_place(id: &str) -> Step {
    Step {
        id: id.to_owned(),
        task_type: "transform".to_owned(),
        with: Some(Value::Object(Map::new())),
        ..Step::default()
    }
}
