//! Compiling keyed limits, of steps and of whole runs, and who goes first.

use serde_json::Value;

use super::super::PlanPriority;
use super::super::keyed::{KEY_BYTES_MAX, KeyedRuns, PlanLimit, RunLimit};
use super::{Compiler, TaskKind};
use crate::definition::problem::codes;
use crate::definition::{PriorityText, Step};
use crate::event::Priority;
use crate::ids::StepIndex;
use crate::template::{Names, Site, Template};

/// A run's keys are rendered before any of its steps is looked at.
struct NoSteps;

impl Names for NoSteps {
    fn step(&self, _: &str) -> Option<StepIndex> {
        None
    }

    fn nearest_step(&self, _: &str) -> Option<String> {
        None
    }
}

impl Compiler<'_, '_> {
    /// Only attempts at executors are limited: whatever holds a place ends by itself, so that no
    /// two of them wait for each other.
    pub(super) fn limits(
        &mut self,
        (path, place): (&str, &str),
        reader: StepIndex,
        task: &TaskKind,
        step: &Step,
    ) -> Vec<PlanLimit> {
        if !step.limits.is_empty() && !matches!(task, TaskKind::Effect(_)) {
            let message =
                format!("a `{}` step has no attempts of its own to limit", step.task_type);
            self.problems.add(format!("{path}.limits"), codes::BAD_VALUE, message);
        }
        if !step.limits.is_empty() && step.exclusive {
            let message = "a step that waits for a key would hold up all others of its run: leave \
                           `exclusive` out";
            self.problems.add(format!("{path}.limits"), codes::BAD_VALUE, message);
        }
        let mut limits = Vec::new();
        for (at, limit) in step.limits.iter().enumerate() {
            let (path, place) =
                (format!("{path}.limits[{at}].key"), format!("{place}.limits[{at}].key"));
            let site =
                Site { path: &path, place: &place, names: &self.names, allowance: &self.allowance };
            if limit.key.is_empty() {
                let message = format!("a key has 1 to {KEY_BYTES_MAX} bytes");
                self.problems.add(path.clone(), codes::BAD_VALUE, message);
            }
            let (value, mut found) = (Value::String(limit.key.clone()), Vec::new());
            let key = Template::compile(&value, &site, &mut found, self.problems);
            self.references.extend(found.into_iter().map(|found| (reader, false, found)));
            limits.push(PlanLimit { key, max: limit.max });
        }
        limits
    }

    /// Who goes first: a template reads no step, since none has run yet.
    pub(super) fn priority(&mut self) -> PlanPriority {
        let source = match &self.definition.priority {
            None => return PlanPriority::Same(Priority::default()),
            Some(PriorityText::Word(priority)) => return PlanPriority::Same(*priority),
            Some(PriorityText::Template(source)) => source,
        };
        let (names, allowance) = (&self.names, &self.allowance);
        let site = Site { path: "priority", place: "priority", names, allowance };
        let (value, mut found) = (Value::String(source.clone()), Vec::new());
        let template = Template::compile(&value, &site, &mut found, self.problems);
        for reference in found {
            let message = "no step has run when the run begins";
            self.problems.add(reference.path, codes::NOT_AN_ANCESTOR, message);
        }
        PlanPriority::Rendered(template)
    }

    /// How many runs there may be at a time, and how many with the same key.
    pub(super) fn run_limits(&mut self) -> (Option<RunLimit>, Vec<KeyedRuns>) {
        let (mut whole, mut keyed) = (None, Vec::new());
        let limits = &self.definition.concurrency;
        for (at, own) in limits.iter().enumerate() {
            let limit =
                RunLimit { max_runs: own.max_runs, on_limit: own.on_limit.unwrap_or_default() };
            let Some(source) = &own.key else {
                whole = Some(limit);
                continue;
            };
            let path = match limits.len() {
                1 => "concurrency.key".to_owned(),
                _ => format!("concurrency[{at}].key"),
            };
            let allowance = &self.allowance;
            let site = Site { path: &path, place: &path, names: &NoSteps, allowance };
            let (value, mut found) = (Value::String(source.clone()), Vec::new());
            let key = Template::compile(&value, &site, &mut found, self.problems);
            keyed.push(KeyedRuns { key, source: source.clone(), limit });
        }
        (whole, keyed)
    }
}
