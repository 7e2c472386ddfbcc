//! Messages between runs: what follows of itself, and what is sent.
//!
//! A message is owed until its receiver has acknowledged it, and is sent again until then; the
//! receiver knows each by its sender and number for as long as it lives, so that it takes
//! effect once. A sender that was removed and begun again under its key counts from 0 again:
//! the time of posting tells its messages apart, since what is heard is recorded later than it
//! was posted, its answer later than that, and whoever is owed an answer is not removed. Order
//! between two messages is not promised. Knows nothing of how messages travel.

mod child;
mod chunks;
mod receive;
mod signal;

use std::sync::Arc;

use crate::advance::STARTS_PER_LAYER_MAX;
use crate::arrows::Phase;
use crate::event::{LinkEvent, Message, Parent, Priority, Recourse, RunEvent};
use crate::failure::{Failure, codes};
use crate::ids::{ExecutionId, StepIndex};
use crate::payload::Payload;
use crate::plan::TaskKind;
use crate::state::{Links, Partial, State, Subject};
use crate::time::{Moment, Timestamp};
use crate::trace::TraceContext;

pub(crate) use child::startable;
pub use child::{DEPTH_MAX, Wish};
pub use chunks::Chunk;
pub(crate) use chunks::startable as loop_startable;
pub(crate) use receive::receive;
pub use signal::SignalWish;

/// A message on its way, with what it is about.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// From whom.
    pub from: ExecutionId,
    /// The sender's tenant: for a receiver of another there is nothing to hear.
    pub namespace: Arc<str>,
    /// The sender's number.
    pub message: u32,
    /// To whom.
    pub to: ExecutionId,
    /// When it was posted: whoever takes it in records it later than this.
    pub posted_at: Timestamp,
    /// What it says.
    pub body: Message,
    /// Of `Start`: what the child begins with.
    pub start: Option<Box<Start>>,
    /// Of `Ended`: what the child answers; of `Signal`: what it carries.
    pub output: Option<Payload>,
}

/// What a child begins with.
#[derive(Debug, Clone)]
pub struct Start {
    /// Whose step it is.
    pub parent: Parent,
    /// The parent's tenant.
    pub namespace: Arc<str>,
    /// What it is a run of.
    pub begins: Begins,
    /// The parent's.
    pub correlation_id: Arc<str>,
    /// The parent's.
    pub priority: Priority,
    /// Who submitted the parent.
    pub actor: String,
    /// Below the step's attempt, in the parent's trace.
    pub trace: Box<TraceContext>,
}

/// What a child is a run of.
#[derive(Debug, Clone)]
pub enum Begins {
    /// Another workflow, with an input.
    Workflow(Wish),
    /// A stretch of a loop's items.
    Chunk(Box<Chunk>),
}

/// A message of the run's outbox, ready to go.
#[must_use]
pub fn parcel(state: &State, message: u32) -> Option<Parcel> {
    let links = state.links.as_ref()?;
    let outgoing = links.outbox.get(&message)?;
    let (body, to, posted_at) = (outgoing.body.clone(), outgoing.to, outgoing.posted_at);
    let (start, output) = match body {
        Message::Start { step, attempt, items } => {
            (Some(Box::new(child::start(state, (step, attempt, items))?)), None)
        }
        Message::Signal { step, .. } => (None, Some(signal_wish(state, step)?.payload)),
        Message::Ended { .. } => (None, state.ending.as_ref().and_then(|end| end.output.clone())),
        _ => (None, None),
    };
    let (from, namespace) = (state.id, state.submitted.namespace.clone());
    Some(Parcel { from, namespace, message, to, posted_at, body, start, output })
}

/// The facts of an answer for a message.
pub(crate) fn acknowledge(
    state: &State,
    (message, posted_at): (u32, Timestamp),
    refused: Option<Failure>,
) -> Vec<RunEvent> {
    let outgoing = state.links.as_ref().and_then(|links| links.outbox.get(&message));
    let owed = outgoing.is_some_and(|own| own.posted_at == posted_at);
    let refused = refused.map(Failure::clipped);
    let event = RunEvent::Link(LinkEvent::MessageAcknowledged { message, refused });
    owed.then_some(event).into_iter().collect()
}

