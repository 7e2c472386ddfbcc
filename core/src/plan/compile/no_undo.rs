//! Compiling what is done about steps that act and have no undo.

use super::{Compiler, ReplaySafety, TaskKind, codes};
use crate::definition::{NoUndo, Step};

impl Compiler<'_, '_> {
    /// Whether the step is put before a person when it is its turn to be undone. One that is not
    /// allowed to have no undo is noted.
    pub(super) fn holds_unwinding(
        &mut self,
        path: &str,
        step: &Step,
        (task, replay): (&TaskKind, ReplaySafety),
    ) -> bool {
        if step.no_undo && matches!(task, TaskKind::Workflow | TaskKind::Foreach) {
            let message = match task {
                TaskKind::Foreach => "of a `foreach` it belongs to its items: `each.undo`",
                _ => "a child undoes itself: leave `undo` out, or name a task",
            };
            self.problems.add(format!("{path}.undo"), codes::BAD_VALUE, message);
        }
        let acts = match task {
            TaskKind::Effect(_) => replay != ReplaySafety::Safe && step.cache.is_none(),
            TaskKind::Signal => true,
            TaskKind::Transform
            | TaskKind::Wait
            | TaskKind::Router
            | TaskKind::Workflow
            | TaskKind::Foreach => false,
        };
        if !acts || step.no_undo || step.undo.is_some() {
            return false;
        }
        match step.on_no_undo.or(self.definition.on_no_undo).unwrap_or_default() {
            NoUndo::Skip => false,
            NoUndo::Suspend => true,
            NoUndo::Forbid => {
                let message = "the step acts and has no undo, which `on_no_undo: forbid` refuses: \
                               give it one, or say `undo: none`";
                self.problems.add(format!("{path}.undo"), codes::MISSING_FIELD, message);
                false
            }
        }
    }
}
