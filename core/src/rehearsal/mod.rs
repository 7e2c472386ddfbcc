//! Rehearsals: a run played from its submission to where it rests, on virtual time, with a
//! script in place of the world.
//!
//! The run is the real one: the same decisions, the same folding, the same effects owed. Only
//! who answers them differs: a [`Script`] says what each attempt comes to and how long it
//! takes. Nothing is recorded and nothing performed. The same question has the same answer.
//! Knows no journal and no clock.

mod play;
mod recording;
mod report;
mod script;
mod script_read;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::command::Submission;
use crate::event::{Callback, CallbackEvent, Event, Submitted, Target};
use crate::evolve::IllegalTransition;
use crate::failure::{EffectKnown, FailureClass};
use crate::ids::{Digest, ExecutionId};
use crate::payload::Payload;
use crate::plan::Plan;
use crate::retry_policy::RetryPolicy;
use crate::state::State;
use crate::template::TREE_WORK_MAX;
use crate::time::{DURATION_MS_MAX, Timestamp};

pub use report::rehearsal_json;
pub use script::{Answer, Reply, Script};

/// Events after which a rehearsal is stopped.
pub const EVENTS_MAX: usize = 100_000;

/// Virtual time after which a rehearsal is stopped: the longest that a definition may name.
pub const VIRTUAL_MS_MAX: u64 = DURATION_MS_MAX;

/// Work of all renderings after which a rehearsal is stopped.
pub const WORK_MAX: usize = 40 * TREE_WORK_MAX;

/// The virtual instant at which a rehearsal begins if nobody says otherwise:
/// 2026-01-01T00:00:00Z.
pub const STARTS_AT: Timestamp = Timestamp(1_767_225_600_000_000);

/// What the shell does that no event says beforehand.
pub trait Surroundings {
    /// The wait before the next attempt, after so many that count.
    fn wait_ms(&self, policy: &RetryPolicy, tries: u16) -> u64;

    /// What a status that is no success says of the next attempt, and of this one's effect.
    fn verdict(&self, status: u16) -> (FailureClass, EffectKnown);
}

/// What becomes of an attempt that the script does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unmocked {
    /// It answers with an empty object, at once.
    #[default]
    Empty,
    /// It fails for good.
    Fail,
}

/// What is to be rehearsed.
#[derive(Debug, Clone)]
pub struct Question {
    /// The id that the run has while it is played.
    pub execution: ExecutionId,
    /// What it runs.
    pub plan: Arc<Plan>,
    /// Its number; 0 for a content that is no revision.
    pub revision: u32,
    /// Tenant.
    pub namespace: Arc<str>,
    /// The run's input.
    pub input: Payload,
    /// Overrides of the definition's variables: an object.
    pub variables: Payload,
    /// Callbacks beside those of the definition.
    pub callbacks: Vec<Callback>,
    /// The same in forms of their own.
    pub targets: Vec<Target>,
    /// Empty: the run's id.
    pub correlation_id: Arc<str>,
    /// Who is told to have submitted it.
    pub actor: String,
    /// The virtual instant of the submission.
    pub starts_at: Timestamp,
    /// Who answers.
    pub script: Script,
    /// What becomes of an attempt that the script does not say.
    pub unmocked: Unmocked,
}

impl Question {
    /// A content and its input, with nothing said of the rest.
    #[must_use]
    pub fn of(plan: Arc<Plan>, revision: u32, input: Payload) -> Self {
        let content = plan.digest.to_string();
        Self {
            execution: ExecutionId::derived(&["rehearsal", &content, input.text()], 1),
            plan,
            revision,
            namespace: crate::ids::DEFAULT_NAMESPACE.into(),
            input,
            variables: Payload::of(&serde_json::json!({})),
            callbacks: Vec::new(),
            targets: Vec::new(),
            correlation_id: "".into(),
            actor: "rehearsal".to_owned(),
            starts_at: STARTS_AT,
            script: Script::default(),
            unmocked: Unmocked::Empty,
        }
    }

    fn submission(&self) -> Submission {
        let correlation_id = match &*self.correlation_id {
            "" => self.execution.to_string().into(),
            _ => self.correlation_id.clone(),
        };
        let deadline_at = self.plan.timeout_ms.map(|own| self.starts_at.plus_ms(own));
        let submitted = Box::new(Submitted {
            namespace: self.namespace.clone(),
            workflow: self.plan.workflow.clone(),
            revision: self.revision,
            digest: self.plan.digest,
            input: self.input.clone(),
            variables: self.variables.clone(),
            correlation_id,
            idempotency_key: None,
            request: Digest::default(),
            callbacks: self.callbacks.clone(),
            deadline_at,
            retry_of: None,
            actor: self.actor.clone(),
        });
        let (execution, plan) = (self.execution, self.plan.clone());
        Submission {
            execution,
            plan,
            submitted,
            tags: Vec::new(),
            origin: None,
            targets: self.targets.clone(),
            alerts: Vec::new(),
            faults: Vec::new(),
            trace: None,
        }
    }
}

/// A run as it was played.
#[derive(Debug)]
pub struct Rehearsed {
    /// Where it came to rest.
    pub state: State,
    /// Everything that happened, oldest first.
    pub events: Vec<(Event, Timestamp)>,
    /// The virtual instant at which nothing more happened.
    pub rests_at: Timestamp,
    /// Steps and undos (`step/undo`) that the script did not say and that were answered by
    /// [`Unmocked`], by name.
    pub unmocked: BTreeSet<String>,
    /// Of those: the script says them for another rendered input.
    pub differing: BTreeSet<String>,
    /// What the script says and nobody asked for.
    pub unused: BTreeSet<String>,
    /// Callbacks that would have been sent.
    pub callbacks: Vec<CallbackSent>,
    /// Runs that would have begun as steps of this one.
    pub children: Vec<ChildBegun>,
    /// Why it was stopped before it rested, if it was.
    pub stopped: Option<String>,
}

/// A callback that would have been sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallbackSent {
    /// When.
    pub at: Timestamp,
    /// What it reports.
    pub event: CallbackEvent,
    /// Where it goes.
    pub url: String,
    /// What its receiver is sent.
    pub body: Payload,
}

/// A run that would have begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildBegun {
    /// When.
    pub at: Timestamp,
    /// Whose step it is.
    pub step: Arc<str>,
    /// Of which workflow.
    pub workflow: String,
    /// Which revision; the newest if unsaid.
    pub revision: Option<u32>,
    /// With what.
    pub input: Payload,
}

/// Plays a run until it rests.
///
/// # Errors
/// [`IllegalTransition`] if the engine is wrong.
pub fn rehearse(
    question: Question,
    around: &dyn Surroundings,
) -> Result<Rehearsed, IllegalTransition> {
    play::play(question, around)
}
