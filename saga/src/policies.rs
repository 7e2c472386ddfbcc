//! What policies, the environment and adapters make of revisions: looked up by whoever begins a
//! run, and remembered as long as none of them changes.
//!
//! A cache of the objects of configuration and of the workflow streams. What it answers to pin a
//! run to is durable; making it so is the handle's part.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use backstitch_core::definition::problem::{Problem, codes};
use backstitch_core::definition::{DEFINITION_BYTES_MAX, Definition};
use backstitch_core::event::ObjectKind;
use backstitch_core::ids::Digest;
use backstitch_core::objects::{Object, Objects, of_kind};
use backstitch_core::plan::{Plan, TaskTypes};
use backstitch_core::policy::{self, Environment, Rules, adapted};
use backstitch_core::workflow::Adaptation;
use backstitch_core::yaml::{Format, parse};
use backstitch_executors::Registry;
use serde_json::Value;

use crate::catalog::Revision;

/// Revisions of which it is remembered what rules make of them, before all are forgotten.
const SETTLED_MAX: usize = 10_000;
/// The kinds of objects that rules are made of.
const KINDS: [ObjectKind; 3] = [ObjectKind::Policy, ObjectKind::Environment, ObjectKind::Adapter];

/// Where the node runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The name of its environment, if it has one.
    pub environment: Option<Arc<str>>,
    /// Environments of the configuration file. A tenant's own of that name stand in their place.
    pub environments: BTreeMap<Arc<str>, Environment>,
}

/// What a run of a revision is pinned to.
#[derive(Debug, Clone)]
pub(crate) enum Settled {
    /// The revision as it is.
    AsItIs,
    /// What the rules made of it.
    Adapted(Arc<Plan>),
    /// Nothing: what the rules would make of it is no definition.
    DoesNotFit(Arc<[Problem]>),
}

/// What rules make of a revision, not durable yet.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub plan: Arc<Plan>,
    pub text: Arc<str>,
    pub adaptation: Adaptation,
}

/// The rules in force, and what became of revisions under them.
#[derive(Debug, Default)]
pub struct PolicyBook {
    known: RwLock<Known>,
    /// Held while something is settled, so that it is done once.
    pub(crate) settling: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Known {
    settings: Settings,
    objects: Arc<Objects>,
    /// Of tenants with objects of their own.
    rules: HashMap<Arc<str>, Arc<Rules>>,
    /// Of all others.
    of_file: Arc<Rules>,
    settled: HashMap<(Arc<str>, Digest), Settled>,
}

impl Known {
    fn rules(&self, namespace: &str) -> &Arc<Rules> {
        self.rules.get(namespace).unwrap_or(&self.of_file)
    }
}

impl Settings {
    /// What is in force for a tenant with these objects.
    fn rules_of(&self, namespace: &Arc<str>, objects: &Objects) -> Rules {
        let mut rules = Rules::default();
        for (name, own) in of_kind(objects, namespace, ObjectKind::Policy) {
            rules.add_policy(name, own.revision, &own.content);
        }
        for (name, own) in of_kind(objects, namespace, ObjectKind::Adapter) {
            rules.add_adapter(name, own.revision, &own.content);
        }
        let Some(name) = &self.environment else { return rules };
        let mut own = of_kind(objects, namespace, ObjectKind::Environment);
        let own = own.find(|(other, _)| *other == name);
        let own = own.and_then(|(_, own)| Some((own.revision, environment(own)?)));
        let of_file = || Some((0, self.environments.get(name)?.clone()));
        if let Some((revision, environment)) = own.or_else(of_file) {
            rules.set_environment(name, revision, environment);
        }
        rules
    }
}

fn environment(own: &Object) -> Option<Environment> {
    policy::environment(&own.content).ok()
}

impl PolicyBook {
    /// Where the node runs; said once, before anything else.
    pub(crate) fn start_in(&self, settings: Settings) {
        let of_file = settings.rules_of(&Arc::from(""), &Objects::new());
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        (known.of_file, known.settings) = (Arc::new(of_file), settings);
    }

    /// Has these objects count from now on. Nobody else may do so meanwhile.
    pub(crate) fn keep(&self, objects: Arc<Objects>) {
        let (before, settings) = self.read(|known| (known.objects.clone(), known.settings.clone()));
        let rules = changed(&before, &objects).into_iter().map(|namespace| {
            let has_own = KINDS.iter().any(|kind| of_kind(&objects, &namespace, *kind).count() > 0);
            let rules = has_own.then(|| Arc::new(settings.rules_of(&namespace, &objects)));
            (namespace, rules)
        });
        let rules: Vec<_> = rules.collect();
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.objects = objects;
        for (namespace, rules) in rules {
            known.settled.retain(|(other, _), _| *other != namespace);
            match rules {
                Some(rules) => drop(known.rules.insert(namespace, rules)),
                None => drop(known.rules.remove(&namespace)),
            }
        }
    }

