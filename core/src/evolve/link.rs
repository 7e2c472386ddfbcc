//! What ties a run to others: folding it.

use crate::arrows::{StepStatus, UndoStatus};
use crate::event::{LinkEvent, Message};
use crate::failure::Failure;
use crate::ids::{ExecutionId, StepIndex};
use crate::plan::TaskKind;
use crate::state::{Child, ChunkUndo, Outgoing, RunKeys, State, Subject};
use crate::time::Timestamp;

use super::chunks;

pub(super) fn apply(state: &mut State, event: &LinkEvent, at: Timestamp) -> Result<(), String> {
    match event {
        LinkEvent::Origin(origin) => {
            if state.version != 1 + u64::from(!state.tags.is_empty()) {
                return Err("a run's origin is told when it is submitted".to_owned());
            }
            if let Some((step, items)) =
                origin.parent.as_ref().and_then(|own| Some((own.step, own.items?)))
            {
                chunks::begin(state, step, items)?;
            }
            state.links_mut().origin = Some(origin.as_ref().clone());
            Ok(())
        }
        LinkEvent::Keyed { keys } => {
            if state.version != state.beginning() {
                return Err("a run's keys are told when it is submitted".to_owned());
            }
            state.run_keys = Some(Box::new(RunKeys { keys: keys.clone() }));
            Ok(())
        }
        LinkEvent::Traced(context) => {
            if state.version != state.beginning() {
                return Err("a run's trace is told when it is submitted".to_owned());
            }
            state.traced = Some(context.clone());
            Ok(())
        }
        LinkEvent::MessagePosted { message, to, body } => post(state, *message, *to, body, at),
        LinkEvent::MessageAcknowledged { message, refused } => {
            acknowledge(state, *message, refused.as_ref())
        }
        LinkEvent::MessageReceived { from, message, body } => {
            let links = state.links_mut();
            if links.heard(*from, *message).is_some_and(|heard| at <= heard) {
                return Err(format!("message {message} of {from} came in before"));
            }
            links.received.insert((*from, *message, at));
            if let Message::RollBack { step, attempt } = **body {
                // What was asked first may come in last; only the newest attempt is awaited.
                let newest = links.roll_back.map_or(attempt, |(_, own)| own.max(attempt));
                links.roll_back = Some((step, newest));
            }
            Ok(())
        }
        LinkEvent::LoopBegun { step, attempt, items, chunk_items } => {
            chunks::begun(state, *step, *attempt, *items, *chunk_items)
        }
        LinkEvent::ChunkEnded { .. } => chunks::ended(state, event),
        LinkEvent::ChunkUndone { step, attempt, run, failure } => {
            chunks::undone(state, *step, *run, failure.is_none(), *attempt)
        }
    }
}

fn post(
    state: &mut State,
    number: u32,
    to: ExecutionId,
    body: &Message,
    posted_at: Timestamp,
) -> Result<(), String> {
    let links = state.links_mut();
    if number != links.posted {
        return Err(format!("message {number} after {} messages", links.posted));
    }
    links.posted += 1;
    links.outbox.insert(number, Outgoing { to, body: body.clone(), posted_at });
    match body {
        Message::Start { step, attempt, items } => {
            links.to_start.remove(step);
            if let (Some(items), Some(own)) = (items, links.loops.get_mut(step)) {
                own.next = items.first + u64::from(items.count);
            }
            let (run, attempt, items) = (to, *attempt, *items);
            let child = Child { run, attempt, begun: false, items, undo: ChunkUndo::Not };
            links.children.entry(*step).or_default().push(child);
        }
        Message::Cancel { step, .. } => drop(links.to_cancel.remove(step)),
        Message::Force { step, .. } => {
            links.to_cancel.remove(step);
            links.to_force.remove(step);
        }
        Message::RollBack { step, .. } => drop(links.to_roll_back.remove(step)),
        Message::Ended { .. } => links.reported = true,
        Message::RolledBack { failure, .. } => {
            (links.reported, links.roll_back) = (true, None);
            links.rolled_back |= failure.is_none();
        }
        Message::Signal { step, .. } => drop(links.to_start.remove(step)),
    }
    state.sets.touched.push(Subject::Message(number));
    Ok(())
}

