//! The spans of a run, read off its events: one for the run, one for each attempt.
//!
//! A fold of its own and not of the state: spans tell what was tried and when, which a state
//! forgets. Knows nothing of how spans are printed or sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::{SpanId, TraceContext, untold};
use crate::event::{
    ControlEvent, DeliveryEvent, Event, ForkEvent, LinkEvent, Outcome, RunEvent, ServiceEvent,
    Submitted, UnwindEvent,
};
use crate::evolve::{attempt_lost, timed_out};
use crate::failure::Failure;
use crate::ids::{ExecutionId, StepIndex};
use crate::payload::Payload;
use crate::plan::{Plan, TaskKind};
use crate::report::outcome_word;
use crate::time::Timestamp;

/// What a span is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// A run from its submission to its end.
    Run,
    /// An attempt of a step.
    Step,
    /// An attempt of a step's undo.
    Undo,
    /// An attempt to ask whether there is anything to undo.
    Check,
    /// An attempt to deliver a callback. It begins when it is due.
    Callback,
}

impl SpanKind {
    /// The word of the kind.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Step => "step",
            Self::Undo => "undo",
            Self::Check => "check",
            Self::Callback => "callback",
        }
    }
}

/// How a span ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanEnd {
    /// When.
    pub at: Timestamp,
    /// The version of the event that says so.
    pub version: u64,
    /// `succeeded`, `failed` or `given_up`; of a run its status.
    pub word: &'static str,
    /// Why it did not do what it was to do.
    pub failure: Option<Failure>,
}

impl SpanEnd {
    /// Whether it did not do what it was to do: neither done, nor given up because somebody said so.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        !matches!(self.word, "succeeded" | "completed" | "cancelled" | "given_up")
    }
}

/// A stretch of a run's time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// What others know it by.
    pub id: SpanId,
    /// The span that it is a part of.
    pub above: Option<SpanId>,
    /// What it is of.
    pub kind: SpanKind,
    /// The workflow, the step, or what the callback reports.
    pub subject: Arc<str>,
    /// Which attempt; 0 of a run.
    pub attempt: u16,
    /// What was called: scheme, host and port, if anything was.
    pub service: Option<String>,
    /// When it began.
    pub began_at: Timestamp,
    /// How it ended, if it has.
    pub end: Option<SpanEnd>,
}

/// The spans of one run.
#[derive(Debug, Clone)]
pub struct RunSpans {
    /// The run.
    pub run: ExecutionId,
    /// Where it stands in its trace.
    pub context: TraceContext,
    /// What it was submitted with.
    pub submitted: Box<Submitted>,
    /// The run's own, and those of its attempts as they began.
    pub spans: Vec<Span>,
}

/// Names the service that a task of some type with some input calls, if it calls one.
pub type Services<'a> = dyn Fn(&str, &Payload) -> Option<String> + 'a;

impl RunSpans {
    /// Reads a run's events, from its submission on. Without a plan, steps are called by number.
    #[must_use]
    pub fn read<'a>(
        run: ExecutionId,
        plan: Option<&Plan>,
        services: &Services<'_>,
        events: impl IntoIterator<Item = (&'a Event, Timestamp)>,
    ) -> Option<Self> {
        let mut events = events.into_iter();
        let (Event::Run(RunEvent::Submitted(submitted)), began_at) = events.next()? else {
            return None;
        };
        let own = Span {
            id: SpanId::of_run(run),
            above: None,
            kind: SpanKind::Run,
            subject: submitted.workflow.clone(),
            attempt: 0,
            service: None,
            began_at,
            end: None,
        };
        let (context, submitted) = (untold(run, None), submitted.clone());
        let read = Self { run, context, submitted, spans: vec![own] };
        let mut reader = Reader { read, plan, services, turns: BTreeMap::new(), failing: None };
        for ((event, at), version) in events.zip(2..) {
            if let Event::Run(event) = event {
                reader.take(event, at, version);
            }
        }
        let mut read = reader.read;
        read.spans[0].above = read.context.parent;
        Some(read)
    }

    /// The run's own span.
    #[must_use]
    pub fn own(&self) -> &Span {
        &self.spans[0]
    }
}

/// Whose attempts follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Line {
    Step(StepIndex),
    Undo(StepIndex),
    Callback(u32),
}

