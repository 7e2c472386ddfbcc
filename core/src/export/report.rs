//! What becomes of an import, run by run, and which runs are not taken.
//!
//! The same whoever imports: a server, or the command line into a directory that no server has.

use serde_json::{Value, json};

use super::{ImportedRun, Importer, Skipped, event_to_value};
use crate::event::Event;
use crate::ids::ExecutionId;
use crate::state::State;
use crate::time::Timestamp;

/// Runs that a report lists of each kind; the counts have all.
pub const LISTED_MAX: usize = 1_000;

/// What became of an import.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Runs that were taken in.
    pub imported: u64,
    /// Runs that were here already, the same.
    pub skipped: u64,
    /// Runs that are here with another history, in all.
    pub conflicts: u64,
    /// Runs that were not taken, in all.
    pub refused: u64,
    /// Conflicts, the first of them.
    pub conflicting: Vec<ExecutionId>,
    /// What was not taken, the first of it, and why.
    pub refusals: Vec<(ExecutionId, String)>,
}

impl ImportReport {
    /// A run of that id is here: the same, or with another history.
    pub fn here(&mut self, run: ExecutionId, same: bool) {
        if same {
            self.skipped += 1;
            return;
        }
        self.conflicts += 1;
        if self.conflicting.len() < LISTED_MAX {
            self.conflicting.push(run);
        }
    }

    /// A run was not taken.
    pub fn refuse(&mut self, run: ExecutionId, why: String) {
        self.refused += 1;
        if self.refusals.len() < LISTED_MAX {
            self.refusals.push((run, why));
        }
    }

    /// A run was left out of the file.
    pub fn left_out(&mut self, own: Skipped) {
        self.refuse(own.execution_id, format!("the file leaves it out: {}", own.reason));
    }

    /// As the API prints it.
    #[must_use]
    pub fn json(&self) -> Value {
        let refusals = self
            .refusals
            .iter()
            .map(|(run, why)| json!({ "execution_id": run.to_string(), "reason": why }));
        json!({
            "imported": self.imported,
            "skipped": self.skipped,
            "conflicts": self.conflicts,
            "refused": self.refused,
            "conflicting": self.conflicting.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "refusals": refusals.collect::<Vec<_>>(),
        })
    }
}

/// Why a run cannot be in a store of so many partitions, if it cannot.
#[must_use]
pub fn beyond_partitions(run: &ExecutionId, partitions: u16) -> Option<String> {
    (run.partition.0 >= partitions).then(|| {
        format!(
            "it belongs to partition {}, and this store has {partitions}: import it into a store \
             with at least as many as it came from",
            run.partition
        )
    })
}

/// Why a run is not imported as it stands, if it is not.
#[must_use]
pub fn not_closed(state: &State) -> Option<String> {
    (!state.is_closed()).then(|| {
        format!(
            "it is not closed ({}): only runs of which nothing is outstanding are imported",
            state.status().word()
        )
    })
}

/// Whether a history is the one of a file. Where payloads are kept makes no difference.
pub fn is_same<'a>(
    known: impl ExactSizeIterator<Item = (&'a Event, Timestamp)>,
    events: &[(Event, Timestamp)],
) -> bool {
    known.len() == events.len()
        && known.zip(events).all(|((event, at), (own, own_at))| {
            at == *own_at && event_to_value(event) == event_to_value(own)
        })
}

impl Importer {
    /// Where a run of the file comes from, in words for the journal: the store, and whether all
    /// of it came along.
    #[must_use]
    pub fn source_of(&self, run: &ImportedRun) -> String {
        let header = self.header();
        let mut source = header.map(|own| own.store.clone()).unwrap_or_default();
        if !run.whole || header.is_some_and(|own| !own.redacted.is_empty()) {
            source += ", redacted";
        }
        source
    }
}