fn acknowledge(state: &mut State, number: u32, refused: Option<&Failure>) -> Result<(), String> {
    let outgoing = state.links_mut().outbox.remove(&number);
    let outgoing = outgoing.ok_or_else(|| format!("message {number} is owed to nobody"))?;
    state.sets.touched.push(Subject::Message(number));
    match outgoing.body {
        Message::Start { step, attempt, items: _ } => {
            let own = super::step_mut(state, step)?;
            let awaited = own.status == StepStatus::Running && own.attempt == attempt;
            let is_loop = state.plan.steps[step.at()].each().is_some();
            let links = state.links_mut();
            match refused {
                Some(why) if awaited && is_loop => chunks::refused(links, step, why),
                Some(why) if awaited => links.refused.push((Subject::Step(step), why.clone())),
                Some(_) => {}
                None => {
                    let children = links.children.entry(step).or_default();
                    let child = children.iter_mut().find(|child| child.run == outgoing.to);
                    child.into_iter().for_each(|child| child.begun = true);
                    if awaited {
                        links.to_cancel.insert(step);
                    }
                    if awaited && is_loop {
                        links.to_force.insert(step);
                    }
                }
            }
        }
        Message::RollBack { step, attempt } => {
            let undo = super::step_mut(state, step)?.undo.as_ref();
            let awaited =
                undo.is_some_and(|own| own.status == UndoStatus::Running && own.attempt == attempt);
            if awaited && refused.is_some() && state.plan.steps[step.at()].each().is_some() {
                return chunks::undone(state, step, outgoing.to, false, attempt);
            }
            if let Some(why) = refused.filter(|_| awaited) {
                state.links_mut().refused.push((Subject::Undo(step), why.clone()));
            }
        }
        Message::Signal { step, attempt, name: _ } => {
            let own = super::step_mut(state, step)?;
            if own.status == StepStatus::Running && own.attempt == attempt {
                let links = state.links_mut();
                match refused {
                    Some(why) => links.refused.push((Subject::Step(step), why.clone())),
                    None => drop(links.delivered.insert(step)),
                }
            }
        }
        Message::Cancel { .. }
        | Message::Force { .. }
        | Message::Ended { .. }
        | Message::RolledBack { .. } => {}
    }
    Ok(())
}

/// A step that is another run, or sends a signal, begins or ends an attempt.
pub(super) fn step_moved(state: &mut State, step: StepIndex) {
    let waits = [TaskKind::Workflow, TaskKind::Signal, TaskKind::Foreach];
    if !waits.contains(&state.plan.steps[step.at()].task) {
        return;
    }
    let running = state.step(step).status == StepStatus::Running;
    let links = state.links_mut();
    links.refused.retain(|(subject, _)| *subject != Subject::Step(step));
    if running {
        links.to_start.insert(step);
    } else {
        links.loops.remove(&step);
        links.to_start.remove(&step);
        links.to_cancel.remove(&step);
        links.to_force.remove(&step);
        links.delivered.remove(&step);
    }
}

/// The undo of a step that is another run begins or ends an attempt.
pub(crate) fn undo_moved(state: &mut State, step: StepIndex) {
    if !state.plan.steps[step.at()].undo.as_ref().is_some_and(|undo| undo.rolls_back()) {
        return;
    }
    let undo = state.step(step).undo.as_ref();
    let running = undo.is_some_and(|own| own.status == UndoStatus::Running);
    let links = state.links_mut();
    links.refused.retain(|(subject, _)| *subject != Subject::Undo(step));
    if running {
        links.to_roll_back.insert(step);
    } else {
        links.to_roll_back.remove(&step);
    }
}
