//! Chunks of a loop in a rehearsal: each is played too, with the loop's own part of the script
//! for each of its items, or answered with what a recording has of them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::super::script::{Found, Script};
use super::{Play, Reply, illegal};
use crate::command::Submission;
use crate::event::{Message, Origin, Outcome, Submitted};
use crate::evolve::IllegalTransition;
use crate::ids::{Digest, ExecutionId, StepIndex};
use crate::links::{Chunk, Start};
use crate::machine::submit;
use crate::payload::Payload;
use crate::plan::PlanStep;
use crate::time::Moment;

/// What a chunk says at its end, and after how long.
pub(super) struct Said {
    pub delay_ms: u64,
    pub body: Message,
    pub output: Option<Payload>,
}

impl Play<'_> {
    /// The part of the script that a step has: the items of a loop share that of the loop.
    pub(super) fn part_of(&self, step: StepIndex) -> String {
        let own = self.state.plan.loop_step().unwrap_or_else(|| self.state.plan.step(step));
        own.id.to_string()
    }

    /// Plays a chunk to its end; nothing if it does not come to one.
    pub(super) fn chunk(
        &mut self,
        to: ExecutionId,
        start: Start,
        chunk: Chunk,
    ) -> Result<Option<Said>, IllegalTransition> {
        let (step, attempt) = (start.parent.step, start.parent.attempt);
        if let Some(output) = self.recorded(step, attempt, &start) {
            let body = Message::Ended { step, attempt, outcome: Outcome::Completed, failure: None };
            return Ok(Some(Said { delay_ms: 0, body, output: Some(output) }));
        }
        let mut below = self.begin_chunk(to, start, chunk)?;
        let starts_at = self.now;
        let stopped = below.run(starts_at)?;
        self.script = std::mem::take(&mut below.script);
        self.unmocked.append(&mut below.unmocked);
        self.differing.append(&mut below.differing);
        self.asked.append(&mut below.asked);
        self.children.append(&mut below.children);
        self.work_units = below.work_units;
        self.events_below += below.events_below + below.events.len();
        let ended_at = below.events.last().map_or(starts_at, |(_, at)| *at);
        let ended = below.said.take().filter(|_| stopped.is_none());
        Ok(ended.map(|body| {
            let output = below.state.ending.as_ref().and_then(|ending| ending.output.clone());
            Said { delay_ms: ended_at.ms_since(starts_at), body, output }
        }))
    }

    /// A play of the chunk, which has begun.
    fn begin_chunk(
        &mut self,
        execution: ExecutionId,
        start: Start,
        chunk: Chunk,
    ) -> Result<Self, IllegalTransition> {
        let submitted = Box::new(Submitted {
            namespace: start.namespace,
            workflow: self.state.plan.workflow.clone(),
            revision: chunk.revision,
            digest: chunk.digest,
            input: chunk.items,
            variables: chunk.values,
            correlation_id: start.correlation_id,
            idempotency_key: None,
            request: Digest::default(),
            callbacks: Vec::new(),
            deadline_at: None,
            retry_of: None,
            actor: start.actor,
        });
        let parent = Some(start.parent);
        let origin = Some(Box::new(Origin { parent, priority: start.priority, variant: None }));
        let (plan, tags) = (self.state.plan.clone(), Vec::new());
        let submission = Submission {
            execution,
            plan,
            submitted,
            tags,
            origin,
            targets: Vec::new(),
            alerts: Vec::new(),
            faults: Vec::new(),
            trace: Some(start.trace),
        };
        let begun = submit(submission, Moment::at(self.now));
        let (state, decision) = begun.map_err(illegal(execution))?;
        let mut below = Self {
            state,
            script: std::mem::take(&mut self.script),
            unmocked_is: self.unmocked_is,
            around: self.around,
            now: self.now,
            agenda: BTreeMap::new(),
            called: 0,
            performed: BTreeSet::new(),
            messages: 0,
            work_units: self.work_units,
            asked: BTreeSet::new(),
            events: Vec::new(),
            events_below: self.events_below,
            said: None,
            unmocked: BTreeSet::new(),
            differing: BTreeSet::new(),
            callbacks: Vec::new(),
            children: Vec::new(),
        };
        self.events_below = 0;
        below.note(decision)?;
        Ok(below)
    }

    /// What a recording of the whole loop, or a mock of it, has of these items.
    fn recorded(&mut self, step: StepIndex, attempt: u16, start: &Start) -> Option<Payload> {
        let plan = self.state.plan.clone();
        let plan: &PlanStep = plan.step(step);
        let input = self.state.step(step).input.clone().unwrap_or_else(Payload::null);
        let Found::Answer(answer) = self.script.find(&plan.id, attempt, &input) else {
            return None;
        };
        let Reply::Output(output) = &answer.reply else { return None };
        let output = output.value();
        let results = output.get("results")?.as_array()?;
        let items = start.parent.items?;
        let first = usize::try_from(items.first).ok()?;
        let own = results.get(first..first + usize::try_from(items.count).ok()?)?;
        let count = |word: &str| own.iter().filter(|item| item["status"] == word).count();
        let answer = json!({
            "succeeded": count("succeeded"),
            "failed": count("failed"),
            "skipped": count("skipped"),
            "results": own.iter().map(Value::clone).collect::<Vec<_>>(),
        });
        self.asked.insert(plan.id.to_string());
        Some(Payload::of(&answer))
    }

    /// The name of a check's part of the script.
    pub(super) fn check_part_of(&self, step: StepIndex) -> String {
        Script::check_of(&self.part_of(step))
    }

    /// The name of an undo's part of the script.
    pub(super) fn undo_part_of(&self, step: StepIndex) -> String {
        Script::undo_of(&self.part_of(step))
    }
}
