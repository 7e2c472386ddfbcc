//! The audit as rows of a list, and how they are read off commits.

use std::sync::Arc;

use backstitch_core::audit::{AuditAction, AuditRow, deed, reason};
use backstitch_core::event::{Event, RedriveEvent, ReplayEvent, RunEvent};
use backstitch_core::ids::{PartitionId, StreamId};
use backstitch_core::time::Timestamp;

use crate::commit::Commit;
use crate::record::{self, Record};
use crate::views::filter::{AuditFilter, Order, Range};
use crate::views::row::{Filter, Index, Row, TEXT_BYTES_MAX, clip_shared};
use crate::views::share::Uncounted;

/// Everything.
const ALL: u8 = b'a';
/// By who.
const ACTOR: u8 = b'u';
/// By what.
const ACTION: u8 = b'n';
/// By what it was done to; for a letter, under its run too.
const TARGET: u8 = b'g';
/// By the request that had it done.
const REQUEST: u8 = b'q';

/// The number of an action in keys; part of the format.
fn action_byte(action: AuditAction) -> u8 {
    match action {
        AuditAction::WorkflowDefined => 0,
        AuditAction::ExecutionCancelled => 1,
        AuditAction::LetterRetried => 2,
        AuditAction::LetterDiscarded => 3,
        AuditAction::RunsRemoved => 4,
        AuditAction::PayloadErased => 5,
        AuditAction::LogCut => 6,
        AuditAction::StoreRestored => 7,
        AuditAction::RunsImported => 8,
        AuditAction::ReplayRequested => 9,
        AuditAction::ReplayStopped => 10,
        AuditAction::ReplayResumed => 11,
        AuditAction::RetentionPolicySet => 12,
        AuditAction::ExecutionPaused => 13,
        AuditAction::ExecutionResumed => 14,
        AuditAction::StepOverridden => 15,
        AuditAction::ExecutionRolledBack => 16,
        AuditAction::ExecutionForced => 17,
        AuditAction::ExecutionSignalled => 18,
        AuditAction::ExecutionForked => 19,
        AuditAction::UndoDutyMoved => 20,
        AuditAction::RolloutSet => 21,
        AuditAction::RolloutKilled => 22,
        AuditAction::RolloutEnded => 23,
        AuditAction::CacheEmptied => 24,
        AuditAction::ExecutionMigrated => 25,
        AuditAction::RedriveRequested => 26,
        AuditAction::RedrivePaused => 27,
        AuditAction::RedriveResumed => 28,
        AuditAction::RedriveCancelled => 29,
        AuditAction::BreakerSet => 30,
        AuditAction::LetterAssigned => 31,
        AuditAction::LetterNoted => 32,
        AuditAction::LetterEdited => 33,
        AuditAction::RedrivesRemoved => 34,
        AuditAction::UndosSettled => 35,
        AuditAction::KeyCreated => 36,
        AuditAction::KeyRevoked => 37,
        AuditAction::CallbackSentAgain => 38,
        AuditAction::WorkflowDisabled => 39,
        AuditAction::WorkflowEnabled => 40,
        AuditAction::WorkflowArchived => 41,
        AuditAction::WorkflowRestored => 42,
        AuditAction::WorkflowPurged => 43,
        AuditAction::CallbackTried => 44,
        AuditAction::ConfigurationSet => 45,
        AuditAction::ConfigurationRemoved => 46,
        AuditAction::LogLevelsSet => 47,
        AuditAction::SettingsReloaded => 48,
    }
}

impl Row for AuditRow {
    type Share = Uncounted;
    /// Partition and position of the record.
    type Id = (u16, u64);

    fn id(&self) -> (u16, u64) {
        (self.partition.0, self.position)
    }

    fn id_key((partition, position): &(u16, u64)) -> Vec<u8> {
        let mut key = partition.to_be_bytes().to_vec();
        key.extend(position.to_be_bytes());
        key
    }

