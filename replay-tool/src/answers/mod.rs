//! The answers, one module for each kind of question, each as text and as JSON.
//!
//! JSON shapes are documented in `docs/replay-tool.md`; they only grow.

pub mod events;
pub mod list;
mod marks;
pub mod show;
pub mod timeline;
pub mod verify;

use backstitch_core::event::Event;
use backstitch_core::plan::Plan;
use backstitch_core::report::event_json;
use backstitch_journal::{Damage, Record};
use serde_json::{Value, json};

use crate::error::exit;

/// What is printed, and how it went.
#[derive(Debug)]
pub struct Answer {
    /// For stdout.
    pub text: String,
    /// The exit code.
    pub code: u8,
    /// One line for stderr.
    pub warning: Option<String>,
}

impl Answer {
    /// An answer in text.
    #[must_use]
    pub fn text(text: String) -> Self {
        Self { text, code: exit::DONE, warning: None }
    }

    /// An answer in JSON: one document and a line end.
    #[must_use]
    pub fn json(document: &Value) -> Self {
        Self::text(format!("{document:#}\n"))
    }

    /// The same, with a warning if the log was not read to its end.
    #[must_use]
    pub(crate) fn read_up_to(self, damage: Option<&Damage>) -> Self {
        let warning = damage
            .map(|damage| format!("this is what stands before the log's first damage ({damage})"));
        Self { warning, ..self }
    }
}

/// A record as the API's list of events shows it.
fn record_json(record: &Record, generation: u32, partition: u16, plan: Option<&Plan>) -> Value {
    let (kind, data) = event_json(&record.event, plan);
    json!({
        "position": format!("{generation}:{partition}:{}", record.position),
        "version": record.version,
        "recorded_at": record.recorded_at.to_string(),
        "type": kind,
        "data": data,
    })
}

/// A step's id, or its number where the plan is not known.
fn step_name(event_step: backstitch_core::ids::StepIndex, plan: Option<&Plan>) -> String {
    let step = plan.and_then(|plan| plan.steps.get(event_step.at()));
    step.map_or_else(|| format!("step {}", event_step.0), |step| step.id.to_string())
}

/// The namespace and workflow of a run, as its submission says.
fn pinned(records: &[Record]) -> Option<&backstitch_core::event::Submitted> {
    match records.first().map(|record| &record.event) {
        Some(Event::Run(backstitch_core::event::RunEvent::Submitted(own))) => Some(own),
        _ => None,
    }
}

/// A workflow's id, with its namespace where that is not the usual one.
fn workflow_label(namespace: &str, workflow: &str) -> String {
    match namespace {
        backstitch_core::ids::DEFAULT_NAMESPACE | "" => workflow.to_owned(),
        _ => format!("{namespace}/{workflow}"),
    }
}
