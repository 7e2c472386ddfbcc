//! Runs as rows of lists.

use backstitch_core::ids::ExecutionId;
use backstitch_core::statistics::RunStatistics;
use backstitch_core::summary::{RunStatus, RunSummary};
use backstitch_core::time::Timestamp;
use backstitch_core::trace::TraceId;

use crate::keys;
use crate::views::filter::{Order, Range, RunFilter};
use crate::views::row::{Filter, Index, Row, TEXT_BYTES_MAX, clip_shared};

/// Every run of a namespace.
const ALL: u8 = b'a';
/// By status.
const STATUS: u8 = b's';
/// By workflow.
const WORKFLOW: u8 = b'w';
/// By workflow and status.
const WORKFLOW_STATUS: u8 = b'x';
/// By tag, once for each.
const TAG: u8 = b't';
/// By workflow and the arm of a roll-out, if it fell into one.
const VARIANT: u8 = b'v';
/// By correlation id, unless it is the run's own id.
const CORRELATION: u8 = b'c';
/// By trace, unless it is the one of the run's own id.
const TRACE: u8 = b'r';

/// The number of a run's status in keys; part of the format.
fn status_byte(status: RunStatus) -> u8 {
    match status {
        RunStatus::Pending => 0,
        RunStatus::Running => 1,
        RunStatus::Suspended => 2,
        RunStatus::Compensating => 3,
        RunStatus::Completed => 4,
        RunStatus::Failed => 5,
        RunStatus::Compensated => 6,
        RunStatus::CompensationFailed => 7,
        RunStatus::Cancelled => 8,
    }
}

impl Row for RunSummary {
    type Id = ExecutionId;
    type Share = RunStatistics;

    fn id(&self) -> ExecutionId {
        self.execution
    }

    fn id_key(id: &ExecutionId) -> Vec<u8> {
        keys::execution(id).to_vec()
    }

    fn id_of(key: &[u8]) -> Option<ExecutionId> {
        keys::execution_of(key)
    }

    fn at(&self) -> Timestamp {
        self.submitted_at
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn clipped(mut self) -> Self {
        self.namespace = clip_shared(self.namespace, TEXT_BYTES_MAX);
        self.workflow = clip_shared(self.workflow, TEXT_BYTES_MAX);
        self.correlation_id = clip_shared(self.correlation_id, TEXT_BYTES_MAX);
        self
    }

    fn indexes(&self) -> Vec<Vec<u8>> {
        let (space, workflow) = (&*self.namespace, &*self.workflow);
        let status = status_byte(self.status);
        let mut indexes = vec![
            Index::of(ALL).text(space).done(),
            Index::of(STATUS).text(space).byte(status).done(),
            Index::of(WORKFLOW).text(space).text(workflow).done(),
            Index::of(WORKFLOW_STATUS).text(space).text(workflow).byte(status).done(),
        ];
        indexes.extend(self.tags.iter().map(|tag| Index::of(TAG).text(space).text(tag).done()));
        indexes.extend(
            self.variant
                .iter()
                .map(|variant| Index::of(VARIANT).text(space).text(workflow).text(variant).done()),
        );
        if self.correlation_id.parse() != Ok(self.execution) {
            indexes.push(Index::of(CORRELATION).text(space).text(&self.correlation_id).done());
        }
        let trace = |own: TraceId| Index::of(TRACE).text(space).text(&own.to_string()).done();
        indexes.extend(self.trace.map(trace));
        indexes
    }
}

impl Filter for RunFilter {
    type Row = RunSummary;

    fn takes(&self, row: &RunSummary) -> bool {
        let ended = |range: &Range| row.ended_at.is_some_and(|at| range.takes(at));
        *row.namespace == self.namespace
            && self.status.is_none_or(|status| status == row.status)
            && !(self.active && row.status.is_ended())
            && self.workflow.as_ref().is_none_or(|workflow| **workflow == *row.workflow)
            && self.correlation_id.as_ref().is_none_or(|id| **id == *row.correlation_id)
            && self.trace.is_none_or(|trace| Some(trace) == row.trace)
            && self.variant.as_ref().is_none_or(|own| Some(&**own) == row.variant.as_deref())
            && self.tag.as_ref().is_none_or(|tag| row.tags.iter().any(|own| **own == **tag))
            && self.submitted.takes(row.submitted_at)
            && (self.ended == Range::default() || ended(&self.ended))
    }

    fn order(&self) -> Order {
        self.order
    }

    /// A run is submitted before it ends.
    fn range(&self) -> Range {
        let Range { after, before } = self.submitted;
        let ended_before = self.ended.before.map(|at| Timestamp(at.0.saturating_add(1)));
        let before = [before, ended_before].into_iter().flatten().min();
        Range { after, before }
    }

    fn index(&self, is_few: &dyn Fn(&Self) -> bool) -> Vec<u8> {
        let space = &self.namespace;
        if let Some(id) = &self.correlation_id {
            return Index::of(CORRELATION).text(space).text(id).done();
        }
        if let Some(trace) = self.trace {
            return Index::of(TRACE).text(space).text(&trace.to_string()).done();
        }
        if let Some(tag) = &self.tag
            && !is_few(self)
        {
            return Index::of(TAG).text(space).text(tag).done();
        }
        if let (Some(workflow), Some(variant)) = (&self.workflow, &self.variant) {
            return Index::of(VARIANT).text(space).text(workflow).text(variant).done();
        }
        match (&self.workflow, self.status.map(status_byte)) {
            (Some(workflow), Some(status)) => {
                Index::of(WORKFLOW_STATUS).text(space).text(workflow).byte(status).done()
            }
            (Some(workflow), None) => Index::of(WORKFLOW).text(space).text(workflow).done(),
            (None, Some(status)) => Index::of(STATUS).text(space).byte(status).done(),
            (None, None) => Index::of(ALL).text(space).done(),
        }
    }

    /// Few runs are active among all that are kept: each of their statuses has its index.
    fn indexes(&self, is_few: &dyn Fn(&Self) -> bool) -> Vec<Vec<u8>> {
        let by_workflow = self.variant.is_some() && self.workflow.is_some();
        let named = self.correlation_id.is_some()
            || self.trace.is_some()
            || self.tag.is_some()
            || self.status.is_some();
        if !self.active || named || by_workflow {
            return vec![self.index(is_few)];
        }
        let statuses = RunStatus::ALL.into_iter().filter(|status| !status.is_ended());
        let with = |status| Self { status: Some(status), ..self.clone() }.index(is_few);
        statuses.map(with).collect()
    }

    fn beside_index(&self) -> Option<ExecutionId> {
        self.correlation_id.as_ref()?.parse().ok()
    }
}
