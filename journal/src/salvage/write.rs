//! Writing what was salvaged: chains as they were up to their first gap, records behind it
//! in a new generation.
//!
//! A history goes on as long as its versions do. Knows the journal's own streams, which it
//! numbers anew, and of all others only their versions.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use backstitch_core::event::{Event, PartitionEvent};
use backstitch_core::ids::{PartitionId, StreamId};
use backstitch_core::time::Timestamp;

use super::stored::StoredRecords;
use super::{CutRun, Gap, Linked, SalvageReport, SalvageRequest, SalvagedPartition};
use crate::builder::{CommitBuilder, Fit};
use crate::commit::{Commit, Head};
use crate::error::Error;
use crate::keys;
use crate::log::wal::offline::OfflineLog;
use crate::log::wal::scan::Shape;
use crate::reader::Reader;
use crate::record::{self, Record};
use crate::removal;
use crate::sources::Beginning;

/// Writing under way.
pub(super) struct Writing<'a> {
    /// None for a dry run.
    log: Option<OfflineLog>,
    shape: Shape,
    gaps: &'a [Vec<Gap>],
    stored: StoredRecords,
    request: &'a SalvageRequest,
    heads: Vec<Head>,
    epochs: Vec<u64>,
    /// Chains that go on in the new generation.
    broken: Vec<bool>,
    versions: HashMap<StreamId, u64>,
    cut: BTreeMap<StreamId, (u64, u64)>,
    partitions: Vec<SalvagedPartition>,
}

impl<'a> Writing<'a> {
    pub(super) fn begin(
        log: Option<&Path>,
        shape: Shape,
        beginning: &Beginning,
        gaps: &'a [Vec<Gap>],
        stored: StoredRecords,
        request: &'a SalvageRequest,
    ) -> Result<Self, Error> {
        let Beginning { number, next_group, heads } = beginning.clone();
        let begin = |log: &Path| OfflineLog::begin(log, shape, number, next_group, heads.clone());
        let log = log.map(begin).transpose()?;
        let partitions = (0..).take(heads.len());
        let partition = |partition| SalvagedPartition { partition, ..Default::default() };
        Ok(Self {
            log,
            shape,
            gaps,
            stored,
            request,
            epochs: vec![1; heads.len()],
            broken: vec![false; heads.len()],
            versions: HashMap::new(),
            cut: BTreeMap::new(),
            partitions: partitions.map(partition).collect(),
            heads,
        })
    }

    /// Takes the histories that the base keeps of what was cut.
    pub(super) fn take_base(&mut self, reader: &Reader) -> Result<(), Error> {
        let Some(base) = reader.sources.base()? else { return Ok(()) };
        base.for_each_entry(|entry| {
            if let Ok((stream, _)) = keys::stream_of(&entry.key) {
                let last = entry.first_version + u64::from(entry.records) - 1;
                self.versions.insert(stream, last);
            }
            Ok(())
        })
    }

    /// Takes the next commit of a chain.
    pub(super) fn take(&mut self, linked: Linked) -> Result<(), Error> {
        let (commit, gap) = match linked {
            Linked::Next(commit) => (commit, None),
            Linked::Behind { commit, before } => {
                let next_position = Some(commit.first_position());
                (commit, Some(Gap { before, next_position }))
            }
        };
        let index = usize::from(commit.partition().0);
        if let Some(gap) = gap {
            self.cross(index, &gap)?;
        }
        self.epochs[index] = commit.epoch();
        if self.broken[index] {
            self.partitions[index].commits_rewritten += 1;
            return self.rewrite(index, commit.records(), commit.head().committed_at);
        }
        self.partitions[index].commits_kept += 1;
        for entry in &commit.entries {
            for (run, _) in removal::of_entry(&commit, entry) {
                self.versions.remove(&run);
            }
            self.versions.insert(entry.stream.clone(), entry.version);
        }
        self.push(index, commit)
    }

    /// Fills a gap with what the store has.
    fn cross(&mut self, index: usize, gap: &Gap) -> Result<(), Error> {
        if !self.broken[index] {
            self.broken[index] = true;
            self.say_so(index)?;
        }
        let records = self.stored.take(index, gap);
        let there = records.len() as u64;
        let last = gap.next_position.map(|next| next - 1);
        let last = last.or(records.last().map(|(position, _)| *position));
        let missing = last.unwrap_or(gap.before.position).saturating_sub(gap.before.position);
        let partition = &mut self.partitions[index];
        partition.gaps += 1;
        partition.records_from_store += there;
        partition.records_lost += missing.saturating_sub(there);
        for (position, stored) in records {
            let decoded = record::decode(&stored.body, position);
            let found = decoded.expect("it decoded when it was taken from the store");
            assert_eq!((&found.stream, found.version), (&stored.stream, stored.version));
            let at = found.recorded_at;
            self.rewrite(index, vec![found], at)?;
        }
        Ok(())
    }

