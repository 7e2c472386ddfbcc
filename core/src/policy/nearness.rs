//! Which rules there are, the nearest first.
//!
//! A rule that names workflows is nearer than one that does not, whatever else either names; then
//! one that names task types; then one that names tags; one that names nothing is the farthest.
//! An adapter is a rule for the steps that name it. Of two that are equally near, adapters come
//! first, then what comes first by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::{Adapter, AppliesTo, Environment, Kind, Origin, Policy, read, read_adapter};
use crate::definition::{Defaults, Definition};

/// What is in force for the new runs of one tenant on one node.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rules {
    /// Policies, and what adapters say of retries and timeouts; the nearest first.
    pub(super) near: Vec<Rule>,
    pub(super) adapters: BTreeMap<Arc<str>, (Origin, Adapter)>,
    pub(super) environment: Option<(Origin, Environment)>,
}

/// A policy, and who says so.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rule {
    pub origin: Origin,
    pub policy: Policy,
}

impl Rule {
    fn distance(&self) -> (bool, bool, bool, &Origin) {
        let own = &self.policy.applies_to;
        (own.workflows.is_empty(), own.types.is_empty(), own.tags.is_empty(), &self.origin)
    }
}

impl Rules {
    /// Adds a policy as it is kept; what is no policy is left out.
    pub fn add_policy(&mut self, name: &Arc<str>, revision: u32, content: &Value) {
        let Ok(policy) = read::policy(content) else { return };
        let origin = Origin { kind: Kind::Policy, name: name.clone(), revision };
        self.put(Rule { origin, policy });
    }

    /// Adds an adapter as it is kept; what is no adapter is left out.
    pub fn add_adapter(&mut self, name: &Arc<str>, revision: u32, content: &Value) {
        let Ok(adapter) = read_adapter::adapter(content) else { return };
        let origin = Origin { kind: Kind::Adapter, name: name.clone(), revision };
        let defaults = Defaults {
            retry: adapter.retry.clone(),
            timeout: adapter.timeout.clone(),
            breaker: None,
        };
        if defaults != Defaults::default() {
            let applies_to = AppliesTo { types: vec![name.to_string()], ..AppliesTo::default() };
            let policy = Policy { applies_to, defaults, ..Policy::default() };
            self.put(Rule { origin: origin.clone(), policy });
        }
        self.adapters.insert(name.clone(), (origin, adapter));
    }

    /// Has the node's environment count.
    pub fn set_environment(&mut self, name: &Arc<str>, revision: u32, own: Environment) {
        let origin = Origin { kind: Kind::Environment, name: name.clone(), revision };
        self.environment = Some((origin, own));
    }

    fn put(&mut self, rule: Rule) {
        let at = self.near.partition_point(|own| own.distance() < rule.distance());
        self.near.insert(at, rule);
    }

    /// Whether they leave every definition as it is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.near.is_empty() && self.adapters.is_empty() && self.environment.is_none()
    }

    /// Whether steps may name a retry policy that their definition does not hold.
    #[must_use]
    pub fn has_retry_policy(&self, name: &str) -> bool {
        self.near.iter().any(|own| own.policy.retry_policies.contains_key(name))
    }

    /// Whether there is an adapter of this name.
    #[must_use]
    pub fn has_adapter(&self, name: &str) -> bool {
        self.adapters.contains_key(name)
    }

    /// Those that are for a workflow, the nearest first.
    pub(super) fn of<'r>(&'r self, definition: &Definition) -> Vec<&'r Rule> {
        let meant = |own: &&Rule| own.policy.applies_to.workflow(&definition.id, &definition.tags);
        self.near.iter().filter(meant).collect()
    }
}
