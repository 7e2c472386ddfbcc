//! What a restore keeps: one pass over all commits, with all checks.
//!
//! Memory: a few words for each history that goes back or vanishes, nothing for the others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backstitch_core::audit::Mark;
use backstitch_core::event::{
    ApiKeyEvent, Event, PartitionEvent, ReplayEvent, RunEvent, UnwindEvent,
};
use backstitch_core::ids::{PartitionId, StepIndex, StreamId};

use super::keys::Keys;
use super::{Error, Meter, OnProgress};
use super::{
    LISTED_MAX, LostPartition, LostRun, Oldest, Reader, RestorePoint, RestoreReport, ReturnedRun,
};
use crate::backup::{BackupEnd, Manifest};
use crate::commit::{Commit, Head};
use crate::error::Damage;
use crate::reader::Location;
use crate::record::Record;
use crate::removal::{self, RemovedRun};

/// What is kept and what is not.
pub(super) struct Plan {
    /// Where each chain ends.
    pub heads: Vec<Head>,
    /// The first segment that is not copied as it is.
    pub first_rewritten: u64,
    /// Who owned each partition last.
    pub epochs: Vec<u64>,
    /// The last version kept of each partition's own stream.
    pub own_versions: Vec<u64>,
    /// What was erased and revoked behind the point, which holds for what is restored, too.
    pub held_to: Vec<(usize, PartitionEvent, Option<Arc<Mark>>)>,
    /// Streams with effects behind the point.
    pub effects_of: BTreeSet<StreamId>,
    /// Bytes of the commits read.
    pub bytes: u64,
    keys: Keys,
    partitions: Vec<LostPartition>,
    lost: BTreeMap<StreamId, (u64, u64)>,
    /// Runs removed behind the point of which something is kept.
    returned: BTreeMap<StreamId, RemovedRun>,
    passed: Vec<bool>,
    damage_behind: Option<Damage>,
    oldest: Vec<Head>,
}

impl Plan {
    pub(super) fn of(
        reader: &Reader,
        point: &RestorePoint,
        heard: &mut OnProgress<'_>,
    ) -> Result<Self, Error> {
        let beginning = reader.sources.beginning()?;
        let mut plan = Self::empty(beginning.heads);
        plan.take_base(reader)?;
        plan.check_oldest(point)?;
        let mut meter = Meter::of(heard, "reading", 0);
        let mut promised = Promised::of(reader, &plan.oldest)?;
        let (mut last_segment, mut failure, mut first_lost) = (beginning.number, None, None);
        let read = reader.for_each_commit(|commit, Location { segment, .. }| {
            last_segment = segment;
            let index = usize::from(commit.partition().0);
            promised.meet(commit);
            if !plan.passed[index] && keeps(point, commit) {
                plan.keep(index, commit);
            } else {
                first_lost.get_or_insert(segment);
                plan.lose(index, commit);
            }
            plan.bytes += commit.bytes().len() as u64;
            failure = meter.add(commit.bytes().len() as u64).err();
            failure.is_none()
        });
        if let Some(failure) = failure {
            return Err(failure);
        }
        match read {
            Err(Error::Damaged { damage }) if plan.passed.iter().all(|&passed| passed) => {
                plan.damage_behind = Some(damage);
            }
            read => {
                read?;
            }
        }
        if plan.damage_behind.is_none() {
            promised.check(last_segment)?;
        }
        plan.first_rewritten = first_lost.unwrap_or(last_segment);
        plan.check_positions(point)?;
        Ok(plan)
    }

    /// Where the partitions' own histories stand behind a cut.
    fn take_base(&mut self, reader: &Reader) -> Result<(), Error> {
        let Some(base) = reader.sources.base()? else { return Ok(()) };
        for index in 0..self.heads.len() {
            let partition = u16::try_from(index).expect("an identity counts them in u16");
            let own = base.entries_of(&StreamId::Partition(PartitionId(partition)))?;
            for entry in &own {
                self.keys.take(entry.decode()?);
            }
            if let Some(last) = own.last() {
                self.own_versions[index] = last.first_version + u64::from(last.records) - 1;
            }
        }
        Ok(())
    }

    fn empty(oldest: Vec<Head>) -> Self {
        let count = oldest.len();
        let partition = |partition| LostPartition {
            partition,
            last_sequence: oldest[usize::from(partition)].sequence,
            last_position: oldest[usize::from(partition)].position,
            commits_kept: 0,
            commits_lost: 0,
            records_kept: 0,
            records_lost: 0,
        };
        let counted = u16::try_from(count).expect("an identity counts them in u16");
        Self {
            heads: oldest.clone(),
            first_rewritten: 1,
            epochs: vec![1; count],
            own_versions: vec![0; count],
            held_to: Vec::new(),
            effects_of: BTreeSet::new(),
            bytes: 0,
            keys: Keys::default(),
            partitions: (0..counted).map(partition).collect(),
            lost: BTreeMap::new(),
            returned: BTreeMap::new(),
            passed: vec![false; count],
            damage_behind: None,
            oldest,
        }
    }

