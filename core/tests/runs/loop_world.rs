//! A small stage for loops: a parent, its chunks, and the services that their items call.

use std::collections::BTreeMap;
use std::sync::Arc;

use backstitch_core::arrows::StepStatus;
use backstitch_core::checkpoint::Checkpoint;
use backstitch_core::command::{AttemptResult, Command, Rejection, Submission};
use backstitch_core::effect::{Effect, owed};
use backstitch_core::event::{Event, Origin, Submitted};
use backstitch_core::failure::Failure;
use backstitch_core::ids::{Digest, ExecutionId};
use backstitch_core::links::{Begins, Start, parcel};
use backstitch_core::machine::{self, Refusal, replay};
use backstitch_core::payload::Payload;
use backstitch_core::plan::Plan;
use backstitch_core::state::State;
use backstitch_core::time::{Moment, Timestamp};
use serde_json::{Value, json};

use crate::stage::{RUN, START, plan};

pub type Answer = Box<dyn FnMut(&str, &Value) -> AttemptResult>;

/// A parent and its chunks, with the services that their items call.
pub struct World {
    pub plan: Arc<Plan>,
    pub runs: BTreeMap<ExecutionId, (State, Vec<Event>)>,
    now: Timestamp,
    answer: Answer,
    /// Keys in the order of their calls.
    pub calls: Vec<String>,
    /// The most items that were under way at a time.
    pub most: usize,
}

pub fn done(key: &str) -> AttemptResult {
    AttemptResult::Answered(Ok(Payload::of(&json!({ "of": key }))))
}

pub fn refused() -> AttemptResult {
    AttemptResult::Answered(Err(Failure::permanent("NO", "no")))
}

impl World {
    pub fn of(definition: &str, chunk_items: u32, input: Value, answer: Answer) -> Self {
        let mut plan = plan(definition);
        let own = Arc::get_mut(&mut plan).expect("nobody else has it");
        own.steps.iter_mut().filter_map(|step| step.each.as_mut()).for_each(|each| {
            each.chunk_items = chunk_items;
        });
        let mut world =
            Self { plan, runs: BTreeMap::new(), now: START, answer, calls: Vec::new(), most: 0 };
        world.begin(RUN, Payload::of(&input), Payload::of(&json!({})), None);
        world
    }

    fn begin(
        &mut self,
        execution: ExecutionId,
        input: Payload,
        variables: Payload,
        origin: Option<Box<Origin>>,
    ) {
        let plan = self.plan.clone();
        let submitted = Box::new(Submitted {
            namespace: "default".into(),
            workflow: plan.workflow.clone(),
            revision: 1,
            digest: plan.digest,
            input,
            variables,
            correlation_id: "c".into(),
            idempotency_key: None,
            request: Digest::default(),
            callbacks: Vec::new(),
            deadline_at: None,
            retry_of: None,
            actor: "test".to_owned(),
        });
        let submission = Submission {
            execution,
            plan,
            submitted,
            tags: vec![],
            origin,
            targets: vec![],
            alerts: Vec::new(),
            faults: vec![],
            trace: None,
        };
        let (state, decision) = machine::submit(submission, Moment::at(self.now)).expect("legal");
        let events = decision.events.into_iter().map(Event::Run).collect();
        self.runs.insert(execution, (state, events));
        // What was cut goes on of itself.
        self.act(execution, Command::Continue).expect("never rejected");
    }

    pub fn act(&mut self, run: ExecutionId, command: Command) -> Result<(), Rejection> {
        let (state, events) = self.runs.get_mut(&run).expect("a run");
        match machine::handle(state, command, Moment::at(self.now)) {
            Ok(decision) => {
                events.extend(decision.events.into_iter().map(Event::Run));
                if decision.cut {
                    return self.act(run, Command::Continue);
                }
            }
            Err(Refusal::Rejected(rejection)) => return Err(rejection),
            Err(Refusal::Illegal(illegal)) => panic!("{illegal}"),
        }
        self.check(run);
        Ok(())
    }

