//! Compiling keyed limits.

use serde_json::Value;

use super::super::keyed::PlanLimit;
use super::{Compiler, TaskKind};
use crate::definition::Step;
use crate::definition::problem::codes;
use crate::ids::StepIndex;
use crate::template::{Site, Template};

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
            let (value, mut found) = (Value::String(limit.key.clone()), Vec::new());
            let key = Template::compile(&value, &site, &mut found, self.problems);
            self.references.extend(found.into_iter().map(|found| (reader, false, found)));
            limits.push(PlanLimit { key, max: limit.max });
        }
        limits
    }
}
