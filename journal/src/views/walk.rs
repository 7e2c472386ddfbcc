//! Walking an index of the tree, from either end.
//!
//! sled's own way backwards never ends where keys share a run of `FF` bytes (it seeks a
//! predecessor that is too low, finds the page too low, seeks again, and panics in the end).
//! So the way from the oldest goes forward, too: over windows of time, each as wide as the
//! rows are sparse, taken from the end.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use backstitch_core::time::Timestamp;

use crate::error::Error;
use crate::fence::FencedTree;
use crate::views::filter::Order;
use crate::views::page::Span;
use crate::views::row::{INSTANT_BYTES, Row};
use crate::views::table::Table;

/// Entries looked at for the first row that is there: some may have left since.
const FIRST_ENTRIES_AT_ONCE: usize = 4;

/// An id and its place.
type Placed<Id> = (Vec<u8>, Id);

/// How many times the entries wanted a window may have; with more, a narrower one is tried.
const WINDOW_ENTRIES_FACTOR: usize = 2;
/// The first window's width, in microseconds: about a millisecond. Many rows within it tell how
/// wide the next one must be; none cost one look.
const WINDOW_US: u64 = 1 << 10;
/// How much wider or narrower the next window is at most.
const WINDOW_FACTOR: u64 = 16;

impl<R: Row> Table<R> {
    /// The next entries of an index, in the list's order: `count`, or all there are.
    pub(super) fn entries(
        &self,
        index: &[u8],
        span: &Span,
        count: usize,
    ) -> Result<Vec<Placed<R::Id>>, Error> {
        let Some(tree) = &self.tree else { return Ok(Vec::new()) };
        match span.order {
            Order::NewestFirst => {
                let mut entries = Vec::new();
                scan::<R>(tree, index, &span.low, span.high.as_deref(), |place, id| {
                    entries.push((place.to_vec(), id));
                    entries.len() < count
                })?;
                Ok(entries)
            }
            Order::OldestFirst => backwards::<R>(tree, index, span, count),
        }
    }
}

impl<R: Row> Table<R> {
    /// The instant of the first row of an index that has an instant before each place.
    pub(super) fn first_at(&self, index: &[u8]) -> Result<Option<Timestamp>, Error> {
        let Some(tree) = &self.tree else { return Ok(None) };
        let mut from = index.to_vec();
        loop {
            let mut found = Vec::new();
            tree.scan(index, &from, |key, _| {
                let id = key.get(index.len() + 2 * INSTANT_BYTES..).and_then(R::id_of);
                found.extend(id.map(|id| (key.to_vec(), id)));
                let more = found.len() < FIRST_ENTRIES_AT_ONCE;
                if more { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
            for (_, id) in &found {
                if let Some(row) = self.get(id)? {
                    return Ok(Some(row.at()));
                }
            }
            match found.pop() {
                Some((last, _)) if found.len() + 1 == FIRST_ENTRIES_AT_ONCE => {
                    from = last;
                    from.push(0);
                }
                _ => return Ok(None),
            }
        }
    }
}

/// Visits entries from a place on and below another, until told to stop.
fn scan<R: Row>(
    tree: &FencedTree,
    index: &[u8],
    low: &[u8],
    high: Option<&[u8]>,
    mut visit: impl FnMut(&[u8], R::Id) -> bool,
) -> Result<(), Error> {
    tree.scan(index, &[index, low].concat(), |key, _| {
        let place = &key[index.len()..];
        let Some(id) = place.get(INSTANT_BYTES..).and_then(R::id_of) else {
            return ControlFlow::Continue(());
        };
        let wanted = high.is_none_or(|high| place < high) && visit(place, id);
        if wanted { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })
}

fn backwards<R: Row>(
    tree: &FencedTree,
    index: &[u8],
    span: &Span,
    count: usize,
) -> Result<Vec<Placed<R::Id>>, Error> {
    let lowest = instant_of(&span.low);
    let mut high = span.high.clone();
    let mut top = high.as_deref().map_or(u64::MAX, instant_of);
    let (mut found, mut width) = (Vec::new(), WINDOW_US);
    loop {
        let bottom = top.saturating_sub(width).max(lowest);
        let low = bottom.to_be_bytes().to_vec().max(span.low.clone());
        let narrowest = bottom == top;
        let keep = if narrowest { count } else { WINDOW_ENTRIES_FACTOR * count };
        let mut window = VecDeque::new();
        let mut overflow = false;
        scan::<R>(tree, index, &low, high.as_deref(), |place, id| {
            if window.len() == keep {
                // Nothing is narrower than an instant; of that the last ones are wanted.
                window.pop_front();
                overflow = true;
            }
            window.push_back((place.to_vec(), id));
            narrowest || !overflow
        })?;
        if overflow && !narrowest {
            let last = window.back().map_or(bottom, |(place, _)| instant_of(place));
            width = narrower(top - bottom, last.saturating_sub(bottom));
            continue;
        }
        let entries = window.len();
        found.extend(window.into_iter().rev());
        if found.len() >= count || bottom <= lowest {
            found.truncate(count);
            return Ok(found);
        }
        top = bottom - 1;
        high = Some(bottom.to_be_bytes().to_vec());
        width = wider(width, entries, count - found.len());
    }
}

/// The next width after one that had too many entries, which are those of its first `seen` us:
/// for three quarters of them if they are as dense everywhere.
fn narrower(width: u64, seen: u64) -> u64 {
    (seen - seen / 4).clamp(width / WINDOW_FACTOR, width / 2)
}

/// The width of the window behind one that had so many entries, for half more than are wanted.
fn wider(width: u64, entries: usize, wanted: usize) -> u64 {
    let most = width.max(1).saturating_mul(WINDOW_FACTOR);
    let dense = u128::from(width.max(1)) * (wanted + wanted.div_ceil(2)) as u128;
    dense
        .checked_div(entries as u128)
        .and_then(|us| u64::try_from(us).ok())
        .unwrap_or(most)
        .min(most)
}

/// The turned instant that a place begins with.
fn instant_of(place: &[u8]) -> u64 {
    let mut bytes = [0; INSTANT_BYTES];
    let known = place.len().min(INSTANT_BYTES);
    bytes[..known].copy_from_slice(&place[..known]);
    u64::from_be_bytes(bytes)
}
