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
use crate::log::wal::layout;
use crate::log::wal::scan::{self, Chains, Segment, Shape};
use crate::log::wal::segments;

/// What a scan found, and where writing goes on.
#[derive(Debug, Clone)]
pub(crate) struct Recovered {
    pub heads: Vec<Head>,
    pub segment: u64,
    pub offset: u64,
    pub next_group: u64,
    pub segments_read: u64,
    pub torn: Option<TornTail>,
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

/// Reads the log from the last segment that begins at or before `applied` (one sequence per
/// partition), hands every commit beyond `applied` to `visit` and repairs a torn tail.
///
/// # Errors
/// [`Error::Damaged`] for anything but a torn tail; then nothing was changed.
pub(crate) fn recover(
    directory: &Path,
    shape: &Shape,
    applied: &[u64],
    visit: Visit<'_>,
) -> Result<Recovered, Error> {
    let plan = plan(directory, shape, applied)?;
    let mut chains = Chains { heads: plan.heads };
    let mut next_group = plan.next_group;
    for number in plan.first..=plan.last {
        let segment = Segment::load(directory, number, shape)?;
        let header =
            segment.header.as_ref().map_err(|detail| damaged(segment.damage(0, detail)))?;
        if header.first_group != next_group || header.heads != chains.heads {
            let detail = "the segment before it ends elsewhere than this one begins";
            return Err(damaged(segment.damage(0, detail)));
        }
        let offset = read_groups(&segment, shape, applied, &mut chains, &mut next_group, visit)?;
        if number < plan.last {
            continue;
        }
        let tear = check_end(&segment, shape, offset, next_group)?;
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

fn plan(directory: &Path, shape: &Shape, applied: &[u64]) -> Result<Plan, Error> {
    let numbers = segments::numbers(directory)?;
    let missing = |segment: u64| Damage {
        segment,
        offset: 0,
        partition: None,
        sequence: None,
        detail: "the segment file is missing".to_owned(),
    };
    if numbers.first() != Some(&1) {
        return Err(damaged(missing(1)));
    }
    if let Some((_, number)) = (1..).zip(&numbers).find(|(expected, number)| expected != *number) {
        return Err(damaged(missing(number - 1)));
    }
    let mut plan: Option<Plan> = None;
    let mut unused = Vec::new();
    for &number in &numbers {
        match load_header(directory, number, shape)? {
            Ok(header) => {
                if let Some(&gap) = unused.first() {
                    let detail = "the segment has no header, but one after it was begun";
                    return Err(damaged(Damage { detail: detail.to_owned(), ..missing(gap) }));
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
            Err(detail) if number == 1 => return Err(damaged(Damage { detail, ..missing(1) })),
            Err(_) => unused.push(number),
        }
    }
    let plan = plan.ok_or_else(|| damaged(missing(1)))?;
    Ok(Plan { unused, ..plan })
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

/// Follows the groups of one segment; answers where they end.
fn read_groups(
    segment: &Segment,
    shape: &Shape,
    applied: &[u64],
    chains: &mut Chains,
    next_group: &mut u64,
    visit: Visit<'_>,
) -> Result<usize, Error> {
    let mut offset = segment.first_group_at(shape);
    while let Some(group) = layout::group_at(&segment.bytes, offset, &shape.origin)
        .filter(|group| group.number == *next_group)
    {
        for (at, commit) in segment.commits(offset, &group).map_err(damaged)? {
            chains
                .accept(&shape.origin, &commit)
                .map_err(|detail| damaged(commit.damage(segment.number, at as u64, detail)))?;
            let seen = applied.get(usize::from(commit.partition().0)).copied().unwrap_or(0);
            if commit.sequence() > seen {
                visit(&commit)?;
            }
        }
        *next_group += 1;
        offset = group.end;
    }
    Ok(offset)
}

/// Whether what follows the last whole group is nothing (`None`) or a tear of so many bytes.
fn check_end(
    segment: &Segment,
    shape: &Shape,
    offset: usize,
    next_group: u64,
) -> Result<Option<u64>, Error> {
    if segment.is_zero_from(offset) {
        return Ok(None);
    }
    let proof = layout::find_group(&segment.bytes, offset, &shape.origin, |group| {
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
        if layout::find_group(&segment.bytes, first, &shape.origin, |_| true).is_some() {
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
    file.sync_data().map_err(failed)
}

fn damaged(damage: Damage) -> Error {
    Error::Damaged { damage }
}
