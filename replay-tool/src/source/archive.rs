//! The log of a data directory, read from its beginning as often as a question needs it.
//!
//! Knows which records belong to which run; not what they mean to a person.

use std::path::{Path, PathBuf};

use backstitch_core::event::{Event, PartitionEvent};
use backstitch_core::ids::{ExecutionId, StreamId};
use backstitch_core::lineage::lineage_of;
use backstitch_core::plan::Plan;
use backstitch_core::state::State;
use backstitch_journal::{Damage, Reader, Record, written_bytes};

use super::definitions::Definitions;
use super::fold::Fold;
use super::{CANDIDATES_MAX, Prefix};
use crate::error::Error;
use crate::progress::Progress;

/// The file in a data directory that says where its archive is, if it is elsewhere.
const ELSEWHERE: &str = "archive-directory";

/// A data directory that is being read. No server can start in it meanwhile.
#[derive(Debug)]
pub struct Archive {
    reader: Reader,
    damage: OnDamage,
    log: LogFiles,
    watched: bool,
}

/// What to do where the log is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDamage {
    /// Refuse the whole question.
    Refuse,
    /// Answer from what stands before it.
    ReadUpToIt,
}

/// One run with everything that was recorded of it.
#[derive(Debug)]
pub struct History {
    /// The run.
    pub run: ExecutionId,
    /// Its records, in order.
    pub records: Vec<Record>,
    /// The generation each was written under, part of its position outside.
    pub generations: Vec<u32>,
    /// The revisions of the whole log.
    pub definitions: Definitions,
    /// When and why the run was removed, if it is no more.
    pub removed: Option<String>,
    /// Where reading stopped early.
    pub damage: Option<Damage>,
}

impl Archive {
    /// Looks at a data directory.
    ///
    /// # Errors
    /// If there is none, it is something else, or a server has it.
    pub fn open(directory: &Path, damage: OnDamage, watched: bool) -> Result<Self, Error> {
        check_directory(directory)?;
        let reader = Reader::open(directory)?;
        Ok(Self { reader, damage, log: LogFiles::of(directory), watched })
    }

    /// The store's id, in hex, and its number of partitions.
    #[must_use]
    pub fn identity(&self) -> (String, usize) {
        (self.reader.store_id(), self.reader.partitions())
    }

    /// Gives records back the payloads that are kept beside them, as far as they can be had.
    ///
    /// # Errors
    /// If the system refuses to read.
    pub fn give_back(&self, records: &mut [Record]) -> Result<(), Error> {
        Ok(self.reader.give_back(records)?)
    }

    /// Visits the records of the wanted streams in order of writing, with the store's
    /// generation, and without the payloads that are kept beside them. Answers where reading stopped early, if it may.
    ///
    /// # Errors
    /// If the log cannot be read, or is damaged and must not be.
    pub fn scan(
        &self,
        wanted: impl Fn(&StreamId) -> bool,
        mut visit: impl FnMut(u32, Record),
    ) -> Result<Option<Damage>, Error> {
        let mut progress = Progress::bytes(self.watched, "reading the log", self.log.bytes);
        let read = self.scan_base(&wanted, &mut visit).and_then(|()| {
            self.reader.for_each_commit(|commit, place| {
                progress.reach(self.log.before(place.segment) + place.offset);
                let generation = commit.origin().generation;
                commit.records_of(&wanted).for_each(|record| visit(generation, record));
                true
            })
        });
        match (read.map_err(Error::from), self.damage) {
            (Ok(_), _) => Ok(None),
            (Err(Error::Damaged { damage }), OnDamage::ReadUpToIt) => Ok(Some(damage)),
            (Err(error), _) => Err(error),
        }
    }

