//! Opening a log that is there: follow the chains, cut a torn tail, refuse other damage.
//!
//! A torn tail is the last thing a crash was writing: nothing written later proves that it
//! had been durable. Each group says which group was durable when it was written (`proven`),
//! so anything unreadable that a later group vouches for is damage, and damage is never
//! repaired here.

use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::commit::{Commit, Head};
use crate::error::{Damage, Error};
use crate::files;
use crate::log::wal::heal;
use crate::log::wal::layout;
use crate::log::wal::scan::{self, Chains, Segment, Shape};
use crate::log::wal::segments;
use crate::sources::Sources;

/// What a scan found, and where writing goes on.
#[derive(Debug, Clone)]
pub(crate) struct Recovered {
    pub heads: Vec<Head>,
    pub segment: u64,
    pub offset: u64,
    pub next_group: u64,
    pub segments_read: u64,
    pub torn: Option<TornTail>,
    /// Segments put back from the archive.
    pub healed: Vec<u64>,
}

/// Bytes at the end of the log that a crash left half written; they were never acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TornTail {
    /// Number of the segment file.
    pub segment: u64,
    /// Where the tear begins.
    pub offset: u64,
    /// Up to the last byte that is not zero.
    pub bytes: u64,
}

/// Receives each commit beyond what the caller has applied, in order.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(&Commit) -> Result<(), Error>;

/// What the log must go on from if its first segment is not the chain's first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Before {
    pub next_group: u64,
    pub heads: Vec<Head>,
}

/// Reads the log from the last segment that begins at or before `applied` (one sequence per
/// partition), hands every commit beyond `applied` to `visit` and repairs a torn tail. A sealed
/// segment that is not whole is put back from the archive, if it is whole there.
///
/// # Errors
/// [`Error::Damaged`] for anything but a torn tail and what the archive heals; then nothing else
/// was changed.
pub(crate) fn recover(
    sources: &Sources,
    applied: &[u64],
    visit: Visit<'_>,
) -> Result<Recovered, Error> {
    let (directory, shape) = (sources.log(), sources.shape());
    let mut healed = heal::heal_headers(sources)?;
    let plan = plan(sources, applied)?;
    let mut reading = Reading {
        chains: Chains::at(plan.heads),
        next_group: plan.next_group,
        offset: 0,
        applied,
        visit,
    };
    for number in plan.first..=plan.last {
        let segment = Segment::load(directory, number, shape)?;
        let header =
            segment.header.as_ref().map_err(|detail| damaged(segment.damage(0, detail)))?;
        if header.first_group != reading.next_group || header.heads != reading.chains.heads {
            let detail = "the segment before it ends elsewhere than this one begins";
            return Err(damaged(segment.damage(0, detail)));
        }
        reading.offset = segment.first_group_at(shape);
        if number < plan.last {
            let sealed_at = load_header(directory, number + 1, shape)?
                .map_err(|detail| damaged(Damage { detail, ..missing(number + 1) }))?
                .first_group;
            healed.extend(reading.read_sealed(sources, segment, sealed_at)?);
            continue;
        }
        reading.read_groups(&segment)?;
        if segment.origin != shape.origin {
            let detail = "the log's last segment is of an earlier generation: its end is missing";
            return Err(damaged(segment.damage(0, detail)));
        }
        let Reading { chains, next_group, offset, .. } = reading;
        let tear = check_end(&segment, offset, next_group)?;
        check_unused(directory, shape, &plan.unused)?;
        let torn = tear.map(|bytes| TornTail { segment: number, offset: offset as u64, bytes });
        settle(directory, number, torn.as_ref())?;
        return Ok(Recovered {
            heads: chains.heads,
            segment: number,
            offset: offset as u64,
            next_group,
            segments_read: plan.last - plan.first + 1,
            torn,
            healed,
        });
    }
    unreachable!("a plan has at least one segment");
}

struct Plan {
    first: u64,
    last: u64,
    heads: Vec<Head>,
    next_group: u64,
    /// Segments that were made ready and never begun.
    unused: Vec<u64>,
}

