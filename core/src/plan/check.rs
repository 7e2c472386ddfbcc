//! Asking a service whether a step took effect, and what its answer means.

use std::sync::Arc;

use serde_json::Value;

use super::{PlanStep, bounded};
use crate::breaker::BreakerPolicy;
use crate::failure::{Failure, codes};
use crate::payload::Payload;
use crate::retry_policy::Retries;
use crate::scope::Scope;
use crate::template::{Condition, Reads, Template, Work};

/// How a service is asked whether a step took effect, where nobody knows.
#[derive(Debug, Clone)]
pub struct PlanCheck {
    /// The executor's task type.
    pub task_type: Arc<str>,
    /// Its `with`.
    pub input: Template,
    /// What its answer means.
    pub means: Meaning,
    /// What stands for the step's output in its undo; the answer if absent.
    pub output: Option<Template>,
    /// How it is retried.
    pub retry: Retries,
    /// How long one attempt may take.
    pub timeout_ms: u64,
    /// What is said of the breaker before its service.
    pub breaker: Option<Arc<BreakerPolicy>>,
}

/// How an answer is read.
#[derive(Debug, Clone)]
pub enum Meaning {
    /// By its status of HTTP: 2xx is yes, 404 is no, and any other says nothing.
    Status,
    /// By its `took_effect`.
    Said(Condition),
}

/// What an answer came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concluded {
    /// Whether the step took effect.
    pub took_effect: bool,
    /// What stands for its output, if that is not the answer itself.
    pub output: Option<Payload>,
}

/// The status of an answer that says that there is no such thing.
const NOT_FOUND: u64 = 404;

impl PlanStep {
    /// How its service is asked whether it took effect; of a `foreach`, that of an item.
    #[must_use]
    pub fn check(&self) -> Option<&PlanCheck> {
        let own = self.each.as_ref().map_or(self, |each| &*each.body);
        own.undo.as_ref()?.check.as_deref()
    }
}

impl PlanCheck {
    /// Notes all that its templates read.
    pub(super) fn note_reads(&self, reads: &mut Reads) {
        reads.absorb(self.input.reads());
        self.output.iter().for_each(|own| reads.absorb(own.reads()));
        if let Meaning::Said(condition) = &self.means {
            reads.absorb(condition.reads());
        }
    }

    /// The check's input; `work` grows by what rendering took.
    ///
    /// # Errors
    /// `EXPRESSION_FAILED` or `PAYLOAD_TOO_LARGE`.
    pub fn render_input(&self, scope: &dyn Scope, work: &mut Work) -> Result<Payload, Failure> {
        bounded(&self.input.render(scope, work)?, "check.with")
    }

    /// What the answer means; `scope` knows it as the step's `check`.
    ///
    /// # Errors
    /// `OUTCOME_UNKNOWN` if it says nothing; `EXPRESSION_FAILED` or `PAYLOAD_TOO_LARGE`.
    pub fn conclude(
        &self,
        scope: &dyn Scope,
        answer: &Payload,
        work: &mut Work,
    ) -> Result<Concluded, Failure> {
        let took_effect = match &self.means {
            Meaning::Said(condition) => condition.holds(scope, work)?,
            Meaning::Status => by_status(answer)?,
        };
        let output = self.output.as_ref().filter(|_| took_effect);
        let output = output.map(|output| bounded(&output.render(scope, work)?, "check.output"));
        Ok(Concluded { took_effect, output: output.transpose()? })
    }
}

fn by_status(answer: &Payload) -> Result<bool, Failure> {
    if let Some(absent) = answer.absent() {
        return Err(absent.failure("the answer of the check"));
    }
    let answer = answer.value();
    let status = answer.get("status").and_then(Value::as_u64);
    match status {
        Some(200..=299) => Ok(true),
        Some(NOT_FOUND) => Ok(false),
        _ => {
            let status = status.map_or_else(|| "no status".to_owned(), |own| own.to_string());
            let message = format!(
                "the check was answered with {status}, which does not say whether the step took \
                 effect; let its `took_effect` say so"
            );
            Err(Failure::permanent(codes::OUTCOME_UNKNOWN, message))
        }
    }
}