    /// The fold of the events is the state, and so is a checkpoint of it.
    fn check(&self, run: ExecutionId) {
        let (state, events) = &self.runs[&run];
        let events = events.iter().map(|event| (event, self.now));
        let folded = replay(run, &self.plan, events).expect("it folds");
        assert_eq!(folded.version, state.version);
        let words = |state: &State| state.steps.iter().map(|s| s.word()).collect::<Vec<_>>();
        assert_eq!(words(&folded), words(state));
        let made = Checkpoint::of(&folded);
        let restored = made.clone().restore(run, self.plan.clone()).expect("it fits");
        assert_eq!(Checkpoint::of(&restored), made);
    }

    /// What any run owes, one thing after another, until all rest.
    pub fn run(&mut self) -> &mut Self {
        while self.one() {}
        self
    }

    pub fn one(&mut self) -> bool {
        self.some(|_| true)
    }

    /// Messages only, until there is none: services say nothing.
    pub fn talk(&mut self) {
        while self.some(|effect| matches!(effect, Effect::Send { .. })) {}
    }

    fn some(&mut self, wanted: impl Fn(&Effect) -> bool) -> bool {
        let under_way = self.runs.values().filter(|(state, _)| state.is_chunk());
        let running = under_way.flat_map(|(state, _)| &state.steps);
        let running = running.filter(|s| s.status == StepStatus::Running).count();
        self.most = self.most.max(running);
        let next = self.runs.iter().find_map(|(id, (state, _))| {
            let owed = owed(state, self.now);
            owed.iter().rfind(|effect| wanted(effect)).map(|effect| (*id, *effect))
        });
        let Some((run, effect)) = next else { return false };
        let state = &self.runs[&run].0;
        let key = state.idempotency_key(effect.subject());
        let command = match effect {
            Effect::Send { message } => {
                let own = parcel(state, message).expect("owed");
                let (to, posted_at) = (own.to, own.posted_at);
                let refused = match own.start.clone() {
                    Some(start) => self.start(to, *start),
                    None => {
                        let parcel = Box::new(own);
                        self.act(to, Command::Receive { parcel, retry_delay_ms: 0 })
                            .err()
                            .map(|why| Failure::permanent("MESSAGE_REFUSED", why.to_string()))
                    }
                };
                Command::Acknowledge { message, posted_at, refused }
            }
            Effect::RunStep { step, attempt } => {
                let input = state.step(step).input.as_ref().expect("rendered").value();
                let result = (self.answer)(&key, &input);
                self.calls.push(key);
                Command::ReportStep { step, attempt, result, retry_delay_ms: 0 }
            }
            Effect::UndoStep { step, attempt } => {
                let undo = state.step(step).undo.as_ref().expect("under way");
                let input = undo.input.as_ref().expect("rendered").value();
                let result = (self.answer)(&key, &input);
                self.calls.push(key);
                Command::ReportUndo { step, attempt, result, retry_delay_ms: 0 }
            }
            Effect::DeliverCallback { .. } => unreachable!("there are none"),
        };
        self.act(run, command).expect("a report is never rejected");
        true
    }

    fn start(&mut self, to: ExecutionId, start: Start) -> Option<Failure> {
        let Begins::Chunk(chunk) = start.begins else { panic!("only loops here") };
        assert_eq!((chunk.revision, chunk.digest), (1, self.plan.digest));
        let origin = Origin { parent: Some(start.parent), ..Origin::default() };
        if !self.runs.contains_key(&to) {
            self.begin(to, chunk.items, chunk.values, Some(Box::new(origin)));
        }
        None
    }

    pub fn parent(&self) -> &State {
        &self.runs[&RUN].0
    }

    pub fn chunks(&self) -> impl Iterator<Item = &State> {
        self.runs.values().map(|(state, _)| state).filter(|state| state.is_chunk())
    }

    pub fn output(&self, step: &str) -> Value {
        let step = self.plan.index_of(step).expect("a step");
        self.parent().step(step).output.as_ref().expect("an answer").value()
    }
}