    fn id_of(key: &[u8]) -> Option<(u16, u64)> {
        let (partition, position) = key.split_at_checked(2)?;
        let partition = u16::from_be_bytes(partition.try_into().ok()?);
        Some((partition, u64::from_be_bytes(position.try_into().ok()?)))
    }

    fn at(&self) -> Timestamp {
        self.at
    }

    /// A record never changes, and so its row does not.
    fn version(&self) -> u64 {
        1
    }

    fn clipped(mut self) -> Self {
        self.namespace = clip_shared(self.namespace, TEXT_BYTES_MAX);
        for text in [&mut self.actor, &mut self.target, &mut self.detail, &mut self.reason] {
            text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        }
        self
    }

    const OUTLIVES_HISTORY: bool = true;

    fn history(&self) -> Option<StreamId> {
        self.execution().map(StreamId::Execution)
    }

    fn indexes(&self) -> Vec<Vec<u8>> {
        let mut indexes = vec![
            Index::of(ALL).done(),
            Index::of(ACTOR).text(&self.actor).done(),
            Index::of(ACTION).byte(action_byte(self.action)).done(),
            Index::of(TARGET).text(&self.target).done(),
        ];
        let run = self.execution().map(|run| run.to_string()).filter(|run| *run != self.target);
        indexes.extend(run.map(|run| Index::of(TARGET).text(&run).done()));
        let request = self.mark.iter().map(|mark| mark.request_id());
        indexes.extend(request.map(|request| Index::of(REQUEST).text(request).done()));
        indexes
    }
}

impl Filter for AuditFilter {
    type Row = AuditRow;

    fn takes(&self, row: &AuditRow) -> bool {
        let about = |target: &String| {
            *target == row.target || row.execution().is_some_and(|run| run.to_string() == *target)
        };
        let of_request =
            |id: &String| row.mark.as_ref().is_some_and(|mark| mark.request_id() == id);
        row.is_shown_to(&self.namespace)
            && self.actor.as_ref().is_none_or(|actor| *actor == row.actor)
            && self.action.is_none_or(|action| action == row.action)
            && self.target.as_ref().is_none_or(about)
            && self.request_id.as_ref().is_none_or(of_request)
            && self.recorded.takes(row.at)
    }

    fn order(&self) -> Order {
        self.order
    }

    fn range(&self) -> Range {
        self.recorded
    }

    fn index(&self, _: &dyn Fn(&Self) -> bool) -> Vec<u8> {
        if let Some(request) = &self.request_id {
            return Index::of(REQUEST).text(request).done();
        }
        match (&self.target, &self.actor, self.action) {
            (Some(target), _, _) => Index::of(TARGET).text(target).done(),
            (None, Some(actor), None) => Index::of(ACTOR).text(actor).done(),
            (None, _, Some(action)) => Index::of(ACTION).byte(action_byte(action)).done(),
            (None, None, None) => Index::of(ALL).done(),
        }
    }
}

/// Which events of runs are looked at; every event of another stream is.
fn is_of_interest(kind: (u32, u32)) -> bool {
    /// `Event::Run`.
    const RUN: u32 = 0;
    /// `CancelRequested`, `LetterRetried`, `LetterDiscarded`, `Control`, `Fork`, `Letter`,
    /// `Unwind`, `Delivery`: numbers of the format.
    const DEEDS: [u32; 8] = [13, 26, 27, 33, 36, 38, 39, 40];
    kind.0 != RUN || DEEDS.contains(&kind.1)
}

/// The rows of a commit. `namespace_of` says whose a run, replay or redrive is.
pub(super) fn rows_of_commit(
    commit: &Commit,
    namespace_of: &dyn Fn(&StreamId) -> Option<Arc<str>>,
) -> Vec<AuditRow> {
    let mut rows = Vec::new();
    for entry in &commit.entries {
        let body = commit.body(entry);
        if record::kind(body).is_ok_and(is_of_interest)
            && let Ok(record) = record::decode(body, entry.position)
        {
            rows.extend(row(commit.partition(), &record, namespace_of));
        }
    }
    rows
}

