//! The invariants between runs: a message takes effect exactly once, a child is begun once for
//! each attempt of its parent's step, and what a parent takes for undone is undone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backstitch_core::arrows::{StepStatus, UndoStatus};
use backstitch_core::event::{ControlEvent, Event, LinkEvent, Message, Outcome, RunEvent};
use backstitch_core::failure::Failure;
use backstitch_core::ids::{ExecutionId, StepIndex};
use backstitch_core::plan::TaskKind;
use backstitch_core::state::{CheckVerdict, State};
use backstitch_core::time::Timestamp;

use super::world::World;

/// What a run said and heard.
#[derive(Default)]
struct Talk {
    begun_at: Timestamp,
    posted: BTreeMap<u32, (ExecutionId, Message, Timestamp)>,
    answered: BTreeMap<u32, Option<Failure>>,
    received: Vec<(ExecutionId, u32, Timestamp)>,
    signals: BTreeSet<String>,
    completed: bool,
}

fn talks(world: &World) -> BTreeMap<ExecutionId, Talk> {
    let disk = world.disk.lock().expect("no thread panicked");
    let mut talks: BTreeMap<ExecutionId, Talk> = BTreeMap::new();
    for (run, records) in disk.runs.iter().chain(&disk.removed) {
        let talk = talks.entry(*run).or_default();
        talk.begun_at = records.first().map_or(talk.begun_at, |first| first.at);
        for record in records {
            let Event::Run(event) = &record.event else { panic!("only runs here") };
            match event {
                RunEvent::Link(LinkEvent::MessagePosted { message, to, body }) => {
                    talk.posted.insert(*message, (*to, body.as_ref().clone(), record.at));
                }
                RunEvent::Link(LinkEvent::MessageAcknowledged { message, refused }) => {
                    let twice = talk.answered.insert(*message, refused.clone());
                    assert!(twice.is_none(), "{run}: message {message} is answered once");
                }
                RunEvent::Link(LinkEvent::MessageReceived { from, message, .. }) => {
                    talk.received.push((*from, *message, record.at));
                }
                RunEvent::Control(ControlEvent::SignalReceived { id: Some(id), .. }) => {
                    assert!(talk.signals.insert(id.clone()), "{run}: signal {id} came twice");
                }
                RunEvent::RunEnded { outcome: Outcome::Completed, .. } => talk.completed = true,
                _ => {}
            }
        }
    }
    talks
}

/// Whether a run was removed, and its id was begun with again.
fn begun_again(world: &World, run: ExecutionId) -> bool {
    let disk = world.disk.lock().expect("no thread panicked");
    disk.requests.get(&run).is_some_and(|lives| lives.len() > 1)
}

/// What every run said was heard once, or refused.
pub fn messages_take_effect_once(world: &World) {
    let talks = talks(world);
    let seed = world.seed;
    for (run, talk) in &talks {
        for (message, (to, body, posted_at)) in &talk.posted {
            let Some(answer) = talk.answered.get(message) else {
                panic!("seed {seed}: {run}: message {message} was never answered: {body:?}");
            };
            let Some(receiver) = talks.get(to) else { continue };
            // Nothing is left of what was heard in a life that was removed and begun again.
            let gone = receiver.begun_at > *posted_at && begun_again(world, *to);
            let own = |heard: &&(_, _, _)| (heard.0, heard.1) == (*run, *message);
            let all = receiver.received.iter().filter(own);
            let (later, before): (Vec<&_>, Vec<&_>) = all.partition(|own| own.2 > *posted_at);
            // What was heard before it was said is of the sender's former life.
            assert!(
                before.is_empty() || begun_again(world, *run),
                "seed {seed}: {run} to {to}: {body:?} was heard before it was said"
            );
            let heard = later.len();
            let due = usize::from(!matches!(body, Message::Start { .. }));
            let words = format!("seed {seed}: {run} to {to}: {body:?} was heard {heard} times");
            if matches!(body, Message::Signal { .. }) && answer.is_none() && !gone {
                let id = format!("{run}/{message}");
                let known = match before.is_empty() {
                    true => receiver.signals.contains(&id),
                    false => receiver.signals.contains(&format!("{id}/{posted_at}")),
                };
                assert!(known, "{words}: no signal of it");
            }
            match answer {
                None if !gone => assert_eq!(heard, due, "{words}"),
                _ => assert!(heard <= due, "{words}"),
            }
        }
    }
}

