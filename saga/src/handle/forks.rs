//! Forks: a new run that keeps what some steps of an ended one did.

use std::sync::Arc;

use backstitch_core::command::Submission;
use backstitch_core::definition::problem::{Problem, codes};
use backstitch_core::event::{
    Event, LinkEvent, Origin, RunEvent, Submitted, Target, targets_given,
};
use backstitch_core::forks::ForkOrder;
use backstitch_core::ids::{Digest, ExecutionId};
use backstitch_core::payload::Payload;
use backstitch_core::plan::Plan;
use backstitch_core::rollout::Applicant;
use backstitch_core::travel::NoSuchPoint;
use backstitch_journal::Record;
use serde_json::{Value, json};

use super::request::deadline;
use super::{Handle, unexpected};
use crate::catalog::Chosen;
use crate::clock;
use crate::error::Error;
use crate::partition::{Answer, Fork, Input};

/// A wish for a fork, as a client puts it.
#[derive(Debug, Clone, Default)]
pub struct ForkWish {
    /// The step from which on all runs again. This or `version` is said, or both.
    pub from_step: Option<String>,
    /// The version of the run whose steps are kept.
    pub version: Option<u64>,
    /// In place of the run's input.
    pub input: Option<Value>,
    /// In place of the run's overrides of variables: an object.
    pub variables: Option<Value>,
    /// The revision to go on with; the run's own if unsaid.
    pub revision: Option<u32>,
    /// Whether the fork undoes what it keeps.
    pub take_over: bool,
    /// Whether steps may run again that say that this does harm.
    pub accept_unsafe: bool,
    /// The same key with the same wish answers the same fork.
    pub idempotency_key: Option<String>,
    /// In their words.
    pub reason: String,
    /// Who.
    pub actor: String,
}

/// A fork that was made. It is durable.
#[derive(Debug, Clone)]
pub struct ForkMade {
    /// The new run.
    pub execution: ExecutionId,
    /// Its status word.
    pub status: &'static str,
    /// Whether the idempotency key had been used for it before.
    pub repeated: bool,
    /// Steps that took effect in the run and do so again, under a new key.
    pub again: Vec<String>,
}

/// What a history says of how its run began.
struct Beginning {
    submitted: Box<Submitted>,
    tags: Vec<Arc<str>>,
    origin: Option<Box<Origin>>,
    targets: Vec<Target>,
    versions: u64,
}

impl Beginning {
    fn of(records: Vec<Record>) -> Option<Self> {
        let versions = records.len() as u64;
        let targets = targets_given(records.iter().map(|record| &record.event));
        let mut events = records.into_iter().map(|record| record.event);
        let Some(Event::Run(RunEvent::Submitted(submitted))) = events.next() else { return None };
        let mut own = Self { submitted, tags: Vec::new(), origin: None, targets, versions };
        for event in events {
            match event {
                Event::Run(RunEvent::Tagged { tags }) => own.tags = tags,
                Event::Run(RunEvent::Link(LinkEvent::Origin(origin))) => {
                    own.origin = Some(Box::new(Origin { parent: None, ..*origin }));
                }
                _ => break,
            }
        }
        own.origin = own.origin.filter(|origin| **origin != Origin::default());
        Some(own)
    }
}

impl Handle {
    /// Makes a fork of a run. When this answers, it is durable.
    ///
    /// # Errors
    /// [`Error::ExecutionNotFound`], [`Error::NoSuchPoint`], [`Error::InvalidSubmission`],
    /// [`Error::Rejected`] with every reason, [`Error::KeyConflict`], [`Error::Draining`], ...
    pub async fn fork(&self, parent: ExecutionId, wish: ForkWish) -> Result<ForkMade, Error> {
        if self.is_draining() {
            return Err(Error::Draining);
        }
        let (records, plan) = self.history(parent).await?;
        let plan = plan.ok_or_else(|| Error::Fold(format!("no plan for {parent}")))?;
        let present = self.plain(&plan, records.iter().map(|own| &own.event))?;
        let whole = || Error::Fold(format!("{parent} has no submission"));
        let beginning = Beginning::of(records).ok_or_else(whole)?;
        match wish.version {
            Some(0) => return Err(NoSuchPoint::VersionZero.into()),
            Some(asked) if asked > beginning.versions => {
                let last = beginning.versions;
                return Err(NoSuchPoint::BeyondTheEnd { asked, last }.into());
            }
            _ => {}
        }
        let submission = self.forked(parent, &wish, beginning, present).await?;
        let execution = submission.execution;
        let ForkWish { version, from_step, take_over, accept_unsafe, reason, actor, .. } = wish;
        let from = from_step;
        let order = ForkOrder { submission, from, take_over, accept_unsafe, reason, actor };
        let fork = Box::new(Fork { parent, version, order });
        match self.ask(parent.partition, |ticket| Input::Fork(fork, ticket)).await? {
            Answer::Forked { execution, status, repeated: again } => {
                metrics::counter!(crate::metrics::RUNS_SUBMITTED).increment(1);
                Ok(ForkMade { execution, status, repeated: false, again })
            }
            Answer::Submitted { execution, status, .. } => {
                Ok(ForkMade { execution, status, repeated: true, again: Vec::new() })
            }
            Answer::NotFound => Err(self.missing(parent).await?),
            answer => Err(unexpected(answer, Some(execution))),
        }
    }

