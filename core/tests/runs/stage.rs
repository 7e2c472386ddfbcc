//! A small stage for the machine: one run, driven by hand on a clock that stands still.

use std::sync::Arc;

use backstitch_core::arrows::StepStatus;
use backstitch_core::command::{AttemptResult, Command, Rejection, Submission};
use backstitch_core::effect::owed;
use backstitch_core::event::{Event, Origin, Parent, RunEvent, Submitted};
use backstitch_core::failure::Failure;
use backstitch_core::ids::{Digest, ExecutionId, PartitionId, StepIndex};
use backstitch_core::lineage::{Plans, successor};
use backstitch_core::machine::{self, Refusal, replay};
use backstitch_core::payload::Payload;
use backstitch_core::plan::{Plan, TaskKind, TaskTypes};
use backstitch_core::report::event_json;
use backstitch_core::state::State;
use backstitch_core::time::{Moment, Timestamp};
use backstitch_core::yaml::{Format, parse};
use serde_json::{Value, json};

pub struct Types;

impl TaskTypes for Types {
    fn effectful(&self) -> &[&'static str] {
        &["task"]
    }

    fn check(&self, _: &str, _: &Value) -> Vec<(String, String)> {
        Vec::new()
    }
}

pub const RUN: ExecutionId = ExecutionId { partition: PartitionId(0), digits: 7 };
pub const START: Timestamp = Timestamp(1_800_000_000_000_000);

/// A run under way, with everything it recorded.
pub struct Life {
    pub state: State,
    pub events: Vec<RunEvent>,
    /// When each of them was recorded.
    pub times: Vec<Timestamp>,
    pub now: Timestamp,
    /// Decisions that were cut.
    pub decisions_cut: usize,
    /// The plans it had, by lineage.
    pub plans: Known,
}

/// Plans by lineage.
#[derive(Clone, Default)]
pub struct Known(Vec<(Vec<Digest>, Arc<Plan>)>);

impl Plans for Known {
    fn plan_of(&self, lineage: &[Digest]) -> Option<Arc<Plan>> {
        self.0.iter().find(|(own, _)| own == lineage).map(|(_, plan)| plan.clone())
    }
}

impl Known {
    pub fn of(plan: &Arc<Plan>) -> Self {
        Self(vec![(vec![plan.digest], plan.clone())])
    }
}

/// The canonical text of a definition.
pub fn canonical(definition: &str) -> String {
    let value = parse(definition.as_bytes(), Format::Yaml).expect("YAML");
    let read = Plan::read(&value, &Types);
    read.unwrap_or_else(|wrong| panic!("{wrong:?}")).0.canonical_text()
}

pub fn plan(definition: &str) -> Arc<Plan> {
    let value = parse(definition.as_bytes(), Format::Yaml).expect("YAML");
    let (_, plan) = Plan::read(&value, &Types).unwrap_or_else(|wrong| panic!("{wrong:?}"));
    Arc::new(plan)
}

/// Where the problems of a definition are.
pub fn plan_problems(definition: &str) -> Vec<String> {
    let value = parse(definition.as_bytes(), Format::Yaml).expect("YAML");
    match Plan::read(&value, &Types) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.into_iter().map(|own| own.path).collect(),
    }
}

/// A run that is the first step of another.
pub fn child(definition: &str, above: ExecutionId) -> Life {
    child_at(definition, above, 1)
}

/// The same with so many runs above it.
pub fn child_at(definition: &str, above: ExecutionId, depth: u8) -> Life {
    let step = StepIndex(0);
    let parent = Some(Parent { run: above, step, attempt: 1, depth, items: None });
    let origin = Some(Box::new(Origin { parent, ..Origin::default() }));
    Life::begin_from(definition, json!({}), origin)
}

/// A run about to begin.
pub fn submission(plan: Arc<Plan>, input: &Value) -> Submission {
    let submitted = Box::new(Submitted {
        namespace: "default".into(),
        workflow: plan.workflow.clone(),
        revision: 1,
        digest: plan.digest,
        input: Payload::of(input),
        variables: Payload::of(&json!({})),
        correlation_id: "c".into(),
        idempotency_key: None,
        request: Digest::default(),
        callbacks: Vec::new(),
        deadline_at: plan.timeout_ms.map(|timeout_ms| START.plus_ms(timeout_ms)),
        retry_of: None,
        actor: "test".to_owned(),
    });
    Submission {
        execution: RUN,
        plan,
        submitted,
        tags: vec![],
        origin: None,
        targets: vec![],
        alerts: Vec::new(),
        faults: vec![],
        trace: None,
    }
}