fn plan(sources: &Sources, applied: &[u64]) -> Result<Plan, Error> {
    let (directory, shape) = (sources.log(), sources.shape());
    let numbers = segments::numbers(directory)?;
    let first = numbers.first().copied().unwrap_or(sources.last_archived()?.unwrap_or(0) + 1);
    if let Some((_, number)) =
        (first..).zip(&numbers).find(|(expected, number)| expected != *number)
    {
        return Err(damaged(missing(number - 1)));
    }
    let mut plan: Option<Plan> = None;
    let (mut unused, mut generation) = (Vec::new(), 0);
    for &number in &numbers {
        match load_header(directory, number, shape)? {
            Ok(header) => {
                if let Some(&gap) = unused.first() {
                    let detail = "the segment has no header, but one after it was begun";
                    return Err(damaged(Damage { detail: detail.to_owned(), ..missing(gap) }));
                }
                if header.origin.generation < generation {
                    let detail = "the segment's generation goes back".to_owned();
                    return Err(damaged(Damage { detail, ..missing(number) }));
                }
                generation = header.origin.generation;
                if number == first {
                    check_before(sources, &header)?;
                }
                let covered =
                    header.heads.iter().zip(applied).all(|(head, &at)| head.sequence <= at);
                match &mut plan {
                    Some(plan) if !covered => plan.last = number,
                    _ => {
                        let (heads, next_group) = (header.heads, header.first_group);
                        let unused = Vec::new();
                        plan =
                            Some(Plan { first: number, last: number, heads, next_group, unused });
                    }
                }
            }
            Err(detail) if number == first => {
                return Err(damaged(Damage { detail, ..missing(first) }));
            }
            Err(_) => unused.push(number),
        }
    }
    let plan = plan.ok_or_else(|| damaged(missing(first)))?;
    match sources.last_archived()?.filter(|archived| *archived >= plan.last) {
        // What is archived was sealed: a segment behind it was begun.
        Some(archived) => Err(damaged(missing(archived + 1))),
        None => Ok(Plan { unused, ..plan }),
    }
}

/// Whether the log's first segment goes on where what is not in the log any more ends.
fn check_before(sources: &Sources, header: &layout::SegmentHeader) -> Result<(), Error> {
    if header.number == 1 {
        return Ok(());
    }
    let before = sources
        .before(header.number)?
        .ok_or_else(|| damaged(missing_in_archive(header.number - 1)))?;
    if before.next_group == header.first_group && before.heads == header.heads {
        return Ok(());
    }
    let detail = "the archive ends elsewhere than the log's first segment begins".to_owned();
    Err(damaged(Damage { detail, ..missing(header.number) }))
}

fn missing(segment: u64) -> Damage {
    let detail = "the segment file is missing".to_owned();
    Damage { segment, offset: 0, partition: None, sequence: None, detail }
}

fn missing_in_archive(segment: u64) -> Damage {
    let detail = "the log begins behind this segment, but it is not in the archive; if the \
                  archive was moved, say where it is";
    Damage { detail: detail.to_owned(), ..missing(segment) }
}

fn load_header(
    directory: &Path,
    number: u64,
    shape: &Shape,
) -> Result<Result<layout::SegmentHeader, String>, Error> {
    let path = segments::path_of(directory, number);
    let file = segments::open(directory, number)?;
    let length = file.metadata().map_err(|e| Error::io("measuring", &path, e))?.len();
    let mut bytes = vec![0; layout::segment_header_bytes(shape.partitions)];
    if length < bytes.len() as u64 {
        return Ok(Err(format!("the segment has {length} bytes, not its whole length")));
    }
    file.read_exact_at(&mut bytes, 0).map_err(|e| Error::io("reading", &path, e))?;
    Ok(scan::check_header(&bytes, length, number, shape))
}

/// On the way through the segments.
struct Reading<'a> {
    chains: Chains,
    next_group: u64,
    /// Behind the last whole group of the segment.
    offset: usize,
    applied: &'a [u64],
    visit: Visit<'a>,
}

