//! Compiling the breakers before what steps and undos call.

use std::sync::Arc;

use super::{Compiler, TaskKind};
use crate::breaker::{BreakerPolicy, OnOpen};
use crate::definition::problem::codes;
use crate::definition::{Breaker, Step};

impl Compiler<'_, '_> {
    /// The step's breaker, if it or the workflow says anything of it.
    pub(super) fn breaker(
        &mut self,
        path: &str,
        (task, step): (&TaskKind, &Step),
    ) -> Option<Arc<BreakerPolicy>> {
        if !matches!(task, TaskKind::Effect(_)) {
            if step.breaker.is_some() && !matches!(task, TaskKind::Foreach) {
                let message =
                    format!("a `{}` step calls no service, so it has no `breaker`", step.task_type);
                self.problems.add(format!("{path}.breaker"), codes::BAD_VALUE, message);
            } else if step.breaker.is_some() {
                let message = "of a `foreach` it belongs to its items: `each.breaker`";
                self.problems.add(format!("{path}.breaker"), codes::BAD_VALUE, message);
            }
            return None;
        }
        if step.exclusive {
            // One that waits would hold up all others of its run.
            if step.breaker.as_ref().is_some_and(|own| !own.policy().off) {
                let message = "a step that waits for its service would hold up all others of its \
                               run: leave `exclusive` out";
                self.problems.add(format!("{path}.breaker"), codes::BAD_VALUE, message);
            }
            return Some(Arc::new(Breaker::Stated(false).policy()));
        }
        let said = step.breaker.as_ref().or(self.definition.defaults.breaker.as_ref());
        said.map(|own| Arc::new(own.policy()))
    }

    /// The breaker of an undo or a check: its own, else that of its step if both are of one type.
    /// One that does not say otherwise waits for its service.
    pub(super) fn breaker_of_undo(
        &self,
        step: &Step,
        own: Option<&Breaker>,
        task_type: &str,
    ) -> Option<Arc<BreakerPolicy>> {
        if let Some(own) = own {
            return Some(Arc::new(own.policy()));
        }
        let of_step = step.breaker.as_ref().filter(|_| step.task_type == task_type);
        let said = of_step.or(self.definition.defaults.breaker.as_ref());
        let policy = said.map(Breaker::policy)?;
        Some(Arc::new(BreakerPolicy { on_open: OnOpen::Wait, ..policy }))
    }
}