/// The rows of a whole history. Streams that name no partition are of the first one.
pub(super) fn rows_of_history(stream: &StreamId, records: &[Record]) -> Vec<AuditRow> {
    let partition = match stream {
        StreamId::Execution(run) => run.partition,
        StreamId::Partition(partition) => *partition,
        StreamId::Workflow { .. } | StreamId::Replay(_) | StreamId::Redrive(_) => PartitionId(0),
    };
    let namespace = namespace_in(records);
    let namespace_of = |_: &StreamId| namespace.clone();
    records.iter().filter_map(|record| row(partition, record, &namespace_of)).collect()
}

/// Whose a run, replay or redrive is, from its history.
pub(super) fn namespace_in(records: &[Record]) -> Option<Arc<str>> {
    match records.first().map(|record| &record.event) {
        Some(Event::Run(RunEvent::Submitted(own))) => Some(own.namespace.clone()),
        Some(Event::Replay(ReplayEvent::Requested(own))) => Some(own.namespace.clone()),
        Some(Event::Redrive(RedriveEvent::Requested(own))) => Some(own.namespace.clone()),
        _ => None,
    }
}

fn row(
    partition: PartitionId,
    record: &Record,
    namespace_of: &dyn Fn(&StreamId) -> Option<Arc<str>>,
) -> Option<AuditRow> {
    let deed = deed(&record.stream, &record.event)?;
    let namespace = deed.namespace.or_else(|| namespace_of(&record.stream));
    Some(AuditRow {
        partition,
        stream: record.stream.clone(),
        position: record.position,
        at: record.recorded_at,
        namespace: namespace.unwrap_or_default(),
        actor: deed.actor,
        action: deed.action,
        target: deed.target,
        detail: deed.detail,
        reason: reason(&record.event).unwrap_or_default().to_owned(),
        mark: record.mark.clone(),
    })
}

#[cfg(test)]
mod tests {
    use backstitch_core::event::{
        ControlEvent, DeliveryEvent, ForkEvent, LetterEvent, UndoSettlement, UnwindEvent,
    };
    use backstitch_core::ids::ExecutionId;

    use super::*;

    #[test]
    fn deeds_are_told_by_their_numbers() {
        let run = ExecutionId { partition: PartitionId(1), digits: 7 };
        let stream = StreamId::Execution(run);
        let (reason, actor) = ("r".to_owned(), "ann".to_owned());
        let deeds = [
            RunEvent::CancelRequested {
                reason: reason.clone(),
                actor: actor.clone(),
                compensate: true,
            },
            RunEvent::LetterRetried { letter: 0, actor: actor.clone(), linked: None },
            RunEvent::LetterDiscarded { letter: 0, actor: actor.clone(), reason: reason.clone() },
            RunEvent::Fork(ForkEvent::Forked { to: run, undoes: Vec::new(), actor: actor.clone() }),
            RunEvent::Unwind(UnwindEvent::UndosSettled {
                steps: Vec::new(),
                settlement: UndoSettlement::Done,
                note: reason.clone(),
                actor: actor.clone(),
            }),
            RunEvent::Letter(LetterEvent::Noted {
                letter: 0,
                text: reason.clone(),
                actor: actor.clone(),
            }),
            RunEvent::Delivery(DeliveryEvent::SentAgain { delivery: 0, actor: actor.clone() }),
            RunEvent::Control(ControlEvent::Paused { reason, actor }),
        ];
        let kind = |event: RunEvent| {
            let mut body = Vec::new();
            record::encode(&stream, 300, Timestamp(-9), (&Event::Run(event), None), &mut body);
            record::kind(&body).expect("it was encoded just now")
        };
        assert!(deeds.into_iter().map(kind).all(is_of_interest));
        assert!(!is_of_interest(kind(RunEvent::DeadlinePassed)));
        assert!(!is_of_interest(kind(RunEvent::Tagged { tags: Vec::new() })));
    }
}
