//! Which events a history is asked for.
//!
//! A filter is data with a canonical JSON, so that a replay can be pinned to it. Which
//! workflow a run belongs to is not in its later events: whoever filters looks it up.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::event::{Event, RunEvent};
use crate::ids::{ExecutionId, StreamId};
use crate::report::{event_json, event_type};
use crate::time::Timestamp;

/// What must hold of an event; what is absent or empty holds of every one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EventFilter {
    /// Its type is one of these.
    #[serde(rename = "type", skip_serializing_if = "BTreeSet::is_empty")]
    pub types: BTreeSet<String>,
    /// It belongs to a run of this workflow, or to the workflow itself.
    #[serde(rename = "workflow_id", skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// It belongs to this run: its id as text.
    #[serde(rename = "execution_id", skip_serializing_if = "Option::is_none")]
    pub execution: Option<String>,
    /// It belongs to a run or workflow of this namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// At this instant or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Before this instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
}

/// Namespace and workflow of a run.
pub type Owner = (Arc<str>, Arc<str>);

impl EventFilter {
    /// The run it is limited to, if it is and the id is one.
    #[must_use]
    pub fn run(&self) -> Option<ExecutionId> {
        self.execution.as_ref()?.parse().ok()
    }

    /// Whether an instant lies between `from` and `to`.
    #[must_use]
    pub fn spans(&self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= at) && self.to.is_none_or(|to| at < to)
    }

    /// Whether an event passes, its instant aside. `owner` looks up whom a run belongs to; it
    /// is asked only when nothing else decides. A run that nobody knows any more passes no
    /// filter that asks.
    pub fn passes(
        &self,
        stream: &StreamId,
        event: &Event,
        owner: impl FnOnce(&ExecutionId) -> Option<Owner>,
    ) -> bool {
        if !self.types.is_empty() && !self.types.contains(event_type(event)) {
            return false;
        }
        if let Some(wanted) = &self.execution
            && !matches!(stream, StreamId::Execution(run) if run.to_string() == *wanted)
        {
            return false;
        }
        if self.workflow.is_none() && self.namespace.is_none() {
            return true;
        }
        let fits = |namespace: &str, workflow: Option<&str>| {
            self.namespace.as_deref().is_none_or(|wanted| wanted == namespace)
                && self.workflow.as_deref().is_none_or(|wanted| workflow == Some(wanted))
        };
        match (stream, event) {
            (_, Event::Run(RunEvent::Submitted(own))) => fits(&own.namespace, Some(&own.workflow)),
            (StreamId::Execution(run), _) => {
                owner(run).is_some_and(|(namespace, workflow)| fits(&namespace, Some(&workflow)))
            }
            (StreamId::Workflow { namespace, workflow }, _) => fits(namespace, Some(workflow)),
            (StreamId::Partition(_) | StreamId::Replay(_) | StreamId::Redrive(_), _) => false,
        }
    }
}

/// Where an event stands and when it was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// Which restore of the store it was recorded under.
    pub generation: u32,
    /// Its partition.
    pub partition: u16,
    /// Its place in the partition.
    pub position: u64,
    /// Whose it is.
    pub stream: &'a StreamId,
    /// Its place in the stream.
    pub version: u64,
    /// When it was decided.
    pub recorded_at: Timestamp,
}

impl Place<'_> {
    /// The id of the event, the same for ever: `generation:partition:position`.
    #[must_use]
    pub fn event_id(&self) -> String {
        format!("{}:{}:{}", self.generation, self.partition, self.position)
    }
}

/// An event of the whole history, as the API prints it.
#[must_use]
pub fn placed_event_json(
    place: &Place<'_>,
    event: &Event,
    plan: Option<&crate::plan::Plan>,
) -> Value {
    let (kind, data) = event_json(event, plan);
    json!({
        "position": place.event_id(),
        "stream": place.stream.to_string(),
        "version": place.version,
        "recorded_at": place.recorded_at.to_string(),
        "type": kind,
        "data": data,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{PartitionEvent, WorkflowEvent};
    use crate::ids::{Digest, PartitionId};

    const RUN: ExecutionId = ExecutionId { partition: PartitionId(1), digits: 5 };

    fn passes(filter: &EventFilter, stream: &StreamId, event: &Event) -> bool {
        let owner = |_: &ExecutionId| Some(("default".into(), "order".into()));
        filter.spans(Timestamp(50)) && filter.passes(stream, event, owner)
    }

    #[test]
    fn each_condition_is_asked() {
        let (run, event) = (StreamId::Execution(RUN), Event::Run(RunEvent::DeadlinePassed));
        let with = |change: fn(&mut EventFilter)| {
            let mut filter = EventFilter::default();
            change(&mut filter);
            let written = serde_json::to_string(&filter).expect("plain data");
            assert_eq!(serde_json::from_str::<EventFilter>(&written).expect("ours"), filter);
            passes(&filter, &run, &event)
        };
        assert!(with(|_| {}));
        assert!(with(|own| own.types = ["DeadlinePassed".into()].into()));
        assert!(!with(|own| own.types = ["StepReady".into()].into()));
        assert!(with(|own| own.workflow = Some("order".into())));
        assert!(!with(|own| own.workflow = Some("other".into())));
        assert!(!with(|own| own.namespace = Some("other".into())));
        assert!(with(|own| own.execution = Some(RUN.to_string())));
        assert!(!with(|own| own.execution = Some("exec_".into())));
        assert!(with(|own| (own.from, own.to) = (Some(Timestamp(50)), Some(Timestamp(51)))));
        assert!(!with(|own| own.from = Some(Timestamp(51))));
        assert!(!with(|own| own.to = Some(Timestamp(50))));
    }

    #[test]
    fn what_belongs_to_no_workflow_passes_only_without_one() {
        let partition = StreamId::Partition(PartitionId(0));
        let event = Event::Partition(PartitionEvent::LogCut {
            sequence: 1,
            hash: Digest::default(),
            actor: "ann".to_owned(),
        });
        assert!(passes(&EventFilter::default(), &partition, &event));
        let workflow = EventFilter { workflow: Some("order".into()), ..EventFilter::default() };
        assert!(!passes(&workflow, &partition, &event));
        let stream = StreamId::Workflow { namespace: "default".into(), workflow: "order".into() };
        let part = Event::Workflow(WorkflowEvent::DefinitionPart { text: String::new() });
        assert!(passes(&workflow, &stream, &part));
    }
}
