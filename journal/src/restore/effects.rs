//! What reached the world behind the point, with the keys that its receivers saw: what began
//! there, and what was under way at the point and was answered behind it.
//!
//! A second pass over the commits, only if there is something to list: the key of an effect
//! names its step and its round, which stand earlier in the run's history and in its
//! workflow's. Knows of events what the keys are made of, and nothing else.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use backstitch_core::event::{Event, RunEvent, UnwindEvent, WorkflowEvent};
use backstitch_core::ids::{StepIndex, StreamId};
use backstitch_core::workflow::{self, WorkflowState};

use super::plan::Plan;
use super::{Effect, EffectKind, Error, LISTED_MAX, Meter, OnProgress, Reader, RestoreReport};
use crate::keys;
use crate::record::{self, Record};

/// Fills the report's list of effects.
pub(super) fn list(
    reader: &Reader,
    plan: &Plan,
    report: &mut RestoreReport,
    heard: &mut OnProgress<'_>,
) -> Result<(), Error> {
    if plan.effects_of.is_empty() {
        return Ok(());
    }
    let mut known = Keys::default();
    if let Some(base) = reader.sources.base()? {
        base.for_each_entry(|entry| {
            let stream = keys::stream_of(&entry.key).map(|(stream, _)| stream);
            let wanted = stream.is_ok_and(|stream| plan.wants(&stream));
            if wanted {
                entry.decode()?.iter().for_each(|record| known.learn(record));
            }
            Ok(())
        })?;
    }
    let mut meter = Meter::of(heard, "listing effects", plan.bytes);
    let mut failure = None;
    let read = reader.for_each_commit(|commit, _| {
        let kept = plan.has(commit);
        for entry in &commit.entries {
            if !plan.wants(&entry.stream) {
                continue;
            }
            let record = record::decode(commit.body(entry), entry.position)
                .expect("the commit decoded as a whole");
            known.learn(&record);
            if kept {
                known.begin(&record);
                continue;
            }
            let Some(effect) = known.effect(&record) else { continue };
            report.effect_count += 1;
            if report.effects.len() < LISTED_MAX {
                report.effects.push(effect);
            }
        }
        failure = meter.add(commit.bytes().len() as u64).err();
        failure.is_none()
    });
    match (failure, read) {
        (Some(failure), _) => Err(failure),
        // Known from the first pass, and behind the point.
        (None, Err(Error::Damaged { .. })) if report.damage_behind.is_some() => Ok(()),
        (None, read) => read.map(|_| ()),
    }
}

/// What the keys of effects are made of.
#[derive(Default)]
struct Keys {
    workflows: HashMap<StreamId, Option<WorkflowState>>,
    /// The ids of a run's steps and their types, in order.
    steps: HashMap<StreamId, Arc<[(String, String)]>>,
    rounds: HashMap<(StreamId, StepIndex), u16>,
    /// Attempts before the point: of which step, whether of its undo, and the last one's number.
    begun: HashMap<(StreamId, StepIndex, bool), u16>,
    /// Steps whose undo's attempts ask whether there is anything to undo.
    asking: HashSet<(StreamId, StepIndex)>,
}

/// Types of steps that the engine does itself: what they begin is in the journal.
const OWN_TYPES: [&str; 6] = ["transform", "wait", "router", "workflow", "signal", "foreach"];

impl Keys {
    fn learn(&mut self, record: &Record) {
        match &record.event {
            Event::Workflow(event) => self.define(record, event),
            Event::Run(RunEvent::Submitted(submitted)) => {
                let stream = StreamId::Workflow {
                    namespace: Arc::clone(&submitted.namespace),
                    workflow: Arc::clone(&submitted.workflow),
                };
                let workflow = self.workflows.get(&stream).and_then(Option::as_ref);
                let revision = workflow.and_then(|found| found.revision(submitted.revision));
                if let Some(revision) = revision {
                    self.steps.insert(record.stream.clone(), step_ids(&revision.text));
                }
            }
            Event::Run(RunEvent::StepReady { step, round, .. }) => {
                self.rounds.insert((record.stream.clone(), *step), *round);
            }
            Event::Run(RunEvent::Unwind(UnwindEvent::CheckReady { step, .. })) => {
                self.asking.insert((record.stream.clone(), *step));
            }
            Event::Run(RunEvent::UndoReady { step, .. }) => {
                self.asking.remove(&(record.stream.clone(), *step));
            }
            Event::Run(_) | Event::Partition(_) | Event::Replay(_) | Event::Redrive(_) => {}
        }
    }

