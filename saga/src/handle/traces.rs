//! Traces, read off the journal: what a run did as spans, and which runs a trace has.

use backstitch_core::ids::{ExecutionId, PartitionId, StreamId};
use backstitch_core::payload::Payload;
use backstitch_core::summary::RunSummary;
use backstitch_core::trace::{RunSpans, TraceId};
use backstitch_journal::{Cursor, Page, RunFilter};

use super::{Handle, reading};
use crate::error::Error;

impl Handle {
    /// The spans of a run, as its events tell them.
    ///
    /// # Errors
    /// [`Error::ExecutionNotFound`], [`Error::ExecutionRemoved`].
    pub async fn spans(&self, run: ExecutionId) -> Result<RunSpans, Error> {
        let (records, plan) = self.history(run).await?;
        let registry = &self.shared.registry;
        let services = |task_type: &str, input: &Payload| registry.get(task_type)?.service(input);
        let events = records.iter().map(|own| (&own.event, own.recorded_at));
        RunSpans::read(run, plan.as_deref(), &services, events)
            .ok_or_else(|| Error::Fold(format!("{run} has no submission")))
    }

    /// The runs of a namespace that belong to a trace: those of which that follows from their
    /// own ids, on the first page, and those that lists know by it, newest first.
    ///
    /// # Errors
    /// [`Error::Journal`].
    pub async fn runs_of_trace(
        &self,
        namespace: &str,
        trace: TraceId,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<(Vec<ExecutionId>, Option<Cursor>), Error> {
        let mut runs = match after {
            None => self.named_by(namespace, trace).await?,
            Some(_) => Vec::new(),
        };
        let (namespace, trace) = (namespace.to_owned(), Some(trace));
        let filter = RunFilter { namespace, trace, ..RunFilter::default() };
        let Page::<RunSummary> { rows, next } = self.runs(filter, after, limit).await?;
        runs.extend(rows.into_iter().map(|row| row.execution));
        Ok((runs, next))
    }

    /// The run whose digits a trace has, if it was submitted in no other.
    async fn named_by(&self, namespace: &str, trace: TraceId) -> Result<Vec<ExecutionId>, Error> {
        let journal = self.shared.journal.clone();
        let partitions = (0..journal.partition_count()).map(PartitionId);
        let named: Vec<_> =
            partitions.map(|partition| ExecutionId { partition, digits: trace.0 }).collect();
        let there = move || {
            let mut found = Vec::new();
            for run in named {
                if journal.last_version(&StreamId::Execution(run))?.is_some() {
                    found.push(run);
                }
            }
            Ok::<_, backstitch_journal::Error>(found)
        };
        let mut own = Vec::new();
        for run in reading(there).await?? {
            let spans = match self.spans(run).await {
                Ok(spans) => spans,
                Err(Error::ExecutionNotFound(_) | Error::ExecutionRemoved { .. }) => continue,
                Err(error) => return Err(error),
            };
            if spans.context.trace == trace && *spans.submitted.namespace == *namespace {
                own.push(run);
            }
        }
        Ok(own)
    }
}