    /// What is kept of everything that was cut: definitions and removals first, since the runs
    /// that stand there follow the ones and outlived the others.
    fn scan_base(
        &self,
        wanted: &impl Fn(&StreamId) -> bool,
        visit: &mut impl FnMut(u32, Record),
    ) -> Result<(), backstitch_journal::Error> {
        // Which generation a commit was of is cut away with it: that of the first one left.
        let mut first = None;
        self.reader.for_each_commit(|commit, _| {
            first = Some(commit.origin().generation);
            false
        })?;
        for runs in [false, true] {
            self.reader.for_each_kept(|cut_at, record| {
                let generation = first.unwrap_or(cut_at);
                let is_run = matches!(record.stream, StreamId::Execution(_));
                if is_run == runs && wanted(&record.stream) {
                    visit(generation, record);
                }
            })?;
        }
        Ok(())
    }

    /// The one run whose id begins so, with its payloads. Of a run that was removed, what the
    /// log still has of it.
    ///
    /// # Errors
    /// If there is none, there are several, or the log cannot be read.
    pub fn find(&self, given: &str) -> Result<History, Error> {
        let prefix = Prefix::of(given)?;
        let mut search = Search::default();
        let wanted = |stream: &StreamId| match stream {
            StreamId::Execution(run) => matches(&prefix, *run),
            StreamId::Workflow { .. } | StreamId::Partition(_) => true,
            StreamId::Replay(_) | StreamId::Redrive(_) => false,
        };
        let damage = self.scan(wanted, |generation, record| search.take(generation, record))?;
        let Search { found, count, records, generations, removed, definitions } = search;
        match (count, found.first()) {
            (1, Some(&run)) => {
                let (mut records, generations, removed) = match removed {
                    Some(((old, of_old), words)) if records.is_empty() => {
                        (old, of_old, Some(words))
                    }
                    _ => (records, generations, None),
                };
                self.reader.give_back(&mut records)?;
                Ok(History { run, records, generations, definitions, removed, damage })
            }
            (0, _) | (_, None) => Err(Error::NotFound { prefix: prefix.text() }),
            _ => {
                let some = found.iter().map(ExecutionId::to_string).collect();
                Err(Error::Ambiguous { prefix: prefix.text(), count, some })
            }
        }
    }
}

/// Records, and the generation each was written under.
type Placed = (Vec<Record>, Vec<u32>);

/// The records of one run, as long as only one was met.
#[derive(Default)]
struct Search {
    found: Vec<ExecutionId>,
    count: u64,
    records: Vec<Record>,
    /// The generation of each.
    generations: Vec<u32>,
    /// What the run was before it was removed, and how that came.
    removed: Option<(Placed, String)>,
    definitions: Definitions,
}

impl Search {
    fn take(&mut self, generation: u32, record: Record) {
        match (&record.stream, &record.event) {
            (StreamId::Execution(run), _) => {
                let listed = self.found.contains(run);
                if self.found.len() < CANDIDATES_MAX && !listed {
                    self.found.push(*run);
                    self.count += 1;
                } else if !listed && record.version == 1 {
                    self.count += 1;
                }
                if self.count == 1 {
                    self.records.push(record);
                    self.generations.push(generation);
                } else {
                    (self.records, self.generations) = (Vec::new(), Vec::new());
                }
            }
            (stream, Event::Workflow(event)) => {
                self.definitions.take(stream, event, record.recorded_at);
            }
            (_, Event::Partition(PartitionEvent::RunsRemoved { runs, rule, .. }))
                if self.count == 1 && self.found.iter().any(|run| runs.contains(run)) =>
            {
                let words = format!("this run was removed at {} by `{rule}`", record.recorded_at);
                let gone = (&mut self.records, &mut self.generations);
                self.removed = Some(((std::mem::take(gone.0), std::mem::take(gone.1)), words));
            }
            _ => {}
        }
    }
}

impl History {
    /// The state that all records add up to.
    pub fn fold(&mut self) -> Fold {
        Fold::of(self.run, &self.records, &mut self.definitions)
    }

