//! The answers, one module for each kind of question, each as text and as JSON.
//!
//! JSON shapes are documented in `docs/replay-tool.md`; they only grow.

pub mod events;
pub mod list;
mod marks;
pub mod show;
pub mod timeline;
pub mod verify;

use backstitch_core::event::{Event, RunEvent, Submitted};
use backstitch_core::ids::{DEFAULT_NAMESPACE, StepIndex};
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
fn step_name(step: StepIndex, plan: Option<&Plan>) -> String {
    let own = plan.and_then(|plan| plan.steps.get(step.at()));
    own.map_or_else(|| format!("#{}", step.0), |own| own.id.to_string())
}

/// The same as JSON.
fn step_json(step: StepIndex, plan: Option<&Plan>) -> Value {
    let own = plan.and_then(|plan| plan.steps.get(step.at()));
    own.map_or_else(|| json!(step.0), |own| json!(own.id))
}

/// What a run was submitted with.
fn pinned(records: &[Record]) -> Option<&Submitted> {
    match records.first().map(|record| &record.event) {
        Some(Event::Run(RunEvent::Submitted(own))) => Some(own),
        _ => None,
    }
}

/// A workflow's id, with its namespace where that is not the usual one.
fn workflow_label(namespace: &str, workflow: &str) -> String {
    match namespace {
        DEFAULT_NAMESPACE | "" => workflow.to_owned(),
        _ => format!("{namespace}/{workflow}"),
    }
}
