//! A workflow ready to run: names resolved to places, policies made effective, templates
//! compiled, needs turned both ways.
//!
//! A plan never changes. Knows nothing of runs: what it renders, it renders from a
//! [`Scope`].

mod check;
mod children;
mod compile;
mod each;
mod flow;
mod hosts;
mod keyed;
mod numbers;
mod priority;
#[cfg(test)]
mod problem_tests;
mod replay_safety;
#[cfg(test)]
mod tests;
mod types;
mod unknown;
mod wait;

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::breaker::BreakerPolicy;
use crate::cache::CachePolicy;
use crate::command::{TAGS_MAX, tag_problem};
use crate::definition::Definition;
use crate::definition::graph::Graph;
use crate::definition::problem::{Problem, Problems, codes as problem_codes};
use crate::event::{Recourse, Target};
use crate::failure::{Failure, codes};
use crate::ids::{Digest, StepIndex};
use crate::payload::{PAYLOAD_BYTES_MAX, Payload};
use crate::retry_policy::Retries;
use crate::schema::InputSchema;
use crate::scope::Scope;
use crate::template::{Condition, Reads, Template, Work};
use crate::yaml::{Format, parse};

pub use check::{Concluded, Meaning, PlanCheck};
pub use each::{
    BEGINNING_EVENTS_MAX, CHUNK_ITEMS_MAX, Each, FOREACH_TYPE, ITEMS_MAX, Part, item_id,
};
pub use flow::{Flow, Router};
pub use hosts::WrittenHosts;
pub use keyed::{KEY_BYTES_MAX, KeyedRuns, PlanLimit, RunLimit};
pub use numbers::NumberTemplate;
pub(crate) use numbers::rendered;
pub use priority::{PlanPriority, priority_of};
pub use replay_safety::ReplaySafety;
pub use types::TaskTypes;
pub use unknown::Unknown;
pub use wait::{SIGNAL_NAME_BYTES_MAX, Wait, signal_name_problem, wait_of};

/// A workflow ready to run.
#[derive(Debug)]
pub struct Plan {
    /// The workflow's id.
    pub workflow: Arc<str>,
    /// Its name; its id if it has none.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// The author's version label; empty if there is none.
    pub label: String,
    /// blake3 of the canonical JSON.
    pub digest: Digest,
    /// In the order of the definition.
    pub steps: Vec<PlanStep>,
    /// What is done about a failing run.
    pub on_failure: Recourse,
    /// How long a run may take.
    pub timeout_ms: Option<u64>,
    /// How long it was agreed to take; nothing but a word follows.
    pub sla_ms: Option<u64>,
    /// How long after its end a run can be rolled back; as long as its history is kept if unsaid.
    pub rollback_window_ms: Option<u64>,
    /// How long all undos of a run may take together.
    pub compensation_timeout_ms: Option<u64>,
    /// Templates of the two limits.
    pub numbers: Vec<NumberTemplate>,
    /// Who is told about every run.
    pub callbacks: Vec<Target>,
    /// Constants that a run may override.
    pub variables: Map<String, Value>,
    /// The services it names itself.
    pub hosts: WrittenHosts,
    /// Whether every payload of its runs is kept so that it can be erased.
    pub erasable: bool,
    /// Who goes first when not all can.
    pub priority: PlanPriority,
    /// How many of its runs there may be at a time.
    pub concurrency: Option<RunLimit>,
    /// How many of its runs with the same key there may be at a time.
    pub keyed_runs: Vec<KeyedRuns>,
    /// Whether any step runs alone.
    pub has_exclusive: bool,
    /// Whether the workflow is disabled with this revision.
    pub disabled: bool,
    /// For lists: every run has them too.
    pub tags: Vec<Arc<str>>,
    /// The stretch of a list that it is made for; of a whole workflow, nothing.
    pub part: Option<Part>,
    outputs: Option<Template>,
    input_schema: Option<InputSchema>,
}

