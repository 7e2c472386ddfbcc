//! What follows of itself: the events that a state calls for once facts are in.
//!
//! Every prefix of what happens is a place from which `advance` goes on, so a crash between
//! two events of one decision changes nothing. The order of the rules is the order below.

pub(crate) mod alone;
mod cached;
mod calls;
mod checks;
mod held;
mod keyed;
mod limits;
mod notices;
mod partial;
mod routes;
mod steps;
mod unwinding;

use serde_json::json;

use crate::allot::allot;
use crate::arrows::Phase;
use crate::event::{Compensation, LetterSubject, Outcome, Recourse, RunEvent, SuspendReason};
use crate::failure::{Failure, codes};
use crate::ids::StepIndex;
use crate::links;
use crate::payload::Payload;
use crate::room::{Attempt, Room, Turns, Unbounded};
use crate::state::{Signals, State, Subject};
use crate::template::{TREE_WORK_MAX, Work};
use crate::time::{Moment, Timestamp};

use alone::Gate;
use held::suspended;
use steps::{numbered, started};
use unwinding::unwinding;

pub(crate) use notices::owed as owed_callbacks;

/// Steps or undos that one layer of consequences readies or starts.
pub const STARTS_PER_LAYER_MAX: usize = 256;

/// Work after which a layer opens no more steps or undos, and a decision is cut, so that a run
/// with much to render lets others have their turn.
pub const RENDER_WORK_PER_DECISION_MAX: usize = TREE_WORK_MAX;

/// The next layer of consequences; empty when the run rests.
#[must_use]
pub fn advance(state: &State, now: Timestamp) -> Vec<RunEvent> {
    layer(state, Moment::at(now), &mut Unbounded, &mut Work::default())
}

/// The same, in a decision whose renderings have taken so much work already. Whatever the
/// work, something is opened if anything can be.
#[must_use]
pub fn layer(state: &State, moment: Moment, room: &mut dyn Room, work: &mut Work) -> Vec<RunEvent> {
    let now = moment.now;
    if state.is_unstarted_fork() {
        return Vec::new();
    }
    let mut events = letters(state);
    events.extend(notices::owed(state));
    limits::breached(state, now, &mut events);
    links::follow(state, moment, &mut events);
    match state.phase {
        Phase::Forward => forward(state, now, room, work, &mut events),
        Phase::Failing => failing(state, now, &mut events),
        Phase::Suspended => suspended(state, now, &mut events),
        Phase::Unwinding => unwinding(state, now, room, work, &mut events),
        Phase::Ended => {}
    }
    notices::number(state, &mut events);
    allot(state, &mut events);
    events
}

/// Every failed operation gets its letter; a callback out of retries fails.
fn letters(state: &State) -> Vec<RunEvent> {
    let first = u32::try_from(state.letters.len()).expect("letters are far fewer than 2^32");
    let opened = state.sets.unlettered.iter().zip(first..).map(|(&subject, letter)| {
        let failure = failure_of(state, subject);
        RunEvent::LetterOpened { letter, subject, failure }
    });
    let failed = state.sets.faulted_deliveries.iter().map(|&delivery| {
        let failure = failure_of(state, LetterSubject::Callback(delivery));
        RunEvent::CallbackFailed { delivery, failure }
    });
    opened.chain(failed).collect()
}

fn failure_of(state: &State, subject: LetterSubject) -> Failure {
    let failure = match subject {
        LetterSubject::Step(step) => state.step(step).failure.as_ref(),
        LetterSubject::Undo(step) => {
            state.step(step).undo.as_ref().and_then(|undo| undo.failure.as_ref())
        }
        LetterSubject::Callback(n) => {
            state.deliveries.get(n as usize).and_then(|own| own.failure.as_ref())
        }
    };
    failure.map_or_else(
        || Failure::permanent(codes::INTERNAL, "failed without a reason"),
        |failure| failure.as_ref().clone(),
    )
}

