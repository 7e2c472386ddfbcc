//! A past run as a script: what each of its attempts came to, and how long it took.
//!
//! Attempts that never ended are left out, as are answers that are kept no more.

use std::collections::{BTreeMap, BTreeSet};

use super::script::{Answer, Part, Reply, Script};
use crate::event::{ControlEvent, Event, ForkEvent, GraphEvent, KeptStatus, RunEvent, UnwindEvent};
use crate::failure::Failure;
use crate::ids::StepIndex;
use crate::payload::Payload;
use crate::plan::{Plan, TaskKind};
use crate::time::Timestamp;

impl Script {
    /// What a run did, each part for the input it was recorded with; `plan` is the run's.
    #[must_use]
    pub fn recorded(plan: &Plan, events: &[(Event, Timestamp)]) -> Self {
        let mut recording = Recording {
            plan,
            script: Self::default(),
            began: BTreeMap::new(),
            asking: BTreeSet::new(),
            asked: BTreeMap::new(),
        };
        for (event, at) in events {
            if let Event::Run(event) = event {
                recording.take(event, *at);
            }
        }
        recording.script.of_plan(plan)
    }
}

struct Recording<'a> {
    plan: &'a Plan,
    script: Script,
    /// When the attempt under way began, by name.
    began: BTreeMap<String, Timestamp>,
    /// Steps whose service is being asked whether they took effect.
    asking: BTreeSet<StepIndex>,
    /// The attempt that was answered, of those whose service was.
    asked: BTreeMap<StepIndex, u16>,
}

impl Recording<'_> {
    fn take(&mut self, event: &RunEvent, at: Timestamp) {
        match event {
            RunEvent::StepReady { step, input, .. } => self.input(self.name(*step), input),
            RunEvent::StepStarted { step, .. } => self.begin(self.name(*step), at),
            RunEvent::StepSucceeded { step, attempt, output } => {
                self.end(self.name(*step), *attempt, output_of(output), None, at);
            }
            RunEvent::StepAttemptFailed { step, attempt, failure, retry_delay_ms } => {
                let reply = Some(Reply::Failure(failure.clone()));
                self.end(self.name(*step), *attempt, reply, Some(*retry_delay_ms), at);
            }
            RunEvent::StepTimedOut { step, attempt, retry_delay_ms, .. } => {
                let reply = Some(Reply::TimedOut);
                self.end(self.name(*step), *attempt, reply, Some(*retry_delay_ms), at);
            }
            RunEvent::StepAttemptLost { step, attempt } => {
                self.end(self.name(*step), *attempt, Some(Reply::Lost), None, at);
            }
            RunEvent::UndoReady { step, input } => {
                self.asking.remove(step);
                self.input(self.undo(*step), input);
            }
            RunEvent::UndoStarted { step, .. } => self.begin(self.undo(*step), at),
            RunEvent::UndoSucceeded { step, attempt, output } => {
                let attempt = self.undo_attempt(*step, *attempt);
                self.end(self.undo(*step), attempt, output_of(output), None, at);
            }
            RunEvent::UndoAttemptFailed { step, attempt, failure, retry_delay_ms } => {
                let (reply, attempt) =
                    (Some(Reply::Failure(failure.clone())), self.undo_attempt(*step, *attempt));
                self.end(self.undo(*step), attempt, reply, Some(*retry_delay_ms), at);
            }
            RunEvent::Unwind(UnwindEvent::CheckReady { step, input }) => {
                self.asking.insert(*step);
                self.input(self.undo(*step), input);
            }
            RunEvent::Unwind(UnwindEvent::CheckAnswered { step, attempt, output }) => {
                self.end(self.undo(*step), *attempt, output_of(output), None, at);
                self.asked.insert(*step, *attempt);
            }
            RunEvent::Graph(event) => self.take_graph(event, at),
            RunEvent::Control(ControlEvent::StepOverridden {
                step, output: Some(output), ..
            }) => {
                self.then(self.name(*step), output_of(output));
            }
            RunEvent::Fork(ForkEvent::StepKept(kept)) => {
                let name = self.name(kept.step);
                kept.input.iter().for_each(|input| self.input(name.clone(), input));
                let reply = match (kept.status, &kept.output, &kept.failure) {
                    (KeptStatus::Succeeded, Some(output), _) => output_of(output),
                    (KeptStatus::Failed, _, Some(failure)) => Some(permanent(failure)),
                    _ => None,
                };
                self.then(name, reply);
            }
            _ => {}
        }
    }

    fn take_graph(&mut self, event: &GraphEvent, at: Timestamp) {
        match event {
            GraphEvent::StepAwaitsSignal { step, .. } => self.begin(self.name(*step), at),
            GraphEvent::StepSignalled { step, output, .. } => {
                let carried = Payload::of(&output.value()["payload"]);
                let reply = output.absent().is_none().then_some(Reply::Output(carried));
                self.end(self.name(*step), 1, reply, None, at);
            }
            GraphEvent::StepCacheHit { step, output, .. } => {
                self.then(self.name(*step), output_of(output));
            }
            GraphEvent::RouteChosen { .. }
            | GraphEvent::StepLimitPassed { .. }
            | GraphEvent::SlaBreached { .. }
            | GraphEvent::StepKeyed { .. }
            | GraphEvent::NumbersSet { .. } => {}
        }
    }

    fn name(&self, step: StepIndex) -> String {
        self.plan.steps.get(step.at()).map(|own| own.id.to_string()).unwrap_or_default()
    }

    fn undo(&self, step: StepIndex) -> String {
        match self.asking.contains(&step) {
            true => Script::check_of(&self.name(step)),
            false => Script::undo_of(&self.name(step)),
        }
    }

    /// The number of an undo's attempt among its own: those of its check came before.
    fn undo_attempt(&self, step: StepIndex, attempt: u16) -> u16 {
        let before = self.asked.get(&step).filter(|_| !self.asking.contains(&step));
        attempt.saturating_sub(before.copied().unwrap_or(0))
    }

    /// The input of a step that is evaluated is nobody's to compare.
    fn input(&mut self, name: String, input: &Payload) {
        let pure = self.plan.index_of(&name).is_some_and(|step| {
            matches!(self.plan.step(step).task, TaskKind::Transform | TaskKind::Router)
        });
        if !pure && input.absent().is_none() {
            self.script.part_mut(&name).only_for = Some(input.clone());
        }
    }

    fn begin(&mut self, name: String, at: Timestamp) {
        self.began.insert(name, at);
    }

    fn end(
        &mut self,
        name: String,
        attempt: u16,
        reply: Option<Reply>,
        retry_delay_ms: Option<u64>,
        at: Timestamp,
    ) {
        let Some(began) = self.began.remove(&name) else { return };
        let Some(reply) = reply else { return };
        let delay_ms = at.ms_since(began);
        let answer = Answer { reply, delay_ms, retry_delay_ms };
        self.script.part_mut(&name).attempts.insert(attempt, answer);
    }

    /// What somebody said the step came to.
    fn then(&mut self, name: String, reply: Option<Reply>) {
        let Some(reply) = reply else { return };
        let only_for = self.script.part_mut(&name).only_for.take();
        let then = Some(Answer::at_once(reply));
        self.script.put(&name, Part { then, only_for, ..Part::default() });
    }
}

fn output_of(output: &Payload) -> Option<Reply> {
    output.absent().is_none().then(|| Reply::Output(output.clone()))
}

/// A failure that was the step's last word.
fn permanent(failure: &Failure) -> Reply {
    let class = crate::failure::FailureClass::Permanent;
    Reply::Failure(Failure { class, ..failure.clone() })
}
