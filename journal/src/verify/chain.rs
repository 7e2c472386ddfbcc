//! Following every chain and every history, and naming what breaks them.
//!
//! Memory: some 150 bytes for each history.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use backstitch_core::event::{Event, PartitionEvent};
use backstitch_core::ids::{Digest, StreamId};

use super::report::{
    CheckedPart, Erasure, PROBLEMS_LISTED_MAX, PartitionReport, Problem, Severity, VerifyReport,
};
use super::store::StoredHistories;
use crate::archive::base::layout::Entry;
use crate::backup::Manifest;
use crate::blobs;
use crate::blobs::check::Named;
use crate::commit::{Commit, Head, Origin};
use crate::error::{Damage, Error};
use crate::keys;
use crate::log::wal::scan::Chains;
use crate::log::wal::walk::Flaw;
use crate::pending::unpack;
use crate::reader::Reader;
use crate::record;
use crate::removal;
use crate::witnesses::{Witness, furthest};

/// One check under way.
pub(super) struct Check {
    pub report: VerifyReport,
    chains: Chains,
    streams: HashMap<StreamId, Followed>,
    /// Runs whose removal the store has not applied yet, with their last versions.
    removed: HashMap<StreamId, u64>,
    touched: BTreeSet<String>,
    /// Contents kept beside the records.
    named: Named,
    erased: BTreeSet<Digest>,
}

/// A history as far as it was followed.
#[derive(Default)]
struct Followed {
    version: u64,
    /// Of the records so far, each with its position.
    digest: [u8; 32],
    /// The store has applied the log beyond this version.
    stored_up_to: u64,
    gap: bool,
    /// The version at which the store's history turned out to be another.
    differs_at: Option<u64>,
}

/// Goes on with a digest of records.
pub(super) fn mix_record(digest: &mut [u8; 32], position: u64, body: &[u8]) {
    let mut hasher = blake3::Hasher::new();
    hasher.update(digest).update(&position.to_le_bytes()).update(body);
    *digest = *hasher.finalize().as_bytes();
}

impl Check {
    pub(super) fn new(reader: &Reader) -> Self {
        let partitions = u16::try_from(reader.partitions()).unwrap_or(u16::MAX);
        let partition_report = |partition| PartitionReport {
            partition,
            commits: 0,
            records: 0,
            last_sequence: 0,
            last_position: 0,
            chain_ok: true,
        };
        let report = VerifyReport {
            ok: true,
            store_id: reader.store_id(),
            generation: reader.shape.origin.generation,
            segments: 0,
            groups: 0,
            commits: 0,
            records: 0,
            streams: 0,
            partitions: (0..partitions).map(partition_report).collect(),
            problems: Vec::new(),
            problem_count: 0,
            healable_count: 0,
            touched: Vec::new(),
            torn_tail: None,
            erasures: Vec::new(),
            archived: 0,
            store: None,
            backup: None,
            contents: None,
        };
        Self {
            report,
            chains: Chains::empty(reader.partitions()),
            streams: HashMap::new(),
            removed: HashMap::new(),
            touched: BTreeSet::new(),
            named: Named::new(),
            erased: BTreeSet::new(),
        }
    }

    /// Starts behind what was cut.
    pub(super) fn begin(&mut self, heads: &[Head]) {
        self.chains = Chains::at(heads.to_vec());
    }

    /// Takes records that are kept of what was cut.
    pub(super) fn kept(&mut self, entry: &Entry, compare: bool) {
        let Ok((stream, _)) = keys::stream_of(&entry.key) else { return };
        let followed = self.streams.entry(stream.clone()).or_default();
        if entry.first_version != followed.version + 1 {
            let detail =
                format!("version {} follows version {}", entry.first_version, followed.version);
            self.outside(CheckedPart::Archive, Severity::Healable, &detail, Some(&stream));
            return;
        }
        followed.version += u64::from(entry.records);
        followed.stored_up_to = followed.version;
        for (position, body) in unpack(&entry.packed).filter_map(Result::ok) {
            if compare {
                mix_record(&mut followed.digest, position, body);
            }
            if let Ok(record) = record::decode(body, position) {
                record.event.for_each_payload(&mut |own| self.named.extend(own.reference()));
            }
        }
    }