impl Life {
    pub fn begin(definition: &str, input: Value) -> Self {
        Self::begin_from(definition, input, None)
    }

    pub fn begin_from(definition: &str, input: Value, origin: Option<Box<Origin>>) -> Self {
        Self::submitted(Submission { origin, ..submission(plan(definition), &input) })
    }

    pub fn submitted(submission: Submission) -> Self {
        let plans = Known::of(&submission.plan);
        let (state, decision) = machine::submit(submission, Moment::at(START)).expect("legal");
        let decisions_cut = usize::from(decision.cut);
        let times = vec![START; decision.events.len()];
        Self { state, events: decision.events, times, now: START, decisions_cut, plans }
    }

    pub fn act(&mut self, command: Command) -> Result<(), Rejection> {
        match machine::handle(&mut self.state, command, Moment::at(self.now)) {
            Ok(decision) => {
                self.decisions_cut += usize::from(decision.cut);
                self.add(decision.events);
            }
            Err(Refusal::Rejected(rejection)) => return Err(rejection),
            Err(Refusal::Illegal(illegal)) => panic!("{illegal}"),
        }
        self.check_replay();
        Ok(())
    }

    /// The same run with the beginning of what it recorded, and nothing more.
    pub fn cut(&self, events: usize) -> Self {
        let events = self.events[..events].to_vec();
        let times = self.times[..events.len()].to_vec();
        let recorded: Vec<_> = events.iter().cloned().map(Event::Run).collect();
        let recorded = recorded.iter().zip(times.iter().copied());
        let state = replay(RUN, &self.plans, recorded).expect("a prefix folds");
        Self { state, events, times, now: self.now, decisions_cut: 0, plans: self.plans.clone() }
    }

    /// The run goes on with another definition.
    pub fn migrate(&mut self, definition: &str) -> Result<(), Rejection> {
        let next = successor(&self.state.plan, &canonical(definition)).expect("a plan");
        let (plan, mut lineage) = (Arc::new(next), self.state.lineage());
        lineage.push(plan.digest);
        self.plans.0.push((lineage, plan.clone()));
        let revision = u32::try_from(self.plans.0.len()).expect("few");
        let (reason, actor) = ("better".to_owned(), "op".to_owned());
        self.act(Command::Migrate { plan, revision, reason, actor })
    }

    /// The same without a look at the whole history.
    pub fn record(&mut self, command: Command) {
        let decision = machine::handle(&mut self.state, command, Moment::at(self.now));
        self.add(decision.expect("legal").events);
    }

    pub fn add(&mut self, events: Vec<RunEvent>) {
        self.events.extend(events);
        self.times.resize(self.events.len(), self.now);
    }

    /// The step's attempt under way ends.
    pub fn report(&mut self, step: &str, result: AttemptResult) -> &mut Self {
        let step = self.state.plan.index_of(step).expect("a step of the plan");
        let attempt = self.state.step(step).attempt;
        let command = Command::ReportStep { step, attempt, result, retry_delay_ms: 1_000 };
        self.act(command).expect("a report is never rejected");
        self
    }

    pub fn succeeds(&mut self, step: &str) -> &mut Self {
        self.report(step, AttemptResult::Answered(Ok(Payload::of(&json!({ "of": step })))))
    }

    pub fn refuses(&mut self, step: &str) -> &mut Self {
        self.report(step, AttemptResult::Answered(Err(Failure::permanent("NO", "no"))))
    }

    pub fn stumbles(&mut self, step: &str) -> &mut Self {
        self.report(step, AttemptResult::Answered(Err(Failure::retryable("BUSY", "busy"))))
    }

    /// The undo's attempt under way ends.
    pub fn undo(&mut self, step: &str, result: AttemptResult) -> &mut Self {
        let step = self.state.plan.index_of(step).expect("a step of the plan");
        let attempt = self.state.step(step).undo.as_ref().expect("an undo").attempt;
        let command = Command::ReportUndo { step, attempt, result, retry_delay_ms: 1_000 };
        self.act(command).expect("a report is never rejected");
        self
    }

