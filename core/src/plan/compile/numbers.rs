//! Compiling templates that stand in the place of numbers.

use serde_json::Value;

use super::super::NumberTemplate;
use super::{Compiler, Site, Step, TaskKind, Template, codes};
use crate::definition::{Count, Definition, DurationText, Retry, STEP_TIMEOUT_MS_MAX};
use crate::event::Number;
use crate::ids::StepIndex;
use crate::retry_policy::{ATTEMPTS_MAX, RETRY_INITIAL_MS_MAX, RETRY_WAIT_MS_MAX};
use crate::time::DURATION_MS_MAX;

/// A number as written, where it is, and its bounds.
type Written<'a> = (Number, Option<&'a str>, String, (u64, u64));

impl Compiler<'_, '_> {
    /// The templates among the numbers of a step, of what it has of the defaults, and of its undo.
    pub(super) fn numbers(
        &mut self,
        path: &str,
        place: &str,
        index: StepIndex,
        (task, step): (&TaskKind, &Step),
    ) -> Vec<NumberTemplate> {
        let definition = self.definition;
        let tries = matches!(task, TaskKind::Effect(_) | TaskKind::Workflow | TaskKind::Signal);
        let mut written: Vec<Written<'_>> = Vec::new();
        let own = |name: &str| format!("{path}.{name}");
        let attempt = (1, STEP_TIMEOUT_MS_MAX);
        if tries {
            let default = definition.defaults.timeout.as_ref();
            let (timeout, at) = match &step.timeout {
                Some(timeout) => (Some(timeout), own("timeout")),
                None => (default, "defaults.timeout".to_owned()),
            };
            written.push((Number::Timeout, text(timeout), at, attempt));
            let (retry, at) = match &step.retry {
                Some(retry) => (Some(retry), own("retry")),
                None => (definition.defaults.retry.as_ref(), "defaults.retry".to_owned()),
            };
            let kinds = [Number::MaxAttempts, Number::RetryInitial, Number::RetryMax];
            written.extend(of_retry(definition, (retry, "standard"), &at, kinds));
        }
        let long = (1, DURATION_MS_MAX);
        let total = text(step.total_timeout.as_ref());
        written.push((Number::TotalTimeout, total, own("total_timeout"), long));
        written.push((Number::Sla, text(step.sla.as_ref()), own("sla"), long));
        if let Some(undo) = &step.undo {
            let (timeout, at) = match &undo.timeout {
                Some(timeout) => (Some(timeout), own("undo.timeout")),
                None => (definition.defaults.timeout.as_ref(), "defaults.timeout".to_owned()),
            };
            written.push((Number::UndoTimeout, text(timeout), at, attempt));
            let kinds = [Number::UndoMaxAttempts, Number::UndoRetryInitial, Number::UndoRetryMax];
            let retry = (undo.retry.as_ref(), "critical");
            written.extend(of_retry(definition, retry, &own("undo.retry"), kinds));
        }
        self.templates(written, Some((place, index)))
    }

    /// The templates among the numbers of the run itself.
    pub(super) fn own_numbers(&mut self) -> Vec<NumberTemplate> {
        let definition = self.definition;
        let long = (1, DURATION_MS_MAX);
        let timeout = text(definition.timeout.as_ref());
        let written = vec![
            (Number::Timeout, timeout, "timeout".to_owned(), long),
            (Number::Sla, text(definition.sla.as_ref()), "sla".to_owned(), long),
        ];
        self.templates(written, None)
    }

    fn templates(
        &mut self,
        written: Vec<Written<'_>>,
        step: Option<(&str, StepIndex)>,
    ) -> Vec<NumberTemplate> {
        let mut made = Vec::new();
        for (number, text, path, bounds) in written {
            let Some(text) = text else { continue };
            let place = match step {
                Some((place, _)) => {
                    let below = path.split_once("].").map_or(&*path, |(_, below)| below);
                    format!("{place}.{below}")
                }
                None => path.clone(),
            };
            let (names, allowance) = (&self.names, &self.allowance);
            let site = Site { path: &path, place: &place, names, allowance };
            let (mut found, value) = (Vec::new(), Value::from(text));
            let template = Template::compile(&value, &site, &mut found, self.problems);
            let is_early = found.is_empty();
            match step {
                Some((_, index)) => {
                    self.references.extend(found.into_iter().map(|found| (index, false, found)));
                }
                None => {
                    for reference in found {
                        let message = "no step has run when the run begins";
                        self.problems.add(reference.path, codes::NOT_AN_ANCESTOR, message);
                    }
                }
            }
            made.push(NumberTemplate { number, template, path, place, bounds, is_early });
        }
        made
    }
}

/// The text of a template of a duration.
fn text(duration: Option<&DurationText>) -> Option<&str> {
    duration.filter(|own| own.ms.is_none()).map(|own| &*own.text)
}

/// The numbers of a policy, at the place of a step that has it, or among the workflow's.
fn of_retry<'a>(
    definition: &'a Definition,
    (retry, unsaid): (Option<&'a Retry>, &'a str),
    at: &str,
    kinds: [Number; 3],
) -> Vec<Written<'a>> {
    let Ok(own) = definition.own_policy(retry, unsaid) else { return Vec::new() };
    let at = match retry {
        Some(Retry::Own(_)) => at.to_owned(),
        Some(Retry::Named(name)) => format!("retry_policies.{name}"),
        None => format!("retry_policies.{unsaid}"),
    };
    let attempts = match &own.max_attempts {
        Some(Count::Template(text)) => Some(&**text),
        Some(Count::Number(_)) | None => None,
    };
    let (of_attempts, of_initial, of_max) =
        ((1, u64::from(ATTEMPTS_MAX)), (0, RETRY_INITIAL_MS_MAX), (0, RETRY_WAIT_MS_MAX));
    vec![
        (kinds[0], attempts, format!("{at}.max_attempts"), of_attempts),
        (kinds[1], text(own.initial.as_ref()), format!("{at}.initial"), of_initial),
        (kinds[2], text(own.max.as_ref()), format!("{at}.max"), of_max),
    ]
}
