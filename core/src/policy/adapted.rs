//! A definition under the rules: what it leaves unsaid, the nearest rule says.
//!
//! The definition's own words always win, those of its steps over its `defaults`; then rules by
//! their nearness; then the node's environment. Callbacks and `egress` are no defaults: all rules'
//! count, beside the definition's own.

use super::calls::{HTTP, call};
use super::nearness::{Rule, Rules};
use super::places::{Place, each_task};
use super::{Environment, Origin};
use crate::definition::{Count, Defaults, Definition, OwnRetry, Retry};
use crate::event::Applied;
use crate::plan::{OWN_TYPES, TaskTypes};

/// The policies that hold where no name is said: of steps, and of undos and checks.
const UNSAID: [&str; 2] = ["standard", "critical"];
const STANDARD: &str = UNSAID[0];

/// What a definition comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Adapted {
    /// With all that was left unsaid and is said by a rule.
    pub definition: Definition,
    /// Which rule said what.
    pub applied: Vec<Applied>,
}

/// What a definition comes to under rules. `types` are those that are performed here: no adapter
/// stands in for one of them. Places of `applied` are those of the canonical form, and
/// `types.<task type>.<field>` for what every step of a type was given.
#[must_use]
pub fn adapted(definition: &Definition, rules: &Rules, types: &dyn TaskTypes) -> Adapted {
    let mut own = Adapting { made: definition.clone(), applied: Vec::new() };
    let near = rules.of(definition);
    own.name_retries(&near);
    own.say(&near, &RETRY, definition);
    own.say(&near, &TIMEOUT, definition);
    own.say(&near, &BREAKER, definition);
    if let Some((origin, environment)) = &rules.environment {
        own.environment(origin, environment);
    }
    own.add_to(&near);
    own.call(rules, types);
    Adapted { definition: own.made, applied: own.applied }
}

struct Adapting {
    made: Definition,
    applied: Vec<Applied>,
}

/// A field that rules say: its name, and where it stands.
struct Field<T: 'static> {
    name: &'static str,
    of: fn(&Rule) -> Option<T>,
    default: fn(&mut Defaults) -> &mut Option<T>,
    place: for<'p, 'd> fn(&'p mut Place<'d>) -> Option<&'p mut Option<T>>,
}

const RETRY: Field<Retry> = Field {
    name: "retry",
    of: |rule| Some(self_contained(rule.policy.defaults.retry.as_ref()?, rule)),
    default: |own| &mut own.retry,
    place: |own| own.retry.as_deref_mut(),
};
const TIMEOUT: Field<crate::definition::DurationText> = Field {
    name: "timeout",
    of: |rule| rule.policy.defaults.timeout.clone(),
    default: |own| &mut own.timeout,
    place: |own| own.timeout.as_deref_mut(),
};
const BREAKER: Field<crate::definition::Breaker> = Field {
    name: "breaker",
    of: |rule| rule.policy.defaults.breaker.clone(),
    default: |own| &mut own.breaker,
    place: |own| own.breaker.as_deref_mut(),
};

/// A policy that a rule names is the rule's own of that name, whatever others call so.
fn self_contained(retry: &Retry, rule: &Rule) -> Retry {
    match retry {
        Retry::Named(name) => {
            let own = rule.policy.retry_policies.get(name);
            own.map_or_else(|| retry.clone(), |own| Retry::Own(own.clone()))
        }
        Retry::Own(_) => retry.clone(),
    }
}

impl Adapting {
    fn note(&mut self, field: String, by: &Origin) {
        let Origin { revision, .. } = *by;
        self.applied.push(Applied { field, by: by.to_string(), revision });
    }

