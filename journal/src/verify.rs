//! Checking a whole log: every byte, every chain, every history.
//!
//! Changes nothing and goes on behind damage, so that the report names all of it.

use std::collections::HashMap;
use std::path::Path;

use backstitch_core::ids::StreamId;
use serde::Serialize;

use crate::commit::{Commit, Head};
use crate::error::{Damage, Error};
use crate::keys;
use crate::log::wal::TornTail;
use crate::log::wal::scan::Chains;
use crate::log::wal::walk::{Found, walk};
use crate::reader::Reader;

/// Problems beyond this many are counted and not listed.
pub const PROBLEMS_LISTED_MAX: usize = 1_000;

/// What checking a log found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Nothing is wrong. A torn tail is not: it is what a crash leaves, and was never
    /// acknowledged.
    pub ok: bool,
    /// The store's id, in hex.
    pub store_id: String,
    /// Counts restores, from 1.
    pub generation: u32,
    /// Segments with a header.
    pub segments: u64,
    /// Whole groups, markers included.
    pub groups: u64,
    /// Whole commits.
    pub commits: u64,
    /// Their records.
    pub records: u64,
    /// Histories met.
    pub streams: u64,
    /// One entry for each partition.
    pub partitions: Vec<PartitionReport>,
    /// What is wrong, in order of the files.
    pub problems: Vec<Problem>,
    /// How many problems there are, listed or not.
    pub problem_count: u64,
    /// A write that a crash left half done; the next start cuts it.
    pub torn_tail: Option<TornTail>,
}

/// What was found of one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionReport {
    /// Which one.
    pub partition: u16,
    /// Whole commits.
    pub commits: u64,
    /// Their records.
    pub records: u64,
    /// Number of the last commit.
    pub last_sequence: u64,
    /// Position of the last record.
    pub last_position: u64,
    /// Every commit follows the one before it, from the first on.
    pub chain_ok: bool,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where, and how.
    #[serde(flatten)]
    pub damage: Damage,
    /// The history it touches, where known.
    pub stream: Option<String>,
}

/// Checks the whole log of a data directory.
///
/// # Errors
/// If a server has the directory open, it is no data directory, or it cannot be read. What
/// is wrong with the log is in the report.
pub fn verify(directory: impl AsRef<Path>) -> Result<VerifyReport, Error> {
    let reader = Reader::open(directory)?;
    let mut check = Check::new(&reader);
    check.begin()?;
    walk(&reader.sources, &mut |found| {
        match found {
            Found::Commit { segment, offset, commit } => check.commit(segment, offset, commit),
            Found::Group => check.report.groups += 1,
            Found::Segment => check.report.segments += 1,
            Found::Damage(damage) => check.problem(damage, None),
            Found::Torn(tail) => check.report.torn_tail = Some(tail),
        }
        true
    })?;
    for damage in reader.sources.archive_damages()? {
        check.problem(damage, None);
    }
    Ok(check.finish())
}

struct Check<'a> {
    reader: &'a Reader,
    report: VerifyReport,
    chains: Chains,
    versions: HashMap<StreamId, u64>,
}

impl<'a> Check<'a> {
    fn new(reader: &'a Reader) -> Self {
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
            torn_tail: None,
        };
        let chains = Chains::empty(reader.partitions());
        Self { reader, report, chains, versions: HashMap::new() }
    }

    /// Starts behind what was cut: with the heads and histories of the base.
    fn begin(&mut self) -> Result<(), Error> {
        let Some(base) = self.reader.sources.base()? else { return Ok(()) };
        self.chains = Chains { heads: base.header().heads.clone() };
        let versions = &mut self.versions;
        let read = base.for_each_entry(|entry| {
            if let Ok((stream, _)) = keys::stream_of(&entry.key) {
                versions.insert(stream, entry.first_version + u64::from(entry.records) - 1);
            }
            Ok(())
        });
        match read {
            // Named with all that is wrong with the archive's files.
            Ok(()) | Err(Error::Damaged { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn commit(&mut self, segment: u64, offset: u64, commit: &Commit) {
        let place = |detail: &str| commit.damage(segment, offset, detail);
        let index = usize::from(commit.partition().0);
        let Some(partition) = self.report.partitions.get_mut(index) else {
            return self.problem(place("there is no such partition"), None);
        };
        partition.commits += 1;
        partition.records += commit.count() as u64;
        let Head { sequence, position, .. } = commit.head();
        (partition.last_sequence, partition.last_position) = (sequence, position);
        self.report.commits += 1;
        self.report.records += commit.count() as u64;
        if let Err(detail) = self.chains.accept(&self.reader.shape.origin, commit) {
            partition.chain_ok = false;
            let before = self.chains.heads[index].sequence;
            let detail = format!("{detail} (the commit before it here is {before})");
            self.problem(place(&detail), None);
            self.chains.heads[index] = commit.head();
        }
        for entry in &commit.entries {
            let last = self.versions.get(&entry.stream).copied().unwrap_or(0);
            if entry.version != last + 1 {
                let detail = format!("version {} follows version {last}", entry.version);
                self.problem(place(&detail), Some(entry.stream.to_string()));
            }
            self.versions.insert(entry.stream.clone(), entry.version);
        }
    }

    fn problem(&mut self, damage: Damage, stream: Option<String>) {
        self.report.problem_count += 1;
        if self.report.problems.len() < PROBLEMS_LISTED_MAX {
            self.report.problems.push(Problem { damage, stream });
        }
    }

    fn finish(mut self) -> VerifyReport {
        self.report.streams = self.versions.len() as u64;
        self.report.ok = self.report.problem_count == 0;
        self.report
    }
}
