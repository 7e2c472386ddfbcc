//! What a template reads, found when it is parsed, and the values themselves, fetched when
//! it is rendered.

use std::collections::BTreeMap;

use serde_json::Value;

use super::tree::Root;
use crate::ids::StepIndex;
use crate::scope::Scope;

/// What a template reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reads {
    pub input: bool,
    pub variables: bool,
    pub workflow: bool,
    /// Steps, and whether their outputs are read.
    pub steps: BTreeMap<StepIndex, bool>,
}

impl Reads {
    /// Notes a root.
    pub(crate) fn root(&mut self, root: Root) {
        match root {
            Root::Input => self.input = true,
            Root::Variables => self.variables = true,
            Root::Workflow => self.workflow = true,
        }
    }

    /// Notes a step.
    pub(crate) fn step(&mut self, step: StepIndex, output: bool) {
        *self.steps.entry(step).or_default() |= output;
    }

    /// Notes all that another template reads.
    pub(crate) fn absorb(&mut self, other: &Self) {
        self.input |= other.input;
        self.variables |= other.variables;
        self.workflow |= other.workflow;
        other.steps.iter().for_each(|(&step, &output)| self.step(step, output));
    }

    /// Whether nothing at all is read.
    pub(crate) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// The values a template reads; null where it does not.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    input: Value,
    variables: Value,
    workflow: Value,
    steps: BTreeMap<StepIndex, Value>,
}

impl Facts {
    /// Fetches what is read, and no more.
    pub(crate) fn gather(reads: &Reads, scope: &dyn Scope) -> Self {
        let step = |(&step, &output): (&StepIndex, &bool)| {
            let mut view = scope.step(step);
            if !output {
                view.output = None;
            }
            (step, view.value())
        };
        Self {
            input: if reads.input { scope.input().value() } else { Value::Null },
            variables: if reads.variables { scope.variables().value() } else { Value::Null },
            workflow: if reads.workflow { scope.workflow() } else { Value::Null },
            steps: reads.steps.iter().map(step).collect(),
        }
    }

    /// The value of a root.
    pub(crate) fn root(&self, root: Root) -> &Value {
        match root {
            Root::Input => &self.input,
            Root::Variables => &self.variables,
            Root::Workflow => &self.workflow,
        }
    }

    /// The value of a step.
    pub(crate) fn step(&self, step: StepIndex) -> &Value {
        self.steps.get(&step).unwrap_or(&Value::Null)
    }
}