/// One step of a plan.
#[derive(Debug, Clone)]
pub struct PlanStep {
    /// The step's id.
    pub id: Arc<str>,
    /// For people.
    pub name: Option<String>,
    /// What it does.
    pub task: TaskKind,
    /// The steps it waits for, ascending.
    pub needs: Vec<StepIndex>,
    /// The steps that wait for it, ascending.
    pub dependants: Vec<StepIndex>,
    /// Its `when`.
    pub condition: Option<Condition>,
    /// Its `with`.
    pub input: Template,
    /// How it is retried.
    pub retry: Retries,
    /// How long one attempt may take.
    pub timeout_ms: u64,
    /// How long all attempts may take, with the waits between them.
    pub total_timeout_ms: Option<u64>,
    /// How long it was agreed to take; nothing but a word follows.
    pub sla_ms: Option<u64>,
    /// Templates in the place of its numbers.
    pub numbers: Vec<NumberTemplate>,
    /// Whether the run goes on without it.
    pub allow_failure: bool,
    /// How it is undone.
    pub undo: Option<PlanUndo>,
    /// Whether it acts, has no undo, and a person is to say what becomes of it: `on_no_undo:
    /// suspend`.
    pub holds_unwinding: bool,
    /// What it means to run it again in a fork.
    pub replay: ReplaySafety,
    /// How many attempts with the same key may be under way at a time.
    pub limits: Vec<PlanLimit>,
    /// Where it leads beside its dependants, and whom it handles.
    pub flow: Option<Box<Flow>>,
    /// Which answers may stand for its own.
    pub cache: Option<Box<CachePolicy>>,
    /// Whether nothing else of the run is under way while it is.
    pub exclusive: bool,
    /// What is said of the breaker before its service; as the node has it if nothing is.
    pub breaker: Option<Arc<BreakerPolicy>>,
    /// What it does for each item, if it is a `foreach`.
    pub each: Option<Box<Each>>,
    /// Whether only its place is left: a migrated run's revision has no such step.
    pub gone: bool,
}

/// How a step is undone.
#[derive(Debug, Clone)]
pub struct PlanUndo {
    /// The executor's task type.
    pub task_type: Arc<str>,
    /// Its `with`.
    pub input: Template,
    /// How it is retried.
    pub retry: Retries,
    /// How long one attempt may take.
    pub timeout_ms: u64,
    /// What is said of the breaker before its service.
    pub breaker: Option<Arc<BreakerPolicy>>,
    /// Whether it needs the step's own output, so that an unknown outcome cannot be undone.
    pub reads_own_output: bool,
    /// How its step's service is asked whether there is anything to undo, where nobody knows.
    pub check: Option<Box<PlanCheck>>,
}

/// The type of steps that are runs of other workflows, and of their undos.
pub const WORKFLOW_TYPE: &str = "workflow";

/// The type of steps that send signals.
pub const SIGNAL_TYPE: &str = "signal";

/// Task types that no executor takes: the engine performs them itself.
pub const OWN_TYPES: [&str; 6] =
    ["transform", "wait", "router", WORKFLOW_TYPE, SIGNAL_TYPE, FOREACH_TYPE];

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskKind {
    /// Pure: its output is its rendered input.
    Transform,
    /// Pure: it sleeps until an instant or a signal.
    Wait,
    /// Pure: it chooses which of the steps it leads to run.
    Router,
    /// A run of another workflow is it.
    Workflow,
    /// It sends a signal to another run.
    Signal,
    /// It does something for each item of a list, in runs of their own.
    Foreach,
    /// An executor of this task type does it.
    Effect(Arc<str>),
}

/// Tags are checked here and not where a definition is read: what is stored stays readable.
fn check_tags(definition: &Definition, problems: &mut Problems) {
    let count = definition.tags.len();
    if count > TAGS_MAX {
        let message = format!("`tags` has at most {TAGS_MAX} items, not {count}");
        problems.add("tags", problem_codes::OUT_OF_RANGE, message);
    }
    for (at, tag) in definition.tags.iter().enumerate() {
        if let Some(message) = tag_problem(tag) {
            problems.add(format!("tags[{at}]"), problem_codes::OUT_OF_RANGE, message);
        }
    }
}

impl Plan {
    /// Reads a definition and compiles it, collecting the problems of both.
    ///
    /// # Errors
    /// Every problem.
    pub fn read(value: &Value, types: &dyn TaskTypes) -> Result<(Definition, Self), Vec<Problem>> {
        let mut problems = Problems::default();
        let definition = Definition::read_noting(value, &mut problems);
        definition.check_retries(&|name| types.has_retry_policy(name), &mut problems);
        check_tags(&definition, &mut problems);
        let graph = Graph::of(&definition, &mut problems);
        let plan = compile::plan(&definition, &graph, Some(types), &mut problems);
        if problems.is_empty() { Ok((definition, plan)) } else { Err(problems.into_list()) }
    }

    /// Compiles a definition that was read already.
    ///
    /// # Errors
    /// Every problem.
    pub fn compile(definition: &Definition, types: &dyn TaskTypes) -> Result<Self, Vec<Problem>> {
        Self::compile_with(definition, Some(types))
    }

    /// Compiles the canonical text of a stored revision. Task types are taken as they are: an
    /// executor may be gone since, and then the run says so.
    ///
    /// # Errors
    /// Every problem; there is none if the text was stored by a version that knew no more
    /// than this one.
    pub fn recompile(text: &str) -> Result<Self, Vec<Problem>> {
        let value = parse(text.as_bytes(), Format::Json).map_err(|problem| vec![problem])?;
        Self::compile_with(&Definition::read(&value)?, None)
    }

    /// Compiles a stored revision that was changed for a run; task types are taken as they are.
    ///
    /// # Errors
    /// Every problem.
    pub(crate) fn compile_stored(definition: &Definition) -> Result<Self, Vec<Problem>> {
        Self::compile_with(definition, None)
    }

