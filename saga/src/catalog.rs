//! Every revision of every workflow, compiled, shared by all partitions.
//!
//! A cache of the workflow streams: a revision is in here only once it is durable. Revisions
//! never change; adding one is the only write.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use backstitch_core::alerts;
use backstitch_core::availability::{Availability, Unavailable};
use backstitch_core::ids::Digest;
use backstitch_core::lineage::{Plans, Texts};
use backstitch_core::plan::Plan;
use backstitch_core::rollout::{Applicant, InForce, NotOpen};
use backstitch_core::time::Timestamp;
use backstitch_core::workflow::{Adaptation, Source};

use crate::policies::PolicyBook;

/// One revision of a workflow.
#[derive(Debug, Clone)]
pub struct Revision {
    /// Counted from 1.
    pub number: u32,
    /// Its content.
    pub plan: Arc<Plan>,
    /// The canonical JSON.
    pub text: Arc<str>,
    /// When it was defined.
    pub defined_at: Timestamp,
    /// By whom.
    pub actor: Arc<str>,
}

/// Namespace and workflow id.
pub type Name = (Arc<str>, Arc<str>);

/// Plans of migrated runs that are remembered before all are forgotten; they are made anew.
const SUCCESSORS_MAX: usize = 1_000;
/// The revision that a new run gets.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// Its number.
    pub number: u32,
    /// Its content.
    pub plan: Arc<Plan>,
    /// The arm of the roll-out that the run fell into, if it did.
    pub variant: Option<String>,
}

/// A workflow as lists show it.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its newest revision.
    pub newest: Revision,
    /// When its first one was defined.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: Arc<str>,
    /// Whether runs of it begin.
    pub availability: Arc<Availability>,
}

/// Why a new run gets no revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotChosen {
    /// There is no such workflow.
    NoWorkflow,
    /// The workflow has no such revision.
    NoRevision,
    /// The workflow's roll-out keeps it from the run.
    NotOpen(NotOpen),
    /// What policies make of it is no definition.
    DoesNotFit,
    /// What policies make of this revision is not known yet.
    Unsettled(u32),
}

#[derive(Debug, Default)]
struct Tables {
    workflows: BTreeMap<Name, Vec<Revision>>,
    plans: HashMap<Digest, Arc<Plan>>,
    kept: HashMap<Digest, Arc<str>>,
    sources: HashMap<(Name, Digest), Source>,
    /// The canonical JSON of every content.
    texts: HashMap<Digest, Arc<str>>,
    /// Plans of runs that were migrated, by their lineage.
    successors: HashMap<Vec<Digest>, Arc<Plan>>,
    rollouts: HashMap<Name, Arc<InForce>>,
    /// Workflows of which no run begins.
    unavailable: HashMap<Name, Arc<Availability>>,
    /// What policies said in contents that they made.
    adaptations: HashMap<Digest, Adaptation>,
    /// What operators want to be told of new runs.
    alerts: Arc<alerts::InForce>,
}

impl Tables {
    fn listed(&self, name: &Name) -> Option<Listed> {
        let revisions = self.workflows.get(name)?;
        let (first, newest) = (revisions.first()?, revisions.last()?.clone());
        let availability = self.unavailable.get(name).cloned().unwrap_or_default();
        let (created_at, created_by) = (first.defined_at, first.actor.clone());
        Some(Listed { newest, created_at, created_by, availability })
    }
}

/// The revisions that may be used.
#[derive(Debug, Default)]
pub struct Catalog {
    tables: RwLock<Tables>,
    policies: PolicyBook,
}

impl Catalog {
    /// Adds a revision; one that is known is left as it is.
    pub fn add(&self, name: Name, revision: Revision) {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        tables.plans.entry(revision.plan.digest).or_insert_with(|| revision.plan.clone());
        tables.texts.entry(revision.plan.digest).or_insert_with(|| revision.text.clone());
        let revisions = tables.workflows.entry(name).or_default();
        if revisions.iter().all(|known| known.number != revision.number) {
            revisions.push(revision);
        }
    }

    /// What policies, the environment and adapters make of revisions.
    #[must_use]
    pub fn policies(&self) -> &PolicyBook {
        &self.policies
    }