/// What is known of a line's next attempt, and where its last one is.
#[derive(Debug, Clone)]
struct Turn {
    service: Option<String>,
    round: u16,
    asks: bool,
    due_at: Timestamp,
    word: Arc<str>,
    open: Option<usize>,
}

struct Reader<'a> {
    read: RunSpans,
    plan: Option<&'a Plan>,
    services: &'a Services<'a>,
    turns: BTreeMap<Line, Turn>,
    failing: Option<Failure>,
}

impl Reader<'_> {
    fn take(&mut self, event: &RunEvent, at: Timestamp, version: u64) {
        let ended = |word, failure: Option<&Failure>| {
            Some(SpanEnd { at, version, word, failure: failure.cloned() })
        };
        match event {
            RunEvent::Link(LinkEvent::Origin(origin)) => {
                self.read.context = untold(self.read.run, origin.parent.as_ref());
            }
            RunEvent::Link(LinkEvent::Traced(context)) => self.read.context = (**context).clone(),
            RunEvent::StepReady { step, round, input } => {
                self.go_on();
                let service = self.of_step(*step, input);
                let turn = self.turn(Line::Step(*step));
                (turn.service, turn.round) = (service, *round);
            }
            RunEvent::StepStarted { step, attempt } => {
                self.go_on();
                let id = SpanId::of_step(self.read.run, *step, *attempt);
                self.begin(Line::Step(*step), id, *attempt, at);
            }
            RunEvent::StepSucceeded { step, .. } => {
                self.end(Line::Step(*step), ended("succeeded", None));
            }
            RunEvent::StepAttemptFailed { step, failure, .. }
            | RunEvent::StepFailed { step, failure } => {
                self.end(Line::Step(*step), ended("failed", Some(failure)));
            }
            RunEvent::StepTimedOut { step, timeout_ms, .. } => {
                self.end(Line::Step(*step), ended("failed", Some(&timed_out(*timeout_ms))));
            }
            RunEvent::StepAttemptLost { step, .. } => {
                self.end(Line::Step(*step), ended("failed", Some(&attempt_lost())));
            }
            RunEvent::StepCancelled { step }
            | RunEvent::Control(ControlEvent::StepOverridden { step, .. }) => {
                self.end(Line::Step(*step), ended("given_up", None));
            }
            RunEvent::RunFailing { failure, .. } => self.failing = Some(failure.clone()),
            RunEvent::RunEnded { outcome, .. } => {
                let failing = self.failing.as_ref().filter(|_| *outcome != Outcome::Completed);
                self.read.spans[0].end = ended(outcome_word(*outcome), failing);
            }
            _ => self.take_back(event, at, &ended),
        }
    }

    /// What is undone, and what callbacks come to.
    fn take_back(
        &mut self,
        event: &RunEvent,
        at: Timestamp,
        ended: &dyn Fn(&'static str, Option<&Failure>) -> Option<SpanEnd>,
    ) {
        match event {
            RunEvent::UndoReady { step, input } => self.undo_ready(*step, input, false),
            RunEvent::Unwind(UnwindEvent::CheckReady { step, input }) => {
                self.undo_ready(*step, input, true);
            }
            RunEvent::UndoStarted { step, attempt } => {
                self.go_on();
                let round = self.turn(Line::Step(*step)).round;
                let id = SpanId::of_undo(self.read.run, *step, round, *attempt);
                self.begin(Line::Undo(*step), id, *attempt, at);
            }
            RunEvent::UndoSucceeded { step, .. }
            | RunEvent::Unwind(UnwindEvent::CheckAnswered { step, .. }) => {
                self.end(Line::Undo(*step), ended("succeeded", None));
            }
            RunEvent::UndoAttemptFailed { step, failure, .. }
            | RunEvent::UndoFailed { step, failure } => {
                self.end(Line::Undo(*step), ended("failed", Some(failure)));
            }
            RunEvent::Unwind(UnwindEvent::PartialUnwindingEnded { steps }) => {
                for step in steps {
                    let turn = self.turn(Line::Step(*step));
                    turn.round = turn.round.saturating_add(1);
                }
            }
            RunEvent::Fork(ForkEvent::StepKept(kept)) => {
                self.turn(Line::Step(kept.step)).round = kept.round;
            }
            _ => self.take_callback(event, at, ended),
        }
    }

    fn take_callback(
        &mut self,
        event: &RunEvent,
        at: Timestamp,
        ended: &dyn Fn(&'static str, Option<&Failure>) -> Option<SpanEnd>,
    ) {
        match event {
            RunEvent::CallbackScheduled { delivery, event, url } => {
                self.scheduled(*delivery, event.word(), url, at);
            }
            RunEvent::Delivery(
                DeliveryEvent::Scheduled { delivery, target, .. }
                | DeliveryEvent::AlertScheduled { delivery, target, .. },
            ) => {
                self.scheduled(*delivery, target.event.word(), &target.url, at);
            }
            RunEvent::Delivery(DeliveryEvent::SentAgain { delivery, .. }) => {
                self.turn(Line::Callback(*delivery)).due_at = at;
            }
            RunEvent::Service(ServiceEvent::CallbackHeld { delivery, due_at, .. }) => {
                self.turn(Line::Callback(*delivery)).due_at = *due_at;
            }
            RunEvent::CallbackDelivered { delivery, attempt, .. } => {
                self.sent(*delivery, *attempt, at, ended("succeeded", None));
            }
            RunEvent::CallbackAttemptFailed { delivery, attempt, failure, retry_at } => {
                self.sent(*delivery, *attempt, at, ended("failed", Some(failure)));
                if let Some(due_at) = retry_at {
                    self.turn(Line::Callback(*delivery)).due_at = *due_at;
                }
            }
            _ => {}
        }
    }

    /// A run that had ended does something again.
    fn go_on(&mut self) {
        self.read.spans[0].end = None;
    }

    fn of_step(&self, step: StepIndex, input: &Payload) -> Option<String> {
        match &self.plan?.steps.get(step.at())?.task {
            TaskKind::Effect(task_type) => (self.services)(task_type, input),
            _ => None,
        }
    }

    fn undo_ready(&mut self, step: StepIndex, input: &Payload, asks: bool) {
        let undo = self.plan.and_then(|plan| plan.steps.get(step.at())?.undo.as_ref());
        let task_type = undo.map(|undo| match &undo.check {
            Some(check) if asks => &check.task_type,
            _ => &undo.task_type,
        });
        let service = task_type.and_then(|task_type| (self.services)(task_type, input));
        let turn = self.turn(Line::Undo(step));
        (turn.service, turn.asks) = (service, asks);
    }

    fn scheduled(&mut self, delivery: u32, word: &str, url: &str, at: Timestamp) {
        let service = (self.services)("http", &Payload::of(&json!({ "url": url })));
        let turn = self.turn(Line::Callback(delivery));
        (turn.service, turn.due_at, turn.word) = (service, at, word.into());
    }

    fn sent(&mut self, delivery: u32, attempt: u16, at: Timestamp, end: Option<SpanEnd>) {
        let line = Line::Callback(delivery);
        let due_at = self.turn(line).due_at.min(at);
        self.begin(line, SpanId::of_callback(self.read.run, delivery, attempt), attempt, due_at);
        self.end(line, end);
    }

    fn turn(&mut self, line: Line) -> &mut Turn {
        let word = |step: StepIndex| match self.plan.and_then(|plan| plan.steps.get(step.at())) {
            Some(step) => step.id.clone(),
            None => step.0.to_string().into(),
        };
        let due_at = self.read.spans[0].began_at;
        self.turns.entry(line).or_insert_with(|| Turn {
            service: None,
            round: 1,
            asks: false,
            due_at,
            word: match line {
                Line::Step(step) | Line::Undo(step) => word(step),
                Line::Callback(_) => "".into(),
            },
            open: None,
        })
    }

    fn begin(&mut self, line: Line, id: SpanId, attempt: u16, began_at: Timestamp) {
        let place = self.read.spans.len();
        let turn = self.turn(line);
        turn.open = Some(place);
        let kind = match line {
            Line::Step(_) => SpanKind::Step,
            Line::Undo(_) if turn.asks => SpanKind::Check,
            Line::Undo(_) => SpanKind::Undo,
            Line::Callback(_) => SpanKind::Callback,
        };
        let (subject, service) = (turn.word.clone(), turn.service.clone());
        let above = Some(self.read.spans[0].id);
        let end = None;
        self.read.spans.push(Span { id, above, kind, subject, attempt, service, began_at, end });
    }

    /// Ends the attempt under way, if one is.
    fn end(&mut self, line: Line, end: Option<SpanEnd>) {
        if let Some(place) = self.turn(line).open.take() {
            self.read.spans[place].end = end;
        }
    }
}