/// What follows between runs, in every phase.
pub(crate) fn follow(state: &State, moment: Moment, events: &mut Vec<RunEvent>) {
    let Some(links) = state.links.as_deref() else { return };
    events.extend(links.refused.iter().filter_map(|(subject, why)| refused(state, *subject, why)));
    let mut post = Post { next: links.posted, events };
    for &step in &links.delivered {
        let attempt = state.step(step).attempt;
        let output = signal_wish(state, step).map_or_else(Payload::null, |wish| wish.answer());
        post.events.push(RunEvent::StepSucceeded { step, attempt, output });
    }
    let to_start = links.to_start.iter().filter(|step| !chunks::rests(state, links, **step));
    for &step in to_start.take(STARTS_PER_LAYER_MAX) {
        if chunks::is_loop(state, step) {
            chunks::go_on(state, links, step, moment, &mut post);
            continue;
        }
        let attempt = state.step(step).attempt;
        if let Some(SignalWish { to, name, .. }) = signal_wish(state, step) {
            post.message(to, Message::Signal { step, attempt, name });
            continue;
        }
        let to = child::id(state, step, attempt, moment.partitions);
        post.message(to, Message::Start { step, attempt, items: None });
    }
    for &step in links.to_roll_back.iter().take(STARTS_PER_LAYER_MAX) {
        if chunks::is_loop(state, step) {
            chunks::undo(state, links, step, &mut post);
            continue;
        }
        let attempt = state.step(step).undo.as_ref().map_or(0, |undo| undo.attempt);
        match links.child(step) {
            Some(child) => post.message(child.run, Message::RollBack { step, attempt }),
            // Its outcome was set by hand: there is nothing to undo.
            None => {
                post.events.push(RunEvent::UndoSucceeded { step, attempt, output: Payload::null() })
            }
        }
    }
    cancel_children(state, links, &mut post);
    if state.phase == Phase::Ended && state.sets.unlettered.is_empty() {
        match state.parent().filter(|_| links.roll_back.is_some() && state.anything_stands()) {
            // However it came to end: whoever waits for it has it undone.
            Some(parent) => post.events.push(receive::undone_by(parent.run)),
            None => post.report(state, links),
        }
    }
}

/// What a step that sends a signal was told to send.
fn signal_wish(state: &State, step: StepIndex) -> Option<SignalWish> {
    if state.plan.steps[step.at()].task != TaskKind::Signal {
        return None;
    }
    SignalWish::read(&state.step(step).input.as_ref()?.value()).ok()
}

/// A failing run tells its children to stop; one that waits for a person lets them go on.
fn cancel_children(state: &State, links: &Links, post: &mut Post<'_>) {
    if let (Phase::Failing, Some(part)) = (state.phase, state.partial()) {
        return cancel_part(state, links, part, post);
    }
    let Some(why) = state.failing.as_ref().filter(|_| state.phase == Phase::Failing) else {
        return;
    };
    if why.recourse == Recourse::Suspend {
        return;
    }
    let compensate = why.recourse == Recourse::Compensate;
    let reason = format!("its parent fails: {}", why.failure.message);
    let reason: String = reason.chars().take(REASON_CHARS_MAX).collect();
    let forced = if state.is_forced() { STARTS_PER_LAYER_MAX } else { 0 };
    for &step in links.to_force.iter().take(forced) {
        let Some(child) = links.child(step) else { continue };
        post.message(child.run, Message::Force { step, reason: reason.clone(), compensate });
    }
    let told = |step: &&StepIndex| forced > 0 && links.to_force.contains(*step);
    for &step in links.to_cancel.iter().filter(|step| !told(step)).take(STARTS_PER_LAYER_MAX) {
        let Some(child) = links.child(step) else { continue };
        post.message(child.run, Message::Cancel { step, reason: reason.clone(), compensate });
    }
}

