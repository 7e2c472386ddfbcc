//! From a definition to a plan.

mod breakers;
mod cached;
mod check;
mod each;
mod flow;
mod keyed;
mod no_undo;
mod numbers;
mod tasks;

use std::cell::Cell;

use serde_json::{Map, Value};

use super::{
    Flow, Plan, PlanStep, PlanUndo, ReplaySafety, Router, SIGNAL_TYPE, TaskKind, TaskTypes,
    WORKFLOW_TYPE, WrittenHosts, children,
};
use crate::definition::graph::Graph;
use crate::definition::nearest::nearest;
use crate::definition::problem::{Problems, codes};
use crate::definition::{Definition, STEP_TIMEOUT_MS_DEFAULT, Step};
use crate::event::Recourse;
use crate::ids::{Digest, StepIndex};
use crate::schema::InputSchema;
use crate::template::{Allowance, Condition, Names, OfEffect, Reference, Site, Template};

/// Unknown steps in templates that are compared with all known ones; the comparison is not
/// free and nobody reads more.
const SUGGESTIONS_MAX: usize = 100;

/// Compiles what can be compiled, noting every problem.
pub(super) fn plan(
    definition: &Definition,
    graph: &Graph,
    types: Option<&dyn TaskTypes>,
    problems: &mut Problems,
) -> Plan {
    let names = StepNames { definition, graph, suggested: Cell::new(0), of_item: Cell::new(false) };
    let allowance = Allowance::new();
    let references = Vec::new();
    let mut compiler =
        Compiler { definition, graph, names, allowance, types, references, problems };
    let schema = definition.input_schema.as_ref();
    let input_schema = schema.and_then(|schema| InputSchema::compile(schema, compiler.problems));
    let steps: Vec<PlanStep> = definition
        .steps
        .iter()
        .zip(graph.needs.iter().zip(&graph.dependants))
        .enumerate()
        .map(|(at, (step, (needs, dependants)))| {
            compiler.step(at, step, needs.clone(), dependants.clone())
        })
        .collect();
    let steps = flow::with_handled(steps);
    let outputs = definition.outputs.as_ref().map(|outputs| compiler.outputs(outputs));
    let (concurrency, keyed_runs) = compiler.run_limits();
    let priority = compiler.priority();
    let numbers = compiler.own_numbers();
    compiler.check_references(graph);
    let canonical = definition.to_value();
    Plan {
        workflow: definition.id.as_str().into(),
        name: definition.name.clone().unwrap_or_else(|| definition.id.clone()),
        description: definition.description.clone(),
        label: definition.version.clone().unwrap_or_default(),
        digest: Digest::of(canonical.to_string().as_bytes()),
        steps,
        on_failure: definition.on_failure.unwrap_or(Recourse::Compensate),
        timeout_ms: definition.timeout.as_ref().and_then(|timeout| timeout.ms),
        sla_ms: definition.sla.as_ref().and_then(|sla| sla.ms),
        rollback_window_ms: definition.rollback_window.as_ref().and_then(|own| own.ms),
        compensation_timeout_ms: definition.compensation_timeout.as_ref().and_then(|own| own.ms),
        numbers,
        callbacks: definition.callbacks.clone(),
        variables: definition.variables.clone(),
        hosts: WrittenHosts::of(&canonical).within(&definition.egress),
        erasable: definition.erasable,
        priority,
        concurrency,
        keyed_runs,
        has_exclusive: definition.steps.iter().any(|step| step.exclusive),
        disabled: definition.disabled,
        tags: definition.tags.iter().map(|tag| tag.as_str().into()).collect(),
        part: None,
        outputs,
        input_schema,
    }
}

/// Names of steps as templates use them.
struct StepNames<'a> {
    definition: &'a Definition,
    graph: &'a Graph,
    suggested: Cell<usize>,
    /// Whether what is compiled belongs to an item of a loop.
    of_item: Cell<bool>,
}

impl Names for StepNames<'_> {
    fn step(&self, id: &str) -> Option<StepIndex> {
        self.graph.place(id)
    }

    fn nearest_step(&self, id: &str) -> Option<String> {
        self.suggested.set(self.suggested.get() + 1);
        if self.suggested.get() > SUGGESTIONS_MAX {
            return None;
        }
        nearest(id, self.definition.steps.iter().map(|step| &*step.id)).map(str::to_owned)
    }

    fn of_item(&self) -> bool {
        self.of_item.get()
    }
}

struct Compiler<'a, 'p> {
    definition: &'a Definition,
    graph: &'a Graph,
    names: StepNames<'a>,
    allowance: Allowance,
    types: Option<&'a dyn TaskTypes>,
    /// Who reads whom, and whether in its undo; checked against the graph at the end.
    references: Vec<(StepIndex, bool, Reference)>,
    problems: &'p mut Problems,
}

impl Compiler<'_, '_> {
    fn step(
        &mut self,
        at: usize,
        step: &Step,
        needs: Vec<StepIndex>,
        dependants: Vec<StepIndex>,
    ) -> PlanStep {
        let index = StepIndex(u32::try_from(at).expect("a definition has at most 10,000 steps"));
        let (path, place) = (format!("steps[{at}]"), format!("steps.{}", step.id));
        let each = self.each(&path, &place, index, step);
        let mut plan = self.compiled(&path, &place, index, step, (needs, dependants));
        if let Some(each) = each {
            plan.undo = self.undo_of_loop(&path, &place, index, &each);
            plan.retry = self.retry_of_loop(step);
            plan.each = Some(each);
        }
        plan
    }