    pub fn undone(&mut self, step: &str) -> &mut Self {
        self.undo(step, AttemptResult::Answered(Ok(Payload::null())))
    }

    pub fn undo_refused(&mut self, step: &str) -> &mut Self {
        self.undo(step, AttemptResult::Answered(Err(Failure::permanent("NO", "no"))))
    }

    pub fn later(&mut self, ms: u64) -> &mut Self {
        self.now = self.now.plus_ms(ms);
        self.act(Command::Continue).expect("never rejected");
        self
    }

    pub fn status(&self) -> &'static str {
        self.state.status().word()
    }

    /// The steps' words, in the plan's order.
    pub fn words(&self) -> String {
        self.state.steps.iter().map(|step| step.word()).collect::<Vec<_>>().join(" ")
    }

    /// What happened since `from` events ago, as `Type step`.
    pub fn told(&self, from: usize) -> Vec<String> {
        let events = self.events[from..].iter().cloned().map(Event::Run);
        events
            .map(|event| {
                let (word, data) = event_json(&event, Some(&self.state.plan));
                match data.get("step").and_then(Value::as_str) {
                    Some(step) => format!("{word} {step}"),
                    None => word.to_owned(),
                }
            })
            .collect()
    }

    /// The sets are what a look at every step says, and the fold of the events is the state.
    pub fn check_replay(&self) {
        let events: Vec<_> = self.events.iter().cloned().map(Event::Run).collect();
        let events = events.iter().zip(self.times.iter().copied());
        let folded = replay(RUN, &self.plans, events).expect("what was decided folds");
        assert_eq!(folded.version, self.state.version);
        assert_eq!(folded.phase, self.state.phase);
        let statuses = |state: &State| -> Vec<_> {
            state.steps.iter().map(|s| (s.status, s.attempt, s.word())).collect()
        };
        assert_eq!(statuses(&folded), statuses(&self.state));
        let at_executors =
            self.state.plan.steps.iter().zip(&self.state.steps).filter(|(plan, s)| {
                s.status == StepStatus::Running && matches!(plan.task, TaskKind::Effect(_))
            });
        let running = at_executors.count();
        let owing = owed(&self.state, self.now);
        let steps = owing
            .iter()
            .filter(|effect| matches!(effect, backstitch_core::effect::Effect::RunStep { .. }));
        assert_eq!(steps.count(), running, "every running step is owed, and nothing else");
    }
}

pub const CHAIN: &str = "
id: chain
steps:
  - { id: a, type: task, undo: { type: task } }
  - { id: b, needs: [a], type: task, undo: { type: task } }
  - { id: c, needs: [b], type: task }
";

pub fn retry(letter: u32) -> Command {
    Command::RetryLetter { letter, actor: "op".into(), linked: None }
}

pub fn discard(letter: u32) -> Command {
    Command::DiscardLetter { letter, actor: "op".into(), reason: "by hand".into() }
}

pub fn cancel(compensate: Option<bool>) -> Command {
    Command::Cancel { reason: "enough".into(), actor: "me".into(), compensate, force: false }
}

pub fn force() -> Command {
    Command::Cancel {
        reason: "now".into(),
        actor: "me".into(),
        compensate: Some(true),
        force: true,
    }
}

pub fn pause() -> Command {
    Command::Pause { reason: "maintenance".into(), actor: "ann".into() }
}

pub fn resume() -> Command {
    Command::Resume { reason: "done".into(), actor: "ann".into() }
}

pub fn set(step: &str, output: Option<Payload>) -> Command {
    let (step, reason, actor) = (step.to_owned(), "by hand".into(), "op".into());
    Command::OverrideStep { step, output, reason, actor }
}

pub fn roll_back() -> Command {
    Command::RollBack { reason: "wrong".into(), actor: "op".into() }
}

pub fn roll_back_to(step: &str) -> Command {
    let (step, reason, actor) = (step.to_owned(), "wrong dates".into(), "ann".into());
    Command::RollBackTo { step, accept_unsafe: false, reason, actor }
}

pub fn signal(name: &str, by: u32, id: Option<&str>) -> Command {
    let payload = Payload::of(&json!({ "by": by }));
    let (name, id, actor) = (name.into(), id.map(str::to_owned), "sender".into());
    Command::Signal { name, payload, id, actor }
}
