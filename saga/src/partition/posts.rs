//! Messages between runs on their way: sent once their posting is durable, taken in and
//! acknowledged once what they brought about is durable, and sent again if no answer comes.
//!
//! A post may be lost, doubled, late or out of order on its way: the sender sends again, and the
//! receiver knows what it had. The exception is the beginning of a child: a child that was
//! removed would begin again, so children are kept far longer than a post can be under way.

use std::sync::Arc;

use backstitch_core::availability::Unavailable;
use backstitch_core::command::{Command, Rejection, Submission};
use backstitch_core::event::{Event, Message, Origin, RunEvent, Submitted};
use backstitch_core::failure::{Failure, codes};
use backstitch_core::ids::{Digest, ExecutionId, PartitionId};
use backstitch_core::links::{Begins, Chunk, Parcel, Start, Wish, parcel};
use backstitch_core::machine::Refusal;
use backstitch_core::payload::Payload;
use backstitch_core::plan::Plan;
use backstitch_core::rollout::Applicant;
use backstitch_core::time::{Moment, Timestamp};

use super::cell::Cell;
use super::stage::Release;
use super::{Abandon, Answer, Partition};
use crate::catalog::{Chosen, Name, NotChosen};
use crate::retry;

/// How long the sender of a message waits for its answer before it sends it again.
pub const RESEND_AFTER_MS: u64 = 2_000;

/// Messages that one call of [`Partition::fire`] sends again.
const RESENDS_PER_FIRE_MAX: usize = 1_024;

/// What a child is pinned to and begins with.
struct Pinned {
    revision: u32,
    plan: Arc<Plan>,
    input: Payload,
    variables: Payload,
    variant: Option<String>,
}

/// Why no child begins now.
enum NoChild {
    /// It never will.
    Refused(Failure),
    /// What policies make of its revision is not known yet.
    Unsettled { name: Name, revision: u32 },
}

impl From<Failure> for NoChild {
    fn from(failure: Failure) -> Self {
        Self::Refused(failure)
    }
}

/// What one partition tells another, or itself.
#[derive(Debug, Clone)]
pub enum Post {
    /// A message for one of its runs.
    Deliver(Box<Parcel>),
    /// The answer for a message of one of its runs.
    Acknowledge {
        /// The sender of the message.
        run: ExecutionId,
        /// Its number.
        message: u32,
        /// When it was posted.
        posted_at: Timestamp,
        /// Why it was refused, which is final.
        refused: Option<Failure>,
        /// When the receiver recorded what it has to say.
        at: Timestamp,
    },
}

impl Post {
    /// Whom it goes to.
    #[must_use]
    pub fn partition(&self) -> PartitionId {
        match self {
            Self::Deliver(parcel) => parcel.to.partition,
            Self::Acknowledge { run, .. } => run.partition,
        }
    }

    /// The answer to a message for a run whose partition does not exist; an answer has none.
    pub(crate) fn refused(self) -> Option<Self> {
        let Self::Deliver(parcel) = self else { return None };
        let why = format!("there is no run {}: the store has no such partition", parcel.to);
        let (run, message, posted_at) = (parcel.from, parcel.message, parcel.posted_at);
        let refused = Some(Failure::permanent(codes::MESSAGE_REFUSED, why));
        Some(Self::Acknowledge { run, message, posted_at, refused, at: posted_at })
    }

    /// The time it carries: what it brings about is recorded later, so that a cut at an instant
    /// never holds the effect without its cause.
    pub(super) fn at(&self) -> Timestamp {
        match self {
            Self::Deliver(parcel) => parcel.posted_at,
            Self::Acknowledge { at, .. } => *at,
        }
    }
}

/// Why a step's child can't begin.
fn not_chosen(wish: &Wish, why: NotChosen) -> Failure {
    let number = wish.revision.map(|own| format!("revision {own} of ")).unwrap_or_default();
    let workflow = &wish.workflow;
    match why {
        NotChosen::NoWorkflow | NotChosen::NoRevision => {
            let message = format!("there is no {number}workflow `{workflow}`");
            Failure::permanent(codes::CHILD_WORKFLOW_NOT_FOUND, message)
        }
        NotChosen::DoesNotFit | NotChosen::Unsettled(_) => {
            let message = format!("policies make no definition of {number}workflow `{workflow}`");
            Failure::permanent(codes::CHILD_INPUT_INVALID, message)
        }
        NotChosen::NotOpen(why) => {
            let message = format!("{number}workflow `{workflow}` {why}");
            Failure::permanent(codes::REVISION_NOT_OPEN, message)
        }
    }
}

/// Why a step's child does not begin, although its workflow is there.
fn closed(wish: &Wish, why: Unavailable) -> Failure {
    let code = match why {
        Unavailable::Disabled => codes::WORKFLOW_DISABLED,
        Unavailable::Archived => codes::WORKFLOW_ARCHIVED,
        Unavailable::Purged => codes::CHILD_WORKFLOW_NOT_FOUND,
    };
    Failure::permanent(code, format!("workflow `{}` {why}", wish.workflow))
}

