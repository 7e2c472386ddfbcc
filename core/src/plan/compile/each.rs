//! Compiling what a `foreach` does for each item.

use std::sync::Arc;

use serde_json::Value;

use super::{Compiler, PlanStep, Step, TaskKind, codes};
use crate::definition::{Definition, Each as Body, MAX_PARALLEL_DEFAULT, OnItemFailure};
use crate::ids::{Digest, StepIndex};
use crate::plan::PlanUndo;
use crate::plan::each::{CHUNK_ITEMS_MAX, Each, FOREACH_TYPE};
use crate::retry_policy::Retries;
use crate::template::{Reads, has_template};

/// The loop as it is written, with what the definition says for all of its items.
fn said(definition: &Definition, step: &Step) -> Digest {
    let around = Definition {
        defaults: definition.defaults.clone(),
        retry_policies: definition.retry_policies.clone(),
        erasable: definition.erasable,
        on_no_undo: definition.on_no_undo,
        steps: vec![step.clone()],
        ..Definition::default()
    };
    around.digest()
}

impl Compiler<'_, '_> {
    /// What is done for each item; nothing for a step that is no `foreach`.
    pub(super) fn each(
        &mut self,
        path: &str,
        place: &str,
        index: StepIndex,
        step: &Step,
    ) -> Option<Box<Each>> {
        if step.task_type != FOREACH_TYPE {
            self.refuse_words_of_loops(path, step);
            return None;
        }
        let Some(body) = &step.each else {
            let message = "a `foreach` needs `each: { type: ..., with: ... }`, done for each item";
            self.problems.add(format!("{path}.each"), codes::MISSING_FIELD, message);
            return None;
        };
        self.check_loop(path, step, body);
        let (path, place) = (format!("{path}.each"), format!("{place}.each"));
        self.names.of_item.set(true);
        let body = self.body(&path, &place, index, &alone(step, body));
        self.names.of_item.set(false);
        let mut reads = Reads::default();
        reads.absorb(body.input.reads());
        body.condition.iter().for_each(|own| reads.absorb(own.reads()));
        body.undo.iter().for_each(|own| own.note_reads(&mut reads));
        // Of itself it reads what the item answered, and that is not the run's.
        reads.steps.remove(&index);
        Some(Box::new(Each {
            body: Arc::new(body),
            max_parallel: step.max_parallel.unwrap_or(MAX_PARALLEL_DEFAULT),
            collects: step.on_item_failure == Some(OnItemFailure::Collect),
            chunk_items: CHUNK_ITEMS_MAX,
            said: said(self.definition, step),
            reads: Arc::new(reads),
        }))
    }

    /// The undo of a `foreach`: each chunk undoes itself. There is none if no item has one, and no
    /// person is asked.
    pub(super) fn undo_of_loop(
        &mut self,
        path: &str,
        place: &str,
        index: StepIndex,
        each: &Each,
    ) -> Option<PlanUndo> {
        if each.body.undo.is_none() && !each.body.holds_unwinding {
            return None;
        }
        Some(super::children::undo(self.template(None, (path, place), index, (true, false))))
    }

    /// A `foreach` is tried once unless it says otherwise: its items have policies of their own.
    pub(super) fn retry_of_loop(&self, step: &Step) -> Retries {
        self.definition.retries(step.retry.as_ref(), "none")
    }

    fn body(&mut self, path: &str, place: &str, index: StepIndex, step: &Step) -> PlanStep {
        let mut body = self.compiled(path, place, index, step, (Vec::new(), Vec::new()));
        // Handlers are those of the whole.
        body.flow = None;
        if matches!(body.task, TaskKind::Router | TaskKind::Foreach) {
            let message = format!("`each` cannot be a `{}`", step.task_type);
            self.problems.add(format!("{path}.type"), codes::BAD_VALUE, message);
        }
        let signal = step.with.as_ref().is_some_and(|with| with.get("signal").is_some());
        if body.task == TaskKind::Wait && signal {
            let message = "an item cannot wait for a signal: nobody could send it one";
            self.problems.add(format!("{path}.with.signal"), codes::BAD_VALUE, message);
        }
        body
    }

    fn check_loop(&mut self, path: &str, step: &Step, body: &Body) {
        let given = [
            ("timeout", step.timeout.is_some()),
            ("total_timeout", step.total_timeout.is_some()),
            ("undo", step.undo.is_some()),
        ];
        for (field, _) in given.into_iter().filter(|(_, given)| *given) {
            let message = format!("of a `foreach` it belongs to its items: `each.{field}`");
            self.problems.add(format!("{path}.{field}"), codes::BAD_VALUE, message);
        }
        if body.task_type == FOREACH_TYPE {
            let message = "a `foreach` has none inside; let `each` be a `workflow` with one";
            self.problems.add(format!("{path}.each.type"), codes::BAD_VALUE, message);
        }
        let path = format!("{path}.with");
        let Some(Value::Object(fields)) = &step.with else {
            let message = "a `foreach` needs `with: { items: \"{{ ... }}\" }`, a list";
            let code = if step.with.is_some() { codes::WRONG_TYPE } else { codes::MISSING_FIELD };
            self.problems.add(path, code, message);
            return;
        };
        for name in fields.keys().filter(|name| *name != "items") {
            let shown: String = name.chars().take(64).collect();
            let message = format!("`{shown}` is not a field here; known is items");
            self.problems.add(format!("{path}.{shown}"), codes::UNKNOWN_FIELD, message);
        }
        match fields.get("items") {
            None => {
                let message = "`items` is required: a list, or a template that gives one";
                self.problems.add(format!("{path}.items"), codes::MISSING_FIELD, message);
            }
            Some(Value::Array(_)) => {}
            Some(Value::String(text)) if has_template(text) => {}
            Some(_) => {
                let message = "`items` is a list, or a template that gives one";
                self.problems.add(format!("{path}.items"), codes::WRONG_TYPE, message);
            }
        }
    }

    fn refuse_words_of_loops(&mut self, path: &str, step: &Step) {
        let given = [
            ("each", step.each.is_some()),
            ("max_parallel", step.max_parallel.is_some()),
            ("on_item_failure", step.on_item_failure.is_some()),
        ];
        for (field, _) in given.into_iter().filter(|(_, given)| *given) {
            let message = format!("only a step of type `{FOREACH_TYPE}` has `{field}`");
            self.problems.add(format!("{path}.{field}"), codes::BAD_VALUE, message);
        }
    }
}

/// The body as a step that nothing leads to.
fn alone(step: &Step, body: &Body) -> Step {
    Step {
        id: step.id.clone(),
        when: body.when.clone(),
        task_type: body.task_type.clone(),
        with: body.with.clone(),
        retry: body.retry.clone(),
        timeout: body.timeout.clone(),
        total_timeout: body.total_timeout.clone(),
        undo: body.undo.clone(),
        check: body.check.clone(),
        breaker: body.breaker.clone(),
        no_undo: body.no_undo,
        on_no_undo: step.on_no_undo,
        // A failed item that is not to stop the others is counted, and the rest goes on.
        allow_failure: step.on_item_failure == Some(OnItemFailure::Collect),
        ..Step::default()
    }
}
