//! Walking a chain to its end whatever state it is in, changing nothing.
//!
//! Where recovery stops at the first damage, a walk names it and goes on with the next thing
//! that is whole. Knows segments, groups and commits, not chains or streams.

use crate::commit::{Commit, Origin};
use crate::error::{Damage, Error};
use crate::log::wal::layout;
use crate::log::wal::recover::TornTail;
use crate::log::wal::scan::Segment;
use crate::sources::Sources;
use crate::sources::evidence::Evidence;

/// What a walk meets, in order.
pub(crate) enum Found<'a> {
    /// A whole commit, where it stands.
    Commit { segment: u64, offset: u64, origin: Origin, commit: &'a Commit },
    /// The commits up to here are whole, as far as they were found.
    Group,
    /// A segment was begun.
    Segment,
    /// Something that is not what was written.
    Damage(Damage),
    /// A flaw of one of two copies of a segment.
    Flaw(Flaw),
    /// A segment has an archive file, which is whole.
    Archived,
    /// A write that a crash left half done, at the very end.
    Torn(TornTail),
}

/// A flaw of one copy of a segment that has, or had, another.
#[derive(Debug)]
pub(crate) struct Flaw {
    pub damage: Damage,
    /// It is the archive's copy.
    pub in_archive: bool,
    /// All of the segment is whole, here or there.
    pub healable: bool,
}

/// Walks all segments, archived and in the log. `visit` answers whether to go on.
pub(crate) fn walk(
    sources: &Sources,
    visit: &mut dyn FnMut(Found<'_>) -> bool,
) -> Result<(), Error> {
    let shape = sources.shape();
    let numbers = sources.numbers()?;
    let beginning = sources.beginning()?;
    let (mut next_group, mut generation) = (beginning.next_group, 0);
    let mut end: Option<(Segment, usize)> = None;
    let mut expected = beginning.number;
    for &number in &numbers {
        if number != expected && !visit(Found::Damage(missing(expected))) {
            return Ok(());
        }
        expected = number + 1;
        let evidence = sources.evidence(number)?;
        let Some(segment) = tell_flaws(evidence, visit) else { return Ok(()) };
        let first = segment.first_group_at(shape);
        match &segment.header {
            Err(_) if number != beginning.number && !has_group(&segment, first) => continue,
            Err(detail) => {
                if !visit(Found::Damage(segment.damage(0, detail.as_str()))) {
                    return Ok(());
                }
            }
            Ok(header) => {
                // What the segment before ends with is only now known not to be a tear.
                let short = header.first_group != next_group;
                if let Some((before, offset)) = end.take().filter(|_| short) {
                    let last = header.first_group.saturating_sub(1);
                    let detail = format!("groups {next_group} to {last} cannot be read");
                    if !visit(Found::Damage(before.damage(offset, detail))) {
                        return Ok(());
                    }
                }
                next_group = header.first_group;
                let back = header.origin.generation < generation;
                generation = header.origin.generation;
                let detail = "the segment's generation goes back";
                if back && !visit(Found::Damage(segment.damage(0, detail))) {
                    return Ok(());
                }
                if !visit(Found::Segment) {
                    return Ok(());
                }
            }
        }
        match walk_segment(&segment, first, &mut next_group, visit)? {
            Some(offset) => end = Some((segment, offset)),
            None => return Ok(()),
        }
    }
    if numbers.is_empty() {
        visit(Found::Damage(missing(beginning.number)));
    }
    if let Some((segment, offset)) = end.filter(|(segment, offset)| !segment.is_zero_from(*offset))
    {
        let last = segment.bytes.iter().rposition(|&byte| byte != 0).unwrap_or(offset);
        let bytes = (last + 1 - offset) as u64;
        visit(Found::Torn(TornTail { segment: segment.number, offset: offset as u64, bytes }));
    }
    Ok(())
}

/// Tells what is wrong with the copies of a segment; `None` if told to stop.
fn tell_flaws(evidence: Evidence, visit: &mut dyn FnMut(Found<'_>) -> bool) -> Option<Segment> {
    let Evidence { segment, in_log, in_archive, whole: healable, archived, .. } = evidence;
    let of_log = in_log.into_iter().map(|damage| (damage, false));
    let flaws = of_log.chain(in_archive.into_iter().map(|damage| (damage, true)));
    for (damage, in_archive) in flaws {
        if !visit(Found::Flaw(Flaw { damage, in_archive, healable })) {
            return None;
        }
    }
    (!archived || visit(Found::Archived)).then_some(segment)
}

/// Walks the groups of a segment; answers where they end, or `None` if told to stop.
fn walk_segment(
    segment: &Segment,
    first: usize,
    next_group: &mut u64,
    visit: &mut dyn FnMut(Found<'_>) -> bool,
) -> Result<Option<usize>, Error> {
    let mut offset = first;
    loop {
        let here = layout::group_at(&segment.bytes, offset, &segment.origin);
        let group = match here.filter(|group| group.number == *next_group) {
            Some(group) => group,
            None => {
                let expected = *next_group;
                let later = layout::find_group(&segment.bytes, offset, &segment.origin, |group| {
                    group.number >= expected && group.proven >= expected
                });
                let Some((at, group)) = later else { return Ok(Some(offset)) };
                let detail = format!("groups {expected} to {} cannot be read", group.number - 1);
                if !visit(Found::Damage(segment.damage(offset, detail))) {
                    return Ok(None);
                }
                offset = at;
                group
            }
        };
        match segment.commits(offset, &group) {
            Ok(commits) => {
                for (at, commit) in &commits {
                    let (origin, offset) = (segment.origin, *at as u64);
                    let segment = segment.number;
                    if !visit(Found::Commit { segment, offset, origin, commit }) {
                        return Ok(None);
                    }
                }
            }
            Err(damage) => {
                if !visit(Found::Damage(damage)) {
                    return Ok(None);
                }
            }
        }
        if !visit(Found::Group) {
            return Ok(None);
        }
        *next_group = group.number + 1;
        offset = group.end;
    }
}

fn has_group(segment: &Segment, first: usize) -> bool {
    layout::find_group(&segment.bytes, first, &segment.origin, |_| true).is_some()
}

fn missing(segment: u64) -> Damage {
    let detail = "the segment file is missing".to_owned();
    Damage { segment, offset: 0, partition: None, sequence: None, detail }
}
