//! Operators that roll revisions out, and where runs may have fallen.
//!
//! Partition 0 has the workflows' streams; what it publishes goes into a real catalog, which every
//! partition looks up and which a start of partition 0 fills anew.

use std::sync::Arc;

use backstitch_core::event::{Beta, Event};
use backstitch_core::ids::{PartitionId, StreamId};
use backstitch_core::plan::Plan;
use backstitch_core::rollout::{Applicant, ArmWish, BUCKETS, InForce, RolloutWish};
use backstitch_core::state::State;
use backstitch_core::time::Timestamp;
use backstitch_core::workflow::{self, WorkflowState};
use backstitch_saga::catalog::{Name, Revision};
use backstitch_saga::partition::{Input, RolloutAct, RolloutOrder, StagedRecord};

use super::clients::own_tags;
use super::disk::Disk;
use super::world::{Asked, World};

/// Revisions of each workflow.
pub const REVISIONS: u32 = 2;

/// The partition that has the workflows' streams.
const WORKFLOWS_PARTITION: PartitionId = PartitionId(0);

pub fn name_of(workflow: &str) -> Name {
    ("default".into(), workflow.into())
}

pub fn stream_of((namespace, workflow): Name) -> StreamId {
    StreamId::Workflow { namespace, workflow }
}

/// A revision that is there from the beginning.
pub fn define(disk: &mut Disk, plan: &Arc<Plan>, at: Timestamp) {
    let text = disk.texts[&plan.digest].clone();
    let name = name_of(&plan.workflow);
    let stream = stream_of(name.clone());
    let state = folded(disk, &stream).pop().flatten();
    for event in workflow::define(&state, &text, plan.digest, "author") {
        let version = disk.workflows.get(&stream).map_or(0, Vec::len) as u64 + 1;
        let (stream, event) = (stream.clone(), Event::Workflow(event));
        disk.write(StagedRecord::new(stream, version, at, event));
    }
    let number = folded(disk, &stream).pop().flatten().and_then(|own| Some(own.latest()?.number));
    let number = number.expect("it was defined just now");
    let actor = "author".into();
    disk.plans.insert(plan.digest, plan.clone());
    disk.catalog.add(name, Revision { number, plan: plan.clone(), text, defined_at: at, actor });
}

/// A workflow after each of its durable events, and before the first.
fn folded(disk: &Disk, stream: &StreamId) -> Vec<Option<WorkflowState>> {
    let mut states = vec![None];
    for record in disk.workflows.get(stream).into_iter().flatten() {
        let Event::Workflow(event) = &record.event else { panic!("only workflows here") };
        let mut state = states.last().cloned().flatten();
        workflow::evolve(&mut state, event, record.at).expect("it was staged after a fold");
        states.push(state);
    }
    states
}

/// What was in force for new runs at any time, once all revisions were there.
fn rollouts(disk: &Disk, stream: &StreamId) -> Vec<Option<InForce>> {
    let states = folded(disk, stream).into_iter().flatten();
    let whole = states.filter(|own| own.latest().is_some_and(|own| own.number == REVISIONS));
    whole.map(|own| own.rollout).collect()
}

impl World {
    /// Somebody sets a roll-out, switches one off or ends it.
    pub fn roll_out(&mut self) {
        let name = name_of(&self.random.pick(&self.workflows).workflow);
        let (reason, actor) = ("as it goes".to_owned(), "operator".to_owned());
        let act = match self.random.below(8) {
            0..=1 => RolloutAct::Kill { reason, actor },
            2 => RolloutAct::End { reason, actor },
            _ => RolloutAct::Set(self.rollout_wish()),
        };
        let order = Box::new(RolloutOrder { name: name.clone(), act });
        let asked = Asked::Rollout(name);
        self.ask_partition(WORKFLOWS_PARTITION, asked, |t| Input::Rollout(order, t));
    }