    fn keep(&mut self, index: usize, commit: &Commit) {
        self.heads[index] = commit.head();
        self.epochs[index] = commit.epoch();
        let own = StreamId::Partition(commit.partition());
        if let Some(entry) = commit.entries.iter().rfind(|entry| entry.stream == own) {
            self.own_versions[index] = entry.version;
            self.keys.take(commit.records_of(|stream| *stream == own));
        }
        let partition = &mut self.partitions[index];
        partition.commits_kept += 1;
        partition.records_kept += commit.count() as u64;
        partition.last_sequence = commit.sequence();
        partition.last_position = commit.head().position;
    }

    fn lose(&mut self, index: usize, commit: &Commit) {
        self.passed[index] = true;
        let partition = &mut self.partitions[index];
        partition.commits_lost += 1;
        partition.records_lost += commit.count() as u64;
        for record in commit.records() {
            for (stream, removed) in removal::of_record(&record, commit.sequence()) {
                // One that began behind the point vanishes; of a later life under the same id
                // the first removal behind the point tells.
                if self.lost.get(&stream).is_none_or(|(kept, _)| *kept > 0) {
                    self.returned.entry(stream).or_insert(removed);
                }
            }
            if is_effect(&record.event) || answered(&record.event).is_some() {
                self.effects_of.insert(record.stream.clone());
            }
            let Record { stream, version, event, mark, .. } = record;
            let kept = (version - 1, version);
            self.lost.entry(stream).or_insert(kept).1 = version;
            if let Event::Partition(
                holds @ (PartitionEvent::PayloadErased { .. }
                | PartitionEvent::ApiKey(ApiKeyEvent::Revoked { .. })),
            ) = event
            {
                self.held_to.push((index, holds, mark));
            }
        }
    }

    fn check_oldest(&self, point: &RestorePoint) -> Result<(), Error> {
        let refuse = |detail: String| Err(Error::Point { detail });
        match point {
            RestorePoint::End => {}
            RestorePoint::Instant(at) => {
                let anchor = self.oldest.iter().map(|head| head.committed_at).max();
                let cut = self.oldest.iter().any(|head| head.sequence > 0);
                if let Some(anchor) = anchor.filter(|anchor| cut && anchor > at) {
                    return refuse(format!("the log was cut; {anchor} is the oldest instant"));
                }
            }
            RestorePoint::Positions(positions) => {
                if positions.len() != self.heads.len() {
                    let (given, there) = (positions.len(), self.heads.len());
                    return refuse(format!("it has {given} positions for {there} partitions"));
                }
                let below = self.oldest.iter().zip(positions).position(|(o, p)| o.position > *p);
                if let Some(partition) = below {
                    let oldest = self.oldest[partition].position;
                    return refuse(format!(
                        "the log was cut; {oldest} is the oldest position of partition {partition}"
                    ));
                }
            }
        }
        Ok(())
    }

    fn check_positions(&self, point: &RestorePoint) -> Result<(), Error> {
        let RestorePoint::Positions(positions) = point else { return Ok(()) };
        for (partition, (own, &position)) in self.partitions.iter().zip(positions).enumerate() {
            if !self.passed[partition] && own.last_position < position {
                let end = own.last_position;
                return Err(Error::Point {
                    detail: format!(
                        "partition {partition} ends at position {end}, before {position}"
                    ),
                });
            }
        }
        Ok(())
    }

    pub(super) fn report(&self, reader: &Reader, dry_run: bool) -> RestoreReport {
        let sum = |part: fn(&LostPartition) -> u64| self.partitions.iter().map(part).sum();
        let (mut runs, mut others) = (Vec::new(), Vec::new());
        let (mut runs_vanished, mut runs_gone_back) = (0, 0);
        for (stream, &(last_version, lost_version)) in &self.lost {
            if !matches!(stream, StreamId::Execution(_)) {
                others.push((stream.to_string(), last_version));
                continue;
            }
            let count = if last_version == 0 { &mut runs_vanished } else { &mut runs_gone_back };
            *count += 1;
            if runs.len() < LISTED_MAX {
                let execution = stream.to_string();
                runs.push(LostRun { execution, last_version, lost_version });
            }
        }
        others.truncate(LISTED_MAX);
        let returned =
            || self.returned.iter().filter(|(stream, _)| matches!(stream, StreamId::Execution(_)));
        let returned_run = |(stream, removed): (&StreamId, &RemovedRun)| ReturnedRun {
            execution: stream.to_string(),
            removed_at: removed.at,
            rule: removed.rule.to_string(),
        };
        let generation_before = reader.shape.origin.generation;
        let cut = self.oldest.iter().any(|head| head.sequence > 0);
        RestoreReport {
            dry_run,
            store_id: reader.store_id(),
            generation_before,
            generation: generation_before.saturating_add(1),
            partitions: self.partitions.clone(),
            commits_kept: sum(|partition| partition.commits_kept),
            commits_lost: sum(|partition| partition.commits_lost),
            records_kept: sum(|partition| partition.records_kept),
            records_lost: sum(|partition| partition.records_lost),
            newest_kept_at: self
                .heads
                .iter()
                .filter(|head| head.sequence > 0)
                .map(|head| head.committed_at)
                .max(),
            runs,
            runs_vanished,
            runs_gone_back,
            returned: returned().take(LISTED_MAX).map(returned_run).collect(),
            runs_returned: returned().count() as u64,
            others,
            effects: Vec::new(),
            effect_count: 0,
            erasures_kept: self.held_to.iter().filter_map(|(_, own, _)| digest_of(own)).collect(),
            api_keys: self.keys.in_force(self.held_to.iter().map(|(_, event, _)| event)),
            oldest: Oldest {
                positions: self.oldest.iter().map(|head| head.position).collect(),
                at: self.oldest.iter().map(|head| head.committed_at).max().filter(|_| cut),
            },
            blobs: 0,
            blob_bytes: 0,
            damage_behind: self.damage_behind.clone(),
        }
    }

