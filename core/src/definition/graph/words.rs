//! Where routers and steps with handlers lead: each place they name needs them, said or not.

use std::collections::{BTreeMap, BTreeSet};

use super::{Graph, index, unknown_step};
use crate::definition::problem::{Problems, codes};
use crate::definition::{Definition, Step};
use crate::ids::StepIndex;

/// Where one step leads beside its dependants.
#[derive(Debug, Default, Clone)]
pub(crate) struct Words {
    /// By route, each ascending.
    pub routes: Vec<Vec<StepIndex>>,
    /// Where a router leads if no route holds, ascending.
    pub default: Vec<StepIndex>,
    /// Ascending.
    pub on_success: Vec<StepIndex>,
    /// Ascending.
    pub on_failure: Vec<StepIndex>,
}

impl Words {
    /// The targets of all routes of a router, each once.
    pub(crate) fn targets(&self) -> BTreeSet<StepIndex> {
        self.routes.iter().flatten().chain(&self.default).copied().collect()
    }

    /// Everything it leads to, each once.
    fn all(&self) -> BTreeSet<StepIndex> {
        let mut all = self.targets();
        all.extend(self.on_success.iter().chain(&self.on_failure));
        all
    }
}

/// How many edges a step brings: its needs and what it leads to.
pub(super) fn edges(step: &Step) -> usize {
    let routes: usize = step.routes.iter().map(|route| route.to.len()).sum();
    let handlers = step.on_success.len() + step.on_failure.len();
    step.needs.len() + routes + step.default.len() + handlers
}

impl Graph {
    pub(super) fn resolve_words(
        &self,
        definition: &Definition,
        problems: &mut Problems,
    ) -> BTreeMap<StepIndex, Words> {
        let mut all = BTreeMap::new();
        for (at, step) in definition.steps.iter().enumerate() {
            if edges(step) == step.needs.len() {
                continue;
            }
            let mut list = |name: &str, ids: &[String]| {
                self.resolve(definition, &format!("steps[{at}].{name}"), ids, problems)
            };
            let routes = step.routes.iter().enumerate();
            let routes = routes.map(|(nth, own)| list(&format!("routes[{nth}].to"), &own.to));
            let routes = routes.collect();
            let default = list("default", &step.default);
            let on_success = list("on_success", &step.on_success);
            let on_failure = list("on_failure", &step.on_failure);
            all.insert(index(at), Words { routes, default, on_success, on_failure });
        }
        self.check_handlers(definition, &all, problems);
        all
    }

    fn resolve(
        &self,
        definition: &Definition,
        path: &str,
        ids: &[String],
        problems: &mut Problems,
    ) -> Vec<StepIndex> {
        let mut found = BTreeSet::new();
        for (nth, id) in ids.iter().enumerate() {
            let path = format!("{path}[{nth}]");
            match self.place(id) {
                Some(step) if !found.insert(step) => {
                    problems.add(path, codes::BAD_VALUE, format!("`{id}` is named twice"));
                }
                Some(_) => {}
                None => {
                    let message = unknown_step(definition, id, problems);
                    problems.add(path, codes::UNKNOWN_STEP, message);
                }
            }
        }
        found.into_iter().collect()
    }

    /// What a step leads to needs it.
    pub(super) fn needs_by_words(&mut self) {
        let mut grown = BTreeSet::new();
        for (&step, words) in &self.words {
            for target in words.all() {
                self.needs[target.at()].push(step);
                grown.insert(target);
            }
        }
        for step in grown {
            self.needs[step.at()].sort_unstable();
            self.needs[step.at()].dedup();
        }
    }

    /// Whoever handles failures waits for nothing else: else two failures could wait for each
    /// other's handlers.
    fn check_handlers(
        &self,
        definition: &Definition,
        all: &BTreeMap<StepIndex, Words>,
        problems: &mut Problems,
    ) {
        let targets: BTreeSet<_> = all.values().flat_map(Words::targets).collect();
        for (at, step) in definition.steps.iter().enumerate() {
            for (nth, id) in step.on_failure.iter().enumerate() {
                let Some(handler) = self.place(id) else { continue };
                let why = if !definition.steps[handler.at()].needs.is_empty() {
                    "it has `needs` of its own"
                } else if targets.contains(&handler) {
                    "a router leads to it"
                } else {
                    continue;
                };
                let path = format!("steps[{at}].on_failure[{nth}]");
                let message = format!(
                    "`{id}` cannot handle failures: {why}, and a handler begins as soon as one \
                     of the steps that name it has failed"
                );
                problems.add(path, codes::BAD_VALUE, message);
            }
        }
    }
}
