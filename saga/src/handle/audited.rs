//! A row of the audit with what was before and behind it, worked out from the journal when asked.

use backstitch_core::audit::AuditRow;
use backstitch_core::event::{Event, WorkflowEvent};
use backstitch_core::ids::{ExecutionId, PartitionId, StreamId};
use backstitch_core::machine;
use backstitch_core::partition::{self, PartitionState};
use backstitch_core::redrives;
use backstitch_core::replays;
use backstitch_core::report::{
    Sides, definition_changes, partition_sides, redrive_sides, replay_sides, run_sides,
    workflow_sides,
};
use backstitch_core::state::State;
use backstitch_core::time::Timestamp;
use backstitch_core::travel::Change;
use backstitch_core::workflow;
use backstitch_journal::Record;

use super::{Handle, reading};
use crate::catalog::Catalog;
use crate::error::Error;
use crate::partition::guarded;

/// What somebody did, with what was before and behind it.
#[derive(Debug, Clone)]
pub struct Deed {
    /// What.
    pub row: AuditRow,
    /// What it changed; or why that can't be told, in words.
    pub changed: Result<Changed, String>,
}

/// What a deed changed.
#[derive(Debug, Clone)]
pub struct Changed {
    /// What it was done to, before and behind it.
    pub sides: Sides,
    /// What differs between the definitions of a workflow, if the deed is one.
    pub definition: Option<Vec<Change>>,
}

impl From<Sides> for Changed {
    fn from(sides: Sides) -> Self {
        Self { sides, definition: None }
    }
}

impl Handle {
    /// The row of the audit of the record at a place, with what it changed, as a tenant sees it.
    ///
    /// # Errors
    /// [`Error::AuditRowNotFound`]; [`Error::Journal`].
    pub async fn deed(
        &self,
        partition: PartitionId,
        position: u64,
        namespace: &str,
    ) -> Result<Deed, Error> {
        let (journal, catalog) = (self.shared.journal.clone(), self.shared.catalog.clone());
        let namespace = namespace.to_owned();
        reading(move || {
            let row = journal.audit_row(partition, position)?;
            let row = row.filter(|row| row.is_shown_to(&namespace));
            let row = row.ok_or(Error::AuditRowNotFound { partition, position })?;
            let records = journal.history(&row.stream)?.unwrap_or_default();
            let changed = changed(&row, &records, &catalog);
            Ok(Deed { row, changed })
        })
        .await?
    }
}

/// Reads off a history what the deed of a row changed.
fn changed(row: &AuditRow, records: &[Record], catalog: &Catalog) -> Result<Changed, String> {
    // A run that was removed may live again under its id: that is another history.
    let own = |record: &Record| record.position == row.position && record.recorded_at == row.at;
    let Some(at) = records.iter().position(own) else {
        return Err(format!("the history of {} that it stands in is no more", row.stream));
    };
    let (before, through) = (&records[..at], &records[..=at]);
    let event = &records[at].event;
    match (&row.stream, event) {
        (StreamId::Execution(run), Event::Run(event)) => {
            // All that was decided in one moment has one stamp.
            let same = |record: &&Record| record.recorded_at == row.at;
            let until = at + records[at..].iter().take_while(same).count();
            let fold = |records: &[Record]| folded(*run, records, catalog);
            let before = if before.is_empty() { None } else { Some(fold(before)?) };
            Ok(run_sides(event, before.as_ref(), &fold(&records[..until])?).into())
        }
        (StreamId::Workflow { .. }, Event::Workflow(event)) => {
            let (before, after) = (workflow_of(before)?, workflow_of(through)?);
            let (before, after) = (before.as_ref(), after.as_ref());
            let is_definition = matches!(event, WorkflowEvent::Defined { .. });
            let definition = is_definition.then(|| definition_changes(before, after));
            Ok(Changed { sides: workflow_sides(event, before, after), definition })
        }
        (_, Event::Partition(event)) => {
            Ok(partition_sides(event, &partition_of(before), &partition_of(through)).into())
        }
        (StreamId::Replay(id), Event::Replay(_)) => {
            let (before, after) = (replay_of(before)?, replay_of(through)?);
            Ok(replay_sides(*id, before.as_ref(), after.as_ref()).into())
        }
        (StreamId::Redrive(id), Event::Redrive(_)) => {
            let (before, after) = (redrive_of(before)?, redrive_of(through)?);
            Ok(redrive_sides(*id, before.as_ref(), after.as_ref()).into())
        }
        (stream, _) => Err(format!("{stream} holds an event of another kind")),
    }
}

fn folded(run: ExecutionId, records: &[Record], catalog: &Catalog) -> Result<State, String> {
    let events = records.iter().map(|record| (&record.event, record.recorded_at));
    let state = guarded(|| machine::replay(run, catalog, events))?;
    state.map_err(|why| format!("{run} does not fold: {why}"))
}

fn workflow_of(records: &[Record]) -> Result<Option<workflow::WorkflowState>, String> {
    let mut state = None;
    for (event, at) in told(records) {
        if let Event::Workflow(event) = event {
            workflow::evolve(&mut state, event, at).map_err(|why| why.to_string())?;
        }
    }
    Ok(state)
}

fn partition_of(records: &[Record]) -> PartitionState {
    let mut state = PartitionState::default();
    for (event, at) in told(records) {
        if let Event::Partition(event) = event {
            partition::evolve(&mut state, event, at);
        }
    }
    state
}

fn replay_of(records: &[Record]) -> Result<Option<replays::ReplayState>, String> {
    let mut state = None;
    for (event, at) in told(records) {
        if let Event::Replay(event) = event {
            replays::evolve(&mut state, event, at).map_err(|why| why.to_string())?;
        }
    }
    Ok(state)
}

fn redrive_of(records: &[Record]) -> Result<Option<redrives::RedriveState>, String> {
    let mut state = None;
    for (event, at) in told(records) {
        if let Event::Redrive(event) = event {
            redrives::evolve(&mut state, event, at).map_err(|why| why.to_string())?;
        }
    }
    Ok(state)
}

fn told(records: &[Record]) -> impl Iterator<Item = (&Event, Timestamp)> {
    records.iter().map(|record| (&record.event, record.recorded_at))
}