    fn compile_with(
        definition: &Definition,
        types: Option<&dyn TaskTypes>,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let graph = Graph::of(definition, &mut problems);
        let plan = compile::plan(definition, &graph, types, &mut problems);
        if problems.is_empty() { Ok(plan) } else { Err(problems.into_list()) }
    }

    /// Checks a run's input against the definition's schema.
    ///
    /// # Errors
    /// Every mismatch, at its path below `input`.
    pub fn check_input(&self, input: &Value) -> Result<(), Vec<Problem>> {
        self.input_schema.as_ref().map_or(Ok(()), |schema| schema.check(input))
    }

    /// One step.
    ///
    /// # Panics
    /// If the index is of another plan.
    #[must_use]
    pub fn step(&self, step: StepIndex) -> &PlanStep {
        &self.steps[step.at()]
    }

    /// The place of a step.
    #[must_use]
    pub fn index_of(&self, id: &str) -> Option<StepIndex> {
        let at = self.steps.iter().position(|step| &*step.id == id)?;
        u32::try_from(at).ok().map(StepIndex)
    }

    /// The run's output: the definition's `outputs`, or the outputs of the steps nothing
    /// depends on, by id. An entry of `outputs` that looks below the output of a step that did
    /// not succeed is null; without `outputs` there is none if it is too large or one is missing.
    ///
    /// # Errors
    /// `EXPRESSION_FAILED` or `PAYLOAD_TOO_LARGE` for any other entry of `outputs`.
    pub fn render_outputs(
        &self,
        scope: &dyn Scope,
        work: &mut Work,
    ) -> Result<Option<Payload>, Failure> {
        match &self.outputs {
            Some(template) => bounded(&template.render_entries(scope, work)?, "outputs").map(Some),
            None => Ok(self.last_outputs(scope)),
        }
    }

    fn last_outputs(&self, scope: &dyn Scope) -> Option<Payload> {
        let mut outputs = Map::new();
        let mut size_bytes = 0;
        for (at, step) in self.steps.iter().enumerate() {
            if !step.dependants.is_empty() || step.gone {
                continue;
            }
            let at = u32::try_from(at).expect("a plan has at most 10,000 steps");
            let output = scope.step(StepIndex(at)).output;
            size_bytes += output.as_ref().map_or(0, Payload::length_bytes);
            let absent = output.as_ref().is_some_and(|output| output.absent().is_some());
            if absent || size_bytes > PAYLOAD_BYTES_MAX {
                return None;
            }
            outputs
                .insert(step.id.to_string(), output.map_or(Value::Null, |output| output.value()));
        }
        bounded(&Value::Object(outputs), "outputs").ok()
    }
}

impl PlanStep {
    /// The step's input; `work` grows by what rendering took.
    ///
    /// # Errors
    /// `EXPRESSION_FAILED` or `PAYLOAD_TOO_LARGE`.
    pub fn render_input(&self, scope: &dyn Scope, work: &mut Work) -> Result<Payload, Failure> {
        bounded(&self.input.render(scope, work)?, &format!("steps.{}.with", self.id))
    }

    /// Whether the step runs at all; `work` grows by what the condition took.
    ///
    /// # Errors
    /// `EXPRESSION_FAILED`.
    pub fn condition_holds(&self, scope: &dyn Scope, work: &mut Work) -> Result<bool, Failure> {
        self.condition.as_ref().map_or(Ok(true), |condition| condition.holds(scope, work))
    }
}

impl PlanUndo {
    /// Whether the step's child undoes itself, rather than an executor.
    #[must_use]
    pub fn rolls_back(&self) -> bool {
        &*self.task_type == WORKFLOW_TYPE
    }

    /// Notes all that its templates read, and those of its check.
    fn note_reads(&self, reads: &mut Reads) {
        reads.absorb(self.input.reads());
        self.check.iter().for_each(|check| check.note_reads(reads));
    }

    /// The undo's input; `work` grows by what rendering took.
    ///
    /// # Errors
    /// `EXPRESSION_FAILED` or `PAYLOAD_TOO_LARGE`.
    pub fn render_input(&self, scope: &dyn Scope, work: &mut Work) -> Result<Payload, Failure> {
        bounded(&self.input.render(scope, work)?, "undo.with")
    }
}

fn bounded(value: &Value, place: &str) -> Result<Payload, Failure> {
    let payload = Payload::of(value);
    let size_bytes = payload.text().len();
    if size_bytes > PAYLOAD_BYTES_MAX {
        return Err(too_large(place, size_bytes));
    }
    Ok(payload)
}

fn too_large(place: &str, size_bytes: usize) -> Failure {
    let message = format!("`{place}` has {size_bytes} bytes or more; at most {PAYLOAD_BYTES_MAX}");
    Failure::permanent(codes::PAYLOAD_TOO_LARGE, message)
}