    /// Whether the source is damaged behind the point.
    pub(super) fn is_damaged_behind(&self) -> bool {
        self.damage_behind.is_some()
    }

    /// Whether a history is looked into for its effects' keys.
    pub(super) fn wants(&self, stream: &StreamId) -> bool {
        matches!(stream, StreamId::Workflow { .. }) || self.effects_of.contains(stream)
    }

    /// Whether a commit of the source is kept.
    pub(super) fn has(&self, commit: &Commit) -> bool {
        let head = self.heads.get(usize::from(commit.partition().0));
        head.is_some_and(|head| commit.sequence() <= head.sequence)
    }
}

/// The ends that a backup's manifest names: its last group is proven by nothing else.
struct Promised(BTreeMap<u16, BackupEnd>);

impl Promised {
    /// An end that lies before the chain's beginning is in the base.
    fn of(reader: &Reader, oldest: &[Head]) -> Result<Self, Error> {
        let manifest = Manifest::of_backup(&reader.directory.path)?;
        let ends = manifest.map(|manifest| manifest.ends).unwrap_or_default();
        let ends = (0..).zip(ends).filter(|(partition, end): &(u16, BackupEnd)| {
            let first = oldest.get(usize::from(*partition)).map_or(0, |head| head.sequence);
            end.sequence > first
        });
        Ok(Self(ends.collect()))
    }

    fn meet(&mut self, commit: &Commit) {
        let partition = commit.partition().0;
        let met = self.0.get(&partition).is_some_and(|end| {
            end.sequence == commit.sequence() && end.hash == commit.head().hash.to_string()
        });
        if met {
            self.0.remove(&partition);
        }
    }

    fn check(mut self, segment: u64) -> Result<(), Error> {
        let Some((partition, end)) = self.0.pop_first() else { return Ok(()) };
        let detail = "the commit that the manifest names as its partition's end is not there";
        Err(Error::Damaged {
            damage: Damage {
                segment,
                offset: 0,
                partition: Some(partition),
                sequence: Some(end.sequence),
                detail: detail.to_owned(),
            },
        })
    }
}

fn keeps(point: &RestorePoint, commit: &Commit) -> bool {
    let head = commit.head();
    match point {
        RestorePoint::End => true,
        RestorePoint::Instant(at) => head.committed_at <= *at,
        RestorePoint::Positions(positions) => {
            positions.get(usize::from(commit.partition().0)).is_some_and(|&at| head.position <= at)
        }
    }
}

fn digest_of(event: &PartitionEvent) -> Option<String> {
    match event {
        PartitionEvent::PayloadErased { digest, .. } => Some(digest.to_string()),
        _ => None,
    }
}

/// Of what answers an attempt: its step, whether it is one of the step's undo, and which it is.
pub(super) fn answered(event: &Event) -> Option<(StepIndex, bool, u16)> {
    let Event::Run(event) = event else { return None };
    match event {
        RunEvent::StepSucceeded { step, attempt, .. }
        | RunEvent::StepAttemptFailed { step, attempt, .. }
        | RunEvent::StepTimedOut { step, attempt, .. }
        | RunEvent::StepAttemptLost { step, attempt } => Some((*step, false, *attempt)),
        RunEvent::UndoSucceeded { step, attempt, .. }
        | RunEvent::UndoAttemptFailed { step, attempt, .. }
        | RunEvent::Unwind(UnwindEvent::CheckAnswered { step, attempt, .. }) => {
            Some((*step, true, *attempt))
        }
        _ => None,
    }
}

/// Whether the world was or may have been touched.
pub(super) fn is_effect(event: &Event) -> bool {
    match event {
        Event::Run(event) => matches!(
            event,
            RunEvent::StepStarted { .. }
                | RunEvent::UndoStarted { .. }
                | RunEvent::CallbackDelivered { .. }
        ),
        Event::Replay(event) => {
            matches!(event, ReplayEvent::Advanced { .. } | ReplayEvent::Completed { .. })
        }
        Event::Workflow(_) | Event::Partition(_) | Event::Redrive(_) => false,
    }
}