    /// Takes the next whole commit of the log, wherever it stands.
    pub(super) fn commit(
        &mut self,
        place: (u64, u64),
        origin: &Origin,
        commit: &Commit,
        stored: Option<&StoredHistories>,
    ) {
        let (segment, offset) = place;
        let damage = |detail: &str| commit.damage(segment, offset, detail);
        let index = usize::from(commit.partition().0);
        let Some(partition) = self.report.partitions.get_mut(index) else {
            return self.lost(damage("there is no such partition"), None);
        };
        partition.commits += 1;
        partition.records += commit.count() as u64;
        let Head { sequence, position, .. } = commit.head();
        (partition.last_sequence, partition.last_position) = (sequence, position);
        self.report.commits += 1;
        self.report.records += commit.count() as u64;
        if let Err(detail) = self.chains.accept(origin, commit) {
            partition.chain_ok = false;
            let before = self.chains.heads[index];
            let detail = format!("{detail} (the commit before it here is {})", before.sequence);
            self.lost(damage(&detail), None);
            self.chains.jump(commit);
        }
        self.named.extend(commit.named());
        let applied = stored.and_then(|stored| stored.applied.get(index)).copied().unwrap_or(0);
        for entry in &commit.entries {
            let followed = self.streams.entry(entry.stream.clone()).or_default();
            let last = followed.version;
            followed.version = entry.version;
            if sequence <= applied {
                followed.stored_up_to = entry.version;
            }
            if stored.is_some() {
                mix_record(&mut followed.digest, entry.position, commit.body(entry));
            }
            let digest = followed.digest;
            if entry.version != last + 1 {
                followed.gap = true;
                let detail = format!("version {} follows version {last}", entry.version);
                self.lost(damage(&detail), Some(entry.stream.to_string()));
            } else if let Some(stored) = stored
                && !followed.gap
                && !stored.agrees(&entry.stream, entry.version, &digest)
            {
                followed.differs_at = Some(entry.version);
            }
            if matches!(entry.stream, StreamId::Partition(_)) {
                self.interpret(commit, entry.position, sequence > applied);
            }
        }
    }

    /// What the journal says of itself: erasures and removals.
    fn interpret(&mut self, commit: &Commit, position: u64, beyond_store: bool) {
        let entry = commit.entries.iter().find(|entry| entry.position == position);
        let body = entry.map(|entry| commit.body(entry)).unwrap_or_default();
        let Ok(found) = record::decode(body, position) else { return };
        let recorded_at = found.recorded_at;
        match found.event {
            Event::Partition(PartitionEvent::PayloadErased { digest, reason, actor }) => {
                self.erased.insert(digest);
                let digest = digest.to_string();
                self.report.erasures.push(Erasure { digest, reason, actor, recorded_at });
            }
            event => {
                // Whoever begins again under the same id begins at version 1.
                let removed = removal::of_event(&event).map(|(streams, _)| streams);
                for stream in removed.into_iter().flatten() {
                    let followed = self.streams.remove(&stream);
                    if let Some(Followed { version, .. }) = followed.filter(|_| beyond_store) {
                        self.removed.insert(stream, version);
                    }
                }
            }
        }
    }

    pub(super) fn lost(&mut self, damage: Damage, stream: Option<String>) {
        self.problem(Problem { damage, stream, part: CheckedPart::Log, severity: Severity::Lost });
    }

    /// One of two copies of a segment is not what it was.
    pub(super) fn flaw(&mut self, flaw: Flaw) {
        let Flaw { damage, in_archive, healable } = flaw;
        let part = if in_archive { CheckedPart::Archive } else { CheckedPart::Log };
        let severity = if healable { Severity::Healable } else { Severity::Lost };
        self.problem(Problem { damage, stream: None, part, severity });
    }

    /// Something wrong outside of the log.
    pub(super) fn outside(
        &mut self,
        part: CheckedPart,
        severity: Severity,
        detail: &str,
        stream: Option<&StreamId>,
    ) {
        let damage = Damage {
            segment: 0,
            offset: 0,
            partition: None,
            sequence: None,
            detail: detail.to_owned(),
        };
        self.problem(Problem { damage, stream: stream.map(ToString::to_string), part, severity });
    }

    pub(super) fn problem(&mut self, problem: Problem) {
        self.report.problem_count += 1;
        self.report.healable_count += u64::from(problem.severity == Severity::Healable);
        if problem.severity == Severity::Lost
            && let Some(stream) = &problem.stream
        {
            self.touched.insert(stream.clone());
        }
        if self.report.problems.len() < PROBLEMS_LISTED_MAX {
            self.report.problems.push(problem);
        }
    }