    /// Some wishes can't be: their shares are too large together.
    fn rollout_wish(&mut self) -> RolloutWish {
        let mut arm = |name: &str| {
            let buckets = u16::try_from(self.random.below(u64::from(BUCKETS) * 2 / 3));
            let revision = 1 + u32::try_from(self.random.below(REVISIONS.into())).expect("small");
            ArmWish { name: name.to_owned(), revision, buckets: buckets.expect("small") }
        };
        let (candidate, other) = (arm(""), arm("other"));
        let beta = Beta { revision: REVISIONS, tags: vec!["own".to_owned()], ..Beta::default() };
        RolloutWish {
            stable: 1,
            candidate: Some(candidate),
            variants: self.random.chance(50).then_some(other).into_iter().collect(),
            beta: self.random.chance(30).then_some(beta),
            reason: "as it goes".to_owned(),
            actor: "operator".to_owned(),
        }
    }

    /// What partition 0 found at its start is what new runs follow.
    pub fn take_up_workflows(&mut self) {
        let disk = self.disk.lock().expect("no panic");
        let partition = &mut self.partitions[usize::from(WORKFLOWS_PARTITION.0)];
        for (stream, records) in &disk.workflows {
            let events = super::disk::events_of(records);
            partition.adopt_workflow(stream.clone(), &events).expect("it was staged after a fold");
        }
        for workflow in &self.workflows {
            disk.catalog.roll_out(name_of(&workflow.workflow), None);
        }
        for (name, rollout) in partition.rollouts() {
            disk.catalog.roll_out(name, Some(rollout));
        }
    }
}

/// What was answered is durable, and every new run follows it.
pub fn is_in_force(disk: &Disk, name: &Name, answered: Option<&Arc<InForce>>) -> bool {
    let durable = rollouts(disk, &stream_of(name.clone()));
    let published = disk.catalog.rollout(&name.0, &name.1);
    durable.iter().any(|own| own.as_ref() == answered.map(Arc::as_ref))
        && published.as_ref() == answered
}

/// A run has the revision and the arm that some roll-out of its workflow gave it, or the newest
/// revision where none was in force.
pub fn runs_fell_where_they_should(world: &World, state: &State) {
    let submitted = &state.submitted;
    let elsewhere = state.fork_origin().is_some() || state.is_chunk();
    if submitted.retry_of.is_some() || elsewhere {
        return;
    }
    let child = state.parent().is_some();
    let tags = if child { Vec::new() } else { own_tags(state.id) };
    let correlation_id = &*submitted.correlation_id;
    let key = submitted.idempotency_key.as_deref().unwrap_or(correlation_id);
    let run = Applicant { key, correlation_id, tags: &tags, subject: &submitted.actor };
    let disk = world.disk.lock().expect("no panic");
    let stream = stream_of(name_of(&submitted.workflow));
    let first = state.migrations.as_ref().map(|own| own.first_revision);
    let fell = (first.unwrap_or(submitted.revision), state.variant());
    let gave = |own: &Option<InForce>| match own {
        None => fell == (REVISIONS, None),
        Some(own) => {
            let (number, arm) = own.assign("default", &submitted.workflow, &run);
            fell == (number, Some(arm))
        }
    };
    let found = rollouts(&disk, &stream).iter().any(gave);
    assert!(
        found,
        "seed {}: {} fell into {fell:?}, where no roll-out put it",
        world.seed, state.id
    );
    let content = disk.catalog.revisions("default", &submitted.workflow);
    let content = content.iter().find(|own| own.number == submitted.revision);
    let same = content.map(|own| own.plan.digest) == Some(submitted.digest);
    assert!(first.is_some() || same, "seed {}: {} is of another content", world.seed, state.id);
}

/// Kinds of events that the seeds together must reach.
pub const EVENT_KINDS: [&str; 3] = ["RolloutSet", "RolloutKilled", "RolloutEnded"];