    /// What is in force for a tenant.
    #[must_use]
    pub fn rules(&self, namespace: &str) -> Arc<Rules> {
        self.read(|known| known.rules(namespace).clone())
    }

    /// The name of the node's environment, if nobody says what it is, with those that are known.
    #[must_use]
    pub fn unknown_environment(&self) -> Option<(Arc<str>, Vec<Arc<str>>)> {
        self.read(|known| {
            let name = known.settings.environment.as_ref()?;
            let of_objects = known
                .objects
                .keys()
                .filter_map(|(_, kind, name)| (*kind == ObjectKind::Environment).then_some(name));
            let all: BTreeSet<_> =
                known.settings.environments.keys().chain(of_objects).cloned().collect();
            (!all.contains(name)).then(|| (name.clone(), all.into_iter().collect()))
        })
    }

    /// What a new run of a content is pinned to; the rules that have to be asked, if that is not
    /// known yet.
    pub(crate) fn settled(&self, namespace: &str, content: Digest) -> Result<Settled, Arc<Rules>> {
        self.read(|known| {
            let rules = known.rules(namespace);
            if rules.is_empty() {
                return Ok(Settled::AsItIs);
            }
            let key = (Arc::from(namespace), content);
            known.settled.get(&key).cloned().ok_or_else(|| rules.clone())
        })
    }

    /// Remembers what became of a content under rules, if they still count.
    pub(crate) fn remember(
        &self,
        (namespace, content): (&Arc<str>, Digest),
        rules: &Arc<Rules>,
        settled: Settled,
    ) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(known.rules(namespace), rules) {
            return;
        }
        if known.settled.len() >= SETTLED_MAX {
            known.settled.clear();
        }
        known.settled.insert((namespace.clone(), content), settled);
    }

    /// Forgets what became of a tenant's contents: some of them are gone.
    pub(crate) fn forget(&self, namespace: &str) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.settled.retain(|(other, _), _| **other != *namespace);
    }

    fn read<R>(&self, look: impl FnOnce(&Known) -> R) -> R {
        look(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Tenants some of whose rules differ.
fn changed(before: &Objects, after: &Objects) -> BTreeSet<Arc<str>> {
    let differ = |own: &Objects, other: &Objects| -> Vec<Arc<str>> {
        let of_rules = own.iter().filter(|((_, kind, _), _)| KINDS.contains(kind));
        let changed = of_rules
            .filter(|(id, object)| other.get(*id).is_none_or(|known| !Arc::ptr_eq(known, object)));
        changed.map(|((namespace, ..), _)| namespace.clone()).collect()
    };
    differ(before, after).into_iter().chain(differ(after, before)).collect()
}

/// What rules make of a revision; nothing if they leave it as it is.
///
/// # Errors
/// Every problem of what they would make of it.
pub(crate) fn make(
    rules: &Rules,
    revision: &Revision,
    registry: &Registry,
) -> Result<Option<Made>, Vec<Problem>> {
    let value = parse(revision.text.as_bytes(), Format::Json).map_err(|problem| vec![problem])?;
    let made = adapted(&Definition::read(&value)?, rules, registry);
    let text = made.definition.canonical_text();
    if Digest::of(text.as_bytes()) == revision.plan.digest {
        return Ok(None);
    }
    if text.len() > DEFINITION_BYTES_MAX {
        let message = format!("{} bytes as JSON; at most {DEFINITION_BYTES_MAX}", text.len());
        return Err(vec![Problem { path: String::new(), code: codes::OUT_OF_RANGE, message }]);
    }
    let plan = Arc::new(Plan::recompile(&text).map_err(by_rules)?);
    let adaptation = Adaptation { revision: revision.number, applied: made.applied.into() };
    Ok(Some(Made { plan, text: text.into(), adaptation }))
}

fn by_rules(problems: Vec<Problem>) -> Vec<Problem> {
    let mut problems = problems;
    for problem in &mut problems {
        problem.message.insert_str(0, "with the policies and adapters in force: ");
    }
    problems
}

/// What definitions are checked by: what is performed here, and what rules know by name.
pub(crate) struct Vocabulary<'a> {
    pub registry: &'a Registry,
    pub rules: &'a Rules,
}

impl TaskTypes for Vocabulary<'_> {
    fn effectful(&self) -> &[&'static str] {
        self.registry.task_types()
    }

    fn check(&self, task_type: &str, with: &Value) -> Vec<(String, String)> {
        self.registry.check(task_type, with)
    }

    fn takes_secrets(&self, task_type: &str) -> bool {
        TaskTypes::takes_secrets(self.registry, task_type)
    }

    fn has_retry_policy(&self, name: &str) -> bool {
        self.rules.has_retry_policy(name)
    }

    fn has_adapter(&self, name: &str) -> bool {
        self.rules.has_adapter(name)
    }
}
