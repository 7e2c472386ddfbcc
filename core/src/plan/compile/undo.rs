//! Compiling how a step is undone.

use std::sync::Arc;

use super::{Compiler, PURE_TYPES, PlanUndo, Step, TaskKind, Undo, WORKFLOW_TYPE, codes};
use crate::definition::STEP_TIMEOUT_MS_DEFAULT;
use crate::ids::StepIndex;

impl Compiler<'_, '_> {
    pub(super) fn undo(
        &mut self,
        path: &str,
        place: &str,
        index: StepIndex,
        task: &TaskKind,
        (step, undo): (&Step, &Undo),
    ) -> PlanUndo {
        let (path, place) = (format!("{path}.undo"), format!("{place}.undo"));
        if !matches!(task, TaskKind::Effect(_) | TaskKind::Workflow | TaskKind::Foreach) {
            let message = "the step has no effect, so there is nothing to undo";
            self.problems.add(path.as_str(), codes::BAD_VALUE, message);
        }
        let task_type = undo.task_type.as_str();
        if task_type == WORKFLOW_TYPE {
            let message = "a child undoes itself: leave `undo` out, or name a task";
            self.problems.add(format!("{path}.type"), codes::BAD_VALUE, message);
        } else if PURE_TYPES.contains(&task_type) {
            let message = format!("`{task_type}` has no effect and cannot undo anything");
            self.problems.add(format!("{path}.type"), codes::BAD_VALUE, message);
        } else {
            self.check_effect(&path, task_type, undo.with.as_ref(), &[]);
        }
        let input = self.template(undo.with.as_ref(), &path, &place, index, true);
        let timeout = undo.timeout.as_ref().or(self.definition.defaults.timeout.as_ref());
        PlanUndo {
            task_type: Arc::from(task_type),
            reads_own_output: input.reads_output_of(index),
            input,
            retry: self.definition.retries(undo.retry.as_ref(), "critical"),
            timeout_ms: timeout.map_or(STEP_TIMEOUT_MS_DEFAULT, |timeout| timeout.ms),
            breaker: self.breaker_of_undo(step, undo),
        }
    }
}
