//! Which runs are wanted: as a server is asked, and as rows of a directory are picked.

use super::listing::{Row, Standing};
use crate::arguments::FilterWanted;

impl FilterWanted {
    /// What a server is asked. It lists no runs that do not fold, and knows no word for them.
    pub(super) fn query(&self) -> Vec<(&'static str, String)> {
        let status = match self.status {
            Some(Standing::Run(status)) => Some(status.word().to_owned()),
            Some(Standing::Quarantined) | None => None,
        };
        let instant = |at: Option<backstitch_core::time::Timestamp>| at.map(|at| at.to_string());
        let asked = [
            ("status", status),
            ("workflow_id", self.workflow.clone()),
            ("tag", self.tag.clone()),
            ("correlation_id", self.correlation_id.clone()),
            ("submitted_after", instant(self.submitted_after)),
            ("submitted_before", instant(self.submitted_before)),
            ("ended_after", instant(self.ended_after)),
            ("ended_before", instant(self.ended_before)),
        ];
        asked.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// Whether a row of a directory is wanted; the workflow is asked for while it is folded.
    pub(crate) fn takes(&self, row: &Row) -> bool {
        let summary = &row.summary;
        let has_tag = |tag: &String| summary.tags.iter().any(|own| **own == **tag);
        self.status.is_none_or(|status| row.standing() == status)
            && self.tag.as_ref().is_none_or(has_tag)
            && self.correlation_id.as_ref().is_none_or(|id| **id == *summary.correlation_id)
            && self.submitted().takes(summary.submitted_at)
            && self.ended().is_none_or(|range| summary.ended_at.is_some_and(|at| range.takes(at)))
    }
}
