//! Compiling what steps and their undos do, and checking what they are given.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::super::wait::{WAIT_FIELDS, read as read_wait};
use super::super::{
    FOREACH_TYPE, OWN_TYPES, PlanUndo, SIGNAL_TYPE, TaskKind, WORKFLOW_TYPE, children,
};
use super::Compiler;
use crate::definition::nearest::slip;
use crate::definition::problem::codes;
use crate::definition::{STEP_TIMEOUT_MS_DEFAULT, Step, Undo};
use crate::ids::StepIndex;
use crate::template::{Template, has_template};

/// Task types the core itself performs.
const PURE_TYPES: [&str; 3] = ["transform", "wait", "router"];

impl Compiler<'_, '_> {
    pub(super) fn task(&mut self, path: &str, step: &Step) -> TaskKind {
        let with_path = format!("{path}.with");
        match step.task_type.as_str() {
            "transform" => {
                self.refuse_policies(path, step);
                if step.with.is_none() {
                    let message = "`with` is required: it is what the step answers";
                    self.problems.add(with_path, codes::MISSING_FIELD, message);
                }
                TaskKind::Transform
            }
            "wait" => {
                self.refuse_policies(path, step);
                self.check_wait(&with_path, step.with.as_ref());
                TaskKind::Wait
            }
            "router" => {
                self.refuse_policies(path, step);
                TaskKind::Router
            }
            WORKFLOW_TYPE => {
                children::check(path, step, self.problems);
                TaskKind::Workflow
            }
            FOREACH_TYPE => TaskKind::Foreach,
            SIGNAL_TYPE => {
                children::check_signal(path, step, self.problems);
                TaskKind::Signal
            }
            other => {
                self.check_effect(path, other, step.with.as_ref(), &OWN_TYPES);
                TaskKind::Effect(other.into())
            }
        }
    }

    pub(super) fn refuse_policies(&mut self, path: &str, step: &Step) {
        let given = [
            ("retry", step.retry.is_some()),
            ("timeout", step.timeout.is_some()),
            ("exclusive", step.exclusive),
        ];
        for (field, _) in given.into_iter().filter(|(_, given)| *given) {
            let message = format!("a `{}` step has no attempts, so no `{field}`", step.task_type);
            self.problems.add(format!("{path}.{field}"), codes::BAD_VALUE, message);
        }
    }

    pub(super) fn check_wait(&mut self, path: &str, with: Option<&Value>) {
        let Some(Value::Object(fields)) = with else {
            let message = "a wait needs `with: { duration: 5s }`, `with: { until: <instant> }` or \
                           `with: { signal: <name> }`";
            let code = if with.is_some() { codes::WRONG_TYPE } else { codes::MISSING_FIELD };
            self.problems.add(path, code, message);
            return;
        };
        for name in fields.keys().filter(|name| !WAIT_FIELDS.contains(&name.as_str())) {
            let shown: String = name.chars().take(64).collect();
            let message =
                format!("`{shown}` is not a field here; known are {}", WAIT_FIELDS.join(", "));
            self.problems.add(format!("{path}.{shown}"), codes::UNKNOWN_FIELD, message);
        }
        let templated = fields.values().any(|value| value.as_str().is_some_and(has_template));
        if !templated && let Err(why) = read_wait(&Value::Object(fields.clone())) {
            let given = ["until", "timeout", "signal"];
            let given = given.into_iter().find(|field| fields.contains_key(*field));
            let field = given.unwrap_or("duration");
            let durations = ["duration", "timeout"];
            let code =
                if durations.contains(&field) { codes::BAD_DURATION } else { codes::BAD_VALUE };
            self.problems.add(format!("{path}.{field}"), code, why);
        }
    }

    /// Checks the task type and input of something with effects.
    pub(super) fn check_effect(
        &mut self,
        path: &str,
        task_type: &str,
        with: Option<&Value>,
        others: &[&'static str],
    ) {
        let Some(types) = self.types.filter(|_| !task_type.is_empty()) else { return };
        let known = types.effectful();
        if !known.contains(&task_type) && types.has_adapter(task_type) {
            return;
        }
        if !known.contains(&task_type) {
            // What is spelled almost like a known type is a slip; anything else may have an
            // executor by the time a run comes to it.
            let all = known.iter().chain(others).copied();
            if let Some(near) = slip(task_type, all) {
                let message =
                    format!("there is no task type `{task_type}`; did you mean `{near}`?");
                self.problems.add(format!("{path}.type"), codes::UNKNOWN_TASK_TYPE, message);
            }
            return;
        }
        let empty = Value::Object(Map::new());
        for (below, message) in types.check(task_type, with.unwrap_or(&empty)) {
            let dot = if below.is_empty() || below.starts_with('[') { "" } else { "." };
            self.problems.add(format!("{path}.with{dot}{below}"), codes::BAD_VALUE, message);
        }
    }

    /// Refuses secrets where they would be shown.
    pub(super) fn check_secrets(&mut self, path: &str, task_type: &str, input: &Template) {
        let Some(types) = self.types.filter(|types| types.effectful().contains(&task_type)) else {
            return;
        };
        if input.reads().secrets && !types.takes_secrets(task_type) {
            let message = format!("a `{task_type}` step shows what it is given: no secrets here");
            self.problems.add(format!("{path}.with"), codes::BAD_VALUE, message);
        }
    }

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
        let input = self.template(undo.with.as_ref(), (&path, &place), index, (true, true));
        self.check_secrets(&path, task_type, &input);
        let timeout = undo.timeout.as_ref().or(self.definition.defaults.timeout.as_ref());
        PlanUndo {
            task_type: Arc::from(task_type),
            reads_own_output: input.reads_output_of(index),
            input,
            retry: self.definition.retries(undo.retry.as_ref(), "critical"),
            timeout_ms: timeout.and_then(|own| own.ms).unwrap_or(STEP_TIMEOUT_MS_DEFAULT),
            breaker: self.breaker_of_undo(step, undo.breaker.as_ref(), task_type),
            check: None,
        }
    }
}