    /// What policies said in a content, if they made it.
    #[must_use]
    pub fn adaptation(&self, digest: &Digest) -> Option<Adaptation> {
        self.read(|tables| tables.adaptations.get(digest).cloned())
    }

    /// Notes what policies said in a content.
    pub fn adapt(&self, digest: Digest, own: Adaptation) {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        tables.adaptations.entry(digest).or_insert(own);
    }

    /// How many contents there are, and the bytes of their texts.
    pub fn texts(&self) -> (usize, usize) {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        (tables.texts.len(), tables.texts.values().map(|text| text.len()).sum())
    }

    /// Adds a content that is no revision: imported runs are pinned to it, or policies made it.
    pub fn keep(&self, plan: Arc<Plan>, text: Arc<str>) {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        tables.texts.entry(plan.digest).or_insert_with(|| text.clone());
        tables.kept.entry(plan.digest).or_insert(text);
        tables.plans.entry(plan.digest).or_insert(plan);
    }

    /// Has new runs of a workflow follow a roll-out, or none.
    pub fn roll_out(&self, name: Name, rollout: Option<Arc<InForce>>) {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        match rollout {
            Some(rollout) => drop(tables.rollouts.insert(name, rollout)),
            None => drop(tables.rollouts.remove(&name)),
        }
    }

    /// Says whether runs of a workflow begin; one that was purged is no longer to be had.
    pub fn avail(&self, name: Name, own: Availability) {
        if own.purged {
            self.policies.forget(&name.0);
        }
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        if own.purged {
            tables.workflows.remove(&name);
            tables.rollouts.remove(&name);
            tables.sources.retain(|(other, _), _| *other != name);
        }
        match own.unavailable() {
            Some(_) => drop(tables.unavailable.insert(name, Arc::new(own))),
            None => drop(tables.unavailable.remove(&name)),
        }
    }

    /// Has new runs raise alerts as these rules say.
    pub fn alert(&self, rules: alerts::InForce) {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        tables.alerts = Arc::new(rules);
    }

    /// What operators want to be told of new runs.
    #[must_use]
    pub fn alerts(&self) -> Arc<alerts::InForce> {
        self.read(|tables| tables.alerts.clone())
    }

    /// Whether runs of a workflow begin.
    #[must_use]
    pub fn availability(&self, namespace: &str, workflow: &str) -> Arc<Availability> {
        let name = (namespace.into(), workflow.into());
        self.read(|tables| tables.unavailable.get(&name).cloned().unwrap_or_default())
    }

    /// Whether new runs of a workflow begin.
    ///
    /// # Errors
    /// Why none does.
    pub fn admits(&self, namespace: &str, workflow: &str) -> Result<(), Unavailable> {
        self.availability(namespace, workflow).unavailable().map_or(Ok(()), Err)
    }

    /// The roll-out that new runs of a workflow follow.
    #[must_use]
    pub fn rollout(&self, namespace: &str, workflow: &str) -> Option<Arc<InForce>> {
        let name = (namespace.into(), workflow.into());
        self.read(|tables| tables.rollouts.get(&name).cloned())
    }

    /// The revision that a new run gets: the one it asks for, if it may have it; what the
    /// roll-out says; the newest.
    ///
    /// # Errors
    /// Why there is none for it.
    pub fn choose(
        &self,
        namespace: &str,
        workflow: &str,
        wanted: Option<u32>,
        run: &Applicant<'_>,
    ) -> Result<Chosen, NotChosen> {
        let name = (namespace.into(), workflow.into());
        self.read(|tables| {
            let revisions = tables.workflows.get(&name).ok_or(NotChosen::NoWorkflow)?;
            let rollout = tables.rollouts.get(&name);
            let (number, variant) = match (wanted, rollout) {
                (Some(wanted), Some(rollout)) => {
                    rollout.admits(wanted, run).map_err(NotChosen::NotOpen)?;
                    (Some(wanted), None)
                }
                (None, Some(rollout)) => {
                    let (number, variant) = rollout.assign(namespace, workflow, run);
                    (Some(number), Some(variant.to_owned()))
                }
                (wanted, None) => (wanted, None),
            };
            let found = match number {
                Some(number) => revisions.iter().find(|own| own.number == number),
                None => revisions.last(),
            };
            let Revision { number, plan, .. } = found.ok_or(NotChosen::NoRevision)?;
            Ok(Chosen { number: *number, plan: plan.clone(), variant })
        })
    }