/// The run against its children and its parent.
pub fn children_agree(world: &World, state: &State) {
    let (seed, id) = (world.seed, state.id);
    let Some(links) = &state.links else { return };
    if let Some(parent) = state.parent()
        && let Some(above) = known(world, parent.run)
    {
        let children = above.links.as_ref().and_then(|links| links.children.get(&parent.step));
        let known = children.into_iter().flatten();
        let own = known.filter(|child| child.run == id && child.attempt == parent.attempt).count();
        assert_eq!(own, 1, "seed {seed}: {id} is not the child of its parent");
        let (own, above) = (state.trace(), above.trace());
        assert_eq!(own.trace, above.trace, "seed {seed}: {id} is in another trace than its parent");
    }
    for (step, children) in &links.children {
        let (plan, own) = (&state.plan.steps[step.at()], state.step(*step));
        assert!(matches!(plan.task, TaskKind::Workflow | TaskKind::Foreach));
        let is_loop = plan.task == TaskKind::Foreach;
        for (at, child) in children.iter().enumerate() {
            // Every chunk of a loop's last attempt counts, and every chunk that was is undone.
            let of_last = is_loop && child.attempt == own.attempt;
            let last = at + 1 == children.len() || of_last;
            // Chunks of rounds before were undone, or settled, with these.
            let to_undo = last || (is_loop && own.round == 1);
            let Some(below) = known(world, child.run) else {
                continue;
            };
            assert!(below.status().is_ended(), "seed {seed}: {} outlives its parent", child.run);
            if last && own.status == StepStatus::Succeeded && !own.by_hand {
                let talk = &talks(world)[&child.run];
                assert!(talk.completed, "seed {seed}: {id}: its child {} never did", child.run);
            }
            let rolled_back = own
                .undo
                .as_ref()
                .is_some_and(|undo| undo.status == UndoStatus::Succeeded && undo.by_hand.is_none());
            if to_undo && rolled_back {
                undone(seed, &below);
            }
        }
    }
}

/// Whether nobody else has the keys of a run's effects: those of a chunk are its parent's, which
/// may be gone, or have had another chunk for the same items.
pub fn keys_are_its_own(world: &World, state: &State) -> bool {
    let Some(parent) = state.parent().filter(|own| own.items.is_some()) else { return true };
    known(world, parent.run).is_some_and(|above| above.step(parent.step).attempt == 1)
}

/// Everything the run did is undone, but for what a fork of it has taken over.
fn undone(seed: u64, state: &State) {
    for (step, (plan, own)) in (0..).map(StepIndex).zip(state.plan.steps.iter().zip(&state.steps)) {
        let done = own.status == StepStatus::Succeeded || own.unsure;
        if plan.undo.is_some() && done && !state.is_undone_elsewhere(step) {
            let undo = own.undo.as_ref().map(|undo| undo.status);
            let nothing = own.check().and_then(|check| check.verdict.as_ref());
            let whole = match undo {
                Some(UndoStatus::Skipped) => nothing == Some(&CheckVerdict::NoEffect),
                Some(UndoStatus::Failed) => super::undos::is_by_hand(state, step),
                undo => undo == Some(UndoStatus::Succeeded),
            };
            assert!(whole, "seed {seed}: {}: {} is {undo:?}", state.id, plan.id);
        }
    }
}

fn known(world: &World, run: ExecutionId) -> Option<Arc<State>> {
    let exists = world.disk.lock().expect("no thread panicked").runs.contains_key(&run);
    exists.then(|| world.live_state(run))
}
