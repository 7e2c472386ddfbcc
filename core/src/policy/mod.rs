//! What an operator says for many workflows at once: policies, environments and adapters, and
//! what becomes of a definition under them.
//!
//! Pure: definitions and rules in, definitions out. Knows nothing of where rules are kept, nor of
//! when a definition is adapted: whoever begins a run does that, and pins the run to the outcome.

mod adapted;
mod calls;
mod nearness;
mod places;
mod read;
mod read_adapter;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::definition::problem::Problem;
use crate::definition::{Defaults, DurationText, OwnRetry, Retry};
use crate::egress::Egress;
use crate::event::Target;
use crate::pattern::is_like;

pub use adapted::{Adapted, adapted};
pub use nearness::Rules;
pub use read::{LIST_MAX, check_environment, check_policy};
pub use read_adapter::{HEADERS_MAX, check_adapter};

/// What holds for every workflow that it applies to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Policy {
    /// To which.
    pub applies_to: AppliesTo,
    /// Retry policies that steps may name, by name.
    pub retry_policies: BTreeMap<String, OwnRetry>,
    /// For steps that do not say, where the workflow does not say either.
    pub defaults: Defaults,
    /// Who is told, beside those that the workflow names.
    pub callbacks: Vec<Target>,
    /// Which hosts may be called, whatever the workflow says.
    pub egress: Option<Egress>,
}

/// Which workflows, and which of their steps. What is empty leaves none out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppliesTo {
    /// Workflows whose definitions have one of these tags.
    pub tags: Vec<String>,
    /// Workflows whose ids are one of these; `*` stands for any characters.
    pub workflows: Vec<String>,
    /// Steps of these task types, as they are written.
    pub types: Vec<String>,
}

/// What holds on nodes that are started with its name, where neither a workflow nor a policy says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// All attempts of a step, the first included.
    pub retry_attempts: Option<u16>,
    /// How long one attempt may take.
    pub timeout: Option<DurationText>,
    /// From which risk on a person is asked. Kept; nothing follows of it yet.
    pub man_mode_threshold: Option<Arc<str>>,
}

/// A service that steps call by its name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Adapter {
    /// Where it is.
    pub url: String,
    /// What every call carries; secrets by reference.
    pub headers: Map<String, Value>,
    /// How long one attempt may take.
    pub timeout: Option<DurationText>,
    /// How attempts are repeated.
    pub retry: Option<Retry>,
    /// Where it says how it is. Kept; nothing asks it yet.
    pub health: Option<String>,
}

/// What kind of thing said a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A named endpoint.
    Adapter,
    /// A policy.
    Policy,
    /// What a node was started in.
    Environment,
}

/// What said a value: one revision of one thing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// What kind of thing.
    pub kind: Kind,
    /// Its name.
    pub name: Arc<str>,
    /// Counted from 1; 0 for what a configuration file says.
    pub revision: u32,
}

impl Kind {
    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Adapter => "adapter",
            Self::Policy => "policy",
            Self::Environment => "environment",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.word(), self.name)
    }
}

impl AppliesTo {
    /// Whether a workflow is meant, by its id and its definition's tags.
    #[must_use]
    pub fn workflow(&self, id: &str, tags: &[String]) -> bool {
        let by_tag = self.tags.is_empty() || self.tags.iter().any(|own| tags.contains(own));
        let by_id = || self.workflows.iter().any(|own| is_like(own, id));
        by_tag && (self.workflows.is_empty() || by_id())
    }
}

/// The environment that a text describes, which was checked before.
///
/// # Errors
/// Every problem.
pub fn environment(value: &Value) -> Result<Environment, Vec<Problem>> {
    read::environment(value)
}