/// Whether anything is under way that a part of the run waits for before it is undone: of the
/// part, everything; of what is beside it, attempts. Runs below may wait for a person, and nothing
/// of the part was done with what they do.
pub(crate) fn in_flight(state: &State, part: &Partial) -> bool {
    let is_run = |step: StepIndex| {
        matches!(state.plan.step(step).task, TaskKind::Workflow | TaskKind::Foreach)
    };
    state.sets.running.iter().any(|step| part.steps.contains(step) || !is_run(*step))
}

/// A run that is rolled back to a step tells the children of what builds on it to stop.
fn cancel_part(state: &State, links: &Links, part: &Partial, post: &mut Post<'_>) {
    let Some(back_to) = &part.back_to else { return };
    let reason =
        format!("its parent is rolled back to step `{}`", state.plan.step(back_to.step).id);
    let own = links.to_cancel.iter().filter(|step| part.steps.contains(*step));
    for &step in own.take(STARTS_PER_LAYER_MAX) {
        let Some(child) = links.child(step) else { continue };
        post.message(child.run, Message::Cancel { step, reason: reason.clone(), compensate: true });
    }
}

/// The longest reason that a child is given.
const REASON_CHARS_MAX: usize = 500;

/// What follows when a receiver will not have a message.
fn refused(state: &State, subject: Subject, why: &Failure) -> Option<RunEvent> {
    let (failure, retry_delay_ms) = (why.clone(), 0);
    match subject {
        Subject::Step(step) => {
            let attempt = state.step(step).attempt;
            Some(RunEvent::StepAttemptFailed { step, attempt, failure, retry_delay_ms })
        }
        Subject::Undo(step) => {
            let attempt = state.step(step).undo.as_ref()?.attempt;
            Some(RunEvent::UndoAttemptFailed { step, attempt, failure, retry_delay_ms })
        }
        Subject::Delivery(_)
        | Subject::Deadline
        | Subject::Message(_)
        | Subject::StepLimit(_)
        | Subject::StepSla(_)
        | Subject::Sla
        | Subject::Compensation => None,
    }
}

/// Numbers messages as they are posted.
struct Post<'a> {
    next: u32,
    events: &'a mut Vec<RunEvent>,
}

impl Post<'_> {
    fn message(&mut self, to: ExecutionId, body: Message) {
        let (message, body) = (self.next, Box::new(body));
        self.next += 1;
        self.events.push(RunEvent::Link(LinkEvent::MessagePosted { message, to, body }));
    }

    /// The word that an ended run owes its parent.
    fn report(&mut self, state: &State, links: &Links) {
        let Some(parent) = state.parent() else { return };
        if let Some((step, attempt)) = links.roll_back {
            let failure = child::not_undone(state);
            self.message(parent.run, Message::RolledBack { step, attempt, failure });
        } else if !links.reported {
            let (step, attempt) = (parent.step, parent.attempt);
            let Some(outcome) = state.ending.as_ref().map(|ending| ending.outcome) else { return };
            let failure = child::failure(state);
            self.message(parent.run, Message::Ended { step, attempt, outcome, failure });
        }
    }
}

/// Why a message of somebody who has nothing to say here is refused.
pub(crate) fn unrelated(from: ExecutionId) -> Failure {
    let message = format!("{from} is not the run's parent");
    Failure::permanent(codes::MESSAGE_REFUSED, message)
}

/// The step of a child that is awaited.
pub(crate) fn awaits(state: &State, step: StepIndex, attempt: u16, from: ExecutionId) -> bool {
    let own = state.steps.get(step.at());
    let running = own.is_some_and(|own| {
        own.status == crate::arrows::StepStatus::Running && own.attempt == attempt
    });
    // Between two chunks of a loop none is awaited.
    let links = state.links.as_ref().filter(|links| !links.to_start.contains(&step));
    let child = links.and_then(|links| links.child(step));
    running && child.is_some_and(|child| child.run == from && child.attempt == attempt)
}