    /// Keeps the text that a content of a workflow was submitted as, in place of an older one.
    pub fn keep_source(&self, name: Name, content: Digest, source: Source) {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        tables.sources.insert((name, content), source);
    }

    /// The text that a content of a workflow was submitted as; none if that is the content's own
    /// text, or nobody said.
    #[must_use]
    pub fn source(&self, namespace: &str, workflow: &str, content: Digest) -> Option<Source> {
        let name = (namespace.into(), workflow.into());
        self.read(|tables| tables.sources.get(&(name, content)).cloned())
    }

    /// The canonical JSON of a content that runs of a workflow are pinned to.
    #[must_use]
    pub fn text(&self, namespace: &str, workflow: &str, digest: &Digest) -> Option<Arc<str>> {
        if let Some(text) = self.read(|tables| tables.kept.get(digest).cloned()) {
            return Some(text);
        }
        let revisions = self.revisions(namespace, workflow);
        revisions.into_iter().find(|own| own.plan.digest == *digest).map(|own| own.text)
    }

    /// The plan of a content.
    #[must_use]
    pub fn plan(&self, digest: &Digest) -> Option<Arc<Plan>> {
        self.read(|tables| tables.plans.get(digest).cloned())
    }

    /// The newest revision of a workflow.
    #[must_use]
    pub fn latest(&self, namespace: &str, workflow: &str) -> Option<Revision> {
        self.revisions(namespace, workflow).pop()
    }

    /// All revisions of a workflow, oldest first; none if there is no such workflow.
    #[must_use]
    pub fn revisions(&self, namespace: &str, workflow: &str) -> Vec<Revision> {
        let name = (namespace.into(), workflow.into());
        self.read(|tables| tables.workflows.get(&name).cloned().unwrap_or_default())
    }

    /// The newest revision of every workflow of a namespace, by id.
    #[must_use]
    pub fn all(&self, namespace: &str) -> Vec<Revision> {
        self.read(|tables| {
            let own = tables.workflows.iter().filter(|((space, _), _)| **space == *namespace);
            own.filter_map(|(_, revisions)| revisions.last().cloned()).collect()
        })
    }

    /// Every workflow of a namespace, by id.
    #[must_use]
    pub fn listed(&self, namespace: &str) -> Vec<Listed> {
        self.read(|tables| {
            let own = tables.workflows.keys().filter(|(space, _)| **space == *namespace);
            own.filter_map(|name| tables.listed(name)).collect()
        })
    }

    /// One of them.
    #[must_use]
    pub fn listed_one(&self, namespace: &str, workflow: &str) -> Option<Listed> {
        self.read(|tables| tables.listed(&(namespace.into(), workflow.into())))
    }

    /// Something of the workflows that have it, the most of all their revisions.
    pub(crate) fn workflows<R: Ord>(&self, find: impl Fn(&Plan) -> Option<R>) -> BTreeMap<Name, R> {
        let of = |revisions: &[Revision]| revisions.iter().filter_map(|own| find(&own.plan)).max();
        self.read(|tables| {
            let all = tables.workflows.iter();
            all.filter_map(|(name, own)| Some((name.clone(), of(own)?))).collect()
        })
    }

    /// The canonical JSON of a content, whoever runs it.
    fn text_of(&self, digest: &Digest) -> Option<Arc<str>> {
        self.read(|tables| tables.texts.get(digest).cloned())
    }

    fn read<R>(&self, look: impl FnOnce(&Tables) -> R) -> R {
        look(&self.tables.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Plans for Catalog {
    fn plan_of(&self, lineage: &[Digest]) -> Option<Arc<Plan>> {
        if let [only] = lineage {
            return self.plan(only);
        }
        if let Some(known) = self.read(|tables| tables.successors.get(lineage).cloned()) {
            return Some(known);
        }
        let plan = Texts(|digest: &Digest| self.text_of(digest)).plan_of(lineage)?;
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        if tables.successors.len() >= SUCCESSORS_MAX {
            tables.successors.clear();
        }
        Some(tables.successors.entry(lineage.to_vec()).or_insert(plan).clone())
    }
}