impl<T: Abandon> Partition<T> {
    pub(super) fn receive(&mut self, post: Post, moment: Moment) {
        match post {
            Post::Acknowledge { run, message, posted_at, refused, at: _ } => {
                let command = Command::Acknowledge { message, posted_at, refused };
                self.decide(run, command, None, moment);
            }
            // Nothing new is begun by a node that stops: the sender sends it again.
            Post::Deliver(_) if self.draining => {}
            Post::Deliver(parcel) => {
                let (run, message, posted_at) = (parcel.from, parcel.message, parcel.posted_at);
                let answer = match parcel.start.clone() {
                    Some(start) => self.begin_child(&parcel, *start, moment),
                    None => self.hand_over(*parcel, moment),
                };
                if let Some(answer) = answer {
                    let (refused, at) = (answer.err(), moment.stamp);
                    let post = Post::Acknowledge { run, message, posted_at, refused, at };
                    self.let_out(Release::Post(post));
                }
            }
        }
    }

    /// What the receiver has to say; nothing if it can't say anything that is final.
    fn hand_over(&mut self, parcel: Parcel, moment: Moment) -> Option<Result<(), Failure>> {
        let (to, namespace) = (parcel.to, parcel.namespace.clone());
        let retry_delay_ms = self.retry_delay_ms(&parcel);
        let command = Command::Receive { parcel: Box::new(parcel), retry_delay_ms };
        let refused =
            |why: Rejection| Some(Err(Failure::permanent(codes::MESSAGE_REFUSED, why.to_string())));
        match self.carry_out(to, command, moment) {
            Answer::Done { .. } => Some(Ok(())),
            Answer::Rejected(rejection) => refused(rejection),
            Answer::NotFound if self.is_passing(to) => None,
            Answer::NotFound => refused(Rejection::NoSuchRun { run: to }),
            Answer::Quarantined(_) if !self.is_of(to, &namespace) => {
                refused(Rejection::NoSuchRun { run: to })
            }
            // Set aside: a later version may make it whole again.
            _ => None,
        }
    }

    /// Whether a run that is set aside belongs to a tenant, or nobody can say.
    fn is_of(&self, run: ExecutionId, namespace: &str) -> bool {
        let Ok(Some(events)) = self.histories.history(run) else { return true };
        match events.first() {
            Some((Event::Run(RunEvent::Submitted(own)), _)) => *own.namespace == *namespace,
            _ => true,
        }
    }

    /// Whether a run is being removed or taken in: what is known of it is not durable yet.
    fn is_passing(&self, run: ExecutionId) -> bool {
        self.leaving.contains_key(&run) || self.arriving.contains_key(&run)
    }

    /// The wait before the next attempt of a step whose child may have failed.
    fn retry_delay_ms(&mut self, parcel: &Parcel) -> u64 {
        let Message::Ended { step, .. } = &parcel.body else { return 0 };
        let Ok(Some(run)) = self.resident_run(parcel.to) else { return 0 };
        let Some(own) = run.state.steps.get(step.at()) else { return 0 };
        // As good as drawn: the digits of the child are a hash.
        let drawn = u32::try_from(parcel.from.digits & u128::from(u32::MAX)).unwrap_or(0);
        let retries = run.state.retries(*step);
        retry::wait_ms(&retries.policy, own.tries.saturating_add(1), drawn)
    }

    /// Begins a child, unless it exists.
    fn begin_child(
        &mut self,
        parcel: &Parcel,
        start: Start,
        moment: Moment,
    ) -> Option<Result<(), Failure>> {
        let id = parcel.to;
        if self.is_passing(id) {
            return None;
        }
        match self.resident_run(id) {
            Ok(None) => {}
            Ok(Some(run)) => {
                let same = run.state.parent() == Some(&start.parent);
                self.evict(id);
                let other = format!("{id} exists and is no child of {}", start.parent.run);
                let other = Failure::permanent(codes::MESSAGE_REFUSED, other);
                return Some(if same { Ok(()) } else { Err(other) });
            }
            Err(_) => return None,
        }
        let submission = match self.child(id, start, moment) {
            Ok(submission) => submission,
            Err(NoChild::Refused(failure)) => return Some(Err(failure)),
            Err(NoChild::Unsettled { name, revision }) => {
                let again = Box::new(parcel.clone());
                self.let_out(Release::Settle { name, revision, again });
                return None;
            }
        };
        let why = match self.begin(submission, moment) {
            Ok(Ok((run, decision))) => {
                self.runs.insert(id, Cell::Run(Box::new(run)));
                self.record(id, decision, 0, moment);
                return Some(Ok(()));
            }
            Ok(Err(Refusal::Rejected(rejection))) => {
                let why = rejection.to_string();
                return Some(Err(Failure::permanent(codes::CHILD_INPUT_INVALID, why)));
            }
            Ok(Err(refusal)) => refusal.to_string(),
            Err(why) => why,
        };
        Some(Err(Failure::permanent(codes::INTERNAL, why)))
    }

