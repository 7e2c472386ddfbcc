//! A `foreach` ready to run: what is done for each item, and the plan of a stretch of them.
//!
//! A stretch is a run of its own, a chunk, whose plan has one step for each of its items. It
//! is made of the whole's plan, so that a chunk is pinned to the same revision and nothing is
//! compiled anew.

use std::sync::Arc;

use serde_json::Map;

use super::{Plan, PlanStep};
use crate::event::{Items, Recourse};
use crate::ids::{Digest, StepIndex};
use crate::template::Reads;

/// The type of steps that do something for each item of a list.
pub const FOREACH_TYPE: &str = "foreach";
/// The most items of one list.
pub const ITEMS_MAX: usize = 100_000;
/// The most items of one chunk.
pub const CHUNK_ITEMS_MAX: u32 = 1_000;

/// What a `foreach` does for each item.
#[derive(Debug, Clone)]
pub struct Each {
    /// The step that every item is.
    pub body: Arc<PlanStep>,
    /// How many items are under way at a time.
    pub max_parallel: u32,
    /// Whether all items run whatever fails, rather than none after the first failure.
    pub collects: bool,
    /// How many items one chunk has; [`CHUNK_ITEMS_MAX`] unless a test says otherwise.
    pub chunk_items: u32,
    /// What the author said of the loop, and of all that counts for its items.
    pub(crate) said: Digest,
    /// What the templates of the body read of the run.
    pub(crate) reads: Arc<Reads>,
}

/// The stretch of a list that a plan is for.
#[derive(Debug, Clone)]
pub struct Part {
    /// The plan it was made of.
    pub whole: Arc<Plan>,
    /// The `foreach` in it.
    pub step: StepIndex,
    /// Which items.
    pub items: Items,
    /// How many of them are under way at a time.
    pub max_parallel: usize,
}

impl Part {
    /// The number of the item that a step of the part is.
    #[must_use]
    pub fn index(&self, step: StepIndex) -> u64 {
        self.items.first + u64::from(step.0)
    }
}

/// The id of the step that an item is.
#[must_use]
pub fn item_id(index: u64) -> String {
    format!("item-{index}")
}

impl Plan {
    /// The plan of a chunk: one step for each item of a stretch, with nothing around them.
    ///
    /// # Errors
    /// A sentence: the step is no `foreach`, or the stretch is too long.
    pub fn chunk(whole: &Arc<Self>, step: StepIndex, items: Items) -> Result<Self, String> {
        let own = whole.steps.get(step.at()).and_then(|own| own.each.as_deref());
        let each = own.ok_or_else(|| format!("step {} is no `{FOREACH_TYPE}`", step.0))?;
        if items.count > CHUNK_ITEMS_MAX {
            return Err(format!("{} items in one chunk, more than {CHUNK_ITEMS_MAX}", items.count));
        }
        let ids = (items.first..).map(item_id).take(usize::try_from(items.count).unwrap_or(0));
        let steps = ids.map(|id| PlanStep { id: id.into(), ..PlanStep::clone(&each.body) });
        let max_parallel = usize::try_from(each.max_parallel).unwrap_or(usize::MAX);
        Ok(Self {
            numbers: Vec::new(),
            workflow: whole.workflow.clone(),
            name: whole.name.clone(),
            description: None,
            label: whole.label.clone(),
            digest: whole.digest,
            steps: steps.collect(),
            // What stands is undone when the whole is.
            on_failure: Recourse::Halt,
            timeout_ms: None,
            sla_ms: None,
            rollback_window_ms: None,
            compensation_timeout_ms: None,
            callbacks: Vec::new(),
            variables: Map::new(),
            hosts: whole.hosts.clone(),
            erasable: whole.erasable,
            priority: whole.priority.clone(),
            concurrency: None,
            keyed_runs: Vec::new(),
            has_exclusive: false,
            disabled: false,
            tags: Vec::new(),
            part: Some(Part { whole: whole.clone(), step, items, max_parallel }),
            outputs: None,
            input_schema: None,
        })
    }

    /// The `foreach` that a plan of a chunk is a stretch of.
    #[must_use]
    pub fn loop_step(&self) -> Option<&PlanStep> {
        let part = self.part.as_ref()?;
        part.whole.steps.get(part.step.at())
    }

    /// The plan that a run's records are told by: of a chunk, the one made for its stretch.
    #[must_use]
    pub fn of_run<'a>(
        self: &Arc<Self>,
        beginning: impl IntoIterator<Item = &'a crate::event::Event>,
    ) -> Arc<Self> {
        use crate::event::{Event, LinkEvent, RunEvent};
        let parent =
            beginning.into_iter().take(BEGINNING_EVENTS_MAX).find_map(|event| match event {
                Event::Run(RunEvent::Link(LinkEvent::Origin(origin))) => origin.parent.as_ref(),
                _ => None,
            });
        let chunk = parent.and_then(|parent| Some((parent.step, parent.items?)));
        let made = chunk.and_then(|(step, items)| Self::chunk(self, step, items).ok());
        made.map_or_else(|| self.clone(), Arc::new)
    }
}

/// How far from its first record a run's origin can be.
pub const BEGINNING_EVENTS_MAX: usize = 3;

impl PlanStep {
    /// What it does for each item, if it is a `foreach`.
    #[must_use]
    pub fn each(&self) -> Option<&Each> {
        self.each.as_deref()
    }
}
