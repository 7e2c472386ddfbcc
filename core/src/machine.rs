//! The run as one machine: command in, events out, the state moved on by exactly those.

use crate::advance::{RENDER_WORK_PER_DECISION_MAX, layer};
use crate::command::{Command, Rejection, Submission};
use crate::decide::decide;
use crate::event::{DeliveryEvent, Event, ForkEvent, LinkEvent, RunEvent, ServiceEvent};
use crate::evolve::{IllegalTransition, evolve, evolve_onto};
use crate::ids::ExecutionId;
use crate::lineage::Plans;
use crate::payload::{INLINE_BYTES_MAX, Payload};
use crate::plan::Plan;
use crate::room::{Room, Unbounded};
use crate::state::State;
use crate::template::Work;
use crate::time::{Moment, Timestamp};
use crate::trace;

/// Events after which one decision is cut; the rest stays owed and follows by
/// [`Command::Continue`].
pub const EVENTS_PER_DECISION_MAX: usize = 1_024;

/// What one decision made.
#[derive(Debug, Default)]
pub struct Decision {
    /// In order; the state has folded them.
    pub events: Vec<RunEvent>,
    /// Whether the decision was cut and wants [`Command::Continue`].
    pub cut: bool,
    /// What it rendered.
    pub work: Work,
}

/// Why a decision could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The command is wrong where the run stands; the state is unchanged.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The engine is wrong; the state must not be used any more.
    #[error(transparent)]
    Illegal(#[from] IllegalTransition),
}

/// Begins a run, with room for everything.
///
/// # Errors
/// [`Refusal::Illegal`] if the engine is wrong.
pub fn submit(submission: Submission, moment: Moment) -> Result<(State, Decision), Refusal> {
    submit_within(submission, moment, &mut Unbounded)
}

/// Begins a run; what there is no room for waits.
///
/// # Errors
/// [`Refusal::Illegal`] if the engine is wrong.
pub fn submit_within(
    submission: Submission,
    moment: Moment,
    room: &mut dyn Room,
) -> Result<(State, Decision), Refusal> {
    let (mut state, mut decision) = begin(submission, moment)?;
    settle(&mut state, moment, room, &mut decision)?;
    Ok((state, decision))
}

/// The events that begin a run, before anything follows of them.
///
/// # Errors
/// [`Rejection::NoLimitKey`]; [`Refusal::Illegal`] if the engine is wrong.
pub fn begin(submission: Submission, moment: Moment) -> Result<(State, Decision), Refusal> {
    let tags = submission.all_tags();
    let Submission { execution, plan, submitted, origin, targets, alerts, faults, trace, .. } =
        submission;
    let mut events = vec![RunEvent::Submitted(submitted.clone())];
    keep_beside(&plan, &mut events);
    let submitted = match events.first() {
        Some(RunEvent::Submitted(kept)) => kept.clone(),
        _ => submitted,
    };
    let mut state = State::begin(execution, plan, submitted, moment.stamp);
    let mut decision = Decision { events, ..Decision::default() };
    let parent = origin.as_ref().and_then(|own| own.parent.as_ref());
    let trace = trace.filter(|own| **own != trace::untold(execution, parent));
    let tagged = (!tags.is_empty()).then_some(RunEvent::Tagged { tags });
    let origin = origin.map(|origin| RunEvent::Link(LinkEvent::Origin(origin)));
    for event in tagged.into_iter().chain(origin) {
        evolve(&mut state, &event, moment.stamp)?;
        decision.events.push(event);
    }
    if !state.plan.keyed_runs.is_empty() {
        let rendered = state.plan.render_run_keys(&state, &mut decision.work);
        let keys = rendered.map_err(|why| Rejection::NoLimitKey { why: Box::new(why) })?;
        let event = RunEvent::Link(LinkEvent::Keyed { keys });
        evolve(&mut state, &event, moment.stamp)?;
        decision.events.push(event);
    }
    if !targets.is_empty() {
        let event = RunEvent::Delivery(DeliveryEvent::Targeted { targets });
        evolve(&mut state, &event, moment.stamp)?;
        decision.events.push(event);
    }
    if !alerts.is_empty() {
        let event = RunEvent::Delivery(DeliveryEvent::AlertsPinned { alerts });
        evolve(&mut state, &event, moment.stamp)?;
        decision.events.push(event);
    }
    if !faults.is_empty() {
        let event = RunEvent::Service(ServiceEvent::FaultsPlanned { faults });
        evolve(&mut state, &event, moment.stamp)?;
        decision.events.push(event);
    }
    if let Some(trace) = trace {
        let event = RunEvent::Link(LinkEvent::Traced(trace));
        evolve(&mut state, &event, moment.stamp)?;
        decision.events.push(event);
    }
    Ok((state, decision))
}