    /// Retry policies that steps name, or that hold where none is named, and that the definition
    /// does not hold itself.
    fn name_retries(&mut self, near: &[&Rule]) {
        let named = self.made.retries_named().into_iter().map(str::to_owned);
        let mut names: Vec<String> = named.chain(UNSAID.map(str::to_owned)).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            if self.made.retry_policies.contains_key(&name) {
                continue;
            }
            let found = near
                .iter()
                .find_map(|rule| Some((rule, rule.policy.retry_policies.get(&name)?.clone())));
            if let Some((rule, own)) = found {
                self.note(format!("retry_policies.{name}"), &rule.origin);
                self.made.retry_policies.insert(name, own);
            }
        }
    }

    /// A field that the definition's `defaults` leave unsaid: what the nearest rule for all steps
    /// says becomes a default, and what nearer ones say for some types is said in their steps.
    fn say<T: Clone>(&mut self, near: &[&Rule], field: &Field<T>, definition: &Definition) {
        if (field.default)(&mut definition.defaults.clone()).is_some() {
            return;
        }
        let is_general = |rule: &Rule| rule.policy.applies_to.types.is_empty();
        let said: Vec<(&Rule, T)> =
            near.iter().filter_map(|rule| Some((*rule, (field.of)(rule)?))).collect();
        let general = said.iter().position(|(rule, _)| is_general(rule));
        let (nearer, rest) = said.split_at(general.unwrap_or(said.len()));
        let mut given: Vec<(String, Origin)> = Vec::new();
        if !nearer.is_empty() {
            each_task(&mut self.made, &mut |mut place| {
                let for_it = |(rule, _): &&(&Rule, T)| {
                    rule.policy.applies_to.types.iter().any(|own| own == place.task_type)
                };
                let Some((rule, own)) = nearer.iter().find(for_it) else { return };
                let task_type = place.task_type.clone();
                let Some(unsaid) = (field.place)(&mut place).filter(|own| own.is_none()) else {
                    return;
                };
                *unsaid = Some(own.clone());
                let noted = (format!("types.{task_type}.{}", field.name), rule.origin.clone());
                if !given.contains(&noted) {
                    given.push(noted);
                }
            });
        }
        given.into_iter().for_each(|(place, origin)| self.note(place, &origin));
        if let Some((rule, own)) = rest.first() {
            *(field.default)(&mut self.made.defaults) = Some(own.clone());
            self.note(format!("defaults.{}", field.name), &rule.origin);
        }
    }

    /// What nobody else says, the environment does. A `standard` policy of anybody's own counts as
    /// said: it is what holds where no policy is named.
    fn environment(&mut self, origin: &Origin, own: &Environment) {
        let is_said =
            self.made.defaults.retry.is_some() || self.made.retry_policies.contains_key(STANDARD);
        if let (Some(attempts), false) = (own.retry_attempts, is_said) {
            let max_attempts = Some(Count::Number(attempts));
            let retry = OwnRetry { max_attempts, ..OwnRetry::default() };
            self.made.defaults.retry = Some(Retry::Own(retry));
            self.note("defaults.retry".to_owned(), origin);
        }
        if let (Some(timeout), None) = (&own.timeout, &self.made.defaults.timeout) {
            self.made.defaults.timeout = Some(timeout.clone());
            self.note("defaults.timeout".to_owned(), origin);
        }
    }

    /// Callbacks and rules on hosts are added to those that there are.
    fn add_to(&mut self, near: &[&Rule]) {
        for rule in near {
            for callback in &rule.policy.callbacks {
                if !self.made.callbacks.contains(callback) {
                    self.note(format!("callbacks[{}]", self.made.callbacks.len()), &rule.origin);
                    self.made.callbacks.push(callback.clone());
                }
            }
            if let Some(egress) = rule.policy.egress.as_ref()
                && !self.made.egress.contains(egress)
            {
                self.note(format!("egress[{}]", self.made.egress.len()), &rule.origin);
                self.made.egress.push(egress.clone());
            }
        }
    }

    /// Tasks that name an adapter become calls of it.
    fn call(&mut self, rules: &Rules, types: &dyn TaskTypes) {
        let mut given: Vec<(String, Origin)> = Vec::new();
        each_task(&mut self.made, &mut |place| {
            let name = place.task_type.as_str();
            let is_performed = OWN_TYPES.contains(&name) || types.effectful().contains(&name);
            let Some((origin, adapter)) = rules.adapters.get(name).filter(|_| !is_performed) else {
                return;
            };
            let noted = (format!("types.{name}.url"), origin.clone());
            *place.with = Some(call(adapter, place.with.as_ref()));
            HTTP.clone_into(place.task_type);
            if !given.contains(&noted) {
                given.push(noted);
            }
        });
        given.into_iter().for_each(|(place, origin)| self.note(place, &origin));
    }
}