fn forward(
    state: &State,
    now: Timestamp,
    room: &mut dyn Room,
    work: &mut Work,
    events: &mut Vec<RunEvent>,
) {
    if state.paused().is_some() {
        events.push(RunEvent::RunSuspended { reason: SuspendReason::Pause });
        return;
    }
    if let Some(event) = numbered(state, work) {
        events.push(event);
        return;
    }
    if let Some(&step) = state.sets.failed.first() {
        let failure = failure_of(state, LetterSubject::Step(step));
        let recourse = state.plan.on_failure;
        if recourse == Recourse::Compensate {
            events.extend(pruned_by(state, state.sets.failed.iter().copied()));
        }
        events.push(RunEvent::RunFailing { failure, step: Some(step), recourse });
        return;
    }
    if let Some(event) = stopped(state, now) {
        events.push(event);
        return;
    }
    if !state.has_begun() && !room.begins() {
        return;
    }
    resolve_faults(state, now, events);
    let signalled = held::signalled(state, events);
    let passed = limits::passed(state, now, &signalled, events);
    let late = |own: &Subject| match own {
        Subject::Step(step) => !signalled.contains(step) && !passed.contains(step),
        _ => false,
    };
    let gate = Gate::of(state, now);
    let mut turns = Turns::of(room, Attempt::Step);
    let due = state.due_by(now).filter(late);
    let due = due.filter_map(|subject| fallen_due(state, subject, gate, &mut turns));
    events.extend(due.take(STARTS_PER_LAYER_MAX));
    let open = state.sets.open.iter().take(STARTS_PER_LAYER_MAX.min(state.window()));
    let mut pruned: Vec<_> = state.doomed().take(STARTS_PER_LAYER_MAX).collect();
    for &step in open {
        if work.units >= RENDER_WORK_PER_DECISION_MAX && !events.is_empty() {
            break;
        }
        if state.is_doomed(step) {
            continue;
        }
        if state.step(step).done_needs == 0 && !state.plan.steps[step.at()].needs.is_empty() {
            pruned.push(step);
        } else {
            keyed::opened(state, step, work, events);
        }
    }
    pruned.sort_unstable();
    if !pruned.is_empty() {
        events.push(RunEvent::StepsPruned { steps: pruned });
    }
    let ready = state.sets.ready.iter().take(STARTS_PER_LAYER_MAX);
    for &step in ready {
        if work.units >= RENDER_WORK_PER_DECISION_MAX && !events.is_empty() {
            break;
        }
        if !passed.contains(&step) && gate.lets(state, step) {
            events.push(started(state, step, now, work));
        }
    }
    let queued = state.sets.queued.iter().filter(|step| !passed.contains(step));
    let queued = queued.filter(|step| gate.lets(state, **step));
    for &step in queued.take(STARTS_PER_LAYER_MAX) {
        let rendered = work.units >= RENDER_WORK_PER_DECISION_MAX && !events.is_empty();
        if rendered || !turns.take() {
            break;
        }
        events.push(calls::begun(state, step, now, &mut turns, work));
    }
    keyed::start((state, now), (gate, &passed), &mut turns, work, events);
    calls::start((state, now), (gate, &passed), &mut turns, work, events);
    if state.sets.unsettled == 0 && events.is_empty() {
        events.push(partial::settled(state, work));
    }
}

/// Whatever stops a run from outside its steps: a cancel, or its timeout.
fn stopped(state: &State, now: Timestamp) -> Option<RunEvent> {
    let cancelled = cancelled(state);
    if cancelled.is_some() {
        return cancelled;
    }
    if state.sets.overdue {
        let timeout_ms = state.run_timeout_ms().unwrap_or_default();
        let message = format!("the run passed its timeout of {timeout_ms} ms");
        let failure = Failure::permanent(codes::WORKFLOW_TIMEOUT, message);
        let recourse = state.plan.on_failure;
        return Some(RunEvent::RunFailing { failure, step: None, recourse });
    }
    let overdue = state.due_by(now).any(|subject| subject == Subject::Deadline);
    (overdue && !state.deadline_passed).then_some(RunEvent::DeadlinePassed)
}

fn cancelled(state: &State) -> Option<RunEvent> {
    let cancel = state.cancel.as_ref().filter(|cancel| cancel.in_force)?;
    let message = match cancel.reason.as_str() {
        "" => format!("cancelled by {}", cancel.actor),
        reason => reason.to_owned(),
    };
    let failure = Failure::permanent(codes::CANCELLED, message);
    let recourse = if cancel.compensate { Recourse::Compensate } else { Recourse::Halt };
    Some(RunEvent::RunFailing { failure, step: None, recourse })
}

/// The pending steps that can no longer run because one of these failed.
fn pruned_by(state: &State, failed: impl Iterator<Item = StepIndex>) -> Option<RunEvent> {
    let mut steps = std::collections::BTreeSet::new();
    let mut from: Vec<_> = failed.collect();
    while let Some(step) = from.pop() {
        for &dependant in &state.plan.steps[step.at()].dependants {
            let pending = state.step(dependant).status == crate::arrows::StepStatus::Pending;
            if pending && steps.insert(dependant) {
                from.push(dependant);
            }
        }
    }
    let steps: Vec<_> = steps.into_iter().collect();
    (!steps.is_empty()).then_some(RunEvent::StepsPruned { steps })
}