/// Carries a command out on a run, with room for everything.
///
/// # Errors
/// [`Refusal`]
pub fn handle(state: &mut State, command: Command, moment: Moment) -> Result<Decision, Refusal> {
    handle_within(state, command, moment, &mut Unbounded)
}

/// Carries a command out on a run; what there is no room for waits.
///
/// # Errors
/// [`Refusal`]
pub fn handle_within(
    state: &mut State,
    command: Command,
    moment: Moment,
    room: &mut dyn Room,
) -> Result<Decision, Refusal> {
    let mut decision = record(state, command, moment)?;
    settle(state, moment, room, &mut decision)?;
    Ok(decision)
}

/// Records only the facts of a command; what follows from them waits. For a node that is about
/// to stop: every prefix of a decision is a place to go on from.
///
/// # Errors
/// [`Refusal`]
pub fn record(state: &mut State, command: Command, moment: Moment) -> Result<Decision, Refusal> {
    let onto = match &command {
        Command::Migrate { plan, .. } => Some(plan.clone()),
        _ => None,
    };
    let mut events = decide(state, command, moment.now)?;
    keep_beside(&state.plan, &mut events);
    for event in &events {
        evolve_onto(state, event, onto.as_ref(), moment.stamp)?;
    }
    Ok(Decision { events, ..Decision::default() })
}

/// Has payloads leave their records: all of an erasable workflow's runs, and those that are
/// small each and would together make their record too large.
pub(crate) fn keep_beside(plan: &Plan, events: &mut [RunEvent]) {
    for event in events {
        let several =
            matches!(event, RunEvent::Submitted(_) | RunEvent::Fork(ForkEvent::StepKept(_)));
        let crowded = several && event.payload_bytes() > INLINE_BYTES_MAX;
        if plan.erasable || crowded {
            event.for_each_payload_mut(&mut Payload::keep_beside);
        }
    }
}

/// What follows of itself, layer by layer, with what there is room for.
///
/// # Errors
/// [`Refusal::Illegal`] if the engine is wrong.
pub fn settle(
    state: &mut State,
    moment: Moment,
    room: &mut dyn Room,
    decision: &mut Decision,
) -> Result<(), Refusal> {
    loop {
        let mut layer = layer(state, moment, room, &mut decision.work);
        keep_beside(&state.plan, &mut layer);
        if layer.is_empty() {
            return Ok(());
        }
        for event in &layer {
            evolve(state, event, moment.stamp)?;
        }
        decision.events.extend(layer);
        let rendered = decision.work.units >= RENDER_WORK_PER_DECISION_MAX;
        if rendered || decision.events.len() >= EVENTS_PER_DECISION_MAX {
            decision.cut = true;
            return Ok(());
        }
    }
}

/// Folds later events of a run into its state.
///
/// # Errors
/// [`IllegalTransition`] at the first event that does not fit.
pub fn replay_more<'a>(
    state: &mut State,
    plans: &dyn Plans,
    events: impl IntoIterator<Item = (&'a Event, Timestamp)>,
) -> Result<(), IllegalTransition> {
    for (event, at) in events {
        let Event::Run(event) = event else {
            let (execution, version) = (state.id, state.version + 1);
            let why = "not an event of a run".to_owned();
            return Err(IllegalTransition { execution, version, why });
        };
        let onto = match event {
            RunEvent::Fork(ForkEvent::Migrated { digest, .. }) => {
                let mut lineage = state.lineage();
                lineage.push(*digest);
                plans.plan_of(&lineage)
            }
            _ => None,
        };
        evolve_onto(state, event, onto.as_ref(), at)?;
    }
    Ok(())
}

/// The state that a run's events add up to; `plans` knows the revisions they were made with.
///
/// # Errors
/// [`IllegalTransition`] at the first event that does not fit.
pub fn replay<'a>(
    execution: ExecutionId,
    plans: &dyn Plans,
    events: impl IntoIterator<Item = (&'a Event, Timestamp)>,
) -> Result<State, IllegalTransition> {
    let mut events = events.into_iter();
    let illegal =
        |version: u64, why: &str| IllegalTransition { execution, version, why: why.to_owned() };
    let mut state = match events.next() {
        Some((Event::Run(RunEvent::Submitted(submitted)), at)) => {
            let missing = || {
                let digest = submitted.digest;
                illegal(1, &format!("the revision {digest} is not in the journal"))
            };
            let plan = plans.plan_of(&[submitted.digest]).ok_or_else(missing)?;
            State::begin(execution, plan, submitted.clone(), at)
        }
        Some((Event::Run(_), _)) => {
            return Err(illegal(1, "a run begins with its submission"));
        }
        Some(_) => return Err(illegal(1, "not an event of a run")),
        None => return Err(illegal(0, "a run has at least one event")),
    };
    replay_more(&mut state, plans, events)?;
    Ok(state)
}