impl Reading<'_> {
    /// Follows a sealed segment to its end, which the next one tells; from the archive where it
    /// is not whole. Answers its number if it was put back from there.
    fn read_sealed(
        &mut self,
        sources: &Sources,
        segment: Segment,
        sealed_at: u64,
    ) -> Result<Option<u64>, Error> {
        let number = segment.number;
        let read = self.read_groups(&segment);
        let broken = match read {
            Ok(()) if self.next_group == sealed_at => return Ok(None),
            Ok(()) => {
                let detail = format!(
                    "groups {} to {} cannot be read",
                    self.next_group,
                    sealed_at.saturating_sub(1)
                );
                damaged(segment.damage(self.offset, detail))
            }
            Err(error @ Error::Damaged { .. }) => error,
            Err(error) => return Err(error),
        };
        let Some(segment) = heal::heal(sources, number)? else { return Err(broken) };
        self.read_groups(&segment)?;
        if self.next_group == sealed_at { Ok(Some(number)) } else { Err(broken) }
    }

    /// Follows the groups of one segment as far as they are whole.
    fn read_groups(&mut self, segment: &Segment) -> Result<(), Error> {
        while let Some(group) = layout::group_at(&segment.bytes, self.offset, &segment.origin)
            .filter(|group| group.number == self.next_group)
        {
            for (at, commit) in segment.commits(self.offset, &group).map_err(damaged)? {
                self.chains
                    .accept(&segment.origin, &commit)
                    .map_err(|detail| damaged(commit.damage(segment.number, at as u64, detail)))?;
                let partition = usize::from(commit.partition().0);
                let seen = self.applied.get(partition).copied().unwrap_or(0);
                if commit.sequence() > seen {
                    (self.visit)(&commit)?;
                }
            }
            self.next_group += 1;
            self.offset = group.end;
        }
        Ok(())
    }
}

/// Whether what follows the last whole group is nothing (`None`) or a tear of so many bytes.
fn check_end(segment: &Segment, offset: usize, next_group: u64) -> Result<Option<u64>, Error> {
    if segment.is_zero_from(offset) {
        return Ok(None);
    }
    let proof = layout::find_group(&segment.bytes, offset, &segment.origin, |group| {
        group.proven >= next_group
    });
    if let Some((at, group)) = proof {
        let detail = format!(
            "group {next_group} cannot be read, but group {} at byte {at} proves that it was \
             durable",
            group.number
        );
        return Err(damaged(segment.damage(offset, detail)));
    }
    let last = segment.bytes.iter().rposition(|&byte| byte != 0).unwrap_or(offset);
    Ok(Some((last + 1).saturating_sub(offset) as u64))
}

/// Segments made ready hold nothing; one with junk in it is removed and made anew, one with
/// a group in it is the log's continuation without its header.
fn check_unused(directory: &Path, shape: &Shape, unused: &[u64]) -> Result<(), Error> {
    for &number in unused {
        let segment = Segment::load(directory, number, shape)?;
        let whole = segment.bytes.len() as u64 == shape.segment_bytes;
        if whole && segment.is_zero_from(0) {
            continue;
        }
        let first = segment.first_group_at(shape);
        if layout::find_group(&segment.bytes, first, &segment.origin, |_| true).is_some() {
            let detail = "the segment holds groups, but its header cannot be read";
            return Err(damaged(segment.damage(0, detail)));
        }
        files::remove(&segments::path_of(directory, number))?;
    }
    Ok(())
}

/// Zeroes a tear, and makes durable what was read: a killed process may have left groups in
/// the system's memory only.
fn settle(directory: &Path, number: u64, torn: Option<&TornTail>) -> Result<(), Error> {
    let path = segments::path_of(directory, number);
    let file = segments::open(directory, number)?;
    let failed = |e| Error::io("repairing the end of", &path, e);
    if let Some(torn) = torn {
        let length = usize::try_from(torn.bytes).expect("a tear is shorter than its segment");
        file.write_all_at(&vec![0; length], torn.offset).map_err(failed)?;
    }
    let synced = file.sync_data();
    if synced.is_err()
        && let Ok(content) = std::fs::read(&path)
    {
        // What a failed sync covered no later one would write, unless it is written again.
        drop(file.write_all_at(&content, 0));
    }
    synced.map_err(failed)
}

fn damaged(damage: Damage) -> Error {
    Error::Damaged { damage }
}
