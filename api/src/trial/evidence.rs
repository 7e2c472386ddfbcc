//! What is known of a run once it has come to rest: itself, the runs it began, and which of their
//! attempts may have taken effect although they did not say so.

use std::collections::{BTreeMap, BTreeSet};

use backstitch_core::faults::Struck;
use serde_json::Value;

use crate::client::{Client, path_of};
use crate::error::Error;

/// The most runs below one that are looked at.
const RUNS_BELOW_MAX: usize = 10_000;

/// A run and those below it.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// The id of the run.
    pub(super) top: String,
    /// All of them, by id, as the API shows them.
    pub(super) runs: BTreeMap<String, Value>,
    /// By run: steps with an attempt whose outcome nobody knows.
    pub(super) unsure: BTreeMap<String, BTreeSet<String>>,
    /// The first records of the run, in order, each as a word and whom it is about.
    pub(super) records: Vec<String>,
}

impl Evidence {
    /// Asks a server for it.
    pub(super) async fn gather(client: &Client, top: &str) -> Result<Self, Error> {
        let mut evidence = Self { top: top.to_owned(), ..Self::default() };
        let mut open = vec![top.to_owned()];
        while let Some(id) = open.pop() {
            if evidence.runs.len() > RUNS_BELOW_MAX {
                let message = format!("{top} began more than {RUNS_BELOW_MAX} runs");
                return Err(Error::Failed(message));
            }
            let run = client.get(&path_of(&["api", "v1", "executions", &id])).await?;
            let children = run["children"].as_array().map_or(&[][..], Vec::as_slice);
            let begun = children.iter().filter(|child| child["begun"] == true);
            open.extend(
                begun.filter_map(|child| child["execution_id"].as_str()).map(str::to_owned),
            );
            evidence.read_events(client, &id).await?;
            evidence.runs.insert(id, run);
        }
        Ok(evidence)
    }

    async fn read_events(&mut self, client: &Client, id: &str) -> Result<(), Error> {
        let mut after = 0;
        loop {
            let events = client.events(id, after).await?;
            let Some(last) = events.last() else { return Ok(()) };
            after = last["version"].as_u64().unwrap_or(u64::MAX);
            for event in &events {
                let step = event["data"]["step"].as_str().unwrap_or_default();
                if is_unsure(event) {
                    self.unsure.entry(id.to_owned()).or_default().insert(step.to_owned());
                }
                if id == self.top {
                    let word = event["type"].as_str().unwrap_or_default();
                    self.records.push(format!("{word} {step}").trim_end().to_owned());
                }
            }
        }
    }

    /// The run itself.
    pub(super) fn run(&self) -> &Value {
        &self.runs[&self.top]
    }

    /// Its word.
    pub(super) fn status(&self) -> &str {
        self.run()["status"].as_str().unwrap_or_default()
    }

    /// Whether no run began others, so that its records are all there are.
    pub(super) fn is_alone(&self) -> bool {
        self.runs.len() == 1
    }

    /// Steps of the run that were undone.
    pub(super) fn undone(&self) -> BTreeSet<String> {
        let steps = self.run()["steps"].as_object();
        let undone = steps.into_iter().flatten().filter(|(_, own)| own["status"] == "undone");
        undone.map(|(step, _)| step.clone()).collect()
    }

    /// Steps of the run whose services were asked whether they took effect.
    pub(super) fn asked(&self) -> BTreeSet<String> {
        let steps = self.run()["steps"].as_object();
        let steps = steps.into_iter().flatten().map(|(step, _)| step);
        steps.filter(|step| self.was_called(step, Struck::Check)).cloned().collect()
    }

    /// Whether a step, its undo or its check had an attempt.
    pub(super) fn was_called(&self, step: &str, struck: Struck) -> bool {
        let own = &self.run()["steps"][step];
        let own = match struck {
            Struck::Step => own,
            Struck::Undo => &own["undo"],
            Struck::Check => &own["undo"]["check"],
        };
        own["attempts"].as_u64().is_some_and(|attempts| attempts > 0)
    }
}

/// Whether an event says that nobody knows whether an attempt took effect.
fn is_unsure(event: &Value) -> bool {
    match event["type"].as_str() {
        Some("StepAttemptLost" | "StepTimedOut") => true,
        Some("StepAttemptFailed") => event["data"]["error"]["effect"] == "unknown",
        _ => false,
    }
}