fn resolve_faults(state: &State, now: Timestamp, events: &mut Vec<RunEvent>) {
    let part = state.partial().map(|part| &part.steps);
    for &step in &state.sets.faulted {
        if part.is_some_and(|part| part.contains(&step)) {
            continue;
        }
        let own = state.step(step);
        let failure = failure_of(state, LetterSubject::Step(step));
        events.push(if state.retries(step).allow(&failure, own.tries, own.lost) {
            RunEvent::StepRetryScheduled { step, due_at: now.plus_ms(own.retry_delay_ms) }
        } else {
            RunEvent::StepFailed { step, failure }
        });
    }
}

fn fallen_due(
    state: &State,
    subject: Subject,
    gate: Gate,
    turns: &mut Turns<'_>,
) -> Option<RunEvent> {
    use crate::arrows::StepStatus;
    let Subject::Step(step) = subject else { return None };
    let own = state.step(step);
    match own.status {
        StepStatus::Waiting if let Some(name) = state.awaits(step) => {
            Some(held::unsignalled(step, name))
        }
        StepStatus::Waiting => {
            let due_at = own.due_at.map(|at| at.to_string());
            let output = Payload::of(&json!({ "waited_until": due_at }));
            Some(RunEvent::StepSucceeded { step, attempt: own.attempt, output })
        }
        StepStatus::Retrying if !gate.lets(state, step) => None,
        StepStatus::Retrying => {
            if state.takes_turns(step) {
                if !turns.take_for(state, step) {
                    return None;
                }
                let stopped = calls::stopped(state, step, turns);
                if stopped.is_some() {
                    return stopped;
                }
            }
            let attempt = own.attempt.saturating_add(1);
            Some(RunEvent::StepStarted { step, attempt })
        }
        _ => None,
    }
}

fn failing(state: &State, now: Timestamp, events: &mut Vec<RunEvent>) {
    if let Some(part) = state.partial() {
        partial::stopping(state, now, part, events);
        return;
    }
    let Some(why) = &state.failing else { return };
    if why.failure.code != codes::CANCELLED
        && let Some(cancelled) = cancelled(state)
    {
        events.push(cancelled);
        return;
    }
    if why.recourse == Recourse::Suspend {
        events.push(RunEvent::RunSuspended { reason: SuspendReason::Policy });
        return;
    }
    for &step in &state.sets.faulted {
        let own = state.step(step);
        let failure = failure_of(state, LetterSubject::Step(step));
        let retries = state.retries(step);
        let forced = [codes::CANCELLED_BY_FORCE, codes::LOOP_STOPPED].contains(&&*failure.code);
        events.push(if forced || retries.allow(&failure, own.tries, own.lost) {
            RunEvent::StepCancelled { step }
        } else {
            RunEvent::StepFailed { step, failure }
        });
    }
    let asleep = state.sets.due.iter().filter_map(|&(_, subject)| match subject {
        Subject::Step(step) => Some(step).filter(|&step| state.awaits(step).is_none()),
        _ => None,
    });
    let listening = state.signals().into_iter().flat_map(Signals::waiting);
    let keyed = state.keyed.iter().flat_map(|keyed| &keyed.ready);
    let ready = state.sets.ready.iter().chain(&state.sets.queued).chain(keyed);
    let held = state.held_calls().filter_map(|(subject, _)| match subject {
        Subject::Step(step) => Some(step),
        _ => None,
    });
    let given_up = ready.copied().chain(asleep).chain(listening).chain(held);
    events.extend(given_up.map(|step| RunEvent::StepCancelled { step }));
    events.extend(held::given_up(state));
    if !events.is_empty() || !state.sets.running.is_empty() {
        return;
    }
    let anything = (0..).map(StepIndex).take(state.steps.len()).any(|s| state.needs_undo(s));
    events.push(if why.recourse == Recourse::Compensate && anything {
        RunEvent::UnwindingStarted
    } else {
        ended(state, Outcome::Failed, Compensation::None)
    });
}

/// The last event of a run that did not complete; a cancel in force has the final word.
fn ended(state: &State, outcome: Outcome, compensation: Compensation) -> RunEvent {
    let cancelled = state.cancel.as_ref().is_some_and(|cancel| cancel.in_force);
    let outcome = if cancelled { Outcome::Cancelled } else { outcome };
    RunEvent::RunEnded { outcome, compensation, output: None }
}