    fn define(&mut self, record: &Record, event: &WorkflowEvent) {
        let state = self.workflows.entry(record.stream.clone()).or_default();
        if workflow::evolve(state, event, record.recorded_at).is_err() {
            // Its runs' effects are listed without their keys.
            *state = None;
        }
    }

    /// Takes an attempt before the point.
    fn begin(&mut self, record: &Record) {
        let (step, undo, attempt) = match record.event {
            Event::Run(RunEvent::StepStarted { step, attempt }) => (step, false, attempt),
            Event::Run(RunEvent::UndoStarted { step, attempt }) => (step, true, attempt),
            _ => return,
        };
        self.begun.insert((record.stream.clone(), step, undo), attempt);
    }

    /// The kind and key of an attempt that was under way at the point, if this answers it.
    fn under_way(&mut self, record: &Record) -> Option<(EffectKind, u16, Option<String>)> {
        let (step, undo, attempt) = super::plan::answered(&record.event)?;
        let own = (record.stream.clone(), step, undo);
        if self.begun.get(&own) != Some(&attempt) {
            return None;
        }
        self.begun.remove(&own);
        let types = self.steps.get(&record.stream).and_then(|steps| steps.get(step.at()));
        if !undo && types.is_some_and(|(_, own)| OWN_TYPES.contains(&own.as_str())) {
            return None;
        }
        Some(match undo {
            false => (EffectKind::Step, attempt, self.key(&record.stream, step, "")),
            true => (EffectKind::Undo, attempt, self.key_of_undo(&record.stream, step)),
        })
    }

    fn effect(&mut self, record: &Record) -> Option<Effect> {
        let (kind, attempt, idempotency_key) = match &record.event {
            Event::Run(RunEvent::StepStarted { step, attempt }) => {
                (EffectKind::Step, Some(*attempt), self.key(&record.stream, *step, ""))
            }
            Event::Run(RunEvent::UndoStarted { step, attempt }) => {
                (EffectKind::Undo, Some(*attempt), self.key_of_undo(&record.stream, *step))
            }
            Event::Run(RunEvent::CallbackDelivered { delivery, attempt, .. }) => {
                let key = format!("{}/callback/{delivery}", record.stream);
                (EffectKind::Callback, Some(*attempt), Some(key))
            }
            Event::Replay(_) if super::plan::is_effect(&record.event) => {
                (EffectKind::Replay, None, None)
            }
            _ => {
                let (kind, attempt, key) = self.under_way(record)?;
                (kind, Some(attempt), key)
            }
        };
        let (stream, recorded_at) = (record.stream.to_string(), record.recorded_at);
        Some(Effect { kind, stream, attempt, idempotency_key, recorded_at })
    }

    fn key_of_undo(&self, stream: &StreamId, step: StepIndex) -> Option<String> {
        let asks = self.asking.contains(&(stream.clone(), step));
        self.key(stream, step, if asks { "/check" } else { "/undo" })
    }

    /// The key as `State::idempotency_key` forms it.
    fn key(&self, stream: &StreamId, step: StepIndex, suffix: &str) -> Option<String> {
        let (id, _) = self.steps.get(stream)?.get(step.at())?;
        let round = self.rounds.get(&(stream.clone(), step))?;
        Some(format!("{stream}/{id}/{round}{suffix}"))
    }
}

/// The ids of a definition's steps and their types, in order; empty if the text is none.
fn step_ids(text: &str) -> Arc<[(String, String)]> {
    let read = serde_json::from_str::<serde_json::Value>(text).ok();
    let steps = read.as_ref().and_then(|definition| definition.get("steps")?.as_array());
    let word = |step: &serde_json::Value, name| {
        step.get(name).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
    };
    let ids = |step| (word(step, "id"), word(step, "type"));
    steps.map(|steps| steps.iter().map(ids).collect()).unwrap_or_default()
}