    /// The first record of the new generation.
    fn say_so(&mut self, index: usize) -> Result<(), Error> {
        let partition = PartitionId(self.partitions[index].partition);
        let (stream, head) = (StreamId::Partition(partition), self.heads[index]);
        let version = self.versions.get(&stream).copied().unwrap_or(0) + 1;
        let event = Event::Partition(PartitionEvent::Restored {
            generation: self.shape.origin.generation.saturating_sub(1),
            sequence: head.sequence,
            reason: "salvaged: commits behind this one were lost".to_owned(),
            actor: self.request.actor.clone(),
        });
        let mut builder = self.builder(index);
        let fit = builder.push(&stream, version, self.request.at, &event);
        assert_eq!(fit, Fit::Fits, "an actor's name is far smaller than a commit");
        self.versions.insert(stream, version);
        // Behind it go commits with times of their own: it must not be later than they are.
        let commit = builder.finish(Timestamp(head.committed_at.0.saturating_add(1)));
        self.push(index, commit)
    }

    /// Writes records anew, each if its history goes on with it.
    fn rewrite(&mut self, index: usize, records: Vec<Record>, at: Timestamp) -> Result<(), Error> {
        let mut builder = self.builder(index);
        for record in records {
            let Some(version) = self.next_version(index, &record) else { continue };
            let Record { stream, recorded_at, event, mark, .. } = &record;
            let told = (event, mark.as_deref());
            if builder.push_marked(stream, version, *recorded_at, told) != Fit::Fits {
                self.push(index, builder.finish(at))?;
                builder = self.builder(index);
                let fit = builder.push_marked(stream, version, *recorded_at, told);
                assert_eq!(fit, Fit::Fits, "a record read from a commit fits into one");
            }
            // What comes behind a removal under the same id is another life, from version 1.
            for (run, _) in removal::of_record(&record, 0) {
                self.versions.remove(&run);
            }
            self.versions.insert(record.stream, version);
        }
        match builder.is_empty() {
            true => Ok(()),
            false => self.push(index, builder.finish(at)),
        }
    }

    /// The version a record gets; none if it is there already or does not connect.
    fn next_version(&mut self, index: usize, record: &Record) -> Option<u64> {
        let last = self.versions.get(&record.stream).copied().unwrap_or(0);
        if let StreamId::Partition(_) = record.stream {
            // The journal's own, with a record more than it had.
            return Some(last + 1);
        }
        if record.version == last + 1 {
            return Some(record.version);
        }
        if record.version > last {
            let cut = self.cut.entry(record.stream.clone()).or_insert((last, record.version));
            cut.1 = cut.1.max(record.version);
            self.partitions[index].records_dropped += 1;
        }
        None
    }

    fn builder(&self, index: usize) -> CommitBuilder {
        let partition = PartitionId(self.partitions[index].partition);
        CommitBuilder::new(self.shape.origin, partition, self.epochs[index], &self.heads[index])
    }

    fn push(&mut self, index: usize, commit: Commit) -> Result<(), Error> {
        self.heads[index] = commit.head();
        self.log.as_mut().map_or(Ok(()), |log| log.push(commit))
    }

    /// Writes what the store has behind the end of the log, and says what came of it all.
    pub(super) fn finish(
        mut self,
        reader: &Reader,
    ) -> Result<(SalvageReport, Option<Vec<Head>>), Error> {
        let gaps = self.gaps;
        for (index, gaps) in gaps.iter().enumerate() {
            if let Some(gap) = gaps.last().filter(|gap| gap.next_position.is_none()) {
                self.cross(index, gap)?;
            }
        }
        let heads = self.log.take().map(OfflineLog::finish).transpose()?;
        let (mut runs_cut, mut others_cut) = (Vec::new(), Vec::new());
        for (stream, &(last_version, found_version)) in &self.cut {
            let list = match stream {
                StreamId::Execution(_) => &mut runs_cut,
                _ => &mut others_cut,
            };
            list.push(CutRun { stream: stream.to_string(), last_version, found_version });
        }
        let generation_before = reader.shape.origin.generation;
        let cut_and_kept = self.cut.keys().filter(|stream| self.versions.contains_key(stream));
        let streams_whole = (self.versions.len() - cut_and_kept.count()) as u64;
        let report = SalvageReport {
            dry_run: self.request.dry_run,
            whole: self.gaps.iter().all(Vec::is_empty),
            store_id: reader.store_id(),
            generation_before,
            generation: self.shape.origin.generation,
            partitions: self.partitions,
            streams_whole,
            runs_cut,
            others_cut,
            store: self.stored.evidence,
            missing_segment: None,
            base: None,
        };
        Ok((report, heads))
    }
}