    /// The state that the first records add up to.
    ///
    /// # Errors
    /// If there are not so many, or they do not fold.
    pub fn state_at(&mut self, version: u64) -> Result<State, Error> {
        let (run, last) = (self.run, self.records.len() as u64);
        let none = Error::NoVersion { run: run.to_string(), asked: version, last };
        let Ok(count) = usize::try_from(version) else { return Err(none) };
        let Some(first) = self.records.get(..count).filter(|first| !first.is_empty()) else {
            return Err(none);
        };
        match Fold::of(run, first, &mut self.definitions) {
            Fold::Whole(state) => Ok(*state),
            Fold::Broken { why } => {
                Err(Error::Unfolded { run: run.to_string(), asked: version, why })
            }
            Fold::Empty => Err(none),
        }
    }

    /// The plan to read the run's events by, if the log holds it: its last one.
    pub fn plan(&mut self) -> Option<std::sync::Arc<Plan>> {
        let events = || self.records.iter().map(|record| &record.event);
        let plan = self.definitions.plan_of(&lineage_of(events())).ok()?;
        Some(plan.of_run(events()))
    }
}

/// A mistyped name deserves a better word than "no data directory".
pub(crate) fn check_directory(directory: &Path) -> Result<(), Error> {
    let owned = directory.to_owned();
    match std::fs::metadata(directory) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(Error::Foreign { directory: owned, detail: "it is a file".to_owned() }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(Error::NoDirectory { directory: owned })
        }
        // Anything else is put into words where the directory is opened.
        Err(_) => Ok(()),
    }
}

/// A directory that is made if it is missing needs one to be made in: a mistyped path makes none.
///
/// # Errors
/// [`Error::NoParent`]
pub(crate) fn check_parent(directory: &Path) -> Result<(), Error> {
    let above = directory.parent().filter(|above| !above.as_os_str().is_empty());
    match above {
        Some(above) if !above.is_dir() => Err(Error::NoParent { parent: above.to_owned() }),
        _ => Ok(()),
    }
}

/// Where the archive of a data directory is.
pub(crate) fn place_of_archive(directory: &Path) -> PathBuf {
    match std::fs::read_to_string(directory.join(ELSEWHERE)) {
        Ok(place) => PathBuf::from(place.trim_end_matches('\n')),
        Err(_) => directory.join("archive"),
    }
}

/// Every record of the log is asked, so without printing its id.
fn matches(prefix: &Prefix, run: ExecutionId) -> bool {
    let partition = (0..4).map(|at| u128::from(run.partition.0 >> (12 - 4 * at)) & 0xf);
    let rest = (0..32).map(|at| (run.digits >> (124 - 4 * at)) & 0xf);
    let digits = partition.chain(rest);
    prefix.digits().iter().zip(digits).all(|(&wanted, digit)| u128::from(wanted) == digit)
}

/// The sizes of the log's files, to tell how far reading is.
#[derive(Debug, Default)]
struct LogFiles {
    segments: Vec<(u64, u64)>,
    bytes: u64,
}

impl LogFiles {
    /// What cannot be read counts as nothing: only a bar depends on it.
    fn of(directory: &Path) -> Self {
        let mut segments: Vec<(u64, u64)> = std::fs::read_dir(directory.join("log"))
            .into_iter()
            .flatten()
            .filter_map(Result::ok)
            .filter_map(|entry| {
                let number = entry.path().file_stem()?.to_str()?.parse().ok()?;
                Some((number, written_bytes(&entry.path())))
            })
            .collect();
        segments.sort_unstable();
        let bytes = segments.iter().map(|(_, bytes)| bytes).sum();
        Self { segments, bytes }
    }

    fn before(&self, segment: u64) -> u64 {
        let earlier = self.segments.iter().take_while(|(number, _)| *number < segment);
        earlier.map(|(_, bytes)| bytes).sum()
    }
}
