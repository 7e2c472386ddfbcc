//! What is tested: a definition, those of the runs it begins, and which of their steps act.
//!
//! A step acts if something is different in the world behind it, so that somebody may have to
//! undo it. Knows definitions only, and no runs.

use std::collections::BTreeSet;
use std::sync::Arc;

use backstitch_core::forms::Compiled;
use backstitch_core::plan::{Plan, PlanStep, PlanUndo, ReplaySafety, TaskKind};
use serde_json::Value;

/// Task types that leave nothing that could be undone: a message is out, and nothing is nothing.
const LEAVE_NOTHING: [&str; 2] = ["noop", "notification"];

/// The definitions under test; the first one is what is run.
#[derive(Debug)]
pub(crate) struct Subject {
    all: Vec<Known>,
}

/// One definition.
#[derive(Debug)]
pub(crate) struct Known {
    /// What it comes to.
    pub(crate) plan: Arc<Plan>,
    /// As it was written.
    pub(crate) source: Vec<u8>,
    /// How it is written.
    pub(crate) media_type: &'static str,
    /// The steps of which their author says that nothing is to be undone.
    settled: BTreeSet<String>,
}

impl Known {
    /// A definition that was read and compiled.
    pub(crate) fn of(compiled: Compiled, source: Vec<u8>, media_type: &'static str) -> Self {
        let canonical: Value = serde_json::from_str(&compiled.text).unwrap_or_default();
        let steps = canonical["steps"].as_array().map_or(&[][..], Vec::as_slice);
        let bare = |step: &&Value| step["undo"] == "none" || step["each"]["undo"] == "none";
        let settled = steps.iter().filter(bare).filter_map(|step| step["id"].as_str());
        let settled = settled.map(str::to_owned).collect();
        Self { plan: Arc::new(compiled.plan), source, media_type, settled }
    }

    fn step(&self, id: &str) -> Option<&PlanStep> {
        let step = self.plan.step(self.plan.index_of(id)?);
        Some(step.each.as_ref().map_or(step, |each| &*each.body))
    }
}

impl Subject {
    /// The definition that is run, and those of the runs it begins.
    pub(crate) fn new(own: Known, others: Vec<Known>) -> Self {
        let mut all = vec![own];
        all.extend(others);
        Self { all }
    }

    /// What is run.
    pub(crate) fn plan(&self) -> &Arc<Plan> {
        &self.all[0].plan
    }

    /// Every definition, that of the runs below first: it must be there when one begins.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = &Known> {
        self.all.iter().rev()
    }

    /// The plans, the one that is run first.
    pub(crate) fn plans(&self) -> impl Iterator<Item = &Arc<Plan>> {
        self.all.iter().map(|own| &own.plan)
    }

    /// Steps with attempts of their own, which can meet a fault.
    pub(crate) fn calls(&self) -> Vec<String> {
        let calls = |own: &&PlanStep| matches!(own.task, TaskKind::Effect(_)) && !own.gone;
        self.plan().steps.iter().filter(calls).map(|own| own.id.to_string()).collect()
    }

    /// Steps whose undo has attempts of its own.
    pub(crate) fn undos(&self) -> Vec<String> {
        let calls = |own: &&PlanStep| own.undo.as_ref().is_some_and(|undo| !undo.rolls_back());
        let loops = |own: &&PlanStep| own.each.is_none();
        let steps = self.plan().steps.iter().filter(calls).filter(loops);
        steps.map(|own| own.id.to_string()).collect()
    }

    /// Steps whose services can be asked whether they took effect.
    pub(crate) fn checks(&self) -> Vec<String> {
        let asks = |own: &&PlanStep| own.undo.as_ref().is_some_and(|undo| undo.check.is_some());
        let loops = |own: &&PlanStep| own.each.is_none();
        let steps = self.plan().steps.iter().filter(asks).filter(loops);
        steps.map(|own| own.id.to_string()).collect()
    }

    /// Whether a step of a workflow leaves something behind that its run answers for; a step that
    /// nobody knows does.
    pub(crate) fn acts(&self, workflow: &str, step: &str) -> bool {
        let Some(known) = self.known(workflow) else { return true };
        let Some(own) = known.step(step) else { return true };
        let TaskKind::Effect(task_type) = &own.task else { return false };
        let leaves = !LEAVE_NOTHING.contains(&&**task_type);
        let is_settled = known.settled.contains(step);
        leaves && own.replay != ReplaySafety::Safe && own.cache.is_none() && !is_settled
    }

    /// Whether a step of a workflow can be undone.
    pub(crate) fn has_undo(&self, workflow: &str, step: &str) -> bool {
        let step = self.known(workflow).and_then(|own| own.step(step));
        step.is_some_and(|own| own.undo.as_ref().is_some_and(|undo| !PlanUndo::rolls_back(undo)))
    }

    fn known(&self, workflow: &str) -> Option<&Known> {
        self.all.iter().find(|own| &*own.plan.workflow == workflow)
    }
}
