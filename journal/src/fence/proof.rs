//! The quick proof: whether a tree holds what the recent file says it must.
//!
//! Only looks up and compares; what follows from it is [`super::open`]'s and
//! [`super::renew`]'s.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::Error;
use crate::fence::recent::{Changed, Mark, Recent, RecentTick, mark_of};
use crate::marks::Marks;
use crate::sled::RawTree;

/// Keys that are looked up together: their values are in memory meanwhile.
const KEYS_AT_ONCE: usize = 1_024;
/// Threads that look keys up beside each other.
const LOOKING_MAX: usize = 4;

/// The marks of all keys a recent file names, as the tree has them.
pub(super) struct Found<'a> {
    /// In order, each once.
    keys: Vec<&'a [u8]>,
    marks: Vec<Mark>,
}

impl<'a> Found<'a> {
    /// Looks all keys up, in order, so that keys of one page are read together.
    pub(super) fn of(recent: &'a Recent, raw: &RawTree) -> Result<Self, Error> {
        let mut keys: Vec<&[u8]> = changes(&recent.ticks).map(|own| own.key.as_slice()).collect();
        keys.sort_unstable();
        keys.dedup();
        let marks = marks_in(raw, &keys)?;
        Ok(Self { keys, marks })
    }

    fn has(&self, key: &[u8], mark: &Mark) -> bool {
        self.keys.binary_search(&key).is_ok_and(|at| self.marks[at] == *mark)
    }

    /// Whether the tree holds the newest value of every key of `ticks`, but for keys that
    /// change in `later`.
    fn settled(&self, ticks: &[RecentTick], later: &[RecentTick]) -> bool {
        let mut later: Vec<&[u8]> = changes(later).map(|own| own.key.as_slice()).collect();
        later.sort_unstable();
        // The newest change of each key comes first.
        let mut newest: Vec<&Changed> = changes(ticks).collect();
        newest.reverse();
        newest.sort_by(|one, other| one.key.cmp(&other.key));
        newest.dedup_by(|one, other| one.key == other.key);
        newest.retain(|own| later.binary_search(&own.key.as_slice()).is_err());
        newest.into_iter().all(|own| self.has(&own.key, &own.new))
    }
}

/// The marks of keys, which must ascend.
fn marks_in(raw: &RawTree, keys: &[&[u8]]) -> Result<Vec<Mark>, Error> {
    let chunks: Vec<&[&[u8]]> = keys.chunks(KEYS_AT_ONCE).collect();
    let next = AtomicUsize::new(0);
    let look = || -> Result<Vec<(usize, Vec<Mark>)>, Error> {
        let mut found = Vec::new();
        while let at = next.fetch_add(1, Ordering::Relaxed)
            && let Some(keys) = chunks.get(at)
        {
            let values = keys.iter().zip(raw.get_many(keys)?);
            found.push((at, values.map(|(key, value)| mark_of(key, value.as_deref())).collect()));
        }
        Ok(found)
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let others = processors.min(LOOKING_MAX).min(chunks.len()).saturating_sub(1);
    let mut found = std::thread::scope(|scope| {
        let others: Vec<_> = (0..others).map(|_| scope.spawn(look)).collect();
        let mut found = look();
        for other in others {
            let other = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            found = found.and_then(|found| Ok([found, other?].concat()));
        }
        found
    })?;
    found.sort_unstable_by_key(|(at, _)| *at);
    Ok(found.into_iter().flat_map(|(_, marks)| marks).collect())
}

fn changes(ticks: &[RecentTick]) -> impl Iterator<Item = &Changed> {
    ticks.iter().flat_map(|tick| tick.batches.iter().flatten())
}

/// Whether marks and recent file are of the same tree and follow each other without a gap.
/// If not, the recent file is no use.
pub(super) fn fit_together(recent: &Recent, marks: &Marks) -> bool {
    let before = marks.tick.checked_sub(recent.base.tick).map(usize::try_from);
    let Some(Ok(before)) = before else { return false };
    // At most one tick may be written here and not in the marks.
    let gapless = (before..=before.saturating_add(1)).contains(&recent.ticks.len());
    if !gapless || !marks.counted {
        return false;
    }
    match before.checked_sub(1) {
        Some(last) => recent.ticks[last].batches.len() + 1 == marks.states.len(),
        None => marks.states.iter().any(|state| state.digest == recent.base.digest),
    }
}

/// Which of the marks' states the tree is in, as far as its recent keys tell; `None` if it is
/// in none of them. The two must [`fit_together`].
pub(super) fn place(recent: &Recent, marks: &Marks, found: &Found<'_>) -> Option<usize> {
    let before = usize::try_from(marks.tick - recent.base.tick).ok()?;
    let (written, unwritten) = recent.ticks.split_at(before);
    if !changes(unwritten).all(|changed| found.has(&changed.key, &changed.old)) {
        return None;
    }
    let Some((last, earlier)) = written.split_last() else {
        return marks.states.iter().position(|state| state.digest == recent.base.digest);
    };
    if !found.settled(earlier, std::slice::from_ref(last)) {
        return None;
    }
    let new = |batch: &&Vec<Changed>| batch.iter().all(|c| found.has(&c.key, &c.new));
    let old = |batch: &Vec<Changed>| batch.iter().all(|c| found.has(&c.key, &c.old));
    let applied = last.batches.iter().take_while(new).count();
    last.batches[applied..].iter().all(old).then_some(applied)
}

/// Whether the tree holds everything a recent file says, its last tick wholly applied.
pub(super) fn holds_all(recent: &Recent, raw: &RawTree) -> Result<bool, Error> {
    Ok(Found::of(recent, raw)?.settled(&recent.ticks, &[]))
}