    /// The submission of a fork: the run's own, but for what the wish changes.
    async fn forked(
        &self,
        parent: ExecutionId,
        wish: &ForkWish,
        beginning: Beginning,
        present: (u32, Arc<Plan>),
    ) -> Result<Submission, Error> {
        let Beginning { submitted, tags, origin, targets, versions: _ } = beginning;
        let other = wish.revision.filter(|wanted| *wanted != present.0);
        let (revision, plan, origin) = match other {
            Some(wanted) => {
                let chosen = self.revision_of(&submitted, &tags, wish, wanted)?;
                let Chosen { number, plan, variant } =
                    self.pinned(&submitted.namespace, chosen).await?;
                let priority = origin.map(|own| own.priority).unwrap_or_default();
                (number, plan, super::origin(priority, variant))
            }
            None => (present.0, present.1, origin),
        };
        let input = wish.input.as_ref().map_or_else(|| submitted.input.clone(), Payload::of);
        let variables =
            wish.variables.as_ref().map_or_else(|| submitted.variables.clone(), Payload::of);
        super::request::check_given(&input, &variables)?;
        let mut problems = plan.check_input(&input.value()).err().unwrap_or_default();
        if wish.variables.as_ref().is_some_and(|own| !own.is_object()) {
            let message = "must be an object".to_owned();
            problems.push(Problem { path: "variables".into(), code: codes::WRONG_TYPE, message });
        }
        if !problems.is_empty() {
            return Err(Error::InvalidSubmission(problems));
        }
        let digits = match &wish.idempotency_key {
            Some(key) => self.id_of(&["fork", &parent.to_string(), key]).digits,
            None => clock::draw_digits(clock::now()),
        };
        let execution = ExecutionId { partition: parent.partition, digits };
        let submitted = Box::new(Submitted {
            revision,
            digest: plan.digest,
            input,
            variables,
            idempotency_key: wish.idempotency_key.clone(),
            request: digest_of(parent, wish),
            deadline_at: deadline(&plan),
            retry_of: None,
            actor: wish.actor.clone(),
            ..*submitted
        });
        Ok(Submission {
            execution,
            plan,
            submitted,
            tags,
            origin,
            targets,
            alerts: Vec::new(),
            faults: Vec::new(),
            trace: None,
        })
    }

    /// Another revision of the run's workflow, if the run may have it.
    fn revision_of(
        &self,
        own: &Submitted,
        tags: &[Arc<str>],
        wish: &ForkWish,
        wanted: u32,
    ) -> Result<Chosen, Error> {
        let correlation_id = &*own.correlation_id;
        let applicant =
            Applicant { key: correlation_id, correlation_id, tags, subject: &wish.actor };
        let chosen = self.chosen(&own.namespace, &own.workflow, Some(wanted), &applicant);
        chosen.map_err(|why| match why {
            Error::RevisionNotFound { .. } => {
                let message = format!("`{}` has no revision {wanted}", own.workflow);
                let path = "revision".to_owned();
                Error::InvalidSubmission(vec![Problem { path, code: codes::BAD_VALUE, message }])
            }
            why => why,
        })
    }
}

/// What tells a repeat from another wish under the same key.
fn digest_of(parent: ExecutionId, wish: &ForkWish) -> Digest {
    let whole = json!([
        "fork",
        parent.to_string(),
        wish.from_step,
        wish.version,
        wish.input,
        wish.variables,
        wish.revision,
        wish.take_over,
    ]);
    Digest::of(whole.to_string().as_bytes())
}