    /// What a step of the graph and the body of a loop have in common.
    fn compiled(
        &mut self,
        path: &str,
        place: &str,
        index: StepIndex,
        step: &Step,
        (needs, dependants): (Vec<StepIndex>, Vec<StepIndex>),
    ) -> PlanStep {
        let task = self.task(path, step);
        let condition = step.when.as_ref().and_then(|when| {
            self.condition(when, &format!("{path}.when"), &format!("{place}.when"), index, false)
        });
        let flow = self.flow(path, place, index, step);
        let limits = self.limits((path, place), index, &task, step);
        let of_effect = matches!(task, TaskKind::Effect(_));
        let input = self.template(step.with.as_ref(), (path, place), index, (false, of_effect));
        self.check_secrets(path, &step.task_type, &input);
        let cache = self.cache(path, place, index, (&task, step));
        let breaker = self.breaker(path, (&task, step));
        let numbers = self.numbers(path, place, index, (&task, step));
        let check = self.check(path, place, index, (&task, step));
        let undo = match (&step.undo, &task) {
            (Some(undo), _) => {
                let undo = self.undo(path, place, index, &task, (step, undo));
                Some(PlanUndo { check, ..undo })
            }
            (None, TaskKind::Workflow) => {
                Some(children::undo(self.template(None, (path, place), index, (true, false))))
            }
            (None, _) => None,
        };
        let by_type = || ReplaySafety::of(&task, step.with.as_ref());
        let replay = step.replay.unwrap_or_else(by_type);
        let holds_unwinding = self.holds_unwinding(path, step, (&task, replay));
        let defaults = &self.definition.defaults;
        let retry = step.retry.as_ref().or(defaults.retry.as_ref());
        let timeout = step.timeout.as_ref().or(defaults.timeout.as_ref());
        PlanStep {
            id: step.id.as_str().into(),
            name: step.name.clone(),
            task,
            needs,
            dependants,
            condition,
            input,
            retry: self.definition.retries(retry, "standard"),
            timeout_ms: timeout.and_then(|own| own.ms).unwrap_or(STEP_TIMEOUT_MS_DEFAULT),
            total_timeout_ms: step.total_timeout.as_ref().and_then(|limit| limit.ms),
            sla_ms: step.sla.as_ref().and_then(|sla| sla.ms),
            numbers,
            allow_failure: step.allow_failure,
            undo,
            holds_unwinding,
            replay,
            limits,
            flow,
            cache,
            exclusive: step.exclusive,
            breaker,
            each: None,
            gone: false,
        }
    }

    fn condition(
        &mut self,
        when: &str,
        path: &str,
        place: &str,
        reader: StepIndex,
        in_undo: bool,
    ) -> Option<Condition> {
        let site = Site { path, place, names: &self.names, allowance: &self.allowance };
        let mut found = Vec::new();
        let condition = Condition::compile(when, &site, &mut found, self.problems);
        self.references.extend(found.into_iter().map(|found| (reader, in_undo, found)));
        condition
    }

    fn template(
        &mut self,
        with: Option<&Value>,
        (path, place): (&str, &str),
        reader: StepIndex,
        (in_undo, of_effect): (bool, bool),
    ) -> Template {
        let (path, place) = (format!("{path}.with"), format!("{place}.with"));
        let empty = Value::Object(Map::new());
        self.tree(with.unwrap_or(&empty), (&path, &place), reader, (in_undo, of_effect))
    }

    fn tree(
        &mut self,
        value: &Value,
        (path, place): (&str, &str),
        reader: StepIndex,
        (in_undo, of_effect): (bool, bool),
    ) -> Template {
        let with_secrets = OfEffect(&self.names);
        let names: &dyn Names = if of_effect { &with_secrets } else { &self.names };
        let site = Site { path, place, names, allowance: &self.allowance };
        let mut found = Vec::new();
        let template = Template::compile(value, &site, &mut found, self.problems);
        self.references.extend(found.into_iter().map(|found| (reader, in_undo, found)));
        template
    }

    fn outputs(&mut self, outputs: &Map<String, Value>) -> Template {
        let site = Site {
            path: "outputs",
            place: "outputs",
            names: &self.names,
            allowance: &self.allowance,
        };
        let value = Value::Object(outputs.clone());
        // Outputs are rendered when every step is done, so they may read any.
        Template::compile(&value, &site, &mut Vec::new(), self.problems)
    }

    /// Every step that a template reads must be needed by the step it belongs to.
    fn check_references(&mut self, graph: &Graph) {
        if graph.order.is_none() || self.references.is_empty() {
            return;
        }
        let mut read: Vec<StepIndex> =
            self.references.iter().map(|(_, _, reference)| reference.step).collect();
        read.sort_unstable();
        read.dedup();
        let ancestors = graph.ancestors(&read);
        for (reader, in_undo, reference) in std::mem::take(&mut self.references) {
            let own = reader == reference.step;
            if (own && in_undo) || ancestors.needs(reader, reference.step) {
                continue;
            }
            let id = &self.definition.steps[reference.step.at()].id;
            let message = if own {
                "a step cannot read itself; only its undo and its check can".to_owned()
            } else {
                format!("`{id}` may not have run yet; add it to `needs`")
            };
            self.problems.add(reference.path, codes::NOT_AN_ANCESTOR, message);
        }
    }
}