    /// Contents that records name, against what is kept in the directory.
    pub(super) fn contents(&mut self, directory: &Path) -> Result<(), Error> {
        let found = blobs::check::check(directory, &self.named, &self.erased)?;
        for (contents, how, severity) in [
            (&found.missing, "is missing", Severity::Lost),
            (&found.damaged, "is damaged", Severity::Lost),
            (
                &found.healable,
                "is missing or damaged, and whole in the archive",
                Severity::Healable,
            ),
            (&found.copies_damaged, "is damaged in the archive", Severity::Healable),
        ] {
            for digest in contents {
                let detail = format!("the content {digest} {how}");
                let place =
                    Damage { segment: 0, offset: 0, partition: None, sequence: None, detail };
                let part = CheckedPart::Blobs;
                self.problem(Problem { damage: place, stream: None, part, severity });
            }
        }
        self.report.contents = Some(found);
        Ok(())
    }

    /// A segment behind all that are there is gone, and with it whatever was written to it.
    pub(super) fn end_is_gone(&mut self, segment: u64) {
        let detail = format!(
            "the segment file is missing: segment {} was sealed, so the log went on behind it",
            segment - 1
        );
        let known = self.report.problems.iter().any(|own| own.damage.segment == segment);
        if !known {
            self.lost(Damage { segment, offset: 0, partition: None, sequence: None, detail }, None);
        }
    }

    /// Once everything was read: where a backup should end by its manifest, and where the log
    /// should by what others have applied.
    pub(super) fn ends(&mut self, manifest: Option<&Manifest>, witnesses: &[Witness]) {
        for (partition, end) in (0..).zip(manifest.into_iter().flat_map(|found| &found.ends)) {
            let head = self.chains.heads.get(usize::from(partition)).copied().unwrap_or_default();
            let other = head.sequence == end.sequence && head.hash.to_string() != end.hash;
            if head.sequence < end.sequence || other {
                let detail = "the chain does not reach the commit that the manifest names".into();
                let (sequence, partition) = (Some(end.sequence), Some(partition));
                self.lost(Damage { segment: 0, offset: 0, partition, sequence, detail }, None);
            }
        }
        for (partition, known) in (0..).zip(furthest(witnesses, self.chains.heads.len())) {
            let head = self.chains.heads.get(usize::from(partition)).copied().unwrap_or_default();
            if let Some((applied, who)) = known.filter(|(applied, _)| head.sequence < *applied) {
                let detail = format!(
                    "the log ends here, but {who} had come to commit {applied}: commits {} to \
                     {applied} are missing",
                    head.sequence + 1
                );
                let (sequence, partition) = (Some(head.sequence), Some(partition));
                self.lost(Damage { segment: 0, offset: 0, partition, sequence, detail }, None);
            }
        }
    }

    /// Files of a backup that are not as its manifest says: where nothing is lost, something
    /// else has what they should.
    pub(super) fn unlike_manifest(&mut self, unlike: Vec<String>) {
        let severity = match self.report.problem_count > self.report.healable_count {
            true => Severity::Lost,
            false => Severity::Healable,
        };
        for detail in unlike {
            self.outside(CheckedPart::Backup, severity, &detail, None);
        }
    }

    /// What can be said once everything was read: which histories the store knows further than
    /// the log.
    pub(super) fn finish(mut self, stored: Option<&StoredHistories>) -> VerifyReport {
        if let Some(stored) = stored {
            self.compare_histories(stored);
        }
        self.report.streams = self.streams.len() as u64;
        self.report.ok = self.report.problem_count == 0;
        self.report.touched = self.touched.into_iter().take(PROBLEMS_LISTED_MAX).collect();
        self.report
    }

    fn compare_histories(&mut self, stored: &StoredHistories) {
        let mut found = Vec::new();
        for (stream, count) in stored.counts() {
            let followed = self.streams.get(stream);
            let removed = self.removed.get(stream).copied().unwrap_or(0);
            let version = followed.map_or(0, |followed| followed.version).max(removed);
            if version < count {
                let detail = format!("the log ends at version {version}, the store at {count}");
                found.push((detail, stream.clone(), Severity::Lost));
            }
        }
        for (stream, followed) in &self.streams {
            let count = stored.count(stream);
            if let Some(version) = followed.differs_at {
                let detail = format!("the store has another version {version} or before");
                found.push((detail, stream.clone(), Severity::Healable));
            }
            if followed.stored_up_to > count {
                let detail = format!(
                    "the store ends at version {count} and says it has applied version {}",
                    followed.stored_up_to
                );
                found.push((detail, stream.clone(), Severity::Healable));
            }
        }
        found.sort();
        for (detail, stream, severity) in found {
            let damage = Damage { segment: 0, offset: 0, partition: None, sequence: None, detail };
            let part =
                if severity == Severity::Lost { CheckedPart::Log } else { CheckedPart::Store };
            self.problem(Problem { damage, stream: Some(stream.to_string()), part, severity });
        }
    }
}
