//! Checkpoints: a run's state as plain data, so that a start folds only what came after it.
//!
//! A cache, never truth: one of another format, or of another plan, is refused and the run
//! folded from its events. Knows no bytes; encoding is the journal's.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::arrows::Phase;
use crate::event::Submitted;
use crate::ids::{Digest, ExecutionId};
use crate::payload::Payload;
use crate::plan::Plan;
use crate::state::payloads::for_each_mut;
use crate::state::{
    Calls, Cancel, Controls, Delivery, Ending, Failing, FlowState, Forks, Keyed, Letter, Links,
    Migrations, Notices, RunKeys, Sets, State, StepState,
};
use crate::time::Timestamp;
use crate::trace::TraceContext;

/// The format of checkpoints that this code makes and reads. It rises with every change of
/// what a state holds or means; a test compares the bytes.
pub const CHECKPOINT_FORMAT: u32 = 26;

/// A run's state but for its plan, which the submission names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    format: u32,
    id: ExecutionId,
    submitted: Box<Submitted>,
    submitted_at: Timestamp,
    version: u64,
    phase: Phase,
    begun_at: Option<Timestamp>,
    steps: Vec<StepState>,
    failing: Option<Failing>,
    cancel: Option<Cancel>,
    controls: Option<Box<Controls>>,
    flow: Option<Box<FlowState>>,
    keyed: Option<Box<Keyed>>,
    deadline_passed: bool,
    ending: Option<Ending>,
    deliveries: Vec<Delivery>,
    letters: Vec<Letter>,
    links: Option<Box<Links>>,
    forks: Option<Box<Forks>>,
    payload_bytes: usize,
    updated_at: Timestamp,
    sets: Sets,
    tags: Arc<[Arc<str>]>,
    migrations: Option<Box<Migrations>>,
    run_keys: Option<Box<RunKeys>>,
    calls: Option<Box<Calls>>,
    notices: Option<Box<Notices>>,
    traced: Option<Box<TraceContext>>,
}

/// Why a checkpoint cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Another version of this code made it.
    #[error("the checkpoint has format {0}, known is {CHECKPOINT_FORMAT}")]
    Format(u32),
    /// It is not of this run or not of this plan.
    #[error("the checkpoint is of another run or revision")]
    Foreign,
}

impl Checkpoint {
    /// The state as it stands.
    #[must_use]
    pub fn of(state: &State) -> Self {
        let own = state.clone();
        Self {
            format: CHECKPOINT_FORMAT,
            id: own.id,
            submitted: own.submitted,
            submitted_at: own.submitted_at,
            version: own.version,
            phase: own.phase,
            begun_at: own.begun_at,
            steps: own.steps,
            failing: own.failing,
            cancel: own.cancel,
            controls: own.controls,
            flow: own.flow,
            keyed: own.keyed,
            deadline_passed: own.deadline_passed,
            ending: own.ending,
            deliveries: own.deliveries,
            letters: own.letters,
            links: own.links,
            forks: own.forks,
            payload_bytes: own.payload_bytes,
            updated_at: own.updated_at,
            sets: Sets { touched: Vec::new(), ..own.sets },
            tags: own.tags,
            migrations: own.migrations,
            run_keys: own.run_keys,
            calls: own.calls,
            notices: own.notices,
            traced: own.traced,
        }
    }

    /// Events folded into it.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Visits every payload to change it: those kept beside their records are absent in a
    /// checkpoint that was read.
    pub fn for_each_payload_mut(&mut self, visit: &mut dyn FnMut(&mut Payload)) {
        let Self { submitted, steps, failing, ending, deliveries, letters, .. } = self;
        let (links, controls) = (self.links.as_deref_mut(), &mut self.controls);
        let around = (&mut deliveries[..], &mut letters[..]);
        for_each_mut(submitted, steps, failing, ending, around, links, visit);
        controls.iter_mut().for_each(|own| own.for_each_payload_mut(visit));
        self.notices.iter_mut().for_each(|own| own.for_each_payload_mut(visit));
    }

    /// When the run was submitted.
    #[must_use]
    pub fn submitted_at(&self) -> Timestamp {
        self.submitted_at
    }

    /// The contents that the run was pinned to, the present one last: they name the plan.
    #[must_use]
    pub fn lineage(&self) -> Vec<Digest> {
        let migrated = self.migrations.as_ref().map(|own| own.lineage());
        migrated.unwrap_or_else(|| vec![self.submitted.digest])
    }

    /// The plan of a run that was submitted with `whole`: of a chunk, its stretch of it.
    fn plan(&self, whole: Arc<Plan>) -> Result<Arc<Plan>, Unusable> {
        let origin = self.links.as_ref().and_then(|links| links.origin.as_ref());
        let parent = origin.and_then(|origin| origin.parent.as_ref());
        match parent.and_then(|parent| Some((parent.step, parent.items?))) {
            None => Ok(whole),
            Some((step, items)) => {
                let whole = whole.part.as_ref().map_or(&whole, |part| &part.whole);
                Plan::chunk(whole, step, items).map(Arc::new).map_err(|_| Unusable::Foreign)
            }
        }
    }

    /// The state again, as a fold of the same events gives it: the shell has seen nothing of
    /// it yet.
    ///
    /// # Errors
    /// [`Unusable`]: fold the run from its events instead.
    pub fn restore(self, id: ExecutionId, plan: Arc<Plan>) -> Result<State, Unusable> {
        if self.format != CHECKPOINT_FORMAT {
            return Err(Unusable::Format(self.format));
        }
        let plan = self.plan(plan)?;
        let fits = self.id == id
            && self.submitted.digest == plan.digest
            && self.steps.len() == plan.steps.len();
        if !fits {
            return Err(Unusable::Foreign);
        }
        let chunk = plan.part.is_some().then(Arc::default);
        Ok(State {
            id,
            plan,
            submitted: self.submitted,
            submitted_at: self.submitted_at,
            version: self.version,
            phase: self.phase,
            begun_at: self.begun_at,
            steps: self.steps,
            failing: self.failing,
            cancel: self.cancel,
            controls: self.controls,
            flow: self.flow,
            keyed: self.keyed,
            deadline_passed: self.deadline_passed,
            ending: self.ending,
            deliveries: self.deliveries,
            letters: self.letters,
            links: self.links,
            chunk,
            forks: self.forks,
            payload_bytes: self.payload_bytes,
            updated_at: self.updated_at,
            sets: self.sets,
            tags: self.tags,
            migrations: self.migrations,
            run_keys: self.run_keys,
            calls: self.calls,
            notices: self.notices,
            traced: self.traced,
        })
    }
}