    fn child(&self, id: ExecutionId, start: Start, moment: Moment) -> Result<Submission, NoChild> {
        let Start { parent, namespace, begins, correlation_id, priority, actor, trace } = start;
        let Pinned { revision, plan, input, variables, variant } = match begins {
            Begins::Workflow(wish) => self.pinned(&namespace, wish, &correlation_id, &actor)?,
            Begins::Chunk(chunk) => self.pinned_chunk(*chunk)?,
        };
        // A chunk ends with its parent's timeout, not by one of its own.
        let timeout_ms = plan.timeout_ms.filter(|_| parent.items.is_none());
        let request = Digest::of(format!("{}/{}", parent.run, parent.attempt).as_bytes());
        let submitted = Box::new(Submitted {
            namespace,
            workflow: plan.workflow.clone(),
            revision,
            digest: plan.digest,
            input,
            variables,
            correlation_id,
            idempotency_key: None,
            request,
            callbacks: Vec::new(),
            deadline_at: timeout_ms.map(|timeout_ms| moment.now.plus_ms(timeout_ms)),
            retry_of: None,
            actor,
        });
        let origin = Some(Box::new(Origin { parent: Some(parent), priority, variant }));
        Ok(Submission {
            execution: id,
            plan,
            submitted,
            tags: Vec::new(),
            origin,
            targets: Vec::new(),
            alerts: Vec::new(),
            faults: Vec::new(),
            trace: Some(trace),
        })
    }

    /// The revision that a chunk's parent is pinned to.
    fn pinned_chunk(&self, chunk: Chunk) -> Result<Pinned, Failure> {
        let Chunk { revision, digest, items, values } = chunk;
        let plan = self.histories.plan_of(&[digest]).ok_or_else(|| {
            let message = format!("the revision {digest} is not in the journal");
            Failure::permanent(codes::CHILD_WORKFLOW_NOT_FOUND, message)
        })?;
        Ok(Pinned { revision, plan, input: items, variables: values, variant: None })
    }

    /// The revision of what the parent asks for that is in force, pinned here.
    fn pinned(
        &self,
        namespace: &str,
        wish: Wish,
        correlation_id: &str,
        actor: &str,
    ) -> Result<Pinned, NoChild> {
        if let Some(absent) = wish.input.absent() {
            return Err(absent.failure("the child's input").into());
        }
        // Whatever the parent's correlation id fell into, its children of one workflow do alike.
        let key = correlation_id;
        let run = Applicant { key, correlation_id, tags: &[], subject: actor };
        self.histories.admits(namespace, &wish.workflow).map_err(|why| closed(&wish, why))?;
        let chosen = self.histories.choose(namespace, &wish.workflow, wish.revision, &run);
        let Chosen { number: revision, plan, variant } = chosen.map_err(|why| match why {
            NotChosen::Unsettled(revision) => {
                let name = (namespace.into(), wish.workflow.as_str().into());
                NoChild::Unsettled { name, revision }
            }
            why => not_chosen(&wish, why).into(),
        })?;
        if let Err(problems) = plan.check_input(&wish.input.value()) {
            let first = problems.first().map(|own| format!("{}: {}", own.path, own.message));
            let message = format!(
                "`{}` does not take this input: {}",
                wish.workflow,
                first.unwrap_or_default()
            );
            return Err(Failure::permanent(codes::CHILD_INPUT_INVALID, message).into());
        }
        let variables = Payload::of(&serde_json::json!({}));
        Ok(Pinned { revision, plan, input: wish.input, variables, variant })
    }

    /// Notes which messages are to be sent again if no answer comes.
    pub(super) fn expect_answers(&mut self, releases: &[Release<T>], now: Timestamp) {
        let sent = releases.iter().filter_map(|release| match release {
            Release::Post(Post::Deliver(parcel)) => Some((parcel.from, parcel.message)),
            _ => None,
        });
        let at = now.plus_ms(RESEND_AFTER_MS);
        self.resends.extend(sent.map(|(run, message)| (at, run, message)));
    }

    pub(super) fn next_resend(&self) -> Option<Timestamp> {
        self.resends.first().map(|&(at, ..)| at)
    }

    /// Sends again what nobody has answered for.
    pub(super) fn resend(&mut self, now: Timestamp) {
        let mut again = Vec::new();
        for _ in 0..RESENDS_PER_FIRE_MAX {
            let Some(&next) = self.resends.first().filter(|(at, ..)| *at <= now) else { break };
            self.resends.remove(&next);
            let (_, run, message) = next;
            let Some(Cell::Run(own)) = self.runs.get(&run) else { continue };
            let owed = parcel(&own.state, message);
            again.extend(owed.map(|own| Release::Post(Post::Deliver(Box::new(own)))));
        }
        self.expect_answers(&again, now);
        for release in again {
            self.let_out(release);
        }
    }
}
