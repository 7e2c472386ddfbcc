//! Reading how a service is asked whether a step took effect.

use serde_json::Value;

use super::breakers::breaker;
use super::problem::Problems;
use super::read::task_type;
use super::read_fields::Fields;
use super::read_policies::duration;
use super::retries::retry;
use super::{Breaker, DurationText, Retry, STEP_TIMEOUT_MS_MAX};
use crate::template::TEMPLATE_BYTES_MAX;

/// How a service is asked whether a step took effect, where nobody knows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Check {
    /// What an executor takes.
    pub task_type: String,
    /// Its input: a tree with templates.
    pub with: Option<Value>,
    /// An expression over the answer: whether the step took effect.
    pub took_effect: Option<String>,
    /// What stands for the step's output in its undo: a tree with templates; the answer if absent.
    pub output: Option<Value>,
    /// How attempts are repeated.
    pub retry: Option<Retry>,
    /// How long one attempt may take.
    pub timeout: Option<DurationText>,
    /// The breaker before its service.
    pub breaker: Option<Breaker>,
}

/// The check of a step.
pub(super) fn check(fields: &Fields<'_>, problems: &mut Problems) -> Option<Check> {
    let known = ["type", "with", "took_effect", "output", "retry", "timeout", "breaker"];
    let own = Fields::of(fields.get("check")?, &fields.at("check"), &known, problems)?;
    Some(Check {
        task_type: task_type(&own, problems),
        with: own.get("with").cloned(),
        took_effect: own.text("took_effect", TEMPLATE_BYTES_MAX, problems),
        output: own.get("output").cloned(),
        retry: retry(&own, problems),
        timeout: duration(&own, "timeout", (1, STEP_TIMEOUT_MS_MAX), problems),
        breaker: breaker(&own, problems),
    })
}
