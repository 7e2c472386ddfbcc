//! Compiling how a service is asked whether a step took effect.

use serde_json::{Map, Value, json};

use super::super::OWN_TYPES;
use super::super::check::{Meaning, PlanCheck};
use super::{Compiler, TaskKind};
use crate::definition::problem::codes;
use crate::definition::{Check, Count, DurationText, STEP_TIMEOUT_MS_DEFAULT, Step};
use crate::ids::StepIndex;

/// The task type whose answers have a status.
const HTTP: &str = "http";

impl Compiler<'_, '_> {
    /// The check of a step whose undo its answer decides.
    pub(super) fn check(
        &mut self,
        path: &str,
        place: &str,
        index: StepIndex,
        (task, step): (&TaskKind, &Step),
    ) -> Option<Box<PlanCheck>> {
        let check = step.check.as_ref()?;
        let (path, place) = (format!("{path}.check"), format!("{place}.check"));
        self.may_be_asked(&path, (task, step));
        self.refuse_templates_of_numbers(&path, check);
        let with = expecting(check);
        if OWN_TYPES.contains(&&*check.task_type) {
            let message = format!("`{}` asks no service", check.task_type);
            self.problems.add(format!("{path}.type"), codes::BAD_VALUE, message);
        } else {
            self.check_effect(&path, &check.task_type, Some(&with), &[]);
        }
        let input = self.template(Some(&with), (&path, &place), index, (true, true));
        self.check_secrets(&path, &check.task_type, &input);
        if input.reads_output_of(index) {
            let message = "nobody has the step's output: that is why its service is asked; \
                           ask by its `idempotency_key`";
            self.problems.add(format!("{path}.with"), codes::NOT_AN_ANCESTOR, message);
        }
        let means = self.meaning(&path, &place, index, check)?;
        let output = check.output.as_ref();
        let output = output.map(|own| {
            let (path, place) = (format!("{path}.output"), format!("{place}.output"));
            self.tree(own, (&path, &place), index, (true, false))
        });
        let timeout = check.timeout.as_ref().or(self.definition.defaults.timeout.as_ref());
        Some(Box::new(PlanCheck {
            task_type: check.task_type.as_str().into(),
            input,
            means,
            output,
            retry: self.definition.retries(check.retry.as_ref(), "critical"),
            timeout_ms: timeout.and_then(|own| own.ms).unwrap_or(STEP_TIMEOUT_MS_DEFAULT),
            breaker: self.breaker_of_undo(step, check.breaker.as_ref(), &check.task_type),
        }))
    }

    fn may_be_asked(&mut self, path: &str, (task, step): (&TaskKind, &Step)) {
        let message = match task {
            TaskKind::Foreach => "of a `foreach` it belongs to its items: `each.check`".to_owned(),
            TaskKind::Effect(_) if step.undo.is_some() => return,
            TaskKind::Effect(_) => "there is no `undo` for its answer to decide".to_owned(),
            _ => format!("what became of a `{}` step is known", step.task_type),
        };
        self.problems.add(path, codes::BAD_VALUE, message);
    }

    fn meaning(
        &mut self,
        path: &str,
        place: &str,
        index: StepIndex,
        check: &Check,
    ) -> Option<Meaning> {
        let (path, place) = (format!("{path}.took_effect"), format!("{place}.took_effect"));
        match &check.took_effect {
            Some(said) => self.condition(said, &path, &place, index, true).map(Meaning::Said),
            None if check.task_type == HTTP => Some(Meaning::Status),
            None => {
                let message = "`took_effect` is required: an expression over the answer, \
                               `steps.<id>.check`";
                self.problems.add(path, codes::MISSING_FIELD, message);
                None
            }
        }
    }

    /// The numbers of a check are not rendered with those of its step: the step may have failed
    /// of them.
    fn refuse_templates_of_numbers(&mut self, path: &str, check: &Check) {
        let Ok(own) = self.definition.own_policy(check.retry.as_ref(), "critical") else { return };
        let text = |own: &Option<DurationText>| own.as_ref().is_some_and(|own| own.ms.is_none());
        let attempts = matches!(own.max_attempts, Some(Count::Template(_)));
        if attempts || text(&own.initial) || text(&own.max) {
            let message = "the policy of a check has no templates";
            self.problems.add(format!("{path}.retry"), codes::BAD_VALUE, message);
        }
    }
}

/// What is asked: a call by HTTP whose author does not say what it expects may find nothing.
fn expecting(check: &Check) -> Value {
    let mut with = check.with.clone().unwrap_or_else(|| Value::Object(Map::new()));
    if let (HTTP, None, Value::Object(fields)) = (&*check.task_type, &check.took_effect, &mut with)
    {
        fields.entry("expect_status").or_insert_with(|| json!(["2xx", 404]));
    }
    with
}
